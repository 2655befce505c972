/* Lists as one text: escapes, empty elements, spaces, out of memory. */
#include "check.h"

static void test_parse(void **state)
{
    (void)state;
    hs_list list;
    assert_ok(hs_list_parse(&list, "in country, a\\, b ,,c\\d,", err));
    assert_int_equal(list.n, 5);
    assert_string_equal(list.item[0], "in country");
    assert_string_equal(list.item[1], "a, b");
    assert_string_equal(list.item[2], "");
    assert_string_equal(list.item[3], "c\\d"); /* a backslash before anything else is a backslash */
    assert_string_equal(list.item[4], "");
    hs_list_free(&list);
    assert_int_equal(list.n, 0);
    assert_ok(hs_list_parse(&list, "", err));
    assert_int_equal(list.n, 0);
    assert_null(list.item);
    assert_ok(hs_list_parse(&list, NULL, err));
    assert_int_equal(list.n, 0);
    hs_list_free(&list);
    hs_alloc_fail_after(1);
    hs_status status = hs_list_parse(&list, "a,b", NULL);
    hs_alloc_fail_after(0);
    assert_int_equal(status, HS_ERR_MEMORY);
    assert_int_equal(list.n, 0);
}

static void test_has(void **state)
{
    (void)state;
    assert_true(hs_list_has("a, b c ,d\\,e", "b c"));
    assert_true(hs_list_has("a, b c ,d\\,e", "d,e"));
    assert_false(hs_list_has("a, b c ,d\\,e", "d"));
    assert_false(hs_list_has("a, b c ,d\\,e", "b"));
    assert_false(hs_list_has("ab", "a"));
    assert_false(hs_list_has("a", "ab"));
    assert_false(hs_list_has("", "a"));
    assert_false(hs_list_has(NULL, "a"));
    assert_false(hs_list_has("", ""));
    assert_true(hs_list_has("a,,b", ""));
}

static void test_get(void **state)
{
    (void)state;
    char element[5];
    assert_true(hs_list_get(" a,b\\,c,", 0, element, sizeof element));
    assert_string_equal(element, " a"); /* as written */
    assert_true(hs_list_get(" a,b\\,c,", 1, element, sizeof element));
    assert_string_equal(element, "b,c");
    assert_true(hs_list_get(" a,b\\,c,", 2, element, sizeof element));
    assert_string_equal(element, "");
    assert_false(hs_list_get(" a,b\\,c,", 3, element, sizeof element));
    assert_false(hs_list_get("", 0, element, sizeof element));
    assert_true(hs_list_get("\\,234", 0, element, sizeof element));
    assert_string_equal(element, ",234");
    assert_false(hs_list_get("12345", 0, element, sizeof element)); /* does not fit */
}

/* What is added comes back. */
static void test_add(void **state)
{
    (void)state;
    static const char *const words[] = {"plain", "a,b", ",", "back\\slash", "x y"};
    hs_str text = {0};
    for (size_t i = 0; i < 5; i++)
        hs_list_add(&text, words[i], strlen(words[i]));
    hs_list list;
    assert_ok(hs_list_parse(&list, text.s, err));
    assert_int_equal(list.n, 5);
    for (size_t i = 0; i < 5; i++) {
        char element[16];
        assert_string_equal(list.item[i], words[i]);
        assert_true(hs_list_has(text.s, words[i]));
        assert_true(hs_list_get(text.s, i, element, sizeof element));
        assert_string_equal(element, words[i]);
    }
    hs_list_free(&list);
    hs_str_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_has),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_add),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
