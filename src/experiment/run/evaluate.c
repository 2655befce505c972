/* evaluate.c - what a run's model answers rightly, split by split. */
#include "experiment/internal.h"

#include <math.h>

hs_status hs_run_make_splits(const hs_config *config, const hs_dataset *data, hs_experiment_result *result,
                             hs_error *err)
{
    const uint32_t n = data->n_splits;
    result->split = hs_calloc(n ? n : 1, sizeof *result->split);
    if (!result->split)
        return hs_fail_memory(err, n * sizeof *result->split);
    result->n_splits = n;
    for (uint32_t i = 0; i < n; i++) {
        hs_split_result *r = &result->split[i];
        const hs_split *split = &data->splits[i];
        snprintf(r->eval.split, sizeof r->eval.split, "%s", split->name);
        r->eval.n = split->n;
        r->eval.accuracy = r->eval.loss = r->as_trained = (double)NAN;
        r->role = split->role;
        r->kind = split->kind;
        r->paper = hs_paper_value(config, split->name);
        r->has_baselines = split->role == HS_SPLIT_TEST && data->audit.split != NULL;
        if (r->has_baselines)
            r->baselines = data->audit.split[i].baselines;
    }
    result->phi = data->audit.phi;
    result->facts = data->n_facts;
    for (uint64_t i = 0; data->fact_flags && i < data->n_facts; i++)
        result->synthetic_facts += (data->fact_flags[i] & HS_FACT_SYNTHETIC) != 0;
    return HS_OK;
}

/* Why the run ended, if it ended with these weights. */
static hs_status read_reason(const hs_run *run, hs_stop_reason *reason, hs_error *err)
{
    char path[4096];
    hs_record *record;
    hs_eval_row *rows = NULL;
    size_t n = 0;
    HS_TRY(hs_path_join(path, sizeof path, run->dir, "run.db", err));
    if (!hs_file_exists(path))
        return HS_OK;
    HS_TRY(hs_record_open_read(&record, path, err));
    hs_status status = hs_record_evals(record, &rows, &n, err);
    if (status == HS_OK && n > 0 && rows[n - 1].step <= run->step)
        status = hs_record_ended_by(record, reason, err);
    hs_free(rows);
    hs_record_close(record);
    return status;
}

/* Every split by `model`, and by the run's own where that has other passes. */
static hs_status evaluate_splits(const hs_run *run, const hs_model *model, hs_pool *pool, hs_experiment_result *result,
                                 hs_error *err)
{
    for (uint32_t i = 0; i < run->data.n_splits; i++) {
        const hs_split *split = &run->data.splits[i];
        hs_eval other;
        HS_TRY(hs_evaluate(model, NULL, &run->data, split, 0, pool, &result->split[i].eval, err));
        if (result->passes == result->trained_passes)
            continue;
        HS_TRY(hs_evaluate(&run->model, NULL, &run->data, split, 0, pool, &other, err));
        result->split[i].as_trained = other.accuracy;
    }
    return HS_OK;
}

hs_status hs_run_evaluate(const hs_run *run, uint32_t passes, hs_pool *pool, hs_experiment_result *result,
                          hs_error *err)
{
    hs_model model = run->model; /* the same weights */
    if (passes > 0)
        HS_TRY(hs_model_set_passes(&model, passes, err));
    result->passes = hs_model_passes(&model);
    result->trained_passes = hs_model_passes(&run->model);
    hs_status status = hs_run_make_splits(&run->config, &run->data, result, err);
    if (status == HS_OK)
        status = evaluate_splits(run, &model, pool, result, err);
    result->train = (hs_train_result){.steps = run->step, .seconds = run->seconds};
    result->cost = (hs_run_cost){.weights = run->model.n_weights,
                                 .training_items = run->data.audit.training_items,
                                 .vocab = hs_dataset_vocab(&run->data)};
    if (status == HS_OK)
        status = read_reason(run, &result->train.reason, err);
    if (status == HS_OK)
        status = hs_run_diagnose(&model, &run->data, pool, &result->diagnosis, err);
    if (status == HS_OK)
        status = hs_model_verdict(&model, &run->data, pool, NULL, &result->verdict, err);
    if (status != HS_OK)
        hs_experiment_result_free(result);
    return status;
}
