/* Composition: counts of arXiv 2405.15071, 3.1, the definitions of the splits by brute force, variants, injection, graphs. */
#include "data_test.h"

static void build(hs_dataset *d, const hs_data_config *c)
{
    *d = (hs_dataset){0};
    assert_ok(hs_dataset_build(d, c, NULL, NULL, NULL, err));
}

static void published_counts(void **state)
{
    (void)state;
    hs_data_config c;
    hs_dataset d;
    hs_data_config_default(&c);
    build(&d, &c);
    assert_int_equal(d.n_facts, 40000);
    assert_int_equal(split_n(&d, "id_atomic"), 38000);
    assert_int_equal(split_n(&d, "ood_atomic"), 2000);
    assert_int_equal(split_n(&d, "train_inferred"), 684000);
    assert_int_equal(d.audit.training_items, 724000);
    assert_int_equal(split_n(&d, "test_ii"), 3000);
    assert_in_range(split_n(&d, "test_oo"), 1700, 2300); /* about 2,000 */
    assert_int_equal(d.vocab.n, 2206);
    assert_string_equal(hs_names_get(&d.vocab, 0), "<e_0>");
    assert_string_equal(hs_names_get(&d.vocab, 2000), "<r_0>");
    assert_string_equal(hs_names_get(&d.vocab, 2203), "</a>");
    assert_true(d.audit.passed);
    assert_true(fabs(d.audit.phi_id - 18) < 1e-9);
    hs_dataset_free(&d);
}

/* Identity items: one for each entity that facts lead to and from, trained, nothing else changed; written and read
 * again. */
static void identity_items(void **state)
{
    (void)state;
    hs_data_config c = small_config(2);
    for (int two = 0; two < 2; two++) {
        hs_dataset plain, d, again = {0};
        c.token_multiplicity = two ? 4 : 0;
        c.end_token = two;
        c.identity = false;
        build(&plain, &c);
        c.identity = true;
        build(&d, &c);
        assert_int_equal(d.n_splits, plain.n_splits + 1);
        for (uint32_t k = 0; k < plain.n_splits; k++)
            assert_true(hs_dataset_split(&d, plain.splits[k].name)->hash == plain.splits[k].hash);
        const hs_split *s = hs_dataset_split(&d, "identity");
        assert_true(s && s->role == HS_SPLIT_TRAIN && s->prompt == d.tokens_per_entity);
        bool head[40] = {false}, tail[40] = {false};
        for (uint64_t i = 0; i < d.n_facts; i++)
            head[d.facts[i].head] = tail[d.facts[i].tail] = true;
        uint64_t n = 0;
        for (uint32_t e = 0; e < 40; e++)
            if (head[e] && tail[e]) {
                uint32_t name[2];
                hs_dataset_entity_tokens(&d, e, name);
                assert_memory_equal(item(s, n), name, s->prompt * sizeof *name);
                assert_memory_equal(item(s, n) + s->answer, name, s->answers * sizeof *name);
                n++;
            }
        assert_int_equal(s->n, n);
        assert_int_equal(d.audit.training_items, plain.audit.training_items + n);
        assert_true(d.audit.passed && d.audit.phi == plain.audit.phi);
        char path[256];
        fresh_path(path, "identity");
        assert_ok(hs_dataset_write_as(&d, two ? "jsonl" : "published", path, err));
        assert_ok(hs_dataset_read_any(&again, path, err));
        assert_same_splits(&d, &again);
        remove_path(path);
        hs_dataset_free(&again);
        hs_dataset_free(&plain);
        hs_dataset_free(&d);
    }
}

static void both_id_paths(void **state)
{
    (void)state;
    hs_data_config c;
    hs_dataset d;
    hs_data_config_default(&c);
    c.phi = 0;
    c.test_max = 0;
    build(&d, &c);
    /* 800,000 paths in all; 0.95^2 of them ID in both hops, of these 0.5% held out */
    uint64_t train = split_n(&d, "train_inferred"), held = split_n(&d, "test_ii");
    assert_int_equal(train + held + split_n(&d, "test_io") + split_n(&d, "test_oi") + split_n(&d, "test_oo"), 800000);
    assert_in_range(train + held, 718000, 726000);
    assert_in_range(held, 3300, 3950);
    hs_dataset_free(&d);
}

/* Every path of the facts is in exactly the split its definition says, with answer and bridges. */
static void brute_force(uint32_t hops)
{
    hs_data_config c = small_config(hops);
    c.ood_fraction = hops == 2 ? 0.15 : 0.4; /* so that every class occurs */
    hs_dataset d;
    build(&d, &c);
    uint64_t paths = 0, listed = 0;
    for (uint64_t i = 0; i < d.n_facts; i++) /* count chains of facts */
        for (uint64_t j = 0; j < d.n_facts; j++) {
            if (d.facts[j].head != d.facts[i].tail)
                continue;
            if (hops == 2)
                paths++;
            for (uint64_t k = 0; hops >= 3 && k < d.n_facts; k++) {
                if (d.facts[k].head != d.facts[j].tail)
                    continue;
                if (hops == 3)
                    paths++;
                for (uint64_t l = 0; hops == 4 && l < d.n_facts; l++)
                    paths += d.facts[l].head == d.facts[k].tail;
            }
        }
    bool seen_ood_mask[16] = {false};
    for (uint32_t s = 0; s < d.n_splits; s++) {
        const hs_split *split = &d.splits[s];
        if (split->kind != HS_ITEM_QUERY)
            continue;
        listed += split->n;
        assert_int_equal(split->hops, hops);
        for (uint64_t i = 0; i < split->n; i++) {
            const uint32_t *t = item(split, i);
            uint32_t at = t[0], mask = 0;
            for (uint32_t k = 0; k < hops; k++) {
                uint64_t f = 0;
                while (f < d.n_facts && !(d.facts[f].head == at && d.facts[f].relation == t[1 + k]))
                    f++;
                assert_true(f < d.n_facts);
                at = d.facts[f].tail;
                mask |= d.fact_flags[f] & HS_FACT_OOD ? 1u << k : 0;
                assert_int_equal(k + 1 < hops ? split->bridge[i * split->bridges + k] : t[1 + hops], at);
            }
            char name[16] = "test_";
            for (uint32_t k = 0; k < hops; k++)
                name[5 + k] = mask >> k & 1 ? 'o' : 'i';
            if (split->role == HS_SPLIT_TRAIN)
                assert_int_equal(mask, 0);
            else
                assert_string_equal(split->name, name);
            seen_ood_mask[mask] = true;
        }
        for (uint64_t i = 1; i < split->n; i++) /* ascending: no item twice */
            assert_true(memcmp(item(split, i - 1), item(split, i), split->prompt * sizeof(uint32_t)) != 0);
    }
    assert_int_equal(listed, paths);
    for (uint32_t m = 0; m < 1u << hops; m++)
        assert_true(seen_ood_mask[m]);
    hs_dataset_free(&d);
}

static void brute_force_two(void **state)
{
    (void)state;
    brute_force(2);
}
static void brute_force_three(void **state)
{
    (void)state;
    brute_force(3);
}
static void brute_force_four(void **state)
{
    (void)state;
    brute_force(4);
}

static void generator_shape(void **state)
{
    (void)state;
    hs_data_config c = small_config(2);
    c.relations = 5;
    c.out_degree = 5; /* every relation */
    hs_dataset d;
    build(&d, &c);
    assert_int_equal(d.n_facts, 200);
    for (uint64_t i = 0; i < d.n_facts; i++) {
        assert_int_equal(d.facts[i].head, i / 5);
        assert_int_equal(d.facts[i].relation, 40 + i % 5);
        assert_true(d.facts[i].tail < 40);
    }
    assert_int_equal(split_n(&d, "ood_atomic"), 30); /* exactly 15% */
    hs_dataset_free(&d);
}

static void same_for_any_threads(void **state)
{
    (void)state;
    hs_data_config c;
    hs_data_config_default(&c);
    c.entities = 300;
    c.phi = 7.2;
    c.injection = HS_INJECTION_BOTH_HALF;
    hs_dataset one, two = {0}, other;
    build(&one, &c);
    hs_pool *pool = hs_pool_create(2);
    assert_non_null(pool);
    assert_ok(hs_dataset_build(&two, &c, NULL, pool, NULL, err));
    assert_same_splits(&one, &two);
    c.seed = 2;
    build(&other, &c);
    assert_true(hs_dataset_split(&one, "id_atomic")->hash != hs_dataset_split(&other, "id_atomic")->hash);
    hs_dataset_free(&one);
    hs_dataset_free(&two);
    hs_dataset_free(&other);
    hs_pool_free(pool);
}

static void expect_error(const hs_data_config *c, const hs_graph *g, const char *where, const char *hint)
{
    hs_dataset d = {0};
    hs_error e = {0};
    assert_int_equal(hs_dataset_build(&d, c, g, NULL, NULL, &e), HS_ERR_DATA);
    assert_string_equal(e.where, where);
    assert_non_null(strstr(e.hint, hint));
    assert_null(d.splits);
}

static void impossible_parameters(void **state)
{
    (void)state;
    hs_data_config c = small_config(2);
    c.out_degree = 9;
    expect_error(&c, NULL, "data.out_degree", "up to 8");
    c = small_config(2);
    c.phi = 100;
    expect_error(&c, NULL, "data.phi", "phi up to");
    c = small_config(2);
    c.hops = 5;
    expect_error(&c, NULL, "data.hops", "2 to 4");
    c = small_config(2);
    c.holdout = NAN;
    expect_error(&c, NULL, "data.holdout", "0 to 0.95");
    c = small_config(2);
    c.variant = (hs_variant)17;
    expect_error(&c, NULL, "data.variant", "base");
    c = small_config(2);
    strcpy(c.task, "compositoin");
    expect_error(&c, NULL, "data.task", "composition");
    c = small_config(2);
    c.token_multiplicity = 7;
    expect_error(&c, NULL, "data.token_multiplicity", "divisor");
    c = small_config(3);
    c.injection = HS_INJECTION_BOTH_FULL;
    expect_error(&c, NULL, "data.injection", "hops 2");
    c = small_config(4);
    c.entities = 100000;
    c.relations = c.out_degree = 20;
    expect_error(&c, NULL, "data.hops", "fewer hops");
}

static void phi_and_test_max_are_exact(void **state)
{
    (void)state;
    hs_data_config c = small_config(2);
    c.entities = 200;
    c.phi = 1.5;
    c.test_max = 20;
    hs_dataset d, all;
    build(&d, &c);
    assert_int_equal(split_n(&d, "train_inferred"), (uint64_t)llround(1.5 * 680));
    assert_int_equal(split_n(&d, "test_ii"), 20);
    assert_int_equal(split_n(&d, "test_io"), 20);
    c.quirk_float_phi = true;
    build(&all, &c);
    assert_true(split_n(&all, "train_inferred") > 1.5 * 680);
    hs_dataset_free(&d);
    hs_dataset_free(&all);
}

/* ---------------------------------------------------------------- variants */

static void second_hop_restricted(void **state)
{
    (void)state;
    hs_data_config c = small_config(2);
    c.entities = 100;
    c.variant = HS_VARIANT_SECOND_HOP_RESTRICTED;
    c.variant_fraction = 0.1;
    hs_dataset d;
    build(&d, &c);
    const hs_split *sr = hs_dataset_split(&d, "test_ii_sr"), *train = hs_dataset_split(&d, "train_inferred");
    assert_non_null(sr);
    /* no training query has the second hop of a query of test_ii_sr; some have it as the first hop */
    uint64_t as_first = 0;
    for (uint64_t i = 0; i < sr->n; i++)
        for (uint64_t j = 0; j < train->n; j++) {
            assert_false(sr->bridge[i] == train->bridge[j] && item(sr, i)[2] == item(train, j)[2]);
            as_first += sr->bridge[i] == item(train, j)[0] && item(sr, i)[2] == item(train, j)[1];
        }
    assert_true(as_first > 0);
    hs_dataset_free(&d);
}

static void fact_variants(void **state)
{
    (void)state;
    hs_data_config c = small_config(2);
    hs_dataset d;
    c.variant = HS_VARIANT_WITHOUT_ID_FACTS;
    build(&d, &c);
    assert_int_equal(hs_dataset_split(&d, "id_atomic")->role, HS_SPLIT_TEST);
    assert_int_equal(hs_dataset_split(&d, "ood_atomic")->role, HS_SPLIT_TRAIN);
    hs_dataset_free(&d);
    c.variant = HS_VARIANT_ONLY_QUERIES;
    build(&d, &c);
    assert_int_equal(hs_dataset_split(&d, "id_atomic")->role, HS_SPLIT_TEST);
    assert_int_equal(hs_dataset_split(&d, "ood_atomic")->role, HS_SPLIT_TEST);
    assert_int_equal(d.audit.training_items, split_n(&d, "train_inferred"));
    hs_dataset_free(&d);
    c.variant = HS_VARIANT_HELD_OUT_ID;
    c.variant_fraction = 0.25;
    build(&d, &c);
    const hs_split *held = hs_dataset_split(&d, "held_out_id_atomic"), *train = hs_dataset_split(&d, "train_inferred");
    assert_int_equal(held->role, HS_SPLIT_TEST);
    assert_int_equal(held->n, 34); /* a quarter of 136 */
    assert_int_equal(held->n + split_n(&d, "id_atomic"), 136);
    uint64_t hops = 0;
    for (uint64_t i = 0; i < held->n; i++)
        for (uint64_t j = 0; j < train->n; j++)
            hops += item(held, i)[0] == item(train, j)[0] && item(held, i)[1] == item(train, j)[1];
    assert_true(hops > 0);
    hs_dataset_free(&d);
}

static void two_token_entities(void **state)
{
    (void)state;
    hs_data_config c = small_config(2);
    c.entities = 200;
    c.token_multiplicity = 10;
    c.end_token = true;
    hs_dataset d, plain;
    build(&d, &c);
    assert_int_equal(d.tokens_per_entity, 2);
    assert_int_equal(d.n_entities, 40);
    uint32_t uses[40] = {0}, two[2];
    for (uint32_t e = 0; e < 200; e++) {
        hs_dataset_entity_tokens(&d, e, two);
        assert_true(two[0] < 20 && two[1] >= 20 && two[1] < 40);
        uses[two[0]]++;
        uses[two[1]]++;
        assert_int_equal(hs_dataset_entity_of(&d, two), e);
    }
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(uses[i], 10);
    uint32_t unused[2] = {0, 20 + 10};
    assert_int_equal(hs_dataset_entity_of(&d, unused), HS_NO_ID);
    c.token_multiplicity = 0;
    build(&plain, &c);
    const hs_split *s = hs_dataset_split(&d, "train_inferred"), *p = hs_dataset_split(&plain, "train_inferred");
    assert_int_equal(s->width, 7); /* h h r1 r2 t t </a> */
    assert_int_equal(s->answers, 2);
    assert_int_equal(s->bridges, 2);
    assert_int_equal(s->n, p->n);
    for (uint64_t i = 0; i < s->n; i++) { /* the same facts, other tokens */
        assert_int_equal(hs_dataset_entity_of(&d, item(s, i)), item(p, i)[0]);
        assert_int_equal(hs_dataset_entity_of(&d, s->bridge + 2 * i), p->bridge[i]);
        assert_int_equal(hs_dataset_entity_of(&d, item(s, i) + 4), item(p, i)[3]);
    }
    hs_dataset_free(&d);
    hs_dataset_free(&plain);
}

static void dead_vocabulary(void **state)
{
    (void)state;
    hs_data_config c;
    hs_data_config_default(&c);
    c.phi = 3.6;
    c.quirk_dead_vocab = true;
    hs_dataset d;
    build(&d, &c);
    assert_int_equal(d.vocab.n, 52464); /* arXiv 2405.15071, released code */
    hs_dataset_free(&d);
}

/* ---------------------------------------------------------------- fact-level augmentation (arXiv 2601.09049) */

static uint64_t added(const hs_dataset *d, uint32_t hop)
{
    return split_n(d, hop == 1 ? "train_aug_h1" : "train_aug_h2");
}

static void assert_near(uint64_t x, double expected)
{
    if (fabs((double)x - expected) > 0.03 * expected)
        fail_msg("%llu is not within 3%% of %.0f", (unsigned long long)x, expected);
}

static void published_settings(void **state)
{
    (void)state;
    static const struct {
        hs_injection injection;
        double h1, h2;
    } SETTINGS[] = {{HS_INJECTION_NONE, 0, 0},
                    {HS_INJECTION_BOTH_FULL, 22697, 21492},
                    {HS_INJECTION_BOTH_HALF, 5724, 5778},
                    {HS_INJECTION_FIRST_FULL, 22697, 0},
                    {HS_INJECTION_SECOND_FULL, 0, 21492}};
    hs_data_config c;
    hs_data_config_default(&c);
    for (size_t i = 0; i < 5; i++) {
        c.injection = SETTINGS[i].injection;
        hs_dataset d;
        build(&d, &c);
        assert_near(added(&d, 1), SETTINGS[i].h1);
        assert_near(added(&d, 2), SETTINGS[i].h2);
        assert_int_equal(d.audit.ood_hops_on_purpose, added(&d, 1) + added(&d, 2));
        assert_int_equal(d.audit.training_items, 724000 + added(&d, 1) + added(&d, 2));
        hs_dataset_free(&d);
    }
}

static uint64_t fact_at(const hs_dataset *d, uint32_t head, uint32_t relation)
{
    uint64_t first, last;
    hs_dataset_facts_of(d, head, relation, &first, &last);
    assert_int_equal(last, first + 1);
    return first;
}

static void injected_queries(void **state)
{
    (void)state;
    hs_data_config c = small_config(2);
    c.entities = 300;
    c.relations = 30;
    c.out_degree = 8;
    c.test_max = 50;
    c.h1ratio = 0.5;
    c.h1k = 3;
    c.h2ratio = 1;
    c.h2k = 2;
    hs_dataset d;
    build(&d, &c);
    const hs_split *oo = hs_dataset_split(&d, "test_oo");
    uint8_t *f1 = calloc(d.n_facts, 1), *f2 = calloc(d.n_facts, 1), *used = calloc(d.n_facts, 1);
    uint32_t n1 = 0, n2 = 0, chosen = 0;
    for (uint64_t i = 0; i < oo->n; i++) {
        uint64_t a = fact_at(&d, item(oo, i)[0], item(oo, i)[1]), b = fact_at(&d, oo->bridge[i], item(oo, i)[2]);
        n1 += !f1[a];
        n2 += !f2[b];
        f1[a] = f2[b] = 1;
    }
    for (uint32_t hop = 1; hop <= 2; hop++) {
        const hs_split *s = hs_dataset_split(&d, hop == 1 ? "train_aug_h1" : "train_aug_h2");
        for (uint64_t i = 0; i < s->n; i++) {
            uint64_t a = fact_at(&d, item(s, i)[0], item(s, i)[1]), b = fact_at(&d, s->bridge[i], item(s, i)[2]);
            assert_int_equal(d.fact_flags[a] & HS_FACT_OOD ? 1 : 2, hop);
            assert_int_equal(d.fact_flags[b] & HS_FACT_OOD ? 2 : 1, hop);
            assert_true(hop == 1 ? f1[a] : f2[b]);
            if (hop == 1)
                assert_true(++used[a] <= 3);
        }
    }
    for (uint64_t i = 0; i < d.n_facts; i++)
        chosen += used[i] > 0;
    assert_int_equal(chosen, (n1 + 1) / 2);
    assert_true(added(&d, 2) <= 2 * n2 && added(&d, 2) > n2);
    free(f1);
    free(f2);
    free(used);
    hs_dataset_free(&d);
}

static void avoiding_test_bridges(void **state)
{
    (void)state;
    hs_data_config c = small_config(2);
    c.entities = 300;
    c.h1ratio = 1;
    c.h1k = 5;
    hs_dataset with, without;
    build(&without, &c);
    c.avoid_test_bridges = true;
    build(&with, &c);
    assert_true(added(&without, 1) > 0);
    assert_int_equal(added(&with, 1), 0); /* every fact of F1 leads to a bridge of test_oo */
    hs_dataset_free(&with);
    hs_dataset_free(&without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_counts),      cmocka_unit_test(identity_items),
        cmocka_unit_test(both_id_paths),         cmocka_unit_test(brute_force_two),
        cmocka_unit_test(brute_force_three),     cmocka_unit_test(brute_force_four),
        cmocka_unit_test(generator_shape),       cmocka_unit_test(same_for_any_threads),
        cmocka_unit_test(impossible_parameters), cmocka_unit_test(phi_and_test_max_are_exact),
        cmocka_unit_test(second_hop_restricted), cmocka_unit_test(fact_variants),
        cmocka_unit_test(two_token_entities),    cmocka_unit_test(dead_vocabulary),
        cmocka_unit_test(published_settings),    cmocka_unit_test(injected_queries),
        cmocka_unit_test(avoiding_test_bridges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
