/* paths.h - all queries that start at one head, in a fixed order. */
#ifndef HOPSCOPE_DATA_PATHS_H
#define HOPSCOPE_DATA_PATHS_H

#include "data/internal.h"

/* One query: the facts of (one of) its paths; `mask` bit k is set when the facts of hop k+1 are OOD; `mixed` when its
 * paths disagree about that. also[also_first .. +n_also] are its other answers, as entity numbers. */
typedef struct hs_query {
    uint32_t edge[HS_MAX_HOPS];
    uint32_t also_first, n_also;
    uint8_t mask;
    bool synthetic, restricted, mixed;
} hs_query;

/* A worker's scratch: the queries of one head. */
typedef struct hs_query_list {
    hs_query *query;
    uint32_t n;
    uint32_t *also;
    uint32_t n_also;
} hs_query_list;

/* Room for the paths of any head. */
hs_status hs_query_list_init(hs_query_list *queries, uint64_t max_paths, bool multi, hs_error *err);
void hs_query_list_free(hs_query_list *queries);
/* Number of paths of `hops` facts from each head, those that come back to an entity included: counts (n_entities). Returns the sum, or
 * UINT64_MAX when it does not fit 64 bits. `scratch` (n_entities). */
uint64_t hs_paths_count(const hs_fact_table *table, uint32_t hops, uint64_t *counts, uint64_t *scratch);
/* Fill `queries` with the queries from head h: ordered by relation path. A generated graph keeps paths that come back
 * (published); from a graph all entities of a path are distinct. */
void hs_queries_of_head(hs_query_list *queries, const hs_fact_table *table, uint32_t hops, uint32_t h);

#endif
