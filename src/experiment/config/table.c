/* table.c - the one configuration table, and how a value is read, written and compared.
 *
 * Invariant: a row's type is derived from its field by the compiler, so a row cannot disagree with the struct. Adding a
 * setting is adding one row; its default comes from the layer's own *_config_default. */
#include "experiment/internal.h"
#include "train/keys.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const format_names[] = {"auto", "tsv", "csv", "2wiki", "ntriples", "turtle", "world", NULL};
#define MODEL_NAME(constant, name) #name,
static const char *const kind_names[] = {HS_MODELS(MODEL_NAME) NULL};

#define FIELD(f) (((hs_config *)0)->f)
/* An enum of ours is an unsigned int to gcc and clang: what tells it from a number is that it has names. */
#define TYPE(f, names)                                                                                                 \
    _Generic(FIELD(f),                      \
        bool: HS_KEY_BOOL,                  \
        uint32_t: ((names) != NULL ? HS_KEY_ENUM : HS_KEY_U32), \
        uint64_t: HS_KEY_U64,               \
        float: HS_KEY_FLOAT,                \
        double: HS_KEY_DOUBLE,              \
        char *: HS_KEY_STRING)
#define ROW(f, min, max, names, flags, help)                                                                           \
    {                                                                                                                  \
#f, TYPE(f, names), offsetof(hs_config, f), sizeof FIELD(f), min, max, names, flags, help                      \
    }
#define NUMBER(f, min, max, help) ROW(f, min, max, NULL, 0, help)
#define NUMBER_R(f, min, max, help) ROW(f, min, max, NULL, HS_KEY_RESUME, help)
#define SWITCH(f, help) ROW(f, 0, 1, NULL, 0, help)
#define TEXT(f, flags, help) ROW(f, 0, 0, NULL, flags, help)
#define CHOICE(f, names, help) ROW(f, 0, 0, names, 0, help)
/* The data layer owns its keys, ranges and help. */
#define DATA_ROW(f, type, min, max, names, help) ROW(data.f, min, max, names, DATA_##type, help),
#define DATA_NUMBER 0
#define DATA_SWITCH 0
#define DATA_CHOICE 0
#define DATA_LIST HS_KEY_LIST
#define MAX32 4294967295.0
#define MAX64 9007199254740992.0 /* 2^53: exact in JSON and YAML readers everywhere */

static const hs_config_key keys[] = {
    TEXT(graph.path, 0,
         "graph file, \"-\" for standard input, \"world\" for the embedded graph; empty: the task generates one. A graph changes "
         "the defaults of data: phi 0, holdout 0.1, cover, test_max 0"),
    CHOICE(graph.format, format_names, "form of the file; auto looks at its name and first bytes"),
    SWITCH(graph.raw, "2Wiki: take the evidences as they stand, without repairs"),
    TEXT(graph.types, HS_KEY_LIST, "2Wiki: only records of these types, for example compositional; empty: all"),
    SWITCH(graph.skip_derived, "2Wiki: skip records marked derived"),
    SWITCH(graph.literals, "RDF: literals are tails too"),
    TEXT(graph.relations, HS_KEY_LIST, "keep only these relations; empty: all"),
    SWITCH(graph.functional, "keep only facts whose head and relation have one tail"),
    SWITCH(graph.inverses, "add (t, r^-1, h) for every fact"),
    NUMBER(graph.min_degree, 0, MAX32, "keep entities with at least this many facts; 0: all"),
    NUMBER(graph.sample_bridges, 0, MAX32, "keep only facts that touch a sample of this many bridges; 0: all"),
    NUMBER(graph.informative_min_facts, 0, MAX32, "keep relation pairs with at least this many two-hop facts; 0: all"),
    NUMBER(graph.informative_max_majority, 0, 1, "... and whose commonest tail has at most this share"),
    NUMBER(graph.seed, 0, MAX64, "seed of graph.sample_bridges"),

    NUMBER(augment.phi, 0, 1000, "raise phi to this with synthetic facts; 0: no augmentation"),
    SWITCH(augment.per_relation, "raise phi of every chosen relation, not only of the whole graph"),
    TEXT(augment.relations, HS_KEY_LIST, "raise only these relations; empty: all that take part in two hops"),
    SWITCH(augment.acyclic, "never close a directed cycle"),
    SWITCH(augment.new_entities, "heads of synthetic facts may be invented entities"),
    NUMBER(augment.per_value, 0, MAX32,
           "comparison: each value of augment.relations is shared by this many entities; 0: no"),
    NUMBER(augment.max_facts, 0, MAX64, "give up beyond this many synthetic facts; 0: 100 times the real ones"),
    NUMBER(augment.seed, 0, MAX64, "seed of the synthetic facts"),

    {"data.path", HS_KEY_STRING, offsetof(hs_config, data_path), sizeof ((hs_config *)0)->data_path, 0, 0, NULL, 0,
     "a dataset to use as it is (a folder of ours or in the published form, a JSONL file); the rest of this section is idle"},
    ROW(data.task, 0, 0, NULL, HS_KEY_FIRST,
        "composition, comparison or complex; chooses the defaults of this section"),
    HS_DATA_FIELDS(DATA_ROW)

    {"model.preset", HS_KEY_STRING, offsetof(hs_config, model_preset), sizeof ((hs_config *)0)->model_preset, 0, 0, hs_model_preset_choices,
     HS_KEY_FIRST, "family and size; chooses the defaults of this section (docs/models.md); empty: gpt2, 2 blocks, width 128"},
    {"model.init", HS_KEY_STRING, offsetof(hs_config, model_init), sizeof ((hs_config *)0)->model_init, 0, 0, NULL, 0,
     "start from the weights of this safetensors file (hopscope import writes one); its own configuration holds, not this section"},
    CHOICE(model.kind, kind_names, "family of the model"),
    NUMBER(model.n_layer, 1, 256, "distinct blocks"),
    NUMBER(model.passes, 1, 256, "times the blocks are run; 1: an ordinary model"),
    NUMBER(model.n_embd, 1, 65536, "width of the residual stream"),
    NUMBER(model.n_head, 1, 1024, "attention heads"),
    NUMBER(model.n_inner, 0, 1048576, "width of the MLP; 0: 4 times (gpt2) or 8/3 times (llama) the width"),
    NUMBER(model.eps, 0, 1, "epsilon of the norms"),
    NUMBER(model.init_std, 0, 10, "standard deviation of the initial weights"),
    NUMBER(model.dropout, 0, 0.95, "on embeddings, attention probabilities and residual branches"),
    SWITCH(model.tied, "the output head is the embedding"),
    SWITCH(model.re_embed, "between passes, embed the predicted token again (paper C)"),
    NUMBER(model.re_embed_temp, 0, 1e6, "temperature of re_embed"),
    SWITCH(model.inject, "add the embeddings again at the start of each later pass"),
    SWITCH(model.share_mlp, "one MLP and its norm for all blocks"),
    NUMBER(model.memory_inner, 0, 1048576, "width of an extra MLP shared by blocks i and i + L/2; 0: none"),
    SWITCH(model.no_ln, "without layer norm"),
    SWITCH(model.no_mlp, "without MLP"),
    NUMBER(model.rope_theta, 1, 1e9, "llama: base of the rotary positions"),
    SWITCH(model.qk_norm, "llama: norm of queries and keys"),
    NUMBER(model.prefix, 0, 65536, "trm: positions of the puzzle embedding"),
    NUMBER(model.h_cycles, 1, 256, "trm: outer cycles"),
    NUMBER(model.l_cycles, 1, 256, "trm: inner cycles"),
    NUMBER(model.round_up, 1, 65536, "trm: the MLP's width is rounded up to a multiple of this"),
    SWITCH(model.mix_attention, "trm: causal attention in place of the token MLP"),
    SWITCH(model.halt_head, "trm: with the halting head"),

#define TRAIN_NUMBER(f, min, max, help) NUMBER(train.f, min, max, help),
#define TRAIN_NUMBER_R(f, min, max, help) NUMBER_R(train.f, min, max, help),
#define TRAIN_CHOICE(f, names, help) CHOICE(train.f, names, help),
#define TRAIN_CHOICE_R(f, names, help) ROW(train.f, 0, 0, names, HS_KEY_RESUME, help),
#define TRAIN_TEXT_R(f, help) TEXT(train.f, HS_KEY_RESUME, help),
    HS_TRAIN_KEYS(TRAIN_NUMBER, TRAIN_NUMBER_R, TRAIN_CHOICE, TRAIN_CHOICE_R, TRAIN_TEXT_R)

    TEXT(report.title, HS_KEY_RESUME, "title of the report"),
    TEXT(report.paper_values, HS_KEY_LIST | HS_KEY_RESUME, "SPLIT=ACCURACY of a paper, shown beside ours"),
};

enum { N_KEYS = sizeof keys / sizeof *keys };

static const struct {
    const char *name, *title;
} sections[] = {
    {"graph", "Graph: where the facts come from and which are kept"},
    {"augment", "Augmentation: synthetic facts that raise phi"},
    {"data", "Dataset: task, splits and variants"},
    {"model", "Model"},
    {"train", "Training: optimizer, schedule, evaluation, checkpoints"},
    {"report", "Report"},
};

const hs_config_key *hs_config_keys(size_t *n)
{
    *n = N_KEYS;
    return keys;
}

const hs_config_key *hs_config_key_find(const char *key)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (strcmp(keys[i].key, key) == 0)
            return &keys[i];
    return NULL;
}

const char *hs_config_section(const char *section)
{
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (strcmp(sections[i].name, section) == 0)
            return sections[i].title;
    return NULL;
}

void hs_config_default(hs_config *config)
{
    memset(config, 0, sizeof *config);
    snprintf(config->graph.format, sizeof config->graph.format, "auto");
    config->graph.informative_max_majority = 0.2;
    config->graph.seed = 1;
    hs_augment_options augment;
    hs_augment_options_default(&augment);
    config->augment.per_relation = augment.per_relation;
    config->augment.acyclic = augment.acyclic;
    config->augment.new_entities = augment.new_entities;
    config->augment.max_facts = augment.max_facts;
    config->augment.seed = augment.seed;
    hs_data_config_default(&config->data);
    hs_model_config_default(&config->model);
    hs_train_config_default(&config->train);
}

/* ---------------------------------------------------------------- value from text */

static hs_status fail_value(hs_error *err, const hs_config_key *key, const char *value, const char *what)
{
    hs_fail(err, HS_ERR_USAGE, "%s", what);
    hs_error_where(err, "%s", key->key);
    hs_error_value(err, value, strlen(value));
    return HS_ERR_USAGE;
}

static hs_status fail_range(hs_error *err, const hs_config_key *key, const char *value)
{
    fail_value(err, key, value, "out of range");
    hs_error_hint(err, "%s is from %.15g to %.15g", key->key, key->min, key->max);
    return HS_ERR_USAGE;
}

static hs_status set_bool(bool *out, const hs_config_key *key, const char *value, hs_error *err)
{
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(value, yes[i]) == 0) {
            *out = true;
            return HS_OK;
        }
        if (strcmp(value, no[i]) == 0) {
            *out = false;
            return HS_OK;
        }
    }
    fail_value(err, key, value, "not a switch");
    return hs_error_hint(err, "use true or false");
}

/* Decimal digits, or a whole number in floating form ("1e6"). */
static bool parse_whole(const char *value, uint64_t *out)
{
    char *end;
    errno = 0;
    if (value[0] >= '0' && value[0] <= '9') {
        unsigned long long n = strtoull(value, &end, 10);
        if (*end == 0 && errno == 0) {
            *out = n;
            return true;
        }
        double d = strtod(value, &end);
        if (*end == 0 && d >= 0 && d <= MAX64 && d == floor(d) && !strpbrk(value, "xXpP")) {
            *out = (uint64_t)d;
            return true;
        }
    }
    return false;
}

static hs_status set_number(void *field, const hs_config_key *key, const char *value, hs_error *err)
{
    if (key->type == HS_KEY_U32 || key->type == HS_KEY_U64) {
        uint64_t n;
        if (!parse_whole(value, &n)) {
            fail_value(err, key, value, "not a whole number");
            return hs_error_hint(err, "%s is a whole number from %.15g to %.15g", key->key, key->min, key->max);
        }
        if ((double)n < key->min || (double)n > key->max)
            return fail_range(err, key, value);
        if (key->type == HS_KEY_U32)
            *(uint32_t *)field = (uint32_t)n;
        else
            *(uint64_t *)field = n;
        return HS_OK;
    }
    char *end;
    double d = strtod(value, &end);
    bool starts = (value[0] >= '0' && value[0] <= '9') || value[0] == '-' || value[0] == '+' || value[0] == '.';
    if (!starts || *end != 0 || !isfinite(d) || strpbrk(value, "xXpP"))
        return fail_value(err, key, value, "not a number");
    if (!(d >= key->min && d <= key->max))
        return fail_range(err, key, value);
    if (key->type == HS_KEY_FLOAT)
        *(float *)field = (float)(d + 0.0);
    else
        *(double *)field = d + 0.0; /* -0 becomes 0 */
    return HS_OK;
}

static hs_status set_name(void *field, const hs_config_key *key, const char *value, hs_error *err)
{
    size_t n = 0;
    for (; key->names[n]; n++) {
        if (strcmp(key->names[n], value) != 0)
            continue;
        if (key->type == HS_KEY_ENUM)
            *(uint32_t *)field = (uint32_t)n;
        else
            snprintf(field, key->size, "%s", value);
        return HS_OK;
    }
    fail_value(err, key, value, "no such choice");
    char all[200] = "";
    for (size_t i = 0, used = 0; i < n && used < sizeof all; i++)
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", key->names[i]);
    const char *near = hs_nearest(value, key->names, n);
    if (near)
        return hs_error_hint(err, "did you mean %s? choices: %s", near, all);
    return hs_error_hint(err, "choices: %s", all);
}

static hs_status set_text(char *field, const hs_config_key *key, const char *value, hs_error *err)
{
    if (hs_utf8_invalid(value, strlen(value)) != SIZE_MAX)
        return fail_value(err, key, value, "text is not UTF-8");
    if (strlen(value) >= key->size) {
        fail_value(err, key, value, "text is too long");
        return hs_error_hint(err, "%s takes up to %zu bytes", key->key, key->size - 1);
    }
    memset(field, 0, key->size);
    memcpy(field, value, strlen(value));
    return HS_OK;
}

hs_status hs_config_set_key(hs_config *config, const hs_config_key *key, const char *value, hs_error *err)
{
    void *field = (char *)config + key->offset;
    if (key->flags & HS_KEY_FIRST) {
        hs_status status = HS_OK;
        if (strcmp(key->key, "data.task") == 0) {
            status = hs_data_config_for_task(&config->data, value, err);
        } else { /* model.preset */
            if (value[0])
                status = hs_model_preset(&config->model, value, err);
            else
                hs_model_config_default(&config->model);
            if (status == HS_OK)
                return set_text(field, key, value, err);
        }
        if (status == HS_OK)
            return HS_OK;
        hs_error_where(err, "%s", key->key);
        hs_error_value(err, value, strlen(value));
        if (err)
            err->status = HS_ERR_USAGE;
        return HS_ERR_USAGE;
    }
    if (key->names)
        return set_name(field, key, value, err);
    switch (key->type) {
    case HS_KEY_BOOL:
        return set_bool(field, key, value, err);
    case HS_KEY_STRING:
        return set_text(field, key, value, err);
    default:
        return set_number(field, key, value, err);
    }
}

hs_status hs_config_unknown_key(const char *key, hs_error *err)
{
    const char *names[N_KEYS];
    for (size_t i = 0; i < N_KEYS; i++)
        names[i] = keys[i].key;
    hs_fail(err, HS_ERR_USAGE, "unknown key");
    hs_error_value(err, key, strlen(key));
    const char *near = hs_nearest(key, names, N_KEYS);
    if (!near) { /* the section may be what is wrong or missing: compare the last part alone */
        const char *dot = strrchr(key, '.');
        const char *last = dot ? dot + 1 : key;
        for (size_t i = 0; i < N_KEYS && !near; i++)
            if (strcmp(strchr(keys[i].key, '.') + 1, last) == 0)
                near = keys[i].key;
    }
    if (near)
        return hs_error_hint(err, "did you mean %s?", near);
    return hs_error_hint(err, "hopscope config lists all keys");
}

hs_status hs_config_set(hs_config *config, const char *key, const char *value, hs_error *err)
{
    const hs_config_key *k = hs_config_key_find(key);
    if (!k)
        return hs_config_unknown_key(key, err);
    return hs_config_set_key(config, k, value, err);
}

/* ---------------------------------------------------------------- value to text */

void hs_number_text(double value, bool single, char out[32])
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, 32, "%.*g", digits, value);
        if (single ? strtof(out, NULL) == (float)value : strtod(out, NULL) == value)
            return;
    }
}

void hs_config_get(const hs_config *config, const hs_config_key *key, hs_str *out)
{
    const void *field = (const char *)config + key->offset;
    char number[32];
    switch (key->type) {
    case HS_KEY_BOOL:
        hs_str_addf(out, "%s", *(const bool *)field ? "true" : "false");
        break;
    case HS_KEY_U32:
        hs_str_addf(out, "%lu", (unsigned long)*(const uint32_t *)field);
        break;
    case HS_KEY_U64:
        hs_str_addf(out, "%llu", (unsigned long long)*(const uint64_t *)field);
        break;
    case HS_KEY_FLOAT:
        hs_number_text((double)*(const float *)field, true, number);
        hs_str_addf(out, "%s", number);
        break;
    case HS_KEY_DOUBLE:
        hs_number_text(*(const double *)field, false, number);
        hs_str_addf(out, "%s", number);
        break;
    case HS_KEY_ENUM:
        hs_str_addf(out, "%s", key->names[*(const uint32_t *)field]);
        break;
    case HS_KEY_STRING:
        hs_str_add(out, field, strnlen(field, key->size));
        break;
    }
}

const hs_config_key *hs_config_diff(const hs_config *a, const hs_config *b, bool resume)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        if (resume && (keys[i].flags & HS_KEY_RESUME))
            continue;
        const char *x = (const char *)a + keys[i].offset, *y = (const char *)b + keys[i].offset;
        bool same = keys[i].type == HS_KEY_STRING ? strncmp(x, y, keys[i].size) == 0 : memcmp(x, y, keys[i].size) == 0;
        if (!same)
            return &keys[i];
    }
    return NULL;
}

/* ---------------------------------------------------------------- what keys demand of each other */

static hs_status check_graph(const hs_config *config, hs_error *err)
{
    const hs_task *task = hs_task_find(config->data.task);
    bool given = config->graph.path[0] != 0;
    if (task && task->needs_graph && !given) {
        hs_fail(err, HS_ERR_DATA, "task %s needs a graph", task->name);
        hs_error_where(err, "graph.path");
        return hs_error_hint(err, "--set graph.path=FILE, or world for the embedded graph");
    }
    if (task && !task->takes_graph && given) {
        hs_fail(err, HS_ERR_DATA, "task %s generates its own graph and takes none", task->name);
        return hs_error_where(err, "graph.path");
    }
    if ((config->augment.phi > 0 || config->augment.per_value > 0) && !given) {
        hs_fail(err, HS_ERR_DATA, "augmentation needs a graph that is read");
        hs_error_where(err, config->augment.phi > 0 ? "augment.phi" : "augment.per_value");
        return hs_error_hint(err, "--set graph.path=FILE");
    }
    if (config->augment.per_value > 0 && !config->augment.relations[0]) {
        hs_fail(err, HS_ERR_DATA, "augment.per_value needs the attributes it is for");
        hs_error_where(err, "augment.per_value");
        return hs_error_hint(err, "name them in augment.relations");
    }
    return HS_OK;
}

double hs_paper_value(const hs_config *config, const char *split)
{
    char item[256];
    for (size_t i = 0; hs_list_get(config->report.paper_values, i, item, sizeof item); i++) {
        char *equals = strchr(item, '=');
        if (!equals)
            continue;
        *equals = 0;
        const char *name = item + strspn(item, " ");
        if (strcmp(name, split) == 0)
            return strtod(equals + 1, NULL);
    }
    return (double)NAN;
}

static hs_status check_report(const hs_config *config, hs_error *err)
{
    char item[256];
    for (size_t i = 0; hs_list_get(config->report.paper_values, i, item, sizeof item); i++) {
        char *equals = strchr(item, '='), *end = NULL;
        double value = equals ? strtod(equals + 1, &end) : -1;
        if (equals && end != equals + 1 && *end == 0 && value >= 0 && value <= 1)
            continue;
        hs_fail(err, HS_ERR_DATA, "not SPLIT=ACCURACY");
        hs_error_where(err, "report.paper_values");
        hs_error_value(err, item, strlen(item));
        return hs_error_hint(err, "for example test_ii=0.93");
    }
    return HS_OK;
}

hs_status hs_config_check(const hs_config *config, hs_error *err)
{
    HS_TRY(hs_data_config_check(&config->data, err));
    HS_TRY(hs_train_config_check(&config->train, err));
    hs_model_config model = config->model;
    model.vocab = model.vocab ? model.vocab : 16; /* what the dataset will say */
    model.n_positions = model.n_positions ? model.n_positions : 16;
    HS_TRY(hs_model_config_check(&model, err));
    HS_TRY(check_graph(config, err));
    return check_report(config, err);
}
