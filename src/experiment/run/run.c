/* run.c - one experiment from its configuration to its result.
 *
 * Invariant: everything a run needs is in its directory before the first step, in the order lock, experiment.yaml,
 * init.safetensors, dataset/, run.db, checkpoints/; whatever is found there on a later start is used, never made again.
 */
#include "experiment/internal.h"
#include "hopscope/tensor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What a run holds while it runs. Zero-initialized, lock.fd = -1; session_free releases what is there. */
typedef struct hs_session {
    const hs_config *config;
    const hs_experiment_options *options;
    hs_signals *signals;
    const hs_events *events;
    hs_run_lock lock;
    hs_pool *pool;
    hs_dataset data;
    hs_model model;
    hs_trainer *trainer;
    hs_record *record;
    char yaml[4096], dataset[4096], db[4096], checkpoints[4096];
    double seconds_before;
    bool wrote; /* something of the run may stand in its folder */
    hs_interpret_job job;
    hs_probe *probes; /* the caller's, then the microscope */
    hs_training *training;
    hs_experiment_result *result;
} session;

static void session_free(session *s)
{
    hs_training_close(s->training, &s->result->train);
    hs_scope_free(s->job.scope);
    hs_free(s->probes);
    hs_record_close(s->record);
    hs_trainer_free(s->trainer);
    hs_model_free(&s->model);
    hs_dataset_free(&s->data);
    hs_pool_free(s->pool);
    hs_run_lock_release(&s->lock, s->options->run_dir);
}

static hs_status make_paths(session *s, hs_error *err)
{
    const char *dir = s->options->run_dir;
    HS_TRY(hs_path_join(s->yaml, sizeof s->yaml, dir, "experiment.yaml", err));
    HS_TRY(hs_path_join(s->dataset, sizeof s->dataset, dir, "dataset", err));
    HS_TRY(hs_path_join(s->db, sizeof s->db, dir, "run.db", err));
    HS_TRY(hs_record_check_path(s->db, err));
    return hs_path_join(s->checkpoints, sizeof s->checkpoints, dir, "checkpoints", err);
}

/* ---------------------------------------------------------------- configuration */

static hs_status fail_differs(session *s, const hs_config *old, const hs_config_key *key, hs_error *err)
{
    hs_str was = {0}, is = {0};
    hs_config_get(old, key, &was);
    hs_config_get(s->config, key, &is);
    hs_fail(err, HS_ERR_DATA, "this folder holds a run with %s = %.80s, not %.80s", key->key, was.s ? was.s : "\"\"",
            is.s ? is.s : "\"\"");
    hs_error_where(err, "%s", s->options->run_dir);
    hs_error_hint(err, "choose another folder with -o, or go on with the run as it is: hopscope run %s",
                  s->options->run_dir);
    hs_str_free(&was);
    hs_str_free(&is);
    return HS_ERR_DATA;
}

/* The first key that may not differ when a run goes on, and does; NULL if there is none. */
static const hs_config_key *changed_key(const session *s, hs_config *old)
{
    const hs_config_key *key = hs_config_diff(old, s->config, true);
    while (key && hs_config_same_file(old, s->config, key)) { /* the file was moved, and the dataset is made already */
        memcpy((char *)old + key->setting.offset, (const char *)s->config + key->setting.offset, key->setting.size);
        key = hs_config_diff(old, s->config, true);
    }
    if (!key && s->config->train.schedule != HS_SCHEDULE_CONSTANT && old->train.steps != s->config->train.steps)
        key = hs_config_key_find("train.steps"); /* the rate of earlier steps would have been another */
    return key;
}

static hs_status check_same_experiment(session *s, hs_config *old, hs_error *err)
{
    const hs_config_key *key = changed_key(s, old);
    return key ? fail_differs(s, old, key, err) : HS_OK;
}

static hs_status write_config(session *s, hs_error *err)
{
    hs_str text = {0};
    hs_config_write(s->config, &text);
    hs_status status = text.failed ? hs_fail_memory(err, text.len) : hs_file_write(s->yaml, text.s, text.len, err);
    hs_str_free(&text);
    return status;
}

/* A run is started once its dataset is there: then its configuration is compared with ours, and rewritten where a key
 * that may differ does. *started says which. */
static hs_status compare_config(session *s, bool *started, hs_error *err)
{
    *started = hs_file_exists(s->yaml) && hs_file_exists(s->dataset);
    if (!*started)
        return HS_OK;
    hs_config *old = hs_alloc(sizeof *old);
    if (!old)
        return hs_fail_memory(err, sizeof *old);
    hs_status status = hs_config_read(old, s->yaml, NULL, 0, err);
    if (status == HS_OK)
        status = check_same_experiment(s, old, err);
    bool rewrite = status == HS_OK && hs_config_diff(old, s->config, false) != NULL;
    hs_free(old);
    return rewrite ? write_config(s, err) : status;
}

/* ---------------------------------------------------------------- dataset, model, cost */

/* The dataset: the one of a started run, or a new one that is not written yet. */
static hs_status settle(session *s, bool *started, hs_error *err)
{
    *started = false;
    if (!s->options->dry_run)
        HS_TRY(compare_config(s, started, err));
    if (*started)
        return hs_dataset_read(&s->data, s->dataset, err);
    return hs_experiment_dataset(s->config, s->pool, &s->data, s->events, err);
}

/* Nothing is written before dataset and model stand: a phi out of reach or a damaged model.init leaves the folder free for
 * the next try. */
static hs_status write_start(session *s, hs_error *err)
{
    HS_TRY(write_config(s, err));
    if (s->config->model_init[0]) {
        char path[4096];
        HS_TRY(hs_run_init_path(path, sizeof path, s->options->run_dir, err));
        HS_TRY(hs_model_save(&s->model, path, NULL, 0, err));
    }
    return hs_dataset_write(&s->data, s->dataset, err);
}

/* A stop rule that can never be met is said, not refused: a split may be empty for this seed and graph only. */
static void check_stop_split(const session *s)
{
    const char *name = s->config->train.stop_split;
    if (!name[0])
        return;
    for (uint32_t i = 0; i < s->data.n_splits; i++)
        if (strcmp(s->data.splits[i].name, name) == 0 && s->data.splits[i].n > 0)
            return;
    const char *names[64];
    uint32_t n = 0;
    for (; n < s->data.n_splits && n < 64; n++)
        names[n] = s->data.splits[n].name;
    const char *near = hs_nearest(name, names, n);
    hs_event_send(
        s->events, HS_EVENT_WARNING, "train",
        "train.stop_split: this dataset has no items in a split \"%s\"%s%s%s; the whole budget will be trained", name,
        near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

/* Of a started run, the weights it began with. `events` hears where they come from. */
static hs_status make_model(session *s, bool started, const hs_events *events, hs_error *err)
{
    if (started)
        HS_TRY(hs_run_initial_model(s->options->run_dir, s->config, &s->data, &s->model, events, err));
    else
        HS_TRY(hs_experiment_initial_model(s->config, &s->data, &s->model, events, err));
    return hs_trainer_create(&s->trainer, &s->model, &s->data, &s->config->train, s->pool, err);
}

/* A trainer that took steps for the estimate starts over from the seed: the estimate changes no bit. */
static hs_status estimate(session *s, hs_run_cost *cost, hs_error *err)
{
    if (s->options->no_estimate)
        return HS_OK;
    bool stepped;
    HS_TRY(hs_run_estimate(s->trainer, &s->config->train, s->pool, s->signals, cost, &stepped, err));
    if (!stepped)
        return HS_OK;
    hs_trainer_free(s->trainer);
    s->trainer = NULL;
    hs_model_free(&s->model);
    s->model = (hs_model){0};
    HS_TRY(make_model(s, !s->options->dry_run, NULL, err));
    return s->options->dry_run ? HS_OK : hs_run_share(s->trainer, s->options->run_dir, s->options->ranks, NULL, err);
}

static hs_status measure_cost(session *s, hs_run_cost *cost, hs_error *err)
{
    *cost = (hs_run_cost){.weights = s->model.n_weights,
                          .training_items = s->data.audit.training_items,
                          .vocab = hs_dataset_vocab(&s->data),
                          .step_flop = hs_trainer_step_flop(s->trainer),
                          .memory = hs_trainer_memory(s->trainer),
                          .blas_memory = hs_tensor_memory(hs_pool_threads(s->pool))};
    HS_TRY(estimate(s, cost, err));
    if (s->events && s->events->fn) {
        const hs_event event = {.kind = HS_EVENT_INFO, .stage = "cost", .data = cost};
        s->events->fn(s->events->user, &event);
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- record and resume */

hs_status hs_run_check_record(const char *db, const char *checkpoints, hs_error *err)
{
    struct stat st;
    if (stat(db, &st) == 0 ? st.st_size > 0 : errno != ENOENT)
        return HS_OK;
    uint64_t *steps;
    size_t n;
    HS_TRY(hs_checkpoint_steps(checkpoints, &steps, &n, err));
    hs_free(steps);
    if (n == 0)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "the record of this run is gone, its checkpoints are there");
    hs_error_where(err, "%s", db);
    return hs_error_hint(err, "bring it back, or remove this folder to train from the beginning");
}

/* The configuration that the run was trained with so far stands in its record: experiment.yaml may have been edited since. */
static hs_status check_recorded_config(session *s, hs_error *err)
{
    enum { SIZE = 1 << 18 };
    char *text = hs_alloc(SIZE);
    hs_config *old = hs_alloc(sizeof *old);
    hs_status status =
        text && old ? hs_record_get_info(s->record, "config", text, SIZE, err) : hs_fail_memory(err, SIZE);
    if (status == HS_OK && text[0]) { /* older records have none */
        status = hs_config_parse(old, s->db, text, strlen(text), NULL, 0, err);
        const hs_config_key *key = status == HS_OK ? changed_key(s, old) : NULL;
        if (key) {
            status = fail_differs(s, old, key, err);
            hs_error_hint(
                err, "the run was trained with the first; experiment.yaml was changed since. Change it back, or choose "
                     "another folder with -o");
        }
    }
    hs_free(old);
    hs_free(text);
    return status;
}

static hs_status record_config(session *s, hs_error *err)
{
    hs_str text = {0};
    hs_config_write(s->config, &text);
    const hs_status status =
        text.failed ? hs_fail_memory(err, text.len) : hs_record_info(s->record, "config", text.s, err);
    hs_str_free(&text);
    return status;
}

static hs_status open_record(session *s, hs_error *err)
{
    HS_TRY(hs_run_check_record(s->db, s->checkpoints, err));
    HS_TRY(hs_record_open(&s->record, s->db, err));
    HS_TRY(check_recorded_config(s, err));
    HS_TRY(record_config(s, err));
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, (uint64_t)s->model.n_weights);
    HS_TRY(hs_record_info(s->record, "version", HS_VERSION, err));
    HS_TRY(hs_record_info(s->record, "task", s->data.task, err));
    HS_TRY(hs_record_info(s->record, "title", s->config->report.title, err));
    HS_TRY(hs_record_info(s->record, "weights", text, err));
    HS_TRY(hs_record_info(s->record, "machine", hs_tensor_description(), err));
    return hs_record_commit(s->record, err);
}

/* A run that has saved and of which nothing can be read is not begun again: that would wipe its record. */
static hs_status check_nothing_lost(session *s, hs_error *err)
{
    char latest[4096];
    HS_TRY(hs_path_join(latest, sizeof latest, s->checkpoints, "latest", err));
    if (!hs_file_exists(latest))
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "none of this run's checkpoints can be read");
    hs_error_where(err, "%s", s->checkpoints);
    return hs_error_hint(err, "bring them back, or remove this folder to train from the beginning");
}

/* Was this checkpoint saved by this run? Records of before version 2 cannot tell. */
static hs_status check_belongs(session *s, uint64_t step, hs_error *err)
{
    hs_checkpoint_row *rows;
    size_t n;
    HS_TRY(hs_record_checkpoints(s->record, &rows, &n, err));
    uint64_t weights = 0, state = 0;
    hs_status status = n ? hs_checkpoint_hashes(s->checkpoints, step, &weights, &state, err) : HS_OK;
    bool same = n == 0 || rows[0].step > step;
    for (size_t i = 0; i < n; i++)
        if (rows[i].step == step)
            same = rows[i].weights == weights && rows[i].state == state;
    hs_free(rows);
    if (status != HS_OK || same)
        return status;
    char name[32];
    hs_checkpoint_name(name, step);
    hs_fail(err, HS_ERR_DATA, "checkpoint %s is not the one that this run recorded", name);
    hs_error_where(err, "%s", s->checkpoints);
    return hs_error_hint(err,
                         "it may be another run's: bring the right one back, or remove it to go on from an older one");
}

static hs_status resume(session *s, hs_experiment_result *result, hs_error *err)
{
    uint64_t step = 0;
    bool found = false;
    hs_error damage;
    HS_TRY(hs_checkpoint_latest(s->checkpoints, &step, &found, &damage, err));
    if (!found)
        HS_TRY(check_nothing_lost(s, err));
    if (found && damage.status != HS_OK)
        hs_event_send(s->events, HS_EVENT_WARNING, "train", "a newer checkpoint is damaged: %s: %s", damage.where,
                      damage.what);
    if (found) {
        HS_TRY(check_belongs(s, step, err));
        HS_TRY(hs_checkpoint_load(s->checkpoints, step, &s->model, s->trainer, &s->seconds_before, err));
        result->resumed = true;
        result->resumed_step = step;
        hs_event_send(s->events, HS_EVENT_INFO, "train", "goes on from step %" PRIu64, step);
    }
    HS_TRY(hs_record_rewind(s->record, step, err));
    if (found)
        HS_TRY(hs_record_event(s->record, step, "resumed", HS_VERSION, err));
    return hs_record_commit(s->record, err);
}

/* ---------------------------------------------------------------- result */

/* The last recorded evaluation of each split: all there is after a stop by a signal. */
static hs_status last_evaluations(session *s, hs_experiment_result *result, hs_error *err)
{
    hs_eval_row *rows;
    size_t n;
    HS_TRY(hs_record_evals(s->record, &rows, &n, err));
    for (size_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < result->n_splits; k++)
            if (strcmp(rows[i].eval.split, result->split[k].eval.split) == 0)
                result->split[k].eval = rows[i].eval;
    hs_free(rows);
    return HS_OK;
}

/* Test splits whole; training splits as sampled as during training, since they can be large. */
static hs_status final_evaluations(session *s, hs_experiment_result *result, hs_error *err)
{
    for (uint32_t i = 0; i < s->data.n_splits; i++) {
        const hs_split *split = &s->data.splits[i];
        uint32_t max = split->role == HS_SPLIT_TEST ? 0 : s->config->train.eval_max;
        hs_eval eval;
        HS_TRY(hs_trainer_evaluate(s->trainer, i, max, &eval, err));
        result->split[i].eval = eval;
    }
    return HS_OK;
}

void hs_experiment_result_free(hs_experiment_result *result)
{
    hs_free(result->split);
    hs_diagnosis_free(&result->diagnosis);
    memset(result, 0, sizeof *result);
}

/* ---------------------------------------------------------------- the whole way */

/* A failure; where the folder is gone the error says where everything is now, or that it could not be written anywhere.
 */
static hs_status fail_training(session *s, hs_status status, hs_error *err)
{
    hs_train_result *trained = &s->result->train;
    hs_training_close(s->training, trained);
    s->training = NULL;
    if (!trained->folder_lost)
        return status;
    char folder[4096];
    hs_error why = {0};
    if (hs_run_rescue(s->options->run_dir, s->config, &s->data, s->record, s->trainer, trained->seconds, folder,
                      sizeof folder, &why) == HS_OK)
        hs_error_hint(err, "everything until step %" PRIu64 " is in %s; go on with: hopscope run %s",
                      hs_trainer_step_count(s->trainer), folder, folder);
    else
        hs_error_hint(err, "and it cannot be written elsewhere: %s: %s", why.where, why.what);
    return status;
}

/* Training with the caller's probes and, where the configuration names methods, the microscope behind them. */
static hs_status begin_training(session *s, hs_error *err)
{
    const hs_interpret_config *interpret = &s->config->interpret;
    const uint32_t n = s->options->n_probes;
    s->job = (hs_interpret_job){.config = interpret};
    s->probes = hs_calloc(n + 1, sizeof *s->probes);
    if (!s->probes)
        return hs_fail_memory(err, (n + 1) * sizeof *s->probes);
    for (uint32_t i = 0; i < n; i++)
        s->probes[i] = s->options->probes[i];
    if (interpret->methods[0]) {
        HS_TRY(hs_interpret_check(&s->model, &s->data, interpret, err));
        HS_TRY(hs_scope_create(&s->job.scope, &s->data, err));
    }
    s->probes[n] = hs_interpret_probe(&s->job);
    return hs_training_open(&s->training, s->trainer, s->record, s->checkpoints, s->seconds_before, s->probes,
                            n + (s->job.scope != NULL), s->signals, s->events, err);
}

static hs_status open(session *s, hs_error *err)
{
    HS_TRY(hs_config_check(s->config, err));
    if (s->config->note[0])
        hs_event_send(s->events, HS_EVENT_INFO, "config", "%s", s->config->note);
    HS_TRY(hs_tensor_open(err));
    HS_TRY(make_paths(s, err));
    if (!s->options->dry_run)
        HS_TRY(hs_run_lock_take(&s->lock, s->options->run_dir, err));
    const hs_ranks *ranks = s->options->ranks;
    s->pool = hs_pool_create(s->config->train.threads || !ranks ? s->config->train.threads : ranks->threads);
    if (!s->pool)
        return hs_fail(err, HS_ERR_MEMORY, "worker threads cannot be started");
    bool started;
    HS_TRY(settle(s, &started, err));
    HS_TRY(hs_run_make_splits(s->config, &s->data, s->result, err));
    check_stop_split(s);
    HS_TRY(make_model(s, started, s->events, err));
    s->wrote = true;
    if (!started && !s->options->dry_run)
        HS_TRY(write_start(s, err));
    if (!s->options->dry_run)
        HS_TRY(hs_run_share(s->trainer, s->options->run_dir, s->options->ranks, s->events, err));
    HS_TRY(measure_cost(s, &s->result->cost, err));
    if (s->options->dry_run)
        return HS_OK;
    HS_TRY(open_record(s, err));
    HS_TRY(resume(s, s->result, err));
    if (hs_signals_status(s->signals) != HS_OK) { /* came while the dataset was built: nothing to save */
        s->result->train.reason = HS_STOP_SIGNAL;
        return hs_signals_status(s->signals);
    }
    return begin_training(s, err);
}

hs_status hs_session_open(hs_session **out, const hs_config *config, const hs_experiment_options *options,
                          hs_signals *signals, const hs_events *events, hs_experiment_result *result, hs_error *err)
{
    session *s = hs_calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return hs_fail_memory(err, sizeof *s);
    *s = (session){.config = config,
                   .options = options,
                   .signals = signals,
                   .events = events,
                   .result = result,
                   .lock = {.fd = -1}};
    const hs_status status = open(s, err);
    const bool busy = s->lock.busy;
    if (status == HS_OK) {
        *out = s;
        return HS_OK;
    }
    if (!s->wrote)
        hs_run_lock_give_up(&s->lock, options->run_dir);
    session_free(s);
    hs_free(s);
    if (!hs_status_stopped(status))
        hs_experiment_result_free(result);
    result->in_use = busy;
    return status;
}

hs_status hs_session_step(hs_session *s, hs_step_stats *stats, bool *ended, hs_error *err)
{
    const hs_status status = hs_training_step(s->training, stats, ended, err);
    return status == HS_OK ? HS_OK : fail_training(s, status, err);
}

/* What is said of the model at the end. */
static hs_status judge(session *s, hs_error *err)
{
    HS_TRY(final_evaluations(s, s->result, err));
    hs_model view = s->model; /* with the weights that were evaluated */
    view.param = (float *)(uintptr_t)hs_trainer_eval_param(s->trainer);
    HS_TRY(hs_run_diagnose(&view, &s->data, s->pool, &s->result->diagnosis, err));
    return hs_model_verdict(&view, &s->data, s->pool, s->signals, &s->result->verdict, err);
}

hs_status hs_session_finish(hs_session *s, hs_error *err)
{
    hs_status status = hs_training_finish(s->training, err);
    if (status != HS_OK && !hs_status_stopped(status))
        return fail_training(s, status, err);
    hs_training_close(s->training, &s->result->train);
    s->training = NULL;
    const bool whole = s->result->train.reason != HS_STOP_SIGNAL;
    if (status == HS_OK && whole)
        status = judge(s, err);
    hs_error ignored;
    if (hs_status_stopped(status) || !whole)
        (void)last_evaluations(s, s->result, &ignored);
    return status;
}

hs_trainer *hs_session_trainer(hs_session *s)
{
    return s->trainer;
}

void hs_session_close(hs_session *s)
{
    if (!s)
        return;
    session_free(s);
    hs_free(s);
}

hs_status hs_experiment_run(const hs_config *config, const hs_experiment_options *options, hs_signals *signals,
                            const hs_events *events, hs_experiment_result *result, hs_error *err)
{
    hs_session *s;
    bool ended = options->dry_run;
    HS_TRY(hs_session_open(&s, config, options, signals, events, result, err));
    hs_status status = HS_OK;
    while (status == HS_OK && !ended)
        status = hs_session_step(s, NULL, &ended, err);
    if (status == HS_OK && !options->dry_run)
        status = hs_session_finish(s, err);
    hs_session_close(s);
    if (status != HS_OK && !hs_status_stopped(status))
        hs_experiment_result_free(result);
    return status;
}
