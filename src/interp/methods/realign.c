/* realign.c - is only the form of the bridge's state wrong? The state at the end of the first hop is moved towards the
 * bridge's own embedding: x = (1 - alpha) state + alpha W[b] (Patchscopes, Ghandeharioun et al. 2024; DiscoLoop, arXiv
 * 2607.00341, re-embeds between passes).
 *
 *     accuracy  right answers with W[b] of the right bridge, role "b"
 *     follow    control, role "w": with W[w] of a wrong entity the answer must be w's tail by r2
 * alpha stands behind the measure: "accuracy@0.50".
 *
 * Invariant: the wrong entity of an item follows from (interpret.seed, item). */
#include "interp/look.h"

#include <string.h>

enum { N_ALPHA = 5, DRAWS = 256 };
static const float alphas[N_ALPHA] = {0, 0.25f, 0.5f, 0.75f, 1};

typedef struct realign_job {
    const hs_look *look;
    const hs_sample *sample;
    hs_table *table;
    uint32_t column;        /* where the first hop ends */
    const uint32_t *bridge; /* (n) */
    uint32_t *cell;         /* (stages, N_ALPHA, 2) */
} realign_job;

/* An entity other than the bridge from which r2 leads elsewhere; HS_NO_ID if none was found. */
static uint32_t wrong_entity(const realign_job *j, uint32_t item, uint32_t *expected)
{
    const hs_dataset *data = j->look->scope->data;
    const uint32_t *question = j->sample->token + (size_t)item * j->sample->T;
    hs_rng rng;
    hs_rng_init(&rng, j->look->config->seed, HS_PURPOSE('r', 'e', 'a', 'l'), j->sample->item[item], 0);
    for (int draw = 0; draw < DRAWS; draw++) {
        const uint64_t f = hs_draw_fact(j->look->scope, &rng);
        if (f == HS_NO_FACT)
            break;
        const uint64_t second = hs_only_fact(data, data->facts[f].head, question[2]);
        if (second != HS_NO_FACT && data->facts[second].tail != j->sample->asked[j->sample->target].token[item]) {
            *expected = data->facts[second].tail;
            return data->facts[f].head;
        }
    }
    return HS_NO_ID;
}

static void move(const realign_job *j, hs_forward *f, const uint32_t *towards, size_t stage, float alpha)
{
    for (uint32_t b = 0; b < f->B; b++) {
        if (towards[b] == HS_NO_ID)
            continue;
        const float *w = hs_model_embedding(f->model, towards[b]);
        const float *state = hs_forward_state(f, 0, stage, b, j->column);
        float *x = f->x + b * f->D;
        for (size_t d = 0; d < f->D; d++)
            x[d] = (1 - alpha) * state[d] + alpha * w[d];
        hs_forward_put(f, stage, b, j->column, x);
    }
    hs_forward_from(f, 0, stage, NULL);
}

static void realign_items(void *ctx, hs_forward *f, uint32_t first, uint32_t n)
{
    realign_job *j = ctx;
    const hs_sample *s = j->sample;
    uint32_t wrong[HS_CHUNK], expected[HS_CHUNK];
    hs_forward_run_below(f, 0, s->token + (size_t)first * s->T, s->T, n, false);
    for (uint32_t b = 0; b < n; b++)
        wrong[b] = wrong_entity(j, first + b, &expected[b]);
    for (uint32_t stage = 1; stage < f->S; stage++)
        for (uint32_t a = 0; a < N_ALPHA; a++) {
            const uint32_t *cell = j->cell + (stage * N_ALPHA + a) * 2;
            move(j, f, j->bridge + first, stage, alphas[a]);
            float *value = hs_table_column(j->table, cell[0]);
            for (uint32_t b = 0; b < n; b++)
                if (j->bridge[first + b] != HS_NO_ID)
                    value[first + b] = hs_forward_top(f, f->logits, b) == s->asked[s->target].token[first + b];
            move(j, f, wrong, stage, alphas[a]);
            value = hs_table_column(j->table, cell[1]);
            for (uint32_t b = 0; b < n; b++)
                if (wrong[b] != HS_NO_ID)
                    value[first + b] = hs_forward_top(f, f->logits, b) == expected[b];
        }
}

static hs_status add_cells(const realign_job *j, uint32_t stages, hs_error *err)
{
    const char *position = j->sample->place[hs_sample_hop_end(j->sample, 1)].role;
    for (uint32_t stage = 1; stage < stages; stage++)
        for (uint32_t a = 0; a < N_ALPHA; a++) {
            char measure[2][2 * HS_ROLE_SIZE];
            uint32_t *cell = j->cell + (stage * N_ALPHA + a) * 2;
            snprintf(measure[0], sizeof measure[0], "accuracy@%.2f", (double)alphas[a]);
            snprintf(measure[1], sizeof measure[1], "follow@%.2f", (double)alphas[a]);
            HS_TRY(hs_table_add(j->table, (int32_t)stage, position, "b", measure[0], HS_SUM_SHARE, &cell[0], err));
            HS_TRY(hs_table_add(j->table, (int32_t)stage, position, "w", measure[1], HS_SUM_SHARE, &cell[1], err));
        }
    return HS_OK;
}

static hs_status run(const hs_look *look, hs_table *out, hs_error *err)
{
    const hs_sample *s = look->sample;
    realign_job j = {.look = look, .sample = s, .table = out};
    j.column = s->place[hs_sample_hop_end(s, 1)].column;
    j.bridge = s->asked[hs_sample_asked(s, "b")].token;
    const size_t n = ((size_t)look->model->n_stages + 1) * N_ALPHA * 2;
    j.cell = hs_alloc(n * sizeof *j.cell);
    if (!j.cell)
        return hs_fail_memory(err, n * sizeof *j.cell);
    hs_status status = add_cells(&j, look->model->n_stages, err);
    if (status == HS_OK)
        status = hs_look_each(look, s->n, s->T, realign_items, &j, err);
    hs_free(j.cell);
    return status;
}

static const char *unfit(const hs_model *model, const hs_dataset *data, const hs_split *split)
{
    if (hs_model_predicts_in_place(model) || model->n_stages < 2)
        return "a decoder with at least two block applications";
    const bool fits = split && split->n > 0 && split->kind == HS_ITEM_QUERY && split->hops == 2 && split->bridge &&
                      data->tokens_per_entity == 1;
    return fits ? NULL : "a split of two-hop queries whose entities have one token";
}

const hs_method hs_method_realign = {.name = "realign",
                                     .help = "does the bridge's own embedding in place of its state help",
                                     .paper = "Patchscopes (arXiv 2401.06102); DiscoLoop (arXiv 2607.00341)",
                                     .cheap = false,
                                     .role = "b",
                                     .measure = "accuracy@1.00",
                                     .unfit = unfit,
                                     .run = run};
