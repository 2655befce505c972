/* The whole way in small: a run directory, resuming to the same bits, what is refused, failures of disk and memory. */
#include "experiment/run_test.h"

#include <dirent.h>
#include <signal.h>

static void test_result(void **state)
{
    (void)state;
    hs_experiment_result result = {0};
    assert_int_equal(run_in("a", configure(NULL), NULL, &result), HS_OK);
    assert_false(result.resumed);
    assert_int_equal(result.train.steps, 12);
    assert_int_equal(result.train.reason, HS_STOP_BUDGET);
    assert_int_equal(result.facts, 60);
    assert_true(result.cost.weights > 1000 && result.cost.step_flop > 1e5 &&
                result.cost.memory > 4 * result.cost.weights);
    int tests = 0;
    for (uint32_t i = 0; i < result.n_splits; i++) {
        const hs_split_result *s = &result.split[i];
        assert_true(s->eval.accuracy >= 0 && s->eval.accuracy <= 1 && s->eval.loss > 0);
        assert_true(s->has_baselines == (s->role == HS_SPLIT_TEST));
        assert_true(strcmp(s->eval.split, "test_ii") == 0 ? s->paper == 0.93 : isnan(s->paper));
        tests += s->role == HS_SPLIT_TEST;
    }
    assert_true(tests >= 2);
    hs_str text = {0};
    hs_experiment_result_text(&result, &text);
    assert_non_null(strstr(text.s, "test_ii"));
    assert_non_null(strstr(text.s, "0.930"));
    hs_str_free(&text);
    hs_experiment_result_free(&result);
    /* the written-out configuration is the one that ran */
    char path[512];
    hs_config written;
    snprintf(path, sizeof path, "%s/a/experiment.yaml", folder);
    assert_int_equal(hs_config_read(&written, path, NULL, 0, &err), HS_OK);
    assert_null(hs_config_diff(&written, configure(NULL), false));
    /* a finished run is not trained again */
    uint64_t hash = final_hash("a");
    assert_int_equal(run_in("a", configure(NULL), NULL, &result), HS_OK);
    assert_true(result.resumed && result.resumed_step == 12 && result.train.steps == 12);
    hs_experiment_result_free(&result);
    assert_true(final_hash("a") == hash);
}

/* Stopped by its budget, by a signal and by kill -9 in the middle; another number of threads: the same bits. */
static void test_resume_same_bits(void **state)
{
    (void)state;
    run_well("whole", configure(NULL));
    uint64_t hash = final_hash("whole");
    run_well("parts", configure("train.steps=3"));
    assert_true(final_hash("parts") != hash);
    hs_config *more = configure("train.steps=7");
    more->train.threads = 1;
    run_well("parts", more);
    run_well("parts", configure(NULL));
    assert_true(final_hash("parts") == hash);
    hs_signals signals = {.stop = SIGTERM};
    hs_experiment_result result = {0};
    assert_int_equal(run_in("signal", configure(NULL), &signals, &result), HS_STOPPED_TERM);
    hs_experiment_result_free(&result);
    run_well("signal", configure(NULL));
    assert_true(final_hash("signal") == hash);
    hs_config *killed = configure(NULL);
    for (int i = 0; i < 6; i++) {
        pid_t child = fork();
        if (child == 0) {
            memset(&result, 0, sizeof result);
            killed->train.threads = 1; /* a fork takes no threads along */
            (void)run_in("killed", killed, NULL, &result);
            _exit(0);
        }
        usleep((useconds_t)(1000 + 4000 * i));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    run_well("killed", configure(NULL));
    assert_true(final_hash("killed") == hash);
    /* the record of the run in parts is one history: each step once, the last hash that of the weights */
    char path[512];
    snprintf(path, sizeof path, "%s/killed/run.db", folder);
    hs_record *record;
    hs_weights_row *rows;
    size_t n;
    assert_int_equal(hs_record_open(&record, path, &err), HS_OK);
    assert_int_equal(hs_record_weights_rows(record, &rows, &n, &err), HS_OK);
    assert_true(n >= 3 && rows[n - 1].step == 12 && rows[n - 1].hash == hash);
    for (size_t i = 1; i < n; i++)
        assert_true(rows[i].step > rows[i - 1].step);
    hs_free(rows);
    hs_record_close(record);
}

/* Step by step, left early, gone on with, ended by a signal between two steps: the folder and the bits of a run in one
 * go. */
static void test_session(void **state)
{
    (void)state;
    run_well("in_one", configure(NULL));
    const uint64_t hash = final_hash("in_one");
    hs_config *config = configure(NULL);
    const hs_experiment_options options = {.run_dir = in_folder("session"), .no_estimate = true};
    for (int part = 0; part < 3; part++) {
        hs_signals signals = {0};
        hs_experiment_result result = {0};
        hs_session *session;
        hs_step_stats stats = {0};
        bool ended = false;
        assert_int_equal(hs_session_open(&session, config, &options, &signals, NULL, &result, &err), HS_OK);
        hs_session *second;
        hs_experiment_result busy = {0};
        assert_int_equal(hs_session_open(&second, config, &options, NULL, NULL, &busy, &err), HS_ERR_IO);
        assert_true(busy.in_use && second == NULL);
        uint64_t step = hs_trainer_step_count(hs_session_trainer(session));
        assert_int_equal(step, part * 4);
        for (int i = 0; i < 4; i++) {
            assert_false(ended);
            assert_int_equal(hs_session_step(session, &stats, &ended, &err), HS_OK);
            assert_int_equal(hs_trainer_step_count(hs_session_trainer(session)), ++step);
            assert_true(stats.loss > 0 && stats.grad_norm > 0);
        }
        assert_true(ended == (part == 2));
        if (part == 1)
            hs_signals_stop(&signals, SIGINT);
        assert_int_equal(hs_session_finish(session, &err), part == 1 ? HS_STOPPED_INT : HS_OK);
        hs_session_close(session);
        assert_int_equal(result.train.reason, part < 2 ? HS_STOP_SIGNAL : HS_STOP_BUDGET);
        assert_int_equal(result.train.steps, step);
        assert_true(result.n_splits > 2 && result.split[0].eval.accuracy >= 0);
        hs_experiment_result_free(&result);
    }
    assert_true(final_hash("session") == hash);
    hs_verify_result verified;
    assert_int_equal(hs_run_verify(options.run_dir, 0, 12, 1, &verified, &err), HS_OK);
    assert_true(verified.same && verified.evaluations > 0);
    /* left before its first step, it has no checkpoint; closed without a finish, it goes on from what it had saved */
    const hs_experiment_options other = {.run_dir = in_folder("closed"), .no_estimate = true};
    for (int steps = 0; steps < 2; steps++) {
        hs_experiment_result result = {0};
        hs_session *session;
        bool ended = false;
        uint64_t *kept;
        size_t n;
        assert_int_equal(hs_session_open(&session, config, &other, NULL, NULL, &result, &err), HS_OK);
        for (int i = 0; i < steps; i++)
            assert_int_equal(hs_session_step(session, NULL, &ended, &err), HS_OK);
        if (steps == 0)
            assert_int_equal(hs_session_finish(session, &err), HS_OK);
        hs_session_close(session);
        assert_int_equal(hs_run_checkpoints(other.run_dir, &kept, &n, &err), HS_OK);
        assert_true(steps > 0 || n == 0);
        hs_free(kept);
        assert_int_equal(result.train.reason, steps == 0 ? HS_STOP_SIGNAL : HS_STOP_BUDGET);
        hs_experiment_result_free(&result);
    }
    run_well("closed", config);
    assert_true(final_hash("closed") == hash);
    hs_session_close(NULL);
}

static void test_refused(void **state)
{
    (void)state;
    hs_experiment_result result = {0};
    run_well("a", configure(NULL));
    assert_int_equal(run_in("a", configure("train.lr=0.5"), NULL, &result), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "train.lr = 0.001, not 0.5"));
    assert_int_equal(run_in("a", configure("data.seed=9"), NULL, &result), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "data.seed"));
    hs_config *config = configure("train.schedule=cosine");
    run_well("cosine", config);
    config->train.steps = 20; /* the rate of the steps already done would have been another */
    assert_int_equal(run_in("cosine", config, NULL, &result), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "train.steps"));
    /* somebody else's folder */
    char path[512], dir[400];
    snprintf(dir, sizeof dir, "%s/other", folder);
    assert_int_equal(hs_make_dirs(dir, &err), HS_OK);
    snprintf(path, sizeof path, "%s/thesis.tex", dir);
    assert_int_equal(hs_file_write(path, "x", 1, &err), HS_OK);
    assert_int_equal(run_in("other", configure(NULL), NULL, &result), HS_ERR_IO);
    assert_string_equal(err.value, "thesis.tex");
    snprintf(path, sizeof path, "%s/lock", dir);
    assert_false(hs_file_exists(path));
    /* a file where the folder should be */
    assert_int_equal(run_in("other/thesis.tex", configure(NULL), NULL, &result), HS_ERR_IO);
    /* a run in use */
    hs_run_lock lock;
    snprintf(dir, sizeof dir, "%s/a", folder);
    assert_int_equal(hs_run_lock_take(&lock, dir, &err), HS_OK);
    assert_int_equal(run_in("a", configure(NULL), NULL, &result), HS_ERR_IO);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(err.what, pid));
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    assert_non_null(strstr(err.what, host));
    hs_run_lock_release(&lock, dir);
    run_well("a", configure(NULL));
    /* where the file system has no locks: a file, which a process of this host that is gone does not hold */
    hs_run_lock_by_file(true);
    assert_int_equal(hs_run_lock_take(&lock, dir, &err), HS_OK);
    assert_int_equal(run_in("a", configure(NULL), NULL, &result), HS_ERR_IO);
    assert_non_null(strstr(err.what, pid));
    assert_non_null(strstr(err.hint, "lock.held"));
    hs_run_lock_release(&lock, dir);
    run_well("a", configure(NULL));
    snprintf(path, sizeof path, "%s/lock.held", dir);
    assert_false(hs_file_exists(path));
    char held[128];
    snprintf(held, sizeof held, "999999999 %s\n", host);
    assert_int_equal(hs_file_write(path, held, strlen(held), &err), HS_OK);
    run_well("a", configure(NULL));
    assert_int_equal(hs_file_write(path, "1 another-host\n", 15, &err), HS_OK);
    assert_int_equal(run_in("a", configure(NULL), NULL, &result), HS_ERR_IO);
    assert_non_null(strstr(err.what, "process 1 on another-host"));
    unlink(path);
    hs_run_lock_by_file(false);
    /* phi out of reach leaves the folder free for the next try */
    assert_int_equal(run_in("phi", configure("data.phi=900"), NULL, &result), HS_ERR_DATA);
    run_well("phi", configure(NULL));
    /* a damaged configuration or dataset of a run is said, not replaced */
    snprintf(path, sizeof path, "%s/a/experiment.yaml", folder);
    assert_int_equal(hs_file_write(path, "train:\n  lr: x\n", 15, &err), HS_OK);
    assert_int_equal(run_in("a", configure(NULL), NULL, &result), HS_ERR_DATA);
    assert_non_null(strstr(err.where, "experiment.yaml:2"));
    snprintf(path, sizeof path, "%s/phi/dataset/vocab.json", folder);
    assert_int_equal(hs_file_write(path, "{", 1, &err), HS_OK);
    assert_int_equal(run_in("phi", configure(NULL), NULL, &result), HS_ERR_DATA);
}

/* All checkpoints damaged: said, and the record of the run is left alone. */
static void test_lost_checkpoints(void **state)
{
    (void)state;
    char path[600], name[900];
    run_well("lost", configure(NULL));
    snprintf(path, sizeof path, "%s/lost/checkpoints", folder);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (strstr(e->d_name, ".state."))
            assert_int_equal(truncate(name, 100), 0);
    }
    closedir(d);
    hs_experiment_result result = {0};
    assert_int_equal(run_in("lost", configure(NULL), NULL, &result), HS_ERR_DATA);
    assert_non_null(strstr(err.where, "lost/checkpoints"));
    hs_record *record;
    hs_weights_row *rows;
    size_t n;
    snprintf(path, sizeof path, "%s/lost/run.db", folder);
    assert_int_equal(hs_record_open_read(&record, path, &err), HS_OK);
    assert_int_equal(hs_record_weights_rows(record, &rows, &n, &err), HS_OK);
    assert_true(n > 3);
    hs_free(rows);
    hs_record_close(record);
}

static void test_dry_run(void **state)
{
    (void)state;
    hs_experiment_result result = {0};
    char dir[512];
    snprintf(dir, sizeof dir, "%s/dry", folder);
    const hs_experiment_options options = {.run_dir = dir, .dry_run = true};
    assert_int_equal(hs_experiment_run(configure(NULL), &options, NULL, NULL, &result, &err), HS_OK);
    assert_true(result.cost.seconds_per_1000 > 0);
    assert_false(hs_file_exists(dir));
    hs_experiment_result_free(&result);
}

static void test_open(void **state)
{
    (void)state;
    hs_run run = {0};
    run_well("a", configure("train.ema=0.9"));
    char dir[512];
    snprintf(dir, sizeof dir, "%s/a", folder);
    assert_int_equal(hs_run_open(&run, dir, 10, &err), HS_OK);
    assert_int_equal(run.step, 10);
    hs_run_close(&run);
    assert_int_equal(hs_run_open(&run, dir, 6, &err), HS_ERR_IO);
    assert_int_equal(hs_run_open(&run, folder, HS_LATEST, &err), HS_ERR_IO);
    assert_non_null(strstr(err.what, "no run"));
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s/checkpoints'", dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(hs_run_open(&run, dir, HS_LATEST, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "checkpoint"));
    char name[64];
    assert_int_equal(hs_run_default_dir(name, sizeof name, "x/y.z/demo.yaml", &err), HS_OK);
    assert_string_equal(name, "runs/demo");
    assert_int_equal(hs_run_default_dir(name, sizeof name, "x/", &err), HS_ERR_USAGE);
}

static void test_seeds(void **state)
{
    (void)state;
    hs_experiment_result results[3] = {0};
    uint32_t done;
    const hs_experiment_options options = {.run_dir = folder, .no_estimate = true};
    assert_int_equal(hs_experiment_seeds(configure(NULL), &options, 3, NULL, NULL, results, &done, &err), HS_OK);
    assert_int_equal(done, 3);
    uint64_t hash[3] = {final_hash("seed-1"), final_hash("seed-2"), final_hash("seed-3")};
    assert_true(hash[0] != hash[1] && hash[1] != hash[2] && hash[0] != hash[2]);
    hs_str text = {0};
    hs_experiment_seeds_text(results, done, &text);
    assert_non_null(strstr(text.s, "3 seeds"));
    hs_str_free(&text);
    hs_experiment_seeds_json(results, done, "r", &text);
    assert_non_null(strstr(text.s, "r/seed-3"));
    hs_str_free(&text);
    for (int i = 0; i < 3; i++)
        hs_experiment_result_free(&results[i]);
}

/* Every n-th write or sync fails: an I/O error, and the next start reaches the same bits. */
static void test_full_disk(void **state)
{
    (void)state;
    run_well("whole", configure(NULL));
    uint64_t hash = final_hash("whole");
    int failures = 0;
    for (uint64_t n = 1; n < 1000; n += 1 + n / 8) {
        char name[32];
        snprintf(name, sizeof name, "io-%d", failures);
        hs_experiment_result result = {0};
        hs_io_fail_after(n);
        hs_status status = run_in(name, configure(NULL), NULL, &result);
        hs_io_fail_after(0);
        hs_experiment_result_free(&result);
        if (status == HS_OK)
            break;
        if (status != HS_ERR_IO)
            fail_msg("write %llu: %s: %s", (unsigned long long)n, err.where, err.what);
        run_well(name, configure(NULL));
        assert_true(final_hash(name) == hash);
        failures++;
    }
    assert_true(failures > 10 && failures < 100);
}

/* The n-th allocation fails: out of memory is said, nothing leaks, and the next start reaches the same bits. */
static void test_out_of_memory(void **state)
{
    (void)state;
    hs_config *config = configure(NULL);
    config->train.threads = 1;
    uint64_t before = hs_alloc_count();
    run_well("whole", config);
    uint64_t total = hs_alloc_count() - before, hash = final_hash("whole");
    for (uint64_t n = 1; n <= total; n += 1 + total / 60) {
        hs_experiment_result result = {0};
        hs_alloc_fail_after(n);
        hs_status status = run_in("memory", config, NULL, &result);
        hs_alloc_fail_after(0);
        hs_experiment_result_free(&result);
        if (status != HS_OK && status != HS_ERR_MEMORY)
            fail_msg("allocation %llu of %llu: %s: %s", (unsigned long long)n, (unsigned long long)total, err.where,
                     err.what);
    }
    run_well("memory", config);
    assert_true(final_hash("memory") == hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_result, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resume_same_bits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost_checkpoints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dry_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seeds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
