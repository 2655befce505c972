/* cover.c - every hop of a held-out II query is used, in the same place, by some training query.
 * Where (head, relation) has several tails, a query's hops are the facts of all its paths.
 * Held-out queries are looked at in the order of their random keys. One whose hops are used already stays; another goes
 * back to training when all queries are wanted (phi = 0), where it covers its own hops for the following ones, and is
 * dropped when phi fixes the number of training queries. Use only grows, so what stays is covered at the end. */
#include "data/composition/composition.h"

#include <stdlib.h>
#include <string.h>

typedef struct held_out {
    uint32_t key;
    uint32_t edge[HS_MAX_HOPS];
    uint64_t at;
} held_out;

static int by_key(const void *a, const void *b)
{
    const held_out *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Are the facts of all paths of the query used in their places? With `mark` they become it. edge[0..place) is the path
 * so far. A fact of a path that leads nowhere, or back, is none of the query. */
static bool paths_used(const hs_fact_table *table, const uint32_t *relation, uint32_t hops, uint32_t place,
                       uint32_t *edge, uint8_t *used, bool mark)
{
    bool all = true;
    if (place >= hops || place >= HS_MAX_HOPS) {
        for (uint32_t k = 0; k < hops; k++) {
            if (mark)
                used[edge[k]] |= (uint8_t)(1u << k);
            all &= used[edge[k]] >> k & 1;
        }
        return all;
    }
    uint32_t entity = table->facts[edge[place - 1]].tail;
    for (uint32_t i = table->start[entity]; i < table->start[entity + 1] && (all || mark); i++) {
        bool back = table->facts[i].tail == table->facts[edge[0]].head;
        for (uint32_t k = 0; k < place; k++)
            back |= table->facts[i].tail == table->facts[edge[k]].tail;
        if (back || table->facts[i].relation != relation[place])
            continue;
        edge[place] = i;
        all &= paths_used(table, relation, hops, place + 1, edge, used, mark);
    }
    return all;
}

/* The same for the query that `path` is one of. */
static bool is_used(const hs_fact_table *table, const uint32_t *path, uint32_t hops, uint8_t *used, bool mark)
{
    uint32_t relation[HS_MAX_HOPS] = {0}, edge[HS_MAX_HOPS] = {0};
    memcpy(edge, path, hops * sizeof *edge);
    if (!table->multi)
        return paths_used(table, relation, hops, hops, edge, used, mark);
    for (uint32_t k = 0; k < hops; k++)
        relation[k] = table->facts[path[k]].relation;
    uint32_t head = table->facts[path[0]].head;
    bool all = true;
    for (uint32_t i = table->start[head]; i < table->start[head + 1]; i++) {
        if (table->facts[i].relation != relation[0] || table->facts[i].tail == head)
            continue;
        edge[0] = i;
        all &= paths_used(table, relation, hops, 1, edge, used, mark);
    }
    return all;
}

/* Marks the facts that training uses at each hop place, and lists the held-out queries. */
static void scan(hs_composition *c, uint8_t *used, held_out *list, uint64_t *n)
{
    hs_query_list *queries = &c->queries[0];
    for (uint32_t h = 0; h < c->table.n_entities; h++) {
        hs_queries_of_head(queries, &c->table, c->hops, h);
        for (uint32_t i = 0; i < queries->n; i++) {
            uint64_t at = c->first[h] + i;
            if (c->cat[at] == HS_CAT_TRAIN) {
                is_used(&c->table, queries->query[i].edge, c->hops, used, true);
            } else if (c->cat[at] == HS_CAT_TEST) {
                list[*n].key = c->key[at];
                list[*n].at = at;
                memcpy(list[*n].edge, queries->query[i].edge, sizeof list[*n].edge);
                ++*n;
            }
        }
    }
}

hs_status hs_composition_cover(hs_composition *c, hs_error *err)
{
    uint64_t n = 0, total = 0;
    for (uint64_t i = 0; i < c->first[c->table.n_entities]; i++)
        total += c->cat[i] == HS_CAT_TEST;
    held_out *list = hs_alloc((size_t)(total ? total : 1) * sizeof *list);
    uint8_t *used = hs_calloc(c->table.n_facts, 1);
    if (!list || !used) {
        hs_free(list);
        hs_free(used);
        return hs_fail_memory(err, (size_t)total * sizeof *list);
    }
    scan(c, used, list, &n);
    qsort(list, (size_t)n, sizeof *list, by_key);
    for (uint64_t i = 0; i < n; i++) {
        if (is_used(&c->table, list[i].edge, c->hops, used, false))
            continue;
        bool back = c->config->phi == 0 || c->config->quirk_float_phi;
        c->cat[list[i].at] = back ? HS_CAT_TRAIN : HS_CAT_NONE;
        if (back)
            is_used(&c->table, list[i].edge, c->hops, used, true);
    }
    hs_free(list);
    hs_free(used);
    return HS_OK;
}
