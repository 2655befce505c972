/* lm.h - what the files of src/lm share; not public. */
#ifndef HOPSCOPE_LM_INTERNAL_H
#define HOPSCOPE_LM_INTERNAL_H

#include "hopscope/lm.h"

#include <jansson.h>
#include <time.h>

/* ---------------------------------------------------------------- cache.c: names to answers, in SQLite */

typedef struct hs_lm_cache hs_lm_cache;
hs_status hs_lm_cache_open(hs_lm_cache **out, const char *path, hs_error *err);
void hs_lm_cache_close(hs_lm_cache *cache);
/* Into `out`, whose name is set; known stays false where there is none. */
hs_status hs_lm_cache_get(hs_lm_cache *cache, hs_lm_answer *out, hs_error *err);
/* Add or replace; durable after hs_lm_cache_commit. */
hs_status hs_lm_cache_put(hs_lm_cache *cache, const char *model, const hs_lm_answer *answer, hs_error *err);
hs_status hs_lm_cache_commit(hs_lm_cache *cache, hs_error *err);
void hs_lm_cache_rollback(hs_lm_cache *cache);

/* ---------------------------------------------------------------- http.c: requests under way, with libcurl */

/* What became of one request. */
typedef enum hs_http_kind {
    HS_HTTP_DONE,     /* `status` and `body` */
    HS_HTTP_TOO_LONG, /* the body passed max_bytes */
    HS_HTTP_BROKEN,   /* no answer, may be tried again: `message` */
    HS_HTTP_HOPELESS  /* no answer, and there will be none: a wrong certificate, a host or protocol there is none of */
} hs_http_kind;
typedef struct hs_http_result {
    hs_http_kind kind;
    long status;
    size_t tag;         /* of the request */
    bool unreachable;   /* no connection was made */
    double retry_after; /* seconds; 0: the server said nothing */
    const char *body;   /* terminated; valid until the next call */
    size_t size;
    const char *type; /* content type, "" */
    char message[256];
} hs_http_result;

typedef struct hs_http hs_http;
hs_status hs_http_open(hs_http **out, const hs_lm_options *options, const char *url, hs_error *err);
void hs_http_close(hs_http *http); /* gives up what is under way */
uint32_t hs_http_running(const hs_http *http);
/* POST `body`, which is copied. At most options.concurrency at a time. */
hs_status hs_http_send(hs_http *http, size_t tag, const char *body, size_t size, hs_error *err);
/* Wait up to `seconds` for something to happen; *got: a request ended, in `out`. */
hs_status hs_http_next(hs_http *http, double seconds, hs_http_result *out, bool *got, hs_error *err);

/* ---------------------------------------------------------------- chat.c: the protocol */

struct hs_lm {
    hs_lm_options options;
    char url[2048];
    const hs_events *events;
    hs_lm_cache *cache;
    hs_http *http; /* opened with the first request */
    json_t *extra; /* options.body, or NULL */
    bool real;     /* a real answer has come from the server */
    hs_lm_counts counts;
};
/* The request that a question becomes, and its name. `body` is appended to. */
hs_status hs_lm_request(const hs_lm *lm, const hs_lm_question *question, hs_str *body, char name[HS_LM_NAME_SIZE],
                        hs_error *err);
/* A chat completion, or what stands in its place, into answer->text, reason, cut, tokens. */
hs_status hs_lm_read_completion(const hs_lm *lm, const char *body, size_t size, hs_lm_answer *answer, hs_error *err);
/* The answer is refused; what the server said, cut, becomes its text. */
hs_status hs_lm_refuse(const hs_lm *lm, hs_lm_answer *answer, hs_lm_reason reason, const char *body, size_t size,
                       hs_error *err);
/* Counts an answer and adds its cost. */
void hs_lm_count(hs_lm *lm, const hs_lm_answer *answer, bool cached);
/* The present time as "2025-01-31T12:00:00Z". */
void hs_lm_time(char out[24]);
/* The key, wherever it stands in `text`, becomes stars. */
void hs_lm_hide_key(const hs_lm *lm, char *text);

#endif
