/* lens.c - the logit lens: every stage, every position, every role (nostalgebraist 2020; arXiv 2405.15071, section 3.3; 2601.09049, App. D).
 *
 * A state is read through the output head as if it were the last one. Ranks are 0-based and count the tokens with a
 * strictly larger logit, so ties do not depend on token order. Measures of a (stage, position, role):
 *     rank, mrr (mean 1/(rank+1)), top1 (share of rank 0), probability, loss (mean -log probability)   through the final norm, as arXiv 2405.15071 reads
 *     mrr_raw, top1_raw        without the final norm, as arXiv 2505.23653 reads; only where the model has one
 *     mrr_entity, top1_entity  among the entities only
 *     cosine                   of the state and the token's embedding
 * Roles are the bridges, what is compared, the target, and of the question's tokens the position's own; with
 * interpret.exhaustive each role at each position. Over all stages and positions, for bridges and the target:
 *     found         the token is on top anywhere: "bridge found", "target found" as arXiv 2601.09049 publishes them
 *     found_strict  bridges: on top where its hop ends, before the target is first on top where the answer is read
 *
 * Invariant: cells are laid out by cell_of alone; the table is filled by workers, each its own items. */
#include "hopscope/tensor.h"
#include "interp/look.h"

#include <math.h>
#include <string.h>

enum { RANK, MRR, TOP1, PROBABILITY, LOSS, MRR_RAW, TOP1_RAW, MRR_ENTITY, TOP1_ENTITY, COSINE, N_MEASURES };
static const char *const names[N_MEASURES] = {"rank",    "mrr",      "top1",       "probability", "loss",
                                              "mrr_raw", "top1_raw", "mrr_entity", "top1_entity", "cosine"};

static bool is_share(int measure)
{
    return measure == TOP1 || measure == TOP1_RAW || measure == TOP1_ENTITY;
}

typedef struct lens_job {
    const hs_look *look;
    const hs_sample *sample;
    hs_table *table;
    uint32_t *first;          /* (stages, places, asked) first cell, HS_NO_ID where nothing is read */
    uint32_t *found, *strict; /* (asked) cells, HS_NO_ID = none */
    bool raw;
} lens_job;

static bool measured(const lens_job *j, const hs_asked *a, int measure)
{
    if (measure == MRR_RAW || measure == TOP1_RAW)
        return j->raw;
    return (measure != MRR_ENTITY && measure != TOP1_ENTITY) || a->entity;
}

static size_t cell_of(const lens_job *j, size_t stage, size_t place, size_t asked)
{
    return (stage * j->sample->n_places + place) * j->sample->n_asked + asked;
}

/* Is the role looked for at this place? Of the question's own tokens only the place's own, unless everything is wanted. */
static bool looked_for(const lens_job *j, size_t place, size_t asked)
{
    const char *role = j->sample->asked[asked].role;
    return j->look->config->exhaustive || hs_sample_place(j->sample, role) < 0 || asked == j->sample->target ||
           strcmp(role, j->sample->place[place].role) == 0;
}

/* b, b1, b2 ..., of two tokens the first. */
static bool is_bridge(const hs_asked *a)
{
    return a->role[0] == 'b' && strchr(a->role, '\'') == NULL;
}

static hs_status add_cells(lens_job *j, hs_error *err)
{
    const hs_sample *s = j->sample;
    uint32_t cell;
    for (uint32_t stage = 0; stage <= j->look->model->n_stages; stage++)
        for (uint32_t p = 0; p < s->n_places; p++)
            for (uint32_t a = 0; a < s->n_asked; a++) {
                j->first[cell_of(j, stage, p, a)] = looked_for(j, p, a) ? j->table->n_cells : HS_NO_ID;
                if (!looked_for(j, p, a))
                    continue;
                for (int m = 0; m < N_MEASURES; m++)
                    if (measured(j, &s->asked[a], m))
                        HS_TRY(hs_table_add(j->table, (int32_t)stage, s->place[p].role, s->asked[a].role, names[m],
                                            is_share(m) ? HS_SUM_SHARE : HS_SUM_MEAN, &cell, err));
            }
    for (uint32_t a = 0; a < s->n_asked; a++) {
        j->found[a] = j->strict[a] = HS_NO_ID;
        if (!is_bridge(&s->asked[a]) && a != s->target)
            continue;
        HS_TRY(hs_table_add(j->table, HS_ALL_STAGES, "", s->asked[a].role, "found", HS_SUM_SHARE, &j->found[a], err));
        if (a != s->target && hs_sample_hop_end(s, 1) >= 0)
            HS_TRY(hs_table_add(j->table, HS_ALL_STAGES, "", s->asked[a].role, "found_strict", HS_SUM_SHARE,
                                &j->strict[a], err));
    }
    return HS_OK;
}

static uint32_t rank_of(const float *logits, uint32_t n, float asked)
{
    uint32_t rank = 0;
    for (uint32_t v = 0; v < n; v++)
        rank += logits[v] > asked;
    return rank;
}

/* log of the sum of exp(logits). */
static double log_sum(const float *logits, size_t V)
{
    const uint32_t target = 0; /* any: loss = log sum - logit */
    uint32_t correct = 0;
    return hs_kernels_get()->cross_entropy(1, V, (float *)(uintptr_t)logits, &target, NULL, 0, NULL, NULL, &correct) +
           (double)logits[0];
}

static double cosine(const float *x, const float *y, size_t D)
{
    const hs_kernels *k = hs_kernels_get();
    const double norm = sqrt(k->sum_squares(D, x) * k->sum_squares(D, y));
    return norm > 0 ? k->dot(D, x, y) / norm : 0;
}

static void put(lens_job *j, uint32_t cell, uint32_t item, double value)
{
    hs_table_column(j->table, cell)[item] = (float)value;
}

/* One state of one item: `normed` and `raw` are its logits with and without the final norm. */
static void read_state(lens_job *j, size_t stage, size_t place, uint32_t item, const float *state, const float *normed,
                       const float *raw)
{
    const hs_sample *s = j->sample;
    const uint32_t V = j->look->model->config.vocab, E = s->data->n_entities < V ? s->data->n_entities : V;
    const double total = log_sum(normed, V);
    for (uint32_t a = 0; a < s->n_asked; a++) {
        const uint32_t token = s->asked[a].token[item];
        uint32_t cell = j->first[cell_of(j, stage, place, a)];
        if (token >= V || cell == HS_NO_ID)
            continue;
        const uint32_t rank = rank_of(normed, V, normed[token]);
        double value[N_MEASURES] = {[RANK] = rank,
                                    [MRR] = 1.0 / (1.0 + rank),
                                    [TOP1] = rank == 0,
                                    [PROBABILITY] = exp((double)normed[token] - total),
                                    [LOSS] = total - (double)normed[token]};
        if (j->raw) {
            const uint32_t r = rank_of(raw, V, raw[token]);
            value[MRR_RAW] = 1.0 / (1.0 + r);
            value[TOP1_RAW] = r == 0;
        }
        if (s->asked[a].entity) {
            const uint32_t r = rank_of(normed, E, normed[token]);
            value[MRR_ENTITY] = 1.0 / (1.0 + r);
            value[TOP1_ENTITY] = r == 0;
        }
        value[COSINE] = cosine(state, hs_model_embedding(j->look->model, token), j->look->model->config.n_embd);
        for (int m = 0; m < N_MEASURES; m++)
            if (measured(j, &s->asked[a], m))
                put(j, cell++, item, value[m]);
    }
}

static bool on_top(const lens_job *j, size_t stage, size_t place, size_t asked, uint32_t item)
{
    return hs_table_column(j->table, j->first[cell_of(j, stage, place, asked)] + TOP1)[item] == 1.0f;
}

/* The first stage >= `from` where the token is on top at the place; UINT32_MAX if at none. */
static uint32_t first_stage(const lens_job *j, size_t place, size_t asked, uint32_t item)
{
    for (uint32_t stage = 1; stage <= j->look->model->n_stages; stage++)
        if (on_top(j, stage, place, asked, item))
            return stage;
    return UINT32_MAX;
}

/* The place whose last state is read as the answer. */
static size_t answer_place(const lens_job *j)
{
    const int answer = hs_sample_place(j->sample, j->sample->asked[j->sample->target].role);
    if (answer >= 0) /* a model that answers in place */
        return (size_t)answer;
    for (uint32_t p = j->sample->n_places; p-- > 0;)
        if (j->sample->place[p].column + 1 == j->sample->T)
            return p;
    return j->sample->n_places - 1;
}

static void read_found(lens_job *j, uint32_t item)
{
    const hs_sample *s = j->sample;
    for (uint32_t a = 0; a < s->n_asked; a++) {
        if (j->found[a] == HS_NO_ID || s->asked[a].token[item] == HS_NO_ID)
            continue;
        bool any = false;
        for (uint32_t stage = 1; stage <= j->look->model->n_stages && !any; stage++)
            for (uint32_t p = 0; p < s->n_places; p++)
                any |= on_top(j, stage, p, a, item);
        put(j, j->found[a], item, any);
        if (j->strict[a] == HS_NO_ID)
            continue;
        const char *digit = s->asked[a].role + 1;
        const int place = hs_sample_hop_end(s, *digit >= '1' && *digit <= '9' ? (uint32_t)(*digit - '0') : 1);
        const uint32_t bridge = place < 0 ? UINT32_MAX : first_stage(j, (size_t)place, a, item);
        put(j, j->strict[a], item, bridge != UINT32_MAX && bridge < first_stage(j, answer_place(j), s->target, item));
    }
}

static void read_chunk(void *ctx, hs_forward *f, uint32_t first, uint32_t n)
{
    lens_job *j = ctx;
    float *normed = f->logits, *raw = f->answer[1]; /* (HS_CHUNK, V), free here */
    hs_forward_run(f, 0, j->sample->token + (size_t)first * j->sample->T, j->sample->T, n);
    for (uint32_t stage = 0; stage <= j->look->model->n_stages; stage++)
        for (uint32_t p = 0; p < j->sample->n_places; p++) {
            const uint32_t column = j->sample->place[p].column;
            for (uint32_t b = 0; b < n; b++)
                memcpy(f->x + b * f->D, hs_forward_state(f, 0, stage, b, column), f->D * sizeof *f->x);
            hs_model_lens(f->model, n, f->x, f->lens_work, normed);
            if (j->raw)
                hs_model_head(f->model, n, f->x, raw);
            for (uint32_t b = 0; b < n; b++)
                read_state(j, stage, p, first + b, f->x + b * f->D, normed + b * f->V, raw + b * f->V);
        }
    for (uint32_t b = 0; b < n; b++)
        read_found(j, first + b);
}

static hs_status run(const hs_look *look, hs_table *out, hs_error *err)
{
    const hs_sample *s = look->sample;
    lens_job j = {.look = look, .sample = s, .table = out, .raw = hs_model_has_final_norm(look->model)};
    const size_t n = ((size_t)look->model->n_stages + 1) * s->n_places * s->n_asked;
    j.first = hs_alloc((n + 2 * s->n_asked + 1) * sizeof *j.first);
    if (!j.first)
        return hs_fail_memory(err, n * sizeof *j.first);
    j.found = j.first + n;
    j.strict = j.found + s->n_asked;
    hs_status status = add_cells(&j, err);
    if (status == HS_OK)
        status = hs_look_each(look, s->n, s->T, read_chunk, &j, err);
    hs_free(j.first);
    return status;
}

static const char *unfit(const hs_model *model, const hs_dataset *data, const hs_split *split)
{
    (void)model;
    (void)data;
    return split && split->n > 0 && split->kind != HS_ITEM_OTHER ? NULL : "a split of facts, queries or comparisons";
}

const hs_method hs_method_lens = {.name = "lens",
                                  .help = "which token a state holds, at every stage and position",
                                  .paper =
                                      "nostalgebraist 2020; arXiv 2405.15071 section 3.3; arXiv 2601.09049 section 3",
                                  .role = "b",
                                  .measure = "mrr",
                                  .cheap = true,
                                  .unfit = unfit,
                                  .run = run};
