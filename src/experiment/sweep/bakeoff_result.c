/* bakeoff_result.c - what became of a bakeoff: from the runs' records to a table, JSON, CSV and a figure.
 *
 * Invariant: a run that never met the stop rule enters every time as "longer than", never as a number and never not at
 * all; a run that diverged will never meet it and counts as longer than the longest run of its bakeoff. */
#include "experiment/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- one run */

static double metric_at(const hs_metric_row *rows, size_t n, uint64_t step)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].step == step)
            return rows[i].value;
    return (double)NAN;
}

static void judge(const hs_config *config, const hs_eval_row *rows, size_t n, const hs_metric_row *cpu, size_t n_cpu,
                  hs_bakeoff_run *out)
{
    const hs_train_config *c = &config->train;
    const hs_eval_row *last = NULL, *first_good = NULL;
    uint32_t good = 0;
    bool rule = false;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].eval.split, c->stop_split) != 0)
            continue;
        last = &rows[i];
        good = rows[i].eval.accuracy >= c->stop_accuracy ? good + 1 : 0;
        rule |= good >= c->stop_patience;
        if (good && !first_good)
            first_good = &rows[i];
    }
    out->started = last != NULL || out->ended_by == HS_STOP_NAN;
    if (!last)
        return;
    const hs_eval_row *at = first_good ? first_good : last;
    out->grokked = first_good != NULL;
    out->steps = at->step;
    out->seconds = at->seconds;
    out->cpu_seconds = metric_at(cpu, n_cpu, at->step);
    out->accuracy = last->eval.accuracy;
    out->step_cpu = last->step ? metric_at(cpu, n_cpu, last->step) / (double)last->step : (double)NAN;
    out->finished |= rule || last->step >= c->steps || (c->max_seconds > 0 && last->seconds >= c->max_seconds);
}

hs_status hs_bakeoff_read_run(const hs_config *config, const char *run_dir, hs_bakeoff_run *out, hs_error *err)
{
    char path[4096];
    *out = (hs_bakeoff_run){
        .seconds = (double)NAN, .cpu_seconds = (double)NAN, .accuracy = (double)NAN, .step_cpu = (double)NAN};
    HS_TRY(hs_path_join(path, sizeof path, run_dir, "run.db", err));
    if (!hs_file_exists(path))
        return HS_OK;
    hs_record *record;
    hs_eval_row *rows = NULL;
    hs_metric_row *cpu = NULL;
    size_t n = 0, n_cpu = 0;
    HS_TRY(hs_record_open_read(&record, path, err));
    hs_status status = hs_record_evals(record, &rows, &n, err);
    if (status == HS_OK)
        status = hs_record_metrics(record, "cpu_seconds", &cpu, &n_cpu, err);
    if (status == HS_OK)
        status = hs_record_ended_by(record, &out->ended_by, err);
    hs_record_close(record);
    if (status == HS_OK) {
        out->finished = out->ended_by == HS_STOP_NAN;
        judge(config, rows, n, cpu, n_cpu, out);
    }
    hs_free(rows);
    hs_free(cpu);
    return status;
}

/* ---------------------------------------------------------------- summaries */

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Median of the finite values; sorts them. NaN without any. */
static double median_of(double *values, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (isfinite(values[i]))
            values[kept++] = values[i];
    if (kept == 0)
        return (double)NAN;
    qsort(values, kept, sizeof *values, ascending);
    return kept % 2 ? values[kept / 2] : 0.5 * (values[kept / 2 - 1] + values[kept / 2]);
}

static double time_of(const hs_bakeoff_run *run, int axis)
{
    return axis == 0 ? (double)run->steps : axis == 1 ? run->seconds : run->cpu_seconds;
}

static bool diverged(const hs_bakeoff_run *run)
{
    return !run->grokked && run->ended_by == HS_STOP_NAN;
}

static hs_status summarize_arm(const hs_bakeoff *b, const hs_bakeoff_run *runs, const double longest[3],
                               hs_bakeoff_summary *out, hs_error *err)
{
    double *value = hs_alloc(b->seeds * sizeof *value);
    bool *event = hs_alloc(b->seeds * sizeof *event);
    hs_status status = value && event ? HS_OK : hs_fail_memory(err, b->seeds * sizeof *value);
    hs_survival *axes[] = {&out->steps, &out->seconds, &out->cpu_seconds};
    for (int axis = 0; axis < 3 && status == HS_OK; axis++) {
        uint32_t n = 0;
        for (uint32_t s = 0; s < b->seeds; s++) {
            if (!runs[s].started)
                continue;
            const double time = diverged(&runs[s]) ? longest[axis] : time_of(&runs[s], axis);
            if (!isfinite(time))
                continue;
            value[n] = time;
            event[n++] = runs[s].grokked;
        }
        status = hs_survival_estimate(n, value, event, axes[axis], err);
    }
    for (int what = 0; what < 2 && status == HS_OK; what++) {
        for (uint32_t s = 0; s < b->seeds; s++)
            value[s] = what ? runs[s].step_cpu : runs[s].accuracy;
        *(what ? &out->step_cpu : &out->accuracy) = median_of(value, b->seeds);
    }
    for (uint32_t s = 0; s < b->seeds; s++)
        out->diverged += diverged(&runs[s]);
    hs_free(value);
    hs_free(event);
    return status;
}

hs_status hs_bakeoff_results(const hs_bakeoff *bakeoff, const char *dir, hs_bakeoff_result *out, hs_error *err)
{
    const size_t n = (size_t)bakeoff->n_arms * bakeoff->seeds;
    out->run = hs_calloc(n, sizeof *out->run);
    out->summary = hs_calloc(bakeoff->n_arms, sizeof *out->summary);
    hs_status status = out->run && out->summary ? HS_OK : hs_fail_memory(err, n * sizeof *out->run);
    double longest[3] = {0, 0, 0};
    for (size_t i = 0; i < n && status == HS_OK; i++) {
        const uint32_t arm = (uint32_t)(i / bakeoff->seeds), seed = (uint32_t)(i % bakeoff->seeds) + 1;
        char run_dir[4096];
        status = hs_bakeoff_dir(bakeoff, dir, arm, seed, run_dir, sizeof run_dir, err);
        if (status == HS_OK)
            status = hs_bakeoff_read_run(&bakeoff->arm[arm].config, run_dir, &out->run[i], err);
        for (int axis = 0; axis < 3 && status == HS_OK; axis++)
            longest[axis] = fmax(longest[axis], time_of(&out->run[i], axis));
    }
    for (uint32_t a = 0; a < bakeoff->n_arms && status == HS_OK; a++)
        status = summarize_arm(bakeoff, &out->run[(size_t)a * bakeoff->seeds], longest, &out->summary[a], err);
    if (status != HS_OK)
        hs_bakeoff_result_free(out);
    return status;
}

void hs_bakeoff_result_free(hs_bakeoff_result *result)
{
    hs_free(result->run);
    hs_free(result->summary);
    memset(result, 0, sizeof *result);
}

/* ---------------------------------------------------------------- table */

/* "1,200 [900, 1,500]", "> 6,000" where the median is not reached, "-" without runs. */
static void time_text(const hs_survival *s, char out[64])
{
    char median[32], low[32], high[32];
    if (s->n == 0)
        snprintf(out, 64, "-");
    else if (isinf(s->median))
        snprintf(out, 64, "> %s", hs_format_count((uint64_t)llround(s->follow_up), median));
    else
        snprintf(out, 64, "%s [%s, %s]", hs_format_count((uint64_t)llround(s->median), median),
                 isinf(s->low) ? "-" : hs_format_count((uint64_t)llround(s->low), low),
                 isinf(s->high) ? "-" : hs_format_count((uint64_t)llround(s->high), high));
}

/* How many times faster than the baseline; a bound where one of the two medians is not reached. */
static void ratio_text(const hs_survival *base, const hs_survival *s, char out[32])
{
    if (base->n == 0 || s->n == 0 || (isinf(base->median) && isinf(s->median)))
        snprintf(out, 32, "-");
    else if (isinf(base->median))
        snprintf(out, 32, "> %.2f", base->follow_up / s->median);
    else if (isinf(s->median))
        snprintf(out, 32, "< %.2f", base->median / s->follow_up);
    else
        snprintf(out, 32, "%.2f", base->median / s->median);
}

void hs_bakeoff_text(const hs_bakeoff *bakeoff, const hs_bakeoff_result *result, hs_str *out)
{
    const hs_train_config *c = &bakeoff->arm[0].config.train;
    const hs_bakeoff_summary *base = &result->summary[bakeoff->baseline];
    uint32_t missing = 0, unfinished = 0, gone = 0, width = 8;
    for (uint32_t a = 0; a < bakeoff->n_arms; a++)
        width = strlen(bakeoff->arm[a].name) > width ? (uint32_t)strlen(bakeoff->arm[a].name) : width;
    hs_str_addf(out, "%-*s %7s  %-24s %7s  %-20s %7s %8s %9s\n", (int)width, "arm", "grokked", "median steps [95%]",
                "times", "median CPU s [95%]", "times", "ms/step", "accuracy");
    for (uint32_t a = 0; a < bakeoff->n_arms; a++) {
        const hs_bakeoff_summary *s = &result->summary[a];
        char steps[64], cpu[64], by_steps[32], by_cpu[32], grokked[32], per_step[32] = "-", accuracy[32] = "-";
        time_text(&s->steps, steps);
        time_text(&s->cpu_seconds, cpu);
        ratio_text(&base->steps, &s->steps, by_steps);
        ratio_text(&base->cpu_seconds, &s->cpu_seconds, by_cpu);
        snprintf(grokked, sizeof grokked, "%u/%u", s->steps.events, s->steps.n);
        if (isfinite(s->step_cpu))
            snprintf(per_step, sizeof per_step, "%.1f", 1000 * s->step_cpu);
        if (isfinite(s->accuracy))
            snprintf(accuracy, sizeof accuracy, "%.3f", s->accuracy);
        hs_str_addf(out, "%-*s %7s  %-24s %7s  %-20s %7s %8s %9s\n", (int)width, bakeoff->arm[a].name, grokked, steps,
                    by_steps, cpu, by_cpu, per_step, accuracy);
        for (uint32_t i = 0; i < bakeoff->seeds; i++) {
            const hs_bakeoff_run *run = &result->run[(size_t)a * bakeoff->seeds + i];
            missing += !run->started;
            unfinished += run->started && !run->finished;
            gone += diverged(run);
        }
    }
    char budget[32];
    hs_str_addf(out, "Grokked: %s >= %g, evaluated on the same grid in all arms; budget %s steps a run.\n",
                c->stop_split, c->stop_accuracy, hs_format_count(c->steps, budget));
    hs_str_addf(
        out,
        "Medians by Kaplan-Meier, runs that did not grok in the budget as censored; [95%% interval by Greenwood's\n"
        "variance on the log-log scale; \"-\": open, too few runs]. Times: the median of %s by this one's.\n"
        "CPU s: CPU seconds of the process by its threads, evaluations included.\n",
        bakeoff->arm[bakeoff->baseline].name);
    if (missing || unfinished)
        hs_str_addf(out, "Not complete: %u runs not started, %u not finished (counted as censored where they are).\n",
                    missing, unfinished);
    if (gone)
        hs_str_addf(out, "%u runs diverged; they count as longer than the longest run.\n", gone);
}

/* ---------------------------------------------------------------- JSON, CSV */

static void add_number(hs_str *out, double value, const char *none)
{
    char text[32];
    if (isfinite(value))
        hs_number_text(value, false, text);
    hs_str_addf(out, "%s", isfinite(value) ? text : none);
}

static void json_value(hs_str *out, const char *name, double value)
{
    hs_str_addf(out, ", \"%s\": ", name);
    add_number(out, value, "null");
}

static void json_survival(hs_str *out, const char *name, const hs_survival *s)
{
    hs_str_addf(out, ", \"%s\": {\"n\": %u, \"events\": %u", name, s->n, s->events);
    json_value(out, "median", s->median);
    json_value(out, "low", s->low);
    json_value(out, "high", s->high);
    json_value(out, "first", s->first);
    json_value(out, "last", s->last);
    json_value(out, "follow_up", s->follow_up);
    hs_str_add(out, "}", 1);
}

static void json_run(hs_str *out, const hs_bakeoff_run *run, uint32_t seed)
{
    hs_str_addf(out, "{\"seed\": %u, \"started\": %s, \"finished\": %s, \"grokked\": %s, \"ended_by\": ", seed,
                run->started ? "true" : "false", run->finished ? "true" : "false", run->grokked ? "true" : "false");
    hs_str_addf(out, "\"%s\"", hs_stop_reason_text(run->ended_by));
    hs_str_addf(out, ", \"steps\": %llu", (unsigned long long)run->steps);
    json_value(out, "seconds", run->seconds);
    json_value(out, "cpu_seconds", run->cpu_seconds);
    json_value(out, "accuracy", run->accuracy);
    hs_str_add(out, "}", 1);
}

void hs_bakeoff_json(const hs_bakeoff *bakeoff, const hs_bakeoff_result *result, const char *dir, hs_str *out)
{
    const hs_train_config *c = &bakeoff->arm[0].config.train;
    hs_str_addf(out, "{\"bakeoff\": ");
    hs_str_add_json(out, dir, strlen(dir));
    hs_str_addf(out, ", \"seeds\": %u, \"budget_steps\": %llu, \"split\": ", bakeoff->seeds,
                (unsigned long long)c->steps);
    hs_str_add_json(out, c->stop_split, strlen(c->stop_split));
    json_value(out, "threshold", c->stop_accuracy);
    hs_str_addf(out, ", \"interval\": \"95%%, Greenwood, log-log\", \"baseline\": ");
    hs_str_add_json(out, bakeoff->arm[bakeoff->baseline].name, strlen(bakeoff->arm[bakeoff->baseline].name));
    hs_str_addf(out, ", \"arms\": [");
    for (uint32_t a = 0; a < bakeoff->n_arms; a++) {
        const hs_bakeoff_summary *s = &result->summary[a];
        hs_str_addf(out, "%s{\"arm\": ", a ? ", " : "");
        hs_str_add_json(out, bakeoff->arm[a].name, strlen(bakeoff->arm[a].name));
        json_survival(out, "steps", &s->steps);
        json_survival(out, "seconds", &s->seconds);
        json_survival(out, "cpu_seconds", &s->cpu_seconds);
        json_value(out, "accuracy", s->accuracy);
        json_value(out, "step_cpu", s->step_cpu);
        hs_str_addf(out, ", \"diverged\": %u, \"runs\": [", s->diverged);
        for (uint32_t i = 0; i < bakeoff->seeds; i++) {
            hs_str_addf(out, "%s", i ? ", " : "");
            json_run(out, &result->run[(size_t)a * bakeoff->seeds + i], i + 1);
        }
        hs_str_addf(out, "]}");
    }
    hs_str_addf(out, "]}");
}

void hs_bakeoff_csv(const hs_bakeoff *bakeoff, const hs_bakeoff_result *result, hs_str *out)
{
    hs_str_addf(out, "arm,seed,grokked,steps,cpu_seconds,seconds,accuracy,ended_by\n");
    for (uint32_t a = 0; a < bakeoff->n_arms; a++)
        for (uint32_t i = 0; i < bakeoff->seeds; i++) {
            const hs_bakeoff_run *run = &result->run[(size_t)a * bakeoff->seeds + i];
            if (!run->started)
                continue;
            hs_str_addf(out, "%s,%u,%d,%llu,", bakeoff->arm[a].name, i + 1, run->grokked,
                        (unsigned long long)run->steps);
            add_number(out, run->cpu_seconds, "");
            hs_str_add(out, ",", 1);
            add_number(out, run->seconds, "");
            hs_str_add(out, ",", 1);
            add_number(out, run->accuracy, "");
            hs_str_addf(out, ",%s\n", run->finished ? hs_stop_reason_text(run->ended_by) : "unfinished");
        }
}
