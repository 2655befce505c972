/* proof.c - what the checks of all forms share: finding facts, noting which facts an item rests on. */
#include "data/task.h"

#include <string.h>

uint64_t hs_proof_facts_of(const hs_proof *p, uint32_t head, uint32_t relation, uint64_t *first)
{
    *first = 0;
    if (head >= p->n_heads)
        return 0;
    const hs_fact *facts = p->data->facts;
    uint64_t lo = p->head_start[head], hi = p->head_start[head + 1], end = hi;
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (facts[mid].relation < relation)
            lo = mid + 1;
        else
            hi = mid;
    }
    *first = lo;
    while (lo < end && facts[lo].relation == relation)
        lo++;
    return lo;
}

uint64_t hs_proof_find(const hs_proof *p, uint32_t head, uint32_t relation, uint32_t tail)
{
    uint64_t first, end = hs_proof_facts_of(p, head, relation, &first);
    for (uint64_t i = first; i < end; i++)
        if (p->data->facts[i].tail == tail)
            return i;
    return UINT64_MAX;
}

void hs_finding_add(hs_finding *f, const hs_proof *p, uint64_t fact, uint32_t place, bool train)
{
    uint8_t flags = p->data->fact_flags[fact];
    if (flags & HS_FACT_OOD) {
        f->ood_mask |= 1u << place;
        f->ood_hops++;
    } else {
        f->id_mask |= 1u << place;
        f->uncovered |= !(p->used[fact] >> place & 1);
    }
    f->synthetic |= (flags & HS_FACT_SYNTHETIC) != 0;
    if (train)
        p->used[fact] |= (uint8_t)(1u << place);
}

/* A trained fact is no hop. */
static void add_fact(hs_finding *f, const hs_proof *p, uint64_t fact, bool train)
{
    hs_finding_add(f, p, fact, 0, false);
    if (train)
        p->used[fact] |= HS_PROOF_TRAINED;
}

hs_finding hs_check_fact(const hs_proof *p, const hs_split *s, const hs_role *roles, uint64_t i, bool train)
{
    const uint32_t *tokens = s->tokens + i * s->width;
    uint32_t head = hs_dataset_entity_number(p->data, tokens + roles[0].column), relation = tokens[roles[1].column];
    uint32_t tail = hs_dataset_entity_number(p->data, tokens + roles[2].column);
    uint64_t fact = head == HS_NO_ID ? UINT64_MAX : hs_proof_find(p, head, relation, tail);
    hs_finding f = {.right = fact != UINT64_MAX};
    if (f.right)
        add_fact(&f, p, fact, train);
    for (uint64_t a = s->also_start ? s->also_start[i] : 0; s->also_start && a < s->also_start[i + 1]; a++) {
        fact = hs_proof_find(p, head, relation, s->also[a]);
        f.right &= fact != UINT64_MAX;
        if (fact != UINT64_MAX)
            add_fact(&f, p, fact, train);
    }
    return f;
}

hs_promise hs_promise_of_facts(const hs_split *s)
{
    hs_promise promise = HS_PROMISE_NOTHING;
    if (strcmp(s->name, "ood_atomic") == 0)
        promise.may_be_id = 0;
    if (strcmp(s->name, "id_atomic") == 0)
        promise.may_be_ood = 0;
    return promise;
}
