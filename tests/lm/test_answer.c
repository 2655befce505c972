/* Answers of language models: which text is the answer, and which names are the same. */
#include "check.h"
#include "lm/answer.h"

#include "hopscope/lm.h"

#include <unistd.h>

static void assert_found(const char *text, bool direct, const char *expected)
{
    hs_str out = {0};
    const bool found = hs_answer_find(text, direct, &out);
    if (found != (expected != NULL) || (expected && strcmp(out.s, expected) != 0))
        fail_msg("'%s': '%s', expected '%s'", text, found ? out.s : "nothing", expected ? expected : "nothing");
    hs_str_free(&out);
}

static void test_find(void **state)
{
    (void)state;
    assert_found("Answer: Paris", true, "Paris");
    assert_found("**Answer:** Paris.", false, "Paris");
    assert_found("**Answer**: *Paris*", false, "Paris");
    assert_found("answer:\n  'The Hague'\nmore", false, "The Hague");
    assert_found("The answer: Rome. No.\nANSWER: Oslo\n", false, "Oslo");
    assert_found("  Paris.\n\n", true, "Paris");
    assert_found("Paris.", false, NULL); /* step by step, it has to say which part is the answer */
    assert_found("I think.\nParis", true, NULL);
    assert_found("", true, NULL);
    assert_found("Answer:", true, NULL);
    assert_found("Answer: \xe6\x9d\xb1\xe4\xba\xac", true, "\xe6\x9d\xb1\xe4\xba\xac");
}

static void test_match(void **state)
{
    (void)state;
    static const char *const same[][2] = {{"Paris", "paris"},          {"The Hague", "hague"},
                                          {"St. John's", "St Johns"},  {" New   York ", "new york"},
                                          {"Jean-Luc", "jean luc"},    {"\xe2\x80\x9cOslo\xe2\x80\x9d", "Oslo"},
                                          {"1957-08-09", "1957 08 09"}};
    static const char *const other[][2] = {
        {"Paris", "Par is"},       {"-5", "5"}, {"e_1", "e1"}, {"", ""}, {"!", "?"}, {"the", "a"},
        {"Paris, France", "Paris"}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (!hs_answer_match(same[i][0], same[i][1]))
            fail_msg("'%s' and '%s' should match", same[i][0], same[i][1]);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (hs_answer_match(other[i][0], other[i][1]))
            fail_msg("'%s' and '%s' should not match", other[i][0], other[i][1]);
}

static void test_aliases(void **state)
{
    (void)state;
    char path[600];
    snprintf(path, sizeof path, "%s/aliases-%ld.tsv", TEST_BINARY_DIR, (long)getpid());
    static const char good[] = "# names of one thing\nUK\tUnited Kingdom\tGreat Britain\nNYC\tNew York\n";
    assert_ok(hs_file_write(path, good, strlen(good), err));
    hs_aliases a;
    assert_ok(hs_aliases_read(&a, path, err));
    assert_true(hs_answer_match_alias(&a, "great britain", "The UK"));
    assert_true(hs_answer_match_alias(&a, "nyc", "New York"));
    assert_false(hs_answer_match_alias(&a, "NYC", "UK"));
    assert_true(hs_answer_match_alias(&a, "9 August 1957", "1957-08-09"));
    assert_true(hs_answer_match_alias(&a, "August 9, 1957", "1957-08-09"));
    assert_false(hs_answer_match_alias(&a, "August 1957", "1957-08-09"));
    assert_true(hs_answer_match_alias(&a, "American", "United States"));
    assert_false(hs_answer_match_alias(&a, "French", "Germany"));
    hs_aliases_free(&a);
    static const char *const bad[] = {"alone\n", "UK\tGB\nus\tuk\n", "a b\t!\n", "x\t\xc3\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hs_error e = {0};
        assert_ok(hs_file_write(path, bad[i], strlen(bad[i]), err));
        assert_int_equal(hs_aliases_read(&a, path, &e), HS_ERR_DATA);
        assert_non_null(strstr(e.where, path));
    }
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_find), cmocka_unit_test(test_match),
                                       cmocka_unit_test(test_aliases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
