/* csv.c - records of comma-separated values (RFC 4180), read, and fields written: quoted fields, "" inside them, line
 * breaks inside them, CRLF or LF.
 *
 * A small state machine over raw bytes. The fields of the current record lie one after the other in `text`; end[i] is
 * where field i ends. */
#include "core/csv.h"

#include <string.h>

enum { MAX_FIELDS = 64 };
enum state { AT_START, UNQUOTED, QUOTED, AFTER_QUOTE };

typedef struct csv {
    const char *path;
    hs_csv_fn record;
    void *user;
    enum state state;
    uint64_t line, record_line;
    char *text;
    size_t len, cap;
    size_t end[MAX_FIELDS];
    size_t n;
    bool cr; /* the last byte was a carriage return outside quotes */
} csv;

static hs_status fail_csv(const csv *c, const char *what, hs_error *err)
{
    size_t from = c->n == 0 ? 0 : c->end[c->n - 1];
    hs_fail(err, HS_ERR_DATA, "%s", what);
    hs_error_where(err, "%s:%llu", c->path, (unsigned long long)c->line);
    if (c->len > from)
        hs_error_value(err, c->text + from, c->len - from < 60 ? c->len - from : 60);
    return HS_ERR_DATA;
}

static hs_status put(csv *c, char byte, hs_error *err)
{
    if (c->len >= HS_CSV_RECORD)
        return fail_csv(c, "a record is longer than 1 MiB", err);
    void *text = c->text;
    hs_status status = hs_grow(&text, &c->cap, c->len + 1, 1, err);
    c->text = text;
    if (status == HS_OK)
        c->text[c->len++] = byte;
    return status;
}

static hs_status end_field(csv *c, hs_error *err)
{
    if (c->n == MAX_FIELDS)
        return fail_csv(c, "a record of more than 64 fields", err);
    c->end[c->n++] = c->len;
    c->state = AT_START;
    return HS_OK;
}

static hs_status end_record(csv *c, hs_error *err)
{
    if (c->n == 0 && c->len == 0 && c->state == AT_START) {
        c->record_line = c->line; /* an empty line */
        return HS_OK;
    }
    HS_TRY(end_field(c, err));
    size_t bad = hs_utf8_invalid(c->text, c->len);
    if (c->len > 0 && bad != SIZE_MAX)
        return fail_csv(c, "text is not UTF-8", err);
    hs_field field[MAX_FIELDS];
    for (size_t i = 0; i < c->n; i++) {
        size_t from = i == 0 ? 0 : c->end[i - 1];
        field[i] = (hs_field){c->len == 0 ? "" : c->text + from, c->end[i] - from};
    }
    const size_t n = c->n;
    c->n = c->len = 0;
    return c->record(c->user, field, n, c->record_line, err);
}

static hs_status take(csv *c, char byte, hs_error *err)
{
    if (c->state == QUOTED) {
        if (byte == '"')
            c->state = AFTER_QUOTE;
        else
            return put(c, byte, err);
        return HS_OK;
    }
    if (c->state == AFTER_QUOTE && byte == '"') {
        c->state = QUOTED;
        return put(c, byte, err);
    }
    if (c->cr && byte != '\n')
        return fail_csv(c, "a carriage return inside an unquoted field", err);
    c->cr = byte == '\r';
    if (byte == '\r')
        return HS_OK;
    if (byte == '\n') {
        HS_TRY(end_record(c, err));
        c->record_line = c->line + 1;
        return HS_OK;
    }
    if (byte == ',')
        return end_field(c, err);
    if (c->state == AFTER_QUOTE)
        return fail_csv(c, "text after a closing quote", err);
    if (byte == '"') {
        if (c->state == UNQUOTED)
            return fail_csv(c, "a quote inside an unquoted field", err);
        c->state = QUOTED;
        return HS_OK;
    }
    c->state = UNQUOTED;
    return put(c, byte, err);
}

static hs_status read_bytes(csv *c, hs_lines *in, hs_error *err)
{
    char chunk[8192];
    for (;;) {
        size_t got;
        HS_TRY(hs_lines_read(in, chunk, sizeof chunk, &got, err));
        if (got == 0)
            break;
        for (size_t i = 0; i < got; i++) {
            HS_TRY(take(c, chunk[i], err));
            if (chunk[i] == '\n')
                c->line++;
        }
    }
    if (c->state == QUOTED) {
        fail_csv(c, "the file ends inside a quoted field", err);
        hs_error_hint(err, "the record that began at line %llu has no closing quote",
                      (unsigned long long)c->record_line);
        return HS_ERR_DATA;
    }
    return end_record(c, err);
}

hs_status hs_csv_read(hs_lines *in, const char *path, hs_csv_fn record, void *user, hs_error *err)
{
    csv c = {.path = path, .record = record, .user = user, .line = 1, .record_line = 1};
    const hs_status status = read_bytes(&c, in, err);
    hs_free(c.text);
    return status;
}

void hs_str_add_csv(hs_str *str, const char *s)
{
    if (!strpbrk(s, ",\"\n\r")) {
        hs_str_add(str, s, strlen(s));
        return;
    }
    hs_str_add(str, "\"", 1);
    for (; *s; s++)
        hs_str_add(str, *s == '"' ? "\"\"" : s, *s == '"' ? 2 : 1);
    hs_str_add(str, "\"", 1);
}
