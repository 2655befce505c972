/* cmd_interpret.c - hopscope interpret: the microscope over the stored checkpoints of a run. */
#include "cli/cli.h"
#include "hopscope/report.h"

#include <stdlib.h>
#include <string.h>

static const hs_usage usage = {
    "interpret", "RUN",
    "Looks inside a run's model: what its states hold, what the answer hangs on, which state feeds which. Every number, with\n"
    "its interval, goes into the table `probe` of RUN/run.db; a grid of each method is printed. docs/interpret.md explains the\n"
    "methods. While a run trains, the setting interpret.methods does the same at every evaluation.",
    "  hopscope interpret runs/demo\n"
    "  hopscope interpret runs/demo --method lens,trace --split test_ii --steps all\n"
    "  hopscope interpret runs/demo --method lens --items lens.csv\n"
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

static int interpret(const char *dir, hs_run_interpret_options *options, int json)
{
    hs_error err = {0};
    hs_str out = {0};
    hs_view view;
    const hs_events events = hs_view_events(&view, false);
    hs_readings readings = {0};
    const hs_sink sink = hs_readings_sink(&readings);
    options->sink = &sink;
    const hs_status status = hs_run_interpret(dir, options, hs_cli_signals(), &events, &err);
    hs_view_close(&view);
    if (status == HS_OK && json)
        hs_readings_json(&readings, &out);
    else if (status == HS_OK)
        hs_readings_text(&readings, &out);
    const int code = status == HS_OK ? hs_cli_print(&out) : hs_cli_fail(&err);
    hs_readings_free(&readings);
    return code;
}

int hs_cmd_interpret(int argc, const char **argv)
{
    char *methods = NULL, *splits = NULL, *steps = NULL, *items = NULL;
    int max = 300, threads = 0, quick = 0, untrained = 0, list = 0, json = 0, code;
    double edge = -1;
    const struct poptOption options[] = {
        {"method", 'm', POPT_ARG_STRING, &methods, 0, "these methods, separated by commas; default all that fit", "LIST"},
        {"split", 0, POPT_ARG_STRING, &splits, 0, "these splits; default facts, training queries and every test split", "LIST"},
        {"steps", 0, POPT_ARG_STRING, &steps, 0, "last (the default), all, or a list of stored steps", "STEPS"},
        {"max", 'n', POPT_ARG_INT, &max, 0, "items of a split; default 300, 0 all", "N"},
        {"quick", 0, POPT_ARG_NONE, &quick, 0, "tracing at the published places only", NULL},
        {"edge", 0, POPT_ARG_DOUBLE, &edge, 0, "path patching: the circuit's threshold; default 0.1", "SHARE"},
        {"untrained", 0, POPT_ARG_NONE, &untrained, 0, "also the model as it was drawn, as step 0: the control", NULL},
        {"items", 0, POPT_ARG_STRING, &items, 0, "write every single item: .csv or .jsonl", "FILE"},
        {"threads", 0, POPT_ARG_INT, &threads, 0, "default one a core", "N"},
        {"list", 0, POPT_ARG_NONE, &list, 0, "the methods, each with its question and source", NULL},
        {"json", 0, POPT_ARG_NONE, &json, 0, "every number as JSON", NULL},
        POPT_TABLEEND};
    hs_args args;
    if (hs_args_parse(&args, &usage, argc, argv, options, 0, 1, &code)) {
        hs_run_interpret_options how = {.steps = steps, .untrained = untrained != 0, .items_path = items};
        hs_interpret_config_default(&how.config);
        how.config.exhaustive = !quick;
        how.config.edge = edge >= 0 ? edge : how.config.edge;
        snprintf(how.config.methods, sizeof how.config.methods, "%s", methods ? methods : "all");
        snprintf(how.config.splits, sizeof how.config.splits, "%s", splits ? splits : "");
        how.config.max = max > 0 ? (uint32_t)max : 0;
        how.threads = threads > 0 ? (uint32_t)threads : 0;
        if (list)
            code = print_list(json);
        else if (args.n == 0)
            code = hs_cli_usage_error("interpret", "which run?");
        else if (max < 0 || threads < 0 || edge > 1)
            code = hs_cli_usage_error("interpret", "--max and --threads are not negative, --edge is a share");
        else
            code = interpret(args.arg[0], &how, json);
        hs_args_free(&args);
    }
    free(methods);
    free(splits);
    free(steps);
    free(items);
    return code;
}
