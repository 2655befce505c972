/* answer.c - the answer in a text, and whether it is a name of the right thing. See answer.h.
 *
 * Normalization is that of SQuAD's evaluation (Rajpurkar et al. 2016): small letters, no punctuation, no article,
 * single spaces; but a hyphen parts words, a minus before a number stays, and only a leading article goes. */
#include "lm/answer.h"

#include "graph/read/format.h"
#include "hopscope/lm.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Length of a UTF-8 quotation mark or dash at s, which count as punctuation; else 0. */
static size_t wide_mark(const char *s)
{
    return (unsigned char)s[0] == 0xe2 && (unsigned char)s[1] == 0x80 && (unsigned char)s[2] >= 0x90 &&
                   (unsigned char)s[2] <= 0x9f
               ? 3
               : 0;
}

void hs_answer_normalize(const char *text, hs_str *out)
{
    const size_t start = out->len;
    bool space = false;
    for (const char *p = text; *p;) {
        const size_t wide = wide_mark(p);
        const unsigned char c = (unsigned char)*p;
        const bool minus = c == '-' && out->len == start && isdigit((unsigned char)p[1]);
        if (wide || c <= ' ' || (c == '-' && !minus)) {
            space = true;
            p += wide ? wide : 1;
            continue;
        }
        p++;
        if (c < 128 && ispunct(c) && c != '_' && !minus)
            continue;
        if (space && out->len > start)
            hs_str_add(out, " ", 1);
        space = false;
        const char small = c < 128 ? (char)tolower(c) : (char)c;
        hs_str_add(out, &small, 1);
    }
    static const char *const articles[] = {"the ", "a ", "an "};
    for (size_t k = 0; k < 3 && out->s; k++) {
        const size_t len = strlen(articles[k]);
        if (out->len - start > len && strncmp(out->s + start, articles[k], len) == 0) {
            memmove(out->s + start, out->s + start + len, out->len - start - len + 1);
            out->len -= len;
            return;
        }
    }
}

bool hs_answer_find(const char *text, bool direct, hs_str *out)
{
    const char *at = NULL;
    for (const char *p = text; *p; p++)
        if (strncasecmp(p, "answer", 6) == 0) {
            const char *q = p + 6;
            while (*q == '*' || *q == ' ')
                q++;
            if (*q == ':')
                at = q + 1;
        }
    if (!at) {
        at = text + strspn(text, " \t\r\n");
        const char *end = strchr(at, '\n');
        if (!direct || (end && end[strspn(end, " \t\r\n")] != 0))
            return false;
    }
    at += strspn(at, " \t\r\n*\"'`");
    size_t len = strcspn(at, "\r\n");
    while (len > 0 && strchr(" \t*\"'`.", at[len - 1]))
        len--;
    hs_str_add(out, at, len);
    return len > 0;
}

static bool equal(const hs_str *a, const hs_str *b)
{
    return !a->failed && !b->failed && a->len > 0 && a->len == b->len && memcmp(a->s, b->s, a->len) == 0;
}

bool hs_answer_match(const char *a, const char *b)
{
    hs_str x = {0}, y = {0};
    hs_answer_normalize(a, &x);
    hs_answer_normalize(b, &y);
    const bool same = equal(&x, &y);
    hs_str_free(&x);
    hs_str_free(&y);
    return same;
}

/* The one name that all names of a thing have. */
static void canonical(const hs_aliases *aliases, const char *text, hs_str *out)
{
    char date[HS_DATE_SIZE];
    const char *country;
    if (hs_date_iso(text, date)) {
        hs_str_addf(out, "%s", date);
        return;
    }
    hs_answer_normalize(text, out);
    const uint32_t id = out->s ? hs_names_find(&aliases->name, out->s, out->len) : HS_NO_ID;
    if (id != HS_NO_ID) {
        const uint32_t group = aliases->group[id];
        out->len = 0;
        hs_str_addf(out, "\t%u", group);
    } else if ((country = hs_country_name(text)) != NULL) {
        out->len = 0;
        hs_answer_normalize(country, out);
    }
}

bool hs_answer_match_alias(const hs_aliases *aliases, const char *a, const char *b)
{
    hs_str x = {0}, y = {0};
    canonical(aliases, a, &x);
    canonical(aliases, b, &y);
    const bool same = equal(&x, &y);
    hs_str_free(&x);
    hs_str_free(&y);
    return same || hs_answer_match(a, b);
}

/* ---------------------------------------------------------------- the file of aliases */

static hs_status add_alias(hs_aliases *a, const char *text, uint32_t group, hs_str *word, hs_error *err)
{
    uint32_t id;
    word->len = 0;
    hs_answer_normalize(text, word);
    if (word->failed)
        return hs_fail_memory(err, strlen(text));
    if (word->len == 0)
        return hs_fail(err, HS_ERR_DATA, "an empty name");
    const uint32_t before = a->name.n;
    HS_TRY(hs_names_add(&a->name, word->s, word->len, &id, err));
    if (id < before && a->group[id] != group) {
        hs_fail(err, HS_ERR_DATA, "this name stands on an earlier line already");
        return hs_error_value(err, text, strlen(text));
    }
    void *p = a->group;
    const hs_status status = hs_grow(&p, &a->cap, a->name.n, sizeof *a->group, err);
    a->group = p;
    if (status == HS_OK)
        a->group[id] = group;
    return status;
}

static hs_status add_line(hs_aliases *a, char *line, uint32_t group, hs_str *word, hs_error *err)
{
    uint32_t n = 0;
    char *save = NULL;
    for (char *name = strtok_r(line, "\t", &save); name; name = strtok_r(NULL, "\t", &save), n++)
        HS_TRY(add_alias(a, name, group, word, err));
    if (n < 2) {
        hs_fail(err, HS_ERR_DATA, "one name alone");
        return hs_error_hint(err, "a line holds a name and its aliases, separated by tabs");
    }
    return HS_OK;
}

hs_status hs_aliases_read(hs_aliases *out, const char *path, hs_error *err)
{
    *out = (hs_aliases){0};
    if (!path)
        return HS_OK;
    hs_lines *lines;
    HS_TRY(hs_lines_open(&lines, path, 1 << 16, err));
    hs_str word = {0};
    const char *line;
    size_t len;
    hs_status status;
    while ((status = hs_lines_next(lines, &line, &len, err)) == HS_OK && line) {
        if (len == 0 || *line == '#')
            continue;
        char *copy = hs_strdup(line);
        status = copy ? add_line(out, copy, (uint32_t)hs_lines_number(lines), &word, err) : hs_fail_memory(err, len);
        hs_free(copy);
        if (status != HS_OK) {
            hs_error_where(err, "%s:%llu", path, (unsigned long long)hs_lines_number(lines));
            break;
        }
    }
    hs_lines_close(lines);
    hs_str_free(&word);
    if (status != HS_OK)
        hs_aliases_free(out);
    return status;
}

void hs_aliases_free(hs_aliases *a)
{
    hs_names_free(&a->name);
    hs_free(a->group);
    *a = (hs_aliases){0};
}
