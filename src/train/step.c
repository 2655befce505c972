/* step.c - one training step: shards through the model, gradients down a fixed tree, filter, clip, optimizer.
 *
 * Invariants: the gradients of own shards are zero between steps, but for grad[0] when `dirty`; nothing is allocated in
 * a step; which worker, and which rank, ran a shard leaves no trace in any number. */
#include "train/trainer.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- set-up */

/* Sequences of a micro-batch: large enough for GEMM, small enough that a block's activations stay near the core. */
static uint32_t wanted_rows(const hs_model *model)
{
    return model->config.n_embd <= 512 ? 384 : 512;
}

/* Texts, whose lengths differ much, are counted by rows: as many as fit in t->micro_rows. */
static uint32_t choose_micro(const hs_trainer *t, uint32_t per_shard, uint32_t rows)
{
    if (t->config.micro || t->data->text)
        return t->config.micro && t->config.micro < per_shard ? t->config.micro : per_shard;
    const uint32_t want_rows = wanted_rows(t->model);
    uint32_t micro = want_rows / rows ? want_rows / rows : 1;
    uint32_t parts = (per_shard + micro - 1) / micro;
    return (per_shard + parts - 1) / parts; /* equal parts: no straggler at the end */
}

static hs_status check_fit(const hs_model *model, const hs_dataset *data, hs_error *err)
{
    const uint32_t rows = hs_model_positions_for(&model->config, hs_dataset_rows(data) + 1);
    if (rows > model->config.n_positions) {
        hs_fail(err, HS_ERR_DATA, "items of %u tokens do not fit a model of %u positions", rows,
                model->config.n_positions);
        return hs_error_hint(err, "set model.n_positions to at least %u", rows);
    }
    if (hs_dataset_vocab(data) > model->config.vocab) {
        hs_fail(err, HS_ERR_DATA, "the dataset has %u tokens, the model only %u", hs_dataset_vocab(data),
                model->config.vocab);
        return hs_error_hint(err, "train a model made for this dataset");
    }
    if (model->config.positions == HS_POSITIONS_ANSWER)
        HS_TRY(hs_dataset_check_tokens(data, "model.positions: answer", err));
    if (hs_model_traits_of(model)->in_place)
        HS_TRY(hs_dataset_check_tokens(data, "a model that fills answers in place", err));
    for (uint32_t s = 0; s < data->n_splits && model->config.positions == HS_POSITIONS_ANSWER; s++)
        if (data->splits[s].width != data->splits[s].prompt + 1) {
            hs_fail(err, HS_ERR_DATA, "positions counted back from the answer need answers of one token");
            hs_error_where(err, "model.positions");
            return hs_error_hint(err, "data.end_token: false, and one token an entity; or positions none");
        }
    return HS_OK;
}

/* A zeroed array (n_params) that checkpoints keep; name NULL: not needed. */
static hs_status add_state(hs_trainer *t, const char *name, float **array, hs_error *err)
{
    if (!name)
        return HS_OK;
    *array = hs_calloc(t->model->n_params, sizeof **array);
    if (!*array)
        return hs_fail_memory(err, t->model->n_params * sizeof **array);
    t->state[t->n_state++] = (hs_state_array){name, *array};
    return HS_OK;
}

static hs_status allocate(hs_trainer *t, hs_error *err)
{
    const hs_train_config *c = &t->config;
    const size_t n = t->model->n_params;
    const uint32_t rows = hs_dataset_rows(t->data);
    const bool whole_item = hs_model_traits_of(t->model)->in_place && !c->answer_only;
    const uint32_t most = t->data->text ? t->micro_rows : t->micro * rows;
    t->work_size = hs_model_work_size(t->model, t->micro, most, most, true);
    t->work_size = (t->work_size + 15) & ~(size_t)15;
    t->n_chunks = (n + CHUNK - 1) / CHUNK;
    t->items = hs_alloc(t->batch * sizeof *t->items);
    t->memory = hs_calloc(t->workers, sizeof *t->memory);
    t->work = hs_alloc(t->work_size * t->workers * sizeof *t->work);
    t->grad = hs_calloc(c->shards, sizeof *t->grad);
    t->result = hs_calloc(c->shards, sizeof *t->result);
    t->chunk_squares = hs_calloc(t->n_chunks, sizeof *t->chunk_squares);
    if (!t->items || !t->memory || !t->work || !t->grad || !t->result || !t->chunk_squares)
        return hs_fail_memory(err, t->work_size * t->workers * sizeof *t->work);
    for (uint32_t w = 0; w < t->workers; w++)
        HS_TRY(hs_batch_memory_create(&t->memory[w], t->data, t->micro, whole_item ? t->model->config.n_positions : 0,
                                      err));
    for (uint32_t s = 0; s < c->shards; s++)
        if (!(t->grad[s] = hs_calloc(n, sizeof **t->grad)))
            return hs_fail_memory(err, n * sizeof **t->grad);
    t->last_shard = c->shards;
    HS_TRY(hs_tree_create(&t->tree, t->grad, c->shards, n, CHUNK, NULL, err));
    for (int i = 0; i < HS_STATE_ARRAYS; i++)
        HS_TRY(add_state(t, hs_optimizer_state_name(c->optimizer, i), &t->optimizer_state[i], err));
    HS_TRY(add_state(t, c->filter == HS_FILTER_GROKFAST_EMA ? "filter" : NULL, &t->filter, err));
    HS_TRY(add_state(t, c->ema > 0 ? "ema" : NULL, &t->ema, err));
    if (t->ema)
        memcpy(t->ema, t->model->param, n * sizeof *t->ema);
    return hs_optimizer_create(&t->opt, t->model, c, &t->freeze, t->workers, err);
}

static bool exits_on(const hs_train_config *config)
{
    return config->fact_exit > 0 || config->query_exit > 0;
}

/* Anything can be answered early only where the blocks are run again. */
static hs_status check_exit(const hs_model *model, const hs_dataset *data, const hs_train_config *config, hs_error *err)
{
    if (exits_on(config))
        HS_TRY(hs_dataset_check_tokens(data, config->fact_exit > 0 ? "train.fact_exit" : "train.query_exit", err));
    if (!exits_on(config) || hs_model_stage(model, model->n_stages).pass > 1)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "this model has no earlier pass whose state could answer");
    hs_error_where(err, config->fact_exit > 0 ? "train.fact_exit" : "train.query_exit");
    return hs_error_hint(
        err, "a decoder with model.passes 2 or more has, or a trm with model.h_cycles 2 or more; 0 turns it off");
}

hs_status hs_trainer_create(hs_trainer **out, hs_model *model, const hs_dataset *data, const hs_train_config *config,
                            hs_pool *pool, hs_error *err)
{
    *out = NULL;
    HS_TRY(hs_train_config_check(config, err));
    HS_TRY(check_fit(model, data, err));
    HS_TRY(check_exit(model, data, config, err));
    HS_TRY(hs_tensor_reserve(hs_pool_threads(pool), err));
    hs_trainer *t = hs_calloc(1, sizeof *t);
    if (!t)
        return hs_fail_memory(err, sizeof *t);
    t->model = model;
    t->data = data;
    t->config = *config;
    t->pool = pool;
    t->workers = hs_pool_threads(pool);
    hs_status status = hs_draw_create(&t->draw, data, config->shares, config->seed, err);
    if (status == HS_OK)
        status = hs_freeze_create(&t->freeze, model, config->freeze, err);
    if (status == HS_OK) {
        const uint64_t items = hs_draw_items(t->draw);
        t->batch = config->batch && config->batch < items ? config->batch : (uint32_t)items;
        if (t->config.shards > t->batch)
            t->config.shards = t->batch;
        const uint32_t per_shard = (t->batch + t->config.shards - 1) / t->config.shards;
        t->micro = choose_micro(t, per_shard, hs_model_sequence_rows(model, hs_dataset_rows(data)));
        t->micro_rows = wanted_rows(model) > hs_dataset_rows(data) ? wanted_rows(model) : hs_dataset_rows(data);
        status = allocate(t, err);
    }
    if (status != HS_OK) {
        hs_trainer_free(t);
        return status;
    }
    *out = t;
    return HS_OK;
}

void hs_trainer_free(hs_trainer *t)
{
    if (!t)
        return;
    if (t->ranks && t->ranks->rank == 0)
        (void)hs_trainer_tell(t, &(hs_command){.what = HS_LEAVE}, NULL); /* those that are gone have left already */
    for (uint32_t w = 0; t->memory && w < t->workers; w++)
        hs_batch_memory_free(&t->memory[w]);
    for (uint32_t s = 0; t->grad && s < t->config.shards; s++)
        hs_free(t->grad[s]);
    hs_tree_free(t->tree);
    hs_draw_free(t->draw);
    hs_free(t->items);
    hs_free(t->memory);
    hs_free(t->work);
    hs_free(t->grad);
    hs_free(t->result);
    hs_free(t->chunk_squares);
    for (int i = 0; i < HS_STATE_ARRAYS; i++)
        hs_free(t->optimizer_state[i]);
    hs_free(t->filter);
    hs_free(t->ema);
    hs_optimizer_free(t->opt);
    hs_freeze_free(&t->freeze);
    hs_free(t);
}

/* ---------------------------------------------------------------- the gradient of a step */

static void shard_range(const hs_trainer *t, uint32_t shard, uint32_t *first, uint32_t *last)
{
    *first = (uint32_t)((uint64_t)t->batch * shard / t->config.shards);
    *last = (uint32_t)((uint64_t)t->batch * (shard + 1) / t->config.shards);
}

static void draw_shard(void *ctx, uint32_t shard, uint32_t worker)
{
    hs_trainer *t = ctx;
    (void)worker;
    uint32_t first, last;
    shard_range(t, shard, &first, &last);
    uint64_t scored = 0;
    const bool whole = t->batch == hs_draw_items(t->draw);
    for (uint32_t i = first; i < last; i++) {
        t->items[i] = hs_draw_item(t->draw, t->step * t->batch + i, t->attempt, whole);
        const hs_item_view item = hs_dataset_item(t->data, &t->data->splits[t->items[i].split], t->items[i].index);
        scored += item.width - item.prompt;
    }
    t->result[shard] = (shard_result){.scored = scored};
}

static void run_shard(void *ctx, uint32_t task, uint32_t worker)
{
    hs_trainer *t = ctx;
    const uint32_t shard = t->first_shard + task;
    uint32_t first, last;
    shard_range(t, shard, &first, &last);
    for (uint32_t i = first, n; i < last; i += n) {
        n = last - i < t->micro ? last - i : t->micro;
        n = t->data->text ? hs_items_within(t->data, t->items + i, n, t->micro_rows) : n;
        hs_batch batch = hs_batch_fill(&t->memory[worker], t->data, t->items + i, n, t->weight);
        if (t->config.fact_weight != 1)
            hs_batch_weigh_facts(&t->memory[worker], t->data, t->items + i, (float)t->config.fact_weight, &batch);
        if (exits_on(&t->config))
            hs_batch_exits(&t->memory[worker], t->data, t->items + i, t->weight * (float)t->config.fact_exit,
                           t->weight * (float)t->config.query_exit, &batch);
        batch.exits.passes = t->config.exit_passes;
        batch.smoothing = (float)t->config.label_smoothing;
        batch.dropout_seed = t->model->config.dropout > 0 ? t->config.seed + 1 : 0;
        batch.step = t->step;
        batch.first_sequence = i;
        const hs_loss_result r =
            hs_model_backward(t->model, &batch, t->config.loss, t->work + worker * t->work_size, t->grad[shard]);
        t->result[shard].loss += r.loss;
        t->result[shard].exit_loss += r.exit_loss;
        t->result[shard].correct += r.correct;
    }
}

/* Elements of a chunk of parameters. */
static size_t chunk_size(const hs_trainer *t, uint32_t chunk)
{
    const size_t left = t->model->n_params - (size_t)chunk * CHUNK;
    return left < CHUNK ? left : CHUNK;
}

/* Of the summed gradient: filter, and sum of squares. */
static void finish_chunk(hs_trainer *t, uint32_t chunk)
{
    const size_t first = (size_t)chunk * CHUNK, n = chunk_size(t, chunk);
    hs_freeze_apply(&t->freeze, first, n, NULL, t->grad[0]);
    if (t->filter) /* mu_0 = g_0 */
        hs_grokfast_ema(n, t->step == 0 ? 0.0f : (float)t->config.filter_alpha, (float)t->config.filter_lambda,
                        t->filter + first, t->grad[0] + first);
    t->chunk_squares[chunk] = hs_kernels_get()->sum_squares(n, t->grad[0] + first);
}

/* Alone, all that is done to a chunk. */
static void reduce_chunk(void *ctx, uint32_t chunk, uint32_t worker)
{
    hs_trainer *t = ctx;
    (void)worker;
    hs_tree_own(t->tree, (size_t)chunk * CHUNK, chunk_size(t, chunk));
    if (!t->ranks)
        finish_chunk(t, chunk);
}

/* A chunk of the slice that this rank adds. */
static void cross_chunk(void *ctx, uint32_t task, uint32_t worker)
{
    hs_trainer *t = ctx;
    size_t first, n;
    (void)worker;
    hs_tree_slice(t->tree, &first, &n);
    const uint32_t chunk = (uint32_t)(first / CHUNK) + task;
    hs_tree_cross(t->tree, (size_t)chunk * CHUNK, chunk_size(t, chunk));
}

static void shared_chunk(void *ctx, uint32_t chunk, uint32_t worker)
{
    hs_trainer *t = ctx;
    (void)worker;
    hs_tree_clear(t->tree, (size_t)chunk * CHUNK, chunk_size(t, chunk));
    finish_chunk(t, chunk);
}

/* The sum over all ranks, and what the ranks were asked for. */
static hs_status reduce_ranks(hs_trainer *t, hs_error *err)
{
    size_t first, n;
    hs_tree_slice(t->tree, &first, &n);
    hs_trainer_ask(t);
    HS_TRY(hs_tree_exchange(t->tree, t->result, sizeof *t->result, t->asked, sizeof *t->asked, err));
    hs_trainer_heed(t);
    hs_pool_run(t->pool, (uint32_t)((n + CHUNK - 1) / CHUNK), cross_chunk, t);
    HS_TRY(hs_tree_share(t->tree, err));
    hs_pool_run(t->pool, (uint32_t)t->n_chunks, shared_chunk, t);
    return HS_OK;
}

static void chunk_norm(void *ctx, uint32_t chunk, uint32_t worker)
{
    hs_trainer *t = ctx;
    (void)worker;
    t->chunk_squares[chunk] = hs_kernels_get()->sum_squares(chunk_size(t, chunk), t->grad[0] + (size_t)chunk * CHUNK);
}

static hs_status compute_gradient(hs_trainer *t, hs_step_stats *stats, hs_error *err)
{
    if (t->dirty)
        memset(t->grad[0], 0, t->model->n_params * sizeof **t->grad);
    t->dirty = true;
    hs_pool_run(t->pool, t->config.shards, draw_shard, t);
    uint64_t scored = 0;
    for (uint32_t s = 0; s < t->config.shards; s++)
        scored += t->result[s].scored;
    t->weight = 1.0f / (float)scored; /* TRM weighs a sequence by the sum of its rows: one in `batch` here too */
    const double started = hs_now();
    hs_pool_run(t->pool, t->last_shard - t->first_shard, run_shard, t);
    t->times.shared += hs_now() - started;
    hs_pool_run(t->pool, (uint32_t)t->n_chunks, reduce_chunk, t);
    if (t->ranks)
        HS_TRY(reduce_ranks(t, err));
    if (t->config.filter == HS_FILTER_ORTHOGRAD) {
        hs_orthograd(t->pool, t->model, t->grad[0]);
        hs_pool_run(t->pool, (uint32_t)t->n_chunks, chunk_norm, t);
    }
    double loss = 0, exit_loss = 0, squares = 0;
    uint64_t correct = 0;
    for (uint32_t s = 0; s < t->config.shards; s++) {
        loss += t->result[s].loss;
        exit_loss += t->result[s].exit_loss;
        correct += t->result[s].correct;
    }
    for (size_t i = 0; i < t->n_chunks; i++)
        squares += t->chunk_squares[i];
    *stats = (hs_step_stats){
        .loss = loss, .exit_loss = exit_loss, .accuracy = (double)correct / (double)scored, .grad_norm = sqrt(squares)};
    return HS_OK;
}

static hs_status fail_not_finite(const hs_trainer *t, const hs_step_stats *stats, hs_error *err)
{
    const char *name = "the loss";
    for (uint32_t i = 0; i < t->model->n_tensors; i++) {
        const hs_tensor *tensor = &t->model->tensor[i];
        if (!isfinite(hs_kernels_get()->sum_squares(tensor->size, t->grad[0] + tensor->offset))) {
            name = tensor->name;
            break;
        }
    }
    hs_fail(err, HS_ERR_DIVERGED, "training diverged at step %llu: not finite in %s (loss %g)",
            (unsigned long long)t->step + 1, name, stats->loss);
    return hs_error_hint(err, "lower train.lr, or set train.clip to 1, or train.on_nan to rollback");
}

hs_status hs_trainer_check_weights(const hs_trainer *t, hs_error *err)
{
    for (uint32_t i = 0; i < t->model->n_tensors; i++) {
        const hs_tensor *tensor = &t->model->tensor[i];
        if (isfinite(hs_kernels_get()->sum_squares(tensor->size, t->model->param + tensor->offset)))
            continue;
        hs_fail(err, HS_ERR_DIVERGED, "training diverged at step %llu: weights not finite in %s",
                (unsigned long long)t->step, tensor->name);
        return hs_error_hint(err, "lower train.lr, or set train.clip to 1, or train.on_nan to rollback");
    }
    return HS_OK;
}

hs_status hs_trainer_step(hs_trainer *t, hs_step_stats *stats, hs_error *err)
{
    HS_TRY(hs_trainer_tell(t, &(hs_command){.what = HS_STEP}, err));
    HS_TRY(compute_gradient(t, stats, err));
    if (!isfinite(stats->loss) || !isfinite(stats->grad_norm))
        return fail_not_finite(t, stats, err);
    const double factor = hs_schedule_factor(&t->config, t->step);
    stats->lr = t->config.lr * factor;
    const bool clipped = t->config.clip > 0 && stats->grad_norm > t->config.clip;
    const float gscale = clipped ? (float)(t->config.clip / (stats->grad_norm + 1e-6)) : 1.0f;
    HS_TRY(hs_optimizer_step(t->opt, t->pool, t->model, &t->config, factor, t->step + 1, gscale, t->grad[0],
                             t->optimizer_state, t->ema, err));
    t->dirty = false;
    t->step++;
    t->times.steps++;
    return HS_OK;
}

/* ---------------------------------------------------------------- what others ask of a trainer */

uint64_t hs_trainer_step_count(const hs_trainer *t)
{
    return t->step;
}

void hs_trainer_set_step_count(hs_trainer *t, uint64_t step)
{
    t->step = step;
    t->synced = false; /* weights and state are others too, most likely */
}

uint32_t hs_trainer_attempt(const hs_trainer *t)
{
    return t->attempt;
}

void hs_trainer_set_attempt(hs_trainer *t, uint32_t attempt)
{
    t->attempt = attempt;
}

hs_model *hs_trainer_model(hs_trainer *t)
{
    return t->model;
}

const hs_dataset *hs_trainer_data(const hs_trainer *t)
{
    return t->data;
}

const hs_train_config *hs_trainer_config(const hs_trainer *t)
{
    return &t->config;
}

hs_pool *hs_trainer_pool(hs_trainer *t)
{
    return t->pool;
}

const float *hs_trainer_eval_param(const hs_trainer *t)
{
    return t->ema ? t->ema : t->model->param;
}

const hs_state_array *hs_trainer_state(hs_trainer *t, size_t *n)
{
    *n = t->n_state;
    return t->state;
}

size_t hs_trainer_memory(const hs_trainer *t)
{
    const size_t own = t->last_shard - t->first_shard;
    const size_t floats = t->model->n_params * (1 + own + t->n_state) + t->work_size * t->workers;
    return floats * sizeof(float) + hs_optimizer_memory(t->opt);
}

double hs_trainer_step_flop(const hs_trainer *t)
{
    double flop = hs_optimizer_step_flop(t->opt);
    /* each split by its own length, in the proportion it is drawn */
    for (uint32_t i = 0; i < t->data->n_splits; i++) {
        const hs_split *split = &t->data->splits[i];
        const double share = hs_draw_share(t->draw, t->data, i);
        if (share > 0) {
            const hs_item_view item = hs_dataset_mean_item(t->data, split);
            flop += share * t->batch * hs_model_step_flop(t->model, 1, item.width - 1, item.width - item.prompt);
        }
    }
    return flop;
}
