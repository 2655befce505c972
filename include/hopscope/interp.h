/* interp.h - what a model says and how it got there: answers with probabilities, the logit lens, the bridge entity.
 *
 * In a two-hop query (h, r1, r2) a model with the generalization circuit has the bridge b at the r1 position in its middle
 * layers: the logit lens (final norm and head on a middle state) then reads b there (paper C, section 3.3).
 */
#ifndef HOPSCOPE_INTERP_H
#define HOPSCOPE_INTERP_H

#include "hopscope/data.h"
#include "hopscope/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One state through the lens. */
typedef struct hs_lens_reading {
    uint32_t top;       /* token read there */
    double probability; /* its share of the softmax */
    uint32_t rank;      /* 0-based rank of the token asked for */
    double asked;       /* its share */
} hs_lens_reading;

/* Read every stage at `position` of every item: tokens (n,T); asked (n) the token whose rank is wanted.
 * out (n_stages+1, n). Serial; memory is allocated inside. */
hs_status hs_lens_read(const hs_model *model, uint32_t n, uint32_t T, const uint32_t *tokens, uint32_t position,
                       const uint32_t *asked, hs_lens_reading *out, hs_error *err);

/* Share of items whose asked token is the lens's top token at one of the middle stages (1 .. n_stages-1). */
typedef struct hs_bridge_score {
    uint64_t n;
    double found;       /* bridge on top at some middle stage, at the position where its hop ends */
    uint32_t best_stage;
    double mrr;         /* mean reciprocal rank at the best stage */
} hs_bridge_score;
/* For a split of two-hop items with `bridge`: bridge of hop 1 at position 1, on at most `max` items (0 = all, the first). */
hs_status hs_bridge_found(const hs_model *model, const hs_split *split, uint32_t max, hs_bridge_score *out, hs_error *err);

/* ---------------------------------------------------------------- asking */

enum { HS_ASK_BEST = 5 };

typedef struct hs_ask_stage {
    uint32_t stage;
    hs_lens_reading reading; /* at the position where the first hop ends */
} hs_ask_stage;

typedef struct hs_answer {
    uint32_t n_best;
    uint32_t best[HS_ASK_BEST];       /* tokens, most probable first */
    double probability[HS_ASK_BEST];
    uint32_t known;                   /* answer by the dataset's facts, HS_NO_ID if they do not say */
    uint32_t bridge;                  /* the entity after the first hop by the facts, HS_NO_ID if none or a one-hop query */
    uint32_t n_stages;                /* middle stages read; 0 for a one-hop query */
    hs_ask_stage *stage;              /* (n_stages) */
    bool bridge_found;                /* top of the lens at some middle stage */
    uint32_t bridge_stage;            /* the first such stage */
} hs_answer;
/* Ask in words, each a name of the dataset's vocabulary: head, relation, relation ... HS_ERR_DATA names an unknown word and
 * the nearest known one. The answer is freed with hs_answer_free. */
hs_status hs_ask(const hs_model *model, const hs_dataset *data, const char *const *words, uint32_t n_words, hs_answer *out,
                 hs_error *err);
void hs_answer_free(hs_answer *answer);

#ifdef __cplusplus
}
#endif
#endif
