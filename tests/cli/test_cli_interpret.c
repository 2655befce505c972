/* hopscope interpret as its users run it: which steps, items, the control, JSON, and what cannot be looked at. */
#include "cli/cli_test.h"

static const char small[] = "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n"
                            "model:\n  n_embd: 16\n  n_head: 2\n"
                            "train:\n  steps: 12\n  batch: 16\n  checkpoint_every: 4\n  checkpoint_keep: 9\n";

static void make_run(void)
{
    write_file("small.yaml", small);
    assert_sh(0, "rm -rf a && $H run small.yaml -o a -q", "12 steps", "");
}

static void test_steps_and_items(void **state)
{
    (void)state;
    make_run();
    assert_sh(0, "$H interpret a --method cohesion,decode --steps all --items items.csv --threads 1",
              "decode at step 12 on id_atomic", "");
    assert_sh(0, "head -1 items.csv; cut -d, -f1 items.csv | sort -un | tr '\\n' ' '",
              "step,method,split,item,stage,position,role,measure,value\n", "");
    assert_sh(0, "for s in 1 4 8 12; do grep -c \"^$s,decode,id_atomic,0,2,\" items.csv; done", "1\n1\n1\n1\n", "");
    /* the same numbers as lines of JSON, and the control beside them */
    assert_sh(0, "$H interpret a --method decode --steps 4,12 --untrained --items items.jsonl",
              "decode at step 0 on id_atomic", "");
    assert_sh(0,
              "grep -c '^{\"step\": 0, .*}$' items.jsonl; grep -c '^{\"step\": 8, ' items.jsonl || true; "
              "test $(grep -c '^{\"step\": 4, ' items.jsonl) = $(grep -c '^4,decode' items.csv) && echo alike",
              "alike", "");
    assert_sh(0, "$H interpret a --method decode --json",
              "[{\"step\": 12, \"method\": \"decode\", \"split\": \"id_atomic\", \"stage\": 0, "
              "\"position\": \"r\", \"role\": \"t\", \"measure\": \"immediate\", \"n\": ",
              "");
    assert_sh(0, "$H interpret --list", "ablate", "");
    /* looked at again, nothing is measured twice: the rows are the same ones */
    assert_sh(0,
              "cp a/run.db before.db && $H interpret a --method decode && $H interpret a --method decode -n 300 --json "
              "> 1.json && "
              "$H interpret a --method decode --json --threads 2 > 2.json && cmp 1.json 2.json",
              "", "");
}

static void test_refusals(void **state)
{
    (void)state;
    make_run();
    assert_sh(65, "$H interpret a --steps 5", "",
              "there is no checkpoint of this step: '5'\n  hint: stored: 1, 3, 4, 8, 10, 12");
    assert_sh(65, "$H interpret a --method lense", "",
              "there is no method of this name: 'lense'\n  hint: did you mean 'lens'?");
    assert_sh(65, "$H interpret a --split test_xx", "",
              "the dataset has no split of this name: 'test_xx'\n  hint: its splits: id_atomic");
    assert_sh(65, "$H interpret a --method realign --split id_atomic", "",
              "it needs a split of two-hop queries whose entities have one token: 'realign'");
    assert_sh(2, "$H interpret", "", "which run?");
    assert_sh(2, "$H interpret a --max -1", "", "not negative");
    assert_sh(2, "$H interpret a --method decode --items x.txt", "", "items are written as .csv or .jsonl: 'x.txt'");
    assert_sh(74, "$H interpret a --method decode --items no/x.csv", "", "no/x.csv");
    assert_sh(74, "$H interpret nothing", "", "this is no run directory");
    assert_sh(74, "exec 9<> a/lock; flock -n 9; $H interpret a --method decode", "", "in use");
    assert_sh(65, "cp -r a b && rm b/checkpoints/* && $H interpret b", "", "no whole checkpoint yet");
    assert_nothing_at("x.csv");
}

/* A record that is damaged or gone is left as it is; a damaged checkpoint is passed over, and that is said. */
static void test_damage(void **state)
{
    (void)state;
    make_run();
    assert_sh(0, "cp -r a b && cp -r a c", "", "");
    assert_sh(65, "head -c 5000 /dev/zero | tr '\\0' x > b/run.db && cp b/run.db kept && $H interpret b", "",
              "b/run.db: cannot read");
    assert_sh(0, "cmp b/run.db kept", "", "");
    assert_sh(65, "rm b/run.db && $H interpret b", "", "b/run.db: the record of this run is gone");
    assert_sh(1, "test -e b/run.db", "", "");
    assert_sh(0,
              "printf X | dd of=c/checkpoints/step-00000012.safetensors bs=1 seek=9000 conv=notrunc && $H interpret c "
              "--method decode",
              "decode at step 10", "step 10 is used, a newer checkpoint is damaged");
    assert_sh(65, "$H interpret c --method decode --steps 12", "", "step-00000012");
}

/* The settings of a run: refused before it trains. */
static void test_of_a_run(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(2, "$H run small.yaml -o r -q --set interpret.methods=lense", "", "did you mean 'lens'?");
    assert_sh(65, "$H run small.yaml -o r -q --set interpret.methods=realign --set interpret.splits=id_atomic", "",
              "it needs");
    assert_sh(0,
              "$H run small.yaml -o plain -q && $H run small.yaml -o looked -q --set interpret.methods=all --set "
              "interpret.max=20 && "
              "cmp plain/checkpoints/step-00000012.safetensors looked/checkpoints/step-00000012.safetensors",
              "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_steps_and_items, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_of_a_run, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
