/* data.c - the dataset on the page: its card, splits with baselines and proofs, vocabulary, facts, chosen queries. */
#include "report/page/page.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- splits */

/* A proof: of no item is `bad` so. */
static void add_claim(hs_str *out, const char *claim, uint64_t bad, uint64_t n, const char *sentence)
{
    char text[256];
    if (bad)
        snprintf(text, sizeof text, "%s: not so for %" PRIu64 " of %" PRIu64, sentence, bad, n);
    hs_page_open(out, '{');
    hs_page_key_text(out, "claim", claim);
    hs_page_key(out, "ok");
    hs_page_bool(out, bad == 0);
    hs_page_key_text(out, "text", bad ? text : sentence);
    hs_page_close(out, '}');
}

static void add_claims(const hs_split *split, const hs_audit_split *a, hs_str *out)
{
    hs_page_key(out, "claims");
    hs_page_open(out, '[');
    if (a && split->role == HS_SPLIT_TEST) {
        add_claim(out, "in_training", a->in_training, a->n, "No question of this split was trained");
        add_claim(out, "repeated", a->repeated, a->n, "No question comes twice");
        add_claim(out, "wrong_answers", a->wrong_answers, a->n, "Every answer and bridge follows from the facts");
        add_claim(out, "wrong_class", a->wrong_class, a->n, "The hops are trained or held out as the name says");
    }
    hs_page_close(out, ']');
}

/* ["id", "ood"]: the class that the hops of every item have; null where items differ or hops are no facts. */
static void add_hops(const hs_dataset *data, const hs_split *split, hs_str *out)
{
    hs_page_query first = {0}, q;
    bool same = split->n > 0;
    for (uint64_t i = 0; same && i < split->n; i++) {
        hs_page_query_of_item(data, split, i, &q);
        if (i == 0)
            first = q;
        same = q.hops > 0 && q.hops == first.hops && memcmp(q.ood, first.ood, q.hops * sizeof *q.ood) == 0 &&
               !memchr(q.ood, -1, q.hops);
    }
    hs_page_key(out, "hops");
    if (!same) {
        hs_page_raw(out, NULL);
        return;
    }
    hs_page_open(out, '[');
    for (uint32_t h = 0; h < first.hops; h++)
        hs_page_text(out, first.ood[h] ? "ood" : "id");
    hs_page_close(out, ']');
}

static void add_split(const hs_dataset *data, uint32_t i, hs_str *out)
{
    const hs_split *split = &data->splits[i];
    const hs_audit_split *audit = data->audit.split ? &data->audit.split[i] : NULL;
    const bool test = split->role == HS_SPLIT_TEST;
    hs_baseline best = {.value = NAN}, all[HS_N_BASELINES];
    if (audit && test)
        best = hs_baselines_best(&audit->baselines);
    hs_page_key(out, split->name);
    hs_page_open(out, '{');
    hs_page_key_whole(out, "items", split->n);
    hs_page_key_text(out, "role",
                     (split->kind == HS_ITEM_FACT || split->kind == HS_ITEM_COMPLEX_FACT) && !test ? "facts"
                     : test                                                                        ? "test"
                                                                                                   : "train");
    hs_page_key_number(out, "majority",
                       !audit || !test                  ? (double)NAN
                       : split->kind == HS_ITEM_COMPARE ? audit->baselines.majority_class
                                                        : audit->baselines.majority_r1r2);
    hs_page_key_number(out, "shortcut", best.value);
    hs_page_key_text(out, "shortcut_name", isfinite(best.value) ? best.name : NULL);
    hs_page_key(out, "explains");
    hs_page_bool(out, isfinite(best.value) && hs_baselines_explain(&audit->baselines));
    hs_page_key(out, "baselines");
    hs_page_open(out, '{');
    if (audit && test) {
        hs_baselines_list(&audit->baselines, all);
        for (int k = 0; k < HS_N_BASELINES; k++) {
            hs_page_key_number(out, all[k].name, all[k].value);
        }
    }
    hs_page_close(out, '}');
    hs_page_key_whole(out, "synthetic", audit ? audit->synthetic : 0);
    add_hops(data, split, out);
    add_claims(split, audit, out);
    hs_page_close(out, '}');
}

/* ---------------------------------------------------------------- facts */

/* Is an end of the fact an entity of a query? `near` (vocabulary). */
static void mark_near(const hs_page_run *r, uint8_t *near)
{
    for (uint32_t i = 0; i < r->n_queries; i++) {
        const hs_page_query *q = &r->query[i];
        for (uint32_t t = 0; t < q->n; t++)
            near[q->token[t]] = q->token[t] < r->run.data.n_entities;
        for (uint32_t b = 0; b < q->n_bridges; b++)
            if (q->bridge[b] != HS_NO_ID)
                near[q->bridge[b]] = 1;
        if (q->target != HS_NO_ID)
            near[q->target] = 1;
    }
}

typedef enum fact_column { HEAD, RELATION, TAIL, OOD, SYNTHETIC } fact_column;

static uint32_t fact_number(const hs_dataset *data, uint64_t f, fact_column column)
{
    const hs_fact *fact = &data->facts[f];
    const uint8_t flags = data->fact_flags ? data->fact_flags[f] : 0;
    switch (column) {
    case HEAD:
        return fact->head;
    case RELATION:
        return fact->relation;
    case TAIL:
        return fact->tail;
    case OOD:
        return (flags & HS_FACT_OOD) != 0;
    default:
        return (flags & HS_FACT_SYNTHETIC) != 0;
    }
}

static void add_facts(const hs_page_run *r, hs_str *out)
{
    static const char *const names[] = {"h", "r", "t", "ood", "synthetic"};
    const hs_dataset *data = &r->run.data;
    const bool cut = data->n_facts > HS_PAGE_FACTS;
    uint8_t *near = hs_calloc(data->vocab.n + 1, sizeof *near);
    out->failed |= !near;
    if (near)
        mark_near(r, near);
    hs_page_key(out, "facts");
    hs_page_open(out, '{');
    for (int column = HEAD; column <= SYNTHETIC; column++) {
        hs_page_key(out, names[column]);
        hs_page_open(out, '[');
        for (uint64_t f = 0, n = 0; near && data->tokens_per_entity == 1 && f < data->n_facts && n < HS_PAGE_FACTS; f++)
            if (!cut || near[data->facts[f].head] || near[data->facts[f].tail]) {
                hs_page_whole(out, fact_number(data, f, (fact_column)column));
                n++;
            }
        hs_page_close(out, ']');
    }
    hs_page_close(out, '}');
    hs_page_key(out, "facts_cut");
    hs_page_bool(out, cut);
    hs_free(near);
}

/* ---------------------------------------------------------------- all of it */

/* Places of the grid: of the longest query. */
static void add_roles(const hs_page_run *r, hs_str *out)
{
    const hs_page_query *longest = NULL;
    for (uint32_t i = 0; i < r->n_queries; i++)
        if (!longest || r->query[i].n > longest->n)
            longest = &r->query[i];
    hs_page_key(out, "roles");
    hs_page_open(out, '[');
    for (uint32_t p = 0; longest && p < longest->n_places; p++)
        hs_page_text(out, longest->place[p].role);
    hs_page_close(out, ']');
}

void hs_page_dataset(hs_page_run *r, hs_str *out)
{
    const hs_dataset *data = &r->run.data;
    if (r->has_data && data->tokens_per_entity > 1)
        hs_page_missing(r, "No drawing of the graph: its entities have two tokens.");
    hs_page_key(out, "splits");
    hs_page_open(out, '{');
    for (uint32_t i = 0; r->has_data && i < data->n_splits; i++)
        add_split(data, i, out);
    hs_page_close(out, '}');
    hs_page_key(out, "card");
    hs_page_raw(out, r->has_data ? data->card : NULL);
    hs_page_key(out, "vocab");
    hs_page_open(out, '[');
    for (uint32_t i = 0; r->has_data && i < data->vocab.n; i++)
        hs_page_text(out, hs_names_get(&data->vocab, i));
    hs_page_close(out, ']');
    hs_page_key_whole(out, "entities", r->has_data ? data->n_entities : 0);
    hs_page_key_whole(out, "relations", r->has_data ? data->n_relations : 0);
    add_roles(r, out);
    if (r->has_data)
        add_facts(r, out);
    hs_page_key(out, "queries");
    hs_page_open(out, '[');
    for (uint32_t i = 0; i < r->n_queries; i++)
        hs_page_query_json(data, &r->query[i], out);
    hs_page_close(out, ']');
}
