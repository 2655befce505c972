/* cmd_ask.c - hopscope ask: a question to a trained model, its answer and the bridge it went through. */
#include "cli/ask.h"
#include "hopscope/interp.h"

#include <stdlib.h>
#include <string.h>

static const hs_usage usage = {
    "ask", "RUN [HEAD RELATION [RELATION]] | RUN --file FILE",
    "Asks the model of a run directory. Prints the five most probable answers, what the facts say, what the\n"
    "logit lens reads at each stage and place of the question, and the verdict on the model. A two-token entity is two "
    "words. Without a question: some queries that were\n"
    "held out of training, with the model's answers. Averaged weights answer where the run keeps an average "
    "(train.ema).\n"
    "With --file: every question of a file, a line each, names separated by tabs, answered as CSV (docs/json.md).",
    "  hopscope ask runs/demo\n"
    "  hopscope ask runs/demo Japan nearest currency\n"
    "  hopscope ask runs/demo Japan nearest\n"
    "  hopscope ask runs/demo Japan nearest currency --json\n"
    "  hopscope ask runs/demo --file questions.tsv -o answers.csv"};

static void add_name(hs_str *out, const hs_dataset *data, uint32_t token)
{
    char text[32];
    const char *name = hs_answer_name(data, token, text);
    hs_str_add_json(out, name, strlen(name));
}

void hs_ask_add_entity(hs_str *out, const hs_dataset *data, uint32_t token, uint32_t second)
{
    char text[32];
    hs_str_addf(out, "%s", hs_answer_name(data, token, text));
    if (second != HS_NO_ID)
        hs_str_addf(out, " %s", hs_names_get(&data->vocab, second));
}

/* The name of an entity, one or two tokens, or null. */
static void add_entity_json(hs_str *out, const hs_dataset *data, uint32_t token, uint32_t second)
{
    if (token == HS_NO_ID) {
        hs_str_addf(out, "null");
        return;
    }
    hs_str name = {0};
    hs_ask_add_entity(&name, data, token, second);
    hs_str_add_json(out, name.s ? name.s : "", name.len);
    hs_str_free(&name);
}

static void print_json(const hs_run *run, const hs_answer *a, const hs_run_verdict *verdict, hs_str *out)
{
    const hs_dataset *data = &run->data;
    hs_str_addf(out, "{\"step\": %llu, \"answers\": [", (unsigned long long)run->step);
    for (uint32_t i = 0; i < a->n_best; i++) {
        hs_str_addf(out, "%s{\"answer\": ", i ? ", " : "");
        add_name(out, data, a->best[i]);
        hs_str_addf(out, ", \"probability\": %.6g}", a->probability[i]);
    }
    hs_str_addf(out, "], \"facts_say\": ");
    add_entity_json(out, data, a->known, a->known_second);
    hs_str_addf(out, ", \"bridge\": ");
    add_entity_json(out, data, a->bridge, a->bridge_second);
    hs_str_addf(out, ", \"bridge_found\": %s, \"lens\": [", a->bridge_found ? "true" : "false");
    for (uint32_t i = 0; i < (a->n_stages + 1) * a->n_places; i++) {
        const hs_lens_reading *r = &a->lens[i];
        hs_str_addf(out, "%s{\"stage\": %u, \"position\": \"%s\", \"reads\": ", i ? ", " : "", i / a->n_places,
                    a->place[i % a->n_places]);
        add_name(out, data, r->top);
        hs_str_addf(out, ", \"probability\": %.6g", r->probability);
        if (r->rank != HS_NO_ID)
            hs_str_addf(out, ", \"bridge_rank\": %u", r->rank);
        hs_str_addf(out, "}");
    }
    hs_str_addf(out, "]");
    if (verdict->input.split[0]) {
        hs_str_addf(out, ", \"verdict\": ");
        hs_run_verdict_json(verdict, out);
    }
    hs_str_addf(out, "}\n");
}

/* Characters of UTF-8 text. */
static size_t characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

enum { COLUMN = 20 };

/* A field of COLUMN characters, longer text cut; the last of a line is not filled up. */
static void add_field(hs_str *out, const char *text, bool last)
{
    const size_t n = characters(text);
    size_t len = 0, kept = 0;
    while (text[len] && (n <= COLUMN || kept < COLUMN - 2)) {
        kept += ((unsigned char)text[len] & 0xC0) != 0x80;
        len++;
    }
    while (((unsigned char)text[len] & 0xC0) == 0x80)
        len++;
    hs_str_add(out, text, len);
    if (n > COLUMN)
        hs_str_addf(out, "..");
    if (!last)
        hs_str_addf(out, "%*s", (int)(n > COLUMN ? 2 : COLUMN - n + 2), "");
}

/* What the lens reads, stage by place; behind each name the bridge's rank, 1 = on top. */
static void print_grid(const hs_dataset *data, const char *const *words, uint32_t n_words, const hs_answer *a,
                       hs_str *out)
{
    hs_str_addf(out, "\nlens: the token on top at each stage and place%s\n  stage  ",
                a->bridge == HS_NO_ID ? "" : ", (the bridge's place in order of probability)");
    for (uint32_t p = 0; p < a->n_places; p++)
        add_field(out, p < n_words ? words[p] : "(answer)", p + 1 == a->n_places);
    hs_str_addf(out, "\n");
    for (uint32_t s = 1; s <= a->n_stages; s++) {
        hs_str_addf(out, "  %-5u  ", s);
        for (uint32_t p = 0; p < a->n_places; p++) {
            const hs_lens_reading *r = &a->lens[s * a->n_places + p];
            char name[32], field[256], rank[24] = "";
            if (r->rank != HS_NO_ID)
                snprintf(rank, sizeof rank, " (%u)", r->rank + 1);
            const char *top = hs_answer_name(data, r->top, name);
            const size_t room = COLUMN - strlen(rank);
            size_t keep = strlen(top);
            if (characters(top) > room) { /* the rank stays */
                size_t n = 0;
                for (keep = 0; n + 1 < room || ((unsigned char)top[keep] & 0xC0) == 0x80; keep++)
                    n += ((unsigned char)top[keep] & 0xC0) != 0x80;
            }
            snprintf(field, sizeof field, "%.*s%s", (int)(keep < 200 ? keep : 200), top, rank);
            add_field(out, field, p + 1 == a->n_places);
        }
        hs_str_addf(out, "\n");
    }
}

static void print_bridge(const hs_dataset *data, const hs_answer *a, hs_str *out)
{
    if (a->bridge_found)
        hs_str_addf(out, "\nthrough  %s%s%s (logit lens at the first relation, after block %u, probability %.2f)\n",
                    hs_names_get(&data->vocab, a->bridge), a->bridge_second != HS_NO_ID ? " " : "",
                    a->bridge_second != HS_NO_ID ? hs_names_get(&data->vocab, a->bridge_second) : "", a->bridge_stage,
                    a->lens[a->bridge_stage * a->n_places + a->hop_end].probability);
    else if (a->bridge != HS_NO_ID)
        hs_str_addf(out, "\nThe bridge %s is not on top at the first relation in any middle layer.\n",
                    hs_names_get(&data->vocab, a->bridge));
}

static void print_text(const hs_run *run, const char *const *words, uint32_t n_words, const hs_answer *a,
                       const hs_run_verdict *verdict, hs_str *out)
{
    const hs_dataset *data = &run->data;
    char name[32];
    for (uint32_t i = 0; i < a->n_best; i++)
        hs_str_addf(out, "%6.1f%%  %s%s\n", 100 * a->probability[i], hs_answer_name(data, a->best[i], name),
                    a->known != HS_NO_ID && a->best[i] == a->known ? "   <- as the facts say" : "");
    if (a->known != HS_NO_ID && (a->best[0] != a->known || a->known_second != HS_NO_ID))
        hs_str_addf(out, "The facts say: %s%s%s\n", hs_names_get(&data->vocab, a->known),
                    a->known_second != HS_NO_ID ? " " : "",
                    a->known_second != HS_NO_ID ? hs_names_get(&data->vocab, a->known_second) : "");
    if (a->known == HS_NO_ID)
        hs_str_addf(out, "The facts of this dataset do not answer this; the model guesses.\n");
    print_bridge(data, a, out);
    print_grid(data, words, n_words, a, out);
    if (verdict->input.split[0])
        hs_str_addf(out, "\n%s\n", verdict->verdict.text);
}

/* The first test split with two-hop queries that training never saw; NULL with an error if there is none. */
static const hs_split *held_out(const hs_dataset *data, hs_error *err)
{
    for (uint32_t s = 0; s < data->n_splits; s++)
        if (data->splits[s].role == HS_SPLIT_TEST && data->splits[s].kind == HS_ITEM_QUERY && data->splits[s].hops == 2 &&
            data->splits[s].prompt == 3 && data->splits[s].n > 0)
            return &data->splits[s];
    hs_fail(err, HS_ERR_DATA, "this dataset has no two-hop test queries to show");
    hs_error_hint(err, "ask a question of your own: hopscope ask --help");
    return NULL;
}

static void add_example_text(const hs_dataset *data, const char *const words[3], const hs_answer *a, uint32_t expected,
                             hs_str *out)
{
    char name[32];
    hs_str_addf(out, "  %s · %s · %s?\n      %s (%.0f%%)", words[0], words[1], words[2],
                hs_answer_name(data, a->best[0], name), 100 * a->probability[0]);
    if (a->best[0] != expected)
        hs_str_addf(out, ", wrong: %s", hs_names_get(&data->vocab, expected));
    if (a->bridge_found)
        hs_str_addf(out, ", through %s", hs_names_get(&data->vocab, a->bridge));
    hs_str_addf(out, "\n");
}

static void add_example_json(const hs_dataset *data, const uint32_t *item, const hs_answer *a, uint32_t expected,
                             hs_str *out)
{
    static const char *const KEYS[] = {"head", "r1", "r2"};
    for (int w = 0; w < 3; w++) {
        hs_str_addf(out, "%s\"%s\": ", w ? ", " : "{", KEYS[w]);
        add_name(out, data, item[w]);
    }
    hs_str_addf(out, ", \"answer\": ");
    add_name(out, data, a->best[0]);
    hs_str_addf(out, ", \"probability\": %.6g, \"facts_say\": ", a->probability[0]);
    add_name(out, data, expected);
    hs_str_addf(out, ", \"bridge_found\": %s}", a->bridge_found ? "true" : "false");
}

/* `count` held-out queries, spread evenly over their split, with the model's answers. */
static hs_status print_examples(const hs_run *run, uint32_t count, bool json, hs_str *out, hs_error *err)
{
    const hs_dataset *data = &run->data;
    const hs_split *split = held_out(data, err);
    if (!split)
        return HS_ERR_DATA;
    uint32_t right = 0, through = 0;
    const uint32_t n = split->n < count ? (uint32_t)split->n : count;
    if (json)
        hs_str_addf(out, "{\"step\": %llu, \"split\": \"%s\", \"queries\": [", (unsigned long long)run->step,
                    split->name);
    else
        hs_str_addf(out, "%u of the %llu queries of %s, which training never saw:\n\n", n, (unsigned long long)split->n,
                    split->name);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t *item = split->tokens + (split->n * i / n) * split->width, expected = item[split->answer];
        const char *words[3];
        for (int w = 0; w < 3; w++)
            words[w] = hs_names_get(&data->vocab, item[w]);
        hs_answer a;
        HS_TRY(hs_ask(&run->model, data, words, 3, &a, err));
        right += a.best[0] == expected;
        through += a.bridge_found;
        if (json && i)
            hs_str_addf(out, ", ");
        if (json)
            add_example_json(data, item, &a, expected, out);
        else
            add_example_text(data, words, &a, expected, out);
        hs_answer_free(&a);
    }
    hs_run_verdict verdict = {0};
    HS_TRY(hs_model_verdict(&run->model, data, NULL, NULL, &verdict, err));
    if (json) {
        hs_str_addf(out, "], \"n\": %u, \"right\": %u, \"through_bridge\": %u", n, right, through);
        if (verdict.input.split[0]) {
            hs_str_addf(out, ", \"verdict\": ");
            hs_run_verdict_json(&verdict, out);
        }
        hs_str_addf(out, "}\n");
        return HS_OK;
    }
    hs_str_addf(out, "\n%u of %u right; the bridge stands in a middle layer in %u.\n", right, n, through);
    if (verdict.input.split[0])
        hs_str_addf(out, "%s\n", verdict.verdict.text);
    return HS_OK;
}

/* One question, in words. */
static int ask_one(const hs_run *run, const char *const *words, uint32_t n, bool json)
{
    hs_run_verdict verdict = {0};
    hs_answer answer = {0};
    hs_error err = {0};
    hs_str out = {0};
    hs_status status = hs_ask(&run->model, &run->data, words, n, &answer, &err);
    if (status == HS_OK)
        status = hs_model_verdict(&run->model, &run->data, NULL, NULL, &verdict, &err);
    if (status == HS_OK && json)
        print_json(run, &answer, &verdict, &out);
    else if (status == HS_OK)
        print_text(run, words, n, &answer, &verdict, &out);
    hs_answer_free(&answer);
    return status == HS_OK ? hs_cli_print(&out) : hs_cli_fail(&err);
}

static int show_examples(const hs_run *run, uint32_t count, bool json)
{
    hs_error err = {0};
    hs_str out = {0};
    if (print_examples(run, count, json, &out, &err) == HS_OK)
        return hs_cli_print(&out);
    hs_str_free(&out);
    return hs_cli_fail(&err);
}

int hs_cmd_ask(int argc, const char **argv)
{
    int json = 0, count = 10, code;
    char *file = NULL, *path = NULL;
    const struct poptOption options[] = {
        {"json", 0, POPT_ARG_NONE, &json, 0, "one JSON object", NULL},
        {"count", 'n', POPT_ARG_INT, &count, 0, "without a question: so many queries; default 10", "N"},
        {"file", 0, POPT_ARG_STRING, &file, 0, "questions, a line each, names separated by tabs; - is standard input",
         "FILE"},
        {"out", 'o', POPT_ARG_STRING, &path, 0, "with --file: the CSV to write; default standard output", "FILE"},
        POPT_TABLEEND};
    hs_args args;
    if (!hs_args_parse(&args, &usage, argc, argv, options, 1, 16, &code))
        return code;
    hs_error err = {0};
    hs_run *run = NULL;
    const char *wrong = count < 1                      ? "--count is at least 1"
                        : args.n == 2                  ? "a question is a head and one or more relations"
                        : file && (args.n > 1 || json) ? "--file takes no question beside it, and gives CSV"
                        : path && !file                ? "-o is for the answers to --file"
                                                       : NULL;
    if (wrong)
        code = hs_cli_usage_error("ask", "%s", wrong);
    else if (!(run = hs_calloc(1, sizeof *run)))
        code = (hs_fail_memory(&err, sizeof *run), hs_cli_fail(&err));
    else if (hs_run_open(run, args.arg[0], HS_LATEST, &err) != HS_OK)
        code = hs_cli_fail(&err);
    else {
        hs_cli_warn_damage(run);
        code = file          ? hs_ask_file_command(run, file, path)
               : args.n == 1 ? show_examples(run, (uint32_t)count, json != 0)
                             : ask_one(run, args.arg + 1, (uint32_t)args.n - 1, json != 0);
        hs_run_close(run);
    }
    hs_free(run);
    free(file);
    free(path);
    hs_args_free(&args);
    return code;
}
