/* cli.h - what the commands of the program share.
 *
 * A command is one file, cmd_NAME.c, with `int hs_cmd_NAME(int argc, const char **argv)`, and one line of the map
 * below (docs/design.md, "Adding a command"); help, man page and completion follow. The build lists those whose file is there. argv[0] is the command's name; the result is the exit code. A
 * command parses arguments, calls the library and prints: no logic. Output for people goes to stderr, results and data
 * to stdout. Every function here may be called from the main thread only. */
#ifndef HOPSCOPE_CLI_H
#define HOPSCOPE_CLI_H

#include "hopscope/core.h"
#include "hopscope/experiment.h"
#include "hopscope/train.h"

#include <jansson.h>
#include <popt.h>

/* Name and one line of help, in the order of the list. */
#define HS_COMMAND_MAP(X)                                                                                              \
    X(run, "run an experiment: graph, dataset, training, evaluation")                                                  \
    X(ask, "ask a trained model; shows the bridge it went through")                                                    \
    X(eval, "evaluate a run's model on its splits")                                                                    \
    X(show, "what a run directory holds: evaluations, shortcuts, checkpoints, probes")                                 \
    X(interpret, "look inside a run's model: lens, causal tracing, circuits")                                          \
    X(report, "one HTML page of runs: curves, looks inside, questions; opens offline")                                 \
    X(serve, "the page of runs, live, for a browser on this machine")                                                  \
    X(plot, "draw the grokking curve of runs")                                                                         \
    X(sweep, "train a plan: an experiment under several settings and seeds")                                           \
    X(gather, "one table, figure and database of all runs of a plan")                                                  \
    X(verify, "replay a stretch of a run and compare the weights")                                                     \
    X(graph, "statistics, augmentation and conversion of a knowledge graph")                                           \
    X(baseline, "what a language model behind a server makes of a run's test questions")                               \
    X(sources, "where to get the knowledge graphs that are not embedded; downloads nothing")                           \
    X(data, "build, inspect, audit and convert datasets")                                                              \
    X(config, "list every setting, or show the resolved settings of a file")                                           \
    X(export, "write a run's model or dataset in other forms")                                                         \
    X(import, "read a model or dataset of another form")                                                               \
    X(logits, "logits of a model for given token ids")                                                                 \
    X(tokenize, "token ids of text, and tokenizers learned from text")                                                 \
    X(bench, "measure this machine: GEMM roof, steps per second")
#define HS_X(name, summary) int hs_cmd_##name(int argc, const char **argv);
HS_COMMAND_MAP(HS_X)
#undef HS_X

/* ---------------------------------------------------------------- arguments */

typedef struct hs_usage {
    const char *name;      /* "run", or "graph stats" for a command of a command */
    const char *arguments; /* "FILE" */
    const char *text;      /* what it does, a few lines */
    const char *examples;  /* one a line */
} hs_usage;

typedef struct hs_args {
    poptContext context;
    struct poptOption table[4];
    const char **arg; /* the arguments that are no options; valid until hs_args_free */
    size_t n;
    int help;
} hs_args;
/* Parse. `options` ends with POPT_TABLEEND, uses only rows that store (val 0), and must outlive `args`; --help is
 * added. True: go on; *exit_code is 0. False: leave with *exit_code (--help was printed, or an error that names the nearest option). */
bool hs_args_parse(hs_args *args, const hs_usage *usage, int argc, const char **argv, const struct poptOption *options,
                   size_t min_args, size_t max_args, int *exit_code);
void hs_args_free(hs_args *args);
/* While `fn` is set, hs_args_parse calls it with what it is given and returns false, exit code 0: so the man page and the
 * completion script know every option, and a command need not say it twice. NULL ends it. */
typedef void (*hs_describe_fn)(void *user, const hs_usage *usage, const struct poptOption *options);
void hs_cli_describe(hs_describe_fn fn, void *user);

/* A command made of commands: "graph stats". Lists them for --help, names the nearest for a wrong one. */
typedef struct hs_subcommand {
    const char *name, *summary;
    int (*run)(int argc, const char **argv);
} hs_subcommand;
int hs_cli_subcommand(const char *name, const char *after, const hs_subcommand *list, size_t n, int argc,
                      const char **argv);

/* ---------------------------------------------------------------- output */

/* "hopscope: where: what: 'value'" on stderr; returns the exit code of the status. */
int hs_cli_fail(const hs_error *err);
/* The same for wrong usage of a command, with "try: hopscope NAME --help"; returns 2. */
int hs_cli_usage_error(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* hs_run_open passed over a newer checkpoint that is damaged: say so on stderr. `run` is open. */
void hs_cli_warn_damage(const hs_run *run);
/* Text to stdout, freed. Returns 0, or the exit code after an error that is said (closed pipe, full disk, no memory).
 */
int hs_cli_print(hs_str *out);
/* The same for a JSON object, indented; takes the reference. NULL counts as no memory. */
int hs_cli_print_json(json_t *json);
/* `out`, made of the runs that are the arguments, as JSON. */
int hs_cli_print_made(const hs_args *args, const char *out);
/* True where escape codes are welcome: a terminal, no NO_COLOR, TERM not "dumb". */
bool hs_cli_color(FILE *file);

/* ---------------------------------------------------------------- events and signals */

/* How events are shown: one rewritten line on a terminal, plain lines at a low rate otherwise. */
typedef struct hs_view {
    bool quiet; /* warnings only */
    bool terminal;
    bool color;
    bool line_open;   /* the progress line stands on the terminal */
    double last_line; /* when a plain line was written */
    double started;
} hs_view;
hs_events hs_view_events(hs_view *view, bool quiet);
void hs_view_close(hs_view *view); /* ends the progress line; before any other output */

/* Install handlers: SIGINT, SIGTERM, SIGHUP and SIGUSR2 ask for a stop (a second one but SIGHUP ends the process at
 * once), SIGUSR1 for a save; in a batch job for a stop, and so does the end of its time. */
hs_signals *hs_cli_signals(void);

/* ---------------------------------------------------------------- ranks */

/* Joins the processes that a launcher started together (mpirun, srun); *ranks NULL: this one is alone. HS_ERR_DATA
 * where more than one cannot reach each other, or the program was built without MPI. Also after an error,
 * hs_cli_ranks_close. */
hs_status hs_cli_ranks_open(hs_ranks **ranks, hs_error *err);
/* What ranks but the first do instead of `hopscope run`; returns their exit code. They say nothing, but why they end
 * before rank 0. */
int hs_cli_ranks_serve(hs_ranks *ranks);
/* An error of this rank: said, unless a lower rank lives, which says it. Returns the exit code. */
int hs_cli_ranks_fail(const hs_ranks *ranks, const hs_error *err);
/* Rank 0 dismisses the others; returns `code`. Once a rank is lost it ends all and does not return. */
int hs_cli_ranks_close(hs_ranks *ranks, int code);

#endif
