/* jsonl.c - a dataset as text, one JSON object a line:
 *     {"hopscope": "dataset", "card": {...}, "vocab": [...]}
 *     {"fact": ["h", "r", "t"], "ood": true, "synthetic": true}
 *     {"split": "test_ii", "role": "test", "prompt": ["h", "r1", "r2"], "answer": ["t"], "also": ["u"]}
 *
 * The first line is a header and brings back the same hashes; a two-token entity of a fact is a list of two names.
 * Without the header names become tokens in the order in which they appear: what stands in the place of an entity is
 * one, what stands in the place of a relation is one. Bridges are found from the facts. */
#include "data/io/collect.h"
#include "data/io/json_each.h"
#include "data/io/vocab.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LINE ((size_t)1 << 30)

/* ---------------------------------------------------------------- writing */

static void add_names(const hs_dataset *d, const uint32_t *tokens, uint64_t n, hs_str *out)
{
    hs_str_addf(out, "[");
    for (uint64_t i = 0; i < n; i++) {
        const char *name = hs_names_get(&d->vocab, tokens[i]);
        hs_str_addf(out, i ? ", " : "");
        hs_str_add_json(out, name, strlen(name));
    }
    hs_str_addf(out, "]");
}

static void add_fact(const hs_dataset *d, uint64_t i, hs_str *out)
{
    const hs_fact *f = &d->facts[i];
    uint32_t h[2] = {f->head}, t[2] = {f->tail};
    hs_str_addf(out, "{\"fact\": ");
    if (d->tokens_per_entity == 2) {
        hs_dataset_entity_tokens(d, f->head, h);
        hs_dataset_entity_tokens(d, f->tail, t);
        hs_str_addf(out, "[");
        add_names(d, h, 2, out);
        hs_str_addf(out, ", ");
        const char *r = hs_names_get(&d->vocab, f->relation);
        hs_str_add_json(out, r, strlen(r));
        hs_str_addf(out, ", ");
        add_names(d, t, 2, out);
        hs_str_addf(out, "]");
    } else {
        uint32_t all[3] = {f->head, f->relation, f->tail};
        add_names(d, all, 3, out);
    }
    hs_str_addf(out, "%s%s}\n", d->fact_flags[i] & HS_FACT_OOD ? ", \"ood\": true" : "",
                d->fact_flags[i] & HS_FACT_SYNTHETIC ? ", \"synthetic\": true" : "");
}

static void add_item(const hs_dataset *d, const hs_split *s, uint64_t i, hs_str *out)
{
    const uint32_t *t = s->tokens + i * s->width;
    hs_str_addf(out, "{\"split\": \"%s\", \"role\": \"%s\", \"prompt\": ", s->name, hs_split_role_name(s->role));
    add_names(d, t, s->prompt, out);
    hs_str_addf(out, ", \"answer\": ");
    add_names(d, t + s->answer, s->answers, out);
    if (s->bridges > 0 && s->bridge[i * s->bridges] != HS_PAD) {
        hs_str_addf(out, ", \"bridge\": ");
        add_names(d, s->bridge + i * s->bridges, s->bridges, out);
    }
    if (s->also_start && s->also_start[i] < s->also_start[i + 1]) {
        hs_str_addf(out, ", \"also\": ");
        add_names(d, s->also + s->also_start[i], s->also_start[i + 1] - s->also_start[i], out);
    }
    hs_str_addf(out, "%s}\n", s->synthetic && s->synthetic[i] ? ", \"synthetic\": true" : "");
}

/* Flushes the text to the writer once it is large (or at the end). */
static hs_status flush(hs_writer *w, hs_str *out, size_t above, hs_error *err)
{
    if (out->failed)
        return hs_fail_memory(err, out->len);
    if (out->len <= above)
        return HS_OK;
    hs_status status = hs_writer_write(w, out->s, out->len, err);
    out->len = 0;
    return status;
}

static hs_status put_all(const hs_dataset *d, hs_writer *w, hs_str *out, hs_error *err)
{
    json_error_t problem;
    json_t *card = json_loads(d->card, 0, &problem);
    char *text = card ? json_dumps(card, JSON_COMPACT) : NULL;
    hs_str_addf(out, "{\"hopscope\": \"dataset\", \"card\": ");
    if (text)
        hs_str_add(out, text, strlen(text));
    free(text);
    json_decref(card);
    hs_str_addf(out, ", \"vocab\": [");
    for (uint32_t i = 0; i < d->vocab.n; i++) {
        const char *name = hs_names_get(&d->vocab, i);
        hs_str_addf(out, i ? ", " : "");
        hs_str_add_json(out, name, strlen(name));
    }
    hs_str_addf(out, "]}\n");
    for (uint64_t i = 0; i < d->n_facts; i++) {
        add_fact(d, i, out);
        HS_TRY(flush(w, out, 1 << 20, err));
    }
    for (uint32_t k = 0; k < d->n_splits; k++) {
        for (uint64_t i = 0; i < d->splits[k].n; i++) {
            add_item(d, &d->splits[k], i, out);
            HS_TRY(flush(w, out, 1 << 20, err));
        }
    }
    return flush(w, out, 0, err);
}

hs_status hs_dataset_write_jsonl(const hs_dataset *data, const char *path, hs_error *err)
{
    hs_writer *w;
    hs_str out = {0};
    if (!data->card)
        return hs_fail(err, HS_ERR_DATA, "the dataset was not audited");
    if (hs_file_exists(path)) {
        hs_fail(err, HS_ERR_IO, "the output file is there already");
        return hs_error_where(err, "%s", path);
    }
    HS_TRY(hs_writer_open(&w, path, err));
    hs_status status = put_all(data, w, &out, err);
    hs_str_free(&out);
    if (status != HS_OK) {
        hs_writer_abort(w);
        return status;
    }
    return hs_writer_commit(w, err);
}

/* ---------------------------------------------------------------- reading */

typedef struct reading {
    hs_dataset *out;
    hs_collector collector;
    bool header, naming; /* naming: first pass over a file without header */
    hs_names entities, relations;
    uint32_t *also;
    size_t cap_also;
} reading;

static const char *const SPECIALS[] = {"<mask>", "<sep>", "<a>", "</a>", "<q>", "</q>"};

static bool is_special(const char *name)
{
    for (size_t i = 0; i < sizeof SPECIALS / sizeof SPECIALS[0]; i++)
        if (strcmp(SPECIALS[i], name) == 0)
            return true;
    return false;
}

static hs_status name_it(hs_names *names, const json_t *text, hs_error *err)
{
    uint32_t id;
    const char *name = json_string_value(text);
    if (!name || !*name)
        return hs_fail(err, HS_ERR_DATA, "a name is missing or not text");
    return is_special(name) ? HS_OK : hs_names_add(names, name, strlen(name), &id, err);
}

/* First pass: which names are entities, which relations. */
static hs_status name_line(reading *r, const json_t *line, hs_error *err)
{
    const json_t *fact = json_object_get(line, "fact"), *prompt = json_object_get(line, "prompt"), *item;
    size_t i;
    if (fact) {
        HS_TRY(name_it(&r->entities, json_array_get(fact, 0), err));
        HS_TRY(name_it(&r->relations, json_array_get(fact, 1), err));
        return name_it(&r->entities, json_array_get(fact, 2), err);
    }
    json_array_foreach(prompt, i, item) HS_TRY(name_it(i == 0 ? &r->entities : &r->relations, item, err));
    json_array_foreach(json_object_get(line, "answer"), i, item) HS_TRY(name_it(&r->entities, item, err));
    json_array_foreach(json_object_get(line, "also"), i, item) HS_TRY(name_it(&r->entities, item, err));
    return HS_OK;
}

static hs_status add_all(hs_dataset *out, const hs_names *names, hs_error *err)
{
    for (uint32_t i = 0; i < names->n; i++) {
        uint32_t id, before = out->vocab.n;
        const char *name = hs_names_get(names, i);
        HS_TRY(hs_names_add(&out->vocab, name, strlen(name), &id, err));
        if (id != before) {
            hs_fail(err, HS_ERR_DATA, "a name stands for an entity and for a relation");
            hs_error_value(err, name, strlen(name));
            return hs_error_hint(err, "rename one of them");
        }
    }
    return HS_OK;
}

static hs_status finish_naming(reading *r, hs_error *err)
{
    hs_dataset *d = r->out;
    hs_data_config_default(&d->config);
    d->tokens_per_entity = 1;
    d->seed = d->config.seed;
    strcpy(d->task, "composition");
    HS_TRY(add_all(d, &r->entities, err));
    d->n_entities = d->vocab.n;
    HS_TRY(add_all(d, &r->relations, err));
    d->n_relations = d->vocab.n - d->n_entities;
    return hs_vocab_specials(d, err);
}

static hs_status tokens_of(const reading *r, const json_t *list, uint32_t *tokens, size_t max, uint32_t *n,
                           hs_error *err)
{
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count > max)
        return hs_fail(err, HS_ERR_DATA, "a list of names is missing or too long");
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        tokens[i] = name ? hs_vocab_token(r->out, name) : HS_NO_ID;
        if (tokens[i] == HS_NO_ID) {
            hs_fail(err, HS_ERR_DATA, "a name is not in the vocabulary");
            return hs_error_value(err, name ? name : "", name ? strlen(name) : 0);
        }
    }
    *n = (uint32_t)count;
    return HS_OK;
}

/* One end of a fact: a name, or a list of names. */
static hs_status entity_of(const reading *r, json_t *end, uint32_t tokens[2], hs_error *err)
{
    uint32_t n;
    json_t *list = json_is_array(end) ? json_incref(end) : json_pack("[O]", end);
    hs_status status = tokens_of(r, list, tokens, 2, &n, err);
    json_decref(list);
    if (status == HS_OK && n != r->out->tokens_per_entity)
        return hs_fail(err, HS_ERR_DATA, "an entity has the wrong number of tokens");
    return status;
}

static hs_status read_fact(reading *r, const json_t *line, hs_error *err)
{
    json_t *fact = json_object_get(line, "fact");
    uint32_t head[2], relation[2], tail[2];
    if (json_array_size(fact) != 3)
        return hs_fail(err, HS_ERR_DATA, "a fact is not a list of three names");
    HS_TRY(entity_of(r, json_array_get(fact, 0), head, err));
    HS_TRY(entity_of(r, json_array_get(fact, 2), tail, err));
    const char *name = json_string_value(json_array_get(fact, 1));
    relation[0] = name ? hs_vocab_token(r->out, name) : HS_NO_ID;
    if (relation[0] == HS_NO_ID)
        return hs_fail(err, HS_ERR_DATA, "the relation of a fact is not in the vocabulary");
    uint8_t flags = (uint8_t)((json_is_true(json_object_get(line, "ood")) ? HS_FACT_OOD : 0) |
                              (json_is_true(json_object_get(line, "synthetic")) ? HS_FACT_SYNTHETIC : 0));
    r->collector.facts_given = true;
    return hs_collect_fact(&r->collector, head, relation[0], tail, flags, err);
}

static hs_status read_item(reading *r, const json_t *line, hs_error *err)
{
    hs_collected item = {.split = json_string_value(json_object_get(line, "split"))};
    const char *role = json_string_value(json_object_get(line, "role"));
    if (!item.split)
        return hs_fail(err, HS_ERR_DATA, "a line has neither \"fact\" nor \"split\"");
    if (!role)
        role = strncmp(item.split, "test", 4) == 0 ? "test" : "train";
    if (!hs_split_role_find(role, &item.role)) {
        hs_fail(err, HS_ERR_DATA, "the role of an item is none of train, test and watch");
        return hs_error_value(err, role, strlen(role));
    }
    item.synthetic = json_is_true(json_object_get(line, "synthetic"));
    HS_TRY(tokens_of(r, json_object_get(line, "prompt"), item.prompt, 32, &item.n_prompt, err));
    HS_TRY(tokens_of(r, json_object_get(line, "answer"), item.answer, 2, &item.n_answer, err));
    const json_t *also = json_object_get(line, "also");
    if (also) {
        HS_TRY(hs_grow((void **)&r->also, &r->cap_also, json_array_size(also), sizeof *r->also, err));
        HS_TRY(tokens_of(r, also, r->also, r->cap_also, &item.n_also, err));
        item.also = r->also;
    }
    if (item.n_prompt == 0 || item.n_answer == 0)
        return hs_fail(err, HS_ERR_DATA, "an item has an empty prompt or answer");
    return hs_collect_item(&r->collector, &item, err);
}

static hs_status read_header(reading *r, const json_t *line, hs_error *err)
{
    HS_TRY(hs_card_parse(r->out, json_object_get(line, "card"), err));
    HS_TRY(hs_card_keep(r->out, json_object_get(line, "card"), err));
    HS_TRY(hs_vocab_from_json(r->out, json_object_get(line, "vocab"), err));
    if ((uint64_t)r->out->n_entities + r->out->n_relations > r->out->vocab.n)
        return hs_fail(err, HS_ERR_DATA, "the card has more entities and relations than the vocabulary");
    r->header = true;
    hs_collect_begin(&r->collector, r->out);
    return HS_OK;
}

static hs_status read_line(reading *r, const json_t *line, bool first, hs_error *err)
{
    if (!json_is_object(line))
        return hs_fail(err, HS_ERR_DATA, "a line is not a JSON object");
    if (json_object_get(line, "hopscope"))
        return first && !r->naming ? read_header(r, line, err)
               : first             ? HS_OK
                                   : hs_fail(err, HS_ERR_DATA, "a header that is not the first line");
    if (r->naming)
        return name_line(r, line, err);
    return json_object_get(line, "fact") ? read_fact(r, line, err) : read_item(r, line, err);
}

static hs_status read_file(reading *r, const char *path, hs_error *err)
{
    hs_lines *lines;
    HS_TRY(hs_lines_open(&lines, path, MAX_LINE, err));
    const char *text;
    size_t len;
    hs_status status;
    bool first = true;
    while ((status = hs_lines_next(lines, &text, &len, err)) == HS_OK && text) {
        if (len == 0)
            continue;
        json_error_t problem;
        json_t *line = json_loadb(text, len, 0, &problem);
        status = line ? HS_OK : hs_fail(err, HS_ERR_DATA, "not JSON: %s", problem.text);
        if (status == HS_OK && first && r->naming && json_object_get(line, "hopscope")) {
            r->header = true; /* no first pass needed */
            json_decref(line);
            break;
        }
        if (status == HS_OK)
            status = read_line(r, line, first, err);
        json_decref(line);
        first = false;
        if (status != HS_OK) {
            if (status == HS_ERR_DATA)
                hs_error_where(err, "%s:%llu", path, (unsigned long long)hs_lines_number(lines));
            break;
        }
    }
    hs_lines_close(lines);
    return status;
}

static hs_status read_all(reading *r, const char *path, hs_error *err)
{
    r->naming = true;
    HS_TRY(read_file(r, path, err));
    r->naming = false;
    if (!r->header) {
        hs_status named = finish_naming(r, err);
        if (named == HS_ERR_DATA)
            hs_error_where(err, "%s", path);
        HS_TRY(named);
        hs_collect_begin(&r->collector, r->out);
    }
    HS_TRY(read_file(r, path, err));
    hs_status status = hs_collect_finish(&r->collector, err);
    if (status == HS_ERR_DATA)
        hs_error_where(err, "%s", path);
    return status;
}

hs_status hs_dataset_read_jsonl(hs_dataset *out, const char *path, hs_error *err)
{
    reading r = {.out = out};
    hs_status status = read_all(&r, path, err);
    hs_collector_free(&r.collector);
    hs_names_free(&r.entities);
    hs_names_free(&r.relations);
    hs_free(r.also);
    if (status != HS_OK)
        hs_dataset_free(out);
    return status;
}
