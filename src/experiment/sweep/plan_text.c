/* plan_text.c - the text of a plan or of stages: read, parsed, and its section cut out, so that the rest is an
 * experiment.
 *
 * Invariant: lines keep their numbers. */
#include "experiment/sweep/plan.h"

#include <string.h>

enum { MAX_FILE = 1 << 20 };

const char *hs_plan_scalar(const yaml_node_t *node)
{
    return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

/* Empty the lines [first, last) of the text, keeping its line numbers. */
static void blank_lines(hs_plan_text *s, size_t first, size_t last)
{
    size_t line = 0;
    for (size_t i = 0; i < s->size; i++) {
        if (s->text[i] == '\n')
            line++;
        else if (line >= first && line < last)
            s->text[i] = ' ';
    }
}

hs_status hs_plan_load(hs_plan_text *s, const char *path, yaml_document_t *doc, hs_error *err)
{
    if (strlen(path) >= sizeof s->path)
        return hs_fail(err, HS_ERR_DATA, "path of %zu bytes is too long", strlen(path));
    snprintf(s->path, sizeof s->path, "%s", path);
    HS_TRY(hs_file_read(path, MAX_FILE, &s->text, &s->size, err));
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return hs_fail_memory(err, sizeof parser);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)s->text, s->size);
    hs_status status = HS_OK;
    if (!yaml_parser_load(&parser, doc)) {
        status = parser.error == YAML_MEMORY_ERROR ? hs_fail_memory(err, 0)
                                                   : hs_fail(err, HS_ERR_DATA, "not YAML: %s", parser.problem);
        if (status != HS_ERR_MEMORY)
            hs_error_where(err, "%s:%zu", path, parser.problem_mark.line + 1);
    }
    yaml_parser_delete(&parser);
    return status;
}

hs_status hs_plan_cut(hs_plan_text *s, yaml_document_t *doc, const char *wanted, const yaml_node_t **section,
                      hs_error *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(doc), *key = NULL;
    *section = NULL;
    if (!root || root->type != YAML_MAPPING_NODE) {
        hs_fail(err, HS_ERR_DATA, "an experiment is a list of `key: value` lines");
        return hs_error_where(err, "%s:1", s->path);
    }
    for (const yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
        const char *name = hs_plan_scalar(yaml_document_get_node(doc, p->key));
        if (!name || strcmp(name, wanted) != 0)
            continue;
        const char *problem = *section ? "given twice" : NULL;
        key = yaml_document_get_node(doc, p->key);
        *section = yaml_document_get_node(doc, p->value);
        if (root->data.mapping.style == YAML_FLOW_MAPPING_STYLE || key->start_mark.column != 0)
            problem = "must stand on lines of its own, at the left margin";
        if (problem) {
            hs_fail(err, HS_ERR_DATA, "%s", problem);
            return hs_error_where(err, "%s:%zu: %s", s->path, key->start_mark.line + 1, wanted);
        }
        const size_t last = (*section)->end_mark.line + ((*section)->end_mark.column > 0 ? 1 : 0);
        blank_lines(s, key->start_mark.line, last > key->start_mark.line ? last : key->start_mark.line + 1);
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- settings in a section */

bool hs_plan_empty(const yaml_node_t *node)
{
    const char *s = hs_plan_scalar(node);
    return s && (!*s || strcmp(s, "~") == 0 || strcmp(s, "null") == 0);
}

static hs_status fail_at(const char *path, const yaml_node_t *node, const char *key, const char *what, hs_error *err)
{
    const char *value = hs_plan_scalar(node);
    hs_fail(err, HS_ERR_DATA, "%s", what);
    hs_error_where(err, "%s:%zu: %s", path, node->start_mark.line + 1, key);
    if (value)
        hs_error_value(err, value, strlen(value));
    return HS_ERR_DATA;
}

hs_status hs_plan_add_line(hs_plan_lines *to, const char *key, const char *value, size_t line, hs_error *err)
{
    for (size_t i = 0; i < to->n; i++)
        if (strcmp(to->line[i].key, key) == 0) {
            hs_fail(err, HS_ERR_DATA, "given twice");
            hs_error_where(err, "%s:%zu: %s", to->path, line, key);
            return hs_error_hint(err, "the first is in line %zu", to->line[i].line);
        }
    if (to->n == to->cap) {
        hs_fail(err, HS_ERR_DATA, "too many settings in one place");
        return hs_error_where(err, "%s:%zu: %s", to->path, line, key);
    }
    to->line[to->n++] = (hs_config_line){key, value, line};
    return HS_OK;
}

hs_status hs_plan_value(const char *path, yaml_document_t *doc, hs_arena *arena, const yaml_node_t *node,
                        const char *key, const char **out, hs_error *err)
{
    if (node->type == YAML_SCALAR_NODE) {
        *out = hs_plan_empty(node) && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? "" : hs_plan_scalar(node);
        return strlen(*out) == node->data.scalar.length || !**out
                   ? HS_OK
                   : fail_at(path, node, key, "value holds a zero byte", err);
    }
    if (node->type != YAML_SEQUENCE_NODE)
        return fail_at(path, node, key, "a setting is one `key: value`", err);
    hs_str list = {0};
    hs_status status = HS_OK;
    for (const yaml_node_item_t *i = node->data.sequence.items.start;
         status == HS_OK && i < node->data.sequence.items.top; i++) {
        const char *item = hs_plan_scalar(yaml_document_get_node(doc, *i));
        if (item && *item)
            hs_list_add(&list, item, strlen(item));
        else
            status = fail_at(path, node, key, "a list holds non-empty texts only", err);
    }
    *out = hs_arena_strdup(arena, list.s ? list.s : "", list.len);
    if (status == HS_OK && (list.failed || !*out))
        status = hs_fail_memory(err, list.len);
    hs_str_free(&list);
    return status;
}

/* `prefix` is "" or "section.". */
static hs_status add_mapping(hs_plan_lines *to, const yaml_node_t *map, const char *prefix, int depth, hs_error *err)
{
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
        const yaml_node_t *key_node = yaml_document_get_node(to->doc, p->key);
        const yaml_node_t *value_node = yaml_document_get_node(to->doc, p->value);
        const char *name = hs_plan_scalar(key_node), *value = NULL;
        if (!name || strlen(prefix) + strlen(name) > 200)
            return fail_at(to->path, key_node, to->owner, "a setting is one `key: value`", err);
        hs_str full = {0};
        hs_str_addf(&full, "%s%s", prefix, name);
        const char *key = full.failed ? NULL : hs_arena_strdup(to->arena, full.s, full.len);
        hs_str_free(&full);
        if (!key)
            return hs_fail_memory(err, strlen(name));
        if (value_node->type == YAML_MAPPING_NODE && !hs_config_key_find(key)) {
            char inner[256];
            snprintf(inner, sizeof inner, "%s.", key);
            if (depth > 4)
                return fail_at(to->path, key_node, key, "nested too deeply", err);
            HS_TRY(add_mapping(to, value_node, inner, depth + 1, err));
            continue;
        }
        HS_TRY(hs_plan_value(to->path, to->doc, to->arena, value_node, key, &value, err));
        HS_TRY(hs_plan_add_line(to, key, value, key_node->start_mark.line + 1, err));
    }
    return HS_OK;
}

hs_status hs_plan_add_settings(hs_plan_lines *to, const yaml_node_t *map, hs_error *err)
{
    return add_mapping(to, map, "", 0, err);
}
