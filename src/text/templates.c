/* templates.c - the table of wordings: YAML to lists of texts, every slot checked, so that whoever fills them need not.
 *
 * Invariant: each wording has each of its slots once, a fact's ends with {t} and punctuation, and no other slot but {r}
 * of a general one. */
#include "hopscope/graph.h"
#include "hopscope/text.h"

#include <string.h>

#include <yaml.h>

enum { MOST_BYTES = 1 << 22, MOST_WORDINGS = 64, LONGEST = 1000 };

typedef struct wordings {
    const char **text; /* (n) */
    size_t n;
} wordings;

struct hs_templates {
    hs_arena *arena;
    hs_names relation;
    wordings (*of)[HS_N_WORDINGS]; /* (relations) */
    size_t cap;
    wordings general[HS_N_WORDINGS], distractors;
};

static const char *const NAMES[] = {
#define HS_X(constant, name, slots) #name,
    HS_WORDING_MAP(HS_X)
#undef HS_X
        NULL};
static const char *const SLOTS[] = {
#define HS_X(constant, name, slots) slots,
    HS_WORDING_MAP(HS_X)
#undef HS_X
};

typedef struct reading {
    const char *name; /* of the file */
    yaml_document_t document;
    hs_templates *t;
    hs_error *err;
} reading;

static hs_status bad(const reading *r, const yaml_node_t *node, const char *key, const char *value, const char *what)
{
    hs_fail(r->err, HS_ERR_DATA, "%s", what);
    hs_error_where(r->err, "%s:%zu: %s", r->name, node->start_mark.line + 1, key);
    if (value)
        hs_error_value(r->err, value, strlen(value) < 100 ? strlen(value) : 100);
    return HS_ERR_DATA;
}

static const char *scalar(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && strlen((const char *)node->data.scalar.value) == node->data.scalar.length
               ? (const char *)node->data.scalar.value
               : NULL;
}

/* ---------------------------------------------------------------- slots */

static size_t count_slot(const char *text, char letter)
{
    const char slot[] = {'{', letter, '}', 0};
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, slot)) != NULL; p += 3)
        n++;
    return n;
}

/* What is wrong with a wording, or NULL. `slots` are needed once each, `maybe` allowed. */
static const char *wrong(const char *text, const char *slots, const char *maybe)
{
    static _Thread_local char what[64];
    for (const char *p = text; (p = strchr(p, '{')) != NULL; p++)
        if (!p[1] || p[2] != '}' || (!strchr(slots, p[1]) && !strchr(maybe, p[1]))) {
            snprintf(what, sizeof what, "an unknown slot: %.*s", p[1] && p[2] ? 3 : 2, p);
            return what;
        }
    for (const char *s = slots; *s; s++)
        if (count_slot(text, *s) != 1) {
            snprintf(what, sizeof what, "a wording needs the slot {%c}, once", *s);
            return what;
        }
    if (strcmp(slots, "ht") != 0)
        return NULL;
    const char *end = strstr(text, "{t}") + 3;
    return *end && end[strspn(end, ".!?;")] == 0 ? NULL : "a fact's sentence ends with {t} and a full stop";
}

void hs_template_fill(const char *wording, const char *slot, const char *const *value, hs_str *out)
{
    for (const char *p = wording; *p;) {
        const char *at = p[0] == '{' && p[1] && p[2] == '}' ? strchr(slot, p[1]) : NULL;
        const size_t run = at ? 0 : 1 + strcspn(p + 1, "{");
        if (at)
            hs_str_add(out, value[at - slot], strlen(value[at - slot]));
        else
            hs_str_add(out, p, run);
        p += at ? 3 : run;
    }
}

/* ---------------------------------------------------------------- reading */

static hs_status read_list(reading *r, const yaml_node_t *node, const char *key, const char *slots, const char *maybe,
                           wordings *out)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return bad(r, node, key, NULL, "a list of wordings is expected");
    const yaml_node_item_t *item = node->data.sequence.items.start;
    const size_t n = (size_t)(node->data.sequence.items.top - item);
    if (n == 0 || n > MOST_WORDINGS)
        return bad(r, node, key, NULL, "1 to 64 wordings are expected");
    if (out->n)
        return bad(r, node, key, NULL, "given twice");
    out->text = hs_arena_alloc(r->t->arena, n * sizeof *out->text);
    if (!out->text)
        return hs_fail_memory(r->err, n * sizeof *out->text);
    for (; out->n < n; out->n++) {
        const yaml_node_t *entry = yaml_document_get_node(&r->document, item[out->n]);
        const char *text = scalar(entry);
        if (!text || !*text || strlen(text) > LONGEST)
            return bad(r, entry, key, NULL, "a wording is a text of 1 to 1,000 bytes");
        const char *what = wrong(text, slots, maybe);
        if (what)
            return bad(r, entry, key, text, what);
        out->text[out->n] = hs_arena_strdup(r->t->arena, text, strlen(text));
        if (!out->text[out->n])
            return hs_fail_memory(r->err, strlen(text));
    }
    return HS_OK;
}

/* The lists of one relation, or the general ones. */
static hs_status read_wordings(reading *r, const yaml_node_t *node, const char *of, const char *maybe, wordings *out)
{
    char key[256];
    if (node->type != YAML_MAPPING_NODE)
        return bad(r, node, of, NULL, "a mapping with fact, of, same, order or ask is expected");
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *name_node = yaml_document_get_node(&r->document, p->key);
        const char *name = scalar(name_node);
        size_t what = 0;
        while (name && NAMES[what] && strcmp(NAMES[what], name) != 0)
            what++;
        if (!name || !NAMES[what]) {
            bad(r, name_node, of, name, "an unknown kind of wording");
            return hs_error_hint(r->err, "fact, of, same, order and ask are known");
        }
        snprintf(key, sizeof key, "%.200s.%s", of, name);
        HS_TRY(read_list(r, yaml_document_get_node(&r->document, p->value), key, SLOTS[what], maybe, &out[what]));
    }
    return HS_OK;
}

static hs_status read_relations(reading *r, const yaml_node_t *node)
{
    hs_templates *t = r->t;
    if (node->type != YAML_MAPPING_NODE)
        return bad(r, node, "relations", NULL, "a mapping from relations to their wordings is expected");
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(&r->document, p->key);
        const char *name = scalar(key);
        const uint32_t known = t->relation.n;
        uint32_t id;
        if (!name || !*name)
            return bad(r, key, "relations", NULL, "the name of a relation is expected");
        HS_TRY(hs_names_add(&t->relation, name, strlen(name), &id, r->err));
        if (id < known)
            return bad(r, key, "relations", name, "a relation is given twice");
        HS_TRY(hs_grow((void **)&t->of, &t->cap, t->relation.n, sizeof *t->of, r->err));
        memset(t->of[id], 0, sizeof t->of[id]);
        HS_TRY(read_wordings(r, yaml_document_get_node(&r->document, p->value), name, "", t->of[id]));
    }
    return HS_OK;
}

static hs_status read_root(reading *r, const yaml_node_t *root)
{
    hs_templates *t = r->t;
    if (!root || root->type != YAML_MAPPING_NODE) {
        hs_fail(r->err, HS_ERR_DATA, "a table of wordings is a mapping with the key relations");
        return hs_error_where(r->err, "%s:1", r->name);
    }
    for (const yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(&r->document, p->key);
        const yaml_node_t *value = yaml_document_get_node(&r->document, p->value);
        const char *name = scalar(key) ? scalar(key) : "";
        if (strcmp(name, "relations") == 0)
            HS_TRY(read_relations(r, value));
        else if (strcmp(name, "general") == 0)
            HS_TRY(read_wordings(r, value, name, "r", t->general));
        else if (strcmp(name, "ask") == 0)
            HS_TRY(read_list(r, value, name, SLOTS[HS_WORDING_ASK], "", &t->general[HS_WORDING_ASK]));
        else if (strcmp(name, "distractors") == 0)
            HS_TRY(read_list(r, value, name, "", "h", &t->distractors));
        else {
            bad(r, key, "table of wordings", name, "an unknown key");
            return hs_error_hint(r->err, "relations, general, ask and distractors are known");
        }
    }
    return HS_OK;
}

static hs_status parse(reading *r, const char *yaml, size_t len)
{
    yaml_parser_t parser;
    if (len > MOST_BYTES) {
        hs_fail(r->err, HS_ERR_DATA, "a table of wordings of more than 4 MiB");
        return hs_error_where(r->err, "%s", r->name);
    }
    if (!yaml_parser_initialize(&parser))
        return hs_fail_memory(r->err, sizeof parser);
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml, len);
    hs_status status;
    if (yaml_parser_load(&parser, &r->document)) {
        status = read_root(r, yaml_document_get_root_node(&r->document));
        yaml_document_delete(&r->document);
    } else if (parser.error == YAML_MEMORY_ERROR) {
        status = hs_fail_memory(r->err, len);
    } else {
        hs_fail(r->err, HS_ERR_DATA, "not YAML: %s", parser.problem ? parser.problem : "unreadable");
        status = hs_error_where(r->err, "%s:%zu", r->name, parser.problem_mark.line + 1);
    }
    yaml_parser_delete(&parser);
    return status;
}

hs_status hs_templates_read(hs_templates **out, const char *yaml, size_t len, const char *name, hs_error *err)
{
    *out = NULL;
    hs_templates *t = hs_calloc(1, sizeof *t);
    if (!t || !(t->arena = hs_arena_create(1 << 14))) {
        hs_templates_free(t);
        return hs_fail_memory(err, sizeof *t);
    }
    reading r = {.name = name, .t = t, .err = err};
    const hs_status status = parse(&r, yaml, len);
    if (status != HS_OK)
        hs_templates_free(t);
    else
        *out = t;
    return status;
}

void hs_templates_free(hs_templates *t)
{
    if (!t)
        return;
    hs_arena_free(t->arena);
    hs_names_free(&t->relation);
    hs_free(t->of);
    hs_free(t);
}

const char *const *hs_templates_of(const hs_templates *t, const char *relation, hs_wording_kind what, size_t *n)
{
    const uint32_t id = relation ? hs_names_find(&t->relation, relation, strlen(relation)) : 0;
    const wordings *w = !relation ? &t->general[what] : id == HS_NO_ID ? NULL : &t->of[id][what];
    *n = w ? w->n : 0;
    return w ? w->text : NULL;
}

const char *const *hs_templates_distractors(const hs_templates *t, size_t *n)
{
    *n = t->distractors.n;
    return t->distractors.text;
}

/* ---------------------------------------------------------------- the table of the program */

__asm__(".section .rodata\n"
        ".balign 16\n"
        ".local hs_templates_begin\n"
        "hs_templates_begin:\n"
        ".incbin \"" HS_TEMPLATES_FILE "\"\n"
        ".local hs_templates_end\n"
        "hs_templates_end:\n"
        ".byte 0\n"
        ".previous\n");
extern const char hs_templates_begin[] __attribute__((visibility("hidden")));
extern const char hs_templates_end[] __attribute__((visibility("hidden")));

hs_status hs_templates_default(hs_templates **out, hs_error *err)
{
    return hs_templates_read(out, hs_templates_begin, (size_t)(hs_templates_end - hs_templates_begin),
                             "default templates", err);
}
