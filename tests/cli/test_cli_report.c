/* hopscope report: the page says what run.db says, whatever the names; damaged, empty and missing runs; the page of
 * hopscope run. */
#include "cli/cli_test.h"

static const char small[] = "data: {entities: 40, relations: 6, out_degree: 4, phi: 0, holdout: 0.2}\n"
                            "model: {n_embd: 32, n_head: 2, passes: 2}\n"
                            "train: {steps: 30, batch: 128, checkpoints_per_decade: 4}\n"
                            "interpret: {methods: 'lens,trace', max: 8}\n"
                            "report: {paper_values: test_ii=0.97}\n";

#define CHECK "python3 " TEST_SOURCE_DIR "/tests/report/check_page.py "
#define PYTHON "PYTHONPATH=" TEST_SOURCE_DIR "/tests/report PYTHONDONTWRITEBYTECODE=1 python3 "
/* A line of Python about the page's data, `b`, its first run, `r`, and its text, `t`. */
#define LOOK(file, line)                                                                                               \
    PYTHON "-c \"import check_page; t = open('" file "').read(); b = check_page.read('" file                           \
           "')[0]; r = b['runs'][0]; " line "\""

static void test_page(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml -o run", "30 steps", "open run/report.html");
    assert_sh(0, CHECK "run/report.html run", "the same: ", "");
    assert_sh(0, "$H report run -o page.html", "", "written: page.html");
    assert_sh(0, CHECK "page.html run", "the same: ", "");
    assert_sh(0,
              LOOK("page.html",
                   "print(r['model'], r['paper_values'], len(r['queries']), r['checkpoints'], r['command'], "
                   "r['roles'], r['stages'])"),
              "GPT-2, 2 blocks x 2 passes, width 32, 27,232 weights", "");
    assert_non_null(strstr(out, "{'test_ii': 0.97} 100 [1, 2, 3, 6, 10, 18, 30] hopscope run run/experiment.yaml -o "
                                "run-again ['h', 'r1', 'r2'] ['embeddings', 'pass 1 block 1', "));
    /* the same page for any number of threads, and again */
    assert_sh(0,
              "HOPSCOPE_ISA=baseline $H report run -o one.html -q; HOPSCOPE_ISA=baseline taskset -c 0 $H report run -o "
              "two.html -q; "
              "sed 's/one.html//' one.html > a; sed 's/two.html//' two.html > b; cmp a b",
              "", "");
    assert_sh(0, "$H report run --queries 50 --checkpoints 3 -o few.html --json && " CHECK "few.html run", "\"out\"",
              "");
    assert_sh(0, LOOK("few.html", "print(len(r['queries']), r['checkpoints'])"), "50 [1, 6, 30]", "");
    assert_sh(0, "$H report run && " CHECK "run/report.html run", "the same: ", "written: run/report.html");
}

/* What ask and eval say, the page says. */
static void test_numbers(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml -o run -q", "", "");
    write_file("ask.py",
               "import check_page, json, subprocess, sys\n"
               "bundle, (looks,) = check_page.read('run/report.html')\n"
               "r = bundle['runs'][0]\n"
               "close = lambda a, b: abs(a - b) <= 5e-5 * max(a, b, 0.2)\n"
               "n = 0\n"
               "for q, look in list(zip(r['queries'], looks['looks'][-1]))[::6]:\n"
               "    words = [r['vocab'][t] for t in q['tokens']]\n"
               "    a = json.loads(subprocess.run([sys.argv[1], 'ask', 'run', *words, '--json'], check=True,\n"
               "                                  stdout=subprocess.PIPE).stdout)\n"
               "    assert [r['vocab'][t] for t in look['answer'][::2]] == [x['answer'] for x in a['answers']]\n"
               "    assert all(close(p, x['probability']) for p, x in zip(look['answer'][1::2], a['answers']))\n"
               "    assert r['vocab'][q['target']] == a['facts_say']\n"
               "    cells = [c for row in look['lens'] for c in row]\n"
               "    assert len(cells) == len(a['lens'])\n"
               "    for cell, x in zip(cells, a['lens']):\n"
               "        assert r['vocab'][cell[0]] == x['reads'] and close(cell[1], x['probability']), (cell, x)\n"
               "        assert cell[6] == x.get('bridge_rank', -1)\n"
               "        n += 1\n"
               "print('cells', n)\n");
    assert_sh(0, PYTHON "ask.py $H", "cells ", "");
}

/* Names of any kind stay data. */
static void test_names(void **state)
{
    (void)state;
    assert_sh(
        0,
        "python3 - <<'E'\n"
        "odd = ['</script><script>alert(1)</script>', 'a \"quoted\" \\'name\\'', '<!-- x', 'Ångström \\u2028 \\u2029 "
        "漢字 \\U0001F98A', '{{data}}', '&lt;b&gt;', 'back\\\\slash', ']]>']\n"
        "with open('odd.tsv', 'w') as f:\n"
        "    for i in range(40):\n"
        "        h = odd[i % 8] + str(i)\n"
        "        print(h, '<img src=x onerror=y>', odd[(i + 1) % 8] + str((i * 7 + 1) % 40), sep='\\t', file=f)\n"
        "        print(h, 'r\\'2\\'', odd[(i + 3) % 8] + str((i * 3 + 3) % 40), sep='\\t', file=f)\n"
        "E\n"
        "$H run odd.tsv -o odd -q --set train.steps=6 --set model.n_embd=16 --set 'report.title=</title><b>&\"'",
        "", "");
    assert_sh(0, CHECK "odd/report.html odd", "the same: ", "");
    assert_sh(0,
              LOOK("odd/report.html",
                   "print(r['title'], t.count('alert(1)</script>'), t.count('<img src=x'), sum('alert(1)"
                   "</script>' in v for v in r['vocab']), any('\\u2028' in v for v in r['vocab']))"),
              "</title><b>&\" 0 0 10 True", "");
}

static void test_several(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml -o seeds --seeds 2 -q --set train.steps=6 --set train.checkpoints_per_decade=2", "",
              "");
    assert_sh(0, CHECK "seeds/report.html seeds/seed-1 seeds/seed-2", "the same: ", "");
    assert_sh(
        0,
        "$H run small.yaml -o x/demo -q --set train.steps=3; $H report seeds x/demo seeds/seed-1 -o all.html && " CHECK
        "all.html seeds/seed-1 seeds/seed-2 x/demo seeds/seed-1",
        "the same: ", "");
    assert_sh(0, LOOK("all.html", "print([x['id'] for x in b['runs']], b['command'])"),
              "['seeds/seed-1', 'seed-2', 'demo', 'seeds/seed-1 (2)'] hopscope report seeds x/demo seeds/seed-1", "");
}

static void test_switched_off(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml -o run -q --set train.steps=2 --set report.page=false && ls run", "run.db", "");
    assert_null(strstr(out, "report.html"));
    /* a page that cannot be written is a warning */
    assert_sh(0,
              "rm -rf run; mkdir -p keep; $H run small.yaml -o run -q --set train.steps=2 --set report.page=false; "
              "mkdir run/report.html; $H run run --set train.steps=3 --set report.page=true",
              "3 steps", "no report.html: ");
}

/* Curves of papers: from files beside the experiment file, as they stand there; a file that is wrong or gone is named.
 */
static void test_published(void **state)
{
    (void)state;
    assert_sh(0, "mkdir x", "", "");
    write_file("x/small.yaml", "data: {entities: 40, relations: 6, out_degree: 4, phi: 0, holdout: 0.2}\n"
                               "model: {n_embd: 16, n_head: 2}\ntrain: {steps: 6, batch: 32}\n"
                               "report: {published: ['paper, 2.csv', gone.csv]}\n");
    write_file("x/paper, 2.csv", "split,step,accuracy,name,source\ntest_ii,1,0.125,GPT-2,\"A <b> 2024, Fig. 2\"\n"
                                 "test_ii,2e4,1,GPT-2,\"A <b> 2024, Fig. 2\"\n\ntest_oo,5,0.3,GPT-2,\n");
    assert_sh(0, "$H run x/small.yaml -o run -q && " CHECK "run/report.html run", "the same: ", "");
    assert_sh(0, LOOK("run/report.html", "print(r['published'], r['missing'])"),
              "[{'name': 'GPT-2', 'source': 'A <b> 2024, Fig. 2', 'split': 'test_ii', 'step': [1, 20000], 'accuracy': "
              "[0.125, 1]}, {'name': 'GPT-2', 'source': '', 'split': 'test_oo', 'step': [5], 'accuracy': [0.3]}]",
              "");
    assert_non_null(strstr(out, "x/gone.csv: cannot open"));
    if (system("gnuplot --version > /dev/null 2>&1") == 0)
        assert_sh(0, "$H plot run -o a.svg && grep -c 'GPT-2 (A .* 2024, Fig. 2): test_ii' a.svg", "1",
                  "x/gone.csv is not there");
    static const char *const bad[][2] = {
        {"name,source,split,step,accuracy\na,b,test_ii,3,93\n", "paper, 2.csv:2: accuracy is not a share: '93'"},
        {"name,source,split,step,accuracy\na,b,test_ii,3,nan\n", "csv:2: accuracy is not a share"},
        {"name,source,split,step,accuracy\n\na,b,test_ii,0,0.5\n", "csv:3: step is not a number above 0: '0'"},
        {"name,source,split,step,accuracy\na,b,t,3,0\na,b,t,3,0\n", "csv:3: the steps of a curve must grow"},
        {"name,source,split,step,accuracy\n,b,t,3,0\n", "csv:2: a field is empty: 'name'"},
        {"name,source,split,step,accuracy\na,b,c,t,3,0\n", "csv:2: a point has 5 fields"},
        {"name,source,split,accuracy\n", "csv:1: a column is missing: 'step'"},
        {"name,source,split,step,accuracy,x\n", "csv:1: no such column: 'x'"},
        {"name,source,split,step,step\n", "csv:1: a column twice: 'step'"},
        {"", "csv:1: the file is empty"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file("x/paper, 2.csv", bad[i][0]);
        assert_sh(65, "$H plot run -o b.svg", "", bad[i][1]);
        assert_nothing_at("b.svg");
        assert_sh(0, "$H report run -q", "", "");
        assert_sh(0, LOOK("run/report.html", "print(r['published'], len(r['evaluations']) > 4, r['missing'])"),
                  "[] True ", "");
        assert_non_null(strstr(out, "csv:"));
    }
}

/* The page's times are those of interpret --events. */
static void test_times(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml -o run -q --set train.steps=200 --set train.lr=1e-2", "", "");
    assert_sh(0, "$H interpret run --events --json > events.json", "", "");
    assert_sh(
        0,
        LOOK("run/report.html",
             "import json; e = [{'name': x['event'], **{k: x['runs'][0][k] for k in ('reached', 'step')}} for x in "
             "json.load(open('events.json'))]; assert e == r['times'], (e, r['times']); "
             "print(sum(x['reached'] for x in e) > 0)"),
        "True", "");
}

/* What is missing is said, the rest is shown. */
static void test_damaged(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml -o run -q --set train.steps=6", "", "");
    assert_sh(0, "cp -r run a; rm -r a/dataset; $H report a -o a.html -q", "", "");
    assert_sh(
        0, LOOK("a.html", "print(r['missing'], len(r['evaluations']) > 4, r['card'], r['queries'], r['checkpoints'])"),
        "The dataset cannot be read", "");
    assert_non_null(strstr(out, "] True None [] []"));
    assert_sh(0, "cp -r run b; printf junk > b/run.db; $H report b -o b.html -q", "",
              "warning: The record cannot be read: b/run.db");
    assert_sh(0, LOOK("b.html", "print(r['missing'], b['missing'], len(r['evaluations']), len(r['queries']))"),
              "The record cannot be read", "");
    assert_non_null(strstr(out, "own list\"] 0 100"));
    assert_sh(0, "cp -r run c; rm -r c/checkpoints; $H report c -o c.html -q && " CHECK "c.html c", "the same", "");
    assert_sh(0, LOOK("c.html", "print(r['missing'], len(r['stages']))"), "No checkpoint to look into", "");
    assert_sh(0,
              "cp -r run d; printf x > d/checkpoints/step-00000003.safetensors; $H report d -o d.html -q && " CHECK
              "d.html d",
              "the same", "");
    assert_sh(0, LOOK("d.html", "print(r['checkpoints'], r['missing'])"),
              "[1, 2, 6] ['A checkpoint cannot be read: ", "");
    assert_sh(0, "cp -r run e; printf 'a: [' > e/experiment.yaml; $H report e -o e.html -q", "",
              "warning: The settings cannot be read: e/experiment.yaml");
    assert_sh(0, LOOK("e.html", "print(r['missing'], len(r['evaluations']) > 4, len(r['vocab']) > 40)"),
              "The settings cannot be read", "");
    assert_non_null(strstr(out, "] True True"));
    assert_sh(0, "mkdir f; cp run/experiment.yaml f; $H report f -o f.html -q", "", "");
    assert_sh(0, LOOK("f.html", "print(r['missing'], len(r['config']) > 50)"), "No record: run.db is not there.", "");
    assert_sh(0, "chmod -R a-w run; $H report run -o ro.html -q && " CHECK "ro.html run", "the same", "");
}

static void test_errors(void **state)
{
    (void)state;
    assert_sh(74, "mkdir empty; $H report empty", "", "this is no run directory");
    assert_sh(74, "$H report nowhere", "", "this is no run directory");
    assert_sh(2, "$H report", "", "");
    assert_sh(2, "$H report x --queries 201", "", "--queries is from 1 to 200");
    write_file("small.yaml", small);
    assert_sh(74, "$H run small.yaml -o run -q --set train.steps=1; $H report run -o nowhere/x.html", "",
              "nowhere/x.html");
    assert_nothing_at("nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_several, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_switched_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_published, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
