/* tell.c - events as texts: what became known of a run, in JSON, in the order of its steps, each with an id that says
 * where in the run's history it stands.
 *
 * Invariant: an evaluation's mark counts the measurements of earlier steps, a measurement's mark those of its own step
 * too; so a client that comes back with either is told exactly what it has not got, or to load the run again. */
#include "report/page/page.h"
#include "report/serve/serve.h"

#include <string.h>

hs_text *hs_text_take(hs_str *str)
{
    hs_text *text = str->failed ? NULL : hs_alloc(sizeof *text + str->len + 1);
    if (text) {
        atomic_init(&text->uses, 1);
        text->len = str->len;
        if (str->len)
            memcpy(text->s, str->s, str->len);
        text->s[str->len] = 0;
    }
    hs_str_free(str);
    *str = (hs_str){0};
    return text;
}

hs_text *hs_text_share(hs_text *text)
{
    if (text)
        atomic_fetch_add(&text->uses, 1);
    return text;
}

void hs_text_drop(void *p)
{
    hs_text *text = p;
    if (text && atomic_fetch_sub(&text->uses, 1) == 1)
        hs_free(text);
}

/* ---------------------------------------------------------------- JSON */

static void add_number(hs_str *out, const char *key, double value)
{
    hs_page_key_number(out, key, value);
}

static void add_whole(hs_str *out, const char *key, uint64_t value)
{
    hs_page_key_whole(out, key, value);
}

static void add_text(hs_str *out, const char *key, const char *value)
{
    hs_page_key_text(out, key, value);
}

void hs_evaluation_json(hs_str *out, const char *run, const hs_eval_row *rows, size_t n, const hs_named_metric *metrics,
                        size_t n_metrics)
{
    hs_page_open(out, '{');
    add_text(out, "run", run);
    add_whole(out, "step", rows->step);
    hs_page_key(out, "splits");
    hs_page_open(out, '{');
    for (size_t i = 0; i < n; i++) {
        hs_page_key(out, rows[i].eval.split);
        hs_page_open(out, '{');
        add_number(out, "accuracy", rows[i].eval.accuracy);
        add_number(out, "loss", rows[i].eval.loss);
        add_number(out, "seconds", rows[i].seconds);
        add_whole(out, "n", rows[i].eval.n);
        hs_page_close(out, '}');
    }
    hs_page_close(out, '}');
    hs_page_key(out, "metrics");
    hs_page_open(out, '{');
    for (size_t i = 0; i < n_metrics; i++)
        add_number(out, metrics[i].name, metrics[i].value);
    hs_page_close(out, '}');
    hs_page_close(out, '}');
}

void hs_probe_json(hs_str *out, const char *run, uint64_t step, const hs_probe_row *rows, size_t n)
{
    hs_page_open(out, '{');
    add_text(out, "run", run);
    add_whole(out, "step", step);
    hs_page_key(out, "rows");
    hs_page_open(out, '[');
    for (size_t i = 0; i < n; i++) {
        const hs_probe_row *p = &rows[i];
        hs_page_open(out, '{');
        add_text(out, "method", p->method);
        add_text(out, "split", p->split);
        hs_page_key(out, "stage");
        hs_str_addf(out, "%d", p->stage);
        add_text(out, "position", p->position);
        add_text(out, "role", p->role);
        add_text(out, "measure", p->measure);
        add_whole(out, "n", p->n);
        add_number(out, "value", p->value);
        add_number(out, "low", p->low);
        add_number(out, "high", p->high);
        hs_page_close(out, '}');
    }
    hs_page_close(out, ']');
    hs_page_close(out, '}');
}

void hs_about_json(hs_str *out, const char *run, const char *key, const char *value)
{
    hs_page_open(out, '{');
    add_text(out, "run", run);
    if (key)
        add_text(out, key, value);
    hs_page_close(out, '}');
}

void hs_error_json(hs_str *out, const hs_error *err)
{
    char text[1024];
    hs_error plain = *err;
    plain.hint[0] = 0;
    hs_error_format(&plain, text, sizeof text);
    hs_page_open(out, '{');
    add_text(out, "error", text);
    add_text(out, "hint", err->hint);
    hs_page_close(out, '}');
}

void hs_event_text(hs_str *out, const char *event, const hs_event_id *id, const hs_str *data)
{
    hs_str_addf(out, "event: %s\nid: ", event);
    hs_event_id_add(out, id);
    hs_str_addf(out, "\ndata: ");
    hs_str_add(out, data->s ? data->s : "", data->len); /* JSON: has no line ends of its own */
    hs_str_addf(out, "\n\n");
    out->failed = out->failed || data->failed;
}

/* ---------------------------------------------------------------- steps in order */

uint64_t hs_history_mark(uint64_t link, const hs_probe_count *counts, size_t n, uint64_t until)
{
    uint64_t total = 0;
    for (size_t i = 0; i < n && counts[i].step < until; i++)
        total += counts[i].n;
    const uint64_t parts[] = {link, total};
    return hs_hash(parts, sizeof parts, 0);
}

static hs_status tell_evaluation(hs_record *record, const hs_story *story, const hs_eval_row *rows, size_t n,
                                 hs_error *err)
{
    hs_named_metric *metrics = NULL;
    size_t n_metrics = 0;
    uint64_t link = 0;
    hs_str data = {0};
    HS_TRY(hs_record_metrics_at(record, rows->step, &metrics, &n_metrics, err));
    const hs_status status = hs_record_link_at(record, rows->step, &link, err);
    if (status == HS_OK) {
        hs_evaluation_json(&data, story->run, rows, n, metrics, n_metrics);
        story->tell(story->user, "evaluation", rows->step,
                    hs_history_mark(link, story->counts, story->n_counts, rows->step), &data);
    }
    hs_free(metrics);
    return status;
}

static hs_status tell_probes(hs_record *record, const hs_story *story, uint64_t step, hs_error *err)
{
    const hs_probe_filter filter = {.first = step, .last = step};
    hs_probe_row *rows = NULL;
    size_t n = 0;
    uint64_t link = 0;
    hs_str data = {0};
    HS_TRY(hs_record_probes(record, &filter, &rows, &n, err));
    while (n && rows[n - 1].step != step) /* of step 0 the filter means all */
        n--;
    const hs_status status = hs_record_link_at(record, step, &link, err);
    if (status == HS_OK) {
        hs_probe_json(&data, story->run, step, rows, n);
        story->tell(story->user, "probe", step, hs_history_mark(link, story->counts, story->n_counts, step + 1), &data);
    }
    hs_free(rows);
    return status;
}

hs_status hs_story_tell(hs_record *record, const hs_story *story, const hs_eval_row *rows, size_t n, hs_error *err)
{
    size_t e = 0, p = 0;
    while (e < n || p < story->n_steps) {
        if (e < n && (p == story->n_steps || rows[e].step <= story->steps[p])) {
            size_t end = e;
            while (end < n && rows[end].step == rows[e].step)
                end++;
            HS_TRY(tell_evaluation(record, story, rows + e, end - e, err));
            e = end;
        } else {
            HS_TRY(tell_probes(record, story, story->steps[p++], err));
        }
    }
    return HS_OK;
}
