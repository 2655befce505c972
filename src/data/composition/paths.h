/* paths.h - all queries that start at one head, in a fixed order. */
#ifndef HOPSCOPE_DATA_WALK_H
#define HOPSCOPE_DATA_WALK_H

#include "data/internal.h"

/* One query: the facts of (one of) its paths; `mask` bit k is set when the facts of hop k+1 are OOD; `mixed` when its
 * paths disagree about that. also[also_first .. +n_also] are its other answers, as entity numbers. */
typedef struct hs_query {
    uint32_t edge[HS_MAX_HOPS];
    uint32_t also_first, n_also;
    uint8_t mask;
    bool synthetic, restricted, mixed, trivial;
} hs_query;

/* A worker's scratch: the queries of one head. */
typedef struct hs_walk {
    hs_query *query;
    uint32_t n;
    uint32_t *also;
    uint32_t n_also;
} hs_walk;

/* Room for the paths of any head. */
hs_status hs_walk_init(hs_walk *walk, uint64_t max_paths, bool multi, hs_error *err);
void hs_walk_free(hs_walk *walk);
/* Number of paths of `hops` facts from each head, trivial ones included: counts (n_entities). Returns the sum, or
 * UINT64_MAX when it does not fit 64 bits. `scratch` (n_entities). */
uint64_t hs_walk_count(const hs_kg *kg, uint32_t hops, uint64_t *counts, uint64_t *scratch);
/* Fill `walk` with the queries from head h: ordered by relation path. A generated graph keeps trivial paths
 * (published); from a graph all entities of a path are distinct. */
void hs_walk_head(hs_walk *walk, const hs_kg *kg, uint32_t hops, uint32_t h);

#endif
