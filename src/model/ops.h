/* ops.h - what a model kind implements. One file a kind; hs_model_* in model.c checks arguments and calls these. */
#ifndef HOPSCOPE_MODEL_OPS_H
#define HOPSCOPE_MODEL_OPS_H

#include "hopscope/model.h"

struct hs_model_ops {
    const char *name; /* model_type in files */
    /* Fill model->tensor (through hs_model_add_tensor) and model->n_stages. Called once, by hs_model_create. */
    hs_status (*describe)(hs_model *model, hs_error *err);
    size_t (*work_size)(const hs_model *model, uint32_t B, uint32_t N, uint32_t P, bool backward);
    hs_loss_result (*backward)(const hs_model *model, const hs_batch *batch, hs_loss_kind loss, float *work, float *grad);
    void (*logits)(const hs_model *model, const hs_batch *batch, float *work, float *logits);
    void (*states)(const hs_model *model, const hs_batch *batch, float *work, float *states);
    void (*logits_from)(const hs_model *model, const hs_batch *batch, uint32_t from, const float *x, float *work,
                        float *logits);
    void (*lens)(const hs_model *model, uint32_t n, const float *x, float *work, float *logits);
    double (*step_flop)(const hs_model *model, uint32_t B, uint32_t T, uint32_t P);
};

/* The steps of hs_model_create, for readers that bring their own weights: the table and the offsets; then zeroed memory. */
hs_status hs_model_describe(hs_model *out, const hs_model_config *config, hs_error *err);
hs_status hs_model_allocate(hs_model *model, hs_error *err);

/* The shortest decimal text that reads back as x. */
const char *hs_format_float(float x, char out[32]);
/* hs_model_load from an opened file; `path` for errors. */
hs_status hs_model_load_st(hs_model *out, const hs_st_file *file, const char *path, hs_error *err);

extern const hs_model_ops hs_gpt2_ops, hs_llama_ops, hs_trm_ops;

/* Append a tensor to the table while describing. `shape` has ndim entries; splits 1, decay by ndim >= 2, std as given.
 * Returns the entry for further settings through *out (may be NULL). */
hs_status hs_model_add_tensor(hs_model *model, const char *name, uint32_t ndim, const uint32_t *shape, hs_tensor_init init,
                              double std, hs_tensor_group group, hs_tensor **out, hs_error *err);

#endif
