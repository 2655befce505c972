/* gpt2.c - the decoder of the papers (arXiv 2405.15071, appendix E.2): pre-LN GPT-2 with learned positions, gelu_new and tied head, optionally
 * run several times over the same blocks (parameter sharing), with the switches of the published code.
 *
 * Layouts are Hugging Face's: matrices are Conv1D, (in, out), so y = x W. A stage is one application of a block; the
 * last stage computes queries, projection and MLP at scored rows only, since no other row reaches the logits.
 *
 * Invariant: layout() is the only place that knows what a pass needs in scratch memory; work sizes come from it. */
#include "model/gpt2/gpt2.h"

#include "hopscope/tensor.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- scratch memory of a pass */

typedef struct mlp_act {
    float *ln, *mean, *rstd; /* (R,D), (R), (R) */
    float *fc;               /* (R,F): gelu' after the forward pass */
    float *act;              /* (R,F) */
} mlp_act;

typedef struct stage_act {
    float *in;               /* (N,D) input of the block */
    float *reembed;          /* (N,V) softmax between passes, or NULL */
    float *ln, *mean, *rstd; /* (N,D), (N), (N) */
    float *ln_q;             /* (R,D) rows of ln at the queries, when pruned */
    float *q;                /* (R,D) when pruned; else inside kv */
    float *kv;               /* (N,3D), or (N,2D) when pruned */
    float *prob, *drop;      /* (R,H,T) */
    float *ctx;              /* (R,D) */
    float *mid;              /* (R,D) after attention */
    mlp_act mlp[2];
    float *out; /* (R,D) */
} stage_act;

typedef struct pass {
    const hs_model *model;
    const hs_batch *batch;
    const hs_kernels *k;
    gpt2_offsets o;
    uint32_t S, T;
    hs_decoder d;
    bool prune; /* last stage at scored rows only */
    float *x0;  /* (N,D) embeddings */
    stage_act stage[HS_MAX_STAGES];
    float *xs, *xf, *mean_f, *rstd_f, *logits; /* (P,D), (P,D), (P), (P), (P,V) */
    float *mask;                               /* (D) */
    float *branch;                             /* (N,D) output of a branch before dropout */
    /* backward */
    float *d_x, *d_rows, *d_ln, *d_wide, *d_x0; /* (N,D), (N,D), (N,D), (N,max(F,3D)), (N,D) */
} pass;

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* keep: every stage keeps its activations for a backward pass; else all stages share one set. */
static size_t layout(pass *a, const hs_model *model, uint32_t B, uint32_t N, uint32_t P, bool prune, bool keep,
                     float *base)
{
    const hs_model_config *c = &model->config;
    const size_t D = c->n_embd, H = c->n_head, V = c->vocab;
    const size_t F = max_size(hs_gpt2_inner(c), c->memory_inner);
    hs_carver carver = {.base = base};
    a->S = model->n_stages;
    a->T = hs_longest(model, B, N);
    a->prune = prune && P < N;
    a->x0 = hs_carve(&carver, N * D);
    a->mask = hs_carve(&carver, D);
    a->branch = c->dropout > 0 ? hs_carve(&carver, N * D) : NULL;
    for (uint32_t s = 0; s < a->S; s++) {
        stage_act *t = &a->stage[s];
        const bool pruned = a->prune && s + 1 == a->S;
        const size_t R = pruned ? P : N;
        const bool boundary = s > 0 && s % c->n_layer == 0 && (c->re_embed || c->inject);
        if (!keep && s > 0 && !pruned) {
            *t = a->stage[0];
            t->in = a->stage[s - 1].out;
            if (boundary && c->re_embed && !a->stage[0].reembed)
                a->stage[0].reembed = t->reembed = hs_carve(&carver, N * V);
            continue;
        }
        t->in = s == 0 ? a->x0 : a->stage[s - 1].out;
        t->reembed = NULL;
        if (boundary && keep)
            t->in = hs_carve(&carver, N * D);
        if (boundary && c->re_embed)
            t->reembed = hs_carve(&carver, N * V);
        t->ln = hs_carve(&carver, N * D);
        t->mean = hs_carve(&carver, N);
        t->rstd = hs_carve(&carver, N);
        t->ln_q = pruned ? hs_carve(&carver, R * D) : t->ln;
        t->q = pruned ? hs_carve(&carver, R * D) : NULL;
        t->kv = hs_carve(&carver, N * (pruned ? 2 : 3) * D);
        t->prob = hs_carve(&carver, R * H * a->T);
        t->drop = c->dropout > 0 ? hs_carve(&carver, R * H * a->T) : NULL;
        t->ctx = hs_carve(&carver, R * D);
        t->mid = hs_carve(&carver, R * D);
        for (int m = 0; m < 2; m++) {
            if (m == 1 && !c->memory_inner)
                break;
            t->mlp[m].ln = hs_carve(&carver, R * D);
            t->mlp[m].mean = hs_carve(&carver, R);
            t->mlp[m].rstd = hs_carve(&carver, R);
            t->mlp[m].fc = hs_carve(&carver, R * F);
            t->mlp[m].act = hs_carve(&carver, R * F);
        }
        t->out = hs_carve(&carver, R * D);
    }
    a->xs = a->prune ? a->stage[a->S - 1].out : hs_carve(&carver, P * D);
    a->xf = hs_carve(&carver, P * D);
    a->mean_f = hs_carve(&carver, P);
    a->rstd_f = hs_carve(&carver, P);
    a->logits = keep ? hs_carve(&carver, P * V) : NULL;
    a->d_x = a->d_rows = a->d_x0 = NULL;
    if (keep) {
        a->d_x = hs_carve(&carver, N * D);
        a->d_rows = hs_carve(&carver, N * D);
        a->d_ln = hs_carve(&carver, N * D);
        a->d_wide = hs_carve(&carver, N * max_size(max_size(F, 3 * D), c->re_embed ? V : 0));
        a->d_x0 = c->inject ? hs_carve(&carver, N * D) : NULL;
    }
    return carver.used;
}

static size_t work_size(const hs_model *model, uint32_t B, uint32_t N, uint32_t P, bool backward)
{
    pass a;
    (void)B; /* fewer sequences may be longer */
    const size_t pruned = layout(&a, model, 1, N, P < N || N == 0 ? P : N - 1, true, backward, NULL);
    const size_t whole = layout(&a, model, 1, N, P, false, backward, NULL);
    return max_size(pruned, whole);
}

static const hs_decoder_parts parts;

static void start(pass *a, const hs_model *model, const hs_batch *batch, bool prune, bool keep, float *work)
{
    a->model = model;
    a->batch = batch;
    a->k = hs_kernels_get();
    hs_gpt2_resolve(model, &a->o);
    layout(a, model, batch->B, batch->N, batch->P, prune, keep, work);
    a->d = (hs_decoder){.parts = &parts,
                        .pass = a,
                        .model = model,
                        .batch = batch,
                        .S = a->S,
                        .prune = a->prune,
                        .x0_later = model->config.inject,
                        .x0 = a->x0,
                        .xs = a->xs,
                        .logits = a->logits,
                        .d_x = a->d_x,
                        .d_rows = a->d_rows};
    for (uint32_t s = 0; s < a->S; s++)
        a->d.out[s] = a->stage[s].out;
}

/* ---------------------------------------------------------------- forward */

static const float *param(const pass *a, size_t offset)
{
    return offset == NONE ? NULL : a->model->param + offset;
}

/* y = LN(x), or a copy where the model has no norms. */
static void norm_forward(const pass *a, uint32_t R, const float *x, size_t w, size_t b, float *y, float *mean,
                         float *rstd)
{
    const size_t D = a->model->config.n_embd;
    if (w == NONE)
        memcpy(y, x, R * D * sizeof *y);
    else
        a->k->layer_norm(R, D, x, param(a, w), param(a, b), a->model->config.eps, y, mean, rstd);
}

/* y (R,D) += x (R,I) W (I,D) + bias, with dropout on what is added. y may hold any residual. */
static void add_branch(const pass *a, uint32_t R, const uint32_t *rows, size_t I, const float *x, size_t w, size_t b,
                       uint32_t site, float *y)
{
    const size_t D = a->model->config.n_embd;
    if (!hs_dropout_on(a->model, a->batch)) {
        a->k->add_bias(R, D, param(a, b), y);
        hs_gemm(false, false, R, D, I, 1, x, I, param(a, w), D, 1, y, D);
        return;
    }
    hs_gemm(false, false, R, D, I, 1, x, I, param(a, w), D, 0, a->branch, D);
    a->k->add_bias(R, D, param(a, b), a->branch);
    hs_dropout_rows(a->model, a->batch, site, R, rows, D, a->mask, a->branch);
    a->k->axpy(R * D, 1.0f, a->branch, y);
}

static hs_attention attention_of(const pass *a, uint32_t s)
{
    const stage_act *t = &a->stage[s];
    return hs_decoder_attention(a->model, a->batch, a->T, t->q, t->kv, t->prob,
                                hs_dropout_on(a->model, a->batch) ? t->drop : NULL);
}

/* Sites of dropout in one pass: 0 the embeddings, then four a stage. */
static uint32_t site_of(uint32_t s, uint32_t place)
{
    return 1 + 4 * s + place;
}

static void attention_forward(pass *a, uint32_t s)
{
    const hs_model_config *c = &a->model->config;
    const block_offsets *b = &a->o.block[s % c->n_layer];
    stage_act *t = &a->stage[s];
    const size_t D = c->n_embd;
    const uint32_t N = a->batch->N, P = a->batch->P;
    const float *W = param(a, b->qkv_w), *bias = param(a, b->qkv_b);
    norm_forward(a, N, t->in, b->ln_w, b->ln_b, t->ln, t->mean, t->rstd);
    if (t->q) {
        hs_gather_rows(P, D, a->batch->score_row, t->ln, D, t->ln_q);
        hs_gemm(false, false, P, D, D, 1, t->ln_q, D, W, 3 * D, 0, t->q, D);
        a->k->add_bias(P, D, bias, t->q);
        hs_gemm(false, false, N, 2 * D, D, 1, t->ln, D, W + D, 3 * D, 0, t->kv, 2 * D);
        a->k->add_bias(N, 2 * D, bias + D, t->kv);
    } else {
        hs_gemm(false, false, N, 3 * D, D, 1, t->ln, D, W, 3 * D, 0, t->kv, 3 * D);
        a->k->add_bias(N, 3 * D, bias, t->kv);
    }
    hs_attention at = attention_of(a, s);
    if (at.drop) {
        const size_t HT = (size_t)c->n_head * a->T;
        for (size_t i = 0; i < at.R * HT; i++)
            t->drop[i] = 1.0f;
        float *mask = a->branch; /* free here, and N*D floats; an attention row has HT of them */
        for (uint32_t r = 0; r < at.R; r++) {
            const uint32_t row = at.query ? at.query[r] : r;
            for (size_t h = 0; h < c->n_head; h++)
                hs_dropout_rows(a->model, a->batch, site_of(s, 0) | (uint32_t)(h + 1) << 10, 1, &row, a->T, mask,
                                t->drop + r * HT + h * a->T);
        }
    }
    hs_attend(&at, t->ctx, D);
    hs_decoder_heads(&a->d, s, at.R, at.query, t->ctx);
    if (t->q)
        hs_gather_rows(P, D, a->batch->score_row, t->in, D, t->mid);
    else
        memcpy(t->mid, t->in, N * D * sizeof *t->mid);
    add_branch(a, at.R, at.query, D, t->ctx, b->proj_w, b->proj_b, site_of(s, 1), t->mid);
}

static void mlp_forward(pass *a, uint32_t s)
{
    const block_offsets *b = &a->o.block[s % a->model->config.n_layer];
    stage_act *t = &a->stage[s];
    const size_t D = a->model->config.n_embd;
    const uint32_t R = t->q ? a->batch->P : a->batch->N;
    const uint32_t *rows = t->q ? a->batch->score_row : NULL;
    memcpy(t->out, t->mid, R * D * sizeof *t->out);
    for (uint32_t m = 0; m < b->n_mlp; m++) {
        const mlp_offsets *o = &b->mlp[m];
        mlp_act *u = &t->mlp[m];
        norm_forward(a, R, t->mid, o->ln_w, o->ln_b, u->ln, u->mean, u->rstd);
        hs_gemm(false, false, R, o->inner, D, 1, u->ln, D, param(a, o->fc_w), o->inner, 0, u->fc, o->inner);
        a->k->gelu(R, o->inner, u->fc, param(a, o->fc_b), u->act);
        add_branch(a, R, rows, o->inner, u->act, o->proj_w, o->proj_b, site_of(s, 2 + m), t->out);
    }
    hs_decoder_mlp(&a->d, s, R, rows, t->mid, t->out);
}

/* Rows of scores (N,V) to softmax(temp * scores), in place. */
static void softmax_rows(uint32_t N, size_t V, float temp, float *x)
{
    for (uint32_t n = 0; n < N; n++, x += V) {
        float top = -INFINITY, sum = 0;
        for (size_t i = 0; i < V; i++)
            top = x[i] > top ? x[i] : top;
        for (size_t i = 0; i < V; i++)
            sum += x[i] = expf(temp * (x[i] - top));
        for (size_t i = 0; i < V; i++)
            x[i] /= sum;
    }
}

/* What stands between two passes: re-embedding, input re-injection. x (N,D) output of the last stage, y (N,D). */
static void boundary_forward(pass *a, stage_act *t, const float *x, float *y)
{
    const hs_model_config *c = &a->model->config;
    const size_t D = c->n_embd, V = c->vocab, N = a->batch->N;
    const float *wte = param(a, a->o.wte);
    if (y != x)
        memcpy(y, x, N * D * sizeof *y);
    if (c->re_embed) {
        hs_gemm(false, true, N, V, D, 1, x, D, wte, D, 0, t->reembed, V);
        softmax_rows((uint32_t)N, V, c->re_embed_temp, t->reembed);
        hs_gemm(false, false, N, D, V, 1, t->reembed, V, wte, D, 1, y, D);
    }
    if (c->inject)
        a->k->axpy(N * D, 1.0f, a->x0, y);
}

static bool is_boundary(const pass *a, uint32_t s)
{
    const hs_model_config *c = &a->model->config;
    return s > 0 && s % c->n_layer == 0 && (c->re_embed || c->inject);
}

static void embed(void *p)
{
    pass *a = p;
    const size_t D = a->model->config.n_embd;
    hs_embed(a->model, a->batch, param(a, a->o.wte), param(a, a->o.wpe), a->x0);
    hs_dropout_rows(a->model, a->batch, 0, a->batch->N, NULL, D, a->mask, a->x0);
}

static void block(void *p, uint32_t s)
{
    pass *a = p;
    if (is_boundary(a, s))
        boundary_forward(a, &a->stage[s], a->stage[s - 1].out, a->stage[s].in);
    attention_forward(a, s);
    mlp_forward(a, s);
}

static void head(void *p, uint32_t R, float *logits)
{
    pass *a = p;
    const size_t D = a->model->config.n_embd, V = a->model->config.vocab;
    norm_forward(a, R, a->xs, a->o.lnf_w, a->o.lnf_b, a->xf, a->mean_f, a->rstd_f);
    hs_gemm(false, true, R, V, D, 1, a->xf, D, param(a, a->o.head), D, 0, logits, V);
}

/* ---------------------------------------------------------------- backward */

static float *grad_at(float *grad, size_t offset)
{
    return offset == NONE ? NULL : grad + offset;
}

/* d_x (R,D) += gradient through the norm of x. */
static void norm_backward(const pass *a, uint32_t R, const float *d_y, const float *x, size_t w, size_t b,
                          const float *mean, const float *rstd, float *d_x, float *grad)
{
    const size_t D = a->model->config.n_embd;
    if (w == NONE)
        a->k->axpy(R * D, 1.0f, d_y, d_x);
    else
        a->k->layer_norm_backward(R, D, d_y, x, param(a, w), mean, rstd, d_x, grad_at(grad, w), grad_at(grad, b));
}

/* Gradient of a linear map y = x W + b: dW += x^T d_y, db += column sums (b NONE: not here), d_x = d_y W^T + beta d_x. */
static void linear_backward(const pass *a, uint32_t R, size_t I, size_t O, const float *x, const float *d_y, size_t ldy,
                            size_t w, size_t ldw, size_t b, float beta, float *d_x, float *grad)
{
    hs_gemm(true, false, I, O, R, 1, x, I, d_y, ldy, 1, grad + w, ldw);
    if (b != NONE)
        a->k->column_sums(R, O, d_y, ldy, grad + b);
    hs_gemm(false, true, R, I, O, 1, d_y, ldy, param(a, w), ldw, beta, d_x, I);
}

/* The gradient that enters a residual branch: d (R,D) itself, or masked into a->branch under dropout. */
static const float *branch_gradient(const pass *a, uint32_t R, const uint32_t *rows, uint32_t site, const float *d)
{
    const size_t D = a->model->config.n_embd;
    if (!hs_dropout_on(a->model, a->batch))
        return d;
    memcpy(a->branch, d, R * D * sizeof *d);
    hs_dropout_rows(a->model, a->batch, site, R, rows, D, a->mask, a->branch);
    return a->branch;
}

/* In: d (R,D) gradient of the stage's output. Out: d = gradient of t->mid. */
static void mlp_backward(pass *a, uint32_t s, float *d, float *grad)
{
    const block_offsets *b = &a->o.block[s % a->model->config.n_layer];
    stage_act *t = &a->stage[s];
    const size_t D = a->model->config.n_embd;
    const uint32_t R = t->q ? a->batch->P : a->batch->N;
    const uint32_t *rows = t->q ? a->batch->score_row : NULL;
    float *d_out = d;
    if (b->n_mlp > 1) { /* both branches need the gradient of the output, while d collects that of the middle */
        d_out = t->out;
        memcpy(d_out, d, R * D * sizeof *d);
    }
    for (uint32_t m = 0; m < b->n_mlp; m++) {
        const mlp_offsets *o = &b->mlp[m];
        mlp_act *u = &t->mlp[m];
        const float *d_branch = branch_gradient(a, R, rows, site_of(s, 2 + m), d_out);
        linear_backward(a, R, o->inner, D, u->act, d_branch, D, o->proj_w, D, o->proj_b, 0, a->d_wide, grad);
        a->k->multiply(R * o->inner, u->fc, a->d_wide);
        linear_backward(a, R, D, o->inner, u->ln, a->d_wide, o->inner, o->fc_w, o->inner, o->fc_b, 0, a->d_ln, grad);
        norm_backward(a, R, a->d_ln, t->mid, o->ln_w, o->ln_b, u->mean, u->rstd, d, grad);
    }
}

/* In: d (R,D) gradient of t->mid. Out: d_in (N,D) gradient of t->in; may be d itself when not pruned.
 *
 * The key bias adds the same q.b to every score of a query, which softmax does not see: its gradient is 0 and is left
 * so. Summed up in float32 it would be noise of 1e-9, which Adam divides by its own size and turns into motion. */
static void attention_backward(pass *a, uint32_t s, float *d, float *d_in, float *grad)
{
    const hs_model_config *c = &a->model->config;
    const block_offsets *b = &a->o.block[s % c->n_layer];
    stage_act *t = &a->stage[s];
    const size_t D = c->n_embd;
    const uint32_t N = a->batch->N, P = a->batch->P;
    hs_attention at = attention_of(a, s);
    const float *d_branch = branch_gradient(a, at.R, at.query, site_of(s, 1), d);
    linear_backward(a, at.R, D, D, t->ctx, d_branch, D, b->proj_w, D, b->proj_b, 0, a->d_ln, grad);
    if (t->q) {
        float *d_kv = a->d_wide, *d_q = a->d_wide + (size_t)N * 2 * D;
        hs_attend_backward(&at, a->d_ln, D, d_q, d_kv, d_kv + D);
        linear_backward(a, N, D, 2 * D, t->ln, d_kv, 2 * D, b->qkv_w + D, 3 * D, NONE, 0, a->d_ln, grad);
        a->k->column_sums(N, D, d_kv + D, 2 * D, grad + b->qkv_b + 2 * D);
        /* The gradient of the queries reaches the norm at scored rows only; ctx is free for it by now. */
        linear_backward(a, P, D, D, t->ln_q, d_q, D, b->qkv_w, 3 * D, b->qkv_b, 0, t->ctx, grad);
        hs_scatter_add_rows(P, D, a->batch->score_row, t->ctx, a->d_ln);
        memset(d_in, 0, N * D * sizeof *d_in);
        hs_scatter_add_rows(P, D, a->batch->score_row, d, d_in);
    } else {
        hs_attend_backward(&at, a->d_ln, D, a->d_wide, a->d_wide + D, a->d_wide + 2 * D);
        linear_backward(a, N, D, 3 * D, t->ln, a->d_wide, 3 * D, b->qkv_w, 3 * D, NONE, 0, a->d_ln, grad);
        a->k->column_sums(N, D, a->d_wide, 3 * D, grad + b->qkv_b);
        a->k->column_sums(N, D, a->d_wide + 2 * D, 3 * D, grad + b->qkv_b + 2 * D);
        if (d_in != d)
            memcpy(d_in, d, N * D * sizeof *d_in);
    }
    norm_backward(a, N, a->d_ln, t->in, b->ln_w, b->ln_b, t->mean, t->rstd, d_in, grad);
}

/* In: d (N,D) gradient after the boundary. Out: d before it. p = softmax(temp x W^T), y = x + p W:
 * dp = dy W^T, ds = temp p (dp - sum p dp), dx = dy + ds W, dW += p^T dy + ds^T x. */
static void boundary_backward(pass *a, uint32_t s, float *d, float *grad)
{
    const hs_model_config *c = &a->model->config;
    const size_t D = c->n_embd, V = c->vocab, N = a->batch->N;
    stage_act *t = &a->stage[s];
    if (c->inject)
        a->k->axpy(N * D, 1.0f, d, a->d_x0);
    if (!c->re_embed)
        return;
    const float *wte = param(a, a->o.wte), *x = a->stage[s - 1].out;
    float *ds = a->d_wide;
    hs_gemm(false, true, N, V, D, 1, d, D, wte, D, 0, ds, V);
    hs_gemm(true, false, V, D, N, 1, t->reembed, V, d, D, 1, grad + a->o.wte, D);
    for (size_t n = 0; n < N; n++) {
        const float *p = t->reembed + n * V;
        float *row = ds + n * V, sum = 0;
        for (size_t i = 0; i < V; i++)
            sum += p[i] * row[i];
        for (size_t i = 0; i < V; i++)
            row[i] = c->re_embed_temp * p[i] * (row[i] - sum);
    }
    hs_gemm(true, false, V, D, N, 1, ds, V, x, D, 1, grad + a->o.wte, D);
    hs_gemm(false, false, N, D, V, 1, ds, V, wte, D, 1, d, D);
}

static void block_backward(void *p, uint32_t s, float *d, float *d_in, float *grad)
{
    pass *a = p;
    mlp_backward(a, s, d, grad);
    attention_backward(a, s, d, d_in, grad);
    if (is_boundary(a, s))
        boundary_backward(a, s, d_in, grad);
}

static void head_backward(void *p, uint32_t R, float *d_logits, float *d_rows, float *grad)
{
    pass *a = p;
    const size_t D = a->model->config.n_embd, V = a->model->config.vocab;
    hs_gemm(true, false, V, D, R, 1, d_logits, V, a->xf, D, 1, grad + a->o.head, D);
    hs_gemm(false, false, R, D, V, 1, d_logits, V, param(a, a->o.head), D, 0, a->d_ln, D);
    norm_backward(a, R, a->d_ln, a->xs, a->o.lnf_w, a->o.lnf_b, a->mean_f, a->rstd_f, d_rows, grad);
}

static void embed_backward(void *p, float *d_x, float *grad)
{
    pass *a = p;
    const size_t D = a->model->config.n_embd;
    if (a->d_x0)
        a->k->axpy(a->batch->N * D, 1.0f, a->d_x0, d_x);
    hs_dropout_rows(a->model, a->batch, 0, a->batch->N, NULL, D, a->mask, d_x);
    hs_embed_backward(a->model, a->batch, d_x, grad + a->o.wte, grad_at(grad, a->o.wpe));
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
    if (a.d_x0) /* what the boundaries add up */
        memset(a.d_x0, 0, (size_t)batch->N * model->config.n_embd * sizeof *a.d_x0);
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
    pass a = {.model = model, .k = hs_kernels_get()};
    hs_gpt2_resolve(model, &a.o);
    const size_t D = model->config.n_embd, V = model->config.vocab;
    float *mean = work + (((size_t)n * D + 15) & ~(size_t)15), *rstd = mean + n;
    norm_forward(&a, n, x, a.o.lnf_w, a.o.lnf_b, work, mean, rstd);
    hs_gemm(false, true, n, V, D, 1, work, D, param(&a, a.o.head), D, 0, logits, V);
}

/* ---------------------------------------------------------------- cost */

static double step_flop(const hs_model *model, uint32_t B, uint32_t T, uint32_t P)
{
    const hs_model_config *c = &model->config;
    const double d = c->n_embd, rows = (double)B * T, scored = (double)B * P;
    const double mlp = c->no_mlp ? 0 : 4 * d * hs_gpt2_inner(c);
    const double memory = 4 * d * c->memory_inner;
    const double query =
        4 * d * d + mlp + memory + 4 * d * (T + 1) / 2.0; /* Q and projection, MLP, scores and values */
    const double key = 4 * d * d;
    const double S = model->n_stages;
    double forward = (S - 1) * rows * (query + key) + rows * key + scored * query + 2 * scored * d * c->vocab;
    if (c->re_embed)
        forward += (c->passes - 1) * 4 * rows * d * c->vocab;
    return 3 * forward;
}

const hs_model_ops hs_gpt2_ops = {.traits = {.name = "gpt2", .title = "GPT-2", .loss = HS_LOSS_CROSS_ENTROPY},
                                  .fields = hs_gpt2_fields,
                                  .hf = &hs_gpt2_hf,
                                  .check = hs_gpt2_check,
                                  .complete = hs_gpt2_complete,
                                  .describe = hs_gpt2_describe,
                                  .work_size = work_size,
                                  .backward = backward,
                                  .run = run,
                                  .stage = hs_decoder_stage,
                                  .n_streams = 1,
                                  .streams = {"residual"},
                                  .lens = lens,
                                  .step_flop = step_flop};
