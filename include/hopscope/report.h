/* report.h - what leaves the laboratory: figures and the page. Reads run folders; the layer below the command line. */
#ifndef HOPSCOPE_REPORT_H
#define HOPSCOPE_REPORT_H

#include "hopscope/core.h"
#include "hopscope/experiment.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library exports what stands here */

/* ---------------------------------------------------------------- runs (docs/reading-runs.md) */

/* A run folder as it stands, for figures, pages and programs: the one way to read a run without its model. Zero-initialized by
 * hs_run_reader_open, released with hs_run_reader_close; nothing is written, a run may be going on. */
typedef struct hs_run_reader {
    char dir[4096], title[256];
    char ended_by[32]; /* "" while it goes on; else "budget", "stop rule", "signal", "not finite" */
    hs_eval_row *eval; /* (n_evals) in order of step, then split */
    size_t n_evals;
    uint64_t *checkpoint; /* (n_checkpoints) steps that are kept, ascending */
    size_t n_checkpoints;
    hs_record *record; /* open for reading */
} hs_run_reader;
/* HS_ERR_IO if the folder holds no run. */
hs_status hs_run_reader_open(hs_run_reader *out, const char *run_dir, hs_error *err);
/* Every value of a metric (loss, batch_accuracy, grad_norm, lr, cpu_seconds), or of the probes that fit (NULL: all); the
 * caller frees *rows with hs_free. */
hs_status hs_run_reader_metric(const hs_run_reader *run, const char *name, hs_metric_row **rows, size_t *n,
                               hs_error *err);
hs_status hs_run_reader_probes(const hs_run_reader *run, const hs_probe_filter *filter, hs_probe_row **rows, size_t *n,
                               hs_error *err);
/* The strongest shortcut of every test split, from the dataset's audit; the caller frees *splits with hs_free. */
typedef struct hs_split_baselines {
    char split[48];
    double best;      /* NaN: none has a value */
    const char *name; /* of that shortcut, static */
    double majority;  /* always giving the commonest answer (of the relation path, or of all comparisons); NaN: none */
} hs_split_baselines;
hs_status hs_run_reader_baselines(const hs_run_reader *run, hs_split_baselines **splits, size_t *n, hs_error *err);
void hs_run_reader_close(hs_run_reader *run);

/* ---------------------------------------------------------------- figures (docs/plot.md) */

/* Figures on paper, drawn by gnuplot (called as a program, no shell): SVG, PNG or PDF by the ending of the path. The file
 * appears whole or not at all. HS_ERR_FAILED, with the Debian package to install, where gnuplot is missing; HS_ERR_USAGE for
 * another ending. Every point given is drawn. */
typedef enum hs_mark {
    HS_MARK_LINE,
    HS_MARK_POINT,    /* filled circle */
    HS_MARK_CENSORED, /* open triangle: at least this far */
    HS_MARK_RANGE,    /* horizontal bar from low to high, a tick at x */
    HS_MARK_BAND,     /* the area between low and high; y is not looked at */
    HS_MARK_HEAT,     /* unit square around (x, y), colored by `value` (0 to 1), the number printed in it */
    HS_MARK_CHANGE,   /* the same for differences (-1 to 1) */
    HS_MARK_NODE,     /* large circle */
    HS_MARK_ARROW     /* from (x, y) to (low, high) */
} hs_mark;

/* One set of points in one look. `name` is its line of the legend, NULL: none. */
typedef struct hs_series {
    const char *name;
    hs_mark mark;
    uint32_t color;          /* index into a palette of 12 that is readable without color sight; beyond, it repeats */
    bool dashed, dotted;     /* at most one */
    double width;            /* of the line; 0 = 1.5 */
    size_t n;
    const double *x, *y;     /* (n); a NaN breaks a line */
    const double *low, *high; /* (n), HS_MARK_RANGE (in x), HS_MARK_BAND (in y), HS_MARK_ARROW (end) */
    const double *value;      /* (n), HS_MARK_HEAT and HS_MARK_CHANGE; NaN: no square */
} hs_series;

typedef struct hs_panel {
    const char *title, *x_label, *y_label; /* NULL = none */
    bool log_x, legend;
    double x_low, x_high;     /* both 0 = by the data */
    double y_low, y_high;     /* both 0 = by the data */
    const char *const *y_names; /* (n_y_names) text at y = 0, 1, ... in place of numbers; NULL = numbers */
    size_t n_y_names;
    const char *const *x_names; /* the same for x */
    size_t n_x_names;
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

/* The grokking curve of runs: accuracy of each split against the step (log); training splits dashed, test splits solid.
 * One folder: a color a split. Several: a color for each split of each folder, and the folder's name in the legend. A
 * folder that holds seed-1, seed-2, ... (hopscope run --seeds) is drawn as the mean of its runs, each run a thin line,
 * and a band from the lowest to the highest. Dotted lines are the best shortcut of a test split (accuracy only), and
 * the first run's published curves (report.published; accuracy against steps only; HS_ERR_DATA with file and line for
 * one that is not as docs/page.md says). */
typedef struct hs_figure_run_options {
    const char *title;   /* NULL = report.title of the first run, or its folder's name */
    const char *splits;  /* list of splits to draw, comma-separated; NULL or "" = all */
    bool seconds;        /* x is seconds of training in place of steps */
    bool loss;           /* y is the loss */
    bool keep_script;
    const hs_events *events; /* warnings: a file of report.published that is not there; NULL = nobody listens */
} hs_figure_run_options;
hs_status hs_figure_run(const char *const *run_dirs, size_t n, const hs_figure_run_options *options, const char *path,
                        hs_error *err);

/* What a method of the microscope (interp.h) measured in a run, from its rows in run.db. docs/plot.md says what each method's
 * figure shows. HS_ERR_DATA if the run has no such rows; the hint is the command that measures them. HS_ERR_USAGE for a method,
 * split, step, role or measure that there is none of. */
typedef struct hs_figure_probe_options {
    const char *title;          /* NULL = report.title, or the folder's name */
    const char *split;          /* list; NULL or "" = the method's own choice */
    const char *role, *measure; /* lists; NULL or "" = the method's main ones */
    const char *step;           /* decimal: whose readings are shown; NULL = the last */
    const char *from;           /* decimal: the step that is compared with; NULL = the first */
    bool keep_script;
} hs_figure_probe_options;
hs_status hs_figure_probe(const char *run_dir, const char *method, const hs_figure_probe_options *options,
                          const char *path, hs_error *err);

/* A sweep: a curve of every run for each number of its table, and the times, or the numbers at the end, of every run
 * with median or mean and interval; as hs_figure_draw. */
hs_status hs_figure_sweep(const hs_sweep *sweep, const hs_sweep_table *table, const char *path, bool keep_script,
                          hs_error *err);

/* ---------------------------------------------------------------- the page (docs/page.md) */

/* One HTML file that shows runs: curves, looks inside at stored checkpoints, the dataset's proofs. It needs no network
 * and no other file; `hopscope serve` sends the same page without the data, which it then asks for. docs/page.md has
 * the format of the data, and how to read it from Python. Everything here only reads the runs, which may be going on.
 */

/* The runs that folders stand for: a run itself, or the runs in it at most two folders down (seeds, arms of a sweep),
 * in order of names. `id` is unique among them: the folder's name, with the folders above it where that takes it.
 * HS_ERR_IO for a folder that holds no run. The caller frees *out with hs_free. */
typedef struct hs_page_folder {
    char dir[4096], id[256];
} hs_page_folder;
hs_status hs_page_folders(const char *const *dirs, size_t n, hs_page_folder **out, size_t *n_out, hs_error *err);

typedef struct hs_page_options {
    const char *command;  /* that makes the page, as it is shown; NULL = "hopscope report DIR ..." */
    uint32_t queries;     /* looked at in each run; 0 = 100, less where a look is dear (`flop`) */
    uint32_t checkpoints; /* looked at, at most; 0 = 40, less where a look is dear or the file would become too large
                             (`bytes`) */
    size_t bytes;     /* the file's size is kept below this by looking at fewer checkpoints; 0 = 5,000,000 and 2,000,000
                       * more     for every further run */
    double flop;      /* floating point operations that all looks of a run may cost; 0 = 4e12; INFINITY = any */
    uint32_t threads; /* 0 = one a core; changes no byte */
    bool live;        /* of a bundle: it is served, looks are asked for one by one */
    const hs_run_verdict *verdict; /* of the last weights of the only run, where it is known; NULL: it is measured */
} hs_page_options;

/* The data without the looks, BUNDLE of docs/page.md: one JSON object, appended to `out`. What cannot be read is named
 * in its `missing`, the rest is there. HS_ERR_IO for a folder that is no run. `options`, `signals` may be NULL. */
hs_status hs_page_bundle(const char *const *dirs, size_t n, const hs_page_options *options, const hs_signals *signals,
                         hs_str *out, hs_error *err);
/* The same of runs that were found already, with their ids; none is fine. With `live`, a run that went away meanwhile
 * is named in `missing` too. */
hs_status hs_page_bundle_of(const hs_page_folder *folder, size_t n, const hs_page_options *options,
                            const hs_signals *signals, hs_str *out, hs_error *err);
/* The page with bundle and looks, written whole or not at all. */
hs_status hs_page_write(const char *const *dirs, size_t n, const hs_page_options *options, const char *path,
                        const hs_signals *signals, const hs_events *events, hs_error *err);
/* The page without data, as a server sends it: it asks for /api/bundle and the rest by itself. Appended to `out`. */
void hs_page_live(hs_str *out);
/* DIR/report.html at the end of hopscope run (setting report.page): of the run in `dir`, or of the n runs in it, whose
 * results are given. Its looks cost a fiftieth of what the training has cost, and no more than those of hs_page_write.
 * A failure is a warning. */
void hs_page_after_run(const hs_config *config, const char *dir, const hs_experiment_result *results, uint32_t n,
                       const hs_signals *signals, const hs_events *events);

/* The files of the page (src/report/page/web), as they are part of the program: static. */
typedef struct hs_page_asset {
    const char *name;       /* "app.js" */
    const char *text, *end; /* one past the last byte, where a 0 stands */
} hs_page_asset;
const hs_page_asset *hs_page_assets(size_t *n);

/* Questions to one run, one after another: its dataset and the weights of the step last asked stay loaded. One thread
 * at a time. */
typedef struct hs_page_desk hs_page_desk;
hs_status hs_page_desk_open(hs_page_desk **out, const char *run_dir, hs_error *err);
/* Appends {"query": .., "step": .., "look": LOOK} to `out`. `word`: names of the vocabulary, or "#12" for token 12;
 * `step`: a stored one, or HS_LATEST. HS_ERR_DATA names an unknown word and the nearest known one; HS_ERR_IO lists the
 * stored steps. */
hs_status hs_page_desk_ask(hs_page_desk *desk, uint64_t step, const char *const *word, uint32_t n, hs_str *out,
                           hs_error *err);
void hs_page_desk_close(hs_page_desk *desk);

/* ---------------------------------------------------------------- the live page (docs/serve.md) */

/* A server of the page, for one run or a folder of runs, also while they train: the page, its data, questions to the
 * models, and events as they happen. Reads only. On the loopback interface unless `host` says otherwise. */
typedef struct hs_serve_options {
    const char *host; /* NULL = loopback; else an address or a name of this machine, and whoever reaches it may read */
    uint16_t port;    /* 0 = 8787 or the next that is free */
    /* 0 = the default. */
    uint32_t max_connections, max_streams; /* 2,048, and half of them clients of events; less where files are limited */
    size_t news_bytes;                     /* 8 MiB: of events kept for clients that are a little behind */
    double poll_seconds;                   /* 0.25: between looks at the runs */
    double beat_seconds;    /* 15: a client of events that was sent nothing for so long is sent a comment */
    double request_seconds; /* 10: for a request to arrive */
    double answer_seconds;  /* 120: for an answer to be read */
} hs_serve_options;
typedef struct hs_server hs_server;
/* Starts and returns; the work is done by threads. HS_ERR_IO: no such folder, the port is taken. */
hs_status hs_serve_start(hs_server **out, const char *path, const hs_serve_options *options, hs_error *err);
const char *hs_serve_url(const hs_server *server); /* "http://127.0.0.1:8787/" */
size_t hs_serve_runs(hs_server *server);           /* how many are there now */
/* Ends all connections and threads; NULL is fine. */
void hs_serve_stop(hs_server *server);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
