/* hopscope tokenize: learning, ids, and what it refuses. */
#include "cli_test.h"

static void test_tokenize(void **state)
{
    (void)state;
    write_file("text", "the cat sat\non the mat\nthe cat\n");
    assert_sh(0, "$H tokenize text --learn words -o words.json", "", "words.json: 7 tokens");
    assert_sh(0, "$H tokenize text --with words.json", "1 2 3\n4 5 6\n1 2\n", "");
    assert_sh(0, "$H tokenize text --learn 260 -o t.json && echo the cat | $H tokenize - --with t.json", "", "t.json: 260 tokens");
    assert_int_equal(strspn(out, "0123456789 \n"), strlen(out));
}

static void test_refused(void **state)
{
    (void)state;
    write_file("text", "caf\xc3\xa9\ncaf\xc3\n");
    assert_sh(65, "$H tokenize text --learn 300 -o t.json", "", "text:2");
    assert_nothing_at("t.json");
    write_file("text", "some text\n");
    assert_sh(2, "$H tokenize text", "", "either --with");
    assert_sh(2, "$H tokenize text --learn 12 -o t.json", "", "from 256 to 262144, not 12");
    assert_sh(2, "$H tokenize text --learn 300", "", "-o FILE");
    assert_sh(0, "$H tokenize text --learn 300 -o t.json", "", "");
    assert_sh(74, "$H tokenize text --learn 300 -o t.json", "", "t.json");
    assert_sh(0, "head -c 400 t.json > cut.json", "", "");
    assert_sh(65, "$H tokenize text --with cut.json", "", "cut.json:");
    assert_sh(74, "$H tokenize text --with none.json", "", "none.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_tokenize, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
