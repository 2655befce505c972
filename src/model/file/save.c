/* save.c - a model as one safetensors file: weights under their Hugging Face names, configuration as strings in the
 * metadata. Invariant: a loaded model has exactly the tensors of its table; anything missing, of the wrong shape or
 * left over in the file is an error that names it. */
#include "model/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- configuration as strings */

typedef enum field_type { FIELD_U32, FIELD_FLOAT, FIELD_BOOL } field_type;
typedef struct field {
    const char *key;
    field_type type;
    size_t offset;
} field;

#define FIELD(key, type, member)                                                                                       \
    {                                                                                                                  \
        key, type, offsetof(hs_model_config, member)                                                                   \
    }

static const field gpt2_fields[] = {
    FIELD("n_layer", FIELD_U32, n_layer),
    FIELD("n_head", FIELD_U32, n_head),
    FIELD("n_embd", FIELD_U32, n_embd),
    FIELD("n_inner", FIELD_U32, n_inner),
    FIELD("n_positions", FIELD_U32, n_positions),
    FIELD("vocab_size", FIELD_U32, vocab),
    FIELD("passes", FIELD_U32, passes),
    FIELD("layer_norm_epsilon", FIELD_FLOAT, eps),
    FIELD("initializer_range", FIELD_FLOAT, init_std),
    FIELD("dropout", FIELD_FLOAT, dropout),
    FIELD("tie_word_embeddings", FIELD_BOOL, tied),
    FIELD("re_embed", FIELD_BOOL, re_embed),
    FIELD("re_embed_temp", FIELD_FLOAT, re_embed_temp),
    FIELD("inject", FIELD_BOOL, inject),
    FIELD("share_mlp", FIELD_BOOL, share_mlp),
    FIELD("memory_inner", FIELD_U32, memory_inner),
    FIELD("no_ln", FIELD_BOOL, no_ln),
    FIELD("no_mlp", FIELD_BOOL, no_mlp),
    {0},
};
static const field llama_fields[] = {
    FIELD("num_hidden_layers", FIELD_U32, n_layer),
    FIELD("num_attention_heads", FIELD_U32, n_head),
    FIELD("hidden_size", FIELD_U32, n_embd),
    FIELD("intermediate_size", FIELD_U32, n_inner),
    FIELD("max_position_embeddings", FIELD_U32, n_positions),
    FIELD("vocab_size", FIELD_U32, vocab),
    FIELD("passes", FIELD_U32, passes),
    FIELD("rms_norm_eps", FIELD_FLOAT, eps),
    FIELD("initializer_range", FIELD_FLOAT, init_std),
    FIELD("rope_theta", FIELD_FLOAT, rope_theta),
    FIELD("qk_norm", FIELD_BOOL, qk_norm),
    FIELD("tie_word_embeddings", FIELD_BOOL, tied),
    {0},
};
static const field trm_fields[] = {
    FIELD("hidden_size", FIELD_U32, n_embd),
    FIELD("intermediate_size", FIELD_U32, n_inner), /* 0: expansion 4, rounded up */
    FIELD("vocab_size", FIELD_U32, vocab),          /* written with the padding token counted */
    FIELD("seq_len", FIELD_U32, n_positions),
    FIELD("prefix", FIELD_U32, prefix),
    FIELD("blocks", FIELD_U32, n_layer),
    FIELD("H_cycles", FIELD_U32, h_cycles),
    FIELD("L_cycles", FIELD_U32, l_cycles),
    FIELD("rms_norm_eps", FIELD_FLOAT, eps),
    FIELD("round_up", FIELD_U32, round_up),
    FIELD("mix_attention", FIELD_BOOL, mix_attention),
    FIELD("num_heads", FIELD_U32, n_head),
    FIELD("rope_theta", FIELD_FLOAT, rope_theta),
    FIELD("halt_head", FIELD_BOOL, halt_head),
    {0},
};

static const field *fields_of(hs_model_kind kind)
{
    return kind == HS_MODEL_GPT2 ? gpt2_fields : kind == HS_MODEL_LLAMA ? llama_fields : trm_fields;
}

enum { MAX_FIELDS = 32, VALUE_SIZE = 32 };

const char *hs_format_float(float x, char out[32])
{
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(out, 32, "%.*g", digits, (double)x);
        if (strtof(out, NULL) == x)
            break;
    }
    return out;
}

static size_t write_fields(const hs_model_config *config, hs_st_meta *meta, char values[][VALUE_SIZE])
{
    size_t n = 0;
    for (const field *f = fields_of(config->kind); f->key; f++, n++) {
        const char *at = (const char *)config + f->offset;
        uint32_t u;
        float x;
        bool b;
        switch (f->type) {
        case FIELD_U32:
            memcpy(&u, at, sizeof u);
            if (config->kind == HS_MODEL_TRM && strcmp(f->key, "vocab_size") == 0)
                u++;
            snprintf(values[n], VALUE_SIZE, "%u", u);
            break;
        case FIELD_FLOAT:
            memcpy(&x, at, sizeof x);
            hs_format_float(x, values[n]);
            break;
        case FIELD_BOOL:
            memcpy(&b, at, sizeof b);
            snprintf(values[n], VALUE_SIZE, "%s", b ? "true" : "false");
            break;
        }
        meta[n] = (hs_st_meta){f->key, values[n]};
    }
    return n;
}

/* False when the text is not a whole value of the type. */
static bool parse_value(const field *f, const char *text, char *at)
{
    char *end;
    errno = 0;
    switch (f->type) {
    case FIELD_U32: {
        if (text[0] < '0' || text[0] > '9')
            return false;
        unsigned long long u = strtoull(text, &end, 10);
        uint32_t value = (uint32_t)u;
        memcpy(at, &value, sizeof value);
        return errno == 0 && *end == 0 && u <= UINT32_MAX;
    }
    case FIELD_FLOAT: {
        float value = strtof(text, &end);
        memcpy(at, &value, sizeof value);
        return end != text && *end == 0;
    }
    case FIELD_BOOL: {
        bool value = strcmp(text, "true") == 0;
        memcpy(at, &value, sizeof value);
        return value || strcmp(text, "false") == 0;
    }
    }
    return false;
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
    if (strcmp(type, "gpt2") == 0) {
        config->kind = HS_MODEL_GPT2;
    } else if (strcmp(type, "llama") == 0) {
        config->kind = HS_MODEL_LLAMA;
    } else if (strcmp(type, "trm") == 0) {
        config->kind = HS_MODEL_TRM;
    } else {
        hs_fail(err, HS_ERR_DATA, "unknown model_type");
        hs_error_where(err, "%s", path);
        hs_error_value(err, type, strlen(type));
        return hs_error_hint(err, "gpt2, llama or trm");
    }
    for (const field *f = fields_of(config->kind); f->key; f++) {
        const char *text = hs_st_metadata(file, f->key);
        if (text && !parse_value(f, text, (char *)config + f->offset)) {
            hs_fail(err, HS_ERR_DATA, "metadata %s is not a value of its type", f->key);
            hs_error_where(err, "%s", path);
            return hs_error_value(err, text, strlen(text));
        }
    }
    if (config->kind == HS_MODEL_TRM && config->vocab > 0)
        config->vocab--;
    return HS_OK;
}

/* ---------------------------------------------------------------- save */

static bool is_config_key(const hs_model_config *config, const char *key)
{
    if (strcmp(key, "format") == 0 || strcmp(key, "model_type") == 0 || strcmp(key, "activation_function") == 0)
        return true;
    for (const field *f = fields_of(config->kind); f->key; f++)
        if (strcmp(f->key, key) == 0)
            return true;
    return false;
}

hs_status hs_model_save(const hs_model *model, const char *path, const hs_st_meta *meta, size_t n_meta, hs_error *err)
{
    for (size_t i = 0; i < n_meta; i++)
        if (is_config_key(&model->config, meta[i].key))
            return hs_fail(err, HS_ERR_USAGE, "metadata %s is the model's own", meta[i].key);
    char values[MAX_FIELDS][VALUE_SIZE];
    hs_st_tensor *tensor = hs_calloc(model->n_tensors, sizeof *tensor);
    hs_st_meta *all = hs_calloc(MAX_FIELDS + n_meta + 2, sizeof *all);
    if (!tensor || !all) {
        hs_free(tensor);
        hs_free(all);
        return hs_fail_memory(err, model->n_tensors * sizeof *tensor);
    }
    size_t n = 0;
    all[n++] = (hs_st_meta){"model_type", model->ops->name};
    n += write_fields(&model->config, all + n, values);
    if (model->config.kind == HS_MODEL_GPT2)
        all[n++] = (hs_st_meta){"activation_function", "gelu_new"};
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
