/* paths.c - enumerates the queries of one head.
 * A path is a chain of facts; a query is all paths with the same relations. In a functional graph each path is a query
 * of its own. The order depends on the graph alone: facts are sorted, and grouping sorts by relations, then by facts.
 */
#include "data/composition/paths.h"

#include <stdlib.h>
#include <string.h>

hs_status hs_query_list_init(hs_query_list *queries, uint64_t max_paths, bool multi, hs_error *err)
{
    *queries = (hs_query_list){0};
    uint64_t n = max_paths ? max_paths : 1;
    if (n >= UINT32_MAX)
        return hs_fail(err, HS_ERR_DATA, "one head has %llu paths, more than can be handled", (unsigned long long)n);
    queries->query = hs_alloc((size_t)n * sizeof *queries->query);
    queries->also = multi ? hs_alloc((size_t)n * sizeof *queries->also) : NULL;
    if (!queries->query || (multi && !queries->also)) {
        hs_query_list_free(queries);
        return hs_fail_memory(err, (size_t)n * sizeof *queries->query);
    }
    return HS_OK;
}

void hs_query_list_free(hs_query_list *queries)
{
    hs_free(queries->query);
    hs_free(queries->also);
    *queries = (hs_query_list){0};
}

uint64_t hs_paths_count(const hs_fact_table *table, uint32_t hops, uint64_t *counts, uint64_t *scratch)
{
    for (uint32_t e = 0; e < table->n_entities; e++)
        counts[e] = 1;
    for (uint32_t k = 0; k < hops; k++) {
        memcpy(scratch, counts, table->n_entities * sizeof *counts);
        for (uint32_t e = 0; e < table->n_entities; e++) {
            uint64_t sum = 0;
            for (uint32_t i = table->start[e]; i < table->start[e + 1]; i++)
                if (__builtin_add_overflow(sum, scratch[table->facts[i].tail], &sum))
                    return UINT64_MAX;
            counts[e] = sum;
        }
    }
    uint64_t total = 0;
    for (uint32_t e = 0; e < table->n_entities; e++)
        if (__builtin_add_overflow(total, counts[e], &total))
            return UINT64_MAX;
    return total;
}

static void push(hs_query_list *queries, const hs_fact_table *table, const uint32_t *edge, uint32_t hops)
{
    hs_query *q = &queries->query[queries->n++];
    memcpy(q->edge, edge, sizeof q->edge);
    q->also_first = q->n_also = 0;
    q->mask = 0;
    q->synthetic = q->restricted = q->mixed = false;
    for (uint32_t k = 0; k < hops; k++) {
        uint8_t flags = table->flags[edge[k]];
        q->mask |= (uint8_t)((flags & HS_FACT_OOD ? 1u : 0u) << k);
        q->synthetic |= (flags & HS_FACT_SYNTHETIC) != 0;
        q->restricted |= k > 0 && flags & HS_FACT_RESTRICTED;
    }
}

/* Is entity `tail` on the path already? */
static bool on_path(const hs_fact_table *table, const uint32_t *edge, uint32_t n, uint32_t tail)
{
    bool found = table->facts[edge[0]].head == tail;
    for (uint32_t k = 0; k < n; k++)
        found |= table->facts[edge[k]].tail == tail;
    return found;
}

/* Depth first over the facts, without recursion: at[k] is the next fact to try as hop k+1. */
static void all_paths(hs_query_list *queries, const hs_fact_table *table, uint32_t hops, uint32_t h)
{
    uint32_t edge[HS_MAX_HOPS] = {0}, at[HS_MAX_HOPS] = {table->start[h]}, end[HS_MAX_HOPS] = {table->start[h + 1]};
    for (uint32_t depth = 0; hops <= HS_MAX_HOPS;) {
        if (at[depth] == end[depth]) {
            if (depth == 0)
                return;
            depth--;
            continue;
        }
        uint32_t i = at[depth]++, tail = table->facts[i].tail;
        edge[depth] = i;
        if (!table->generated && (depth == 0 ? tail == h : on_path(table, edge, depth, tail)))
            continue;
        if (depth + 1 == hops) {
            push(queries, table, edge, hops);
            continue;
        }
        depth++;
        at[depth] = table->start[tail];
        end[depth] = table->start[tail + 1];
    }
}

typedef struct path_order {
    const hs_fact_table *table;
    uint32_t hops;
} path_order;

static int compare_paths(const void *a, const void *b, void *user)
{
    const path_order *o = user;
    const hs_query *x = a, *y = b;
    for (uint32_t k = 0; k < o->hops; k++) {
        uint32_t rx = o->table->facts[x->edge[k]].relation, ry = o->table->facts[y->edge[k]].relation;
        if (rx != ry)
            return rx < ry ? -1 : 1;
    }
    for (uint32_t k = 0; k < o->hops; k++)
        if (x->edge[k] != y->edge[k])
            return x->edge[k] < y->edge[k] ? -1 : 1;
    return 0;
}

static bool same_relations(const path_order *o, const hs_query *x, const hs_query *y)
{
    for (uint32_t k = 0; k < o->hops; k++)
        if (o->table->facts[x->edge[k]].relation != o->table->facts[y->edge[k]].relation)
            return false;
    return true;
}

/* Merge the paths of one query: first path of the group, all answers. */
static void merge(hs_query_list *queries, const path_order *o, uint32_t first, uint32_t last, uint32_t out)
{
    hs_query q = queries->query[first];
    uint32_t main_answer = o->table->facts[q.edge[o->hops - 1]].tail;
    q.also_first = queries->n_also;
    for (uint32_t i = first + 1; i < last; i++) {
        const hs_query *p = &queries->query[i];
        q.mixed |= p->mask != q.mask;
        q.synthetic |= p->synthetic;
        q.restricted |= p->restricted;
        uint32_t t = o->table->facts[p->edge[o->hops - 1]].tail;
        bool known = t == main_answer;
        for (uint32_t j = q.also_first; j < queries->n_also; j++)
            known |= queries->also[j] == t;
        if (!known)
            queries->also[queries->n_also++] = t;
    }
    q.n_also = queries->n_also - q.also_first;
    queries->query[out] = q;
}

void hs_queries_of_head(hs_query_list *queries, const hs_fact_table *table, uint32_t hops, uint32_t h)
{
    queries->n = queries->n_also = 0;
    all_paths(queries, table, hops, h);
    if (!table->multi || queries->n == 0)
        return;
    path_order order = {table, hops};
    qsort_r(queries->query, queries->n, sizeof *queries->query, compare_paths, &order);
    uint32_t out = 0;
    for (uint32_t i = 0, j; i < queries->n; i = j) {
        j = i + 1;
        while (j < queries->n && same_relations(&order, &queries->query[i], &queries->query[j]))
            j++;
        merge(queries, &order, i, j, out++);
    }
    queries->n = out;
}
