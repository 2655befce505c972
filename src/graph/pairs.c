/* pairs.c - two-hop facts of every relation pair, without walking them one by one.
 *
 * A two-hop fact (h, r1, b, r2, t) is trivial when b == h, b == t or t == h. Leaving out facts with head == tail
 * removes the first two kinds. For the tail t and a fact (b, r2, t), the first hops are the facts that arrive at b; of
 * each relation r1 there are as many as arrive at b, less those that leave t (the third kind). So the work is one step
 * for each fact and each relation that arrives at its head, plus one for each pair of opposite facts. Going through the
 * facts by second relation, then tail, needs counters for one second relation only, and gives the commonest tail of
 * each pair on the way. tests/graph/test_stats.c compares all of it with a plain walk.
 */
#include "graph/pairs.h"

#include <stdlib.h>

enum { AHEAD = 8 }; /* facts looked ahead, so that memory answers in time */

typedef struct group {
    uint32_t relation;
    uint32_t facts;
} group;

typedef struct work {
    const hs_graph *g;
    /* Facts that arrive at entity e, head != tail, by relation: group[group_start[e]..group_start[e+1]] */
    uint64_t *group_start;
    group *groups;
    uint64_t *relation_start; /* (relations + 1) into by_tail */
    uint64_t *by_tail;        /* (n_facts) facts by relation, then tail */
    uint64_t *opposite;       /* (n_facts) of (b, r, t): chain of the facts from t to b; index + 1 */
    uint64_t *next_to;        /* (n_facts) next of the chain; index + 1 */
    uint64_t *first_to;       /* (entities) scratch */
    uint64_t *here;           /* (relations) two-hop facts with the second hop's tail at hand, by first relation */
    uint32_t *touched;        /* (relations) those of them that are counted */
    uint32_t *used;           /* (relations) first relations of the second relation at hand */
    hs_pair_count *count;     /* (relations) by first relation */
    hs_pair_count *pair;      /* (relations) those of `used`, in order */
} work;

static void free_work(work *w)
{
    hs_free(w->group_start);
    hs_free(w->groups);
    hs_free(w->relation_start);
    hs_free(w->by_tail);
    hs_free(w->opposite);
    hs_free(w->next_to);
    hs_free(w->first_to);
    hs_free(w->here);
    hs_free(w->touched);
    hs_free(w->used);
    hs_free(w->count);
    hs_free(w->pair);
}

static hs_status allocate(work *w, hs_error *err)
{
    size_t facts = w->g->n_facts + 1, entities = (size_t)w->g->entities.n + 2,
           relations = (size_t)w->g->relations.n + 2;
    w->group_start = hs_alloc(entities * sizeof *w->group_start);
    w->groups = hs_alloc(facts * sizeof *w->groups);
    w->relation_start = hs_calloc(relations, sizeof *w->relation_start);
    w->by_tail = hs_alloc(facts * sizeof *w->by_tail);
    w->opposite = hs_calloc(facts, sizeof *w->opposite);
    w->next_to = hs_alloc(facts * sizeof *w->next_to);
    w->first_to = hs_calloc(entities, sizeof *w->first_to);
    w->here = hs_calloc(relations, sizeof *w->here);
    w->touched = hs_alloc(relations * sizeof *w->touched);
    w->used = hs_alloc(relations * sizeof *w->used);
    w->count = hs_calloc(relations, sizeof *w->count);
    w->pair = hs_alloc(relations * sizeof *w->pair);
    if (!w->group_start || !w->groups || !w->relation_start || !w->by_tail || !w->opposite || !w->next_to ||
        !w->first_to || !w->here || !w->touched || !w->used || !w->count || !w->pair)
        return hs_fail_memory(err, 4 * facts * sizeof *w->by_tail + relations * 2 * sizeof *w->count);
    return HS_OK;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* ---------------------------------------------------------------- preparation */

static void build_groups(work *w)
{
    const hs_graph *g = w->g;
    uint64_t n = 0;
    for (uint32_t e = 0; e < g->entities.n; e++) {
        w->group_start[e] = n;
        uint32_t n_used = 0;
        for (uint64_t i = g->in_start[e]; i < g->in_start[e + 1]; i++) {
            const hs_fact *fact = &g->facts[g->in_fact[i]];
            if (fact->head != e && w->here[fact->relation]++ == 0)
                w->used[n_used++] = fact->relation;
        }
        qsort(w->used, n_used, sizeof *w->used, compare_u32);
        for (uint32_t k = 0; k < n_used; k++) {
            w->groups[n++] = (group){w->used[k], (uint32_t)w->here[w->used[k]]};
            w->here[w->used[k]] = 0;
        }
    }
    w->group_start[g->entities.n] = n;
}

/* in_fact is in order of tails already: one stable counting pass by relation. */
static void sort_by_relation(work *w)
{
    const hs_graph *g = w->g;
    for (uint64_t i = 0; i < g->n_facts; i++)
        w->relation_start[g->facts[i].relation + 2]++;
    for (uint32_t r = 0; r < g->relations.n; r++)
        w->relation_start[r + 1] += w->relation_start[r];
    for (uint64_t i = 0; i < g->n_facts; i++)
        w->by_tail[w->relation_start[g->facts[g->in_fact[i]].relation + 1]++] = g->in_fact[i];
}

static void find_opposites(work *w)
{
    const hs_graph *g = w->g;
    for (uint32_t t = 0; t < g->entities.n; t++) {
        if (g->out_start[t] == g->out_start[t + 1] || g->in_start[t] == g->in_start[t + 1])
            continue;
        for (uint64_t i = g->out_start[t]; i < g->out_start[t + 1]; i++) {
            uint32_t to = g->facts[i].tail;
            w->next_to[i] = w->first_to[to];
            if (to != t)
                w->first_to[to] = i + 1;
        }
        for (uint64_t i = g->in_start[t]; i < g->in_start[t + 1]; i++)
            w->opposite[g->in_fact[i]] = w->first_to[g->facts[g->in_fact[i]].head];
        for (uint64_t i = g->out_start[t]; i < g->out_start[t + 1]; i++)
            w->first_to[g->facts[i].tail] = 0;
    }
}

/* ---------------------------------------------------------------- counting */

/* First hops of fact j as second hop, trivial ones with the tail itself as head included. */
static void add_first_hops(work *w, uint64_t j, size_t *n_touched)
{
    uint32_t b = w->g->facts[j].head;
    for (uint64_t k = w->group_start[b]; k < w->group_start[b + 1]; k++) {
        uint32_t r1 = w->groups[k].relation;
        if (w->here[r1] == 0)
            w->touched[(*n_touched)++] = r1;
        w->here[r1] += w->groups[k].facts;
    }
}

/* Less those that come from the tail. Each was added before, so nothing goes below zero. */
static void take_opposites(work *w, uint64_t j)
{
    for (uint64_t i = w->opposite[j]; i != 0; i = w->next_to[i - 1])
        w->here[w->g->facts[i - 1].relation]--;
}

static void end_tail(work *w, uint32_t t, size_t n_touched, size_t *n_used)
{
    for (size_t k = 0; k < n_touched; k++) {
        uint32_t r1 = w->touched[k];
        hs_pair_count *p = &w->count[r1];
        uint64_t here = w->here[r1];
        w->here[r1] = 0;
        if (here > 0 && p->facts == 0)
            w->used[(*n_used)++] = r1;
        p->facts += here;
        if (here > p->top) {
            p->top = here;
            p->top_tail = t;
        }
    }
}

/* Counts the pairs of r2 into w->pair; gives their number. */
static size_t count_relation(work *w, uint32_t r2)
{
    const hs_graph *g = w->g;
    uint64_t last = w->relation_start[r2 + 1];
    size_t n_used = 0;
    for (uint64_t i = w->relation_start[r2]; i < last;) {
        uint32_t t = g->facts[w->by_tail[i]].tail;
        uint64_t first = i;
        size_t n_touched = 0;
        for (; i < last && g->facts[w->by_tail[i]].tail == t; i++) {
            if (i + 2 * AHEAD < last)
                __builtin_prefetch(&g->facts[w->by_tail[i + 2 * AHEAD]]);
            if (i + AHEAD < last)
                __builtin_prefetch(&w->group_start[g->facts[w->by_tail[i + AHEAD]].head]);
            if (i + AHEAD / 2 < last)
                __builtin_prefetch(&w->groups[w->group_start[g->facts[w->by_tail[i + AHEAD / 2]].head]]);
            if (g->facts[w->by_tail[i]].head != t)
                add_first_hops(w, w->by_tail[i], &n_touched);
        }
        /* After all were added: so a relation is touched once. */
        for (uint64_t k = first; k < i; k++)
            take_opposites(w, w->by_tail[k]);
        end_tail(w, t, n_touched, &n_used);
    }
    if (n_used > 1)
        qsort(w->used, n_used, sizeof *w->used, compare_u32);
    for (size_t k = 0; k < n_used; k++) {
        w->pair[k] = w->count[w->used[k]];
        w->pair[k].r1 = w->used[k];
        w->count[w->used[k]] = (hs_pair_count){0};
    }
    return n_used;
}

hs_status hs_graph_each_pair(const hs_graph *g, hs_pairs_fn fn, void *ctx, hs_error *err)
{
    work w = {.g = g};
    hs_status status = allocate(&w, err);
    if (status == HS_OK) {
        build_groups(&w);
        sort_by_relation(&w);
        find_opposites(&w);
    }
    for (uint32_t r2 = 0; status == HS_OK && r2 < g->relations.n; r2++) {
        hs_pairs pairs = {.r2 = r2, .pair = w.pair};
        pairs.fact = w.by_tail + w.relation_start[r2];
        pairs.n_facts = w.relation_start[r2 + 1] - w.relation_start[r2];
        pairs.n_pairs = count_relation(&w, r2);
        status = fn(ctx, &pairs, err);
    }
    free_work(&w);
    return status;
}
