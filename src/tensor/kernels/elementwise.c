/* elementwise.c - sums and products of rows, and sums in double over fixed lanes. See family.h. */
#include "tensor/kernels/family.h"

static void multiply(size_t n, const float *restrict x, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] *= x[i];
}

static void axpy(size_t n, float a, const float *restrict x, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void scale(size_t n, float a, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] *= a;
}

static void add_bias(size_t N, size_t D, const float *restrict b, float *restrict x)
{
    for (size_t n = 0; n < N; n++, x += D)
        for (size_t i = 0; i < D; i++)
            x[i] += b[i];
}

static void copy_bias(size_t N, size_t D, const float *restrict x, const float *restrict b, float *restrict y)
{
    for (size_t n = 0; n < N; n++, x += D, y += D)
        for (size_t i = 0; i < D; i++)
            y[i] = x[i] + b[i];
}

static void column_sums(size_t N, size_t D, const float *restrict x, size_t ldx, float *restrict sum)
{
    /* Four rows a sweep: `sum` is read and written a quarter as often. The order of additions is fixed. */
    size_t n = 0;
    for (; n + 4 <= N; n += 4, x += 4 * ldx)
        for (size_t i = 0; i < D; i++)
            sum[i] += (x[i] + x[ldx + i]) + (x[2 * ldx + i] + x[3 * ldx + i]);
    for (; n < N; n++, x += ldx)
        for (size_t i = 0; i < D; i++)
            sum[i] += x[i];
}

static double dot(size_t n, const float *x, const float *y)
{
    double lane[W] = {0};
    size_t i = 0;
    for (; i + W <= n; i += W)
        for (int j = 0; j < W; j++)
            lane[j] += (double)x[i + (size_t)j] * (double)y[i + (size_t)j];
    for (int j = 0; i < n; i++, j++)
        lane[j] += (double)x[i] * (double)y[i];
    for (int half = W / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            lane[j] += lane[j + half];
    return lane[0];
}

static double sum_squares(size_t n, const float *x)
{
    return dot(n, x, x);
}

HS_FAMILY(elementwise)
{
    k->multiply = multiply;
    k->axpy = axpy;
    k->scale = scale;
    k->add_bias = add_bias;
    k->copy_bias = copy_bias;
    k->column_sums = column_sums;
    k->sum_squares = sum_squares;
    k->dot = dot;
}
