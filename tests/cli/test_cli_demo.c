/* tools/demo.sh: it names the curve and the next commands, and fails where the model has not learned to compose. */
#include "cli_test.h"

/* Stands in for the program: a small run in place of the demonstration, and $ACCURACY, where given, as that of test_ii. */
static const char stand_in[] =
    "#!/bin/sh\n"
    "h=" TEST_BINARY_DIR "/hopscope\n"
    "case $1 in\n"
    "run) exec $h run small.yaml -o runs/demo -q ;;\n"
    "ask) echo answered: \"$@\" ;;\n"
    "plot) [ -z \"${NO_PLOT-}\" ] && echo '<svg/>' > \"$4\" ;;\n"
    "eval) if [ -z \"${ACCURACY-}\" ]; then exec $h \"$@\"; fi\n"
    "    $h \"$@\" | sed \"s/\\(\\\"test_ii\\\"[^}]*\\\"accuracy\\\": *\\)[0-9.e+-]*/\\1$ACCURACY/\" ;;\n"
    "esac\n";

static void test_demo(void **state)
{
    (void)state;
    write_file("small.yaml", "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n  holdout: 0.2\n"
                             "model:\n  n_embd: 16\n  n_head: 2\n"
                             "train:\n  steps: 12\n  batch: 16\n");
    write_file("program", stand_in);
    assert_sh(0, "chmod +x program", "", "");
    static const char demo[] = "sh " TEST_SOURCE_DIR "/tools/demo.sh ./program";
    char line[800];
    assert_sh(1, demo, "runs/demo.svg", "demo: test_ii is 0"); /* untrained; the value is read from the real JSON */
    snprintf(line, sizeof line, "ACCURACY=0.979 %s", demo);
    assert_sh(1, line, "", "demo: test_ii is 0.979; at least 0.98");
    snprintf(line, sizeof line, "ACCURACY=0.991 %s", demo);
    assert_sh(0, line, "What to type next", "");
    assert_non_null(strstr(out, "The curve: runs/demo.svg"));
    assert_non_null(strstr(out, "answered: ask runs/demo"));
    snprintf(line, sizeof line, "NO_PLOT=1 ACCURACY=0.991 %s", demo);
    assert_sh(0, line, "No curve was drawn", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_demo, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
