/* complex.c - complex reasoning (arXiv 2405.15071, 5 and App. F): facts of OOD entities are never given; what is known of them are some
 * comparisons with ID entities (train_cross). test_hard holds the pairs of OOD entities that can be ordered with these
 * and the values of the ID entities (G_full), but not by chaining the given comparisons alone (G_easy).
 *
 * G_full needs no search: with a -> b for a >= b, o1 reaches o2 exactly when the largest value that o1 is known to
 * reach is at least the smallest value that is known to reach o2. G_easy is searched from each OOD entity. */
#include "data/complex/complex.h"

#include <string.h>

typedef struct hard_ctx {
    hs_pairs *p;
    uint32_t a, m;          /* attribute, members */
    const uint32_t *value;  /* (m) */
    const uint8_t *flags;   /* (m) */
    uint32_t *low, *high;   /* (m) of OOD members: largest value below or equal, smallest above or equal */
    uint32_t *start, *edge; /* the easy graph */
    uint8_t *reached;       /* (m, m) rows of OOD members */
    uint32_t *queue;
} hard_ctx;

/* Is the comparison of members i and j, in this order, trained? */
static bool trained(const hard_ctx *x, uint32_t i, uint32_t j)
{
    uint16_t cat = x->p->cat[hs_pair_at(x->p, x->a, i, j)];
    return cat == HS_PAIR_TRAIN || cat == HS_PAIR_CROSS;
}

static void bound_by_values(hard_ctx *x)
{
    for (uint32_t i = 0; i < x->m; i++) {
        x->low[i] = 0;
        x->high[i] = UINT32_MAX;
        for (uint32_t j = 0; x->flags[i] & HS_FACT_OOD && j < x->m; j++) {
            if (x->flags[j] & HS_FACT_OOD || !(trained(x, i, j) || trained(x, j, i)))
                continue;
            uint32_t v = x->value[j] + 1; /* 0 = nothing known */
            if (x->value[i] >= x->value[j] && v > x->low[i])
                x->low[i] = v;
            if (x->value[i] <= x->value[j] && v < x->high[i])
                x->high[i] = v;
        }
    }
}

static bool full_reaches(const hard_ctx *x, uint32_t i, uint32_t j)
{
    return x->low[i] > 0 && x->low[i] >= x->high[j];
}

/* Edges i -> j of trained comparisons with value[i] >= value[j], counted, then filled. */
static hs_status build_easy(hard_ctx *x, hs_error *err)
{
    for (uint32_t pass = 0; pass < 2; pass++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < x->m; i++) {
            x->start[i] = n;
            for (uint32_t j = 0; j < x->m; j++) {
                if (i == j || x->value[i] < x->value[j] || !(trained(x, i, j) || trained(x, j, i)))
                    continue;
                if (pass == 1)
                    x->edge[n] = j;
                n++;
            }
        }
        x->start[x->m] = n;
        if (pass == 0) {
            x->edge = hs_alloc(((size_t)n + 1) * sizeof *x->edge);
            if (!x->edge)
                return hs_fail_memory(err, n * sizeof *x->edge);
        }
    }
    return HS_OK;
}

static void search_easy(hard_ctx *x, uint32_t source)
{
    uint8_t *reached = x->reached + (size_t)source * x->m;
    uint32_t head = 0, tail = 0;
    x->queue[tail++] = source;
    while (head < tail) {
        uint32_t i = x->queue[head++];
        for (uint32_t k = x->start[i]; k < x->start[i + 1]; k++) {
            if (reached[x->edge[k]])
                continue;
            reached[x->edge[k]] = 1;
            x->queue[tail++] = x->edge[k];
        }
    }
}

/* 1 when both directions hold, 2 when e1 reaches e2, 0 when e2 reaches e1, 3 when neither. */
static uint32_t label_of(bool forth, bool back)
{
    return forth && back ? 1 : forth ? 2 : back ? 0 : 3;
}

static hs_status mark_attribute(hard_ctx *x, hs_error *err)
{
    bound_by_values(x);
    HS_TRY(build_easy(x, err));
    memset(x->reached, 0, (size_t)x->m * x->m);
    for (uint32_t i = 0; i < x->m; i++)
        if (x->flags[i] & HS_FACT_OOD)
            search_easy(x, i);
    for (uint32_t i = 0; i < x->m; i++) {
        for (uint32_t j = 0; j < x->m; j++) {
            if (i == j || !(x->flags[i] & HS_FACT_OOD) || !(x->flags[j] & HS_FACT_OOD))
                continue;
            uint32_t full = label_of(full_reaches(x, i, j), full_reaches(x, j, i));
            uint32_t easy = label_of(x->reached[(size_t)i * x->m + j], x->reached[(size_t)j * x->m + i]);
            if (full != 3 && full != easy)
                x->p->cat[hs_pair_at(x->p, x->a, i, j)] = (uint16_t)(HS_PAIR_HARD + full);
        }
    }
    return HS_OK;
}

hs_status hs_pairs_mark_hard(hs_pairs *p, hs_error *err)
{
    uint32_t most = 0;
    for (uint32_t a = 0; a < p->n_attributes; a++)
        if (p->member_start[a + 1] - p->member_start[a] > most)
            most = p->member_start[a + 1] - p->member_start[a];
    hard_ctx x = {.p = p};
    x.low = hs_alloc(((size_t)most + 1) * sizeof *x.low);
    x.high = hs_alloc(((size_t)most + 1) * sizeof *x.high);
    x.start = hs_alloc(((size_t)most + 1) * sizeof *x.start);
    x.queue = hs_alloc(((size_t)most + 2) * sizeof *x.queue);
    x.reached = hs_alloc((size_t)most * most + 1);
    hs_status status = HS_OK;
    if (!x.low || !x.high || !x.start || !x.queue || !x.reached)
        status = hs_fail_memory(err, (size_t)most * most);
    for (uint32_t a = 0; status == HS_OK && a < p->n_attributes; a++) {
        x.a = a;
        x.m = p->member_start[a + 1] - p->member_start[a];
        x.value = p->value + p->member_start[a];
        x.flags = p->flags + p->member_start[a];
        status = mark_attribute(&x, err);
        hs_free(x.edge);
        x.edge = NULL;
    }
    hs_free(x.low);
    hs_free(x.high);
    hs_free(x.start);
    hs_free(x.queue);
    hs_free(x.reached);
    return status;
}

static hs_status run_steps(hs_pairs *p, hs_error *err)
{
    HS_TRY(hs_comparison_check(p->config, err));
    HS_TRY(hs_table_generate(p->out, p->config, err));
    HS_TRY(hs_pairs_init(p, err));
    HS_TRY(hs_pairs_classify(p, err));
    HS_TRY(hs_pairs_sample_training(p, err));
    HS_TRY(hs_pairs_mark_hard(p, err));
    HS_TRY(hs_pairs_sample_tests(p, err));
    return hs_pairs_emit(p, err);
}

hs_status hs_complex_build(const hs_data_config *config, const hs_graph *graph, hs_pool *pool, hs_dataset *out,
                           hs_error *err)
{
    hs_pairs p = {.config = config, .out = out, .pool = pool, .complex = true};
    (void)graph;
    hs_status status = run_steps(&p, err);
    hs_pairs_free(&p);
    return status;
}
