/* Growable text, JSON escapes, UTF-8, the nearest word, error detail. */
#include "hopscope/core.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static void test_str(void **state)
{
    (void)state;
    hs_str s = {0};
    hs_str_add(&s, NULL, 0);
    for (int i = 0; i < 1000; i++)
        hs_str_addf(&s, "%d,", i);
    assert_false(s.failed);
    assert_int_equal(s.len, strlen(s.s));
    assert_memory_equal(s.s, "0,1,2,3,", 8);
    assert_string_equal(s.s + s.len - 8, "998,999,");
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    size_t before = s.len;
    hs_str_addf(&s, "%s!", big);
    assert_int_equal(s.len, before + 2000);
    hs_str_free(&s);
    assert_null(s.s);
    /* After a failure everything is a no-op and `failed` stays. */
    hs_alloc_fail_after(1);
    hs_str_add(&s, "a", 1);
    hs_alloc_fail_after(0);
    assert_true(s.failed);
    hs_str_add(&s, "b", 1);
    assert_true(s.failed && s.len == 0);
    hs_str_free(&s);
}

static void test_json(void **state)
{
    (void)state;
    hs_str s = {0};
    static const char text[] = "a\"b\\c\n\t\x01 \xc3\xa9\0z";
    hs_str_add_json(&s, text, sizeof text - 1);
    assert_string_equal(s.s, "\"a\\\"b\\\\c\\u000a\\u0009\\u0001 \xc3\xa9\\u0000z\"");
    hs_str_free(&s);
    hs_str_add_json(&s, NULL, 0);
    assert_string_equal(s.s, "\"\"");
    hs_str_free(&s);
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "plain",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "Wei\xc3\x9f \xe4\xb8\x96 \xf0\x9f\x98\x80"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(hs_utf8_invalid(good[i], strlen(good[i])), SIZE_MAX);
    static const struct {
        const char *s;
        size_t at;
    } bad[] = {{"\x80", 0},
               {"a\xc0\x80", 1},
               {"\xc1\xbf", 0},
               {"ab\xc3", 2},
               {"\xe0\x9f\xbf", 0},
               {"\xed\xa0\x80", 0},
               {"\xf0\x8f\xbf\xbf", 0},
               {"\xf4\x90\x80\x80", 0},
               {"\xf5\x80\x80", 0},
               {"x\xe4\xb8", 1},
               {"\xff", 0},
               {"\xc3(", 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hs_utf8_invalid(bad[i].s, strlen(bad[i].s)), bad[i].at);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"data.out_degree", "train.steps", "train.seed", "run", "ask", "graph"};
    const size_t n = sizeof names / sizeof *names;
    assert_string_equal(hs_nearest("data.outdegree", names, n), "data.out_degree");
    assert_string_equal(hs_nearest("train.sede", names, n), "train.seed");
    assert_string_equal(hs_nearest("rnu", names, n), "run");
    assert_null(hs_nearest("completely different", names, n));
    assert_null(hs_nearest("x", names, n));
    assert_null(hs_nearest("", names, n));
    assert_null(hs_nearest("run", names, 0));
    char count[32];
    assert_string_equal(hs_format_count(0, count), "0");
    assert_string_equal(hs_format_count(999, count), "999");
    assert_string_equal(hs_format_count(1000, count), "1,000");
    assert_string_equal(hs_format_count(UINT64_MAX, count), "18,446,744,073,709,551,615");
}

static void test_error_detail(void **state)
{
    (void)state;
    hs_error err;
    assert_int_equal(hs_fail(&err, HS_ERR_DATA, "bad %d", 7), HS_ERR_DATA);
    assert_int_equal(hs_error_where(&err, "file:%d", 3), HS_ERR_DATA);
    assert_int_equal(hs_error_value(&err, "a\nb\x1b[0m\xff", 8), HS_ERR_DATA);
    assert_int_equal(hs_error_hint(&err, "try %s", "harder"), HS_ERR_DATA);
    assert_string_equal(err.value, "a\\x0ab\\x1b[0m\\xff");
    char text[512];
    hs_error_format(&err, text, sizeof text);
    assert_string_equal(text, "file:3: bad 7: 'a\\x0ab\\x1b[0m\\xff'\n  hint: try harder");
    hs_error_format(&err, text, 5);
    assert_string_equal(text, "file");
    assert_int_equal(hs_fail(NULL, HS_ERR_IO, "x"), HS_ERR_IO);
    assert_int_equal(hs_error_where(NULL, "x"), HS_ERR_IO); /* the status is kept without an hs_error too */
    assert_int_equal(hs_error_value(NULL, "x", 1), HS_ERR_IO);
    /* Names with control characters or broken UTF-8 reach no terminal as they are. */
    hs_fail(&err, HS_ERR_IO, "x\033[2J\xff\xc3\xa9.");
    assert_string_equal(err.what, "x?[2J?\xc3\xa9.");
    /* Cut at a character boundary. */
    char long_text[400];
    memset(long_text, 'a', sizeof long_text);
    long_text[254] = '\xc3';
    long_text[255] = '\xa9';
    long_text[300] = 0;
    hs_fail(&err, HS_ERR_IO, "%s", long_text);
    assert_int_equal(strlen(err.what), 254);
    hs_error_value(&err, long_text, 300);
    assert_true(strlen(err.value) < sizeof err.value);
    assert_string_equal(hs_version(), HS_VERSION);
    assert_int_equal(strspn(hs_interface(), "0123456789abcdef"), 16);
    assert_int_equal(hs_status_exit_code(HS_OK), 0);
    assert_int_equal(hs_status_exit_code(HS_ERR_USAGE), 2);
    assert_int_equal(hs_status_exit_code(HS_ERR_DATA), 65);
    assert_int_equal(hs_status_exit_code(HS_ERR_IO), 74);
    assert_int_equal(hs_status_exit_code(HS_STOPPED_INT), 130);
    assert_int_equal(hs_status_exit_code(HS_STOPPED_TERM), 143);
}

static void count_event(void *user, const hs_event *event)
{
    assert_string_equal(event->stage, "test");
    assert_string_equal(event->text, "n = 3");
    ++*(int *)user;
}

static void test_events(void **state)
{
    (void)state;
    int n = 0;
    hs_events events = {count_event, &n};
    hs_event_send(&events, HS_EVENT_INFO, "test", "n = %d", 3);
    hs_event_send(NULL, HS_EVENT_INFO, "test", "n = %d", 3);
    hs_event_send(&(hs_events){0}, HS_EVENT_INFO, "test", "n = %d", 3);
    assert_int_equal(n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str),     cmocka_unit_test(test_json),         cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_nearest), cmocka_unit_test(test_error_detail), cmocka_unit_test(test_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
