/* look.c - forward passes over a sample, in chunks, by the workers of a pool. See look.h.
 *
 * Invariant: a chunk's numbers depend on its items and the model alone, so any number of threads gives the same. */
#include "interp/look.h"
#include "hopscope/tensor.h"

#include <string.h>

hs_status hs_forward_create(hs_forward *f, const hs_model *model, uint32_t columns, hs_error *err)
{
    const size_t D = model->config.n_embd, V = model->config.vocab, S = model->n_stages, N = (size_t)HS_CHUNK * columns,
                 M = hs_model_state_rows(model, HS_CHUNK, (uint32_t)N);
    *f = (hs_forward){.model = model, .T = columns, .D = D, .V = V, .S = S, .M = M};
    bool ok = true;
    for (int run = 0; run < 2; run++) {
        ok &= (f->token[run] = hs_alloc(N * sizeof *f->token[run])) != NULL;
        ok &= (f->extra[run] = hs_alloc((S + 1) * M * D * sizeof *f->extra[run])) != NULL;
        ok &= (f->states[run] = hs_alloc((S + 1) * M * D * sizeof *f->states[run])) != NULL;
        ok &= (f->answer[run] = hs_alloc(HS_CHUNK * V * sizeof *f->answer[run])) != NULL;
    }
    ok &= (f->start = hs_alloc((HS_CHUNK + 1) * sizeof *f->start)) != NULL;
    ok &= (f->score_row = hs_alloc(HS_CHUNK * sizeof *f->score_row)) != NULL;
    ok &= (f->work = hs_alloc(hs_model_work_size(model, HS_CHUNK, (uint32_t)N, HS_CHUNK, false) * sizeof *f->work)) !=
          NULL;
    ok &= (f->logits = hs_alloc(HS_CHUNK * V * sizeof *f->logits)) != NULL;
    ok &= (f->x = hs_alloc(HS_CHUNK * D * sizeof *f->x)) != NULL;
    ok &= (f->patch = hs_alloc(HS_MAX_STREAMS * M * sizeof *f->patch)) != NULL;
    ok &= (f->lens_work = hs_alloc((HS_CHUNK * (D + 2) + 64) * sizeof *f->lens_work)) != NULL;
    if (ok)
        return HS_OK;
    hs_forward_free(f);
    return hs_fail_memory(err, 2 * (S + 1) * M * D * sizeof *f->x);
}

void hs_forward_free(hs_forward *f)
{
    for (int run = 0; run < 2; run++) {
        hs_free(f->token[run]);
        hs_free(f->states[run]);
        hs_free(f->extra[run]);
        hs_free(f->answer[run]);
    }
    hs_free(f->start);
    hs_free(f->score_row);
    hs_free(f->work);
    hs_free(f->logits);
    hs_free(f->x);
    hs_free(f->patch);
    hs_free(f->lens_work);
    *f = (hs_forward){0};
}

void hs_forward_load(hs_forward *f, uint32_t run, const uint32_t *tokens, uint32_t columns, uint32_t n)
{
    f->B = n;
    memcpy(f->token[run], tokens, (size_t)n * columns * sizeof *tokens);
    for (uint32_t b = 0; b < n; b++) {
        f->start[b] = b * columns;
        f->score_row[b] = b * columns + columns - 1;
    }
    f->start[n] = n * columns;
    f->batch[run] = (hs_batch){
        .B = n, .N = n * columns, .P = n, .token = f->token[run], .start = f->start, .score_row = f->score_row};
}

void hs_forward_run(hs_forward *f, uint32_t run, const uint32_t *tokens, uint32_t columns, uint32_t n)
{
    hs_forward_load(f, run, tokens, columns, n);
    const hs_pass pass = {.logits = f->answer[run], .states_out = f->states[run]};
    hs_model_run(f->model, &f->batch[run], &pass, f->work);
}

void hs_forward_run_below(hs_forward *f, uint32_t run, const uint32_t *tokens, uint32_t columns, uint32_t n,
                          bool answer)
{
    hs_forward_load(f, run, tokens, columns, n);
    const hs_pass pass = {.logits = answer ? f->answer[run] : NULL, .states_out = f->states[run], .below_top = true};
    hs_model_run(f->model, &f->batch[run], &pass, f->work);
}

static size_t row_of(const hs_forward *f, uint32_t run, size_t item, size_t column)
{
    return hs_model_state_row(f->model, &f->batch[run], (uint32_t)item, (uint32_t)column);
}

const float *hs_forward_state(const hs_forward *f, uint32_t run, size_t stage, size_t item, size_t column)
{
    const size_t M = hs_model_state_rows(f->model, f->B, f->batch[run].N);
    return f->states[run] + (stage * M + row_of(f, run, item, column)) * f->D;
}

float *hs_forward_state_in(const hs_forward *f, float *states, size_t stage, size_t item, size_t column)
{
    return states + (hs_forward_state(f, 0, stage, item, column) - f->states[0]);
}

uint32_t hs_forward_writers(const hs_forward *f, size_t stage, uint32_t writer[HS_MAX_STREAMS])
{
    const uint32_t n = hs_model_streams(f->model), input = hs_model_stage(f->model, 0).stream;
    for (uint32_t stream = 0; stream < n; stream++)
        writer[stream] = HS_NO_ID;
    for (uint32_t s = 0; s <= stage; s++)
        writer[hs_model_stage(f->model, s).stream] = s;
    if (n > 1 && stage > 0)
        writer[input] = HS_NO_ID;
    return n;
}

void hs_forward_put_all(hs_forward *f, size_t stage, size_t item, size_t column, float *states)
{
    uint32_t writer[HS_MAX_STREAMS];
    const uint32_t n = hs_forward_writers(f, stage, writer);
    for (uint32_t stream = 0; stream < n; stream++)
        if (writer[stream] != HS_NO_ID)
            f->patch[f->n_patches++] = (hs_patch){.stage = (uint32_t)stage,
                                                  .stream = stream,
                                                  .row = (uint32_t)row_of(f, 0, item, column),
                                                  .x = hs_forward_state_in(f, states, writer[stream], item, column)};
}

void hs_forward_put(hs_forward *f, size_t stage, size_t item, size_t column, const float *x)
{
    f->patch[f->n_patches++] = (hs_patch){.stage = (uint32_t)stage,
                                          .stream = hs_model_stage(f->model, (uint32_t)stage).stream,
                                          .row = (uint32_t)row_of(f, 0, item, column), /* alike in both runs */
                                          .x = x};
}

void hs_forward_from(hs_forward *f, uint32_t run, size_t stage, float *states_out)
{
    const hs_pass pass = {.states = f->states[run],
                          .from = (uint32_t)stage,
                          .n_patches = f->n_patches,
                          .patch = f->patch,
                          .logits = f->logits,
                          .states_out = states_out};
    hs_model_run(f->model, &f->batch[run], &pass, f->work);
    f->n_patches = 0;
}

uint32_t hs_forward_top(const hs_forward *f, const float *logits, size_t item)
{
    return (uint32_t)hs_kernels_get()->argmax(f->V, logits + item * f->V);
}

bool hs_model_predicts_in_place(const hs_model *model)
{
    return hs_model_traits_of(model)->in_place;
}

bool hs_model_reads_once(const hs_model *model)
{
    return !hs_model_traits_of(model)->in_place && !model->config.inject;
}

bool hs_model_has_final_norm(const hs_model *model)
{
    return !hs_model_traits_of(model)->in_place && !model->config.no_ln;
}

const float *hs_model_embedding(const hs_model *model, uint32_t token)
{
    const size_t row = hs_model_traits_of(model)->in_place ? (size_t)token + 1 : token;
    return model->param + model->tensor[0].offset + row * model->config.n_embd;
}

void hs_model_head(const hs_model *model, uint32_t n, const float *x, float *logits)
{
    const hs_tensor *head = hs_model_tensor(model, "lm_head.weight");
    const size_t D = model->config.n_embd, V = model->config.vocab;
    hs_gemm(false, true, n, V, D, 1, x, D, model->param + (head ? head : &model->tensor[0])->offset, D, 0, logits, V);
}

/* ---------------------------------------------------------------- chunks over workers */

typedef struct each {
    hs_forward *forward; /* (workers) */
    hs_chunk_fn fn;
    void *ctx;
    uint32_t first_chunk, n;
} each;

static void each_chunk(void *ctx, uint32_t task, uint32_t worker)
{
    const each *e = ctx;
    const uint32_t first = (e->first_chunk + task) * HS_CHUNK;
    e->fn(e->ctx, &e->forward[worker], first, e->n - first < HS_CHUNK ? e->n - first : HS_CHUNK);
}

hs_status hs_look_each(const hs_look *look, uint32_t n_items, uint32_t columns, hs_chunk_fn fn, void *ctx,
                       hs_error *err)
{
    const uint32_t workers = hs_pool_threads(look->pool), chunks = (n_items + HS_CHUNK - 1) / HS_CHUNK;
    each e = {.fn = fn, .ctx = ctx, .n = n_items};
    e.forward = hs_calloc(workers, sizeof *e.forward);
    if (!e.forward)
        return hs_fail_memory(err, workers * sizeof *e.forward);
    hs_status status = HS_OK;
    for (uint32_t w = 0; w < workers && status == HS_OK; w++)
        status = hs_forward_create(&e.forward[w], look->model, columns, err);
    const uint32_t group = 2 * workers;
    for (; e.first_chunk < chunks && status == HS_OK; e.first_chunk += group) {
        status = hs_signals_status(look->signals);
        const uint32_t left = chunks - e.first_chunk;
        if (status == HS_OK)
            hs_pool_run(look->pool, left < group ? left : group, each_chunk, &e);
    }
    for (uint32_t w = 0; w < workers; w++)
        hs_forward_free(&e.forward[w]);
    hs_free(e.forward);
    return status;
}
