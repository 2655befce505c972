/* config.c - defaults of training and what its settings must satisfy. */
#include "train/internal.h"

#include <string.h>

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
                           .on_nan = "stop",
                           .checkpoint_seconds = 60,
                           .checkpoint_keep = 2,
                           .checkpoints_per_decade = 2,
                           .on_save_error = "stop"};
}

/* One rule: name of the key, whether it holds, what is asked. */
#define REQUIRE(holds, key, what)                                     \
    do {                                                              \
        if (!(holds)) {                                               \
            hs_fail(err, HS_ERR_DATA, "train." key " must be " what); \
            hs_error_where(err, "train." key);                        \
            return HS_ERR_DATA;                                       \
        }                                                             \
    } while (0)

hs_status hs_train_config_check(const hs_train_config *c, hs_error *err)
{
    REQUIRE(c->steps >= 1, "steps", "at least 1");
    REQUIRE(c->shards >= 1 && c->shards <= 4096, "shards", "between 1 and 4096");
    REQUIRE(c->lr >= 0, "lr", "0 or more");
    REQUIRE(c->beta1 >= 0 && c->beta1 < 1, "beta1", "in [0, 1)");
    REQUIRE(c->beta2 >= 0 && c->beta2 < 1, "beta2", "in [0, 1)");
    REQUIRE(c->muon_momentum >= 0 && c->muon_momentum < 1, "muon_momentum", "in [0, 1)");
    REQUIRE(c->weight_decay >= 0 && c->lr * c->weight_decay < 1, "weight_decay", "0 or more, and less than 1 / lr");
    REQUIRE(c->filter_alpha >= 0 && c->filter_alpha < 1, "filter_alpha", "in [0, 1)");
    REQUIRE(c->ema >= 0 && c->ema < 1, "ema", "in [0, 1)");
    REQUIRE(c->clip >= 0, "clip", "0 (off) or more");
    REQUIRE(c->row_clip >= 0, "row_clip", "0 (off) or more");
    REQUIRE(c->lr_min >= 0 && c->lr_min <= 1, "lr_min", "between 0 and 1, a share of lr");
    REQUIRE(c->evals_per_decade > 0 || c->eval_every > 0, "evals_per_decade", "above 0 while eval_every is 0");
    REQUIRE(strcmp(c->on_nan, "stop") == 0 || strcmp(c->on_nan, "rollback") == 0, "on_nan", "stop or rollback");
    REQUIRE(strcmp(c->on_save_error, "stop") == 0 || strcmp(c->on_save_error, "continue") == 0, "on_save_error",
            "stop or continue");
    return HS_OK;
}
