/* stats.c - how many two-hop facts a graph holds, per relation and per relation pair; functional facts; the lemmas.
 *
 * Sums are made pair by pair as pairs.c counts them, and only the largest pairs are kept, so that a graph with as many
 * relations as facts takes no more memory than another.
 */
#include "graph/pairs.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- facts with one tail */

static bool is_functional(const hs_graph *g, uint64_t i)
{
    const hs_fact *fact = &g->facts[i];
    bool same_before = i > 0 && g->facts[i - 1].head == fact->head && g->facts[i - 1].relation == fact->relation;
    bool same_after =
        i + 1 < g->n_facts && g->facts[i + 1].head == fact->head && g->facts[i + 1].relation == fact->relation;
    return !same_before && !same_after;
}

/* All two-hop facts, and the non-trivial ones among functional facts: products of degrees, less opposite pairs. */
static hs_status count_functional(const hs_graph *g, hs_graph_stats *out, hs_error *err)
{
    size_t entities = g->entities.n;
    uint64_t *in = hs_calloc(entities + 1, sizeof *in);
    uint32_t *to = hs_calloc(entities + 1, sizeof *to);
    if (in == NULL || to == NULL) {
        hs_free(in);
        hs_free(to);
        return hs_fail_memory(err, (entities + 1) * sizeof *in);
    }
    for (uint64_t i = 0; i < g->n_facts; i++) {
        if (!is_functional(g, i))
            continue;
        out->functional_facts++;
        if (g->facts[i].head != g->facts[i].tail)
            in[g->facts[i].tail]++;
    }
    for (uint32_t b = 0; b < entities; b++) {
        out->two_hop_all += (g->in_start[b + 1] - g->in_start[b]) * (g->out_start[b + 1] - g->out_start[b]);
        for (uint64_t i = g->out_start[b]; i < g->out_start[b + 1]; i++) {
            if (!is_functional(g, i) || g->facts[i].tail == b)
                continue;
            out->functional_two_hop += in[b];
            to[g->facts[i].tail]++;
        }
        for (uint64_t i = g->in_start[b]; i < g->in_start[b + 1]; i++) {
            uint64_t fact = g->in_fact[i];
            if (g->facts[fact].head != b && to[g->facts[fact].head] > 0 && is_functional(g, fact))
                out->functional_two_hop -= to[g->facts[fact].head];
        }
        for (uint64_t i = g->out_start[b]; i < g->out_start[b + 1]; i++)
            to[g->facts[i].tail] = 0;
    }
    hs_free(in);
    hs_free(to);
    return HS_OK;
}

/* ---------------------------------------------------------------- results */

static double ratio(uint64_t a, uint64_t b)
{
    return b == 0 ? 0.0 : (double)a / (double)b;
}

static int by_facts(const void *a, const void *b)
{
    const hs_relation_stats *x = a, *y = b;
    if (x->facts != y->facts)
        return x->facts > y->facts ? -1 : 1;
    return x->relation < y->relation ? -1 : x->relation > y->relation;
}

static int by_pair_facts(const void *a, const void *b)
{
    const hs_pair_stats *x = a, *y = b;
    if (x->facts != y->facts)
        return x->facts > y->facts ? -1 : 1;
    if (x->r1 != y->r1)
        return x->r1 < y->r1 ? -1 : 1;
    return x->r2 < y->r2 ? -1 : x->r2 > y->r2;
}

typedef struct tally {
    hs_graph_stats *out;
    hs_relation_stats *relation; /* (relations) by id */
    uint64_t top;                /* two-hop facts with the commonest tail of their pair */
    size_t cap;
    bool full; /* the first HS_STATS_PAIRS are in order: what comes after the last of them is not kept */
} tally;

/* Keeps the HS_STATS_PAIRS largest. The order is total, so what is kept does not depend on when others went. */
static void keep_largest(hs_graph_stats *out)
{
    if (out->n_pairs > 1) /* none: there is no array */
        qsort(out->pair, out->n_pairs, sizeof *out->pair, by_pair_facts);
    if (out->n_pairs > HS_STATS_PAIRS)
        out->n_pairs = HS_STATS_PAIRS;
}

static hs_status add_pair(tally *t, uint32_t r2, const hs_pair_count *p, hs_error *err)
{
    hs_graph_stats *out = t->out;
    hs_pair_stats s = {.r1 = p->r1, .r2 = r2, .facts = p->facts, .top_tail = p->top_tail};
    s.majority = ratio(p->top, p->facts);
    s.informative = p->facts >= 20 && p->top * 5 <= p->facts;
    out->pairs++;
    out->informative_pairs += s.informative;
    out->two_hop += p->facts;
    t->top += p->top;
    t->relation[s.r1].as_hop1 += s.facts;
    t->relation[s.r2].as_hop2 += s.facts;
    t->relation[s.r1].either += s.facts;
    if (s.r1 != s.r2)
        t->relation[s.r2].either += s.facts;
    if (out->n_pairs == 2 * HS_STATS_PAIRS) {
        keep_largest(out);
        t->full = true;
    }
    if (t->full && by_pair_facts(&s, &out->pair[HS_STATS_PAIRS - 1]) > 0)
        return HS_OK;
    void *list = out->pair;
    hs_status status = hs_grow(&list, &t->cap, out->n_pairs + 1, sizeof *out->pair, err);
    out->pair = list;
    HS_TRY(status);
    out->pair[out->n_pairs++] = s;
    return HS_OK;
}

static hs_status add_pairs(void *ctx, const hs_pairs *pairs, hs_error *err)
{
    for (size_t i = 0; i < pairs->n_pairs; i++)
        HS_TRY(add_pair(ctx, pairs->r2, &pairs->pair[i], err));
    return HS_OK;
}

static hs_status fill_relations(const hs_graph *g, hs_graph_stats *out, hs_error *err)
{
    hs_relation_stats *rel = hs_calloc((size_t)g->relations.n + 1, sizeof *rel);
    if (rel == NULL)
        return hs_fail_memory(err, g->relations.n * sizeof *rel);
    out->relation = rel;
    for (uint32_t r = 0; r < g->relations.n; r++)
        rel[r].relation = r;
    for (uint64_t i = 0; i < g->n_facts; i++)
        rel[g->facts[i].relation].facts++;
    tally t = {.out = out, .relation = rel};
    HS_TRY(hs_graph_each_pair(g, add_pairs, &t, err));
    keep_largest(out);
    out->majority = ratio(t.top, out->two_hop);
    for (uint32_t r = 0; r < g->relations.n; r++) {
        rel[r].phi_hop1 = ratio(rel[r].as_hop1, rel[r].facts);
        rel[r].phi_hop2 = ratio(rel[r].as_hop2, rel[r].facts);
        rel[r].phi = ratio(rel[r].either, rel[r].facts);
        rel[r].branching = ratio(rel[r].facts, g->entities.n);
        rel[r].sufficient = rel[r].facts > 0 && rel[r].phi >= out->threshold;
    }
    qsort(rel, g->relations.n, sizeof *rel, by_facts);
    return HS_OK;
}

/* Lemmas 1 and 2 of arXiv 2504.20752 for n = 2, with C(|V|, 3) 3! = |V| (|V| - 1) (|V| - 2). */
static void fill_lemmas(hs_graph_stats *out)
{
    double v = (double)out->entities;
    out->lemma1_phi = out->branching;
    if (out->entities < 3)
        return;
    double p = out->branching / (v - 1);
    out->lemma1_two_hop = v * (v - 1) * (v - 2) * p * p;
    out->lemma2_branching = out->threshold * (v - 1) / (v - 2);
}

static hs_status compute(const hs_graph *g, double threshold, hs_graph_stats *out, hs_error *err)
{
    out->entities = g->entities.n;
    out->relations = g->relations.n;
    out->facts = g->n_facts;
    out->threshold = threshold;
    for (uint64_t i = 0; i < g->n_facts; i++)
        out->synthetic += (g->flags[i] & HS_FACT_SYNTHETIC) != 0;
    HS_TRY(fill_relations(g, out, err));
    HS_TRY(count_functional(g, out, err));
    out->phi = ratio(out->two_hop, out->facts);
    out->functional_phi = ratio(out->functional_two_hop, out->functional_facts);
    out->branching = ratio(out->facts, out->entities);
    fill_lemmas(out);
    return HS_OK;
}

hs_status hs_graph_stats_compute(const hs_graph *g, double threshold, hs_graph_stats *out, hs_error *err)
{
    *out = (hs_graph_stats){0};
    hs_status status = compute(g, threshold, out, err);
    if (status != HS_OK)
        hs_graph_stats_free(out);
    return status;
}

const hs_relation_stats *hs_graph_stats_relation(const hs_graph_stats *stats, uint32_t relation)
{
    for (uint64_t i = 0; i < stats->relations; i++)
        if (stats->relation[i].relation == relation)
            return &stats->relation[i];
    return NULL;
}

const hs_pair_stats *hs_graph_stats_pair(const hs_graph_stats *stats, uint32_t r1, uint32_t r2)
{
    for (uint64_t i = 0; i < stats->n_pairs; i++)
        if (stats->pair[i].r1 == r1 && stats->pair[i].r2 == r2)
            return &stats->pair[i];
    return NULL;
}

void hs_graph_stats_free(hs_graph_stats *stats)
{
    if (stats == NULL)
        return;
    hs_free(stats->relation);
    hs_free(stats->pair);
    *stats = (hs_graph_stats){0};
}
