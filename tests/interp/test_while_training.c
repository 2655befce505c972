/* The methods as a probe of the training loop: they change no bit, whatever the number of threads; stopped in the middle of a
 * look, a run that goes on has the rows of one that nobody disturbed; a rollback takes rows back. */
#include "interp_test.h"

#include <signal.h>
#include <unistd.h>

enum { STEPS = 6, STOP_AT = 4 };

static hs_dataset data;
static hs_model_config model_config;
static hs_interpret_config interpret;
static char folder[256], checkpoints[300], db[300];

static int set_up(void **state)
{
    (void)state;
    hs_data_config d;
    world_config(&d, &model_config, HS_MODEL_GPT2, 2);
    hs_interpret_config_default(&interpret);
    snprintf(interpret.methods, sizeof interpret.methods, "lens,trace,cross,decode,cohesion,progress");
    interpret.max = 20;
    if (hs_tensor_open(NULL) != HS_OK || hs_dataset_build(&data, &d, NULL, NULL, NULL, NULL) != HS_OK)
        return -1;
    model_config.vocab = data.vocab.n;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hs_dataset_free(&data);
    return 0;
}

static void new_folder(void)
{
    snprintf(folder, sizeof folder, "%s/while_training_XXXXXX", TEST_BINARY_DIR);
    assert_non_null(mkdtemp(folder));
    snprintf(checkpoints, sizeof checkpoints, "%s/checkpoints", folder);
    snprintf(db, sizeof db, "%s/run.db", folder);
}

static void remove_folder(void)
{
    char command[400];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

/* A probe that asks for a stop after a few readings of the step STOP_AT, once. */
typedef struct breaking {
    hs_scope *scope;
    hs_signals *signals;
    hs_record *record;
    uint64_t step;
    int left;
} breaking;

static hs_status count_down(void *user, const hs_reading *reading, hs_error *err)
{
    breaking *b = user;
    if (b->step == STOP_AT && b->left > 0 && --b->left == 0)
        b->signals->stop = SIGTERM;
    return hs_interpret_row(b->record, b->step, reading, err);
}

static hs_status look_and_break(void *user, const hs_probe_context *at, hs_error *err)
{
    breaking *b = user;
    b->record = at->record;
    b->step = at->step;
    const hs_sink sink = {.user = b, .reading = count_down};
    return hs_interpret(b->scope, at->model, NULL, &interpret, at->pool, at->signals, &sink, err);
}

/* A session of training up to STEPS, from the newest checkpoint if there is one; the weights it ends with (the caller frees). */
static float *session(uint32_t threads, const hs_probe *probe, hs_signals *signals, hs_status expected)
{
    hs_model model = {0};
    hs_trainer *trainer;
    hs_record *record;
    hs_train_config t;
    hs_train_result result;
    hs_pool *pool = hs_pool_create(threads);
    hs_error error = {0};
    uint64_t step;
    bool found = false;
    hs_train_config_default(&t);
    t.steps = STEPS;
    t.batch = 64;
    assert_ok(hs_model_create(&model, &model_config, 1, err));
    assert_ok(hs_trainer_create(&trainer, &model, &data, &t, pool, err));
    if (access(checkpoints, F_OK) == 0)
        assert_ok(hs_checkpoint_latest(checkpoints, &step, &found, NULL, err));
    if (found)
        assert_ok(hs_checkpoint_load(checkpoints, step, &model, trainer, NULL, err));
    assert_ok(hs_record_open(&record, db, err));
    assert_int_equal(hs_train(trainer, record, checkpoints, 0, probe, probe ? 1 : 0, signals, NULL, &result, &error),
                     expected);
    assert_int_equal(result.probes_failed, 0);
    float *weights = hs_alloc(model.n_params * sizeof *weights);
    memcpy(weights, model.param, model.n_params * sizeof *weights);
    hs_record_close(record);
    hs_trainer_free(trainer);
    hs_model_free(&model);
    hs_pool_free(pool);
    return weights;
}

static hs_probe_row *read_rows(size_t *n)
{
    hs_record *record;
    hs_probe_row *rows;
    assert_ok(hs_record_open_read(&record, db, err));
    assert_ok(hs_record_probes(record, NULL, &rows, n, err));
    hs_record_close(record);
    return rows;
}

static void assert_same(const float *a, const float *b)
{
    hs_model model = {0};
    assert_ok(hs_model_create(&model, &model_config, 1, err));
    assert_memory_equal(a, b, model.n_params * sizeof *a);
    hs_model_free(&model);
}

static void test_run(void **state)
{
    (void)state;
    hs_scope *scope;
    hs_signals signals = {0};
    assert_ok(hs_scope_create(&scope, &data, err));
    new_folder();
    float *plain = session(1, NULL, &signals, HS_OK);
    remove_folder();

    hs_interpret_job job = {.scope = scope, .config = &interpret};
    const hs_probe whole = hs_interpret_probe(&job);
    new_folder();
    float *looked = session(3, &whole, &signals, HS_OK);
    assert_same(plain, looked);
    size_t n, m;
    hs_probe_row *rows = read_rows(&n);
    assert_true(n > 500 && rows[n - 1].step == STEPS);
    /* a rollback takes back what lies behind it */
    hs_record *record;
    assert_ok(hs_record_open(&record, db, err));
    assert_ok(hs_record_rewind(record, STEPS - 1, err));
    hs_record_close(record);
    hs_probe_row *fewer = read_rows(&m);
    assert_true(m < n && fewer[m - 1].step == STEPS - 1);
    assert_memory_equal(rows, fewer, m * sizeof *rows);
    hs_free(fewer);
    remove_folder();

    breaking b = {.scope = scope, .signals = &signals, .left = 40};
    const hs_probe broken = {.name = "interpret", .run = look_and_break, .user = &b};
    new_folder();
    hs_free(session(2, &broken, &signals, HS_STOPPED_TERM));
    hs_free(read_rows(&m));
    assert_true(m < n);
    signals.stop = 0;
    float *resumed = session(1, &whole, &signals, HS_OK);
    assert_same(plain, resumed);
    hs_probe_row *again = read_rows(&m);
    assert_int_equal(m, n);
    assert_memory_equal(rows, again, n * sizeof *rows);
    hs_free(again);
    remove_folder();

    hs_free(rows);
    hs_free(plain);
    hs_free(looked);
    hs_free(resumed);
    hs_scope_free(scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_run, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
