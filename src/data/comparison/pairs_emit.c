/* pairs_emit.c - from classes of pairs to packed splits, in the order of the candidates. */
#include "data/comparison/pairs.h"

#include <string.h>

typedef struct tokens_used {
    uint32_t mask, a, a_end, q, q_end;
    bool end; /* "</a>" after the answer */
} tokens_used;

static tokens_used find_tokens(const hs_pairs *p)
{
    const hs_dataset *d = p->out;
    return (tokens_used){hs_vocab_token(d, "<mask>"), hs_vocab_token(d, "<a>"),  hs_vocab_token(d, "</a>"),
                         hs_vocab_token(d, "<q>"),    hs_vocab_token(d, "</q>"), p->complex || p->config->end_token};
}

static uint32_t *put_answer(const hs_pairs *p, const tokens_used *t, uint32_t *at, uint32_t answer)
{
    if (p->complex)
        *at++ = t->a;
    *at++ = answer;
    if (t->end)
        *at++ = t->a_end;
    return at;
}

/* attr <q> e1 <mask> e2 [</q>] | [<a>] label [</a>] */
static void put_pair(const hs_pairs *p, const tokens_used *t, uint32_t *at, uint32_t a, uint32_t i, uint32_t j)
{
    uint32_t first = p->member_start[a];
    *at++ = p->out->n_entities + a;
    *at++ = t->q;
    *at++ = p->entity[first + i];
    *at++ = t->mask;
    *at++ = p->entity[first + j];
    if (p->complex)
        *at++ = t->q_end;
    put_answer(p, t, at, hs_compare_label(&p->compare, a, p->value[first + i], p->value[first + j]));
}

static hs_split pair_form(const hs_pairs *p, const tokens_used *t)
{
    hs_split form = {.kind = HS_ITEM_COMPARE, .prompt = 5, .answers = 1};
    form.prompt += p->complex;
    form.answer = form.prompt + p->complex;
    form.width = form.answer + 1 + t->end;
    return form;
}

static uint32_t slot_of(uint32_t class)
{
    return class < HS_PAIR_HARD ? class : HS_PAIR_HARD; /* the three labels of test_hard share a split */
}

static hs_status emit_pairs(hs_pairs *p, hs_error *err)
{
    static const char *const NAMES[2][HS_PAIR_HARD + 1] = {
        {"train_inferred", "", "test_id", "test_ood", ""},
        {"train_topleft", "train_cross", "test_id", "test_ood", "test_hard"},
    };
    tokens_used t = find_tokens(p);
    uint64_t count[HS_PAIR_HARD + 1] = {0}, n = p->base[p->n_attributes];
    uint32_t split_of[HS_PAIR_HARD + 1];
    for (uint64_t i = 0; i < n; i++)
        if (p->cat[i] != HS_CAT_NONE)
            count[slot_of(p->cat[i] / p->cells)]++;
    bool synthetic = false;
    for (uint32_t i = 0; i < p->member_start[p->n_attributes]; i++)
        synthetic |= (p->flags[i] & HS_FACT_SYNTHETIC) != 0;
    for (uint32_t k = 0; k <= HS_PAIR_HARD; k++) {
        hs_split form = pair_form(p, &t), *s;
        split_of[k] = p->out->n_splits;
        if (count[k] == 0)
            continue;
        form.role = k <= HS_PAIR_CROSS ? HS_SPLIT_TRAIN : HS_SPLIT_TEST;
        form.n = count[k];
        strcpy(form.name, NAMES[p->complex][k]);
        HS_TRY(hs_dataset_add_split(p->out, &form, synthetic, false, &s, err));
        count[k] = 0;
    }
    for (uint32_t a = 0; a < p->n_attributes; a++) {
        uint32_t first = p->member_start[a], m = p->member_start[a + 1] - first;
        uint64_t at = p->base[a];
        for (uint32_t i = 0; i < m; i++) {
            for (uint32_t j = 0; j < m; j++) {
                if (i == j)
                    continue;
                uint16_t cat = p->cat[at++];
                if (cat == HS_CAT_NONE)
                    continue;
                uint32_t k = slot_of(cat / p->cells);
                hs_split *s = &p->out->splits[split_of[k]];
                uint64_t item = count[k]++;
                put_pair(p, &t, s->tokens + item * s->width, a, i, j);
                if (synthetic)
                    s->synthetic[item] = ((p->flags[first + i] | p->flags[first + j]) & HS_FACT_SYNTHETIC) != 0;
            }
        }
    }
    return HS_OK;
}

static hs_status emit_facts(hs_pairs *p, hs_error *err)
{
    static const char *const NAMES[2] = {"id_atomic", "ood_atomic"};
    hs_dataset *d = p->out;
    tokens_used t = find_tokens(p);
    uint64_t count[2] = {0}, synthetic = 0;
    for (uint64_t i = 0; i < d->n_facts; i++) {
        count[(d->fact_flags[i] & HS_FACT_OOD) != 0]++;
        synthetic += (d->fact_flags[i] & HS_FACT_SYNTHETIC) != 0;
    }
    for (uint32_t k = 0; k < 2; k++) {
        hs_split form = {.kind = p->complex ? HS_ITEM_COMPLEX_FACT : HS_ITEM_FACT,
                         .hops = 1,
                         .answers = 1,
                         .n = count[k]},
                 *s;
        if (count[k] == 0)
            continue;
        form.role = p->complex && k == 1 ? HS_SPLIT_TEST : HS_SPLIT_TRAIN;
        form.prompt = p->complex ? 5 : 2;
        form.answer = form.prompt + p->complex;
        form.width = form.answer + 1 + t.end;
        strcpy(form.name, NAMES[k]);
        HS_TRY(hs_dataset_add_split(d, &form, synthetic > 0, false, &s, err));
        uint32_t *at = s->tokens;
        uint64_t item = 0;
        for (uint64_t i = 0; i < d->n_facts; i++) {
            if (((d->fact_flags[i] & HS_FACT_OOD) != 0) != (k == 1))
                continue;
            if (p->complex)
                *at++ = t.q;
            *at++ = d->facts[i].head;
            *at++ = d->facts[i].relation;
            if (p->complex) {
                *at++ = t.mask;
                *at++ = t.q_end;
            }
            at = put_answer(p, &t, at, d->facts[i].tail);
            if (s->synthetic)
                s->synthetic[item] = (d->fact_flags[i] & HS_FACT_SYNTHETIC) != 0;
            item++;
        }
    }
    return HS_OK;
}

hs_status hs_pairs_emit(hs_pairs *p, hs_error *err)
{
    HS_TRY(emit_facts(p, err));
    return emit_pairs(p, err);
}
