/* interpret.c - every configured method on every configured split of a model. */
#include "hopscope/tensor.h"
#include "interp/look.h"
#include "interp/methods/methods.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- the table of methods */

#define HS_X(name) &hs_method_##name,
static const hs_method *const table[] = {HS_METHOD_MAP(HS_X)};
#undef HS_X
enum { N_METHODS = sizeof table / sizeof *table };

const hs_method *const *hs_methods(size_t *n)
{
    *n = N_METHODS;
    return table;
}

const hs_method *hs_method_find(const char *name)
{
    for (size_t i = 0; i < N_METHODS; i++)
        if (strcmp(table[i]->name, name) == 0)
            return table[i];
    return NULL;
}

/* ---------------------------------------------------------------- settings */

static hs_status unknown_method(const char *name, hs_error *err)
{
    const char *names[N_METHODS];
    for (size_t i = 0; i < N_METHODS; i++)
        names[i] = table[i]->name;
    hs_fail(err, HS_ERR_DATA, "there is no method of this name");
    hs_error_where(err, "interpret.methods");
    hs_error_value(err, name, strlen(name));
    const char *nearest = hs_nearest(name, names, N_METHODS);
    char all[256] = "";
    for (size_t i = 0; i < N_METHODS; i++) {
        const size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", names[i]);
    }
    return nearest ? hs_error_hint(err, "did you mean '%s'?", nearest) : hs_error_hint(err, "methods: %s, or all", all);
}

static bool wants_all(const hs_interpret_config *config)
{
    return strcmp(config->methods, "all") == 0;
}

hs_status hs_interpret_config_check(const hs_interpret_config *config, hs_error *err)
{
    hs_list methods;
    HS_TRY(hs_list_parse(&methods, wants_all(config) ? "" : config->methods, err));
    hs_status status = HS_OK;
    for (size_t i = 0; i < methods.n && status == HS_OK; i++)
        if (!hs_method_find(methods.item[i]))
            status = unknown_method(methods.item[i], err);
    hs_list_free(&methods);
    return status;
}

/* Splits that are looked at when none are named: what is tested, and one training split of each kind. */
static bool by_default(const hs_split *split)
{
    if (split->role == HS_SPLIT_WATCH)
        return false;
    return split->role == HS_SPLIT_TEST || split->kind == HS_ITEM_FACT || strncmp(split->name, "train_", 6) == 0;
}

static hs_status check_splits(const hs_interpret_config *config, const hs_dataset *data, hs_error *err)
{
    hs_list splits;
    HS_TRY(hs_list_parse(&splits, config->splits, err));
    hs_status status = HS_OK;
    for (size_t i = 0; i < splits.n && status == HS_OK; i++) {
        if (hs_dataset_split(data, splits.item[i]))
            continue;
        status = hs_fail(err, HS_ERR_DATA, "the dataset has no split of this name");
        hs_error_where(err, "interpret.splits");
        hs_error_value(err, splits.item[i], strlen(splits.item[i]));
        char all[256] = "";
        for (uint32_t s = 0; s < data->n_splits; s++) {
            const size_t used = strlen(all);
            snprintf(all + used, sizeof all - used, "%s%s", s ? ", " : "", data->splits[s].name);
        }
        hs_error_hint(err, "its splits: %s", all);
    }
    hs_list_free(&splits);
    return status;
}

/* ---------------------------------------------------------------- scope */

/* Marks the facts that are hops of a training query. */
static void mark_used(hs_scope *scope, const hs_split *split)
{
    const hs_dataset *data = scope->data;
    if (split->role != HS_SPLIT_TRAIN || split->kind != HS_ITEM_QUERY || !split->bridge || data->tokens_per_entity != 1)
        return;
    for (uint64_t i = 0; i < split->n; i++) {
        const uint32_t *item = split->tokens + i * split->width, *bridge = split->bridge + i * split->bridges;
        uint32_t head = item[0];
        for (uint32_t hop = 0; hop < split->hops; hop++) {
            const uint32_t tail = hop + 1 < split->hops ? bridge[hop] : item[split->answer];
            uint64_t first, last;
            hs_dataset_facts_of(data, head, item[1 + hop], &first, &last);
            for (; first < last; first++)
                if (data->facts[first].tail == tail)
                    scope->used[first] = 1;
            head = tail;
        }
    }
}

hs_status hs_scope_create(hs_scope **out, const hs_dataset *data, hs_error *err)
{
    hs_scope *scope = hs_calloc(1, sizeof *scope);
    if (!scope)
        return hs_fail_memory(err, sizeof *scope);
    scope->data = data;
    scope->used = hs_calloc(data->n_facts + 1, 1);
    scope->heads = hs_alloc((data->n_facts + 1) * sizeof *scope->heads);
    scope->facts = hs_alloc((data->n_facts + 1) * sizeof *scope->facts);
    if (!scope->used || !scope->heads || !scope->facts) {
        hs_scope_free(scope);
        return hs_fail_memory(err, data->n_facts * (1 + sizeof *scope->heads));
    }
    bool queries = false;
    for (uint32_t s = 0; s < data->n_splits; s++) {
        mark_used(scope, &data->splits[s]);
        queries |= data->splits[s].kind == HS_ITEM_QUERY && data->splits[s].role == HS_SPLIT_TRAIN;
    }
    for (uint64_t f = 0; f < data->n_facts; f++) {
        if (!queries) /* facts alone are trained: any of them may stand in */
            scope->used[f] = 1;
        if (scope->used[f])
            scope->facts[scope->n_facts++] = f;
        if (scope->used[f] && (scope->n_heads == 0 || scope->heads[scope->n_heads - 1] != data->facts[f].head))
            scope->heads[scope->n_heads++] = data->facts[f].head;
    }
    *out = scope;
    return HS_OK;
}

void hs_scope_free(hs_scope *scope)
{
    if (!scope)
        return;
    hs_free(scope->used);
    hs_free(scope->facts);
    hs_free(scope->heads);
    hs_free(scope);
}

uint64_t hs_only_fact(const hs_dataset *data, uint32_t head, uint32_t relation)
{
    uint64_t first, last;
    hs_dataset_facts_of(data, head, relation, &first, &last);
    return last == first + 1 ? first : HS_NO_FACT;
}

uint64_t hs_draw_fact(const hs_scope *scope, hs_rng *rng)
{
    return scope->n_facts ? scope->facts[hs_rng_below(rng, scope->n_facts)] : HS_NO_FACT;
}

/* ---------------------------------------------------------------- the walk */

static hs_status apply(const hs_method *method, const hs_look *look, const hs_sink *sink, hs_error *err)
{
    hs_table measured = {.n = look->sample ? look->sample->n : 1};
    hs_status status = method->run(look, &measured, err);
    const hs_reading base = {.method = method->name, .split = look->sample ? look->sample->split->name : ""};
    if (status == HS_OK && sink->reading)
        status = hs_table_report(&measured, base, sink, err);
    if (status == HS_OK && sink->item)
        status = hs_table_items(&measured, base, measured.item || !look->sample ? measured.item : look->sample->item,
                                sink, err);
    hs_table_free(&measured);
    return status;
}

/* Is the split looked at under these settings? */
static bool is_looked_at(const hs_interpret_config *config, const hs_split *split)
{
    return config->splits[0] ? hs_list_has(config->splits, split->name) : by_default(split);
}

bool hs_method_fits(const hs_method *method, const hs_model *model, const hs_dataset *data,
                    const hs_interpret_config *config)
{
    if (!method->unfit(model, data, NULL))
        return true;
    for (uint32_t s = 0; s < data->n_splits; s++)
        if (is_looked_at(config, &data->splits[s]) && !method->unfit(model, data, &data->splits[s]))
            return true;
    return false;
}

hs_status hs_interpret_check(const hs_model *model, const hs_dataset *data, const hs_interpret_config *config,
                             hs_error *err)
{
    HS_TRY(hs_interpret_config_check(config, err));
    HS_TRY(hs_dataset_check_tokens(data, "a look inside", err));
    HS_TRY(check_splits(config, data, err));
    for (size_t m = 0; m < N_METHODS; m++) {
        if (!hs_list_has(config->methods, table[m]->name) || hs_method_fits(table[m], model, data, config))
            continue;
        const char *needs = table[m]->unfit(model, data, NULL);
        for (uint32_t s = 0; s < data->n_splits; s++)
            if (is_looked_at(config, &data->splits[s]))
                needs = table[m]->unfit(model, data, &data->splits[s]);
        hs_fail(err, HS_ERR_DATA, "the method does not fit this model and these splits: it needs %s", needs);
        hs_error_where(err, "interpret.methods");
        return hs_error_value(err, table[m]->name, strlen(table[m]->name));
    }
    return HS_OK;
}

/* Counts the next piece; is it one of ours? */
static bool is_next_ours(hs_piece *piece)
{
    piece->now++;
    return piece->now % piece->parts == piece->part;
}

/* One method on everything it fits. */
static hs_status walk(const hs_method *method, hs_look *look, const hs_sink *sink, hs_piece *piece, hs_error *err)
{
    const hs_dataset *data = look->scope->data;
    look->sample = NULL;
    if (!method->unfit(look->model, data, NULL))
        return is_next_ours(piece) ? apply(method, look, sink, err) : HS_OK;
    for (uint32_t s = 0; s < data->n_splits; s++) {
        const hs_split *split = &data->splits[s];
        if (!is_looked_at(look->config, split) || method->unfit(look->model, data, split) || !is_next_ours(piece))
            continue;
        hs_sample sample = {0};
        HS_TRY(hs_sample_create(data, split, look->model, look->config->max, &sample, err));
        look->sample = &sample;
        const hs_status status = apply(method, look, sink, err);
        hs_sample_free(&sample);
        HS_TRY(status);
    }
    return HS_OK;
}

hs_status hs_interpret(hs_scope *scope, const hs_model *model, const float *param, const hs_interpret_config *config,
                       hs_pool *pool, const hs_signals *signals, const hs_sink *sink, hs_error *err)
{
    hs_piece all = {.parts = 1};
    return hs_interpret_part(scope, model, param, config, pool, signals, sink, &all, err);
}

hs_status hs_interpret_part(hs_scope *scope, const hs_model *model, const float *param,
                            const hs_interpret_config *config, hs_pool *pool, const hs_signals *signals,
                            const hs_sink *sink, hs_piece *piece, hs_error *err)
{
    HS_TRY(hs_interpret_check(model, scope->data, config, err));
    HS_TRY(hs_tensor_open(err));
    HS_TRY(hs_tensor_reserve(hs_pool_threads(pool), err));
    hs_model view = *model; /* the same model with other weights */
    if (param)
        view.param = (float *)(uintptr_t)param;
    hs_look look = {.scope = scope, .model = &view, .config = config, .pool = pool, .signals = signals};
    for (size_t m = 0; m < N_METHODS; m++)
        if (wants_all(config) || hs_list_has(config->methods, table[m]->name))
            HS_TRY(walk(table[m], &look, sink, piece, err));
    return HS_OK;
}
