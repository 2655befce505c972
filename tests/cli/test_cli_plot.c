/* hopscope plot as its users meet it. */
#include "hopscope/core.h"

#include "cli/cli_test.h"

static const char tiny[] = "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n  holdout: 0.1\n"
                           "model:\n  n_embd: 16\n  n_head: 2\n"
                           "train:\n  steps: 200\n  batch: 16\n  threads: 1\n  eval_every: 10\n  lr: 1e-2\n"
                           "  stop_split: id_atomic\n  stop_accuracy: 0.5\n  stop_patience: 1\n"
                           "report:\n  title: Tiny\n";

static bool has_gnuplot(void)
{
    return system("gnuplot --version > /dev/null 2>&1") == 0;
}

static void test_plot(void **state)
{
    (void)state;
    write_file("tiny.yaml", tiny);
    assert_sh(2, "$H plot", "", "missing argument: RUN");
    assert_sh(2, "$H plot runs/tiny", "", "-o FILE.svg");
    assert_sh(74, "$H plot runs/tiny -o a.svg", "", "run.db is not there");
    assert_sh(0, "$H run tiny.yaml -q", "", "");
    assert_sh(2, "$H plot runs/tiny -o a.jpg", "", ".svg, .png or .pdf");
    assert_sh(2, "$H plot runs/tiny -o a.svg --splits nothing", "", "'nothing'");
    assert_sh(2, "$H plot runs/tiny -o a.svg --step 3", "", "--what METHOD");
    assert_sh(2, "$H plot runs/tiny -o a.svg --what lense", "", "did you mean 'lens'");
    assert_sh(65, "$H plot runs/tiny -o a.svg --what lens", "",
              "hopscope interpret runs/tiny --method lens --steps all");
    assert_sh(1, "PATH=/nowhere; $H plot runs/tiny -o a.svg", "", "gnuplot-nox");
    if (!has_gnuplot())
        return;
    assert_sh(0, "$H plot runs/tiny -o a.svg --script && grep -c Tiny a.svg && ls a.gp a.dat", "a.gp", "");
    assert_sh(0, "cp -r runs/tiny again && $H plot runs/tiny again -o b.png --seconds --loss && head -c 4 b.png", "PNG",
              "");
    assert_sh(0, "$H interpret runs/tiny --method lens,trace --steps all --split test_ii", "mrr", "");
    assert_sh(0, "$H plot runs/tiny -o l.svg --what lens && grep -o 'mrr of b, test_ii' l.svg", "mrr of b, test_ii",
              "");
    assert_sh(0, "$H plot runs/tiny -o t.pdf --what trace --measure effect --role h && head -c 4 t.pdf", "%PDF", "");
    assert_sh(0, "$H plot runs/tiny again -o b.png --json | python3 -c 'import json,sys; print(json.load(sys.stdin))'",
              "{'out': 'b.png', 'runs': ['runs/tiny', 'again']}", ""); /* drawn anew */
    /* a folder that nobody may write to */
    assert_sh(0, "chmod -R a-w runs/tiny && $H plot runs/tiny -o c.svg; code=$?; chmod -R u+w runs/tiny; exit $code",
              "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plot, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
