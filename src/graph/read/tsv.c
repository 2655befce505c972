/* tsv.c - one fact a line, fields separated by tabs; the form that hopscope writes. */
#include "graph/read/format.h"

#include <string.h>

static hs_status read_lines(hs_columns *columns, hs_graph *g, const hs_source *from, hs_read_report *report,
                            hs_error *err)
{
    for (;;) {
        const char *line;
        size_t len;
        HS_TRY(hs_lines_next(from->in, &line, &len, err));
        if (line == NULL)
            return HS_OK;
        if (len > 0)
            HS_TRY(hs_columns_add_line(columns, g, line, len, from->path, hs_lines_number(from->in), report, err));
    }
}

static hs_status read_tsv(hs_graph *g, const hs_source *from, const hs_read_options *options, hs_read_report *report,
                          hs_error *err)
{
    hs_columns columns;
    HS_TRY(hs_columns_begin(&columns, options->columns, err));
    HS_TRY(read_lines(&columns, g, from, report, err));
    return hs_columns_check(&columns, g, from->path, err);
}

static bool looks(const char *s, size_t len)
{
    const char *end = memchr(s, '\n', len);
    return memchr(s, '\t', end == NULL ? len : (size_t)(end - s)) != NULL;
}

const hs_graph_format hs_format_tsv = {.endings = ".tsv .txt", .columns = true, .looks = looks, .read = read_tsv};

/* ---------------------------------------------------------------- writing */

static hs_status write_name(hs_writer *w, const char *name, char after, hs_error *err)
{
    size_t len = strlen(name);
    if (strpbrk(name, "\t\n\r") != NULL) {
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
