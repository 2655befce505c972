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
/* The section `sweep` of its document, whose lines are emptied in the text; NULL if there is none. */
hs_status hs_plan_cut(hs_plan_text *text, yaml_document_t *doc, const yaml_node_t **section, hs_error *err);
const char *hs_plan_scalar(const yaml_node_t *node); /* NULL: it is none */

#endif
