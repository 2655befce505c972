/* Cores and memory that are this process's: control groups of both versions, ancestors, Slurm's variables. */
#include "check.h"

#include <sys/stat.h>
#include <unistd.h>

static char root[256];

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s/cgroup_XXXXXX", TEST_BINARY_DIR);
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[400];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void put(const char *name, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", root, name);
    *strrchr(path, '/') = 0;
    assert_ok(hs_make_dirs(path, err));
    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_ok(hs_file_write(path, text, strlen(text), err));
}

static void test_groups(void **state)
{
    (void)state;
    assert_int_equal(hs_cgroup_cores(root, "/job/step"), 0);
    assert_true(hs_cgroup_memory(root, "/job/step") == UINT64_MAX);
    put("job/step/cpu.max", "max 100000\n");
    assert_int_equal(hs_cgroup_cores(root, "/job/step"), 0);
    put("job/cpu.max", "350000 100000\n"); /* 3.5 cores, of an ancestor */
    assert_int_equal(hs_cgroup_cores(root, "/job/step"), 3);
    put("job/step/cpu.max", "50000 100000\n");
    assert_int_equal(hs_cgroup_cores(root, "/job/step"), 1);
    put("job/memory.max", "5000000\n");
    put("job/memory.current", "1000000\n");
    put("job/step/memory.max", "max\n");
    assert_int_equal(hs_cgroup_memory(root, "/job/step"), 4000000);
    put("old/cpu.cfs_quota_us", "-1\n");
    put("old/cpu.cfs_period_us", "100000\n");
    assert_int_equal(hs_cgroup_cores(root, "/old"), 0);
    put("old/cpu.cfs_quota_us", "200000\n");
    put("old/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(hs_cgroup_cores(root, "/old"), 2);
    assert_true(hs_cgroup_memory(root, "/old") == UINT64_MAX);
}

static void test_slurm(void **state)
{
    (void)state;
    const uint32_t all = hs_cores();
    assert_true(all >= 1 && hs_memory_available() > 0);
    setenv("SLURM_CPUS_PER_TASK", "1", 1);
    setenv("SLURM_MEM_PER_NODE", "1", 1);
    assert_int_equal(hs_cores(), 1);
    assert_true(hs_memory_available() <= 1 << 20);
    setenv("SLURM_CPUS_PER_TASK", "100000", 1);
    assert_int_equal(hs_cores(), all);
    setenv("SLURM_CPUS_PER_TASK", "nonsense", 1);
    assert_int_equal(hs_cores(), all);
    unsetenv("SLURM_CPUS_PER_TASK");
    unsetenv("SLURM_MEM_PER_NODE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_groups, set_up, tear_down),
                                       cmocka_unit_test(test_slurm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
