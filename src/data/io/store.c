/* store.c - a dataset as a folder: dataset.json (card), vocab.json, facts.packed, one NAME.split a split.
 * Written whole or not at all, only when the audit passes; read with every count, name and checksum checked. */
#include "data/io/folder.h"
#include "data/io/json_each.h"
#include "data/io/vocab.h"
#include "data/task.h"
#include "data/text/render.h"

#include <jansson.h>
#include <string.h>

#define FACTS_MAGIC "HSFACTS"
enum { FACTS_HEADER = 32 }; /* magic 8, version 4, reserved 4, n 8, XXH3 of the rest 8 */
#define MAX_FILE ((size_t)1 << 36)

/* ---------------------------------------------------------------- facts */

static hs_status put_facts(const hs_dataset *data, const hs_folder *folder, hs_error *err)
{
    hs_str out = {0};
    uint64_t head[4] = {0, 1, data->n_facts, 0};
    memcpy(head, FACTS_MAGIC, sizeof FACTS_MAGIC);
    hs_str_add(&out, (const char *)head, sizeof head);
    if (data->n_facts) {
        hs_str_add(&out, (const char *)data->facts, data->n_facts * sizeof *data->facts);
        hs_str_add(&out, (const char *)data->fact_flags, data->n_facts);
    }
    if (!out.failed) {
        head[3] = hs_hash(out.s + FACTS_HEADER, out.len - FACTS_HEADER, 0);
        memcpy(out.s, head, sizeof head);
    }
    hs_status status = hs_folder_put(folder, "facts.packed", &out, err);
    hs_str_free(&out);
    return status;
}

static hs_status bad_facts(hs_error *err, const char *what)
{
    return hs_fail(err, HS_ERR_DATA, "not a whole file of facts: %s", what);
}

static hs_status check_facts(const hs_dataset *data, hs_error *err)
{
    uint32_t ids =
        data->tokens_per_entity == 2 ? data->n_entities / 2 * data->config.token_multiplicity : data->vocab.n;
    for (uint64_t i = 0; i < data->n_facts; i++) {
        const hs_fact *f = &data->facts[i];
        if (f->head >= ids || f->tail >= ids || f->relation >= data->vocab.n)
            return bad_facts(err, "an entity or relation is not in the vocabulary");
        if (i > 0 && hs_fact_compare(f - 1, f) >= 0)
            return bad_facts(err, "the facts are not sorted and distinct");
        if (data->fact_flags[i] & ~(HS_FACT_SYNTHETIC | HS_FACT_OOD))
            return bad_facts(err, "a mark is unknown");
    }
    return HS_OK;
}

static hs_status parse_facts(hs_dataset *out, const char *bytes, size_t size, hs_error *err)
{
    uint64_t head[4];
    if (size < FACTS_HEADER || memcmp(bytes, FACTS_MAGIC, sizeof FACTS_MAGIC) != 0)
        return bad_facts(err, "it does not begin with " FACTS_MAGIC);
    memcpy(head, bytes, sizeof head);
    if (head[1] != 1)
        return bad_facts(err, "it is of a version this program does not read");
    uint64_t n = head[2];
    if (n > (size - FACTS_HEADER) / (sizeof(hs_fact) + 1) || n * (sizeof(hs_fact) + 1) != size - FACTS_HEADER)
        return bad_facts(err, "its size does not fit its number of facts");
    if (hs_hash(bytes + FACTS_HEADER, size - FACTS_HEADER, 0) != head[3])
        return bad_facts(err, "its checksum is wrong");
    out->facts = hs_alloc((size_t)(n ? n : 1) * sizeof *out->facts);
    out->fact_flags = hs_alloc((size_t)(n ? n : 1));
    if (!out->facts || !out->fact_flags)
        return hs_fail_memory(err, (size_t)n * sizeof *out->facts);
    out->n_facts = n;
    memcpy(out->facts, bytes + FACTS_HEADER, n * sizeof *out->facts);
    memcpy(out->fact_flags, bytes + FACTS_HEADER + n * sizeof *out->facts, n);
    return check_facts(out, err);
}

static hs_status get_file(const char *dir, const char *name, char **bytes, size_t *size, char *path, size_t path_size,
                          hs_error *err)
{
    HS_TRY(hs_path_join(path, path_size, dir, name, err));
    return hs_file_read(path, MAX_FILE, bytes, size, err);
}

static hs_status get_facts(hs_dataset *out, const char *dir, hs_error *err)
{
    char path[4096], *bytes;
    size_t size;
    HS_TRY(get_file(dir, "facts.packed", &bytes, &size, path, sizeof path, err));
    hs_status status = parse_facts(out, bytes, size, err);
    hs_free(bytes);
    if (status == HS_ERR_DATA)
        hs_error_where(err, "%s", path);
    return status;
}

/* ---------------------------------------------------------------- vocabulary */

static hs_status put_vocab(const hs_dataset *data, const hs_folder *folder, hs_error *err)
{
    hs_str out = {0};
    hs_vocab_json(data, &out);
    hs_status status = hs_folder_put(folder, "vocab.json", &out, err);
    hs_str_free(&out);
    return status;
}

static hs_status get_vocab(hs_dataset *out, const char *dir, hs_error *err)
{
    char path[4096];
    json_t *list;
    HS_TRY(hs_json_load(dir, "vocab.json", &list, path, sizeof path, err));
    hs_status status = hs_vocab_from_json(out, list, err);
    json_decref(list);
    if (status == HS_ERR_DATA)
        hs_error_where(err, "%s", path);
    return status;
}

/* ---------------------------------------------------------------- text */

static hs_status put_text(const hs_dataset *data, const hs_folder *folder, hs_error *err)
{
    hs_str tokenizer = {0};
    if (!data->text)
        return HS_OK;
    hs_tokenizer_write(data->text->tokenizer, &tokenizer);
    hs_status status = hs_folder_put(folder, "tokenizer.json", &tokenizer, err);
    hs_str_free(&tokenizer);
    for (uint32_t i = 0; i < data->n_splits && status == HS_OK; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.jsonl", data->splits[i].name);
        status = hs_folder_put(folder, name, &data->text->split[i].lines, err);
    }
    return status;
}

/* Lines of every split, then their tokens. */
static hs_status get_text(hs_dataset *out, const char *dir, const json_t *card, hs_error *err)
{
    char path[4096], name[64], *tokenizer, *bytes;
    size_t size, len;
    hs_str *lines = hs_calloc((size_t)out->n_splits + 1, sizeof *lines);
    if (!lines)
        return hs_fail_memory(err, out->n_splits * sizeof *lines);
    hs_status status = get_file(dir, "tokenizer.json", &tokenizer, &len, path, sizeof path, err);
    if (status != HS_OK) {
        hs_free(lines);
        return status;
    }
    for (uint32_t i = 0; i < out->n_splits && status == HS_OK; i++) {
        snprintf(name, sizeof name, "%s.jsonl", out->splits[i].name);
        status = get_file(dir, name, &bytes, &size, path, sizeof path, err);
        if (status != HS_OK)
            break;
        hs_str_add(&lines[i], bytes, size);
        hs_free(bytes);
        status = lines[i].failed ? hs_fail_memory(err, size) : HS_OK;
    }
    if (status == HS_OK)
        status = hs_rendered_restore(out, card, tokenizer, len, lines, err);
    for (uint32_t i = 0; i < out->n_splits; i++)
        hs_str_free(&lines[i]);
    hs_free(lines);
    hs_free(tokenizer);
    return status;
}

/* ---------------------------------------------------------------- the folder */

static hs_status put_all(const hs_dataset *data, const hs_folder *folder, hs_error *err)
{
    hs_str card = {.s = data->card, .len = strlen(data->card)};
    HS_TRY(hs_folder_put(folder, "dataset.json", &card, err));
    HS_TRY(put_vocab(data, folder, err));
    HS_TRY(put_facts(data, folder, err));
    for (uint32_t i = 0; i < data->n_splits; i++) {
        hs_str bytes = {0};
        char name[64];
        snprintf(name, sizeof name, "%s.split", data->splits[i].name);
        hs_status status = hs_split_encode(&data->splits[i], &bytes, err);
        if (status == HS_OK)
            status = hs_folder_put(folder, name, &bytes, err);
        hs_str_free(&bytes);
        HS_TRY(status);
    }
    return put_text(data, folder, err);
}

hs_status hs_dataset_write(const hs_dataset *data, const char *dir, hs_error *err)
{
    hs_folder folder;
    if (!data->card || !data->audit.passed) {
        hs_fail(err, HS_ERR_DATA, "a dataset that fails its audit is not written: %s",
                data->audit.failure[0] ? data->audit.failure : "it was not audited");
        return hs_error_where(err, "%s", dir);
    }
    HS_TRY(hs_folder_open(&folder, dir, err));
    hs_status status = put_all(data, &folder, err);
    if (status != HS_OK) {
        hs_folder_abort(&folder);
        return status;
    }
    return hs_folder_commit(&folder, err);
}

static hs_status get_split(hs_dataset *out, const char *dir, const json_t *entry, hs_error *err)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *hash = json_string_value(json_object_get(entry, "hash"));
    char file[64], path[4096], *bytes;
    size_t size, used;
    if (!name || !hash || !hs_split_name_ok(name) || hs_dataset_split(out, name))
        return hs_fail(err, HS_ERR_DATA, "the card lists a split without a good name and hash");
    size_t cap = out->cap_splits;
    HS_TRY(hs_grow((void **)&out->splits, &cap, (size_t)out->n_splits + 1, sizeof *out->splits, err));
    out->cap_splits = (uint32_t)cap;
    snprintf(file, sizeof file, "%s.split", name);
    HS_TRY(get_file(dir, file, &bytes, &size, path, sizeof path, err));
    hs_split *s = &out->splits[out->n_splits];
    hs_status status = hs_split_decode(s, bytes, size, out->vocab.n, &used, err);
    hs_free(bytes);
    char text[32];
    if (status == HS_OK) {
        out->n_splits++;
        snprintf(text, sizeof text, "%016llx", (unsigned long long)s->hash);
        if (used != size)
            status = hs_fail(err, HS_ERR_DATA, "there is something after the end of the split");
        else if (strcmp(text, hash) != 0 || strcmp(s->name, name) != 0)
            status = hs_fail(err, HS_ERR_DATA, "the split is not the one the card describes");
        else
            status = hs_split_check_form(out, s, err);
    }
    if (status == HS_ERR_DATA)
        hs_error_where(err, "%s", path);
    return status;
}

hs_status hs_dataset_read(hs_dataset *out, const char *dir, hs_error *err)
{
    char path[4096];
    json_t *card;
    HS_TRY(hs_json_load(dir, "dataset.json", &card, path, sizeof path, err));
    hs_status status = hs_card_parse(out, card, err);
    if (status == HS_ERR_DATA)
        hs_error_where(err, "%s", path);
    if (status == HS_OK)
        status = get_vocab(out, dir, err);
    if (status == HS_OK && (uint64_t)out->n_entities + out->n_relations > out->vocab.n) {
        status = hs_fail(err, HS_ERR_DATA, "the card has more entities and relations than the vocabulary");
        hs_error_where(err, "%s", path);
    }
    if (status == HS_OK)
        status = get_facts(out, dir, err);
    const json_t *splits = json_object_get(card, "splits");
    for (size_t i = 0; status == HS_OK && i < json_array_size(splits); i++)
        status = get_split(out, dir, json_array_get(splits, i), err);
    if (status == HS_OK) {
        for (uint32_t i = 0; i < out->n_splits; i++)
            out->max_width = out->splits[i].width > out->max_width ? out->splits[i].width : out->max_width;
        status = hs_card_parse_audit(out, card, err);
    }
    if (status == HS_OK && out->config.rendering != HS_RENDER_TOKENS)
        status = get_text(out, dir, json_object_get(card, "text"), err);
    json_decref(card);
    if (status != HS_OK)
        hs_dataset_free(out);
    return status;
}
