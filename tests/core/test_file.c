/* Files that appear whole or not at all under injected failures; lines of plain, compressed and damaged text. */
#include "hopscope/core.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef HS_TEST_ZSTD
#include <zstd.h>
#endif

static char folder[256];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/core_file_XXXXXX", TEST_BINARY_DIR);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[4][512];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static int files_in_folder(void)
{
    DIR *dir = opendir(folder);
    int n = 0;
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void test_writer(void **state)
{
    (void)state;
    hs_error err;
    hs_writer *w;
    const char *path = path_of("a");
    assert_int_equal(hs_writer_open(&w, path, &err), HS_OK);
    assert_false(hs_file_exists(path));
    char block[70000];
    memset(block, 'b', sizeof block);
    assert_int_equal(hs_writer_printf(w, &err, "%s %d\n", "head", 1), HS_OK);
    assert_int_equal(hs_writer_write(w, block, sizeof block, &err), HS_OK);
    assert_int_equal(hs_writer_printf(w, &err, "%.*s", 5000, block), HS_OK);
    assert_int_equal(hs_writer_write(w, "", 0, &err), HS_OK);
    assert_false(hs_file_exists(path));
    assert_int_equal(hs_writer_commit(w, &err), HS_OK);
    char *data;
    size_t size;
    assert_int_equal(hs_file_read(path, 1 << 20, &data, &size, &err), HS_OK);
    assert_int_equal(size, 7 + sizeof block + 5000);
    assert_memory_equal(data, "head 1\nbbb", 10);
    assert_int_equal(data[size - 1], 'b');
    assert_int_equal(data[size], 0);
    hs_free(data);
    assert_int_equal(hs_file_read(path, 100, &data, &size, &err), HS_ERR_DATA);
    assert_int_equal(hs_file_read(folder, 100, &data, &size, &err), HS_ERR_DATA);
    assert_int_equal(hs_file_read(path_of("absent"), 100, &data, &size, &err), HS_ERR_IO);
    assert_non_null(strstr(err.where, "absent"));
    assert_int_equal(hs_writer_open(&w, path_of("a"), &err), HS_OK);
    hs_writer_abort(w);
    hs_writer_abort(NULL);
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(hs_writer_open(&w, path_of("no/such/folder"), &err), HS_ERR_IO);
    assert_null(w);
    unlink(path);
}

/* Whatever operation fails, the old file stays whole and no temporary is left. */
static void test_writer_failures(void **state)
{
    (void)state;
    hs_error err;
    const char *path = path_of("b");
    assert_int_equal(hs_file_write(path, "old", 3, &err), HS_OK);
    char *big = hs_calloc(1, 300000), *data;
    size_t size;
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        hs_writer *w;
        hs_io_fail_after(n);
        hs_status status = hs_writer_open(&w, path, &err);
        for (int i = 0; i < 3 && status == HS_OK; i++)
            status = hs_writer_write(w, big, 50000, &err);
        if (status == HS_OK)
            status = hs_writer_write(w, big, 300000, &err);
        if (status == HS_OK)
            status = hs_writer_commit(w, &err);
        else
            hs_writer_abort(w);
        hs_io_fail_after(0);
        assert_int_equal(files_in_folder(), 1);
        assert_int_equal(hs_file_read(path, 1 << 20, &data, &size, NULL), HS_OK);
        if (status == HS_OK) {
            assert_int_equal(size, 450000);
            hs_free(data);
            break;
        }
        assert_int_equal(status, HS_ERR_IO);
        assert_string_equal(data, "old");
        hs_free(data);
        failures++;
    }
    assert_true(failures >= 3);
    hs_free(big);
    /* A caller that overlooks a failed write cannot commit a file with a hole. */
    hs_writer *w;
    assert_int_equal(hs_writer_open(&w, path, &err), HS_OK);
    char block[70000] = {0};
    hs_io_fail_after(1);
    assert_int_equal(hs_writer_write(w, block, sizeof block, &err), HS_ERR_IO);
    hs_io_fail_after(0);
    assert_int_equal(hs_writer_commit(w, &err), HS_ERR_IO);
    assert_int_equal(files_in_folder(), 1);
    hs_alloc_fail_after(1);
    hs_status status = hs_file_write(path, "x", 1, &err);
    hs_alloc_fail_after(0);
    assert_int_equal(status, HS_ERR_MEMORY);
    unlink(path);
}

static void test_dirs(void **state)
{
    (void)state;
    hs_error err;
    assert_int_equal(hs_make_dirs(path_of("x/y//z/"), &err), HS_OK);
    assert_int_equal(hs_make_dirs(path_of("x/y//z/"), &err), HS_OK);
    assert_true(hs_file_exists(path_of("x/y/z")));
    assert_int_equal(hs_file_write(path_of("x/f"), "", 0, &err), HS_OK);
    assert_int_equal(hs_make_dirs(path_of("x/f"), &err), HS_ERR_IO);
    assert_int_equal(hs_make_dirs(path_of("x/f/g"), &err), HS_ERR_IO);
    assert_int_equal(hs_make_dirs("", &err), HS_ERR_USAGE);
    char joined[16];
    assert_int_equal(hs_path_join(joined, sizeof joined, "a", "b", &err), HS_OK);
    assert_string_equal(joined, "a/b");
    assert_int_equal(hs_path_join(joined, sizeof joined, "a/", "b", &err), HS_OK);
    assert_string_equal(joined, "a/b");
    assert_int_equal(hs_path_join(joined, sizeof joined, "0123456789", "012345", &err), HS_ERR_DATA);
}

static hs_status read_lines(const char *text, size_t size, size_t max, int *n, char *last, hs_error *err)
{
    assert_int_equal(hs_file_write(path_of("lines"), text, size, NULL), HS_OK);
    hs_lines *l;
    *n = 0;
    hs_status status = hs_lines_open(&l, path_of("lines"), max, err);
    const char *line;
    size_t len;
    while (status == HS_OK && (status = hs_lines_next(l, &line, &len, err)) == HS_OK && line) {
        ++*n;
        assert_int_equal(hs_lines_number(l), *n);
        assert_int_equal(line[len], 0);
        snprintf(last, 64, "%s", line);
    }
    hs_lines_close(l);
    unlink(path_of("lines"));
    return status;
}

static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int n;
        const char *last;
    } good[] = {{"", 0, ""},
                {"a", 1, "a"},
                {"a\n", 1, "a"},
                {"a\nb", 2, "b"},
                {"a\r\nb\r\n", 2, "b"},
                {"\xef\xbb\xbf"
                 "a",
                 1, "a"},
                {"\n\n", 2, ""},
                {"\xef\xbb\xbf", 0, ""},
                {"a\rb", 1, "a\rb"},
                {"ab", 1, "ab"}};
    hs_error err;
    int n;
    char last[64];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        last[0] = 0;
        assert_int_equal(read_lines(good[i].text, strlen(good[i].text), 100, &n, last, &err), HS_OK);
        assert_int_equal(n, good[i].n);
        assert_string_equal(last, good[i].last);
    }
    assert_int_equal(read_lines("ok\nb\xff"
                                "ad\n",
                                8, 100, &n, last, &err),
                     HS_ERR_DATA);
    assert_int_equal(n, 1);
    assert_non_null(strstr(err.where, "lines:2"));
    assert_string_equal(err.value, "b\\xffad");
    assert_int_equal(read_lines("short\n0123456789\n", 17, 9, &n, last, &err), HS_ERR_DATA);
    assert_int_equal(n, 1);
    assert_int_equal(read_lines("short\n0123456789\n", 17, 10, &n, last, &err), HS_OK);
    hs_lines *l;
    assert_int_equal(hs_lines_open(&l, folder, 10, &err), HS_ERR_DATA);
    assert_null(l);
    assert_int_equal(hs_lines_open(&l, path_of("absent"), 10, &err), HS_ERR_IO);
    hs_lines_close(NULL);
}

/* Lines that straddle the read buffer, longer than it, and one far over the limit: memory stays bounded. */
static void test_long_lines(void **state)
{
    (void)state;
    enum { SIZE = 400000 };
    char *text = hs_alloc(SIZE);
    memset(text, 'x', SIZE);
    text[65535] = '\n';
    text[65537] = '\n';
    text[200000] = '\n';
    hs_error err;
    int n;
    char last[64];
    assert_int_equal(read_lines(text, SIZE, SIZE, &n, last, &err), HS_OK);
    assert_int_equal(n, 4);
    assert_int_equal(read_lines(text, SIZE, 150000, &n, last, &err), HS_ERR_DATA);
    assert_int_equal(n, 3);
    assert_non_null(strstr(err.where, ":4"));
    hs_free(text);
}

static void test_pipe(void **state)
{
    (void)state;
    /* A pipe that gives one byte at a time still has its byte order mark seen. */
    int ends[2], saved = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        for (const char *s = "\xef\xbb\xbfline\n"; *s; s++) {
            if (write(ends[1], s, 1) != 1)
                _exit(1);
            usleep(2000);
        }
        _exit(0);
    }
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    hs_lines *l;
    hs_error err;
    const char *line;
    size_t len;
    assert_int_equal(hs_lines_open(&l, "-", 100, &err), HS_OK);
    assert_int_equal(hs_lines_next(l, &line, &len, &err), HS_OK);
    assert_string_equal(line, "line");
    assert_int_equal(hs_lines_next(l, &line, &len, &err), HS_OK);
    assert_null(line);
    hs_lines_close(l);
    dup2(saved, STDIN_FILENO);
    close(saved);
}

#ifdef HS_TEST_ZSTD
static void test_zstd(void **state)
{
    (void)state;
    /* Highly compressible and without a checksum: the decoder holds output back after all input is consumed. */
    enum { SIZE = 300000 };
    char *text = hs_alloc(SIZE), *packed = hs_alloc(ZSTD_compressBound(SIZE));
    memset(text, 'y', SIZE);
    for (size_t i = 99; i < SIZE; i += 100)
        text[i] = '\n';
    hs_error err;
    int n;
    char last[64];
    for (size_t size = 100; size <= SIZE; size += 29900) {
        size_t got = ZSTD_compress(packed, ZSTD_compressBound(SIZE), text, size, 3);
        assert_false(ZSTD_isError(got));
        assert_int_equal(read_lines(packed, got, 1000, &n, last, &err), HS_OK);
        assert_int_equal(n, (size + 99) / 100);
        assert_int_equal(read_lines(packed, got - 1, 1000, &n, last, &err), HS_ERR_DATA);
        assert_non_null(strstr(err.what, "cut off"));
        packed[got / 2] ^= 0x55;
        (void)read_lines(packed, got, 1000, &n, last, &err); /* damaged: any clean answer */
    }
    /* Random text, and two frames after each other. */
    hs_rng rng;
    hs_rng_init(&rng, 1, 2, 3, 4);
    for (size_t i = 0; i < SIZE; i++)
        text[i] = i % 100 == 99 ? '\n' : (char)('a' + hs_rng_below(&rng, 26));
    size_t first = ZSTD_compress(packed, ZSTD_compressBound(SIZE), text, 100000, 3);
    size_t second = ZSTD_compress(packed + first, ZSTD_compressBound(SIZE) - first, text, 100000, 3);
    assert_int_equal(read_lines(packed, first + second, 1000, &n, last, &err), HS_OK);
    assert_int_equal(n, 2000);
    hs_free(text);
    hs_free(packed);
}
#endif

static void test_raw_read(void **state)
{
    (void)state;
    char text[200000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    assert_int_equal(hs_file_write(path_of("raw"), text, sizeof text, NULL), HS_OK);
    hs_lines *l;
    hs_error err;
    assert_int_equal(hs_lines_open(&l, path_of("raw"), 10, &err), HS_OK);
    char back[200000];
    size_t total = 0, got;
    do {
        size_t want = 777 < sizeof back - total ? 777 : sizeof back - total;
        assert_int_equal(hs_lines_read(l, back + total, want, &got, &err), HS_OK);
        total += got;
    } while (got > 0 && total < sizeof back);
    assert_int_equal(total, sizeof text);
    assert_memory_equal(text, back, sizeof text);
    hs_lines_close(l);
    unlink(path_of("raw"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer),   cmocka_unit_test(test_writer_failures), cmocka_unit_test(test_dirs),
        cmocka_unit_test(test_lines),    cmocka_unit_test(test_long_lines),      cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_raw_read),
#ifdef HS_TEST_ZSTD
        cmocka_unit_test(test_zstd),
#endif
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
