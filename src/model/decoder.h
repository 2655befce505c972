/* decoder.h - what GPT-2 and the Llama form share: the loop over blocks, carving scratch memory, gathering rows,
 * embedding, dropout.
 *
 * Shapes as in model.h: N rows of a ragged batch, R query rows (the last block computes only the P scored ones), D width.
 */
#ifndef HOPSCOPE_MODEL_DECODER_H
#define HOPSCOPE_MODEL_DECODER_H

#include "hopscope/model.h"
#include "hopscope/tensor.h"
#include "model/ops.h"

enum { HS_MAX_LAYERS = 96, HS_MAX_STAGES = 192 };

/* The limits of a decoder's pass. Known from the configuration alone, so that a run is refused before it is begun. */
hs_status hs_decoder_check(const hs_model_config *config, hs_error *err);

/* Scratch memory handed out in order. With base NULL it only counts, so that a work size and its layout come from the
 * same code. Pieces are 64-byte aligned when base is. */
typedef struct hs_carver {
    float *base;
    size_t used; /* floats */
} hs_carver;
float *hs_carve(hs_carver *carver, size_t n);

/* y (R,D) = rows of x (N,D), ldx apart. */
void hs_gather_rows(uint32_t R, size_t D, const uint32_t *row, const float *x, size_t ldx, float *y);
/* x (N,D)[row[i]] += y (R,D)[i] */
void hs_scatter_add_rows(uint32_t R, size_t D, const uint32_t *row, const float *y, float *x);

/* x (N,D) = wte[token] + wpe[position]; wpe NULL = no position table. */
void hs_embed(const hs_model *model, const hs_batch *batch, const float *wte, const float *wpe, float *x);
void hs_embed_backward(const hs_model *model, const hs_batch *batch, const float *d_x, float *d_wte, float *d_wpe);

/* Stride of attention rows: the longest a sequence of this batch size can be. */
uint32_t hs_longest(const hs_model *model, uint32_t B, uint32_t N);

/* The attention of a block. q NULL: all rows attend, kv (N,3D) holds q | k | v; else only the scored rows do, q (P,D), kv
 * (N,2D) holds k | v. prob (R,H,T) out; drop (R,H,T) or NULL. */
hs_attention hs_decoder_attention(const hs_model *model, const hs_batch *batch, uint32_t T, const float *q, const float *kv,
                                  float *prob, const float *drop);

/* Multiply each row of x (R,D) by its dropout factors. Rows are named by (sequence, position), so the mask depends on
 * neither sharding nor pruning; `site` tells the places of one pass apart. `mask` is scratch (D). Forward and backward
 * call it alike. */
void hs_dropout_rows(const hs_model *model, const hs_batch *batch, uint32_t site, uint32_t R, const uint32_t *row, size_t D,
                     float *mask, float *x);
bool hs_dropout_on(const hs_model *model, const hs_batch *batch);

/* ---------------------------------------------------------------- the loop over blocks */

/* A family's parts of a pass; `pass` is its own structure. */
typedef struct hs_decoder_parts {
    void (*embed)(void *pass);               /* x0 */
    void (*block)(void *pass, uint32_t s);   /* out[s] from in[s], and what stands between two passes */
    void (*head)(void *pass, uint32_t R, float *logits); /* logits (R,V) of the first R <= P rows of xs */
    /* grad += . In d: gradient of out[s], (P,D) when pruned, else (N,D); d_in (N,D) becomes that of in[s]. */
    void (*block_backward)(void *pass, uint32_t s, float *d, float *d_in, float *grad);
    /* In: d_logits (R,V) after head() of R rows. d_rows (R,D), zeroed, becomes the gradient of xs. */
    void (*head_backward)(void *pass, uint32_t R, float *d_logits, float *d_rows, float *grad);
    void (*embed_backward)(void *pass, float *d_x, float *grad);
} hs_decoder_parts;

/* What the loop needs of a pass. Without a backward pass in[s] is out[s-1], in[0] is x0. */
typedef struct hs_decoder {
    const hs_decoder_parts *parts;
    void *pass;
    const hs_model *model;
    const hs_batch *batch;
    uint32_t S;
    const hs_taps *taps;
    bool prune;    /* the last stage computes scored rows only: its output (P,D) is xs */
    bool x0_later; /* x0 is read after the first stage */
    float *x0;     /* (N,D) embeddings */
    float *xs;     /* (P,D) rows that the head reads */
    float *out[HS_MAX_STAGES];
    /* backward */
    float *logits, *d_x, *d_rows; /* (P,V), (N,D), (N,D) */
} hs_decoder;

/* A block calls these as it goes, with the rows it computes (NULL: all R = N): once its heads have mixed ctx (R,D), and once
 * out (R,D) is mid (R,D) and what the MLP adds. They read parts out and put them out of action, where that is asked for. */
void hs_decoder_heads(const hs_decoder *d, uint32_t s, uint32_t R, const uint32_t *row, float *ctx);
void hs_decoder_mlp(const hs_decoder *d, uint32_t s, uint32_t R, const uint32_t *row, const float *mid, float *out);

/* The batch whose scored rows are the ones that `taps` asks for. */
hs_batch hs_decoder_batch(const hs_batch *batch, const hs_taps *taps);
/* Whether a pass with these taps may compute its last stage at scored rows only. */
bool hs_decoder_prunes(const hs_taps *taps);
void hs_decoder_run(hs_decoder *d, const hs_taps *taps);
hs_loss_result hs_decoder_backward(hs_decoder *d, hs_loss_kind loss, float *grad);
void hs_decoder_stage(const hs_model *model, uint32_t s, hs_stage *out); /* hs_model_ops.stage */

#endif
