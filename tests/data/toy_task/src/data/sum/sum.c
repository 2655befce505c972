/* sum.c - a toy task: a + b -> c, addition modulo data.entities, all pairs; data.holdout of them are the test. There
 * are no facts to look up: an answer is proved by adding. */
#include "data/task.h"

#include <string.h>

#define PURPOSE_SUM HS_PURPOSE('S', 'U', 'M', ' ')

static uint32_t roles_of(const hs_dataset *d, const hs_split *s, hs_role *roles)
{
    (void)d;
    const hs_role list[] = {{"a", 0, 1, false}, {"b", 2, 1, false}, {"plus", 1, 1, true}, {"c", s->answer, 1, false}};
    memcpy(roles, list, sizeof list);
    return sizeof list / sizeof list[0];
}

static bool recognize(const hs_dataset *d, const uint32_t *prompt, uint32_t n_prompt, uint32_t n_answer, hs_split *form)
{
    form->kind = HS_ITEM_SUM;
    return n_prompt == 3 && n_answer == 1 && prompt[1] == hs_vocab_token(d, "<+>");
}

static bool fits(const hs_dataset *d, const hs_split *s)
{
    (void)d;
    return s->prompt == 3 && s->answer == 3 && s->bridges == 0;
}

static hs_finding check(const hs_proof *p, const hs_split *s, const hs_role *roles, uint64_t item, bool train)
{
    const uint32_t *t = s->tokens + item * s->width, n = p->data->n_entities;
    (void)roles;
    (void)train;
    return (hs_finding){.right = t[0] < n && t[2] < n && (t[0] + t[2]) % n == t[s->answer]};
}

static hs_status build(const hs_data_config *config, const hs_graph *graph, hs_pool *pool, hs_dataset *out,
                       hs_error *err)
{
    uint32_t n = config->entities;
    (void)graph;
    (void)pool;
    for (uint32_t i = 0; i < n; i++)
        HS_TRY(hs_vocab_addf(out, err, "<%u>", i));
    HS_TRY(hs_vocab_addf(out, err, "<+>"));
    HS_TRY(hs_vocab_specials(out, err));
    out->n_entities = n;
    out->n_relations = 1;
    uint64_t pairs = (uint64_t)n * n, held_out = (uint64_t)(config->holdout * (double)pairs);
    for (uint32_t test = 0; test < 2; test++) {
        hs_split form = {.role = test ? HS_SPLIT_TEST : HS_SPLIT_TRAIN,
                         .kind = HS_ITEM_SUM,
                         .n = test ? held_out : pairs - held_out,
                         .width = 4,
                         .prompt = 3,
                         .answer = 3,
                         .answers = 1};
        strcpy(form.name, test ? "test_sum" : "train_sum");
        hs_split *s;
        HS_TRY(hs_dataset_add_split(out, &form, false, false, &s, err));
        uint32_t *at = s->tokens;
        for (uint64_t i = 0; i < pairs; i++) {
            if ((hs_permute(config->seed, PURPOSE_SUM, 0, pairs, i) < held_out) != (test == 1))
                continue;
            uint32_t a = (uint32_t)(i / n), b = (uint32_t)(i % n);
            *at++ = a;
            *at++ = n;
            *at++ = b;
            *at++ = (a + b) % n;
        }
    }
    return HS_OK;
}

static void defaults(hs_data_config *config)
{
    config->entities = 97;
    config->holdout = 0.5;
}

static const hs_form SUM = {.kind = HS_ITEM_SUM,
                            .name = "sum",
                            .query = true,
                            .roles = roles_of,
                            .recognize = recognize,
                            .fits = fits,
                            .check = check};
static const hs_form *const FORMS[] = {&SUM, NULL};
static const hs_task_ops OPS = {.defaults = defaults, .build = build, .forms = FORMS};
const hs_task hs_task_sum = {"sum", "a + b -> c, modulo data.entities", false, false, &OPS};
