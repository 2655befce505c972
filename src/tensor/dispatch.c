/* dispatch.c - which build of the kernels runs: the best the machine has, or the one HOPSCOPE_ISA names. */
#include "tensor/kernels/family.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The builds, filled once by the families. */
#define DECLARE(family) void HS_FILL(family, ISA)(hs_kernels * k);
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
    if (strcmp(isa, "avx2") == 0 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &avx2;
#endif
    return strcmp(isa, "baseline") == 0 ? &baseline : NULL;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const hs_kernels *chosen;

hs_status hs_kernels_check(hs_error *err)
{
    const char *wish = getenv("HOPSCOPE_ISA");
    if (!wish || hs_kernels_named(wish))
        return HS_OK;
    static const char *const names[] = {"baseline", "avx2", "avx512"};
    hs_str possible = {0};
    bool known = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        known |= strcmp(wish, names[i]) == 0;
        if (hs_kernels_named(names[i]))
            hs_str_addf(&possible, "%s%s", possible.len ? ", " : "", names[i]);
    }
    hs_fail(err, HS_ERR_USAGE, known ? "this processor cannot run these kernels" : "no such kernels");
    hs_error_where(err, "HOPSCOPE_ISA");
    hs_error_value(err, wish, strlen(wish));
    hs_error_hint(err, "possible here: %s", possible.s ? possible.s : "baseline");
    hs_str_free(&possible);
    return HS_ERR_USAGE;
}

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
