/* processes.c - a sweep on this machine: a process a member, so many at a time.
 *
 * Invariants: members are begun in the order of their index; a process that dies ends nothing but itself; when this
 * process is gone its members are asked to save and stop. A member that another process works on is left to it, and
 * looked at once more at the end, since it may have been given up. */
#include "experiment/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct job {
    pid_t pid; /* 0: free */
    uint32_t member;
    double started;
} job;

typedef struct crew {
    const hs_sweep *sweep;
    const hs_sweep_options *options;
    hs_signals *signals;
    const hs_events *events;
    hs_outcome *outcome;
    job *job; /* (jobs) */
    uint32_t running, ended, wanted, failed;
    double started;
    int passed_on; /* the signal that the members were sent */
} crew;

static hs_status log_path(const crew *c, uint32_t member, char *out, size_t size, hs_error *err)
{
    char dir[4096];
    HS_TRY(hs_sweep_dir(c->sweep, member, dir, sizeof dir, err));
    const int n = snprintf(out, size, "%s.log", dir);
    return n > 0 && (size_t)n < size ? HS_OK : hs_fail(err, HS_ERR_USAGE, "path of %d bytes is too long", n);
}

/* The file that a member's process writes to: its folder's name and ".log". */
static hs_status open_log(const crew *c, uint32_t member, int *fd, hs_error *err)
{
    char path[4096 + 8];
    HS_TRY(log_path(c, member, path, sizeof path, err));
    char *slash = strrchr(path, '/');
    *slash = 0;
    HS_TRY(hs_make_dirs(path, err));
    *slash = '/';
    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return *fd < 0 ? hs_fail_errno(err, path, "write the log") : HS_OK;
}

/* Never returns: the process becomes the program, or ends. Only calls that are safe after fork. */
static void become(char *const *argv, int log, int null, pid_t parent)
{
    setpgid(0, 0); /* Ctrl-C is for the one that passes it on */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent && dup2(null, STDIN_FILENO) >= 0 && dup2(log, STDOUT_FILENO) >= 0 &&
        dup2(log, STDERR_FILENO) >= 0)
        execv(argv[0], argv);
    _exit(127);
}

static hs_status begin(crew *c, job *j, uint32_t member, hs_error *err)
{
    const size_t n = c->options->n_command;
    char index[32];
    int log = -1;
    HS_TRY(open_log(c, member, &log, err));
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char **argv = hs_calloc(n + 3, sizeof *argv);
    hs_status status = argv && null >= 0 ? HS_OK : hs_fail_memory(err, (n + 3) * sizeof *argv);
    if (status == HS_OK) {
        for (size_t i = 0; i < n; i++)
            argv[i] = (char *)(uintptr_t)c->options->command[i];
        snprintf(index, sizeof index, "%u", member);
        argv[n] = (char *)(uintptr_t) "--index";
        argv[n + 1] = index;
        const pid_t parent = getpid(), pid = fork();
        if (pid == 0)
            become(argv, log, null, parent);
        if (pid < 0) {
            status = hs_fail(err, HS_ERR_FAILED, "cannot start a process: %s", strerror(errno));
        } else {
            *j = (job){pid, member, hs_now()};
            c->running++;
        }
    }
    hs_free(argv);
    close(log);
    if (null >= 0)
        close(null);
    return status;
}

/* The last line of a log that says something. */
static void last_line(const crew *c, uint32_t member, char *out, size_t size)
{
    char path[4096 + 8], text[4096];
    out[0] = 0;
    if (log_path(c, member, path, sizeof path, NULL) != HS_OK)
        return;
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    if (fseek(f, -(long)(sizeof text - 1), SEEK_END) != 0)
        rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (line[strspn(line, " ")] && strncmp(line, "  ", 2) != 0) /* hints stand to the right */
            snprintf(out, size, "%.300s", line);
}

static void judge(crew *c, const job *j, int status)
{
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    const bool saved = WIFEXITED(status) &&
                       (code == hs_status_exit_code(HS_STOPPED_INT) || code == hs_status_exit_code(HS_STOPPED_TERM) ||
                        code == hs_status_exit_code(HS_STOPPED_REQUEUE));
    char name[160], line[320], why[64];
    hs_sweep_name(c->sweep, j->member, name);
    c->outcome[j->member] = code == 0               ? HS_OUTCOME_DONE
                            : code == HS_EXIT_BUSY  ? HS_OUTCOME_BUSY
                            : saved || c->passed_on ? HS_OUTCOME_STOPPED
                                                    : HS_OUTCOME_FAILED;
    if (c->outcome[j->member] == HS_OUTCOME_BUSY) {
        hs_event_send(c->events, HS_EVENT_INFO, "sweep", "%s: another process works on it", name);
    } else if (c->outcome[j->member] == HS_OUTCOME_FAILED) {
        c->failed++;
        last_line(c, j->member, line, sizeof line);
        snprintf(why, sizeof why, WIFEXITED(status) ? "exit code %d" : "killed by signal %d",
                 WIFEXITED(status) ? code : WTERMSIG(status));
        hs_event_send(c->events, HS_EVENT_WARNING, "sweep", "%s failed (%s): %s", name, why, line);
    } else if (code == 0) {
        const double now = hs_now();
        c->ended++;
        hs_event_send(c->events, HS_EVENT_INFO, "sweep", "%u of %u: %s, %.1f s; %.0f s so far, about %.0f s left",
                      c->ended, c->wanted, name, now - j->started, now - c->started,
                      (now - c->started) / c->ended * (c->wanted - c->ended));
    }
}

/* Look for processes that ended, for at most a moment; pass signals on. */
static void attend(crew *c)
{
    bool any = false;
    const int stop = c->signals ? c->signals->stop : 0, save = c->signals ? c->signals->save : 0;
    for (uint32_t i = 0; i < c->options->jobs; i++) {
        job *j = &c->job[i];
        int status;
        if (!j->pid)
            continue;
        if (waitpid(j->pid, &status, WNOHANG) == j->pid) {
            c->running--;
            judge(c, j, status);
            j->pid = 0;
            any = true;
            continue;
        }
        if (stop && !c->passed_on)
            kill(j->pid, stop == SIGINT ? SIGINT : SIGTERM);
        else if (save)
            kill(j->pid, SIGUSR1);
    }
    if (stop)
        c->passed_on = stop;
    if (save)
        c->signals->save = 0;
    if (!any)
        usleep(20000);
}

static bool stopping(const crew *c)
{
    return c->signals && c->signals->stop;
}

/* Begin a member as soon as there is room. */
static hs_status place(crew *c, uint32_t member, hs_error *err)
{
    while (c->running == c->options->jobs && !stopping(c))
        attend(c);
    if (stopping(c))
        return HS_OK;
    uint32_t i = 0;
    while (c->job[i].pid)
        i++;
    return begin(c, &c->job[i], member, err);
}

static void drain(crew *c)
{
    while (c->running)
        attend(c);
}

static hs_status pass(crew *c, hs_outcome which, hs_error *err)
{
    hs_status status = HS_OK;
    for (uint32_t m = 0; m < hs_sweep_size(c->sweep) && status == HS_OK && !stopping(c); m++)
        if (c->outcome[m] == which)
            status = place(c, m, err);
    drain(c);
    return status;
}

/* What is done already; *busy: who is. */
static hs_status look_first(crew *c, hs_error *err)
{
    for (uint32_t m = 0; m < hs_sweep_size(c->sweep); m++) {
        hs_member now;
        HS_TRY(hs_sweep_look(c->sweep, m, &now, err));
        const bool done = now.finished;
        c->outcome[m] = done ? HS_OUTCOME_BEFORE : HS_OUTCOME_NONE;
        c->wanted += !done;
    }
    return HS_OK;
}

static bool any_busy(const crew *c)
{
    for (uint32_t m = 0; m < hs_sweep_size(c->sweep); m++)
        if (c->outcome[m] == HS_OUTCOME_BUSY)
            return true;
    return false;
}

hs_status hs_sweep_run(const hs_sweep *sweep, const hs_sweep_options *options, hs_signals *signals,
                       const hs_events *events, hs_outcome *outcome, hs_error *err)
{
    crew c = {.sweep = sweep,
              .options = options,
              .signals = signals,
              .events = events,
              .outcome = outcome,
              .started = hs_now()};
    c.job = hs_calloc(options->jobs, sizeof *c.job);
    hs_status status = c.job ? look_first(&c, err) : hs_fail_memory(err, options->jobs * sizeof *c.job);
    if (status == HS_OK)
        status = pass(&c, HS_OUTCOME_NONE, err);
    if (status == HS_OK && any_busy(&c)) { /* a killed sweep's members may just be saving */
        for (int i = 0; i < 100 && !stopping(&c); i++)
            usleep(20000);
        status = pass(&c, HS_OUTCOME_BUSY, err);
    }
    hs_free(c.job);
    if (status == HS_OK && stopping(&c))
        return hs_signals_status(signals);
    if (status == HS_OK && c.failed)
        status = hs_fail(err, HS_ERR_FAILED, "%u of %u members failed", c.failed, hs_sweep_size(sweep));
    return status;
}
