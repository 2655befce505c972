/* look.h - one look of a method: a model, a sample of a split, and forward passes over the sample in chunks. */
#ifndef HOPSCOPE_INTERP_LOOK_H
#define HOPSCOPE_INTERP_LOOK_H

#include "hopscope/interp.h"
#include "interp/sample.h"
#include "interp/table.h"

struct hs_scope {
    const hs_dataset *data;
    uint8_t *used; /* (n_facts) 1: this fact is a hop of a training query ("training ID" in paper C's scripts) */
    uint64_t *facts, n_facts; /* indices of the used facts, ascending */
    uint32_t *heads, n_heads; /* entities with a used fact, ascending */
};

struct hs_look {
    hs_scope *scope;
    const hs_model *model;
    const hs_sample *sample; /* NULL: the model as a whole */
    const hs_interpret_config *config;
    hs_pool *pool;
    const hs_signals *signals;
};

/* Items of a forward pass: bounds memory, changes no result. */
enum { HS_CHUNK = 64 };

/* One worker's forward passes over up to HS_CHUNK items: two runs side by side (most methods compare a normal run with
 * another one). Rows are item-major: row b*T + column. */
typedef struct hs_forward {
    const hs_model *model;
    uint32_t B, T;  /* items now loaded; columns, of an in-place model all its positions */
    size_t D, V, S; /* width, vocabulary, stages after stage 0 */
    hs_batch batch[2];
    uint32_t *token[2], *start, *score_row;
    float *states[2]; /* (S+1, M, D) of each run, M = hs_model_state_rows */
    float *answer[2]; /* (B, V) logits of each run */
    float *x;         /* (streams, M, D) what the model holds at a stage, to go on from */
    uint32_t own;     /* the stream that hs_forward_x writes */
    float *logits;    /* (B, V) of hs_forward_from, or scratch */
    float *work, *lens_work;
} hs_forward;

/* Memory for HS_CHUNK items of `columns` columns. */
hs_status hs_forward_create(hs_forward *f, const hs_model *model, uint32_t columns, hs_error *err);
void hs_forward_free(hs_forward *f);
/* Run `run` (0 or 1): states and answer of tokens (n, columns). Both runs have the same n and columns. */
void hs_forward_run(hs_forward *f, uint32_t run, const uint32_t *tokens, uint32_t columns, uint32_t n);
/* x = what a run holds at `stage`; hs_forward_x then gives the rows of the stream that this stage writes. */
void hs_forward_copy(hs_forward *f, uint32_t run, size_t stage);
/* Go on from x at `stage` with the tokens of `run`: fills logits. */
void hs_forward_from(hs_forward *f, uint32_t run, size_t stage);
float *hs_forward_state(hs_forward *f, uint32_t run, size_t stage, size_t item, size_t column); /* (D) */
float *hs_forward_x(hs_forward *f, size_t item, size_t column);                                  /* (D) */
/* Top token of row `item` of logits (B,V), the first of equals. */
uint32_t hs_forward_top(const hs_forward *f, const float *logits, size_t item);

/* Row of a token in the table of embeddings (D). */
const float *hs_model_embedding(const hs_model *model, uint32_t token);
/* The head on states x (n,D) without the final norm; logits (n,V) out. */
void hs_model_head(const hs_model *model, uint32_t n, const float *x, float *logits);
bool hs_model_has_final_norm(const hs_model *model);
bool hs_model_predicts_in_place(const hs_model *model);

/* The one fact (head, relation token, *), or HS_NO_FACT if there is none or more than one. */
uint64_t hs_only_fact(const hs_dataset *data, uint32_t head, uint32_t relation);
/* A used fact drawn uniformly; HS_NO_FACT if there is none. */
uint64_t hs_draw_fact(const hs_scope *scope, hs_rng *rng);

/* fn(ctx, forward, first, n) for every chunk of [0, n_items), spread over the pool's workers; stops asked for are obeyed
 * between groups of chunks. What fn writes must depend on the chunk alone. */
typedef void (*hs_chunk_fn)(void *ctx, hs_forward *forward, uint32_t first, uint32_t n);
hs_status hs_look_each(const hs_look *look, uint32_t n_items, uint32_t columns, hs_chunk_fn fn, void *ctx, hs_error *err);

#endif
