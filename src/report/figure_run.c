/* figure_run.c - the grokking curve of one or several runs, from their run.db.
 *
 * Invariant: every recorded evaluation is a point of the figure. A split has one color in all runs, in the order in
 * which the first run names its test splits and then its training splits. */
#include "hopscope/report.h"

#include "hopscope/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SPLITS = 64, MAX_RUNS = 4096, PATH_SIZE = 4096 };

typedef struct curve_run {
    hs_eval_row *rows;
    size_t n;
} curve_run;

typedef struct curves {
    const hs_figure_run_options *options;
    char title[256];
    curve_run *run; /* (n) */
    size_t n, cap;
    char split[MAX_SPLITS][48];
    size_t n_splits;
    double *numbers;   /* every x, then every y */
    hs_series *series; /* (n_splits * n) */
    size_t n_series;
} curves;

static void curves_free(curves *c)
{
    for (size_t i = 0; i < c->n; i++)
        hs_free(c->run[i].rows);
    hs_free(c->run);
    hs_free(c->numbers);
    hs_free(c->series);
}

static bool is_test(const char *split)
{
    return strncmp(split, "test", 4) == 0;
}

/* Is `name` in the comma-separated list, or the list empty? */
static bool chosen(const char *list, const char *name)
{
    const size_t len = strlen(name);
    if (!list || !*list)
        return true;
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += strspn(at, ", ");
        if (strncmp(at, name, len) == 0 && (at[len] == 0 || at[len] == ',' || at[len] == ' '))
            return true;
    }
    return false;
}

/* ---------------------------------------------------------------- reading */

static hs_status add_run(curves *c, const char *dir, const char *db, hs_error *err)
{
    hs_record *record;
    hs_eval_row *rows = NULL;
    size_t n = 0;
    HS_TRY(hs_record_open_read(&record, db, err));
    hs_status status = hs_record_evals(record, &rows, &n, err);
    if (status == HS_OK && c->n == 0)
        status = hs_record_get_info(record, "title", c->title, sizeof c->title, err);
    hs_record_close(record);
    if (status == HS_OK && n == 0) {
        status = hs_fail(err, HS_ERR_DATA, "run has no evaluation yet");
        hs_error_where(err, "%s", dir);
    }
    void *p = c->run;
    if (status == HS_OK)
        status = hs_grow(&p, &c->cap, c->n + 1, sizeof *c->run, err);
    if (status != HS_OK) {
        hs_free(rows);
        return status;
    }
    c->run = p;
    c->run[c->n++] = (curve_run){rows, n};
    return HS_OK;
}

/* The run in `dir`, or those in its seed-1, seed-2, ... */
static hs_status add_folder(curves *c, const char *dir, hs_error *err)
{
    char db[PATH_SIZE], seed[PATH_SIZE], name[32];
    HS_TRY(hs_path_join(db, sizeof db, dir, "run.db", err));
    if (hs_file_exists(db))
        return add_run(c, dir, db, err);
    uint32_t found = 0;
    for (uint32_t s = 1; s <= MAX_RUNS; s++) {
        snprintf(name, sizeof name, "seed-%u", s);
        HS_TRY(hs_path_join(seed, sizeof seed, dir, name, err));
        char seed_db[PATH_SIZE];
        HS_TRY(hs_path_join(seed_db, sizeof seed_db, seed, "run.db", err));
        if (!hs_file_exists(seed_db))
            break;
        HS_TRY(add_run(c, seed, seed_db, err));
        found++;
    }
    if (found)
        return HS_OK;
    hs_fail(err, HS_ERR_IO, "this is no run directory: run.db is not there");
    hs_error_where(err, "%s", dir);
    return hs_error_hint(err, "a run directory is made by hopscope run FILE, under runs/");
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

static double x_of(const curves *c, const hs_eval_row *row)
{
    return c->options->seconds ? row->seconds : (double)row->step;
}

static hs_status make_series(curves *c, hs_error *err)
{
    size_t total = 0;
    for (size_t r = 0; r < c->n; r++)
        total += c->run[r].n;
    c->numbers = hs_alloc(2 * total * sizeof *c->numbers);
    c->series = hs_calloc(c->n_splits * c->n, sizeof *c->series);
    if (!c->numbers || !c->series)
        return hs_fail_memory(err, 2 * total * sizeof *c->numbers);
    double *x = c->numbers, *y = x + total;
    for (size_t s = 0; s < c->n_splits; s++) {
        bool named = false;
        for (size_t r = 0; r < c->n; r++) {
            hs_series *series = &c->series[c->n_series];
            *series = (hs_series){.mark = HS_MARK_LINE,
                                  .color = (uint32_t)s,
                                  .dashed = !is_test(c->split[s]),
                                  .width = c->n > 1               ? 1.2
                                           : is_test(c->split[s]) ? 2.2
                                                                  : 1.5,
                                  .x = x,
                                  .y = y};
            for (size_t i = 0; i < c->run[r].n; i++) {
                const hs_eval_row *row = &c->run[r].rows[i];
                if (strcmp(row->eval.split, c->split[s]) != 0 || row->eval.n == 0)
                    continue;
                *x++ = x_of(c, row);
                *y++ = c->options->loss ? row->eval.loss : row->eval.accuracy;
                series->n++;
            }
            if (series->n == 0)
                continue;
            series->name = named ? NULL : c->split[s];
            named = true;
            c->n_series++;
        }
    }
    return HS_OK;
}

static hs_status draw(curves *c, const char *first_dir, const char *path, hs_error *err)
{
    HS_TRY(list_splits(c, err));
    HS_TRY(make_series(c, err));
    char title[400];
    const char *given = c->options->title ? c->options->title : c->title;
    size_t len = strlen(first_dir);
    while (len > 1 && first_dir[len - 1] == '/')
        len--;
    size_t start = len;
    while (start > 0 && first_dir[start - 1] != '/')
        start--;
    int used = *given ? snprintf(title, sizeof title, "%s", given)
                      : snprintf(title, sizeof title, "%.*s", (int)(len - start), first_dir + start);
    if (c->n > 1 && !c->options->title && used > 0 && (size_t)used < sizeof title)
        snprintf(title + used, sizeof title - (size_t)used, " (%zu runs)", c->n);
    const hs_panel panel = {.x_label = c->options->seconds ? "seconds of training" : "step",
                            .y_label = c->options->loss ? "loss" : "accuracy",
                            .log_x = true,
                            .legend = true,
                            .y_low = c->options->loss ? 0 : -0.01,
                            .y_high = c->options->loss ? 0 : 1.02,
                            .n = c->n_series,
                            .series = c->series};
    const hs_figure figure = {.title = title, .columns = 1, .width = 860, .height = 460, .n = 1, .panel = &panel};
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
    for (size_t i = 0; i < n && status == HS_OK; i++)
        status = add_folder(c, run_dirs[i], err);
    if (status == HS_OK)
        status = draw(c, run_dirs[0], path, err);
    curves_free(c);
    hs_free(c);
    return status;
}
