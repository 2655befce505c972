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

/* Whether the lens finds a bridge is the same for all items at once and for each alone, and what the grid of ask shows. */
static void test_lens_found(void **state)
{
    (void)state;
    world w;
    make_world(&w, 150);
    const hs_split *split = hs_dataset_split(&w.data, "train_inferred");
    assert_non_null(split);
    enum { COUNT = 80 }; /* more than one chunk */
    uint32_t tokens[COUNT * T], n_found = 0;
    bool all[COUNT], one;
    for (uint32_t i = 0; i < COUNT; i++)
        memcpy(tokens + i * T, split->tokens + (size_t)i * split->width, T * sizeof *tokens);
    hs_pool *pool = hs_pool_create(3);
    assert_ok(hs_lens_found(&w.model, pool, COUNT, T, tokens, 1, split->bridge, all, err));
    hs_pool_free(pool);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_ok(hs_lens_found(&w.model, NULL, 1, T, tokens + i * T, 1, split->bridge + i, &one, err));
        assert_int_equal(all[i], one);
        n_found += one;
        const char *words[T];
        for (uint32_t k = 0; k < T; k++)
            words[k] = hs_names_get(&w.data.vocab, tokens[i * T + k]);
        hs_answer a;
        assert_ok(hs_ask(&w.model, &w.data, words, T, &a, err));
        if (a.bridge == split->bridge[i])
            assert_int_equal(a.bridge_found, one);
        hs_answer_free(&a);
    }
    assert_true(n_found > 0 && n_found < COUNT);
    free_world(&w);
}

/* The last state of the last place, through the lens, is the model's answer. */
static void test_grid_ends_in_the_answer(void **state)
{
    (void)state;
    world w;
    make_world(&w, 100);
    const char *words[T];
    const hs_split *split = hs_dataset_split(&w.data, "train_inferred");
    for (int k = 0; k < T; k++)
        words[k] = hs_names_get(&w.data.vocab, split->tokens[k]);
    hs_answer a;
    assert_ok(hs_ask(&w.model, &w.data, words, T, &a, err));
    const hs_lens_reading *last = &a.lens[a.n_stages * a.n_places + T - 1];
    assert_int_equal(last->top, a.best[0]);
    assert_true(fabs(last->probability - a.probability[0]) < 1e-5);
    assert_string_equal(a.place[0], "h");
    assert_string_equal(a.place[2], "r2");
    hs_answer_free(&a);
    free_world(&w);
}

/* A head of two tokens is two words; the facts' answers have two tokens too. */
static void test_ask_two_tokens(void **state)
{
    (void)state;
    world w;
    make_world(&w, 1);
    free_world(&w);
    hs_data_config d;
    hs_data_config_default(&d);
    snprintf(d.task, sizeof d.task, "composition");
    d.entities = 30;
    d.relations = 6;
    d.out_degree = 4;
    d.phi = 0;
    d.token_multiplicity = 3;
    assert_ok(hs_dataset_build(&w.data, &d, NULL, NULL, NULL, err));
    hs_model_config m;
    hs_model_config_default(&m);
    m.vocab = w.data.vocab.n;
    m.n_embd = 32;
    m.n_head = 2;
    m.n_layer = 2;
    m.n_positions = 8;
    assert_ok(hs_model_create(&w.model, &m, 1, err));
    const hs_split *split = hs_dataset_split(&w.data, "train_inferred");
    const char *words[4];
    for (int k = 0; k < 4; k++)
        words[k] = hs_names_get(&w.data.vocab, split->tokens[k]);
    hs_answer a;
    assert_ok(hs_ask(&w.model, &w.data, words, 4, &a, err));
    assert_int_equal(a.bridge, split->bridge[0]);
    assert_int_equal(a.bridge_second, split->bridge[1]);
    assert_int_equal(a.known, split->tokens[split->answer]);
    assert_int_equal(a.known_second, split->tokens[split->answer + 1]);
    assert_string_equal(a.place[1], "h'");
    assert_string_equal(a.place[a.hop_end], "r1");
    hs_answer_free(&a);
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
        assert_true(a.bridge == HS_NO_ID && !a.bridge_found); /* no bridge in one hop */
        assert_int_equal(a.lens[0].rank, HS_NO_ID);
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
    assert_true(a.n_stages == w.model.n_stages && a.n_places == T);
    assert_true(a.lens[1].rank < w.model.config.vocab);
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
    assert_true(a.n_best == HS_ASK_BEST && a.n_stages == w.model.n_stages && a.n_places == 4);
    assert_string_equal(a.place[3], "t");
    assert_int_equal(a.lens[a.n_stages * 4 + 3].top, a.best[0]); /* read where the answer is filled in */
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
        cmocka_unit_test(test_lens_found),
        cmocka_unit_test(test_grid_ends_in_the_answer),
        cmocka_unit_test(test_ask_two_tokens),
        cmocka_unit_test(test_ask_answers_learned_facts),
        cmocka_unit_test(test_ask_two_hops_names_the_bridge),
        cmocka_unit_test(test_bad_questions),
        cmocka_unit_test(test_trm_has_room_for_its_answer),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
