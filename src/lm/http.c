/* http.c - requests to a server, several at a time, with libcurl's multi interface.
 *
 * Invariants: TLS, proxies (http_proxy, https_proxy, no_proxy ...) and redirects are curl's: a certificate is always
 * checked, a POST stays one over a redirect, and the key is not sent on to another host. Only http and https. No body
 * grows beyond max_bytes. The key is given to curl and stands nowhere else. */
#include "lm/lm.h"

#include <stdlib.h>
#include <string.h>

#ifdef HS_WITH_CURL

#include <curl/curl.h>
#include <pthread.h>

typedef struct transfer {
    CURL *easy;
    size_t tag;
    hs_str body;
    char *sent;
    bool busy, over; /* over: the limit was passed */
    size_t limit;
    char error[CURL_ERROR_SIZE];
} transfer;

struct hs_http {
    CURLM *multi;
    struct curl_slist *headers;
    transfer *transfer; /* (n) */
    uint32_t n, running;
    transfer *read; /* whose body the caller may be reading */
};

bool hs_lm_has_http(void)
{
    return true;
}

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t receive(char *data, size_t one, size_t size, void *user)
{
    transfer *t = user;
    (void)one;
    if (size > t->limit - t->body.len) {
        t->over = true;
        return 0;
    }
    hs_str_add(&t->body, data, size);
    return t->body.failed ? 0 : size;
}

/* Certificate authorities as the program curl finds them. */
static void set_authorities(CURL *easy, const hs_lm_options *o)
{
    const char *file = o->ca, *dir = getenv("SSL_CERT_DIR");
    if (!file)
        file = getenv("CURL_CA_BUNDLE");
    if (!file || !*file)
        file = getenv("SSL_CERT_FILE");
    if (file && *file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, file);
    if (dir && *dir)
        curl_easy_setopt(easy, CURLOPT_CAPATH, dir);
}

static hs_status prepare(hs_http *h, transfer *t, const hs_lm_options *o, const char *url, hs_error *err)
{
    t->limit = o->max_bytes;
    t->easy = curl_easy_init();
    if (!t->easy)
        return hs_fail_memory(err, 0);
    CURL *e = t->easy;
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "hopscope/" HS_VERSION);
    curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(e, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(e, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(o->timeout * 1000));
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)((o->timeout < 30 ? o->timeout : 30) * 1000));
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(e, CURLOPT_PRIVATE, t);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(e, CURLOPT_POST, 1L);
    set_authorities(e, o);
    if (o->key && *o->key) {
        curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(e, CURLOPT_XOAUTH2_BEARER, o->key);
    }
    return HS_OK;
}

hs_status hs_http_open(hs_http **out, const hs_lm_options *options, const char *url, hs_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_curl);
    *out = NULL;
    hs_http *h = hs_calloc(1, sizeof *h);
    if (!h)
        return hs_fail_memory(err, sizeof *h);
    h->n = options->concurrency;
    h->transfer = hs_calloc(h->n, sizeof *h->transfer);
    h->multi = curl_multi_init();
    h->headers = curl_slist_append(NULL, "Content-Type: application/json");
    hs_status status = h->transfer && h->multi && h->headers ? HS_OK : hs_fail_memory(err, sizeof *h->transfer);
    if (status == HS_OK)
        curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)h->n);
    for (uint32_t i = 0; status == HS_OK && i < h->n; i++)
        status = prepare(h, &h->transfer[i], options, url, err);
    if (status != HS_OK) {
        hs_http_close(h);
        return status;
    }
    *out = h;
    return HS_OK;
}

void hs_http_close(hs_http *h)
{
    if (!h)
        return;
    for (uint32_t i = 0; h->transfer && i < h->n; i++) {
        transfer *t = &h->transfer[i];
        if (t->busy)
            curl_multi_remove_handle(h->multi, t->easy);
        curl_easy_cleanup(t->easy);
        hs_str_free(&t->body);
        hs_free(t->sent);
    }
    hs_free(h->transfer);
    curl_multi_cleanup(h->multi);
    curl_slist_free_all(h->headers);
    hs_free(h);
}

uint32_t hs_http_running(const hs_http *h)
{
    return h->running;
}

hs_status hs_http_send(hs_http *h, size_t tag, const char *body, size_t size, hs_error *err)
{
    uint32_t i = 0;
    while (h->transfer[i].busy)
        i++;
    transfer *t = &h->transfer[i];
    hs_free(t->sent);
    t->sent = hs_alloc(size + 1);
    if (!t->sent)
        return hs_fail_memory(err, size + 1);
    memcpy(t->sent, body, size);
    if (h->read == t)
        h->read = NULL;
    t->body.len = 0;
    t->over = false;
    t->tag = tag;
    t->error[0] = 0;
    curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->sent);
    curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    if (curl_multi_add_handle(h->multi, t->easy) != CURLM_OK)
        return hs_fail_memory(err, 0);
    t->busy = true;
    h->running++;
    return HS_OK;
}

/* What cannot become better by trying again. */
static bool hopeless(CURLcode code)
{
    return code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT || code == CURLE_COULDNT_RESOLVE_HOST ||
           code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_PEER_FAILED_VERIFICATION ||
           code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CACERT_BADFILE || code == CURLE_TOO_MANY_REDIRECTS ||
           code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_SSL_CERTPROBLEM ||
           code == CURLE_FAILED_INIT;
}

static void finish(hs_http *h, transfer *t, CURLcode code, hs_http_result *out)
{
    curl_off_t after = 0;
    char *type = NULL;
    *out = (hs_http_result){.tag = t->tag, .body = t->body.s ? t->body.s : "", .size = t->body.len, .type = ""};
    if (t->body.len == 0)
        out->body = "";
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &out->status);
    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &after);
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    out->type = type ? type : "";
    out->retry_after = (double)after;
    out->unreachable = code == CURLE_COULDNT_CONNECT;
    out->kind = code == CURLE_OK ? HS_HTTP_DONE
                : t->over        ? HS_HTTP_TOO_LONG
                : hopeless(code) ? HS_HTTP_HOPELESS
                                 : HS_HTTP_BROKEN;
    snprintf(out->message, sizeof out->message, "%s", t->error[0] ? t->error : curl_easy_strerror(code));
    curl_multi_remove_handle(h->multi, t->easy);
    t->busy = false;
    h->running--;
    h->read = t;
}

hs_status hs_http_next(hs_http *h, double seconds, hs_http_result *out, bool *got, hs_error *err)
{
    int running = 0, left = 0;
    *got = false;
    if (h->read && h->read->body.cap > (1u << 20)) /* what a rare long answer took is given back */
        hs_str_free(&h->read->body);
    h->read = NULL;
    for (int round = 0; round < 2; round++) {
        CURLMcode code = curl_multi_perform(h->multi, &running);
        if (code != CURLM_OK)
            return hs_fail(err, HS_ERR_IO, "libcurl: %s", curl_multi_strerror(code));
        const CURLMsg *message = curl_multi_info_read(h->multi, &left);
        if (message && message->msg == CURLMSG_DONE) {
            transfer *t = NULL;
            const CURLcode result = message->data.result;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
            finish(h, t, result, out);
            *got = true;
            return HS_OK;
        }
        if (round == 0)
            curl_multi_poll(h->multi, NULL, 0, (int)(seconds * 1000), NULL);
    }
    return HS_OK;
}

#else

bool hs_lm_has_http(void)
{
    return false;
}

hs_status hs_http_open(hs_http **out, const hs_lm_options *options, const char *url, hs_error *err)
{
    (void)options;
    (void)url;
    *out = NULL;
    hs_fail(err, HS_ERR_FAILED, "this hopscope was built without libcurl: it cannot ask a server");
    return hs_error_hint(err, "install libcurl4-openssl-dev and build again, or use --export and --import");
}

void hs_http_close(hs_http *h)
{
    (void)h;
}

uint32_t hs_http_running(const hs_http *h)
{
    (void)h;
    return 0;
}

hs_status hs_http_send(hs_http *h, size_t tag, const char *body, size_t size, hs_error *err)
{
    (void)h;
    (void)tag;
    (void)body;
    (void)size;
    return hs_fail(err, HS_ERR_FAILED, "this hopscope was built without libcurl");
}

hs_status hs_http_next(hs_http *h, double seconds, hs_http_result *out, bool *got, hs_error *err)
{
    (void)h;
    (void)seconds;
    (void)out;
    *got = false;
    return hs_fail(err, HS_ERR_FAILED, "this hopscope was built without libcurl");
}

#endif
