/* collect.h - a dataset put together from items that were read one by one (published JSON, JSONL). */
#ifndef HOPSCOPE_DATA_COLLECT_H
#define HOPSCOPE_DATA_COLLECT_H

#include "data/task.h"

/* What an item says. Tokens are ids of the vocabulary; answer is without "<a>" and "</a>". */
typedef struct hs_collected {
    const char *split;
    hs_split_role role;
    uint32_t prompt[32], n_prompt, answer[2], n_answer;
    const uint32_t *also;
    uint32_t n_also;
    bool synthetic;
} hs_collected;

typedef struct hs_collector {
    hs_dataset *out; /* its vocab, counts, tokens_per_entity and config are set before the first item */
    hs_names names;  /* of the splits, by number */
    size_t *cap;     /* per split: room in items */
    size_t n_cap, *cap_also;
    size_t cap_facts;
    bool facts_given;                 /* the facts are known apart from the fact items */
    uint32_t a_begin, a_end, q_begin; /* "<a>", "</a>", "<q>" */
} hs_collector;

void hs_collect_begin(hs_collector *a, hs_dataset *out);
/* The split is made by its first item; a later item of another form is HS_ERR_DATA. */
hs_status hs_collect_item(hs_collector *a, const hs_collected *item, hs_error *err);
/* Head and tail as tokens_per_entity tokens each. */
hs_status hs_collect_fact(hs_collector *a, const uint32_t *head, uint32_t relation, const uint32_t *tail, uint8_t flags,
                          hs_error *err);
/* Sorts the facts given so far, so that they can be looked up. */
hs_status hs_collect_sort_facts(hs_collector *a, hs_error *err);
/* The entities on the first path of a query in the order of the facts (sorted), of distinct ones if there is one. */
bool hs_collect_path(const hs_dataset *data, const uint32_t *prompt, uint32_t hops, const uint32_t *answer,
                     uint32_t entity[HS_MAX_HOPS + 1]);
/* Facts sorted (with those of the fact items unless facts_given), bridges found by walking them, hashes, audit and
 * card. A failed proof is no error here: see audit.passed. */
hs_status hs_collect_finish(hs_collector *a, hs_error *err);
void hs_collector_free(hs_collector *a); /* not the dataset */

#endif
