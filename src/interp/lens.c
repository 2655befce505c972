/* lens.c - the logit lens: final norm and head on the states between blocks.
 *
 * Invariant: a rank counts the tokens with a strictly larger logit, so ties do not depend on token order. */
#include "hopscope/interp.h"
#include "hopscope/tensor.h"

#include <math.h>
#include <string.h>

/* Items per forward pass: bounds memory, changes no result. */
enum { CHUNK = 256 };

static hs_lens_reading read_logits(const float *logits, size_t V, uint32_t asked)
{
    const size_t top = hs_kernels_get()->argmax(V, logits);
    double total = 0;
    uint32_t rank = 0;
    for (size_t v = 0; v < V; v++) {
        total += exp((double)(logits[v] - logits[top]));
        rank += asked < V && logits[v] > logits[asked];
    }
    return (hs_lens_reading){.top = (uint32_t)top,
                             .probability = 1.0 / total,
                             .rank = asked < V ? rank : (uint32_t)V,
                             .asked = asked < V ? exp((double)(logits[asked] - logits[top])) / total : 0};
}

typedef struct lens_memory {
    uint32_t *start, *score_row;
    float *work, *states, *rows, *lens_work, *logits;
} lens_memory;

static void memory_free(lens_memory *m)
{
    hs_free(m->start);
    hs_free(m->score_row);
    hs_free(m->work);
    hs_free(m->states);
    hs_free(m->rows);
    hs_free(m->lens_work);
    hs_free(m->logits);
}

static hs_status memory_create(lens_memory *m, const hs_model *model, uint32_t n, uint32_t T, hs_error *err)
{
    const size_t N = (size_t)n * T, D = model->config.n_embd, V = model->config.vocab;
    m->start = hs_alloc((n + 1) * sizeof *m->start);
    m->score_row = hs_alloc(n * sizeof *m->score_row);
    m->work = hs_alloc(hs_model_work_size(model, n, (uint32_t)N, n, false) * sizeof *m->work);
    m->states = hs_alloc((model->n_stages + 1) * N * D * sizeof *m->states);
    m->rows = hs_alloc(n * D * sizeof *m->rows);
    m->lens_work = hs_alloc((n * D + 2 * n + 64) * sizeof *m->lens_work);
    m->logits = hs_alloc(n * V * sizeof *m->logits);
    if (!m->start || !m->score_row || !m->work || !m->states || !m->rows || !m->lens_work || !m->logits)
        return hs_fail_memory(err, (model->n_stages + 1) * N * D * sizeof *m->states);
    return HS_OK;
}

bool hs_lens_reads(const hs_model *model)
{
    return model->n_stages >= 2 && !hs_model_traits_of(model)->in_place;
}

hs_status hs_lens_read(const hs_model *model, uint32_t n, uint32_t T, const uint32_t *tokens, uint32_t position,
                       const uint32_t *asked, hs_lens_reading *out, hs_error *err)
{
    const uint32_t chunk = n < CHUNK ? n : CHUNK;
    const size_t D = model->config.n_embd, V = model->config.vocab;
    if (n == 0)
        return HS_OK;
    if (hs_model_traits_of(model)->in_place)
        return hs_fail(err, HS_ERR_DATA, "the lens at a position reads decoders; TRM's stages are not yet read this way");
    lens_memory m = {0};
    hs_status status = memory_create(&m, model, chunk, T, err);
    for (uint32_t first = 0; first < n && status == HS_OK; first += chunk) {
        const uint32_t b = n - first < chunk ? n - first : chunk;
        for (uint32_t i = 0; i <= b; i++)
            m.start[i] = i * T;
        for (uint32_t i = 0; i < b; i++)
            m.score_row[i] = i * T + T - 1;
        const hs_batch batch = {.B = b, .N = b * T, .P = b, .token = tokens + (size_t)first * T, .start = m.start,
                                .score_row = m.score_row};
        hs_model_states(model, &batch, m.work, m.states);
        for (uint32_t s = 0; s <= model->n_stages; s++) {
            for (uint32_t i = 0; i < b; i++)
                memcpy(m.rows + i * D, m.states + (((size_t)s * b + i) * T + position) * D, D * sizeof *m.rows);
            hs_model_lens(model, b, m.rows, m.lens_work, m.logits);
            for (uint32_t i = 0; i < b; i++)
                out[(size_t)s * n + first + i] = read_logits(m.logits + i * V, V, asked[first + i]);
        }
    }
    memory_free(&m);
    return status;
}

hs_status hs_bridge_found(const hs_model *model, const hs_split *split, uint32_t max, hs_bridge_score *out, hs_error *err)
{
    memset(out, 0, sizeof *out);
    const uint32_t n = max && split->n > max ? max : (uint32_t)split->n;
    const uint32_t T = split->prompt, S = model->n_stages;
    if (n == 0 || split->bridges != 1 || !split->bridge || T != 3)
        return HS_OK;
    uint32_t *tokens = hs_alloc((size_t)n * T * sizeof *tokens);
    hs_lens_reading *readings = hs_alloc((size_t)(S + 1) * n * sizeof *readings);
    hs_status status = HS_OK;
    if (!tokens || !readings)
        status = hs_fail_memory(err, (size_t)(S + 1) * n * sizeof *readings);
    if (status == HS_OK) {
        for (uint32_t i = 0; i < n; i++)
            memcpy(tokens + (size_t)i * T, split->tokens + (size_t)i * split->width, T * sizeof *tokens);
        status = hs_lens_read(model, n, T, tokens, 1, split->bridge, readings, err);
    }
    if (status == HS_OK) {
        uint64_t found = 0;
        for (uint32_t i = 0; i < n; i++) {
            bool any = false;
            for (uint32_t s = 1; s < S; s++)
                any |= readings[(size_t)s * n + i].rank == 0;
            found += any;
        }
        for (uint32_t s = 1; s < S; s++) {
            double mrr = 0;
            for (uint32_t i = 0; i < n; i++)
                mrr += 1.0 / (1.0 + readings[(size_t)s * n + i].rank);
            if (mrr / n > out->mrr) {
                out->mrr = mrr / n;
                out->best_stage = s;
            }
        }
        out->n = n;
        out->found = (double)found / n;
    }
    hs_free(tokens);
    hs_free(readings);
    return status;
}
