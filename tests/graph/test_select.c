/* Sub-graphs by rule: each rule alone, rules together, errors. */
#include "helpers.h"

static void select_from(const char *text, const hs_graph_filter *filter, hs_graph *out)
{
    hs_graph g;
    make_graph(&g, text);
    assert_ok(hs_graph_select(&g, filter, out, err));
    hs_graph_free(&g);
}

static void test_functional(void **state)
{
    (void)state;
    hs_graph g;
    select_from("a r b\n a r c\n a s b\n b r a", &(hs_graph_filter){.functional = true}, &g);
    assert_int_equal(g.n_facts, 2);
    assert_true(has_fact(&g, "a", "s", "b") && has_fact(&g, "b", "r", "a"));
    assert_int_equal(g.entities.n, 2); /* c is gone */
    hs_graph_free(&g);
}

static void test_relations(void **state)
{
    (void)state;
    hs_graph g, out;
    const char *names[] = {"s", "t"};
    select_from("a r b\n b s c\n c t d\n", &(hs_graph_filter){.relations = names, .n_relations = 2}, &g);
    assert_int_equal(g.n_facts, 2);
    assert_int_equal(g.relations.n, 2);
    hs_graph_free(&g);
    make_graph(&g, "a father b\n b mother c\n");
    const char *wrong[] = {"father", "mothr"};
    hs_error err = {0};
    hs_graph_filter filter = {.relations = wrong, .n_relations = 2};
    assert_int_equal(hs_graph_select(&g, &filter, &out, &err), HS_ERR_DATA);
    assert_string_equal(err.value, "mothr");
    assert_non_null(strstr(err.hint, "mother"));
    assert_null(out.facts);
    /* A relation whose facts another rule drops, and nothing else left. */
    hs_graph_free(&g);
    make_graph(&g, "a r b\n a r c\n b s c");
    const char *r[] = {"r"};
    filter = (hs_graph_filter){.relations = r, .n_relations = 1, .functional = true};
    assert_int_equal(hs_graph_select(&g, &filter, &out, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "no facts are left"));
    hs_graph_free(&g);
}

static void test_inverses(void **state)
{
    (void)state;
    hs_graph g;
    select_from("a r b\n b s b", &(hs_graph_filter){.inverses = true}, &g);
    assert_int_equal(g.n_facts, 4);
    assert_true(has_fact(&g, "b", "r^-1", "a") && has_fact(&g, "b", "s^-1", "b") && has_fact(&g, "a", "r", "b"));
    hs_graph_free(&g);
}

static void test_degree(void **state)
{
    (void)state;
    hs_graph g;
    select_from("a r b\n b r c\n c r a\n c r lonely", &(hs_graph_filter){.min_degree = 2}, &g);
    assert_int_equal(g.n_facts, 3);
    assert_int_equal(hs_names_find(&g.entities, "lonely", 6), HS_NO_ID);
    hs_graph_free(&g);
}

static void test_bridges(void **state)
{
    (void)state;
    hs_graph g, out, again;
    random_graph(&g, 11, 60, 3, 150);
    hs_graph_filter filter = {.sample_bridges = 5, .seed = 1};
    assert_ok(hs_graph_select(&g, &filter, &out, err));
    assert_ok(hs_graph_select(&g, &filter, &again, err));
    assert_true(out.n_facts < g.n_facts && out.n_facts > 5);
    assert_int_equal(out.n_facts, again.n_facts);
    assert_memory_equal(out.facts, again.facts, out.n_facts * sizeof *out.facts);
    hs_graph_free(&again);
    filter.seed = 2;
    assert_ok(hs_graph_select(&g, &filter, &again, err));
    bool same = again.n_facts == out.n_facts;
    for (uint64_t i = 0; same && i < out.n_facts; i++)
        same = strcmp(hs_names_get(&out.entities, out.facts[i].head),
                      hs_names_get(&again.entities, again.facts[i].head)) == 0;
    assert_false(same);
    hs_graph_free(&again);
    filter.sample_bridges = 1000; /* more than there are: every fact that touches a bridge */
    assert_ok(hs_graph_select(&g, &filter, &again, err));
    assert_true(again.n_facts > out.n_facts);
    hs_graph_free(&again);
    hs_graph_free(&out);
    hs_graph_free(&g);
}

static void test_informative(void **state)
{
    (void)state;
    hs_graph g = {0}, out;
    char head[16], bridge[16], tail[16];
    /* 30 heads -> 10 bridges; "varied" has 10 tails, "dull" one. */
    for (int i = 0; i < 30; i++) {
        snprintf(head, sizeof head, "h%d", i);
        snprintf(bridge, sizeof bridge, "b%d", i % 10);
        snprintf(tail, sizeof tail, "t%d", i % 10);
        assert_ok(hs_graph_add(&g, head, "to", bridge, err));
        assert_ok(hs_graph_add(&g, bridge, "varied", tail, err));
        assert_ok(hs_graph_add(&g, bridge, "dull", "same", err));
    }
    assert_ok(hs_graph_index(&g, err));
    hs_graph_filter filter = {.informative_min_facts = 20, .informative_max_majority = 0.2};
    assert_ok(hs_graph_select(&g, &filter, &out, err));
    assert_int_equal(out.n_facts, 40);
    assert_int_equal(hs_names_find(&out.relations, "dull", 4), HS_NO_ID);
    hs_graph_free(&out);
    filter.informative_max_majority = 1;
    assert_ok(hs_graph_select(&g, &filter, &out, err));
    assert_int_equal(out.n_facts, 50);
    hs_graph_free(&out);
    filter.informative_min_facts = 31;
    hs_error err = {0};
    assert_int_equal(hs_graph_select(&g, &filter, &out, &err), HS_ERR_DATA);
    hs_graph_free(&g);
}

static void test_flags_stay(void **state)
{
    (void)state;
    hs_graph g, out;
    make_graph(&g, "x q y\n a r b\n b r c");
    g.flags[1] = HS_FACT_SYNTHETIC;
    const char *r[] = {"r"};
    assert_ok(hs_graph_select(&g, &(hs_graph_filter){.relations = r, .n_relations = 1, .inverses = true}, &out, err));
    assert_int_equal(out.n_facts, 4);
    uint64_t synthetic = 0;
    for (uint64_t i = 0; i < out.n_facts; i++)
        synthetic += out.flags[i] == HS_FACT_SYNTHETIC;
    assert_int_equal(synthetic, 2);
    hs_graph_free(&out);
    hs_graph_free(&g);
}

static hs_graph memory_graph;

static hs_status select_all(hs_error *err)
{
    static const char *const relations[] = {"r0", "r1", "r2"};
    hs_graph out;
    hs_graph_filter filter = {.relations = relations,
                              .n_relations = 3,
                              .min_degree = 1,
                              .sample_bridges = 50,
                              .informative_min_facts = 1,
                              .informative_max_majority = 1,
                              .inverses = true};
    hs_status status = hs_graph_select(&memory_graph, &filter, &out, err);
    hs_graph_free(&out);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    random_graph(&memory_graph, 2, 20, 3, 60);
    every_allocation_fails(select_all);
    hs_graph_free(&memory_graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functional), cmocka_unit_test(test_relations), cmocka_unit_test(test_inverses),
        cmocka_unit_test(test_degree),     cmocka_unit_test(test_bridges),   cmocka_unit_test(test_informative),
        cmocka_unit_test(test_flags_stay), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
