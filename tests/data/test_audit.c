/* The audit: each planted fault is caught by its proof; the baselines agree with a slow, independent computation. */
#include "data_test.h"

static void build(hs_dataset *d)
{
    hs_data_config c = small_config(2);
    c.cover = true;
    *d = (hs_dataset){0};
    assert_ok(hs_dataset_build(d, &c, NULL, NULL, NULL, err));
}

static hs_split *split_of(hs_dataset *d, const char *name)
{
    for (uint32_t i = 0; i < d->n_splits; i++)
        if (strcmp(d->splits[i].name, name) == 0)
            return &d->splits[i];
    fail();
    return NULL;
}

static hs_audit_split *audit_of(hs_dataset *d, const char *name)
{
    return &d->audit.split[split_of(d, name) - d->splits];
}

/* Audits, expects failure with these words, and that the dataset is not written. */
static void expect_failure(hs_dataset *d, const char *words)
{
    assert_ok(hs_dataset_audit(d, err));
    assert_false(d->audit.passed);
    if (!strstr(d->audit.failure, words))
        fail_msg("'%s' does not say '%s'", d->audit.failure, words);
    char dir[256];
    fresh_path(dir, "refused");
    hs_error e = {0};
    assert_int_equal(hs_dataset_write(d, dir, &e), HS_ERR_DATA);
    assert_int_not_equal(access(dir, F_OK), 0);
    hs_dataset_free(d);
}

static void sound(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d);
    assert_true(d.audit.passed);
    assert_string_equal(d.audit.failure, "");
    hs_dataset_free(&d);
}

static void leaked_query(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d);
    hs_split *train = split_of(&d, "train_inferred"), *test = split_of(&d, "test_ii");
    memcpy(train->tokens + 7 * train->width, test->tokens, test->width * sizeof(uint32_t));
    train->bridge[7] = test->bridge[0];
    assert_ok(hs_dataset_audit(&d, err));
    assert_int_equal(audit_of(&d, "test_ii")->in_training, 1);
    expect_failure(&d, "test_ii: test items are in the training set (1)");
}

static void repeated_test_item(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d);
    hs_split *test = split_of(&d, "test_io");
    memcpy(test->tokens + test->width, test->tokens, test->width * sizeof(uint32_t));
    test->bridge[1] = test->bridge[0];
    expect_failure(&d, "test_io: test items occur twice (1)");
}

static void ood_hop_in_training(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d);
    hs_split *train = split_of(&d, "train_inferred"), *test = split_of(&d, "test_oi");
    memcpy(train->tokens + 3 * train->width, item(test, 0), test->width * sizeof(uint32_t));
    train->bridge[3] = test->bridge[0];
    expect_failure(&d, "OOD facts are hops of training queries (1)");
}

static void wrong_answer(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d);
    hs_split *train = split_of(&d, "train_inferred");
    uint32_t *t = train->tokens + 5 * train->width;
    t[3] = (t[3] + 1) % 40;
    expect_failure(&d, "train_inferred: answers or bridges do not follow from the facts (1)");
}

/* Policy `any`: a further answer that is the end of no path, and one that is left out. */
static void wrong_further_answer(void **state)
{
    (void)state;
    for (int fault = 0; fault < 3; fault++) {
        hs_graph g;
        real_graph(&g);
        hs_data_config c;
        hs_data_config_for_graph((hs_data_config_default(&c), &c));
        c.tails = HS_TAILS_ANY;
        hs_dataset d = {0};
        assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
        hs_graph_free(&g);
        hs_split *s = split_of(&d, "train_inferred");
        assert_non_null(s->also_start);
        uint64_t i = 0;
        while (s->also_start[i + 1] == s->also_start[i])
            i++;
        uint32_t other = item(s, i)[0]; /* the head is no end of its own query here */
        for (uint64_t a = s->also_start[i]; a < s->also_start[i + 1]; a++)
            assert_int_not_equal(s->also[a], other);
        if (fault == 0) { /* one more answer than there are ends: the list of the next item begins one later */
            uint64_t n = s->also_start[s->n];
            s->also = hs_realloc(s->also, n * sizeof *s->also, (n + 1) * sizeof *s->also);
            uint64_t at = s->also_start[i + 1];
            memmove(s->also + at + 1, s->also + at, (n - at) * sizeof *s->also);
            s->also[at] = other;
            for (uint64_t k = i + 1; k <= s->n; k++)
                s->also_start[k]++;
        } else if (fault == 1) {
            s->also[s->also_start[i]] = other;
        } else {
            s->also[s->also_start[i]] = item(s, i)[s->answer];
        }
        expect_failure(&d, "train_inferred: answers or bridges do not follow from the facts (1)");
    }
}

static void wrong_bridge(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d);
    split_of(&d, "test_oo")->bridge[0] = HS_PAD;
    expect_failure(&d, "test_oo: answers or bridges do not follow from the facts (1)");
}

static void wrong_class(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d);
    hs_split *io = split_of(&d, "test_io"), *oi = split_of(&d, "test_oi");
    memcpy(io->tokens, oi->tokens, io->width * sizeof(uint32_t));
    io->bridge[0] = oi->bridge[0];
    expect_failure(&d, "test_io: hops are not ID and OOD as the split says (1)");
}

static void wrong_fact_class(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d);
    hs_split *id = split_of(&d, "id_atomic"), *ood = split_of(&d, "ood_atomic");
    memcpy(id->tokens, ood->tokens, id->width * sizeof(uint32_t));
    expect_failure(&d, "id_atomic: hops are not ID and OOD as the split says (1)");
}

static void uncovered_hop(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d);
    hs_split *train = split_of(&d, "train_inferred"), *test = split_of(&d, "test_ii");
    uint32_t head = test->tokens[0], relation = test->tokens[1];
    uint64_t n = 0; /* take every training query away that uses the first hop of the first test item */
    for (uint64_t i = 0; i < train->n; i++) {
        if (item(train, i)[0] == head && item(train, i)[1] == relation)
            continue;
        memmove(train->tokens + n * train->width, item(train, i), train->width * sizeof(uint32_t));
        train->bridge[n++] = train->bridge[i];
    }
    assert_true(n < train->n);
    train->n = n;
    expect_failure(&d, "test_ii: hops are not used by any training query");
}

static void synthetic_test_item(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d);
    hs_split *test = split_of(&d, "test_ii");
    uint64_t first, last;
    hs_dataset_facts_of(&d, test->tokens[0], test->tokens[1], &first, &last);
    d.fact_flags[first] |= HS_FACT_SYNTHETIC;
    expect_failure(&d, "test items use synthetic facts");
}

/* The flip of a trained comparison is no test either. */
static void leaked_flip(void **state)
{
    (void)state;
    hs_data_config c;
    hs_dataset d = {0};
    assert_ok(hs_data_config_for_task(&c, "comparison", err));
    c.entities = 40;
    c.attributes = 2;
    c.phi = 5;
    assert_ok(hs_dataset_build(&d, &c, NULL, NULL, NULL, err));
    hs_split *train = split_of(&d, "train_inferred"), *test = split_of(&d, "test_id");
    uint32_t *t = train->tokens, *u = test->tokens;
    memcpy(t, u, 6 * sizeof *t);
    t[2] = u[4];
    t[4] = u[2];
    const char *label = hs_names_get(&d.vocab, u[5]);
    char flipped[32];
    snprintf(flipped, sizeof flipped, "%.*s%d>", (int)strlen(label) - 2, label, 2 - (label[strlen(label) - 2] - '0'));
    t[5] = hs_names_find(&d.vocab, flipped, strlen(flipped));
    assert_ok(hs_dataset_audit(&d, err));
    assert_true(audit_of(&d, "test_id")->in_training >= 1);
    expect_failure(&d, "test_id: test items are in the training set");
}

/* A card that was edited says what the dataset does not: each field on its own. */
static void edited_card(void **state)
{
    (void)state;
    static const struct {
        const char *edit, *failure;
    } EDITS[] = {
        {"s/\"facts\": *160/\"facts\": 161/", "the card says facts 161, the dataset 160"},
        {"0,/\"n\": *[0-9]*/s/\"n\": *[0-9]*/\"n\": 7/", "splits.id_atomic.n 7"},
        {"0,/\"task\": *\"composition\"/s/\"task\": *\"composition\"/\"task\": \"comparison\"/", "task comparison"},
        {"s/\"task\": *\"composition\"/\"task\": \"complex\"/g", "task complex"},
        {"s/\"passed\": *true/\"passed\": false/", "audit.passed false, the dataset true"},
        {"s/\"nearest\": *[a-z0-9.]*/\"nearest\": 0.777/", "nearest 0.777"}};
    for (size_t i = 0; i < sizeof EDITS / sizeof EDITS[0]; i++) {
        for (uint32_t lines = 0; lines < 2; lines++) { /* a folder, a JSONL file */
            hs_dataset d, r = {0};
            build(&d);
            char path[256], command[900];
            fresh_path(path, "edited");
            assert_ok(lines ? hs_dataset_write_jsonl(&d, path, err) : hs_dataset_write(&d, path, err));
            assert_ok(hs_dataset_read_any(&r, path, err));
            assert_ok(hs_dataset_audit(&r, err));
            assert_string_equal(r.audit.failure, "");
            hs_dataset_free(&r);
            snprintf(command, sizeof command, "sed -i '%s' '%s%s'", EDITS[i].edit, path, lines ? "" : "/dataset.json");
            assert_int_equal(system(command), 0);
            assert_ok(hs_dataset_read_any(&r, path, err));
            assert_ok(hs_dataset_audit(&r, err));
            if (r.audit.passed || !strstr(r.audit.failure, EDITS[i].failure))
                fail_msg("edit %zu: '%s'", i, r.audit.failure);
            hs_dataset_free(&r);
            hs_dataset_free(&d);
            remove_path(path);
        }
    }
}

/* ---------------------------------------------------------------- baselines */

/* Commonest answer among the training queries that agree in the columns of `mask` (ties: smallest). */
static uint32_t vote(const hs_split *train, const uint32_t *prompt, const uint32_t *masks, uint32_t n_masks)
{
    uint32_t votes[64] = {0}, best = UINT32_MAX, most = 0;
    for (uint64_t i = 0; i < train->n; i++)
        for (uint32_t m = 0; m < n_masks; m++) {
            bool same = true;
            for (uint32_t k = 0; k < 3; k++)
                same &= !(masks[m] >> k & 1) || item(train, i)[k] == prompt[k];
            votes[item(train, i)[3]] += same;
        }
    for (uint32_t t = 0; t < 64; t++)
        if (votes[t] > most) {
            most = votes[t];
            best = t;
        }
    return best;
}

static double share(const hs_split *train, const hs_split *test, const uint32_t *masks, uint32_t n, uint32_t fallback)
{
    uint64_t right = 0;
    for (uint64_t i = 0; i < test->n; i++) {
        uint32_t guess = vote(train, item(test, i), masks, n);
        if (guess == UINT32_MAX && fallback)
            guess = vote(train, item(test, i), &fallback, 1);
        right += guess == item(test, i)[3];
    }
    return (double)right / (double)test->n;
}

static void baselines_by_brute_force(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d);
    static const char *const TESTS[] = {"test_ii", "test_io", "test_oi", "test_oo"};
    const hs_split *train = split_of(&d, "train_inferred");
    double sum = 0;
    for (size_t k = 0; k < 4; k++) {
        const hs_split *test = split_of(&d, TESTS[k]);
        const hs_baselines *b = &audit_of(&d, TESTS[k])->baselines;
        uint32_t path = 6, last = 4, head = 1, both = 5, none = 0, near[] = {6, 5, 3};
        assert_true(fabs(b->majority_r1r2 - share(train, test, &path, 1, 0)) < 1e-12);
        assert_true(fabs(b->majority_r2 - share(train, test, &last, 1, 0)) < 1e-12);
        assert_true(fabs(b->majority_h - share(train, test, &head, 1, 0)) < 1e-12);
        assert_true(fabs(b->majority_hr2 - share(train, test, &both, 1, 0)) < 1e-12);
        assert_true(fabs(b->majority_class - share(train, test, &none, 1, 0)) < 1e-12);
        assert_true(fabs(b->nearest - share(train, test, near, 3, 4)) < 1e-12);
        sum += b->majority_r2 + b->nearest;
    }
    assert_true(sum > 0);
    assert_true(isnan(audit_of(&d, "train_inferred")->baselines.nearest));
    hs_dataset_free(&d);
}

/* ---------------------------------------------------------------- baselines of facts */

/* The two lists of facts that are trained: ID and OOD, as (head, relation, tail) items. */
static bool is_fact(const hs_dataset *d, uint32_t head, uint32_t relation, uint32_t tail)
{
    static const char *const LISTS[] = {"id_atomic", "ood_atomic"};
    for (size_t k = 0; k < 2; k++) {
        const hs_split *s = hs_dataset_split(d, LISTS[k]);
        for (uint64_t i = 0; s && i < s->n; i++)
            if ((head == HS_NO_ID || item(s, i)[0] == head) && (relation == HS_NO_ID || item(s, i)[1] == relation) &&
                item(s, i)[2] == tail)
                return true;
    }
    return false;
}

/* Commonest trained tail of a relation, and how many different ones it has. */
static uint32_t usual_tail(const hs_dataset *d, uint32_t relation, uint32_t *distinct)
{
    uint32_t best = HS_NO_ID;
    uint64_t most = 0;
    *distinct = 0;
    for (uint32_t t = 0; t < d->n_entities; t++) {
        uint64_t n = 0;
        for (uint64_t i = 0; i < d->n_facts; i++) /* all facts of this dataset are trained */
            n += d->facts[i].relation == relation && d->facts[i].tail == t;
        *distinct += n > 0;
        if (n > most) {
            most = n;
            best = t;
        }
    }
    return best;
}

static void fact_baselines_by_brute_force(void **state)
{
    (void)state;
    hs_dataset d;
    build(&d);
    static const char *const TESTS[] = {"test_ii", "test_io", "test_oi", "test_oo"};
    double sum = 0;
    for (size_t k = 0; k < 4; k++) {
        const hs_split *test = split_of(&d, TESTS[k]);
        const hs_baselines *b = &audit_of(&d, TESTS[k])->baselines;
        double own = 0, usual = 0, random = 0;
        for (uint64_t i = 0; i < test->n; i++) {
            const uint32_t *t = item(test, i);
            uint32_t distinct;
            own += is_fact(&d, t[0], HS_NO_ID, t[3]);
            usual += usual_tail(&d, t[2], &distinct) == t[3];
            random += is_fact(&d, HS_NO_ID, t[2], t[3]) ? 1.0 / distinct : 0;
        }
        double n = (double)test->n;
        assert_true(fabs(b->own_tails - own / n) < 1e-12);
        assert_true(fabs(b->fact_r2 - usual / n) < 1e-12);
        assert_true(fabs(b->random_tail - random / n) < 1e-12);
        assert_true(b->own_relation >= 0 && b->own_relation <= b->own_tails + 1e-12);
        sum += b->own_tails + b->fact_r2;
    }
    assert_true(sum > 0);
    assert_true(isnan(audit_of(&d, "train_inferred")->baselines.own_tails));
    hs_dataset_free(&d);
}

/* People are citizens of the country their city is in: (born in, country) is answered by "citizen of" without a hop. */
static void citizens(hs_graph *g)
{
    *g = (hs_graph){0};
    for (unsigned i = 0; i < 400; i++) {
        char person[16], city[16], country[16];
        snprintf(person, sizeof person, "person %u", i);
        snprintf(city, sizeof city, "city %u", i % 100);
        snprintf(country, sizeof country, "country %u", i % 100 * 7 % 50);
        assert_ok(hs_graph_add(g, person, "born in", city, err));
        assert_ok(hs_graph_add(g, person, "citizen of", country, err));
        assert_ok(hs_graph_add(g, city, "country", country, err));
    }
    assert_ok(hs_graph_index(g, err));
}

static uint32_t warned;
static void count_warnings(void *user, const hs_event *event)
{
    (void)user;
    warned += event->kind == HS_EVENT_WARNING && strstr(event->text, "a shortcut explains test_") != NULL;
}

static void facts_explain_a_test(void **state)
{
    (void)state;
    hs_graph g;
    citizens(&g);
    hs_data_config c;
    hs_data_config_default(&c);
    hs_data_config_for_graph(&c);
    c.ood_fraction = 0.03;
    hs_dataset d = {0}, again = {0};
    const hs_events events = {.fn = count_warnings};
    warned = 0;
    assert_ok(hs_dataset_build(&d, &c, &g, NULL, &events, err));
    uint32_t tests = 0;
    for (uint32_t k = 0; k < d.n_splits; k++) {
        const hs_baselines *b = &d.audit.split[k].baselines;
        if (d.splits[k].role != HS_SPLIT_TEST)
            continue;
        tests++;
        assert_true(b->own_tails == 1 && b->own_relation == 1);
        assert_true(b->majority_r1r2 < 0.3 && b->majority_r2 < 0.3);
        assert_true(hs_baselines_explain(b));
        assert_string_equal(hs_baselines_best(b).name, "own_tails");
    }
    assert_true(tests >= 2 && hs_dataset_split(&d, "test_oo"));
    assert_int_equal(warned, tests);
    assert_non_null(strstr(d.card, "\"explains\": true"));
    char path[256], command[700];
    fresh_path(path, "citizens");
    assert_ok(hs_dataset_write(&d, path, err));
    assert_ok(hs_dataset_read(&again, path, err));
    for (uint32_t k = 0; k < d.n_splits; k++)
        if (d.splits[k].role == HS_SPLIT_TEST)
            assert_true(again.audit.split[k].baselines.own_relation == 1);
    hs_dataset_free(&again);
    /* a card from before these baselines is read: they are unknown */
    snprintf(
        command, sizeof command,
        "sed -i 's/, \"own_tails\".*\"random_tail\": [a-z0-9.-]*//; s/, \"shortcut\": {[^}]*}//' '%s/dataset.json'",
        path);
    assert_int_equal(system(command), 0);
    assert_ok(hs_dataset_read(&again, path, err));
    for (uint32_t k = 0; k < d.n_splits; k++) {
        assert_true(isnan(again.audit.split[k].baselines.own_tails));
        if (d.splits[k].role == HS_SPLIT_TEST)
            assert_true(again.audit.split[k].baselines.majority_r2 == d.audit.split[k].baselines.majority_r2);
    }
    hs_dataset_free(&again);
    hs_dataset_free(&d);
    hs_graph_free(&g);
    remove_path(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound),
        cmocka_unit_test(leaked_query),
        cmocka_unit_test(repeated_test_item),
        cmocka_unit_test(ood_hop_in_training),
        cmocka_unit_test(wrong_answer),
        cmocka_unit_test(wrong_bridge),
        cmocka_unit_test(wrong_further_answer),
        cmocka_unit_test(wrong_class),
        cmocka_unit_test(wrong_fact_class),
        cmocka_unit_test(uncovered_hop),
        cmocka_unit_test(synthetic_test_item),
        cmocka_unit_test(leaked_flip),
        cmocka_unit_test(edited_card),
        cmocka_unit_test(baselines_by_brute_force),
        cmocka_unit_test(fact_baselines_by_brute_force),
        cmocka_unit_test(facts_explain_a_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
