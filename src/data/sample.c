/* sample.c - exact random samples by threshold.
 * Every candidate has a random 32-bit key that depends only on the seed and the candidate. Keeping the k smallest keys
 * of a class is a uniform sample of exactly k, the same whatever order or thread produced the keys. The threshold is
 * found by three counting passes over the key's bits (11 + 11 + 10), for all classes at once. */
#include "data/internal.h"

#include <string.h>

typedef struct threshold {
    uint32_t prefix; /* bits of the k-th smallest key found so far */
    uint64_t left;   /* candidates still to take among those that share the prefix */
    bool all;        /* no limit applies */
} threshold;

static const struct {
    uint32_t shift, bits;
} LEVELS[3] = {{21, 11}, {10, 11}, {0, 10}};

/* Count, per class, the next digit of the keys that share the prefix; then fix that digit. */
static void fix_digit(const uint16_t *cat, const uint32_t *key, uint64_t n, uint32_t level, threshold *t,
                      uint32_t n_cats, uint64_t *count)
{
    uint32_t shift = LEVELS[level].shift, bits = LEVELS[level].bits, mask = (1u << bits) - 1;
    memset(count, 0, (size_t)n_cats * 2048 * sizeof *count);
    for (uint64_t i = 0; i < n; i++) {
        uint16_t c = cat[i];
        if (c == HS_CAT_NONE || t[c].all)
            continue;
        if (level == 0 || key[i] >> (shift + bits) == t[c].prefix)
            count[(size_t)c * 2048 + (key[i] >> shift & mask)]++;
    }
    for (uint32_t c = 0; c < n_cats; c++) {
        if (t[c].all)
            continue;
        const uint64_t *digit = count + (size_t)c * 2048;
        uint32_t d = 0;
        while (d < mask && digit[d] < t[c].left)
            t[c].left -= digit[d++];
        t[c].prefix = t[c].prefix << bits | d;
    }
}

hs_status hs_select(uint16_t *cat, const uint32_t *key, uint64_t n, const uint64_t *limit, uint32_t n_cats,
                    hs_error *err)
{
    size_t bytes = (size_t)n_cats * 2048 * sizeof(uint64_t);
    threshold *t = hs_calloc(n_cats, sizeof *t);
    uint64_t *count = hs_alloc(bytes);
    if (!t || !count) {
        hs_free(t);
        hs_free(count);
        return hs_fail_memory(err, bytes);
    }
    memset(count, 0, bytes);
    for (uint64_t i = 0; i < n; i++)
        if (cat[i] != HS_CAT_NONE)
            count[cat[i]]++;
    for (uint32_t c = 0; c < n_cats; c++) {
        t[c].all = limit[c] >= count[c];
        t[c].left = limit[c];
    }
    for (uint32_t level = 0; level < 3; level++)
        fix_digit(cat, key, n, level, t, n_cats, count);
    for (uint64_t i = 0; i < n; i++) {
        uint16_t c = cat[i];
        if (c == HS_CAT_NONE || t[c].all || key[i] < t[c].prefix)
            continue;
        if (key[i] > t[c].prefix || t[c].left == 0)
            cat[i] = HS_CAT_NONE;
        else
            t[c].left--;
    }
    hs_free(t);
    hs_free(count);
    return HS_OK;
}
