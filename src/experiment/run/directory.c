/* directory.c - the run directory: its lock, and a run opened for reading.
 *
 * Invariants: the lock is the kernel's (flock, which Linux has on NFS since 2.6.12, across hosts), so a killed process
 * leaves none behind; the file stays while the folder does, since removing it would let two processes lock two
 * different files of the same name. File systems without locks (some parallel ones) get RUN/lock.held, made with
 * O_EXCL, which NFS does in one step. */
#include "experiment/internal.h"
#include "hopscope/tensor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* HS_ERR_IO if the folder holds something and no run: nobody's files are mixed with ours. */
static hs_status check_ours(const char *dir, hs_error *err)
{
    char path[4096];
    HS_TRY(hs_path_join(path, sizeof path, dir, "experiment.yaml", err));
    if (hs_file_exists(path))
        return HS_OK;
    DIR *d = opendir(dir);
    if (!d) {
        hs_fail(err, HS_ERR_IO, "cannot read the folder: %s", strerror(errno));
        return hs_error_where(err, "%s", dir);
    }
    hs_status status = HS_OK;
    for (struct dirent *e; status == HS_OK && (e = readdir(d));) {
        const char *name = e->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lock") == 0 ||
            strcmp(name, "lock.held") == 0 || strncmp(name, "experiment.yaml.tmp-", 20) == 0)
            continue;
        status = hs_fail(err, HS_ERR_IO, "folder holds other files and no run");
        hs_error_where(err, "%s", dir);
        hs_error_value(err, name, strlen(name));
        hs_error_hint(err, "choose another folder with -o");
    }
    closedir(d);
    return status;
}

/* How many bytes of a path name a folder that is there: all, or those before a '/'. */
static size_t length_there(const char *path)
{
    char part[4096];
    size_t len = strlen(path);
    if (len >= sizeof part)
        return len;
    memcpy(part, path, len + 1);
    while (len > 0 && access(part, F_OK) != 0) {
        while (len > 0 && part[len - 1] != '/')
            len--;
        while (len > 1 && part[len - 1] == '/')
            len--;
        part[len] = 0;
    }
    return len;
}

static bool no_kernel_lock; /* tests */

void hs_run_lock_by_file(bool on)
{
    no_kernel_lock = on;
}

/* "PID HOST": who has the run. */
static void lock_text(char out[128])
{
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    snprintf(out, 128, "%ld %s\n", (long)getpid(), host);
}

static hs_status fail_busy(hs_run_lock *lock, const char *run_dir, const char *text, const char *file, hs_error *err)
{
    long pid = 0;
    char host[64] = "";
    const int n = sscanf(text, "%ld %63s", &pid, host);
    lock->busy = true;
    if (n < 1)
        hs_fail(err, HS_ERR_IO, "run is in use by process (unknown)");
    else
        hs_fail(err, HS_ERR_IO, "run is in use by process %ld%s%s", pid, n > 1 ? " on " : "", host);
    hs_error_where(err, "%s", run_dir);
    return file ? hs_error_hint(err, "wait for it; if it is gone for good, remove %.200s", file)
                : hs_error_hint(err, "wait for it, or choose another folder with -o");
}

/* Is the holder a process of this host that is no more? */
static bool holder_is_gone(const char *text)
{
    char own[128], host[64] = "", here[64] = "";
    long pid = 0, self;
    lock_text(own);
    return sscanf(text, "%ld %63s", &pid, host) == 2 && sscanf(own, "%ld %63s", &self, here) == 2 &&
           strcmp(host, here) == 0 && pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* The file system has no locks: a file that only one process can make. */
static hs_status take_by_file(hs_run_lock *lock, const char *run_dir, hs_error *err)
{
    char path[4096], text[128];
    HS_TRY(hs_path_join(path, sizeof path, run_dir, "lock.held", err));
    for (int tries = 0; tries < 3; tries++) {
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            lock_text(text);
            const bool written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
            close(fd);
            lock->by_file = true;
            return written ? HS_OK : hs_fail_errno(err, path, "lock the run");
        }
        if (errno != EEXIST)
            return hs_fail_errno(err, path, "lock the run");
        fd = open(path, O_RDONLY | O_CLOEXEC);
        const ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
        text[n > 0 ? n : 0] = 0;
        if (fd >= 0)
            close(fd);
        if (!holder_is_gone(text))
            break;
        (void)unlink(path);
    }
    return fail_busy(lock, run_dir, text, path, err);
}

hs_status hs_run_lock_take(hs_run_lock *lock, const char *run_dir, hs_error *err)
{
    char path[4096];
    *lock = (hs_run_lock){.fd = -1, .there = length_there(run_dir)};
    HS_TRY(hs_make_dirs(run_dir, err));
    HS_TRY(check_ours(run_dir, err));
    HS_TRY(hs_path_join(path, sizeof path, run_dir, "lock", err));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        hs_fail(err, HS_ERR_IO, "cannot lock the run: %s", strerror(errno));
        hs_error_where(err, "%s", path);
        return hs_error_hint(err, "choose a folder you may write to with -o");
    }
    char text[128] = "";
    if (no_kernel_lock || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int code = no_kernel_lock ? ENOLCK : errno;
        ssize_t n = read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        text[strcspn(text, "\n")] = 0;
        close(fd);
        if (code == ENOLCK || code == ENOSYS || code == EOPNOTSUPP)
            return take_by_file(lock, run_dir, err);
        if (code != EWOULDBLOCK) {
            hs_fail(err, HS_ERR_IO, "cannot lock the run: %s", strerror(code));
            return hs_error_where(err, "%s", path);
        }
        return fail_busy(lock, run_dir, text, NULL, err);
    }
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_nlink == 0) { /* whoever made the folder has just given it up */
        close(fd);
        return hs_run_lock_take(lock, run_dir, err);
    }
    lock_text(text);
    const ssize_t len = (ssize_t)strlen(text);
    if (ftruncate(fd, 0) != 0 || write(fd, text, (size_t)len) != len) {
        /* The text is for messages only: a full disk must not keep anybody from resuming. */
    }
    lock->fd = fd;
    return HS_OK;
}

void hs_run_lock_release(hs_run_lock *lock, const char *run_dir)
{
    char path[4096];
    if (lock->fd >= 0)
        close(lock->fd);
    if (lock->by_file && hs_path_join(path, sizeof path, run_dir, "lock.held", NULL) == HS_OK)
        (void)unlink(path);
    lock->by_file = false;
    lock->fd = -1;
}

void hs_run_lock_give_up(hs_run_lock *lock, const char *run_dir)
{
    char path[4096];
    size_t len = strlen(run_dir);
    const bool ours = lock->fd >= 0 || lock->by_file;
    if (lock->by_file && hs_path_join(path, sizeof path, run_dir, "lock.held", NULL) == HS_OK) {
        (void)unlink(path);
        lock->by_file = false;
    }
    if (ours && lock->there < len && len < sizeof path &&
        hs_path_join(path, sizeof path, run_dir, "lock", NULL) == HS_OK && unlink(path) == 0) {
        memcpy(path, run_dir, len + 1);
        while (len > lock->there && rmdir(path) == 0) {
            while (len > lock->there && path[len - 1] == '/')
                len--;
            while (len > lock->there && path[len - 1] != '/')
                len--;
            while (len > lock->there && path[len - 1] == '/')
                len--;
            path[len] = 0;
        }
    }
    hs_run_lock_release(lock, run_dir);
}

hs_status hs_run_default_dir(char *out, size_t size, const char *yaml_path, hs_error *err)
{
    const char *slash = strrchr(yaml_path, '/');
    const char *base = slash ? slash + 1 : yaml_path;
    const char *dot = strrchr(base, '.');
    int len = dot && dot != base ? (int)(dot - base) : (int)strlen(base);
    int n = snprintf(out, size, "runs/%.*s", len, base);
    if (len == 0 || n < 0 || (size_t)n >= size) {
        hs_fail(err, HS_ERR_USAGE, "no run directory can be named after this file");
        hs_error_value(err, yaml_path, strlen(yaml_path));
        return hs_error_hint(err, "choose one with -o");
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- a run for reading */

/* Averaged weights are what was evaluated: they take the place of the model's. */
static hs_status use_ema(hs_run *run, const char *checkpoints, hs_error *err)
{
    char path[4096];
    HS_TRY(hs_checkpoint_path(path, sizeof path, checkpoints, run->step, HS_CHECKPOINT_STATE, err));
    hs_st_file *file;
    HS_TRY(hs_st_open(&file, path, err));
    hs_status status = hs_st_read_f32(file, "ema", run->model.param, run->model.n_params, err);
    hs_st_close(file);
    return status;
}

static hs_status open_model(hs_run *run, uint64_t step, hs_error *err)
{
    char checkpoints[4096];
    HS_TRY(hs_path_join(checkpoints, sizeof checkpoints, run->dir, "checkpoints", err));
    if (step == HS_LATEST) {
        bool found;
        HS_TRY(hs_checkpoint_latest(checkpoints, &step, &found, &run->damage, err));
        if (!found) {
            if (run->damage.status != HS_OK) {
                hs_fail(err, HS_ERR_DATA, "run has no checkpoint that is whole: %s", run->damage.what);
                return hs_error_where(err, "%s", run->damage.where);
            }
            hs_fail(err, HS_ERR_DATA, "run has no whole checkpoint yet");
            hs_error_where(err, "%s", run->dir);
            return hs_error_hint(err, "train it first: hopscope run %s", run->dir);
        }
    }
    HS_TRY(hs_run_check_step(run->dir, step, err));
    char path[4096]; /* a checkpoint knows its model's configuration */
    HS_TRY(hs_checkpoint_path(path, sizeof path, checkpoints, step, HS_CHECKPOINT_WEIGHTS, err));
    HS_TRY(hs_model_load(&run->model, path, err));
    HS_TRY(hs_checkpoint_load(checkpoints, step, &run->model, NULL, &run->seconds, err));
    run->step = step;
    return run->config.train.ema > 0 ? use_ema(run, checkpoints, err) : HS_OK;
}

hs_status hs_run_open_data(hs_run *out, const char *run_dir, hs_error *err)
{
    char path[4096];
    if (strlen(run_dir) >= sizeof out->dir)
        return hs_fail(err, HS_ERR_USAGE, "path of %zu bytes is too long", strlen(run_dir));
    snprintf(out->dir, sizeof out->dir, "%s", run_dir);
    HS_TRY(hs_path_join(path, sizeof path, run_dir, "experiment.yaml", err));
    if (!hs_file_exists(path)) {
        hs_fail(err, HS_ERR_IO, "this is no run directory: experiment.yaml is not there");
        hs_error_where(err, "%s", run_dir);
        return hs_error_hint(err, "a run directory is made by hopscope run FILE, under runs/");
    }
    hs_status status = hs_tensor_open(err);
    if (status == HS_OK)
        status = hs_config_read(&out->config, path, NULL, 0, err);
    if (status == HS_OK)
        status = hs_path_join(path, sizeof path, run_dir, "dataset", err);
    if (status == HS_OK)
        status = hs_dataset_read(&out->data, path, err);
    if (status != HS_OK)
        hs_run_close(out);
    return status;
}

hs_status hs_run_open(hs_run *out, const char *run_dir, uint64_t step, hs_error *err)
{
    HS_TRY(hs_run_open_data(out, run_dir, err));
    const hs_status status = open_model(out, step, err);
    if (status != HS_OK)
        hs_run_close(out);
    return status;
}

hs_status hs_run_load_step(hs_run *run, uint64_t step, hs_error *err)
{
    hs_model_free(&run->model);
    memset(&run->model, 0, sizeof run->model);
    return open_model(run, step, err);
}

void hs_run_close(hs_run *run)
{
    hs_model_free(&run->model);
    hs_dataset_free(&run->data);
    memset(run, 0, sizeof *run);
}
