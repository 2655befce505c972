/* bench.c - how fast this machine trains: its GEMM roof, then whole training steps as a share of it.
 *
 * The data are random tokens (speed does not depend on them); the step is the one every run takes. Times are medians
 * over the steps of a fixed number of seconds, so that a neighbour's burst does not decide. */
#include "experiment/internal.h"
#include "hopscope/tensor.h"

#include <stdlib.h>
#include <string.h>

#define GPT2(d, L, H) .kind = HS_MODEL_GPT2, .n_embd = (d), .n_layer = (L), .n_head = (H), .passes = 1

static const hs_bench_case CASES[] = {
    {.name = "d128", .help = "d128 L4 H4, T=3, V=520", GPT2(128, 4, 4), .T = 3, .P = 1, .vocab = 520},
    {.name = "d256", .help = "d256 L4 H8, T=3, V=2210", GPT2(256, 4, 8), .T = 3, .P = 1, .vocab = 2210},
    {.name = "paper", .help = "d768 L8 H12 (the papers'), T=4, V=2206", GPT2(768, 8, 12), .T = 4, .P = 2, .vocab = 2206},
    {.name = "shared", .help = "d128, 2 blocks x 2 passes, T=3, V=126", .kind = HS_MODEL_GPT2, .n_embd = 128, .n_layer = 2,
     .n_head = 4, .passes = 2, .T = 3, .P = 1, .vocab = 126},
    {.name = "llama", .help = "Llama form, d128 L4 H4, T=3, V=520", .kind = HS_MODEL_LLAMA, .n_embd = 128, .n_layer = 4,
     .n_head = 4, .passes = 1, .T = 3, .P = 1, .vocab = 520},
    {.name = "trm", .help = "TRM, d128, 2 blocks, 2 x 6 cycles, T=4, V=246", .kind = HS_MODEL_TRM, .n_embd = 128, .n_layer = 2,
     .n_head = 4, .passes = 1, .T = 4, .P = 1, .vocab = 246},
    {.name = "muon", .help = "d128 L4 H4, T=3, V=520, Muon", GPT2(128, 4, 4), .T = 3, .P = 1, .vocab = 520, .muon = true},
};

const hs_bench_case *hs_bench_cases(size_t *n)
{
    *n = sizeof CASES / sizeof *CASES;
    return CASES;
}

/* ---------------------------------------------------------------- the roof */

typedef struct roof_task {
    const float *a, *b;
    float *c; /* (workers, SIDE * SIDE) */
} roof_task;
enum { SIDE = 384, REPEATS = 8 };

static void roof_multiply(void *ctx, uint32_t task, uint32_t worker)
{
    const roof_task *t = ctx;
    (void)worker;
    for (int i = 0; i < REPEATS; i++)
        hs_gemm(false, false, SIDE, SIDE, SIDE, 1, t->a, SIDE, t->b, SIDE, 0, t->c + (size_t)task * SIDE * SIDE, SIDE);
}

hs_status hs_bench_roof(hs_pool *pool, double *flops, hs_error *err)
{
    HS_TRY(hs_tensor_open(err));
    const uint32_t threads = hs_pool_threads(pool);
    HS_TRY(hs_tensor_reserve(threads, err));
    const size_t n = (size_t)SIDE * SIDE;
    float *memory = hs_calloc((2 + threads) * n, sizeof *memory);
    if (!memory)
        return hs_fail_memory(err, (2 + threads) * n * sizeof *memory);
    for (size_t i = 0; i < 2 * n; i++)
        memory[i] = (float)(i % 17) * 0.01f;
    roof_task task = {memory, memory + n, memory + 2 * n};
    double best = 1e30;
    for (double end = hs_now() + 1.0; hs_now() < end;) {
        const double start = hs_now();
        hs_pool_run(pool, threads, roof_multiply, &task);
        const double took = hs_now() - start;
        best = took < best ? took : best;
    }
    *flops = 2.0 * SIDE * SIDE * SIDE * REPEATS * threads / best;
    hs_free(memory);
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

static int compare_double(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static hs_status time_steps(hs_trainer *trainer, double seconds, double *median, hs_error *err)
{
    enum { MOST = 4096 };
    double *took = hs_alloc(MOST * sizeof *took);
    if (!took)
        return hs_fail_memory(err, MOST * sizeof *took);
    size_t n = 0;
    hs_step_stats stats;
    hs_status status = hs_trainer_step(trainer, &stats, err); /* the first step touches fresh memory */
    for (const double end = hs_now() + seconds; status == HS_OK && n < MOST && (n < 3 || hs_now() < end); n++) {
        const double start = hs_now();
        status = hs_trainer_step(trainer, &stats, err);
        took[n] = hs_now() - start;
    }
    if (status == HS_OK) {
        qsort(took, n, sizeof *took, compare_double);
        *median = took[n / 2];
    }
    hs_free(took);
    return status;
}

hs_status hs_bench_step(const hs_bench_case *c, hs_pool *pool, double seconds, hs_bench_result *out, hs_error *err)
{
    memset(out, 0, sizeof *out);
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
    t.lr = 1e-4;
    hs_status status = random_dataset(c, &data, err);
    if (status == HS_OK)
        status = hs_model_create(&model, &m, 1, err);
    if (status == HS_OK)
        status = hs_trainer_create(&trainer, &model, &data, &t, pool, err);
    if (status == HS_OK)
        status = time_steps(trainer, seconds, &out->seconds, err);
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
