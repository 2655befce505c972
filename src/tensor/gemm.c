/* gemm.c - matrix products: by our micro-kernels (kernels/product.c), or by OpenBLAS, loaded at run time.
 *
 * Three facts about Debian 12's OpenBLAS 0.3.21 decide how:
 * - It does not know processors newer than itself and falls back to AVX2 kernels on AMD Zen 4 and 5, at about half their
 *   speed (measured on a Zen 5 core: 130 against 245 GFLOP/s). It reads OPENBLAS_CORETYPE only while it is being loaded,
 *   so we set that where the machine has AVX-512, load it, and put the variable back. HOPSCOPE_BLAS_CORE names another
 *   core type ("Haswell"; "auto" leaves the choice to OpenBLAS).
 * - Its serial build has no locks at all: two threads that multiply at once share one buffer and spoil each other's
 *   result. So we look for the threaded build, by its own path first, since the alternatives may name another one, and
 *   believe only what the library says of itself. It is asked for one thread; the threads are ours (train.h).
 * - Where it cannot map a buffer it tries again, forever. So it is made to take its buffers before the first product,
 *   after we have seen that they can be had; it keeps them.
 *
 * The same binary, BLAS and core type give the same bits for the same call. */
#include "hopscope/tensor.h"
#include "tensor/blas.h"
#include "tensor/product.h"

#include <assert.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 }; /* the CBLAS interface's numbers */
enum { PARALLEL_SERIAL, PARALLEL_PTHREAD, PARALLEL_OPENMP }; /* openblas_get_parallel's */

typedef void (*sgemm_fn)(int order, int ta, int tb, int M, int N, int K, float alpha, const float *A, int lda,
                         const float *B, int ldb, float beta, float *C, int ldc);

static struct {
    pthread_once_t once;
    void *handle;
    sgemm_fn sgemm;
    void *(*buffer_alloc)(int); /* OpenBLAS's own, or NULL where it does not show them */
    void (*buffer_free)(void *);
    char description[160];
    char failure[256];
} blas = {.once = PTHREAD_ONCE_INIT};

/* The core type OpenBLAS is to assume, or NULL to leave it alone. */
static const char *wanted_core(void)
{
    const char *wish = getenv("HOPSCOPE_BLAS_CORE");
    if (wish)
        return strcmp(wish, "auto") == 0 ? NULL : wish;
    return hs_kernels_named("avx512") ? "SkylakeX" : NULL;
}

/* Set an environment variable for the moment of loading; the old value is returned for restore_env to put back. */
static char *change_env(const char *name, const char *value)
{
    const char *old = getenv(name);
    char *kept = old ? hs_strdup(old) : NULL;
    setenv(name, value, 1);
    return kept;
}

static void restore_env(const char *name, char *kept)
{
    if (kept)
        setenv(name, kept, 1);
    else
        unsetenv(name);
    hs_free(kept);
}

/* ---------------------------------------------------------------- finding it */

/* POSIX gives function addresses as object pointers; the copy is the conforming way to convert them. */
static void find_symbol(void *handle, const char *name, void *function)
{
    void *symbol = dlsym(handle, name);
    memcpy(function, &symbol, sizeof symbol);
}

/* NULL if this library is what we need, else what is wrong with it. */
static const char *unfit(void *handle)
{
    sgemm_fn sgemm;
    int (*parallel)(void);
    find_symbol(handle, "cblas_sgemm", &sgemm);
    find_symbol(handle, "openblas_get_parallel", &parallel);
    if (!sgemm || !parallel)
        return "is not OpenBLAS";
    switch (parallel()) {
    case PARALLEL_PTHREAD:
        return NULL;
    case PARALLEL_OPENMP:
        return "is the OpenMP build";
    default:
        return "is the serial build, which threads cannot share";
    }
}

/* Load `name` if it is the threaded build; else add the reason to the list of failures. */
static void *open_one(const char *name, hs_str *tried)
{
    const char *reason;
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *why = dlerror();
        reason = !why || strstr(why, "No such file") ? "is not there" : why;
    } else {
        reason = unfit(handle);
    }
    if (!reason)
        return handle;
    hs_str_addf(tried, "%s%s%s%s", tried->len ? ", " : "", strstr(reason, name) ? "" : name,
                strstr(reason, name) ? "" : " ", reason);
    if (handle)
        dlclose(handle);
    return NULL;
}

/* HOPSCOPE_BLAS names the one library to load; else the first fit one of: Debian's threaded build at its own place,
 * Fedora's threaded build, whatever the loader finds under the common names. */
static void *open_library(hs_str *tried)
{
    static const char *const usual[] = {
#ifdef HS_MULTIARCH
        "/usr/lib/" HS_MULTIARCH "/openblas-pthread/libopenblas.so.0",
#endif
        "libopenblasp.so.0", "libopenblas.so.0", "libopenblas.so"};
    const char *named = getenv("HOPSCOPE_BLAS");
    const char *const *candidate = named ? &named : usual;
    const size_t n = named ? 1 : sizeof usual / sizeof *usual;
    void *handle = NULL;
    for (size_t i = 0; i < n && !handle; i++)
        handle = open_one(candidate[i], tried);
    return handle;
}

static void describe(void *handle)
{
    char *(*config)(void), *(*core)(void);
    find_symbol(handle, "openblas_get_config", &config);
    find_symbol(handle, "openblas_get_corename", &core);
    char name[32] = "OpenBLAS", version[32] = "";
    if (config)
        sscanf(config(), "%31s %31s", name, version);
    snprintf(blas.description, sizeof blas.description, "%s %s %s, kernels %s", name, version, core ? core() : "?",
             hs_kernels_get()->isa);
}

static void load_blas(void)
{
    const char *core = wanted_core();
    char *old_core = core ? change_env("OPENBLAS_CORETYPE", core) : NULL;
    char *old_threads = change_env("OPENBLAS_NUM_THREADS", "1");
    hs_str tried = {0};
    void *handle = open_library(&tried);
    restore_env("OPENBLAS_NUM_THREADS", old_threads);
    if (core)
        restore_env("OPENBLAS_CORETYPE", old_core);
    if (handle) {
        void (*set_threads)(int);
        find_symbol(handle, "openblas_set_num_threads", &set_threads);
        if (set_threads)
            set_threads(1);
        find_symbol(handle, "blas_memory_alloc", &blas.buffer_alloc);
        find_symbol(handle, "blas_memory_free", &blas.buffer_free);
        blas.handle = handle;
        describe(handle);
        find_symbol(handle, "cblas_sgemm", &blas.sgemm);
    } else {
        snprintf(blas.failure, sizeof blas.failure, "no threaded OpenBLAS: %s", tried.s ? tried.s : "out of memory");
    }
    hs_str_free(&tried);
}

hs_status hs_tensor_open(hs_error *err)
{
    HS_TRY(hs_kernels_check(err));
    pthread_once(&blas.once, load_blas);
    if (!blas.sgemm) {
        hs_fail(err, HS_ERR_FAILED, "%s", blas.failure);
        return hs_error_hint(err,
                             "install the Debian package libopenblas0-pthread, or name the library in HOPSCOPE_BLAS");
    }
    return hs_tensor_reserve(1, err);
}

void hs_blas_find(const char *name, void *function)
{
    assert(blas.handle);
    find_symbol(blas.handle, name, function);
}

const char *hs_tensor_description(void)
{
    return blas.description;
}

/* ---------------------------------------------------------------- its buffers */

/* OpenBLAS packs the operands of each product that runs at the moment into a buffer of its own: on x86-64 and arm64 a
 * mapping of 32 << 22 bytes (BUFFER_SIZE in its common_*.h; tests/cli/test_cli_machine.c would notice another size). */
static const size_t buffer_size = ((size_t)32 << 22) + 8192;

static pthread_mutex_t reserve_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t reserved;

size_t hs_tensor_memory(uint32_t threads)
{
    return threads * buffer_size;
}

/* With the lock held: `threads` buffers taken at once and given back, which OpenBLAS does not unmap. */
static hs_status take_buffers(uint32_t threads, hs_error *err)
{
    const size_t size = hs_tensor_memory(threads - reserved);
    void *probe = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe == MAP_FAILED) {
        hs_fail_memory(err, size);
        hs_error_where(err, "OpenBLAS");
        return hs_error_hint(
            err, "it needs %zu MiB of address space for each thread: raise ulimit -v, or lower train.threads",
            buffer_size >> 20);
    }
    munmap(probe, size);
    if (blas.buffer_alloc && blas.buffer_free) {
        void **buffer = hs_alloc(threads * sizeof *buffer);
        if (!buffer)
            return hs_fail_memory(err, threads * sizeof *buffer);
        for (uint32_t i = 0; i < threads; i++)
            buffer[i] = blas.buffer_alloc(0);
        for (uint32_t i = 0; i < threads; i++)
            blas.buffer_free(buffer[i]);
        hs_free(buffer);
    }
    reserved = threads;
    return HS_OK;
}

hs_status hs_tensor_reserve(uint32_t threads, hs_error *err)
{
    assert(blas.sgemm);
    pthread_mutex_lock(&reserve_lock);
    hs_status status = threads > reserved ? take_buffers(threads, err) : HS_OK;
    pthread_mutex_unlock(&reserve_lock);
    return status;
}

/* ---------------------------------------------------------------- products */

void hs_gemm_blas(bool transpose_a, bool transpose_b, size_t M, size_t N, size_t K, float alpha, const float *A,
                  size_t lda, const float *B, size_t ldb, float beta, float *C, size_t ldc)
{
    assert(blas.sgemm);
    if (M == 0 || N == 0)
        return;
    blas.sgemm(ROW_MAJOR, transpose_a ? TRANS : NO_TRANS, transpose_b ? TRANS : NO_TRANS, (int)M, (int)N, (int)K, alpha,
               A, (int)lda, B, (int)ldb, beta, C, (int)ldc);
}

void hs_gemm(bool transpose_a, bool transpose_b, size_t M, size_t N, size_t K, float alpha, const float *A, size_t lda,
             const float *B, size_t ldb, float beta, float *C, size_t ldc)
{
    static _Thread_local float scratch[HS_PRODUCT_SCRATCH] __attribute__((aligned(64)));
    const hs_kernels *k = hs_kernels_get();
    if (k->product)
        k->product(transpose_a, transpose_b, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc, scratch);
    else
        hs_gemm_blas(transpose_a, transpose_b, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc);
}
