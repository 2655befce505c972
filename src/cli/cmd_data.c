/* cmd_data.c - hopscope data: make, audit, convert and extend datasets. */
#include "cli/cli.h"
#include "hopscope/data.h"
#include "hopscope/experiment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- what was written */

/* For make, export, import and newfacts, with --json. */
static int print_written(const hs_dataset *d, const char *format, const char *out)
{
    json_t *splits = json_array();
    for (uint32_t i = 0; i < d->n_splits; i++)
        json_array_append_new(splits,
                              json_pack("{s:s, s:s, s:I}", "split", d->splits[i].name, "role",
                                        hs_split_role_name(d->splits[i].role), "n", (json_int_t)d->splits[i].n));
    return hs_cli_print_json(json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "out", out, "format", format, "task",
                                       d->task, "seed", (json_int_t)d->seed, "facts", (json_int_t)d->n_facts, "vocab",
                                       (json_int_t)d->vocab.n, "splits", splits));
}

#define JSON_OPTION                                                                                                    \
    {                                                                                                                  \
        "json", 0, POPT_ARG_NONE, &json, 0, "what was written, as one JSON object", NULL                               \
    }

/* ---------------------------------------------------------------- audit */

static void add_share(hs_str *out, double x)
{
    if (isnan(x))
        hs_str_addf(out, " %8s", "-");
    else
        hs_str_addf(out, " %8.3f", x);
}

static void add_table(const hs_dataset *d, hs_str *out)
{
    const hs_audit *a = &d->audit;
    char text[32];
    hs_str_addf(out, "%s: %s\n", a->passed ? "passed" : "FAILED", a->passed ? "every proof holds" : a->failure);
    hs_str_addf(out, "task %s, seed %llu, phi %.4g (%.4g per ID fact), ", d->task, (unsigned long long)d->seed, a->phi,
                a->phi_id);
    hs_str_addf(out, "%s training items\n", hs_format_count(a->training_items, text));
    if (d->facts_dropped)
        hs_str_addf(out, "facts left out, their head and relation have several tails: %s\n",
                    hs_format_count(d->facts_dropped, text));
    hs_str_addf(out, "OOD facts as hops of training queries: %llu (%llu on purpose)\n",
                (unsigned long long)a->ood_hops_in_training, (unsigned long long)a->ood_hops_on_purpose);
    if (d->text)
        hs_str_addf(
            out,
            "in words (%s, %u %s): %llu held-out questions asked in training, %llu training sentences that name both "
            "ends of one, %llu wrong answers\n",
            hs_rendering_names[d->config.rendering], hs_dataset_vocab(d),
            hs_tokenizer_kind_names[hs_tokenizer_kind_of(d->text->tokenizer)], (unsigned long long)d->text->asked,
            (unsigned long long)d->text->stated, (unsigned long long)d->text->wrong);
    hs_str_addf(out, "\n");
    hs_str_addf(
        out,
        "%-20s %5s %10s %-16s %8s %8s   majority by r1r2 / last r / h / h,last r / nearest / class; facts: own tails / "
        "own relation / last r / random tail\n",
        "split", "role", "items", "hash", "leaked", "uncover.");
    for (uint32_t i = 0; i < d->n_splits; i++) {
        const hs_split *s = &d->splits[i];
        const hs_audit_split *as = &a->split[i];
        hs_str_addf(out, "%-20s %5s %10llu %016llx %8llu %8llu  ", s->name, hs_split_role_name(s->role),
                    (unsigned long long)s->n, (unsigned long long)s->hash, (unsigned long long)as->in_training,
                    (unsigned long long)as->hops_not_covered);
        hs_baseline all[HS_N_BASELINES];
        hs_baselines_list(&as->baselines, all);
        for (uint32_t k = 0; k < HS_N_BASELINES && !isnan(as->baselines.majority_class); k++)
            add_share(out, all[k].value);
        hs_str_addf(out, "\n");
    }
    for (uint32_t i = 0; i < d->n_splits; i++) {
        hs_baseline best = hs_baselines_best(&a->split[i].baselines);
        if (hs_baselines_explain(&a->split[i].baselines))
            hs_str_addf(out, "warning: a shortcut explains %s: %s, right on %.3f of it (%s)\n", d->splits[i].name,
                        best.help, best.value, best.name);
    }
}

static int run_audit(const char *path, bool json)
{
    hs_error err = {0};
    hs_dataset d = {0};
    hs_status status = hs_dataset_read_any(&d, path, &err);
    if (status == HS_OK)
        status = hs_dataset_audit(&d, &err);
    if (status != HS_OK) {
        hs_dataset_free(&d);
        return hs_cli_fail(&err);
    }
    hs_str out = {0};
    if (json) {
        hs_dataset_audit_json(&d, &out);
        hs_str_addf(&out, "\n");
    } else {
        add_table(&d, &out);
    }
    int code = hs_cli_print(&out);
    if (code == 0 && !d.audit.passed)
        code = hs_status_exit_code(HS_ERR_DATA);
    hs_dataset_free(&d);
    return code;
}

static int audit_command(int argc, const char **argv)
{
    static const hs_usage usage = {
        "data audit", "DATASET",
        "Proves again, by looking at every item, that no test query is trained, that no OOD fact is a hop of a "
        "training\n"
        "query and that every answer follows from the facts; and measures the shortcut baselines of each test split.\n"
        "DATASET is a dataset folder, a folder of published JSON or a JSONL file. Exit code 65 when a proof fails.",
        "  hopscope data audit runs/demo/dataset\n"
        "  hopscope data audit composition.2000.200.18.0 --json"};
    int json = 0, code;
    const struct poptOption options[] = {{"json", 0, POPT_ARG_NONE, &json, 0, "the audit as JSON", NULL},
                                         POPT_TABLEEND};
    hs_args args;
    if (!hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code))
        return code;
    code = run_audit(args.arg[0], json != 0);
    hs_args_free(&args);
    return code;
}

/* ---------------------------------------------------------------- export, import */

static int run_export(const char *path, const char *form, const char *out, bool json)
{
    hs_error err = {0};
    hs_dataset d = {0};
    hs_status status = hs_dataset_write_as(NULL, form, out, &err);
    if (status == HS_OK)
        status = hs_path_check_vacant(out, &err);
    if (status == HS_OK)
        status = hs_dataset_read_any(&d, path, &err);
    if (status == HS_OK)
        status = hs_dataset_write_as(&d, form, out, &err);
    const int code = status != HS_OK ? hs_cli_fail(&err) : json ? print_written(&d, form, out) : 0;
    hs_dataset_free(&d);
    return code;
}

static int export_command(int argc, const char **argv)
{
    static const hs_usage usage = {"data export", "DATASET",
                                   "Writes a dataset in another form: published (the JSON files of the papers' "
                                   "programs), trm (the npy set of TRM)\n"
                                   "or jsonl (one JSON object a line).",
                                   "  hopscope data export runs/demo/dataset --format published -o composition\n"
                                   "  hopscope data export runs/demo/dataset --format jsonl -o demo.jsonl"};
    char *format = NULL, *out = NULL;
    int code, json = 0;
    const struct poptOption options[] = {
        {"format", 'f', POPT_ARG_STRING, &format, 0, "published, trm or jsonl", "NAME"},
        {"out", 'o', POPT_ARG_STRING, &out, 0, "folder (jsonl: file) to write; must not exist", "PATH"},
        JSON_OPTION,
        POPT_TABLEEND};
    hs_args args;
    if (!hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code)) {
        free(format);
        free(out);
        return code;
    }
    if (!out)
        code = hs_cli_usage_error("data export", "-o PATH is missing");
    else if (!format)
        code = hs_cli_usage_error("data export", "--format must be published, trm or jsonl");
    else
        code = run_export(args.arg[0], format, out, json != 0);
    hs_args_free(&args);
    free(format);
    free(out);
    return code;
}

static int import_command(int argc, const char **argv)
{
    static const hs_usage usage = {
        "data import", "PATH",
        "Reads a dataset in the published form (a folder with train.json, test.json and vocab.json, ours or the "
        "papers')\n"
        "or a JSONL file, audits it and writes it as a dataset folder. A dataset that fails a proof is not written.",
        "  hopscope data import composition.2000.200.9.0 -o dataset"};
    char *out = NULL;
    int code, json = 0;
    const struct poptOption options[] = {
        {"out", 'o', POPT_ARG_STRING, &out, 0, "dataset folder to write; must not exist", "DIR"},
        JSON_OPTION,
        POPT_TABLEEND};
    hs_args args;
    if (!hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code)) {
        free(out);
        return code;
    }
    if (!out) {
        code = hs_cli_usage_error("data import", "-o DIR is missing");
    } else {
        hs_error err = {0};
        hs_dataset d = {0};
        hs_status status = hs_path_check_vacant(out, &err);
        if (status == HS_OK)
            status = hs_dataset_read_any(&d, args.arg[0], &err);
        if (status == HS_OK)
            status = hs_dataset_write(&d, out, &err);
        code = status != HS_OK ? hs_cli_fail(&err) : json ? print_written(&d, "dataset", out) : 0;
        hs_dataset_free(&d);
    }
    hs_args_free(&args);
    free(out);
    return code;
}

/* ---------------------------------------------------------------- newfacts */

static int run_newfacts(const char *path, const char *out, const hs_new_facts_config *config, bool json)
{
    hs_error err = {0};
    hs_dataset base = {0}, d = {0};
    hs_status status = hs_path_check_vacant(out, &err);
    if (status == HS_OK)
        status = hs_dataset_read_any(&base, path, &err);
    if (status == HS_OK)
        status = hs_dataset_new_facts(&base, config, &d, &err);
    if (status == HS_OK)
        status = hs_dataset_write(&d, out, &err);
    for (uint32_t i = 0; status == HS_OK && !json && i < d.n_splits; i++)
        fprintf(stderr, "%-16s %5s %10llu\n", d.splits[i].name, hs_split_role_name(d.splits[i].role),
                (unsigned long long)d.splits[i].n);
    const int code = status != HS_OK ? hs_cli_fail(&err) : json ? print_written(&d, "dataset", out) : 0;
    hs_dataset_free(&base);
    hs_dataset_free(&d);
    return code;
}

static int newfacts_command(int argc, const char **argv)
{
    static const hs_usage usage = {
        "data newfacts", "DATASET",
        "Makes the finetuning set of new facts over a composition dataset (arXiv 2601.09049): as the released code\n"
        "does it (kept facts with all their training queries, 8,000 items in all) or as the paper says (8,000 ID\n"
        "facts and all queries over them); then 2,000 new facts in chains, and tests with one or both hops new.",
        "  hopscope data newfacts runs/demo/dataset -o newfacts\n"
        "  hopscope data newfacts runs/demo/dataset --paper --keep 8000 -o newfacts"};
    char *out = NULL;
    int paper = 0, json = 0, code;
    long long facts = 2000, keep = 8000, test_max = 3000, seed = 1;
    const struct poptOption options[] = {
        {"out", 'o', POPT_ARG_STRING, &out, 0, "dataset folder to write; must not exist", "DIR"},
        {"paper", 0, POPT_ARG_NONE, &paper, 0, "as the paper says, not as the code does", NULL},
        {"facts", 0, POPT_ARG_LONGLONG, &facts, 0, "new facts, an even number (2000)", "N"},
        {"keep", 0, POPT_ARG_LONGLONG, &keep, 0, "old items (with --paper: ID facts) kept (8000)", "N"},
        {"test-max", 0, POPT_ARG_LONGLONG, &test_max, 0, "items of a new test split; 0 = all (3000)", "N"},
        {"seed", 0, POPT_ARG_LONGLONG, &seed, 0, "the same seed gives the same facts (1)", "N"},
        JSON_OPTION,
        POPT_TABLEEND};
    hs_args args;
    if (!hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code)) {
        free(out);
        return code;
    }
    if (!out) {
        code = hs_cli_usage_error("data newfacts", "-o DIR is missing");
    } else if (facts < 2 || facts > 100000000 || keep < 0 || keep > UINT32_MAX || test_max < 0 ||
               test_max > UINT32_MAX || seed < 0) {
        code = hs_cli_usage_error("data newfacts", "a number is out of range");
    } else {
        hs_new_facts_config config = {paper != 0, (uint64_t)seed, (uint32_t)facts, (uint32_t)keep, (uint32_t)test_max};
        code = run_newfacts(args.arg[0], out, &config, json != 0);
    }
    hs_args_free(&args);
    free(out);
    return code;
}

static hs_status make(const char *file, const char *const *set, const char *out, hs_dataset *d, hs_error *err)
{
    size_t n_set = 0;
    while (set && set[n_set])
        n_set++;
    hs_view view;
    const hs_events events = hs_view_events(&view, false);
    hs_config *config = hs_alloc(sizeof *config);
    hs_status status = config ? hs_path_check_vacant(out, err) : hs_fail_memory(err, sizeof *config);
    if (status == HS_OK)
        status = hs_config_find(config, file, set, n_set, err);
    if (status == HS_OK && config->note[0])
        hs_event_send(&events, HS_EVENT_INFO, "config", "%s", config->note);
    hs_pool *pool = status == HS_OK ? hs_pool_create(config->train.threads) : NULL;
    if (status == HS_OK)
        status = hs_experiment_dataset(config, pool, d, &events, err);
    if (status == HS_OK)
        status = hs_dataset_write(d, out, err);
    hs_view_close(&view);
    hs_pool_free(pool);
    hs_free(config);
    return status;
}

static int make_command(int argc, const char **argv)
{
    static const hs_usage usage = {"data make", "FILE",
                                   "Builds the dataset of an experiment file, its graph and augmentation included, without "
                                   "training; audits it and writes the folder.",
                                   "  hopscope data make experiments/strict-ood.yaml -o strict-ood\n"
                                   "  hopscope data make experiments/demo.yaml --set data.seed=7 -o demo-7"};
    char *out = NULL;
    const char **set = NULL;
    int code = 0, json = 0;
    const struct poptOption options[] = {
        {"out", 'o', POPT_ARG_STRING, &out, 0, "dataset folder to write; must not exist", "DIR"},
        {"set", 's', POPT_ARG_ARGV, &set, 0, "change a setting; hopscope config lists all keys", "KEY=VALUE"},
        JSON_OPTION,
        POPT_TABLEEND};
    hs_args args;
    if (hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code)) {
        hs_error err = {0};
        hs_dataset d = {0};
        if (!out)
            code = hs_cli_usage_error("data make", "-o DIR is missing");
        else if (make(args.arg[0], set, out, &d, &err) != HS_OK)
            code = hs_cli_fail(&err);
        else if (json)
            code = print_written(&d, "dataset", out);
        hs_dataset_free(&d);
        hs_args_free(&args);
    }
    for (size_t i = 0; set && set[i]; i++)
        free((void *)(uintptr_t)set[i]);
    free(set);
    free(out);
    return code;
}

int hs_cmd_data(int argc, const char **argv)
{
    static const hs_subcommand commands[] = {
        {"make", "build the dataset of an experiment file", make_command},
        {"audit", "prove a dataset's claims again and measure its shortcut baselines", audit_command},
        {"export", "write a dataset as published JSON, as TRM's npy set or as JSONL", export_command},
        {"import", "read published JSON or JSONL", import_command},
        {"newfacts", "make a finetuning set of new facts", newfacts_command}};
    return hs_cli_subcommand("data", "", commands, sizeof commands / sizeof *commands, argc, argv);
}
