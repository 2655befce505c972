/* internal.h - shared between the files of the experiment layer. */
#ifndef HOPSCOPE_EXPERIMENT_INTERNAL_H
#define HOPSCOPE_EXPERIMENT_INTERNAL_H

#include "hopscope/experiment.h"

/* hs_config_set with the row at hand. */
hs_status hs_config_set_key(hs_config *config, const hs_config_key *key, const char *value, hs_error *err);
/* HS_ERR_USAGE that names the nearest key. */
hs_status hs_config_unknown_key(const char *key, hs_error *err);
/* Shortest text that reads back to the same float (single) or double. */
void hs_number_text(double value, bool single, char out[32]);
/* A setting that names a file, just set from `file` (NULL: the command line): made absolute where it is found. */
void hs_config_place(hs_config *config, const hs_config_key *key, const char *file);
/* Do two configurations name the same file, which the first knew in another place? Then nothing else differs. */
bool hs_config_same_file(const hs_config *old, const hs_config *now, const hs_config_key *key);
/* Calls the other ranks to the run in this folder, which stands, and shares the trainer out over them. */
hs_status hs_run_share(hs_trainer *trainer, const char *run_dir, hs_ranks *ranks, const hs_events *events,
                       hs_error *err);
/* Fills the times of `cost` in under a second; *stepped: the trainer took steps and must be made anew. */
hs_status hs_run_estimate(hs_trainer *trainer, const hs_train_config *config, hs_pool *pool, const hs_signals *signals,
                          hs_run_cost *cost, bool *stepped, hs_error *err);
/* HS_ERR_IO that lists the kept steps, unless `step` is one. */
hs_status hs_run_check_step(const char *run_dir, uint64_t step, hs_error *err);
/* The wanted of the stored steps, ascending: "last" (also NULL: the step that is loaded), "all", a list; the caller frees *steps. */
hs_status hs_run_wanted_steps(const char *wish, const hs_run *run, uint64_t **steps, size_t *n, hs_error *err);
/* Accuracy of a split in report.paper_values, or NaN. */
double hs_paper_value(const hs_config *config, const char *split);

/* RUN_DIR/init.safetensors: what the run began with, written before its first step where model.init names weights. */
hs_status hs_run_init_path(char *out, size_t size, const char *run_dir, hs_error *err);
/* The model that the run begins with: that file where it is there, else hs_experiment_initial_model. */
hs_status hs_run_initial_model(const char *run_dir, const hs_config *config, const hs_dataset *data, hs_model *out,
                               const hs_events *events, hs_error *err);

/* A result for each split of `data`, without evaluations yet. */
hs_status hs_run_make_splits(const hs_config *config, const hs_dataset *data, hs_experiment_result *result,
                             hs_error *err);

/* What always giving the commonest answer would score on items of this kind. */
double hs_majority(hs_split_kind kind, const hs_baselines *baselines);

/* A run for reading without its model: configuration and dataset; hs_run_close. */
hs_status hs_run_open_data(hs_run *out, const char *run_dir, hs_error *err);

/* Checkpoints without a record are a run that lost it: HS_ERR_DATA, as its history would silently begin anew. */
hs_status hs_run_check_record(const char *db, const char *checkpoints, hs_error *err);

/* Write a run whose folder is gone as a whole run into a new one, beside the old if that can be: `out` names it. */
hs_status hs_run_rescue(const char *run_dir, const hs_config *config, const hs_dataset *data, hs_record *record,
                        hs_trainer *trainer, double seconds, char *out, size_t size, hs_error *err);

/* The sources of a configuration, each over the one before it: texts in YAML (the first may not be empty), `set` as on
 * the command line, then lines that stand in the file `own_name` and were read there. hs_config_parse is the case of
 * one text. */
typedef struct hs_config_layer {
    const char *name, *text; /* of the file; UTF-8 */
    size_t size;
} hs_config_layer;
typedef struct hs_config_line {
    const char *key, *value;
    size_t line;
} hs_config_line;
typedef struct hs_config_sources {
    const hs_config_layer *layer; /* (n_layers) */
    size_t n_layers;
    const char *const *set; /* (n_set) */
    size_t n_set;
    const char *own_name;
    const hs_config_line *own; /* (n_own), a key at most once */
    size_t n_own;
} hs_config_sources;
hs_status hs_config_combine(hs_config *out, const hs_config_sources *from, hs_error *err);

#endif
