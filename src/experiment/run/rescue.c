/* rescue.c - a run whose folder was deleted or moved under it, written into a new folder from memory.
 *
 * Invariant: the new folder is a whole run: hopscope run FOLDER goes on with it, to the same bits. */
#include "experiment/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A new folder beside the old one, else where temporary files go. */
static hs_status make_folder(const char *run_dir, char *out, size_t size, hs_error *err)
{
    size_t len = strlen(run_dir);
    while (len > 1 && run_dir[len - 1] == '/')
        len--;
    for (int i = 1; i < 100; i++) {
        const int n = i == 1 ? snprintf(out, size, "%.*s.rescued", (int)len, run_dir)
                             : snprintf(out, size, "%.*s.rescued-%d", (int)len, run_dir, i);
        if (n < 0 || (size_t)n >= size)
            break;
        if (mkdir(out, 0777) == 0)
            return HS_OK;
        if (errno != EEXIST)
            break;
    }
    const char *temporary = getenv("TMPDIR");
    const int n = snprintf(out, size, "%s/hopscope-rescued-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (n > 0 && (size_t)n < size && mkdtemp(out))
        return HS_OK;
    return hs_fail(err, HS_ERR_IO, "no folder can be made for it: %s", strerror(errno));
}

static hs_status write_record(const char *dir, hs_record *record, hs_trainer *trainer, hs_error *err)
{
    char path[4096];
    uint64_t weights, state;
    const uint64_t step = hs_trainer_step_count(trainer);
    hs_trainer_hashes(trainer, &weights, &state);
    HS_TRY(hs_record_checkpoint(record, step, weights, state, err));
    HS_TRY(hs_record_event(record, step, "rescued", dir, err));
    HS_TRY(hs_path_join(path, sizeof path, dir, "run.db", err));
    return hs_record_copy(record, path, err);
}

hs_status hs_run_rescue(const char *run_dir, const hs_config *config, const hs_dataset *data, hs_record *record,
                        hs_trainer *trainer, double seconds, char *out, size_t size, hs_error *err)
{
    char path[4096];
    hs_str text = {0};
    HS_TRY(make_folder(run_dir, out, size, err));
    HS_TRY(hs_path_join(path, sizeof path, out, "checkpoints", err));
    HS_TRY(hs_checkpoint_save(path, hs_trainer_model(trainer), trainer, seconds, err)); /* the most precious first */
    HS_TRY(hs_path_join(path, sizeof path, out, "experiment.yaml", err));
    hs_config_write(config, &text);
    hs_status status = text.failed ? hs_fail_memory(err, text.len) : hs_file_write(path, text.s, text.len, err);
    hs_str_free(&text);
    HS_TRY(status);
    HS_TRY(hs_path_join(path, sizeof path, out, "dataset", err));
    HS_TRY(hs_dataset_write(data, path, err));
    return write_record(out, record, trainer, err);
}
