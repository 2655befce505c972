/* run.c - training stage after stage, each a run of its own.
 *
 * Invariant: a stage is not begun before the one before it has ended, and what it began with is kept in its folder
 * (init.safetensors); so a file of stages stopped anywhere goes on to the same bits. */
#include "experiment/internal.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

hs_status hs_stages_dir(const hs_stages *stages, const char *dir, uint32_t stage, uint32_t seed, char *out, size_t size,
                        hs_error *err)
{
    char name[64];
    if (seed)
        snprintf(name, sizeof name, "%u-%s/seed-%u", stage + 1, stages->stage[stage].name, seed);
    else
        snprintf(name, sizeof name, "%u-%s", stage + 1, stages->stage[stage].name);
    return hs_path_join(out, size, dir, name, err);
}

/* A stage that another began from stays as it ended: what says when must not have changed. */
static hs_status check_ended(const char *dir, const hs_config *config, const char *next, hs_error *err)
{
    static const char *const ends[] = {"train.steps", "train.max_seconds", "train.stop_split", "train.stop_accuracy",
                                       "train.stop_patience"};
    char path[4096];
    HS_TRY(hs_path_join(path, sizeof path, next, "init.safetensors", err));
    if (!hs_file_exists(path))
        return HS_OK;
    HS_TRY(hs_path_join(path, sizeof path, dir, "experiment.yaml", err));
    hs_config *old = hs_alloc(sizeof *old);
    if (!old)
        return hs_fail_memory(err, sizeof *old);
    hs_status status = hs_config_read(old, path, NULL, 0, err);
    for (size_t i = 0; status == HS_OK && i < sizeof ends / sizeof *ends; i++) {
        const hs_config_key *key = hs_config_key_find(ends[i]);
        hs_str was = {0}, is = {0};
        hs_config_get(old, key, &was);
        hs_config_get(config, key, &is);
        if (strcmp(was.s ? was.s : "", is.s ? is.s : "") != 0) {
            hs_fail(err, HS_ERR_DATA, "this stage ended with %s = %s, not %s, and the next one began from it", ends[i],
                    was.s ? was.s : "\"\"", is.s ? is.s : "\"\"");
            hs_error_where(err, "%s", dir);
            status = hs_error_hint(err, "choose another folder with -o, or remove %s", next);
        }
        hs_str_free(&was);
        hs_str_free(&is);
    }
    hs_free(old);
    return status;
}

/* Where nothing else is said a stage starts from the one before it, and watches its splits. A dry run of a stage whose
 * predecessor was not trained does neither. */
static hs_status follow(const hs_train_stage *stage, const char *before, bool dry_run, hs_config *config, hs_error *err)
{
    char *path = realpath(before, NULL);
    uint64_t *steps = NULL;
    size_t n = 0;
    hs_status status = path ? hs_run_checkpoints(path, &steps, &n, err) : HS_OK;
    hs_free(steps);
    const bool trained = n > 0;
    if (status == HS_OK && !trained && !dry_run) {
        hs_fail(err, HS_ERR_DATA, "the stage before this one has no checkpoint");
        status = hs_error_where(err, "%s", before);
    } else if (status == HS_OK && trained && strlen(path) >= sizeof config->model_init) {
        status = hs_fail(err, HS_ERR_USAGE, "path of %zu bytes is too long", strlen(path));
    }
    if (status == HS_OK && !stage->own_init) {
        snprintf(config->model_init, sizeof config->model_init, "%s", trained ? path : "");
        config->model_init_step = trained && stage->own_step ? config->model_init_step : 0;
    }
    if (status == HS_OK && !stage->own_watch)
        snprintf(config->data_watch, sizeof config->data_watch, "%s", trained ? path : "");
    free(path);
    return status;
}

static hs_status run_stage(const hs_stages *stages, uint32_t i, uint32_t seed, const hs_experiment_options *options,
                           hs_signals *signals, const hs_events *events, hs_experiment_result *result, hs_error *err)
{
    char dir[4096], before[4096], next[4096];
    HS_TRY(hs_stages_dir(stages, options->run_dir, i, seed, dir, sizeof dir, err));
    hs_config *config = hs_alloc(sizeof *config);
    if (!config)
        return hs_fail_memory(err, sizeof *config);
    *config = stages->stage[i].config;
    if (seed)
        config->data.seed = config->train.seed = config->augment.seed = seed;
    hs_event_send(events, HS_EVENT_INFO, "stage", "%u of %u, %s: %s", i + 1, stages->n, stages->stage[i].name, dir);
    hs_status status = HS_OK;
    if (i > 0) {
        status = hs_stages_dir(stages, options->run_dir, i - 1, seed, before, sizeof before, err);
        if (status == HS_OK)
            status = follow(&stages->stage[i], before, options->dry_run, config, err);
    }
    if (status == HS_OK && i + 1 < stages->n) {
        status = hs_stages_dir(stages, options->run_dir, i + 1, seed, next, sizeof next, err);
        if (status == HS_OK)
            status = check_ended(dir, config, next, err);
    }
    hs_experiment_options own = *options;
    own.run_dir = dir;
    own.no_estimate = options->no_estimate || seed > 1;
    if (status == HS_OK)
        status = hs_experiment_run(config, &own, signals, events, result, err);
    hs_free(config);
    return status;
}

/* A folder that is a run, or holds one with seeds, is no folder of stages. */
static hs_status check_folder(const char *dir, hs_error *err)
{
    static const char *const of_run[] = {"experiment.yaml", "seed-1"};
    for (size_t i = 0; i < 2; i++) {
        char path[4096];
        HS_TRY(hs_path_join(path, sizeof path, dir, of_run[i], err));
        if (!hs_file_exists(path))
            continue;
        hs_fail(err, HS_ERR_DATA, "this folder holds a run without stages");
        hs_error_where(err, "%s", dir);
        return hs_error_hint(err, "choose another folder with -o");
    }
    return HS_OK;
}

hs_status hs_stages_run(const hs_stages *stages, const hs_experiment_options *options, uint32_t seed,
                        hs_signals *signals, const hs_events *events, hs_experiment_result *results, uint32_t *done,
                        hs_error *err)
{
    *done = 0;
    HS_TRY(check_folder(options->run_dir, err));
    for (uint32_t i = 0; i < stages->n; i++) {
        const hs_status status = run_stage(stages, i, seed, options, signals, events, &results[i], err);
        if (status == HS_OK || hs_status_stopped(status))
            *done = i + 1;
        HS_TRY(status);
    }
    return HS_OK;
}

hs_status hs_stages_last(const char *dir, char *out, size_t size, hs_error *err)
{
    unsigned long last = 0;
    char name[256] = "";
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char *end, path[4096];
        const unsigned long number = strtoul(e->d_name, &end, 10);
        if (number <= last || *end != '-' || hs_path_join(path, sizeof path, dir, e->d_name, NULL) != HS_OK)
            continue;
        last = number;
        snprintf(name, sizeof name, "%s", e->d_name);
    }
    if (d)
        closedir(d);
    out[0] = 0;
    return last ? hs_path_join(out, size, dir, name, err) : HS_OK;
}
