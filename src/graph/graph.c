/* graph.c - atomic facts and their index (CSR) both ways.
 *
 * Facts are collected in any order by hs_graph_add and put in order by hs_graph_index: three stable counting-sort
 * passes (tail, relation, head), so that indexing is linear in facts and entities whatever the degrees are. Equal facts
 * become one; it is synthetic only if every copy was. Adding to an indexed graph is allowed; the index is then out of
 * date until hs_graph_index is called again.
 */
#include "hopscope/graph.h"

#include <assert.h>
#include <string.h>

hs_status hs_graph_add_ids(hs_graph *g, hs_fact fact, uint8_t flags, hs_error *err)
{
    assert(fact.head < g->entities.n && fact.tail < g->entities.n && fact.relation < g->relations.n);
    if (g->n_facts == g->cap_facts) {
        uint64_t cap = g->cap_facts == 0 ? 256 : g->cap_facts * 2;
        hs_fact *facts = hs_realloc(g->facts, g->cap_facts * sizeof *facts, cap * sizeof *facts);
        if (facts == NULL)
            return hs_fail_memory(err, cap * sizeof *facts);
        g->facts = facts;
        uint8_t *all_flags = hs_realloc(g->flags, g->cap_facts, cap);
        if (all_flags == NULL) /* `facts` stays larger than its known capacity, which is safe */
            return hs_fail_memory(err, cap);
        g->flags = all_flags;
        g->cap_facts = cap;
    }
    g->facts[g->n_facts] = fact;
    g->flags[g->n_facts] = flags;
    g->n_facts++;
    return HS_OK;
}

hs_status hs_graph_add(hs_graph *g, const char *head, const char *relation, const char *tail, hs_error *err)
{
    hs_fact fact;
    HS_TRY(hs_names_add(&g->entities, head, strlen(head), &fact.head, err));
    HS_TRY(hs_names_add(&g->relations, relation, strlen(relation), &fact.relation, err));
    HS_TRY(hs_names_add(&g->entities, tail, strlen(tail), &fact.tail, err));
    return hs_graph_add_ids(g, fact, 0, err);
}

static uint32_t fact_key(const hs_fact *fact, int field)
{
    return field == 0 ? fact->head : field == 1 ? fact->relation : fact->tail;
}

/* One stable pass: from -> to by one field. `count` has n_keys + 1 zeroed places. */
static void counting_pass(const hs_fact *from, const uint8_t *from_flags, hs_fact *to, uint8_t *to_flags, uint64_t n,
                          int field, uint64_t *count, uint64_t n_keys)
{
    for (uint64_t i = 0; i < n; i++)
        count[fact_key(&from[i], field) + 1]++;
    for (uint64_t k = 0; k < n_keys; k++)
        count[k + 1] += count[k];
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = count[fact_key(&from[i], field)]++;
        to[at] = from[i];
        to_flags[at] = from_flags[i];
    }
}

int hs_fact_compare(const void *a, const void *b)
{
    const hs_fact *x = a, *y = b;
    if (x->head != y->head)
        return x->head < y->head ? -1 : 1;
    if (x->relation != y->relation)
        return x->relation < y->relation ? -1 : 1;
    return x->tail < y->tail ? -1 : x->tail > y->tail;
}

static bool is_sorted(const hs_graph *g)
{
    for (uint64_t i = 1; i < g->n_facts; i++)
        if (hs_fact_compare(&g->facts[i - 1], &g->facts[i]) >= 0)
            return false;
    return true;
}

static hs_status sort_facts(hs_graph *g, hs_error *err)
{
    uint64_t n = g->n_facts;
    uint64_t n_keys = g->entities.n > g->relations.n ? g->entities.n : g->relations.n;
    hs_fact *facts = hs_alloc(n * sizeof *facts);
    uint8_t *flags = hs_alloc(n);
    uint64_t *count = hs_alloc((n_keys + 1) * sizeof *count);
    if (facts == NULL || flags == NULL || count == NULL) {
        hs_free(facts);
        hs_free(flags);
        hs_free(count);
        return hs_fail_memory(err, n * (sizeof *facts + 1) + (n_keys + 1) * sizeof *count);
    }
    memset(count, 0, (n_keys + 1) * sizeof *count);
    counting_pass(g->facts, g->flags, facts, flags, n, 2, count, g->entities.n);
    memset(count, 0, (n_keys + 1) * sizeof *count);
    counting_pass(facts, flags, g->facts, g->flags, n, 1, count, g->relations.n);
    memset(count, 0, (n_keys + 1) * sizeof *count);
    counting_pass(g->facts, g->flags, facts, flags, n, 0, count, g->entities.n);
    hs_free(count);
    hs_free(g->facts);
    hs_free(g->flags);
    g->facts = facts;
    g->flags = flags;
    g->cap_facts = n;
    return HS_OK;
}

static void drop_duplicates(hs_graph *g)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < g->n_facts; i++) {
        if (kept > 0 && hs_fact_compare(&g->facts[kept - 1], &g->facts[i]) >= 0) {
            g->flags[kept - 1] &= g->flags[i];
            g->n_duplicates++;
            continue;
        }
        g->facts[kept] = g->facts[i];
        g->flags[kept] = g->flags[i];
        kept++;
    }
    g->n_facts = kept;
}

static hs_status build_csr(hs_graph *g, hs_error *err)
{
    uint64_t n = g->n_facts, entities = g->entities.n;
    g->out_start = hs_calloc(entities + 1, sizeof *g->out_start);
    g->in_start = hs_calloc(entities + 2, sizeof *g->in_start);
    g->in_fact = hs_alloc((n + 1) * sizeof *g->in_fact);
    if (g->out_start == NULL || g->in_start == NULL || g->in_fact == NULL)
        return hs_fail_memory(err, (n + 2 * entities + 4) * sizeof *g->in_fact);
    /* in_start is filled one place to the right, so that handing out places leaves it right in the end. */
    for (uint64_t i = 0; i < n; i++) {
        g->out_start[g->facts[i].head + 1]++;
        g->in_start[g->facts[i].tail + 2]++;
    }
    for (uint64_t e = 0; e < entities; e++) {
        g->out_start[e + 1] += g->out_start[e];
        g->in_start[e + 2] += g->in_start[e + 1];
    }
    for (uint64_t i = 0; i < n; i++)
        g->in_fact[g->in_start[g->facts[i].tail + 1]++] = i;
    return HS_OK;
}

hs_status hs_graph_index(hs_graph *g, hs_error *err)
{
    hs_free(g->out_start);
    hs_free(g->in_start);
    hs_free(g->in_fact);
    g->out_start = g->in_start = g->in_fact = NULL;
    if (g->n_facts > 0 && !is_sorted(g)) {
        HS_TRY(sort_facts(g, err));
        drop_duplicates(g);
    }
    return build_csr(g, err);
}

static hs_status copy_names(const hs_names *from, hs_names *to, hs_error *err)
{
    uint32_t id;
    for (uint32_t i = 0; i < from->n; i++) {
        const char *name = hs_names_get(from, i);
        HS_TRY(hs_names_add(to, name, strlen(name), &id, err));
    }
    return HS_OK;
}

hs_status hs_graph_copy_names(const hs_graph *g, hs_graph *out, hs_error *err)
{
    HS_TRY(copy_names(&g->entities, &out->entities, err));
    return copy_names(&g->relations, &out->relations, err);
}

hs_status hs_graph_copy(const hs_graph *g, hs_graph *out, hs_error *err)
{
    HS_TRY(hs_graph_copy_names(g, out, err));
    for (uint64_t i = 0; i < g->n_facts; i++)
        HS_TRY(hs_graph_add_ids(out, g->facts[i], g->flags[i], err));
    return HS_OK;
}

void hs_graph_free(hs_graph *g)
{
    if (g == NULL)
        return;
    hs_names_free(&g->entities);
    hs_names_free(&g->relations);
    hs_free(g->facts);
    hs_free(g->flags);
    hs_free(g->out_start);
    hs_free(g->in_start);
    hs_free(g->in_fact);
    *g = (hs_graph){0};
}

/* First index in [first, last) whose relation is at least `relation`. */
static uint64_t lower_bound(const hs_graph *g, uint64_t first, uint64_t last, uint64_t relation)
{
    while (first < last) {
        uint64_t middle = first + (last - first) / 2;
        if (g->facts[middle].relation < relation)
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

void hs_graph_out(const hs_graph *g, uint32_t head, uint32_t relation, uint64_t *first, uint64_t *last)
{
    *first = *last = 0;
    if (head >= g->entities.n)
        return;
    uint64_t end = g->out_start[head + 1];
    *first = lower_bound(g, g->out_start[head], end, relation);
    *last = lower_bound(g, *first, end, (uint64_t)relation + 1);
}

uint64_t hs_graph_find(const hs_graph *g, hs_fact fact)
{
    uint64_t first, last;
    hs_graph_out(g, fact.head, fact.relation, &first, &last);
    uint64_t end = last;
    while (first < last) {
        uint64_t middle = first + (last - first) / 2;
        if (g->facts[middle].tail < fact.tail)
            first = middle + 1;
        else
            last = middle;
    }
    return first < end && g->facts[first].tail == fact.tail ? first : HS_NO_FACT;
}

hs_status hs_graph_two_hops(const hs_graph *g, hs_hop_fn fn, void *ctx)
{
    for (uint64_t i = 0; i < g->n_facts; i++) {
        uint32_t head = g->facts[i].head, bridge = g->facts[i].tail;
        if (head == bridge)
            continue;
        for (uint64_t j = g->out_start[bridge]; j < g->out_start[bridge + 1]; j++) {
            uint32_t tail = g->facts[j].tail;
            if (tail == bridge || tail == head)
                continue;
            HS_TRY(fn(ctx, g, i, j));
        }
    }
    return HS_OK;
}
