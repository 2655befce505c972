/* fact_table.c - the facts a task works on: generated (arXiv 2405.15071, 3.1) or taken from a graph, and which of them are OOD.
 * Facts are sorted by (head, relation, tail). Heads are generated independently of each other, each from its own random
 * stream, so the graph does not depend on threads. */
#include "data/internal.h"

#include <math.h>
#include <string.h>

#define PURPOSE_FACTS HS_PURPOSE('F', 'A', 'C', 'T')
#define PURPOSE_OOD HS_PURPOSE('O', 'O', 'D', ' ')
#define PURPOSE_VARIANT HS_PURPOSE('V', 'A', 'R', 'I')
#define PURPOSE_PATH HS_PURPOSE('O', 'O', 'D', 'P')

enum { HEADS_PER_TASK = 64 };

typedef struct generate_ctx {
    hs_fact_table *table;
    uint64_t seed;
    uint32_t out_degree, words;
    uint64_t *taken; /* (threads, words): bitmap of the relations of the head at hand */
} generate_ctx;

/* Distinct relations by Floyd's algorithm: each subset of the given size is equally likely. */
static void generate_head(const generate_ctx *ctx, uint32_t head, uint64_t *taken)
{
    hs_fact_table *table = ctx->table;
    uint32_t R = table->n_relations, k = ctx->out_degree;
    hs_rng rng;
    hs_rng_init(&rng, ctx->seed, PURPOSE_FACTS, 0, head);
    memset(taken, 0, ctx->words * sizeof *taken);
    for (uint32_t j = R - k; j < R; j++) {
        uint32_t r = (uint32_t)hs_rng_below(&rng, (uint64_t)j + 1);
        if (taken[r / 64] >> (r % 64) & 1)
            r = j;
        taken[r / 64] |= UINT64_C(1) << (r % 64);
    }
    hs_fact *fact = table->facts + (size_t)head * k;
    for (uint32_t w = 0; w < ctx->words; w++) {
        for (uint64_t bits = taken[w]; bits; bits &= bits - 1) {
            uint32_t r = w * 64 + (uint32_t)__builtin_ctzll(bits);
            *fact++ = (hs_fact){head, r, (uint32_t)hs_rng_below(&rng, table->n_entities)};
        }
    }
}

static void generate_task(void *user, uint32_t task, uint32_t worker)
{
    const generate_ctx *ctx = user;
    uint32_t first = task * HEADS_PER_TASK, last = first + HEADS_PER_TASK;
    if (last > ctx->table->n_entities)
        last = ctx->table->n_entities;
    for (uint32_t h = first; h < last; h++)
        generate_head(ctx, h, ctx->taken + (size_t)worker * ctx->words);
}

static hs_status allocate(hs_fact_table *table, uint64_t n_facts, hs_error *err)
{
    if (n_facts >= UINT32_MAX) {
        hs_fail(err, HS_ERR_DATA, "more facts than a dataset can hold (%llu)", (unsigned long long)n_facts);
        return hs_error_hint(err, "possible: up to %u facts", UINT32_MAX - 1);
    }
    table->n_facts = (uint32_t)n_facts;
    table->facts = hs_alloc((n_facts ? n_facts : 1) * sizeof *table->facts);
    table->flags = hs_calloc(n_facts ? n_facts : 1, 1);
    table->start = hs_calloc((size_t)table->n_entities + 1, sizeof *table->start);
    if (!table->facts || !table->flags || !table->start)
        return hs_fail_memory(err, n_facts * sizeof *table->facts);
    return HS_OK;
}

hs_status hs_fact_table_generate(hs_fact_table *table, const hs_data_config *config, hs_pool *pool, hs_error *err)
{
    *table = (hs_fact_table){.n_entities = config->entities, .n_relations = config->relations, .generated = true};
    if (config->out_degree > config->relations) {
        hs_fail(err, HS_ERR_DATA, "out-degree %u is larger than the number of relations: a head has each relation once",
                config->out_degree);
        hs_error_where(err, "data.out_degree");
        return hs_error_hint(err, "possible: out_degree up to %u, or more relations", config->relations);
    }
    hs_status status = allocate(table, (uint64_t)config->entities * config->out_degree, err);
    if (status != HS_OK) {
        hs_fact_table_free(table);
        return status;
    }
    for (uint32_t h = 0; h <= table->n_entities; h++)
        table->start[h] = h * config->out_degree;
    generate_ctx ctx = {table, config->seed, config->out_degree, config->relations / 64 + 1, NULL};
    ctx.taken = hs_calloc((size_t)hs_pool_threads(pool) * ctx.words, sizeof *ctx.taken);
    if (!ctx.taken) {
        hs_fact_table_free(table);
        return hs_fail_memory(err, ctx.words * sizeof *ctx.taken);
    }
    hs_pool_run(pool, (table->n_entities + HEADS_PER_TASK - 1) / HEADS_PER_TASK, generate_task, &ctx);
    hs_free(ctx.taken);
    return HS_OK;
}

/* One past the last fact with the head and relation of fact i. */
static uint32_t group_end(const hs_fact_table *table, uint32_t i)
{
    uint32_t j = i + 1, last = table->start[table->facts[i].head + 1];
    while (j < last && table->facts[j].relation == table->facts[i].relation)
        j++;
    return j;
}

hs_status hs_fact_table_from_graph(hs_fact_table *table, const hs_data_config *config, const hs_graph *graph,
                                   hs_error *err)
{
    *table = (hs_fact_table){.n_entities = graph->entities.n, .n_relations = graph->relations.n};
    hs_status status = allocate(table, graph->n_facts, err);
    if (status != HS_OK) {
        hs_fact_table_free(table);
        return status;
    }
    bool functional = config->tails == HS_TAILS_FUNCTIONAL;
    uint32_t n = 0;
    for (uint64_t i = 0; i < graph->n_facts;) {
        uint64_t j = i + 1;
        const hs_fact *f = &graph->facts[i];
        while (j < graph->n_facts && graph->facts[j].head == f->head && graph->facts[j].relation == f->relation)
            j++;
        for (uint64_t k = i; k < j && (!functional || j == i + 1); k++) {
            table->facts[n] = graph->facts[k];
            table->flags[n] = graph->flags[k] & HS_FACT_SYNTHETIC;
            table->any_synthetic |= table->flags[n] != 0;
            table->start[f->head + 1]++;
            n++;
        }
        table->multi |= !functional && j > i + 1;
        i = j;
    }
    table->n_facts = n;
    table->n_dropped = (uint32_t)graph->n_facts - n;
    for (uint32_t h = 0; h < table->n_entities; h++)
        table->start[h + 1] += table->start[h];
    return HS_OK;
}

void hs_fact_table_free(hs_fact_table *table)
{
    hs_free(table->facts);
    hs_free(table->flags);
    hs_free(table->start);
    *table = (hs_fact_table){0};
}

static void mark_group(hs_fact_table *table, uint32_t fact, uint8_t flag)
{
    uint32_t i = fact;
    while (i > table->start[table->facts[fact].head] && table->facts[i - 1].relation == table->facts[fact].relation)
        i--;
    for (uint32_t end = group_end(table, i); i < end; i++)
        table->flags[i] |= flag;
}

/* A (head, relation) may be chosen for a test if all its facts are real, or if that is not asked for. */
static bool eligible(const hs_fact_table *table, uint32_t i, uint32_t end, bool real_only, uint8_t not_flag)
{
    for (; i < end; i++)
        if ((real_only && table->flags[i] & HS_FACT_SYNTHETIC) || table->flags[i] & not_flag)
            return false;
    return true;
}

/* Mark exactly round(fraction * N) of the N eligible groups, uniformly. Returns the number of marked ones. */
static uint64_t mark_share(hs_fact_table *table, double fraction, uint8_t flag, uint8_t not_flag, bool real_only,
                           uint64_t seed, uint32_t purpose)
{
    uint64_t n = 0, ordinal = 0;
    for (uint32_t i = 0, end; i < table->n_facts; i = end) {
        end = group_end(table, i);
        n += eligible(table, i, end, real_only, not_flag);
    }
    uint64_t chosen = (uint64_t)llround(fraction * (double)n);
    for (uint32_t i = 0, end; i < table->n_facts && chosen > 0; i = end) {
        end = group_end(table, i);
        if (!eligible(table, i, end, real_only, not_flag))
            continue;
        if (hs_permute(seed, purpose, 0, n, ordinal++) < chosen)
            for (uint32_t k = i; k < end; k++)
                table->flags[k] |= flag;
    }
    return chosen;
}

/* A random fact that can follow fact `at` on a path of distinct entities; false if there is none. */
static bool next_hop(const hs_fact_table *table, const hs_fact *const *path, uint32_t n, bool real_only, hs_rng *rng,
                     uint32_t *next)
{
    uint32_t entity = path[n - 1]->tail, seen = 0;
    for (uint32_t i = table->start[entity]; i < table->start[entity + 1]; i++) {
        bool fits = !(real_only && table->flags[i] & HS_FACT_SYNTHETIC) && table->facts[i].tail != path[0]->head;
        for (uint32_t k = 0; k < n; k++)
            fits &= table->facts[i].tail != path[k]->tail;
        if (fits && hs_rng_below(rng, ++seen) == 0)
            *next = i;
    }
    return seen > 0;
}

/* Whole queries are made OOD, one after the other in random order, until the share of the facts is reached. */
static void mark_paths(hs_fact_table *table, const hs_data_config *config)
{
    uint64_t n_real = 0, marked = 0;
    for (uint32_t i = 0, end; i < table->n_facts; i = end) {
        end = group_end(table, i);
        n_real += eligible(table, i, end, config->test_real_only, 0);
    }
    uint64_t wanted = (uint64_t)llround(config->ood_fraction * (double)n_real);
    for (uint64_t k = 0; k < table->n_facts && marked < wanted; k++) {
        uint32_t at = (uint32_t)hs_permute(config->seed, PURPOSE_OOD, 0, table->n_facts, k), edge[HS_MAX_HOPS] = {at};
        const hs_fact *path[HS_MAX_HOPS] = {&table->facts[at]};
        if ((config->test_real_only && table->flags[at] & HS_FACT_SYNTHETIC) || table->flags[at] & HS_FACT_OOD ||
            path[0]->head == path[0]->tail)
            continue;
        hs_rng rng;
        hs_rng_init(&rng, config->seed, PURPOSE_PATH, 0, at);
        uint32_t n = 1;
        while (n < config->hops && next_hop(table, path, n, config->test_real_only, &rng, &edge[n])) {
            path[n] = &table->facts[edge[n]];
            n++;
        }
        if (n < config->hops)
            continue;
        for (uint32_t j = 0; j < n; j++) {
            marked += !(table->flags[edge[j]] & HS_FACT_OOD);
            mark_group(table, edge[j], HS_FACT_OOD);
        }
    }
}

void hs_fact_table_mark(hs_fact_table *table, const hs_data_config *config)
{
    bool by_path = config->ood_pick == HS_OOD_PATH || (config->ood_pick == HS_OOD_AUTO && !table->generated);
    if (by_path)
        mark_paths(table, config);
    else
        mark_share(table, config->ood_fraction, HS_FACT_OOD, 0, config->test_real_only, config->seed, PURPOSE_OOD);
    if (config->variant == HS_VARIANT_SECOND_HOP_RESTRICTED)
        mark_share(table, config->variant_fraction, HS_FACT_RESTRICTED, HS_FACT_OOD, config->test_real_only,
                   config->seed, PURPOSE_VARIANT);
    if (config->variant == HS_VARIANT_HELD_OUT_ID)
        mark_share(table, config->variant_fraction, HS_FACT_HELD_OUT, HS_FACT_OOD, config->test_real_only, config->seed,
                   PURPOSE_VARIANT);
    table->n_id = 0;
    for (uint32_t i = 0, end; i < table->n_facts; i = end) {
        end = group_end(table, i);
        table->n_id += !(table->flags[i] & HS_FACT_OOD);
    }
}
