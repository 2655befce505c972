/* Interned names: dense ids in order, lookups, growth, odd strings, failing memory. */
#include "helpers.h"

static void test_order(void **state)
{
    (void)state;
    hs_names names = {0};
    uint32_t id;
    assert_int_equal(hs_names_find(&names, "a", 1), HS_NO_ID);
    assert_ok(hs_names_add(&names, "alpha", 5, &id, err));
    assert_int_equal(id, 0);
    assert_ok(hs_names_add(&names, "beta", 4, &id, err));
    assert_int_equal(id, 1);
    assert_ok(hs_names_add(&names, "alphabet", 5, &id, err)); /* only 5 bytes count */
    assert_int_equal(id, 0);
    assert_ok(hs_names_add(&names, "", 0, &id, err));
    assert_int_equal(id, 2);
    assert_ok(hs_names_add(&names, "a\0b", 3, &id, err));
    assert_int_equal(id, 3);
    assert_int_equal(hs_names_find(&names, "a\0b", 3), 3);
    assert_int_equal(hs_names_find(&names, "a", 1), HS_NO_ID);
    assert_int_equal(hs_names_find(&names, "", 0), 2);
    assert_string_equal(hs_names_get(&names, 1), "beta");
    assert_int_equal(names.n, 4);
    hs_names_free(&names);
    hs_names_free(&names);
    hs_names_free(NULL);
}

static void test_many(void **state)
{
    (void)state;
    hs_names names = {0};
    char text[32];
    uint32_t id;
    for (uint32_t i = 0; i < 100000; i++) {
        int len = snprintf(text, sizeof text, "name %u", i * 7919u);
        assert_ok(hs_names_add(&names, text, (size_t)len, &id, err));
        assert_int_equal(id, i);
    }
    for (uint32_t i = 0; i < 100000; i++) {
        int len = snprintf(text, sizeof text, "name %u", i * 7919u);
        assert_int_equal(hs_names_find(&names, text, (size_t)len), i);
        assert_string_equal(hs_names_get(&names, i), text);
    }
    assert_true((uint64_t)names.n * 3 <= (uint64_t)names.n_slots * 2);
    hs_names_free(&names);
}

/* A name added from the object's own text, at the moment the text moves. */
static void test_own_text(void **state)
{
    (void)state;
    hs_names names = {0};
    uint32_t id;
    assert_ok(hs_names_add(&names, "0123456789", 10, &id, err));
    for (size_t len = 9; len > 0; len--) {
        const char *own = hs_names_get(&names, 0);
        assert_ok(hs_names_add(&names, own, len, &id, err));
    }
    assert_int_equal(names.n, 10);
    for (uint32_t i = 0; i < 10; i++)
        assert_memory_equal(hs_names_get(&names, i), "0123456789", 10 - i);
    hs_names_free(&names);
}

static hs_status add_some(hs_error *err)
{
    hs_names names = {0};
    char text[32];
    uint32_t id;
    hs_status status = HS_OK;
    uint32_t added = 0;
    for (uint32_t i = 0; status == HS_OK && i < 200; i++) {
        int len = snprintf(text, sizeof text, "%u", i);
        status = hs_names_add(&names, text, (size_t)len, &id, err);
        added += status == HS_OK;
    }
    /* A failed add leaves what was there. */
    assert_int_equal(names.n, added);
    for (uint32_t i = 0; i < added; i++) {
        int len = snprintf(text, sizeof text, "%u", i);
        assert_int_equal(hs_names_find(&names, text, (size_t)len), i);
    }
    hs_names_free(&names);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    every_allocation_fails(add_some);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_own_text),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
