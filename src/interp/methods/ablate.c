/* ablate.c - which heads and MLPs the answers need: each is put out of action in turn (mean ablation: Wang et al., arXiv
 * 2211.00593; zero ablation: Michel et al., arXiv 1905.10650).
 *
 * stage = the block application, role = "head 1" ... or "mlp"; where a block is applied several times, also role "block 1
 * head 1" over all stages: out of action in every application.
 *     accuracy       right answers when what the part adds is zero: a head's mixed values before the projection, an MLP's
 *                    whole output
 *     accuracy_mean  when it is its mean over the sample, position by position: what the part says of every question alike stays
 * Over all stages, role "": accuracy of the whole model. The control of a head are the other heads of its block.
 *
 * Invariant: means are sums over chunks, added in the order of chunks, so they do not depend on threads. */
#include "interp/look.h"

#include <string.h>

enum { MOST_APPLICATIONS = 192 };

/* Something put out of action: one part at one stage or, of a block applied several times, at all its stages. */
typedef struct part {
    uint32_t stage, step, n; /* first stage, how far the next one is, how many */
    int32_t which;           /* as in hs_knockout */
    uint32_t zero, mean;     /* cells */
} part;

typedef struct ablate_job {
    const hs_look *look;
    const hs_sample *sample;
    hs_table *table;
    uint32_t whole; /* cell */
    uint32_t n_parts;
    part *part;
    size_t rows;  /* (stages+1) * T rows of D: the size of `heads` and `mlps` below */
    double *sums; /* (chunks, 2, rows, D) */
    float *means; /* heads: (stages+1, n_head, T, D/n_head), then MLPs: (stages+1, T, D) */
} ablate_job;

/* ---------------------------------------------------------------- cells */

static void name_part(const ablate_job *j, const part *p, char *out, size_t size)
{
    char block[24] = "";
    if (p->n > 1)
        snprintf(block, sizeof block, "block %u ", (p->stage - 1) % j->look->model->config.n_layer + 1);
    if (p->which == HS_KNOCK_MLP)
        snprintf(out, size, "%smlp", block);
    else
        snprintf(out, size, "%shead %u", block, (uint32_t)p->which + 1);
}

static hs_status add_part(ablate_job *j, uint32_t stage, uint32_t n, int32_t which, hs_error *err)
{
    part *p = &j->part[j->n_parts++];
    char role[48];
    *p = (part){.stage = stage, .step = j->look->model->config.n_layer, .n = n, .which = which};
    name_part(j, p, role, sizeof role);
    const int32_t at = n > 1 ? HS_ALL_STAGES : (int32_t)stage;
    HS_TRY(hs_table_add(j->table, at, "", role, "accuracy", HS_SUM_SHARE, &p->zero, err));
    return hs_table_add(j->table, at, "", role, "accuracy_mean", HS_SUM_SHARE, &p->mean, err);
}

static hs_status add_parts(ablate_job *j, hs_error *err)
{
    const hs_model_config *c = &j->look->model->config;
    const uint32_t S = j->look->model->n_stages;
    HS_TRY(hs_table_add(j->table, HS_ALL_STAGES, "", "", "accuracy", HS_SUM_SHARE, &j->whole, err));
    for (int32_t which = HS_KNOCK_MLP; which < (int32_t)c->n_head; which++) {
        if (which == HS_KNOCK_MLP && c->no_mlp)
            continue;
        for (uint32_t stage = 1; stage <= S; stage++)
            HS_TRY(add_part(j, stage, 1, which, err));
        for (uint32_t block = 1; S > c->n_layer && block <= c->n_layer; block++)
            HS_TRY(add_part(j, block, S / c->n_layer, which, err));
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- means */

static void sum_chunk(void *ctx, hs_forward *f, uint32_t first, uint32_t n)
{
    ablate_job *j = ctx;
    const size_t D = f->D, T = j->sample->T;
    hs_forward_load(f, 0, j->sample->token + (size_t)first * T, (uint32_t)T, n);
    const hs_pass pass = {.states_out = f->states[0], .heads_out = f->extra[0], .mlps_out = f->extra[1]};
    hs_model_run(f->model, &f->batch[0], &pass, f->work);
    double *to = j->sums + (size_t)(first / HS_CHUNK) * 2 * j->rows * D;
    for (int kind = 0; kind < 2; kind++, to += j->rows * D)
        for (size_t stage = 1; stage <= f->S; stage++)
            for (size_t r = 0; r < n * T; r++)
                for (size_t d = 0; d < D; d++)
                    to[(stage * T + r % T) * D + d] += (double)f->extra[kind][(stage * n * T + r) * D + d];
}

/* The mean that stands for part `which` of a stage: (T, width). */
static float *mean_of(const ablate_job *j, size_t stage, int32_t which)
{
    const hs_model_config *c = &j->look->model->config;
    const size_t T = j->sample->T, D = c->n_embd;
    if (which == HS_KNOCK_MLP)
        return j->means + (j->rows + stage * T) * D;
    return j->means + stage * T * D + (size_t)which * T * (D / c->n_head);
}

static void take_means(ablate_job *j)
{
    const hs_model_config *c = &j->look->model->config;
    const size_t T = j->sample->T, D = c->n_embd, width = D / c->n_head,
                 chunks = (j->sample->n + HS_CHUNK - 1) / HS_CHUNK;
    for (size_t k = 1; k < chunks; k++)
        for (size_t i = 0; i < 2 * j->rows * D; i++)
            j->sums[i] += j->sums[k * 2 * j->rows * D + i];
    for (size_t stage = 1; stage <= j->look->model->n_stages; stage++)
        for (size_t t = 0; t < T; t++)
            for (size_t d = 0; d < D; d++) {
                const size_t at = (stage * T + t) * D + d;
                mean_of(j, stage, (int32_t)(d / width))[t * width + d % width] = (float)(j->sums[at] / j->sample->n);
                mean_of(j, stage, HS_KNOCK_MLP)[t * D + d] = (float)(j->sums[j->rows * D + at] / j->sample->n);
            }
}

/* ---------------------------------------------------------------- knockouts */

static void try_part(ablate_job *j, hs_forward *f, const part *p, bool mean, const uint32_t *target, float *value)
{
    hs_knockout knockout[MOST_APPLICATIONS];
    for (uint32_t i = 0; i < p->n; i++) {
        const uint32_t stage = p->stage + i * p->step;
        knockout[i] = (hs_knockout){.stage = stage, .part = p->which, .x = mean ? mean_of(j, stage, p->which) : NULL};
    }
    const hs_pass pass = {
        .states = f->states[0], .from = p->stage - 1, .logits = f->logits, .n_knockouts = p->n, .knockout = knockout};
    hs_model_run(f->model, &f->batch[0], &pass, f->work);
    for (uint32_t b = 0; b < f->B; b++)
        value[b] = hs_forward_top(f, f->logits, b) == target[b];
}

static void knock_chunk(void *ctx, hs_forward *f, uint32_t first, uint32_t n)
{
    ablate_job *j = ctx;
    const hs_sample *s = j->sample;
    const uint32_t *target = s->asked[s->target].token + first;
    hs_forward_run_below(f, 0, s->token + (size_t)first * s->T, s->T, n, true);
    for (uint32_t b = 0; b < n; b++)
        hs_table_column(j->table, j->whole)[first + b] = hs_forward_top(f, f->answer[0], b) == target[b];
    for (uint32_t i = 0; i < j->n_parts; i++) {
        const part *p = &j->part[i];
        try_part(j, f, p, false, target, hs_table_column(j->table, p->zero) + first);
        try_part(j, f, p, true, target, hs_table_column(j->table, p->mean) + first);
    }
}

static hs_status run(const hs_look *look, hs_table *out, hs_error *err)
{
    const hs_model *model = look->model;
    const hs_sample *s = look->sample;
    ablate_job j = {.look = look, .sample = s, .table = out, .rows = ((size_t)model->n_stages + 1) * s->T};
    const size_t chunks = (s->n + HS_CHUNK - 1) / HS_CHUNK, size = 2 * j.rows * model->config.n_embd,
                 most = ((size_t)model->n_stages + model->config.n_layer) * (model->config.n_head + 1);
    j.part = hs_alloc(most * sizeof *j.part);
    j.sums = hs_calloc(chunks * size, sizeof *j.sums);
    j.means = hs_calloc(size, sizeof *j.means);
    hs_status status =
        j.part && j.sums && j.means ? add_parts(&j, err) : hs_fail_memory(err, chunks * size * sizeof *j.sums);
    if (status == HS_OK)
        status = hs_look_each(look, s->n, s->T, sum_chunk, &j, err);
    if (status == HS_OK) {
        take_means(&j);
        status = hs_look_each(look, s->n, s->T, knock_chunk, &j, err);
    }
    hs_free(j.part);
    hs_free(j.sums);
    hs_free(j.means);
    return status;
}

static const char *unfit(const hs_model *model, const hs_dataset *data, const hs_split *split)
{
    (void)data;
    if (hs_model_predicts_in_place(model))
        return "a decoder (gpt2 or llama)";
    return split && split->n > 0 && split->kind != HS_ITEM_OTHER ? NULL : "a split of facts, queries or comparisons";
}

const hs_method hs_method_ablate = {.name = "ablate",
                                    .help = "which heads and MLPs the answers need",
                                    .paper = "arXiv 1905.10650; arXiv 2211.00593",
                                    .cheap = false,
                                    .role = NULL,
                                    .measure = "accuracy",
                                    .unfit = unfit,
                                    .run = run};
