/* bench.c - how fast this machine trains: its GEMM roof, then whole training steps as a share of it.
 *
 * The data are random tokens (speed does not depend on them); the step is the one every run takes. Roof and steps are
 * measured in turn, a slice each, and the best slice of either counts: a neighbour on the machine, or a clock that changes,
 * then hits both alike, and a busy moment of one cannot flatter the other. */
#include "experiment/internal.h"
#include "hopscope/tensor.h"

#include <stdlib.h>
#include <string.h>

#define GPT2(d, L, H) .kind = HS_MODEL_GPT2, .n_embd = (d), .n_layer = (L), .n_head = (H), .passes = 1

static const hs_bench_case CASES[] = {
    {.name = "d128", .help = "d128 L4 H4, T=3, V=520", GPT2(128, 4, 4), .T = 3, .P = 1, .vocab = 520},
    {.name = "d256", .help = "d256 L4 H8, T=3, V=2210", GPT2(256, 4, 8), .T = 3, .P = 1, .vocab = 2210},
    {.name = "paper",
     .help = "d768 L8 H12 (the papers'), T=4, V=2206",
     GPT2(768, 8, 12),
     .T = 4,
     .P = 2,
     .vocab = 2206},
    {.name = "shared",
     .help = "d128, 2 blocks x 2 passes, T=3, V=126",
     .kind = HS_MODEL_GPT2,
     .n_embd = 128,
     .n_layer = 2,
     .n_head = 4,
     .passes = 2,
     .T = 3,
     .P = 1,
     .vocab = 126},
    {.name = "llama",
     .help = "Llama form, d128 L4 H4, T=3, V=520",
     .kind = HS_MODEL_LLAMA,
     .n_embd = 128,
     .n_layer = 4,
     .n_head = 4,
     .passes = 1,
     .T = 3,
     .P = 1,
     .vocab = 520},
    {.name = "trm",
     .help = "TRM, d128, 2 blocks, 2 x 6 cycles, T=4, V=246",
     .kind = HS_MODEL_TRM,
     .n_embd = 128,
     .n_layer = 2,
     .n_head = 4,
     .passes = 1,
     .T = 4,
     .P = 1,
     .vocab = 246},
    {.name = "muon",
     .help = "d128 L4 H4, T=3, V=520, Muon",
     GPT2(128, 4, 4),
     .T = 3,
     .P = 1,
     .vocab = 520,
     .muon = true},
    {.name = "text",
     .help = "d256 L4 H8, T=256, V=2210, batch 16",
     GPT2(256, 4, 8),
     .T = 256,
     .P = 1,
     .vocab = 2210,
     .batch = 16},
    {.name = "lm",
     .help = "the same, every token scored",
     GPT2(256, 4, 8),
     .T = 256,
     .P = 256,
     .vocab = 2210,
     .batch = 16},
};

const hs_bench_case *hs_bench_cases(size_t *n)
{
    *n = sizeof CASES / sizeof *CASES;
    return CASES;
}

/* ---------------------------------------------------------------- the roof */

typedef void (*gemm_function)(bool transpose_a, bool transpose_b, size_t M, size_t N, size_t K, float alpha,
                              const float *A, size_t lda, const float *B, size_t ldb, float beta, float *C, size_t ldc);
typedef struct roof {
    gemm_function gemm;
    float *a, *b, *c; /* c (workers, SIDE * SIDE) */
    double best;      /* FLOP/s */
} roof;
enum { SIDE = 384, REPEATS = 8 };

static hs_status roof_create(roof *r, uint32_t threads, hs_error *err)
{
    const size_t n = (size_t)SIDE * SIDE;
    float *memory = hs_calloc((2 + threads) * n, sizeof *memory);
    if (!memory)
        return hs_fail_memory(err, (2 + threads) * n * sizeof *memory);
    for (size_t i = 0; i < 2 * n; i++)
        memory[i] = (float)(i % 17) * 0.01f;
    *r = (roof){.a = memory, .b = memory + n, .c = memory + 2 * n};
    return HS_OK;
}

static void roof_multiply(void *ctx, uint32_t task, uint32_t worker)
{
    const roof *r = ctx;
    (void)worker;
    for (int i = 0; i < REPEATS; i++)
        r->gemm(false, false, SIDE, SIDE, SIDE, 1, r->a, SIDE, r->b, SIDE, 0, r->c + (size_t)task * SIDE * SIDE, SIDE);
}

/* A slice: a few products by our micro-kernels and by the BLAS; the faster of them is the roof. */
static void roof_slice(roof *r, hs_pool *pool)
{
    static const gemm_function way[] = {hs_gemm, hs_gemm_blas};
    const uint32_t threads = hs_pool_threads(pool);
    for (int i = 0; i < 2; i++) {
        r->gemm = way[i];
        const double start = hs_now();
        hs_pool_run(pool, threads, roof_multiply, r);
        const double rate = 2.0 * SIDE * SIDE * SIDE * REPEATS * threads / (hs_now() - start);
        r->best = rate > r->best ? rate : r->best;
    }
}

hs_status hs_bench_roof(hs_pool *pool, double *flops, hs_error *err)
{
    return hs_bench_roof_in(pool, 1.0, flops, err);
}

hs_status hs_bench_roof_in(hs_pool *pool, double seconds, double *flops, hs_error *err)
{
    roof r;
    HS_TRY(hs_tensor_open(err));
    HS_TRY(roof_create(&r, hs_pool_threads(pool), err));
    for (double end = hs_now() + seconds; hs_now() < end;)
        roof_slice(&r, pool);
    *flops = r.best;
    hs_free(r.a);
    return HS_OK;
}

/* ---------------------------------------------------------------- steps */

static hs_status random_dataset(const hs_bench_case *c, hs_dataset *data, hs_error *err)
{
    const uint64_t n = 20000;
    const uint32_t width = c->T + 1;
    data->splits = hs_calloc(1, sizeof *data->splits);
    uint32_t *tokens = hs_alloc(n * width * sizeof *tokens);
    if (!data->splits || !tokens) {
        hs_free(tokens);
        return hs_fail_memory(err, n * width * sizeof *tokens);
    }
    hs_rng rng;
    hs_rng_init(&rng, 1, HS_PURPOSE('b', 'n', 'c', 'h'), 0, 0);
    for (uint64_t i = 0; i < n * width; i++)
        tokens[i] = (uint32_t)hs_rng_below(&rng, c->vocab);
    data->splits[0] = (hs_split){
        .name = "random", .role = HS_SPLIT_TRAIN, .n = n, .width = width, .prompt = width - c->P, .tokens = tokens};
    data->n_splits = data->cap_splits = 1;
    data->max_width = width;
    return HS_OK;
}

/* Slices of at least SLICE seconds of steps, each after one of the roof; out->seconds is a step of the best slice. */
static hs_status time_steps(hs_trainer *trainer, hs_pool *pool, const hs_ranks *ranks, double seconds,
                            hs_bench_result *out, hs_error *err)
{
    static const double SLICE = 0.05;
    roof r;
    hs_step_stats stats;
    HS_TRY(roof_create(&r, hs_pool_threads(pool), err));
    hs_status status = hs_trainer_step(trainer, &stats, err); /* the first step touches fresh memory */
    out->seconds = 1e30;
    const double end = hs_now() + seconds;
    for (int slice = 0; status == HS_OK && (slice < 3 || hs_now() < end); slice++) {
        roof_slice(&r, pool);
        const double shared = hs_trainer_times(trainer).shared, exchange = ranks ? ranks->seconds : 0;
        const uint64_t bytes = ranks ? ranks->bytes : 0;
        const double start = hs_now();
        double took = 0;
        int n = 0;
        while (status == HS_OK && took < SLICE) {
            status = hs_trainer_step(trainer, &stats, err);
            n++;
            took = hs_now() - start;
        }
        if (took / n >= out->seconds)
            continue;
        out->seconds = took / n;
        out->shared = (hs_trainer_times(trainer).shared - shared) / n;
        out->exchange = ranks ? (ranks->seconds - exchange) / n : 0;
        out->bytes = ranks ? (double)(ranks->bytes - bytes) / n : 0;
    }
    out->roof = r.best;
    hs_free(r.a);
    return status;
}

double hs_bench_predict(const hs_bench_result *r, uint32_t nodes, double latency, double bandwidth)
{
    const double n = nodes, shared = r->shared * r->ranks, rest = r->seconds - r->shared - r->exchange;
    const double bytes = r->bytes * ((n - 1) / n) / ((r->ranks - 1.0) / r->ranks);
    const double time = shared / n + rest + (1 + 2 * (n - 1)) * latency + bytes / bandwidth;
    return (shared + rest) / (n * time);
}

hs_status hs_bench_step(const hs_bench_case *c, hs_pool *pool, hs_ranks *ranks, double seconds, hs_bench_result *out,
                        hs_error *err)
{
    *out = (hs_bench_result){.ranks = hs_ranks_count(ranks)};
    hs_dataset data = {0};
    hs_model model = {0};
    hs_trainer *trainer = NULL;
    hs_model_config m;
    hs_train_config t;
    hs_model_config_default(&m);
    hs_train_config_default(&t);
    m.kind = c->kind;
    m.vocab = c->vocab;
    m.n_embd = c->n_embd;
    m.n_layer = c->n_layer;
    m.n_head = c->n_head;
    m.passes = c->passes;
    m.n_positions = c->T + 1;
    m.round_up = 16;
    t.optimizer = c->muon ? HS_OPT_MUON : HS_OPT_ADAMW;
    t.loss = hs_model_kind_traits(m.kind)->loss;
    t.batch = c->batch ? c->batch : 512;
    t.shards = c->shards ? c->shards : t.shards;
    t.lr = 1e-4;
    HS_TRY(hs_tensor_open(err));
    hs_status status = random_dataset(c, &data, err);
    if (status == HS_OK)
        status = hs_model_create(&model, &m, 1, err);
    if (status == HS_OK)
        status = hs_trainer_create(&trainer, &model, &data, &t, pool, err);
    status = hs_ranks_agree(ranks, status, err);
    if (status == HS_OK)
        status = hs_trainer_share(trainer, ranks, err);
    if (status == HS_OK)
        status = ranks && ranks->rank > 0 ? hs_trainer_serve(trainer, NULL, 0, NULL, err)
                                          : time_steps(trainer, pool, ranks, seconds, out, err);
    if (status == HS_OK) {
        out->flop = hs_trainer_step_flop(trainer);
        out->memory = hs_trainer_memory(trainer);
        out->weights = model.n_weights;
    }
    hs_trainer_free(trainer);
    hs_model_free(&model);
    hs_dataset_free(&data);
    return status;
}
