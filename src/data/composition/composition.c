/* composition.c - h r1 r2 ... -> t (arXiv 2405.15071, 3.1; splits and variants of 2505.23653; fact-level
 * augmentation of 2601.09049, App. C).
 *
 * Every query of the graph is a candidate with a class and a random key; both depend only on the seed, the graph and
 * the candidate's place in its head's list, so any number of threads gives the same dataset. Sampling (phi, test_max)
 * keeps the smallest keys of a class. Steps: facts, OOD marks, classes, phi, cover, test samples, injection, splits. */
#include "data/composition/composition.h"

#include <math.h>
#include <string.h>

#define PURPOSE_QUERY HS_PURPOSE('Q', 'U', 'E', 'R')

enum { HEADS_PER_TASK = 16 };

static hs_status count_limit(const hs_composition *c, uint64_t n, hs_error *err)
{
    if (n < UINT32_MAX)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "the graph has too many %u-hop paths%s", c->hops, n == UINT64_MAX ? "" : ":");
    hs_error_where(err, "data.hops");
    if (n != UINT64_MAX) {
        char text[32];
        hs_format_count(n, text);
        hs_error_value(err, text, strlen(text));
    }
    return hs_error_hint(err, "possible: up to 4,294,967,294; fewer hops, a smaller out-degree or a part of the graph");
}

static void count_task(void *user, uint32_t task, uint32_t worker)
{
    hs_composition *c = user;
    uint32_t first = task * HEADS_PER_TASK, last = first + HEADS_PER_TASK;
    for (uint32_t h = first; h < last && h < c->table.n_entities; h++) {
        hs_queries_of_head(&c->queries[worker], &c->table, c->hops, h);
        c->first[h + 1] = c->queries[worker].n;
    }
}

static uint32_t n_tasks(const hs_composition *c)
{
    return (c->table.n_entities + HEADS_PER_TASK - 1) / HEADS_PER_TASK;
}

/* Scratch for the largest head, and where each head's candidates begin. */
static hs_status lay_out(hs_composition *c, hs_error *err)
{
    uint32_t E = c->table.n_entities;
    uint64_t *counts = hs_alloc((size_t)E * sizeof *counts), *scratch = hs_alloc((size_t)E * sizeof *scratch);
    c->first = hs_calloc((size_t)E + 1, sizeof *c->first);
    c->queries = hs_calloc(c->n_workers, sizeof *c->queries);
    hs_status status = HS_OK;
    uint64_t most = 0;
    if (!counts || !scratch || !c->first || !c->queries)
        status = hs_fail_memory(err, (size_t)E * sizeof *counts);
    if (status == HS_OK)
        status = count_limit(c, hs_paths_count(&c->table, c->hops, counts, scratch), err);
    for (uint32_t h = 0; status == HS_OK && h < E; h++) {
        most = counts[h] > most ? counts[h] : most;
        c->first[h + 1] = counts[h];
    }
    hs_free(counts);
    hs_free(scratch);
    for (uint32_t w = 0; status == HS_OK && w < c->n_workers; w++)
        status = hs_query_list_init(&c->queries[w], most, c->table.multi, err);
    HS_TRY(status);
    if (!c->table.generated)
        hs_pool_run(c->pool, n_tasks(c), count_task, c);
    for (uint32_t h = 0; h < E; h++)
        c->first[h + 1] += c->first[h];
    return HS_OK;
}

/* The class of one query before sampling. `held_out` is its draw for the test. */
static uint16_t classify(const hs_composition *c, const hs_query *q, bool held_out)
{
    bool testable = !(c->config->test_real_only && q->synthetic);
    if (q->mixed)
        return HS_CAT_NONE;
    if (q->mask != 0)
        return testable ? (uint16_t)(HS_CAT_TEST + q->mask) : HS_CAT_NONE;
    if (q->restricted)
        return testable ? HS_CAT_TEST_RESTRICTED : HS_CAT_NONE;
    return testable && held_out ? HS_CAT_TEST : HS_CAT_TRAIN;
}

static void classify_task(void *user, uint32_t task, uint32_t worker)
{
    hs_composition *c = user;
    uint32_t first = task * HEADS_PER_TASK, last = first + HEADS_PER_TASK;
    uint64_t bound = (uint64_t)(c->config->holdout * 4294967296.0);
    for (uint32_t h = first; h < last && h < c->table.n_entities; h++) {
        hs_query_list *queries = &c->queries[worker];
        hs_rng rng;
        hs_rng_init(&rng, c->config->seed, PURPOSE_QUERY, 0, h);
        hs_queries_of_head(queries, &c->table, c->hops, h);
        for (uint32_t i = 0; i < queries->n; i++) {
            uint64_t at = c->first[h] + i;
            bool held_out = hs_rng_u32(&rng) < bound;
            c->key[at] = hs_rng_u32(&rng);
            c->cat[at] = classify(c, &queries->query[i], held_out);
        }
    }
}

static hs_status classify_all(hs_composition *c, hs_error *err)
{
    uint64_t n = c->first[c->table.n_entities];
    c->cat = hs_alloc((size_t)(n ? n : 1) * sizeof *c->cat);
    c->key = hs_alloc((size_t)(n ? n : 1) * sizeof *c->key);
    if (!c->cat || !c->key)
        return hs_fail_memory(err, (size_t)n * sizeof *c->key);
    hs_pool_run(c->pool, n_tasks(c), classify_task, c);
    for (uint64_t i = 0; i < n; i++)
        c->pool_size += c->cat[i] == HS_CAT_TRAIN;
    if (c->pool_size > 0)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "the graph has no %u-hop query to train on", c->hops);
    hs_error_where(err, "data.hops");
    return hs_error_hint(
        err, "%llu candidates of %u facts; a lower ood_fraction or holdout, or an augmented graph, may help",
        (unsigned long long)n, c->table.n_facts);
}

/* How many training queries phi asks for. */
static hs_status training_limit(const hs_composition *c, uint64_t *limit, hs_error *err)
{
    *limit = UINT64_MAX;
    if (c->config->phi == 0 || c->config->quirk_float_phi)
        return HS_OK;
    *limit = (uint64_t)llround(c->config->phi * c->table.n_id);
    if (*limit > 0 && *limit <= c->pool_size)
        return HS_OK;
    char text[32];
    snprintf(text, sizeof text, "%.9g", c->config->phi);
    hs_fail(err, HS_ERR_DATA, "phi asks for %llu training queries, the graph holds %llu", (unsigned long long)*limit,
            (unsigned long long)c->pool_size);
    hs_error_where(err, "data.phi");
    hs_error_value(err, text, strlen(text));
    double most = floor((double)c->pool_size / c->table.n_id * 100) / 100;
    return hs_error_hint(err, "possible: phi up to %.2f, or 0 for all queries", most);
}

/* Sample the classes down; test_oo before injection (which serves its facts), the others after it. */
static hs_status sample(hs_composition *c, hs_error *err)
{
    uint64_t limit[HS_N_CATS], n = c->first[c->table.n_entities];
    uint64_t test_max = c->config->test_max ? c->config->test_max : UINT64_MAX;
    for (uint32_t i = 0; i < HS_N_CATS; i++)
        limit[i] = UINT64_MAX;
    HS_TRY(training_limit(c, &limit[HS_CAT_TRAIN], err));
    uint32_t all_ood = HS_CAT_TEST + (1u << c->hops) - 1;
    limit[all_ood] = test_max;
    HS_TRY(hs_select(c->cat, c->key, n, limit, HS_N_CATS, err));
    if (c->config->cover)
        HS_TRY(hs_composition_cover(c, err));
    if (hs_injection_on(c->config))
        HS_TRY(hs_composition_inject(c, err));
    limit[HS_CAT_TRAIN] = UINT64_MAX;
    for (uint32_t i = HS_CAT_TEST; i <= HS_CAT_TEST_RESTRICTED; i++)
        limit[i] = test_max;
    return hs_select(c->cat, c->key, n, limit, HS_N_CATS, err);
}

/* Entities, relations, specials. */
static hs_status make_vocab(hs_dataset *out, const hs_data_config *config, const hs_graph *graph, hs_error *err)
{
    uint32_t E = graph ? graph->entities.n : config->entities, m = config->token_multiplicity;
    if (m > 0 && graph) {
        hs_fail(err, HS_ERR_DATA, "two-token entities are made for generated graphs only");
        return hs_error_where(err, "data.token_multiplicity");
    }
    if (m > 0 && (E % m != 0 || (uint64_t)m * m > E)) {
        hs_fail(err, HS_ERR_DATA, "%u entities cannot have two names each shared by %u", E, m);
        hs_error_where(err, "data.token_multiplicity");
        return hs_error_hint(err, "possible: a divisor of data.entities whose square is at most data.entities");
    }
    uint32_t R = graph ? graph->relations.n : config->relations;
    if (m > 0) {
        out->tokens_per_entity = 2;
        for (uint32_t i = 0; i < 2 * (E / m); i++)
            HS_TRY(hs_vocab_addf(out, err, i < E / m ? "<first_%u>" : "<last_%u>", i % (E / m)));
    } else {
        for (uint32_t i = 0; i < E; i++)
            HS_TRY(graph ? hs_vocab_add(out, hs_names_get(&graph->entities, i), "entity", NULL, err)
                         : hs_vocab_addf(out, err, "<e_%u>", i));
    }
    out->n_entities = out->vocab.n;
    for (uint32_t i = 0; i < R; i++)
        HS_TRY(graph ? hs_vocab_add(out, hs_names_get(&graph->relations, i), "relation", NULL, err)
                     : hs_vocab_addf(out, err, "<r_%u>", i));
    out->n_relations = R;
    HS_TRY(hs_vocab_specials(out, err));
    return hs_vocab_dead(out, err);
}

static hs_status check_variant(const hs_composition *c, hs_error *err)
{
    if (!hs_injection_on(c->config) || (c->hops == 2 && !c->table.multi))
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "fact-level augmentation is defined for two hops over facts with one tail");
    hs_error_where(err, "data.injection");
    return hs_error_hint(err, "possible: data.hops 2 and data.tails functional");
}

static hs_status run_steps(hs_composition *c, const hs_graph *graph, hs_dataset *out, hs_error *err)
{
    HS_TRY(make_vocab(out, c->config, graph, err));
    HS_TRY(graph ? hs_fact_table_from_graph(&c->table, c->config, graph, err)
                 : hs_fact_table_generate(&c->table, c->config, c->pool, err));
    HS_TRY(check_variant(c, err));
    hs_fact_table_mark(&c->table, c->config);
    HS_TRY(lay_out(c, err));
    HS_TRY(classify_all(c, err));
    HS_TRY(sample(c, err));
    HS_TRY(hs_composition_emit(c, out, err));
    return hs_dataset_set_facts(out, &c->table, out->n_entities, err);
}

hs_status hs_composition_build(const hs_data_config *config, const hs_graph *graph, hs_pool *pool, hs_dataset *out,
                               hs_error *err)
{
    hs_composition c = {.config = config, .hops = config->hops, .pool = pool, .n_workers = hs_pool_threads(pool)};
    hs_status status = run_steps(&c, graph, out, err);
    for (uint32_t w = 0; c.queries && w < c.n_workers; w++)
        hs_query_list_free(&c.queries[w]);
    hs_free(c.queries);
    hs_free(c.first);
    hs_free(c.cat);
    hs_free(c.key);
    hs_fact_table_free(&c.table);
    return status;
}
