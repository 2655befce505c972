/* cmd_run.c - hopscope run: the whole way from an experiment file to a trained, evaluated model. */
#include "cli/cli.h"
#include "hopscope/report.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const hs_usage usage = {
    "run", "FILE",
    "Runs an experiment: graph, augmentation, dataset, training, evaluation. FILE is an experiment file, a run "
    "directory to\n"
    "go on with, or a graph of your own (.tsv, .csv, .nt, .ttl, 2Wiki .json or .jsonl): two-hop queries over its "
    "facts, 30%\n"
    "of them held out, with settings that suit a few thousand facts. Stopped at any moment, the same command goes on "
    "where\n"
    "it was. At the end: accuracy of every split, the relation pairs that do worst, and why their answers are wrong.",
    "  hopscope run experiments/demo.yaml\n"
    "  hopscope run my.tsv --set train.steps=3000\n"
    "  hopscope run experiments/demo.yaml -n\n"
    "  hopscope run experiments/demo.yaml --seeds 5 --json > result.json\n"
    "  hopscope run runs/demo --set train.steps=4000"};

typedef struct arguments {
    const char **set;
    char *out;
    int seeds, json, dry_run, quiet;
} arguments;

static size_t count(const char *const *list)
{
    size_t n = 0;
    while (list && list[n])
        n++;
    return n;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The stages of an experiment file, none where there are none. */
static hs_status read_stages(const char *file, const arguments *a, hs_stages *stages, hs_error *err)
{
    *stages = (hs_stages){0};
    if (is_folder(file) || hs_is_graph_file(file))
        return HS_OK;
    return hs_stages_read(stages, file, a->set, count(a->set), err);
}

/* The run directory that the arguments mean. */
static hs_status choose_dir(const char *file, const arguments *a, char *dir, size_t size, hs_error *err)
{
    if (!a->out && !is_folder(file))
        return hs_run_default_dir(dir, size, file, err);
    const char *given = a->out ? a->out : file;
    if (strlen(given) >= size)
        return hs_fail(err, HS_ERR_USAGE, "path of %zu bytes is too long", strlen(given));
    snprintf(dir, size, "%s", given);
    return HS_OK;
}

/* The configuration and the run directory. */
static hs_status settle(const char *file, const arguments *a, hs_config *config, char *dir, size_t size, hs_error *err)
{
    HS_TRY(hs_config_find(config, file, a->set, count(a->set), err));
    return choose_dir(file, a, dir, size, err);
}

static int finish(hs_status status, const hs_error *err, const char *again)
{
    if (status == HS_OK)
        return 0;
    if (!hs_status_stopped(status))
        return hs_cli_fail(err);
    fprintf(stderr, "hopscope: stopped, everything is saved; go on with: hopscope run %s\n", again);
    return hs_status_exit_code(status);
}

/* A dry run has nothing to save: signals end it at once. */
static hs_signals *signals_of(const hs_experiment_options *options)
{
    return options->dry_run ? NULL : hs_cli_signals();
}

static int run_one(const hs_config *config, const hs_experiment_options *options, const arguments *a)
{
    hs_view view;
    hs_events events = hs_view_events(&view, a->quiet != 0);
    hs_experiment_result result = {0};
    hs_error err = {0};
    hs_status status = hs_experiment_run(config, options, signals_of(options), &events, &result, &err);
    if (status == HS_OK && !options->dry_run)
        hs_page_after_run(config, options->run_dir, &result, 1, signals_of(options), &events);
    hs_view_close(&view);
    hs_str out = {0};
    if (status == HS_OK || hs_status_stopped(status)) {
        if (a->json) {
            hs_experiment_result_json(&result, options->run_dir, &out);
            hs_str_add(&out, "\n", 1);
        } else if (!options->dry_run) {
            hs_experiment_result_text(&result, &out);
        }
    }
    int printed = hs_cli_print(&out);
    hs_experiment_result_free(&result);
    int code = finish(status, &err, options->run_dir);
    if (code == 0 && !options->dry_run && !a->quiet && !a->json)
        fprintf(stderr, "\nnext: hopscope %s %s\n      hopscope plot %s -o curve.svg\n%s%s%s",
                config->data.rendering == HS_RENDER_TOKENS ? "ask" : "show", options->run_dir, options->run_dir,
                config->report.page ? "      open " : "", config->report.page ? options->run_dir : "",
                config->report.page ? "/report.html\n" : "");
    return code ? code : printed;
}

static int run_seeds(const hs_config *config, const hs_experiment_options *options, const arguments *a,
                     const char *file)
{
    hs_experiment_result *results = hs_calloc((size_t)a->seeds, sizeof *results);
    hs_error err = {0};
    if (!results) {
        hs_fail_memory(&err, (size_t)a->seeds * sizeof *results);
        return hs_cli_fail(&err);
    }
    hs_view view;
    hs_events events = hs_view_events(&view, a->quiet != 0);
    uint32_t done = 0;
    hs_status status =
        hs_experiment_seeds(config, options, (uint32_t)a->seeds, signals_of(options), &events, results, &done, &err);
    if (status == HS_OK && !options->dry_run)
        hs_page_after_run(config, options->run_dir, results, done, signals_of(options), &events);
    hs_view_close(&view);
    hs_str out = {0};
    if (a->json) {
        hs_experiment_seeds_json(results, done, options->run_dir, &out);
        hs_str_add(&out, "\n", 1);
    } else if (!options->dry_run) {
        hs_experiment_seeds_text(results, done, &out);
    }
    int printed = hs_cli_print(&out);
    for (int i = 0; i < a->seeds; i++)
        hs_experiment_result_free(&results[i]);
    hs_free(results);
    char again[4096];
    snprintf(again, sizeof again, "%s --seeds %d -o %s", file, a->seeds, options->run_dir);
    int code = finish(status, &err, again);
    return code ? code : printed;
}

/* A stage's result as the run of its folder. */
static void add_stage(const hs_stages *stages, uint32_t i, const hs_experiment_result *result, const char *dir,
                      bool json, hs_str *out)
{
    char path[4096];
    if (hs_stages_dir(stages, dir, i, 0, path, sizeof path, NULL) != HS_OK)
        return;
    if (json) {
        hs_str_addf(out, "%s", i ? ", " : "");
        hs_experiment_result_json(result, path, out);
        return;
    }
    hs_str_addf(out, "%s%s\n", i ? "\n" : "", path);
    hs_experiment_result_text(result, out);
}

static int run_stages(const hs_stages *stages, const hs_experiment_options *options, const arguments *a,
                      const char *file)
{
    hs_experiment_result *results = hs_calloc(stages->n, sizeof *results);
    hs_error err = {0};
    if (!results) {
        hs_fail_memory(&err, stages->n * sizeof *results);
        return hs_cli_fail(&err);
    }
    hs_view view;
    hs_events events = hs_view_events(&view, a->quiet != 0);
    uint32_t done = 0;
    hs_status status = hs_stages_run(stages, options, 0, signals_of(options), &events, results, &done, &err);
    char dir[4096] = "";
    for (uint32_t i = 0; status == HS_OK && !options->dry_run && i < done; i++)
        if (hs_stages_dir(stages, options->run_dir, i, 0, dir, sizeof dir, NULL) == HS_OK)
            hs_page_after_run(&stages->stage[i].config, dir, &results[i], 1, signals_of(options), &events);
    hs_view_close(&view);
    hs_str out = {0};
    if (a->json) {
        hs_str_addf(&out, "{\"run\": ");
        hs_str_add_json(&out, options->run_dir, strlen(options->run_dir));
        hs_str_addf(&out, ", \"stages\": [");
    }
    for (uint32_t i = 0; i < done && (a->json || !options->dry_run); i++)
        add_stage(stages, i, &results[i], options->run_dir, a->json != 0, &out);
    if (a->json)
        hs_str_addf(&out, "]}\n");
    int printed = hs_cli_print(&out);
    for (uint32_t i = 0; i < stages->n; i++)
        hs_experiment_result_free(&results[i]);
    hs_free(results);
    char again[4096];
    snprintf(again, sizeof again, "%s -o %s", file, options->run_dir);
    int code = finish(status, &err, again);
    if (code == 0 && !options->dry_run && !a->quiet && !a->json)
        fprintf(stderr, "\nnext: hopscope plot %s -o curve.svg\n      hopscope ask %s\n", options->run_dir, dir);
    return code ? code : printed;
}

/* Seed after seed, all stages of each; mean and range are those of the last stage. */
static int run_stages_seeds(const hs_stages *stages, const hs_experiment_options *options, const arguments *a,
                            const char *file)
{
    const uint32_t n = stages->n, last = n - 1;
    hs_experiment_result *results = hs_calloc((size_t)n * (size_t)a->seeds, sizeof *results);
    hs_experiment_result *ends = hs_calloc((size_t)a->seeds, sizeof *ends); /* borrowed from `results` */
    hs_error err = {0};
    hs_view view;
    hs_events events = hs_view_events(&view, a->quiet != 0);
    hs_status status = results && ends ? HS_OK : hs_fail_memory(&err, n * sizeof *results);
    uint32_t seeds = 0, done;
    for (uint32_t s = 0; status == HS_OK && s < (uint32_t)a->seeds; s++) {
        hs_event_send(&events, HS_EVENT_INFO, "run", "seed %u of %d", s + 1, a->seeds);
        status =
            hs_stages_run(stages, options, s + 1, signals_of(options), &events, results + (size_t)s * n, &done, &err);
        if (status == HS_OK)
            ends[seeds++] = results[(size_t)s * n + last];
    }
    char dir[4096] = "";
    hs_str out = {0};
    const char *name = stages->stage[last].name;
    snprintf(dir, sizeof dir, "%.4000s/%u-%s", options->run_dir, n, name);
    if (status == HS_OK && !options->dry_run)
        hs_page_after_run(&stages->stage[last].config, dir, ends, seeds, signals_of(options), &events);
    hs_view_close(&view);
    if (a->json) {
        hs_experiment_seeds_json(ends, seeds, dir, &out);
        hs_str_add(&out, "\n", 1);
    } else if (!options->dry_run && seeds) {
        hs_experiment_seeds_text(ends, seeds, &out);
    }
    int printed = hs_cli_print(&out);
    for (size_t i = 0; results && i < (size_t)n * (size_t)a->seeds; i++)
        hs_experiment_result_free(&results[i]);
    hs_free(results);
    hs_free(ends);
    char again[4096];
    snprintf(again, sizeof again, "%s --seeds %d -o %s", file, a->seeds, options->run_dir);
    int code = finish(status, &err, again);
    return code ? code : printed;
}

/* The arguments are right: rank 0, or the only process. Returns the exit code. */
static int run_file(const char *file, const arguments *a, hs_ranks *ranks)
{
    char dir[4096];
    int code;
    hs_config *config = hs_alloc(sizeof *config);
    hs_error err = {0};
    hs_stages stages;
    hs_status status = read_stages(file, a, &stages, &err);
    if (status == HS_OK && stages.n > 0)
        status = choose_dir(file, a, dir, sizeof dir, &err);
    else if (status == HS_OK)
        status = config ? settle(file, a, config, dir, sizeof dir, &err) : hs_fail_memory(&err, 0);
    const hs_experiment_options how = {.run_dir = dir, .dry_run = a->dry_run != 0, .ranks = ranks};
    if (status != HS_OK)
        code = hs_cli_fail(&err);
    else if (stages.n > 0 && a->seeds > 0)
        code = run_stages_seeds(&stages, &how, a, file);
    else if (stages.n > 0)
        code = run_stages(&stages, &how, a, file);
    else if (a->seeds > 0)
        code = run_seeds(config, &how, a, file);
    else
        code = run_one(config, &how, a);
    hs_free(config);
    hs_stages_free(&stages);
    return code;
}

int hs_cmd_run(int argc, const char **argv)
{
    arguments a = {0};
    const struct poptOption options[] = {
        {"set", 's', POPT_ARG_ARGV, &a.set, 0, "change a setting; hopscope config lists all keys", "KEY=VALUE"},
        {"output", 'o', POPT_ARG_STRING, &a.out, 0, "run directory; default runs/NAME of the file", "DIR"},
        {"seeds", 0, POPT_ARG_INT, &a.seeds, 0, "run seeds 1 .. N in DIR/seed-1 ..; prints mean and range", "N"},
        {"json", 0, POPT_ARG_NONE, &a.json, 0, "print the result as one JSON object", NULL},
        {"dry-run", 'n', POPT_ARG_NONE, &a.dry_run, 0, "build the dataset and say what training costs; write nothing",
         NULL},
        {"quiet", 'q', POPT_ARG_NONE, &a.quiet, 0, "warnings only", NULL},
        POPT_TABLEEND};
    hs_args args;
    int code;
    if (!hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code))
        goto done;
    hs_ranks *ranks = NULL;
    hs_error err = {0};
    if (a.seeds < 0 || a.seeds > 1000)
        code = hs_cli_usage_error("run", "--seeds is from 1 to 1000");
    else if (hs_cli_ranks_open(&ranks, &err) != HS_OK)
        code = hs_cli_ranks_close(ranks, hs_cli_ranks_fail(ranks, &err));
    else
        code = hs_cli_ranks_close(ranks, ranks && ranks->rank > 0 ? hs_cli_ranks_serve(ranks)
                                                                  : run_file(args.arg[0], &a, ranks));
    hs_args_free(&args);
done:
    for (size_t i = 0; a.set && a.set[i]; i++)
        free((void *)(uintptr_t)a.set[i]);
    free(a.set);
    free(a.out);
    return code;
}
