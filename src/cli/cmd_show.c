/* cmd_show.c - hopscope show: a run folder as its record tells it, for people and, with --json, for programs. */
#include "cli/lm.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const hs_usage usage = {
    "show", "RUN",
    "Shows what a run directory holds: how far it is, the last evaluation of every split beside the best shortcut, the "
    "kept\n"
    "checkpoints. With --json: every evaluation and every row that a probe wrote. Works while the run is going on.",
    "  hopscope show runs/demo\n"
    "  hopscope show runs/demo --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[\"checkpoints\"])'"};

static void add_text(hs_str *out, const char *name, const char *text)
{
    hs_str_addf(out, "\"%s\": ", name);
    hs_str_add_json(out, text, strlen(text));
}

static void add_number(hs_str *out, const char *name, double value)
{
    if (isfinite(value))
        hs_str_addf(out, ", \"%s\": %.9g", name, value);
    else
        hs_str_addf(out, ", \"%s\": null", name);
}

static void print_json(const hs_run_reader *run, const hs_split_baselines *splits, size_t n_splits,
                       const hs_probe_row *probes, size_t n_probes, hs_str *out)
{
    hs_str_addf(out, "{");
    add_text(out, "run", run->dir);
    hs_str_addf(out, ", ");
    add_text(out, "title", run->title);
    hs_str_addf(out, ", ");
    add_text(out, "ended_by", run->ended_by);
    hs_str_addf(out, ", \"steps\": %" PRIu64 ", \"checkpoints\": [",
                run->n_evals ? run->eval[run->n_evals - 1].step : 0);
    for (size_t i = 0; i < run->n_checkpoints; i++)
        hs_str_addf(out, "%s%" PRIu64, i ? ", " : "", run->checkpoint[i]);
    hs_str_addf(out, "], \"baselines\": [");
    for (size_t i = 0; i < n_splits; i++) {
        hs_str_addf(out, "%s{", i ? ", " : "");
        add_text(out, "split", splits[i].split);
        hs_str_addf(out, ", ");
        add_text(out, "baseline", splits[i].name);
        add_number(out, "accuracy", splits[i].best);
        hs_str_addf(out, "}");
    }
    hs_str_addf(out, "], \"evaluations\": [");
    for (size_t i = 0; i < run->n_evals; i++) {
        const hs_eval_row *row = &run->eval[i];
        hs_str_addf(out, "%s\n  {", i ? "," : "");
        add_text(out, "split", row->eval.split);
        hs_str_addf(out, ", \"step\": %" PRIu64 ", \"n\": %" PRIu64, row->step, row->eval.n);
        add_number(out, "seconds", row->seconds);
        add_number(out, "accuracy", row->eval.accuracy);
        add_number(out, "loss", row->eval.loss);
        hs_str_addf(out, "}");
    }
    hs_str_addf(out, "], \"probes\": [");
    for (size_t i = 0; i < n_probes; i++) {
        const hs_probe_row *p = &probes[i];
        const struct {
            const char *name, *text;
        } texts[] = {{"method", p->method},
                     {"split", p->split},
                     {"position", p->position},
                     {"role", p->role},
                     {"measure", p->measure}};
        hs_str_addf(out, "%s\n  {\"step\": %" PRIu64 ", \"stage\": %d, \"n\": %" PRIu64, i ? "," : "", p->step,
                    p->stage, p->n);
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
            hs_str_addf(out, ", ");
            add_text(out, texts[k].name, texts[k].text);
        }
        add_number(out, "value", p->value);
        add_number(out, "low", p->low);
        add_number(out, "high", p->high);
        hs_str_addf(out, "}");
    }
    hs_str_addf(out, "]}\n");
}

static void print_text(const hs_run_reader *run, const hs_split_baselines *splits, size_t n_splits, hs_str *out)
{
    const uint64_t last = run->n_evals ? run->eval[run->n_evals - 1].step : 0;
    char count[32];
    hs_str_addf(out, "%s%s%s\n%s steps, %s%s\n\n%-24s %9s %9s  %s\n", run->title, *run->title ? ", " : "", run->dir,
                hs_format_count(last, count), *run->ended_by ? "ended by " : "not ended", run->ended_by, "split",
                "accuracy", "loss", "best shortcut");
    for (size_t i = 0; i < run->n_evals; i++) {
        const hs_eval_row *row = &run->eval[i];
        if (row->step != last)
            continue;
        hs_str_addf(out, "%-24s %9.3f %9.4f", row->eval.split, row->eval.accuracy, row->eval.loss);
        for (size_t k = 0; k < n_splits; k++)
            if (strcmp(splits[k].split, row->eval.split) == 0 && isfinite(splits[k].best))
                hs_str_addf(out, "  %.3f %s", splits[k].best, splits[k].name);
        hs_str_addf(out, "\n");
    }
    hs_str_addf(out, "\ncheckpoints:");
    for (size_t i = 0; i < run->n_checkpoints; i++)
        hs_str_addf(out, " %" PRIu64, run->checkpoint[i]);
    hs_str_addf(out, "\n");
}

static hs_status show(const char *dir, bool json, hs_str *out, hs_error *err)
{
    hs_run_reader run;
    hs_split_baselines *splits = NULL;
    hs_probe_row *probes = NULL;
    size_t n_splits = 0, n_probes = 0;
    HS_TRY(hs_run_reader_open(&run, dir, err));
    hs_status status = hs_run_reader_baselines(&run, &splits, &n_splits, err);
    if (status == HS_OK && json)
        status = hs_run_reader_probes(&run, NULL, &probes, &n_probes, err);
    if (status == HS_OK && json)
        print_json(&run, splits, n_splits, probes, n_probes, out);
    else if (status == HS_OK)
        print_text(&run, splits, n_splits, out);
    if (status == HS_OK && !json)
        status = hs_cli_baselines(&run, out, err);
    hs_free(probes);
    hs_free(splits);
    hs_run_reader_close(&run);
    return status;
}

int hs_cmd_show(int argc, const char **argv)
{
    int json = 0, code;
    const struct poptOption options[] = {{"json", 0, POPT_ARG_NONE, &json, 0, "one JSON object (docs/json.md)", NULL},
                                         POPT_TABLEEND};
    hs_args args;
    if (!hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code))
        return code;
    hs_error err = {0};
    hs_str out = {0};
    if (show(args.arg[0], json != 0, &out, &err) == HS_OK) {
        code = hs_cli_print(&out);
    } else {
        hs_str_free(&out);
        code = hs_cli_fail(&err);
    }
    hs_args_free(&args);
    return code;
}
