/* The published form, JSONL and TRM's npy set: identical hashes after a round trip; originals without our card. */
#include "data_test.h"

#include <jansson.h>

static void build(hs_dataset *d, const hs_data_config *c, const hs_graph *g)
{
    *d = (hs_dataset){0};
    assert_ok(hs_dataset_build(d, c, g, NULL, NULL, err));
}

static void round_trip(const hs_dataset *d)
{
    char dir[256], path[256];
    hs_dataset r = {0};
    fresh_path(dir, "published");
    assert_ok(hs_dataset_write_published(d, dir, err));
    assert_ok(hs_dataset_read_published(&r, dir, err));
    assert_same_splits(d, &r);
    assert_true(r.audit.passed);
    hs_dataset_free(&r);
    remove_path(dir);
    fresh_path(path, "jsonl");
    assert_ok(hs_dataset_write_jsonl(d, path, err));
    assert_ok(hs_dataset_read_jsonl(&r, path, err));
    assert_same_splits(d, &r);
    assert_true(r.audit.passed);
    hs_dataset_free(&r);
    remove_path(path);
}

static void generated(void **state)
{
    (void)state;
    for (uint32_t hops = 2; hops <= 4; hops++) {
        hs_dataset d;
        hs_data_config c = small_config(hops);
        c.entities = hops == 4 ? 20 : 40;
        c.end_token = hops == 3;
        build(&d, &c, NULL);
        round_trip(&d);
        hs_dataset_free(&d);
    }
    hs_dataset d;
    hs_data_config c = small_config(2);
    c.entities = 100;
    c.token_multiplicity = 10;
    build(&d, &c, NULL);
    round_trip(&d);
    hs_dataset_free(&d);
    c = small_config(2);
    c.entities = 200;
    c.test_max = 20;
    c.injection = HS_INJECTION_BOTH_FULL;
    build(&d, &c, NULL);
    round_trip(&d);
    hs_dataset_free(&d);
    c = small_config(2);
    c.variant = HS_VARIANT_HELD_OUT_ID;
    build(&d, &c, NULL);
    round_trip(&d);
    hs_dataset_free(&d);
    static const char *const TASKS[] = {"comparison", "complex"};
    for (size_t k = 0; k < 2; k++) {
        assert_ok(hs_data_config_for_task(&c, TASKS[k], err));
        c.entities = 60;
        c.attributes = 3;
        c.phi = 5;
        build(&d, &c, NULL);
        round_trip(&d);
        hs_dataset_free(&d);
    }
}

/* Real names with spaces, angle brackets, a synthetic mark, several answers. */
static void from_graph(void **state)
{
    (void)state;
    hs_graph g;
    augmented_graph(&g);
    assert_ok(hs_graph_add(&g, "Ann 0", "spouse", "50% \"<x>\" \\ caf\xc3\xa9", err));
    assert_ok(hs_graph_index(&g, err));
    hs_dataset d;
    hs_data_config c = small_config(2);
    build(&d, &c, &g);
    round_trip(&d);
    hs_dataset_free(&d);
    c.tails = HS_TAILS_ANY;
    build(&d, &c, &g);
    round_trip(&d);
    hs_dataset_free(&d);
    assert_ok(hs_data_config_for_task(&c, "comparison", err));
    strcpy(c.attribute_list, "date of birth,place of birth");
    c.phi = 5;
    build(&d, &c, &g);
    round_trip(&d);
    hs_dataset_free(&d);
    hs_graph_free(&g);
}

static json_t *load(const char *dir, const char *name)
{
    char path[400];
    json_error_t problem;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    json_t *json = json_load_file(path, 0, &problem);
    if (!json)
        fail_msg("%s: %s", name, problem.text);
    return json;
}

static void published_items(void **state)
{
    (void)state;
    hs_dataset d;
    hs_data_config c;
    hs_data_config_default(&c);
    c.entities = 300;
    c.phi = 3.6;
    build(&d, &c, NULL);
    char dir[256];
    fresh_path(dir, "items");
    assert_ok(hs_dataset_write_published(&d, dir, err));
    json_t *train = load(dir, "train.json"), *test = load(dir, "test.json"), *valid = load(dir, "valid.json");
    json_t *vocab = load(dir, "vocab.json"), *ood = load(dir, "ood_facts.json"),
           *annotated = load(dir, "test_annotated.json");
    assert_int_equal(json_array_size(train), d.audit.training_items);
    assert_int_equal(json_array_size(vocab), 506);
    assert_int_equal(json_array_size(ood), 300);
    const char *h = json_string_value(json_array_get(json_array_get(ood, 0), 0));
    assert_int_equal(strncmp(h, "<e_", 3), 0);
    json_t *first = json_array_get(train, 0);
    const char *input = json_string_value(json_object_get(first, "input_text"));
    const char *target = json_string_value(json_object_get(first, "target_text"));
    char expected[128];
    const hs_fact *f = NULL;
    for (uint64_t i = 0; !f && i < d.n_facts; i++)
        f = d.fact_flags[i] & HS_FACT_OOD ? NULL : &d.facts[i];
    snprintf(expected, sizeof expected, "<e_%u><r_%u>", f->head, f->relation - 300);
    assert_string_equal(input, expected);
    snprintf(expected, sizeof expected, "<e_%u><r_%u><e_%u></a>", f->head, f->relation - 300, f->tail);
    assert_string_equal(target, expected);
    /* probes of the training set, then the tests, with the published types */
    uint64_t probes = 0, iid = 0, oo = 0;
    size_t i;
    json_t *item_;
    json_array_foreach(test, i, item_)
    {
        const char *type = json_string_value(json_object_get(item_, "type"));
        probes += strcmp(type, "train_inferred") == 0;
        iid += strcmp(type, "test_inferred_iid") == 0;
        oo += strcmp(type, "test_inferred_ood") == 0;
    }
    assert_int_equal(probes, 3000);
    assert_int_equal(iid, split_n(&d, "test_ii"));
    assert_int_equal(oo, split_n(&d, "test_oo"));
    assert_int_equal(json_array_size(valid), iid);
    json_array_foreach(annotated, i, item_)
    {
        const json_t *hops = json_object_get(item_, "hops");
        const char *type = json_string_value(json_object_get(item_, "type"));
        assert_int_equal(json_array_size(hops), 2);
        for (size_t k = 0; k < 2; k++) {
            bool is_ood = strcmp(json_string_value(json_object_get(json_array_get(hops, k), "category")), "ood") == 0;
            if (strcmp(type, "test_inferred_ood") == 0)
                assert_true(is_ood);
            if (strcmp(type, "test_inferred_oi") == 0)
                assert_int_equal(is_ood, k == 0);
        }
    }
    json_decref(train);
    json_decref(test);
    json_decref(valid);
    json_decref(vocab);
    json_decref(ood);
    json_decref(annotated);
    remove_path(dir);
    hs_dataset_free(&d);
    c.quirk_valid_is_ood = true;
    build(&d, &c, NULL);
    assert_ok(hs_dataset_write_published(&d, dir, err));
    valid = load(dir, "valid.json");
    assert_int_equal(json_array_size(valid), split_n(&d, "test_oo"));
    json_decref(valid);
    remove_path(dir);
    hs_dataset_free(&d);
}

/* As the original program writes it: no card, no lists of facts, no types in train.json. */
static void original_form(void **state)
{
    (void)state;
    hs_dataset d, r = {0};
    hs_data_config c = small_config(2);
    c.end_token = true;
    build(&d, &c, NULL);
    char dir[256], path[400], command[1400];
    fresh_path(dir, "original");
    assert_ok(hs_dataset_write_published(&d, dir, err));
    snprintf(command, sizeof command,
             "cd '%s' && rm dataset.json id_facts.json ood_facts.json test_annotated.json && "
             "sed -i 's/, \"type\": \"[a-z_]*\"//' train.json",
             dir);
    assert_int_equal(system(command), 0);
    assert_ok(hs_dataset_read_published(&r, dir, err));
    assert_true(r.audit.passed);
    assert_same_splits(&d, &r);
    hs_dataset_free(&r);
    /* a test query put into train.json is found by the audit; such a dataset is not written */
    const hs_split *s = hs_dataset_split(&d, "test_ii");
    snprintf(path, sizeof path, "%s/train.json", dir);
    snprintf(command, sizeof command,
             "sed -i '$ d' '%s' && echo ',{\"input_text\": \"<e_%u><r_%u><r_%u>\", \"target_text\": "
             "\"<e_%u><r_%u><r_%u><e_%u></a>\"}]' >> '%s'",
             path, item(s, 0)[0], item(s, 0)[1] - 40, item(s, 0)[2] - 40, item(s, 0)[0], item(s, 0)[1] - 40,
             item(s, 0)[2] - 40, item(s, 0)[3], path);
    assert_int_equal(system(command), 0);
    assert_ok(hs_dataset_read_published(&r, dir, err));
    assert_false(r.audit.passed);
    assert_non_null(strstr(r.audit.failure, "in the training set"));
    hs_dataset_free(&r);
    remove_path(dir);
    hs_dataset_free(&d);
}

/* As the program of arXiv 2505.23653 writes it: the types are others, valid.json is the OOD test. */
static void original_types_of_d(void **state)
{
    (void)state;
    for (uint32_t hops = 2; hops <= 3; hops++) {
        hs_dataset d, r = {0};
        hs_data_config c = small_config(hops);
        c.end_token = true;
        c.variant = hops == 2 ? HS_VARIANT_HELD_OUT_ID : HS_VARIANT_BASE;
        build(&d, &c, NULL);
        char dir[256], command[1600];
        fresh_path(dir, "paper-d");
        assert_ok(hs_dataset_write_published(&d, dir, err));
        snprintf(command, sizeof command,
                 "cd '%s' && rm dataset.json id_facts.json ood_facts.json test_annotated.json && "
                 "sed -i 's/, \"type\": \"[a-z_]*\"//' train.json && "
                 "sed -i -E 's/\"test_inferred_iid/\"test_ii/; s/\"test_inferred_ood/\"test_oo/; "
                 "s/\"test_inferred_/\"test_/; s/\"test_([io]*)\"/\"Test-\\U\\1\"/; "
                 "s/\"held_out_id_atomic/\"Held-out ID Triples/; s/\"id_atomic/\"%sID Triples/; "
                 "s/\"ood_atomic/\"OOD Triples/; s/\"train_inferred/\"Train-%s/' test.json && "
                 "grep -q 'Test-OI' test.json && ! grep -q 'type\": \"[a-z]' test.json",
                 dir, hops == 2 ? "Retained " : "", hops == 2 ? "II" : "III");
        assert_int_equal(system(command), 0);
        assert_ok(hs_dataset_read_published(&r, dir, err));
        assert_string_equal(r.audit.failure, "");
        assert_int_equal(d.n_splits, r.n_splits);
        for (uint32_t i = 0; i < d.n_splits; i++) {
            const hs_split *s = hs_dataset_split(&r, d.splits[i].name);
            assert_non_null(s);
            assert_int_equal(s->hash, d.splits[i].hash);
        }
        remove_path(dir);
        hs_dataset_free(&r);
        hs_dataset_free(&d);
    }
}

/* An original without lists of facts and more OOD facts than test.json has probes: the others are known by what is not
 * trained, and the audit holds. With few training queries some ID facts are hops of none, but of a test query. */
static void capped_probes(void **state)
{
    (void)state;
    hs_dataset d, r = {0};
    hs_data_config c;
    hs_data_config_default(&c);
    c.end_token = true;
    c.entities = 3500;
    c.phi = 1;
    c.test_max = 2000;
    build(&d, &c, NULL);
    assert_int_equal(split_n(&d, "ood_atomic"), 3500);
    char dir[256], command[800];
    fresh_path(dir, "capped");
    assert_ok(hs_dataset_write_published(&d, dir, err));
    snprintf(command, sizeof command,
             "cd '%s' && rm dataset.json id_facts.json ood_facts.json test_annotated.json && "
             "sed -i 's/, \"type\": \"[a-z_]*\"//' train.json && "
             "test $(grep -c '\"type\": \"ood_atomic\"' test.json) = 3000",
             dir);
    assert_int_equal(system(command), 0);
    assert_ok(hs_dataset_read_published(&r, dir, err));
    assert_string_equal(r.audit.failure, "");
    assert_int_equal(r.n_facts, d.n_facts);
    for (uint64_t i = 0; i < d.n_facts; i++)
        assert_true(!(d.fact_flags[i] & HS_FACT_OOD) || r.fact_flags[i] & HS_FACT_OOD);
    static const char *const SAME[] = {"train_inferred", "test_ii", "test_io", "test_oi", "test_oo"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(hs_dataset_split(&r, SAME[i])->hash, hs_dataset_split(&d, SAME[i])->hash);
    /* a trained query over two OOD facts is still found out */
    hs_split *train = (hs_split *)(uintptr_t)hs_dataset_split(&r, "train_inferred");
    const hs_split *oo = hs_dataset_split(&r, "test_oo");
    memcpy(train->tokens, oo->tokens, oo->width * sizeof *oo->tokens);
    train->bridge[0] = oo->bridge[0];
    assert_ok(hs_dataset_audit(&r, err));
    assert_false(r.audit.passed);
    remove_path(dir);
    hs_dataset_free(&d);
    hs_dataset_free(&r);
}

/* The injected datasets of arXiv 2601.09049, as its program writes them: lists of facts, training items without type. */
static void injected_originals(void **state)
{
    (void)state;
    for (hs_injection injection = HS_INJECTION_BOTH_FULL; injection <= HS_INJECTION_SECOND_FULL; injection++) {
        hs_dataset d, r = {0};
        hs_data_config c = small_config(2);
        c.end_token = true;
        c.entities = 200;
        c.injection = injection;
        build(&d, &c, NULL);
        char dir[256], command[800];
        fresh_path(dir, "injected");
        assert_ok(hs_dataset_write_published(&d, dir, err));
        snprintf(command, sizeof command,
                 "cd '%s' && rm dataset.json && sed -i 's/, \"type\": \"[a-z0-9_]*\"//' train.json && "
                 "sed -i 's/\"train_aug_h[12]\"/\"train_inferred\"/' test.json",
                 dir);
        assert_int_equal(system(command), 0);
        assert_ok(hs_dataset_read_published(&r, dir, err));
        assert_string_equal(r.audit.failure, "");
        assert_true(r.audit.ood_hops_on_purpose > 0);
        assert_int_equal(r.n_splits, d.n_splits);
        for (uint32_t i = 0; i < d.n_splits; i++)
            assert_int_equal(hs_dataset_split(&r, d.splits[i].name)->hash, d.splits[i].hash);
        remove_path(dir);
        hs_dataset_free(&d);
        hs_dataset_free(&r);
    }
}

/* valid.json with more than two hops: the test of all ID hops, or with the quirk of all OOD hops. */
static void valid_of_three_hops(void **state)
{
    (void)state;
    for (int quirk = 0; quirk < 2; quirk++) {
        hs_dataset d;
        hs_data_config c = small_config(3);
        c.ood_fraction = 0.3;
        c.quirk_valid_is_ood = quirk != 0;
        build(&d, &c, NULL);
        char dir[256];
        fresh_path(dir, "valid");
        assert_ok(hs_dataset_write_published(&d, dir, err));
        json_t *valid = load(dir, "valid.json");
        assert_true(json_array_size(valid) > 0);
        assert_int_equal(json_array_size(valid), split_n(&d, quirk ? "test_ooo" : "test_iii"));
        json_decref(valid);
        remove_path(dir);
        hs_dataset_free(&d);
    }
}

static void put(const char *dir, const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_ok(hs_make_dirs(dir, err));
    assert_ok(hs_file_write(path, text, strlen(text), err));
}

static void damaged_json(void **state)
{
    (void)state;
    static const struct {
        const char *train, *where, *what;
    } CASES[] = {
        {"", "train.json:1", "list"},
        {"{}", "train.json:1", "list"},
        {"[", "train.json:1", "too early"},
        {"[{\"input_text\": \"<e_0><r_0>\"}]", "element 1", "target_text"},
        {"[\n{\"input_text\": \"<e_0><r_0>\", \"target_text\": \"<e_0><r_0><e_1></a>\"},\n{]", "train.json:3", "JSON"},
        {"[{\"input_text\": \"<e_0><r_9>\", \"target_text\": \"<e_0><r_9><e_1></a>\"}]", "element 1", "vocab.json"},
        {"[{\"input_text\": \"<e_0><r_0>\", \"target_text\": \"<e_1><r_0><e_1></a>\"}]", "element 1", "begin with"},
        {"[{\"input_text\": \"<e_0><r_0>\", \"target_text\": \"<e_0><r_0></a>\"}]", "element 1", "no answer"},
        {"[{\"input_text\": \"e_0\", \"target_text\": \"e_0\"}]", "element 1", "vocab.json"},
        {"[{\"input_text\": \"<e_0><r_0>\", \"target_text\": \"<e_0><r_0><e_1></a>\"}", "train.json", "too early"},
        {"[]", "", "no item"},
        {"[]\n]", "train.json:2", "follows"},
        {"[{\"input_text\": \"<e_0><r_0>\", \"target_text\": \"<e_0><r_0><e_1></a>\"}]{", "train.json:1", "follows"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char dir[256];
        fresh_path(dir, "json");
        put(dir, "vocab.json",
            "[\"<e_0>\", \"<e_1>\", \"<r_0>\", \"<mask>\", \"<sep>\", \"<a>\", \"</a>\", \"<q>\", \"</q>\"]");
        put(dir, "test.json", "[]");
        put(dir, "train.json", CASES[i].train);
        hs_dataset r = {0};
        hs_error e = {0};
        assert_int_equal(hs_dataset_read_published(&r, dir, &e), HS_ERR_DATA);
        if (!strstr(e.where, CASES[i].where) || !strstr(e.what, CASES[i].what))
            fail_msg("case %zu: %s: %s", i, e.where, e.what);
        assert_null(r.splits);
        remove_path(dir);
    }
}

static void foreign_jsonl(void **state)
{
    (void)state;
    static const char TEXT[] =
        "{\"split\": \"id_atomic\", \"prompt\": [\"Munich\", \"in\"], \"answer\": [\"Germany\"]}\n"
        "{\"split\": \"id_atomic\", \"prompt\": [\"Germany\", \"currency\"], \"answer\": [\"euro\"]}\n"
        "\n"
        "{\"split\": \"train_inferred\", \"prompt\": [\"Munich\", \"in\", \"currency\"], \"answer\": [\"euro\"]}\n";
    char path[256];
    hs_dataset r = {0};
    fresh_path(path, "foreign");
    assert_ok(hs_file_write(path, TEXT, strlen(TEXT), err));
    assert_ok(hs_dataset_read_jsonl(&r, path, err));
    assert_int_equal(r.n_facts, 2);
    assert_int_equal(r.n_entities, 3);
    assert_int_equal(r.n_relations, 2);
    const hs_split *s = hs_dataset_split(&r, "train_inferred");
    assert_string_equal(hs_names_get(&r.vocab, s->bridge[0]), "Germany");
    assert_true(r.audit.passed);
    hs_dataset_free(&r);
    static const char *const BAD[] = {
        "{\"split\": \"x\"}\n",
        "[1]\n",
        "{\"split\": \"train/../x\", \"prompt\": [\"a\", \"b\"], \"answer\": [\"c\"]}\n",
        "{\"split\": \"a\", \"prompt\": [\"a\", \"b\"], \"answer\": [\"b\"]}\n",
        "{\"fact\": [\"a\", \"b\"]}\n",
        "{\n",
        "{\"split\": \"a\", \"role\": \"dev\", \"prompt\": [\"a\", \"b\"], \"answer\": [\"c\"]}\n",
        "{\"hopscope\": \"dataset\"}\n",
        "",
        "{\"split\": \"a\", \"prompt\": [\"a\", \"b\"], \"answer\": [\"c\"]}\n{\"split\": \"a\", \"prompt\": [\"a\", "
        "\"b\", "
        "\"b\"], \"answer\": [\"c\"]}\n"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        hs_error e = {0};
        assert_ok(hs_file_write(path, BAD[i], strlen(BAD[i]), err));
        if (hs_dataset_read_jsonl(&r, path, &e) != HS_ERR_DATA)
            fail_msg("bad line %zu was read", i);
        assert_non_null(strstr(e.where, path));
        assert_null(r.splits);
    }
    remove_path(path);
}

/* ---------------------------------------------------------------- npy */

static int32_t *read_npy(const char *dir, const char *name, long *count)
{
    char path[400], *bytes;
    size_t size;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_ok(hs_file_read(path, 1 << 28, &bytes, &size, err));
    assert_memory_equal(bytes, "\x93NUMPY\x01\x00", 8);
    size_t header = (uint8_t)bytes[8] + 256u * (uint8_t)bytes[9] + 10;
    assert_int_equal(header % 64, 0);
    assert_int_equal(bytes[header - 1], '\n');
    assert_non_null(strstr(bytes + 10, "'descr': '<i4'"));
    *count = (long)((size - header) / 4);
    int32_t *out = malloc(size);
    memcpy(out, bytes + header, size - header);
    hs_free(bytes);
    return out;
}

static void npy_set(void **state)
{
    (void)state;
    hs_dataset d;
    hs_data_config c = small_config(2);
    build(&d, &c, NULL);
    char dir[256];
    fresh_path(dir, "trm");
    assert_ok(hs_dataset_write_trm(&d, dir, err));
    long n;
    int32_t *inputs = read_npy(dir, "train/all__inputs.npy", &n);
    assert_int_equal(n, 5 * d.audit.training_items);
    int32_t *labels = read_npy(dir, "train/all__labels.npy", &n);
    assert_int_equal(n, 5 * d.audit.training_items);
    int32_t end = (int32_t)hs_names_find(&d.vocab, "</a>", 4) + 1;
    const uint32_t *fact = item(hs_dataset_split(&d, "id_atomic"), 0);
    int32_t in[5] = {(int32_t)fact[0] + 1, (int32_t)fact[1] + 1};
    int32_t label[5] = {in[0], in[1], (int32_t)fact[2] + 1, end};
    assert_memory_equal(inputs, in, sizeof in);
    assert_memory_equal(labels, label, sizeof label);
    uint64_t row = split_n(&d, "id_atomic") + split_n(&d, "ood_atomic");
    const uint32_t *query = item(hs_dataset_split(&d, "train_inferred"), 0);
    for (uint32_t k = 0; k < 4; k++) {
        assert_int_equal(inputs[5 * row + k], k < 3 ? query[k] + 1 : 0);
        assert_int_equal(labels[5 * row + k], query[k] + 1);
    }
    assert_int_equal(labels[5 * row + 4], end);
    free(inputs);
    free(labels);
    int32_t *indices = read_npy(dir, "test/all__puzzle_indices.npy", &n);
    for (long i = 0; i < n; i++)
        assert_int_equal(indices[i], i);
    free(indices);
    json_t *map = load(dir, "vocab_map.json"), *about = load(dir, "train/dataset.json"),
           *types = load(dir, "test/types.json");
    assert_int_equal(json_integer_value(json_object_get(map, "<e_0>")), 1);
    assert_int_equal(json_integer_value(json_object_get(about, "vocab_size")), d.vocab.n + 1);
    assert_int_equal(json_integer_value(json_object_get(about, "seq_len")), 5);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(types, "test_ii"), 1)), split_n(&d, "test_ii"));
    json_decref(map);
    json_decref(about);
    json_decref(types);
    remove_path(dir);
    hs_dataset_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generated),
        cmocka_unit_test(from_graph),
        cmocka_unit_test(published_items),
        cmocka_unit_test(original_form),
        cmocka_unit_test(original_types_of_d),
        cmocka_unit_test(valid_of_three_hops),
        cmocka_unit_test(capped_probes),
        cmocka_unit_test(injected_originals),
        cmocka_unit_test(damaged_json),
        cmocka_unit_test(foreign_jsonl),
        cmocka_unit_test(npy_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
