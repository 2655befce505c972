/* Ranks leave no trace in any bit: each rank is a thread here, and their bytes go through shared memory. */
#include "hopscope/tensor.h"
#include "hopscope/train.h"

#include "check.h"

#include <pthread.h>
#include <stdlib.h>

enum { MOST = 5 };

static hs_dataset data;
static hs_error error;

/* ---------------------------------------------------------------- ranks as threads */

typedef struct wire {
    pthread_barrier_t barrier;
    const hs_part *send[MOST];
    size_t n_send[MOST];
    bool cut; /* every exchange fails from now on */
} wire;
typedef struct end {
    wire *wire;
    uint32_t rank;
} end;

static hs_status exchange(void *user, const hs_part *send, size_t n_send, const hs_part *receive, size_t n_receive,
                          hs_error *err)
{
    const end *e = user;
    wire *w = e->wire;
    w->send[e->rank] = send;
    w->n_send[e->rank] = n_send;
    pthread_barrier_wait(&w->barrier);
    const bool cut = w->cut;
    size_t at[MOST] = {0};
    for (size_t i = 0; i < n_receive && !cut; i++) {
        const uint32_t from = receive[i].peer;
        while (at[from] < w->n_send[from] && w->send[from][at[from]].peer != e->rank)
            at[from]++;
        if (at[from] == w->n_send[from] || w->send[from][at[from]].size != receive[i].size)
            abort();
        const hs_part *part = &w->send[from][at[from]++];
        memcpy(receive[i].data, part->data, part->size);
    }
    pthread_barrier_wait(&w->barrier);
    return cut ? hs_fail(err, HS_ERR_FAILED, "the wire is cut") : HS_OK;
}

typedef struct job {
    hs_train_config config;
    hs_model_config model;
    uint32_t n, threads;
    uint64_t steps;
    bool cut;
    wire wire;
    /* out, of rank 0 */
    uint64_t weights, state;
    hs_eval eval[16];
    hs_status status;
} job;
typedef struct member {
    job *job;
    end end;
    hs_ranks ranks;
    pthread_t thread;
} member;

static void rank_zero(job *j, hs_trainer *t, hs_ranks *ranks)
{
    hs_step_stats stats;
    hs_error err;
    j->status = HS_OK;
    for (uint64_t i = 0; i < j->steps && j->status == HS_OK; i++) {
        if (i == j->steps / 2) { /* loaded weights and state reach all */
            hs_model *model = hs_trainer_model(t);
            size_t n;
            const hs_state_array *state = hs_trainer_state(t, &n);
            for (size_t k = 0; k < model->n_params; k += 7)
                model->param[k] *= 0.5f;
            for (size_t s = 0; s < n; s++)
                state[s].data[3] = 0.25f;
            hs_trainer_set_step_count(t, i + 100);
            hs_trainer_set_attempt(t, 2);
        }
        if (j->cut && i == 2)
            j->wire.cut = true;
        j->status = hs_trainer_step(t, &stats, &err);
    }
    for (uint32_t s = 0; s < data.n_splits && j->status == HS_OK; s++)
        j->status = hs_trainer_evaluate(t, s, s % 2 ? 0 : 300, &j->eval[s], &err);
    if ((j->status == HS_ERR_FAILED) != (ranks && ranks->lost))
        abort();
    hs_trainer_hashes(t, &j->weights, &j->state);
}

static void *run_rank(void *arg)
{
    member *m = arg;
    job *j = m->job;
    hs_pool *pool = hs_pool_create(j->threads);
    hs_model model;
    hs_trainer *t;
    hs_error err;
    const bool first = m->ranks.rank == 0;
    if (hs_model_create(&model, &j->model, first ? j->config.seed : 999, &err) != HS_OK ||
        hs_trainer_create(&t, &model, &data, &j->config, pool, &err) != HS_OK ||
        hs_trainer_share(t, j->n > 1 ? &m->ranks : NULL, &err) != HS_OK)
        abort(); /* no test macro may be used in a thread */
    if (first)
        rank_zero(j, t, j->n > 1 ? &m->ranks : NULL);
    else if (hs_trainer_serve(t, NULL, 0, NULL, &err) != (j->cut ? HS_ERR_FAILED : HS_OK))
        abort();
    hs_trainer_free(t);
    hs_model_free(&model);
    hs_pool_free(pool);
    return NULL;
}

/* Every rank as a thread that runs `fn`. */
static void run_threads(job *j, void *(*fn)(void *))
{
    member all[MOST];
    memset(&j->wire, 0, sizeof j->wire);
    assert_int_equal(pthread_barrier_init(&j->wire.barrier, NULL, j->n), 0);
    for (uint32_t r = 0; r < j->n; r++) {
        all[r].job = j;
        all[r].end = (end){&j->wire, r};
        all[r].ranks = (hs_ranks){.rank = r, .n = j->n, .exchange = exchange, .user = &all[r].end};
    }
    for (uint32_t r = 0; r < j->n; r++)
        assert_int_equal(pthread_create(&all[r].thread, NULL, fn, &all[r]), 0);
    for (uint32_t r = 0; r < j->n; r++)
        assert_int_equal(pthread_join(all[r].thread, NULL), 0);
    pthread_barrier_destroy(&j->wire.barrier);
}

static void run_job(job *j)
{
    run_threads(j, run_rank);
}

/* ---------------------------------------------------------------- tests */

static int build(void **state)
{
    (void)state;
    hs_data_config config;
    hs_data_config_default(&config);
    config.entities = 100;
    config.relations = 6;
    config.out_degree = 6;
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

static job job_of(hs_optimizer_kind optimizer, uint32_t shards)
{
    job j = {.steps = 8, .n = 1, .threads = 1};
    hs_train_config_default(&j.config);
    j.config.optimizer = optimizer;
    j.config.batch = 50;
    j.config.shards = shards;
    j.config.micro = 3;
    j.config.lr = 1e-3;
    j.config.ema = 0.95;
    j.config.row_clip = 2;
    hs_model_config_default(&j.model);
    j.model.vocab = data.vocab.n;
    j.model.n_positions = data.max_width;
    j.model.n_embd = 48;
    j.model.n_head = 2;
    j.model.n_layer = 2;
    j.model.dropout = 0.1f;
    return j;
}

static void compare(job *j)
{
    j->n = j->threads = 1;
    run_job(j);
    assert_int_equal(j->status, HS_OK);
    const job alone = *j;
    for (uint32_t n = 2; n <= MOST; n++)
        for (uint32_t threads = 1; threads <= 2; threads++) {
            j->n = n;
            j->threads = threads;
            run_job(j);
            if (j->status != HS_OK || j->weights != alone.weights || j->state != alone.state)
                fail_msg("%u ranks, %u threads, %u shards: other bits", n, threads, j->config.shards);
            assert_memory_equal(j->eval, alone.eval, sizeof alone.eval);
        }
}

/* Shards that ranks divide and do not, fewer than ranks, one; every optimizer and filter. */
static void test_bits(void **state)
{
    (void)state;
    static const uint32_t shards[] = {4, 7, 1, 2, 13};
    for (size_t i = 0; i < sizeof shards / sizeof *shards; i++) {
        job j = job_of((hs_optimizer_kind)i, shards[i]);
        j.config.filter = i % 2 ? HS_FILTER_GROKFAST_EMA : HS_FILTER_NONE;
        compare(&j);
    }
    job j = job_of(HS_OPT_MUON, 4);
    j.config.filter = HS_FILTER_ORTHOGRAD;
    snprintf(j.config.freeze, sizeof j.config.freeze, "transformer.h.0.*");
    compare(&j);
    j = job_of(HS_OPT_MUON, 8);
    j.model.kind = HS_MODEL_LLAMA;
    j.model.dropout = 0;
    compare(&j);
}

/* A step that is refused on one rank is refused on all, and all go on from there. */
static void test_not_finite(void **state)
{
    (void)state;
    job j = job_of(HS_OPT_SIGNSGD, 4);
    j.config.lr = 1e25;
    j.config.weight_decay = j.config.row_clip = j.config.clip = 0;
    j.config.warmup = 0;
    j.n = 3;
    run_job(&j);
    assert_int_equal(j.status, HS_ERR_DIVERGED);
}

/* A rank that is gone ends every other one with an error. */
static void test_cut(void **state)
{
    (void)state;
    job j = job_of(HS_OPT_ADAMW, 4);
    j.n = 3;
    j.cut = true;
    run_job(&j);
    assert_int_equal(j.status, HS_ERR_FAILED);
}

/* What one rank fails with, all fail with; where several do, with the first one's. */
static void *fail_on_some(void *arg)
{
    member *m = arg;
    hs_error err = {0};
    const uint32_t rank = m->ranks.rank;
    if (hs_ranks_agree(&m->ranks, HS_OK, &err) != HS_OK)
        abort();
    const hs_status own = rank >= 2 ? hs_fail(&err, HS_ERR_IO, "rank %u has no disk", rank) : HS_OK;
    if (hs_ranks_agree(&m->ranks, own, &err) != HS_ERR_IO || strcmp(err.what, "rank 2 has no disk") != 0)
        abort();
    char text[8] = "other";
    if (rank == 0)
        strcpy(text, "first");
    if (hs_ranks_broadcast(&m->ranks, text, sizeof text, &err) != HS_OK || strcmp(text, "first") != 0)
        abort();
    return NULL;
}

static void test_agree(void **state)
{
    (void)state;
    job j = {.n = 4};
    run_threads(&j, fail_on_some);
    assert_int_equal(hs_ranks_agree(NULL, HS_ERR_DATA, &error), HS_ERR_DATA);
    assert_int_equal(hs_ranks_count(NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_agree),
    };
    return cmocka_run_group_tests_name("train.ranks", tests, build, drop);
}
