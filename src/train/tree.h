/* tree.h - the sum of the shard gradients by one fixed binary tree, whoever computed which shard. */
#ifndef HOPSCOPE_TRAIN_TREE_H
#define HOPSCOPE_TRAIN_TREE_H

#include "hopscope/core.h"

/* Shards of a rank: [first_shard(rank), first_shard(rank + 1)); none where there are more ranks than shards. */
uint32_t hs_tree_first_shard(uint32_t shards, uint32_t rank, uint32_t n_ranks);

/* Alone (`ranks` NULL) hs_tree_own is all there is to do; with others, in this order: hs_tree_own everywhere,
 * hs_tree_exchange, hs_tree_cross on the slice, hs_tree_share, hs_tree_clear everywhere. grad[0] then is the total on
 * every rank, and the other gradients are zero. */
typedef struct hs_tree hs_tree;
/* Borrows grad (shards), each (n) or NULL: a rank has those of its shards, and the first. Slices are made of whole
 * chunks. */
hs_status hs_tree_create(hs_tree **out, float **grad, uint32_t shards, size_t n, size_t chunk, hs_ranks *ranks,
                         hs_error *err);
void hs_tree_free(hs_tree *tree);
/* The merges that this rank can make alone, on elements [first, first + n) of every gradient. */
void hs_tree_own(hs_tree *tree, size_t first, size_t n);
/* Partial sums to where they are added. With them go result (shards) of `result_size` bytes, each of its shard's rank,
 * and notice (ranks) of `notice_size` bytes, each of its rank: afterwards every rank has all of both. */
hs_status hs_tree_exchange(hs_tree *tree, void *result, size_t result_size, void *notice, size_t notice_size,
                           hs_error *err);
/* The slice that this rank adds, and the merges that are left, on elements [first, first + n) of it. */
void hs_tree_slice(const hs_tree *tree, size_t *first, size_t *n);
void hs_tree_cross(hs_tree *tree, size_t first, size_t n);
/* Every slice of the total to every rank. */
hs_status hs_tree_share(hs_tree *tree, hs_error *err);
/* Zeroes what was exchanged, but for the total. */
void hs_tree_clear(hs_tree *tree, size_t first, size_t n);

#endif
