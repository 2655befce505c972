/* optimizer.h - what an update rule is. Adding one: a file here with a `const hs_optimizer_rule hs_rule_NAME`, and its
 * line in HS_OPTIMIZER_MAP (hopscope/train.h). docs/design.md walks through it. */
#ifndef HOPSCOPE_TRAIN_OPTIMIZER_H
#define HOPSCOPE_TRAIN_OPTIMIZER_H

#include "train/internal.h"

/* A stretch of n parameters of one tensor in one step. The rule moves w and its state arrays; g is read only. */
typedef struct hs_update {
    const hs_train_config *config;
    float rate;   /* of this step, schedule included */
    float decay;  /* decoupled weight decay: 0 for tensors without */
    uint64_t t;   /* step, from 1 */
    float gscale; /* factor of clipping: the gradient is gscale * g */
    size_t n;
    const float *g;                /* (n) */
    float *state[HS_STATE_ARRAYS]; /* (n) each; NULL where the rule names none. 0 before the first step */
    float *w;                      /* (n) */
} hs_update;

/* One block (rows, cols) of a matrix, rows `ld` floats apart in g, state and w; the rule clears g itself. */
typedef struct hs_block_update {
    hs_update u; /* n unused */
    uint32_t rows, cols;
    size_t ld;
    float *g;       /* the same as u.g, to be cleared */
    float *scratch; /* block_scratch(rows, cols) floats */
} hs_block_update;

struct hs_optimizer_rule {
    const char *name;                   /* value of train.optimizer */
    const char *settings;               /* the keys of train.* it reads besides lr and weight_decay */
    const char *state[HS_STATE_ARRAYS]; /* names of its state arrays in checkpoints; NULL: none */
    void (*update)(const hs_update *u);
    /* For rules that need whole matrices: hidden matrices go to `block`, everything else to `update`. NULL: none do. */
    size_t (*block_scratch)(uint32_t rows, uint32_t cols);
    void (*block)(const hs_block_update *b);
    double (*block_flop)(uint32_t rows, uint32_t cols); /* the least that `block` takes */
    uint32_t
        block_leaves; /* so many of the last state arrays `block` does not move: they need not be sent to other ranks */
};

#define HS_X(constant, name) extern const hs_optimizer_rule hs_rule_##name;
HS_OPTIMIZER_MAP(HS_X)
#undef HS_X

/* The kernels' parameters of a step. Betas are rounded to float32 before the bias correction, as the kernels see them: m and
 * v of a constant gradient g are then g and g^2 at every step. */
hs_adam hs_adam_of(const hs_update *u);

#endif
