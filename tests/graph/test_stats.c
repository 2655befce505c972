/* Statistics against a plain walk over all pairs of facts, and against the numbers measured on real data. */
#include "helpers.h"

typedef struct brute {
    uint64_t two_hop, all, functional_two_hop, functional;
    uint64_t hop1[1024], hop2[1024], either[1024], facts[1024];
} brute;

static bool one_tail(const hs_graph *g, uint64_t i)
{
    uint64_t n = 0;
    for (uint64_t j = 0; j < g->n_facts; j++)
        n += g->facts[j].head == g->facts[i].head && g->facts[j].relation == g->facts[i].relation;
    return n == 1;
}

static void walk_all(const hs_graph *g, brute *b)
{
    memset(b, 0, sizeof *b);
    for (uint64_t i = 0; i < g->n_facts; i++) {
        const hs_fact *x = &g->facts[i];
        bool single = one_tail(g, i);
        b->functional += single;
        b->facts[x->relation]++;
        for (uint64_t j = 0; j < g->n_facts; j++) {
            const hs_fact *y = &g->facts[j];
            if (x->tail != y->head)
                continue;
            b->all++;
            if (x->head == x->tail || y->head == y->tail || x->head == y->tail)
                continue;
            b->two_hop++;
            b->functional_two_hop += single && one_tail(g, j);
            b->hop1[x->relation]++;
            b->hop2[y->relation]++;
            b->either[x->relation]++;
            b->either[y->relation] += x->relation != y->relation;
        }
    }
}

static void check_pairs(const hs_graph *g, const hs_graph_stats *s)
{
    uint64_t total = 0, top_total = 0, *tail = calloc(g->entities.n, sizeof *tail);
    assert_non_null(tail);
    for (uint64_t k = 0; k < s->n_pairs; k++) {
        const hs_pair_stats *p = &s->pair[k];
        uint64_t n = 0, top = 0;
        memset(tail, 0, g->entities.n * sizeof *tail);
        for (uint64_t i = 0; i < g->n_facts; i++) {
            for (uint64_t j = 0; j < g->n_facts; j++) {
                const hs_fact *x = &g->facts[i], *y = &g->facts[j];
                if (x->relation != p->r1 || y->relation != p->r2 || x->tail != y->head || x->head == x->tail ||
                    y->head == y->tail || x->head == y->tail)
                    continue;
                n++;
                tail[y->tail]++;
            }
        }
        for (uint32_t e = 0; e < g->entities.n; e++)
            top = tail[e] > top ? tail[e] : top;
        assert_int_equal(p->facts, n);
        assert_int_equal(tail[p->top_tail], top);
        assert_true(fabs(p->majority - (double)top / (double)n) < 1e-12);
        assert_int_equal(p->informative, n >= 20 && top * 5 <= n);
        assert_true(k == 0 || s->pair[k - 1].facts >= p->facts);
        assert_ptr_equal(hs_graph_stats_pair(s, p->r1, p->r2), p);
        total += n;
        top_total += top;
    }
    free(tail);
    assert_int_equal(total, s->two_hop);
    if (total > 0)
        assert_true(fabs(s->majority - (double)top_total / (double)total) < 1e-12);
}

static void check(const hs_graph *g)
{
    static brute b;
    hs_graph_stats s;
    walk_all(g, &b);
    assert_ok(hs_graph_stats_compute(g, 1.5, &s, err));
    assert_int_equal(s.entities, g->entities.n);
    assert_int_equal(s.facts, g->n_facts);
    assert_int_equal(s.two_hop, b.two_hop);
    assert_int_equal(s.two_hop_all, b.all);
    assert_int_equal(s.functional_facts, b.functional);
    assert_int_equal(s.functional_two_hop, b.functional_two_hop);
    for (uint32_t r = 0; r < g->relations.n; r++) {
        const hs_relation_stats *x = hs_graph_stats_relation(&s, r);
        assert_non_null(x);
        assert_int_equal(x->facts, b.facts[r]);
        assert_int_equal(x->as_hop1, b.hop1[r]);
        assert_int_equal(x->as_hop2, b.hop2[r]);
        assert_int_equal(x->either, b.either[r]);
        assert_int_equal(x->sufficient, x->facts > 0 && (double)x->either >= 1.5 * (double)x->facts);
    }
    check_pairs(g, &s);
    hs_graph_stats_free(&s);
}

static void test_against_walk(void **state)
{
    (void)state;
    for (uint32_t k = 0; k < 30; k++) {
        hs_graph g;
        random_graph(&g, 100 + k, 2 + k, 1 + k % 4, 5 + 6 * k);
        check(&g);
        hs_graph_free(&g);
    }
    hs_graph g;
    random_graph(&g, 5, 3, 3, 200); /* nearly complete: self loops and opposite facts everywhere */
    check(&g);
    hs_graph_free(&g);
}

/* Many relations between few entities, some of them opposite. */
static void test_many_relations(void **state)
{
    (void)state;
    hs_graph g = {0};
    char relation[16];
    for (uint32_t r = 0; r < 600; r++) {
        snprintf(relation, sizeof relation, "r%u", r);
        assert_ok(hs_graph_add(&g, r % 2 ? "a" : "b", relation, r % 3 ? "b" : r % 5 ? "a" : "c", err));
    }
    assert_ok(hs_graph_index(&g, err));
    static brute b;
    walk_all(&g, &b);
    hs_graph_stats s;
    assert_ok(hs_graph_stats_compute(&g, 1, &s, err));
    assert_true(b.two_hop > 1000);
    assert_int_equal(s.two_hop, b.two_hop);
    for (uint32_t r = 0; r < 600; r++) {
        const hs_relation_stats *x = hs_graph_stats_relation(&s, r);
        assert_true(x->either == b.either[r] && x->as_hop1 == b.hop1[r] && x->as_hop2 == b.hop2[r]);
    }
    hs_graph_stats_free(&s);
    hs_graph_free(&g);
}

/* 600 relations arrive at a hub and 600 leave it: 360,000 pairs, of which the largest are listed and all are counted.
 */
static void test_listed_pairs(void **state)
{
    (void)state;
    enum { N = 600 };
    hs_graph g = {0};
    hs_graph_stats s;
    char a[32], r[32], b[32];
    for (int i = 0; i < N; i++) {
        for (int twice = 0; twice < (i == 5 ? 2 : 1); twice++) {
            snprintf(a, sizeof a, "a%d.%d", i, twice);
            snprintf(r, sizeof r, "in%d", i);
            assert_ok(hs_graph_add(&g, a, r, "hub", err));
        }
        snprintf(r, sizeof r, "out%d", i);
        snprintf(b, sizeof b, "b%d", i);
        assert_ok(hs_graph_add(&g, "hub", r, b, err));
    }
    assert_ok(hs_graph_index(&g, err));
    assert_ok(hs_graph_stats_compute(&g, 3.6, &s, err));
    assert_int_equal(s.pairs, N * N);
    assert_int_equal(s.n_pairs, HS_STATS_PAIRS);
    assert_int_equal(s.two_hop, N * N + N);
    assert_int_equal(hs_graph_stats_relation(&s, 0)->either, N);
    for (uint64_t i = 0; i < s.n_pairs; i++)
        assert_int_equal(s.pair[i].facts, i < N ? 2 : 1); /* those of in5 first */
    hs_graph_stats_free(&s);
    hs_graph_free(&g);
}

static void test_lemmas(void **state)
{
    (void)state;
    hs_graph g;
    hs_graph_stats s;
    make_graph(&g, "a r b\n b r c\n c r d\n d r a\n a s c");
    assert_ok(hs_graph_stats_compute(&g, 3.6, &s, err));
    /* |V| = 4, b = 5/4: |V|(|V|-1)(|V|-2) (b/(|V|-1))^2, and 3.6 (|V|-1)/(|V|-2) */
    assert_true(fabs(s.branching - 1.25) < 1e-12);
    assert_true(fabs(s.lemma1_phi - 1.25) < 1e-12);
    assert_true(fabs(s.lemma1_two_hop - 4 * 3 * 2 * (1.25 / 3) * (1.25 / 3)) < 1e-9);
    assert_true(fabs(s.lemma2_branching - 3.6 * 3 / 2) < 1e-12);
    hs_graph_stats_free(&s);
    hs_graph_free(&g);
}

static void test_empty(void **state)
{
    (void)state;
    hs_graph g = {0};
    hs_graph_stats s;
    assert_ok(hs_graph_index(&g, err));
    assert_ok(hs_graph_stats_compute(&g, 3.6, &s, err));
    assert_true(s.phi == 0 && s.majority == 0 && s.n_pairs == 0);
    hs_graph_stats_free(&s);
    hs_graph_free(&g);
}

static void assert_phi_r(const hs_graph *g, const hs_graph_stats *s, const char *name, uint64_t facts, double phi)
{
    const hs_relation_stats *r = hs_graph_stats_relation(s, hs_names_find(&g->relations, name, strlen(name)));
    assert_non_null(r);
    assert_int_equal(r->facts, facts);
    if (fabs(r->phi - phi) > 0.005)
        fail_msg("phi_r of %s is %.4f, measured was %.2f", name, r->phi, phi);
    assert_false(r->sufficient);
}

/* The numbers measured by hand on 505 development records; they hold for the evidences as they stand. */
static void test_real_numbers(void **state)
{
    (void)state;
    hs_graph g;
    hs_graph_stats s;
    hs_read_options raw = {.raw = true};
    assert_ok(hs_graph_read(&g, data_file("2wiki/dev505.stripped.jsonl"), &raw, NULL, err));
    assert_ok(hs_graph_stats_compute(&g, 3.6, &s, err));
    assert_int_equal(s.facts, 1278);
    assert_int_equal(s.entities, 1929);
    assert_int_equal(s.relations, 25);
    assert_int_equal(s.two_hop_all, 511);
    assert_int_equal(s.two_hop, 509);
    assert_true(fabs(s.phi - 0.398) < 0.0005);
    assert_int_equal(s.functional_facts, 1266);
    assert_int_equal(s.functional_two_hop, 503);
    assert_true(fabs(s.functional_phi - 0.397) < 0.0005);
    assert_phi_r(&g, &s, "director", 351, .98);
    assert_phi_r(&g, &s, "date of birth", 205, .67);
    assert_phi_r(&g, &s, "father", 133, .66);
    assert_phi_r(&g, &s, "date of death", 130, .76);
    assert_phi_r(&g, &s, "place of birth", 76, .97);
    assert_phi_r(&g, &s, "country of citizenship", 74, .81);
    assert_phi_r(&g, &s, "publication date", 64, 0);
    assert_phi_r(&g, &s, "spouse", 45, .96);
    assert_phi_r(&g, &s, "mother", 41, .88);
    for (uint64_t i = 0; i < s.relations; i++)
        assert_false(s.relation[i].sufficient);
    hs_graph_stats_free(&s);
    hs_graph_free(&g);
}

static hs_status stats_of_random(hs_error *err)
{
    static hs_graph g;
    if (g.n_facts == 0) {
        hs_alloc_fail_after(0);
        random_graph(&g, 1, 10, 4, 80);
        return HS_ERR_MEMORY; /* once, to get the graph without failures */
    }
    hs_graph_stats s;
    hs_status status = hs_graph_stats_compute(&g, 1, &s, err);
    hs_graph_stats_free(&s);
    if (status == HS_OK)
        hs_graph_free(&g);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    every_allocation_fails(stats_of_random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_walk), cmocka_unit_test(test_many_relations), cmocka_unit_test(test_listed_pairs),
        cmocka_unit_test(test_lemmas),       cmocka_unit_test(test_empty),          cmocka_unit_test(test_real_numbers),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
