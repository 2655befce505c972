/* Many questions at once against the same asked one by one: every model, mixed lengths, entities of two tokens,
 * repeated questions, any number of threads; where the facts do not say, the split's answer. */
#include "interp_test.h"

enum { MOST = 400 };

typedef struct asked {
    uint32_t token[MOST * 8], first[MOST + 1], n;
} asked;

static void add(asked *q, const uint32_t *token, uint32_t n)
{
    q->first[0] = 0;
    memcpy(q->token + q->first[q->n], token, n * sizeof *token);
    q->first[q->n + 1] = q->first[q->n] + n;
    q->n++;
}

/* Some items of every split, all lengths mixed, the first three again at the end. */
static void some_of_all(const world *w, asked *q)
{
    q->n = 0;
    for (uint64_t i = 0; i < 60; i++)
        for (uint32_t s = 0; s < w->data.n_splits; s++)
            if (i < w->data.splits[s].n)
                add(q, w->data.splits[s].tokens + i * w->data.splits[s].width, w->data.splits[s].prompt);
    for (uint32_t i = 0; i < 3; i++)
        add(q, q->token + q->first[i], q->first[i + 1] - q->first[i]);
}

static void compare_with_single(const world *w, const asked *q, const hs_brief *brief)
{
    for (uint32_t i = 0; i < q->n; i++) {
        const uint32_t n = q->first[i + 1] - q->first[i];
        const char *word[8];
        hs_answer one;
        for (uint32_t k = 0; k < n; k++)
            word[k] = hs_names_get(&w->data.vocab, q->token[q->first[i] + k]);
        assert_ok(hs_ask(&w->model, &w->data, word, n, &one, err));
        assert_int_equal(brief[i].answer, one.best[0]);
        assert_true(fabs(brief[i].probability - one.probability[0]) < 1e-9);
        assert_int_equal(brief[i].bridge, one.bridge);
        assert_int_equal(brief[i].bridge_second, one.bridge_second);
        assert_int_equal(brief[i].bridge_found, one.bridge_found);
        assert_int_equal(brief[i].bridge_stage, one.bridge_found ? one.bridge_stage : 0);
        if (one.known != HS_NO_ID) {
            assert_int_equal(brief[i].known, one.known);
            assert_int_equal(brief[i].known_second, one.known_second);
        }
        assert_int_equal(brief[i].rank == 0, brief[i].known == brief[i].answer);
        hs_answer_free(&one);
    }
}

static void assert_alike(const hs_brief *a, const hs_brief *b)
{
    assert_int_equal(a->answer, b->answer);
    assert_true(a->probability == b->probability);
    assert_int_equal(a->known, b->known);
    assert_int_equal(a->known_second, b->known_second);
    assert_int_equal(a->rank, b->rank);
    assert_int_equal(a->bridge, b->bridge);
    assert_int_equal(a->bridge_stage, b->bridge_stage);
    assert_int_equal(a->bridge_found, b->bridge_found);
    assert_ptr_equal(a->split, b->split);
}

static void check(world *w)
{
    static asked q;
    static hs_brief one[MOST], three[MOST];
    some_of_all(w, &q);
    assert_true(q.n > 100 && q.n <= MOST);
    assert_ok(hs_ask_many(&w->model, &w->data, NULL, q.n, q.token, q.first, one, err));
    hs_pool *pool = hs_pool_create(3);
    assert_ok(hs_ask_many(&w->model, &w->data, pool, q.n, q.token, q.first, three, err));
    hs_pool_free(pool);
    for (uint32_t i = 0; i < q.n; i++)
        assert_alike(&one[i], &three[i]);
    compare_with_single(w, &q, one);
    for (uint32_t i = 0; i < q.n; i++) {
        assert_non_null(one[i].split);
        assert_true(one[i].known != HS_NO_ID);
    }
    for (uint32_t i = 0; i < 3; i++)
        assert_alike(&one[i], &one[q.n - 3 + i]);
    world_free(w);
}

static void test_models(void **state)
{
    (void)state;
    static const hs_model_kind kinds[] = {HS_MODEL_GPT2, HS_MODEL_LLAMA, HS_MODEL_TRM};
    for (int k = 0; k < 3; k++) {
        world w;
        world_make(&w, kinds[k], 2, 60);
        check(&w);
    }
}

static void test_hops_and_tokens(void **state)
{
    (void)state;
    world w;
    hs_data_config d;
    hs_model_config m;
    world_config(&d, &m, HS_MODEL_GPT2, 3);
    world_build(&w, &d, NULL, m, 20);
    check(&w);
    world_config(&d, &m, HS_MODEL_GPT2, 2);
    d.token_multiplicity = 5;
    world_build(&w, &d, NULL, m, 20);
    check(&w);
}

/* The right answer of a comparison is that of its split. */
static void test_comparison(void **state)
{
    (void)state;
    world w;
    hs_data_config d;
    hs_model_config m;
    world_config(&d, &m, HS_MODEL_GPT2, 2);
    assert_ok(hs_data_config_for_task(&d, "comparison", err));
    d.entities = 40;
    d.attributes = 3;
    d.values = 5;
    d.test_max = 100;
    world_build(&w, &d, NULL, m, 20);
    check(&w);
}

static void test_refused(void **state)
{
    (void)state;
    world w;
    hs_brief b;
    world_make(&w, HS_MODEL_GPT2, 2, 1);
    const uint32_t beyond[] = {0, w.model.config.vocab}, first[] = {0, 2}, alone[] = {0, 1};
    hs_error error;
    assert_int_equal(hs_ask_many(&w.model, &w.data, NULL, 1, beyond, first, &b, &error), HS_ERR_DATA);
    assert_int_equal(hs_ask_many(&w.model, &w.data, NULL, 1, beyond, alone, &b, &error), HS_ERR_DATA);
    assert_non_null(strstr(error.what, "2 to"));
    assert_ok(hs_ask_many(&w.model, &w.data, NULL, 0, beyond, (const uint32_t[]){0}, &b, err));
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_hops_and_tokens),
        cmocka_unit_test(test_comparison),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
