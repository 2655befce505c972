/* verify.c - is a run what its record says? The chain of its evaluations, its checkpoints, and a stretch trained again.
 *
 * Invariant: nothing of the run is written; the replay has its own model, trainer and threads. A difference is a result, not
 * an error, and does not end the search: the first of each kind is found, and the first of all is told. */
#include "experiment/internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { N_METRICS = 4 };
static const char *const metric_names[N_METRICS] = {"loss", "batch_accuracy", "grad_norm", "lr"};

/* What run.db says. */
typedef struct history {
    hs_weights_row *hash;
    hs_metric_row *attempt; /* steps at which a rollback began another attempt */
    hs_metric_row *metric[N_METRICS];
    hs_checkpoint_row *checkpoint;
    hs_eval_row *eval; /* by step */
    size_t n_hashes, n_attempts, n_metrics[N_METRICS], n_checkpoints, n_evals;
    uint64_t chain; /* the end of the chain */
    bool has_chain;
} history;

typedef struct verifier {
    hs_run *run;
    history h;
    hs_pool *pool;
    hs_trainer *trainer;
    hs_verify_result *out;
} verifier;

static void history_free(history *h)
{
    hs_free(h->hash);
    hs_free(h->attempt);
    for (int i = 0; i < N_METRICS; i++)
        hs_free(h->metric[i]);
    hs_free(h->checkpoint);
    hs_free(h->eval);
}

static hs_status read_rows(hs_record *record, history *h, hs_error *err)
{
    char chain[32];
    HS_TRY(hs_record_weights_rows(record, &h->hash, &h->n_hashes, err));
    HS_TRY(hs_record_metrics(record, "attempt", &h->attempt, &h->n_attempts, err));
    for (int i = 0; i < N_METRICS; i++)
        HS_TRY(hs_record_metrics(record, metric_names[i], &h->metric[i], &h->n_metrics[i], err));
    HS_TRY(hs_record_checkpoints(record, &h->checkpoint, &h->n_checkpoints, err));
    HS_TRY(hs_record_evals(record, &h->eval, &h->n_evals, err));
    HS_TRY(hs_record_get_info(record, "chain", chain, sizeof chain, err));
    h->has_chain = sscanf(chain, "%" SCNx64, &h->chain) == 1;
    return HS_OK;
}

static hs_status read_history(const hs_run *run, history *h, hs_error *err)
{
    char path[4096];
    hs_record *record = NULL;
    HS_TRY(hs_path_join(path, sizeof path, run->dir, "run.db", err));
    HS_TRY(hs_record_open_read(&record, path, err));
    const hs_status status = read_rows(record, h, err);
    hs_record_close(record);
    return status;
}

__attribute__((format(printf, 3, 4))) static void differs(hs_verify_result *out, uint64_t step, const char *fmt, ...)
{
    if (!out->same)
        return;
    out->same = false;
    out->difference_step = step;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out->difference, sizeof out->difference, fmt, ap);
    va_end(ap);
}

/* Equal as recorded: what is not finite was written as nothing. */
static bool equal(double a, double b)
{
    return a == b || (!isfinite(a) && !isfinite(b));
}

/* ---------------------------------------------------------------- the chain */

static const hs_metric_row *metric_at(const history *h, int which, uint64_t step)
{
    for (size_t i = 0; i < h->n_metrics[which]; i++)
        if (h->metric[which][i].step == step)
            return &h->metric[which][i];
    return NULL;
}

/* The metrics of a step; false if none were recorded. One that is missing beside others is NaN, as no step has it. */
static bool stats_at(const history *h, uint64_t step, hs_step_stats *stats)
{
    double *const to[N_METRICS] = {&stats->loss, &stats->accuracy, &stats->grad_norm, &stats->lr};
    bool any = false;
    for (int i = 0; i < N_METRICS; i++) {
        const hs_metric_row *row = metric_at(h, i, step);
        *to[i] = row ? row->value : (double)NAN;
        any |= row != NULL;
    }
    return any;
}

/* The evaluations of a step are neighbours: their first, and how many. */
static uint32_t evals_at(const history *h, uint64_t step, size_t *first)
{
    uint32_t n = 0;
    for (size_t i = 0; i < h->n_evals && h->eval[i].step <= step; i++)
        if (h->eval[i].step == step && n++ == 0)
            *first = i;
    return n;
}

static hs_status link_at(const history *h, const hs_weights_row *row, uint64_t previous, uint64_t *link, hs_error *err)
{
    size_t first = 0;
    const uint32_t n = evals_at(h, row->step, &first);
    hs_step_stats stats = {0};
    const bool has_stats = stats_at(h, row->step, &stats);
    hs_eval *eval = hs_alloc((n ? n : 1) * sizeof *eval);
    if (!eval)
        return hs_fail_memory(err, n * sizeof *eval);
    for (uint32_t i = 0; i < n; i++)
        eval[i] = h->eval[first + i].eval;
    *link = hs_chain_link(previous, row->step, row->hash, n, eval, has_stats ? &stats : NULL);
    hs_free(eval);
    return HS_OK;
}

static hs_status check_chain(const verifier *v, hs_error *err)
{
    const history *h = &v->h;
    uint64_t previous = 0;
    for (size_t i = 0; i < h->n_hashes; i++) {
        const hs_weights_row *row = &h->hash[i];
        if (!row->linked) {
            v->out->unlinked++;
            previous = 0;
            if (v->out->links)
                differs(v->out, row->step, "step %" PRIu64 ": this evaluation has no link to those before it",
                        row->step);
            continue;
        }
        uint64_t link;
        HS_TRY(link_at(h, row, previous, &link, err));
        if (link != row->chain)
            differs(v->out, row->step,
                    "step %" PRIu64
                    ": the record was changed: weights' hash, evaluations and metrics of this step are not those "
                    "that its link covers, or evaluations before it are missing",
                    row->step);
        previous = row->chain;
        v->out->links++;
    }
    if (h->has_chain && h->chain != previous)
        differs(v->out, h->n_hashes ? h->hash[h->n_hashes - 1].step : 0,
                "the record was cut: the last evaluations are missing");
    for (size_t i = 0; i < h->n_evals && v->out->links; i++)
        if (h->n_hashes == 0 || h->eval[i].step > h->hash[h->n_hashes - 1].step)
            differs(v->out, h->eval[i].step, "step %" PRIu64 ": an evaluation without the hash of its weights",
                    h->eval[i].step);
    return HS_OK;
}

/* ---------------------------------------------------------------- checkpoints */

/* A checkpoint that the record does not know: of another run, unless it was saved before records knew any. */
static void check_unknown(const verifier *v, const char *name, uint64_t step, uint64_t weights)
{
    const history *h = &v->h;
    bool known_then = h->n_checkpoints > 0 && h->checkpoint[0].step <= step;
    for (size_t i = 0; i < h->n_hashes; i++) {
        known_then |= h->hash[i].linked && h->hash[i].step <= step;
        if (h->hash[i].step == step && h->hash[i].hash != weights)
            differs(v->out, step, "%s: not the weights that this run had then", name);
    }
    if (known_then)
        differs(v->out, step, "%s: this run did not save it", name);
    v->out->unrecorded++;
}

static hs_status check_checkpoint(const verifier *v, const char *dir, uint64_t step, hs_error *err)
{
    uint64_t weights, state;
    char name[32];
    hs_error why = {0};
    hs_checkpoint_name(name, step);
    const hs_status status = hs_checkpoint_hashes(dir, step, &weights, &state, &why);
    if (status == HS_ERR_DATA) {
        differs(v->out, step, "%s: %s", name, why.what);
        return HS_OK;
    }
    if (status != HS_OK) {
        if (err)
            *err = why;
        return status;
    }
    for (size_t i = 0; i < v->h.n_checkpoints; i++) {
        const hs_checkpoint_row *row = &v->h.checkpoint[i];
        if (row->step != step)
            continue;
        v->out->checkpoints++;
        if (row->weights != weights || row->state != state)
            differs(v->out, step, "%s: %s not what this run saved", name,
                    row->weights != weights ? "these weights are" : "this optimizer state is");
        return HS_OK;
    }
    check_unknown(v, name, step, weights);
    return HS_OK;
}

static hs_status check_checkpoints(const verifier *v, hs_error *err)
{
    char dir[4096];
    uint64_t *steps;
    size_t n;
    HS_TRY(hs_path_join(dir, sizeof dir, v->run->dir, "checkpoints", err));
    HS_TRY(hs_checkpoint_steps(dir, &steps, &n, err));
    hs_status status = HS_OK;
    for (size_t i = 0; i < n && status == HS_OK; i++)
        status = check_checkpoint(v, dir, steps[i], err);
    hs_free(steps);
    return status;
}

/* ---------------------------------------------------------------- the replay */

/* The attempt under which the run took its next step from here. */
static void follow_attempts(const history *h, hs_trainer *trainer)
{
    for (size_t i = 0; i < h->n_attempts; i++)
        if (h->attempt[i].step == hs_trainer_step_count(trainer))
            hs_trainer_set_attempt(trainer, (uint32_t)h->attempt[i].value);
}

static void compare_metrics(const verifier *v, uint64_t step, const hs_step_stats *stats)
{
    const double now[N_METRICS] = {stats->loss, stats->accuracy, stats->grad_norm, stats->lr};
    for (int i = 0; i < N_METRICS; i++) {
        const hs_metric_row *row = metric_at(&v->h, i, step);
        if (!row)
            continue;
        v->out->metrics++;
        if (!equal(row->value, now[i]))
            differs(v->out, step, "step %" PRIu64 ": %s is recorded as %.9g, replayed it is %.9g", step,
                    metric_names[i], row->value, now[i]);
    }
}

static const hs_split *find_split(const hs_dataset *data, const char *name)
{
    for (uint32_t i = 0; i < data->n_splits; i++)
        if (strcmp(data->splits[i].name, name) == 0)
            return &data->splits[i];
    return NULL;
}

static hs_status compare_evaluations(const verifier *v, uint64_t step, hs_error *err)
{
    size_t first = 0;
    const uint32_t n = evals_at(&v->h, step, &first);
    for (uint32_t i = 0; i < n; i++) {
        const hs_eval *was = &v->h.eval[first + i].eval;
        const hs_split *split = find_split(&v->run->data, was->split);
        hs_eval is;
        v->out->evaluations++;
        if (!split || was->n > split->n) {
            differs(v->out, step, "step %" PRIu64 ": an evaluation of %s that the dataset cannot have given", step,
                    was->split);
            continue;
        }
        HS_TRY(hs_evaluate(&v->run->model, hs_trainer_eval_param(v->trainer), &v->run->data, split,
                           was->n < split->n ? (uint32_t)was->n : 0, v->pool, &is, err));
        if (!equal(is.accuracy, was->accuracy) || !equal(is.loss, was->loss))
            differs(v->out, step,
                    "step %" PRIu64 ": %s is recorded with accuracy %.6g and loss %.9g, replayed it has %.6g and %.9g",
                    step, was->split, was->accuracy, was->loss, is.accuracy, is.loss);
    }
    return HS_OK;
}

static hs_status replay(const verifier *v, uint64_t steps, hs_error *err)
{
    hs_verify_result *out = v->out;
    hs_trainer *trainer = v->trainer;
    const hs_weights_row *rows = v->h.hash;
    out->from = hs_trainer_step_count(trainer);
    bool same = true;
    for (size_t i = 0; i < v->h.n_hashes && same; i++) {
        if (rows[i].step <= out->from || rows[i].step - out->from > steps)
            continue;
        hs_step_stats stats = {0};
        while (hs_trainer_step_count(trainer) < rows[i].step) {
            follow_attempts(&v->h, trainer);
            HS_TRY(hs_trainer_step(trainer, &stats, err));
        }
        out->to = rows[i].step;
        out->recorded = rows[i].hash;
        out->replayed = hs_model_hash(&v->run->model);
        out->compared++;
        same = out->recorded == out->replayed;
        if (!same)
            differs(out, out->to,
                    "step %" PRIu64 ": weights %016" PRIx64 " are recorded, replayed they are %016" PRIx64
                    " (another program, BLAS or type of processor than the run's?)",
                    out->to, out->recorded, out->replayed);
        compare_metrics(v, out->to, &stats);
        HS_TRY(compare_evaluations(v, out->to, err));
    }
    if (out->compared == 0 && out->same) {
        hs_fail(err, HS_ERR_DATA, "the run recorded no weights between steps %" PRIu64 " and %" PRIu64, out->from,
                out->from + steps);
        return hs_error_hint(err, "replay more steps with --steps");
    }
    return HS_OK;
}

/* Model and trainer as they were at `from`. */
static hs_status set_up_replay(verifier *v, uint64_t from, hs_error *err)
{
    hs_run *run = v->run;
    char path[4096];
    double seconds;
    HS_TRY(hs_path_join(path, sizeof path, run->dir, "checkpoints", err));
    if (from > 0) {
        char weights[4096];
        HS_TRY(hs_checkpoint_path(weights, sizeof weights, path, from, HS_CHECKPOINT_WEIGHTS, err));
        HS_TRY(hs_model_load(&run->model, weights, err));
    } else {
        HS_TRY(hs_run_initial_model(run->dir, &run->config, &run->data, &run->model, NULL,
                                    err)); /* the weights as they were drawn */
    }
    HS_TRY(hs_trainer_create(&v->trainer, &run->model, &run->data, &run->config.train, v->pool, err));
    return from > 0 ? hs_checkpoint_load(path, from, &run->model, v->trainer, &seconds, err) : HS_OK;
}

static hs_status verify(verifier *v, uint64_t from, uint64_t steps, hs_error *err)
{
    HS_TRY(read_history(v->run, &v->h, err));
    if (v->h.n_hashes)
        v->out->last = v->h.hash[v->h.n_hashes - 1].step;
    HS_TRY(check_chain(v, err));
    HS_TRY(check_checkpoints(v, err));
    HS_TRY(set_up_replay(v, from, err));
    return replay(v, steps, err);
}

hs_status hs_run_verify(const char *run_dir, uint64_t from, uint64_t steps, uint32_t threads, hs_verify_result *out,
                        hs_error *err)
{
    *out = (hs_verify_result){.same = true};
    verifier v = {.run = hs_calloc(1, sizeof(hs_run)), .out = out};
    if (!v.run)
        return hs_fail_memory(err, sizeof *v.run);
    hs_status status = hs_run_open_data(v.run, run_dir, err);
    if (status == HS_OK) {
        v.pool = hs_pool_create(threads);
        status = v.pool ? verify(&v, from, steps, err) : hs_fail_memory(err, 0);
        hs_trainer_free(v.trainer);
        hs_pool_free(v.pool);
        history_free(&v.h);
        hs_run_close(v.run);
    }
    hs_free(v.run);
    return status;
}
