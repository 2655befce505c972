/* Figures of the microscope: each method's rows become the marks they should, choices are obeyed, what is missing is
 * said with the command that measures it. */
#include "hopscope/report.h"
#include "hopscope/train.h"

#include "check.h"

#include <unistd.h>

static char folder[256];
static hs_error error;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/probes_XXXXXX", TEST_BINARY_DIR);
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static bool has_gnuplot(void)
{
    return system("gnuplot --version > /dev/null 2>&1") == 0;
}

static const char *in_folder(const char *name)
{
    static char path[4][600];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static void add(hs_record *record, uint64_t step, const char *method, const char *split, int32_t stage,
                const char *position, const char *role, const char *measure, double value)
{
    hs_probe_row row = {
        .step = step, .stage = stage, .n = 10, .value = value, .low = value - 0.01, .high = value + 0.01};
    snprintf(row.method, sizeof row.method, "%s", method);
    snprintf(row.split, sizeof row.split, "%s", split);
    snprintf(row.position, sizeof row.position, "%s", position);
    snprintf(row.role, sizeof row.role, "%s", role);
    snprintf(row.measure, sizeof row.measure, "%s", measure);
    assert_ok(hs_record_probe(record, &row, err));
}

/* Rows as the methods write them, for a model of two blocks. */
static void add_step(hs_record *record, uint64_t step, double v)
{
    static const char *const positions[] = {"h", "r1", "r2"};
    for (int32_t s = 0; s < 2; s++)
        for (int p = 0; p < 3; p++) {
            add(record, step, "lens", "test_ii", s, positions[p], "b", "mrr", p == 1 ? v : 0.125);
            add(record, step, "lens", "test_ii", s, positions[p], "t", "mrr", 0.25);
            add(record, step, "lens", "test_ii", s, positions[p], "h", "mrr", 0.75);
            add(record, step, "lens", "test_ii", s, positions[p], "b", "rank", 3);
            add(record, step, "lens", "test_oo", s, positions[p], "b", "mrr", 0.0625);
            add(record, step, "trace", "test_ii", s, positions[p], positions[p], "strength", v);
            add(record, step, "cross", "test_ii", s, positions[p], "b", "success", v);
            if (step == 100)
                add(record, step, "trace", "test_ii", s, positions[p], positions[p], "changed", 0.5);
        }
    add(record, step, "lens", "test_ii", HS_ALL_STAGES, "", "b", "found", 0.5);
    for (int32_t s = 0; s < 3; s++) {
        add(record, step, "decode", "id_atomic", s, "r", "t", "immediate", v);
        add(record, step, "decode", "id_atomic", s, "r", "t", "full_run", v / 2);
        add(record, step, "cohesion", "", s, "r", "t", "id_cohesion", v);
        add(record, step, "cohesion", "", s, "r", "t", "ood_alignment", -0.5);
        add(record, step, "linear", "test_ii", s, "r1", "b", "accuracy", v);
        add(record, step, "linear", "test_ii", s, "r1", "b", "control", 0.0625);
        add(record, step, "linear", "test_ii", s, "r1", "b", "selectivity", v - 0.0625);
        add(record, step, "realign", "test_oo", s, "r1", "b", "accuracy@0.00", 0.125);
        add(record, step, "realign", "test_oo", s, "r1", "b", "accuracy@0.50", v);
        add(record, step, "realign", "test_oo", s, "r1", "w", "follow@0.50", 0.375);
    }
    for (int32_t s = 1; s < 3; s++) {
        add(record, step, "ablate", "test_ii", s, "", "head 1", "accuracy", v);
        add(record, step, "ablate", "test_ii", s, "", "mlp", "accuracy", 0.25);
    }
    add(record, step, "ablate", "test_ii", HS_ALL_STAGES, "", "block 1 mlp", "accuracy", 0.5);
    add(record, step, "toy", "test_ii", HS_ALL_STAGES, "", "t", "nats", 2.5);
    add(record, step, "progress", "", HS_ALL_STAGES, "", "", "norm", 8 * (1 + v));
    add(record, step, "progress", "", HS_ALL_STAGES, "", "transformer.wte.weight", "norm", 4 * (1 + v));
    add(record, step, "progress", "", HS_ALL_STAGES, "", "transformer.wte.weight", "effective_rank", 5);
    add(record, step, "paths", "id_atomic", HS_ALL_STAGES, "", "all", "edges", 4);
    add(record, step, "paths", "test_ii", 1, "r1", "h@0", "edge", 0.875);
    add(record, step, "paths", "test_ii", 1, "r1", "r1@0", "edge", 0.5);
    add(record, step, "paths", "test_ii", 1, "h", "h@0", "edge", 0.0625);
    add(record, step, "paths", "test_ii", 1, "r2", "r2@0", "edge", 0.001);
    add(record, step, "paths", "test_ii", HS_ALL_STAGES, "", "circuit", "edges", 2);
    add(record, step, "paths", "test_ii", HS_ALL_STAGES, "", "all", "edges", 4);
    add(record, step, "paths", "test_ii", HS_ALL_STAGES, "", "circuit", "faithfulness", 0.9375);
    add(record, step, "paths", "test_ii", HS_ALL_STAGES, "", "random 1", "faithfulness", 0.0625);
    add(record, step, "paths", "test_ii", HS_ALL_STAGES, "", "random 2", "faithfulness", -0.25);
}

static void make_run(const char *name, int steps)
{
    char db[700];
    hs_record *record;
    assert_ok(hs_make_dirs(in_folder(name), err));
    snprintf(db, sizeof db, "%s/run.db", in_folder(name));
    assert_ok(hs_record_open(&record, db, err));
    assert_ok(hs_record_info(record, "title", "T", err));
    static const uint64_t at[] = {0, 10, 100};
    for (int i = 0; i < steps; i++) {
        const hs_eval eval = {.split = "test_ii", .n = 10, .accuracy = 0.3 * i, .loss = 1};
        add_step(record, at[i], 0.4375 * i);
        if (at[i])
            assert_ok(hs_record_eval(record, at[i], 1, &eval, err));
    }
    assert_ok(hs_record_commit(record, err));
    hs_record_close(record);
}

static hs_status draw(const char *run, const char *method, const hs_figure_probe_options *options)
{
    hs_figure_probe_options keep = options ? *options : (hs_figure_probe_options){0};
    keep.keep_script = true;
    memset(&error, 0, sizeof error);
    return hs_figure_probe(in_folder(run), method, &keep, in_folder("f.svg"), &error);
}

static char *text_of(const char *name)
{
    char *text;
    size_t size;
    assert_ok(hs_file_read(in_folder(name), 1 << 24, &text, &size, err));
    return text;
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

/* Draws; the points and the script hold all of `parts` (";" between them). */
static void check(const char *run, const char *method, const hs_figure_probe_options *options, const char *data_parts,
                  const char *script_parts)
{
    if (draw(run, method, options) != HS_OK)
        fail_msg("%s: %s: %s %s", method, error.where, error.what, error.hint);
    const char *const lists[2] = {data_parts, script_parts};
    static const char *const names[2] = {"f.dat", "f.gp"};
    for (int k = 0; k < 2; k++) {
        char *text = text_of(names[k]), *list = strdup(lists[k]), *save;
        for (char *part = strtok_r(list, ";", &save); part; part = strtok_r(NULL, ";", &save))
            if (!strstr(text, part))
                fail_msg("%s: '%s' is not in %s:\n%s", method, part, names[k], text);
        free(list);
        hs_free(text);
    }
}

static void test_grids(void **state)
{
    (void)state;
    if (!has_gnuplot())
        skip();
    make_run("r", 3);
    /* r1 at stage 1 of the last step, its change since the first, and the column of the bridge through training */
    check("r", "lens", NULL, "\n1 1 0.875\n;\n10 0.4375\n100 0.875\n;\n10 0.2999;\n0 0 0.125\n",
          "with boxxyerror;'mrr of b, test_ii';'mrr of t, test_ii';'change since step 0';'b at r1, "
          "test_ii';#440154;#B2182B;"
          "with labels;set xtics ('h' 0, 'r1' 1, 'r2' 2);'T: lens, step 100';'right answers'");
    char *data = text_of("f.dat");
    assert_int_equal(count(data, "\n0 "), 2 * 4); /* two roles, two maps of three positions and two stages */
    hs_free(data);
    const hs_figure_probe_options one = {.split = "test_oo", .role = "b", .step = "10", .from = "10", .title = "mine"};
    check("r", "lens", &one, "\n1 1 0.0625\n", "'mrr of b, test_oo';'mine'");
    char *script = text_of("f.gp");
    assert_true(!strstr(script, "change since") && !strstr(script, "logscale x\nset xrange [10"));
    hs_free(script);
    const hs_figure_probe_options other = {.measure = "rank", .from = "10"};
    check("r", "lens", &other, "\n2 0 3\n", "'rank of b, test_ii';'change since step 10'");
    check("r", "trace", NULL, "\n0 1 0.875\n", "'strength at its own place, test_ii';'strength at r1, test_ii'");
    check("r", "cross", NULL, "\n2 1 0.875\n", "'success of b, test_ii'");
    make_run("two", 2); /* one step that a logarithmic axis has: no curve; and tests before facts */
    check(
        "r", "ablate", NULL, "\n0 1 0.875\n1 1 0.25\n0 2 0.875\n",
        "'accuracy, test_ii';'accuracy without head 1, test_ii';set yrange [0.5:2.5];set xtics ('head 1' 0, 'mlp' 1)");
    check("two", "lens", NULL, "", "multiplot layout 2,2;'mrr of b, test_ii'");
    make_run("single", 1);
    check("single", "lens", NULL, "\n2 1 0.125\n", "multiplot layout 1,2");
}

static void test_curves(void **state)
{
    (void)state;
    if (!has_gnuplot())
        skip();
    make_run("r", 3);
    check("r", "decode", NULL, "\n0 0.4375\n1 0.4375\n2 0.4375\n;\n10 0.21875\n100 0.4375\n",
          "'full_run';'immediate';'t at r, id_atomic';filledcurves;set logscale x");
    check("r", "cohesion", NULL, "\n0 -0.5\n1 -0.5\n", "'id_cohesion';'ood_alignment';set yrange [-0.53");
    check("r", "linear", NULL, "\n2 0.875\n;\n0 0.0625\n", "'selectivity';'control';'b at r1, test_ii'");
    check("r", "realign", NULL, "\n0 0.125\n0.5 0.875\n;\n0.5 0.375\n", "'stage 2';dashtype;test_oo (dashed");
    check("r", "progress", NULL, "\n10 1.4375\n100 1.875\n", "'all weights';'wte';'norm, step 0 = 1'");
}

/* The circuit's two edges are blue and as wide as they are strong, a weak one is grey, one of nearly nothing is left
 * out. */
static void test_circuit(void **state)
{
    (void)state;
    if (!has_gnuplot())
        skip();
    make_run("r", 1);
    check("r", "paths", NULL, "\n0.9375 1 ;\n0.0625 0\n;\n-0.25 0\n",
          "with vectors;'test_ii: circuit of 2 of 4 edges';'random edges'");
    char *data = text_of("f.dat");
    size_t arrows = 0, nodes = 0;
    double from_x, from_y, to_x, to_y;
    for (char *save, *line = strtok_r(data, "\n", &save); line && !strstr(line, "panel 2");
         line = strtok_r(NULL, "\n", &save)) {
        const int n = sscanf(line, "%lf %lf %lf %lf", &from_x, &from_y, &to_x, &to_y);
        arrows += n == 4 && from_x == from_x;
        nodes += n == 2;
    }
    assert_int_equal(arrows, 3);
    assert_int_equal(nodes, 6);
    hs_free(data);
}

/* A method that was added and has no line in the table of figures: one number over all stages, against the step. */
static void test_added_method(void **state)
{
    (void)state;
    if (!has_gnuplot())
        skip();
    make_run("r", 2);
    check("r", "toy", NULL, "\n10 2.5\n", "'nats';'t, test_ii'");
}

static void test_refused(void **state)
{
    (void)state;
    make_run("r", 2);
    make_run("empty", 0);
    assert_int_equal(draw("empty", "lens", NULL), HS_ERR_DATA);
    char command[900];
    snprintf(command, sizeof command, "hopscope interpret %s --method lens --steps all", in_folder("empty"));
    assert_string_equal(error.hint, command);
    assert_int_equal(draw("r", "lense", NULL), HS_ERR_USAGE);
    assert_non_null(strstr(error.hint, "'lens'"));
    assert_int_equal(draw("absent", "lens", NULL), HS_ERR_IO);
    const hs_figure_probe_options bad[] = {{.split = "test_xx"}, {.role = "q"}, {.measure = "mr"}, {.step = "ten"}};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(draw("r", "lens", &bad[i]), HS_ERR_USAGE);
    assert_int_equal(draw("r", "lens", &bad[0]), HS_ERR_USAGE);
    assert_string_equal(error.value, "test_xx");
    assert_non_null(strstr(error.hint, "test_ii, test_oo"));
    const hs_figure_probe_options step = {.step = "11"};
    assert_int_equal(draw("r", "lens", &step), HS_ERR_DATA);
    assert_non_null(strstr(error.hint, "--steps 11"));
    const hs_figure_probe_options facts = {.split = "id_atomic"};
    assert_int_equal(draw("r", "paths", &facts), HS_ERR_DATA);
    assert_non_null(strstr(error.what, "no answer was right"));
    assert_false(hs_file_exists(in_folder("f.svg")));
    static const char *const methods[] = {"lens",     "trace",   "paths",  "cross",  "decode",
                                          "cohesion", "realign", "linear", "ablate", "progress"};
    for (size_t m = 0; m < sizeof methods / sizeof *methods && has_gnuplot(); m++) {
        assert_ok(hs_figure_probe(in_folder("r"), methods[m], NULL, in_folder("f.svg"), err));
        for (uint64_t k = 1;; k += 7) {
            hs_alloc_fail_after(k);
            const hs_status status = draw("r", methods[m], NULL);
            hs_alloc_fail_after(0);
            if (status == HS_OK)
                break;
            assert_int_equal(status, HS_ERR_MEMORY);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_grids, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_curves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_circuit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_added_method, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
