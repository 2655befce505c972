/* form.c - the facts of the task complex: <q> e attr <mask> </q> -> <a> v </a>. Its comparisons are those of comparison
 * with "</q>" and "<a>". */
#include "data/complex/complex.h"

#include <string.h>

static uint32_t roles_of(const hs_dataset *d, const hs_split *s, hs_role *roles)
{
    (void)d;
    const hs_role list[] = {{"e", 1, 1, false}, {"attribute", 2, 1, true}, {"v", s->answer, 1, false}};
    memcpy(roles, list, sizeof list);
    return sizeof list / sizeof list[0];
}

static bool recognize(const hs_dataset *d, const uint32_t *prompt, uint32_t n_prompt, uint32_t n_answer, hs_split *form)
{
    uint32_t q = hs_vocab_token(d, "<q>");
    (void)n_answer;
    form->kind = HS_ITEM_COMPLEX_FACT;
    form->hops = 1;
    form->answer = 6;
    return q != HS_NO_ID && n_prompt == 5 && prompt[0] == q;
}

static bool fits(const hs_dataset *d, const hs_split *s)
{
    (void)d;
    return s->prompt == 5 && s->bridges == 0;
}

static const hs_form FACT = {.kind = HS_ITEM_COMPLEX_FACT,
                             .name = "complex fact",
                             .fact = true,
                             .roles = roles_of,
                             .recognize = recognize,
                             .fits = fits,
                             .check = hs_check_fact,
                             .promise = hs_promise_of_facts};
static const hs_form *const FORMS[] = {&FACT, NULL};
static const hs_task_ops OPS = {.defaults = hs_comparison_defaults, .build = hs_complex_build, .forms = FORMS};
const hs_task hs_task_complex = {
    "complex", "comparison with untrained facts of OOD entities and a graph-solvable hard test (arXiv 2405.15071, 5)",
    false, false, &OPS};
