/* safetensors.c - named tensors in one file (github.com/huggingface/safetensors).
 *
 * Layout: u64 length of the header, JSON header padded with spaces to 8 bytes, then the data of all tensors without
 * holes. Invariant of an opened file: every tensor's bytes lie inside the data, follow the one before them without a
 * gap or an overlap, and are as many as its shape and type say; so whoever holds an hs_st_file may read without checks.
 * Little-endian machines only (checked at compile time). */
#include "hopscope/model.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors files are little-endian");

enum { HEADER_MAX = 100 * 1000 * 1000, ST_MAX_DIMS = 4 };

static const struct {
    const char *name;
    uint32_t bytes;
} dtypes[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"I64", 8},  {"I32", 4},     {"I16", 2},    {"I8", 1},
              {"U64", 8}, {"U32", 4}, {"U16", 2},  {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};

static size_t dtype_index(const char *name)
{
    size_t n = sizeof dtypes / sizeof dtypes[0];
    for (size_t i = 0; i < n; i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

/* Bytes that shape and type ask for; false if they overflow 64 bits. */
static bool tensor_bytes(uint32_t ndim, const uint64_t *shape, uint32_t element, uint64_t *bytes)
{
    uint64_t total = element;
    for (uint32_t i = 0; i < ndim; i++)
        if (__builtin_mul_overflow(total, shape[i], &total))
            return false;
    *bytes = total;
    return true;
}

/* ---------------------------------------------------------------- writing */

static hs_status check_for_writing(const hs_st_tensor *tensor, size_t n, hs_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const hs_st_tensor *t = &tensor[i];
        size_t type = dtype_index(t->dtype);
        uint64_t bytes;
        if (type == SIZE_MAX || t->ndim > ST_MAX_DIMS || !tensor_bytes(t->ndim, t->shape, dtypes[type].bytes, &bytes) ||
            bytes != t->bytes)
            return hs_fail(err, HS_ERR_USAGE, "tensor %s has bytes, shape and type that do not agree", t->name);
        for (size_t j = 0; j < i; j++)
            if (strcmp(tensor[j].name, t->name) == 0)
                return hs_fail(err, HS_ERR_USAGE, "tensor %s is given twice", t->name);
    }
    return HS_OK;
}

static void build_header(hs_str *header, const hs_st_tensor *tensor, size_t n, const hs_st_meta *meta, size_t n_meta)
{
    hs_str_addf(header, "{\"__metadata__\":{\"format\":\"pt\"");
    for (size_t i = 0; i < n_meta; i++) {
        if (strcmp(meta[i].key, "format") == 0)
            continue;
        hs_str_add(header, ",", 1);
        hs_str_add_json(header, meta[i].key, strlen(meta[i].key));
        hs_str_add(header, ":", 1);
        hs_str_add_json(header, meta[i].value, strlen(meta[i].value));
    }
    hs_str_add(header, "}", 1);
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const hs_st_tensor *t = &tensor[i];
        hs_str_add(header, ",", 1);
        hs_str_add_json(header, t->name, strlen(t->name));
        hs_str_addf(header, ":{\"dtype\":\"%s\",\"shape\":[", t->dtype);
        for (uint32_t d = 0; d < t->ndim; d++)
            hs_str_addf(header, "%s%llu", d ? "," : "", (unsigned long long)t->shape[d]);
        hs_str_addf(header, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                    (unsigned long long)(at + t->bytes));
        at += t->bytes;
    }
    hs_str_add(header, "}", 1);
    while (!header->failed && header->len % 8 != 0)
        hs_str_add(header, " ", 1);
}

hs_status hs_st_write(const char *path, const hs_st_tensor *tensor, size_t n, const hs_st_meta *meta, size_t n_meta,
                      hs_error *err)
{
    HS_TRY(check_for_writing(tensor, n, err));
    hs_str header = {0};
    build_header(&header, tensor, n, meta, n_meta);
    if (header.failed) {
        hs_str_free(&header);
        return hs_fail_memory(err, header.len);
    }
    hs_writer *w = NULL;
    hs_status status = hs_writer_open(&w, path, err);
    if (status == HS_OK) {
        uint64_t length = header.len;
        status = hs_writer_write(w, &length, sizeof length, err);
        if (status == HS_OK)
            status = hs_writer_write(w, header.s, header.len, err);
        for (size_t i = 0; i < n && status == HS_OK; i++)
            status = hs_writer_write(w, tensor[i].data, (size_t)tensor[i].bytes, err);
        if (status == HS_OK)
            status = hs_writer_commit(w, err);
        else
            hs_writer_abort(w);
    }
    hs_str_free(&header);
    return status;
}

/* ---------------------------------------------------------------- reading */

struct hs_st_file {
    char *bytes; /* the whole file */
    size_t size;
    hs_arena *text; /* names and metadata */
    size_t n, n_meta;
    hs_st_tensor *tensor; /* (n) in order of their data */
    hs_st_meta *meta;     /* (n_meta) */
    char name[512];
};

void hs_st_close(hs_st_file *file)
{
    if (!file)
        return;
    hs_free(file->bytes);
    hs_arena_free(file->text);
    hs_free(file->tensor);
    hs_free(file->meta);
    hs_free(file);
}

static hs_status damaged(hs_st_file *file, hs_error *err, const char *tensor, const char *what)
{
    if (tensor)
        hs_fail(err, HS_ERR_DATA, "tensor %.120s: %s", tensor, what);
    else
        hs_fail(err, HS_ERR_DATA, "%s", what);
    return hs_error_where(err, "%s", file->name);
}

/* Arrays of small non-negative integers: shapes and offsets. */
static bool read_counts(const json_t *array, size_t max, uint64_t *out, size_t *n)
{
    if (!json_is_array(array) || json_array_size(array) > max)
        return false;
    *n = json_array_size(array);
    for (size_t i = 0; i < *n; i++) {
        const json_t *x = json_array_get(array, i);
        if (!json_is_integer(x) || json_integer_value(x) < 0)
            return false;
        out[i] = (uint64_t)json_integer_value(x);
    }
    return true;
}

static hs_status parse_tensor(hs_st_file *file, const char *name, const json_t *entry, hs_st_tensor *t,
                              uint64_t data_size, const char *data, hs_error *err)
{
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    size_t type = dtype ? dtype_index(dtype) : SIZE_MAX;
    if (type == SIZE_MAX) {
        damaged(file, err, name, "unknown or missing dtype");
        return hs_error_value(err, dtype ? dtype : "", dtype ? strlen(dtype) : 0);
    }
    size_t ndim, two;
    uint64_t offset[2], bytes;
    if (!read_counts(json_object_get(entry, "shape"), ST_MAX_DIMS, t->shape, &ndim))
        return damaged(file, err, name, "the shape is not a list of at most 4 sizes");
    if (!read_counts(json_object_get(entry, "data_offsets"), 2, offset, &two) || two != 2)
        return damaged(file, err, name, "data_offsets is not a pair of positions");
    if (offset[1] < offset[0] || offset[1] > data_size)
        return damaged(file, err, name, "the data lies outside the file (is it cut short?)");
    t->ndim = (uint32_t)ndim;
    if (!tensor_bytes(t->ndim, t->shape, dtypes[type].bytes, &bytes) || bytes != offset[1] - offset[0])
        return damaged(file, err, name, "shape and dtype do not agree with the number of bytes");
    t->dtype = dtypes[type].name;
    t->bytes = bytes;
    t->data = data + offset[0];
    t->name = hs_arena_strdup(file->text, name, strlen(name));
    return t->name ? HS_OK : hs_fail_memory(err, strlen(name));
}

static hs_status parse_metadata(hs_st_file *file, json_t *object, hs_error *err)
{
    if (!json_is_object(object))
        return damaged(file, err, NULL, "__metadata__ is not an object");
    file->meta = hs_calloc(json_object_size(object) + 1, sizeof *file->meta);
    if (!file->meta)
        return hs_fail_memory(err, json_object_size(object) * sizeof *file->meta);
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value))
            return damaged(file, err, NULL, "a value of __metadata__ is not a string");
        hs_st_meta *m = &file->meta[file->n_meta];
        m->key = hs_arena_strdup(file->text, key, strlen(key));
        m->value = hs_arena_strdup(file->text, json_string_value(value), json_string_length(value));
        if (!m->key || !m->value)
            return hs_fail_memory(err, json_string_length(value));
        file->n_meta++;
    }
    return HS_OK;
}

static int by_position(const void *a, const void *b)
{
    const hs_st_tensor *x = a, *y = b;
    const char *p = x->data, *q = y->data;
    if (p != q)
        return p < q ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); /* empty ones first */
}

static hs_status check_contiguous(hs_st_file *file, const char *data, uint64_t data_size, hs_error *err)
{
    if (file->n > 0)
        qsort(file->tensor, file->n, sizeof *file->tensor, by_position);
    const char *at = data;
    for (size_t i = 0; i < file->n; i++) {
        const hs_st_tensor *t = &file->tensor[i];
        if ((const char *)t->data < at)
            return damaged(file, err, t->name, "its data overlaps the tensor before it");
        if ((const char *)t->data > at)
            return damaged(file, err, t->name, "there is a hole in the data before it");
        at += t->bytes;
    }
    if ((uint64_t)(at - data) != data_size)
        return damaged(file, err, NULL, "bytes are left over after the last tensor");
    return HS_OK;
}

static hs_status parse_entries(hs_st_file *file, json_t *root, const char *data, uint64_t data_size, hs_error *err)
{
    size_t entries = json_object_size(root);
    file->tensor = hs_calloc(entries + 1, sizeof *file->tensor);
    if (!file->tensor)
        return hs_fail_memory(err, entries * sizeof *file->tensor);
    const char *name;
    json_t *entry;
    json_object_foreach(root, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) {
            HS_TRY(parse_metadata(file, entry, err));
        } else {
            HS_TRY(parse_tensor(file, name, entry, &file->tensor[file->n], data_size, data, err));
            file->n++;
        }
    }
    return check_contiguous(file, data, data_size, err);
}

/* Check and index file->bytes. */
static hs_status parse(hs_st_file *file, hs_error *err)
{
    uint64_t length;
    if (file->size < sizeof length)
        return damaged(file, err, NULL, "too short to be a safetensors file");
    memcpy(&length, file->bytes, sizeof length);
    if (length > HEADER_MAX || length > file->size - sizeof length) {
        damaged(file, err, NULL, "the header is longer than the file or than 100 MB");
        return hs_error_hint(err, "this is not a safetensors file, or it is cut short");
    }
    const char *header = file->bytes + sizeof length;
    if (length == 0 || header[0] != '{')
        return damaged(file, err, NULL, "the header does not start with '{'");
    json_error_t at;
    json_t *root = json_loadb(header, (size_t)length, JSON_REJECT_DUPLICATES, &at);
    if (!root) {
        damaged(file, err, NULL, "the header is not valid JSON");
        return hs_error_value(err, at.text, strlen(at.text));
    }
    hs_status status = json_is_object(root)
                           ? parse_entries(file, root, header + length, file->size - sizeof length - length, err)
                           : damaged(file, err, NULL, "the header is not a JSON object");
    json_decref(root);
    return status;
}

/* Takes ownership of `bytes`, also on failure. */
static hs_status open_bytes(hs_st_file **out, char *bytes, size_t size, const char *name, hs_error *err)
{
    hs_st_file *file = hs_calloc(1, sizeof *file);
    if (!file) {
        hs_free(bytes);
        return hs_fail_memory(err, sizeof *file);
    }
    file->bytes = bytes;
    file->size = size;
    snprintf(file->name, sizeof file->name, "%s", name);
    file->text = hs_arena_create(1 << 14);
    hs_status status = file->text ? parse(file, err) : hs_fail_memory(err, 1 << 14);
    if (status != HS_OK) {
        hs_st_close(file);
        return status;
    }
    *out = file;
    return HS_OK;
}

hs_status hs_st_open(hs_st_file **out, const char *path, hs_error *err)
{
    *out = NULL;
    char *bytes;
    size_t size;
    HS_TRY(hs_file_read(path, SIZE_MAX / 2, &bytes, &size, err));
    return open_bytes(out, bytes, size, path, err);
}

hs_status hs_st_open_memory(hs_st_file **out, const void *bytes, size_t size, const char *name, hs_error *err)
{
    *out = NULL;
    char *copy = hs_alloc(size + 1);
    if (!copy)
        return hs_fail_memory(err, size + 1);
    if (size > 0)
        memcpy(copy, bytes, size);
    return open_bytes(out, copy, size, name, err);
}

const hs_st_tensor *hs_st_list(const hs_st_file *file, size_t *n)
{
    *n = file->n;
    return file->tensor;
}

const hs_st_tensor *hs_st_find(const hs_st_file *file, const char *name)
{
    for (size_t i = 0; i < file->n; i++)
        if (strcmp(file->tensor[i].name, name) == 0)
            return &file->tensor[i];
    return NULL;
}

const char *hs_st_metadata(const hs_st_file *file, const char *key)
{
    for (size_t i = 0; i < file->n_meta; i++)
        if (strcmp(file->meta[i].key, key) == 0)
            return file->meta[i].value;
    return NULL;
}

/* ---------------------------------------------------------------- conversion */

static float from_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 1023, bits;
    if (exponent == 31) { /* infinity, NaN */
        bits = sign | 0x7f800000u | fraction << 13;
    } else if (exponent != 0) {
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    } else { /* zero and subnormal numbers: fraction * 2^-24, exact in float32 */
        float f = (float)fraction * 0x1p-24f;
        memcpy(&bits, &f, sizeof bits);
        bits |= sign;
    }
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

static void convert(const hs_st_tensor *t, float *out, uint64_t size)
{
    const char *in = t->data;
    if (strcmp(t->dtype, "F32") == 0) {
        memcpy(out, in, (size_t)size * sizeof *out);
    } else if (strcmp(t->dtype, "F64") == 0) {
        for (uint64_t i = 0; i < size; i++) {
            double x;
            memcpy(&x, in + i * sizeof x, sizeof x);
            out[i] = (float)x;
        }
    } else {
        bool half = strcmp(t->dtype, "F16") == 0;
        for (uint64_t i = 0; i < size; i++) {
            uint16_t x;
            memcpy(&x, in + i * sizeof x, sizeof x);
            if (half) {
                out[i] = from_half(x);
            } else {
                uint32_t bits = (uint32_t)x << 16;
                memcpy(&out[i], &bits, sizeof bits);
            }
        }
    }
}

hs_status hs_st_read_f32(const hs_st_file *file, const char *name, float *out, uint64_t size, hs_error *err)
{
    const hs_st_tensor *t = hs_st_find(file, name);
    if (!t) {
        hs_fail(err, HS_ERR_DATA, "tensor %s is missing", name);
        return hs_error_where(err, "%s", file->name);
    }
    bool known = strcmp(t->dtype, "F32") == 0 || strcmp(t->dtype, "F16") == 0 || strcmp(t->dtype, "BF16") == 0 ||
                 strcmp(t->dtype, "F64") == 0;
    if (!known) {
        hs_fail(err, HS_ERR_DATA, "tensor %s has type %s where floating point is needed", name, t->dtype);
        hs_error_where(err, "%s", file->name);
        return hs_error_hint(err, "F32, F16, BF16 and F64 are understood");
    }
    uint64_t elements = t->bytes / dtypes[dtype_index(t->dtype)].bytes;
    if (elements != size) {
        hs_fail(err, HS_ERR_DATA, "tensor %s has %llu elements where %llu are needed", name,
                (unsigned long long)elements, (unsigned long long)size);
        return hs_error_where(err, "%s", file->name);
    }
    if (size > 0)
        convert(t, out, size);
    return HS_OK;
}
