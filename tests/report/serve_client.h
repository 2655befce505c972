/* serve_client.h - a small client for tests of the server: one connection, requests as bytes, answers and events as
 * text. */
#ifndef HOPSCOPE_TESTS_SERVE_CLIENT_H
#define HOPSCOPE_TESTS_SERVE_CLIENT_H

#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000 }; /* sanitizers are slow; nothing is asserted about time */

static inline int port_of(const char *url)
{
    return atoi(strrchr(url, ':') + 1);
}

static inline int dial(int port)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    /* Fixed, or the system lets it grow to tens of megabytes and nobody ever falls behind. */
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){1 << 17}, sizeof(int)), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static inline void send_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        const ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the server has had enough, which the answer will say */
        text += n;
        len -= (size_t)n;
    }
}

/* What comes next: bytes, 0 at the end; fails the test where nothing comes. */
static inline size_t receive(int fd, char *out, size_t size)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_true(poll(&p, 1, PATIENCE_MS) > 0);
    const ssize_t n = recv(fd, out, size, 0);
    return n > 0 ? (size_t)n : 0;
}

/* All until the server closes. The caller frees. */
static inline char *receive_all(int fd)
{
    size_t len = 0, cap = 1 << 16, n;
    char *text = malloc(cap);
    while ((n = receive(fd, text + len, cap - len - 1)) > 0) {
        len += n;
        if (cap - len < 4096)
            text = realloc(text, cap *= 2);
    }
    text[len] = 0;
    close(fd);
    return text;
}

/* The whole answer to a request line, with the usual Host and further header lines. The caller frees. */
static inline char *request(int port, const char *line, const char *more)
{
    char text[4096];
    const int fd = dial(port);
    snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%sConnection: close\r\n\r\n", line, port, more);
    send_all(fd, text, strlen(text));
    return receive_all(fd);
}

/* The status, and a part of the answer. */
static inline void assert_answer(int port, const char *line, const char *more, int status, const char *part)
{
    char *text = request(port, line, more);
    if (strncmp(text, "HTTP/1.1 ", 9) != 0 || atoi(text + 9) != status || !strstr(text, part))
        fail_msg("%s: expected %d and '%s'\n%.2000s", line, status, part, text);
    free(text);
}

/* ---------------------------------------------------------------- events */

typedef struct events {
    int fd;
    size_t len, cap;
    char *text; /* what came and is not yet taken */
    char last_id[512];
} events;

static inline void events_open(events *e, int port, const char *query, const char *last_id)
{
    char text[2048], more[600] = "";
    if (last_id)
        snprintf(more, sizeof more, "Last-Event-ID: %s\r\n", last_id);
    *e = (events){.fd = dial(port)};
    /* HTTP/1.0: no chunks between the bytes */
    snprintf(text, sizeof text, "GET /api/events%s HTTP/1.0\r\nHost: localhost:%d\r\n%s\r\n", query, port, more);
    send_all(e->fd, text, strlen(text));
}

/* The next event, its name, id and data in place, valid until the next call. Comments are passed over. */
static inline const char *events_next(events *e)
{
    static char *event;
    const double start = hs_now();
    for (;;) {
        if (hs_now() - start > PATIENCE_MS / 1000.0) /* comments alone come for ever */
            fail_msg("no event comes");
        char *end = e->len ? strstr(e->text, "\n\n") : NULL;
        if (end) {
            const size_t n = (size_t)(end - e->text) + 2;
            free(event);
            event = strndup(e->text, n - 1);
            memmove(e->text, e->text + n, e->len - n + 1);
            e->len -= n;
            const char *name = strstr(event, "event: "), *id = strstr(event, "\nid: ");
            if (id)
                snprintf(e->last_id, sizeof e->last_id, "%.*s", (int)strcspn(id + 5, "\n"), id + 5);
            if (name)
                return name;
            continue; /* the head of the answer, a comment, retry */
        }
        if (e->cap - e->len < 65536)
            e->text = realloc(e->text, e->cap = 2 * e->cap + 131072);
        const size_t n = receive(e->fd, e->text + e->len, e->cap - e->len - 1);
        if (n == 0)
            return "";
        e->len += n;
        e->text[e->len] = 0;
    }
}

static inline void assert_event(events *e, const char *name, const char *part)
{
    const char *event = events_next(e);
    if (strncmp(event, "event: ", 7) != 0 || strncmp(event + 7, name, strlen(name)) != 0 ||
        event[7 + strlen(name)] != '\n' || !strstr(event, part))
        fail_msg("expected event %s with '%s', not\n%.1000s", name, part, event);
}

/* Passes over events until one has this part. */
static inline const char *events_until(events *e, const char *part)
{
    const char *event = events_next(e);
    while (*event && !strstr(event, part))
        event = events_next(e);
    if (!*event)
        fail_msg("the server ended the connection before '%s'", part);
    return event;
}

static inline void events_close(events *e)
{
    close(e->fd);
    free(e->text);
}

#endif
