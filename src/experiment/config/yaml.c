/* yaml.c - configuration from YAML (libyaml's events) and --set.
 *
 * The one table is the schema: a key that is not in it, given twice, or of the wrong form is an error that names file
 * and line. Settings are collected first and applied after, because data.task chooses the defaults of the others.
 * A configuration may have several sources, each over the one before it (an experiment, the plan of a sweep, --set, an
 * arm). Invariant: every setting collected names an existing row, and a row at most once. */
#include "experiment/internal.h"

#include <string.h>

#include <yaml.h>

enum { MAX_FILE = 1 << 20, MAX_DEPTH = 8, MAX_KEY = 256 };

typedef struct setting {
    const hs_config_key *key;
    char *value;
    const char *file; /* NULL = from --set */
    size_t line;
} setting;

typedef struct reader {
    const char *name;
    yaml_parser_t parser;
    hs_arena *arena;
    setting *settings;
    size_t n, cap;
    hs_error *err;
} reader;

static hs_status fail_at(reader *r, size_t line, const char *key, const char *value, const char *what)
{
    hs_fail(r->err, HS_ERR_DATA, "%s", what);
    hs_error_where(r->err, "%s:%zu%s%s", r->name, line, key && *key ? ": " : "", key ? key : "");
    if (value)
        hs_error_value(r->err, value, strlen(value));
    return HS_ERR_DATA;
}

static hs_status next_event(reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event))
        return HS_OK;
    if (r->parser.error == YAML_MEMORY_ERROR)
        return hs_fail_memory(r->err, 0);
    const char *problem = r->parser.problem ? r->parser.problem : "not YAML";
    if (r->parser.error == YAML_READER_ERROR) {
        hs_fail(r->err, HS_ERR_DATA, "text is not UTF-8 (%s)", problem);
        return hs_error_where(r->err, "%s, byte %zu", r->name, r->parser.problem_offset);
    }
    hs_fail(r->err, HS_ERR_DATA, "not YAML: %s%s%s", problem, r->parser.context ? ", " : "",
            r->parser.context ? r->parser.context : "");
    return hs_error_where(r->err, "%s:%zu", r->name, r->parser.problem_mark.line + 1);
}

/* Take a setting from `file`, over one of an earlier source. */
static hs_status put_setting(reader *r, const hs_config_key *row, const char *value, size_t len, const char *file,
                             size_t line)
{
    size_t at = 0;
    while (at < r->n && r->settings[at].key != row)
        at++;
    char *copy = hs_arena_strdup(r->arena, value, len);
    if (!copy)
        return hs_fail_memory(r->err, len);
    if (at == r->n) {
        void *p = r->settings;
        HS_TRY(hs_grow(&p, &r->cap, r->n + 1, sizeof *r->settings, r->err));
        r->settings = p;
        r->n++;
    }
    r->settings[at] = (setting){row, copy, file, line};
    return HS_OK;
}

static hs_status add_setting(reader *r, const char *key, const char *value, size_t len, size_t line)
{
    const hs_config_key *row = hs_config_key_find(key);
    if (!row) {
        hs_config_unknown_key(key, r->err);
        if (strncmp(key, "stages.", 7) == 0)
            hs_error_hint(r->err, "this is an experiment in stages, for: hopscope run %.200s", r->name);
        if (strncmp(key, "sweep.", 6) == 0)
            hs_error_hint(r->err, "this is a plan, for: hopscope sweep %.200s", r->name);
        hs_error_where(r->err, "%s:%zu", r->name, line);
        r->err->status = HS_ERR_DATA;
        return HS_ERR_DATA;
    }
    for (size_t i = 0; i < r->n; i++)
        if (r->settings[i].key == row && r->settings[i].file == r->name) {
            fail_at(r, line, key, NULL, "given twice");
            return hs_error_hint(r->err, "the first is in line %zu", r->settings[i].line);
        }
    if (memchr(value, 0, len))
        return fail_at(r, line, key, NULL, "value holds a zero byte");
    return put_setting(r, row, value, len, r->name, line);
}

static bool is_null(const yaml_event_t *event)
{
    const char *v = (const char *)event->data.scalar.value;
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (*v == 0 || strcmp(v, "~") == 0 || strcmp(v, "null") == 0);
}

static hs_status add_scalar(reader *r, const char *key, const yaml_event_t *event)
{
    size_t line = event->start_mark.line + 1;
    const hs_config_key *row = hs_config_key_find(key);
    if (!is_null(event))
        return add_setting(r, key, (const char *)event->data.scalar.value, event->data.scalar.length, line);
    if (!row && hs_config_section(key))
        return HS_OK; /* a section with all its lines commented out */
    if (row && (row->setting.type != HS_SETTING_STRING || row->setting.names))
        return fail_at(r, line, key, NULL, "no value");
    return add_setting(r, key, "", 0, line);
}

/* A sequence of scalars becomes list text. Called after its start event. */
static hs_status add_sequence(reader *r, const char *key, size_t line)
{
    const hs_config_key *row = hs_config_key_find(key);
    if (row && !(row->setting.flags & HS_SETTING_LIST)) {
        fail_at(r, line, key, NULL, "takes one value, not a list");
        return HS_ERR_DATA;
    }
    hs_str list = {0};
    hs_status status = HS_OK;
    for (bool end = false; status == HS_OK && !end;) {
        yaml_event_t event;
        status = next_event(r, &event);
        if (status != HS_OK)
            break;
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            end = true;
        } else if (event.type != YAML_SCALAR_EVENT || event.data.scalar.length == 0) {
            status = fail_at(r, event.start_mark.line + 1, key, NULL, "a list holds non-empty texts only");
        } else {
            hs_list_add(&list, (const char *)event.data.scalar.value, event.data.scalar.length);
        }
        yaml_event_delete(&event);
    }
    if (status == HS_OK && list.failed)
        status = hs_fail_memory(r->err, list.len);
    if (status == HS_OK)
        status = add_setting(r, key, list.s ? list.s : "", list.len, line);
    hs_str_free(&list);
    return status;
}

/* Called after the start event of a mapping; `prefix` is "" or "section.". */
static hs_status add_mapping(reader *r, const char *prefix, int depth)
{
    for (;;) {
        yaml_event_t event;
        HS_TRY(next_event(r, &event));
        size_t line = event.start_mark.line + 1;
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return HS_OK;
        }
        char key[MAX_KEY];
        bool scalar = event.type == YAML_SCALAR_EVENT;
        int len = scalar ? snprintf(key, sizeof key, "%s%s", prefix, (const char *)event.data.scalar.value) : 0;
        yaml_event_delete(&event);
        if (!scalar)
            return fail_at(r, line, prefix, NULL, "a key must be plain text");
        if (len < 0 || (size_t)len >= sizeof key)
            return fail_at(r, line, NULL, key, "key is too long");
        HS_TRY(next_event(r, &event));
        yaml_event_type_t type = event.type;
        hs_status status = HS_OK;
        if (type == YAML_SCALAR_EVENT)
            status = add_scalar(r, key, &event);
        yaml_event_delete(&event);
        HS_TRY(status);
        if (type == YAML_SEQUENCE_START_EVENT) {
            HS_TRY(add_sequence(r, key, line));
        } else if (type == YAML_MAPPING_START_EVENT) {
            if (hs_config_key_find(key))
                return fail_at(r, line, key, NULL, "takes one value, not a section");
            if (depth >= MAX_DEPTH || (size_t)len + 1 >= sizeof key)
                return fail_at(r, line, key, NULL, "nested too deeply");
            key[len] = '.';
            key[len + 1] = 0;
            HS_TRY(add_mapping(r, key, depth + 1));
        } else if (type != YAML_SCALAR_EVENT) {
            return fail_at(r, line, key, NULL, "aliases are not supported: write the value itself");
        }
    }
}

/* `may_be_empty`: no settings at all are fine. */
static hs_status read_document(reader *r, bool may_be_empty)
{
    yaml_event_t event;
    for (;;) { /* stream start, document start, then the top mapping */
        HS_TRY(next_event(r, &event));
        yaml_event_type_t type = event.type;
        size_t line = event.start_mark.line + 1;
        bool null = type == YAML_SCALAR_EVENT && is_null(&event);
        yaml_event_delete(&event);
        if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT)
            continue;
        if ((type == YAML_STREAM_END_EVENT || null) && may_be_empty)
            return HS_OK;
        if (type == YAML_STREAM_END_EVENT || null) {
            hs_fail(r->err, HS_ERR_DATA, "no settings in this file");
            return hs_error_where(r->err, "%s", r->name);
        }
        if (type != YAML_MAPPING_START_EVENT)
            return fail_at(r, line, NULL, NULL, "an experiment is a list of `key: value` lines");
        break;
    }
    HS_TRY(add_mapping(r, "", 0));
    HS_TRY(next_event(r, &event)); /* document end */
    yaml_event_delete(&event);
    HS_TRY(next_event(r, &event));
    yaml_event_type_t type = event.type;
    size_t line = event.start_mark.line + 1;
    yaml_event_delete(&event);
    if (type != YAML_STREAM_END_EVENT)
        return fail_at(r, line, NULL, NULL, "a second document in one file");
    return HS_OK;
}

/* Append "key=value" texts; later ones win over the file and over earlier ones. */
static hs_status add_sets(reader *r, const char *const *set, size_t n_set)
{
    for (size_t i = 0; i < n_set; i++) {
        const char *equals = strchr(set[i], '=');
        char key[MAX_KEY];
        if (!equals || equals == set[i] || (size_t)(equals - set[i]) >= sizeof key) {
            hs_fail(r->err, HS_ERR_USAGE, "not KEY=VALUE");
            hs_error_where(r->err, "--set");
            hs_error_value(r->err, set[i], strlen(set[i]));
            return HS_ERR_USAGE;
        }
        snprintf(key, sizeof key, "%.*s", (int)(equals - set[i]), set[i]);
        const hs_config_key *row = hs_config_key_find(key);
        if (!row) {
            hs_config_unknown_key(key, r->err);
            hs_error_where(r->err, "--set");
            return HS_ERR_USAGE;
        }
        HS_TRY(put_setting(r, row, equals + 1, strlen(equals + 1), NULL, 0));
    }
    return HS_OK;
}

/* Settings that stand somewhere else in a file, read already. */
static hs_status add_lines(reader *r, const hs_config_sources *from)
{
    for (size_t i = 0; i < from->n_own; i++) {
        const hs_config_line *l = &from->own[i];
        const hs_config_key *row = hs_config_key_find(l->key);
        if (!row) {
            hs_config_unknown_key(l->key, r->err);
            hs_error_where(r->err, "%s:%zu", from->own_name, l->line);
            return r->err->status = HS_ERR_DATA;
        }
        HS_TRY(put_setting(r, row, l->value, strlen(l->value), from->own_name, l->line));
    }
    return HS_OK;
}

/* Say where the setting that an error is about was given. */
static hs_status locate(reader *r, const setting *s, hs_status status)
{
    if (status == HS_ERR_MEMORY)
        return status;
    r->err->status = s->file ? HS_ERR_DATA : HS_ERR_USAGE;
    if (s->file)
        return hs_error_where(r->err, "%s:%zu: %s", s->file, s->line, s->key->key);
    return hs_error_where(r->err, "--set %s", s->key->key);
}

/* Is a graph given? Of graph.path in the file and in --set, settings hold one entry. */
static bool names_a_graph(const reader *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->settings[i].key->key, "graph.path") == 0 && r->settings[i].value[0])
            return true;
    return false;
}

static hs_status apply(reader *r, hs_config *out)
{
    hs_config_default(out);
    for (int first = 1; first >= 0; first--) {
        if (first == 0 && names_a_graph(r))
            hs_data_config_for_graph(&out->data);
        for (size_t i = 0; i < r->n; i++) {
            setting *s = &r->settings[i];
            if (((s->key->setting.flags & HS_SETTING_FIRST) != 0) != (first == 1))
                continue;
            hs_status status = hs_config_set_key(out, s->key, s->value, r->err);
            if (status != HS_OK)
                return locate(r, s, status);
            if (s->key->setting.flags & HS_SETTING_PATH)
                hs_config_place(out, s->key, s->file);
        }
    }
    hs_status status = hs_config_check(out, r->err);
    for (size_t i = 0; status != HS_OK && i < r->n; i++)
        if (strcmp(r->err->where, r->settings[i].key->key) == 0) {
            status = locate(r, &r->settings[i], status);
            break;
        }
    return status;
}

/* One text, over what was read before it. */
static hs_status read_layer(reader *r, const hs_config_layer *layer, bool may_be_empty)
{
    r->name = layer->name;
    if (!yaml_parser_initialize(&r->parser))
        return hs_fail_memory(r->err, sizeof r->parser);
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)layer->text, layer->size);
    const hs_status status = read_document(r, may_be_empty);
    yaml_parser_delete(&r->parser);
    return status;
}

hs_status hs_config_combine(hs_config *out, const hs_config_sources *from, hs_error *err)
{
    hs_error local; /* the status travels in the error, so there is always one */
    reader r = {.err = err ? err : &local};
    r.arena = hs_arena_create(1 << 12);
    if (!r.arena)
        return hs_fail_memory(err, 1 << 12);
    hs_status status = HS_OK;
    for (size_t i = 0; i < from->n_layers && status == HS_OK; i++)
        status = read_layer(&r, &from->layer[i], i > 0);
    if (status == HS_OK)
        status = add_sets(&r, from->set, from->n_set);
    if (status == HS_OK)
        status = add_lines(&r, from);
    if (status == HS_OK)
        status = apply(&r, out);
    hs_free(r.settings);
    hs_arena_free(r.arena);
    return status;
}

hs_status hs_config_parse(hs_config *out, const char *name, const char *text, size_t size, const char *const *set,
                          size_t n_set, hs_error *err)
{
    const hs_config_layer layer = {name, text, size};
    const hs_config_sources from = {.layer = &layer, .n_layers = 1, .set = set, .n_set = n_set};
    return hs_config_combine(out, &from, err);
}

hs_status hs_config_read(hs_config *out, const char *path, const char *const *set, size_t n_set, hs_error *err)
{
    char *text;
    size_t size;
    HS_TRY(hs_file_read(path, MAX_FILE, &text, &size, err));
    hs_status status = hs_config_parse(out, path, text, size, set, n_set, err);
    hs_free(text);
    return status;
}
