/* new_facts.c - a finetuning set of new facts over a dataset (arXiv 2601.09049, 5.1), in two forms.
 *
 * code   the released program: facts are taken in random order together with every training query that uses them, those
 *        that fit into `keep` facts and queries; then the cheapest facts fill the rest.
 * paper  `keep` ID facts and every training query both of whose hops are kept.
 * New facts come in chains (a, r1, b), (b, r2, t) of uniform entities and relations that the heads do not have yet.
 * They are trained as facts only: test_new_new has both hops new, test_new_old and test_old_new one new and one kept
 * fact. */
#include "data/internal.h"

#include <stdlib.h>
#include <string.h>

#define PURPOSE_KEEP HS_PURPOSE('N', 'E', 'W', 'K')
#define PURPOSE_CHAIN HS_PURPOSE('N', 'E', 'W', 'C')
#define PURPOSE_TEST HS_PURPOSE('N', 'E', 'W', 'T')

enum { KEPT = 16, NEW = 32 };

typedef struct work {
    const hs_dataset *base;
    const hs_new_facts_config *config;
    hs_dataset *out;
    uint64_t n_queries;
    uint32_t (*hop)[2];   /* (n_queries) facts of a training query, split after split */
    const uint32_t **at;  /* (n_queries) its tokens */
    const hs_split *form; /* of the training queries */
    uint64_t *dep_start;  /* (n_facts + 1) */
    uint32_t *dep;        /* queries that use a fact */
    uint8_t *fact_kept, *query_kept;
    hs_fact *fresh; /* (new_facts) */
} work;

void hs_new_facts_config_default(hs_new_facts_config *config)
{
    *config = (hs_new_facts_config){.seed = 1, .new_facts = 2000, .keep = 8000, .test_max = 3000};
}

/* ---------------------------------------------------------------- what depends on what */

static hs_status check_base(work *w, hs_error *err)
{
    const hs_dataset *d = w->base;
    for (uint32_t k = 0; k < d->n_splits; k++) {
        const hs_split *s = &d->splits[k];
        if (s->also_start || (s->kind == HS_ITEM_QUERY && s->hops != 2) || s->kind == HS_ITEM_COMPARE ||
            s->kind == HS_ITEM_OTHER)
            w->form = s; /* not usable */
        if (w->form == s || d->tokens_per_entity != 1 || d->n_facts >= UINT32_MAX / 2) {
            hs_fail(err, HS_ERR_DATA,
                    "new facts are made for two-hop composition, one token an entity, one tail a fact");
            return hs_error_where(err, "split %s", s->name);
        }
    }
    w->form = hs_dataset_split(d, "train_inferred");
    if (!w->form || w->form->kind != HS_ITEM_QUERY)
        return hs_fail(err, HS_ERR_DATA, "the dataset has no split train_inferred of queries");
    if (w->config->new_facts % 2 != 0 || w->config->new_facts == 0) {
        hs_fail(err, HS_ERR_DATA, "new facts are made in chains of two");
        return hs_error_hint(err, "possible: an even number above 0");
    }
    return HS_OK;
}

static hs_status index_queries(work *w, hs_error *err)
{
    const hs_dataset *d = w->base;
    for (uint32_t k = 0; k < d->n_splits; k++)
        if (d->splits[k].role == HS_SPLIT_TRAIN && d->splits[k].kind == HS_ITEM_QUERY)
            w->n_queries += d->splits[k].n;
    if (w->n_queries >= UINT32_MAX / 2)
        return hs_fail(err, HS_ERR_DATA, "too many training queries");
    w->hop = hs_alloc((w->n_queries + 1) * sizeof *w->hop);
    w->at = hs_alloc((w->n_queries + 1) * sizeof *w->at);
    w->dep_start = hs_calloc(d->n_facts + 2, sizeof *w->dep_start);
    w->dep = hs_alloc((2 * w->n_queries + 1) * sizeof *w->dep);
    w->fact_kept = hs_calloc(d->n_facts + 1, 1);
    w->query_kept = hs_calloc(w->n_queries + 1, 1);
    w->fresh = hs_alloc(w->config->new_facts * sizeof *w->fresh);
    if (!w->hop || !w->at || !w->dep_start || !w->dep || !w->fact_kept || !w->query_kept || !w->fresh)
        return hs_fail_memory(err, w->n_queries * sizeof *w->hop);
    uint64_t q = 0;
    for (uint32_t k = 0; k < d->n_splits; k++) {
        const hs_split *s = &d->splits[k];
        for (uint64_t i = 0; s->role == HS_SPLIT_TRAIN && s->kind == HS_ITEM_QUERY && i < s->n; i++, q++) {
            const uint32_t *t = s->tokens + i * s->width;
            uint32_t head = t[0];
            for (uint32_t hop = 0; hop < 2; hop++) {
                uint64_t first, last;
                hs_dataset_facts_of(d, head, t[1 + hop], &first, &last);
                if (last != first + 1)
                    return hs_fail(err, HS_ERR_DATA, "a training query does not follow from the facts");
                w->hop[q][hop] = (uint32_t)first;
                w->dep_start[first + 2]++;
                head = d->facts[first].tail;
            }
            w->at[q] = t;
        }
    }
    for (uint64_t f = 0; f < d->n_facts; f++)
        w->dep_start[f + 2] += w->dep_start[f + 1];
    for (q = 0; q < w->n_queries; q++)
        for (uint32_t hop = 0; hop < 2; hop++)
            w->dep[w->dep_start[w->hop[q][hop] + 1]++] = (uint32_t)q;
    return HS_OK;
}

/* ---------------------------------------------------------------- what is kept */

/* Items that keeping this fact adds: itself and its queries that are not kept yet. */
static uint64_t cost_of(const work *w, uint32_t fact)
{
    uint64_t cost = 1;
    for (uint64_t i = w->dep_start[fact]; i < w->dep_start[fact + 1]; i++) {
        bool twice = i > w->dep_start[fact] && w->dep[i] == w->dep[i - 1]; /* both hops are this fact */
        cost += !w->query_kept[w->dep[i]] && !twice;
    }
    return cost;
}

static void keep_fact(work *w, uint32_t fact)
{
    w->fact_kept[fact] = 1;
    for (uint64_t i = w->dep_start[fact]; i < w->dep_start[fact + 1]; i++)
        w->query_kept[w->dep[i]] = 1;
}

typedef struct priced {
    uint64_t cost;
    uint32_t place, fact;
} priced;

static int by_cost(const void *a, const void *b)
{
    const priced *x = a, *y = b;
    if (x->cost != y->cost)
        return x->cost < y->cost ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static hs_status keep_as_code(work *w, uint32_t *order, uint32_t n, hs_error *err)
{
    uint64_t total = 0, keep = w->config->keep;
    uint32_t left = 0;
    priced *rest = hs_alloc(((size_t)n + 1) * sizeof *rest);
    if (!rest)
        return hs_fail_memory(err, n * sizeof *rest);
    for (uint32_t i = 0; i < n && total < keep; i++) {
        uint64_t cost = cost_of(w, order[i]);
        if (total + cost > keep) {
            rest[left++] = (priced){0, i, order[i]};
            continue;
        }
        keep_fact(w, order[i]);
        total += cost;
    }
    for (uint32_t k = 0; k < left && total < keep; k++)
        rest[k].cost = cost_of(w, rest[k].fact);
    qsort(rest, left, sizeof *rest, by_cost);
    for (uint32_t k = 0; k < left && total < keep; k++) {
        uint64_t cost = cost_of(w, rest[k].fact);
        if (total + cost > keep)
            continue;
        keep_fact(w, rest[k].fact);
        total += cost;
    }
    hs_free(rest);
    return HS_OK;
}

static void keep_as_paper(work *w, const uint32_t *order, uint32_t n)
{
    uint32_t left = w->config->keep;
    for (uint32_t i = 0; i < n && left > 0; i++) {
        if (w->base->fact_flags[order[i]] & HS_FACT_OOD)
            continue;
        w->fact_kept[order[i]] = 1;
        left--;
    }
    for (uint64_t q = 0; q < w->n_queries; q++)
        w->query_kept[q] = w->fact_kept[w->hop[q][0]] && w->fact_kept[w->hop[q][1]];
}

static hs_status choose_kept(work *w, hs_error *err)
{
    uint32_t n = (uint32_t)w->base->n_facts;
    uint32_t *order = hs_alloc(((size_t)n + 1) * sizeof *order);
    if (!order)
        return hs_fail_memory(err, n * sizeof *order);
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    hs_rng rng;
    hs_rng_init(&rng, w->config->seed, PURPOSE_KEEP, 0, 0);
    hs_rng_shuffle_u32(&rng, order, n);
    hs_status status = HS_OK;
    if (w->config->paper)
        keep_as_paper(w, order, n);
    else
        status = keep_as_code(w, order, n, err);
    hs_free(order);
    return status;
}

/* ---------------------------------------------------------------- what is new */

static bool relation_taken(const work *w, const uint32_t *last_of, const uint32_t *before, uint32_t head,
                           uint32_t relation)
{
    uint64_t first, last;
    hs_dataset_facts_of(w->base, head, relation, &first, &last);
    bool taken = first < last;
    for (uint32_t i = last_of[head]; i != UINT32_MAX && !taken; i = before[i])
        taken = w->fresh[i].relation == relation;
    return taken;
}

/* A relation the head does not have, uniformly; HS_NO_ID if it has them all. */
static uint32_t free_relation(const work *w, const uint32_t *last_of, const uint32_t *before, uint32_t head,
                              hs_rng *rng)
{
    uint32_t R = w->base->n_relations, first = w->base->n_entities, n = 0, chosen = HS_NO_ID;
    for (uint32_t tries = 0; tries < 64; tries++) {
        uint32_t r = first + (uint32_t)hs_rng_below(rng, R);
        if (!relation_taken(w, last_of, before, head, r))
            return r;
    }
    for (uint32_t r = first; r < first + R; r++)
        if (!relation_taken(w, last_of, before, head, r) && hs_rng_below(rng, ++n) == 0)
            chosen = r;
    return chosen;
}

static hs_status make_new(work *w, hs_error *err)
{
    uint32_t E = w->base->n_entities, n = 0, failures = 0;
    uint32_t *last_of = hs_alloc((size_t)E * sizeof *last_of),
             *before = hs_alloc(w->config->new_facts * sizeof *before);
    if (!last_of || !before) {
        hs_free(last_of);
        hs_free(before);
        return hs_fail_memory(err, E * sizeof *last_of);
    }
    memset(last_of, 0xff, (size_t)E * sizeof *last_of);
    hs_rng rng;
    hs_rng_init(&rng, w->config->seed, PURPOSE_CHAIN, 0, 0);
    while (n < w->config->new_facts && failures < 10000) {
        uint32_t chain[3] = {(uint32_t)hs_rng_below(&rng, E), (uint32_t)hs_rng_below(&rng, E),
                             (uint32_t)hs_rng_below(&rng, E)};
        uint32_t made = n;
        for (uint32_t k = 0; k < 2; k++) {
            uint32_t r = free_relation(w, last_of, before, chain[k], &rng);
            if (r == HS_NO_ID)
                break;
            w->fresh[n] = (hs_fact){chain[k], r, chain[k + 1]};
            before[n] = last_of[chain[k]];
            last_of[chain[k]] = n++;
        }
        if (n < made + 2) { /* the second head has no free relation: take the first back */
            failures++;
            if (n > made) {
                last_of[chain[0]] = before[made];
                n = made;
            }
        }
    }
    hs_free(last_of);
    hs_free(before);
    if (n == w->config->new_facts)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "the heads have too few unused relations for %u new facts", w->config->new_facts);
    return hs_error_hint(err, "possible: about %u", n);
}

/* ---------------------------------------------------------------- the new dataset */

/* Old and new facts together; `state` says which are kept and new. New facts are never a hop of training: OOD. */
static hs_status merge_facts(work *w, uint8_t **state, hs_error *err)
{
    hs_dataset *d = w->out;
    uint64_t n = w->base->n_facts + w->config->new_facts, i = 0, j = 0;
    d->facts = hs_alloc(n * sizeof *d->facts);
    d->fact_flags = hs_alloc(n);
    *state = hs_calloc(n, 1);
    if (!d->facts || !d->fact_flags || !*state)
        return hs_fail_memory(err, n * sizeof *d->facts);
    qsort(w->fresh, w->config->new_facts, sizeof *w->fresh, hs_fact_compare);
    for (uint64_t k = 0; k < n; k++) {
        bool old = j == w->config->new_facts ||
                   (i < w->base->n_facts && hs_fact_compare(&w->base->facts[i], &w->fresh[j]) < 0);
        d->facts[k] = old ? w->base->facts[i] : w->fresh[j];
        d->fact_flags[k] = old ? w->base->fact_flags[i] : HS_FACT_OOD;
        (*state)[k] = old ? (w->fact_kept[i] ? KEPT : 0) : NEW;
        if (old)
            i++;
        else
            j++;
    }
    d->n_facts = n;
    return HS_OK;
}

static hs_status add_fact_split(work *w, const char *name, const uint8_t *state, uint8_t which, uint32_t end,
                                hs_error *err)
{
    hs_dataset *d = w->out;
    hs_split form = {.role = HS_SPLIT_TRAIN, .kind = HS_ITEM_FACT, .hops = 1, .prompt = 2, .answer = 2, .answers = 1},
             *s;
    form.width = 3 + (end != HS_NO_ID);
    for (uint64_t i = 0; i < d->n_facts; i++)
        form.n += state[i] == which;
    if (form.n == 0)
        return HS_OK;
    strcpy(form.name, name);
    HS_TRY(hs_dataset_add_split(d, &form, false, false, &s, err));
    uint32_t *at = s->tokens;
    for (uint64_t i = 0; i < d->n_facts; i++) {
        if (state[i] != which)
            continue;
        *at++ = d->facts[i].head;
        *at++ = d->facts[i].relation;
        *at++ = d->facts[i].tail;
        if (end != HS_NO_ID)
            *at++ = end;
    }
    return HS_OK;
}

/* The kept ones of the queries first..last as the split `name`. */
static hs_status add_kept_queries(work *w, const char *name, uint64_t first, uint64_t last, hs_error *err)
{
    hs_split form = *w->form, *s;
    form.n = 0;
    for (uint64_t q = first; q < last; q++)
        form.n += w->query_kept[q];
    if (form.n == 0)
        return HS_OK;
    strcpy(form.name, name);
    HS_TRY(hs_dataset_add_split(w->out, &form, false, false, &s, err));
    uint64_t item = 0;
    for (uint64_t q = first; q < last; q++) {
        if (!w->query_kept[q])
            continue;
        memcpy(s->tokens + item * s->width, w->at[q], s->width * sizeof *s->tokens);
        s->bridge[item++] = w->base->facts[w->hop[q][0]].tail;
    }
    return HS_OK;
}

/* Queries of fact-level augmentation stay apart: they have OOD hops on purpose. */
static hs_status add_all_kept_queries(work *w, hs_error *err)
{
    uint64_t first = 0;
    for (uint32_t k = 0; k < w->base->n_splits; k++) {
        const hs_split *s = &w->base->splits[k];
        if (s->role != HS_SPLIT_TRAIN || s->kind != HS_ITEM_QUERY)
            continue;
        const char *name = strcmp(s->name, "train_inferred") == 0 ? "kept_inferred" : s->name;
        HS_TRY(add_kept_queries(w, name, first, first + s->n, err));
        first += s->n;
    }
    return HS_OK;
}

/* Queries with these states of hop 1 and hop 2: all counted, then those with the smallest permuted numbers written. */
static hs_status add_new_test(work *w, const char *name, const uint8_t *state, uint8_t s1, uint8_t s2, uint32_t end,
                              uint32_t number, hs_error *err)
{
    hs_dataset *d = w->out;
    hs_split form = *w->form, *s = NULL;
    form.role = HS_SPLIT_TEST;
    strcpy(form.name, name);
    uint64_t total = 0, item = 0, max = w->config->test_max ? w->config->test_max : UINT64_MAX;
    for (uint32_t pass = 0; pass < 2; pass++) {
        uint64_t at = 0;
        for (uint64_t i = 0; i < d->n_facts; i++) {
            if (state[i] != s1)
                continue;
            uint64_t j, last;
            hs_dataset_facts_of(d, d->facts[i].tail, 0, &j, &last);
            for (; j < d->n_facts && d->facts[j].head == d->facts[i].tail; j++) {
                if (state[j] != s2)
                    continue;
                uint64_t me = at++;
                if (pass == 0 || (total > max && hs_permute(w->config->seed, PURPOSE_TEST, number, total, me) >= max))
                    continue;
                uint32_t *t = s->tokens + item * s->width;
                t[0] = d->facts[i].head;
                t[1] = d->facts[i].relation;
                t[2] = d->facts[j].relation;
                t[3] = d->facts[j].tail;
                if (end != HS_NO_ID)
                    t[4] = end;
                s->bridge[item++] = d->facts[i].tail;
            }
        }
        if (pass == 1)
            break;
        total = at;
        form.n = total < max ? total : max;
        if (form.n == 0)
            return HS_OK;
        HS_TRY(hs_dataset_add_split(d, &form, false, false, &s, err));
    }
    return HS_OK;
}

static hs_status copy_old_tests(work *w, hs_error *err)
{
    for (uint32_t k = 0; k < w->base->n_splits; k++) {
        const hs_split *old = &w->base->splits[k];
        hs_split *s;
        if (old->role != HS_SPLIT_TEST || old->kind != HS_ITEM_QUERY)
            continue;
        HS_TRY(hs_dataset_add_split(w->out, old, old->synthetic != NULL, false, &s, err));
        memcpy(s->tokens, old->tokens, old->n * old->width * sizeof *s->tokens);
        memcpy(s->bridge, old->bridge, old->n * old->bridges * sizeof *s->bridge);
        if (old->synthetic)
            memcpy(s->synthetic, old->synthetic, old->n);
    }
    return HS_OK;
}

static hs_status copy_frame(work *w, hs_error *err)
{
    const hs_dataset *b = w->base;
    hs_dataset *d = w->out;
    memcpy(d->task, b->task, sizeof d->task);
    d->seed = w->config->seed;
    d->config = b->config;
    d->config.cover = false;
    d->n_entities = b->n_entities;
    d->n_relations = b->n_relations;
    d->tokens_per_entity = 1;
    for (uint32_t i = 0; i < b->vocab.n; i++) {
        uint32_t id;
        const char *name = hs_names_get(&b->vocab, i);
        HS_TRY(hs_names_add(&d->vocab, name, strlen(name), &id, err));
    }
    return HS_OK;
}

static hs_status assemble(work *w, uint8_t **state, hs_error *err)
{
    HS_TRY(copy_frame(w, err));
    HS_TRY(merge_facts(w, state, err));
    bool has_end = w->form->answer + 1 < w->form->width;
    uint32_t end = has_end ? hs_vocab_token(w->out, "</a>") : HS_NO_ID;
    HS_TRY(add_fact_split(w, "kept_atomic", *state, KEPT, end, err));
    HS_TRY(add_all_kept_queries(w, err));
    HS_TRY(add_fact_split(w, "new_atomic", *state, NEW, end, err));
    HS_TRY(add_new_test(w, "test_new_new", *state, NEW, NEW, end, 0, err));
    HS_TRY(add_new_test(w, "test_new_old", *state, NEW, KEPT, end, 1, err));
    HS_TRY(add_new_test(w, "test_old_new", *state, KEPT, NEW, end, 2, err));
    HS_TRY(copy_old_tests(w, err));
    return hs_dataset_certify(w->out, err);
}

hs_status hs_dataset_new_facts(const hs_dataset *base, const hs_new_facts_config *config, hs_dataset *out,
                               hs_error *err)
{
    work w = {.base = base, .config = config, .out = out};
    uint8_t *state = NULL;
    HS_TRY(hs_dataset_check_tokens(base, "a set of new facts", err));
    hs_status status = check_base(&w, err);
    if (status == HS_OK)
        status = index_queries(&w, err);
    if (status == HS_OK)
        status = choose_kept(&w, err);
    if (status == HS_OK)
        status = make_new(&w, err);
    if (status == HS_OK)
        status = assemble(&w, &state, err);
    hs_free(w.hop);
    hs_free(w.at);
    hs_free(w.dep_start);
    hs_free(w.dep);
    hs_free(w.fact_kept);
    hs_free(w.query_kept);
    hs_free(w.fresh);
    hs_free(state);
    if (status != HS_OK)
        hs_dataset_free(out);
    return status;
}
