/* Stages: what a file of them says, errors with file and line, one record for both, kill and resume to the same bits.
 */
#include "experiment/run_test.h"

#include <signal.h>

static const char file_text[] = "data: {entities: 20, relations: 5, out_degree: 3, phi: 0, holdout: 0.1}\n"
                                "model: {n_embd: 16, n_head: 2}\n"
                                "train: {steps: 12, batch: 16, threads: 1, checkpoint_every: 4, ema: 0.9}\n"
                                "\n"
                                "stages:\n"
                                "  pretrain:\n"
                                "  finetune:\n"
                                "    data: {new_facts: 8, new_keep: 40}\n"
                                "    train.lr: 5e-4\n"
                                "    train.freeze: [\"*wpe*\", \"*h.0.*\"]\n"
                                "  last: {train.steps: 6, train.shares: [facts=0.3]}\n"
                                "report:\n  title: three\n";

static const char *write_text(const char *name, const char *text)
{
    const char *path = in_folder(name);
    assert_int_equal(hs_file_write(path, text, strlen(text), &err), HS_OK);
    return path;
}

static hs_stages read_with(const char *text, const char *const *set, size_t n)
{
    hs_stages stages;
    if (hs_stages_read(&stages, write_text("file.yaml", text), set, n, &err) != HS_OK)
        fail_msg("%s: %s '%s'", err.where, err.what, err.value);
    return stages;
}

static void test_read(void **state)
{
    (void)state;
    const char *set[] = {"train.batch=8", "finetune.train.lr=0.25", "train.lr=0.125", "last.train.steps=3",
                         "finetune.model.init=none"};
    hs_stages s = read_with(file_text, set, 5);
    assert_int_equal(s.n, 3);
    assert_string_equal(s.stage[0].name, "pretrain");
    assert_string_equal(s.stage[2].name, "last");
    const hs_config *a = &s.stage[0].config, *b = &s.stage[1].config, *c = &s.stage[2].config;
    assert_true(a->train.steps == 12 && b->train.steps == 12 && c->train.steps == 3);
    assert_true(a->train.batch == 8 && b->train.batch == 8 && c->train.batch == 8);
    assert_true(a->train.lr == 0.125 && b->train.lr == 0.25 && c->train.lr == 0.125);
    assert_true(a->new_facts.new_facts == 0 && b->new_facts.new_facts == 8 && c->new_facts.new_facts == 0);
    assert_string_equal(b->train.freeze, "*wpe*,*h.0.*");
    assert_string_equal(c->train.shares, "facts=0.3");
    assert_string_equal(a->report.title, "three");
    assert_true(s.stage[1].own_init && !s.stage[2].own_init && !s.stage[1].own_watch);
    char dir[512];
    assert_int_equal(hs_stages_dir(&s, "runs/x", 1, 0, dir, sizeof dir, &err), HS_OK);
    assert_string_equal(dir, "runs/x/2-finetune");
    assert_int_equal(hs_stages_dir(&s, "runs/x", 0, 3, dir, sizeof dir, &err), HS_OK);
    assert_string_equal(dir, "runs/x/1-pretrain/seed-3");
    hs_stages_free(&s);
    s = read_with("stages:\n  one: {train.steps: 2}\n", NULL, 0); /* nothing but stages */
    assert_true(s.n == 1 && s.stage[0].config.train.steps == 2);
    hs_stages_free(&s);
    s = read_with("train:\n  steps: 2\n", NULL, 0);
    assert_int_equal(s.n, 0);
    s = read_with("- no experiment\n", NULL, 0); /* left to the ordinary reader */
    assert_int_equal(s.n, 0);
    s = read_with("a: [\n", NULL, 0);
    assert_int_equal(s.n, 0);
}

static void test_read_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *where, *what;
    } cases[] = {
        {"train: {steps: 2}\nstages: 3\n", "file.yaml:2", "stages are lines"},
        {"stages: {}\n", "file.yaml:1", "stages are lines"},
        {"stages:\n  a:\n  a:\n", "file.yaml:3", "there already"},
        {"stages:\n  a.b:\n", "file.yaml:2", "not the name of a stage"},
        {"stages:\n  train:\n", "file.yaml:2", "not the name of a stage"},
        {"stages:\n  2nd:\n", "file.yaml:2", "not the name of a stage"},
        {"stages:\n  a: 7\n", "file.yaml:2", "a stage is a list"},
        {"stages:\n  a:\n    train.stepz: 7\n", "file.yaml:3", "unknown key"},
        {"stages:\n  a:\n    train:\n      lr: fast\n", "file.yaml:4", "not a number"},
        {"stages:\n  a:\n    train.lr: 1\n    train: {lr: 2}\n", "file.yaml:4", "given twice"},
        {"train: {lr: fast}\nstages:\n  a:\n", "file.yaml:1", "not a number"},
        {"{stages: {a: {train.steps: 2}}}\n", "file.yaml:1", "lines of its own"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hs_stages s;
        err = (hs_error){0};
        if (hs_stages_read(&s, write_text("file.yaml", cases[i].text), NULL, 0, &err) != HS_ERR_DATA ||
            !strstr(err.where, cases[i].where) || !strstr(err.what, cases[i].what))
            fail_msg("%s: %s: %s", cases[i].text, err.where, err.what);
        assert_int_equal(s.n, 0);
    }
    hs_stages s;
    const char *bad[] = {"a.train.stepz=3"};
    assert_int_equal(hs_stages_read(&s, write_text("file.yaml", "stages:\n  a:\n"), bad, 1, &err), HS_ERR_USAGE);
}

static hs_status run_stages(const hs_stages *s, const char *name, uint32_t seed, hs_signals *signals)
{
    hs_experiment_result results[3] = {{0}};
    const hs_experiment_options options = {.run_dir = in_folder(name), .no_estimate = true};
    uint32_t done;
    err = (hs_error){0};
    const hs_status status = hs_stages_run(s, &options, seed, signals, NULL, results, &done, &err);
    assert_true(status != HS_OK || done == s->n);
    for (int i = 0; i < 3; i++)
        hs_experiment_result_free(&results[i]);
    return status;
}

static bool recorded(const char *db, const char *split)
{
    hs_record *record;
    hs_eval_row *rows;
    size_t n;
    bool found = false;
    if (hs_record_open_read(&record, in_folder(db), &err) != HS_OK || hs_record_evals(record, &rows, &n, &err) != HS_OK)
        fail_msg("%s: %s", err.where, err.what);
    for (size_t i = 0; i < n; i++)
        found |= strcmp(rows[i].eval.split, split) == 0 && isfinite(rows[i].eval.accuracy);
    hs_free(rows);
    hs_record_close(record);
    return found;
}

static uint64_t whole[3];
static const char *const stage_dirs[] = {"1-pretrain", "2-finetune", "3-last"};

static void assert_same_bits(const char *name)
{
    for (int i = 0; i < 3; i++) {
        char dir[64];
        snprintf(dir, sizeof dir, "%s/%s", name, stage_dirs[i]);
        assert_true(final_hash(dir) == whole[i]);
    }
}

static const float *tensor_of(const hs_run *run, const char *name, size_t *size)
{
    const hs_tensor *t = hs_model_tensor(&run->model, name);
    *size = t->size * sizeof(float);
    return run->model.param + t->offset;
}

static void test_run(void **state)
{
    (void)state;
    hs_stages s = read_with(file_text, NULL, 0);
    if (run_stages(&s, "whole", 0, NULL) != HS_OK)
        fail_msg("%s: %s (%s)", err.where, err.what, err.hint);
    for (int i = 0; i < 3; i++) {
        char dir[64];
        snprintf(dir, sizeof dir, "whole/%s", stage_dirs[i]);
        whole[i] = final_hash(dir);
    }
    /* one record has the splits of both, under names of their own; the third has those of all */
    assert_true(recorded("whole/2-finetune/run.db", "test_new_old") &&
                recorded("whole/2-finetune/run.db", "pretrain.test_ii") &&
                recorded("whole/3-last/run.db", "pretrain.test_ii") &&
                recorded("whole/3-last/run.db", "finetune.new_atomic"));
    /* what was frozen is what the first stage was evaluated with: its average */
    hs_run first = {0}, second = {0};
    assert_int_equal(hs_run_open(&first, in_folder("whole/1-pretrain"), HS_LATEST, &err), HS_OK);
    assert_int_equal(hs_run_open(&second, in_folder("whole/2-finetune"), HS_LATEST, &err), HS_OK);
    size_t size;
    assert_memory_equal(tensor_of(&first, "transformer.h.0.attn.c_attn.weight", &size),
                        tensor_of(&second, "transformer.h.0.attn.c_attn.weight", &size), size);
    assert_memory_not_equal(tensor_of(&first, "transformer.h.1.attn.c_attn.weight", &size),
                            tensor_of(&second, "transformer.h.1.attn.c_attn.weight", &size), size);
    hs_run_close(&first);
    hs_run_close(&second);
    /* again: nothing is trained, nothing changes; a stage that another began from is not trained on */
    assert_int_equal(run_stages(&s, "whole", 0, NULL), HS_OK);
    assert_same_bits("whole");
    s.stage[0].config.train.steps = 20;
    assert_int_equal(run_stages(&s, "whole", 0, NULL), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "train.steps = 12, not 20"));
    assert_non_null(strstr(err.hint, "2-finetune"));
    assert_same_bits("whole");
    hs_stages_free(&s);
    char last[512];
    assert_int_equal(hs_stages_last(in_folder("whole"), last, sizeof last, &err), HS_OK);
    assert_non_null(strstr(last, "/3-last"));
    assert_int_equal(hs_stages_last(in_folder("whole/3-last"), last, sizeof last, &err), HS_OK);
    assert_string_equal(last, "");
}

/* By SIGTERM at once, and by kill -9 at many moments, in whatever stage they fall. */
static void test_same_bits(void **state)
{
    (void)state;
    hs_stages s = read_with(file_text, NULL, 0);
    hs_signals signals = {.stop = SIGTERM};
    assert_int_equal(run_stages(&s, "stopped", 0, &signals), HS_STOPPED_TERM);
    assert_int_equal(run_stages(&s, "stopped", 0, NULL), HS_OK);
    assert_same_bits("stopped");
    for (int i = 0; i < 12; i++) {
        const pid_t child = fork();
        if (child == 0) {
            (void)run_stages(&s, "killed", 0, NULL);
            _exit(0);
        }
        usleep((useconds_t)(20000 + i * 7000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    assert_int_equal(run_stages(&s, "killed", 0, NULL), HS_OK);
    assert_same_bits("killed");
    hs_stages_free(&s);
}

static void test_folders(void **state)
{
    (void)state;
    hs_stages s = read_with(file_text, NULL, 0);
    run_well("plain", configure(NULL));
    assert_int_equal(run_stages(&s, "plain", 0, NULL), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "a run without stages"));
    s.n = 2; /* a seed has folders of its own, and its splits the name of the stage */
    assert_int_equal(run_stages(&s, "seeds", 2, NULL), HS_OK);
    assert_true(recorded("seeds/2-finetune/seed-2/run.db", "pretrain.id_atomic"));
    /* a fresh model in the second stage, and nothing watched */
    const char *set[] = {"finetune.model.init=", "finetune.data.watch="};
    hs_stages_free(&s);
    s = read_with(file_text, set, 2);
    s.n = 2;
    assert_int_equal(run_stages(&s, "fresh", 0, NULL), HS_OK);
    assert_false(hs_file_exists(in_folder("fresh/2-finetune/init.safetensors")));
    assert_false(recorded("fresh/2-finetune/run.db", "pretrain.id_atomic"));
    s.n = 3;
    hs_stages_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),      cmocka_unit_test(test_read_errors), cmocka_unit_test(test_run),
        cmocka_unit_test(test_same_bits), cmocka_unit_test(test_folders),
    };
    return cmocka_run_group_tests_name("experiment.stages", tests, set_up, tear_down);
}
