/* published.c - the form in which the papers' programs read and write datasets (arXiv 2405.15071,
 * 2601.09049 and 2505.23653).
 *
 * Items are {"input_text", "target_text", "type"}; texts are tokens without spaces, each "<...>". Names that are not of
 * that form are put in angle brackets ("<Bavaria>"), with "<", ">" and "%" as %3C, %3E, %25; names.json then lists the
 * names as they are. dataset.json (our card) lies beside, so that reading gives back the same hashes; without it (an
 * original dataset) roles and kinds follow from the items. Originals list samples of the training set as probes in
 * test.json: a type that the training file has is not a test. */
#include "data/io/collect.h"
#include "data/io/folder.h"
#include "data/io/json_each.h"
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

/* The name of our split; `name` is room for one. */
static const char *split_of_type(const char *type, bool comparison, char name[16])
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

/* ---------------------------------------------------------------- reading */

typedef struct reading {
    hs_collector collector;
    hs_dataset *out;
    hs_names wrapped;
    hs_split_role role;
    uint8_t fact_flags;
    uint32_t *also;
    size_t cap_also;
    hs_names train_types; /* types of train.json */
} reading;

/* "<a><b>..." to tokens. */
static hs_status parse_text(const reading *r, const char *text, uint32_t *tokens, uint32_t max, uint32_t *n,
                            hs_error *err)
{
    *n = 0;
    for (const char *p = text; *p;) {
        const char *end = *p == '<' ? strchr(p, '>') : NULL;
        uint32_t id = end ? hs_names_find(&r->wrapped, p, (size_t)(end - p) + 1) : HS_NO_ID;
        if (id == HS_NO_ID || *n == max) {
            hs_fail(err, HS_ERR_DATA, id == HS_NO_ID ? "a token is not in vocab.json" : "an item has too many tokens");
            return hs_error_value(err, p, end ? (size_t)(end - p) + 1 : strlen(p));
        }
        tokens[(*n)++] = id;
        p = end + 1;
    }
    return HS_OK;
}

static const char *guess_type(const reading *r, const hs_collected *item)
{
    if (r->role == HS_SPLIT_TEST)
        return "test";
    uint32_t tpe = r->out->tokens_per_entity;
    if (item->n_prompt != tpe + 1)
        return "train_inferred";
    uint64_t first, last;
    hs_dataset_facts_of(r->out, tpe == 1 ? item->prompt[0] : hs_dataset_entity_of(r->out, item->prompt),
                        item->prompt[tpe], &first, &last);
    return first < last && r->out->fact_flags[first] & HS_FACT_OOD ? "ood_atomic" : "id_atomic";
}

static hs_status parse_also(reading *r, const json_t *list, hs_collected *item, hs_error *err)
{
    size_t n = json_array_size(list);
    HS_TRY(hs_grow((void **)&r->also, &r->cap_also, n, sizeof *r->also, err));
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        uint32_t count;
        if (!text)
            return hs_fail(err, HS_ERR_DATA, "a further answer is not text");
        HS_TRY(parse_text(r, text, &r->also[i], 1, &count, err));
        if (count != 1)
            return hs_fail(err, HS_ERR_DATA, "a further answer is not one token");
    }
    item->also = r->also;
    item->n_also = (uint32_t)n;
    return HS_OK;
}

static hs_status read_item(void *user, const void *json, hs_error *err)
{
    reading *r = user;
    const json_t *object = json;
    const char *input = json_string_value(json_object_get(object, "input_text"));
    const char *target = json_string_value(json_object_get(object, "target_text"));
    const char *type = json_string_value(json_object_get(object, "type"));
    if (!input || !target)
        return hs_fail(err, HS_ERR_DATA, "an item lacks input_text or target_text");
    hs_collected item = {.role = r->role, .synthetic = json_is_true(json_object_get(object, "synthetic"))};
    uint32_t all[64], n, at;
    char name[16];
    HS_TRY(parse_text(r, input, item.prompt, 32, &item.n_prompt, err));
    HS_TRY(parse_text(r, target, all, 64, &n, err));
    if (n <= item.n_prompt || memcmp(all, item.prompt, item.n_prompt * sizeof *all) != 0) {
        hs_fail(err, HS_ERR_DATA, "target_text does not begin with input_text");
        return hs_error_value(err, target, strlen(target));
    }
    at = item.n_prompt + (all[item.n_prompt] == r->collector.a_begin);
    if (all[n - 1] == r->collector.a_end)
        n--;
    if (at >= n || n - at > 2)
        return hs_fail(err, HS_ERR_DATA, "an item has no answer, or one of more than two tokens");
    item.n_answer = n - at;
    memcpy(item.answer, all + at, item.n_answer * sizeof *all);
    HS_TRY(parse_also(r, json_object_get(object, "also"), &item, err));
    bool compare = item.n_prompt >= 5 && item.prompt[1] == r->collector.q_begin;
    if (!type)
        type = guess_type(r, &item);
    item.split = split_of_type(type, compare, name);
    uint32_t id;
    if (r->role == HS_SPLIT_TRAIN)
        HS_TRY(hs_names_add(&r->train_types, item.split, strlen(item.split), &id, err));
    else if (hs_names_find(&r->train_types, item.split, strlen(item.split)) != HS_NO_ID)
        return HS_OK; /* a probe of the training set */
    return hs_collect_item(&r->collector, &item, err);
}

static hs_status read_fact(void *user, const void *json, hs_error *err)
{
    reading *r = user;
    const json_t *list = json;
    uint32_t tokens[3][2], n[3] = {0}, tpe = r->out->tokens_per_entity;
    for (size_t k = 0; k < 3; k++) {
        const char *text = json_string_value(json_array_get(list, k));
        if (!text)
            return hs_fail(err, HS_ERR_DATA, "a fact is not a list of three names");
        HS_TRY(parse_text(r, text, tokens[k], 2, &n[k], err));
    }
    if (n[0] != tpe || n[1] != 1 || n[2] != tpe)
        return hs_fail(err, HS_ERR_DATA, "a fact has the wrong number of tokens");
    uint8_t flags = r->fact_flags | (json_array_size(list) > 3 ? HS_FACT_SYNTHETIC : 0);
    return hs_collect_fact(&r->collector, tokens[0], tokens[1][0], tokens[2], flags, err);
}

/* Without lists of facts: the probes of type ood_atomic say which facts are OOD. */
static hs_status read_ood_probe(void *user, const void *json, hs_error *err)
{
    reading *r = user;
    const char *type = json_string_value(json_object_get((const json_t *)json, "type"));
    const char *target = json_string_value(json_object_get((const json_t *)json, "target_text"));
    uint32_t tokens[8], n, tpe = r->out->tokens_per_entity;
    char name[16];
    if (!type || !target || strcmp(split_of_type(type, false, name), "ood_atomic") != 0)
        return HS_OK;
    HS_TRY(parse_text(r, target, tokens, 8, &n, err));
    if (n < 2 * tpe + 1 || tokens[0] == r->collector.q_begin)
        return HS_OK;
    return hs_collect_fact(&r->collector, tokens, tokens[tpe], tokens + tpe + 1, HS_FACT_OOD, err);
}

/* Entities and relations of an original dataset: by the names of their tokens. */
static void infer_counts(hs_dataset *out)
{
    uint32_t i = 0;
    while (i < out->vocab.n && strncmp(hs_names_get(&out->vocab, i), "<e_", 3) == 0)
        i++;
    out->n_entities = i;
    while (i < out->vocab.n && (strncmp(hs_names_get(&out->vocab, i), "<r_", 3) == 0 ||
                                strncmp(hs_names_get(&out->vocab, i), "<attr_", 6) == 0))
        i++;
    out->n_relations = i - out->n_entities;
    out->config.end_token = true;
    bool compare = out->n_relations > 0 && strncmp(hs_names_get(&out->vocab, out->n_entities), "<attr_", 6) == 0;
    strcpy(out->config.task, compare ? "comparison" : "composition");
    strcpy(out->task, out->config.task);
}

static hs_status read_names(reading *r, const char *dir, hs_error *err)
{
    json_t *list;
    char path[4096];
    hs_dataset wrapped = {0};
    HS_TRY(hs_json_load(dir, "vocab.json", &list, path, sizeof path, err));
    hs_status status = hs_vocab_from_json(&wrapped, list, err);
    json_decref(list);
    r->wrapped = wrapped.vocab;
    if (status == HS_ERR_DATA)
        return hs_error_where(err, "%s", path);
    HS_TRY(status);
    char names[4096];
    HS_TRY(hs_path_join(names, sizeof names, dir, "names.json", err));
    HS_TRY(hs_json_load(dir, hs_file_exists(names) ? "names.json" : "vocab.json", &list, path, sizeof path, err));
    status = hs_vocab_from_json(r->out, list, err);
    json_decref(list);
    if (status == HS_OK && r->out->vocab.n != r->wrapped.n)
        status = hs_fail(err, HS_ERR_DATA, "names.json and vocab.json differ in length");
    if (status == HS_ERR_DATA)
        return hs_error_where(err, "%s", path);
    return status;
}

static hs_status read_card(reading *r, const char *dir, hs_error *err)
{
    char path[4096];
    json_t *card;
    HS_TRY(hs_path_join(path, sizeof path, dir, "dataset.json", err));
    r->out->tokens_per_entity = 1;
    hs_data_config_default(&r->out->config);
    if (!hs_file_exists(path)) {
        infer_counts(r->out);
        return HS_OK;
    }
    HS_TRY(hs_json_load(dir, "dataset.json", &card, path, sizeof path, err));
    hs_status status = hs_card_parse(r->out, card, err);
    json_decref(card);
    if (status == HS_OK && (uint64_t)r->out->n_entities + r->out->n_relations > r->out->vocab.n)
        status = hs_fail(err, HS_ERR_DATA, "the card has more entities and relations than the vocabulary");
    if (status == HS_ERR_DATA)
        hs_error_where(err, "%s", path);
    return status;
}

static hs_status read_list(reading *r, const char *dir, const char *file, bool needed, hs_json_fn fn, hs_error *err)
{
    char path[4096];
    HS_TRY(hs_path_join(path, sizeof path, dir, file, err));
    return !needed && !hs_file_exists(path) ? HS_OK : hs_json_each(path, fn, r, err);
}

static hs_status read_all(reading *r, const char *dir, hs_error *err)
{
    HS_TRY(read_names(r, dir, err));
    HS_TRY(read_card(r, dir, err));
    hs_collect_begin(&r->collector, r->out);
    HS_TRY(read_list(r, dir, "id_facts.json", false, read_fact, err));
    r->fact_flags = HS_FACT_OOD;
    HS_TRY(read_list(r, dir, "ood_facts.json", false, read_fact, err));
    r->collector.facts_given = r->out->n_facts > 0;
    if (!r->collector.facts_given)
        HS_TRY(read_list(r, dir, "test.json", true, read_ood_probe, err));
    r->role = HS_SPLIT_TRAIN;
    HS_TRY(hs_collect_sort_facts(&r->collector, err));
    HS_TRY(read_list(r, dir, "train.json", true, read_item, err));
    r->role = HS_SPLIT_TEST;
    HS_TRY(read_list(r, dir, "test.json", true, read_item, err));
    return hs_collect_finish(&r->collector, err);
}

hs_status hs_dataset_read_published(hs_dataset *out, const char *dir, hs_error *err)
{
    reading r = {.out = out};
    hs_status status = read_all(&r, dir, err);
    hs_collector_free(&r.collector);
    hs_names_free(&r.wrapped);
    hs_names_free(&r.train_types);
    hs_free(r.also);
    if (status != HS_OK)
        hs_dataset_free(out);
    return status;
}
