/* form.c - the items of comparison: attr <q> e1 <mask> e2 [</q>] -> label. */
#include "data/comparison/pairs.h"

#include <string.h>

enum { ATTRIBUTE = 0, Q = 1, E1 = 2, E2 = 4 }; /* columns */

static uint32_t roles_of(const hs_dataset *d, const hs_split *s, hs_role *roles)
{
    (void)d;
    const hs_role list[] = {{"e1", E1, 1, false},     {"e2", E2, 1, false},     {"attribute", ATTRIBUTE, 1, true},
                            {"v1", HS_PAD, 1, false}, {"v2", HS_PAD, 1, false}, {"label", s->answer, 1, false}};
    memcpy(roles, list, sizeof list);
    return sizeof list / sizeof list[0];
}

/* The value of an entity, where it has exactly one. */
static uint32_t hidden(const hs_dataset *d, const hs_split *s, uint64_t item, uint32_t role, uint32_t *tokens)
{
    const uint32_t *t = s->tokens + item * s->width;
    uint64_t first, last;
    hs_dataset_facts_of(d, t[role == 3 ? E1 : E2], t[ATTRIBUTE], &first, &last);
    if (last != first + 1)
        return 0;
    tokens[0] = d->facts[first].tail;
    return 1;
}

static bool recognize(const hs_dataset *d, const uint32_t *prompt, uint32_t n_prompt, uint32_t n_answer, hs_split *form)
{
    uint32_t q = hs_vocab_token(d, "<q>");
    (void)n_answer;
    form->kind = HS_ITEM_COMPARE;
    form->answer = n_prompt == 6 ? 7 : 5;
    return q != HS_NO_ID && (n_prompt == 5 || n_prompt == 6) && prompt[Q] == q;
}

static bool fits(const hs_dataset *d, const hs_split *s)
{
    (void)d;
    return s->hops == 0 && s->prompt >= 5 && s->prompt <= 6 && s->bridges == 0;
}

/* ---------------------------------------------------------------- proof */

static hs_status open_pairs(const hs_dataset *d, void **state, hs_error *err)
{
    hs_compare *compare = hs_calloc(1, sizeof *compare);
    if (!compare)
        return hs_fail_memory(err, sizeof *compare);
    *state = compare;
    return hs_compare_init(compare, d, err);
}

static void close_pairs(void *state)
{
    if (state)
        hs_compare_free(state);
    hs_free(state);
}

static hs_finding check(const hs_proof *p, const hs_split *s, const hs_role *roles, uint64_t i, bool train)
{
    const hs_compare *compare = p->state[HS_ITEM_COMPARE];
    const uint32_t *tokens = s->tokens + i * s->width;
    hs_finding f = {.right = true};
    uint32_t value[2];
    (void)roles;
    for (uint32_t k = 0; k < 2; k++) {
        uint64_t first, end = hs_proof_facts_of(p, tokens[k ? E2 : E1], tokens[ATTRIBUTE], &first);
        if (end != first + 1) {
            f.right = false;
            return f;
        }
        value[k] = p->data->facts[first].tail;
        hs_finding_add(&f, p, first, k, train);
        if (train)
            p->used[first] |= 3; /* a comparison has no order of hops */
    }
    uint32_t attribute = tokens[ATTRIBUTE] - p->data->n_entities;
    f.right = tokens[ATTRIBUTE] >= p->data->n_entities && attribute < compare->n_attributes &&
              hs_compare_label(compare, attribute, value[0], value[1]) == tokens[s->answer];
    return f;
}

static hs_promise promise_of(const hs_split *s)
{
    hs_promise promise = HS_PROMISE_NOTHING;
    if (strcmp(s->name, "train_cross") == 0)
        return (hs_promise){3, 3, 1, true};
    if (strcmp(s->name, "test_ood") == 0 || strcmp(s->name, "test_hard") == 0)
        promise.may_be_id = 0;
    if (strcmp(s->name, "test_id") == 0)
        promise.may_be_ood = 0;
    return promise;
}

/* The flip of a pair is the same question. */
static void canonical(uint32_t *prompt)
{
    uint32_t first = prompt[E1], second = prompt[E2];
    prompt[E1] = first < second ? first : second;
    prompt[E2] = first < second ? second : first;
}

void hs_comparison_defaults(hs_data_config *config)
{
    config->entities = 1000;
    config->ood_fraction = 0.1;
    config->holdout = 0.1;
    config->phi = 7.2;
}

static const hs_form COMPARE = {.kind = HS_ITEM_COMPARE,
                                .name = "comparison",
                                .query = true,
                                .roles = roles_of,
                                .hidden = hidden,
                                .recognize = recognize,
                                .fits = fits,
                                .open = open_pairs,
                                .close = close_pairs,
                                .check = check,
                                .promise = promise_of,
                                .canonical = canonical};
static const hs_form *const FORMS[] = {&COMPARE, NULL};
static const hs_task_ops OPS = {.defaults = hs_comparison_defaults, .build = hs_comparison_build, .forms = FORMS};
const hs_task hs_task_comparison = {
    "comparison", "attr e1 e2 -> label: same/different, earlier/later (arXiv 2405.15071, 4)", false, true, &OPS};
