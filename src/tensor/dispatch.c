/* dispatch.c - which build of the kernels runs: the best the machine has, or the one HOPSCOPE_ISA names. */
#include "tensor/kernels/family.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The builds, filled once by the families. */
#define DECLARE(family) void HS_FILL(family, ISA)(hs_kernels *k);
#define ISA baseline
HS_FAMILIES(DECLARE)
#undef ISA
#ifdef HS_X86
#define ISA avx2
HS_FAMILIES(DECLARE)
#undef ISA
#define ISA avx512
HS_FAMILIES(DECLARE)
#undef ISA
#endif

static hs_kernels baseline = {.isa = "baseline"};
#ifdef HS_X86
static hs_kernels avx2 = {.isa = "avx2"}, avx512 = {.isa = "avx512"};
#endif
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static void fill(void)
{
#define ENTER(family) HS_FILL(family, ISA)(&ISA);
#define ISA baseline
    HS_FAMILIES(ENTER)
#undef ISA
#ifdef HS_X86
#define ISA avx2
    HS_FAMILIES(ENTER)
#undef ISA
#define ISA avx512
    HS_FAMILIES(ENTER)
#undef ISA
#endif
}

const hs_kernels *hs_kernels_named(const char *isa)
{
    pthread_once(&filled, fill);
#ifdef HS_X86
    __builtin_cpu_init();
    if (strcmp(isa, "avx512") == 0 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return &avx512;
    if (strcmp(isa, "avx2") == 0 && __builtin_cpu_supports("avx2"))
        return &avx2;
#endif
    return strcmp(isa, "baseline") == 0 ? &baseline : NULL;
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
        chosen = hs_kernels_named("baseline");
}

const hs_kernels *hs_kernels_get(void)
{
    pthread_once(&once, choose);
    return chosen;
}
