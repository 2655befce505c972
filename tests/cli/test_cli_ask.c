/* ask, eval, verify and sources as their users meet them, on a small run. */
#include "cli/cli_test.h"

static void test_sources(void **state)
{
    (void)state;
    assert_sh(0, "$H sources", "wikimultihop", "");
    assert_sh(0, "$H sources 2wiki", "Apache-2.0", "");
    assert_sh(0,
              "$H sources codex --json | python3 -c 'import json,sys; print([s[\"licence\"] for s in "
              "json.load(sys.stdin)[\"sources\"]])'",
              "['MIT; the facts CC0']", "");
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
    assert_sh(0,
              "$H ask run -n 3 --json | python3 -c 'import json,sys; d = json.load(sys.stdin); q = d[\"queries\"]; "
              "print(d[\"n\"], d[\"split\"], d[\"right\"] == sum(a[\"answer\"] == a[\"facts_say\"] for a in q), "
              "len(q), q[0][\"head\"][:3])'",
              "3 test_ii True 3 <e_", "");
    assert_sh(65, "$H ask run '<e_1>' '<r_77>'", "", "no relation of this name: '<r_77>'");
    assert_sh(65, "$H ask run '<e_1' '<r_1>'", "", "did you mean '<e_1>'");
    assert_sh(2, "$H ask run '<e_1>'", "", "a question is a head");
    assert_sh(2, "$H ask run -n 0", "", "--count is at least 1");
    assert_sh(74, "$H ask nowhere a b", "", "this is no run directory");
    assert_sh(0,
              "$H ask run '<e_1>' '<r_1>' '<r_2>' --json | python3 -c 'import json,sys; d=json.load(sys.stdin); "
              "assert len(d[\"answers\"])==5; g=d[\"lens\"]; assert len(g)==9; "
              "assert g[0][\"position\"]==\"h\" and g[8][\"position\"]==\"r2\" and g[8][\"stage\"]==2; "
              "assert g[8][\"reads\"]==d[\"answers\"][0][\"answer\"]; "
              "assert d[\"verdict\"][\"split\"]==\"test_ii\"; print(\"json ok\")'",
              "json ok", "");
    assert_sh(0, "$H ask run '<e_1>' '<r_1>' '<r_2>'", "lens: the token on top", "");
    assert_sh(0, "$H ask run '<e_1>' '<r_1>' '<r_2>'", "\nverdict on test_ii: ", "");
    assert_sh(0, "$H ask run -n 3", "\nverdict on test_ii: ", "");
    /* weights to start from: a cut file leaves the folder free for the next try */
    assert_sh(65, "head -c 300 run/checkpoints/step-00000120.safetensors > cut.safetensors; "
                  "$H run small.yaml --set model.init=cut.safetensors -o on", "", "cut.safetensors");
    assert_sh(0, "$H run small.yaml --set train.steps=3 --set model.init=run/checkpoints/step-00000120.safetensors -o on",
              "3 steps", "");
    assert_sh(0, "$H eval run", "test_ii", "");
    assert_sh(0, "$H verify run --threads 3", "same bits", "");
    assert_sh(2, "$H verify run --steps 0", "", "at least 1");
}

/* A file of questions: each line as it is answered alone; nothing is written where a line is not understood. */
static void test_ask_file(void **state)
{
    (void)state;
    assert_sh(
        0,
        "printf 'data:\\n  entities: 30\\n  relations: 6\\n  out_degree: 4\\n  phi: 0\\n  holdout: 0.2\\n"
        "model:\\n  n_embd: 32\\n  n_head: 2\\ntrain:\\n  steps: 120\\n  batch: 128\\n  lr: 5e-3\\n' > small.yaml && "
        "$H run small.yaml -o run && $H data export run/dataset -f jsonl -o all.jsonl",
        "test_ii", "");
    assert_sh(0,
              "python3 -c 'import json; q = [json.loads(x) for x in open(\"all.jsonl\")]; "
              "print(\"\\n\".join(\"\\t\".join(x[\"prompt\"]) for x in q if \"prompt\" in x))' > all.tsv; "
              "(printf 'head\\trelation\\n'; cat all.tsv; echo; head -1 all.tsv) > q.tsv; "
              "$H ask run --file q.tsv -o a.csv && $H ask run --file - < all.tsv > b.csv && head -n -1 a.csv | cmp - "
              "b.csv && "
              "head -1 a.csv",
              "query,answer,probability,facts_say,rank,bridge,bridge_found,bridge_stage,split\n", "");
    assert_sh(0,
              "cat > same.py <<'END'\n"
              "import csv, json, os, subprocess, sys\n"
              "rows = list(csv.DictReader(open('b.csv')))\n"
              "assert {r['split'] for r in rows} >= {'id_atomic', 'test_ii', 'train_inferred'}\n"
              "for r in rows[::len(rows) // 12]:\n"
              "    d = json.loads(subprocess.check_output([os.environ['H'], 'ask', 'run', *r['query'].split('\\t'), "
              "'--json']))\n"
              "    best = d['answers'][0]\n"
              "    assert (r['answer'], r['probability']) == (best['answer'], '%.6g' % best['probability']), r\n"
              "    assert r['facts_say'] == d['facts_say'] and r['bridge'] == (d['bridge'] or ''), r\n"
              "    assert (r['bridge_found'] == 'true') == d['bridge_found'] and (r['rank'] == '1') == (r['answer'] == "
              "r['facts_say'])\n"
              "print('same')\n"
              "END\n"
              "H=$H python3 same.py",
              "same", "");
    write_file("bad.tsv", "<e_1>\t<r_1>\n<e_1>\t<r_77>\n");
    assert_sh(65, "$H ask run --file bad.tsv -o no.csv", "",
              "bad.tsv:2: this dataset has no relation of this name: '<r_77>'");
    assert_sh(65, "$H ask run --file bad.tsv", "", "bad.tsv:2");
    assert_string_equal(out, "");
    assert_nothing_at("no.csv");
    write_file("bad.tsv", "<e_1>\n");
    assert_sh(65, "$H ask run --file bad.tsv", "", "bad.tsv:1: a question has 2 to");
    write_file("bad.tsv", "head\trelation\n\n");
    assert_sh(65, "$H ask run --file bad.tsv", "", "no question in it");
    assert_sh(74, "$H ask run --file nothing.tsv", "", "nothing.tsv");
    assert_sh(74, "$H ask run --file all.tsv -o no/a.csv", "", "no/a.csv");
    assert_sh(2, "$H ask run '<e_1>' '<r_1>' --file all.tsv", "", "--file takes no question");
    assert_sh(2, "$H ask run --file all.tsv --json", "", "gives CSV");
    assert_sh(2, "$H ask run -o a.csv", "", "-o is for");
}

/* The verdict where it is asked for: after a run and the methods, for each checkpoint, and the times of events. */
static void test_verdict(void **state)
{
    (void)state;
    assert_sh(0,
              "printf 'data:\\n  entities: 30\\n  relations: 6\\n  out_degree: 4\\n  phi: 0\\n  holdout: 0.2\\n"
              "model:\\n  n_embd: 32\\n  n_head: 2\\ntrain:\\n  steps: 120\\n  batch: 128\\n  lr: 5e-3\\n  "
              "checkpoints_per_decade: 2\\n' "
              "> small.yaml && $H run small.yaml -o runs --seeds 2 && $H run small.yaml -o run",
              "\nverdict on test_ii: ", "");
    assert_sh(0, "$H interpret run --method lens --split test_ii", "\nverdict on test_ii: ", "");
    assert_sh(0, "$H interpret run --timeline", "none                     clear", "");
    assert_sh(0,
              "$H interpret run --timeline --json | python3 -c 'import json,sys; d=json.load(sys.stdin); "
              "assert len(d)>=4 and d[0][\"step\"]<d[-1][\"step\"]==120; assert d[0][\"verdict\"]==\"none\"; "
              "assert d[-1][\"accuracy\"][\"n\"]>50; print(\"ok\")'",
              "ok", "");
    assert_sh(0, "$H interpret run --timeline --steps last --verdict-split test_oo", "test_oo", "");
    assert_sh(65, "$H interpret run --timeline --verdict-split test_xx", "", "its test splits: test_ii");
    assert_sh(65, "$H interpret run --timeline --steps 7", "", "no checkpoint of this step");
    assert_sh(0, "$H interpret run --events", "bridge test_ii", "");
    assert_sh(0, "$H interpret runs/seed-1 runs/seed-2 --events --threshold 1.0", "median", "");
    assert_sh(
        0,
        "$H interpret runs/seed-1 runs/seed-2 --events --json | python3 -c 'import json,sys; d=json.load(sys.stdin); "
        "e={x[\"event\"]: x for x in d}; assert len(e[\"memorized\"][\"runs\"])==2; assert \"test_ii\" in e; "
        "print(\"ok\")'",
        "ok", "");
    assert_sh(2, "$H interpret runs/seed-1 runs/seed-2", "", "only --events takes several");
    assert_sh(2, "$H interpret run --events --threshold 2", "", "--threshold is a share");
    assert_sh(74, "$H interpret run nowhere --events", "", "nowhere");
    assert_sh(0,
              "$H eval run --json | python3 -c 'import json,sys; d=json.load(sys.stdin); "
              "assert d[\"verdict\"][\"split\"]==\"test_ii\"; print(\"ok\")'",
              "ok", "");
}

/* More and fewer passes than trained with: both accuracies, in the table and as JSON; a model without passes, and a
 * count that does not fit, are refused. Three hops with three passes and facts answered after each earlier one. */
static void test_eval_passes(void **state)
{
    (void)state;
    assert_sh(
        0,
        "printf 'data:\n  entities: 30\n  relations: 6\n  out_degree: 4\n  hops: 3\n  phi: 2\n  holdout: 0.2\n  test_max: 60\n"
        "model:\n  n_embd: 32\n  n_head: 2\n  n_layer: 1\n  passes: 3\ntrain:\n  steps: 60\n  batch: 128\n  lr: 5e-3\n"
        "  fact_exit: 1\n' > hops.yaml && $H run hops.yaml -o run",
        "test_iii", "");
    assert_sh(0, "sqlite3 run/run.db \"select count(*) > 0 from metric where name = 'exit_loss' and value > 0\"", "1",
              "");
    assert_sh(0, "$H eval run --passes 4", "4 passes; trained with 3", "");
    assert_sh(0,
              "$H eval run --passes 2 --json > two && $H eval run --json > three && python3 -c 'import json; "
              "two, three = json.load(open(\"two\")), json.load(open(\"three\")); "
              "assert (two[\"passes\"], two[\"trained_passes\"], three[\"passes\"]) == (2, 3, 3); "
              "assert [s[\"as_trained\"] for s in two[\"splits\"]] == [s[\"accuracy\"] for s in three[\"splits\"]]; "
              "assert [s[\"loss\"] for s in two[\"splits\"]] != [s[\"loss\"] for s in three[\"splits\"]]; "
              "assert \"as_trained\" not in three[\"splits\"][0]; print(\"ok\")'",
              "ok", "");
    assert_sh(65, "$H eval run --passes 1000", "", "model.passes");
    assert_sh(2, "$H eval run --passes 0", "", "--passes is at least 1");
    assert_sh(0, "$H run hops.yaml --set model.passes=1 --set train.fact_exit=0 --set train.steps=3 -o plain",
              "test_iii", "");
    assert_sh(65, "$H eval plain --passes 2", "", "made with one pass");
    assert_sh(0,
              "$H run hops.yaml --set model.passes=1 --set model.kind=trm --set model.l_cycles=1 --set model.prefix=1 "
              "--set model.round_up=16 --set train.steps=3 -o trm",
              "test_iii", "");
    assert_sh(0, "$H eval trm --passes 3", "3 passes; trained with 2", "");
}

/* TRM answers in place: its grid has all its stages and the answer's place. */
static void test_ask_trm(void **state)
{
    (void)state;
    assert_sh(0,
              "printf 'data:\\n  entities: 20\\n  relations: 4\\n  out_degree: 3\\n  phi: 0\\n  holdout: 0.2\\n"
              "model:\\n  kind: trm\\n  n_embd: 32\\n  n_head: 2\\n  round_up: 16\\n  prefix: 2\\ntrain:\\n  steps: 3\\n  batch: 64\\n' > trm.yaml && "
              "$H run trm.yaml -o trm",
              "verdict on test_ii: none", "");
    assert_sh(0, "$H ask trm '<e_1>' '<r_1>' '<r_2>'", "(answer)", "");
    assert_sh(0,
              "$H ask trm '<e_1>' '<r_1>' '<r_2>' --json | python3 -c 'import json,sys; d=json.load(sys.stdin); "
              "g=d[\"lens\"]; "
              "assert {x[\"position\"] for x in g}=={\"h\",\"r1\",\"r2\",\"t\"}; assert g[-1][\"stage\"]>=14; "
              "assert g[-1][\"reads\"]==d[\"answers\"][0][\"answer\"]; print(\"ok\")'",
              "ok", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sources, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ask, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ask_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_verdict, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_eval_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ask_trm, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
