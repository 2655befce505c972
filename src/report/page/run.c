/* run.c - a run as far as it can be read, and the frame of its JSON.
 *
 * Invariant: a damaged part costs that part alone: each is read by itself, and one that fails is named in `missing`. */
#include "report/page/page.h"

#include "experiment/internal.h"
#include "hopscope/tensor.h"
#include "report/published.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* A verdict on the spot traces up to 200 items: seconds for models up to this size. */
enum { LARGE_MODEL = 15000000 };

void hs_page_missing(hs_page_run *run, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (run->missing.len > 0)
        hs_str_add(&run->missing, ",", 1);
    hs_str comma_free = {0};
    hs_page_text(&comma_free, text);
    hs_str_add(&run->missing, comma_free.s ? comma_free.s : "null", comma_free.s ? comma_free.len : 4);
    hs_str_free(&comma_free);
}

void hs_page_lacks(hs_page_run *run, const char *what, const hs_error *err)
{
    char text[1200];
    hs_error_format(err, text, sizeof text);
    for (char *c = text; *c; c++)
        if (*c == '\n')
            *c = ' ';
    hs_page_missing(run, "%s: %s", what, text);
    hs_event_send(run->events, HS_EVENT_WARNING, "page", "%s: %s", what, text);
}

/* ---------------------------------------------------------------- opening */

static void open_record(hs_page_run *r)
{
    char path[4096];
    hs_error err = {0};
    hs_status status = hs_path_join(path, sizeof path, r->run.dir, "run.db", &err);
    if (status == HS_OK && !hs_file_exists(path)) {
        hs_page_missing(r, "No record: run.db is not there.");
        return;
    }
    if (status == HS_OK)
        status = hs_record_open_read(&r->record, path, &err);
    if (status == HS_OK)
        status = hs_record_get_info(r->record, "title", r->title, sizeof r->title, &err);
    if (status == HS_OK)
        status = hs_record_get_info(r->record, "ended_by", r->ended_by, sizeof r->ended_by, &err);
    if (status == HS_OK)
        status = hs_record_evals(r->record, &r->eval, &r->n_evals, &err);
    if (status != HS_OK)
        hs_page_lacks(r, "The record cannot be read", &err);
    else if (r->n_evals == 0)
        hs_page_missing(r, "No evaluation yet.");
}

static void open_config(hs_page_run *r)
{
    char path[4096];
    hs_error err = {0};
    hs_status status = hs_path_join(path, sizeof path, r->run.dir, "experiment.yaml", &err);
    if (status == HS_OK)
        status = hs_config_read(&r->run.config, path, NULL, 0, &err);
    r->has_config = status == HS_OK;
    if (status != HS_OK)
        hs_page_lacks(r, "The settings cannot be read", &err);
    if (r->has_config && !r->title[0])
        snprintf(r->title, sizeof r->title, "%s", r->run.config.report.title);
}

static void open_data(hs_page_run *r)
{
    char path[4096];
    hs_error err = {0};
    hs_status status = hs_path_join(path, sizeof path, r->run.dir, "dataset", &err);
    if (status == HS_OK)
        status = hs_dataset_read(&r->run.data, path, &err);
    r->has_data = status == HS_OK;
    if (status != HS_OK)
        hs_page_lacks(r, "The dataset cannot be read, so no questions, facts and proofs", &err);
}

void hs_page_thin(uint64_t *step, size_t *n, size_t most)
{
    if (*n <= most)
        return;
    for (size_t i = 0; i < most; i++)
        step[i] = step[most > 1 ? i * (*n - 1) / (most - 1) : *n - 1];
    *n = most;
}

/* The model of the newest checkpoint that can be read; without any, as it would be made: for its stages. */
static void open_model(hs_page_run *r, const hs_page_options *options)
{
    hs_error err = {0};
    if (hs_run_checkpoints(r->run.dir, &r->step, &r->n_steps, &err) != HS_OK)
        hs_page_lacks(r, "The checkpoints cannot be read", &err);
    for (size_t i = r->n_steps; i > 0 && r->has_config && !r->has_model; i--) {
        r->has_model = hs_run_load_step(&r->run, r->step[i - 1], &err) == HS_OK;
        if (!r->has_model) {
            hs_page_lacks(r, "A checkpoint cannot be read", &err);
            r->n_steps = i - 1;
        }
    }
    hs_page_thin(r->step, &r->n_steps, options->checkpoints ? options->checkpoints : HS_PAGE_CHECKPOINTS);
    if (r->n_steps == 0)
        hs_page_missing(r, "No checkpoint to look into: hopscope run %s", r->run.dir);
    if (!r->has_model && r->has_config && r->has_data) {
        hs_model_config config;
        hs_experiment_model_config(&r->run.config, &r->run.data, &config);
        r->has_model = hs_model_create(&r->run.model, &config, r->run.config.train.seed, &err) == HS_OK;
    }
}

hs_status hs_page_run_open(hs_page_run *r, const hs_page_folder *folder, const hs_page_options *options, hs_error *err)
{
    snprintf(r->id, sizeof r->id, "%s", folder->id);
    snprintf(r->run.dir, sizeof r->run.dir, "%s", folder->dir);
    HS_TRY(hs_tensor_open(err));
    open_record(r);
    open_config(r);
    open_data(r);
    open_model(r, options);
    if (!r->has_data || !r->has_model) /* questions are asked of models */
        return HS_OK;
    HS_TRY(hs_page_queries(&r->run.data, options->queries ? options->queries : HS_PAGE_QUERIES, &r->query,
                           &r->n_queries, err));
    hs_status status = HS_OK;
    for (uint32_t i = 0; i < r->n_queries && status == HS_OK; i++)
        status = hs_page_query_place(&r->run.data, &r->run.model, NULL, &r->query[i], err);
    return status;
}

void hs_page_run_close(hs_page_run *r)
{
    hs_run_close(&r->run);
    hs_record_close(r->record);
    hs_free(r->eval);
    hs_free(r->step);
    hs_free(r->query);
    hs_str_free(&r->missing);
    memset(r, 0, sizeof *r);
}

/* ---------------------------------------------------------------- RUN */

/* "GPT-2, 2 blocks x 2 passes, width 128, 428,672 weights" */
static void add_model(const hs_page_run *r, hs_str *out)
{
    hs_page_key(out, "model");
    if (!r->has_model) {
        hs_page_raw(out, NULL);
        return;
    }
    const hs_model_config *c = &r->run.model.config;
    const hs_model_traits *traits = hs_model_traits_of(&r->run.model);
    char text[256], passes[48] = "", count[32];
    if (traits->in_place)
        snprintf(passes, sizeof passes, ", %u H cycles of %u L steps", c->h_cycles, c->l_cycles);
    else if (c->passes > 1)
        snprintf(passes, sizeof passes, " x %u passes", c->passes);
    snprintf(text, sizeof text, "%s, %u block%s%s, width %u, %s weights", traits->title, c->n_layer,
             c->n_layer == 1 ? "" : "s", passes, c->n_embd, hs_format_count(r->run.model.n_weights, count));
    hs_page_text(out, text);
}

static void add_stages(const hs_page_run *r, hs_str *out)
{
    hs_page_key(out, "stages");
    hs_page_open(out, '[');
    for (uint32_t s = 0; r->has_model && s <= r->run.model.n_stages; s++)
        hs_page_text(out, hs_model_stage(&r->run.model, s).name);
    hs_page_close(out, ']');
}

static void add_config(const hs_page_run *r, hs_str *out)
{
    size_t n;
    const hs_config_key *keys = hs_config_keys(&n);
    hs_page_key(out, "config");
    hs_page_open(out, '{');
    for (size_t i = 0; r->has_config && i < n; i++) {
        hs_str value = {0};
        hs_config_get(&r->run.config, &keys[i], &value);
        hs_page_key_text(out, keys[i].key, value.s ? value.s : "");
        hs_str_free(&value);
    }
    hs_page_close(out, '}');
}

/* Accuracies of a paper, as the settings have them. */
static void add_paper(const hs_page_run *r, hs_str *out)
{
    hs_page_key(out, "paper_values");
    hs_page_open(out, '{');
    for (size_t i = 0; r->has_config && i < r->n_evals && r->eval[i].step == r->eval[0].step; i++) {
        const char *split = r->eval[i].eval.split;
        const double value = hs_paper_value(&r->run.config, split);
        if (isfinite(value)) {
            hs_page_key_number(out, split, value);
        }
    }
    hs_page_close(out, '}');
}

static void add_numbers(hs_str *out, const char *key, const double *value, size_t n)
{
    hs_page_key(out, key);
    hs_page_open(out, '[');
    for (size_t i = 0; i < n; i++)
        hs_page_number(out, value[i]);
    hs_page_close(out, ']');
}

/* Curves of papers; a file that cannot be read is named, the others are shown. */
static void add_published(hs_page_run *r, hs_str *out)
{
    hs_published all = {0};
    hs_list files = {0};
    hs_error err = {0};
    if (r->has_config && hs_list_parse(&files, r->run.config.report.published, &err) != HS_OK)
        hs_page_lacks(r, "Published curves cannot be read", &err);
    for (size_t i = 0; i < files.n; i++)
        if (files.item[i][0] && hs_published_read(&all, files.item[i], &err) != HS_OK)
            hs_page_lacks(r, "Published curves cannot be read", &err);
    hs_page_key(out, "published");
    hs_page_open(out, '[');
    for (size_t i = 0; i < all.n; i++) {
        const hs_published_curve *c = &all.curve[i];
        hs_page_open(out, '{');
        hs_page_key_text(out, "name", c->name);
        hs_page_key_text(out, "source", c->source);
        hs_page_key_text(out, "split", c->split);
        add_numbers(out, "step", c->step, c->n);
        add_numbers(out, "accuracy", c->accuracy, c->n);
        hs_page_close(out, '}');
    }
    hs_page_close(out, ']');
    hs_list_free(&files);
    hs_published_free(&all);
}

static void add_times(hs_page_run *r, hs_str *out)
{
    hs_run_events events = {0};
    hs_error err = {0};
    hs_page_key(out, "times");
    hs_page_open(out, '[');
    if (r->record && r->n_evals && hs_run_events_read(r->run.dir, HS_EVENT_THRESHOLD, &events, &err) == HS_OK)
        for (size_t i = 0; i < events.n; i++) {
            hs_page_open(out, '{');
            hs_page_key_text(out, "name", events.event[i].name);
            hs_page_key(out, "reached");
            hs_page_bool(out, events.event[i].reached);
            hs_page_key_whole(out, "step", events.event[i].step);
            hs_page_close(out, '}');
        }
    hs_page_close(out, ']');
    hs_run_events_free(&events);
}

static void add_verdict_json(const hs_run_verdict *v, hs_str *out)
{
    hs_page_open(out, '{');
    hs_page_key_text(out, "kind", hs_verdict_name(v->verdict.kind));
    hs_page_key_text(out, "text", v->verdict.text);
    hs_page_key(out, "clear");
    hs_page_bool(out, v->verdict.clear);
    hs_page_key_text(out, "split", v->input.split);
    hs_page_key_whole(out, "step", v->step);
    hs_page_close(out, '}');
}

static void add_verdict(hs_page_run *r, const hs_page_options *options, const hs_signals *signals, hs_str *out)
{
    hs_run_verdict *verdicts = NULL;
    size_t n = 0;
    hs_error err = {0};
    const hs_run_verdict_options how = {.max = 200, .threads = options->threads};
    hs_page_key(out, "verdict");
    if (options->verdict && options->verdict->input.split[0]) {
        add_verdict_json(options->verdict, out);
        return;
    }
    const bool cheap = r->has_model && r->n_steps && r->has_data && r->run.model.n_weights <= LARGE_MODEL;
    if (cheap && !options->verdict && hs_run_verdicts(r->run.dir, &how, signals, NULL, &verdicts, &n, &err) == HS_OK &&
        n > 0)
        add_verdict_json(&verdicts[0], out);
    else
        hs_page_raw(out, NULL);
    hs_free(verdicts);
}

void hs_page_run_json(hs_page_run *r, const hs_page_options *options, const hs_signals *signals, hs_str *out)
{
    char command[9000];
    snprintf(command, sizeof command, "hopscope run %s/experiment.yaml -o %s-again", r->run.dir, r->run.dir);
    hs_page_open(out, '{');
    const struct {
        const char *key, *text;
    } texts[] = {{"id", r->id},       {"title", r->title},       {"task", r->has_data ? r->run.data.task : NULL},
                 {"dir", r->run.dir}, {"ended_by", r->ended_by}, {"command", command}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        hs_page_key_text(out, texts[i].key, texts[i].text);
    }
    hs_page_key_whole(out, "steps",
                      r->n_evals   ? r->eval[r->n_evals - 1].step
                      : r->n_steps ? r->step[r->n_steps - 1]
                                   : 0);
    add_model(r, out);
    add_stages(r, out);
    add_verdict(r, options, signals, out);
    hs_page_curves(r, out);
    add_times(r, out);
    add_paper(r, out);
    add_published(r, out);
    hs_page_dataset(r, out);
    add_config(r, out);
}

void hs_page_run_end(const hs_page_run *r, hs_str *out)
{
    hs_page_key(out, "checkpoints");
    hs_page_open(out, '[');
    for (size_t i = 0; i < r->n_steps; i++)
        hs_page_whole(out, r->step[i]);
    hs_page_close(out, ']');
    hs_page_key(out, "missing");
    hs_page_open(out, '[');
    if (r->missing.len > 0)
        hs_str_add(out, r->missing.s, r->missing.len);
    hs_page_close(out, ']');
    hs_page_close(out, '}');
}
