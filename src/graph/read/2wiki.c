/* 2wiki.c - records of 2WikiMultiHopQA (Ho et al. 2020), with the known noise of its evidences repaired.
 *
 * A record's evidences are [head, relation, tail] strings. Repairs look at one record only, so the file is read in
 * bounded memory and the result does not depend on what came before:
 * - the bridge of a chain is spelled differently as a tail and as a head: joined by `evidences_id`, else by the titles
 *   of `supporting_facts` (the articles the question was made from);
 * - dates become ISO, demonyms become countries (normalize.c), white space at the ends of names is cut.
 * Every repair is counted. With `raw` none is made.
 */
#include "graph/read/format.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_EVIDENCES = 64, MAX_TITLES = 64 };

typedef struct wiki {
    const char *path;
    hs_json_split *split;
    const hs_read_options *options;
    hs_read_report *report;
    hs_arena *arena; /* strings made by repairs; emptied at each record */
    size_t n;
    hs_wiki_evidence evidence[MAX_EVIDENCES];
    hs_wiki_evidence id[MAX_EVIDENCES]; /* of evidences_id; n_ids is 0 where absent or not of the same length */
    size_t n_ids;
    const char *title[MAX_TITLES]; /* distinct, in order */
    size_t n_titles;
} wiki;

/* HS_ERR_DATA at "path:line, record n, field f". `value` may be NULL. */
static hs_status fail_record(const wiki *w, const char *field, const json_t *value, hs_error *err, const char *what)
{
    hs_fail(err, HS_ERR_DATA, "%s", what);
    hs_error_where(err, "%s:%llu, record %llu, field %s", w->path, (unsigned long long)hs_json_split_line(w->split),
                   (unsigned long long)hs_json_split_number(w->split), field);
    if (value != NULL) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        if (text != NULL) {
            size_t len = strlen(text);
            hs_error_value(err, text, len < 100 ? len : 100);
        }
        free(text);
    }
    return HS_ERR_DATA;
}

static const char *string_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s == NULL ? "" : s;
}

/* ---------------------------------------------------------------- shape */

static hs_status read_triple(const wiki *w, const char *field, size_t i, const json_t *json, hs_wiki_evidence *out,
                             hs_error *err)
{
    char where[64];
    snprintf(where, sizeof where, "%s[%zu]", field, i);
    if (!json_is_array(json) || json_array_size(json) != 3)
        return fail_record(w, where, json, err, "an evidence must be a list of three strings");
    const char *s[3];
    for (size_t k = 0; k < 3; k++) {
        const json_t *item = json_array_get(json, k);
        s[k] = json_string_value(item);
        if (s[k] == NULL || s[k][strspn(s[k], " \t\r\n")] == '\0')
            return fail_record(w, where, json, err, "an evidence must be three strings that are not empty");
        if (json_string_length(item) > HS_MAX_NAME)
            return fail_record(w, where, NULL, err, "a name is longer than 4096 bytes");
    }
    *out = (hs_wiki_evidence){s[0], s[1], s[2]};
    return HS_OK;
}

static hs_status read_evidences(wiki *w, const json_t *record, hs_error *err)
{
    const json_t *list = json_object_get(record, "evidences");
    if (!json_is_array(list) || json_array_size(list) == 0) {
        fail_record(w, "evidences", list, err,
                    list == NULL ? "the record has no evidences"
                                 : "evidences must be a list of [head, relation, tail]");
        hs_error_hint(err, "train.json and dev.json have them; the published test file does not");
        return HS_ERR_DATA;
    }
    w->n = json_array_size(list);
    if (w->n > MAX_EVIDENCES)
        return fail_record(w, "evidences", NULL, err, "more than 64 evidences in one record");
    for (size_t i = 0; i < w->n; i++)
        HS_TRY(read_triple(w, "evidences", i, json_array_get(list, i), &w->evidence[i], err));
    list = json_object_get(record, "evidences_id");
    if (list != NULL && !json_is_array(list))
        return fail_record(w, "evidences_id", list, err, "evidences_id must be a list");
    w->n_ids = json_array_size(list) == w->n ? w->n : 0;
    for (size_t i = 0; i < w->n_ids; i++)
        HS_TRY(read_triple(w, "evidences_id", i, json_array_get(list, i), &w->id[i], err));
    return HS_OK;
}

static hs_status read_titles(wiki *w, const json_t *record, hs_error *err)
{
    const json_t *list = json_object_get(record, "supporting_facts");
    w->n_titles = 0;
    if (list != NULL && !json_is_array(list))
        return fail_record(w, "supporting_facts", list, err, "supporting_facts must be a list of [title, sentence]");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *title = json_string_value(json_array_get(item, 0));
        if (title == NULL)
            return fail_record(w, "supporting_facts", item, err, "a supporting fact must be [title, sentence]");
        bool known = false;
        for (size_t k = 0; k < w->n_titles; k++)
            known = known || strcmp(w->title[k], title) == 0;
        if (!known && w->n_titles < MAX_TITLES)
            w->title[w->n_titles++] = title;
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- repairs */

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static bool is_title(const wiki *w, const char *name)
{
    for (size_t i = 0; i < w->n_titles; i++)
        if (same(w->title[i], name))
            return true;
    return false;
}

static bool is_head(const wiki *w, const char *name)
{
    for (size_t i = 0; i < w->n; i++)
        if (same(w->evidence[i].head, name))
            return true;
    return false;
}

static bool is_tail(const wiki *w, const char *name)
{
    for (size_t i = 0; i < w->n; i++)
        if (same(w->evidence[i].tail, name))
            return true;
    return false;
}

static void rename_all(wiki *w, const char *from, const char *to)
{
    for (size_t i = 0; i < w->n; i++) {
        if (same(w->evidence[i].head, from))
            w->evidence[i].head = to;
        if (same(w->evidence[i].tail, from))
            w->evidence[i].tail = to;
    }
}

/* Join tail `a` and head `b`, two spellings of one bridge: an article's title is kept, else the head's spelling. */
static void join_bridge(wiki *w, const char *a, const char *b)
{
    if (is_title(w, a) && !is_title(w, b))
        rename_all(w, b, a);
    else
        rename_all(w, a, b);
}

/* A chain of two whose middle has two spellings. */
static void repair_chain(wiki *w)
{
    const char *a = w->evidence[0].tail, *b = w->evidence[1].head;
    if (same(a, b))
        return;
    bool by_id = w->n_ids == 2 && same(w->id[0].tail, w->id[1].head);
    bool by_title = w->n_titles == 2 && (same(w->title[1], a) || same(w->title[1], b));
    if (!by_id && !by_title)
        return;
    join_bridge(w, a, b);
    if (by_id)
        w->report->aliases_by_id++;
    else
        w->report->aliases_by_title++;
}

/* Two chains side by side: [f1 r x1] [f2 r x2] [y1 s v1] [y2 s v2]; x_k and y_k should be one. The articles are listed
 * as f1 f2 y1 y2, so the k-th title after those of the first evidences names the k-th bridge. The ids are used only
 * where the titles say nothing: in some records they are in another order than the evidences. */
static void repair_two_chains(wiki *w)
{
    size_t first = 0; /* evidences of the first hop: those that begin like the first one */
    while (first < w->n && same(w->evidence[first].relation, w->evidence[0].relation))
        first++;
    if (first == w->n)
        return;
    for (size_t k = 0; k < first; k++) {
        const char *x = w->evidence[k].tail;
        if (is_head(w, x))
            continue;
        const char *title = w->n_titles == 2 * first ? w->title[first + k] : NULL;
        if (title != NULL && is_head(w, title) && !is_tail(w, title)) {
            rename_all(w, x, title);
            w->report->aliases_by_title++;
            continue;
        }
        for (size_t j = first; j < w->n_ids; j++) {
            const char *y = w->evidence[j].head;
            if (same(w->id[k].tail, w->id[j].head) && !is_tail(w, y)) {
                join_bridge(w, x, y);
                w->report->aliases_by_id++;
                break;
            }
        }
    }
}

static bool contains(const char *s, const char *part)
{
    return strstr(s, part) != NULL;
}

static hs_status trim(wiki *w, const char **name, hs_error *err)
{
    const char *s = *name + strspn(*name, " \t\r\n");
    size_t len = strlen(s);
    while (len > 0 && strchr(" \t\r\n", s[len - 1]) != NULL)
        len--;
    if (s == *name && s[len] == '\0')
        return HS_OK;
    const char *copy = hs_arena_strdup(w->arena, s, len);
    if (copy == NULL)
        return hs_fail_memory(err, len + 1);
    *name = copy;
    w->report->names_trimmed++;
    return HS_OK;
}

static hs_status repair_date(wiki *w, hs_wiki_evidence *e, hs_error *err)
{
    char iso[HS_DATE_SIZE];
    if (!hs_date_iso(e->tail, iso)) {
        w->report->dates_unknown++;
        return HS_OK;
    }
    if (same(iso, e->tail))
        return HS_OK;
    const char *copy = hs_arena_strdup(w->arena, iso, strlen(iso));
    if (copy == NULL)
        return hs_fail_memory(err, sizeof iso);
    e->tail = copy;
    w->report->dates_normalized++;
    return HS_OK;
}

static hs_status repair_values(wiki *w, hs_error *err)
{
    for (size_t i = 0; i < w->n; i++) {
        hs_wiki_evidence *e = &w->evidence[i];
        bool date = contains(e->relation, "date") || same(e->relation, "inception") ||
                    (w->n_ids == w->n && same(w->id[i].tail, "date_information"));
        if (date) {
            HS_TRY(repair_date(w, e, err));
        } else if (contains(e->relation, "country") || contains(e->relation, "nationality") ||
                   contains(e->relation, "citizenship")) {
            const char *country = hs_country_name(e->tail);
            if (country != NULL && !same(country, e->tail)) {
                rename_all(w, e->tail, country);
                w->report->nationalities_normalized++;
            }
        }
    }
    return HS_OK;
}

static hs_status repair(wiki *w, const char *type, hs_error *err)
{
    for (size_t i = 0; i < w->n; i++) {
        HS_TRY(trim(w, &w->evidence[i].head, err));
        HS_TRY(trim(w, &w->evidence[i].relation, err));
        HS_TRY(trim(w, &w->evidence[i].tail, err));
    }
    if (w->n == 2 && !same(type, "comparison"))
        repair_chain(w);
    else if (same(type, "bridge_comparison"))
        repair_two_chains(w);
    return repair_values(w, err);
}

/* ---------------------------------------------------------------- records */

/* `types` is a comma-separated list, or NULL for all. */
static bool type_wanted(const char *types, const char *type)
{
    if (types == NULL)
        return true;
    for (const char *s = types;; s++) {
        size_t len = strcspn(s, ",");
        if (len == strlen(type) && memcmp(s, type, len) == 0)
            return true;
        s += len;
        if (*s == '\0')
            return false;
    }
}

static hs_status one_record(wiki *w, const json_t *json, hs_wiki_fn fn, void *ctx, hs_error *err)
{
    if ((w->options->skip_derived && json_is_true(json_object_get(json, "derived"))) ||
        !type_wanted(w->options->types, string_of(json, "type"))) {
        w->report->records_skipped++;
        return HS_OK;
    }
    HS_TRY(read_evidences(w, json, err));
    HS_TRY(read_titles(w, json, err));
    hs_wiki_record record = {.type = string_of(json, "type"), .question = string_of(json, "question")};
    if (!w->options->raw)
        HS_TRY(repair(w, record.type, err));
    record.n = w->n;
    record.evidence = w->evidence;
    record.context = json_object_get(json, "context");
    return fn(ctx, &record, err);
}

static hs_status all_records(wiki *w, hs_wiki_fn fn, void *ctx, hs_error *err)
{
    for (;;) {
        const char *text;
        size_t len;
        HS_TRY(hs_json_split_next(w->split, &text, &len, err));
        if (text == NULL)
            return HS_OK;
        json_error_t json_err;
        json_t *json = json_loadb(text, len, 0, &json_err);
        if (json == NULL && json_error_code(&json_err) == json_error_out_of_memory)
            return hs_fail_memory(err, len);
        if (json == NULL) {
            hs_fail(err, HS_ERR_DATA, "this record is not JSON: %s", json_err.text);
            hs_error_where(err, "%s:%llu, record %llu", w->path,
                           (unsigned long long)hs_json_split_line(w->split) + (unsigned)json_err.line - 1,
                           (unsigned long long)hs_json_split_number(w->split));
            return HS_ERR_DATA;
        }
        w->report->records++;
        hs_status status = one_record(w, json, fn, ctx, err);
        json_decref(json);
        hs_arena_reset(w->arena);
        HS_TRY(status);
    }
}

hs_status hs_wiki_each(const hs_source *from, const hs_read_options *options, hs_read_report *report, hs_wiki_fn fn,
                       void *ctx, hs_error *err)
{
    wiki *w = hs_calloc(1, sizeof *w);
    if (w == NULL)
        return hs_fail_memory(err, sizeof *w);
    w->path = from->path;
    w->options = options;
    w->report = report;
    w->arena = hs_arena_create(1 << 12);
    hs_status status = w->arena == NULL ? hs_fail_memory(err, 1 << 12) : HS_OK;
    if (status == HS_OK)
        status = hs_json_split_open(&w->split, from, HS_MAX_RECORD, err);
    if (status == HS_OK)
        status = all_records(w, fn, ctx, err);
    hs_json_split_close(w->split);
    hs_arena_free(w->arena);
    hs_free(w);
    return status;
}

static hs_status add_record(void *ctx, const hs_wiki_record *record, hs_error *err)
{
    hs_graph *g = ctx;
    for (size_t i = 0; i < record->n; i++) {
        const hs_wiki_evidence *e = &record->evidence[i];
        HS_TRY(hs_graph_add(g, e->head, e->relation, e->tail, err));
    }
    return HS_OK;
}

static hs_status read_wiki(hs_graph *g, const hs_source *from, const hs_read_options *options, hs_read_report *report,
                           hs_error *err)
{
    return hs_wiki_each(from, options, report, add_record, g, err);
}

static bool looks(const char *s, size_t len)
{
    return len > 0 && (s[0] == '[' || s[0] == '{');
}

const hs_graph_format hs_format_2wiki = {.endings = ".json .jsonl", .looks = looks, .read = read_wiki};
