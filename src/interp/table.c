/* table.c - columns of numbers to readings: shares with Wilson intervals, means and ratios with bootstrap intervals.
 *
 * Wilson (1927), "Probable inference, the law of succession, and statistical inference", eq. for the score interval, 95%.
 * Bootstrap (Efron 1979): percentiles 2.5 and 97.5 of the statistic over DRAWS resamples of the items, the same resamples
 * for every cell of a table, so that cells stay comparable. */
#include "interp/table.h"

#include "model/clones.h"

#include <math.h>
#include <string.h>

enum { DRAWS = 200 };

hs_status hs_table_add(hs_table *table, int32_t stage, const char *position, const char *role, const char *measure,
                       hs_summary summary, uint32_t *index, hs_error *err)
{
    size_t cap = table->cap_cells;
    HS_TRY(hs_grow((void **)&table->cell, &cap, (size_t)table->n_cells + 1, sizeof *table->cell, err));
    table->cap_cells = (uint32_t)cap;
    HS_TRY(hs_grow((void **)&table->value, &table->cap_values, ((size_t)table->n_cells + 1) * table->n + 1,
                   sizeof *table->value, err));
    hs_cell *c = &table->cell[table->n_cells];
    *c = (hs_cell){.stage = stage, .summary = summary};
    snprintf(c->position, sizeof c->position, "%s", position);
    snprintf(c->role, sizeof c->role, "%s", role);
    snprintf(c->measure, sizeof c->measure, "%s", measure);
    for (uint32_t i = 0; i < table->n; i++)
        table->value[(size_t)table->n_cells * table->n + i] = NAN;
    *index = table->n_cells++;
    return HS_OK;
}

float *hs_table_column(hs_table *table, uint32_t cell)
{
    return table->value + (size_t)cell * table->n;
}

void hs_table_free(hs_table *table)
{
    if (!table)
        return;
    hs_free(table->item);
    hs_free(table->cell);
    hs_free(table->value);
    *table = (hs_table){0};
}

void hs_wilson(double successes, double n, double *low, double *high)
{
    const double z = 1.959963984540054, p = n > 0 ? successes / n : 0, z2 = z * z / (n > 0 ? n : 1);
    const double middle = (p + z2 / 2) / (1 + z2),
                 half = z * sqrt(p * (1 - p) / (n > 0 ? n : 1) + z2 / (4 * n)) / (1 + z2);
    *low = n > 0 ? fmax(0, middle - half) : NAN;
    *high = n > 0 ? fmin(1, middle + half) : NAN;
}

/* How often each item is drawn, for every resample: (n, DRAWS). */
static double *resamples(uint32_t n)
{
    double *count = hs_calloc((size_t)DRAWS * n + 1, sizeof *count);
    if (!count)
        return NULL;
    hs_rng rng;
    hs_rng_init(&rng, n, HS_PURPOSE('b', 'o', 'o', 't'), 0, 0);
    for (uint32_t d = 0; d < DRAWS; d++)
        for (uint32_t i = 0; i < n; i++)
            count[(size_t)hs_rng_below(&rng, n) * DRAWS + d]++;
    return count;
}

/* Sum of a column and its number of values. */
static void sum_of(const float *x, uint32_t n, double *sum, double *weight)
{
    *sum = *weight = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!isnan(x[i])) {
            *sum += (double)x[i];
            *weight += 1;
        }
}

static double statistic(const hs_table *t, const hs_cell *c, const float *x, double *n)
{
    double sum, base, base_weight;
    sum_of(x, t->n, &sum, n);
    if (c->summary != HS_SUM_RATIO)
        return *n > 0 ? sum / *n : NAN;
    sum_of(t->value + (size_t)c->base * t->n, t->n, &base, &base_weight);
    return base != 0 ? sum / base : NAN;
}

/* y[d] += x count[d]: side by side over the resamples, so that it runs in vectors and every sum keeps the order of the items. */
HS_CLONES static void add_item(double x, const double *restrict count, double *restrict y)
{
    for (int d = 0; d < DRAWS; d++)
        y[d] += x * count[d];
}

/* The sum of a column in every resample, or, if `weights`, the number of its values. */
static void resampled(const float *x, uint32_t n, const double *count, bool weights, double sum[DRAWS])
{
    memset(sum, 0, DRAWS * sizeof *sum);
    for (uint32_t i = 0; i < n; i++)
        if (!isnan(x[i]) && (weights || x[i] != 0))
            add_item(weights ? 1 : (double)x[i], count + (size_t)i * DRAWS, sum);
}

/* The k-th smallest (0-based) of sign * x, times sign. */
static double kth(const double *x, uint32_t n, uint32_t k, double sign)
{
    double least[DRAWS];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        const double v = sign * x[i];
        if (kept == k + 1 && v >= least[k])
            continue;
        uint32_t at = kept <= k ? kept++ : k;
        for (; at > 0 && least[at - 1] > v; at--)
            least[at] = least[at - 1];
        least[at] = v;
    }
    return sign * least[k];
}

/* `n_values`: values in the column. */
static void bootstrap(const hs_table *t, const hs_cell *c, const float *x, double n_values, const double *count,
                      hs_reading *f)
{
    double sum[DRAWS], over[DRAWS];
    uint32_t n = 0;
    resampled(x, t->n, count, false, sum);
    if (c->summary == HS_SUM_RATIO)
        resampled(t->value + (size_t)c->base * t->n, t->n, count, false, over);
    else if (n_values < t->n)
        resampled(x, t->n, count, true, over);
    for (uint32_t d = 0; d < DRAWS; d++) {
        const double by = c->summary == HS_SUM_RATIO || n_values < t->n ? over[d] : n_values;
        if (by != 0)
            sum[n++] = sum[d] / by;
    }
    if (n == 0)
        return;
    const uint32_t cut = (uint32_t)(0.025 * (n - 1) + 0.5);
    f->low = kth(sum, n, cut, 1);
    f->high = kth(sum, n, cut, -1);
}

/* The reading's places in the names of a cell. */
static hs_reading place(hs_reading base, const hs_cell *c)
{
    base.stage = c->stage;
    base.position = c->position;
    base.role = c->role;
    base.measure = c->measure;
    return base;
}

hs_status hs_table_report(const hs_table *table, hs_reading base, const hs_sink *sink, hs_error *err)
{
    double *count = NULL;
    hs_status status = HS_OK;
    for (uint32_t k = 0; k < table->n_cells && status == HS_OK; k++) {
        const hs_cell *c = &table->cell[k];
        const float *x = table->value + (size_t)k * table->n;
        if (c->summary == HS_SUM_HIDDEN)
            continue;
        double n;
        hs_reading f = place(base, c);
        f.value = statistic(table, c, x, &n);
        f.n = (uint64_t)n;
        f.low = f.high = NAN;
        if (f.n == 0)
            continue; /* nothing was measured here */
        if (c->summary == HS_SUM_SHARE) {
            hs_wilson(f.value * n, n, &f.low, &f.high);
        } else if (table->n > 1) {
            if (!count && !(count = resamples(table->n)))
                return hs_fail_memory(err, (size_t)DRAWS * table->n * sizeof *count);
            bootstrap(table, c, x, n, count, &f);
        }
        status = sink->reading(sink->user, &f, err);
    }
    hs_free(count);
    return status;
}

hs_status hs_table_items(const hs_table *table, hs_reading base, const uint64_t *item, const hs_sink *sink,
                         hs_error *err)
{
    for (uint32_t k = 0; k < table->n_cells; k++) {
        hs_reading f = place(base, &table->cell[k]);
        f.n = 1;
        f.low = f.high = NAN;
        for (uint32_t i = 0; i < table->n; i++) {
            f.value = (double)table->value[(size_t)k * table->n + i];
            if (!isnan(f.value))
                HS_TRY(sink->item(sink->user, &f, item ? item[i] : i, err));
        }
    }
    return HS_OK;
}
