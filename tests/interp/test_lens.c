/* The lens method against the model's head read item by item; TRM, shared GPT-2, Llama; threads; intervals. */
#include "interp_test.h"

static const hs_model_kind kinds[] = {HS_MODEL_GPT2, HS_MODEL_LLAMA, HS_MODEL_TRM};

/* Rank and share of `token` in logits. */
static void place_of(const float *x, uint32_t V, uint32_t token, uint32_t *rank, double *share)
{
    double total = 0;
    *rank = 0;
    for (uint32_t v = 0; v < V; v++) {
        *rank += x[v] > x[token];
        total += exp((double)x[v] - (double)x[token]);
    }
    *share = 1 / total;
}

static void test_items_are_the_heads(void **state)
{
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        world w;
        readings all;
        world_make(&w, kinds[k], 2, 20);
        look(&w, "lens", "test_ii", 20, NULL, &all);
        const hs_split *split = hs_dataset_split(&w.data, "test_ii");
        const uint32_t V = w.model.config.vocab, D = w.model.config.n_embd, T = 3;
        float *states = hs_alloc((w.model.n_stages + 1) * hs_model_state_rows(&w.model, 1, T) * D * sizeof *states),
              *logits = hs_alloc(V * sizeof *logits), *work = hs_alloc((D + 66) * sizeof *work);
        uint32_t compared = 0;
        for (size_t i = 0; i < all.n_items; i++) {
            const kept *f = &all.item[i];
            const bool rank_row = strcmp(f->measure, "rank") == 0, share_row = strcmp(f->measure, "probability") == 0;
            if ((!rank_row && !share_row) || strcmp(f->position, "r1") != 0 || strcmp(f->role, "b") != 0)
                continue;
            const uint32_t *item = split->tokens + f->item * split->width;
            uint32_t rank;
            double share;
            run_alone(&w.model, item, T, states, NULL, NULL, 0, 0, NULL);
            hs_model_lens(&w.model, 1, state_alone(&w.model, states, T, (uint32_t)f->stage, 1), work, logits);
            place_of(logits, V, split->bridge[f->item], &rank, &share);
            if (rank_row)
                assert_true(fabs(f->value - rank) <= 1); /* logits equal but for the last bit */
            else
                assert_true(fabs(f->value - share) < 1e-4);
            compared++;
        }
        assert_int_equal(compared, 2 * 20 * (w.model.n_stages + 1));
        hs_free(states);
        hs_free(logits);
        hs_free(work);
        readings_free(&all);
        world_free(&w);
    }
}

static void test_summary_and_threads(void **state)
{
    (void)state;
    world w;
    readings one, three;
    world_make(&w, HS_MODEL_GPT2, 3, 60);
    hs_pool *pool = hs_pool_create(3);
    look(&w, "lens", "train_inferred", 150, NULL, &one);
    look(&w, "lens", "train_inferred", 150, pool, &three);
    same_readings(&one, &three);
    /* the second bridge of three hops is read too, and its mean is that of its items */
    const kept *mrr = find(&one, 2, "r2", "b2", "mrr");
    assert_non_null(mrr);
    double sum = 0, n = 0;
    for (size_t i = 0; i < one.n_items; i++) {
        const kept *f = &one.item[i];
        if (f->stage == 2 && !strcmp(f->position, "r2") && !strcmp(f->role, "b2") && !strcmp(f->measure, "mrr")) {
            sum += f->value;
            n++;
        }
    }
    assert_true(n == 150 && mrr->n == 150 && fabs(mrr->value - sum / n) < 1e-6);
    assert_true(mrr->low <= mrr->value && mrr->value <= mrr->high && mrr->high - mrr->low < 0.3);
    assert_non_null(find(&one, HS_ALL_STAGES, "", "b1", "found"));
    assert_non_null(find(&one, HS_ALL_STAGES, "", "b2", "found_strict"));
    assert_null(find(&one, HS_ALL_STAGES, "", "r1", "found"));
    hs_pool_free(pool);
    readings_free(&one);
    readings_free(&three);
    world_free(&w);
}

/* Wilson's interval against values of R's prop.test(..., correct = FALSE). */
static void test_wilson(void **state)
{
    (void)state;
    double low, high;
    hs_wilson(15, 20, &low, &high);
    assert_true(fabs(low - 0.5312990) < 1e-5 && fabs(high - 0.8881417) < 1e-5);
    hs_wilson(0, 10, &low, &high);
    assert_true(low == 0 && fabs(high - 0.2775328) < 1e-5);
    hs_wilson(0, 0, &low, &high);
    assert_true(isnan(low) && isnan(high));
}

static void test_refusals(void **state)
{
    (void)state;
    world w;
    world_make(&w, HS_MODEL_GPT2, 2, 0);
    hs_scope *scope;
    assert_ok(hs_scope_create(&scope, &w.data, err));
    hs_interpret_config config;
    hs_error error = {0};
    const hs_sink sink = {.reading = NULL};
    hs_interpret_config_default(&config);
    snprintf(config.methods, sizeof config.methods, "lenz");
    assert_int_equal(hs_interpret(scope, &w.model, NULL, &config, NULL, NULL, &sink, &error), HS_ERR_DATA);
    assert_non_null(strstr(error.hint, "lens"));
    snprintf(config.methods, sizeof config.methods, "lens");
    snprintf(config.splits, sizeof config.splits, "test_xx");
    assert_int_equal(hs_interpret(scope, &w.model, NULL, &config, NULL, NULL, &sink, &error), HS_ERR_DATA);
    assert_non_null(strstr(error.hint, "test_ii"));
    hs_scope_free(scope);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_are_the_heads),
        cmocka_unit_test(test_summary_and_threads),
        cmocka_unit_test(test_wilson),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
