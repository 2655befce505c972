/* internal.h - what the files of the training layer share. */
#ifndef HOPSCOPE_TRAIN_INTERNAL_H
#define HOPSCOPE_TRAIN_INTERNAL_H

#include "hopscope/tensor.h"
#include "hopscope/train.h"

/* ---------------------------------------------------------------- batches from packed splits */

/* Which item of which split a sequence is. */
typedef struct hs_item {
    uint32_t split;
    uint64_t index;
} hs_item;

/* The items of a training set in the order they are drawn (train.shares; draw.c). */
typedef struct hs_draw hs_draw;
/* HS_ERR_DATA: nothing to train on, or shares (a list of SPLIT=SHARE, "" = none) that do not fit the dataset. */
hs_status hs_draw_create(hs_draw **out, const hs_dataset *data, const char *shares, uint64_t seed, hs_error *err);
void hs_draw_free(hs_draw *draw);
uint64_t hs_draw_items(const hs_draw *draw); /* training items */
double hs_draw_share(const hs_draw *draw, const hs_dataset *data,
                     uint32_t split); /* of a batch that is of this split */
/* The item of a sequence by its number through all steps. `in_order`: without shares, the training set as it stands. */
hs_item hs_draw_item(const hs_draw *draw, uint64_t number, uint32_t attempt, bool in_order);
/* The form of train.shares: HS_ERR_DATA with where, value and hint. */
hs_status hs_shares_check(const char *text, hs_error *err);
bool hs_split_is_facts(const hs_split *split);

/* Memory for one micro-batch, and the arrays hs_batch points into. */
typedef struct hs_batch_memory {
    uint32_t *token, *start, *score_row, *target, *full;
    float *weight, *exit_weight;
    uint32_t *exit_row, *exit_target;
    uint64_t *also_start, *exit_also_start;
    uint32_t *also, *exit_also;
    size_t also_cap;
    uint32_t max_sequences, max_width, full_width;
} hs_batch_memory;
/* For up to `sequences` items of `data`; full_width > 0 fills hs_batch.full for models that predict in place. */
hs_status hs_batch_memory_create(hs_batch_memory *m, const hs_dataset *data, uint32_t sequences, uint32_t full_width,
                                 hs_error *err);
void hs_batch_memory_free(hs_batch_memory *m);
/* How many of items[0..n), from the first on, have at most so many rows together; at least 1. */
uint32_t hs_items_within(const hs_dataset *data, const hs_item *items, uint32_t n, uint32_t rows);
/* The batch of items[0..n). `weight` goes to every scored row; 0 = prediction (batch.weight NULL). */
hs_batch hs_batch_fill(hs_batch_memory *m, const hs_dataset *data, const hs_item *items, uint32_t n, float weight);
/* Multiplies the weight of each scored row of a fact of that batch. */
void hs_batch_weigh_facts(hs_batch_memory *m, const hs_dataset *data, const hs_item *items, float factor,
                          const hs_batch *batch);
/* Lists what that batch must answer after earlier passes (hs_batch.exits): the first answer token of each fact, with
 * weight `fact`, and that of the first bridge of each query at its first relation, with weight `query`; 0: none. */
void hs_batch_exits(hs_batch_memory *m, const hs_dataset *data, const hs_item *items, float fact, float query,
                    hs_batch *batch);
/* Tokens of the longest item of the dataset that are fed to a model (its width less one). */
uint32_t hs_dataset_rows(const hs_dataset *data);

/* ---------------------------------------------------------------- with other ranks */

/* hs_evaluate_polled by all ranks (NULL: alone): every rank calls it with the same weights and has the result. What any
 * rank's signals ask for stops all. */
hs_status hs_evaluate_ranks(const hs_model *model, const float *param_override, const hs_dataset *data,
                            const hs_split *split, uint32_t max, hs_pool *pool, hs_signals *signals, hs_ranks *ranks,
                            hs_eval *out, hs_error *err);
/* The signal that asks for a stop, or 0. */
int hs_signals_asked(const hs_signals *signals);
/* Where the trainer looks for signals while it waits for nothing else, and puts those that came to other ranks. */
void hs_trainer_set_signals(hs_trainer *trainer, hs_signals *signals);

/* One probe, as hs_probes_run does it. */
hs_status hs_probe_run(const hs_probe *probe, const hs_probe_context *at, const hs_events *events, uint32_t *failed);
/* What the probes of a trainer see, without record. */
hs_probe_context hs_trainer_probe_context(hs_trainer *trainer, hs_model *view);
/* Before a shared probe: calls the other ranks to their probe of this number; NULL: none are there. After it: signals
 * that came to them. */
hs_status hs_trainer_call_probe(hs_trainer *trainer, uint32_t number, hs_ranks **ranks, hs_error *err);
hs_status hs_trainer_end_probe(hs_trainer *trainer, hs_error *err);

/* ---------------------------------------------------------------- log time */

/* Is `step` on the grid of `per_decade` points a decade? The k-th point is round(10^(k / per_decade)). */
bool hs_on_log_grid(uint64_t step, double per_decade);

/* ---------------------------------------------------------------- frozen tensors */

/* Which tensors of a model keep their bits; all zero: none. */
typedef struct hs_freeze {
    const hs_model *model;
    bool *frozen; /* (n_tensors) or NULL: none */
} hs_freeze;
/* patterns: a list of globs over tensor names. HS_ERR_DATA for one that fits none, or when nothing is left to train. */
hs_status hs_freeze_create(hs_freeze *out, const hs_model *model, const char *patterns, hs_error *err);
void hs_freeze_free(hs_freeze *freeze);
bool hs_is_frozen(const hs_freeze *freeze, const hs_tensor *tensor);
/* Frozen elements of [first, first + n) of `to` (n_params) become those of `from`, or 0 where that is NULL. */
void hs_freeze_apply(const hs_freeze *freeze, size_t first, size_t n, const float *from, float *to);

/* ---------------------------------------------------------------- optimizers */

enum { HS_STATE_ARRAYS = 2 }; /* most that an update rule may have */

/* An update rule (optimizer/optimizer.h) of the table. */
typedef struct hs_optimizer_rule hs_optimizer_rule;
const hs_optimizer_rule *hs_optimizer_rule_of(hs_optimizer_kind kind);

/* The configured rule over all tensors, in parallel. */
typedef struct hs_optimizer hs_optimizer;
/* Borrows `freeze`, whose tensors it leaves as they are. */
hs_status hs_optimizer_create(hs_optimizer **out, const hs_model *model, const hs_train_config *config,
                              const hs_freeze *freeze, uint32_t workers, hs_error *err);
void hs_optimizer_free(hs_optimizer *opt);
/* Name of the rule's i-th state array, or NULL. */
const char *hs_optimizer_state_name(hs_optimizer_kind kind, int i);
/* One step: `g` is the summed gradient (n_params), read and then zeroed; gscale the factor of clipping, t the 1-based step;
 * state[i] (n_params), NULL where the rule names none; ema (n_params) or NULL: off. */
hs_status hs_optimizer_step(hs_optimizer *opt, hs_pool *pool, hs_model *model, const hs_train_config *config,
                            double factor, uint64_t t, float gscale, float *g, float *const state[HS_STATE_ARRAYS],
                            float *ema, hs_error *err);
/* From now on every rank makes the same steps together, and each works on some of the blocks. An error of a step: a
 * rank is gone. */
hs_status hs_optimizer_share(hs_optimizer *opt, hs_ranks *ranks, hs_error *err);
/* Spent in blocks of this rank since then. */
double hs_optimizer_block_seconds(const hs_optimizer *opt);
size_t hs_optimizer_memory(const hs_optimizer *opt);
/* The least FLOP of a step's matrix products (Muon's); element-wise work counts as none. */
double hs_optimizer_step_flop(const hs_optimizer *opt);

/* ---------------------------------------------------------------- gradient filters */

/* Grokfast-EMA (Lee et al., arXiv 2405.20233, Algorithm 1): mu = alpha mu + (1 - alpha) g, g += lambda mu; (n) each. */
void hs_grokfast_ema(size_t n, float alpha, float lambda, float *restrict mu, float *restrict g);
/* OrthoGrad: remove from each tensor's gradient its part along the weights, keep the norm (arXiv 2501.04697, eq. 9). */
void hs_orthograd(hs_pool *pool, const hs_model *model, float *g);

/* x (rows, cols) := 5 Newton-Schulz steps towards the nearest semi-orthogonal matrix (Jordan et al., Muon). scratch:
 * hs_newton_schulz_scratch(rows, cols) floats. The FLOP are the least it takes: symmetric products counted by half. */
void hs_newton_schulz(uint32_t rows, uint32_t cols, float *x, float *scratch);
size_t hs_newton_schulz_scratch(uint32_t rows, uint32_t cols);
double hs_newton_schulz_flop(uint32_t rows, uint32_t cols);

#endif
