/* evidence.c - which facts of an original dataset are OOD, where it has no lists of facts.
 *
 * The originals tell by the probes of test.json, but list at most so many of a type (3,000). So what else is known
 * decides, the strongest first: a probe says ID or OOD; a hop of a training query is ID; where no probe of type OOD is
 * missing (there are fewer than of another type) the rest is ID; a hop of a test query is what the name of its split
 * says; and a trained fact that is no hop of any training query is OOD, by the meaning of the word. */
#include "data/io/published.h"

#include <string.h>

/* Marks of a fact beside HS_FACT_OOD until it is settled. */
enum { SAID_ID = 16, TRAINED_HOP = 32, CLAIMED_ID = 64, CLAIMED_OOD = 128, ALL_MARKS = 240 };

typedef struct hs_evidence_query {
    uint32_t prompt[HS_MAX_HOPS + 2], answer[2], hops;
    uint32_t claimed_ood; /* hop places; UINT32_MAX: nothing is claimed */
    bool train;
} query;

static hs_status count_probe(hs_evidence *e, const char *split, hs_error *err)
{
    uint32_t id, before = e->types.n;
    HS_TRY(hs_names_add(&e->types, split, strlen(split), &id, err));
    HS_TRY(hs_grow((void **)&e->of_type, &e->cap_types, (size_t)id + 1, sizeof *e->of_type, err));
    if (e->types.n > before)
        e->of_type[id] = 0;
    e->of_type[id]++;
    return HS_OK;
}

hs_status hs_evidence_add(hs_evidence *e, const hs_collected *item, const char *split, bool train, hs_error *err)
{
    const hs_dataset *d = e->collector->out;
    hs_split form = {0};
    if (split && !train)
        HS_TRY(count_probe(e, split, err));
    hs_form_recognize(d, item->prompt, item->n_prompt, item->n_answer, &form);
    const hs_form *f = hs_form_of(form.kind);
    uint32_t tpe = d->tokens_per_entity;
    if (f->fact && form.answer == 0 && (train || split)) {
        uint8_t mark = !split                             ? 0
                       : strcmp(split, "ood_atomic") == 0 ? HS_FACT_OOD
                       : strstr(split, "id_atomic")       ? SAID_ID
                                                          : 0;
        return hs_collect_fact(e->collector, item->prompt, item->prompt[tpe], item->answer, mark, err);
    }
    if (!f->chain)
        return HS_OK;
    query q = {.hops = form.hops, .claimed_ood = UINT32_MAX, .train = train};
    if (!train && !(split && hs_split_class(split, q.hops, &q.claimed_ood)))
        q.claimed_ood = UINT32_MAX;
    memcpy(q.prompt, item->prompt, item->n_prompt * sizeof *q.prompt);
    memcpy(q.answer, item->answer, item->n_answer * sizeof *q.answer);
    HS_TRY(hs_grow((void **)&e->query, &e->cap_queries, e->n_queries + 1, sizeof *e->query, err));
    e->query[e->n_queries++] = q;
    return HS_OK;
}

/* Numbers of the facts on the path of a query. */
static bool find_facts(const hs_dataset *d, const uint32_t *prompt, uint32_t hops, const uint32_t *answer,
                       uint64_t fact[HS_MAX_HOPS])
{
    uint32_t entity[HS_MAX_HOPS + 1];
    if (!hs_collect_path(d, prompt, hops, answer, entity))
        return false;
    for (uint32_t k = 0; k < hops; k++) {
        uint64_t last;
        hs_dataset_facts_of(d, entity[k], prompt[d->tokens_per_entity + k], &fact[k], &last);
        while (d->facts[fact[k]].tail != entity[k + 1])
            fact[k]++;
    }
    return true;
}

/* Are there fewer probes of OOD facts than of another type? Then none was left out. */
static bool all_ood_listed(const hs_evidence *e)
{
    uint32_t ood = hs_names_find(&e->types, "ood_atomic", 10);
    uint64_t most = 0;
    for (uint32_t i = 0; i < e->types.n; i++)
        most = e->of_type[i] > most ? e->of_type[i] : most;
    return ood != HS_NO_ID && e->of_type[ood] < most;
}

static uint8_t settle(uint8_t marks, bool listed, bool any_query)
{
    bool ood = marks & HS_FACT_OOD;
    if (!ood && !(marks & (SAID_ID | TRAINED_HOP)) && !listed)
        ood = marks & (CLAIMED_ID | CLAIMED_OOD) ? !(marks & CLAIMED_ID) : any_query;
    return (uint8_t)((marks & ~(ALL_MARKS | HS_FACT_OOD)) | (ood ? HS_FACT_OOD : 0));
}

hs_status hs_evidence_settle(hs_evidence *e, hs_error *err)
{
    hs_dataset *d = e->collector->out;
    bool any_query = false;
    HS_TRY(hs_collect_sort_facts(e->collector, err));
    for (size_t i = 0; i < e->n_queries; i++) {
        const query *q = &e->query[i];
        uint64_t fact[HS_MAX_HOPS];
        any_query |= q->train;
        if (!find_facts(d, q->prompt, q->hops, q->answer, fact))
            continue;
        for (uint32_t k = 0; k < q->hops; k++) {
            if (q->train)
                d->fact_flags[fact[k]] |= TRAINED_HOP;
            else if (q->claimed_ood != UINT32_MAX)
                d->fact_flags[fact[k]] |= q->claimed_ood >> k & 1 ? CLAIMED_OOD : CLAIMED_ID;
        }
    }
    bool listed = all_ood_listed(e);
    for (uint64_t i = 0; i < d->n_facts; i++)
        d->fact_flags[i] = settle(d->fact_flags[i], listed, any_query);
    return HS_OK;
}

void hs_evidence_free(hs_evidence *e)
{
    hs_free(e->query);
    hs_free(e->of_type);
    hs_names_free(&e->types);
}

bool hs_ood_hops(const hs_dataset *d, const uint32_t *prompt, uint32_t hops, const uint32_t *answer, uint32_t *ood_mask)
{
    uint64_t fact[HS_MAX_HOPS];
    *ood_mask = 0;
    if (!find_facts(d, prompt, hops, answer, fact))
        return false;
    for (uint32_t k = 0; k < hops; k++)
        *ood_mask |= d->fact_flags[fact[k]] & HS_FACT_OOD ? 1u << k : 0;
    return true;
}
