/* run_reader.c - a run folder as figures, pages and programs see it (docs/reading-runs.md).
 *
 * Reads only; works while the run is going on and on a read-only disk. Everything but the baselines comes from run.db and the
 * names of the checkpoints; the baselines come from the dataset's card. */
#include "hopscope/report.h"

#include <string.h>

static hs_status open_record(hs_run_reader *r, hs_error *err)
{
    char db[4096];
    HS_TRY(hs_path_join(db, sizeof db, r->dir, "run.db", err));
    if (!hs_file_exists(db)) {
        hs_fail(err, HS_ERR_IO, "this is no run directory: run.db is not there");
        hs_error_where(err, "%s", r->dir);
        return hs_error_hint(err, "a run directory is made by hopscope run FILE, under runs/");
    }
    return hs_record_open_read(&r->record, db, err);
}

hs_status hs_run_reader_open(hs_run_reader *out, const char *run_dir, hs_error *err)
{
    memset(out, 0, sizeof *out);
    if (strlen(run_dir) >= sizeof out->dir)
        return hs_fail(err, HS_ERR_USAGE, "path of %zu bytes is too long", strlen(run_dir));
    snprintf(out->dir, sizeof out->dir, "%s", run_dir);
    hs_status status = open_record(out, err);
    if (status == HS_OK)
        status = hs_record_get_info(out->record, "title", out->title, sizeof out->title, err);
    if (status == HS_OK)
        status = hs_record_get_info(out->record, "ended_by", out->ended_by, sizeof out->ended_by, err);
    if (status == HS_OK)
        status = hs_record_evals(out->record, &out->eval, &out->n_evals, err);
    if (status == HS_OK)
        status = hs_run_checkpoints(run_dir, &out->checkpoint, &out->n_checkpoints, err);
    if (status != HS_OK)
        hs_run_reader_close(out);
    return status;
}

hs_status hs_run_reader_metric(const hs_run_reader *run, const char *name, hs_metric_row **rows, size_t *n,
                               hs_error *err)
{
    return hs_record_metrics(run->record, name, rows, n, err);
}

hs_status hs_run_reader_probes(const hs_run_reader *run, const hs_probe_filter *filter, hs_probe_row **rows, size_t *n,
                               hs_error *err)
{
    return hs_record_probes(run->record, filter, rows, n, err);
}

hs_status hs_run_reader_baselines(const hs_run_reader *run, hs_split_baselines **splits, size_t *n, hs_error *err)
{
    char path[4096];
    hs_dataset data = {0};
    *splits = NULL;
    *n = 0;
    HS_TRY(hs_path_join(path, sizeof path, run->dir, "dataset", err));
    HS_TRY(hs_dataset_read(&data, path, err));
    hs_status status = HS_OK;
    *splits = hs_calloc(data.n_splits ? data.n_splits : 1, sizeof **splits);
    if (!*splits)
        status = hs_fail_memory(err, data.n_splits * sizeof **splits);
    for (uint32_t i = 0; status == HS_OK && data.audit.split && i < data.n_splits; i++) {
        if (data.splits[i].role != HS_SPLIT_TEST)
            continue;
        hs_split_baselines *s = &(*splits)[(*n)++];
        snprintf(s->split, sizeof s->split, "%s", data.splits[i].name);
        const hs_baseline best = hs_baselines_best(&data.audit.split[i].baselines);
        s->best = best.value;
        s->name = best.name;
        s->majority = data.splits[i].kind == HS_ITEM_COMPARE ? data.audit.split[i].baselines.majority_class
                                                             : data.audit.split[i].baselines.majority_r1r2;
    }
    hs_dataset_free(&data);
    return status;
}

void hs_run_reader_close(hs_run_reader *run)
{
    hs_record_close(run->record);
    hs_free(run->eval);
    hs_free(run->checkpoint);
    memset(run, 0, sizeof *run);
}
