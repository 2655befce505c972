/* cohesion.c - the cosine lens (arXiv 2505.23653): do different facts that lead to one entity reach one state?
 *
 * For every entity e that is the tail of an ID and of an OOD fact, with the states at r of these facts' questions:
 *     id_cohesion    mean cosine of the ID states and their mean (the centroid)
 *     ood_alignment  mean cosine of the OOD states and the ID centroid
 *     ood_other      control: the same with the centroid of the next such entity
 * averaged over e; the items of the table are these entities.
 *
 * Invariant: facts are grouped by tail in order of their index, so sums have one order. */
#include "interp/look.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FACTS = 32 }; /* of each kind that an entity contributes */

typedef struct tail_fact {
    uint32_t tail;
    bool ood;
    uint64_t fact;
} tail_fact;

static int by_tail(const void *a, const void *b)
{
    const tail_fact *x = a, *y = b;
    if (x->tail != y->tail)
        return x->tail < y->tail ? -1 : 1;
    if (x->ood != y->ood)
        return x->ood ? 1 : -1;
    return (x->fact > y->fact) - (x->fact < y->fact);
}

typedef struct cohesion_job {
    const hs_dataset *data;
    uint32_t n;      /* facts whose states are read */
    tail_fact *list; /* (n) by tail, ID before OOD */
    float *states;   /* (S+1, n, D) */
} cohesion_job;

/* Keeps the facts of tails with both kinds, at most `max` tails; returns their number. */
static uint32_t keep_tails(cohesion_job *j, uint32_t max)
{
    uint32_t kept = 0, tails = 0;
    for (uint32_t i = 0; i < j->n;) {
        uint32_t end = i, id = 0, ood = 0;
        for (; end < j->n && j->list[end].tail == j->list[i].tail; end++)
            if (j->list[end].ood)
                ood++;
            else
                id++;
        if (id > 0 && ood > 0 && (max == 0 || tails < max)) {
            uint32_t taken[2] = {0, 0};
            for (uint32_t k = i; k < end; k++)
                if (taken[j->list[k].ood]++ < MOST_FACTS)
                    j->list[kept++] = j->list[k];
            tails++;
        }
        i = end;
    }
    j->n = kept;
    return tails;
}

static void read_facts(void *ctx, hs_forward *f, uint32_t first, uint32_t n)
{
    const cohesion_job *j = ctx;
    uint32_t tokens[2 * HS_CHUNK];
    for (uint32_t b = 0; b < n; b++) {
        tokens[2 * b] = j->data->facts[j->list[first + b].fact].head;
        tokens[2 * b + 1] = j->data->facts[j->list[first + b].fact].relation;
    }
    hs_forward_run(f, 0, tokens, 2, n);
    for (uint32_t stage = 0; stage <= f->S; stage++)
        for (uint32_t b = 0; b < n; b++)
            memcpy(j->states + ((size_t)stage * j->n + first + b) * f->D, hs_forward_state(f, 0, stage, b, 1),
                   f->D * sizeof(float));
}

static double cosine(const double *centroid, const float *x, size_t D)
{
    double dot = 0, a = 0, b = 0;
    for (size_t d = 0; d < D; d++) {
        dot += centroid[d] * (double)x[d];
        a += centroid[d] * centroid[d];
        b += (double)x[d] * (double)x[d];
    }
    return a > 0 && b > 0 ? dot / sqrt(a * b) : 0;
}

/* Mean of the ID states of the tail whose facts begin at `first`. */
static void centroid_of(const cohesion_job *j, const float *states, uint32_t first, size_t D, double *centroid)
{
    memset(centroid, 0, D * sizeof *centroid);
    for (uint32_t k = first; k < j->n && j->list[k].tail == j->list[first].tail && !j->list[k].ood; k++)
        for (size_t d = 0; d < D; d++)
            centroid[d] += (double)states[k * D + d];
}

static void measure_stage(const cohesion_job *j, const float *states, size_t D, double *centroid, double *next,
                          float *cohesion, float *alignment, float *other)
{
    uint32_t tail = 0;
    for (uint32_t i = 0; i < j->n; tail++) {
        uint32_t end = i;
        while (end < j->n && j->list[end].tail == j->list[i].tail)
            end++;
        centroid_of(j, states, i, D, centroid);
        centroid_of(j, states, end < j->n ? end : 0, D, next);
        double sum[3] = {0, 0, 0}, n[2] = {0, 0};
        for (uint32_t k = i; k < end; k++) {
            const float *x = states + k * D;
            n[j->list[k].ood]++;
            sum[j->list[k].ood] += cosine(centroid, x, D);
            if (j->list[k].ood)
                sum[2] += cosine(next, x, D);
        }
        cohesion[tail] = (float)(sum[0] / n[0]);
        alignment[tail] = (float)(sum[1] / n[1]);
        other[tail] = (float)(sum[2] / n[1]);
        i = end;
    }
}

static hs_status measure(const hs_look *look, cohesion_job *j, hs_table *out, hs_error *err)
{
    const size_t D = look->model->config.n_embd, S = look->model->n_stages;
    double *centroid = hs_alloc(2 * D * sizeof *centroid);
    j->states = hs_alloc(((S + 1) * j->n * D + 1) * sizeof *j->states);
    hs_status status = centroid && j->states ? hs_look_each(look, j->n, 2, read_facts, j, err)
                                             : hs_fail_memory(err, (S + 1) * j->n * D * sizeof *j->states);
    for (uint32_t stage = 0; stage <= S && status == HS_OK; stage++) {
        uint32_t c[3];
        const char *const names[3] = {"id_cohesion", "ood_alignment", "ood_other"};
        for (int m = 0; m < 3 && status == HS_OK; m++)
            status = hs_table_add(out, (int32_t)stage, "r", "t", names[m], HS_SUM_MEAN, &c[m], err);
        if (status == HS_OK)
            measure_stage(j, j->states + (size_t)stage * j->n * D, D, centroid, centroid + D,
                          hs_table_column(out, c[0]), hs_table_column(out, c[1]), hs_table_column(out, c[2]));
    }
    hs_free(centroid);
    hs_free(j->states);
    return status;
}

static hs_status run(const hs_look *look, hs_table *out, hs_error *err)
{
    const hs_dataset *data = look->scope->data;
    cohesion_job j = {.data = data, .n = (uint32_t)data->n_facts};
    j.list = hs_alloc((data->n_facts + 1) * sizeof *j.list);
    if (!j.list)
        return hs_fail_memory(err, data->n_facts * sizeof *j.list);
    for (uint32_t f = 0; f < j.n; f++)
        j.list[f] = (tail_fact){.tail = data->facts[f].tail, .ood = data->fact_flags[f] & HS_FACT_OOD, .fact = f};
    qsort(j.list, j.n, sizeof *j.list, by_tail);
    out->n = keep_tails(&j, look->config->max);
    const hs_status status = out->n ? measure(look, &j, out, err) : HS_OK;
    hs_free(j.list);
    return status;
}

static const char *unfit(const hs_model *model, const hs_dataset *data, const hs_split *split)
{
    (void)model;
    bool id = false, ood = false;
    for (uint64_t f = 0; data->fact_flags && f < data->n_facts && !(id && ood); f++)
        if (data->fact_flags[f] & HS_FACT_OOD)
            ood = true;
        else
            id = true;
    const bool fits = !split && id && ood && data->tokens_per_entity == 1 && strcmp(data->task, "composition") == 0;
    return fits ? NULL : "a composition dataset with ID and OOD facts whose entities have one token";
}

const hs_method hs_method_cohesion = {.name = "cohesion",
                                      .help = "do facts that lead to one entity reach one state, ID and OOD alike",
                                      .paper = "arXiv 2505.23653, cosine lens",
                                      .cheap = true,
                                      .role = "t",
                                      .measure = "ood_alignment",
                                      .unfit = unfit,
                                      .run = run};
