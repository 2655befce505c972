/* Which items a step draws: whole epochs, shares of splits, the errors of train.shares. */
#include "train/internal.h"

#include "check.h"

static hs_dataset data;
static hs_error error;

static int build(void **state)
{
    (void)state;
    hs_data_config config;
    hs_data_config_default(&config);
    config.entities = 30;
    config.relations = 6;
    config.out_degree = 4;
    config.ood_fraction = 0.2;
    config.phi = 0;
    return hs_dataset_build(&data, &config, NULL, NULL, NULL, &error) == HS_OK ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    hs_dataset_free(&data);
    return 0;
}

static uint32_t split_of(const char *name)
{
    return (uint32_t)(hs_dataset_split(&data, name) - data.splits);
}

static hs_draw *draw_of(const char *shares)
{
    hs_draw *draw;
    if (hs_shares_check(shares, &error) != HS_OK || hs_draw_create(&draw, &data, shares, 5, &error) != HS_OK)
        fail_msg("%s: %s", shares, error.what);
    return draw;
}

/* Of any stretch of sequences a split has its share, to within one a portion. */
static void check_counts(const hs_draw *draw, const double *share)
{
    uint64_t n[64] = {0};
    for (uint64_t i = 0; i < 4000; i++) {
        n[hs_draw_item(draw, i, 0, false).split]++;
        for (uint32_t s = 0; s < data.n_splits; s++)
            if (share[s] >= 0 && !(fabs((double)n[s] - share[s] * (double)(i + 1)) <= 3))
                fail_msg("%s: %llu of %llu", data.splits[s].name, (unsigned long long)n[s], (unsigned long long)i + 1);
    }
}

static void test_shares_are_kept(void **state)
{
    (void)state;
    const uint32_t id = split_of("id_atomic"), ood = split_of("ood_atomic"), queries = split_of("train_inferred");
    double share[64];
    for (uint32_t s = 0; s < 64; s++)
        share[s] = 0;
    hs_draw *draw = draw_of("id_atomic=0.25, ood_atomic=0.125");
    share[id] = 0.25;
    share[ood] = 0.125;
    share[queries] = 0.625;
    check_counts(draw, share);
    for (uint32_t s = 0; s < data.n_splits; s++)
        assert_true(fabs(hs_draw_share(draw, &data, s) - share[s]) < 1e-12);
    hs_draw_free(draw);
    /* The two splits of facts share theirs by size, over an epoch of both. */
    draw = draw_of("facts=0.4");
    share[id] = share[ood] = -1;
    share[queries] = 0.6;
    check_counts(draw, share);
    const double facts = (double)(data.splits[id].n + data.splits[ood].n);
    assert_true(fabs(hs_draw_share(draw, &data, id) - 0.4 * (double)data.splits[id].n / facts) < 1e-12);
    hs_draw_free(draw);
    /* A split may be left out, or be all there is. */
    draw = draw_of("ood_atomic=0");
    share[ood] = 0;
    share[id] = share[queries] = -1;
    check_counts(draw, share);
    hs_draw_free(draw);
    draw = draw_of("train_inferred=1");
    share[id] = 0;
    share[queries] = 1;
    check_counts(draw, share);
    hs_draw_free(draw);
    draw = draw_of("train_inferred=0.5,ood_atomic=0.3,id_atomic=0.2"); /* every split named */
    share[id] = 0.2;
    share[ood] = 0.3;
    share[queries] = 0.5;
    check_counts(draw, share);
    hs_draw_free(draw);
}

/* Each item once in each epoch of its portion, in another order each time. */
static void test_epochs_are_whole(void **state)
{
    (void)state;
    const uint32_t ood = split_of("ood_atomic");
    const uint64_t n = data.splits[ood].n;
    hs_draw *draw = draw_of("ood_atomic=0.3");
    uint64_t *seen = hs_calloc(n, sizeof *seen), *order = hs_calloc(2 * n, sizeof *order), drawn = 0;
    for (uint64_t i = 0; drawn < 2 * n; i++) {
        const hs_item item = hs_draw_item(draw, i, 0, false);
        if (item.split != ood)
            continue;
        order[drawn] = item.index;
        seen[item.index]++;
        if (++drawn == n)
            for (uint64_t k = 0; k < n; k++)
                assert_int_equal(seen[k], 1);
    }
    for (uint64_t k = 0; k < n; k++)
        assert_int_equal(seen[k], 2);
    assert_memory_not_equal(order, order + n, n * sizeof *order);
    hs_free(seen);
    hs_free(order);
    hs_draw_free(draw);
}

/* Without shares: one epoch is a permutation of all, named as ever, so that earlier runs go on. */
static void test_without_shares(void **state)
{
    (void)state;
    hs_draw *draw = draw_of("");
    const uint64_t n = hs_draw_items(draw);
    for (uint64_t i = 0; i < 2 * n; i++) {
        uint64_t at = hs_permute(5, HS_PURPOSE('o', 'r', 'd', 'r') + 3, i / n, n, i % n), plain = i % n;
        const hs_item item = hs_draw_item(draw, i, 3, false), whole = hs_draw_item(draw, i, 3, true);
        for (uint32_t s = 0; s < data.n_splits; s++) {
            const hs_split *split = &data.splits[s];
            const uint64_t size = split->role == HS_SPLIT_TRAIN ? split->n : 0;
            if (at < size)
                assert_true(item.split == s && item.index == at);
            if (plain < size)
                assert_true(whole.split == s && whole.index == plain);
            at = at < size ? UINT64_MAX / 2 : at - size;
            plain = plain < size ? UINT64_MAX / 2 : plain - size;
        }
    }
    hs_draw_free(draw);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *shares, *what, *hint;
    } cases[] = {
        {"facts", "not SPLIT=SHARE", "facts=0.4"},
        {"facts=1.5", "not SPLIT=SHARE", "facts=0.4"},
        {"facts=-0.1", "not SPLIT=SHARE", "facts=0.4"},
        {"facts=nan", "not SPLIT=SHARE", "facts=0.4"},
        {"facts=0.4x", "not SPLIT=SHARE", "facts=0.4"},
        {"=0.4", "not SPLIT=SHARE", "facts=0.4"},
        {"facts=0.6,train_inferred=0.6", "more than the whole batch", "add up to 1.2"},
        {"id_atomik=0.2", "no training items", "did you mean id_atomic?"},
        {"test_ii=0.2", "no training items", "possible: facts, "},
        {"facts=0.2,id_atomic=0.1", "two shares", ""},
        {"facts=0.4,train_inferred=0.2", "less than the whole batch", "add up to 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hs_draw *draw = NULL;
        error = (hs_error){0};
        hs_status status = hs_shares_check(cases[i].shares, &error);
        if (status == HS_OK)
            status = hs_draw_create(&draw, &data, cases[i].shares, 1, &error);
        assert_int_equal(status, HS_ERR_DATA);
        assert_null(draw);
        assert_string_equal(error.where, "train.shares");
        if (!strstr(error.what, cases[i].what) || !strstr(error.hint, cases[i].hint))
            fail_msg("%s: %s (%s)", cases[i].shares, error.what, error.hint);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_are_kept),
        cmocka_unit_test(test_epochs_are_whole),
        cmocka_unit_test(test_without_shares),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests_name("train.draw", tests, build, drop);
}
