/* model.c - creation, initialization, and dispatch to the families.
 *
 * Invariants: tensors stand in hs_model.param in the order of the table, each at a multiple of 16 floats (64 bytes);
 * the floats between them are 0 and stay 0. An element's initial value depends only on the seed, its tensor's place in
 * the table and its own index, so it is the same for any thread count, and a longer model starts like a shorter one. */
#include "model/ops.h"

#include <assert.h>
#include <math.h>
#include <string.h>

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

/* ---------------------------------------------------------------- passes */

static uint32_t *passes_of(hs_model_config *config, const hs_model *model)
{
    return model->ops->traits.in_place ? &config->h_cycles : &config->passes;
}

uint32_t hs_model_passes(const hs_model *model)
{
    hs_model_config config = model->config;
    return *passes_of(&config, model);
}

hs_status hs_model_set_passes(hs_model *model, uint32_t passes, hs_error *err)
{
    hs_model_config config = model->config;
    hs_model other = {0};
    if (passes == hs_model_passes(model))
        return HS_OK;
    if (!model->ops->traits.in_place && config.passes == 1)
        return hs_model_bad_field(err, "passes", passes,
                                  "1: the blocks of this model are no loop, it was made with one pass");
    *passes_of(&config, model) = passes;
    HS_TRY(hs_model_describe(&other, &config, err)); /* no tensor depends on the count, the stages do */
    model->config = other.config;
    model->n_stages = other.n_stages;
    hs_model_free(&other);
    return HS_OK;
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

/* ---------------------------------------------------------------- stages */

hs_stage hs_model_stage(const hs_model *model, uint32_t s)
{
    assert(s <= model->n_stages);
    hs_stage stage = {0};
    model->ops->stage(model, s, &stage);
    return stage;
}

uint32_t hs_model_streams(const hs_model *model)
{
    return model->ops->n_streams;
}

const char *hs_model_stream_name(const hs_model *model, uint32_t stream)
{
    return stream < model->ops->n_streams ? model->ops->streams[stream] : NULL;
}

uint32_t hs_model_state_rows(const hs_model *model, uint32_t B, uint32_t N)
{
    return model->ops->traits.in_place ? B * (model->config.prefix + model->config.n_positions) : N;
}

uint32_t hs_model_state_row(const hs_model *model, const hs_batch *batch, uint32_t b, uint32_t p)
{
    if (!model->ops->traits.in_place)
        return batch->start[b] + p;
    return b * (model->config.prefix + model->config.n_positions) + model->config.prefix + p;
}

uint32_t hs_model_answer_row(const hs_model *model, const hs_batch *batch, uint32_t i)
{
    const uint32_t row = batch->score_row[i];
    uint32_t b = 0;
    if (!model->ops->traits.in_place)
        return row;
    while (row >= batch->start[b + 1])
        b++;
    const uint32_t position = row - batch->start[b] + hs_model_answer_offset(model);
    assert(position < model->config.n_positions);
    return hs_model_state_row(model, batch, b, position);
}

/* Stream by stream, the last stage up to `s` that wrote it, or NULL. */
static void streams_at(const hs_model *model, const hs_batch *batch, const float *states, uint32_t s,
                       const float **stream)
{
    const size_t size = (size_t)hs_model_state_rows(model, batch->B, batch->N) * model->config.n_embd;
    for (uint32_t j = 0; j < model->ops->n_streams; j++)
        stream[j] = NULL;
    for (uint32_t i = 0; i <= s; i++)
        stream[hs_model_stage(model, i).stream] = states + i * size;
}

void hs_model_streams_at(const hs_model *model, const hs_batch *batch, const float *states, uint32_t s, float *streams)
{
    const size_t D = model->config.n_embd, M = hs_model_state_rows(model, batch->B, batch->N);
    const float *stream[HS_MAX_STREAMS];
    streams_at(model, batch, states, s, stream);
    for (uint32_t j = 0; j < model->ops->n_streams; j++, streams += M * D) {
        if (stream[j])
            memcpy(streams, stream[j], M * D * sizeof *streams);
        for (size_t m = 0; m < M && !stream[j]; m++)
            memcpy(streams + m * D, model->ops->initial(model, j), D * sizeof *streams);
    }
}

void hs_model_run(const hs_model *model, const hs_batch *batch, const hs_pass *run, float *work)
{
    hs_taps taps = {.from = run->from,
                    .given = run->states != NULL,
                    .n_patches = run->n_patches,
                    .patch = run->patch,
                    .n_rows = run->n_rows,
                    .row = run->row,
                    .logits = run->logits,
                    .states = run->states_out,
                    .below_top = run->below_top && run->states_out,
                    .n_knockouts = run->n_knockouts,
                    .knockout = run->knockout,
                    .heads = run->heads_out,
                    .mlps = run->mlps_out};
    check_batch(model, batch);
    assert(run->from <= model->n_stages && (run->states || run->from == 0));
    for (uint32_t i = 0; i < run->n_patches; i++) {
        assert(run->patch[i].stage >= (i ? run->patch[i - 1].stage : run->from));
        assert(run->patch[i].stage <= model->n_stages && run->patch[i].stream < model->ops->n_streams);
    }
    for (uint32_t i = 0; i < run->n_knockouts; i++)
        assert(run->knockout[i].stage > run->from && run->knockout[i].stage <= model->n_stages);
    assert(!model->ops->traits.in_place || (!run->n_knockouts && !run->heads_out && !run->mlps_out));
    assert((run->states_out && !run->below_top) || (!run->heads_out && !run->mlps_out));
    if (run->states)
        streams_at(model, batch, run->states, run->from, taps.stream);
    model->ops->run(model, batch, &taps, work);
}

void hs_model_logits(const hs_model *model, const hs_batch *batch, float *work, float *logits)
{
    const hs_pass run = {.logits = logits};
    hs_model_run(model, batch, &run, work);
}

void hs_model_states(const hs_model *model, const hs_batch *batch, float *work, float *states)
{
    const hs_pass run = {.states_out = states};
    hs_model_run(model, batch, &run, work);
}

void hs_model_logits_from(const hs_model *model, const hs_batch *batch, uint32_t from, const float *streams,
                          float *work, float *logits)
{
    const size_t size = (size_t)hs_model_state_rows(model, batch->B, batch->N) * model->config.n_embd;
    hs_taps taps = {.from = from, .given = true, .logits = logits};
    check_batch(model, batch);
    assert(from <= model->n_stages);
    for (uint32_t j = 0; j < model->ops->n_streams; j++)
        taps.stream[j] = streams + j * size;
    model->ops->run(model, batch, &taps, work);
}

void hs_model_lens(const hs_model *model, uint32_t n, const float *x, float *work, float *logits)
{
    model->ops->lens(model, n, x, work, logits);
}

double hs_model_step_flop(const hs_model *model, uint32_t B, uint32_t T, uint32_t P)
{
    return model->ops->step_flop(model, B, T, P);
}
