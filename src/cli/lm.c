/* lm.c - what the commands that ask a language model share. See lm.h. */
#include "cli/lm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A number of an option where it fits, else an error that names it. */
static bool fits(const char *command, const char *option, double value, double low, double high, int *code)
{
    if (value >= low && value <= high)
        return true;
    *code = hs_cli_usage_error(command, "--%s is from %g to %g", option, low, high);
    return false;
}

static bool find_form(const hs_lm_arguments *lm, const char *command, hs_lm_options *out, int *code)
{
    for (int k = 0; hs_lm_form_names[k]; k++) {
        if (!lm->form || strcmp(lm->form, hs_lm_form_names[k]) == 0) {
            out->form = lm->form ? (hs_lm_form)k : HS_LM_FORM_SCHEMA;
            return true;
        }
    }
    *code = hs_cli_usage_error(command, "--form is schema, object or prompt, not '%s'", lm->form);
    return false;
}

bool hs_cli_lm_options(const hs_lm_arguments *lm, const char *command, const char *cache, hs_lm_options *out, int *code)
{
    hs_lm_options_default(out);
    if (!find_form(lm, command, out, code) || !fits(command, "concurrency", lm->concurrency, 1, 256, code) ||
        !fits(command, "retries", lm->retries, 0, 100, code) ||
        !fits(command, "max-tokens", lm->max_tokens, 1, 1e6, code) ||
        !fits(command, "backoff", lm->backoff, 0, 60, code) ||
        !fits(command, "timeout", lm->timeout, 0.001, 86400, code) ||
        !fits(command, "max-requests", (double)lm->max_requests, 0, 1e15, code) ||
        !fits(command, "max-cost", lm->max_cost, 0, 1e12, code) ||
        !fits(command, "price-in", lm->price_in, 0, 1e9, code) ||
        !fits(command, "price-out", lm->price_out, 0, 1e9, code) ||
        !fits(command, "temperature", lm->temperature, 0, 10, code))
        return false;
    if (!lm->model && !lm->dry_run) {
        *code = hs_cli_usage_error(command, "--model is missing: which model of the server?");
        return false;
    }
    out->server = lm->server;
    out->model = lm->model ? lm->model : "model";
    out->key = getenv("OPENAI_API_KEY");
    out->ca = lm->ca;
    out->cache = lm->cache ? lm->cache : cache;
    out->body = lm->body;
    out->concurrency = (uint32_t)lm->concurrency;
    out->retries = (uint32_t)lm->retries;
    out->max_tokens = (uint32_t)lm->max_tokens;
    out->backoff = lm->backoff;
    out->timeout = lm->timeout;
    out->max_requests = (uint64_t)lm->max_requests;
    out->max_cost = lm->max_cost;
    out->price_in = lm->price_in;
    out->price_out = lm->price_out;
    out->temperature = lm->temperature;
    out->again = lm->again != 0;
    return true;
}

void hs_cli_lm_free(hs_lm_arguments *lm)
{
    free(lm->server);
    free(lm->model);
    free(lm->ca);
    free(lm->cache);
    free(lm->body);
    free(lm->form);
}

static void count(const char *what, uint64_t n)
{
    char text[32];
    if (n > 0)
        fprintf(stderr, "  %-46s %s\n", what, hs_format_count(n, text));
}

void hs_cli_lm_report(const hs_lm_counts *c, const hs_lm_options *options)
{
    fprintf(stderr, "Asked:\n");
    count("questions", c->questions);
    count("answered from the cache", c->cached);
    count("requests sent", c->requests);
    count("  of them again", c->retries);
    count("times the server asked to wait", c->waits);
    count("answers", c->answered);
    for (hs_lm_reason k = HS_LM_NONE + 1; k < HS_LM_N_REASONS; k++) {
        char what[64];
        snprintf(what, sizeof what, "answers refused: %s", hs_lm_reason_name(k));
        count(what, c->refused[k]);
    }
    count("tokens of prompts", c->tokens_in);
    count("tokens of answers", c->tokens_out);
    if (options->price_in > 0 || options->price_out > 0)
        fprintf(stderr, "  %-46s %.4f\n", "cost", c->cost);
    if (c->capped)
        fprintf(stderr, "  ended by the limit of requests or of the cost\n");
}

json_t *hs_cli_lm_report_json(const hs_lm_counts *c)
{
    json_t *refused = json_object();
    for (hs_lm_reason k = HS_LM_NONE + 1; k < HS_LM_N_REASONS; k++)
        json_object_set_new(refused, hs_lm_reason_name(k), json_integer((json_int_t)c->refused[k]));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:f, s:b}", "questions", (json_int_t)c->questions,
                     "cached", (json_int_t)c->cached, "requests", (json_int_t)c->requests, "retries",
                     (json_int_t)c->retries, "waits", (json_int_t)c->waits, "answered", (json_int_t)c->answered,
                     "refused", refused, "tokens_in", (json_int_t)c->tokens_in, "tokens_out", (json_int_t)c->tokens_out,
                     "cost", c->cost, "capped", c->capped);
}

void hs_cli_lm_print_prompt(size_t i, size_t n, const hs_lm_question *q)
{
    printf("---- prompt %zu of %zu, %zu bytes\n%s\n", i + 1, n, strlen(q->prompt), q->prompt);
    if (q->schema)
        printf("---- schema %s\n%s\n", q->schema_name, q->schema);
}

/* ---------------------------------------------------------------- the table of baselines */

static const hs_probe_row *measure_of(const hs_probe_row *rows, size_t n, const hs_probe_row *like, const char *measure)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].measure, measure) == 0 && strcmp(rows[i].split, like->split) == 0 &&
            strcmp(rows[i].position, like->position) == 0 && strcmp(rows[i].role, like->role) == 0)
            return &rows[i];
    return NULL;
}

static void add_share(hs_str *out, double value)
{
    if (isfinite(value))
        hs_str_addf(out, " %9.3f", value);
    else
        hs_str_addf(out, " %9s", "-");
}

static double own_accuracy(const hs_run_reader *run, const char *split)
{
    for (size_t i = run->n_evals; i > 0; i--)
        if (strcmp(run->eval[i - 1].eval.split, split) == 0)
            return run->eval[i - 1].eval.accuracy;
    return NAN;
}

static void add_row(const hs_run_reader *run, const hs_probe_row *rows, size_t n, const hs_probe_row *match,
                    const hs_split_baselines *splits, size_t n_splits, hs_str *out)
{
    const hs_probe_row *alias = measure_of(rows, n, match, "alias"), *refused = measure_of(rows, n, match, "refused");
    hs_str_addf(out, "%-16s %-32s %-7s %6llu    %.3f (%.3f to %.3f)", match->split, match->role, match->position,
                (unsigned long long)match->n, match->value, match->low, match->high);
    add_share(out, alias ? alias->value : (double)NAN);
    add_share(out, refused ? refused->value : (double)NAN);
    add_share(out, own_accuracy(run, match->split));
    for (size_t k = 0; k < n_splits; k++) {
        if (strcmp(splits[k].split, match->split) != 0)
            continue;
        add_share(out, splits[k].majority);
        if (isfinite(splits[k].best))
            hs_str_addf(out, "  %.3f %s", splits[k].best, splits[k].name);
    }
    hs_str_addf(out, "\n");
}

hs_status hs_cli_baselines(const hs_run_reader *run, hs_str *out, hs_error *err)
{
    const hs_probe_filter filter = {.method = "baseline"};
    hs_probe_row *rows = NULL;
    hs_split_baselines *splits = NULL;
    size_t n = 0, n_splits = 0;
    HS_TRY(hs_run_reader_probes(run, &filter, &rows, &n, err));
    hs_status status = n > 0 ? hs_run_reader_baselines(run, &splits, &n_splits, err) : HS_OK;
    if (status == HS_OK && n > 0)
        hs_str_addf(out, "\n%-16s %-32s %-7s %6s    %-24s %9s %9s %9s %9s  %s\n", "split",
                    "language model, facts given", "asked", "n", "right (95% interval)", "by alias", "refused",
                    "this run", "majority", "best shortcut");
    for (size_t i = 0; status == HS_OK && i < n; i++)
        if (strcmp(rows[i].measure, "match") == 0)
            add_row(run, rows, n, &rows[i], splits, n_splits, out);
    hs_free(rows);
    hs_free(splits);
    return status;
}
