/* collect.c - items read one by one become packed splits. The order of the items is kept, so that what was written by
 * us comes back with the same hashes; what a file does not say (bridges) is found by walking the facts. */
#include "data/io/collect.h"

#include <stdlib.h>
#include <string.h>

void hs_collect_begin(hs_collector *a, hs_dataset *out)
{
    *a = (hs_collector){.out = out};
    a->a_begin = hs_vocab_token(out, "<a>");
    a->a_end = hs_vocab_token(out, "</a>");
    a->q_begin = hs_vocab_token(out, "<q>");
}

void hs_collector_free(hs_collector *a)
{
    hs_free(a->cap);
    hs_free(a->cap_also);
    hs_names_free(&a->names);
}

/* The form of an item by its prompt. */
static hs_status form_of(const hs_collector *a, const hs_collected *item, hs_split *form, hs_error *err)
{
    *form =
        (hs_split){.role = item->role, .prompt = item->n_prompt, .answer = item->n_prompt, .answers = item->n_answer};
    hs_form_recognize(a->out, item->prompt, item->n_prompt, item->n_answer, form);
    bool opened = form->answer > form->prompt; /* "<a>" and "</a>" around the answer */
    if (strlen(item->split) >= sizeof form->name || !hs_split_name_ok(item->split)) {
        hs_fail(err, HS_ERR_DATA, "the name of a split is empty, too long or not a file name");
        return hs_error_value(err, item->split, strlen(item->split));
    }
    strcpy(form->name, item->split);
    bool end = opened || a->out->config.end_token;
    if ((opened && a->a_begin == HS_NO_ID) || (end && a->a_end == HS_NO_ID))
        return hs_fail(err, HS_ERR_DATA, "the vocabulary lacks \"<a>\" or \"</a>\"");
    form->width = form->answer + form->answers + end;
    return HS_OK;
}

static hs_status find_split(hs_collector *a, const hs_collected *item, hs_split **out, uint32_t *number, hs_error *err)
{
    hs_split form;
    HS_TRY(form_of(a, item, &form, err));
    hs_dataset *d = a->out;
    uint32_t known = hs_names_find(&a->names, form.name, strlen(form.name));
    if (known != HS_NO_ID) {
        hs_split *s = &d->splits[known];
        if (s->kind != form.kind || s->prompt != form.prompt || s->width != form.width || s->role != form.role) {
            hs_fail(err, HS_ERR_DATA, "an item has another form than the items of its split before it");
            return hs_error_value(err, form.name, strlen(form.name));
        }
        *out = s;
        *number = known;
        return HS_OK;
    }
    size_t n_caps = a->n_cap;
    HS_TRY(hs_grow((void **)&a->cap, &a->n_cap, (size_t)d->n_splits + 1, sizeof *a->cap, err));
    HS_TRY(hs_grow((void **)&a->cap_also, &n_caps, (size_t)d->n_splits + 1, sizeof *a->cap_also, err));
    a->cap[d->n_splits] = a->cap_also[d->n_splits] = 0;
    HS_TRY(hs_names_add(&a->names, form.name, strlen(form.name), number, err));
    return hs_dataset_add_split(d, &form, false, false, out, err);
}

/* Room for one more item; arrays that only some items need begin with zeros. */
static hs_status reserve(hs_split *s, size_t *cap, bool synthetic, bool also, hs_error *err)
{
    size_t need = (size_t)s->n + 1;
    if (need > *cap) {
        size_t grown = *cap;
        HS_TRY(hs_grow((void **)&s->tokens, &grown, need, s->width * sizeof *s->tokens, err));
        if (s->bridges) {
            void *p =
                hs_realloc(s->bridge, *cap * s->bridges * sizeof *s->bridge, grown * s->bridges * sizeof *s->bridge);
            if (!p)
                return hs_fail_memory(err, grown);
            s->bridge = p;
        }
        if (s->synthetic) {
            void *p = hs_realloc(s->synthetic, *cap, grown);
            if (!p)
                return hs_fail_memory(err, grown);
            s->synthetic = p;
        }
        if (s->also_start) {
            void *p =
                hs_realloc(s->also_start, (*cap + 1) * sizeof *s->also_start, (grown + 1) * sizeof *s->also_start);
            if (!p)
                return hs_fail_memory(err, grown);
            s->also_start = p;
        }
        *cap = grown;
    }
    if (synthetic && !s->synthetic && !(s->synthetic = hs_calloc(*cap, 1)))
        return hs_fail_memory(err, *cap);
    if (also && !s->also_start && !(s->also_start = hs_calloc(*cap + 1, sizeof *s->also_start)))
        return hs_fail_memory(err, *cap);
    return HS_OK;
}

hs_status hs_collect_item(hs_collector *a, const hs_collected *item, hs_error *err)
{
    hs_split *s;
    uint32_t number = 0;
    HS_TRY(find_split(a, item, &s, &number, err));
    HS_TRY(reserve(s, &a->cap[number], item->synthetic, item->n_also > 0, err));
    uint32_t *at = s->tokens + s->n * s->width;
    memcpy(at, item->prompt, s->prompt * sizeof *at);
    at += s->prompt;
    if (s->answer > s->prompt)
        *at++ = a->a_begin;
    memcpy(at, item->answer, s->answers * sizeof *at);
    at += s->answers;
    if (at < s->tokens + (s->n + 1) * s->width)
        *at = a->a_end;
    for (uint32_t k = 0; k < s->bridges; k++)
        s->bridge[s->n * s->bridges + k] = HS_PAD;
    if (s->synthetic)
        s->synthetic[s->n] = item->synthetic;
    if (s->also_start) {
        uint64_t n = s->also_start[s->n];
        HS_TRY(hs_grow((void **)&s->also, &a->cap_also[number], (size_t)n + item->n_also + 1, sizeof *s->also, err));
        if (item->n_also)
            memcpy(s->also + n, item->also, item->n_also * sizeof *s->also);
        s->also_start[s->n + 1] = n + item->n_also;
    }
    s->n++;
    return HS_OK;
}

/* ---------------------------------------------------------------- facts */

hs_status hs_collect_fact(hs_collector *a, const uint32_t *head, uint32_t relation, const uint32_t *tail, uint8_t flags,
                          hs_error *err)
{
    hs_dataset *d = a->out;
    size_t cap = a->cap_facts;
    hs_fact fact = {hs_dataset_entity_number(d, head), relation, hs_dataset_entity_number(d, tail)};
    if (fact.head == HS_NO_ID || fact.tail == HS_NO_ID)
        return hs_fail(err, HS_ERR_DATA, "the tokens of a fact name no entity");
    HS_TRY(hs_grow((void **)&d->facts, &cap, (size_t)d->n_facts + 1, sizeof *d->facts, err));
    if (cap != a->cap_facts) {
        void *p = hs_realloc(d->fact_flags, a->cap_facts, cap);
        if (!p)
            return hs_fail_memory(err, cap);
        d->fact_flags = p;
        a->cap_facts = cap;
    }
    d->facts[d->n_facts] = fact;
    d->fact_flags[d->n_facts++] = flags;
    return HS_OK;
}

static hs_status facts_from_items(hs_collector *a, hs_error *err)
{
    const hs_dataset *d = a->out;
    for (uint32_t k = 0; k < d->n_splits; k++) {
        const hs_split *s = &d->splits[k];
        hs_role roles[HS_MAX_ROLES];
        if (!hs_form_of(s->kind)->fact)
            continue;
        hs_split_roles(d, s, roles);
        uint8_t ood = strcmp(s->name, "ood_atomic") == 0 ? HS_FACT_OOD : 0;
        for (uint64_t i = 0; i < s->n; i++) {
            const uint32_t *t = s->tokens + i * s->width;
            const uint32_t *head = t + roles[0].column, relation = t[roles[1].column];
            uint8_t flags = (uint8_t)(ood | (s->synthetic && s->synthetic[i] ? HS_FACT_SYNTHETIC : 0));
            HS_TRY(hs_collect_fact(a, head, relation, t + s->answer, flags, err));
            for (uint64_t j = s->also_start ? s->also_start[i] : 0; s->also_start && j < s->also_start[i + 1]; j++)
                HS_TRY(hs_collect_fact(a, head, relation, &s->also[j], flags, err));
        }
    }
    return HS_OK;
}

typedef struct flagged {
    hs_fact fact; /* first, so that hs_fact_compare sorts these too */
    uint32_t flags;
} flagged;

static hs_status sort_facts(hs_dataset *d, hs_error *err)
{
    flagged *list = hs_alloc(((size_t)d->n_facts + 1) * sizeof *list);
    if (!list)
        return hs_fail_memory(err, (size_t)d->n_facts * sizeof *list);
    for (uint64_t i = 0; i < d->n_facts; i++)
        list[i] = (flagged){d->facts[i], d->fact_flags[i]};
    qsort(list, (size_t)d->n_facts, sizeof *list, hs_fact_compare);
    uint64_t n = 0;
    for (uint64_t i = 0; i < d->n_facts; i++) {
        if (n > 0 && hs_fact_compare(&list[i], &list[n - 1]) == 0) {
            list[n - 1].flags |= list[i].flags;
            continue;
        }
        list[n++] = list[i];
    }
    for (uint64_t i = 0; i < n; i++) {
        d->facts[i] = list[i].fact;
        d->fact_flags[i] = (uint8_t)list[i].flags;
    }
    d->n_facts = n;
    hs_free(list);
    return HS_OK;
}

hs_status hs_collect_sort_facts(hs_collector *a, hs_error *err)
{
    return sort_facts(a->out, err);
}

/* ---------------------------------------------------------------- bridges */

/* The first path (in the order of the facts) of distinct entities from `entity` to `target`; any path if there is none.
 */
static bool find_path(const hs_dataset *d, const uint32_t *relation, uint32_t hops, uint32_t place, uint32_t *entity,
                      uint32_t target, bool distinct)
{
    uint64_t first, last;
    hs_dataset_facts_of(d, entity[place], relation[place], &first, &last);
    for (uint64_t i = first; i < last; i++) {
        uint32_t tail = d->facts[i].tail;
        bool fits = place + 1 < hops || tail == target;
        for (uint32_t k = 0; distinct && k <= place; k++)
            fits &= entity[k] != tail;
        if (!fits)
            continue;
        entity[place + 1] = tail;
        if (place + 1 == hops || find_path(d, relation, hops, place + 1, entity, target, distinct))
            return true;
    }
    return false;
}

bool hs_collect_path(const hs_dataset *d, const uint32_t *prompt, uint32_t hops, const uint32_t *answer,
                     uint32_t entity[HS_MAX_HOPS + 1])
{
    const uint32_t *relation = prompt + d->tokens_per_entity;
    uint32_t target = hs_dataset_entity_number(d, answer);
    entity[0] = hs_dataset_entity_number(d, prompt);
    return find_path(d, relation, hops, 0, entity, target, true) ||
           find_path(d, relation, hops, 0, entity, target, false);
}

static void find_bridges(hs_dataset *d, hs_split *s)
{
    uint32_t tpe = d->tokens_per_entity;
    for (uint64_t i = 0; i < s->n; i++) {
        const uint32_t *t = s->tokens + i * s->width;
        uint32_t entity[HS_MAX_HOPS + 1], two[2];
        if (!hs_collect_path(d, t, s->hops, t + s->answer, entity))
            continue;
        for (uint32_t k = 0; k + 1 < s->hops; k++) {
            hs_dataset_entity_tokens(d, entity[k + 1], two);
            memcpy(s->bridge + i * s->bridges + k * tpe, two, tpe * sizeof *two);
        }
    }
}

hs_status hs_collect_finish(hs_collector *a, hs_error *err)
{
    hs_dataset *d = a->out;
    if (d->n_splits == 0)
        return hs_fail(err, HS_ERR_DATA, "there is no item");
    if (!a->facts_given)
        HS_TRY(facts_from_items(a, err));
    HS_TRY(sort_facts(d, err));
    for (uint32_t k = 0; k < d->n_splits; k++)
        if (d->splits[k].bridges > 0)
            find_bridges(d, &d->splits[k]);
    hs_dataset_finish(d);
    HS_TRY(hs_dataset_audit(d, err));
    /* a card of the file that does not hold stays, so that the next audit sees it too */
    return d->card && !d->audit.passed ? HS_OK : hs_dataset_make_card(d, err);
}
