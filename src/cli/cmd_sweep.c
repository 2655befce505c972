/* cmd_sweep.c - hopscope sweep: all runs of a plan, here or one of them for a scheduler. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const hs_usage usage = {
    "sweep", "PLAN",
    "Trains every member of PLAN: an experiment (or a section `sweep` in one) under several settings, each with "
    "several "
    "seeds.\n"
    "Each member is a process and an ordinary run directory, DIR/ARM/seed-N, beside its log. Stopped at any moment, "
    "the "
    "same\n"
    "command goes on; what is done is skipped; one that fails does not stop the others and is named at the end. "
    "Several "
    "such\n"
    "commands may share a folder. With --index, or in a job array (SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX; unless "
    "-j is "
    "given),\n"
    "one member is trained in this process. hopscope gather makes the table. docs/sweep.md says more.",
    "  hopscope sweep experiments/bakeoff.yaml --dry-run\n"
    "  hopscope sweep experiments/bakeoff.yaml -j 2\n"
    "  hopscope sweep experiments/bakeoff.yaml --index 3\n"
    "  hopscope sweep experiments/bakeoff.yaml --slurm && sbatch runs/bakeoff/bakeoff.slurm"};

typedef struct arguments {
    const char **set;
    char *out;
    int jobs, threads, index, list, dry_run, json, slurm, kubernetes, snakemake, quiet;
} arguments;

/* ---------------------------------------------------------------- --list, --dry-run */

static hs_status add_list(const hs_sweep *sweep, bool json, hs_str *out, hs_error *err)
{
    for (uint32_t m = 0; m < hs_sweep_size(sweep); m++) {
        char name[160], steps[32];
        hs_member now;
        HS_TRY(hs_sweep_look(sweep, m, &now, err));
        hs_sweep_name(sweep, m, name);
        const char *state = hs_member_state_text(&now);
        if (json)
            hs_str_addf(out, "%s{\"index\": %u, \"member\": \"%s\", \"state\": \"%s\", \"steps\": %llu}",
                        m ? ", " : "[", m, name, state, (unsigned long long)now.steps);
        else
            hs_str_addf(out, "%5u  %-40s %-12s %12s%s%s\n", m, name, state, hs_format_count(now.steps, steps),
                        now.problem[0] ? "  " : "", now.problem);
    }
    hs_str_addf(out, json ? "]\n" : "");
    return HS_OK;
}

static void add_cost(const hs_sweep *sweep, const hs_sweep_cost *cost, uint32_t jobs, bool json, hs_str *out)
{
    if (json) {
        hs_str_addf(
            out,
            "{\"members\": %u, \"left\": %u, \"seconds\": %.0f, \"longest\": %.0f, \"memory\": %llu, \"jobs\": %u, "
            "\"wall_seconds\": %.0f}\n",
            cost->members, cost->left, cost->seconds, cost->longest, (unsigned long long)cost->memory, jobs,
            cost->seconds / jobs);
        return;
    }
    hs_str_addf(out, "%u members (%u arms, %u seeds), %u to train: %.1f hours of work, the longest %.2f hours\n",
                cost->members, sweep->n_arms, sweep->n_seeds, cost->left, cost->seconds / 3600, cost->longest / 3600);
    hs_str_addf(out,
                "%u at a time: %.1f hours, %.0f MB each at most. Whole budgets; a stop rule may end a run earlier.\n",
                jobs, cost->seconds / jobs / 3600, (double)cost->memory / 1e6);
}

/* ---------------------------------------------------------------- one member */

static int run_member(const hs_sweep *sweep, uint32_t member, const arguments *a)
{
    hs_view view;
    hs_error err = {0};
    char name[160];
    if (member >= hs_sweep_size(sweep)) {
        hs_fail(&err, HS_ERR_USAGE, "there is no member %u; the plan has 0 to %u", member, hs_sweep_size(sweep) - 1);
        return hs_cli_fail(&err);
    }
    hs_sweep_name(sweep, member, name);
    hs_events events = hs_view_events(&view, a->quiet != 0);
    hs_experiment_result result = {0};
    const hs_status status = hs_sweep_train(sweep, member, hs_cli_signals(), &events, &result, &err);
    hs_view_close(&view);
    const bool busy = result.in_use;
    hs_experiment_result_free(&result);
    if (hs_status_stopped(status)) {
        fprintf(stderr, "hopscope: %s stopped, everything is saved; the same command goes on\n", name);
        return hs_status_exit_code(status);
    }
    if (status == HS_OK)
        return 0;
    const int code = hs_cli_fail(&err);
    return busy ? HS_EXIT_BUSY : code;
}

/* ---------------------------------------------------------------- all members, here */

/* The program and arguments that run one member. The caller frees *list; the strings last as long as `a` and `own`. */
static const char **command(const hs_sweep *sweep, const arguments *a, const char *program, const char *threads,
                            size_t *n)
{
    size_t sets = 0;
    while (a->set && a->set[sets])
        sets++;
    const char **list = hs_calloc(2 * sets + 8, sizeof *list);
    *n = 0;
    if (!list)
        return NULL;
    if (program) {
        list[(*n)++] = program;
        list[(*n)++] = "sweep";
        list[(*n)++] = sweep->path;
    }
    for (size_t i = 0; i < sets; i++) {
        list[(*n)++] = "--set";
        list[(*n)++] = a->set[i];
    }
    list[(*n)++] = "--output";
    list[(*n)++] = sweep->dir;
    if (threads) {
        list[(*n)++] = "--threads";
        list[(*n)++] = threads;
    }
    return list;
}

static bool this_program(char *out, size_t size)
{
    const ssize_t n = readlink("/proc/self/exe", out, size - 1);
    out[n > 0 ? n : 0] = 0;
    return n > 0;
}

/* Fewer at a time where memory would not do. */
static uint32_t fit_memory(uint32_t jobs, const hs_sweep_cost *cost)
{
    const uint64_t free_bytes = hs_memory_available();
    const uint64_t fit = cost->memory ? free_bytes / cost->memory : jobs;
    if (fit >= jobs)
        return jobs;
    fprintf(stderr, "hopscope: a member may take %.0f MB, %.0f MB are free: %llu at a time instead of %u\n",
            (double)cost->memory / 1e6, (double)free_bytes / 1e6, (unsigned long long)(fit ? fit : 1), jobs);
    return fit ? (uint32_t)fit : 1;
}

static void name_failed(const hs_sweep *sweep, const hs_outcome *outcome)
{
    for (uint32_t m = 0; m < hs_sweep_size(sweep); m++) {
        char name[160];
        if (outcome[m] != HS_OUTCOME_FAILED && outcome[m] != HS_OUTCOME_BUSY)
            continue;
        hs_sweep_name(sweep, m, name);
        fprintf(stderr,
                outcome[m] == HS_OUTCOME_FAILED ? "hopscope: failed: %s; its log is %s/%s.log\n"
                                                : "hopscope: left to another process: %s (%s/%s)\n",
                name, sweep->dir, name);
    }
}

static int run_here(const hs_sweep *sweep, uint32_t jobs, const char *threads, const hs_sweep_cost *cost,
                    const arguments *a)
{
    char program[4096];
    hs_error err = {0};
    size_t n;
    hs_outcome *outcome = hs_calloc(hs_sweep_size(sweep), sizeof *outcome);
    const char **list = command(sweep, a, this_program(program, sizeof program) ? program : "hopscope", threads, &n);
    if (!outcome || !list) {
        hs_free(outcome);
        hs_free((void *)(uintptr_t)list);
        hs_fail_memory(&err, n);
        return hs_cli_fail(&err);
    }
    const hs_sweep_options options = {.jobs = fit_memory(jobs, cost), .command = list, .n_command = n};
    hs_view view;
    hs_events events = hs_view_events(&view, a->quiet != 0);
    hs_event_send(&events, HS_EVENT_INFO, "sweep",
                  "%u of %u members to train, %u at a time, %s thread%s and %.0f MB each", cost->left, cost->members,
                  options.jobs, threads, strcmp(threads, "1") == 0 ? "" : "s", (double)cost->memory / 1e6);
    const hs_status status = hs_sweep_run(sweep, &options, hs_cli_signals(), &events, outcome, &err);
    hs_view_close(&view);
    int code = 0;
    if (hs_status_stopped(status)) {
        fprintf(stderr, "hopscope: stopped, everything is saved; the same command goes on\n");
        code = hs_status_exit_code(status);
    } else if (status != HS_OK) {
        code = hs_cli_fail(&err);
    }
    name_failed(sweep, outcome);
    hs_free(outcome);
    hs_free((void *)(uintptr_t)list);
    return code;
}

/* ---------------------------------------------------------------- job files */

static int write_jobs(const hs_sweep *sweep, hs_job_kind kind, const hs_sweep_cost *cost, uint32_t cpus,
                      const arguments *a)
{
    static const char *const endings[] = {"slurm", "kubernetes.yaml", "smk"};
    char program[4096], folder[4096], path[4096], name[256];
    hs_error err = {0};
    hs_str text = {0};
    size_t n;
    const char **list = command(sweep, a, NULL, NULL, &n);
    hs_status status = list ? hs_make_dirs(sweep->dir, &err) : hs_fail_memory(&err, 0);
    if (status == HS_OK && (!this_program(program, sizeof program) || !getcwd(folder, sizeof folder)))
        status = hs_fail(&err, HS_ERR_FAILED, "this program's own path cannot be told");
    const char *slash = strrchr(sweep->path, '/'), *base = slash ? slash + 1 : sweep->path, *dot = strrchr(base, '.');
    const hs_job_options options = {
        .program = program, .folder = folder, .arguments = list, .n_arguments = n, .cpus = cpus, .cost = cost};
    for (uint32_t part = 0; status == HS_OK && hs_sweep_job(sweep, kind, &options, part, &text); part++) {
        char number[16] = "";
        if (part)
            snprintf(number, sizeof number, "-%u", part + 1);
        snprintf(name, sizeof name, "%.*s%s.%s", dot && dot != base && dot - base < 200 ? (int)(dot - base) : 200, base,
                 number, endings[kind]);
        status = hs_path_join(path, sizeof path, sweep->dir, name, &err);
        if (status == HS_OK)
            status = text.failed ? hs_fail_memory(&err, text.len) : hs_file_write(path, text.s, text.len, &err);
        hs_str_free(&text);
        if (status == HS_OK)
            printf("%s\n", path);
    }
    hs_str_free(&text);
    hs_free((void *)(uintptr_t)list);
    return status == HS_OK ? 0 : hs_cli_fail(&err);
}

/* ---------------------------------------------------------------- the command */

/* The index that a job array gives, or -1. */
static int array_index(void)
{
    static const char *const names[] = {"SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"};
    for (int i = 0; i < 2; i++) {
        const char *text = getenv(names[i]);
        char *end;
        const long n = text ? strtol(text, &end, 10) : -1;
        if (text && end != text && *end == 0 && n >= 0 && n < 1000000000)
            return (int)n;
    }
    return -1;
}

static int run_many(hs_sweep *sweep, const arguments *a)
{
    hs_error err = {0};
    hs_str out = {0};
    const uint32_t cores = hs_cores();
    const uint32_t jobs = a->jobs > 0 ? (uint32_t)a->jobs : hs_sweep_jobs(sweep, cores);
    const uint32_t share = a->threads > 0 ? (uint32_t)a->threads : cores / jobs ? cores / jobs : 1;
    const bool file = a->slurm || a->kubernetes || a->snakemake;
    char threads[16];
    snprintf(threads, sizeof threads, "%u", share);
    hs_sweep_share(sweep, share);
    hs_view view;
    hs_events events = hs_view_events(&view, a->quiet != 0);
    hs_sweep_cost cost;
    const hs_status status = hs_sweep_estimate(sweep, a->dry_run || file, NULL, &events, &cost, &err);
    hs_view_close(&view);
    if (status != HS_OK)
        return hs_cli_fail(&err);
    if (a->dry_run) {
        add_cost(sweep, &cost, jobs, a->json != 0, &out);
        return hs_cli_print(&out);
    }
    if (file)
        return write_jobs(sweep,
                          a->slurm        ? HS_JOB_SLURM
                          : a->kubernetes ? HS_JOB_KUBERNETES
                                          : HS_JOB_SNAKEMAKE,
                          &cost, share, a);
    return run_here(sweep, jobs, threads, &cost, a);
}

static int sweep_plan(const char *plan, const arguments *a)
{
    hs_error err = {0};
    hs_sweep sweep = {0};
    size_t n_set = 0;
    while (a->set && a->set[n_set])
        n_set++;
    if (hs_sweep_read(&sweep, plan, a->out, a->set, n_set, &err) != HS_OK)
        return hs_cli_fail(&err);
    const bool many = a->jobs > 0 || a->dry_run || a->slurm || a->kubernetes || a->snakemake;
    const int index = a->index >= 0 || many ? a->index : array_index();
    int code;
    if (a->list) {
        hs_str out = {0};
        const hs_status status = add_list(&sweep, a->json != 0, &out, &err);
        code = status == HS_OK ? hs_cli_print(&out) : hs_cli_fail(&err);
        hs_str_free(&out);
    } else if (index >= 0) {
        hs_sweep_share(&sweep, a->threads > 0 ? (uint32_t)a->threads : 0);
        code = run_member(&sweep, (uint32_t)index, a);
    } else {
        code = run_many(&sweep, a);
    }
    hs_sweep_free(&sweep);
    return code;
}

int hs_cmd_sweep(int argc, const char **argv)
{
    arguments a = {.index = -1};
    const struct poptOption options[] = {
        {"jobs", 'j', POPT_ARG_INT, &a.jobs, 0, "members at a time; default as the cores allow", "N"},
        {"output", 'o', POPT_ARG_STRING, &a.out, 0, "folder of the runs; default runs/NAME of the plan", "DIR"},
        {"set", 's', POPT_ARG_ARGV, &a.set, 0, "change a setting of all arms; an arm's own settings win", "KEY=VALUE"},
        {"index", 'i', POPT_ARG_INT, &a.index, 0, "train this member only, counted from 0", "I"},
        {"list", 'l', POPT_ARG_NONE, &a.list, 0, "list the members and what became of them", NULL},
        {"dry-run", 'n', POPT_ARG_NONE, &a.dry_run, 0, "build every arm and say what the sweep costs; train nothing",
         NULL},
        {"threads", 0, POPT_ARG_INT, &a.threads, 0, "of a member; default the cores shared out", "N"},
        {"slurm", 0, POPT_ARG_NONE, &a.slurm, 0, "write a Slurm job file (sbatch), an array of at most 1,000 a file",
         NULL},
        {"kubernetes", 0, POPT_ARG_NONE, &a.kubernetes, 0, "write a Kubernetes Indexed Job", NULL},
        {"snakemake", 0, POPT_ARG_NONE, &a.snakemake, 0, "write a Snakefile", NULL},
        {"json", 0, POPT_ARG_NONE, &a.json, 0, "with --list and --dry-run: print JSON", NULL},
        {"quiet", 'q', POPT_ARG_NONE, &a.quiet, 0, "warnings only", NULL},
        POPT_TABLEEND};
    hs_args args;
    int code;
    if (hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code)) {
        if (a.jobs < 0 || a.jobs > 4096 || a.threads < 0 || a.threads > 4096 || a.index < -1)
            code = hs_cli_usage_error("sweep", "-j and --threads are from 1 to 4096, --index from 0");
        else if (a.list + a.dry_run + a.slurm + a.kubernetes + a.snakemake + (a.index >= 0) > 1)
            code = hs_cli_usage_error("sweep", "--list, --dry-run, --index and the job files stand alone");
        else
            code = sweep_plan(args.arg[0], &a);
        hs_args_free(&args);
    }
    for (size_t i = 0; a.set && a.set[i]; i++)
        free((void *)(uintptr_t)a.set[i]);
    free(a.set);
    free(a.out);
    return code;
}
