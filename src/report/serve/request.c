/* request.c - what a request says (request.h). */
#include "report/serve/request.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* Digits up to `max`, to the end of the text or to `end`. NULL: no such number. */
static const char *read_number(const char *s, int base, char end, uint64_t max, uint64_t *out)
{
    const char *const first = s;
    uint64_t x = 0;
    for (; *s && *s != end; s++) {
        const char c = *s;
        const int digit = c >= '0' && c <= '9' ? c - '0' : base == 16 && c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0 || x > (max - (uint64_t)digit) / (uint64_t)base)
            return NULL;
        x = x * (uint64_t)base + (uint64_t)digit;
    }
    *out = x;
    return s > first ? s : NULL;
}

/* ---------------------------------------------------------------- Host */

static bool same_word(const char *s, size_t len, const char *word)
{
    return word && strlen(word) == len && strncasecmp(s, word, len) == 0;
}

static bool is_address(const char *s, size_t len)
{
    char text[64], binary[sizeof(struct in6_addr)];
    if (len >= sizeof text)
        return false;
    memcpy(text, s, len);
    text[len] = 0;
    return inet_pton(AF_INET, text, binary) == 1 || inet_pton(AF_INET6, text, binary) == 1;
}

bool hs_host_allowed(const char *host, const hs_host_rule *rule)
{
    const bool bracket = host[0] == '[';
    const size_t skip = bracket ? 1 : 0, len = strcspn(host + skip, bracket ? "]" : ":");
    const char *name = host + skip, *rest = name + len;
    if (bracket && *rest++ != ']')
        return false;
    uint64_t port = 80;
    if (*rest && (*rest != ':' || !read_number(rest + 1, 10, 0, UINT16_MAX, &port)))
        return false;
    if (port != rule->port || len == 0)
        return false;
    if (bracket ? same_word(name, len, "::1") : same_word(name, len, "localhost") || same_word(name, len, "127.0.0.1"))
        return true;
    return same_word(name, len, rule->name) || (rule->address && is_address(name, len));
}

/* ---------------------------------------------------------------- the query */

static hs_status bad(hs_error *err, const char *key, const char *value, size_t len, const char *what)
{
    hs_fail(err, HS_ERR_USAGE, "%s", what);
    hs_error_where(err, "%s", key);
    return hs_error_value(err, value, len);
}

hs_status hs_request_param(hs_request_params *p, const char *key, const char *value, size_t len, hs_error *err)
{
    const bool run = strcmp(key, "run") == 0, step = strcmp(key, "step") == 0, word = strcmp(key, "q") == 0;
    if (!run && !step && !word)
        return HS_OK;
    if (memchr(value, 0, len) || hs_utf8_invalid(value, len) != SIZE_MAX)
        return bad(err, key, value, len, "this is no UTF-8 text");
    if ((run && p->has_run) || (step && p->has_step))
        return bad(err, key, value, len, "given twice");
    if (run) {
        if (len >= sizeof p->run)
            return bad(err, key, value, len, "no run has so long a name");
        memcpy(p->run, value, len);
        p->run[len] = 0;
        p->has_run = true;
    } else if (step) {
        char text[32];
        if (len >= sizeof text)
            return bad(err, key, value, len, "a step is a number");
        memcpy(text, value, len);
        text[len] = 0;
        if (!read_number(text, 10, 0, INT64_MAX, &p->step))
            return bad(err, key, value, len, "a step is a number");
        p->has_step = true;
    } else {
        if (p->n_words == HS_MAX_WORDS)
            return bad(err, key, value, len, "a question has fewer words");
        char *copy = hs_alloc(len + 1);
        if (!copy)
            return hs_fail_memory(err, len + 1);
        memcpy(copy, value, len);
        copy[len] = 0;
        p->word[p->n_words++] = copy;
    }
    return HS_OK;
}

void hs_request_params_free(hs_request_params *p)
{
    for (uint32_t i = 0; i < p->n_words; i++)
        hs_free(p->word[i]);
    p->n_words = 0;
}

/* ---------------------------------------------------------------- ids of events */

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A run's name up to the colon; NULL if it is none. */
static const char *read_run(const char *s, char *out, size_t size)
{
    size_t n = 0;
    for (; *s && *s != ':'; s++) {
        char c = *s;
        if (c == '%') {
            const int high = hex_digit(s[1]), low = high < 0 ? -1 : hex_digit(s[2]);
            if (low < 0 || (high == 0 && low == 0))
                return NULL;
            c = (char)(high * 16 + low);
            s += 2;
        } else if ((unsigned char)c <= ' ' || (unsigned char)c >= 0x7F) {
            return NULL;
        }
        if (n + 1 >= size)
            return NULL;
        out[n++] = c;
    }
    out[n] = 0;
    return *s == ':' && hs_utf8_invalid(out, n) == SIZE_MAX ? s : NULL;
}

bool hs_event_id_parse(const char *text, hs_event_id *out)
{
    memset(out, 0, sizeof *out);
    const char *s = read_run(text, out->run, sizeof out->run);
    s = s ? read_number(s + 1, 10, '.', INT64_MAX, &out->step) : NULL;
    if (!s || !*s)
        return s != NULL;
    uint64_t *const part[] = {&out->mark, &out->instance};
    for (int i = 0; i < 2 && s; i++) {
        s = read_number(s + 1, 16, '.', UINT64_MAX, part[i]);
        if (s && *s != '.')
            s = NULL;
    }
    s = s ? read_number(s + 1, 10, 0, UINT64_MAX, &out->seq) : NULL;
    out->marked = s != NULL;
    return s != NULL;
}

void hs_event_id_add(hs_str *out, const hs_event_id *id)
{
    for (const char *c = id->run; *c; c++) {
        const bool plain = isalnum((unsigned char)*c) || strchr("-_.~/", *c);
        hs_str_addf(out, plain ? "%c" : "%%%02X", (unsigned char)*c);
    }
    hs_str_addf(out, ":%" PRIu64, id->step);
    if (id->marked)
        hs_str_addf(out, ".%" PRIx64 ".%" PRIx64 ".%" PRIu64, id->mark, id->instance, id->seq);
}
