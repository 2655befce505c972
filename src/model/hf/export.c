/* export.c - a model as a Hugging Face folder. Weights are never copied: a repeated block is the same memory under
 * several names. Invariant: config.json is written last, so a folder that has one is whole. */
#include "model/hf/form.h"

#include <dirent.h>
#include <string.h>

/* ---------------------------------------------------------------- what can be exported */

static const char no_form[] =
    "no architecture of transformers computes it; the run's own safetensors file holds all of it";

hs_status hs_hf_cannot(hs_error *err, const char *field)
{
    hs_fail(err, HS_ERR_USAGE, "a model with this setting has no Hugging Face form");
    hs_error_where(err, "model.%s", field);
    return hs_error_hint(err, "%s", no_form);
}

static hs_status check_exportable(const hs_model *model, hs_error *err)
{
    const hs_hf_form *form = model->ops->hf;
    if (!form) {
        hs_fail(err, HS_ERR_USAGE, "a %s model has no Hugging Face form", model->ops->traits.title);
        return hs_error_hint(err, "%s", no_form);
    }
    return form->check ? form->check(&model->config, err) : HS_OK;
}

/* A folder may hold an earlier export, which is replaced, and nothing else: nobody's files are mixed with ours. */
static hs_status check_folder(const char *dir, hs_error *err)
{
    static const char *const OURS[] = {"config.json",
                                       "generation_config.json",
                                       "model.safetensors",
                                       "tokenizer.json",
                                       "tokenizer_config.json",
                                       "special_tokens_map.json",
                                       "vocab.json",
                                       ".",
                                       ".."};
    DIR *d = opendir(dir);
    if (!d)
        return HS_OK; /* not there; or making it will say what is wrong */
    hs_status status = HS_OK;
    for (struct dirent *e; status == HS_OK && (e = readdir(d));) {
        bool ours = strstr(e->d_name, ".tmp-") != NULL;
        for (size_t i = 0; i < sizeof OURS / sizeof *OURS; i++)
            ours = ours || strcmp(e->d_name, OURS[i]) == 0;
        if (ours)
            continue;
        status = hs_fail(err, HS_ERR_IO, "the folder holds other files than an earlier export");
        hs_error_where(err, "%s", dir);
        hs_error_value(err, e->d_name, strlen(e->d_name));
        hs_error_hint(err, "choose another folder");
    }
    closedir(d);
    return status;
}

/* ---------------------------------------------------------------- weights */

typedef struct unrolled {
    hs_st_tensor *tensor;
    char (*name)[96];
    size_t n, cap;
} unrolled;

static void put(unrolled *u, const hs_model *model, const hs_tensor *t, const char *name)
{
    hs_st_tensor *out = &u->tensor[u->n];
    snprintf(u->name[u->n], sizeof u->name[0], "%s", name);
    *out = (hs_st_tensor){.name = u->name[u->n],
                          .dtype = "F32",
                          .ndim = t->ndim,
                          .data = model->param + t->offset,
                          .bytes = t->size * sizeof(float)};
    for (uint32_t d = 0; d < t->ndim; d++)
        out->shape[d] = t->shape[d];
    u->n++;
}

/* "PREFIX<number>.rest" -> true with the number and the rest. */
static bool split_block_name(const char *name, const char *prefix, uint32_t *block, const char **rest)
{
    const size_t n = strlen(prefix);
    if (strncmp(name, prefix, n) != 0)
        return false;
    uint32_t number = 0;
    const char *p = name + n;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++)
        number = number * 10 + (uint32_t)(*p - '0');
    if (*p != '.')
        return false;
    *block = number;
    *rest = p + 1;
    return true;
}

/* Every tensor under each name it has in the unrolled model. */
static void unroll(unrolled *u, const hs_model *model)
{
    const hs_model_config *c = &model->config;
    const char *prefix = model->ops->hf->blocks, *shared = model->ops->hf->shared;
    const uint32_t blocks = c->n_layer * c->passes;
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        const hs_tensor *t = &model->tensor[i];
        uint32_t block, first = 0, step = 1;
        const char *rest;
        if (split_block_name(t->name, prefix, &block, &rest)) {
            first = block;
            step = c->n_layer;
        } else if (shared && strncmp(t->name, shared, strlen(shared)) == 0) {
            rest = t->name + strlen(shared);
        } else {
            put(u, model, t, t->name);
            continue;
        }
        for (uint32_t b = first; b < blocks; b += step) {
            char name[96];
            snprintf(name, sizeof name, "%s%u.%s", prefix, b, rest);
            put(u, model, t, name);
        }
    }
}

static hs_status write_weights(const hs_model *model, const char *dir, hs_error *err)
{
    char path[4096];
    HS_TRY(hs_path_join(path, sizeof path, dir, "model.safetensors", err));
    unrolled u = {.cap = (size_t)model->n_tensors * model->config.n_layer * model->config.passes};
    u.tensor = hs_calloc(u.cap, sizeof *u.tensor);
    u.name = hs_calloc(u.cap, sizeof *u.name);
    hs_status status = HS_OK;
    if (!u.tensor || !u.name) {
        status = hs_fail_memory(err, u.cap * (sizeof *u.tensor + sizeof *u.name));
    } else {
        unroll(&u, model);
        status = hs_st_write(path, u.tensor, u.n, NULL, 0, err);
    }
    hs_free(u.tensor);
    hs_free(u.name);
    return status;
}

/* ---------------------------------------------------------------- configuration */

/* "<id>" or "null". */
static void add_id(hs_str *s, const char *key, uint32_t id)
{
    if (id == HS_NO_ID)
        hs_str_addf(s, "  \"%s\": null,\n", key);
    else
        hs_str_addf(s, "  \"%s\": %u,\n", key, id);
}

static uint32_t end_token(const hs_names *vocab)
{
    return vocab ? hs_names_find(vocab, "</a>", 4) : HS_NO_ID;
}

static hs_status write_text(const char *dir, const char *name, hs_str *text, hs_error *err)
{
    char path[4096];
    hs_status status = text->failed ? hs_fail_memory(err, text->len) : hs_path_join(path, sizeof path, dir, name, err);
    if (status == HS_OK)
        status = hs_file_write(path, text->s, text->len, err);
    hs_str_free(text);
    return status;
}

static hs_status write_config(const hs_model *model, const hs_names *vocab, const char *dir, hs_error *err)
{
    const hs_model_config *c = &model->config;
    const uint32_t end = end_token(vocab);
    char std[32];
    hs_str s = {0};
    hs_str_addf(&s, "{\n");
    model->ops->hf->write(&s, c);
    add_id(&s, "bos_token_id", HS_NO_ID);
    add_id(&s, "eos_token_id", end);
    add_id(&s, "pad_token_id", HS_NO_ID);
    hs_str_addf(&s,
                "  \"vocab_size\": %u,\n  \"initializer_range\": %s,\n  \"tie_word_embeddings\": %s,\n"
                "  \"use_cache\": true,\n  \"torch_dtype\": \"float32\",\n  \"hopscope_passes\": %u\n}\n",
                c->vocab, hs_format_float(c->init_std, std), c->tied ? "true" : "false", c->passes);
    return write_text(dir, "config.json", &s, err);
}

static hs_status write_generation_config(const hs_names *vocab, const char *dir, hs_error *err)
{
    hs_str s = {0};
    hs_str_addf(&s, "{\n");
    add_id(&s, "bos_token_id", HS_NO_ID);
    add_id(&s, "eos_token_id", end_token(vocab));
    add_id(&s, "pad_token_id", end_token(vocab));
    hs_str_addf(&s, "  \"do_sample\": false\n}\n");
    return write_text(dir, "generation_config.json", &s, err);
}

/* ---------------------------------------------------------------- tokenizer */

/* Every name "<...>" without a bracket or a separator inside: then names need no separator between them. */
static bool all_bracketed(const hs_names *vocab)
{
    for (uint32_t i = 0; i < vocab->n; i++) {
        const char *name = hs_names_get(vocab, i);
        const size_t n = strlen(name);
        if (n < 3 || name[0] != '<' || name[n - 1] != '>' || strcspn(name + 1, "<>\t\r\n") != n - 2)
            return false;
    }
    return true;
}

static hs_status check_names(const hs_names *vocab, hs_error *err)
{
    for (uint32_t i = 0; i < vocab->n; i++) {
        const char *name = hs_names_get(vocab, i);
        if (name[0] == 0 || strpbrk(name, "\t\r\n")) {
            hs_fail(err, HS_ERR_DATA, "the name of token %u is empty or contains a tab or a line break", i);
            hs_error_value(err, name, strlen(name));
            return hs_error_hint(err, "names are separated by those in the exported tokenizer; rename it in the graph");
        }
    }
    return HS_OK;
}

/* With `last` (or NULL) as one entry more. */
static void add_vocab(hs_str *out, const hs_names *vocab, const char *last, uint32_t last_id)
{
    hs_str_add(out, "{", 1);
    for (uint32_t i = 0; i < vocab->n; i++) {
        const char *name = hs_names_get(vocab, i);
        hs_str_addf(out, i ? ",\n" : "\n");
        hs_str_add_json(out, name, strlen(name));
        hs_str_addf(out, ": %u", i);
    }
    if (last)
        hs_str_addf(out, ",\n\"%s\": %u", last, last_id);
    hs_str_add(out, "\n}", 2);
}

/* A name that no token has, for what the tokenizer does not know. */
static void unknown_name(const hs_names *vocab, char out[32])
{
    snprintf(out, 32, "[UNK]");
    for (unsigned i = 2; hs_names_find(vocab, out, strlen(out)) != HS_NO_ID; i++)
        snprintf(out, 32, "[UNK %u]", i);
}

hs_status hs_hf_tokenizer(const hs_names *vocab, uint32_t unknown, hs_str *out, bool *separated, hs_error *err)
{
    HS_TRY(check_names(vocab, err));
    char name[32];
    unknown_name(vocab, name);
    *separated = !all_bracketed(vocab);
    const uint32_t end = end_token(vocab);
    hs_str_addf(out, "{\n\"version\": \"1.0\",\n\"truncation\": null,\n\"padding\": null,\n\"added_tokens\": [");
    if (end != HS_NO_ID)
        hs_str_addf(out,
                    "{\"id\": %u, \"content\": \"</a>\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false,"
                    " \"normalized\": false, \"special\": true}",
                    end);
    hs_str_addf(out,
                "],\n\"normalizer\": null,\n\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": "
                "\"%s\"}, \"behavior\": \"%s\", \"invert\": false},\n",
                *separated ? "[\\\\t\\\\r\\\\n]" : "<[^<>]*>", *separated ? "Removed" : "Isolated");
    hs_str_addf(out, "\"post_processor\": null,\n\"decoder\": %s,\n\"model\": {\"type\": \"WordLevel\", \"vocab\": ",
                *separated ? "null" : "{\"type\": \"Fuse\"}");
    add_vocab(out, vocab, name, unknown);
    hs_str_addf(out, ",\n\"unk_token\": \"%s\"}\n}\n", name);
    return out->failed ? hs_fail_memory(err, out->len) : HS_OK;
}

static hs_status write_tokenizer(const hs_model *model, const hs_names *vocab, const char *dir, hs_error *err)
{
    if (vocab->n > model->config.vocab)
        return hs_fail(err, HS_ERR_DATA, "%u names for a model of %u tokens", vocab->n, model->config.vocab);
    hs_str s = {0};
    bool separated;
    hs_status status = hs_hf_tokenizer(vocab, model->config.vocab, &s, &separated, err);
    if (status != HS_OK) {
        hs_str_free(&s);
        return status;
    }
    HS_TRY(write_text(dir, "tokenizer.json", &s, err));
    const bool has_end = end_token(vocab) != HS_NO_ID;
    char unknown[32];
    unknown_name(vocab, unknown);
    hs_str_addf(&s,
                "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  \"model_max_length\": %u,\n"
                "  \"unk_token\": \"%s\",\n%s  \"clean_up_tokenization_spaces\": false\n}\n",
                model->config.n_positions, unknown,
                has_end ? "  \"eos_token\": \"</a>\",\n  \"pad_token\": \"</a>\",\n" : "");
    HS_TRY(write_text(dir, "tokenizer_config.json", &s, err));
    hs_str_addf(&s, "{\"unk_token\": \"%s\"%s}\n", unknown,
                has_end ? ", \"eos_token\": \"</a>\", \"pad_token\": \"</a>\"" : "");
    HS_TRY(write_text(dir, "special_tokens_map.json", &s, err));
    add_vocab(&s, vocab, NULL, 0);
    hs_str_add(&s, "\n", 1);
    return write_text(dir, "vocab.json", &s, err);
}

hs_status hs_export_hf(const hs_model *model, const hs_names *vocab, const char *dir, hs_error *err)
{
    HS_TRY(check_exportable(model, err));
    HS_TRY(check_folder(dir, err));
    HS_TRY(hs_make_dirs(dir, err));
    if (vocab)
        HS_TRY(write_tokenizer(model, vocab, dir, err));
    HS_TRY(write_generation_config(vocab, dir, err));
    HS_TRY(write_weights(model, dir, err));
    return write_config(model, vocab, dir, err);
}
