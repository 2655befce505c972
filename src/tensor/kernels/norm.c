/* norm.c - root-mean-square and layer norms, forward and backward. See family.h. */
#include "tensor/kernels/family.h"

#include <math.h>

static inline void add_squares(sum_lanes *s, size_t n, const float *x, float mean)
{
    for (size_t p = 0; p < PARTS; p++) {
        const vf d = load_some(x + p * L, left_for(n, p), mean) - splat(mean);
        s->part[p] += d * d;
    }
}

static inline float row_variance(size_t D, const float *x, float mean)
{
    sum_lanes s = {0};
    HS_EACH_W(D, add_squares(&s, n, x + i, mean));
    return fold_sum(&s) / (float)D;
}

static void layer_norm(size_t N, size_t D, const float *restrict x, const float *restrict w, const float *restrict b,
                       float eps, float *restrict y, float *restrict mean, float *restrict rstd)
{
    for (size_t n = 0; n < N; n++, x += D, y += D) {
        float m = row_sum(D, x) / (float)D;
        float s = 1.0f / sqrtf(row_variance(D, x, m) + eps);
        mean[n] = m;
        rstd[n] = s;
        if (b)
            for (size_t i = 0; i < D; i++)
                y[i] = (x[i] - m) * s * w[i] + b[i];
        else
            for (size_t i = 0; i < D; i++)
                y[i] = (x[i] - m) * s * w[i];
    }
}

/* sum_g += g, sum_gx += g xhat, g = d_y w */
static inline void add_norm_gradient(sum_lanes *sum_g, sum_lanes *sum_gx, size_t n, const float *d_y, const float *w,
                                     const float *x, float mean, float rstd)
{
    for (size_t p = 0; p < PARTS; p++) {
        const size_t left = left_for(n, p);
        const vf g = load_some(d_y + p * L, left, 0) * load_some(w + p * L, left, 0);
        sum_g->part[p] += g;
        sum_gx->part[p] += g * ((load_some(x + p * L, left, mean) - splat(mean)) * splat(rstd));
    }
}

static void layer_norm_backward(size_t N, size_t D, const float *restrict d_y, const float *restrict x,
                                const float *restrict w, const float *restrict mean, const float *restrict rstd,
                                float *restrict d_x, float *restrict d_w, float *restrict d_b)
{
    for (size_t r = 0; r < N; r++, x += D, d_y += D, d_x += D) {
        const float m = mean[r], s = rstd[r];
        sum_lanes sum_g = {0}, sum_gx = {0};
        HS_EACH_W(D, add_norm_gradient(&sum_g, &sum_gx, n, d_y + i, w + i, x + i, m, s));
        const float mg = fold_sum(&sum_g) / (float)D, mgx = fold_sum(&sum_gx) / (float)D;
        for (size_t j = 0; j < D; j++) {
            float xhat = (x[j] - m) * s;
            d_x[j] += s * (d_y[j] * w[j] - mg - xhat * mgx);
            d_w[j] += d_y[j] * xhat;
        }
        if (d_b)
            for (size_t j = 0; j < D; j++)
                d_b[j] += d_y[j];
    }
}

static void rms_norm(size_t N, size_t D, const float *restrict x, const float *restrict w, float eps, float *restrict y,
                     float *restrict rrms)
{
    for (size_t n = 0; n < N; n++, x += D, y += D) {
        float r = 1.0f / sqrtf(row_dot(D, x, x) / (float)D + eps);
        rrms[n] = r;
        if (w)
            for (size_t i = 0; i < D; i++)
                y[i] = x[i] * r * w[i];
        else
            for (size_t i = 0; i < D; i++)
                y[i] = x[i] * r;
    }
}

/* s += d_y w x; w NULL = 1 */
static inline void add_scaled_products(sum_lanes *s, size_t n, const float *d_y, const float *w, const float *x)
{
    for (size_t p = 0; p < PARTS; p++) {
        const size_t left = left_for(n, p);
        vf g = load_some(d_y + p * L, left, 0);
        if (w)
            g *= load_some(w + p * L, left, 0);
        s->part[p] += g * load_some(x + p * L, left, 0);
    }
}

static void rms_norm_backward(size_t N, size_t D, const float *restrict d_y, const float *restrict x,
                              const float *restrict w, const float *restrict rrms, float *restrict d_x,
                              float *restrict d_w)
{
    for (size_t row = 0; row < N; row++, x += D, d_y += D, d_x += D) {
        const float r = rrms[row];
        sum_lanes sum = {0};
        HS_EACH_W(D, add_scaled_products(&sum, n, d_y + i, w ? w + i : NULL, x + i));
        const float c = fold_sum(&sum) * r * r * r / (float)D;
        if (w) {
            for (size_t j = 0; j < D; j++)
                d_x[j] += d_y[j] * w[j] * r - x[j] * c;
            if (d_w)
                for (size_t j = 0; j < D; j++)
                    d_w[j] += d_y[j] * x[j] * r;
        } else {
            for (size_t j = 0; j < D; j++)
                d_x[j] += d_y[j] * r - x[j] * c;
        }
    }
}

HS_FAMILY(norm)
{
    k->layer_norm = layer_norm;
    k->layer_norm_backward = layer_norm_backward;
    k->rms_norm = rms_norm;
    k->rms_norm_backward = rms_norm_backward;
}
