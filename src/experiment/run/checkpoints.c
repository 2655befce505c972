/* checkpoints.c - which steps of a run are kept. */
#include "experiment/internal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int compare_steps(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* A weights file of a checkpoint, whose step goes to *step. */
static bool is_checkpoint(const char *name, uint64_t *step)
{
    char expected[32], end;
    if (sscanf(name, "step-%" SCNu64 ".safetensors%c", step, &end) != 1)
        return false;
    hs_checkpoint_name(expected, *step);
    const size_t len = strlen(expected);
    return strncmp(name, expected, len) == 0 && strcmp(name + len, ".safetensors") == 0;
}

hs_status hs_run_checkpoints(const char *run_dir, uint64_t **steps, size_t *n, hs_error *err)
{
    char dir[4096];
    *steps = NULL;
    *n = 0;
    HS_TRY(hs_path_join(dir, sizeof dir, run_dir, "checkpoints", err));
    DIR *d = opendir(dir);
    if (!d) {
        if (errno == ENOENT)
            return HS_OK;
        hs_fail(err, HS_ERR_IO, "cannot read the folder: %s", strerror(errno));
        return hs_error_where(err, "%s", dir);
    }
    hs_status status = HS_OK;
    size_t cap = 0;
    void *p = NULL;
    for (struct dirent *e; status == HS_OK && (e = readdir(d));) {
        uint64_t step;
        if (!is_checkpoint(e->d_name, &step))
            continue;
        status = hs_grow(&p, &cap, *n + 1, sizeof **steps, err);
        *steps = p;
        if (status == HS_OK)
            (*steps)[(*n)++] = step;
    }
    closedir(d);
    if (*n)
        qsort(*steps, *n, sizeof **steps, compare_steps);
    return status;
}

hs_status hs_run_check_step(const char *run_dir, uint64_t step, hs_error *err)
{
    uint64_t *steps;
    size_t n;
    hs_status status = hs_run_checkpoints(run_dir, &steps, &n, err);
    bool found = false;
    char all[200] = "";
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        found |= steps[i] == step;
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%" PRIu64, used ? ", " : "", steps[i]);
    }
    hs_free(steps);
    if (status != HS_OK || found)
        return status;
    hs_fail(err, HS_ERR_IO, "no checkpoint of step %" PRIu64 " is kept", step);
    hs_error_where(err, "%s", run_dir);
    return hs_error_hint(err, n ? "kept are %s" : "none is kept%s", all);
}
