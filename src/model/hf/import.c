/* import.c - a model from a Hugging Face folder.
 *
 * The order is: configuration, table of tensors, names and shapes of the files, memory, weights; so a hostile folder is
 * refused before it costs memory. Invariant: a tensor that is neither used nor known to be without weight is an error,
 * since it means that file and configuration do not belong together. */
#include "model/hf/form.h"

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_JSON = 64 << 20, MAX_SHARDS = 4096 };

/* ---------------------------------------------------------------- configuration */

hs_status hs_hf_bad_key(const hs_hf_reader *r, const char *key, const char *what)
{
    hs_fail(r->err, HS_ERR_DATA, "%s: %s", key, what);
    return hs_error_where(r->err, "%s", r->path);
}

hs_status hs_hf_count(const hs_hf_reader *r, const char *key, uint32_t otherwise, uint32_t *out)
{
    const json_t *x = json_object_get(r->json, key);
    if (!x || json_is_null(x)) {
        *out = otherwise;
        return otherwise ? HS_OK : hs_hf_bad_key(r, key, "this number is missing from the configuration");
    }
    if (!json_is_integer(x) || json_integer_value(x) < 1 || json_integer_value(x) > (1 << 24))
        return hs_hf_bad_key(r, key, "not a number from 1 to 2^24");
    *out = (uint32_t)json_integer_value(x);
    return HS_OK;
}

hs_status hs_hf_number(const hs_hf_reader *r, const char *key, float *out)
{
    const json_t *x = json_object_get(r->json, key);
    if (!x || json_is_null(x))
        return HS_OK;
    if (!json_is_number(x))
        return hs_hf_bad_key(r, key, "not a number");
    *out = (float)json_number_value(x);
    return HS_OK;
}

bool hs_hf_flag(const hs_hf_reader *r, const char *key, bool otherwise)
{
    const json_t *x = json_object_get(r->json, key);
    return json_is_boolean(x) ? json_is_true(x) : otherwise;
}

hs_status hs_hf_need_text(const hs_hf_reader *r, const char *key, const char *want, const char *also)
{
    const char *s = json_string_value(json_object_get(r->json, key));
    if (!s || strcmp(s, want) == 0 || (also && strcmp(s, also) == 0))
        return HS_OK;
    hs_hf_bad_key(r, key, "hopscope's model does not do this");
    hs_error_value(r->err, s, strlen(s));
    return hs_error_hint(r->err, "only %s can be imported", want);
}

hs_status hs_hf_need_off(const hs_hf_reader *r, const char *key)
{
    return hs_hf_flag(r, key, false) ? hs_hf_bad_key(r, key, "hopscope's model does not do this; it must be false")
                                     : HS_OK;
}

bool hs_hf_inner(const hs_hf_reader *r, const char *key, hs_hf_reader *inner)
{
    json_t *x = json_object_get(r->json, key);
    *inner = (hs_hf_reader){.json = x, .path = r->path, .err = r->err};
    return x && !json_is_null(x);
}

static hs_status read_json(const char *dir, const char *name, char path[4096], json_t **out, hs_error *err)
{
    char *text;
    size_t size;
    HS_TRY(hs_path_join(path, 4096, dir, name, err));
    HS_TRY(hs_file_read(path, MAX_JSON, &text, &size, err));
    json_error_t at;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &at);
    hs_free(text);
    if (*out && json_is_object(*out))
        return HS_OK;
    json_decref(*out);
    *out = NULL;
    hs_fail(err, HS_ERR_DATA, "not a JSON object");
    return hs_error_where(err, "%s:%d", path, at.line < 0 ? 1 : at.line);
}

/* The form that reads this model_type, or NULL; *kind is its family, `known` all types: "gpt2, llama and qwen3". */
static const hs_hf_form *find_form(const char *type, hs_model_kind *kind, char known[64])
{
    const char *all[16];
    size_t n = 0, used = 0;
    for (unsigned i = 0; i < HS_MODEL_KINDS; i++) {
        const hs_hf_form *form = hs_model_ops_of((hs_model_kind)i)->hf;
        for (const char *const *t = form ? form->types : NULL; t && *t && n < 16; t++) {
            all[n++] = *t;
            if (strcmp(*t, type) == 0) {
                *kind = (hs_model_kind)i;
                return form;
            }
        }
    }
    for (size_t i = 0; i < n && used < 64; i++)
        used += (size_t)snprintf(known + used, 64 - used, "%s%s", i == 0 ? "" : i + 1 == n ? " and " : ", ", all[i]);
    return NULL;
}

static hs_status config_from(const hs_hf_reader *r, hs_model_config *c, uint32_t *groups)
{
    const char *type = json_string_value(json_object_get(r->json, "model_type"));
    hs_model_config_default(c);
    *groups = 0;
    HS_TRY(hs_hf_count(r, "vocab_size", 0, &c->vocab));
    char known[64];
    const hs_hf_form *form = find_form(type ? type : "", &c->kind, known);
    if (!form) {
        hs_hf_bad_key(r, "model_type", "hopscope has no model of this kind");
        hs_error_value(r->err, type ? type : "", type ? strlen(type) : 0);
        return hs_error_hint(r->err, "%s can be imported", known);
    }
    HS_TRY(form->read(r, type, c, groups));
    return hs_hf_number(r, "initializer_range", &c->init_std);
}

/* ---------------------------------------------------------------- files */

typedef struct shard {
    char name[256];
    hs_st_file *file;
} shard;

typedef struct shards {
    const char *dir;
    const char *root; /* what names may lack */
    shard *shard;
    size_t n, cap;
    json_t *index; /* weight_map, or NULL with one file */
} shards;

static void close_shards(shards *s)
{
    for (size_t i = 0; i < s->n; i++)
        hs_st_close(s->shard[i].file);
    hs_free(s->shard);
    json_decref(s->index);
}

static hs_status open_shard(shards *s, const char *name, hs_error *err)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->shard[i].name, name) == 0)
            return HS_OK;
    if (strchr(name, '/') || strlen(name) >= sizeof s->shard->name || s->n >= MAX_SHARDS) {
        hs_fail(err, HS_ERR_DATA, "weight_map names something that is no file beside it");
        return hs_error_value(err, name, strlen(name));
    }
    void *p = s->shard;
    hs_status status = hs_grow(&p, &s->cap, s->n + 1, sizeof *s->shard, err);
    s->shard = p;
    HS_TRY(status);
    char path[4096];
    HS_TRY(hs_path_join(path, sizeof path, s->dir, name, err));
    shard *new = &s->shard[s->n];
    HS_TRY(hs_st_open(&new->file, path, err));
    snprintf(new->name, sizeof new->name, "%s", name);
    s->n++;
    return HS_OK;
}

static hs_status open_files(shards *s, hs_error *err)
{
    char path[4096];
    HS_TRY(hs_path_join(path, sizeof path, s->dir, "model.safetensors", err));
    if (hs_file_exists(path))
        return open_shard(s, "model.safetensors", err);
    HS_TRY(hs_path_join(path, sizeof path, s->dir, "model.safetensors.index.json", err));
    if (!hs_file_exists(path)) {
        hs_fail(err, HS_ERR_DATA, "neither model.safetensors nor model.safetensors.index.json is there");
        hs_error_where(err, "%s", s->dir);
        return hs_error_hint(err, "save the model with safe_serialization=True; pickled weights are not read");
    }
    json_t *root;
    HS_TRY(read_json(s->dir, "model.safetensors.index.json", path, &root, err));
    s->index = json_incref(json_object_get(root, "weight_map"));
    json_decref(root);
    const char *tensor;
    json_t *file;
    if (!json_is_object(s->index)) {
        hs_fail(err, HS_ERR_DATA, "weight_map is not an object");
        return hs_error_where(err, "%s", path);
    }
    json_object_foreach(s->index, tensor, file)
    {
        if (!json_is_string(file)) {
            hs_fail(err, HS_ERR_DATA, "weight_map does not name a file for tensor %.120s", tensor);
            return hs_error_where(err, "%s", path);
        }
        HS_TRY(open_shard(s, json_string_value(file), err));
    }
    return HS_OK;
}

/* A tensor by one of its two names; *where is the file that has it. */
static const hs_st_tensor *find(const shards *s, const char *name, const hs_st_file **where)
{
    const size_t n = strlen(s->root);
    const char *bare = strncmp(name, s->root, n) == 0 ? name + n : name;
    for (size_t i = 0; i < s->n; i++) {
        const hs_st_tensor *t = hs_st_find(s->shard[i].file, name);
        if (!t && bare != name)
            t = hs_st_find(s->shard[i].file, bare);
        if (t) {
            *where = s->shard[i].file;
            return t;
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------- names and shapes */

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* Buffers that older versions saved, and the head of a tied model. */
static bool without_weight(const hs_model *model, const char *name)
{
    return ends_with(name, ".attn.bias") || ends_with(name, ".attn.masked_bias") ||
           ends_with(name, "rotary_emb.inv_freq") || (model->config.tied && strcmp(name, "lm_head.weight") == 0);
}

/* Rows of the file's tensor that make one of ours: fewer for grouped keys and values. */
static uint64_t file_rows(const hs_model *model, const hs_tensor *t, uint32_t groups)
{
    const bool grouped = ends_with(t->name, "k_proj.weight") || ends_with(t->name, "v_proj.weight");
    return grouped ? (uint64_t)t->shape[0] / model->config.n_head * groups : t->shape[0];
}

static hs_status check_shapes(const hs_model *model, const shards *s, uint32_t groups, hs_error *err)
{
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        const hs_tensor *t = &model->tensor[i];
        const hs_st_file *file;
        const hs_st_tensor *have = find(s, t->name, &file);
        if (!have) {
            hs_fail(err, HS_ERR_DATA, "tensor %s is missing", t->name);
            hs_error_where(err, "%s", s->dir);
            if (strcmp(t->name, "lm_head.weight") == 0)
                return hs_error_hint(err, "the configuration says that the head is not tied to the embedding");
            return HS_ERR_DATA;
        }
        const uint64_t rows = file_rows(model, t, groups);
        if (have->ndim != t->ndim || have->shape[0] != rows || (t->ndim == 2 && have->shape[1] != t->shape[1])) {
            hs_fail(err, HS_ERR_DATA,
                    "tensor %s has shape (%llu%s%.0llu) where the configuration asks for (%llu%s%.0u)", t->name,
                    (unsigned long long)(have->ndim ? have->shape[0] : 0), have->ndim > 1 ? ", " : "",
                    (unsigned long long)(have->ndim > 1 ? have->shape[1] : 0), (unsigned long long)rows,
                    t->ndim > 1 ? ", " : "", t->ndim > 1 ? t->shape[1] : 0);
            return hs_error_where(err, "%s", s->dir);
        }
    }
    return HS_OK;
}

static bool belongs(const hs_model *model, const char *name)
{
    char full[128];
    if (hs_model_tensor(model, name))
        return true;
    snprintf(full, sizeof full, "%s%s", model->ops->hf->root, name);
    return hs_model_tensor(model, full) != NULL;
}

static hs_status check_nothing_left(const hs_model *model, const shards *s, hs_error *err)
{
    for (size_t i = 0; i < s->n; i++) {
        size_t n;
        const hs_st_tensor *list = hs_st_list(s->shard[i].file, &n);
        for (size_t j = 0; j < n; j++)
            if (!belongs(model, list[j].name) && !without_weight(model, list[j].name)) {
                hs_fail(err, HS_ERR_DATA, "tensor %.120s does not belong to the model that config.json describes",
                        list[j].name);
                return hs_error_where(err, "%s/%s", s->dir, s->shard[i].name);
            }
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- weights */

/* Grouped heads: each group's dh rows, written to the front, are spread to the n_head / groups heads that share it.
 * From the last head down, so that no group is overwritten before it is read. */
static void spread_groups(const hs_model *model, uint32_t groups, float *w)
{
    const size_t head = (size_t)model->config.n_embd / model->config.n_head * model->config.n_embd;
    const uint32_t H = model->config.n_head, each = H / groups;
    for (uint32_t h = H; h-- > 0;)
        memmove(w + h * head, w + h / each * head, head * sizeof *w);
}

static hs_status read_weights(hs_model *model, const shards *s, uint32_t groups, hs_error *err)
{
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        const hs_tensor *t = &model->tensor[i];
        const hs_st_file *file = NULL;
        const hs_st_tensor *have = find(s, t->name, &file);
        const uint64_t rows = file_rows(model, t, groups);
        float *w = model->param + t->offset;
        HS_TRY(hs_st_read_f32(file, have->name, w, rows * (t->size / t->shape[0]), err));
        if (rows != t->shape[0])
            spread_groups(model, groups, w);
    }
    return HS_OK;
}

static hs_status import(hs_model *out, shards *s, hs_error *err)
{
    char path[4096];
    json_t *json;
    hs_model_config config;
    uint32_t groups;
    HS_TRY(read_json(s->dir, "config.json", path, &json, err));
    const hs_hf_reader r = {.json = json, .path = path, .err = err};
    const hs_status status = config_from(&r, &config, &groups);
    json_decref(json);
    HS_TRY(status);
    if (groups == 0)
        groups = config.n_head;
    HS_TRY(hs_model_describe(out, &config, err));
    s->root = out->ops->hf->root;
    HS_TRY(open_files(s, err));
    HS_TRY(check_shapes(out, s, groups, err));
    HS_TRY(check_nothing_left(out, s, err));
    HS_TRY(hs_model_allocate(out, err));
    return read_weights(out, s, groups, err);
}

hs_status hs_import_hf(hs_model *out, const char *dir, hs_error *err)
{
    shards s = {.dir = dir};
    *out = (hs_model){0};
    const hs_status status = import(out, &s, err);
    close_shards(&s);
    if (status != HS_OK)
        hs_model_free(out);
    return status;
}

hs_status hs_model_open(hs_model *out, const char *path, hs_error *err)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? hs_import_hf(out, path, err) : hs_model_load(out, path, err);
}
