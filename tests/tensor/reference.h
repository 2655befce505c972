/* reference.h - the kernels in plain double loops, as the papers write them: what the kernels are compared with. */
#ifndef HOPSCOPE_TESTS_TENSOR_REFERENCE_H
#define HOPSCOPE_TESTS_TENSOR_REFERENCE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* y (N,D) = (x - mean) / sqrt(var + eps) * w + b */
static inline void ref_layer_norm(size_t N, size_t D, const float *x, const float *w, const float *b, double eps, float *y)
{
    for (size_t n = 0; n < N; n++) {
        double mean = 0, var = 0;
        for (size_t i = 0; i < D; i++)
            mean += (double)x[n * D + i] / (double)D;
        for (size_t i = 0; i < D; i++)
            var += pow((double)x[n * D + i] - mean, 2) / (double)D;
        for (size_t i = 0; i < D; i++)
            y[n * D + i] = (float)(((double)x[n * D + i] - mean) / sqrt(var + eps) * (double)w[i] + (b ? (double)b[i] : 0));
    }
}

static inline void ref_rms_norm(size_t N, size_t D, const float *x, const float *w, double eps, float *y)
{
    for (size_t n = 0; n < N; n++) {
        double squares = 0;
        for (size_t i = 0; i < D; i++)
            squares += (double)x[n * D + i] * (double)x[n * D + i] / (double)D;
        for (size_t i = 0; i < D; i++)
            y[n * D + i] = (float)((double)x[n * D + i] / sqrt(squares + eps) * (w ? (double)w[i] : 1));
    }
}

static inline double ref_gelu(double u)
{
    return 0.5 * u * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (u + 0.044715 * u * u * u)));
}

static inline double ref_silu(double u)
{
    return u / (1 + exp(-u));
}

/* Causal attention of one sequence of T rows; q, k, v, out (T,H*dh). */
static inline void ref_attention(size_t T, size_t H, size_t dh, const float *q, const float *k, const float *v, float *out)
{
    const size_t D = H * dh;
    for (size_t t = 0; t < T; t++)
        for (size_t h = 0; h < H; h++) {
            double p[64], total = 0;
            for (size_t j = 0; j <= t; j++) {
                double s = 0;
                for (size_t i = 0; i < dh; i++)
                    s += (double)q[t * D + h * dh + i] * (double)k[j * D + h * dh + i];
                total += p[j] = exp(s / sqrt((double)dh));
            }
            for (size_t i = 0; i < dh; i++) {
                double o = 0;
                for (size_t j = 0; j <= t; j++)
                    o += p[j] / total * (double)v[j * D + h * dh + i];
                out[t * D + h * dh + i] = (float)o;
            }
        }
}

static inline double ref_stable_s(double x)
{
    return x >= 0 ? x + 1 : 1 / (1 - x);
}

/* -log of the share of the target under exp (stable = 0) or StableMax (stable = 1) */
static inline double ref_loss(size_t V, const float *x, uint32_t target, int stable)
{
    double total = 0, top = -INFINITY;
    for (size_t i = 0; i < V; i++)
        top = (double)x[i] > top ? (double)x[i] : top;
    for (size_t i = 0; i < V; i++)
        total += stable ? ref_stable_s((double)x[i]) : exp((double)x[i] - top);
    return -log((stable ? ref_stable_s((double)x[target]) : exp((double)x[target] - top)) / total);
}

#endif
