/* cmd_export.c - hopscope export: a run's model as a Hugging Face folder. */
#include "cli/cli.h"

#include "hopscope/experiment.h"
#include "hopscope/model.h"

#include <stdlib.h>
#include <string.h>

static const hs_usage usage = {
    "export", "RUN --hf DIR",
    "Writes the model of a run directory as a Hugging Face folder that transformers loads without custom code. A "
    "model\n"
    "whose blocks are shared becomes an ordinary one with the blocks repeated: the same function. The tokenizer takes\n"
    "whole names: side by side where all look like <this>, else separated by tabs or newlines. Of a run with "
    "train.ema\n"
    "the averaged weights are written, those that were evaluated. An earlier export in DIR is replaced; a folder with "
    "any\n"
    "other file is refused.",
    "  hopscope export runs/demo --hf demo-hf\n"
    "  hopscope export runs/demo --hf early --step 100"};

/* The weights that were evaluated: the averaged ones, of the state file, where the run keeps an average. `path` becomes
 * the file that they come from. */
static hs_status write_in(const char *dir, const char *name, const hs_str *text, hs_error *err)
{
    char path[4096];
    if (text->failed)
        return hs_fail_memory(err, text->len);
    HS_TRY(hs_path_join(path, sizeof path, dir, name, err));
    return hs_file_write(path, text->s, text->len, err);
}

/* The tokenizer of a run in words, as it is. */
static hs_status write_tokenizer(const hs_run *run, const char *dir, hs_error *err)
{
    const bool words = hs_tokenizer_kind_of(run->data.text->tokenizer) == HS_TOKENIZER_WORDS;
    hs_str text = {0}, config = {0};
    hs_tokenizer_write(run->data.text->tokenizer, &text);
    hs_str_addf(&config,
                "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  \"model_max_length\": %u,\n%s"
                "  \"clean_up_tokenization_spaces\": false\n}\n",
                run->model.config.n_positions, words ? "  \"unk_token\": \"<unk>\",\n" : "");
    hs_status status = write_in(dir, "tokenizer.json", &text, err);
    if (status == HS_OK)
        status = write_in(dir, "tokenizer_config.json", &config, err);
    hs_str_free(&text);
    hs_str_free(&config);
    return status;
}

static hs_status export_run(const char *dir, long long *step, const char *hf, char path[4096], bool *averaged,
                            hs_error *err)
{
    char checkpoints[4096];
    HS_TRY(hs_path_join(checkpoints, sizeof checkpoints, dir, "checkpoints", err));
    hs_run *run = hs_calloc(1, sizeof *run);
    if (!run)
        return hs_fail_memory(err, sizeof *run);
    hs_status status = hs_run_open(run, dir, *step < 0 ? HS_LATEST : (uint64_t)*step, err);
    if (status == HS_OK) {
        hs_cli_warn_damage(run);
        *averaged = run->config.train.ema > 0;
        *step = (long long)run->step;
        status = hs_checkpoint_path(path, 4096, checkpoints, run->step,
                                    *averaged ? HS_CHECKPOINT_STATE : HS_CHECKPOINT_WEIGHTS, err);
        if (status == HS_OK)
            status = hs_export_hf(&run->model, run->data.text ? NULL : &run->data.vocab, hf, err);
        if (status == HS_OK && run->data.text)
            status = write_tokenizer(run, hf, err);
        hs_run_close(run);
    }
    hs_free(run);
    return status;
}

int hs_cmd_export(int argc, const char **argv)
{
    char *hf = NULL;
    long long step = -1;
    int code = 0, json = 0;
    const struct poptOption options[] = {
        {"hf", 0, POPT_ARG_STRING, &hf, 0, "the folder to write", "DIR"},
        {"step", 0, POPT_ARG_LONGLONG, &step, 0, "the checkpoint of this step instead of the newest", "STEP"},
        {"json", 0, POPT_ARG_NONE, &json, 0, "what was written, as one JSON object", NULL},
        POPT_TABLEEND};
    hs_args args;
    if (hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code)) {
        hs_error err = {0};
        char path[4096];
        bool averaged = false;
        if (!hf)
            code = hs_cli_usage_error("export", "say what to write: --hf DIR");
        else if (export_run(args.arg[0], &step, hf, path, &averaged, &err) != HS_OK)
            code = hs_cli_fail(&err);
        else if (json)
            code = hs_cli_print_json(json_pack("{s:s, s:I, s:s, s:b, s:s}", "run", args.arg[0], "step",
                                               (json_int_t)step, "in", path, "averaged", (int)averaged, "out", hf));
        else
            fprintf(stderr, "%s%s -> %s\n", averaged ? "averaged weights of " : "", path, hf);
        hs_args_free(&args);
    }
    free(hf);
    return code;
}
