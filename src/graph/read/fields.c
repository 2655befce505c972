/* fields.c - facts in columns, for TSV, CSV and the embedded graph: which column is what, header lines, clean names.
 *
 * A header line tells the order of the columns. Without one, head, relation, tail is taken for granted; afterwards a
 * file whose "relations" are the entities of another column is refused, with the order that it seems to have.
 */
#include "graph/read/format.h"

#include <string.h>
#include <strings.h>

hs_status hs_columns_begin(hs_columns *columns, const char *order, hs_error *err)
{
    *columns = (hs_columns){.head = 0, .relation = 1, .tail = 2};
    if (order == NULL || strcmp(order, "auto") == 0)
        return HS_OK;
    const char *h = strchr(order, 'h'), *r = strchr(order, 'r'), *t = strchr(order, 't');
    if (strlen(order) != 3 || h == NULL || r == NULL || t == NULL) {
        hs_fail(err, HS_ERR_USAGE, "the order of the columns is not understood");
        hs_error_value(err, order, strlen(order));
        return hs_error_hint(err, "hrt is head, relation, tail; htr is head, tail, relation; rht ...");
    }
    *columns = (hs_columns){(uint8_t)(h - order), (uint8_t)(r - order), (uint8_t)(t - order), .certain = true};
    return HS_OK;
}

/* ---------------------------------------------------------------- header line */

static bool is_one_of(hs_field field, const char *const *names)
{
    for (; *names != NULL; names++)
        if (field.len == strlen(*names) && strncasecmp(field.s, *names, field.len) == 0)
            return true;
    return false;
}

/* A record that names a head, a relation and a tail, in any order, in words used for columns. */
static bool is_header(const hs_field *field, size_t n, hs_columns *columns)
{
    static const char *const words[3][16] = {
        {"head", "subject", "source", "from", "h", "s", "subj", "head_id", "entity1", "source_id", NULL},
        {"relation", "predicate", "property", "r", "p", "rel", "pred", "edge", "relation_id", "relationship", "type",
         NULL},
        {"tail", "object", "target", "to", "t", "o", "obj", "tail_id", "entity2", "target_id", "value", NULL}};
    uint8_t at[3] = {3, 3, 3};
    if (n != 3 && n != 4)
        return false;
    for (uint8_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 3; k++)
            if (is_one_of(field[i], words[k]))
                at[k] = i;
    if (at[0] == 3 || at[1] == 3 || at[2] == 3)
        return false;
    bool given = columns->certain;
    if (!given)
        *columns = (hs_columns){at[0], at[1], at[2], .begun = true, .certain = true};
    return true;
}

/* ---------------------------------------------------------------- one record */

static hs_status fail_field(const char *path, uint64_t line, const hs_field *field, const char *what, hs_error *err)
{
    hs_fail(err, HS_ERR_DATA, "%s", what);
    hs_error_where(err, "%s:%llu", path, (unsigned long long)line);
    hs_error_value(err, field->s, field->len);
    return HS_ERR_DATA;
}

static hs_field trim(hs_field field, hs_read_report *report)
{
    hs_field cut = field;
    while (cut.len > 0 && strchr(" \t\r\n", cut.s[0]) != NULL && cut.s[0] != '\0') {
        cut.s++;
        cut.len--;
    }
    while (cut.len > 0 && strchr(" \t\r\n", cut.s[cut.len - 1]) != NULL && cut.s[cut.len - 1] != '\0')
        cut.len--;
    report->names_trimmed += cut.len < field.len && cut.len > 0;
    return cut;
}

static hs_status check_names(const hs_field name[3], const char *path, uint64_t line, hs_error *err)
{
    static const char *const empty[3] = {"the head is empty", "the relation is empty", "the tail is empty"};
    for (size_t i = 0; i < 3; i++) {
        if (name[i].len == 0)
            return fail_field(path, line, &name[0], empty[i], err);
        if (name[i].len > HS_MAX_NAME)
            return fail_field(path, line, &name[i], "a name is longer than 4096 bytes", err);
        if (memchr(name[i].s, '\0', name[i].len) != NULL)
            return fail_field(path, line, &name[i], "a name holds a zero byte", err);
    }
    return HS_OK;
}

hs_status hs_columns_add(hs_columns *columns, hs_graph *g, const hs_field *field, size_t n, const char *path,
                         uint64_t line, hs_read_report *report, hs_error *err)
{
    if (n != 3 && n != 4) {
        hs_fail(err, HS_ERR_DATA, "a fact has 3 fields (head, relation, tail), this line has %zu", n);
        hs_error_where(err, "%s:%llu", path, (unsigned long long)line);
        if (n > 0)
            hs_error_value(err, field[0].s, field[0].len);
        return HS_ERR_DATA;
    }
    hs_field clean[4];
    hs_read_report trimmed = {0};
    for (size_t i = 0; i < n; i++)
        clean[i] = trim(field[i], i < 3 ? &trimmed : &(hs_read_report){0});
    bool first = !columns->begun;
    columns->begun = true;
    if (first && is_header(clean, n, columns)) {
        report->headers_skipped++;
        return HS_OK;
    }
    report->records++;
    report->names_trimmed += trimmed.names_trimmed;
    const hs_field name[3] = {clean[columns->head], clean[columns->relation], clean[columns->tail]};
    HS_TRY(check_names(name, path, line, err));
    uint8_t flags = 0;
    if (n == 4) {
        if (clean[3].len != 9 || memcmp(clean[3].s, "synthetic", 9) != 0)
            return fail_field(path, line, &clean[3], "the fourth field can only be \"synthetic\"", err);
        flags = HS_FACT_SYNTHETIC;
    }
    hs_fact fact;
    HS_TRY(hs_names_add(&g->entities, name[0].s, name[0].len, &fact.head, err));
    HS_TRY(hs_names_add(&g->relations, name[1].s, name[1].len, &fact.relation, err));
    HS_TRY(hs_names_add(&g->entities, name[2].s, name[2].len, &fact.tail, err));
    return hs_graph_add_ids(g, fact, flags, err);
}

hs_status hs_columns_add_line(hs_columns *columns, hs_graph *g, const char *text, size_t len, const char *path,
                              uint64_t line, hs_read_report *report, hs_error *err)
{
    hs_field field[4];
    size_t n = 0;
    const char *end = text + len;
    for (const char *s = text;; n++) {
        const char *tab = memchr(s, '\t', (size_t)(end - s));
        const char *stop = tab == NULL ? end : tab;
        if (n < 4)
            field[n] = (hs_field){s, (size_t)(stop - s)};
        if (tab == NULL)
            break;
        s = tab + 1;
    }
    return hs_columns_add(columns, g, field, n + 1, path, line, report, err);
}

/* ---------------------------------------------------------------- is it in order? */

static uint64_t count_seen(const uint8_t *seen, uint32_t n, uint8_t side)
{
    uint64_t count = 0;
    for (uint32_t e = 0; e < n; e++)
        count += (seen[e] & side) != 0;
    return count;
}

hs_status hs_columns_check(const hs_columns *columns, const hs_graph *g, const char *path, hs_error *err)
{
    enum { FEW = 8, TIMES = 4 }; /* relations to judge by; as many more than names in the other column */
    uint64_t relations = g->relations.n;
    if (columns->certain || relations < FEW)
        return HS_OK;
    uint8_t *seen = hs_calloc((size_t)g->entities.n + 1, 1); /* 1 as a head, 2 as a tail */
    if (seen == NULL)
        return hs_fail_memory(err, g->entities.n);
    for (uint64_t i = 0; i < g->n_facts; i++) {
        seen[g->facts[i].head] |= 1;
        seen[g->facts[i].tail] |= 2;
    }
    uint64_t heads = count_seen(seen, g->entities.n, 1), tails = count_seen(seen, g->entities.n, 2);
    uint64_t shared[2] = {0, 0}; /* relations that are heads too, tails too */
    for (uint32_t r = 0; r < g->relations.n; r++) {
        const char *name = hs_names_get(&g->relations, r);
        uint32_t e = hs_names_find(&g->entities, name, strlen(name));
        shared[0] += e != HS_NO_ID && (seen[e] & 1) != 0;
        shared[1] += e != HS_NO_ID && (seen[e] & 2) != 0;
    }
    hs_free(seen);
    bool htr = tails * TIMES <= relations && shared[0] * TIMES >= relations;
    bool rht = heads * TIMES <= relations && shared[1] * TIMES >= relations;
    if (!htr && !rht)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA,
            "the columns do not seem to be head, relation, tail: %llu relations, most of them entities",
            (unsigned long long)relations);
    hs_error_where(err, "%s", path);
    hs_error_value(err, hs_names_get(&g->relations, 0), strlen(hs_names_get(&g->relations, 0)));
    return hs_error_hint(err, "%s: say --columns %s (graph.columns: %s); --columns hrt takes it as it stands",
                         htr ? "head, tail, relation" : "relation, head, tail", htr ? "htr" : "rht",
                         htr ? "htr" : "rht");
}
