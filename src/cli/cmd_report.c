/* cmd_report.c - hopscope report: runs as one HTML page that needs nothing but itself. */
#include "cli/cli.h"
#include "hopscope/report.h"

#include <stdlib.h>

static const hs_usage usage = {
    "report", "RUN [RUN ...]",
    "Writes one HTML file that shows runs and opens from disk, offline: curves of every split, what the model holds "
    "inside\n"
    "at every stored checkpoint for a set of questions, the dataset's proofs, and for several runs their comparison. "
    "A\n"
    "folder stands for the runs in it (seeds, arms of a sweep). Works while a run is going on, and shows what can be "
    "read "
    "of\n"
    "a damaged one. hopscope run writes it too, as report.html in the run's folder (report.page).",
    "  hopscope report runs/demo\n"
    "  hopscope report runs/demo runs/demo-muon -o compare.html\n"
    "  hopscope report runs/demo --queries 200 -o demo.html"};

/* RUN/report.html of one folder; "report.html" of several. */
static hs_status settle(const hs_args *args, const char *out, char *path, size_t size, hs_error *err)
{
    if (!out && args->n == 1)
        return hs_path_join(path, size, args->arg[0], "report.html", err);
    const int n = snprintf(path, size, "%s", out ? out : "report.html");
    return n >= 0 && (size_t)n < size ? HS_OK : hs_fail(err, HS_ERR_USAGE, "path of %d bytes is too long", n);
}

static int write_page(const hs_args *args, const char *out, const hs_page_options *how, bool json, bool quiet)
{
    char path[4096];
    hs_error err = {0};
    hs_view view;
    const hs_events events = hs_view_events(&view, quiet);
    hs_status status = settle(args, out, path, sizeof path, &err);
    if (status == HS_OK)
        status = hs_page_write(args->arg, args->n, how, path, hs_cli_signals(), &events, &err);
    hs_view_close(&view);
    if (status == HS_STOPPED_INT || status == HS_STOPPED_TERM) {
        fprintf(stderr, "hopscope: stopped, no page is written\n");
        return hs_status_exit_code(status);
    }
    if (status != HS_OK)
        return hs_cli_fail(&err);
    if (json)
        return hs_cli_print_made(args, path);
    if (!quiet)
        fprintf(stderr, "written: %s\n", path);
    return 0;
}

int hs_cmd_report(int argc, const char **argv)
{
    char *out = NULL;
    int queries = 0, checkpoints = 0, json = 0, quiet = 0, code;
    const struct poptOption options[] = {
        {"output", 'o', POPT_ARG_STRING, &out, 0, "the page; default report.html in the run's folder", "FILE"},
        {"queries", 0, POPT_ARG_INT, &queries, 0, "questions that are looked at, 1 to 200; default 100", "N"},
        {"checkpoints", 0, POPT_ARG_INT, &checkpoints, 0, "checkpoints that are looked at, at most; default 40", "N"},
        {"json", 0, POPT_ARG_NONE, &json, 0, "what was written, as one JSON object", NULL},
        {"quiet", 'q', POPT_ARG_NONE, &quiet, 0, "warnings only", NULL},
        POPT_TABLEEND};
    hs_args args;
    if (hs_args_parse(&args, &usage, argc, argv, options, 1, 4096, &code)) {
        const hs_page_options how = {.queries = (uint32_t)queries, .checkpoints = (uint32_t)checkpoints};
        if (queries < 0 || queries > 200 || checkpoints < 0 || checkpoints > 1000)
            code = hs_cli_usage_error("report", queries < 0 || queries > 200 ? "--queries is from 1 to 200"
                                                                             : "--checkpoints is from 1 to 1000");
        else
            code = write_page(&args, out, &how, json != 0, quiet != 0);
        hs_args_free(&args);
    }
    free(out);
    return code;
}
