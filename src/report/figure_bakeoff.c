/* figure_bakeoff.c - the one figure of a bakeoff: accuracy of every run, and times to grok, on both axes.
 *
 * Panels: accuracy against steps | against CPU seconds; below, times to grok in steps | in CPU seconds. An arm has one
 * color everywhere. Invariant: nothing is averaged that the table does not name: every run is a line and a mark. */
#include "experiment/internal.h"
#include "hopscope/report.h"

#include <math.h>
#include <string.h>

typedef struct curve {
    double *step, *cpu, *accuracy; /* (n) */
    size_t n;
} curve;

/* Marks of one arm in one of the lower panels: grokked, censored, median with interval. */
typedef struct marks {
    double *x[2], *y[2]; /* (seeds) each: 0 = grokked, 1 = censored */
    size_t n[2];
    double median, low, high, at;
} marks;

typedef struct figure {
    const hs_bakeoff *b;
    const hs_bakeoff_result *result;
    curve *curve;    /* (arms, seeds) */
    marks *marks;    /* (2, arms): steps, CPU seconds */
    double *numbers; /* of `marks` */
    hs_series *series[4];
    const char **names; /* (arms) bottom to top */
} figure;

static void figure_free(figure *f)
{
    const size_t n = (size_t)f->b->n_arms * f->b->seeds;
    for (size_t i = 0; f->curve && i < n; i++)
        hs_free(f->curve[i].step);
    for (int p = 0; p < 4; p++)
        hs_free(f->series[p]);
    hs_free(f->curve);
    hs_free(f->marks);
    hs_free(f->numbers);
    hs_free((void *)(uintptr_t)f->names);
}

static hs_status read_curve(const hs_config *config, const char *run_dir, curve *out, hs_error *err)
{
    char path[4096];
    hs_record *record;
    hs_eval_row *rows = NULL;
    hs_metric_row *cpu = NULL;
    size_t n = 0, n_cpu = 0;
    HS_TRY(hs_path_join(path, sizeof path, run_dir, "run.db", err));
    if (!hs_file_exists(path))
        return HS_OK;
    HS_TRY(hs_record_open_read(&record, path, err));
    hs_status status = hs_record_evals(record, &rows, &n, err);
    if (status == HS_OK)
        status = hs_record_metrics(record, "cpu_seconds", &cpu, &n_cpu, err);
    hs_record_close(record);
    if (status == HS_OK && !(out->step = hs_alloc((3 * n + 1) * sizeof *out->step)))
        status = hs_fail_memory(err, 3 * n * sizeof *out->step);
    if (status == HS_OK) {
        out->cpu = out->step + n;
        out->accuracy = out->cpu + n;
        size_t at = 0; /* both lists are in order of step */
        for (size_t i = 0; i < n; i++) {
            if (strcmp(rows[i].eval.split, config->train.stop_split) != 0)
                continue;
            while (at < n_cpu && cpu[at].step < rows[i].step)
                at++;
            out->step[out->n] = (double)rows[i].step;
            out->cpu[out->n] = at < n_cpu && cpu[at].step == rows[i].step ? cpu[at].value : (double)NAN;
            out->accuracy[out->n++] = rows[i].eval.accuracy;
        }
    }
    hs_free(rows);
    hs_free(cpu);
    return status;
}

static void place_marks(figure *f, int axis, uint32_t arm, double *numbers)
{
    const uint32_t seeds = f->b->seeds;
    const hs_survival *s = axis ? &f->result->summary[arm].cpu_seconds : &f->result->summary[arm].steps;
    marks *m = &f->marks[(size_t)axis * f->b->n_arms + arm];
    m->at = f->b->n_arms - 1 - arm;
    for (int k = 0; k < 2; k++) {
        m->x[k] = numbers + (size_t)(2 * k) * seeds;
        m->y[k] = m->x[k] + seeds;
    }
    for (uint32_t i = 0; i < seeds; i++) {
        const hs_bakeoff_run *run = &f->result->run[(size_t)arm * seeds + i];
        const double x = axis ? run->cpu_seconds : (double)run->steps;
        if (!run->started || !isfinite(x))
            continue;
        const int k = !run->grokked;
        m->x[k][m->n[k]] = x;
        m->y[k][m->n[k]++] = m->at - 0.22;
    }
    m->median = s->n ? s->median : (double)NAN;
    m->low = isfinite(s->low) ? s->low : s->median;
    m->high = isfinite(s->high) ? s->high : fmax(s->follow_up, s->median); /* open: to the end of what was seen */
}

static hs_status collect(figure *f, const char *dir, hs_error *err)
{
    const hs_bakeoff *b = f->b;
    const size_t runs = (size_t)b->n_arms * b->seeds;
    f->curve = hs_calloc(runs, sizeof *f->curve);
    f->marks = hs_calloc((size_t)2 * b->n_arms, sizeof *f->marks);
    f->numbers = hs_calloc(8 * runs, sizeof *f->numbers);
    f->names = hs_calloc(b->n_arms, sizeof *f->names);
    for (int p = 0; p < 4; p++)
        f->series[p] = hs_calloc(p < 2 ? runs : (size_t)3 * b->n_arms, sizeof **f->series);
    if (!f->curve || !f->marks || !f->numbers || !f->names || !f->series[0] || !f->series[1] || !f->series[2] ||
        !f->series[3])
        return hs_fail_memory(err, runs * sizeof *f->curve);
    for (uint32_t a = 0; a < b->n_arms; a++) {
        f->names[b->n_arms - 1 - a] = b->arm[a].name;
        for (uint32_t i = 0; i < b->seeds; i++) {
            char run_dir[4096];
            HS_TRY(hs_bakeoff_dir(b, dir, a, i + 1, run_dir, sizeof run_dir, err));
            HS_TRY(read_curve(&b->arm[a].config, run_dir, &f->curve[(size_t)a * b->seeds + i], err));
        }
        for (int axis = 0; axis < 2; axis++)
            place_marks(f, axis, a, f->numbers + 4 * ((size_t)axis * runs + (size_t)a * b->seeds));
    }
    return HS_OK;
}

static size_t curve_series(figure *f, int axis)
{
    size_t n = 0;
    for (uint32_t a = 0; a < f->b->n_arms; a++) {
        bool named = false;
        for (uint32_t i = 0; i < f->b->seeds; i++) {
            const curve *c = &f->curve[(size_t)a * f->b->seeds + i];
            if (c->n == 0)
                continue;
            f->series[axis][n++] = (hs_series){.name = named ? NULL : f->b->arm[a].name,
                                               .mark = HS_MARK_LINE,
                                               .color = a,
                                               .dashed = a >= 6, /* told apart also without colors */
                                               .width = 1.3,
                                               .n = c->n,
                                               .x = axis ? c->cpu : c->step,
                                               .y = c->accuracy};
            named = true;
        }
    }
    return n;
}

static size_t mark_series(figure *f, int axis)
{
    size_t n = 0;
    for (uint32_t a = 0; a < f->b->n_arms; a++) {
        const marks *m = &f->marks[(size_t)axis * f->b->n_arms + a];
        for (int k = 0; k < 2; k++)
            f->series[2 + axis][n++] = (hs_series){
                .mark = k ? HS_MARK_CENSORED : HS_MARK_POINT, .color = a, .n = m->n[k], .x = m->x[k], .y = m->y[k]};
        f->series[2 + axis][n++] = (hs_series){.mark = HS_MARK_RANGE,
                                               .color = a,
                                               .width = 2,
                                               .n = isfinite(m->median) ? 1 : 0,
                                               .x = &m->median,
                                               .y = &m->at,
                                               .low = &m->low,
                                               .high = &m->high};
    }
    return n;
}

static hs_status draw(figure *f, const char *path, bool keep_script, hs_error *err)
{
    const hs_train_config *c = &f->b->arm[0].config.train;
    const double top = f->b->n_arms - 0.3, from = 1e-9; /* time starts at 0; 0 itself would mean "by the data" */
    double longest[2] = {1, 1};
    for (uint32_t a = 0; a < f->b->n_arms; a++) {
        longest[0] = fmax(longest[0], f->result->summary[a].steps.follow_up);
        longest[1] = fmax(longest[1], f->result->summary[a].cpu_seconds.follow_up);
    }
    char accuracy[96], steps[96];
    snprintf(accuracy, sizeof accuracy, "accuracy of %s", c->stop_split);
    snprintf(steps, sizeof steps, "until %s >= %g", c->stop_split, c->stop_accuracy);
    const hs_panel panel[4] = {
        {.title = "equal steps",
         .x_label = "step",
         .y_label = accuracy,
         .log_x = true,
         .y_low = -0.01,
         .y_high = 1.02,
         .n = curve_series(f, 0),
         .series = f->series[0]},
        {.title = "equal seconds",
         .x_label = "CPU seconds by threads",
         .log_x = true,
         .legend = true,
         .y_low = -0.01,
         .y_high = 1.02,
         .n = curve_series(f, 1),
         .series = f->series[1]},
        {.title = steps,
         .x_label = "steps to grok (triangle: longer than this)",
         .x_low = from,
         .x_high = 1.04 * longest[0],
         .y_low = -0.7,
         .y_high = top,
         .y_names = f->names,
         .n_y_names = f->b->n_arms,
         .n = mark_series(f, 0),
         .series = f->series[2]},
        {.title = steps,
         .x_label = "CPU seconds to grok (bar: median, 95% interval)",
         .x_low = from,
         .x_high = 1.04 * longest[1],
         .y_low = -0.7,
         .y_high = top,
         .y_names = f->names,
         .n_y_names = f->b->n_arms,
         .n = mark_series(f, 1),
         .series = f->series[3]},
    };
    const hs_figure whole = {.title = f->b->title, .columns = 2, .width = 1300, .height = 860, .n = 4, .panel = panel};
    return hs_figure_draw(&whole, path, keep_script, err);
}

hs_status hs_bakeoff_figure(const hs_bakeoff *bakeoff, const hs_bakeoff_result *result, const char *dir,
                            const char *path, bool keep_script, hs_error *err)
{
    figure f = {.b = bakeoff, .result = result};
    hs_status status = collect(&f, dir, err);
    if (status == HS_OK)
        status = draw(&f, path, keep_script, err);
    figure_free(&f);
    return status;
}
