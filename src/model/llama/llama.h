/* llama.h - where the Llama form's tensors stand in its parameters (and in a gradient); shared by its table and its
 * passes. */
#ifndef HOPSCOPE_MODEL_LLAMA_H
#define HOPSCOPE_MODEL_LLAMA_H

#include "model/decoder.h"
#include "model/ops.h"

/* q, k and v stand one after another without a gap, and so do gate and up. */
typedef struct llama_block {
    size_t ln1, qkv, q_norm, k_norm, o, ln2, gate_up, down;
} llama_block;

typedef struct llama_offsets {
    size_t embed, norm, head;
    llama_block block[HS_MAX_LAYERS];
} llama_offsets;

extern const hs_model_field hs_llama_fields[];
extern const hs_hf_form hs_llama_hf;
hs_status hs_llama_check(const hs_model_config *config, hs_error *err);
void hs_llama_complete(hs_model_config *config);
/* Fill the table of tensors and n_stages (hs_model_ops.describe). */
hs_status hs_llama_describe(hs_model *model, hs_error *err);
/* Where they stand. */
void hs_llama_resolve(const hs_model *model, llama_offsets *o);

#endif
