/* file.c - files that appear whole or not at all, whole-file reads, lines in bounded memory, the clock.
 *
 * Invariant: until hs_writer_commit has renamed it, a file exists only as "PATH.tmp-PID"; every failure removes that.
 */
#include "hopscope/core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef HS_WITH_ZSTD
#include <zstd.h>
#endif

static atomic_uint_fast64_t io_operations;
static atomic_uint_fast64_t io_fail_from;

void hs_io_fail_after(uint64_t n)
{
    atomic_store(&io_fail_from, n == 0 ? 0 : atomic_load(&io_operations) + n);
}

/* True (with errno set) when a test wants this write or sync to fail. */
static bool io_injected(void)
{
    uint64_t number = atomic_fetch_add(&io_operations, 1) + 1;
    uint64_t from = atomic_load(&io_fail_from);
    if (from == 0 || number < from)
        return false;
    errno = ENOSPC;
    return true;
}

static hs_status fail_errno(hs_error *err, const char *path, const char *action)
{
    int code = errno;
    hs_fail(err, HS_ERR_IO, "cannot %s: %s", action, strerror(code));
    hs_error_where(err, "%s", path);
    if (code == ENOSPC)
        hs_error_hint(err, "free some space and run the same command again");
    else if (code == EACCES || code == EROFS)
        hs_error_hint(err, "choose a folder you may write to");
    return HS_ERR_IO;
}

/* ---------------------------------------------------------------- writer */

enum { WRITE_BUFFER = 1 << 16 };

struct hs_writer {
    int fd;
    hs_status failed; /* of the first write that failed: such a file must never be committed */
    size_t used;
    char path[4096];
    char temporary[4096 + 32];
    char buffer[WRITE_BUFFER];
};

hs_status hs_writer_open(hs_writer **out, const char *path, hs_error *err)
{
    *out = NULL;
    if (strlen(path) >= 4096)
        return hs_fail(err, HS_ERR_USAGE, "path of %zu bytes is too long", strlen(path));
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) { /* renaming over /dev/stdout would replace the device */
        hs_fail(err, HS_ERR_IO, "this is %s, not a file to write", S_ISDIR(st.st_mode) ? "a folder" : "a device or pipe");
        hs_error_where(err, "%s", path);
        return HS_ERR_IO;
    }
    hs_writer *w = hs_calloc(1, sizeof *w);
    if (!w)
        return hs_fail_memory(err, sizeof *w);
    snprintf(w->path, sizeof w->path, "%s", path);
    snprintf(w->temporary, sizeof w->temporary, "%s.tmp-%ld", path, (long)getpid());
    w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        hs_status status = fail_errno(err, path, "create the file");
        hs_free(w);
        return status;
    }
    *out = w;
    return HS_OK;
}

static hs_status write_all(hs_writer *w, const char *data, size_t size, hs_error *err)
{
    while (size > 0) {
        ssize_t n = io_injected() ? -1 : write(w->fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return w->failed = fail_errno(err, w->path, "write");
        data += n;
        size -= (size_t)n;
    }
    return HS_OK;
}

static hs_status flush(hs_writer *w, hs_error *err)
{
    size_t used = w->used;
    w->used = 0;
    return write_all(w, w->buffer, used, err);
}

hs_status hs_writer_write(hs_writer *w, const void *data, size_t size, hs_error *err)
{
    if (size > WRITE_BUFFER - w->used)
        HS_TRY(flush(w, err));
    if (size >= WRITE_BUFFER)
        return write_all(w, data, size, err);
    memcpy(w->buffer + w->used, data, size);
    w->used += size;
    return HS_OK;
}

hs_status hs_writer_printf(hs_writer *w, hs_error *err, const char *fmt, ...)
{
    char small[1024];
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    hs_status status = HS_OK;
    if (n >= 0 && (size_t)n < sizeof small) {
        status = hs_writer_write(w, small, (size_t)n, err);
    } else if (n < 0) {
        status = w->failed = hs_fail(err, HS_ERR_FAILED, "text could not be formatted");
    } else {
        char *big = hs_alloc((size_t)n + 1);
        if (big) {
            vsnprintf(big, (size_t)n + 1, fmt, again);
            status = hs_writer_write(w, big, (size_t)n, err);
        } else {
            status = w->failed = hs_fail_memory(err, (size_t)n + 1);
        }
        hs_free(big);
    }
    va_end(again);
    return status;
}

void hs_writer_abort(hs_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    unlink(w->temporary);
    hs_free(w);
}

/* Make the rename itself durable. Some file systems cannot sync a folder; that is no error of ours. */
static void sync_folder_of(const char *path)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash)
        snprintf(folder, sizeof folder, ".");
    else if (slash == folder)
        folder[1] = 0;
    else
        *slash = 0;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

hs_status hs_writer_commit(hs_writer *w, hs_error *err)
{
    hs_status status = w->failed;
    if (status != HS_OK)
        hs_fail(err, status, "an earlier write to this file failed");
    else
        status = flush(w, err);
    if (status == HS_OK && (io_injected() || fsync(w->fd) != 0))
        status = fail_errno(err, w->path, "sync");
    if (status == HS_OK) {
        int fd = w->fd;
        w->fd = -1;
        if (close(fd) != 0)
            status = fail_errno(err, w->path, "close");
    }
    if (status == HS_OK && rename(w->temporary, w->path) != 0)
        status = fail_errno(err, w->path, "rename the finished file");
    if (status != HS_OK) {
        hs_writer_abort(w);
        return status;
    }
    sync_folder_of(w->path);
    hs_free(w);
    return HS_OK;
}

hs_status hs_file_write(const char *path, const void *data, size_t size, hs_error *err)
{
    hs_writer *w;
    HS_TRY(hs_writer_open(&w, path, err));
    hs_status status = hs_writer_write(w, data, size, err);
    if (status != HS_OK) {
        hs_writer_abort(w);
        return status;
    }
    return hs_writer_commit(w, err);
}

/* ---------------------------------------------------------------- whole files, folders, paths */

bool hs_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

hs_status hs_file_read(const char *path, size_t max, char **data, size_t *size, hs_error *err)
{
    *data = NULL;
    *size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, path, "open");
    struct stat st;
    hs_status status = HS_OK;
    char *buffer = NULL;
    size_t length = 0;
    if (fstat(fd, &st) != 0) {
        status = fail_errno(err, path, "read");
    } else if (!S_ISREG(st.st_mode)) {
        status = hs_fail(err, HS_ERR_DATA, "not a regular file");
        hs_error_where(err, "%s", path);
    } else if ((uint64_t)st.st_size > max) {
        status =
            hs_fail(err, HS_ERR_DATA, "file of %lld bytes is larger than the limit of %zu", (long long)st.st_size, max);
        hs_error_where(err, "%s", path);
    } else {
        length = (size_t)st.st_size;
        buffer = hs_alloc(length + 1);
        if (!buffer)
            status = hs_fail_memory(err, length + 1);
    }
    size_t got = 0;
    while (status == HS_OK && got < length) {
        ssize_t n = read(fd, buffer + got, length - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            status = fail_errno(err, path, "read");
        else if (n == 0)
            break; /* shortened while we read: take what is there */
        else
            got += (size_t)n;
    }
    close(fd);
    if (status != HS_OK) {
        hs_free(buffer);
        return status;
    }
    buffer[got] = 0;
    *data = buffer;
    *size = got;
    return HS_OK;
}

hs_status hs_make_dirs(const char *path, hs_error *err)
{
    char part[4096];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return hs_fail(err, HS_ERR_USAGE, "folder name of %zu bytes", len);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return fail_errno(err, part, "make the folder");
    }
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return fail_errno(err, path, "use this as a folder");
    }
    return HS_OK;
}

hs_status hs_path_join(char *out, size_t size, const char *a, const char *b, hs_error *err)
{
    size_t na = strlen(a);
    bool slash = na > 0 && a[na - 1] != '/';
    int n = snprintf(out, size, "%s%s%s", a, slash ? "/" : "", b);
    if (n < 0 || (size_t)n >= size)
        return hs_fail(err, HS_ERR_DATA, "path is too long: %s/%s", a, b);
    return HS_OK;
}

/* ---------------------------------------------------------------- lines */

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
        return fail_errno(err, l->path, "read");
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
    l->fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    hs_status status = l->fd < 0 ? fail_errno(err, l->path, "open") : HS_OK;
    struct stat st;
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

double hs_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double hs_cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
