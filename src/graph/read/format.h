/* format.h - what a reader of src/graph/read is, and what readers share; not public.
 *
 * A format is one file that defines an hs_graph_format, and one line of the table in formats.c. Its `read` adds facts
 * to a zeroed graph and counts into a zeroed report; hs_graph_read indexes, or frees everything when a reader fails, so
 * no half-built graph leaves the layer.
 */
#ifndef HOPSCOPE_GRAPH_FORMAT_H
#define HOPSCOPE_GRAPH_FORMAT_H

#include "core/csv.h"
#include "hopscope/graph.h"

enum { HS_MAX_LINE = 1 << 20 };    /* bytes of a TSV line */
enum { HS_MAX_RECORD = 64 << 20 }; /* bytes of one JSON record */
enum { HS_MAX_NAME = 4096 };       /* bytes of an entity's or relation's name */

/* A file that is open, read once from beginning to end; a pipe will do. */
typedef struct hs_source {
    const char *path; /* for messages */
    hs_lines *in;     /* NULL for a format without a file */
} hs_source;

typedef struct hs_graph_format {
    const char *endings; /* of file names, separated by spaces: ".nt .ntriples"; "" for none */
    const char *path;    /* the one path that means this format ("world"), which is then no file; NULL for none */
    bool columns;        /* facts stand in columns, whose order may be another (hs_read_options) */
    /* Do these first bytes look like it? White space before them is gone. NULL: never. */
    bool (*looks)(const char *s, size_t len);
    hs_status (*read)(hs_graph *g, const hs_source *from, const hs_read_options *options, hs_read_report *report,
                      hs_error *err);
} hs_graph_format;

/* ---- facts in columns (fields.c) */

typedef struct hs_columns {
    uint8_t head, relation, tail; /* which field is which */
    bool begun;                   /* a record was seen */
    bool certain;                 /* the order was given, or read from a header line */
} hs_columns;
/* `order` is a permutation of "hrt" (NULL: as it stands). HS_ERR_USAGE for anything else. */
hs_status hs_columns_begin(hs_columns *columns, const char *order, hs_error *err);
/* One record: 3 fields, or 4 with "synthetic"; white space at the ends of names is cut and counted. A first record of
 * column names is skipped, counted, and sets the order. Bad fields are HS_ERR_DATA at path:line. */
hs_status hs_columns_add(hs_columns *columns, hs_graph *g, const hs_field *field, size_t n, const char *path,
                         uint64_t line, hs_read_report *report, hs_error *err);
/* The same for a line with tabs between its fields. */
hs_status hs_columns_add_line(hs_columns *columns, hs_graph *g, const char *text, size_t len, const char *path,
                              uint64_t line, hs_read_report *report, hs_error *err);
/* At the end: HS_ERR_DATA if the facts are plainly in another order than the one that was taken for granted. */
hs_status hs_columns_check(const hs_columns *columns, const hs_graph *g, const char *path, hs_error *err);

/* ---- one 2Wiki record after repair; strings live until the callback returns */
typedef struct hs_wiki_evidence {
    const char *head, *relation, *tail;
} hs_wiki_evidence;
typedef struct hs_wiki_record {
    const char *type, *question; /* "" when absent */
    size_t n;
    const hs_wiki_evidence *evidence;
    const void *context; /* json_t: [[title, [sentence, ...]], ...], or NULL */
} hs_wiki_record;
typedef hs_status (*hs_wiki_fn)(void *ctx, const hs_wiki_record *record, hs_error *err);
hs_status hs_wiki_each(const hs_source *from, const hs_read_options *options, hs_read_report *report, hs_wiki_fn fn,
                       void *ctx, hs_error *err);

/* ---- elements of a JSON list, or one object a line, in bounded memory (json_split.c) */
typedef struct hs_json_split hs_json_split;
hs_status hs_json_split_open(hs_json_split **out, const hs_source *from, size_t max_record, hs_error *err);
/* Next record's text (not terminated; valid until the next call), NULL at the end. */
hs_status hs_json_split_next(hs_json_split *split, const char **text, size_t *len, hs_error *err);
uint64_t hs_json_split_line(const hs_json_split *split);   /* where the last record began */
uint64_t hs_json_split_number(const hs_json_split *split); /* its 1-based number */
void hs_json_split_close(hs_json_split *split);

/* ---- normalize.c */
enum { HS_DATE_SIZE = 16 };
/* ISO form of "9 August 1957", "August 9, 1957", "August 1957", "1957", "1957-08-09"; false if it is none of these. */
bool hs_date_iso(const char *text, char out[HS_DATE_SIZE]);
/* Country of a demonym or alias ("American", "U.S."), or NULL when it is not in the table. */
const char *hs_country_name(const char *text);

#endif
