/* Starting from another run: tokens by name, averaged weights, what is refused, the same bits after a kill. */
#include "experiment/run_test.h"

#include "experiment/internal.h"

#include <signal.h>

static char told[600];

static void listen(void *user, const hs_event *event)
{
    (void)user;
    if (event->kind == HS_EVENT_INFO && strcmp(event->stage, "init") == 0)
        snprintf(told, sizeof told, "%s", event->text);
}

/* The model that these settings begin with, on their own dataset; a failure fails the test unless `expected` is one. */
static hs_model begin(const char *const *set, size_t n, hs_dataset *data, hs_status expected)
{
    const hs_events events = {listen, NULL};
    const hs_config *c = configure_with(set, n);
    hs_model model = {0};
    told[0] = 0;
    if (hs_experiment_dataset(c, NULL, data, NULL, &err) != HS_OK)
        fail_msg("%s: %s", err.where, err.what);
    err = (hs_error){0};
    if (hs_experiment_initial_model(c, data, &model, &events, &err) != expected)
        fail_msg("%s: %s (%s)", err.where, err.what, err.hint);
    return model;
}

static hs_run open_run(const char *name, uint64_t step)
{
    hs_run run = {0};
    if (hs_run_open(&run, in_folder(name), step, &err) != HS_OK)
        fail_msg("%s: %s", err.where, err.what);
    return run;
}

static const float *token_row(const hs_model *model, const hs_dataset *data, const char *name)
{
    const hs_tensor *t = hs_model_tensor(model, "transformer.wte.weight");
    const uint32_t id = hs_names_find(&data->vocab, name, strlen(name));
    assert_true(id != HS_NO_ID);
    return model->param + t->offset + (size_t)id * t->shape[1];
}

static char init[600];

static void set_init(const char *name)
{
    snprintf(init, sizeof init, "model.init=%s", in_folder(name));
}

static void test_same_tokens(void **state)
{
    (void)state;
    run_well("old", configure(NULL));
    run_well("averaged", configure("train.ema=0.9"));
    hs_dataset data = {0};
    set_init("old");
    const char *newest[] = {init}, *tenth[] = {init, "model.init_step=10"};
    hs_model model = begin(newest, 1, &data, HS_OK);
    assert_true(hs_model_hash(&model) == final_hash("old"));
    assert_non_null(strstr(told, "step 12: GPT-2, 2 blocks, width 16; all "));
    hs_model_free(&model);
    hs_dataset_free(&data);
    model = begin(tenth, 2, &data, HS_OK);
    hs_run run = open_run("old", 10);
    assert_true(hs_model_hash(&model) == hs_model_hash(&run.model));
    hs_run_close(&run);
    hs_model_free(&model);
    hs_dataset_free(&data);
    set_init("averaged"); /* what hs_run_open gives is the average */
    model = begin(newest, 1, &data, HS_OK);
    assert_true(hs_model_hash(&model) == final_hash("averaged"));
    assert_non_null(strstr(told, "(averaged weights)"));
    hs_model_free(&model);
    hs_dataset_free(&data);
}

static void test_other_tokens(void **state)
{
    (void)state;
    hs_dataset data = {0};
    set_init("old");
    const char *more[] = {init, "data.entities=23"};
    hs_model model = begin(more, 2, &data, HS_OK);
    assert_non_null(strstr(told, "31 of 34 tokens matched by name, 3 new ones drawn"));
    hs_run run = open_run("old", HS_LATEST);
    static const char *const names[] = {"<e_0>", "<e_19>", "<r_0>", "<r_4>"};
    for (size_t i = 0; i < 4; i++)
        assert_memory_equal(token_row(&model, &data, names[i]), token_row(&run.model, &run.data, names[i]),
                            16 * sizeof(float));
    double squares = 0;
    for (int i = 0; i < 16; i++)
        squares += (double)token_row(&model, &data, "<e_22>")[i] * (double)token_row(&model, &data, "<e_22>")[i];
    assert_true(squares > 1e-4 && squares < 0.1); /* as drawn: 16 of N(0, 0.02) */
    hs_model_free(&model);
    hs_dataset_free(&data);
    const char *fewer[] = {init, "data.entities=18", "data.hops=3"}; /* longer items */
    model = begin(fewer, 3, &data, HS_OK);
    assert_non_null(strstr(told, "2 of the run's tokens are not in this dataset"));
    assert_non_null(strstr(told, "positions from 4 on are new"));
    hs_model_free(&model);
    hs_dataset_free(&data);
    hs_run_close(&run);
}

static void test_refused(void **state)
{
    (void)state;
    hs_dataset data = {0};
    set_init("old");
    const char *deeper[] = {init, "model.n_layer=3"}, *wider[] = {init, "model.n_embd=32"},
               *step[] = {init, "model.init_step=7"}, *file[] = {"model.init=none.safetensors", "model.init_step=7"},
               *nothing[] = {init, "data.task=comparison", "data.entities=20"};
    begin(deeper, 2, &data, HS_ERR_DATA);
    assert_non_null(strstr(err.what, "no tensor transformer.h.2."));
    assert_non_null(strstr(err.hint, "model.n_layer is 3 here, 2 in the run"));
    assert_non_null(strstr(err.where, "model.init: "));
    hs_dataset_free(&data);
    begin(wider, 2, &data, HS_ERR_DATA);
    assert_non_null(strstr(err.what, "x 16 in the weights to start from and"));
    assert_non_null(strstr(err.hint, "model.n_embd is 32 here, 16 in the run"));
    hs_dataset_free(&data);
    begin(step, 2, &data, HS_ERR_IO);
    assert_non_null(strstr(err.what, "no checkpoint of step 7 is kept"));
    hs_dataset_free(&data);
    begin(file, 2, &data, HS_ERR_DATA);
    assert_string_equal(err.where, "model.init_step");
    hs_dataset_free(&data);
    snprintf(init, sizeof init, "model.init=%s", folder);
    begin(nothing, 1, &data, HS_ERR_IO);
    assert_non_null(strstr(err.what, "no run directory"));
    hs_dataset_free(&data);
}

/* New facts over the same graph, the old splits watched: one record has both. */
static void test_new_facts(void **state)
{
    (void)state;
    char watch[600];
    set_init("old");
    snprintf(watch, sizeof watch, "data.watch=%s/", in_folder("old"));
    const char *set[] = {init, watch, "data.new_facts=8", "data.new_keep=40"};
    hs_config *config = configure_with(set, 4);
    hs_experiment_result result = {0};
    if (run_in("facts", config, NULL, &result) != HS_OK)
        fail_msg("%s: %s (%s)", err.where, err.what, err.hint);
    hs_record *record;
    hs_eval_row *rows;
    size_t n, seen = 0;
    assert_int_equal(hs_record_open_read(&record, in_folder("facts/run.db"), &err), HS_OK);
    assert_int_equal(hs_record_evals(record, &rows, &n, &err), HS_OK);
    hs_record_close(record);
    static const char *const want[] = {"new_atomic",    "kept_inferred",      "test_new_new", "test_ii",
                                       "old.id_atomic", "old.train_inferred", "old.test_ii"};
    for (size_t k = 0; k < sizeof want / sizeof *want; k++)
        for (size_t i = 0; i < n; i++)
            if (rows[i].step == 12 && strcmp(rows[i].eval.split, want[k]) == 0) {
                seen++;
                assert_true(rows[i].eval.n > 0 && isfinite(rows[i].eval.accuracy));
                break;
            }
    assert_int_equal(seen, sizeof want / sizeof *want);
    hs_free(rows);
    hs_str json = {0};
    hs_experiment_result_json(&result, "facts", &json);
    assert_non_null(strstr(json.s, "\"old.id_atomic\", \"role\": \"watch\""));
    hs_str_free(&json);
    hs_experiment_result_free(&result);
    const char *odd[] = {"data.new_facts=7"};
    hs_dataset data = {0};
    assert_int_equal(hs_experiment_dataset(configure_with(odd, 1), NULL, &data, NULL, &err), HS_ERR_DATA);
    assert_string_equal(err.where, "data.new_facts");
}

/* Killed at any moment, and the first run trained on meanwhile: the second goes on with the weights it began with. */
static void test_same_bits(void **state)
{
    (void)state;
    set_init("old");
    const char *set[] = {init, "data.entities=23", "train.steps=10", "train.threads=1"};
    run_well("new", configure_with(set, 4));
    const uint64_t hash = final_hash("new");
    assert_true(hs_file_exists(in_folder("new/init.safetensors")));
    for (int i = 0; i < 5; i++) {
        hs_config *config = configure_with(set, 4);
        const pid_t child = fork();
        if (child == 0) {
            hs_experiment_result result = {0};
            (void)run_in("killed", config, NULL, &result);
            _exit(0);
        }
        usleep((useconds_t)(i * 4000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    char started[600];
    snprintf(started, sizeof started, "%s", in_folder("killed/dataset"));
    const bool begun = hs_file_exists(started);
    if (begun)
        run_well("old", configure("train.steps=14"));
    run_well("killed", configure_with(set, 4));
    assert_true(final_hash("killed") == hash);
    hs_verify_result verified = {0};
    if (hs_run_verify(in_folder("killed"), 0, 1000, 2, &verified, &err) != HS_OK)
        fail_msg("%s: %s", err.where, err.what);
    assert_true(verified.same && verified.to == 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_tokens), cmocka_unit_test(test_other_tokens), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_new_facts),   cmocka_unit_test(test_same_bits),
    };
    return cmocka_run_group_tests_name("experiment.init", tests, set_up, tear_down);
}
