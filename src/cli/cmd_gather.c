/* cmd_gather.c - hopscope gather: what became of a sweep, as one table, figure, CSV and database. */
#include "cli/cli.h"
#include "hopscope/report.h"

#include <stdlib.h>
#include <string.h>

static const hs_usage usage = {
    "gather", "PLAN",
    "Reads all members of a sweep as they are now and prints one table: of every arm, numbers at the end (mean, 95% "
    "interval,\n"
    "range over seeds) and times (median by Kaplan-Meier, members that did not get there as \"longer than\"). Members "
    "that are\n"
    "missing are named. With -o also files: NAME.md, NAME.csv (a line a member), NAME.svg, NAME.db (all records in "
    "one\n"
    "SQLite file, for pandas and DuckDB). Trains nothing. docs/sweep.md says more.",
    "  hopscope gather experiments/bakeoff.yaml\n"
    "  hopscope gather experiments/bakeoff.yaml -o results\n"
    "  hopscope gather experiments/bakeoff.yaml --markdown > table.md"};

typedef struct arguments {
    const char **set;
    char *out, *runs;
    int json, csv, markdown, script;
} arguments;

static hs_status write_text(const char *path, hs_str *text, hs_error *err)
{
    const hs_status status =
        text->failed ? hs_fail_memory(err, text->len) : hs_file_write(path, text->s, text->len, err);
    hs_str_free(text);
    return status;
}

/* FOLDER/NAME.ending */
static hs_status file_name(const char *folder, const hs_sweep *sweep, const char *ending, char out[4096], hs_error *err)
{
    const char *slash = strrchr(sweep->path, '/'), *base = slash ? slash + 1 : sweep->path, *dot = strrchr(base, '.');
    char name[512];
    snprintf(name, sizeof name, "%.*s.%s", dot && dot != base ? (int)(dot - base) : 255, base, ending);
    return hs_path_join(out, 4096, folder, name, err);
}

static hs_status write_files(const hs_sweep *sweep, const hs_sweep_table *table, const arguments *a, hs_error *err)
{
    char path[4096];
    hs_str text = {0};
    HS_TRY(hs_make_dirs(a->out, err));
    HS_TRY(file_name(a->out, sweep, "md", path, err));
    hs_sweep_table_text(sweep, table, HS_TABLE_MARKDOWN, &text);
    HS_TRY(write_text(path, &text, err));
    HS_TRY(file_name(a->out, sweep, "csv", path, err));
    hs_sweep_table_csv(sweep, table, &text);
    HS_TRY(write_text(path, &text, err));
    HS_TRY(file_name(a->out, sweep, "db", path, err));
    HS_TRY(hs_sweep_database(sweep, path, err));
    HS_TRY(file_name(a->out, sweep, "svg", path, err));
    return hs_figure_sweep(sweep, table, path, a->script != 0, err);
}

static int gather(const char *plan, const arguments *a)
{
    hs_error err = {0};
    hs_sweep sweep = {0};
    hs_sweep_table table = {0};
    size_t n_set = 0;
    while (a->set && a->set[n_set])
        n_set++;
    hs_status status = hs_sweep_read(&sweep, plan, a->runs, a->set, n_set, &err);
    if (status == HS_OK)
        status = hs_sweep_gather(&sweep, &table, &err);
    int code = 0;
    if (status == HS_OK) {
        hs_str out = {0};
        if (a->json) {
            hs_sweep_table_json(&sweep, &table, &out);
            hs_str_add(&out, "\n", 1);
        } else if (a->csv) {
            hs_sweep_table_csv(&sweep, &table, &out);
        } else {
            hs_sweep_table_text(&sweep, &table, a->markdown ? HS_TABLE_MARKDOWN : HS_TABLE_TEXT, &out);
        }
        code = hs_cli_print(&out);
        if (a->out)
            status = write_files(&sweep, &table, a, &err);
    }
    hs_sweep_table_free(&table);
    hs_sweep_free(&sweep);
    return status != HS_OK ? hs_cli_fail(&err) : code;
}

int hs_cmd_gather(int argc, const char **argv)
{
    arguments a = {0};
    const struct poptOption options[] = {
        {"output", 'o', POPT_ARG_STRING, &a.out, 0, "folder for table, CSV, figure (needs gnuplot) and database",
         "FOLDER"},
        {"runs", 0, POPT_ARG_STRING, &a.runs, 0, "folder of the runs, as given to sweep -o; default runs/NAME", "DIR"},
        {"set", 's', POPT_ARG_ARGV, &a.set, 0, "as given to sweep", "KEY=VALUE"},
        {"markdown", 'm', POPT_ARG_NONE, &a.markdown, 0, "print the table as Markdown", NULL},
        {"json", 0, POPT_ARG_NONE, &a.json, 0, "print one JSON object in place of the table", NULL},
        {"csv", 0, POPT_ARG_NONE, &a.csv, 0, "print one line a member in place of the table", NULL},
        {"script", 0, POPT_ARG_NONE, &a.script, 0, "leave gnuplot's script and data beside the figure", NULL},
        POPT_TABLEEND};
    hs_args args;
    int code;
    if (hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code)) {
        code = a.json + a.csv + a.markdown > 1
                   ? hs_cli_usage_error("gather", "--json, --csv and --markdown stand alone")
                   : gather(args.arg[0], &a);
        hs_args_free(&args);
    }
    for (size_t i = 0; a.set && a.set[i]; i++)
        free((void *)(uintptr_t)a.set[i]);
    free(a.set);
    free(a.out);
    free(a.runs);
    return code;
}
