/* attention.c - causal attention over a ragged batch: short sequences row by row (kernels/attention.c), long ones in
 * blocks of query rows whose scores, values and gradients are matrix products.
 *
 * Row by row, a score is a dot product of one head's width, too short to keep the units busy: at 256 tokens that took
 * half of a training step whose products are a twelfth of its work. In a block, keys after the block's last query are
 * not computed, so at 256 tokens a quarter is computed in vain, and nothing else.
 *
 * Invariants: which way a sequence goes, and its blocks, follow from its length and its query rows alone, so that
 * neither the cut of a batch nor the number of threads leaves a trace; entries of `prob` that a row does not see are 0
 * up to the end of its block. Scratch memory is bounded and a thread's own. */
#include "hopscope/tensor.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK = 64,         /* query rows of a block */
    AREA = BLOCK * 512, /* most floats of a block's scores; longer sequences take fewer rows at once */
    LONGEST = AREA / HS_ATTEND_QUERIES
};

/* What one sequence has of a batch: query rows [first, end) of a->q, keys from row `key`. */
typedef struct part {
    const hs_attention *a;
    uint32_t sequence, key, first, end;
} part;

static uint32_t row_of(const part *p, uint32_t i)
{
    return p->a->query ? p->a->query[i] : i;
}

/* Keys that query row i sees. */
static uint32_t keys_of(const part *p, uint32_t i)
{
    return row_of(p, i) - p->key + 1;
}

static part part_of(const hs_attention *a, uint32_t sequence, uint32_t first)
{
    part p = {.a = a, .sequence = sequence, .key = a->start[sequence], .first = first, .end = a->start[sequence + 1]};
    if (!a->query) {
        p.first = p.key;
        return p;
    }
    for (p.end = first; p.end < a->R && a->query[p.end] < a->start[sequence + 1];)
        p.end++;
    return p;
}

static bool goes_in_blocks(const part *p)
{
    return p->end - p->first >= HS_ATTEND_QUERIES && keys_of(p, p->end - 1) >= HS_ATTEND_KEYS &&
           keys_of(p, p->end - 1) <= LONGEST;
}

static bool any_long(const hs_attention *a)
{
    for (uint32_t b = 0; b < a->B; b++)
        if (a->start[b + 1] - a->start[b] >= HS_ATTEND_KEYS)
            return true;
    return false;
}

/* End of the block that begins at query row i, and the keys its last row sees. */
static uint32_t block_end(const part *p, uint32_t i, uint32_t *keys)
{
    uint32_t rows = AREA / keys_of(p, p->end - 1);
    rows = rows < BLOCK ? rows / HS_ATTEND_QUERIES * HS_ATTEND_QUERIES : BLOCK;
    const uint32_t end = p->end - i < rows ? p->end : i + rows;
    *keys = keys_of(p, end - 1);
    return end;
}

/* The same sequence for the kernels that go row by row. */
static hs_attention rows_of(const part *p)
{
    hs_attention one = *p->a;
    one.B = 1;
    one.start = p->a->start + p->sequence;
    if (one.query) {
        one.R = p->end - p->first;
        one.query += p->first;
        one.q += p->first * one.ldq;
        one.prob += (size_t)p->first * one.H * one.T;
        one.drop = one.drop ? one.drop + (size_t)p->first * one.H * one.T : NULL;
    }
    return one;
}

static float *scratch(void)
{
    static _Thread_local float memory[2 * AREA] __attribute__((aligned(64)));
    return memory;
}

/* ---------------------------------------------------------------- forward */

static void block_forward(const part *p, uint32_t i, uint32_t end, uint32_t keys, size_t h, float *out, size_t ldo)
{
    const hs_attention *a = p->a;
    const hs_kernels *kernels = hs_kernels_get();
    const size_t dh = a->dh, ld = (size_t)a->H * a->T, rows = end - i, at = p->key * a->ldk + h * dh;
    float *prob = a->prob + i * ld + h * a->T;
    hs_gemm(false, true, rows, keys, dh, 1.0f / sqrtf((float)dh), a->q + i * a->ldq + h * dh, a->ldq, a->k + at, a->ldk,
            0, prob, ld);
    for (uint32_t r = i; r < end; r++)
        kernels->softmax_row(keys_of(p, r), keys, prob + (r - i) * ld);
    const float *weight = prob;
    size_t ldw = ld;
    if (a->drop) {
        float *dropped = scratch();
        for (size_t r = 0; r < rows; r++) {
            const float *drop = a->drop + (i + r) * ld + h * a->T;
            const uint32_t seen = keys_of(p, i + (uint32_t)r);
            for (size_t j = 0; j < keys; j++)
                dropped[r * keys + j] = j < seen ? prob[r * ld + j] * drop[j] : 0;
        }
        weight = dropped;
        ldw = keys;
    }
    hs_gemm(false, false, rows, dh, keys, 1, weight, ldw, a->v + at, a->ldk, 0, out + i * ldo + h * dh, ldo);
}

void hs_attend(const hs_attention *a, float *out, size_t ldo)
{
    if (!any_long(a)) {
        hs_kernels_get()->attention(a, out, ldo);
        return;
    }
    uint32_t first = 0;
    for (uint32_t b = 0; b < a->B; b++) {
        const part p = part_of(a, b, first);
        first = p.end;
        if (p.end == p.first)
            continue;
        if (!goes_in_blocks(&p)) {
            const hs_attention one = rows_of(&p);
            hs_kernels_get()->attention(&one, out + (a->query ? p.first * ldo : 0), ldo);
            continue;
        }
        for (uint32_t i = p.first, end, keys; i < p.end; i = end) {
            end = block_end(&p, i, &keys);
            for (size_t h = 0; h < a->H; h++)
                block_forward(&p, i, end, keys, h, out, ldo);
        }
    }
}

/* ---------------------------------------------------------------- backward */

typedef struct gradients {
    const float *d_out;
    size_t ldo;
    float *d_q, *d_k, *d_v;
} gradients;

static void block_backward(const part *p, uint32_t i, uint32_t end, uint32_t keys, size_t h, const gradients *g)
{
    const hs_attention *a = p->a;
    const hs_kernels *kernels = hs_kernels_get();
    const size_t dh = a->dh, ld = (size_t)a->H * a->T, rows = end - i, at = p->key * a->ldk + h * dh;
    const float *q = a->q + i * a->ldq + h * dh, *d_out = g->d_out + i * g->ldo + h * dh;
    float *d = scratch(), *dropped = scratch() + AREA; /* (rows,keys) each */
    hs_gemm(false, true, rows, keys, dh, 1, d_out, g->ldo, a->v + at, a->ldk, 0, d, keys);
    for (size_t r = 0; r < rows; r++) {
        const size_t entry = (i + r) * ld + h * a->T;
        kernels->softmax_row_backward(keys_of(p, i + (uint32_t)r), keys, a->prob + entry,
                                      a->drop ? a->drop + entry : NULL, 1.0f / sqrtf((float)dh), dropped + r * keys,
                                      d + r * keys);
    }
    hs_gemm(false, false, rows, dh, keys, 1, d, keys, a->k + at, a->ldk, 0, g->d_q + i * a->ldq + h * dh, a->ldq);
    hs_gemm(true, false, keys, dh, rows, 1, d, keys, q, a->ldq, 1, g->d_k + at, a->ldk);
    hs_gemm(true, false, keys, dh, rows, 1, dropped, keys, d_out, g->ldo, 1, g->d_v + at, a->ldk);
}

static void zero_keys(const part *p, const gradients *g)
{
    const hs_attention *a = p->a;
    const size_t D = (size_t)a->H * a->dh;
    for (uint32_t n = p->key; n < a->start[p->sequence + 1]; n++) {
        memset(g->d_k + n * a->ldk, 0, D * sizeof *g->d_k);
        memset(g->d_v + n * a->ldk, 0, D * sizeof *g->d_v);
    }
}

void hs_attend_backward(const hs_attention *a, const float *d_out, size_t ldo, float *d_q, float *d_k, float *d_v)
{
    if (!any_long(a)) {
        hs_kernels_get()->attention_backward(a, d_out, ldo, d_q, d_k, d_v);
        return;
    }
    const gradients g = {d_out, ldo, d_q, d_k, d_v};
    uint32_t first = 0;
    for (uint32_t b = 0; b < a->B; b++) {
        const part p = part_of(a, b, first);
        first = p.end;
        if (p.end == p.first || !goes_in_blocks(&p)) {
            const hs_attention one = rows_of(&p);
            const size_t skip = a->query ? p.first : 0;
            hs_kernels_get()->attention_backward(&one, d_out + skip * ldo, ldo, d_q + skip * a->ldq, d_k, d_v);
            continue;
        }
        zero_keys(&p, &g);
        for (uint32_t i = p.first, end, keys; i < p.end; i = end) {
            end = block_end(&p, i, &keys);
            for (size_t h = 0; h < a->H; h++)
                block_backward(&p, i, end, keys, h, &g);
        }
    }
}
