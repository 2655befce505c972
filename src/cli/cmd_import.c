/* cmd_import.c - hopscope import: a Hugging Face folder as a model file. */
#include "cli/cli.h"

#include "hopscope/model.h"

#include <stdlib.h>

static const hs_usage usage = {
    "import", "DIR -o FILE",
    "Reads a Hugging Face folder (GPT-2, Llama or Qwen3; safetensors, whole or in shards; F32, F16, BF16 or F64) and\n"
    "writes it as one model file of ours, where there is none yet. Its tokenizer stays outside: prompts and data are "
    "token\n"
    "ids.",
    "  hopscope import gpt2 -o gpt2.safetensors"};

static int say(const char *from, const hs_model *model, const char *output, bool json)
{
    const char *title = hs_model_traits_of(model)->title;
    char count[32];
    if (json)
        return hs_cli_print_json(json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "in", from, "out", output, "model",
                                           title, "blocks", (json_int_t)model->config.n_layer, "width",
                                           (json_int_t)model->config.n_embd, "vocab", (json_int_t)model->config.vocab,
                                           "weights", (json_int_t)model->n_weights));
    fprintf(stderr, "%s: %s, %u blocks, width %u, %s weights -> %s\n", from, title, model->config.n_layer,
            model->config.n_embd, hs_format_count(model->n_weights, count), output);
    return 0;
}

int hs_cmd_import(int argc, const char **argv)
{
    char *output = NULL;
    int code = 0, json = 0;
    const struct poptOption options[] = {
        {"output", 'o', POPT_ARG_STRING, &output, 0, "the file to write; must not exist", "FILE"},
        {"json", 0, POPT_ARG_NONE, &json, 0, "what was read, as one JSON object", NULL},
        POPT_TABLEEND};
    hs_args args;
    if (hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code)) {
        hs_error err = {0};
        hs_model model = {0};
        if (!output) {
            code = hs_cli_usage_error("import", "say where to: -o FILE");
        } else {
            hs_status status = hs_path_check_vacant(output, &err);
            if (status == HS_OK)
                status = hs_import_hf(&model, args.arg[0], &err);
            if (status == HS_OK)
                status = hs_model_save(&model, output, NULL, 0, &err);
            code = status == HS_OK ? say(args.arg[0], &model, output, json != 0) : hs_cli_fail(&err);
            hs_model_free(&model);
        }
        hs_args_free(&args);
    }
    free(output);
    return code;
}
