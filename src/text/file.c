/* file.c - tokenizer.json of Hugging Face's `tokenizers`: written so that it gives the same ids there, and read where it is of a
 * kind that gives the same ids here; every field that could change an id is looked at. */
#include "text/tokenizer.h"

#include <jansson.h>
#include <string.h>

static void add_shown(const hs_tokenizer *t, uint32_t id, hs_str *out)
{
    hs_str shown = {0};
    size_t len;
    const char *bytes = hs_token_bytes(&t->vocab, id, &len);
    if (t->kind == HS_TOKENIZER_WORDS && id == t->unknown)
        hs_str_add(&shown, bytes, len);
    else
        hs_bytes_show(bytes, len, &shown);
    hs_str_add_json(out, shown.s ? shown.s : "", shown.len);
    out->failed |= shown.failed;
    hs_str_free(&shown);
}

void hs_tokenizer_write(const hs_tokenizer *t, hs_str *out)
{
    const bool bpe = t->kind == HS_TOKENIZER_BPE;
    hs_str_addf(out, "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null, \"added_tokens\": [");
    if (!bpe)
        hs_str_addf(out,
                    "{\"id\": %u, \"content\": \"%s\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                    "\"normalized\": false, \"special\": true}",
                    t->unknown, hs_names_get(&t->vocab, t->unknown));
    hs_str_addf(out, "],\n\"normalizer\": null,\n"
                     "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
                     "\"use_regex\": true},\n"
                     "\"post_processor\": null,\n"
                     "\"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, "
                     "\"use_regex\": true},\n");
    if (bpe)
        hs_str_addf(out, "\"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
                         "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": false, "
                         "\"byte_fallback\": false, \"ignore_merges\": false,\n\"vocab\": {");
    else
        hs_str_addf(out, "\"model\": {\"type\": \"WordLevel\", \"unk_token\": \"%s\",\n\"vocab\": {",
                    hs_names_get(&t->vocab, t->unknown));
    for (uint32_t id = 0; id < t->vocab.n; id++) {
        hs_str_addf(out, "%s\n", id ? "," : "");
        add_shown(t, id, out);
        hs_str_addf(out, ": %u", id);
    }
    hs_str_addf(out, "}");
    if (bpe) {
        hs_str_addf(out, ",\n\"merges\": [");
        for (uint32_t i = 0; i < t->n_merges; i++) {
            hs_str_addf(out, "%s\n[", i ? "," : "");
            add_shown(t, t->merge[i].left, out);
            hs_str_addf(out, ", ");
            add_shown(t, t->merge[i].right, out);
            hs_str_addf(out, "]");
        }
        hs_str_addf(out, "]");
    }
    hs_str_addf(out, "}}\n");
}

/* ---------------------------------------------------------------- reading */

typedef struct reading {
    const char *name; /* of the file */
    hs_tokenizer *t;
    const json_t *model;
    hs_error *err;
} reading;

static hs_status bad(const reading *r, const char *field, const char *value, const char *what)
{
    hs_fail(r->err, HS_ERR_DATA, "%s", what);
    hs_error_where(r->err, "%s: %s", r->name, field);
    if (value)
        hs_error_value(r->err, value, strlen(value) < 100 ? strlen(value) : 100);
    return HS_ERR_DATA;
}

static bool is_off(const json_t *object, const char *key)
{
    const json_t *x = json_object_get(object, key);
    return !x || json_is_null(x) || json_is_false(x) || (json_is_string(x) && json_string_length(x) == 0);
}

static const char *type_of(const json_t *object)
{
    const char *type = json_string_value(json_object_get(object, "type"));
    return type ? type : "";
}

static hs_status check_frame(const reading *r, const json_t *root)
{
    const json_t *pieces = json_object_get(root, "pre_tokenizer"), *after = json_object_get(root, "post_processor");
    if (!is_off(root, "normalizer"))
        return bad(r, "normalizer", type_of(json_object_get(root, "normalizer")), "a normalizer is not supported");
    if (strcmp(type_of(pieces), "ByteLevel") != 0 || !is_off(pieces, "add_prefix_space") ||
        json_is_false(json_object_get(pieces, "use_regex"))) {
        bad(r, "pre_tokenizer", type_of(pieces), "text is not cut as here");
        return hs_error_hint(r->err, "supported: ByteLevel with add_prefix_space false and use_regex true, as GPT-2 has it");
    }
    if (after && !json_is_null(after) && strcmp(type_of(after), "ByteLevel") != 0)
        return bad(r, "post_processor", type_of(after), "a post-processor that adds tokens is not supported");
    return HS_OK;
}

/* The bytes of a token as the file shows it. `plain`: special tokens, which are shown as they are. */
static hs_status unshow(const reading *r, const char *field, const char *shown, size_t len, bool plain, hs_str *bytes)
{
    bytes->len = 0;
    if (plain)
        hs_str_add(bytes, shown, len);
    else if (!hs_bytes_unshow(shown, len, bytes))
        return bad(r, field, shown, "a token is not written in GPT-2's alphabet of bytes");
    if (bytes->failed)
        return hs_fail_memory(r->err, len);
    return bytes->len ? HS_OK : bad(r, field, NULL, "a token is empty");
}

static bool is_special(const json_t *added, const char *shown)
{
    size_t i;
    const json_t *item;
    json_array_foreach(added, i, item)
    {
        const char *content = json_string_value(json_object_get(item, "content"));
        if (content && strcmp(content, shown) == 0)
            return true;
    }
    return false;
}

/* One entry of the vocabulary: `by_id` gets its key. */
static hs_status place_token(const reading *r, const char *field, const char *shown, const json_t *id, const char **by_id,
                             size_t n)
{
    if (!json_is_integer(id) || json_integer_value(id) < 0 || (uint64_t)json_integer_value(id) >= n)
        return bad(r, field, shown, "ids of tokens are 0, 1, 2 ... without a gap");
    const size_t at = (size_t)json_integer_value(id);
    if (by_id[at] && strcmp(by_id[at], shown) != 0)
        return bad(r, field, shown, "two tokens have the same id");
    by_id[at] = shown;
    return HS_OK;
}

static hs_status read_vocab(const reading *r, const json_t *added, const char **by_id, size_t n)
{
    const json_t *vocab = json_object_get(r->model, "vocab"), *id, *item;
    const char *shown;
    size_t i;
    hs_str bytes = {0};
    hs_status status = HS_OK;
    json_object_foreach((json_t *)(uintptr_t)vocab, shown, id)
    {
        HS_TRY(place_token(r, "model.vocab", shown, id, by_id, n));
    }
    json_array_foreach(added, i, item)
    {
        const char *content = json_string_value(json_object_get(item, "content"));
        if (!content || !*content)
            return bad(r, "added_tokens", NULL, "an added token has no content");
        HS_TRY(place_token(r, "added_tokens", content, json_object_get(item, "id"), by_id, n));
    }
    for (size_t k = 0; status == HS_OK && k < n; k++) {
        uint32_t at;
        if (!by_id[k])
            status = bad(r, "model.vocab", NULL, "ids of tokens are 0, 1, 2 ... without a gap");
        else
            status = unshow(r, "model.vocab", by_id[k], strlen(by_id[k]), is_special(added, by_id[k]), &bytes);
        if (status == HS_OK)
            status = hs_names_add(&r->t->vocab, bytes.s, bytes.len, &at, r->err);
        if (status == HS_OK && at != k)
            status = bad(r, "model.vocab", by_id[k], "two tokens stand for the same bytes");
    }
    hs_str_free(&bytes);
    return status;
}

/* "left right", or ["left", "right"]. */
static bool parts_of(const json_t *merge, const char *part[2], size_t len[2])
{
    if (json_is_array(merge) && json_array_size(merge) == 2) {
        for (size_t k = 0; k < 2; k++) {
            part[k] = json_string_value(json_array_get(merge, k));
            len[k] = json_string_length(json_array_get(merge, k));
        }
        return part[0] && part[1];
    }
    const char *text = json_string_value(merge), *space = text ? strchr(text, ' ') : NULL;
    if (!space)
        return false;
    part[0] = text;
    len[0] = (size_t)(space - text);
    part[1] = space + 1;
    len[1] = strlen(space + 1);
    return true;
}

static hs_status read_merge(const reading *r, const json_t *merge, hs_merge *m, hs_str bytes[2])
{
    const char *part[2];
    size_t len[2];
    if (!parts_of(merge, part, len))
        return bad(r, "model.merges", json_string_value(merge), "a merge is two tokens");
    for (int k = 0; k < 2; k++)
        HS_TRY(unshow(r, "model.merges", part[k], len[k], false, &bytes[k]));
    m->left = hs_names_find(&r->t->vocab, bytes[0].s, bytes[0].len);
    m->right = hs_names_find(&r->t->vocab, bytes[1].s, bytes[1].len);
    hs_str_add(&bytes[0], bytes[1].s, bytes[1].len);
    if (bytes[0].failed)
        return hs_fail_memory(r->err, bytes[1].len);
    m->made = hs_names_find(&r->t->vocab, bytes[0].s, bytes[0].len);
    if (m->left == HS_NO_ID || m->right == HS_NO_ID || m->made == HS_NO_ID)
        return bad(r, "model.merges", part[0], "a merge of tokens that are not in the vocabulary");
    return HS_OK;
}

static hs_status read_bpe(const reading *r)
{
    static const char *const must_be_off[] = {"dropout",  "unk_token",     "continuing_subword_prefix", "end_of_word_suffix",
                                              "fuse_unk", "byte_fallback", "ignore_merges"};
    hs_tokenizer *t = r->t;
    const json_t *merges = json_object_get(r->model, "merges");
    for (size_t i = 0; i < sizeof must_be_off / sizeof *must_be_off; i++)
        if (!is_off(r->model, must_be_off[i]))
            return bad(r, must_be_off[i], NULL, "not supported: it must be null or false");
    for (uint32_t b = 0; b < 256; b++) {
        const char byte = (char)b;
        t->byte[b] = hs_names_find(&t->vocab, &byte, 1);
        if (t->byte[b] == HS_NO_ID)
            return bad(r, "model.vocab", NULL, "the vocabulary lacks the token of a single byte");
    }
    if (!json_is_array(merges))
        return bad(r, "model.merges", NULL, "the list of merges is missing");
    t->merge = hs_calloc(json_array_size(merges) + 1, sizeof *t->merge);
    if (!t->merge)
        return hs_fail_memory(r->err, json_array_size(merges) * sizeof *t->merge);
    hs_str bytes[2] = {{0}, {0}};
    hs_status status = HS_OK;
    for (; status == HS_OK && t->n_merges < json_array_size(merges); t->n_merges++)
        status = read_merge(r, json_array_get(merges, t->n_merges), &t->merge[t->n_merges], bytes);
    hs_str_free(&bytes[0]);
    hs_str_free(&bytes[1]);
    HS_TRY(status);
    uint32_t twice;
    status = hs_tokenizer_index(t, &twice, r->err);
    if (status == HS_ERR_DATA)
        hs_error_where(r->err, "%s: model.merges, number %u", r->name, twice + 1);
    return status;
}

static hs_status read_words(const reading *r)
{
    const char *unknown = json_string_value(json_object_get(r->model, "unk_token"));
    r->t->unknown = unknown ? hs_names_find(&r->t->vocab, unknown, strlen(unknown)) : HS_NO_ID;
    return r->t->unknown != HS_NO_ID ? HS_OK : bad(r, "model.unk_token", unknown, "is not a token of the vocabulary");
}

static hs_status read_root(reading *r, const json_t *root)
{
    if (!json_is_object(root))
        return bad(r, "file", NULL, "not a JSON object");
    r->model = json_object_get(root, "model");
    const char *type = type_of(r->model);
    if (strcmp(type, "BPE") != 0 && strcmp(type, "WordLevel") != 0) {
        bad(r, "model.type", type, "the model is of no supported kind");
        return hs_error_hint(r->err, "supported: BPE and WordLevel, over pieces of GPT-2's ByteLevel");
    }
    r->t->kind = strcmp(type, "BPE") == 0 ? HS_TOKENIZER_BPE : HS_TOKENIZER_WORDS;
    HS_TRY(check_frame(r, root));
    const json_t *vocab = json_object_get(r->model, "vocab"), *added = json_object_get(root, "added_tokens");
    if (!json_is_object(vocab))
        return bad(r, "model.vocab", NULL, "the vocabulary is missing");
    if (added && !json_is_array(added))
        return bad(r, "added_tokens", NULL, "not a list");
    size_t n = json_object_size(vocab), i;
    const json_t *item;
    json_array_foreach(added, i, item)
    {
        const char *content = json_string_value(json_object_get(item, "content"));
        n += content && !json_object_get(vocab, content);
    }
    if (n == 0 || n > HS_TOKENIZER_MOST)
        return bad(r, "model.vocab", NULL, "the vocabulary is empty or too large");
    const char **by_id = hs_calloc(n, sizeof *by_id);
    if (!by_id)
        return hs_fail_memory(r->err, n * sizeof *by_id);
    hs_status status = read_vocab(r, added, by_id, n);
    hs_free(by_id);
    if (status == HS_OK)
        status = r->t->kind == HS_TOKENIZER_BPE ? read_bpe(r) : read_words(r);
    return status;
}

hs_status hs_tokenizer_read(hs_tokenizer **out, const char *json, size_t len, const char *name, hs_error *err)
{
    json_error_t problem;
    *out = NULL;
    json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &problem);
    if (!root) {
        hs_fail(err, HS_ERR_DATA, "not JSON: %s", problem.text);
        return hs_error_where(err, "%s:%d", name, problem.line);
    }
    hs_tokenizer *t = hs_calloc(1, sizeof *t);
    reading r = {.name = name, .t = t, .err = err};
    const hs_status status = t ? read_root(&r, root) : hs_fail_memory(err, sizeof *t);
    json_decref(root);
    if (status != HS_OK)
        hs_tokenizer_free(t);
    else
        *out = t;
    return status;
}
