/* json.c - JSON as text, written in order; and made safe to stand in a page.
 *
 * Invariant: what is written is valid JSON in UTF-8 whatever text comes in, and after hs_page_escape it contains no
 * character that HTML gives a meaning to. */
#include "report/page/page.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void comma(hs_str *out)
{
    if (out->len > 0 && !strchr("{[:,", out->s[out->len - 1]))
        hs_str_add(out, ",", 1);
}

void hs_page_open(hs_str *out, char bracket)
{
    comma(out);
    hs_str_add(out, &bracket, 1);
}

void hs_page_close(hs_str *out, char bracket)
{
    hs_str_add(out, &bracket, 1);
}

void hs_page_key(hs_str *out, const char *key)
{
    hs_page_text(out, key);
    hs_str_add(out, ":", 1);
}

void hs_page_text(hs_str *out, const char *text)
{
    if (!text) {
        hs_page_raw(out, "null");
        return;
    }
    comma(out);
    const size_t len = strlen(text), bad = hs_utf8_invalid(text, len);
    if (bad == SIZE_MAX) {
        hs_str_add_json(out, text, len);
        return;
    }
    hs_str clean = {0};
    for (size_t at = 0; at < len;) {
        const size_t next = hs_utf8_invalid(text + at, len - at), good = next == SIZE_MAX ? len - at : next;
        hs_str_add(&clean, text + at, good);
        at += good;
        if (at < len) {
            hs_str_add(&clean, "\xEF\xBF\xBD", 3);
            at++;
        }
    }
    hs_str_add_json(out, clean.s, clean.len);
    out->failed |= clean.failed;
    hs_str_free(&clean);
}

void hs_page_number(hs_str *out, double value)
{
    char text[40];
    if (!isfinite(value)) {
        hs_page_raw(out, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    hs_page_raw(out, text);
}

void hs_page_whole(hs_str *out, uint64_t value)
{
    comma(out);
    hs_str_addf(out, "%" PRIu64, value);
}

void hs_page_key_text(hs_str *out, const char *key, const char *text)
{
    hs_page_key(out, key);
    hs_page_text(out, text);
}

void hs_page_key_number(hs_str *out, const char *key, double value)
{
    hs_page_key(out, key);
    hs_page_number(out, value);
}

void hs_page_key_whole(hs_str *out, const char *key, uint64_t value)
{
    hs_page_key(out, key);
    hs_page_whole(out, value);
}

void hs_page_token(hs_str *out, uint32_t token)
{
    if (token == HS_NO_ID)
        hs_page_raw(out, "null");
    else
        hs_page_whole(out, token);
}

void hs_page_bool(hs_str *out, bool value)
{
    hs_page_raw(out, value ? "true" : "false");
}

void hs_page_raw(hs_str *out, const char *json)
{
    comma(out);
    if (!json || !*json)
        json = "null";
    hs_str_add(out, json, strlen(json));
}

void hs_page_escape(hs_str *out, const char *json, size_t len)
{
    size_t plain = 0; /* start of the run not yet copied */
    for (size_t i = 0; i < len; i++) {
        const unsigned char *c = (const unsigned char *)json + i;
        const bool separator = i + 2 < len && c[0] == 0xE2 && c[1] == 0x80 && (c[2] == 0xA8 || c[2] == 0xA9);
        if (!separator && *c != '<' && *c != '>' && *c != '&')
            continue;
        hs_str_add(out, json + plain, i - plain);
        hs_str_addf(out, "\\u%04x", separator ? 0x2000u + (c[2] & 0x3Fu) : (unsigned)*c);
        i += separator ? 2 : 0;
        plain = i + 1;
    }
    hs_str_add(out, json + plain, len - plain);
}
