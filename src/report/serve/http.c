/* http.c - requests and answers. Called by libmicrohttpd on its one thread, so nothing here computes or reads files.
 *
 * The whole surface is a table of fixed paths, read by GET or HEAD; a path names no file. Whoever is not meant, by the
 * header Host or by what the browser says of the page that asks, is refused before anything else. No answer may be read
 * by other sites. */
#include "report/page/page.h"
#include "report/serve/serve.h"

#include <string.h>
#include <sys/socket.h>

enum { MAX_BODY = 1 << 16 };

typedef enum route { ROUTE_PAGE, ROUTE_RUNS, ROUTE_BUNDLE, ROUTE_ASK, ROUTE_EVENTS, ROUTE_ICON, N_ROUTES } route;
static const char *const paths[N_ROUTES] = {
    [ROUTE_PAGE] = "/",       [ROUTE_RUNS] = "/api/runs",     [ROUTE_BUNDLE] = "/api/bundle",
    [ROUTE_ASK] = "/api/ask", [ROUTE_EVENTS] = "/api/events", [ROUTE_ICON] = "/favicon.ico"};

static const char *const headers[][2] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: "
     "blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-store"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cross-Origin-Opener-Policy", "same-origin"}};

/* ---------------------------------------------------------------- answers */

static enum MHD_Result send_response(hs_request *q, unsigned code, const char *type, struct MHD_Response *response)
{
    if (!response)
        return MHD_NO; /* no memory: the connection ends */
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (code == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    q->answered = true;
    if (q->peer) {
        pthread_mutex_lock(&q->server->lock);
        q->peer->since = hs_now();
        pthread_mutex_unlock(&q->server->lock);
    }
    const enum MHD_Result result = MHD_queue_response(q->connection, code, response);
    MHD_destroy_response(response);
    return result;
}

/* Takes `text`, which may be NULL for no memory. */
static enum MHD_Result send_text(hs_request *q, unsigned code, const char *type, hs_text *text)
{
    struct MHD_Response *response =
        text ? MHD_create_response_from_buffer_with_free_callback_cls(text->len, text->s, hs_text_drop, text) : NULL;
    if (!response)
        hs_text_drop(text);
    return send_response(q, code, type, response);
}

static const char JSON[] = "application/json; charset=utf-8", HTML[] = "text/html; charset=utf-8",
                  EVENTS[] = "text/event-stream; charset=utf-8";

static enum MHD_Result send_str(hs_request *q, unsigned code, const char *type, hs_str *text)
{
    return send_text(q, code, type, hs_text_take(text));
}

static enum MHD_Result send_error(hs_request *q, unsigned code, const hs_error *err)
{
    hs_str text = {0};
    hs_error_json(&text, err);
    return send_str(q, code, JSON, &text);
}

static enum MHD_Result refuse(hs_request *q, unsigned code, const char *what, const char *hint)
{
    hs_error err;
    hs_fail(&err, HS_ERR_USAGE, "%s", what);
    hs_error_hint(&err, "%s", hint);
    return send_error(q, code, &err);
}

static enum MHD_Result busy(hs_request *q)
{
    return refuse(q, MHD_HTTP_SERVICE_UNAVAILABLE, "too many requests wait", "try again in a second");
}

/* ---------------------------------------------------------------- who may ask what */

static const char *header(const hs_request *q, const char *name)
{
    return MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, name);
}

/* True: go on. False: it was refused, *result is the handler's. */
static bool admit(hs_request *q, const char *path, const char *method, enum MHD_Result *result)
{
    const char *host = header(q, MHD_HTTP_HEADER_HOST), *site = header(q, "Sec-Fetch-Site"),
               *length = header(q, MHD_HTTP_HEADER_CONTENT_LENGTH);
    q->route = 0;
    while (q->route < N_ROUTES && strcmp(paths[q->route], path) != 0)
        q->route++;
    q->head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    if (!host || !hs_host_allowed(host, &q->server->hosts))
        *result = refuse(q, MHD_HTTP_FORBIDDEN, "this server does not answer to that name",
                         "use the address it has printed; another name is allowed by hopscope serve --host NAME");
    else if (!q->head && strcmp(method, MHD_HTTP_METHOD_GET) != 0)
        *result = refuse(q, MHD_HTTP_METHOD_NOT_ALLOWED, "this server only reads", "GET and HEAD");
    else if ((length && strcmp(length, "0") != 0) || header(q, MHD_HTTP_HEADER_TRANSFER_ENCODING))
        *result = refuse(q, MHD_HTTP_CONTENT_TOO_LARGE, "a request has no body here", "");
    else if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0 && q->route != ROUTE_PAGE)
        *result = refuse(q, MHD_HTTP_FORBIDDEN, "pages of other sites may not ask here", "");
    else if (q->route == N_ROUTES)
        *result = refuse(q, MHD_HTTP_NOT_FOUND, "there is nothing here", "the page is at /");
    else
        return true;
    return false;
}

typedef struct reading {
    hs_request_params *params;
    hs_error *err;
    hs_status status;
} reading;

static enum MHD_Result read_param(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_len,
                                  const char *value, size_t len)
{
    reading *r = cls;
    (void)kind;
    (void)key_len;
    r->status = hs_request_param(r->params, key, value ? value : "", value ? len : 0, r->err);
    return r->status == HS_OK ? MHD_YES : MHD_NO;
}

/* ---------------------------------------------------------------- events */

/* Where the client stood decides: it goes on from the news, or catches up from the record, or begins. */
static enum MHD_Result begin_events(hs_request *q)
{
    hs_server *s = q->server;
    const char *last = header(q, MHD_HTTP_HEADER_LAST_EVENT_ID);
    hs_str first = {0};
    hs_event_id id;
    const bool came_back = last && hs_event_id_parse(last, &id);
    if (q->head)
        return send_str(q, MHD_HTTP_OK, EVENTS, &first);
    hs_str_addf(&first, "retry: 1000\n\n");
    pthread_mutex_lock(&s->lock);
    const bool full = s->n_streams >= s->options.max_streams;
    q->seq = s->next;
    if (came_back && hs_news_reach(s, &id)) {
        q->seq = id.seq + 1;
    } else if (came_back) {
        q->caught_run = s->single || q->run ? hs_watched_find(s, id.run) : NULL;
        if (q->caught_run && q->run && q->run != q->caught_run)
            q->caught_run = NULL;
        if (!q->caught_run)
            hs_reload_text(s, q->run, q->seq, &first);
        q->from = id;
    } else {
        hs_str data = {0};
        const hs_event_id here = {.marked = true, .instance = s->instance, .seq = s->next - 1};
        hs_page_open(&data, '{');
        hs_page_key(&data, "runs");
        hs_watched_json(s, &data);
        hs_page_close(&data, '}');
        hs_event_text(&first, "hello", &here, &data);
        hs_str_free(&data);
    }
    pthread_mutex_unlock(&s->lock);
    if (full) {
        hs_str_free(&first);
        return busy(q);
    }
    if (q->caught_run) {
        hs_str_free(&first);
        q->kind = HS_WORK_CATCH_UP;
        return hs_work_start(q) ? MHD_YES : busy(q);
    }
    q->answer.text = hs_text_take(&first);
    return hs_request_stream(q);
}

enum MHD_Result hs_request_stream(hs_request *q)
{
    hs_text *first = q->answer.text;
    q->answer.text = NULL;
    struct MHD_Response *response = first ? hs_stream_open(q, first) : NULL;
    if (q->peer) {
        pthread_mutex_lock(&q->server->lock);
        q->peer->stream = true;
        pthread_mutex_unlock(&q->server->lock);
    }
    return send_response(q, MHD_HTTP_OK, EVENTS, response);
}

/* ---------------------------------------------------------------- routes */

static enum MHD_Result send_runs(hs_request *q)
{
    hs_str text = {0};
    pthread_mutex_lock(&q->server->lock);
    hs_watched_json(q->server, &text);
    pthread_mutex_unlock(&q->server->lock);
    return send_str(q, MHD_HTTP_OK, JSON, &text);
}

static enum MHD_Result begin_bundle(hs_request *q)
{
    pthread_mutex_lock(&q->server->lock);
    hs_text *kept = hs_bundle_kept(q->server, q->run);
    pthread_mutex_unlock(&q->server->lock);
    if (kept)
        return send_text(q, MHD_HTTP_OK, JSON, kept);
    q->kind = HS_WORK_BUNDLE;
    return hs_work_start(q) ? MHD_YES : busy(q);
}

static enum MHD_Result begin_ask(hs_request *q)
{
    if (q->params.n_words == 0)
        return refuse(q, MHD_HTTP_BAD_REQUEST, "what is the question?",
                      "/api/ask?run=ID&step=N&q=HEAD&q=RELATION&q=RELATION");
    pthread_mutex_lock(&q->server->lock);
    for (size_t i = 0; !q->run && q->server->single && i < q->server->n_runs; i++)
        q->run = q->server->run[i]->there ? q->server->run[i] : NULL;
    pthread_mutex_unlock(&q->server->lock);
    if (!q->run)
        return refuse(q, MHD_HTTP_BAD_REQUEST, "which run is asked?", "run=ID, an id of /api/runs");
    q->kind = HS_WORK_ASK;
    return hs_work_start(q) ? MHD_YES : busy(q);
}

static enum MHD_Result begin(hs_request *q)
{
    hs_error err = {0};
    reading r = {.params = &q->params, .err = &err};
    MHD_get_connection_values_n(q->connection, MHD_GET_ARGUMENT_KIND, read_param, &r);
    if (r.status != HS_OK)
        return send_error(q, r.status == HS_ERR_MEMORY ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_BAD_REQUEST, &err);
    if (q->params.has_run && q->params.run[0]) {
        pthread_mutex_lock(&q->server->lock);
        q->run = hs_watched_find(q->server, q->params.run);
        pthread_mutex_unlock(&q->server->lock);
        if (!q->run) {
            hs_fail(&err, HS_ERR_DATA, "there is no run of this name");
            hs_error_value(&err, q->params.run, strlen(q->params.run));
            hs_error_hint(&err, "/api/runs lists them");
            return send_error(q, MHD_HTTP_NOT_FOUND, &err);
        }
    }
    hs_str empty = {0};
    switch ((route)q->route) {
    case ROUTE_PAGE:
        return send_text(q, MHD_HTTP_OK, HTML, hs_text_share(q->server->page));
    case ROUTE_RUNS:
        return send_runs(q);
    case ROUTE_BUNDLE:
        return begin_bundle(q);
    case ROUTE_ASK:
        return begin_ask(q);
    case ROUTE_EVENTS:
        return begin_events(q);
    case ROUTE_ICON:
    case N_ROUTES:
        break;
    }
    return send_str(q, MHD_HTTP_NO_CONTENT, "image/x-icon", &empty);
}

/* A worker is done with it. */
static enum MHD_Result finish(hs_request *q)
{
    if (!q->answer.code)
        return busy(q); /* the server stops */
    if (q->kind == HS_WORK_CATCH_UP)
        return hs_request_stream(q);
    hs_text *text = q->answer.text;
    q->answer.text = NULL;
    return send_text(q, q->answer.code, JSON, text);
}

enum MHD_Result hs_request_handle(void *server, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **context)
{
    hs_server *s = server;
    hs_request *q = *context;
    enum MHD_Result result;
    (void)version;
    (void)upload;
    if (!q) { /* the head of the request is there */
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        *context = q = hs_calloc(1, sizeof *q);
        if (!q)
            return MHD_NO;
        q->server = s;
        q->connection = connection;
        q->peer = info ? info->socket_context : NULL;
        pthread_mutex_lock(&s->lock);
        if (q->peer) {
            q->peer->answering = true;
            q->peer->since = hs_now();
        }
        pthread_mutex_unlock(&s->lock);
        return admit(q, path, method, &result) ? MHD_YES : result;
    }
    if (*upload_size) {
        q->body += *upload_size;
        *upload_size = 0;
        return q->body > MAX_BODY ? MHD_NO : MHD_YES;
    }
    if (q->answered)
        return MHD_YES;
    pthread_mutex_lock(&s->lock);
    const bool done = q->done;
    pthread_mutex_unlock(&s->lock);
    return done ? finish(q) : begin(q);
}

void hs_request_ended(void *server, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode code)
{
    hs_server *s = server;
    hs_request *q = *context;
    (void)connection;
    (void)code;
    if (!q)
        return;
    pthread_mutex_lock(&s->lock);
    if (q->peer) {
        q->peer->answering = q->peer->stream = false;
        q->peer->since = hs_now();
    }
    pthread_mutex_unlock(&s->lock);
    hs_text_drop(q->answer.text);
    hs_request_params_free(&q->params);
    hs_free(q);
    *context = NULL;
}

/* ---------------------------------------------------------------- connections */

void hs_peer_notify(void *server, struct MHD_Connection *connection, void **context,
                    enum MHD_ConnectionNotificationCode code)
{
    hs_server *s = server;
    hs_peer *p = *context;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (code == MHD_CONNECTION_NOTIFY_STARTED && (p = hs_calloc(1, sizeof *p)) != NULL) {
        p->fd = info ? info->connect_fd : -1;
        p->since = hs_now();
    }
    *context = p;
    if (!p)
        return;
    pthread_mutex_lock(&s->lock);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        p->next = s->peers;
        p->self = &s->peers;
        if (p->next)
            p->next->self = &p->next;
        s->peers = p;
    } else {
        *p->self = p->next;
        if (p->next)
            p->next->self = p->self;
    }
    pthread_mutex_unlock(&s->lock);
    if (code != MHD_CONNECTION_NOTIFY_STARTED) {
        hs_free(p);
        *context = NULL;
    }
}

void hs_peers_check(hs_server *s, double now)
{
    for (hs_peer *p = s->peers; p; p = p->next) {
        const double limit = p->answering ? s->options.answer_seconds : s->options.request_seconds;
        if (!p->stream && now - p->since > limit)
            shutdown(p->fd, SHUT_RDWR); /* the server sees the end of the connection, and closes it */
    }
}
