/* cmd_bakeoff.c - hopscope bakeoff: one experiment under several settings and seeds, compared by the time to grok. */
#include "cli/cli.h"
#include "hopscope/report.h"

#include <stdlib.h>
#include <string.h>

static const hs_usage usage = {"bakeoff", "FILE",
                               "Trains every arm of FILE (an experiment with a section `bakeoff`) for several seeds, "
                               "each until train.stop_split has\n"
                               "train.stop_accuracy or the budget ends, and compares the times to grok in steps and in "
                               "CPU seconds. Runs that did not\n"
                               "grok count as \"longer than\". Stopped at any moment, the same command goes on; a "
                               "second process with the same command\n"
                               "takes the runs that nobody works on. docs/bakeoff.md says more.",
                               "  hopscope bakeoff experiments/bakeoff.yaml --figure bakeoff.svg\n"
                               "  hopscope bakeoff experiments/bakeoff.yaml --report --csv > runs.csv"};

typedef struct arguments {
    const char **set;
    char *out, *figure;
    int report, json, csv, script, quiet;
} arguments;

static bool stopped(hs_status status)
{
    return status == HS_STOPPED_INT || status == HS_STOPPED_TERM;
}

static int print_results(const hs_bakeoff *bakeoff, const char *dir, const arguments *a)
{
    hs_error err = {0};
    hs_bakeoff_result result = {0};
    if (hs_bakeoff_results(bakeoff, dir, &result, &err) != HS_OK)
        return hs_cli_fail(&err);
    hs_str out = {0};
    if (a->json) {
        hs_bakeoff_json(bakeoff, &result, dir, &out);
        hs_str_add(&out, "\n", 1);
    } else if (a->csv) {
        hs_bakeoff_csv(bakeoff, &result, &out);
    } else {
        hs_bakeoff_text(bakeoff, &result, &out);
    }
    int code = hs_cli_print(&out);
    if (a->figure && hs_bakeoff_figure(bakeoff, &result, dir, a->figure, a->script != 0, &err) != HS_OK)
        code = hs_cli_fail(&err);
    hs_bakeoff_result_free(&result);
    return code;
}

static int bake(const char *file, const arguments *a)
{
    hs_error err = {0};
    hs_bakeoff bakeoff = {0};
    char dir[4096];
    size_t n_set = 0;
    while (a->set && a->set[n_set])
        n_set++;
    hs_status status = hs_bakeoff_read(&bakeoff, file, a->set, n_set, &err);
    if (status == HS_OK && a->out && strlen(a->out) >= sizeof dir)
        status = hs_fail(&err, HS_ERR_USAGE, "path of %zu bytes is too long", strlen(a->out));
    else if (status == HS_OK && a->out)
        snprintf(dir, sizeof dir, "%s", a->out);
    else if (status == HS_OK)
        status = hs_run_default_dir(dir, sizeof dir, file, &err);
    if (status == HS_OK && !a->report) {
        hs_view view;
        hs_events events = hs_view_events(&view, a->quiet != 0);
        status = hs_bakeoff_train(&bakeoff, dir, hs_cli_signals(), &events, &err);
        hs_view_close(&view);
    }
    int code = 0;
    if (status != HS_OK && !stopped(status))
        code = hs_cli_fail(&err);
    else
        code = print_results(&bakeoff, dir, a);
    if (stopped(status)) {
        fprintf(stderr, "hopscope: stopped, everything is saved; the same command goes on\n");
        code = hs_status_exit_code(status);
    }
    hs_bakeoff_free(&bakeoff);
    return code;
}

int hs_cmd_bakeoff(int argc, const char **argv)
{
    arguments a = {0};
    const struct poptOption options[] = {
        {"set", 's', POPT_ARG_ARGV, &a.set, 0, "change a setting of all arms; an arm's own settings win", "KEY=VALUE"},
        {"output", 'o', POPT_ARG_STRING, &a.out, 0, "folder of the runs; default runs/NAME of the file", "DIR"},
        {"report", 0, POPT_ARG_NONE, &a.report, 0, "train nothing, report what is there", NULL},
        {"json", 0, POPT_ARG_NONE, &a.json, 0, "print one JSON object in place of the table", NULL},
        {"csv", 0, POPT_ARG_NONE, &a.csv, 0, "print one line a run in place of the table", NULL},
        {"figure", 0, POPT_ARG_STRING, &a.figure, 0, "draw: .svg, .png or .pdf (needs gnuplot)", "FILE"},
        {"script", 0, POPT_ARG_NONE, &a.script, 0, "leave gnuplot's script and data beside the figure", NULL},
        {"quiet", 'q', POPT_ARG_NONE, &a.quiet, 0, "warnings only", NULL},
        POPT_TABLEEND};
    hs_args args;
    int code;
    if (hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code)) {
        code = a.json && a.csv ? hs_cli_usage_error("bakeoff", "--json and --csv stand alone") : bake(args.arg[0], &a);
        hs_args_free(&args);
    }
    for (size_t i = 0; a.set && a.set[i]; i++)
        free((void *)(uintptr_t)a.set[i]);
    free(a.set);
    free(a.out);
    free(a.figure);
    return code;
}
