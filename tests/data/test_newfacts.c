/* New facts (arXiv 2601.09049, 5.1): the counts of the code and of the paper, and what the new tests promise. */
#include "data_test.h"

static void base_dataset(hs_dataset *d, bool full)
{
    hs_data_config c = small_config(2);
    if (full)
        hs_data_config_default(&c);
    c.end_token = true;
    *d = (hs_dataset){0};
    assert_ok(hs_dataset_build(d, &c, NULL, NULL, NULL, err));
}

static void as_the_code(void **state)
{
    (void)state;
    hs_dataset base, d = {0};
    base_dataset(&base, true);
    hs_new_facts_config c;
    hs_new_facts_config_default(&c);
    assert_ok(hs_dataset_new_facts(&base, &c, &d, err));
    /* 220 + 7,780 + 2,000 in the released run */
    assert_int_equal(split_n(&d, "kept_atomic") + split_n(&d, "kept_inferred"), 8000);
    assert_in_range(split_n(&d, "kept_atomic"), 190, 260);
    assert_int_equal(split_n(&d, "new_atomic"), 2000);
    assert_int_equal(d.audit.training_items, 10000);
    assert_in_range(split_n(&d, "test_new_new"), 2700, 3000);
    assert_in_range(split_n(&d, "test_new_old") + split_n(&d, "test_old_new"), 350, 570); /* 459 */
    assert_int_equal(split_n(&d, "test_oo"), split_n(&base, "test_oo"));
    assert_true(d.audit.passed);
    char dir[256];
    hs_dataset r = {0};
    fresh_path(dir, "newfacts");
    assert_ok(hs_dataset_write(&d, dir, err));
    assert_ok(hs_dataset_read(&r, dir, err));
    assert_same_splits(&d, &r);
    remove_path(dir);
    hs_dataset_free(&r);
    hs_dataset_free(&d);
    hs_dataset_free(&base);
}

static void as_the_paper(void **state)
{
    (void)state;
    hs_dataset base, d = {0};
    base_dataset(&base, true);
    hs_new_facts_config c;
    hs_new_facts_config_default(&c);
    c.paper = true;
    assert_ok(hs_dataset_new_facts(&base, &c, &d, err));
    assert_int_equal(split_n(&d, "kept_atomic"), 8000);
    /* both hops among 8,000 of 38,000: 684,000 * (8/38)^2 = 30,316 */
    assert_in_range(split_n(&d, "kept_inferred"), 28500, 32000);
    assert_int_equal(split_n(&d, "new_atomic"), 2000);
    hs_dataset_free(&d);
    hs_dataset_free(&base);
}

static bool has_fact(const hs_split *s, uint32_t head, uint32_t relation)
{
    for (uint64_t i = 0; i < s->n; i++)
        if (item(s, i)[0] == head && item(s, i)[1] == relation)
            return true;
    return false;
}

static void small_by_brute_force(void **state)
{
    (void)state;
    hs_dataset base, d = {0};
    base_dataset(&base, false);
    hs_new_facts_config c = {.seed = 3, .new_facts = 20, .keep = 100, .test_max = 0};
    assert_ok(hs_dataset_new_facts(&base, &c, &d, err));
    const hs_split *fresh = hs_dataset_split(&d, "new_atomic"), *kept = hs_dataset_split(&d, "kept_atomic");
    const hs_split *queries = hs_dataset_split(&d, "kept_inferred"), *old = hs_dataset_split(&base, "train_inferred");
    assert_int_equal(fresh->n, 20);
    assert_int_equal(kept->n + queries->n, 100);
    for (uint64_t i = 0; i < fresh->n; i++) { /* no head has the relation already */
        uint64_t first, last;
        hs_dataset_facts_of(&base, item(fresh, i)[0], item(fresh, i)[1], &first, &last);
        assert_int_equal(first, last);
        hs_dataset_facts_of(&d, item(fresh, i)[0], item(fresh, i)[1], &first, &last);
        assert_int_equal(last, first + 1);
    }
    uint64_t closure = 0; /* every training query that uses a kept fact is kept */
    for (uint64_t i = 0; i < old->n; i++)
        closure += has_fact(kept, item(old, i)[0], item(old, i)[1]) || has_fact(kept, old->bridge[i], item(old, i)[2]);
    assert_int_equal(closure, queries->n);
    static const char *const TESTS[] = {"test_new_new", "test_new_old", "test_old_new"};
    for (size_t k = 0; k < 3; k++) {
        const hs_split *s = hs_dataset_split(&d, TESTS[k]);
        const hs_split *one = k == 2 ? kept : fresh, *two = k == 1 ? kept : fresh;
        uint64_t expected = 0;
        for (uint64_t i = 0; i < one->n; i++)
            for (uint64_t j = 0; j < two->n; j++)
                expected += item(one, i)[2] == item(two, j)[0];
        assert_int_equal(s ? s->n : 0, expected);
        for (uint64_t i = 0; s && i < s->n; i++) {
            assert_true(has_fact(one, item(s, i)[0], item(s, i)[1]));
            assert_true(has_fact(two, s->bridge[i], item(s, i)[2]));
        }
        assert_true(k > 0 || expected >= 10);
    }
    hs_dataset_free(&d);
    hs_dataset_free(&base);
}

/* Over a base with fact-level augmentation, kept injected queries stay apart: they have OOD hops on purpose. */
static void over_injected_queries(void **state)
{
    (void)state;
    hs_dataset base, d = {0};
    hs_data_config c = small_config(2);
    c.ood_fraction = 0.3;
    c.injection = HS_INJECTION_BOTH_FULL;
    assert_ok(hs_dataset_build(memset(&base, 0, sizeof base), &c, NULL, NULL, NULL, err));
    hs_new_facts_config how = {.seed = 3, .new_facts = 20, .keep = 300, .test_max = 0};
    assert_ok(hs_dataset_new_facts(&base, &how, &d, err));
    assert_true(d.audit.passed);
    const hs_split *kept = hs_dataset_split(&d, "kept_atomic");
    uint64_t n = kept->n;
    static const char *const FROM[] = {"train_inferred", "train_aug_h1", "train_aug_h2"};
    static const char *const TO[] = {"kept_inferred", "train_aug_h1", "train_aug_h2"};
    for (size_t k = 0; k < 3; k++) {
        const hs_split *old = hs_dataset_split(&base, FROM[k]);
        uint64_t closure = 0;
        for (uint64_t i = 0; i < old->n; i++)
            closure +=
                has_fact(kept, item(old, i)[0], item(old, i)[1]) || has_fact(kept, old->bridge[i], item(old, i)[2]);
        assert_true(closure > 0);
        assert_int_equal(split_n(&d, TO[k]), closure);
        n += closure;
    }
    assert_in_range(n, 290, 300);
    hs_dataset_free(&d);
    hs_dataset_free(&base);
}

static void impossible(void **state)
{
    (void)state;
    hs_dataset base, d = {0};
    base_dataset(&base, false);
    hs_new_facts_config c = {.seed = 1, .new_facts = 2000, .keep = 100, .test_max = 0};
    hs_error e = {0};
    assert_int_equal(hs_dataset_new_facts(&base, &c, &d, &e), HS_ERR_DATA); /* 40 * (8 - 4) relations are free */
    assert_non_null(strstr(e.what, "unused relations"));
    assert_null(d.splits);
    c.new_facts = 7;
    assert_int_equal(hs_dataset_new_facts(&base, &c, &d, &e), HS_ERR_DATA);
    hs_dataset_free(&base);
    hs_data_config three = small_config(3);
    assert_ok(hs_dataset_build(&base, &three, NULL, NULL, NULL, err));
    c.new_facts = 10;
    assert_int_equal(hs_dataset_new_facts(&base, &c, &d, &e), HS_ERR_DATA);
    hs_dataset_free(&base);
}

static void out_of_memory(void **state)
{
    (void)state;
    hs_dataset base;
    base_dataset(&base, false);
    hs_new_facts_config c = {.seed = 3, .new_facts = 20, .keep = 100, .test_max = 0};
    hs_status status = HS_ERR_MEMORY;
    for (uint64_t n = 1; status != HS_OK; n++) {
        hs_dataset d = {0};
        hs_alloc_fail_after(n);
        status = hs_dataset_new_facts(&base, &c, &d, NULL);
        hs_alloc_fail_after(0);
        if (status != HS_OK)
            assert_null(d.splits);
        hs_dataset_free(&d);
    }
    hs_dataset_free(&base);
}

static void assert_same_item(const hs_dataset *a, const hs_split *s, const hs_dataset *b, const hs_split *t, uint64_t i)
{
    for (uint32_t k = 0; k < s->width; k++)
        assert_string_equal(hs_names_get(&a->vocab, item(s, i)[k]), hs_names_get(&b->vocab, item(t, i)[k]));
    for (uint32_t k = 0; k < s->bridges; k++)
        assert_string_equal(hs_names_get(&a->vocab, s->bridge[i * s->bridges + k]),
                            hs_names_get(&b->vocab, t->bridge[i * t->bridges + k]));
}

/* Every split of one dataset beside those of another with other tokens; written, read, and over a third. */
static void watched(void **state)
{
    (void)state;
    hs_data_config c = small_config(2);
    hs_dataset old = {0}, d = {0}, r = {0}, third = {0};
    assert_ok(hs_dataset_build(&old, &c, NULL, NULL, NULL, err));
    c.entities = 30; /* ten of the old entities have no token here */
    c.relations = 9;
    c.seed = 7;
    assert_ok(hs_dataset_build(&d, &c, NULL, NULL, NULL, err));
    const uint32_t own = d.n_splits, tokens = d.vocab.n;
    const uint64_t trained = d.audit.training_items;
    assert_ok(hs_dataset_watch(&d, &old, "first", err));
    assert_int_equal(d.vocab.n, tokens + 10);
    assert_true(d.audit.passed && d.audit.training_items == trained);
    uint32_t seen = 0;
    for (uint32_t k = 0; k < old.n_splits; k++) {
        const hs_split *s = &old.splits[k];
        char name[80];
        snprintf(name, sizeof name, "first.%s", s->name);
        const hs_split *t = hs_dataset_split(&d, name);
        if (s->n == 0) {
            assert_null(t);
            continue;
        }
        assert_non_null(t);
        seen++;
        assert_true(t->role == HS_SPLIT_WATCH && t->kind == s->kind && t->n == s->n && t->width == s->width);
        for (uint64_t i = 0; i < s->n; i++)
            assert_same_item(&old, s, &d, t, i);
    }
    assert_int_equal(d.n_splits, own + seen);
    char dir[256], lines[256], other[256];
    fresh_path(dir, "watched");
    fresh_path(lines, "watched.jsonl");
    fresh_path(other, "published");
    assert_ok(hs_dataset_write(&d, dir, err));
    assert_ok(hs_dataset_read(&r, dir, err));
    assert_same_splits(&d, &r);
    assert_ok(hs_dataset_audit(&r, err));
    assert_true(r.audit.passed);
    assert_ok(hs_dataset_write_jsonl(&r, lines, err));
    hs_dataset_free(&d);
    assert_ok(hs_dataset_read_jsonl(&d, lines, err));
    for (uint32_t k = 0; k < r.n_splits; k++)
        assert_true(hs_dataset_split(&d, r.splits[k].name)->role == r.splits[k].role);
    hs_error error = {0};
    assert_int_equal(hs_dataset_write_published(&r, other, &error), HS_ERR_DATA);
    assert_true(strstr(error.where, "first.") != NULL);
    assert_int_equal(hs_dataset_write_trm(&r, other, &error), HS_ERR_DATA);
    assert_int_not_equal(access(other, F_OK), 0);
    /* what a stage only watched keeps its name in the next */
    c.seed = 8;
    assert_ok(hs_dataset_build(&third, &c, NULL, NULL, NULL, err));
    assert_ok(hs_dataset_watch(&third, &r, "second", err));
    assert_non_null(hs_dataset_split(&third, "first.id_atomic"));
    assert_non_null(hs_dataset_split(&third, "second.id_atomic"));
    /* a name twice, a name too long */
    assert_int_equal(hs_dataset_watch(&third, &old, "second", &error), HS_ERR_DATA);
    assert_true(strstr(error.what, "there already") != NULL);
    hs_dataset_free(&third);
    assert_ok(hs_dataset_build(&third, &c, NULL, NULL, NULL, err));
    assert_int_equal(hs_dataset_watch(&third, &old, "a-name-of-more-than-forty-eight-bytes-of-text", &error),
                     HS_ERR_DATA);
    assert_true(strstr(error.what, "too long") != NULL);
    remove_path(dir);
    remove_path(lines);
    hs_dataset_free(&old);
    hs_dataset_free(&d);
    hs_dataset_free(&r);
    hs_dataset_free(&third);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_code), cmocka_unit_test(as_the_paper),  cmocka_unit_test(small_by_brute_force),
        cmocka_unit_test(impossible),  cmocka_unit_test(out_of_memory), cmocka_unit_test(over_injected_queries),
        cmocka_unit_test(watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
