/* cmd_tokenize.c - hopscope tokenize: token ids of text, and tokenizers learned from text. */
#include "cli/cli.h"

#include "hopscope/text.h"

#include <stdlib.h>
#include <string.h>

static const hs_usage usage = {
    "tokenize", "FILE [--with TOKENIZER | --learn words|SIZE -o TOKENIZER]",
    "FILE is text, - for standard input. With a tokenizer.json: the token ids of each line, separated by spaces, the same as\n"
    "Hugging Face's `tokenizers` gives. With --learn: a tokenizer of all its words, or of SIZE byte pairs.",
    "  hopscope tokenize book.txt --learn 4096 -o tokenizer.json\n"
    "  hopscope tokenize book.txt --with tokenizer.json > ids.txt"};

enum { LONGEST_LINE = 1 << 26 };

typedef hs_status (*line_function)(void *ctx, const char *line, size_t len, hs_error *err);

/* Calls `take` for each line; errors name file and line. */
static hs_status each_line(const char *path, line_function take, void *ctx, hs_error *err)
{
    hs_lines *lines;
    const char *line;
    size_t len;
    HS_TRY(hs_lines_open(&lines, path, LONGEST_LINE, err));
    hs_status status;
    while ((status = hs_lines_next(lines, &line, &len, err)) == HS_OK && line) {
        status = take(ctx, line, len, err);
        if (status == HS_ERR_DATA)
            hs_error_where(err, "%s:%llu", path, (unsigned long long)hs_lines_number(lines));
        if (status != HS_OK)
            break;
    }
    hs_lines_close(lines);
    return status;
}

static hs_status feed(void *ctx, const char *line, size_t len, hs_error *err)
{
    return hs_tokenizer_learner_feed(ctx, line, len, err);
}

static hs_status learn(const char *path, hs_tokenizer_kind kind, uint32_t size, const char *output, hs_error *err)
{
    hs_tokenizer_learner *learner;
    hs_tokenizer *tokenizer = NULL;
    hs_str text = {0};
    HS_TRY(hs_path_check_vacant(output, err));
    HS_TRY(hs_tokenizer_learner_create(&learner, err));
    hs_status status = each_line(path, feed, learner, err);
    if (status == HS_OK)
        status = hs_tokenizer_learner_finish(learner, kind, size, &tokenizer, err);
    if (status == HS_OK) {
        hs_tokenizer_write(tokenizer, &text);
        status = text.failed ? hs_fail_memory(err, text.len) : hs_file_write(output, text.s, text.len, err);
    }
    if (status == HS_OK)
        fprintf(stderr, "%s: %u tokens\n", output, hs_tokenizer_size(tokenizer));
    hs_str_free(&text);
    hs_tokenizer_free(tokenizer);
    hs_tokenizer_learner_free(learner);
    return status;
}

typedef struct encoding {
    hs_tokenizer *tokenizer;
    hs_ids ids;
    hs_str out;
} encoding;

static hs_status encode(void *ctx, const char *line, size_t len, hs_error *err)
{
    encoding *e = ctx;
    e->ids.n = 0;
    HS_TRY(hs_tokenizer_encode(e->tokenizer, line, len, &e->ids, err));
    for (size_t i = 0; i < e->ids.n; i++)
        hs_str_addf(&e->out, "%s%u", i ? " " : "", e->ids.id[i]);
    hs_str_addf(&e->out, "\n");
    return HS_OK;
}

static hs_status ids_of(const char *path, const char *tokenizer, encoding *e, hs_error *err)
{
    char *json;
    size_t len;
    HS_TRY(hs_file_read(tokenizer, (size_t)1 << 28, &json, &len, err));
    hs_status status = hs_tokenizer_read(&e->tokenizer, json, len, tokenizer, err);
    hs_free(json);
    return status == HS_OK ? each_line(path, encode, e, err) : status;
}

/* "words", or a size; false if it is neither. */
static bool parse_kind(const char *text, hs_tokenizer_kind *kind, uint32_t *size)
{
    char *end;
    const unsigned long n = strtoul(text, &end, 10);
    *kind = strcmp(text, "words") == 0 ? HS_TOKENIZER_WORDS : HS_TOKENIZER_BPE;
    *size = n <= HS_TOKENIZER_MOST ? (uint32_t)n : 0;
    return *kind == HS_TOKENIZER_WORDS || (*text >= '0' && *text <= '9' && *end == 0 && *size >= HS_TOKENIZER_LEAST);
}

int hs_cmd_tokenize(int argc, const char **argv)
{
    char *with = NULL, *kind_text = NULL, *output = NULL;
    const struct poptOption options[] = {
        {"with", 0, POPT_ARG_STRING, &with, 0, "the tokenizer.json whose ids to print", "FILE"},
        {"learn", 0, POPT_ARG_STRING, &kind_text, 0, "learn a tokenizer: words, or the number of byte pairs", "words|SIZE"},
        {"output", 'o', POPT_ARG_STRING, &output, 0, "where the learned tokenizer goes", "FILE"},
        POPT_TABLEEND};
    hs_args args;
    int code;
    if (!hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code))
        goto out;
    hs_tokenizer_kind kind = HS_TOKENIZER_WORDS;
    uint32_t size = 0;
    hs_error err = {0};
    if (!with == !kind_text || !kind_text != !output) {
        code = hs_cli_usage_error("tokenize", "give either --with FILE, or --learn and -o FILE");
    } else if (kind_text && !parse_kind(kind_text, &kind, &size)) {
        code = hs_cli_usage_error("tokenize", "--learn takes words, or a number from %d to %d, not %s", HS_TOKENIZER_LEAST,
                                  HS_TOKENIZER_MOST, kind_text);
    } else if (with) {
        encoding e = {0};
        const hs_status status = ids_of(args.arg[0], with, &e, &err);
        code = status == HS_OK ? hs_cli_print(&e.out) : hs_cli_fail(&err);
        hs_tokenizer_free(e.tokenizer);
        hs_ids_free(&e.ids);
        hs_str_free(&e.out);
    } else {
        code = learn(args.arg[0], kind, size, output, &err) == HS_OK ? 0 : hs_cli_fail(&err);
    }
    hs_args_free(&args);
out:
    free(with);
    free(kind_text);
    free(output);
    return code;
}
