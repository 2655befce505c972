/* places.c - who may stand where: kinds of entities, found from the places that entities share in the relations of g.
 */
#include "graph/augment/planner.h"

#include <string.h>

/* The places of every entity in g, without repeats. */
static hs_status list_places(hs_plan *plan, hs_error *err)
{
    const hs_graph *g = plan->g;
    uint32_t *last = hs_calloc(2 * (size_t)g->relations.n + 1, sizeof *last); /* last entity seen at a place, + 1 */
    plan->place_start = hs_alloc(((size_t)g->entities.n + 1) * sizeof *plan->place_start);
    plan->place = hs_alloc((2 * g->n_facts + 1) * sizeof *plan->place);
    if (last == NULL || plan->place_start == NULL || plan->place == NULL) {
        hs_free(last);
        return hs_fail_memory(err, 2 * g->n_facts * sizeof *plan->place);
    }
    uint64_t n = 0;
    for (uint32_t e = 0; e < g->entities.n; e++) {
        plan->place_start[e] = n;
        for (uint64_t i = g->out_start[e]; i < g->out_start[e + 1]; i++) {
            uint32_t s = 2 * g->facts[i].relation;
            if (last[s] != e + 1)
                plan->place[n++] = s;
            last[s] = e + 1;
        }
        for (uint64_t i = g->in_start[e]; i < g->in_start[e + 1]; i++) {
            uint32_t s = 2 * g->facts[g->in_fact[i]].relation + 1;
            if (last[s] != e + 1)
                plan->place[n++] = s;
            last[s] = e + 1;
        }
    }
    plan->place_start[g->entities.n] = n;
    hs_free(last);
    return HS_OK;
}

static size_t kind_of(uint32_t *kind, size_t s)
{
    while (kind[s] != s)
        s = kind[s] = kind[kind[s]];
    return s;
}

/* Places of one kind: two places are joined when at least a tenth of the smaller of their sets of entities stands at
 * both (a few wrong facts do not join films and people), and so on from place to place. */
static void find_kinds(const uint32_t *both, size_t places, uint32_t *kind)
{
    for (size_t s = 0; s < places; s++)
        kind[s] = (uint32_t)s;
    for (size_t s = 0; s < places; s++) {
        for (size_t t = 0; t < s; t++) {
            uint64_t size = both[s * places + s], other = both[t * places + t], shared = both[s * places + t];
            if (shared > 0 && shared * 10 >= (size < other ? size : other))
                kind[kind_of(kind, s)] = (uint32_t)kind_of(kind, t);
        }
    }
}

/* An entity at place s may stand at place 2 r + side when the two are of one kind; strictly, only when they are the
 * same. */
static void relate_side(const hs_plan *plan, uint32_t *kind, uint32_t side, bool strict, uint64_t *rows)
{
    size_t relations = plan->g->relations.n;
    for (size_t s = 0; s < 2 * relations; s++) {
        for (size_t r = 0; r < relations; r++) {
            size_t to = 2 * r + side;
            if (strict ? s == to : kind_of(kind, s) == kind_of(kind, to))
                rows[s * plan->words + r / 64] |= UINT64_C(1) << (r % 64);
        }
    }
}

static hs_status relate_places(hs_plan *plan, hs_error *err)
{
    const hs_graph *g = plan->g;
    size_t places = 2 * (size_t)g->relations.n;
    plan->words = (g->relations.n + 63) / 64;
    plan->may_head = hs_calloc(places * plan->words + 1, sizeof *plan->may_head);
    plan->may_tail = hs_calloc(places * plan->words + 1, sizeof *plan->may_tail);
    plan->mask = hs_calloc(plan->words + 1, sizeof *plan->mask);
    uint32_t *both = hs_calloc(places * places + 1, sizeof *both); /* (places, places) entities that stand at both */
    uint32_t *kind = hs_alloc((places + 1) * sizeof *kind);
    if (plan->may_head == NULL || plan->may_tail == NULL || plan->mask == NULL || both == NULL || kind == NULL) {
        hs_free(both);
        hs_free(kind);
        return hs_fail_memory(err, places * places * sizeof *both);
    }
    for (uint32_t e = 0; e < g->entities.n; e++)
        for (uint64_t i = plan->place_start[e]; i < plan->place_start[e + 1]; i++)
            for (uint64_t j = plan->place_start[e]; j < plan->place_start[e + 1]; j++)
                both[(size_t)plan->place[i] * places + plan->place[j]]++;
    find_kinds(both, places, kind);
    relate_side(plan, kind, 0, false, plan->may_head);
    relate_side(plan, kind, 1, !plan->options->tails_of_type, plan->may_tail);
    hs_free(both);
    hs_free(kind);
    return HS_OK;
}

void hs_plan_fill_mask(hs_plan *plan, const uint64_t *rows, uint32_t e)
{
    memset(plan->mask, 0, plan->words * sizeof *plan->mask);
    bool real = e < plan->g->entities.n;
    uint64_t first = real ? plan->place_start[e] : 0, last = real ? plan->place_start[e + 1] : 1;
    for (uint64_t i = first; i < last; i++) {
        size_t s = real ? plan->place[i] : plan->entity[e].slot;
        for (size_t w = 0; w < plan->words; w++)
            plan->mask[w] |= rows[s * plan->words + w];
    }
}

bool hs_plan_in_mask(const hs_plan *plan, uint32_t r)
{
    return (plan->mask[r / 64] >> (r % 64) & 1) != 0;
}

bool hs_plan_may_head(hs_plan *plan, uint32_t e, uint32_t r)
{
    hs_plan_fill_mask(plan, plan->may_head, e);
    return hs_plan_in_mask(plan, r);
}

/* Invented entities are never tails: nothing is said about them but what they head. */
bool hs_plan_may_tail(hs_plan *plan, uint32_t e, uint32_t r)
{
    hs_plan_fill_mask(plan, plan->may_tail, e);
    return e < plan->g->entities.n && hs_plan_in_mask(plan, r);
}

hs_status hs_plan_find_places(hs_plan *plan, hs_error *err)
{
    HS_TRY(list_places(plan, err));
    return relate_places(plan, err);
}
