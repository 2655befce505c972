/* Datasets in words: what an item says, that nothing held out is given away, files, damaged files, settings that do not
 * go with words. */
#include "data/text/render.h"

#include "data_test.h"

static hs_error error;

static const char TABLE[] =
    "relations:\n"
    "  place of birth: {fact: [\"{h} was born in {t}.\"], of: [\"the birthplace of {x}\"],"
    " same: [\"Were {a} and {b} born in the same place?\"]}\n"
    "  spouse: {fact: [\"{h} is married to {t}.\"], of: [\"the spouse of {x}\"], ask: [\"Who is {q}?\"]}\n"
    "  date of birth: {fact: [\"{h} was born on {t}.\"], of: [\"the birthday of {x}\"],"
    " order: [\"Is {a} older or younger than {b}?\"]}\n"
    "  country: {fact: [\"{h} is in {t}.\"], of: [\"the country of {x}\"]}\n"
    "  river: {fact: [\"{h} lies on {t}.\"], of: [\"the river of {x}\"]}\n"
    "ask: [\"What is {q}?\"]\n"
    "distractors: [\"So much for {h}.\", \"Nothing more is known.\"]\n";

static hs_data_config text_config(const char *task, hs_rendering rendering, hs_tokenizer_kind kind, char table[256])
{
    hs_data_config c;
    assert_ok(hs_data_config_for_task(&c, task, err));
    hs_data_config_for_graph(&c);
    c.rendering = rendering;
    c.tokenizer = kind;
    c.tokenizer_size = 400;
    c.ood_fraction = 0.1;
    if (strcmp(task, "comparison") == 0)
        snprintf(c.attribute_list, sizeof c.attribute_list, "place of birth:same,date of birth:order");
    fresh_path(table, "table.yaml");
    assert_ok(hs_file_write(table, TABLE, sizeof TABLE - 1, err));
    snprintf(c.templates, sizeof c.templates, "%s", table);
    return c;
}

/* The text of an item, a bar before what is scored. */
static void text_of(const hs_dataset *d, const char *split, uint64_t i, hs_str *out)
{
    const hs_item_view item = hs_dataset_item(d, hs_dataset_split(d, split), i);
    out->len = 0;
    hs_tokenizer_decode(d->text->tokenizer, item.tokens, item.prompt, out);
    hs_str_addf(out, "|");
    hs_tokenizer_decode(d->text->tokenizer, item.tokens + item.prompt, item.width - item.prompt, out);
}

static void test_sentences(void **state)
{
    (void)state;
    char table[256], want[600];
    hs_graph g;
    hs_str text = {0};
    real_graph(&g);
    for (int kind = 0; kind < 2; kind++) {
        const hs_data_config c = text_config("composition", HS_RENDER_SENTENCES, (hs_tokenizer_kind)kind, table);
        hs_dataset d = {0};
        assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
        assert_true(d.audit.passed);
        const hs_split *facts = hs_dataset_split(&d, "id_atomic"), *queries = hs_dataset_split(&d, "test_ii");
        for (uint64_t i = 0; i < facts->n; i++) {
            const uint32_t *t = item(facts, i);
            if (strcmp(hs_names_get(&d.vocab, t[1]), "place of birth") != 0)
                continue;
            snprintf(want, sizeof want, "%s was born in| ", hs_names_get(&d.vocab, t[0]));
            text_of(&d, "id_atomic", i, &text);
            assert_memory_equal(text.s, want, strlen(want));
            snprintf(want, sizeof want, "| %s.", hs_names_get(&d.vocab, t[2]));
            assert_non_null(strstr(text.s, want));
        }
        for (uint64_t i = 0; i < queries->n; i++) {
            const uint32_t *t = item(queries, i);
            if (strcmp(hs_names_get(&d.vocab, t[1]), "spouse") != 0 ||
                strcmp(hs_names_get(&d.vocab, t[2]), "spouse") != 0)
                continue;
            snprintf(want, sizeof want, "Who is the spouse of the spouse of %s?| %s.", hs_names_get(&d.vocab, t[0]),
                     hs_names_get(&d.vocab, t[3]));
            text_of(&d, "test_ii", i, &text);
            assert_string_equal(text.s, want);
        }
        hs_dataset_free(&d);
        remove_path(table);
    }
    hs_str_free(&text);
    hs_graph_free(&g);
}

static void test_comparisons(void **state)
{
    (void)state;
    char table[256];
    hs_graph g;
    hs_str text = {0};
    real_graph(&g);
    const hs_data_config c = text_config("comparison", HS_RENDER_PARAGRAPHS, HS_TOKENIZER_WORDS, table);
    hs_dataset d = {0};
    assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
    const hs_split *s = hs_dataset_split(&d, "train_inferred");
    for (uint64_t i = 0; i < s->n; i++) {
        const uint32_t *t = item(s, i);
        const char *label = hs_names_get(&d.vocab, t[s->answer]), *attribute = hs_names_get(&d.vocab, t[0]);
        text_of(&d, "train_inferred", i, &text);
        if (strcmp(attribute, "date of birth") == 0) {
            assert_memory_equal(text.s, "Is ", 3);
            assert_memory_equal(strchr(text.s, '|') + 2, label + 1, strlen(label) - 2); /* "<later>" */
        } else {
            assert_string_equal(strchr(text.s, '|'), strcmp(label, "<same>") == 0 ? "| yes." : "| no.");
        }
    }
    /* a paragraph: distractors, the head's other fact, then the one that is asked */
    const hs_split *facts = hs_dataset_split(&d, "id_atomic");
    uint64_t with_other = 0;
    for (uint64_t i = 0; i < facts->n; i++) {
        text_of(&d, "id_atomic", i, &text);
        assert_non_null(strstr(text.s, "Nothing more is known."));
        with_other += strstr(text.s, " was born in") && strstr(text.s, " was born on");
    }
    assert_true(with_other > facts->n / 2);
    hs_str_free(&text);
    hs_dataset_free(&d);
    hs_graph_free(&g);
    remove_path(table);
}

/* The same seed, the same text; written and read, the same tokens; a damaged file is refused. */
static void test_files(void **state)
{
    (void)state;
    char table[256], dir[256], path[300];
    hs_graph g;
    real_graph(&g);
    const hs_data_config c = text_config("composition", HS_RENDER_PARAGRAPHS, HS_TOKENIZER_BPE, table);
    hs_dataset d = {0}, again = {0};
    assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
    assert_ok(hs_dataset_build(&again, &c, &g, NULL, NULL, err));
    for (uint32_t k = 0; k < d.n_splits; k++)
        assert_string_equal(d.text->split[k].lines.s ? d.text->split[k].lines.s : "",
                            again.text->split[k].lines.s ? again.text->split[k].lines.s : "");
    hs_dataset_free(&again);
    fresh_path(dir, "text");
    assert_ok(hs_dataset_write(&d, dir, err));
    assert_ok(hs_dataset_read(&again, dir, err));
    assert_same_splits(&d, &again);
    assert_int_equal(d.text->longest, again.text->longest);
    assert_int_equal(hs_dataset_vocab(&d), hs_dataset_vocab(&again));
    for (uint32_t k = 0; k < d.n_splits; k++)
        for (uint64_t i = 0; i < d.splits[k].n; i++) {
            const hs_item_view a = hs_dataset_item(&d, &d.splits[k], i),
                               b = hs_dataset_item(&again, &again.splits[k], i);
            assert_int_equal(a.width, b.width);
            assert_int_equal(a.prompt, b.prompt);
            assert_memory_equal(a.tokens, b.tokens, a.width * sizeof *a.tokens);
        }
    assert_ok(hs_dataset_audit(&again, err));
    assert_true(again.audit.passed);
    hs_dataset_free(&again);

    static const struct {
        const char *file, *text, *what;
    } damages[] = {{"test_ii.jsonl", "{}\n", "not the one the card describes"},
                   {"tokenizer.json", "{}", "no supported kind"},
                   {"tokenizer.json", NULL, "open"},
                   {"id_atomic.jsonl", NULL, "open"}};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        remove_path(dir);
        assert_ok(hs_dataset_write(&d, dir, err));
        snprintf(path, sizeof path, "%.250s/%.40s", dir, damages[i].file);
        if (damages[i].text)
            assert_ok(hs_file_write(path, damages[i].text, strlen(damages[i].text), err));
        else
            remove_path(path);
        assert_true(hs_dataset_read(&again, dir, &error) != HS_OK);
        if (!strstr(error.what, damages[i].what))
            fail_msg("damage %zu: %s: %s", i, error.where, error.what);
        assert_null(again.splits);
    }
    hs_dataset_free(&d);
    hs_graph_free(&g);
    remove_path(dir);
    remove_path(table);
}

/* Lines that were changed by hand fail the proofs, each its own. */
static void test_proofs(void **state)
{
    (void)state;
    char table[256];
    hs_graph g;
    real_graph(&g);
    const hs_data_config c = text_config("composition", HS_RENDER_SENTENCES, HS_TOKENIZER_WORDS, table);
    hs_dataset d = {0};
    assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
    const hs_split *test = hs_dataset_split(&d, "test_ii"), *facts = hs_dataset_split(&d, "id_atomic");
    hs_str *lines = &d.text->split[facts - d.splits].lines, *asked = &d.text->split[test - d.splits].lines,
           kept = *lines, bad = {0};
    const char *failure, *rest = strchr(kept.s, '\n');
    const uint32_t *t = item(test, 0), *f = item(facts, 0);
    assert_true(test->n > 0);

    hs_str_addf(&bad, "{\"prompt\": \"x\", \"answer\": \" y.\"}%s", rest); /* another answer */
    *lines = bad;
    assert_ok(hs_rendered_prove(&d, &failure, err));
    assert_int_equal(d.text->wrong, 1);
    bad.len = 0;
    hs_str_addf(&bad, "%.*s%s", (int)(strstr(asked->s, ", \"answer\"") - asked->s), asked->s,
                strstr(kept.s, ", \"answer\"")); /* a test question */
    *lines = bad;
    assert_ok(hs_rendered_prove(&d, &failure, err));
    assert_int_equal(d.text->asked, 1);
    bad.len = 0;
    hs_str_addf(&bad, "{\"context\": [\"Of %s one says %s.\"], %s", hs_names_get(&d.vocab, t[0]),
                hs_names_get(&d.vocab, t[3]), kept.s + 1);
    *lines = bad;
    assert_ok(hs_rendered_prove(&d, &failure, err));
    assert_int_equal(d.text->stated, 1);
    assert_non_null(strstr(failure, "both ends"));
    assert_ok(hs_dataset_audit(&d, err));
    assert_false(d.audit.passed);
    assert_non_null(strstr(d.audit.failure, "both ends"));
    bad.len = 0;
    hs_str_addf(&bad, "{\"prompt\": 1}%s", rest);
    *lines = bad;
    assert_int_equal(hs_rendered_prove(&d, &failure, &error), HS_ERR_DATA);
    assert_string_equal(error.where, "id_atomic.jsonl:1");
    bad.len = 0;
    hs_str_addf(&bad, "%s{}\n", kept.s);
    *lines = bad;
    assert_int_equal(hs_rendered_prove(&d, &failure, &error), HS_ERR_DATA);
    (void)f;
    *lines = kept;
    hs_str_free(&bad);
    hs_dataset_free(&d);
    hs_graph_free(&g);
    remove_path(table);
}

/* Paragraphs of a 2Wiki file: used where the title is a head; a sentence that names both ends of a held-out question is
 * left out. */
static void test_wikipedia(void **state)
{
    (void)state;
    char table[256], wiki[256];
    hs_graph g;
    hs_str file = {0}, text = {0};
    real_graph(&g);
    hs_data_config c = text_config("composition", HS_RENDER_PARAGRAPHS, HS_TOKENIZER_BPE, table);
    hs_dataset d = {0};
    assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
    const hs_split *test = hs_dataset_split(&d, "test_ii");
    uint64_t asked = 0; /* a question whose relations have no mark in the vocabulary */
    while (strchr(hs_names_get(&d.vocab, item(test, asked)[1]), '[') ||
           strchr(hs_names_get(&d.vocab, item(test, asked)[2]), '['))
        assert_true(++asked < test->n);
    const uint32_t *t = item(test, asked);
    const char *head = hs_names_get(&d.vocab, t[0]), *tail = hs_names_get(&d.vocab, t[3]), *bridge = NULL;
    uint32_t b[2];
    assert_int_equal(hs_item_role(&d, test, asked, "b", b), 1);
    bridge = hs_names_get(&d.vocab, b[0]);
    hs_str_addf(&file,
                "{\"type\": \"compositional\", \"question\": \"A real question?\", \"answer\": \"%s\", \"evidences\": "
                "[[\"%s\", \"%s\", \"%s\"], "
                "[\"%s\", \"%s\", \"%s\"]], \"context\": [[\"%s\", [\"A real sentence. \", \" It leads to %s.\"]]]}\n",
                tail, head, hs_names_get(&d.vocab, t[1]), bridge, bridge, hs_names_get(&d.vocab, t[2]), tail, head,
                tail);
    fresh_path(wiki, "wiki.jsonl");
    assert_ok(hs_file_write(wiki, file.s, file.len, err));
    hs_dataset_free(&d);
    snprintf(c.context, sizeof c.context, "%s", wiki);
    assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
    assert_true(d.audit.passed && d.text->left_out > 0);
    text_of(&d, "test_ii", asked, &text);
    assert_memory_equal(text.s, "A real question?|", 17);
    const hs_split *facts = hs_dataset_split(&d, "id_atomic");
    uint64_t real = 0;
    for (uint64_t i = 0; i < facts->n; i++) {
        text_of(&d, "id_atomic", i, &text);
        assert_null(strstr(text.s, "It leads to"));
        real += strncmp(text.s, "A real sentence. ", 17) == 0;
    }
    assert_true(real > 0);
    hs_dataset_free(&d);
    /* what is wrong with a file */
    static const char *const bad[] = {"\"context\": 1", "\"context\": [1]", "\"context\": [[\"a\", [1]]]",
                                      "\"context\": []", "\"context\": [[\"a\", [\"\xc3\"]]]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        file.len = 0;
        hs_str_addf(&file, "{\"type\": \"compositional\", \"evidences\": [[\"a\", \"b\", \"c\"]], %s}\n", bad[i]);
        assert_ok(hs_file_write(wiki, file.s, file.len, err));
        assert_int_equal(hs_dataset_build(&d, &c, &g, NULL, NULL, &error), HS_ERR_DATA);
        assert_non_null(strstr(error.where, wiki));
    }
    hs_str_free(&file);
    hs_str_free(&text);
    hs_graph_free(&g);
    remove_path(wiki);
    remove_path(table);
}

static void test_refused(void **state)
{
    (void)state;
    char table[256];
    hs_graph g;
    real_graph(&g);
    hs_data_config c = text_config("composition", HS_RENDER_SENTENCES, HS_TOKENIZER_WORDS, table);
    hs_dataset d = {0};
    c.templates[0] = 0; /* the program's table lacks "river" */
    assert_int_equal(hs_dataset_build(&d, &c, &g, NULL, NULL, &error), HS_ERR_DATA);
    assert_string_equal(error.value, "river");
    assert_non_null(strstr(error.hint, "data.template_fallback"));
    assert_null(d.splits);
    c.template_fallback = true;
    assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
    assert_int_equal(hs_dataset_check_tokens(&d, "this", &error), HS_ERR_DATA);
    hs_dataset_free(&d);
    c.max_tokens = 8;
    assert_int_equal(hs_dataset_build(&d, &c, &g, NULL, NULL, &error), HS_ERR_DATA);
    assert_non_null(strstr(error.what, "data.max_tokens"));
    c.max_tokens = 512;
    c.tails = HS_TAILS_ANY;
    assert_int_equal(hs_dataset_build(&d, &c, &g, NULL, NULL, &error), HS_ERR_DATA);
    assert_string_equal(error.where, "data.tails");
    c.tails = HS_TAILS_FUNCTIONAL;
    c.end_token = true;
    assert_int_equal(hs_dataset_build(&d, &c, &g, NULL, NULL, &error), HS_ERR_DATA);
    assert_string_equal(error.where, "data.end_token");
    hs_graph_free(&g);
    remove_path(table);
}

/* Long paragraphs lose their last sentences, and say so. */
static void test_shortened(void **state)
{
    (void)state;
    char table[256];
    hs_graph g;
    real_graph(&g);
    hs_data_config c = text_config("composition", HS_RENDER_PARAGRAPHS, HS_TOKENIZER_WORDS, table);
    hs_dataset d = {0};
    c.max_tokens = 18;
    c.paragraph_facts = 0;
    assert_ok(hs_dataset_build(&d, &c, &g, NULL, NULL, err));
    assert_true(d.text->shortened > 0);
    assert_true(d.text->longest <= 18);
    hs_dataset_free(&d);
    hs_graph_free(&g);
    remove_path(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences), cmocka_unit_test(test_comparisons), cmocka_unit_test(test_files),
        cmocka_unit_test(test_proofs),    cmocka_unit_test(test_wikipedia),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_shortened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
