/* config.c - the settings of training: one row each, their defaults, and what they demand of each other. */
#include "core/setting.h"
#include "train/internal.h"

const char *const hs_loss_names[] = {"cross_entropy", "stablemax", NULL};
const char *const hs_filter_names[] = {"none", "grokfast_ema", "orthograd", NULL};
const char *const hs_schedule_names[] = {"constant", "linear", "cosine", NULL};
const char *const hs_on_nan_names[] = {"stop", "rollback", NULL};
const char *const hs_on_save_error_names[] = {"stop", "continue", NULL};

#define NUMBER(f, min, max, flags, help) HS_SETTING(hs_train_config, f, #f, min, max, NULL, flags, help)
#define TEXT(f, flags, help) HS_SETTING(hs_train_config, f, #f, 0, 0, NULL, flags, help)
#define CHOICE(f, names, flags, help) HS_SETTING(hs_train_config, f, #f, 0, 0, names, flags, help)

static const hs_setting SETTINGS[] = {
    NUMBER(seed, 0, HS_SETTING_MAX64, 0, "seed of the initial weights, the batch order and dropout"),
    NUMBER(steps, 1, HS_SETTING_MAX64, HS_SETTING_RESUME, "budget in steps"),
    NUMBER(max_seconds, 0, 1e9, HS_SETTING_RESUME,
           "budget in seconds of training; 0: none; where it ends depends on the machine"),
    NUMBER(batch, 0, HS_SETTING_MAX32, 0, "sequences a step; 0: the whole training set"),
    TEXT(shares, HS_SETTING_LIST,
         "SPLIT=SHARE of every batch, `facts` for all splits of facts; the rest by size; empty: all by size"),
    NUMBER(shards, 1, 4096, 0, "parts of a batch; unlike threads, part of the result"),
    NUMBER(micro, 0, HS_SETTING_MAX32, 0, "sequences of a micro-batch; 0: chosen from the width"),
    NUMBER(threads, 0, 1024, HS_SETTING_RESUME, "0: one per core; changes no bit of the result"),
    CHOICE(loss, hs_loss_names, 0, "loss"),
    HS_SETTING(hs_train_config, answer_only, "answer_only", 0, 1, NULL, 0,
               "trm: the loss counts the answer alone, not the copy of the prompt"),
    NUMBER(label_smoothing, 0, 1, HS_SETTING_BELOW, "share of a uniform target in the loss; 0: none"),
    NUMBER(fact_weight, 0, 1000, 0, "weight of a fact's loss, beside 1 of a query's"),
    NUMBER(fact_exit, 0, 1000, 0,
           "models of several passes or outer cycles: facts must be answered after each earlier pass too, with this "
           "weight; 0: off"),
    NUMBER(query_exit, 0, 1000, 0,
           "the same for the bridge of training queries, at their first relation; weakens what test_oo shows; 0: off"),
    NUMBER(exit_passes, 0, HS_SETTING_MAX32, 0,
           "fact_exit, query_exit: after the first so many passes only; 0: after each but the last"),
    CHOICE(optimizer, hs_optimizer_names, 0, "muon: matrices by Muon, the rest by AdamW"),
    NUMBER(lr, 0, HS_SETTING_MAX_REAL, 0, "learning rate"),
    NUMBER(beta1, 0, 1, HS_SETTING_BELOW, "decay of the first moment"),
    NUMBER(beta2, 0, 1, HS_SETTING_BELOW, "decay of the second moment"),
    NUMBER(eps, 0, 1, 0, "epsilon of the optimizer"),
    NUMBER(weight_decay, 0, 1000, 0, "decoupled weight decay"),
    NUMBER(table_decay, 0, 1000, 0, "times weight_decay, for embeddings and head; 0: they are not decayed"),
    NUMBER(muon_momentum, 0, 1, HS_SETTING_BELOW, "Nesterov momentum of Muon"),
    NUMBER(prefix_lr, 0, 1000, 0, "trm: SignSGD rate of the prefix"),
    CHOICE(filter, hs_filter_names, 0, "gradient filter"),
    NUMBER(filter_alpha, 0, 1, HS_SETTING_BELOW, "grokfast_ema: decay of the average"),
    NUMBER(filter_lambda, 0, 1e6, 0, "grokfast_ema: weight of the average"),
    NUMBER(clip, 0, 1e9, 0, "largest norm of the gradient; 0: off"),
    NUMBER(row_clip, 0, 1e9, 0, "largest norm of a matrix's row after a step; 0: off"),
    NUMBER(ema, 0, 1, HS_SETTING_BELOW, "decay of the averaged weights used for evaluation; 0: off"),
    TEXT(freeze, HS_SETTING_LIST,
         "tensors that are not trained, by name; * stands for anything (docs/howto-staged.md)"),
    CHOICE(schedule, hs_schedule_names, 0, "schedule of the learning rate"),
    NUMBER(warmup, 0, HS_SETTING_MAX64, 0, "steps of linear warm-up"),
    NUMBER(lr_min, 0, 1, 0, "last rate as a share of lr"),
    NUMBER(evals_per_decade, 0, 1000, HS_SETTING_RESUME, "evaluations evenly spaced in log steps"),
    NUMBER(eval_every, 0, HS_SETTING_MAX64, HS_SETTING_RESUME, "and every so many steps; 0: off"),
    NUMBER(eval_max, 0, HS_SETTING_MAX32, HS_SETTING_RESUME,
           "items of a split that are evaluated while training; 0: all"),
    TEXT(stop_split, HS_SETTING_RESUME, "stop when this split ...; empty: never early"),
    NUMBER(stop_accuracy, 0, 1, HS_SETTING_RESUME, "... has at least this accuracy"),
    NUMBER(stop_patience, 1, HS_SETTING_MAX32, HS_SETTING_RESUME, "... for so many evaluations in a row"),
    CHOICE(on_nan, hs_on_nan_names, HS_SETTING_RESUME,
           "loss or gradient not finite: stop, or roll back to the last checkpoint"),
    NUMBER(checkpoint_every, 0, HS_SETTING_MAX64, HS_SETTING_RESUME, "steps between checkpoints; 0: off"),
    NUMBER(checkpoint_seconds, 0, 1e9, HS_SETTING_RESUME,
           "seconds between checkpoints; 0: off; changes no bit of the run"),
    NUMBER(checkpoint_keep, 1, HS_SETTING_MAX32, HS_SETTING_RESUME, "checkpoints kept, besides the log-spaced ones"),
    NUMBER(checkpoints_per_decade, 0, 1000, HS_SETTING_RESUME,
           "checkpoints evenly spaced in log steps, kept for good; 0: none"),
    NUMBER(checkpoint_budget, 0, HS_SETTING_MAX64, HS_SETTING_RESUME,
           "bytes; the oldest log-spaced ones go first; 0: no limit"),
    CHOICE(on_save_error, hs_on_save_error_names, HS_SETTING_RESUME,
           "a checkpoint cannot be saved: stop, or go on without"),
};
enum { N_SETTINGS = sizeof SETTINGS / sizeof *SETTINGS };

const hs_setting *hs_train_settings(size_t *n)
{
    *n = N_SETTINGS;
    return SETTINGS;
}

void hs_train_config_default(hs_train_config *c)
{
    *c = (hs_train_config){.seed = 1,
                           .steps = 2000,
                           .batch = 512,
                           .shards = 4,
                           .loss = HS_LOSS_CROSS_ENTROPY,
                           .fact_weight = 1,
                           .optimizer = HS_OPT_MUON,
                           .lr = 1e-3,
                           .beta1 = 0.9,
                           .beta2 = 0.999,
                           .eps = 1e-8,
                           .weight_decay = 0.3,
                           .table_decay = 1,
                           .muon_momentum = 0.95,
                           .prefix_lr = 1e-4,
                           .filter_alpha = 0.98,
                           .filter_lambda = 2.0,
                           .clip = 1.0,
                           .schedule = HS_SCHEDULE_CONSTANT,
                           .warmup = 20,
                           .evals_per_decade = 20,
                           .eval_max = 3000,
                           .stop_accuracy = 0.99,
                           .stop_patience = 2,
                           .on_nan = HS_ON_NAN_STOP,
                           .checkpoint_seconds = 60,
                           .checkpoint_keep = 2,
                           .checkpoints_per_decade = 2,
                           .on_save_error = HS_ON_SAVE_ERROR_STOP};
}

/* What a row of the table cannot say: `what` the key must be. */
static hs_status require(bool holds, const char *key, const char *what, hs_error *err)
{
    if (holds)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "%s must be %s", key, what);
    return hs_error_where(err, "%s", key);
}

hs_status hs_train_config_check(const hs_train_config *c, hs_error *err)
{
    HS_TRY(hs_settings_check(SETTINGS, N_SETTINGS, c, "train", err));
    HS_TRY(require(c->lr * c->weight_decay < 1, "train.weight_decay", "less than 1 / train.lr", err));
    HS_TRY(require(c->lr * c->weight_decay * c->table_decay < 1, "train.table_decay",
                   "less than 1 / (train.lr * train.weight_decay)", err));
    HS_TRY(hs_shares_check(c->shares, err));
    return require(c->evals_per_decade > 0 || c->eval_every > 0, "train.evals_per_decade",
                   "above 0 while train.eval_every is 0", err);
}
