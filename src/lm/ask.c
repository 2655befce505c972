/* ask.c - many questions to a server: from the cache, else asked, several at a time, until each has its answer.
 *
 * Invariants
 * - A question is under way, waits for its next try, or is done; nothing is sent that the cache answers.
 * - An answer is committed to the cache before it is counted. Refusals of the transport (no completion came) are held
 * back until a real answer shows that the server is one; PATIENCE of them in a row end it, and then none of them is
 * kept.
 * - The estimated cost of what is under way is part of what a cap compares. */
#include "lm/lm.h"

#include <math.h>
#include <string.h>

enum { PATIENCE = 8 };
static const double longest_backoff = 60, longest_wait = 600, poll_seconds = 0.1;

typedef struct waiting { /* for another try */
    size_t i;
    double at;
} waiting;

typedef struct asking {
    hs_lm *lm;
    size_t n, next;
    hs_lm_make_fn make;
    void *user;
    hs_lm_answer *answer; /* (n) */
    uint8_t *tries;       /* (n) so far */
    double *estimate;     /* (n) cost of one under way */
    double pending;       /* sum of them */
    double hold_until;    /* the server asked to wait */
    waiting *wait;
    size_t n_wait, cap_wait;
    size_t held[PATIENCE], n_held; /* refusals of the transport since the last real answer */
    uint64_t done;
    hs_str body;
    hs_error first; /* what is wrong with the first of the held */
} asking;

/* ---------------------------------------------------------------- done */

static hs_status keep(asking *a, size_t i, hs_error *err)
{
    return hs_lm_cache_put(a->lm->cache, a->lm->options.model, &a->answer[i], err);
}

static void settle(asking *a, size_t i, bool cached)
{
    hs_lm_count(a->lm, &a->answer[i], cached);
    a->done++;
    if (a->lm->events && a->lm->events->fn) {
        const hs_event event = {
            .kind = HS_EVENT_PROGRESS, .stage = "lm", .text = "answers", .done = a->done, .total = a->n};
        a->lm->events->fn(a->lm->events->user, &event);
    }
}

/* The held ones are believed: the server is one. */
static hs_status release(asking *a, hs_error *err)
{
    for (size_t k = 0; k < a->n_held; k++)
        HS_TRY(keep(a, a->held[k], err));
    HS_TRY(hs_lm_cache_commit(a->lm->cache, err));
    for (size_t k = 0; k < a->n_held; k++)
        settle(a, a->held[k], false);
    a->n_held = 0;
    return HS_OK;
}

static hs_status hold(asking *a, size_t i, const hs_http_result *r, hs_error *err)
{
    if (a->n_held == 0) {
        hs_lm_answer *x = &a->answer[i];
        if (r->status != 200)
            hs_fail(&a->first, HS_ERR_DATA, "%s: HTTP status %ld", hs_lm_reason_sentence(x->reason), r->status);
        else
            hs_fail(&a->first, HS_ERR_DATA, "%s%s%s", hs_lm_reason_sentence(x->reason), *r->type ? ", it is " : "",
                    r->type);
        hs_error_where(&a->first, "%s", a->lm->url);
        hs_error_value(&a->first, x->text, strlen(x->text));
        hs_error_hint(&a->first, r->status == 200 ? "is this the address of a server that speaks chat completions?"
                                                  : "a field that this server does not know is left out with --body");
    }
    a->held[a->n_held++] = i;
    if (a->n_held < PATIENCE)
        return HS_OK;
    if (err)
        *err = a->first;
    return a->first.status;
}

static hs_status accept(asking *a, size_t i, hs_error *err)
{
    a->lm->real = true;
    HS_TRY(release(a, err));
    HS_TRY(keep(a, i, err));
    HS_TRY(hs_lm_cache_commit(a->lm->cache, err));
    settle(a, i, false);
    return HS_OK;
}

/* ---------------------------------------------------------------- a request ended */

static hs_status fatal(const asking *a, hs_error *err, hs_status status, const char *what, const char *said)
{
    hs_fail(err, status, "%s", what);
    hs_error_where(err, "%s", a->lm->url);
    return said && *said ? hs_error_value(err, said, strlen(said)) : status;
}

static hs_status try_again(asking *a, size_t i, const hs_http_result *r, const char *what, hs_error *err)
{
    const hs_lm_options *o = &a->lm->options;
    if (r->retry_after > longest_wait || a->tries[i] > o->retries) {
        char text[200];
        if (r->retry_after > longest_wait)
            snprintf(text, sizeof text, "the server asks to wait %.0f seconds: %s", r->retry_after, what);
        else
            snprintf(text, sizeof text, "no answer after %u tries: %s", (unsigned)a->tries[i], what);
        fatal(a, err, HS_ERR_IO, text, NULL);
        return hs_error_hint(err, "answers so far are kept: run the same command again later");
    }
    double seconds = o->backoff * ldexp(1, a->tries[i] < 30 ? a->tries[i] - 1 : 29);
    seconds = seconds < longest_backoff ? seconds : longest_backoff;
    hs_rng rng; /* so that questions that failed together do not come back together */
    hs_rng_init(&rng, i, HS_PURPOSE('l', 'm', 'b', 'o'), a->tries[i], 0);
    seconds *= 0.5 + 0.5 * hs_rng_uniform(&rng);
    if (r->retry_after > 0) {
        seconds = r->retry_after;
        a->hold_until = hs_now() + seconds > a->hold_until ? hs_now() + seconds : a->hold_until;
        a->lm->counts.waits++;
    }
    void *p = a->wait;
    const hs_status status = hs_grow(&p, &a->cap_wait, a->n_wait + 1, sizeof *a->wait, err);
    a->wait = p;
    if (status == HS_OK)
        a->wait[a->n_wait++] = (waiting){i, hs_now() + seconds};
    return status;
}

static bool again_later(long status)
{
    return status == 408 || status == 409 || status == 425 || status == 429 || (status >= 500 && status != 501);
}

static hs_status no_key(const asking *a, long status, const char *said, hs_error *err)
{
    const bool had = a->lm->options.key && *a->lm->options.key;
    fatal(a, err, HS_ERR_FAILED, had ? "the server does not take the key" : "the server wants a key", said);
    return hs_error_hint(err, "HTTP status %ld; the key is read from the environment variable OPENAI_API_KEY", status);
}

/* A whole body with status 200, or a status that stays. */
static hs_status take(asking *a, const hs_http_result *r, hs_error *err)
{
    hs_lm_answer *x = &a->answer[r->tag];
    hs_lm_time(x->time);
    if (r->kind == HS_HTTP_TOO_LONG) {
        HS_TRY(hs_lm_refuse(a->lm, x, HS_LM_TOO_LONG, "", 0, err));
        return hold(a, r->tag, r, err);
    }
    if (r->status != 200) {
        HS_TRY(hs_lm_refuse(a->lm, x, HS_LM_HTTP, r->body, r->size, err));
        if (r->status == 401 || r->status == 403)
            return no_key(a, r->status, x->text, err);
        if (r->status == 404 || r->status == 405) {
            fatal(a, err, HS_ERR_DATA,
                  r->status == 404 ? "HTTP status 404: no such address, or no such model"
                                   : "HTTP status 405: this address takes no questions",
                  x->text);
            return hs_error_hint(
                err, "--server is the address before /chat/completions, --model a name that the server knows");
        }
        return hold(a, r->tag, r, err);
    }
    HS_TRY(hs_lm_read_completion(a->lm, r->body, r->size, x, err));
    if (x->tokens_in == 0 && x->reason == HS_LM_NONE) { /* it does not count: four bytes a token, as a rule */
        x->tokens_in = a->body.len / 4;
        x->tokens_out = strlen(x->text) / 4 + 1;
    }
    if (x->reason == HS_LM_NO_JSON || x->reason == HS_LM_NO_COMPLETION)
        return hold(a, r->tag, r, err);
    return accept(a, r->tag, err);
}

static hs_status ended(asking *a, const hs_http_result *r, hs_error *err)
{
    a->pending -= a->estimate[r->tag];
    char said[300];
    if (r->kind == HS_HTTP_HOPELESS || (r->unreachable && a->lm->counts.requests <= 1)) {
        snprintf(said, sizeof said, "%s", r->message);
        hs_lm_hide_key(a->lm, said);
        return fatal(a, err, HS_ERR_IO, "the server cannot be reached", said);
    }
    if (r->kind == HS_HTTP_BROKEN) {
        snprintf(said, sizeof said, "%s", r->message);
        hs_lm_hide_key(a->lm, said);
        return try_again(a, r->tag, r, said, err);
    }
    if (r->kind == HS_HTTP_DONE && again_later(r->status)) {
        hs_lm_answer x = {0};
        HS_TRY(hs_lm_refuse(a->lm, &x, HS_LM_HTTP, r->body, r->size, err));
        snprintf(said, sizeof said, "HTTP status %ld: %.150s", r->status, x.text);
        hs_free(x.text);
        return try_again(a, r->tag, r, said, err);
    }
    return take(a, r, err);
}

/* ---------------------------------------------------------------- sending */

static bool allowed(asking *a, double estimate)
{
    const hs_lm_options *o = &a->lm->options;
    hs_lm_counts *c = &a->lm->counts;
    if ((o->max_requests > 0 && c->requests >= o->max_requests) ||
        (o->max_cost > 0 && c->cost + a->pending + estimate > o->max_cost))
        c->capped = true;
    return !c->capped;
}

static hs_status send(asking *a, size_t i, hs_error *err)
{
    hs_lm_question q = {.seed = UINT64_MAX};
    const hs_lm_options *o = &a->lm->options;
    a->body.len = 0;
    HS_TRY(a->make(a->user, i, &q, err));
    HS_TRY(hs_lm_request(a->lm, &q, &a->body, a->answer[i].name, err));
    const double estimate = ((double)a->body.len / 3 * o->price_in + (double)o->max_tokens * o->price_out) / 1e6;
    if (!allowed(a, estimate))
        return HS_OK;
    if (!a->lm->http)
        HS_TRY(hs_http_open(&a->lm->http, o, a->lm->url, err));
    HS_TRY(hs_http_send(a->lm->http, i, a->body.s, a->body.len, err));
    a->estimate[i] = estimate;
    a->pending += estimate;
    a->lm->counts.requests++;
    a->lm->counts.retries += a->tries[i] > 0;
    a->tries[i]++;
    return HS_OK;
}

/* The next one whose time has come; SIZE_MAX: none now. */
static size_t choose(asking *a)
{
    const double now = hs_now();
    if (now < a->hold_until)
        return SIZE_MAX;
    for (size_t k = 0; k < a->n_wait; k++) {
        if (a->wait[k].at <= now) {
            const size_t i = a->wait[k].i;
            a->wait[k] = a->wait[--a->n_wait];
            return i;
        }
    }
    while (a->next < a->n && a->answer[a->next].known)
        a->next++;
    return a->next < a->n ? a->next++ : SIZE_MAX;
}

static uint32_t running(const asking *a)
{
    return a->lm->http ? hs_http_running(a->lm->http) : 0;
}

static hs_status fill(asking *a, hs_error *err)
{
    while (!a->lm->counts.capped && running(a) < a->lm->options.concurrency) {
        /* One alone until the server has answered at all: a wrong address is met once. */
        if (running(a) > 0 && !a->lm->real && a->n_held == 0)
            return HS_OK;
        const size_t i = choose(a);
        if (i == SIZE_MAX)
            return HS_OK;
        HS_TRY(send(a, i, err));
    }
    return HS_OK;
}

static bool left(const asking *a)
{
    if (running(a) > 0)
        return true;
    if (a->lm->counts.capped)
        return false;
    size_t i = a->next;
    while (i < a->n && a->answer[i].known)
        i++;
    return i < a->n || a->n_wait > 0;
}

/* Until nothing is left to ask or to wait for. A stop ends the asking, what is under way is waited for; so does a
 * question without an answer; any other failure gives up what is under way. */
static hs_status run(asking *a, const hs_signals *signals, hs_error *err)
{
    hs_status stop = HS_OK;
    while (left(a)) {
        if (stop == HS_OK)
            stop = hs_signals_status(signals);
        if (stop == HS_OK)
            HS_TRY(fill(a, err));
        if (running(a) == 0 && (stop != HS_OK || a->lm->counts.capped))
            break;
        hs_http_result r;
        bool got = false;
        if (a->lm->http)
            HS_TRY(hs_http_next(a->lm->http, poll_seconds, &r, &got, err));
        if (!got)
            continue;
        hs_error one = {0};
        const hs_status status = ended(a, &r, &one);
        if (status == HS_OK || (stop != HS_OK && status == HS_ERR_IO))
            continue;
        if (status != HS_ERR_IO || r.kind == HS_HTTP_HOPELESS || err == NULL) {
            if (err)
                *err = one;
            return status;
        }
        stop = status;
        *err = one;
    }
    return stop;
}

/* ---------------------------------------------------------------- the whole */

static hs_status look_up(asking *a, hs_error *err)
{
    for (size_t i = 0; i < a->n; i++) {
        hs_lm_question q = {.seed = UINT64_MAX};
        hs_lm_answer *x = &a->answer[i];
        a->body.len = 0;
        HS_TRY(a->make(a->user, i, &q, err));
        HS_TRY(hs_lm_request(a->lm, &q, &a->body, x->name, err));
        HS_TRY(hs_lm_cache_get(a->lm->cache, x, err));
        if (x->known && a->lm->options.again && x->reason != HS_LM_NONE) {
            hs_free(x->text);
            x->text = NULL;
            x->known = false;
        }
        if (x->known)
            settle(a, i, true);
    }
    return HS_OK;
}

/* What came back from run: are the refusals that were held back believed? */
static hs_status conclude(asking *a, hs_status status, hs_error *err)
{
    const bool believe = a->lm->real;
    if (status == HS_OK && a->n_held > 0 && !believe) {
        if (err)
            *err = a->first;
        status = a->first.status;
    }
    if (believe && (status == HS_OK || hs_status_stopped(status) || status == HS_ERR_IO)) {
        const hs_status kept = release(a, status == HS_OK ? err : NULL);
        status = status == HS_OK ? kept : status;
    }
    for (size_t k = 0; k < a->n_held; k++)
        a->answer[a->held[k]].known = false;
    hs_lm_cache_rollback(a->lm->cache);
    if (status != HS_OK) { /* nothing stays under way that nobody waits for */
        hs_http_close(a->lm->http);
        a->lm->http = NULL;
    }
    return status;
}

hs_status hs_lm_ask(hs_lm *lm, size_t n, hs_lm_make_fn make, void *user, hs_lm_answer *answers,
                    const hs_signals *signals, hs_error *err)
{
    hs_error own = {0};
    err = err ? err : &own;
    asking a = {.lm = lm, .n = n, .make = make, .user = user, .answer = answers};
    a.tries = hs_calloc(n + 1, sizeof *a.tries);
    a.estimate = hs_calloc(n + 1, sizeof *a.estimate);
    hs_status status = a.tries && a.estimate ? HS_OK : hs_fail_memory(err, n * sizeof *a.estimate);
    lm->counts.questions += n;
    if (status == HS_OK)
        status = look_up(&a, err);
    if (status == HS_OK && a.done < n && !lm->options.server) {
        hs_fail(err, HS_ERR_DATA, "%llu of %zu questions have no answer yet", (unsigned long long)(n - a.done), n);
        status = hs_error_hint(
            err, "ask a server with --server, or export the questions with --export and import the answers");
    }
    if (status == HS_OK && a.done < n)
        status = conclude(&a, run(&a, signals, err), err);
    hs_free(a.tries);
    hs_free(a.estimate);
    hs_free(a.wait);
    hs_str_free(&a.body);
    return status;
}
