/* hopscope baseline and graph augment --model asking a server of language models that makes every fault. The server is
 * in tests/cli/lm.py. */
#include "cli/cli_test.h"
#include "hopscope/lm.h"

static const char small[] = "data:\n  entities: 60\n  relations: 8\n  out_degree: 5\n  phi: 2\n  holdout: 0.25\n"
                            "model:\n  n_embd: 16\n  n_head: 2\n  n_layer: 1\ntrain:\n  steps: 20\n  batch: 64\n";

static void check(const char *name)
{
    char line[1500];
    if (!hs_lm_has_http()) {
        print_message("skipped: built without libcurl\n");
        skip();
    }
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml -o run -q", "20 steps", "");
    snprintf(line, sizeof line, "python3 %s/cli/lm.py $H %s", TEST_SOURCE_DIR "/tests", name);
    const int code = sh(line);
    if (code == 0 && strstr(out, "skipped:")) {
        print_message("%s", out);
        skip();
    }
    if (code != 0 || !strstr(out, "fine"))
        fail_msg("%s: exit code %d\n%s\n%s", line, code, out, message);
    print_message("%s", message);
}

#define CHECK(name)                                                                                                    \
    static void test_##name(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        check(#name);                                                                                                  \
    }
CHECK(plain)
CHECK(published)
CHECK(words)
CHECK(faults)
CHECK(wrong)
CHECK(caps)
CHECK(batch)
CHECK(tls)
CHECK(busy)
CHECK(augment)
CHECK(invent)

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {TEST(plain), TEST(published), TEST(words), TEST(faults),
                                       TEST(wrong), TEST(caps),      TEST(batch), TEST(tls),
                                       TEST(busy),  TEST(augment),   TEST(invent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
