/* figure_run.c - the grokking curve of one or several runs, from their run.db.
 *
 * Invariant: every recorded evaluation is a point of the figure. A folder is a group: one run, or the seeds of one experiment,
 * of which mean and band are drawn beside every run. With one group a split has one color; with several, a split of a group. */
#include "hopscope/report.h"
#include "report/published.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SPLITS = 64, MAX_RUNS = 4096, PATH_SIZE = 4096 };

typedef struct curve_run {
    hs_eval_row *rows;
    size_t n, group;
} curve_run;

typedef struct group {
    char name[64];   /* of the folder */
    size_t first, n; /* its runs */
} group;

typedef struct curves {
    const hs_figure_run_options *options;
    char title[256];
    curve_run *run; /* (n) */
    size_t n, cap;
    group *group; /* (n_groups) */
    size_t n_groups;
    char split[MAX_SPLITS][48];
    size_t n_splits;
    hs_split_baselines *baseline; /* of the first run */
    size_t n_baselines;
    hs_published published; /* of the files that the first run's settings name */
    double *numbers; /* of all series, `used` of them given away */
    size_t used;
    hs_series *series;
    char (*names)[256]; /* of the series that have one */
    size_t n_series, n_names;
} curves;

static void curves_free(curves *c)
{
    for (size_t i = 0; i < c->n; i++)
        hs_free(c->run[i].rows);
    hs_free(c->run);
    hs_free(c->group);
    hs_free(c->baseline);
    hs_published_free(&c->published);
    hs_free(c->numbers);
    hs_free(c->series);
    hs_free(c->names);
}

static bool is_test(const char *split)
{
    return strncmp(split, "test", 4) == 0;
}

static bool chosen(const char *list, const char *name)
{
    return !list || !*list || hs_list_has(list, name);
}

/* ---------------------------------------------------------------- reading */

/* What is not there is told, and left out; what is wrong in a file is a failure, as it is in the settings. */
static hs_status read_published(curves *c, const char *dir, hs_error *err)
{
    char yaml[PATH_SIZE];
    hs_list files = {0};
    hs_error ignored = {0};
    hs_config *config = hs_alloc(sizeof *config);
    if (!config)
        return hs_fail_memory(err, sizeof *config);
    hs_status status = hs_path_join(yaml, sizeof yaml, dir, "experiment.yaml", err);
    if (status == HS_OK && hs_config_read(config, yaml, NULL, 0, &ignored) == HS_OK) /* curves need no settings */
        status = hs_list_parse(&files, config->report.published, err);
    for (size_t i = 0; i < files.n && status == HS_OK; i++) {
        if (files.item[i][0] && !hs_file_exists(files.item[i]))
            hs_event_send(c->options->events, HS_EVENT_WARNING, "plot", "report.published: %s is not there",
                          files.item[i]);
        else if (files.item[i][0])
            status = hs_published_read(&c->published, files.item[i], err);
    }
    hs_list_free(&files);
    hs_free(config);
    return status;
}

static hs_status add_run(curves *c, const char *dir, hs_error *err)
{
    hs_run_reader r;
    HS_TRY(hs_run_reader_open(&r, dir, err));
    hs_status status = HS_OK;
    if (r.n_evals == 0) {
        status = hs_fail(err, HS_ERR_DATA, "run has no evaluation yet");
        hs_error_where(err, "%s", dir);
    }
    void *p = c->run;
    if (status == HS_OK)
        status = hs_grow(&p, &c->cap, c->n + 1, sizeof *c->run, err);
    if (status == HS_OK) {
        c->run = p;
        c->run[c->n++] = (curve_run){r.eval, r.n_evals, c->n_groups};
        r.eval = NULL;
        if (c->n == 1) {
            snprintf(c->title, sizeof c->title, "%s", r.title);
            hs_error ignored; /* a picture without these lines is better than none */
            if (!c->options->loss)
                (void)hs_run_reader_baselines(&r, &c->baseline, &c->n_baselines, &ignored);
            if (!c->options->loss && !c->options->seconds)
                status = read_published(c, dir, err);
        }
    }
    hs_run_reader_close(&r);
    return status;
}

/* The last part of a path, without slashes at its end. */
static void folder_name(const char *dir, char *out, size_t size)
{
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/')
        len--;
    size_t start = len;
    while (start > 0 && dir[start - 1] != '/')
        start--;
    snprintf(out, size, "%.*s", (int)(len - start), dir + start);
}

/* The run in `dir`, or those in its seed-1, seed-2, ...; of a folder of stages those of the last one. */
static hs_status add_folder(curves *c, const char *dir, hs_error *err)
{
    char path[PATH_SIZE], seed[PATH_SIZE], name[32], stage[PATH_SIZE];
    group *g = &c->group[c->n_groups];
    folder_name(dir, g->name, sizeof g->name);
    g->first = c->n;
    HS_TRY(hs_path_join(path, sizeof path, dir, "run.db", err));
    HS_TRY(hs_path_join(seed, sizeof seed, dir, "seed-1", err));
    if (!hs_file_exists(path) && !hs_file_exists(seed)) {
        HS_TRY(hs_stages_last(dir, stage, sizeof stage, err));
        if (stage[0])
            return add_folder(c, stage, err);
    }
    if (hs_file_exists(path) || !hs_file_exists(seed)) {
        HS_TRY(add_run(c, dir, err));
    } else {
        for (uint32_t s = 1; s <= MAX_RUNS; s++) {
            snprintf(name, sizeof name, "seed-%u", s);
            HS_TRY(hs_path_join(seed, sizeof seed, dir, name, err));
            HS_TRY(hs_path_join(path, sizeof path, seed, "run.db", err));
            if (s > 1 && !hs_file_exists(path))
                break;
            HS_TRY(add_run(c, seed, err));
        }
    }
    g->n = c->n - g->first;
    c->n_groups++;
    return HS_OK;
}

static hs_status list_splits(curves *c, hs_error *err)
{
    for (int test = 1; test >= 0; test--)
        for (size_t r = 0; r < c->n; r++)
            for (size_t i = 0; i < c->run[r].n; i++) {
                const char *name = c->run[r].rows[i].eval.split;
                size_t at = 0;
                while (at < c->n_splits && strcmp(c->split[at], name) != 0)
                    at++;
                if (at < c->n_splits || is_test(name) != (test == 1) || !chosen(c->options->splits, name))
                    continue;
                if (c->n_splits == MAX_SPLITS)
                    return hs_fail(err, HS_ERR_DATA, "more than %d splits", MAX_SPLITS);
                snprintf(c->split[c->n_splits++], sizeof c->split[0], "%s", name);
            }
    if (c->n_splits)
        return HS_OK;
    hs_fail(err, HS_ERR_USAGE, "no run has such a split");
    hs_error_value(err, c->options->splits, strlen(c->options->splits));
    return hs_error_hint(err, "the first run has %s among others", c->run[0].rows[0].eval.split);
}

/* ---------------------------------------------------------------- series */

typedef struct points {
    double *x, *y, *low, *high;
    size_t n;
} points;

static double *take(curves *c, size_t n)
{
    double *p = c->numbers + c->used;
    c->used += n;
    return p;
}

static double y_of(const curves *c, const hs_eval_row *row)
{
    return c->options->loss ? row->eval.loss : row->eval.accuracy;
}

/* The points of a split of one run. */
static points run_points(curves *c, const curve_run *run, const char *split)
{
    points p = {.x = take(c, run->n), .y = take(c, run->n)};
    for (size_t i = 0; i < run->n; i++) {
        const hs_eval_row *row = &run->rows[i];
        if (strcmp(row->eval.split, split) != 0 || row->eval.n == 0)
            continue;
        p.x[p.n] = c->options->seconds ? row->seconds : (double)row->step;
        p.y[p.n++] = y_of(c, row);
    }
    return p;
}

/* Mean, lowest and highest at every point over the runs of the group that have it: a run that stopped earlier drops out.
 * Evaluations come at the same steps in all. */
static points group_points(curves *c, const group *g, const points *of)
{
    size_t n = 0;
    for (size_t r = 0; r < g->n; r++)
        n = of[r].n > n ? of[r].n : n;
    points p = {.x = take(c, n), .y = take(c, n), .low = take(c, n), .high = take(c, n), .n = n};
    for (size_t i = 0; i < n; i++) {
        double x = 0, y = 0, low = INFINITY, high = -INFINITY, have = 0;
        for (size_t r = 0; r < g->n; r++) {
            if (i >= of[r].n)
                continue;
            have++;
            x += of[r].x[i];
            y += of[r].y[i];
            low = fmin(low, of[r].y[i]);
            high = fmax(high, of[r].y[i]);
        }
        p.x[i] = x / have;
        p.y[i] = y / have;
        p.low[i] = low;
        p.high[i] = high;
    }
    return p;
}

static const char *series_name(curves *c, const group *g, const char *split, const char *what)
{
    char *name = c->names[c->n_names++];
    if (c->n_groups > 1)
        snprintf(name, sizeof c->names[0], "%s: %s%s", g->name, split, what);
    else
        snprintf(name, sizeof c->names[0], "%s%s", split, what);
    return name;
}

/* One split of one group: its runs, and for several their mean and band. */
static hs_status add_split(curves *c, const group *g, const char *split, uint32_t color, hs_error *err)
{
    points *of = hs_calloc(g->n, sizeof *of);
    if (!of)
        return hs_fail_memory(err, g->n * sizeof *of);
    const bool dashed = !is_test(split), seeds = g->n > 1;
    bool any = false;
    for (size_t r = 0; r < g->n; r++) {
        of[r] = run_points(c, &c->run[g->first + r], split);
        any |= of[r].n > 0;
    }
    if (any && seeds) {
        const points p = group_points(c, g, of);
        c->series[c->n_series++] =
            (hs_series){.mark = HS_MARK_BAND, .color = color, .n = p.n, .x = p.x, .low = p.low, .high = p.high};
        c->series[c->n_series++] = (hs_series){.name = series_name(c, g, split, ", mean"),
                                               .color = color,
                                               .dashed = dashed,
                                               .width = 2.4,
                                               .n = p.n,
                                               .x = p.x,
                                               .y = p.y};
    }
    for (size_t r = 0; any && r < g->n; r++)
        if (of[r].n)
            c->series[c->n_series++] = (hs_series){.name = seeds ? NULL : series_name(c, g, split, ""),
                                                   .color = color,
                                                   .dashed = dashed,
                                                   .width = seeds    ? 0.6
                                                            : dashed ? 1.5
                                                                     : 2.2,
                                                   .n = of[r].n,
                                                   .x = of[r].x,
                                                   .y = of[r].y};
    hs_free(of);
    return HS_OK;
}

/* A dotted line at the best shortcut of a split, over all points of the figure. */
static void add_baseline(curves *c, size_t split, double x_low, double x_high)
{
    for (size_t i = 0; i < c->n_baselines; i++) {
        const hs_split_baselines *b = &c->baseline[i];
        if (strcmp(b->split, c->split[split]) != 0 || !isfinite(b->best))
            continue;
        double *x = take(c, 2), *y = take(c, 2);
        x[0] = x_low;
        x[1] = x_high;
        y[0] = y[1] = b->best;
        char *name = c->names[c->n_names++];
        snprintf(name, sizeof c->names[0], "best shortcut of %s", b->split);
        c->series[c->n_series++] =
            (hs_series){.name = name, .color = (uint32_t)split, .dotted = true, .width = 1.5, .n = 2, .x = x, .y = y};
    }
}

/* A paper's curve: dotted, in the color of its split; its points stand as they were published. */
static void add_published(curves *c, const hs_published_curve *p)
{
    size_t split = 0;
    while (split < c->n_splits && strcmp(c->split[split], p->split) != 0)
        split++;
    if (split == c->n_splits && !chosen(c->options->splits, p->split))
        return;
    char *name = c->names[c->n_names++];
    snprintf(name, sizeof c->names[0], "%s%s%.80s%s: %s", p->name, p->source[0] ? " (" : "", p->source,
             p->source[0] ? ")" : "", p->split);
    c->series[c->n_series++] = (hs_series){.name = name,
                                           .color = (uint32_t)split,
                                           .dotted = true,
                                           .width = 2.2,
                                           .n = p->n,
                                           .x = p->step,
                                           .y = p->accuracy};
}

static hs_status make_series(curves *c, hs_error *err)
{
    size_t total = 0;
    for (size_t r = 0; r < c->n; r++)
        total += c->run[r].n;
    const size_t most = c->n_splits * (c->n + 2 * c->n_groups + 1) + c->published.n;
    const size_t numbers = c->n_splits * (6 * total + 4); /* every point of a run, of the mean, of the baselines */
    c->numbers = hs_alloc((numbers + 1) * sizeof *c->numbers);
    c->series = hs_calloc(most, sizeof *c->series);
    c->names = hs_calloc(most, sizeof *c->names);
    if (!c->numbers || !c->series || !c->names)
        return hs_fail_memory(err, numbers * sizeof *c->numbers);
    for (size_t g = 0; g < c->n_groups; g++)
        for (size_t s = 0; s < c->n_splits; s++)
            HS_TRY(add_split(c, &c->group[g], c->split[s], (uint32_t)(g * c->n_splits + s), err));
    for (size_t i = 0; i < c->published.n; i++)
        add_published(c, &c->published.curve[i]);
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < c->n_series; i++)
        for (size_t k = 0; k < c->series[i].n; k++) {
            const double x = c->series[i].x[k];
            low = x > 0 ? fmin(low, x) : low; /* the axis is logarithmic */
            high = fmax(high, x);
        }
    for (size_t s = 0; s < c->n_splits && low < high; s++)
        add_baseline(c, s, low, high);
    return HS_OK;
}

static hs_status draw(curves *c, const char *path, hs_error *err)
{
    HS_TRY(list_splits(c, err));
    HS_TRY(make_series(c, err));
    char title[400];
    const char *given = c->options->title ? c->options->title : c->title;
    int used = snprintf(title, sizeof title, "%s",
                        *given && (c->n_groups == 1 || c->options->title) ? given : c->group[0].name);
    for (size_t g = 1; g < c->n_groups && !c->options->title && used > 0 && (size_t)used < sizeof title; g++)
        used += snprintf(title + used, sizeof title - (size_t)used, ", %s", c->group[g].name);
    if (c->n > c->n_groups && !c->options->title && used > 0 && (size_t)used < sizeof title)
        snprintf(title + used, sizeof title - (size_t)used, " (%zu runs)", c->n);
    const hs_panel panel = {.x_label = c->options->seconds ? "seconds of training" : "step",
                            .y_label = c->options->loss ? "loss" : "accuracy",
                            .log_x = true,
                            .legend = true,
                            .y_low = c->options->loss ? 0 : -0.01,
                            .y_high = c->options->loss ? 0 : 1.02,
                            .n = c->n_series,
                            .series = c->series};
    const hs_figure figure = {.title = title, .columns = 1, .width = 900, .height = 460, .n = 1, .panel = &panel};
    return hs_figure_draw(&figure, path, c->options->keep_script, err);
}

hs_status hs_figure_run(const char *const *run_dirs, size_t n, const hs_figure_run_options *options, const char *path,
                        hs_error *err)
{
    static const hs_figure_run_options none = {0};
    curves *c = hs_calloc(1, sizeof *c);
    if (!c)
        return hs_fail_memory(err, sizeof *c);
    c->options = options ? options : &none;
    hs_status status = n ? HS_OK : hs_fail(err, HS_ERR_USAGE, "no run to draw");
    c->group = hs_calloc(n + 1, sizeof *c->group);
    if (!c->group)
        status = hs_fail_memory(err, n * sizeof *c->group);
    for (size_t i = 0; i < n && status == HS_OK; i++)
        status = add_folder(c, run_dirs[i], err);
    if (status == HS_OK)
        status = draw(c, path, err);
    curves_free(c);
    hs_free(c);
    return status;
}
