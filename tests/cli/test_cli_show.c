/* Files named by settings, a graph without an experiment file, what a run tells at its end, and how it is read afterwards. */
#include "cli/cli_test.h"

static const char small[] = "data:\n  entities: 30\n  relations: 6\n  out_degree: 4\n  phi: 0\n  holdout: 0.2\n"
                            "model:\n  n_embd: 32\n  n_head: 2\ntrain:\n  steps: 12\n  batch: 128\n";

/* 40 people in 8 departments in 2 cities. */
static const char make_graph[] =
    "i=0; while [ $i -lt 40 ]; do printf 'p%d\\tworks in\\td%d\\n' $i $((i % 8)); i=$((i+1)); done > my.tsv; "
    "i=0; while [ $i -lt 8 ]; do printf 'd%d\\tcity\\tc%d\\nd%d\\tboss\\tp%d\\n' $i $((i % 2)) $i $i; "
    "i=$((i+1)); done >> my.tsv";

static void test_paths(void **state)
{
    (void)state;
    assert_sh(0, make_graph, "", "");
    assert_sh(0,
              "mkdir e other; cp my.tsv e/own.tsv; printf 'graph:\\n  path: own.tsv\\nmodel: {n_embd: 16, n_head: 2}\\n"
              "train: {steps: 4, batch: 32}\\n' > e/x.yaml",
              "", "");
    /* beside the experiment file, from anywhere; the run goes on from anywhere */
    assert_sh(0, "$H run e/x.yaml -o run -q", "4 steps", "");
    assert_sh(0, "grep 'path: \"/' run/experiment.yaml", "own.tsv", "");
    assert_sh(0, "cd other && $H run ../e/x.yaml -o ../run -q --set train.steps=6", "6 steps", "");
    assert_sh(0, "cd other && $H run ../run -q --set train.steps=8", "8 steps", "");
    /* a folder that was moved as a whole goes on too */
    assert_sh(0, "mkdir -p a; mv e run a/; $H run a/e/x.yaml -o a/run -q --set train.steps=9", "9 steps", "");
    /* only in the current folder: taken, and said */
    assert_sh(0, "mv a/e/own.tsv .; $H run a/e/x.yaml -o here", "4 steps", "is not beside the experiment file");
    assert_sh(74, "rm own.tsv; $H run a/e/x.yaml -o gone", "", "a/e/own.tsv");
    assert_false(hs_file_exists("gone/experiment.yaml"));
    /* --set counts from the current folder */
    assert_sh(0, "$H run a/e/x.yaml -o set -q --set graph.path=my.tsv", "4 steps", "");
}

static void test_own_graph(void **state)
{
    (void)state;
    assert_sh(0, make_graph, "", "");
    assert_sh(0, "$H run my.tsv --set train.steps=5", "test_ii", "no experiment file");
    assert_non_null(strstr(message, "next: hopscope ask runs/my"));
    assert_sh(0, "grep -c 'schedule: cosine\\|weight_decay: 3 ' runs/my/experiment.yaml", "2", "");
    assert_sh(0, "$H run my.tsv --set train.steps=5 --set model.n_embd=64 -n", "", "for all steps and evaluations");
    assert_sh(74, "$H run runs/my/dataset", "", "this is no run directory");
}

static void test_why(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml -o run", "First fact not known: ", "");
    assert_non_null(strstr(out, " queries)"));
    assert_sh(0,
              "$H eval run --json | python3 -c 'import json, sys; r = json.load(sys.stdin); assert r[\"ended_by\"] == "
              "\"budget\" and "
              "r[\"memory\"] is None and r[\"weights\"] > 0; w = r[\"why\"][0]; assert w[\"n\"] - w[\"right\"] == "
              "w[\"first_fact_unknown\"] + w[\"second_fact_unknown\"] + w[\"second_hop_failed\"] + w[\"no_bridge\"]; "
              "assert sum(p[\"n\"] for p in w[\"pairs\"]) == w[\"n\"]; print(w[\"split\"])'",
              "test_ii", "");
    assert_sh(0, "$H eval run", "12 steps", "");
    assert_sh(74, "$H eval run --step 7", "", "kept are 1, 3, 10, 12");
    assert_sh(0, "$H show run", "checkpoints: 1 3 10 12", "");
    assert_sh(0,
              "$H show run --json | python3 -c 'import json, sys; r = json.load(sys.stdin); print(r[\"steps\"], "
              "r[\"ended_by\"], "
              "r[\"checkpoints\"], len(r[\"evaluations\"]) > 10, r[\"baselines\"][0][\"split\"])'",
              "12 budget [1, 3, 10, 12] True test_ii", "");
    assert_sh(74, "$H show nowhere", "", "this is no run directory");
}

/* A model that knows more tokens than the dataset has names answers all the same. */
static void test_larger_vocabulary(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml -o big -q --set data.entities=300 --set train.steps=1", "1 steps", "");
    assert_sh(
        0, "$H run small.yaml -o run -q --set train.steps=1 --set model.init=big/checkpoints/step-00000001.safetensors",
        "1 steps", "");
    assert_sh(0, "$H ask run '<e_1>' '<r_1>' '<r_2>'", "%  token ", "");
    assert_sh(0, "$H ask run '<e_1>' '<r_1>' '<r_2>' --json | python3 -m json.tool", "\"token ", "");
    assert_sh(0, "$H ask run -n 3", "3 of the ", "");
}

static void test_existing_output(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H data make small.yaml -o d; touch f", "", "");
    assert_sh(74, "$H data make absent.yaml -o d", "", "is there already"); /* before anything is read */
    assert_sh(74, "$H data export absent --format jsonl -o f", "", "is there already");
    assert_sh(2, "$H data export d --format jsnl -o g", "", "did you mean jsonl?");
    assert_sh(74, "$H data import absent -o d", "", "is there already");
    assert_sh(74, "$H data newfacts absent -o d", "", "is there already");
}

static void test_help_knows_all(void **state)
{
    (void)state;
    assert_sh(0, "$H --completion | grep 'data) options'", "--test-max", "");
    assert_non_null(strstr(out, "commands=\"make audit export import newfacts \""));
    assert_sh(0, "$H --man graph | grep -A 60 'SH \"graph augment'", "max\\-facts", "");
    assert_sh(
        0,
        "for c in $($H --version --json | sed 's/.*commands.: .//; s/[],\"}]/ /g'); do "
        "$H --man $c | grep -q \"hopscope.-$c\" || echo $c; $H --man | grep -q \"hopscope.-$c\" || echo $c; done",
        "", "");
    assert_string_equal(out, "");
    assert_sh(2, "$H --man grap", "", "unknown command: 'grap'");
    assert_sh(0, "$H sources", "wikimultihop", "");
    assert_sh(0, "$H fetch 2wiki", "Apache-2.0", "now called sources");
    /* what the manual and the completion script say of a command, it takes */
    assert_sh(
        0,
        "for c in run plot verify; do for o in $($H --completion | sed -n \"s/^    $c) "
        "options=\\\"\\([^\\\"]*\\).*/\\1/p\"); do $H $c --help | grep -q -e \"$o\" || echo \"$c $o\"; done; done",
        "", "");
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_graph, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_larger_vocabulary, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_existing_output, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_help_knows_all, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
