/* data_test.h - what the tests of the data layer share. */
#ifndef HOPSCOPE_TESTS_DATA_H
#define HOPSCOPE_TESTS_DATA_H

#include "hopscope/data.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define assert_ok(expr)                                                                                                \
    do {                                                                                                               \
        hs_error err_ = {0};                                                                                           \
        hs_error *err = &err_;                                                                                         \
        if ((expr) != HS_OK) {                                                                                         \
            char text_[1400];                                                                                          \
            hs_error_format(err, text_, sizeof text_);                                                                 \
            fail_msg("%s: %s", #expr, text_);                                                                          \
        }                                                                                                              \
    } while (0)

/* A small generated composition: everything kept, so that brute force can check it. */
static inline hs_data_config small_config(uint32_t hops)
{
    hs_data_config c;
    hs_data_config_default(&c);
    c.entities = 40;
    c.relations = 8;
    c.out_degree = 4;
    c.hops = hops;
    c.ood_fraction = 0.15;
    c.holdout = 0.1;
    c.phi = 0;
    c.test_max = 0;
    return c;
}

static inline uint64_t split_n(const hs_dataset *d, const char *name)
{
    const hs_split *s = hs_dataset_split(d, name);
    return s ? s->n : 0;
}

static inline const uint32_t *item(const hs_split *s, uint64_t i)
{
    return s->tokens + i * s->width;
}

/* A fresh path under the temporary folder; nothing is there. */
static inline void fresh_path(char out[256], const char *name)
{
    static int number;
    const char *tmp = getenv("TMPDIR");
    snprintf(out, 256, "%s/hopscope-test-%ld-%d-%s", tmp ? tmp : "/tmp", (long)getpid(), number++, name);
}

static inline void remove_path(const char *path)
{
    char command[400];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

static inline void assert_same_splits(const hs_dataset *a, const hs_dataset *b)
{
    assert_int_equal(a->n_splits, b->n_splits);
    for (uint32_t i = 0; i < a->n_splits; i++) {
        const hs_split *x = &a->splits[i], *y = hs_dataset_split(b, x->name);
        if (!y)
            fail_msg("split %s is missing", x->name);
        assert_int_equal(x->role, y->role);
        assert_int_equal(x->n, y->n);
        if (x->hash != y->hash)
            fail_msg("split %s has another hash", x->name);
        assert_int_equal(x->synthetic != NULL, y->synthetic != NULL);
        if (x->synthetic)
            assert_memory_equal(x->synthetic, y->synthetic, x->n);
    }
    assert_int_equal(a->n_facts, b->n_facts);
    assert_memory_equal(a->facts, b->facts, a->n_facts * sizeof *a->facts);
    assert_memory_equal(a->fact_flags, b->fact_flags, a->n_facts);
    assert_int_equal(a->vocab.n, b->vocab.n);
    for (uint32_t i = 0; i < a->vocab.n; i++)
        assert_string_equal(hs_names_get(&a->vocab, i), hs_names_get(&b->vocab, i));
}

/* A small real graph: people, places, dates; some facts with two tails; one relation named like an entity. */
static inline void real_graph(hs_graph *g)
{
    static const char *const FIRST[] = {"Ann", "Bob", "Eve", "Joe", "Kim", "Lee", "Max", "Sue", "Tom", "Zoe"};
    char a[64], b[64];
    *g = (hs_graph){0};
    for (int i = 0; i < 60; i++) {
        snprintf(a, sizeof a, "%s %d", FIRST[i % 10], i / 10);
        snprintf(b, sizeof b, "city <%d>", (i * 7) % 20);
        assert_ok(hs_graph_add(g, a, "place of birth", b, err));
        snprintf(b, sizeof b, "%s %d", FIRST[(i * 3 + 1) % 10], (i * 11 / 10 + 1) % 6);
        assert_ok(hs_graph_add(g, a, "spouse", b, err));
        snprintf(b, sizeof b, "19%02d-%02d-%02d", i % 50 + 10, i % 12 + 1, i % 28 + 1);
        assert_ok(hs_graph_add(g, a, "date of birth", b, err));
    }
    for (int i = 0; i < 20; i++) {
        snprintf(a, sizeof a, "city <%d>", i);
        snprintf(b, sizeof b, "country %d", i % 4);
        assert_ok(hs_graph_add(g, a, "country", b, err));
        snprintf(b, sizeof b, "river %d", i % 3);
        assert_ok(hs_graph_add(g, a, "river", b, err));
        if (i % 3 == 0) {
            snprintf(b, sizeof b, "river %d", i % 3 + 1);
            assert_ok(hs_graph_add(g, a, "river", b, err));
        }
    }
    assert_ok(hs_graph_add(g, "river 0", "country", "country", err)); /* an entity named like a relation */
    assert_ok(hs_graph_index(g, err));
}

/* real_graph with synthetic facts: more births and cities. */
static inline void augmented_graph(hs_graph *g)
{
    char a[64];
    real_graph(g);
    uint32_t n = g->entities.n, birth = hs_names_find(&g->relations, "place of birth", 14);
    for (uint32_t i = 0; i < 80; i++) {
        uint32_t id;
        snprintf(a, sizeof a, "~person %u", i);
        assert_ok(hs_names_add(&g->entities, a, strlen(a), &id, err));
        snprintf(a, sizeof a, "city <%u>", i % 20);
        uint32_t city = hs_names_find(&g->entities, a, strlen(a));
        assert_ok(hs_graph_add_ids(g, (hs_fact){id, birth, city}, HS_FACT_SYNTHETIC, err));
    }
    (void)n;
    assert_ok(hs_graph_index(g, err));
}

#endif
