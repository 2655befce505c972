/* Comparison and complex reasoning: counts of arXiv 2405.15071, 4 and 5, labels, splits, balance, the hard test by brute force.
 */
#include "data/comparison/label.h"
#include "data_test.h"

static void build(hs_dataset *d, const hs_data_config *c, const hs_graph *g)
{
    *d = (hs_dataset){0};
    assert_ok(hs_dataset_build(d, c, g, NULL, NULL, err));
}

static void task_config(hs_data_config *c, const char *task)
{
    assert_ok(hs_data_config_for_task(c, task, err));
}

static uint32_t value_of(const hs_dataset *d, uint32_t entity, uint32_t attribute, bool *ood)
{
    uint64_t first, last;
    hs_dataset_facts_of(d, entity, attribute, &first, &last);
    assert_int_equal(last, first + 1);
    *ood = d->fact_flags[first] & HS_FACT_OOD;
    return d->facts[first].tail;
}

static void published_counts(void **state)
{
    (void)state;
    hs_data_config c;
    hs_dataset d;
    task_config(&c, "comparison");
    build(&d, &c, NULL);
    assert_int_equal(d.vocab.n, 1106); /* arXiv 2405.15071, 4 */
    assert_int_equal(split_n(&d, "id_atomic"), 18000);
    assert_int_equal(split_n(&d, "ood_atomic"), 2000);
    assert_int_equal(split_n(&d, "train_inferred"), 129600);
    assert_int_equal(split_n(&d, "test_id"), 3000);
    assert_int_equal(split_n(&d, "test_ood"), 3000);
    assert_string_equal(hs_names_get(&d.vocab, 1000), "<attr_0>");
    assert_string_equal(hs_names_get(&d.vocab, 1020), "<0>");
    assert_string_equal(hs_names_get(&d.vocab, 1046), "<attr_0_0>");
    hs_dataset_free(&d);
}

static void small_table(hs_data_config *c, const char *task)
{
    task_config(c, task);
    c->entities = 40;
    c->attributes = 3;
    c->values = 6;
    c->ood_fraction = 0.3;
    c->phi = 0;
    c->test_max = 0;
}

/* Every pair is where the definition says, once, with the right label; a pair and its flip are in the same split. */
static void brute_force(void **state)
{
    (void)state;
    hs_data_config c;
    hs_dataset d;
    small_table(&c, "comparison");
    build(&d, &c, NULL);
    uint8_t *seen = calloc(3 * 40 * 40, 1);
    uint64_t id_pairs = 0, ood_pairs = 0;
    for (uint32_t s = 0; s < d.n_splits; s++) {
        const hs_split *split = &d.splits[s];
        for (uint64_t i = 0; split->kind == HS_ITEM_COMPARE && i < split->n; i++) {
            const uint32_t *t = item(split, i);
            bool ood1, ood2;
            uint32_t v1 = value_of(&d, t[2], t[0], &ood1), v2 = value_of(&d, t[4], t[0], &ood2), a = t[0] - 40;
            char label[32];
            snprintf(label, sizeof label, "<attr_%u_%d>", a, v1 < v2 ? 0 : v1 == v2 ? 1 : 2);
            assert_string_equal(hs_names_get(&d.vocab, t[5]), label);
            assert_int_equal(ood1, ood2);
            assert_int_equal(ood1, strcmp(split->name, "test_ood") == 0);
            assert_int_equal(seen[(a * 40 + t[2]) * 40 + t[4]], 0);
            seen[(a * 40 + t[2]) * 40 + t[4]] = (uint8_t)(s + 1);
            *(ood1 ? &ood_pairs : &id_pairs) += 1;
        }
    }
    for (uint32_t a = 0; a < 3; a++)
        for (uint32_t i = 0; i < 40; i++)
            for (uint32_t j = 0; j < 40; j++)
                assert_int_equal(seen[(a * 40 + i) * 40 + j], seen[(a * 40 + j) * 40 + i]);
    assert_int_equal(id_pairs, 3 * 28 * 27);
    assert_int_equal(ood_pairs, 3 * 12 * 11);
    assert_true(split_n(&d, "test_id") > 100);
    free(seen);
    hs_dataset_free(&d);
}

static void same_for_any_threads(void **state)
{
    (void)state;
    static const char *const TASKS[] = {"comparison", "complex"};
    hs_pool *pool = hs_pool_create(2);
    for (size_t k = 0; k < 2; k++) {
        hs_data_config c;
        hs_dataset one, two = {0};
        small_table(&c, TASKS[k]);
        c.test_max = 30;
        build(&one, &c, NULL);
        assert_ok(hs_dataset_build(&two, &c, NULL, pool, NULL, err));
        assert_same_splits(&one, &two);
        hs_dataset_free(&one);
        hs_dataset_free(&two);
    }
    hs_pool_free(pool);
}

static void balanced_table(void **state)
{
    (void)state;
    hs_data_config c;
    hs_dataset d;
    small_table(&c, "comparison");
    c.balance = HS_BALANCE_LABELS;
    build(&d, &c, NULL);
    for (uint32_t s = 0; s < d.n_splits; s++) {
        const hs_split *split = &d.splits[s];
        uint64_t n[3][3] = {{0}};
        for (uint64_t i = 0; split->kind == HS_ITEM_COMPARE && i < split->n; i++) {
            const char *label = hs_names_get(&d.vocab, item(split, i)[5]);
            n[item(split, i)[0] - 40][label[strlen(label) - 2] - '0']++;
        }
        for (uint32_t a = 0; split->kind == HS_ITEM_COMPARE && a < 3; a++) {
            assert_int_equal(n[a][0], n[a][2]);
            assert_true(n[a][1] <= n[a][0] && n[a][0] > 0);
        }
    }
    hs_dataset_free(&d);
}

static void impossible_parameters(void **state)
{
    (void)state;
    hs_data_config c;
    hs_dataset d = {0};
    hs_error e = {0};
    small_table(&c, "comparison");
    c.phi = 900;
    assert_int_equal(hs_dataset_build(&d, &c, NULL, NULL, NULL, &e), HS_ERR_DATA);
    assert_string_equal(e.where, "data.phi");
    assert_non_null(strstr(e.hint, "phi up to"));
    small_table(&c, "comparison");
    c.variant = HS_VARIANT_HELD_OUT_ID;
    assert_int_equal(hs_dataset_build(&d, &c, NULL, NULL, NULL, &e), HS_ERR_DATA);
    assert_string_equal(e.where, "data.variant");
    hs_graph g;
    real_graph(&g);
    assert_int_equal(hs_data_config_for_task(&c, "comparsion", &e), HS_ERR_USAGE);
    assert_non_null(strstr(e.hint, "comparison"));
    task_config(&c, "comparison");
    assert_int_equal(hs_dataset_build(&d, &c, &g, NULL, NULL, &e), HS_ERR_DATA);
    assert_string_equal(e.where, "data.attribute_list");
    strcpy(c.attribute_list, "country,no such");
    assert_int_equal(hs_dataset_build(&d, &c, &g, NULL, NULL, &e), HS_ERR_DATA);
    assert_string_equal(e.value, "no such");
    task_config(&c, "complex");
    assert_int_equal(hs_dataset_build(&d, &c, &g, NULL, NULL, &e), HS_ERR_USAGE);
    hs_graph_free(&g);
}

/* ---------------------------------------------------------------- from a graph */

static void from_graph(void **state)
{
    (void)state;
    hs_graph g;
    augmented_graph(&g);
    hs_data_config c;
    hs_dataset d;
    task_config(&c, "comparison");
    strcpy(c.attribute_list, "date of birth, place of birth ,river");
    c.phi = 6;
    c.ood_fraction = 0.2;
    build(&d, &c, &g);
    assert_int_equal(d.n_relations, 3);
    uint32_t same = hs_names_find(&d.vocab, "<same>", 6), different = hs_names_find(&d.vocab, "<different>", 11);
    uint32_t earlier = hs_names_find(&d.vocab, "<earlier>", 9), later = hs_names_find(&d.vocab, "<later>", 7);
    uint64_t labels[4] = {0};
    for (uint32_t s = 0; s < d.n_splits; s++) {
        const hs_split *split = &d.splits[s];
        uint64_t n_same = 0, n_different = 0, n_early = 0, n_late = 0;
        for (uint64_t i = 0; split->kind == HS_ITEM_COMPARE && i < split->n; i++) {
            const uint32_t *t = item(split, i);
            bool ood1, ood2;
            uint32_t v1 = value_of(&d, t[2], t[0], &ood1), v2 = value_of(&d, t[4], t[0], &ood2);
            if (strcmp(hs_names_get(&d.vocab, t[0]), "date of birth") == 0) {
                int order = strcmp(hs_names_get(&d.vocab, v1), hs_names_get(&d.vocab, v2));
                assert_int_equal(t[5], order < 0 ? earlier : order > 0 ? later : same);
                n_early += t[5] == earlier;
                n_late += t[5] == later;
                labels[0] += t[5] == earlier;
            } else {
                assert_int_equal(t[5], v1 == v2 ? same : different);
                n_same += t[5] == same;
                n_different += t[5] == different;
                labels[1] += t[5] == same;
            }
            if (split->role == HS_SPLIT_TEST) {
                assert_true(strncmp(hs_names_get(&d.vocab, t[2]), "~person", 7) != 0);
                assert_true(strncmp(hs_names_get(&d.vocab, t[4]), "~person", 7) != 0);
            }
        }
        if (split->role == HS_SPLIT_TEST) {
            assert_int_equal(n_same, n_different);
            assert_true(n_early == n_late);
            assert_true(d.audit.split[s].baselines.majority_class <= 0.55);
        }
    }
    assert_true(labels[0] > 20 && labels[1] > 20);
    /* cities with two rivers have no single value: 20 cities, 7 of them with two */
    uint32_t river = hs_names_find(&d.vocab, "river", 5);
    uint64_t rivers = 0;
    for (uint64_t i = 0; i < d.n_facts; i++)
        rivers += d.facts[i].relation == river;
    assert_int_equal(rivers, 13);
    hs_dataset_free(&d);
    strcpy(c.attribute_list, "date of birth:same"); /* no two are the same */
    c.ood_fraction = 0;
    c.phi = 0;
    hs_error e = {0};
    assert_int_equal(hs_dataset_build(&d, &c, &g, NULL, NULL, &e), HS_ERR_DATA);
    assert_non_null(strstr(e.hint, "balance none"));
    c.balance = HS_BALANCE_NONE;
    build(&d, &c, &g);
    const hs_split *train = hs_dataset_split(&d, "train_inferred");
    for (uint64_t i = 0; i < train->n; i++)
        assert_true(strstr("<same><different>", hs_names_get(&d.vocab, item(train, i)[5])) != NULL);
    hs_dataset_free(&d);
    hs_graph_free(&g);
}

/* A relation whose name in the vocabulary differs ("year [relation]": an entity has the name too), and one with a comma
 * in its name, keep what the configuration asks of them. */
static void attributes_by_any_name(void **state)
{
    (void)state;
    hs_graph g = {0};
    for (unsigned i = 0; i < 40; i++) {
        char person[16], year[16], place[16];
        snprintf(person, sizeof person, "p%u", i);
        snprintf(year, sizeof year, "%u", 1950 + i % 20);
        snprintf(place, sizeof place, "c%u", i % 7);
        assert_ok(hs_graph_add(&g, person, "year", year, err));
        assert_ok(hs_graph_add(&g, person, "born, in", i == 0 ? "year" : place, err));
    }
    assert_ok(hs_graph_index(&g, err));
    hs_data_config c;
    hs_dataset d;
    task_config(&c, "comparison");
    c.balance = HS_BALANCE_NONE;
    c.phi = 0;
    strcpy(c.attribute_list, "born\\, in, year:same");
    build(&d, &c, &g);
    uint32_t year = hs_names_find(&d.vocab, "year [relation]", 15), seen = 0;
    assert_int_not_equal(year, HS_NO_ID);
    assert_int_not_equal(hs_names_find(&d.vocab, "born, in", 8), HS_NO_ID);
    for (uint32_t s = 0; s < d.n_splits; s++)
        for (uint64_t i = 0; d.splits[s].kind == HS_ITEM_COMPARE && i < d.splits[s].n; i++) {
            const char *label = hs_names_get(&d.vocab, item(&d.splits[s], i)[5]);
            assert_true(strcmp(label, "<same>") == 0 || strcmp(label, "<different>") == 0);
            seen += item(&d.splits[s], i)[0] == year;
        }
    assert_true(seen > 100);
    hs_dataset_free(&d);
    hs_graph_free(&g);
}

static int order_of(const char *a, const char *b)
{
    hs_ordinal x = hs_ordinal_parse(a), y = hs_ordinal_parse(b);
    return hs_ordinal_compare(&x, &y);
}

static void ordinals(void **state)
{
    (void)state;
    assert_int_equal(order_of("1957-08-09", "1957-08-10"), -1);
    assert_int_equal(order_of("1957-08-09", "1956-12-31"), 1);
    assert_int_equal(order_of("1957", "1957"), 0);
    assert_int_equal(order_of("1957", "1957-08"), 2); /* cannot be told apart */
    assert_int_equal(order_of("1957", "1958-01-01"), -1);
    assert_int_equal(order_of("-0044-03-15", "0014"), -1);
    assert_int_equal(order_of("12.5", "13"), -1);
    assert_int_equal(order_of("1957", "12.5"), 1);
    assert_int_equal(order_of("1957-13", "1958"), 2);
    assert_int_equal(order_of("unknown", "1958"), 2);
    assert_int_equal(order_of("1957-08-09", "7"), 2);
    assert_false(hs_ordinal_parse("").known);
    assert_false(hs_ordinal_parse("inf").known);
    assert_false(hs_ordinal_parse("1957-08-09x").known);
}

/* ---------------------------------------------------------------- complex */

static void complex_counts(void **state)
{
    (void)state;
    hs_data_config c;
    hs_dataset d;
    task_config(&c, "complex");
    build(&d, &c, NULL);
    assert_int_equal(split_n(&d, "id_atomic"), 18000);
    assert_int_equal(hs_dataset_split(&d, "ood_atomic")->role, HS_SPLIT_TEST);
    assert_in_range(split_n(&d, "train_topleft"), 435000, 439000); /* about 437K */
    assert_int_equal(split_n(&d, "train_cross"), 108000);
    assert_in_range(d.audit.training_items, 561000, 565000); /* about 563K */
    assert_in_range(split_n(&d, "test_hard"), 60, 150);
    const hs_split *s = hs_dataset_split(&d, "train_cross");
    assert_int_equal(s->width, 9);
    assert_int_equal(s->answer, 7);
    assert_string_equal(hs_names_get(&d.vocab, item(s, 0)[6]), "<a>");
    assert_string_equal(hs_names_get(&d.vocab, item(s, 0)[8]), "</a>");
    hs_dataset_free(&d);
}

/* reach[i][j]: i >= j can be told, by Floyd-Warshall over all edges of one attribute. */
static void close_graph(uint8_t *reach, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; reach[i * n + k] && j < n; j++)
                reach[i * n + j] |= reach[k * n + j];
}

static void add_split_edges(const hs_dataset *d, const char *name, uint32_t attribute, uint8_t *reach, uint32_t n)
{
    const hs_split *s = hs_dataset_split(d, name);
    for (uint64_t i = 0; s && i < s->n; i++) {
        const uint32_t *t = item(s, i);
        if (t[0] != attribute)
            continue;
        bool ood;
        uint32_t v1 = value_of(d, t[2], t[0], &ood), v2 = value_of(d, t[4], t[0], &ood);
        if (v1 >= v2)
            reach[t[2] * n + t[4]] = 1;
        if (v2 >= v1)
            reach[t[4] * n + t[2]] = 1;
    }
}

static void hard_test(void **state)
{
    (void)state;
    hs_data_config c;
    hs_dataset d;
    small_table(&c, "complex");
    c.entities = 80;
    c.trained_fraction = 0.06;
    c.hard_per_label = 1000000;
    build(&d, &c, NULL);
    const uint32_t n = 80;
    uint64_t expected = 0, found = 0;
    const hs_split *hard = hs_dataset_split(&d, "test_hard");
    uint8_t *full = malloc(n * n), *easy = malloc(n * n);
    for (uint32_t a = 80; a < 83; a++) {
        memset(full, 0, n * n);
        memset(easy, 0, n * n);
        add_split_edges(&d, "train_cross", a, full, n);
        add_split_edges(&d, "train_cross", a, easy, n);
        add_split_edges(&d, "train_topleft", a, easy, n);
        bool ood[80];
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j < n; j++) {
                uint32_t v1 = value_of(&d, i, a, &ood[i]), v2 = value_of(&d, j, a, &ood[j]);
                full[i * n + j] |= !ood[i] && !ood[j] && v1 >= v2;
            }
        close_graph(full, n);
        close_graph(easy, n);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j < n; j++) {
                uint32_t f = full[i * n + j] * 2u + full[j * n + i], e = easy[i * n + j] * 2u + easy[j * n + i];
                bool is_hard = i != j && ood[i] && ood[j] && f != 0 && f != e, listed = false;
                expected += is_hard;
                for (uint64_t k = 0; k < hard->n; k++)
                    listed |= item(hard, k)[0] == a && item(hard, k)[2] == i && item(hard, k)[4] == j;
                assert_int_equal(is_hard, listed);
                found += listed;
            }
    }
    assert_int_equal(found, hard->n);
    assert_int_equal(expected, found);
    assert_true(found > 10);
    free(full);
    free(easy);
    hs_dataset_free(&d);
}

static void two_wiki(void **state)
{
    (void)state;
    const char *folder = getenv("HOPSCOPE_DATA");
    if (!folder)
        skip();
    char path[512];
    snprintf(path, sizeof path, "%s/2wiki/dev505.stripped.jsonl", folder);
    hs_graph g = {0};
    assert_ok(hs_graph_read(&g, path, NULL, NULL, err));
    hs_data_config c;
    hs_dataset d;
    task_config(&c, "comparison");
    strcpy(c.attribute_list, "country of citizenship,country,date of birth,date of death");
    c.phi = 8;
    build(&d, &c, &g);
    assert_true(split_n(&d, "test_ood") > 100);
    assert_true(split_n(&d, "test_id") > 500);
    hs_dataset_free(&d);
    hs_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_counts),
        cmocka_unit_test(brute_force),
        cmocka_unit_test(same_for_any_threads),
        cmocka_unit_test(balanced_table),
        cmocka_unit_test(impossible_parameters),
        cmocka_unit_test(from_graph),
        cmocka_unit_test(attributes_by_any_name),
        cmocka_unit_test(ordinals),
        cmocka_unit_test(complex_counts),
        cmocka_unit_test(hard_test),
        cmocka_unit_test(two_wiki),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
