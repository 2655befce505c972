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
                               "are measured in turn and the best of each counts.",
                               "  hopscope bench\n"
                               "  hopscope bench d128 d256 --threads 1 --seconds 5\n"
                               "  hopscope bench --json > bench.json"};

enum { MOST_CASES = 16 };

typedef struct bench {
    int threads, json;
    double seconds, roof; /* roof: the best seen in the whole run */
    hs_pool *pool;
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
    HS_TRY(hs_bench_roof(b->pool, &b->roof, err));
    for (size_t j = 0; j < n && b->n < MOST_CASES; j++) {
        bool wanted = n_names == 0;
        for (size_t i = 0; i < n_names; i++)
            wanted |= strcmp(names[i], cases[j].name) == 0;
        if (!wanted)
            continue;
        hs_bench_result *r = &b->result[b->n];
        HS_TRY(hs_bench_step(&cases[j], b->pool, b->seconds, r, err));
        b->measured[b->n++] = &cases[j];
        b->roof = r->roof > b->roof ? r->roof : b->roof;
    }
    return HS_OK;
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
                    "\"gflops\": %.5g, \"roof_share\": %.4f, \"memory_bytes\": %zu, \"weights\": %zu}",
                    i ? ", " : "", b->measured[i]->name, 1 / r->seconds, 1e3 * r->seconds, 1e-9 * r->flop, 1e-9 * rate,
                    rate / b->roof, r->memory, r->weights);
    }
    hs_str_addf(&b->out, "], \"peak_memory_bytes\": %lld}\n", peak);
}

static void write_table(bench *b, long long peak)
{
    const uint32_t threads = hs_pool_threads(b->pool);
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

int hs_cmd_bench(int argc, const char **argv)
{
    bench b = {.seconds = 3};
    const struct poptOption options[] = {
        {"threads", 0, POPT_ARG_INT, &b.threads, 0, "default one per core", "N"},
        {"seconds", 0, POPT_ARG_DOUBLE, &b.seconds, 0, "for each case; default 3", "S"},
        {"json", 0, POPT_ARG_NONE, &b.json, 0, "one JSON object", NULL},
        POPT_TABLEEND};
    hs_args args;
    int code;
    if (!hs_args_parse(&args, &usage, argc, argv, options, 0, 64, &code))
        return code;
    if (b.threads < 0 || b.threads > 1024 || !(b.seconds > 0)) {
        code = hs_cli_usage_error("bench", "--threads is from 0 to 1024, --seconds above 0");
    } else {
        hs_error err = {0};
        b.pool = hs_pool_create((uint32_t)b.threads);
        hs_status status = b.pool ? run_bench(&b, &args, &err) : hs_fail_memory(&err, 0);
        if (status == HS_OK) {
            code = hs_cli_print(&b.out);
        } else {
            hs_str_free(&b.out);
            code = hs_cli_fail(&err);
        }
        hs_pool_free(b.pool);
    }
    hs_args_free(&args);
    return code;
}
