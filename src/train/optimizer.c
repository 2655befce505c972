/* optimizer.c - one parallel pass over all tensors: decay, the update rule, row clipping, EMA, clearing of the gradient.
 *
 * Work is cut into pieces of fixed size, so that the result does not depend on who takes which. Matrices that Muon
 * orthogonalizes are one piece a block; everything else is cut into runs of PIECE elements.
 *
 * Sources: AdamW (Loshchilov & Hutter 2019), Muon (Jordan et al. 2024; scale 0.2 sqrt(max(rows, cols)) after Liu et al.,
 * arXiv 2502.16982), Adam-atan2 (Everett et al., arXiv 2407.05872), Lion (Chen et al., arXiv 2302.06675, Algorithm 2),
 * OrthoGrad (Prieto et al., arXiv 2501.04697). Tested in tests/train/test_optimizer.c against float64 references. */
#include "train/internal.h"

#include <math.h>
#include <string.h>

enum { PIECE = 16384 };

typedef struct piece {
    const hs_tensor *tensor;
    size_t offset, n;         /* element-wise piece: param[offset .. offset+n) */
    uint32_t block;           /* Muon: which of tensor->splits */
    bool muon;
} piece;

struct hs_optimizer {
    size_t n_pieces;
    piece *piece;
    size_t scratch_size; /* floats a worker */
    float *scratch;      /* (workers, scratch_size) */
    uint32_t workers;
};

static bool by_muon(const hs_tensor *t, const hs_train_config *config)
{
    return config->optimizer == HS_OPT_MUON && t->group == HS_GROUP_MATRIX && t->ndim == 2;
}

static void block_shape(const hs_tensor *t, uint32_t *rows, uint32_t *cols)
{
    *rows = t->split_columns ? t->shape[0] : t->shape[0] / t->splits;
    *cols = t->split_columns ? t->shape[1] / t->splits : t->shape[1];
}

hs_status hs_optimizer_create(hs_optimizer **out, const hs_model *model, const hs_train_config *config, uint32_t workers,
                              hs_error *err)
{
    *out = NULL;
    hs_optimizer *opt = hs_calloc(1, sizeof *opt);
    if (!opt)
        return hs_fail_memory(err, sizeof *opt);
    size_t n = 0;
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        const hs_tensor *t = &model->tensor[i];
        n += by_muon(t, config) ? t->splits : (t->size + PIECE - 1) / PIECE;
        if (by_muon(t, config)) {
            uint32_t rows, cols;
            block_shape(t, &rows, &cols);
            const size_t small = rows < cols ? rows : cols;
            const size_t need = 2 * (size_t)rows * cols + 2 * small * small;
            opt->scratch_size = need > opt->scratch_size ? need : opt->scratch_size;
        }
    }
    opt->workers = workers;
    opt->piece = hs_calloc(n, sizeof *opt->piece);
    opt->scratch = opt->scratch_size ? hs_alloc(opt->scratch_size * workers * sizeof *opt->scratch) : NULL;
    if (!opt->piece || (opt->scratch_size && !opt->scratch)) {
        const size_t size = n * sizeof *opt->piece + opt->scratch_size * workers * sizeof(float);
        hs_optimizer_free(opt);
        return hs_fail_memory(err, size);
    }
    /* The heavy pieces first: the last worker to finish then waits for a light one. */
    for (int heavy = 1; heavy >= 0; heavy--)
        for (uint32_t i = 0; i < model->n_tensors; i++) {
            const hs_tensor *t = &model->tensor[i];
            if (t->group == HS_GROUP_BUFFER || by_muon(t, config) != (heavy == 1))
                continue;
            if (heavy)
                for (uint32_t b = 0; b < t->splits; b++)
                    opt->piece[opt->n_pieces++] = (piece){.tensor = t, .block = b, .muon = true};
            else
                for (size_t o = 0; o < t->size; o += PIECE)
                    opt->piece[opt->n_pieces++] = (piece){
                        .tensor = t, .offset = t->offset + o, .n = t->size - o < PIECE ? t->size - o : PIECE};
        }
    *out = opt;
    return HS_OK;
}

void hs_optimizer_free(hs_optimizer *opt)
{
    if (!opt)
        return;
    hs_free(opt->piece);
    hs_free(opt->scratch);
    hs_free(opt);
}

size_t hs_optimizer_memory(const hs_optimizer *opt)
{
    return opt->scratch_size * opt->workers * sizeof(float) + opt->n_pieces * sizeof(piece);
}

/* ---------------------------------------------------------------- Muon */

void hs_newton_schulz(uint32_t rows, uint32_t cols, float *x, float *scratch)
{
    const hs_kernels *k = hs_kernels_get();
    const size_t n = (size_t)rows * cols;
    const bool tall = rows > cols; /* the Gram matrix of the shorter side */
    const size_t m = tall ? cols : rows;
    float *gram = scratch, *poly = gram + m * m, *next = poly + m * m;
    const float norm = (float)sqrt(k->sum_squares(n, x));
    k->scale(n, 1.0f / (norm + 1e-7f), x);
    const float a = 3.4445f, b = -4.7750f, c = 2.0315f;
    for (int i = 0; i < 5; i++) {
        if (tall)
            hs_gemm(true, false, m, m, rows, 1, x, cols, x, cols, 0, gram, m);
        else
            hs_gemm(false, true, m, m, cols, 1, x, cols, x, cols, 0, gram, m);
        memcpy(poly, gram, m * m * sizeof *poly);
        hs_gemm(false, false, m, m, m, c, gram, m, gram, m, b, poly, m); /* b A + c A^2 */
        memcpy(next, x, n * sizeof *next);
        if (tall)
            hs_gemm(false, false, rows, m, m, 1, x, cols, poly, m, a, next, cols);
        else
            hs_gemm(false, false, m, cols, m, 1, poly, m, x, cols, a, next, cols);
        memcpy(x, next, n * sizeof *x);
    }
}

typedef struct step_task {
    hs_optimizer *opt;
    hs_model *model;
    const hs_train_config *config;
    hs_adam adam;
    float prefix_rate;
    float gscale, ema_decay;
    float *g, *m, *v, *ema;
} step_task;

static void muon_piece(const step_task *s, const piece *p, float *scratch)
{
    const hs_tensor *t = p->tensor;
    const hs_kernels *k = hs_kernels_get();
    uint32_t rows, cols;
    block_shape(t, &rows, &cols);
    const size_t ld = t->shape[1];
    const size_t first = t->offset + (t->split_columns ? (size_t)p->block * cols : (size_t)p->block * rows * ld);
    const float beta = (float)s->config->muon_momentum, scale = s->gscale;
    float *u = scratch; /* (rows, cols) */
    for (uint32_t r = 0; r < rows; r++) {
        float *g = s->g + first + r * ld, *m = s->m + first + r * ld, *x = u + (size_t)r * cols;
        for (uint32_t c = 0; c < cols; c++) {
            const float gi = g[c] * scale;
            m[c] = beta * m[c] + (1.0f - beta) * gi;
            x[c] = beta * m[c] + (1.0f - beta) * gi; /* Nesterov */
            g[c] = 0;
        }
    }
    hs_newton_schulz(rows, cols, u, scratch + (size_t)rows * cols);
    const float rate = s->adam.rate;
    const float keep = t->decay ? 1.0f - rate * (float)s->config->weight_decay : 1.0f;
    const float step = -rate * 0.2f * sqrtf((float)(rows > cols ? rows : cols));
    for (uint32_t r = 0; r < rows; r++) {
        float *w = s->model->param + first + r * ld;
        k->scale(cols, keep, w);
        k->axpy(cols, step, u + (size_t)r * cols, w);
    }
}

static void element_piece(const step_task *s, const piece *p)
{
    const hs_kernels *k = hs_kernels_get();
    float *g = s->g + p->offset, *m = s->m + p->offset, *v = s->v + p->offset, *w = s->model->param + p->offset;
    hs_adam adam = s->adam;
    adam.decay = p->tensor->decay ? (float)s->config->weight_decay : 0.0f;
    if (p->tensor->group == HS_GROUP_PREFIX) {
        adam.rate = s->prefix_rate;
        k->signsgd(p->n, &adam, s->gscale, g, w);
    } else {
        switch (s->config->optimizer) {
        case HS_OPT_ADAMW:
        case HS_OPT_MUON:
            k->adamw(p->n, &adam, s->gscale, g, m, v, w);
            break;
        case HS_OPT_ADAM_ATAN2:
            k->adam_atan2(p->n, &adam, s->gscale, g, m, v, w);
            break;
        case HS_OPT_SIGNSGD:
            k->signsgd(p->n, &adam, s->gscale, g, w);
            break;
        case HS_OPT_LION:
            k->lion(p->n, &adam, s->gscale, g, m, w);
            break;
        }
    }
    memset(g, 0, p->n * sizeof *g);
}

static void step_piece(void *ctx, uint32_t task, uint32_t worker)
{
    const step_task *s = ctx;
    const piece *p = &s->opt->piece[task];
    if (p->muon)
        muon_piece(s, p, s->opt->scratch + worker * s->opt->scratch_size);
    else
        element_piece(s, p);
}

/* Rows of matrices and embeddings to at most `row_clip` (cliptogrok; bounds the norm without decay). */
static void clip_rows(void *ctx, uint32_t task, uint32_t worker)
{
    const step_task *s = ctx;
    const hs_tensor *t = &s->model->tensor[task];
    (void)worker;
    if (t->ndim != 2 || t->group == HS_GROUP_BUFFER)
        return;
    const hs_kernels *k = hs_kernels_get();
    for (uint32_t r = 0; r < t->shape[0]; r++) {
        float *row = s->model->param + t->offset + (size_t)r * t->shape[1];
        const double norm = sqrt(k->sum_squares(t->shape[1], row));
        if (norm > s->config->row_clip)
            k->scale(t->shape[1], (float)(s->config->row_clip / norm), row);
    }
}

/* ema = decay * ema + (1 - decay) * w, after everything that moves a weight: one run of PIECE floats. */
static void average_piece(void *ctx, uint32_t task, uint32_t worker)
{
    const step_task *s = ctx;
    const size_t first = (size_t)task * PIECE, left = s->model->n_params - first;
    const size_t n = left < PIECE ? left : PIECE;
    (void)worker;
    hs_kernels_get()->scale(n, s->ema_decay, s->ema + first);
    hs_kernels_get()->axpy(n, 1.0f - s->ema_decay, s->model->param + first, s->ema + first);
}

void hs_optimizer_step(hs_optimizer *opt, hs_pool *pool, hs_model *model, const hs_train_config *config, double factor,
                       uint64_t t, float gscale, float *g, float *m, float *v, float *ema)
{
    step_task s = {.opt = opt,
                   .model = model,
                   .config = config,
                   .adam = {.rate = (float)(config->lr * factor),
                            .beta1 = (float)config->beta1,
                            .beta2 = (float)config->beta2,
                            .eps = (float)config->eps,
                            .correction1 = (float)(1.0 - pow(config->beta1, (double)t)),
                            .correction2 = (float)(1.0 - pow(config->beta2, (double)t))},
                   .prefix_rate = (float)(config->prefix_lr * factor),
                   .gscale = gscale,
                   .ema_decay = (float)config->ema,
                   .g = g,
                   .m = m,
                   .v = v,
                   .ema = ema};
    hs_pool_run(pool, (uint32_t)opt->n_pieces, step_piece, &s);
    if (config->row_clip > 0)
        hs_pool_run(pool, model->n_tensors, clip_rows, &s);
    if (ema)
        hs_pool_run(pool, (uint32_t)((model->n_params + PIECE - 1) / PIECE), average_piece, &s);
}

/* ---------------------------------------------------------------- OrthoGrad */

typedef struct ortho_task {
    const hs_model *model;
    float *g;
} ortho_task;

static void ortho_tensor(void *ctx, uint32_t task, uint32_t worker)
{
    const ortho_task *o = ctx;
    const hs_tensor *t = &o->model->tensor[task];
    const hs_kernels *k = hs_kernels_get();
    const float *w = o->model->param + t->offset;
    float *g = o->g + t->offset;
    (void)worker;
    if (t->group == HS_GROUP_BUFFER)
        return;
    const double before = sqrt(k->sum_squares(t->size, g));
    const double along = k->dot(t->size, w, g) / (k->sum_squares(t->size, w) + 1e-30);
    k->axpy(t->size, (float)-along, w, g);
    const double after = sqrt(k->sum_squares(t->size, g));
    k->scale(t->size, (float)(before / (after + 1e-30)), g);
}

void hs_orthograd(hs_pool *pool, const hs_model *model, float *g)
{
    ortho_task o = {model, g};
    hs_pool_run(pool, model->n_tensors, ortho_tensor, &o);
}
