/* comparison.c - heads for comparison (arXiv 2504.20752, Algorithm 1): every value of an attribute shared by k entities.
 */
#include "graph/augment/invent.h"

#include <string.h>

typedef struct filler {
    const hs_graph *g;
    hs_graph *out;
    uint64_t max_facts, added;
    uint32_t *count; /* (entities of g) heads that have the value at hand */
} filler;

static hs_status fill_relation(filler *f, uint32_t r, uint32_t per_value, hs_error *err)
{
    const hs_graph *g = f->g;
    uint32_t number = 0;
    memset(f->count, 0, (size_t)g->entities.n * sizeof *f->count);
    for (uint64_t i = 0; i < g->n_facts; i++)
        f->count[g->facts[i].tail] += g->facts[i].relation == r;
    for (uint32_t value = 0; value < g->entities.n; value++) {
        for (uint32_t n = f->count[value]; n > 0 && n < per_value; n++) {
            if (f->added == f->max_facts) {
                hs_fail(err, HS_ERR_DATA, "more than %llu synthetic facts are needed",
                        (unsigned long long)f->max_facts);
                hs_error_where(err, "relation \"%s\"", hs_names_get(&g->relations, r));
                hs_error_hint(err, "ask for fewer entities per value, or raise the limit");
                return HS_ERR_DATA;
            }
            hs_fact fact = {.relation = r, .tail = value};
            HS_TRY(hs_graph_invent(f->out, r, &number, &fact.head, err));
            HS_TRY(hs_graph_add_ids(f->out, fact, HS_FACT_SYNTHETIC, err));
            f->added++;
        }
    }
    return HS_OK;
}

static hs_status fill(filler *f, const hs_augment_comparison_options *options, hs_error *err)
{
    const hs_graph *g = f->g;
    HS_TRY(hs_graph_copy(g, f->out, err));
    for (size_t k = 0; k < options->n_relations; k++) {
        uint32_t r = hs_names_find(&g->relations, options->relations[k], strlen(options->relations[k]));
        if (r == HS_NO_ID)
            return hs_graph_no_relation(g, options->relations[k], err);
        for (size_t j = 0; j < k; j++)
            if (strcmp(options->relations[j], options->relations[k]) == 0)
                return hs_fail(err, HS_ERR_USAGE, "relation \"%s\" is named twice", options->relations[k]);
        HS_TRY(fill_relation(f, r, options->per_value, err));
    }
    return hs_graph_index(f->out, err);
}

hs_status hs_graph_augment_comparison(const hs_graph *g, const hs_augment_comparison_options *options, hs_graph *out,
                                      hs_augment_report *report, hs_error *err)
{
    *out = (hs_graph){0};
    if (options->n_relations == 0)
        return hs_fail(err, HS_ERR_USAGE, "comparison needs at least one attribute relation");
    filler f = {.g = g, .out = out, .max_facts = options->max_facts};
    if (f.max_facts == 0)
        f.max_facts = g->n_facts < 100 ? 10000 : g->n_facts * 100;
    hs_graph_stats before = {0}, after = {0};
    f.count = hs_alloc(((size_t)g->entities.n + 1) * sizeof *f.count);
    hs_status status = f.count == NULL ? hs_fail_memory(err, g->entities.n * sizeof *f.count) : HS_OK;
    if (status == HS_OK)
        status = fill(&f, options, err);
    if (status == HS_OK)
        status = hs_graph_stats_compute(g, 0, &before, err);
    if (status == HS_OK)
        status = hs_graph_stats_compute(out, 0, &after, err);
    if (status == HS_OK && report != NULL)
        *report = (hs_augment_report){.added_facts = f.added,
                                      .added_entities = out->entities.n - g->entities.n,
                                      .added_two_hop = after.two_hop - before.two_hop,
                                      .phi_before = before.phi,
                                      .phi_after = after.phi,
                                      .relations_chosen = options->n_relations};
    hs_free(f.count);
    hs_graph_stats_free(&before);
    hs_graph_stats_free(&after);
    if (status != HS_OK)
        hs_graph_free(out);
    return status;
}
