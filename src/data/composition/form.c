/* form.c - the items of composition: facts h r -> t, and queries h r1 r2 ... -> t with the bridges between. */
#include "data/composition/composition.h"

#include <string.h>

/* ---------------------------------------------------------------- roles */

static void add_role(hs_role *roles, uint32_t *n, const char *name, uint32_t number, uint32_t column, uint32_t tokens)
{
    hs_role *r = &roles[(*n)++];
    *r = (hs_role){.column = column, .n_tokens = tokens, .relation = name[0] == 'r'};
    if (number == 0)
        snprintf(r->name, sizeof r->name, "%s", name);
    else
        snprintf(r->name, sizeof r->name, "%s%u", name, number);
}

static uint32_t roles_of(const hs_dataset *d, const hs_split *s, hs_role *roles)
{
    uint32_t n = 0, tpe = d->tokens_per_entity, hops = s->hops < HS_MAX_HOPS ? s->hops : HS_MAX_HOPS;
    add_role(roles, &n, "h", 0, 0, tpe);
    for (uint32_t k = 0; k < hops; k++)
        add_role(roles, &n, "r", s->kind == HS_ITEM_FACT ? 0 : k + 1, tpe + k, 1);
    for (uint32_t k = 0; k + 1 < hops; k++)
        add_role(roles, &n, "b", hops == 2 ? 0 : k + 1, HS_PAD, tpe);
    add_role(roles, &n, "t", 0, s->answer, tpe);
    return n;
}

static uint32_t hidden(const hs_dataset *d, const hs_split *s, uint64_t item, uint32_t role, uint32_t *tokens)
{
    uint32_t tpe = d->tokens_per_entity, k = role - 1 - s->hops;
    const uint32_t *bridge = s->bridge + item * s->bridges + k * tpe;
    if (bridge[0] == HS_PAD)
        return 0;
    memcpy(tokens, bridge, tpe * sizeof *tokens);
    return tpe;
}

/* ---------------------------------------------------------------- files */

static bool recognize_fact(const hs_dataset *d, const uint32_t *prompt, uint32_t n_prompt, uint32_t n_answer,
                           hs_split *form)
{
    (void)prompt;
    form->kind = HS_ITEM_FACT;
    form->hops = 1;
    return n_answer == d->tokens_per_entity && n_prompt == d->tokens_per_entity + 1;
}

static bool recognize_query(const hs_dataset *d, const uint32_t *prompt, uint32_t n_prompt, uint32_t n_answer,
                            hs_split *form)
{
    uint32_t tpe = d->tokens_per_entity;
    (void)prompt;
    form->kind = HS_ITEM_QUERY;
    form->hops = n_prompt - tpe;
    form->bridges = (form->hops - 1) * tpe;
    return n_answer == tpe && n_prompt > tpe + 1 && n_prompt <= tpe + HS_MAX_HOPS;
}

static bool fact_fits(const hs_dataset *d, const hs_split *s)
{
    return s->hops == 1 && s->prompt == d->tokens_per_entity + 1 && s->answers == d->tokens_per_entity &&
           s->bridges == 0;
}

static bool query_fits(const hs_dataset *d, const hs_split *s)
{
    uint32_t tpe = d->tokens_per_entity;
    return s->hops >= 2 && s->hops <= HS_MAX_HOPS && s->prompt == tpe + s->hops && s->answers == tpe &&
           s->bridges == (s->hops - 1) * tpe;
}

/* ---------------------------------------------------------------- proof */

/* Scratch of the audit. */
typedef struct several {
    bool all_paths; /* policy `any`: every path of a query counts, not only the one of its bridges */
    uint8_t met[];  /* which further answers of the item at hand are ends of its paths */
} several;

static hs_status open_queries(const hs_dataset *d, void **state, hs_error *err)
{
    uint64_t most = 0;
    for (uint32_t k = 0; k < d->n_splits; k++) {
        const hs_split *s = &d->splits[k];
        for (uint64_t i = 0; s->also_start && i < s->n; i++)
            if (s->also_start[i + 1] - s->also_start[i] > most)
                most = s->also_start[i + 1] - s->also_start[i];
    }
    several *x = hs_alloc(sizeof *x + (size_t)most + 1);
    if (!x)
        return hs_fail_memory(err, (size_t)most);
    x->all_paths = d->config.tails == HS_TAILS_ANY && d->tokens_per_entity == 1;
    *state = x;
    return HS_OK;
}

/* Every path of distinct entities of a query with several answers: is each end among the stored answers? `met` marks
 * those that are ends. fact[0..place) is the path so far. */
static void follow_all(const hs_proof *p, const hs_split *s, uint64_t i, uint32_t place, uint64_t *fact, bool train,
                       uint8_t *met, hs_finding *f)
{
    const uint32_t *tokens = s->tokens + i * s->width;
    const hs_fact *facts = p->data->facts;
    if (place > 0 && (place >= s->hops || place >= HS_MAX_HOPS)) {
        for (uint32_t k = 0; k < place; k++)
            hs_finding_add(f, p, fact[k], k, train);
        uint32_t end = facts[fact[place - 1]].tail;
        bool known = end == tokens[s->answer];
        for (uint64_t a = s->also_start ? s->also_start[i] : 0; s->also_start && a < s->also_start[i + 1]; a++) {
            if (s->also[a] != end)
                continue;
            met[a - s->also_start[i]] = 1;
            known = true;
        }
        f->right &= known;
        return;
    }
    uint32_t entity = place == 0 ? tokens[0] : facts[fact[place - 1]].tail;
    uint64_t first, last = hs_proof_facts_of(p, entity, tokens[1 + place], &first);
    for (uint64_t k = first; k < last; k++) {
        bool back = facts[k].tail == tokens[0];
        for (uint32_t j = 0; j < place; j++)
            back |= facts[k].tail == facts[fact[j]].tail;
        if (back)
            continue;
        fact[place] = k;
        follow_all(p, s, i, place + 1, fact, train, met, f);
    }
}

/* Does the path come back to an entity, as paths of generated graphs may? */
static bool comes_back(const hs_proof *p, const uint64_t *path, uint32_t hops)
{
    const hs_fact *facts = p->data->facts;
    bool back = false;
    for (uint32_t k = 0; k < hops; k++) {
        back |= facts[path[k]].tail == facts[path[0]].head;
        for (uint32_t j = 0; j < k; j++)
            back |= facts[path[k]].tail == facts[path[j]].tail;
    }
    return back;
}

/* Follow head -r1-> bridge -r2-> ... -> answer as the item says. */
static hs_finding check_query(const hs_proof *p, const hs_split *s, const hs_role *roles, uint64_t i, bool train)
{
    const hs_dataset *d = p->data;
    (void)roles;
    uint32_t tpe = d->tokens_per_entity;
    const uint32_t *tokens = s->tokens + i * s->width, *bridge = s->bridge + i * s->bridges;
    hs_finding f = {.right = true};
    uint32_t entity = hs_dataset_entity_of(d, tokens);
    uint64_t path[HS_MAX_HOPS];
    for (uint32_t k = 0; k < s->hops; k++) {
        const uint32_t *next = k + 1 < s->hops ? bridge + k * tpe : tokens + s->answer;
        uint32_t tail = next[0] == HS_PAD ? HS_NO_ID : hs_dataset_entity_of(d, next);
        path[k] = entity == HS_NO_ID || tail == HS_NO_ID ? UINT64_MAX : hs_proof_find(p, entity, tokens[tpe + k], tail);
        if (path[k] == UINT64_MAX) {
            f.right = false;
            return f;
        }
        entity = tail;
    }
    several *x = p->state[HS_ITEM_QUERY];
    if (s->also_start || (x->all_paths && !comes_back(p, path, s->hops))) {
        uint64_t n_also = s->also_start ? s->also_start[i + 1] - s->also_start[i] : 0;
        memset(x->met, 0, n_also);
        follow_all(p, s, i, 0, path, train, x->met, &f);
        for (uint64_t a = 0; a < n_also; a++)
            f.right &= x->met[a] != 0;
        return f;
    }
    for (uint32_t k = 0; k < s->hops; k++)
        hs_finding_add(&f, p, path[k], k, train);
    return f;
}

/* The facts of the bridges lie all over a large graph: without this the audit waits for memory at every hop. */
static void prefetch_query(const hs_proof *p, const hs_split *s, uint64_t i, uint32_t stage)
{
    const uint32_t *bridge = s->bridge + i * s->bridges;
    if (p->data->tokens_per_entity != 1)
        return;
    for (uint32_t k = 0; k < s->bridges; k++) {
        if (bridge[k] >= p->n_heads)
            continue;
        if (stage == 0) {
            __builtin_prefetch(&p->head_start[bridge[k]]);
            continue;
        }
        uint64_t first = p->head_start[bridge[k]];
        const char *facts = (const char *)&p->data->facts[first];
        __builtin_prefetch(facts);
        __builtin_prefetch(facts + 64);
        __builtin_prefetch(facts + 128);
        __builtin_prefetch(facts + 192);
        __builtin_prefetch(&p->data->fact_flags[first]);
        __builtin_prefetch(&p->used[first], 1);
    }
}

static hs_promise promise_of_queries(const hs_split *s)
{
    uint32_t mask, all = (1u << s->hops) - 1;
    if (strcmp(s->name, "train_aug_h1") == 0)
        return (hs_promise){2, 1, UINT32_MAX, true};
    if (strcmp(s->name, "train_aug_h2") == 0)
        return (hs_promise){1, 2, UINT32_MAX, true};
    if (hs_split_class(s->name, s->hops, &mask))
        return (hs_promise){all & ~mask, mask, UINT32_MAX, false};
    return HS_PROMISE_NOTHING;
}

/* test_ii, test_iii ... but not test_ii_sr */
static bool must_be_covered(const hs_split *s)
{
    uint32_t mask;
    return hs_split_class(s->name, s->hops, &mask) && mask == 0 && strlen(s->name) == 5 + s->hops;
}

static const hs_form FACT = {.kind = HS_ITEM_FACT,
                             .name = "fact",
                             .fact = true,
                             .roles = roles_of,
                             .recognize = recognize_fact,
                             .fits = fact_fits,
                             .check = hs_check_fact,
                             .promise = hs_promise_of_facts};
static const hs_form QUERY = {.kind = HS_ITEM_QUERY,
                              .name = "query",
                              .query = true,
                              .chain = true,
                              .roles = roles_of,
                              .hidden = hidden,
                              .recognize = recognize_query,
                              .fits = query_fits,
                              .open = open_queries,
                              .close = hs_free,
                              .check = check_query,
                              .prefetch = prefetch_query,
                              .promise = promise_of_queries,
                              .covered = must_be_covered};
static const hs_form *const FORMS[] = {&FACT, &QUERY, NULL};
static const hs_task_ops OPS = {.build = hs_composition_build, .forms = FORMS};
const hs_task hs_task_composition = {
    "composition", "h r1 r2 -> t over facts that share a bridge (arXiv 2405.15071, 2601.09049, 2505.23653)", false,
    true, &OPS};
