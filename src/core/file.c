/* file.c - files that appear whole or not at all, whole-file reads, folders and paths.
 *
 * Invariant: until hs_writer_commit has renamed it, a file exists only as "PATH.tmp-PID"; every failure removes that.
 */
#include "hopscope/core.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
        hs_status status = hs_fail_errno(err, path, "create the file");
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
            return w->failed = hs_fail_errno(err, w->path, "write");
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
        status = hs_fail_errno(err, w->path, "sync");
    if (status == HS_OK) {
        int fd = w->fd;
        w->fd = -1;
        if (close(fd) != 0)
            status = hs_fail_errno(err, w->path, "close");
    }
    if (status == HS_OK && rename(w->temporary, w->path) != 0)
        status = hs_fail_errno(err, w->path, "rename the finished file");
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
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer must not be waited for */
    if (fd < 0)
        return hs_fail_errno(err, path, "open");
    struct stat st;
    hs_status status = HS_OK;
    char *buffer = NULL;
    size_t length = 0;
    if (fstat(fd, &st) != 0) {
        status = hs_fail_errno(err, path, "read");
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
            status = hs_fail_errno(err, path, "read");
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
            return hs_fail_errno(err, part, "make the folder");
    }
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return hs_fail_errno(err, path, "use this as a folder");
    }
    return HS_OK;
}

/* No entry but "." and ".."? */
static bool is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return false;
    bool empty = true;
    for (struct dirent *e; empty && (e = readdir(d)) != NULL;)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    closedir(d);
    return empty;
}

hs_status hs_path_check_vacant(const char *path, hs_error *err)
{
    struct stat st;
    if (lstat(path, &st) != 0 || (S_ISDIR(st.st_mode) && is_empty(path)))
        return HS_OK;
    hs_fail(err, HS_ERR_IO, "the output is there already");
    hs_error_where(err, "%s", path);
    return hs_error_hint(err, "choose another name, or remove it first");
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
