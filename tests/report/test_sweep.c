/* Sweeps: the plan and what is refused in it, names and indices, Kaplan-Meier and Student's t against values worked out
 * elsewhere, members trained and gone on with, the table, JSON, CSV, database and figure. */
#include "hopscope/report.h"

#include "check.h"

#include <glob.h>
#include <unistd.h>

static char folder[256], path[512], runs[512];
static hs_error error;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/sweep_XXXXXX", TEST_BINARY_DIR);
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/p.yaml", folder);
    snprintf(runs, sizeof runs, "%s/runs", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* ---------------------------------------------------------------- survival */

static hs_survival estimate(uint32_t n, const double *time, const char *events)
{
    bool event[64];
    hs_survival s;
    for (uint32_t i = 0; i < n; i++)
        event[i] = events[i] == '1';
    assert_ok(hs_survival_estimate(n, time, event, &s, err));
    return s;
}

static void test_survival(void **state)
{
    (void)state;
    /* ten events 1 .. 10: the median is where S first falls to one half; limits from S^exp(-+1.96 se) */
    const double ten[] = {3, 1, 2, 10, 9, 8, 7, 4, 5, 6};
    hs_survival s = estimate(10, ten, "1111111111");
    assert_true(s.n == 10 && s.events == 10 && s.median == 5 && s.first == 1 && s.last == 10 && s.follow_up == 10);
    assert_true(s.low == 1 && s.high == 8);
    /* Freireich's leukemia data, 6-MP arm (Kalbfleisch & Prentice, 1.1): median 23, log-log limits 13 and open */
    const double mp[] = {6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35};
    const char *mp_events =
        "111" /* 6 6 6 */ "0" /* 6+ */ "1" /* 7 */ "0" /* 9+ */ "1" /* 10 */ "0" /* 10+ */ "0" /* 11+ */
        "1" /* 13 */ "1" /* 16 */ "0"
        "0"
        "0" /* 17+ 19+ 20+ */ "1" /* 22 */ "1" /* 23 */ "00000";
    s = estimate(21, mp, mp_events);
    assert_true(s.events == 9 && s.median == 23 && s.low == 13 && isinf(s.high) && s.follow_up == 35);
    /* nobody got there */
    const double three[] = {6000, 6000, 5000};
    s = estimate(3, three, "000");
    assert_true(s.events == 0 && isinf(s.median) && isinf(s.low) && isinf(s.high) && isnan(s.first) &&
                s.follow_up == 6000);
    /* one of three: S = 2/3 */
    s = estimate(3, three, "001");
    assert_true(isinf(s.median) && s.events == 1 && s.last == 5000);
    /* two of three, the third is censored later */
    const double late[] = {100, 200, 6000};
    s = estimate(3, late, "110");
    assert_true(s.median == 200 && s.low == 100 && isinf(s.high));
    /* a tie: the event comes before the censoring */
    const double tie[] = {5, 5};
    s = estimate(2, tie, "01");
    assert_true(s.median == 5 && s.events == 1);
    s = estimate(1, tie, "1");
    assert_true(s.median == 5 && s.low == 5 && isinf(s.high));
    s = estimate(0, tie, "");
    assert_true(s.n == 0 && isinf(s.median));
    const double bad[] = {1, -1};
    const bool event[] = {true, true};
    assert_int_equal(hs_survival_estimate(2, bad, event, &s, &error), HS_ERR_DATA);
}

static void test_spread(void **state)
{
    (void)state;
    /* 4.303, 2.776 and 2.262: Student's t at 97.5% with 2, 4 and 9 degrees of freedom (any table) */
    const double three[] = {1, 2, 3}, five[] = {0, 0, 0, 0, 5}, ten[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, (double)NAN, 10};
    hs_spread s = hs_spread_of(3, three);
    assert_true(s.n == 3 && s.mean == 2 && s.min == 1 && s.max == 3);
    assert_true(fabs(s.high - 2 - 4.3027 / sqrt(3)) < 1e-3 && fabs(s.low + s.high - 4) < 1e-12);
    s = hs_spread_of(5, five);
    assert_true(s.mean == 1 && fabs(s.high - 1 - 2.7764) < 1e-3); /* sd sqrt(5), by sqrt(5) */
    s = hs_spread_of(11, ten);
    assert_true(s.n == 10 && s.mean == 5.5 && fabs(s.high - 5.5 - 2.2622 * 3.02765 / sqrt(10)) < 1e-3);
    s = hs_spread_of(1, three);
    assert_true(s.n == 1 && s.mean == 1 && isnan(s.low));
    s = hs_spread_of(0, three);
    assert_true(s.n == 0 && isnan(s.mean));
}

static void test_difference(void **state)
{
    (void)state;
    /* Student's sleep data (R: t.test(extra ~ group)): t = -1.8608 with 17.776 degrees of freedom, here 17 (t 2.1098)
     */
    const double one[] = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0},
                 two[] = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4}, lone[] = {1, (double)NAN};
    hs_spread s = hs_spread_difference(10, one, 10, two);
    assert_true(s.n == 20 && fabs(s.mean + 1.58) < 1e-12 && isnan(s.min));
    assert_true(fabs(s.high - (-1.58 + 2.1098 * 0.849091)) < 1e-3 && fabs(s.low + s.high + 3.16) < 1e-9);
    s = hs_spread_difference(10, one, 2, lone);
    assert_true(s.n == 11 && fabs(s.mean + 0.25) < 1e-12 && isnan(s.low) && isnan(s.high));
    s = hs_spread_difference(2, (const double[]){1, 1}, 2, (const double[]){0.5, 0.5});
    assert_true(s.mean == 0.5 && s.low == 0.5 && s.high == 0.5);
    s = hs_spread_difference(0, one, 10, two);
    assert_true(isnan(s.mean) && isnan(s.low));
}

/* ---------------------------------------------------------------- columns */

static void test_columns(void **state)
{
    (void)state;
    hs_sweep_column c;
    assert_ok(hs_sweep_column_parse(&c, "test_ii", err));
    assert_true(c.source == HS_SWEEP_ACCURACY && !c.timed);
    assert_string_equal(c.split, "test_ii");
    assert_ok(hs_sweep_column_parse(&c, " test_ii >=  0.9 in cpu_seconds", err));
    assert_true(c.timed && !c.below && c.threshold == 0.9 && c.axis == HS_AXIS_CPU);
    assert_ok(hs_sweep_column_parse(&c, "loss train_inferred <= 1e-2", err));
    assert_true(c.source == HS_SWEEP_LOSS && c.timed && c.below && c.axis == HS_AXIS_STEPS);
    assert_ok(hs_sweep_column_parse(&c, "lens found_strict test_ii role=b stage=2 >= 0.5", err));
    assert_true(c.source == HS_SWEEP_PROBE && c.stage == 2 && c.timed);
    assert_string_equal(c.measure, "found_strict");
    assert_string_equal(c.role, "b");
    assert_ok(hs_sweep_column_parse(&c, "metric grad_norm", err));
    assert_true(c.source == HS_SWEEP_METRIC);
    assert_ok(hs_sweep_column_parse(&c, "pooled test_ii", err));
    assert_true(c.source == HS_SWEEP_POOLED && !c.timed);
    assert_string_equal(c.split, "test_ii");
    assert_ok(hs_sweep_column_parse(&c, "ms_per_step", err));
    assert_true(c.source == HS_SWEEP_STEP_TIME);
    static const char *const bad[] = {"",
                                      ">= 0.9",
                                      "test_ii >= high",
                                      "test_ii >= 0.9 in years",
                                      "test_ii in seconds",
                                      "a b",
                                      "loss",
                                      "steps >= 3",
                                      "majority test_ii >= 0.1",
                                      "pooled",
                                      "pooled test_ii >= 0.5",
                                      "lens",
                                      "lens mrr test_ii stage=x",
                                      "lens mrr a b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (hs_sweep_column_parse(&c, bad[i], &error) != HS_ERR_DATA || !error.what[0])
            fail_msg("'%s' was taken", bad[i]);
}

/* ---------------------------------------------------------------- the plan */

static const char rest[] = "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n  holdout: 0.1\n"
                           "model:\n  n_embd: 16\n  n_head: 2\n"
                           "train:\n  steps: 12\n  batch: 16\n  threads: 1\n  eval_every: 4\n  evals_per_decade: 0\n"
                           "  stop_split: id_atomic\n  stop_accuracy: 0.03\n  stop_patience: 1\n";

static void write_at(const char *name, const char *section, const char *other)
{
    char at[600];
    hs_str text = {0};
    snprintf(at, sizeof at, "%s/%s", folder, name);
    hs_str_addf(&text, "%s%s", section, other);
    assert_ok(hs_file_write(at, text.s, text.len, err));
    hs_str_free(&text);
}

static hs_status read_text(hs_sweep *out, const char *section, const char *set)
{
    write_at("p.yaml", section, rest);
    memset(&error, 0, sizeof error);
    return hs_sweep_read(out, path, runs, &set, set ? 1 : 0, &error);
}

static void assert_name(const hs_sweep *s, uint32_t member, const char *expected)
{
    char name[160];
    hs_sweep_name(s, member, name);
    assert_string_equal(name, expected);
}

static void test_plan(void **state)
{
    (void)state;
    hs_sweep s = {0};
    const char *good =
        "# a comment\nsweep:\n  seeds: 2\n  baseline: b\n  arms:\n    a: {train.lr: 1e-2}\n"
        "    b:\n      train.optimizer: adamw\n      train: {weight_decay: 0.5}\n    c: {data.seed: 7}\n    d:\n"
        "  table:\n    - test_ii\n    - grokked: test_ii >= 0.9\n";
    if (read_text(&s, good, "train.weight_decay=0.25") != HS_OK)
        fail_msg("%s: %s", error.where, error.what);
    assert_true(s.n_arms == 4 && s.n_seeds == 2 && s.baseline == 1 && hs_sweep_size(&s) == 8 && s.n_columns == 2);
    assert_string_equal(s.column[1].title, "grokked");
    assert_true(s.arm[0].config.train.lr == 1e-2 && s.arm[0].config.train.weight_decay == 0.25);
    assert_true(s.arm[1].config.train.optimizer == HS_OPT_ADAMW && s.arm[1].config.train.weight_decay == 0.5);
    assert_true(s.arm[2].config.train.steps == 12 && s.arm[3].config.train.lr == s.arm[2].config.train.lr);
    assert_name(&s, 0, "a/seed-1");
    assert_name(&s, 5, "b/seed-2");
    hs_config *config = hs_alloc(sizeof *config);
    hs_sweep_config(&s, 6, config);
    assert_true(config->data.seed == 7 && config->train.seed == 2 && config->augment.seed == 2);
    hs_free(config);
    assert_true(s.n_varied == 4); /* lr, optimizer, weight_decay, data.seed */
    hs_sweep_free(&s);
    /* a grid, with names made of keys and values; arms times grid; seeds by name */
    assert_int_equal(read_text(&s,
                               "sweep:\n  seeds: [3, 11]\n  arms: {x: {}, y: {model.n_layer: 3}}\n  grid:\n"
                               "    train.lr: [1e-3, 2e-3]\n    data.phi: [0, 1]\n",
                               NULL),
                     HS_OK);
    assert_true(s.n_arms == 8 && hs_sweep_size(&s) == 16 && s.baseline == -1);
    assert_name(&s, 0, "x+lr=1e-3+phi=0/seed-3");
    assert_name(&s, 15, "y+lr=2e-3+phi=1/seed-11");
    assert_true(s.arm[7].config.train.lr == 2e-3 && s.arm[7].config.data.phi == 1 &&
                s.arm[7].config.model.n_layer == 3);
    hs_sweep_free(&s);
    assert_int_equal(
        read_text(&s,
                  "sweep:\n  grid:\n    train.seed: [1, 2]\n    data.seed: [5]\n    size: {small: {}, big: "
                  "{model.n_embd: 32}}\n",
                  NULL),
        HS_OK);
    assert_name(&s, 3, "train.seed=2+data.seed=5+big/seed-1");
    hs_sweep_free(&s);
    assert_int_equal(read_text(&s, "sweep:\n", NULL), HS_OK); /* seeds alone */
    assert_true(s.n_arms == 1 && s.n_seeds == 3);
    assert_name(&s, 2, "base/seed-3");
    hs_sweep_free(&s);
    /* another file's experiment, and this one's settings over it; an arm with a file of its own */
    write_at("base.yaml", "sweep:\n  arms: {z: {}}\n", rest);
    write_at("other.yaml", "", "data:\n  entities: 40\nmodel:\n  n_embd: 8\n");
    write_at("p.yaml",
             "sweep:\n  experiment: base.yaml\n  seeds: 1\n  arms:\n    a: {}\n    b: {experiment: other.yaml, "
             "train.lr: 0.5}\n",
             "train:\n  steps: 99\n");
    assert_ok(hs_sweep_read(&s, path, NULL, NULL, 0, err));
    assert_true(s.arm[0].config.train.steps == 99 && s.arm[0].config.train.batch == 16 &&
                s.arm[0].config.data.entities == 20);
    assert_true(s.arm[1].config.train.steps == 99 && s.arm[1].config.data.entities == 40 &&
                s.arm[1].config.train.lr == 0.5);
    assert_string_equal(s.dir, "runs/p");
    hs_sweep_free(&s);
}

static void test_bad_plans(void **state)
{
    (void)state;
    static const struct {
        const char *section, *where, *what;
    } bad[] = {
        {"", "p.yaml", "no section"},
        {"sweep: 3\n", "p.yaml:1", "takes experiment"},
        {"sweep:\n  arms: {}\n", "p.yaml:2", "no arms"},
        {"sweep:\n  arms: [a]\n", "p.yaml:2", "arms are lines"},
        {"sweep:\n  arms: {a: 3}\n", "p.yaml:2", "an arm is a list"},
        {"sweep:\n  arms:\n    a: {}\n    a: {}\n", "p.yaml:4", "there already"},
        {"sweep:\n  arms:\n    a/b: {}\n", "p.yaml:3", "not the name"},
        {"sweep:\n  arms:\n    ..: {}\n", "p.yaml:3", "not the name"},
        {"sweep:\n  seeds: 0\n", "p.yaml:2", "1 to 1000"},
        {"sweep:\n  seeds: -3\n", "p.yaml:2", "1 to 1000"},
        {"sweep:\n  seeds: [1, x]\n", "p.yaml:2", "not a seed"},
        {"sweep:\n  seeds: [1, 1]\n", "p.yaml:2", "twice"},
        {"sweep:\n  sedes: 3\n", "p.yaml:2", "no such key"},
        {"sweep:\n  seeds: 3\n  seeds: 4\n", "p.yaml:3", "given twice"},
        {"sweep:\n  baseline: z\n  arms: {a: {}}\n", "p.yaml:2", "no such arm"},
        {"sweep:\n  compare: a\n  arms: {a: {}}\n", "p.yaml:2", "a list of pairs"},
        {"sweep:\n  compare: [a, b]\n  arms: {a: {}, b: {}}\n", "p.yaml:2", "a list of pairs"},
        {"sweep:\n  compare: [[a, b, a]]\n  arms: {a: {}, b: {}}\n", "p.yaml:2", "a list of pairs"},
        {"sweep:\n  compare:\n    - [a, b]\n    - [a, z]\n  arms: {a: {}, b: {}}\n", "p.yaml:4", "no such arm"},
        {"sweep:\n  arms:\n    a: {train.rl: 9}\n", "p.yaml:3", "unknown key"},
        {"sweep:\n  arms:\n    a: {train.lr: 1, train.lr: 2}\n", "p.yaml:3", "given twice"},
        {"sweep:\n  arms:\n    a: {}\n    b: {train.lr: high}\n", "p.yaml:4: train.lr", "not a number"},
        {"sweep:\n  grid: [1]\n", "p.yaml:2", "a grid is lines"},
        {"sweep:\n  grid:\n    train.lr: 3\n", "p.yaml:3", "list of values"},
        {"sweep:\n  grid:\n    train.lr: []\n", "p.yaml:3", "empty"},
        {"sweep:\n  grid:\n    train.lr: [1, 1]\n", "p.yaml:3", "one name"},
        {"sweep:\n  grid:\n    train.rl: [1]\n", "p.yaml:3", "unknown key"},
        {"sweep:\n  arms:\n    a: {train.lr: 1}\n  grid:\n    train.lr: [1]\n", "p.yaml:5", "given twice"},
        {"sweep:\n  table:\n    - test_ii >= much\n", "p.yaml:3", "not a number"},
        {"sweep:\n  experiment: absent.yaml\n", "p.yaml", "not there"},
        {"sweep: {arms: {a: {}}}\nsweep: {arms: {a: {}}}\n", "p.yaml:2", "given twice"},
        {"sweep: {arms: {a: {}}\n", "p.yaml", "not YAML"},
        {"sweep: {arms: {a: {}}}\nmodle:\n  n_layer: 3\n", "p.yaml:3", "unknown key"},
    };
    hs_sweep s = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const hs_status status = read_text(&s, bad[i].section, NULL);
        if (status != HS_ERR_DATA || !strstr(error.where, bad[i].where) || !strstr(error.what, bad[i].what))
            fail_msg("case %zu: status %d, %s: %s", i, status, error.where, error.what);
        assert_null(s.arm);
    }
    assert_int_equal(read_text(&s, "sweep:\n  arms: {a: {}}\n", "train.lr=x"), HS_ERR_USAGE);
    assert_int_equal(hs_sweep_read(&s, "absent.yaml", NULL, NULL, 0, &error), HS_ERR_IO);
    write_at(
        "p.yaml",
        "sweep:\n  seeds: 2\n  arms: {a: {train.lr: 1}, b: {model.init: \"{runs}/x\"}}\n  grid: {data.phi: [0, 1]}\n"
        "  table: [test_ii]\n  compare: [[a+phi=0, b+phi=1]]\n",
        rest);
    for (uint64_t n = 1;; n++) { /* memory */
        hs_alloc_fail_after(n);
        const hs_status status = hs_sweep_read(&s, path, NULL, NULL, 0, &error);
        hs_alloc_fail_after(0);
        if (status == HS_OK)
            break;
        assert_int_equal(status, HS_ERR_MEMORY);
        assert_null(s.arm);
    }
    hs_sweep_free(&s);
}

/* ---------------------------------------------------------------- the whole way */

static void train_all(const hs_sweep *s, const char *busy)
{
    for (uint32_t m = 0; m < hs_sweep_size(s); m++) {
        hs_experiment_result result = {0};
        char name[160];
        hs_sweep_name(s, m, name);
        const hs_status status = hs_sweep_train(s, m, NULL, NULL, &result, &error);
        const bool in_use = result.in_use;
        hs_experiment_result_free(&result);
        if (busy && strcmp(name, busy) == 0)
            assert_true(status == HS_ERR_IO && in_use);
        else if (status != HS_OK)
            fail_msg("%s: %s: %s", name, error.where, error.what);
    }
}

static void check_files(const hs_sweep *s, const hs_sweep_table *t)
{
    hs_str text = {0};
    hs_sweep_table_text(s, t, HS_TABLE_TEXT, &text);
    assert_non_null(strstr(text.s, "0/2 > 300"));
    assert_non_null(strstr(text.s, "2 members diverged"));
    assert_null(strstr(text.s, "nan"));
    assert_null(strstr(text.s, "Missing"));
    hs_str_free(&text);
    hs_sweep_table_text(s, t, HS_TABLE_MARKDOWN, &text);
    assert_non_null(strstr(text.s, "| never | 0/2 > 300"));
    hs_str_free(&text);
    hs_sweep_table_json(s, t, &text);
    assert_non_null(strstr(text.s, "\"median\": null"));
    assert_null(strstr(text.s, "inf"));
    hs_str_free(&text);
    hs_sweep_table_csv(s, t, &text);
    assert_non_null(strstr(text.s, "never,2,0,"));
    assert_non_null(strstr(text.s, ",budget,300,"));
    hs_str_free(&text);
    char file[600];
    snprintf(file, sizeof file, "%s/all.db", folder);
    assert_ok(hs_sweep_database(s, file, err));
    assert_true(hs_file_exists(file));
    snprintf(file, sizeof file, "%s/p.svg", folder);
    if (hs_figure_sweep(s, t, file, true, &error) == HS_OK)
        assert_true(hs_file_exists(file));
    else
        assert_non_null(strstr(error.hint, "gnuplot"));
}

static void test_whole(void **state)
{
    (void)state;
    hs_sweep s = {0};
    /* "never" cannot learn, "wild" overflows */
    const char *section =
        "sweep:\n  seeds: 2\n  arms:\n    muon: {train.lr: 1e-2}\n    never: {train.lr: 0}\n"
        "    wild: {train.optimizer: signsgd, train.lr: 1000, train.weight_decay: 0, train.clip: 0, "
        "train.warmup: 0, model.no_ln: true, model.n_layer: 6}\n"
        "  table: [id_atomic >= 0.9, id_atomic, metric lr, steps, id_atomic >= 0.9 in seconds, shortcut test_ii, "
        "majority test_ii]\n";
    assert_int_equal(read_text(&s, section, "train.stop_accuracy=0.9"), HS_OK);
    for (uint32_t a = 0; a < s.n_arms; a++)
        s.arm[a].config.train.steps = 300;
    /* nothing there yet */
    hs_sweep_table t = {0};
    assert_ok(hs_sweep_gather(&s, &t, err));
    assert_true(t.missing == 6 && t.cell[0].time.n == 0 && !t.member[0].started);
    hs_sweep_table_free(&t);
    hs_sweep_cost cost;
    assert_ok(hs_sweep_estimate(&s, true, NULL, NULL, &cost, err));
    assert_true(cost.members == 6 && cost.left == 6 && cost.memory > 1000000 && cost.seconds > 0);
    /* a run in other hands is left to them */
    char dir[600];
    hs_run_lock lock;
    snprintf(dir, sizeof dir, "%s/never/seed-2", runs);
    assert_ok(hs_run_lock_take(&lock, dir, err));
    train_all(&s, "never/seed-2");
    hs_run_lock_release(&lock, dir);
    assert_ok(hs_sweep_gather(&s, &t, err));
    assert_true(t.missing == 1 && t.cell[1 * t.n_columns].time.n == 1);
    hs_sweep_table_free(&t);
    assert_ok(hs_sweep_estimate(&s, false, NULL, NULL, &cost, err));
    assert_true(cost.left == 1);
    train_all(&s, NULL);
    assert_ok(hs_sweep_gather(&s, &t, err));
    assert_true(t.n_columns == 7 && t.missing == 0 && t.diverged == 2);
    for (uint32_t i = 0; i < 2; i++) {
        const hs_member *m = &t.member[3 * i];
        const double *value = &t.value[(size_t)3 * i * 7];
        assert_true(m[0].finished && m[0].ended_by == HS_STOP_RULE && m[1].ended_by == HS_STOP_BUDGET &&
                    m[2].ended_by == HS_STOP_NAN && m[1].steps == 300);
        assert_true(t.reached[(size_t)3 * i * 7] && value[0] < 300 && fmod(value[0], 4) == 0 && value[1] >= 0.9);
        assert_true(value[5] >= 0 && value[5] <= 1 && value[6] <= value[5] + 1e-12);
        assert_true(value[3] == (double)m[0].steps && value[4] > 0 && m[0].cpu_seconds > 0);
        assert_true(!t.reached[(size_t)(3 * i + 1) * 7]);
    }
    assert_true(t.cell[0].time.events == 2 && t.cell[7].time.events == 0 && t.cell[7].time.follow_up == 300);
    assert_true(isinf(t.cell[14].time.median) && t.cell[14].time.follow_up == 300); /* wild */
    assert_true(t.cell[1].spread.n == 2 && t.cell[1].spread.high <= 1);
    check_files(&s, &t);
    hs_sweep_table_free(&t);
    /* the folder of another plan */
    s.arm[1].config.train.batch = 8;
    hs_experiment_result result = {0};
    assert_int_equal(hs_sweep_train(&s, 1, NULL, NULL, &result, &error), HS_ERR_DATA);
    assert_non_null(strstr(error.what, "train.batch"));
    assert_ok(hs_sweep_gather(&s, &t, err));
    assert_true(t.missing == 2 && strstr(t.member[1].problem, "train.batch"));
    hs_sweep_table_free(&t);
    hs_sweep_free(&s);
}

/* A plan over the runs of another, each from the one of its own seed; pooled shares and differences of arms. */
static void test_runs_over_runs(void **state)
{
    (void)state;
    hs_sweep s = {0};
    hs_sweep_table t = {0};
    hs_config config;
    assert_int_equal(read_text(&s, "sweep:\n  seeds: 3\n  arms: {first: {}}\n", "train.stop_split="), HS_OK);
    train_all(&s, NULL);
    hs_sweep_free(&s);
    snprintf(runs, sizeof runs, "%s/more", folder);
    const char *section =
        "sweep:\n  seeds: 3\n  table: [pooled test_ii, test_ii, steps, id_atomic >= 2]\n  compare: [[on, new]]\n"
        "  arms:\n    on: {model.init: \"{runs}/runs/first/seed-{seed}\", train.lr: 0}\n    new: {}\n";
    assert_int_equal(read_text(&s, section, "train.stop_split="), HS_OK);
    hs_sweep_config(&s, 4, &config);
    char expected[600];
    snprintf(expected, sizeof expected, "%s/runs/first/seed-3", folder);
    assert_string_equal(config.model_init, expected); /* absolute: it is there */
    hs_sweep_config(&s, 5, &config);
    assert_string_equal(config.model_init, "");
    train_all(&s, NULL);
    assert_ok(hs_sweep_gather(&s, &t, err));
    assert_true(t.missing == 0 && t.cell[0].items > 0 && t.cell[0].items == t.items[0] + t.items[8] + t.items[16]);
    const double share = t.cell[0].spread.mean;
    double right = 0, low, high;
    for (uint32_t k = 0; k < 3; k++)
        right += t.value[(size_t)8 * k] * (double)t.items[(size_t)8 * k];
    hs_wilson(right, (double)t.cell[0].items, &low, &high);
    assert_true(fabs(share * (double)t.cell[0].items - right) < 1e-9 && t.cell[0].spread.low == low &&
                t.cell[0].spread.high == high);
    const double *on = &t.value[1], *new = &t.value[5];
    const double a[] = {on[0], on[8], on[16]}, b[] = {new[0], new[8], new[16]};
    const hs_spread d = hs_spread_difference(3, a, 3, b);
    assert_true(t.difference[1].mean == d.mean && t.difference[1].low == d.low && t.difference[2].mean == 0);
    assert_true(isnan(t.difference[0].mean) && isnan(t.difference[3].mean)); /* pooled, timed */
    hs_str text = {0};
    hs_sweep_table_text(&s, &t, HS_TABLE_MARKDOWN, &text);
    assert_non_null(strstr(text.s, "| on - new | - | "));
    assert_non_null(strstr(text.s, "] of "));
    assert_non_null(strstr(text.s, "Welch"));
    hs_str_free(&text);
    hs_sweep_table_json(&s, &t, &text);
    assert_non_null(strstr(text.s, "\"differences\": [{\"arm\": \"on\", \"minus\": \"new\", \"columns\": [{\"column\": "
                                   "\"pooled test_ii\", \"mean\": null"));
    hs_str_free(&text);
    hs_sweep_table_csv(&s, &t, &text);
    assert_non_null(
        strstr(text.s, "pooled test_ii,pooled test_ii items,test_ii,steps,id_atomic >= 2,id_atomic >= 2 reached\n"));
    hs_str_free(&text);
    hs_sweep_table_free(&t);
    hs_sweep_free(&s);
    /* the folder does not fit into the setting */
    char name[1001], long_section[1200];
    memset(name, 'y', 1000);
    name[1000] = 0;
    snprintf(long_section, sizeof long_section, "sweep:\n  arms: {on: {model.init: \"{runs}/%s\"}}\n", name);
    assert_int_equal(read_text(&s, long_section, NULL), HS_ERR_DATA);
    assert_string_equal(error.where, "model.init");
}

/* Job files: an array of at most 1,000 a file, every member in one of them. */
static void test_jobs(void **state)
{
    (void)state;
    hs_sweep s = {0};
    assert_int_equal(read_text(&s, "sweep:\n  seeds: 1000\n  arms: {a: {}, b: {}, c: {}}\n", NULL), HS_OK);
    s.n_seeds = 700; /* 2,100 members */
    const hs_sweep_cost cost = {.memory = 100000000, .longest = 3600};
    const char *const arguments[] = {"--output", "it's here"};
    const hs_job_options o = {.program = "/bin/hopscope",
                              .folder = "/work",
                              .arguments = arguments,
                              .n_arguments = 2,
                              .cpus = 2,
                              .cost = &cost};
    hs_str text = {0};
    uint32_t part = 0;
    for (; hs_sweep_job(&s, HS_JOB_SLURM, &o, part, &text); part++) {
        assert_non_null(strstr(text.s, part < 2 ? "--array=0-999\n" : "--array=0-99\n"));
        assert_non_null(strstr(text.s, part == 0   ? "--index \"$SLURM_ARRAY_TASK_ID\""
                                       : part == 1 ? "TASK_ID + 1000))"
                                                   : "TASK_ID + 2000))"));
        assert_non_null(strstr(text.s, "'it'\\''s here'"));
        hs_str_free(&text);
    }
    assert_int_equal(part, 3);
    assert_true(hs_sweep_job(&s, HS_JOB_KUBERNETES, &o, 0, &text) &&
                !hs_sweep_job(&s, HS_JOB_KUBERNETES, &o, 1, &text));
    assert_non_null(strstr(text.s, "completions: 2100"));
    hs_str_free(&text);
    assert_true(hs_sweep_job(&s, HS_JOB_SNAKEMAKE, &o, 0, &text));
    assert_non_null(strstr(text.s, "range(2100)"));
    hs_str_free(&text);
    hs_sweep_free(&s);
}

/* The grids of the arms of experiments/bakeoff.yaml: eight points each, and the bake-off's own dataset, model, budget
 * and rule. */
static void test_grids_are_alike(void **state)
{
    (void)state;
    static const char *const grids[] = {"adamw",    "muon",  "adam-atan2", "lion",   "signsgd",
                                        "grokfast", "ortho", "stablemax",  "rowclip"};
    static const char *const own[] = {"train.lr",     "train.weight_decay", "train.optimizer", "train.beta2",
                                      "train.filter", "train.loss",         "train.row_clip",  "report.title"};
    hs_sweep main_one = {0};
    assert_ok(hs_sweep_read(&main_one, TEST_SOURCE_DIR "/experiments/bakeoff.yaml", NULL, NULL, 0, err));
    for (size_t g = 0; g < sizeof grids / sizeof *grids; g++) {
        char file[600];
        hs_sweep grid = {0};
        snprintf(file, sizeof file, TEST_SOURCE_DIR "/experiments/bakeoff-%s-grid.yaml", grids[g]);
        assert_ok(hs_sweep_read(&grid, file, NULL, NULL, 0, err));
        assert_true(grid.n_arms == 8 && grid.n_seeds == 1);
        for (uint32_t a = 0; a < grid.n_arms; a++) {
            size_t n;
            const hs_config_key *keys = hs_config_keys(&n);
            for (size_t k = 0; k < n; k++) {
                bool may = false;
                for (size_t i = 0; i < sizeof own / sizeof *own; i++)
                    may |= strcmp(own[i], keys[k].key) == 0;
                if (!may && memcmp((char *)&grid.arm[a].config + keys[k].setting.offset,
                                   (char *)&main_one.arm[0].config + keys[k].setting.offset, keys[k].setting.size) != 0)
                    fail_msg("%s: %s is not the bake-off's", grids[g], keys[k].key);
            }
        }
        hs_sweep_free(&grid);
    }
    hs_sweep_free(&main_one);
}

/* Every plan of a page of results can be read, has a title for its page, and a table. */
static void test_results_plans(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(TEST_SOURCE_DIR "/experiments/results/*.yaml", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        hs_sweep s = {0};
        const char *const graph = "graph.path=world"; /* of those that want a graph of the reader's */
        hs_status status = hs_sweep_read(&s, found.gl_pathv[i], runs, NULL, 0, &error);
        if (status == HS_ERR_DATA && strstr(error.hint, "graph.path"))
            status = hs_sweep_read(&s, found.gl_pathv[i], runs, &graph, 1, &error);
        if (status != HS_OK)
            fail_msg("%s: %s: %s", found.gl_pathv[i], error.where, error.what);
        assert_true(s.n_columns > 0 && s.title[0] && s.n_seeds >= 3);
        hs_sweep_free(&s);
    }
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grids_are_alike),
        cmocka_unit_test_setup_teardown(test_results_plans, set_up, tear_down),
        cmocka_unit_test(test_survival),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_difference),
        cmocka_unit_test(test_columns),
        cmocka_unit_test_setup_teardown(test_plan, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_plans, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_runs_over_runs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
