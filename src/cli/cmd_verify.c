/* cmd_verify.c - hopscope verify: is a run what its record says? Chain, checkpoints, and a stretch trained again. */
#include "cli/cli.h"
#include "hopscope/experiment.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const hs_usage usage = {"verify", "RUN",
                               "Checks that a run is what its record says: the chain of its evaluations, every stored "
                               "checkpoint, and a stretch that is\n"
                               "trained again, from the first step or from a checkpoint: weights, evaluations and "
                               "metrics must be the recorded ones. The\n"
                               "same program on the same type of processor gives the same bits for any number of "
                               "threads. Exit code 1: a difference.",
                               "  hopscope verify runs/demo\n"
                               "  hopscope verify runs/demo --from 316 --steps 500 --threads 1"};

static void print_json(const hs_verify_result *r, hs_str *out)
{
    hs_str_addf(out,
                "{\"same\": %s, \"from\": %" PRIu64 ", \"to\": %" PRIu64 ", \"last\": %" PRIu64 ", \"compared\": %u"
                ", \"evaluations\": %u, \"metrics\": %u, \"links\": %u, \"unlinked\": %u, \"checkpoints\": %u"
                ", \"unrecorded_checkpoints\": %u, \"first_difference\": ",
                r->same ? "true" : "false", r->from, r->to, r->last, r->compared, r->evaluations, r->metrics, r->links,
                r->unlinked, r->checkpoints, r->unrecorded);
    if (r->same) {
        hs_str_addf(out, "null, \"difference\": null}\n");
        return;
    }
    hs_str_addf(out, "%" PRIu64 ", \"difference\": ", r->difference_step);
    hs_str_add_json(out, r->difference, strlen(r->difference));
    hs_str_addf(out, "}\n");
}

static void print_text(const hs_verify_result *r, hs_str *out)
{
    if (!r->same)
        hs_str_addf(out, "different: %s\n", r->difference);
    hs_str_addf(out, "%sreplayed: steps %" PRIu64 " to %" PRIu64 ": %u hashes of weights, %u evaluations, %u metrics\n",
                r->same ? "same bits\n" : "", r->from, r->to, r->compared, r->evaluations, r->metrics);
    if (r->from > 0 || r->to < r->last) {
        hs_str_addf(out, "not replayed:");
        if (r->from > 0)
            hs_str_addf(out, " steps up to %" PRIu64 "%s", r->from, r->to < r->last ? " and" : "");
        if (r->to < r->last)
            hs_str_addf(out, " steps %" PRIu64 " to %" PRIu64, r->to + 1, r->last);
        hs_str_addf(out, " (--from, --steps)\n");
    }
    hs_str_addf(out, "chain: %u evaluations", r->links);
    if (r->unlinked)
        hs_str_addf(out, ", and %u recorded before there was one", r->unlinked);
    hs_str_addf(out, "\ncheckpoints: %u as recorded", r->checkpoints);
    if (r->unrecorded)
        hs_str_addf(out, ", and %u saved before they were recorded: whole", r->unrecorded);
    hs_str_addf(out, "\n");
}

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
            print_json(&r, &out);
        else
            print_text(&r, &out);
        code = hs_cli_print(&out);
        if (code == 0 && !r.same)
            code = 1;
    }
    hs_args_free(&args);
    return code;
}
