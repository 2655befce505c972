/* kernels.c - the fused kernels, written once and compiled for each instruction set (HS_ISA names this build).
 *
 * Invariants: no multiplication is fused with an addition (-ffp-contract=off); every sum over a row is kept in 16 lanes
 * and folded 8-4-2-1, so that all builds give the same bits. Element-wise loops are plain C and left to the compiler;
 * only sums and exp are written with vector types. */
#include "hopscope/tensor.h"
#include "tensor/lanes.h"

#include <math.h>
#include <string.h>

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define TEXT2(a) #a
#define TEXT(a) TEXT2(a)

/* ---------------------------------------------------------------- norms */

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

/* ---------------------------------------------------------------- activations */

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
    for (size_t n = 0; n < N; n++, x += F, act += F) {
        size_t i = 0;
        vf a, d;
        for (; i + W <= F; i += W) {
            vf u = load(x + i);
            if (b)
                u += load(b + i);
            gelu_lanes(u, &a, &d);
            store(act + i, a);
            store(x + i, d);
        }
        if (i < F) {
            vf u = load_part(x + i, F - i, 0);
            if (b)
                u += load_part(b + i, F - i, 0);
            gelu_lanes(u, &a, &d);
            store_part(act + i, F - i, a);
            store_part(x + i, F - i, d);
        }
    }
}

static inline vf sigmoid_lanes(vf x)
{
    return splat(1.0f) / (splat(1.0f) + exp_lanes(-x));
}

static void swiglu(size_t N, size_t F, const float *restrict u, float *restrict act)
{
    for (size_t n = 0; n < N; n++, u += 2 * F, act += F) {
        size_t i = 0;
        for (; i + W <= F; i += W) {
            vf g = load(u + i);
            store(act + i, g * sigmoid_lanes(g) * load(u + F + i));
        }
        if (i < F) {
            vf g = load_part(u + i, F - i, 0);
            store_part(act + i, F - i, g * sigmoid_lanes(g) * load_part(u + F + i, F - i, 0));
        }
    }
}

static inline void swiglu_gradient(vf g, vf up, vf d, vf *d_gate, vf *d_up)
{
    vf s = sigmoid_lanes(g);
    *d_up = d * g * s;
    *d_gate = d * up * s * (splat(1.0f) + g * (splat(1.0f) - s));
}

static void swiglu_backward(size_t N, size_t F, const float *restrict u, const float *restrict d_act, float *restrict d_u)
{
    for (size_t n = 0; n < N; n++, u += 2 * F, d_u += 2 * F, d_act += F) {
        size_t i = 0;
        vf d_gate, d_up;
        for (; i + W <= F; i += W) {
            swiglu_gradient(load(u + i), load(u + F + i), load(d_act + i), &d_gate, &d_up);
            store(d_u + i, d_gate);
            store(d_u + F + i, d_up);
        }
        if (i < F) {
            size_t left = F - i;
            swiglu_gradient(load_part(u + i, left, 0), load_part(u + F + i, left, 0), load_part(d_act + i, left, 0),
                            &d_gate, &d_up);
            store_part(d_u + i, left, d_gate);
            store_part(d_u + F + i, left, d_up);
        }
    }
}

/* ---------------------------------------------------------------- element-wise */

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

/* ---------------------------------------------------------------- attention */

/* Sequence that holds `row`, searched upwards from `from`. */
static uint32_t sequence_of(const hs_attention *a, uint32_t row, uint32_t from)
{
    while (a->start[from + 1] <= row)
        from++;
    return from;
}

/* y (n) = sum_j w[j] * factor[j] * x_j, x_j = x + j * ld; factor NULL = 1. */
static inline void weighted_rows(size_t n, uint32_t rows, const float *w, const float *factor, const float *x, size_t ld,
                                 float *restrict y)
{
    for (size_t i = 0; i < n; i += W) {
        const size_t left = n - i;
        vf sum = {0};
        for (uint32_t j = 0; j < rows; j++) {
            const float *xj = x + j * ld + i;
            sum += splat(factor ? w[j] * factor[j] : w[j]) * (left >= W ? load(xj) : load_part(xj, left, 0));
        }
        if (left >= W)
            store(y + i, sum);
        else
            store_part(y + i, left, sum);
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
        for (uint32_t j = 0; j < keys; j += W) {
            size_t n = keys - j < W ? keys - j : W;
            store_part(prob + j, n, exp_lanes(load_part(prob + j, n, top) - splat(top)));
        }
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
    uint32_t rows = a->query ? a->R : a->start[a->B], b = 0;
    for (uint32_t r = 0; r < rows; r++) {
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
        float kept[W]; /* dp of the first keys; later ones are computed again */
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

static void attention_backward(const hs_attention *a, const float *d_out, size_t ldo, float *d_q, float *d_k, float *d_v)
{
    const uint32_t N = a->start[a->B];
    const size_t D = (size_t)a->H * a->dh;
    for (uint32_t n = 0; n < N; n++) {
        if (d_v == d_k + D) { /* as in every model here: one row holds both */
            memset(d_k + n * a->ldk, 0, 2 * D * sizeof *d_k);
            continue;
        }
        memset(d_k + n * a->ldk, 0, D * sizeof *d_k);
        memset(d_v + n * a->ldk, 0, D * sizeof *d_v);
    }
    uint32_t rows = a->query ? a->R : N, b = 0;
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t row = a->query ? a->query[r] : r;
        b = sequence_of(a, row, b);
        attention_row_backward(a, r, a->start[b], row - a->start[b] + 1, d_out + r * ldo, d_q, d_k, d_v);
    }
}

/* ---------------------------------------------------------------- losses */

static inline float row_max(size_t V, const float *x)
{
    vf top = splat(-INFINITY);
    size_t i = 0;
    for (; i + W <= V; i += W)
        top = max_lanes(load(x + i), top);
    if (i < V)
        top = max_lanes(load_part(x + i, V - i, -INFINITY), top);
    return fold_max(top);
}

static size_t argmax(size_t n, const float *x)
{
    const float top = row_max(n, x);
    for (size_t i = 0; i < n; i++)
        if (x[i] == top)
            return i;
    return 0; /* every entry is NaN */
}

static bool is_right(size_t index, uint32_t target, const uint64_t *also_start, const uint32_t *also, size_t p)
{
    if (index == target)
        return true;
    if (also_start)
        for (uint64_t i = also_start[p]; i < also_start[p + 1]; i++)
            if (also[i] == index)
                return true;
    return false;
}

/* Both losses are -log(mass / total) with mass = sum of s over the right answers and total over all. Where a pass has
 * left x[j] = weight * s'_j / total, the right answers still lack the factor (mass - total) / mass. */
static void finish_gradient(float *x, double mass, double total, uint32_t target, const uint64_t *also_start,
                            const uint32_t *also, size_t p)
{
    const float factor = (float)((mass - total) / mass);
    x[target] *= factor;
    if (also_start)
        for (uint64_t i = also_start[p]; i < also_start[p + 1]; i++)
            x[also[i]] *= factor;
}

static double cross_entropy(size_t P, size_t V, float *x, const uint32_t *target, const float *weight,
                            const uint64_t *also_start, const uint32_t *also, uint32_t *correct)
{
    double loss = 0;
    for (size_t p = 0; p < P; p++, x += V) {
        const float top = row_max(V, x);
        *correct += is_right(argmax(V, x), target[p], also_start, also, p);
        double mass = exp((double)x[target[p]] - (double)top);
        if (also_start)
            for (uint64_t j = also_start[p]; j < also_start[p + 1]; j++)
                mass += exp((double)x[also[j]] - (double)top);
        vf sum = {0};
        size_t i = 0;
        for (; i + W <= V; i += W) {
            vf e = exp_lanes(load(x + i) - splat(top));
            if (weight)
                store(x + i, e);
            sum += e;
        }
        if (i < V) { /* lanes past the end add exp(-87), nothing beside a sum of at least 1 */
            vf e = exp_lanes(load_part(x + i, V - i, -INFINITY) - splat(top));
            if (weight)
                store_part(x + i, V - i, e);
            sum += e;
        }
        const float total = fold_sum(sum);
        loss += (weight ? (double)weight[p] : 1.0) * (log((double)total) - log(mass));
        if (weight) {
            scale(V, weight[p] / total, x);
            finish_gradient(x, mass, (double)total, target[p], also_start, also, p);
        }
    }
    return loss;
}

static inline double stable_s(float x)
{
    return x >= 0 ? (double)x + 1.0 : 1.0 / (1.0 - (double)x);
}

static double stablemax(size_t P, size_t V, float *x, const uint32_t *target, const float *weight,
                        const uint64_t *also_start, const uint32_t *also, uint32_t *correct)
{
    double loss = 0;
    for (size_t p = 0; p < P; p++, x += V) {
        *correct += is_right(argmax(V, x), target[p], also_start, also, p);
        double lane[W] = {0}, mass = stable_s(x[target[p]]);
        for (size_t i = 0; i < V; i++)
            lane[i % W] += stable_s(x[i]);
        double total = 0;
        for (int j = 0; j < W; j++)
            total += lane[j];
        if (also_start)
            for (uint64_t j = also_start[p]; j < also_start[p + 1]; j++)
                mass += stable_s(x[also[j]]);
        loss += (weight ? (double)weight[p] : 1.0) * (log(total) - log(mass));
        if (!weight)
            continue;
        const float q = (float)((double)weight[p] / total);
        for (size_t i = 0; i < V; i++) { /* s' = 1 for x >= 0, 1 / (1 - x)^2 below */
            const float d = 1.0f - x[i];
            x[i] = x[i] >= 0 ? q : q / (d * d);
        }
        finish_gradient(x, mass, total, target[p], also_start, also, p);
    }
    return loss;
}

/* ---------------------------------------------------------------- sums in double */

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

/* ---------------------------------------------------------------- optimizers */

static void adamw(size_t n, const hs_adam *p, float gscale, const float *restrict g, float *restrict m, float *restrict v,
                  float *restrict w)
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
    float a = (((8.05374449538e-2f * z - 1.38776856032e-1f) * z + 1.99777106478e-1f) * z - 3.33329491539e-1f) * z * r + r;
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

static void lion(size_t n, const hs_adam *p, float gscale, const float *restrict g, float *restrict m, float *restrict w)
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

static void dropout(size_t n, const uint32_t key[2], uint32_t c1, uint32_t c2, uint32_t c3, float p, float *restrict out)
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

extern const hs_kernels PASTE(hs_kernels_, HS_ISA);
const hs_kernels PASTE(hs_kernels_, HS_ISA) = {
    .isa = TEXT(HS_ISA),
    .layer_norm = layer_norm,
    .layer_norm_backward = layer_norm_backward,
    .rms_norm = rms_norm,
    .rms_norm_backward = rms_norm_backward,
    .gelu = gelu,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .multiply = multiply,
    .axpy = axpy,
    .scale = scale,
    .add_bias = add_bias,
    .copy_bias = copy_bias,
    .column_sums = column_sums,
    .attention = attention,
    .attention_backward = attention_backward,
    .cross_entropy = cross_entropy,
    .stablemax = stablemax,
    .argmax = argmax,
    .sum_squares = sum_squares,
    .dot = dot,
    .adamw = adamw,
    .adam_atan2 = adam_atan2,
    .lion = lion,
    .signsgd = signsgd,
    .dropout = dropout,
};
