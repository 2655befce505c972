/* lines.c - the lines of a text file, or its raw bytes, in bounded memory, decompressed on the way.
 *
 * Invariant: in[begin, end) is what was read and not yet given away; a line given out is a terminated copy in `line`.
 */
#include "hopscope/core.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef HS_WITH_ZSTD
#include <zstd.h>
#endif

enum { READ_BUFFER = 1 << 16 };

struct hs_lines {
    int fd;
    char path[512]; /* for messages */
    size_t max_line;
    uint64_t number;
    size_t begin, end; /* unread bytes of `in` */
    bool at_end;
    char *line;
    size_t line_cap;
#ifdef HS_WITH_ZSTD
    ZSTD_DStream *zstd;
    size_t raw_begin, raw_end;
    bool frame_done;
    bool pending; /* the last call filled `in`: more may come out without new input */
    char raw[READ_BUFFER];
#endif
    char in[READ_BUFFER];
};

static hs_status read_some(hs_lines *l, char *buffer, size_t size, size_t *got, hs_error *err)
{
    ssize_t n;
    do
        n = read(l->fd, buffer, size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return hs_fail_errno(err, l->path, "read");
    *got = (size_t)n;
    return HS_OK;
}

#ifdef HS_WITH_ZSTD
static hs_status read_zstd(hs_lines *l, hs_error *err)
{
    ZSTD_outBuffer out = {l->in, READ_BUFFER, 0};
    while (out.pos == 0) {
        if (l->raw_begin == l->raw_end && !l->pending) {
            l->raw_begin = 0;
            HS_TRY(read_some(l, l->raw, READ_BUFFER, &l->raw_end, err));
            if (l->raw_end == 0) {
                l->at_end = true;
                if (l->frame_done)
                    break;
                hs_fail(err, HS_ERR_DATA, "compressed file is cut off");
                hs_error_where(err, "%s", l->path);
                return HS_ERR_DATA;
            }
        }
        ZSTD_inBuffer in = {l->raw, l->raw_end, l->raw_begin};
        size_t code = ZSTD_decompressStream(l->zstd, &out, &in);
        l->raw_begin = in.pos;
        if (ZSTD_isError(code)) {
            hs_fail(err, HS_ERR_DATA, "damaged zstd data: %s", ZSTD_getErrorName(code));
            hs_error_where(err, "%s", l->path);
            return HS_ERR_DATA;
        }
        l->frame_done = code == 0;
        l->pending = out.pos == out.size && code != 0;
    }
    l->begin = 0;
    l->end = out.pos;
    return HS_OK;
}
#endif

/* Refill the empty buffer; l->at_end when nothing is left. */
static hs_status refill(hs_lines *l, hs_error *err)
{
#ifdef HS_WITH_ZSTD
    if (l->zstd)
        return read_zstd(l, err);
#endif
    l->begin = 0;
    HS_TRY(read_some(l, l->in, READ_BUFFER, &l->end, err));
    l->at_end = l->end == 0;
    return HS_OK;
}

hs_status hs_lines_open(hs_lines **out, const char *path, size_t max_line, hs_error *err)
{
    *out = NULL;
    hs_lines *l = hs_calloc(1, sizeof *l);
    if (!l)
        return hs_fail_memory(err, sizeof *l);
    l->max_line = max_line;
    const bool standard = strcmp(path, "-") == 0;
    if (standard)
        snprintf(l->path, sizeof l->path, "standard input");
    else
        snprintf(l->path, sizeof l->path, "%s", path);
    struct stat st;
    /* Opening a named pipe waits for a writer, perhaps for ever; what is open already (/dev/fd/3) does not wait. */
    if (!standard && strncmp(path, "/dev/", 5) != 0 && strncmp(path, "/proc/", 6) != 0 && stat(path, &st) == 0 &&
        S_ISFIFO(st.st_mode)) {
        hs_free(l);
        hs_fail(err, HS_ERR_DATA, "this is a named pipe, not a file");
        hs_error_where(err, "%s", path);
        return hs_error_hint(err, "write its content to a file first, or give it as standard input");
    }
    l->fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    hs_status status = l->fd < 0 ? hs_fail_errno(err, l->path, "open") : HS_OK;
    if (status == HS_OK && fstat(l->fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        status = hs_fail(err, HS_ERR_DATA, "this is a folder, not a file");
        hs_error_where(err, "%s", l->path);
    }
    /* A pipe may give few bytes at a time: enough for the magic numbers first. */
    for (size_t got = 1; status == HS_OK && l->end < 4 && got > 0; l->end += got)
        status = read_some(l, l->in + l->end, READ_BUFFER - l->end, &got, err);
    l->at_end = status == HS_OK && l->end == 0;
    if (status == HS_OK && l->end >= 4 && memcmp(l->in, "\x28\xb5\x2f\xfd", 4) == 0) {
#ifdef HS_WITH_ZSTD
        memcpy(l->raw, l->in, l->end);
        l->raw_end = l->end;
        l->begin = l->end = 0;
        l->zstd = ZSTD_createDStream();
        status = l->zstd ? refill(l, err) : hs_fail_memory(err, 0);
#else
        status = hs_fail(err, HS_ERR_DATA, "file is compressed and this hopscope was built without zstd");
        hs_error_where(err, "%s", l->path);
        hs_error_hint(err, "decompress it first: zstd -d %s", path);
#endif
    }
    if (status == HS_OK && l->end - l->begin >= 3 && memcmp(l->in + l->begin, "\xef\xbb\xbf", 3) == 0)
        l->begin += 3;
    if (status != HS_OK) {
        hs_lines_close(l);
        return status;
    }
    *out = l;
    return HS_OK;
}

static hs_status fail_line(hs_lines *l, const char *what, const char *value, size_t len, hs_error *err)
{
    hs_fail(err, HS_ERR_DATA, "%s", what);
    hs_error_where(err, "%s:%llu", l->path, (unsigned long long)l->number);
    hs_error_value(err, value, len);
    return HS_ERR_DATA;
}

hs_status hs_lines_next(hs_lines *l, const char **line, size_t *len, hs_error *err)
{
    *line = NULL;
    *len = 0;
    size_t n = 0;
    bool any = false;
    for (;;) {
        if (l->begin == l->end) {
            if (!l->at_end)
                HS_TRY(refill(l, err));
            if (l->begin == l->end)
                break;
        }
        if (!any)
            l->number++;
        any = true;
        const char *start = l->in + l->begin;
        size_t left = l->end - l->begin;
        const char *newline = memchr(start, '\n', left);
        size_t take = newline ? (size_t)(newline - start) : left;
        if (take > l->max_line || n > l->max_line - take)
            return fail_line(l, "line is longer than the limit", n ? l->line : start, n ? 40 : (take < 40 ? take : 40),
                             err);
        void *p = l->line;
        HS_TRY(hs_grow(&p, &l->line_cap, n + take + 1, 1, err));
        l->line = p;
        memcpy(l->line + n, start, take);
        n += take;
        l->begin += take + (newline ? 1 : 0);
        if (newline)
            break;
    }
    if (!any)
        return HS_OK;
    if (n > 0 && l->line[n - 1] == '\r')
        n--;
    l->line[n] = 0;
    size_t bad = hs_utf8_invalid(l->line, n);
    if (bad != SIZE_MAX) {
        size_t from = bad < 20 ? 0 : bad - 20;
        while (from < bad && ((unsigned char)l->line[from] & 0xc0) == 0x80)
            from++;
        return fail_line(l, "text is not UTF-8", l->line + from, n - from < 40 ? n - from : 40, err);
    }
    *line = l->line;
    *len = n;
    return HS_OK;
}

hs_status hs_lines_read(hs_lines *l, void *buf, size_t size, size_t *got, hs_error *err)
{
    *got = 0;
    if (l->begin == l->end && !l->at_end)
        HS_TRY(refill(l, err));
    size_t left = l->end - l->begin;
    *got = left < size ? left : size;
    memcpy(buf, l->in + l->begin, *got);
    l->begin += *got;
    return HS_OK;
}

hs_status hs_lines_peek(hs_lines *l, void *buf, size_t size, size_t *got, hs_error *err)
{
    *got = 0;
    if (l->begin == l->end && !l->at_end)
        HS_TRY(refill(l, err));
    bool plain = true;
#ifdef HS_WITH_ZSTD
    plain = l->zstd == NULL;
#endif
    /* A pipe may give few bytes at a time. */
    memmove(l->in, l->in + l->begin, l->end - l->begin);
    l->end -= l->begin;
    l->begin = 0;
    for (size_t more = 1; plain && more > 0 && l->end < size && l->end < READ_BUFFER; l->end += more)
        HS_TRY(read_some(l, l->in + l->end, READ_BUFFER - l->end, &more, err));
    *got = l->end < size ? l->end : size;
    memcpy(buf, l->in, *got);
    return HS_OK;
}

uint64_t hs_lines_number(const hs_lines *l)
{
    return l->number;
}

void hs_lines_close(hs_lines *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
#ifdef HS_WITH_ZSTD
    ZSTD_freeDStream(l->zstd);
#endif
    hs_free(l->line);
    hs_free(l);
}
