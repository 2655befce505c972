/* cmd_interpret.c - hopscope interpret: the microscope over the stored checkpoints of a run. */
#include "cli/cli.h"
#include "hopscope/report.h"

#include <stdlib.h>
#include <string.h>

static const hs_usage usage = {"interpret", "RUN [RUN ...]",
                               "Looks inside a run's model: what its states hold, what the answer hangs on, which "
                               "state feeds which. Every number, with\n"
                               "its interval, goes into the table `probe` of RUN/run.db; a grid of each method is "
                               "printed. docs/interpret.md explains the\n"
                               "methods. While a run trains, the setting interpret.methods does the same at every "
                               "evaluation. At the end, and for each\n"
                               "checkpoint with --timeline: the verdict, none, memorized, grokked with the bridge, or "
                               "fake grokking. --events takes several\n"
                               "runs (seeds) and says when each event happened.",
                               "  hopscope interpret runs/demo\n"
                               "  hopscope interpret runs/demo --method lens,trace --split test_ii --steps all\n"
                               "  hopscope interpret runs/demo --method lens --items lens.csv\n"
                               "  hopscope interpret runs/demo --timeline\n"
                               "  hopscope interpret runs/demo/seed-* --events\n"
                               "  hopscope interpret --list"};

static int print_list(int json)
{
    size_t n;
    const hs_method *const *methods = hs_methods(&n);
    hs_str out = {0};
    hs_str_addf(&out, "%s", json ? "[" : "");
    for (size_t m = 0; m < n; m++) {
        if (json) {
            hs_str_addf(&out, "%s{\"name\": \"%s\", \"question\": ", m ? ",\n " : "", methods[m]->name);
            hs_str_add_json(&out, methods[m]->help, strlen(methods[m]->help));
            hs_str_addf(&out, ", \"source\": ");
            hs_str_add_json(&out, methods[m]->paper, strlen(methods[m]->paper));
            hs_str_addf(&out, "}");
        } else {
            hs_str_addf(&out, "%-10s %s\n%-10s   %s\n", methods[m]->name, methods[m]->help, "", methods[m]->paper);
        }
    }
    hs_str_addf(&out, "%s", json ? "]\n" : "");
    return hs_cli_print(&out);
}

/* The verdict on every wanted step: a table, JSON, or after the methods the last one in a line. */
static hs_status verdicts(const char *dir, const hs_run_verdict_options *options, bool line, int json,
                          const hs_events *events, hs_str *out, hs_error *err)
{
    hs_run_verdict *all;
    size_t n;
    HS_TRY(hs_run_verdicts(dir, options, hs_cli_signals(), events, &all, &n, err));
    if (line) {
        hs_str_addf(out, "\n");
        for (size_t i = 0; i < n; i++)
            if (all[i].step == all[n - 1].step)
                hs_str_addf(out, "%s\n", all[i].verdict.text);
    } else if (json) {
        hs_str_addf(out, "[");
        for (size_t i = 0; i < n; i++) {
            hs_str_addf(out, "%s", i ? ",\n " : "");
            hs_run_verdict_json(&all[i], out);
        }
        hs_str_addf(out, "]\n");
    } else {
        hs_run_verdicts_text(all, n, out);
    }
    hs_free(all);
    return HS_OK;
}

static int timeline(const char *dir, const hs_run_verdict_options *options, int json)
{
    hs_error err = {0};
    hs_str out = {0};
    hs_view view;
    const hs_events events = hs_view_events(&view, false);
    const hs_status status = verdicts(dir, options, false, json, &events, &out, &err);
    hs_view_close(&view);
    if (status == HS_OK)
        return hs_cli_print(&out);
    hs_str_free(&out);
    return hs_cli_fail(&err);
}

static int print_events(const hs_args *args, double threshold, int json)
{
    hs_error err = {0};
    hs_str out = {0};
    hs_run_events *runs = hs_calloc(args->n, sizeof *runs);
    hs_status status = runs ? HS_OK : hs_fail_memory(&err, args->n * sizeof *runs);
    for (size_t r = 0; r < args->n && status == HS_OK; r++)
        status = hs_run_events_read(args->arg[r], threshold, &runs[r], &err);
    if (status == HS_OK)
        status = json ? hs_run_events_json(runs, args->n, &out, &err) : hs_run_events_text(runs, args->n, &out, &err);
    for (size_t r = 0; runs && r < args->n; r++)
        hs_run_events_free(&runs[r]);
    hs_free(runs);
    if (status == HS_OK)
        return hs_cli_print(&out);
    hs_str_free(&out);
    return hs_cli_fail(&err);
}

static int interpret(const char *dir, hs_run_interpret_options *options, const hs_run_verdict_options *verdict,
                     int json)
{
    hs_error err = {0};
    hs_str out = {0};
    hs_view view;
    const hs_events events = hs_view_events(&view, false);
    hs_readings readings = {0};
    const hs_sink sink = hs_readings_sink(&readings);
    options->sink = &sink;
    hs_status status = hs_run_interpret(dir, options, hs_cli_signals(), &events, &err);
    if (status == HS_OK && json)
        hs_readings_json(&readings, &out);
    else if (status == HS_OK)
        hs_readings_text(&readings, &out);
    if (status == HS_OK && !json) { /* a dataset without a test split has no verdict; that is no error here */
        hs_error none = {0};
        status = verdicts(dir, verdict, true, 0, &events, &out, &none);
        if (status == HS_ERR_DATA && !(verdict->splits && verdict->splits[0]))
            status = HS_OK;
        else if (status != HS_OK)
            err = none;
    }
    hs_view_close(&view);
    const int code = status == HS_OK ? hs_cli_print(&out) : hs_cli_fail(&err);
    if (status != HS_OK)
        hs_str_free(&out);
    hs_readings_free(&readings);
    return code;
}

int hs_cmd_interpret(int argc, const char **argv)
{
    char *methods = NULL, *splits = NULL, *steps = NULL, *items = NULL, *judged = NULL;
    int max = 300, threads = 0, quick = 0, untrained = 0, list = 0, json = 0, line = 0, events = 0, code;
    double edge = -1, threshold = HS_EVENT_THRESHOLD;
    const struct poptOption options[] = {
        {"method", 'm', POPT_ARG_STRING, &methods, 0, "these methods, separated by commas; default all that fit",
         "LIST"},
        {"split", 0, POPT_ARG_STRING, &splits, 0, "these splits; default facts, training queries and every test split",
         "LIST"},
        {"steps", 0, POPT_ARG_STRING, &steps, 0, "last (the default), all, or a list of stored steps", "STEPS"},
        {"max", 'n', POPT_ARG_INT, &max, 0, "items of a split; default 300, 0 all", "N"},
        {"quick", 0, POPT_ARG_NONE, &quick, 0, "tracing at the published places only", NULL},
        {"edge", 0, POPT_ARG_DOUBLE, &edge, 0, "path patching: the circuit's threshold; default 0.1", "SHARE"},
        {"untrained", 0, POPT_ARG_NONE, &untrained, 0, "also the model as it was drawn, as step 0: the control", NULL},
        {"items", 0, POPT_ARG_STRING, &items, 0, "write every single item: .csv or .jsonl", "FILE"},
        {"timeline", 0, POPT_ARG_NONE, &line, 0, "the verdict on every stored step (or --steps), no other method",
         NULL},
        {"verdict-split", 0, POPT_ARG_STRING, &judged, 0,
         "test splits the verdict is about; default test_ii or like it", "LIST"},
        {"events", 0, POPT_ARG_NONE, &events, 0,
         "when each run memorized, recovered the bridge, answered each test split", NULL},
        {"threshold", 0, POPT_ARG_DOUBLE, &threshold, 0, "--events: from this share on; default 0.9", "SHARE"},
        {"threads", 0, POPT_ARG_INT, &threads, 0, "default one a core", "N"},
        {"list", 0, POPT_ARG_NONE, &list, 0, "the methods, each with its question and source", NULL},
        {"json", 0, POPT_ARG_NONE, &json, 0, "every number as JSON", NULL},
        POPT_TABLEEND};
    hs_args args;
    if (hs_args_parse(&args, &usage, argc, argv, options, 0, 1000, &code)) {
        hs_run_interpret_options how = {.steps = steps, .untrained = untrained != 0, .items_path = items};
        hs_interpret_config_default(&how.config);
        how.config.exhaustive = !quick;
        how.config.edge = edge >= 0 ? edge : how.config.edge;
        snprintf(how.config.methods, sizeof how.config.methods, "%s", methods ? methods : "all");
        snprintf(how.config.splits, sizeof how.config.splits, "%s", splits ? splits : "");
        how.config.max = max > 0 ? (uint32_t)max : 0;
        how.threads = threads > 0 ? (uint32_t)threads : 0;
        const hs_run_verdict_options verdict = {
            .steps = line && !steps ? "all" : steps, .splits = judged, .max = how.config.max, .threads = how.threads};
        if (list)
            code = print_list(json);
        else if (args.n == 0)
            code = hs_cli_usage_error("interpret", "which run?");
        else if (args.n > 1 && !events)
            code = hs_cli_usage_error("interpret", "one run; only --events takes several");
        else if (threshold < 0 || threshold > 1)
            code = hs_cli_usage_error("interpret", "--threshold is a share");
        else if (max < 0 || threads < 0 || edge > 1)
            code = hs_cli_usage_error("interpret", "--max and --threads are not negative, --edge is a share");
        else if (events)
            code = print_events(&args, threshold, json);
        else if (line)
            code = timeline(args.arg[0], &verdict, json);
        else
            code = interpret(args.arg[0], &how, &verdict, json);
        hs_args_free(&args);
    }
    free(methods);
    free(splits);
    free(steps);
    free(items);
    free(judged);
    return code;
}
