/* decoder.c - see decoder.h. */
#include "model/decoder.h"

#include "model/ops.h"

#include <stdio.h>
#include <string.h>

hs_status hs_decoder_check(const hs_model_config *c, hs_error *err)
{
    char hint[96];
    if (c->n_layer * c->passes > HS_MAX_STAGES) {
        snprintf(hint, sizeof hint, "n_layer times passes is at most %d", HS_MAX_STAGES);
        return hs_model_bad_field(err, "passes", c->passes, hint);
    }
    return HS_OK;
}

float *hs_carve(hs_carver *carver, size_t n)
{
    float *p = carver->base ? carver->base + carver->used : NULL;
    carver->used += (n + 15) & ~(size_t)15;
    return p;
}

void hs_gather_rows(uint32_t R, size_t D, const uint32_t *row, const float *x, size_t ldx, float *y)
{
    for (uint32_t r = 0; r < R; r++)
        memcpy(y + r * D, x + row[r] * ldx, D * sizeof *y);
}

void hs_scatter_add_rows(uint32_t R, size_t D, const uint32_t *row, const float *y, float *x)
{
    const hs_kernels *k = hs_kernels_get();
    for (uint32_t r = 0; r < R; r++)
        k->axpy(D, 1.0f, y + r * D, x + row[r] * D);
}

void hs_embed(const hs_batch *batch, size_t D, const float *wte, const float *wpe, float *x)
{
    const hs_kernels *k = hs_kernels_get();
    for (uint32_t b = 0; b < batch->B; b++)
        for (uint32_t n = batch->start[b]; n < batch->start[b + 1]; n++) {
            const float *token = wte + batch->token[n] * D;
            if (wpe)
                k->copy_bias(1, D, token, wpe + (n - batch->start[b]) * D, x + n * D);
            else
                memcpy(x + n * D, token, D * sizeof *x);
        }
}

void hs_embed_backward(const hs_batch *batch, size_t D, const float *d_x, float *d_wte, float *d_wpe)
{
    const hs_kernels *k = hs_kernels_get();
    for (uint32_t b = 0; b < batch->B; b++)
        for (uint32_t n = batch->start[b]; n < batch->start[b + 1]; n++) {
            k->axpy(D, 1.0f, d_x + n * D, d_wte + batch->token[n] * D);
            if (d_wpe)
                k->axpy(D, 1.0f, d_x + n * D, d_wpe + (n - batch->start[b]) * D);
        }
}

uint32_t hs_longest(const hs_model *model, uint32_t B, uint32_t N)
{
    uint32_t possible = N >= B ? N - B + 1 : 1;
    return possible < model->config.n_positions ? possible : model->config.n_positions;
}

hs_attention hs_decoder_attention(const hs_model *model, const hs_batch *batch, uint32_t T, const float *q, const float *kv,
                                  float *prob, const float *drop)
{
    const size_t D = model->config.n_embd;
    return (hs_attention){.B = batch->B,
                          .start = batch->start,
                          .R = q ? batch->P : batch->N,
                          .query = q ? batch->score_row : NULL,
                          .H = model->config.n_head,
                          .dh = model->config.n_embd / model->config.n_head,
                          .T = T,
                          .q = q ? q : kv,
                          .k = q ? kv : kv + D,
                          .v = q ? kv + D : kv + 2 * D,
                          .ldq = q ? D : 3 * D,
                          .ldk = q ? 2 * D : 3 * D,
                          .prob = prob,
                          .drop = drop};
}

bool hs_dropout_on(const hs_model *model, const hs_batch *batch)
{
    return model->config.dropout > 0 && batch->dropout_seed != 0;
}

void hs_dropout_rows(const hs_model *model, const hs_batch *batch, uint32_t site, uint32_t R, const uint32_t *row, size_t D,
                     float *mask, float *x)
{
    if (!hs_dropout_on(model, batch))
        return;
    const hs_kernels *k = hs_kernels_get();
    const uint32_t key[2] = {(uint32_t)batch->dropout_seed, (uint32_t)(batch->dropout_seed >> 32)};
    uint32_t b = 0;
    for (uint32_t r = 0; r < R; r++) {
        const uint32_t n = row ? row[r] : r;
        while (batch->start[b + 1] <= n)
            b++;
        k->dropout(D, key, batch->first_sequence + b, (uint32_t)batch->step,
                   site << 16 | (n - batch->start[b]), model->config.dropout, mask);
        k->multiply(D, mask, x + r * D);
    }
}
