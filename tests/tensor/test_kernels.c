/* Every kernel against its reference, on widths with and without a tail, and every build against every other: same bits. */
#include "../check.h"

#include "hopscope/tensor.h"
#include "reference.h"

enum { N = 7 };
static const size_t widths[] = {1, 5, 16, 31, 32, 48, 100};
static const char *const builds[] = {"baseline", "avx2", "avx512"};

typedef void (*kernel_test)(const hs_kernels *k, size_t D, hs_rng *rng, float *result, size_t *n_result);
enum { RESULT = 8 * N * 100 };

static void fill(hs_rng *rng, size_t n, float *x, double scale)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(scale * hs_rng_normal(rng));
}

/* Run `test` on every build and width; the builds must agree to the bit. */
static void on_every_build(kernel_test test)
{
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        static float first[RESULT], other[RESULT];
        size_t n_first = 0, n_other = 0;
        for (size_t b = 0; b < sizeof builds / sizeof *builds; b++) {
            const hs_kernels *k = hs_kernels_named(builds[b]);
            if (!k)
                continue;
            hs_rng rng;
            hs_rng_init(&rng, 3, HS_PURPOSE('t', 'e', 's', 't'), w, 0);
            test(k, widths[w], &rng, b == 0 ? first : other, b == 0 ? &n_first : &n_other);
            if (b > 0) {
                assert_int_equal(n_first, n_other);
                assert_memory_equal(first, other, n_first * sizeof *first);
            }
        }
    }
}

/* sum_i a[i] * f(x)[i], differentiated by central differences in every x[j] */
typedef void (*function)(const void *ctx, const float *x, float *y);
static void numeric_gradient(function f, const void *ctx, size_t nx, float *x, size_t ny, const float *a, float *d_x)
{
    static float y[RESULT];
    for (size_t j = 0; j < nx; j++) {
        const float kept = x[j];
        double value[2];
        for (int s = 0; s < 2; s++) {
            x[j] = kept + (s ? -1e-2f : 1e-2f);
            f(ctx, x, y);
            value[s] = 0;
            for (size_t i = 0; i < ny; i++)
                value[s] += (double)a[i] * (double)y[i];
        }
        x[j] = kept;
        d_x[j] = (float)((value[0] - value[1]) / 2e-2);
    }
}

/* ---------------------------------------------------------------- norms */

typedef struct norm_ctx {
    size_t D;
    const float *w, *b;
} norm_ctx;

static void norm_of(const void *ctx, const float *x, float *y)
{
    const norm_ctx *c = ctx;
    ref_layer_norm(N, c->D, x, c->w, c->b, 1e-2, y);
}

static void layer_norm_case(const hs_kernels *k, size_t D, hs_rng *rng, float *result, size_t *n)
{
    float x[N * 100], w[100], b[100], y[N * 100], want[N * 100], mean[N], rstd[N];
    float d_y[N * 100], d_x[N * 100] = {0}, d_w[100] = {0}, d_b[100] = {0};
    fill(rng, N * D, x, 2);
    fill(rng, D, w, 1);
    fill(rng, D, b, 1);
    fill(rng, N * D, d_y, 1);
    k->layer_norm(N, D, x, w, b, 1e-2f, y, mean, rstd);
    ref_layer_norm(N, D, x, w, b, 1e-2, want);
    assert_near("layer_norm", y, want, N * D, 2e-6);
    k->layer_norm_backward(N, D, d_y, x, w, mean, rstd, d_x, d_w, d_b);
    const norm_ctx ctx = {D, w, b};
    numeric_gradient(norm_of, &ctx, N * D, x, N * D, d_y, want);
    if (D > 1) /* the norm of one element is constant */
        assert_near("layer_norm_backward", d_x, want, N * D, 5e-3);
    for (size_t i = 0; i < D; i++) {
        double dw = 0, db = 0;
        for (size_t r = 0; r < N; r++) {
            dw += (double)d_y[r * D + i] * (double)(x[r * D + i] - mean[r]) * (double)rstd[r];
            db += (double)d_y[r * D + i];
        }
        assert_true(fabs(dw - (double)d_w[i]) < 1e-4 && fabs(db - (double)d_b[i]) < 1e-4);
    }
    memcpy(result, y, N * D * sizeof *y);
    memcpy(result + N * D, d_x, N * D * sizeof *y);
    memcpy(result + 2 * N * D, d_w, D * sizeof *y);
    *n = (2 * N + 1) * D;
}

static void rms_of(const void *ctx, const float *x, float *y)
{
    const norm_ctx *c = ctx;
    ref_rms_norm(N, c->D, x, c->w, 1e-2, y);
}

static void rms_norm_case(const hs_kernels *k, size_t D, hs_rng *rng, float *result, size_t *n)
{
    float x[N * 100], w[100], y[N * 100], want[N * 100], rrms[N], d_y[N * 100], d_w[100] = {0};
    fill(rng, N * D, x, 2);
    fill(rng, D, w, 1);
    fill(rng, N * D, d_y, 1);
    for (int scaled = 0; scaled < 2; scaled++) {
        float d_x[N * 100] = {0};
        k->rms_norm(N, D, x, scaled ? w : NULL, 1e-2f, y, rrms);
        ref_rms_norm(N, D, x, scaled ? w : NULL, 1e-2, want);
        assert_near("rms_norm", y, want, N * D, 2e-6);
        k->rms_norm_backward(N, D, d_y, x, scaled ? w : NULL, rrms, d_x, scaled ? d_w : NULL);
        const norm_ctx ctx = {D, scaled ? w : NULL, NULL};
        numeric_gradient(rms_of, &ctx, N * D, x, N * D, d_y, want);
        if (D > 1)
            assert_near("rms_norm_backward", d_x, want, N * D, 5e-3);
        memcpy(result + (size_t)scaled * 2 * N * D, y, N * D * sizeof *y);
        memcpy(result + (size_t)scaled * 2 * N * D + N * D, d_x, N * D * sizeof *y);
    }
    *n = 4 * N * D;
}

/* ---------------------------------------------------------------- activations */

static void gelu_case(const hs_kernels *k, size_t D, hs_rng *rng, float *result, size_t *n)
{
    float x[N * 100], b[100], act[N * 100], u[N * 100], want[N * 100];
    fill(rng, N * D, x, 3);
    fill(rng, D, b, 1);
    x[0] = 60; /* tanh saturates on both sides */
    x[N * D - 1] = -60;
    for (size_t i = 0; i < N * D; i++)
        u[i] = x[i] + b[i % D];
    k->gelu(N, D, x, b, act);
    for (size_t i = 0; i < N * D; i++)
        want[i] = (float)ref_gelu((double)u[i]);
    assert_near("gelu", act, want, N * D, 1e-6);
    for (size_t i = 0; i < N * D; i++)
        want[i] = (float)((ref_gelu((double)u[i] + 1e-5) - ref_gelu((double)u[i] - 1e-5)) / 2e-5);
    assert_near("gelu'", x, want, N * D, 1e-5);
    memcpy(result, act, N * D * sizeof *act);
    memcpy(result + N * D, x, N * D * sizeof *act);
    *n = 2 * N * D;
}

static void swiglu_of(const void *ctx, const float *u, float *y)
{
    const size_t F = *(const size_t *)ctx;
    for (size_t r = 0; r < N; r++)
        for (size_t i = 0; i < F; i++)
            y[r * F + i] = (float)(ref_silu((double)u[r * 2 * F + i]) * (double)u[r * 2 * F + F + i]);
}

static void swiglu_case(const hs_kernels *k, size_t F, hs_rng *rng, float *result, size_t *n)
{
    float u[N * 200], act[N * 100], want[N * 200], d_act[N * 100], d_u[N * 200];
    fill(rng, 2 * N * F, u, 2);
    fill(rng, N * F, d_act, 1);
    k->swiglu(N, F, u, act);
    swiglu_of(&F, u, want);
    assert_near("swiglu", act, want, N * F, 1e-6);
    k->swiglu_backward(N, F, u, d_act, d_u);
    numeric_gradient(swiglu_of, &F, 2 * N * F, u, N * F, d_act, want);
    assert_near("swiglu_backward", d_u, want, 2 * N * F, 1e-3);
    memcpy(result, act, N * F * sizeof *act);
    memcpy(result + N * F, d_u, 2 * N * F * sizeof *act);
    *n = 3 * N * F;
}

/* ---------------------------------------------------------------- attention */

enum { T1 = 5, T2 = 2, ROWS = T1 + T2, HEADS = 3, MAX_D = HEADS * 100 };

typedef struct attention_ctx {
    size_t dh;
    const float *qkv;
    int which; /* 0 q, 1 k, 2 v is the variable */
} attention_ctx;

static void attention_of(const void *ctx, const float *x, float *y)
{
    const attention_ctx *c = ctx;
    const size_t D = HEADS * c->dh;
    const float *in[3];
    for (int i = 0; i < 3; i++)
        in[i] = i == c->which ? x : c->qkv + (size_t)i * ROWS * D;
    ref_attention(T1, HEADS, c->dh, in[0], in[1], in[2], y);
    ref_attention(T2, HEADS, c->dh, in[0] + T1 * D, in[1] + T1 * D, in[2] + T1 * D, y + T1 * D);
}

/* Two sequences; all rows as queries, then only rows 1, 4 and 6. */
static void attention_case(const hs_kernels *k, size_t dh, hs_rng *rng, float *result, size_t *n)
{
    if (dh > 32)
        return;
    const size_t D = HEADS * dh;
    static float qkv[3 * ROWS * MAX_D], packed[ROWS * 3 * MAX_D], out[ROWS * MAX_D], want[ROWS * MAX_D];
    static float d_out[ROWS * MAX_D], d_packed[ROWS * 3 * MAX_D], numeric[ROWS * MAX_D], got[ROWS * MAX_D];
    float prob[ROWS * HEADS * T1];
    fill(rng, 3 * ROWS * D, qkv, 1);
    fill(rng, ROWS * D, d_out, 1);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < 3; i++)
            memcpy(packed + r * 3 * D + i * D, qkv + i * ROWS * D + r * D, D * sizeof *packed);
    const uint32_t start[3] = {0, T1, ROWS}, query[3] = {1, 4, 6};
    hs_attention a = {.B = 2, .start = start, .R = ROWS, .H = HEADS, .dh = (uint32_t)dh, .T = T1, .q = packed,
                      .k = packed + D, .v = packed + 2 * D, .ldq = 3 * D, .ldk = 3 * D, .prob = prob};
    attention_ctx ctx = {dh, qkv, 0};
    attention_of(&ctx, qkv, want);
    k->attention(&a, out, D);
    assert_near("attention", out, want, ROWS * D, 1e-5);
    k->attention_backward(&a, d_out, D, d_packed, d_packed + D, d_packed + 2 * D);
    for (ctx.which = 0; ctx.which < 3; ctx.which++) {
        numeric_gradient(attention_of, &ctx, ROWS * D, qkv + (size_t)ctx.which * ROWS * D, ROWS * D, d_out, numeric);
        for (size_t r = 0; r < ROWS; r++)
            memcpy(got + r * D, d_packed + r * 3 * D + (size_t)ctx.which * D, D * sizeof *got);
        assert_near("attention_backward", got, numeric, ROWS * D, 2e-3);
    }
    memcpy(result, out, ROWS * D * sizeof *out);
    memcpy(result + ROWS * D, d_packed, 3 * ROWS * D * sizeof *out);
    *n = 4 * ROWS * D;
    a.query = query;
    a.R = 3;
    float q3[3 * MAX_D], out3[3 * MAX_D];
    for (size_t r = 0; r < 3; r++)
        memcpy(q3 + r * D, qkv + query[r] * D, D * sizeof *q3);
    a.q = q3;
    a.ldq = D;
    k->attention(&a, out3, D);
    for (size_t r = 0; r < 3; r++)
        assert_near("attention of some rows", out3 + r * D, want + query[r] * D, D, 1e-5);
}

enum { LONG_HEADS = 2, LONG_DH = 24, LONG_D = LONG_HEADS * LONG_DH };

/* Blocks of products against the kernels that go row by row: sequences of these lengths, all rows or those of `query`.
 */
static void compare_blocks(uint32_t B, const uint32_t *start, uint32_t R, const uint32_t *query, bool drop)
{
    const uint32_t n_rows = start[B];
    uint32_t T = 0;
    for (uint32_t b = 0; b < B; b++)
        T = start[b + 1] - start[b] > T ? start[b + 1] - start[b] : T;
    T += 3;
    hs_rng rng;
    hs_rng_init(&rng, 7, 1, n_rows, R);
    const size_t rows = (size_t)n_rows * LONG_D, entries = (size_t)R * LONG_HEADS * T;
    float *memory = hs_calloc(14 * rows + 3 * entries, sizeof *memory);
    assert_non_null(memory);
    float *q = memory, *kv = q + rows, *d_out = kv + 2 * rows, *out[2] = {d_out + rows, d_out + 2 * rows};
    float *d_q[2] = {d_out + 3 * rows, d_out + 4 * rows}, *d_kv[2] = {d_out + 5 * rows, d_out + 7 * rows};
    float *prob[2] = {d_out + 9 * rows, d_out + 9 * rows + entries}, *factor = prob[1] + entries;
    fill(&rng, 3 * rows, q, 2);
    fill(&rng, rows, d_out, 1);
    for (size_t i = 0; i < entries; i++)
        factor[i] = hs_rng_below(&rng, 4) ? 4.0f / 3 : 0;
    const hs_kernels *k = hs_kernels_get();
    for (int way = 0; way < 2; way++) {
        hs_attention a = {.B = B,
                          .start = start,
                          .R = R,
                          .query = query,
                          .H = LONG_HEADS,
                          .dh = LONG_DH,
                          .T = T,
                          .q = q,
                          .ldq = LONG_D,
                          .k = kv,
                          .v = kv + LONG_D,
                          .ldk = 2 * LONG_D,
                          .prob = prob[way],
                          .drop = drop ? factor : NULL};
        memset(d_kv[way], 0x7f, 2 * rows * sizeof *memory); /* overwritten, whatever was there */
        (way ? hs_attend : k->attention)(&a, out[way], LONG_D);
        (way ? hs_attend_backward : k->attention_backward)(&a, d_out, LONG_D, d_q[way], d_kv[way], d_kv[way] + LONG_D);
    }
    assert_near("blocks of attention", out[1], out[0], (size_t)R * LONG_D, 2e-5);
    assert_near("probabilities", prob[1], prob[0], entries, 1e-5);
    assert_near("gradient of queries", d_q[1], d_q[0], (size_t)R * LONG_D, 5e-5);
    assert_near("gradient of keys and values", d_kv[1], d_kv[0], 2 * rows, 5e-5);
    hs_free(memory);
}

static void test_attention_in_blocks(void **state)
{
    (void)state;
    const uint32_t start[] = {0, 1, 32, 64, 71, 371, 372, 499};
    uint32_t query[499], n = 0;
    for (int drop = 0; drop < 2; drop++) {
        compare_blocks(7, start, 499, NULL, drop);
        n = 0;
        for (uint32_t r = 0; r < 499; r++) /* sequences with none, one, few and many query rows */
            if (r == 40 || (r > 66 && r < 90) || (r > 100 && r % 3 == 0 && r < 470))
                query[n++] = r;
        compare_blocks(7, start, n, query, drop);
    }
    const uint32_t one[] = {0, 900}; /* fewer rows at once */
    compare_blocks(1, one, 900, NULL, false);
}

/* The bits of a sequence are the same alone and among others. */
static void test_blocks_leave_no_trace(void **state)
{
    (void)state;
    enum { MANY = 300, FIRST = 77 };
    static float qkv[(FIRST + MANY) * 3 * LONG_D], out[2][(FIRST + MANY) * LONG_D],
        prob[(FIRST + MANY) * LONG_HEADS * MANY];
    hs_rng rng;
    hs_rng_init(&rng, 8, 1, 0, 0);
    fill(&rng, (FIRST + MANY) * 3 * LONG_D, qkv, 2);
    const uint32_t both[] = {0, FIRST, FIRST + MANY}, alone[] = {0, MANY};
    for (int way = 0; way < 2; way++) {
        const float *x = qkv + (way ? FIRST * 3 * LONG_D : 0);
        const hs_attention a = {.B = way ? 1 : 2,
                                .start = way ? alone : both,
                                .R = way ? MANY : FIRST + MANY,
                                .H = LONG_HEADS,
                                .dh = LONG_DH,
                                .T = MANY,
                                .q = x,
                                .k = x + LONG_D,
                                .v = x + 2 * LONG_D,
                                .ldq = 3 * LONG_D,
                                .ldk = 3 * LONG_D,
                                .prob = prob};
        hs_attend(&a, out[way], LONG_D);
    }
    assert_memory_equal(out[0] + FIRST * LONG_D, out[1], MANY * LONG_D * sizeof(float));
}

/* ---------------------------------------------------------------- losses */

static void losses_case(const hs_kernels *k, size_t V, hs_rng *rng, float *result, size_t *n)
{
    float x[N * 100], y[N * 100];
    uint32_t target[N];
    float weight[N];
    fill(rng, N * V, x, 4);
    for (size_t p = 0; p < N; p++) {
        target[p] = (uint32_t)hs_rng_below(rng, V);
        weight[p] = 0.1f * (float)(p + 1);
    }
    for (int stable = 0; stable < 2; stable++) {
        uint32_t correct = 0, correct_again = 0, tops = 0;
        double want = 0, plain = 0;
        for (size_t p = 0; p < N; p++) {
            plain += ref_loss(V, x + p * V, target[p], stable);
            want += (double)weight[p] * ref_loss(V, x + p * V, target[p], stable);
            bool top = true;
            for (size_t i = 0; i < V; i++)
                top &= x[p * V + i] <= x[p * V + target[p]];
            tops += top;
        }
        memcpy(y, x, sizeof y);
        const double unweighted =
            (stable ? k->stablemax : k->cross_entropy)(N, V, y, target, NULL, 0, NULL, NULL, &correct);
        assert_memory_equal(x, y, N * V * sizeof *x);
        assert_true(fabs(unweighted - plain) < 1e-5 * (1 + plain));
        const double loss =
            (stable ? k->stablemax : k->cross_entropy)(N, V, y, target, weight, 0, NULL, NULL, &correct_again);
        assert_true(fabs(loss - want) < 1e-5 * (1 + want));
        assert_int_equal(correct, tops);
        assert_int_equal(correct_again, tops);
        for (size_t i = 0; i < N * V; i++) {
            const size_t p = i / V;
            float row[100];
            memcpy(row, x + p * V, V * sizeof *row);
            row[i % V] = x[i] + 1e-3f;
            double d = ref_loss(V, row, target[p], stable);
            row[i % V] = x[i] - 1e-3f;
            d = (double)weight[p] * (d - ref_loss(V, row, target[p], stable)) / 2e-3;
            assert_true(fabs(d - (double)y[i]) < 2e-3 * (double)weight[p]);
        }
        memcpy(result + (size_t)stable * N * V, y, N * V * sizeof *y);
    }
    *n = 2 * N * V;
}

/* Label smoothing: loss by its definition in double, gradient by central differences of that; also where the right
 * answers are far under the top, where the kernel takes another way. */
static void smoothing_case(const hs_kernels *k, size_t V, hs_rng *rng, float *result, size_t *n)
{
    const float weight = 0.5f, smoothing = 0.2f;
    const uint32_t target = 0, also = (uint32_t)(V > 2 ? 2 : 0);
    const uint64_t also_start[2] = {0, V > 2};
    *n = 0;
    for (int c = 0; c < 3; c++) {
        const bool stable = c % 2 == 1;
        float x[100], y[100];
        fill(rng, V, x, 4);
        if (c == 2 && V > 1)
            x[1] += 80;
        for (size_t i = 0; i <= V; i++) { /* entry i moved; at last the row itself */
            double loss[2];
            for (int sign = 0; sign < 2; sign++) {
                const double h = i == V ? 0 : sign ? -1e-3 : 1e-3;
                double total = 0, right = 0, logs = 0;
                for (size_t j = 0; j < V; j++) {
                    const double z = (double)x[j] + (i == j ? h : 0);
                    const double log_s = stable ? copysign(log1p(fabs(z)), z) : z;
                    total += exp(log_s);
                    right += j == target || (V > 2 && j == also) ? exp(log_s) : 0;
                    logs += log_s / (double)V;
                }
                loss[sign] = log(total) - 0.8 * log(right) - 0.2 * logs;
            }
            if (i < V) {
                y[i] = (float)(0.5 * (loss[0] - loss[1]) / 2e-3);
                continue;
            }
            float got[100];
            uint32_t correct = 0;
            memcpy(got, x, V * sizeof *got);
            const double value = (stable ? k->stablemax : k->cross_entropy)(1, V, got, &target, &weight, smoothing,
                                                                            V > 2 ? also_start : NULL, &also, &correct);
            assert_true(fabs(value - 0.5 * loss[0]) < 1e-5 * (1 + loss[0]));
            for (size_t j = 0; j < V; j++)
                if (!(fabs((double)got[j] - (double)y[j]) < 1e-4))
                    fail_msg("%s, V %zu, case %d: gradient %g at %zu, expected %g", k->isa, V, c, (double)got[j], j,
                             (double)y[j]);
            memcpy(result + *n, got, V * sizeof *got);
            *n += V;
        }
    }
}

/* A row whose right answers lie `gap` nats under the top: loss and gradient against the log domain in long double. `n`
 * further right answers follow the target, each `below` under the one before. */
static void far_row(const hs_kernels *k, size_t V, double gap, size_t n, double below, float *y)
{
    float x[100];
    const float weight = 0.25f;
    const uint32_t target = 1, also[2] = {3, 0};
    const uint64_t also_start[2] = {0, n};
    for (size_t i = 0; i < V; i++)
        x[i] = (float)(-0.01 * (double)i);
    x[2] = 3;
    x[target] = (float)(3 - gap);
    for (size_t i = 0; i < n; i++)
        x[also[i]] = (float)(3 - gap - below * (double)(i + 1));
    long double total = 0, mass = 0, share[100] = {0};
    for (size_t i = 0; i < V; i++)
        total += expl((long double)x[i] - 3);
    mass = share[target] = 1;
    for (size_t i = 0; i < n; i++)
        mass += share[also[i]] = expl((long double)x[also[i]] - (long double)x[target]);
    const double want = (double)(logl(total) + 3 - (long double)x[target] - logl(mass));
    uint32_t correct = 0;
    memcpy(y, x, V * sizeof *y);
    const double plain = k->cross_entropy(1, V, y, &target, NULL, 0, n ? also_start : NULL, also, &correct);
    assert_true(isfinite(plain) && fabs(plain - want) < 1e-5 * (1 + want));
    const double loss = k->cross_entropy(1, V, y, &target, &weight, 0, n ? also_start : NULL, also, &correct);
    assert_true(isfinite(loss) && fabs(loss - 0.25 * want) < 1e-5 * (1 + want));
    assert_int_equal(correct, 0);
    const double precision = 1e-5 + 1e-7 * gap; /* that of float logits `gap` apart */
    for (size_t i = 0; i < V; i++) {
        const double d = 0.25 * (double)(expl((long double)x[i] - 3) / total - share[i] / mass);
        if (!(fabs((double)y[i] - d) < precision))
            fail_msg("%s, gap %g, %zu more, V %zu: gradient %g at %zu, expected %g", k->isa, gap, n, V, (double)y[i], i,
                     d);
    }
}

static void far_case(const hs_kernels *k, size_t V, hs_rng *rng, float *result, size_t *n)
{
    static const double gaps[] = {20, 63.9, 64.1, 86.9, 87, 88, 90, 103, 200, 745, 800, 1e4};
    (void)rng;
    *n = 0;
    for (size_t g = 0; g < sizeof gaps / sizeof *gaps && V >= 5; g++)
        for (size_t more = 0; more <= 2; more++)
            for (int far = 0; far < 2; far++, *n += V)
                if (*n + V <= RESULT)
                    far_row(k, V, gaps[g], more, far ? 95 : 0.5, result + *n);
    *n = *n < RESULT ? *n : RESULT / V * V;
}

static void test_label_smoothing(void **state)
{
    (void)state;
    on_every_build(smoothing_case);
}

static void test_losses_far_from_the_top(void **state)
{
    (void)state;
    on_every_build(far_case);
}

/* StableMax has no exponential: its gradient holds as far as float logits reach in any run. */
static void test_stablemax_far_from_the_top(void **state)
{
    (void)state;
    static const float tops[] = {90, 1e4f, 1e9f};
    for (size_t b = 0; b < sizeof builds / sizeof *builds; b++) {
        const hs_kernels *k = hs_kernels_named(builds[b]);
        for (size_t i = 0; k && i < sizeof tops / sizeof *tops; i++) {
            float x[3] = {tops[i], -tops[i], 0};
            const uint32_t target = 1;
            const float weight = 1;
            const double t = (double)tops[i], total = t + 1 + 1 / (t + 1) + 1;
            uint32_t correct = 0;
            const double loss = k->stablemax(1, 3, x, &target, &weight, 0, NULL, NULL, &correct);
            assert_true(fabs(loss - log(total * (t + 1))) < 1e-6);
            assert_true(fabs((double)x[0] * total - 1) < 1e-5);
            assert_true(fabs((double)x[1] * (t + 1) + 1 - 1 / (t + 1) / total) < 1e-5);
        }
    }
}

/* ---------------------------------------------------------------- the rest */

static void elementwise_case(const hs_kernels *k, size_t D, hs_rng *rng, float *result, size_t *n)
{
    float x[N * 100], y[N * 100], b[100], sum[100] = {0}, z[N * 100];
    fill(rng, N * D, x, 1);
    fill(rng, N * D, y, 1);
    fill(rng, D, b, 1);
    k->copy_bias(N, D, x, b, z);
    for (size_t i = 0; i < N * D; i++)
        assert_true(z[i] == x[i] + b[i % D]);
    k->column_sums(N, D, x, D, sum);
    for (size_t i = 0; i < D; i++) {
        double want = 0;
        for (size_t r = 0; r < N; r++)
            want += (double)x[r * D + i];
        assert_true(fabs(want - (double)sum[i]) < 1e-5);
    }
    double want_dot = 0;
    for (size_t i = 0; i < N * D; i++)
        want_dot += (double)x[i] * (double)y[i];
    assert_true(fabs(k->dot(N * D, x, y) - want_dot) < 1e-9);
    assert_true(k->sum_squares(N * D, x) >= 0);
    size_t top = 0;
    for (size_t i = 1; i < N * D; i++)
        top = x[i] > x[top] ? i : top;
    assert_int_equal(k->argmax(N * D, x), top);
    k->axpy(N * D, 0.5f, x, y);
    memcpy(result, y, N * D * sizeof *y);
    *n = N * D;
}

static void test_layer_norm(void **state)
{
    (void)state;
    on_every_build(layer_norm_case);
}

static void test_rms_norm(void **state)
{
    (void)state;
    on_every_build(rms_norm_case);
}

static void test_activations(void **state)
{
    (void)state;
    on_every_build(gelu_case);
    on_every_build(swiglu_case);
}

static void test_attention(void **state)
{
    (void)state;
    on_every_build(attention_case);
}

static void test_losses(void **state)
{
    (void)state;
    on_every_build(losses_case);
}

static void test_elementwise(void **state)
{
    (void)state;
    on_every_build(elementwise_case);
}

static void test_argmax_takes_the_first_of_equals(void **state)
{
    (void)state;
    float x[40] = {0};
    x[7] = x[23] = 2;
    assert_int_equal(hs_kernels_get()->argmax(40, x), 7);
}

static void test_dropout(void **state)
{
    (void)state;
    enum { COUNT = 100003 };
    static float mask[COUNT], again[COUNT], other[COUNT];
    const uint32_t key[2] = {1, 2};
    hs_kernels_get()->dropout(COUNT, key, 3, 4, 5, 0.1f, mask);
    hs_kernels_get()->dropout(COUNT, key, 3, 4, 5, 0.1f, again);
    hs_kernels_get()->dropout(COUNT, key, 3, 4, 6, 0.1f, other);
    assert_memory_equal(mask, again, sizeof mask);
    assert_memory_not_equal(mask, other, sizeof mask);
    double sum = 0;
    size_t zeros = 0;
    for (size_t i = 0; i < COUNT; i++) {
        zeros += mask[i] == 0;
        sum += (double)mask[i];
    }
    assert_true(fabs((double)zeros / COUNT - 0.1) < 0.004);
    assert_true(fabs(sum / COUNT - 1) < 0.005);
}

static void test_gemm(void **state)
{
    (void)state;
    enum { M = 13, K = 17, Q = 9 };
    float a[M * K], b[K * Q], c[M * Q], want[M * Q];
    hs_rng rng;
    hs_rng_init(&rng, 1, HS_PURPOSE('g', 'e', 'm', 'm'), 0, 0);
    fill(&rng, M * K, a, 1);
    fill(&rng, K * Q, b, 1);
    for (int ta = 0; ta < 2; ta++)
        for (int tb = 0; tb < 2; tb++) {
            fill(&rng, M * Q, c, 1);
            for (size_t i = 0; i < M; i++)
                for (size_t j = 0; j < Q; j++) {
                    double sum = 0;
                    for (size_t l = 0; l < K; l++)
                        sum += (double)(ta ? a[l * M + i] : a[i * K + l]) * (double)(tb ? b[j * K + l] : b[l * Q + j]);
                    want[i * Q + j] = (float)(0.5 * sum + 2 * (double)c[i * Q + j]);
                }
            hs_gemm(ta, tb, M, Q, K, 0.5f, a, ta ? M : K, b, tb ? K : Q, 2, c, Q);
            assert_near("gemm", c, want, M * Q, 1e-6);
        }
}

/* Many threads at once give what one gives: the BLAS that was loaded is thread-safe. */
static float product[64][64 * 64];
static void multiply_task(void *ctx, uint32_t task, uint32_t worker)
{
    (void)worker;
    const float *a = ctx;
    hs_gemm(false, true, 64, 64, 64, 1, a + task, 64, a, 64, 0, product[task % 64], 64);
}

static void test_gemm_in_threads(void **state)
{
    (void)state;
    static float a[64 * 64 + 64], alone[64][64 * 64];
    hs_rng rng;
    hs_rng_init(&rng, 2, HS_PURPOSE('g', 'e', 'm', 'm'), 0, 0);
    fill(&rng, 64 * 64 + 64, a, 1);
    hs_pool_run(NULL, 64, multiply_task, a);
    memcpy(alone, product, sizeof alone);
    hs_pool *pool = hs_pool_create(4);
    for (int i = 0; i < 50; i++) {
        memset(product, 0, sizeof product);
        hs_pool_run(pool, 64, multiply_task, a);
        assert_memory_equal(alone, product, sizeof alone);
    }
    hs_pool_free(pool);
}

int main(void)
{
    hs_error err;
    if (hs_tensor_open(&err) != HS_OK) {
        fprintf(stderr, "%s\n", err.what);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_rms_norm),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_in_blocks),
        cmocka_unit_test(test_blocks_leave_no_trace),
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_label_smoothing),
        cmocka_unit_test(test_losses_far_from_the_top),
        cmocka_unit_test(test_stablemax_far_from_the_top),
        cmocka_unit_test(test_elementwise),
        cmocka_unit_test(test_argmax_takes_the_first_of_equals),
        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_gemm_in_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
