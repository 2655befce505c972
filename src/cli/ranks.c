/* ranks.c - processes that a launcher started together, joined by MPI: the one file that knows it.
 *
 * One process, however it was started, never touches MPI. Built without it, or started so that processes cannot reach
 * each other, more than one is an error: they would all train the same run. While it waits a rank looks whether the
 * others on its machine still live, so that a death is said in a sentence instead of waited for. */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* The largest of numbers in the environment, `least` where none is there. */
static unsigned long largest(const char *const names[], size_t n, unsigned long least)
{
    for (size_t i = 0; i < n; i++) {
        const char *text = getenv(names[i]);
        const unsigned long number = text ? strtoul(text, NULL, 10) : least;
        least = number > least ? number : least;
    }
    return least;
}

/* How many processes a launcher says it started: mpirun, or srun for a step. */
static unsigned long started(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    return largest(names, sizeof names / sizeof *names, 1);
}

/* Processes that could not be joined know of each other only what the launcher says: the first speaks for all. */
static int fail_apart_from(const hs_error *err)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"};
    const bool first = largest(names, sizeof names / sizeof *names, 0) == 0;
    return first ? hs_cli_fail(err) : hs_status_exit_code(err->status);
}

int hs_cli_ranks_serve(hs_ranks *ranks)
{
    hs_error err = {0};
    int code = 0;
    return hs_experiment_serve(ranks, hs_cli_signals(), &code, &err) == HS_OK ? code : hs_cli_ranks_fail(ranks, &err);
}

#ifndef HS_WITH_MPI

hs_status hs_cli_ranks_open(hs_ranks **out, hs_error *err)
{
    *out = NULL;
    if (started() == 1)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "%lu processes were started together, and this program was built without MPI", started());
    return hs_error_hint(err, "start one, or build with Open MPI: tools/install-deps.sh mpi; docs/mpi.md");
}

int hs_cli_ranks_fail(const hs_ranks *ranks, const hs_error *err)
{
    (void)ranks;
    return fail_apart_from(err);
}

int hs_cli_ranks_close(hs_ranks *ranks, int code)
{
    (void)ranks;
    return code;
}

#else

#include <mpi.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What ranks know of each other. */
typedef struct identity {
    char machine[320]; /* host and the number of its space of process ids */
    pid_t pid;
    cpu_set_t cores;
} identity;

static struct {
    hs_ranks ranks;
    identity *who; /* (n) */
    MPI_Request *request;
    size_t cap;
    double looked;
    bool loss; /* another rank is gone */
} self;

/* A message of MPI has at most INT_MAX bytes. */
static const size_t most_bytes = (size_t)1 << 30;

static void sleep_for(long nanoseconds)
{
    const struct timespec t = {.tv_nsec = nanoseconds};
    nanosleep(&t, NULL);
}

static bool is_gone(uint32_t rank)
{
    return rank != self.ranks.rank && strcmp(self.who[rank].machine, self.who[self.ranks.rank].machine) == 0 &&
           kill(self.who[rank].pid, 0) != 0 && errno == ESRCH;
}

static hs_status check_others(hs_error *err)
{
    self.looked = hs_now();
    for (uint32_t r = 0; r < self.ranks.n; r++)
        if (is_gone(r)) {
            self.loss = true;
            hs_fail(err, HS_ERR_FAILED, "rank %u (process %ld) died, so the run ended", r, (long)self.who[r].pid);
            return hs_error_hint(err, "the same command goes on from the last checkpoint, with any number of ranks");
        }
    return HS_OK;
}

static hs_status fail_mpi(int code, const char *doing, hs_error *err)
{
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    if (MPI_Error_string(code, text, &length) != MPI_SUCCESS)
        length = 0;
    return hs_fail(err, HS_ERR_FAILED, "MPI cannot %s: %.*s", doing, length, text);
}

/* Until all are done: at first without sleep, for a message of a fast peer; then with longer and longer ones, since
 * rank 0 may build a dataset for minutes. */
static hs_status wait_all(int n, hs_error *err)
{
    const double began = hs_now();
    for (;;) {
        int done = 0;
        const int code = MPI_Testall(n, self.request, &done, MPI_STATUSES_IGNORE);
        if (code != MPI_SUCCESS)
            return fail_mpi(code, "reach another rank", err);
        if (done)
            return HS_OK;
        const double now = hs_now(), waited = now - began;
        if (now - self.looked > 0.01)
            HS_TRY(check_others(err));
        if (waited < 2e-3)
            sched_yield();
        else
            sleep_for(waited < 1 ? 10000 : 500000);
    }
}

/* The parts as messages; a large part is several. */
static hs_status post(const hs_part *part, size_t n, bool send, size_t *used, hs_error *err)
{
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; at < part[i].size; at += most_bytes) {
            const int bytes = (int)(part[i].size - at < most_bytes ? part[i].size - at : most_bytes);
            char *data = (char *)part[i].data + at;
            HS_TRY(hs_grow((void **)&self.request, &self.cap, *used + 1, sizeof *self.request, err));
            MPI_Request *request = &self.request[*used];
            const int peer = (int)part[i].peer;
            const int code = send ? MPI_Isend(data, bytes, MPI_BYTE, peer, 0, MPI_COMM_WORLD, request)
                                  : MPI_Irecv(data, bytes, MPI_BYTE, peer, 0, MPI_COMM_WORLD, request);
            if (code != MPI_SUCCESS)
                return fail_mpi(code, send ? "send" : "receive", err);
            ++*used;
        }
    return HS_OK;
}

static hs_status exchange(void *user, const hs_part *send, size_t n_send, const hs_part *receive, size_t n_receive,
                          hs_error *err)
{
    size_t used = 0;
    (void)user;
    HS_TRY(post(receive, n_receive, false, &used, err));
    HS_TRY(post(send, n_send, true, &used, err));
    return wait_all((int)used, err);
}

/* Cores of this rank: where several on a machine may use the same ones, its share. */
static uint32_t threads(void)
{
    const identity *own = &self.who[self.ranks.rank];
    uint32_t sharers = 0;
    for (uint32_t r = 0; r < self.ranks.n; r++)
        sharers += strcmp(self.who[r].machine, own->machine) == 0 && CPU_EQUAL(&self.who[r].cores, &own->cores);
    const uint32_t cores = hs_cores(), share = (uint32_t)CPU_COUNT(&own->cores) / sharers;
    return share == 0 ? 1 : share < cores ? share : cores;
}

static hs_status meet(hs_error *err)
{
    identity own = {.pid = getpid()};
    char host[256] = "";
    struct stat space = {0};
    gethostname(host, sizeof host - 1);
    (void)stat("/proc/self/ns/pid", &space);
    snprintf(own.machine, sizeof own.machine, "%s %llu", host, (unsigned long long)space.st_ino);
    sched_getaffinity(0, sizeof own.cores, &own.cores);
    self.who = hs_calloc(self.ranks.n, sizeof *self.who);
    if (!self.who)
        return hs_fail_memory(err, self.ranks.n * sizeof *self.who);
    const int code = MPI_Allgather(&own, sizeof own, MPI_BYTE, self.who, sizeof own, MPI_BYTE, MPI_COMM_WORLD);
    if (code != MPI_SUCCESS)
        return fail_mpi(code, "reach the other ranks", err);
    self.ranks.threads = threads();
    return HS_OK;
}

static hs_status fail_apart(hs_error *err)
{
    hs_fail(err, HS_ERR_DATA, "%lu processes were started together, and cannot reach each other by Open MPI",
            started());
    return hs_error_hint(err, "start them with Open MPI's mpirun or srun --mpi=pmix, or start one; docs/mpi.md");
}

hs_status hs_cli_ranks_open(hs_ranks **out, hs_error *err)
{
    *out = NULL;
    if (started() == 1)
        return HS_OK;
    if (!getenv("OMPI_COMM_WORLD_SIZE") && !getenv("PMIX_RANK"))
        return fail_apart(err);
    int level, rank, n;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS || level < MPI_THREAD_FUNNELED)
        return hs_fail(err, HS_ERR_FAILED, "MPI cannot be started");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n);
    if (n == 1) {
        MPI_Finalize();
        return fail_apart(err);
    }
    if (n > HS_MOST_RANKS) {
        MPI_Finalize();
        hs_fail(err, HS_ERR_DATA, "%d ranks are too many", n);
        return hs_error_hint(err, "up to %d", HS_MOST_RANKS);
    }
    self.ranks = (hs_ranks){.rank = (uint32_t)rank, .n = (uint32_t)n, .exchange = exchange};
    (void)prctl(PR_SET_TIMERSLACK, 1000UL); /* short sleeps are short */
    *out = &self.ranks;
    const hs_status status = meet(err);
    self.ranks.lost = status != HS_OK;
    if (status != HS_OK)
        hs_fail(&self.ranks.why, status, "the ranks never met");
    return status;
}

/* After a loss nothing can be agreed any more: mpirun has seen it too and ends what is left; srun is asked to. */
static void leave_lost(int code)
{
    fflush(NULL);
    if (!getenv("OMPI_COMM_WORLD_SIZE"))
        MPI_Abort(MPI_COMM_WORLD, code);
    _exit(code);
}

int hs_cli_ranks_fail(const hs_ranks *ranks, const hs_error *err)
{
    for (uint32_t r = 0; ranks && self.loss && r < ranks->rank; r++)
        if (!is_gone(r))
            return hs_status_exit_code(err->status);
    return ranks ? hs_cli_fail(err) : fail_apart_from(err);
}

int hs_cli_ranks_close(hs_ranks *ranks, int code)
{
    if (!ranks)
        return code;
    if (ranks->rank == 0)
        (void)hs_experiment_dismiss(ranks, code, NULL);
    if (ranks->lost)
        leave_lost(code);
    hs_free(self.who);
    hs_free(self.request);
    MPI_Finalize();
    return code;
}

#endif
