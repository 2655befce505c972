/* stats.c - how many two-hop facts a graph holds, per relation and per relation pair, without walking them one by one.
 *
 * A two-hop fact (h, r1, b, r2, t) is trivial when b == h, b == t or t == h. Leaving out facts with head == tail
 * removes the first two kinds. For the tail t and a fact (b, r2, t), the first hops are the facts that arrive at b; of
 * each relation r1 there are as many as arrive at b, less those that leave t (the third kind). So the work is one step
 * for each fact and each relation that arrives at its head, plus one for each pair of opposite facts. Going tail by
 * tail gives the commonest tail of each pair on the way. tests/graph/test_stats.c compares all of it with a plain walk.
 */
#include "hopscope/graph.h"

#include <stdlib.h>
#include <string.h>

enum {
    DENSE_RELATIONS = 512
};                  /* up to here every pair has a place (r2, r1) in a square table, beyond they are hashed */
enum { AHEAD = 8 }; /* facts looked ahead, so that memory answers in time */

typedef struct group {
    uint32_t relation;
    uint32_t facts;
} group;

typedef struct pair {
    uint32_t r1, r2;
    uint64_t facts;
    uint64_t top;
    uint32_t top_tail;
} pair;

typedef struct work {
    const hs_graph *g;
    /* Facts that arrive at entity e, head != tail, by relation: group[group_start[e]..group_start[e+1]] */
    uint64_t *group_start;
    group *groups;
    uint32_t *count;    /* (relations), zero between uses */
    uint32_t *used;     /* (relations) */
    uint64_t *first_to; /* (entities) chain of facts that leave the tail at hand, by where they go; index + 1 */
    uint64_t *next_to;  /* (n_facts) */
    bool dense;
    uint32_t *slots; /* hash table of pair + 1 */
    size_t n_slots;
    pair *pairs;
    uint64_t *here; /* (pairs) two-hop facts with the tail at hand */
    size_t n_pairs, cap_pairs, cap_here;
    uint32_t *touched; /* pairs seen with the tail at hand */
    size_t n_touched, cap_touched;
} work;

static void free_work(work *w)
{
    hs_free(w->group_start);
    hs_free(w->groups);
    hs_free(w->count);
    hs_free(w->used);
    hs_free(w->first_to);
    hs_free(w->next_to);
    hs_free(w->slots);
    hs_free(w->pairs);
    hs_free(w->here);
    hs_free(w->touched);
}

/* ---------------------------------------------------------------- groups of arriving facts */

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static hs_status build_groups(work *w, hs_error *err)
{
    const hs_graph *g = w->g;
    uint64_t entities = g->entities.n, relations = g->relations.n;
    w->group_start = hs_alloc((entities + 1) * sizeof *w->group_start);
    w->groups = hs_alloc((g->n_facts + 1) * sizeof *w->groups);
    w->count = hs_calloc(relations + 1, sizeof *w->count);
    w->used = hs_alloc((relations + 1) * sizeof *w->used);
    if (w->group_start == NULL || w->groups == NULL || w->count == NULL || w->used == NULL)
        return hs_fail_memory(err, (entities + g->n_facts + relations) * sizeof *w->groups);
    uint64_t n = 0;
    for (uint32_t e = 0; e < entities; e++) {
        w->group_start[e] = n;
        uint32_t n_used = 0;
        for (uint64_t i = g->in_start[e]; i < g->in_start[e + 1]; i++) {
            const hs_fact *fact = &g->facts[g->in_fact[i]];
            if (fact->head == e)
                continue;
            if (w->count[fact->relation]++ == 0)
                w->used[n_used++] = fact->relation;
        }
        qsort(w->used, n_used, sizeof *w->used, compare_u32);
        for (uint32_t k = 0; k < n_used; k++) {
            w->groups[n++] = (group){w->used[k], w->count[w->used[k]]};
            w->count[w->used[k]] = 0;
        }
    }
    w->group_start[entities] = n;
    return HS_OK;
}

/* ---------------------------------------------------------------- pairs */

static size_t pair_slot(const work *w, uint32_t r1, uint32_t r2)
{
    uint64_t key = ((uint64_t)r1 << 32 | r2) * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(key >> 32) & (w->n_slots - 1);
    while (w->slots[i] != 0 && (w->pairs[w->slots[i] - 1].r1 != r1 || w->pairs[w->slots[i] - 1].r2 != r2))
        i = (i + 1) & (w->n_slots - 1);
    return i;
}

static hs_status grow_pair_slots(work *w, hs_error *err)
{
    size_t n_slots = w->n_slots == 0 ? 1024 : w->n_slots * 2;
    uint32_t *slots = hs_calloc(n_slots, sizeof *slots);
    if (slots == NULL)
        return hs_fail_memory(err, n_slots * sizeof *slots);
    hs_free(w->slots);
    w->slots = slots;
    w->n_slots = n_slots;
    for (size_t i = 0; i < w->n_pairs; i++)
        w->slots[pair_slot(w, w->pairs[i].r1, w->pairs[i].r2)] = (uint32_t)i + 1;
    return HS_OK;
}

static hs_status new_pair(work *w, uint32_t r1, uint32_t r2, hs_error *err)
{
    void *p = w->pairs;
    hs_status status = hs_grow(&p, &w->cap_pairs, w->n_pairs + 1, sizeof *w->pairs, err);
    w->pairs = p;
    HS_TRY(status);
    p = w->here;
    status = hs_grow(&p, &w->cap_here, w->n_pairs + 1, sizeof *w->here, err);
    w->here = p;
    HS_TRY(status);
    w->here[w->n_pairs] = 0;
    w->pairs[w->n_pairs++] = (pair){.r1 = r1, .r2 = r2};
    return HS_OK;
}

static hs_status find_pair(work *w, uint32_t r1, uint32_t r2, size_t *at, hs_error *err)
{
    if (w->dense) {
        *at = (size_t)r2 * w->g->relations.n + r1;
        return HS_OK;
    }
    if (w->n_pairs * 2 >= w->n_slots)
        HS_TRY(grow_pair_slots(w, err));
    uint32_t *place = &w->slots[pair_slot(w, r1, r2)];
    if (*place == 0) {
        HS_TRY(new_pair(w, r1, r2, err));
        *place = (uint32_t)w->n_pairs;
    }
    *at = *place - 1;
    return HS_OK;
}

/* Every pair gets its place at once when the square table is small. */
static hs_status make_dense(work *w, hs_error *err)
{
    size_t relations = w->g->relations.n;
    w->n_pairs = relations * relations;
    w->pairs = hs_calloc(w->n_pairs + 1, sizeof *w->pairs);
    w->here = hs_calloc(w->n_pairs + 1, sizeof *w->here);
    if (w->pairs == NULL || w->here == NULL)
        return hs_fail_memory(err, w->n_pairs * sizeof *w->pairs);
    for (size_t i = 0; i < w->n_pairs; i++) {
        w->pairs[i].r1 = (uint32_t)(i % relations);
        w->pairs[i].r2 = (uint32_t)(i / relations);
    }
    w->dense = true;
    return HS_OK;
}

static hs_status touch(work *w, size_t at, hs_error *err)
{
    void *p = w->touched;
    hs_status status = hs_grow(&p, &w->cap_touched, w->n_touched + 1, sizeof *w->touched, err);
    w->touched = p;
    HS_TRY(status);
    w->touched[w->n_touched++] = (uint32_t)at;
    return HS_OK;
}

/* Two-hop facts whose second hop is (b, r2, t). */
static hs_status count_second_hop(work *w, uint32_t b, uint32_t r2, hs_error *err)
{
    size_t at;
    for (uint64_t k = w->group_start[b]; k < w->group_start[b + 1]; k++) {
        HS_TRY(find_pair(w, w->groups[k].relation, r2, &at, err));
        if (w->here[at] == 0)
            HS_TRY(touch(w, at, err));
        w->here[at] += w->groups[k].facts;
    }
    /* Less those that come from t itself. Each was counted above, so nothing goes below zero. */
    for (uint64_t i = w->first_to[b]; i != 0; i = w->next_to[i - 1]) {
        HS_TRY(find_pair(w, w->g->facts[i - 1].relation, r2, &at, err));
        w->here[at]--;
    }
    return HS_OK;
}

static hs_status count_tail(work *w, uint32_t t, hs_error *err)
{
    const hs_graph *g = w->g;
    for (uint64_t i = g->out_start[t]; i < g->out_start[t + 1]; i++) {
        uint32_t to = g->facts[i].tail;
        w->next_to[i] = w->first_to[to];
        if (to != t)
            w->first_to[to] = i + 1;
    }
    w->n_touched = 0;
    hs_status status = HS_OK;
    uint64_t last = g->in_start[t + 1];
    for (uint64_t i = g->in_start[t]; status == HS_OK && i < last; i++) {
        if (i + 2 * AHEAD < last)
            __builtin_prefetch(&g->facts[g->in_fact[i + 2 * AHEAD]]);
        if (i + AHEAD < last)
            __builtin_prefetch(&w->group_start[g->facts[g->in_fact[i + AHEAD]].head]);
        if (i + AHEAD / 2 < last)
            __builtin_prefetch(&w->groups[w->group_start[g->facts[g->in_fact[i + AHEAD / 2]].head]]);
        const hs_fact *fact = &g->facts[g->in_fact[i]];
        if (fact->head != t)
            status = count_second_hop(w, fact->head, fact->relation, err);
    }
    for (size_t k = 0; k < w->n_touched; k++) {
        pair *p = &w->pairs[w->touched[k]];
        uint64_t here = w->here[w->touched[k]];
        p->facts += here;
        if (here > p->top) {
            p->top = here;
            p->top_tail = t;
        }
        w->here[w->touched[k]] = 0;
    }
    for (uint64_t i = g->out_start[t]; i < g->out_start[t + 1]; i++)
        w->first_to[g->facts[i].tail] = 0;
    return status;
}

static hs_status count_pairs(work *w, hs_error *err)
{
    const hs_graph *g = w->g;
    HS_TRY(build_groups(w, err));
    w->first_to = hs_calloc((size_t)g->entities.n + 1, sizeof *w->first_to);
    w->next_to = hs_alloc((g->n_facts + 1) * sizeof *w->next_to);
    if (w->first_to == NULL || w->next_to == NULL)
        return hs_fail_memory(err, (g->entities.n + g->n_facts) * sizeof *w->next_to);
    if (g->relations.n <= DENSE_RELATIONS)
        HS_TRY(make_dense(w, err));
    for (uint32_t t = 0; t < g->entities.n; t++)
        HS_TRY(count_tail(w, t, err));
    return HS_OK;
}

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

static hs_status fill_pairs(const work *w, hs_graph_stats *out, hs_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_pairs; i++)
        n += w->pairs[i].facts > 0;
    out->pair = hs_calloc(n + 1, sizeof *out->pair);
    if (out->pair == NULL)
        return hs_fail_memory(err, n * sizeof *out->pair);
    uint64_t top = 0;
    for (size_t i = 0; i < w->n_pairs; i++) {
        const pair *p = &w->pairs[i];
        if (p->facts == 0)
            continue;
        hs_pair_stats *s = &out->pair[out->n_pairs++];
        *s = (hs_pair_stats){.r1 = p->r1, .r2 = p->r2, .facts = p->facts, .top_tail = p->top_tail};
        s->majority = ratio(p->top, p->facts);
        s->informative = p->facts >= 20 && p->top * 5 <= p->facts;
        out->two_hop += p->facts;
        top += p->top;
    }
    out->majority = ratio(top, out->two_hop);
    qsort(out->pair, out->n_pairs, sizeof *out->pair, by_pair_facts);
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
    for (uint64_t i = 0; i < out->n_pairs; i++) {
        const hs_pair_stats *p = &out->pair[i];
        rel[p->r1].as_hop1 += p->facts;
        rel[p->r2].as_hop2 += p->facts;
        rel[p->r1].either += p->facts;
        if (p->r1 != p->r2)
            rel[p->r2].either += p->facts;
    }
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

/* Lemmas 1 and 2 of paper A for n = 2, with C(|V|, 3) 3! = |V| (|V| - 1) (|V| - 2). */
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

static hs_status compute(work *w, double threshold, hs_graph_stats *out, hs_error *err)
{
    const hs_graph *g = w->g;
    out->entities = g->entities.n;
    out->relations = g->relations.n;
    out->facts = g->n_facts;
    out->threshold = threshold;
    for (uint64_t i = 0; i < g->n_facts; i++)
        out->synthetic += (g->flags[i] & HS_FACT_SYNTHETIC) != 0;
    HS_TRY(count_pairs(w, err));
    HS_TRY(fill_pairs(w, out, err));
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
    work w = {.g = g};
    *out = (hs_graph_stats){0};
    hs_status status = compute(&w, threshold, out, err);
    free_work(&w);
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
