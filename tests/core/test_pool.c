/* Every task runs exactly once, whatever the number of threads; jobs follow each other without a gap or a leak. */
#include "hopscope/core.h"

#include <setjmp.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

enum { TASKS = 1000 };

typedef struct job {
    uint32_t done[TASKS]; /* plain: a data race here is what the thread sanitizer looks for */
    atomic_uint runs, bad_worker;
    uint32_t threads;
} job;

static void task_fn(void *ctx, uint32_t task, uint32_t worker)
{
    job *j = ctx;
    j->done[task]++;
    atomic_fetch_add(&j->runs, 1);
    if (worker >= j->threads)
        atomic_fetch_add(&j->bad_worker, 1);
}

static void test_every_task_once(void **state)
{
    (void)state;
    static const uint32_t threads[] = {1, 2, 3, 7};
    static job j;
    for (size_t k = 0; k < sizeof threads / sizeof *threads; k++) {
        hs_pool *pool = hs_pool_create(threads[k]);
        assert_non_null(pool);
        assert_int_equal(hs_pool_threads(pool), threads[k]);
        memset(&j, 0, sizeof j);
        j.threads = threads[k];
        uint32_t expected = 0;
        for (uint32_t n = 0; n < 200; n++) { /* jobs of 0, 1, few and many tasks, back to back */
            uint32_t n_tasks = n % 10 == 9 ? TASKS : n % 10;
            hs_pool_run(pool, n_tasks, task_fn, &j);
            expected += n_tasks;
            assert_int_equal(atomic_load(&j.runs), expected);
        }
        assert_int_equal(j.done[TASKS - 1], 20);
        assert_int_equal(atomic_load(&j.bad_worker), 0);
        hs_pool_free(pool);
    }
}

static void test_without_threads(void **state)
{
    (void)state;
    static job j;
    j.threads = 1;
    hs_pool_run(NULL, TASKS, task_fn, &j);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(j.done[i], 1);
    assert_int_equal(hs_pool_threads(NULL), 1);
    hs_pool_free(NULL);
    hs_pool *pool = hs_pool_create(0);
    assert_non_null(pool);
    assert_true(hs_pool_threads(pool) >= 1);
    hs_pool_free(pool);
    for (uint64_t n = 1; n <= 2; n++) {
        hs_alloc_fail_after(n);
        pool = hs_pool_create(2);
        hs_alloc_fail_after(0);
        assert_null(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_once),
        cmocka_unit_test(test_without_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
