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
    hs_decoder d;
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
    a->logits = a->d_x = a->d_rows = NULL;
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
    (void)B; /* fewer sequences may be longer */
    const size_t pruned = layout(&a, model, 1, N, P < N || N == 0 ? P : N - 1, true, backward, NULL);
    const size_t whole = layout(&a, model, 1, N, P, false, backward, NULL);
    return pruned > whole ? pruned : whole;
}

static const hs_decoder_parts parts;

static void start(pass *a, const hs_model *model, const hs_batch *batch, bool prune, bool keep, float *work)
{
    const hs_model_config *c = &model->config;
    a->batch = batch;
    a->k = hs_kernels_get();
    hs_llama_resolve(model, &a->o);
    layout(a, model, batch->B, batch->N, batch->P, prune, keep, work);
    hs_rope_table(a->T, c->n_embd / c->n_head, c->rope_theta, a->cos, a->sin);
    a->d = (hs_decoder){.parts = &parts,
                        .pass = a,
                        .model = model,
                        .batch = batch,
                        .S = a->S,
                        .prune = a->prune,
                        .x0 = a->x0,
                        .xs = a->xs,
                        .logits = a->logits,
                        .d_x = a->d_x,
                        .d_rows = a->d_rows};
    for (uint32_t s = 0; s < a->S; s++)
        a->d.out[s] = a->stage[s].out;
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

static void attention_forward(const pass *a, uint32_t s, const llama_block *o, const stage_act *t)
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
    hs_attend(&at, t->ctx, D);
    hs_decoder_heads(&a->d, s, at.R, at.query, t->ctx);
    hs_gemm(false, true, at.R, D, D, 1, t->ctx, D, param + o->o, D, 1, t->mid, D);
}

static void mlp_forward(const pass *a, uint32_t s, const llama_block *o, const stage_act *t)
{
    const float *param = a->model->param;
    const size_t D = a->model->config.n_embd, F = a->model->config.n_inner;
    const uint32_t R = t->q ? a->batch->P : a->batch->N;
    a->k->rms_norm(R, D, t->mid, param + o->ln2, a->model->config.eps, t->ln2, t->r2);
    hs_gemm(false, true, R, 2 * F, D, 1, t->ln2, D, param + o->gate_up, D, 0, t->u, 2 * F);
    a->k->swiglu(R, F, t->u, t->act);
    memcpy(t->out, t->mid, R * D * sizeof *t->out);
    hs_gemm(false, true, R, D, F, 1, t->act, F, param + o->down, F, 1, t->out, D);
    hs_decoder_mlp(&a->d, s, R, t->q ? a->batch->score_row : NULL, t->mid, t->out);
}

static void embed(void *p)
{
    const pass *a = p;
    hs_embed(a->model, a->batch, a->model->param + a->o.embed, NULL, a->x0);
}

static void block(void *p, uint32_t s)
{
    const pass *a = p;
    const llama_block *o = &a->o.block[s % a->model->config.n_layer];
    attention_forward(a, s, o, &a->stage[s]);
    mlp_forward(a, s, o, &a->stage[s]);
}

static void head(void *p, uint32_t R, float *logits)
{
    const pass *a = p;
    const hs_model *m = a->model;
    const size_t D = m->config.n_embd, V = m->config.vocab;
    a->k->rms_norm(R, D, a->xs, m->param + a->o.norm, m->config.eps, a->xf, a->rf);
    hs_gemm(false, true, R, V, D, 1, a->xf, D, m->param + a->o.head, D, 0, logits, V);
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
static void attention_backward(const pass *a, const llama_block *o, const stage_act *t, float *d, float *d_in,
                               float *grad)
{
    const size_t D = a->model->config.n_embd;
    const uint32_t N = a->batch->N, P = a->batch->P;
    const hs_attention at = attention_of(a, t);
    float *w = a->d_wide;
    linear_backward(a, at.R, D, D, t->ctx, d, D, o->o, 0, a->d_ln, grad);
    if (t->q) {
        float *d_kv = w, *d_q = w + (size_t)N * 2 * D;
        hs_attend_backward(&at, a->d_ln, D, d_q, d_kv, d_kv + D);
        norm_and_turn_backward(a, P, at.query, o->q_norm, t->raw_q, t->rq, d_q, D, grad);
        norm_and_turn_backward(a, N, NULL, o->k_norm, t->raw_k, t->rk, d_kv, 2 * D, grad);
        linear_backward(a, N, D, 2 * D, t->ln, d_kv, 2 * D, o->qkv + D * D, 0, a->d_ln, grad);
        /* The gradient of the queries reaches the norm at scored rows only; ctx is free for it by now. */
        linear_backward(a, P, D, D, t->ln_q, d_q, D, o->qkv, 0, t->ctx, grad);
        hs_scatter_add_rows(P, D, a->batch->score_row, t->ctx, a->d_ln);
        memset(d_in, 0, N * D * sizeof *d_in);
        hs_scatter_add_rows(P, D, a->batch->score_row, d, d_in);
    } else {
        hs_attend_backward(&at, a->d_ln, D, w, w + D, w + 2 * D);
        norm_and_turn_backward(a, N, NULL, o->q_norm, t->raw_q, t->rq, w, 3 * D, grad);
        norm_and_turn_backward(a, N, NULL, o->k_norm, t->raw_k, t->rk, w + D, 3 * D, grad);
        linear_backward(a, N, D, 3 * D, t->ln, w, 3 * D, o->qkv, 0, a->d_ln, grad);
        if (d_in != d)
            memcpy(d_in, d, N * D * sizeof *d_in);
    }
    a->k->rms_norm_backward(N, D, a->d_ln, t->in, a->model->param + o->ln1, t->r1, d_in, grad + o->ln1);
}

static void block_backward(void *p, uint32_t s, float *d, float *d_in, float *grad)
{
    const pass *a = p;
    const llama_block *o = &a->o.block[s % a->model->config.n_layer];
    mlp_backward(a, o, &a->stage[s], d, grad);
    attention_backward(a, o, &a->stage[s], d, d_in, grad);
}

static void head_backward(void *p, uint32_t R, float *d_logits, float *d_rows, float *grad)
{
    const pass *a = p;
    const size_t D = a->model->config.n_embd, V = a->model->config.vocab;
    linear_backward(a, R, D, V, a->xf, d_logits, V, a->o.head, 0, a->d_ln, grad);
    a->k->rms_norm_backward(R, D, a->d_ln, a->xs, a->model->param + a->o.norm, a->rf, d_rows, grad + a->o.norm);
}

static void embed_backward(void *p, float *d_x, float *grad)
{
    const pass *a = p;
    hs_embed_backward(a->model, a->batch, d_x, grad + a->o.embed, NULL);
}

static const hs_decoder_parts parts = {.embed = embed,
                                       .block = block,
                                       .head = head,
                                       .block_backward = block_backward,
                                       .head_backward = head_backward,
                                       .embed_backward = embed_backward};

/* ---------------------------------------------------------------- passes */

static hs_loss_result backward(const hs_model *model, const hs_batch *batch, hs_loss_kind loss, float *work,
                               float *grad)
{
    pass a;
    start(&a, model, batch, true, true, work);
    return hs_decoder_backward(&a.d, loss, grad);
}

static void run(const hs_model *model, const hs_batch *batch, const hs_taps *taps, float *work)
{
    pass a;
    const hs_batch rows = hs_decoder_batch(batch, taps);
    start(&a, model, &rows, hs_decoder_prunes(taps), false, work);
    hs_decoder_run(&a.d, taps);
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
                                   .run = run,
                                   .stage = hs_decoder_stage,
                                   .n_streams = 1,
                                   .streams = {"residual"},
                                   .lens = lens,
                                   .step_flop = step_flop};
