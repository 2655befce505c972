/* Every method on every model: same readings for any number of threads; and what must hold by construction: a circuit of all
 * edges is the model, no movement is the model, norms are norms. */
#include "interp_test.h"

static const hs_model_kind kinds[] = {HS_MODEL_GPT2, HS_MODEL_LLAMA, HS_MODEL_TRM};

static hs_interpret_config all_methods(void)
{
    hs_interpret_config config;
    hs_interpret_config_default(&config);
    snprintf(config.methods, sizeof config.methods, "all");
    snprintf(config.splits, sizeof config.splits, "train_inferred,id_atomic");
    config.exhaustive = true;
    config.max = 20;
    config.random_circuits = 1;
    return config;
}

static void test_every_method_and_threads(void **state)
{
    (void)state;
    hs_pool *pool = hs_pool_create(3);
    for (size_t k = 0; k < 3; k++) {
        world w;
        world_make(&w, kinds[k], 2, 5);
        hs_interpret_config config = all_methods();
        if (kinds[k] == HS_MODEL_LLAMA)
            config.max = 70; /* more than one chunk */
        readings one = {0}, three = {0};
        look_with(&w, &config, NULL, &one);
        look_with(&w, &config, pool, &three);
        same_readings(&one, &three);
        size_t n;
        const hs_method *const *methods = hs_methods(&n);
        for (size_t m = 0; m < n; m++) {
            bool seen = false;
            for (size_t i = 0; i < one.n; i++) {
                seen |= strcmp(one.row[i].method, methods[m]->name) == 0;
                assert_true(isfinite(one.row[i].value) && one.row[i].n > 0);
                if (!isnan(one.row[i].low))
                    assert_true(one.row[i].low <= one.row[i].high);
            }
            const bool fits = hs_method_fits(methods[m], &w.model, &w.data, &config);
            assert_true(seen == fits);
            assert_true(fits || (kinds[k] == HS_MODEL_TRM && (strcmp(methods[m]->name, "realign") == 0 ||
                                                              strcmp(methods[m]->name, "ablate") == 0)));
        }
        readings_free(&one);
        readings_free(&three);
        world_free(&w);
    }
    hs_pool_free(pool);
}

/* With every edge the circuit is the model: faithfulness 1, the model's accuracy; with none the corrupted answer. */
static void test_whole_circuit(void **state)
{
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        world w;
        readings all = {0};
        world_make(&w, kinds[k], 2, kinds[k] == HS_MODEL_TRM ? 10 : 60);
        hs_interpret_config config = all_methods();
        snprintf(config.methods, sizeof config.methods, "paths");
        snprintf(config.splits, sizeof config.splits, "train_inferred");
        config.edge = 0;
        look_with(&w, &config, NULL, &all);
        const kept *faithful = find(&all, HS_ALL_STAGES, "", "circuit", "faithfulness"),
                   *edges = find(&all, HS_ALL_STAGES, "", "circuit", "edges"),
                   *total = find(&all, HS_ALL_STAGES, "", "all", "edges"),
                   *random = find(&all, HS_ALL_STAGES, "", "random 1", "faithfulness");
        assert_true(faithful && edges && total && random);
        assert_true(fabs(faithful->value - 1) < 2e-3);
        assert_true(edges->value == total->value && fabs(random->value - 1) < 2e-3);
        readings_free(&all);
        world_free(&w);
    }
}

static void test_no_movement_is_the_model(void **state)
{
    (void)state;
    world w;
    readings all = {0};
    world_make(&w, HS_MODEL_LLAMA, 2, 120);
    hs_interpret_config config = all_methods();
    snprintf(config.methods, sizeof config.methods, "realign,lens");
    snprintf(config.splits, sizeof config.splits, "train_inferred");
    look_with(&w, &config, NULL, &all);
    const kept *still = find(&all, 2, "r1", "b", "accuracy@0.00"),
               *top = find(&all, (int32_t)w.model.n_stages, "r2", "t", "top1");
    assert_true(still && top);
    assert_true(fabs(still->value - top->value) < 1e-9 && top->value > 0);
    readings_free(&all);
    world_free(&w);
}

static void test_norms_and_ranks(void **state)
{
    (void)state;
    world w;
    readings all;
    world_make(&w, HS_MODEL_GPT2, 2, 3);
    look(&w, "progress", "", 0, NULL, &all);
    const hs_tensor *t = hs_model_tensor(&w.model, "transformer.h.0.mlp.c_fc.weight");
    const kept *norm = find(&all, HS_ALL_STAGES, "", t->name, "norm"),
               *rank = find(&all, HS_ALL_STAGES, "", t->name, "effective_rank");
    double squares = 0;
    for (size_t i = 0; i < t->size; i++)
        squares += (double)w.model.param[t->offset + i] * (double)w.model.param[t->offset + i];
    assert_true(fabs(norm->value - sqrt(squares)) < 1e-4 * sqrt(squares));
    assert_true(rank->value > 1 && rank->value <= 32);
    readings_free(&all);
    world_free(&w);
}

/* Eigenvalues and solutions against matrices whose answers are known. */
static void test_linear_algebra(void **state)
{
    (void)state;
    assert_ok(hs_tensor_open(err));
    double a[9] = {2, -1, 0, -1, 2, -1, 0, -1, 2}, value[3];
    assert_ok(hs_eigenvalues(3, a, value, err));
    assert_true(fabs(value[0] - (2 - sqrt(2))) < 1e-12 && fabs(value[1] - 2) < 1e-12 &&
                fabs(value[2] - (2 + sqrt(2))) < 1e-12);
    double s[4] = {4, 1, 1, 3}, b[4] = {1, 2, 0, 11};
    assert_ok(hs_solve_positive(2, s, 2, b, err));
    assert_true(fabs(b[0] - 1.0 / 11) < 1e-12 && fabs(b[1] - 7.0 / 11) < 1e-12 && fabs(b[2] + 1) < 1e-12 &&
                fabs(b[3] - 4) < 1e-12);
    double indefinite[4] = {1, 2, 2, 1}, c[2] = {1, 1};
    hs_error error;
    assert_int_equal(hs_solve_positive(2, indefinite, 1, c, &error), HS_ERR_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_method_and_threads), cmocka_unit_test(test_whole_circuit),
        cmocka_unit_test(test_no_movement_is_the_model), cmocka_unit_test(test_norms_and_ranks),
        cmocka_unit_test(test_linear_algebra),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
