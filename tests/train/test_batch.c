/* What a batch asks of a model: which rows count how much, what must be answered after earlier passes, and which
 * settings a model or a dataset cannot follow. */
#include "check.h"

#include "hopscope/tensor.h"
#include "train/internal.h"

static hs_dataset data;

/* Three hops: two bridges an item, of which the first counts. */
static int build(void **state)
{
    (void)state;
    hs_error error;
    hs_data_config c;
    hs_data_config_default(&c);
    c.entities = 30;
    c.relations = 6;
    c.out_degree = 4;
    c.hops = 3;
    c.phi = 2;
    c.end_token = true;
    return hs_tensor_open(&error) == HS_OK && hs_dataset_build(&data, &c, NULL, NULL, NULL, &error) == HS_OK ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    hs_dataset_free(&data);
    return 0;
}

enum { N = 20 };

/* Items 0..N-1, by turns of a split of facts and of one of queries. */
static void draw(hs_item *items)
{
    for (uint32_t i = 0; i < N; i++) {
        const hs_split *s = hs_dataset_split(&data, i % 2 ? "train_inferred" : "id_atomic");
        assert_non_null(s);
        items[i] = (hs_item){.split = (uint32_t)(s - data.splits), .index = i};
    }
}

static void test_weight_of_facts(void **state)
{
    (void)state;
    hs_batch_memory m;
    hs_item items[N];
    draw(items);
    assert_ok(hs_batch_memory_create(&m, &data, N, 0, err));
    const hs_batch batch = hs_batch_fill(&m, &data, items, N, 0.5f);
    hs_batch_weigh_facts(&m, &data, items, 4, &batch);
    assert_int_equal(batch.P, 2 * N); /* answer and end token */
    for (uint32_t p = 0; p < batch.P; p++)
        assert_true(batch.weight[p] == (p / 2 % 2 ? 0.5f : 2.0f));
    hs_batch_memory_free(&m);
}

static void test_what_exits(void **state)
{
    (void)state;
    hs_batch_memory m;
    hs_item items[N];
    draw(items);
    assert_ok(hs_batch_memory_create(&m, &data, N, 0, err));
    for (int which = 1; which <= 3; which++) { /* bit 0: facts, bit 1: queries */
        hs_batch batch = hs_batch_fill(&m, &data, items, N, 1);
        hs_batch_exits(&m, &data, items, which & 1 ? 2.0f : 0, which & 2 ? 3.0f : 0, &batch);
        assert_int_equal(batch.exits.n, which == 3 ? N : N / 2);
        assert_true(batch.exits.n <= batch.P);
        for (uint32_t e = 0; e < batch.exits.n; e++) {
            const uint32_t i = which == 3 ? e : 2 * e + (which == 2);
            const hs_split *s = &data.splits[items[i].split];
            const uint32_t *tokens = s->tokens + items[i].index * s->width;
            /* both at the second token: h r of a fact, h r1 of a query */
            assert_int_equal(batch.exits.row[e], batch.start[i] + 1);
            assert_int_equal(batch.exits.target[e], i % 2 ? s->bridge[items[i].index * 2] : tokens[2]);
            assert_true(batch.exits.weight[e] == (i % 2 ? 3.0f : 2.0f));
        }
    }
    hs_batch_memory_free(&m);
}

/* Where a fact has several tails, each is a right answer after an earlier pass too. */
static void test_every_tail_exits(void **state)
{
    (void)state;
    hs_graph g = {0};
    hs_dataset d = {0};
    hs_data_config c;
    hs_data_config_for_graph((hs_data_config_default(&c), &c));
    c.tails = HS_TAILS_ANY;
    c.holdout = c.ood_fraction = 0;
    for (int i = 0; i < 8; i++)
        for (int k = 1; k <= 1 + i % 3; k++) { /* one, two or three tails */
            const char name[2] = {(char)('a' + i), 0}, tail[2] = {(char)('a' + (i + k) % 8), 0};
            assert_ok(hs_graph_add(&g, name, "next", tail, err));
        }
    assert_ok(hs_graph_index(&g, err));
    assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
    const hs_split *s = hs_dataset_split(&d, "id_atomic");
    assert_true(s && s->n == 8 && s->also_start);
    hs_batch_memory m;
    hs_item items[8];
    for (uint32_t i = 0; i < 8; i++)
        items[i] = (hs_item){.split = (uint32_t)(s - d.splits), .index = 7 - i};
    assert_ok(hs_batch_memory_create(&m, &d, 8, 0, err));
    hs_batch batch = hs_batch_fill(&m, &d, items, 8, 1);
    hs_batch_exits(&m, &d, items, 1, 1, &batch);
    assert_int_equal(batch.exits.n, 8);
    for (uint32_t e = 0; e < 8; e++) {
        const uint64_t *mine = batch.exits.also_start + e, *given = s->also_start + items[e].index;
        assert_int_equal(mine[1] - mine[0], given[1] - given[0]);
        assert_memory_equal(batch.exits.also + mine[0], s->also + given[0], (mine[1] - mine[0]) * sizeof *s->also);
    }
    hs_batch_memory_free(&m);
    hs_dataset_free(&d);
    hs_graph_free(&g);
}

/* Each of these changes what is learned; an exit where there is no earlier pass, and positions counted back from
 * answers of two tokens, are refused by name. */
static void test_settings_of_a_step(void **state)
{
    (void)state;
    hs_train_config plain;
    hs_train_config_default(&plain);
    plain.batch = 64;
    plain.threads = 1;
    hs_model_config m;
    hs_model_config_default(&m);
    m.vocab = data.vocab.n;
    m.n_positions = data.max_width - 1;
    m.n_embd = 16;
    m.n_head = 2;
    m.n_layer = 1;
    m.passes = 3;
    uint64_t hash[6];
    for (int i = 0; i < 6; i++) {
        hs_train_config c = plain;
        c.fact_weight = i == 1 ? 2 : 1;
        c.label_smoothing = i == 2 ? 0.1 : 0;
        c.fact_exit = i == 3 || i == 4 ? 1 : 0;
        c.exit_passes = i == 4 ? 1 : 0;
        c.query_exit = i == 5 ? 1 : 0;
        hs_model model = {0};
        hs_trainer *trainer;
        hs_step_stats stats;
        hs_pool *pool = hs_pool_create(1);
        assert_ok(hs_model_create(&model, &m, 1, err));
        assert_ok(hs_trainer_create(&trainer, &model, &data, &c, pool, err));
        assert_ok(hs_trainer_step(trainer, &stats, err));
        assert_true((stats.exit_loss > 0) == (i >= 3));
        hash[i] = hs_model_hash(&model);
        for (int j = 0; j < i; j++)
            assert_true(hash[i] != hash[j]);
        hs_trainer_free(trainer);
        hs_model_free(&model);
        hs_pool_free(pool);
    }
    static const char *const where[] = {"train.fact_exit", "train.query_exit", "model.positions"};
    for (int i = 0; i < 3; i++) {
        hs_train_config c = plain;
        c.fact_exit = i == 0;
        c.query_exit = i == 1;
        m.passes = i < 2 ? 1 : 2;
        m.positions = i == 2 ? HS_POSITIONS_ANSWER : HS_POSITIONS_LEARNED;
        hs_model model = {0};
        hs_trainer *trainer;
        hs_error e = {0};
        assert_ok(hs_model_create(&model, &m, 1, err));
        assert_int_equal(hs_trainer_create(&trainer, &model, &data, &c, NULL, &e), HS_ERR_DATA);
        assert_string_equal(e.where, where[i]);
        hs_model_free(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weight_of_facts),
        cmocka_unit_test(test_what_exits),
        cmocka_unit_test(test_every_tail_exits),
        cmocka_unit_test(test_settings_of_a_step),
    };
    return cmocka_run_group_tests(tests, build, drop);
}
