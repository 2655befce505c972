/* check.c - facts that a model proposed, one by one: those that pass every check enter the draft.
 *
 * Invariants of what enters: its names are names, its relation was asked for, both ends are of the kinds that the
 * relation has in the graph, the fact is new, its head had no tail under the relation, and no cycle is closed. Whatever
 * else a model says is counted by reason and forgotten. */
#include "lm/augment.h"

#include <string.h>

enum { LONGEST_NAME = 200, LONGEST_PARAGRAPH = 20000 };

const char *hs_lm_fault_name(hs_lm_fault fault)
{
    static const char *const names[] = {
#define HS_X(constant, name, sentence) name,
        HS_LM_FAULT_MAP(HS_X)
#undef HS_X
    };
    return names[fault];
}

const char *hs_lm_fault_sentence(hs_lm_fault fault)
{
    static const char *const sentences[] = {
#define HS_X(constant, name, sentence) sentence,
        HS_LM_FAULT_MAP(HS_X)
#undef HS_X
    };
    return sentences[fault];
}

typedef struct proposal {
    const char *head, *tail, *relation, *paragraph; /* paragraph: NULL in composition */
    char x[LONGEST_NAME + 1], y[LONGEST_NAME + 1];  /* head and tail, trimmed */
    uint32_t r;
    hs_fact fact; /* an id is HS_NO_ID where the entity is new */
} proposal;

/* ---------------------------------------------------------------- names */

static bool read_name(const char *text, char out[LONGEST_NAME + 1])
{
    text += strspn(text, " \t\r\n");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r\n", text[len - 1]))
        len--;
    if (len == 0 || len > LONGEST_NAME)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 127)
            return false;
    memcpy(out, text, len);
    out[len] = 0;
    return true;
}

hs_status hs_lm_enter_name(hs_lm_draft *d, uint32_t entity, hs_error *err)
{
    hs_str plain = {0};
    uint32_t id;
    hs_answer_normalize(hs_names_get(&d->plan.out->entities, entity), &plain);
    hs_status status = plain.failed ? hs_fail_memory(err, 0) : HS_OK;
    if (status == HS_OK && plain.len > 0) {
        const uint32_t before = d->name.n;
        status = hs_names_add(&d->name, plain.s, plain.len, &id, err);
        if (status == HS_OK && id == before) { /* of two names that differ in case only the first is meant */
            void *p = d->entity;
            status = hs_grow(&p, &d->cap_entity, d->name.n, sizeof *d->entity, err);
            d->entity = p;
            if (status == HS_OK)
                d->entity[id] = entity;
        }
    }
    hs_str_free(&plain);
    return status;
}

/* The entity of this name as it stands, else in another spelling; HS_NO_ID. */
static uint32_t find(const hs_lm_draft *d, const char *name)
{
    const uint32_t exact = hs_names_find(&d->plan.out->entities, name, strlen(name));
    if (exact != HS_NO_ID)
        return exact;
    hs_str plain = {0};
    hs_answer_normalize(name, &plain);
    const uint32_t id = plain.s && !plain.failed ? hs_names_find(&d->name, plain.s, plain.len) : HS_NO_ID;
    hs_str_free(&plain);
    return id == HS_NO_ID ? HS_NO_ID : d->entity[id];
}

/* ---------------------------------------------------------------- the graph */

bool hs_lm_may_leave(hs_lm_draft *d, uint32_t e, uint32_t r)
{
    hs_plan_fill_mask(&d->plan, d->plan.may_head, e);
    return hs_plan_in_mask(&d->plan, r) && !hs_plan_taken(&d->plan, e, r);
}

bool hs_lm_may_arrive(hs_lm_draft *d, uint32_t e, uint32_t r)
{
    hs_plan_fill_mask(&d->plan, d->plan.may_tail, e);
    return hs_plan_in_mask(&d->plan, r);
}

/* Does a chain of facts lead from one entity to another? */
static hs_status leads(hs_lm_draft *d, uint32_t from, uint32_t to, bool *out, hs_error *err)
{
    const size_t n = d->plan.out->entities.n, had = d->cap_seen;
    void *p = d->seen, *q = d->stack;
    hs_status status = hs_grow(&p, &d->cap_seen, n, sizeof *d->seen, err);
    d->seen = p;
    if (status == HS_OK)
        status = hs_grow(&q, &d->cap_stack, n, sizeof *d->stack, err);
    d->stack = q;
    HS_TRY(status);
    memset(d->seen + had, 0, (d->cap_seen - had) * sizeof *d->seen);
    size_t left = 0;
    d->mark++;
    d->seen[from] = d->mark;
    d->stack[left++] = from;
    *out = false;
    while (left > 0 && !*out) {
        const uint32_t e = d->stack[--left];
        *out = e == to;
        for (uint64_t i = d->plan.entity[e].first_out; i != 0; i = d->plan.link[i - 1].next_out) {
            const uint32_t next = d->plan.out->facts[i - 1].tail;
            if (d->seen[next] != d->mark) {
                d->seen[next] = d->mark;
                d->stack[left++] = next;
            }
        }
    }
    return HS_OK;
}

/* (x, r) has a tail already: is it this one, and whose fact is it? */
static hs_lm_fault taken_fault(const hs_lm_draft *d, const hs_fact *f)
{
    for (uint64_t i = d->plan.entity[f->head].first_out; i != 0; i = d->plan.link[i - 1].next_out)
        if (d->plan.out->facts[i - 1].relation == f->relation && d->plan.out->facts[i - 1].tail == f->tail)
            return i - 1 < d->g->n_facts ? HS_LM_FAULT_KNOWN : HS_LM_FAULT_REPEATED;
    return HS_LM_FAULT_CONTRADICTS;
}

/* HS_LM_N_FAULTS: none. */
static hs_status judge(hs_lm_draft *d, const hs_lm_goal *goal, proposal *p, hs_lm_fault *fault, hs_error *err)
{
    *fault = HS_LM_FAULT_NAME;
    if (!read_name(p->head, p->x) || !read_name(p->tail, p->y))
        return HS_OK;
    *fault = HS_LM_FAULT_RELATION;
    p->r = hs_names_find(&d->g->relations, p->relation, strlen(p->relation));
    if (p->r == HS_NO_ID || !d->usable[p->r])
        return HS_OK;
    p->fact = (hs_fact){find(d, p->x), p->r, find(d, p->y)};
    const hs_fact *f = &p->fact;
    *fault = HS_LM_FAULT_PLACE;
    const bool arrives = f->tail == goal->entity, leaves = f->head == goal->entity;
    if (!arrives && (!leaves || d->options->phi == 0))
        return HS_OK;
    *fault = HS_LM_FAULT_CYCLE;
    if (f->head == f->tail)
        return HS_OK;
    if (f->head != HS_NO_ID && hs_plan_taken(&d->plan, f->head, p->r)) {
        *fault = taken_fault(d, f);
        return HS_OK;
    }
    *fault = HS_LM_FAULT_KIND;
    if ((f->head != HS_NO_ID && !hs_lm_may_leave(d, f->head, p->r)) ||
        (f->tail != HS_NO_ID && !hs_lm_may_arrive(d, f->tail, p->r)))
        return HS_OK;
    *fault = HS_LM_N_FAULTS;
    bool cycle = false;
    if (f->head != HS_NO_ID && f->tail != HS_NO_ID)
        HS_TRY(leads(d, f->tail, f->head, &cycle, err));
    *fault = cycle ? HS_LM_FAULT_CYCLE : HS_LM_N_FAULTS;
    return HS_OK;
}

/* ---------------------------------------------------------------- taking */

static void note(hs_lm_draft *d, const proposal *p, const hs_lm_answer *a)
{
    const struct {
        const char *name, *text;
    } fields[] = {{"head", hs_names_get(&d->plan.out->entities, p->fact.head)},
                  {"relation", hs_names_get(&d->g->relations, p->r)},
                  {"tail", hs_names_get(&d->plan.out->entities, p->fact.tail)},
                  {"model", d->model},
                  {"prompt", a->name},
                  {"time", a->time},
                  {"paragraph", p->paragraph}};
    for (size_t k = 0; d->origin && k < sizeof fields / sizeof *fields; k++) {
        if (!fields[k].text)
            continue;
        hs_str_addf(d->origin, "%s\"%s\": ", k ? ", " : "{", fields[k].name);
        hs_str_add_json(d->origin, fields[k].text, strlen(fields[k].text));
    }
    if (d->origin)
        hs_str_addf(d->origin, "}\n");
}

static hs_status end_of(hs_lm_draft *d, const char *name, uint32_t place, uint32_t *id, hs_error *err)
{
    if (*id != HS_NO_ID)
        return HS_OK;
    HS_TRY(hs_plan_adopt(&d->plan, name, strlen(name), place, id, err));
    return hs_lm_enter_name(d, *id, err);
}

static hs_status take(hs_lm_draft *d, proposal *p, const hs_lm_answer *answer, hs_error *err)
{
    HS_TRY(end_of(d, p->x, 2 * p->r, &p->fact.head, err));
    HS_TRY(end_of(d, p->y, 2 * p->r + 1, &p->fact.tail, err));
    HS_TRY(hs_plan_add(&d->plan, p->fact.head, p->r, p->fact.tail, err));
    note(d, p, answer);
    return HS_OK;
}

/* ---------------------------------------------------------------- answers */

/* The JSON object in a text: models like to put words and fences around it. */
static json_t *object_in(const char *text)
{
    json_error_t error;
    const char *first = strchr(text, '{'), *last = strrchr(text, '}');
    return first && last > first ? json_loadb(first, (size_t)(last - first) + 1, 0, &error) : NULL;
}

static const char *field(const json_t *item, const char *name)
{
    const json_t *value = json_object_get(item, name);
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static hs_status check_fact(hs_lm_draft *d, const hs_lm_goal *goal, const json_t *item, proposal *p, hs_lm_fault *fault,
                            hs_error *err)
{
    p->head = field(item, "head");
    p->tail = field(item, "tail");
    p->relation = field(item, "relation");
    *fault = HS_LM_FAULT_FORM;
    return p->head && p->tail && p->relation ? judge(d, goal, p, fault, err) : HS_OK;
}

/* An invented entity: its name is new, its value the one asked for, its paragraph speaks of both. */
static hs_status check_entity(hs_lm_draft *d, const hs_lm_goal *goal, const json_t *item, proposal *p,
                              hs_lm_fault *fault, hs_error *err)
{
    const char *value = field(item, "value");
    p->head = field(item, "name");
    p->paragraph = field(item, "paragraph");
    p->tail = hs_names_get(&d->plan.out->entities, goal->entity);
    p->relation = hs_names_get(&d->g->relations, goal->relation);
    *fault = HS_LM_FAULT_FORM;
    if (!value || !p->head || !p->paragraph)
        return HS_OK;
    *fault = HS_LM_FAULT_RELATION;
    if (strcmp(value, p->tail) != 0)
        return HS_OK;
    HS_TRY(judge(d, goal, p, fault, err));
    if (*fault == HS_LM_N_FAULTS && p->fact.head != HS_NO_ID)
        *fault = HS_LM_FAULT_KNOWN;
    if (*fault == HS_LM_N_FAULTS &&
        (strlen(p->paragraph) > LONGEST_PARAGRAPH || !strstr(p->paragraph, p->x) || !strstr(p->paragraph, value)))
        *fault = HS_LM_FAULT_PARAGRAPH;
    return HS_OK;
}

hs_status hs_lm_check(hs_lm_draft *d, const hs_lm_goal *goal, const hs_lm_answer *answer, uint32_t *taken,
                      hs_error *err)
{
    const bool entities = d->options->per_value > 0;
    const uint32_t most = hs_lm_goal_lacks(d, goal); /* what is proposed beyond that is not looked at */
    json_t *json = answer->reason == HS_LM_NONE ? object_in(answer->text) : NULL;
    const json_t *list = json_object_get(json, entities ? "entities" : "facts");
    *taken = 0;
    if (!json_is_array(list) && answer->reason == HS_LM_NONE)
        d->report.refused[HS_LM_FAULT_FORM]++;
    hs_status status = HS_OK;
    for (size_t i = 0; status == HS_OK && i < json_array_size(list) && *taken < most; i++) {
        proposal p = {0};
        hs_lm_fault fault;
        const json_t *item = json_array_get(list, i);
        d->report.proposed++;
        status = entities ? check_entity(d, goal, item, &p, &fault, err) : check_fact(d, goal, item, &p, &fault, err);
        if (status == HS_OK && fault == HS_LM_N_FAULTS)
            status = take(d, &p, answer, err);
        if (status == HS_OK && fault == HS_LM_N_FAULTS)
            ++*taken;
        else if (status == HS_OK)
            d->report.refused[fault]++;
    }
    json_decref(json);
    return status;
}
