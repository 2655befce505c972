/* cmd_eval.c - hopscope eval: every item of every split by a run's model, at its latest or any kept step. */
#include "cli/cli.h"
#include "hopscope/experiment.h"

static const hs_usage usage = {
    "eval", "RUN",
    "Evaluates the model of a run directory on all items of all its splits.\n"
    "Averaged weights, where the run keeps an average (train.ema), as while it trained.\n"
    "A model that runs its blocks in passes (TRM: in H cycles) can be run more or fewer times\n"
    "than it was trained with; the accuracy as trained then stands beside.",
    "  hopscope eval runs/demo\n"
    "  hopscope eval runs/strict-ood --passes 3\n"
    "  hopscope eval runs/demo --step 100 --json"};

static hs_status evaluate(const char *dir, long long step, uint32_t passes, hs_run *run, hs_experiment_result *result,
                          hs_error *err)
{
    HS_TRY(hs_run_open(run, dir, step < 0 ? HS_LATEST : (uint64_t)step, err));
    hs_cli_warn_damage(run);
    hs_pool *pool = hs_pool_create(run->config.train.threads);
    if (!pool)
        return hs_fail(err, HS_ERR_MEMORY, "worker threads cannot be started");
    hs_status status = hs_run_evaluate(run, passes, pool, result, err);
    hs_pool_free(pool);
    return status;
}

int hs_cmd_eval(int argc, const char **argv)
{
    long long step = -1;
    int json = 0, passes = -1, code;
    const struct poptOption options[] = {
        {"step", 0, POPT_ARG_LONGLONG, &step, 0, "weights of this step; default the latest", "N"},
        {"passes", 0, POPT_ARG_INT, &passes, 0, "run the blocks so many times; default as trained", "N"},
        {"json", 0, POPT_ARG_NONE, &json, 0, "print the result as one JSON object", NULL},
        POPT_TABLEEND};
    hs_args args;
    if (!hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code))
        return code;
    if (passes == 0 || passes < -1) {
        hs_args_free(&args);
        return hs_cli_usage_error("eval", "--passes is at least 1");
    }
    hs_error err = {0};
    hs_experiment_result result = {0};
    hs_run *run = hs_calloc(1, sizeof *run);
    hs_status status = run ? evaluate(args.arg[0], step, passes > 0 ? (uint32_t)passes : 0, run, &result, &err)
                           : hs_fail_memory(&err, sizeof *run);
    hs_str out = {0};
    if (status == HS_OK && json) {
        hs_experiment_result_json(&result, args.arg[0], &out);
        hs_str_add(&out, "\n", 1);
    } else if (status == HS_OK) {
        hs_experiment_result_text(&result, &out);
    }
    code = status == HS_OK ? hs_cli_print(&out) : hs_cli_fail(&err);
    hs_experiment_result_free(&result);
    if (run)
        hs_run_close(run);
    hs_free(run);
    hs_args_free(&args);
    return code;
}
