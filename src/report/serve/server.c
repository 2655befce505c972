/* server.c - the live page's server from its start to its end (docs/serve.md). */
#include "report/page/page.h"
#include "report/serve/serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_PORT = 8787, MORE_PORTS = 100, BACKLOG = 511, CONNECTION_MEMORY = 24 << 10, SPARE_FILES = 128 };

/* ---------------------------------------------------------------- address */

static hs_status fail_address(hs_error *err, const char *what, const char *host, unsigned port, const char *hint)
{
    hs_fail(err, HS_ERR_IO, "%s", what);
    hs_error_where(err, "%s port %u", host, port);
    return hs_error_hint(err, "%s", hint);
}

/* A listening socket at this address, or -1 with errno. */
static int listen_at(const struct addrinfo *at, unsigned port)
{
    const int on = 1;
    struct sockaddr_storage address;
    memcpy(&address, at->ai_addr, at->ai_addrlen);
    if (at->ai_family == AF_INET)
        ((struct sockaddr_in *)&address)->sin_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in6 *)&address)->sin6_port = htons((uint16_t)port);
    const int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    const int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return 0;
    return ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                              : ((struct sockaddr_in6 *)&address)->sin6_port);
}

/* Who may be named in Host, and the address for people. */
static void name_address(hs_server *s, const struct addrinfo *at)
{
    char text[INET6_ADDRSTRLEN] = "";
    const bool six = at->ai_family == AF_INET6;
    const void *binary = six ? (const void *)&((struct sockaddr_in6 *)at->ai_addr)->sin6_addr
                             : (const void *)&((struct sockaddr_in *)at->ai_addr)->sin_addr;
    inet_ntop(at->ai_family, binary, text, sizeof text);
    const bool any = strcmp(text, "0.0.0.0") == 0 || strcmp(text, "::") == 0;
    s->hosts.port = bound_port(s->fd);
    s->hosts.address = s->options.host != NULL;
    const char *shown = s->options.host ? s->options.host : text;
    if (any && gethostname(s->own_name, sizeof s->own_name - 1) == 0 && s->own_name[0])
        shown = s->own_name;
    else
        snprintf(s->own_name, sizeof s->own_name, "%s", shown);
    s->hosts.name = s->own_name;
    snprintf(s->url, sizeof s->url, strchr(shown, ':') ? "http://[%.255s]:%u/" : "http://%.255s:%u/", shown,
             s->hosts.port);
}

static hs_status open_socket(hs_server *s, hs_error *err)
{
    const char *host = s->options.host ? s->options.host : "127.0.0.1";
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *at = NULL;
    const unsigned first = s->options.port ? s->options.port : FIRST_PORT;
    const int code = getaddrinfo(host, NULL, &hints, &at);
    if (code != 0)
        return fail_address(err, gai_strerror(code), host, first, "--host takes an address or a name of this machine");
    s->fd = listen_at(at, first);
    for (unsigned more = 1; s->fd < 0 && errno == EADDRINUSE && !s->options.port && more <= MORE_PORTS; more++)
        s->fd = listen_at(at, first + more);
    hs_status status = HS_OK;
    if (s->fd < 0)
        status = fail_address(err, strerror(errno), host, first,
                              errno == EADDRINUSE ? "without --port the next free one is taken"
                                                  : "--host and --port say where");
    else
        name_address(s, at);
    freeaddrinfo(at);
    return status;
}

/* ---------------------------------------------------------------- start */

static void set_options(hs_server *s, const hs_serve_options *options)
{
    if (options)
        s->options = *options;
    hs_serve_options *o = &s->options;
    o->max_connections = o->max_connections ? o->max_connections : 2048;
    o->max_streams = o->max_streams ? o->max_streams : o->max_connections / 2;
    o->news_bytes = o->news_bytes ? o->news_bytes : HS_NEWS_BYTES;
    o->poll_seconds = o->poll_seconds > 0 ? o->poll_seconds : 0.25;
    o->beat_seconds = o->beat_seconds > 0 ? o->beat_seconds : 15;
    o->request_seconds = o->request_seconds > 0 ? o->request_seconds : 10;
    o->answer_seconds = o->answer_seconds > 0 ? o->answer_seconds : 120;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    const rlim_t wanted = o->max_connections + SPARE_FILES;
    if (files.rlim_cur != RLIM_INFINITY && files.rlim_cur < wanted) {
        files.rlim_cur = files.rlim_max == RLIM_INFINITY || files.rlim_max > wanted ? wanted : files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        if (files.rlim_cur < wanted)
            o->max_connections =
                files.rlim_cur > 2 * SPARE_FILES ? (uint32_t)files.rlim_cur - SPARE_FILES : SPARE_FILES;
    }
}

static hs_status find_root(hs_server *s, const char *path, hs_error *err)
{
    struct stat st;
    char db[4096];
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len >= sizeof s->root)
        return hs_fail(err, HS_ERR_USAGE, "path of %zu bytes is too long", len);
    snprintf(s->root, sizeof s->root, "%.*s", (int)len, path);
    if (stat(s->root, &st) != 0 || !S_ISDIR(st.st_mode)) {
        hs_fail(err, HS_ERR_IO, "there is no such folder");
        hs_error_where(err, "%s", s->root);
        return hs_error_hint(err, "a run, or a folder of runs; hopscope run FILE makes them under runs/");
    }
    HS_TRY(hs_path_join(db, sizeof db, s->root, "run.db", err));
    s->single = hs_file_exists(db);
    return HS_OK;
}

static hs_status start_daemon(hs_server *s, hs_error *err)
{
    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, hs_request_handle, s,
        MHD_OPTION_LISTEN_SOCKET, s->fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)s->options.max_connections,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)s->options.answer_seconds, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED,
        hs_request_ended, s, MHD_OPTION_NOTIFY_CONNECTION, hs_peer_notify, s, MHD_OPTION_END);
    if (!s->daemon)
        return hs_fail(err, HS_ERR_FAILED, "the server could not be started");
    s->fd = -1; /* the daemon's */
    return HS_OK;
}

static hs_status start_threads(hs_server *s, hs_error *err)
{
    static void *(*const mains[])(void *) = {hs_watch_main, hs_asker_main, hs_worker_main};
    for (int i = 0; i < 3; i++) {
        const int code = pthread_create(&s->thread[i], NULL, mains[i], s);
        if (code != 0)
            return hs_fail(err, HS_ERR_FAILED, "a thread could not be started: %s", strerror(code));
        s->n_threads++;
    }
    return HS_OK;
}

void hs_wait_until(pthread_cond_t *wake, pthread_mutex_t *lock, double time)
{
    const struct timespec until = {.tv_sec = (time_t)time, .tv_nsec = (long)((time - (double)(time_t)time) * 1e9)};
    pthread_cond_timedwait(wake, lock, &until);
}

static void make_locks(hs_server *s)
{
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC); /* that of hs_now */
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->tick, &clock);
    for (int i = 0; i < 2; i++) {
        s->queue[i].end = &s->queue[i].first;
        pthread_cond_init(&s->queue[i].more, &clock);
    }
    pthread_condattr_destroy(&clock);
}

hs_status hs_serve_start(hs_server **out, const char *path, const hs_serve_options *options, hs_error *err)
{
    *out = NULL;
    hs_server *s = hs_calloc(1, sizeof *s);
    if (!s)
        return hs_fail_memory(err, sizeof *s);
    s->fd = -1;
    s->oldest = s->next = 1;
    make_locks(s);
    set_options(s, options);
    hs_str page = {0};
    hs_page_live(&page);
    s->page = hs_text_take(&page);
    hs_status status = s->page ? find_root(s, path, err) : hs_fail_memory(err, 0);
    if (status == HS_OK && getrandom(&s->instance, sizeof s->instance, 0) != sizeof s->instance)
        status = hs_fail(err, HS_ERR_FAILED, "this machine gives no random numbers");
    s->instance |= 1; /* 0 is nobody */
    if (status == HS_OK)
        status = open_socket(s, err);
    if (status == HS_OK) {
        hs_watch_first(s);
        status = start_threads(s, err);
    }
    if (status == HS_OK)
        status = start_daemon(s, err);
    if (status != HS_OK) {
        hs_serve_stop(s);
        return status;
    }
    *out = s;
    return HS_OK;
}

const char *hs_serve_url(const hs_server *server)
{
    return server->url;
}

size_t hs_serve_runs(hs_server *s)
{
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_runs; i++)
        n += s->run[i]->there;
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* ---------------------------------------------------------------- stop */

/* All that is suspended goes on, to its end: the daemon cannot stop before. */
static void release_all(hs_server *s)
{
    pthread_mutex_lock(&s->lock);
    hs_streams_beat(s, hs_now());
    for (int i = 0; i < 2; i++)
        for (hs_request *q = s->queue[i].first; q; q = q->next)
            hs_work_done(q);
    pthread_mutex_unlock(&s->lock);
}

void hs_serve_stop(hs_server *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    hs_signals_stop(&s->signals, SIGTERM);
    pthread_cond_broadcast(&s->tick);
    for (int i = 0; i < 2; i++)
        pthread_cond_broadcast(&s->queue[i].more);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->n_threads; i++)
        pthread_join(s->thread[i], NULL);
    release_all(s);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    if (s->fd >= 0)
        close(s->fd);
    while (s->oldest < s->next)
        hs_text_drop(s->news[s->oldest++ % HS_NEWS].text);
    for (size_t i = 0; i < s->n_runs; i++)
        hs_watched_free(s->run[i]);
    hs_free(s->run);
    hs_work_free(s);
    hs_text_drop(s->page);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->tick);
    for (int i = 0; i < 2; i++)
        pthread_cond_destroy(&s->queue[i].more);
    hs_free(s);
}
