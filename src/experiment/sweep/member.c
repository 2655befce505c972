/* member.c - one member of a sweep: where it is, what its record says, training it.
 *
 * Invariants: a member is finished when its record says how it ended (which is written after the last checkpoint) and
 * that is still the end by the plan's budget and stop rule; a finished member's folder is not written to. */
#include "experiment/sweep/sweep.h"

#include <math.h>
#include <string.h>

uint32_t hs_sweep_size(const hs_sweep *sweep)
{
    return sweep->n_arms * sweep->n_seeds;
}

void hs_sweep_name(const hs_sweep *sweep, uint32_t member, char out[160])
{
    snprintf(out, 160, "%s/seed-%llu", sweep->arm[member % sweep->n_arms].name,
             (unsigned long long)sweep->seed[member / sweep->n_arms]);
}

hs_status hs_sweep_dir(const hs_sweep *sweep, uint32_t member, char *out, size_t size, hs_error *err)
{
    char name[160];
    hs_sweep_name(sweep, member, name);
    return hs_path_join(out, size, sweep->dir, name, err);
}

void hs_sweep_share(hs_sweep *sweep, uint32_t threads)
{
    for (uint32_t a = 0; a < sweep->n_arms; a++)
        if (sweep->arm[a].config.train.threads == 0)
            sweep->arm[a].config.train.threads = threads;
}

uint32_t hs_sweep_jobs(const hs_sweep *sweep, uint32_t cores)
{
    uint32_t threads = 1;
    for (uint32_t a = 0; a < sweep->n_arms; a++)
        if (sweep->arm[a].config.train.threads > threads)
            threads = sweep->arm[a].config.train.threads;
    const uint32_t jobs = cores / threads ? cores / threads : 1;
    return jobs < hs_sweep_size(sweep) ? jobs : hs_sweep_size(sweep);
}

void hs_sweep_config(const hs_sweep *sweep, uint32_t member, hs_config *out)
{
    const hs_sweep_arm *arm = &sweep->arm[member % sweep->n_arms];
    const uint64_t seed = sweep->seed[member / sweep->n_arms];
    *out = arm->config;
    if (!arm->own_seed[0])
        out->data.seed = seed;
    if (!arm->own_seed[1])
        out->train.seed = seed;
    if (!arm->own_seed[2])
        out->augment.seed = seed;
    (void)hs_sweep_fill(out, sweep->dir, seed, NULL); /* it fits: hs_sweep_read has tried */
}

/* ---------------------------------------------------------------- its record */

hs_status hs_member_open(hs_member_record *out, const char *run_dir, hs_error *err)
{
    char path[4096];
    *out = (hs_member_record){0};
    HS_TRY(hs_path_join(path, sizeof path, run_dir, "run.db", err));
    if (!hs_file_exists(path))
        return HS_OK;
    hs_status status = hs_record_open_read(&out->record, path, err);
    if (status == HS_OK)
        status = hs_record_evals(out->record, &out->eval, &out->n_evals, err);
    if (status == HS_OK)
        status = hs_record_metrics(out->record, "cpu_seconds", &out->cpu, &out->n_cpu, err);
    if (status == HS_OK)
        status = hs_record_ended_by(out->record, &out->ended_by, err);
    if (status != HS_OK)
        hs_member_close(out);
    return status;
}

void hs_member_close(hs_member_record *m)
{
    hs_record_close(m->record);
    hs_free(m->eval);
    hs_free(m->cpu);
    *m = (hs_member_record){0};
}

static double cpu_at(const hs_member_record *m, uint64_t step)
{
    for (size_t i = m->n_cpu; i-- > 0;)
        if (m->cpu[i].step == step)
            return m->cpu[i].value;
    return (double)NAN;
}

/* Did the evaluations meet the plan's stop rule at any time? */
static bool rule_met(const hs_member_record *m, const hs_train_config *c)
{
    uint32_t good = 0;
    for (size_t i = 0; c->stop_split[0] && i < m->n_evals; i++) {
        if (strcmp(m->eval[i].eval.split, c->stop_split) != 0)
            continue;
        good = m->eval[i].eval.accuracy >= c->stop_accuracy ? good + 1 : 0;
        if (good >= c->stop_patience)
            return true;
    }
    return false;
}

/* Is the run that is there the plan's? */
static hs_status compare(const char *run_dir, const hs_config *config, hs_member *out, hs_error *err)
{
    char path[4096];
    HS_TRY(hs_path_join(path, sizeof path, run_dir, "experiment.yaml", err));
    if (!hs_file_exists(path))
        return HS_OK;
    hs_config *old = hs_alloc(sizeof *old);
    if (!old)
        return hs_fail_memory(err, sizeof *old);
    hs_status status = hs_config_read(old, path, NULL, 0, err);
    const hs_config_key *key = NULL;
    if (status == HS_OK)
        while ((key = hs_config_diff(old, config, true)) && hs_config_same_file(old, config, key))
            memcpy((char *)old + key->setting.offset, (const char *)config + key->setting.offset, key->setting.size);
    if (key)
        snprintf(out->problem, sizeof out->problem, "holds a run with another %s", key->key);
    hs_free(old);
    return status;
}

static hs_status judge(const hs_member_record *m, const hs_config *config, const char *run_dir, hs_member *out,
                       hs_error *err)
{
    const hs_train_config *c = &config->train;
    *out = (hs_member){.seconds = (double)NAN, .cpu_seconds = (double)NAN, .ended_by = m->ended_by};
    if (!m->record)
        return HS_OK;
    out->started = m->n_evals > 0 || m->ended_by == HS_STOP_NAN;
    if (m->n_evals > 0) {
        const hs_eval_row *last = &m->eval[m->n_evals - 1];
        out->steps = last->step;
        out->seconds = last->seconds;
        out->cpu_seconds = cpu_at(m, last->step);
    }
    const bool ended = m->ended_by == HS_STOP_RULE || m->ended_by == HS_STOP_BUDGET;
    out->finished =
        m->ended_by == HS_STOP_NAN ||
        (ended && (rule_met(m, c) || out->steps >= c->steps || (c->max_seconds > 0 && out->seconds >= c->max_seconds)));
    HS_TRY(compare(run_dir, config, out, err));
    if (out->problem[0])
        out->started = out->finished = false;
    return HS_OK;
}

hs_status hs_member_read(const hs_sweep *sweep, uint32_t member, hs_member_record *record, hs_member *out,
                         hs_error *err)
{
    char dir[4096];
    *record = (hs_member_record){0};
    HS_TRY(hs_sweep_dir(sweep, member, dir, sizeof dir, err));
    hs_config *config = hs_alloc(sizeof *config);
    if (!config)
        return hs_fail_memory(err, sizeof *config);
    hs_error why = {0};
    hs_sweep_config(sweep, member, config);
    hs_status status = hs_member_open(record, dir, &why);
    if (status == HS_OK)
        status = judge(record, config, dir, out, &why);
    hs_free(config);
    if (status == HS_ERR_DATA || status == HS_ERR_IO) { /* one bad folder is that member's matter */
        *out = (hs_member){.seconds = (double)NAN, .cpu_seconds = (double)NAN};
        snprintf(out->problem, sizeof out->problem, "%.120s", why.what);
        status = HS_OK;
    } else if (status != HS_OK && err) {
        *err = why;
    }
    if (status != HS_OK || out->problem[0])
        hs_member_close(record);
    return status;
}

hs_status hs_sweep_look(const hs_sweep *sweep, uint32_t member, hs_member *out, hs_error *err)
{
    hs_member_record record;
    const hs_status status = hs_member_read(sweep, member, &record, out, err);
    hs_member_close(&record);
    return status;
}

/* ---------------------------------------------------------------- curves */

static double axis_at(const hs_member_record *m, hs_sweep_axis axis, uint64_t step, double seconds)
{
    return axis == HS_AXIS_STEPS ? (double)step : axis == HS_AXIS_SECONDS ? seconds : cpu_at(m, step);
}

/* Seconds at the last evaluation that is not after `step`. */
static double seconds_at(const hs_member_record *m, uint64_t step)
{
    double seconds = (double)NAN;
    for (size_t i = 0; i < m->n_evals && m->eval[i].step <= step; i++)
        seconds = m->eval[i].seconds;
    return seconds;
}

/* x and y of n points. */
static hs_status allocate(size_t n, double **x, double **y, hs_error *err)
{
    *x = hs_alloc((2 * n + 1) * sizeof **x);
    *y = *x ? *x + n : NULL;
    return *x ? HS_OK : hs_fail_memory(err, 2 * n * sizeof **x);
}

static hs_status eval_curve(const hs_member_record *m, const hs_sweep_column *c, double **x, double **y, size_t *n,
                            hs_error *err)
{
    HS_TRY(allocate(m->n_evals, x, y, err));
    for (size_t i = 0; i < m->n_evals; i++) {
        const hs_eval_row *e = &m->eval[i];
        if (strcmp(e->eval.split, c->split) != 0)
            continue;
        (*x)[*n] = axis_at(m, c->axis, e->step, e->seconds);
        (*y)[(*n)++] = c->source == HS_SWEEP_LOSS ? e->eval.loss : e->eval.accuracy;
    }
    return HS_OK;
}

static hs_status metric_curve(const hs_member_record *m, const hs_sweep_column *c, double **x, double **y, size_t *n,
                              hs_error *err)
{
    hs_metric_row *rows;
    size_t n_rows;
    HS_TRY(hs_record_metrics(m->record, c->name, &rows, &n_rows, err));
    const hs_status status = allocate(n_rows, x, y, err);
    for (size_t i = 0; status == HS_OK && i < n_rows; i++) {
        (*x)[*n] = axis_at(m, c->axis, rows[i].step, seconds_at(m, rows[i].step));
        (*y)[(*n)++] = rows[i].value;
    }
    hs_free(rows);
    return status;
}

static bool row_fits(const hs_sweep_column *c, const hs_probe_row *r)
{
    return (c->stage == HS_SWEEP_ANY_STAGE || c->stage == r->stage) &&
           (!c->position[0] || strcmp(c->position, r->position) == 0) && isfinite(r->value);
}

/* At each step the largest value of the rows that fit. */
static hs_status probe_curve(const hs_member_record *m, const hs_sweep_column *c, double **x, double **y, size_t *n,
                             hs_error *err)
{
    const hs_probe_filter filter = {.method = c->name,
                                    .split = c->split[0] ? c->split : NULL,
                                    .role = c->role[0] ? c->role : NULL,
                                    .measure = c->measure};
    hs_probe_row *rows;
    size_t n_rows;
    HS_TRY(hs_record_probes(m->record, &filter, &rows, &n_rows, err));
    const hs_status status = allocate(n_rows, x, y, err);
    uint64_t step = 0;
    for (size_t i = 0; status == HS_OK && i < n_rows; i++) {
        if (!row_fits(c, &rows[i]))
            continue;
        if (*n == 0 || rows[i].step != step) {
            step = rows[i].step;
            (*x)[*n] = axis_at(m, c->axis, step, seconds_at(m, step));
            (*y)[(*n)++] = rows[i].value;
        }
        (*y)[*n - 1] = fmax((*y)[*n - 1], rows[i].value);
    }
    hs_free(rows);
    return status;
}

hs_status hs_member_curve(const hs_member_record *m, const hs_sweep_column *c, double **x, double **y, size_t *n,
                          hs_error *err)
{
    *x = *y = NULL;
    *n = 0;
    if (!m->record)
        return HS_OK;
    switch (c->source) {
    case HS_SWEEP_ACCURACY:
    case HS_SWEEP_LOSS:
        return eval_curve(m, c, x, y, n, err);
    case HS_SWEEP_METRIC:
        return metric_curve(m, c, x, y, n, err);
    case HS_SWEEP_PROBE:
        return probe_curve(m, c, x, y, n, err);
    case HS_SWEEP_SHORTCUT:
    case HS_SWEEP_MAJORITY:
    case HS_SWEEP_POOLED:
    case HS_SWEEP_STEPS:
    case HS_SWEEP_SECONDS:
    case HS_SWEEP_CPU:
    case HS_SWEEP_STEP_TIME:
        break;
    }
    return HS_OK;
}

hs_status hs_sweep_curve(const hs_sweep *sweep, uint32_t member, const hs_sweep_column *column, double **x, double **y,
                         size_t *n, hs_error *err)
{
    char dir[4096];
    hs_member_record record;
    HS_TRY(hs_sweep_dir(sweep, member, dir, sizeof dir, err));
    HS_TRY(hs_member_open(&record, dir, err));
    const hs_status status = hs_member_curve(&record, column, x, y, n, err);
    hs_member_close(&record);
    return status;
}

/* ---------------------------------------------------------------- training */

hs_status hs_sweep_train(const hs_sweep *sweep, uint32_t member, hs_signals *signals, const hs_events *events,
                         hs_experiment_result *result, hs_error *err)
{
    char dir[4096], name[160];
    hs_member now;
    hs_sweep_name(sweep, member, name);
    HS_TRY(hs_sweep_dir(sweep, member, dir, sizeof dir, err));
    HS_TRY(hs_sweep_look(sweep, member, &now, err));
    if (now.finished)
        return HS_OK;
    hs_config *config = hs_alloc(sizeof *config);
    if (!config)
        return hs_fail_memory(err, sizeof *config);
    hs_sweep_config(sweep, member, config);
    const hs_experiment_options options = {.run_dir = dir, .no_estimate = true};
    hs_error local = {0};
    hs_event_send(events, HS_EVENT_INFO, "sweep", "%s: %s", name, dir);
    hs_status status = hs_experiment_run(config, &options, signals, events, result, &local);
    if (status == HS_ERR_DIVERGED) { /* that is a result of this arm; any other failure is not */
        hs_event_send(events, HS_EVENT_WARNING, "sweep", "%s: %s", name, local.what);
        status = HS_OK;
    } else if (status != HS_OK && err) {
        *err = local;
    }
    hs_free(config);
    return status;
}
