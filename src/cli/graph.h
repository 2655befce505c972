/* graph.h - what the commands of `hopscope graph` share: cmd_graph.c, and a file for each of them. */
#ifndef HOPSCOPE_CLI_GRAPH_H
#define HOPSCOPE_CLI_GRAPH_H

#include "cli/cli.h"
#include "hopscope/graph.h"

struct hs_lm_arguments;

/* Everything the three commands can be told. */
typedef struct hs_graph_arguments {
    const char *file;
    char *out, *format, *columns, *relations, *types;
    double threshold, phi, max_majority;
    int json, raw, skip_derived, literals, pairs;
    int functional, inverses, informative, min_degree, sample_bridges;
    int acyclic, reuse, of_type, overall, comparison, bridges, force;
    long long max_facts, seed;
    hs_list list; /* relations, split */
    int each;     /* facts asked for in one question of a language model */
    struct hs_lm_arguments *lm; /* of augment; else NULL */
    bool prompts_only;          /* nothing is written */
} hs_graph_arguments;

/* Rows of an option table over a variable `a` of type hs_graph_arguments. */
#define HS_GRAPH_READING_OPTIONS                                                                                       \
    {"format", 0, POPT_ARG_STRING, &a.format, 0, "tsv, csv, 2wiki, ntriples, turtle or world (by name or content)",    \
     "NAME"},                                                                                                          \
        {"columns", 0, POPT_ARG_STRING, &a.columns, 0, "TSV, CSV: order of the columns: hrt, htr, rht ...", "ORDER"},  \
        {"raw", 0, POPT_ARG_NONE, &a.raw, 0, "2Wiki: take the evidences as they stand, repair nothing", NULL},         \
        {"types", 0, POPT_ARG_STRING, &a.types, 0, "2Wiki: only records of these types, comma-separated", "LIST"},     \
        {"skip-derived", 0, POPT_ARG_NONE, &a.skip_derived, 0, "2Wiki: skip records marked as derived", NULL},         \
        {"literals", 0, POPT_ARG_NONE, &a.literals, 0, "RDF: literals are tails too", NULL},                           \
    {                                                                                                                  \
        "json", 0, POPT_ARG_NONE, &a.json, 0, "the result as JSON", NULL                                               \
    }
#define HS_GRAPH_WRITING_OPTIONS                                                                                       \
    {"out", 'o', POPT_ARG_STRING, &a.out, 0, "file to write (TSV)", "FILE"},                                           \
        {"force", 0, POPT_ARG_NONE, &a.force, 0, "replace the file if it is there; never the input", NULL},            \
        {"relations", 0, POPT_ARG_STRING, &a.relations, 0, "only these relations, comma-separated", "LIST"},           \
    {                                                                                                                  \
        "seed", 0, POPT_ARG_LONGLONG, &a.seed, 0, "the same seed gives the same result (0)", "N"                       \
    }

int hs_graph_stats_command(int argc, const char **argv);
int hs_graph_augment_command(int argc, const char **argv);
int hs_graph_augment_model(const hs_graph_arguments *a); /* augment with --model or --dry-run */
int hs_graph_convert_command(int argc, const char **argv);

/* Parse into *a (released before it returns), check what was given, run; returns the exit code. `writes`: needs -o. */
int hs_graph_command(int argc, const char **argv, const hs_usage *usage, const struct poptOption *options,
                     hs_graph_arguments *a, bool writes, int (*run)(const hs_graph_arguments *a));
hs_status hs_graph_command_read(const hs_graph_arguments *a, hs_graph *g, hs_read_report *report, hs_error *err);
/* Before any work: the output must not be the input under another name, and replaces a file only with --force. */
hs_status hs_graph_command_check_output(const hs_graph_arguments *a, hs_error *err);
/* What was repaired while reading: for people, on stderr; as a JSON object. */
void hs_graph_command_report(const hs_read_report *r);
json_t *hs_graph_command_report_json(const hs_read_report *r);
/* A line of a table on stdout: what, and a count. */
void hs_graph_command_line(const char *what, uint64_t n);

#endif
