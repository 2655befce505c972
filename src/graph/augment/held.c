/* held.c - facts held back, and as many put in their place: the same ones, false ones of the same form, or random ones. So the worth of
 * true, wrong and senseless synthetic facts is compared at one number of facts (asked by arXiv 2504.20752, run nowhere).
 *
 * Invariant: which facts are held back follows from the graph, the share and the seed alone, not from what comes in their place. */
#include "hopscope/graph.h"

#include <string.h>

#define PURPOSE_HELD HS_PURPOSE('H', 'E', 'L', 'D')
#define PURPOSE_PLACE HS_PURPOSE('H', 'E', 'L', 'P')

const char *const hs_in_place_names[] = {"none", "same", "wrong_tail", "random", NULL};

typedef struct holder {
    const hs_graph *g;
    const hs_hold_options *options;
    uint32_t *tail;    /* (n_facts) tails of the facts, by relation */
    uint64_t *first;   /* (relations + 1) of each relation in `tail` */
    hs_fact *taken;    /* (taken_size) facts put in place, by their head and relation; relation HS_NO_ID: free */
    size_t taken_size; /* a power of two */
    hs_hold_report report;
} holder;

static hs_status list_tails(holder *h, hs_error *err)
{
    const hs_graph *g = h->g;
    h->tail = hs_alloc((g->n_facts + 1) * sizeof *h->tail);
    h->first = hs_calloc((size_t)g->relations.n + 2, sizeof *h->first);
    for (h->taken_size = 16; h->taken_size < 2 * g->n_facts;)
        h->taken_size *= 2;
    h->taken = hs_alloc(h->taken_size * sizeof *h->taken);
    if (!h->tail || !h->first || !h->taken)
        return hs_fail_memory(err, g->n_facts * sizeof *h->tail);
    memset(h->taken, 0xFF, h->taken_size * sizeof *h->taken);
    for (uint64_t i = 0; i < g->n_facts; i++)
        h->first[g->facts[i].relation + 2]++;
    for (uint32_t r = 2; r <= g->relations.n; r++)
        h->first[r] += h->first[r - 1];
    for (uint64_t i = 0; i < g->n_facts; i++)
        h->tail[h->first[g->facts[i].relation + 1]++] = g->facts[i].tail;
    return HS_OK;
}

/* The place of (head, relation) among the facts put in place: that of such a fact, or a free one. */
static hs_fact *place_of(const holder *h, hs_fact fact)
{
    const uint32_t key[2] = {fact.head, fact.relation};
    size_t at = (size_t)hs_hash(key, sizeof key, 0) & (h->taken_size - 1);
    while (h->taken[at].relation != HS_NO_ID && (h->taken[at].head != fact.head || h->taken[at].relation != fact.relation))
        at = (at + 1) & (h->taken_size - 1);
    return &h->taken[at];
}

static bool has_any(const hs_graph *g, uint32_t head, uint32_t relation)
{
    uint64_t first, last;
    hs_graph_out(g, head, relation, &first, &last);
    return first < last;
}

static bool is_true(const hs_graph *g, hs_fact fact)
{
    uint64_t first, last;
    hs_graph_out(g, fact.head, fact.relation, &first, &last);
    for (; first < last; first++)
        if (g->facts[first].tail == fact.tail)
            return true;
    return false;
}

/* What stands in place of fact i; false: nothing fitting was drawn in 1,000 tries. */
static bool replace(holder *h, uint64_t i, hs_fact *out)
{
    enum { TRIES = 1000 };
    const hs_graph *g = h->g;
    hs_rng rng;
    *out = g->facts[i];
    if (h->options->in_place == HS_IN_PLACE_SAME)
        return true;
    hs_rng_init(&rng, h->options->seed, PURPOSE_PLACE, i, 0);
    const uint64_t *first = h->first + out->relation;
    for (uint32_t k = 0; k < TRIES; k++) {
        if (h->options->in_place == HS_IN_PLACE_WRONG_TAIL) {
            out->tail = h->tail[first[0] + hs_rng_below(&rng, first[1] - first[0])];
            if (!is_true(g, *out) && out->tail != out->head)
                return true;
            continue;
        }
        out->head = (uint32_t)hs_rng_below(&rng, g->entities.n);
        out->tail = (uint32_t)hs_rng_below(&rng, g->entities.n);
        if (out->head != out->tail && !has_any(g, out->head, out->relation) && place_of(h, *out)->relation == HS_NO_ID)
            return true;
    }
    return false;
}

static hs_status fill(holder *h, hs_graph *out, hs_error *err)
{
    const hs_graph *g = h->g;
    const uint64_t bound = (uint64_t)(h->options->share * 4294967296.0);
    HS_TRY(list_tails(h, err));
    HS_TRY(hs_graph_copy_names(g, out, err));
    for (uint64_t i = 0; i < g->n_facts; i++) {
        hs_rng rng;
        hs_fact fact;
        hs_rng_init(&rng, h->options->seed, PURPOSE_HELD, i, 0);
        if (hs_rng_u32(&rng) >= bound) {
            HS_TRY(hs_graph_add_ids(out, g->facts[i], g->flags[i], err));
            continue;
        }
        h->report.held++;
        if (h->options->in_place == HS_IN_PLACE_NONE || !replace(h, i, &fact))
            continue;
        *place_of(h, fact) = fact;
        h->report.put++;
        HS_TRY(hs_graph_add_ids(out, fact, HS_FACT_SYNTHETIC, err));
    }
    if (h->report.held == g->n_facts && h->options->in_place == HS_IN_PLACE_NONE)
        return hs_fail(err, HS_ERR_DATA, "no fact of the graph is left");
    return hs_graph_index(out, err);
}

hs_status hs_graph_hold_back(const hs_graph *g, const hs_hold_options *options, hs_graph *out, hs_hold_report *report,
                             hs_error *err)
{
    holder h = {.g = g, .options = options};
    *out = (hs_graph){0};
    const hs_status status = fill(&h, out, err);
    if (report)
        *report = h.report;
    hs_free(h.tail);
    hs_free(h.first);
    hs_free(h.taken);
    if (status != HS_OK)
        hs_graph_free(out);
    return status;
}
