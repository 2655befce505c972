/* The n-th allocation of a whole small run fails, for every n: out of memory is said, nothing leaks (address
 * sanitizer), and what is left of the run lets the next start reach the same bits. */
#include "hopscope/experiment.h"
#include "hopscope/tensor.h"

#include "check.h"

#include <unistd.h>

static char folder[256];
static hs_error error;
static hs_config config;

static int set_up(void **state)
{
    (void)state;
    static const char yaml[] =
        "data:\n  entities: 12\n  relations: 4\n  out_degree: 2\n  phi: 0\n  holdout: 0.1\n"
        "model:\n  n_embd: 8\n  n_head: 2\n  dropout: 0.1\n"
        "train:\n  steps: 4\n  batch: 8\n  shards: 2\n  threads: 1\n  checkpoint_every: 2\n  ema: 0.9\n"
        "  eval_every: 2\n  evals_per_decade: 0\n  filter: grokfast_ema\n";
    /* in memory where that is possible: thousands of synced writes say nothing here and wear the disk */
    snprintf(folder, sizeof folder, "%s/hopscope_memory_XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : TEST_BINARY_DIR);
    return mkdtemp(folder) && hs_config_parse(&config, "small", yaml, sizeof yaml - 1, NULL, 0, &error) == HS_OK &&
                   hs_tensor_open(&error) == HS_OK
               ? 0
               : -1;
}

static void remove_run(const char *name)
{
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s/%s'", folder, name);
    assert_int_equal(system(command), 0);
}

static int tear_down(void **state)
{
    (void)state;
    remove_run("");
    return 0;
}

static hs_status run_in(const char *name, uint64_t fail_at)
{
    char dir[512];
    snprintf(dir, sizeof dir, "%s/%s", folder, name);
    const hs_experiment_options options = {.run_dir = dir, .no_estimate = true};
    hs_experiment_result result = {0};
    memset(&error, 0, sizeof error);
    hs_alloc_fail_after(fail_at);
    const hs_status status = hs_experiment_run(&config, &options, NULL, NULL, &result, &error);
    hs_alloc_fail_after(0);
    hs_experiment_result_free(&result);
    return status;
}

static uint64_t final_hash(const char *name)
{
    char dir[512];
    snprintf(dir, sizeof dir, "%s/%s", folder, name);
    hs_run run = {0};
    if (hs_run_open(&run, dir, HS_LATEST, &error) != HS_OK)
        fail_msg("%s: %s", error.where, error.what);
    const uint64_t hash = hs_model_hash(&run.model);
    hs_run_close(&run);
    return hash;
}

static void test_every_allocation(void **state)
{
    (void)state;
    const uint64_t before = hs_alloc_count();
    assert_int_equal(run_in("whole", 0), HS_OK);
    const uint64_t total = hs_alloc_count() - before, hash = final_hash("whole");
    print_message("%llu allocations\n", (unsigned long long)total);
    assert_true(total > 200);
    uint64_t failures = 0;
    for (uint64_t n = 1; n <= total; n++) {
        const hs_status status = run_in("one", n);
        if (status == HS_OK) /* a cache or a message that the run could do without */
            print_message("allocation %llu was not needed\n", (unsigned long long)n);
        else if (status != HS_ERR_MEMORY)
            fail_msg("allocation %llu of %llu: %s: %s", (unsigned long long)n, (unsigned long long)total, error.where,
                     error.what);
        failures += status == HS_ERR_MEMORY;
        if (run_in("one", 0) != HS_OK)
            fail_msg("after allocation %llu of %llu failed: %s: %s", (unsigned long long)n, (unsigned long long)total,
                     error.where, error.what);
        if (final_hash("one") != hash)
            fail_msg("after allocation %llu of %llu failed: other bits", (unsigned long long)n,
                     (unsigned long long)total);
        remove_run("one");
    }
    assert_true(failures > total * 9 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_every_allocation, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
