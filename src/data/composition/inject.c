/* inject.c - fact-level augmentation (arXiv 2601.09049, App. C).
 * F1 (F2) are the OOD facts that serve as hop 1 (hop 2) of the sampled test_oo. A chosen fact of F1 gets up to h1k
 * training queries with ID facts as hop 2; a chosen fact of F2 up to h2k with ID facts as hop 1. Every injected query
 * has exactly one OOD hop, so no query of test_oo is ever trained; injected queries leave test_oi and test_io. */
#include "data/composition/composition.h"

#include <math.h>
#include <string.h>

#define PURPOSE_CHOOSE HS_PURPOSE('I', 'N', 'J', 'F')
#define PURPOSE_HOPS HS_PURPOSE('I', 'N', 'J', 'H')

typedef struct inject_ctx {
    hs_composition *c;
    uint32_t *in_start, *in_fact; /* ID facts by tail */
    uint8_t *is_f1, *is_f2, *test_bridge;
    uint32_t *list, *candidates; /* (n_facts): scratch */
} inject_ctx;

static hs_status allocate(inject_ctx *x, hs_error *err)
{
    const hs_fact_table *table = &x->c->table;
    x->in_start = hs_calloc((size_t)table->n_entities + 1, sizeof *x->in_start);
    x->in_fact = hs_alloc((size_t)table->n_facts * sizeof *x->in_fact);
    x->list = hs_alloc((size_t)table->n_facts * sizeof *x->list);
    x->candidates = hs_alloc((size_t)table->n_facts * sizeof *x->candidates);
    x->is_f1 = hs_calloc(table->n_facts, 1);
    x->is_f2 = hs_calloc(table->n_facts, 1);
    x->test_bridge = hs_calloc(table->n_entities, 1);
    if (!x->in_start || !x->in_fact || !x->list || !x->candidates || !x->is_f1 || !x->is_f2 || !x->test_bridge)
        return hs_fail_memory(err, table->n_facts * sizeof(uint32_t));
    for (uint32_t i = 0; i < table->n_facts; i++)
        if (!(table->flags[i] & HS_FACT_OOD))
            x->in_start[table->facts[i].tail + 1]++;
    for (uint32_t e = 0; e < table->n_entities; e++)
        x->in_start[e + 1] += x->in_start[e];
    for (uint32_t i = 0; i < table->n_facts; i++)
        if (!(table->flags[i] & HS_FACT_OOD))
            x->in_fact[x->in_start[table->facts[i].tail]++] = i;
    memmove(x->in_start + 1, x->in_start, table->n_entities * sizeof *x->in_start);
    x->in_start[0] = 0;
    return HS_OK;
}

static void find_test_facts(inject_ctx *x)
{
    hs_composition *c = x->c;
    hs_query_list *queries = &c->queries[0];
    for (uint32_t h = 0; h < c->table.n_entities; h++) {
        bool any = false;
        for (uint64_t i = c->first[h]; i < c->first[h + 1]; i++)
            any |= c->cat[i] == HS_CAT_TEST + 3;
        if (!any)
            continue;
        hs_queries_of_head(queries, &c->table, 2, h);
        for (uint32_t i = 0; i < queries->n; i++) {
            if (c->cat[c->first[h] + i] != HS_CAT_TEST + 3)
                continue;
            x->is_f1[queries->query[i].edge[0]] = 1;
            x->is_f2[queries->query[i].edge[1]] = 1;
            x->test_bridge[c->table.facts[queries->query[i].edge[0]].tail] = 1;
        }
    }
}

/* round(ratio * n) of the marked facts, in random order, to the front of x->list. */
static uint32_t choose(inject_ctx *x, const uint8_t *marked, double ratio, uint32_t hop)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->c->table.n_facts; i++)
        if (marked[i])
            x->list[n++] = i;
    hs_rng rng;
    hs_rng_init(&rng, x->c->config->seed, PURPOSE_CHOOSE, 0, hop);
    hs_rng_shuffle_u32(&rng, x->list, n);
    return (uint32_t)lround(ratio * n);
}

static void sample_front(uint32_t *list, uint32_t n, uint32_t k, hs_rng *rng)
{
    for (uint32_t i = 0; i < k && i < n; i++) {
        uint32_t j = i + (uint32_t)hs_rng_below(rng, n - i), t = list[i];
        list[i] = list[j];
        list[j] = t;
    }
}

static void inject_hop1(inject_ctx *x, uint32_t fact)
{
    hs_composition *c = x->c;
    const hs_fact *f = &c->table.facts[fact];
    if (c->config->avoid_test_bridges && !(c->config->h2ratio > 0 && c->config->h2k > 0) && x->test_bridge[f->tail])
        return;
    hs_query_list *queries = &c->queries[0];
    hs_queries_of_head(queries, &c->table, 2, f->head);
    uint32_t n = 0;
    for (uint32_t i = 0; i < queries->n; i++)
        if (queries->query[i].edge[0] == fact && !(c->table.flags[queries->query[i].edge[1]] & HS_FACT_OOD))
            x->candidates[n++] = i;
    hs_rng rng;
    hs_rng_init(&rng, c->config->seed, PURPOSE_HOPS, 1, fact);
    sample_front(x->candidates, n, c->config->h1k, &rng);
    for (uint32_t i = 0; i < n && i < c->config->h1k; i++)
        c->cat[c->first[f->head] + x->candidates[i]] = HS_CAT_AUG_HOP1;
}

static void inject_hop2(inject_ctx *x, uint32_t fact)
{
    hs_composition *c = x->c;
    uint32_t b = c->table.facts[fact].head, n = x->in_start[b + 1] - x->in_start[b];
    memcpy(x->candidates, x->in_fact + x->in_start[b], n * sizeof *x->candidates);
    hs_rng rng;
    hs_rng_init(&rng, c->config->seed, PURPOSE_HOPS, 2, fact);
    sample_front(x->candidates, n, c->config->h2k, &rng);
    hs_query_list *queries = &c->queries[0];
    for (uint32_t i = 0; i < n && i < c->config->h2k; i++) {
        uint32_t first = x->candidates[i], h = c->table.facts[first].head;
        hs_queries_of_head(queries, &c->table, 2, h);
        for (uint32_t j = 0; j < queries->n; j++)
            if (queries->query[j].edge[0] == first && queries->query[j].edge[1] == fact)
                c->cat[c->first[h] + j] = HS_CAT_AUG_HOP2;
    }
}

hs_status hs_composition_inject(hs_composition *c, hs_error *err)
{
    inject_ctx x = {.c = c};
    hs_status status = allocate(&x, err);
    if (status == HS_OK) {
        find_test_facts(&x);
        uint32_t n = c->config->h1k > 0 ? choose(&x, x.is_f1, c->config->h1ratio, 1) : 0;
        for (uint32_t i = 0; i < n; i++)
            inject_hop1(&x, x.list[i]);
        n = c->config->h2k > 0 ? choose(&x, x.is_f2, c->config->h2ratio, 2) : 0;
        for (uint32_t i = 0; i < n; i++)
            inject_hop2(&x, x.list[i]);
    }
    hs_free(x.in_start);
    hs_free(x.in_fact);
    hs_free(x.list);
    hs_free(x.candidates);
    hs_free(x.is_f1);
    hs_free(x.is_f2);
    hs_free(x.test_bridge);
    return status;
}
