/* status.c - status codes and the error detail that travels with them.
 *
 * Invariant: a filled hs_error holds terminated UTF-8 text without control characters, cut at a character boundary. */
#include "hopscope/core.h"

#include <errno.h>
#include <string.h>

const char *hs_version(void)
{
    return HS_VERSION;
}

const char *hs_interface(void)
{
    return HS_INTERFACE;
}

int hs_status_exit_code(hs_status status)
{
    switch (status) {
#define HS_X(name, exit_code, sentence)                                                                                \
    case name:                                                                                                         \
        return exit_code;
        HS_STATUS_MAP(HS_X)
#undef HS_X
    }
    return 1;
}

bool hs_status_stopped(hs_status status)
{
    return status == HS_STOPPED_INT || status == HS_STOPPED_TERM || status == HS_STOPPED_REQUEUE;
}

const char *hs_status_sentence(hs_status status)
{
    switch (status) {
#define HS_X(name, exit_code, sentence)                                                                                \
    case name:                                                                                                         \
        return sentence;
        HS_STATUS_MAP(HS_X)
#undef HS_X
    }
    return "unknown status";
}

/* Drop a character cut in two at the end of `s`; show control characters and bytes that are not UTF-8 (a path may hold
 * both) as '?': a terminal must survive our messages. */
static void tidy(char *s)
{
    size_t len = strlen(s);
    for (size_t bad = hs_utf8_invalid(s, len), at = 0; bad != SIZE_MAX; bad = hs_utf8_invalid(s + at, len - at)) {
        at += bad;
        /* A lead byte with only continuation bytes after it, fewer than it asks for, is a character cut in two. */
        unsigned char lead = (unsigned char)s[at];
        size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0, have = 1;
        while (at + have < len && ((unsigned char)s[at + have] & 0xc0) == 0x80)
            have++;
        if (at + have == len && have < need) {
            s[at] = 0;
            break;
        }
        s[at] = '?';
    }
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
}

/* What the last hs_fail of this thread said, so that `return hs_error_hint(err, ...)` is right without an hs_error too. */
static _Thread_local hs_status last_failure = HS_ERR_FAILED;

hs_status hs_fail(hs_error *err, hs_status status, const char *fmt, ...)
{
    last_failure = status;
    if (err) {
        memset(err, 0, sizeof *err);
        err->status = status;
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->what, sizeof err->what, fmt, ap);
        va_end(ap);
        tidy(err->what);
    }
    return status;
}

static hs_status failed_status(const hs_error *err)
{
    return err && err->status != HS_OK ? err->status : last_failure;
}

hs_status hs_error_where(hs_error *err, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->where, sizeof err->where, fmt, ap);
        va_end(ap);
        tidy(err->where);
    }
    return failed_status(err);
}

hs_status hs_error_hint(hs_error *err, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->hint, sizeof err->hint, fmt, ap);
        va_end(ap);
        tidy(err->hint);
    }
    return failed_status(err);
}

hs_status hs_error_value(hs_error *err, const char *value, size_t len)
{
    if (!err)
        return failed_status(err);
    size_t out = 0;
    size_t bad = hs_utf8_invalid(value, len);
    for (size_t i = 0; i < len && out + 8 < sizeof err->value; i++) {
        unsigned char c = (unsigned char)value[i];
        /* Bytes of invalid text and control characters are shown as \xNN: a terminal must survive our messages. */
        if (c < 0x20 || c == 0x7f || (bad != SIZE_MAX && i >= bad && c >= 0x80))
            out += (size_t)snprintf(err->value + out, sizeof err->value - out, "\\x%02x", c);
        else
            err->value[out++] = (char)c;
    }
    err->value[out] = 0;
    tidy(err->value);
    return failed_status(err);
}

hs_status hs_fail_errno(hs_error *err, const char *path, const char *action)
{
    int code = errno;
    hs_fail(err, HS_ERR_IO, "cannot %s: %s", action, strerror(code));
    hs_error_where(err, "%s", path);
    if (code == ENOSPC)
        hs_error_hint(err, "free some space and run the same command again");
    else if (code == EFBIG)
        hs_error_hint(err, "the limit on the size of a file (ulimit -f) or of this file system is reached");
    else if (code == EACCES || code == EROFS)
        hs_error_hint(err, "choose a folder you may write to");
    return HS_ERR_IO;
}

void hs_error_format(const hs_error *err, char *out, size_t size)
{
    if (size == 0)
        return;
    int n = snprintf(out, size, "%s%s%s", err->where, err->where[0] ? ": " : "",
                     err->what[0] ? err->what : hs_status_sentence(err->status));
    if (err->value[0] && n > 0 && (size_t)n < size)
        n += snprintf(out + n, size - (size_t)n, ": '%s'", err->value);
    if (err->hint[0] && n > 0 && (size_t)n < size)
        snprintf(out + n, size - (size_t)n, "\n  hint: %s", err->hint);
}

void hs_event_send(const hs_events *events, hs_event_kind kind, const char *stage, const char *fmt, ...)
{
    if (!events || !events->fn)
        return;
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    tidy(text);
    const hs_event event = {.kind = kind, .stage = stage, .text = text};
    events->fn(events->user, &event);
}
