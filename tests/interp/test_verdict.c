/* The verdict as a function of its numbers, borderline ones and missing ones too. */
#include "../check.h"

#include "hopscope/interp.h"

static hs_share share(double value, uint64_t n)
{
    hs_share s = {.value = value, .n = n};
    hs_wilson(value * (double)n, (double)n, &s.low, &s.high);
    return s;
}

static const hs_share MISSING = {.value = NAN, .low = NAN, .high = NAN};

static hs_verdict decide(hs_share train, hs_share accuracy, hs_share lens, hs_share strength)
{
    const hs_verdict_input in = {
        .split = "test_ii", .train = train, .accuracy = accuracy, .lens = lens, .strength = strength};
    hs_verdict v;
    hs_verdict_decide(&in, NULL, &v);
    assert_non_null(strstr(v.text, "verdict on test_ii: "));
    assert_non_null(strstr(v.text, hs_verdict_name(v.kind)));
    return v;
}

static void test_the_four(void **state)
{
    (void)state;
    const hs_share high = share(0.99, 300), low = share(0.02, 300);
    const struct {
        hs_share train, accuracy, lens, strength;
        hs_verdict_kind kind;
    } cases[] = {
        {low, low, low, low, HS_VERDICT_NONE},
        {low, high, high, high, HS_VERDICT_NONE},
        {high, low, low, low, HS_VERDICT_MEMORIZED},
        {high, low, high, high, HS_VERDICT_MEMORIZED}, /* the bridge is there, the second hop is not */
        {high, high, high, high, HS_VERDICT_GROKKED},
        {high, high, low, low, HS_VERDICT_FAKE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const hs_verdict v = decide(cases[i].train, cases[i].accuracy, cases[i].lens, cases[i].strength);
        assert_int_equal(v.kind, cases[i].kind);
        assert_true(v.clear);
        assert_non_null(strstr(v.text, ", clear; "));
    }
}

/* Few items: an interval reaches over its threshold. */
static void test_borderline(void **state)
{
    (void)state;
    const hs_share high = share(0.99, 300), low = share(0.02, 300);
    hs_verdict v = decide(high, share(0.6, 20), high, high);
    assert_true(v.kind == HS_VERDICT_GROKKED && !v.clear);
    v = decide(high, share(0.4, 20), low, low);
    assert_true(v.kind == HS_VERDICT_MEMORIZED && !v.clear);
    v = decide(share(0.89, 100), low, low, low);
    assert_true(v.kind == HS_VERDICT_NONE && !v.clear);
    v = decide(high, high, share(0.45, 20), low);
    assert_true(v.kind == HS_VERDICT_FAKE && !v.clear);
    assert_non_null(strstr(v.text, ", borderline; "));
    /* what the verdict does not rest on does not make it borderline */
    v = decide(high, low, share(0.45, 20), share(0.55, 20));
    assert_true(v.kind == HS_VERDICT_MEMORIZED && v.clear);
}

/* The lens and the trace disagree, or one is missing: never fake unless all that is measured says so, and never clear. */
static void test_disagreement(void **state)
{
    (void)state;
    const hs_share high = share(0.99, 300), low = share(0.02, 300);
    hs_verdict v = decide(high, high, low, high);
    assert_true(v.kind == HS_VERDICT_GROKKED && !v.clear);
    v = decide(high, high, high, low);
    assert_true(v.kind == HS_VERDICT_GROKKED && !v.clear);
    v = decide(high, high, high, MISSING);
    assert_true(v.kind == HS_VERDICT_GROKKED && !v.clear);
    assert_non_null(strstr(v.text, "answers hang on it not measured"));
    v = decide(high, high, low, MISSING);
    assert_true(v.kind == HS_VERDICT_FAKE && !v.clear);
    v = decide(high, high, MISSING, MISSING);
    assert_true(v.kind == HS_VERDICT_UNKNOWN && !v.clear);
    v = decide(MISSING, high, high, high);
    assert_true(v.kind == HS_VERDICT_UNKNOWN);
    v = decide(high, MISSING, high, high);
    assert_true(v.kind == HS_VERDICT_UNKNOWN);
}

static void test_thresholds(void **state)
{
    (void)state;
    const hs_share high = share(0.99, 300), some = share(0.7, 300);
    const hs_verdict_input in = {.split = "s", .train = high, .accuracy = some, .lens = some, .strength = some};
    hs_verdict_thresholds t;
    hs_verdict v;
    hs_verdict_thresholds_default(&t);
    hs_verdict_decide(&in, &t, &v);
    assert_int_equal(v.kind, HS_VERDICT_GROKKED);
    t.lens = t.strength = 0.8;
    hs_verdict_decide(&in, &t, &v);
    assert_int_equal(v.kind, HS_VERDICT_FAKE);
    t.accuracy = 0.8;
    hs_verdict_decide(&in, &t, &v);
    assert_int_equal(v.kind, HS_VERDICT_MEMORIZED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_four),
        cmocka_unit_test(test_borderline),
        cmocka_unit_test(test_disagreement),
        cmocka_unit_test(test_thresholds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
