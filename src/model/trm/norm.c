/* norm.c - root-mean-square norms without scale, over rows and over columns, in place. Column sums are taken row by
 * row, so memory is walked in order; row sums are kept in 16 lanes and folded in a fixed order. */
#include "model/clones.h"
#include "model/trm/trm.h"

#include <math.h>
#include <string.h>

enum { LANES = 16 };

HS_CLONES void hs_trm_sum(size_t n, const float *restrict a, const float *restrict b, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

/* Columns are taken in strips that stay in the first-level cache over both sweeps. */
enum { STRIP = 256 };

HS_CLONES void hs_trm_norm_columns(size_t S, size_t M, float eps, float *restrict x, float *restrict r)
{
    for (size_t m = 0; m < M; m += STRIP) {
        const size_t n = M - m < STRIP ? M - m : STRIP;
        float sum[STRIP] = {0};
        for (size_t s = 0; s < S; s++)
            for (size_t i = 0; i < n; i++)
                sum[i] += x[s * M + m + i] * x[s * M + m + i];
        for (size_t i = 0; i < n; i++)
            sum[i] = 1.0f / sqrtf(sum[i] / (float)S + eps);
        memcpy(r + m, sum, n * sizeof *r);
        for (size_t s = 0; s < S; s++)
            for (size_t i = 0; i < n; i++)
                x[s * M + m + i] *= sum[i];
    }
}

HS_CLONES void hs_trm_norm_columns_backward(size_t S, size_t M, const float *restrict y, const float *restrict r,
                                            float *restrict d)
{
    for (size_t m = 0; m < M; m += STRIP) {
        const size_t n = M - m < STRIP ? M - m : STRIP;
        float sum[STRIP] = {0};
        for (size_t s = 0; s < S; s++)
            for (size_t i = 0; i < n; i++)
                sum[i] += d[s * M + m + i] * y[s * M + m + i];
        for (size_t i = 0; i < n; i++)
            sum[i] /= (float)S;
        for (size_t s = 0; s < S; s++)
            for (size_t i = 0; i < n; i++)
                d[s * M + m + i] = r[m + i] * (d[s * M + m + i] - y[s * M + m + i] * sum[i]);
    }
}

static inline __attribute__((always_inline)) float row_dot(size_t D, const float *restrict a, const float *restrict b)
{
    float lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= D; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            lane[j] += a[i + j] * b[i + j];
    for (size_t j = 0; i + j < D; j++)
        lane[j] += a[i + j] * b[i + j];
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
            lane[j] += lane[j + half];
    return lane[0];
}

HS_CLONES void hs_trm_norm_rows(size_t R, size_t D, float eps, float *restrict x, float *restrict r)
{
    for (size_t n = 0; n < R; n++, x += D) {
        const float s = 1.0f / sqrtf(row_dot(D, x, x) / (float)D + eps);
        r[n] = s;
        for (size_t i = 0; i < D; i++)
            x[i] *= s;
    }
}

HS_CLONES void hs_trm_norm_rows_backward(size_t R, size_t D, const float *restrict y, const float *restrict r,
                                         float *restrict d)
{
    for (size_t n = 0; n < R; n++, y += D, d += D) {
        const float mean = row_dot(D, d, y) / (float)D, s = r[n];
        for (size_t i = 0; i < D; i++)
            d[i] = s * (d[i] - y[i] * mean);
    }
}
