/* lm.h - what the commands that ask a language model share: their options, what was asked, the table of baselines. */
#ifndef HOPSCOPE_CLI_LM_H
#define HOPSCOPE_CLI_LM_H

#include "cli/cli.h"
#include "hopscope/lm.h"
#include "hopscope/report.h"

/* As options store it; texts are freed by hs_cli_lm_free. Begin with HS_LM_ARGUMENTS. */
typedef struct hs_lm_arguments {
    char *server, *model, *ca, *cache, *body, *form;
    int concurrency, retries, max_tokens, again, dry_run;
    double backoff, timeout, max_cost, price_in, price_out, temperature;
    long long max_requests;
} hs_lm_arguments;
#define HS_LM_ARGUMENTS                                                                                                \
    {                                                                                                                  \
        .concurrency = 4, .retries = 6, .max_tokens = 512, .backoff = 1, .timeout = 120                                \
    }

/* Rows of an option table over a variable `lm` of type hs_lm_arguments. */
#define HS_LM_OPTIONS                                                                                                  \
    {"server",   0, POPT_ARG_STRING,                                                                                   \
     &lm.server, 0, "OpenAI-compatible: http://127.0.0.1:8000/v1, https://api.openai.com/v1",                          \
     "URL"},                                                                                                           \
        {"model", 0, POPT_ARG_STRING, &lm.model, 0, "the model, as the server names it", "NAME"},                      \
        {"cache", 0, POPT_ARG_STRING, &lm.cache, 0, "answers are kept here, and not asked again", "FILE"},             \
        {"dry-run", 0, POPT_ARG_NONE, &lm.dry_run, 0, "print the prompts, ask nothing", NULL},                         \
        {"again", 0, POPT_ARG_NONE, &lm.again, 0, "ask again what was refused before", NULL},                          \
        {"max-requests", 0, POPT_ARG_LONGLONG, &lm.max_requests, 0, "send at most N now, retries included", "N"},      \
        {"max-cost", 0, POPT_ARG_DOUBLE, &lm.max_cost, 0, "of all answers, earlier ones included; needs prices", "X"}, \
        {"price-in", 0, POPT_ARG_DOUBLE, &lm.price_in, 0, "of a million tokens of prompts", "X"},                      \
        {"price-out", 0, POPT_ARG_DOUBLE, &lm.price_out, 0, "of a million tokens of answers", "X"},                    \
        {"max-tokens", 0, POPT_ARG_INT, &lm.max_tokens, 0, "of an answer (512)", "N"},                                 \
        {"temperature", 0, POPT_ARG_DOUBLE, &lm.temperature, 0, "0, the default, is greedy", "X"},                     \
        {"form", 0, POPT_ARG_STRING, &lm.form, 0, "how JSON is asked for: schema (the default), object, prompt",       \
         "NAME"},                                                                                                      \
        {"body", 0, POPT_ARG_STRING, &lm.body, 0, "further fields of each request; null leaves one out", "JSON"},      \
        {"concurrency", 0, POPT_ARG_INT, &lm.concurrency, 0, "requests at a time (4)", "N"},                           \
        {"retries", 0, POPT_ARG_INT, &lm.retries, 0, "of a question after 429, 5xx, a timeout (6)", "N"},              \
        {"backoff", 0, POPT_ARG_DOUBLE, &lm.backoff, 0, "before the first of them, then doubled (1)", "SECONDS"},      \
        {"timeout", 0, POPT_ARG_DOUBLE, &lm.timeout, 0, "for an answer (120)", "SECONDS"},                             \
    {                                                                                                                  \
        "ca", 0, POPT_ARG_STRING, &lm.ca, 0, "certificate authorities; else CURL_CA_BUNDLE, SSL_CERT_FILE", "FILE"     \
    }

/* The library's options; `cache` where --cache was not given. False after a usage error was said: *code. The key is
 * read from OPENAI_API_KEY. */
bool hs_cli_lm_options(const hs_lm_arguments *lm, const char *command, const char *cache, hs_lm_options *out,
                       int *code);
void hs_cli_lm_free(hs_lm_arguments *lm);
/* What was asked and what it cost, on stderr; as a JSON object. */
void hs_cli_lm_report(const hs_lm_counts *counts, const hs_lm_options *options);
json_t *hs_cli_lm_report_json(const hs_lm_counts *counts);
/* One prompt to stdout, with a line before it. */
void hs_cli_lm_print_prompt(size_t i, size_t n, const hs_lm_question *question);

/* The baselines that a run's record holds, beside its own last evaluation, the majority and the best shortcut; nothing
 * without any. */
hs_status hs_cli_baselines(const hs_run_reader *run, hs_str *out, hs_error *err);

#endif
