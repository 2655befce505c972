/* ask_file.c - hopscope ask RUN --file: a file of questions in, CSV out.
 *
 * Invariant: all lines are read and understood before the model is asked, and all are answered before anything is
 * written. */
#include "cli/ask.h"
#include "hopscope/interp.h"

#include <string.h>

enum { MAX_LINE = 1 << 16, MAX_WORDS = 64, MAX_QUESTIONS = 1 << 24 };

typedef struct questions {
    hs_str line;     /* the lines, each ended by '\0' */
    uint32_t *token; /* all of them */
    uint32_t *first; /* (n + 1) */
    size_t n, n_tokens, cap_tokens, cap_first;
} questions;

static hs_status fail_line(const hs_lines *in, const char *file, hs_error *err)
{
    return hs_error_where(err, "%s:%llu", strcmp(file, "-") == 0 ? "standard input" : file,
                          (unsigned long long)hs_lines_number(in));
}

/* A line that only names its columns: it begins with "head" or "query", which is no name of this dataset. */
static bool is_header(const hs_dataset *data, const char *line)
{
    const size_t n = strcspn(line, "\t");
    return ((n == 4 && strncmp(line, "head", n) == 0) || (n == 5 && strncmp(line, "query", n) == 0)) &&
           hs_names_find(&data->vocab, line, n) == HS_NO_ID;
}

/* The words of a line as tokens; `text` is a copy to cut up. */
static hs_status add_question(questions *q, const hs_run *run, char *text, hs_error *err)
{
    const char *word[MAX_WORDS];
    uint32_t n = 0;
    for (char *s = text; s; n++) {
        char *tab = strchr(s, '\t');
        if (tab)
            *tab = 0;
        if (n == MAX_WORDS)
            return hs_fail(err, HS_ERR_DATA, "more than %d words", MAX_WORDS);
        word[n] = s;
        s = tab ? tab + 1 : NULL;
    }
    const hs_status fits = hs_ask_length(&run->model, &run->data, n, err);
    if (fits != HS_OK)
        return hs_error_hint(err, "names are separated by tabs: head, relation, relation");
    if (q->n == MAX_QUESTIONS)
        return hs_fail(err, HS_ERR_DATA, "more than %d questions", MAX_QUESTIONS);
    HS_TRY(hs_grow((void **)&q->token, &q->cap_tokens, q->n_tokens + n, sizeof *q->token, err));
    HS_TRY(hs_grow((void **)&q->first, &q->cap_first, q->n + 2, sizeof *q->first, err));
    HS_TRY(hs_ask_words(&run->data, word, n, q->token + q->n_tokens, err));
    q->first[q->n++] = (uint32_t)q->n_tokens;
    q->n_tokens += n;
    q->first[q->n] = (uint32_t)q->n_tokens;
    return HS_OK;
}

static hs_status read_lines(questions *q, const hs_run *run, const char *file, hs_lines *in, hs_error *err)
{
    const char *line;
    size_t len;
    for (;;) {
        HS_TRY(hs_lines_next(in, &line, &len, err));
        if (!line)
            break;
        if (len == 0 || (hs_lines_number(in) == 1 && is_header(&run->data, line)))
            continue;
        hs_str_add(&q->line, line, len + 1);
        char *copy = hs_strdup(line);
        const hs_status status =
            copy && !q->line.failed ? add_question(q, run, copy, err) : hs_fail_memory(err, q->line.len + len);
        hs_free(copy);
        if (status == HS_ERR_DATA)
            return fail_line(in, file, err);
        HS_TRY(status);
    }
    if (q->n > 0)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "no question in it");
    hs_error_where(err, "%s", file);
    return hs_error_hint(err, "a line each, names separated by tabs: head, relation, relation");
}

/* ---------------------------------------------------------------- CSV */

static void add_entity(hs_str *out, hs_str *name, const hs_dataset *data, uint32_t token, uint32_t second)
{
    name->len = 0;
    if (token != HS_NO_ID) {
        hs_ask_add_entity(name, data, token, second);
        hs_str_add_csv(out, name->s);
    }
    hs_str_add(out, ",", 1);
}

static void add_row(hs_str *out, hs_str *name, const hs_dataset *data, const char *line, const hs_brief *b)
{
    hs_str_add_csv(out, line);
    hs_str_add(out, ",", 1);
    add_entity(out, name, data, b->answer, HS_NO_ID);
    hs_str_addf(out, "%.6g,", b->probability);
    add_entity(out, name, data, b->known, b->known_second);
    if (b->rank != HS_NO_ID)
        hs_str_addf(out, "%u", b->rank + 1);
    hs_str_add(out, ",", 1);
    add_entity(out, name, data, b->bridge, b->bridge_second);
    if (b->bridge != HS_NO_ID)
        hs_str_addf(out, b->bridge_found ? "true" : "false");
    hs_str_add(out, ",", 1);
    if (b->bridge_found)
        hs_str_addf(out, "%u", b->bridge_stage);
    hs_str_add(out, ",", 1);
    if (b->split)
        hs_str_add_csv(out, b->split->name);
    hs_str_add(out, "\n", 1);
    out->failed |= name->failed;
}

static hs_status ask_all(const hs_run *run, const questions *q, hs_str *out, hs_error *err)
{
    hs_brief *brief = hs_alloc(q->n * sizeof *brief);
    hs_pool *pool = hs_pool_create(0);
    hs_status status = brief && pool ? HS_OK : hs_fail_memory(err, q->n * sizeof *brief);
    if (status == HS_OK)
        status = hs_ask_many(&run->model, &run->data, pool, (uint32_t)q->n, q->token, q->first, brief, err);
    const char *line = q->line.s;
    hs_str name = {0};
    hs_str_addf(out, "query,answer,probability,facts_say,rank,bridge,bridge_found,bridge_stage,split\n");
    for (size_t i = 0; i < q->n && status == HS_OK; i++, line += strlen(line) + 1)
        add_row(out, &name, &run->data, line, &brief[i]);
    hs_str_free(&name);
    hs_pool_free(pool);
    hs_free(brief);
    return status == HS_OK && out->failed ? hs_fail_memory(err, out->len) : status;
}

int hs_ask_file_command(const hs_run *run, const char *file, const char *path)
{
    questions q = {0};
    hs_error err = {0};
    hs_lines *in = NULL;
    hs_str out = {0};
    hs_status status = hs_lines_open(&in, file, MAX_LINE, &err);
    if (status == HS_OK)
        status = read_lines(&q, run, file, in, &err);
    hs_lines_close(in);
    if (status == HS_OK)
        status = ask_all(run, &q, &out, &err);
    if (status == HS_OK && path)
        status = hs_file_write(path, out.s, out.len, &err);
    hs_str_free(&q.line);
    hs_free(q.token);
    hs_free(q.first);
    int code = 0;
    if (status != HS_OK)
        code = hs_cli_fail(&err);
    else if (!path)
        return hs_cli_print(&out);
    hs_str_free(&out);
    return code;
}
