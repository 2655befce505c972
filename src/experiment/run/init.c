/* init.c - the weights that a run begins with: drawn from its seed, of a file (model.init), or of another run.
 *
 * Of another run: its own model's configuration holds, with the keys of this experiment's section `model` that are not
 * at their defaults put over it, and dropout as it is here. Tokens are matched by name, for the datasets may differ;
 * new ones are drawn. What a run began with is kept beside it (init.safetensors), so that the other run may go on or go
 * away. */
#include "experiment/internal.h"
#include "hopscope/tensor.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

hs_status hs_run_init_path(char *out, size_t size, const char *run_dir, hs_error *err)
{
    return hs_path_join(out, size, run_dir, "init.safetensors", err);
}

/* The model of the new run, as far as its configuration goes. */
static hs_model_config configuration(const hs_config *config, const hs_model_config *of_run, const hs_dataset *data)
{
    hs_model_config plain, c = *of_run;
    hs_model_config_default(&plain);
    size_t n;
    const hs_setting *settings = hs_model_settings(&n);
    for (size_t i = 0; i < n; i++) {
        const size_t at = settings[i].offset, size = settings[i].size;
        const char *here = (const char *)&config->model + at;
        if (memcmp(here, (const char *)&plain + at, size) != 0)
            memcpy((char *)&c + at, here, size);
    }
    c.dropout = config->model.dropout;
    c.vocab = data->vocab.n;
    const uint32_t positions = hs_model_positions_for(&c, data->max_width);
    c.n_positions = positions > of_run->n_positions ? positions : of_run->n_positions;
    return c;
}

/* Ids in the run's vocabulary, HS_NO_TARGET for new tokens; *known of them are none. */
static hs_status match_tokens(const hs_names *of_run, const hs_names *here, uint32_t **token, uint32_t *known,
                              hs_error *err)
{
    *known = 0;
    *token = hs_alloc((here->n + 1) * sizeof **token);
    if (!*token)
        return hs_fail_memory(err, here->n * sizeof **token);
    for (uint32_t i = 0; i < here->n; i++) {
        const char *name = hs_names_get(here, i);
        const uint32_t id = hs_names_find(of_run, name, strlen(name));
        (*token)[i] = id == HS_NO_ID ? HS_NO_TARGET : id;
        *known += id != HS_NO_ID;
    }
    return HS_OK;
}

static void tell(const hs_run *run, const hs_model *model, const hs_names *here, uint32_t known,
                 const hs_events *events)
{
    char step[32], n[32], all[32], fresh[32], gone[32];
    hs_str text = {0};
    hs_str_addf(&text, "starts from %s, step %s%s: %s, %u blocks, width %u; ", run->dir,
                hs_format_count(run->step, step), run->config.train.ema > 0 ? " (averaged weights)" : "",
                hs_model_traits_of(model)->title, model->config.n_layer, model->config.n_embd);
    if (known == here->n)
        hs_str_addf(&text, "all %s tokens matched by name", hs_format_count(here->n, all));
    else
        hs_str_addf(&text, "%s of %s tokens matched by name, %s new ones drawn from train.seed",
                    hs_format_count(known, n), hs_format_count(here->n, all), hs_format_count(here->n - known, fresh));
    if (known < run->data.vocab.n)
        hs_str_addf(&text, "; %s of the run's tokens are not in this dataset",
                    hs_format_count(run->data.vocab.n - known, gone));
    if (model->config.n_positions > run->model.config.n_positions)
        hs_str_addf(&text, "; positions from %u on are new: items are longer", run->model.config.n_positions + 1);
    if (text.s)
        hs_event_send(events, HS_EVENT_INFO, "init", "%s", text.s);
    hs_str_free(&text);
}

/* What of the section `model` differs from the run's, as the hint of an error about tensors. */
static void hint_difference(const hs_run *run, const hs_model_config *here, hs_error *err)
{
    hs_config *a = hs_calloc(2, sizeof *a), *b = a + 1;
    hs_str text = {0};
    size_t n;
    const hs_config_key *keys = hs_config_keys(&n);
    if (!a)
        return;
    a->model = *here;
    b->model = run->model.config;
    for (size_t i = 0; i < n; i++) {
        hs_str is = {0}, was = {0};
        if (strncmp(keys[i].key, "model.", 6) == 0 && keys[i].setting.type != HS_SETTING_STRING) {
            hs_config_get(a, &keys[i], &is);
            hs_config_get(b, &keys[i], &was);
            if (is.s && was.s && strcmp(is.s, was.s) != 0)
                hs_str_addf(&text, "%s%s is %s here, %s in the run", text.len ? "; " : "", keys[i].key, is.s, was.s);
        }
        hs_str_free(&is);
        hs_str_free(&was);
    }
    if (text.s)
        hs_error_hint(err, "%s", text.s);
    else if (here->n_positions > run->model.config.n_positions)
        hs_error_hint(err, "items have %u tokens more here: this model is made for one length",
                      here->n_positions - run->model.config.n_positions);
    hs_str_free(&text);
    hs_free(a);
}

static hs_status from_run(const hs_config *config, const hs_dataset *data, const hs_run *run, hs_model *out,
                          const hs_events *events, hs_error *err)
{
    uint32_t *token, known;
    const hs_model_config c = configuration(config, &run->model.config, data);
    HS_TRY(match_tokens(&run->data.vocab, &data->vocab, &token, &known, err));
    hs_status status = HS_OK;
    if (known == 0) {
        hs_fail(err, HS_ERR_DATA, "the run and the dataset have no token in common: there is nothing to start from");
        status = hs_error_hint(err, "the run has tokens such as %.40s, the dataset %.40s",
                               hs_names_get(&run->data.vocab, 0), hs_names_get(&data->vocab, 0));
    }
    if (status == HS_OK)
        status = hs_model_create(out, &c, config->train.seed, err);
    if (status == HS_OK) {
        status = hs_model_take(out, &run->model, token, err);
        if (status == HS_OK)
            tell(run, out, &data->vocab, known, events);
        else
            hint_difference(run, &c, err);
    }
    hs_free(token);
    if (status != HS_OK) {
        hs_model_free(out);
        hs_error_where(err, "model.init: %s", run->dir);
    }
    return status;
}

static hs_status init_from_run(const hs_config *config, const hs_dataset *data, hs_model *out, const hs_events *events,
                               hs_error *err)
{
    hs_run *run = hs_calloc(1, sizeof *run);
    if (!run)
        return hs_fail_memory(err, sizeof *run);
    hs_status status =
        hs_run_open(run, config->model_init, config->model_init_step ? config->model_init_step : HS_LATEST, err);
    if (status == HS_OK && run->damage.status != HS_OK)
        hs_event_send(events, HS_EVENT_WARNING, "init", "a newer checkpoint is damaged: %s: %s", run->damage.where,
                      run->damage.what);
    if (status == HS_OK)
        status = from_run(config, data, run, out, events, err);
    hs_run_close(run);
    hs_free(run);
    return status;
}

hs_status hs_experiment_initial_model(const hs_config *config, const hs_dataset *data, hs_model *out,
                                      const hs_events *events, hs_error *err)
{
    struct stat st;
    if (config->model_init[0])
        HS_TRY(hs_dataset_check_tokens(data, "model.init", err));
    const bool folder = config->model_init[0] && stat(config->model_init, &st) == 0 && S_ISDIR(st.st_mode);
    if (config->model_init_step > 0 && !folder) {
        hs_fail(err, HS_ERR_DATA, "only a run has steps to choose from");
        hs_error_where(err, "model.init_step");
        return hs_error_hint(err, "set model.init to a run directory");
    }
    if (folder)
        return init_from_run(config, data, out, events, err);
    if (config->model_init[0]) {
        HS_TRY(hs_tensor_open(err));
        return hs_model_load(out, config->model_init, err);
    }
    hs_model_config model;
    hs_experiment_model_config(config, data, &model);
    return hs_model_create(out, &model, config->train.seed, err);
}

hs_status hs_run_initial_model(const char *run_dir, const hs_config *config, const hs_dataset *data, hs_model *out,
                               const hs_events *events, hs_error *err)
{
    char path[4096];
    HS_TRY(hs_run_init_path(path, sizeof path, run_dir, err));
    if (!config->model_init[0] || !hs_file_exists(path))
        return hs_experiment_initial_model(config, data, out, events, err);
    HS_TRY(hs_tensor_open(err));
    return hs_model_load(out, path, err);
}
