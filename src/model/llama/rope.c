/* rope.c - see rope.h. The table is computed in double; the rotation is element-wise. */
#include "model/llama/rope.h"

#include "model/clones.h"

#include <math.h>

void hs_rope_table(size_t T, size_t dh, float theta, float *cosine, float *sine)
{
    const size_t half = dh / 2;
    for (size_t i = 0; i < half; i++) {
        const double frequency = pow((double)theta, -2.0 * (double)i / (double)dh);
        for (size_t t = 0; t < T; t++) {
            cosine[t * half + i] = (float)cos((double)t * frequency);
            sine[t * half + i] = (float)sin((double)t * frequency);
        }
    }
}

HS_CLONES void hs_rope_row(size_t H, size_t dh, const float *restrict cosine, const float *restrict sine, float sign,
                           float *restrict x)
{
    const size_t half = dh / 2;
    for (size_t h = 0; h < H; h++, x += dh)
        for (size_t i = 0; i < half; i++) {
            const float a = x[i], b = x[i + half], s = sign * sine[i];
            x[i] = a * cosine[i] - b * s;
            x[i + half] = b * cosine[i] + a * s;
        }
}
