/* hopscope serve as browsers meet it, beside trained and training runs. The client is tests/cli/serve.py. */
#include "cli/cli_test.h"

static const char small[] = "data:\n  entities: 30\n  relations: 6\n  out_degree: 4\n  phi: 2\n  holdout: 0.2\n"
                            "model:\n  n_embd: 32\n  n_head: 2\ntrain:\n  steps: 200\n  batch: 128\n"
                            "report:\n  title: '</script><script>alert(1)</script>'\n";

static void serve(const char *check, const char *arguments)
{
    char line[1500];
    snprintf(line, sizeof line, "python3 %s/cli/serve.py $H %s %s", TEST_SOURCE_DIR "/tests", check, arguments);
    assert_sh(0, line, "fine", "");
}

static void train(void)
{
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml -o run -q", "200 steps", "");
}

static void test_page(void **state)
{
    (void)state;
    train();
    serve("page", "run");
    serve("flood", "run");
}

static void test_live(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "mkdir runs", "", "");
    serve("live", "small.yaml runs/live");
}

static void test_attack(void **state)
{
    (void)state;
    train();
    serve("attack", "run");
}

static void test_folder(void **state)
{
    (void)state;
    train();
    serve("folder", "all run");
    serve("read_only", "run");
}

static void test_usage(void **state)
{
    (void)state;
    assert_sh(74, "$H serve", "", "runs: there is no such folder");
    assert_sh(2, "$H serve --port 70000", "", "--port is from 1 to 65535");
    assert_sh(2, "$H serve a b", "", "too many arguments");
    assert_sh(0, "$H serve --help", "Ctrl-C ends it", "");
    assert_sh(0, "mkdir runs; (timeout -s INT 1 $H serve --host 127.0.0.1 > said); cat said",
              "http://127.0.0.1:", "no password");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {T(test_page), T(test_live), T(test_attack), T(test_folder), T(test_usage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
