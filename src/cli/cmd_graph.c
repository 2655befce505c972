/* cmd_graph.c - `hopscope graph stats|augment|convert`: what the three share; each has a file of its own. */
#include "cli/graph.h"
#include "cli/lm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void print_count(const char *what, uint64_t n)
{
    char text[32];
    if (n > 0)
        fprintf(stderr, "  %-38s %s\n", what, hs_format_count(n, text));
}

void hs_graph_command_report(const hs_read_report *r)
{
    uint64_t repairs = r->records_skipped + r->duplicates + r->aliases_by_id + r->aliases_by_title +
                       r->dates_normalized + r->dates_unknown + r->nationalities_normalized + r->names_trimmed +
                       r->literals_skipped + r->headers_skipped;
    if (repairs == 0)
        return;
    fprintf(stderr, "While reading:\n");
    print_count("records skipped", r->records_skipped);
    print_count("facts given more than once", r->duplicates);
    print_count("bridges joined by evidences_id", r->aliases_by_id);
    print_count("bridges joined by article title", r->aliases_by_title);
    print_count("dates written as ISO", r->dates_normalized);
    print_count("dates not understood, kept", r->dates_unknown);
    print_count("nationalities and countries unified", r->nationalities_normalized);
    print_count("names trimmed", r->names_trimmed);
    print_count("literals skipped", r->literals_skipped);
    print_count("line of column names skipped", r->headers_skipped);
}

hs_status hs_graph_command_read(const hs_graph_arguments *a, hs_graph *g, hs_read_report *report, hs_error *err)
{
    hs_read_options options = {
        .raw = a->raw != 0, .skip_derived = a->skip_derived != 0, .literals = a->literals != 0, .types = a->types};
    options.format = a->format;
    options.columns = a->columns;
    return hs_graph_read(g, a->file, &options, report, err);
}

hs_status hs_graph_command_check_output(const hs_graph_arguments *a, hs_error *err)
{
    struct stat in, out;
    if (stat(a->out, &out) != 0)
        return HS_OK;
    bool same = stat(a->file, &in) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino;
    if (!same && a->force && S_ISREG(out.st_mode))
        return HS_OK;
    hs_fail(err, HS_ERR_USAGE, same ? "the output is the input" : "there is something at this place already");
    hs_error_where(err, "%s", a->out);
    return hs_error_hint(err, same ? "write to another file" : "write to another file, or replace it with --force");
}

json_t *hs_graph_command_report_json(const hs_read_report *r)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "records", (json_int_t)r->records,
                     "records_skipped", (json_int_t)r->records_skipped, "duplicates", (json_int_t)r->duplicates,
                     "aliases_by_id", (json_int_t)r->aliases_by_id, "aliases_by_title", (json_int_t)r->aliases_by_title,
                     "dates_normalized", (json_int_t)r->dates_normalized, "dates_unknown", (json_int_t)r->dates_unknown,
                     "nationalities_normalized", (json_int_t)r->nationalities_normalized, "names_trimmed",
                     (json_int_t)r->names_trimmed, "literals_skipped", (json_int_t)r->literals_skipped,
                     "headers_skipped", (json_int_t)r->headers_skipped);
}

void hs_graph_command_line(const char *what, uint64_t n)
{
    char text[32];
    printf("%-32s %15s\n", what, hs_format_count(n, text));
}

/* ---------------------------------------------------------------- arguments */

static void free_arguments(hs_graph_arguments *a)
{
    hs_list_free(&a->list);
    free(a->out);
    free(a->format);
    free(a->columns);
    free(a->relations);
    free(a->types);
}

/* What is wrong with the numbers and names given, or NULL. */
static const char *complaint(const hs_graph_arguments *a, bool writes)
{
    if (writes && a->out == NULL && !a->prompts_only)
        return "-o FILE is missing: where should the graph go?";
    if (writes && a->out && strcmp(a->out, "-") == 0)
        return "-o needs the name of a file: a graph is not written to standard output";
    if (!(a->phi > 0) && !(a->phi == 0 && a->bridges > 0))
        return "--phi must be above 0";
    if (!(a->threshold >= 0))
        return "--threshold must not be negative";
    if (!(a->max_majority >= 0) || a->max_majority > 1)
        return "--max-majority must be between 0 and 1";
    if (a->informative < 0 || a->min_degree < 0 || a->sample_bridges < 0 || a->comparison < 0 || a->bridges < 0 ||
        a->max_facts < 0 || a->seed < 0)
        return "numbers must not be negative";
    return NULL;
}

int hs_graph_command(int argc, const char **argv, const hs_usage *usage, const struct poptOption *options,
                     hs_graph_arguments *a, bool writes, int (*run)(const hs_graph_arguments *a))
{
    hs_args args;
    hs_error err = {0};
    int code;
    if (!hs_args_parse(&args, usage, argc, argv, options, 1, 1, &code)) {
        free_arguments(a);
        return code;
    }
    a->file = args.arg[0];
    a->prompts_only = a->lm && a->lm->dry_run;
    if (isnan(a->phi)) /* not given */
        a->phi = a->bridges > 0 ? 0 : 6.25;
    const char *what = complaint(a, writes);
    if (what != NULL) {
        code = hs_cli_usage_error(usage->name, "%s", what);
    } else if (hs_list_parse(&a->list, a->relations, &err) != HS_OK) {
        code = hs_cli_fail(&err);
    } else {
        code = run(a);
    }
    hs_args_free(&args);
    free_arguments(a);
    return code;
}

int hs_cmd_graph(int argc, const char **argv)
{
    static const hs_subcommand commands[] = {
        {"stats", "count facts, two-hop facts and phi of each relation", hs_graph_stats_command},
        {"augment", "add synthetic facts until phi reaches a target", hs_graph_augment_command},
        {"convert", "write the graph, or a part of it, as TSV", hs_graph_convert_command}};
    static const char after[] =
        "FILE is 2WikiMultiHopQA (.json, .jsonl), TSV, CSV, N-Triples or Turtle; .zst may follow; - is standard\n"
        "input (TSV); world is the graph inside the program.\n\nExample: hopscope graph stats world\n\n";
    return hs_cli_subcommand("graph", after, commands, sizeof commands / sizeof *commands, argc, argv);
}
