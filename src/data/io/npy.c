/* npy.c - the npy set of TRM (released code of arXiv 2601.09049): token i of the vocabulary is id i + 1, 0 is padding. No shift: position i
 * predicts token i, the copy of the prompt is part of the loss; labels are 0 (ignored) after the end. The released data
 * say vocab_size = number of tokens, one too few for ids that run to that number; here it is one more. */
#include "data/internal.h"
#include "data/io/folder.h"

#include <string.h>

typedef struct rows {
    const hs_dataset *data;
    hs_split_role role;
    uint64_t n;
    uint32_t width;
    uint32_t end; /* "</a>" */
} rows;

/* NumPy format 1.0: the header is padded so that the data begin at a multiple of 64. */
static void add_npy_header(hs_str *out, uint64_t n, uint32_t columns)
{
    char head[192];
    int len = columns ? snprintf(head, sizeof head, "{'descr': '<i4', 'fortran_order': False, 'shape': (%llu, %u), }",
                                 (unsigned long long)n, columns)
                      : snprintf(head, sizeof head, "{'descr': '<i4', 'fortran_order': False, 'shape': (%llu,), }",
                                 (unsigned long long)n);
    size_t total = ((size_t)len + 10 + 1 + 63) / 64 * 64;
    uint16_t size = (uint16_t)(total - 10);
    hs_str_add(out, "\x93NUMPY\x01\x00", 8);
    hs_str_add(out, (const char *)&size, 2);
    hs_str_add(out, head, (size_t)len);
    for (size_t i = (size_t)len + 10; i + 1 < total; i++)
        hs_str_add(out, " ", 1);
    hs_str_add(out, "\n", 1);
}

static void add_rows(const rows *r, bool labels, hs_str *out)
{
    const hs_dataset *d = r->data;
    int32_t row[80];
    for (uint32_t k = 0; k < d->n_splits; k++) {
        const hs_split *s = &d->splits[k];
        for (uint64_t i = 0; s->role == r->role && i < s->n; i++) {
            const uint32_t *t = s->tokens + i * s->width;
            uint32_t n = labels ? s->width : s->prompt;
            memset(row, 0, sizeof row);
            for (uint32_t j = 0; j < n; j++)
                row[j] = (int32_t)t[j] + 1;
            if (labels && s->answer + s->answers == s->width)
                row[n] = (int32_t)r->end + 1;
            hs_str_add(out, (const char *)row, r->width * sizeof *row);
        }
    }
}

static hs_status put_rows(const rows *r, const hs_folder *folder, const char *part, bool labels, hs_error *err)
{
    char name[64];
    hs_str out = {0};
    snprintf(name, sizeof name, "%s/all__%s.npy", part, labels ? "labels" : "inputs");
    add_npy_header(&out, r->n, r->width);
    add_rows(r, labels, &out);
    hs_status status = hs_folder_put(folder, name, &out, err);
    hs_str_free(&out);
    return status;
}

/* all__puzzle_identifiers (zeros), all__puzzle_indices and all__group_indices (0..N). */
static hs_status put_indices(const rows *r, const hs_folder *folder, const char *part, const char *what, bool zeros,
                             hs_error *err)
{
    char name[64];
    hs_str out = {0};
    uint64_t n = zeros ? r->n : r->n + 1;
    snprintf(name, sizeof name, "%s/all__%s.npy", part, what);
    add_npy_header(&out, n, 0);
    for (uint64_t i = 0; i < n; i++) {
        int32_t x = zeros ? 0 : (int32_t)i;
        hs_str_add(&out, (const char *)&x, sizeof x);
    }
    hs_status status = hs_folder_put(folder, name, &out, err);
    hs_str_free(&out);
    return status;
}

static hs_status put_text(const hs_folder *folder, const char *name, hs_str *out, hs_error *err)
{
    hs_status status = hs_folder_put(folder, name, out, err);
    hs_str_free(out);
    return status;
}

/* dataset.json as the loader reads it, and which rows belong to which split. */
static hs_status put_description(const rows *r, const hs_folder *folder, const char *part, hs_error *err)
{
    char name[64];
    hs_str out = {0};
    hs_str_addf(
        &out,
        "{\"pad_id\": 0, \"ignore_label_id\": 0, \"blank_identifier_id\": 0, \"vocab_size\": %u, \"seq_len\": %u, "
        "\"num_puzzle_identifiers\": 1, \"total_groups\": %llu, \"mean_puzzle_examples\": 1.0, "
        "\"total_puzzles\": %llu, \"sets\": [\"all\"]}\n",
        r->data->vocab.n + 1, r->width, (unsigned long long)r->n, (unsigned long long)r->n);
    snprintf(name, sizeof name, "%s/dataset.json", part);
    HS_TRY(put_text(folder, name, &out, err));
    uint64_t first = 0;
    bool any = false;
    hs_str_addf(&out, "{");
    for (uint32_t k = 0; k < r->data->n_splits; k++) {
        const hs_split *s = &r->data->splits[k];
        if (s->role != r->role)
            continue;
        hs_str_addf(&out, "%s\"%s\": [%llu, %llu]", any ? ", " : "", s->name, (unsigned long long)first,
                    (unsigned long long)(first + s->n));
        first += s->n;
        any = true;
    }
    hs_str_addf(&out, "}\n");
    snprintf(name, sizeof name, "%s/types.json", part);
    return put_text(folder, name, &out, err);
}

static hs_status put_part(const hs_dataset *data, const hs_folder *folder, hs_split_role role, hs_error *err)
{
    const char *part = role == HS_SPLIT_TRAIN ? "train" : "test";
    rows r = {.data = data, .role = role, .end = hs_vocab_token(data, "</a>")};
    for (uint32_t k = 0; k < data->n_splits; k++) {
        const hs_split *s = &data->splits[k];
        uint32_t width = s->width + (s->answer + s->answers == s->width);
        r.width = width > r.width ? width : r.width;
        r.n += s->role == role ? s->n : 0;
    }
    if (r.end == HS_NO_ID || r.n >= INT32_MAX)
        return hs_fail(err, HS_ERR_DATA,
                       r.end == HS_NO_ID ? "the vocabulary lacks \"</a>\"" : "too many items for the npy set");
    char path[4096];
    HS_TRY(hs_path_join(path, sizeof path, folder->tmp, part, err));
    HS_TRY(hs_make_dirs(path, err));
    HS_TRY(put_rows(&r, folder, part, false, err));
    HS_TRY(put_rows(&r, folder, part, true, err));
    HS_TRY(put_indices(&r, folder, part, "puzzle_identifiers", true, err));
    HS_TRY(put_indices(&r, folder, part, "puzzle_indices", false, err));
    HS_TRY(put_indices(&r, folder, part, "group_indices", false, err));
    return put_description(&r, folder, part, err);
}

static hs_status put_maps(const hs_dataset *data, const hs_folder *folder, hs_error *err)
{
    hs_str map = {0}, reverse = {0}, identifiers = {0};
    hs_str_addf(&map, "{");
    hs_str_addf(&reverse, "{");
    for (uint32_t i = 0; i < data->vocab.n; i++) {
        const char *name = hs_names_get(&data->vocab, i);
        hs_str_addf(&map, i ? ",\n" : "\n");
        hs_str_add_json(&map, name, strlen(name));
        hs_str_addf(&map, ": %u", i + 1);
        hs_str_addf(&reverse, "%s\"%u\": ", i ? ",\n" : "\n", i + 1);
        hs_str_add_json(&reverse, name, strlen(name));
    }
    hs_str_addf(&map, "\n}\n");
    hs_str_addf(&reverse, "\n}\n");
    hs_str_addf(&identifiers, "[\"<blank>\"]\n");
    hs_status status = put_text(folder, "vocab_map.json", &map, err);
    hs_status second = put_text(folder, "reverse_vocab_map.json", &reverse, status == HS_OK ? err : NULL);
    hs_status third =
        put_text(folder, "identifiers.json", &identifiers, status == HS_OK && second == HS_OK ? err : NULL);
    return status != HS_OK ? status : second != HS_OK ? second : third;
}

hs_status hs_dataset_write_trm(const hs_dataset *data, const char *dir, hs_error *err)
{
    hs_folder folder;
    HS_TRY(hs_dataset_check_own(data, err));
    HS_TRY(hs_folder_open(&folder, dir, err));
    hs_status status = put_part(data, &folder, HS_SPLIT_TRAIN, err);
    if (status == HS_OK)
        status = put_part(data, &folder, HS_SPLIT_TEST, err);
    if (status == HS_OK)
        status = put_maps(data, &folder, err);
    if (status != HS_OK) {
        hs_folder_abort(&folder);
        return status;
    }
    return hs_folder_commit(&folder, err);
}
