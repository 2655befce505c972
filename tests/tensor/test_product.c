/* The micro-kernels of matrix products against float64 sums and against the BLAS; every instruction set the same bits. */
#include "../check.h"

#include "hopscope/tensor.h"
#include "tensor/product.h"

static const char *const builds[] = {"avx2", "avx512"};
static float scratch[HS_PRODUCT_SCRATCH] __attribute__((aligned(64)));

static void fill(hs_rng *rng, size_t n, float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)hs_rng_normal(rng);
}

typedef struct shape {
    size_t M, N, K, pad; /* pad: floats behind each row of A, B and C */
} shape;

/* Tails of every tile and panel, several runs of K, a transposed A far enough apart to be packed, empty sides. */
static const shape shapes[] = {{1, 1, 1, 0},      {13, 9, 17, 3},   {6, 16, 8, 0},      {8, 32, 40, 0},
                               {37, 45, 29, 1},   {15, 33, 385, 2}, {128, 128, 128, 0}, {700, 40, 50, 5},
                               {650, 31, 800, 0}, {5, 70, 1000, 7}, {3, 4, 0, 0},       {0, 4, 3, 0},
                               {4, 0, 3, 0},      {0, 4, 3, 700}};

/* One product by `build` into c, whose rows have `pad` floats behind them that must stay as they are. */
static void multiply(const hs_kernels *k, const shape *s, bool ta, bool tb, float beta, const float *a, const float *b,
                     float *c)
{
    k->product(ta, tb, s->M, s->N, s->K, 0.5f, a, (ta ? s->M : s->K) + s->pad, b, (tb ? s->K : s->N) + s->pad, beta, c,
               s->N + s->pad, scratch);
}

static void compare(const shape *s, bool ta, bool tb, float beta)
{
    const size_t lda = (ta ? s->M : s->K) + s->pad, ldb = (tb ? s->K : s->N) + s->pad, ldc = s->N + s->pad;
    const size_t na = (ta ? s->K : s->M) * lda, nb = (tb ? s->N : s->K) * ldb, nc = s->M * ldc;
    float *a = hs_calloc(na + 1, sizeof *a), *b = hs_calloc(nb + 1, sizeof *b), *c = hs_calloc(nc + 1, sizeof *c);
    float *want = hs_calloc(nc + 1, sizeof *want), *got[2] = {0}, *blas = hs_calloc(nc + 1, sizeof *blas);
    hs_rng rng;
    hs_rng_init(&rng, 5, HS_PURPOSE('p', 'r', 'o', 'd'), s->M * 1000 + s->N, (uint32_t)s->K);
    fill(&rng, na, a);
    fill(&rng, nb, b);
    fill(&rng, nc, c);
    memcpy(want, c, nc * sizeof *c);
    memcpy(blas, c, nc * sizeof *c);
    for (size_t i = 0; i < s->M; i++)
        for (size_t j = 0; j < s->N; j++) {
            double sum = 0;
            for (size_t l = 0; l < s->K; l++)
                sum += (double)a[ta ? l * lda + i : i * lda + l] * (double)b[tb ? j * ldb + l : l * ldb + j];
            want[i * ldc + j] = (float)(0.5 * sum + (double)beta * (double)c[i * ldc + j]);
        }
    for (size_t n = 0; n < 2; n++) {
        const hs_kernels *k = hs_kernels_named(builds[n]);
        if (!k)
            continue;
        got[n] = hs_calloc(nc + 1, sizeof *c);
        memcpy(got[n], c, nc * sizeof *c);
        for (size_t i = 0; beta == 0 && i < s->M; i++) /* beta 0 does not read C */
            for (size_t j = 0; j < s->N; j++)
                got[n][i * ldc + j] = NAN;
        multiply(k, s, ta, tb, beta, a, b, got[n]);
        assert_near(builds[n], got[n], want, nc, 1e-6);
    }
    if (got[0] && got[1])
        assert_memory_equal(got[0], got[1], nc * sizeof *c);
    if (s->K > 0)
        hs_gemm_blas(ta, tb, s->M, s->N, s->K, 0.5f, a, lda, b, ldb, beta, blas, ldc);
    if (s->K > 0 && got[0])
        assert_near("blas", blas, got[0], nc, 1e-6);
    hs_free(got[0]);
    hs_free(got[1]);
    hs_free(a);
    hs_free(b);
    hs_free(c);
    hs_free(want);
    hs_free(blas);
}

static void test_product(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int form = 0; form < 4; form++)
            for (int beta = 0; beta < 3; beta++)
                compare(&shapes[i], form & 1, form & 2, (float)beta);
}

/* Rows computed alone have the bits they have among others: the work can be cut anywhere. */
static void test_rows_do_not_know_each_other(void **state)
{
    (void)state;
    enum { M = 29, N = 50, K = 400 };
    static float a[M * K], b[K * N], whole[M * N], alone[N];
    hs_rng rng;
    hs_rng_init(&rng, 6, HS_PURPOSE('p', 'r', 'o', 'd'), 0, 0);
    fill(&rng, M * K, a);
    fill(&rng, K * N, b);
    for (size_t n = 0; n < 2; n++) {
        const hs_kernels *k = hs_kernels_named(builds[n]);
        if (!k)
            continue;
        k->product(false, false, M, N, K, 1, a, K, b, N, 0, whole, N, scratch);
        for (size_t i = 0; i < M; i++) {
            k->product(false, false, 1, N, K, 1, a + i * K, K, b, N, 0, alone, N, scratch);
            assert_memory_equal(alone, whole + i * N, sizeof alone);
        }
    }
}

int main(void)
{
    hs_error err;
    if (hs_tensor_open(&err) != HS_OK) {
        fprintf(stderr, "%s\n", err.what);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_product),
        cmocka_unit_test(test_rows_do_not_know_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
