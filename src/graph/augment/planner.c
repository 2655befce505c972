/* planner.c - the growing graph of augmentation: exact counts, candidates in order of gain. See planner.h. */
#include "graph/augment/planner.h"

#include <math.h>
#include <string.h>

enum { TRIES = 16 };                    /* candidates looked at when the best one does not fit */
static const float OTHER_WEIGHT = 0.1f; /* of an entity that is no bridge of real two-hop facts */
static const float HOPELESS = 0.03f;    /* see judge() */

/* ---------------------------------------------------------------- heaps (largest key first) */

static bool entry_less(const hs_plan_entry *a, const hs_plan_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->entity > b->entity;
}

static void sift_down(hs_plan_heap *h, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n)
            return;
        if (child + 1 < h->n && entry_less(&h->entry[child], &h->entry[child + 1]))
            child++;
        if (!entry_less(&h->entry[i], &h->entry[child]))
            return;
        hs_plan_entry swap = h->entry[i];
        h->entry[i] = h->entry[child];
        h->entry[child] = swap;
        i = child;
    }
}

static hs_status heap_push(hs_plan_heap *h, hs_plan_entry entry, hs_error *err)
{
    void *p = h->entry;
    hs_status status = hs_grow(&p, &h->cap, h->n + 1, sizeof *h->entry, err);
    h->entry = p;
    HS_TRY(status);
    size_t i = h->n++;
    while (i > 0 && entry_less(&h->entry[(i - 1) / 2], &entry)) {
        h->entry[i] = h->entry[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->entry[i] = entry;
    return HS_OK;
}

static void heap_pop(hs_plan_heap *h)
{
    h->entry[0] = h->entry[--h->n];
    sift_down(h, 0);
}

/* Old entries pile up; drop them when they outnumber the live ones. */
static void heap_clean(hs_plan *plan, hs_plan_heap *h)
{
    if (h->n < 4 * h->live + 1024)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < h->n; i++)
        if (h->entry[i].version == plan->entity[h->entry[i].entity].version)
            h->entry[kept++] = h->entry[i];
    h->n = h->live = kept;
    for (size_t i = kept / 2; i-- > 0;)
        sift_down(h, i);
}

/* ---------------------------------------------------------------- (head, relation) pairs in use */

static uint64_t taken_key(uint32_t e, uint32_t r)
{
    return ((uint64_t)e << 32 | r) + 1;
}

static size_t taken_slot(const hs_plan *plan, uint64_t key)
{
    size_t i = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (plan->n_taken_slots - 1);
    while (plan->taken[i] != 0 && plan->taken[i] != key)
        i = (i + 1) & (plan->n_taken_slots - 1);
    return i;
}

bool hs_plan_taken(const hs_plan *plan, uint32_t e, uint32_t r)
{
    return plan->taken[taken_slot(plan, taken_key(e, r))] != 0;
}

static hs_status take(hs_plan *plan, uint32_t e, uint32_t r, hs_error *err)
{
    if ((plan->n_taken + 1) * 2 > plan->n_taken_slots) {
        size_t old_n = plan->n_taken_slots, n = old_n == 0 ? 1024 : old_n * 2;
        uint64_t *old = plan->taken, *fresh = hs_calloc(n, sizeof *fresh);
        if (fresh == NULL)
            return hs_fail_memory(err, n * sizeof *fresh);
        plan->taken = fresh;
        plan->n_taken_slots = n;
        for (size_t i = 0; i < old_n; i++)
            if (old[i] != 0)
                fresh[taken_slot(plan, old[i])] = old[i];
        hs_free(old);
    }
    size_t at = taken_slot(plan, taken_key(e, r));
    plan->n_taken += plan->taken[at] == 0;
    plan->taken[at] = taken_key(e, r);
    return HS_OK;
}

/* ---------------------------------------------------------------- gains
 *
 * A bridge is worth sqrt(in * out): the first facts at a bridge gain most, the tenth little, and facts that arrive are
 * worth more where more facts leave. With log(in * out) instead, bridges that few facts can leave take as many arriving
 * facts as the others, and 2Wiki needs twice the synthetic facts. */

static double head_key(const hs_plan *plan, uint32_t x)
{
    const hs_plan_entity *e = &plan->entity[x];
    double in = e->in, out = e->out;
    double gain = plan->plain_gain ? in : e->weight * (sqrt(in * (out + 1)) - sqrt(in * out));
    return gain + 1e-6 * e->jitter;
}

/* Among tails that lead nowhere the least used goes first, so that answers stay even. */
static double tail_key(const hs_plan *plan, uint32_t y)
{
    const hs_plan_entity *e = &plan->entity[y];
    double in = e->in, out = e->out;
    double gain = plan->plain_gain ? out : e->weight * e->pays * (sqrt((in + 1) * out) - sqrt(in * out));
    return gain + 1e-4 / (1 + in) + 1e-6 * e->jitter;
}

static hs_status push_entity(hs_plan *plan, uint32_t e, hs_error *err)
{
    hs_plan_entry head = {head_key(plan, e), e, plan->entity[e].version};
    hs_plan_entry tail = {tail_key(plan, e), e, plan->entity[e].version};
    hs_plan_fill_mask(plan, plan->may_head, e);
    for (uint32_t r = 0; r < plan->g->relations.n; r++) {
        hs_plan_relation *relation = &plan->relation[r];
        if (relation->usable && hs_plan_in_mask(plan, r) && !hs_plan_taken(plan, e, r)) {
            heap_clean(plan, &relation->heads);
            HS_TRY(heap_push(&relation->heads, head, err));
        }
    }
    if (e >= plan->g->entities.n)
        return HS_OK;
    hs_plan_fill_mask(plan, plan->may_tail, e);
    for (uint32_t r = 0; r < plan->g->relations.n; r++) {
        hs_plan_relation *relation = &plan->relation[r];
        if (relation->usable && hs_plan_in_mask(plan, r)) {
            heap_clean(plan, &relation->tails);
            HS_TRY(heap_push(&relation->tails, tail, err));
        }
    }
    return HS_OK;
}

/* A fact that arrives at e makes at most as many two-hop facts as there are relations that can leave e. */
static void judge(hs_plan *plan, uint32_t e)
{
    uint64_t most = plan->entity[e].out;
    hs_plan_fill_mask(plan, plan->may_head, e);
    for (uint32_t r = 0; r < plan->g->relations.n; r++)
        most += plan->relation[r].usable && hs_plan_in_mask(plan, r) && !hs_plan_taken(plan, e, r);
    if (plan->entity[e].in > 0 && most > plan->most_out)
        plan->most_out = most;
    plan->entity[e].pays = (double)most > plan->options->phi ? 1.0f : HOPELESS;
}

hs_status hs_plan_rebuild(hs_plan *plan, hs_error *err)
{
    for (uint32_t e = 0; e < plan->g->entities.n; e++)
        judge(plan, e);
    for (uint32_t r = 0; r < plan->g->relations.n; r++)
        plan->relation[r].heads.n = plan->relation[r].tails.n = 0;
    for (uint32_t e = 0; e < plan->n_entities; e++)
        HS_TRY(push_entity(plan, e, err));
    for (uint32_t r = 0; r < plan->g->relations.n; r++) {
        plan->relation[r].heads.live = plan->relation[r].heads.n;
        plan->relation[r].tails.live = plan->relation[r].tails.n;
    }
    return HS_OK;
}

uint64_t hs_plan_yield(const hs_plan *plan, uint32_t x, uint32_t y)
{
    return (uint64_t)(x == HS_PLAN_NEW ? 0 : plan->entity[x].in) + plan->entity[y].out;
}

/* ---------------------------------------------------------------- candidates */

static bool fits(const hs_plan *plan, uint32_t x, uint32_t y)
{
    return x != y && (!plan->options->acyclic || plan->entity[x].rank < plan->entity[y].rank);
}

/* Best live entry of the heap that fits with `other`. `heads`: the heap holds heads and their (head, r) must be free.
 */
static hs_status best_entry(hs_plan *plan, hs_plan_heap *h, uint32_t r, bool heads, uint32_t other, uint32_t *found,
                            double *key, hs_error *err)
{
    hs_plan_entry aside[TRIES];
    size_t n_aside = 0;
    *found = HS_NO_ID;
    *key = 0;
    while (h->n > 0 && n_aside < TRIES && *found == HS_NO_ID) {
        hs_plan_entry top = h->entry[0];
        if (top.version != plan->entity[top.entity].version) {
            heap_pop(h);
        } else if (heads && hs_plan_taken(plan, top.entity, r)) {
            plan->collisions++;
            heap_pop(h);
        } else if (other != HS_NO_ID && !(heads ? fits(plan, top.entity, other) : fits(plan, other, top.entity))) {
            aside[n_aside++] = top;
            heap_pop(h);
        } else {
            *found = top.entity;
            *key = top.key;
        }
    }
    for (size_t i = 0; i < n_aside; i++)
        HS_TRY(heap_push(h, aside[i], err));
    return HS_OK;
}

hs_status hs_plan_best_head(hs_plan *plan, uint32_t r, uint32_t y, uint32_t *x, double *gain, hs_error *err)
{
    HS_TRY(best_entry(plan, &plan->relation[r].heads, r, true, y, x, gain, err));
    if (*x == HS_NO_ID && plan->options->new_entities)
        *x = HS_PLAN_NEW;
    return HS_OK;
}

hs_status hs_plan_best_tail(hs_plan *plan, uint32_t r, uint32_t x, uint32_t *y, double *gain, hs_error *err)
{
    return best_entry(plan, &plan->relation[r].tails, r, false, x, y, gain, err);
}

/* ---------------------------------------------------------------- growing */

static hs_status grow_entities(hs_plan *plan, size_t n, hs_error *err)
{
    void *p = plan->entity;
    hs_status status = hs_grow(&p, &plan->cap_entities, n, sizeof *plan->entity, err);
    plan->entity = p;
    return status;
}

/* What the plan keeps of entity `id`, the last of out's names, which stands at `place`. */
static void enter(hs_plan *plan, uint32_t id, uint32_t place)
{
    hs_rng rng;
    hs_rng_init(&rng, plan->options->seed, HS_PURPOSE('g', 'a', 'j', 'i'), 0, id);
    plan->entity[id] = (hs_plan_entity){.slot = place, .weight = OTHER_WEIGHT, .jitter = (float)hs_rng_uniform(&rng)};
    plan->n_entities++;
    plan->added_entities++;
}

static hs_status invent(hs_plan *plan, uint32_t r, uint32_t *x, hs_error *err)
{
    HS_TRY(grow_entities(plan, plan->n_entities + 1, err));
    HS_TRY(hs_graph_invent(plan->out, r, &plan->relation[r].invented, x, err));
    enter(plan, *x, 2 * r);
    return HS_OK;
}

hs_status hs_plan_adopt(hs_plan *plan, const char *name, size_t len, uint32_t place, uint32_t *id, hs_error *err)
{
    const uint32_t before = plan->out->entities.n;
    HS_TRY(grow_entities(plan, plan->n_entities + 1, err));
    HS_TRY(hs_names_add(&plan->out->entities, name, len, id, err));
    if (*id == before)
        enter(plan, *id, place);
    return HS_OK;
}

/* Put fact i into the lists. */
static hs_status link_fact(hs_plan *plan, uint64_t i, hs_error *err)
{
    void *p = plan->link;
    hs_status status = hs_grow(&p, &plan->cap_link, i + 1, sizeof *plan->link, err);
    plan->link = p;
    HS_TRY(status);
    const hs_fact *fact = &plan->out->facts[i];
    HS_TRY(take(plan, fact->head, fact->relation, err));
    if (fact->head == fact->tail)
        return HS_OK;
    hs_plan_entity *head = &plan->entity[fact->head], *tail = &plan->entity[fact->tail];
    plan->link[i].next_out = head->first_out;
    plan->link[i].next_in = tail->first_in;
    head->first_out = tail->first_in = i + 1;
    head->out++;
    tail->in++;
    return HS_OK;
}

static void count_pair(hs_plan *plan, uint32_t r1, uint32_t r2)
{
    plan->two_hop++;
    plan->relation[r1].either++;
    if (r1 != r2)
        plan->relation[r2].either++;
}

hs_status hs_plan_add(hs_plan *plan, uint32_t x, uint32_t r, uint32_t y, hs_error *err)
{
    if (x == HS_PLAN_NEW)
        HS_TRY(invent(plan, r, &x, err));
    hs_graph *out = plan->out;
    for (uint64_t i = plan->entity[x].first_in; i != 0; i = plan->link[i - 1].next_in)
        if (out->facts[i - 1].head != y)
            count_pair(plan, out->facts[i - 1].relation, r);
    for (uint64_t i = plan->entity[y].first_out; i != 0; i = plan->link[i - 1].next_out)
        if (out->facts[i - 1].tail != x)
            count_pair(plan, r, out->facts[i - 1].relation);
    HS_TRY(hs_graph_add_ids(out, (hs_fact){x, r, y}, HS_FACT_SYNTHETIC, err));
    HS_TRY(link_fact(plan, out->n_facts - 1, err));
    plan->relation[r].added++;
    plan->entity[x].version++;
    plan->entity[y].version++;
    HS_TRY(push_entity(plan, x, err));
    return push_entity(plan, y, err);
}

double hs_plan_phi(const hs_plan *plan)
{
    return plan->out->n_facts == 0 ? 0 : (double)plan->two_hop / (double)plan->out->n_facts;
}

double hs_plan_phi_r(const hs_plan *plan, uint32_t r)
{
    uint64_t facts = plan->relation[r].real + plan->relation[r].added;
    return facts == 0 ? 0 : (double)plan->relation[r].either / (double)facts;
}

/* ---------------------------------------------------------------- opening */

/* Weight 1 for the bridges of non-trivial two-hop facts of g. */
static void weigh(hs_plan *plan)
{
    const hs_graph *g = plan->g;
    for (uint32_t b = 0; b < g->entities.n; b++) {
        hs_plan_entity *e = &plan->entity[b];
        bool bridge = e->in > 0 && e->out > 0;
        if (bridge && e->in == 1 && e->out == 1) {
            uint32_t head = plan->out->facts[e->first_in - 1].head, tail = plan->out->facts[e->first_out - 1].tail;
            bridge = head != tail;
        }
        e->weight = bridge ? 1.0f : OTHER_WEIGHT;
    }
}

bool hs_plan_is_bridge(const hs_plan *plan, uint32_t e)
{
    return e < plan->g->entities.n && plan->entity[e].weight > OTHER_WEIGHT;
}

hs_status hs_plan_open(hs_plan *plan, const hs_graph *g, const hs_augment_options *options, hs_graph *out,
                       hs_error *err)
{
    *plan = (hs_plan){.g = g, .options = options, .out = out, .n_entities = g->entities.n};
    plan->relation = hs_calloc((size_t)g->relations.n + 1, sizeof *plan->relation);
    if (plan->relation == NULL)
        return hs_fail_memory(err, g->relations.n * sizeof *plan->relation);
    HS_TRY(grow_entities(plan, (size_t)g->entities.n + 1, err));
    memset(plan->entity, 0, plan->cap_entities * sizeof *plan->entity);
    for (uint32_t e = 0; e < g->entities.n; e++) {
        hs_rng rng;
        hs_rng_init(&rng, options->seed, HS_PURPOSE('g', 'a', 'j', 'i'), 0, e);
        plan->entity[e].jitter = (float)hs_rng_uniform(&rng);
    }
    HS_TRY(hs_graph_copy(g, out, err));
    HS_TRY(take(plan, UINT32_MAX, UINT32_MAX - 1, err)); /* the table exists from now on */
    for (uint64_t i = 0; i < out->n_facts; i++) {
        HS_TRY(link_fact(plan, i, err));
        plan->relation[out->facts[i].relation].real++;
    }
    weigh(plan);
    if (options->acyclic)
        HS_TRY(hs_plan_rank(plan, err));
    return hs_plan_find_places(plan, err);
}

void hs_plan_close(hs_plan *plan)
{
    for (uint32_t r = 0; plan->relation != NULL && r < plan->g->relations.n; r++) {
        hs_free(plan->relation[r].heads.entry);
        hs_free(plan->relation[r].tails.entry);
    }
    hs_free(plan->relation);
    hs_free(plan->entity);
    hs_free(plan->link);
    hs_free(plan->taken);
    hs_free(plan->place_start);
    hs_free(plan->place);
    hs_free(plan->may_head);
    hs_free(plan->may_tail);
    hs_free(plan->mask);
}
