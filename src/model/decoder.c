/* decoder.c - see decoder.h. */
#include "model/decoder.h"

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

/* The row of the table of positions for row n, of sequence b. */
static size_t position_of(const hs_model *model, const hs_batch *batch, uint32_t b, uint32_t n)
{
    if (model->config.positions == HS_POSITIONS_ANSWER)
        return model->config.n_positions - (batch->start[b + 1] - n);
    return n - batch->start[b];
}

void hs_embed(const hs_model *model, const hs_batch *batch, const float *wte, const float *wpe, float *x)
{
    const hs_kernels *k = hs_kernels_get();
    const size_t D = model->config.n_embd;
    for (uint32_t b = 0; b < batch->B; b++)
        for (uint32_t n = batch->start[b]; n < batch->start[b + 1]; n++) {
            const float *token = wte + batch->token[n] * D;
            if (wpe)
                k->copy_bias(1, D, token, wpe + position_of(model, batch, b, n) * D, x + n * D);
            else
                memcpy(x + n * D, token, D * sizeof *x);
        }
}

void hs_embed_backward(const hs_model *model, const hs_batch *batch, const float *d_x, float *d_wte, float *d_wpe)
{
    const hs_kernels *k = hs_kernels_get();
    const size_t D = model->config.n_embd;
    for (uint32_t b = 0; b < batch->B; b++)
        for (uint32_t n = batch->start[b]; n < batch->start[b + 1]; n++) {
            k->axpy(D, 1.0f, d_x + n * D, d_wte + batch->token[n] * D);
            if (d_wpe)
                k->axpy(D, 1.0f, d_x + n * D, d_wpe + position_of(model, batch, b, n) * D);
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

/* ---------------------------------------------------------------- the loop over blocks */

hs_batch hs_decoder_batch(const hs_batch *batch, const hs_taps *taps)
{
    hs_batch b = *batch;
    if (taps->row) {
        b.P = taps->n_rows;
        b.score_row = taps->row;
    }
    return b;
}

bool hs_decoder_prunes(const hs_taps *taps)
{
    return taps->states == NULL || taps->below_top;
}

/* Write the patches of stage `s` into its state: x, a row for each of the batch or, if `scored`, for its scored rows. */
static void patch(const hs_decoder *d, const hs_taps *taps, uint32_t *next, uint32_t s, bool scored, float *x)
{
    const size_t D = d->model->config.n_embd;
    for (; *next < taps->n_patches && taps->patch[*next].stage == s; ++*next) {
        const hs_patch *p = &taps->patch[*next];
        uint32_t row = p->row;
        if (scored) {
            for (row = 0; row < d->batch->P && d->batch->score_row[row] != p->row; row++)
                ;
            if (row == d->batch->P)
                continue; /* nobody reads it */
        }
        memcpy(x + row * D, p->x, D * sizeof *x);
    }
}

static void read_out(const hs_decoder *d, const hs_taps *taps, uint32_t s, const float *x)
{
    const size_t ND = (size_t)d->batch->N * d->model->config.n_embd;
    if (taps->states && !(taps->below_top && s == d->S))
        memcpy(taps->states + s * ND, x, ND * sizeof *x);
}

/* Replaces columns first..first+width of x (R,D), every row by that of its position. `base` (R,D) is added, or NULL. */
static void knock(const hs_decoder *d, const hs_knockout *k, uint32_t R, const uint32_t *row, size_t first,
                  size_t width, const float *base, float *x)
{
    const size_t D = d->model->config.n_embd;
    uint32_t b = 0;
    for (uint32_t r = 0; r < R; r++) {
        const uint32_t n = row ? row[r] : r;
        while (d->batch->start[b + 1] <= n)
            b++;
        const float *by = k->x ? k->x + (n - d->batch->start[b]) * width : NULL;
        for (size_t i = 0; i < width; i++)
            x[r * D + first + i] = (base ? base[r * D + first + i] : 0) + (by ? by[i] : 0);
    }
}

void hs_decoder_heads(const hs_decoder *d, uint32_t s, uint32_t R, const uint32_t *row, float *ctx)
{
    const size_t D = d->model->config.n_embd, width = D / d->model->config.n_head;
    if (d->taps->heads)
        memcpy(d->taps->heads + (s + 1) * R * D, ctx, R * D * sizeof *ctx);
    for (uint32_t i = 0; i < d->taps->n_knockouts; i++) {
        const hs_knockout *k = &d->taps->knockout[i];
        if (k->stage == s + 1 && k->part >= 0)
            knock(d, k, R, row, (size_t)k->part * width, width, NULL, ctx);
    }
}

void hs_decoder_mlp(const hs_decoder *d, uint32_t s, uint32_t R, const uint32_t *row, const float *mid, float *out)
{
    const size_t D = d->model->config.n_embd;
    if (d->taps->mlps)
        for (size_t i = 0; i < R * D; i++)
            d->taps->mlps[(s + 1) * R * D + i] = out[i] - mid[i];
    for (uint32_t i = 0; i < d->taps->n_knockouts; i++) {
        const hs_knockout *k = &d->taps->knockout[i];
        if (k->stage == s + 1 && k->part == HS_KNOCK_MLP)
            knock(d, k, R, row, 0, D, mid, out);
    }
}

void hs_decoder_run(hs_decoder *d, const hs_taps *taps)
{
    d->taps = taps;
    const size_t D = d->model->config.n_embd, ND = d->batch->N * D;
    const uint32_t from = taps->from, P = d->batch->P;
    const float *given = taps->given ? taps->stream[0] : NULL;
    uint32_t next = 0;
    if (given && from == d->S) { /* only the head is left */
        if (taps->states) {
            memcpy(taps->states + d->S * ND, given, ND * sizeof *given);
            patch(d, taps, &next, d->S, false, taps->states + d->S * ND);
            next = 0;
        }
        hs_gather_rows(P, D, d->batch->score_row, given, D, d->xs);
        patch(d, taps, &next, d->S, true, d->xs);
        if (taps->logits)
            d->parts->head(d->pass, P, taps->logits);
        return;
    }
    if (!given || (from > 0 && d->x0_later))
        d->parts->embed(d->pass);
    float *x = from == 0 ? d->x0 : d->out[from - 1];
    if (given)
        memcpy(x, given, ND * sizeof *x);
    patch(d, taps, &next, from, false, x);
    read_out(d, taps, from, x);
    const uint32_t end = taps->below_top && !taps->logits ? d->S - 1 : d->S;
    for (uint32_t s = from; s < end; s++) {
        d->parts->block(d->pass, s);
        patch(d, taps, &next, s + 1, d->prune && s + 1 == d->S, d->out[s]);
        read_out(d, taps, s + 1, d->out[s]);
    }
    if (!taps->logits)
        return;
    if (!d->prune)
        hs_gather_rows(P, D, d->batch->score_row, d->out[d->S - 1], D, d->xs);
    d->parts->head(d->pass, P, taps->logits);
}

/* Are rows answered after block application `stage`, the last of a pass? */
static bool exits_after(const hs_decoder *d, uint32_t stage)
{
    const hs_exits *e = &d->batch->exits;
    const uint32_t L = d->model->config.n_layer;
    return e->n > 0 && stage < d->S && stage % L == 0 && (e->passes == 0 || stage / L <= e->passes);
}

/* Loss of the rows that must be answered after an earlier pass already: `stage` is its last. Adds to d_x (N,D), the
 * gradient of that stage's output. Only these rows go through the head; what it kept of the last stage is overwritten.
 */
static double exit_backward(hs_decoder *d, uint32_t stage, hs_loss_kind loss, float *grad)
{
    const hs_exits *e = &d->batch->exits;
    const hs_kernels *k = hs_kernels_get();
    const size_t D = d->model->config.n_embd, V = d->model->config.vocab;
    uint32_t correct = 0;
    hs_gather_rows(e->n, D, e->row, d->out[stage - 1], D, d->xs);
    d->parts->head(d->pass, e->n, d->logits);
    const double result = (loss == HS_LOSS_STABLEMAX ? k->stablemax : k->cross_entropy)(
        e->n, V, d->logits, e->target, e->weight, d->batch->smoothing, e->also_start, e->also, &correct);
    memset(d->d_rows, 0, e->n * D * sizeof *d->d_rows);
    d->parts->head_backward(d->pass, e->n, d->logits, d->d_rows, grad);
    hs_scatter_add_rows(e->n, D, e->row, d->d_rows, d->d_x);
    return result;
}

hs_loss_result hs_decoder_backward(hs_decoder *d, hs_loss_kind loss, float *grad)
{
    const hs_batch *batch = d->batch;
    const hs_kernels *k = hs_kernels_get();
    const size_t D = d->model->config.n_embd, V = d->model->config.vocab;
    const hs_taps taps = {.logits = d->logits};
    hs_decoder_run(d, &taps);
    hs_loss_result result = {0};
    result.loss = (loss == HS_LOSS_STABLEMAX ? k->stablemax : k->cross_entropy)(
        batch->P, V, d->logits, batch->target, batch->weight, batch->smoothing, batch->also_start, batch->also,
        &result.correct);
    memset(d->d_rows, 0, batch->P * D * sizeof *d->d_rows);
    d->parts->head_backward(d->pass, batch->P, d->logits, d->d_rows, grad);
    if (!d->prune) {
        memset(d->d_x, 0, batch->N * D * sizeof *d->d_x);
        hs_scatter_add_rows(batch->P, D, batch->score_row, d->d_rows, d->d_x);
    }
    for (uint32_t s = d->S; s-- > 0;) {
        if (exits_after(d, s + 1))
            result.exit_loss += exit_backward(d, s + 1, loss, grad);
        d->parts->block_backward(d->pass, s, d->prune && s + 1 == d->S ? d->d_rows : d->d_x, d->d_x, grad);
    }
    d->parts->embed_backward(d->pass, d->d_x, grad);
    return result;
}

void hs_decoder_stage(const hs_model *model, uint32_t s, hs_stage *out)
{
    const uint32_t L = model->config.n_layer;
    *out = (hs_stage){.pass = s ? (s - 1) / L + 1 : 0, .step = s ? (s - 1) % L + 1 : 0};
    if (s == 0)
        snprintf(out->name, sizeof out->name, "embeddings");
    else if (model->config.passes == 1)
        snprintf(out->name, sizeof out->name, "block %u", out->step);
    else
        snprintf(out->name, sizeof out->name, "pass %u block %u", out->pass, out->step);
}
