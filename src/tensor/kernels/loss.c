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
    for (size_t i = 0; i < V; i += L)
        top = max_lanes(load_some(x + i, V - i, -INFINITY), top);
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

/* The right answers of a row: the target and further ones. */
typedef struct right_answers {
    uint32_t target;
    const uint32_t *also;
    uint64_t n_also;
} right_answers;

static right_answers right_of(size_t p, const uint32_t *target, const uint64_t *also_start, const uint32_t *also)
{
    if (!also_start)
        return (right_answers){.target = target[p]};
    return (right_answers){target[p], also + also_start[p], also_start[p + 1] - also_start[p]};
}

static bool is_right(size_t index, const right_answers *r)
{
    bool right = index == r->target;
    for (uint64_t i = 0; i < r->n_also && !right; i++)
        right = r->also[i] == index;
    return right;
}

static void scale_right(float *x, float factor, const right_answers *r)
{
    x[r->target] *= factor;
    for (uint64_t i = 0; i < r->n_also; i++)
        x[r->also[i]] *= factor;
}

/* ---------------------------------------------------------------- cross-entropy */

static float best_right(const float *x, const right_answers *r)
{
    float best = x[r->target];
    for (uint64_t i = 0; i < r->n_also; i++)
        best = x[r->also[i]] > best ? x[r->also[i]] : best;
    return best;
}

/* Sum of exp(x - shift) over the right answers. */
static double right_mass(const float *x, float shift, const right_answers *r)
{
    double mass = exp((double)x[r->target] - (double)shift);
    for (uint64_t i = 0; i < r->n_also; i++)
        mass += exp((double)x[r->also[i]] - (double)shift);
    return mass;
}

static inline void add_exp(sum_lanes *s, size_t n, float *x, float top, bool keep)
{
    for (size_t p = 0; p < PARTS; p++) {
        const size_t left = left_for(n, p);
        const vf e = exp_lanes(load_some(x + p * L, left, -INFINITY) - splat(top));
        if (keep)
            store_some(x + p * L, left, e);
        s->part[p] += e; /* lanes past the end add exp(-87), nothing beside a sum of at least 1 */
    }
}

/* Sum of exp(x - top) over the row; with `keep` the row becomes these. */
static inline float exp_sum(size_t V, float *x, float top, bool keep)
{
    sum_lanes s = {0};
    HS_EACH_W(V, add_exp(&s, n, x + i, top, keep));
    return fold_sum(&s);
}

/* Nats under the top logit from which a right answer's exp(x - top), which exp_lanes cuts at -87 and float ends at -103,
 * is not trusted with the gradient. */
static const float FAR = 64;

static inline void add_under(sum_lanes *s, size_t n, const float *x, float top)
{
    for (size_t p = 0; p < PARTS; p++)
        s->part[p] += load_some(x + p * L, left_for(n, p), top) - splat(top);
}

/* Mean of x - top over the row. */
static double mean_under(size_t V, const float *x, float top)
{
    sum_lanes s = {0};
    HS_EACH_W(V, add_under(&s, n, x + i, top));
    return (double)fold_sum(&s) / (double)V;
}

static inline void add_to_row(size_t n, float a, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a;
}

/* One row. The loss is log(total) - log(mass), total and mass the sums of exp(x - top) over all and over the right
 * answers; the gradient exp(x - top) / total, less each right answer's share of `mass`. A right answer lies at x[j] =
 * weight * exp / total after the pass and lacks the factor (mass - total) / mass. With smoothing e it is
 * log(total) - (1 - e) log(mass) - e mean(x - top): a share counts 1 - e times, and each entry loses e / V.
 *
 * Where every right answer is far below the top, shares are taken relative to the best of them: it is lifted to the
 * top, the others with it, before the row is turned into exponentials; the factor is then exp(best - top) - total /
 * mass. */
static double cross_entropy_row(size_t V, float *x, const float *weight, float smoothing, const right_answers *r)
{
    const float top = row_max(V, x), best = best_right(x, r);
    const bool far = top - best > FAR;
    const float shift = far ? best : top;
    double mass = right_mass(x, shift, r);
    const double log_mass = log(mass) - ((double)top - (double)shift);
    const double right = 1 - (double)smoothing;
    const double spread = smoothing > 0 ? (double)smoothing * mean_under(V, x, top) : 0;
    float total;
    if (far && weight) {
        total = exp_sum(V, x, top, false);
        x[r->target] = x[r->target] - best + top;
        for (uint64_t i = 0; i < r->n_also; i++)
            x[r->also[i]] = x[r->also[i]] - best + top;
        mass = right_mass(x, top, r); /* of the rounded ones, so that shares add up to 1 */
        exp_sum(V, x, top, true);
    } else {
        total = exp_sum(V, x, top, weight != NULL);
    }
    if (weight) {
        scale_row(V, *weight / total, x);
        const double factor = far ? exp((double)best - (double)top) - right * (double)total / mass
                                  : (mass - right * (double)total) / mass;
        scale_right(x, (float)factor, r);
        if (smoothing > 0)
            add_to_row(V, -*weight * smoothing / (float)V, x);
    }
    return log((double)total) - right * log_mass - spread;
}

static double cross_entropy(size_t P, size_t V, float *x, const uint32_t *target, const float *weight, float smoothing,
                            const uint64_t *also_start, const uint32_t *also, uint32_t *correct)
{
    double loss = 0;
    for (size_t p = 0; p < P; p++, x += V) {
        const right_answers r = right_of(p, target, also_start, also);
        *correct += is_right(argmax(V, x), &r);
        loss += (weight ? (double)weight[p] : 1.0) * cross_entropy_row(V, x, weight ? weight + p : NULL, smoothing, &r);
    }
    return loss;
}

/* ---------------------------------------------------------------- StableMax */

static inline double stable_s(float x)
{
    return x >= 0 ? (double)x + 1.0 : 1.0 / (1.0 - (double)x);
}

/* Mean of log s over the row. */
static double mean_log_stable(size_t V, const float *x)
{
    double sum = 0;
    for (size_t i = 0; i < V; i++)
        sum += copysign(log1p(fabs((double)x[i])), (double)x[i]);
    return sum / (double)V;
}

/* One row to its gradient: s' q, q = weight / total, where s' = 1 for x >= 0 and 1 / (1 - x)^2 below; a right answer's
 * times `factor`. With smoothing each entry loses `part` = weight * e / V times s' / s = 1 / (1 + |x|). */
static void stablemax_gradient(size_t V, float *x, float q, float factor, float part, const right_answers *r)
{
    if (part == 0) {
        for (size_t i = 0; i < V; i++) {
            const float d = 1.0f - x[i];
            x[i] = x[i] >= 0 ? q : q / (d * d);
        }
        scale_right(x, factor, r);
        return;
    }
    for (size_t i = 0; i < V; i++) {
        const float d = 1.0f + fabsf(x[i]), slope = x[i] >= 0 ? q : q / (d * d);
        x[i] = slope * (is_right(i, r) ? factor : 1.0f) - part / d;
    }
}

static double stablemax(size_t P, size_t V, float *x, const uint32_t *target, const float *weight, float smoothing,
                        const uint64_t *also_start, const uint32_t *also, uint32_t *correct)
{
    double loss = 0;
    for (size_t p = 0; p < P; p++, x += V) {
        const right_answers r = right_of(p, target, also_start, also);
        *correct += is_right(argmax(V, x), &r);
        double lane[W] = {0}, mass = stable_s(x[r.target]);
        for (size_t i = 0; i < V; i++)
            lane[i % W] += stable_s(x[i]);
        double total = 0;
        for (int j = 0; j < W; j++)
            total += lane[j];
        for (uint64_t j = 0; j < r.n_also; j++)
            mass += stable_s(x[r.also[j]]);
        const double spread = smoothing > 0 ? (double)smoothing * mean_log_stable(V, x) : 0;
        loss += (weight ? (double)weight[p] : 1.0) * (log(total) - (1 - (double)smoothing) * log(mass) - spread);
        if (weight) /* the factor as in cross_entropy_row, with s in the place of exp */
            stablemax_gradient(V, x, (float)((double)weight[p] / total),
                               (float)((mass - (1 - (double)smoothing) * total) / mass),
                               weight[p] * smoothing / (float)V, &r);
    }
    return loss;
}

HS_FAMILY(loss)
{
    k->cross_entropy = cross_entropy;
    k->stablemax = stablemax;
    k->argmax = argmax;
}
