/* Tables of wordings: the program's own, slots filled, and what is wrong with a bad one. */
#include "hopscope/text.h"

#include "check.h"

static hs_error error;

static void test_default(void **state)
{
    (void)state;
    hs_templates *t;
    size_t n;
    assert_ok(hs_templates_default(&t, err));
    const char *const *w = hs_templates_of(t, "currency", HS_WORDING_FACT, &n);
    assert_true(n > 1);
    hs_str out = {0};
    hs_template_fill(w[0], "ht", (const char *const[]){"Peru", "Sol {h}"}, &out);
    assert_string_equal(out.s, "The currency of Peru is Sol {h}."); /* values are taken as they are */
    hs_str_free(&out);
    hs_templates_of(t, "no such relation", HS_WORDING_FACT, &n);
    assert_int_equal(n, 0);
    hs_templates_of(t, NULL, HS_WORDING_SAME, &n);
    assert_true(n > 0);
    hs_templates_distractors(t, &n);
    assert_true(n > 5);
    hs_templates_free(t);
    hs_templates_free(NULL);
}

static void test_bad(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *where, *what;
    } cases[] = {
        {"relations: {a: {fact: [\"{h} is.\"]}}", "t.yaml:1: a.fact", "slot {t}"},
        {"relations:\n  a:\n    fact: [\"{t} is of {h}.\"]", "t.yaml:3", "ends with {t}"},
        {"relations: {a: {fact: [\"{h} is {t}\"]}}", "a.fact", "full stop"},
        {"relations: {a: {fact: [\"{h} {z} {t}.\"]}}", "a.fact", "unknown slot: {z}"},
        {"relations: {a: {fact: [\"{h} {t}.\", \"{h} {r} {t}.\"]}}", "a.fact", "unknown slot: {r}"},
        {"relations: {a: {of: [\"the {x} {x}\"]}}", "a.of", "slot {x}, once"},
        {"relations: {a: {of: []}}", "a.of", "1 to 64"},
        {"relations: {a: {of: the x}}", "a.of", "list"},
        {"relations: {a: {off: [x]}}", "a", "unknown kind"},
        {"relations: {a: {of: [\"{x}\"]}, a: {of: [\"{x}\"]}}", "relations", "twice"},
        {"relations: [a]", "relations", "mapping"},
        {"relation: {}", "t.yaml:1", "unknown key"},
        {"distractors: [\"{t} is.\"]", "distractors", "unknown slot"},
        {"ask: [\"What {\"]", "ask", "unknown slot"},
        {"[]", "t.yaml:1", "mapping"},
        {"", "t.yaml:1", "mapping"},
        {"relations: {", "t.yaml:", "not YAML"},
        {"relations: {a: {of: [\"\xc3\"]}}", "t.yaml", "not YAML"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hs_templates *t;
        assert_int_equal(hs_templates_read(&t, cases[i].yaml, strlen(cases[i].yaml), "t.yaml", &error), HS_ERR_DATA);
        assert_null(t);
        if (!strstr(error.where, cases[i].where) || !strstr(error.what, cases[i].what))
            fail_msg("case %zu: %s: %s", i, error.where, error.what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_default), cmocka_unit_test(test_bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
