/* plan.h - the text of a plan, shared by the files that read it. */
#ifndef HOPSCOPE_EXPERIMENT_PLAN_H
#define HOPSCOPE_EXPERIMENT_PLAN_H

#include "experiment/internal.h"

#include <yaml.h>

/* A file of settings; hs_free(text). */
typedef struct hs_plan_text {
    char path[4096];
    char *text;
    size_t size;
} hs_plan_text;
/* Read a file and parse it; the caller deletes the document when the status is HS_OK. */
hs_status hs_plan_load(hs_plan_text *out, const char *path, yaml_document_t *doc, hs_error *err);
/* The section `name` of its document, whose lines are emptied in the text; NULL if there is none. */
hs_status hs_plan_cut(hs_plan_text *text, yaml_document_t *doc, const char *name, const yaml_node_t **section,
                      hs_error *err);
const char *hs_plan_scalar(const yaml_node_t *node); /* NULL: it is none */
bool hs_plan_empty(const yaml_node_t *node);         /* nothing at all, which stands for an empty mapping */

/* Settings that stand in a section of a file, for hs_config_sources. */
typedef struct hs_plan_lines {
    const char *path;
    yaml_document_t *doc;
    hs_arena *arena;      /* keeps keys and values */
    const char *owner;    /* the arm or stage they belong to */
    hs_config_line *line; /* (cap), n of them filled */
    size_t n, cap;
} hs_plan_lines;
/* HS_ERR_DATA for a key given twice. */
hs_status hs_plan_add_line(hs_plan_lines *to, const char *key, const char *value, size_t line, hs_error *err);
/* The lines of a mapping; sections may be nested or dotted, as in an experiment. */
hs_status hs_plan_add_settings(hs_plan_lines *to, const yaml_node_t *map, hs_error *err);
/* A value, or a list as one text. */
hs_status hs_plan_value(const char *path, yaml_document_t *doc, hs_arena *arena, const yaml_node_t *node,
                        const char *key, const char **out, hs_error *err);

#endif
