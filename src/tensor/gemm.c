/* gemm.c - matrix products by OpenBLAS, loaded at run time.
 *
 * Two facts about Debian 12's OpenBLAS 0.3.21 decide how:
 * - It does not know processors newer than itself and falls back to AVX2 kernels on AMD Zen 4 and 5, at about half their
 *   speed (measured on a Zen 5 core: 130 against 245 GFLOP/s). It reads OPENBLAS_CORETYPE only while it is being loaded,
 *   so we set that where the machine has AVX-512, load it, and put the variable back. HOPSCOPE_BLAS_CORE names another
 *   core type ("Haswell"; "auto" leaves the choice to OpenBLAS).
 * - Its serial build has no locks at all: two threads that multiply at once share one buffer and spoil each other's
 *   result. So we load the threaded build and ask it for one thread; the threads are ours (train.h).
 *
 * The same binary, BLAS and core type give the same bits for the same call. */
#include "hopscope/tensor.h"

#include <assert.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 }; /* the CBLAS interface's numbers */

typedef void (*sgemm_fn)(int order, int ta, int tb, int M, int N, int K, float alpha, const float *A, int lda,
                         const float *B, int ldb, float beta, float *C, int ldc);

static struct {
    pthread_once_t once;
    sgemm_fn sgemm;
    char description[160];
    char failure[200];
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

static void *open_library(void)
{
    static const char *const candidates[] = {
#ifdef HS_OPENBLAS_PATH
        HS_OPENBLAS_PATH,
#endif
        "libopenblas.so.0", "libopenblas.so"};
    const char *core = wanted_core();
    char *old_core = core ? change_env("OPENBLAS_CORETYPE", core) : NULL;
    char *old_threads = change_env("OPENBLAS_NUM_THREADS", "1");
    void *handle = NULL;
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates && !handle; i++)
        handle = dlopen(candidates[i], RTLD_NOW | RTLD_LOCAL);
    restore_env("OPENBLAS_NUM_THREADS", old_threads);
    if (core)
        restore_env("OPENBLAS_CORETYPE", old_core);
    return handle;
}

static void load_blas(void)
{
    void *handle = open_library();
    if (!handle) {
        snprintf(blas.failure, sizeof blas.failure, "OpenBLAS cannot be loaded: %s", dlerror());
        return;
    }
    void *sgemm = dlsym(handle, "cblas_sgemm");
    if (!sgemm) {
        snprintf(blas.failure, sizeof blas.failure, "OpenBLAS has no cblas_sgemm");
        return;
    }
    /* POSIX gives function addresses as object pointers; the copy is the conforming way to convert them. */
    memcpy(&blas.sgemm, &sgemm, sizeof sgemm);
    void (*set_threads)(int) = NULL;
    char *(*config)(void) = NULL, *(*core)(void) = NULL;
    void *symbol = dlsym(handle, "openblas_set_num_threads");
    memcpy(&set_threads, &symbol, sizeof symbol);
    symbol = dlsym(handle, "openblas_get_config");
    memcpy(&config, &symbol, sizeof symbol);
    symbol = dlsym(handle, "openblas_get_corename");
    memcpy(&core, &symbol, sizeof symbol);
    if (set_threads)
        set_threads(1);
    symbol = dlsym(handle, "openblas_get_parallel");
    int (*parallel)(void) = NULL;
    memcpy(&parallel, &symbol, sizeof symbol);
    if (parallel && parallel() == 0) {
        snprintf(blas.failure, sizeof blas.failure, "the OpenBLAS found is the serial build, which is not thread-safe");
        blas.sgemm = NULL;
        return;
    }
    char name[32] = "BLAS", version[32] = "";
    if (config)
        sscanf(config(), "%31s %31s", name, version);
    snprintf(blas.description, sizeof blas.description, "%s %s %s, kernels %s", name, version, core ? core() : "?",
             hs_kernels_get()->isa);
}

hs_status hs_tensor_open(hs_error *err)
{
    pthread_once(&blas.once, load_blas);
    if (!blas.sgemm) {
        hs_fail(err, HS_ERR_FAILED, "%s", blas.failure);
        hs_error_hint(err, "install the package libopenblas0-pthread");
        return HS_ERR_FAILED;
    }
    return HS_OK;
}

const char *hs_tensor_description(void)
{
    return blas.description;
}

void hs_gemm(bool transpose_a, bool transpose_b, size_t M, size_t N, size_t K, float alpha, const float *A, size_t lda,
             const float *B, size_t ldb, float beta, float *C, size_t ldc)
{
    assert(blas.sgemm);
    if (M == 0 || N == 0)
        return;
    blas.sgemm(ROW_MAJOR, transpose_a ? TRANS : NO_TRANS, transpose_b ? TRANS : NO_TRANS, (int)M, (int)N, (int)K, alpha,
               A, (int)lda, B, (int)ldb, beta, C, (int)ldc);
}
