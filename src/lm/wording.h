/* wording.h - a dataset in words: names, statements, questions, right answers; not public.
 *
 * The templates are those of arXiv 2405.15071, 5 and App. F: "The age of X is V." and "X is younger than Y."; facts and
 * questions over other relations are worded alike. */
#ifndef HOPSCOPE_LM_WORDING_H
#define HOPSCOPE_LM_WORDING_H

#include "hopscope/data.h"

enum { HS_SAYS_VALUE = 255 };
/* "The RELATION of A is B." with `says` HS_SAYS_VALUE; else a comparison of A and B by RELATION, `says` one of the
 * labels. */
typedef enum hs_says { HS_SAYS_LESS, HS_SAYS_SAME, HS_SAYS_MORE, HS_SAYS_DIFFERENT } hs_says;
typedef struct hs_statement {
    uint32_t a, relation, b; /* entity numbers (one-token datasets: tokens), relation token */
    uint8_t says;
} hs_statement;

typedef struct hs_wording {
    const hs_dataset *data;
    bool table;    /* a generated table: entities are persons, attributes ages */
    uint64_t seed; /* of the persons' names */
} hs_wording;
void hs_wording_init(hs_wording *wording, const hs_dataset *data, uint64_t seed);
void hs_wording_entity(const hs_wording *wording, uint32_t entity, hs_str *out);
void hs_wording_statement(const hs_wording *wording, const hs_statement *statement, hs_str *out);
/* What the label token of a comparison says; false for another token. */
bool hs_wording_label(const hs_wording *wording, uint32_t token, hs_says *out);
/* The question of an item, and the answers it may choose from ("" where it is free). */
void hs_wording_question(const hs_wording *wording, const hs_split *split, uint64_t item, hs_str *question,
                         const char **choices);
/* The words for a label, separated by '|': the first is the answer that is asked for. `ordered`: the attribute has an
 * order. */
const char *hs_wording_answer(const hs_wording *wording, hs_says says);

#endif
