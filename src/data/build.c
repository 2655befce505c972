/* build.c - a dataset from a configuration: the task makes it, the audit proves it, the card says so. */
#include "data/task.h"
#include "data/text/render.h"

#include <string.h>

hs_status hs_dataset_certify(hs_dataset *data, hs_error *err)
{
    hs_dataset_finish(data);
    HS_TRY(hs_dataset_audit(data, err));
    if (!data->audit.passed) {
        hs_fail(err, HS_ERR_DATA, "the dataset fails its audit: %s", data->audit.failure);
        return hs_error_where(err, "dataset %s", data->task);
    }
    return hs_dataset_make_card(data, err);
}

hs_status hs_dataset_build(hs_dataset *out, const hs_data_config *config, const hs_graph *graph, hs_pool *pool,
                           const hs_events *events, hs_error *err)
{
    HS_TRY(hs_data_config_check(config, err));
    const hs_task *task = hs_task_find(config->task);
    if (graph && !task->takes_graph) {
        hs_fail(err, HS_ERR_USAGE, "the task \"%s\" cannot be made from a graph", task->name);
        hs_error_where(err, "data.task");
        return hs_error_hint(err, "possible: composition, comparison; or leave the graph out");
    }
    if (!graph && task->needs_graph)
        return hs_fail(err, HS_ERR_USAGE, "the task \"%s\" needs a graph", task->name);
    out->config = *config;
    hs_injection_resolve(&out->config);
    strcpy(out->task, task->name);
    out->seed = config->seed;
    out->tokens_per_entity = 1;
    double start = hs_now();
    hs_status status = task->ops->build(&out->config, graph, pool, out, err);
    double built = hs_now();
    if (status == HS_OK && out->config.rendering != HS_RENDER_TOKENS)
        status = hs_rendered_build(out, events, err);
    if (status == HS_OK)
        status = hs_dataset_certify(out, err);
    if (status != HS_OK) {
        hs_dataset_free(out);
        return status;
    }
    char items[32], dropped[32];
    if (out->facts_dropped)
        hs_event_send(events, HS_EVENT_WARNING, "data",
                      "%s of %s facts are left out: their head and relation have several tails%s",
                      hs_format_count(out->facts_dropped, dropped),
                      hs_format_count(out->facts_dropped + out->n_facts, items),
                      strcmp(out->task, "composition") == 0 ? " (data.tails=any keeps them)" : "");
    for (uint32_t i = 0; i < out->n_splits; i++) {
        hs_baseline best = hs_baselines_best(&out->audit.split[i].baselines);
        if (hs_baselines_explain(&out->audit.split[i].baselines))
            hs_event_send(events, HS_EVENT_WARNING, "data", "a shortcut explains %s: %s, right on %.3f of it (%s)",
                          out->splits[i].name, best.help, best.value, best.name);
    }
    hs_event_send(events, HS_EVENT_INFO, "data", "%s: %s training items, built in %.2f s, audited in %.2f s", out->task,
                  hs_format_count(out->audit.training_items, items), built - start, hs_now() - built);
    return HS_OK;
}
