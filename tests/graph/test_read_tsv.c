/* TSV and CSV: formats by name and content, every kind of damage, round trip, failing memory and disk. */
#include "helpers.h"

#include <sys/stat.h>

static void test_plain(void **state)
{
    (void)state;
    hs_graph g;
    hs_read_report report;
    const char *path = temp_text(".tsv", "\xEF\xBB\xBF"
                                         "a\tr\tb\r\n\nb\tr\tc\tsynthetic\na\tr\tb\nM\xC3\xBCller\ts\tx y");
    assert_ok(hs_graph_read(&g, path, NULL, &report, err));
    assert_int_equal(g.n_facts, 3);
    assert_int_equal(report.records, 4);
    assert_int_equal(report.facts, 3);
    assert_int_equal(report.duplicates, 1);
    assert_true(has_fact(&g, "a", "r", "b") && has_fact(&g, "b", "r", "c") &&
                has_fact(&g, "M\xC3\xBCller", "s", "x y"));
    assert_int_equal(g.flags[hs_graph_find(&g, (hs_fact){1, 0, 2})], HS_FACT_SYNTHETIC);
    unlink(path);
    hs_graph_free(&g);
}

static void test_damage(void **state)
{
    (void)state;
    assert_bad(temp_text(".tsv", ""), NULL, "no facts", ".tsv");
    assert_bad(temp_text(".tsv", "\n\n"), NULL, "no facts", ".tsv");
    assert_bad(temp_text(".tsv", "a\tr\tb\na\tr\n"), NULL, "this line has 2", ".tsv:2");
    assert_bad(temp_text(".tsv", "a\tr\tb\tc\td\n"), NULL, "this line has 5", ".tsv:1");
    assert_bad(temp_text(".tsv", "a\tr\tb\tmade up\n"), NULL, "synthetic", ".tsv:1");
    assert_bad(temp_text(".tsv", "a b c\n"), NULL, "this line has 1", ".tsv:1");
    assert_bad(temp_text(".tsv", "\tr\tb\n"), NULL, "head is empty", ".tsv:1");
    assert_bad(temp_text(".tsv", "a\t\tb\n"), NULL, "relation is empty", ".tsv:1");
    assert_bad(temp_text(".tsv", "x\ty\tz\na\tr\t\n"), NULL, "tail is empty", ".tsv:2");
    assert_bad(temp_text(".tsv", "a\tr\tb\na\tr\t\xFFx\n"), NULL, "UTF-8", ".tsv:2");
    assert_bad(temp_file(".tsv", "a\tr\tb\0c\n", 8), NULL, "zero byte", ".tsv:1");
    assert_bad(TEST_BINARY_DIR, NULL, "folder", "");
    hs_error err = {0};
    hs_graph g;
    assert_int_equal(hs_graph_read(&g, TEST_BINARY_DIR "/no such file.tsv", NULL, NULL, &err), HS_ERR_IO);
    assert_non_null(strstr(err.where, "no such file.tsv"));
    assert_int_equal(hs_graph_read(&g, TEST_BINARY_DIR "/no such file", NULL, NULL, &err), HS_ERR_IO);
}

static void test_long_line(void **state)
{
    (void)state;
    size_t size = (3 << 20) + 8;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'x', size);
    memcpy(text, "a\tr\t", 4);
    assert_bad(temp_file(".tsv", text, size), NULL, "longer", ".tsv:1"); /* the line */
    text[6000] = '\n';
    assert_bad(temp_file(".tsv", text, 6001), NULL, "4096", ".tsv:1"); /* the name */
    memcpy(text, "a,r,", 4);
    memset(text + 4, 'x', size - 4);
    assert_bad(temp_file(".csv", text, size), NULL, "1 MiB", ".csv:1");
    free(text);
}

static void test_content_decides(void **state)
{
    (void)state;
    hs_graph g;
    assert_ok(hs_graph_read(&g, temp_text("", "a\tr\tb\n"), NULL, NULL, err));
    hs_graph_free(&g);
    assert_ok(hs_graph_read(&g, temp_text("", "a,r,b\n"), NULL, NULL, err));
    assert_true(has_fact(&g, "a", "r", "b"));
    hs_graph_free(&g);
    assert_ok(hs_graph_read(&g, temp_text("", " [{\"evidences\":[[\"a\",\"r\",\"b\"]]}]"), NULL, NULL, err));
    assert_true(has_fact(&g, "a", "r", "b"));
    hs_graph_free(&g);
    assert_bad(temp_text("", "just words\n"), NULL, "format", "");
    assert_bad(temp_text("", ""), NULL, "empty", "");
    hs_read_options csv = {.format = "csv"};
    assert_ok(hs_graph_read(&g, temp_text(".tsv", "a,r,b\n"), &csv, NULL, err));
    hs_graph_free(&g);
    hs_error bad = {0};
    hs_read_options excel = {.format = "excel"};
    assert_int_equal(hs_graph_read(&g, temp_text(".tsv", "a\tr\tb\n"), &excel, NULL, &bad), HS_ERR_USAGE);
    assert_non_null(strstr(bad.hint, "2wiki"));
}

static void test_header(void **state)
{
    (void)state;
    static const char *const headers[] = {"head\trelation\ttail\n", "Subject\tPredicate\tObject\n", "h\tr\tt\n",
                                          "source\tedge\ttarget\tsynthetic\n"};
    hs_graph g;
    hs_read_report report;
    char text[200];
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        snprintf(text, sizeof text, "%sa\tr1\tb\nhead\trelation\ttail\n", headers[i]);
        assert_ok(hs_graph_read(&g, temp_text(".tsv", text), NULL, &report, err));
        assert_int_equal(g.n_facts, 2); /* only a first line is a header */
        assert_int_equal(report.headers_skipped, 1);
        assert_int_equal(report.records, 2);
        assert_true(has_fact(&g, "a", "r1", "b"));
        hs_graph_free(&g);
    }
    /* The names of the columns say their order, unless another was asked for. */
    const char *path = temp_text(".tsv", "head\ttail\trelation\na\tb\tr\n");
    assert_ok(hs_graph_read(&g, path, NULL, &report, err));
    assert_true(has_fact(&g, "a", "r", "b"));
    hs_graph_free(&g);
    hs_read_options hrt = {.columns = "hrt"};
    assert_ok(hs_graph_read(&g, path, &hrt, &report, err));
    assert_true(has_fact(&g, "a", "b", "r"));
    hs_graph_free(&g);
    assert_ok(hs_graph_read(&g, temp_text(".csv", "object,predicate,subject\nb,r,a\n"), NULL, &report, err));
    assert_true(has_fact(&g, "a", "r", "b"));
    assert_int_equal(report.headers_skipped, 1);
    hs_graph_free(&g);
}

static void test_trim(void **state)
{
    (void)state;
    hs_graph g;
    hs_read_report report;
    assert_ok(hs_graph_read(&g, temp_text(".tsv", " a\tr \tb\na\tr\tc d\t synthetic\n"), NULL, &report, err));
    assert_true(has_fact(&g, "a", "r", "b") && has_fact(&g, "a", "r", "c d"));
    assert_int_equal(g.relations.n, 1);
    assert_int_equal(report.names_trimmed, 2);
    hs_graph_free(&g);
    assert_ok(hs_graph_read(&g, temp_text(".csv", "a, r,\" b \"\n"), NULL, &report, err));
    assert_true(has_fact(&g, "a", "r", "b"));
    assert_int_equal(report.names_trimmed, 2);
    hs_graph_free(&g);
    assert_bad(temp_text(".tsv", "a\t \tb\n"), NULL, "relation is empty", ".tsv:1");
}

/* Head, tail, relation: many "relations", most of them heads too, and few tails. */
static void test_columns(void **state)
{
    (void)state;
    hs_graph g;
    hs_error bad = {0};
    char text[4000] = "", flipped[4000] = "", line[64];
    for (int i = 0; i < 40; i++) {
        snprintf(line, sizeof line, "e%d\te%d\tr%d\n", i, i * 7 % 40, i % 3);
        strcat(text, line);
        snprintf(line, sizeof line, "r%d\te%d\te%d\n", i % 3, i, i * 7 % 40);
        strcat(flipped, line);
    }
    const char *path = temp_text(".tsv", text);
    assert_bad(path, NULL, "columns", ".tsv");
    assert_int_equal(hs_graph_read(&g, path, NULL, NULL, &bad), HS_ERR_DATA);
    assert_non_null(strstr(bad.hint, "--columns htr"));
    hs_read_options options = {.columns = "htr"};
    assert_ok(hs_graph_read(&g, path, &options, NULL, err));
    assert_int_equal(g.relations.n, 3);
    assert_true(has_fact(&g, "e1", "r1", "e7"));
    hs_graph_free(&g);
    options.columns = "hrt";
    assert_ok(hs_graph_read(&g, path, &options, NULL, err));
    assert_int_equal(g.relations.n, 40);
    hs_graph_free(&g);
    assert_int_equal(hs_graph_read(&g, temp_text(".tsv", flipped), NULL, NULL, &bad), HS_ERR_DATA);
    assert_non_null(strstr(bad.hint, "--columns rht"));
    static const char *const wrong[] = {"hr", "hrx", "hhrt", "hht"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        options.columns = wrong[i];
        assert_int_equal(hs_graph_read(&g, path, &options, NULL, &bad), HS_ERR_USAGE);
    }
    options.columns = "htr";
    assert_int_equal(hs_graph_read(&g, "world", &options, NULL, &bad), HS_ERR_USAGE);
    /* Many relations, few tails, but the relations are no entities: attributes of products. */
    text[0] = '\0';
    for (int i = 0; i < 40; i++) {
        snprintf(line, sizeof line, "e%d\thas %d\t%s\n", i % 5, i, i % 2 ? "yes" : "no");
        strcat(text, line);
    }
    assert_ok(hs_graph_read(&g, temp_text(".tsv", text), NULL, NULL, err));
    hs_graph_free(&g);
}

/* A pipe that is open is read once, its format found on the way; a named one is refused, since nobody may write. */
static void test_pipe(void **state)
{
    (void)state;
    hs_graph g;
    hs_error bad = {0};
    int ends[2];
    char path[600];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "a\tr\tb\n", 6), 6);
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    assert_ok(hs_graph_read(&g, path, NULL, NULL, err));
    assert_true(has_fact(&g, "a", "r", "b"));
    hs_graph_free(&g);
    close(ends[0]);
    snprintf(path, sizeof path, "%s/graph_test_fifo_%d.tsv", TEST_BINARY_DIR, (int)getpid());
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(hs_graph_read(&g, path, NULL, NULL, &bad), HS_ERR_DATA);
    unlink(path);
    assert_non_null(strstr(bad.what, "named pipe"));
}

static void test_csv(void **state)
{
    (void)state;
    hs_graph g;
    hs_read_report report;
    const char *text = "Head,Relation,Tail\r\n"
                       "\"Smith, John\",\"said \"\"no\"\"\",b\r\n"
                       "\"two\nlines\",r,\"\"\"\"\n"
                       "\n"
                       "x,r,y,\n"
                       "x,r,z,synthetic";
    assert_ok(hs_graph_read(&g, temp_text(".csv", text), NULL, &report, err));
    assert_int_equal(g.n_facts, 4);
    assert_int_equal(report.records, 4);
    assert_true(has_fact(&g, "Smith, John", "said \"no\"", "b"));
    assert_true(has_fact(&g, "two\nlines", "r", "\""));
    assert_true(has_fact(&g, "x", "r", "y") && has_fact(&g, "x", "r", "z"));
    hs_error err = {0};
    assert_int_equal(hs_graph_write_tsv(&g, TEST_BINARY_DIR "/graph_test_never.tsv", &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "line break"));
    assert_false(hs_file_exists(TEST_BINARY_DIR "/graph_test_never.tsv"));
    hs_graph_free(&g);
}

static void test_csv_damage(void **state)
{
    (void)state;
    assert_bad(temp_text(".csv", "a,r,b\n\"a,r,b\nc,r,d\n"), NULL, "inside a quoted field", ".csv:4");
    assert_bad(temp_text(".csv", "a,r,\"b\"x\n"), NULL, "after a closing quote", ".csv:1");
    assert_bad(temp_text(".csv", "a,r,b\"x\n"), NULL, "quote inside", ".csv:1");
    assert_bad(temp_text(".csv", "a,r,b\na\rb,r,c\n"), NULL, "carriage return", ".csv:2");
    assert_bad(temp_text(".csv", "a,r\n"), NULL, "this line has 2", ".csv:1");
    assert_bad(temp_text(".csv", "\"x\ny\",r,b\na,r,\n"), NULL, "tail is empty", ".csv:3");
    assert_bad(temp_text(".csv", "a,r,\xC3(\n"), NULL, "UTF-8", ".csv:1");
    assert_bad(temp_text(".csv", "head,relation,tail\n"), NULL, "no facts", ".csv");
    char many[300];
    memset(many, ',', sizeof many);
    assert_bad(temp_file(".csv", many, sizeof many), NULL, "more than 64", ".csv:1");
}

static void test_round_trip(void **state)
{
    (void)state;
    hs_graph g, again;
    random_graph(&g, 9, 40, 5, 400);
    g.flags[3] = HS_FACT_SYNTHETIC;
    char path[600];
    snprintf(path, sizeof path, "%s/graph_test_trip_%d.tsv", TEST_BINARY_DIR, (int)getpid());
    assert_ok(hs_graph_write_tsv(&g, path, err));
    assert_ok(hs_graph_read(&again, path, NULL, NULL, err));
    assert_int_equal(again.n_facts, g.n_facts);
    for (uint64_t i = 0; i < g.n_facts; i++) {
        const hs_fact *f = &g.facts[i];
        assert_true(has_fact(&again, hs_names_get(&g.entities, f->head), hs_names_get(&g.relations, f->relation),
                             hs_names_get(&g.entities, f->tail)));
    }
    uint64_t synthetic = 0;
    for (uint64_t i = 0; i < again.n_facts; i++)
        synthetic += again.flags[i];
    assert_int_equal(synthetic, 1);
    unlink(path);
    /* A full disk leaves nothing behind. */
    hs_error err = {0};
    hs_io_fail_after(1);
    assert_int_equal(hs_graph_write_tsv(&g, path, &err), HS_ERR_IO);
    hs_io_fail_after(0);
    assert_false(hs_file_exists(path));
    assert_int_equal(hs_graph_write_tsv(&g, "/nowhere/at/all.tsv", &err), HS_ERR_IO);
    hs_graph_free(&g);
    hs_graph_free(&again);
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
    strcpy(memory_path, temp_text(".tsv", "c\tr\td\na\tr\tb\nb\tr\tc\n"));
    every_allocation_fails(read_again);
    unlink(memory_path);
    strcpy(memory_path, temp_text(".csv", "c,r,d\na,\"r\",b\nb,r,c\n"));
    every_allocation_fails(read_again);
    unlink(memory_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),      cmocka_unit_test(test_damage),
        cmocka_unit_test(test_long_line),  cmocka_unit_test(test_content_decides),
        cmocka_unit_test(test_csv),        cmocka_unit_test(test_csv_damage),
        cmocka_unit_test(test_header),     cmocka_unit_test(test_trim),
        cmocka_unit_test(test_columns),    cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
