/* ask, eval, verify and sources as their users meet them, on a small run. */
#include "cli/cli_test.h"

static void test_sources(void **state)
{
    (void)state;
    assert_sh(0, "$H sources", "wikimultihop", "");
    assert_sh(0, "$H sources 2wiki", "Apache-2.0", "");
    assert_sh(2, "$H sources 2wki", "", "did you mean 2wiki?");
}

static void test_ask(void **state)
{
    (void)state;
    assert_sh(0,
              "printf 'data:\\n  entities: 30\\n  relations: 6\\n  out_degree: 4\\n  phi: 0\\n  holdout: 0.2\\n"
              "model:\\n  n_embd: 32\\n  n_head: 2\\ntrain:\\n  steps: 120\\n  batch: 128\\n  lr: 5e-3\\n' > small.yaml && "
              "$H run small.yaml -o run",
              "test_ii", "");
    assert_sh(0, "$H ask run", "of the", "");
    assert_sh(0, "$H ask run -n 3", "3 right", "");
    assert_sh(65, "$H ask run '<e_1>' '<r_77>'", "", "no relation of this name: '<r_77>'");
    assert_sh(65, "$H ask run '<e_1' '<r_1>'", "", "did you mean '<e_1>'");
    assert_sh(2, "$H ask run '<e_1>'", "", "a question is a head");
    assert_sh(2, "$H ask run -n 0", "", "--count is at least 1");
    assert_sh(74, "$H ask nowhere a b", "", "this is no run directory");
    assert_sh(0, "$H ask run '<e_1>' '<r_1>' '<r_2>' --json | python3 -c 'import json,sys; d=json.load(sys.stdin); "
                 "assert len(d[\"answers\"])==5; print(\"json ok\")'",
              "json ok", "");
    /* weights to start from: a cut file leaves the folder free for the next try */
    assert_sh(65, "head -c 300 run/checkpoints/step-00000120.safetensors > cut.safetensors; "
                  "$H run small.yaml --set model.init=cut.safetensors -o on", "", "cut.safetensors");
    assert_sh(0, "$H run small.yaml --set train.steps=3 --set model.init=run/checkpoints/step-00000120.safetensors -o on",
              "3 steps", "");
    assert_sh(0, "$H eval run", "test_ii", "");
    assert_sh(0, "$H verify run --threads 3", "same bits", "");
    assert_sh(2, "$H verify run --steps 0", "", "at least 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sources, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ask, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
