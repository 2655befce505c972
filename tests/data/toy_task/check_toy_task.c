/* A task is added as docs/design.md says ("Adding a task"): a folder and a line in two files. The dataset it makes is
 * proved, read by roles, measured by shortcuts, written and read back. */
#include "../data_test.h"

static void made_and_proved(void **state)
{
    (void)state;
    hs_data_config c;
    assert_ok(hs_data_config_for_task(&c, "sum", err));
    assert_int_equal(c.entities, 97);
    hs_dataset d = {0};
    assert_ok(hs_dataset_build(&d, &c, NULL, NULL, NULL, err));
    const hs_split *test = hs_dataset_split(&d, "test_sum");
    assert_int_equal(test->n + hs_dataset_split(&d, "train_sum")->n, 97 * 97);
    assert_true(d.audit.passed);
    assert_non_null(strstr(d.card, "\"kind\": \"sum\""));
    hs_role roles[HS_MAX_ROLES];
    assert_int_equal(hs_split_roles(&d, test, roles), 4);
    assert_string_equal(roles[2].name, "plus");
    uint32_t a[2], b[2], sum[2];
    for (uint64_t i = 0; i < test->n; i++) {
        assert_int_equal(hs_item_role(&d, test, i, "a", a), 1);
        assert_int_equal(hs_item_role(&d, test, i, "b", b), 1);
        assert_int_equal(hs_item_role(&d, test, i, "c", sum), 1);
        assert_int_equal((a[0] + b[0]) % 97, sum[0]);
    }
    assert_int_equal(hs_item_role(&d, test, 0, "h", a), 0);
    double majority = d.audit.split[test - d.splits].baselines.majority_r1r2;
    assert_true(majority >= 0 && majority < 0.1);
    d.splits[0].tokens[3] ^= 1;
    assert_ok(hs_dataset_audit(&d, err));
    assert_false(d.audit.passed);
    hs_dataset_free(&d);
}

static void comes_back(void **state)
{
    (void)state;
    hs_data_config c;
    assert_ok(hs_data_config_for_task(&c, "sum", err));
    hs_dataset d = {0}, folder = {0}, lines = {0};
    assert_ok(hs_dataset_build(&d, &c, NULL, NULL, NULL, err));
    char path[256], file[256];
    fresh_path(path, "folder");
    fresh_path(file, "lines.jsonl");
    assert_ok(hs_dataset_write(&d, path, err));
    assert_ok(hs_dataset_write_jsonl(&d, file, err));
    assert_ok(hs_dataset_read(&folder, path, err));
    assert_ok(hs_dataset_read_jsonl(&lines, file, err));
    for (uint32_t k = 0; k < d.n_splits; k++) {
        assert_int_equal(folder.splits[k].hash, d.splits[k].hash);
        assert_int_equal(lines.splits[k].hash, d.splits[k].hash);
    }
    hs_dataset_free(&d);
    hs_dataset_free(&folder);
    hs_dataset_free(&lines);
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s' '%s'", path, file);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(made_and_proved), cmocka_unit_test(comes_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
