/* optimizer.c - one pass of AdamW, Adam-atan2, Lion and SignSGD over a tensor. See family.h. */
#include "tensor/kernels/family.h"

#include <math.h>

static void adamw(size_t n, const hs_adam *p, float gscale, const float *restrict g, float *restrict m,
                  float *restrict v, float *restrict w)
{
    const float b1 = p->beta1, b2 = p->beta2, keep = 1.0f - p->rate * p->decay;
    const float rate = p->rate / p->correction1, c2 = 1.0f / sqrtf(p->correction2), eps = p->eps;
    for (size_t i = 0; i < n; i++) {
        const float gi = g[i] * gscale;
        m[i] = b1 * m[i] + (1.0f - b1) * gi;
        v[i] = b2 * v[i] + (1.0f - b2) * gi * gi;
        w[i] = w[i] * keep - rate * m[i] / (sqrtf(v[i]) * c2 + eps);
    }
}

/* atan2(y, x) for x >= 0 after Cephes atanf; 0 for (0, 0). */
static inline float atan2_right(float y, float x)
{
    const float ay = fabsf(y);
    const float high = ay > x ? ay : x, low = ay > x ? x : ay;
    const float t = high > 0 ? low / high : 0;
    const bool big = t > 0.4142135623730950f;
    const float r = big ? (t - 1.0f) / (t + 1.0f) : t;
    const float z = r * r;
    float a =
        (((8.05374449538e-2f * z - 1.38776856032e-1f) * z + 1.99777106478e-1f) * z - 3.33329491539e-1f) * z * r + r;
    a = big ? a + 0.785398163397448f : a;
    a = ay > x ? 1.5707963267948966f - a : a;
    return y < 0 ? -a : a;
}

static void adam_atan2(size_t n, const hs_adam *p, float gscale, const float *restrict g, float *restrict m,
                       float *restrict v, float *restrict w)
{
    const float b1 = p->beta1, b2 = p->beta2, keep = 1.0f - p->rate * p->decay;
    const float c1 = 1.0f / p->correction1, c2 = 1.0f / p->correction2;
    for (size_t i = 0; i < n; i++) {
        const float gi = g[i] * gscale;
        m[i] = b1 * m[i] + (1.0f - b1) * gi;
        v[i] = b2 * v[i] + (1.0f - b2) * gi * gi;
        w[i] = w[i] * keep - p->rate * atan2_right(m[i] * c1, sqrtf(v[i] * c2));
    }
}

static inline float sign_of(float x)
{
    return (float)(x > 0) - (float)(x < 0);
}

static void lion(size_t n, const hs_adam *p, float gscale, const float *restrict g, float *restrict m,
                 float *restrict w)
{
    const float b1 = p->beta1, b2 = p->beta2, keep = 1.0f - p->rate * p->decay;
    for (size_t i = 0; i < n; i++) {
        const float gi = g[i] * gscale;
        w[i] = w[i] * keep - p->rate * sign_of(b1 * m[i] + (1.0f - b1) * gi);
        m[i] = b2 * m[i] + (1.0f - b2) * gi;
    }
}

static void signsgd(size_t n, const hs_adam *p, float gscale, const float *restrict g, float *restrict w)
{
    const float keep = 1.0f - p->rate * p->decay;
    (void)gscale; /* the sign does not change with a positive scale */
    for (size_t i = 0; i < n; i++)
        w[i] = w[i] * keep - p->rate * sign_of(g[i]);
}

HS_FAMILY(optimizer)
{
    k->adamw = adamw;
    k->adam_atan2 = adam_atan2;
    k->lion = lion;
    k->signsgd = signsgd;
}
