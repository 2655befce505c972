/* Dataset folders: round trip, damage of every kind, existing folders, a full disk, out of memory. */
#include "data/internal.h"
#include "data_test.h"

#include <dirent.h>
#include <sys/stat.h>

static void build(hs_dataset *d, bool graph)
{
    hs_data_config c = small_config(2);
    c.end_token = true;
    *d = (hs_dataset){0};
    hs_graph g = {0};
    if (graph) {
        augmented_graph(&g);
        c.tails = HS_TAILS_ANY;
    }
    assert_ok(hs_dataset_build(d, &c, graph ? &g : NULL, NULL, NULL, err));
    hs_graph_free(&g);
}

static void round_trip(const hs_dataset *d)
{
    char dir[256];
    hs_dataset r = {0};
    fresh_path(dir, "a/b/dataset");
    assert_ok(hs_dataset_write(d, dir, err));
    assert_ok(hs_dataset_read(&r, dir, err));
    assert_same_splits(d, &r);
    assert_string_equal(d->task, r.task);
    assert_int_equal(d->seed, r.seed);
    hs_str config = {0}, read_config = {0};
    hs_data_config_json(&d->config, &config);
    hs_data_config_json(&r.config, &read_config);
    assert_string_equal(config.s, read_config.s);
    hs_str_free(&config);
    hs_str_free(&read_config);
    assert_int_equal(d->tokens_per_entity, r.tokens_per_entity);
    assert_int_equal(d->max_width, r.max_width);
    assert_true(r.audit.passed);
    assert_true(fabs(d->audit.phi - r.audit.phi) < 1e-6);
    for (uint32_t i = 0; i < d->n_splits; i++) {
        double x = d->audit.split[i].baselines.nearest, y = r.audit.split[i].baselines.nearest;
        assert_true((isnan(x) && isnan(y)) || fabs(x - y) < 1e-5);
        assert_int_equal(d->audit.split[i].n, r.audit.split[i].n);
    }
    assert_ok(hs_dataset_audit(&r, err)); /* and it is still sound */
    assert_true(r.audit.passed);
    hs_dataset_free(&r);
    dir[strlen(dir) - strlen("/b/dataset")] = 0;
    remove_path(dir);
}

static void round_trips(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d, false);
    round_trip(&d);
    hs_dataset_free(&d);
    build(&d, true);
    round_trip(&d);
    hs_dataset_free(&d);
    hs_data_config c = small_config(3);
    c.entities = 100;
    c.token_multiplicity = 10;
    assert_ok(hs_dataset_build(&d, &c, NULL, NULL, NULL, err));
    round_trip(&d);
    hs_dataset_free(&d);
    assert_ok(hs_data_config_for_task(&c, "complex", err));
    c.entities = 60;
    assert_ok(hs_dataset_build(&d, &c, NULL, NULL, NULL, err));
    round_trip(&d);
    hs_dataset_free(&d);
}

static void existing_folder_is_kept(void **state)
{
    (void)state;
    hs_dataset d;
    char dir[256], path[300];
    build(&d, false);
    fresh_path(dir, "there");
    assert_int_equal(mkdir(dir, 0777), 0);
    assert_ok(hs_dataset_write(&d, dir, err)); /* an empty one is fine */
    hs_error e = {0};
    assert_int_equal(hs_dataset_write(&d, dir, &e), HS_ERR_IO);
    assert_string_equal(e.where, dir);
    snprintf(path, sizeof path, "%s/dataset.json", dir);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(hs_dataset_write_published(&d, dir, &e), HS_ERR_IO);
    assert_int_equal(hs_dataset_write_trm(&d, dir, &e), HS_ERR_IO);
    assert_int_equal(hs_dataset_write_jsonl(&d, path, &e), HS_ERR_IO);
    remove_path(dir);
    hs_dataset_free(&d);
}

/* How many entries of /tmp begin with the name of `dir`. */
static int leftovers(const char *dir)
{
    const char *name = strrchr(dir, '/') + 1;
    char parent[256];
    snprintf(parent, sizeof parent, "%.*s", (int)(name - dir - 1), dir);
    DIR *folder = opendir(parent);
    int n = 0;
    for (struct dirent *e; (e = readdir(folder)) != NULL;)
        n += strncmp(e->d_name, name, strlen(name)) == 0;
    closedir(folder);
    return n;
}

static void full_disk(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d, false);
    char dir[256];
    fresh_path(dir, "full");
    hs_status (*const writers[])(const hs_dataset *, const char *, hs_error *) = {
        hs_dataset_write, hs_dataset_write_published, hs_dataset_write_trm, hs_dataset_write_jsonl};
    for (size_t w = 0; w < 4; w++) {
        uint64_t n = 1;
        for (hs_status status = HS_ERR_IO; status != HS_OK; n++) {
            assert_true(n < 200);
            hs_error e = {0};
            hs_io_fail_after(n);
            status = writers[w](&d, dir, &e);
            hs_io_fail_after(0);
            if (status != HS_OK) {
                assert_int_equal(status, HS_ERR_IO);
                assert_int_equal(leftovers(dir), 0);
            }
        }
        assert_true(n > 2);
        remove_path(dir);
    }
    hs_dataset_free(&d);
}

/* Every allocation of building, writing and reading fails once; each time a clean error. */
static void out_of_memory(void **state)
{
    (void)state;
    hs_graph g;
    augmented_graph(&g);
    for (uint32_t kind = 0; kind < 4; kind++) {
        hs_data_config c = small_config(2);
        c.entities = 20;
        c.cover = true;
        if (kind == 1) {
            c.injection = HS_INJECTION_BOTH_HALF;
        } else if (kind >= 2) {
            assert_ok(hs_data_config_for_task(&c, kind == 2 ? "comparison" : "complex", err));
            c.entities = 20;
            c.attributes = 2;
            c.phi = 1;
            c.trained_fraction = 0.5;
            strcpy(c.attribute_list, "river,place of birth");
        }
        hs_status status = HS_ERR_MEMORY;
        uint64_t n = 1;
        for (; status != HS_OK; n++) {
            hs_dataset d = {0};
            hs_error e = {0};
            hs_alloc_fail_after(n);
            status = hs_dataset_build(&d, &c, kind == 0 || kind == 2 ? &g : NULL, NULL, NULL, &e);
            hs_alloc_fail_after(0);
            if (status != HS_OK) {
                assert_int_equal(status, HS_ERR_MEMORY);
                assert_null(d.splits);
            }
            hs_dataset_free(&d);
            assert_true(n < 2000);
        }
        assert_true(n > 30);
    }
    hs_graph_free(&g);
}

static void out_of_memory_files(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d, true);
    char packed[256], published[256], jsonl[256];
    fresh_path(packed, "packed");
    fresh_path(published, "published");
    fresh_path(jsonl, "jsonl");
    assert_ok(hs_dataset_write(&d, packed, err));
    assert_ok(hs_dataset_write_published(&d, published, err));
    assert_ok(hs_dataset_write_jsonl(&d, jsonl, err));
    hs_status (*const readers[])(hs_dataset *, const char *, hs_error *) = {hs_dataset_read, hs_dataset_read_published,
                                                                            hs_dataset_read_jsonl};
    const char *const paths[] = {packed, published, jsonl};
    for (size_t k = 0; k < 3; k++) {
        hs_status status = HS_ERR_MEMORY;
        uint64_t n = 1, step = 1;
        for (; status != HS_OK; n += step) {
            hs_dataset r = {0};
            hs_error e = {0};
            hs_alloc_fail_after(n);
            status = readers[k](&r, paths[k], &e);
            hs_alloc_fail_after(0);
            if (status != HS_OK) {
                assert_int_equal(status, HS_ERR_MEMORY);
                assert_null(r.splits);
                assert_null(r.card);
            }
            hs_dataset_free(&r);
            step = n > 300 ? 37 : 1;
        }
    }
    hs_status (*const writers[])(const hs_dataset *, const char *, hs_error *) = {
        hs_dataset_write, hs_dataset_write_published, hs_dataset_write_trm, hs_dataset_write_jsonl};
    char out[256];
    fresh_path(out, "oom");
    for (size_t k = 0; k < 4; k++) {
        hs_status status = HS_ERR_MEMORY;
        for (uint64_t n = 1; status != HS_OK; n++) {
            hs_alloc_fail_after(n);
            status = writers[k](&d, out, NULL);
            hs_alloc_fail_after(0);
            if (status != HS_OK)
                assert_int_equal(leftovers(out), 0);
        }
        remove_path(out);
    }
    remove_path(packed);
    remove_path(published);
    remove_path(jsonl);
    hs_dataset_free(&d);
}

/* ---------------------------------------------------------------- damage */

static void damaged_split(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d, true);
    hs_str bytes = {0};
    const hs_split *s = hs_dataset_split(&d, "train_inferred");
    assert_ok(hs_split_encode(s, &bytes, err));
    hs_split r;
    size_t used;
    assert_ok(hs_split_decode(&r, bytes.s, bytes.len, d.vocab.n, &used, err));
    assert_int_equal(used, bytes.len);
    assert_int_equal(r.hash, s->hash);
    assert_string_equal(r.name, s->name);
    hs_split_free(&r);
    for (size_t i = 0; i < bytes.len; i += i < 128 ? 1 : 97) { /* any changed byte is noticed */
        bytes.s[i] ^= 0x41;
        hs_error e = {0};
        assert_int_equal(hs_split_decode(&r, bytes.s, bytes.len, d.vocab.n, &used, &e), HS_ERR_DATA);
        assert_null(r.tokens);
        bytes.s[i] ^= 0x41;
    }
    for (size_t len = 0; len < bytes.len; len += len < 200 ? 1 : 331)
        assert_int_equal(hs_split_decode(&r, bytes.s, len, d.vocab.n, &used, NULL), HS_ERR_DATA);
    assert_int_equal(hs_split_decode(&r, bytes.s, bytes.len, 10, &used, NULL), HS_ERR_DATA); /* another vocabulary */
    hs_str_free(&bytes);
    hs_dataset_free(&d);
}

/* Headers whose checksums are right but whose numbers are hostile. */
static void hostile_split(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d, true);
    hs_str bytes = {0};
    assert_ok(hs_split_encode(hs_dataset_split(&d, "train_inferred"), &bytes, err));
    static const struct {
        size_t at;
        uint64_t value;
        size_t size;
    } CHANGES[] = {{12, 3, 4},          {16, 9, 4},
                   {20, 99, 4},         {24, 0, 4},
                   {24, 1u << 30, 4},   {28, 0, 4},
                   {28, 99, 4},         {32, 0, 4},
                   {36, 0, 4},          {36, 9, 4},
                   {40, 1u << 31, 4},   {44, 4, 4},
                   {48, UINT64_MAX, 8}, {48, UINT64_MAX / 20, 8},
                   {48, 1, 8},          {56, UINT64_MAX / 4, 8},
                   {56, 3, 8},          {64, 0, 1}};
    for (size_t i = 0; i < sizeof CHANGES / sizeof CHANGES[0]; i++) {
        char *copy = malloc(bytes.len);
        memcpy(copy, bytes.s, bytes.len);
        memcpy(copy + CHANGES[i].at, &CHANGES[i].value, CHANGES[i].size);
        uint64_t hash = hs_hash(copy, 120, 0);
        memcpy(copy + 120, &hash, 8);
        hs_split r;
        size_t used;
        if (hs_split_decode(&r, copy, bytes.len, d.vocab.n, &used, NULL) != HS_ERR_DATA)
            fail_msg("change %zu was not noticed", i);
        free(copy);
    }
    hs_str_free(&bytes);
    hs_dataset_free(&d);
}

static void overwrite(const char *dir, const char *name, const void *bytes, size_t size)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

static void expect_bad(const char *dir, const char *where)
{
    hs_dataset r = {0};
    hs_error e = {0};
    hs_status status = hs_dataset_read(&r, dir, &e);
    if (status != HS_ERR_DATA && status != HS_ERR_IO)
        fail_msg("%s: status %d", where, (int)status);
    if (!strstr(e.where, where))
        fail_msg("'%s' does not name %s", e.where, where);
    assert_null(r.splits);
}

static void damaged_folder(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d, false);
    static const char *const FILES[] = {"dataset.json", "vocab.json", "facts.packed", "train_inferred.split"};
    for (size_t k = 0; k < 4; k++) {
        char dir[256], path[400], *bytes;
        size_t size;
        fresh_path(dir, "damaged");
        assert_ok(hs_dataset_write(&d, dir, err));
        snprintf(path, sizeof path, "%s/%s", dir, FILES[k]);
        assert_ok(hs_file_read(path, 1 << 24, &bytes, &size, err));
        overwrite(dir, FILES[k], bytes, size / 2);
        expect_bad(dir, FILES[k]);
        overwrite(dir, FILES[k], bytes, 0);
        expect_bad(dir, FILES[k]);
        overwrite(dir, FILES[k], "[1, 2, {\"a\": null}]", 19);
        expect_bad(dir, FILES[k]);
        assert_int_equal(unlink(path), 0);
        expect_bad(dir, FILES[k]);
        hs_free(bytes);
        remove_path(dir);
    }
    /* a split of another dataset under the right name: the card knows its hash */
    hs_dataset other = {0};
    hs_data_config c = small_config(2);
    c.end_token = true;
    c.seed = 99;
    assert_ok(hs_dataset_build(&other, &c, NULL, NULL, NULL, err));
    hs_str bytes = {0};
    assert_ok(hs_split_encode(hs_dataset_split(&other, "test_ii"), &bytes, err));
    char dir[256];
    fresh_path(dir, "foreign");
    assert_ok(hs_dataset_write(&d, dir, err));
    overwrite(dir, "test_ii.split", bytes.s, bytes.len);
    expect_bad(dir, "test_ii.split");
    remove_path(dir);
    hs_str_free(&bytes);
    hs_dataset_free(&other);
    hs_dataset_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),   cmocka_unit_test(existing_folder_is_kept), cmocka_unit_test(full_disk),
        cmocka_unit_test(out_of_memory), cmocka_unit_test(out_of_memory_files),     cmocka_unit_test(damaged_split),
        cmocka_unit_test(hostile_split), cmocka_unit_test(damaged_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
