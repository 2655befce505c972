/* paths.c - enumerates the queries of one head.
 * A path is a chain of facts; a query is all paths with the same relations. In a functional graph each path is a query
 * of its own. The order depends on the graph alone: facts are sorted, and grouping sorts by relations, then by facts.
 */
#include "data/composition/paths.h"

#include <stdlib.h>
#include <string.h>

hs_status hs_walk_init(hs_walk *walk, uint64_t max_paths, bool multi, hs_error *err)
{
    *walk = (hs_walk){0};
    uint64_t n = max_paths ? max_paths : 1;
    if (n >= UINT32_MAX)
        return hs_fail(err, HS_ERR_DATA, "one head has %llu paths, more than can be handled", (unsigned long long)n);
    walk->query = hs_alloc((size_t)n * sizeof *walk->query);
    walk->also = multi ? hs_alloc((size_t)n * sizeof *walk->also) : NULL;
    if (!walk->query || (multi && !walk->also)) {
        hs_walk_free(walk);
        return hs_fail_memory(err, (size_t)n * sizeof *walk->query);
    }
    return HS_OK;
}

void hs_walk_free(hs_walk *walk)
{
    hs_free(walk->query);
    hs_free(walk->also);
    *walk = (hs_walk){0};
}

uint64_t hs_walk_count(const hs_kg *kg, uint32_t hops, uint64_t *counts, uint64_t *scratch)
{
    for (uint32_t e = 0; e < kg->n_entities; e++)
        counts[e] = 1;
    for (uint32_t k = 0; k < hops; k++) {
        memcpy(scratch, counts, kg->n_entities * sizeof *counts);
        for (uint32_t e = 0; e < kg->n_entities; e++) {
            uint64_t sum = 0;
            for (uint32_t i = kg->start[e]; i < kg->start[e + 1]; i++)
                if (__builtin_add_overflow(sum, scratch[kg->facts[i].tail], &sum))
                    return UINT64_MAX;
            counts[e] = sum;
        }
    }
    uint64_t total = 0;
    for (uint32_t e = 0; e < kg->n_entities; e++)
        if (__builtin_add_overflow(total, counts[e], &total))
            return UINT64_MAX;
    return total;
}

static void push(hs_walk *walk, const hs_kg *kg, const uint32_t *edge, uint32_t hops, bool trivial)
{
    hs_query *q = &walk->query[walk->n++];
    memcpy(q->edge, edge, sizeof q->edge);
    q->also_first = q->n_also = 0;
    q->mask = 0;
    q->synthetic = q->restricted = q->mixed = false;
    q->trivial = trivial;
    for (uint32_t k = 0; k < hops; k++) {
        uint8_t flags = kg->flags[edge[k]];
        q->mask |= (uint8_t)((flags & HS_FACT_OOD ? 1u : 0u) << k);
        q->synthetic |= (flags & HS_FACT_SYNTHETIC) != 0;
        q->restricted |= k > 0 && flags & HS_KG_RESTRICTED;
    }
}

/* Is entity `tail` on the path already? */
static bool on_path(const hs_kg *kg, const uint32_t *edge, uint32_t n, uint32_t tail)
{
    bool found = kg->facts[edge[0]].head == tail;
    for (uint32_t k = 0; k < n; k++)
        found |= kg->facts[edge[k]].tail == tail;
    return found;
}

/* Depth first over the facts, without recursion: at[k] is the next fact to try as hop k+1. */
static void all_paths(hs_walk *walk, const hs_kg *kg, uint32_t hops, uint32_t h)
{
    uint32_t edge[HS_MAX_HOPS] = {0}, at[HS_MAX_HOPS] = {kg->start[h]}, end[HS_MAX_HOPS] = {kg->start[h + 1]};
    bool trivial[HS_MAX_HOPS + 1] = {false};
    for (uint32_t depth = 0; hops <= HS_MAX_HOPS;) {
        if (at[depth] == end[depth]) {
            if (depth == 0)
                return;
            depth--;
            continue;
        }
        uint32_t i = at[depth]++, tail = kg->facts[i].tail;
        edge[depth] = i;
        trivial[depth + 1] = trivial[depth];
        if (!kg->generated)
            trivial[depth + 1] |= depth == 0 ? tail == h : on_path(kg, edge, depth, tail);
        if (trivial[depth + 1] && !kg->multi) /* with several answers a trivial path may still lead to a right one */
            continue;
        if (depth + 1 == hops) {
            push(walk, kg, edge, hops, trivial[depth + 1]);
            continue;
        }
        depth++;
        at[depth] = kg->start[tail];
        end[depth] = kg->start[tail + 1];
    }
}

typedef struct path_order {
    const hs_kg *kg;
    uint32_t hops;
} path_order;

static int compare_paths(const void *a, const void *b, void *user)
{
    const path_order *o = user;
    const hs_query *x = a, *y = b;
    for (uint32_t k = 0; k < o->hops; k++) {
        uint32_t rx = o->kg->facts[x->edge[k]].relation, ry = o->kg->facts[y->edge[k]].relation;
        if (rx != ry)
            return rx < ry ? -1 : 1;
    }
    if (x->trivial != y->trivial) /* the representative comes first */
        return x->trivial ? 1 : -1;
    for (uint32_t k = 0; k < o->hops; k++)
        if (x->edge[k] != y->edge[k])
            return x->edge[k] < y->edge[k] ? -1 : 1;
    return 0;
}

static bool same_relations(const path_order *o, const hs_query *x, const hs_query *y)
{
    for (uint32_t k = 0; k < o->hops; k++)
        if (o->kg->facts[x->edge[k]].relation != o->kg->facts[y->edge[k]].relation)
            return false;
    return true;
}

/* Merge the paths of one query: first path of the group, all answers. */
static void merge(hs_walk *walk, const path_order *o, uint32_t first, uint32_t last, uint32_t out)
{
    hs_query q = walk->query[first];
    uint32_t main_answer = o->kg->facts[q.edge[o->hops - 1]].tail;
    q.also_first = walk->n_also;
    for (uint32_t i = first + 1; i < last; i++) {
        const hs_query *p = &walk->query[i];
        q.mixed |= p->mask != q.mask;
        q.synthetic |= p->synthetic;
        q.restricted |= p->restricted;
        uint32_t t = o->kg->facts[p->edge[o->hops - 1]].tail;
        bool known = t == main_answer;
        for (uint32_t j = q.also_first; j < walk->n_also; j++)
            known |= walk->also[j] == t;
        if (!known)
            walk->also[walk->n_also++] = t;
    }
    q.n_also = walk->n_also - q.also_first;
    walk->query[out] = q;
}

void hs_walk_head(hs_walk *walk, const hs_kg *kg, uint32_t hops, uint32_t h)
{
    walk->n = walk->n_also = 0;
    all_paths(walk, kg, hops, h);
    if (!kg->multi || walk->n == 0)
        return;
    path_order order = {kg, hops};
    qsort_r(walk->query, walk->n, sizeof *walk->query, compare_paths, &order);
    uint32_t out = 0;
    for (uint32_t i = 0, j; i < walk->n; i = j) {
        j = i + 1;
        while (j < walk->n && same_relations(&order, &walk->query[i], &walk->query[j]))
            j++;
        if (!walk->query[i].trivial)
            merge(walk, &order, i, j, out++);
    }
    walk->n = out;
}
