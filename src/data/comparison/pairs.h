/* pairs.h - all ordered pairs of entities under an attribute: what the tasks comparison and complex share. */
#ifndef HOPSCOPE_DATA_PAIRS_H
#define HOPSCOPE_DATA_PAIRS_H

#include "data/comparison/label.h"
#include "data/task.h"

/* Classes of a pair. In the task "comparison" mixed pairs are dropped; in "complex" they are CROSS. */
enum {
    HS_PAIR_TRAIN,
    HS_PAIR_CROSS,
    HS_PAIR_TEST_ID,
    HS_PAIR_TEST_OOD,
    HS_PAIR_HARD, /* + label, 3 of them */
    HS_N_PAIR_CLASSES = HS_PAIR_HARD + 3
};

/* Members of attribute a (the entities that have a value) are member_start[a]..member_start[a+1]; the pair of members i
 * and j of a (counted from 0, i != j) is candidate base[a] + i * (m - 1) + j - (j > i). cat is class * cells + cell,
 * where a cell is (attribute, label) when labels are balanced, else there is one cell. */
typedef struct hs_pairs {
    const hs_data_config *config;
    hs_dataset *out;
    hs_pool *pool;
    bool complex, balanced;
    uint32_t n_attributes, cells;
    uint32_t *member_start, *entity, *value; /* entity number and value token of a member */
    uint8_t *flags;                          /* HS_FACT_OOD, HS_FACT_SYNTHETIC of a member */
    uint64_t *base;                          /* (n_attributes + 1) */
    uint16_t *cat;
    uint32_t *key;
    hs_compare compare;
} hs_pairs;

/* Members, OOD marks and facts from the dataset's facts (sorted, functional, relations as tokens); specials and labels
 * must be in the vocabulary. */
hs_status hs_pairs_init(hs_pairs *p, hs_error *err);
/* Classes and keys of all pairs. */
hs_status hs_pairs_classify(hs_pairs *p, hs_error *err);
/* Sampling of training (phi or trained_fraction), then of tests. */
hs_status hs_pairs_sample_training(hs_pairs *p, hs_error *err);
hs_status hs_pairs_sample_tests(hs_pairs *p, hs_error *err);
/* The splits. */
hs_status hs_pairs_emit(hs_pairs *p, hs_error *err);
void hs_pairs_free(hs_pairs *p);
/* Candidate number of the ordered pair (i, j) of attribute a. */
uint64_t hs_pair_at(const hs_pairs *p, uint32_t a, uint32_t i, uint32_t j);
/* The generated table of values: vocabulary (entities, attributes, values, specials, labels) and facts, a uniform value
 * for each (entity, attribute). */
hs_status hs_table_generate(hs_dataset *out, const hs_data_config *config, hs_error *err);
/* The published setting at phi 7.2. */
void hs_comparison_defaults(hs_data_config *config);
/* Options that these tasks do not have. */
hs_status hs_comparison_check(const hs_data_config *config, hs_error *err);
hs_status hs_comparison_build(const hs_data_config *config, const hs_graph *graph, hs_pool *pool, hs_dataset *out,
                              hs_error *err);
/* test_hard of the task "complex" (arXiv 2405.15071, App. F): marks solvable-in-full but not solvable-in-easy pairs as HS_PAIR_HARD. */
hs_status hs_pairs_mark_hard(hs_pairs *p, hs_error *err);

#endif
