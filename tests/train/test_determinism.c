/* The promises about bits: any number of threads, any pattern of stops, a full disk, a divergence that is taken back.
 */
#include "hopscope/tensor.h"
#include "hopscope/train.h"

#include "check.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct fixture {
    hs_train_config config;
    hs_pool *pool;
    hs_model model;
    hs_trainer *trainer;
} fixture;

static char folder[256], checkpoints[512], db[512];
static hs_dataset data;
static hs_error error;
static const hs_probe *probes; /* of train() */
static uint32_t n_probes;

static int build(void **state)
{
    (void)state;
    hs_data_config config;
    hs_data_config_default(&config);
    config.entities = 30;
    config.relations = 6;
    config.out_degree = 4;
    config.phi = 0;
    return hs_tensor_open(&error) == HS_OK && hs_dataset_build(&data, &config, NULL, NULL, NULL, &error) == HS_OK ? 0
                                                                                                                  : -1;
}

static int drop(void **state)
{
    (void)state;
    hs_dataset_free(&data);
    return 0;
}

static int set_up_in(const char *where)
{
    snprintf(folder, sizeof folder, "%s/determinism_XXXXXX", where);
    if (!mkdtemp(folder))
        return -1;
    snprintf(checkpoints, sizeof checkpoints, "%s/checkpoints", folder);
    snprintf(db, sizeof db, "%s/run.db", folder);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_in(TEST_BINARY_DIR);
}

/* A folder that a user without any rights can reach: the build may lie in one that only root may enter. */
static int set_up_reachable(void **state)
{
    (void)state;
    const char *const places[] = {TEST_BINARY_DIR, getenv("TMPDIR"), "/tmp"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char path[4096];
        struct stat st;
        bool open_to_all = places[i] && places[i][0] == '/';
        snprintf(path, sizeof path, "%s/", places[i] ? places[i] : "");
        for (char *slash = strchr(path + 1, '/'); open_to_all && slash; slash = strchr(slash + 1, '/')) {
            *slash = 0;
            open_to_all = stat(path, &st) == 0 && (st.st_mode & S_IXOTH);
            *slash = '/';
        }
        if (open_to_all)
            return set_up_in(places[i]);
    }
    return -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* Everything on at once: dropout, EMA, filter, clipping, a schedule, shards that divide nothing, a share of facts. */
static hs_train_config busy(hs_optimizer_kind optimizer, hs_filter_kind filter)
{
    hs_train_config c;
    hs_train_config_default(&c);
    c.optimizer = optimizer;
    c.filter = filter;
    c.batch = 50;
    snprintf(c.shares, sizeof c.shares, "facts=0.3");
    c.shards = 7;
    c.micro = 3;
    c.lr = optimizer == HS_OPT_SIGNSGD || optimizer == HS_OPT_LION ? 1e-4 : 3e-3;
    c.ema = 0.95;
    c.row_clip = 2;
    c.warmup = 5;
    c.steps = 40;
    c.schedule = HS_SCHEDULE_COSINE;
    c.evals_per_decade = 0;
    c.eval_every = 5;
    c.checkpoint_seconds = 0;
    c.checkpoints_per_decade = 0;
    return c;
}

static void create(fixture *f, const hs_train_config *config, uint32_t threads)
{
    hs_model_config model;
    hs_model_config_default(&model);
    model.vocab = data.vocab.n;
    model.n_positions = data.max_width;
    model.n_embd = 32;
    model.n_head = 2;
    model.n_layer = 2;
    model.dropout = 0.1f;
    *f = (fixture){.config = *config, .pool = hs_pool_create(threads)};
    assert_non_null(f->pool);
    if (hs_model_create(&f->model, &model, config->seed, &error) != HS_OK ||
        hs_trainer_create(&f->trainer, &f->model, &data, &f->config, f->pool, &error) != HS_OK)
        fail_msg("%s: %s", error.where, error.what);
}

static void destroy(fixture *f)
{
    hs_trainer_free(f->trainer);
    hs_model_free(&f->model);
    hs_pool_free(f->pool);
}

static void steps(fixture *f, uint64_t n)
{
    hs_step_stats stats;
    for (uint64_t i = 0; i < n; i++)
        if (hs_trainer_step(f->trainer, &stats, &error) != HS_OK)
            fail_msg("%s", error.what);
}

/* Of weights and of all optimizer state, EMA included. */
static uint64_t hash_of(fixture *f)
{
    size_t n;
    const hs_state_array *state = hs_trainer_state(f->trainer, &n);
    uint64_t hash = hs_model_hash(&f->model);
    for (size_t i = 0; i < n; i++)
        hash = hs_hash(state[i].data, f->model.n_params * sizeof(float), hash);
    return hash;
}

static const uint32_t thread_counts[] = {1, 2, 3, 7};

static void test_threads(void **state)
{
    (void)state;
    for (int optimizer = HS_OPT_ADAMW; optimizer <= HS_OPT_LION; optimizer++)
        for (int filter = HS_FILTER_NONE; filter <= HS_FILTER_ORTHOGRAD; filter++) {
            const hs_train_config config = busy((hs_optimizer_kind)optimizer, (hs_filter_kind)filter);
            uint64_t hash[3] = {0};
            hs_eval first = {0};
            for (size_t t = 0; t < 4; t++) {
                fixture f;
                hs_eval eval;
                create(&f, &config, thread_counts[t]);
                for (int part = 0; part < 3; part++) {
                    steps(&f, 4);
                    if (t == 0)
                        hash[part] = hash_of(&f);
                    else if (hash[part] != hash_of(&f))
                        fail_msg("optimizer %d, filter %d: other bits at step %d with %u threads", optimizer, filter,
                                 4 * part + 4, thread_counts[t]);
                }
                assert_ok(hs_evaluate(&f.model, hs_trainer_eval_param(f.trainer), &data, &data.splits[0], 0, f.pool,
                                      &eval, err));
                assert_true(t == 0 || (eval.loss == first.loss && eval.accuracy == first.accuracy));
                first = eval;
                destroy(&f);
            }
            assert_true(hash[0] != hash[1] && hash[1] != hash[2]);
        }
}

/* Stopped anywhere, resumed with any number of threads. */
/* Facts answered after the first pass: a loss of its own, other weights, the same bits for any threads; and refused where
 * there is no earlier pass. */
static void test_fact_exit(void **state)
{
    (void)state;
    hs_train_config c = busy(HS_OPT_ADAMW, HS_FILTER_NONE);
    hs_model_config m;
    hs_model_config_default(&m);
    m.vocab = data.vocab.n;
    m.n_positions = data.max_width;
    m.n_embd = 32;
    m.n_head = 2;
    m.n_layer = 1;
    uint64_t hash[3];
    for (int i = 0; i < 3; i++) {
        m.passes = 2;
        c.fact_exit = i < 2 ? 1 : 0;
        fixture f = {.config = c, .pool = hs_pool_create(i == 0 ? 1 : 3)};
        hs_step_stats stats = {0};
        assert_int_equal(hs_model_create(&f.model, &m, 1, &error), HS_OK);
        assert_int_equal(hs_trainer_create(&f.trainer, &f.model, &data, &f.config, f.pool, &error), HS_OK);
        for (int s = 0; s < 5; s++)
            assert_int_equal(hs_trainer_step(f.trainer, &stats, &error), HS_OK);
        assert_true(i < 2 ? stats.exit_loss > 0 : stats.exit_loss == 0);
        hash[i] = hs_model_hash(&f.model);
        destroy(&f);
    }
    assert_true(hash[0] == hash[1] && hash[0] != hash[2]);
    hs_model model = {0};
    hs_trainer *trainer;
    m.passes = 1;
    c.fact_exit = 1;
    for (int trm = 0; trm < 2; trm++) {
        m.kind = trm ? HS_MODEL_TRM : HS_MODEL_GPT2;
        m.n_positions = data.max_width;
        m.h_cycles = m.l_cycles = 1;
        assert_int_equal(hs_model_create(&model, &m, 1, &error), HS_OK);
        assert_int_equal(hs_trainer_create(&trainer, &model, &data, &c, NULL, &error), HS_ERR_DATA);
        assert_string_equal(error.where, "train.fact_exit");
        hs_model_free(&model);
    }
}

/* Sequences long enough for attention in blocks: the same bits for any threads, and other bits after another step. */
static void test_long_sequences(void **state)
{
    (void)state;
    enum { ITEMS = 64, WIDTH = 81 };
    hs_train_config c = busy(HS_OPT_ADAMW, HS_FILTER_NONE);
    uint32_t *tokens = hs_alloc(ITEMS * WIDTH * sizeof *tokens);
    assert_non_null(tokens);
    for (uint32_t i = 0; i < ITEMS * WIDTH; i++)
        tokens[i] = (i * i + i / 7) % 50;
    hs_split split = {
        .name = "long", .n = ITEMS, .width = WIDTH, .prompt = 20, .answer = 20, .answers = 1, .tokens = tokens};
    const hs_dataset text = {.n_splits = 1, .splits = &split, .max_width = WIDTH};
    uint64_t hash[3];
    for (int i = 0; i < 3; i++) {
        hs_model_config m;
        hs_model_config_default(&m);
        m.kind = i < 2 ? HS_MODEL_GPT2 : HS_MODEL_LLAMA;
        m.vocab = 50;
        m.n_positions = WIDTH;
        m.n_embd = 32;
        m.n_head = 2;
        m.n_layer = 2;
        for (uint32_t threads = 1; threads < 4; threads += 2) {
            fixture f = {.config = c, .pool = hs_pool_create(threads)};
            f.config.batch = 8;
            f.config.shares[0] = 0;
            hs_step_stats stats = {0};
            assert_int_equal(hs_model_create(&f.model, &m, 1, &error), HS_OK);
            assert_int_equal(hs_trainer_create(&f.trainer, &f.model, &text, &f.config, f.pool, &error), HS_OK);
            for (int s = 0; s < 2 + i % 2; s++)
                assert_int_equal(hs_trainer_step(f.trainer, &stats, &error), HS_OK);
            assert_true(isfinite(stats.loss));
            if (threads == 1)
                hash[i] = hs_model_hash(&f.model);
            assert_true(hash[i] == hs_model_hash(&f.model));
            destroy(&f);
        }
    }
    assert_true(hash[0] != hash[1]);
    hs_free(tokens);
}

/* TRM: facts answered after each H cycle, gradients through all or one, and the answer alone counted; each makes other
 * weights, the same bits for any threads. */
static void test_trm_settings(void **state)
{
    (void)state;
    hs_train_config c = busy(HS_OPT_MUON, HS_FILTER_NONE);
    hs_model_config m;
    hs_model_config_default(&m);
    m.kind = HS_MODEL_TRM;
    m.vocab = data.vocab.n;
    m.n_positions = data.max_width;
    m.n_embd = 32;
    m.n_head = 2;
    m.n_layer = m.prefix = 1;
    m.l_cycles = m.h_cycles = 2;
    m.round_up = 8;
    uint64_t hash[4];
    for (int i = 0; i < 4; i++) {
        c.fact_exit = i > 0 ? 1 : 0;
        c.answer_only = i == 2;
        m.full_gradient = i > 2;
        hs_step_stats stats = {0};
        for (int threads = 1; threads < 4; threads += 2) {
            fixture f = {.config = c, .pool = hs_pool_create((uint32_t)threads)};
            assert_int_equal(hs_model_create(&f.model, &m, 1, &error), HS_OK);
            assert_int_equal(hs_trainer_create(&f.trainer, &f.model, &data, &f.config, f.pool, &error), HS_OK);
            for (int s = 0; s < 4; s++)
                assert_int_equal(hs_trainer_step(f.trainer, &stats, &error), HS_OK);
            assert_true(i > 0 ? stats.exit_loss > 0 : stats.exit_loss == 0);
            const uint64_t bits = hs_model_hash(&f.model);
            assert_true(threads == 1 || bits == hash[i]);
            hash[i] = bits;
            destroy(&f);
        }
        for (int j = 0; j < i; j++)
            assert_true(hash[i] != hash[j]);
    }
}

static bool matches(const char *name, const char *const *part, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(name, part[i]))
            return true;
    return false;
}

/* Frozen tensors keep their bits, and so do their averages, whatever the optimizer, decay, filter and clipping of rows;
 * the others move; a frozen gradient counts in no norm; a resumed run has the same bits. */
static void test_freeze(void **state)
{
    (void)state;
    static const char *const frozen[] = {"wte.weight", "h.0.", "h.1.mlp.c_fc.weight", "ln_f.bias"};
    for (int optimizer = HS_OPT_ADAMW; optimizer <= HS_OPT_LION; optimizer++)
        for (int filter = HS_FILTER_NONE; filter <= HS_FILTER_ORTHOGRAD; filter++) {
            hs_train_config config = busy((hs_optimizer_kind)optimizer, (hs_filter_kind)filter);
            config.row_clip = 0.05; /* below every row's norm */
            config.weight_decay = 3;
            fixture free_run, f;
            hs_step_stats all, some;
            create(&free_run, &config, 2);
            assert_ok(hs_trainer_step(free_run.trainer, &all, err));
            destroy(&free_run);
            snprintf(config.freeze, sizeof config.freeze,
                     "*wte.weight, transformer.h.0.*,*h.1.mlp.c_fc.weight,*ln_f.bias");
            create(&f, &config, 2);
            float *before = hs_alloc(f.model.n_params * sizeof *before);
            memcpy(before, f.model.param, f.model.n_params * sizeof *before);
            assert_ok(hs_trainer_step(f.trainer, &some, err));
            assert_true(some.loss == all.loss && some.grad_norm < all.grad_norm);
            steps(&f, 5);
            assert_ok(hs_checkpoint_save(checkpoints, &f.model, f.trainer, 0, err));
            steps(&f, 4);
            const uint64_t hash = hash_of(&f);
            const float *average = hs_trainer_eval_param(f.trainer);
            for (uint32_t i = 0; i < f.model.n_tensors; i++) {
                const hs_tensor *t = &f.model.tensor[i];
                const bool held = matches(t->name, frozen, sizeof frozen / sizeof *frozen);
                const size_t size = t->size * sizeof(float);
                const bool same = memcmp(f.model.param + t->offset, before + t->offset, size) == 0;
                if (same != held || (held && memcmp(average + t->offset, before + t->offset, size) != 0))
                    fail_msg("%s, optimizer %d, filter %d: %s", t->name, optimizer, filter,
                             held ? "moved" : "stood still");
            }
            hs_free(before);
            destroy(&f);
            create(&f, &config, 3);
            assert_ok(hs_checkpoint_load(checkpoints, 6, &f.model, f.trainer, NULL, err));
            steps(&f, 4);
            assert_true(hash_of(&f) == hash);
            destroy(&f);
        }
}

static void test_freeze_refused(void **state)
{
    (void)state;
    hs_train_config c = busy(HS_OPT_ADAMW, HS_FILTER_NONE);
    fixture f;
    create(&f, &c, 1);
    hs_trainer *other = NULL;
    snprintf(c.freeze, sizeof c.freeze, "*wte.weight, *h.1.attn.c_proj.weights");
    assert_int_equal(hs_trainer_create(&other, &f.model, &data, &c, f.pool, &error), HS_ERR_DATA);
    assert_string_equal(error.where, "train.freeze");
    assert_string_equal(error.value, "*h.1.attn.c_proj.weights");
    assert_non_null(strstr(error.hint, "nearest: transformer.h.1.attn.c_proj.weight, "));
    snprintf(c.freeze, sizeof c.freeze, "*");
    assert_int_equal(hs_trainer_create(&other, &f.model, &data, &c, f.pool, &error), HS_ERR_DATA);
    assert_non_null(strstr(error.what, "nothing is left to train"));
    destroy(&f);
}

static void test_any_pattern(void **state)
{
    (void)state;
    const uint64_t total = 40;
    for (int filter = HS_FILTER_NONE; filter <= HS_FILTER_ORTHOGRAD; filter++) {
        const hs_train_config config = busy(HS_OPT_MUON, (hs_filter_kind)filter);
        fixture whole;
        create(&whole, &config, 2);
        steps(&whole, total);
        const uint64_t hash = hash_of(&whole);
        destroy(&whole);
        for (uint32_t pattern = 0; pattern < 6; pattern++) {
            hs_rng rng;
            hs_rng_init(&rng, pattern, HS_PURPOSE('t', 'e', 's', 't'), (uint64_t)filter, 0);
            char dir[600];
            snprintf(dir, sizeof dir, "%s/%d-%u", folder, filter, pattern);
            for (uint64_t at = 0; at < total;) {
                fixture f;
                create(&f, &config, thread_counts[hs_rng_below(&rng, 4)]);
                if (at > 0)
                    assert_ok(hs_checkpoint_load(dir, at, &f.model, f.trainer, NULL, err));
                const uint64_t rest = total - at, n = 1 + hs_rng_below(&rng, pattern < 2 ? 3 : rest);
                steps(&f, n < rest ? n : rest);
                at = hs_trainer_step_count(f.trainer);
                assert_ok(hs_checkpoint_save(dir, &f.model, f.trainer, 0, err));
                steps(&f, hs_rng_below(&rng, 3)); /* lost with the process */
                if (at == total) {
                    assert_ok(hs_checkpoint_load(dir, at, &f.model, f.trainer, NULL, err));
                    assert_true(hash_of(&f) == hash);
                }
                destroy(&f);
            }
        }
    }
}

/* ---------------------------------------------------------------- the loop */

typedef struct listener {
    fixture *f;
    uint64_t act_at[2]; /* steps of evaluations */
    void (*act)(fixture *f, int which);
    int warnings, evaluations;
    char warning[600];
} listener;

static void listen(void *user, const hs_event *event)
{
    listener *l = user;
    if (event->kind == HS_EVENT_WARNING) {
        l->warnings++;
        snprintf(l->warning, sizeof l->warning, "%s", event->text);
    }
    if (event->kind != HS_EVENT_EVAL)
        return;
    l->evaluations++;
    for (int i = 0; i < 2; i++)
        if (l->act && event->done == l->act_at[i]) {
            l->act_at[i] = 0; /* once */
            l->act(l->f, i);
        }
}

static hs_status train(fixture *f, listener *l, hs_signals *signals, hs_train_result *result)
{
    hs_record *record = NULL;
    hs_train_result local;
    const hs_events events = {listen, l};
    memset(&error, 0, sizeof error);
    hs_error opening = {0};
    if (hs_record_open(&record, db, &opening) != HS_OK)
        fail_msg("%s", opening.what);
    hs_status status = hs_train(f->trainer, record, checkpoints, 0, probes, n_probes, signals, l ? &events : NULL,
                                result ? result : &local, &error);
    hs_record_close(record);
    return status;
}

static size_t read_evals(hs_eval_row **rows)
{
    hs_record *record;
    size_t n;
    assert_ok(hs_record_open_read(&record, db, err));
    assert_ok(hs_record_evals(record, rows, &n, err));
    hs_record_close(record);
    return n;
}

/* The same evaluations, seconds aside. */
static void assert_same_evals(const hs_eval_row *a, size_t n, const hs_eval_row *b, size_t m)
{
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++)
        if (a[i].step != b[i].step || strcmp(a[i].eval.split, b[i].eval.split) != 0 || a[i].eval.n != b[i].eval.n ||
            a[i].eval.accuracy != b[i].eval.accuracy || a[i].eval.loss != b[i].eval.loss)
            fail_msg("evaluation %zu: step %llu %s against step %llu %s", i, (unsigned long long)a[i].step,
                     a[i].eval.split, (unsigned long long)b[i].step, b[i].eval.split);
}

/* A whole run without disturbance in a folder of its own: its hash and evaluations. */
static uint64_t undisturbed(const hs_train_config *config, hs_eval_row **rows, size_t *n)
{
    fixture f;
    set_up(NULL);
    create(&f, config, 2);
    assert_int_equal(train(&f, NULL, NULL, NULL), HS_OK);
    const uint64_t hash = hash_of(&f);
    *n = read_evals(rows);
    destroy(&f);
    tear_down(NULL);
    set_up(NULL);
    return hash;
}

/* A signal stops a long evaluation; what is missing is evaluated on resume, before the next step. */
static void test_evaluation_cut_short(void **state)
{
    (void)state;
    hs_train_config config = busy(HS_OPT_MUON, HS_FILTER_NONE);
    config.checkpoint_every = 5;
    hs_eval_row *want, *have;
    size_t n;
    const uint64_t hash = undisturbed(&config, &want, &n);
    assert_true(n == 8 * data.n_splits);
    fixture f;
    hs_signals signals = {.stop = SIGINT};
    hs_eval eval;
    create(&f, &config, 2);
    assert_int_equal(hs_evaluate_polled(&f.model, NULL, &data, &data.splits[0], 0, f.pool, &signals, &eval, &error),
                     HS_STOPPED_INT);
    steps(&f, 4); /* the next step is one of the grid: its evaluation is refused at once */
    hs_train_result result;
    signals.stop = SIGTERM;
    assert_int_equal(train(&f, NULL, &signals, &result), HS_STOPPED_TERM);
    assert_int_equal(result.reason, HS_STOP_SIGNAL);
    assert_int_equal(result.steps, 5);
    assert_int_equal(read_evals(&have), 0);
    hs_free(have);
    destroy(&f);
    create(&f, &config, 1);
    assert_ok(hs_checkpoint_load(checkpoints, 5, &f.model, f.trainer, NULL, err));
    assert_int_equal(train(&f, NULL, NULL, NULL), HS_OK);
    assert_true(hash_of(&f) == hash);
    const size_t m = read_evals(&have);
    assert_same_evals(have, m, want, n);
    hs_free(have);
    /* a finished run evaluates nothing again */
    listener l = {.f = &f};
    assert_int_equal(train(&f, &l, NULL, NULL), HS_OK);
    assert_int_equal(l.evaluations, 0);
    destroy(&f);
    hs_free(want);
}

/* SIGUSR1: saved at the next step, and on. */
static void test_save_asked(void **state)
{
    (void)state;
    hs_train_config config = busy(HS_OPT_ADAMW, HS_FILTER_NONE);
    config.checkpoint_keep = 9;
    fixture f;
    hs_signals signals = {.save = 1};
    create(&f, &config, 2);
    assert_int_equal(train(&f, NULL, &signals, NULL), HS_OK);
    assert_int_equal(signals.save, 0);
    char path[600];
    snprintf(path, sizeof path, "%s/step-00000001.state.safetensors", checkpoints);
    assert_true(hs_file_exists(path));
    assert_int_equal(hs_trainer_step_count(f.trainer), 40);
    destroy(&f);
}

/* ---------------------------------------------------------------- disk */

/* No file may grow beyond a page: checkpoints and the record's log fail, as on a full disk. */
static void fill_disk(fixture *f, int which)
{
    (void)f;
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = which == 0 ? 4096 : limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void test_full_disk_goes_on(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    hs_train_config config = busy(HS_OPT_MUON, HS_FILTER_GROKFAST_EMA);
    config.checkpoint_every = 3;
    hs_eval_row *want, *have;
    size_t n;
    const uint64_t hash = undisturbed(&config, &want, &n);
    config.on_save_error = HS_ON_SAVE_ERROR_CONTINUE;
    fixture f;
    create(&f, &config, 2);
    listener l = {.f = &f, .act_at = {10, 30}, .act = fill_disk};
    assert_int_equal(train(&f, &l, NULL, NULL), HS_OK);
    assert_true(l.warnings >= 5);
    assert_non_null(strstr(l.warning, "going on"));
    assert_true(hash_of(&f) == hash);
    /* what could not be written while the disk was full was written later: no gap */
    const size_t m = read_evals(&have);
    assert_same_evals(have, m, want, n);
    hs_free(have);
    bool found;
    uint64_t step;
    assert_ok(hs_checkpoint_latest(checkpoints, &step, &found, NULL, err));
    assert_true(found && step == 40);
    destroy(&f);
    hs_free(want);
}

/* The database itself refuses for a while (its file may not be written to): rows wait in memory. */
static void test_rows_wait(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    hs_record *record;
    hs_eval_row *rows;
    size_t n;
    hs_eval eval = {.split = "test_ii", .n = 10, .accuracy = 0.5, .loss = 1};
    assert_ok(hs_record_open(&record, db, err));
    assert_ok(hs_record_eval(record, 1, 0, &eval, err));
    assert_ok(hs_record_commit(record, err));
    fill_disk(NULL, 0);
    assert_ok(hs_record_eval(record, 2, 0, &eval, err));
    assert_int_equal(hs_record_commit(record, &error), HS_ERR_IO);
    assert_ok(hs_record_eval(record, 3, 0, &eval, err)); /* said once */
    assert_int_equal(hs_record_commit(record, &error), HS_ERR_IO);
    fill_disk(NULL, 1);
    assert_ok(hs_record_eval(record, 4, 0, &eval, err));
    assert_ok(hs_record_commit(record, err));
    assert_ok(hs_record_evals(record, &rows, &n, err));
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++)
        assert_true(rows[i].step == i + 1 && rows[i].eval.accuracy == 0.5);
    hs_free(rows);
    /* what is cut while it waits never comes back */
    fill_disk(NULL, 0);
    assert_ok(hs_record_eval(record, 5, 0, &eval, err));
    assert_int_equal(hs_record_commit(record, &error), HS_ERR_IO);
    fill_disk(NULL, 1);
    assert_ok(hs_record_rewind(record, 3, err));
    hs_record_close(record);
    assert_int_equal(read_evals(&rows), 3);
    hs_free(rows);
}

/* on_save_error "stop": an error that says what to do, the last good checkpoint stays, and from it the same bits. */
static void test_full_disk_stops(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    hs_train_config config = busy(HS_OPT_MUON, HS_FILTER_GROKFAST_EMA);
    config.checkpoint_every = 3;
    hs_eval_row *want, *have;
    size_t n;
    const uint64_t hash = undisturbed(&config, &want, &n);
    fixture f;
    create(&f, &config, 2);
    listener l = {.f = &f, .act_at = {20, 0}, .act = fill_disk};
    assert_int_equal(train(&f, &l, NULL, NULL), HS_ERR_IO);
    fill_disk(NULL, 1);
    assert_true(error.what[0] && error.where[0]);
    destroy(&f);
    bool found;
    uint64_t step = 0;
    assert_ok(hs_checkpoint_latest(checkpoints, &step, &found, NULL, err));
    assert_true(found && step >= 15 && step <= 20);
    create(&f, &config, 3);
    assert_ok(hs_checkpoint_load(checkpoints, step, &f.model, f.trainer, NULL, err));
    hs_record *record;
    assert_ok(hs_record_open(&record, db, err));
    assert_ok(hs_record_rewind(record, step, err));
    hs_record_close(record);
    assert_int_equal(train(&f, NULL, NULL, NULL), HS_OK);
    assert_true(hash_of(&f) == hash);
    const size_t m = read_evals(&have);
    assert_same_evals(have, m, want, n);
    hs_free(have);
    destroy(&f);
    hs_free(want);
}

static void lock_folder(fixture *f, int which)
{
    (void)f;
    if (chmod(checkpoints, which == 0 ? 0555 : 0755) != 0)
        _exit(20);
}

/* The folder of checkpoints may not be written to for a while. Root may write anywhere, so it is done as somebody else.
 */
static void test_read_only_goes_on(void **state)
{
    (void)state;
    assert_int_equal(chmod(folder, 0777), 0);
    const pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(21);
        hs_train_config config = busy(HS_OPT_MUON, HS_FILTER_NONE);
        config.checkpoint_every = 3;
        config.on_save_error = HS_ON_SAVE_ERROR_CONTINUE;
        fixture f;
        create(&f, &config, 1);
        listener l = {.f = &f, .act_at = {10, 30}, .act = lock_folder};
        if (train(&f, &l, NULL, NULL) != HS_OK)
            _exit(22);
        bool found = false;
        uint64_t step = 0;
        if (hs_checkpoint_latest(checkpoints, &step, &found, NULL, &error) != HS_OK || !found || step != 40)
            _exit(23);
        if (l.warnings < 5 || !strstr(l.warning, "ermission denied"))
            _exit(24);
        destroy(&f);
        /* and "stop" stops, with the last good one in place */
        config.on_save_error = HS_ON_SAVE_ERROR_STOP;
        config.steps = 60;
        config.schedule = HS_SCHEDULE_CONSTANT;
        create(&f, &config, 1);
        if (hs_checkpoint_load(checkpoints, 40, &f.model, f.trainer, NULL, &error) != HS_OK)
            _exit(25);
        l = (listener){.f = &f, .act_at = {45, 0}, .act = lock_folder};
        if (train(&f, &l, NULL, NULL) != HS_ERR_IO || !strstr(error.hint, "may write to"))
            _exit(26);
        lock_folder(NULL, 1);
        if (hs_checkpoint_latest(checkpoints, &step, &found, NULL, &error) != HS_OK || step < 40)
            _exit(27);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 21)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---------------------------------------------------------------- divergence */

static void assert_latest_finite(uint64_t at_most)
{
    bool found;
    uint64_t step;
    fixture f;
    const hs_train_config config = busy(HS_OPT_ADAMW, HS_FILTER_NONE);
    assert_ok(hs_checkpoint_latest(checkpoints, &step, &found, NULL, err));
    assert_true(found && step <= at_most);
    create(&f, &config, 1);
    assert_ok(hs_checkpoint_load(checkpoints, step, &f.model, NULL, NULL, err));
    for (size_t i = 0; i < f.model.n_params; i++)
        assert_true(isfinite(f.model.param[i]));
    destroy(&f);
}

static void assert_ended_by(const char *expected)
{
    hs_record *record;
    char text[64];
    assert_ok(hs_record_open_read(&record, db, err));
    assert_ok(hs_record_get_info(record, "ended_by", text, sizeof text, err));
    hs_record_close(record);
    assert_string_equal(text, expected);
}

/* A rate so large that weights overflow: noticed, named, and no checkpoint of it. */
static void test_diverges(void **state)
{
    (void)state;
    hs_train_config config = busy(HS_OPT_SIGNSGD, HS_FILTER_NONE);
    config.lr = 1e25;
    config.weight_decay = 0;
    config.row_clip = 0;
    config.clip = 0;
    config.warmup = 0;
    config.schedule = HS_SCHEDULE_CONSTANT;
    config.checkpoint_every = 1;
    fixture f;
    create(&f, &config, 2);
    assert_ok(hs_checkpoint_save(checkpoints, &f.model, f.trainer, 0, err));
    hs_train_result result;
    listener l = {.f = &f};
    assert_int_equal(train(&f, &l, NULL, &result), HS_ERR_DIVERGED);
    assert_int_equal(result.reason, HS_STOP_NAN);
    assert_true(result.steps <= 5); /* within one evaluation */
    assert_non_null(strstr(error.what, "diverged at step"));
    assert_non_null(strstr(error.what, "not finite in "));
    assert_true(strstr(error.what, ".weight") || strstr(error.what, ".bias") || strstr(error.what, "the loss"));
    assert_ended_by("not finite");
    assert_latest_finite(4);
    destroy(&f);
    /* rollback: tried, and given up with the same clear error */
    config.on_nan = HS_ON_NAN_ROLLBACK;
    create(&f, &config, 2);
    assert_ok(hs_checkpoint_save(checkpoints, &f.model, f.trainer, 0, err));
    l = (listener){.f = &f};
    assert_int_equal(train(&f, &l, NULL, &result), HS_ERR_DIVERGED);
    assert_int_equal(result.reason, HS_STOP_NAN);
    assert_int_equal(l.warnings, 5);
    assert_non_null(strstr(l.warning, "attempt 6"));
    assert_non_null(strstr(error.what, "diverged"));
    assert_latest_finite(4);
    destroy(&f);
}

static void poison(fixture *f, int which)
{
    (void)which;
    f->model.param[f->model.tensor[3].offset + 1] = NAN;
}

/* One bad moment: back to the last good checkpoint and on to the end, in another order of batches. */
static void test_rolls_back(void **state)
{
    (void)state;
    hs_train_config config = busy(HS_OPT_MUON, HS_FILTER_GROKFAST_EMA);
    config.checkpoint_every = 5;
    config.on_nan = HS_ON_NAN_ROLLBACK;
    fixture f;
    create(&f, &config, 2);
    listener l = {.f = &f, .act_at = {20, 0}, .act = poison};
    hs_train_result result;
    assert_int_equal(train(&f, &l, NULL, &result), HS_OK);
    assert_int_equal(l.warnings, 1);
    assert_non_null(strstr(l.warning, "back to step 15, attempt 2"));
    assert_int_equal(result.steps, 40);
    assert_int_equal(hs_trainer_attempt(f.trainer), 1);
    for (size_t i = 0; i < f.model.n_params; i++)
        assert_true(isfinite(f.model.param[i]));
    hs_eval_row *rows;
    const size_t n = read_evals(&rows);
    assert_int_equal(n, 8 * data.n_splits); /* one history: each step once */
    hs_free(rows);
    destroy(&f);
    /* "stop" stops, and names the tensor */
    config.on_nan = HS_ON_NAN_STOP;
    tear_down(NULL);
    set_up(NULL);
    create(&f, &config, 2);
    l = (listener){.f = &f, .act_at = {20, 0}, .act = poison};
    assert_int_equal(train(&f, &l, NULL, &result), HS_ERR_DIVERGED);
    assert_non_null(strstr(error.what, f.model.tensor[3].name));
    assert_latest_finite(15);
    destroy(&f);
}

/* ---------------------------------------------------------------- probes */

/* Writes two rows that follow from the weights it was given and from the step; asked to, it stops half-way. */
typedef struct measuring {
    hs_signals *signals; /* NULL, or where to ask for a stop ... */
    uint64_t stop_at;    /* ... at this step, once */
    int calls;
} measuring;

static hs_status measure(void *user, const hs_probe_context *at, hs_error *err)
{
    measuring *m = user;
    m->calls++;
    for (int stage = 0; stage < 2; stage++) {
        hs_probe_row row = {.step = at->step,
                            .method = "sum",
                            .split = "train",
                            .stage = stage,
                            .role = "bridge",
                            .measure = "weight",
                            .n = 3,
                            .value = (double)at->model->param[stage],
                            .low = (double)NAN,
                            .high = (double)NAN};
        if (m->signals && m->stop_at == at->step) {
            m->stop_at = 0;
            m->signals->stop = SIGTERM;
        }
        HS_TRY(hs_signals_status(at->signals));
        HS_TRY(hs_record_probe(at->record, &row, err));
    }
    return HS_OK;
}

static hs_status refuse(void *user, const hs_probe_context *at, hs_error *err)
{
    (void)user;
    return hs_fail(err, HS_ERR_DATA, "nothing to measure at %d", (int)at->step);
}

static size_t read_probes(hs_probe_row **rows)
{
    hs_record *record;
    size_t n;
    assert_ok(hs_record_open_read(&record, db, err));
    assert_ok(hs_record_probes(record, NULL, rows, &n, err));
    hs_record_close(record);
    return n;
}

/* Called at every evaluation with the averaged weights; it changes no bit; a failing one is said and ends nothing; cut short
 * by a signal it is made again on resume, and the rows are those of a run that nobody disturbed. */
static void test_probes(void **state)
{
    (void)state;
    const hs_train_config config = busy(HS_OPT_MUON, HS_FILTER_NONE); /* with EMA */
    fixture f;
    hs_train_result result;
    create(&f, &config, 2);
    assert_int_equal(train(&f, NULL, NULL, &result), HS_OK);
    const uint64_t hash = hash_of(&f);
    assert_int_equal(result.probes_failed, 0);
    destroy(&f);
    hs_eval_row *evals, *others;
    const size_t n_evals = read_evals(&evals);

    assert_int_equal(tear_down(NULL) || set_up(NULL), 0);
    measuring m = {0};
    const hs_probe both[] = {{"refuse", refuse, NULL, false}, {"sum", measure, &m, false}};
    listener l = {0};
    probes = both;
    n_probes = 2;
    create(&f, &config, 3);
    assert_int_equal(train(&f, &l, NULL, &result), HS_OK);
    assert_true(hash_of(&f) == hash);
    const float averaged = hs_trainer_eval_param(f.trainer)[0];
    assert_true(averaged != f.model.param[0]);
    destroy(&f);
    assert_int_equal(m.calls, 8); /* steps 5, 10 .. 40 */
    assert_int_equal(result.probes_failed, 8);
    assert_int_equal(l.warnings, 8);
    assert_non_null(strstr(l.warning, "nothing to measure at 40"));
    size_t n = read_evals(&others);
    assert_same_evals(evals, n_evals, others, n);
    hs_free(others);
    hs_probe_row *rows, *again;
    const size_t n_rows = read_probes(&rows);
    assert_int_equal(n_rows, 16);
    for (size_t i = 0; i < n_rows; i++)
        assert_true(rows[i].step == 5 * (i / 2 + 1) && rows[i].stage == (int32_t)(i % 2) && rows[i].n == 3);
    assert_true(rows[14].value == (double)averaged);

    assert_int_equal(tear_down(NULL) || set_up(NULL), 0);
    hs_signals signals = {0};
    m = (measuring){.signals = &signals, .stop_at = 20};
    create(&f, &config, 1);
    assert_int_equal(train(&f, NULL, &signals, &result), HS_STOPPED_TERM);
    assert_int_equal(result.reason, HS_STOP_SIGNAL);
    destroy(&f);
    signals.stop = 0;
    uint64_t step;
    bool found;
    create(&f, &config, 2);
    assert_ok(hs_checkpoint_latest(checkpoints, &step, &found, NULL, err));
    assert_true(found && step == 20);
    assert_ok(hs_checkpoint_load(checkpoints, step, &f.model, f.trainer, NULL, err));
    assert_int_equal(train(&f, NULL, &signals, &result), HS_OK);
    assert_true(hash_of(&f) == hash);
    destroy(&f);
    n = read_probes(&again);
    assert_int_equal(n, n_rows);
    assert_memory_equal(rows, again, n * sizeof *rows);
    hs_free(again);
    n = read_evals(&others);
    assert_same_evals(evals, n_evals, others, n);
    hs_free(others);
    hs_free(rows);
    hs_free(evals);
    probes = NULL;
    n_probes = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fact_exit, set_up, tear_down),
        cmocka_unit_test(test_long_sequences),
        cmocka_unit_test_setup_teardown(test_trm_settings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_freeze, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_freeze_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_any_pattern, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_probes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_evaluation_cut_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_save_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rows_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk_stops, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read_only_goes_on, set_up_reachable, tear_down),
        cmocka_unit_test_setup_teardown(test_diverges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rolls_back, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, build, drop);
}
