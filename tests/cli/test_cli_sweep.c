/* hopscope sweep and hopscope gather as their users meet them: a plan from beginning to end, members that fail, stops
 * and kills, array tasks, job files. */
#include "hopscope/core.h"

#include "cli/cli_test.h"

#include <signal.h>
#include <time.h>

static const char tiny[] = "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n  holdout: 0.1\n"
                           "model:\n  n_embd: 16\n  n_head: 2\n"
                           "train:\n  steps: 200\n  batch: 16\n  eval_every: 10\n  lr: 1e-2\n"
                           "  stop_split: id_atomic\n  stop_accuracy: 0.5\n  stop_patience: 1\n"
                           "report:\n  title: Tiny\n";

static void write_plan(const char *name, const char *section)
{
    hs_str text = {0};
    hs_str_addf(&text, "%s%s", section, tiny);
    write_file(name, text.s);
    hs_str_free(&text);
}

/* make results: a page of two plans, the second over the runs of the first; what is between the marks is made anew, the
 * rest stays. */
static void test_results(void **state)
{
    (void)state;
    if (system("gnuplot --version > /dev/null 2>&1") != 0)
        skip();
    assert_sh(0, "mkdir plans page", "", "");
    write_plan("plans/pair-1-bases.yaml", "# What is started from.\nsweep:\n  seeds: 2\n  arms:\n    old: {}\n");
    write_plan(
        "plans/pair-2-more.yaml",
        "# Needs a base.\n#   needs data.seed\nsweep:\n  seeds: 2\n  table: [id_atomic]\n  arms:\n    on: {model.init: "
        "\"{runs}/pair-1-bases/old/seed-{seed}\", train.seed: 7}\n");
    const char *all = "R=\"" TEST_SOURCE_DIR
                      "/tools/results.py --program $H --plans $PWD/plans --folder $PWD/page --runs $PWD/runs\"; ";
    char line[1200];
    snprintf(line, sizeof line, "%s $R", all);
    assert_sh(0, line, "pair                     Tiny", "");
    snprintf(line, sizeof line, "%s $R pear", all);
    assert_sh(1, line, "", "there are pair");
    snprintf(line, sizeof line, "%s $R pair", all);
    assert_sh(1, line, "", "--set data.seed=FILE");
    assert_nothing_at("runs");
    snprintf(line, sizeof line, "%s $R pair --set data.seed=3 -j 2 -q && ls page", all);
    assert_sh(0, line, "pair-1-bases.csv\npair-1-bases.svg\npair-2-more.csv\npair-2-more.svg\npair.md\n", "");
    assert_sh(0, "cat page/pair.md; ls runs/pair-2-more/on",
              "What is started from.\n\n<!-- pair-1-bases -->\n\n| arm | ", "");
    assert_non_null(strstr(out, "seeds 1, 2, hopscope "));
    assert_non_null(strstr(out, "seed-1\nseed-1.log\nseed-2\n"));
    assert_sh(0, "grep -c 'pair-1-bases/old/seed-2' runs/pair-2-more/on/seed-2/experiment.yaml", "1", "");
    assert_sh(0, "sed -i 's/What is started from./A word of ours./; s/^| old .*/| gone |/' page/pair.md", "", "");
    snprintf(line, sizeof line, "%s $R pair --gather --set data.seed=3 && cat page/pair.md", all);
    assert_sh(0, line, "A word of ours.", "");
    assert_non_null(strstr(out, "| old | "));
    assert_null(strstr(out, "gone"));
}

static void test_sweep(void **state)
{
    (void)state;
    write_plan("p.yaml", "sweep:\n  seeds: 2\n  arms:\n    muon: {}\n    stuck: {train.lr: 0}\n");
    write_file("tiny.yaml", tiny);
    assert_sh(65, "$H sweep tiny.yaml", "", "hopscope run tiny.yaml");
    assert_sh(65, "$H run p.yaml", "", "hopscope sweep p.yaml");
    assert_sh(2, "$H gather p.yaml --json --csv", "", "stand alone");
    assert_sh(2, "$H sweep p.yaml --list --dry-run", "", "stand alone");
    assert_sh(2, "$H sweep p.yaml --index 4", "", "0 to 3");
    assert_sh(0, "$H gather p.yaml", "Missing: 4 of 4 members: muon/seed-1 (not started)", "");
    assert_sh(0, "$H sweep p.yaml --dry-run", "4 members (2 arms, 2 seeds), 4 to train", "");
    assert_sh(0,
              "$H sweep p.yaml -n -j 2 --json | python3 -c 'import json,sys; d = json.load(sys.stdin); "
              "print(d[\"left\"], d[\"jobs\"], d[\"seconds\"] >= 0)'",
              "4 2 True", "");
    assert_nothing_at("runs");
    assert_sh(0, "$H sweep p.yaml -j 2", "", "4 of 4");
    assert_sh(0, "$H sweep p.yaml --list", "stuck/seed-2", "");
    assert_sh(0,
              "$H sweep p.yaml --list --json | python3 -c 'import json,sys; print([m[\"state\"] for m in "
              "json.load(sys.stdin)])'",
              "['stop rule', 'budget', 'stop rule', 'budget']", "");
    assert_sh(0, "$H sweep p.yaml -q && ls runs/p/muon", "seed-2.log", ""); /* finished: nothing is trained again */
    assert_string_equal(message, "");
    assert_sh(0, "$H gather p.yaml", "0/2 > 200", "");
    assert_null(strstr(out, "Missing"));
    assert_sh(0, "$H gather p.yaml --csv | grep -c '^stuck,[12],0,budget,200,'", "2", "");
    assert_sh(0, "$H gather p.yaml --json | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"missing\"])'",
              "0", "");
    if (system("gnuplot --version > /dev/null 2>&1") == 0) {
        assert_sh(0, "$H gather p.yaml -o result -m && ls result", "p.csv\np.db\np.md\np.svg\n", "");
        assert_sh(0, "grep -c stuck result/p.svg", "", "");
        assert_sh(0,
                  "python3 -c 'import sqlite3; print(sqlite3.connect(\"result/p.db\").execute(\"select count(*), "
                  "count(distinct arm), max(typeof(\\\"train.lr\\\")) from evaluation\").fetchall()[0][1:])'",
                  "(2, 'real')", "");
    }
    /* another plan's folder: every member says so */
    assert_sh(1, "$H sweep p.yaml --set train.batch=8", "", "failed: muon/seed-1");
    assert_non_null(strstr(message, "train.batch"));
}

/* One member cannot be made; the others are. */
static void test_failed_member(void **state)
{
    (void)state;
    write_plan(
        "p.yaml",
        "sweep:\n  seeds: 1\n  arms:\n    a: {}\n    bad: {model.init: nowhere.safetensors}\n    c: {train.clip: 2}\n");
    assert_sh(1, "$H sweep p.yaml", "", "failed: bad/seed-1; its log is runs/p/bad/seed-1.log");
    assert_non_null(strstr(message, "nowhere.safetensors"));
    assert_sh(0, "$H sweep p.yaml --list | grep -c 'stop rule'", "2", "");
    assert_sh(0, "$H gather p.yaml", "Missing: 1 of 3 members: bad/seed-1", "");
    assert_sh(74, "$H sweep p.yaml --index 1", "", "nowhere.safetensors");
}

static void test_index(void **state)
{
    (void)state;
    write_plan("p.yaml", "sweep:\n  seeds: 2\n  arms:\n    a: {}\n    b: {train.lr: 0}\n");
    assert_sh(0, "$H sweep p.yaml --index 3 && ls runs/p", "b\n", "b/seed-2");
    assert_sh(0, "SLURM_ARRAY_TASK_ID=0 $H sweep p.yaml && ls runs/p/a", "seed-1\n", "a/seed-1");
    assert_sh(0, "JOB_COMPLETION_INDEX=2 $H sweep p.yaml && ls runs/p/a", "seed-2\n", "a/seed-2");
    assert_sh(0, "SLURM_ARRAY_TASK_ID=0 $H sweep p.yaml -j 1 && ls runs/p/b", "seed-1\n",
              "1 of 1"); /* -j: all of them */
    assert_sh(0, "$H sweep p.yaml --slurm && sh -n runs/p/p.slurm && grep array runs/p/p.slurm", "--array=0-3", "");
    assert_sh(
        0,
        "$H sweep p.yaml --kubernetes && python3 -c 'import sys\ntry:\n import yaml\nexcept ImportError: sys.exit()\n"
        "assert yaml.safe_load(open(\"runs/p/p.kubernetes.yaml\"))[\"spec\"][\"completions\"] == 4'",
        "p.kubernetes.yaml", "");
    assert_sh(0, "$H sweep p.yaml --snakemake && grep range runs/p/p.smk", "range(4)", "");
}

static pid_t start(const char *plan, const char *dir)
{
    const pid_t child = fork();
    if (child == 0) {
        const int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execl(TEST_BINARY_DIR "/hopscope", "hopscope", "sweep", plan, "-j", "2", "-o", dir, NULL);
        _exit(127);
    }
    return child;
}

static int end(pid_t child, int signal)
{
    int status;
    kill(child, signal);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void wait_for(const char *path)
{
    for (int i = 0; i < 3000 && !hs_file_exists(path); i++)
        usleep(10000);
    assert_true(hs_file_exists(path));
    usleep(150000);
}

/* Stopped once, killed once, gone on with: the table is that of a sweep nobody disturbed. */
static void test_stopped_and_killed(void **state)
{
    (void)state;
    write_plan("p.yaml", "sweep:\n  seeds: 2\n  arms:\n    a: {train.optimizer: adamw}\n    b: {train.lr: 0}\n    c: "
                         "{train.lr: 0, train.clip: 2}\n"
                         "  table: [id_atomic, test_ii, id_atomic >= 0.5, loss id_atomic, metric grad_norm]\n");
    sh("sed -i 's/steps: 200/steps: 3000/' p.yaml");
    const pid_t first = start("p.yaml", "cut");
    wait_for("cut/b/seed-1/run.db");
    assert_int_equal(end(first, SIGTERM), 143);
    assert_sh(0, "$H gather p.yaml --runs cut", "Missing", "");
    const pid_t second = start("p.yaml", "cut");
    wait_for("cut/c/seed-1/run.db");
    assert_int_equal(end(second, SIGKILL), 137);
    assert_sh(0, "$H sweep p.yaml -o cut -q", "", "");
    assert_sh(0, "$H sweep p.yaml -o whole -q -j 1", "", "");
    assert_sh(0,
              "for d in cut whole; do $H gather p.yaml --runs $d > $d.txt; done; cat cut.txt; diff cut.txt whole.txt",
              "0/2 > 3,000", "");
    assert_null(strstr(out, "Missing"));
    /* two processes share a folder: every member is made once */
    assert_sh(0,
              "$H sweep p.yaml -o shared -q -j 1 & $H sweep p.yaml -o shared -q -j 1 && wait && $H sweep p.yaml -o "
              "shared -q && "
              "$H gather p.yaml --runs shared > shared.txt && diff shared.txt whole.txt",
              "", "");
}

/* A long run by itself, or as a member; what it ends with after `signals`, a quarter of a second apart. */
static int signalled(const char *environment, bool member, const int *signals, size_t n)
{
    sh("rm -rf runs");
    const pid_t child = fork();
    if (child == 0) {
        const int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        putenv((char *)(uintptr_t)environment);
        if (member)
            execl(TEST_BINARY_DIR "/hopscope", "hopscope", "sweep", "long.yaml", "--index", "0", NULL);
        execl(TEST_BINARY_DIR "/hopscope", "hopscope", "run", "alone.yaml", "-o", "runs/long/base/seed-1", NULL);
        _exit(127);
    }
    wait_for("runs/long/base/seed-1/checkpoints/latest");
    for (size_t i = 0; i < n; i++) {
        kill(child, signals[i]);
        usleep(250000);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* In a batch job TERM, USR1 and USR2 save and say "start me again"; elsewhere USR2 alone does. */
static void test_signals(void **state)
{
    (void)state;
    write_plan("long.yaml", "sweep:\n  seeds: 1\n");
    write_file("alone.yaml", tiny);
    sh("sed -i 's/steps: 200/steps: 50000000/; s/stop_accuracy: 0.5/stop_accuracy: 1/; s/lr: 1e-2/lr: 0/' long.yaml "
       "alone.yaml");
    const struct {
        const char *environment;
        int signal, code;
    } cases[] = {
        {"SLURM_JOB_ID=7", SIGTERM, 75},   {"SLURM_JOB_ID=7", SIGUSR1, 75}, {"JOB_COMPLETION_INDEX=0", SIGUSR2, 75},
        {"HOPSCOPE_BATCH=1", SIGTERM, 75}, {"SLURM_JOB_ID=7", SIGINT, 130}, {"NOTHING=1", SIGTERM, 143},
        {"NOTHING=1", SIGUSR2, 75}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int code = signalled(cases[i].environment, i % 2 == 0, &cases[i].signal, 1);
        if (code != cases[i].code)
            fail_msg("%s, signal %d: exit code %d", cases[i].environment, cases[i].signal, code);
    }
    /* USR1 elsewhere: saved, and on */
    assert_int_equal(signalled("NOTHING=1", true, (const int[]){SIGUSR1, SIGTERM}, 2), 143);
    /* the end of the job's time, less a minute */
    char end[64];
    snprintf(end, sizeof end, "SLURM_JOB_END_TIME=%lld", (long long)time(NULL) + 61);
    setenv("SLURM_JOB_ID", "7", 1);
    assert_int_equal(signalled(end, true, NULL, 0), 75);
    unsetenv("SLURM_JOB_ID");
    assert_sh(0, "$H sweep long.yaml --list", "unfinished", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sweep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_results, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failed_member, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stopped_and_killed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_signals, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
