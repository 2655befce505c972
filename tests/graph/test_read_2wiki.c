/* 2WikiMultiHopQA: list and lines, every repair, every kind of damage, the counts of real data, questions. */
#include "helpers.h"

#include "graph/read/format.h"

#define CHAIN(a, b)                                                                                                    \
    "{\"_id\":\"1\",\"type\":\"compositional\",\"question\":\"Who?\",\"evidences\":[[\"Film\",\"director\",\"" a       \
    "\"],[\"" b "\",\"date of birth\",\"August 9, 1957\"]],\"evidences_id\":[[\"Q1\",\"director\",\"Q2\"],[\"Q2\","    \
    "\"date of birth\",\"date_information\"]],\"supporting_facts\":[[\"Film\",0],[\"John Smith\",1]]}"

static void test_dates(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"9 August 1957", "1957-08-09"},
        {"August 9, 1957", "1957-08-09"},
        {"1957", "1957"},
        {"1957-08-09", "1957-08-09"},
        {"August 1957", "1957-08"},
        {"1957-08", "1957-08"},
        {"20 March 851", "0851-03-20"},
        {"29 February 2000", "2000-02-29"},
        {"Sep 3, 1999", "1999-09-03"},
        {"953", "0953"},
    };
    static const char *const bad[] = {"",           "August",     "31 February 1957", "29 February 1900",
                                      "0 May 1957", "circa 1957", "1957 BC",          "9 Augustus 1957",
                                      "12",         "-44",        "1957-13",          "19570809",
                                      "9 9 1957",   "1957-8-9",   "1 2 3 4"};
    char iso[HS_DATE_SIZE];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!hs_date_iso(good[i][0], iso) || strcmp(iso, good[i][1]) != 0)
            fail_msg("%s became %s", good[i][0], iso);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (hs_date_iso(bad[i], iso))
            fail_msg("%s became %s", bad[i], iso);
}

static void test_countries(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"American", "United States"}, {"America", "United States"},
                                           {"U.S.", "United States"},     {"Afghan", "Afghanistan"},
                                           {"Zimbabwean", "Zimbabwe"},    {"the United States", "United States"},
                                           {"French", "France"},          {"British", "United Kingdom"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_non_null(hs_country_name(pairs[i][0]));
        assert_string_equal(hs_country_name(pairs[i][0]), pairs[i][1]);
    }
    assert_null(hs_country_name("France"));
    assert_null(hs_country_name("Florentine Republic"));
    assert_null(hs_country_name(""));
}

static void test_alias_by_id(void **state)
{
    (void)state;
    hs_graph g;
    hs_read_report report;
    const char *path =
        temp_text(".json", "[" CHAIN("J. Smith", "John Smith") ",\n " CHAIN("John Smith", "Smith, J.") "]\n");
    assert_ok(hs_graph_read(&g, path, NULL, &report, err));
    assert_int_equal(report.records, 2);
    assert_int_equal(report.aliases_by_id, 2);
    assert_int_equal(report.dates_normalized, 2);
    assert_int_equal(report.duplicates, 2); /* both now say the same */
    assert_int_equal(g.n_facts, 2);
    assert_true(has_fact(&g, "Film", "director", "John Smith"));
    assert_true(has_fact(&g, "John Smith", "date of birth", "1957-08-09"));
    hs_graph_free(&g);
    hs_read_options raw = {.raw = true};
    assert_ok(hs_graph_read(&g, path, &raw, &report, err));
    assert_int_equal(g.n_facts, 4);
    assert_int_equal(report.aliases_by_id + report.dates_normalized, 0);
    assert_true(has_fact(&g, "Film", "director", "J. Smith"));
    assert_true(has_fact(&g, "John Smith", "date of birth", "August 9, 1957"));
    hs_graph_free(&g);
}

static void test_alias_by_title(void **state)
{
    (void)state;
    hs_graph g;
    hs_read_report report;
    /* The second director's article is "B (actor)"; there are no ids. The first director's spelling is right. */
    const char *text =
        "{\"type\":\"bridge_comparison\",\"evidences\":[[\"F1\",\"director\",\"A\"],[\"F2\",\"director\",\"B\"],"
        "[\"A\",\"country of citizenship\",\"American\"],[\"B (actor)\",\"country of citizenship\",\"US\"]],"
        "\"evidences_id\":[],\"supporting_facts\":[[\"F1\",0],[\"F2\",0],[\"A\",0],[\"A\",1],[\"B (actor)\",0]]}\n"
        "{\"type\":\"compositional\",\"evidences\":[[\"X\",\"father\",\"Y.\"],[\"Y\",\"mother\",\"  Z \"]],"
        "\"supporting_facts\":[[\"X\",0],[\"Y\",0]]}\n"
        "{\"type\":\"comparison\",\"evidences\":[[\"P\",\"date of birth\",\"someday\"],[\"Q\",\"country\",\"Q\"]]}";
    assert_ok(hs_graph_read(&g, temp_text(".jsonl", text), NULL, &report, err));
    assert_int_equal(report.records, 3);
    assert_int_equal(report.aliases_by_title, 2);
    assert_int_equal(report.aliases_by_id, 0);
    assert_int_equal(report.nationalities_normalized, 2);
    assert_int_equal(report.dates_unknown, 1);
    assert_int_equal(report.names_trimmed, 1);
    assert_true(has_fact(&g, "F2", "director", "B (actor)"));
    assert_true(has_fact(&g, "B (actor)", "country of citizenship", "United States"));
    assert_true(has_fact(&g, "A", "country of citizenship", "United States"));
    assert_true(has_fact(&g, "X", "father", "Y"));
    assert_true(has_fact(&g, "Y", "mother", "Z"));
    assert_true(has_fact(&g, "P", "date of birth", "someday"));
    hs_graph_free(&g);
}

/* A comparison's two facts are no chain: nothing is joined. */
static void test_no_alias(void **state)
{
    (void)state;
    hs_graph g;
    hs_read_report report;
    const char *text =
        "[{\"type\":\"comparison\",\"evidences\":[[\"A\",\"r\",\"B\"],[\"C\",\"r\",\"D\"]],"
        "\"evidences_id\":[[\"1\",\"r\",\"2\"],[\"2\",\"r\",\"3\"]],\"supporting_facts\":[[\"A\",0],[\"C\",0]]},"
        "{\"type\":\"compositional\",\"evidences\":[[\"E\",\"r\",\"F\"],[\"G\",\"r\",\"H\"]],"
        "\"evidences_id\":[[\"1\",\"r\",\"2\"],[\"9\",\"r\",\"3\"]],\"supporting_facts\":[[\"E\",0],[\"I\",0]]}]";
    assert_ok(hs_graph_read(&g, temp_text(".json", text), NULL, &report, err));
    assert_int_equal(report.aliases_by_id + report.aliases_by_title, 0);
    assert_int_equal(g.entities.n, 8);
    hs_graph_free(&g);
}

static void test_choice(void **state)
{
    (void)state;
    hs_graph g;
    hs_read_report report;
    const char *text = "{\"type\":\"inference\",\"evidences\":[[\"a\",\"r\",\"b\"]]}\n"
                       "{\"type\":\"two-hop\",\"derived\":true,\"evidences\":[[\"c\",\"r\",\"d\"]]}\n"
                       "{\"type\":\"inference2\",\"evidences\":[[\"e\",\"r\",\"f\"]]}\n";
    hs_read_options options = {.types = "compositional,inference"};
    const char *path = temp_text(".jsonl", text);
    assert_ok(hs_graph_read(&g, path, &options, &report, err));
    assert_true(g.n_facts == 1 && has_fact(&g, "a", "r", "b"));
    assert_int_equal(report.records_skipped, 2);
    hs_graph_free(&g);
    options = (hs_read_options){.skip_derived = true};
    assert_ok(hs_graph_read(&g, path, &options, &report, err));
    assert_true(g.n_facts == 2 && !has_fact(&g, "c", "r", "d"));
    hs_graph_free(&g);
    options = (hs_read_options){.types = "none"};
    assert_bad(path, &options, "no facts", ".jsonl");
}

#define OK_RECORD "{\"type\":\"x\",\"evidences\":[[\"a\",\"r\",\"b\"]]}"

static void test_damage(void **state)
{
    (void)state;
    assert_bad(temp_text(".json", ""), NULL, "no facts", ".json");
    assert_bad(temp_text(".json", "[]"), NULL, "no facts", ".json");
    assert_bad(temp_text(".json", "["), NULL, "before the end of the list", ".json:1");
    assert_bad(temp_text(".json", "[" OK_RECORD ",\n" OK_RECORD), NULL, "before the end of the list", ".json:2");
    assert_bad(temp_text(".json", "[" OK_RECORD ",\n{\"type\":\"x\",\"evi"), NULL, "inside a record",
               ".json:2, record 2");
    assert_bad(temp_text(".json", "[" OK_RECORD "\n" OK_RECORD "]"), NULL, "comma", ".json:2");
    assert_bad(temp_text(".json", "[" OK_RECORD ",]"), NULL, "comma before the end", ".json:1");
    assert_bad(temp_text(".json", "[" OK_RECORD "] x"), NULL, "after the end", ".json:1");
    assert_bad(temp_text(".json", "[1, 2]"), NULL, "must be a JSON object", ".json:1");
    assert_bad(temp_text(".json", "[" OK_RECORD ", null]"), NULL, "must be a JSON object", ".json:1");
    assert_bad(temp_text(".json", "hello"), NULL, "must be a JSON object", ".json:1");
    assert_bad(temp_text(".jsonl", OK_RECORD "\n{\"type\":\n\"x\"}\n"), NULL, "end of its line", ".jsonl:2");
    assert_bad(temp_text(".json", "[" OK_RECORD ",\n{\"a\":}]"), NULL, "not JSON", ".json:2, record 2");
    assert_bad(temp_text(".json", "[{\"a\":[}]]"), NULL, "not JSON", ".json:1, record 1");
    assert_bad(temp_text(".json", "[{\"evidences\":[[\"a\",\"r\",\"\xFF\"]]}]"), NULL, "not JSON", "record 1");
    assert_bad(temp_text(".json", "[{\"evidences\":[[\"a\",\"r\",\"\\u0000\"]]}]"), NULL, "not JSON", "record 1");
    assert_bad(temp_text(".json", "[" OK_RECORD ",\n{\"_id\":\"7\"}]"), NULL, "no evidences",
               ":2, record 2, field evidences");
    assert_bad(temp_text(".json", "[{\"evidences\":[]}]"), NULL, "list of [head", "record 1, field evidences");
    assert_bad(temp_text(".json", "[{\"evidences\":\"x\"}]"), NULL, "list of [head", "field evidences");
    assert_bad(temp_text(".json", "[{\"evidences\":[[\"a\",\"r\"]]}]"), NULL, "three strings", "field evidences[0]");
    assert_bad(temp_text(".json", "[{\"evidences\":[[\"a\",\"r\",\"b\"],[\"a\",\"r\",3]]}]"), NULL, "three strings",
               "field evidences[1]");
    assert_bad(temp_text(".json", "[{\"evidences\":[[\"a\",\"\",\"b\"]]}]"), NULL, "not empty", "field evidences[0]");
    assert_bad(temp_text(".json", "[{\"evidences\":[[\"a\",\"r\",\" \\n\"]]}]"), NULL, "not empty",
               "field evidences[0]");
    assert_bad(temp_text(".json", "[{\"evidences\":[[\"a\",\"r\",\"b\"]],\"evidences_id\":3}]"), NULL, "evidences_id",
               "field evidences_id");
    assert_bad(temp_text(".json", "[{\"evidences\":[[\"a\",\"r\",\"b\"]],\"supporting_facts\":[[3,0]]}]"), NULL,
               "[title, sentence]", "field supporting_facts");
    hs_error err = {0};
    hs_graph g;
    assert_int_equal(hs_graph_read(&g, temp_text(".json", "[{\"evidences\":{\"k\":5}}]"), NULL, NULL, &err),
                     HS_ERR_DATA);
    assert_string_equal(err.value, "{\"k\":5}");
    assert_int_equal(hs_graph_read(&g, temp_text(".json", "[{\"_id\":\"7\"}]"), NULL, NULL, NULL), HS_ERR_DATA);
}

/* Every cut of a good file is an error, and so is nearly every file with one byte changed, or it reads. */
static void test_cuts(void **state)
{
    (void)state;
    const char *text = "[" CHAIN("J. Smith", "John Smith") "]";
    size_t len = strlen(text);
    for (size_t n = 0; n < len; n++) {
        hs_graph g;
        hs_error err = {0};
        assert_int_equal(hs_graph_read(&g, temp_file(".json", text, n), NULL, NULL, &err), HS_ERR_DATA);
        assert_null(g.facts);
        assert_true(err.what[0] != '\0' && err.where[0] != '\0');
    }
}

static void test_long_record(void **state)
{
    (void)state;
    size_t size = ((size_t)65 << 20);
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'x', size);
    memcpy(text, "[{\"context\":\"", 13);
    assert_bad(temp_file(".json", text, size), NULL, "longer than", ".json:1, record 1");
    free(text);
    assert_int_equal(truncate(temp_text(".json", ""), 0), 0);
}

static char memory_path[512];

static hs_status read_again(hs_error *err)
{
    hs_graph g;
    hs_question *questions = NULL;
    size_t n = 0;
    hs_status status = hs_graph_read(&g, memory_path, NULL, NULL, err);
    if (status == HS_OK)
        status = hs_questions_read(&g, memory_path, NULL, &questions, &n, err);
    assert_true(status != HS_OK || n == 1);
    hs_questions_free(questions, n);
    hs_graph_free(&g);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    strcpy(memory_path, temp_text(".json", "[" CHAIN("J. Smith", "John Smith") "]"));
    every_allocation_fails(read_again);
    unlink(memory_path);
}

static void test_questions(void **state)
{
    (void)state;
    hs_graph g, part;
    hs_question *q;
    size_t n;
    const char *path =
        temp_text(".json", "[" CHAIN("J. Smith",
                                     "John Smith") ","
                                                   "{\"type\":\"comparison\",\"question\":\"c\",\"evidences\":[[\"A\","
                                                   "\"r\",\"B\"],[\"B\",\"r\",\"D\"]]},"
                                                   "{\"type\":\"x\",\"question\":\"no "
                                                   "chain\",\"evidences\":[[\"A\",\"r\",\"B\"],[\"C\",\"r\",\"D\"]]}]");
    assert_ok(hs_graph_read(&g, path, NULL, NULL, err));
    assert_ok(hs_questions_read(&g, path, NULL, &q, &n, err));
    assert_int_equal(n, 1);
    assert_string_equal(q->text, "Who?");
    assert_string_equal(q->type, "compositional");
    assert_string_equal(hs_names_get(&g.entities, q->head), "Film");
    assert_string_equal(hs_names_get(&g.relations, q->r1), "director");
    assert_string_equal(hs_names_get(&g.entities, q->bridge), "John Smith");
    assert_string_equal(hs_names_get(&g.relations, q->r2), "date of birth");
    assert_string_equal(hs_names_get(&g.entities, q->answer), "1957-08-09");
    hs_questions_free(q, n);
    /* Only chains that stand in the graph given. */
    make_graph(&part, "Film director nobody");
    assert_ok(hs_questions_read(&part, path, NULL, &q, &n, err));
    assert_int_equal(n, 0);
    hs_questions_free(q, n);
    hs_questions_free(NULL, 0);
    hs_graph_free(&part);
    hs_graph_free(&g);
}

static void test_real(void **state)
{
    (void)state;
    hs_graph g;
    hs_read_report report;
    hs_question *q;
    size_t n;
    const char *path = data_file("2wiki/dev505.stripped.jsonl");
    assert_ok(hs_graph_read(&g, path, NULL, &report, err));
    assert_int_equal(report.records, 505);
    assert_int_equal(report.aliases_by_id, 20); /* of the 270 chains */
    assert_true(report.aliases_by_title >= 35); /* in 35 bridge_comparison records, some with two */
    assert_int_equal(report.dates_unknown, 0);
    for (uint32_t e = 0; e < g.entities.n; e++) {
        const char *name = hs_names_get(&g.entities, e);
        assert_true(strcmp(name, "American") != 0 && strcmp(name, "America") != 0);
    }
    assert_ok(hs_questions_read(&g, path, NULL, &q, &n, err));
    assert_int_equal(n, 270); /* every compositional and inference question is a chain now */
    hs_questions_free(q, n);
    hs_graph_free(&g);
    /* The official list with contexts reads the same way. */
    path = data_file("2wiki/dev_sample503.json");
    assert_ok(hs_graph_read(&g, path, NULL, &report, err));
    assert_int_equal(report.records, 503);
    hs_graph_free(&g);
    assert_ok(hs_graph_read(&g, data_file("2wiki/derived470.jsonl"), NULL, &report, err));
    assert_int_equal(report.records, 470);
    hs_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),          cmocka_unit_test(test_countries), cmocka_unit_test(test_alias_by_id),
        cmocka_unit_test(test_alias_by_title), cmocka_unit_test(test_no_alias),  cmocka_unit_test(test_choice),
        cmocka_unit_test(test_damage),         cmocka_unit_test(test_cuts),      cmocka_unit_test(test_long_record),
        cmocka_unit_test(test_memory),         cmocka_unit_test(test_questions), cmocka_unit_test(test_real),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
