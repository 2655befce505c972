/* request.h - what a request says, read out of its text: pure functions, no sockets, fuzzed
 * (tests/fuzz/fuzz_report_request.c). Whatever the bytes are, the result is a whole value or a refusal with a reason.
 */
#ifndef HOPSCOPE_REPORT_SERVE_REQUEST_H
#define HOPSCOPE_REPORT_SERVE_REQUEST_H

#include "hopscope/core.h"

enum { HS_RUN_ID = 256, HS_MAX_WORDS = 16 };

/* Who may be meant by the header Host. A page of another site whose name was made to point here (DNS rebinding) sends
 * that name, and is refused. */
typedef struct hs_host_rule {
    uint16_t port;
    const char *name; /* allowed beside localhost, 127.0.0.1 and [::1]; NULL: none */
    bool address;     /* any address in digits: nobody can point one elsewhere */
} hs_host_rule;
bool hs_host_allowed(const char *host, const hs_host_rule *rule);

/* The query of a request, and where a client of events stood. */
typedef struct hs_request_params {
    bool has_run, has_step;
    char run[HS_RUN_ID];
    uint64_t step;
    uint32_t n_words;
    char *word[HS_MAX_WORDS]; /* owned */
} hs_request_params;
/* One KEY=VALUE of the query, decoded. Keys that are unknown are passed over. HS_ERR_USAGE: twice the same, no number,
 * no UTF-8, a 0 byte, too long, too many. */
hs_status hs_request_param(hs_request_params *params, const char *key, const char *value, size_t len, hs_error *err);
void hs_request_params_free(hs_request_params *params);

/* The id of an event, "RUN:STEP" and behind it, each after a dot, what tells whether the client can go on from there:
 * `mark` of the run's history until then, the server's `instance` and the event's number `seq` in it. RUN is
 * percent-encoded; "" in an event that is about no run. A bare "RUN:STEP" is an id too. */
typedef struct hs_event_id {
    char run[HS_RUN_ID];
    uint64_t step;
    bool marked;
    uint64_t mark, instance, seq;
} hs_event_id;
bool hs_event_id_parse(const char *text, hs_event_id *out);
void hs_event_id_add(hs_str *out, const hs_event_id *id);

#endif
