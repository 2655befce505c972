/* model.c - configuration, initialization, and dispatch to the families.
 *
 * Invariants: tensors stand in hs_model.param in the order of the table, each at a multiple of 16 floats (64 bytes);
 * the floats between them are 0 and stay 0. An element's initial value depends only on the seed, its tensor's place in
 * the table and its own index, so it is the same for any thread count, and a longer model starts like a shorter one. */
#include "model/ops.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- configuration */

void hs_model_config_default(hs_model_config *config)
{
    *config = (hs_model_config){
        .kind = HS_MODEL_GPT2,
        .n_positions = 16,
        .n_layer = 2,
        .passes = 1,
        .n_embd = 128,
        .n_head = 4,
        .eps = 1e-5f,
        .init_std = 0.02f,
        .tied = true,
        .re_embed_temp = 1.0f,
        .rope_theta = 10000.0f,
        .prefix = 16,
        .h_cycles = 2,
        .l_cycles = 6,
        .round_up = 256,
        .halt_head = true,
    };
}

hs_status hs_model_bad_field(hs_error *err, const char *field, double value, const char *hint)
{
    char text[32];
    snprintf(text, sizeof text, "%g", value);
    hs_fail(err, HS_ERR_DATA, "this value does not fit the model");
    hs_error_where(err, "model.%s", field);
    hs_error_value(err, text, strlen(text));
    hs_error_hint(err, "%s", hint);
    return HS_ERR_DATA;
}

/* Sizes are bounded so that products of any two fit 64 bits with ease and a hostile file cannot ask for a table without
 * end; the largest GPT-2 (1.5 billion weights) is far inside. */
static hs_status check_sizes(const hs_model_config *c, hs_error *err)
{
    const struct {
        const char *name;
        uint32_t value, min, max;
    } sizes[] = {{"vocab", c->vocab, 1, 1u << 24},     {"n_positions", c->n_positions, 1, 1u << 20},
                 {"n_layer", c->n_layer, 1, 1024},     {"passes", c->passes, 1, 1024},
                 {"n_embd", c->n_embd, 1, 1u << 16},   {"n_head", c->n_head, 1, 1u << 12},
                 {"n_inner", c->n_inner, 0, 1u << 18}, {"memory_inner", c->memory_inner, 0, 1u << 18}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char hint[64];
        snprintf(hint, sizeof hint, "from %u to %u", sizes[i].min, sizes[i].max);
        if (sizes[i].value < sizes[i].min || sizes[i].value > sizes[i].max)
            return hs_model_bad_field(err, sizes[i].name, sizes[i].value, hint);
    }
    if (!(c->eps >= 0 && c->eps <= 1))
        return hs_model_bad_field(err, "eps", (double)c->eps, "from 0 to 1");
    if (!(c->init_std >= 0 && c->init_std <= 100))
        return hs_model_bad_field(err, "init_std", (double)c->init_std, "from 0 to 100");
    if (!(c->dropout >= 0 && c->dropout < 1))
        return hs_model_bad_field(err, "dropout", (double)c->dropout, "from 0 to below 1");
    if (c->dropout > 0 && c->n_head > 63) /* the place of a mask has six bits for the head */
        return hs_model_bad_field(err, "n_head", c->n_head, "at most 63 heads with dropout");
    return HS_OK;
}

hs_status hs_model_check_heads(const hs_model_config *c, bool rotary, hs_error *err)
{
    if (c->n_embd % c->n_head != 0)
        return hs_model_bad_field(err, "n_head", c->n_head, "a divisor of n_embd");
    if (rotary && (c->n_embd / c->n_head) % 2 != 0)
        return hs_model_bad_field(err, "n_head", c->n_head,
                                  "rotary positions turn pairs: the width of a head must be even");
    if (rotary && !(c->rope_theta > 1 && c->rope_theta <= 1e12f))
        return hs_model_bad_field(err, "rope_theta", (double)c->rope_theta, "above 1, 10000 as published");
    return HS_OK;
}

hs_status hs_model_check_plain(const hs_model_config *c, hs_error *err)
{
    const struct {
        const char *name;
        bool on;
    } switches[] = {{"re_embed", c->re_embed},  {"share_mlp", c->share_mlp}, {"memory_inner", c->memory_inner > 0},
                    {"no_ln", c->no_ln},        {"no_mlp", c->no_mlp},       {"inject", c->inject},
                    {"dropout", c->dropout > 0}};
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++)
        if (switches[i].on)
            return hs_model_bad_field(err, switches[i].name, 1, "only GPT-2 has this");
    return HS_OK;
}

hs_status hs_model_config_check(const hs_model_config *config, hs_error *err)
{
    HS_TRY(check_sizes(config, err));
    const hs_model_ops *ops = hs_model_ops_of(config->kind);
    if (!ops) {
        char kinds[64];
        hs_model_kinds_text(kinds, sizeof kinds);
        return hs_model_bad_field(err, "kind", (double)config->kind, kinds);
    }
    return ops->check(config, err);
}

/* ---------------------------------------------------------------- creation */

hs_status hs_model_describe(hs_model *out, const hs_model_config *config, hs_error *err)
{
    HS_TRY(hs_model_config_check(config, err));
    *out = (hs_model){.config = *config, .ops = hs_model_ops_of(config->kind)};
    out->ops->complete(&out->config);
    hs_status status = out->ops->describe(out, err);
    if (status != HS_OK) {
        hs_model_free(out);
        return status;
    }
    for (uint32_t i = 0; i < out->n_tensors; i++) {
        hs_tensor *t = &out->tensor[i];
        t->offset = out->n_params;
        out->n_params += (t->size + 15) / 16 * 16;
        if (t->group != HS_GROUP_BUFFER)
            out->n_weights += t->size;
    }
    return HS_OK;
}

hs_status hs_model_allocate(hs_model *model, hs_error *err)
{
    model->param = hs_calloc(model->n_params, sizeof *model->param);
    return model->param ? HS_OK : hs_fail_memory(err, model->n_params * sizeof *model->param);
}

/* A normal number cut at two standard deviations and widened so that its standard deviation is `1` again: what TRM's
 * code does (jax's truncated normal; 0.8796 is the standard deviation of a standard normal cut at +-2). */
static double cut_normal(hs_rng *rng)
{
    double x;
    do
        x = hs_rng_normal(rng);
    while (fabs(x) > 2.0);
    return x / 0.87962566103423978;
}

static void initialize(hs_model *model, uint64_t seed)
{
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        const hs_tensor *t = &model->tensor[i];
        float *w = model->param + t->offset;
        bool random = t->init == HS_INIT_NORMAL || t->init == HS_INIT_TRUNC_NORMAL;
        for (size_t j = 0; j < t->size; j++) {
            if (!random) {
                w[j] = t->init == HS_INIT_ONE ? 1.0f : t->init == HS_INIT_VALUE ? t->std : 0.0f;
                continue;
            }
            /* tensors of 2^32 elements and more: the upper half of the index joins the tensor's number */
            hs_rng rng;
            hs_rng_init(&rng, seed, HS_PURPOSE('i', 'n', 'i', 't'), (uint64_t)(j >> 32) << 16 | i, (uint32_t)j);
            w[j] = (float)((double)t->std * (t->init == HS_INIT_NORMAL ? hs_rng_normal(&rng) : cut_normal(&rng)));
        }
    }
}

hs_status hs_model_create(hs_model *out, const hs_model_config *config, uint64_t seed, hs_error *err)
{
    HS_TRY(hs_model_describe(out, config, err));
    hs_status status = hs_model_allocate(out, err);
    if (status != HS_OK) {
        hs_model_free(out);
        return status;
    }
    initialize(out, seed);
    return HS_OK;
}

void hs_model_free(hs_model *model)
{
    if (!model)
        return;
    hs_free(model->tensor);
    hs_free(model->param);
    *model = (hs_model){0};
}

const hs_tensor *hs_model_tensor(const hs_model *model, const char *name)
{
    for (uint32_t i = 0; i < model->n_tensors; i++)
        if (strcmp(model->tensor[i].name, name) == 0)
            return &model->tensor[i];
    return NULL;
}

/* ---------------------------------------------------------------- dispatch */

static void check_batch(const hs_model *model, const hs_batch *batch)
{
    assert(batch->start[0] == 0 && batch->start[batch->B] == batch->N);
    for (uint32_t b = 0; b < batch->B; b++)
        assert(batch->start[b + 1] > batch->start[b] &&
               batch->start[b + 1] - batch->start[b] <= model->config.n_positions);
    for (uint32_t p = 0; p < batch->P; p++)
        assert(batch->score_row[p] < batch->N && (p == 0 || batch->score_row[p] > batch->score_row[p - 1]));
    (void)model;
    (void)batch;
}

size_t hs_model_work_size(const hs_model *model, uint32_t B, uint32_t N, uint32_t P, bool backward)
{
    return model->ops->work_size(model, B, N, P, backward);
}

hs_loss_result hs_model_backward(const hs_model *model, const hs_batch *batch, hs_loss_kind loss, float *work,
                                 float *grad)
{
    check_batch(model, batch);
    return model->ops->backward(model, batch, loss, work, grad);
}

void hs_model_logits(const hs_model *model, const hs_batch *batch, float *work, float *logits)
{
    check_batch(model, batch);
    model->ops->logits(model, batch, work, logits);
}

void hs_model_states(const hs_model *model, const hs_batch *batch, float *work, float *states)
{
    check_batch(model, batch);
    model->ops->states(model, batch, work, states);
}

void hs_model_logits_from(const hs_model *model, const hs_batch *batch, uint32_t from, const float *x, float *work,
                          float *logits)
{
    check_batch(model, batch);
    assert(from <= model->n_stages);
    model->ops->logits_from(model, batch, from, x, work, logits);
}

void hs_model_lens(const hs_model *model, uint32_t n, const float *x, float *work, float *logits)
{
    model->ops->lens(model, n, x, work, logits);
}

double hs_model_step_flop(const hs_model *model, uint32_t B, uint32_t T, uint32_t P)
{
    return model->ops->step_flop(model, B, T, P);
}
