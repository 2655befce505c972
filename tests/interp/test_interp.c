/* The lens against the model's own head, asking in words against the facts, and what bad questions say. */
#include "../check.h"

#include "hopscope/interp.h"
#include "hopscope/tensor.h"
#include "hopscope/train.h"

enum { T = 3 };

typedef struct world {
    hs_dataset data;
    hs_model model;
} world;

/* A small generated dataset and a model of it; `steps` of training. */
static void make_world(world *w, uint64_t steps)
{
    memset(w, 0, sizeof *w);
    hs_data_config d;
    hs_data_config_default(&d);
    snprintf(d.task, sizeof d.task, "composition");
    d.entities = 30;
    d.relations = 6;
    d.out_degree = 4;
    d.ood_fraction = 0.1;
    d.holdout = 0.1;
    d.phi = 0;
    assert_ok(hs_dataset_build(&w->data, &d, NULL, NULL, NULL, err));
    hs_model_config m;
    hs_model_config_default(&m);
    m.vocab = w->data.vocab.n;
    m.n_embd = 32;
    m.n_head = 2;
    m.n_layer = 3;
    m.n_positions = 8;
    assert_ok(hs_model_create(&w->model, &m, 1, err));
    hs_train_config t;
    hs_train_config_default(&t);
    t.steps = steps;
    t.batch = 256;
    t.lr = 5e-3;
    t.weight_decay = 0;
    hs_trainer *trainer;
    assert_ok(hs_trainer_create(&trainer, &w->model, &w->data, &t, NULL, err));
    for (uint64_t i = 0; i < steps; i++) {
        hs_step_stats stats;
        assert_ok(hs_trainer_step(trainer, &stats, err));
    }
    hs_trainer_free(trainer);
}

static void free_world(world *w)
{
    hs_model_free(&w->model);
    hs_dataset_free(&w->data);
}

/* Read at the last stage and position, the lens is the model's answer; more items than one chunk holds. */
static void test_lens_at_the_top_is_the_head(void **state)
{
    (void)state;
    world w;
    make_world(&w, 1);
    enum { COUNT = 300 };
    const uint32_t V = w.model.config.vocab, S = w.model.n_stages;
    uint32_t tokens[COUNT * T], asked[COUNT], start[COUNT + 1], row[COUNT];
    hs_rng rng;
    hs_rng_init(&rng, 1, HS_PURPOSE('l', 'e', 'n', 's'), 0, 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        for (uint32_t t = 0; t < T; t++)
            tokens[i * T + t] = (uint32_t)hs_rng_below(&rng, V);
        asked[i] = (uint32_t)hs_rng_below(&rng, V);
        start[i] = i * T;
        row[i] = i * T + T - 1;
    }
    start[COUNT] = COUNT * T;
    hs_lens_reading *r = hs_alloc((S + 1) * COUNT * sizeof *r);
    assert_ok(hs_lens_read(&w.model, COUNT, T, tokens, T - 1, asked, r, err));
    const hs_batch batch = {.B = COUNT, .N = COUNT * T, .P = COUNT, .token = tokens, .start = start, .score_row = row};
    float *work = hs_alloc(4 * hs_model_work_size(&w.model, COUNT, COUNT * T, COUNT, false));
    float *logits = hs_alloc(4 * COUNT * V);
    hs_model_logits(&w.model, &batch, work, logits);
    for (uint32_t i = 0; i < COUNT; i++) {
        const float *x = logits + i * V;
        const hs_lens_reading *top = &r[S * COUNT + i];
        uint32_t rank = 0;
        double total = 0;
        for (uint32_t v = 0; v < V; v++) {
            rank += x[v] > x[asked[i]];
            total += exp((double)x[v]);
        }
        assert_true(x[top->top] >= x[hs_kernels_get()->argmax(V, x)] - 1e-5f);
        assert_true(abs((int)top->rank - (int)rank) <= 1); /* two logits may be equal but for the last bit */
        assert_true(fabs(top->asked - exp((double)x[asked[i]]) / total) < 1e-5);
    }
    hs_free(r);
    hs_free(work);
    hs_free(logits);
    free_world(&w);
}

/* The share of found bridges is what reading every item alone gives. */
static void test_bridge_score(void **state)
{
    (void)state;
    world w;
    make_world(&w, 150);
    const hs_split *split = hs_dataset_split(&w.data, "train_inferred");
    assert_non_null(split);
    hs_bridge_score score;
    assert_ok(hs_bridge_found(&w.model, split, 40, &score, err));
    assert_int_equal(score.n, 40);
    const uint32_t S = w.model.n_stages;
    uint32_t found = 0;
    for (uint32_t i = 0; i < 40; i++) {
        hs_lens_reading r[8];
        assert_ok(hs_lens_read(&w.model, 1, T, split->tokens + i * split->width, 1, split->bridge + i, r, err));
        bool any = false;
        for (uint32_t s = 1; s < S; s++)
            any |= r[s].rank == 0;
        found += any;
    }
    assert_true(fabs(score.found - found / 40.0) < 1e-9);
    assert_true(score.best_stage >= 1 && score.best_stage < S);
    free_world(&w);
}

static void test_ask_answers_learned_facts(void **state)
{
    (void)state;
    world w;
    make_world(&w, 300);
    uint32_t right = 0;
    for (uint64_t i = 0; i < 20; i++) {
        const hs_fact *f = &w.data.facts[i * w.data.n_facts / 20];
        const char *words[2] = {hs_names_get(&w.data.vocab, f->head), hs_names_get(&w.data.vocab, f->relation)};
        hs_answer a;
        assert_ok(hs_ask(&w.model, &w.data, words, 2, &a, err));
        assert_int_equal(a.known, f->tail);
        assert_int_equal(a.n_stages, 0); /* no bridge in one hop */
        assert_int_equal(a.n_best, HS_ASK_BEST);
        for (uint32_t j = 1; j < a.n_best; j++)
            assert_true(a.probability[j] <= a.probability[j - 1]);
        right += a.best[0] == f->tail;
        hs_answer_free(&a);
    }
    assert_true(right >= 19);
    free_world(&w);
}

static void test_ask_two_hops_names_the_bridge(void **state)
{
    (void)state;
    world w;
    make_world(&w, 1);
    const hs_split *split = hs_dataset_split(&w.data, "train_inferred");
    const char *words[3];
    for (int i = 0; i < 3; i++)
        words[i] = hs_names_get(&w.data.vocab, split->tokens[i]);
    hs_answer a;
    assert_ok(hs_ask(&w.model, &w.data, words, 3, &a, err));
    assert_int_equal(a.bridge, split->bridge[0]);
    assert_int_equal(a.known, split->tokens[3]);
    assert_int_equal(a.n_stages, w.model.n_stages - 1);
    hs_answer_free(&a);
    free_world(&w);
}

static void test_bad_questions(void **state)
{
    (void)state;
    world w;
    make_world(&w, 1);
    hs_answer a;
    hs_error err = {0};
    const char *unknown[] = {"<e_1", "<r_0>", "<r_1>"};
    assert_int_equal(hs_ask(&w.model, &w.data, unknown, 3, &a, &err), HS_ERR_DATA);
    assert_string_equal(err.value, "<e_1");
    assert_non_null(strstr(err.hint, "<e_1"));
    const char *no_relation[] = {"<e_1>", "<r_99>"}, *entity_as_relation[] = {"<e_1>", "<e_2>"},
               *relation_as_entity[] = {"<r_1>", "<r_2>"};
    assert_int_equal(hs_ask(&w.model, &w.data, no_relation, 2, &a, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "relation"));
    assert_int_equal(hs_ask(&w.model, &w.data, entity_as_relation, 2, &a, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "relation"));
    assert_int_equal(hs_ask(&w.model, &w.data, relation_as_entity, 2, &a, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "entity"));
    const char *word[] = {"<e_1>", "<r_1>", "<r_1>", "<r_1>", "<r_1>", "<r_1>", "<r_1>", "<r_1>", "<r_1>"};
    assert_int_equal(hs_ask(&w.model, &w.data, word, 1, &a, &err), HS_ERR_DATA);
    assert_int_equal(hs_ask(&w.model, &w.data, word, 9, &a, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.hint, "quote"));
    free_world(&w);
}

/* TRM answers at the position after the question: the longest question is one word shorter than the model. */
static void test_trm_has_room_for_its_answer(void **state)
{
    (void)state;
    world w;
    make_world(&w, 1);
    hs_model_config m = w.model.config;
    hs_model_free(&w.model);
    m.kind = HS_MODEL_TRM;
    m.n_positions = 4;
    assert_ok(hs_model_create(&w.model, &m, 1, err));
    const char *word[] = {"<e_1>", "<r_1>", "<r_1>", "<r_1>"};
    hs_answer a;
    assert_ok(hs_ask(&w.model, &w.data, word, 3, &a, err));
    assert_true(a.n_best == HS_ASK_BEST && a.n_stages == 0);
    hs_answer_free(&a);
    hs_error bad = {0};
    assert_int_equal(hs_ask(&w.model, &w.data, word, 4, &a, &bad), HS_ERR_DATA);
    assert_non_null(strstr(bad.what, "2 to 3 words"));
    free_world(&w);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    world w;
    make_world(&w, 1);
    const hs_split *split = hs_dataset_split(&w.data, "train_inferred");
    const char *words[3];
    for (int i = 0; i < 3; i++)
        words[i] = hs_names_get(&w.data.vocab, split->tokens[i]);
    for (uint64_t n = 1;; n++) {
        hs_answer a;
        hs_alloc_fail_after(n);
        const hs_status status = hs_ask(&w.model, &w.data, words, 3, &a, NULL);
        hs_alloc_fail_after(0);
        if (status == HS_OK) {
            assert_true(n > 5);
            hs_answer_free(&a);
            break;
        }
        assert_int_equal(status, HS_ERR_MEMORY);
    }
    free_world(&w);
}

int main(void)
{
    hs_error err;
    if (hs_tensor_open(&err) != HS_OK) {
        fprintf(stderr, "%s\n", err.what);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lens_at_the_top_is_the_head), cmocka_unit_test(test_bridge_score),
        cmocka_unit_test(test_ask_answers_learned_facts),   cmocka_unit_test(test_ask_two_hops_names_the_bridge),
        cmocka_unit_test(test_bad_questions),               cmocka_unit_test(test_trm_has_room_for_its_answer),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
