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
/* Accuracy of a split in report.paper_values, or NaN. */
double hs_paper_value(const hs_config *config, const char *split);

/* A run for reading without its model: configuration and dataset; hs_run_close. */
hs_status hs_run_open_data(hs_run *out, const char *run_dir, hs_error *err);

/* Write a run whose folder is gone as a whole run into a new one, beside the old if that can be: `out` names it. */
hs_status hs_run_rescue(const char *run_dir, const hs_config *config, const hs_dataset *data, hs_record *record,
                        hs_trainer *trainer, double seconds, char *out, size_t size, hs_error *err);

/* DIR/ARM/seed-N of a bakeoff. */
hs_status hs_bakeoff_dir(const hs_bakeoff *bakeoff, const char *dir, uint32_t arm, uint32_t seed, char *out, size_t size,
                         hs_error *err);
/* One run as its run.db tells; all zero when there is none. */
hs_status hs_bakeoff_read_run(const hs_config *config, const char *run_dir, hs_bakeoff_run *out, hs_error *err);

#endif
