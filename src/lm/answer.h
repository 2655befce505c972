/* answer.h - is an answer right? not public. */
#ifndef HOPSCOPE_LM_ANSWER_H
#define HOPSCOPE_LM_ANSWER_H

#include "hopscope/core.h"
#include "hopscope/graph.h"

/* Other names: normalized name -> number of its line in the file. */
typedef struct hs_aliases {
    hs_names name;
    uint32_t *group; /* (name.n) */
    size_t cap;
} hs_aliases;
/* `path` NULL: none. HS_ERR_DATA with file and line: a line without a tab, a name on two lines. */
hs_status hs_aliases_read(hs_aliases *out, const char *path, hs_error *err);
void hs_aliases_free(hs_aliases *aliases);

/* The answer in what a model said: what stands after its last "Answer:"; without one, and with `direct`, its only line.
 * Appended to `out`; false if there is none. */
bool hs_answer_find(const char *text, bool direct, hs_str *out);
/* Do two names match? By alias: also as dates, as countries, or on one line of the file. */
bool hs_answer_match(const char *a, const char *b);
bool hs_answer_match_alias(const hs_aliases *aliases, const char *a, const char *b);

#endif
