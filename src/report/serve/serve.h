/* serve.h - what the parts of the live page's server share (docs/serve.md).
 *
 * Threads: one of libmicrohttpd answers all connections and never computes; one watcher looks at run.db a few times a
 * second and writes what is new into the news, a ring of ready texts; one worker answers questions to models, one makes
 * bundles and catches clients up. Nothing is ever written to a run.
 *
 * Invariants: everything below is guarded by `lock` unless it says otherwise, and no file is read under it. A
 * connection is suspended and resumed under `lock`, so that it is never resumed twice. What a client may cost is
 * bounded: connections, streams, queue, news. */
#ifndef HOPSCOPE_REPORT_SERVE_SERVE_H
#define HOPSCOPE_REPORT_SERVE_SERVE_H

#include "hopscope/report.h"
#include "report/serve/request.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum {
    HS_NEWS = 1024,              /* events kept for clients that are a little behind */
    HS_NEWS_BYTES = 8 << 20,     /* and the room their texts may take, by default; older ones go */
    HS_CATCH_UP_BYTES = 4 << 20, /* a client that missed more loads the bundle again */
    HS_MAX_RUNS = 2000,
    HS_FOLDER_DEPTH = 4, /* runs/bakeoff/arm/seed-1 */
    HS_QUESTIONS = 32    /* that wait; beyond, clients are told to come again */
};

/* ---------------------------------------------------------------- texts */

/* Text that several connections send: freed with the last. */
typedef struct hs_text {
    atomic_uint uses;
    size_t len;
    char s[];
} hs_text;
hs_text *hs_text_take(hs_str *str); /* copies and frees `str`; NULL: no memory */
hs_text *hs_text_share(hs_text *text);
void hs_text_drop(void *text); /* hs_text *, NULL is fine */

/* ---------------------------------------------------------------- runs (watch.c) */

/* The files of a record as they were when last looked at. */
typedef struct hs_file_mark {
    uint64_t inode[2], size[2];
    struct timespec changed[2];
} hs_file_mark;

/* A run that was found. Only the watcher writes; id and dir never change. A run that is gone keeps its place. */
typedef struct hs_watched {
    char id[HS_RUN_ID], dir[4096];
    bool there, readable;
    char error[1024]; /* why it is not readable */
    char title[256], ended_by[32];
    uint64_t last;    /* step of the last evaluation */
    uint64_t version; /* goes up with every change, */
    uint64_t history; /* and this one when what was known is no longer so */
    /* the watcher's own */
    bool known; /* read since it is there */
    hs_file_mark mark;
    double look_again;  /* when, though no file changed since; 0: not */
    double count_after; /* the probes are not counted again before */
    bool probes_due;
    uint64_t link; /* of the history until `last` */
    hs_probe_count *probe;
    size_t n_probe;
} hs_watched;

/* ---------------------------------------------------------------- events (stream.c) */

typedef struct hs_news {
    const hs_watched *run; /* NULL: of the server */
    uint64_t step;
    bool evaluation;
    hs_text *text; /* ready to send */
} hs_news;

/* A client of events. */
typedef struct hs_stream {
    struct hs_stream *next, **self;
    hs_server *server;
    struct MHD_Connection *connection;
    const hs_watched *run; /* NULL: all */
    uint64_t seq;          /* of the news to send next */
    hs_text *now;          /* being sent, from byte `at` on */
    size_t at;
    const hs_watched *caught_run; /* evaluations of this run, until the step, were sent from its record */
    uint64_t caught_up;
    bool suspended, beat;
    double sent; /* when */
} hs_stream;

/* ---------------------------------------------------------------- requests (http.c, work.c) */

typedef enum hs_work_kind { HS_WORK_ASK, HS_WORK_BUNDLE, HS_WORK_CATCH_UP } hs_work_kind;

typedef struct hs_answer_text {
    unsigned code; /* HTTP */
    hs_text *text;
    unsigned retry; /* seconds, 0: not */
} hs_answer_text;

typedef struct hs_request {
    hs_server *server;
    struct MHD_Connection *connection;
    struct hs_peer *peer;
    bool head, answered, suspended, done; /* done: a worker has filled `answer` */
    size_t body;                          /* bytes that were thrown away */
    int route;
    hs_request_params params;
    /* as a job */
    struct hs_request *next;
    hs_work_kind kind;
    const hs_watched *run; /* NULL: all */
    hs_event_id from;
    uint64_t seq;                 /* where the news stood when the request came */
    uint64_t history;             /* of `run`, then */
    const hs_watched *caught_run; /* hs_stream */
    uint64_t caught_up;
    hs_answer_text answer;
} hs_request;

/* A connection, watched for requests that never come to their end. */
typedef struct hs_peer {
    struct hs_peer *next, **self;
    int fd;
    double since; /* waiting for a request, or answering one, since */
    bool answering, stream;
} hs_peer;

typedef struct hs_queue {
    hs_request *first, **end;
    uint32_t n;
    pthread_cond_t more;
} hs_queue;

/* A run that was asked. Of the thread that answers questions. */
typedef struct hs_desk_kept {
    hs_page_desk *desk;
    const hs_watched *run;
    uint64_t history, used;
} hs_desk_kept;
/* A bundle that was made: of a run, or of all. */
typedef struct hs_bundle_entry {
    hs_text *text;
    const hs_watched *run;
    uint64_t version, used;
} hs_bundle_entry;
enum { HS_KEPT = 4 };

struct hs_server {
    char root[4096], url[320];
    bool single; /* root is a run, not a folder of runs */
    hs_serve_options options;
    hs_host_rule hosts;
    char own_name[256];
    int fd;
    struct MHD_Daemon *daemon;
    pthread_t thread[3]; /* watcher, asker, worker */
    int n_threads;
    pthread_mutex_t lock;
    pthread_cond_t tick; /* the watcher sleeps on it */
    bool stopping;
    hs_text *page;

    hs_watched **run; /* (n_runs) */
    size_t n_runs, cap_runs;
    uint64_t version; /* of all runs together */
    double discover_at;

    uint64_t instance;
    hs_news news[HS_NEWS]; /* number seq is at seq % HS_NEWS */
    uint64_t oldest, next; /* numbers */
    size_t news_bytes;
    hs_stream *streams;
    uint32_t n_streams;
    hs_peer *peers;

    hs_queue queue[2]; /* of the asker, of the worker */
    hs_bundle_entry bundle[HS_KEPT];
    uint64_t uses_bundle;
    double bundle_after; /* when another may be made */
    hs_desk_kept asked[HS_KEPT]; /* of the asker */
    uint64_t uses;
    hs_signals signals; /* cuts the workers short */
};

/* server.c. Sleeps, without `lock`, until this time of hs_now or until it is woken. */
void hs_wait_until(pthread_cond_t *wake, pthread_mutex_t *lock, double time);

/* watch.c. The first look at everything, without news; then the thread. */
void hs_watch_first(hs_server *server);
void *hs_watch_main(void *server);
/* The run of this id that is there, or NULL. */
const hs_watched *hs_watched_find(const hs_server *server, const char *id);
/* [{"id","title","steps","ended_by"}] of the runs that are there. */
void hs_watched_json(const hs_server *server, hs_str *out);
void hs_watched_free(hs_watched *run);

/* tell.c. What became known of a run between two looks: evaluations and the steps whose measurements are new. */
typedef struct hs_story {
    const char *run;              /* id */
    const hs_probe_count *counts; /* (n_counts) of all measurements there are */
    size_t n_counts;
    const uint64_t *steps; /* (n_steps) whose measurements are told, ascending */
    size_t n_steps;
    void (*tell)(void *user, const char *event, uint64_t step, uint64_t mark, hs_str *data); /* frees `data` */
    void *user;
} hs_story;
/* In order of step, of one step the evaluation first. rows (n): evaluations, in order. */
hs_status hs_story_tell(hs_record *record, const hs_story *story, const hs_eval_row *rows, size_t n, hs_error *err);
/* What tells one history of a run from another: the link of its evaluations, and how many measurements there are of
 * steps < until. */
uint64_t hs_history_mark(uint64_t link, const hs_probe_count *counts, size_t n, uint64_t until);
/* "event: NAME\nid: ...\ndata: ...\n\n". */
void hs_event_text(hs_str *out, const char *event, const hs_event_id *id, const hs_str *data);
/* Data of events: of one step, (n) rows; and {"run": RUN or null, KEY: VALUE}, KEY NULL: the run alone. */
void hs_evaluation_json(hs_str *out, const char *run, const hs_eval_row *rows, size_t n, const hs_named_metric *metrics,
                        size_t n_metrics);
void hs_probe_json(hs_str *out, const char *run, uint64_t step, const hs_probe_row *rows, size_t n);
void hs_about_json(hs_str *out, const char *run, const char *key, const char *value);
/* {"error","hint"}. */
void hs_error_json(hs_str *out, const hs_error *err);

/* stream.c. An event into the news, and all who wait are woken. Frees `data`, a JSON text. */
void hs_news_add(hs_server *server, const hs_watched *run, const char *event, uint64_t step, uint64_t mark,
                 hs_str *data);
/* Can a client that had this event go on from the news? */
bool hs_news_reach(const hs_server *server, const hs_event_id *id);
/* The event "reload" of a run (NULL: of all) to a client that goes on at `seq`. */
void hs_reload_text(const hs_server *server, const hs_watched *run, uint64_t seq, hs_str *out);
/* The response of a stream that begins with `first` (taken, may be NULL). NULL: no memory. */
struct MHD_Response *hs_stream_open(hs_request *request, hs_text *first);
/* Wakes what has waited for `beat` seconds; all when the server stops. */
void hs_streams_beat(hs_server *server, double now);

/* http.c. Callbacks of libmicrohttpd. */
enum MHD_Result hs_request_handle(void *server, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **context);
void hs_request_ended(void *server, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode code);
void hs_peer_notify(void *server, struct MHD_Connection *connection, void **context,
                    enum MHD_ConnectionNotificationCode code);
/* The stream of events whose beginning is the request's answer. */
enum MHD_Result hs_request_stream(hs_request *request);
/* Under `lock`: ends connections whose request, or whose reading of the answer, takes too long. */
void hs_peers_check(hs_server *server, double now);

/* work.c. Hands the request to its thread; false: the queue is full. The connection is suspended. */
bool hs_work_start(hs_request *request);
/* Under `lock`: it is answered, or the server stops. */
void hs_work_done(hs_request *request);
/* Under `lock`: a bundle that is still true, shared, or NULL. `run` NULL: of all. */
hs_text *hs_bundle_kept(hs_server *server, const hs_watched *run);
void *hs_asker_main(void *server);
void *hs_worker_main(void *server);
void hs_work_free(hs_server *server);

#endif
