/* checkpoint.c - checkpoints: weights and optimizer state of a step in two safetensors files, and `latest`.
 *
 * Invariants: a checkpoint is whole when both files are, the weights' hash is the one in the state file and so is the
 * hash of the state arrays. Each file appears whole or not at all; `latest` is replaced after both are durable. A
 * reader trusts none of this: it verifies, and goes back to an older checkpoint where it must. */
#include "train/internal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, LATEST_MAX = 256 };

static const char *const endings[] = {
    [HS_CHECKPOINT_WEIGHTS] = ".safetensors", [HS_CHECKPOINT_STATE] = ".state.safetensors"};

void hs_checkpoint_name(char out[32], uint64_t step)
{
    snprintf(out, 32, "step-%08" PRIu64, step);
}

hs_status hs_checkpoint_path(char *out, size_t size, const char *dir, uint64_t step, hs_checkpoint_file file,
                             hs_error *err)
{
    char name[32 + 32];
    hs_checkpoint_name(name, step);
    strcat(name, endings[file]);
    return hs_path_join(out, size, dir, name, err);
}

static hs_status path_of(char *out, const char *dir, uint64_t step, hs_checkpoint_file file, hs_error *err)
{
    return hs_checkpoint_path(out, PATH_SIZE, dir, step, file, err);
}

/* ---------------------------------------------------------------- save */

static uint64_t add_array(uint64_t hash, const char *name, const void *data, size_t bytes)
{
    return hs_hash(data, bytes, hs_hash(name, strlen(name), hash));
}

static uint64_t state_hash(const hs_st_tensor *tensor, size_t n)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < n; i++)
        hash = add_array(hash, tensor[i].name, tensor[i].data, (size_t)tensor[i].bytes);
    return hash;
}

/* The state arrays as tensors; the caller frees *tensor. */
static hs_status state_tensors(hs_trainer *trainer, hs_st_tensor **tensor, size_t *n, hs_error *err)
{
    const size_t n_params = hs_trainer_model(trainer)->n_params;
    const hs_state_array *state = hs_trainer_state(trainer, n);
    *tensor = hs_calloc(*n ? *n : 1, sizeof **tensor);
    if (!*tensor)
        return hs_fail_memory(err, *n * sizeof **tensor);
    for (size_t i = 0; i < *n; i++)
        (*tensor)[i] = (hs_st_tensor){.name = state[i].name,
                                      .dtype = "F32",
                                      .ndim = 1,
                                      .shape = {n_params},
                                      .data = state[i].data,
                                      .bytes = n_params * sizeof(float)};
    return HS_OK;
}

void hs_trainer_hashes(hs_trainer *trainer, uint64_t *weights, uint64_t *state)
{
    size_t n;
    const size_t bytes = hs_trainer_model(trainer)->n_params * sizeof(float);
    const hs_state_array *array = hs_trainer_state(trainer, &n);
    *weights = hs_model_hash(hs_trainer_model(trainer));
    *state = 0;
    for (size_t i = 0; i < n; i++)
        *state = add_array(*state, array[i].name, array[i].data, bytes);
}

static hs_status save_state(const char *path, const hs_model *model, hs_trainer *trainer, double seconds, hs_error *err)
{
    size_t n;
    hs_st_tensor *tensor;
    HS_TRY(state_tensors(trainer, &tensor, &n, err));
    char text[5][32];
    snprintf(text[0], sizeof text[0], "%" PRIu64, hs_trainer_step_count(trainer));
    snprintf(text[1], sizeof text[1], "%.17g", seconds);
    snprintf(text[2], sizeof text[2], "%016" PRIx64, hs_model_hash(model));
    snprintf(text[3], sizeof text[3], "%016" PRIx64, state_hash(tensor, n));
    snprintf(text[4], sizeof text[4], "%u", hs_trainer_attempt(trainer));
    const hs_st_meta meta[] = {{"step", text[0]},       {"seconds", text[1]}, {"weights_hash", text[2]},
                               {"state_hash", text[3]}, {"attempt", text[4]}, {"hopscope", HS_VERSION}};
    hs_status status = hs_st_write(path, tensor, n, meta, sizeof meta / sizeof *meta, err);
    hs_free(tensor);
    return status;
}

hs_status hs_checkpoint_save(const char *dir, const hs_model *model, hs_trainer *trainer, double seconds, hs_error *err)
{
    char path[PATH_SIZE], name[40], step_text[32];
    const uint64_t step = hs_trainer_step_count(trainer);
    HS_TRY(hs_make_dirs(dir, err));
    snprintf(step_text, sizeof step_text, "%" PRIu64, step);
    const hs_st_meta meta = {"step", step_text};
    HS_TRY(path_of(path, dir, step, HS_CHECKPOINT_WEIGHTS, err));
    HS_TRY(hs_model_save(model, path, &meta, 1, err));
    HS_TRY(path_of(path, dir, step, HS_CHECKPOINT_STATE, err));
    HS_TRY(save_state(path, model, trainer, seconds, err));
    hs_checkpoint_name(name, step);
    strcat(name, "\n");
    HS_TRY(hs_path_join(path, sizeof path, dir, "latest", err));
    return hs_file_write(path, name, strlen(name), err);
}

/* ---------------------------------------------------------------- open and verify */

typedef struct opened {
    hs_model model;
    hs_st_file *state;
    double seconds;
    uint32_t attempt;
    uint64_t weights_hash, state_hash;
} opened;

static void opened_free(opened *o)
{
    hs_model_free(&o->model);
    hs_st_close(o->state);
    *o = (opened){0};
}

static bool meta_number(const hs_st_file *file, const char *key, int base, uint64_t *out)
{
    const char *text = hs_st_metadata(file, key);
    if (!text || !*text)
        return false;
    char *end;
    errno = 0;
    *out = strtoull(text, &end, base);
    return errno == 0 && *end == 0;
}

static hs_status damaged(const char *path, const char *what, hs_error *err)
{
    hs_fail(err, HS_ERR_DATA, "%s", what);
    hs_error_where(err, "%s", path);
    return hs_error_hint(err, "remove this checkpoint; an older one is used then");
}

static hs_status open_state(opened *o, const char *path, uint64_t step, hs_error *err)
{
    HS_TRY(hs_st_open(&o->state, path, err));
    size_t n;
    const hs_st_tensor *list = hs_st_list(o->state, &n);
    uint64_t weights, hash, at, attempt = 0;
    const char *seconds = hs_st_metadata(o->state, "seconds");
    if (!meta_number(o->state, "weights_hash", 16, &weights) || !meta_number(o->state, "state_hash", 16, &hash) ||
        !meta_number(o->state, "step", 10, &at) || !meta_number(o->state, "attempt", 10, &attempt) || !seconds)
        return damaged(path, "this is not the state of a checkpoint", err);
    if (at != step)
        return damaged(path, "state of another step", err);
    if (hash != state_hash(list, n))
        return damaged(path, "optimizer state is damaged: its hash does not match", err);
    if (weights != hs_model_hash(&o->model))
        return damaged(path, "weights are damaged, or of another checkpoint: their hash does not match", err);
    o->seconds = strtod(seconds, NULL);
    if (!(o->seconds >= 0 && isfinite(o->seconds)))
        o->seconds = 0;
    o->attempt = (uint32_t)attempt;
    o->weights_hash = weights;
    o->state_hash = hash;
    return HS_OK;
}

/* Both files are there: one that is not there makes the other half a checkpoint. */
static hs_status check_there(const char *dir, uint64_t step, hs_error *err)
{
    for (int i = HS_CHECKPOINT_WEIGHTS; i <= HS_CHECKPOINT_STATE; i++) {
        char path[PATH_SIZE];
        struct stat st;
        HS_TRY(path_of(path, dir, step, (hs_checkpoint_file)i, err));
        if (stat(path, &st) != 0 && errno == ENOENT)
            return damaged(path, "half of this checkpoint is not there", err);
    }
    return HS_OK;
}

/* `o` is zero-initialized; empty again after a failure. */
static hs_status open_whole(opened *o, const char *dir, uint64_t step, hs_error *err)
{
    char path[PATH_SIZE];
    HS_TRY(path_of(path, dir, step, HS_CHECKPOINT_WEIGHTS, err));
    hs_status status = hs_model_load(&o->model, path, err);
    if (status == HS_OK)
        status = path_of(path, dir, step, HS_CHECKPOINT_STATE, err);
    if (status == HS_OK)
        status = open_state(o, path, step, err);
    if (status != HS_OK)
        opened_free(o);
    return status;
}

/* ---------------------------------------------------------------- the folder */

/* Exactly "step-DIGITS" + ending. */
static bool parse_name(const char *name, const char *ending, uint64_t *step)
{
    if (strncmp(name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9')
        return false;
    char *end;
    errno = 0;
    *step = strtoull(name + 5, &end, 10);
    return errno == 0 && strcmp(end, ending) == 0;
}

static int descending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

hs_status hs_checkpoint_steps(const char *dir, uint64_t **steps, size_t *n, hs_error *err)
{
    *steps = NULL;
    *n = 0;
    DIR *d = opendir(dir);
    if (!d && errno == ENOENT)
        return HS_OK;
    if (!d) {
        hs_fail(err, HS_ERR_IO, "cannot read the folder: %s", strerror(errno));
        return hs_error_where(err, "%s", dir);
    }
    void *p = NULL;
    size_t cap = 0;
    hs_status status = HS_OK;
    for (struct dirent *e; status == HS_OK && (e = readdir(d));) {
        uint64_t step;
        if (!parse_name(e->d_name, endings[HS_CHECKPOINT_STATE], &step))
            continue;
        status = hs_grow(&p, &cap, *n + 1, sizeof **steps, err);
        if (status == HS_OK)
            ((uint64_t *)p)[(*n)++] = step;
    }
    closedir(d);
    if (status != HS_OK) {
        hs_free(p);
        *n = 0;
        return status;
    }
    if (*n > 1)
        qsort(p, *n, sizeof **steps, descending);
    *steps = p;
    return HS_OK;
}

hs_status hs_checkpoint_hashes(const char *dir, uint64_t step, uint64_t *weights, uint64_t *state, hs_error *err)
{
    opened o = {0};
    HS_TRY(check_there(dir, step, err));
    HS_TRY(open_whole(&o, dir, step, err));
    *weights = o.weights_hash;
    *state = o.state_hash;
    opened_free(&o);
    return HS_OK;
}

/* *whole, or why it is damaged. Anything else than damage is an error. */
static hs_status look(const char *dir, uint64_t step, bool *whole, hs_error *damage, hs_error *err)
{
    uint64_t weights, state;
    hs_error why = {0};
    const hs_status status = hs_checkpoint_hashes(dir, step, &weights, &state, &why);
    *whole = status == HS_OK;
    if (status == HS_OK)
        return HS_OK;
    if (status != HS_ERR_DATA) {
        if (err)
            *err = why;
        return status;
    }
    if (damage->status == HS_OK) /* the newest */
        *damage = why;
    return HS_OK;
}

/* The step that `latest` names; false if there is none or it is no such text. */
static bool read_latest(const char *dir, uint64_t *step)
{
    char path[PATH_SIZE];
    char *text;
    size_t size;
    if (hs_path_join(path, sizeof path, dir, "latest", NULL) != HS_OK ||
        hs_file_read(path, LATEST_MAX, &text, &size, NULL) != HS_OK)
        return false;
    text[strcspn(text, "\n")] = 0;
    bool good = parse_name(text, "", step);
    hs_free(text);
    return good;
}

hs_status hs_checkpoint_latest(const char *dir, uint64_t *step, bool *found, hs_error *damage, hs_error *err)
{
    hs_error ignored;
    damage = damage ? damage : &ignored;
    *damage = (hs_error){0};
    *found = false;
    uint64_t named = 0;
    const bool has_name = read_latest(dir, &named);
    if (has_name)
        HS_TRY(look(dir, named, found, damage, err));
    if (*found) {
        *step = named;
        return HS_OK;
    }
    uint64_t *steps;
    size_t n;
    hs_status status = hs_checkpoint_steps(dir, &steps, &n, err);
    for (size_t i = 0; status == HS_OK && i < n && !*found; i++) {
        if (has_name && steps[i] == named)
            continue;
        status = look(dir, steps[i], found, damage, err);
        *step = steps[i];
    }
    hs_free(steps);
    return status;
}

/* ---------------------------------------------------------------- load */

static hs_status same_model(const hs_model *have, const hs_model *want, const char *path, hs_error *err)
{
    bool same = have->n_params == want->n_params && have->n_tensors == want->n_tensors;
    for (uint32_t i = 0; same && i < have->n_tensors; i++)
        same = strcmp(have->tensor[i].name, want->tensor[i].name) == 0 && have->tensor[i].size == want->tensor[i].size;
    if (same)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "checkpoint is of another model");
    return hs_error_where(err, "%s", path);
}

/* Everything is checked before the first copy. */
static hs_status copy_state(const opened *o, uint64_t step, hs_trainer *trainer, const char *path, hs_error *err)
{
    size_t n, n_have;
    const hs_state_array *state = hs_trainer_state(trainer, &n);
    (void)hs_st_list(o->state, &n_have);
    for (size_t i = 0; i < n; i++) {
        const hs_st_tensor *have = hs_st_find(o->state, state[i].name);
        if (have && have->bytes == o->model.n_params * sizeof(float) && strcmp(have->dtype, "F32") == 0)
            continue;
        hs_fail(err, HS_ERR_DATA, "checkpoint has no optimizer state %s of this model's size", state[i].name);
        hs_error_where(err, "%s", path);
        return hs_error_hint(err, "it comes from another optimizer");
    }
    if (n_have != n) {
        hs_fail(err, HS_ERR_DATA, "checkpoint has %zu optimizer states, this optimizer %zu", n_have, n);
        return hs_error_where(err, "%s", path);
    }
    for (size_t i = 0; i < n; i++)
        HS_TRY(hs_st_read_f32(o->state, state[i].name, state[i].data, o->model.n_params, err));
    hs_trainer_set_step_count(trainer, step);
    hs_trainer_set_attempt(trainer, o->attempt);
    return HS_OK;
}

hs_status hs_checkpoint_load(const char *dir, uint64_t step, hs_model *model, hs_trainer *trainer, double *seconds,
                             hs_error *err)
{
    char path[PATH_SIZE];
    HS_TRY(path_of(path, dir, step, HS_CHECKPOINT_WEIGHTS, err));
    opened o = {0};
    HS_TRY(open_whole(&o, dir, step, err));
    hs_status status = same_model(&o.model, model, path, err);
    if (status == HS_OK && trainer)
        status = copy_state(&o, step, trainer, path, err);
    if (status == HS_OK) {
        memcpy(model->param, o.model.param, model->n_params * sizeof *model->param);
        if (seconds)
            *seconds = o.seconds;
    }
    opened_free(&o);
    return status;
}

/* ---------------------------------------------------------------- prune */

static uint64_t bytes_of(const char *dir, uint64_t step)
{
    uint64_t bytes = 0;
    for (int i = HS_CHECKPOINT_WEIGHTS; i <= HS_CHECKPOINT_STATE; i++) {
        char path[PATH_SIZE];
        struct stat st;
        if (path_of(path, dir, step, (hs_checkpoint_file)i, NULL) == HS_OK && stat(path, &st) == 0)
            bytes += (uint64_t)st.st_size;
    }
    return bytes;
}

/* State first: without it the rest is no checkpoint, and a kill in between leaves weights that hs_checkpoint_prune
 * finds. */
static hs_status remove_step(const char *dir, uint64_t step, hs_error *err)
{
    for (int i = HS_CHECKPOINT_STATE; i >= HS_CHECKPOINT_WEIGHTS; i--) {
        char path[PATH_SIZE];
        HS_TRY(path_of(path, dir, step, (hs_checkpoint_file)i, err));
        if (unlink(path) != 0 && errno != ENOENT) {
            hs_fail(err, HS_ERR_IO, "cannot remove an old checkpoint: %s", strerror(errno));
            return hs_error_where(err, "%s", path);
        }
    }
    return HS_OK;
}

/* Temporaries and lone weights of a save that was killed. Only the holder of the run's lock gets here. */
static void remove_leftovers(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        char path[PATH_SIZE], state[PATH_SIZE];
        uint64_t step;
        bool temporary =
            strstr(e->d_name, ".tmp-") && (strncmp(e->d_name, "step-", 5) == 0 || strncmp(e->d_name, "latest", 6) == 0);
        bool lone = parse_name(e->d_name, endings[HS_CHECKPOINT_WEIGHTS], &step) &&
                    path_of(state, dir, step, HS_CHECKPOINT_STATE, NULL) == HS_OK && !hs_file_exists(state);
        if ((temporary || lone) && hs_path_join(path, sizeof path, dir, e->d_name, NULL) == HS_OK)
            (void)unlink(path);
    }
    closedir(d);
}

hs_status hs_checkpoint_prune(const char *dir, const hs_train_config *config, hs_error *err)
{
    uint64_t *steps, latest = 0;
    size_t n;
    HS_TRY(hs_checkpoint_steps(dir, &steps, &n, err));
    bool named = read_latest(dir, &latest);
    uint64_t used = 0;
    hs_status status = HS_OK;
    for (size_t i = 0; i < n && status == HS_OK; i++) { /* newest first */
        bool is_latest = named ? steps[i] == latest : i == 0;
        bool recent = i < config->checkpoint_keep;
        bool major = hs_on_log_grid(steps[i], config->checkpoints_per_decade);
        uint64_t bytes = bytes_of(dir, steps[i]);
        bool fits = config->checkpoint_budget == 0 || used + bytes <= config->checkpoint_budget;
        if (is_latest || ((recent || major) && fits))
            used += bytes;
        else
            status = remove_step(dir, steps[i], err);
    }
    hs_free(steps);
    if (status == HS_OK)
        remove_leftovers(dir);
    return status;
}
