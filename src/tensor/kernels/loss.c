/* loss.c - cross-entropy and StableMax with their gradients, and the largest entry. See family.h. */
#include "tensor/kernels/family.h"

#include <math.h>

static inline void scale_row(size_t n, float a, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] *= a;
}

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
            scale_row(V, weight[p] / total, x);
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

HS_FAMILY(loss)
{
    k->cross_entropy = cross_entropy;
    k->stablemax = stablemax;
    k->argmax = argmax;
}
