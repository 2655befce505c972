/* attention.c - causal softmax attention over a ragged batch, forward and backward. See family.h. */
#include "tensor/kernels/family.h"

#include <math.h>
#include <string.h>

/* Sequence that holds `row`, searched upwards from `from`. */
static uint32_t sequence_of(const hs_attention *a, uint32_t row, uint32_t from)
{
    while (a->start[from + 1] <= row)
        from++;
    return from;
}

/* y (n) = sum_j w[j] * factor[j] * x_j, x_j = x + j * ld; factor NULL = 1. */
static inline void weighted_rows(size_t n, uint32_t rows, const float *w, const float *factor, const float *x,
                                 size_t ld, float *restrict y)
{
    for (size_t i = 0; i < n; i += L) {
        vf sum = {0};
        for (uint32_t j = 0; j < rows; j++)
            sum += splat(factor ? w[j] * factor[j] : w[j]) * load_some(x + j * ld + i, n - i, 0);
        store_some(y + i, n - i, sum);
    }
}

static void attention_row(const hs_attention *a, uint32_t r, uint32_t first, uint32_t keys, float *restrict out)
{
    const size_t dh = a->dh;
    const float norm = 1.0f / sqrtf((float)dh);
    for (size_t h = 0; h < a->H; h++) {
        const float *q = a->q + r * a->ldq + h * dh;
        const float *k = a->k + first * a->ldk + h * dh;
        const float *v = a->v + first * a->ldk + h * dh;
        float *prob = a->prob + (r * (size_t)a->H + h) * a->T;
        float top = -INFINITY, sum = 0;
        for (uint32_t j = 0; j < keys; j++) {
            prob[j] = row_dot(dh, q, k + j * a->ldk) * norm;
            top = prob[j] > top ? prob[j] : top;
        }
        for (uint32_t j = 0; j < keys; j += L)
            store_some(prob + j, keys - j, exp_lanes(load_some(prob + j, keys - j, top) - splat(top)));
        for (uint32_t j = 0; j < keys; j++)
            sum += prob[j];
        const float inverse = 1.0f / sum;
        const float *drop = a->drop ? a->drop + (r * (size_t)a->H + h) * a->T : NULL;
        for (uint32_t j = 0; j < keys; j++)
            prob[j] *= inverse;
        weighted_rows(dh, keys, prob, drop, v, a->ldk, out + h * dh);
    }
}

static void attention(const hs_attention *a, float *out, size_t ldo)
{
    const uint32_t rows = a->query ? a->R : a->start[a->B];
    uint32_t b = 0;
    for (uint32_t r = a->query ? 0 : a->start[0]; r < rows; r++) {
        uint32_t row = a->query ? a->query[r] : r;
        b = sequence_of(a, row, b);
        attention_row(a, r, a->start[b], row - a->start[b] + 1, out + r * ldo);
    }
}

static void attention_row_backward(const hs_attention *a, uint32_t r, uint32_t first, uint32_t keys,
                                   const float *restrict d_out, float *restrict d_q, float *restrict d_k,
                                   float *restrict d_v)
{
    const size_t dh = a->dh;
    const float norm = 1.0f / sqrtf((float)dh);
    for (size_t h = 0; h < a->H; h++) {
        const float *q = a->q + r * a->ldq + h * dh;
        const float *k = a->k + first * a->ldk + h * dh;
        const float *v = a->v + first * a->ldk + h * dh;
        const float *prob = a->prob + (r * (size_t)a->H + h) * a->T;
        const float *drop = a->drop ? a->drop + (r * (size_t)a->H + h) * a->T : NULL;
        const float *d_o = d_out + h * dh;
        float *dq = d_q + r * a->ldq + h * dh;
        float *dk = d_k + first * a->ldk + h * dh;
        float *dv = d_v + first * a->ldk + h * dh;
        float kept[W];  /* dp of the first keys; later ones are computed again */
        float mean = 0; /* sum_j p_j dp_j, dp_j = drop_j d_out . v_j */
        for (uint32_t j = 0; j < keys; j++) {
            float dp = row_dot(dh, d_o, v + j * a->ldk);
            dp = drop ? dp * drop[j] : dp;
            if (j < W)
                kept[j] = dp;
            mean += prob[j] * dp;
        }
        for (uint32_t j = 0; j < keys; j++) {
            float dp = j < W ? kept[j] : row_dot(dh, d_o, v + j * a->ldk) * (drop ? drop[j] : 1.0f);
            const float p = drop ? prob[j] * drop[j] : prob[j];
            const float ds = prob[j] * (dp - mean) * norm;
            const float *kj = k + j * a->ldk;
            float *dkj = dk + j * a->ldk, *dvj = dv + j * a->ldk;
            for (size_t i = 0; i < dh; i++) {
                dvj[i] += p * d_o[i];
                dq[i] = j == 0 ? ds * kj[i] : dq[i] + ds * kj[i];
                dkj[i] += ds * q[i];
            }
        }
    }
}

static void attention_backward(const hs_attention *a, const float *d_out, size_t ldo, float *d_q, float *d_k,
                               float *d_v)
{
    const uint32_t N = a->start[a->B];
    const size_t D = (size_t)a->H * a->dh;
    for (uint32_t n = a->start[0]; n < N; n++) {
        if (d_v == d_k + D) { /* as in every model here: one row holds both */
            memset(d_k + n * a->ldk, 0, 2 * D * sizeof *d_k);
            continue;
        }
        memset(d_k + n * a->ldk, 0, D * sizeof *d_k);
        memset(d_v + n * a->ldk, 0, D * sizeof *d_v);
    }
    const uint32_t rows = a->query ? a->R : N;
    uint32_t b = 0;
    for (uint32_t r = a->query ? 0 : a->start[0]; r < rows; r++) {
        uint32_t row = a->query ? a->query[r] : r;
        b = sequence_of(a, row, b);
        attention_row_backward(a, r, a->start[b], row - a->start[b] + 1, d_out + r * ldo, d_q, d_k, d_v);
    }
}

/* ---------------------------------------------------------------- rows of a block (tensor/attention.c) */

static void softmax_row(size_t n, size_t width, float *x)
{
    vf tops = splat(-INFINITY);
    for (size_t i = 0; i < n; i += L)
        tops = max_lanes(load_some(x + i, n - i, -INFINITY), tops);
    const vf top = splat(fold_max(tops));
    for (size_t i = 0; i < n; i += L)
        store_some(x + i, n - i, exp_lanes(load_some(x + i, n - i, top[0]) - top));
    const float inverse = 1.0f / row_sum(n, x);
    for (size_t i = 0; i < n; i++)
        x[i] *= inverse;
    if (width > n)
        memset(x + n, 0, (width - n) * sizeof *x);
}

static void softmax_row_backward(size_t n, size_t width, const float *prob, const float *drop, float norm,
                                 float *dropped, float *d)
{
    for (size_t i = 0; drop && i < n; i++)
        d[i] *= drop[i];
    const float mean = row_dot(n, prob, d);
    for (size_t i = 0; i < n; i++) {
        dropped[i] = drop ? prob[i] * drop[i] : prob[i];
        d[i] = prob[i] * (d[i] - mean) * norm;
    }
    if (width > n) {
        memset(dropped + n, 0, (width - n) * sizeof *d);
        memset(d + n, 0, (width - n) * sizeof *d);
    }
}

HS_FAMILY(attention)
{
    k->softmax_row = softmax_row;
    k->softmax_row_backward = softmax_row_backward;
    k->attention = attention;
    k->attention_backward = attention_backward;
}
