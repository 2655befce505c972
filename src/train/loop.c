/* loop.c - training from the trainer's step to the end of the budget, the stop rule or a signal.
 *
 * Invariants: whether a step is evaluated or is a log-spaced checkpoint follows from its number alone, so a resumed run
 * makes the same ones; the stop rule reads the record of earlier sessions through its counter, which is rebuilt from
 * run.db on resume. Wall-clock checkpoints change no bit of a run. */
#include "train/internal.h"

#include <math.h>
#include <signal.h>
#include <string.h>

typedef struct loop {
    hs_trainer *trainer;
    const hs_train_config *config;
    hs_record *record;
    const char *dir;
    const hs_events *events;
    hs_signals *signals;
    double seconds_before, started;
    uint32_t n;          /* splits */
    hs_eval *eval;       /* (n) the last evaluation */
    bool evaluated;
    uint32_t good;       /* evaluations in a row that meet the stop rule */
    double last_save, last_progress;
    uint64_t last_saved_step, progress_step;
    double progress_time;
} loop;

/* Is `step` on the grid of `per_decade` points a decade? The k-th point is round(10^(k / per_decade)). */
static bool on_log_grid(uint64_t step, double per_decade)
{
    if (per_decade <= 0 || step == 0)
        return false;
    const double k = floor(log10((double)step) * per_decade);
    for (int d = -1; d <= 1; d++)
        if ((uint64_t)llround(pow(10.0, (k + d) / per_decade)) == step)
            return true;
    return false;
}

static bool is_eval_step(const hs_train_config *c, uint64_t step)
{
    return step == c->steps || on_log_grid(step, c->evals_per_decade) ||
           (c->eval_every && step % c->eval_every == 0);
}

static double seconds_now(const loop *l)
{
    return l->seconds_before + hs_now() - l->started;
}

static hs_status save(loop *l, hs_error *err)
{
    if (!l->dir || (l->last_saved_step == hs_trainer_step_count(l->trainer) && l->last_save > 0))
        return HS_OK;
    hs_error local = {0};
    hs_status status = l->record ? hs_record_commit(l->record, &local) : HS_OK;
    if (status == HS_OK)
        status = hs_checkpoint_save(l->dir, hs_trainer_model(l->trainer), l->trainer, seconds_now(l), &local);
    if (status == HS_OK)
        status = hs_checkpoint_prune(l->dir, l->config, &local);
    l->last_save = hs_now();
    if (status != HS_OK && strcmp(l->config->on_save_error, "continue") == 0) {
        char text[400];
        hs_error_format(&local, text, sizeof text);
        hs_event_send(l->events, HS_EVENT_WARNING, "train", "checkpoint not saved, going on: %s", text);
        return HS_OK;
    }
    if (status != HS_OK && err)
        *err = local;
    if (status == HS_OK)
        l->last_saved_step = hs_trainer_step_count(l->trainer);
    return status;
}

static hs_status evaluate_all(loop *l, hs_error *err)
{
    const hs_dataset *data = hs_trainer_data(l->trainer);
    const hs_model *model = hs_trainer_model(l->trainer);
    const uint64_t step = hs_trainer_step_count(l->trainer);
    for (uint32_t s = 0; s < data->n_splits; s++)
        HS_TRY(hs_evaluate(model, hs_trainer_eval_param(l->trainer), data, &data->splits[s], l->config->eval_max,
                           hs_trainer_pool(l->trainer), &l->eval[s], err));
    l->evaluated = true;
    if (l->record) {
        for (uint32_t s = 0; s < l->n; s++)
            HS_TRY(hs_record_eval(l->record, step, seconds_now(l), &l->eval[s], err));
        HS_TRY(hs_record_weights(l->record, step, hs_model_hash(model), err));
    }
    if (l->events && l->events->fn) {
        const hs_eval_event data_of = {.step = step, .seconds = seconds_now(l), .n = l->n, .eval = l->eval};
        const hs_event event = {.kind = HS_EVENT_EVAL, .stage = "train", .done = step, .total = l->config->steps, .data = &data_of};
        l->events->fn(l->events->user, &event);
    }
    return HS_OK;
}

static bool meets_stop_rule(const loop *l, const char *split, double accuracy)
{
    return strcmp(split, l->config->stop_split) == 0 && accuracy >= l->config->stop_accuracy;
}

/* Count the evaluations in a row, up to the trainer's step, that met the stop rule in earlier sessions. */
static hs_status recount_stop_rule(loop *l, hs_error *err)
{
    if (!l->record || !l->config->stop_split[0])
        return HS_OK;
    hs_eval_row *rows = NULL;
    size_t n = 0;
    HS_TRY(hs_record_evals(l->record, &rows, &n, err));
    for (size_t i = 0; i < n; i++)
        if (rows[i].step <= hs_trainer_step_count(l->trainer) && strcmp(rows[i].eval.split, l->config->stop_split) == 0)
            l->good = meets_stop_rule(l, rows[i].eval.split, rows[i].eval.accuracy) ? l->good + 1 : 0;
    hs_free(rows);
    return HS_OK;
}

static void progress(loop *l, const hs_step_stats *stats)
{
    const double now = hs_now();
    if (!l->events || !l->events->fn || now - l->last_progress < 0.2)
        return;
    const uint64_t step = hs_trainer_step_count(l->trainer);
    const double rate = (double)(step - l->progress_step) / (now - l->progress_time);
    l->last_progress = now;
    if (now - l->progress_time > 5) { /* the rate is that of the last seconds */
        l->progress_time = now;
        l->progress_step = step;
    }
    const hs_train_progress data = {.step = step,
                                    .steps = l->config->steps,
                                    .seconds = seconds_now(l),
                                    .steps_per_second = rate,
                                    .stats = *stats,
                                    .n = l->evaluated ? l->n : 0,
                                    .last = l->eval};
    const hs_event event = {
        .kind = HS_EVENT_PROGRESS, .stage = "train", .done = step, .total = l->config->steps, .data = &data};
    l->events->fn(l->events->user, &event);
}

/* Back to the last checkpoint, with another order of batches from there on. */
static hs_status rollback(loop *l, const hs_error *cause, hs_error *err)
{
    uint64_t step = 0;
    bool found = false;
    const uint32_t attempt = hs_trainer_attempt(l->trainer) + 1;
    if (!l->dir || attempt > 5) {
        *err = *cause;
        return cause->status;
    }
    HS_TRY(hs_checkpoint_latest(l->dir, &step, &found, err));
    if (!found) {
        *err = *cause;
        return cause->status;
    }
    double seconds;
    HS_TRY(hs_checkpoint_load(l->dir, step, hs_trainer_model(l->trainer), l->trainer, &seconds, err));
    hs_trainer_set_attempt(l->trainer, attempt);
    if (l->record)
        HS_TRY(hs_record_rewind(l->record, step, err));
    hs_event_send(l->events, HS_EVENT_WARNING, "train", "%s; back to step %llu, attempt %u", cause->what,
                  (unsigned long long)step, attempt + 1);
    return HS_OK;
}

static bool is_save_step(const loop *l, uint64_t step)
{
    const hs_train_config *c = l->config;
    return (c->checkpoint_every && step % c->checkpoint_every == 0) || on_log_grid(step, c->checkpoints_per_decade) ||
           (c->checkpoint_seconds > 0 && hs_now() - l->last_save >= c->checkpoint_seconds);
}

/* After each step: record, evaluate, save, look at signals. *done when the run ends here. */
static hs_status after_step(loop *l, const hs_step_stats *stats, hs_train_result *result, bool *done, hs_error *err)
{
    const hs_train_config *c = l->config;
    const uint64_t step = hs_trainer_step_count(l->trainer);
    const bool log_point = is_eval_step(c, step);
    if (log_point) {
        if (l->record) {
            HS_TRY(hs_record_metric(l->record, step, "loss", stats->loss, err));
            HS_TRY(hs_record_metric(l->record, step, "batch_accuracy", stats->accuracy, err));
            HS_TRY(hs_record_metric(l->record, step, "grad_norm", stats->grad_norm, err));
            HS_TRY(hs_record_metric(l->record, step, "lr", stats->lr, err));
        }
        HS_TRY(evaluate_all(l, err));
        for (uint32_t s = 0; s < l->n; s++)
            if (strcmp(l->eval[s].split, c->stop_split) == 0)
                l->good = meets_stop_rule(l, l->eval[s].split, l->eval[s].accuracy) ? l->good + 1 : 0;
        if (c->stop_split[0] && l->good >= c->stop_patience) {
            result->reason = HS_STOP_RULE;
            *done = true;
        }
    }
    progress(l, stats);
    if (step >= c->steps || (c->max_seconds > 0 && seconds_now(l) >= c->max_seconds))
        *done = true;
    if (l->signals && l->signals->stop) {
        result->reason = HS_STOP_SIGNAL;
        *done = true;
    }
    const bool asked = l->signals && l->signals->save;
    if (!*done && (asked || is_save_step(l, step))) {
        HS_TRY(save(l, err));
        if (asked)
            l->signals->save = 0;
    }
    return HS_OK;
}

static hs_status run(loop *l, hs_train_result *result, hs_error *err)
{
    hs_step_stats stats = {0};
    HS_TRY(recount_stop_rule(l, err));
    bool done = hs_trainer_step_count(l->trainer) >= l->config->steps ||
                (l->config->stop_split[0] && l->good >= l->config->stop_patience);
    if (done && l->good >= l->config->stop_patience && l->config->stop_split[0])
        result->reason = HS_STOP_RULE;
    while (!done) {
        hs_error step_error = {0};
        hs_status status = hs_trainer_step(l->trainer, &stats, &step_error);
        if (status != HS_OK && strcmp(l->config->on_nan, "rollback") == 0) {
            HS_TRY(rollback(l, &step_error, err));
            continue;
        }
        if (status != HS_OK) {
            result->reason = HS_STOP_NAN;
            if (l->record) /* the record keeps what was learned so far; the error goes to the caller */
                (void)hs_record_event(l->record, hs_trainer_step_count(l->trainer), "error", step_error.what, NULL);
            if (err)
                *err = step_error;
            return status;
        }
        HS_TRY(after_step(l, &stats, result, &done, err));
    }
    HS_TRY(save(l, err));
    if (!l->evaluated && result->reason != HS_STOP_SIGNAL)
        HS_TRY(evaluate_all(l, err));
    return l->record ? hs_record_commit(l->record, err) : HS_OK;
}

hs_status hs_train(hs_trainer *trainer, hs_record *record, const char *checkpoint_dir, double seconds_before,
                   hs_signals *signals, const hs_events *events, hs_train_result *result, hs_error *err)
{
    loop l = {.trainer = trainer,
              .config = hs_trainer_config(trainer),
              .record = record,
              .dir = checkpoint_dir,
              .events = events,
              .signals = signals,
              .seconds_before = seconds_before,
              .started = hs_now(),
              .n = hs_trainer_data(trainer)->n_splits,
              .progress_step = hs_trainer_step_count(trainer)};
    l.progress_time = l.last_save = l.started;
    *result = (hs_train_result){.reason = HS_STOP_BUDGET};
    l.eval = hs_calloc(l.n ? l.n : 1, sizeof *l.eval);
    if (!l.eval)
        return hs_fail_memory(err, l.n * sizeof *l.eval);
    hs_status status = run(&l, result, err);
    result->steps = hs_trainer_step_count(trainer);
    result->seconds = seconds_now(&l);
    hs_free(l.eval);
    if (status == HS_OK && result->reason == HS_STOP_SIGNAL)
        return signals->stop == SIGTERM ? HS_STOPPED_TERM : HS_STOPPED_INT;
    return status;
}
