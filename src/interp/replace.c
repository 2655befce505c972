/* replace.c - choosing the token that takes another's place. See replace.h.
 *
 * Draws: a few dozen uniform ones, then, so that a rare fit is found too, all candidates in order from a random start. */
#include "interp/replace.h"

#include <string.h>

enum { DRAWS = 48 };

bool hs_replace_fits(const hs_dataset *data, const hs_split *split)
{
    if (data->tokens_per_entity != 1)
        return false;
    return split->kind == HS_ITEM_FACT || split->kind == HS_ITEM_QUERY || split->kind == HS_ITEM_COMPARE;
}

static void add_group(hs_replace_group *group, uint32_t *n, const hs_place *place, uint32_t last)
{
    hs_replace_group *g = &group[(*n)++];
    memcpy(g->role, place->role, sizeof g->role);
    g->first = place->column;
    g->last = last;
}

uint32_t hs_replace_groups(const hs_sample *sample, hs_replace_group *group)
{
    uint32_t n = 0;
    const bool compare = sample->split->kind == HS_ITEM_COMPARE;
    for (uint32_t p = 0; p < sample->n_places; p++) {
        const hs_place *place = &sample->place[p];
        if (place->column >= sample->T || (compare && place->column % 2 == 1))
            continue; /* <q> and <mask> have no kind to be replaced from */
        const bool paired = compare && place->column + 1 < sample->T;
        add_group(group, &n, place, paired ? place->column + 1 : place->column);
    }
    return n;
}

/* ---------------------------------------------------------------- chains */

/* Can `target` be reached from `head` over n relations? */
static bool reaches(const hs_dataset *data, uint32_t head, const uint32_t *relation, uint32_t n, uint32_t target)
{
    if (n == 0)
        return head == target;
    uint64_t first, last;
    hs_dataset_facts_of(data, head, relation[0], &first, &last);
    for (; first < last; first++)
        if (reaches(data, data->facts[first].tail, relation + 1, n - 1, target))
            return true;
    return false;
}

/* The first fact that leaves `head`, and one past the last. */
static void facts_from(const hs_dataset *data, uint32_t head, uint64_t *first, uint64_t *last)
{
    uint64_t low = 0, high = data->n_facts;
    while (low < high) {
        const uint64_t middle = (low + high) / 2;
        if (data->facts[middle].head < head)
            low = middle + 1;
        else
            high = middle;
    }
    *first = low;
    while (low < data->n_facts && data->facts[low].head == head)
        low++;
    *last = low;
}

static bool replace_head(const hs_look *look, hs_rng *rng, uint32_t hops, uint32_t target, uint32_t *tokens)
{
    const hs_scope *scope = look->scope;
    const uint64_t n = scope->n_heads;
    if (n == 0)
        return false;
    const uint64_t start = hs_rng_below(rng, n);
    for (uint64_t i = 0; i < DRAWS + n; i++) {
        const uint32_t head = scope->heads[i < DRAWS ? hs_rng_below(rng, n) : (start + i) % n];
        if (!reaches(scope->data, head, tokens + 1, hops, target)) {
            tokens[0] = head;
            return true;
        }
    }
    return false;
}

static bool replace_relation(const hs_look *look, hs_rng *rng, uint32_t hop, uint32_t hops, uint32_t entity,
                             uint32_t target, uint32_t *tokens)
{
    const hs_scope *scope = look->scope;
    uint64_t first, last;
    facts_from(scope->data, entity, &first, &last);
    const uint64_t n = last - first, start = n ? hs_rng_below(rng, n) : 0;
    for (uint64_t i = 0; n && i < DRAWS + n; i++) {
        const uint64_t f = first + (i < DRAWS ? hs_rng_below(rng, n) : (start + i) % n);
        uint32_t chain[HS_MAX_HOPS];
        chain[0] = scope->data->facts[f].relation;
        memcpy(chain + 1, tokens + 2 + hop, (hops - hop - 1) * sizeof *chain);
        if (scope->used[f] && !reaches(scope->data, entity, chain, hops - hop, target)) {
            tokens[1 + hop] = chain[0];
            return true;
        }
    }
    return false;
}

static bool replace_in_chain(const hs_look *look, const hs_replace_group *group, uint32_t item, hs_rng *rng,
                             uint32_t *tokens)
{
    const hs_sample *s = look->sample;
    const uint32_t hops = s->split->kind == HS_ITEM_FACT ? 1 : s->split->hops;
    const uint32_t target = s->asked[s->target].token[item];
    if (group->first == 0)
        return replace_head(look, rng, hops, target, tokens);
    const uint32_t hop = group->first - 1;
    uint32_t entity = tokens[0];
    if (hop > 0) {
        if (!s->split->bridge)
            return false;
        entity = s->split->bridge[s->item[item] * s->split->bridges + hop - 1];
    }
    return replace_relation(look, rng, hop, hops, entity, target, tokens);
}

/* ---------------------------------------------------------------- comparisons */

static uint32_t value_of(const hs_dataset *data, uint32_t entity, uint32_t attribute)
{
    const uint64_t fact = hs_only_fact(data, entity, attribute);
    return fact == HS_NO_FACT ? HS_NO_ID : data->facts[fact].tail;
}

/* Would an entity of value `other` in place of one of value `own` change the answer, as the published rule has it? */
static bool changes(uint32_t own, uint32_t fixed, uint32_t other, bool ordered)
{
    if (other == HS_NO_ID || other == own)
        return false;
    if (own != fixed)
        return other == fixed;
    return !ordered || other + 1 == fixed || other == fixed + 1;
}

static bool replace_entity(const hs_look *look, uint32_t column, hs_rng *rng, uint32_t *tokens)
{
    const hs_dataset *data = look->scope->data;
    const uint32_t attribute = tokens[0], own = value_of(data, tokens[column], attribute),
                   fixed = value_of(data, tokens[column == 2 ? 4 : 2], attribute), E = data->n_entities;
    if (own == HS_NO_ID || fixed == HS_NO_ID || E == 0)
        return false;
    const bool ordered =
        fixed >= data->n_entities + data->n_relations; /* values of a generated table are tokens of their own */
    const uint64_t start = hs_rng_below(rng, E);
    for (uint64_t i = 0; i < E; i++) {
        const uint32_t e = (uint32_t)((start + i) % E);
        if (changes(own, fixed, value_of(data, e, attribute), ordered)) {
            tokens[column] = e;
            return true;
        }
    }
    return false;
}

static bool replace_attribute(const hs_look *look, hs_rng *rng, uint32_t *tokens)
{
    const hs_dataset *data = look->scope->data;
    const uint32_t n = data->n_relations;
    const uint64_t start = n ? hs_rng_below(rng, n) : 0;
    for (uint64_t i = 0; i < n; i++) {
        const uint32_t attribute = data->n_entities + (uint32_t)((start + i) % n);
        if (attribute != tokens[0] && value_of(data, tokens[2], attribute) != HS_NO_ID &&
            value_of(data, tokens[4], attribute) != HS_NO_ID) {
            tokens[0] = attribute;
            return true;
        }
    }
    return false;
}

bool hs_replace(const hs_look *look, const hs_replace_group *group, uint32_t item, uint32_t *tokens)
{
    hs_rng rng;
    hs_rng_init(&rng, look->config->seed, HS_PURPOSE('r', 'e', 'p', 'l'), look->sample->item[item], group->first);
    if (look->sample->split->kind != HS_ITEM_COMPARE)
        return replace_in_chain(look, group, item, &rng, tokens);
    return group->first == 0 ? replace_attribute(look, &rng, tokens) : replace_entity(look, group->first, &rng, tokens);
}
