/* N-Triples and Turtle through serd: names, literals, damage with line and column. */
#include "helpers.h"

static const char *const turtle = "@prefix e: <http://x.org/e/> .\n"
                                  "@prefix p: <http://x.org/p#> .\n"
                                  "e:a p:knows e:b .\n"
                                  "e:b p:knows e:c ; p:name \"Bob\" .\n"
                                  "e:c p:knows <http://y.org/z/a> , _:someone .\n";

static bool without_serd(void)
{
    hs_error err = {0};
    hs_graph g;
    hs_status status =
        hs_graph_read(&g, temp_text(".nt", "<http://a/b> <http://a/p> <http://a/c> .\n"), NULL, NULL, &err);
    hs_graph_free(&g);
    return status == HS_ERR_DATA && strstr(err.what, "without serd") != NULL;
}

static void test_turtle(void **state)
{
    (void)state;
    hs_graph g;
    hs_read_report report;
    if (without_serd())
        skip();
    assert_ok(hs_graph_read(&g, temp_text(".ttl", turtle), NULL, &report, err));
    assert_int_equal(g.n_facts, 4);
    assert_int_equal(report.literals_skipped, 1);
    assert_int_equal(report.records, 5);
    assert_true(has_fact(&g, "http://x.org/e/a", "knows", "b")); /* two IRIs end in "a": both stay whole */
    assert_true(has_fact(&g, "b", "knows", "c"));
    assert_true(has_fact(&g, "c", "knows", "http://y.org/z/a"));
    uint64_t blanks = 0;
    for (uint32_t e = 0; e < g.entities.n; e++)
        blanks += strncmp(hs_names_get(&g.entities, e), "_:", 2) == 0;
    assert_int_equal(blanks, 1);
    hs_graph_free(&g);
    hs_read_options options = {.literals = true};
    assert_ok(hs_graph_read(&g, temp_text(".ttl", turtle), &options, &report, err));
    assert_true(has_fact(&g, "b", "name", "Bob"));
    assert_int_equal(report.literals_skipped, 0);
    hs_graph_free(&g);
}

static void test_ntriples(void **state)
{
    (void)state;
    hs_graph g;
    if (without_serd())
        skip();
    const char *text = "# a comment\n<http://w/Q1> <http://w/P1> <http://w/Q2> .\n"
                       "<http://w/Q2> <http://w/P1> <http://w/M\xC3\xBCller> .\n";
    assert_ok(hs_graph_read(&g, temp_text("", text + 12), NULL, NULL, err)); /* by content */
    assert_true(has_fact(&g, "Q1", "P1", "Q2") && has_fact(&g, "Q2", "P1", "M\xC3\xBCller"));
    hs_graph_free(&g);
    assert_ok(hs_graph_read(&g, temp_text(".nt", text), NULL, NULL, err));
    assert_int_equal(g.n_facts, 2);
    hs_graph_free(&g);
}

static void test_damage(void **state)
{
    (void)state;
    if (without_serd())
        skip();
    assert_bad(temp_text(".nt", "<http://a/b> <http://a/p> <http://a/c> .\n<http://a/b> <http://a/p <http://a/c> .\n"),
               NULL, "IRI", ".nt:2:25");
    assert_bad(temp_text(".ttl", "@prefix e: <http://x.org/> .\ne:a e:b e:c .\ne:a e:b ] .\n"), NULL, "", ".ttl:3:");
    assert_bad(temp_text(".ttl", "@prefix e: <http://x.org/> .\ne:a q:b e:c .\n"), NULL, "prefix", ".ttl:2:");
    assert_bad(temp_text(".ttl", "@prefix e: <http://x.org/> .\ne:a e:b \"c"), NULL, "", ".ttl:2:");
    assert_bad(temp_text(".nt", "<http://a/b> <http://a/p> <http://a/\xFF> .\n"), NULL, "", ".nt:1:");
    assert_bad(temp_text(".nt", "<http://a/b> <http://a/p> \"only a literal\" .\n"), NULL, "no facts", ".nt");
    assert_bad(temp_text(".nt", ""), NULL, "no facts", ".nt");
    hs_graph g;
    hs_error err = {0};
    assert_int_equal(hs_graph_read(&g, "/no/such.ttl", NULL, NULL, &err), HS_ERR_IO);
    assert_int_equal(hs_graph_read(&g, temp_text(".nt", "nonsense"), NULL, NULL, NULL), HS_ERR_DATA);
}

/* A literal without an end is not taken into memory. */
static void test_endless(void **state)
{
    (void)state;
    if (without_serd())
        skip();
    size_t size = (size_t)65 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'x', size);
    memcpy(text, "<http://a/b> <http://a/p> \"", 27);
    const char *path = temp_file(".nt", text, size);
    free(text);
    assert_bad(path, NULL, "64 MiB", ".nt:1");
    unlink(path);
}

/* n times `open`, then n times `close`, as one statement's object. */
static const char *nested(size_t n, const char *open, const char *inside, const char *close)
{
    hs_str text = {0};
    hs_str_addf(&text, "@prefix e: <http://x.org/> .\ne:a e:b ");
    for (size_t i = 0; i < n; i++)
        hs_str_addf(&text, "%s", open);
    hs_str_addf(&text, "%s", inside);
    for (size_t i = 0; i < n; i++)
        hs_str_addf(&text, "%s", close);
    hs_str_addf(&text, " .\n");
    assert_false(text.failed);
    const char *path = temp_text(".ttl", text.s);
    hs_str_free(&text);
    return path;
}

/* Deep nesting, damaged or not, is refused and does not take the stack; brackets in texts, names, comments are none. */
static void test_nesting(void **state)
{
    (void)state;
    hs_graph g;
    if (without_serd())
        skip();
    assert_bad(nested(20000, "(", "", ""), NULL, "nested", ".ttl:2");
    assert_bad(nested(20000, "[", "", ""), NULL, "", ".ttl:2");
    assert_bad(nested(20000, "[ e:b ", "", ""), NULL, "nested", ".ttl:2");
    assert_bad(nested(20000, "(", "e:c", ")"), NULL, "nested", ".ttl:2");
    assert_bad(nested(20000, "[ e:b ", "e:c", "]"), NULL, "nested", ".ttl:2");
    assert_ok(hs_graph_read(&g, nested(100, "[ e:b ", "e:c", "]"), NULL, NULL, err));
    assert_int_equal(g.n_facts, 101);
    hs_graph_free(&g);
    hs_str text = {0};
    hs_str_addf(&text, "@prefix e: <http://x.org/> .\n");
    for (int i = 0; i < 1500; i++)
        hs_str_addf(&text,
                    "e:a e:b \"([\", \"\"\"(\"[\\\"\"\"\", '(\\'[', '''[''(''', \"\", \"(\" . # ([\n"
                    "e:c%d e:b e:d\\( .\n",
                    i);
    assert_false(text.failed);
    assert_ok(hs_graph_read(&g, temp_text(".ttl", text.s), NULL, NULL, err));
    hs_str_free(&text);
    assert_int_equal(g.n_facts, 1500);
    hs_graph_free(&g);
}

/* A prefix given again counts from there on; one relative to the base; the empty one; many. */
static void test_prefixes(void **state)
{
    (void)state;
    hs_graph g;
    if (without_serd())
        skip();
    hs_str text = {0};
    hs_str_addf(&text, "@base <http://b.org/x/> .\n@prefix e: <http://x.org/> .\n@prefix f: <sub#> .\n"
                       "@prefix : <http://empty/> .\ne:a f:p e:a2 .\n:n f:p f:m .\n@prefix e: <http://y.org/> .\n"
                       "e:a f:p e:a3 .\n");
    for (int i = 0; i < 2000; i++)
        hs_str_addf(&text, "@prefix p%d: <http://p.org/%d/> .\n", i, i);
    hs_str_addf(&text, "p7:u f:p p1999:v .\n");
    assert_false(text.failed);
    assert_ok(hs_graph_read(&g, temp_text(".ttl", text.s), NULL, NULL, err));
    hs_str_free(&text);
    assert_int_equal(g.n_facts, 4);
    assert_true(has_fact(&g, "http://x.org/a", "p", "a2") && has_fact(&g, "http://y.org/a", "p", "a3"));
    assert_true(has_fact(&g, "n", "p", "m") && has_fact(&g, "u", "p", "v"));
    hs_graph_free(&g);
}

static char memory_path[512];

static hs_status read_again(hs_error *err)
{
    hs_graph g;
    hs_status status = hs_graph_read(&g, memory_path, NULL, NULL, err);
    hs_graph_free(&g);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    if (without_serd())
        skip();
    strcpy(memory_path, temp_text(".ttl", turtle));
    every_allocation_fails(read_again);
    unlink(memory_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turtle),  cmocka_unit_test(test_ntriples), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_nesting), cmocka_unit_test(test_prefixes), cmocka_unit_test(test_endless),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
