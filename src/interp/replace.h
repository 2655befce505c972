/* replace.h - an input token replaced by one of its kind, so that the right answer changes.
 *
 * The rule of the scripts released with arXiv 2405.15071 (section 3.3):
 *     head       a head of a training fact (a fact that is a hop of a training query) whose chain over the same relations
 *                leads elsewhere or nowhere
 *     relation   a relation by which a training fact leaves the same entity, with another chain from there
 *     e1, e2     an entity whose value makes the comparison come out otherwise: the other entity's value if the two differ,
 *                else the value next to it; without an order, any other value
 *     attribute  another attribute
 * uniformly among those that fit. */
#ifndef HOPSCOPE_INTERP_REPLACE_H
#define HOPSCOPE_INTERP_REPLACE_H

#include "interp/look.h"

/* What is replaced at once: the token at `first`; columns first..last are patched together. */
typedef struct hs_replace_group {
    char role[HS_ROLE_SIZE];
    uint32_t first, last;
} hs_replace_group;

#define HS_REPLACE_NEEDS "a split of facts, queries or comparisons whose entities have one token"
bool hs_replace_fits(const hs_dataset *data, const hs_split *split);
/* The groups of a sample, left to right, into group[HS_MAX_PLACES]; their number. */
uint32_t hs_replace_groups(const hs_sample *sample, hs_replace_group *group);
/* Replace one group in tokens (T) of item `item` of the look's sample; false, tokens untouched, if nothing fits. Follows from
 * (interpret.seed, item, role) alone. */
bool hs_replace(const hs_look *look, const hs_replace_group *group, uint32_t item, uint32_t *tokens);

#endif
