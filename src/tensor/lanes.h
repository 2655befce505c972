/* lanes.h - sixteen float lanes: what the kernels are written in.
 *
 * GCC and Clang map the vector type to one 512-bit register, two of 256 or four of 128; the arithmetic is the same. */
#ifndef HOPSCOPE_TENSOR_LANES_H
#define HOPSCOPE_TENSOR_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

enum { W = 16 };
typedef float vf __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(64), aligned(4), may_alias));
#if defined(__AVX2__) && !defined(__AVX512F__)
typedef union wide {
    vf all;
    __m256 part[2];
} wide;
#define MAX_PART _mm256_max_ps
#elif defined(__SSE2__) && !defined(__AVX512F__)
typedef union wide {
    vf all;
    __m128 part[4];
} wide;
#define MAX_PART _mm_max_ps
#endif

static inline vf load(const float *p)
{
    return *(const vf *)p;
}

static inline void store(float *p, vf v)
{
    *(vf *)p = v;
}

/* The first n < W elements; the other lanes are `fill`. */
static inline vf load_part(const float *p, size_t n, float fill)
{
    float lane[W];
    for (size_t i = 0; i < W; i++)
        lane[i] = fill;
    memcpy(lane, p, n * sizeof *p);
    return load(lane);
}

static inline void store_part(float *p, size_t n, vf v)
{
    float lane[W];
    store(lane, v);
    memcpy(p, lane, n * sizeof *p);
}

static inline vf splat(float x)
{
    return x - (vf){0};
}

/* a > b ? a : b in each lane, so b where one of them is NaN. By name where the processor has it: GCC 12 compares vectors
 * wider than its registers lane by lane. */
static inline vf max_lanes(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__SSE2__)
    wide x = {.all = a}, y = {.all = b};
    for (size_t i = 0; i < sizeof x.part / sizeof *x.part; i++)
        x.part[i] = MAX_PART(x.part[i], y.part[i]);
    return x.all;
#else
    const vi greater = a > b;
    return (vf)((greater & (vi)a) | (~greater & (vi)b));
#endif
}

static inline float fold_sum(vf v)
{
    float x[W];
    store(x, v);
    for (int half = W / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            x[i] += x[i + half];
    return x[0];
}

static inline float fold_max(vf v)
{
    float x[W];
    store(x, v);
    for (int half = W / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            x[i] = x[i] > x[i + half] ? x[i] : x[i + half];
    return x[0];
}

static inline float row_sum(size_t D, const float *x)
{
    vf sum = {0};
    size_t i = 0;
    for (; i + W <= D; i += W)
        sum += load(x + i);
    if (i < D)
        sum += load_part(x + i, D - i, 0);
    return fold_sum(sum);
}

static inline float row_dot(size_t D, const float *x, const float *y)
{
    vf sum = {0};
    size_t i = 0;
    for (; i + W <= D; i += W)
        sum += load(x + i) * load(y + i);
    if (i < D)
        sum += load_part(x + i, D - i, 0) * load_part(y + i, D - i, 0);
    return fold_sum(sum);
}

/* exp, about 1 unit in the last place on [-87, 88]; below that 0-ish, above it inf-ish. Argument reduction and polynomial
 * after Cephes expf (Moshier). NaN stays NaN. */
static inline vf exp_lanes(vf x)
{
    const vf magic = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    const vf clamped = -max_lanes(splat(-88.0f), -max_lanes(splat(-87.0f), x));
    vf shifted = clamped * splat(1.44269504088896341f) + magic;
    vf n = shifted - magic;
    vf r = clamped - n * splat(0.693359375f);
    r = r - n * splat(-2.12194440e-4f);
    vf p = splat(1.9875691500e-4f);
    p = p * r + splat(1.3981999507e-3f);
    p = p * r + splat(8.3334519073e-3f);
    p = p * r + splat(4.1665795894e-2f);
    p = p * r + splat(1.6666665459e-1f);
    p = p * r + splat(5.0000001201e-1f);
    p = p * r * r + r + splat(1.0f);
    vi exponent = ((vi)shifted - (vi)magic + 127) << 23;
    return p * (vf)exponent;
}

#endif
