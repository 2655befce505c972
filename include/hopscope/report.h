/* report.h - what leaves the laboratory: figures. Reads run folders; the layer below the command line. */
#ifndef HOPSCOPE_REPORT_H
#define HOPSCOPE_REPORT_H

#include "hopscope/core.h"
#include "hopscope/experiment.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- figures (docs/plot.md) */

/* Figures on paper, drawn by gnuplot (called as a program, no shell): SVG, PNG or PDF by the ending of the path. The file
 * appears whole or not at all. HS_ERR_FAILED, with the Debian package to install, where gnuplot is missing; HS_ERR_USAGE for
 * another ending. Every point given is drawn. */
typedef enum hs_mark {
    HS_MARK_LINE,
    HS_MARK_POINT,    /* filled circle */
    HS_MARK_CENSORED, /* open triangle: at least this far */
    HS_MARK_RANGE     /* horizontal bar from low to high, a tick at x */
} hs_mark;

/* One set of points in one look. `name` is its line of the legend, NULL: none. */
typedef struct hs_series {
    const char *name;
    hs_mark mark;
    uint32_t color;          /* index into a palette of 12 that is readable without color sight; beyond, it repeats */
    bool dashed;
    double width;            /* of the line; 0 = 1.5 */
    size_t n;
    const double *x, *y;     /* (n); a NaN breaks a line */
    const double *low, *high; /* (n), HS_MARK_RANGE only */
} hs_series;

typedef struct hs_panel {
    const char *title, *x_label, *y_label; /* NULL = none */
    bool log_x, legend;
    double x_low, x_high;     /* both 0 = by the data */
    double y_low, y_high;     /* both 0 = by the data */
    const char *const *y_names; /* (n_y_names) text at y = 0, 1, ... in place of numbers; NULL = numbers */
    size_t n_y_names;
    size_t n;
    const hs_series *series;  /* (n) */
} hs_panel;

typedef struct hs_figure {
    const char *title;        /* NULL = none */
    uint32_t columns;         /* of panels, filled row by row */
    uint32_t width, height;   /* pixels; points / 96 in a PDF */
    size_t n;
    const hs_panel *panel;    /* (n) */
} hs_figure;

/* `keep_script`: NAME.gp and NAME.dat are left beside NAME.svg; `gnuplot NAME.gp` in that folder draws it again. */
hs_status hs_figure_draw(const hs_figure *figure, const char *path, bool keep_script, hs_error *err);

/* The grokking curve of runs: accuracy of each split against the step (log), from run.db; training splits dashed, test
 * splits solid, in one color a split. Several runs are seeds of one experiment: a thin line each. A folder without run.db
 * that holds seed-1, seed-2, ... (hopscope run --seeds) stands for those. */
typedef struct hs_figure_run_options {
    const char *title;   /* NULL = report.title of the first run, or its folder's name */
    const char *splits;  /* list of splits to draw, comma-separated; NULL or "" = all */
    bool seconds;        /* x is seconds of training in place of steps */
    bool loss;           /* y is the loss */
    bool keep_script;
} hs_figure_run_options;
hs_status hs_figure_run(const char *const *run_dirs, size_t n, const hs_figure_run_options *options, const char *path,
                        hs_error *err);

/* Accuracy against steps and against CPU seconds, and the times to grok; as hs_figure_draw. */
hs_status hs_bakeoff_figure(const hs_bakeoff *bakeoff, const hs_bakeoff_result *result, const char *dir, const char *path,
                            bool keep_script, hs_error *err);

#ifdef __cplusplus
}
#endif
#endif
