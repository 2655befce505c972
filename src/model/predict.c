/* predict.c - a model applied to many prompts: the answers, in parallel, or all logits; each prompt stands for itself. */
#include "hopscope/tensor.h"
#include "model/ops.h"

#include <string.h>

enum { CHUNK = 128 };

typedef struct predict_task {
    const hs_model *model;
    uint32_t n, T;
    const uint32_t *tokens;
    uint32_t *out;
    size_t work_size, logits_size;
    float *work; /* (workers, work_size + logits_size) */
} predict_task;

static void predict_chunk(void *ctx, uint32_t chunk, uint32_t worker)
{
    const predict_task *t = ctx;
    const uint32_t first = chunk * CHUNK, B = t->n - first < CHUNK ? t->n - first : CHUNK;
    uint32_t start[CHUNK + 1], row[CHUNK];
    for (uint32_t i = 0; i < B; i++) {
        start[i] = i * t->T;
        row[i] = start[i] + t->T - 1;
    }
    start[B] = B * t->T;
    const hs_batch batch = {
        .B = B, .N = B * t->T, .P = B, .token = t->tokens + (size_t)first * t->T, .start = start, .score_row = row};
    float *work = t->work + worker * (t->work_size + t->logits_size), *logits = work + t->work_size;
    const size_t V = t->model->config.vocab;
    hs_model_logits(t->model, &batch, work, logits);
    for (uint32_t i = 0; i < B; i++)
        t->out[first + i] = (uint32_t)hs_kernels_get()->argmax(V, logits + i * V);
}

hs_status hs_model_predict(const hs_model *model, hs_pool *pool, uint32_t n, uint32_t T, const uint32_t *tokens,
                           uint32_t *out, hs_error *err)
{
    if (n == 0)
        return HS_OK;
    predict_task t = {.model = model, .n = n, .T = T, .tokens = tokens, .out = out};
    const uint32_t workers = hs_pool_threads(pool);
    t.work_size = (hs_model_work_size(model, CHUNK, CHUNK * T, CHUNK, false) + 15) & ~(size_t)15;
    t.logits_size = ((size_t)CHUNK * model->config.vocab + 15) & ~(size_t)15;
    t.work = hs_alloc((t.work_size + t.logits_size) * workers * sizeof *t.work);
    if (!t.work)
        return hs_fail_memory(err, (t.work_size + t.logits_size) * workers * sizeof *t.work);
    hs_pool_run(pool, (n + CHUNK - 1) / CHUNK, predict_chunk, &t);
    hs_free(t.work);
    return HS_OK;
}

/* Some sequences at a time, to bound memory. */
hs_status hs_model_logits_all(const hs_model *m, size_t n, const uint32_t *token, const uint32_t *first, float *logits,
                              hs_error *err)
{
    enum { STEP = 64 };
    const bool last = hs_model_traits_of(m)->in_place;
    uint32_t most = 0;
    for (size_t b = 0; b < n; b += STEP) {
        const uint32_t rows = first[b + STEP < n ? b + STEP : n] - first[b];
        most = rows > most ? rows : most;
    }
    const uint32_t B = n < STEP ? (uint32_t)n : STEP;
    float *work = hs_alloc(hs_model_work_size(m, B, most, most, false) * sizeof *work);
    uint32_t *row = hs_alloc(most * sizeof *row);
    uint32_t start[STEP + 1];
    if (!work || !row) {
        hs_free(work);
        hs_free(row);
        return hs_fail_memory(err, most * sizeof *work);
    }
    for (size_t b = 0; b < n; b += STEP) {
        hs_batch batch = {
            .B = n - b < STEP ? (uint32_t)(n - b) : STEP, .token = token + first[b], .start = start, .score_row = row};
        for (uint32_t i = 0; i <= batch.B; i++)
            start[i] = first[b + i] - first[b];
        batch.N = start[batch.B];
        batch.P = last ? batch.B : batch.N;
        for (uint32_t i = 0; i < batch.P; i++)
            row[i] = last ? start[i + 1] - 1 : i;
        hs_model_logits(m, &batch, work, logits);
        logits += (size_t)batch.P * m->config.vocab;
    }
    hs_free(work);
    hs_free(row);
    return HS_OK;
}
