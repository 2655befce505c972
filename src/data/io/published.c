/* published.c - the form in which the papers' programs read and write datasets (arXiv 2405.15071, 2601.09049 and
 * 2505.23653).
 *
 * Items are {"input_text", "target_text", "type"}; texts are tokens without spaces, each "<...>". Names that are not of
 * that form are put in angle brackets ("<Bavaria>"), with "<", ">" and "%" as %3C, %3E, %25; names.json then lists the
 * names as they are. dataset.json (our card) lies beside, so that reading gives back the same hashes. Here: names and
 * writing; published_read.c reads. */
#include "data/io/published.h"
#include "data/io/collect.h"
#include "data/io/folder.h"
#include "data/io/vocab.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define PURPOSE_PROBE HS_PURPOSE('P', 'R', 'O', 'B')
enum { PROBES = 3000 };

/* ---------------------------------------------------------------- names */

static bool is_bracketed(const char *name)
{
    size_t len = strlen(name);
    return len > 2 && name[0] == '<' && name[len - 1] == '>' && strcspn(name + 1, "<>") == len - 2;
}

static void wrap(const char *name, hs_str *out)
{
    if (is_bracketed(name)) {
        hs_str_add(out, name, strlen(name));
        return;
    }
    hs_str_addf(out, "<");
    for (const char *p = name; *p; p++) {
        if (*p == '<' || *p == '>' || *p == '%')
            hs_str_addf(out, "%%%02X", (unsigned)*p);
        else
            hs_str_add(out, p, 1);
    }
    hs_str_addf(out, ">");
}

/* All names in brackets, by token. */
static hs_status wrap_all(const hs_dataset *data, hs_names *out, bool *any, hs_error *err)
{
    *any = false;
    for (uint32_t i = 0; i < data->vocab.n; i++) {
        const char *name = hs_names_get(&data->vocab, i);
        hs_str text = {0};
        uint32_t id;
        wrap(name, &text);
        *any |= !is_bracketed(name);
        hs_status status = text.failed ? hs_fail_memory(err, 64) : hs_names_add(out, text.s, text.len, &id, err);
        if (status == HS_OK && id != i) {
            status = hs_fail(err, HS_ERR_DATA, "two names become the same in the published form");
            hs_error_value(err, text.s, text.len);
        }
        hs_str_free(&text);
        HS_TRY(status);
    }
    return HS_OK;
}

/* Our name of a split and the published one. "test_ii" and "test_id" share theirs; the kind of the items decides. */
static const char *const TYPES[][2] = {
    {"test_ii", "test_inferred_iid"},
    {"test_id", "test_inferred_iid"},
    {"test_oo", "test_inferred_ood"},
    {"test_ood", "test_inferred_ood"},
    {"test_io", "test_inferred_io"},
    {"test_oi", "test_inferred_oi"},
    {"train_topleft", "train_inferred_topleft"},
    {"train_cross", "train_inferred_cross"},
};
enum { N_TYPES = sizeof TYPES / sizeof TYPES[0] };

/* Types of arXiv 2505.23653, only read: "Test-IO" is test_io, "Train-III" train_inferred. */
static const char *const TYPES_D[][2] = {
    {"id_atomic", "ID Triples"},   {"id_atomic", "Retained ID Triples"}, {"held_out_id_atomic", "Held-out ID Triples"},
    {"ood_atomic", "OOD Triples"}, {"train_inferred", "Train-II"},       {"train_inferred", "Train-III"},
};
enum { N_TYPES_D = sizeof TYPES_D / sizeof TYPES_D[0] };

static const char *published_type(const char *split)
{
    for (size_t i = 0; i < N_TYPES; i++)
        if (strcmp(TYPES[i][0], split) == 0)
            return TYPES[i][1];
    return split;
}

const char *hs_published_split(const char *type, bool comparison, char name[16])
{
    for (size_t i = 0; i < N_TYPES_D; i++)
        if (strcmp(TYPES_D[i][1], type) == 0)
            return TYPES_D[i][0];
    size_t len = strlen(type);
    if (strncmp(type, "Test-", 5) == 0 && strspn(type + 5, "IOSR-") == len - 5 && len < 16) {
        for (size_t i = 0; i <= len; i++)
            name[i] = (char)(type[i] == '-' ? '_' : tolower((unsigned char)type[i]));
        return name;
    }
    for (size_t i = 0; i < N_TYPES; i++) {
        bool compare = strcmp(TYPES[i][0], "test_id") == 0 || strcmp(TYPES[i][0], "test_ood") == 0;
        bool shared = strcmp(type, "test_inferred_iid") == 0 || strcmp(type, "test_inferred_ood") == 0;
        if (strcmp(TYPES[i][1], type) == 0 && (!shared || compare == comparison))
            return TYPES[i][0];
    }
    return type;
}

/* ---------------------------------------------------------------- writing */

static void add_tokens(const hs_names *names, const uint32_t *tokens, uint32_t n, hs_str *out)
{
    for (uint32_t i = 0; i < n; i++) {
        const char *name = hs_names_get(names, tokens[i]);
        if (!strpbrk(name, "\"\\")) {
            hs_str_add(out, name, strlen(name));
            continue;
        }
        for (const char *p = name; *p; p++) {
            if (*p == '"' || *p == '\\')
                hs_str_add(out, "\\", 1);
            hs_str_add(out, p, 1);
        }
    }
}

static void add_entity(const hs_dataset *d, const hs_names *names, uint32_t entity, hs_str *out)
{
    uint32_t two[2];
    if (d->tokens_per_entity == 1)
        two[0] = entity;
    else
        hs_dataset_entity_tokens(d, entity, two);
    hs_str_add(out, "\"", 1);
    add_tokens(names, two, d->tokens_per_entity, out);
    hs_str_add(out, "\"", 1);
}

/* Facts of the hops and whether each is ID or OOD: test_annotated.json. */
static void add_hops(const hs_dataset *d, const hs_names *names, const hs_split *s, uint64_t i, hs_str *out)
{
    uint32_t tpe = d->tokens_per_entity;
    const uint32_t *t = s->tokens + i * s->width, *bridge = s->bridge + i * s->bridges;
    uint32_t entity = tpe == 1 ? t[0] : hs_dataset_entity_of(d, t);
    hs_str_addf(out, ", \"hops\": [");
    for (uint32_t k = 0; k < s->hops && entity != HS_NO_ID; k++) {
        const uint32_t *next = k + 1 < s->hops ? bridge + k * tpe : t + s->answer;
        uint32_t tail = next[0] == HS_PAD ? HS_NO_ID : tpe == 1 ? next[0] : hs_dataset_entity_of(d, next);
        uint64_t first, last;
        hs_dataset_facts_of(d, entity, t[tpe + k], &first, &last);
        while (first < last && d->facts[first].tail != tail)
            first++;
        if (first == last)
            break;
        hs_str_addf(out, "%s{\"fact\": [", k ? ", " : "");
        add_entity(d, names, entity, out);
        hs_str_addf(out, ", \"");
        add_tokens(names, &t[tpe + k], 1, out);
        hs_str_addf(out, "\", ");
        add_entity(d, names, tail, out);
        hs_str_addf(out, "], \"category\": \"%s\"}", d->fact_flags[first] & HS_FACT_OOD ? "ood" : "id");
        entity = tail;
    }
    hs_str_addf(out, "]");
}

static void add_item(const hs_dataset *d, const hs_names *names, const hs_split *s, uint64_t i, bool hops, hs_str *out)
{
    const uint32_t *t = s->tokens + i * s->width;
    bool end = s->answer + s->answers < s->width;
    hs_str_addf(out, out->len > 1 ? ",\n{\"input_text\": \"" : "\n{\"input_text\": \"");
    add_tokens(names, t, s->prompt, out);
    hs_str_addf(out, "\", \"target_text\": \"");
    add_tokens(names, t, s->width, out);
    hs_str_addf(out, "%s\", \"type\": \"%s\"", end ? "" : "</a>", published_type(s->name));
    if (s->synthetic && s->synthetic[i])
        hs_str_addf(out, ", \"synthetic\": true");
    if (s->also_start && s->also_start[i] < s->also_start[i + 1]) {
        hs_str_addf(out, ", \"also\": [");
        for (uint64_t k = s->also_start[i]; k < s->also_start[i + 1]; k++) {
            hs_str_addf(out, k > s->also_start[i] ? ", \"" : "\"");
            add_tokens(names, &s->also[k], 1, out);
            hs_str_addf(out, "\"");
        }
        hs_str_addf(out, "]");
    }
    if (hops && s->kind == HS_ITEM_QUERY)
        add_hops(d, names, s, i, out);
    hs_str_addf(out, "}");
}

/* Up to PROBES items of a training split, in order. */
static void add_probes(const hs_dataset *d, const hs_names *names, uint32_t split, hs_str *out)
{
    const hs_split *s = &d->splits[split];
    for (uint64_t i = 0; i < s->n; i++)
        if (hs_permute(d->seed, PURPOSE_PROBE, split, s->n, i) < PROBES)
            add_item(d, names, s, i, false, out);
}

typedef enum list_kind { LIST_TRAIN, LIST_VALID, LIST_TEST, LIST_ANNOTATED } list_kind;

/* The ID test, or the OOD test with the quirk: all hops ID, or all hops OOD. */
static bool in_valid(const hs_dataset *d, const hs_split *s)
{
    uint32_t mask, all = (1u << s->hops) - 1;
    if (s->kind == HS_ITEM_QUERY && hs_split_class(s->name, s->hops, &mask))
        return s->name[5 + s->hops] == 0 && mask == (d->config.quirk_valid_is_ood ? all : 0);
    const char *type = published_type(s->name);
    return strcmp(type, d->config.quirk_valid_is_ood ? "test_inferred_ood" : "test_inferred_iid") == 0;
}

static hs_status put_list(const hs_dataset *d, const hs_names *names, const hs_folder *folder, const char *file,
                          list_kind kind, hs_error *err)
{
    hs_str out = {0};
    hs_str_addf(&out, "[");
    for (uint32_t k = 0; kind == LIST_TEST && k < d->n_splits; k++)
        if (d->splits[k].role == HS_SPLIT_TRAIN)
            add_probes(d, names, k, &out);
    for (uint32_t k = 0; k < d->n_splits; k++) {
        const hs_split *s = &d->splits[k];
        if ((s->role == HS_SPLIT_TRAIN) != (kind == LIST_TRAIN) || (kind == LIST_VALID && !in_valid(d, s)))
            continue;
        for (uint64_t i = 0; i < s->n; i++)
            add_item(d, names, s, i, kind == LIST_ANNOTATED, &out);
    }
    hs_str_addf(&out, "\n]\n");
    hs_status status = hs_folder_put(folder, file, &out, err);
    hs_str_free(&out);
    return status;
}

static hs_status put_facts(const hs_dataset *d, const hs_names *names, const hs_folder *folder, bool ood, hs_error *err)
{
    hs_str out = {0};
    hs_str_addf(&out, "[");
    for (uint64_t i = 0; i < d->n_facts; i++) {
        if (((d->fact_flags[i] & HS_FACT_OOD) != 0) != ood)
            continue;
        hs_str_addf(&out, out.len > 1 ? ",\n[" : "\n[");
        add_entity(d, names, d->facts[i].head, &out);
        hs_str_addf(&out, ", \"");
        add_tokens(names, &d->facts[i].relation, 1, &out);
        hs_str_addf(&out, "\", ");
        add_entity(d, names, d->facts[i].tail, &out);
        hs_str_addf(&out, "%s]", d->fact_flags[i] & HS_FACT_SYNTHETIC ? ", \"synthetic\"" : "");
    }
    hs_str_addf(&out, "\n]\n");
    hs_status status = hs_folder_put(folder, ood ? "ood_facts.json" : "id_facts.json", &out, err);
    hs_str_free(&out);
    return status;
}

static hs_status put_names(const hs_names *names, const hs_folder *folder, const char *file, hs_error *err)
{
    hs_dataset only_names = {.vocab = *names};
    hs_str out = {0};
    hs_vocab_json(&only_names, &out);
    hs_status status = hs_folder_put(folder, file, &out, err);
    hs_str_free(&out);
    return status;
}

static hs_status put_all(const hs_dataset *d, const hs_folder *folder, hs_names *names, hs_error *err)
{
    bool any;
    HS_TRY(wrap_all(d, names, &any, err));
    HS_TRY(put_names(names, folder, "vocab.json", err));
    if (any)
        HS_TRY(put_names(&d->vocab, folder, "names.json", err));
    hs_str card = {.s = d->card, .len = strlen(d->card)};
    HS_TRY(hs_folder_put(folder, "dataset.json", &card, err));
    HS_TRY(put_facts(d, names, folder, false, err));
    HS_TRY(put_facts(d, names, folder, true, err));
    HS_TRY(put_list(d, names, folder, "train.json", LIST_TRAIN, err));
    HS_TRY(put_list(d, names, folder, "valid.json", LIST_VALID, err));
    HS_TRY(put_list(d, names, folder, "test.json", LIST_TEST, err));
    return put_list(d, names, folder, "test_annotated.json", LIST_ANNOTATED, err);
}

hs_status hs_dataset_write_published(const hs_dataset *data, const char *dir, hs_error *err)
{
    hs_folder folder;
    if (!data->card)
        return hs_fail(err, HS_ERR_DATA, "the dataset was not audited");
    HS_TRY(hs_dataset_check_own(data, err));
    HS_TRY(hs_folder_open(&folder, dir, err));
    hs_names names = {0};
    hs_status status = put_all(data, &folder, &names, err);
    hs_names_free(&names);
    if (status != HS_OK) {
        hs_folder_abort(&folder);
        return status;
    }
    return hs_folder_commit(&folder, err);
}
