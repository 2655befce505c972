/* Figures: all points are drawn, text from outside stays text, every kind of picture, what is said when it cannot be.
 */
#include "hopscope/report.h"
#include "hopscope/train.h"

#include "check.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[256];
static hs_error error;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/figure_XXXXXX", TEST_BINARY_DIR);
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[700];
    snprintf(command, sizeof command, "chmod -R u+w '%s'; rm -rf '%s'", folder, folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    static char path[8][600];
    static int next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static bool has_gnuplot(void)
{
    return system("gnuplot --version > /dev/null 2>&1") == 0;
}

static char *text_of(const char *path)
{
    char *text;
    size_t size;
    if (hs_file_read(path, 1 << 24, &text, &size, &error) != HS_OK)
        fail_msg("%s: %s", error.where, error.what);
    return text;
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

/* A run's record with `n` evaluations of three splits. */
static void make_run(const char *name, const char *title, uint64_t n)
{
    static const char *const splits[] = {"train_inferred", "test_ii", "test_oo"};
    char db[700];
    hs_record *record;
    assert_ok(hs_make_dirs(in_folder(name), err));
    snprintf(db, sizeof db, "%s/run.db", in_folder(name));
    assert_ok(hs_record_open(&record, db, err));
    assert_ok(hs_record_info(record, "title", title, err));
    for (uint64_t i = 1; i <= n; i++)
        for (int s = 0; s < 3; s++) {
            hs_eval eval = {.n = 10,
                            .accuracy = s == 2 ? 0.03 : (double)i / (double)n,
                            .loss = s == 1 ? (double)NAN : 1.0 / (double)i};
            snprintf(eval.split, sizeof eval.split, "%s", splits[s]);
            assert_ok(hs_record_eval(record, 3 * i, 0.5 * (double)i, &eval, err));
        }
    assert_ok(hs_record_commit(record, err));
    hs_record_close(record);
}

static hs_status draw(const char *run, const hs_figure_run_options *options, const char *name)
{
    const char *dirs[] = {in_folder(run)};
    memset(&error, 0, sizeof error);
    return hs_figure_run(dirs, 1, options, in_folder(name), &error);
}

static void test_kinds(void **state)
{
    (void)state;
    if (!has_gnuplot())
        skip();
    make_run("r", "It's `touch pwned` \"x\" $(touch pwned) <b> _a_ ^2 %d\nset output", 40);
    static const struct {
        const char *name, *magic;
    } kinds[] = {{"a.svg", "<?xml"}, {"a.png", "\x89PNG"}, {"a.pdf", "%PDF"}};
    for (size_t i = 0; i < 3; i++) {
        if (draw("r", NULL, kinds[i].name) != HS_OK)
            fail_msg("%s: %s", error.where, error.what);
        char *text = text_of(in_folder(kinds[i].name));
        assert_memory_equal(text, kinds[i].magic, 4);
        if (i == 0) { /* the title is the text it was, the splits are named, tests are solid and training is dashed */
            assert_non_null(strstr(text, "`touch pwned` \"x\" $(touch pwned) &lt;b> _a_ ^2 %d set output"));
            assert_true(count(text, "test_ii") == 1 && count(text, "test_oo") == 1 &&
                        count(text, "train_inferred") == 1);
            assert_true(count(text, "stroke-dasharray") >= 1);
        }
        hs_free(text);
    }
    assert_false(hs_file_exists("pwned"));
    assert_false(hs_file_exists(in_folder("a.gp")));
    /* the same picture again gives the same bytes, so that figures can be kept under version control */
    char *first = text_of(in_folder("a.svg"));
    assert_int_equal(draw("r", NULL, "b.svg"), HS_OK);
    char *second = text_of(in_folder("b.svg"));
    assert_string_equal(first, second);
    hs_free(first);
    hs_free(second);
}

/* Ten thousand evaluations are ten thousand points, and the script that is kept draws them. */
static void test_all_points(void **state)
{
    (void)state;
    if (!has_gnuplot())
        skip();
    make_run("long", "", 10000);
    const hs_figure_run_options keep = {.keep_script = true, .splits = "test_oo,test_ii"};
    assert_int_equal(draw("long", &keep, "long.svg"), HS_OK);
    char *data = text_of(in_folder("long.dat")), *script = text_of(in_folder("long.gp"));
    size_t points = 0;
    for (char *save, *line = strtok_r(data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        points += line[0] != '#';
    assert_int_equal(points, 20000);
    assert_true(count(script, "index ") == 2 && strstr(script, "set logscale x") && !strstr(script, "train_inferred"));
    assert_non_null(strstr(script, "'long'")); /* without a title: the folder's name */
    hs_free(data);
    hs_free(script);
    char command[1200];
    char *before = text_of(in_folder("long.svg"));
    snprintf(command, sizeof command, "cd '%s' && rm long.svg && gnuplot long.gp", folder);
    assert_int_equal(system(command), 0);
    char *after = text_of(in_folder("long.svg"));
    assert_string_equal(before, after);
    hs_free(before);
    hs_free(after);
}

static void test_seeds(void **state)
{
    (void)state;
    if (!has_gnuplot())
        skip();
    make_run("many/seed-1", "T", 5);
    make_run("many/seed-2", "T", 9);
    make_run("many/seed-3", "T", 1);
    const hs_figure_run_options keep = {.keep_script = true, .loss = true, .seconds = true};
    assert_int_equal(draw("many", &keep, "many.svg"), HS_OK);
    char *script = text_of(in_folder("many.gp"));
    assert_true(count(script, "index ") == 15 && count(script, " title ") == 3 + 2 && count(script, "notitle") == 12);
    assert_true(count(script, "filledcurves") == 3 && count(script, ", mean'") == 3);
    assert_non_null(strstr(script, "'T (3 runs)'"));
    assert_non_null(strstr(script, "seconds of training"));
    hs_free(script);
}

/* Two folders: every split of each has a color and a name of its own. */
static void test_two_folders(void **state)
{
    (void)state;
    if (!has_gnuplot())
        skip();
    make_run("first", "T", 5);
    make_run("second", "T", 9);
    char a[700], b[700];
    snprintf(a, sizeof a, "%s/", in_folder("first"));
    snprintf(b, sizeof b, "%s", in_folder("second"));
    const char *dirs[] = {a, b};
    const hs_figure_run_options keep = {.keep_script = true};
    assert_int_equal(hs_figure_run(dirs, 2, &keep, in_folder("two.svg"), &error), HS_OK);
    char *script = text_of(in_folder("two.gp"));
    assert_non_null(strstr(script, "'first: test_ii'"));
    assert_non_null(strstr(script, "'second: test_ii'"));
    assert_non_null(strstr(script, "'first, second'"));
    static const char *const colors[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(count(script, colors[i]), 1);
    hs_free(script);
}

static void test_refused(void **state)
{
    (void)state;
    make_run("r", "T", 3);
    make_run("none", "T", 0);
    assert_int_equal(draw("r", NULL, "a.gif"), HS_ERR_USAGE);
    assert_non_null(strstr(error.hint, ".svg"));
    assert_int_equal(draw("none", NULL, "a.svg"), HS_ERR_DATA);
    assert_non_null(strstr(error.what, "no evaluation"));
    assert_int_equal(draw("absent", NULL, "a.svg"), HS_ERR_IO);
    assert_int_equal(hs_figure_run(NULL, 0, NULL, "a.svg", &error), HS_ERR_USAGE);
    const hs_figure_run_options other = {.splits = "test_i"};
    assert_int_equal(draw("r", &other, "a.svg"), HS_ERR_USAGE);
    assert_string_equal(error.value, "test_i");
    if (has_gnuplot()) {
        assert_int_equal(draw("r", NULL, "no/such/folder/a.svg"), HS_ERR_IO);
        hs_io_fail_after(1);
        assert_int_equal(draw("r", NULL, "full.svg"), HS_ERR_IO);
        hs_io_fail_after(0);
        assert_false(hs_file_exists(in_folder("full.svg")));
        for (uint64_t n = 1;; n++) {
            hs_alloc_fail_after(n);
            const hs_status status = draw("r", NULL, "memory.svg");
            hs_alloc_fail_after(0);
            if (status == HS_OK)
                break;
            assert_int_equal(status, HS_ERR_MEMORY);
            assert_false(hs_file_exists(in_folder("memory.svg")));
        }
    }
    /* without gnuplot: said, with the package that has it */
    char *path = strdup(getenv("PATH") ? getenv("PATH") : "");
    setenv("PATH", "/nowhere", 1);
    const hs_status status = draw("r", NULL, "a.svg");
    setenv("PATH", path, 1);
    free(path);
    assert_int_equal(status, HS_ERR_FAILED);
    assert_non_null(strstr(error.hint, "apt-get install gnuplot-nox"));
    assert_false(hs_file_exists(in_folder("a.svg")));
    /* one that fails: its own words */
    FILE *fake = fopen(in_folder("gnuplot"), "w");
    assert_non_null(fake);
    fprintf(fake, "#!/bin/sh\necho '\"stdin\" line 7: something odd' >&2\nexit 1\n");
    fclose(fake);
    chmod(in_folder("gnuplot"), 0755);
    path = strdup(getenv("PATH") ? getenv("PATH") : "");
    setenv("PATH", folder, 1);
    const hs_status failed = draw("r", NULL, "a.svg");
    setenv("PATH", path, 1);
    free(path);
    assert_int_equal(failed, HS_ERR_FAILED);
    assert_non_null(strstr(error.what, "line 7: something odd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_points, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seeds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
