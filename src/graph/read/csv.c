/* csv.c - facts as comma-separated values (core/csv.c reads the records). */
#include "graph/read/format.h"

#include <string.h>

typedef struct csv {
    hs_graph *g;
    const char *path;
    hs_read_report *report;
    hs_columns columns;
} csv;

static hs_status add_record(void *user, const hs_field *field, size_t n, uint64_t line, hs_error *err)
{
    csv *c = user;
    if (n == 4 && field[3].len == 0)
        n = 3;
    return hs_columns_add(&c->columns, c->g, field, n, c->path, line, c->report, err);
}

static hs_status read_csv(hs_graph *g, const hs_source *from, const hs_read_options *options, hs_read_report *report,
                          hs_error *err)
{
    csv c = {.g = g, .path = from->path, .report = report};
    HS_TRY(hs_columns_begin(&c.columns, options->columns, err));
    HS_TRY(hs_csv_read(from->in, from->path, add_record, &c, err));
    return hs_columns_check(&c.columns, g, from->path, err);
}

static bool looks(const char *s, size_t len)
{
    const char *end = memchr(s, '\n', len);
    return memchr(s, ',', end == NULL ? len : (size_t)(end - s)) != NULL;
}

const hs_graph_format hs_format_csv = {.endings = ".csv", .columns = true, .looks = looks, .read = read_csv};
