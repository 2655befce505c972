/* work.c - what takes time: questions to models on one thread, bundles and catching up on another. A request waits
 * suspended until its answer is there.
 *
 * What clients can make the machine do is bounded: one question at a time and HS_QUESTIONS that wait; one bundle at a
 * time, and a bundle that is still true is not made again. */
#include "report/page/page.h"
#include "report/serve/serve.h"

#include <string.h>

/* A bundle takes at most one part in fifty of a core, beside a training that changes it all the time; but nobody waits longer. */
enum { BUNDLE_SHARE = 50, BUNDLE_WAIT = 5 };

static hs_bundle_entry *kept_entry(hs_server *s, const hs_watched *run);

/* ---------------------------------------------------------------- queues */

bool hs_work_start(hs_request *q)
{
    hs_server *s = q->server;
    pthread_mutex_lock(&s->lock);
    hs_queue *queue = &s->queue[q->kind == HS_WORK_ASK ? 0 : 1];
    const bool room = !s->stopping && (q->kind != HS_WORK_ASK || queue->n < HS_QUESTIONS);
    if (room) {
        q->next = NULL;
        *queue->end = q;
        queue->end = &q->next;
        queue->n++;
        q->suspended = true;
        MHD_suspend_connection(q->connection);
        pthread_cond_signal(&queue->more);
    }
    pthread_mutex_unlock(&s->lock);
    return room;
}

static hs_request *take_out(hs_queue *queue, hs_request **at)
{
    hs_request *q = *at;
    *at = q->next;
    if (!q->next)
        queue->end = at;
    queue->n--;
    return q;
}

/* Under the lock. NULL: the server stops. */
static hs_request *next_question(hs_server *s)
{
    hs_queue *queue = &s->queue[0];
    while (!s->stopping && !queue->first)
        pthread_cond_wait(&queue->more, &s->lock);
    return s->stopping ? NULL : take_out(queue, &queue->first);
}

/* The same for the worker. A bundle waits until it may be made again: those who wait for it then share it. */
static hs_request *next_job(hs_server *s)
{
    hs_queue *queue = &s->queue[1];
    while (!s->stopping) {
        const bool due = hs_now() >= s->bundle_after;
        for (hs_request **at = &queue->first; *at; at = &(*at)->next)
            if (due || (*at)->kind != HS_WORK_BUNDLE || kept_entry(s, (*at)->run))
                return take_out(queue, at);
        if (queue->first)
            hs_wait_until(&queue->more, &s->lock, s->bundle_after);
        else
            pthread_cond_wait(&queue->more, &s->lock);
    }
    return NULL;
}

void hs_work_done(hs_request *q)
{
    q->done = true;
    if (!q->suspended)
        return;
    q->suspended = false;
    MHD_resume_connection(q->connection);
}

static void answer(hs_request *q, unsigned code, hs_str *text)
{
    q->answer.code = code;
    q->answer.text = hs_text_take(text);
}

static void answer_error(hs_request *q, const hs_error *err)
{
    hs_str text = {0};
    hs_error_json(&text, err);
    const bool later = err->status == HS_ERR_MEMORY || err->status == HS_STOPPED_INT || err->status == HS_STOPPED_TERM;
    answer(q, later ? 503 : err->status == HS_ERR_FAILED ? 500 : 400, &text);
}

/* ---------------------------------------------------------------- questions */

static hs_desk_kept *slot_for(hs_server *s, const hs_watched *run)
{
    hs_desk_kept *oldest = &s->asked[0];
    for (int i = 0; i < HS_KEPT; i++) {
        if (s->asked[i].desk && s->asked[i].run == run)
            return &s->asked[i];
        if (s->asked[i].used < oldest->used)
            oldest = &s->asked[i];
    }
    return oldest;
}

/* A desk stays with the weights it has, while the training goes on. */
static hs_status newest_step(const char *dir, uint64_t *out, hs_error *err)
{
    uint64_t *step = NULL;
    size_t n = 0;
    HS_TRY(hs_run_checkpoints(dir, &step, &n, err));
    *out = n ? step[n - 1] : HS_LATEST;
    hs_free(step);
    return HS_OK;
}

static hs_status ask(hs_server *s, hs_request *q, hs_str *out, hs_error *err)
{
    hs_desk_kept *a = slot_for(s, q->run);
    if (a->desk && (a->run != q->run || a->history != q->history)) {
        hs_page_desk_close(a->desk);
        a->desk = NULL;
    }
    if (!a->desk)
        HS_TRY(hs_page_desk_open(&a->desk, q->run->dir, err));
    a->run = q->run;
    a->history = q->history;
    a->used = ++s->uses;
    uint64_t step = q->params.step;
    if (!q->params.has_step)
        HS_TRY(newest_step(q->run->dir, &step, err));
    return hs_page_desk_ask(a->desk, step, (const char *const *)q->params.word, q->params.n_words, out, err);
}

void *hs_asker_main(void *server)
{
    hs_server *s = server;
    hs_request *q;
    pthread_mutex_lock(&s->lock);
    while ((q = next_question(s)) != NULL) {
        q->history = q->run->history;
        pthread_mutex_unlock(&s->lock);
        hs_str text = {0};
        hs_error err = {0};
        if (ask(s, q, &text, &err) == HS_OK) {
            answer(q, 200, &text);
        } else {
            hs_str_free(&text);
            answer_error(q, &err);
        }
        pthread_mutex_lock(&s->lock);
        hs_work_done(q);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---------------------------------------------------------------- bundles */

static hs_bundle_entry *kept_entry(hs_server *s, const hs_watched *run)
{
    for (int i = 0; i < HS_KEPT; i++) {
        hs_bundle_entry *b = &s->bundle[i];
        if (b->text && b->run == run && b->version == (run ? run->version : s->version))
            return b;
    }
    return NULL;
}

hs_text *hs_bundle_kept(hs_server *s, const hs_watched *run)
{
    hs_bundle_entry *b = kept_entry(s, run);
    if (b)
        b->used = ++s->uses_bundle;
    return b ? hs_text_share(b->text) : NULL;
}

static void keep_bundle(hs_server *s, const hs_watched *run, uint64_t version, hs_text *text)
{
    hs_bundle_entry *b = &s->bundle[0];
    for (int i = 0; i < HS_KEPT; i++)
        if (s->bundle[i].used < b->used)
            b = &s->bundle[i];
    for (int i = 0; i < HS_KEPT; i++)
        if (s->bundle[i].text && s->bundle[i].run == run)
            b = &s->bundle[i];
    hs_text_drop(b->text);
    *b = (hs_bundle_entry){.text = hs_text_share(text), .run = run, .version = version, .used = ++s->uses_bundle};
}

/* The runs a bundle is of, as they are now. Under the lock. */
static hs_page_folder *folders_of(hs_server *s, const hs_watched *run, size_t *n)
{
    hs_page_folder *folder = hs_calloc(run ? 1 : s->n_runs + 1, sizeof *folder);
    *n = 0;
    for (size_t i = 0; folder && i < s->n_runs; i++) {
        const hs_watched *r = s->run[i];
        if (!r->there || (run && r != run))
            continue;
        snprintf(folder[*n].dir, sizeof folder[*n].dir, "%s", r->dir);
        snprintf(folder[*n].id, sizeof folder[*n].id, "%s", r->id);
        ++*n;
    }
    return folder;
}

static double thread_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Under the lock, which is given up while it works. */
static void bundle(hs_server *s, hs_request *q)
{
    q->answer.code = 200;
    q->answer.text = hs_bundle_kept(s, q->run);
    if (q->answer.text)
        return;
    const uint64_t version = q->run ? q->run->version : s->version;
    size_t n;
    hs_page_folder *folder = folders_of(s, q->run, &n);
    pthread_mutex_unlock(&s->lock);
    char command[4200];
    snprintf(command, sizeof command, "hopscope serve %s", s->root);
    const hs_page_options options = {.live = true, .command = command, .threads = 1};
    hs_str text = {0};
    hs_error err = {0};
    const double before = thread_seconds();
    const hs_status status = folder ? hs_page_bundle_of(folder, n, &options, &s->signals, &text, &err)
                                    : hs_fail_memory(&err, sizeof *folder);
    hs_free(folder);
    if (status == HS_OK) {
        answer(q, 200, &text);
    } else {
        hs_str_free(&text);
        answer_error(q, &err);
    }
    const double cost = BUNDLE_SHARE * (thread_seconds() - before);
    pthread_mutex_lock(&s->lock);
    s->bundle_after = hs_now() + (cost < BUNDLE_WAIT ? cost : BUNDLE_WAIT);
    if (status == HS_OK && q->answer.text)
        keep_bundle(s, q->run, version, q->answer.text);
}

/* ---------------------------------------------------------------- catching up */

typedef struct catching {
    const hs_request *q;
    hs_str text;
} catching;

/* These ids name no place in the news: who is cut off amid them catches up again. */
static void add_event(void *user, const char *event, uint64_t step, uint64_t mark, hs_str *data)
{
    catching *c = user;
    hs_event_id id = {.step = step, .marked = true, .mark = mark};
    snprintf(id.run, sizeof id.run, "%s", c->q->caught_run->id);
    if (c->text.len <= HS_CATCH_UP_BYTES) /* beyond, all of it is given up */
        hs_event_text(&c->text, event, &id, data);
    hs_str_free(data);
}

/* What the run's record has after the event that the client had last. *reload: the client cannot go on from there. */
static hs_status catch_up(hs_request *q, hs_record *record, catching *c, bool *reload, hs_error *err)
{
    const hs_event_id *from = &q->from;
    hs_probe_count *counts = NULL;
    hs_eval_row *rows = NULL;
    size_t n_counts = 0, n = 0, n_steps = 0;
    uint64_t link = 0, *steps = NULL;
    char ended_by[32];
    HS_TRY(hs_record_probe_counts(record, &counts, &n_counts, err));
    hs_status status = hs_record_link_at(record, from->step, &link, err);
    if (status == HS_OK)
        status = hs_record_evals_from(record, from->step + 1, &rows, &n, err);
    if (status == HS_OK)
        status = hs_record_get_info(record, "ended_by", ended_by, sizeof ended_by, err);
    if (status == HS_OK && !(steps = hs_alloc((n_counts + 1) * sizeof *steps)))
        status = hs_fail_memory(err, n_counts * sizeof *steps);
    const uint64_t before = hs_history_mark(link, counts, n_counts, from->step),
                   with = hs_history_mark(link, counts, n_counts, from->step + 1);
    *reload = from->marked && from->mark != before && from->mark != with;
    const uint64_t first = from->marked && from->mark == before && before != with ? from->step : from->step + 1;
    for (size_t i = 0; status == HS_OK && i < n_counts; i++)
        if (counts[i].step >= first)
            steps[n_steps++] = counts[i].step;
    if (status == HS_OK && !*reload) {
        const hs_story story = {.run = q->caught_run->id,
                                .counts = counts,
                                .n_counts = n_counts,
                                .steps = steps,
                                .n_steps = n_steps,
                                .tell = add_event,
                                .user = c};
        status = hs_story_tell(record, &story, rows, n, err);
        q->caught_up = n ? rows[n - 1].step : from->step;
        if (status == HS_OK && ended_by[0]) {
            hs_str data = {0};
            hs_about_json(&data, q->caught_run->id, "ended_by", ended_by);
            uint64_t end = 0;
            status = hs_record_link_at(record, q->caught_up, &end, err);
            add_event(c, "ended", q->caught_up, hs_history_mark(end, counts, n_counts, q->caught_up + 1), &data);
        }
    }
    hs_free(counts);
    hs_free(rows);
    hs_free(steps);
    return status;
}

static void answer_catch_up(hs_request *q)
{
    char db[4096 + 16];
    hs_record *record = NULL;
    catching c = {.q = q};
    bool reload = false;
    snprintf(db, sizeof db, "%s/run.db", q->caught_run->dir);
    hs_status status = hs_record_open_read(&record, db, NULL);
    if (status == HS_OK)
        status = catch_up(q, record, &c, &reload, NULL);
    hs_record_close(record);
    if (status != HS_OK || reload || c.text.failed || c.text.len > HS_CATCH_UP_BYTES) {
        hs_str_free(&c.text);
        c.text = (hs_str){0};
        q->caught_run = NULL;
        hs_reload_text(q->server, q->run, q->seq, &c.text);
    }
    answer(q, 200, &c.text);
}

void *hs_worker_main(void *server)
{
    hs_server *s = server;
    hs_request *q;
    pthread_mutex_lock(&s->lock);
    while ((q = next_job(s)) != NULL) {
        if (q->kind == HS_WORK_BUNDLE) {
            bundle(s, q);
        } else {
            pthread_mutex_unlock(&s->lock);
            answer_catch_up(q);
            pthread_mutex_lock(&s->lock);
        }
        hs_work_done(q);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

void hs_work_free(hs_server *s)
{
    for (int i = 0; i < HS_KEPT; i++) {
        hs_page_desk_close(s->asked[i].desk);
        hs_text_drop(s->bundle[i].text);
    }
}
