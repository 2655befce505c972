/* config.c - the settings of a dataset: one row each, their defaults, and their form in the card.
 * Checks, keys, manual and JSON follow the one table, so that a field cannot be written but not read. */
#include "core/setting.h"
#include "data/internal.h"

#include <jansson.h>
#include <string.h>

const char *const hs_ood_pick_names[] = {"auto", "fact", "path", NULL};
const char *const hs_tails_names[] = {"functional", "any", NULL};
const char *const hs_balance_names[] = {"auto", "none", "labels", NULL};
const char *const hs_variant_names[] = {"base",        "second_hop_restricted", "without_id_facts",
                                        "held_out_id", "only_queries",          NULL};
const char *const hs_injection_names[] = {"none", "both_full", "both_half", "first_full", "second_full", NULL};

const char *const hs_rendering_names[] = {"tokens", "sentences", "paragraphs", NULL};

#define NUMBER(f, min, max, flags, help) HS_SETTING(hs_data_config, f, #f, min, max, NULL, flags, help)
#define SWITCH(f, help) HS_SETTING(hs_data_config, f, #f, 0, 1, NULL, 0, help)
#define TEXT(f, flags, help) HS_SETTING(hs_data_config, f, #f, 0, 0, NULL, flags, help)
#define CHOICE(f, names, flags, help) HS_SETTING(hs_data_config, f, #f, 0, 0, names, flags, help)

static const hs_setting SETTINGS[] = {
    TEXT(task, HS_SETTING_FIRST, "composition, comparison or complex; chooses the defaults of this section"),
    NUMBER(seed, 0, HS_SETTING_MAX64, 0, "seed of the graph that is generated and of the splits"),
    NUMBER(entities, 2, 1e7, 0, "generated graph: entities"),
    NUMBER(relations, 1, 1e6, 0, "generated graph: relations"),
    NUMBER(out_degree, 1, 1e6, 0, "generated graph: facts per entity"),
    NUMBER(hops, 2, HS_MAX_HOPS, 0, "relations in a query"),
    NUMBER(attributes, 1, 10000, 0, "comparison: attributes of the generated table"),
    NUMBER(values, 2, 10000, 0, "comparison: values of an attribute"),
    TEXT(attribute_list, HS_SETTING_LIST,
         "comparison from a graph: relations; NAME:same or NAME:order restricts the labels"),
    NUMBER(ood_fraction, 0, 0.95, 0, "share of atomic facts (composition) or entities (comparison) that are OOD"),
    CHOICE(ood_pick, hs_ood_pick_names, 0, "OOD facts uniformly (fact) or along whole queries (path)"),
    NUMBER(holdout, 0, 0.95, 0, "probability that an ID query is held out for the ID test"),
    NUMBER(phi, 0, 1000, 0, "training queries per ID atomic fact; 0: all there are"),
    NUMBER(test_max, 0, HS_SETTING_MAX32, 0, "items kept per test split; 0: all"),
    SWITCH(cover, "each hop of an ID test query is a hop of some training query"),
    SWITCH(end_token, "score </a> after the answer, as published"),
    SWITCH(identity,
           "composition: train items b -> b too, of every entity that facts lead to and from (arXiv 2509.24653)"),
    CHOICE(tails, hs_tails_names, 0,
           "facts whose head and relation have several tails: dropped (functional) or any tail is right"),
    SWITCH(test_real_only, "test queries and OOD facts only over real facts"),
    CHOICE(balance, hs_balance_names, 0, "comparison: balance of the labels"),
    NUMBER(token_multiplicity, 0, 1e6, 0, "two tokens per entity, each shared by this many; 0: one token"),
    CHOICE(variant, hs_variant_names, 0, "variant of papers C and D"),
    NUMBER(variant_fraction, 0, 0.95, 0, "share of the ID facts that the variant restricts"),
    NUMBER(trained_fraction, 0, 1, 0, "complex: share of the ID-ID and of the ID-OOD comparisons that are trained"),
    NUMBER(hard_per_label, 0, 1e6, 0, "complex: queries per label in test_hard"),
    CHOICE(injection, hs_injection_names, 0,
           "queries over OOD facts added to training (arXiv 2601.09049); sets h1ratio .. h2k"),
    NUMBER(h1ratio, 0, 1, 0, "share of the first hops of test_oo that get training queries"),
    NUMBER(h2ratio, 0, 1, 0, "share of the second hops of test_oo that get training queries"),
    NUMBER(h1k, 0, 1e6, 0, "training queries per chosen first hop"),
    NUMBER(h2k, 0, 1e6, 0, "training queries per chosen second hop"),
    SWITCH(avoid_test_bridges, "no first-hop injection through bridges of test_oo while second-hop injection is off"),
    CHOICE(rendering, hs_rendering_names, 0,
           "how a model sees the items: tokens, or text: sentences, paragraphs (docs/text.md)"),
    TEXT(templates, HS_SETTING_PATH, "text: a table of wordings (YAML); without: the program's"),
    SWITCH(template_fallback, "text: the table's general wordings for relations that have none of their own"),
    TEXT(context, HS_SETTING_PATH, "text: a 2WikiMultiHopQA file whose Wikipedia paragraphs and questions are used"),
    NUMBER(distractors, 0, 64, 0, "paragraphs: sentences that state nothing, before the facts"),
    NUMBER(paragraph_facts, 0, 64, 0, "paragraphs: most other facts of the head that are stated before the one asked"),
    NUMBER(max_tokens, 8, 4096, 0, "text: most tokens of an item; longer ones lose sentences that state nothing"),
    CHOICE(tokenizer, hs_tokenizer_kind_names, 0, "text: a token a word, or byte pairs (bpe)"),
    NUMBER(tokenizer_size, HS_TOKENIZER_LEAST, HS_TOKENIZER_MOST, 0, "text: tokens of a bpe tokenizer"),
    SWITCH(quirk_valid_is_ood, "published export: valid.json is the OOD test"),
    SWITCH(quirk_dead_vocab, "50,257 tokens that never occur, as the GPT-2 tokenizer gives"),
    SWITCH(quirk_float_phi, "phi is ignored, as in the released code of arXiv 2505.23653"),
};
enum { N_SETTINGS = sizeof SETTINGS / sizeof *SETTINGS };

const hs_setting *hs_data_settings(size_t *n)
{
    *n = N_SETTINGS;
    return SETTINGS;
}

void hs_data_config_default(hs_data_config *config)
{
    *config = (hs_data_config){
        .task = "composition",
        .seed = 1,
        .entities = 2000,
        .relations = 200,
        .out_degree = 20,
        .hops = 2,
        .attributes = 20,
        .values = 20,
        .ood_fraction = 0.05,
        .holdout = 0.005,
        .phi = 18.0,
        .test_max = 3000,
        .test_real_only = true,
        .variant_fraction = 0.05,
        .trained_fraction = 0.03,
        .hard_per_label = 50,
        .distractors = 3,
        .paragraph_facts = 3,
        .max_tokens = 512,
        .tokenizer_size = 4096,
    };
}

void hs_data_config_for_graph(hs_data_config *config)
{
    config->phi = 0;
    config->holdout = 0.1;
    config->cover = true;
    config->test_max = 0;
}

void hs_injection_resolve(hs_data_config *config)
{
    static const struct {
        double h1ratio, h2ratio;
        uint32_t h1k, h2k;
    } INJECTIONS[] = {
        [HS_INJECTION_BOTH_FULL] = {1.0, 1.0, 18, 18},
        [HS_INJECTION_BOTH_HALF] = {0.5, 0.5, 9, 9},
        [HS_INJECTION_FIRST_FULL] = {1.0, 0.0, 18, 0},
        [HS_INJECTION_SECOND_FULL] = {0.0, 1.0, 0, 18},
    };
    if (config->injection == HS_INJECTION_NONE)
        return;
    config->h1ratio = INJECTIONS[config->injection].h1ratio;
    config->h2ratio = INJECTIONS[config->injection].h2ratio;
    config->h1k = INJECTIONS[config->injection].h1k;
    config->h2k = INJECTIONS[config->injection].h2k;
}

bool hs_injection_on(const hs_data_config *config)
{
    return (config->h1ratio > 0 && config->h1k > 0) || (config->h2ratio > 0 && config->h2k > 0);
}

void hs_data_config_json(const hs_data_config *config, hs_str *out)
{
    hs_str_addf(out, "{");
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const hs_setting *f = &SETTINGS[i];
        const char *p = (const char *)config + f->offset;
        hs_str_addf(out, "%s\"%s\": ", i ? ", " : "", f->name);
        switch (f->type) {
        case HS_SETTING_STRING:
            hs_str_add_json(out, p, strnlen(p, f->size));
            break;
        case HS_SETTING_U64: /* as text: JSON readers lose integers above 2^53 */
            hs_str_addf(out, "\"%llu\"", (unsigned long long)*(const uint64_t *)(const void *)p);
            break;
        case HS_SETTING_ENUM:
            hs_str_addf(out, "\"%s\"", f->names[*(const uint32_t *)(const void *)p]);
            break;
        case HS_SETTING_U32:
            hs_str_addf(out, "%u", *(const uint32_t *)(const void *)p);
            break;
        case HS_SETTING_FLOAT:
            hs_str_addf(out, "%.9g", (double)*(const float *)(const void *)p);
            break;
        case HS_SETTING_DOUBLE:
            hs_str_addf(out, "%.17g", *(const double *)(const void *)p);
            break;
        case HS_SETTING_BOOL:
            hs_str_addf(out, "%s", *(const bool *)(const void *)p ? "true" : "false");
            break;
        }
    }
    hs_str_addf(out, "}");
}

static bool read_field(const hs_setting *f, char *p, const json_t *value)
{
    switch (f->type) {
    case HS_SETTING_STRING:
        if (!json_is_string(value) || json_string_length(value) >= f->size)
            return false;
        memset(p, 0, f->size);
        memcpy(p, json_string_value(value), json_string_length(value));
        return true;
    case HS_SETTING_ENUM:
        for (uint32_t i = 0; json_is_string(value) && f->names[i]; i++) {
            if (strcmp(f->names[i], json_string_value(value)) == 0) {
                *(uint32_t *)(void *)p = i;
                return true;
            }
        }
        return false;
    case HS_SETTING_U64: {
        if (!json_is_string(value))
            return false;
        unsigned long long x;
        char tail;
        if (sscanf(json_string_value(value), "%llu%c", &x, &tail) != 1)
            return false;
        *(uint64_t *)(void *)p = x;
        return true;
    }
    case HS_SETTING_U32:
        if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > UINT32_MAX)
            return false;
        *(uint32_t *)(void *)p = (uint32_t)json_integer_value(value);
        return true;
    case HS_SETTING_FLOAT:
        if (!json_is_number(value))
            return false;
        *(float *)(void *)p = (float)json_number_value(value);
        return true;
    case HS_SETTING_DOUBLE:
        if (!json_is_number(value))
            return false;
        *(double *)(void *)p = json_number_value(value);
        return true;
    case HS_SETTING_BOOL:
        if (!json_is_boolean(value))
            return false;
        *(bool *)(void *)p = json_is_true(value);
        return true;
    }
    return false;
}

hs_status hs_data_config_from_json(hs_data_config *config, const void *json_object, hs_error *err)
{
    const json_t *object = json_object;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const hs_setting *f = &SETTINGS[i];
        const json_t *value = json_object_get(object, f->name);
        if (value && !read_field(f, (char *)config + f->offset, value)) {
            hs_fail(err, HS_ERR_DATA, "the value has the wrong type or size");
            return hs_error_where(err, "config.%s", f->name);
        }
    }
    return HS_OK;
}
