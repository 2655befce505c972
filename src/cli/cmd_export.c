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
    "whole names: side by side where all look like <this>, else separated by tabs or newlines.",
    "  hopscope export runs/demo --hf demo-hf\n"
    "  hopscope export runs/demo --hf early --step 1000"};

/* The checkpoint's weights: those of *step, or the newest, which *step then is. */
static hs_status checkpoint_path(const char *run, long long *step, char path[4096], hs_error *err)
{
    char dir[4096];
    uint64_t number = (uint64_t)*step;
    HS_TRY(hs_path_join(dir, sizeof dir, run, "checkpoints", err));
    if (*step < 0) {
        bool found;
        HS_TRY(hs_checkpoint_latest(dir, &number, &found, err));
        if (!found) {
            hs_fail(err, HS_ERR_DATA, "this run has no whole checkpoint");
            hs_error_where(err, "%s", dir);
            return hs_error_hint(err, "train it first: hopscope run");
        }
    }
    *step = (long long)number;
    return hs_checkpoint_path(path, 4096, dir, number, HS_CHECKPOINT_WEIGHTS, err);
}

/* The weights that were evaluated: the averaged ones where the run keeps an average. */
static hs_status export_run(const char *dir, long long step, const char *hf, char path[4096], hs_error *err)
{
    HS_TRY(checkpoint_path(dir, &step, path, err));
    hs_run *run = hs_calloc(1, sizeof *run);
    if (!run)
        return hs_fail_memory(err, sizeof *run);
    hs_status status = hs_run_open(run, dir, (uint64_t)step, err);
    if (status == HS_OK) {
        status = hs_export_hf(&run->model, &run->data.vocab, hf, err);
        hs_run_close(run);
    }
    hs_free(run);
    return status;
}

int hs_cmd_export(int argc, const char **argv)
{
    char *hf = NULL;
    long long step = -1;
    int code = 0;
    const struct poptOption options[] = {
        {"hf", 0, POPT_ARG_STRING, &hf, 0, "the folder to write", "DIR"},
        {"step", 0, POPT_ARG_LONGLONG, &step, 0, "the checkpoint of this step instead of the newest", "STEP"},
        POPT_TABLEEND};
    hs_args args;
    if (hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code)) {
        hs_error err = {0};
        char path[4096];
        if (!hf)
            code = hs_cli_usage_error("export", "say what to write: --hf DIR");
        else if (export_run(args.arg[0], step, hf, path, &err) != HS_OK)
            code = hs_cli_fail(&err);
        else
            fprintf(stderr, "%s -> %s\n", path, hf);
        hs_args_free(&args);
    }
    free(hf);
    return code;
}
