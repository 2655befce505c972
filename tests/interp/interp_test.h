/* interp_test.h - a small grokkable world with any model, and readings kept in memory. */
#ifndef HOPSCOPE_TESTS_INTERP_H
#define HOPSCOPE_TESTS_INTERP_H

#include "../check.h"

#include "hopscope/interp.h"
#include "hopscope/tensor.h"
#include "hopscope/train.h"

typedef struct world {
    hs_dataset data;
    hs_model model;
} world;

/* A generated composition dataset, and a model for it of 32 dimensions with 2 blocks, decoders with 2 passes over them. */
static inline void world_config(hs_data_config *d, hs_model_config *m, hs_model_kind kind, uint32_t hops)
{
    hs_data_config_default(d);
    snprintf(d->task, sizeof d->task, "composition");
    d->entities = 30;
    d->relations = 6;
    d->out_degree = 4;
    d->ood_fraction = 0.1;
    d->holdout = 0.1;
    d->hops = hops;
    d->phi = 0;
    hs_model_config_default(m);
    m->kind = kind;
    m->n_embd = 32;
    m->n_head = 2;
    m->n_layer = 2;
    m->passes = kind == HS_MODEL_TRM ? 1 : 2;
    m->inject = kind == HS_MODEL_GPT2;
    m->n_positions = 6;
    m->h_cycles = 2;
    m->l_cycles = 2;
    m->prefix = 1;
}

/* The world of such settings after `steps` steps; `graph` may be NULL. */
static inline void world_build(world *w, const hs_data_config *d, const hs_graph *graph, hs_model_config m,
                               uint64_t steps)
{
    memset(w, 0, sizeof *w);
    assert_ok(hs_tensor_open(err));
    assert_ok(hs_dataset_build(&w->data, d, graph, NULL, NULL, err));
    m.vocab = w->data.vocab.n;
    assert_ok(hs_model_create(&w->model, &m, 1, err));
    hs_train_config t;
    hs_train_config_default(&t);
    t.steps = steps + 1;
    t.batch = 256;
    t.lr = 3e-3;
    hs_trainer *trainer;
    assert_ok(hs_trainer_create(&trainer, &w->model, &w->data, &t, NULL, err));
    for (uint64_t i = 0; i < steps; i++) {
        hs_step_stats stats;
        assert_ok(hs_trainer_step(trainer, &stats, err));
    }
    hs_trainer_free(trainer);
}

static inline void world_make(world *w, hs_model_kind kind, uint32_t hops, uint64_t steps)
{
    hs_data_config d;
    hs_model_config m;
    world_config(&d, &m, kind, hops);
    world_build(w, &d, NULL, m, steps);
}

static inline void world_free(world *w)
{
    hs_model_free(&w->model);
    hs_dataset_free(&w->data);
}

typedef struct kept {
    char method[32], split[48], position[32], role[32], measure[32];
    int32_t stage;
    uint64_t n, item;
    double value, low, high;
} kept;
typedef struct readings {
    kept *row;
    size_t n, cap;
    kept *item;
    size_t n_items, cap_items;
} readings;

static inline kept keep(const hs_reading *f, uint64_t item)
{
    kept k = {.stage = f->stage, .n = f->n, .item = item, .value = f->value, .low = f->low, .high = f->high};
    snprintf(k.method, sizeof k.method, "%s", f->method);
    snprintf(k.split, sizeof k.split, "%s", f->split);
    snprintf(k.position, sizeof k.position, "%s", f->position);
    snprintf(k.role, sizeof k.role, "%s", f->role);
    snprintf(k.measure, sizeof k.measure, "%s", f->measure);
    return k;
}

static inline hs_status keep_reading(void *user, const hs_reading *f, hs_error *err)
{
    readings *all = user;
    HS_TRY(hs_grow((void **)&all->row, &all->cap, all->n + 1, sizeof *all->row, err));
    all->row[all->n++] = keep(f, 0);
    return HS_OK;
}

static inline hs_status keep_item(void *user, const hs_reading *f, uint64_t item, hs_error *err)
{
    readings *all = user;
    HS_TRY(hs_grow((void **)&all->item, &all->cap_items, all->n_items + 1, sizeof *all->item, err));
    all->item[all->n_items++] = keep(f, item);
    return HS_OK;
}

static inline void readings_free(readings *all)
{
    hs_free(all->row);
    hs_free(all->item);
    memset(all, 0, sizeof *all);
}

/* Look at a world; every item is kept. */
static inline void look_with(const world *w, const hs_interpret_config *config, hs_pool *pool, readings *out)
{
    hs_scope *scope;
    const hs_sink sink = {.user = out, .reading = keep_reading, .item = keep_item};
    memset(out, 0, sizeof *out);
    assert_ok(hs_scope_create(&scope, &w->data, err));
    assert_ok(hs_interpret(scope, &w->model, NULL, config, pool, NULL, &sink, err));
    hs_scope_free(scope);
}

static inline void look(const world *w, const char *method, const char *split, uint32_t max, hs_pool *pool,
                        readings *out)
{
    hs_interpret_config config;
    hs_interpret_config_default(&config);
    snprintf(config.methods, sizeof config.methods, "%s", method);
    snprintf(config.splits, sizeof config.splits, "%s", split);
    config.max = max;
    config.exhaustive = true;
    look_with(w, &config, pool, out);
}

/* The reading of a cell; NULL if there is none. */
static inline const kept *find(const readings *all, int32_t stage, const char *position, const char *role,
                               const char *measure)
{
    for (size_t i = 0; i < all->n; i++) {
        const kept *k = &all->row[i];
        if (k->stage == stage && strcmp(k->position, position) == 0 && strcmp(k->role, role) == 0 &&
            strcmp(k->measure, measure) == 0)
            return k;
    }
    return NULL;
}

/* The number of one item; NaN if there is none. */
static inline double item_value(const readings *all, uint64_t item, int32_t stage, const char *position,
                                const char *role, const char *measure)
{
    for (size_t i = 0; i < all->n_items; i++) {
        const kept *k = &all->item[i];
        if (k->item == item && k->stage == stage && strcmp(k->position, position) == 0 && strcmp(k->role, role) == 0 &&
            strcmp(k->measure, measure) == 0)
            return k->value;
    }
    return (double)NAN;
}

/* Two looks that must be the same to the bit. */
static inline void same_readings(const readings *a, const readings *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->n_items, b->n_items);
    assert_memory_equal(a->row, b->row, a->n * sizeof *a->row);
    assert_memory_equal(a->item, b->item, a->n_items * sizeof *a->item);
}

/* One prompt (T tokens) alone: states (S+1, M, D) and logits (V), either may be NULL; goes on after `stage` of `from` with
 * one row written to x, if x is given. */
static inline void run_alone(const hs_model *model, const uint32_t *prompt, uint32_t T, float *states, float *logits,
                             const float *from, uint32_t stage, uint32_t column, const float *x)
{
    const uint32_t start[2] = {0, T}, row = T - 1;
    const hs_batch batch = {.B = 1, .N = T, .P = 1, .token = prompt, .start = start, .score_row = &row};
    const hs_patch patch = {.stage = stage,
                            .stream = hs_model_stage(model, stage).stream,
                            .row = hs_model_state_row(model, &batch, 0, column),
                            .x = x};
    const hs_pass pass = {.states = from,
                          .from = from ? stage : 0,
                          .n_patches = x ? 1 : 0,
                          .patch = &patch,
                          .logits = logits,
                          .states_out = states};
    float *work = hs_alloc(hs_model_work_size(model, 1, T, 1, false) * sizeof *work);
    hs_model_run(model, &batch, &pass, work);
    hs_free(work);
}

/* The (D) state of one prompt run alone. */
static inline const float *state_alone(const hs_model *model, const float *states, uint32_t T, uint32_t stage,
                                       uint32_t column)
{
    const uint32_t start[2] = {0, T}, row = T - 1;
    const hs_batch batch = {.B = 1, .N = T, .P = 1, .start = start, .score_row = &row};
    const size_t M = hs_model_state_rows(model, 1, T);
    return states + (stage * M + hs_model_state_row(model, &batch, 0, column)) * model->config.n_embd;
}

#endif
