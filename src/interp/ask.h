/* ask.h - what one question and many at once have in common. */
#ifndef HOPSCOPE_INTERP_ASK_H
#define HOPSCOPE_INTERP_ASK_H

#include "hopscope/interp.h"

/* What the facts of a composition dataset say to a question (n tokens): the entity after the last hop, and after the
 * first of several; HS_NO_ID where they say nothing. The second token is that of an entity of two. */
typedef struct hs_known {
    uint32_t answer, answer_second, bridge, bridge_second;
} hs_known;
hs_known hs_ask_known(const hs_dataset *data, const uint32_t *tokens, uint32_t n);

#endif
