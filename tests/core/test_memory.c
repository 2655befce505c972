/* Alignment, injected failures, arrays that grow, arenas. */
#include "hopscope/core.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static void test_blocks(void **state)
{
    (void)state;
    for (size_t size = 0; size < 300; size++) {
        void *p = hs_alloc(size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        memset(p, 0xff, size);
        hs_free(p);
    }
    char *zero = hs_calloc(10, 100);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(zero[i], 0);
    memset(zero, 1, 1000);
    zero = hs_realloc(zero, 1000, 5000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(zero[i], 1);
    zero = hs_realloc(zero, 5000, 10);
    assert_int_equal(zero[9], 1);
    hs_free(zero);
    hs_free(NULL);
    assert_null(hs_alloc(SIZE_MAX));
    assert_null(hs_alloc(SIZE_MAX - 10));
    assert_null(hs_calloc(SIZE_MAX / 2, 3));
}

static void test_injected_failure(void **state)
{
    (void)state;
    hs_alloc_fail_after(2);
    void *first = hs_alloc(8);
    void *second = hs_alloc(8), *third = hs_alloc(8);
    char *copy = hs_strdup("x");
    hs_alloc_fail_after(0);
    assert_non_null(first);
    assert_null(second);
    assert_null(third);
    assert_null(copy);
    hs_free(first);
    copy = hs_strdup("abc");
    assert_string_equal(copy, "abc");
    hs_free(copy);
}

static void test_grow(void **state)
{
    (void)state;
    void *p = NULL;
    size_t cap = 0;
    hs_error err;
    assert_int_equal(hs_grow(&p, &cap, 1, sizeof(uint32_t), &err), HS_OK);
    assert_true(cap >= 1);
    uint32_t *x = p;
    for (size_t i = 0; i < cap; i++)
        x[i] = (uint32_t)i;
    size_t old = cap;
    assert_int_equal(hs_grow(&p, &cap, 1000, sizeof(uint32_t), &err), HS_OK);
    assert_true(cap >= 1000);
    x = p;
    for (size_t i = 0; i < old; i++)
        assert_int_equal(x[i], i);
    /* A failure leaves the array as it was. */
    void *before = p;
    old = cap;
    hs_alloc_fail_after(1);
    assert_int_equal(hs_grow(&p, &cap, 100000, sizeof(uint32_t), &err), HS_ERR_MEMORY);
    hs_alloc_fail_after(0);
    assert_ptr_equal(p, before);
    assert_int_equal(cap, old);
    assert_int_equal(hs_grow(&p, &cap, SIZE_MAX / 2, sizeof(uint32_t), &err), HS_ERR_MEMORY);
    assert_ptr_equal(p, before);
    hs_free(p);
}

static void test_arena(void **state)
{
    (void)state;
    hs_arena *arena = hs_arena_create(1000);
    char *p[200];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 200; i++) {
            size_t size = i * 37 % 2500; /* also larger than a block */
            p[i] = hs_arena_alloc(arena, size + 1);
            assert_non_null(p[i]);
            assert_int_equal((uintptr_t)p[i] % 64, 0);
            memset(p[i], (int)i, size + 1);
        }
        for (size_t i = 0; i < 200; i++)
            for (size_t j = 0; j <= i * 37 % 2500; j++)
                assert_int_equal((unsigned char)p[i][j], i);
        uint64_t count = hs_alloc_count();
        hs_arena_reset(arena);
        if (round > 0)
            assert_int_equal(hs_alloc_count(), count);
    }
    /* The same sizes again need no new memory. */
    uint64_t count = hs_alloc_count();
    for (size_t i = 0; i < 200; i++)
        assert_non_null(hs_arena_alloc(arena, i * 37 % 2500 + 1));
    assert_int_equal(hs_alloc_count(), count);
    assert_null(hs_arena_alloc(arena, SIZE_MAX));
    assert_null(hs_arena_alloc(arena, SIZE_MAX - 63));
    assert_null(hs_arena_strdup(arena, "x", SIZE_MAX));
    assert_string_equal(hs_arena_strdup(arena, "hello", 4), "hell");
    hs_alloc_fail_after(1);
    void *failed = hs_arena_alloc(arena, 1 << 20);
    hs_arena *none = hs_arena_create(0);
    hs_alloc_fail_after(0);
    assert_null(failed);
    assert_null(none);
    assert_non_null(hs_arena_alloc(arena, 1 << 20));
    hs_arena_free(arena);
    hs_arena_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_injected_failure),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
