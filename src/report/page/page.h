/* page.h - shared between the files of the page: JSON as text, a run as far as it can be read, queries, looks. */
#ifndef HOPSCOPE_REPORT_PAGE_H
#define HOPSCOPE_REPORT_PAGE_H

#include "hopscope/report.h"
#include "interp/sample.h"

/* ---------------------------------------------------------------- JSON (json.c)
 *
 * Text grows in an hs_str; a comma is put before a value or key wherever one is due, which the last character tells. */
void hs_page_open(hs_str *out, char bracket);  /* '{' or '[', as a value */
void hs_page_close(hs_str *out, char bracket); /* '}' or ']' */
void hs_page_key(hs_str *out, const char *key);
void hs_page_text(hs_str *out, const char *text); /* NULL = null; bytes that are no UTF-8 become U+FFFD */
/* The fewest of 15 to 17 digits that read back to the same double; null where it is not finite. */
void hs_page_number(hs_str *out, double value);
void hs_page_whole(hs_str *out, uint64_t value);
void hs_page_token(hs_str *out, uint32_t token); /* null for HS_NO_ID */
void hs_page_bool(hs_str *out, bool value);
void hs_page_raw(hs_str *out, const char *json); /* a value that is JSON already; NULL or "" = null */
/* A member of an object: its key and its value. */
void hs_page_key_text(hs_str *out, const char *key, const char *text);
void hs_page_key_number(hs_str *out, const char *key, double value);
void hs_page_key_whole(hs_str *out, const char *key, uint64_t value);
/* `json` inside a <script>: '<', '>', '&', U+2028 and U+2029, which stand in strings only, as \uXXXX. */
void hs_page_escape(hs_str *out, const char *json, size_t len);

/* ---------------------------------------------------------------- a run (run.c) */

enum {
    HS_PAGE_WORDS = HS_MAX_PLACES,
    HS_PAGE_CHECKPOINTS = 40,
    HS_PAGE_QUERIES = 100,
    HS_PAGE_FACTS = 50000,
    HS_PAGE_PROBES = 50000
};

/* A question that is looked at. */
typedef struct hs_page_query {
    uint32_t split;   /* of the dataset; HS_NO_ID: in none */
    bool trained;     /* a split of the training set has it */
    uint32_t n, hops; /* tokens of the prompt; relations, 0 where that is no word of the task */
    uint32_t token[HS_PAGE_WORDS];
    uint32_t n_bridges, bridge[2 * HS_MAX_HOPS]; /* entities between the hops; HS_NO_ID: the facts do not say */
    uint32_t target, second;                     /* tokens of the right answer, or HS_NO_ID */
    int8_t ood[HS_MAX_HOPS];                     /* of each hop: 1 OOD fact, 0 another one, -1 no such fact */
    /* by hs_page_query_place: */
    uint32_t n_places;
    hs_place place[HS_MAX_PLACES];    /* columns of the grid */
    uint32_t hop_end;                 /* column where the first hop ends; HS_NO_ID: no hop, or one alone */
    uint32_t replaced[HS_PAGE_WORDS]; /* the prompt with another head */
    uint32_t replacement;             /* that head; HS_NO_ID: none fits */
} hs_page_query;

/* What can be read of a run; what cannot is said in `missing`. */
typedef struct hs_page_run {
    char id[256];
    hs_run run; /* dir; config, data, model where `has_` says so */
    bool has_config, has_data, has_model;
    hs_record *record; /* NULL: there is none */
    char title[256], ended_by[32];
    hs_eval_row *eval;
    size_t n_evals;
    uint64_t *step; /* (n_steps) stored checkpoints that are looked at, ascending */
    size_t n_steps;
    hs_page_query *query; /* (n_queries) */
    uint32_t n_queries;
    const hs_events *events; /* hears of what cannot be read; may be NULL */
    bool brief;     /* for a file: more than HS_PAGE_PROBES measurements are cut to those that are drawn */
    hs_str missing; /* elements of a JSON array */
} hs_page_run;

/* Reads all that can be read; HS_ERR_IO if the folder is no run at all. `out` is zero-initialized, and freed by the
 * caller also after a failure. */
hs_status hs_page_run_open(hs_page_run *out, const hs_page_folder *folder, const hs_page_options *options,
                           hs_error *err);
void hs_page_run_close(hs_page_run *run);
/* At most `most` of the steps, evenly spaced in their order (which is about log time), first and last among them. */
void hs_page_thin(uint64_t *step, size_t *n, size_t most);
/* Another sentence of what is missing; hs_page_lacks: of what is there and cannot be read, with the error's words, and
 * as a warning. */
void hs_page_missing(hs_page_run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void hs_page_lacks(hs_page_run *run, const char *what, const hs_error *err);

/* RUN of docs/page.md but for its end: the brackets stay open, so that the checkpoints can follow. */
void hs_page_run_json(hs_page_run *run, const hs_page_options *options, const hs_signals *signals, hs_str *out);
void hs_page_run_end(const hs_page_run *run, hs_str *out);

/* Parts of RUN: from run.db (curves.c), from the dataset (data.c). */
void hs_page_curves(hs_page_run *run, hs_str *out);
void hs_page_dataset(hs_page_run *run, hs_str *out);

/* ---------------------------------------------------------------- queries (queries.c) */

/* `wanted` queries of all splits, one of each split in turn, the same ones for the same dataset. */
hs_status hs_page_queries(const hs_dataset *data, uint32_t wanted, hs_page_query **out, uint32_t *n, hs_error *err);
void hs_page_query_of_item(const hs_dataset *data, const hs_split *split, uint64_t item, hs_page_query *out);
/* A question of n tokens as far as splits and facts know it; HS_ERR_DATA for one that does not fit the task. */
hs_status hs_page_query_of(const hs_dataset *data, const uint32_t *token, uint32_t n, hs_page_query *out,
                           hs_error *err);
/* Its columns, and with a scope what takes its head's place. */
hs_status hs_page_query_place(const hs_dataset *data, const hs_model *model, hs_scope *scope, hs_page_query *query,
                              hs_error *err);
void hs_page_query_json(const hs_dataset *data, const hs_page_query *query, hs_str *out);

/* ---------------------------------------------------------------- looks (look.c, looks.c) */

/* LOOKs of n placed queries by one model, each appended as JSON to its json[i]. The same for any number of threads. */
hs_status hs_page_look(const hs_model *model, const hs_dataset *data, const hs_page_query *query, uint32_t n,
                       hs_pool *pool, const hs_signals *signals, hs_str *json, hs_error *err);
/* Floating point operations of one look, about. */
double hs_page_look_flop(const hs_model *model, uint32_t tokens);
extern const float hs_page_alphas[];
#define HS_PAGE_FLOP 4e12 /* that all looks of a run may cost, if nothing else is said */
enum { HS_PAGE_ALPHAS = 5 };

/* A run's LOOKS: a text for each checkpoint, "[LOOK,...]". Steps that cannot be loaded are taken from r->step and named
 * in `missing`. */
typedef struct hs_page_looks {
    hs_str *text; /* (r->n_steps) */
    size_t n;
} hs_page_looks;
/* Fewer checkpoints and queries where a look is dear: before looks and JSON of the run. */
hs_status hs_page_afford(hs_page_run *run, const hs_page_options *options, hs_error *err);
hs_status hs_page_looks_make(hs_page_run *run, const hs_page_options *options, const hs_signals *signals,
                             const hs_events *events, hs_page_looks *out, hs_error *err);
/* About half the checkpoints, the last among them; of the run too. */
void hs_page_looks_halve(hs_page_run *run, hs_page_looks *looks);
/* LOOKS as gzip in base64, appended to `out`. */
hs_status hs_page_looks_pack(const hs_page_run *run, const hs_page_looks *looks, hs_str *out, hs_error *err);
void hs_page_looks_free(hs_page_looks *looks);
/* gzip in base64, appended to `out`. */
hs_status hs_page_pack(hs_str *out, const char *text, size_t len, hs_error *err);

#endif
