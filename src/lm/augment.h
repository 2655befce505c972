/* augment.h - new facts by a language model: the draft of a graph, the prompts, the checks; not public. */
#ifndef HOPSCOPE_LM_AUGMENT_H
#define HOPSCOPE_LM_AUGMENT_H

#include "graph/augment/planner.h"
#include "lm/lm.h"

/* What is to be raised: facts at a bridge (composition), or entities of a value (comparison). */
typedef struct hs_lm_goal {
    uint32_t entity;   /* the bridge, or the value */
    uint32_t relation; /* of the value */
    uint32_t asked;    /* questions so far */
    uint32_t fruitless;
    bool counted; /* was below its target at the beginning */
} hs_lm_goal;

typedef struct hs_lm_draft {
    const hs_graph *g;
    const hs_lm_augment_options *options;
    hs_augment_options plan_options;
    hs_plan plan; /* counts and kinds; plan.out is the graph that grows */
    bool *usable; /* (relations) may be proposed */
    hs_lm_goal *goal;
    size_t n_goals, cap_goals;
    /* Entities by normalized name, so that "paris" is Paris. */
    hs_names name;
    uint32_t *entity; /* (name.n) */
    size_t cap_entity;
    uint32_t *seen, *stack; /* scratch of the search for cycles */
    size_t cap_seen, cap_stack;
    uint32_t mark;
    hs_str text, schema; /* the question at hand */
    hs_str *origin;      /* or NULL */
    const char *model;
    hs_lm_augment_report report;
} hs_lm_draft;

/* Facts that arrive at a bridge, entities that have a value: how many there are. */
uint64_t hs_lm_goal_has(const hs_lm_draft *d, const hs_lm_goal *goal);
/* How many the next question asks for; 0: enough. */
uint32_t hs_lm_goal_lacks(const hs_lm_draft *d, const hs_lm_goal *goal);
/* Could a fact of relation r leave the entity, or arrive at it? */
bool hs_lm_may_leave(hs_lm_draft *d, uint32_t entity, uint32_t r);
bool hs_lm_may_arrive(hs_lm_draft *d, uint32_t entity, uint32_t r);

/* propose.c: the question about a goal. */
hs_status hs_lm_propose(hs_lm_draft *d, const hs_lm_goal *goal, uint64_t seed, hs_lm_question *out, hs_error *err);
/* check.c: the facts of an answer, one by one, into the draft; *taken of them. */
hs_status hs_lm_check(hs_lm_draft *d, const hs_lm_goal *goal, const hs_lm_answer *answer, uint32_t *taken,
                      hs_error *err);
/* Enter the name of an entity, so that it is found by other spellings. */
hs_status hs_lm_enter_name(hs_lm_draft *d, uint32_t entity, hs_error *err);

#endif
