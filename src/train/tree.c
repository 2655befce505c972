/* tree.c - the sum of the shard gradients by one fixed binary tree, whoever computed which shard.
 *
 * Step by step of the tree: a merge adds the partial sum that begins at shard `from` to the one that begins at `to`. A
 * rank owns consecutive shards; a merge of shards that are all its own it makes on the whole arrays. What is left, a
 * few partial sums a rank (its heads), is exchanged: a rank receives its slice of every head of the others, makes the
 * other merges there in the same order, and sends the slice of the total to all. So every element is added in the same
 * order for any number of ranks. Invariant: nothing is allocated once the tree stands. */
#include "train/tree.h"

#include "hopscope/tensor.h"

#include <string.h>

enum { CROSS = HS_MOST_RANKS }; /* `rank` of a merge that no rank can make alone */

typedef struct merge {
    uint32_t to, from, rank;
} merge;

struct hs_tree {
    hs_ranks *ranks; /* NULL: alone */
    uint32_t shards, n_merges, me;
    size_t n; /* floats of a gradient */
    merge *merge;
    float **grad;     /* (shards) borrowed: of own shards, and [0] */
    float **part;     /* (shards) this rank's slice of the partial sum that begins there */
    float **received; /* (shards) memory of `part` where another rank owns the shard */
    bool *head;       /* (shards) a partial sum that is exchanged */
    size_t *slice;    /* (n ranks + 1) where the slices begin */
    size_t *slice_bytes;
    hs_part *send, *receive;
    size_t most_parts;
};

uint32_t hs_tree_first_shard(uint32_t shards, uint32_t rank, uint32_t n_ranks)
{
    return (uint32_t)((uint64_t)shards * rank / n_ranks);
}

static uint32_t owner(const hs_tree *t, uint32_t shard)
{
    const uint32_t n = hs_ranks_count(t->ranks);
    uint32_t rank = 0;
    while (hs_tree_first_shard(t->shards, rank + 1, n) <= shard)
        rank++;
    return rank;
}

static void plan(hs_tree *t)
{
    for (uint32_t s = 0; s < t->shards; s++)
        t->head[s] = true;
    for (uint32_t stride = 1; stride < t->shards; stride *= 2)
        for (uint32_t s = 0; s + stride < t->shards; s += 2 * stride) {
            const uint32_t end = s + 2 * stride < t->shards ? s + 2 * stride : t->shards;
            const uint32_t first = owner(t, s), last = owner(t, end - 1);
            t->merge[t->n_merges++] = (merge){.to = s, .from = s + stride, .rank = first == last ? first : CROSS};
            t->head[s + stride] &= first != last;
        }
}

/* Slices begin at whole chunks, as the work on them does. */
static hs_status plan_parts(hs_tree *t, size_t chunk, hs_error *err)
{
    const uint32_t n = t->ranks->n;
    const size_t chunks = (t->n + chunk - 1) / chunk;
    for (uint32_t r = 0; r <= n; r++) {
        const size_t at = chunks * r / n * chunk;
        t->slice[r] = at < t->n ? at : t->n;
        t->slice_bytes[r] = t->slice[r] * sizeof(float);
    }
    const size_t first = t->slice[t->me], size = t->slice[t->me + 1] - first;
    for (uint32_t s = 0; s < t->shards; s++) {
        if (!t->head[s])
            continue;
        const bool own = owner(t, s) == t->me;
        if (!own && s > 0 && size > 0 && !(t->received[s] = hs_alloc(size * sizeof(float))))
            return hs_fail_memory(err, size * sizeof(float));
        t->part[s] = own || s == 0 ? t->grad[s] + first : t->received[s];
    }
    return HS_OK;
}

hs_status hs_tree_create(hs_tree **out, float **grad, uint32_t shards, size_t n, size_t chunk, hs_ranks *ranks,
                         hs_error *err)
{
    *out = NULL;
    hs_tree *t = hs_calloc(1, sizeof *t);
    if (!t)
        return hs_fail_memory(err, sizeof *t);
    const uint32_t count = hs_ranks_count(ranks);
    *t = (hs_tree){.ranks = ranks, .shards = shards, .n = n, .grad = grad, .me = ranks ? ranks->rank : 0};
    t->most_parts = (size_t)shards * count + 2 * (size_t)count;
    t->merge = hs_calloc(shards, sizeof *t->merge);
    t->part = hs_calloc(shards, sizeof *t->part);
    t->received = hs_calloc(shards, sizeof *t->received);
    t->head = hs_calloc(shards, sizeof *t->head);
    t->slice = hs_calloc(count + 1, sizeof *t->slice);
    t->slice_bytes = hs_calloc(count + 1, sizeof *t->slice_bytes);
    t->send = hs_calloc(t->most_parts, sizeof *t->send);
    t->receive = hs_calloc(t->most_parts, sizeof *t->receive);
    hs_status status = HS_OK;
    if (!t->merge || !t->part || !t->received || !t->head || !t->slice || !t->slice_bytes || !t->send || !t->receive)
        status = hs_fail_memory(err, t->most_parts * 2 * sizeof *t->send);
    if (status == HS_OK)
        plan(t);
    if (status == HS_OK && count > 1)
        status = plan_parts(t, chunk, err);
    if (status != HS_OK) {
        hs_tree_free(t);
        return status;
    }
    *out = t;
    return HS_OK;
}

void hs_tree_free(hs_tree *t)
{
    if (!t)
        return;
    for (uint32_t s = 0; t->received && s < t->shards; s++)
        hs_free(t->received[s]);
    hs_free(t->merge);
    hs_free(t->part);
    hs_free(t->received);
    hs_free(t->head);
    hs_free(t->slice);
    hs_free(t->slice_bytes);
    hs_free(t->send);
    hs_free(t->receive);
    hs_free(t);
}

void hs_tree_own(hs_tree *t, size_t first, size_t n)
{
    const hs_kernels *k = hs_kernels_get();
    for (uint32_t i = 0; i < t->n_merges; i++) {
        const merge *m = &t->merge[i];
        if (m->rank != t->me)
            continue;
        k->axpy(n, 1.0f, t->grad[m->from] + first, t->grad[m->to] + first);
        memset(t->grad[m->from] + first, 0, n * sizeof(float));
    }
}

hs_status hs_tree_exchange(hs_tree *t, void *result, size_t result_size, void *notice, size_t notice_size,
                           hs_error *err)
{
    const uint32_t n = hs_ranks_count(t->ranks);
    size_t n_send = 0, n_receive = 0;
    for (uint32_t k = 1; k < n; k++) { /* each rank begins with another peer */
        const uint32_t to = (t->me + k) % n, from = (t->me + n - k) % n;
        const size_t bytes_to = t->slice_bytes[to + 1] - t->slice_bytes[to];
        const size_t bytes_from = t->slice_bytes[t->me + 1] - t->slice_bytes[t->me];
        for (uint32_t s = 0; s < t->shards; s++) {
            const uint32_t of = t->head[s] ? owner(t, s) : CROSS;
            if (of == t->me && bytes_to > 0)
                t->send[n_send++] = (hs_part){to, t->grad[s] + t->slice[to], bytes_to};
            if (of == from && bytes_from > 0)
                t->receive[n_receive++] = (hs_part){from, t->part[s], bytes_from};
        }
        const size_t a = hs_tree_first_shard(t->shards, t->me, n), b = hs_tree_first_shard(t->shards, t->me + 1, n);
        const size_t c = hs_tree_first_shard(t->shards, from, n), d = hs_tree_first_shard(t->shards, from + 1, n);
        if (b > a)
            t->send[n_send++] = (hs_part){to, (char *)result + a * result_size, (b - a) * result_size};
        if (d > c)
            t->receive[n_receive++] = (hs_part){from, (char *)result + c * result_size, (d - c) * result_size};
        t->send[n_send++] = (hs_part){to, (char *)notice + t->me * notice_size, notice_size};
        t->receive[n_receive++] = (hs_part){from, (char *)notice + from * notice_size, notice_size};
    }
    return hs_ranks_exchange(t->ranks, t->send, n_send, t->receive, n_receive, err);
}

void hs_tree_slice(const hs_tree *t, size_t *first, size_t *n)
{
    *first = t->slice[t->me];
    *n = t->slice[t->me + 1] - *first;
}

void hs_tree_cross(hs_tree *t, size_t first, size_t n)
{
    const hs_kernels *k = hs_kernels_get();
    const size_t at = first - t->slice[t->me];
    for (uint32_t i = 0; i < t->n_merges; i++)
        if (t->merge[i].rank == CROSS)
            k->axpy(n, 1.0f, t->part[t->merge[i].from] + at, t->part[t->merge[i].to] + at);
}

hs_status hs_tree_share(hs_tree *t, hs_error *err)
{
    return hs_ranks_share(t->ranks, t->grad[0], t->slice_bytes, err);
}

void hs_tree_clear(hs_tree *t, size_t first, size_t n)
{
    for (uint32_t s = 1; s < t->shards; s++)
        if (t->head[s] && owner(t, s) == t->me)
            memset(t->grad[s] + first, 0, n * sizeof(float));
}
