/* readers.h - what the readers of src/graph share; not public.
 *
 * A reader adds facts to a zeroed graph and counts into a zeroed report; hs_graph_read indexes, or frees everything
 * when a reader fails, so no half-built graph leaves the layer.
 */
#ifndef HOPSCOPE_GRAPH_READERS_H
#define HOPSCOPE_GRAPH_READERS_H

#include "hopscope/graph.h"

enum { HS_MAX_LINE = 1 << 20 };    /* bytes of a TSV line or a CSV record */
enum { HS_MAX_RECORD = 64 << 20 }; /* bytes of one JSON record */
enum { HS_MAX_NAME = 4096 };       /* bytes of an entity's or relation's name */

hs_status hs_read_tsv(hs_graph *g, const char *path, hs_read_report *report, hs_error *err);
hs_status hs_read_csv(hs_graph *g, const char *path, hs_read_report *report, hs_error *err);
hs_status hs_read_wiki(hs_graph *g, const char *path, const hs_read_options *options, hs_read_report *report,
                       hs_error *err);
hs_status hs_read_rdf(hs_graph *g, const char *path, bool turtle, const hs_read_options *options,
                      hs_read_report *report, hs_error *err);
hs_status hs_read_world(hs_graph *g, hs_read_report *report, hs_error *err);

/* One fact of a text format: 3 fields, or 4 with "synthetic". Bad fields are HS_ERR_DATA at path:line. */
typedef struct hs_field {
    const char *s;
    size_t len;
} hs_field;
hs_status hs_read_fields(hs_graph *g, const hs_field *field, size_t n, const char *path, uint64_t line, hs_error *err);
/* Split a tab-separated line and add its fact. */
hs_status hs_read_tsv_line(hs_graph *g, const char *text, size_t len, const char *path, uint64_t line, hs_error *err);

/* ---- one 2Wiki record after repair; strings live until the callback returns */
typedef struct hs_wiki_evidence {
    const char *head, *relation, *tail;
} hs_wiki_evidence;
typedef struct hs_wiki_record {
    const char *type, *question; /* "" when absent */
    size_t n;
    const hs_wiki_evidence *evidence;
} hs_wiki_record;
typedef hs_status (*hs_wiki_fn)(void *ctx, const hs_wiki_record *record, hs_error *err);
hs_status hs_wiki_each(const char *path, const hs_read_options *options, hs_read_report *report, hs_wiki_fn fn,
                       void *ctx, hs_error *err);

/* ---- elements of a JSON list, or one object a line, in bounded memory (json_split.c) */
typedef struct hs_json_split hs_json_split;
hs_status hs_json_split_open(hs_json_split **out, const char *path, size_t max_record, hs_error *err);
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
