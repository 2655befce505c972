/* card.c - dataset.json: what a dataset is, how it was made, and what its audit proved. */
#include "data/task.h"
#include "data/text/render.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CARD_VERSION = 1 };

static void add_share(hs_str *out, const char *name, double x, bool last)
{
    if (isnan(x))
        hs_str_addf(out, "\"%s\": null%s", name, last ? "" : ", ");
    else
        hs_str_addf(out, "\"%s\": %.6g%s", name, x, last ? "" : ", ");
}

static void add_audit_split(const hs_split *s, const hs_audit_split *a, hs_str *out)
{
    hs_baseline all[HS_N_BASELINES];
    hs_baselines_list(&a->baselines, all);
    hs_str_addf(out, "{\"name\": ");
    hs_str_add_json(out, s->name, strlen(s->name));
    hs_str_addf(
        out,
        ", \"n\": %llu, \"in_training\": %llu, \"repeated\": %llu, \"wrong_answers\": %llu, \"wrong_class\": %llu, "
        "\"hops_not_covered\": %llu, \"synthetic\": %llu, \"baselines\": {",
        (unsigned long long)a->n, (unsigned long long)a->in_training, (unsigned long long)a->repeated,
        (unsigned long long)a->wrong_answers, (unsigned long long)a->wrong_class,
        (unsigned long long)a->hops_not_covered, (unsigned long long)a->synthetic);
    for (uint32_t i = 0; i < HS_N_BASELINES; i++)
        add_share(out, all[i].name, all[i].value, i + 1 == HS_N_BASELINES);
    hs_str_addf(out, "}");
    hs_baseline best = hs_baselines_best(&a->baselines);
    if (isfinite(best.value))
        hs_str_addf(out, ", \"shortcut\": {\"name\": \"%s\", \"accuracy\": %.6g, \"explains\": %s}", best.name,
                    best.value, hs_baselines_explain(&a->baselines) ? "true" : "false");
    hs_str_addf(out, "}");
}

void hs_dataset_audit_json(const hs_dataset *data, hs_str *out)
{
    const hs_audit *a = &data->audit;
    hs_str_addf(out, "{\"passed\": %s, \"failure\": ", a->passed ? "true" : "false");
    hs_str_add_json(out, a->failure, strlen(a->failure));
    hs_str_addf(out,
                ",\n  \"phi\": %.9g, \"phi_id\": %.9g, \"training_items\": %llu, \"training_queries\": %llu,\n"
                "  \"ood_hops_in_training\": %llu, \"ood_hops_on_purpose\": %llu,\n  \"splits\": [",
                a->phi, a->phi_id, (unsigned long long)a->training_items, (unsigned long long)a->training_queries,
                (unsigned long long)a->ood_hops_in_training, (unsigned long long)a->ood_hops_on_purpose);
    for (uint32_t i = 0; a->split && i < data->n_splits; i++) {
        hs_str_addf(out, "%s\n    ", i ? "," : "");
        add_audit_split(&data->splits[i], &a->split[i], out);
    }
    hs_str_addf(out, "]}");
}

/* Adds, per relation, the items of a split that use it in any place; twice in one item counts once. */
static void count_uses(const hs_dataset *data, const hs_split *s, uint64_t *uses)
{
    hs_role roles[HS_MAX_ROLES];
    uint32_t column[HS_MAX_ROLES], n = 0, n_roles = hs_split_roles(data, s, roles);
    for (uint32_t k = 0; k < n_roles; k++)
        if (roles[k].relation)
            column[n++] = roles[k].column;
    for (uint64_t i = 0; i < s->n; i++) {
        const uint32_t *tokens = s->tokens + i * s->width;
        for (uint32_t j = 0; j < n; j++) {
            uint32_t r = tokens[column[j]];
            bool again = false;
            for (uint32_t l = 0; l < j; l++)
                again |= tokens[column[l]] == r;
            if (!again && r - data->n_entities < data->n_relations)
                uses[r - data->n_entities]++;
        }
    }
}

/* phi_r: training queries that use relation r as any hop, per fact of r. */
static hs_status add_phi_r(const hs_dataset *data, hs_str *out, hs_error *err)
{
    uint64_t *facts = hs_calloc((size_t)data->n_relations * 2 + 1, sizeof *facts), *uses = facts + data->n_relations;
    if (!facts)
        return hs_fail_memory(err, data->n_relations * 2 * sizeof *facts);
    for (uint64_t i = 0; i < data->n_facts; i++)
        if (data->facts[i].relation - data->n_entities < data->n_relations)
            facts[data->facts[i].relation - data->n_entities]++;
    for (uint32_t k = 0; k < data->n_splits; k++) {
        const hs_split *s = &data->splits[k];
        if (s->role == HS_SPLIT_TRAIN && hs_form_of(s->kind)->query)
            count_uses(data, s, uses);
    }
    hs_str_addf(out, "{");
    bool any = false;
    for (uint32_t r = 0; r < data->n_relations; r++) {
        if (facts[r] == 0)
            continue;
        const char *name = hs_names_get(&data->vocab, data->n_entities + r);
        hs_str_addf(out, any ? ", " : "");
        hs_str_add_json(out, name, strlen(name));
        hs_str_addf(out, ": %.6g", (double)uses[r] / (double)facts[r]);
        any = true;
    }
    hs_str_addf(out, "}");
    hs_free(facts);
    return HS_OK;
}

hs_status hs_dataset_make_card(hs_dataset *data, hs_error *err)
{
    hs_str out = {0};
    uint64_t ood = 0, synthetic = 0;
    for (uint64_t i = 0; i < data->n_facts; i++) {
        ood += (data->fact_flags[i] & HS_FACT_OOD) != 0;
        synthetic += (data->fact_flags[i] & HS_FACT_SYNTHETIC) != 0;
    }
    hs_str_addf(&out, "{\n\"hopscope\": \"dataset\", \"version\": %d,\n\"task\": \"%s\", \"seed\": \"%llu\",\n",
                CARD_VERSION, data->task, (unsigned long long)data->seed);
    hs_str_addf(
        &out,
        "\"vocab\": %u, \"entities\": %u, \"relations\": %u, \"tokens_per_entity\": %u,\n\"facts\": %llu, "
        "\"facts_id\": %llu, \"facts_ood\": %llu, \"facts_synthetic\": %llu,\n\"phi\": %.9g, \"phi_id\": %.9g,\n",
        data->vocab.n, data->n_entities, data->n_relations, data->tokens_per_entity, (unsigned long long)data->n_facts,
        (unsigned long long)(data->n_facts - ood), (unsigned long long)ood, (unsigned long long)synthetic,
        data->audit.phi, data->audit.phi_id);
    if (data->facts_dropped)
        hs_str_addf(&out, "\"facts_dropped\": %llu,\n", (unsigned long long)data->facts_dropped);
    hs_str_addf(&out, "\"splits\": [");
    for (uint32_t i = 0; i < data->n_splits; i++) {
        const hs_split *s = &data->splits[i];
        hs_str_addf(&out, "%s\n  {\"name\": ", i ? "," : "");
        hs_str_add_json(&out, s->name, strlen(s->name));
        hs_str_addf(&out,
                    ", \"role\": \"%s\", \"kind\": \"%s\", \"hops\": %u, \"n\": %llu, \"width\": %u, \"prompt\": %u, "
                    "\"hash\": \"%016llx\"}",
                    hs_split_role_name(s->role), hs_form_of(s->kind)->name, s->hops, (unsigned long long)s->n, s->width,
                    s->prompt, (unsigned long long)s->hash);
    }
    hs_str_addf(&out, "],\n");
    hs_rendered_card(data, &out);
    hs_str_addf(&out, "\"config\": ");
    hs_data_config_json(&data->config, &out);
    hs_str_addf(&out, ",\n\"phi_r\": ");
    hs_status status = add_phi_r(data, &out, err);
    hs_str_addf(&out, ",\n\"audit\": ");
    hs_dataset_audit_json(data, &out);
    hs_str_addf(&out, "\n}\n");
    if (status != HS_OK || out.failed) {
        hs_str_free(&out);
        return status != HS_OK ? status : hs_fail_memory(err, out.len);
    }
    hs_free(data->card);
    data->card = hs_strdup(out.s);
    hs_str_free(&out);
    return data->card ? HS_OK : hs_fail_memory(err, 1);
}

/* ---------------------------------------------------------------- reading */

static bool get_u64(const json_t *object, const char *key, uint64_t max, uint64_t *out)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > max)
        return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

hs_status hs_card_keep(hs_dataset *out, const void *json, hs_error *err)
{
    char *card = json_dumps((const json_t *)json, JSON_INDENT(1));
    hs_free(out->card);
    out->card = card ? hs_strdup(card) : NULL;
    free(card);
    return out->card ? HS_OK : hs_fail_memory(err, 1);
}

hs_status hs_card_parse(hs_dataset *out, const void *json, hs_error *err)
{
    const json_t *card = json;
    uint64_t version, entities, relations, tpe;
    const char *kind = json_string_value(json_object_get(card, "hopscope"));
    const char *task = json_string_value(json_object_get(card, "task"));
    const char *seed = json_string_value(json_object_get(card, "seed"));
    if (!kind || strcmp(kind, "dataset") != 0)
        return hs_fail(err, HS_ERR_DATA, "not the card of a dataset");
    if (!get_u64(card, "version", UINT32_MAX, &version) || version != CARD_VERSION)
        return hs_fail(err, HS_ERR_DATA, "the card is of a version this program does not read");
    if (!task || strlen(task) >= sizeof out->task || !seed || !get_u64(card, "entities", UINT32_MAX, &entities) ||
        !get_u64(card, "relations", UINT32_MAX, &relations) || !get_u64(card, "tokens_per_entity", 2, &tpe) ||
        tpe == 0 || !json_is_array(json_object_get(card, "splits")))
        return hs_fail(err, HS_ERR_DATA, "the card lacks a field or has one of the wrong type");
    strcpy(out->task, task);
    unsigned long long number;
    char tail;
    if (sscanf(seed, "%llu%c", &number, &tail) != 1)
        return hs_fail(err, HS_ERR_DATA, "the card's seed is not a number");
    out->seed = number;
    out->n_entities = (uint32_t)entities;
    out->n_relations = (uint32_t)relations;
    out->tokens_per_entity = (uint32_t)tpe;
    get_u64(card, "facts_dropped", UINT32_MAX, &out->facts_dropped); /* absent: none */
    hs_data_config_default(&out->config);
    HS_TRY(hs_data_config_from_json(&out->config, json_object_get(card, "config"), err));
    uint64_t m = out->config.token_multiplicity, F = entities / 2;
    if (tpe == 2 && (m == 0 || F == 0 || m > F || F * m > UINT32_MAX))
        return hs_fail(err, HS_ERR_DATA, "the card's token_multiplicity does not fit its entities");
    return HS_OK;
}

static double get_share(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void parse_audit_split(const json_t *entry, hs_audit_split *a)
{
    get_u64(entry, "n", INT64_MAX, &a->n);
    get_u64(entry, "in_training", INT64_MAX, &a->in_training);
    get_u64(entry, "repeated", INT64_MAX, &a->repeated);
    get_u64(entry, "wrong_answers", INT64_MAX, &a->wrong_answers);
    get_u64(entry, "wrong_class", INT64_MAX, &a->wrong_class);
    get_u64(entry, "hops_not_covered", INT64_MAX, &a->hops_not_covered);
    get_u64(entry, "synthetic", INT64_MAX, &a->synthetic);
    const json_t *b = json_object_get(entry, "baselines");
    a->baselines =
        (hs_baselines){get_share(b, "majority_r1r2"), get_share(b, "majority_r2"),  get_share(b, "majority_h"),
                       get_share(b, "majority_hr2"),  get_share(b, "nearest"),      get_share(b, "majority_class"),
                       get_share(b, "own_tails"),     get_share(b, "own_relation"), get_share(b, "fact_r2"),
                       get_share(b, "random_tail")}; /* the last four are not in older cards */
}

hs_status hs_card_parse_audit(hs_dataset *out, const void *json, hs_error *err)
{
    const json_t *audit = json_object_get((const json_t *)json, "audit");
    const json_t *splits = json_object_get(audit, "splits");
    hs_audit *a = &out->audit;
    a->split = hs_calloc((size_t)out->n_splits + 1, sizeof *a->split);
    if (!a->split)
        return hs_fail_memory(err, out->n_splits * sizeof *a->split);
    a->passed = json_is_true(json_object_get(audit, "passed"));
    const char *failure = json_string_value(json_object_get(audit, "failure"));
    snprintf(a->failure, sizeof a->failure, "%s", failure ? failure : "");
    a->phi = get_share(audit, "phi");
    a->phi_id = get_share(audit, "phi_id");
    get_u64(audit, "training_items", INT64_MAX, &a->training_items);
    get_u64(audit, "training_queries", INT64_MAX, &a->training_queries);
    get_u64(audit, "ood_hops_in_training", INT64_MAX, &a->ood_hops_in_training);
    get_u64(audit, "ood_hops_on_purpose", INT64_MAX, &a->ood_hops_on_purpose);
    for (uint32_t i = 0; i < out->n_splits; i++)
        parse_audit_split(json_array_get(splits, i), &a->split[i]);
    return hs_card_keep(out, json, err);
}
