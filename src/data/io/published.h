/* published.h - reading the form of the papers' programs: names of splits, and which facts of an original are OOD. */
#ifndef HOPSCOPE_DATA_PUBLISHED_H
#define HOPSCOPE_DATA_PUBLISHED_H

#include "data/io/collect.h"

/* Our name of the split of a published type; `name` is room for one. */
const char *hs_published_split(const char *type, bool comparison, char name[16]);

/* What the items of an original without lists of facts say about its facts. */
typedef struct hs_evidence {
    hs_collector *collector; /* gets the facts */
    struct hs_evidence_query *query;
    size_t n_queries, cap_queries;
    hs_names types;    /* of the probes, */
    uint64_t *of_type; /* and how many there are of each */
    size_t cap_types;
} hs_evidence;
/* One item of train.json (`train`) or test.json; `split` is our name of its type, NULL without type. */
hs_status hs_evidence_add(hs_evidence *evidence, const hs_collected *item, const char *split, bool train,
                          hs_error *err);
/* After the last item: sorts the facts and settles which are OOD. */
hs_status hs_evidence_settle(hs_evidence *evidence, hs_error *err);
void hs_evidence_free(hs_evidence *evidence);

/* Places of the hops of a query that are OOD facts; false where the facts have no path. Facts must be sorted. */
bool hs_ood_hops(const hs_dataset *data, const uint32_t *prompt, uint32_t hops, const uint32_t *answer,
                 uint32_t *ood_mask);

#endif
