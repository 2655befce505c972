/* linear.c - is the bridge linearly present in a state? A linear probe with a control task (Alain & Bengio, arXiv
 * 1610.01644; Hewitt & Liang, arXiv 1909.03368).
 *
 * The probe is a ridge regression from the state (with a constant) to the one-hot token: closed form, so nothing is tuned
 * and no seed matters. Queries are halved by (h, r1): no pair of the tested half was seen by the probe.
 *     accuracy     of the tested half
 *     control      the same with random labels: one a head, drawn from the tokens of the role
 *     selectivity  accuracy - control
 *     majority     share of the commonest token
 * for every stage at the end of the first hop and at the answer's position; roles b (b' of two-token entities), t.
 *
 * Invariant: the halves and the control labels follow from (interpret.seed, h, r1). */
#include "hopscope/tensor.h"
#include "interp/look.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FACTOR = 10 }; /* a probe is fitted on more items than are looked at one by one */

typedef struct linear_job {
    const hs_look *look;
    const hs_sample *sample; /* of its own */
    uint32_t n_places, place[2];
    float *states;             /* (n_places, S+1, n, D) */
    bool *tested;              /* (n) */
    uint32_t *label, *control; /* (n) classes 0 .. n_classes-1, HS_NO_ID = none */
    uint32_t n_classes;
    double *gram, *factor, *right; /* (D+1,D+1), (D+1,D+1), (n_classes, D+1) */
} linear_job;

static const float *state_at(const linear_job *j, uint32_t place, uint32_t stage, uint32_t item)
{
    const size_t D = j->look->model->config.n_embd, S = j->look->model->n_stages;
    return j->states + (((size_t)place * (S + 1) + stage) * j->sample->n + item) * D;
}

static void read_states(void *ctx, hs_forward *f, uint32_t first, uint32_t n)
{
    linear_job *j = ctx;
    hs_forward_run(f, 0, j->sample->token + (size_t)first * j->sample->T, j->sample->T, n);
    for (uint32_t p = 0; p < j->n_places; p++)
        for (uint32_t stage = 0; stage <= f->S; stage++)
            for (uint32_t b = 0; b < n; b++)
                memcpy((float *)(uintptr_t)state_at(j, p, stage, first + b),
                       hs_forward_state(f, 0, stage, b, j->sample->place[j->place[p]].column), f->D * sizeof(float));
}

/* ---------------------------------------------------------------- labels and halves */

static void halve(linear_job *j)
{
    const hs_sample *s = j->sample;
    for (uint32_t i = 0; i < s->n; i++) {
        const uint32_t *t = s->token + (size_t)i * s->T;
        const uint32_t w = s->data->tokens_per_entity;
        hs_rng rng;
        hs_rng_init(&rng, j->look->config->seed, HS_PURPOSE('h', 'a', 'l', 'f'), (uint64_t)t[0] << 32 | t[w - 1], t[w]);
        j->tested[i] = hs_rng_below(&rng, 2) == 1;
    }
}

/* Classes of a role's tokens, and a class a head drawn from them. */
static void make_labels(linear_job *j, const uint32_t *token, uint32_t *class_of_token)
{
    const hs_sample *s = j->sample;
    memset(class_of_token, 0xff, s->data->vocab.n * sizeof *class_of_token);
    j->n_classes = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        j->label[i] = HS_NO_ID;
        if (token[i] == HS_NO_ID)
            continue;
        if (class_of_token[token[i]] == HS_NO_ID)
            class_of_token[token[i]] = j->n_classes++;
        j->label[i] = class_of_token[token[i]];
    }
    for (uint32_t i = 0; i < s->n; i++) {
        hs_rng rng;
        hs_rng_init(&rng, j->look->config->seed, HS_PURPOSE('c', 't', 'r', 'l'), s->token[(size_t)i * s->T], 0);
        const uint32_t other = (uint32_t)hs_rng_below(&rng, s->n);
        j->control[i] = j->label[i] == HS_NO_ID ? HS_NO_ID : j->label[other];
    }
}

/* Into column (n): 1 where a tested item has the commonest token of the tested half. */
static hs_status majority(const linear_job *j, float *column, hs_error *err)
{
    uint32_t most = 0, commonest = 0;
    uint32_t *count = hs_calloc(j->n_classes + 1, sizeof *count);
    if (!count)
        return hs_fail_memory(err, j->n_classes * sizeof *count);
    for (uint32_t i = 0; i < j->sample->n; i++)
        if (j->tested[i] && j->label[i] != HS_NO_ID && ++count[j->label[i]] > most) {
            most = count[j->label[i]];
            commonest = j->label[i];
        }
    for (uint32_t i = 0; i < j->sample->n; i++)
        if (j->tested[i] && j->label[i] != HS_NO_ID)
            column[i] = j->label[i] == commonest;
    hs_free(count);
    return HS_OK;
}

/* ---------------------------------------------------------------- the regression */

/* Gram matrix of the fitted half with a constant column, ridge on the diagonal: 1e-3 of the mean. */
static void make_gram(linear_job *j, uint32_t place, uint32_t stage)
{
    const size_t D = j->look->model->config.n_embd, M = D + 1;
    memset(j->gram, 0, M * M * sizeof *j->gram);
    for (uint32_t i = 0; i < j->sample->n; i++) {
        if (j->tested[i])
            continue;
        const float *x = state_at(j, place, stage, i);
        for (size_t a = 0; a < M; a++) {
            const double xa = a < D ? (double)x[a] : 1;
            for (size_t b = 0; b <= a; b++)
                j->gram[a * M + b] += xa * (b < D ? (double)x[b] : 1);
        }
    }
    double trace = 0;
    for (size_t a = 0; a < M; a++)
        trace += j->gram[a * M + a];
    for (size_t a = 0; a < M; a++) {
        j->gram[a * M + a] += 1e-3 * trace / (double)M + 1e-12;
        for (size_t b = a + 1; b < M; b++)
            j->gram[a * M + b] = j->gram[b * M + a];
    }
}

/* The class with the highest score for state x. */
static uint32_t classify(const linear_job *j, const float *x)
{
    const size_t D = j->look->model->config.n_embd;
    uint32_t best = 0;
    double most = -INFINITY;
    for (uint32_t c = 0; c < j->n_classes; c++) {
        const double *w = j->right + c * (D + 1);
        double score = w[D];
        for (size_t d = 0; d < D; d++)
            score += w[d] * (double)x[d];
        if (score > most) {
            most = score;
            best = c;
        }
    }
    return best;
}

/* A probe fitted to `label`; into column (n) 1 where it is right on a tested item, 0 where wrong. */
static hs_status fit(linear_job *j, uint32_t place, uint32_t stage, const uint32_t *label, float *column, hs_error *err)
{
    const size_t D = j->look->model->config.n_embd, M = D + 1;
    memcpy(j->factor, j->gram, M * M * sizeof *j->gram);
    memset(j->right, 0, (size_t)j->n_classes * M * sizeof *j->right);
    for (uint32_t i = 0; i < j->sample->n; i++) {
        if (j->tested[i] || label[i] == HS_NO_ID)
            continue;
        const float *x = state_at(j, place, stage, i);
        double *to = j->right + label[i] * M;
        for (size_t d = 0; d < D; d++)
            to[d] += (double)x[d];
        to[D] += 1;
    }
    HS_TRY(hs_solve_positive(M, j->factor, j->n_classes, j->right, err));
    for (uint32_t i = 0; i < j->sample->n; i++)
        if (j->tested[i] && label[i] != HS_NO_ID)
            column[i] = classify(j, state_at(j, place, stage, i)) == label[i];
    return HS_OK;
}

static hs_status probe_state(linear_job *j, uint32_t place, uint32_t stage, const char *role, hs_table *out,
                             hs_error *err)
{
    static const char *const names[4] = {"accuracy", "control", "majority", "selectivity"};
    const char *position = j->sample->place[j->place[place]].role;
    uint32_t cell[4];
    for (int m = 0; m < 4; m++)
        HS_TRY(hs_table_add(out, (int32_t)stage, position, role, names[m], m < 3 ? HS_SUM_SHARE : HS_SUM_MEAN, &cell[m],
                            err));
    make_gram(j, place, stage);
    HS_TRY(fit(j, place, stage, j->label, hs_table_column(out, cell[0]), err));
    HS_TRY(fit(j, place, stage, j->control, hs_table_column(out, cell[1]), err));
    HS_TRY(majority(j, hs_table_column(out, cell[2]), err));
    const float *accuracy = hs_table_column(out, cell[0]), *control = hs_table_column(out, cell[1]);
    for (uint32_t i = 0; i < out->n; i++)
        hs_table_column(out, cell[3])[i] = accuracy[i] - control[i];
    return HS_OK;
}

static bool is_probed(const hs_sample *s, uint32_t asked)
{
    return s->asked[asked].role[0] == 'b' || asked == s->target;
}

static hs_status probe_all(linear_job *j, uint32_t *class_of_token, hs_table *out, hs_error *err)
{
    const hs_sample *s = j->sample;
    const size_t M = j->look->model->config.n_embd + 1;
    HS_TRY(hs_look_each(j->look, s->n, s->T, read_states, j, err));
    halve(j);
    for (uint32_t a = 0; a < s->n_asked; a++) {
        if (!is_probed(s, a))
            continue;
        make_labels(j, s->asked[a].token, class_of_token);
        hs_free(j->right);
        j->right = hs_alloc(((size_t)j->n_classes * M + 1) * sizeof *j->right);
        if (!j->right)
            return hs_fail_memory(err, (size_t)j->n_classes * M * sizeof *j->right);
        for (uint32_t p = 0; p < j->n_places; p++)
            for (uint32_t stage = 0; stage <= j->look->model->n_stages; stage++) {
                HS_TRY(hs_signals_status(j->look->signals));
                HS_TRY(probe_state(j, p, stage, s->asked[a].role, out, err));
            }
    }
    return HS_OK;
}

static hs_status run(const hs_look *look, hs_table *out, hs_error *err)
{
    hs_sample sample = {0};
    const uint32_t max = look->config->max;
    HS_TRY(
        hs_sample_create(look->sample->data, look->sample->split, look->model, max ? max * FACTOR : 0, &sample, err));
    const size_t D = look->model->config.n_embd, S = look->model->n_stages, M = D + 1, n = sample.n;
    linear_job j = {.look = look, .sample = &sample, .n_places = 2};
    j.place[0] = (uint32_t)hs_sample_hop_end(&sample, 1);
    j.place[1] = sample.n_places - 1;
    for (uint32_t p = 0; p < sample.n_places; p++)
        if (sample.place[p].column + 1 == sample.T)
            j.place[1] = p;
    out->n = (uint32_t)n;
    out->item = sample.item; /* the table's now */
    j.states = hs_alloc((j.n_places * (S + 1) * n * D + 1) * sizeof *j.states);
    j.tested = hs_alloc(n + 1);
    j.label = hs_alloc((n + 1) * sizeof *j.label);
    j.control = hs_alloc((n + 1) * sizeof *j.control);
    j.gram = hs_alloc(M * M * sizeof *j.gram);
    j.factor = hs_alloc(M * M * sizeof *j.factor);
    uint32_t *class_of_token = hs_alloc((sample.data->vocab.n + 1) * sizeof *class_of_token);
    const bool ok = j.states && j.tested && j.label && j.control && j.gram && j.factor && class_of_token;
    const hs_status status = ok ? probe_all(&j, class_of_token, out, err)
                                : hs_fail_memory(err, j.n_places * (S + 1) * n * D * sizeof *j.states);
    hs_free(j.states);
    hs_free(j.tested);
    hs_free(j.label);
    hs_free(j.control);
    hs_free(j.gram);
    hs_free(j.factor);
    hs_free(j.right);
    hs_free(class_of_token);
    sample.item = NULL;
    hs_sample_free(&sample);
    return status;
}

static const char *unfit(const hs_model *model, const hs_dataset *data, const hs_split *split)
{
    (void)model;
    (void)data;
    const bool fits = split && split->n >= 20 && split->kind == HS_ITEM_QUERY && split->hops >= 2 && split->bridge;
    return fits ? NULL : "a split of at least 20 queries of two hops or more";
}

const hs_method hs_method_linear = {.name = "linear",
                                    .help =
                                        "is the bridge linearly present in a state, beyond what a control task gives",
                                    .paper = "arXiv 1610.01644; arXiv 1909.03368",
                                    .cheap = false,
                                    .role = "b",
                                    .measure = "selectivity",
                                    .unfit = unfit,
                                    .run = run};
