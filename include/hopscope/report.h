/* report.h - what leaves the laboratory: figures; models as Hugging Face folders and back. */
#ifndef HOPSCOPE_REPORT_H
#define HOPSCOPE_REPORT_H

#include "hopscope/core.h"
#include "hopscope/graph.h"
#include "hopscope/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- Hugging Face folders (docs/models.md) */

/* Write a folder that transformers loads without custom code: config.json, model.safetensors, generation_config.json, and,
 * with `vocab` (token id -> name; NULL = none), tokenizer.json, tokenizer_config.json, special_tokens_map.json, vocab.json.
 *
 * GPT-2 becomes GPT2LMHeadModel; a model whose K blocks run R times becomes an ordinary one of K*R blocks (the same
 * function, weights repeated), and so does one with a shared MLP. The Llama form becomes LlamaForCausalLM, with norms on
 * queries and keys Qwen3ForCausalLM. HS_ERR_USAGE, naming the switch, for what those architectures cannot compute: TRM,
 * re_embed, inject, memory_inner, no_ln, no_mlp.
 *
 * The tokenizer is a WordLevel one: a name is one token, whole. Where every name has the form <...>, names stand side by
 * side ("<e_1><r_2>"), as published. Otherwise a tab or a newline separates them ("Ada Lovelace\tborn in"), since names
 * contain spaces. HS_ERR_DATA if a name contains a tab or a newline and would be cut. `dir` is made; files in it are
 * replaced, config.json last. */
hs_status hs_export_hf(const hs_model *model, const hs_names *vocab, const char *dir, hs_error *err);

/* The text of tokenizer.json for `vocab`, appended to `out`; *separated = the form with separators was taken. What is no
 * name becomes the id `unknown`: hs_export_hf gives the first id outside the model, so that the model refuses it. */
hs_status hs_hf_tokenizer(const hs_names *vocab, uint32_t unknown, hs_str *out, bool *separated, hs_error *err);

/* Model from a Hugging Face folder: GPT-2, Llama or Qwen3, tied or untied, F32, F16, BF16 or F64, one model.safetensors or
 * shards under model.safetensors.index.json, names with or without their "transformer." or "model." prefix. Grouped
 * key/value heads are repeated into full ones. `out` zero-initialized. HS_ERR_DATA names the tensor that is missing, of
 * the wrong shape, damaged or left over, or the configuration key that asks for something hopscope's models do not do. */
hs_status hs_import_hf(hs_model *out, const char *dir, hs_error *err);

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

#ifdef __cplusplus
}
#endif
#endif
