/* gather.c - what became of a sweep: from the members' records to one table.
 *
 * Invariants: a member that never got there enters a time as "longer than", never as a number and never not at all; one
 * that diverged will never get there and counts as longer than the longest member. Numbers at the end are of finished
 * members only. */
#include "experiment/sweep/sweep.h"

#include <math.h>
#include <string.h>

enum { MAX_DEFAULT = 32 };

/* ---------------------------------------------------------------- columns */

static hs_status add_column(hs_sweep_table *t, const char *text, hs_error *err)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (strcmp(t->column[i].title, text) == 0)
            return HS_OK;
    return t->n_columns < MAX_DEFAULT ? hs_sweep_column_parse(&t->column[t->n_columns++], text, err) : HS_OK;
}

/* Without a table in the plan: the accuracy of every test split, and when the stop rule of the first arm was met. */
static hs_status default_columns(const hs_sweep *sweep, hs_sweep_table *t, hs_error *err)
{
    char text[128], number[32];
    for (uint32_t m = 0; m < hs_sweep_size(sweep); m++) {
        hs_member_record record;
        hs_member member;
        HS_TRY(hs_member_read(sweep, m, &record, &member, err));
        hs_status status = HS_OK;
        for (size_t i = 0; i < record.n_evals && record.eval[i].step == record.eval[0].step && status == HS_OK; i++)
            if (strncmp(record.eval[i].eval.split, "test", 4) == 0)
                status = add_column(t, record.eval[i].eval.split, err);
        hs_member_close(&record);
        HS_TRY(status);
    }
    const hs_train_config *c = &sweep->arm[0].config.train;
    if (!c->stop_split[0])
        return HS_OK;
    hs_number_text(c->stop_accuracy, false, number);
    snprintf(text, sizeof text, "%s >= %s", c->stop_split, number);
    HS_TRY(add_column(t, text, err));
    snprintf(text, sizeof text, "%s >= %s in cpu_seconds", c->stop_split, number);
    return add_column(t, text, err);
}

static hs_status choose_columns(const hs_sweep *sweep, hs_sweep_table *t, hs_error *err)
{
    const size_t n = sweep->n_columns ? sweep->n_columns : MAX_DEFAULT;
    t->column = hs_calloc(n, sizeof *t->column);
    if (!t->column)
        return hs_fail_memory(err, n * sizeof *t->column);
    if (!sweep->n_columns)
        return default_columns(sweep, t, err);
    memcpy(t->column, sweep->column, n * sizeof *t->column);
    t->n_columns = n;
    return HS_OK;
}

/* ---------------------------------------------------------------- one member */

/* The first x whose y is past the threshold, else the last x. */
static void first_time(const hs_sweep_column *c, const double *x, const double *y, size_t n, double *value,
                       bool *reached)
{
    for (size_t i = 0; i < n; i++) {
        *value = x[i];
        if ((*reached = c->below ? y[i] <= c->threshold : y[i] >= c->threshold))
            return;
    }
}

/* What is known of the split without a model; NaN where the audit has nothing. */
static double baseline_of(const hs_dataset *data, const hs_sweep_column *c)
{
    for (uint32_t i = 0; data->audit.split && i < data->n_splits; i++) {
        if (strcmp(data->splits[i].name, c->split) != 0 || data->splits[i].role != HS_SPLIT_TEST)
            continue;
        const hs_baselines *b = &data->audit.split[i].baselines;
        return c->source == HS_SWEEP_MAJORITY ? hs_majority(data->splits[i].kind, b) : hs_baselines_best(b).value;
    }
    return (double)NAN;
}

static bool wants_dataset(const hs_sweep_table *t)
{
    for (size_t c = 0; c < t->n_columns; c++)
        if (t->column[c].source == HS_SWEEP_SHORTCUT || t->column[c].source == HS_SWEEP_MAJORITY)
            return true;
    return false;
}

static hs_status read_dataset(const hs_sweep *sweep, uint32_t member, hs_dataset *out, hs_error *err)
{
    char dir[4096], path[4096];
    HS_TRY(hs_sweep_dir(sweep, member, dir, sizeof dir, err));
    HS_TRY(hs_path_join(path, sizeof path, dir, "dataset", err));
    return hs_dataset_read(out, path, err);
}

/* Accuracy of a split at its last evaluation, and the items it is of; NaN without one. */
static double last_share(const hs_member_record *record, const char *split, uint64_t *items)
{
    for (size_t i = record->n_evals; i-- > 0;)
        if (strcmp(record->eval[i].eval.split, split) == 0) {
            *items = record->eval[i].eval.n;
            return record->eval[i].eval.accuracy;
        }
    return (double)NAN;
}

static hs_status measure(const hs_member_record *record, const hs_dataset *data, const hs_member *m,
                         const hs_sweep_column *c, double *value, bool *reached, uint64_t *items, hs_error *err)
{
    *value = (double)NAN;
    switch (c->source) {
    case HS_SWEEP_STEPS:
        *value = m->started ? (double)m->steps : (double)NAN;
        return HS_OK;
    case HS_SWEEP_SECONDS:
        *value = m->seconds;
        return HS_OK;
    case HS_SWEEP_CPU:
        *value = m->cpu_seconds;
        return HS_OK;
    case HS_SWEEP_STEP_TIME:
        *value = m->steps ? 1000 * m->cpu_seconds / (double)m->steps : (double)NAN;
        return HS_OK;
    case HS_SWEEP_SHORTCUT:
    case HS_SWEEP_MAJORITY:
        *value = baseline_of(data, c);
        return HS_OK;
    case HS_SWEEP_POOLED:
        *value = last_share(record, c->split, items);
        return HS_OK;
    case HS_SWEEP_ACCURACY:
    case HS_SWEEP_LOSS:
    case HS_SWEEP_METRIC:
    case HS_SWEEP_PROBE:
        break;
    }
    double *x, *y;
    size_t n;
    HS_TRY(hs_member_curve(record, c, &x, &y, &n, err));
    if (c->timed)
        first_time(c, x, y, n, value, reached);
    else if (n)
        *value = y[n - 1];
    hs_free(x);
    return HS_OK;
}

static hs_status read_member(const hs_sweep *sweep, hs_sweep_table *t, uint32_t member, hs_error *err)
{
    hs_member_record record;
    hs_member *m = &t->member[member];
    hs_status status = hs_member_read(sweep, member, &record, m, err);
    hs_dataset data = {0};
    if (status == HS_OK && m->started && wants_dataset(t))
        status = read_dataset(sweep, member, &data, err);
    for (size_t c = 0; c < t->n_columns && status == HS_OK; c++) {
        const size_t at = member * t->n_columns + c;
        t->value[at] = (double)NAN;
        if (m->started)
            status = measure(&record, &data, m, &t->column[c], &t->value[at], &t->reached[at], &t->items[at], err);
    }
    hs_dataset_free(&data);
    hs_member_close(&record);
    t->missing += !m->finished;
    t->diverged += m->ended_by == HS_STOP_NAN && m->started;
    return status;
}

/* ---------------------------------------------------------------- arms */

static double paper_value(const hs_config *config, const hs_sweep_column *c)
{
    return c->source == HS_SWEEP_ACCURACY && !c->timed ? hs_paper_value(config, c->split) : (double)NAN;
}

/* The share over the items of all finished members of an arm; lowest and highest stay those of members. */
static void pool_items(const hs_sweep *sweep, const hs_sweep_table *t, uint32_t arm, size_t column, hs_sweep_cell *cell)
{
    double right = 0;
    for (uint32_t s = 0; s < sweep->n_seeds; s++) {
        const uint32_t member = s * sweep->n_arms + arm;
        const size_t at = member * t->n_columns + column;
        if (!t->member[member].finished || !isfinite(t->value[at]))
            continue;
        right += t->value[at] * (double)t->items[at];
        cell->items += t->items[at];
    }
    if (!cell->items)
        return;
    cell->spread.mean = right / (double)cell->items;
    hs_wilson(right, (double)cell->items, &cell->spread.low, &cell->spread.high);
}

/* The values of an arm's finished members in a column; NaN for the others. */
static void values_of(const hs_sweep *sweep, const hs_sweep_table *t, uint32_t arm, size_t column, double *out)
{
    for (uint32_t s = 0; s < sweep->n_seeds; s++) {
        const uint32_t member = s * sweep->n_arms + arm;
        out[s] = t->member[member].finished ? t->value[member * t->n_columns + column] : (double)NAN;
    }
}

static hs_status compare_arms(const hs_sweep *sweep, hs_sweep_table *t, hs_error *err)
{
    double *a = hs_alloc(2 * sweep->n_seeds * sizeof *a), *b = a ? a + sweep->n_seeds : NULL;
    if (!a)
        return hs_fail_memory(err, 2 * sweep->n_seeds * sizeof *a);
    for (size_t p = 0; p < sweep->n_pairs; p++)
        for (size_t c = 0; c < t->n_columns; c++) {
            values_of(sweep, t, sweep->pair[p].arm, c, a);
            values_of(sweep, t, sweep->pair[p].minus, c, b);
            const bool skip = t->column[c].timed || t->column[c].source == HS_SWEEP_POOLED;
            t->difference[p * t->n_columns + c] =
                skip ? hs_spread_difference(0, a, 0, b) : hs_spread_difference(sweep->n_seeds, a, sweep->n_seeds, b);
        }
    hs_free(a);
    return HS_OK;
}

/* One arm in one column: `value` and `event` have room for every seed. */
static hs_status summarize(const hs_sweep *sweep, hs_sweep_table *t, uint32_t arm, size_t column, double longest,
                           double *value, bool *event, hs_error *err)
{
    const hs_sweep_column *c = &t->column[column];
    hs_sweep_cell *cell = &t->cell[arm * t->n_columns + column];
    uint32_t n = 0;
    for (uint32_t s = 0; s < sweep->n_seeds; s++) {
        const uint32_t member = s * sweep->n_arms + arm;
        const size_t at = member * t->n_columns + column;
        const hs_member *m = &t->member[member];
        double v = t->value[at];
        if (c->timed && m->ended_by == HS_STOP_NAN && !t->reached[at])
            v = fmax(longest, isfinite(v) ? v : 0);
        if (!isfinite(v) || !(c->timed ? m->started : m->finished))
            continue;
        value[n] = v;
        event[n++] = t->reached[at];
    }
    cell->paper = paper_value(&sweep->arm[arm].config, c);
    cell->spread = hs_spread_of(c->timed ? 0 : n, value);
    if (c->source == HS_SWEEP_POOLED) {
        pool_items(sweep, t, arm, column, cell);
        return HS_OK;
    }
    if (c->source == HS_SWEEP_ACCURACY && cell->spread.n > 1) { /* a share */
        cell->spread.low = fmax(cell->spread.low, 0);
        cell->spread.high = fmin(cell->spread.high, 1);
    }
    return hs_survival_estimate(c->timed ? n : 0, value, event, &cell->time, err);
}

static hs_status summarize_all(const hs_sweep *sweep, hs_sweep_table *t, hs_error *err)
{
    double *value = hs_alloc(sweep->n_seeds * sizeof *value);
    bool *event = hs_alloc(sweep->n_seeds * sizeof *event);
    hs_status status = value && event ? HS_OK : hs_fail_memory(err, sweep->n_seeds * sizeof *value);
    for (size_t c = 0; c < t->n_columns && status == HS_OK; c++) {
        double longest = 0;
        for (uint32_t m = 0; m < hs_sweep_size(sweep); m++)
            longest = fmax(longest, t->value[m * t->n_columns + c]);
        for (uint32_t a = 0; a < sweep->n_arms && status == HS_OK; a++)
            status = summarize(sweep, t, a, c, longest, value, event, err);
    }
    hs_free(value);
    hs_free(event);
    return status;
}

hs_status hs_sweep_gather(const hs_sweep *sweep, hs_sweep_table *out, hs_error *err)
{
    const size_t n = hs_sweep_size(sweep);
    hs_status status = choose_columns(sweep, out, err);
    if (status == HS_OK) {
        out->member = hs_calloc(n, sizeof *out->member);
        out->value = hs_calloc(n * out->n_columns + 1, sizeof *out->value);
        out->reached = hs_calloc(n * out->n_columns + 1, sizeof *out->reached);
        out->items = hs_calloc(n * out->n_columns + 1, sizeof *out->items);
        out->cell = hs_calloc(sweep->n_arms * out->n_columns + 1, sizeof *out->cell);
        out->difference = hs_calloc(sweep->n_pairs * out->n_columns + 1, sizeof *out->difference);
        if (!out->member || !out->value || !out->reached || !out->items || !out->cell || !out->difference)
            status = hs_fail_memory(err, n * out->n_columns * sizeof *out->value);
    }
    for (uint32_t m = 0; m < n && status == HS_OK; m++)
        status = read_member(sweep, out, m, err);
    if (status == HS_OK)
        status = summarize_all(sweep, out, err);
    if (status == HS_OK)
        status = compare_arms(sweep, out, err);
    if (status != HS_OK)
        hs_sweep_table_free(out);
    return status;
}

void hs_sweep_table_free(hs_sweep_table *t)
{
    hs_free(t->column);
    hs_free(t->member);
    hs_free(t->value);
    hs_free(t->reached);
    hs_free(t->items);
    hs_free(t->cell);
    hs_free(t->difference);
    memset(t, 0, sizeof *t);
}
