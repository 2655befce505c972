/* comparison.c - attr e1 e2 -> label. From a generated table (arXiv 2405.15071, 4): less, same, more of a value. From a
 * graph: same/different tails of an attribute relation, earlier/same/later of dates and numbers. OOD is a matter of
 * entities, drawn per attribute; only one-valued (entity, attribute) facts take part. */
#include "data/comparison/pairs.h"

#include <string.h>

#define PURPOSE_TABLE HS_PURPOSE('T', 'A', 'B', 'L')

/* ---------------------------------------------------------------- generated */

hs_status hs_table_generate(hs_dataset *out, const hs_data_config *config, hs_error *err)
{
    uint32_t E = config->entities, A = config->attributes, V = config->values;
    if ((uint64_t)E * A >= UINT32_MAX) {
        hs_fail(err, HS_ERR_DATA, "the table has too many cells");
        return hs_error_hint(err, "possible: entities times attributes up to 4,294,967,294");
    }
    for (uint32_t i = 0; i < E; i++)
        HS_TRY(hs_vocab_addf(out, err, "<e_%u>", i));
    for (uint32_t i = 0; i < A; i++)
        HS_TRY(hs_vocab_addf(out, err, "<attr_%u>", i));
    for (uint32_t i = 0; i < V; i++)
        HS_TRY(hs_vocab_addf(out, err, "<%u>", i));
    HS_TRY(hs_vocab_specials(out, err));
    for (uint32_t i = 0; i < A * 3; i++)
        HS_TRY(hs_vocab_addf(out, err, "<attr_%u_%u>", i / 3, i % 3));
    HS_TRY(hs_vocab_dead(out, err));
    out->n_entities = E;
    out->n_relations = A;
    uint64_t n = (uint64_t)E * A;
    out->facts = hs_alloc((size_t)n * sizeof *out->facts);
    out->fact_flags = hs_calloc((size_t)n, 1);
    if (!out->facts || !out->fact_flags)
        return hs_fail_memory(err, (size_t)n * sizeof *out->facts);
    out->n_facts = n;
    for (uint32_t e = 0; e < E; e++) {
        hs_rng rng;
        hs_rng_init(&rng, config->seed, PURPOSE_TABLE, 0, e);
        for (uint32_t a = 0; a < A; a++)
            out->facts[(uint64_t)e * A + a] = (hs_fact){e, E + a, E + A + (uint32_t)hs_rng_below(&rng, V)};
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- from a graph */

/* The configured names to relation ids of the graph. */
static hs_status look_up(const hs_attributes *names, const hs_graph *g, uint32_t *relation, hs_error *err)
{
    for (uint32_t i = 0; i < names->n; i++) {
        const char *name = names->item[i].name;
        relation[i] = hs_names_find(&g->relations, name, strlen(name));
        if (relation[i] != HS_NO_ID)
            continue;
        hs_fail(err, HS_ERR_DATA, "the graph has no such relation");
        hs_error_where(err, "data.attribute_list");
        hs_error_value(err, name, strlen(name));
        return hs_error_hint(err,
                             "possible: relation names separated by commas (a comma in a name is written \\,), for "
                             "example \"%s\"",
                             g->relations.n ? hs_names_get(&g->relations, 0) : "country");
    }
    if (names->n > 0)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "a comparison over a graph needs its attribute relations");
    hs_error_where(err, "data.attribute_list");
    return hs_error_hint(err, "for example \"country of citizenship,date of birth\"");
}

static hs_status find_attributes(const hs_data_config *config, const hs_graph *g, uint32_t **relation, uint32_t *n,
                                 hs_error *err)
{
    hs_attributes names;
    HS_TRY(hs_attributes_parse(&names, config->attribute_list, err));
    *n = names.n;
    *relation = hs_alloc(((size_t)names.n + 1) * sizeof **relation);
    hs_status status =
        *relation ? look_up(&names, g, *relation, err) : hs_fail_memory(err, names.n * sizeof **relation);
    hs_attributes_free(&names);
    return status;
}

/* Facts of the attributes with one value; entities that occur in them get tokens, in the order of the graph. */
typedef struct from_graph {
    const hs_graph *g;
    uint32_t *relation, n_relations;
    uint32_t *attribute_of; /* (relations) or HS_NO_ID */
    uint32_t *token;        /* (entities) or HS_NO_ID */
} from_graph;

static bool takes_part(const from_graph *f, uint64_t i)
{
    const hs_fact *fact = &f->g->facts[i];
    if (f->attribute_of[fact->relation] == HS_NO_ID)
        return false;
    uint64_t first, last;
    hs_graph_out(f->g, fact->head, fact->relation, &first, &last);
    return last == first + 1;
}

static hs_status copy_facts(const from_graph *f, hs_dataset *out, uint64_t n, hs_error *err)
{
    out->facts = hs_alloc((size_t)(n + 1) * sizeof *out->facts);
    out->fact_flags = hs_calloc((size_t)n + 1, 1);
    if (!out->facts || !out->fact_flags)
        return hs_fail_memory(err, (size_t)n * sizeof *out->facts);
    for (uint64_t i = 0; i < f->g->n_facts; i++) {
        if (!takes_part(f, i))
            continue;
        const hs_fact *fact = &f->g->facts[i];
        hs_fact mine = {f->token[fact->head], out->n_entities + f->attribute_of[fact->relation], f->token[fact->tail]};
        uint64_t at = out->n_facts++; /* attributes may come in another order than relations: insert within the head */
        for (; at > 0 && hs_fact_compare(&out->facts[at - 1], &mine) > 0; at--) {
            out->facts[at] = out->facts[at - 1];
            out->fact_flags[at] = out->fact_flags[at - 1];
        }
        out->facts[at] = mine;
        out->fact_flags[at] = f->g->flags[i] & HS_FACT_SYNTHETIC;
    }
    return HS_OK;
}

static hs_status fill_from_graph(from_graph *f, hs_dataset *out, hs_error *err)
{
    static const char *const LABELS[] = {"<same>", "<different>", "<earlier>", "<later>"};
    const hs_graph *g = f->g;
    uint64_t n = 0;
    for (uint32_t r = 0; r < g->relations.n; r++)
        f->attribute_of[r] = HS_NO_ID;
    for (uint32_t a = 0; a < f->n_relations; a++)
        f->attribute_of[f->relation[a]] = a;
    for (uint32_t e = 0; e < g->entities.n; e++)
        f->token[e] = HS_NO_ID;
    for (uint64_t i = 0; i < g->n_facts; i++) {
        if (!takes_part(f, i)) {
            out->facts_dropped += f->attribute_of[g->facts[i].relation] != HS_NO_ID;
            continue;
        }
        n++;
        f->token[g->facts[i].head] = f->token[g->facts[i].tail] = 0;
    }
    if (n == 0) {
        hs_fail(err, HS_ERR_DATA, "no entity of the graph has exactly one value of these attributes");
        return hs_error_where(err, "data.attribute_list");
    }
    for (uint32_t e = 0; e < g->entities.n; e++)
        if (f->token[e] == 0)
            HS_TRY(hs_vocab_add(out, hs_names_get(&g->entities, e), "entity", &f->token[e], err));
    out->n_entities = out->vocab.n;
    for (uint32_t a = 0; a < f->n_relations; a++)
        HS_TRY(hs_vocab_add(out, hs_names_get(&g->relations, f->relation[a]), "relation", NULL, err));
    out->n_relations = f->n_relations;
    HS_TRY(hs_vocab_specials(out, err));
    for (size_t k = 0; k < sizeof LABELS / sizeof LABELS[0]; k++)
        HS_TRY(hs_vocab_add(out, LABELS[k], "label", NULL, err));
    HS_TRY(hs_vocab_dead(out, err));
    return copy_facts(f, out, n, err);
}

static hs_status take_from_graph(hs_dataset *out, const hs_data_config *config, const hs_graph *g, hs_error *err)
{
    from_graph f = {.g = g};
    f.attribute_of = hs_alloc(((size_t)g->relations.n + 1) * sizeof *f.attribute_of);
    f.token = hs_alloc(((size_t)g->entities.n + 1) * sizeof *f.token);
    hs_status status = HS_OK;
    if (!f.attribute_of || !f.token)
        status = hs_fail_memory(err, g->entities.n * sizeof *f.token);
    if (status == HS_OK)
        status = find_attributes(config, g, &f.relation, &f.n_relations, err);
    if (status == HS_OK)
        status = fill_from_graph(&f, out, err);
    hs_free(f.relation);
    hs_free(f.attribute_of);
    hs_free(f.token);
    return status;
}

/* ---------------------------------------------------------------- the task */

hs_status hs_comparison_check(const hs_data_config *config, hs_error *err)
{
    if (config->variant != HS_VARIANT_BASE) {
        hs_fail(err, HS_ERR_DATA, "variants are defined for the task composition");
        return hs_error_where(err, "data.variant");
    }
    if (config->tails != HS_TAILS_FUNCTIONAL) {
        hs_fail(err, HS_ERR_DATA, "a comparison takes facts with one value only");
        hs_error_where(err, "data.tails");
        return hs_error_hint(err, "possible: functional");
    }
    if (config->token_multiplicity > 0 || hs_injection_on(config)) {
        hs_fail(err, HS_ERR_DATA,
                "two-token entities and fact-level augmentation are defined for the task composition");
        return hs_error_where(err, config->token_multiplicity > 0 ? "data.token_multiplicity" : "data.injection");
    }
    return HS_OK;
}

static hs_status run_steps(hs_pairs *p, const hs_graph *graph, hs_error *err)
{
    HS_TRY(hs_comparison_check(p->config, err));
    HS_TRY(graph ? take_from_graph(p->out, p->config, graph, err) : hs_table_generate(p->out, p->config, err));
    HS_TRY(hs_pairs_init(p, err));
    HS_TRY(hs_pairs_classify(p, err));
    HS_TRY(hs_pairs_sample_training(p, err));
    HS_TRY(hs_pairs_sample_tests(p, err));
    return hs_pairs_emit(p, err);
}

hs_status hs_comparison_build(const hs_data_config *config, const hs_graph *graph, hs_pool *pool, hs_dataset *out,
                              hs_error *err)
{
    hs_pairs p = {.config = config, .out = out, .pool = pool};
    p.balanced = config->balance == HS_BALANCE_LABELS || (config->balance == HS_BALANCE_AUTO && graph);
    hs_status status = run_steps(&p, graph, err);
    hs_pairs_free(&p);
    return status;
}
