/* config.c - the data configuration: defaults, ranges, and its form in the card.
 * One table names every field; defaults, checks and JSON follow it, so that a field cannot be written but not read. */
#include "data/internal.h"

#include <jansson.h>
#include <string.h>

typedef enum field_type { F_TEXT, F_U64, F_U32, F_REAL, F_BOOL } field_type;

typedef struct field {
    const char *name;
    field_type type;
    size_t offset, size;
    double min, max;
    const char *choices; /* text: " a b c " or NULL */
} field;

#define MEMBER(m) offsetof(hs_data_config, m), sizeof(((hs_data_config *)0)->m)
#define TEXT(m, choices)                                                                                               \
    {                                                                                                                  \
#m, F_TEXT, MEMBER(m), 0, 0, choices                                                                           \
    }
#define U32(m, min, max)                                                                                               \
    {                                                                                                                  \
#m, F_U32, MEMBER(m), min, max, NULL                                                                           \
    }
#define REAL(m, min, max)                                                                                              \
    {                                                                                                                  \
#m, F_REAL, MEMBER(m), min, max, NULL                                                                          \
    }
#define BOOL(m)                                                                                                        \
    {                                                                                                                  \
#m, F_BOOL, MEMBER(m), 0, 1, NULL                                                                              \
    }

static const field FIELDS[] = {
    TEXT(task, NULL),
    {"seed", F_U64, MEMBER(seed), 0, 0, NULL},
    U32(entities, 2, 1e7),
    U32(relations, 1, 1e6),
    U32(out_degree, 1, 1e6),
    U32(hops, 2, HS_MAX_HOPS),
    U32(attributes, 1, 1e4),
    U32(values, 2, 1e4),
    TEXT(attribute_list, NULL),
    REAL(ood_fraction, 0, 0.95),
    TEXT(ood_pick, " auto fact path "),
    REAL(holdout, 0, 0.95),
    REAL(phi, 0, 1000),
    U32(test_max, 0, UINT32_MAX),
    BOOL(cover),
    BOOL(end_token),
    TEXT(tails, " functional any "),
    BOOL(test_real_only),
    TEXT(balance, " auto none labels "),
    U32(token_multiplicity, 0, 1e6),
    TEXT(variant, " base second_hop_restricted without_id_facts held_out_id only_queries "),
    REAL(variant_fraction, 0, 0.95),
    REAL(trained_fraction, 0, 1),
    U32(hard_per_label, 0, 1e6),
    TEXT(injection, " none both_full both_half first_full second_full "),
    REAL(h1ratio, 0, 1),
    REAL(h2ratio, 0, 1),
    U32(h1k, 0, 1e6),
    U32(h2k, 0, 1e6),
    BOOL(avoid_test_bridges),
    BOOL(quirk_valid_is_ood),
    BOOL(quirk_dead_vocab),
    BOOL(quirk_float_phi),
};
enum { N_FIELDS = sizeof FIELDS / sizeof FIELDS[0] };

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
        .ood_pick = "auto",
        .holdout = 0.005,
        .phi = 18.0,
        .test_max = 3000,
        .tails = "functional",
        .test_real_only = true,
        .balance = "auto",
        .variant = "base",
        .variant_fraction = 0.05,
        .trained_fraction = 0.03,
        .hard_per_label = 50,
        .injection = "none",
    };
}

void hs_data_config_for_graph(hs_data_config *config)
{
    config->phi = 0;
    config->holdout = 0.1;
    config->cover = true;
    config->test_max = 0;
}

hs_status hs_data_config_for_task(hs_data_config *config, const char *task, hs_error *err)
{
    hs_data_config_default(config);
    if (!hs_task_find(task)) {
        hs_fail(err, HS_ERR_USAGE, "there is no such task");
        hs_error_value(err, task, strlen(task));
        const char *names[16];
        size_t n;
        const hs_task *tasks = hs_task_list(&n);
        for (size_t i = 0; i < n && i < 16; i++)
            names[i] = tasks[i].name;
        const char *near = hs_nearest(task, names, n);
        return hs_error_hint(err, "%s%s", near ? "did you mean " : "tasks: composition, comparison, complex",
                             near ? near : "");
    }
    strcpy(config->task, hs_task_find(task)->name);
    if (strcmp(task, "composition") != 0) {
        config->entities = 1000;
        config->ood_fraction = 0.1;
        config->holdout = 0.1;
        config->phi = 7.2;
    }
    return HS_OK;
}

static hs_status check_text(const field *f, const char *text, hs_error *err)
{
    size_t len = strnlen(text, f->size);
    if (len == f->size) {
        hs_fail(err, HS_ERR_DATA, "the text is too long");
        return hs_error_where(err, "data.%s", f->name);
    }
    if (!f->choices)
        return HS_OK;
    char word[64];
    snprintf(word, sizeof word, " %s ", text);
    if (len > 0 && !strchr(text, ' ') && strstr(f->choices, word))
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "not one of the possible values");
    hs_error_where(err, "data.%s", f->name);
    hs_error_value(err, text, len);
    return hs_error_hint(err, "possible:%s", f->choices);
}

static double number_of(const hs_data_config *config, const field *f)
{
    const void *p = (const char *)config + f->offset;
    return f->type == F_REAL ? *(const double *)p : (double)*(const uint32_t *)p;
}

hs_status hs_data_config_check(const hs_data_config *config, hs_error *err)
{
    for (size_t i = 0; i < N_FIELDS; i++) {
        const field *f = &FIELDS[i];
        if (f->type == F_TEXT) {
            HS_TRY(check_text(f, (const char *)config + f->offset, err));
        } else if (f->type == F_REAL || f->type == F_U32) {
            double x = number_of(config, f);
            if (!(x >= f->min && x <= f->max)) {
                char text[32];
                snprintf(text, sizeof text, "%.9g", x);
                hs_fail(err, HS_ERR_DATA, "out of range");
                hs_error_where(err, "data.%s", f->name);
                hs_error_value(err, text, strlen(text));
                return hs_error_hint(err, "possible: %.9g to %.9g", f->min, f->max);
            }
        }
    }
    if (!hs_task_find(config->task)) {
        hs_data_config other;
        hs_data_config_for_task(&other, config->task, err);
        hs_error_where(err, "data.task");
        if (err)
            err->status = HS_ERR_DATA;
        return HS_ERR_DATA;
    }
    return HS_OK;
}

void hs_injection_resolve(hs_data_config *config)
{
    static const struct {
        const char *name;
        double h1ratio, h2ratio;
        uint32_t h1k, h2k;
    } SETTINGS[] = {
        {"both_full", 1.0, 1.0, 18, 18},
        {"both_half", 0.5, 0.5, 9, 9},
        {"first_full", 1.0, 0.0, 18, 0},
        {"second_full", 0.0, 1.0, 0, 18},
    };
    for (size_t i = 0; i < sizeof SETTINGS / sizeof SETTINGS[0]; i++) {
        if (strcmp(config->injection, SETTINGS[i].name) == 0) {
            config->h1ratio = SETTINGS[i].h1ratio;
            config->h2ratio = SETTINGS[i].h2ratio;
            config->h1k = SETTINGS[i].h1k;
            config->h2k = SETTINGS[i].h2k;
        }
    }
}

bool hs_injection_on(const hs_data_config *config)
{
    return (config->h1ratio > 0 && config->h1k > 0) || (config->h2ratio > 0 && config->h2k > 0);
}

void hs_data_config_json(const hs_data_config *config, hs_str *out)
{
    hs_str_addf(out, "{");
    for (size_t i = 0; i < N_FIELDS; i++) {
        const field *f = &FIELDS[i];
        const char *p = (const char *)config + f->offset;
        hs_str_addf(out, "%s\"%s\": ", i ? ", " : "", f->name);
        switch (f->type) {
        case F_TEXT:
            hs_str_add_json(out, p, strnlen(p, f->size));
            break;
        case F_U64: /* as text: JSON readers lose integers above 2^53 */
            hs_str_addf(out, "\"%llu\"", (unsigned long long)*(const uint64_t *)(const void *)p);
            break;
        case F_U32:
            hs_str_addf(out, "%u", *(const uint32_t *)(const void *)p);
            break;
        case F_REAL:
            hs_str_addf(out, "%.17g", *(const double *)(const void *)p);
            break;
        case F_BOOL:
            hs_str_addf(out, "%s", *(const bool *)(const void *)p ? "true" : "false");
            break;
        }
    }
    hs_str_addf(out, "}");
}

static bool read_field(const field *f, char *p, const json_t *value)
{
    switch (f->type) {
    case F_TEXT:
        if (!json_is_string(value) || json_string_length(value) >= f->size)
            return false;
        memset(p, 0, f->size);
        memcpy(p, json_string_value(value), json_string_length(value));
        return true;
    case F_U64: {
        if (!json_is_string(value))
            return false;
        unsigned long long x;
        char tail;
        if (sscanf(json_string_value(value), "%llu%c", &x, &tail) != 1)
            return false;
        *(uint64_t *)(void *)p = x;
        return true;
    }
    case F_U32:
        if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > UINT32_MAX)
            return false;
        *(uint32_t *)(void *)p = (uint32_t)json_integer_value(value);
        return true;
    case F_REAL:
        if (!json_is_number(value))
            return false;
        *(double *)(void *)p = json_number_value(value);
        return true;
    case F_BOOL:
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
    for (size_t i = 0; i < N_FIELDS; i++) {
        const field *f = &FIELDS[i];
        const json_t *value = json_object_get(object, f->name);
        if (value && !read_field(f, (char *)config + f->offset, value)) {
            hs_fail(err, HS_ERR_DATA, "the value has the wrong type or size");
            return hs_error_where(err, "config.%s", f->name);
        }
    }
    return HS_OK;
}
