/* plan_text.c - the text of a plan: read, parsed, and its section `sweep` cut out, so that the rest is an experiment.
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

hs_status hs_plan_cut(hs_plan_text *s, yaml_document_t *doc, const yaml_node_t **section, hs_error *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(doc), *key = NULL;
    *section = NULL;
    if (!root || root->type != YAML_MAPPING_NODE) {
        hs_fail(err, HS_ERR_DATA, "an experiment is a list of `key: value` lines");
        return hs_error_where(err, "%s:1", s->path);
    }
    for (const yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
        const char *name = hs_plan_scalar(yaml_document_get_node(doc, p->key));
        if (!name || strcmp(name, "sweep") != 0)
            continue;
        const char *problem = *section ? "given twice" : NULL;
        key = yaml_document_get_node(doc, p->key);
        *section = yaml_document_get_node(doc, p->value);
        if (root->data.mapping.style == YAML_FLOW_MAPPING_STYLE || key->start_mark.column != 0)
            problem = "must stand on lines of its own, at the left margin";
        if (problem) {
            hs_fail(err, HS_ERR_DATA, "%s", problem);
            return hs_error_where(err, "%s:%zu: sweep", s->path, key->start_mark.line + 1);
        }
        const size_t last = (*section)->end_mark.line + ((*section)->end_mark.column > 0 ? 1 : 0);
        blank_lines(s, key->start_mark.line, last > key->start_mark.line ? last : key->start_mark.line + 1);
    }
    return HS_OK;
}
