/* composition.h - the composition task between its files: candidates (all queries), their classes, their random keys.
 */
#ifndef HOPSCOPE_DATA_COMPOSITION_H
#define HOPSCOPE_DATA_COMPOSITION_H

#include "data/composition/paths.h"
#include "data/task.h"

enum {
    HS_CAT_TRAIN = 0,
    HS_CAT_TEST = 1, /* + OOD mask, 0..15 */
    HS_CAT_TEST_RESTRICTED = 17,
    HS_CAT_AUG_HOP1 = 18,
    HS_CAT_AUG_HOP2 = 19,
    HS_N_CATS = 20
};

/* Candidate first[h] + i is query i of hs_queries_of_head(h). cat[] says what it is used for, key[] is its random number. */
typedef struct hs_composition {
    const hs_data_config *config;
    hs_fact_table table;
    uint32_t hops, n_workers;
    hs_pool *pool;
    hs_query_list *queries; /* (n_workers) */
    uint64_t *first;        /* (n_entities + 1) */
    uint16_t *cat;
    uint32_t *key;
    uint64_t pool_size; /* candidates for training before the phi limit */
} hs_composition;

hs_status hs_composition_build(const hs_data_config *config, const hs_graph *graph, hs_pool *pool, hs_dataset *out,
                               hs_error *err);
/* Fact-level augmentation (arXiv 2601.09049, App. C): turns some OI and IO candidates into training queries. After test_oo is sampled. */
hs_status hs_composition_inject(hs_composition *c, hs_error *err);
/* Moves or drops held-out II queries so that each hop of the others is used by a training query. */
hs_status hs_composition_cover(hs_composition *c, hs_error *err);
/* The splits of the dataset from the classes. */
hs_status hs_composition_emit(hs_composition *c, hs_dataset *out, hs_error *err);

#endif
