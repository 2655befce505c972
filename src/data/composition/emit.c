/* emit.c - from classes of candidates to packed splits, in parallel over heads.
 * Where an item goes follows from the classes alone (counts per block of heads, then prefix sums), so workers never
 * share a counter. Items stand in the order of their candidates. */
#include "data/composition/composition.h"

#include <string.h>

enum { HEADS_PER_BLOCK = 16, MAX_SPLITS = HS_N_CATS };

typedef struct emit_ctx {
    hs_composition *c;
    hs_dataset *out;
    uint32_t end_token;           /* HS_PAD: none */
    uint32_t split_of[HS_N_CATS]; /* index of the split in out->splits, or HS_PAD */
    uint64_t *offset;             /* (blocks, HS_N_CATS): first item of the block in its split */
    bool fill_also;               /* second pass of policy `any` */
} emit_ctx;

static void class_name(char *name, size_t size, uint32_t cat, uint32_t hops)
{
    static const char *const FIXED[] = {"test_ii_sr", "train_aug_h1", "train_aug_h2"};
    if (cat == HS_CAT_TRAIN) {
        snprintf(name, size, "train_inferred");
    } else if (cat >= HS_CAT_TEST_RESTRICTED) {
        snprintf(name, size, "%s", FIXED[cat - HS_CAT_TEST_RESTRICTED]);
    } else {
        char letters[HS_MAX_HOPS + 1] = {0};
        for (uint32_t k = 0; k < hops; k++)
            letters[k] = (cat - HS_CAT_TEST) >> k & 1 ? 'o' : 'i';
        snprintf(name, size, "test_%s", letters);
    }
}

static void put_item(const emit_ctx *ctx, hs_split *s, uint64_t item, const hs_query *q)
{
    const hs_dataset *d = ctx->out;
    const hs_fact_table *table = &ctx->c->table;
    uint32_t hops = ctx->c->hops, tpe = d->tokens_per_entity, two[2];
    uint32_t *tokens = s->tokens + item * s->width;
    hs_dataset_entity_tokens(d, table->facts[q->edge[0]].head, two);
    for (uint32_t j = 0; j < tpe; j++)
        *tokens++ = two[j];
    for (uint32_t k = 0; k < hops; k++)
        *tokens++ = d->n_entities + table->facts[q->edge[k]].relation;
    hs_dataset_entity_tokens(d, table->facts[q->edge[hops - 1]].tail, two);
    for (uint32_t j = 0; j < tpe; j++)
        *tokens++ = two[j];
    if (ctx->end_token != HS_PAD)
        *tokens = ctx->end_token;
    uint32_t *bridge = s->bridge + item * s->bridges;
    for (uint32_t k = 0; k + 1 < hops; k++) {
        hs_dataset_entity_tokens(d, table->facts[q->edge[k]].tail, two);
        for (uint32_t j = 0; j < tpe; j++)
            *bridge++ = two[j];
    }
    if (s->synthetic)
        s->synthetic[item] = q->synthetic;
    if (s->also_start)
        s->also_start[item + 1] = q->n_also;
}

static void emit_block(void *user, uint32_t block, uint32_t worker)
{
    const emit_ctx *ctx = user;
    hs_composition *c = ctx->c;
    hs_query_list *queries = &c->queries[worker];
    uint64_t at[HS_N_CATS];
    memcpy(at, ctx->offset + (size_t)block * HS_N_CATS, sizeof at);
    uint32_t first = block * HEADS_PER_BLOCK, last = first + HEADS_PER_BLOCK;
    for (uint32_t h = first; h < last && h < c->table.n_entities; h++) {
        const uint16_t *cat = c->cat + c->first[h];
        hs_queries_of_head(queries, &c->table, c->hops, h);
        for (uint32_t i = 0; i < queries->n; i++) {
            if (cat[i] == HS_CAT_NONE)
                continue;
            hs_split *s = &ctx->out->splits[ctx->split_of[cat[i]]];
            uint64_t item = at[cat[i]]++;
            const hs_query *q = &queries->query[i];
            if (!ctx->fill_also)
                put_item(ctx, s, item, q);
            else if (q->n_also > 0)
                memcpy(s->also + s->also_start[item], queries->also + q->also_first, q->n_also * sizeof *s->also);
        }
    }
}

/* Counts of further answers to offsets, and room for the answers. */
static hs_status size_also(hs_split *s, hs_error *err)
{
    for (uint64_t i = 0; i < s->n; i++)
        s->also_start[i + 1] += s->also_start[i];
    uint64_t n = s->also_start[s->n];
    s->also = hs_alloc((size_t)(n ? n : 1) * sizeof *s->also);
    return s->also ? HS_OK : hs_fail_memory(err, (size_t)n * sizeof *s->also);
}

static hs_status emit_queries(emit_ctx *ctx, const uint64_t *count, hs_error *err)
{
    /* training first, then the tests from all-ID to all-OOD */
    static const uint32_t ORDER[] = {HS_CAT_TRAIN,
                                     HS_CAT_AUG_HOP1,
                                     HS_CAT_AUG_HOP2,
                                     1,
                                     HS_CAT_TEST_RESTRICTED,
                                     2,
                                     3,
                                     4,
                                     5,
                                     6,
                                     7,
                                     8,
                                     9,
                                     10,
                                     11,
                                     12,
                                     13,
                                     14,
                                     15,
                                     16};
    hs_composition *c = ctx->c;
    uint32_t tpe = ctx->out->tokens_per_entity;
    for (uint32_t i = 0; i < sizeof ORDER / sizeof ORDER[0]; i++) {
        uint32_t cat = ORDER[i];
        ctx->split_of[cat] = HS_PAD;
        if (count[cat] == 0)
            continue;
        bool train = cat == HS_CAT_TRAIN || cat == HS_CAT_AUG_HOP1 || cat == HS_CAT_AUG_HOP2;
        hs_split form = {.role = train ? HS_SPLIT_TRAIN : HS_SPLIT_TEST,
                         .kind = HS_ITEM_QUERY,
                         .hops = c->hops,
                         .n = count[cat],
                         .prompt = tpe + c->hops,
                         .answer = tpe + c->hops,
                         .answers = tpe,
                         .bridges = (c->hops - 1) * tpe};
        form.width = form.prompt + tpe + (ctx->end_token != HS_PAD);
        class_name(form.name, sizeof form.name, cat, c->hops);
        hs_split *s;
        ctx->split_of[cat] = ctx->out->n_splits;
        HS_TRY(hs_dataset_add_split(ctx->out, &form, c->table.any_synthetic, c->table.multi, &s, err));
    }
    uint32_t blocks = (c->table.n_entities + HEADS_PER_BLOCK - 1) / HEADS_PER_BLOCK;
    hs_pool_run(c->pool, blocks, emit_block, ctx);
    if (!c->table.multi)
        return HS_OK;
    for (uint32_t cat = 0; cat < HS_N_CATS; cat++)
        if (ctx->split_of[cat] != HS_PAD)
            HS_TRY(size_also(&ctx->out->splits[ctx->split_of[cat]], err));
    ctx->fill_also = true;
    hs_pool_run(c->pool, blocks, emit_block, ctx);
    return HS_OK;
}

/* ---------------------------------------------------------------- atomic facts */

enum { FACTS_ID, FACTS_HELD_OUT, FACTS_OOD, N_FACT_SPLITS };

static uint32_t fact_class(uint8_t flags)
{
    return flags & HS_FACT_OOD ? FACTS_OOD : flags & HS_FACT_HELD_OUT ? FACTS_HELD_OUT : FACTS_ID;
}

static bool same_group(const hs_fact_table *table, uint32_t i, uint32_t j)
{
    return j < table->n_facts && table->facts[i].head == table->facts[j].head &&
           table->facts[i].relation == table->facts[j].relation;
}

static void fill_facts(const emit_ctx *ctx, hs_split *s, uint32_t class)
{
    const hs_fact_table *table = &ctx->c->table;
    const hs_dataset *d = ctx->out;
    uint64_t item = 0, n_also = 0;
    for (uint32_t i = 0, j; i < table->n_facts; i = j) {
        for (j = i + 1; same_group(table, i, j); j++)
            continue;
        if (fact_class(table->flags[i]) != class)
            continue;
        uint32_t two[2], *tokens = s->tokens + item * s->width;
        hs_dataset_entity_tokens(d, table->facts[i].head, two);
        for (uint32_t k = 0; k < d->tokens_per_entity; k++)
            *tokens++ = two[k];
        *tokens++ = d->n_entities + table->facts[i].relation;
        hs_dataset_entity_tokens(d, table->facts[i].tail, two);
        for (uint32_t k = 0; k < d->tokens_per_entity; k++)
            *tokens++ = two[k];
        if (ctx->end_token != HS_PAD)
            *tokens = ctx->end_token;
        for (uint32_t k = i; k < j; k++) {
            if (s->synthetic && table->flags[k] & HS_FACT_SYNTHETIC)
                s->synthetic[item] = 1;
            if (s->also && k > i)
                s->also[n_also] = table->facts[k].tail;
            n_also += k > i;
        }
        item++;
        if (s->also_start)
            s->also_start[item] = n_also;
    }
}

static hs_status emit_facts(emit_ctx *ctx, hs_error *err)
{
    static const char *const NAMES[N_FACT_SPLITS] = {"id_atomic", "held_out_id_atomic", "ood_atomic"};
    const hs_fact_table *table = &ctx->c->table;
    hs_variant variant = ctx->c->config->variant;
    bool only_queries = variant == HS_VARIANT_ONLY_QUERIES;
    bool train[N_FACT_SPLITS] = {!only_queries && variant != HS_VARIANT_WITHOUT_ID_FACTS, false, !only_queries};
    uint64_t count[N_FACT_SPLITS] = {0};
    for (uint32_t i = 0; i < table->n_facts; i++)
        if (i == 0 || !same_group(table, i - 1, i))
            count[fact_class(table->flags[i])]++;
    uint32_t tpe = ctx->out->tokens_per_entity;
    for (uint32_t class = 0; class < N_FACT_SPLITS; class ++) {
        if (count[class] == 0)
            continue;
        hs_split form = {.role = train[class] ? HS_SPLIT_TRAIN : HS_SPLIT_TEST,
                         .kind = HS_ITEM_FACT,
                         .hops = 1,
                         .n = count[class],
                         .prompt = tpe + 1,
                         .answer = tpe + 1,
                         .answers = tpe,
                         .width = 2 * tpe + 1 + (ctx->end_token != HS_PAD)};
        strcpy(form.name, NAMES[class]);
        hs_split *s;
        HS_TRY(hs_dataset_add_split(ctx->out, &form, table->any_synthetic, table->multi, &s, err));
        if (table->multi) {
            s->also = hs_alloc(((size_t)table->n_facts + 1) * sizeof *s->also); /* an upper bound */
            if (!s->also)
                return hs_fail_memory(err, table->n_facts * sizeof *s->also);
        }
        fill_facts(ctx, s, class);
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- identity items */

/* b -> b for every entity that some fact leads to and another from: training items that say nothing about a fact. */
static hs_status emit_identity(emit_ctx *ctx, hs_error *err)
{
    const hs_fact_table *table = &ctx->c->table;
    const hs_dataset *d = ctx->out;
    const uint32_t tpe = d->tokens_per_entity;
    hs_split form = {.name = "identity", .role = HS_SPLIT_TRAIN, .kind = HS_ITEM_OTHER, .prompt = tpe, .answer = tpe};
    form.answers = tpe;
    form.width = 2 * tpe + (ctx->end_token != HS_PAD);
    uint8_t *met = hs_calloc((size_t)table->n_entities + 1, 1); /* bit 0: a head, bit 1: a tail */
    if (!met)
        return hs_fail_memory(err, table->n_entities);
    for (uint32_t i = 0; i < table->n_facts; i++) {
        met[table->facts[i].head] |= 1;
        met[table->facts[i].tail] |= 2;
    }
    for (uint32_t e = 0; e < table->n_entities; e++)
        form.n += met[e] == 3;
    hs_split *s;
    hs_status status = form.n > 0 ? hs_dataset_add_split(ctx->out, &form, false, false, &s, err) : HS_OK;
    for (uint32_t e = 0, item = 0; status == HS_OK && e < table->n_entities; e++) {
        if (met[e] != 3)
            continue;
        uint32_t two[2], *tokens = s->tokens + (size_t)item++ * s->width;
        hs_dataset_entity_tokens(d, e, two);
        for (uint32_t k = 0; k < 2 * tpe; k++)
            tokens[k] = two[k % tpe];
        if (ctx->end_token != HS_PAD)
            tokens[2 * tpe] = ctx->end_token;
    }
    hs_free(met);
    return status;
}

hs_status hs_composition_emit(hs_composition *c, hs_dataset *out, hs_error *err)
{
    emit_ctx ctx = {.c = c, .out = out, .end_token = HS_PAD};
    if (c->config->end_token)
        ctx.end_token = hs_vocab_token(out, "</a>");
    HS_TRY(emit_facts(&ctx, err));
    if (c->config->identity)
        HS_TRY(emit_identity(&ctx, err));
    uint32_t blocks = (c->table.n_entities + HEADS_PER_BLOCK - 1) / HEADS_PER_BLOCK;
    ctx.offset = hs_calloc((size_t)blocks * HS_N_CATS, sizeof *ctx.offset);
    if (!ctx.offset)
        return hs_fail_memory(err, (size_t)blocks * HS_N_CATS * sizeof *ctx.offset);
    uint64_t count[HS_N_CATS] = {0};
    for (uint32_t block = 0; block < blocks; block++) {
        uint32_t last =
            (block + 1) * HEADS_PER_BLOCK < c->table.n_entities ? (block + 1) * HEADS_PER_BLOCK : c->table.n_entities;
        memcpy(ctx.offset + (size_t)block * HS_N_CATS, count, sizeof count);
        for (uint64_t i = c->first[block * HEADS_PER_BLOCK]; i < c->first[last]; i++)
            if (c->cat[i] != HS_CAT_NONE)
                count[c->cat[i]]++;
    }
    hs_status status = emit_queries(&ctx, count, err);
    hs_free(ctx.offset);
    return status;
}
