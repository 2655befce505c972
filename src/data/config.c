/* config.c - the data configuration: defaults, ranges, and its form in the card.
 * HS_DATA_FIELDS names every field; checks and JSON follow it, so that a field cannot be written but not read. */
#include "data/internal.h"

#include <jansson.h>
#include <string.h>

const char *const hs_ood_pick_names[] = {"auto", "fact", "path", NULL};
const char *const hs_tails_names[] = {"functional", "any", NULL};
const char *const hs_balance_names[] = {"auto", "none", "labels", NULL};
const char *const hs_variant_names[] = {"base",        "second_hop_restricted", "without_id_facts",
                                        "held_out_id", "only_queries",          NULL};
const char *const hs_injection_names[] = {"none", "both_full", "both_half", "first_full", "second_full", NULL};

typedef enum field_type { F_TEXT, F_U64, F_U32, F_REAL, F_BOOL, F_CHOICE } field_type;

typedef struct field {
    const char *name;
    field_type type;
    size_t offset, size;
    double min, max;
    const char *const *names;
} field;

#define MEMBER(m) (((hs_data_config *)0)->m)
#define LIST_TYPE(m) F_TEXT
#define NUMBER_TYPE(m) _Generic(MEMBER(m), uint64_t : F_U64, uint32_t : F_U32, double : F_REAL)
#define SWITCH_TYPE(m) F_BOOL
#define CHOICE_TYPE(m) F_CHOICE
#define FIELD(m, type, min, max, names, help)                                                                          \
    {#m, type##_TYPE(m), offsetof(hs_data_config, m), sizeof MEMBER(m), min, max, names},

static const field FIELDS[] = {{"task", F_TEXT, offsetof(hs_data_config, task), sizeof MEMBER(task), 0, 0, NULL},
                               HS_DATA_FIELDS(FIELD)};
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
        .holdout = 0.005,
        .phi = 18.0,
        .test_max = 3000,
        .test_real_only = true,
        .variant_fraction = 0.05,
        .trained_fraction = 0.03,
        .hard_per_label = 50,
    };
}

void hs_data_config_for_graph(hs_data_config *config)
{
    config->phi = 0;
    config->holdout = 0.1;
    config->cover = true;
    config->test_max = 0;
}

static hs_status check_text(const field *f, const char *text, hs_error *err)
{
    if (strnlen(text, f->size) < f->size)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "the text is too long");
    return hs_error_where(err, "data.%s", f->name);
}

static hs_status check_number(const field *f, double x, hs_error *err)
{
    if (x >= f->min && x <= f->max)
        return HS_OK;
    char text[32];
    snprintf(text, sizeof text, "%.9g", x);
    hs_fail(err, HS_ERR_DATA, "out of range");
    hs_error_where(err, "data.%s", f->name);
    hs_error_value(err, text, strlen(text));
    return hs_error_hint(err, "possible: %.9g to %.9g", f->min, f->max);
}

static hs_status check_choice(const field *f, uint32_t choice, hs_error *err)
{
    char all[128] = "";
    uint32_t n = 0;
    for (size_t used = 0; f->names[n]; n++)
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", n ? ", " : "", f->names[n]);
    if (choice < n)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "not one of the possible values (%u)", choice);
    hs_error_where(err, "data.%s", f->name);
    return hs_error_hint(err, "possible: %s", all);
}

hs_status hs_data_config_check_fields(const hs_data_config *config, hs_error *err)
{
    for (size_t i = 0; i < N_FIELDS; i++) {
        const field *f = &FIELDS[i];
        const char *p = (const char *)config + f->offset;
        if (f->type == F_TEXT)
            HS_TRY(check_text(f, p, err));
        else if (f->type == F_REAL)
            HS_TRY(check_number(f, *(const double *)(const void *)p, err));
        else if (f->type == F_U32)
            HS_TRY(check_number(f, *(const uint32_t *)(const void *)p, err));
        else if (f->type == F_CHOICE)
            HS_TRY(check_choice(f, *(const uint32_t *)(const void *)p, err));
    }
    return HS_OK;
}

void hs_injection_resolve(hs_data_config *config)
{
    static const struct {
        double h1ratio, h2ratio;
        uint32_t h1k, h2k;
    } SETTINGS[] = {
        [HS_INJECTION_BOTH_FULL] = {1.0, 1.0, 18, 18},
        [HS_INJECTION_BOTH_HALF] = {0.5, 0.5, 9, 9},
        [HS_INJECTION_FIRST_FULL] = {1.0, 0.0, 18, 0},
        [HS_INJECTION_SECOND_FULL] = {0.0, 1.0, 0, 18},
    };
    if (config->injection == HS_INJECTION_NONE)
        return;
    config->h1ratio = SETTINGS[config->injection].h1ratio;
    config->h2ratio = SETTINGS[config->injection].h2ratio;
    config->h1k = SETTINGS[config->injection].h1k;
    config->h2k = SETTINGS[config->injection].h2k;
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
        case F_CHOICE:
            hs_str_addf(out, "\"%s\"", f->names[*(const uint32_t *)(const void *)p]);
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
    case F_CHOICE:
        for (uint32_t i = 0; json_is_string(value) && f->names[i]; i++) {
            if (strcmp(f->names[i], json_string_value(value)) == 0) {
                *(uint32_t *)(void *)p = i;
                return true;
            }
        }
        return false;
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
