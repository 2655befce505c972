/* list.c - lists written as one text: "a,b c,d\, e" has three elements.
 *
 * Invariant: every reader of such a text walks it with next_element, so all agree on what an element is. */
#include "hopscope/core.h"

#include <string.h>

/* The raw text of the element at *at (escapes stand, spaces stand); moves *at behind it, to NULL after the last one. */
static const char *next_element(const char **at, size_t *len)
{
    const char *start = *at, *s = start;
    while (*s && *s != ',')
        s += s[0] == '\\' && s[1] == ',' ? 2 : 1;
    *len = (size_t)(s - start);
    *at = *s ? s + 1 : NULL;
    return start;
}

/* Unescape into `out`, which has room for `len` bytes and a 0; returns the length. */
static size_t unescape(const char *s, size_t len, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\\' && i + 1 < len && s[i + 1] == ',')
            i++;
        out[n++] = s[i];
    }
    out[n] = 0;
    return n;
}

static void trim(const char **s, size_t *len)
{
    while (*len > 0 && **s == ' ') {
        ++*s;
        --*len;
    }
    while (*len > 0 && (*s)[*len - 1] == ' ')
        --*len;
}

hs_status hs_list_parse(hs_list *out, const char *text, hs_error *err)
{
    *out = (hs_list){0};
    if (!text || !*text)
        return HS_OK;
    size_t n = 0, len;
    for (const char *at = text; at; n++)
        next_element(&at, &len);
    const size_t size = n * sizeof(char *) + strlen(text) + n; /* the pointers, then the texts */
    out->item = hs_alloc(size);
    if (!out->item)
        return hs_fail_memory(err, size);
    char *to = (char *)(out->item + n);
    for (const char *at = text; at; out->n++) {
        const char *element = next_element(&at, &len);
        trim(&element, &len);
        out->item[out->n] = to;
        to += unescape(element, len, to) + 1;
    }
    return HS_OK;
}

void hs_list_free(hs_list *list)
{
    hs_free(list->item);
    *list = (hs_list){0};
}

bool hs_list_has(const char *text, const char *element)
{
    const size_t want = strlen(element);
    for (const char *at = text && *text ? text : NULL; at;) {
        size_t len, n = 0, i = 0;
        const char *s = next_element(&at, &len);
        trim(&s, &len);
        for (; i < len && n < want; i++, n++) {
            i += s[i] == '\\' && i + 1 < len && s[i + 1] == ',';
            if (s[i] != element[n])
                break;
        }
        if (i == len && n == want)
            return true;
    }
    return false;
}

bool hs_list_get(const char *text, size_t i, char *out, size_t size)
{
    for (const char *at = *text ? text : NULL; at; i--) {
        size_t len;
        const char *element = next_element(&at, &len);
        if (i > 0)
            continue;
        size_t escapes = 0;
        for (size_t k = 0; k + 1 < len; k++)
            escapes += element[k] == '\\' && element[k + 1] == ',';
        if (len - escapes >= size)
            return false;
        unescape(element, len, out);
        return true;
    }
    return false;
}

void hs_list_add(hs_str *text, const char *element, size_t len)
{
    if (text->len)
        hs_str_add(text, ",", 1);
    for (size_t i = 0; i < len; i++) {
        if (element[i] == ',')
            hs_str_add(text, "\\", 1);
        hs_str_add(text, element + i, 1);
    }
}
