/* result.c - results as a table for people and as JSON for programs, and the same over several seeds. */
#include "experiment/internal.h"

#include <math.h>
#include <string.h>

enum { WORST_PAIRS = 3 };

/* The strongest way to answer without the hops. */
static hs_baseline best_shortcut(const hs_split_result *s)
{
    return s->has_baselines ? hs_baselines_best(&s->baselines) : (hs_baseline){"", "", (double)NAN};
}

static void add_shortcut(hs_str *out, const hs_split_result *s)
{
    hs_baseline best = best_shortcut(s);
    if (isfinite(best.value))
        hs_str_addf(out, "  %.3f %s%s", best.value, best.name,
                    hs_baselines_explain(&s->baselines) ? " (explains it)" : "");
}

double hs_majority(hs_split_kind kind, const hs_baselines *baselines)
{
    return kind == HS_ITEM_COMPARE ? baselines->majority_class : baselines->majority_r1r2;
}

/* What always giving the commonest answer would score. */
static double majority(const hs_split_result *s)
{
    return s->has_baselines ? hs_majority(s->kind, &s->baselines) : (double)NAN;
}

/* "0.935", or "-" for NaN. */
static void add_number(hs_str *out, int width, double value)
{
    if (isfinite(value))
        hs_str_addf(out, "%*.3f", width, value);
    else
        hs_str_addf(out, "%*s", width, "-");
}

static void json_number(hs_str *out, double value)
{
    char text[32];
    if (!isfinite(value)) {
        hs_str_add(out, "null", 4);
        return;
    }
    hs_number_text(value, false, text);
    hs_str_add(out, text, strlen(text));
}

static bool any_paper(const hs_experiment_result *result)
{
    for (uint32_t i = 0; i < result->n_splits; i++)
        if (isfinite(result->split[i].paper))
            return true;
    return false;
}

void hs_experiment_result_text(const hs_experiment_result *result, hs_str *out)
{
    const bool paper = any_paper(result), other = result->passes != result->trained_passes;
    char count[32];
    if (other)
        hs_str_addf(out, "%u passes; trained with %u, whose accuracy stands beside\n", result->passes,
                    result->trained_passes);
    hs_str_addf(out, "%-24s %10s %9s", "split", "items", "accuracy");
    if (other)
        hs_str_addf(out, " %7s", "trained");
    if (paper)
        hs_str_addf(out, " %7s", "paper");
    hs_str_addf(out, " %9s %9s  %s\n", "loss", "majority", "best shortcut");
    for (uint32_t i = 0; i < result->n_splits; i++) {
        const hs_split_result *s = &result->split[i];
        hs_str_addf(out, "%-24s %10s ", s->eval.split, hs_format_count(s->eval.n, count));
        add_number(out, 9, s->eval.accuracy);
        if (other) {
            hs_str_add(out, " ", 1);
            add_number(out, 7, s->as_trained);
        }
        if (paper) {
            hs_str_add(out, " ", 1);
            add_number(out, 7, s->paper);
        }
        hs_str_addf(out, " %9.4f ", s->eval.loss);
        add_number(out, 9, majority(s));
        add_shortcut(out, s);
        hs_str_add(out, "\n", 1);
    }
    hs_str_addf(out, "%s steps in %.1f s, phi %.2f", hs_format_count(result->train.steps, count), result->train.seconds,
                result->phi);
    hs_str_addf(out, ", %s facts", hs_format_count(result->facts, count));
    if (result->synthetic_facts)
        hs_str_addf(out, " (%s synthetic)", hs_format_count(result->synthetic_facts, count));
    if (result->train.reason != HS_STOP_NOT_YET)
        hs_str_addf(out, ", ended by %s", hs_stop_reason_text(result->train.reason));
    hs_str_add(out, "\n", 1);
    hs_diagnosis_text(&result->diagnosis, WORST_PAIRS, out);
    if (result->verdict.input.split[0])
        hs_str_addf(out, "\n%s\n", result->verdict.verdict.text);
}

static void json_split(hs_str *out, const hs_split_result *s)
{
    hs_str_addf(out, "{\"split\": ");
    hs_str_add_json(out, s->eval.split, strlen(s->eval.split));
    hs_str_addf(out, ", \"role\": \"%s\", \"n\": %llu, \"accuracy\": ", hs_split_role_name(s->role),
                (unsigned long long)s->eval.n);
    json_number(out, s->eval.accuracy);
    hs_str_addf(out, ", \"loss\": ");
    json_number(out, s->eval.loss);
    hs_str_addf(out, ", \"paper\": ");
    json_number(out, s->paper);
    if (isfinite(s->as_trained)) {
        hs_str_addf(out, ", \"as_trained\": ");
        json_number(out, s->as_trained);
    }
    if (s->has_baselines) {
        hs_baseline all[HS_N_BASELINES];
        hs_baselines_list(&s->baselines, all);
        for (uint32_t i = 0; i < HS_N_BASELINES; i++) {
            hs_str_addf(out, "%s\"%s\": ", i ? ", " : ", \"baselines\": {", all[i].name);
            json_number(out, all[i].value);
        }
        hs_str_add(out, "}", 1);
    }
    hs_str_add(out, "}", 1);
}

void hs_experiment_result_json(const hs_experiment_result *result, const char *run_dir, hs_str *out)
{
    hs_str_addf(out, "{\"run\": ");
    hs_str_add_json(out, run_dir, strlen(run_dir));
    hs_str_addf(out, ", \"resumed_from\": ");
    if (result->resumed)
        hs_str_addf(out, "%llu", (unsigned long long)result->resumed_step);
    else
        hs_str_add(out, "null", 4);
    hs_str_addf(out, ", \"steps\": %llu, \"seconds\": ", (unsigned long long)result->train.steps);
    json_number(out, result->train.seconds);
    if (result->train.reason == HS_STOP_NOT_YET)
        hs_str_addf(out, ", \"ended_by\": null, \"phi\": ");
    else
        hs_str_addf(out, ", \"ended_by\": \"%s\", \"phi\": ", hs_stop_reason_text(result->train.reason));
    json_number(out, result->phi);
    hs_str_addf(out, ", \"facts\": %llu, \"synthetic_facts\": %llu", (unsigned long long)result->facts,
                (unsigned long long)result->synthetic_facts);
    hs_str_addf(out, ", \"weights\": %llu, \"vocab\": %llu, \"training_items\": %llu, \"memory\": ",
                (unsigned long long)result->cost.weights, (unsigned long long)result->cost.vocab,
                (unsigned long long)result->cost.training_items);
    const struct {
        const char *next;
        double value;
    } costs[] = {{"blas_memory", (double)result->cost.memory},     {"step_flop", (double)result->cost.blas_memory},
                 {"seconds_per_1000", result->cost.step_flop},     {"eval_seconds", result->cost.seconds_per_1000},
                 {"estimated_seconds", result->cost.eval_seconds}, {NULL, result->cost.seconds}};
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) { /* 0: not known */
        json_number(out, costs[i].value > 0 ? costs[i].value : (double)NAN);
        if (costs[i].next)
            hs_str_addf(out, ", \"%s\": ", costs[i].next);
    }
    hs_str_addf(out, ", \"splits\": [");
    for (uint32_t i = 0; i < result->n_splits; i++) {
        if (i)
            hs_str_add(out, ", ", 2);
        json_split(out, &result->split[i]);
    }
    hs_str_addf(out, "]");
    if (result->passes)
        hs_str_addf(out, ", \"passes\": %u, \"trained_passes\": %u", result->passes, result->trained_passes);
    hs_str_addf(out, ", \"why\": ");
    hs_diagnosis_json(&result->diagnosis, out);
    hs_str_addf(out, ", \"verdict\": ");
    if (result->verdict.input.split[0])
        hs_run_verdict_json(&result->verdict, out);
    else
        hs_str_addf(out, "null");
    hs_str_add(out, "}", 1);
}

/* ---------------------------------------------------------------- several seeds */

typedef struct spread {
    uint32_t n;
    double mean, min, max, seconds;
} spread;

/* Accuracies of the i-th split of the first result over all results that have a split of its name. */
static spread split_spread(const hs_experiment_result *results, uint32_t n, uint32_t i)
{
    spread s = {0};
    for (uint32_t r = 0; r < n; r++)
        for (uint32_t k = 0; k < results[r].n_splits; k++) {
            const hs_eval *e = &results[r].split[k].eval;
            if (strcmp(e->split, results[0].split[i].eval.split) != 0 || !isfinite(e->accuracy))
                continue;
            s.min = s.n == 0 || e->accuracy < s.min ? e->accuracy : s.min;
            s.max = s.n == 0 || e->accuracy > s.max ? e->accuracy : s.max;
            s.mean += e->accuracy;
            s.n++;
        }
    if (s.n)
        s.mean /= s.n;
    return s;
}

void hs_experiment_seeds_text(const hs_experiment_result *results, uint32_t n, hs_str *out)
{
    if (n == 0)
        return;
    const bool paper = any_paper(&results[0]);
    double seconds = 0;
    for (uint32_t r = 0; r < n; r++)
        seconds += results[r].train.seconds;
    hs_str_addf(out, "%-24s %10s %9s", "split", "items", "mean");
    if (paper)
        hs_str_addf(out, " %7s", "paper");
    hs_str_addf(out, " %9s %9s %9s  %s\n", "lowest", "highest", "majority", "best shortcut");
    for (uint32_t i = 0; i < results[0].n_splits; i++) {
        const hs_split_result *first = &results[0].split[i];
        spread s = split_spread(results, n, i);
        char count[32];
        hs_str_addf(out, "%-24s %10s ", first->eval.split, hs_format_count(first->eval.n, count));
        add_number(out, 9, s.n ? s.mean : (double)NAN);
        if (paper) {
            hs_str_add(out, " ", 1);
            add_number(out, 7, first->paper);
        }
        hs_str_add(out, " ", 1);
        add_number(out, 9, s.n ? s.min : (double)NAN);
        hs_str_add(out, " ", 1);
        add_number(out, 9, s.n ? s.max : (double)NAN);
        hs_str_add(out, " ", 1);
        add_number(out, 9, majority(first));
        add_shortcut(out, first);
        hs_str_add(out, "\n", 1);
    }
    hs_str_addf(out, "%u seeds, %.1f s each on average\n", n, seconds / n);
}

void hs_experiment_seeds_json(const hs_experiment_result *results, uint32_t n, const char *run_dir, hs_str *out)
{
    hs_str_addf(out, "{\"run\": ");
    hs_str_add_json(out, run_dir, strlen(run_dir));
    hs_str_addf(out, ", \"seeds\": %u, \"splits\": [", n);
    for (uint32_t i = 0; n > 0 && i < results[0].n_splits; i++) {
        spread s = split_spread(results, n, i);
        hs_str_addf(out, "%s{\"split\": ", i ? ", " : "");
        hs_str_add_json(out, results[0].split[i].eval.split, strlen(results[0].split[i].eval.split));
        hs_str_addf(out, ", \"mean\": ");
        json_number(out, s.n ? s.mean : (double)NAN);
        hs_str_addf(out, ", \"min\": ");
        json_number(out, s.n ? s.min : (double)NAN);
        hs_str_addf(out, ", \"max\": ");
        json_number(out, s.n ? s.max : (double)NAN);
        hs_str_addf(out, ", \"paper\": ");
        json_number(out, results[0].split[i].paper);
        hs_str_add(out, "}", 1);
    }
    hs_str_addf(out, "], \"runs\": [");
    for (uint32_t r = 0; r < n; r++) {
        char name[4096 + 32];
        snprintf(name, sizeof name, "%.4095s/seed-%u", run_dir, r + 1);
        hs_str_addf(out, "%s", r ? ", " : "");
        hs_experiment_result_json(&results[r], name, out);
    }
    hs_str_addf(out, "]}");
}

hs_status hs_experiment_seeds(const hs_config *config, const hs_experiment_options *options, uint32_t n,
                              hs_signals *signals, const hs_events *events, hs_experiment_result *results,
                              uint32_t *done, hs_error *err)
{
    *done = 0;
    hs_config *one = hs_alloc(sizeof *one);
    if (!one)
        return hs_fail_memory(err, sizeof *one);
    hs_status status = HS_OK;
    for (uint32_t s = 0; s < n && status == HS_OK; s++) {
        char name[32], dir[4096];
        snprintf(name, sizeof name, "seed-%u", s + 1);
        status = hs_path_join(dir, sizeof dir, options->run_dir, name, err);
        if (status != HS_OK)
            break;
        *one = *config;
        one->data.seed = one->train.seed = one->augment.seed = s + 1;
        hs_experiment_options own = *options;
        own.run_dir = dir;
        own.no_estimate = options->no_estimate || s > 0;
        hs_event_send(events, HS_EVENT_INFO, "run", "seed %u of %u: %s", s + 1, n, dir);
        status = hs_experiment_run(one, &own, signals, events, &results[s], err);
        if (status == HS_OK)
            *done = s + 1;
    }
    hs_free(one);
    return status;
}
