/* record_rows.c - run.db read back: evaluations, hashes, checkpoints, metrics, measurements and texts, each as an array
 * of rows in the order of their steps. */
#include "train/record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static double column_number(sqlite3_stmt *s, int i)
{
    return sqlite3_column_type(s, i) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(s, i);
}

/* Every row of a query into a grown array; `take` fills one element. bind(s, with) gives its parameters; NULL: none.
 * After a failure the rows read so far are there all the same. */
static hs_status collect_rows(hs_record *r, const char *query, void (*bind)(sqlite3_stmt *s, const void *with),
                              const void *with, size_t elem, void (*take)(sqlite3_stmt *s, void *row), void **rows,
                              size_t *n, hs_error *err)
{
    *rows = NULL;
    *n = 0;
    size_t cap = 0;
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(r->db, query, -1, &s, NULL);
    hs_status status = code == SQLITE_OK ? HS_OK : hs_record_fail(r, code, "read", err);
    if (status == HS_OK && bind)
        bind(s, with);
    while (status == HS_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
        status = hs_grow(rows, &cap, *n + 1, elem, err);
        if (status == HS_OK)
            take(s, (char *)*rows + elem * (*n)++);
    }
    if (status == HS_OK && code != SQLITE_DONE)
        status = hs_record_fail(r, code, "read", err);
    sqlite3_finalize(s);
    return status;
}

/* The same, and nothing after a failure: for rows that own nothing. */
static hs_status read_rows(hs_record *r, const char *query, void (*bind)(sqlite3_stmt *s, const void *with),
                           const void *with, size_t elem, void (*take)(sqlite3_stmt *s, void *row), void **rows,
                           size_t *n, hs_error *err)
{
    const hs_status status = collect_rows(r, query, bind, with, elem, take, rows, n, err);
    if (status != HS_OK) {
        hs_free(*rows);
        *rows = NULL;
        *n = 0;
    }
    return status;
}

static void take_eval(sqlite3_stmt *s, void *out)
{
    hs_eval_row *e = out;
    *e = (hs_eval_row){.step = (uint64_t)sqlite3_column_int64(s, 0), .seconds = column_number(s, 5)};
    snprintf(e->eval.split, sizeof e->eval.split, "%s", hs_record_column_text(s, 1));
    e->eval.n = (uint64_t)sqlite3_column_int64(s, 2);
    e->eval.accuracy = column_number(s, 3);
    e->eval.loss = column_number(s, 4);
}

static void bind_step(sqlite3_stmt *s, const void *step)
{
    sqlite3_bind_int64(s, 1, (sqlite3_int64) * (const uint64_t *)step);
}

hs_status hs_record_evals_from(hs_record *r, uint64_t first, hs_eval_row **rows, size_t *n, hs_error *err)
{
    void *p;
    hs_status status = read_rows(r,
                                 "SELECT step, split, n, accuracy, loss, seconds FROM evaluation WHERE step >= ?1 "
                                 "ORDER BY step, split",
                                 bind_step, &first, sizeof **rows, take_eval, &p, n, err);
    *rows = p;
    return status;
}

hs_status hs_record_evals(hs_record *r, hs_eval_row **rows, size_t *n, hs_error *err)
{
    return hs_record_evals_from(r, 0, rows, n, err);
}

static uint64_t column_hash(sqlite3_stmt *s, int i)
{
    return strtoull(hs_record_column_text(s, i), NULL, 16);
}

static void take_weights(sqlite3_stmt *s, void *out)
{
    *(hs_weights_row *)out = (hs_weights_row){.step = (uint64_t)sqlite3_column_int64(s, 0),
                                              .hash = column_hash(s, 1),
                                              .chain = column_hash(s, 2),
                                              .linked = sqlite3_column_type(s, 2) != SQLITE_NULL};
}

hs_status hs_record_weights_rows(hs_record *r, hs_weights_row **rows, size_t *n, hs_error *err)
{
    void *p;
    hs_status status = read_rows(r,
                                 r->version < 2 ? "SELECT step, hash, NULL FROM weights ORDER BY step"
                                                : "SELECT step, hash, chain FROM weights ORDER BY step",
                                 NULL, NULL, sizeof **rows, take_weights, &p, n, err);
    *rows = p;
    return status;
}

hs_status hs_record_link_at(hs_record *r, uint64_t step, uint64_t *link, hs_error *err)
{
    void *p;
    size_t n;
    const hs_status status =
        read_rows(r,
                  r->version < 2 ? "SELECT step, hash, NULL FROM weights WHERE step <= ?1 ORDER BY step DESC LIMIT 1"
                                 : "SELECT step, hash, chain FROM weights WHERE step <= ?1 ORDER BY step DESC LIMIT 1",
                  bind_step, &step, sizeof(hs_weights_row), take_weights, &p, &n, err);
    const hs_weights_row *last = p;
    *link = n ? (last->linked ? last->chain : last->hash) : 0;
    hs_free(p);
    return status;
}

static void take_checkpoint(sqlite3_stmt *s, void *out)
{
    *(hs_checkpoint_row *)out = (hs_checkpoint_row){
        .step = (uint64_t)sqlite3_column_int64(s, 0), .weights = column_hash(s, 1), .state = column_hash(s, 2)};
}

hs_status hs_record_checkpoints(hs_record *r, hs_checkpoint_row **rows, size_t *n, hs_error *err)
{
    void *p = NULL;
    *n = 0;
    hs_status status = HS_OK;
    if (r->version >= 2)
        status = read_rows(r, "SELECT step, weights, state FROM checkpoint ORDER BY step", NULL, NULL, sizeof **rows,
                           take_checkpoint, &p, n, err);
    *rows = p;
    return status;
}

static void bind_name(sqlite3_stmt *s, const void *name)
{
    hs_record_bind_text(s, 1, name);
}

static void take_metric(sqlite3_stmt *s, void *out)
{
    *(hs_metric_row *)out = (hs_metric_row){.step = (uint64_t)sqlite3_column_int64(s, 0), .value = column_number(s, 1)};
}

hs_status hs_record_metrics(hs_record *r, const char *name, hs_metric_row **rows, size_t *n, hs_error *err)
{
    void *p;
    hs_status status = read_rows(r, "SELECT step, value FROM metric WHERE name = ?1 ORDER BY step", bind_name, name,
                                 sizeof **rows, take_metric, &p, n, err);
    *rows = p;
    return status;
}

static void take_named_metric(sqlite3_stmt *s, void *out)
{
    hs_named_metric *m = out;
    *m = (hs_named_metric){.value = column_number(s, 1)};
    snprintf(m->name, sizeof m->name, "%s", hs_record_column_text(s, 0));
}

hs_status hs_record_metrics_at(hs_record *r, uint64_t step, hs_named_metric **rows, size_t *n, hs_error *err)
{
    void *p;
    hs_status status = read_rows(r, "SELECT name, value FROM metric WHERE step = ?1 ORDER BY name", bind_step, &step,
                                 sizeof **rows, take_named_metric, &p, n, err);
    *rows = p;
    return status;
}

static void bind_filter(sqlite3_stmt *s, const void *with)
{
    const hs_probe_filter *f = with;
    const char *const text[] = {f->method, f->split, f->role, f->measure};
    for (int i = 0; i < 4; i++)
        if (text[i]) /* else NULL: any */
            hs_record_bind_text(s, 1 + i, text[i]);
    sqlite3_bind_int64(s, 5, (sqlite3_int64)f->first);
    sqlite3_bind_int64(s, 6, f->last ? (sqlite3_int64)f->last : INT64_MAX);
}

static void take_probe_count(sqlite3_stmt *s, void *out)
{
    *(hs_probe_count *)out =
        (hs_probe_count){.step = (uint64_t)sqlite3_column_int64(s, 0), .n = (uint64_t)sqlite3_column_int64(s, 1)};
}

hs_status hs_record_probe_counts(hs_record *r, hs_probe_count **rows, size_t *n, hs_error *err)
{
    void *p = NULL;
    *n = 0;
    hs_status status = HS_OK;
    if (r->version >= 2)
        status = read_rows(r, "SELECT step, count(*) FROM probe GROUP BY step ORDER BY step", NULL, NULL, sizeof **rows,
                           take_probe_count, &p, n, err);
    *rows = p;
    return status;
}

static void take_probe(sqlite3_stmt *s, void *out)
{
    hs_probe_row *p = out;
    *p = (hs_probe_row){.step = (uint64_t)sqlite3_column_int64(s, 0),
                        .stage = sqlite3_column_int(s, 3),
                        .n = (uint64_t)sqlite3_column_int64(s, 7),
                        .value = column_number(s, 8),
                        .low = column_number(s, 9),
                        .high = column_number(s, 10)};
    snprintf(p->method, sizeof p->method, "%s", hs_record_column_text(s, 1));
    snprintf(p->split, sizeof p->split, "%s", hs_record_column_text(s, 2));
    snprintf(p->position, sizeof p->position, "%s", hs_record_column_text(s, 4));
    snprintf(p->role, sizeof p->role, "%s", hs_record_column_text(s, 5));
    snprintf(p->measure, sizeof p->measure, "%s", hs_record_column_text(s, 6));
}

hs_status hs_record_probes(hs_record *r, const hs_probe_filter *filter, hs_probe_row **rows, size_t *n, hs_error *err)
{
    static const hs_probe_filter all = {0};
    void *p = NULL;
    *rows = NULL;
    *n = 0;
    if (r->version < 2)
        return HS_OK;
    hs_status status =
        read_rows(r,
                  "SELECT * FROM probe WHERE (?1 IS NULL OR method = ?1) AND (?2 IS NULL OR split = ?2) AND "
                  "(?3 IS NULL OR role = ?3) AND (?4 IS NULL OR measure = ?4) AND step BETWEEN ?5 AND ?6 "
                  "ORDER BY step, method, split, stage, position, role, measure",
                  bind_filter, filter ? filter : &all, sizeof **rows, take_probe, &p, n, err);
    *rows = p;
    return status;
}

/* ---------------------------------------------------------------- texts */

static void take_text(sqlite3_stmt *s, void *out)
{
    hs_text_row *t = out;
    *t = (hs_text_row){.step = (uint64_t)sqlite3_column_int64(s, 0)};
    snprintf(t->time, sizeof t->time, "%s", hs_record_column_text(s, 1));
    snprintf(t->name, sizeof t->name, "%s", hs_record_column_text(s, 2));
    t->text = hs_strdup(hs_record_column_text(s, 3));
}

void hs_record_texts_free(hs_text_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hs_free(rows[i].text);
    hs_free(rows);
}

static hs_status read_texts(hs_record *r, const char *query, hs_text_row **rows, size_t *n, hs_error *err)
{
    void *p;
    hs_status status = collect_rows(r, query, NULL, NULL, sizeof **rows, take_text, &p, n, err);
    *rows = p;
    for (size_t i = 0; status == HS_OK && i < *n; i++)
        if (!(*rows)[i].text)
            status = hs_fail_memory(err, 1);
    if (status != HS_OK) {
        hs_record_texts_free(*rows, *n);
        *rows = NULL;
        *n = 0;
    }
    return status;
}

hs_status hs_record_infos(hs_record *r, hs_text_row **rows, size_t *n, hs_error *err)
{
    return read_texts(r, "SELECT 0, '', key, value FROM info ORDER BY key", rows, n, err);
}

hs_status hs_record_events(hs_record *r, hs_text_row **rows, size_t *n, hs_error *err)
{
    return read_texts(r, "SELECT step, time, kind, text FROM event ORDER BY id", rows, n, err);
}

hs_status hs_record_metric_names(hs_record *r, hs_text_row **rows, size_t *n, hs_error *err)
{
    return read_texts(r, "SELECT DISTINCT 0, '', name, '' FROM metric ORDER BY name", rows, n, err);
}
