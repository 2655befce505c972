/* gpt2.h - where GPT-2's tensors stand in its parameters (and in a gradient); shared by its table and its passes. */
#ifndef HOPSCOPE_MODEL_GPT2_H
#define HOPSCOPE_MODEL_GPT2_H

#include "model/decoder.h"
#include "model/ops.h"

/* Offsets of tensors in param (and in a gradient). NONE = this model has no such tensor. */
#define NONE SIZE_MAX

typedef struct mlp_offsets {
    size_t ln_w, ln_b, fc_w, fc_b, proj_w, proj_b, inner;
} mlp_offsets;

typedef struct block_offsets {
    size_t ln_w, ln_b, qkv_w, qkv_b, proj_w, proj_b;
    uint32_t n_mlp;
    mlp_offsets mlp[2]; /* the block's own (or shared) MLP, the memory MLP */
} block_offsets;

typedef struct gpt2_offsets {
    size_t wte, wpe, lnf_w, lnf_b, head;
    block_offsets block[HS_MAX_LAYERS];
} gpt2_offsets;

extern const hs_model_field hs_gpt2_fields[];
extern const hs_hf_form hs_gpt2_hf;
hs_status hs_gpt2_check(const hs_model_config *config, hs_error *err);
void hs_gpt2_complete(hs_model_config *config);
/* Fill the table of tensors and n_stages (hs_model_ops.describe). */
hs_status hs_gpt2_describe(hs_model *model, hs_error *err);
/* Where they stand. */
void hs_gpt2_resolve(const hs_model *model, gpt2_offsets *o);
/* Width of a block's own MLP. */
uint32_t hs_gpt2_inner(const hs_model_config *c);

#endif
