/* Checkpoints: what is loaded is what was saved; every kind of damage is seen and an older one is used; a full disk
 * leaves the last good one; pruning keeps what it must. */
#include "hopscope/tensor.h"
#include "hopscope/train.h"

#include "check.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct fixture {
    hs_dataset data;
    hs_train_config config;
    hs_model model;
    hs_trainer *trainer;
} fixture;

static char folder[256];

static void make_model(fixture *f, uint32_t width)
{
    hs_error err = {0};
    hs_model_config model;
    hs_model_config_default(&model);
    model.vocab = f->data.vocab.n;
    model.n_positions = f->data.max_width;
    model.n_embd = width;
    model.n_head = 2;
    hs_status status = hs_model_create(&f->model, &model, 1, &err);
    if (status == HS_OK)
        status = hs_trainer_create(&f->trainer, &f->model, &f->data, &f->config, NULL, &err);
    if (status != HS_OK)
        fail_msg("%s: %s", err.where, err.what);
}

static fixture *create(uint32_t width)
{
    static fixture slots[4];
    static int next;
    fixture *f = &slots[next++ % 4];
    memset(f, 0, sizeof *f);
    hs_error err = {0};
    assert_int_equal(hs_tensor_open(&err), HS_OK);
    hs_data_config data;
    hs_data_config_default(&data);
    data.entities = 20;
    data.relations = 5;
    data.out_degree = 3;
    data.phi = 0;
    if (hs_dataset_build(&f->data, &data, NULL, NULL, NULL, &err) != HS_OK)
        fail_msg("%s: %s", err.where, err.what);
    hs_train_config_default(&f->config);
    f->config.batch = 16;
    f->config.threads = 1;
    f->config.ema = 0.9;
    make_model(f, width);
    return f;
}

static void destroy(fixture *f)
{
    hs_trainer_free(f->trainer);
    hs_model_free(&f->model);
    hs_dataset_free(&f->data);
}

static void steps(fixture *f, int n)
{
    hs_step_stats stats;
    for (int i = 0; i < n; i++)
        assert_int_equal(hs_trainer_step(f->trainer, &stats, NULL), HS_OK);
}

static void save(fixture *f, double seconds)
{
    hs_error err = {0};
    if (hs_checkpoint_save(folder, &f->model, f->trainer, seconds, &err) != HS_OK)
        fail_msg("%s: %s", err.where, err.what);
}

static const char *file(uint64_t step, const char *ending)
{
    static char path[4][1024];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/step-%08llu%s", folder, (unsigned long long)step, ending);
    return p;
}

static uint64_t latest(bool *found)
{
    uint64_t step = UINT64_MAX;
    hs_error err = {0};
    assert_int_equal(hs_checkpoint_latest(folder, &step, found, NULL, &err), HS_OK);
    return step;
}

static void assert_latest(uint64_t step)
{
    bool found;
    assert_int_equal(latest(&found), step);
    assert_true(found);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/checkpoint_XXXXXX", TEST_BINARY_DIR);
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[700];
    snprintf(command, sizeof command, "chmod -R u+w '%s'; rm -rf '%s'", folder, folder);
    return system(command);
}

/* Stopped after 5 steps and resumed, or never stopped: the same bits after 12. */
static void test_resume_is_exact(void **state)
{
    (void)state;
    fixture *a = create(16), *b = create(16);
    steps(a, 5);
    hs_trainer_set_attempt(a->trainer, 2);
    save(a, 1.25);
    steps(a, 7);
    double seconds = 0;
    hs_error err = {0};
    assert_latest(5);
    assert_int_equal(hs_checkpoint_load(folder, 5, &b->model, b->trainer, &seconds, &err), HS_OK);
    assert_true(seconds == 1.25);
    assert_int_equal(hs_trainer_step_count(b->trainer), 5);
    assert_int_equal(hs_trainer_attempt(b->trainer), 2);
    steps(b, 7);
    assert_true(hs_model_hash(&a->model) == hs_model_hash(&b->model));
    size_t n, m;
    const hs_state_array *x = hs_trainer_state(a->trainer, &n), *y = hs_trainer_state(b->trainer, &m);
    assert_true(n == m && n >= 2);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(x[i].data, y[i].data, a->model.n_params * sizeof(float));
    /* weights alone */
    steps(b, 1);
    assert_int_equal(hs_checkpoint_load(folder, 5, &b->model, NULL, NULL, &err), HS_OK);
    assert_int_equal(hs_trainer_step_count(b->trainer), 13);
    destroy(a);
    destroy(b);
}

static void flip(const char *path, long from_end)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, -from_end, SEEK_END);
    int c = fgetc(f);
    fseek(f, -from_end, SEEK_END);
    fputc(c ^ 0x10, f);
    fclose(f);
}

static void test_damage(void **state)
{
    (void)state;
    fixture *f = create(16);
    hs_error err;
    bool found;
    latest(&found);
    assert_false(found);
    save(f, 0);
    assert_latest(0);
    for (int kind = 0; kind < 9; kind++) {
        steps(f, 1);
        const uint64_t step = hs_trainer_step_count(f->trainer);
        save(f, 1);
        assert_latest(step);
        const char *weights = file(step, ".safetensors"), *optimizer = file(step, ".state.safetensors");
        char path[512];
        snprintf(path, sizeof path, "%s/latest", folder);
        struct stat st;
        switch (kind) {
        case 0: /* cut off */
            assert_int_equal(stat(weights, &st), 0);
            assert_int_equal(truncate(weights, st.st_size - 1), 0);
            break;
        case 1:
            assert_int_equal(stat(optimizer, &st), 0);
            assert_int_equal(truncate(optimizer, st.st_size / 2), 0);
            break;
        case 2:
            assert_int_equal(truncate(weights, 0), 0);
            break;
        case 3: /* one bit */
            flip(weights, 100);
            break;
        case 4:
            flip(optimizer, 100);
            break;
        case 5: /* half of it */
            unlink(optimizer);
            break;
        case 6:
            unlink(weights);
            break;
        case 7: /* the weights of another step under this name */
            assert_int_equal(unlink(weights), 0);
            assert_int_equal(link(file(0, ".safetensors"), weights), 0);
            break;
        default: /* `latest` names one that was never there, or nothing sensible */
            unlink(weights);
            unlink(optimizer);
            assert_int_equal(hs_file_write(path, "step-99999999\n", 14, NULL), HS_OK);
            break;
        }
        assert_int_not_equal(hs_checkpoint_load(folder, step, &f->model, f->trainer, NULL, &err), HS_OK);
        assert_true(err.what[0] && err.where[0]);
        assert_int_equal(hs_trainer_step_count(f->trainer), step); /* a failed load changes nothing */
        assert_latest(0);
        unlink(weights);
        unlink(optimizer);
    }
    char path[512];
    snprintf(path, sizeof path, "%s/latest", folder);
    static const char *const texts[] = {
        "", "junk", "step-", "step-0x10", "step-00000000extra", "../step-00000000", "\xff\xff"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(hs_file_write(path, texts[i], strlen(texts[i]), NULL), HS_OK);
        assert_latest(0);
    }
    unlink(path);
    assert_latest(0);
    destroy(f);
}

static void test_other_model(void **state)
{
    (void)state;
    fixture *a = create(16), *b = create(32);
    hs_error err;
    steps(a, 1);
    save(a, 0);
    uint64_t before = hs_model_hash(&b->model);
    assert_int_equal(hs_checkpoint_load(folder, 1, &b->model, b->trainer, NULL, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "another model"));
    assert_true(hs_model_hash(&b->model) == before);
    destroy(b);
    /* the same model, another optimizer */
    fixture *c = create(16);
    hs_trainer_free(c->trainer);
    c->config.ema = 0;
    assert_int_equal(hs_trainer_create(&c->trainer, &c->model, &c->data, &c->config, NULL, &err), HS_OK);
    assert_int_equal(hs_checkpoint_load(folder, 1, &c->model, c->trainer, NULL, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "optimizer state"));
    assert_int_equal(hs_trainer_step_count(c->trainer), 0);
    destroy(c);
    destroy(a);
}

static int count_files(const char *part)
{
    DIR *d = opendir(folder);
    int n = 0;
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.' && strstr(e->d_name, part) != NULL;
    closedir(d);
    return n;
}

/* Whichever write or sync fails, the last good checkpoint stays the latest and no temporary is left. */
static void test_full_disk(void **state)
{
    (void)state;
    fixture *f = create(16);
    steps(f, 1);
    save(f, 0);
    steps(f, 1);
    hs_error err;
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        hs_io_fail_after(n);
        hs_status status = hs_checkpoint_save(folder, &f->model, f->trainer, 0, &err);
        hs_io_fail_after(0);
        assert_int_equal(count_files(".tmp-"), 0);
        if (status == HS_OK)
            break;
        assert_int_equal(status, HS_ERR_IO);
        assert_non_null(strstr(err.hint, "space"));
        assert_latest(1);
        failures++;
    }
    assert_true(failures >= 6);
    assert_latest(2);
    for (uint64_t n = 1; n < 500; n++) { /* and memory */
        hs_alloc_fail_after(n);
        hs_status status = hs_checkpoint_save(folder, &f->model, f->trainer, 0, &err);
        hs_alloc_fail_after(0);
        if (status == HS_OK)
            break;
        assert_int_equal(status, HS_ERR_MEMORY);
    }
    for (uint64_t n = 1; n < 500; n++) {
        uint64_t hash = hs_model_hash(&f->model);
        hs_alloc_fail_after(n);
        hs_status status = hs_checkpoint_load(folder, 2, &f->model, f->trainer, NULL, &err);
        hs_alloc_fail_after(0);
        assert_true(hash == hs_model_hash(&f->model));
        if (status == HS_OK)
            break;
        assert_int_equal(status, HS_ERR_MEMORY);
    }
    destroy(f);
}

static void test_read_only(void **state)
{
    (void)state;
    if (geteuid() == 0)
        skip(); /* root may write anywhere */
    fixture *f = create(16);
    hs_error err;
    save(f, 0);
    chmod(folder, 0555);
    steps(f, 1);
    assert_int_equal(hs_checkpoint_save(folder, &f->model, f->trainer, 0, &err), HS_ERR_IO);
    assert_latest(0);
    chmod(folder, 0755);
    destroy(f);
}

/* Damage is passed over and said; what cannot be read is an error, since nobody knows whether it is damaged. */
static void test_damage_is_told_from_failure(void **state)
{
    (void)state;
    fixture *f = create(16);
    uint64_t step;
    bool found;
    hs_error damage, err;
    for (int i = 0; i < 3; i++) {
        steps(f, 1);
        save(f, 0);
    }
    assert_int_equal(hs_checkpoint_latest(folder, &step, &found, &damage, &err), HS_OK);
    assert_true(found && step == 3 && damage.status == HS_OK);
    char *bytes;
    size_t size;
    assert_int_equal(hs_file_read(file(3, ".safetensors"), SIZE_MAX / 2, &bytes, &size, NULL), HS_OK);
    bytes[size / 2] ^= 1;
    assert_int_equal(hs_file_write(file(3, ".safetensors"), bytes, size, NULL), HS_OK);
    hs_free(bytes);
    assert_int_equal(hs_checkpoint_latest(folder, &step, &found, &damage, &err), HS_OK);
    assert_true(found && step == 2);
    assert_int_equal(damage.status, HS_ERR_DATA);
    assert_non_null(strstr(damage.where, "step-00000003"));
    unlink(file(3, ".safetensors")); /* half of it */
    assert_int_equal(hs_checkpoint_latest(folder, &step, &found, &damage, &err), HS_OK);
    assert_true(found && step == 2 && damage.status == HS_ERR_DATA);
    assert_int_equal(symlink("step-00000003.safetensors", file(3, ".safetensors")),
                     0); /* in a circle: cannot be opened */
    memset(&err, 0, sizeof err);
    assert_int_equal(hs_checkpoint_latest(folder, &step, &found, &damage, &err), HS_ERR_IO);
    assert_int_equal(err.status, HS_ERR_IO);
    assert_non_null(strstr(err.where, "step-00000003"));
    destroy(f);
}

static void test_prune(void **state)
{
    (void)state;
    fixture *f = create(16);
    hs_error err;
    f->config.checkpoint_keep = 2;
    f->config.checkpoints_per_decade = 1; /* 1, 10 */
    f->config.checkpoint_budget = 0;
    for (int i = 1; i <= 12; i++) {
        steps(f, 1);
        save(f, 0);
    }
    char temporary[512];
    snprintf(temporary, sizeof temporary, "%s/step-00000003.safetensors.tmp-123", folder);
    assert_int_equal(hs_file_write(temporary, "x", 1, NULL), HS_OK);
    assert_int_equal(hs_file_write(file(77, ".safetensors"), "x", 1, NULL), HS_OK); /* weights of a killed save */
    assert_int_equal(hs_checkpoint_prune(folder, &f->config, &err), HS_OK);
    static const uint64_t kept[] = {1, 10, 11, 12};
    assert_int_equal(count_files(".safetensors"), 2 * 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(hs_file_exists(file(kept[i], ".safetensors")) &&
                    hs_file_exists(file(kept[i], ".state.safetensors")));
    assert_latest(12);
    struct stat w, s;
    stat(file(12, ".safetensors"), &w);
    stat(file(12, ".state.safetensors"), &s);
    f->config.checkpoint_budget = (uint64_t)(w.st_size + s.st_size) * 3 + 1000;
    assert_int_equal(hs_checkpoint_prune(folder, &f->config, &err), HS_OK);
    assert_int_equal(count_files(".safetensors"), 2 * 3);
    assert_false(hs_file_exists(file(1, ".safetensors"))); /* the oldest goes first */
    f->config.checkpoint_budget = 1;
    assert_int_equal(hs_checkpoint_prune(folder, &f->config, &err), HS_OK);
    assert_int_equal(count_files(".safetensors"), 2); /* never the latest */
    assert_latest(12);
    destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_resume_is_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_is_told_from_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prune, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
