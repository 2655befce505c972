/* norm.c - root-mean-square and layer norms, forward and backward. See family.h. */
#include "tensor/kernels/family.h"

#include <math.h>

static inline float row_variance(size_t D, const float *x, float mean)
{
    vf sum = {0};
    size_t i = 0;
    for (; i + W <= D; i += W) {
        vf d = load(x + i) - splat(mean);
        sum += d * d;
    }
    if (i < D) {
        vf d = load_part(x + i, D - i, mean) - splat(mean);
        sum += d * d;
    }
    return fold_sum(sum) / (float)D;
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

static void layer_norm_backward(size_t N, size_t D, const float *restrict d_y, const float *restrict x,
                                const float *restrict w, const float *restrict mean, const float *restrict rstd,
                                float *restrict d_x, float *restrict d_w, float *restrict d_b)
{
    for (size_t n = 0; n < N; n++, x += D, d_y += D, d_x += D) {
        const float m = mean[n], s = rstd[n];
        vf sum_g = {0}, sum_gx = {0};
        size_t i = 0;
        for (; i + W <= D; i += W) {
            vf g = load(d_y + i) * load(w + i);
            sum_g += g;
            sum_gx += g * ((load(x + i) - splat(m)) * splat(s));
        }
        if (i < D) {
            vf g = load_part(d_y + i, D - i, 0) * load_part(w + i, D - i, 0);
            sum_g += g;
            sum_gx += g * ((load_part(x + i, D - i, m) - splat(m)) * splat(s));
        }
        const float mg = fold_sum(sum_g) / (float)D, mgx = fold_sum(sum_gx) / (float)D;
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

static void rms_norm_backward(size_t N, size_t D, const float *restrict d_y, const float *restrict x,
                              const float *restrict w, const float *restrict rrms, float *restrict d_x,
                              float *restrict d_w)
{
    for (size_t n = 0; n < N; n++, x += D, d_y += D, d_x += D) {
        const float r = rrms[n];
        vf sum = {0};
        size_t i = 0;
        for (; i + W <= D; i += W) {
            vf g = load(d_y + i);
            if (w)
                g *= load(w + i);
            sum += g * load(x + i);
        }
        if (i < D) {
            vf g = load_part(d_y + i, D - i, 0);
            if (w)
                g *= load_part(w + i, D - i, 0);
            sum += g * load_part(x + i, D - i, 0);
        }
        const float c = fold_sum(sum) * r * r * r / (float)D;
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
