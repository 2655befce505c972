/* read.c - the section `stages` of an experiment file: what is trained after what.
 *
 * A stage is the experiment of the file with some settings changed. Of two values of one key the later holds: the file,
 * --set KEY, the stage, --set STAGE.KEY. */
#include "experiment/sweep/plan.h"

#include <ctype.h>
#include <string.h>

enum { MAX_STAGES = 32, MAX_LINES = 256 };

typedef struct reader {
    hs_plan_text text;
    yaml_document_t doc;
    hs_arena *arena;
    const char *const *set; /* (n_set) */
    size_t n_set;
    const char *names[MAX_STAGES];
    size_t n_names;
    const char **chosen; /* (n_set) those of `set` that are for a stage, without its name */
    hs_error *err;
} reader;

static hs_status fail_node(reader *r, const yaml_node_t *node, const char *key, const char *what)
{
    const char *value = hs_plan_scalar(node);
    hs_fail(r->err, HS_ERR_DATA, "%s", what);
    hs_error_where(r->err, "%s:%zu: %s", r->text.path, node->start_mark.line + 1, key);
    if (value)
        hs_error_value(r->err, value, strlen(value));
    return HS_ERR_DATA;
}

/* ---------------------------------------------------------------- one stage */

/* STAGE.KEY=VALUE is KEY=VALUE for that stage and nothing for the others; NULL: nothing. */
static const char *set_for(const reader *r, const char *set, const char *stage)
{
    for (size_t k = 0; k < r->n_names; k++) {
        const size_t n = strlen(r->names[k]);
        if (strncmp(set, r->names[k], n) == 0 && set[n] == '.')
            return strcmp(r->names[k], stage) == 0 ? set + n + 1 : NULL;
    }
    return set;
}

/* Is the key given in one of these, "KEY=VALUE"? */
static bool has_key(const char *const *set, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcspn(set[i], "=") == strlen(key) && strncmp(set[i], key, strlen(key)) == 0)
            return true;
    return false;
}

/* Does the stage itself give the key, in the file or as --set STAGE.KEY? */
static bool own_key(const hs_plan_lines *lines, const char *const *set, size_t n, const char *key)
{
    for (size_t i = 0; i < lines->n; i++)
        if (strcmp(lines->line[i].key, key) == 0)
            return true;
    return has_key(set, n, key);
}

/* `--set` for all first, then those of the stage, which its own lines give way to. */
static hs_status combine(reader *r, hs_plan_lines *lines, hs_train_stage *out)
{
    size_t n = 0, first_own, kept = 0;
    for (size_t i = 0; i < r->n_set; i++)
        if (set_for(r, r->set[i], out->name) == r->set[i])
            r->chosen[n++] = r->set[i];
    first_own = n;
    for (size_t i = 0; i < r->n_set; i++) {
        const char *set = set_for(r, r->set[i], out->name);
        if (set && set != r->set[i])
            r->chosen[n++] = set;
    }
    const char *const *own = r->chosen + first_own;
    out->own_init = own_key(lines, own, n - first_own, "model.init");
    out->own_step = own_key(lines, own, n - first_own, "model.init_step");
    out->own_watch = own_key(lines, own, n - first_own, "data.watch");
    for (size_t i = 0; i < lines->n; i++)
        if (!has_key(own, n - first_own, lines->line[i].key))
            lines->line[kept++] = lines->line[i];
    const hs_config_layer layer[] = {{r->text.path, r->text.text, r->text.size}, {r->text.path, "report:\n", 8}};
    const bool something = strspn(r->text.text, " \n\r\t") < r->text.size; /* a file of nothing but stages */
    const hs_config_sources from = {.layer = something ? layer : layer + 1,
                                    .n_layers = 1,
                                    .set = r->chosen,
                                    .n_set = n,
                                    .own_name = r->text.path,
                                    .own = lines->line,
                                    .n_own = kept};
    return hs_config_combine(&out->config, &from, r->err);
}

static hs_status read_stage(reader *r, const yaml_node_t *node, hs_train_stage *out)
{
    hs_config_line line[MAX_LINES];
    hs_plan_lines lines = {
        .path = r->text.path, .doc = &r->doc, .arena = r->arena, .owner = out->name, .line = line, .cap = MAX_LINES};
    if (node->type == YAML_MAPPING_NODE)
        HS_TRY(hs_plan_add_settings(&lines, node, r->err));
    else if (!hs_plan_empty(node))
        return fail_node(r, node, out->name, "a stage is a list of `key: value`, for example {train.lr: 1e-3}");
    return combine(r, &lines, out);
}

/* ---------------------------------------------------------------- the section */

static bool is_name(const char *name)
{
    size_t n = 0;
    for (; name[n]; n++)
        if (!isalnum((unsigned char)name[n]) && !strchr("_+-", name[n]))
            return false;
    return n < sizeof((hs_train_stage *)0)->name && isalpha((unsigned char)name[0]) && !hs_config_section(name);
}

static hs_status read_names(reader *r, const yaml_node_t *section)
{
    for (const yaml_node_pair_t *p = section->data.mapping.pairs.start; p < section->data.mapping.pairs.top; p++) {
        const yaml_node_t *node = yaml_document_get_node(&r->doc, p->key);
        const char *name = hs_plan_scalar(node);
        if (!name || !is_name(name)) {
            fail_node(r, node, "stages", "not the name of a stage");
            return hs_error_hint(r->err,
                                 "a letter, then up to 22 letters, digits, _ + and -; not the name of a section");
        }
        for (size_t k = 0; k < r->n_names; k++)
            if (strcmp(r->names[k], name) == 0)
                return fail_node(r, node, "stages", "this stage is there already");
        if (r->n_names == MAX_STAGES)
            return fail_node(r, node, "stages", "too many stages");
        r->names[r->n_names++] = name;
    }
    return HS_OK;
}

static hs_status read_section(reader *r, const yaml_node_t *section, hs_stages *out)
{
    if (section->type != YAML_MAPPING_NODE || section->data.mapping.pairs.start == section->data.mapping.pairs.top)
        return fail_node(r, section, "stages",
                         "stages are lines `NAME: {key: value, ...}`, in the order they are trained");
    HS_TRY(read_names(r, section));
    r->chosen = hs_alloc((r->n_set + 1) * sizeof *r->chosen);
    out->stage = hs_calloc(r->n_names, sizeof *out->stage);
    if (!r->chosen || !out->stage)
        return hs_fail_memory(r->err, r->n_names * sizeof *out->stage);
    for (; out->n < r->n_names; out->n++) {
        hs_train_stage *stage = &out->stage[out->n];
        snprintf(stage->name, sizeof stage->name, "%s", r->names[out->n]);
        const yaml_node_pair_t *pair = section->data.mapping.pairs.start + out->n;
        HS_TRY(read_stage(r, yaml_document_get_node(&r->doc, pair->value), stage));
    }
    return HS_OK;
}

static hs_status read_file(reader *r, const char *path, hs_stages *out)
{
    const yaml_node_t *section;
    hs_status status = hs_plan_load(&r->text, path, &r->doc, r->err);
    if (status == HS_ERR_DATA) { /* no YAML: the ordinary reader says what is wrong */
        *r->err = (hs_error){0};
        return HS_OK;
    }
    HS_TRY(status);
    const yaml_node_t *root = yaml_document_get_root_node(&r->doc);
    if (root && root->type == YAML_MAPPING_NODE) { /* else it is for the ordinary reader too */
        status = hs_plan_cut(&r->text, &r->doc, "stages", &section, r->err);
        if (status == HS_OK && section)
            status = read_section(r, section, out);
    }
    yaml_document_delete(&r->doc);
    return status;
}

hs_status hs_stages_read(hs_stages *out, const char *path, const char *const *set, size_t n_set, hs_error *err)
{
    hs_error local = {0};
    reader *r = hs_calloc(1, sizeof *r);
    *out = (hs_stages){0};
    if (!r)
        return hs_fail_memory(err, sizeof *r);
    *r = (reader){.set = set, .n_set = n_set, .arena = hs_arena_create(1 << 12), .err = err ? err : &local};
    hs_status status = r->arena ? read_file(r, path, out) : hs_fail_memory(err, 1 << 12);
    hs_free(r->text.text);
    hs_free(r->chosen);
    hs_arena_free(r->arena);
    hs_free(r);
    if (status != HS_OK)
        hs_stages_free(out);
    return status;
}

void hs_stages_free(hs_stages *stages)
{
    hs_free(stages->stage);
    *stages = (hs_stages){0};
}
