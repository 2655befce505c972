/* rope.h - rotary positions as Hugging Face's Llama turns them: element i of a head and element i + dh/2 are a pair,
 * turned by position / theta^(2i/dh) (Su et al., arXiv 2104.09864). */
#ifndef HOPSCOPE_MODEL_ROPE_H
#define HOPSCOPE_MODEL_ROPE_H

#include "model/clones.h"

#include <stddef.h>
#include <stdint.h>

/* cosine, sine (T, dh/2) out. */
void hs_rope_table(size_t T, size_t dh, float theta, float *cosine, float *sine);
/* Turn the H heads of one row x (H*dh), forwards (sign 1) or backwards (sign -1, which is the gradient). cosine, sine:
 * the position's row of the table. */
HS_CLONED void hs_rope_row(size_t H, size_t dh, const float *cosine, const float *sine, float sign, float *x);

#endif
