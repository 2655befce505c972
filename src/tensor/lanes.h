/* lanes.h - vectors as wide as a register of this build, and sums in sixteen lanes: what the kernels are written in.
 *
 * Element-wise work runs over `vf`, L lanes. A sum over a row is kept in W lanes whatever the register (lane i takes the
 * elements i, i + W, i + 2W ...) and folded 8-4-2-1, so that every build gives the same bits. GCC would also take vectors
 * wider than a register, but compares them lane by lane and keeps them in memory: three times slower on AVX2. */
#ifndef HOPSCOPE_TENSOR_LANES_H
#define HOPSCOPE_TENSOR_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
enum { L = 16 };
#elif defined(__AVX2__)
enum { L = 8 };
#else
enum { L = 4 };
#endif
enum { W = 16, PARTS = W / L };
typedef float vf __attribute__((vector_size(4 * L), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(4 * L), aligned(4), may_alias));

static inline vf load(const float *p)
{
    return *(const vf *)p;
}

static inline void store(float *p, vf v)
{
    *(vf *)p = v;
}

/* The first min(n, L) elements; the other lanes are `fill`. */
static inline vf load_some(const float *p, size_t n, float fill)
{
    if (n >= L)
        return load(p);
    float lane[L];
    for (size_t i = 0; i < L; i++)
        lane[i] = i < n ? p[i] : fill;
    return load(lane);
}

static inline void store_some(float *p, size_t n, vf v)
{
    if (n >= L) {
        store(p, v);
        return;
    }
    float lane[L];
    store(lane, v);
    for (size_t i = 0; i < n; i++)
        p[i] = lane[i];
}

static inline vf splat(float x)
{
    return x - (vf){0};
}

/* a > b ? a : b in each lane, so b where one of them is NaN. */
static inline vf max_lanes(vf a, vf b)
{
    const vi greater = a > b;
    return (vf)((greater & (vi)a) | (~greater & (vi)b));
}

static inline float fold_max(vf v)
{
    float x[L];
    store(x, v);
    for (int half = L / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            x[i] = x[i] > x[i + half] ? x[i] : x[i + half];
    return x[0];
}

/* ---------------------------------------------------------------- sums */

typedef struct sum_lanes {
    vf part[PARTS];
} sum_lanes;

/* How many of the n elements left of a row fall into part p and behind it. */
static inline size_t left_for(size_t n, size_t p)
{
    return n > p * L ? n - p * L : 0;
}

/* Lanes i and i + 8 are added, then i and i + 4, 2, 1. */
static inline float fold_sum(const sum_lanes *s)
{
    typedef float v4 __attribute__((vector_size(16)));
#if defined(__AVX512F__)
    const vf v = s->part[0];
    const v4 a = __builtin_shufflevector(v, v, 0, 1, 2, 3), b = __builtin_shufflevector(v, v, 4, 5, 6, 7);
    const v4 c = __builtin_shufflevector(v, v, 8, 9, 10, 11), d = __builtin_shufflevector(v, v, 12, 13, 14, 15);
#elif defined(__AVX2__)
    const vf u = s->part[0], v = s->part[1];
    const v4 a = __builtin_shufflevector(u, u, 0, 1, 2, 3), b = __builtin_shufflevector(u, u, 4, 5, 6, 7);
    const v4 c = __builtin_shufflevector(v, v, 0, 1, 2, 3), d = __builtin_shufflevector(v, v, 4, 5, 6, 7);
#else
    const v4 a = s->part[0], b = s->part[1], c = s->part[2], d = s->part[3];
#endif
    const v4 four = (a + c) + (b + d);
    return (four[0] + four[2]) + (four[1] + four[3]);
}

/* Walk a row of D elements W at a time: `step` is called with `i`, and `n` of W elements from there (W but at the end). */
#define HS_EACH_W(D, step)                                                                                             \
    do {                                                                                                               \
        size_t i = 0;                                                                                                  \
        for (; i + W <= (D); i += W) {                                                                                 \
            const size_t n = W;                                                                                        \
            step;                                                                                                      \
        }                                                                                                              \
        if (i < (D)) {                                                                                                 \
            const size_t n = (D)-i;                                                                                    \
            step;                                                                                                      \
        }                                                                                                              \
    } while (0)

static inline void add_row(sum_lanes *s, size_t n, const float *x)
{
    for (size_t p = 0; p < PARTS; p++)
        s->part[p] += load_some(x + p * L, left_for(n, p), 0);
}

static inline float row_sum(size_t D, const float *x)
{
    sum_lanes s = {0};
    HS_EACH_W(D, add_row(&s, n, x + i));
    return fold_sum(&s);
}

static inline void add_products(sum_lanes *s, size_t n, const float *x, const float *y)
{
    for (size_t p = 0; p < PARTS; p++)
        s->part[p] += load_some(x + p * L, left_for(n, p), 0) * load_some(y + p * L, left_for(n, p), 0);
}

static inline float row_dot(size_t D, const float *x, const float *y)
{
    sum_lanes s = {0};
    HS_EACH_W(D, add_products(&s, n, x + i, y + i));
    return fold_sum(&s);
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
