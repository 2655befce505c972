/* watch.c - the one thread that looks at runs: finds them in the folder, sees by the files of run.db whether anything
 * was written, reads what is new and puts it into the news.
 *
 * A look at a run where nothing happened is two calls of stat. A record is opened for the moment of reading only, so
 * that the training's own end finds no reader and leaves run.db whole, without its log. */
#include "report/page/page.h"
#include "report/serve/serve.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Files whose time stamps are coarse are looked at once more when they have been still for so long. */
static const double SETTLE = 1.0, DISCOVER = 2.0;
/* Counting the measurements of a run takes at most this share of the time. */
enum { COUNT_SHARE = 20 };

/* ---------------------------------------------------------------- finding */

const hs_watched *hs_watched_find(const hs_server *s, const char *id)
{
    for (size_t i = 0; i < s->n_runs; i++)
        if (s->run[i]->there && strcmp(s->run[i]->id, id) == 0)
            return s->run[i];
    return NULL;
}

void hs_watched_free(hs_watched *run)
{
    if (run)
        hs_free(run->probe);
    hs_free(run);
}

static void run_json(const hs_watched *r, hs_str *out)
{
    hs_page_open(out, '{');
    hs_page_key_text(out, "id", r->id);
    hs_page_key_text(out, "title", r->title);
    hs_page_key_whole(out, "steps", r->last);
    hs_page_key_text(out, "ended_by", r->ended_by);
    if (!r->readable) {
        hs_page_key_text(out, "error", r->error);
    }
    hs_page_close(out, '}');
}

void hs_watched_json(const hs_server *s, hs_str *out)
{
    hs_page_open(out, '[');
    for (size_t i = 0; i < s->n_runs; i++)
        if (s->run[i]->there)
            run_json(s->run[i], out);
    hs_page_close(out, ']');
}

/* A run folder that was not known yet. Its record is read at the next look. */
static void add_run(hs_server *s, const char *dir, const char *id)
{
    for (size_t i = 0; i < s->n_runs; i++)
        if (strcmp(s->run[i]->id, id) == 0)
            return;
    if (s->n_runs == HS_MAX_RUNS || strlen(id) >= HS_RUN_ID || hs_utf8_invalid(id, strlen(id)) != SIZE_MAX)
        return;
    hs_watched *run = hs_calloc(1, sizeof *run);
    pthread_mutex_lock(&s->lock);
    void *p = s->run;
    if (run && hs_grow(&p, &s->cap_runs, s->n_runs + 1, sizeof *s->run, NULL) == HS_OK) {
        s->run = p;
        snprintf(run->dir, sizeof run->dir, "%s", dir);
        snprintf(run->id, sizeof run->id, "%s", id);
        run->readable = true;
        s->run[s->n_runs++] = run;
        run = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    hs_watched_free(run);
}

/* Runs in `dir` and below it; `skip` bytes of a path are the root's. Nothing is looked for inside a run. */
static void discover_in(hs_server *s, const char *dir, size_t skip, int depth)
{
    struct dirent **entry = NULL;
    const int n = scandir(dir, &entry, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char path[4096], db[4096];
        struct stat st;
        if (entry[i]->d_name[0] != '.' && hs_path_join(path, sizeof path, dir, entry[i]->d_name, NULL) == HS_OK &&
            hs_path_join(db, sizeof db, path, "run.db", NULL) == HS_OK && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            if (hs_file_exists(db))
                add_run(s, path, path + skip);
            else if (depth > 1)
                discover_in(s, path, skip, depth - 1);
        }
        free(entry[i]);
    }
    free(entry);
}

static void discover(hs_server *s)
{
    if (!s->single) {
        const size_t len = strlen(s->root);
        discover_in(s, s->root, len + (s->root[len - 1] != '/'), HS_FOLDER_DEPTH);
    } else if (s->n_runs == 0) {
        char full[PATH_MAX];
        const char *path = realpath(s->root, full) ? full : s->root, *name = strrchr(path, '/');
        add_run(s, s->root, name && name[1] ? name + 1 : path);
    }
}

/* ---------------------------------------------------------------- reading */

/* False: the record is not there. */
static bool mark_files(const hs_watched *run, hs_file_mark *out)
{
    static const char *const names[] = {"run.db", "run.db-wal"};
    memset(out, 0, sizeof *out);
    for (int i = 0; i < 2; i++) {
        char path[4096 + 16];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", run->dir, names[i]);
        const bool there = stat(path, &st) == 0;
        if (there && (i == 0 || st.st_size > 0)) { /* a reader makes an empty log and removes it */
            out->inode[i] = (uint64_t)st.st_ino;
            out->size[i] = (uint64_t)st.st_size;
            out->changed[i] = st.st_mtim;
        } else if (!there && i == 0) {
            return false;
        }
    }
    return true;
}

typedef struct looking {
    hs_server *server;
    hs_watched *run;
    hs_record *record;
    hs_eval_row *eval;
    size_t n_eval;
    hs_probe_count *probe; /* as they are now; NULL and counted false: not counted this time */
    size_t n_probe;
    bool counted;
    uint64_t *steps; /* whose measurements are new */
    size_t n_steps;
    bool rewritten; /* what was told before is no longer so */
} looking;

static void tell_news(void *user, const char *event, uint64_t step, uint64_t mark, hs_str *data)
{
    const looking *l = user;
    hs_news_add(l->server, l->run, event, step, mark, data);
}

/* Measurements may be added to any step, at any time, by hopscope interpret; so all are counted, now and then. */
static hs_status count_probes(looking *l, double now, hs_error *err)
{
    hs_watched *r = l->run;
    r->probes_due = now < r->count_after;
    if (r->probes_due)
        return HS_OK;
    const double before = hs_now();
    HS_TRY(hs_record_probe_counts(l->record, &l->probe, &l->n_probe, err));
    r->count_after = now + COUNT_SHARE * (hs_now() - before);
    l->counted = true;
    l->steps = hs_alloc((l->n_probe + 1) * sizeof *l->steps);
    if (!l->steps)
        return hs_fail_memory(err, l->n_probe * sizeof *l->steps);
    size_t old = 0;
    for (size_t i = 0; i < l->n_probe; i++) {
        const bool known = old < r->n_probe && r->probe[old].step == l->probe[i].step;
        if (old < r->n_probe && r->probe[old].step < l->probe[i].step) {
            l->rewritten = true; /* a step is there no more */
            return HS_OK;
        }
        if (!known || r->probe[old].n != l->probe[i].n)
            l->steps[l->n_steps++] = l->probe[i].step;
        old += known;
    }
    l->rewritten = l->rewritten || old < r->n_probe;
    return HS_OK;
}

/* Is what we know still the beginning of what is there? The evaluations from the last known one on are read with it. */
static hs_status compare(looking *l, hs_error *err)
{
    hs_watched *r = l->run;
    uint64_t link = 0;
    if (!r->known)
        return hs_record_evals(l->record, &l->eval, &l->n_eval, err);
    HS_TRY(hs_record_link_at(l->record, r->last, &link, err));
    HS_TRY(hs_record_evals_from(l->record, r->last, &l->eval, &l->n_eval, err));
    if (link != r->link || (r->last > 0 && (l->n_eval == 0 || l->eval[0].step != r->last)))
        l->rewritten = true;
    return HS_OK;
}

/* What the run is now, for everybody; returns whether it is another than before. */
static bool publish(looking *l, const char *title, const char *ended_by, uint64_t last, uint64_t link)
{
    hs_watched *r = l->run;
    pthread_mutex_lock(&l->server->lock);
    const bool changed = strcmp(r->title, title) != 0 || strcmp(r->ended_by, ended_by) != 0 || r->last != last ||
                         r->link != link || l->n_steps > 0 || l->rewritten || !r->readable;
    snprintf(r->title, sizeof r->title, "%s", title);
    snprintf(r->ended_by, sizeof r->ended_by, "%s", ended_by);
    r->readable = true;
    r->error[0] = 0;
    r->last = last;
    r->link = link;
    if (changed) {
        r->version++;
        l->server->version++;
    }
    r->history += l->rewritten;
    pthread_mutex_unlock(&l->server->lock);
    r->known = true;
    if (l->counted) {
        hs_free(r->probe);
        r->probe = l->probe;
        r->n_probe = l->n_probe;
        l->probe = NULL;
    }
    return changed;
}

static void tell_about(looking *l, const char *event, const char *key, const char *value)
{
    hs_watched *r = l->run;
    hs_str data = {0};
    if (strcmp(event, "run") == 0)
        run_json(r, &data);
    else
        hs_about_json(&data, r->id, key, value);
    hs_news_add(l->server, r, event, r->last, hs_history_mark(r->link, r->probe, r->n_probe, r->last + 1), &data);
}

static hs_status read_run(looking *l, bool quiet, double now, hs_error *err)
{
    hs_watched *r = l->run;
    char db[4096 + 16], title[256], ended_by[32];
    const bool was_ended = r->ended_by[0] != 0, was_readable = r->readable, fresh = !r->known;
    snprintf(db, sizeof db, "%s/run.db", r->dir);
    HS_TRY(hs_record_open_read(&l->record, db, err));
    HS_TRY(hs_record_get_info(l->record, "title", title, sizeof title, err));
    HS_TRY(hs_record_get_info(l->record, "ended_by", ended_by, sizeof ended_by, err));
    HS_TRY(compare(l, err));
    HS_TRY(count_probes(l, now, err));
    if (l->rewritten && l->n_eval == 0) { /* cut back: how far? */
        hs_free(l->eval);
        l->eval = NULL;
        HS_TRY(hs_record_evals(l->record, &l->eval, &l->n_eval, err));
    }
    const uint64_t before = r->last, last = l->n_eval ? l->eval[l->n_eval - 1].step : 0;
    uint64_t link = 0;
    HS_TRY(hs_record_link_at(l->record, last, &link, err));
    const bool changed = publish(l, title, ended_by, last, link);
    if (quiet || !changed)
        return HS_OK;
    if (fresh || !was_readable || (was_ended && !ended_by[0]))
        tell_about(l, "run", NULL, NULL);
    if (fresh || l->rewritten || !was_readable) { /* somebody may have loaded it before it was read here */
        tell_about(l, "reload", NULL, NULL);
    } else {
        const hs_story story = {.run = r->id,
                                .counts = r->probe,
                                .n_counts = r->n_probe,
                                .steps = l->steps,
                                .n_steps = l->n_steps,
                                .tell = tell_news,
                                .user = l};
        size_t old = 0;
        while (old < l->n_eval && l->eval[old].step <= before)
            old++;
        HS_TRY(hs_story_tell(l->record, &story, l->eval + old, l->n_eval - old, err));
    }
    if (ended_by[0] && !was_ended && !fresh)
        tell_about(l, "ended", "ended_by", ended_by);
    return HS_OK;
}

/* The run stays as it was last known; what is wrong is said once. */
static void tell_trouble(hs_server *s, hs_watched *r, const hs_error *err, bool quiet)
{
    char text[sizeof r->error];
    hs_error_format(err, text, sizeof text);
    looking l = {.server = s, .run = r};
    pthread_mutex_lock(&s->lock);
    const bool news = r->readable || strcmp(r->error, text) != 0;
    r->readable = false;
    snprintf(r->error, sizeof r->error, "%s", text);
    if (news) {
        r->version++;
        s->version++;
    }
    pthread_mutex_unlock(&s->lock);
    if (news && !quiet)
        tell_about(&l, "trouble", "error", text);
}

/* ---------------------------------------------------------------- looking */

/* Of a run that is gone nothing is kept: another may come to its place. */
static void set_there(looking *l, bool there)
{
    hs_watched *r = l->run;
    pthread_mutex_lock(&l->server->lock);
    r->there = there;
    r->version++;
    r->history++;
    l->server->version++;
    r->last = r->link = 0;
    r->title[0] = r->ended_by[0] = r->error[0] = 0;
    r->readable = true;
    pthread_mutex_unlock(&l->server->lock);
    hs_free(r->probe);
    r->probe = NULL;
    r->n_probe = 0;
    r->look_again = r->count_after = 0;
    r->probes_due = r->known = false;
    memset(&r->mark, 0, sizeof r->mark);
    if (!there)
        tell_about(l, "gone", NULL, NULL);
}

static void look_at(hs_server *s, hs_watched *r, bool quiet, double now)
{
    hs_file_mark mark;
    const bool there = mark_files(r, &mark);
    looking l = {.server = s, .run = r};
    if (there != r->there)
        set_there(&l, there);
    if (!there)
        return;
    const bool touched = memcmp(&r->mark, &mark, sizeof mark) != 0;
    const bool again = (r->look_again > 0 && now >= r->look_again) || (r->probes_due && now >= r->count_after);
    if (!touched && !again)
        return;
    r->mark = mark;
    if (touched)
        r->look_again = now + SETTLE;
    else if (now >= r->look_again)
        r->look_again = 0;
    hs_error err = {0};
    if (read_run(&l, quiet, now, &err) != HS_OK && (quiet || !touched)) /* else it may just be being made */
        tell_trouble(s, r, &err, quiet);
    hs_record_close(l.record);
    hs_free(l.eval);
    hs_free(l.probe);
    hs_free(l.steps);
}

static void look_at_all(hs_server *s, bool quiet)
{
    const double now = hs_now();
    if (now >= s->discover_at) {
        discover(s);
        s->discover_at = now + DISCOVER;
    }
    for (size_t i = 0; i < s->n_runs; i++)
        look_at(s, s->run[i], quiet, now);
}

void hs_watch_first(hs_server *server)
{
    look_at_all(server, true);
}

void *hs_watch_main(void *server)
{
    hs_server *s = server;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        hs_wait_until(&s->tick, &s->lock, hs_now() + s->options.poll_seconds);
        if (s->stopping)
            break;
        pthread_mutex_unlock(&s->lock);
        look_at_all(s, false);
        pthread_mutex_lock(&s->lock);
        hs_streams_beat(s, hs_now());
        hs_peers_check(s, hs_now());
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}
