/* cross.c - cross-query semantic patching (arXiv 2505.23653): is a state the bridge's meaning, or only this
 * question's?
 *
 * The target question (h, r1, r2) is run with the state at (stage, position) of a source question (ea, ra, rx) over another
 * training fact ea -ra-> e' put in at the same place. If the state at r1 stands for the entity reached, the answer becomes
 * r2(e'). `success` = share of items whose top token is r2(e'). e' has r2, and r2(e') is not the right answer.
 *
 * The released notebook takes the facts (ea, ra) alone as sources and then reads their third state, which they do not have;
 * here the source has a relation rx other than r2 in third place, so that this column has a meaning: near 0, as r2 is not
 * there. States are put back where they were read (the notebook's last layer mixes normed and plain states).
 *
 * Invariant: the source of an item follows from (interpret.seed, item). */
#include "interp/look.h"

#include <string.h>

enum { DRAWS = 256 };

typedef struct cross_job {
    const hs_look *look;
    const hs_sample *sample;
    hs_table *table;
    uint32_t *cell; /* (stages, places) */
    uint32_t source[3],
        expected; /* cells: the question that the state is from, the answer it should give; for --items */
} cross_job;

/* A source for item: its tokens (3) and the answer that the target question should give; false if none was found. */
static bool choose(const cross_job *j, uint32_t item, uint32_t tokens[3], uint32_t *expected)
{
    const hs_scope *scope = j->look->scope;
    const hs_dataset *data = scope->data;
    const uint32_t *question = j->sample->token + (size_t)item * j->sample->T;
    const uint32_t answer = j->sample->asked[j->sample->target].token[item];
    hs_rng rng;
    hs_rng_init(&rng, j->look->config->seed, HS_PURPOSE('c', 'r', 'o', 's'), j->sample->item[item], 0);
    for (int draw = 0; draw < DRAWS; draw++) {
        const uint64_t f = hs_draw_fact(scope, &rng);
        if (f == HS_NO_FACT)
            return false;
        const hs_fact *fact = &data->facts[f];
        const uint64_t second = hs_only_fact(data, fact->tail, question[2]);
        if (second == HS_NO_FACT || data->facts[second].tail == answer)
            continue;
        const uint64_t other = hs_draw_fact(scope, &rng);
        if (data->facts[other].relation == question[2])
            continue;
        tokens[0] = fact->head;
        tokens[1] = fact->relation;
        tokens[2] = data->facts[other].relation;
        *expected = data->facts[second].tail;
        return true;
    }
    return false;
}

static void patch_items(void *ctx, hs_forward *f, uint32_t first, uint32_t n)
{
    cross_job *j = ctx;
    const hs_sample *s = j->sample;
    uint32_t source[HS_CHUNK * 3], expected[HS_CHUNK];
    const uint32_t *target = s->token + (size_t)first * s->T;
    memcpy(source, target, n * 3 * sizeof *source);
    for (uint32_t b = 0; b < n; b++)
        if (!choose(j, first + b, source + b * 3, &expected[b]))
            expected[b] = HS_NO_ID;
    for (uint32_t b = 0; b < n; b++) {
        if (expected[b] == HS_NO_ID)
            continue;
        for (uint32_t t = 0; t < 3; t++)
            hs_table_column(j->table, j->source[t])[first + b] = (float)source[b * 3 + t];
        hs_table_column(j->table, j->expected)[first + b] = (float)expected[b];
    }
    hs_forward_run_below(f, 0, target, 3, n, false);
    hs_forward_run_below(f, 1, source, 3, n, false);
    for (uint32_t stage = 0; stage < f->S; stage++)
        for (uint32_t p = 0; p < s->n_places; p++) {
            const uint32_t column = s->place[p].column;
            for (uint32_t b = 0; b < n; b++)
                hs_forward_put(f, stage, b, column, hs_forward_state(f, 1, stage, b, column));
            hs_forward_from(f, 0, stage, NULL);
            float *value = hs_table_column(j->table, j->cell[stage * s->n_places + p]);
            for (uint32_t b = 0; b < n; b++)
                if (expected[b] != HS_NO_ID)
                    value[first + b] = hs_forward_top(f, f->logits, b) == expected[b];
        }
}

static hs_status add_choice(cross_job *j, hs_error *err)
{
    static const char *const role[3] = {"h", "r1", "r2"};
    for (uint32_t t = 0; t < 3; t++)
        HS_TRY(hs_table_add(j->table, HS_ALL_STAGES, "", role[t], "source", HS_SUM_HIDDEN, &j->source[t], err));
    return hs_table_add(j->table, HS_ALL_STAGES, "", "t", "expected", HS_SUM_HIDDEN, &j->expected, err);
}

static hs_status run(const hs_look *look, hs_table *out, hs_error *err)
{
    const hs_sample *s = look->sample;
    cross_job j = {.look = look, .sample = s, .table = out};
    const size_t n = (size_t)look->model->n_stages * s->n_places;
    j.cell = hs_alloc((n + 1) * sizeof *j.cell);
    if (!j.cell)
        return hs_fail_memory(err, n * sizeof *j.cell);
    hs_status status = add_choice(&j, err);
    for (uint32_t c = 0; c < n && status == HS_OK; c++)
        status = hs_table_add(out, (int32_t)(c / s->n_places), s->place[c % s->n_places].role, "b", "success",
                              HS_SUM_SHARE, &j.cell[c], err);
    if (status == HS_OK)
        status = hs_look_each(look, s->n, s->T, patch_items, &j, err);
    hs_free(j.cell);
    return status;
}

static const char *unfit(const hs_model *model, const hs_dataset *data, const hs_split *split)
{
    (void)model;
    const bool fits =
        split && split->n > 0 && split->kind == HS_ITEM_QUERY && split->hops == 2 && data->tokens_per_entity == 1;
    return fits ? NULL : "a split of two-hop queries whose entities have one token";
}

const hs_method hs_method_cross = {.name = "cross",
                                   .help = "does a state carry its entity into another question",
                                   .paper = "arXiv 2505.23653, cross-query semantic patching",
                                   .cheap = true,
                                   .role = "b",
                                   .measure = "success",
                                   .unfit = unfit,
                                   .run = run};
