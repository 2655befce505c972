/* save.c - a model as one safetensors file: weights under their Hugging Face names, configuration as strings in the
 * metadata. Invariant: a loaded model has exactly the tensors of its table; anything missing, of the wrong shape or
 * left over in the file is an error that names it. */
#include "model/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- configuration as strings */

enum { VALUE_SIZE = 32 };

const char *hs_format_float(float x, char out[32])
{
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(out, 32, "%.*g", digits, (double)x);
        if (strtof(out, NULL) == x)
            break;
    }
    return out;
}

static size_t write_fields(const hs_model_config *config, const hs_model_field *fields, hs_st_meta *meta,
                           char values[][VALUE_SIZE])
{
    size_t n = 0;
    for (const hs_model_field *f = fields; f->key; f++, n++) {
        const char *at = (const char *)config + f->offset;
        uint32_t u;
        float x;
        bool b;
        switch (f->type) {
        case HS_FIELD_U32:
        case HS_FIELD_U32_PLUS_ONE:
            memcpy(&u, at, sizeof u);
            snprintf(values[n], VALUE_SIZE, "%u", u + (f->type == HS_FIELD_U32_PLUS_ONE));
            break;
        case HS_FIELD_FLOAT:
            memcpy(&x, at, sizeof x);
            hs_format_float(x, values[n]);
            break;
        case HS_FIELD_BOOL:
            memcpy(&b, at, sizeof b);
            snprintf(values[n], VALUE_SIZE, "%s", b ? "true" : "false");
            break;
        case HS_FIELD_TEXT:
            snprintf(values[n], VALUE_SIZE, "%s", f->text);
            break;
        }
        meta[n] = (hs_st_meta){f->key, values[n]};
    }
    return n;
}

/* False when the text is not a whole value of the type. */
static bool parse_value(const hs_model_field *f, const char *text, char *at)
{
    char *end;
    errno = 0;
    switch (f->type) {
    case HS_FIELD_U32:
    case HS_FIELD_U32_PLUS_ONE: {
        if (text[0] < '0' || text[0] > '9')
            return false;
        unsigned long long u = strtoull(text, &end, 10);
        uint32_t value = (uint32_t)u;
        if (f->type == HS_FIELD_U32_PLUS_ONE && value > 0)
            value--;
        memcpy(at, &value, sizeof value);
        return errno == 0 && *end == 0 && u <= UINT32_MAX;
    }
    case HS_FIELD_FLOAT: {
        float value = strtof(text, &end);
        memcpy(at, &value, sizeof value);
        return end != text && *end == 0;
    }
    case HS_FIELD_BOOL: {
        bool value = strcmp(text, "true") == 0;
        memcpy(at, &value, sizeof value);
        return value || strcmp(text, "false") == 0;
    }
    case HS_FIELD_TEXT:
        return true;
    }
    return false;
}

/* The family of this name, or NULL; *kind is its number. */
static const hs_model_ops *family(const char *name, hs_model_kind *kind)
{
    for (unsigned i = 0; i < HS_MODEL_KINDS; i++) {
        *kind = (hs_model_kind)i;
        if (strcmp(hs_model_ops_of(*kind)->traits.name, name) == 0)
            return hs_model_ops_of(*kind);
    }
    return NULL;
}

static hs_status config_from_metadata(const hs_st_file *file, const char *path, hs_model_config *config, hs_error *err)
{
    hs_model_config_default(config);
    config->halt_head = false;
    const char *type = hs_st_metadata(file, "model_type");
    if (!type) {
        hs_fail(err, HS_ERR_DATA, "the file's metadata has no model_type");
        hs_error_where(err, "%s", path);
        return hs_error_hint(err, "a Hugging Face folder is read by `hopscope import`");
    }
    const hs_model_ops *ops = family(type, &config->kind);
    if (!ops) {
        char kinds[64];
        hs_model_kinds_text(kinds, sizeof kinds);
        hs_fail(err, HS_ERR_DATA, "unknown model_type");
        hs_error_where(err, "%s", path);
        hs_error_value(err, type, strlen(type));
        return hs_error_hint(err, "%s", kinds);
    }
    for (const hs_model_field *f = ops->fields; f->key; f++) {
        const char *text = hs_st_metadata(file, f->key);
        if (text && !parse_value(f, text, (char *)config + f->offset)) {
            hs_fail(err, HS_ERR_DATA, "metadata %s is not a value of its type", f->key);
            hs_error_where(err, "%s", path);
            return hs_error_value(err, text, strlen(text));
        }
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- save */

static bool is_config_key(const hs_model *model, const char *key)
{
    if (strcmp(key, "format") == 0 || strcmp(key, "model_type") == 0 || strcmp(key, "activation_function") == 0)
        return true;
    for (const hs_model_field *f = model->ops->fields; f->key; f++)
        if (strcmp(f->key, key) == 0)
            return true;
    return false;
}

hs_status hs_model_save(const hs_model *model, const char *path, const hs_st_meta *meta, size_t n_meta, hs_error *err)
{
    for (size_t i = 0; i < n_meta; i++)
        if (is_config_key(model, meta[i].key))
            return hs_fail(err, HS_ERR_USAGE, "metadata %s is the model's own", meta[i].key);
    char values[HS_MAX_FIELDS][VALUE_SIZE];
    hs_st_tensor *tensor = hs_calloc(model->n_tensors, sizeof *tensor);
    hs_st_meta *all = hs_calloc(HS_MAX_FIELDS + n_meta + 2, sizeof *all);
    if (!tensor || !all) {
        hs_free(tensor);
        hs_free(all);
        return hs_fail_memory(err, model->n_tensors * sizeof *tensor);
    }
    size_t n = 0;
    all[n++] = (hs_st_meta){"model_type", model->ops->traits.name};
    n += write_fields(&model->config, model->ops->fields, all + n, values);
    for (size_t i = 0; i < n_meta; i++)
        all[n++] = meta[i];
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        const hs_tensor *t = &model->tensor[i];
        tensor[i] = (hs_st_tensor){.name = t->name,
                                   .dtype = "F32",
                                   .ndim = t->ndim,
                                   .data = model->param + t->offset,
                                   .bytes = t->size * sizeof(float)};
        for (uint32_t d = 0; d < t->ndim; d++)
            tensor[i].shape[d] = t->shape[d];
    }
    hs_status status = hs_st_write(path, tensor, model->n_tensors, all, n, err);
    hs_free(tensor);
    hs_free(all);
    return status;
}

/* ---------------------------------------------------------------- load */

static void format_shape(char *out, size_t size, uint32_t ndim, const uint64_t *shape)
{
    size_t used = 0;
    for (uint32_t i = 0; i < ndim && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%llu", i ? ", " : "", (unsigned long long)shape[i]);
    if (ndim == 0)
        snprintf(out, size, "scalar");
}

static hs_status check_tensor(const hs_tensor *want, const hs_st_tensor *have, const char *path, hs_error *err)
{
    bool same = have->ndim == want->ndim;
    uint64_t shape[3] = {0};
    for (uint32_t d = 0; d < want->ndim; d++) {
        shape[d] = want->shape[d];
        same = same && have->shape[d] == shape[d];
    }
    if (same)
        return HS_OK;
    char a[96], b[96];
    format_shape(a, sizeof a, have->ndim, have->shape);
    format_shape(b, sizeof b, want->ndim, shape);
    hs_fail(err, HS_ERR_DATA, "tensor %s has shape (%s) where the configuration asks for (%s)", want->name, a, b);
    return hs_error_where(err, "%s", path);
}

/* Before any memory is asked for: every tensor there, of the right shape, and none left over. */
static hs_status check_table(const hs_model *model, const hs_st_file *file, const char *path, hs_error *err)
{
    size_t n;
    const hs_st_tensor *list = hs_st_list(file, &n);
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        const hs_st_tensor *have = hs_st_find(file, model->tensor[i].name);
        if (!have) {
            hs_fail(err, HS_ERR_DATA, "tensor %s is missing", model->tensor[i].name);
            return hs_error_where(err, "%s", path);
        }
        HS_TRY(check_tensor(&model->tensor[i], have, path, err));
    }
    for (size_t i = 0; i < n; i++) {
        if (!hs_model_tensor(model, list[i].name)) {
            hs_fail(err, HS_ERR_DATA, "tensor %.120s does not belong to this model", list[i].name);
            return hs_error_where(err, "%s", path);
        }
    }
    return HS_OK;
}

static hs_status load(hs_model *out, const hs_st_file *file, const char *path, hs_error *err)
{
    hs_model_config config;
    HS_TRY(config_from_metadata(file, path, &config, err));
    const hs_status status = hs_model_describe(out, &config, err);
    if (status != HS_OK && err) { /* say which file asks for it */
        char key[sizeof err->where];
        snprintf(key, sizeof key, "%s", err->where);
        return hs_error_where(err, "%.300s%s%.100s", path, key[0] ? ": " : "", key);
    }
    HS_TRY(status);
    HS_TRY(check_table(out, file, path, err));
    HS_TRY(hs_model_allocate(out, err));
    for (uint32_t i = 0; i < out->n_tensors; i++) {
        const hs_tensor *t = &out->tensor[i];
        HS_TRY(hs_st_read_f32(file, t->name, out->param + t->offset, t->size, err));
    }
    return HS_OK;
}

hs_status hs_model_load_st(hs_model *out, const hs_st_file *file, const char *path, hs_error *err)
{
    *out = (hs_model){0};
    hs_status status = load(out, file, path, err);
    if (status != HS_OK)
        hs_model_free(out);
    return status;
}

hs_status hs_model_load(hs_model *out, const char *path, hs_error *err)
{
    hs_st_file *file;
    HS_TRY(hs_st_open(&file, path, err));
    hs_status status = hs_model_load_st(out, file, path, err);
    hs_st_close(file);
    return status;
}
