/* Replaying a run meets its hash chain; a record that was tampered with, or another seed, does not. And the benchmark runs. */
#include "check.h"

#include "hopscope/experiment.h"

#include <sqlite3.h>
#include <unistd.h>

static char folder[256];

static void train(void)
{
    static const char text[] = "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n  holdout: 0.1\n"
                               "model:\n  n_embd: 16\n  n_head: 2\n  dropout: 0.1\n"
                               "train:\n  steps: 40\n  batch: 16\n  threads: 2\n  checkpoint_every: 10\n  checkpoint_keep: 9\n";
    hs_config config;
    assert_ok(hs_config_parse(&config, "small", text, sizeof text - 1, NULL, 0, err));
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
    train();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
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

static void test_bench(void **state)
{
    (void)state;
    const hs_bench_case tiny = {.kind = HS_MODEL_GPT2, .n_embd = 16, .n_layer = 1, .n_head = 2, .passes = 1, .T = 3, .P = 1,
                                .vocab = 30, .batch = 32};
    hs_bench_result r;
    assert_ok(hs_bench_step(&tiny, NULL, 0.02, &r, err));
    assert_true(r.seconds > 0 && r.flop > 0 && r.memory > 4 * r.weights && r.weights > 1000);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_replay_follows_attempts), cmocka_unit_test(test_replay),
                                       cmocka_unit_test(test_bench)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
