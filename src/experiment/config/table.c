/* table.c - the one configuration table, and how a value is read, written and compared.
 *
 * The table is the tables of the layers one after another (hs_data_settings, hs_model_settings, hs_train_settings, hs_interpret_settings) and the few
 * rows below. Adding a setting is adding one row there; its default comes from the layer's own *_config_default. */
#include "core/setting.h"
#include "experiment/internal.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const char *const columns_names[] = {"auto", "hrt", "htr", "rht", "rth", "thr", "trh", NULL};

/* Settings that belong to the experiment as a whole; those of dataset, model and training stand in their layers. */
#define NUMBER(f, min, max, flags, help) HS_SETTING(STRUCT, f, #f, min, max, NULL, flags, help)
#define SWITCH(f, help) HS_SETTING(STRUCT, f, #f, 0, 1, NULL, 0, help)
#define TEXT(f, flags, help) HS_SETTING(STRUCT, f, #f, 0, 0, NULL, flags, help)
#define CHOICE(f, names, flags, help) HS_SETTING(STRUCT, f, #f, 0, 0, names, flags, help)

#define STRUCT hs_graph_config
static const hs_setting graph_keys[] = {
    TEXT(path, HS_SETTING_PATH,
         "graph file, \"-\" for standard input, \"world\" for the embedded graph; empty: the task generates one. A "
         "graph changes "
         "the defaults of data: phi 0, holdout 0.1, cover, test_max 0"),
    CHOICE(format, hs_graph_format_names, 0, "form of the file; auto looks at its name and first bytes"),
    CHOICE(columns, columns_names, 0,
           "TSV, CSV: order of the columns, htr for head, tail, relation; auto: by the header line, else hrt"),
    SWITCH(raw, "2Wiki: take the evidences as they stand, without repairs"),
    TEXT(types, HS_SETTING_LIST, "2Wiki: only records of these types, for example compositional; empty: all"),
    SWITCH(skip_derived, "2Wiki: skip records marked derived"),
    SWITCH(literals, "RDF: literals are tails too"),
    TEXT(relations, HS_SETTING_LIST, "keep only these relations; empty: all"),
    SWITCH(functional, "keep only facts whose head and relation have one tail"),
    SWITCH(inverses, "add (t, r^-1, h) for every fact"),
    NUMBER(min_degree, 0, HS_SETTING_MAX32, 0, "keep entities with at least this many facts; 0: all"),
    NUMBER(sample_bridges, 0, HS_SETTING_MAX32, 0, "keep only facts that touch a sample of this many bridges; 0: all"),
    NUMBER(informative_min_facts, 0, HS_SETTING_MAX32, 0,
           "keep relation pairs with at least this many two-hop facts; 0: all"),
    NUMBER(informative_max_majority, 0, 1, 0, "... and whose commonest tail has at most this share"),
    NUMBER(seed, 0, HS_SETTING_MAX64, 0, "seed of graph.sample_bridges"),
};
#undef STRUCT
#define STRUCT hs_augment_config
static const hs_setting augment_keys[] = {
    NUMBER(phi, 0, 1000, 0, "raise phi to this with synthetic facts; 0: no augmentation"),
    NUMBER(per_bridge, 0, HS_SETTING_MAX32, 0,
           "each bridge of real two-hop facts is reached by at least this many facts (16 is much); 0: as it comes"),
    SWITCH(per_relation, "raise phi of every chosen relation, not only of the whole graph"),
    TEXT(relations, HS_SETTING_LIST, "raise only these relations; empty: all that take part in two hops"),
    SWITCH(acyclic, "never close a directed cycle"),
    SWITCH(new_entities, "heads of synthetic facts may be invented entities"),
    NUMBER(per_value, 0, HS_SETTING_MAX32, 0,
           "comparison: each value of augment.relations is shared by this many entities; 0: no"),
    NUMBER(max_facts, 0, HS_SETTING_MAX64, 0, "give up beyond this many synthetic facts; 0: 100 times the real ones"),
    NUMBER(held, 0, 0.95, 0, "hold back this share of the facts, before anything is added; 0: none"),
    CHOICE(in_place, hs_in_place_names, 0,
           "in place of each fact held back, as a synthetic one: none, the same, one with a wrong tail of its relation, or a random one"),
    NUMBER(seed, 0, HS_SETTING_MAX64, 0, "seed of the synthetic facts"),
};
#undef STRUCT
#define STRUCT hs_config
static const hs_setting data_keys[] = {
    HS_SETTING(STRUCT, data_path, "path", 0, 0, NULL, HS_SETTING_PATH,
               "a dataset to use as it is (a folder of ours or in the published form, a JSONL file); the rest of this "
               "section is idle"),
    HS_SETTING(STRUCT, new_facts.new_facts, "new_facts", 0, HS_SETTING_MAX32, NULL, 0,
               "a finetuning set of so many new facts over this dataset (arXiv 2601.09049, 5.1; even); 0: the dataset "
               "itself"),
    HS_SETTING(STRUCT, new_facts.keep, "new_keep", 0, HS_SETTING_MAX32, NULL, 0,
               "new_facts: old training items that are kept (new_paper: ID facts, with the queries over them)"),
    HS_SETTING(STRUCT, new_facts.paper, "new_paper", 0, 1, NULL, 0,
               "new_facts: kept as the paper says, not as the released code does"),
    HS_SETTING(STRUCT, data_watch, "watch", 0, 0, NULL, HS_SETTING_PATH,
               "a run or a dataset whose splits are evaluated too, as NAME.SPLIT (docs/howto-staged.md)"),
};
static const hs_setting model_keys[] = {
    HS_SETTING(
        STRUCT, model_preset, "preset", 0, 0, hs_model_preset_choices, HS_SETTING_FIRST,
        "family and size; chooses the defaults of this section (docs/models.md); empty: gpt2, 2 blocks, width 128"),
    HS_SETTING(
        STRUCT, model_init, "init", 0, 0, NULL, HS_SETTING_PATH,
        "start from these weights: a safetensors file (hopscope import writes one), whose own configuration holds, "
        "or a run directory, tokens matched by name (docs/howto-staged.md)"),
    HS_SETTING(STRUCT, model_init_step, "init_step", 0, HS_SETTING_MAX64, NULL, 0,
               "the step of the run at model.init; 0: its newest"),
};
#undef STRUCT
#define STRUCT hs_report_config
static const hs_setting report_keys[] = {
    TEXT(title, HS_SETTING_RESUME, "title of the report"),
    TEXT(paper_values, HS_SETTING_LIST | HS_SETTING_RESUME, "SPLIT=ACCURACY of a paper, shown beside ours"),
    TEXT(published, HS_SETTING_LIST | HS_SETTING_PATH | HS_SETTING_RESUME,
         "CSV files of curves drawn beside ours: name, source, split, step, accuracy (docs/page.md)"),
    HS_SETTING(STRUCT, page, "page", 0, 1, NULL, HS_SETTING_RESUME,
               "write report.html into the run's folder at the end of hopscope run (docs/page.md)"),
};
#undef STRUCT

/* ---------------------------------------------------------------- the whole table */

enum { MAX_KEYS = 256, KEY_SIZE = 64 };
static hs_config_key keys[MAX_KEYS]; /* filled once, by build_keys */
static char key_names[MAX_KEYS][KEY_SIZE];
static size_t n_keys;
static pthread_once_t keys_once = PTHREAD_ONCE_INIT;

static void add_keys(const char *section, const hs_setting *fields, size_t n, size_t base)
{
    for (size_t i = 0; i < n; i++) {
        const hs_setting *f = &fields[i];
        assert(n_keys < MAX_KEYS);
        const int len = snprintf(key_names[n_keys], KEY_SIZE, "%s.%s", section, f->name);
        assert(len > 0 && len < KEY_SIZE);
        (void)len;
        keys[n_keys] = (hs_config_key){.key = key_names[n_keys], .setting = *f};
        keys[n_keys].setting.offset += base;
        n_keys++;
    }
}

#define ADD_OWN(section, fields, base) add_keys(section, fields, sizeof fields / sizeof *fields, base)
static void build_keys(void)
{
    size_t n;
    ADD_OWN("graph", graph_keys, offsetof(hs_config, graph));
    ADD_OWN("augment", augment_keys, offsetof(hs_config, augment));
    ADD_OWN("data", data_keys, 0);
    const hs_setting *data = hs_data_settings(&n);
    add_keys("data", data, n, offsetof(hs_config, data));
    ADD_OWN("model", model_keys, 0);
    const hs_setting *model = hs_model_settings(&n);
    add_keys("model", model, n, offsetof(hs_config, model));
    const hs_setting *train = hs_train_settings(&n);
    add_keys("train", train, n, offsetof(hs_config, train));
    const hs_setting *interpret = hs_interpret_settings(&n);
    add_keys("interpret", interpret, n, offsetof(hs_config, interpret));
    ADD_OWN("report", report_keys, offsetof(hs_config, report));
}

static const struct {
    const char *name, *title;
} sections[] = {
    {"graph", "Graph: where the facts come from and which are kept"},
    {"augment", "Augmentation: synthetic facts that raise phi"},
    {"data", "Dataset: task, splits and variants"},
    {"model", "Model"},
    {"train", "Training: optimizer, schedule, evaluation, checkpoints"},
    {"interpret", "Interpretation: methods of the microscope that look at the model at every evaluation"},
    {"report", "Report"},
};

const hs_config_key *hs_config_keys(size_t *n)
{
    pthread_once(&keys_once, build_keys);
    *n = n_keys;
    return keys;
}

const hs_config_key *hs_config_key_find(const char *key)
{
    size_t n;
    const hs_config_key *all = hs_config_keys(&n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(all[i].key, key) == 0)
            return &all[i];
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
    snprintf(config->graph.columns, sizeof config->graph.columns, "auto");
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
    hs_new_facts_config_default(&config->new_facts);
    config->new_facts.new_facts = 0;
    hs_model_config_default(&config->model);
    hs_train_config_default(&config->train);
    hs_interpret_config_default(&config->interpret);
    config->report.page = true;
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
    char range[64];
    hs_setting_range(&key->setting, range, sizeof range);
    hs_error_hint(err, "%s: %s", key->key, range);
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
        if (*end == 0 && d >= 0 && d <= HS_SETTING_MAX64 && d == floor(d) && !strpbrk(value, "xXpP")) {
            *out = (uint64_t)d;
            return true;
        }
    }
    return false;
}

static hs_status set_number(void *field, const hs_config_key *key, const char *value, hs_error *err)
{
    if (key->setting.type == HS_SETTING_U32 || key->setting.type == HS_SETTING_U64) {
        uint64_t n;
        if (!parse_whole(value, &n)) {
            fail_value(err, key, value, "not a whole number");
            char range[64];
            hs_setting_range(&key->setting, range, sizeof range);
            return hs_error_hint(err, "%s is a whole number: %s", key->key, range);
        }
        if (!hs_setting_fits(&key->setting, (double)n))
            return fail_range(err, key, value);
        if (key->setting.type == HS_SETTING_U32)
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
    if (!hs_setting_fits(&key->setting, d))
        return fail_range(err, key, value);
    if (key->setting.type == HS_SETTING_FLOAT)
        *(float *)field = (float)(d + 0.0);
    else
        *(double *)field = d + 0.0; /* -0 becomes 0 */
    return HS_OK;
}

static hs_status set_name(void *field, const hs_config_key *key, const char *value, hs_error *err)
{
    size_t n = 0;
    for (; key->setting.names[n]; n++) {
        if (strcmp(key->setting.names[n], value) != 0)
            continue;
        if (key->setting.type == HS_SETTING_ENUM)
            *(uint32_t *)field = (uint32_t)n;
        else
            snprintf(field, key->setting.size, "%s", value);
        return HS_OK;
    }
    fail_value(err, key, value, "no such choice");
    char all[200] = "";
    for (size_t i = 0, used = 0; i < n && used < sizeof all; i++)
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", key->setting.names[i]);
    const char *near = hs_nearest(value, key->setting.names, n);
    if (near)
        return hs_error_hint(err, "did you mean %s? choices: %s", near, all);
    return hs_error_hint(err, "choices: %s", all);
}

static hs_status set_text(char *field, const hs_config_key *key, const char *value, hs_error *err)
{
    if (hs_utf8_invalid(value, strlen(value)) != SIZE_MAX)
        return fail_value(err, key, value, "text is not UTF-8");
    if (strlen(value) >= key->setting.size) {
        fail_value(err, key, value, "text is too long");
        return hs_error_hint(err, "%s takes up to %zu bytes", key->key, key->setting.size - 1);
    }
    memset(field, 0, key->setting.size);
    memcpy(field, value, strlen(value));
    return HS_OK;
}

hs_status hs_config_set_key(hs_config *config, const hs_config_key *key, const char *value, hs_error *err)
{
    void *field = (char *)config + key->setting.offset;
    if (key->setting.flags & HS_SETTING_FIRST) {
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
    if (key->setting.names)
        return set_name(field, key, value, err);
    switch (key->setting.type) {
    case HS_SETTING_BOOL:
        return set_bool(field, key, value, err);
    case HS_SETTING_STRING:
        return set_text(field, key, value, err);
    default:
        return set_number(field, key, value, err);
    }
}

hs_status hs_config_unknown_key(const char *key, hs_error *err)
{
    const char *names[MAX_KEYS];
    size_t n;
    const hs_config_key *all = hs_config_keys(&n);
    for (size_t i = 0; i < n; i++)
        names[i] = all[i].key;
    hs_fail(err, HS_ERR_USAGE, "unknown key");
    hs_error_value(err, key, strlen(key));
    const char *near = hs_nearest(key, names, n);
    if (!near) { /* the section may be what is wrong or missing: compare the last part alone */
        const char *dot = strrchr(key, '.');
        const char *last = dot ? dot + 1 : key;
        for (size_t i = 0; i < n && !near; i++)
            if (strcmp(strchr(all[i].key, '.') + 1, last) == 0)
                near = all[i].key;
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
    const void *field = (const char *)config + key->setting.offset;
    char number[32];
    switch (key->setting.type) {
    case HS_SETTING_BOOL:
        hs_str_addf(out, "%s", *(const bool *)field ? "true" : "false");
        break;
    case HS_SETTING_U32:
        hs_str_addf(out, "%lu", (unsigned long)*(const uint32_t *)field);
        break;
    case HS_SETTING_U64:
        hs_str_addf(out, "%llu", (unsigned long long)*(const uint64_t *)field);
        break;
    case HS_SETTING_FLOAT:
        hs_number_text((double)*(const float *)field, true, number);
        hs_str_addf(out, "%s", number);
        break;
    case HS_SETTING_DOUBLE:
        hs_number_text(*(const double *)field, false, number);
        hs_str_addf(out, "%s", number);
        break;
    case HS_SETTING_ENUM:
        hs_str_addf(out, "%s", key->setting.names[*(const uint32_t *)field]);
        break;
    case HS_SETTING_STRING:
        hs_str_add(out, field, strnlen(field, key->setting.size));
        break;
    }
}

const hs_config_key *hs_config_diff(const hs_config *a, const hs_config *b, bool resume)
{
    size_t n;
    const hs_config_key *all = hs_config_keys(&n);
    for (size_t i = 0; i < n; i++) {
        const hs_setting *f = &all[i].setting;
        if (resume && (f->flags & HS_SETTING_RESUME))
            continue;
        const char *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;
        bool same = f->type == HS_SETTING_STRING ? strncmp(x, y, f->size) == 0 : memcmp(x, y, f->size) == 0;
        if (!same)
            return &all[i];
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
    if ((config->augment.phi > 0 || config->augment.per_bridge > 0 || config->augment.per_value > 0 ||
         config->augment.held > 0) &&
        !given) {
        hs_fail(err, HS_ERR_DATA, "augmentation needs a graph that is read");
        hs_error_where(err, config->augment.phi > 0          ? "augment.phi"
                            : config->augment.per_bridge > 0 ? "augment.per_bridge"
                            : config->augment.per_value > 0  ? "augment.per_value"
                                                             : "augment.held");
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
    size_t n = sizeof graph_keys / sizeof *graph_keys;
    HS_TRY(hs_settings_check(graph_keys, n, &config->graph, "graph", err));
    n = sizeof augment_keys / sizeof *augment_keys;
    HS_TRY(hs_settings_check(augment_keys, n, &config->augment, "augment", err));
    HS_TRY(hs_data_config_check(&config->data, err));
    HS_TRY(hs_train_config_check(&config->train, err));
    HS_TRY(hs_interpret_config_check(&config->interpret, err));
    hs_model_config model = config->model;
    model.vocab = model.vocab ? model.vocab : 16; /* what the dataset will say */
    model.n_positions = model.n_positions ? model.n_positions : 16;
    HS_TRY(hs_model_config_check(&model, err));
    HS_TRY(check_graph(config, err));
    return check_report(config, err);
}
