/* composition_cover.c - every hop of a held-out II query is used, in the same place, by some training query.
 * Held-out queries are looked at in the order of their random keys. One whose hops are used already stays; another goes
 * back to training when all queries are wanted (phi = 0), where it covers its own hops for the following ones, and is
 * dropped when phi fixes the number of training queries. Use only grows, so what stays is covered at the end. */
#include "data/composition.h"

#include <stdlib.h>
#include <string.h>

typedef struct held_out {
    uint32_t key;
    uint32_t edge[HS_MAX_HOPS];
    uint64_t at;
} held_out;

static int by_key(const void *a, const void *b)
{
    const held_out *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Marks the facts that training uses at each hop place, and lists the held-out queries. */
static void scan(hs_composition *c, uint8_t *used, held_out *list, uint64_t *n)
{
    hs_walk *walk = &c->walk[0];
    for (uint32_t h = 0; h < c->kg.n_entities; h++) {
        hs_walk_head(walk, &c->kg, c->hops, h);
        for (uint32_t i = 0; i < walk->n; i++) {
            uint64_t at = c->first[h] + i;
            if (c->cat[at] == HS_CAT_TRAIN) {
                for (uint32_t k = 0; k < c->hops; k++)
                    used[walk->query[i].edge[k]] |= (uint8_t)(1u << k);
            } else if (c->cat[at] == HS_CAT_TEST) {
                list[*n].key = c->key[at];
                list[*n].at = at;
                memcpy(list[*n].edge, walk->query[i].edge, sizeof list[*n].edge);
                ++*n;
            }
        }
    }
}

hs_status hs_composition_cover(hs_composition *c, hs_error *err)
{
    uint64_t n = 0, total = 0;
    for (uint64_t i = 0; i < c->first[c->kg.n_entities]; i++)
        total += c->cat[i] == HS_CAT_TEST;
    held_out *list = hs_alloc((size_t)(total ? total : 1) * sizeof *list);
    uint8_t *used = hs_calloc(c->kg.n_facts, 1);
    if (!list || !used) {
        hs_free(list);
        hs_free(used);
        return hs_fail_memory(err, (size_t)total * sizeof *list);
    }
    scan(c, used, list, &n);
    qsort(list, (size_t)n, sizeof *list, by_key);
    for (uint64_t i = 0; i < n; i++) {
        bool covered = true;
        for (uint32_t k = 0; k < c->hops; k++)
            covered &= used[list[i].edge[k]] >> k & 1;
        if (covered)
            continue;
        bool back = c->config->phi == 0 || c->config->quirk_float_phi;
        c->cat[list[i].at] = back ? HS_CAT_TRAIN : HS_CAT_NONE;
        for (uint32_t k = 0; back && k < c->hops; k++)
            used[list[i].edge[k]] |= (uint8_t)(1u << k);
    }
    hs_free(list);
    hs_free(used);
    return HS_OK;
}
