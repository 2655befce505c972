/* fact_baselines.c - how far the trained facts alone get on a test split, without following a hop.
 *
 * A model that has learned its facts knows the head's own tails and what a relation usually leads to. Where the answer
 * of a query is another fact of its head (citizen of, beside born in and in country), or the usual tail of the last
 * relation, a high accuracy shows no second hop; baselines learned from training queries do not see that. */
#include "data/audit/audit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_QUERIES = 1 << 19 }; /* training queries that choose the head's relation, evenly spaced */

typedef struct hit {
    uint64_t key; /* of a relation path, or of a last relation */
    uint32_t relation;
} hit;

typedef struct reach {
    const hs_proof *proof;
    hs_audit_split *audit;
    uint32_t n_ids; /* entity numbers, or tokens, are below */
    hit *hits;      /* sorted; after choose(): one a key, its best relation */
    size_t n_hits, cap_hits;
} reach;

static bool is_trained(const hs_proof *p, uint64_t fact)
{
    return p->used[fact] & HS_PROOF_TRAINED;
}

static bool is_answer(const hs_dataset *d, const hs_split *s, uint64_t i, uint32_t entity)
{
    bool right = hs_dataset_entity_number(d, s->tokens + i * s->width + s->answer) == entity;
    for (uint64_t a = s->also_start ? s->also_start[i] : 0; s->also_start && a < s->also_start[i + 1]; a++)
        right |= s->also[a] == entity;
    return right;
}

static bool is_measured(const hs_split *s)
{
    return s->role == HS_SPLIT_TEST && s->n > 0 && hs_form_of(s->kind)->chain;
}

/* What stands in the prompt of the items of a split: head first, then the path of relations. */
typedef struct prompt {
    uint32_t head, column[HS_MAX_ROLES], n;
} prompt;

static prompt prompt_of(const hs_dataset *d, const hs_split *s)
{
    hs_role roles[HS_MAX_ROLES];
    prompt p = {0};
    uint32_t n = hs_split_roles(d, s, roles);
    p.head = roles[0].column;
    for (uint32_t k = 0; k < n; k++)
        if (roles[k].relation)
            p.column[p.n++] = roles[k].column;
    return p;
}

/* Key of the relations from place `from` on. */
static uint64_t path_key(const prompt *p, const uint32_t *tokens, uint32_t from)
{
    uint32_t path[HS_MAX_ROLES];
    for (uint32_t k = from; k < p->n; k++)
        path[k - from] = tokens[p->column[k]];
    return hs_hash(path, (p->n - from) * sizeof *path, from == 0 ? 1 : 2);
}

/* The trained facts of a head: [*first, end). */
static uint64_t facts_of_head(const hs_proof *p, uint32_t head, uint64_t *first)
{
    *first = head < p->n_heads ? p->head_start[head] : 0;
    return head < p->n_heads ? p->head_start[head + 1] : 0;
}

/* ---------------------------------------------------------------- another relation of the head */

static hs_status note_query(reach *r, const hs_split *s, const prompt *at, uint64_t i, hs_error *err)
{
    const hs_dataset *d = r->proof->data;
    const uint32_t *tokens = s->tokens + i * s->width;
    uint64_t first, end = facts_of_head(r->proof, hs_dataset_entity_number(d, tokens + at->head), &first);
    for (uint64_t f = first; f < end; f++) {
        if (!is_trained(r->proof, f) || !is_answer(d, s, i, d->facts[f].tail))
            continue;
        HS_TRY(hs_grow((void **)&r->hits, &r->cap_hits, r->n_hits + 2, sizeof *r->hits, err));
        r->hits[r->n_hits++] = (hit){path_key(at, tokens, 0), d->facts[f].relation};
        r->hits[r->n_hits++] = (hit){path_key(at, tokens, at->n - 1), d->facts[f].relation};
    }
    return HS_OK;
}

static int by_key(const void *a, const void *b)
{
    const hit *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->relation < y->relation ? -1 : x->relation > y->relation;
}

/* For each path, and each last relation, the relation of the head that led to the answer most often. */
static void choose(reach *r)
{
    size_t n = 0;
    if (r->n_hits > 0)
        qsort(r->hits, r->n_hits, sizeof *r->hits, by_key);
    for (size_t i = 0, j; i < r->n_hits; i = j) {
        size_t most = 0;
        hit best = r->hits[i];
        for (j = i; j < r->n_hits && r->hits[j].key == best.key;) {
            size_t k = j;
            while (k < r->n_hits && by_key(&r->hits[k], &r->hits[j]) == 0)
                k++;
            if (k - j > most) {
                most = k - j;
                best.relation = r->hits[j].relation;
            }
            j = k;
        }
        r->hits[n++] = best;
    }
    r->n_hits = n;
}

static hs_status learn(reach *r, hs_error *err)
{
    const hs_dataset *d = r->proof->data;
    uint64_t total = 0, number = 0;
    for (uint32_t k = 0; k < d->n_splits; k++)
        if (d->splits[k].role == HS_SPLIT_TRAIN && hs_form_of(d->splits[k].kind)->chain)
            total += d->splits[k].n;
    uint64_t step = total / MOST_QUERIES + 1;
    for (uint32_t k = 0; k < d->n_splits; k++) {
        const hs_split *s = &d->splits[k];
        if (s->role != HS_SPLIT_TRAIN || !hs_form_of(s->kind)->chain)
            continue;
        const prompt at = prompt_of(d, s);
        uint64_t i = (step - number % step) % step;
        for (; i < s->n; i += step)
            HS_TRY(note_query(r, s, &at, i, err));
        number += s->n;
    }
    choose(r);
    return HS_OK;
}

/* The tail that the head has under the relation chosen for `key`; false where it has none. */
static bool guess(const reach *r, uint32_t head, uint64_t key, uint32_t *tail)
{
    const hit wanted = {key, 0};
    size_t lo = 0, hi = r->n_hits;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (by_key(&r->hits[mid], &wanted) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == r->n_hits || r->hits[lo].key != key)
        return false;
    uint64_t first, end = hs_proof_facts_of(r->proof, head, r->hits[lo].relation, &first);
    while (first < end && !is_trained(r->proof, first))
        first++;
    if (first == end)
        return false;
    *tail = r->proof->data->facts[first].tail;
    return true;
}

static void measure_heads(const reach *r, uint32_t split)
{
    const hs_dataset *d = r->proof->data;
    const hs_split *s = &d->splits[split];
    const prompt at = prompt_of(d, s);
    uint64_t among = 0, chosen = 0;
    for (uint64_t i = 0; i < s->n; i++) {
        const uint32_t *tokens = s->tokens + i * s->width;
        uint32_t head = hs_dataset_entity_number(d, tokens + at.head), tail;
        uint64_t first, end = facts_of_head(r->proof, head, &first);
        bool found = false;
        for (uint64_t f = first; f < end && !found; f++)
            found = is_trained(r->proof, f) && is_answer(d, s, i, d->facts[f].tail);
        among += found;
        if (guess(r, head, path_key(&at, tokens, 0), &tail) || guess(r, head, path_key(&at, tokens, at.n - 1), &tail))
            chosen += is_answer(d, s, i, tail);
    }
    r->audit[split].baselines.own_tails = (double)among / (double)s->n;
    r->audit[split].baselines.own_relation = (double)chosen / (double)s->n;
}

/* ---------------------------------------------------------------- tails of the last relation */

/* Numbers sorted by relation: list[start[r]..start[r + 1]). */
typedef struct by_relation {
    uint64_t *start; /* (relations + 2) */
    uint64_t *list;
} by_relation;

static void by_relation_free(by_relation *b)
{
    hs_free(b->start);
    hs_free(b->list);
}

static hs_status facts_by_relation(by_relation *out, const hs_proof *p, hs_error *err)
{
    const hs_dataset *d = p->data;
    uint32_t n = d->vocab.n;
    out->start = hs_calloc((size_t)n + 2, sizeof *out->start);
    out->list = hs_alloc((size_t)(d->n_facts + 1) * sizeof *out->list);
    if (!out->start || !out->list)
        return hs_fail_memory(err, (size_t)d->n_facts * sizeof *out->list);
    for (uint64_t f = 0; f < d->n_facts; f++)
        out->start[d->facts[f].relation + 2] += is_trained(p, f);
    for (uint32_t r = 0; r < n; r++)
        out->start[r + 2] += out->start[r + 1];
    for (uint64_t f = 0; f < d->n_facts; f++)
        if (is_trained(p, f))
            out->list[out->start[d->facts[f].relation + 1]++] = f;
    return HS_OK;
}

/* Test items of chains, counted over all splits; first[k] is the number of the first one of split k. */
static hs_status items_by_relation(by_relation *out, const hs_dataset *d, uint64_t *first, hs_error *err)
{
    first[0] = 0;
    for (uint32_t k = 0; k < d->n_splits; k++)
        first[k + 1] = first[k] + (is_measured(&d->splits[k]) ? d->splits[k].n : 0);
    uint64_t total = first[d->n_splits];
    out->start = hs_calloc((size_t)d->vocab.n + 2, sizeof *out->start);
    out->list = hs_alloc((size_t)(total + 1) * sizeof *out->list);
    if (!out->start || !out->list)
        return hs_fail_memory(err, (size_t)total * sizeof *out->list);
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t k = 0; k < d->n_splits; k++) {
            const hs_split *s = &d->splits[k];
            if (!is_measured(s))
                continue;
            const prompt at = prompt_of(d, s);
            for (uint64_t i = 0; i < s->n; i++) {
                uint32_t relation = s->tokens[i * s->width + at.column[at.n - 1]];
                if (pass == 0)
                    out->start[relation + 2]++;
                else
                    out->list[out->start[relation + 1]++] = first[k] + i;
            }
        }
        for (uint32_t r = 0; pass == 0 && r < d->vocab.n; r++)
            out->start[r + 2] += out->start[r + 1];
    }
    return HS_OK;
}

typedef struct tails {
    by_relation facts, items;
    uint64_t *first; /* (splits + 1) */
    uint32_t *count; /* (n_ids) how often a tail of the relation at hand; zero between uses */
    uint32_t best, most, distinct;
} tails;

static void count_tails(const hs_dataset *d, tails *t, uint32_t relation)
{
    t->best = HS_NO_ID;
    t->most = t->distinct = 0;
    for (uint64_t k = t->facts.start[relation]; k < t->facts.start[relation + 1]; k++) {
        uint32_t tail = d->facts[t->facts.list[k]].tail, n = ++t->count[tail];
        t->distinct += n == 1;
        if (n > t->most || (n == t->most && tail < t->best)) {
            t->most = n;
            t->best = tail;
        }
    }
}

static void clear_tails(const hs_dataset *d, tails *t, uint32_t relation)
{
    for (uint64_t k = t->facts.start[relation]; k < t->facts.start[relation + 1]; k++)
        t->count[d->facts[t->facts.list[k]].tail] = 0;
}

/* The commonest tail of the last relation, and a random one of those it has: sums over the items of each split. */
static void measure_tails(const reach *r, tails *t)
{
    const hs_dataset *d = r->proof->data;
    for (uint32_t relation = 0; relation < d->vocab.n; relation++) {
        uint32_t split = 0;
        if (t->items.start[relation] == t->items.start[relation + 1])
            continue;
        count_tails(d, t, relation);
        for (uint64_t k = t->items.start[relation]; k < t->items.start[relation + 1]; k++) {
            while (t->first[split + 1] <= t->items.list[k])
                split++;
            const hs_split *s = &d->splits[split];
            uint64_t i = t->items.list[k] - t->first[split], right = 0;
            uint32_t answer = hs_dataset_entity_number(d, s->tokens + i * s->width + s->answer);
            right += answer < r->n_ids && t->count[answer] > 0;
            for (uint64_t a = s->also_start ? s->also_start[i] : 0; s->also_start && a < s->also_start[i + 1]; a++)
                right += s->also[a] < r->n_ids && t->count[s->also[a]] > 0;
            hs_baselines *b = &r->audit[split].baselines;
            b->random_tail += t->distinct ? (double)right / t->distinct : 0;
            b->fact_r2 += t->most > 0 && is_answer(d, s, i, t->best);
        }
        clear_tails(d, t, relation);
    }
}

static hs_status measure_relations(const reach *r, hs_error *err)
{
    const hs_dataset *d = r->proof->data;
    tails t = {.count = hs_calloc((size_t)r->n_ids + 1, sizeof *t.count),
               .first = hs_alloc(((size_t)d->n_splits + 1) * sizeof *t.first)};
    hs_status status = t.count && t.first ? facts_by_relation(&t.facts, r->proof, err) : hs_fail_memory(err, r->n_ids);
    if (status == HS_OK)
        status = items_by_relation(&t.items, d, t.first, err);
    for (uint32_t k = 0; status == HS_OK && k < d->n_splits; k++)
        if (is_measured(&d->splits[k]))
            r->audit[k].baselines.random_tail = r->audit[k].baselines.fact_r2 = 0;
    if (status == HS_OK)
        measure_tails(r, &t);
    for (uint32_t k = 0; status == HS_OK && k < d->n_splits; k++) {
        if (!is_measured(&d->splits[k]))
            continue;
        r->audit[k].baselines.random_tail /= (double)d->splits[k].n;
        r->audit[k].baselines.fact_r2 /= (double)d->splits[k].n;
    }
    by_relation_free(&t.facts);
    by_relation_free(&t.items);
    hs_free(t.count);
    hs_free(t.first);
    return status;
}

/* ---------------------------------------------------------------- all */

hs_status hs_audit_fact_baselines(const hs_proof *proof, hs_audit_split *split, hs_error *err)
{
    const hs_dataset *d = proof->data;
    bool any_fact = false, any_test = false;
    for (uint64_t f = 0; f < d->n_facts && !any_fact; f++)
        any_fact = is_trained(proof, f);
    for (uint32_t k = 0; k < d->n_splits; k++) {
        any_test |= is_measured(&d->splits[k]);
    }
    if (!any_fact || !any_test)
        return HS_OK;
    reach r = {.proof = proof, .audit = split, .n_ids = d->vocab.n};
    for (uint64_t f = 0; f < d->n_facts; f++)
        if (d->facts[f].tail >= r.n_ids)
            r.n_ids = d->facts[f].tail + 1;
    hs_status status = learn(&r, err);
    for (uint32_t k = 0; status == HS_OK && k < d->n_splits; k++)
        if (is_measured(&d->splits[k]))
            measure_heads(&r, k);
    if (status == HS_OK)
        status = measure_relations(&r, err);
    hs_free(r.hits);
    return status;
}
