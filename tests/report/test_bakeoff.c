/* Bakeoffs: the file and what is refused in it, Kaplan-Meier against values worked out elsewhere, training that goes
 * on, the table, JSON, CSV and figure. */
#include "hopscope/report.h"

#include "check.h"

#include <unistd.h>

static char folder[256], path[512], runs[512];
static hs_error error;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/bakeoff_XXXXXX", TEST_BINARY_DIR);
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/b.yaml", folder);
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

/* ---------------------------------------------------------------- the file */

static const char rest[] = "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n  holdout: 0.1\n"
                           "model:\n  n_embd: 16\n  n_head: 2\n"
                           "train:\n  steps: 12\n  batch: 16\n  threads: 1\n  eval_every: 4\n  evals_per_decade: 0\n"
                           "  stop_split: id_atomic\n  stop_accuracy: 0.03\n  stop_patience: 1\n";

static hs_status read_text(hs_bakeoff *out, const char *section, const char *set)
{
    hs_str text = {0};
    hs_str_addf(&text, "%s%s", section, rest);
    assert_ok(hs_file_write(path, text.s, text.len, err));
    hs_str_free(&text);
    memset(&error, 0, sizeof error);
    return hs_bakeoff_read(out, path, &set, set ? 1 : 0, &error);
}

static void test_file(void **state)
{
    (void)state;
    hs_bakeoff b = {0};
    const char *good = "# a comment\nbakeoff:\n  seeds: 2\n  baseline: b\n  arms:\n    a: {train.lr: 1e-2}\n"
                       "    b:\n      train.optimizer: adamw\n      train.weight_decay: 0.5\n    c: {}\n    d:\n";
    if (read_text(&b, good, "train.weight_decay=0.25") != HS_OK)
        fail_msg("%s: %s", error.where, error.what);
    assert_true(b.n_arms == 4 && b.seeds == 2 && b.baseline == 1);
    assert_string_equal(b.arm[1].name, "b");
    assert_true(b.arm[0].config.train.lr == 1e-2 && b.arm[0].config.train.weight_decay == 0.25);
    assert_true(b.arm[1].config.train.optimizer == HS_OPT_ADAMW && b.arm[1].config.train.weight_decay == 0.5);
    assert_true(b.arm[2].config.train.steps == 12 && b.arm[3].config.train.lr == b.arm[2].config.train.lr);
    hs_bakeoff_free(&b);
    static const struct {
        const char *section, *where, *what;
    } bad[] = {
        {"", "b.yaml", "no section"},
        {"bakeoff:\n", "b.yaml:1", "takes seeds"},
        {"bakeoff:\n  seeds: 3\n", "b.yaml", "no arms"},
        {"bakeoff:\n  arms: {}\n", "b.yaml:2", "no arms"},
        {"bakeoff:\n  arms: [a]\n", "b.yaml:2", "arms are lines"},
        {"bakeoff:\n  arms: {a: 3}\n", "b.yaml:2", "an arm is a list"},
        {"bakeoff:\n  arms:\n    a: {}\n    a: {}\n", "b.yaml:4", "there already"},
        {"bakeoff:\n  arms:\n    a/b: {}\n", "b.yaml:3", "not the name"},
        {"bakeoff:\n  arms:\n    ..: {}\n", "b.yaml:3", "not the name"},
        {"bakeoff:\n  seeds: 0\n  arms: {a: {}}\n", "b.yaml:2", "1 to 1000"},
        {"bakeoff:\n  seeds: -3\n  arms: {a: {}}\n", "b.yaml:2", "1 to 1000"},
        {"bakeoff:\n  sedes: 3\n  arms: {a: {}}\n", "b.yaml:2", "no such key"},
        {"bakeoff:\n  baseline: z\n  arms: {a: {}}\n", "b.yaml:2", "no such arm"},
        {"bakeoff:\n  arms:\n    a: {train.steps: 9}\n", "b.yaml:3", "share this setting"},
        {"bakeoff:\n  arms:\n    a: {data.seed: 9}\n", "b.yaml:3", "share this setting"},
        {"bakeoff:\n  arms:\n    a: {train.rl: 9}\n", "b.yaml:3: arm a", "unknown key"},
        {"bakeoff:\n  arms:\n    a: {}\n    b: {train.lr: high}\n", "b.yaml:4: arm b train.lr", "not a number"},
        {"bakeoff: {arms: {a: {}}}\nbakeoff: {arms: {a: {}}}\n", "b.yaml:2", "given twice"},
        {"bakeoff: {arms: {a: {}}\n", "b.yaml", "not YAML"},
        {"bakeoff: {arms: {a: {}}}\nmodle:\n  n_layer: 3\n", "b.yaml:3", "unknown key"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const hs_status status = read_text(&b, bad[i].section, NULL);
        if (status != HS_ERR_DATA || !strstr(error.where, bad[i].where) || !strstr(error.what, bad[i].what))
            fail_msg("case %zu: status %d, %s: %s", i, status, error.where, error.what);
        assert_null(b.arm);
    }
    assert_int_equal(read_text(&b, "bakeoff:\n  arms: {a: {}}\n", "train.stop_split="), HS_ERR_DATA);
    assert_non_null(strstr(error.what, "stop rule"));
    assert_int_equal(read_text(&b, "bakeoff:\n  arms: {a: {}}\n", "train.lr=x"), HS_ERR_USAGE);
    assert_int_equal(hs_bakeoff_read(&b, "absent.yaml", NULL, 0, &error), HS_ERR_IO);
    for (uint64_t n = 1;; n++) { /* memory */
        hs_alloc_fail_after(n);
        const hs_status status = hs_bakeoff_read(&b, path, NULL, 0, &error);
        hs_alloc_fail_after(0);
        if (status == HS_OK)
            break;
        assert_int_equal(status, HS_ERR_MEMORY);
        assert_null(b.arm);
    }
    hs_bakeoff_free(&b);
}

/* ---------------------------------------------------------------- the whole way */

typedef struct counter {
    int started, warnings;
} counter;

static void listen(void *user, const hs_event *event)
{
    counter *c = user;
    c->started += event->kind == HS_EVENT_INFO && strcmp(event->stage, "bakeoff") == 0 && strstr(event->text, "arm ") &&
                  !strstr(event->text, "another process");
    c->warnings += event->kind == HS_EVENT_WARNING && strcmp(event->stage, "bakeoff") == 0;
}

static void test_whole(void **state)
{
    (void)state;
    hs_bakeoff b = {0};
    /* "never" cannot learn, "wild" overflows */
    const char *section = "bakeoff:\n  seeds: 2\n  arms:\n    muon: {train.lr: 1e-2}\n    never: {train.lr: 0}\n"
                          "    wild: {train.optimizer: signsgd, train.lr: 1000, train.weight_decay: 0, train.clip: 0, "
                          "train.warmup: 0, model.no_ln: true, model.n_layer: 6}\n";
    assert_int_equal(read_text(&b, section, "train.stop_accuracy=0.9"), HS_OK);
    for (uint32_t a = 0; a < b.n_arms; a++)
        b.arm[a].config.train.steps = 300;
    counter c = {0};
    const hs_events events = {listen, &c};
    /* nothing there yet */
    hs_bakeoff_result r = {0};
    assert_ok(hs_bakeoff_results(&b, runs, &r, err));
    assert_true(r.summary[0].steps.n == 0 && !r.run[0].started);
    hs_bakeoff_result_free(&r);
    /* a run in other hands is left to them */
    char dir[600];
    hs_run_lock lock;
    snprintf(dir, sizeof dir, "%s/never/seed-2", runs);
    assert_ok(hs_run_lock_take(&lock, dir, err));
    assert_ok(hs_bakeoff_train(&b, runs, NULL, &events, err));
    hs_run_lock_release(&lock);
    assert_true(c.started == 6 && c.warnings == 2);
    assert_ok(hs_bakeoff_results(&b, runs, &r, err));
    assert_true(r.summary[1].steps.n == 1);
    hs_bakeoff_result_free(&r);
    /* the rest: only what is missing is trained */
    c = (counter){0};
    assert_ok(hs_bakeoff_train(&b, runs, NULL, &events, err));
    assert_true(c.started == 1 && c.warnings == 0);
    assert_ok(hs_bakeoff_results(&b, runs, &r, err));
    for (int i = 0; i < 2; i++) {
        assert_true(r.run[i].grokked && r.run[i].finished && r.run[i].steps % 4 == 0 && r.run[i].steps < 300);
        assert_true(r.run[i].cpu_seconds > 0 && r.run[i].accuracy >= 0.9);
        assert_int_equal(r.run[i].ended_by, HS_STOP_RULE);
        assert_true(!r.run[2 + i].grokked && r.run[2 + i].finished && r.run[2 + i].steps == 300);
        assert_int_equal(r.run[2 + i].ended_by, HS_STOP_BUDGET);
        assert_int_equal(r.run[4 + i].ended_by, HS_STOP_NAN);
    }
    assert_true(r.summary[0].steps.events == 2 && r.summary[1].steps.events == 0 &&
                r.summary[1].steps.follow_up == 300);
    assert_true(isinf(r.summary[2].steps.median) && r.summary[2].diverged == 2 && r.summary[2].steps.follow_up == 300);
    hs_str text = {0};
    hs_bakeoff_text(&b, &r, &text);
    assert_non_null(strstr(text.s, "> 300"));
    assert_non_null(strstr(text.s, "2 runs diverged"));
    assert_null(strstr(text.s, "nan"));
    hs_str_free(&text);
    hs_bakeoff_json(&b, &r, runs, &text);
    assert_non_null(strstr(text.s, "\"median\": null"));
    assert_null(strstr(text.s, "inf"));
    hs_str_free(&text);
    hs_bakeoff_csv(&b, &r, &text);
    assert_non_null(strstr(text.s, "never,2,0,300,"));
    hs_str_free(&text);
    char figure[600];
    snprintf(figure, sizeof figure, "%s/b.svg", folder);
    const hs_status drawn = hs_bakeoff_figure(&b, &r, runs, figure, true, &error);
    if (drawn == HS_OK)
        assert_true(hs_file_exists(figure));
    else
        assert_non_null(strstr(error.hint, "gnuplot"));
    hs_bakeoff_result_free(&r);
    /* the folder of another bakeoff */
    b.arm[1].config.train.batch = 8;
    assert_int_equal(hs_bakeoff_train(&b, runs, NULL, NULL, &error), HS_ERR_DATA);
    assert_non_null(strstr(error.what, "train.batch"));
    hs_bakeoff_free(&b);
}

/* The grids of the arms of experiments/bakeoff.yaml: eight points each, and the bakeoff's own dataset, model, budget and rule. */
static void test_grids_are_alike(void **state)
{
    (void)state;
    static const char *const grids[] = {"adamw",    "muon",  "adam-atan2", "lion",   "signsgd",
                                        "grokfast", "ortho", "stablemax",  "rowclip"};
    static const char *const own[] = {"train.lr",     "train.weight_decay", "train.optimizer", "train.beta2",
                                      "train.filter", "train.loss",         "train.row_clip",  "report.title"};
    hs_bakeoff main_one = {0};
    assert_ok(hs_bakeoff_read(&main_one, TEST_SOURCE_DIR "/experiments/bakeoff.yaml", NULL, 0, err));
    for (size_t g = 0; g < sizeof grids / sizeof *grids; g++) {
        char file[600];
        hs_bakeoff grid = {0};
        snprintf(file, sizeof file, TEST_SOURCE_DIR "/experiments/bakeoff-%s-grid.yaml", grids[g]);
        assert_ok(hs_bakeoff_read(&grid, file, NULL, 0, err));
        assert_true(grid.n_arms == 8 && grid.seeds == 1);
        for (uint32_t a = 0; a < grid.n_arms; a++) {
            size_t n;
            const hs_config_key *keys = hs_config_keys(&n);
            for (size_t k = 0; k < n; k++) {
                bool may = false;
                for (size_t i = 0; i < sizeof own / sizeof *own; i++)
                    may |= strcmp(own[i], keys[k].key) == 0;
                if (!may && memcmp((char *)&grid.arm[a].config + keys[k].setting.offset,
                                   (char *)&main_one.arm[0].config + keys[k].setting.offset, keys[k].setting.size) != 0)
                    fail_msg("%s: %s is not the bakeoff's", grids[g], keys[k].key);
            }
        }
        hs_bakeoff_free(&grid);
    }
    hs_bakeoff_free(&main_one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grids_are_alike),
        cmocka_unit_test(test_survival),
        cmocka_unit_test_setup_teardown(test_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
