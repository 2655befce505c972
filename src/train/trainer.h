/* trainer.h - what a trainer holds, for the files that make its steps: step.c, and share.c where other ranks take part.
 */
#ifndef HOPSCOPE_TRAIN_TRAINER_H
#define HOPSCOPE_TRAIN_TRAINER_H

#include "train/internal.h"
#include "train/tree.h"

enum { CHUNK = 16384 }; /* floats that are reduced and filtered at once; part of the result */

typedef struct shard_result {
    double loss, exit_loss;
    uint64_t correct, scored;
} shard_result;

/* What a rank's signals ask for. */
typedef struct hs_notice {
    int stop, save;
} hs_notice;

/* What rank 0 tells the others to do next. */
typedef struct hs_command {
    enum { HS_LEAVE, HS_STEP, HS_EVALUATE, HS_PROBE } what;
    uint32_t attempt, split, max; /* split: or number of the probe */
    uint64_t step;
    bool sync; /* weights and state follow */
} hs_command;

struct hs_trainer {
    hs_model *model;
    const hs_dataset *data;
    hs_train_config config;
    hs_pool *pool;
    uint64_t step;
    uint32_t attempt;
    uint32_t batch, micro, workers;
    uint32_t micro_rows; /* of a micro-batch of texts */
    hs_draw *draw;
    hs_item *items;          /* (batch) of the current step */
    hs_batch_memory *memory; /* (workers) */
    size_t work_size;
    float *work;          /* (workers, work_size) */
    float **grad;         /* (shards) of (n_params); with other ranks those of own shards, and the first */
    shard_result *result; /* (shards) */
    hs_tree *tree;
    hs_ranks *ranks;                /* NULL: alone */
    hs_notice asked[HS_MOST_RANKS]; /* by each rank */
    hs_signals *signals;
    bool synced;                      /* the other ranks have these weights and state */
    uint32_t first_shard, last_shard; /* own: [first, last) */
    hs_step_times times;
    size_t n_chunks;
    double *chunk_squares;                                  /* (n_chunks) */
    float *optimizer_state[HS_STATE_ARRAYS], *filter, *ema; /* (n_params) */
    float weight;                                           /* of each scored row in this step */
    bool dirty;                                             /* grad[0] holds the gradient of a step that was refused */
    hs_freeze freeze;
    hs_optimizer *opt;
    hs_state_array state[HS_STATE_ARRAYS + 2];
    size_t n_state;
};

/* Rank 0 says what it begins, with weights and state where the others do not have them; the others, and a rank alone,
 * have nothing to say. */
hs_status hs_trainer_tell(hs_trainer *t, hs_command *c, hs_error *err);
/* Before and after an exchange of `asked`: what the signals of this rank ask for; what any rank was asked for counts as
 * asked of rank 0. */
void hs_trainer_ask(hs_trainer *t);
void hs_trainer_heed(hs_trainer *t);

#endif
