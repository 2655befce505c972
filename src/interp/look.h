/* look.h - one look of a method: a model, a sample of a split, and forward passes over the sample in chunks. */
#ifndef HOPSCOPE_INTERP_LOOK_H
#define HOPSCOPE_INTERP_LOOK_H

#include "hopscope/interp.h"
#include "interp/sample.h"
#include "interp/table.h"

struct hs_scope {
    const hs_dataset *data;
    uint8_t
        *used; /* (n_facts) 1: this fact is a hop of a training query ("training ID" in arXiv 2405.15071's scripts) */
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

/* Which pieces of the walk are to be done: a piece is a method on a split, or on the model. Every `parts`-th from
 * `part` on. */
typedef struct hs_piece {
    uint32_t part, parts;
    uint32_t now; /* the one that is looked at */
} hs_piece;
/* hs_interpret of some pieces: those of all parts, in the order of their numbers, are what it does. */
hs_status hs_interpret_part(hs_scope *scope, const hs_model *model, const float *param,
                            const hs_interpret_config *config, hs_pool *pool, const hs_signals *signals,
                            const hs_sink *sink, hs_piece *piece, hs_error *err);

/* Items of a forward pass: bounds memory, changes no result. */
enum { HS_CHUNK = 64 };

/* One worker's forward passes over up to HS_CHUNK items: two runs side by side (most methods compare a normal run with
 * another one), and passes that go on from a stage of one of them with states written. */
typedef struct hs_forward {
    const hs_model *model;
    uint32_t B, T;  /* items now loaded; columns fed */
    size_t D, V, S; /* width, vocabulary, stages after stage 0 */
    size_t M;       /* rows of a state of HS_CHUNK items */
    hs_batch batch[2];
    uint32_t *token[2], *start, *score_row;
    float *extra[2];  /* two more like them, for whoever needs them */
    float *states[2]; /* (S+1, M', D) of each run, M' rows of the items loaded */
    float *answer[2]; /* (B, V) logits of each run */
    float *logits;    /* (HS_CHUNK, V) of hs_forward_from, or scratch */
    float *x;         /* (HS_CHUNK, D) scratch */
    hs_patch *patch;  /* (n_patches) states to be written by the next hs_forward_from */
    uint32_t n_patches;
    float *work, *lens_work;
} hs_forward;

/* Memory for HS_CHUNK items of `columns` columns. */
hs_status hs_forward_create(hs_forward *f, const hs_model *model, uint32_t columns, hs_error *err);
void hs_forward_free(hs_forward *f);
/* The batch of run `run` (0 or 1), without running it. */
void hs_forward_load(hs_forward *f, uint32_t run, const uint32_t *tokens, uint32_t columns, uint32_t n);
/* Run `run` (0 or 1): states and answer of tokens (n, columns). Both runs have the same n and columns. */
void hs_forward_run(hs_forward *f, uint32_t run, const uint32_t *tokens, uint32_t columns, uint32_t n);
/* The same without the states of the last stage (what is there then is undefined), and if `answer` is false without the
 * answer: for patching, which writes below it. */
void hs_forward_run_below(hs_forward *f, uint32_t run, const uint32_t *tokens, uint32_t columns, uint32_t n,
                          bool answer);
/* The state (D) at a stage and a column of an item. */
const float *hs_forward_state(const hs_forward *f, uint32_t run, size_t stage, size_t item, size_t column);
/* All that a model holds at a column after `stage`: the last stage up to it that wrote each stream (HS_NO_ID: none yet), a
 * stage each, into writer[HS_MAX_STREAMS]; returns the number of streams. A stream that only stage 0 writes (TRM's input)
 * counts at stage 0 alone: later it is the question itself. */
enum { HS_MAX_STREAMS = 3 };
uint32_t hs_forward_writers(const hs_forward *f, size_t stage, uint32_t writer[HS_MAX_STREAMS]);
/* The same place of another array laid out like a run's states. */
float *hs_forward_state_in(const hs_forward *f, float *states, size_t stage, size_t item, size_t column);
/* To be written after `stage`, all streams of a column of an item, as `states` has them. */
void hs_forward_put_all(hs_forward *f, size_t stage, size_t item, size_t column, float *states);
/* To be written after `stage` by the next hs_forward_from: x (D), which must stay. Stages ascending; at most one an item and
 * column and stage. */
void hs_forward_put(hs_forward *f, size_t stage, size_t item, size_t column, const float *x);
/* Go on from `stage` of a run with what was put (and forget it): fills logits; `states_out` (S+1, M', D) or NULL gets the
 * stages from there on. Only what lies above is computed. */
void hs_forward_from(hs_forward *f, uint32_t run, size_t stage, float *states_out);
/* Top token of row `item` of logits (B,V), the first of equals. */
uint32_t hs_forward_top(const hs_forward *f, const float *logits, size_t item);

/* Row of a token in the table of embeddings (D). */
const float *hs_model_embedding(const hs_model *model, uint32_t token);
/* The head on states x (n,D) without the final norm; logits (n,V) out. */
void hs_model_head(const hs_model *model, uint32_t n, const float *x, float *logits);
/* Is the question read at stage 0 alone? Then all of stage 0 replaced is the question replaced. */
bool hs_model_reads_once(const hs_model *model);
bool hs_model_has_final_norm(const hs_model *model);
bool hs_model_predicts_in_place(const hs_model *model);

/* The one fact (head, relation token, *), or HS_NO_FACT if there is none or more than one. */
uint64_t hs_only_fact(const hs_dataset *data, uint32_t head, uint32_t relation);
/* A used fact drawn uniformly; HS_NO_FACT if there is none. */
uint64_t hs_draw_fact(const hs_scope *scope, hs_rng *rng);

/* fn(ctx, forward, first, n) for every chunk of [0, n_items), spread over the pool's workers; stops asked for are obeyed
 * between groups of chunks. What fn writes must depend on the chunk alone. */
typedef void (*hs_chunk_fn)(void *ctx, hs_forward *forward, uint32_t first, uint32_t n);
hs_status hs_look_each(const hs_look *look, uint32_t n_items, uint32_t columns, hs_chunk_fn fn, void *ctx,
                       hs_error *err);

#endif
