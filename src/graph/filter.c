/* filter.c - a sub-graph by rule.
 *
 * Rules work on a byte for each fact (kept or not), one after the other in the order of hs_graph_filter; each rule sees
 * what the ones before it kept. The result is built anew, so its ids are dense and follow the order of the kept facts.
 */
#include "graph/pairs.h"

#include <string.h>

typedef struct selection {
    const hs_graph *g;
    const hs_graph_filter *filter;
    uint8_t *keep; /* (n_facts) */
} selection;

static hs_status keep_relations(selection *s, hs_error *err)
{
    const hs_names *names = &s->g->relations;
    uint8_t *wanted = hs_calloc((size_t)names->n + 1, 1);
    if (wanted == NULL)
        return hs_fail_memory(err, names->n);
    hs_status status = HS_OK;
    for (size_t k = 0; status == HS_OK && k < s->filter->n_relations; k++) {
        const char *name = s->filter->relations[k];
        uint32_t id = hs_names_find(names, name, strlen(name));
        if (id != HS_NO_ID)
            wanted[id] = 1;
        else
            status = hs_graph_no_relation(s->g, name, err);
    }
    for (uint64_t i = 0; i < s->g->n_facts; i++)
        s->keep[i] &= wanted[s->g->facts[i].relation];
    hs_free(wanted);
    return status;
}

/* Facts are sorted, so the tails of one (head, relation) stand together. */
static void keep_functional(selection *s)
{
    const hs_graph *g = s->g;
    for (uint64_t i = 0; i < g->n_facts;) {
        uint64_t end = i, kept = 0;
        while (end < g->n_facts && g->facts[end].head == g->facts[i].head &&
               g->facts[end].relation == g->facts[i].relation)
            kept += s->keep[end++];
        for (; i < end; i++)
            s->keep[i] &= kept == 1;
    }
}

static hs_status keep_degree(selection *s, hs_error *err)
{
    const hs_graph *g = s->g;
    uint64_t *degree = hs_calloc((size_t)g->entities.n + 1, sizeof *degree);
    if (degree == NULL)
        return hs_fail_memory(err, g->entities.n * sizeof *degree);
    for (uint64_t i = 0; i < g->n_facts; i++) {
        if (s->keep[i]) {
            degree[g->facts[i].head]++;
            degree[g->facts[i].tail]++;
        }
    }
    for (uint64_t i = 0; i < g->n_facts; i++)
        s->keep[i] &=
            degree[g->facts[i].head] >= s->filter->min_degree && degree[g->facts[i].tail] >= s->filter->min_degree;
    hs_free(degree);
    return HS_OK;
}

static hs_status keep_bridges(selection *s, hs_error *err)
{
    const hs_graph *g = s->g;
    size_t entities = g->entities.n;
    uint8_t *side = hs_calloc(entities + 1, 1); /* 1 a fact arrives, 2 a fact leaves, 4 in the sample */
    uint32_t *bridge = hs_alloc((entities + 1) * sizeof *bridge);
    if (side == NULL || bridge == NULL) {
        hs_free(side);
        hs_free(bridge);
        return hs_fail_memory(err, entities * sizeof *bridge);
    }
    for (uint64_t i = 0; i < g->n_facts; i++) {
        if (s->keep[i] && g->facts[i].head != g->facts[i].tail) {
            side[g->facts[i].head] |= 2;
            side[g->facts[i].tail] |= 1;
        }
    }
    size_t n = 0;
    for (uint32_t e = 0; e < entities; e++)
        if (side[e] == 3)
            bridge[n++] = e;
    hs_rng rng;
    hs_rng_init(&rng, s->filter->seed, HS_PURPOSE('g', 'b', 'r', 'i'), 0, 0);
    hs_rng_shuffle_u32(&rng, bridge, n);
    for (size_t k = 0; k < n && k < s->filter->sample_bridges; k++)
        side[bridge[k]] |= 4;
    for (uint64_t i = 0; i < g->n_facts; i++)
        s->keep[i] &= ((side[g->facts[i].head] | side[g->facts[i].tail]) & 4) != 0;
    hs_free(side);
    hs_free(bridge);
    return HS_OK;
}

/* ---------------------------------------------------------------- building the result */

static hs_status copy_kept(const selection *s, hs_graph *out, hs_error *err)
{
    const hs_graph *g = s->g;
    for (uint64_t i = 0; i < g->n_facts; i++) {
        if (!s->keep[i])
            continue;
        const char *name[3] = {hs_names_get(&g->entities, g->facts[i].head),
                               hs_names_get(&g->relations, g->facts[i].relation),
                               hs_names_get(&g->entities, g->facts[i].tail)};
        hs_fact fact;
        HS_TRY(hs_names_add(&out->entities, name[0], strlen(name[0]), &fact.head, err));
        HS_TRY(hs_names_add(&out->relations, name[1], strlen(name[1]), &fact.relation, err));
        HS_TRY(hs_names_add(&out->entities, name[2], strlen(name[2]), &fact.tail, err));
        HS_TRY(hs_graph_add_ids(out, fact, g->flags[i], err));
    }
    if (out->n_facts == 0)
        return hs_fail(err, HS_ERR_DATA, "no facts are left after selection");
    return hs_graph_index(out, err);
}

typedef struct informative {
    const hs_graph *kept;
    const hs_graph_filter *filter;
    uint8_t *first; /* (relations) does it make an informative pair with the second relation at hand? */
    uint8_t *used;  /* (facts of kept) */
} informative;

/* Marks the facts that are hops of the informative pairs of one second relation. */
static hs_status mark_hops(void *ctx, const hs_pairs *pairs, hs_error *err)
{
    (void)err;
    const informative *s = ctx;
    const hs_graph *g = s->kept;
    bool any = false;
    for (size_t i = 0; i < pairs->n_pairs; i++) {
        const hs_pair_count *p = &pairs->pair[i];
        s->first[p->r1] = p->facts >= s->filter->informative_min_facts &&
                          (double)p->top / (double)p->facts <= s->filter->informative_max_majority;
        any = any || s->first[p->r1];
    }
    for (uint64_t k = 0; any && k < pairs->n_facts; k++) {
        uint64_t j = pairs->fact[k];
        uint32_t bridge = g->facts[j].head, tail = g->facts[j].tail;
        for (uint64_t i = g->in_start[bridge]; bridge != tail && i < g->in_start[bridge + 1]; i++) {
            const hs_fact *hop = &g->facts[g->in_fact[i]];
            if (s->first[hop->relation] && hop->head != bridge && hop->head != tail)
                s->used[g->in_fact[i]] = s->used[j] = 1;
        }
    }
    for (size_t i = 0; i < pairs->n_pairs; i++)
        s->first[pairs->pair[i].r1] = 0;
    return HS_OK;
}

static uint32_t id_in(const hs_names *names, const char *name)
{
    return hs_names_find(names, name, strlen(name));
}

/* Facts that are a hop of a two-hop fact of an informative pair. */
static hs_status keep_informative(selection *s, hs_error *err)
{
    const hs_graph *g = s->g;
    hs_graph kept = {0};
    informative found = {.kept = &kept, .filter = s->filter};
    hs_status status = copy_kept(s, &kept, err);
    if (status == HS_OK) {
        found.first = hs_calloc((size_t)kept.relations.n + 1, 1);
        found.used = hs_calloc(kept.n_facts + 1, 1);
        if (found.first == NULL || found.used == NULL)
            status = hs_fail_memory(err, kept.relations.n + kept.n_facts);
    }
    if (status == HS_OK)
        status = hs_graph_each_pair(&kept, mark_hops, &found, err);
    for (uint64_t i = 0; status == HS_OK && i < g->n_facts; i++) {
        if (!s->keep[i])
            continue;
        hs_fact fact = {id_in(&kept.entities, hs_names_get(&g->entities, g->facts[i].head)),
                        id_in(&kept.relations, hs_names_get(&g->relations, g->facts[i].relation)),
                        id_in(&kept.entities, hs_names_get(&g->entities, g->facts[i].tail))};
        s->keep[i] = found.used[hs_graph_find(&kept, fact)];
    }
    hs_free(found.first);
    hs_free(found.used);
    hs_graph_free(&kept);
    return status;
}

static hs_status add_inverses(hs_graph *out, hs_error *err)
{
    uint64_t n = out->n_facts;
    hs_str name = {0};
    hs_status status = HS_OK;
    for (uint64_t i = 0; status == HS_OK && i < n; i++) {
        hs_fact fact = out->facts[i], inverse = {.head = fact.tail, .tail = fact.head};
        name.len = 0;
        hs_str_addf(&name, "%s^-1", hs_names_get(&out->relations, fact.relation));
        if (name.failed)
            status = hs_fail_memory(err, 64);
        if (status == HS_OK)
            status = hs_names_add(&out->relations, name.s, name.len, &inverse.relation, err);
        if (status == HS_OK)
            status = hs_graph_add_ids(out, inverse, out->flags[i], err);
    }
    hs_str_free(&name);
    return status == HS_OK ? hs_graph_index(out, err) : status;
}

static hs_status select_into(selection *s, hs_graph *out, hs_error *err)
{
    const hs_graph_filter *filter = s->filter;
    memset(s->keep, 1, s->g->n_facts);
    if (filter->relations != NULL)
        HS_TRY(keep_relations(s, err));
    if (filter->functional)
        keep_functional(s);
    if (filter->min_degree > 0)
        HS_TRY(keep_degree(s, err));
    if (filter->sample_bridges > 0)
        HS_TRY(keep_bridges(s, err));
    if (filter->informative_min_facts > 0)
        HS_TRY(keep_informative(s, err));
    HS_TRY(copy_kept(s, out, err));
    return filter->inverses ? add_inverses(out, err) : HS_OK;
}

hs_status hs_graph_select(const hs_graph *g, const hs_graph_filter *filter, hs_graph *out, hs_error *err)
{
    selection s = {.g = g, .filter = filter, .keep = hs_alloc(g->n_facts + 1)};
    *out = (hs_graph){0};
    if (s.keep == NULL)
        return hs_fail_memory(err, g->n_facts);
    hs_status status = select_into(&s, out, err);
    hs_free(s.keep);
    if (status != HS_OK)
        hs_graph_free(out);
    return status;
}

hs_status hs_graph_no_relation(const hs_graph *g, const char *name, hs_error *err)
{
    hs_fail(err, HS_ERR_DATA, "the graph has no such relation");
    hs_error_value(err, name, strlen(name));
    const char **names = hs_alloc(((size_t)g->relations.n + 1) * sizeof *names);
    if (names != NULL) {
        for (uint32_t i = 0; i < g->relations.n; i++)
            names[i] = hs_names_get(&g->relations, i);
        const char *near = hs_nearest(name, names, g->relations.n);
        if (near != NULL)
            hs_error_hint(err, "did you mean \"%s\"?", near);
        hs_free(names);
    }
    return HS_ERR_DATA;
}
