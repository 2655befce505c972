/* figure_sweep.c - the one figure of a sweep: curves of every run, and times (or numbers at the end) of every run.
 *
 * A panel for each different curve that the table's columns speak of, then a panel of marks for each timed column, or,
 * where there is none, for each other column. An arm has one color everywhere. Invariant: nothing is averaged that the
 * table does not name: every run is a line and a mark. */
#include "hopscope/report.h"

#include <math.h>
#include <string.h>

enum { MAX_PANELS = 12, LABEL = 192 };

typedef struct figure {
    const hs_sweep *sweep;
    const hs_sweep_table *table;
    hs_panel panel[MAX_PANELS];
    char label[MAX_PANELS][2][LABEL];
    hs_series *series[MAX_PANELS];
    double **block; /* (n_blocks) numbers of the series */
    size_t n_blocks, cap_blocks;
    uint32_t n;
    const char **names; /* (arms) bottom to top */
} figure;

static void figure_free(figure *f)
{
    for (size_t i = 0; i < f->n_blocks; i++)
        hs_free(f->block[i]);
    for (uint32_t p = 0; p < MAX_PANELS; p++)
        hs_free(f->series[p]);
    hs_free(f->block);
    hs_free((void *)(uintptr_t)f->names);
}

/* Takes numbers over, to be freed with the figure. */
static hs_status keep(figure *f, double *numbers, hs_error *err)
{
    void *p = f->block;
    const hs_status status = hs_grow(&p, &f->cap_blocks, f->n_blocks + 1, sizeof *f->block, err);
    if (status != HS_OK) {
        hs_free(numbers);
        return status;
    }
    f->block = p;
    f->block[f->n_blocks++] = numbers;
    return HS_OK;
}

static bool has_curve(const hs_sweep_column *c)
{
    return c->source <= HS_SWEEP_METRIC;
}

static bool same_curve(const hs_sweep_column *a, const hs_sweep_column *b)
{
    return has_curve(a) && a->source == b->source && a->axis == b->axis && a->stage == b->stage &&
           strcmp(a->split, b->split) == 0 && strcmp(a->name, b->name) == 0 && strcmp(a->measure, b->measure) == 0 &&
           strcmp(a->position, b->position) == 0 && strcmp(a->role, b->role) == 0;
}

static const char *axis_name(hs_sweep_axis axis)
{
    return axis == HS_AXIS_STEPS ? "step" : axis == HS_AXIS_SECONDS ? "seconds" : "CPU seconds by threads";
}

static void curve_name(const hs_sweep_column *c, char out[LABEL])
{
    if (c->source == HS_SWEEP_PROBE)
        snprintf(out, LABEL, "%s %s %s", c->name, c->measure, c->split);
    else if (c->source == HS_SWEEP_METRIC)
        snprintf(out, LABEL, "%s", c->name);
    else
        snprintf(out, LABEL, "%s of %s", c->source == HS_SWEEP_LOSS ? "loss" : "accuracy", c->split);
}

static hs_panel *new_panel(figure *f, size_t n_series, hs_error *err)
{
    hs_series *series = hs_calloc(n_series, sizeof *series);
    if (!series) {
        hs_fail_memory(err, n_series * sizeof *series);
        return NULL;
    }
    f->series[f->n] = series;
    f->panel[f->n] = (hs_panel){.series = series};
    return &f->panel[f->n++];
}

static hs_status add_curves(figure *f, const hs_sweep_column *c, hs_error *err)
{
    const uint32_t arms = f->sweep->n_arms;
    const uint32_t at = f->n;
    hs_panel *p = new_panel(f, hs_sweep_size(f->sweep), err);
    if (!p)
        return HS_ERR_MEMORY;
    curve_name(c, f->label[at][0]);
    p->y_label = f->label[at][0];
    p->x_label = axis_name(c->axis);
    p->log_x = true;
    if (c->source == HS_SWEEP_ACCURACY) {
        p->y_low = -0.01;
        p->y_high = 1.02;
    }
    for (uint32_t a = 0; a < arms; a++) {
        bool named = false;
        for (uint32_t s = 0; s < f->sweep->n_seeds; s++) {
            double *x, *y;
            size_t n;
            if (!f->table->member[s * arms + a].started)
                continue;
            HS_TRY(hs_sweep_curve(f->sweep, s * arms + a, c, &x, &y, &n, err));
            HS_TRY(keep(f, x, err));
            if (n == 0)
                continue;
            f->series[at][p->n++] = (hs_series){.name = named ? NULL : f->sweep->arm[a].name,
                                                .mark = HS_MARK_LINE,
                                                .color = a,
                                                /* told apart also without colors, and beyond the palette's 12 */
                                                .dashed = a / 6 % 3 == 1,
                                                .dotted = a / 6 % 3 == 2,
                                                .width = 1.3,
                                                .n = n,
                                                .x = x,
                                                .y = y};
            named = true;
        }
    }
    return HS_OK;
}

/* The marks of one arm: its members, and median or mean with interval. `numbers` has room for 4 a seed and 4. */
static size_t arm_marks(const figure *f, size_t column, uint32_t arm, double *numbers, hs_series *out)
{
    const hs_sweep_table *t = f->table;
    const hs_sweep_column *c = &t->column[column];
    const hs_sweep_cell *cell = &t->cell[arm * t->n_columns + column];
    const uint32_t seeds = f->sweep->n_seeds;
    double *ends = numbers + (size_t)4 * seeds;
    size_t n[2] = {0, 0};
    const double at = f->sweep->n_arms - 1 - arm;
    for (uint32_t s = 0; s < seeds; s++) {
        const size_t i = (size_t)(s * f->sweep->n_arms + arm) * t->n_columns + column;
        const hs_member *m = &t->member[s * f->sweep->n_arms + arm];
        if (!isfinite(t->value[i]) || !(c->timed ? m->started : m->finished))
            continue;
        const int k = c->timed && !t->reached[i];
        double *x = numbers + (size_t)(2 * k) * seeds;
        x[n[k]] = t->value[i];
        x[seeds + n[k]++] = at - 0.22;
    }
    ends[0] = c->timed ? (cell->time.n ? cell->time.median : (double)NAN) : cell->spread.mean;
    ends[1] = at;
    ends[2] = c->timed ? cell->time.low : cell->spread.low;
    ends[3] = c->timed ? cell->time.high : cell->spread.high;
    if (!isfinite(ends[2]))
        ends[2] = ends[0];
    if (!isfinite(ends[3])) /* open: to the end of what was seen */
        ends[3] = c->timed ? fmax(cell->time.follow_up, ends[0]) : ends[0];
    for (int k = 0; k < 2; k++)
        out[k] = (hs_series){.mark = k ? HS_MARK_CENSORED : HS_MARK_POINT,
                             .color = arm,
                             .n = n[k],
                             .x = numbers + (size_t)(2 * k) * seeds,
                             .y = numbers + (size_t)(2 * k + 1) * seeds};
    out[2] = (hs_series){.mark = HS_MARK_RANGE,
                         .color = arm,
                         .width = 2,
                         .n = isfinite(ends[0]) ? 1 : 0,
                         .x = &ends[0],
                         .y = &ends[1],
                         .low = &ends[2],
                         .high = &ends[3]};
    return 3;
}

static hs_status add_marks(figure *f, size_t column, hs_error *err)
{
    const hs_sweep_column *c = &f->table->column[column];
    const uint32_t at = f->n;
    const size_t each = (size_t)4 * f->sweep->n_seeds + 4;
    hs_panel *p = new_panel(f, (size_t)3 * f->sweep->n_arms, err);
    if (!p)
        return HS_ERR_MEMORY;
    double *numbers = hs_calloc(each * f->sweep->n_arms, sizeof *numbers), longest = 0;
    if (!numbers)
        return hs_fail_memory(err, each * f->sweep->n_arms * sizeof *numbers);
    HS_TRY(keep(f, numbers, err));
    for (uint32_t a = 0; a < f->sweep->n_arms; a++) {
        p->n += arm_marks(f, column, a, numbers + a * each, f->series[at] + p->n);
        longest = fmax(longest, f->table->cell[a * f->table->n_columns + column].time.follow_up);
    }
    snprintf(f->label[at][0], LABEL, "%s", c->title);
    snprintf(f->label[at][1], LABEL,
             c->timed ? "%s (triangle: longer; bar: median, 95%%)" : "%.100s at the end (bar: mean, 95%%)",
             c->timed ? (c->axis == HS_AXIS_STEPS     ? "steps"
                         : c->axis == HS_AXIS_SECONDS ? "seconds"
                                                      : "CPU seconds")
                      : c->title);
    p->title = f->label[at][0];
    p->x_label = f->label[at][1];
    if (c->timed && longest > 0) {
        p->x_low = 1e-9; /* time starts at 0; 0 itself would mean "by the data" */
        p->x_high = 1.04 * longest;
    }
    p->y_low = -0.7;
    p->y_high = f->sweep->n_arms - 0.3;
    p->y_names = f->names;
    p->n_y_names = f->sweep->n_arms;
    return HS_OK;
}

static hs_status collect(figure *f, hs_error *err)
{
    const hs_sweep_table *t = f->table;
    bool timed = false;
    f->names = hs_calloc(f->sweep->n_arms, sizeof *f->names);
    if (!f->names)
        return hs_fail_memory(err, f->sweep->n_arms * sizeof *f->names);
    for (uint32_t a = 0; a < f->sweep->n_arms; a++)
        f->names[f->sweep->n_arms - 1 - a] = f->sweep->arm[a].name;
    for (size_t c = 0; c < t->n_columns; c++) {
        bool known = !has_curve(&t->column[c]);
        for (size_t k = 0; k < c; k++)
            known |= same_curve(&t->column[k], &t->column[c]);
        if (!known && f->n < MAX_PANELS / 2)
            HS_TRY(add_curves(f, &t->column[c], err));
        timed |= t->column[c].timed;
    }
    if (f->n)
        f->panel[f->n - 1].legend = true;
    for (size_t c = 0; c < t->n_columns && f->n < MAX_PANELS; c++)
        if (t->column[c].timed == timed)
            HS_TRY(add_marks(f, c, err));
    return HS_OK;
}

hs_status hs_figure_sweep(const hs_sweep *sweep, const hs_sweep_table *table, const char *path, bool keep_script,
                          hs_error *err)
{
    figure f = {.sweep = sweep, .table = table};
    hs_status status = collect(&f, err);
    if (status == HS_OK && f.n == 0) {
        hs_fail(err, HS_ERR_DATA, "nothing to draw: the table has no columns");
        status = hs_error_where(err, "%s", sweep->path);
    }
    if (status == HS_OK) {
        const uint32_t columns = f.n > 1 ? 2 : 1, rows = (f.n + columns - 1) / columns;
        const hs_figure whole = {.title = sweep->title[0] ? sweep->title : NULL,
                                 .columns = columns,
                                 .width = 650 * columns,
                                 .height = 430 * rows,
                                 .n = f.n,
                                 .panel = f.panel};
        status = hs_figure_draw(&whole, path, keep_script, err);
    }
    figure_free(&f);
    return status;
}
