/* ops.h - what a family of models implements, in a folder of its own; hs_model_* in model.c checks arguments and calls
 * these. `X_ops` of the families in HS_MODELS is all that the rest of src/model knows of them.
 *
 * A family lists its tensors once, in a function of type walk (see hs_walk): describing a model, finding the tensors
 * again and the gradients' places all come from it. */
#ifndef HOPSCOPE_MODEL_OPS_H
#define HOPSCOPE_MODEL_OPS_H

#include "hopscope/model.h"

/* A member of hs_model_config that a model file keeps as text in its metadata. */
typedef enum hs_field_type {
    HS_FIELD_U32,
    HS_FIELD_U32_PLUS_ONE, /* the file counts one more (TRM's padding token) */
    HS_FIELD_FLOAT,
    HS_FIELD_BOOL,
    HS_FIELD_TEXT /* always `text`; not read */
} hs_field_type;
typedef struct hs_model_field {
    const char *key;
    hs_field_type type;
    size_t offset;
    const char *text;
} hs_model_field;
#define HS_FIELD(key_, type_, member)                                                                                  \
    {                                                                                                                  \
        .key = key_, .type = type_, .offset = offsetof(hs_model_config, member)                                        \
    }

typedef struct hs_hf_form hs_hf_form; /* src/model/hf/form.h */

enum { HS_MAX_STREAMS = 4 };

/* hs_pass with its beginning looked up. */
typedef struct hs_taps {
    uint32_t from;
    bool given;                          /* stream[] holds what the model holds after stage `from`; else from is 0 */
    const float *stream[HS_MAX_STREAMS]; /* (M,D) each; NULL = its initial row */
    uint32_t n_patches;
    const hs_patch *patch;
    uint32_t n_rows;
    const uint32_t *row; /* state rows, or NULL */
    float *logits, *states;
    bool below_top;
    uint32_t n_knockouts;
    const hs_knockout *knockout;
    float *heads, *mlps; /* (S+1,N,D) or NULL; not with pruning */
} hs_taps;

struct hs_model_ops {
    hs_model_traits traits;
    const hs_model_field *fields; /* ended by an empty key; at most HS_MAX_FIELDS */
    const hs_hf_form *hf;         /* the Hugging Face architecture, or NULL if there is none */
    /* What goes beyond the sizes that hold for every family. */
    hs_status (*check)(const hs_model_config *config, hs_error *err);
    /* Fill in what a 0 stands for. */
    void (*complete)(hs_model_config *config);
    /* Fill model->tensor (a walk) and model->n_stages. Called once, by hs_model_describe. */
    hs_status (*describe)(hs_model *model, hs_error *err);
    size_t (*work_size)(const hs_model *model, uint32_t B, uint32_t N, uint32_t P, bool backward);
    hs_loss_result (*backward)(const hs_model *model, const hs_batch *batch, hs_loss_kind loss, float *work, float *grad);
    void (*run)(const hs_model *model, const hs_batch *batch, const hs_taps *taps, float *work);
    /* Stages as hs_model_stage describes them, and the names of the streams, the first of which the head reads. */
    void (*stage)(const hs_model *model, uint32_t s, hs_stage *out);
    uint32_t n_streams;
    const char *streams[HS_MAX_STREAMS];
    /* The row that stream 0 or 1 holds before any stage wrote it, everywhere; NULL where stage 0 writes all streams. */
    const float *(*initial)(const hs_model *model, uint32_t stream);
    void (*lens)(const hs_model *model, uint32_t n, const float *x, float *work, float *logits);
    double (*step_flop)(const hs_model *model, uint32_t B, uint32_t T, uint32_t P);
};
enum { HS_MAX_FIELDS = 32 };

const hs_model_ops *hs_model_ops_of(hs_model_kind kind); /* NULL if there is no such kind */
/* "gpt2, llama or trm" */
void hs_model_kinds_text(char *out, size_t size);

/* The steps of hs_model_create, for readers that bring their own weights: the table and the offsets; then zeroed memory. */
hs_status hs_model_describe(hs_model *out, const hs_model_config *config, hs_error *err);
hs_status hs_model_allocate(hs_model *model, hs_error *err);

/* The shortest decimal text that reads back as x. */
const char *hs_format_float(float x, char out[32]);
/* hs_model_load from an opened file; `path` for errors. */
hs_status hs_model_load_st(hs_model *out, const hs_st_file *file, const char *path, hs_error *err);

/* ---------------------------------------------------------------- checks of a configuration */

/* HS_ERR_DATA: model.FIELD = value does not fit; `hint` says what would. */
hs_status hs_model_bad_field(hs_error *err, const char *field, double value, const char *hint);
/* Heads divide the width; with rotary positions their width is even and rope_theta above 1. */
hs_status hs_model_check_heads(const hs_model_config *config, bool rotary, hs_error *err);
/* Refuse the switches that only GPT-2 has. */
hs_status hs_model_check_plain(const hs_model_config *config, hs_error *err);

/* ---------------------------------------------------------------- the table of tensors */

typedef struct hs_tensor_spec {
    uint32_t rows, columns; /* rows 0: a vector */
    hs_tensor_init init;
    double std;
    hs_tensor_group group;
    bool decay;      /* weight decay on a vector too; matrices have it, buffers never */
    uint32_t splits; /* 0 stands for 1 */
    bool split_columns;
} hs_tensor_spec;

/* A family walks its tensors in one order, twice over: with `model` set they are entered into the table, else they are
 * found again in `table`. */
typedef struct hs_walk {
    hs_model *model;
    const hs_model *table;
    uint32_t next;
    hs_status status;
    hs_error *err;
} hs_walk;

/* The offset in hs_model.param of the next tensor, PREFIX NAME (0 while describing). After an error nothing is entered. */
size_t hs_walk_tensor(hs_walk *walk, const char *prefix, const char *name, const hs_tensor_spec *spec);

#endif
