/* prepare.c - from configuration to graph and dataset. Every count that reading repaired or dropped is said. */
#include "experiment/internal.h"

#include <string.h>

static void tell_report(const hs_read_report *r, const hs_events *events)
{
    const struct {
        uint64_t n;
        const char *text;
    } counts[] = {
        {r->records_skipped, "records skipped"},
        {r->duplicates, "facts given more than once"},
        {r->aliases_by_id, "aliases resolved by entity id"},
        {r->aliases_by_title, "aliases resolved by supporting-fact title"},
        {r->dates_normalized, "dates brought to one form"},
        {r->dates_unknown, "dates not understood, kept as they are"},
        {r->nationalities_normalized, "nationalities brought to country names"},
        {r->names_trimmed, "names trimmed"},
        {r->literals_skipped, "literals skipped"},
        {r->headers_skipped, "line of column names skipped"},
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        char count[32];
        if (counts[i].n)
            hs_event_send(events, HS_EVENT_INFO, "graph", "%s %s", hs_format_count(counts[i].n, count), counts[i].text);
    }
}

static void tell_graph(const hs_graph *g, const char *what, const hs_events *events)
{
    char facts[32], entities[32];
    hs_event_send(events, HS_EVENT_INFO, "graph", "%s: %s facts, %s entities, %u relations", what,
                  hs_format_count(g->n_facts, facts), hs_format_count(g->entities.n, entities), g->relations.n);
}

static hs_status read_graph(const hs_graph_config *c, hs_graph *out, const hs_events *events, hs_error *err)
{
    hs_read_options options = {.format = c->format,
                               .columns = c->columns,
                               .raw = c->raw,
                               .skip_derived = c->skip_derived,
                               .literals = c->literals,
                               .events = events};
    options.types = c->types[0] ? c->types : NULL;
    hs_read_report report = {0};
    HS_TRY(hs_graph_read(out, c->path, &options, &report, err));
    tell_report(&report, events);
    return HS_OK;
}

/* Replace *g by what the filter keeps. */
static hs_status select_facts(const hs_graph_config *c, const hs_list *relations, hs_graph *g, const hs_events *events,
                              hs_error *err)
{
    hs_graph_filter filter = {.functional = c->functional,
                              .inverses = c->inverses,
                              .min_degree = c->min_degree,
                              .sample_bridges = c->sample_bridges,
                              .informative_min_facts = c->informative_min_facts,
                              .informative_max_majority = c->informative_max_majority,
                              .seed = c->seed};
    filter.relations = relations->item;
    filter.n_relations = relations->n;
    if (!filter.functional && !filter.inverses && !filter.min_degree && !filter.sample_bridges &&
        !filter.informative_min_facts && !filter.relations)
        return HS_OK;
    hs_graph kept = {0};
    HS_TRY(hs_graph_select(g, &filter, &kept, err));
    hs_graph_free(g);
    *g = kept;
    tell_graph(g, "selected", events);
    return HS_OK;
}

static hs_status hold_back(const hs_augment_config *c, hs_graph *g, const hs_events *events, hs_error *err)
{
    if (!(c->held > 0))
        return HS_OK;
    const hs_hold_options options = {.share = c->held, .in_place = c->in_place, .seed = c->seed};
    hs_graph changed = {0};
    hs_hold_report r = {0};
    HS_TRY(hs_graph_hold_back(g, &options, &changed, &r, err));
    hs_graph_free(g);
    *g = changed;
    char held[32], put[32];
    hs_event_send(events, HS_EVENT_INFO, "augment", "%s facts held back, %s put in their place (%s)",
                  hs_format_count(r.held, held), hs_format_count(r.put, put), hs_in_place_names[c->in_place]);
    return HS_OK;
}

static void take_augmented(hs_graph *g, hs_graph *raised, const hs_augment_report *r, const hs_events *events)
{
    hs_graph_free(g);
    *g = *raised;
    char facts[32];
    hs_event_send(events, HS_EVENT_INFO, "augment", "phi %.2f to %.2f with %s synthetic facts", r->phi_before,
                  r->phi_after, hs_format_count(r->added_facts, facts));
}

static hs_status augment_comparison(const hs_augment_config *c, const hs_list *relations, hs_graph *g,
                                    const hs_events *events, hs_error *err)
{
    if (c->per_value == 0)
        return HS_OK;
    hs_augment_comparison_options options = {.per_value = c->per_value, .max_facts = c->max_facts};
    options.relations = relations->item;
    options.n_relations = relations->n;
    hs_graph raised = {0};
    hs_augment_report r = {0};
    HS_TRY(hs_graph_augment_comparison(g, &options, &raised, &r, err));
    take_augmented(g, &raised, &r, events);
    return HS_OK;
}

static hs_status augment(const hs_augment_config *c, const hs_list *relations, hs_graph *g, const hs_events *events,
                         hs_error *err)
{
    if (!(c->phi > 0) && c->per_bridge == 0)
        return HS_OK;
    hs_augment_options options = {.phi = c->phi,
                                  .per_bridge = c->per_bridge,
                                  .per_relation = c->per_relation,
                                  .acyclic = c->acyclic,
                                  .new_entities = c->new_entities,
                                  .max_facts = c->max_facts,
                                  .seed = c->seed,
                                  .events = events};
    options.relations = relations->item;
    options.n_relations = relations->n;
    hs_graph raised = {0};
    hs_augment_report r = {0};
    HS_TRY(hs_graph_augment(g, &options, &raised, &r, err));
    take_augmented(g, &raised, &r, events);
    return HS_OK;
}

hs_status hs_experiment_graph(const hs_config *config, hs_graph *out, const hs_events *events, hs_error *err)
{
    if (!config->graph.path[0]) {
        hs_fail(err, HS_ERR_USAGE, "this experiment names no graph");
        hs_error_where(err, "graph.path");
        return hs_error_hint(err, "--set graph.path=FILE, or world for the embedded graph");
    }
    hs_list kept = {0}, raised = {0};
    hs_status status = hs_list_parse(&kept, config->graph.relations, err);
    if (status == HS_OK)
        status = hs_list_parse(&raised, config->augment.relations, err);
    if (status == HS_OK)
        status = read_graph(&config->graph, out, events, err);
    if (status == HS_OK)
        status = select_facts(&config->graph, &kept, out, events, err);
    if (status == HS_OK)
        status = hold_back(&config->augment, out, events, err);
    if (status == HS_OK)
        status = augment(&config->augment, &raised, out, events, err);
    if (status == HS_OK)
        status = augment_comparison(&config->augment, &raised, out, events, err);
    hs_list_free(&kept);
    hs_list_free(&raised);
    if (status != HS_OK) {
        hs_graph_free(out);
        *out = (hs_graph){0};
    }
    return status;
}

/* The dataset before anything is put over it. */
static hs_status base_dataset(const hs_config *config, hs_pool *pool, hs_dataset *out, const hs_events *events,
                              hs_error *err)
{
    if (config->data_path[0])
        return hs_dataset_read_any(out, config->data_path, err);
    hs_graph graph = {0};
    const bool given = config->graph.path[0] != 0;
    if (given)
        HS_TRY(hs_experiment_graph(config, &graph, events, err));
    hs_status status = hs_dataset_build(out, &config->data, given ? &graph : NULL, pool, events, err);
    hs_graph_free(&graph);
    return status;
}

/* Replace the dataset by one of new facts over it. */
static hs_status put_new_facts(const hs_config *config, hs_dataset *data, const hs_events *events, hs_error *err)
{
    hs_new_facts_config c = config->new_facts;
    hs_dataset fresh = {0};
    c.seed = config->data.seed;
    c.test_max = config->data.test_max;
    const hs_status status = hs_dataset_new_facts(data, &c, &fresh, err);
    if (status != HS_OK) {
        if (err && !err->where[0])
            hs_error_where(err, "data.new_facts");
        return status;
    }
    hs_dataset_free(data);
    *data = fresh;
    char items[32], facts[32];
    hs_event_send(events, HS_EVENT_INFO, "data", "%s new facts over it: %s training items",
                  hs_format_count(c.new_facts, facts), hs_format_count(fresh.audit.training_items, items));
    return HS_OK;
}

/* Where the last part of path[0..*end) begins; slashes behind it are cut off. */
static size_t last_part(const char *path, size_t *end)
{
    while (*end > 0 && path[*end - 1] == '/')
        --*end;
    size_t begin = *end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    return begin;
}

/* The last part of a path but seed-N, without a number and a dash before it: "runs/x/1-pretrain/seed-2" is "pretrain".
 */
static void name_of(const char *path, char *out, size_t size)
{
    size_t end = strlen(path), digits = 0, begin = last_part(path, &end);
    if (begin > 0 && strncmp(path + begin, "seed-", 5) == 0) {
        end = begin;
        begin = last_part(path, &end);
    }
    while (begin + digits < end && path[begin + digits] >= '0' && path[begin + digits] <= '9')
        digits++;
    if (digits > 0 && begin + digits + 1 < end && path[begin + digits] == '-')
        begin += digits + 1;
    snprintf(out, size, "%.*s", (int)(end - begin), path + begin);
}

/* The splits of a run's dataset, or of a dataset, beside the own. */
static hs_status watch(const char *path, hs_dataset *data, const hs_events *events, hs_error *err)
{
    char yaml[4096], name[256];
    hs_run *run = hs_calloc(1, sizeof *run);
    if (!run)
        return hs_fail_memory(err, sizeof *run);
    hs_status status = hs_path_join(yaml, sizeof yaml, path, "experiment.yaml", err);
    if (status == HS_OK)
        status = hs_file_exists(yaml) ? hs_run_open_data(run, path, err) : hs_dataset_read_any(&run->data, path, err);
    if (status == HS_OK) {
        const uint32_t own = data->n_splits;
        name_of(path, name, sizeof name);
        status = hs_dataset_watch(data, &run->data, name, err);
        if (status == HS_OK)
            hs_event_send(events, HS_EVENT_INFO, "data", "evaluates %u splits of %s too, as %s.*", data->n_splits - own,
                          path, name);
        else if (err && !err->where[0])
            hs_error_where(err, "data.watch: %s", path);
    }
    hs_run_close(run);
    hs_free(run);
    return status;
}

hs_status hs_experiment_dataset(const hs_config *config, hs_pool *pool, hs_dataset *out, const hs_events *events,
                                hs_error *err)
{
    HS_TRY(base_dataset(config, pool, out, events, err));
    hs_status status = HS_OK;
    if (config->new_facts.new_facts > 0)
        status = put_new_facts(config, out, events, err);
    if (status == HS_OK && config->data_watch[0])
        status = watch(config->data_watch, out, events, err);
    if (status != HS_OK)
        hs_dataset_free(out);
    return status;
}

void hs_experiment_model_config(const hs_config *config, const hs_dataset *data, hs_model_config *out)
{
    *out = config->model;
    out->vocab = hs_dataset_vocab(data);
    out->n_positions = hs_model_positions_for(&config->model, hs_dataset_width(data));
}
