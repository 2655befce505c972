/* backward.c - loss and gradients of the Tiny Recursive Model.
 *
 * The loss of a sequence is the mean over its labelled positions, times the weight of the sequence (the sum of the
 * weights of its scored rows), plus half the binary cross-entropy of the halting head against "every labelled position
 * is right". Gradients run back through the H cycle whose state the head reads: into z_L, X and the weights, not into
 * the states it started from; with full_gradient through all cycles before it too. Where rows must be answered after
 * earlier cycles (hs_batch.exits), the head reads the states after these too.
 *
 * Invariant: a->d holds the gradient of the current application's output and is rewritten in place into that of its
 * input. */
#include "model/decoder.h"
#include "model/llama/rope.h"
#include "model/trm/trm.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- blocks */

static void attention_backward(trm_pass *a, const trm_block *w, const trm_app *app, float *grad)
{
    const float *param = a->model->param;
    const size_t R = a->R, D = a->D, H = a->model->config.n_head, half = D / H / 2;
    float *d_ctx = a->d_act, *d_qkv = a->d_up;
    hs_gemm(true, false, D, D, R, 1, a->d, D, app->ctx, D, 1, grad + w->mix_down, D);
    hs_gemm(false, false, R, D, D, 1, a->d, D, param + w->mix_down, D, 0, d_ctx, D);
    const hs_attention at = hs_trm_attention(a, app);
    hs_attend_backward(&at, d_ctx, D, d_qkv, d_qkv + D, d_qkv + 2 * D);
    for (size_t r = 0; r < R; r++) {
        const size_t s = r % a->S;
        hs_rope_row(H, 2 * half, a->cos + s * half, a->sin + s * half, -1, d_qkv + r * 3 * D);
        hs_rope_row(H, 2 * half, a->cos + s * half, a->sin + s * half, -1, d_qkv + r * 3 * D + D);
    }
    hs_gemm(true, false, 3 * D, D, R, 1, d_qkv, 3 * D, app->in, D, 1, grad + w->mix_up, D);
    hs_gemm(false, false, R, D, 3 * D, 1, d_qkv, 3 * D, param + w->mix_up, D, 1, a->d, D);
}

static void tokens_backward(trm_pass *a, const trm_block *w, const trm_app *app, float *grad)
{
    const float *param = a->model->param;
    const size_t S = a->S, M = a->B * a->D, Ft = a->Ft;
    for (size_t m = 0; m < M; m += a->J) {
        const size_t n = M - m < a->J ? M - m : a->J;
        const float *gate = app->gate + 2 * Ft * m;
        float *d = a->d + m;
        a->k->swiglu(1, Ft * n, gate, a->act);
        hs_gemm(false, true, S, Ft, n, 1, d, M, a->act, n, 1, grad + w->mix_down, Ft);
        hs_gemm(true, false, Ft, n, S, 1, param + w->mix_down, Ft, d, M, 0, a->d_act, n);
        a->k->swiglu_backward(1, Ft * n, gate, a->d_act, a->d_up);
        hs_gemm(false, true, 2 * Ft, S, n, 1, a->d_up, n, app->in + m, M, 1, grad + w->mix_up, S);
        hs_gemm(true, false, S, n, 2 * Ft, 1, param + w->mix_up, S, a->d_up, n, 1, d, M);
    }
}

static void channels_backward(trm_pass *a, const trm_block *w, const trm_app *app, float *grad)
{
    const float *param = a->model->param;
    const size_t R = a->R, D = a->D, Fc = a->Fc;
    for (size_t r = 0; r < R; r += a->Q) {
        const size_t n = R - r < a->Q ? R - r : a->Q;
        const float *up = app->up + r * 2 * Fc;
        float *d = a->d + r * D;
        a->k->swiglu(n, Fc, up, a->act);
        hs_gemm(true, false, D, Fc, n, 1, d, D, a->act, Fc, 1, grad + w->down, Fc);
        hs_gemm(false, false, n, Fc, D, 1, d, D, param + w->down, Fc, 0, a->d_act, Fc);
        a->k->swiglu_backward(n, Fc, up, a->d_act, a->d_up);
        hs_gemm(true, false, 2 * Fc, D, n, 1, a->d_up, 2 * Fc, app->mid + r * D, D, 1, grad + w->up, D);
        hs_gemm(false, false, n, D, 2 * Fc, 1, a->d_up, 2 * Fc, param + w->up, D, 1, d, D);
    }
}

static void block_backward(trm_pass *a, uint32_t l, const trm_app *app, float *grad)
{
    const trm_block *w = &a->o.block[l];
    const size_t R = a->R, D = a->D;
    hs_trm_norm_rows_backward(R, D, app->out, app->out_r, a->d);
    channels_backward(a, w, app, grad);
    if (a->model->config.mix_attention) {
        hs_trm_norm_rows_backward(R, D, app->mid, app->mid_r, a->d);
        attention_backward(a, w, app, grad);
    } else {
        hs_trm_norm_columns_backward(a->S, a->B * D, app->mid, app->mid_r, a->d);
        tokens_backward(a, w, app, grad);
    }
}

/* ---------------------------------------------------------------- which positions are scored */

static float sequence_weight(const hs_batch *batch, uint32_t first, uint32_t last)
{
    if (!batch->weight)
        return 1.0f;
    float sum = 0;
    for (uint32_t p = first; p < last; p++)
        sum += batch->weight[p];
    return sum;
}

/* List the labelled positions in order: state row, target, which scored row it is, weight. With batch->full every label
 * counts, else (and with next_token, where a prompt's position has no label) the scored rows' targets. Returns their
 * number. */
static uint32_t list_labels(trm_pass *a)
{
    const hs_batch *batch = a->batch;
    const uint32_t T = (uint32_t)a->T, offset = hs_model_answer_offset(a->model);
    const bool full = batch->full && offset;
    uint32_t n = 0, next = 0;
    a->also_start[0] = batch->also_start ? batch->also_start[0] : 0;
    for (uint32_t b = 0; b < a->B; b++) {
        const uint32_t first = n, scored_first = next;
        for (uint32_t p = 0; p < T; p++) {
            uint32_t target = full ? batch->full[b * T + p] : HS_NO_TARGET, scored = UINT32_MAX;
            if (p >= offset && next < batch->P && batch->score_row[next] == batch->start[b] + p - offset &&
                batch->score_row[next] < batch->start[b + 1]) {
                scored = next++;
                target = batch->target[scored];
            }
            if (target == HS_NO_TARGET)
                continue;
            a->row[n] = (uint32_t)hs_trm_row(a, a->model->config.prefix + p, b);
            a->target[n] = target;
            a->scored[n] = scored;
            a->also_start[n + 1] = a->also_start[n];
            if (scored != UINT32_MAX && batch->also_start)
                a->also_start[n + 1] = batch->also_start[scored + 1];
            n++;
        }
        const float weight = n > first ? sequence_weight(batch, scored_first, next) / (float)(n - first) : 0;
        for (uint32_t i = first; i < n; i++)
            a->weight[i] = weight;
    }
    assert(next == batch->P);
    return n;
}

static bool is_right(const trm_pass *a, uint32_t i, size_t token)
{
    if (token == a->target[i])
        return true;
    if (a->batch->also_start)
        for (uint64_t j = a->also_start[i]; j < a->also_start[i + 1]; j++)
            if (a->batch->also[j] == token)
                return true;
    return false;
}

/* ---------------------------------------------------------------- heads */

/* The halting head sees position 0; its loss and gradient for one sequence. Only the first of its two outputs is
 * trained when every forward pass halts (halt_max_steps 1). */
static double halt_backward(trm_pass *a, uint32_t b, float weight, bool exact, float *grad)
{
    const hs_model *model = a->model;
    const size_t w = a->o.halt_w, bias = a->o.halt_b;
    const size_t row = hs_trm_row(a, 0, b);
    const float *z = a->h + row * a->D;
    const double q = a->k->dot(a->D, z, model->param + w) + (double)model->param[bias];
    const double y = exact ? 1 : 0;
    const double loss = fmax(q, 0) - q * y + log1p(exp(-fabs(q)));
    const float d_q = (float)(0.5 * (double)weight * (1 / (1 + exp(-q)) - y));
    a->k->axpy(a->D, d_q, model->param + w, a->d + row * a->D);
    a->k->axpy(a->D, d_q, z, grad + w);
    grad[bias] += d_q;
    return 0.5 * (double)weight * loss;
}

/* Cross-entropy of a->target (n) at a->row of z_H, weighed by `weight`; a->logits hold the logits, padding last. Adds
 * to a->d, the gradient of z_H. */
static double table_backward(trm_pass *a, hs_loss_kind kind, uint32_t n, const uint32_t *target, const float *weight,
                             const uint64_t *also_start, const uint32_t *also, float *grad)
{
    const size_t D = a->D, V = a->model->config.vocab, W = V + 1;
    const float *table = a->model->param + a->o.head;
    float *d_table = grad + a->o.head;
    uint32_t ignored = 0;
    const double loss = (kind == HS_LOSS_STABLEMAX ? a->k->stablemax : a->k->cross_entropy)(
        n, W, a->logits, target, weight, a->batch->smoothing, also_start, also, &ignored);
    hs_gemm(true, false, V, D, n, 1, a->logits, W, a->rows, D, 1, d_table + D, D);
    hs_gemm(true, false, 1, D, n, 1, a->logits + V, W, a->rows, D, 1, d_table, D);
    hs_gemm(false, false, n, D, V, 1, a->logits, W, table + D, D, 0, a->d_rows, D);
    hs_gemm(false, false, n, D, 1, 1, a->logits + V, W, table, D, 1, a->d_rows, D);
    hs_scatter_add_rows(n, D, a->row, a->d_rows, a->d);
    return loss;
}

/* a->logits (n, V+1) of the states at a->row, padding last; the states themselves into a->rows. */
static void table_forward(trm_pass *a, uint32_t n)
{
    const size_t D = a->D, V = a->model->config.vocab, W = V + 1;
    hs_gather_rows(n, D, a->row, a->h, D, a->rows);
    hs_trm_head(a->model, &a->o, n, a->rows, a->logits, W);
    hs_gemm(false, true, n, 1, D, 1, a->rows, D, a->model->param + a->o.head, D, 0, a->logits + V, W);
}

/* Are rows answered after this cycle, from 0? */
static bool exits_after(const trm_pass *a, uint32_t cycle)
{
    const hs_exits *e = &a->batch->exits;
    return e->n > 0 && cycle + 1 < a->model->config.h_cycles && (e->passes == 0 || cycle < e->passes);
}

/* Loss of the rows that must be answered after this cycle already; adds to a->d. */
static double exit_backward(trm_pass *a, hs_loss_kind kind, float *grad)
{
    const hs_exits *e = &a->batch->exits;
    hs_trm_answer_rows(a, e->n, e->row);
    table_forward(a, e->n);
    return table_backward(a, kind, e->n, e->target, e->weight, e->also_start, e->also, grad);
}

/* Loss at the labelled positions and the halting head; gradient of z_H into a->d. */
static hs_loss_result heads_backward(trm_pass *a, hs_loss_kind kind, float *grad)
{
    const hs_model *model = a->model;
    const hs_batch *batch = a->batch;
    const size_t V = model->config.vocab, W = V + 1;
    const uint32_t n = list_labels(a);
    hs_loss_result result = {0};
    memset(a->d, 0, a->R * a->D * sizeof(float));
    table_forward(a, n);
    for (uint32_t b = 0, i = 0, p = 0; b < a->B; b++) {
        bool exact = true;
        const uint32_t scored_first = p;
        for (; i < n && (model->config.mix_attention ? a->row[i] / a->S : a->row[i] % a->B) == b; i++) {
            const bool right = is_right(a, i, a->k->argmax(V, a->logits + i * W));
            exact = exact && right;
            if (a->scored[i] != UINT32_MAX) {
                result.correct += right;
                p++;
            }
        }
        if (model->config.halt_head)
            result.loss += halt_backward(a, b, sequence_weight(batch, scored_first, p), exact, grad);
    }
    result.loss += table_backward(a, kind, n, a->target, a->weight, batch->also_start ? a->also_start : NULL, batch->also, grad);
    return result;
}

/* ---------------------------------------------------------------- cycles */

/* a->d: gradient of z_H after `cycle`. With full_gradient a->d_l is that of its z_L, and both are left as those of the
 * states before it; else these are dropped. Adds to a->d_x. */
static void cycle_backward(trm_pass *a, uint32_t cycle, float *grad)
{
    const hs_model_config *c = &a->model->config;
    const uint32_t L = c->n_layer;
    const size_t states = a->R * a->D;
    for (uint32_t step = c->l_cycles + 1; step-- > 0;) {
        for (uint32_t l = L; l-- > 0;) {
            const trm_app app = hs_trm_app_at(a, hs_trm_slot(a, cycle, step) + l);
            block_backward(a, l, &app, grad);
        }
        /* The sum's gradient goes to z_L, to z_H and, in an L step, to X. */
        if (step < c->l_cycles)
            a->k->axpy(states, 1.0f, a->d, a->d_x);
        if (!c->full_gradient)
            continue;
        if (step == c->l_cycles) {
            memcpy(a->d_h, a->d, states * sizeof *a->d);
            a->k->axpy(states, 1.0f, a->d_l, a->d);
        } else {
            a->k->axpy(states, 1.0f, a->d, a->d_h);
        }
    }
    if (!c->full_gradient)
        return;
    memcpy(a->d_l, a->d, states * sizeof *a->d);
    memcpy(a->d, a->d_h, states * sizeof *a->d);
}

/* ---------------------------------------------------------------- embeddings */

static void embed_backward(trm_pass *a, float *grad)
{
    const hs_model *model = a->model;
    const hs_batch *batch = a->batch;
    const uint32_t prefix = model->config.prefix;
    const float scale = sqrtf((float)a->D);
    float *d_table = grad + a->o.embed;
    float *d_prefix = prefix ? grad + a->o.prefix : NULL;
    uint32_t next = 0;
    for (uint32_t b = 0; b < a->B; b++) {
        const uint32_t visible = hs_trm_visible_rows(batch, b, &next);
        if (d_prefix)
            a->k->axpy(a->D, scale, a->d_x + hs_trm_row(a, 0, b) * a->D, d_prefix);
        for (uint32_t p = 0; p < a->T; p++)
            a->k->axpy(a->D, scale, a->d_x + hs_trm_row(a, prefix + p, b) * a->D,
                       d_table + hs_trm_table_row(batch, b, p, visible) * a->D);
    }
}

hs_loss_result hs_trm_backward(const hs_model *model, const hs_batch *batch, hs_loss_kind loss, float *work,
                               float *grad)
{
    trm_pass a;
    const bool full = model->config.full_gradient;
    const uint32_t cycles = model->config.h_cycles;
    hs_trm_start(&a, model, batch, true, work);
    hs_trm_begin(&a);
    const size_t bytes = a.R * a.D * sizeof(float);
    double exit_loss = 0;
    memset(a.d_x, 0, bytes);
    for (uint32_t cycle = 0; cycle < cycles; cycle++) {
        hs_trm_cycle(&a, cycle);
        if (full || !exits_after(&a, cycle))
            continue;
        memset(a.d, 0, bytes); /* this cycle's part, before the next overwrites what it kept */
        exit_loss += exit_backward(&a, loss, grad);
        cycle_backward(&a, cycle, grad);
    }
    hs_loss_result result = heads_backward(&a, loss, grad);
    if (full)
        memset(a.d_l, 0, bytes);
    cycle_backward(&a, cycles - 1, grad);
    for (uint32_t cycle = full ? cycles - 1 : 0; cycle-- > 0;) {
        a.h = hs_trm_cycle_state(&a, cycle);
        if (exits_after(&a, cycle))
            exit_loss += exit_backward(&a, loss, grad);
        cycle_backward(&a, cycle, grad);
    }
    result.exit_loss = exit_loss;
    embed_backward(&a, grad);
    return result;
}
