/* Philox against the published known answers of Random123, and the distributions and permutations built on it. */
#include "hopscope/core.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

/* Random123 1.14, tests/kat_vectors, lines "philox4x32 10". */
static void test_philox_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t ctr[4], key[2], out[4];
    } kat[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof kat / sizeof *kat; i++) {
        uint32_t out[4];
        hs_philox(kat[i].ctr, kat[i].key, out);
        for (int j = 0; j < 4; j++)
            assert_int_equal(out[j], kat[i].out[j]);
    }
}

static void test_streams(void **state)
{
    (void)state;
    hs_rng a, b;
    const uint32_t purpose = HS_PURPOSE('t', 'e', 's', 't');
    hs_rng_init(&a, 7, purpose, 3, 1);
    hs_rng_init(&b, 7, purpose, 3, 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(hs_rng_u32(&a), hs_rng_u32(&b));
    /* Every part of the name matters, the upper half of the step included. */
    const struct {
        uint64_t seed;
        uint32_t purpose;
        uint64_t step;
        uint32_t index;
    } name[] = {{8, purpose, 3, 1}, {7 + ((uint64_t)1 << 32), purpose, 3, 1}, {7, purpose + 1, 3, 1},
                {7, purpose, 4, 1}, {7, purpose, 3 + ((uint64_t)1 << 32), 1}, {7, purpose, 3, 2}};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        hs_rng_init(&a, 7, purpose, 3, 1);
        hs_rng_init(&b, name[i].seed, name[i].purpose, name[i].step, name[i].index);
        assert_int_not_equal(hs_rng_u64(&a), hs_rng_u64(&b));
    }
}

static void test_distributions(void **state)
{
    (void)state;
    hs_rng rng;
    hs_rng_init(&rng, 1, HS_PURPOSE('t', 'e', 's', 't'), 0, 0);
    enum { N = 200000, K = 7 };
    int count[K] = {0};
    double sum = 0, square = 0, least = 1, most = 0, mean = 0;
    for (int i = 0; i < N; i++) {
        count[hs_rng_below(&rng, K)]++;
        double u = hs_rng_uniform(&rng), x = hs_rng_normal(&rng);
        least = fmin(least, u);
        most = fmax(most, u);
        mean += u / N;
        sum += x;
        square += x * x;
        assert_true(isfinite(x));
    }
    for (int k = 0; k < K; k++)
        assert_true(abs(count[k] - N / K) < 5 * 157); /* five standard deviations */
    assert_true(least >= 0 && least < 1e-3 && most < 1 && most > 1 - 1e-3);
    assert_true(fabs(mean - 0.5) < 0.004);
    assert_true(fabs(sum / N) < 0.012);
    assert_true(fabs(square / N - 1) < 0.02);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(hs_rng_below(&rng, 1), 0);
        uint64_t n = ((uint64_t)3 << 62) + 1;
        assert_true(hs_rng_below(&rng, n) < n);
    }
}

static void test_shuffle(void **state)
{
    (void)state;
    enum { N = 1000 };
    uint32_t x[N];
    bool seen[N] = {false};
    for (uint32_t i = 0; i < N; i++)
        x[i] = i;
    hs_rng rng;
    hs_rng_init(&rng, 2, HS_PURPOSE('t', 'e', 's', 't'), 0, 0);
    hs_rng_shuffle_u32(&rng, x, N);
    int fixed = 0;
    for (uint32_t i = 0; i < N; i++) {
        assert_false(seen[x[i]]);
        seen[x[i]] = true;
        fixed += x[i] == i;
    }
    assert_true(fixed < 10);
    hs_rng_shuffle_u32(&rng, x, 0);
    hs_rng_shuffle_u32(&rng, x, 1);
}

static void test_permute_is_a_bijection(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 4, 5, 15, 16, 17, 255, 256, 257, 4095, 5000};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        uint64_t n = sizes[k];
        for (uint64_t step = 0; step < 3; step++) {
            bool seen[5000] = {false};
            uint64_t moved = 0;
            for (uint64_t i = 0; i < n; i++) {
                uint64_t p = hs_permute(9, HS_PURPOSE('p', 'e', 'r', 'm'), step, n, i);
                assert_true(p < n);
                assert_false(seen[p]);
                seen[p] = true;
                moved += p != i;
            }
            if (n > 200)
                assert_true(moved > n - n / 10);
        }
    }
    /* Different steps give different permutations, also beyond 2^32. */
    uint64_t same = 0;
    for (uint64_t i = 0; i < 1000; i++)
        same += hs_permute(9, 1, 5, 1000, i) == hs_permute(9, 1, 5 + ((uint64_t)1 << 32), 1000, i);
    assert_true(same < 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox_known_answers),   cmocka_unit_test(test_streams),
        cmocka_unit_test(test_distributions),          cmocka_unit_test(test_shuffle),
        cmocka_unit_test(test_permute_is_a_bijection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
