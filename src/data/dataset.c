/* dataset.c - the dataset object: splits, vocabulary, facts.
 * Invariant of a finished dataset: every token of every split is below vocab.n and hashes are current. */
#include "data/internal.h"
#include "data/text/render.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- splits */

void hs_split_free(hs_split *split)
{
    hs_free(split->tokens);
    hs_free(split->bridge);
    hs_free(split->synthetic);
    hs_free(split->also_start);
    hs_free(split->also);
    *split = (hs_split){0};
}

static void *array(uint64_t n, uint64_t each)
{
    uint64_t size;
    if (__builtin_mul_overflow(n, each, &size) || size > SIZE_MAX / 2)
        return NULL;
    return hs_alloc((size_t)(size > 0 ? size : 1));
}

hs_status hs_dataset_add_split(hs_dataset *data, const hs_split *form, bool synthetic, bool also_start, hs_split **out,
                               hs_error *err)
{
    size_t cap = data->cap_splits;
    HS_TRY(hs_grow((void **)&data->splits, &cap, (size_t)data->n_splits + 1, sizeof *data->splits, err));
    data->cap_splits = (uint32_t)cap;
    hs_split *s = &data->splits[data->n_splits];
    *s = *form;
    s->bridge = NULL;
    s->synthetic = NULL;
    s->also_start = NULL;
    s->also = NULL;
    s->tokens = array(s->n, (uint64_t)s->width * sizeof(uint32_t));
    bool ok = s->tokens != NULL;
    if (s->bridges > 0)
        ok &= (s->bridge = array(s->n, (uint64_t)s->bridges * sizeof(uint32_t))) != NULL;
    if (synthetic)
        ok &= (s->synthetic = hs_calloc(s->n ? s->n : 1, 1)) != NULL;
    if (also_start)
        ok &= (s->also_start = hs_calloc(s->n + 1, sizeof *s->also_start)) != NULL;
    if (!ok) {
        hs_split_free(s);
        return hs_fail_memory(err, (size_t)(form->n * form->width * sizeof(uint32_t)));
    }
    data->n_splits++;
    *out = s;
    return HS_OK;
}

static const char *const role_names[] = {"train", "test", "watch"};

const char *hs_split_role_name(hs_split_role role)
{
    return role_names[role];
}

bool hs_split_role_find(const char *name, hs_split_role *out)
{
    for (unsigned i = 0; i < sizeof role_names / sizeof *role_names; i++)
        if (strcmp(role_names[i], name) == 0) {
            *out = (hs_split_role)i;
            return true;
        }
    return false;
}

const hs_split *hs_dataset_split(const hs_dataset *data, const char *name)
{
    for (uint32_t i = 0; i < data->n_splits; i++)
        if (strcmp(data->splits[i].name, name) == 0)
            return &data->splits[i];
    return NULL;
}

uint64_t hs_split_hash(const hs_split *split)
{
    uint64_t form[8] = {(uint64_t)split->kind, split->hops,    split->width,   split->prompt,
                        split->answer,         split->answers, split->bridges, split->n};
    uint64_t hash = hs_hash(form, sizeof form, 0);
    if (split->n == 0)
        return hash;
    hash = hs_hash(split->tokens, split->n * split->width * sizeof(uint32_t), hash);
    if (split->bridges > 0)
        hash = hs_hash(split->bridge, split->n * split->bridges * sizeof(uint32_t), hash);
    if (split->also_start) {
        hash = hs_hash(split->also_start, (split->n + 1) * sizeof(uint64_t), hash);
        if (split->also_start[split->n] > 0)
            hash = hs_hash(split->also, split->also_start[split->n] * sizeof(uint32_t), hash);
    }
    return hash;
}

bool hs_split_name_ok(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len < sizeof((hs_split *)0)->name && name[0] != '.' && !strpbrk(name, "/\\\n\"");
}

bool hs_split_class(const char *name, uint32_t hops, uint32_t *ood_mask)
{
    if (strncmp(name, "test_", 5) != 0)
        return false;
    const char *letters = name + 5;
    *ood_mask = 0;
    for (uint32_t k = 0; k < hops; k++) {
        if (letters[k] != 'i' && letters[k] != 'o')
            return false;
        *ood_mask |= letters[k] == 'o' ? 1u << k : 0;
    }
    return letters[hops] == 0 || strcmp(letters + hops, "_sr") == 0;
}

/* ---------------------------------------------------------------- vocabulary */

hs_status hs_vocab_add(hs_dataset *data, const char *name, const char *kind, uint32_t *id, hs_error *err)
{
    size_t len = strlen(name);
    uint32_t token;
    if (hs_names_find(&data->vocab, name, len) == HS_NO_ID) {
        HS_TRY(hs_names_add(&data->vocab, name, len, &token, err));
    } else {
        hs_str other = {0};
        hs_str_addf(&other, "%s [%s]", name, kind);
        while (!other.failed && hs_names_find(&data->vocab, other.s, other.len) != HS_NO_ID)
            hs_str_addf(&other, "'");
        hs_status status =
            other.failed ? hs_fail_memory(err, len + 16) : hs_names_add(&data->vocab, other.s, other.len, &token, err);
        hs_str_free(&other);
        HS_TRY(status);
    }
    if (id)
        *id = token;
    return HS_OK;
}

hs_status hs_vocab_addf(hs_dataset *data, hs_error *err, const char *fmt, ...)
{
    char name[128];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    return hs_vocab_add(data, name, "token", NULL, err);
}

hs_status hs_vocab_specials(hs_dataset *data, hs_error *err)
{
    static const char *const SPECIALS[] = {"<mask>", "<sep>", "<a>", "</a>", "<q>", "</q>"};
    for (size_t i = 0; i < sizeof SPECIALS / sizeof SPECIALS[0]; i++) {
        if (hs_names_find(&data->vocab, SPECIALS[i], strlen(SPECIALS[i])) != HS_NO_ID) {
            hs_fail(err, HS_ERR_DATA, "a name of the graph is a special token");
            hs_error_value(err, SPECIALS[i], strlen(SPECIALS[i]));
            return hs_error_hint(err, "rename it in the graph");
        }
        uint32_t token;
        HS_TRY(hs_names_add(&data->vocab, SPECIALS[i], strlen(SPECIALS[i]), &token, err));
    }
    return HS_OK;
}

hs_status hs_vocab_dead(hs_dataset *data, hs_error *err)
{
    if (!data->config.quirk_dead_vocab)
        return HS_OK;
    uint32_t total = (data->vocab.n + 50257 + 7) / 8 * 8;
    for (uint32_t i = 0; data->vocab.n < total; i++)
        HS_TRY(hs_vocab_addf(data, err, "<unused_%u>", i));
    return HS_OK;
}

uint32_t hs_vocab_token(const hs_dataset *data, const char *name)
{
    return hs_names_find(&data->vocab, name, strlen(name));
}

/* Two-token entities (arXiv 2405.15071, App. C): F first names and F last names, each shared by m = E/F entities. Entity e = k*F + i has
 * first name i and last name (i + k) mod F, so that no two entities have both names in common. */
void hs_dataset_entity_tokens(const hs_dataset *data, uint32_t entity, uint32_t tokens[2])
{
    if (data->tokens_per_entity < 2) {
        tokens[0] = entity;
        tokens[1] = HS_PAD;
        return;
    }
    uint32_t F = data->n_entities / 2;
    tokens[0] = entity % F;
    tokens[1] = F + (entity % F + entity / F) % F;
}

uint32_t hs_dataset_entity_of(const hs_dataset *data, const uint32_t *tokens)
{
    if (data->tokens_per_entity < 2)
        return tokens[0] < data->n_entities ? tokens[0] : HS_NO_ID;
    uint32_t F = data->n_entities / 2;
    if (tokens[0] >= F || tokens[1] < F || tokens[1] >= 2 * F)
        return HS_NO_ID;
    uint32_t k = (tokens[1] - tokens[0]) % F;
    return k < data->config.token_multiplicity ? k * F + tokens[0] : HS_NO_ID;
}

uint32_t hs_dataset_entity_number(const hs_dataset *data, const uint32_t *tokens)
{
    return data->tokens_per_entity == 1 ? tokens[0] : hs_dataset_entity_of(data, tokens);
}

/* ---------------------------------------------------------------- facts */

hs_status hs_dataset_set_facts(hs_dataset *data, const hs_fact_table *table, uint32_t relation_base, hs_error *err)
{
    data->facts = array(table->n_facts, sizeof *data->facts);
    data->fact_flags = array(table->n_facts, 1);
    if (!data->facts || !data->fact_flags)
        return hs_fail_memory(err, table->n_facts * sizeof *data->facts);
    data->n_facts = table->n_facts;
    data->facts_dropped = table->n_dropped;
    for (uint32_t i = 0; i < table->n_facts; i++) {
        data->facts[i] = table->facts[i];
        data->facts[i].relation += relation_base;
        data->fact_flags[i] = table->flags[i] & (HS_FACT_SYNTHETIC | HS_FACT_OOD);
    }
    return HS_OK;
}

void hs_dataset_facts_of(const hs_dataset *data, uint32_t head, uint32_t relation, uint64_t *first, uint64_t *last)
{
    uint64_t bound[2];
    for (uint32_t side = 0; side < 2; side++) { /* first fact not below (head, relation), then (head, relation + 1) */
        uint64_t lo = 0, hi = data->n_facts, r = (uint64_t)relation + side;
        while (lo < hi) {
            uint64_t mid = lo + (hi - lo) / 2;
            const hs_fact *f = &data->facts[mid];
            if (f->head < head || (f->head == head && f->relation < r))
                lo = mid + 1;
            else
                hi = mid;
        }
        bound[side] = lo;
    }
    *first = bound[0];
    *last = bound[1];
}

/* ---------------------------------------------------------------- the whole */

/* Marks and further answers that no item has are dropped, so that equal content has one form. */
static void drop_empty(hs_split *s)
{
    bool any = false;
    for (uint64_t i = 0; s->synthetic && i < s->n && !any; i++)
        any = s->synthetic[i] != 0;
    if (!any) {
        hs_free(s->synthetic);
        s->synthetic = NULL;
    }
    if (s->also_start && s->also_start[s->n] == 0) {
        hs_free(s->also_start);
        hs_free(s->also);
        s->also_start = NULL;
        s->also = NULL;
    }
}

void hs_dataset_finish(hs_dataset *data)
{
    data->max_width = 0;
    for (uint32_t i = 0; i < data->n_splits; i++) {
        hs_split *s = &data->splits[i];
        if (s->width > data->max_width)
            data->max_width = s->width;
        drop_empty(s);
        s->hash = hs_split_hash(s);
    }
}

void hs_dataset_free(hs_dataset *data)
{
    if (!data)
        return;
    for (uint32_t i = 0; i < data->n_splits; i++)
        hs_split_free(&data->splits[i]);
    hs_free(data->splits);
    hs_names_free(&data->vocab);
    hs_free(data->facts);
    hs_free(data->fact_flags);
    hs_free(data->audit.split);
    hs_rendered_free(data->text);
    hs_free(data->card);
    *data = (hs_dataset){0};
}
