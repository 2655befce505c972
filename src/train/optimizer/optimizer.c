/* optimizer.c - one parallel pass over all tensors: the update rule, row clipping, EMA, clearing of the gradient.
 *
 * Work is cut into pieces of fixed size, so that the result does not depend on who takes which. Matrices that a rule
 * wants whole are one piece a block; everything else is cut into runs of PIECE elements. With other ranks the blocks,
 * which are work, are shared out and what they moved is exchanged; the rest every rank does itself. The rules stand in
 * files of their own beside this one. Tested in tests/train/test_optimizer.c against float64 references. */
#include "train/optimizer/optimizer.h"

#include <math.h>
#include <string.h>

enum { PIECE = 16384 };

typedef struct piece {
    const hs_tensor *tensor;
    size_t offset, n; /* element-wise piece: param[offset .. offset+n) */
    bool whole;       /* a block of a matrix, for the rule's `block` ... */
    uint32_t block;   /* ... which of tensor->splits */
    uint32_t rank;    /* that moves the block ... */
    size_t at;        /* ... and where in `packed` it lies */
} piece;

struct hs_optimizer {
    const hs_optimizer_rule *rule;
    const hs_freeze *freeze;
    size_t n_pieces, n_blocks; /* blocks come first */
    piece *piece;
    hs_ranks *ranks; /* NULL: alone, or there are no blocks */
    float *packed;   /* what blocks move: weights, then state arrays */
    size_t *start;   /* (ranks + 1) bytes of `packed` where those of a rank begin */
    double block_seconds;
    size_t scratch_size; /* floats a worker */
    float *scratch;      /* (workers, scratch_size) */
    uint32_t workers;
};

static bool in_blocks(const hs_optimizer_rule *rule, const hs_tensor *t)
{
    return rule->block && t->group == HS_GROUP_MATRIX && t->ndim == 2;
}

static void block_shape(const hs_tensor *t, uint32_t *rows, uint32_t *cols)
{
    *rows = t->split_columns ? t->shape[0] : t->shape[0] / t->splits;
    *cols = t->split_columns ? t->shape[1] / t->splits : t->shape[1];
}

hs_status hs_optimizer_create(hs_optimizer **out, const hs_model *model, const hs_train_config *config,
                              const hs_freeze *freeze, uint32_t workers, hs_error *err)
{
    *out = NULL;
    hs_optimizer *opt = hs_calloc(1, sizeof *opt);
    if (!opt)
        return hs_fail_memory(err, sizeof *opt);
    opt->rule = hs_optimizer_rule_of(config->optimizer);
    opt->freeze = freeze;
    size_t n = 0;
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        const hs_tensor *t = &model->tensor[i];
        n += in_blocks(opt->rule, t) ? t->splits : (t->size + PIECE - 1) / PIECE;
        if (in_blocks(opt->rule, t)) {
            uint32_t rows, cols;
            block_shape(t, &rows, &cols);
            const size_t need = opt->rule->block_scratch(rows, cols);
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
            if (t->group == HS_GROUP_BUFFER || hs_is_frozen(freeze, t) || in_blocks(opt->rule, t) != (heavy == 1))
                continue;
            if (heavy)
                for (uint32_t b = 0; b < t->splits; b++, opt->n_blocks++)
                    opt->piece[opt->n_pieces++] = (piece){.tensor = t, .block = b, .whole = true};
            else
                for (size_t o = 0; o < t->size; o += PIECE)
                    opt->piece[opt->n_pieces++] =
                        (piece){.tensor = t, .offset = t->offset + o, .n = t->size - o < PIECE ? t->size - o : PIECE};
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
    hs_free(opt->packed);
    hs_free(opt->start);
    hs_free(opt);
}

/* Arrays that a block moves: the weights and some of the state. */
static uint32_t moved_arrays(const hs_optimizer_rule *rule)
{
    uint32_t n = 0;
    while (n < HS_STATE_ARRAYS && rule->state[n])
        n++;
    return 1 + n - rule->block_leaves;
}

hs_status hs_optimizer_share(hs_optimizer *opt, hs_ranks *ranks, hs_error *err)
{
    if (opt->n_blocks == 0 || hs_ranks_count(ranks) == 1)
        return HS_OK;
    double load[HS_MOST_RANKS] = {0};
    size_t size[HS_MOST_RANKS] = {0}, at = 0;
    opt->start = hs_calloc(ranks->n + 1, sizeof *opt->start);
    if (!opt->start)
        return hs_fail_memory(err, ranks->n * sizeof *opt->start);
    for (size_t i = 0; i < opt->n_blocks; i++) { /* to whoever has least to do so far */
        piece *p = &opt->piece[i];
        uint32_t rows, cols;
        for (uint32_t r = 1; r < ranks->n; r++)
            if (load[r] < load[p->rank])
                p->rank = r;
        block_shape(p->tensor, &rows, &cols);
        load[p->rank] += opt->rule->block_flop(rows, cols);
        p->at = size[p->rank];
        size[p->rank] += (size_t)rows * cols * moved_arrays(opt->rule);
    }
    for (uint32_t r = 0; r < ranks->n; r++) {
        at += size[r];
        opt->start[r + 1] = at * sizeof(float);
    }
    for (size_t i = 0; i < opt->n_blocks; i++)
        opt->piece[i].at += opt->start[opt->piece[i].rank] / sizeof(float);
    opt->packed = hs_alloc(at * sizeof(float));
    if (!opt->packed)
        return hs_fail_memory(err, at * sizeof(float));
    opt->ranks = ranks;
    return HS_OK;
}

double hs_optimizer_block_seconds(const hs_optimizer *opt)
{
    return opt->block_seconds;
}

double hs_optimizer_step_flop(const hs_optimizer *opt)
{
    double flop = 0;
    for (size_t i = 0; i < opt->n_pieces; i++)
        if (opt->piece[i].whole) {
            uint32_t rows, cols;
            block_shape(opt->piece[i].tensor, &rows, &cols);
            flop += opt->rule->block_flop(rows, cols);
        }
    return flop;
}

size_t hs_optimizer_memory(const hs_optimizer *opt)
{
    const size_t packed = opt->ranks ? opt->start[opt->ranks->n] : 0;
    return opt->scratch_size * opt->workers * sizeof(float) + opt->n_pieces * sizeof(piece) + packed;
}

/* ---------------------------------------------------------------- the step */

typedef struct step_task {
    hs_optimizer *opt;
    hs_model *model;
    const hs_train_config *config;
    float rate, prefix_rate;
    uint64_t t;
    float gscale, ema_decay;
    float *g, *state[HS_STATE_ARRAYS], *ema;
    uint32_t first; /* of the pieces that are now worked on */
    bool unpack;    /* now blocks of other ranks come, else own ones go */
} step_task;

static float decay_of(const hs_train_config *config, const hs_tensor *tensor)
{
    const double share = tensor->group == HS_GROUP_EMBEDDING ? config->table_decay : 1;
    return tensor->decay ? (float)(config->weight_decay * share) : 0.0f;
}

static hs_update update_of(const step_task *s, const piece *p, size_t offset)
{
    const bool prefix = p->tensor->group == HS_GROUP_PREFIX;
    hs_update u = {.config = s->config,
                   .rate = prefix ? s->prefix_rate : s->rate,
                   .decay = decay_of(s->config, p->tensor),
                   .t = s->t,
                   .gscale = s->gscale,
                   .n = p->n,
                   .g = s->g + offset,
                   .w = s->model->param + offset};
    for (int i = 0; i < HS_STATE_ARRAYS; i++)
        u.state[i] = s->state[i] ? s->state[i] + offset : NULL;
    return u;
}

/* Where a block begins; its shape. */
static size_t block_place(const piece *p, uint32_t *rows, uint32_t *cols)
{
    const hs_tensor *t = p->tensor;
    block_shape(t, rows, cols);
    return t->offset + (size_t)p->block * *cols * (t->split_columns ? 1 : *rows);
}

static void block_piece(const step_task *s, const piece *p, float *scratch)
{
    hs_block_update b = {.ld = p->tensor->shape[1], .scratch = scratch};
    const size_t first = block_place(p, &b.rows, &b.cols);
    b.u = update_of(s, p, first);
    b.g = s->g + first;
    s->opt->rule->block(&b);
}

/* TRM's prefix has a rule and a rate of its own, whatever the optimizer. */
static void element_piece(const step_task *s, const piece *p)
{
    const hs_optimizer_rule *rule = p->tensor->group == HS_GROUP_PREFIX ? &hs_rule_signsgd : s->opt->rule;
    const hs_update u = update_of(s, p, p->offset);
    rule->update(&u);
    memset(s->g + p->offset, 0, p->n * sizeof *s->g);
}

static void step_piece(void *ctx, uint32_t task, uint32_t worker)
{
    const step_task *s = ctx;
    const piece *p = &s->opt->piece[s->first + task];
    if (!p->whole)
        element_piece(s, p);
    else if (!s->opt->ranks || p->rank == s->opt->ranks->rank)
        block_piece(s, p, s->opt->scratch + worker * s->opt->scratch_size);
}

/* A block of this rank into `packed`, or out of it one of another, whose gradient then is done with too. */
static void carry_block(void *ctx, uint32_t task, uint32_t worker)
{
    const step_task *s = ctx;
    const piece *p = &s->opt->piece[task];
    (void)worker;
    if ((p->rank == s->opt->ranks->rank) == s->unpack)
        return;
    uint32_t rows, cols;
    const size_t first = block_place(p, &rows, &cols), ld = p->tensor->shape[1];
    float *packed = s->opt->packed + p->at;
    for (uint32_t a = 0; a < moved_arrays(s->opt->rule); a++) {
        float *array = (a == 0 ? s->model->param : s->state[a - 1]) + first;
        for (uint32_t r = 0; r < rows; r++, packed += cols)
            memcpy(s->unpack ? array + r * ld : packed, s->unpack ? packed : array + r * ld, cols * sizeof *packed);
    }
    for (uint32_t r = 0; s->unpack && r < rows; r++)
        memset(s->g + first + r * ld, 0, cols * sizeof *s->g);
}

/* The blocks by all ranks. */
static hs_status share_blocks(step_task *s, hs_pool *pool, hs_error *err)
{
    const uint32_t n = (uint32_t)s->opt->n_blocks;
    const double started = hs_now();
    hs_pool_run(pool, n, step_piece, s);
    s->opt->block_seconds += hs_now() - started;
    hs_pool_run(pool, n, carry_block, s);
    HS_TRY(hs_ranks_share(s->opt->ranks, s->opt->packed, s->opt->start, err));
    s->unpack = true;
    hs_pool_run(pool, n, carry_block, s);
    s->first = n;
    return HS_OK;
}

/* Rows of matrices and embeddings to at most `row_clip` (cliptogrok; bounds the norm without decay). */
static void clip_rows(void *ctx, uint32_t task, uint32_t worker)
{
    const step_task *s = ctx;
    const hs_tensor *t = &s->model->tensor[task];
    (void)worker;
    if (t->ndim != 2 || t->group == HS_GROUP_BUFFER || hs_is_frozen(s->opt->freeze, t))
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
    hs_freeze_apply(s->opt->freeze, first, n, s->model->param, s->ema); /* rounding would move the average */
}

hs_status hs_optimizer_step(hs_optimizer *opt, hs_pool *pool, hs_model *model, const hs_train_config *config,
                            double factor, uint64_t t, float gscale, float *g, float *const state[HS_STATE_ARRAYS],
                            float *ema, hs_error *err)
{
    step_task s = {.opt = opt,
                   .model = model,
                   .config = config,
                   .rate = (float)(config->lr * factor),
                   .prefix_rate = (float)(config->prefix_lr * factor),
                   .t = t,
                   .gscale = gscale,
                   .ema_decay = (float)config->ema,
                   .g = g,
                   .ema = ema};
    for (int i = 0; i < HS_STATE_ARRAYS; i++)
        s.state[i] = state[i];
    if (opt->ranks)
        HS_TRY(share_blocks(&s, pool, err));
    hs_pool_run(pool, (uint32_t)opt->n_pieces - s.first, step_piece, &s);
    if (config->row_clip > 0)
        hs_pool_run(pool, model->n_tensors, clip_rows, &s);
    if (ema)
        hs_pool_run(pool, (uint32_t)((model->n_params + PIECE - 1) / PIECE), average_piece, &s);
    return HS_OK;
}
