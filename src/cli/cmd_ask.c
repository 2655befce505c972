/* cmd_ask.c - hopscope ask: a question to a trained model, its answer and the bridge it went through. */
#include "cli/cli.h"
#include "hopscope/experiment.h"
#include "hopscope/interp.h"

#include <string.h>

static const hs_usage usage = {
    "ask", "RUN HEAD RELATION [RELATION]",
    "Asks the model of a run directory. Prints the five most probable answers, what the facts say, and the bridge entity\n"
    "as the logit lens reads it at the first relation in the middle layers.",
    "  hopscope ask runs/demo Bavaria \"in country\" currency\n"
    "  hopscope ask runs/demo Bavaria \"in country\"\n"
    "  hopscope ask runs/wild \"Hello Caesar!\" director \"date of birth\" --json"};

static void add_name(hs_str *out, const hs_dataset *data, uint32_t token)
{
    const char *name = hs_names_get(&data->vocab, token);
    hs_str_add_json(out, name, strlen(name));
}

static void print_json(const hs_run *run, const hs_answer *a, hs_str *out)
{
    const hs_dataset *data = &run->data;
    hs_str_addf(out, "{\"step\": %llu, \"answers\": [", (unsigned long long)run->step);
    for (uint32_t i = 0; i < a->n_best; i++) {
        hs_str_addf(out, "%s{\"answer\": ", i ? ", " : "");
        add_name(out, data, a->best[i]);
        hs_str_addf(out, ", \"probability\": %.6g}", a->probability[i]);
    }
    hs_str_addf(out, "], \"facts_say\": ");
    if (a->known != HS_NO_ID)
        add_name(out, data, a->known);
    else
        hs_str_addf(out, "null");
    hs_str_addf(out, ", \"bridge\": ");
    if (a->bridge != HS_NO_ID)
        add_name(out, data, a->bridge);
    else
        hs_str_addf(out, "null");
    hs_str_addf(out, ", \"bridge_found\": %s, \"lens\": [", a->bridge_found ? "true" : "false");
    for (uint32_t i = 0; i < a->n_stages; i++) {
        const hs_lens_reading *r = &a->stage[i].reading;
        hs_str_addf(out, "%s{\"after_block\": %u, \"reads\": ", i ? ", " : "", a->stage[i].stage);
        add_name(out, data, r->top);
        hs_str_addf(out, ", \"probability\": %.6g", r->probability);
        if (a->bridge != HS_NO_ID)
            hs_str_addf(out, ", \"bridge_rank\": %u", r->rank);
        hs_str_addf(out, "}");
    }
    hs_str_addf(out, "]}\n");
}

static void print_bridge(const hs_dataset *data, const hs_answer *a, hs_str *out)
{
    if (a->n_stages == 0)
        return;
    if (a->bridge_found) {
        const hs_lens_reading *r = &a->stage[a->bridge_stage - 1].reading;
        hs_str_addf(out, "\nthrough  %s (logit lens at the first relation, after block %u, probability %.2f)\n",
                    hs_names_get(&data->vocab, a->bridge), a->bridge_stage, r->probability);
        return;
    }
    if (a->bridge != HS_NO_ID)
        hs_str_addf(out, "\nThe bridge %s is not on top in any middle layer; the lens at the first relation reads:\n",
                    hs_names_get(&data->vocab, a->bridge));
    else
        hs_str_addf(out, "\nThe facts do not name one bridge; the lens at the first relation reads:\n");
    for (uint32_t i = 0; i < a->n_stages; i++) {
        const hs_lens_reading *r = &a->stage[i].reading;
        hs_str_addf(out, "  after block %u  %s (%.2f)", a->stage[i].stage, hs_names_get(&data->vocab, r->top), r->probability);
        if (a->bridge != HS_NO_ID)
            hs_str_addf(out, ", the bridge in place %u", r->rank + 1);
        hs_str_addf(out, "\n");
    }
}

static void print_text(const hs_run *run, const hs_answer *a, hs_str *out)
{
    const hs_dataset *data = &run->data;
    for (uint32_t i = 0; i < a->n_best; i++)
        hs_str_addf(out, "%6.1f%%  %s%s\n", 100 * a->probability[i], hs_names_get(&data->vocab, a->best[i]),
                    a->known != HS_NO_ID && a->best[i] == a->known ? "   <- as the facts say" : "");
    if (a->known != HS_NO_ID && a->best[0] != a->known)
        hs_str_addf(out, "The facts say: %s\n", hs_names_get(&data->vocab, a->known));
    if (a->known == HS_NO_ID)
        hs_str_addf(out, "The facts of this dataset do not answer this; the model guesses.\n");
    print_bridge(data, a, out);
}

int hs_cmd_ask(int argc, const char **argv)
{
    int json = 0, code;
    const struct poptOption options[] = {{"json", 0, POPT_ARG_NONE, &json, 0, "one JSON object", NULL}, POPT_TABLEEND};
    hs_args args;
    if (!hs_args_parse(&args, &usage, argc, argv, options, 3, 16, &code))
        return code;
    hs_run *run = hs_calloc(1, sizeof *run);
    hs_error err = {0};
    hs_answer answer = {0};
    hs_status status = run ? hs_run_open(run, args.arg[0], HS_LATEST, &err) : hs_fail_memory(&err, sizeof *run);
    if (status == HS_OK) {
        status = hs_ask(&run->model, &run->data, args.arg + 1, (uint32_t)args.n - 1, &answer, &err);
        hs_str out = {0};
        if (status == HS_OK && json)
            print_json(run, &answer, &out);
        else if (status == HS_OK)
            print_text(run, &answer, &out);
        code = status == HS_OK ? hs_cli_print(&out) : hs_cli_fail(&err);
        hs_answer_free(&answer);
        hs_run_close(run);
    } else {
        code = hs_cli_fail(&err);
    }
    hs_free(run);
    hs_args_free(&args);
    return code;
}
