/* verify.c - replaying a stretch of a run against its hash chain.
 *
 * Invariant: nothing of the run is written; the replay has its own model, trainer and threads. */
#include "experiment/internal.h"

#include <string.h>

/* What run.db says: the hashes, and the steps at which a rollback began another attempt. Freed by the caller. */
typedef struct history {
    hs_weights_row *hash;
    hs_metric_row *attempt;
    size_t n_hashes, n_attempts;
} history;

static hs_status read_history(const hs_run *run, history *h, hs_error *err)
{
    char path[4096];
    hs_record *record = NULL;
    HS_TRY(hs_path_join(path, sizeof path, run->dir, "run.db", err));
    HS_TRY(hs_record_open_read(&record, path, err));
    hs_status status = hs_record_weights_rows(record, &h->hash, &h->n_hashes, err);
    if (status == HS_OK)
        status = hs_record_metrics(record, "attempt", &h->attempt, &h->n_attempts, err);
    hs_record_close(record);
    return status;
}

/* The attempt under which the run took its next step from here. */
static void follow_attempts(const history *h, hs_trainer *trainer)
{
    for (size_t i = 0; i < h->n_attempts; i++)
        if (h->attempt[i].step == hs_trainer_step_count(trainer))
            hs_trainer_set_attempt(trainer, (uint32_t)h->attempt[i].value);
}

static hs_status replay(hs_run *run, hs_trainer *trainer, const history *h, uint64_t steps, hs_verify_result *out,
                        hs_error *err)
{
    const hs_weights_row *rows = h->hash;
    const size_t n = h->n_hashes;
    out->from = hs_trainer_step_count(trainer);
    out->same = true;
    for (size_t i = 0; i < n && out->same; i++) {
        if (rows[i].step <= out->from || rows[i].step - out->from > steps)
            continue;
        while (hs_trainer_step_count(trainer) < rows[i].step) {
            hs_step_stats stats;
            follow_attempts(h, trainer);
            HS_TRY(hs_trainer_step(trainer, &stats, err));
        }
        out->to = rows[i].step;
        out->recorded = rows[i].hash;
        out->replayed = hs_model_hash(&run->model);
        out->same = out->recorded == out->replayed;
        out->compared++;
    }
    if (out->compared == 0) {
        hs_fail(err, HS_ERR_DATA, "the run recorded no weights between steps %llu and %llu",
                (unsigned long long)out->from, (unsigned long long)(out->from + steps));
        return hs_error_hint(err, "replay more steps with --steps");
    }
    return HS_OK;
}

static hs_status verify_opened(hs_run *run, uint64_t from, uint64_t steps, uint32_t threads, hs_verify_result *out,
                               hs_error *err)
{
    history h = {0};
    hs_trainer *trainer = NULL;
    hs_pool *pool = hs_pool_create(threads);
    hs_status status = pool ? read_history(run, &h, err) : hs_fail_memory(err, 0);
    if (status == HS_OK && from == 0) { /* the weights as they were drawn */
        hs_model_free(&run->model);
        memset(&run->model, 0, sizeof run->model);
        status = hs_experiment_initial_model(&run->config, &run->data, &run->model, err);
    }
    if (status == HS_OK)
        status = hs_trainer_create(&trainer, &run->model, &run->data, &run->config.train, pool, err);
    if (status == HS_OK && from > 0) {
        char path[4096];
        double seconds;
        status = hs_path_join(path, sizeof path, run->dir, "checkpoints", err);
        if (status == HS_OK)
            status = hs_checkpoint_load(path, from, &run->model, trainer, &seconds, err);
    }
    if (status == HS_OK)
        status = replay(run, trainer, &h, steps, out, err);
    hs_trainer_free(trainer);
    hs_pool_free(pool);
    hs_free(h.hash);
    hs_free(h.attempt);
    return status;
}

hs_status hs_run_verify(const char *run_dir, uint64_t from, uint64_t steps, uint32_t threads, hs_verify_result *out,
                        hs_error *err)
{
    memset(out, 0, sizeof *out);
    hs_run *run = hs_calloc(1, sizeof *run);
    if (!run)
        return hs_fail_memory(err, sizeof *run);
    hs_status status = hs_run_open(run, run_dir, from ? from : HS_LATEST, err);
    if (status == HS_OK) {
        status = verify_opened(run, from, steps, threads, out, err);
        hs_run_close(run);
    }
    hs_free(run);
    return status;
}
