/* cmd_baseline.c - hopscope baseline: a run's test questions, asked in words of a language model. */
#include "cli/lm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const hs_usage usage = {
    "baseline", "RUN",
    "Asks a language model the test questions of a run, in words: at once and step by step, with no facts in the "
    "prompt, those\n"
    "within two hops, or all. Scores the answers and keeps them in the run's record, beside its own accuracy, the "
    "majority and the\n"
    "shortcuts (hopscope show, the page). The server is any that speaks chat completions; its key, where it wants one, "
    "is read\n"
    "from OPENAI_API_KEY. Answers are kept as they come: a stopped command goes on where it was.",
    "  hopscope baseline runs/demo --dry-run | head -20\n"
    "  hopscope baseline runs/demo --server http://127.0.0.1:8000/v1 --model NAME --items 100\n"
    "  hopscope baseline runs/demo --model gpt-4o --facts none,retrieved --export questions.jsonl\n"
    "  hopscope baseline runs/demo --model gpt-4o --facts none,retrieved --import answers.jsonl"};

typedef struct arguments {
    hs_lm_arguments lm;
    char *splits, *ways, *facts, *aliases, *export_path, *import_path;
    int items, json, quiet;
    long long seed;
    const char *run;
} arguments;

/* A list of names into switches; false after an error that was said. */
static bool choose(const char *option, const char *text, const char *const *names, bool *out, int *code)
{
    char word[32];
    if (!text)
        return true;
    for (size_t k = 0; names[k]; k++)
        out[k] = false;
    for (size_t i = 0; hs_list_get(text, i, word, sizeof word); i++) {
        size_t k = 0;
        while (names[k] && strcmp(names[k], word) != 0)
            k++;
        if (!names[k]) {
            *code = hs_cli_usage_error("baseline", "--%s: there is no '%s'", option, word);
            return false;
        }
        out[k] = true;
    }
    return true;
}

static hs_status print_prompts(hs_baseline_job *job, hs_error *err)
{
    const size_t n = hs_baseline_size(job);
    uint64_t bytes = 0;
    for (size_t i = 0; i < n && !ferror(stdout); i++) {
        hs_lm_question q;
        HS_TRY(hs_baseline_make(job, i, &q, err));
        hs_cli_lm_print_prompt(i, n, &q);
        bytes += strlen(q.prompt);
    }
    char a[32], b[32];
    fprintf(stderr, "%s prompts, about %s tokens\n", hs_format_count(n, a), hs_format_count(bytes / 4, b));
    return HS_OK;
}

static hs_status score(const arguments *a, const hs_baseline_job *job, const hs_lm *lm, const hs_lm_answer *answers,
                       hs_error *err)
{
    hs_baseline_row *rows;
    size_t n;
    if (hs_lm_counted(lm)->capped) {
        hs_fail(err, HS_ERR_FAILED,
                "the limit of requests or of the cost came before the last answer: nothing is scored");
        return hs_error_hint(err, "answers so far are kept: the same command with a higher limit goes on");
    }
    HS_TRY(hs_baseline_score(job, answers, &rows, &n, err));
    const hs_status status = hs_baseline_record(a->run, a->lm.model, rows, n, err);
    hs_free(rows);
    return status;
}

static hs_status ask(const arguments *a, hs_baseline_job *job, hs_lm *lm, hs_error *err)
{
    const size_t n = hs_baseline_size(job);
    uint64_t taken = 0, failed = 0;
    if (a->export_path) {
        HS_TRY(hs_lm_export(lm, n, hs_baseline_make, job, a->export_path, &taken, err));
        fprintf(stderr, "%llu questions written to %s\n", (unsigned long long)taken, a->export_path);
        return HS_OK;
    }
    if (a->import_path) {
        HS_TRY(hs_lm_import(lm, n, hs_baseline_make, job, a->import_path, &taken, &failed, err));
        fprintf(stderr, "%llu answers taken from %s, %llu failed there\n", (unsigned long long)taken, a->import_path,
                (unsigned long long)failed);
    }
    hs_lm_answer *answers = hs_calloc(n + 1, sizeof *answers);
    if (!answers)
        return hs_fail_memory(err, n * sizeof *answers);
    hs_status status = hs_lm_ask(lm, n, hs_baseline_make, job, answers, hs_cli_signals(), err);
    if (status == HS_OK)
        status = score(a, job, lm, answers, err);
    hs_lm_answers_free(answers, n);
    return status;
}

static int print(const arguments *a, const hs_lm *lm)
{
    hs_error err = {0};
    if (a->export_path)
        return 0;
    if (a->json)
        return hs_cli_print_json(json_pack("{s:s, s:s, s:o}", "run", a->run, "model", a->lm.model, "asked",
                                           hs_cli_lm_report_json(hs_lm_counted(lm))));
    hs_run_reader run;
    hs_str out = {0};
    if (hs_run_reader_open(&run, a->run, &err) != HS_OK)
        return hs_cli_fail(&err);
    const hs_status status = hs_cli_baselines(&run, &out, &err);
    hs_run_reader_close(&run);
    if (status == HS_OK)
        return hs_cli_print(&out);
    hs_str_free(&out);
    return hs_cli_fail(&err);
}

static int with_server(const arguments *a, hs_baseline_job *job, const hs_lm_options *options)
{
    hs_error err = {0};
    hs_lm *lm;
    hs_view view;
    const hs_events events = hs_view_events(&view, a->quiet != 0);
    if (hs_lm_open(&lm, options, &events, &err) != HS_OK)
        return hs_cli_fail(&err);
    const hs_status status = ask(a, job, lm, &err);
    hs_view_close(&view);
    if (!a->quiet && !a->export_path)
        hs_cli_lm_report(hs_lm_counted(lm), options);
    int code;
    if (hs_status_stopped(status)) {
        fprintf(stderr, "hopscope: stopped; answers so far are kept in %s, the same command goes on\n", options->cache);
        code = hs_status_exit_code(status);
    } else {
        code = status == HS_OK ? print(a, lm) : hs_cli_fail(&err);
    }
    hs_lm_close(lm);
    return code;
}

static int run(const arguments *a)
{
    char cache[4096], path[4096];
    hs_error err = {0};
    hs_lm_options options;
    hs_baseline_options how;
    int code = 0;
    hs_baseline_options_default(&how);
    how.splits = a->splits;
    how.items = (uint32_t)a->items;
    how.seed = (uint64_t)a->seed;
    how.aliases = a->aliases;
    if (!choose("how", a->ways, hs_lm_way_names, how.way, &code) ||
        !choose("facts", a->facts, hs_lm_facts_names, how.facts, &code))
        return code;
    hs_run_reader reader;
    hs_dataset data = {0};
    hs_baseline_job *job = NULL;
    if (hs_path_join(cache, sizeof cache, a->run, "answers.db", &err) != HS_OK ||
        hs_path_join(path, sizeof path, a->run, "dataset", &err) != HS_OK ||
        hs_run_reader_open(&reader, a->run, &err) != HS_OK)
        return hs_cli_fail(&err);
    hs_run_reader_close(&reader);
    if (!hs_cli_lm_options(&a->lm, "baseline", cache, &options, &code))
        return code;
    if (hs_dataset_read(&data, path, &err) != HS_OK || hs_baseline_open(&job, &data, &how, &err) != HS_OK)
        code = hs_cli_fail(&err);
    else if (a->lm.dry_run)
        code = print_prompts(job, &err) == HS_OK ? 0 : hs_cli_fail(&err);
    else
        code = with_server(a, job, &options);
    hs_baseline_close(job);
    hs_dataset_free(&data);
    return code;
}

static const char *complaint(const arguments *a)
{
    if (a->items < 0 || a->seed < 0)
        return "--items and --seed are not negative";
    if (a->export_path && (a->import_path || a->lm.server))
        return "--export asks nobody: without --server and --import";
    if (!a->export_path && !a->import_path && !a->lm.server && !a->lm.dry_run)
        return "--server URL is missing; or --export FILE, --import FILE, --dry-run";
    return NULL;
}

int hs_cmd_baseline(int argc, const char **argv)
{
    arguments a = {.items = 100};
    hs_lm_arguments lm = HS_LM_ARGUMENTS;
    int code;
    const struct poptOption options[] = {
        {"how", 0, POPT_ARG_STRING, &a.ways, 0, "direct, steps (both)", "LIST"},
        {"facts", 0, POPT_ARG_STRING, &a.facts, 0, "in the prompt: none, retrieved, all (none,retrieved)", "LIST"},
        {"split", 0, POPT_ARG_STRING, &a.splits, 0, "these splits; default every test split of questions", "LIST"},
        {"items", 'n', POPT_ARG_INT, &a.items, 0, "questions of a split, drawn by --seed (100); 0 all", "N"},
        {"seed", 0, POPT_ARG_LONGLONG, &a.seed, 0, "of the items, the order of facts, the names (0)", "N"},
        {"aliases", 0, POPT_ARG_STRING, &a.aliases, 0, "other names: a line a thing, separated by tabs", "FILE"},
        {"export", 0, POPT_ARG_STRING, &a.export_path, 0, "write what is not answered yet as a batch file", "FILE"},
        {"import", 0, POPT_ARG_STRING, &a.import_path, 0, "read the answers to a batch file", "FILE"},
        HS_LM_OPTIONS,
        {"quiet", 'q', POPT_ARG_NONE, &a.quiet, 0, "warnings and the result only", NULL},
        {"json", 0, POPT_ARG_NONE, &a.json, 0, "what was asked, as JSON (rows: hopscope show --json)", NULL},
        POPT_TABLEEND};
    hs_args args;
    if (hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code)) {
        a.lm = lm;
        a.run = args.arg[0];
        const char *what = complaint(&a);
        code = what ? hs_cli_usage_error("baseline", "%s", what) : run(&a);
        hs_args_free(&args);
    }
    hs_cli_lm_free(&lm);
    free(a.splits);
    free(a.ways);
    free(a.facts);
    free(a.aliases);
    free(a.export_path);
    free(a.import_path);
    return code;
}
