/* cmd_plot.c - hopscope plot: the grokking curve of runs, or what the microscope saw in one, as a picture. */
#include "cli/cli.h"
#include "hopscope/report.h"

#include <stdlib.h>

static const hs_usage usage = {"plot", "RUN [RUN ...]",
                               "Draws the accuracy of every split against the step (log), and the best shortcut of "
                               "each test split as a dotted line.\n"
                               "Several folders: a color for each split of each. A folder made by hopscope run --seeds "
                               "is drawn as mean and band of its\n"
                               "runs. With --what METHOD: what this method of hopscope interpret measured in a run. "
                               "Works while the run is going on.\n"
                               "A picture that is there is drawn anew. Needs gnuplot.",
                               "  hopscope plot runs/demo -o demo.svg\n"
                               "  hopscope plot runs/demo --splits test_ii,train_inferred --seconds -o demo.png\n"
                               "  hopscope plot runs/demo --loss --script -o loss.pdf\n"
                               "  hopscope plot runs/demo --what lens --split test_ii -o lens.svg"};

int hs_cmd_plot(int argc, const char **argv)
{
    char *out = NULL, *title = NULL, *splits = NULL, *what = NULL;
    hs_figure_probe_options look = {0};
    int seconds = 0, loss = 0, script = 0, json = 0;
    const struct poptOption options[] = {
        {"output", 'o', POPT_ARG_STRING, &out, 0, "the picture: .svg, .png or .pdf", "FILE"},
        {"splits", 0, POPT_ARG_STRING, &splits, 0, "only these, separated by commas", "LIST"},
        {"what", 0, POPT_ARG_STRING, &what, 0, "what a method of hopscope interpret measured: lens, trace, ...",
         "METHOD"},
        {"split", 0, POPT_ARG_STRING, &look.split, 0, "with --what: these splits", "LIST"},
        {"step", 0, POPT_ARG_STRING, &look.step, 0, "with --what: at this step in place of the last", "N"},
        {"from", 0, POPT_ARG_STRING, &look.from, 0, "with --what: changes since this step in place of the first", "N"},
        {"role", 0, POPT_ARG_STRING, &look.role, 0, "with --what: these roles", "LIST"},
        {"measure", 0, POPT_ARG_STRING, &look.measure, 0, "with --what: these measures", "LIST"},
        {"title", 0, POPT_ARG_STRING, &title, 0, "in place of report.title", "TEXT"},
        {"seconds", 0, POPT_ARG_NONE, &seconds, 0, "against seconds of training in place of steps", NULL},
        {"loss", 0, POPT_ARG_NONE, &loss, 0, "the loss in place of the accuracy", NULL},
        {"script", 0, POPT_ARG_NONE, &script, 0, "leave gnuplot's script (.gp) and data (.dat) beside the picture",
         NULL},
        {"json", 0, POPT_ARG_NONE, &json, 0, "what was drawn, as one JSON object", NULL},
        POPT_TABLEEND};
    hs_args args;
    int code;
    if (hs_args_parse(&args, &usage, argc, argv, options, 1, 4096, &code)) {
        hs_view view;
        const hs_events events = hs_view_events(&view, true);
        const hs_figure_run_options how = {.title = title,
                                           .splits = splits,
                                           .seconds = seconds != 0,
                                           .loss = loss != 0,
                                           .keep_script = script != 0,
                                           .events = &events};
        hs_error err = {0};
        look.title = title;
        look.keep_script = script != 0;
        if (!out)
            code = hs_cli_usage_error("plot", "say where the picture goes: -o FILE.svg");
        else if (!what && (look.split || look.step || look.from || look.role || look.measure))
            code = hs_cli_usage_error("plot", "--split, --step, --from, --role and --measure belong to --what METHOD");
        else if (what && (args.n > 1 || splits || seconds || loss))
            code = hs_cli_usage_error("plot", "--what takes one run, and no --splits, --seconds or --loss");
        else if ((what ? hs_figure_probe(args.arg[0], what, &look, out, &err)
                       : hs_figure_run(args.arg, args.n, &how, out, &err)) != HS_OK)
            code = hs_cli_fail(&err);
        else if (json)
            code = hs_cli_print_made(&args, out);
        hs_view_close(&view);
        hs_args_free(&args);
    }
    free(out);
    free(title);
    free(splits);
    free(what);
    free((char *)look.split);
    free((char *)look.step);
    free((char *)look.from);
    free((char *)look.role);
    free((char *)look.measure);
    return code;
}
