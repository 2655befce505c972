/* Configuration: what is read, what is refused and how it is said, and that what is written out reads back the same. */
#include "hopscope/experiment.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static hs_config config, other;
static hs_error err;

static hs_status parse(const char *text)
{
    memset(&err, 0, sizeof err);
    return hs_config_parse(&config, "x.yaml", text, strlen(text), NULL, 0, &err);
}

static hs_status parse_set(const char *text, const char *set)
{
    memset(&err, 0, sizeof err);
    return hs_config_parse(&config, "x.yaml", text, strlen(text), &set, 1, &err);
}

static void test_forms(void **state)
{
    (void)state;
    assert_int_equal(parse("# comment\n"
                           "graph:\n"
                           "  path: world\n"
                           "  relations: [in country, \"a, b\", 'it''s']\n"
                           "data:\n"
                           "  phi: 6.25\n"
                           "  cover: yes\n"
                           "  out_degree: 7\n"
                           "model: {n_embd: 64, eps: 1e-6, kind: llama}\n"
                           "train.steps: 1e4\n"
                           "augment:\n"
                           "report:\n"
                           "  title: ~\n"
                           "  paper_values:\n"
                           "    - test_ii=0.93\n"
                           "    - test_oo=0.1\n"),
                     HS_OK);
    assert_string_equal(config.graph.path, "world");
    char element[64];
    assert_true(hs_list_get(config.graph.relations, 0, element, sizeof element));
    assert_string_equal(element, "in country");
    assert_true(hs_list_get(config.graph.relations, 1, element, sizeof element));
    assert_string_equal(element, "a, b");
    assert_true(hs_list_get(config.graph.relations, 2, element, sizeof element));
    assert_string_equal(element, "it's");
    assert_false(hs_list_get(config.graph.relations, 3, element, sizeof element));
    assert_false(hs_list_get(config.graph.relations, 0, element, 5));
    assert_true(config.data.phi == 6.25 && config.data.cover && config.data.out_degree == 7);
    assert_true(config.model.n_embd == 64 && config.model.eps == 1e-6f && config.model.kind == HS_MODEL_LLAMA);
    assert_int_equal(config.train.steps, 10000);
    assert_string_equal(config.report.title, "");
    assert_string_equal(config.report.paper_values, "test_ii=0.93,test_oo=0.1");
    /* what is not named has its layer's default */
    hs_train_config train;
    hs_train_config_default(&train);
    assert_true(config.train.lr == train.lr && config.train.batch == train.batch);
}

static void test_task_chooses_defaults(void **state)
{
    (void)state;
    hs_data_config comparison;
    assert_int_equal(hs_data_config_for_task(&comparison, "comparison", NULL), HS_OK);
    /* whatever the order in the file, and also from --set */
    assert_int_equal(parse("data:\n  phi: 3\n  task: comparison\n"), HS_OK);
    assert_true(config.data.phi == 3);
    assert_int_equal(config.data.values, comparison.values);
    assert_string_equal(config.data.task, "comparison");
    assert_int_equal(parse_set("data:\n  task: composition\n  phi: 3\n", "data.task=comparison"), HS_OK);
    assert_string_equal(config.data.task, "comparison");
    assert_true(config.data.phi == 3 && config.data.ood_fraction == comparison.ood_fraction);
}

static void test_set_wins(void **state)
{
    (void)state;
    const char *set[] = {"train.steps=7", "train.stop_split=a=b", "train.steps=9"};
    assert_int_equal(hs_config_parse(&config, "x", "train.steps: 5\n", 15, set, 3, &err), HS_OK);
    assert_int_equal(config.train.steps, 9);
    assert_string_equal(config.train.stop_split, "a=b");
}

/* Text, what the message must hold of: where, what, value, hint. */
static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *where, *what, *value, *hint;
    } bad[] = {
        {"", "x.yaml", "no settings", "", ""},
        {"# only a comment\n", "x.yaml", "no settings", "", ""},
        {"train:\n  steps: 5\n  lrr: 1\n", "x.yaml:3", "unknown key", "train.lrr", "train.lr"},
        {"data:\n  outdegree: 5\n", "x.yaml:2", "unknown key", "data.outdegree", "data.out_degree"},
        {"tarin:\n  steps: 5\n", "x.yaml:2", "unknown key", "tarin.steps", "train.steps"},
        {"steps: 5\n", "x.yaml:1", "unknown key", "steps", "train.steps"},
        {"qqqqqqqq: 5\n", "x.yaml:1", "unknown key", "qqqqqqqq", "hopscope config"},
        {"train:\n  steps: many\n", "x.yaml:2: train.steps", "not a whole number", "many", "from 1"},
        {"train:\n  steps: -5\n", "x.yaml:2: train.steps", "not a whole number", "-5", ""},
        {"train:\n  steps: 5.5\n", "x.yaml:2: train.steps", "not a whole number", "5.5", ""},
        {"train:\n  steps: 0\n", "x.yaml:2: train.steps", "out of range", "0", ""},
        {"train:\n  steps: 99999999999999999999\n", "x.yaml:2: train.steps", "", "99999999999999999999", ""},
        {"train:\n  batch: 4294967296\n", "x.yaml:2: train.batch", "out of range", "4294967296", ""},
        {"train:\n  lr: fast\n", "x.yaml:2: train.lr", "not a number", "fast", ""},
        {"train:\n  lr: nan\n", "x.yaml:2: train.lr", "not a number", "nan", ""},
        {"train:\n  lr: .inf\n", "x.yaml:2: train.lr", "not a number", ".inf", ""},
        {"train:\n  lr: 0x10\n", "x.yaml:2: train.lr", "not a number", "0x10", ""},
        {"train:\n  lr: -1\n", "x.yaml:2: train.lr", "out of range", "-1", ""},
        {"train:\n  lr:\n", "x.yaml:2: train.lr", "no value", "", ""},
        {"train:\n  lr: [1]\n", "x.yaml:2: train.lr", "not a list", "", ""},
        {"train:\n  lr: {a: 1}\n", "x.yaml:2: train.lr", "not a section", "", ""},
        {"train: 5\n", "x.yaml:1", "unknown key", "train", ""},
        {"train:\n  beta1: 1\n", "x.yaml:2: train.beta1", "", "", ""},
        {"data:\n  cover: maybe\n", "x.yaml:2: data.cover", "not a switch", "maybe", "true or false"},
        {"train:\n  optimizer: moun\n", "x.yaml:2: train.optimizer", "no such choice", "moun", "muon"},
        {"data:\n  task: compositoin\n", "x.yaml:2: data.task", "", "compositoin", "composition"},
        {"data:\n  tails: none\n", "x.yaml:2: data.tails", "no such choice", "none", "functional"},
        {"train:\n  lr: 1\n\n  lr: 2\n", "x.yaml:4: train.lr", "given twice", "", "line 2"},
        {"train.lr: 1\ntrain:\n  lr: 2\n", "x.yaml:3: train.lr", "given twice", "", "line 1"},
        {"train:\n  lr: 1\n bad\n", "x.yaml:", "not YAML", "", ""},
        {"train: {lr: 1\n", "x.yaml:", "not YAML", "", ""},
        {"train:\n\tlr: 1\n", "x.yaml:2", "not YAML", "", ""},
        {"- a\n- b\n", "x.yaml:1", "key: value", "", ""},
        {"just text\n", "x.yaml:1", "key: value", "", ""},
        {"train:\n  lr: 1\n---\ntrain:\n  lr: 2\n", "x.yaml:3", "second document", "", ""},
        {"a: &x {b: *x}\n", "x.yaml:1", "", "", ""},
        {"train:\n  lr: *no\n", "x.yaml:2", "", "", ""},
        {"? [a]\n: 1\n", "x.yaml:1", "plain text", "", ""},
        {"graph:\n  relations: [a, [b]]\n", "x.yaml:2: graph.relations", "non-empty texts", "", ""},
        {"graph:\n  relations: [a, '']\n", "x.yaml:2: graph.relations", "non-empty texts", "", ""},
        {"graph:\n  path: \"a\\0b\"\n", "x.yaml:2: graph.path", "zero byte", "", ""},
        {"train:\n  lr: 1\xff\n", "x.yaml, byte", "UTF-8", "", ""},
        {"augment:\n  phi: 6\n", "x.yaml:2: augment.phi", "needs a graph", "", "graph.path"},
        {"report:\n  paper_values: [test_ii]\n", "x.yaml:2: report.paper_values", "SPLIT=ACCURACY", "test_ii", ""},
        {"report:\n  paper_values: [test_ii=2]\n", "x.yaml:2: report.paper_values", "SPLIT=ACCURACY", "", ""},
        {"data:\n  ood_pick: everywhere\n", "x.yaml:2: data.ood_pick", "no such choice", "everywhere", ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hs_status status = parse(bad[i].text);
        if (status != HS_ERR_DATA || !strstr(err.where, bad[i].where) || !strstr(err.what, bad[i].what) ||
            !strstr(err.value, bad[i].value) || !strstr(err.hint, bad[i].hint))
            fail_msg("case %zu: %s\nstatus %d where %s what %s value %s hint %s", i, bad[i].text, (int)status,
                     err.where, err.what, err.value, err.hint);
        assert_int_equal(hs_config_parse(&config, "x", bad[i].text, strlen(bad[i].text), NULL, 0, NULL), HS_ERR_DATA);
    }
    char deep[400] = "";
    for (int i = 0; i < 40; i++)
        strcat(deep, "{a: ");
    assert_int_equal(parse(deep), HS_ERR_DATA);
    char *long_key = hs_alloc(2000);
    memset(long_key, 'k', 1990);
    memcpy(long_key + 1990, ": 1\n", 5);
    assert_int_equal(parse(long_key), HS_ERR_DATA);
    memcpy(long_key, "graph.path: ", 12);
    long_key[1990] = '\n';
    long_key[1991] = 0;
    assert_int_equal(parse(long_key), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "too long"));
    hs_free(long_key);
}

static void test_set_errors(void **state)
{
    (void)state;
    static const struct {
        const char *set, *where, *hint;
    } bad[] = {{"train.lr", "--set", ""},
               {"=5", "--set", ""},
               {"train.lrr=5", "--set", "train.lr"},
               {"train.lr=abc", "--set train.lr", ""},
               {"train.lr=", "--set train.lr", ""},
               {"train.beta1=1", "--set train.beta1", ""},
               {"data.task=composit", "--set data.task", ""}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse_set("train.steps: 5\n", bad[i].set), HS_ERR_USAGE);
        assert_non_null(strstr(err.where, bad[i].where));
        assert_non_null(strstr(err.hint, bad[i].hint));
    }
    assert_int_equal(hs_config_read(&config, "/no/such/file.yaml", NULL, 0, &err), HS_ERR_IO);
    assert_int_equal(hs_config_read(&config, TEST_BINARY_DIR, NULL, 0, &err), HS_ERR_DATA);
}

static void assert_round_trip(void)
{
    hs_str text = {0};
    hs_config_write(&config, &text);
    assert_false(text.failed);
    hs_status status = hs_config_parse(&other, "written", text.s, text.len, NULL, 0, &err);
    if (status != HS_OK)
        fail_msg("%s: %s '%s'", err.where, err.what, err.value);
    const hs_config_key *key = hs_config_diff(&config, &other, false);
    if (key)
        fail_msg("%s differs", key->key);
    hs_str_free(&text);
}

/* Every key, with a value that is not its default, survives being written out and read. */
static void test_round_trip(void **state)
{
    (void)state;
    hs_config_default(&config);
    assert_round_trip();
    size_t n;
    const hs_config_key *keys = hs_config_keys(&n);
    static const char *const texts[] = {"",
                                        "plain",
                                        "with \"quotes\" and # : - {[",
                                        " lead and trail ",
                                        "yes",
                                        "~",
                                        "1e5",
                                        "tab\there\nline",
                                        "\xc3\xa9\xe4\xb8\x96\xf0\x9f\x98\x80",
                                        "\x7f\x01",
                                        "\xc2\x85\xc2\x9f\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf\xef\xbf\xbe",
                                        "a,b c",
                                        "a\\,b,c",
                                        ",",
                                        "\\",
                                        "a,,b",
                                        "%s",
                                        "back\\slash"};
    for (size_t i = 0; i < n; i++) {
        hs_config_default(&config);
        strcpy(config.graph.path, keys[i].setting.offset == offsetof(hs_config, graph.path) ? "" : "g.tsv");
        strcpy(config.augment.relations, "r");
        if (keys[i].setting.type == HS_SETTING_STRING && !keys[i].setting.names &&
            !(keys[i].setting.flags & HS_SETTING_FIRST)) {
            if (strcmp(keys[i].key, "report.paper_values") == 0 || strcmp(keys[i].key, "graph.path") == 0)
                continue;
            for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
                assert_int_equal(hs_config_set(&config, keys[i].key, texts[k], &err), HS_OK);
                hs_str value = {0};
                hs_config_get(&config, &keys[i], &value);
                assert_string_equal(value.s ? value.s : "", texts[k]);
                hs_str_free(&value);
                if (hs_config_check(&config, NULL) == HS_OK)
                    assert_round_trip();
            }
            continue;
        }
        for (size_t k = 0; keys[i].setting.names && keys[i].setting.names[k]; k++) {
            assert_int_equal(hs_config_set(&config, keys[i].key, keys[i].setting.names[k], &err), HS_OK);
            if (hs_config_check(&config, NULL) == HS_OK)
                assert_round_trip();
        }
        static const char *const numbers[] = {"0",    "1",  "2",        "3", "0.1", "0.3333333333333333",
                                              "1e-8", "77", "123456789"};
        for (size_t k = 0; !keys[i].setting.names && k < sizeof numbers / sizeof *numbers; k++)
            if (hs_config_set(&config, keys[i].key, numbers[k], NULL) == HS_OK &&
                hs_config_check(&config, NULL) == HS_OK)
                assert_round_trip();
    }
}

static void test_diff(void **state)
{
    (void)state;
    hs_config_default(&config);
    other = config;
    assert_null(hs_config_diff(&config, &other, false));
    other.train.steps++;
    other.train.threads = 7;
    strcpy(other.train.stop_split, "test_ii");
    assert_null(hs_config_diff(&config, &other, true));
    assert_string_equal(hs_config_diff(&config, &other, false)->key, "train.steps");
    other.train.lr *= 2;
    assert_string_equal(hs_config_diff(&config, &other, true)->key, "train.lr");
    memset(config.graph.path + 1, 'x', 10); /* bytes after the end of a text do not count */
    other.train.lr = config.train.lr;
    assert_null(hs_config_diff(&config, &other, true));
}

/* Every row: in a section with a title, a range its default is in, help of one line; and each description names it. */
static void test_table(void **state)
{
    (void)state;
    size_t n;
    const hs_config_key *keys = hs_config_keys(&n);
    assert_true(n > 80);
    hs_str text[4] = {0};
    for (int f = 0; f < 4; f++)
        hs_config_describe((hs_describe_format)f, &text[f]);
    hs_config_default(&config);
    for (size_t i = 0; i < n; i++) {
        char section[32];
        snprintf(section, sizeof section, "%.*s", (int)strcspn(keys[i].key, "."), keys[i].key);
        assert_non_null(hs_config_section(section));
        assert_ptr_equal(hs_config_key_find(keys[i].key), &keys[i]);
        assert_true(strlen(keys[i].setting.help) >= 4 && !strchr(keys[i].setting.help, '\n'));
        assert_true(keys[i].setting.type != HS_SETTING_ENUM || keys[i].setting.names);
        hs_str value = {0};
        hs_config_get(&config, &keys[i], &value);
        if (hs_config_set(&config, keys[i].key, value.s ? value.s : "", &err) != HS_OK)
            fail_msg("default of %s: %s %s", keys[i].key, err.what, err.value);
        hs_str_free(&value);
        for (int f = 0; f < 4; f++)
            assert_non_null(strstr(text[f].s, keys[i].key));
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(keys[k].key, keys[i].key);
            assert_true(keys[k].setting.offset + keys[k].setting.size <= keys[i].setting.offset ||
                        keys[i].setting.offset + keys[i].setting.size <= keys[k].setting.offset);
        }
    }
    for (int f = 0; f < 4; f++)
        hs_str_free(&text[f]);
    assert_int_equal(hs_config_check(&config, &err), HS_OK);
}

/* The n-th allocation fails, for every n: an error, no leak (the address sanitizer looks), and then it works. */
static void test_out_of_memory(void **state)
{
    (void)state;
    static const char text[] = "graph:\n  path: world\n  relations: [a, b]\ntrain:\n  steps: 5\n";
    const char *set = "train.lr=0.1";
    int failures = 0;
    for (uint64_t n = 1; n < 1000; n++) {
        hs_alloc_fail_after(n);
        hs_status status = hs_config_parse(&config, "x", text, sizeof text - 1, &set, 1, &err);
        hs_alloc_fail_after(0);
        if (status == HS_OK)
            break;
        assert_int_equal(status, HS_ERR_MEMORY);
        failures++;
    }
    assert_true(failures > 1 && failures < 900);
}

/* The choices of model.preset are those the model layer knows. */
static void test_preset_names(void **state)
{
    (void)state;
    const hs_config_key *key = hs_config_key_find("model.preset");
    size_t n = 0;
    for (const char *name; (name = hs_model_preset_name(n)) != NULL; n++)
        assert_string_equal(key->setting.names[n + 1], name); /* the first choice is "" */
    assert_null(key->setting.names[n + 1]);
    assert_true(n >= 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preset_names),
        cmocka_unit_test(test_forms),         cmocka_unit_test(test_task_chooses_defaults),
        cmocka_unit_test(test_set_wins),      cmocka_unit_test(test_errors),
        cmocka_unit_test(test_set_errors),    cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_diff),          cmocka_unit_test(test_table),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
