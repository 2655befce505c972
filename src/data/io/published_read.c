/* published_read.c - reads the published form, ours and the originals.
 * Without our card (an original dataset) roles and kinds follow from the items. Originals list samples of the training
 * set as probes in test.json: a type that the training file has is not a test. Without lists of facts their facts are
 * those of the items, and evidence.c finds the OOD ones; with lists (arXiv 2601.09049) training queries with one OOD
 * hop are the injected ones: train_aug_h1, train_aug_h2. */
#include "data/io/json_each.h"
#include "data/io/published.h"
#include "data/io/vocab.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct reading {
    hs_collector collector;
    hs_dataset *out;
    hs_names wrapped;
    hs_split_role role;
    uint8_t fact_flags;
    uint32_t *also;
    size_t cap_also;
    hs_names train_types; /* types of train.json */
    bool original;        /* without our card */
    hs_evidence evidence;
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

/* An item without its split and further answers; *type may be NULL. */
static hs_status parse_item(const reading *r, const json_t *object, hs_collected *item, const char **type,
                            hs_error *err)
{
    const char *input = json_string_value(json_object_get(object, "input_text"));
    const char *target = json_string_value(json_object_get(object, "target_text"));
    *type = json_string_value(json_object_get(object, "type"));
    if (!input || !target)
        return hs_fail(err, HS_ERR_DATA, "an item lacks input_text or target_text");
    *item = (hs_collected){.role = r->role, .synthetic = json_is_true(json_object_get(object, "synthetic"))};
    uint32_t all[64], n, at;
    HS_TRY(parse_text(r, input, item->prompt, 32, &item->n_prompt, err));
    HS_TRY(parse_text(r, target, all, 64, &n, err));
    if (n <= item->n_prompt || memcmp(all, item->prompt, item->n_prompt * sizeof *all) != 0) {
        hs_fail(err, HS_ERR_DATA, "target_text does not begin with input_text");
        return hs_error_value(err, target, strlen(target));
    }
    at = item->n_prompt + (all[item->n_prompt] == r->collector.a_begin);
    if (all[n - 1] == r->collector.a_end)
        n--;
    if (at >= n || n - at > 2)
        return hs_fail(err, HS_ERR_DATA, "an item has no answer, or one of more than two tokens");
    item->n_answer = n - at;
    memcpy(item->answer, all + at, item->n_answer * sizeof *all);
    return HS_OK;
}

static bool is_comparison(const reading *r, const hs_collected *item)
{
    return item->n_prompt >= 5 && item->prompt[1] == r->collector.q_begin;
}

/* "train_aug_h1" or "train_aug_h2" for a training query of an original with exactly one OOD hop; else NULL. */
static const char *injected(const reading *r, const hs_collected *item)
{
    static const char *const NAMES[] = {NULL, "train_aug_h1", "train_aug_h2", NULL};
    hs_split form = {0};
    uint32_t mask;
    if (!r->original || !r->collector.facts_given || item->role != HS_SPLIT_TRAIN)
        return NULL;
    hs_form_recognize(r->out, item->prompt, item->n_prompt, item->n_answer, &form);
    if (!hs_form_of(form.kind)->chain || form.hops != 2 || !hs_ood_hops(r->out, item->prompt, 2, item->answer, &mask))
        return NULL;
    return NAMES[mask];
}

static hs_status read_item(void *user, const void *json, hs_error *err)
{
    reading *r = user;
    hs_collected item;
    const char *type;
    char name[16];
    HS_TRY(parse_item(r, json, &item, &type, err));
    HS_TRY(parse_also(r, json_object_get((const json_t *)json, "also"), &item, err));
    if (!type)
        type = guess_type(r, &item);
    const char *as_injected = injected(r, &item);
    item.split = as_injected ? as_injected : hs_published_split(type, is_comparison(r, &item), name);
    uint32_t id;
    if (r->role == HS_SPLIT_TRAIN)
        HS_TRY(hs_names_add(&r->train_types, item.split, strlen(item.split), &id, err));
    else if (hs_names_find(&r->train_types, item.split, strlen(item.split)) != HS_NO_ID)
        return HS_OK; /* a probe of the training set */
    return hs_collect_item(&r->collector, &item, err);
}

/* First pass over an original without lists of facts. */
static hs_status read_evidence(void *user, const void *json, hs_error *err)
{
    reading *r = user;
    hs_collected item;
    const char *type;
    char name[16];
    HS_TRY(parse_item(r, json, &item, &type, err));
    const char *split = type ? hs_published_split(type, is_comparison(r, &item), name) : NULL;
    return hs_evidence_add(&r->evidence, &item, split, r->role == HS_SPLIT_TRAIN, err);
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
        r->original = true;
        infer_counts(r->out);
        return HS_OK;
    }
    HS_TRY(hs_json_load(dir, "dataset.json", &card, path, sizeof path, err));
    hs_status status = hs_card_parse(r->out, card, err);
    if (status == HS_OK)
        status = hs_card_keep(r->out, card, err);
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
    if (!r->collector.facts_given) {
        r->evidence.collector = &r->collector;
        r->role = HS_SPLIT_TRAIN;
        HS_TRY(read_list(r, dir, "train.json", true, read_evidence, err));
        r->role = HS_SPLIT_TEST;
        HS_TRY(read_list(r, dir, "test.json", true, read_evidence, err));
        HS_TRY(hs_evidence_settle(&r->evidence, err));
    }
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
    hs_evidence_free(&r.evidence);
    hs_free(r.also);
    if (status != HS_OK)
        hs_dataset_free(out);
    return status;
}
