/* sweep.h - shared between the files of a sweep. */
#ifndef HOPSCOPE_EXPERIMENT_SWEEP_H
#define HOPSCOPE_EXPERIMENT_SWEEP_H

#include "experiment/internal.h"

/* What is read once of a member's record. Zero-initialize; free with hs_member_close. */
typedef struct hs_member_record {
    hs_record *record;  /* NULL: there is none */
    hs_eval_row *eval;  /* (n_evals) */
    hs_metric_row *cpu; /* (n_cpu) */
    size_t n_evals, n_cpu;
    hs_stop_reason ended_by;
} hs_member_record;
hs_status hs_member_open(hs_member_record *out, const char *run_dir, hs_error *err);
void hs_member_close(hs_member_record *member);
/* The same, and what it tells; empty where the member has a problem. */
hs_status hs_member_read(const hs_sweep *sweep, uint32_t member, hs_member_record *record, hs_member *out,
                         hs_error *err);
/* As hs_sweep_curve, with the axis of the column. */
hs_status hs_member_curve(const hs_member_record *member, const hs_sweep_column *column, double **x, double **y,
                          size_t *n, hs_error *err);
/* {seed} and {runs} in the settings that name files: the seed, the folder that holds `dir` (and nothing of what stands
 * before). HS_ERR_DATA names the setting that they do not fit into. */
hs_status hs_sweep_fill(hs_config *config, const char *dir, uint64_t seed, hs_error *err);

#endif
