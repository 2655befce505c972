/* cmd_verify.c - hopscope verify: replay a stretch of a run and compare the weights with the recorded hash chain. */
#include "cli/cli.h"
#include "hopscope/experiment.h"

#include <inttypes.h>
#include <stdlib.h>

static const hs_usage usage = {
    "verify", "RUN",
    "Trains a stretch of the run again, from its first step or from a checkpoint, and compares the weights with those the\n"
    "run recorded. The same program on the same type of processor must give the same bits for any number of threads.",
    "  hopscope verify runs/demo\n"
    "  hopscope verify runs/demo --from 316 --steps 500 --threads 1"};

int hs_cmd_verify(int argc, const char **argv)
{
    long from = 0, steps = 200;
    int threads = 0, json = 0, code;
    const struct poptOption options[] = {
        {"from", 0, POPT_ARG_LONG, &from, 0, "start at this checkpoint; default 0, the initial weights", "STEP"},
        {"steps", 0, POPT_ARG_LONG, &steps, 0, "replay at most so many steps; default 200", "N"},
        {"threads", 0, POPT_ARG_INT, &threads, 0, "default one per core", "N"},
        {"json", 0, POPT_ARG_NONE, &json, 0, "one JSON object", NULL},
        POPT_TABLEEND};
    hs_args args;
    if (!hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code))
        return code;
    hs_error err = {0};
    hs_verify_result r = {0};
    if (from < 0 || steps < 1 || threads < 0) {
        code = hs_cli_usage_error("verify", "--from, --steps and --threads are not negative, --steps at least 1");
    } else if (hs_run_verify(args.arg[0], (uint64_t)from, (uint64_t)steps, (uint32_t)threads, &r, &err) != HS_OK) {
        code = hs_cli_fail(&err);
    } else {
        hs_str out = {0};
        if (json)
            hs_str_addf(&out, "{\"from\": %" PRIu64 ", \"to\": %" PRIu64 ", \"compared\": %u, \"same\": %s, \"first_difference\": %" PRIu64 "}\n",
                        r.from, r.to, r.compared, r.same ? "true" : "false", r.same ? 0 : r.to);
        else if (r.same)
            hs_str_addf(&out, "same bits: steps %" PRIu64 " to %" PRIu64 " replayed, %u recorded hashes met\n", r.from, r.to,
                        r.compared);
        else
            hs_str_addf(&out, "different weights at step %" PRIu64 ": recorded %016" PRIx64 ", replayed %016" PRIx64
                        "\n(another program, BLAS or type of processor than the run's?)\n", r.to, r.recorded, r.replayed);
        code = hs_cli_print(&out);
        if (code == 0 && !r.same)
            code = 1;
    }
    hs_args_free(&args);
    return code;
}
