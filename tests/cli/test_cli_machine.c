/* The program where the machine lacks something: the BLAS, memory, room on the disk, a reader of its output; and where the
 * environment says what cannot be. */
#include "cli_test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 }; /* reserves more address space than the limits below */
#else
enum { SANITIZED = 0 };
#endif

static const char tiny[] = "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n  holdout: 0.1\n"
                           "model:\n  n_embd: 16\n  n_head: 2\n"
                           "train:\n  steps: 20\n  batch: 16\n  threads: 1\n  eval_every: 10\n"
                           "  stop_split: id_atomic\n  stop_accuracy: 0.9\n";

static void test_blas(void **state)
{
    (void)state;
    write_file("tiny.yaml", tiny);
    /* The error names what was tried and what to install. */
    assert_sh(
        1, "HOPSCOPE_BLAS=/nowhere/lib.so $H run tiny.yaml -o a", "",
        "no threaded OpenBLAS: /nowhere/lib.so is not there\n  hint: install the Debian package libopenblas0-pthread");
    assert_nothing_at("a");
    assert_sh(1, "HOPSCOPE_BLAS=libm.so.6 $H run tiny.yaml -o a", "", "libm.so.6 is not OpenBLAS");
    assert_sh(1, "HOPSCOPE_BLAS='" TEST_BINARY_DIR "/serial-openblas/libopenblas.so.0' $H run tiny.yaml -o a", "",
              "libopenblas.so.0 is the serial build, which threads cannot share");
    assert_nothing_at("a");
    /* A serial build under the common name, as Debian's alternatives may have it, hides the threaded one from nobody. */
    assert_sh(0, "LD_LIBRARY_PATH='" TEST_BINARY_DIR "/serial-openblas' $H run tiny.yaml -q -o a", "test_ii", "");
    /* That is no result of an arm. */
    sh("cp tiny.yaml plan.yaml; printf 'sweep:\n  seeds: 1\n  arms:\n    one: {train.lr: 1e-3}\n' >> plan.yaml");
    assert_sh(1, "HOPSCOPE_BLAS=/nowhere/lib.so $H sweep plan.yaml -o b", "", "no threaded OpenBLAS");
}

static void test_isa(void **state)
{
    (void)state;
    write_file("tiny.yaml", tiny);
    assert_sh(2, "HOPSCOPE_ISA=nonsense $H run tiny.yaml -o a", "",
              "HOPSCOPE_ISA: no such kernels: 'nonsense'\n  hint: possible here: baseline");
    assert_nothing_at("a");
    assert_sh(0, "HOPSCOPE_ISA=baseline $H --version", "kernels baseline", "");
}

static void test_address_space(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    write_file("tiny.yaml", tiny);
    assert_sh(0, "$H run tiny.yaml -q -o a", "", "");
    /* OpenBLAS itself would wait here forever. */
    assert_sh(1, "( ulimit -v 150000; timeout 60 $H ask a )", "", "OpenBLAS: out of memory");
    assert_sh(1, "( ulimit -v 700000; timeout 60 $H run tiny.yaml --set train.threads=8 -o b )", "",
              "lower train.threads");
    /* What it says it needs is enough: one buffer for each thread. */
    assert_sh(0, "( ulimit -v 700000; timeout 60 $H run tiny.yaml --set train.threads=2 -o b )", "test_ii",
              "268 MB set aside by the BLAS");
}

static void test_output_cannot_be_written(void **state)
{
    (void)state;
    write_file("tiny.yaml", tiny);
    assert_sh(0, "$H run tiny.yaml -q -o a", "", "");
    static const char *const commands[] = {"--help",
                                           "--version",
                                           "--man",
                                           "--completion",
                                           "run --help",
                                           "run tiny.yaml -q -o a",
                                           "ask a",
                                           "eval a",
                                           "verify a",
                                           "sweep --help",
                                           "fetch",
                                           "graph stats world",
                                           "config",
                                           "data --help",
                                           "graph --help",
                                           "data audit a/dataset",
                                           "data make --help",
                                           "config tiny.yaml",
                                           "run tiny.yaml --json -q -o a",
                                           "graph stats world --json",
                                           "graph convert world"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char line[300];
        snprintf(line, sizeof line, "$H %s", commands[i]);
        if (sh(line) != 0 || !out[0])
            continue; /* writes nothing there */
        snprintf(line, sizeof line, "$H %s > /dev/full", commands[i]);
        assert_sh(74, line, "", "to standard output");
    }
}

static void test_dry_run_ends_at_once(void **state)
{
    (void)state;
    write_file("tiny.yaml", tiny);
    /* The graph never comes; timeout kills after a minute if SIGTERM does not end it. */
    assert_sh(143,
              "mkfifo pipe; exec 3<>pipe; timeout --preserve-status -k 60 1 $H run -n tiny.yaml "
              "--set graph.path=- <&3",
              "", "");
}

static void test_long_paths(void **state)
{
    (void)state;
    write_file("tiny.yaml", tiny);
    char part[201], dir[1100] = "", line[2400];
    memset(part, 'd', 200);
    part[200] = 0;
    for (int i = 0; i < 5; i++)
        snprintf(dir + strlen(dir), sizeof dir - strlen(dir), "%s/", part);
    snprintf(line, sizeof line, "$H run tiny.yaml -o %srun", dir);
    assert_sh(2, line, "", "SQLite takes up to 504");
    sh("ls -d ddd* 2> /dev/null");
    assert_string_equal(out, ""); /* refused before anything is written */
    /* Everything else takes them. */
    snprintf(line, sizeof line,
             "D=%s; mkdir -p $D; $H data make tiny.yaml -o $D/data && $H data audit $D/data &&\n"
             "$H run tiny.yaml -q -o run && $H export run --hf $D/hf &&\n"
             "$H graph convert world -o $D/world.tsv && $H graph stats $D/world.tsv",
             dir);
    assert_sh(0, line, "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_blas, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_isa, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_address_space, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_output_cannot_be_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dry_run_ends_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_paths, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
