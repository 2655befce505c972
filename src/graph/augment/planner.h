/* planner.h - the state of augmentation (planner.c), used by its strategy (composition.c) and by src/lm/augment.c; not
 * public.
 *
 * A plan is a graph that grows: `out` holds the facts in order of addition, linked lists give the facts that arrive at
 * and leave an entity, and the two-hop counts (overall and of each relation) are exact after every addition. For each
 * relation two heaps give the best tail and the best head for the next fact. Heap entries carry the version of their
 * entity; an entity that changes is pushed again and its old entries are dropped when they come up.
 */
#ifndef HOPSCOPE_GRAPH_PLANNER_H
#define HOPSCOPE_GRAPH_PLANNER_H

#include "graph/augment/invent.h"

typedef struct hs_plan_entry {
    double key;
    uint32_t entity, version;
} hs_plan_entry;

typedef struct hs_plan_heap {
    hs_plan_entry *entry;
    size_t n, cap;
    size_t live; /* entries after the last clean-up */
} hs_plan_heap;

typedef struct hs_plan_entity {
    uint32_t in, out;             /* facts, head != tail */
    uint64_t first_in, first_out; /* index + 1 into links */
    uint32_t version;
    uint32_t rank; /* acyclic: a fact must go to a higher rank; 0 for invented entities */
    uint32_t slot; /* invented: the place it was invented for (its relation) */
    float weight;  /* 1 for a bridge of real two-hop facts, less for others */
    float pays;    /* 1, or little where no number of facts that arrive could reach the target */
    float jitter;  /* [0, 1), decides between equals */
} hs_plan_entity;

typedef struct hs_plan_relation {
    bool usable; /* synthetic facts of it may be made */
    bool target; /* its phi must reach the target */
    uint64_t real, added;
    uint64_t either;   /* two-hop facts with it as either hop */
    uint32_t invented; /* heads invented for it */
    hs_plan_heap heads, tails;
} hs_plan_relation;

typedef struct hs_plan {
    const hs_graph *g;
    const hs_augment_options *options;
    hs_graph *out;
    uint64_t two_hop;
    bool plain_gain;            /* gain is the number of two-hop facts, without diminishing returns */
    hs_plan_relation *relation; /* (R) */
    hs_plan_entity *entity;
    size_t n_entities, cap_entities;
    struct hs_plan_link {
        uint64_t next_in, next_out; /* index + 1 */
    } * link;                       /* (out->n_facts) */
    size_t cap_link;
    uint64_t *taken; /* hash set of (head << 32 | relation) + 1 */
    size_t n_taken, n_taken_slots;
    /* Places: 2 r is the head of relation r, 2 r + 1 its tail. place[place_start[e]..] are those of entity e in g. */
    uint64_t *place_start;
    uint32_t *place;
    uint64_t *may_head; /* (2 R, words): bit r of row s: an entity at place s may be the head of r */
    uint64_t *may_tail; /* the same for the tail of r */
    uint64_t *mask;     /* (words) scratch */
    size_t words;
    uint64_t collisions, added_entities;
    uint64_t most_out; /* facts that can leave one tail, at most, whatever is added; phi stays below it */
} hs_plan;

hs_status hs_plan_open(hs_plan *plan, const hs_graph *g, const hs_augment_options *options, hs_graph *out,
                       hs_error *err);
void hs_plan_close(hs_plan *plan);
/* Fill the heaps anew (after a change of plain_gain or of usable). */
hs_status hs_plan_rebuild(hs_plan *plan, hs_error *err);

/* Opening: kinds of entities (places.c), and ranks for the acyclic rule (ranks.c). */
hs_status hs_plan_find_places(hs_plan *plan, hs_error *err);
hs_status hs_plan_rank(hs_plan *plan, hs_error *err);
/* Relations that e may head (rows = may_head) or be the tail of (may_tail), into plan->mask; is r one of them? */
void hs_plan_fill_mask(hs_plan *plan, const uint64_t *rows, uint32_t e);
bool hs_plan_in_mask(const hs_plan *plan, uint32_t r);

/* Could e be the head, and the tail, of a new fact of r? */
bool hs_plan_may_head(hs_plan *plan, uint32_t e, uint32_t r);
bool hs_plan_may_tail(hs_plan *plan, uint32_t e, uint32_t r);
bool hs_plan_is_bridge(const hs_plan *plan, uint32_t e); /* of non-trivial two-hop facts of g */
bool hs_plan_taken(const hs_plan *plan, uint32_t e, uint32_t r);

#define HS_PLAN_NEW (UINT32_MAX - 1) /* as a head: invent one */
/* Best head of r for the tail y, or best tail for the head x: HS_NO_ID if there is none. *gain is its share of the
 * gain. */
hs_status hs_plan_best_head(hs_plan *plan, uint32_t r, uint32_t y, uint32_t *x, double *gain, hs_error *err);
hs_status hs_plan_best_tail(hs_plan *plan, uint32_t r, uint32_t x, uint32_t *y, double *gain, hs_error *err);
/* Two-hop facts that (x, r, y) would make, but for the few trivial ones. */
uint64_t hs_plan_yield(const hs_plan *plan, uint32_t x, uint32_t y);
/* The entity of this name; where out has none, a new one that stands at `place` (2 r: head of r, 2 r + 1: its tail). */
hs_status hs_plan_adopt(hs_plan *plan, const char *name, size_t len, uint32_t place, uint32_t *id, hs_error *err);
/* Add the fact; x may be HS_PLAN_NEW. */
hs_status hs_plan_add(hs_plan *plan, uint32_t x, uint32_t r, uint32_t y, hs_error *err);

double hs_plan_phi(const hs_plan *plan);
double hs_plan_phi_r(const hs_plan *plan, uint32_t r);

#endif
