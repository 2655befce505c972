/* curves.c - what run.db holds, as columns: evaluations, metrics, probes, hashes of the weights, events, information.
 *
 * Invariant: every row of these tables is there once, its numbers equal as doubles; where a file leaves measurements
 * out for its size, it says so. */
#include "report/page/page.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef double (*number_fn)(const void *row);

/* A column of rows, `elem` bytes each. */
static void add_column(hs_str *out, const char *key, const void *rows, size_t n, size_t elem, number_fn number)
{
    hs_page_key(out, key);
    hs_page_open(out, '[');
    for (size_t i = 0; i < n; i++)
        hs_page_number(out, number((const char *)rows + i * elem));
    hs_page_close(out, ']');
}

/* ---------------------------------------------------------------- evaluations */

static double eval_step(const void *row)
{
    return (double)((const hs_eval_row *)row)->step;
}
static double eval_accuracy(const void *row)
{
    return ((const hs_eval_row *)row)->eval.accuracy;
}
static double eval_loss(const void *row)
{
    return ((const hs_eval_row *)row)->eval.loss;
}
static double eval_seconds(const void *row)
{
    return ((const hs_eval_row *)row)->seconds;
}
static double eval_n(const void *row)
{
    return (double)((const hs_eval_row *)row)->eval.n;
}

static int by_split(const void *a, const void *b)
{
    const hs_eval_row *x = a, *y = b;
    const int order = strcmp(x->eval.split, y->eval.split);
    return order ? order : (x->step > y->step) - (x->step < y->step);
}

static void add_split(hs_str *out, const hs_eval_row *rows, size_t n)
{
    bool same_n = true;
    for (size_t i = 1; i < n; i++)
        same_n &= rows[i].eval.n == rows[0].eval.n;
    hs_page_key(out, rows[0].eval.split);
    hs_page_open(out, '{');
    hs_page_key_whole(out, "n", rows[n - 1].eval.n);
    if (!same_n) /* of each evaluation, where a setting changed on the way */
        add_column(out, "ns", rows, n, sizeof *rows, eval_n);
    add_column(out, "step", rows, n, sizeof *rows, eval_step);
    add_column(out, "accuracy", rows, n, sizeof *rows, eval_accuracy);
    add_column(out, "loss", rows, n, sizeof *rows, eval_loss);
    add_column(out, "seconds", rows, n, sizeof *rows, eval_seconds);
    hs_page_close(out, '}');
}

static void add_evaluations(hs_page_run *r, hs_str *out)
{
    hs_page_key(out, "evaluations");
    hs_page_open(out, '{');
    hs_eval_row *rows = hs_alloc((r->n_evals + 1) * sizeof *rows);
    out->failed |= !rows;
    if (rows && r->n_evals) {
        memcpy(rows, r->eval, r->n_evals * sizeof *rows);
        qsort(rows, r->n_evals, sizeof *rows, by_split);
        for (size_t first = 0, last; first < r->n_evals; first = last) {
            for (last = first + 1; last < r->n_evals && strcmp(rows[last].eval.split, rows[first].eval.split) == 0;)
                last++;
            add_split(out, rows + first, last - first);
        }
    }
    hs_free(rows);
    hs_page_close(out, '}');
}

/* ---------------------------------------------------------------- metrics */

static double metric_step(const void *row)
{
    return (double)((const hs_metric_row *)row)->step;
}
static double metric_value(const void *row)
{
    return ((const hs_metric_row *)row)->value;
}

static void add_metrics(hs_page_run *r, hs_str *out)
{
    hs_text_row *names = NULL;
    size_t n = 0;
    hs_error err = {0};
    hs_page_key(out, "metrics");
    hs_page_open(out, '{');
    hs_status status = r->record ? hs_record_metric_names(r->record, &names, &n, &err) : HS_OK;
    for (size_t i = 0; i < n && status == HS_OK; i++) {
        hs_metric_row *rows;
        size_t n_rows;
        status = hs_record_metrics(r->record, names[i].name, &rows, &n_rows, &err);
        if (status != HS_OK)
            break;
        hs_page_key(out, names[i].name);
        hs_page_open(out, '{');
        add_column(out, "step", rows, n_rows, sizeof *rows, metric_step);
        add_column(out, "value", rows, n_rows, sizeof *rows, metric_value);
        hs_page_close(out, '}');
        hs_free(rows);
    }
    hs_page_close(out, '}');
    hs_record_texts_free(names, n);
    if (status != HS_OK)
        hs_page_lacks(r, "The metrics cannot be read", &err);
}

/* ---------------------------------------------------------------- probes */

static int by_keys(const hs_probe_row *x, const hs_probe_row *y)
{
    const char *const a[] = {x->method, x->split, x->position, x->role, x->measure};
    const char *const b[] = {y->method, y->split, y->position, y->role, y->measure};
    for (int i = 0; i < 5; i++) {
        if (i == 2 && x->stage != y->stage)
            return x->stage < y->stage ? -1 : 1;
        const int order = strcmp(a[i], b[i]);
        if (order)
            return order;
    }
    return 0;
}

static int by_series(const void *a, const void *b)
{
    const hs_probe_row *x = a, *y = b;
    const int order = by_keys(x, y);
    return order ? order : (x->step > y->step) - (x->step < y->step);
}

static double probe_step(const void *row)
{
    return (double)((const hs_probe_row *)row)->step;
}
static double probe_n(const void *row)
{
    return (double)((const hs_probe_row *)row)->n;
}
static double probe_value(const void *row)
{
    return ((const hs_probe_row *)row)->value;
}
static double probe_low(const void *row)
{
    return ((const hs_probe_row *)row)->low;
}
static double probe_high(const void *row)
{
    return ((const hs_probe_row *)row)->high;
}

static void add_series(hs_str *out, const hs_probe_row *rows, size_t n)
{
    hs_page_open(out, '{');
    const struct {
        const char *key, *text;
    } keys[] = {{"method", rows->method},
                {"split", rows->split},
                {"position", rows->position},
                {"role", rows->role},
                {"measure", rows->measure}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        hs_page_key_text(out, keys[i].key, keys[i].text);
    }
    hs_page_key_number(out, "stage", rows->stage);
    add_column(out, "step", rows, n, sizeof *rows, probe_step);
    add_column(out, "n", rows, n, sizeof *rows, probe_n);
    add_column(out, "value", rows, n, sizeof *rows, probe_value);
    add_column(out, "low", rows, n, sizeof *rows, probe_low);
    add_column(out, "high", rows, n, sizeof *rows, probe_high);
    hs_page_close(out, '}');
}

/* The lens has many numbers a stage and position; the page draws one of them. */
static bool is_detail(const hs_probe_row *row)
{
    return strcmp(row->method, "lens") == 0 && row->stage != HS_ALL_STAGES &&
           strcmp(row->measure, hs_method_find("lens")->measure) != 0;
}

static void note_cut(hs_page_run *r, size_t all, size_t kept)
{
    char a[32], b[32];
    hs_page_missing(
        r,
        "Of %s measurements of the microscope %s are in this file, of the lens by stage those of measure %s; all "
        "stand in %s/run.db, and hopscope serve shows them.",
        hs_format_count(all, a), hs_format_count(kept, b), hs_method_find("lens")->measure, r->run.dir);
}

static void add_probes(hs_page_run *r, hs_str *out)
{
    hs_probe_row *rows = NULL;
    size_t n = 0, kept = 0;
    hs_error err = {0};
    hs_page_key(out, "probes");
    hs_page_open(out, '[');
    if (r->record && hs_record_probes(r->record, NULL, &rows, &n, &err) != HS_OK)
        hs_page_lacks(r, "What the microscope measured cannot be read", &err);
    else if (n == 0 && r->n_evals > 0)
        hs_page_missing(r, "No look inside all queries yet: hopscope interpret %s --method lens,trace --steps all",
                        r->run.dir);
    const bool cut = r->brief && n > HS_PAGE_PROBES;
    if (n > 0)
        qsort(rows, n, sizeof *rows, by_series);
    for (size_t first = 0, last; first < n; first = last) {
        for (last = first + 1; last < n && by_keys(&rows[last], &rows[first]) == 0;)
            last++;
        if (cut && is_detail(&rows[first]))
            continue;
        add_series(out, rows + first, last - first);
        kept += last - first;
    }
    if (kept < n)
        note_cut(r, n, kept);
    hs_free(rows);
    hs_page_close(out, ']');
}

/* ---------------------------------------------------------------- the rest */

static void add_weights(hs_page_run *r, hs_str *out)
{
    hs_weights_row *rows = NULL;
    size_t n = 0;
    hs_error err = {0};
    hs_page_key(out, "weights");
    hs_page_open(out, '[');
    if (r->record && hs_record_weights_rows(r->record, &rows, &n, &err) != HS_OK)
        hs_page_lacks(r, "The hashes of the weights cannot be read", &err);
    for (size_t i = 0; i < n; i++) {
        char hash[20];
        snprintf(hash, sizeof hash, "%016" PRIx64, rows[i].hash);
        hs_page_open(out, '{');
        hs_page_key_whole(out, "step", rows[i].step);
        hs_page_key_text(out, "hash", hash);
        hs_page_close(out, '}');
    }
    hs_free(rows);
    hs_page_close(out, ']');
}

static void add_events(hs_page_run *r, hs_str *out)
{
    hs_text_row *rows = NULL;
    size_t n = 0;
    hs_error err = {0};
    hs_page_key(out, "events");
    hs_page_open(out, '[');
    if (r->record && hs_record_events(r->record, &rows, &n, &err) != HS_OK)
        hs_page_lacks(r, "The events cannot be read", &err);
    for (size_t i = 0; i < n; i++) {
        hs_page_open(out, '{');
        hs_page_key_text(out, "time", rows[i].time);
        hs_page_key_whole(out, "step", rows[i].step);
        hs_page_key_text(out, "kind", rows[i].name);
        hs_page_key_text(out, "text", rows[i].text);
        hs_page_close(out, '}');
    }
    hs_record_texts_free(rows, n);
    hs_page_close(out, ']');
}

static void add_info(hs_page_run *r, hs_str *out)
{
    hs_text_row *rows = NULL;
    size_t n = 0;
    hs_error err = {0};
    hs_page_key(out, "info");
    hs_page_open(out, '{');
    if (r->record && hs_record_infos(r->record, &rows, &n, &err) != HS_OK)
        hs_page_lacks(r, "The record's information cannot be read", &err);
    for (size_t i = 0; i < n; i++) {
        hs_page_key_text(out, rows[i].name, rows[i].text);
    }
    hs_record_texts_free(rows, n);
    hs_page_close(out, '}');
}

void hs_page_curves(hs_page_run *r, hs_str *out)
{
    add_evaluations(r, out);
    add_metrics(r, out);
    add_probes(r, out);
    add_weights(r, out);
    add_events(r, out);
    add_info(r, out);
}
