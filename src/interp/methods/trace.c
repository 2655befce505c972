/* trace.c - causal tracing: does the answer hang on this state? (arXiv 2405.15071, section 3.3 and its released
 * scripts; activation patching in general: Vig et al. 2020, Meng et al. 2022.)
 *
 * An input token is replaced by one of its kind that changes the right answer (the published rule: the head by a head of a
 * training fact, a relation by a relation that leaves the same entity in a training fact; a comparison by its own rule, see
 * replace.h). The replaced run gives a state at (stage, position); that state is put into the normal run, everything
 * above is computed anew, and the answer looked at.
 *
 *     strength  share of items whose top token is not the right answer afterwards: 1 - (rank 0), as published
 *     changed   of the items answered right before, the share answered otherwise after
 *     effect    fall of (logit of the answer - logit of the replaced run's answer), as a share of the fall when the whole input
 *               is replaced; ratio of sums
 *     restored  the other way: the normal state put into the replaced run; share of items whose answer comes back
 *
 * role = what was replaced (h, r1, ...), position = where the state was put. Published: only the replaced position itself;
 * with interpret.exhaustive also all later ones, and `restored` everywhere.
 *
 * Invariant: items are independent; the replacement of an item follows from (interpret.seed, item, role). */
#include "interp/look.h"
#include "interp/replace.h"

#include <math.h>
#include <string.h>

typedef struct trace_cells {
    uint32_t strength, changed, effect, base, restored; /* HS_NO_ID: not measured */
} trace_cells;

typedef struct trace_job {
    const hs_look *look;
    const hs_sample *sample;
    hs_table *table;
    uint32_t n_groups; /* what is replaced */
    hs_replace_group group[HS_MAX_PLACES];
    uint32_t chosen[HS_MAX_PLACES]; /* (groups) cells: the token that was put in, for --items */
    trace_cells *cells;             /* (stages, groups, places) */
} trace_job;

static trace_cells *cells_at(const trace_job *j, size_t stage, size_t group, size_t place)
{
    return &j->cells[(stage * j->n_groups + group) * j->sample->n_places + place];
}

/* Is the state at `place` looked at when `group` is replaced? In a causal model nothing before the change differs. */
static bool looked_at(const trace_job *j, const hs_replace_group *group, uint32_t place)
{
    const uint32_t column = j->sample->place[place].column;
    if (hs_model_predicts_in_place(j->look->model))
        return j->look->config->exhaustive || column == group->first;
    return column == group->first || (j->look->config->exhaustive && column > group->last);
}

static hs_status add_cells(trace_job *j, hs_error *err)
{
    const hs_sample *s = j->sample;
    for (uint32_t g = 0; g < j->n_groups; g++)
        HS_TRY(hs_table_add(j->table, HS_ALL_STAGES, "", j->group[g].role, "replacement", HS_SUM_HIDDEN, &j->chosen[g],
                            err));
    for (uint32_t stage = 0; stage < j->look->model->n_stages; stage++)
        for (uint32_t g = 0; g < j->n_groups; g++)
            for (uint32_t p = 0; p < s->n_places; p++) {
                trace_cells *c = cells_at(j, stage, g, p);
                *c = (trace_cells){HS_NO_ID, HS_NO_ID, HS_NO_ID, HS_NO_ID, HS_NO_ID};
                if (!looked_at(j, &j->group[g], p))
                    continue;
                const char *position = s->place[p].role, *role = j->group[g].role;
                const int32_t at = (int32_t)stage;
                HS_TRY(hs_table_add(j->table, at, position, role, "strength", HS_SUM_SHARE, &c->strength, err));
                HS_TRY(hs_table_add(j->table, at, position, role, "changed", HS_SUM_SHARE, &c->changed, err));
                HS_TRY(hs_table_add(j->table, at, position, role, "effect_base", HS_SUM_HIDDEN, &c->base, err));
                HS_TRY(hs_table_add(j->table, at, position, role, "effect", HS_SUM_RATIO, &c->effect, err));
                j->table->cell[c->effect].base = c->base;
                if (j->look->config->exhaustive)
                    HS_TRY(hs_table_add(j->table, at, position, role, "restored", HS_SUM_SHARE, &c->restored, err));
            }
    return HS_OK;
}

static void put(trace_job *j, uint32_t cell, uint32_t item, double value)
{
    if (cell != HS_NO_ID)
        hs_table_column(j->table, cell)[item] = (float)value;
}

/* One chunk under one replacement. Run 0 is the normal one, run 1 the replaced one. */
typedef struct trace_chunk {
    hs_forward *f;
    uint32_t first, n;
    const uint32_t *target;   /* (n) right answers */
    uint32_t rival[HS_CHUNK]; /* top token of the replaced run but the answer */
    bool any[HS_CHUNK];       /* a replacement was found */
    bool right[HS_CHUNK];     /* the normal run answers right */
} trace_chunk;

static double margin(const trace_chunk *c, const float *logits, uint32_t b)
{
    const float *x = logits + b * c->f->V;
    return (double)x[c->target[b]] - (double)x[c->rival[b]];
}

static uint32_t best_other(const float *logits, size_t V, uint32_t answer)
{
    uint32_t best = answer == 0 ? 1 : 0;
    for (uint32_t v = 0; v < V; v++)
        if (v != answer && logits[v] > logits[best])
            best = v;
    return best;
}

/* Answers of the run `into` with the states of the other one at `column`, from `stage` on. A comparison's entity is followed by
 * a token of its own, which the published scripts patch along with it: the columns of the group. At stage 0 the replaced
 * token's state is all that differs between the runs: the other one's answers are known. */
static const float *patch(trace_chunk *c, const hs_replace_group *group, uint32_t column, size_t stage, uint32_t into)
{
    const uint32_t last = column == group->first ? group->last : column;
    if (stage == 0 && column == group->first && hs_model_reads_once(c->f->model))
        return c->f->answer[1 - into];
    for (uint32_t b = 0; b < c->n; b++)
        for (uint32_t t = column; t <= last; t++)
            hs_forward_put(c->f, stage, b, t, hs_forward_state(c->f, 1 - into, stage, b, t));
    hs_forward_from(c->f, into, stage, NULL);
    return c->f->logits;
}

static void trace_cell(trace_job *j, trace_chunk *c, const hs_replace_group *group, const trace_cells *cells,
                       uint32_t column, size_t stage)
{
    const hs_forward *f = c->f;
    const float *logits = patch(c, group, column, stage, 0);
    for (uint32_t b = 0; b < c->n; b++) {
        const uint32_t item = c->first + b;
        if (!c->any[b])
            continue;
        const bool wrong = hs_forward_top(f, logits, b) != c->target[b];
        put(j, cells->strength, item, wrong);
        if (c->right[b])
            put(j, cells->changed, item, wrong);
        put(j, cells->effect, item, margin(c, f->answer[0], b) - margin(c, logits, b));
        put(j, cells->base, item, margin(c, f->answer[0], b) - margin(c, f->answer[1], b));
    }
    if (cells->restored == HS_NO_ID)
        return;
    logits = patch(c, group, column, stage, 1);
    for (uint32_t b = 0; b < c->n; b++)
        if (c->any[b] && c->right[b])
            put(j, cells->restored, c->first + b, hs_forward_top(f, logits, b) == c->target[b]);
}

/* Runs the replaced tokens beside the normal ones. */
static void replaced_run(trace_job *j, trace_chunk *c, const hs_replace_group *group)
{
    const uint32_t T = j->sample->T;
    uint32_t tokens[HS_CHUNK * HS_MAX_PLACES];
    for (uint32_t b = 0; b < c->n; b++) {
        memcpy(tokens + b * T, j->sample->token + (size_t)(c->first + b) * T, T * sizeof *tokens);
        c->any[b] = hs_replace(j->look, group, c->first + b, tokens + b * T);
        if (c->any[b])
            put(j, j->chosen[group - j->group], c->first + b, tokens[b * T + group->first]);
    }
    hs_forward_run_below(c->f, 1, tokens, T, c->n, true);
    for (uint32_t b = 0; b < c->n; b++)
        c->rival[b] = best_other(c->f->answer[1] + b * c->f->V, c->f->V, c->target[b]);
}

static void trace_items(void *ctx, hs_forward *f, uint32_t first, uint32_t n)
{
    trace_job *j = ctx;
    const hs_sample *s = j->sample;
    trace_chunk c = {.f = f, .first = first, .n = n, .target = s->asked[s->target].token + first};
    hs_forward_run_below(f, 0, s->token + (size_t)first * s->T, s->T, n, true);
    for (uint32_t b = 0; b < n; b++)
        c.right[b] = hs_forward_top(f, f->answer[0], b) == c.target[b];
    for (uint32_t g = 0; g < j->n_groups; g++) {
        replaced_run(j, &c, &j->group[g]);
        for (uint32_t stage = 0; stage < f->S; stage++)
            for (uint32_t p = 0; p < s->n_places; p++) {
                const trace_cells *cells = cells_at(j, stage, g, p);
                if (cells->strength != HS_NO_ID)
                    trace_cell(j, &c, &j->group[g], cells, s->place[p].column, stage);
            }
    }
}

static hs_status run(const hs_look *look, hs_table *out, hs_error *err)
{
    trace_job j = {.look = look, .sample = look->sample, .table = out};
    j.n_groups = hs_replace_groups(look->sample, j.group);
    const size_t n = (size_t)look->model->n_stages * j.n_groups * look->sample->n_places;
    j.cells = hs_alloc((n + 1) * sizeof *j.cells);
    if (!j.cells)
        return hs_fail_memory(err, n * sizeof *j.cells);
    hs_status status = add_cells(&j, err);
    if (status == HS_OK)
        status = hs_look_each(look, look->sample->n, look->sample->T, trace_items, &j, err);
    hs_free(j.cells);
    return status;
}

static const char *unfit(const hs_model *model, const hs_dataset *data, const hs_split *split)
{
    (void)model;
    return split && split->n > 0 && hs_replace_fits(data, split) ? NULL : HS_REPLACE_NEEDS;
}

const hs_method hs_method_trace = {.name = "trace",
                                   .help = "which states the answer hangs on: the answer changes when they do",
                                   .paper = "arXiv 2405.15071 section 3.3; Vig et al. 2020; Meng et al. 2022",
                                   .cheap = true,
                                   .role = "",
                                   .measure = "strength",
                                   .unfit = unfit,
                                   .run = run};
