/* hopscope run with a file of stages: one command, killed and started again, its texts, its figure. */
#include "cli/cli_test.h"

static const char stages[] = "data: {entities: 20, relations: 5, out_degree: 3, phi: 0, holdout: 0.1}\n"
                             "model: {n_embd: 16, n_head: 2}\n"
                             "train: {steps: 40, batch: 16, threads: 1, checkpoint_every: 3}\n"
                             "report: {page: false}\n"
                             "stages:\n"
                             "  pretrain:\n"
                             "  finetune: {data.new_facts: 8, data.new_keep: 40, train.steps: 20}\n";

static void test_one_command(void **state)
{
    (void)state;
    write_file("small.yaml", stages);
    assert_sh(0, "$H run small.yaml -n", "", "stage: 2 of 2, finetune: runs/small/2-finetune");
    assert_nothing_at("runs");
    assert_sh(0, "$H run small.yaml", "runs/small/2-finetune\nsplit", "tokens matched by name");
    assert_non_null(strstr(out, "pretrain.train_inferred"));
    assert_non_null(strstr(out, "test_old_new"));
    assert_non_null(strstr(message, "next: hopscope plot runs/small -o curve.svg"));
    assert_sh(0, "$H run small.yaml -q --json", "\"stages\": [{\"run\": \"runs/small/1-pretrain\"", "");
    assert_non_null(strstr(out, "\"split\": \"pretrain.id_atomic\", \"role\": \"watch\""));
    assert_sh(0, "$H verify runs/small/2-finetune", "same bits", "");
    assert_sh(0, "$H run small.yaml -q --seeds 2 -o seeds", "2 seeds", "");
    assert_sh(0, "test -f seeds/2-finetune/seed-2/run.db && test -f seeds/1-pretrain/seed-1/run.db", "", "");
}

static void test_plot(void **state)
{
    (void)state;
    if (sh("gnuplot --version") != 0)
        skip();
    assert_sh(0, "$H plot runs/small --splits pretrain.test_ii,test_new_new --script -o one.svg", "", "");
    assert_sh(0, "cat one.dat one.gp", "pretrain.test", "");
    assert_sh(0, "$H plot seeds -o seeds.svg && test -s seeds.svg", "", "");
}

static void test_killed(void **state)
{
    (void)state;
    assert_sh(
        0,
        "for t in 0.03 0.06 0.1 0.15 0.2 0.3 0.4; do timeout -s KILL $t $H run small.yaml -q -o killed; done; "
        "$H run small.yaml -q -o killed && for s in 1-pretrain/checkpoints/step-00000040 "
        "2-finetune/checkpoints/step-00000020; do cmp killed/$s.safetensors runs/small/$s.safetensors || exit 9; done",
        "2-finetune", "");
}

static void test_refused(void **state)
{
    (void)state;
    assert_sh(65, "$H run small.yaml -q --set pretrain.train.steps=50", "", "remove runs/small/2-finetune");
    assert_sh(2, "$H run small.yaml -q -o new --set finetune.train.step=5", "", "did you mean train.steps?");
    assert_sh(65, "$H data make small.yaml -o made", "", "this is an experiment in stages, for: hopscope run");
    assert_sh(65, "sed 's/train.steps: 20/train.steps: no/' small.yaml > bad.yaml; $H run bad.yaml -q -o new", "",
              "bad.yaml:7: train.steps");
    assert_sh(65, "$H run small.yaml -q -o new --set finetune.model.n_embd=32", "",
              "model.n_embd is 32 here, 16 in the run");
    assert_sh(65, "$H run small.yaml -q -o bare --set pretrain.train.freeze='*wpex*'", "",
              "nearest: transformer.wpe.weight");
    assert_sh(65, "$H run small.yaml -q -o bare --set train.shares=fact=0.4", "", "did you mean facts?");
    assert_nothing_at("bare/1-pretrain/experiment.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_command),
        cmocka_unit_test(test_plot),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("cli.stages", tests, set_up, tear_down);
}
