/* decoder.h - what GPT-2 and the Llama form share: carving scratch memory, gathering rows, embedding, dropout.
 *
 * Shapes as in model.h: N rows of a ragged batch, R query rows (the last block computes only the P scored ones), D width.
 */
#ifndef HOPSCOPE_MODEL_DECODER_H
#define HOPSCOPE_MODEL_DECODER_H

#include "hopscope/model.h"
#include "hopscope/tensor.h"

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
void hs_embed(const hs_batch *batch, size_t D, const float *wte, const float *wpe, float *x);
void hs_embed_backward(const hs_batch *batch, size_t D, const float *d_x, float *d_wte, float *d_wpe);

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

#endif
