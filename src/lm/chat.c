/* chat.c - the chat completions protocol of OpenAI: a question becomes a request with a name, a body becomes an answer.
 *
 * Invariants: the name covers everything that is sent but the key and the server's address. What is shown or kept of a
 * server's words went through hs_lm_hide_key. Bodies are read by jansson, which takes no invalid UTF-8 and no nesting
 * beyond 2,048. */
#include "lm/lm.h"

#include <stdlib.h>
#include <string.h>

const char *const hs_lm_form_names[] = {"schema", "object", "prompt", NULL};

const char *hs_lm_reason_name(hs_lm_reason reason)
{
    static const char *const names[] = {
#define HS_X(constant, name, sentence) name,
        HS_LM_REASON_MAP(HS_X)
#undef HS_X
    };
    return names[reason];
}

const char *hs_lm_reason_sentence(hs_lm_reason reason)
{
    static const char *const sentences[] = {
#define HS_X(constant, name, sentence) sentence,
        HS_LM_REASON_MAP(HS_X)
#undef HS_X
    };
    return sentences[reason];
}

void hs_lm_options_default(hs_lm_options *options)
{
    *options = (hs_lm_options){
        .concurrency = 4, .retries = 6, .backoff = 1, .timeout = 120, .max_tokens = 512, .max_bytes = (size_t)4 << 20};
}

void hs_lm_answers_free(hs_lm_answer *answers, size_t n)
{
    for (size_t i = 0; answers && i < n; i++)
        hs_free(answers[i].text);
    hs_free(answers);
}

void hs_lm_time(char out[24])
{
    const time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void hs_lm_hide_key(const hs_lm *lm, char *text)
{
    const char *key = lm->options.key;
    const size_t len = key ? strlen(key) : 0;
    if (len < 4) /* no secret, and it would blot out half the text */
        return;
    for (char *p = text; (p = strstr(p, key)) != NULL; p += len)
        memset(p, '*', len);
}

/* ---------------------------------------------------------------- opening */

static hs_status wrong(hs_error *err, const char *option, const char *what)
{
    hs_fail(err, HS_ERR_USAGE, "%s", what);
    return hs_error_where(err, "%s", option);
}

/* The address that questions are posted to. */
static hs_status find_url(hs_lm *lm, hs_error *err)
{
    const char *s = lm->options.server, *host = NULL;
    if (strncmp(s, "http://", 7) == 0)
        host = s + 7;
    else if (strncmp(s, "https://", 8) == 0)
        host = s + 8;
    if (!host || !*host || *host == '/' || strlen(s) > 1900) {
        wrong(err, "server", "no address of a server");
        hs_error_value(err, s, strlen(s));
        return hs_error_hint(err, "as in http://127.0.0.1:8000/v1 or https://api.openai.com/v1");
    }
    if (host[strcspn(host, "@/")] == '@') /* its value is not shown: it may hold a password */
        return wrong(err, "server", "an address with a name or password in it: the key is given in the environment");
    for (const char *p = s; *p; p++) {
        if ((unsigned char)*p <= ' ' || *p == '?' || *p == '#' || *p == 127) {
            wrong(err, "server", "an address of a server has no spaces, no ? and no #");
            return hs_error_value(err, s, strlen(s));
        }
    }
    size_t len = strlen(s);
    while (s[len - 1] == '/')
        len--;
    static const char tail[] = "/chat/completions";
    const bool whole = len > sizeof tail && strncmp(s + len - (sizeof tail - 1), tail, sizeof tail - 1) == 0;
    const bool bare = memchr(host, '/', len - (size_t)(host - s)) == NULL;
    snprintf(lm->url, sizeof lm->url, "%.*s%s%s", (int)len, s, bare ? "/v1" : "", whole ? "" : tail);
    const bool here =
        strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 || strncmp(host, "[::1]", 5) == 0;
    if (lm->options.key && *lm->options.key && s[4] == ':' && !here)
        hs_event_send(lm->events, HS_EVENT_WARNING, "lm", "the key is sent unencrypted: %s is no https", lm->url);
    return HS_OK;
}

static hs_status check_body(hs_lm *lm, hs_error *err)
{
    if (!lm->options.body)
        return HS_OK;
    json_error_t error;
    lm->extra = json_loads(lm->options.body, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(lm->extra))
        return wrong(err, "body", "no JSON object");
    static const char *const ours[] = {"model", "messages", "stream", "n", "response_format"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (json_object_get(lm->extra, ours[i])) {
            wrong(err, "body", "this field is not free");
            return hs_error_value(err, ours[i], strlen(ours[i]));
        }
    }
    return HS_OK;
}

static hs_status check_options(const hs_lm_options *o, hs_error *err)
{
    if (!o->model || !*o->model)
        return wrong(err, "model", "the name of a model is missing");
    if (hs_utf8_invalid(o->model, strlen(o->model)) != SIZE_MAX)
        return wrong(err, "model", "no UTF-8");
    if (o->concurrency < 1 || o->concurrency > 256)
        return wrong(err, "concurrency", "from 1 to 256");
    if (!(o->timeout > 0) || o->timeout > 86400 || !(o->backoff >= 0) || o->backoff > 60 || o->retries > 100)
        return wrong(err, "timeout", "a timeout of up to a day, a back-off of up to a minute and up to 100 retries");
    if (o->max_tokens == 0 || o->max_bytes < 1024 || !(o->temperature >= 0) || o->temperature > 10)
        return wrong(err, "max_tokens", "at least one token and 1,024 bytes, a temperature from 0 to 10");
    if (!(o->max_cost >= 0) || !(o->price_in >= 0) || !(o->price_out >= 0))
        return wrong(err, "max_cost", "costs and prices are not negative");
    if (o->max_cost > 0 && o->price_in == 0 && o->price_out == 0)
        return wrong(err, "max_cost", "a limit of the cost needs the price of a million tokens");
    for (const char *p = o->key; p && *p; p++) /* the value is not shown */
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 127)
            return wrong(err, "OPENAI_API_KEY",
                         "the key holds a space, a line break or another character that no key has");
    return HS_OK;
}

hs_status hs_lm_open(hs_lm **out, const hs_lm_options *options, const hs_events *events, hs_error *err)
{
    *out = NULL;
    HS_TRY(check_options(options, err));
    hs_lm *lm = hs_calloc(1, sizeof *lm);
    if (!lm)
        return hs_fail_memory(err, sizeof *lm);
    lm->options = *options;
    lm->events = events;
    snprintf(lm->url, sizeof lm->url, "/v1/chat/completions");
    hs_status status = options->server ? find_url(lm, err) : HS_OK;
    if (status == HS_OK)
        status = check_body(lm, err);
    if (status == HS_OK && options->server && !hs_lm_has_http()) {
        hs_http *none;
        status = hs_http_open(&none, options, lm->url, err);
    }
    if (status == HS_OK)
        status = hs_lm_cache_open(&lm->cache, options->cache, err);
    if (status != HS_OK) {
        hs_lm_close(lm);
        return status;
    }
    *out = lm;
    return HS_OK;
}

void hs_lm_close(hs_lm *lm)
{
    if (!lm)
        return;
    hs_http_close(lm->http);
    hs_lm_cache_close(lm->cache);
    json_decref(lm->extra);
    hs_free(lm);
}

const hs_lm_counts *hs_lm_counted(const hs_lm *lm)
{
    return &lm->counts;
}

/* ---------------------------------------------------------------- requests */

static json_t *form_of(const hs_lm *lm, const hs_lm_question *q, hs_error *err)
{
    if (lm->options.form == HS_LM_FORM_OBJECT)
        return json_pack("{s:s}", "type", "json_object");
    json_error_t error;
    json_t *schema = json_loads(q->schema, 0, &error);
    if (!schema) {
        hs_fail(err, HS_ERR_FAILED, "the schema of a question is no JSON: %s", error.text);
        return NULL;
    }
    return json_pack("{s:s, s:{s:s, s:b, s:o}}", "type", "json_schema", "json_schema", "name", q->schema_name, "strict",
                     1, "schema", schema);
}

static json_t *request_of(const hs_lm *lm, const hs_lm_question *q, hs_error *err)
{
    json_t *body =
        json_pack("{s:s, s:[{s:s, s:s}], s:I, s:f}", "model", lm->options.model, "messages", "role", "user", "content",
                  q->prompt, "max_tokens", (json_int_t)lm->options.max_tokens, "temperature", lm->options.temperature);
    if (!body) { /* jansson takes no text that is not UTF-8 */
        if (hs_utf8_invalid(q->prompt, strlen(q->prompt)) != SIZE_MAX)
            hs_fail(err, HS_ERR_DATA, "a prompt is not UTF-8: a name in the data is cut within a character");
        else
            hs_fail_memory(err, strlen(q->prompt));
        return NULL;
    }
    if (q->seed != UINT64_MAX)
        json_object_set_new(body, "seed", json_integer((json_int_t)(q->seed & 0x7fffffff)));
    if (q->schema && lm->options.form != HS_LM_FORM_PROMPT) {
        json_t *form = form_of(lm, q, err);
        if (!form) {
            json_decref(body);
            return NULL;
        }
        json_object_set_new(body, "response_format", form);
    }
    const char *name;
    json_t *value;
    json_object_foreach(lm->extra, name, value)
    {
        if (json_is_null(value))
            json_object_del(body, name);
        else
            json_object_set(body, name, value);
    }
    return body;
}

hs_status hs_lm_request(const hs_lm *lm, const hs_lm_question *question, hs_str *body, char name[HS_LM_NAME_SIZE],
                        hs_error *err)
{
    json_t *json = request_of(lm, question, err);
    if (!json)
        return err ? err->status : HS_ERR_FAILED;
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(json);
    if (!text)
        return hs_fail_memory(err, 0);
    const size_t len = strlen(text);
    snprintf(name, HS_LM_NAME_SIZE, "%016llx%016llx", (unsigned long long)hs_hash(text, len, 0),
             (unsigned long long)hs_hash(text, len, 1));
    hs_str_add(body, text, len);
    free(text);
    return body->failed ? hs_fail_memory(err, len) : HS_OK;
}

/* ---------------------------------------------------------------- answers */

/* The beginning of a server's words as one line for people. */
static void excerpt(const char *text, size_t size, char *out, size_t room)
{
    size_t n = 0;
    bool space = true;
    for (size_t i = 0; i < size && n + 1 < room; i++) {
        const unsigned char c = (unsigned char)text[i];
        const bool blank = c <= ' ' || c == 127;
        if (!blank)
            out[n++] = (char)c;
        else if (!space)
            out[n++] = ' ';
        space = blank;
    }
    out[n] = 0;
    const size_t bad = hs_utf8_invalid(out, n);
    if (bad != SIZE_MAX)
        out[bad] = 0;
}

/* What an error object says of itself: {"error": {"message": ..}}, {"message": ..}, {"detail": ..}. */
static const char *message_of(const json_t *body)
{
    const json_t *error = json_object_get(body, "error");
    const char *text = json_string_value(json_object_get(error, "message"));
    if (!text)
        text = json_string_value(error);
    if (!text)
        text = json_string_value(json_object_get(body, "message"));
    return text ? text : json_string_value(json_object_get(body, "detail"));
}

static hs_status refuse(const hs_lm *lm, hs_lm_answer *a, hs_lm_reason reason, const json_t *json, const char *body,
                        size_t size, hs_error *err)
{
    char text[400];
    const char *said = message_of(json);
    excerpt(said ? said : body, said ? strlen(said) : size, text, sizeof text);
    hs_lm_hide_key(lm, text);
    a->known = true;
    a->reason = reason;
    hs_free(a->text);
    a->text = hs_strdup(text);
    return a->text ? HS_OK : hs_fail_memory(err, sizeof text);
}

static uint64_t count_of(const json_t *usage, const char *name)
{
    const json_int_t n = json_integer_value(json_object_get(usage, name));
    return n > 0 ? (uint64_t)n : 0;
}

hs_status hs_lm_read_completion(const hs_lm *lm, const char *body, size_t size, hs_lm_answer *a, hs_error *err)
{
    json_error_t error;
    json_t *json = json_loadb(body, size, 0, &error);
    const json_t *choice = json_array_get(json_object_get(json, "choices"), 0);
    const json_t *message = json_object_get(choice, "message"), *content = json_object_get(message, "content");
    const json_t *usage = json_object_get(json, "usage");
    a->tokens_in = count_of(usage, "prompt_tokens");
    a->tokens_out = count_of(usage, "completion_tokens");
    const char *end = json_string_value(json_object_get(choice, "finish_reason"));
    a->cut = end && strcmp(end, "length") == 0;
    hs_status status = HS_OK;
    if (!json) {
        status = refuse(lm, a, HS_LM_NO_JSON, NULL, body, size, err);
    } else if (!json_is_object(message)) {
        status = refuse(lm, a, HS_LM_NO_COMPLETION, json, body, size, err);
    } else if (json_is_string(json_object_get(message, "refusal"))) {
        const char *why = json_string_value(json_object_get(message, "refusal"));
        status = refuse(lm, a, HS_LM_DECLINED, NULL, why, strlen(why), err);
    } else if (!json_is_string(content) || json_string_length(content) == 0) {
        status = refuse(lm, a, HS_LM_EMPTY, json, "", 0, err);
    } else {
        a->known = true;
        a->reason = HS_LM_NONE;
        hs_free(a->text);
        a->text = hs_strdup(json_string_value(content));
        if (a->text)
            hs_lm_hide_key(lm, a->text);
        else
            status = hs_fail_memory(err, json_string_length(content));
    }
    json_decref(json);
    return status;
}

hs_status hs_lm_refuse(const hs_lm *lm, hs_lm_answer *a, hs_lm_reason reason, const char *body, size_t size,
                       hs_error *err)
{
    json_error_t error;
    json_t *json = json_loadb(body, size, 0, &error);
    const hs_status status = refuse(lm, a, reason, json, body, size, err);
    json_decref(json);
    return status;
}

void hs_lm_count(hs_lm *lm, const hs_lm_answer *a, bool cached)
{
    hs_lm_counts *c = &lm->counts;
    c->cached += cached;
    c->answered += a->reason == HS_LM_NONE;
    c->refused[a->reason] += a->reason != HS_LM_NONE;
    c->tokens_in += a->tokens_in;
    c->tokens_out += a->tokens_out;
    c->cost = ((double)c->tokens_in * lm->options.price_in + (double)c->tokens_out * lm->options.price_out) / 1e6;
}
