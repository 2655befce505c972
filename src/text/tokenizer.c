/* tokenizer.c - a tokenizer at work: the merges of a piece, ids to bytes.
 *
 * A piece's bytes are merged pair by pair, the pair of least rank first and the leftmost of equals, as `tokenizers` does; a heap
 * of the pairs at hand keeps a piece of any length near linear. */
#include "text/tokenizer.h"

#include <string.h>

const char *const hs_tokenizer_kind_names[] = {"words", "bpe", NULL};

void hs_ids_free(hs_ids *ids)
{
    hs_free(ids->id);
    *ids = (hs_ids){0};
}

void hs_tokenizer_free(hs_tokenizer *t)
{
    if (!t)
        return;
    hs_names_free(&t->vocab);
    hs_free(t->merge);
    hs_free(t->slot);
    hs_free(t);
}

hs_tokenizer_kind hs_tokenizer_kind_of(const hs_tokenizer *t)
{
    return t->kind;
}

uint32_t hs_tokenizer_size(const hs_tokenizer *t)
{
    return t->vocab.n;
}

const char *hs_token_bytes(const hs_names *vocab, uint32_t id, size_t *len)
{
    *len = (size_t)(vocab->start[id + 1] - vocab->start[id] - 1);
    return hs_names_get(vocab, id);
}

/* ---------------------------------------------------------------- pairs */

/* The slot of a pair, or the empty one where it would go. */
static uint32_t slot_of(const hs_tokenizer *t, uint32_t left, uint32_t right)
{
    const uint32_t pair[2] = {left, right};
    uint32_t i = (uint32_t)hs_hash(pair, sizeof pair, 0) & (t->n_slots - 1);
    while (t->slot[i]) {
        const hs_merge *m = &t->merge[t->slot[i] - 1];
        if (m->left == left && m->right == right)
            break;
        i = (i + 1) & (t->n_slots - 1);
    }
    return i;
}

hs_status hs_tokenizer_index(hs_tokenizer *t, uint32_t *bad, hs_error *err)
{
    for (t->n_slots = 16; t->n_slots < 2 * t->n_merges;)
        t->n_slots *= 2;
    t->slot = hs_calloc(t->n_slots, sizeof *t->slot);
    if (!t->slot)
        return hs_fail_memory(err, t->n_slots * sizeof *t->slot);
    for (uint32_t rank = 0; rank < t->n_merges; rank++) {
        const uint32_t i = slot_of(t, t->merge[rank].left, t->merge[rank].right);
        *bad = rank;
        if (t->slot[i])
            return hs_fail(err, HS_ERR_DATA, "a merge occurs twice");
        t->slot[i] = rank + 1;
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- one piece */

typedef struct symbol {
    uint32_t id;
    uint32_t before, after; /* places of the neighbours; NONE */
} symbol;
typedef struct candidate {
    uint32_t rank, at; /* the symbols at `at` and after it are that merge's pair, unless something changed since */
} candidate;
enum { NONE = UINT32_MAX };

typedef struct merging {
    const hs_tokenizer *t;
    symbol *symbol;
    candidate *heap;
    size_t n_heap, cap_symbols, cap_heap;
} merging;

static bool comes_first(candidate a, candidate b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void heap_push(merging *m, candidate c)
{
    size_t i = m->n_heap++;
    for (; i > 0 && comes_first(c, m->heap[(i - 1) / 2]); i = (i - 1) / 2)
        m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = c;
}

static candidate heap_pop(merging *m)
{
    const candidate top = m->heap[0], last = m->heap[--m->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < m->n_heap; i = child) {
        child += child + 1 < m->n_heap && comes_first(m->heap[child + 1], m->heap[child]);
        if (!comes_first(m->heap[child], last))
            break;
        m->heap[i] = m->heap[child];
    }
    m->heap[i] = last;
    return top;
}

/* Enters the pair at a place and after it, if it is one that merges. */
static void consider(merging *m, uint32_t at)
{
    if (at == NONE || m->symbol[at].after == NONE)
        return;
    const uint32_t slot = m->t->slot[slot_of(m->t, m->symbol[at].id, m->symbol[m->symbol[at].after].id)];
    if (slot)
        heap_push(m, (candidate){slot - 1, at});
}

/* Merges a piece of n bytes; place 0 is then the first symbol. */
static void merge_piece(merging *m, const char *piece, size_t n)
{
    const hs_tokenizer *t = m->t;
    m->n_heap = 0;
    for (size_t i = 0; i < n; i++)
        m->symbol[i] = (symbol){t->byte[(unsigned char)piece[i]], i ? (uint32_t)i - 1 : NONE, i + 1 < n ? (uint32_t)i + 1 : NONE};
    for (uint32_t i = 0; i < n; i++)
        consider(m, i);
    while (m->n_heap) {
        const candidate c = heap_pop(m);
        const hs_merge *merge = &t->merge[c.rank];
        symbol *left = &m->symbol[c.at];
        if (left->id != merge->left || left->after == NONE || m->symbol[left->after].id != merge->right)
            continue;
        symbol *right = &m->symbol[left->after];
        left->id = merge->made;
        left->after = right->after;
        right->id = NONE;
        if (left->after != NONE)
            m->symbol[left->after].before = c.at;
        consider(m, left->before);
        consider(m, c.at);
    }
}

static hs_status add_id(hs_ids *out, uint32_t id, hs_error *err)
{
    HS_TRY(hs_grow((void **)&out->id, &out->cap, out->n + 1, sizeof *out->id, err));
    out->id[out->n++] = id;
    return HS_OK;
}

static hs_status add_merged(merging *m, const char *piece, size_t n, hs_ids *out, hs_error *err)
{
    if (n > UINT32_MAX / 4)
        return hs_fail(err, HS_ERR_DATA, "a word of more than a gigabyte");
    HS_TRY(hs_grow((void **)&m->symbol, &m->cap_symbols, n, sizeof *m->symbol, err));
    HS_TRY(hs_grow((void **)&m->heap, &m->cap_heap, 3 * n, sizeof *m->heap, err)); /* n at first, two more a merge */
    merge_piece(m, piece, n);
    for (uint32_t at = 0; at != NONE; at = m->symbol[at].after)
        HS_TRY(add_id(out, m->symbol[at].id, err));
    return HS_OK;
}

static hs_status encode(const hs_tokenizer *t, hs_pieces *pieces, merging *m, hs_ids *out, hs_error *err)
{
    for (;;) {
        const char *piece;
        size_t n;
        HS_TRY(hs_pieces_next(pieces, &piece, &n, err));
        if (n == 0)
            return HS_OK;
        if (t->kind == HS_TOKENIZER_BPE) {
            HS_TRY(add_merged(m, piece, n, out, err));
            continue;
        }
        const uint32_t id = hs_names_find(&t->vocab, piece, n);
        HS_TRY(add_id(out, id == HS_NO_ID ? t->unknown : id, err));
    }
}

hs_status hs_tokenizer_encode(const hs_tokenizer *t, const char *text, size_t len, hs_ids *out, hs_error *err)
{
    hs_pieces pieces;
    merging m = {.t = t};
    const size_t before = out->n;
    HS_TRY(hs_pieces_begin(&pieces, text, len, err));
    const hs_status status = encode(t, &pieces, &m, out, err);
    hs_pieces_end(&pieces);
    hs_free(m.symbol);
    hs_free(m.heap);
    if (status != HS_OK)
        out->n = before;
    return status;
}

void hs_tokenizer_decode(const hs_tokenizer *t, const uint32_t *id, size_t n, hs_str *out)
{
    for (size_t i = 0; i < n; i++) {
        size_t len;
        if (id[i] >= t->vocab.n)
            continue;
        const char *bytes = hs_token_bytes(&t->vocab, id[i], &len);
        hs_str_add(out, bytes, len);
    }
}
