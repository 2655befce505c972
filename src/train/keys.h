/* keys.h - the settings of training: one row each, name, range and what it does. hs_train_config_check and the configuration
 * table (experiment/config) both come from it. Adding a setting: a field of hs_train_config, a row here, and its default in
 * config.c.
 *
 * NUMBER(field, least, most, help), CHOICE(field, names, help), TEXT(field, help); _R: may differ when a run is resumed,
 * since it changes no bit of the weights at a given step. */
#ifndef HOPSCOPE_TRAIN_KEYS_H
#define HOPSCOPE_TRAIN_KEYS_H

#include "hopscope/train.h"

#define HS_MAX32 4294967295.0
#define HS_MAX64 9007199254740992.0 /* 2^53: exact in JSON and YAML readers everywhere */
#define HS_BELOW_1 0.9999999        /* a decay of 1 never forgets; float32 has this one still below it */

#define HS_TRAIN_KEYS(NUMBER, NUMBER_R, CHOICE, CHOICE_R, TEXT_R) \
    NUMBER(seed, 0, HS_MAX64, "seed of the initial weights, the batch order and dropout") \
    NUMBER_R(steps, 1, HS_MAX64, "budget in steps") \
    NUMBER_R(max_seconds, 0, 1e9, "budget in seconds of training; 0: none; where it ends depends on the machine") \
    NUMBER(batch, 0, HS_MAX32, "sequences a step; 0: the whole training set") \
    NUMBER(shards, 1, 4096, "parts of a batch; unlike threads, part of the result") \
    NUMBER(micro, 0, HS_MAX32, "sequences of a micro-batch; 0: chosen from the width") \
    NUMBER_R(threads, 0, 1024, "0: one per core; changes no bit of the result") \
    CHOICE(loss, hs_loss_names, "loss") \
    CHOICE(optimizer, hs_optimizer_names, "muon: matrices by Muon, the rest by AdamW") \
    NUMBER(lr, 0, 1e30, "learning rate") \
    NUMBER(beta1, 0, HS_BELOW_1, "decay of the first moment") \
    NUMBER(beta2, 0, HS_BELOW_1, "decay of the second moment") \
    NUMBER(eps, 0, 1, "epsilon of the optimizer") \
    NUMBER(weight_decay, 0, 1000, "decoupled weight decay") \
    NUMBER(muon_momentum, 0, HS_BELOW_1, "Nesterov momentum of Muon") \
    NUMBER(prefix_lr, 0, 1000, "trm: SignSGD rate of the prefix") \
    CHOICE(filter, hs_filter_names, "gradient filter") \
    NUMBER(filter_alpha, 0, HS_BELOW_1, "grokfast_ema: decay of the average") \
    NUMBER(filter_lambda, 0, 1e6, "grokfast_ema: weight of the average") \
    NUMBER(clip, 0, 1e9, "largest norm of the gradient; 0: off") \
    NUMBER(row_clip, 0, 1e9, "largest norm of a matrix's row after a step; 0: off") \
    NUMBER(ema, 0, HS_BELOW_1, "decay of the averaged weights used for evaluation; 0: off") \
    CHOICE(schedule, hs_schedule_names, "schedule of the learning rate") \
    NUMBER(warmup, 0, HS_MAX64, "steps of linear warm-up") \
    NUMBER(lr_min, 0, 1, "last rate as a share of lr") \
    NUMBER_R(evals_per_decade, 0, 1000, "evaluations evenly spaced in log steps") \
    NUMBER_R(eval_every, 0, HS_MAX64, "and every so many steps; 0: off") \
    NUMBER_R(eval_max, 0, HS_MAX32, "items of a split that are evaluated while training; 0: all") \
    TEXT_R(stop_split, "stop when this split ...; empty: never early") \
    NUMBER_R(stop_accuracy, 0, 1, "... has at least this accuracy") \
    NUMBER_R(stop_patience, 1, HS_MAX32, "... for so many evaluations in a row") \
    CHOICE_R(on_nan, hs_on_nan_names, "loss or gradient not finite: stop, or roll back to the last checkpoint") \
    NUMBER_R(checkpoint_every, 0, HS_MAX64, "steps between checkpoints; 0: off") \
    NUMBER_R(checkpoint_seconds, 0, 1e9, "seconds between checkpoints; 0: off; changes no bit of the run") \
    NUMBER_R(checkpoint_keep, 1, HS_MAX32, "checkpoints kept, besides the log-spaced ones") \
    NUMBER_R(checkpoints_per_decade, 0, 1000, "checkpoints evenly spaced in log steps, kept for good; 0: none") \
    NUMBER_R(checkpoint_budget, 0, HS_MAX64, "bytes; the oldest log-spaced ones go first; 0: no limit") \
    CHOICE_R(on_save_error, hs_on_save_error_names, "a checkpoint cannot be saved: stop, or go on without")

#endif
