/* sample.h - items of a split as interpretation sees them: columns with roles, and tokens looked for in a state.
 *
 * Roles are those of the dataset (hs_split_roles in data.h): of a query h, r1, r2 ..., b, t; of a fact h, r, t; of a comparison
 * attribute, e1, e2, v1, v2, label, and here label1 ... for each label there is. The second token of a two-token entity
 * carries a prime ("h'", "b'"); a column without a role is "p" and its number. */
#ifndef HOPSCOPE_INTERP_SAMPLE_H
#define HOPSCOPE_INTERP_SAMPLE_H

#include "hopscope/data.h"
#include "hopscope/model.h"

enum { HS_MAX_PLACES = 16, HS_MAX_ASKED = 16, HS_ROLE_SIZE = 16 };

typedef struct hs_place {
    char role[HS_ROLE_SIZE];
    uint32_t column;
} hs_place;

typedef struct hs_asked {
    char role[HS_ROLE_SIZE];
    uint32_t *token; /* (n) HS_NO_ID where an item has none */
    bool entity;     /* one of the entities, so that a rank among entities has a meaning */
} hs_asked;

typedef struct hs_sample {
    const hs_dataset *data;
    const hs_split *split;
    uint32_t n;      /* items */
    uint32_t T;      /* columns that are fed: all before the first answer token */
    uint64_t *item;  /* (n) index in the split, ascending */
    uint32_t *token; /* (n,T) */
    uint32_t n_places;
    hs_place place[HS_MAX_PLACES]; /* columns of the prompt, left to right; of an in-place model also the answer's */
    uint32_t n_asked;
    hs_asked asked[HS_MAX_ASKED];
    uint32_t target; /* index of the answer's first token in `asked` */
} hs_sample;

/* At most `max` items (0 = all) of a split, the same ones each time: drawn by the split's content hash. `out` is
 * zero-initialized. */
hs_status hs_sample_create(const hs_dataset *data, const hs_split *split, const hs_model *model, uint32_t max,
                           hs_sample *out, hs_error *err);
void hs_sample_free(hs_sample *sample);
/* Index in `asked`, or of the place, of a role; -1 if there is none. */
int hs_sample_asked(const hs_sample *sample, const char *role);
int hs_sample_place(const hs_sample *sample, const char *role);
/* Where a hop (1, 2 ...) ends: the place of its relation (r1's holds the bridge in the circuit of arXiv 2405.15071); -1 without one. */
int hs_sample_hop_end(const hs_sample *sample, uint32_t hop);

#endif
