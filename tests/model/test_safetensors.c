/* test_safetensors.c - the file format: round trips, conversions, every kind of damage, failing memory and disks. */
#include "hopscope/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void path_of(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%s-%ld.safetensors", TEST_BINARY_DIR, name, (long)getpid());
}

/* ---------------------------------------------------------------- round trip */

static void writes_and_reads_back(void **state)
{
    (void)state;
    char path[512];
    path_of(path, sizeof path, "round");
    float a[6] = {1, -2, 3.5f, 0, 1e-40f, -1e30f};
    int32_t ids[3] = {1, -1, 7};
    hs_st_tensor t[] = {{.name = "a \"quoted\"\n", .dtype = "F32", .ndim = 2, .shape = {2, 3}, .data = a, .bytes = 24},
                        {.name = "ids", .dtype = "I32", .ndim = 1, .shape = {3}, .data = ids, .bytes = 12},
                        {.name = "scalar", .dtype = "F32", .ndim = 0, .data = a, .bytes = 4},
                        {.name = "empty", .dtype = "F32", .ndim = 2, .shape = {0, 5}, .data = a, .bytes = 0}};
    hs_st_meta meta[] = {{"seed", "7"}, {"text", "line\tone \\"}};
    hs_error err;
    assert_int_equal(hs_st_write(path, t, 4, meta, 2, &err), HS_OK);

    char *raw;
    size_t size;
    assert_int_equal(hs_file_read(path, 1 << 20, &raw, &size, &err), HS_OK);
    uint64_t header;
    memcpy(&header, raw, 8);
    assert_int_equal(header % 8, 0);
    assert_int_equal(8 + header + 40, size);
    assert_int_equal(raw[8], '{');
    hs_free(raw);

    hs_st_file *f;
    assert_int_equal(hs_st_open(&f, path, &err), HS_OK);
    size_t n;
    hs_st_list(f, &n);
    assert_int_equal(n, 4);
    assert_string_equal(hs_st_metadata(f, "format"), "pt");
    assert_string_equal(hs_st_metadata(f, "text"), "line\tone \\");
    assert_null(hs_st_metadata(f, "absent"));
    float back[6];
    assert_int_equal(hs_st_read_f32(f, "a \"quoted\"\n", back, 6, &err), HS_OK);
    assert_memory_equal(back, a, sizeof a);
    assert_int_equal(hs_st_read_f32(f, "scalar", back, 1, &err), HS_OK);
    assert_int_equal(hs_st_read_f32(f, "empty", back, 0, &err), HS_OK);
    const hs_st_tensor *i = hs_st_find(f, "ids");
    assert_non_null(i);
    assert_memory_equal(i->data, ids, sizeof ids);
    assert_int_equal(hs_st_read_f32(f, "ids", back, 3, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "ids"));
    assert_int_equal(hs_st_read_f32(f, "scalar", back, 2, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "scalar"));
    assert_int_equal(hs_st_read_f32(f, "nowhere", back, 2, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "nowhere"));
    hs_st_close(f);
    hs_st_close(NULL);
    unlink(path);
}

static void refuses_to_write_what_does_not_agree(void **state)
{
    (void)state;
    char path[512];
    path_of(path, sizeof path, "refused");
    float a[4] = {0};
    hs_st_tensor wrong = {.name = "w", .dtype = "F32", .ndim = 1, .shape = {5}, .data = a, .bytes = 16};
    hs_st_tensor twice[] = {{.name = "w", .dtype = "F32", .ndim = 1, .shape = {4}, .data = a, .bytes = 16},
                            {.name = "w", .dtype = "F32", .ndim = 1, .shape = {4}, .data = a, .bytes = 16}};
    hs_error err;
    assert_int_equal(hs_st_write(path, &wrong, 1, NULL, 0, &err), HS_ERR_USAGE);
    assert_int_equal(hs_st_write(path, twice, 2, NULL, 0, &err), HS_ERR_USAGE);
    assert_false(hs_file_exists(path));
}

/* ---------------------------------------------------------------- conversion */

static hs_status open_text(hs_st_file **f, const char *header, const void *data, size_t bytes, hs_error *err)
{
    uint64_t length = strlen(header);
    char *all = malloc(8 + length + bytes);
    memcpy(all, &length, 8);
    memcpy(all + 8, header, length);
    if (bytes)
        memcpy(all + 8 + length, data, bytes);
    hs_status status = hs_st_open_memory(f, all, 8 + length + bytes, "memory", err);
    free(all);
    return status;
}

static void converts_half_and_double(void **state)
{
    (void)state;
    /* 1, -2, 65504, smallest subnormal, largest subnormal, infinity, -0, NaN */
    uint16_t half[8] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x7c00, 0x8000, 0x7e01};
    const float expect[8] = {1, -2, 65504, 0x1p-24f, 1023 * 0x1p-24f, INFINITY, -0.0f, NAN};
    hs_st_file *f;
    hs_error err;
    float out[8];
    assert_int_equal(open_text(&f, "{\"h\":{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[0,16]}}", half, 16, &err),
                     HS_OK);
    assert_int_equal(hs_st_read_f32(f, "h", out, 8, &err), HS_OK);
    assert_memory_equal(out, expect, 7 * sizeof(float));
    assert_true(isnan(out[7]));
    hs_st_close(f);

    uint16_t brain[3] = {0x3f80, 0xc049, 0x0001};
    assert_int_equal(open_text(&f, "{\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[0,6]}}", brain, 6, &err),
                     HS_OK);
    assert_int_equal(hs_st_read_f32(f, "b", out, 3, &err), HS_OK);
    assert_true(out[0] == 1.0f && out[1] == -3.140625f && out[2] > 0);
    hs_st_close(f);

    double d[2] = {3.141592653589793, -1e300};
    assert_int_equal(
        open_text(&f, "{\"d\":{\"dtype\":\"F64\",\"shape\":[1,2],\"data_offsets\":[0,16]} } ", d, 16, &err), HS_OK);
    assert_int_equal(hs_st_read_f32(f, "d", out, 2, &err), HS_OK);
    assert_true(out[0] == 3.14159274f && isinf(out[1]));
    hs_st_close(f);
}

/* ---------------------------------------------------------------- damage */

static void names_the_damaged_tensor(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t bytes;
        const char *says;
    } cases[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}",
         6, "tensor b: its data overlaps"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         4, "overlaps"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}",
         12, "tensor b: there is a hole"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "tensor a: there is a hole"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 9, "left over"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3, "tensor a: the data lies outside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "tensor a: shape and dtype"},
        {"{\"a\":{\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor a: unknown or missing dtype"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor a: unknown or missing dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "tensor a: the shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "at most 4"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "tensor a: the shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4],\"data_offsets\":[0,0]}}", 0, "tensor a"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "tensor a: the data lies outside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "tensor a: data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         8, "not valid JSON"},
        {"{\"a\":7}", 0, "tensor a: unknown or missing dtype"},
        {"{\"__metadata__\":{\"x\":1}}", 0, "not a string"},
        {"{\"__metadata__\":[]}", 0, "not an object"},
        {"[]", 0, "does not start with"},
        {"{\"a\":", 0, "not valid JSON"},
        {"", 0, "does not start with"},
    };
    char zeros[16] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hs_st_file *f;
        hs_error err;
        if (open_text(&f, cases[i].header, zeros, cases[i].bytes, &err) != HS_ERR_DATA)
            fail_msg("accepted: %s", cases[i].header);
        assert_null(f);
        if (!strstr(err.what, cases[i].says))
            fail_msg("%s: said '%s'", cases[i].header, err.what);
        assert_string_equal(err.where, "memory");
    }
}

static void refuses_hostile_header_lengths(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {UINT64_MAX, UINT64_MAX - 7, 9, 100000001, (uint64_t)1 << 63};
    char bytes[16] = {0};
    hs_error err;
    hs_st_file *f;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        memcpy(bytes, &lengths[i], 8);
        assert_int_equal(hs_st_open_memory(&f, bytes, sizeof bytes, "memory", &err), HS_ERR_DATA);
        assert_non_null(strstr(err.what, "header is longer"));
    }
    for (size_t n = 0; n < 8; n++) {
        assert_int_equal(hs_st_open_memory(&f, bytes, n, "memory", &err), HS_ERR_DATA);
        assert_non_null(strstr(err.what, "too short"));
    }
}

static void every_truncation_is_an_error(void **state)
{
    (void)state;
    char path[512];
    path_of(path, sizeof path, "whole");
    float a[6] = {1, 2, 3, 4, 5, 6};
    hs_st_tensor t[] = {{.name = "a", .dtype = "F32", .ndim = 2, .shape = {2, 3}, .data = a, .bytes = 24}};
    hs_error err;
    assert_int_equal(hs_st_write(path, t, 1, NULL, 0, &err), HS_OK);
    char *raw;
    size_t size;
    assert_int_equal(hs_file_read(path, 1 << 20, &raw, &size, &err), HS_OK);
    for (size_t n = 0; n < size; n++) {
        hs_st_file *f;
        assert_int_equal(hs_st_open_memory(&f, raw, n, "cut", &err), HS_ERR_DATA);
    }
    hs_free(raw);
    unlink(path);
}

/* ---------------------------------------------------------------- failing memory and disks */

static void survives_memory_and_disk_failures(void **state)
{
    (void)state;
    char path[512];
    path_of(path, sizeof path, "failing");
    float a[2] = {1, 2};
    hs_st_tensor t[] = {{.name = "a", .dtype = "F32", .ndim = 1, .shape = {2}, .data = a, .bytes = 8}};
    hs_st_meta meta[] = {{"k", "v"}};
    hs_error err;
    for (uint64_t n = 1;; n++) {
        hs_io_fail_after(n);
        hs_status status = hs_st_write(path, t, 1, meta, 1, &err);
        hs_io_fail_after(0);
        if (status == HS_OK)
            break;
        assert_int_equal(status, HS_ERR_IO);
        assert_false(hs_file_exists(path));
        assert_true(n < 100);
    }
    uint64_t failures = 0;
    for (uint64_t n = 1;; n++) {
        hs_st_file *f = NULL;
        hs_alloc_fail_after(n);
        hs_status status = hs_st_write(path, t, 1, meta, 1, &err);
        if (status == HS_OK)
            status = hs_st_open(&f, path, &err);
        hs_alloc_fail_after(0);
        if (status == HS_OK) {
            hs_st_close(f);
            break;
        }
        assert_int_equal(status, HS_ERR_MEMORY);
        failures++;
        assert_true(n < 100);
    }
    assert_true(failures > 5);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_and_reads_back),
        cmocka_unit_test(refuses_to_write_what_does_not_agree),
        cmocka_unit_test(converts_half_and_double),
        cmocka_unit_test(names_the_damaged_tensor),
        cmocka_unit_test(refuses_hostile_header_lengths),
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(survives_memory_and_disk_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
