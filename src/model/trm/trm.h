/* trm.h - the Tiny Recursive Model's own structures, shared by table.c, trm.c (forward, taps) and backward.c.
 *
 * Shapes: B sequences, T = n_positions tokens, S = prefix + T positions, D width, R = S*B rows, Ft and Fc inner widths
 * of the token and the channel MLP. With token mixing row (s, b) stands at s*B + b, so that a state is at once the (S,
 * B*D) matrix that the token MLP multiplies and the (R, D) matrix that the channel MLP multiplies: nothing is ever
 * transposed. With attention it stands at b*S + s. */
#ifndef HOPSCOPE_MODEL_TRM_H
#define HOPSCOPE_MODEL_TRM_H

#include "hopscope/tensor.h"
#include "model/clones.h"
#include "model/decoder.h"
#include "model/ops.h"

typedef struct trm_block {
    size_t mix_up, mix_down; /* token MLP: (2Ft,S), (S,Ft); attention: (3D,D), (D,D) */
    size_t up, down;         /* channel MLP: (2Fc,D), (D,Fc) */
} trm_block;

typedef struct trm_offsets {
    size_t embed, z_h_init, z_l_init, head, prefix, halt_w, halt_b;
    trm_block block[HS_MAX_LAYERS];
} trm_offsets;

/* What one application of a block keeps for the backward pass. */
typedef struct trm_app {
    float *in;    /* (R,D) */
    float *gate;  /* token MLP: gate and up before the product, in column chunks of (2Ft,J); attention: qkv (R,3D) */
    float *prob;  /* (R,H,S), attention only */
    float *ctx;   /* (R,D), attention only */
    float *mid;   /* (R,D) after mixing and norm */
    float *mid_r; /* 1/rms: (B*D) over the token axis, or (R) with attention */
    float *up;    /* (R,2Fc) */
    float *out;   /* (R,D) after the channel MLP and norm */
    float *out_r; /* (R) */
} trm_app;

typedef struct trm_pass {
    const hs_model *model;
    const hs_batch *batch;
    const hs_kernels *k;
    trm_offsets o;
    size_t B, T, S, D, R, Ft, Fc;
    size_t J;     /* columns of a chunk of the token MLP */
    size_t Q;     /* rows of a chunk of the channel MLP */
    size_t slots; /* applications that are kept: of one H cycle or of all, or one level's */
    float *apps;  /* their memory; trm_app_at finds the parts */
    size_t app_floats;
    float *x;           /* (R,D) embeddings */
    float *inject;      /* (R,D) z_H + x */
    float *z_h, *z_l;   /* (R,D) states carried between levels that are not kept */
    const float *h, *l; /* the current states: z_h, z_l or an application's output */
    float *act;         /* max(Ft*J, Q*Fc) */
    float *cos, *sin;   /* (S, dh/2), attention only */
    uint32_t *start;    /* (B+1), attention only */
    /* backward */
    float *d;                        /* (R,D) */
    float *d_act, *d_up;             /* chunks of (Ft,J) or (Q,Fc), and twice that; attention: d_ctx and d_qkv whole */
    float *d_x;                      /* (R,D) */
    float *d_h, *d_l;                /* (R,D) of the states a cycle starts from, with full_gradient */
    float *logits;                   /* (B*T, V+1): the padding token's column is the last one */
    float *rows, *d_rows;            /* (B*T, D) */
    float *weight;                   /* (B*T) */
    uint32_t *row, *target, *scored; /* (B*T): state row, target, index of the scored row or UINT32_MAX */
    uint64_t *also_start;            /* (B*T + 1) */
} trm_pass;

uint32_t hs_trm_token_inner(const hs_model_config *config);
uint32_t hs_trm_channel_inner(const hs_model_config *config);
extern const hs_model_field hs_trm_fields[];
hs_status hs_trm_check(const hs_model_config *config, hs_error *err);
void hs_trm_complete(hs_model_config *config);
hs_status hs_trm_describe(hs_model *model, hs_error *err);
void hs_trm_resolve(const hs_model *model, trm_offsets *o);
size_t hs_trm_layout(trm_pass *a, const hs_model *model, uint32_t B, bool backward, float *base);
trm_app hs_trm_app_at(const trm_pass *a, size_t slot);
size_t hs_trm_row(const trm_pass *a, size_t position, size_t sequence); /* position counts from the prefix */
/* Rows of sequence b that are input: up to its first scored row. *next is the first scored row not yet passed. */
uint32_t hs_trm_visible_rows(const hs_batch *batch, size_t b, uint32_t *next);
/* Row of the tables of the token at position p; 0 is padding. */
size_t hs_trm_table_row(const hs_batch *batch, size_t b, size_t p, uint32_t visible);
hs_attention hs_trm_attention(const trm_pass *a, const trm_app *app);
void hs_trm_start(trm_pass *a, const hs_model *model, const hs_batch *batch, bool backward, float *work);
enum { HS_TRM_Z_H, HS_TRM_Z_L, HS_TRM_X, HS_TRM_STREAMS };
uint32_t hs_trm_kept_steps(const hs_model_config *config);
/* Where the applications of a step of an H cycle (both from 0) are kept. A cycle's states stay readable until the next
 * is run. */
size_t hs_trm_slot(const trm_pass *a, uint32_t cycle, uint32_t step);
/* The forward pass of training: hs_trm_begin, then every H cycle (from 0) in turn. */
void hs_trm_begin(trm_pass *a);
void hs_trm_cycle(trm_pass *a, uint32_t cycle);
/* z_H (R,D) after a kept H cycle */
const float *hs_trm_cycle_state(const trm_pass *a, uint32_t cycle);
/* a->row (n) = where these rows of the batch, ascending, are answered: at the position after each */
void hs_trm_answer_rows(trm_pass *a, uint32_t n, const uint32_t *row);
/* logits (n, V): the head without the padding column; ld floats apart. */
void hs_trm_head(const hs_model *model, const trm_offsets *o, size_t n, const float *x, float *logits, size_t ld);
hs_loss_result hs_trm_backward(const hs_model *model, const hs_batch *batch, hs_loss_kind loss, float *work,
                               float *grad);

/* norm.c: x = x * 1/rms over the columns of (S,M) or over the rows of (R,D), in place; and the gradients, in place,
 * from the normalized y: d = r * (d - y * mean(d * y)). */
HS_CLONED void hs_trm_norm_columns(size_t S, size_t M, float eps, float *x, float *r);
HS_CLONED void hs_trm_norm_columns_backward(size_t S, size_t M, const float *y, const float *r, float *d);
HS_CLONED void hs_trm_norm_rows(size_t R, size_t D, float eps, float *x, float *r);
HS_CLONED void hs_trm_norm_rows_backward(size_t R, size_t D, const float *y, const float *r, float *d);
/* y = a + b (n) */
HS_CLONED void hs_trm_sum(size_t n, const float *a, const float *b, float *y);

#endif
