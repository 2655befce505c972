/* describe.c - the configuration table and a configuration as text: experiment.yaml, hopscope config, man page, manual.
 */
#include "experiment/internal.h"

#include <math.h>
#include <string.h>

static size_t section_length(const hs_config_key *key)
{
    return (size_t)(strchr(key->key, '.') - key->key);
}

/* True where the row opens a section; its name goes to `section`. */
static bool opens_section(const hs_config_key *keys, size_t i, char section[32])
{
    size_t len = section_length(&keys[i]);
    snprintf(section, 32, "%.*s", (int)len, keys[i].key);
    return i == 0 || strncmp(keys[i].key, keys[i - 1].key, len + 1) != 0;
}

/* ---------------------------------------------------------------- experiment.yaml */

/* A JSON string is a YAML double-quoted scalar, but for what libyaml does not take as it stands: DEL and C1 controls,
 * the line separators (which it would fold), the byte order mark and the two non-characters. */
static void yaml_quoted(hs_str *out, const char *s, size_t len)
{
    hs_str plain = {0};
    hs_str_add_json(&plain, s, len);
    for (size_t i = 0; i < plain.len; i++) {
        const unsigned char *c = (const unsigned char *)plain.s + i;
        unsigned point = *c == 0x7f                                         ? 0x7fu
                         : *c == 0xc2 && c[1] < 0xa0                        ? c[1]
                         : *c == 0xe2 && c[1] == 0x80 && (c[2] | 1) == 0xa9 ? 0x2000u | (c[2] & 0x3fu)
                         : *c == 0xef && c[1] == 0xbb && c[2] == 0xbf       ? 0xfeffu
                         : *c == 0xef && c[1] == 0xbf && c[2] >= 0xbe       ? 0xffc0u | (c[2] & 0x3fu)
                                                                            : 0;
        if (point == 0) {
            hs_str_add(out, plain.s + i, 1);
            continue;
        }
        hs_str_addf(out, "\\u%04x", point);
        i += *c == 0x7f ? 0 : *c == 0xc2 ? 1 : 2;
    }
    out->failed = out->failed || plain.failed;
    hs_str_free(&plain);
}

static void yaml_value(const hs_config_key *key, const char *value, hs_str *out)
{
    if (value[0] &&
        (key->setting.type != HS_SETTING_STRING || key->setting.names || (key->setting.flags & HS_SETTING_FIRST))) {
        hs_str_add(out, value, strlen(value));
        return;
    }
    if (!(key->setting.flags & HS_SETTING_LIST) || strstr(value, "\\\\")) {
        yaml_quoted(out, value, strlen(value));
        return;
    }
    char element[2048];
    bool whole = true; /* a list with an empty element is written as its text */
    for (size_t i = 0; hs_list_get(value, i, element, sizeof element); i++)
        whole = whole && element[0];
    if (!whole) {
        yaml_quoted(out, value, strlen(value));
        return;
    }
    hs_str_add(out, "[", 1);
    for (size_t i = 0; hs_list_get(value, i, element, sizeof element); i++) {
        if (i)
            hs_str_add(out, ", ", 2);
        yaml_quoted(out, element, strlen(element));
    }
    hs_str_add(out, "]", 1);
}

void hs_config_write(const hs_config *config, hs_str *out)
{
    size_t n;
    const hs_config_key *keys = hs_config_keys(&n);
    hs_str_addf(out, "# hopscope %s: every setting of this run\n", HS_VERSION);
    for (size_t i = 0; i < n; i++) {
        char section[32];
        if (opens_section(keys, i, section))
            hs_str_addf(out, "\n# %s\n%s:\n", hs_config_section(section), section);
        hs_str value = {0}, line = {0};
        hs_config_get(config, &keys[i], &value);
        hs_str_addf(&line, "  %s: ", keys[i].key + section_length(&keys[i]) + 1);
        yaml_value(&keys[i], value.s ? value.s : "", &line);
        hs_str_addf(out, "%-36s # %s\n", line.s ? line.s : "", keys[i].setting.help);
        out->failed = out->failed || value.failed || line.failed;
        hs_str_free(&value);
        hs_str_free(&line);
    }
}

/* ---------------------------------------------------------------- the table */

static const char *type_name(const hs_config_key *key)
{
    if (key->setting.flags & HS_SETTING_LIST)
        return "list";
    switch (key->setting.type) {
    case HS_SETTING_BOOL:
        return "switch";
    case HS_SETTING_U32:
    case HS_SETTING_U64:
        return "integer";
    case HS_SETTING_FLOAT:
    case HS_SETTING_DOUBLE:
        return "number";
    case HS_SETTING_ENUM:
        return "choice";
    case HS_SETTING_STRING:
        return key->setting.names ? "choice" : "text";
    }
    return "text";
}

static void man_text(hs_str *out, const char *s)
{
    if (*s == '.' || *s == '\'')
        hs_str_addf(out, "\\&");
    for (; *s; s++) {
        if (*s == '\\')
            hs_str_addf(out, "\\e");
        else if (*s == '-')
            hs_str_addf(out, "\\-");
        else
            hs_str_add(out, s, 1);
    }
}

static void markdown_text(hs_str *out, const char *s)
{
    for (; *s; s++) {
        if (strchr("|<>*_^", *s))
            hs_str_add(out, "\\", 1);
        hs_str_add(out, s, 1);
    }
}

static void section_head(hs_describe_format format, const char *section, bool first, hs_str *out)
{
    const char *title = hs_config_section(section);
    if (format == HS_DESCRIBE_TEXT) {
        hs_str_addf(out, "%s%s\n", first ? "" : "\n", title);
    } else if (format == HS_DESCRIBE_MAN) {
        hs_str_addf(out, ".SS ");
        man_text(out, title);
        hs_str_addf(out, "\n");
    } else if (format == HS_DESCRIBE_MARKDOWN) {
        hs_str_addf(out, "\n## %s\n\n| key | default | values | meaning |\n|---|---|---|---|\n", title);
    }
}

static void describe_key(hs_describe_format format, const hs_config_key *key, const char *value, const char *range,
                         bool first, hs_str *out)
{
    bool resume = (key->setting.flags & HS_SETTING_RESUME) != 0;
    const char *shown = *value ? value : "\"\"";
    switch (format) {
    case HS_DESCRIBE_TEXT:
        hs_str_addf(out, "  %-30s %-12s %s", key->key, shown, key->setting.help);
        if (*range)
            hs_str_addf(out, " (%s)", range);
        hs_str_addf(out, "\n");
        break;
    case HS_DESCRIBE_JSON:
        hs_str_addf(out, "%s\n  {\"key\": \"%s\", \"type\": \"%s\", \"default\": ", first ? "" : ",", key->key,
                    type_name(key));
        if (key->setting.type == HS_SETTING_STRING || key->setting.type == HS_SETTING_ENUM)
            hs_str_add_json(out, value, strlen(value));
        else
            hs_str_add(out, value, strlen(value));
        if (key->setting.names) {
            hs_str_addf(out, ", \"choices\": [");
            for (size_t i = 0; key->setting.names[i]; i++)
                hs_str_addf(out, "%s\"%s\"", i ? ", " : "", key->setting.names[i]);
            hs_str_addf(out, "]");
        } else if (key->setting.type != HS_SETTING_STRING && key->setting.type != HS_SETTING_BOOL) {
            hs_str_addf(out, ", \"min\": %.17g, \"max\": %.17g", key->setting.min, key->setting.max);
        }
        hs_str_addf(out, ", \"may_differ_on_resume\": %s, \"help\": ", resume ? "true" : "false");
        hs_str_add_json(out, key->setting.help, strlen(key->setting.help));
        hs_str_addf(out, "}");
        break;
    case HS_DESCRIBE_MAN:
        hs_str_addf(out, ".TP\n.BR \"%s\" \" (%s", key->key, type_name(key));
        hs_str_addf(out, ", default ");
        man_text(out, *value ? value : "empty");
        hs_str_addf(out, ")\"\n");
        man_text(out, key->setting.help);
        if (*range) {
            hs_str_addf(out, "\n(");
            man_text(out, range);
            hs_str_addf(out, ")");
        }
        hs_str_addf(out, "\n");
        break;
    case HS_DESCRIBE_MARKDOWN:
        hs_str_addf(out, "| `%s` | %s%s%s | ", key->key, *value ? "`" : "", value, *value ? "`" : "");
        markdown_text(out, *range ? range : type_name(key));
        hs_str_addf(out, " | ");
        markdown_text(out, key->setting.help);
        hs_str_addf(out, "%s |\n", resume ? " †" : "");
        break;
    }
}

void hs_config_describe(hs_describe_format format, hs_str *out)
{
    size_t n;
    const hs_config_key *keys = hs_config_keys(&n);
    hs_config *config = hs_alloc(sizeof *config);
    if (!config) {
        out->failed = true;
        return;
    }
    hs_config_default(config);
    if (format == HS_DESCRIBE_MARKDOWN)
        hs_str_addf(
            out,
            "# Configuration\n\n"
            "Every key of an experiment file, made by `hopscope config --markdown`. In the file, keys stand in\n"
            "their sections (`data:` then `phi: 18`) or in full (`data.phi: 18`); on the command line\n"
            "`--set data.phi=18` wins over the file. `data.task` chooses the defaults of the other `data.*` keys;\n"
            "shown here are those of composition. † may differ when a run is resumed.\n");
    if (format == HS_DESCRIBE_JSON)
        hs_str_add(out, "[", 1);
    for (size_t i = 0; i < n; i++) {
        char section[32];
        if (opens_section(keys, i, section))
            section_head(format, section, i == 0, out);
        hs_str value = {0};
        char range[512];
        hs_config_get(config, &keys[i], &value);
        hs_setting_range(&keys[i].setting, range, sizeof range);
        describe_key(format, &keys[i], value.s ? value.s : "", range, i == 0, out);
        out->failed = out->failed || value.failed;
        hs_str_free(&value);
    }
    if (format == HS_DESCRIBE_JSON)
        hs_str_addf(out, "\n]\n");
    hs_free(config);
}
