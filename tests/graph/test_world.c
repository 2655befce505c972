/* The embedded graph: readable, functional, known facts, informative pairs. */
#include "helpers.h"

static void test_world(void **state)
{
    (void)state;
    hs_graph g;
    hs_graph_stats s;
    assert_ok(hs_graph_read(&g, "world", NULL, NULL, err));
    assert_int_equal(g.n_duplicates, 0);
    assert_true(has_fact(&g, "Bavaria", "in country", "Germany"));
    assert_true(has_fact(&g, "Germany", "currency", "euro"));
    assert_true(has_fact(&g, "Germany", "official language", "German"));
    assert_true(has_fact(&g, "Germany", "subregion", "Western Europe"));
    assert_true(has_fact(&g, "Western Europe", "continent", "Europe"));
    assert_true(has_fact(&g, "German", "script", "Latin"));
    assert_true(has_fact(&g, "Germany", "first day of the week", "Monday"));
    assert_true(has_fact(&g, "Georgia (US)", "in country", "United States"));
    assert_true(has_fact(&g, "Georgia", "official language", "Georgian"));
    assert_true(has_fact(&g, "Germany", "next more populous", "Turkey"));
    assert_true(has_fact(&g, "Turkey", "next less populous", "Germany"));
    assert_true(has_fact(&g, "Germany", "next larger economy", "Japan"));
    assert_true(has_fact(&g, "Australia", "next by name", "Austria"));
    assert_true(has_fact(&g, "Germany", "nearest", "Czechia"));
    assert_true(has_fact(&g, "France", "next southward", "Austria"));
    assert_true(has_fact(&g, "Austria", "next northward", "France"));
    assert_ok(hs_graph_stats_compute(&g, 3.6, &s, err));
    assert_int_equal(s.functional_facts, s.facts);
    assert_true(s.entities > 5600 && s.entities < 5800);
    uint32_t in_country = hs_names_find(&g.relations, "in country", 10);
    static const char *const second[] = {"currency", "subregion", "official language"};
    for (size_t i = 0; i < 3; i++) {
        uint32_t r2 = hs_names_find(&g.relations, second[i], strlen(second[i]));
        const hs_pair_stats *p = hs_graph_stats_pair(&s, in_country, r2);
        assert_non_null(p);
        assert_true(p->informative);
        assert_true(p->facts > 3000);
    }
    /* Ten ways from a country to a country: the first hop of a query cannot be folded into the entity. */
    static const char *const first[] = {
        "nearest",     "next by name",   "next more populous", "next less populous", "next larger economy",
        "next richer", "next northward", "next southward",     "next eastward",      "next westward"};
    for (size_t i = 0; i < 10; i++) {
        uint32_t r1 = hs_names_find(&g.relations, first[i], strlen(first[i]));
        for (size_t j = 0; j < 3; j++) {
            uint32_t r2 = hs_names_find(&g.relations, second[j], strlen(second[j]));
            const hs_pair_stats *p = hs_graph_stats_pair(&s, r1, r2);
            assert_non_null(p);
            assert_true(p->facts > 200);
            assert_true(j == 2 || p->informative);
        }
    }
    hs_graph_stats_free(&s);
    hs_graph_free(&g);
}

/* What is embedded is what is committed. */
static void test_same_as_file(void **state)
{
    (void)state;
    hs_graph a, b;
    assert_ok(hs_graph_read(&a, "world", NULL, NULL, err));
    assert_ok(hs_graph_read(&b, TEST_SOURCE_DIR "/data/world/world.tsv", NULL, NULL, err));
    assert_int_equal(a.n_facts, b.n_facts);
    assert_memory_equal(a.facts, b.facts, a.n_facts * sizeof *a.facts);
    assert_int_equal(a.entities.start[a.entities.n], b.entities.start[b.entities.n]);
    assert_memory_equal(a.entities.text, b.entities.text, a.entities.start[a.entities.n]);
    hs_graph_free(&a);
    hs_graph_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_world),
        cmocka_unit_test(test_same_as_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
