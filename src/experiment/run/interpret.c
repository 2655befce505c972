/* interpret.c - the microscope over the stored checkpoints of a run: rows into its run.db, every item into a file.
 *
 * A (step, method) that is done is marked in the record (info key "interpret STEP METHOD", with the settings), so that a stopped
 * look goes on where it was and a repeated one does nothing. Rows of a step are committed together with its marks. */
#include "experiment/internal.h"
#include "hopscope/interp.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- items in a file */

typedef struct items_file {
    hs_writer *writer;
    bool jsonl;
    uint64_t step;
} items_file;

static hs_status write_item(items_file *to, const hs_reading *r, uint64_t item, hs_error *err)
{
    hs_str line = {0};
    if (to->jsonl) {
        hs_str_addf(&line,
                    "{\"step\": %" PRIu64 ", \"method\": \"%s\", \"split\": \"%s\", \"item\": %" PRIu64
                    ", \"stage\": %d, \"position\": \"%s\", \"role\": ",
                    to->step, r->method, r->split, item, r->stage, r->position);
        hs_str_add_json(&line, r->role, strlen(r->role));
        hs_str_addf(&line, ", \"measure\": \"%s\", \"value\": %.9g}\n", r->measure, r->value);
    } else {
        hs_str_addf(&line, "%" PRIu64 ",%s,%s,%" PRIu64 ",%d,", to->step, r->method, r->split, item, r->stage);
        hs_str_add_csv(&line, r->position);
        hs_str_add(&line, ",", 1);
        hs_str_add_csv(&line, r->role);
        hs_str_addf(&line, ",%s,%.9g\n", r->measure, r->value);
    }
    const hs_status status =
        line.failed ? hs_fail_memory(err, line.len) : hs_writer_write(to->writer, line.s, line.len, err);
    hs_str_free(&line);
    return status;
}

static hs_status open_items(items_file *to, const char *path, hs_error *err)
{
    const size_t len = strlen(path);
    to->jsonl = len > 6 && strcmp(path + len - 6, ".jsonl") == 0;
    if (!to->jsonl && (len < 5 || strcmp(path + len - 4, ".csv") != 0)) {
        hs_fail(err, HS_ERR_USAGE, "items are written as .csv or .jsonl");
        return hs_error_value(err, path, len);
    }
    HS_TRY(hs_writer_open(&to->writer, path, err));
    return to->jsonl ? HS_OK
                     : hs_writer_printf(to->writer, err, "step,method,split,item,stage,position,role,measure,value\n");
}

/* ---------------------------------------------------------------- one step */

typedef struct session {
    const hs_run_interpret_options *options;
    const hs_signals *signals;
    const hs_events *events;
    hs_run *run;
    hs_scope *scope;
    hs_pool *pool;
    hs_record *record;
    items_file items;
    uint64_t step;
} session;

static hs_status take_reading(void *user, const hs_reading *r, hs_error *err)
{
    session *s = user;
    HS_TRY(hs_interpret_row(s->record, s->step, r, err));
    if (!s->options->sink)
        return HS_OK;
    hs_reading with = *r;
    with.step = s->step;
    return s->options->sink->reading(s->options->sink->user, &with, err);
}

static hs_status take_item(void *user, const hs_reading *r, uint64_t item, hs_error *err)
{
    session *s = user;
    s->items.step = s->step;
    return write_item(&s->items, r, item, err);
}

/* What the numbers of a method depend on, as text. */
static void settings_text(const hs_interpret_config *c, char *out, size_t size)
{
    snprintf(out, size, "splits=%s max=%u exhaustive=%d edge=%.9g random=%u seed=%" PRIu64, c->splits, c->max,
             c->exhaustive, c->edge, c->random_circuits, c->seed);
}

static hs_status look(session *s, const char *method, const hs_model *model, hs_error *err)
{
    char key[96], text[1024], done[1024];
    hs_interpret_config config = s->options->config;
    snprintf(config.methods, sizeof config.methods, "%s", method);
    settings_text(&config, text, sizeof text);
    snprintf(key, sizeof key, "interpret %" PRIu64 " %s", s->step, method);
    HS_TRY(hs_record_get_info(s->record, key, done, sizeof done, err));
    if (strcmp(done, text) == 0 && !s->items.writer && !s->options->sink)
        return HS_OK;
    const hs_sink sink = {.user = s, .reading = take_reading, .item = s->items.writer ? take_item : NULL};
    HS_TRY(hs_interpret(s->scope, model, NULL, &config, s->pool, s->signals, &sink, err));
    return hs_record_info(s->record, key, text, err);
}

/* Every wanted method on one model; rows are committed together. */
static hs_status look_at(session *s, const hs_model *model, hs_error *err)
{
    size_t n;
    const hs_method *const *methods = hs_methods(&n);
    const bool all = strcmp(s->options->config.methods, "all") == 0;
    for (size_t m = 0; m < n; m++) {
        if (!all && !hs_list_has(s->options->config.methods, methods[m]->name))
            continue;
        if (all && !hs_method_fits(methods[m], model, &s->run->data, &s->options->config))
            continue;
        hs_event_send(s->events, HS_EVENT_INFO, "interpret", "step %" PRIu64 ": %s", s->step, methods[m]->name);
        HS_TRY(look(s, methods[m]->name, model, err));
    }
    return hs_record_commit(s->record, err);
}

/* ---------------------------------------------------------------- which steps */

static bool is_among(uint64_t step, const uint64_t *have, size_t n)
{
    bool found = false;
    for (size_t k = 0; k < n; k++)
        found |= have[k] == step;
    return found;
}

static hs_status no_such_step(const char *step, const uint64_t *have, size_t n, hs_error *err)
{
    hs_str list = {0};
    hs_fail(err, HS_ERR_DATA, "there is no checkpoint of this step");
    hs_error_value(err, step, strlen(step));
    for (size_t k = 0; k < n && k < 12; k++)
        hs_str_addf(&list, "%s%" PRIu64, k ? ", " : "", have[k]);
    hs_error_hint(err, "stored: %s%s; train.checkpoints_per_decade keeps more", list.s ? list.s : "",
                  n > 12 ? ", ..." : "");
    hs_str_free(&list);
    return HS_ERR_DATA;
}

hs_status hs_run_wanted_steps(const char *wish, const hs_run *run, uint64_t **steps, size_t *n, hs_error *err)
{
    uint64_t *have;
    size_t n_have, kept = 0;
    HS_TRY(hs_run_checkpoints(run->dir, &have, &n_have, err));
    wish = wish && wish[0] ? wish : "last";
    if (n_have == 0) {
        hs_free(have);
        hs_fail(err, HS_ERR_DATA, "the run has no checkpoint yet");
        return hs_error_where(err, "%s", run->dir);
    }
    const bool all = strcmp(wish, "all") == 0, last = strcmp(wish, "last") == 0;
    char one[32];
    for (size_t i = 0; !all && !last && hs_list_get(wish, i, one, sizeof one); i++) {
        char *end;
        const uint64_t step = strtoull(one, &end, 10);
        if (*end || !is_among(step, have, n_have)) {
            const hs_status status = no_such_step(one, have, n_have, err);
            hs_free(have);
            return status;
        }
    }
    for (size_t k = 0; k < n_have; k++) {
        snprintf(one, sizeof one, "%" PRIu64, have[k]);
        if (all || (last && have[k] == run->step) || hs_list_has(wish, one))
            have[kept++] = have[k];
    }
    *steps = have;
    *n = kept;
    return HS_OK;
}

/* ---------------------------------------------------------------- the whole */

static hs_status look_at_step(session *s, uint64_t step, hs_error *err)
{
    HS_TRY(hs_run_load_step(s->run, step, err));
    s->step = step;
    return look_at(s, &s->run->model, err);
}

/* The same model as drawn before any training: what the methods find where there is nothing to find. Step 0. */
static hs_status look_at_untrained(session *s, hs_error *err)
{
    hs_model fresh = {0};
    HS_TRY(hs_model_create(&fresh, &s->run->model.config, s->run->config.train.seed, err));
    s->step = 0;
    const hs_status status = look_at(s, &fresh, err);
    hs_model_free(&fresh);
    return status;
}

static hs_status look_at_all(session *s, hs_error *err)
{
    char path[4096], checkpoints[4096];
    uint64_t *steps = NULL;
    size_t n = 0;
    HS_TRY(hs_run_wanted_steps(s->options->steps, s->run, &steps, &n, err));
    hs_status status = hs_path_join(path, sizeof path, s->run->dir, "run.db", err);
    if (status == HS_OK)
        status = hs_path_join(checkpoints, sizeof checkpoints, s->run->dir, "checkpoints", err);
    if (status == HS_OK)
        status = hs_interpret_check(&s->run->model, &s->run->data, &s->options->config, err);
    if (status == HS_OK)
        status = hs_run_check_record(path, checkpoints, err);
    if (status == HS_OK)
        status = hs_record_open(&s->record, path, err);
    if (status == HS_OK)
        status = hs_scope_create(&s->scope, &s->run->data, err);
    if (status == HS_OK && s->options->items_path)
        status = open_items(&s->items, s->options->items_path, err);
    if (status == HS_OK && s->options->untrained)
        status = look_at_untrained(s, err);
    for (size_t i = 0; i < n && status == HS_OK; i++)
        status = look_at_step(s, steps[i], err);
    if (s->items.writer && status == HS_OK)
        status = hs_writer_commit(s->items.writer, err);
    else
        hs_writer_abort(s->items.writer);
    hs_scope_free(s->scope);
    hs_record_close(s->record);
    hs_free(steps);
    return status;
}

hs_status hs_run_interpret(const char *run_dir, const hs_run_interpret_options *options, const hs_signals *signals,
                           const hs_events *events, hs_error *err)
{
    hs_run *run = hs_calloc(1, sizeof *run);
    if (!run)
        return hs_fail_memory(err, sizeof *run);
    hs_run_lock lock = {.fd = -1};
    session s = {.options = options, .signals = signals, .events = events, .run = run};
    hs_status status = hs_run_open(run, run_dir, HS_LATEST, err);
    if (status == HS_OK)
        status = hs_run_lock_take(&lock, run_dir, err);
    if (status == HS_OK && run->damage.status != HS_OK)
        hs_event_send(events, HS_EVENT_WARNING, "interpret",
                      "step %" PRIu64 " is used, a newer checkpoint is damaged: %s: %s", run->step, run->damage.where,
                      run->damage.what);
    if (status == HS_OK && !(s.pool = hs_pool_create(options->threads)))
        status = hs_fail(err, HS_ERR_MEMORY, "worker threads cannot be started");
    if (status == HS_OK)
        status = look_at_all(&s, err);
    hs_pool_free(s.pool);
    hs_run_lock_release(&lock, run_dir);
    hs_run_close(run);
    hs_free(run);
    return status;
}
