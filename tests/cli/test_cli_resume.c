/* What a run notices when it goes on: settings edited, a record gone, a checkpoint damaged, the folder moved under it. */
#include "cli/cli_test.h"

#include <signal.h>

static const char small[] = "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n"
                            "model:\n  n_embd: 16\n  n_head: 2\n"
                            "train:\n  steps: 12\n  batch: 16\n  checkpoint_every: 4\n  checkpoint_keep: 9\n";

/* The run's own experiment.yaml, edited between two sessions. */
static void test_edited_settings(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml -o a -q", "12 steps", "");
    assert_sh(0,
              "cp -r a b && sed -i 's/^  lr: .*/  lr: 0.5/' a/experiment.yaml && grep -q 'lr: 0.5' a/experiment.yaml",
              "", "");
    assert_sh(65, "$H run a --set train.steps=20 -q", "", "train.lr = 0.001, not 0.5");
    assert_non_null(strstr(message, "experiment.yaml was changed"));
    assert_sh(0, "sed -i 's/^  entities: .*/  entities: 30/' b/experiment.yaml", "", "");
    assert_sh(65, "$H run b --set train.steps=20 -q", "", "data.entities = 20, not 30");
    /* changed back, it goes on; what may change may be edited too */
    assert_sh(0, "sed -i 's/^  lr: .*/  lr: 0.001/; s/^  steps: .*/  steps: 16/' a/experiment.yaml && $H run a -q",
              "16 steps", "");
}

static void test_record_gone(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml -o a -q", "12 steps", "");
    assert_sh(65, "rm a/run.db && $H run a --set train.steps=20 -q", "", "run.db: the record of this run is gone");
    assert_sh(1, "test -e a/run.db", "", "");
    assert_sh(65, "touch a/run.db && $H run a --set train.steps=20 -q", "", "the record of this run is gone");
    /* a damaged one is neither used nor overwritten */
    assert_sh(65,
              "head -c 5000 /dev/zero | tr '\\0' x > a/run.db && cp a/run.db kept && $H run a --set train.steps=20 -q",
              "", "a/run.db");
    assert_sh(0, "cmp a/run.db kept", "", "");
}

/* The newest checkpoint is damaged: an older one serves, and that is said. */
static void test_damaged_checkpoint(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml -o a -q && cp -r a b", "12 steps", "");
    assert_sh(0, "$H eval a", "12 steps", "");
    assert_null(strstr(message, "warning"));
    assert_sh(0, "printf X | dd of=a/checkpoints/step-00000012.safetensors bs=1 seek=9000 conv=notrunc", "", "");
    assert_sh(0, "$H eval a", "10 steps", "step-00000012."); /* 10: log-spaced */
    assert_non_null(strstr(message, "warning: step 10 is used, a newer checkpoint is damaged"));
    assert_sh(0, "$H ask a", "", "a newer checkpoint is damaged");
    assert_sh(0, "$H export a --hf hf", "", "a newer checkpoint is damaged");
    assert_sh(1, "$H verify a", "different: step-00000012", "");
    assert_sh(0, "$H run a", "12 steps", "a newer checkpoint is damaged");
    assert_sh(0, "$H verify a && cmp a/checkpoints/step-00000012.safetensors b/checkpoints/step-00000012.safetensors",
              "same bits", "");
    /* one that cannot be read is an error, not damage */
    assert_sh(74,
              "cd b/checkpoints && rm step-00000012.safetensors && ln -s step-00000012.safetensors "
              "step-00000012.safetensors && cd ../.. && $H eval b",
              "", "step-00000012.safetensors");
    assert_sh(74, "$H run b --set train.steps=20 -q", "", "step-00000012.safetensors");
}

/* Killed after a checkpoint was saved and before `latest` named it: the file stays, and is still one that this run saved. */
static void test_newer_checkpoint_left(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H run small.yaml -o a -q", "12 steps", "");
    assert_sh(0, "echo step-00000004 > a/checkpoints/latest && $H run a -q --set train.steps=6", "6 steps", "");
    assert_sh(0, "ls a/checkpoints", "step-00000012", "");
    assert_sh(0, "$H verify a", "same bits", "");
}

static void test_eval_says_why_it_ended(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0,
              "$H run small.yaml -o a -q --set train.stop_split=id_atomic --set train.stop_accuracy=0 --set "
              "train.stop_patience=2",
              "ended by stop rule", "");
    assert_sh(0, "$H eval a", "ended by stop rule", "");
    assert_sh(0, "$H eval a --step 1", "1 steps", "");
    assert_null(strstr(out, "ended by"));
    assert_sh(0,
              "$H eval a --json | python3 -c 'import json,sys; r = json.load(sys.stdin); "
              "print(r[\"ended_by\"], r[\"memory\"], r[\"step_flop\"], min(r[\"weights\"], r[\"vocab\"], "
              "r[\"training_items\"]) > 0)'",
              "stop rule None None True", "");
}

/* Start a long run of `long.yaml` in long/, wait until it trains, do something to the folder, return the exit code. */
static int run_and(const char *what)
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
    for (int i = 0; i < 2000; i++) {
        usleep(10000);
        if (access("long/checkpoints/step-00000100.state.safetensors", R_OK) == 0)
            break;
    }
    assert_int_equal(system(what), 0);
    int status = 0;
    for (int i = 0; i < 3000 && waitpid(child, &status, WNOHANG) == 0; i++)
        usleep(10000);
    kill(child, SIGKILL); /* no effect once it ended */
    read_all("err.txt", message, sizeof message);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

/* Deleted or moved while it trains: said, ended, and everything in memory is a run of its own from which it goes on, to the bits of
 * a run that nobody disturbed. */
static void test_folder_lost(void **state)
{
    (void)state;
    static const char *const what[] = {"rm -rf long || rm -rf long || rm -rf long", "mv long elsewhere",
                                       "rm long/run.db"};
    write_file("long.yaml", "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n"
                            "model:\n  n_embd: 16\n  n_head: 2\n"
                            "train:\n  steps: 100000000\n  batch: 16\n  eval_max: 10\n");
    for (int i = 0; i < 3; i++) {
        assert_sh(0, "rm -rf long long.rescued elsewhere", "", "");
        assert_int_equal(run_and(what[i]), 74);
        assert_non_null(strstr(message, "deleted or moved while the run went on"));
        assert_non_null(strstr(message, "go on with: hopscope run long.rescued"));
        assert_sh(0, "$H verify long.rescued --steps 100", "same bits", "");
        assert_sh(0,
                  "s=$(sed 's/step-0*//' long.rescued/checkpoints/latest); test $s -ge 100 && "
                  "$H run long.rescued -q --set train.steps=$((s + 20)) && "
                  "$H run long.yaml -q -o again --set train.steps=$((s + 20)) --set train.threads=1 && "
                  "cmp again/checkpoints/step-*$((s + 20)).safetensors long.rescued/checkpoints/step-*$((s + "
                  "20)).safetensors && "
                  "rm -rf again",
                  "", "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_edited_settings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_checkpoint, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_newer_checkpoint_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_eval_says_why_it_ended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folder_lost, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
