/* llama.c - the present-day decoder: RMSNorm, rotary positions, SwiGLU, no biases, optionally norms on queries and keys
 * (Qwen3's), tied or untied head, and blocks that may be run several times over (parameter sharing).
 *
 * Names and layouts are Hugging Face's Llama: matrices are (out, in), so y = x W^T. q, k, v stand one after another in
 * `param` without a gap (the configuration check sees to it), as do gate and up, so that each group is one product. The
 * last stage computes queries, projection and MLP at scored rows only.
 *
 * Invariant: layout() is the only place that knows what a pass needs in scratch memory; work sizes come from it. */
#include "model/llama/llama.h"

#include "hopscope/tensor.h"
#include "model/llama/rope.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- scratch memory of a pass */

typedef struct stage_act {
    float *in;            /* (N,D) */
    float *ln, *r1;       /* (N,D), (N) */
    float *ln_q;          /* (R,D) rows of ln at the queries, when pruned */
    float *q;             /* (R,D) when pruned; else inside kv */
    float *kv;            /* (N,3D) q, k, v; or (N,2D) k, v when pruned */
    float *raw_q, *raw_k; /* (R,D), (N,D) before their norms; qk_norm only */
    float *rq, *rk;       /* (R,H), (N,H); qk_norm only */
    float *prob;          /* (R,H,T) */
    float *ctx, *mid;     /* (R,D) */
    float *ln2, *r2;      /* (R,D), (R) */
    float *u, *act;       /* (R,2F), (R,F) */
    float *out;           /* (R,D) */
} stage_act;

typedef struct pass {
    const hs_model *model;
    const hs_batch *batch;
    const hs_kernels *k;
    llama_offsets o;
    uint32_t S, T;
    bool prune;
    float *cos, *sin; /* (T, dh/2) */
    float *x0;        /* (N,D) embeddings */
    stage_act stage[HS_MAX_STAGES];
    float *xs, *xf, *rf, *logits;                        /* (P,D), (P,D), (P), (P,V) */
    float *d_x, *d_rows, *d_ln, *d_wide, *d_act, *d_raw; /* (N,D), (N,D), (N,D), (N,max(2F,3D)), (N,F), (N,D) */
} pass;

static void layout_stage(hs_carver *carver, const pass *a, stage_act *t, size_t N, size_t R, bool pruned)
{
    const hs_model_config *c = &a->model->config;
    const size_t D = c->n_embd, H = c->n_head, F = c->n_inner;
    t->ln = hs_carve(carver, N * D);
    t->r1 = hs_carve(carver, N);
    t->ln_q = pruned ? hs_carve(carver, R * D) : t->ln;
    t->q = pruned ? hs_carve(carver, R * D) : NULL;
    t->kv = hs_carve(carver, N * (pruned ? 2 : 3) * D);
    if (c->qk_norm) {
        t->raw_q = hs_carve(carver, R * D);
        t->raw_k = hs_carve(carver, N * D);
        t->rq = hs_carve(carver, R * H);
        t->rk = hs_carve(carver, N * H);
    }
    t->prob = hs_carve(carver, R * H * a->T);
    t->ctx = hs_carve(carver, R * D);
    t->mid = hs_carve(carver, R * D);
    t->ln2 = hs_carve(carver, R * D);
    t->r2 = hs_carve(carver, R);
    t->u = hs_carve(carver, R * 2 * F);
    t->act = hs_carve(carver, R * F);
    t->out = hs_carve(carver, R * D);
}

/* keep: every stage keeps its activations for a backward pass; else all whole stages share one set, whose output is
 * also the next one's input. */
static size_t layout(pass *a, const hs_model *model, uint32_t B, uint32_t N, uint32_t P, bool prune, bool keep,
                     float *base)
{
    const hs_model_config *c = &model->config;
    const size_t D = c->n_embd, V = c->vocab, F = c->n_inner;
    hs_carver carver = {.base = base};
    a->model = model;
    a->S = model->n_stages;
    a->T = hs_longest(model, B, N);
    a->prune = prune && P < N;
    a->cos = hs_carve(&carver, a->T * (D / c->n_head / 2));
    a->sin = hs_carve(&carver, a->T * (D / c->n_head / 2));
    a->x0 = hs_carve(&carver, N * D);
    for (uint32_t s = 0; s < a->S; s++) {
        stage_act *t = &a->stage[s];
        const bool pruned = a->prune && s + 1 == a->S;
        if (!keep && s > 0 && !pruned)
            *t = a->stage[0];
        else
            layout_stage(&carver, a, t, N, pruned ? P : N, pruned);
        t->in = s == 0 ? a->x0 : a->stage[s - 1].out;
    }
    a->xs = a->prune ? a->stage[a->S - 1].out : hs_carve(&carver, P * D);
    a->xf = hs_carve(&carver, P * D);
    a->rf = hs_carve(&carver, P);
    if (keep) {
        a->logits = hs_carve(&carver, P * V);
        a->d_x = hs_carve(&carver, N * D);
        a->d_rows = hs_carve(&carver, N * D);
        a->d_ln = hs_carve(&carver, N * D);
        a->d_wide = hs_carve(&carver, N * (2 * F > 3 * D ? 2 * F : 3 * D));
        a->d_act = hs_carve(&carver, N * F);
        a->d_raw = c->qk_norm ? hs_carve(&carver, N * D) : NULL;
    }
    return carver.used;
}

static size_t work_size(const hs_model *model, uint32_t B, uint32_t N, uint32_t P, bool backward)
{
    pass a;
    const size_t pruned = layout(&a, model, B, N, P, true, backward, NULL);
    const size_t whole = backward ? 0 : layout(&a, model, B, N, P, false, false, NULL);
    return pruned > whole ? pruned : whole;
}

static void start(pass *a, const hs_model *model, const hs_batch *batch, bool prune, bool keep, float *work)
{
    const hs_model_config *c = &model->config;
    a->batch = batch;
    a->k = hs_kernels_get();
    hs_llama_resolve(model, &a->o);
    layout(a, model, batch->B, batch->N, batch->P, prune, keep, work);
    hs_rope_table(a->T, c->n_embd / c->n_head, c->rope_theta, a->cos, a->sin);
    hs_embed(batch, c->n_embd, model->param + a->o.embed, NULL, a->x0);
}

/* ---------------------------------------------------------------- forward */

/* Queries or keys: x (rows of D, ldx apart) is normed (raw and r keep what the gradient needs) and turned by its
 * position. `row` names the rows; NULL = all. */
static void norm_and_turn(const pass *a, uint32_t R, const uint32_t *row, size_t norm, float *x, size_t ldx, float *raw,
                          float *r)
{
    const hs_model_config *c = &a->model->config;
    const size_t D = c->n_embd, H = c->n_head, dh = D / H;
    uint32_t b = 0;
    for (uint32_t i = 0; i < R; i++) {
        const uint32_t n = row ? row[i] : i;
        while (a->batch->start[b + 1] <= n)
            b++;
        const size_t position = n - a->batch->start[b];
        if (c->qk_norm) {
            memcpy(raw + i * D, x + i * ldx, D * sizeof *raw);
            a->k->rms_norm(H, dh, raw + i * D, a->model->param + norm, c->eps, x + i * ldx, r + i * H);
        }
        hs_rope_row(H, dh, a->cos + position * (dh / 2), a->sin + position * (dh / 2), 1, x + i * ldx);
    }
}

/* The gradient of norm_and_turn, d (rows of D, ldd apart) in place; d_norm (dh) += . */
static void norm_and_turn_backward(const pass *a, uint32_t R, const uint32_t *row, size_t norm, const float *raw,
                                   const float *r, float *d, size_t ldd, float *grad)
{
    const hs_model_config *c = &a->model->config;
    const size_t D = c->n_embd, H = c->n_head, dh = D / H;
    uint32_t b = 0;
    for (uint32_t i = 0; i < R; i++) {
        const uint32_t n = row ? row[i] : i;
        while (a->batch->start[b + 1] <= n)
            b++;
        const size_t position = n - a->batch->start[b];
        hs_rope_row(H, dh, a->cos + position * (dh / 2), a->sin + position * (dh / 2), -1, d + i * ldd);
        if (c->qk_norm) {
            memset(a->d_raw, 0, D * sizeof *a->d_raw);
            a->k->rms_norm_backward(H, dh, d + i * ldd, raw + i * D, a->model->param + norm, r + i * H, a->d_raw,
                                    grad + norm);
            memcpy(d + i * ldd, a->d_raw, D * sizeof *d);
        }
    }
}

static hs_attention attention_of(const pass *a, const stage_act *t)
{
    return hs_decoder_attention(a->model, a->batch, a->T, t->q, t->kv, t->prob, NULL);
}

static void attention_forward(const pass *a, const llama_block *o, const stage_act *t)
{
    const float *param = a->model->param, *W = param + o->qkv;
    const size_t D = a->model->config.n_embd;
    const uint32_t N = a->batch->N, P = a->batch->P;
    a->k->rms_norm(N, D, t->in, param + o->ln1, a->model->config.eps, t->ln, t->r1);
    const hs_attention at = attention_of(a, t);
    if (t->q) {
        hs_gather_rows(P, D, a->batch->score_row, t->ln, D, t->ln_q);
        hs_gemm(false, true, P, D, D, 1, t->ln_q, D, W, D, 0, t->q, D);
        hs_gemm(false, true, N, 2 * D, D, 1, t->ln, D, W + D * D, D, 0, t->kv, 2 * D);
        norm_and_turn(a, P, at.query, o->q_norm, t->q, D, t->raw_q, t->rq);
        norm_and_turn(a, N, NULL, o->k_norm, t->kv, 2 * D, t->raw_k, t->rk);
        hs_gather_rows(P, D, a->batch->score_row, t->in, D, t->mid);
    } else {
        hs_gemm(false, true, N, 3 * D, D, 1, t->ln, D, W, D, 0, t->kv, 3 * D);
        norm_and_turn(a, N, NULL, o->q_norm, t->kv, 3 * D, t->raw_q, t->rq);
        norm_and_turn(a, N, NULL, o->k_norm, t->kv + D, 3 * D, t->raw_k, t->rk);
        memcpy(t->mid, t->in, N * D * sizeof *t->mid);
    }
    a->k->attention(&at, t->ctx, D);
    hs_gemm(false, true, at.R, D, D, 1, t->ctx, D, param + o->o, D, 1, t->mid, D);
}

static void mlp_forward(const pass *a, const llama_block *o, const stage_act *t)
{
    const float *param = a->model->param;
    const size_t D = a->model->config.n_embd, F = a->model->config.n_inner;
    const uint32_t R = t->q ? a->batch->P : a->batch->N;
    a->k->rms_norm(R, D, t->mid, param + o->ln2, a->model->config.eps, t->ln2, t->r2);
    hs_gemm(false, true, R, 2 * F, D, 1, t->ln2, D, param + o->gate_up, D, 0, t->u, 2 * F);
    a->k->swiglu(R, F, t->u, t->act);
    memcpy(t->out, t->mid, R * D * sizeof *t->out);
    hs_gemm(false, true, R, D, F, 1, t->act, F, param + o->down, F, 1, t->out, D);
}

/* Stages from..S-1 on stage[from].in. `states` (S+1,N,D) collects outputs when not NULL. */
static void stages_forward(const pass *a, uint32_t from, float *states)
{
    const size_t ND = (size_t)a->batch->N * a->model->config.n_embd;
    for (uint32_t s = from; s < a->S; s++) {
        const llama_block *o = &a->o.block[s % a->model->config.n_layer];
        attention_forward(a, o, &a->stage[s]);
        mlp_forward(a, o, &a->stage[s]);
        if (states)
            memcpy(states + (s + 1) * ND, a->stage[s].out, ND * sizeof *states);
    }
}

/* logits (P,V) of a->xs. */
static void head_forward(const pass *a, float *logits)
{
    const hs_model *m = a->model;
    const size_t D = m->config.n_embd, V = m->config.vocab;
    a->k->rms_norm(a->batch->P, D, a->xs, m->param + a->o.norm, m->config.eps, a->xf, a->rf);
    hs_gemm(false, true, a->batch->P, V, D, 1, a->xf, D, m->param + a->o.head, D, 0, logits, V);
}

static void scored_rows(const pass *a, const float *x)
{
    if (!a->prune)
        hs_gather_rows(a->batch->P, a->model->config.n_embd, a->batch->score_row, x, a->model->config.n_embd, a->xs);
}

/* ---------------------------------------------------------------- backward */

/* y = x W^T: dW (O,I) += d_y^T x; d_x (R,I) = beta d_x + d_y W. */
static void linear_backward(const pass *a, uint32_t R, size_t I, size_t O, const float *x, const float *d_y, size_t ldy,
                            size_t w, float beta, float *d_x, float *grad)
{
    hs_gemm(true, false, O, I, R, 1, d_y, ldy, x, I, 1, grad + w, I);
    hs_gemm(false, false, R, I, O, 1, d_y, ldy, a->model->param + w, I, beta, d_x, I);
}

/* In: d (R,D) gradient of the output. Out: d = gradient of t->mid. */
static void mlp_backward(const pass *a, const llama_block *o, const stage_act *t, float *d, float *grad)
{
    const size_t D = a->model->config.n_embd, F = a->model->config.n_inner;
    const uint32_t R = t->q ? a->batch->P : a->batch->N;
    linear_backward(a, R, F, D, t->act, d, D, o->down, 0, a->d_act, grad);
    a->k->swiglu_backward(R, F, t->u, a->d_act, a->d_wide);
    linear_backward(a, R, D, 2 * F, t->ln2, a->d_wide, 2 * F, o->gate_up, 0, a->d_ln, grad);
    a->k->rms_norm_backward(R, D, a->d_ln, t->mid, a->model->param + o->ln2, t->r2, d, grad + o->ln2);
}

/* In: d (R,D) gradient of t->mid. Out: d_in (N,D) gradient of t->in; may be d itself when not pruned. */
static void attention_backward(const pass *a, const llama_block *o, const stage_act *t, float *d, float *d_in, float *grad)
{
    const size_t D = a->model->config.n_embd;
    const uint32_t N = a->batch->N, P = a->batch->P;
    const hs_attention at = attention_of(a, t);
    float *w = a->d_wide;
    linear_backward(a, at.R, D, D, t->ctx, d, D, o->o, 0, a->d_ln, grad);
    if (t->q) {
        float *d_kv = w, *d_q = w + (size_t)N * 2 * D;
        a->k->attention_backward(&at, a->d_ln, D, d_q, d_kv, d_kv + D);
        norm_and_turn_backward(a, P, at.query, o->q_norm, t->raw_q, t->rq, d_q, D, grad);
        norm_and_turn_backward(a, N, NULL, o->k_norm, t->raw_k, t->rk, d_kv, 2 * D, grad);
        linear_backward(a, N, D, 2 * D, t->ln, d_kv, 2 * D, o->qkv + D * D, 0, a->d_ln, grad);
        /* The gradient of the queries reaches the norm at scored rows only; ctx is free for it by now. */
        linear_backward(a, P, D, D, t->ln_q, d_q, D, o->qkv, 0, t->ctx, grad);
        hs_scatter_add_rows(P, D, a->batch->score_row, t->ctx, a->d_ln);
        memset(d_in, 0, N * D * sizeof *d_in);
        hs_scatter_add_rows(P, D, a->batch->score_row, d, d_in);
    } else {
        a->k->attention_backward(&at, a->d_ln, D, w, w + D, w + 2 * D);
        norm_and_turn_backward(a, N, NULL, o->q_norm, t->raw_q, t->rq, w, 3 * D, grad);
        norm_and_turn_backward(a, N, NULL, o->k_norm, t->raw_k, t->rk, w + D, 3 * D, grad);
        linear_backward(a, N, D, 3 * D, t->ln, w, 3 * D, o->qkv, 0, a->d_ln, grad);
        if (d_in != d)
            memcpy(d_in, d, N * D * sizeof *d_in);
    }
    a->k->rms_norm_backward(N, D, a->d_ln, t->in, a->model->param + o->ln1, t->r1, d_in, grad + o->ln1);
}

static hs_loss_result backward(const hs_model *model, const hs_batch *batch, hs_loss_kind loss, float *work,
                               float *grad)
{
    pass a;
    start(&a, model, batch, true, true, work);
    const size_t D = model->config.n_embd, V = model->config.vocab, head = a.o.head, norm = a.o.norm;
    const uint32_t P = batch->P;
    stages_forward(&a, 0, NULL);
    scored_rows(&a, a.stage[a.S - 1].out);
    head_forward(&a, a.logits);
    hs_loss_result result = {0};
    result.loss = (loss == HS_LOSS_STABLEMAX ? a.k->stablemax : a.k->cross_entropy)(
        P, V, a.logits, batch->target, batch->weight, batch->also_start, batch->also, &result.correct);
    linear_backward(&a, P, D, V, a.xf, a.logits, V, head, 0, a.d_ln, grad);
    memset(a.d_rows, 0, P * D * sizeof *a.d_rows);
    a.k->rms_norm_backward(P, D, a.d_ln, a.xs, model->param + norm, a.rf, a.d_rows, grad + norm);
    if (!a.prune) {
        memset(a.d_x, 0, batch->N * D * sizeof *a.d_x);
        hs_scatter_add_rows(P, D, batch->score_row, a.d_rows, a.d_x);
    }
    for (uint32_t s = a.S; s-- > 0;) {
        const llama_block *o = &a.o.block[s % model->config.n_layer];
        float *d = a.stage[s].q ? a.d_rows : a.d_x;
        mlp_backward(&a, o, &a.stage[s], d, grad);
        attention_backward(&a, o, &a.stage[s], d, a.d_x, grad);
    }
    hs_embed_backward(batch, D, a.d_x, grad + a.o.embed, NULL);
    return result;
}

/* ---------------------------------------------------------------- prediction, taps, patches */

static void logits_forward(const hs_model *model, const hs_batch *batch, float *work, float *logits)
{
    pass a;
    start(&a, model, batch, true, false, work);
    stages_forward(&a, 0, NULL);
    scored_rows(&a, a.stage[a.S - 1].out);
    head_forward(&a, logits);
}

static void states_forward(const hs_model *model, const hs_batch *batch, float *work, float *states)
{
    pass a;
    start(&a, model, batch, false, false, work);
    memcpy(states, a.x0, (size_t)batch->N * model->config.n_embd * sizeof *states);
    stages_forward(&a, 0, states);
}

static void logits_from(const hs_model *model, const hs_batch *batch, uint32_t from, const float *x, float *work,
                        float *logits)
{
    pass a;
    start(&a, model, batch, true, false, work);
    const size_t D = model->config.n_embd;
    if (from == a.S) { /* only the head is left */
        hs_gather_rows(batch->P, D, batch->score_row, x, D, a.xs);
    } else {
        memcpy(a.stage[from].in, x, (size_t)batch->N * D * sizeof *x);
        stages_forward(&a, from, NULL);
        scored_rows(&a, a.stage[a.S - 1].out);
    }
    head_forward(&a, logits);
}

static void lens(const hs_model *model, uint32_t n, const float *x, float *work, float *logits)
{
    const hs_kernels *k = hs_kernels_get();
    llama_offsets o;
    hs_llama_resolve(model, &o);
    const size_t D = model->config.n_embd, V = model->config.vocab;
    for (uint32_t i = 0; i < n; i++) { /* a row at a time: the reciprocal needs no memory of its own */
        float r;
        k->rms_norm(1, D, x + i * D, model->param + o.norm, model->config.eps, work + i * D, &r);
    }
    hs_gemm(false, true, n, V, D, 1, work, D, model->param + o.head, D, 0, logits, V);
}

/* ---------------------------------------------------------------- cost */

static double step_flop(const hs_model *model, uint32_t B, uint32_t T, uint32_t P)
{
    const hs_model_config *c = &model->config;
    const double d = c->n_embd, rows = (double)B * T, scored = (double)B * P;
    const double query = 4 * d * d + 6 * d * c->n_inner + 4 * d * (T + 1) / 2.0;
    const double key = 4 * d * d, S = model->n_stages;
    return 3 * ((S - 1) * rows * (query + key) + rows * key + scored * query + 2 * scored * d * c->vocab);
}

const hs_model_ops hs_llama_ops = {.traits = {.name = "llama", .title = "Llama", .loss = HS_LOSS_CROSS_ENTROPY},
                                   .fields = hs_llama_fields,
                                   .hf = &hs_llama_hf,
                                   .check = hs_llama_check,
                                   .complete = hs_llama_complete,
                                   .describe = hs_llama_describe,
                                   .work_size = work_size,
                                   .backward = backward,
                                   .logits = logits_forward,
                                   .states = states_forward,
                                   .logits_from = logits_from,
                                   .lens = lens,
                                   .step_flop = step_flop};
