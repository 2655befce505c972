/* learn.c - a tokenizer from text: the commonest pair of neighbours becomes a token, again and again (Sennrich et al., arXiv
 * 1508.07909, algorithm 1), over the distinct pieces of the text with their counts.
 *
 * A merge touches only the pieces that hold its pair: each pair keeps the list of pieces it was ever seen in. The heap may hold old
 * counts; an entry is believed when it agrees with the table. Equal counts: the pair of smaller ids, so that the order is total. */
#include "text/tokenizer.h"

#include <string.h>

enum { LONGEST_PIECE = 1024, LEAST_COUNT = 2 };
#define UNKNOWN "<unk>"

struct hs_tokenizer_learner {
    hs_names piece;
    uint64_t *count; /* (pieces) */
    size_t cap;
};

hs_status hs_tokenizer_learner_create(hs_tokenizer_learner **out, hs_error *err)
{
    *out = hs_calloc(1, sizeof **out);
    return *out ? HS_OK : hs_fail_memory(err, sizeof **out);
}

void hs_tokenizer_learner_free(hs_tokenizer_learner *l)
{
    if (!l)
        return;
    hs_names_free(&l->piece);
    hs_free(l->count);
    hs_free(l);
}

hs_status hs_tokenizer_learner_feed(hs_tokenizer_learner *l, const char *text, size_t len, hs_error *err)
{
    hs_pieces pieces;
    HS_TRY(hs_pieces_begin(&pieces, text, len, err));
    hs_status status = HS_OK;
    for (;;) {
        const char *piece;
        size_t n;
        uint32_t id;
        status = hs_pieces_next(&pieces, &piece, &n, err);
        if (status != HS_OK || n == 0)
            break;
        if (n > LONGEST_PIECE) /* no word; its bytes have tokens all the same */
            continue;
        const uint32_t known = l->piece.n;
        if ((status = hs_names_add(&l->piece, piece, n, &id, err)) != HS_OK ||
            (status = hs_grow((void **)&l->count, &l->cap, l->piece.n, sizeof *l->count, err)) != HS_OK)
            break;
        if (id == known)
            l->count[id] = 0;
        l->count[id]++;
    }
    hs_pieces_end(&pieces);
    return status;
}

/* ---------------------------------------------------------------- byte pairs */

typedef struct pair_entry {
    uint32_t left, right;
    uint64_t count;
    uint32_t seen; /* place + 1 in the pool of its list of pieces; 0 = none */
} pair_entry;
typedef struct seen_in {
    uint32_t piece, next;
} seen_in;
typedef struct waiting {
    uint64_t count;
    uint32_t left, right;
} waiting;

typedef struct learning {
    const hs_tokenizer_learner *l;
    hs_tokenizer *t;
    uint32_t *symbol; /* of all pieces, one after another */
    uint64_t *first;  /* (pieces) into symbol */
    uint32_t *length; /* (pieces) symbols left */
    uint32_t *stamp;  /* (pieces) the last merge that touched it */
    pair_entry *pair; /* (n_slots) open addressing; count 0 and seen 0: empty */
    size_t n_slots, n_pairs;
    seen_in *pool;
    size_t n_pool, cap_pool;
    waiting *heap;
    size_t n_heap, cap_heap;
    size_t cap_merges;
} learning;

static size_t pair_slot(const pair_entry *pair, size_t n_slots, uint32_t left, uint32_t right)
{
    const uint32_t key[2] = {left, right};
    size_t i = (size_t)hs_hash(key, sizeof key, 0) & (n_slots - 1);
    while (pair[i].seen && (pair[i].left != left || pair[i].right != right))
        i = (i + 1) & (n_slots - 1);
    return i;
}

static hs_status grow_pairs(learning *g, hs_error *err)
{
    const size_t n = g->n_slots ? 2 * g->n_slots : 4096;
    pair_entry *pair = hs_calloc(n, sizeof *pair);
    if (!pair)
        return hs_fail_memory(err, n * sizeof *pair);
    for (size_t i = 0; i < g->n_slots; i++)
        if (g->pair[i].seen)
            pair[pair_slot(pair, n, g->pair[i].left, g->pair[i].right)] = g->pair[i];
    hs_free(g->pair);
    g->pair = pair;
    g->n_slots = n;
    return HS_OK;
}

static bool more_common(waiting a, waiting b)
{
    if (a.count != b.count)
        return a.count > b.count;
    return a.left != b.left ? a.left < b.left : a.right < b.right;
}

static hs_status push(learning *g, waiting w, hs_error *err)
{
    HS_TRY(hs_grow((void **)&g->heap, &g->cap_heap, g->n_heap + 1, sizeof *g->heap, err));
    size_t i = g->n_heap++;
    for (; i > 0 && more_common(w, g->heap[(i - 1) / 2]); i = (i - 1) / 2)
        g->heap[i] = g->heap[(i - 1) / 2];
    g->heap[i] = w;
    return HS_OK;
}

static waiting pop(learning *g)
{
    const waiting top = g->heap[0], last = g->heap[--g->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < g->n_heap; i = child) {
        child += child + 1 < g->n_heap && more_common(g->heap[child + 1], g->heap[child]);
        if (!more_common(g->heap[child], last))
            break;
        g->heap[i] = g->heap[child];
    }
    g->heap[i] = last;
    return top;
}

/* The pair occurs in this piece once more. */
static hs_status add_pair(learning *g, uint32_t left, uint32_t right, uint32_t piece, hs_error *err)
{
    if (2 * (g->n_pairs + 1) > g->n_slots)
        HS_TRY(grow_pairs(g, err));
    pair_entry *p = &g->pair[pair_slot(g->pair, g->n_slots, left, right)];
    g->n_pairs += p->seen == 0;
    p->left = left;
    p->right = right;
    p->count += g->l->count[piece];
    if (p->seen && g->pool[p->seen - 1].piece == piece)
        return HS_OK;
    HS_TRY(hs_grow((void **)&g->pool, &g->cap_pool, g->n_pool + 1, sizeof *g->pool, err));
    if (g->n_pool >= UINT32_MAX - 1)
        return hs_fail(err, HS_ERR_DATA, "too much text to learn a tokenizer from");
    g->pool[g->n_pool] = (seen_in){piece, p->seen};
    p->seen = (uint32_t)++g->n_pool;
    return HS_OK;
}

static hs_status open_pieces(learning *g, hs_error *err)
{
    const hs_names *pieces = &g->l->piece;
    uint64_t total = 0;
    g->first = hs_alloc(((size_t)pieces->n + 1) * sizeof *g->first);
    g->length = hs_alloc(((size_t)pieces->n + 1) * sizeof *g->length);
    g->stamp = hs_calloc((size_t)pieces->n + 1, sizeof *g->stamp);
    g->symbol = hs_alloc((pieces->n ? (size_t)pieces->start[pieces->n] : 1) * sizeof *g->symbol);
    if (!g->first || !g->length || !g->stamp || !g->symbol)
        return hs_fail_memory(err, (size_t)pieces->n * 20);
    HS_TRY(grow_pairs(g, err));
    for (uint32_t i = 0; i < pieces->n; i++) {
        size_t len;
        const char *bytes = hs_token_bytes(pieces, i, &len);
        g->first[i] = total;
        g->length[i] = (uint32_t)len;
        for (size_t k = 0; k < len; k++) {
            g->symbol[total + k] = g->t->byte[(unsigned char)bytes[k]];
            if (k > 0)
                HS_TRY(add_pair(g, g->symbol[total + k - 1], g->symbol[total + k], i, err));
        }
        total += len;
    }
    for (size_t i = 0; i < g->n_slots; i++)
        if (g->pair[i].seen)
            HS_TRY(push(g, (waiting){g->pair[i].count, g->pair[i].left, g->pair[i].right}, err));
    return HS_OK;
}

/* Puts the new symbol into one piece; its pairs are taken out of the counts and the new ones entered. */
static hs_status merge_in(learning *g, uint32_t piece, const hs_merge *m, hs_error *err)
{
    uint32_t *s = g->symbol + g->first[piece], n = g->length[piece], kept = 0;
    for (uint32_t i = 0; i + 1 < n; i++)
        g->pair[pair_slot(g->pair, g->n_slots, s[i], s[i + 1])].count -= g->l->count[piece];
    for (uint32_t i = 0; i < n; i++, kept++) {
        const bool here = i + 1 < n && s[i] == m->left && s[i + 1] == m->right;
        s[kept] = here ? m->made : s[i];
        i += here;
    }
    g->length[piece] = kept;
    for (uint32_t i = 0; i + 1 < kept; i++)
        HS_TRY(add_pair(g, s[i], s[i + 1], piece, err));
    for (uint32_t i = 0; i + 1 < kept; i++)
        if (s[i] == m->made || s[i + 1] == m->made) {
            const pair_entry *p = &g->pair[pair_slot(g->pair, g->n_slots, s[i], s[i + 1])];
            HS_TRY(push(g, (waiting){p->count, p->left, p->right}, err));
        }
    return HS_OK;
}

static hs_status take_merge(learning *g, waiting w, hs_error *err)
{
    hs_tokenizer *t = g->t;
    size_t left_len, right_len;
    char bytes[2 * LONGEST_PIECE];
    const char *left = hs_token_bytes(&t->vocab, w.left, &left_len), *right = hs_token_bytes(&t->vocab, w.right, &right_len);
    memcpy(bytes, left, left_len);
    memcpy(bytes + left_len, right, right_len);
    hs_merge m = {w.left, w.right, 0};
    HS_TRY(hs_names_add(&t->vocab, bytes, left_len + right_len, &m.made, err));
    HS_TRY(hs_grow((void **)&t->merge, &g->cap_merges, (size_t)t->n_merges + 1, sizeof *t->merge, err));
    t->merge[t->n_merges++] = m;
    /* the list is walked as it is now: merging appends to lists, and may move the pool and the table */
    for (uint32_t at = g->pair[pair_slot(g->pair, g->n_slots, w.left, w.right)].seen; at;) {
        const seen_in entry = g->pool[at - 1];
        if (g->stamp[entry.piece] != t->n_merges) {
            g->stamp[entry.piece] = t->n_merges;
            HS_TRY(merge_in(g, entry.piece, &m, err));
        }
        at = entry.next;
    }
    return HS_OK;
}

static hs_status learn_pairs(learning *g, uint32_t size, hs_error *err)
{
    for (uint32_t b = 0; b < 256; b++) {
        const char byte = (char)b;
        HS_TRY(hs_names_add(&g->t->vocab, &byte, 1, &g->t->byte[b], err));
    }
    HS_TRY(open_pieces(g, err));
    while (g->t->vocab.n < size && g->n_heap) {
        const waiting w = pop(g);
        const uint64_t now = g->pair[pair_slot(g->pair, g->n_slots, w.left, w.right)].count;
        if (now < LEAST_COUNT)
            continue;
        if (now != w.count)
            HS_TRY(push(g, (waiting){now, w.left, w.right}, err));
        else
            HS_TRY(take_merge(g, w, err));
    }
    uint32_t bad;
    return hs_tokenizer_index(g->t, &bad, err);
}

static hs_status learn_words(const hs_tokenizer_learner *l, hs_tokenizer *t, hs_error *err)
{
    HS_TRY(hs_names_add(&t->vocab, UNKNOWN, strlen(UNKNOWN), &t->unknown, err));
    for (uint32_t i = 0; i < l->piece.n; i++) {
        size_t len;
        uint32_t id;
        const char *bytes = hs_token_bytes(&l->piece, i, &len);
        HS_TRY(hs_names_add(&t->vocab, bytes, len, &id, err));
    }
    return HS_OK;
}

hs_status hs_tokenizer_learner_finish(hs_tokenizer_learner *l, hs_tokenizer_kind kind, uint32_t size, hs_tokenizer **out,
                                      hs_error *err)
{
    *out = NULL;
    if (kind == HS_TOKENIZER_BPE && (size < HS_TOKENIZER_LEAST || size > HS_TOKENIZER_MOST)) {
        hs_fail(err, HS_ERR_DATA, "a tokenizer of byte pairs has %d to %d tokens, not %u", HS_TOKENIZER_LEAST, HS_TOKENIZER_MOST,
                size);
        return HS_ERR_DATA;
    }
    hs_tokenizer *t = hs_calloc(1, sizeof *t);
    if (!t)
        return hs_fail_memory(err, sizeof *t);
    t->kind = kind;
    learning g = {.l = l, .t = t};
    const hs_status status = kind == HS_TOKENIZER_BPE ? learn_pairs(&g, size, err) : learn_words(l, t, err);
    hs_free(g.symbol);
    hs_free(g.first);
    hs_free(g.length);
    hs_free(g.stamp);
    hs_free(g.pair);
    hs_free(g.pool);
    hs_free(g.heap);
    if (status != HS_OK)
        hs_tokenizer_free(t);
    else
        *out = t;
    return status;
}
