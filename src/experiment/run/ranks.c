/* ranks.c - what ranks but the first do in a run: they read its folder, and take part in its steps and evaluations.
 *
 * Invariant: they write nothing. Between runs, and while rank 0 makes a dataset or a report, they wait. */
#include "experiment/internal.h"
#include "hopscope/interp.h"
#include "hopscope/tensor.h"

#include <stdlib.h>
#include <string.h>

/* What rank 0 calls the others to. */
typedef struct call {
    bool leave;
    int code;       /* to leave with */
    char dir[4096]; /* the run, as an absolute path */
} call;

hs_status hs_experiment_dismiss(hs_ranks *ranks, int code, hs_error *err)
{
    call c = {.leave = true, .code = code};
    return hs_ranks_broadcast(ranks, &c, sizeof c, err);
}

hs_status hs_run_share(hs_trainer *trainer, const char *run_dir, hs_ranks *ranks, const hs_events *events,
                       hs_error *err)
{
    if (hs_ranks_count(ranks) == 1)
        return HS_OK;
    call c = {0};
    char *path = realpath(run_dir, NULL);
    if (!path)
        return hs_fail_errno(err, run_dir, "find the run");
    snprintf(c.dir, sizeof c.dir, "%s", path);
    free(path);
    HS_TRY(hs_ranks_broadcast(ranks, &c, sizeof c, err));
    HS_TRY(hs_trainer_share(trainer, ranks, err));
    const uint32_t shards = hs_trainer_config(trainer)->shards;
    hs_event_send(events, HS_EVENT_INFO, "train", "%u ranks train together, %u shards of a batch", ranks->n, shards);
    if (shards < ranks->n)
        hs_event_send(events, HS_EVENT_WARNING, "train",
                      "%u ranks, but train.shards is %u: %u of them only help to add and to evaluate", ranks->n, shards,
                      ranks->n - shards);
    return HS_OK;
}

/* As the run has them. What the weights are does not matter: rank 0 sends its own. */
static hs_status prepare(hs_run *run, const char *dir, hs_ranks *ranks, hs_pool **pool, hs_trainer **trainer,
                         hs_error *err)
{
    HS_TRY(hs_run_open_data(run, dir, err));
    HS_TRY(hs_run_initial_model(dir, &run->config, &run->data, &run->model, NULL, err));
    const uint32_t threads = run->config.train.threads;
    *pool = hs_pool_create(threads ? threads : ranks->threads);
    if (!*pool)
        return hs_fail(err, HS_ERR_MEMORY, "worker threads cannot be started");
    return hs_trainer_create(trainer, &run->model, &run->data, &run->config.train, *pool, err);
}

/* Rank 0 hears of a rank that cannot take part, and its run ends with that error; the rank then waits for the next
 * call. */
static hs_status take_part(hs_run *run, const char *dir, hs_ranks *ranks, hs_signals *signals, hs_error *err)
{
    hs_pool *pool = NULL;
    hs_trainer *trainer = NULL;
    hs_error own = {0};
    hs_interpret_job job = {.config = &run->config.interpret};
    hs_status status = prepare(run, dir, ranks, &pool, &trainer, &own);
    if (status == HS_OK && run->config.interpret.methods[0])
        status = hs_scope_create(&job.scope, &run->data, &own);
    if (status == HS_OK) {
        status = hs_trainer_share(trainer, ranks, &own);
    } else {
        char where[sizeof own.where];
        snprintf(where, sizeof where, "rank %u%s%.400s", ranks->rank, own.where[0] ? ", " : "", own.where);
        hs_error_where(&own, "%s", where);
        if (!own.hint[0])
            hs_error_hint(&own, "every rank must reach the run's folder under the same path");
        status = hs_ranks_agree(ranks, status, &own);
    }
    const bool joined = status == HS_OK;
    const hs_probe probe = hs_interpret_probe(&job);
    if (joined)
        status = hs_trainer_serve(trainer, &probe, job.scope != NULL, signals, &own);
    hs_trainer_free(trainer);
    hs_scope_free(job.scope);
    hs_pool_free(pool);
    if (status == HS_OK || (!joined && !ranks->lost))
        return HS_OK;
    if (err)
        *err = own;
    return status;
}

hs_status hs_experiment_serve(hs_ranks *ranks, hs_signals *signals, int *code, hs_error *err)
{
    hs_run *run = hs_calloc(1, sizeof *run);
    call *c = hs_calloc(1, sizeof *c);
    hs_status status = run && c ? HS_OK : hs_fail_memory(err, sizeof *run);
    while (status == HS_OK) {
        status = hs_ranks_broadcast(ranks, c, sizeof *c, err);
        if (status != HS_OK || c->leave)
            break;
        status = take_part(run, c->dir, ranks, signals, err);
        hs_run_close(run);
    }
    *code = c ? c->code : 1;
    hs_free(c);
    hs_free(run);
    if (status != HS_OK && !ranks->lost) { /* rank 0 waits for this one in vain */
        ranks->lost = true;
        hs_fail(&ranks->why, status, "rank %u has left", ranks->rank);
    }
    return status;
}
