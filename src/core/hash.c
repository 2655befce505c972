/* hash.c - the content hash: XXH3, 64 bits. */
#include "hopscope/core.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hs_hash(const void *data, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, len, seed);
}
