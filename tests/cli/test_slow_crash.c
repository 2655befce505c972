/* kill -9 at 200 random moments of a run that saves at every step, SIGTERM at 20: each time the same command goes on,
 * and in the end weights and record are those of a run that nobody disturbed. */
#include "hopscope/experiment.h"

#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLS = 200, STEPS = 250 };

static char folder[256];
static hs_error error;

static int set_up(void **state)
{
    (void)state;
    static const char yaml[] =
        "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n  holdout: 0.1\n"
        "model:\n  n_embd: 16\n  n_head: 2\n  dropout: 0.1\n"
        "train:\n  steps: 250\n  batch: 24\n  shards: 3\n  ema: 0.9\n  filter: grokfast_ema\n  checkpoint_every: 1\n"
        "  checkpoint_keep: 3\n  eval_every: 10\n  eval_max: 20\n";
    /* in memory where that is possible: thousands of synced writes say nothing here and wear the disk */
    snprintf(folder, sizeof folder, "%s/hopscope_crash_XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : TEST_BINARY_DIR);
    return mkdtemp(folder) && chdir(folder) == 0 && hs_file_write("tiny.yaml", yaml, sizeof yaml - 1, &error) == HS_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return chdir("/") == 0 ? system(command) : -1;
}

static pid_t start(const char *dir, int threads)
{
    char setting[32];
    snprintf(setting, sizeof setting, "train.threads=%d", threads);
    const pid_t child = fork();
    if (child == 0) {
        const int null = open("/dev/null", O_WRONLY), said = open("err.txt", O_WRONLY | O_CREAT | O_TRUNC, 0666);
        dup2(null, STDOUT_FILENO);
        dup2(said, STDERR_FILENO);
        execl(TEST_BINARY_DIR "/hopscope", "hopscope", "run", "tiny.yaml", "-o", dir, "-s", setting, (char *)NULL);
        _exit(127);
    }
    assert_true(child > 0);
    return child;
}

/* Exit code, or 1000 + signal. */
static int wait_for(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void fail_with_message(const char *what, int code)
{
    char *text;
    size_t size;
    assert_int_equal(hs_file_read("err.txt", 1 << 20, &text, &size, NULL), HS_OK);
    fail_msg("%s: exit code %d\n%s", what, code, text);
}

static void run_to_end(const char *dir)
{
    const int code = wait_for(start(dir, 2));
    if (code != 0)
        fail_with_message(dir, code);
}

typedef struct outcome {
    uint64_t hash;
    hs_eval_row *evals;
    hs_weights_row *weights;
    size_t n_evals, n_weights;
} outcome;

static outcome outcome_of(const char *dir)
{
    outcome o = {0};
    hs_run run = {0};
    hs_record *record;
    char db[512];
    snprintf(db, sizeof db, "%s/run.db", dir);
    assert_ok(hs_run_open(&run, dir, HS_LATEST, err));
    assert_int_equal(run.step, STEPS);
    o.hash = hs_model_hash(&run.model); /* of the averaged weights, which follow from all others */
    hs_run_close(&run);
    assert_ok(hs_record_open_read(&record, db, err));
    assert_ok(hs_record_evals(record, &o.evals, &o.n_evals, err));
    assert_ok(hs_record_weights_rows(record, &o.weights, &o.n_weights, err));
    hs_record_close(record);
    return o;
}

static void outcome_free(outcome *o)
{
    hs_free(o->evals);
    hs_free(o->weights);
}

static void assert_same(const outcome *a, const outcome *b)
{
    assert_true(a->hash == b->hash);
    assert_int_equal(a->n_evals, b->n_evals);
    for (size_t i = 0; i < a->n_evals; i++) {
        const hs_eval_row *x = &a->evals[i], *y = &b->evals[i];
        if (x->step != y->step || strcmp(x->eval.split, y->eval.split) != 0 || x->eval.n != y->eval.n ||
            x->eval.accuracy != y->eval.accuracy || x->eval.loss != y->eval.loss)
            fail_msg("evaluation %zu differs at step %llu", i, (unsigned long long)x->step);
    }
    assert_int_equal(a->n_weights, b->n_weights);
    for (size_t i = 0; i < a->n_weights; i++)
        assert_true(a->weights[i].step == b->weights[i].step && a->weights[i].hash == b->weights[i].hash);
}

/* What a kill left: a temporary of a save, or weights without their state. */
static bool was_saving(const char *dir)
{
    char path[512];
    snprintf(path, sizeof path, "%s/checkpoints", dir);
    DIR *d = opendir(path);
    int temporaries = 0, weights = 0, states = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        temporaries += strstr(e->d_name, ".tmp-") != NULL;
        const char *state = strstr(e->d_name, ".state.safetensors"), *any = strstr(e->d_name, ".safetensors");
        states += state && state[18] == 0;
        weights += any && any[12] == 0 && !state;
    }
    if (d)
        closedir(d);
    return temporaries > 0 || weights != states;
}

static uint64_t latest(const char *dir)
{
    char path[512], *text;
    size_t size;
    snprintf(path, sizeof path, "%s/checkpoints/latest", dir);
    if (hs_file_read(path, 100, &text, &size, NULL) != HS_OK)
        return 0;
    const uint64_t step = strtoull(text + strcspn(text, "0123456789"), NULL, 10);
    hs_free(text);
    return step;
}

static bool is_done(const char *dir)
{
    return latest(dir) == STEPS;
}

/* Until it has saved once more, at most two seconds. */
static void wait_for_training(const char *dir, uint64_t before)
{
    for (int i = 0; i < 2000 && latest(dir) == before; i++)
        usleep(1000);
}

static void test_kill(void **state)
{
    (void)state;
    run_to_end("whole");
    outcome want = outcome_of("whole");
    const double started = hs_now();
    run_to_end("whole"); /* does nothing: this is what starting costs */
    const double startup = hs_now() - started;
    hs_rng rng;
    hs_rng_init(&rng, 1, HS_PURPOSE('k', 'i', 'l', 'l'), 0, 0);
    int saving = 0, run = 0;
    char dir[32] = "killed-0";
    for (int kills = 0; kills < KILLS || saving < 10;) { /* until ten came in the middle of a save, too */
        if (is_done(dir)) { /* of this one there is nothing left to kill */
            run_to_end(dir);
            outcome have = outcome_of(dir);
            assert_same(&have, &want);
            outcome_free(&have);
            snprintf(dir, sizeof dir, "killed-%d", ++run);
        }
        /* every other time at any moment of a start, else in the middle of training and saving */
        const bool training = kills % 2 == 0;
        const double after = hs_rng_uniform(&rng) * (training ? 0.02 : 1.2 * startup);
        const uint64_t before = latest(dir);
        const pid_t child = start(dir, 1 + (int)hs_rng_below(&rng, 3));
        if (training)
            wait_for_training(dir, before);
        usleep((useconds_t)(after * 1e6));
        kill(child, SIGKILL);
        const int code = wait_for(child);
        kills += code == 1000 + SIGKILL;
        if (code != 1000 + SIGKILL && code != 0) /* 0: it was faster */
            fail_with_message(dir, code);
        saving += was_saving(dir);
    }
    run_to_end(dir);
    outcome have = outcome_of(dir);
    assert_same(&have, &want);
    outcome_free(&have);
    outcome_free(&want);
    print_message("at least %d kills, %d of them in a save, over %d runs\n", KILLS, saving, run + 1);
    assert_false(was_saving(dir)); /* what kills left was removed */
}

/* Stopped politely at any moment: saved, the right exit code, and on. */
static void test_terminate(void **state)
{
    (void)state;
    run_to_end("whole");
    outcome want = outcome_of("whole");
    hs_rng rng;
    hs_rng_init(&rng, 2, HS_PURPOSE('t', 'e', 'r', 'm'), 0, 0);
    int saved = 0;
    for (int i = 0; i < 20 && !is_done("stopped"); i++) {
        const int number = i % 2 ? SIGINT : SIGTERM;
        const pid_t child = start("stopped", 2);
        usleep((useconds_t)(20000 + hs_rng_below(&rng, 200000)));
        kill(child, number);
        const int code = wait_for(child);
        if (code == 128 + number)
            saved++;
        else if (code != 0 &&
                 code != 1000 + number) /* in the first moment there is no handler yet, and nothing to save */
            fail_with_message("stopped", code);
    }
    assert_true(saved >= 2);
    run_to_end("stopped");
    outcome have = outcome_of("stopped");
    assert_same(&have, &want);
    outcome_free(&have);
    outcome_free(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kill, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_terminate, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
