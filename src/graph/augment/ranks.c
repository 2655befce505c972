/* ranks.c - an order of entities for the acyclic rule.
 *
 * Every fact of g goes to the same or a higher rank, and the ends of a fact on a cycle of g share theirs. Tarjan's
 * strongly connected components, with an explicit stack; a component is finished after all that it leads to, so
 * counting down gives the order. A new fact goes strictly up, so no cycle can hold one.
 */
#include "graph/augment/planner.h"

typedef struct ranking {
    hs_plan *plan;
    uint32_t *index;        /* (entities) in order of discovery, 0 = not seen */
    uint32_t *low;          /* (entities) lowest index that can be reached */
    uint32_t *stack, *path; /* (entities) open components; the way to the entity at hand */
    uint32_t *order;        /* (entities) in which to begin */
    uint64_t *next;         /* (entities) fact to follow next */
    size_t n_stack, depth;
    uint32_t seen, finished;
} ranking;

static hs_status allocate(ranking *t, size_t n, hs_error *err)
{
    t->index = hs_calloc(n + 1, sizeof *t->index);
    t->low = hs_calloc(n + 1, sizeof *t->low);
    t->stack = hs_alloc((n + 1) * sizeof *t->stack);
    t->path = hs_alloc((n + 1) * sizeof *t->path);
    t->order = hs_alloc((n + 1) * sizeof *t->order);
    t->next = hs_alloc((n + 1) * sizeof *t->next);
    if (!t->index || !t->low || !t->stack || !t->path || !t->order || !t->next)
        return hs_fail_memory(err, n * sizeof *t->next);
    return HS_OK;
}

/* One step from the entity at the end of the path: down a fact, or back up when all are followed. */
static void step(ranking *t)
{
    const hs_graph *g = t->plan->g;
    hs_plan_entity *entity = t->plan->entity;
    uint32_t e = t->path[t->depth - 1];
    if (t->index[e] == 0) {
        t->index[e] = t->low[e] = ++t->seen;
        t->next[e] = g->out_start[e];
        t->stack[t->n_stack++] = e;
    }
    if (t->next[e] < g->out_start[e + 1]) {
        uint32_t to = g->facts[t->next[e]++].tail;
        if (t->index[to] == 0)
            t->path[t->depth++] = to;
        else if (entity[to].rank == 0 && t->index[to] < t->low[e])
            t->low[e] = t->index[to];
        return;
    }
    t->depth--;
    if (t->depth > 0 && t->low[e] < t->low[t->path[t->depth - 1]])
        t->low[t->path[t->depth - 1]] = t->low[e];
    if (t->low[e] != t->index[e])
        return;
    while (entity[e].rank == 0)
        entity[t->stack[--t->n_stack]].rank = t->finished;
    t->finished--;
}

hs_status hs_plan_rank(hs_plan *plan, hs_error *err)
{
    size_t n = plan->g->entities.n;
    ranking t = {.plan = plan, .finished = (uint32_t)n};
    hs_status status = allocate(&t, n, err);
    for (uint32_t e = 0; status == HS_OK && e < n; e++)
        t.order[e] = e;
    if (status == HS_OK) {
        hs_rng rng; /* unrelated parts of the graph come in random order, so that none is always below */
        hs_rng_init(&rng, plan->options->seed, HS_PURPOSE('g', 'a', 'r', 'k'), 0, 0);
        hs_rng_shuffle_u32(&rng, t.order, n);
    }
    for (size_t k = 0; status == HS_OK && k < n; k++) {
        if (t.index[t.order[k]] != 0)
            continue;
        t.path[t.depth++] = t.order[k];
        while (t.depth > 0)
            step(&t);
    }
    hs_free(t.index);
    hs_free(t.low);
    hs_free(t.stack);
    hs_free(t.path);
    hs_free(t.order);
    hs_free(t.next);
    return status;
}
