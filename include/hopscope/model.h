/* model.h - transformers trained from scratch: one table of tensors a model, forward, backward, states and patches.
 *
 * Shapes: B sequences, N tokens of all of them (rows), P scored rows, D width, H heads, L blocks, F MLP width,
 * V vocabulary. A batch is ragged: sequences stand back to back without padding. Logits are computed at scored rows
 * only, and the last block's query, projection and MLP too.
 *
 * TRM fills in an answer in place instead of predicting the next token. It reads a batch like this: the tokens of a
 * sequence up to and including its first scored row are the prompt; later rows, missing rows up to n_positions, and
 * tokens UINT32_MAX are its padding token. What a decoder predicts at row p (the token at p + 1) TRM predicts at
 * position p + 1 (with next_token at position p), and that is what its logits (P,V) hold. Padding is row 0 of its
 * tables, token t row t + 1, as published; logits never contain the padding column.
 *
 * Stages: what a model computes on the way is read and written between steps, the same way in all families (below,
 * "stages, patches"). Stage 0 is the embeddings; stage s the output of the s-th block application of a decoder (a
 * shared model of K blocks and R passes has K*R of them), or of the s-th L or H step of TRM. The head reads stream 0
 * after the last stage.
 */
#ifndef HOPSCOPE_MODEL_H
#define HOPSCOPE_MODEL_H

#include "hopscope/core.h"
#include "hopscope/graph.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library exports what stands here */

/* The families: constant, and name (the key's word, model_type in files, and hs_NAME_ops in src/model/NAME). A new one is
 * its folder and one line here (docs/design.md, "Adding a model"). */
#define HS_MODELS(X) X(GPT2, gpt2) X(LLAMA, llama) X(TRM, trm)

#define HS_MODEL_CONSTANT(constant, name) HS_MODEL_##constant,
typedef enum hs_model_kind { HS_MODELS(HS_MODEL_CONSTANT) HS_MODEL_KINDS } hs_model_kind;
#undef HS_MODEL_CONSTANT

typedef enum hs_loss_kind { HS_LOSS_CROSS_ENTROPY, HS_LOSS_STABLEMAX } hs_loss_kind;

/* What a family does differently, for those who do not care which one it is. */
typedef struct hs_model_traits {
    const char *name;  /* "gpt2" */
    const char *title; /* "GPT-2" */
    /* Fills in answers in place instead of predicting the next token: it answers row p at position p + 1, which must
     * exist (hs_model_answer_offset); positions after the first scored row are hidden from it, so only that row of a
     * prompt can be asked; every sequence costs all its positions; hs_batch.full is read. */
    bool in_place;
    hs_loss_kind loss; /* the published one */
} hs_model_traits;
const hs_model_traits *hs_model_kind_traits(hs_model_kind kind); /* NULL if there is no such kind */

/* GPT-2's learned table of positions: a row for each place from the beginning; no table; or a row for each place
 * counted back from the last token of a sequence, so that an answer of one token is read at the same row whatever the
 * prompt's length. */
typedef enum hs_positions { HS_POSITIONS_LEARNED, HS_POSITIONS_NONE, HS_POSITIONS_ANSWER } hs_positions;

typedef struct hs_model_config {
    hs_model_kind kind;
    uint32_t vocab, n_positions;
    uint32_t n_layer; /* distinct blocks */
    uint32_t passes;  /* times the blocks are run; 1 = an ordinary model (2405.15071: --add_recurrence) */
    uint32_t n_embd, n_head, n_inner; /* n_inner 0 = 4 * n_embd (GPT-2) or 8/3 * n_embd rounded up to 16 (Llama) */
    float eps;
    float init_std;
    float dropout;    /* on embeddings, attention probabilities and residual branches */
    bool tied;        /* output head = embedding */
    /* GPT-2 switches of the published code of arXiv 2405.15071 */
    bool re_embed;    /* between passes h += softmax(re_embed_temp * h @ wte^T) @ wte */
    float re_embed_temp;
    bool inject;      /* ours: add the embeddings again at the start of each later pass */
    bool share_mlp;   /* one MLP and its norm for all blocks */
    uint32_t memory_inner; /* extra MLP of this width in parallel, shared by blocks i and i + L/2; 0 = none */
    bool no_ln, no_mlp;
    hs_positions positions;
    /* Llama */
    float rope_theta;
    bool qk_norm;
    /* TRM (arXiv 2510.04871, as run in 2601.09049) */
    uint32_t prefix, h_cycles, l_cycles, round_up;
    bool mix_attention; /* causal attention in place of the token MLP */
    bool halt_head;
    /* TRM, ours */
    bool full_gradient; /* gradients through all H cycles; published: the last one only */
    bool next_token;    /* a row is answered at its own position, as a decoder's is */
    bool tie_head;      /* output head = embedding */
    float init_scale;   /* times the published standard deviations of tables and matrices */
} hs_model_config;

/* Defaults: GPT-2, 2 blocks, 1 pass, width 128, 4 heads, no dropout, tied; TRM as published but for its width. */
void hs_model_config_default(hs_model_config *config);
/* The table of settings; vocab and n_positions follow from the dataset and are none. */
const hs_setting *hs_model_settings(size_t *n);
/* HS_ERR_DATA naming the field and what would fit. */
hs_status hs_model_config_check(const hs_model_config *config, hs_error *err);

/* A named configuration: "gpt2", "shared", "llama" or "trm", then "-tiny" (seconds), "-laptop" (minutes) or "-paper" (the
 * published size); docs/models.md has their cost. Keeps config->vocab and n_positions. HS_ERR_USAGE names the nearest. */
hs_status hs_model_preset(hs_model_config *config, const char *name, hs_error *err);
const char *hs_model_preset_name(size_t i); /* the i-th, NULL after the last */
/* "", then all of them, then NULL: the choices of a setting that may be empty. */
extern const char *const hs_model_preset_choices[];

/* Positions that such a model needs for items of `width` tokens, question and answer together: all but the last, or all
 * where the answer has a place of its own. */
uint32_t hs_model_positions_for(const hs_model_config *config, uint32_t width);

/* ---------------------------------------------------------------- the table of tensors */

typedef enum hs_tensor_group {
    HS_GROUP_MATRIX,    /* Muon's, when that is the optimizer */
    HS_GROUP_EMBEDDING, /* token and position tables, the head */
    HS_GROUP_VECTOR,    /* biases, norm scales */
    HS_GROUP_PREFIX,    /* TRM's puzzle embedding (SignSGD as published) */
    HS_GROUP_BUFFER     /* not trained */
} hs_tensor_group;

typedef enum hs_tensor_init {
    HS_INIT_ZERO,
    HS_INIT_ONE,
    HS_INIT_NORMAL,
    HS_INIT_TRUNC_NORMAL, /* cut at two standard deviations, then widened to `std` */
    HS_INIT_VALUE         /* every element is `std` */
} hs_tensor_init;

typedef struct hs_tensor {
    char name[96];      /* the Hugging Face name */
    uint32_t ndim, shape[3];
    size_t size;        /* elements */
    size_t offset;      /* of its first element in hs_model.param, a multiple of 16 */
    hs_tensor_init init;
    float std;
    bool decay;         /* weight decay applies */
    hs_tensor_group group;
    uint32_t splits;    /* equal blocks that Muon orthogonalizes separately (3 for Q, K, V; else 1) */
    bool split_columns; /* the blocks lie side by side (GPT-2's Conv1D); else one below another */
} hs_tensor;

typedef struct hs_model_ops hs_model_ops; /* src/model/ops.h */

typedef struct hs_model {
    hs_model_config config;
    uint32_t n_tensors;
    hs_tensor *tensor;  /* (n_tensors) */
    size_t n_params;    /* floats in `param`, padding between tensors included (always 0) */
    size_t n_weights;   /* trained weights, without padding and buffers */
    float *param;       /* (n_params) */
    uint32_t n_stages;  /* stages after stage 0 */
    const hs_model_ops *ops;
} hs_model;

/* Describe, allocate and initialize from Philox (seed, tensor, element). `out` zero-initialized. */
hs_status hs_model_create(hs_model *out, const hs_model_config *config, uint64_t seed, hs_error *err);
void hs_model_free(hs_model *model);
const hs_tensor *hs_model_tensor(const hs_model *model, const char *name); /* NULL if absent */
/* Weights of `from` into `to`, a model that may have other tokens and more positions. token (to's vocab): the token of
 * `from` whose rows each takes, HS_NO_TARGET for one that keeps what it was drawn with, as positions beyond from's do.
 * HS_ERR_DATA names the first tensor that only one of them has or whose shape differs; `to` is then undefined. */
hs_status hs_model_take(hs_model *to, const hs_model *from, const uint32_t *token, hs_error *err);

const hs_model_traits *hs_model_traits_of(const hs_model *model);
/* Row p is answered at position p plus this: 1 where answers are filled in in place, else 0. */
uint32_t hs_model_answer_offset(const hs_model *model);
/* Passes over the blocks; TRM: H cycles. */
uint32_t hs_model_passes(const hs_model *model);
/* From now on the same weights are run so many times. HS_ERR_DATA where the count does not fit, and for a decoder of
 * one pass, whose blocks are no loop; the model is then as before. Owns nothing: a copy of the structure may have
 * another count. */
hs_status hs_model_set_passes(hs_model *model, uint32_t passes, hs_error *err);
/* Tokens of the longest prompt that leaves room for an answer. */
uint32_t hs_model_longest_prompt(const hs_model *model);
/* Rows that a sequence of T tokens costs a pass. */
uint32_t hs_model_sequence_rows(const hs_model *model, uint32_t T);

/* ---------------------------------------------------------------- batches */

#define HS_NO_TARGET UINT32_MAX /* in hs_batch.full: not scored */

typedef struct hs_exits {
    uint32_t n;                 /* at most P of the batch; 0 = none */
    uint32_t passes;            /* after the first so many passes; 0 = after each but the last */
    const uint32_t *row;        /* (n) ascending, scored or not */
    const uint32_t *target;     /* (n) */
    const float *weight;        /* (n) of a row's loss, after each such pass */
    const uint64_t *also_start; /* (n+1) or NULL: further right answers, as in hs_batch */
    const uint32_t *also;
} hs_exits;

typedef struct hs_batch {
    uint32_t B, N, P;
    const uint32_t *token;     /* (N) */
    const uint32_t *start;     /* (B+1) first row of each sequence; start[B] = N */
    const uint32_t *score_row; /* (P) rows whose next token is scored, ascending */
    const uint32_t *target;    /* (P) */
    const float *weight;       /* (P) weight of each row's loss in the total; NULL for prediction */
    /* Rows that must be answered after earlier passes (TRM: H cycles) already: the head reads the states there as if these
     * were the last ones. The gradient is added by hs_model_backward. */
    hs_exits exits;
    float smoothing; /* share of a uniform distribution over the vocabulary in what the loss asks for; 0 = none */
    const uint64_t *also_start; /* (P+1) or NULL: further right answers of row p, also[also_start[p]..] */
    const uint32_t *also;
    /* A model that answers in place predicts every position: the whole item without shift */
    const uint32_t *full; /* (B, n_positions) target tokens or HS_NO_TARGET; NULL otherwise */
    /* dropout: masks are named by (seed, step, sequence); off when dropout is 0 or `seed` is 0 */
    uint64_t dropout_seed, step;
    uint32_t first_sequence;
} hs_batch;

typedef struct hs_loss_result {
    double loss;      /* weighted sum */
    uint32_t correct; /* rows whose top token is right (any right answer counts) */
    double exit_loss; /* weighted sum of the losses after earlier passes (hs_batch.exits); not in `loss` */
} hs_loss_result;

/* Floats of scratch memory that the calls below need for batches of up to (B, N, P). */
size_t hs_model_work_size(const hs_model *model, uint32_t B, uint32_t N, uint32_t P, bool backward);

/* Forward, loss, backward; adds to grad (n_params, laid out like param). Thread-safe for distinct work and grad. */
hs_loss_result hs_model_backward(const hs_model *model, const hs_batch *batch, hs_loss_kind loss, float *work, float *grad);

/* logits (P,V) out. Dropout is off. */
void hs_model_logits(const hs_model *model, const hs_batch *batch, float *work, float *logits);

/* The most probable token after each of n prompts of T tokens, tokens (n,T); out (n). Parallel; the same bits for any
 * number of threads. `pool` may be NULL. */
hs_status hs_model_predict(const hs_model *model, hs_pool *pool, uint32_t n, uint32_t T, const uint32_t *tokens,
                           uint32_t *out, hs_error *err);

/* Logits of n sequences, tokens token[start[i] .. start[i + 1]): a row of `logits` (rows, V) for each token, or, for a model that
 * answers in place, one a sequence, of the position after its last token. Serial. */
hs_status hs_model_logits_all(const hs_model *model, size_t n, const uint32_t *token, const uint32_t *start,
                              float *logits, hs_error *err);

/* ---------------------------------------------------------------- stages, patches
 *
 * A state is a matrix (M,D): a row for each position of each sequence. A decoder has the batch's rows, M = N. TRM has all
 * its positions, prefix and padding and the place of the answer too, M = B * (prefix + n_positions).
 *
 * Between stages a model holds one or more streams, each a state; every stage writes one of them. A decoder has one, the
 * residual stream. TRM has three: 0 = z_H, which the head reads; 1 = z_L; 2 = its input X, written by stage 0 alone and
 * added in each L step. What it holds after stage s is, for each stream, the last stage up to s that wrote it; before
 * that z_H and z_L are the model's buffers z_H_init and z_L_init in every row. */

typedef struct hs_stage {
    char name[40];   /* "embeddings", "block 2", "pass 1 block 2"; TRM: "input", "H1 L2" (z_L), "H1" (z_H) */
    uint32_t stream; /* the stream it writes */
    uint32_t pass;   /* pass over the blocks, or TRM's H cycle, from 1; 0 for stage 0 */
    uint32_t step;   /* block or L step, from 1; 0 for stage 0 and TRM's H steps */
} hs_stage;

/* s <= n_stages */
hs_stage hs_model_stage(const hs_model *model, uint32_t s);
uint32_t hs_model_streams(const hs_model *model);
const char *hs_model_stream_name(const hs_model *model, uint32_t stream); /* "residual"; TRM: "z_H", "z_L", "X" */

/* Rows of a state of a batch of B sequences and N tokens. */
uint32_t hs_model_state_rows(const hs_model *model, uint32_t B, uint32_t N);
/* The state row of position p (from 0, of the tokens; TRM: below n_positions) of sequence b. */
uint32_t hs_model_state_row(const hs_model *model, const hs_batch *batch, uint32_t b, uint32_t p);
/* The state row that the logits of the i-th scored row are read from: hs_model_answer_offset after its own. */
uint32_t hs_model_answer_row(const hs_model *model, const hs_batch *batch, uint32_t i);

/* Something written: after stage `stage`, row `row` of stream `stream` becomes x (D). */
typedef struct hs_patch {
    uint32_t stage, stream, row;
    const float *x;
} hs_patch;

/* A part of a block application put out of action: what it adds to the residual stream is replaced. Decoders only. */
enum { HS_KNOCK_MLP = -1 };
typedef struct hs_knockout {
    uint32_t stage; /* the block application that ends there, from 1 */
    int32_t part;   /* a head (from 0): its mixed values, before the projection; or HS_KNOCK_MLP: what the MLP adds */
    const float *
        x; /* (n_positions) rows of a head's width (n_embd / n_head), of n_embd for an MLP, one a position; NULL = zeros */
} hs_knockout;

/* One pass with dropout off, from anywhere to the logits, reading and writing on the way. All zero but `logits`: plain
 * prediction. */
typedef struct hs_pass {
    /* Begin after stage `from`, with `states` (n_stages+1, M, D) as hs_model_states read them for this very batch. Only what
     * lies above is computed. NULL: from the beginning (from = 0). */
    const float *states;
    uint32_t from;
    uint32_t n_patches;
    const hs_patch *patch; /* (n_patches) by ascending stage, none before `from`; of two on one place the later holds */
    uint32_t n_rows;
    const uint32_t *row; /* (n_rows) state rows whose logits are wanted, ascending; NULL = the scored rows' answers */
    float *logits;       /* (n_rows or P, V) out, or NULL */
    float *states_out;   /* (n_stages+1, M, D) out, or NULL: stages `from` and up, as patched */
    bool below_top; /* states_out of the last stage is not wanted (what is there then is undefined): less is computed */
    uint32_t n_knockouts;
    const hs_knockout *knockout; /* (n_knockouts), in any order, of stages above `from` */
    float *heads_out,
        *mlps_out; /* (n_stages+1, M, D) out or NULL, decoders only, with states_out: what the heads of each stage have mixed, side by
                                  * side, and what its MLP adds; before knockouts. Stage 0 and stages up to `from` are not written */
} hs_pass;
/* work: hs_model_work_size(model, B, N, the greater of P and n_rows, false). */
void hs_model_run(const hs_model *model, const hs_batch *batch, const hs_pass *run, float *work);

/* states (n_stages+1, M, D) out: every stage, every row. */
void hs_model_states(const hs_model *model, const hs_batch *batch, float *work, float *states);
/* streams (hs_model_streams, M, D) out: what the model holds after stage s, from such states. */
void hs_model_streams_at(const hs_model *model, const hs_batch *batch, const float *states, uint32_t s, float *streams);
/* Run on after stage `from` with whatever streams (hs_model_streams, M, D) it is given; logits (P,V) of the scored rows. */
void hs_model_logits_from(const hs_model *model, const hs_batch *batch, uint32_t from, const float *streams,
                          float *work, float *logits);
/* The head on any states: x (n,D) in, logits (n,V) out; final norm included. The logit lens. work: n*(D+2)+16
 * floats. */
void hs_model_lens(const hs_model *model, uint32_t n, const float *x, float *work, float *logits);

/* ---------------------------------------------------------------- cost */

/* Floating point operations of one training step (forward + backward) on B sequences of T tokens with P scored each:
 * 3 * [B*T*L*(24 d^2 + 4 d (T+1)/2) + 2*B*P*d*V] less the top-block saving, for GPT-2; the like for the others. */
double hs_model_step_flop(const hs_model *model, uint32_t B, uint32_t T, uint32_t P);

/* ---------------------------------------------------------------- safetensors */

/* Named float32 tensors in one file, the format of github.com/huggingface/safetensors: header length (u64), JSON header
 * space-padded to 8 bytes, contiguous data. */
typedef struct hs_st_tensor {
    const char *name;
    const char *dtype; /* "F32", "F16", "BF16", "F64", "I32", "I64", "U32", "U64", "U8" ... */
    uint32_t ndim;
    uint64_t shape[4];
    const void *data;
    uint64_t bytes;
} hs_st_tensor;
typedef struct hs_st_meta { const char *key, *value; } hs_st_meta;
hs_status hs_st_write(const char *path, const hs_st_tensor *tensor, size_t n, const hs_st_meta *meta, size_t n_meta,
                      hs_error *err);
/* An opened file: whole in memory, every offset checked (no overlap, no holes, shapes agree with bytes, at most 4
 * dimensions). `data` of a tensor is aligned to its elements only in files whose header is padded, as ours is. */
typedef struct hs_st_file hs_st_file;
hs_status hs_st_open(hs_st_file **out, const char *path, hs_error *err);
const hs_st_tensor *hs_st_list(const hs_st_file *file, size_t *n);
const hs_st_tensor *hs_st_find(const hs_st_file *file, const char *name); /* NULL if absent */
const char *hs_st_metadata(const hs_st_file *file, const char *key);      /* NULL if absent */
/* The same from `size` bytes in memory, which are copied. `name` stands for the path in errors. */
hs_status hs_st_open_memory(hs_st_file **out, const void *bytes, size_t size, const char *name, hs_error *err);
/* float32 copy (from F32, F16, BF16, F64) of exactly `size` elements. */
hs_status hs_st_read_f32(const hs_st_file *file, const char *name, float *out, uint64_t size, hs_error *err);
void hs_st_close(hs_st_file *file);

/* Weights of a model, under their Hugging Face names, configuration in the metadata. */
hs_status hs_model_save(const hs_model *model, const char *path, const hs_st_meta *meta, size_t n_meta, hs_error *err);
/* Model from such a file. */
hs_status hs_model_load(hs_model *out, const char *path, hs_error *err);

/* Model from whatever is at `path`: a Hugging Face folder (hs_import_hf) or a model file (hs_model_load). */
hs_status hs_model_open(hs_model *out, const char *path, hs_error *err);

/* ---------------------------------------------------------------- Hugging Face folders (docs/models.md) */

/* Write a folder that transformers loads without custom code: config.json, model.safetensors, generation_config.json, and,
 * with `vocab` (token id -> name; NULL = none), tokenizer.json, tokenizer_config.json, special_tokens_map.json, vocab.json.
 *
 * GPT-2 becomes GPT2LMHeadModel; a model whose K blocks run R times becomes an ordinary one of K*R blocks (the same
 * function, weights repeated), and so does one with a shared MLP. The Llama form becomes LlamaForCausalLM, with norms on
 * queries and keys Qwen3ForCausalLM. HS_ERR_USAGE, naming the switch, for what those architectures cannot compute: TRM,
 * re_embed, inject, memory_inner, no_ln, no_mlp.
 *
 * The tokenizer is a WordLevel one: a name is one token, whole. Where every name has the form <...>, names stand side by
 * side ("<e_1><r_2>"), as published. Otherwise a tab or a newline separates them ("Ada Lovelace\tborn in"), since names
 * contain spaces. HS_ERR_DATA if a name contains a tab or a newline and would be cut. `dir` is made; an
 * earlier export in it is replaced, config.json last; HS_ERR_IO if it holds any other file. */
hs_status hs_export_hf(const hs_model *model, const hs_names *vocab, const char *dir, hs_error *err);

/* The text of tokenizer.json for `vocab`, appended to `out`; *separated = the form with separators was taken. What is no
 * name becomes the id `unknown`: hs_export_hf gives the first id outside the model, so that the model refuses it. */
hs_status hs_hf_tokenizer(const hs_names *vocab, uint32_t unknown, hs_str *out, bool *separated, hs_error *err);

/* Model from a Hugging Face folder: GPT-2, Llama or Qwen3, tied or untied, F32, F16, BF16 or F64, one model.safetensors or
 * shards under model.safetensors.index.json, names with or without their "transformer." or "model." prefix. Grouped
 * key/value heads are repeated into full ones. `out` zero-initialized. HS_ERR_DATA names the tensor that is missing, of
 * the wrong shape, damaged or left over, or the configuration key that asks for something hopscope's models do not do. */
hs_status hs_import_hf(hs_model *out, const char *dir, hs_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
