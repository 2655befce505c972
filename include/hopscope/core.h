/* core.h - what every layer stands on: status and error detail, memory, randomness, workers, files, text, events.
 *
 * Conventions of the whole library
 * - Every fallible function returns hs_status and fills an hs_error when one is given (NULL is allowed).
 * - The library never prints, exits or aborts on data. `assert` guards against programmer errors only.
 * - `*_free(NULL)` does nothing. Whoever creates an object frees it, unless the function says otherwise.
 * - Objects are not thread-safe unless the function says so.
 */
#ifndef HOPSCOPE_CORE_H
#define HOPSCOPE_CORE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library exports what stands here */

#define HS_VERSION "0.1.0"
/* The version of the library at hand, which may be newer than the HS_VERSION that a program was compiled with. Static.
 */
const char *hs_version(void);
/* Digest of the public headers that the library at hand was compiled with, without comments: 16 hexadecimal digits. Who
 * declares its structures by other means than these headers (the Python package) compares it before the first call.
 * Static. */
const char *hs_interface(void);

/* ---------------------------------------------------------------- status and error detail */

/* One line per status: enumerator, exit code of the program, sentence. */
#define HS_STATUS_MAP(X)                                                                                               \
    X(HS_OK, 0, "done")                                                                                                \
    X(HS_ERR_FAILED, 1, "failed")                                                                                      \
    X(HS_ERR_DIVERGED, 1, "training diverged")                                                                         \
    X(HS_ERR_USAGE, 2, "wrong usage")                                                                                  \
    X(HS_ERR_MEMORY, 1, "out of memory")                                                                               \
    X(HS_ERR_DATA, 65, "bad data")                                                                                     \
    X(HS_ERR_IO, 74, "input/output error")                                                                             \
    X(HS_STOPPED_INT, 130, "stopped by SIGINT")                                                                        \
    X(HS_STOPPED_TERM, 143, "stopped by SIGTERM")                                                                      \
    X(HS_STOPPED_REQUEUE, 75, "stopped, to be started again")

typedef enum hs_status {
#define HS_X(name, exit_code, sentence) name,
    HS_STATUS_MAP(HS_X)
#undef HS_X
} hs_status;

/* What went wrong, where, the offending value and what to do about it. Unset fields are "". */
typedef struct hs_error {
    hs_status status;
    char what[256];  /* one sentence, no full stop */
    char where[512]; /* "file:line", "file, record 12, field evidences", a configuration key ... */
    char value[128]; /* the offending value, cut to fit, control characters escaped */
    char hint[256];  /* what would work */
} hs_error;

/* Exit code of the program for a status: 0, 1, 2, 65, 74, 75, 130, 143. */
int hs_status_exit_code(hs_status status);
/* Is it one of HS_STOPPED_*: a signal asked, everything is saved? */
bool hs_status_stopped(hs_status status);
/* Static English sentence for a status. */
const char *hs_status_sentence(hs_status status);

/* Fill `err` (may be NULL): status and a formatted `what`; the other fields are emptied. Returns `status`. */
hs_status hs_fail(hs_error *err, hs_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Add detail to an error just filled. `err` may be NULL. Each returns the status of that error, so
 * that `return hs_error_hint(err, ...)` is never HS_OK by accident. hs_error_value escapes control characters. */
hs_status hs_error_where(hs_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
hs_status hs_error_value(hs_error *err, const char *value, size_t len);
hs_status hs_error_hint(hs_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One or two lines for people: "where: what: 'value'\n  hint". Writes at most `size` bytes, always terminated. */
void hs_error_format(const hs_error *err, char *out, size_t size);

/* HS_ERR_IO from errno: "PATH: cannot ACTION: No space left on device", with a hint where one helps. */
hs_status hs_fail_errno(hs_error *err, const char *path, const char *action);

/* Forward a failure to the caller. */
#define HS_TRY(expr)                                 \
    do {                                             \
        hs_status hs_try_status_ = (expr);           \
        if (hs_try_status_ != HS_OK)                 \
            return hs_try_status_;                   \
    } while (0)

/* ---------------------------------------------------------------- memory */

/* All heap memory of the library comes from these. They return NULL when memory is out (or a test injected a failure).
 * hs_alloc: 64-byte aligned, uninitialized. hs_calloc: zeroed, overflow-checked. hs_realloc: grows an hs_alloc/hs_calloc
 * block of `old_size` bytes. hs_free(NULL) does nothing. Thread-safe. */
void *hs_alloc(size_t size);
void *hs_calloc(size_t n, size_t size);
void *hs_realloc(void *p, size_t old_size, size_t new_size);
void hs_free(void *p);
char *hs_strdup(const char *s);
/* Tests: the n-th allocation from now on fails (1 = the next one), and every later one too; 0 = never. */
void hs_alloc_fail_after(uint64_t n);
/* Number of hs_alloc/hs_calloc/hs_realloc calls so far, by all threads. */
uint64_t hs_alloc_count(void);
/* HS_ERR_MEMORY with the size that could not be had. */
hs_status hs_fail_memory(hs_error *err, size_t size);

/* Grow array `*p` of elements of `elem` bytes so that it can hold `need`; *cap is its capacity in elements.
 * Doubles. HS_ERR_MEMORY leaves the array as it was. */
hs_status hs_grow(void **p, size_t *cap, size_t need, size_t elem, hs_error *err);

/* An arena: many allocations, one lifetime (a run, a step). Blocks are 64-byte aligned. */
typedef struct hs_arena hs_arena;
hs_arena *hs_arena_create(size_t block_size); /* NULL when out of memory; 0 = 1 MiB blocks */
void *hs_arena_alloc(hs_arena *arena, size_t size); /* NULL when out of memory */
char *hs_arena_strdup(hs_arena *arena, const char *s, size_t len);
void hs_arena_reset(hs_arena *arena); /* keeps the blocks */
void hs_arena_free(hs_arena *arena);

/* ---------------------------------------------------------------- randomness without state */

/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11).
 * Checked against the known answers of Random123 in tests/core/test_rng.c. */
void hs_philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4]);

/* A stream is named by (seed, purpose, step, index); the same name gives the same numbers on every machine and in every
 * thread. `purpose` is a four-letter code, so that two uses never share numbers. */
#define HS_PURPOSE(a, b, c, d) \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

typedef struct hs_rng {
    uint32_t key[2];
    uint32_t ctr[4];
    uint32_t out[4];
    uint32_t used; /* words of `out` already given away */
} hs_rng;

void hs_rng_init(hs_rng *rng, uint64_t seed, uint32_t purpose, uint64_t step, uint32_t index);
uint32_t hs_rng_u32(hs_rng *rng);
uint64_t hs_rng_u64(hs_rng *rng);
uint64_t hs_rng_below(hs_rng *rng, uint64_t n); /* uniform in [0, n), n > 0, no modulo bias (Lemire 2019) */
double hs_rng_uniform(hs_rng *rng);             /* [0, 1), 53 bits */
double hs_rng_normal(hs_rng *rng);              /* mean 0, variance 1 (Box-Muller) */
void hs_rng_shuffle_u32(hs_rng *rng, uint32_t *x, size_t n); /* Fisher-Yates */
/* A random permutation of [0, n) evaluated at one point without storing it: a 4-round Feistel network with cycle
 * walking. The permutation is named by (seed, purpose, step). i < n. */
uint64_t hs_permute(uint64_t seed, uint32_t purpose, uint64_t step, uint64_t n, uint64_t i);

/* ---------------------------------------------------------------- worker pool */

/* `threads` workers (the caller is one of them). A task's result must not depend on which worker runs it. */
typedef struct hs_pool hs_pool;
typedef void (*hs_task_fn)(void *ctx, uint32_t task, uint32_t worker);
/* threads = 0: hs_cores(). NULL when out of memory or threads cannot start. */
hs_pool *hs_pool_create(uint32_t threads);
uint32_t hs_pool_threads(const hs_pool *pool); /* 1 for NULL */
/* Run fn(ctx, task, worker) for task in [0, n_tasks), worker in [0, threads); returns when all are done.
 * `pool` NULL runs them in order on the caller. Not re-entrant. */
void hs_pool_run(hs_pool *pool, uint32_t n_tasks, hs_task_fn fn, void *ctx);
void hs_pool_free(hs_pool *pool);

/* ---------------------------------------------------------------- ranks */

/* Processes that compute together: rank 0 is the run, it reads, decides and writes; the others lend it their
 * processors. How bytes travel is the owner's (the program's is MPI): one function, called by one thread a rank. */
enum { HS_MOST_RANKS = 256 };
typedef struct hs_part {
    uint32_t peer; /* the other rank, never this one */
    void *data;    /* read of a part that is sent */
    size_t size;   /* bytes */
} hs_part;
typedef struct hs_ranks {
    uint32_t rank, n; /* of n, from 0; n up to HS_MOST_RANKS */
    uint32_t threads; /* of this rank where train.threads is 0; 0: hs_cores() */
    /* Sends and receives all parts; returns when the memory of all is free again. The k-th part that a rank sends to
     * another is the k-th that the other receives from it, of the same size. An error: a rank is gone, and nothing goes
     * on. */
    hs_status (*exchange)(void *user, const hs_part *send, size_t n_send, const hs_part *receive, size_t n_receive,
                          hs_error *err);
    void *user;
    /* Counted by the functions below: bytes that this rank sent, seconds that it sent, received and waited. */
    uint64_t bytes;
    double seconds;
    bool lost;    /* an exchange failed: every later one does too ... */
    hs_error why; /* ... with this error */
} hs_ranks;
/* Every rank calls the same of these in the same order; HS_ERR_FAILED once a rank is gone. `ranks` NULL: a rank alone.
 */
uint32_t hs_ranks_count(const hs_ranks *ranks); /* 1 for NULL */
hs_status hs_ranks_exchange(hs_ranks *ranks, const hs_part *send, size_t n_send, const hs_part *receive,
                            size_t n_receive, hs_error *err);
/* `size` bytes of rank 0 to all. */
hs_status hs_ranks_broadcast(hs_ranks *ranks, void *data, size_t size, hs_error *err);
/* Bytes [start[r], start[r+1]) of `data` are rank r's and go to all; start (n + 1). */
hs_status hs_ranks_share(hs_ranks *ranks, void *data, const size_t *start, hs_error *err);
/* HS_OK where `status` is HS_OK on every rank, else the failure (*err) of the first rank that has one, on all. */
hs_status hs_ranks_agree(hs_ranks *ranks, hs_status status, hs_error *err);

/* ---------------------------------------------------------------- text */

/* Growable text. Zero-initialize; free with hs_str_free. After an allocation failure `failed` stays set and appends do
 * nothing, so that only the end needs a check. `s` is NULL while empty, else always terminated. */
typedef struct hs_str {
    char *s;
    size_t len, cap;
    bool failed;
} hs_str;
void hs_str_add(hs_str *str, const char *s, size_t len);
void hs_str_addf(hs_str *str, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void hs_str_add_json(hs_str *str, const char *s, size_t len); /* quoted and escaped JSON string */
void hs_str_add_csv(hs_str *str, const char *s);              /* a field of CSV (RFC 4180), quoted where it must be */
void hs_str_free(hs_str *str);

/* Lists as one text, as settings and options hold them: elements separated by commas, a comma within an element written
 * "\,". "" is the list of nothing; "a,,b" has an empty element in the middle. Spaces around an element are no part of it,
 * except for hs_list_get, which gives it as it was written. */
typedef struct hs_list {
    const char **item; /* (n), unescaped, terminated */
    size_t n;
} hs_list;
/* All elements of `text` (NULL counts as ""); free with hs_list_free. HS_ERR_MEMORY. */
hs_status hs_list_parse(hs_list *out, const char *text, hs_error *err);
void hs_list_free(hs_list *list);
/* Is `element` in the list `text` (NULL counts as "")? */
bool hs_list_has(const char *text, const char *element);
/* The i-th element into `out`, unescaped; false after the last or if it does not fit. */
bool hs_list_get(const char *text, size_t i, char *out, size_t size);
/* Append an element to a list, escaped. */
void hs_list_add(hs_str *text, const char *element, size_t len);

/* Offset of the first byte that is not valid UTF-8, or SIZE_MAX. */
size_t hs_utf8_invalid(const char *s, size_t len);
/* The entry of names[0..n) nearest to `word` by edit distance, or NULL if none is near enough to suggest. */
const char *hs_nearest(const char *word, const char *const *names, size_t n);
/* "1,234,567" into `out` (at least 27 bytes); returns out. */
char *hs_format_count(uint64_t n, char out[32]);

/* XXH3, 64 bits (canonical, the same on every machine). */
uint64_t hs_hash(const void *data, size_t len, uint64_t seed);

/* ---------------------------------------------------------------- files */

/* A file that appears whole or not at all: written to "PATH.tmp-PID", synced, renamed, folder synced. */
typedef struct hs_writer hs_writer;
hs_status hs_writer_open(hs_writer **out, const char *path, hs_error *err);
hs_status hs_writer_write(hs_writer *w, const void *data, size_t size, hs_error *err); /* buffered */
hs_status hs_writer_printf(hs_writer *w, hs_error *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
hs_status hs_writer_commit(hs_writer *w, hs_error *err); /* frees w, also on failure (then nothing is left behind) */
void hs_writer_abort(hs_writer *w);                      /* frees w, removes the temporary; NULL is fine */
/* The whole of `data` as a file, atomically. */
hs_status hs_file_write(const char *path, const void *data, size_t size, hs_error *err);

/* The whole file in memory, with a 0 byte after its end; the caller frees *data with hs_free. HS_ERR_DATA if it is larger
 * than `max` bytes. */
hs_status hs_file_read(const char *path, size_t max, char **data, size_t *size, hs_error *err);
bool hs_file_exists(const char *path);
/* Can an output be written at `path`? HS_ERR_IO if anything but an empty folder is there: to ask before the work. */
hs_status hs_path_check_vacant(const char *path, hs_error *err);
/* mkdir -p. HS_OK if it is there already. */
hs_status hs_make_dirs(const char *path, hs_error *err);
/* "a/b" into out; HS_ERR_DATA if it does not fit. */
hs_status hs_path_join(char *out, size_t size, const char *a, const char *b, hs_error *err);

/* Lines of a text file in bounded memory. Files that start with the zstd magic are decompressed while reading (error
 * HS_ERR_DATA if built without zstd). A UTF-8 byte order mark and a trailing '\r' are dropped. "-" reads stdin. */
typedef struct hs_lines hs_lines;
hs_status hs_lines_open(hs_lines **out, const char *path, size_t max_line, hs_error *err);
/* Next line: *line is terminated, valid until the next call, NULL at the end of the file. Checks UTF-8 and length. */
hs_status hs_lines_next(hs_lines *lines, const char **line, size_t *len, hs_error *err);
uint64_t hs_lines_number(const hs_lines *lines); /* 1-based number of the line last returned */
/* Raw bytes instead of lines: up to `size` bytes into buf; *got = 0 at the end. Not to be mixed with hs_lines_next. */
hs_status hs_lines_read(hs_lines *lines, void *buf, size_t size, size_t *got, hs_error *err);
/* Copies what comes next, at most `size` bytes, without taking it; *got < size may also mean that more is not at hand. */
hs_status hs_lines_peek(hs_lines *lines, void *buf, size_t size, size_t *got, hs_error *err);
void hs_lines_close(hs_lines *lines);

/* Tests: the n-th write or sync from now on fails with ENOSPC, and every later one too; 0 = never. */
void hs_io_fail_after(uint64_t n);

/* Seconds of a monotonic clock. */
double hs_now(void);
/* CPU seconds of this process so far, all threads together. */
double hs_cpu_now(void);

/* ---------------------------------------------------------------- this machine, or the part of it that is ours */

/* Cores this process may use: the least of its affinity mask, the CPU quota of its control group and its ancestors, and
 * SLURM_CPUS_PER_TASK. At least 1. */
uint32_t hs_cores(void);
/* Bytes of memory that can be had: the least of what the machine has available, what its control group and its
 * ancestors leave, and SLURM_MEM_PER_NODE. UINT64_MAX if nothing says. */
uint64_t hs_memory_available(void);
/* The same for a control group below another folder than /sys/fs/cgroup, for tests: cores 0, memory UINT64_MAX: no
 * limit. */
uint32_t hs_cgroup_cores(const char *root, const char *group);
uint64_t hs_cgroup_memory(const char *root, const char *group);

/* ---------------------------------------------------------------- settings */

/* One setting: a member of a struct of settings, its range, its help. Every layer has one table of its settings; checks,
 * YAML keys, the manual and the written-out experiment come from it (docs/design.md, "Adding a setting"). */
typedef enum hs_setting_type {
    HS_SETTING_BOOL,
    HS_SETTING_U32,
    HS_SETTING_U64,
    HS_SETTING_FLOAT,
    HS_SETTING_DOUBLE,
    HS_SETTING_ENUM,
    HS_SETTING_STRING
} hs_setting_type;
enum {
    HS_SETTING_LIST = 1,   /* a string that holds a list */
    HS_SETTING_RESUME = 2, /* may differ when a run is resumed: changes no bit of the weights at a given step */
    HS_SETTING_FIRST = 4,  /* applied before all others: chooses the defaults of its section */
    HS_SETTING_BELOW = 8,  /* max itself does not fit */
    HS_SETTING_PATH = 16   /* a file or folder: relative to the experiment file that names it */
};
typedef struct hs_setting {
    const char *name;
    hs_setting_type type;
    size_t offset, size;      /* in its struct */
    double min, max;          /* of a number */
    const char *const *names; /* allowed values of an enum (in its order) or of a string, NULL-terminated; NULL = any */
    unsigned flags;
    const char *help; /* one line */
} hs_setting;
/* Every setting of `config` by itself. HS_ERR_DATA: where = "SECTION.NAME", the value, what would fit. */
hs_status hs_settings_check(const hs_setting *fields, size_t n, const void *config, const char *section, hs_error *err);
bool hs_setting_fits(const hs_setting *field, double value); /* of a number */
/* What fits, for people: "from 0 to 1", "from 0 to below 1", "from 1", "auto, fact, path", "true, false" or "". Cut to `size`. */
void hs_setting_range(const hs_setting *field, char *out, size_t size);

/* ---------------------------------------------------------------- events */

typedef enum hs_event_kind {
    HS_EVENT_INFO,     /* something worth a line */
    HS_EVENT_WARNING,  /* something the user should act on; the run goes on */
    HS_EVENT_PROGRESS, /* done of total; cheap, may come often */
    HS_EVENT_EVAL      /* an evaluation; `data` is the layer's struct */
} hs_event_kind;

typedef struct hs_event {
    hs_event_kind kind;
    const char *stage; /* "graph", "data", "train" ... */
    const char *text;  /* one line, no newline; may be NULL for progress */
    uint64_t done, total;
    const void *data;
} hs_event;

typedef void (*hs_event_fn)(void *user, const hs_event *event);
typedef struct hs_events {
    hs_event_fn fn; /* NULL: nobody listens */
    void *user;
} hs_events;
/* Format and send an info or warning event; does nothing when nobody listens (`events` may be NULL). */
void hs_event_send(const hs_events *events, hs_event_kind kind, const char *stage, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
