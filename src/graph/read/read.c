/* read.c - from a file to an indexed graph: which format it is, the TSV reader and writer, and the one way out.
 *
 * hs_graph_read is the only door: it leaves `out` either indexed and not empty, or zeroed.
 */
#include "graph/read/readers.h"

#include <string.h>

static const char *const format_names[] = {
    [HS_GRAPH_AUTO] = "auto",   [HS_GRAPH_TSV] = "tsv",           [HS_GRAPH_CSV] = "csv",
    [HS_GRAPH_2WIKI] = "2wiki", [HS_GRAPH_NTRIPLES] = "ntriples", [HS_GRAPH_TURTLE] = "turtle",
    [HS_GRAPH_WORLD] = "world",
};
enum { N_FORMATS = sizeof format_names / sizeof *format_names };

const char *hs_graph_format_name(hs_graph_format format)
{
    return (unsigned)format < N_FORMATS ? format_names[format] : "?";
}

bool hs_graph_format_find(const char *name, hs_graph_format *format)
{
    if (strcmp(name, "nt") == 0) /* the file's ending */
        name = format_names[HS_GRAPH_NTRIPLES];
    for (unsigned i = 0; i < N_FORMATS; i++) {
        if (strcmp(name, format_names[i]) == 0) {
            *format = (hs_graph_format)i;
            return true;
        }
    }
    return false;
}

/* ---------------------------------------------------------------- which format */

static bool ends_with(const char *s, size_t len, const char *ending)
{
    size_t n = strlen(ending);
    return len >= n && memcmp(s + len - n, ending, n) == 0;
}

static hs_graph_format format_by_name(const char *path)
{
    static const struct {
        const char *ending;
        hs_graph_format format;
    } endings[] = {
        {".tsv", HS_GRAPH_TSV},     {".txt", HS_GRAPH_TSV},     {".csv", HS_GRAPH_CSV},    {".json", HS_GRAPH_2WIKI},
        {".jsonl", HS_GRAPH_2WIKI}, {".nt", HS_GRAPH_NTRIPLES}, {".ttl", HS_GRAPH_TURTLE},
    };
    if (strcmp(path, "world") == 0)
        return HS_GRAPH_WORLD;
    if (strcmp(path, "-") == 0)
        return HS_GRAPH_TSV;
    size_t len = strlen(path);
    if (ends_with(path, len, ".zst"))
        len -= 4;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_with(path, len, endings[i].ending))
            return endings[i].format;
    return HS_GRAPH_AUTO;
}

static hs_graph_format format_by_content(const char *s, size_t len)
{
    size_t i = 0;
    while (i < len && (s[i] == ' ' || s[i] == '\n' || s[i] == '\r'))
        i++;
    if (i == len)
        return HS_GRAPH_AUTO;
    if (s[i] == '[' || s[i] == '{')
        return HS_GRAPH_2WIKI;
    if (s[i] == '<' || (len - i > 2 && memcmp(s + i, "_:", 2) == 0))
        return HS_GRAPH_NTRIPLES;
    if (s[i] == '@' || (len - i > 6 && memcmp(s + i, "PREFIX", 6) == 0) ||
        (len - i > 4 && memcmp(s + i, "BASE", 4) == 0))
        return HS_GRAPH_TURTLE;
    const char *end = memchr(s + i, '\n', len - i);
    size_t line = end == NULL ? len - i : (size_t)(end - (s + i));
    if (memchr(s + i, '\t', line) != NULL)
        return HS_GRAPH_TSV;
    if (memchr(s + i, ',', line) != NULL)
        return HS_GRAPH_CSV;
    return HS_GRAPH_AUTO;
}

static hs_status find_format(const char *path, hs_graph_format *format, hs_error *err)
{
    *format = format_by_name(path);
    if (*format != HS_GRAPH_AUTO)
        return HS_OK;
    char head[4096];
    size_t have = 0, got = 1;
    hs_lines *in;
    HS_TRY(hs_lines_open(&in, path, 0, err));
    hs_status status = HS_OK;
    while (status == HS_OK && got > 0 && have < sizeof head) {
        status = hs_lines_read(in, head + have, sizeof head - have, &got, err);
        have += got;
    }
    hs_lines_close(in);
    if (status != HS_OK)
        return status;
    *format = format_by_content(head, have);
    if (*format != HS_GRAPH_AUTO)
        return HS_OK;
    if (have == 0)
        hs_fail(err, HS_ERR_DATA, "the file is empty");
    else
        hs_fail(err, HS_ERR_DATA, "the format of this file is not known");
    hs_error_where(err, "%s", path);
    hs_error_value(err, head, have < 40 ? have : 40);
    hs_error_hint(err, "name it .tsv, .csv, .json, .jsonl, .nt or .ttl (.zst may follow), or say --format");
    return HS_ERR_DATA;
}

/* ---------------------------------------------------------------- TSV */

static hs_status fail_field(const char *path, uint64_t line, const hs_field *field, const char *what, hs_error *err)
{
    hs_fail(err, HS_ERR_DATA, "%s", what);
    hs_error_where(err, "%s:%llu", path, (unsigned long long)line);
    hs_error_value(err, field->s, field->len);
    return HS_ERR_DATA;
}

hs_status hs_read_fields(hs_graph *g, const hs_field *field, size_t n, const char *path, uint64_t line, hs_error *err)
{
    static const char *const empty[3] = {"the head is empty", "the relation is empty", "the tail is empty"};
    if (n != 3 && n != 4) {
        hs_fail(err, HS_ERR_DATA, "a fact has 3 fields (head, relation, tail), this line has %zu", n);
        hs_error_where(err, "%s:%llu", path, (unsigned long long)line);
        if (n > 0)
            hs_error_value(err, field[0].s, field[0].len);
        return HS_ERR_DATA;
    }
    for (size_t i = 0; i < 3; i++) {
        if (field[i].len == 0)
            return fail_field(path, line, &field[0], empty[i], err);
        if (field[i].len > HS_MAX_NAME)
            return fail_field(path, line, &field[i], "a name is longer than 4096 bytes", err);
        if (memchr(field[i].s, '\0', field[i].len) != NULL)
            return fail_field(path, line, &field[i], "a name holds a zero byte", err);
    }
    uint8_t flags = 0;
    if (n == 4) {
        if (field[3].len != 9 || memcmp(field[3].s, "synthetic", 9) != 0)
            return fail_field(path, line, &field[3], "the fourth field can only be \"synthetic\"", err);
        flags = HS_FACT_SYNTHETIC;
    }
    hs_fact fact;
    HS_TRY(hs_names_add(&g->entities, field[0].s, field[0].len, &fact.head, err));
    HS_TRY(hs_names_add(&g->relations, field[1].s, field[1].len, &fact.relation, err));
    HS_TRY(hs_names_add(&g->entities, field[2].s, field[2].len, &fact.tail, err));
    return hs_graph_add_ids(g, fact, flags, err);
}

hs_status hs_read_tsv_line(hs_graph *g, const char *text, size_t len, const char *path, uint64_t line, hs_error *err)
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
    return hs_read_fields(g, field, n + 1, path, line, err);
}

hs_status hs_read_tsv(hs_graph *g, const char *path, hs_read_report *report, hs_error *err)
{
    hs_lines *in;
    HS_TRY(hs_lines_open(&in, path, HS_MAX_LINE, err));
    hs_status status;
    for (;;) {
        const char *line;
        size_t len;
        status = hs_lines_next(in, &line, &len, err);
        if (status != HS_OK || line == NULL)
            break;
        if (len == 0)
            continue;
        report->records++;
        status = hs_read_tsv_line(g, line, len, path, hs_lines_number(in), err);
        if (status != HS_OK)
            break;
    }
    hs_lines_close(in);
    return status;
}

static hs_status write_name(hs_writer *w, const char *name, char after, hs_error *err)
{
    size_t len = strlen(name);
    if (memchr(name, '\t', len) != NULL || memchr(name, '\n', len) != NULL || memchr(name, '\r', len) != NULL) {
        hs_fail(err, HS_ERR_DATA, "this name holds a tab or a line break and cannot be written as TSV");
        hs_error_value(err, name, len);
        return HS_ERR_DATA;
    }
    HS_TRY(hs_writer_write(w, name, len, err));
    return hs_writer_write(w, &after, 1, err);
}

static hs_status write_fact(hs_writer *w, const hs_graph *g, uint64_t i, hs_error *err)
{
    const hs_fact *fact = &g->facts[i];
    bool synthetic = (g->flags[i] & HS_FACT_SYNTHETIC) != 0;
    HS_TRY(write_name(w, hs_names_get(&g->entities, fact->head), '\t', err));
    HS_TRY(write_name(w, hs_names_get(&g->relations, fact->relation), '\t', err));
    HS_TRY(write_name(w, hs_names_get(&g->entities, fact->tail), synthetic ? '\t' : '\n', err));
    return synthetic ? hs_writer_write(w, "synthetic\n", 10, err) : HS_OK;
}

hs_status hs_graph_write_tsv(const hs_graph *g, const char *path, hs_error *err)
{
    hs_writer *w;
    HS_TRY(hs_writer_open(&w, path, err));
    for (uint64_t i = 0; i < g->n_facts; i++) {
        hs_status status = write_fact(w, g, i, err);
        if (status != HS_OK) {
            hs_writer_abort(w);
            return status;
        }
    }
    return hs_writer_commit(w, err);
}

/* ---------------------------------------------------------------- the door */

static hs_status read_as(hs_graph *g, const char *path, hs_graph_format format, const hs_read_options *options,
                         hs_read_report *report, hs_error *err)
{
    switch (format) {
    case HS_GRAPH_TSV:
        return hs_read_tsv(g, path, report, err);
    case HS_GRAPH_CSV:
        return hs_read_csv(g, path, report, err);
    case HS_GRAPH_2WIKI:
        return hs_read_wiki(g, path, options, report, err);
    case HS_GRAPH_NTRIPLES:
    case HS_GRAPH_TURTLE:
        return hs_read_rdf(g, path, format == HS_GRAPH_TURTLE, options, report, err);
    case HS_GRAPH_WORLD:
        return hs_read_world(g, report, err);
    case HS_GRAPH_AUTO:
        break;
    }
    return hs_fail(err, HS_ERR_USAGE, "unknown graph format %d", (int)format);
}

hs_status hs_graph_read(hs_graph *out, const char *path, const hs_read_options *options, hs_read_report *report,
                        hs_error *err)
{
    static const hs_read_options defaults = {0};
    hs_read_report counts = {0};
    if (options == NULL)
        options = &defaults;
    *out = (hs_graph){0};
    hs_graph_format format = options->format;
    if (format == HS_GRAPH_AUTO)
        HS_TRY(find_format(path, &format, err));
    hs_status status = read_as(out, path, format, options, &counts, err);
    if (status == HS_OK && out->n_facts == 0) {
        status = hs_fail(err, HS_ERR_DATA, "there are no facts in this file");
        hs_error_where(err, "%s", path);
    }
    if (status == HS_OK)
        status = hs_graph_index(out, err);
    if (status != HS_OK) {
        hs_graph_free(out);
        return status;
    }
    counts.facts = out->n_facts;
    counts.duplicates = out->n_duplicates;
    if (report != NULL)
        *report = counts;
    hs_event_send(options->events, HS_EVENT_INFO, "graph", "read %s as %s: %llu facts, %u entities, %u relations", path,
                  hs_graph_format_name(format), (unsigned long long)out->n_facts, out->entities.n, out->relations.n);
    return HS_OK;
}
