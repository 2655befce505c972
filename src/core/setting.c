/* setting.c - what every setting must satisfy by itself: its range, its choices. Rules between settings stand with the
 * layer that owns them. */
#include "core/setting.h"

#include <math.h>
#include <string.h>

static hs_status fail_field(const hs_setting *f, const char *section, const char *value, const char *what,
                            hs_error *err)
{
    hs_fail(err, HS_ERR_DATA, "%s", what);
    hs_error_where(err, "%s.%s", section, f->name);
    hs_error_value(err, value, strlen(value));
    char text[200];
    hs_setting_range(f, text, sizeof text);
    return hs_error_hint(err, "possible: %s", text);
}

static double number_of(const hs_setting *f, const void *at)
{
    switch (f->type) {
    case HS_SETTING_U32:
    case HS_SETTING_ENUM:
        return *(const uint32_t *)at;
    case HS_SETTING_U64:
        return (double)*(const uint64_t *)at;
    case HS_SETTING_FLOAT:
        return (double)*(const float *)at;
    case HS_SETTING_DOUBLE:
        return *(const double *)at;
    case HS_SETTING_BOOL:
    case HS_SETTING_STRING:
        break;
    }
    return 0;
}

bool hs_setting_fits(const hs_setting *f, double value)
{
    return value >= f->min && (f->flags & HS_SETTING_BELOW ? value < f->max : value <= f->max);
}

void hs_setting_range(const hs_setting *f, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    if (f->names) {
        for (size_t i = 0; f->names[i] && used < size; i++) /* the empty choice of a text is not worth a word */
            if (f->names[i][0])
                used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", f->names[i]);
    } else if (f->type == HS_SETTING_BOOL) {
        snprintf(out, size, "true, false");
    } else if (f->type != HS_SETTING_STRING) {
        const char *below = f->flags & HS_SETTING_BELOW ? "below " : "";
        if (f->max >= 4294967295.0)
            snprintf(out, size, "from %.15g", f->min);
        else
            snprintf(out, size, "from %.15g to %s%.15g", f->min, below, f->max);
    }
}

static hs_status check_choice(const hs_setting *f, const char *section, const void *at, hs_error *err)
{
    size_t n = 0;
    for (; f->names[n]; n++)
        if (f->type == HS_SETTING_STRING && strncmp(f->names[n], at, f->size) == 0)
            return HS_OK;
    if (f->type == HS_SETTING_ENUM && *(const uint32_t *)at < n)
        return HS_OK;
    char text[32];
    snprintf(text, sizeof text, "%g", number_of(f, at));
    return fail_field(f, section, f->type == HS_SETTING_STRING ? (const char *)at : text,
                      "not one of the possible values", err);
}

hs_status hs_settings_check(const hs_setting *fields, size_t n, const void *config, const char *section, hs_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const hs_setting *f = &fields[i];
        const void *at = (const char *)config + f->offset;
        if (f->type == HS_SETTING_STRING && strnlen(at, f->size) == f->size)
            return fail_field(f, section, "", "the text is too long", err);
        if (f->names) {
            HS_TRY(check_choice(f, section, at, err));
        } else if (f->type != HS_SETTING_BOOL && f->type != HS_SETTING_STRING &&
                   !hs_setting_fits(f, number_of(f, at))) {
            char text[32];
            snprintf(text, sizeof text, "%.9g", number_of(f, at));
            return fail_field(f, section, text, "out of range", err);
        }
    }
    return HS_OK;
}
