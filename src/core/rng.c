/* rng.c - Philox4x32-10 and the streams, permutations and distributions built on it.
 *
 * Invariant: a number depends only on its stream's name and its place in the stream; there is no state to save.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11, section 3.3. */
#include "hopscope/core.h"

#include <assert.h>
#include <math.h>

void hs_philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void hs_rng_init(hs_rng *rng, uint64_t seed, uint32_t purpose, uint64_t step, uint32_t index)
{
    /* The upper half of `step` is folded into the purpose word: steps beyond 2^32 stay distinct streams. */
    *rng = (hs_rng){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                    .ctr = {0, index, (uint32_t)step, purpose ^ ((uint32_t)(step >> 32) * 0x9E3779B9u)},
                    .used = 4};
}

uint32_t hs_rng_u32(hs_rng *rng)
{
    if (rng->used == 4) {
        hs_philox(rng->ctr, rng->key, rng->out);
        rng->ctr[0]++;
        rng->used = 0;
    }
    return rng->out[rng->used++];
}

uint64_t hs_rng_u64(hs_rng *rng)
{
    uint64_t low = hs_rng_u32(rng);
    return low | (uint64_t)hs_rng_u32(rng) << 32;
}

uint64_t hs_rng_below(hs_rng *rng, uint64_t n)
{
    assert(n > 0);
    if (n <= UINT32_MAX) {
        uint32_t bound = (uint32_t)n;
        uint64_t product = (uint64_t)hs_rng_u32(rng) * bound;
        if ((uint32_t)product < bound) {
            uint32_t threshold = (0u - bound) % bound;
            while ((uint32_t)product < threshold)
                product = (uint64_t)hs_rng_u32(rng) * bound;
        }
        return product >> 32;
    }
    uint64_t limit = UINT64_MAX - UINT64_MAX % n;
    uint64_t x = hs_rng_u64(rng);
    while (x >= limit)
        x = hs_rng_u64(rng);
    return x % n;
}

double hs_rng_uniform(hs_rng *rng)
{
    return (double)(hs_rng_u64(rng) >> 11) * 0x1.0p-53;
}

double hs_rng_normal(hs_rng *rng)
{
    double u = 1.0 - hs_rng_uniform(rng); /* (0, 1]: the logarithm is finite */
    double v = hs_rng_uniform(rng);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

void hs_rng_shuffle_u32(hs_rng *rng, uint32_t *x, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)hs_rng_below(rng, i);
        uint32_t t = x[i - 1];
        x[i - 1] = x[j];
        x[j] = t;
    }
}

uint64_t hs_permute(uint64_t seed, uint32_t purpose, uint64_t step, uint64_t n, uint64_t i)
{
    assert(i < n && n <= (uint64_t)1 << 62);
    uint32_t half = 1; /* bits of each Feistel half: 2^(2*half) >= n */
    while (((uint64_t)1 << (2 * half)) < n)
        half++;
    const uint64_t mask = ((uint64_t)1 << half) - 1;
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint64_t x = i;
    do {
        uint64_t left = x >> half, right = x & mask;
        for (uint32_t round = 0; round < 4; round++) {
            const uint32_t ctr[4] = {(uint32_t)right, round, (uint32_t)step,
                                     purpose ^ ((uint32_t)(step >> 32) * 0x9E3779B9u)};
            uint32_t out[4];
            hs_philox(ctr, key, out);
            uint64_t swapped = left ^ (out[0] & mask);
            left = right;
            right = swapped;
        }
        x = left << half | right;
    } while (x >= n); /* cycle walking: at most 4 rounds expected, since 2^(2 half) < 4 n */
    return x;
}
