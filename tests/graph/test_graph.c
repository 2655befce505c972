/* Facts and their index: order, duplicates, both directions, lookups, the walk over two-hop facts. */
#include "helpers.h"

static void assert_invariants(const hs_graph *g)
{
    for (uint64_t i = 1; i < g->n_facts; i++) {
        const hs_fact *a = &g->facts[i - 1], *b = &g->facts[i];
        assert_true(a->head < b->head || (a->head == b->head && a->relation < b->relation) ||
                    (a->head == b->head && a->relation == b->relation && a->tail < b->tail));
    }
    assert_int_equal(g->out_start[0], 0);
    assert_int_equal(g->in_start[0], 0);
    assert_int_equal(g->out_start[g->entities.n], g->n_facts);
    assert_int_equal(g->in_start[g->entities.n], g->n_facts);
    for (uint32_t e = 0; e < g->entities.n; e++) {
        for (uint64_t i = g->out_start[e]; i < g->out_start[e + 1]; i++)
            assert_int_equal(g->facts[i].head, e);
        for (uint64_t i = g->in_start[e]; i < g->in_start[e + 1]; i++) {
            assert_int_equal(g->facts[g->in_fact[i]].tail, e);
            assert_true(i == g->in_start[e] || g->in_fact[i - 1] < g->in_fact[i]);
        }
    }
}

static void test_index(void **state)
{
    (void)state;
    for (uint32_t k = 0; k < 40; k++) {
        hs_graph g;
        random_graph(&g, k, 1 + k, 1 + k % 5, k * 10);
        assert_invariants(&g);
        assert_int_equal(g.n_facts + g.n_duplicates, k * 10);
        assert_ok(hs_graph_index(&g, err)); /* again changes nothing */
        assert_invariants(&g);
        assert_int_equal(g.n_facts + g.n_duplicates, k * 10);
        hs_graph_free(&g);
    }
}

static void test_duplicates(void **state)
{
    (void)state;
    hs_graph g = {0};
    assert_ok(hs_graph_add(&g, "b", "r", "a", err));
    assert_ok(hs_graph_add(&g, "a", "r", "b", err));
    hs_fact fact = {0, 0, 1}; /* b r a */
    assert_ok(hs_graph_add_ids(&g, fact, HS_FACT_SYNTHETIC, err));
    fact = (hs_fact){1, 0, 1};
    assert_ok(hs_graph_add_ids(&g, fact, HS_FACT_SYNTHETIC, err));
    assert_ok(hs_graph_add_ids(&g, fact, HS_FACT_SYNTHETIC, err));
    assert_ok(hs_graph_index(&g, err));
    assert_int_equal(g.n_facts, 3);
    assert_int_equal(g.n_duplicates, 2);
    assert_int_equal(g.flags[hs_graph_find(&g, (hs_fact){0, 0, 1})], 0); /* known to be true once is enough */
    assert_int_equal(g.flags[hs_graph_find(&g, fact)], HS_FACT_SYNTHETIC);
    /* Adding goes on after indexing. */
    assert_ok(hs_graph_add(&g, "a", "s", "c", err));
    assert_ok(hs_graph_index(&g, err));
    assert_int_equal(g.n_facts, 4);
    assert_true(has_fact(&g, "a", "s", "c"));
    hs_graph_free(&g);
    hs_graph_free(NULL);
}

static void test_lookup(void **state)
{
    (void)state;
    hs_graph g;
    random_graph(&g, 7, 12, 6, 300);
    for (uint32_t h = 0; h < g.entities.n; h++) {
        for (uint32_t r = 0; r < g.relations.n; r++) {
            uint64_t first, last, n = 0;
            hs_graph_out(&g, h, r, &first, &last);
            for (uint64_t i = 0; i < g.n_facts; i++)
                n += g.facts[i].head == h && g.facts[i].relation == r;
            assert_int_equal(last - first, n);
            for (uint64_t i = first; i < last; i++)
                assert_true(g.facts[i].head == h && g.facts[i].relation == r);
            for (uint32_t t = 0; t < g.entities.n; t++) {
                uint64_t at = hs_graph_find(&g, (hs_fact){h, r, t}), there = HS_NO_FACT;
                for (uint64_t i = 0; i < g.n_facts; i++)
                    if (g.facts[i].head == h && g.facts[i].relation == r && g.facts[i].tail == t)
                        there = i;
                assert_true(at == there);
            }
        }
    }
    uint64_t first, last;
    hs_graph_out(&g, g.entities.n, 0, &first, &last);
    assert_true(first == last);
    hs_graph_out(&g, 0, UINT32_MAX, &first, &last);
    assert_true(first == last);
    hs_graph_free(&g);
}

typedef struct walk {
    uint64_t n, last_first, last_second, stop_at;
} walk;

static hs_status count_hop(void *ctx, const hs_graph *g, uint64_t first, uint64_t second)
{
    walk *w = ctx;
    const hs_fact *a = &g->facts[first], *b = &g->facts[second];
    assert_int_equal(a->tail, b->head);
    assert_true(a->head != a->tail && b->head != b->tail && a->head != b->tail);
    assert_true(w->n == 0 || first > w->last_first || (first == w->last_first && second > w->last_second));
    w->last_first = first;
    w->last_second = second;
    return ++w->n == w->stop_at ? HS_ERR_FAILED : HS_OK;
}

static void test_two_hops(void **state)
{
    (void)state;
    hs_graph g;
    random_graph(&g, 3, 9, 3, 60);
    uint64_t expected = 0;
    for (uint64_t i = 0; i < g.n_facts; i++)
        for (uint64_t j = 0; j < g.n_facts; j++)
            expected += g.facts[i].tail == g.facts[j].head && g.facts[i].head != g.facts[i].tail &&
                        g.facts[j].head != g.facts[j].tail && g.facts[i].head != g.facts[j].tail;
    walk w = {0};
    assert_int_equal(hs_graph_two_hops(&g, count_hop, &w), HS_OK);
    assert_int_equal(w.n, expected);
    assert_true(expected > 5);
    w = (walk){.stop_at = 5};
    assert_int_equal(hs_graph_two_hops(&g, count_hop, &w), HS_ERR_FAILED);
    assert_int_equal(w.n, 5);
    hs_graph_free(&g);
}

static hs_status build(hs_error *err)
{
    hs_graph g = {0};
    hs_status status = HS_OK;
    for (int i = 600; status == HS_OK && i > 0; i--) {
        char head[16], tail[16];
        snprintf(head, sizeof head, "h%d", i % 50);
        snprintf(tail, sizeof tail, "t%d", i % 77);
        status = hs_graph_add(&g, head, i % 2 ? "r" : "s", tail, err);
    }
    if (status == HS_OK)
        status = hs_graph_index(&g, err);
    hs_graph_free(&g);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    every_allocation_fails(build);
}

/* Head, then relation, then tail; a total order on every pair of a small cube. */
static void test_compare(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 27; i++) {
        for (uint32_t j = 0; j < 27; j++) {
            hs_fact a = {i / 9, i / 3 % 3, i % 3}, b = {j / 9, j / 3 % 3, j % 3};
            int order = hs_fact_compare(&a, &b);
            assert_int_equal(order < 0 ? -1 : order > 0, i < j ? -1 : i > j);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index),    cmocka_unit_test(test_duplicates), cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_two_hops), cmocka_unit_test(test_memory),     cmocka_unit_test(test_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
