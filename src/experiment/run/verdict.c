/* verdict.c - the verdict on a run's checkpoints: numbers from its run.db, measured on the spot where they are missing.
 *
 * Invariant: nothing is written. The decision itself is hs_verdict_decide (interp.h). */
#include "experiment/internal.h"
#include "hopscope/interp.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { QUICK = 200, TOO_FEW = 32 };

/* Where the numbers of one model come from. */
typedef struct source {
    const hs_model *model;
    const hs_dataset *data;
    hs_scope *scope;
    hs_pool *pool;
    const hs_signals *signals;
    uint32_t max;
    uint64_t step;
    const hs_eval_row *eval; /* (n_evals) of any step */
    size_t n_evals;
    const hs_probe_row *probe; /* (n_probes) of this step */
    size_t n_probes;
} source;

static const hs_share NOT_MEASURED = {.value = NAN, .low = NAN, .high = NAN};

/* ---------------------------------------------------------------- accuracies */

static hs_status accuracy_of(const source *s, const hs_split *split, hs_share *out, hs_error *err)
{
    hs_eval eval = {0};
    for (size_t i = 0; i < s->n_evals && eval.n == 0; i++)
        if (s->eval[i].step == s->step && strcmp(s->eval[i].eval.split, split->name) == 0)
            eval = s->eval[i].eval;
    if (eval.n == 0)
        HS_TRY(hs_evaluate_polled(s->model, NULL, s->data, split, s->max, s->pool, s->signals, &eval, err));
    out->value = eval.accuracy;
    out->n = eval.n;
    hs_wilson(eval.accuracy * (double)eval.n, (double)eval.n, &out->low, &out->high);
    return HS_OK;
}

/* Of the training split that does worst. */
static hs_status training(const source *s, hs_share *out, hs_error *err)
{
    *out = NOT_MEASURED;
    for (uint32_t i = 0; i < s->data->n_splits; i++) {
        const hs_split *split = &s->data->splits[i];
        hs_share share;
        if (split->role != HS_SPLIT_TRAIN || split->n == 0)
            continue;
        HS_TRY(accuracy_of(s, split, &share, err));
        if (isnan(out->value) || share.value < out->value)
            *out = share;
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- lens and trace */

static hs_share share_of(const hs_probe_row *row)
{
    return (hs_share){.value = row->value, .low = row->low, .high = row->high, .n = row->n};
}

/* Strict recovery of the bridge that is found least. */
static hs_share lens_in(const hs_probe_row *rows, size_t n, const char *split)
{
    hs_share out = NOT_MEASURED;
    for (size_t i = 0; i < n; i++) {
        const hs_probe_row *r = &rows[i];
        if (strcmp(r->method, "lens") != 0 || strcmp(r->split, split) != 0 || strcmp(r->measure, "found_strict") != 0 ||
            r->n == 0 || isnan(r->value))
            continue;
        if (isnan(out.value) || r->value < out.value)
            out = share_of(r);
    }
    return out;
}

/* Right answers that change when the state at a hop's end comes from a run with another head: of each hop but the last the
 * middle stage where it is highest, of the hops the lowest. */
static hs_share strength_in(const hs_probe_row *rows, size_t n, const hs_split *split, uint32_t n_stages)
{
    hs_share out = NOT_MEASURED;
    for (uint32_t hop = 1; hop < split->hops; hop++) {
        hs_share best = NOT_MEASURED;
        char place[16];
        snprintf(place, sizeof place, "r%u", hop);
        for (size_t i = 0; i < n; i++) {
            const hs_probe_row *r = &rows[i];
            if (strcmp(r->method, "trace") == 0 && strcmp(r->split, split->name) == 0 &&
                strcmp(r->measure, "changed") == 0 && strcmp(r->role, "h") == 0 && strcmp(r->position, place) == 0 &&
                r->stage > 0 && (uint32_t)r->stage < n_stages && r->n > 0 && !isnan(r->value) &&
                !(r->value <= best.value))
                best = share_of(r);
        }
        if (isnan(best.value))
            return NOT_MEASURED;
        if (isnan(out.value) || best.value < out.value)
            out = best;
    }
    return out;
}

/* One method on one split, now. */
static hs_status measure(source *s, const char *method, const hs_split *split, hs_readings *out, hs_error *err)
{
    hs_interpret_config config;
    hs_interpret_config_default(&config);
    snprintf(config.methods, sizeof config.methods, "%s", method);
    snprintf(config.splits, sizeof config.splits, "%s", split->name);
    config.max = s->max;
    config.exhaustive = true; /* the state at r1 when h is replaced */
    if (s->data->text || !hs_method_fits(hs_method_find(method), s->model, s->data, &config))
        return HS_OK;
    if (!s->scope)
        HS_TRY(hs_scope_create(&s->scope, s->data, err));
    const hs_sink sink = hs_readings_sink(out);
    return hs_interpret(s->scope, s->model, NULL, &config, s->pool, s->signals, &sink, err);
}

static hs_status judge(source *s, const hs_split *split, const hs_verdict_thresholds *thresholds, hs_run_verdict *out,
                       hs_error *err)
{
    hs_readings now = {0};
    hs_verdict_input *in = &out->input;
    *out = (hs_run_verdict){.step = s->step};
    snprintf(in->split, sizeof in->split, "%s", split->name);
    HS_TRY(training(s, &in->train, err));
    HS_TRY(accuracy_of(s, split, &in->accuracy, err));
    hs_status status = HS_OK;
    in->lens = lens_in(s->probe, s->n_probes, split->name);
    if (isnan(in->lens.value) && split->bridges > 0) {
        status = measure(s, "lens", split, &now, err);
        in->lens = lens_in(now.row, now.n, split->name);
    }
    in->strength = strength_in(s->probe, s->n_probes, split, s->model->n_stages);
    if (status == HS_OK && isnan(in->strength.value) && split->bridges > 0) {
        status = measure(s, "trace", split, &now, err);
        in->strength = strength_in(now.row, now.n, split, s->model->n_stages);
    }
    hs_readings_free(&now);
    if (status == HS_OK)
        hs_verdict_decide(in, thresholds, &out->verdict);
    return status;
}

/* ---------------------------------------------------------------- which splits */

/* test_ii, test_iii ...: every fact was a hop of training queries. */
static bool all_id(const char *name)
{
    return strncmp(name, "test_i", 6) == 0 && name[6 + strspn(name + 6, "i")] == 0;
}

void hs_verdict_splits(const hs_dataset *data, char *out, size_t size)
{
    const hs_split *best = NULL;
    int most = 0;
    for (uint32_t i = 0; i < data->n_splits; i++) {
        const hs_split *split = &data->splits[i];
        if (split->role != HS_SPLIT_TEST || split->n == 0)
            continue;
        const int fits = split->bridges > 0 && all_id(split->name) ? 3 : split->bridges > 0 ? 2 : 1;
        if (fits > most) {
            most = fits;
            best = split;
        }
    }
    const bool injected = hs_dataset_split(data, "train_aug_h1") || hs_dataset_split(data, "train_aug_h2");
    const hs_split *oo = injected ? hs_dataset_split(data, "test_oo") : NULL;
    snprintf(out, size, "%s%s", best ? best->name : "", oo && oo->n > 0 && oo != best ? ",test_oo" : "");
}

static hs_status check_splits(const hs_dataset *data, const char *splits, size_t *n, hs_error *err)
{
    char name[64], all[256] = "";
    for (*n = 0; hs_list_get(splits, *n, name, sizeof name); (*n)++) {
        const hs_split *split = hs_dataset_split(data, name);
        if (split && split->role == HS_SPLIT_TEST)
            continue;
        for (uint32_t s = 0; s < data->n_splits; s++) {
            const size_t used = strlen(all);
            if (data->splits[s].role == HS_SPLIT_TEST)
                snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", data->splits[s].name);
        }
        hs_fail(err, HS_ERR_DATA, "a verdict is about a test split of the dataset");
        hs_error_value(err, name, strlen(name));
        return hs_error_hint(err, "its test splits: %s", all);
    }
    return *n ? HS_OK : hs_fail(err, HS_ERR_DATA, "the dataset has no test split that a verdict could be about");
}

/* ---------------------------------------------------------------- on the spot */

hs_status hs_model_verdict(const hs_model *model, const hs_dataset *data, hs_pool *pool, const hs_signals *signals,
                           hs_run_verdict *out, hs_error *err)
{
    /* Tracing takes some fifty passes an item: this many items take seconds at most. */
    const double items = 5e8 / (double)(model->n_weights + 1);
    char splits[128], name[64];
    *out = (hs_run_verdict){0};
    hs_verdict_splits(data, splits, sizeof splits);
    if (!hs_list_get(splits, 0, name, sizeof name) || items < TOO_FEW)
        return HS_OK;
    source s = {
        .model = model, .data = data, .pool = pool, .signals = signals, .max = items < QUICK ? (uint32_t)items : QUICK};
    const hs_status status = judge(&s, hs_dataset_split(data, name), NULL, out, err);
    hs_scope_free(s.scope);
    return status;
}

/* ---------------------------------------------------------------- a run */

typedef struct work {
    const hs_run_verdict_options *options;
    const hs_events *events;
    hs_run *run;
    hs_record *record;
    source source;
    char splits[512];
    size_t n_splits, n_steps;
    uint64_t *steps;
    hs_run_verdict *out;
} work;

static hs_status judge_step(work *w, size_t k, hs_error *err)
{
    hs_probe_row *rows = NULL;
    source *s = &w->source;
    s->step = w->steps[k];
    const hs_probe_filter filter = {.first = s->step, .last = s->step};
    hs_event_send(w->events, HS_EVENT_INFO, "verdict", "step %" PRIu64, s->step);
    HS_TRY(hs_run_load_step(w->run, s->step, err));
    if (w->record && s->step > 0)
        HS_TRY(hs_record_probes(w->record, &filter, &rows, &s->n_probes, err));
    s->probe = rows;
    hs_status status = HS_OK;
    for (size_t i = 0; i < w->n_splits && status == HS_OK; i++) {
        char name[64];
        (void)hs_list_get(w->splits, i, name, sizeof name);
        status =
            judge(s, hs_dataset_split(&w->run->data, name), w->options->thresholds, &w->out[k * w->n_splits + i], err);
    }
    hs_free(rows);
    s->probe = NULL;
    s->n_probes = 0;
    return status;
}

static hs_status judge_all(work *w, hs_error *err)
{
    char path[4096];
    const char *wish = w->options->splits;
    source *s = &w->source;
    if (wish && wish[0])
        snprintf(w->splits, sizeof w->splits, "%s", wish);
    else
        hs_verdict_splits(&w->run->data, w->splits, sizeof w->splits);
    HS_TRY(check_splits(&w->run->data, w->splits, &w->n_splits, err));
    HS_TRY(hs_run_wanted_steps(w->options->steps, w->run, &w->steps, &w->n_steps, err));
    if (!(w->out = hs_calloc(w->n_steps * w->n_splits + 1, sizeof *w->out)))
        return hs_fail_memory(err, w->n_steps * w->n_splits * sizeof *w->out);
    HS_TRY(hs_path_join(path, sizeof path, w->run->dir, "run.db", err));
    if (hs_file_exists(path)) {
        hs_eval_row *rows;
        HS_TRY(hs_record_open_read(&w->record, path, err));
        HS_TRY(hs_record_evals(w->record, &rows, &s->n_evals, err));
        s->eval = rows;
    }
    for (size_t k = 0; k < w->n_steps; k++)
        HS_TRY(judge_step(w, k, err));
    return HS_OK;
}

hs_status hs_run_verdicts(const char *run_dir, const hs_run_verdict_options *options, const hs_signals *signals,
                          const hs_events *events, hs_run_verdict **out, size_t *n, hs_error *err)
{
    work w = {.options = options, .events = events};
    *out = NULL;
    *n = 0;
    if (!(w.run = hs_calloc(1, sizeof *w.run)))
        return hs_fail_memory(err, sizeof *w.run);
    hs_status status = hs_run_open(w.run, run_dir, HS_LATEST, err);
    w.source = (source){.model = &w.run->model, .data = &w.run->data, .signals = signals, .max = options->max};
    if (status == HS_OK && !(w.source.pool = hs_pool_create(options->threads)))
        status = hs_fail(err, HS_ERR_MEMORY, "worker threads cannot be started");
    if (status == HS_OK)
        status = judge_all(&w, err);
    if (status == HS_OK) {
        *out = w.out;
        *n = w.n_steps * w.n_splits;
    } else {
        hs_free(w.out);
    }
    hs_scope_free(w.source.scope);
    hs_pool_free(w.source.pool);
    hs_record_close(w.record);
    hs_free((void *)(uintptr_t)w.source.eval);
    hs_free(w.steps);
    hs_run_close(w.run);
    hs_free(w.run);
    return status;
}

/* ---------------------------------------------------------------- text and JSON */

static void add_share(hs_str *out, const hs_share *s)
{
    if (isnan(s->value))
        hs_str_addf(out, "  %-20s", "-");
    else
        hs_str_addf(out, "  %.3f (%.3f..%.3f)", s->value, s->low, s->high);
}

void hs_run_verdicts_text(const hs_run_verdict *v, size_t n, hs_str *out)
{
    hs_str_addf(out, "%10s  %-12s  %-23s  %-10s  %-20s  %-20s  %-20s  %s\n", "step", "split", "verdict", "confidence",
                "training", "held-out", "bridge in the lens", "answers hang on it");
    for (size_t i = 0; i < n; i++) {
        const hs_verdict_input *in = &v[i].input;
        hs_str_addf(out, "%10" PRIu64 "  %-12s  %-23s  %-10s", v[i].step, in->split, hs_verdict_name(v[i].verdict.kind),
                    v[i].verdict.kind == HS_VERDICT_UNKNOWN ? ""
                    : v[i].verdict.clear                    ? "clear"
                                                            : "borderline");
        add_share(out, &in->train);
        add_share(out, &in->accuracy);
        add_share(out, &in->lens);
        add_share(out, &in->strength);
        hs_str_addf(out, "\n");
    }
}

static void json_share(hs_str *out, const char *name, const hs_share *s)
{
    if (isnan(s->value))
        hs_str_addf(out, ", \"%s\": null", name);
    else
        hs_str_addf(out, ", \"%s\": {\"value\": %.9g, \"low\": %.9g, \"high\": %.9g, \"n\": %" PRIu64 "}", name,
                    s->value, s->low, s->high, s->n);
}

void hs_run_verdict_json(const hs_run_verdict *v, hs_str *out)
{
    hs_str_addf(out, "{\"step\": %" PRIu64 ", \"split\": ", v->step);
    hs_str_add_json(out, v->input.split, strlen(v->input.split));
    hs_str_addf(out, ", \"verdict\": \"%s\", \"clear\": %s", hs_verdict_name(v->verdict.kind),
                v->verdict.clear ? "true" : "false");
    json_share(out, "training", &v->input.train);
    json_share(out, "accuracy", &v->input.accuracy);
    json_share(out, "lens", &v->input.lens);
    json_share(out, "strength", &v->input.strength);
    hs_str_addf(out, "}");
}
