/* cmd_bench.c - hopscope bench: the machine's GEMM roof and whole training steps as a share of it. */
#include "cli/cli.h"
#include "hopscope/experiment.h"
#include "hopscope/tensor.h"

#include <string.h>
#include <sys/resource.h>

static const hs_usage usage = {"bench", "[CASE ...]",
                               "Measures this machine: its GEMM roof, and for each case training steps a second, "
                               "GFLOP/s, the share of the roof, and the\n"
                               "memory held. The FLOP of a step are the least it can take (the floor), so the share of "
                               "the roof is honest. Roof and steps\n"
                               "are measured in turn and the best of each counts. Under mpirun the ranks share the "
                               "steps: bytes and time of\n"
                               "communication, and what it predicts for 2 to 64 nodes.",
                               "  hopscope bench\n"
                               "  hopscope bench d128 d256 --threads 1 --seconds 5\n"
                               "  mpirun -n 2 hopscope bench d256 --threads 1 --latency 20 --bandwidth 1.25\n"
                               "  hopscope bench --json > bench.json"};

enum { MOST_CASES = 16, MOST_NODES = 64 };

typedef struct bench {
    int threads, shards, json;
    double seconds, roof;      /* roof: the best seen in the whole run, of all ranks */
    double latency, bandwidth; /* microseconds, GB/s */
    hs_pool *pool;
    hs_ranks *ranks;
    size_t n;
    const hs_bench_case *measured[MOST_CASES];
    hs_bench_result result[MOST_CASES];
    hs_str out;
} bench;

static hs_status check_names(const char *const *names, size_t n_names, hs_error *err)
{
    size_t n;
    const hs_bench_case *cases = hs_bench_cases(&n);
    for (size_t i = 0; i < n_names; i++) {
        bool known = false;
        for (size_t j = 0; j < n; j++)
            known |= strcmp(names[i], cases[j].name) == 0;
        if (!known) {
            hs_fail(err, HS_ERR_USAGE, "there is no such case");
            hs_error_value(err, names[i], strlen(names[i]));
            return hs_error_hint(err, "hopscope bench without arguments runs and names them all");
        }
    }
    return HS_OK;
}

static hs_status measure(bench *b, const char *const *names, size_t n_names, hs_error *err)
{
    size_t n;
    const hs_bench_case *cases = hs_bench_cases(&n);
    const uint32_t ranks = hs_ranks_count(b->ranks);
    if (!b->ranks || b->ranks->rank == 0)
        HS_TRY(hs_bench_roof(b->pool, &b->roof, err));
    b->roof *= ranks;
    for (size_t j = 0; j < n && b->n < MOST_CASES; j++) {
        bool wanted = n_names == 0;
        for (size_t i = 0; i < n_names; i++)
            wanted |= strcmp(names[i], cases[j].name) == 0;
        if (!wanted)
            continue;
        hs_bench_result *r = &b->result[b->n];
        hs_bench_case one = cases[j];
        one.shards = (uint32_t)b->shards;
        HS_TRY(hs_bench_step(&one, b->pool, b->ranks, b->seconds, r, err));
        b->measured[b->n++] = &cases[j];
        b->roof = r->roof * ranks > b->roof ? r->roof * ranks : b->roof;
    }
    return HS_OK;
}

static double predict(const bench *b, const hs_bench_result *r, uint32_t nodes)
{
    return hs_bench_predict(r, nodes, 1e-6 * b->latency, 1e9 * b->bandwidth);
}

/* What the ranks cost, and would cost between machines. */
static void write_ranks(bench *b)
{
    hs_str_addf(&b->out,
                "\na step of rank 0, in ms: in shards and blocks, which ranks share; in what each does itself; in "
                "communication, "
                "waiting included\n%-8s %8s %8s %8s %8s   predicted efficiency, %g us and %g GB/s between nodes\n",
                "case", "shared", "itself", "comm.", "MB sent", b->latency, b->bandwidth);
    for (size_t i = 0; i < b->n; i++) {
        const hs_bench_result *r = &b->result[i];
        hs_str_addf(&b->out, "%-8s %8.2f %8.2f %8.2f %8.2f  ", b->measured[i]->name, 1e3 * r->shared,
                    1e3 * (r->seconds - r->shared - r->exchange), 1e3 * r->exchange, 1e-6 * r->bytes);
        for (uint32_t n = 2; n <= MOST_NODES; n *= 2)
            hs_str_addf(&b->out, " %u: %.0f%%", n, 100 * predict(b, r, n));
        hs_str_addf(&b->out, "\n");
    }
}

static void write_json(bench *b, long long peak)
{
    hs_str_addf(&b->out, "{\"version\": \"%s\", \"blas\": \"%s\", \"threads\": %u, \"roof_gflops\": %.5g, \"cases\": [",
                HS_VERSION, hs_tensor_description(), hs_pool_threads(b->pool), 1e-9 * b->roof);
    for (size_t i = 0; i < b->n; i++) {
        const hs_bench_result *r = &b->result[i];
        const double rate = r->flop / r->seconds;
        hs_str_addf(&b->out,
                    "%s{\"case\": \"%s\", \"steps_per_second\": %.4g, \"ms_per_step\": %.5g, \"gflop_per_step\": %.5g, "
                    "\"gflops\": %.5g, \"roof_share\": %.4f, \"memory_bytes\": %zu, \"weights\": %zu",
                    i ? ", " : "", b->measured[i]->name, 1 / r->seconds, 1e3 * r->seconds, 1e-9 * r->flop, 1e-9 * rate,
                    rate / b->roof, r->memory, r->weights);
        if (r->ranks > 1) {
            hs_str_addf(&b->out,
                        ", \"ranks\": %u, \"shared_ms\": %.5g, \"communication_ms\": %.5g, \"bytes_sent\": %.0f, "
                        "\"predicted_efficiency\": {",
                        r->ranks, 1e3 * r->shared, 1e3 * r->exchange, r->bytes);
            for (uint32_t n = 2; n <= MOST_NODES; n *= 2)
                hs_str_addf(&b->out, "%s\"%u\": %.4f", n > 2 ? ", " : "", n, predict(b, r, n));
            hs_str_addf(&b->out, "}");
        }
        hs_str_addf(&b->out, "}");
    }
    hs_str_addf(&b->out, "], \"peak_memory_bytes\": %lld}\n", peak);
}

static void write_table(bench *b, long long peak)
{
    const uint32_t ranks = hs_ranks_count(b->ranks), threads = ranks * hs_pool_threads(b->pool);
    if (ranks > 1)
        hs_str_addf(&b->out, "%u ranks, ", ranks);
    hs_str_addf(&b->out,
                "%s, %u threads\nGEMM roof %.0f GFLOP/s (%.0f a thread)\n\n%-8s %-48s %8s %9s %8s %8s %7s %11s\n",
                hs_tensor_description(), threads, 1e-9 * b->roof, 1e-9 * b->roof / threads, "case", "batch 512",
                "ms/step", "steps/s", "GFLOP", "GFLOP/s", "roof", "memory");
    for (size_t i = 0; i < b->n; i++) {
        const hs_bench_result *r = &b->result[i];
        const double rate = r->flop / r->seconds;
        hs_str_addf(&b->out, "%-8s %-48s %8.2f %9.1f %8.2f %8.0f %6.0f%% %8.0f MB\n", b->measured[i]->name,
                    b->measured[i]->help, 1e3 * r->seconds, 1 / r->seconds, 1e-9 * r->flop, 1e-9 * rate,
                    100 * rate / b->roof, 1e-6 * (double)r->memory);
    }
    if (ranks > 1)
        write_ranks(b);
    hs_str_addf(&b->out, "peak memory of this process %.0f MB\n", 1e-6 * (double)peak);
}

static hs_status run_bench(bench *b, const hs_args *args, hs_error *err)
{
    HS_TRY(check_names(args->arg, args->n, err));
    HS_TRY(measure(b, args->arg, args->n, err));
    struct rusage now;
    getrusage(RUSAGE_SELF, &now);
    (b->json ? write_json : write_table)(b, (long long)now.ru_maxrss * 1024);
    return HS_OK;
}

/* Rank 0 prints; the others take part, and hear of its exit code. */
static int bench_rank(bench *b, const hs_args *args)
{
    hs_error err = {0};
    const uint32_t threads = (uint32_t)b->threads;
    b->pool = hs_pool_create(threads || !b->ranks ? threads : b->ranks->threads);
    hs_status status = b->pool ? HS_OK : hs_fail_memory(&err, 0);
    status = hs_ranks_agree(b->ranks, status, &err);
    if (status == HS_OK)
        status = run_bench(b, args, &err);
    int code;
    if (b->ranks && b->ranks->rank > 0 && !b->ranks->lost)
        code = hs_cli_ranks_serve(b->ranks);
    else
        code = status == HS_OK ? hs_cli_print(&b->out) : hs_cli_ranks_fail(b->ranks, &err);
    hs_str_free(&b->out);
    hs_pool_free(b->pool);
    return code;
}

int hs_cmd_bench(int argc, const char **argv)
{
    bench b = {.seconds = 3, .latency = 20, .bandwidth = 1.25};
    const struct poptOption options[] = {
        {"threads", 0, POPT_ARG_INT, &b.threads, 0, "default one per core", "N"},
        {"seconds", 0, POPT_ARG_DOUBLE, &b.seconds, 0, "for each case; default 3", "S"},
        {"shards", 0, POPT_ARG_INT, &b.shards, 0, "of a batch; default that of train.shards", "N"},
        {"latency", 0, POPT_ARG_DOUBLE, &b.latency, 0, "between nodes, for the prediction; default 20", "US"},
        {"bandwidth", 0, POPT_ARG_DOUBLE, &b.bandwidth, 0, "the same; default 1.25: 10 Gbit/s", "GB/S"},
        {"json", 0, POPT_ARG_NONE, &b.json, 0, "one JSON object", NULL},
        POPT_TABLEEND};
    hs_args args;
    int code;
    if (!hs_args_parse(&args, &usage, argc, argv, options, 0, 64, &code))
        return code;
    hs_error err = {0};
    if (b.threads < 0 || b.threads > 1024 || b.shards < 0 || b.shards > 512 || !(b.seconds > 0))
        code = hs_cli_usage_error("bench", "--threads is from 0 to 1024, --shards to 512, --seconds above 0");
    else if (!(b.latency >= 0) || !(b.bandwidth > 0))
        code = hs_cli_usage_error("bench", "--latency is 0 or more, --bandwidth above 0");
    else if (hs_cli_ranks_open(&b.ranks, &err) != HS_OK)
        code = hs_cli_ranks_close(b.ranks, hs_cli_ranks_fail(b.ranks, &err));
    else
        code = hs_cli_ranks_close(b.ranks, bench_rank(&b, &args));
    hs_args_free(&args);
    return code;
}
