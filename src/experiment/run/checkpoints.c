/* checkpoints.c - which steps of a run are kept. */
#include "experiment/internal.h"

#include <inttypes.h>

hs_status hs_run_checkpoints(const char *run_dir, uint64_t **steps, size_t *n, hs_error *err)
{
    char dir[4096];
    *steps = NULL;
    *n = 0;
    HS_TRY(hs_path_join(dir, sizeof dir, run_dir, "checkpoints", err));
    HS_TRY(hs_checkpoint_steps(dir, steps, n, err)); /* newest first */
    for (size_t i = 0; i < *n / 2; i++) {
        const uint64_t step = (*steps)[i];
        (*steps)[i] = (*steps)[*n - 1 - i];
        (*steps)[*n - 1 - i] = step;
    }
    return HS_OK;
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
