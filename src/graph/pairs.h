/* pairs.h - the two-hop facts of every relation pair, counted in memory linear in facts, entities and relations; used
 * by statistics and the filter, not public. */
#ifndef HOPSCOPE_GRAPH_PAIRS_H
#define HOPSCOPE_GRAPH_PAIRS_H

#include "hopscope/graph.h"

typedef struct hs_pair_count {
    uint32_t r1;
    uint32_t top_tail; /* commonest tail, the first of equals */
    uint64_t facts;    /* non-trivial two-hop facts, at least one */
    uint64_t top;      /* of them with top_tail */
} hs_pair_count;

/* All pairs of one second relation; valid during the call. */
typedef struct hs_pairs {
    uint32_t r2;
    size_t n_pairs;
    const hs_pair_count *pair; /* (n_pairs) ascending r1 */
    uint64_t n_facts;
    const uint64_t *fact; /* (n_facts) indices of the facts of r2, ascending tail */
} hs_pairs;

/* Calls fn for each second relation in order. Anything but HS_OK from fn ends it with that status. */
typedef hs_status (*hs_pairs_fn)(void *ctx, const hs_pairs *pairs, hs_error *err);
hs_status hs_graph_each_pair(const hs_graph *g, hs_pairs_fn fn, void *ctx, hs_error *err);

#endif
