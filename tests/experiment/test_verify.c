/* Replaying a run meets its hash chain; a record that was tampered with, or another seed, does not. And the benchmark runs. */
#include "check.h"

#include "hopscope/experiment.h"

#include <sqlite3.h>
#include <unistd.h>

static char folder[256];

static void train_seed(uint64_t seed)
{
    static const char text[] = "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n  holdout: 0.1\n"
                               "model:\n  n_embd: 16\n  n_head: 2\n  dropout: 0.1\n"
                               "train:\n  steps: 40\n  batch: 16\n  threads: 2\n  checkpoint_every: 10\n  checkpoint_keep: 9\n";
    hs_config config;
    assert_ok(hs_config_parse(&config, "small", text, sizeof text - 1, NULL, 0, err));
    config.train.seed = seed;
    const hs_experiment_options options = {.run_dir = folder, .no_estimate = true};
    hs_experiment_result result = {0};
    assert_ok(hs_experiment_run(&config, &options, NULL, NULL, &result, err));
    hs_experiment_result_free(&result);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/verify_XXXXXX", TEST_BINARY_DIR);
    if (!mkdtemp(folder))
        return -1;
    train_seed(1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void change_some(const char *dir, const char *statement)
{
    char path[512], *message = NULL;
    snprintf(path, sizeof path, "%s/run.db", dir);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, statement, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", statement, message);
    sqlite3_close(db);
}

static void change_record(const char *dir, const char *statement)
{
    char path[512];
    snprintf(path, sizeof path, "%s/run.db", dir);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, statement, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(db), 1);
    sqlite3_close(db);
}

static void test_replay(void **state)
{
    (void)state;
    hs_verify_result r;
    assert_ok(hs_run_verify(folder, 0, 40, 1, &r, err));
    assert_true(r.same && r.from == 0 && r.to == 40 && r.compared > 10);
    assert_ok(hs_run_verify(folder, 20, 40, 3, &r, err));
    assert_true(r.same && r.from == 20 && r.to == 40 && r.compared >= 2);
    hs_error none = {0};
    assert_int_equal(hs_run_verify(folder, 17, 40, 1, &r, &none), HS_ERR_IO); /* no such checkpoint */
    assert_int_equal(hs_run_verify(folder, 40, 40, 1, &r, &none), HS_ERR_DATA); /* no step is left to replay */
    /* one recorded hash is changed: found at its step */
    change_record(folder, "UPDATE weights SET hash = '0000000000000001' WHERE step = 10");
    assert_ok(hs_run_verify(folder, 0, 40, 1, &r, err));
    assert_true(!r.same && r.to == 10 && r.recorded == 1 && r.replayed != 1);
}

/* A recorded rollback changes the order of batches from its step on, and only from there. */
static void test_replay_follows_attempts(void **state)
{
    (void)state;
    hs_verify_result r;
    assert_ok(hs_run_verify(folder, 0, 40, 1, &r, err));
    assert_true(r.same);
    change_record(folder, "INSERT INTO metric VALUES (20, 'attempt', 2)");
    assert_ok(hs_run_verify(folder, 0, 20, 1, &r, err));
    assert_true(r.same && r.to == 20);
    assert_ok(hs_run_verify(folder, 0, 40, 1, &r, err));
    assert_true(!r.same && r.to > 20);
    change_record(folder, "DELETE FROM metric WHERE name = 'attempt'");
}

/* ---------------------------------------------------------------- every way to tamper */

static void copy_run(char *to, size_t size, const char *name)
{
    char command[1200];
    snprintf(to, size, "%s-%s", folder, name);
    snprintf(command, sizeof command, "rm -rf '%s'; cp -r '%s' '%s'", to, folder, to);
    assert_int_equal(system(command), 0);
}

static void remove_run(const char *dir)
{
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

/* Changed as `change` says, the run is not the same any more, though the replay stops at step 5 and never gets there. */
static void assert_found(const char *sql, const char *shell, uint64_t step, const char *what)
{
    char dir[400], command[2000];
    hs_verify_result r;
    copy_run(dir, sizeof dir, "changed");
    if (sql)
        change_some(dir, sql);
    if (shell) {
        snprintf(command, sizeof command, "cd '%s' && R='%s' && %s", dir, folder, shell);
        assert_int_equal(system(command), 0);
    }
    assert_ok(hs_run_verify(dir, 0, 5, 1, &r, err));
    if (r.same || r.difference_step != step || !strstr(r.difference, what))
        fail_msg("%s%s: same %d, step %llu (expected %llu): '%s' (expected '%s')", sql ? sql : "", shell ? shell : "",
                 r.same, (unsigned long long)r.difference_step, (unsigned long long)step, r.difference, what);
    remove_run(dir);
}

static void test_everything_is_compared(void **state)
{
    (void)state;
    hs_verify_result r;
    char dir[400];
    copy_run(dir, sizeof dir, "whole");
    assert_ok(hs_run_verify(dir, 0, 5, 1, &r, err));
    assert_true(r.same && r.to == 5 && r.last == 40 && r.links > 10 && r.unlinked == 0);
    assert_true(r.checkpoints >= 4 && r.unrecorded == 0 && r.evaluations >= 3 * r.compared &&
                r.metrics == 4 * r.compared);
    remove_run(dir);
    /* record */
    assert_found("UPDATE metric SET value = value * 1.0001 WHERE name = 'loss' AND step = 40", NULL, 40,
                 "record was changed");
    assert_found("UPDATE evaluation SET accuracy = 1 WHERE step = 40 AND split = 'test_ii'", NULL, 40,
                 "record was changed");
    assert_found("DELETE FROM metric WHERE name = 'grad_norm' AND step = 20", NULL, 20, "record was changed");
    assert_found("DELETE FROM weights WHERE step = 20", NULL, 22, "missing");
    assert_found("DELETE FROM weights WHERE step = 40", NULL, 35, "cut");
    assert_found("DELETE FROM weights", NULL, 0, "cut");
    assert_found("UPDATE weights SET chain = NULL WHERE step = 40", NULL, 40, "no link");
    assert_found("UPDATE checkpoint SET state = '0000000000000001' WHERE step = 40", NULL, 40, "optimizer state");
    assert_found("DELETE FROM checkpoint WHERE step = 40", NULL, 40, "did not save");
    /* checkpoints */
    assert_found(NULL, "printf X | dd of=checkpoints/step-00000040.safetensors bs=1 seek=9000 conv=notrunc 2>/dev/null",
                 40, "step-00000040: weights are damaged");
    assert_found(NULL,
                 "printf X | dd of=checkpoints/step-00000030.state.safetensors bs=1 seek=9000 conv=notrunc 2>/dev/null",
                 30, "step-00000030: optimizer state is damaged");
    assert_found(NULL, "rm checkpoints/step-00000020.safetensors", 20, "not there");
}

/* A whole pair of another run, in the place of this one's newest. */
static void test_checkpoint_of_another_run(void **state)
{
    (void)state;
    char mine[256], other[400];
    snprintf(mine, sizeof mine, "%s", folder);
    snprintf(other, sizeof other, "%s-other", mine);
    snprintf(folder, sizeof folder, "%.200s-other", mine);
    train_seed(2);
    snprintf(folder, sizeof folder, "%s", mine);
    assert_found(NULL, "cp \"$R\"-other/checkpoints/step-00000040.* checkpoints/", 40,
                 "these weights are not what this run saved");
    /* and it is not gone on from */
    char dir[400], command[1500];
    copy_run(dir, sizeof dir, "mixed");
    snprintf(command, sizeof command, "cp '%s'/checkpoints/step-00000040.* '%s/checkpoints/'", other, dir);
    assert_int_equal(system(command), 0);
    hs_config config;
    hs_error why = {0};
    hs_experiment_result result = {0};
    char path[500];
    snprintf(path, sizeof path, "%s/experiment.yaml", dir);
    assert_ok(hs_config_read(&config, path, (const char *const[]){"train.steps=50"}, 1, err));
    const hs_experiment_options options = {.run_dir = dir, .no_estimate = true};
    assert_int_equal(hs_experiment_run(&config, &options, NULL, NULL, &result, &why), HS_ERR_DATA);
    assert_non_null(strstr(why.what, "step-00000040"));
    remove_run(other);
    remove_run(dir);
}

/* A run of before the chain: read, replayed, and what is not known is said. */
static void test_older_record(void **state)
{
    (void)state;
    char dir[400];
    hs_verify_result r;
    copy_run(dir, sizeof dir, "older");
    change_some(dir, "DROP TABLE probe; DROP TABLE checkpoint; ALTER TABLE weights DROP COLUMN chain; "
                     "DELETE FROM info WHERE key IN ('chain', 'config'); PRAGMA user_version = 1");
    assert_ok(hs_run_verify(dir, 0, 10, 1, &r, err));
    assert_true(r.same && r.links == 0 && r.unlinked > 10 && r.checkpoints == 0 && r.unrecorded >= 4);
    /* it goes on, and from there on it is linked */
    hs_config config;
    hs_experiment_result result = {0};
    char path[500];
    snprintf(path, sizeof path, "%s/experiment.yaml", dir);
    assert_ok(hs_config_read(&config, path, (const char *const[]){"train.steps=50"}, 1, err));
    const hs_experiment_options options = {.run_dir = dir, .no_estimate = true};
    assert_ok(hs_experiment_run(&config, &options, NULL, NULL, &result, err));
    hs_experiment_result_free(&result);
    assert_ok(hs_run_verify(dir, 0, 50, 1, &r, err));
    assert_true(r.same && r.links > 0 && r.unlinked > 10 && r.checkpoints > 0 && r.to == 50);
    change_some(dir, "UPDATE evaluation SET accuracy = 1 WHERE step = 20"); /* before the chain: the replay finds it */
    assert_ok(hs_run_verify(dir, 0, 50, 1, &r, err));
    assert_true(!r.same && r.difference_step == 20);
    remove_run(dir);
}

static void test_bench(void **state)
{
    (void)state;
    const hs_bench_case tiny = {.kind = HS_MODEL_GPT2, .n_embd = 16, .n_layer = 1, .n_head = 2, .passes = 1, .T = 3, .P = 1,
                                .vocab = 30, .batch = 32};
    hs_bench_result r;
    assert_ok(hs_bench_step(&tiny, NULL, NULL, 0.02, &r, err));
    assert_true(r.seconds > 0 && r.flop > 0 && r.memory > 4 * r.weights && r.weights > 1000);
    assert_true(r.ranks == 1 && r.exchange == 0 && r.bytes == 0 && r.shared > 0 && r.shared <= r.seconds);
    /* 80 ms of shared work a rank, 10 ms that each does itself; 2 ranks sent 10 MB each */
    const hs_bench_result two = {.ranks = 2, .seconds = 0.1, .shared = 0.08, .exchange = 0.01, .bytes = 1e7};
    assert_true(fabs(hs_bench_predict(&two, 1, 0, 1e30) - 1) < 1e-9);
    assert_true(fabs(hs_bench_predict(&two, 2, 0, 1e30) - 0.17 / (2 * 0.09)) < 1e-9);
    assert_true(fabs(hs_bench_predict(&two, 4, 1e-3, 1e9) - 0.17 / (4 * (0.04 + 0.01 + 7e-3 + 1.5e-2))) < 1e-9);
    double roof = 0;
    assert_ok(hs_bench_roof(NULL, &roof, err));
    assert_true(roof > 1e8);
    size_t n;
    const hs_bench_case *cases = hs_bench_cases(&n);
    for (size_t i = 0; i < n; i++)
        assert_true(cases[i].name && cases[i].help && cases[i].P <= cases[i].T);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_everything_is_compared),
                                       cmocka_unit_test(test_checkpoint_of_another_run),
                                       cmocka_unit_test(test_older_record),
                                       cmocka_unit_test(test_replay_follows_attempts),
                                       cmocka_unit_test(test_replay),
                                       cmocka_unit_test(test_bench)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
