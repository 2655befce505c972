/* Composition from a graph: policies for several tails, synthetic facts, cover, names. */
#include "data_test.h"

static void expect_error(const hs_data_config *c, const hs_graph *g, const char *where, const char *hint)
{
    hs_dataset d = {0};
    hs_error e = {0};
    assert_int_equal(hs_dataset_build(&d, c, g, NULL, NULL, &e), HS_ERR_DATA);
    assert_string_equal(e.where, where);
    assert_non_null(strstr(e.hint, hint));
    assert_null(d.splits);
}

static void graph_config(hs_data_config *c)
{
    hs_data_config_default(c);
    c->phi = 0;
    c->holdout = 0.5;
    c->ood_fraction = 0.1;
    c->test_max = 0;
}

static void from_functional_graph(void **state)
{
    (void)state;
    hs_graph g;
    real_graph(&g);
    hs_data_config c;
    graph_config(&c);
    hs_dataset d = {0};
    assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
    uint64_t functional = 0, two_hop = 0, listed = 0;
    for (uint64_t i = 0; i < g.n_facts; i++) {
        uint64_t first, last;
        hs_graph_out(&g, g.facts[i].head, g.facts[i].relation, &first, &last);
        functional += last == first + 1;
    }
    for (uint64_t i = 0; i < d.n_facts; i++)
        for (uint64_t j = 0; j < d.n_facts; j++) {
            const hs_fact *a = &d.facts[i], *b = &d.facts[j];
            two_hop += b->head == a->tail && a->head != a->tail && b->tail != a->tail && b->tail != a->head;
        }
    assert_int_equal(d.n_facts, functional);
    assert_true(functional < g.n_facts);
    for (uint32_t s = 0; s < d.n_splits; s++)
        listed += d.splits[s].kind == HS_ITEM_QUERY ? d.splits[s].n : 0;
    assert_int_equal(listed, two_hop);
    assert_true(split_n(&d, "test_oo") >= 5); /* picked along queries */
    /* names as they are; the relation "country" shares its name with an entity */
    assert_int_not_equal(hs_names_find(&d.vocab, "Ann 0", 5), HS_NO_ID);
    assert_int_equal(hs_names_find(&d.vocab, "country", 7) < d.n_entities, 1);
    assert_true(hs_names_find(&d.vocab, "country [relation]", 18) >= d.n_entities);
    hs_dataset_free(&d);
    hs_graph_free(&g);
}

static void synthetic_facts_never_tested(void **state)
{
    (void)state;
    hs_graph g;
    augmented_graph(&g);
    hs_data_config c;
    graph_config(&c);
    c.cover = true;
    hs_dataset d = {0}, free_for_all = {0};
    assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
    uint64_t tests = 0, synthetic_training = 0;
    for (uint32_t s = 0; s < d.n_splits; s++) {
        const hs_split *split = &d.splits[s];
        assert_int_equal(split->synthetic != NULL,
                         split->role == HS_SPLIT_TRAIN && strcmp(split->name, "ood_atomic") != 0);
        for (uint64_t i = 0; i < split->n; i++) {
            if (split->kind == HS_ITEM_QUERY && split->role == HS_SPLIT_TEST) {
                tests++;
                assert_true(strncmp(hs_names_get(&d.vocab, item(split, i)[0]), "~person", 7) != 0);
            } else {
                synthetic_training += split->synthetic && split->synthetic[i];
            }
        }
    }
    assert_true(tests > 20);
    assert_true(synthetic_training > 100);
    assert_int_equal(d.audit.split[0].in_training, 0);
    c.test_real_only = false;
    assert_ok(hs_dataset_build(&free_for_all, &c, &g, NULL, NULL, err));
    uint64_t synthetic = 0;
    for (uint32_t s = 0; s < free_for_all.n_splits; s++)
        if (free_for_all.splits[s].role == HS_SPLIT_TEST)
            synthetic += free_for_all.audit.split[s].synthetic;
    assert_true(synthetic > 0);
    hs_dataset_free(&d);
    hs_dataset_free(&free_for_all);
    hs_graph_free(&g);
}

static void cover_is_enforced(void **state)
{
    (void)state;
    hs_graph g;
    augmented_graph(&g);
    hs_data_config c;
    graph_config(&c);
    hs_dataset loose = {0}, tight = {0};
    assert_ok(hs_dataset_build(&loose, &c, &g, NULL, NULL, err));
    c.cover = true;
    assert_ok(hs_dataset_build(&tight, &c, &g, NULL, NULL, err));
    uint64_t loose_open = 0;
    for (uint32_t s = 0; s < loose.n_splits; s++)
        loose_open += strcmp(loose.splits[s].name, "test_ii") == 0 ? loose.audit.split[s].hops_not_covered : 0;
    assert_true(loose_open > 0);
    /* each hop of a test query, in the same place of some training query */
    const hs_split *test = hs_dataset_split(&tight, "test_ii"), *train = hs_dataset_split(&tight, "train_inferred");
    assert_true(test->n > 5);
    for (uint64_t i = 0; i < test->n; i++) {
        bool first = false, second = false;
        for (uint64_t j = 0; j < train->n; j++) {
            first |= item(test, i)[0] == item(train, j)[0] && item(test, i)[1] == item(train, j)[1];
            second |= test->bridge[i] == train->bridge[j] && item(test, i)[2] == item(train, j)[2];
        }
        assert_true(first && second);
    }
    /* with phi = 0 nothing is lost: what is not tested is trained */
    assert_int_equal(test->n + train->n, split_n(&loose, "test_ii") + split_n(&loose, "train_inferred"));
    hs_dataset_free(&loose);
    hs_dataset_free(&tight);
    hs_graph_free(&g);
}

/* Policy `any`: a query's answers are all ends of its paths. */
static void all_tails(void **state)
{
    (void)state;
    hs_graph g;
    real_graph(&g);
    hs_data_config c;
    graph_config(&c);
    c.tails = HS_TAILS_ANY;
    hs_dataset d = {0};
    assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
    assert_int_equal(d.n_facts, g.n_facts);
    uint64_t several = 0;
    for (uint32_t s = 0; s < d.n_splits; s++) {
        const hs_split *split = &d.splits[s];
        for (uint64_t i = 0; i < split->n; i++) {
            const uint32_t *t = item(split, i);
            uint8_t ends[512] = {0};
            uint64_t n = 0, stored = 1 + (split->also_start ? split->also_start[i + 1] - split->also_start[i] : 0);
            for (uint64_t a = 0; a < d.n_facts; a++) {
                if (d.facts[a].head != t[0] || d.facts[a].relation != t[1])
                    continue;
                if (split->kind == HS_ITEM_FACT)
                    ends[d.facts[a].tail] = 1;
                for (uint64_t b = 0; split->kind == HS_ITEM_QUERY && b < d.n_facts; b++)
                    if (d.facts[b].head == d.facts[a].tail && d.facts[b].relation == t[2])
                        ends[d.facts[b].tail] = 1;
            }
            for (uint32_t e = 0; e < 512; e++)
                n += ends[e];
            assert_int_equal(n, stored);
            assert_true(ends[t[split->answer]]);
            for (uint64_t a = 0; a + 1 < stored; a++)
                assert_true(ends[split->also[split->also_start[i] + a]]);
            several += stored > 1;
        }
    }
    assert_true(several > 20);
    hs_dataset_free(&d);
    hs_graph_free(&g);
}

/* A cyclic graph: 150 random facts over 40 entities. */
static void random_graph(hs_graph *g, uint64_t seed)
{
    hs_rng rng;
    hs_rng_init(&rng, seed, 1, 0, 0);
    *g = (hs_graph){0};
    for (int i = 0; i < 150; i++) {
        char name[3][32];
        snprintf(name[0], sizeof name[0], "e%u", (unsigned)hs_rng_below(&rng, 40));
        snprintf(name[1], sizeof name[1], "r%u", (unsigned)hs_rng_below(&rng, 3));
        snprintf(name[2], sizeof name[2], "e%u", (unsigned)hs_rng_below(&rng, 40));
        assert_ok(hs_graph_add(g, name[0], name[1], name[2], err));
    }
    assert_ok(hs_graph_index(g, err));
}

/* Do the facts a, b make a path of three different entities? */
static bool is_second_hop(const hs_fact *a, const hs_fact *b, uint32_t relation)
{
    return b->head == a->tail && b->relation == relation && a->head != a->tail && b->tail != a->tail &&
           b->tail != a->head;
}

static bool is_answer(const hs_split *s, uint64_t i, uint32_t token)
{
    bool right = item(s, i)[s->answer] == token;
    for (uint64_t a = s->also_start ? s->also_start[i] : 0; s->also_start && a < s->also_start[i + 1]; a++)
        right |= s->also[a] == token;
    return right;
}

/* Policy `any`: no path comes back, so the head is never an answer; and every other end is one. */
static void head_is_no_answer(void **state)
{
    (void)state;
    uint64_t back = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        hs_graph g;
        random_graph(&g, seed);
        hs_data_config c;
        graph_config(&c);
        c.tails = HS_TAILS_ANY;
        c.seed = seed;
        hs_dataset d = {0};
        assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
        assert_int_equal(d.facts_dropped, 0);
        for (uint32_t k = 0; k < d.n_splits; k++) {
            const hs_split *s = &d.splits[k];
            for (uint64_t i = 0; s->kind == HS_ITEM_QUERY && i < s->n; i++) {
                const uint32_t *t = item(s, i);
                assert_false(is_answer(s, i, t[0]));
                for (uint64_t a = 0; a < d.n_facts; a++)
                    for (uint64_t b = 0; d.facts[a].head == t[0] && d.facts[a].relation == t[1] && b < d.n_facts; b++) {
                        if (is_second_hop(&d.facts[a], &d.facts[b], t[2]))
                            assert_true(is_answer(s, i, d.facts[b].tail));
                        back += d.facts[b].head == d.facts[a].tail && d.facts[b].relation == t[2] &&
                                d.facts[b].tail == t[0];
                    }
            }
        }
        /* the audit knows: the head as a further answer is a wrong one */
        for (uint32_t k = 0; k < d.n_splits; k++) {
            hs_split *s = &d.splits[k];
            for (uint64_t i = 0; s->kind == HS_ITEM_QUERY && s->also_start && i < s->n; i++) {
                if (s->also_start[i] == s->also_start[i + 1])
                    continue;
                s->also[s->also_start[i]] = item(s, i)[0];
                assert_ok(hs_dataset_audit(&d, err));
                assert_false(d.audit.passed);
                k = d.n_splits;
                break;
            }
        }
        hs_dataset_free(&d);
        hs_graph_free(&g);
    }
    assert_true(back > 5);
}

/* Facts left out because their head and relation have several tails are counted, said and kept in the card. */
static void dropped_facts_are_told(void **state)
{
    (void)state;
    hs_graph g;
    real_graph(&g);
    hs_data_config c;
    graph_config(&c);
    hs_dataset d = {0}, again = {0};
    assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
    assert_true(d.facts_dropped > 0);
    assert_int_equal(d.facts_dropped, g.n_facts - d.n_facts);
    char path[256], line[64];
    snprintf(line, sizeof line, "\"facts_dropped\": %llu", (unsigned long long)d.facts_dropped);
    assert_non_null(strstr(d.card, line));
    fresh_path(path, "dropped");
    assert_ok(hs_dataset_write(&d, path, err));
    assert_ok(hs_dataset_read(&again, path, err));
    assert_int_equal(again.facts_dropped, d.facts_dropped);
    hs_dataset_free(&d);
    hs_dataset_free(&again);
    hs_graph_free(&g);
}

/* Is fact (head, relation, tail) at this place of some path of a training query? */
static bool trained_at(const hs_dataset *d, uint32_t place, const hs_fact *f)
{
    const hs_split *train = hs_dataset_split(d, "train_inferred");
    for (uint64_t j = 0; j < train->n; j++) {
        const uint32_t *t = item(train, j);
        if (t[1 + place] != f->relation)
            continue;
        if (place == 0 && t[0] == f->head)
            return true;
        for (uint64_t a = 0; place == 1 && a < d->n_facts; a++)
            if (d->facts[a].head == t[0] && d->facts[a].relation == t[1] && d->facts[a].tail == f->head)
                return true;
    }
    return false;
}

/* Policy `any` with cover: each hop of each path of a test query is a hop of some path of a training query. */
static void all_tails_covered(void **state)
{
    (void)state;
    uint64_t tested = 0, several = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        hs_graph g;
        random_graph(&g, seed);
        hs_data_config c;
        graph_config(&c);
        c.tails = HS_TAILS_ANY;
        c.cover = true;
        c.seed = seed;
        hs_dataset d = {0};
        assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err)); /* fails when its own audit does */
        const hs_split *test = hs_dataset_split(&d, "test_ii");
        for (uint64_t i = 0; test && i < test->n; i++, tested++) {
            const uint32_t *t = item(test, i);
            several += test->also_start && test->also_start[i + 1] > test->also_start[i];
            for (uint64_t a = 0; a < d.n_facts; a++) {
                if (d.facts[a].head != t[0] || d.facts[a].relation != t[1])
                    continue;
                bool leads_on = false;
                for (uint64_t b = 0; b < d.n_facts; b++)
                    leads_on |= is_second_hop(&d.facts[a], &d.facts[b], t[2]);
                assert_true(!leads_on || trained_at(&d, 0, &d.facts[a]));
                for (uint64_t b = 0; b < d.n_facts; b++)
                    if (is_second_hop(&d.facts[a], &d.facts[b], t[2]))
                        assert_true(trained_at(&d, 1, &d.facts[b]));
            }
        }
        hs_dataset_free(&d);
        hs_graph_free(&g);
    }
    assert_true(tested > 100 && several > 20);
}

static void empty_graph(void **state)
{
    (void)state;
    hs_graph g = {0};
    assert_ok(hs_graph_add(&g, "a", "r", "b", err));
    assert_ok(hs_graph_index(&g, err));
    hs_data_config c;
    graph_config(&c);
    expect_error(&c, &g, "data.hops", "1 facts");
    hs_graph_free(&g);
}

static void two_wiki(void **state)
{
    (void)state;
    const char *folder = getenv("HOPSCOPE_DATA");
    if (!folder)
        skip();
    char path[512];
    snprintf(path, sizeof path, "%s/2wiki/dev505.stripped.jsonl", folder);
    hs_graph g = {0};
    assert_ok(hs_graph_read(&g, path, NULL, NULL, err));
    hs_data_config c;
    graph_config(&c);
    c.ood_fraction = 0.05;
    hs_dataset d = {0};
    assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
    uint64_t queries = 0;
    for (uint32_t s = 0; s < d.n_splits; s++)
        queries += d.splits[s].kind == HS_ITEM_QUERY ? d.splits[s].n : 0;
    assert_in_range(queries, 400, 700);
    assert_true(split_n(&d, "test_oo") >= 25);
    hs_dataset_free(&d);
    hs_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_functional_graph),
        cmocka_unit_test(synthetic_facts_never_tested),
        cmocka_unit_test(cover_is_enforced),
        cmocka_unit_test(all_tails),
        cmocka_unit_test(empty_graph),
        cmocka_unit_test(two_wiki),
        cmocka_unit_test(all_tails_covered),
        cmocka_unit_test(head_is_no_answer),
        cmocka_unit_test(dropped_facts_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
