/* dispatch.c - which build of kernels.c runs: the best the machine has, or the one HOPSCOPE_ISA names. */
#include "hopscope/tensor.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

extern const hs_kernels hs_kernels_baseline;
#ifdef HS_X86
extern const hs_kernels hs_kernels_avx2, hs_kernels_avx512;
#endif

const hs_kernels *hs_kernels_named(const char *isa)
{
#ifdef HS_X86
    __builtin_cpu_init();
    if (strcmp(isa, "avx512") == 0 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return &hs_kernels_avx512;
    if (strcmp(isa, "avx2") == 0 && __builtin_cpu_supports("avx2"))
        return &hs_kernels_avx2;
#endif
    return strcmp(isa, "baseline") == 0 ? &hs_kernels_baseline : NULL;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const hs_kernels *chosen;

static void choose(void)
{
    const char *wish = getenv("HOPSCOPE_ISA");
    if (wish)
        chosen = hs_kernels_named(wish);
    if (!chosen)
        chosen = hs_kernels_named("avx512");
    if (!chosen)
        chosen = hs_kernels_named("avx2");
    if (!chosen)
        chosen = &hs_kernels_baseline;
}

const hs_kernels *hs_kernels_get(void)
{
    pthread_once(&once, choose);
    return chosen;
}
