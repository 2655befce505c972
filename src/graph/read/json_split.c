/* json_split.c - cuts a JSON list (or one object a line) into its elements without holding the file.
 *
 * Only brackets, strings and escapes are followed here; each element is then parsed by jansson, which judges everything
 * else. Memory is one chunk and the longest record, limited by max_record. Invariant: buf[0..len) is the part of the
 * current record that has been seen.
 */
#include "graph/read/format.h"

#include <string.h>

enum { CHUNK = 1 << 16 };
enum layout { LAYOUT_UNKNOWN, LAYOUT_LIST, LAYOUT_LINES };

struct hs_json_split {
    const hs_source *from;
    size_t max_record;
    char *buf;
    size_t len, cap;
    enum layout layout;
    bool want_comma; /* list: an element was just read */
    bool ended;      /* list: ']' was seen */
    uint64_t line, record_line, number;
    size_t at, have;
    char chunk[CHUNK];
};

hs_status hs_json_split_open(hs_json_split **out, const hs_source *from, size_t max_record, hs_error *err)
{
    *out = NULL;
    hs_json_split *split = hs_alloc(sizeof *split);
    if (split == NULL)
        return hs_fail_memory(err, sizeof *split);
    memset(split, 0, offsetof(hs_json_split, chunk));
    split->max_record = max_record;
    split->line = 1;
    split->from = from;
    *out = split;
    return HS_OK;
}

void hs_json_split_close(hs_json_split *split)
{
    if (split == NULL)
        return;
    hs_free(split->buf);
    hs_free(split);
}

uint64_t hs_json_split_line(const hs_json_split *split)
{
    return split->record_line;
}

uint64_t hs_json_split_number(const hs_json_split *split)
{
    return split->number;
}

static hs_status refill(hs_json_split *split, hs_error *err)
{
    split->at = split->have = 0;
    return hs_lines_read(split->from->in, split->chunk, CHUNK, &split->have, err);
}

static hs_status keep(hs_json_split *split, size_t first, size_t last, hs_error *err)
{
    size_t n = last - first;
    if (split->len + n > split->max_record) {
        hs_fail(err, HS_ERR_DATA, "a record is longer than %zu bytes", split->max_record);
        hs_error_where(err, "%s:%llu, record %llu", split->from->path, (unsigned long long)split->record_line,
                       (unsigned long long)split->number);
        return HS_ERR_DATA;
    }
    void *buf = split->buf;
    hs_status status = hs_grow(&buf, &split->cap, split->len + n, 1, err);
    split->buf = buf;
    if (status != HS_OK)
        return status;
    memcpy(split->buf + split->len, split->chunk + first, n);
    split->len += n;
    return HS_OK;
}

static hs_status fail_here(hs_json_split *split, const char *what, const char *value, hs_error *err)
{
    hs_fail(err, HS_ERR_DATA, "%s", what);
    if (value != NULL)
        hs_error_value(err, value, 1);
    hs_error_where(err, "%s:%llu", split->from->path, (unsigned long long)split->line);
    return HS_ERR_DATA;
}

/* Read on from an opening brace to its end. */
static hs_status take_object(hs_json_split *split, hs_error *err)
{
    unsigned depth = 0;
    bool in_string = false, escaped = false;
    size_t first = split->at;
    for (;;) {
        if (split->at == split->have) {
            HS_TRY(keep(split, first, split->at, err));
            HS_TRY(refill(split, err));
            first = 0;
            if (split->have == 0) {
                fail_here(split, "the file ends inside a record", NULL, err);
                hs_error_hint(err, "the file is truncated; fetch or write it again");
                hs_error_where(err, "%s:%llu, record %llu", split->from->path, (unsigned long long)split->record_line,
                               (unsigned long long)split->number);
                return HS_ERR_DATA;
            }
        }
        char c = split->chunk[split->at];
        if (c == '\n') {
            if (split->layout == LAYOUT_LINES) {
                fail_here(split, "the record is not complete at the end of its line", NULL, err);
                hs_error_hint(err, "a file that starts with '{' holds one record a line; a list starts with '['");
                return HS_ERR_DATA;
            }
            split->line++;
        }
        split->at++;
        if (escaped)
            escaped = false;
        else if (in_string && c == '\\')
            escaped = true;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '['))
            depth++;
        else if (!in_string && (c == '}' || c == ']') && --depth == 0)
            return keep(split, first, split->at, err);
    }
}

/* One byte outside a record. *found: it opens one. */
static hs_status step_outside(hs_json_split *split, bool *found, hs_error *err)
{
    const char *c = &split->chunk[split->at];
    *found = false;
    if (*c == '\n')
        split->line++;
    if (*c == '\n' || *c == ' ' || *c == '\t' || *c == '\r') {
        split->at++;
        return HS_OK;
    }
    if (split->layout == LAYOUT_UNKNOWN && *c == '[') {
        split->layout = LAYOUT_LIST;
        split->at++;
        return HS_OK;
    }
    if (split->ended)
        return fail_here(split, "text after the end of the list", c, err);
    if (split->layout == LAYOUT_LIST && *c == ']') {
        if (!split->want_comma && split->number > 0)
            return fail_here(split, "a comma before the end of the list", c, err);
        split->ended = true;
        split->at++;
        return HS_OK;
    }
    if (split->layout == LAYOUT_LIST && split->want_comma) {
        if (*c != ',')
            return fail_here(split, "a comma or ']' is missing between two records", c, err);
        split->want_comma = false;
        split->at++;
        return HS_OK;
    }
    if (*c != '{') {
        fail_here(split, "a record must be a JSON object", c, err);
        hs_error_hint(err, "expected a list of objects, or one object a line");
        return HS_ERR_DATA;
    }
    if (split->layout == LAYOUT_UNKNOWN)
        split->layout = LAYOUT_LINES;
    *found = true;
    return HS_OK;
}

hs_status hs_json_split_next(hs_json_split *split, const char **text, size_t *len, hs_error *err)
{
    *text = NULL;
    *len = split->len = 0;
    for (;;) {
        if (split->at == split->have) {
            HS_TRY(refill(split, err));
            if (split->have == 0)
                break;
        }
        bool found;
        HS_TRY(step_outside(split, &found, err));
        if (!found)
            continue;
        split->number++;
        split->record_line = split->line;
        HS_TRY(take_object(split, err));
        split->want_comma = true;
        *text = split->buf;
        *len = split->len;
        return HS_OK;
    }
    if (split->layout == LAYOUT_LIST && !split->ended) {
        fail_here(split, "the file ends before the end of the list", NULL, err);
        hs_error_hint(err, "the file is truncated; fetch or write it again");
        return HS_ERR_DATA;
    }
    return HS_OK;
}
