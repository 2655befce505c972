/* 2wiki_questions.c - the questions of a 2Wiki file that a chain of two facts of a graph answers. */
#include "graph/read/format.h"

#include <string.h>

typedef struct collector {
    const hs_graph *g;
    hs_question *item;
    size_t n, cap;
} collector;

static bool find_fact(const hs_graph *g, const hs_wiki_evidence *e, hs_fact *fact)
{
    fact->head = hs_names_find(&g->entities, e->head, strlen(e->head));
    fact->relation = hs_names_find(&g->relations, e->relation, strlen(e->relation));
    fact->tail = hs_names_find(&g->entities, e->tail, strlen(e->tail));
    if (fact->head == HS_NO_ID || fact->relation == HS_NO_ID || fact->tail == HS_NO_ID)
        return false;
    return hs_graph_find(g, *fact) != HS_NO_FACT;
}

static hs_status add_question(void *ctx, const hs_wiki_record *record, hs_error *err)
{
    collector *c = ctx;
    hs_fact first, second;
    if (record->n != 2 || record->question[0] == '\0' || strcmp(record->type, "comparison") == 0 ||
        strcmp(record->evidence[0].tail, record->evidence[1].head) != 0 ||
        !find_fact(c->g, &record->evidence[0], &first) || !find_fact(c->g, &record->evidence[1], &second))
        return HS_OK;
    void *item = c->item;
    hs_status status = hs_grow(&item, &c->cap, c->n + 1, sizeof *c->item, err);
    c->item = item;
    HS_TRY(status);
    hs_question *q = &c->item[c->n];
    *q = (hs_question){
        .head = first.head, .r1 = first.relation, .r2 = second.relation, .bridge = first.tail, .answer = second.tail};
    c->n++; /* counted first, so that a half-made one is freed too */
    q->text = hs_strdup(record->question);
    q->type = hs_strdup(record->type);
    if (q->text == NULL || q->type == NULL)
        return hs_fail_memory(err, strlen(record->question) + 1);
    return HS_OK;
}

hs_status hs_questions_read(const hs_graph *g, const char *path, const hs_read_options *options, hs_question **out,
                            size_t *n, hs_error *err)
{
    static const hs_read_options defaults = {0};
    hs_read_report report = {0};
    collector c = {.g = g};
    *out = NULL;
    *n = 0;
    hs_source from = {.path = path};
    HS_TRY(hs_lines_open(&from.in, path, 0, err));
    hs_status status = hs_wiki_each(&from, options == NULL ? &defaults : options, &report, add_question, &c, err);
    hs_lines_close(from.in);
    if (status != HS_OK) {
        hs_questions_free(c.item, c.n);
        return status;
    }
    *out = c.item;
    *n = c.n;
    return HS_OK;
}

void hs_questions_free(hs_question *questions, size_t n)
{
    for (size_t i = 0; questions != NULL && i < n; i++) {
        hs_free(questions[i].text);
        hs_free(questions[i].type);
    }
    hs_free(questions);
}
