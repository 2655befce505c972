/* formats.c - the table of formats, which of them a file is, and the one door: hs_graph_read.
 *
 * The door leaves `out` either indexed and not empty, or zeroed. A file is opened once and read once, so that a pipe
 * can be a graph too. A new format is a file beside this one and a line in FORMATS.
 */
#include "graph/read/format.h"

#include <string.h>

/* Symbol (hs_format_...) and name, in the order in which first bytes are looked at. */
#define FORMATS(F)                                                                                                     \
    F(2wiki, "2wiki")                                                                                                  \
    F(ntriples, "ntriples")                                                                                            \
    F(turtle, "turtle")                                                                                                \
    F(tsv, "tsv")                                                                                                      \
    F(csv, "csv")                                                                                                      \
    F(world, "world")

#define DECLARE(symbol, name) extern const hs_graph_format hs_format_##symbol;
#define NAME(symbol, name) name,
#define FORMAT(symbol, name) &hs_format_##symbol,
FORMATS(DECLARE)
const char *const hs_graph_format_names[] = {"auto", FORMATS(NAME) NULL};
static const hs_graph_format *const formats[] = {NULL, FORMATS(FORMAT)};
enum { N_FORMATS = sizeof formats / sizeof *formats }; /* 0 is "auto" */

/* ---------------------------------------------------------------- which format */

static hs_status format_by_option(const char *name, size_t *format, hs_error *err)
{
    if (strcmp(name, "nt") == 0 || strcmp(name, "ttl") == 0) /* the file's ending */
        name = name[0] == 'n' ? "ntriples" : "turtle";
    for (*format = 0; *format < N_FORMATS; ++*format)
        if (strcmp(name, hs_graph_format_names[*format]) == 0)
            return HS_OK;
    hs_str names = {0};
    for (size_t i = 0; i < N_FORMATS; i++)
        hs_str_addf(&names, "%s%s", i == 0 ? "" : ", ", hs_graph_format_names[i]);
    hs_fail(err, HS_ERR_USAGE, "there is no such graph format");
    hs_error_value(err, name, strlen(name));
    if (!names.failed)
        hs_error_hint(err, "%s", names.s);
    hs_str_free(&names);
    return HS_ERR_USAGE;
}

static bool ends_with(const char *s, size_t len, const char *ending, size_t n)
{
    return len >= n && memcmp(s + len - n, ending, n) == 0;
}

static bool has_ending(const hs_graph_format *format, const char *path, size_t len)
{
    for (const char *s = format->endings; *s != '\0'; s += strspn(s, " ")) {
        size_t n = strcspn(s, " ");
        if (ends_with(path, len, s, n))
            return true;
        s += n;
    }
    return false;
}

static size_t format_by_name(const char *path)
{
    size_t len = strlen(path);
    if (ends_with(path, len, ".zst", 4))
        len -= 4;
    for (size_t i = 1; i < N_FORMATS; i++)
        if ((formats[i]->path != NULL && strcmp(path, formats[i]->path) == 0) || has_ending(formats[i], path, len))
            return i;
    return 0;
}

static hs_status format_by_content(const hs_source *from, size_t *format, hs_error *err)
{
    char head[4096];
    size_t have, first = 0;
    HS_TRY(hs_lines_peek(from->in, head, sizeof head, &have, err));
    while (first < have && strchr(" \n\r", head[first]) != NULL)
        first++;
    for (size_t i = 1; i < N_FORMATS && first < have; i++) {
        if (formats[i]->looks != NULL && formats[i]->looks(head + first, have - first)) {
            *format = i;
            return HS_OK;
        }
    }
    if (have == 0)
        hs_fail(err, HS_ERR_DATA, "the file is empty");
    else
        hs_fail(err, HS_ERR_DATA, "the format of this file is not known");
    hs_error_where(err, "%s", from->path);
    hs_error_value(err, head, have < 40 ? have : 40);
    return hs_error_hint(err, "name it .tsv, .csv, .json, .jsonl, .nt or .ttl (.zst may follow), or say which format");
}

/* ---------------------------------------------------------------- the door */

static hs_status read_from(hs_graph *g, const hs_source *from, size_t *format, const hs_read_options *options,
                           hs_read_report *report, hs_error *err)
{
    if (*format == 0)
        HS_TRY(format_by_content(from, format, err));
    const hs_graph_format *f = formats[*format];
    if (options->columns != NULL && strcmp(options->columns, "auto") != 0 && strcmp(options->columns, "hrt") != 0 &&
        !f->columns) {
        hs_fail(err, HS_ERR_USAGE, "a file of the format %s has no columns", hs_graph_format_names[*format]);
        hs_error_where(err, "%s", from->path);
        hs_error_value(err, options->columns, strlen(options->columns));
        return hs_error_hint(err, "the order of the columns is for TSV and CSV");
    }
    HS_TRY(f->read(g, from, options, report, err));
    if (g->n_facts == 0) {
        hs_fail(err, HS_ERR_DATA, "there are no facts in this file");
        return hs_error_where(err, "%s", from->path);
    }
    return hs_graph_index(g, err);
}

hs_status hs_graph_read(hs_graph *out, const char *path, const hs_read_options *options, hs_read_report *report,
                        hs_error *err)
{
    static const hs_read_options defaults = {0};
    hs_read_report counts = {0};
    size_t format = 0;
    if (options == NULL)
        options = &defaults;
    *out = (hs_graph){0};
    if (options->format != NULL)
        HS_TRY(format_by_option(options->format, &format, err));
    size_t named = format_by_name(path);
    if (format == 0 || (named != 0 && formats[named]->path != NULL))
        format = named;
    hs_source from = {.path = path};
    if (format == 0 || formats[format]->path == NULL)
        HS_TRY(hs_lines_open(&from.in, path, HS_MAX_LINE, err));
    hs_status status = read_from(out, &from, &format, options, &counts, err);
    hs_lines_close(from.in);
    if (status != HS_OK) {
        hs_graph_free(out);
        return status;
    }
    counts.facts = out->n_facts;
    counts.duplicates = out->n_duplicates;
    if (report != NULL)
        *report = counts;
    hs_event_send(options->events, HS_EVENT_INFO, "graph", "read %s as %s: %llu facts, %u entities, %u relations", path,
                  hs_graph_format_names[format], (unsigned long long)out->n_facts, out->entities.n, out->relations.n);
    return HS_OK;
}
