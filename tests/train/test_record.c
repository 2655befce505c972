/* run.db: what is committed stays, rewinding, other people's files, a full disk. */
#include "hopscope/train.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

static char folder[256], path[300];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/record_XXXXXX", TEST_BINARY_DIR);
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/run.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static hs_record *open_record(void)
{
    hs_record *r;
    hs_error err = {0};
    if (hs_record_open(&r, path, &err) != HS_OK)
        fail_msg("%s: %s", err.where, err.what);
    return r;
}

static void add_step(hs_record *r, uint64_t step)
{
    hs_eval eval = {.split = "test_ii", .n = 100, .accuracy = (double)step / 100, .loss = 1.5};
    assert_int_equal(hs_record_metric(r, step, "loss", 1.0 / (double)step, NULL), HS_OK);
    assert_int_equal(hs_record_eval(r, step, (double)step * 2, &eval, NULL), HS_OK);
    snprintf(eval.split, sizeof eval.split, "train");
    eval.loss = (double)NAN;
    assert_int_equal(hs_record_eval(r, step, (double)step * 2, &eval, NULL), HS_OK);
    assert_int_equal(hs_record_weights(r, step, UINT64_MAX - step, step, NULL), HS_OK);
    assert_int_equal(hs_record_event(r, step, "note", "it's a \"test\"", NULL), HS_OK);
}

static size_t count_evals(hs_record *r)
{
    hs_eval_row *rows;
    size_t n;
    assert_int_equal(hs_record_evals(r, &rows, &n, NULL), HS_OK);
    hs_free(rows);
    return n;
}

static void test_round_trip_and_rewind(void **state)
{
    (void)state;
    hs_record *r = open_record();
    for (uint64_t step = 1; step <= 10; step++)
        add_step(r, step);
    assert_int_equal(hs_record_info(r, "name", "first", NULL), HS_OK);
    assert_int_equal(hs_record_info(r, "name", "second", NULL), HS_OK);
    assert_int_equal(hs_record_commit(r, NULL), HS_OK);
    assert_int_equal(hs_record_commit(r, NULL), HS_OK); /* nothing to do */
    hs_record_close(r);
    r = open_record();
    hs_eval_row *rows;
    size_t n;
    assert_int_equal(hs_record_evals(r, &rows, &n, NULL), HS_OK);
    assert_int_equal(n, 20);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rows[i].step, i / 2 + 1);
        assert_string_equal(rows[i].eval.split, i % 2 ? "train" : "test_ii");
        assert_true(rows[i].eval.accuracy == (double)(i / 2 + 1) / 100);
        assert_int_equal(rows[i].eval.n, 100);
        assert_true(i % 2 ? isnan(rows[i].eval.loss) : rows[i].eval.loss == 1.5);
        assert_true(rows[i].seconds == (double)(i / 2 + 1) * 2);
    }
    hs_free(rows);
    char value[32];
    assert_int_equal(hs_record_get_info(r, "name", value, sizeof value, NULL), HS_OK);
    assert_string_equal(value, "second");
    assert_int_equal(hs_record_get_info(r, "absent", value, sizeof value, NULL), HS_OK);
    assert_string_equal(value, "");
    assert_int_equal(hs_record_rewind(r, 6, NULL), HS_OK);
    hs_record_close(r);
    r = open_record();
    assert_int_equal(count_evals(r), 12);
    hs_weights_row *weights;
    assert_int_equal(hs_record_weights_rows(r, &weights, &n, NULL), HS_OK);
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(weights[i].step, i + 1);
        assert_true(weights[i].hash == UINT64_MAX - i - 1 && weights[i].linked && weights[i].chain == i + 1);
    }
    hs_free(weights);
    add_step(r, 7); /* the same steps again, after the rewind and without one */
    add_step(r, 6);
    assert_int_equal(hs_record_commit(r, NULL), HS_OK);
    assert_int_equal(count_evals(r), 14);
    hs_record_close(r);
    hs_record_close(NULL);
    unlink(path);
}

/* A process killed between two commits leaves what the last one left. */
static void test_killed(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        hs_record *r = open_record();
        add_step(r, 1);
        if (hs_record_commit(r, NULL) != HS_OK)
            _exit(1);
        add_step(r, 2);
        raise(SIGKILL);
    }
    int wait_status;
    waitpid(child, &wait_status, 0);
    assert_true(WIFSIGNALED(wait_status));
    hs_record *r = open_record();
    assert_int_equal(count_evals(r), 2);
    hs_record_close(r);
    unlink(path);
}

static hs_status open_content(const void *bytes, size_t size, hs_error *err)
{
    hs_record *r;
    assert_int_equal(hs_file_write(path, bytes, size, NULL), HS_OK);
    hs_status status = hs_record_open(&r, path, err);
    hs_record_close(r);
    return status;
}

static void test_damaged_files(void **state)
{
    (void)state;
    hs_error err;
    char junk[5000];
    memset(junk, 'x', sizeof junk);
    assert_int_equal(open_content(junk, sizeof junk, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.where, "run.db"));
    unlink(path);
    hs_record *r = open_record();
    for (uint64_t step = 1; step <= 2000; step++)
        add_step(r, step);
    hs_record_commit(r, NULL);
    hs_record_close(r);
    char *good;
    size_t size;
    assert_int_equal(hs_file_read(path, 1 << 24, &good, &size, NULL), HS_OK);
    assert_true(size > 100000);
    assert_int_equal(open_content(good, size, &err), HS_OK);
    /* cut in half, and with a page overwritten: an error, never rows that are not there */
    for (int kind = 0; kind < 2; kind++) {
        char *bad = hs_alloc(size);
        memcpy(bad, good, size);
        if (kind == 1)
            memset(bad + size / 2 / 4096 * 4096, 0xa5, 8192);
        assert_int_equal(hs_file_write(path, bad, kind == 0 ? size / 2 : size, NULL), HS_OK);
        hs_free(bad);
        hs_status status = hs_record_open(&r, path, &err);
        if (status == HS_OK) {
            hs_eval_row *rows;
            hs_weights_row *weights;
            size_t n;
            status = hs_record_evals(r, &rows, &n, &err);
            hs_free(rows);
            if (status == HS_OK) {
                status = hs_record_weights_rows(r, &weights, &n, &err);
                hs_free(weights);
            }
        }
        hs_record_close(r);
        assert_int_equal(status, HS_ERR_DATA);
    }
    hs_free(good);
    unlink(path);
    char absent[400];
    snprintf(absent, sizeof absent, "%s/no/run.db", folder);
    assert_int_equal(hs_record_open(&r, absent, &err), HS_ERR_IO);
    assert_null(r);
    hs_alloc_fail_after(1);
    hs_status status = hs_record_open(&r, path, &err);
    hs_alloc_fail_after(0);
    assert_int_equal(status, HS_ERR_MEMORY);
}

/* A newer schema and a database of somebody else are left alone. */
static void test_foreign(void **state)
{
    (void)state;
    hs_error err;
    hs_record *r = open_record();
    hs_record_close(r);
    char *data;
    size_t size;
    assert_int_equal(hs_file_read(path, 1 << 24, &data, &size, NULL), HS_OK);
    assert_true(size > 100);
    data[63] = 9; /* user_version, big-endian at offset 60 */
    assert_int_equal(open_content(data, size, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "newer"));
    data[63] = 1;
    data[71] ^= 1; /* application_id at offset 68 */
    assert_int_equal(open_content(data, size, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "no record"));
    hs_free(data);
    unlink(path);
}

static void run_sql(const char *text)
{
    sqlite3 *raw;
    assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(raw);
}

static hs_probe_row probe_row(uint64_t step, const char *method, int32_t stage, const char *measure)
{
    hs_probe_row row = {
        .step = step, .stage = stage, .position = "r1", .n = 7, .value = 0.5 + stage, .low = (double)NAN, .high = 0.75};
    snprintf(row.method, sizeof row.method, "%s", method);
    snprintf(row.split, sizeof row.split, "test_ii");
    snprintf(row.role, sizeof row.role, "bridge");
    snprintf(row.measure, sizeof row.measure, "%s", measure);
    return row;
}

static size_t count_probes(hs_record *r, const hs_probe_filter *filter)
{
    hs_probe_row *rows;
    size_t n;
    assert_int_equal(hs_record_probes(r, filter, &rows, &n, NULL), HS_OK);
    hs_free(rows);
    return n;
}

static void test_probe_rows(void **state)
{
    (void)state;
    hs_record *r = open_record();
    for (uint64_t step = 1; step <= 4; step++)
        for (int32_t stage = 2; stage >= -1; stage--) {
            const hs_probe_row lens = probe_row(step, "lens", stage, "mrr"),
                               trace = probe_row(step, "trace", stage, "effect");
            assert_int_equal(hs_record_probe(r, &lens, NULL), HS_OK);
            assert_int_equal(hs_record_probe(r, &trace, NULL), HS_OK);
            assert_int_equal(hs_record_probe(r, &trace, NULL), HS_OK); /* replaces itself */
        }
    assert_int_equal(hs_record_commit(r, NULL), HS_OK);
    assert_int_equal(count_probes(r, NULL), 32);
    assert_int_equal(count_probes(r, &(hs_probe_filter){.method = "lens"}), 16);
    assert_int_equal(count_probes(r, &(hs_probe_filter){.measure = "effect", .first = 2, .last = 3}), 8);
    assert_int_equal(count_probes(r, &(hs_probe_filter){.split = "test_ii", .role = "bridge", .first = 4}), 8);
    assert_int_equal(count_probes(r, &(hs_probe_filter){.role = "answer"}), 0);
    hs_probe_row *rows;
    size_t n;
    assert_int_equal(hs_record_probes(r, &(hs_probe_filter){.method = "trace", .last = 1}, &rows, &n, NULL), HS_OK);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rows[i].stage, (int)i - 1);
        assert_true(rows[i].value == 0.5 + rows[i].stage && isnan(rows[i].low) && rows[i].high == 0.75);
        assert_string_equal(rows[i].split, "test_ii");
        assert_true(rows[i].n == 7 && strcmp(rows[i].position, "r1") == 0);
    }
    hs_free(rows);
    assert_int_equal(hs_record_rewind(r, 3, NULL), HS_OK);
    assert_int_equal(count_probes(r, NULL), 24);
    hs_record_close(r);
    unlink(path);
}

/* A record of version 1 is read as it is, and gets the new table when it is opened for writing. */
static void test_older_version(void **state)
{
    (void)state;
    for (int version = 1; version >= 0; version--) {
        hs_record *r = open_record();
        add_step(r, 1);
        assert_int_equal(hs_record_commit(r, NULL), HS_OK);
        hs_record_close(r);
        run_sql(version ? "DROP TABLE probe; DROP TABLE checkpoint; ALTER TABLE weights DROP COLUMN chain; PRAGMA "
                          "user_version=1"
                        : "DROP TABLE probe; DROP TABLE checkpoint; ALTER TABLE weights DROP COLUMN chain; PRAGMA "
                          "user_version=0");
        assert_int_equal(hs_record_open_read(&r, path, NULL), HS_OK);
        assert_int_equal(count_evals(r), 2);
        assert_int_equal(count_probes(r, NULL), 0);
        hs_record_close(r);
        r = open_record();
        assert_int_equal(count_evals(r), 2);
        const hs_probe_row row = probe_row(1, "lens", 0, "mrr");
        assert_int_equal(hs_record_probe(r, &row, NULL), HS_OK);
        assert_int_equal(hs_record_commit(r, NULL), HS_OK);
        hs_record_close(r);
        assert_int_equal(hs_record_open_read(&r, path, NULL), HS_OK);
        assert_int_equal(count_probes(r, NULL), 1);
        hs_record_close(r);
        unlink(path);
    }
}

/* What cannot be used is left as it is, byte for byte. */
static void test_never_overwritten(void **state)
{
    (void)state;
    char *before[3], *after;
    size_t size, size_after;
    hs_record *r = open_record();
    for (uint64_t step = 1; step <= 500; step++)
        add_step(r, step);
    assert_int_equal(hs_record_commit(r, NULL), HS_OK);
    hs_record_close(r);
    for (int kind = 0; kind < 3; kind++) {
        assert_int_equal(hs_file_read(path, 1 << 24, &before[kind], &size, NULL), HS_OK);
        if (kind == 0)
            memset(before[kind] + size / 2 / 4096 * 4096, 0xa5, 4096); /* a page */
        else if (kind == 1)
            before[kind][63] = 3; /* a version that does not exist yet */
        else
            memset(before[kind], 'x', 100); /* the header */
        assert_int_equal(hs_file_write(path, before[kind], size, NULL), HS_OK);
        hs_error err = {0};
        assert_int_equal(hs_record_open(&r, path, &err), HS_ERR_DATA);
        assert_non_null(strstr(err.where, "run.db"));
        assert_int_equal(hs_file_read(path, 1 << 24, &after, &size_after, NULL), HS_OK);
        assert_int_equal(size, size_after);
        assert_memory_equal(before[kind], after, size);
        hs_free(after);
        if (kind == 0) { /* whole again for the next kind */
            unlink(path);
            r = open_record();
            add_step(r, 1);
            hs_record_close(r);
        } else if (kind == 1) {
            assert_non_null(strstr(err.what, "newer"));
            before[kind][63] = 2;
            assert_int_equal(hs_file_write(path, before[kind], size, NULL), HS_OK);
        }
        hs_free(before[kind]);
    }
    unlink(path);
    run_sql("CREATE TABLE recipe(name TEXT)"); /* somebody else's */
    hs_error err = {0};
    assert_int_equal(hs_record_open(&r, path, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "no record"));
    unlink(path);
}

/* The disk fills up (a file size limit stands in for it): an I/O error, and the record keeps what it had. */
static void test_full_disk(void **state)
{
    (void)state;
    hs_record *r = open_record();
    add_step(r, 1);
    assert_int_equal(hs_record_commit(r, NULL), HS_OK);
    struct rlimit old, small = {.rlim_cur = 60000};
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    hs_status status = HS_OK;
    hs_error err = {0};
    for (uint64_t step = 2; step < 5000 && status == HS_OK; step++) {
        status = hs_record_metric(r, step, "loss", 1, &err);
        if (status == HS_OK && step % 10 == 0)
            status = hs_record_commit(r, &err);
    }
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(status, HS_ERR_IO);
    assert_non_null(strstr(err.hint, "disk"));
    assert_int_equal(count_evals(r), 2);
    assert_int_equal(hs_record_metric(r, 9999, "loss", 1, &err), HS_OK); /* and works again */
    assert_int_equal(hs_record_commit(r, &err), HS_OK);
    hs_record_close(r);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_and_rewind),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_probe_rows),
        cmocka_unit_test(test_older_version),
        cmocka_unit_test(test_never_overwritten),
        cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
