/* stream.c - events to clients (server-sent events, WHATWG HTML section 9.2).
 *
 * An event becomes one text in the news, which all clients share; a client is a number in the news and a place in the
 * text it is being sent. Nothing else is kept for it: one that is so slow that its place has left the news is told to
 * load its run again, and so is one that comes back too late and whose id does not say where it stood. */
#include "report/page/page.h"
#include "report/serve/serve.h"

#include <string.h>

/* ---------------------------------------------------------------- news */

static void drop_oldest(hs_server *s)
{
    hs_news *old = &s->news[s->oldest++ % HS_NEWS];
    s->news_bytes -= old->text ? old->text->len : 0;
    hs_text_drop(old->text);
    old->text = NULL;
}

static void wake(hs_stream *stream)
{
    if (!stream->suspended)
        return;
    stream->suspended = false;
    MHD_resume_connection(stream->connection);
}

void hs_news_add(hs_server *s, const hs_watched *run, const char *event, uint64_t step, uint64_t mark, hs_str *data)
{
    hs_event_id id = {.step = step, .marked = true, .mark = mark, .instance = s->instance};
    hs_str written = {0};
    snprintf(id.run, sizeof id.run, "%s", run ? run->id : "");
    pthread_mutex_lock(&s->lock);
    id.seq = s->next;
    hs_event_text(&written, event, &id, data);
    hs_str_free(data);
    hs_text *text = hs_text_take(&written);
    while (s->oldest < s->next &&
           (!text || s->next - s->oldest >= HS_NEWS || s->news_bytes + text->len > s->options.news_bytes))
        drop_oldest(s);
    if (text) {
        s->news[s->next % HS_NEWS] =
            (hs_news){.run = run, .step = step, .evaluation = strcmp(event, "evaluation") == 0, .text = text};
        s->news_bytes += text->len;
        s->next++;
    } else { /* no memory: everybody has missed something */
        s->oldest = ++s->next;
    }
    for (hs_stream *c = s->streams; c; c = c->next)
        wake(c);
    pthread_mutex_unlock(&s->lock);
}

bool hs_news_reach(const hs_server *s, const hs_event_id *id)
{
    return id->marked && id->instance == s->instance && id->seq + 1 >= s->oldest && id->seq < s->next;
}

void hs_streams_beat(hs_server *s, double now)
{
    for (hs_stream *c = s->streams; c; c = c->next)
        if (c->suspended && (s->stopping || now - c->sent >= s->options.beat_seconds)) {
            c->beat = true;
            wake(c);
        }
}

/* ---------------------------------------------------------------- a client */

void hs_reload_text(const hs_server *s, const hs_watched *run, uint64_t seq, hs_str *out)
{
    const hs_event_id id = {.marked = true, .instance = s->instance, .seq = seq - 1};
    hs_str data = {0};
    hs_about_json(&data, run ? run->id : NULL, NULL, NULL);
    hs_event_text(out, "reload", &id, &data);
    hs_str_free(&data);
}

/* The text to send next into c->now; false: there is none. */
static bool take_next(hs_stream *c)
{
    hs_server *s = c->server;
    if (c->seq < s->oldest) {
        hs_str text = {0};
        hs_reload_text(s, c->run, s->next, &text);
        c->now = hs_text_take(&text);
        c->seq = c->now ? s->next : c->seq; /* no memory: again later */
        return c->now != NULL;
    }
    while (!c->now && c->seq < s->next) {
        const hs_news *n = &s->news[c->seq++ % HS_NEWS];
        const bool wanted = !c->run || !n->run || n->run == c->run;
        if (wanted && !(n->evaluation && n->run == c->caught_run && n->step <= c->caught_up))
            c->now = hs_text_share(n->text);
    }
    return c->now != NULL;
}

static ssize_t read_stream(void *cls, uint64_t pos, char *out, size_t max)
{
    hs_stream *c = cls;
    hs_server *s = c->server;
    ssize_t sent = 0;
    (void)pos;
    pthread_mutex_lock(&s->lock);
    if (s->stopping) {
        sent = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (c->now || take_next(c)) {
        const size_t left = c->now->len - c->at, n = left < max ? left : max;
        memcpy(out, c->now->s + c->at, n);
        c->at += n;
        if (c->at == c->now->len) {
            hs_text_drop(c->now);
            c->now = NULL;
            c->at = 0;
        }
        sent = (ssize_t)n;
    } else if (c->beat && max >= 3) {
        memcpy(out, ":\n\n", 3);
        sent = 3;
    } else {
        c->suspended = true;
        MHD_suspend_connection(c->connection);
    }
    c->beat = false;
    if (sent > 0)
        c->sent = hs_now();
    pthread_mutex_unlock(&s->lock);
    return sent;
}

static void free_stream(void *cls)
{
    hs_stream *c = cls;
    pthread_mutex_lock(&c->server->lock);
    *c->self = c->next;
    if (c->next)
        c->next->self = c->self;
    c->server->n_streams--;
    pthread_mutex_unlock(&c->server->lock);
    hs_text_drop(c->now);
    hs_free(c);
}

struct MHD_Response *hs_stream_open(hs_request *q, hs_text *first)
{
    hs_server *s = q->server;
    hs_stream *c = hs_calloc(1, sizeof *c);
    struct MHD_Response *response =
        c ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 8192, read_stream, c, free_stream) : NULL;
    if (!response) {
        hs_free(c);
        hs_text_drop(first);
        return NULL;
    }
    *c = (hs_stream){.server = s,
                     .connection = q->connection,
                     .run = q->run,
                     .seq = q->seq,
                     .now = first,
                     .caught_run = q->caught_run,
                     .caught_up = q->caught_up,
                     .sent = hs_now()};
    pthread_mutex_lock(&s->lock);
    c->next = s->streams;
    c->self = &s->streams;
    if (c->next)
        c->next->self = &c->next;
    s->streams = c;
    s->n_streams++;
    pthread_mutex_unlock(&s->lock);
    return response;
}
