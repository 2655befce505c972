/* wiki.c - the Wikipedia paragraphs and the questions of a 2WikiMultiHopQA file, found by names: a paragraph by its
 * title, a question by head and two relations, or by attribute and the two that are compared (yes or no only). */
#include "data/text/render.h"

#include "graph/read/format.h"

#include <jansson.h>
#include <string.h>

typedef struct reading {
    hs_wiki_text *out;
    uint64_t records;
    const char *path;
} reading;

static hs_status put(hs_names *names, char ***list, size_t *cap, const char *name, size_t len, const char *text,
                     hs_error *err)
{
    uint32_t id;
    const uint32_t known = names->n;
    HS_TRY(hs_grow((void **)list, cap, (size_t)known + 1, sizeof **list, err));
    (*list)[known] = NULL;
    HS_TRY(hs_names_add(names, name, len, &id, err));
    if (id < known) /* the first counts */
        return HS_OK;
    (*list)[id] = hs_strdup(text);
    return (*list)[id] ? HS_OK : hs_fail_memory(err, strlen(text));
}

static void add_sentence(hs_str *out, const char *sentence)
{
    sentence += strspn(sentence, " \t\r\n");
    size_t len = strlen(sentence);
    while (len > 0 && strchr(" \t\r\n", sentence[len - 1]))
        len--;
    if (len == 0)
        return;
    if (out->len)
        hs_str_add(out, "\n", 1);
    for (size_t i = 0; i < len; i++)
        hs_str_add(out, sentence[i] == '\n' || sentence[i] == '\r' ? " " : sentence + i, 1);
}

static hs_status bad_context(const reading *r, const char *what, hs_error *err)
{
    hs_fail(err, HS_ERR_DATA, "%s", what);
    hs_error_where(err, "%s, record %llu, field context", r->path, (unsigned long long)r->records);
    return hs_error_hint(err, "expected: a list of [title, [sentence, ...]]");
}

static hs_status add_paragraph(reading *r, const json_t *entry, hs_error *err)
{
    const json_t *sentences = json_array_get(entry, 1), *sentence;
    const char *title = json_string_value(json_array_get(entry, 0));
    hs_str text = {0};
    size_t i;
    if (!title || !json_is_array(sentences))
        return bad_context(r, "not a title and its sentences", err);
    json_array_foreach(sentences, i, sentence)
    {
        const char *s = json_string_value(sentence);
        if (!s || strlen(s) != json_string_length(sentence)) {
            hs_str_free(&text);
            return bad_context(r, "a sentence is no text", err);
        }
        add_sentence(&text, s);
    }
    hs_status status = text.failed ? hs_fail_memory(err, text.len) : HS_OK;
    if (status == HS_OK && text.len)
        status = put(&r->out->title, &r->out->paragraph, &r->out->cap_titles, title, strlen(title), text.s, err);
    hs_str_free(&text);
    return status;
}

static hs_status add_question(reading *r, const hs_wiki_record *record, hs_error *err)
{
    const hs_wiki_evidence *e = record->evidence;
    if (record->n != 2 || !record->question[0])
        return HS_OK;
    const bool compares = strcmp(record->type, "comparison") == 0 && strcmp(e[0].relation, e[1].relation) == 0;
    const bool chain = strcmp(record->type, "comparison") != 0 && strcmp(e[0].tail, e[1].head) == 0;
    if (!compares && !chain)
        return HS_OK;
    hs_str key = {0};
    hs_str_addf(&key, "%s\t%s\t%s", e[0].head, e[0].relation, compares ? e[1].head : e[1].relation);
    const hs_status status =
        key.failed ? hs_fail_memory(err, key.len)
                   : put(&r->out->key, &r->out->question, &r->out->cap_keys, key.s, key.len, record->question, err);
    hs_str_free(&key);
    return status;
}

/* A comparison with another answer than yes or no asks which of the two, which no label answers: told by its first
 * word. */
static bool is_yes_or_no(const char *question)
{
    static const char *const FIRST[] = {"Are ", "Is ", "Do ", "Does ", "Did ", "Was ", "Were ", "Have ", "Has "};
    for (size_t i = 0; i < sizeof FIRST / sizeof *FIRST; i++)
        if (strncmp(question, FIRST[i], strlen(FIRST[i])) == 0)
            return true;
    return false;
}

static hs_status add_record(void *ctx, const hs_wiki_record *record, hs_error *err)
{
    reading *r = ctx;
    const json_t *context = record->context, *entry;
    size_t i;
    r->records++;
    if (context && !json_is_array(context))
        return bad_context(r, "the context is no list", err);
    json_array_foreach(context, i, entry)
    {
        HS_TRY(add_paragraph(r, entry, err));
    }
    if (strcmp(record->type, "comparison") == 0 && !is_yes_or_no(record->question))
        return HS_OK;
    return add_question(r, record, err);
}

hs_status hs_wiki_text_read(hs_wiki_text *out, const char *path, hs_error *err)
{
    static const hs_read_options options = {0};
    hs_read_report report = {0};
    reading r = {.out = out, .path = path};
    hs_source from = {.path = path};
    HS_TRY(hs_lines_open(&from.in, path, 0, err));
    hs_status status = hs_wiki_each(&from, &options, &report, add_record, &r, err);
    hs_lines_close(from.in);
    if (status == HS_OK && out->title.n == 0) {
        hs_fail(err, HS_ERR_DATA, "no record has a context");
        hs_error_where(err, "data.context: %s", path);
        status = hs_error_hint(err, "the full files of 2WikiMultiHopQA have them; stripped ones do not");
    }
    return status;
}

void hs_wiki_text_free(hs_wiki_text *t)
{
    for (uint32_t i = 0; t->paragraph && i < t->title.n; i++)
        hs_free(t->paragraph[i]);
    for (uint32_t i = 0; t->question && i < t->key.n; i++)
        hs_free(t->question[i]);
    hs_free(t->paragraph);
    hs_free(t->question);
    hs_names_free(&t->title);
    hs_names_free(&t->key);
    *t = (hs_wiki_text){0};
}

const char *hs_wiki_text_paragraph(const hs_wiki_text *t, const char *name)
{
    const uint32_t id = t->title.n ? hs_names_find(&t->title, name, strlen(name)) : HS_NO_ID;
    return id == HS_NO_ID ? NULL : t->paragraph[id];
}

const char *hs_wiki_text_question(const hs_wiki_text *t, const char *key, size_t len)
{
    const uint32_t id = t->key.n ? hs_names_find(&t->key, key, len) : HS_NO_ID;
    return id == HS_NO_ID ? NULL : t->question[id];
}
