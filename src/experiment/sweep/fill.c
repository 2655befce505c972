/* fill.c - {seed} and {runs} in the files that a plan names: so a member starts from the run of its own seed in another
 * plan.
 *
 * Invariant: a file that is there is named by its absolute path, as where a plan names it in full. */
#include "experiment/sweep/sweep.h"

#include <stdlib.h>
#include <string.h>

static hs_status fill(char *field, size_t size, const char *key, const char *dir, uint64_t seed, hs_error *err)
{
    hs_str out = {0};
    const char *slash = NULL; /* the last but at the end */
    for (const char *c = dir; *c; c++)
        slash = *c == '/' && c[1] ? c : slash;
    for (const char *c = field; *c;) {
        if (strncmp(c, "{runs}", 6) == 0) {
            out.len = 0; /* a relative path was put beside the plan */
            hs_str_addf(&out, "%.*s", slash ? (int)(slash - dir) : 1, slash ? dir : ".");
            c += 6;
        } else if (strncmp(c, "{seed}", 6) == 0) {
            hs_str_addf(&out, "%llu", (unsigned long long)seed);
            c += 6;
        } else {
            hs_str_add(&out, c++, 1);
        }
    }
    char *real = out.failed ? NULL : realpath(out.s, NULL); /* as hs_config_place leaves what is there */
    if (real) {
        out.len = 0;
        hs_str_addf(&out, "%s", real);
    }
    free(real);
    hs_status status = HS_OK;
    if (out.failed) {
        status = hs_fail_memory(err, size);
    } else if (out.len >= size) {
        hs_fail(err, HS_ERR_DATA, "too long once {runs} and {seed} are filled in");
        status = hs_error_where(err, "%s", key);
    } else {
        memcpy(field, out.s, out.len + 1);
    }
    hs_str_free(&out);
    return status;
}

hs_status hs_sweep_fill(hs_config *config, const char *dir, uint64_t seed, hs_error *err)
{
    size_t n;
    const hs_config_key *keys = hs_config_keys(&n);
    for (size_t k = 0; k < n; k++) {
        char *field = (char *)config + keys[k].setting.offset;
        if ((keys[k].setting.flags & HS_SETTING_PATH) && strchr(field, '{'))
            HS_TRY(fill(field, keys[k].setting.size, keys[k].key, dir, seed, err));
    }
    return HS_OK;
}
