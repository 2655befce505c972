/* events.c - when a run memorized, recovered the bridge and answered each test split, and over several runs how long it takes.
 *
 * Everything is read from run.db; a run in which an event did not happen says "not by step N" (survival.c).
 * Invariant: rows are in order of step, so the first that fits is the event. */
#include "experiment/internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const double MEMORIZED = 0.99; /* of every training split, as in arXiv 2405.15071 */

/* The event of this name, made if absent. NULL: no memory. */
static hs_event_time *event_named(hs_run_events *e, const char *name, hs_error *err)
{
    for (size_t i = 0; i < e->n; i++)
        if (strcmp(e->event[i].name, name) == 0)
            return &e->event[i];
    size_t cap = e->n; /* grown one by one: there are a handful */
    if (hs_grow((void **)&e->event, &cap, e->n + 1, sizeof *e->event, err) != HS_OK)
        return NULL;
    e->event[e->n] = (hs_event_time){0};
    snprintf(e->event[e->n].name, sizeof e->event[e->n].name, "%s", name);
    return &e->event[e->n++];
}

/* Looked at in `step`; `there`: it holds. */
static hs_status look(hs_run_events *e, const char *name, uint64_t step, bool there, hs_error *err)
{
    hs_event_time *event = event_named(e, name, err);
    if (!event)
        return HS_ERR_MEMORY;
    if (!event->reached) {
        event->step = step;
        event->reached = there;
    }
    return HS_OK;
}

static hs_status memorized(hs_run_events *e, const hs_dataset *data, const hs_eval_row *rows, size_t n, hs_error *err)
{
    for (size_t i = 0; i < n;) {
        const uint64_t step = rows[i].step;
        bool any = false, all = true;
        for (; i < n && rows[i].step == step; i++) {
            const hs_split *split = hs_dataset_split(data, rows[i].eval.split);
            if (!split || split->role != HS_SPLIT_TRAIN)
                continue;
            any = true;
            all &= rows[i].eval.accuracy >= MEMORIZED;
        }
        if (any)
            HS_TRY(look(e, "memorized", step, all, err));
    }
    return HS_OK;
}

static hs_status accurate(hs_run_events *e, const hs_dataset *data, const hs_eval_row *rows, size_t n, double threshold,
                          hs_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const hs_split *split = hs_dataset_split(data, rows[i].eval.split);
        if (split && split->role == HS_SPLIT_TEST)
            HS_TRY(look(e, split->name, rows[i].step, rows[i].eval.accuracy >= threshold, err));
    }
    return HS_OK;
}

/* Does the row speak of the bridge's recovery: strictly, or by its rank where its hop ends, at a middle stage? */
static bool of_bridge(const hs_probe_row *r)
{
    if (r->role[0] != 'b' || strchr(r->role, '\'') || r->n == 0 || r->step == 0)
        return false;
    if (strcmp(r->measure, "found_strict") == 0)
        return true;
    char place[16];
    const char hop = r->role[1] ? r->role[1] : '1';
    snprintf(place, sizeof place, "r%c", hop);
    return strcmp(r->measure, "mrr") == 0 && r->stage > 0 && strcmp(r->position, place) == 0;
}

static hs_status bridges(hs_run_events *e, hs_record *record, double threshold, hs_error *err)
{
    hs_probe_row *rows;
    size_t n;
    const hs_probe_filter filter = {.method = "lens"};
    HS_TRY(hs_record_probes(record, &filter, &rows, &n, err));
    hs_status status = HS_OK;
    for (size_t i = 0; i < n && status == HS_OK; i++) {
        char name[64];
        if (!of_bridge(&rows[i]))
            continue;
        snprintf(name, sizeof name, "bridge%s %s", rows[i].role + 1, rows[i].split);
        status = look(e, name, rows[i].step, rows[i].value >= threshold, err);
    }
    hs_free(rows);
    return status;
}

static hs_status read_all(hs_run_events *e, const hs_run *run, hs_record *record, double threshold, hs_error *err)
{
    hs_eval_row *rows;
    size_t n;
    HS_TRY(hs_record_evals(record, &rows, &n, err));
    hs_status status = memorized(e, &run->data, rows, n, err);
    if (status == HS_OK)
        status = bridges(e, record, threshold, err);
    if (status == HS_OK)
        status = accurate(e, &run->data, rows, n, threshold, err);
    hs_free(rows);
    return status;
}

hs_status hs_run_events_read(const char *run_dir, double threshold, hs_run_events *out, hs_error *err)
{
    *out = (hs_run_events){0};
    const size_t len = strlen(run_dir);
    snprintf(out->run, sizeof out->run, "%s", len < sizeof out->run ? run_dir : run_dir + len - sizeof out->run + 1);
    hs_run *run = hs_calloc(1, sizeof *run);
    if (!run)
        return hs_fail_memory(err, sizeof *run);
    char path[4096];
    hs_record *record = NULL;
    hs_status status = hs_run_open_data(run, run_dir, err);
    if (status == HS_OK)
        status = hs_path_join(path, sizeof path, run_dir, "run.db", err);
    if (status == HS_OK)
        status = hs_record_open_read(&record, path, err);
    if (status == HS_OK)
        status = read_all(out, run, record, threshold, err);
    hs_record_close(record);
    hs_run_close(run);
    hs_free(run);
    if (status != HS_OK)
        hs_run_events_free(out);
    return status;
}

void hs_run_events_free(hs_run_events *events)
{
    hs_free(events->event);
    events->event = NULL;
    events->n = 0;
}

/* ---------------------------------------------------------------- several runs */

static const hs_event_time *find(const hs_run_events *e, const char *name)
{
    for (size_t i = 0; i < e->n; i++)
        if (strcmp(e->event[i].name, name) == 0)
            return &e->event[i];
    return NULL;
}

static hs_status estimate(const hs_run_events *runs, size_t n, const char *name, hs_survival *out, hs_error *err)
{
    double *time = hs_alloc((n + 1) * sizeof *time);
    bool *event = hs_alloc((n + 1) * sizeof *event);
    uint32_t known = 0;
    for (size_t r = 0; r < n && time && event; r++) {
        const hs_event_time *e = find(&runs[r], name);
        if (!e)
            continue;
        time[known] = (double)e->step;
        event[known++] = e->reached;
    }
    const hs_status status =
        time && event ? hs_survival_estimate(known, time, event, out, err) : hs_fail_memory(err, n * sizeof *time);
    hs_free(time);
    hs_free(event);
    return status;
}

/* Is `name`, of run `run`, in none of the runs before it? */
static bool is_new(const hs_run_events *runs, size_t run, const char *name)
{
    for (size_t r = 0; r < run; r++)
        if (find(&runs[r], name))
            return false;
    return true;
}

static void add_step(hs_str *out, double step)
{
    char text[32];
    if (isinf(step))
        snprintf(text, sizeof text, "open");
    else
        snprintf(text, sizeof text, "%.0f", step);
    hs_str_addf(out, " %10s", text);
}

static hs_status text_line(const hs_run_events *runs, size_t n, const char *name, hs_str *out, hs_error *err)
{
    hs_str_addf(out, "%-24s", name);
    for (size_t r = 0; r < n; r++) {
        const hs_event_time *e = find(&runs[r], name);
        char text[32] = "-";
        if (e)
            snprintf(text, sizeof text, "%s%" PRIu64, e->reached ? "" : ">", e->step);
        hs_str_addf(out, " %10s", text);
    }
    if (n > 1) {
        hs_survival s;
        HS_TRY(estimate(runs, n, name, &s, err));
        add_step(out, s.median);
        add_step(out, s.low);
        add_step(out, s.high);
    }
    hs_str_addf(out, "\n");
    return HS_OK;
}

hs_status hs_run_events_text(const hs_run_events *runs, size_t n, hs_str *out, hs_error *err)
{
    for (size_t r = 0; n > 1 && r < n; r++)
        hs_str_addf(out, "run %zu: %s\n", r + 1, runs[r].run);
    hs_str_addf(out, "%-24s", "event");
    for (size_t r = 0; r < n; r++) {
        char head[32] = "step";
        if (n > 1)
            snprintf(head, sizeof head, "run %zu", r + 1);
        hs_str_addf(out, " %10s", head);
    }
    if (n > 1)
        hs_str_addf(out, " %10s %10s %10s", "median", "95% from", "to");
    hs_str_addf(out, "\n");
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < runs[r].n; i++)
            if (is_new(runs, r, runs[r].event[i].name))
                HS_TRY(text_line(runs, n, runs[r].event[i].name, out, err));
    hs_str_addf(out, "Steps; >N: not by step N, the last that was looked at.\n");
    return HS_OK;
}

static void json_step(hs_str *out, const char *name, double step)
{
    if (isinf(step))
        hs_str_addf(out, ", \"%s\": null", name);
    else
        hs_str_addf(out, ", \"%s\": %.0f", name, step);
}

static hs_status json_event(const hs_run_events *runs, size_t n, const char *name, hs_str *out, hs_error *err)
{
    hs_survival s;
    HS_TRY(estimate(runs, n, name, &s, err));
    hs_str_addf(out, "{\"event\": ");
    hs_str_add_json(out, name, strlen(name));
    json_step(out, "median", s.median);
    json_step(out, "low", s.low);
    json_step(out, "high", s.high);
    hs_str_addf(out, ", \"runs\": [");
    for (size_t r = 0, known = 0; r < n; r++) {
        const hs_event_time *e = find(&runs[r], name);
        if (!e)
            continue;
        hs_str_addf(out, "%s{\"run\": ", known++ ? ", " : "");
        hs_str_add_json(out, runs[r].run, strlen(runs[r].run));
        hs_str_addf(out, ", \"reached\": %s, \"step\": %" PRIu64 "}", e->reached ? "true" : "false", e->step);
    }
    hs_str_addf(out, "]}");
    return HS_OK;
}

hs_status hs_run_events_json(const hs_run_events *runs, size_t n, hs_str *out, hs_error *err)
{
    bool any = false;
    hs_str_addf(out, "[");
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < runs[r].n; i++)
            if (is_new(runs, r, runs[r].event[i].name)) {
                hs_str_addf(out, "%s", any ? ",\n " : "");
                any = true;
                HS_TRY(json_event(runs, n, runs[r].event[i].name, out, err));
            }
    hs_str_addf(out, "]\n");
    return HS_OK;
}
