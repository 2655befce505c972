/* Settings by themselves: ranges, choices, texts, and what is said about them. */
#include "check.h"
#include "core/setting.h"

typedef struct sample {
    uint32_t count, kind;
    uint64_t seed;
    double share;
    float rate;
    bool on;
    char word[8], text[4];
} sample;

static const char *const kinds[] = {"a", "b", NULL};
static const char *const words[] = {"", "one", "two", NULL};
static const hs_setting rows[] = {
    HS_SETTING(sample, count, "count", 2, 10, NULL, 0, "a number"),
    HS_SETTING(sample, kind, "kind", 0, 0, kinds, 0, "a choice"),
    HS_SETTING(sample, seed, "seed", 0, HS_SETTING_MAX64, NULL, 0, "a large number"),
    HS_SETTING(sample, share, "share", 0, 1, NULL, HS_SETTING_BELOW, "less than 1"),
    HS_SETTING(sample, rate, "rate", 0, 1, NULL, 0, "up to 1"),
    HS_SETTING(sample, on, "on", 0, 1, NULL, 0, "a switch"),
    HS_SETTING(sample, word, "word", 0, 0, words, 0, "one of three"),
    HS_SETTING(sample, text, "text", 0, 0, NULL, 0, "free"),
};
enum { N = sizeof rows / sizeof *rows };
static const sample good = {.count = 2, .kind = 1, .seed = 7, .share = 0.5, .rate = 1, .word = "one", .text = "abc"};

static void refused(const sample *s, const char *where, const char *value, const char *hint)
{
    hs_error err;
    assert_int_equal(hs_settings_check(rows, N, s, "part", &err), HS_ERR_DATA);
    assert_string_equal(err.where, where);
    assert_string_equal(err.value, value);
    assert_non_null(strstr(err.hint, hint));
}

static void test_check(void **state)
{
    (void)state;
    assert_int_equal(hs_settings_check(rows, N, &good, "part", NULL), HS_OK);
    sample s = good;
    s.count = 11;
    refused(&s, "part.count", "11", "2 to 10");
    s = good;
    s.share = 1;
    refused(&s, "part.share", "1", "0 to below 1");
    s = good;
    s.share = (double)NAN;
    refused(&s, "part.share", "nan", "0 to below 1");
    s = good;
    s.kind = 2;
    refused(&s, "part.kind", "2", "a, b");
    s = good;
    strcpy(s.word, "three");
    refused(&s, "part.word", "three", "one, two");
    s = good;
    memcpy(s.text, "abcd", 4); /* no end */
    refused(&s, "part.text", "", "");
}

static void test_types(void **state)
{
    (void)state;
    static const hs_setting_type expected[N] = {HS_SETTING_U32,    HS_SETTING_ENUM,  HS_SETTING_U64,
                                                HS_SETTING_DOUBLE, HS_SETTING_FLOAT, HS_SETTING_BOOL,
                                                HS_SETTING_STRING, HS_SETTING_STRING};
    for (size_t i = 0; i < N; i++)
        assert_int_equal(rows[i].type, expected[i]);
    char text[32];
    hs_setting_range(&rows[2], text, sizeof text);
    assert_string_equal(text, "from 0");
    hs_setting_range(&rows[5], text, sizeof text);
    assert_string_equal(text, "true, false");
    hs_setting_range(&rows[6], text, 6); /* cut */
    assert_string_equal(text, "one, ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_check), cmocka_unit_test(test_types)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
