/* The program as its users meet it: exit codes, what goes to which stream, signals, bad input. */
#include "cli/cli_test.h"

#include <signal.h>

static const char small[] = "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n"
                            "model:\n  n_embd: 16\n  n_head: 2\n"
                            "train:\n  steps: 12\n  batch: 16\n";

static void test_program(void **state)
{
    (void)state;
    assert_sh(2, "$H", "", "usage: hopscope COMMAND");
    assert_sh(0, "$H --help", "Commands:", "");
    assert_sh(0, "$H --version", "hopscope " HS_VERSION, "");
    assert_sh(0, "$H --version --json | python3 -m json.tool", "\"run\"", "");
    assert_sh(2, "$H rnu", "", "did you mean run?");
    assert_sh(2, "$H frobnicate", "", "hopscope --help");
    assert_sh(2, "$H --frobnicate", "", "unknown option");
    assert_sh(0, "$H run --help", "--seeds", "");
    assert_sh(2, "$H run", "", "missing argument: FILE");
    assert_sh(2, "$H run a b", "", "too many arguments: b");
    assert_sh(2, "$H run --sedes=3 a", "", "did you mean --seeds?");
    assert_sh(2, "$H run --seeds=x a", "", "hopscope");
    assert_sh(2, "$H run --seeds=-1 a", "", "--seeds");
    assert_sh(0, "$H --man | head -1", ".TH HOPSCOPE 1", "");
    assert_sh(0, "$H --completion | bash -n", "", "");
    assert_sh(0, "$H config", "train.steps", "");
    assert_sh(0, "$H config --json | python3 -m json.tool", "\"data.out_degree\"", "");
    assert_sh(2, "$H config --json --man", "", "stand alone");
    assert_sh(74, "$H config > /dev/full", "", "standard output");
}

static void test_run(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml", "train_inferred", "cost: ");
    assert_true(hs_file_exists("runs/small/run.db") && hs_file_exists("runs/small/experiment.yaml"));
    assert_sh(0,
              "$H run small.yaml --json -q | python3 -c 'import json,sys; r = json.load(sys.stdin); "
              "print(r[\"steps\"], r[\"resumed_from\"])'",
              "12 12", "");
    assert_string_equal(message, "");
    assert_sh(0, "$H run runs/small --set train.steps=20 -q", "20 steps", "");
    assert_sh(0, "$H eval runs/small", "20 steps", "");
    assert_sh(0, "$H eval runs/small --step 10 --json | python3 -m json.tool", "\"steps\": 10", "");
    assert_sh(74, "$H eval runs/small --step 11", "", "no checkpoint of step 11 is kept");
    assert_sh(74, "$H eval runs", "", "no run directory");
    assert_sh(65, "$H run small.yaml --set train.steps=20 --set train.batch=8", "", "train.batch = 16, not 8");
    assert_sh(0, "$H run small.yaml -n -o never", "", "cost: ");
    assert_false(hs_file_exists("never"));
    assert_sh(0, "$H run small.yaml --seeds 2 -o many -q", "2 seeds", "");
    assert_sh(0, "$H run small.yaml --seeds 2 -o many -q --json | python3 -m json.tool", "\"mean\"", "");
    assert_sh(0, "$H config small.yaml --set train.lr=0.5 > resolved.yaml && $H run resolved.yaml -q", "12 steps", "");
}

/* Wide weights put answers hundreds of nats under the top: a large loss, not a divergence. */
static void test_large_losses_are_no_divergence(void **state)
{
    (void)state;
    write_file("wide.yaml", small);
    assert_sh(0, "$H run wide.yaml --set model.init_std=5 --set model.n_embd=64 -q", "12 steps", "");
    assert_sh(0, "$H run wide.yaml -o wider --set model.init_std=10 --set model.n_embd=64 -q", "12 steps", "");
}

static void test_bad_input(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    write_file("typo.yaml", "train:\n  stesp: 5\n");
    write_file("type.yaml", "train:\n  steps: [1]\n");
    write_file("broken.yaml", "train:\n  steps: 5\n bad\n");
    write_file("empty.yaml", "");
    write_file("latin.yaml", "report:\n  title: caf\xe9\n");
    write_file("nograph.yaml", "graph:\n  path: absent.tsv\n");
    assert_sh(74, "$H run absent.yaml", "", "absent.yaml: cannot open");
    assert_sh(65, "$H run typo.yaml", "", "typo.yaml:2");
    assert_non_null(strstr(message, "did you mean train.steps?"));
    assert_sh(65, "$H run type.yaml", "", "type.yaml:2");
    assert_sh(65, "$H run broken.yaml", "", "broken.yaml:3");
    assert_sh(65, "$H run empty.yaml", "", "no settings");
    assert_sh(65, "$H run latin.yaml", "", "UTF-8");
    assert_sh(74, "$H run nograph.yaml", "", "absent.tsv");
    assert_sh(65, "mkfifo pipe; $H run pipe", "", "pipe: not a regular file"); /* not waited for */
    /* what ends before its first file leaves no folder behind, and takes none away */
    assert_false(hs_file_exists("runs"));
    assert_sh(74, "mkdir there; $H run nograph.yaml -o there/a/b", "", "absent.tsv");
    assert_false(hs_file_exists("there/a"));
    assert_sh(74, "$H run nograph.yaml -o there", "", "absent.tsv");
    assert_true(hs_file_exists("there"));
    assert_sh(2, "$H run small.yaml --set train.stesp=5", "", "did you mean train.steps?");
    assert_sh(2, "$H run small.yaml --set train.steps", "", "KEY=VALUE");
    assert_sh(2, "$H run small.yaml --set train.steps=many", "", "'many'");
    assert_sh(74, "mkdir other; touch other/mine; $H run small.yaml -o other", "", "mine");
    assert_sh(74, "mkdir empty; $H run empty", "", "no run directory");
    assert_sh(74, "touch file; $H run small.yaml -o file", "", "file");
    if (geteuid() != 0)
        assert_sh(74, "mkdir locked; chmod 555 locked; $H run small.yaml -o locked/run", "", "locked");
    /* a file size limit stands in for a full disk; nothing half-written is left, and it goes on afterwards */
    assert_sh(74, "( ulimit -f 1; $H run small.yaml -o full -q )", "", "hopscope:");
    assert_sh(1, "find full -name '*.tmp-*' | grep .", "", "");
    assert_sh(0, "$H run small.yaml -o full -q", "12 steps", "");
    /* two at once */
    assert_sh(74, "exec 9<> full/lock; flock -n 9; $H run small.yaml -o full -q", "", "in use");
}

/* Start a long run and wait until it trains. */
static pid_t start_long(void)
{
    write_file("err.txt", "");
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY), err = open("err.txt", O_WRONLY | O_TRUNC);
        dup2(null, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        execl(TEST_BINARY_DIR "/hopscope", "hopscope", "run", "long.yaml", "-o", "long", (char *)NULL);
        _exit(127);
    }
    do {
        usleep(10000);
        read_all("err.txt", message, sizeof message);
    } while (!strstr(message, "train: ") && waitpid(child, NULL, WNOHANG) == 0);
    return child;
}

/* Send a signal, return the exit code; `message` is what was written to stderr. */
static int end_with(pid_t child, int number)
{
    int status;
    assert_int_equal(kill(child, number), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    read_all("err.txt", message, sizeof message);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static void test_signals(void **state)
{
    (void)state;
    write_file("long.yaml", "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n"
                            "model:\n  n_embd: 16\n  n_head: 2\n"
                            "train:\n  steps: 100000000\n  batch: 16\n  eval_max: 10\n");
    assert_int_equal(end_with(start_long(), SIGTERM), 143);
    assert_non_null(strstr(message, "go on with: hopscope run long"));
    assert_int_equal(end_with(start_long(), SIGINT), 130);
    assert_non_null(strstr(message, "goes on from step"));
    /* SIGUSR1 saves and goes on; asked again until a step was made since the last checkpoint */
    char before[64], after[64];
    read_all("long/checkpoints/latest", before, sizeof before);
    assert_string_not_equal(before, "");
    pid_t child = start_long();
    do {
        assert_int_equal(kill(child, SIGUSR1), 0);
        usleep(10000);
        read_all("long/checkpoints/latest", after, sizeof after);
    } while (strcmp(before, after) == 0 && waitpid(child, NULL, WNOHANG) == 0);
    assert_int_equal(end_with(child, SIGTERM), 143);
    /* SIGHUP saves like SIGTERM */
    assert_int_equal(end_with(start_long(), SIGHUP), 143);
    assert_non_null(strstr(message, "go on with: hopscope run long"));
    /* kill -9, and on again */
    assert_int_equal(end_with(start_long(), SIGKILL), 1000);
    assert_int_equal(end_with(start_long(), SIGTERM), 143);
    assert_non_null(strstr(message, "goes on from step"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_program, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_losses_are_no_divergence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_input, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_signals, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
