/* activation.c - GELU and SwiGLU, and the factors of dropout. See family.h. */
#include "tensor/kernels/family.h"

/* gelu_new(u) = u/2 (1 + tanh z), z = sqrt(2/pi) (u + 0.044715 u^3); tanh z = 1 - 2 / (exp(2z) + 1). */
static inline void gelu_lanes(vf u, vf *act, vf *derivative)
{
    const vf c = splat(0.79788456080286536f);
    vf u2 = u * u;
    vf z = c * u * (splat(1.0f) + splat(0.044715f) * u2);
    vf t = splat(1.0f) - splat(2.0f) / (exp_lanes(z + z) + splat(1.0f));
    vf half = splat(0.5f) * (splat(1.0f) + t);
    *act = u * half;
    *derivative = half + splat(0.5f) * u * (splat(1.0f) - t * t) * c * (splat(1.0f) + splat(0.134145f) * u2);
}

static void gelu(size_t N, size_t F, float *restrict x, const float *restrict b, float *restrict act)
{
    for (size_t n = 0; n < N; n++, x += F, act += F)
        for (size_t i = 0; i < F; i += L) {
            vf u = load_some(x + i, F - i, 0), a, d;
            if (b)
                u += load_some(b + i, F - i, 0);
            gelu_lanes(u, &a, &d);
            store_some(act + i, F - i, a);
            store_some(x + i, F - i, d);
        }
}

static inline vf sigmoid_lanes(vf x)
{
    return splat(1.0f) / (splat(1.0f) + exp_lanes(-x));
}

static void swiglu(size_t N, size_t F, const float *restrict u, float *restrict act)
{
    for (size_t n = 0; n < N; n++, u += 2 * F, act += F)
        for (size_t i = 0; i < F; i += L) {
            const vf g = load_some(u + i, F - i, 0);
            store_some(act + i, F - i, g * sigmoid_lanes(g) * load_some(u + F + i, F - i, 0));
        }
}

static inline void swiglu_gradient(vf g, vf up, vf d, vf *d_gate, vf *d_up)
{
    vf s = sigmoid_lanes(g);
    *d_up = d * g * s;
    *d_gate = d * up * s * (splat(1.0f) + g * (splat(1.0f) - s));
}

static void swiglu_backward(size_t N, size_t F, const float *restrict u, const float *restrict d_act,
                            float *restrict d_u)
{
    for (size_t n = 0; n < N; n++, u += 2 * F, d_u += 2 * F, d_act += F)
        for (size_t i = 0; i < F; i += L) {
            const size_t left = F - i;
            vf d_gate, d_up;
            swiglu_gradient(load_some(u + i, left, 0), load_some(u + F + i, left, 0), load_some(d_act + i, left, 0),
                            &d_gate, &d_up);
            store_some(d_u + i, left, d_gate);
            store_some(d_u + F + i, left, d_up);
        }
}

static void dropout(size_t n, const uint32_t key[2], uint32_t c1, uint32_t c2, uint32_t c3, float p,
                    float *restrict out)
{
    const uint32_t threshold = (uint32_t)(p * 65536.0f + 0.5f);
    const float kept = 65536.0f / (float)(65536u - threshold); /* exact expectation for the rounded p */
    for (size_t i = 0; i < n; i += 8) {
        const uint32_t ctr[4] = {(uint32_t)(i / 8), c1, c2, c3};
        uint32_t word[4];
        hs_philox(ctr, key, word);
        for (size_t j = 0; j < 8 && i + j < n; j++)
            out[i + j] = (word[j / 2] >> (16 * (j % 2)) & 0xffffu) < threshold ? 0.0f : kept;
    }
}

HS_FAMILY(activation)
{
    k->gelu = gelu;
    k->swiglu = swiglu;
    k->swiglu_backward = swiglu_backward;
    k->dropout = dropout;
}
