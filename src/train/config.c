/* config.c - defaults of training and what its settings must satisfy. */
#include "train/keys.h"

void hs_train_config_default(hs_train_config *c)
{
    *c = (hs_train_config){.seed = 1,
                           .steps = 2000,
                           .batch = 512,
                           .shards = 4,
                           .loss = HS_LOSS_CROSS_ENTROPY,
                           .optimizer = HS_OPT_MUON,
                           .lr = 1e-3,
                           .beta1 = 0.9,
                           .beta2 = 0.999,
                           .eps = 1e-8,
                           .weight_decay = 0.3,
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

const char *const hs_loss_names[] = {"cross_entropy", "stablemax", NULL};
const char *const hs_filter_names[] = {"none", "grokfast_ema", "orthograd", NULL};
const char *const hs_schedule_names[] = {"constant", "linear", "cosine", NULL};
const char *const hs_on_nan_names[] = {"stop", "rollback", NULL};
const char *const hs_on_save_error_names[] = {"stop", "continue", NULL};

static hs_status check_number(const char *key, double value, double least, double most, hs_error *err)
{
    if (value >= least && value <= most)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "%s is %.9g, out of range", key, value);
    hs_error_where(err, "%s", key);
    return hs_error_hint(err, "%s is from %.15g to %.15g", key, least, most);
}

static hs_status check_choice(const char *key, unsigned value, const char *const *names, hs_error *err)
{
    unsigned n = 0;
    while (names[n])
        n++;
    if (value < n)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "%s is no choice: %u", key, value);
    return hs_error_where(err, "%s", key);
}

static hs_status check_ranges(const hs_train_config *c, hs_error *err)
{
#define CHECK_NUMBER(f, least, most, help) HS_TRY(check_number("train." #f, (double)c->f, least, most, err));
#define CHECK_CHOICE(f, names, help) HS_TRY(check_choice("train." #f, (unsigned)c->f, names, err));
#define CHECK_TEXT(f, help)
    HS_TRAIN_KEYS(CHECK_NUMBER, CHECK_NUMBER, CHECK_CHOICE, CHECK_CHOICE, CHECK_TEXT)
    return HS_OK;
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
    HS_TRY(check_ranges(c, err));
    HS_TRY(require(c->lr * c->weight_decay < 1, "train.weight_decay", "less than 1 / train.lr", err));
    return require(c->evals_per_decade > 0 || c->eval_every > 0, "train.evals_per_decade",
                   "above 0 while train.eval_every is 0", err);
}
