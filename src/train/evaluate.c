/* evaluate.c - accuracy and loss of a split, in parallel over fixed chunks of items, by the workers of all ranks.
 *
 * The sample of a large split is fixed by the split's content hash, so that every evaluation of a run, and of a resumed
 * run, sees the same items. Chunk results are added in order: the same bits for any number of threads. */
#include "train/internal.h"

#include <math.h>
#include <signal.h>
#include <string.h>

enum { CHUNK = 128, TEXT_ROWS = 1024 /* of texts run at once, if one is not longer */ };

typedef struct chunk_result {
    double loss;
    uint64_t correct; /* items with every scored position right */
    uint64_t scored;  /* positions */
} chunk_result;

typedef struct eval_task {
    const hs_model *model;
    const hs_dataset *data;
    const hs_split *split;
    uint32_t split_index;
    uint64_t n;
    bool sampled;
    hs_batch_memory *memory; /* (workers) */
    uint32_t rows;           /* most of one batch */
    size_t work_size, logits_size;
    float *work;       /* (workers, work_size + logits_size) */
    chunk_result *result; /* (chunks) */
} eval_task;

static void eval_items(const eval_task *t, const hs_item *items, uint32_t n, uint32_t worker, chunk_result *result)
{
    hs_batch batch = hs_batch_fill(&t->memory[worker], t->data, items, n, 0);
    float *work = t->work + worker * (t->work_size + t->logits_size), *logits = work + t->work_size;
    hs_model_logits(t->model, &batch, work, logits);
    const size_t V = t->model->config.vocab;
    for (uint32_t i = 0, p = 0; i < n; i++) {
        const hs_item_view item = hs_dataset_item(t->data, t->split, items[i].index);
        const uint32_t answers = item.width - item.prompt;
        uint32_t right = 0;
        result->loss +=
            hs_kernels_get()->cross_entropy(answers, V, logits + p * V, batch.target + p, NULL, 0,
                                            batch.also_start ? batch.also_start + p : NULL, batch.also, &right);
        result->correct += right == answers;
        result->scored += answers;
        p += answers;
    }
}

static void eval_chunk(void *ctx, uint32_t chunk, uint32_t worker)
{
    eval_task *t = ctx;
    const uint64_t first = (uint64_t)chunk * CHUNK;
    const uint32_t n = t->n - first < CHUNK ? (uint32_t)(t->n - first) : CHUNK;
    hs_item items[CHUNK];
    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = first + i;
        if (t->sampled)
            at = hs_permute(t->split->hash, HS_PURPOSE('e', 'v', 'a', 'l'), 0, t->split->n, at);
        items[i] = (hs_item){.split = t->split_index, .index = at};
    }
    for (uint32_t i = 0, some; i < n; i += some) {
        some = hs_items_within(t->data, items + i, n - i, t->rows);
        eval_items(t, items + i, some, worker, &t->result[chunk]);
    }
}

int hs_signals_asked(const hs_signals *signals)
{
    /* Atomic: hs_signals_stop() may come from another thread. It orders nothing else. */
    return signals ? __atomic_load_n(&signals->stop, __ATOMIC_RELAXED) : 0;
}

hs_status hs_signals_status(const hs_signals *signals)
{
    const int stop = hs_signals_asked(signals);
    if (!stop)
        return HS_OK;
    if (stop == SIGUSR1 || stop == SIGUSR2 || stop == SIGALRM || (stop == SIGTERM && signals->batch))
        return HS_STOPPED_REQUEUE;
    return stop == SIGINT ? HS_STOPPED_INT : HS_STOPPED_TERM;
}

void hs_signals_stop(hs_signals *signals, int number)
{
    __atomic_store_n(&signals->stop, number, __ATOMIC_RELAXED);
}

/* The chunks from `first` on, a few a worker, so that signals are looked at between the groups. */
typedef struct chunk_group {
    eval_task *task;
    uint32_t first;
} chunk_group;

static void group_chunk(void *ctx, uint32_t chunk, uint32_t worker)
{
    const chunk_group *g = ctx;
    eval_chunk(g->task, g->first + chunk, worker);
}

/* A group, by all ranks: each a part of it. They stop together, when any was asked to. */
static hs_status share_group(eval_task *t, uint32_t first, uint32_t n, hs_pool *pool, hs_signals *signals,
                             hs_ranks *ranks, hs_error *err)
{
    size_t result[HS_MOST_RANKS + 1], said[HS_MOST_RANKS + 1];
    int stop[HS_MOST_RANKS];
    for (uint32_t r = 0; r <= ranks->n; r++) {
        result[r] = (size_t)n * r / ranks->n * sizeof *t->result;
        said[r] = r * sizeof *stop;
    }
    const uint32_t own = (uint32_t)(result[ranks->rank] / sizeof *t->result);
    chunk_group g = {t, first + own};
    hs_pool_run(pool, (uint32_t)(result[ranks->rank + 1] / sizeof *t->result) - own, group_chunk, &g);
    stop[ranks->rank] = hs_signals_asked(signals);
    HS_TRY(hs_ranks_share(ranks, stop, said, err));
    HS_TRY(hs_ranks_share(ranks, t->result + first, result, err));
    for (uint32_t r = 0; r < ranks->n; r++)
        if (stop[r]) {
            if (signals && !hs_signals_asked(signals))
                hs_signals_stop(signals, stop[r]);
            const hs_signals asked = {.stop = stop[r], .batch = signals && signals->batch};
            return hs_signals_status(&asked);
        }
    return HS_OK;
}

static hs_status run_chunks(eval_task *t, uint32_t chunks, hs_pool *pool, hs_signals *signals, hs_ranks *ranks,
                            hs_error *err)
{
    enum { A_RANK = 16 };
    const bool shared = hs_ranks_count(ranks) > 1;
    const uint32_t group = shared ? A_RANK * ranks->n : 8 * hs_pool_threads(pool);
    for (uint32_t first = 0; first < chunks; first += group) {
        const uint32_t n = chunks - first < group ? chunks - first : group;
        if (shared) {
            HS_TRY(share_group(t, first, n, pool, signals, ranks, err));
            continue;
        }
        HS_TRY(hs_signals_status(signals));
        chunk_group g = {t, first};
        hs_pool_run(pool, n, group_chunk, &g);
    }
    return HS_OK;
}

hs_status hs_evaluate(const hs_model *model, const float *param_override, const hs_dataset *data, const hs_split *split,
                      uint32_t max, hs_pool *pool, hs_eval *out, hs_error *err)
{
    return hs_evaluate_polled(model, param_override, data, split, max, pool, NULL, out, err);
}

hs_status hs_evaluate_polled(const hs_model *model, const float *param_override, const hs_dataset *data,
                             const hs_split *split, uint32_t max, hs_pool *pool, const hs_signals *signals,
                             hs_eval *out, hs_error *err)
{
    hs_signals *polled = (hs_signals *)(uintptr_t)signals; /* alone, they are read only */
    return hs_evaluate_ranks(model, param_override, data, split, max, pool, polled, NULL, out, err);
}

hs_status hs_evaluate_ranks(const hs_model *model, const float *param_override, const hs_dataset *data,
                            const hs_split *split, uint32_t max, hs_pool *pool, hs_signals *signals, hs_ranks *ranks,
                            hs_eval *out, hs_error *err)
{
    memset(out, 0, sizeof *out);
    snprintf(out->split, sizeof out->split, "%s", split->name);
    out->n = max && split->n > max ? max : split->n;
    if (out->n == 0) {
        out->accuracy = out->loss = NAN;
        return HS_OK;
    }
    HS_TRY(hs_tensor_reserve(hs_pool_threads(pool), err));
    hs_model view = *model; /* the same model with other weights */
    if (param_override)
        view.param = (float *)(uintptr_t)param_override;
    const uint32_t workers = hs_pool_threads(pool), chunks = (uint32_t)((out->n + CHUNK - 1) / CHUNK);
    const uint32_t longest = hs_dataset_rows(data), text_rows = longest > TEXT_ROWS ? longest : TEXT_ROWS;
    const uint32_t rows = data->text ? text_rows : CHUNK * (split->width - 1);
    const uint32_t scored = data->text ? text_rows : CHUNK * (split->width - split->prompt);
    eval_task t = {.model = &view,
                   .data = data,
                   .split = split,
                   .split_index = (uint32_t)(split - data->splits),
                   .n = out->n,
                   .sampled = out->n < split->n,
                   .rows = rows,
                   .work_size = (hs_model_work_size(&view, CHUNK, rows, scored, false) + 15) & ~(size_t)15,
                   .logits_size = ((size_t)scored * view.config.vocab + 15) & ~(size_t)15};
    t.memory = hs_calloc(workers, sizeof *t.memory);
    t.work = hs_alloc((t.work_size + t.logits_size) * workers * sizeof *t.work);
    t.result = hs_calloc(chunks, sizeof *t.result);
    hs_status status = HS_OK;
    if (!t.memory || !t.work || !t.result)
        status = hs_fail_memory(err, (t.work_size + t.logits_size) * workers * sizeof *t.work);
    for (uint32_t w = 0; w < workers && status == HS_OK; w++)
        status = hs_batch_memory_create(&t.memory[w], data, CHUNK,
                                        hs_model_traits_of(&view)->in_place ? view.config.n_positions : 0, err);
    if (status == HS_OK)
        status = run_chunks(&t, chunks, pool, signals, ranks, err);
    if (status == HS_OK) {
        uint64_t correct = 0, positions = 0;
        for (uint32_t i = 0; i < chunks; i++) {
            positions += t.result[i].scored;
            out->loss += t.result[i].loss;
            correct += t.result[i].correct;
        }
        out->accuracy = (double)correct / (double)out->n;
        out->loss /= (double)positions;
    }
    for (uint32_t w = 0; t.memory && w < workers; w++)
        hs_batch_memory_free(&t.memory[w]);
    hs_free(t.memory);
    hs_free(t.work);
    hs_free(t.result);
    return status;
}
