/* loop.c - training from the trainer's step to the end of the budget, the stop rule or a signal.
 *
 * Invariants: whether a step is evaluated or is a log-spaced checkpoint follows from its number alone, so a resumed run
 * makes the same ones; an evaluation that a signal cut short is made on resume, before the next step; the stop rule
 * counts evaluations of the grid only, and its counter is rebuilt from run.db on resume and after a rollback. Weights
 * that are not finite are never saved. Wall-clock checkpoints change no bit of a run. */
#include "train/internal.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_ROLLBACKS = 5 };

/* Which folder checkpoints go to: found again by its number, not its name. */
typedef struct folder_id {
    bool known;
    dev_t device;
    ino_t inode;
} folder_id;

typedef struct hs_training {
    hs_trainer *trainer;
    const hs_train_config *config;
    hs_record *record;
    const char *dir;
    const hs_events *events;
    hs_signals *signals;
    const hs_probe *probes;
    uint32_t n_probes, probes_failed;
    double seconds_before, started, cpu_before, cpu_started;
    uint32_t n;    /* splits */
    hs_eval *eval; /* (n) the last evaluation */
    uint64_t chain; /* link of the last recorded evaluation */
    bool folder_lost;
    folder_id folder;
    double last_look;
    bool evaluated;
    uint64_t evaluated_step; /* of `eval` */
    uint64_t recorded_step;  /* where this session began, if its evaluation is recorded already */
    uint32_t good; /* evaluations in a row that meet the stop rule */
    double last_save, last_progress;
    uint64_t last_saved_step, progress_step;
    double progress_time;
    bool begun, done;
    hs_train_result result;
} loop;

static bool is_eval_step(const hs_train_config *c, uint64_t step)
{
    return step == c->steps || hs_on_log_grid(step, c->evals_per_decade) ||
           (c->eval_every && step % c->eval_every == 0);
}

static double seconds_now(const loop *l)
{
    return l->seconds_before + hs_now() - l->started;
}

static double cpu_now(const loop *l)
{
    return l->cpu_before + (hs_cpu_now() - l->cpu_started) / hs_pool_threads(hs_trainer_pool(l->trainer));
}

static hs_status fail_lost(loop *l, const char *what, hs_error *err)
{
    l->folder_lost = true;
    hs_fail(err, HS_ERR_IO, "%s was deleted or moved while the run went on", what);
    hs_error_where(err, "%s", l->dir ? l->dir : "");
    return HS_ERR_IO;
}

/* Is what is written still written to this run? The folder of the checkpoints and the record's file are the ones that the
 * run began with. A folder that was never there, or cannot be looked at, is for the save to find out. */
static hs_status check_folder(loop *l, hs_error *err)
{
    struct stat st;
    l->last_look = hs_now();
    if (l->dir) {
        const bool there = stat(l->dir, &st) == 0;
        if (l->folder.known && (there ? st.st_dev != l->folder.device || st.st_ino != l->folder.inode
                                      : errno == ENOENT || errno == ENOTDIR))
            return fail_lost(l, "the run's folder", err);
        if (there)
            l->folder = (folder_id){true, st.st_dev, st.st_ino};
    }
    if (l->record && !hs_record_in_place(l->record))
        return fail_lost(l, "the run's record, run.db,", err);
    return HS_OK;
}

/* The disk failed: an error, or with on_save_error "continue" a warning. */
static hs_status disk_failed(loop *l, const char *what, hs_status status, const hs_error *cause, hs_error *err)
{
    HS_TRY(check_folder(l, err)); /* a folder that is gone is no full disk */
    if (status == HS_ERR_IO && l->config->on_save_error == HS_ON_SAVE_ERROR_CONTINUE) {
        char text[1200];
        hs_error_format(cause, text, sizeof text);
        hs_event_send(l->events, HS_EVENT_WARNING, "train", "%s, going on: %s", what, text);
        return HS_OK;
    }
    if (err)
        *err = *cause;
    return status;
}

static hs_status save(loop *l, hs_error *err)
{
    const uint64_t step = hs_trainer_step_count(l->trainer);
    if (!l->dir || (l->last_saved_step == step && l->last_save > 0))
        return HS_OK;
    HS_TRY(hs_trainer_check_weights(l->trainer, err));
    HS_TRY(check_folder(l, err));
    hs_error local = {0};
    hs_status status = HS_OK;
    if (l->record) {
        uint64_t weights, state;
        hs_trainer_hashes(l->trainer, &weights, &state);
        status = hs_record_metric(l->record, step, "cpu_seconds", cpu_now(l), &local);
        if (status == HS_OK)
            status = hs_record_checkpoint(l->record, step, weights, state, &local);
        if (status == HS_OK)
            status = hs_record_commit(l->record, &local);
    }
    if (status == HS_OK)
        status = hs_checkpoint_save(l->dir, hs_trainer_model(l->trainer), l->trainer, seconds_now(l), &local);
    if (status == HS_OK)
        status = hs_checkpoint_prune(l->dir, l->config, &local);
    l->last_save = hs_now();
    if (status != HS_OK)
        return disk_failed(l, "checkpoint not saved", status, &local, err);
    l->last_saved_step = step;
    return HS_OK;
}

/* The end of the chain: without it, links cut off at the end would not be missed. */
static hs_status record_chain(loop *l, hs_error *err)
{
    char text[32];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)l->chain);
    return hs_record_info(l->record, "chain", text, err);
}

/* The step's metrics as an earlier session recorded them, before a signal cut its evaluation short. */
static hs_status recorded_stats(loop *l, hs_step_stats *stats, bool *have, hs_error *err)
{
    static const char *const names[] = {"loss", "batch_accuracy", "grad_norm", "lr"};
    double *const to[] = {&stats->loss, &stats->accuracy, &stats->grad_norm, &stats->lr};
    *have = false;
    for (int k = 0; k < 4; k++) {
        hs_metric_row *rows;
        size_t n;
        HS_TRY(hs_record_metrics(l->record, names[k], &rows, &n, err));
        for (size_t i = 0; i < n; i++)
            if (rows[i].step == hs_trainer_step_count(l->trainer)) {
                *to[k] = rows[i].value;
                *have = true;
            }
        hs_free(rows);
    }
    return HS_OK;
}

/* The hash of the weights and the next link of the chain. */
static hs_status record_link(loop *l, const hs_step_stats *stats, hs_error *err)
{
    hs_step_stats earlier = {0};
    bool have = false;
    if (!stats)
        HS_TRY(recorded_stats(l, &earlier, &have, err));
    const uint64_t step = hs_trainer_step_count(l->trainer), weights = hs_model_hash(hs_trainer_model(l->trainer));
    l->chain = hs_chain_link(l->chain, step, weights, l->n, l->eval, have ? &earlier : stats);
    HS_TRY(hs_record_weights(l->record, step, weights, l->chain, err));
    return record_chain(l, err);
}

/* The rows of this step, an evaluation's as it ended at `seconds` and `cpu`. After a failure the others follow nevertheless: the record keeps them for its next commit. */
static hs_status record_evaluation(loop *l, const hs_step_stats *stats, double seconds, double cpu, hs_error *err)
{
    const uint64_t step = hs_trainer_step_count(l->trainer);
    hs_status first = HS_OK, status;
#define KEEP(call)                                                                                                     \
    do {                                                                                                               \
        hs_error *to = first == HS_OK ? err : NULL;                                                                    \
        status = (call);                                                                                               \
        first = first == HS_OK ? status : first;                                                                       \
    } while (0)
    if (stats) {
        KEEP(hs_record_metric(l->record, step, "loss", stats->loss, to));
        KEEP(hs_record_metric(l->record, step, "batch_accuracy", stats->accuracy, to));
        KEEP(hs_record_metric(l->record, step, "grad_norm", stats->grad_norm, to));
        KEEP(hs_record_metric(l->record, step, "lr", stats->lr, to));
        if (hs_trainer_config(l->trainer)->fact_exit > 0 || hs_trainer_config(l->trainer)->query_exit > 0)
            KEEP(hs_record_metric(l->record, step, "exit_loss", stats->exit_loss, to));
    }
    if (!l->evaluated)
        return first;
    KEEP(hs_record_metric(l->record, step, "cpu_seconds", cpu, to));
    for (uint32_t s = 0; s < l->n; s++)
        KEEP(hs_record_eval(l->record, step, seconds, &l->eval[s], to));
    KEEP(record_link(l, stats, to));
#undef KEEP
    return first;
}

/* The probes, with the weights that are evaluated; a shared one by all ranks. */
static hs_status run_probes(loop *l, hs_error *err)
{
    hs_model view;
    hs_probe_context at = hs_trainer_probe_context(l->trainer, &view);
    at.record = l->record;
    uint32_t shared = 0;
    for (uint32_t i = 0; i < l->n_probes; i++) {
        at.ranks = NULL;
        HS_TRY(hs_signals_status(l->signals));
        if (l->probes[i].shared)
            HS_TRY(hs_trainer_call_probe(l->trainer, shared++, &at.ranks, err));
        const hs_status status = hs_probe_run(&l->probes[i], &at, l->events, &l->probes_failed);
        if (at.ranks)
            HS_TRY(hs_trainer_end_probe(l->trainer, err));
        HS_TRY(status);
    }
    return HS_OK;
}

/* Every split and every probe, into the record and to the listener. HS_STOPPED_*: cut short, then the record has the step's
 * metrics and what probes had written; the evaluation's rows are missing, and so it is made again on resume. `stats` (NULL: none) are those of the step. */
static hs_status evaluate_all(loop *l, const hs_step_stats *stats, hs_error *err)
{
    const hs_dataset *data = hs_trainer_data(l->trainer);
    const uint64_t step = hs_trainer_step_count(l->trainer);
    hs_status status = HS_OK;
    hs_error local = {0};
    l->evaluated = false;
    for (uint32_t s = 0; s < data->n_splits && status == HS_OK; s++)
        status = hs_trainer_evaluate(l->trainer, s, l->config->eval_max, &l->eval[s], err);
    if (status != HS_OK && !hs_status_stopped(status))
        return status;
    const double seconds = seconds_now(l), cpu = cpu_now(l);
    if (status == HS_OK && l->n_probes)
        status = run_probes(l, err);
    if (status != HS_OK && !hs_status_stopped(status))
        return status;
    l->evaluated = status == HS_OK;
    l->evaluated_step = hs_trainer_step_count(l->trainer);
    hs_status recorded = l->record ? record_evaluation(l, stats, seconds, cpu, &local) : HS_OK;
    if (recorded != HS_OK)
        HS_TRY(disk_failed(l, "evaluation not recorded yet", recorded, &local, err));
    if (status == HS_OK && l->events && l->events->fn) {
        const hs_eval_event data_of = {.step = step, .seconds = seconds, .n = l->n, .eval = l->eval};
        const hs_event event = {
            .kind = HS_EVENT_EVAL, .stage = "train", .done = step, .total = l->config->steps, .data = &data_of};
        l->events->fn(l->events->user, &event);
    }
    return status;
}

static bool meets_stop_rule(const loop *l, const char *split, double accuracy)
{
    return strcmp(split, l->config->stop_split) == 0 && accuracy >= l->config->stop_accuracy;
}

/* From the record of earlier sessions, up to the trainer's step: the evaluations in a row that met the stop rule, CPU
 * seconds, and (*evaluated) whether this step is evaluated. */
static hs_status recount(loop *l, bool *evaluated, hs_error *err)
{
    l->good = 0;
    *evaluated = false;
    if (!l->record)
        return HS_OK;
    const uint64_t now = hs_trainer_step_count(l->trainer);
    hs_eval_row *rows = NULL;
    size_t n = 0;
    HS_TRY(hs_record_evals(l->record, &rows, &n, err));
    for (size_t i = 0; i < n && rows[i].step <= now; i++) {
        *evaluated |= rows[i].step == now;
        if (strcmp(rows[i].eval.split, l->config->stop_split) == 0 && is_eval_step(l->config, rows[i].step))
            l->good = meets_stop_rule(l, rows[i].eval.split, rows[i].eval.accuracy) ? l->good + 1 : 0;
    }
    hs_free(rows);
    hs_weights_row *weights = NULL;
    HS_TRY(hs_record_weights_rows(l->record, &weights, &n, err));
    l->chain = 0;
    for (size_t i = 0; i < n && weights[i].step <= now; i++)
        l->chain = weights[i].linked ? weights[i].chain : 0;
    hs_free(weights);
    HS_TRY(record_chain(l, err));
    hs_metric_row *cpu = NULL;
    HS_TRY(hs_record_metrics(l->record, "cpu_seconds", &cpu, &n, err));
    for (size_t i = 0; i < n && cpu[i].step <= now; i++)
        l->cpu_before = isfinite(cpu[i].value) ? cpu[i].value : l->cpu_before;
    l->cpu_started = hs_cpu_now();
    hs_free(cpu);
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

/* Back to the last checkpoint, with another order of batches from there on. *done = false: there is none, or it was
 * tried often enough. The time spent on what is dropped counts. */
static hs_status rollback(loop *l, const hs_error *cause, bool *done, hs_error *err)
{
    uint64_t step = 0;
    const uint32_t attempt = hs_trainer_attempt(l->trainer) + 1;
    *done = false;
    if (!l->dir || attempt > MAX_ROLLBACKS)
        return HS_OK;
    hs_error damage;
    HS_TRY(hs_checkpoint_latest(l->dir, &step, done, &damage, err));
    if (!*done)
        return HS_OK;
    if (damage.status != HS_OK)
        hs_event_send(l->events, HS_EVENT_WARNING, "train", "a newer checkpoint is damaged: %s: %s", damage.where,
                      damage.what);
    double seconds;
    bool evaluated;
    const double cpu = cpu_now(l);
    HS_TRY(hs_checkpoint_load(l->dir, step, hs_trainer_model(l->trainer), l->trainer, &seconds, err));
    hs_trainer_set_attempt(l->trainer, attempt);
    HS_TRY(hs_checkpoint_save(l->dir, hs_trainer_model(l->trainer), l->trainer, seconds, err)); /* with the new attempt */
    l->last_saved_step = step;
    if (l->record) {
        HS_TRY(hs_record_rewind(l->record, step, err));
        HS_TRY(hs_record_event(l->record, step, "rollback", cause->what, err));
        HS_TRY(hs_record_metric(l->record, step, "attempt", attempt, err));
    }
    HS_TRY(recount(l, &evaluated, err));
    l->cpu_before = cpu;
    hs_event_send(l->events, HS_EVENT_WARNING, "train", "%s; back to step %llu, attempt %u", cause->what,
                  (unsigned long long)step, attempt + 1);
    return HS_OK;
}

static bool is_save_step(const loop *l, uint64_t step)
{
    const hs_train_config *c = l->config;
    return (c->checkpoint_every && step % c->checkpoint_every == 0) ||
           hs_on_log_grid(step, c->checkpoints_per_decade) ||
           (c->checkpoint_seconds > 0 && hs_now() - l->last_save >= c->checkpoint_seconds);
}

static bool rule_is_met(const loop *l)
{
    return l->config->stop_split[0] && l->good >= l->config->stop_patience;
}

/* Evaluate at a step of the grid and look at the stop rule. */
static hs_status evaluate_and_judge(loop *l, const hs_step_stats *stats, hs_error *err)
{
    HS_TRY(hs_trainer_check_weights(l->trainer, err));
    const hs_status status = evaluate_all(l, stats, err);
    if (hs_status_stopped(status)) {
        l->result.reason = HS_STOP_SIGNAL;
        l->done = true;
        return HS_OK;
    }
    HS_TRY(status);
    for (uint32_t s = 0; s < l->n; s++)
        if (strcmp(l->eval[s].split, l->config->stop_split) == 0)
            l->good = meets_stop_rule(l, l->eval[s].split, l->eval[s].accuracy) ? l->good + 1 : 0;
    if (rule_is_met(l)) {
        l->result.reason = HS_STOP_RULE;
        l->done = true;
    }
    return HS_OK;
}

/* After each step: record, evaluate, save, look at signals. l->done when the run ends here. */
static hs_status after_step(loop *l, const hs_step_stats *stats, hs_error *err)
{
    const hs_train_config *c = l->config;
    const uint64_t step = hs_trainer_step_count(l->trainer);
    if (is_eval_step(c, step))
        HS_TRY(evaluate_and_judge(l, stats, err));
    progress(l, stats);
    if (step >= c->steps || (c->max_seconds > 0 && seconds_now(l) >= c->max_seconds))
        l->done = true;
    if (hs_signals_status(l->signals) != HS_OK && !(step >= c->steps && l->evaluated)) {
        l->result.reason = HS_STOP_SIGNAL;
        l->done = true;
    }
    if (hs_now() - l->last_look > 1)
        HS_TRY(check_folder(l, err));
    const bool asked = l->signals && l->signals->save;
    if (!l->done && (asked || is_save_step(l, step))) {
        if (asked)
            l->signals->save = 0; /* before saving: one that comes meanwhile counts */
        HS_TRY(save(l, err));
    }
    return HS_OK;
}

/* One step and what follows it. A step that diverged is taken back where so configured. */
static hs_status step_once(loop *l, hs_step_stats *stats, hs_error *err)
{
    hs_error local = {0};
    hs_status status = hs_trainer_step(l->trainer, stats, &local);
    if (status == HS_OK)
        status = after_step(l, stats, &local);
    bool diverged = status == HS_ERR_DIVERGED, back = false;
    if (diverged && l->config->on_nan == HS_ON_NAN_ROLLBACK) {
        l->done = false;
        l->result.reason = HS_STOP_BUDGET;
        HS_TRY(rollback(l, &local, &back, err));
        if (back)
            return HS_OK;
    }
    if (status != HS_OK && err)
        *err = local;
    if (diverged) {
        l->result.reason = HS_STOP_NAN;
        if (l->record) { /* the record keeps what was learned so far; the error goes to the caller */
            (void)hs_record_event(l->record, hs_trainer_step_count(l->trainer), "error", local.what, NULL);
            (void)hs_record_info(l->record, "ended_by", hs_stop_reason_text(HS_STOP_NAN), NULL);
        }
    }
    return status;
}

/* What comes before the first step. */
static hs_status begin(loop *l, hs_error *err)
{
    bool evaluated;
    if (l->dir)
        (void)hs_make_dirs(l->dir, NULL); /* a disk that refuses is for the first save to tell */
    HS_TRY(check_folder(l, err));
    HS_TRY(recount(l, &evaluated, err));
    const uint64_t start = hs_trainer_step_count(l->trainer);
    if (evaluated)
        l->recorded_step = start;
    if (l->record)
        HS_TRY(hs_record_info(l->record, "ended_by", hs_stop_reason_text(HS_STOP_NOT_YET), err));
    if (start > 0 && !evaluated && l->record && is_eval_step(l->config, start)) /* a signal cut it short */
        HS_TRY(evaluate_and_judge(l, NULL, err));
    if (rule_is_met(l))
        l->result.reason = HS_STOP_RULE;
    l->done |= start >= l->config->steps || rule_is_met(l);
    /* A run that its seconds ended is not trained one step more each time it is started. */
    l->done |= l->config->max_seconds > 0 && start > 0 && seconds_now(l) >= l->config->max_seconds;
    return HS_OK;
}

hs_status hs_training_step(hs_training *l, hs_step_stats *stats, bool *ended, hs_error *err)
{
    hs_step_stats ignored;
    hs_status status = HS_OK;
    stats = stats ? stats : &ignored;
    *stats = (hs_step_stats){0};
    if (!l->begun)
        status = begin(l, err);
    l->begun = true;
    if (status == HS_OK && !l->done)
        status = step_once(l, stats, err);
    *ended = l->done;
    return status;
}

hs_status hs_training_finish(hs_training *l, hs_error *err)
{
    if (!l->done) { /* the caller does not go on */
        l->result.reason = HS_STOP_SIGNAL;
        if (!l->begun)
            return hs_signals_status(l->signals);
    }
    HS_TRY(save(l, err));
    const uint64_t end = hs_trainer_step_count(l->trainer);
    const bool has_end = (l->evaluated && l->evaluated_step == end) || l->recorded_step == end;
    if (!has_end && l->result.reason != HS_STOP_SIGNAL) {
        const hs_status status = evaluate_all(l, NULL, err);
        if (hs_status_stopped(status))
            l->result.reason = HS_STOP_SIGNAL;
        else
            HS_TRY(status);
    }
    hs_error local = {0};
    hs_status status = HS_OK;
    if (l->record)
        status = hs_record_info(l->record, "ended_by", hs_stop_reason_text(l->result.reason), &local);
    if (l->record && status == HS_OK)
        status = hs_record_commit(l->record, &local);
    if (status != HS_OK)
        HS_TRY(disk_failed(l, "record not written", status, &local, err));
    return l->result.reason == HS_STOP_SIGNAL ? hs_signals_status(l->signals) : HS_OK;
}

hs_status hs_training_open(hs_training **out, hs_trainer *trainer, hs_record *record, const char *checkpoint_dir,
                           double seconds_before, const hs_probe *probes, uint32_t n_probes, hs_signals *signals,
                           const hs_events *events, hs_error *err)
{
    loop *l = hs_alloc(sizeof *l);
    *out = NULL;
    if (!l)
        return hs_fail_memory(err, sizeof *l);
    *l = (loop){.trainer = trainer,
                .config = hs_trainer_config(trainer),
                .record = record,
                .dir = checkpoint_dir,
                .events = events,
                .signals = signals,
                .probes = probes,
                .n_probes = record ? n_probes : 0,
                .seconds_before = seconds_before,
                .started = hs_now(),
                .cpu_started = hs_cpu_now(),
                .n = hs_trainer_data(trainer)->n_splits,
                .recorded_step = UINT64_MAX,
                .progress_step = hs_trainer_step_count(trainer),
                .result = {.reason = HS_STOP_BUDGET}};
    l->progress_time = l->last_save = l->started;
    l->eval = hs_calloc(l->n ? l->n : 1, sizeof *l->eval);
    if (!l->eval) {
        hs_free(l);
        return hs_fail_memory(err, sizeof *l->eval);
    }
    hs_trainer_set_signals(trainer, signals);
    *out = l;
    return HS_OK;
}

void hs_training_close(hs_training *l, hs_train_result *result)
{
    if (!l)
        return;
    *result = l->result;
    result->steps = hs_trainer_step_count(l->trainer);
    result->seconds = seconds_now(l);
    result->probes_failed = l->probes_failed;
    result->folder_lost = l->folder_lost;
    hs_free(l->eval);
    hs_free(l);
}

hs_status hs_train(hs_trainer *trainer, hs_record *record, const char *checkpoint_dir, double seconds_before,
                   const hs_probe *probes, uint32_t n_probes, hs_signals *signals, const hs_events *events,
                   hs_train_result *result, hs_error *err)
{
    hs_training *l;
    bool ended = false;
    *result = (hs_train_result){.reason = HS_STOP_BUDGET};
    HS_TRY(
        hs_training_open(&l, trainer, record, checkpoint_dir, seconds_before, probes, n_probes, signals, events, err));
    hs_status status = HS_OK;
    while (status == HS_OK && !ended)
        status = hs_training_step(l, NULL, &ended, err);
    if (status == HS_OK)
        status = hs_training_finish(l, err);
    hs_training_close(l, result);
    return status;
}
