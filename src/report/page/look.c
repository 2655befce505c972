/* look.c - what a model holds inside while it answers a question: LOOK of docs/page.md.
 *
 *     answer  the five most probable answers
 *     lens    at every stage and position the three tokens on top of the logit lens, and rank and probability of the
 * bridge and of the right answer there (method lens) trace   the head is replaced (arXiv 2405.15071, section 3.3); the
 * replaced run's state at a stage and position is put into the normal run: how far the answer goes with it (method
 * trace, measure effect), and the answers then alpha   the state where the first hop ends is moved towards the bridge's
 * embedding (method realign), and the answers
 *
 * Forward passes are the microscope's (interp/look.h), a chunk of questions at a time. What lies on the last stage
 * needs none: the answer is read from one place of it.
 *
 * Invariant: a question's look follows from the question and the model alone, whatever stands beside it in a chunk. */
#include "report/page/page.h"

#include "hopscope/tensor.h"
#include "interp/look.h"

#include <math.h>
#include <string.h>

enum { N_TOP = 3, N_ANSWERS = 5 };
const float hs_page_alphas[HS_PAGE_ALPHAS] = {0, 0.25f, 0.5f, 0.75f, 1};

typedef struct top {
    uint32_t id[N_ANSWERS];
    float p[N_ANSWERS];
    uint32_t n;
} top;

typedef struct cell {
    top top;
    int32_t rank[2]; /* of bridge and target; -1: not asked */
    float p[2];
} cell;

typedef struct patched {
    float effect; /* NaN: the replacement does not change the answers' margin */
    top top;
} patched;

/* One question's numbers. */
typedef struct result {
    top answer;
    cell *lens;     /* (stages + 1, places) */
    patched *trace; /* (stages + 1, places) */
    top *alpha;     /* (stages + 1, HS_PAGE_ALPHAS) */
} result;

typedef struct job {
    const hs_model *model;
    const hs_dataset *data;
    const hs_page_query *query;
    const uint32_t *order; /* (n) queries of one length and the same places, ascending */
    result *result;        /* (queries) */
} job;

/* ---------------------------------------------------------------- reading logits */

/* The n most probable tokens, of equals the first; returns the sum that probabilities are shares of, relative to the
 * top. */
static double read_top(const float *logits, size_t V, uint32_t n, top *out)
{
    uint32_t best[N_ANSWERS];
    uint32_t have = 0;
    for (size_t v = 0; v < V; v++) {
        if (have == n && !(logits[v] > logits[best[n - 1]]))
            continue;
        uint32_t at = have < n ? have++ : n - 1;
        for (; at > 0 && logits[v] > logits[best[at - 1]]; at--)
            best[at] = best[at - 1];
        best[at] = (uint32_t)v;
    }
    double total = 0;
    for (size_t v = 0; v < V; v++)
        total += (double)expf(logits[v] - logits[best[0]]);
    out->n = have;
    for (uint32_t i = 0; i < have; i++) {
        out->id[i] = best[i];
        out->p[i] = (float)((double)expf(logits[best[i]] - logits[best[0]]) / total);
    }
    return total;
}

static void read_cell(const float *logits, size_t V, uint32_t bridge, uint32_t target, cell *out)
{
    const uint32_t asked[2] = {bridge, target};
    const double total = read_top(logits, V, N_TOP, &out->top);
    for (int k = 0; k < 2; k++) {
        out->rank[k] = -1;
        out->p[k] = 0;
        if (asked[k] >= V)
            continue;
        int32_t rank = 0;
        for (size_t v = 0; v < V; v++)
            rank += logits[v] > logits[asked[k]];
        out->rank[k] = rank;
        out->p[k] = (float)((double)expf(logits[asked[k]] - logits[out->top.id[0]]) / total);
    }
}

/* ---------------------------------------------------------------- one chunk */

typedef struct chunk {
    const job *job;
    hs_forward *f;
    const uint32_t *order; /* (n) */
    uint32_t n;
    uint32_t target[HS_CHUNK], rival[HS_CHUNK]; /* of the margin */
} chunk;

static const hs_page_query *query_of(const chunk *c, uint32_t b)
{
    return &c->job->query[c->order[b]];
}

static result *result_of(const chunk *c, uint32_t b)
{
    return &c->job->result[c->order[b]];
}

static void run_both(chunk *c)
{
    uint32_t tokens[2][HS_CHUNK * HS_PAGE_WORDS];
    const uint32_t T = query_of(c, 0)->n;
    for (uint32_t b = 0; b < c->n; b++) {
        memcpy(tokens[0] + b * T, query_of(c, b)->token, T * sizeof **tokens);
        memcpy(tokens[1] + b * T, query_of(c, b)->replaced, T * sizeof **tokens);
    }
    hs_forward_run(c->f, 0, tokens[0], T, c->n);
    hs_forward_run(c->f, 1, tokens[1], T, c->n);
}

static void read_answers(chunk *c)
{
    const hs_forward *f = c->f;
    for (uint32_t b = 0; b < c->n; b++) {
        const float *normal = f->answer[0] + b * f->V, *other = f->answer[1] + b * f->V;
        top rivals;
        read_top(normal, f->V, N_ANSWERS, &result_of(c, b)->answer);
        read_top(other, f->V, 2, &rivals);
        const uint32_t known = query_of(c, b)->target;
        c->target[b] = known < f->V ? known : result_of(c, b)->answer.id[0];
        c->rival[b] = rivals.id[0] != c->target[b] || rivals.n < 2 ? rivals.id[0] : rivals.id[1];
    }
}

static void read_lens(chunk *c)
{
    hs_forward *f = c->f;
    const hs_page_query *first = query_of(c, 0);
    for (uint32_t stage = 0; stage <= f->S; stage++)
        for (uint32_t p = 0; p < first->n_places; p++) {
            for (uint32_t b = 0; b < c->n; b++)
                memcpy(f->x + b * f->D, hs_forward_state(f, 0, stage, b, first->place[p].column), f->D * sizeof *f->x);
            hs_model_lens(f->model, c->n, f->x, f->lens_work, f->logits);
            for (uint32_t b = 0; b < c->n; b++) {
                const hs_page_query *q = query_of(c, b);
                read_cell(f->logits + b * f->V, f->V, q->n_bridges ? q->bridge[0] : HS_NO_ID, q->target,
                          &result_of(c, b)->lens[stage * q->n_places + p]);
            }
        }
}

/* The column that the answer is read from. */
static uint32_t answer_column(const chunk *c)
{
    return query_of(c, 0)->n - 1 + hs_model_predicts_in_place(c->f->model);
}

static double margin(const chunk *c, const float *logits, uint32_t b)
{
    const float *x = logits + b * c->f->V;
    return (double)x[c->target[b]] - (double)x[c->rival[b]];
}

static void trace(chunk *c)
{
    hs_forward *f = c->f;
    const hs_page_query *first = query_of(c, 0);
    for (uint32_t stage = 1; stage <= f->S; stage++)
        for (uint32_t p = 0; p < first->n_places; p++) {
            const uint32_t column = first->place[p].column;
            const float *logits = f->logits;
            if (stage == f->S) {
                logits = f->answer[column == answer_column(c)];
            } else {
                for (uint32_t b = 0; b < c->n; b++)
                    hs_forward_put(f, stage, b, column, hs_forward_state(f, 1, stage, b, column));
                hs_forward_from(f, 0, stage, NULL);
            }
            for (uint32_t b = 0; b < c->n; b++) {
                patched *out = &result_of(c, b)->trace[stage * first->n_places + p];
                const double before = margin(c, f->answer[0], b), whole = before - margin(c, f->answer[1], b);
                read_top(logits + b * f->V, f->V, N_TOP, &out->top);
                out->effect = fabs(whole) < 1e-6 ? NAN : (float)((before - margin(c, logits, b)) / whole);
            }
        }
}

static bool has_alpha(const hs_model *model, const hs_dataset *data, const hs_page_query *q)
{
    return !hs_model_predicts_in_place(model) && data->tokens_per_entity == 1 && q->hop_end != HS_NO_ID &&
           q->n_bridges > 0 && q->bridge[0] < model->config.vocab;
}

static void realign(chunk *c)
{
    hs_forward *f = c->f;
    for (uint32_t stage = 1; stage <= f->S; stage++)
        for (uint32_t a = 0; a < HS_PAGE_ALPHAS; a++) {
            const float alpha = hs_page_alphas[a];
            const bool same = alpha == 0 || stage == f->S; /* the answer stands in a later column */
            for (uint32_t b = 0; b < c->n && !same; b++) {
                const hs_page_query *q = query_of(c, b);
                if (!has_alpha(f->model, c->job->data, q))
                    continue;
                const float *state = hs_forward_state(f, 0, stage, b, q->hop_end);
                const float *w = hs_model_embedding(f->model, q->bridge[0]);
                float *x = f->x + b * f->D;
                for (size_t d = 0; d < f->D; d++)
                    x[d] = (1 - alpha) * state[d] + alpha * w[d];
                hs_forward_put(f, stage, b, q->hop_end, x);
            }
            if (!same)
                hs_forward_from(f, 0, stage, NULL);
            for (uint32_t b = 0; b < c->n; b++)
                read_top((same ? f->answer[0] : f->logits) + b * f->V, f->V, N_TOP,
                         &result_of(c, b)->alpha[stage * HS_PAGE_ALPHAS + a]);
        }
}

static void look_chunk(void *ctx, hs_forward *f, uint32_t first, uint32_t n)
{
    const job *j = ctx;
    chunk c = {.job = j, .f = f, .order = j->order + first, .n = n};
    bool any_trace = false, any_alpha = false;
    for (uint32_t b = 0; b < n; b++) {
        any_trace |= query_of(&c, b)->replacement != HS_NO_ID;
        any_alpha |= has_alpha(f->model, j->data, query_of(&c, b));
    }
    run_both(&c);
    read_answers(&c);
    read_lens(&c);
    if (any_trace)
        trace(&c);
    if (any_alpha)
        realign(&c);
}

/* ---------------------------------------------------------------- JSON */

/* Four significant digits, and no more than five behind the point: a share of 0.00001 and less is 0. */
static void add_share(hs_str *out, float p)
{
    char text[32];
    const double rounded = p < 0.1f ? round((double)p * 1e5) / 1e5 : (double)p;
    snprintf(text, sizeof text, "%.4g", rounded);
    if (strchr(text, 'e'))
        snprintf(text, sizeof text, "%.5f", rounded);
    hs_page_raw(out, text);
}

static void add_top(hs_str *out, const top *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        hs_page_whole(out, t->id[i]);
        add_share(out, t->p[i]);
    }
}

static void add_lens(hs_str *out, const result *r, uint32_t stages, uint32_t places)
{
    hs_page_key(out, "lens");
    hs_page_open(out, '[');
    for (uint32_t stage = 0; stage <= stages; stage++) {
        hs_page_open(out, '[');
        for (uint32_t p = 0; p < places; p++) {
            const cell *c = &r->lens[stage * places + p];
            hs_page_open(out, '[');
            add_top(out, &c->top);
            for (int k = 0; k < 2; k++) {
                hs_page_number(out, c->rank[k]);
                add_share(out, c->p[k]);
            }
            hs_page_close(out, ']');
        }
        hs_page_close(out, ']');
    }
    hs_page_close(out, ']');
}

static void add_trace(hs_str *out, const result *r, uint32_t stages, uint32_t places)
{
    hs_page_open(out, '[');
    for (uint32_t stage = 1; stage <= stages; stage++) {
        hs_page_open(out, '[');
        for (uint32_t p = 0; p < places; p++) {
            const patched *c = &r->trace[stage * places + p];
            char text[32];
            snprintf(text, sizeof text, "%.4g", round((double)c->effect * 1e4) / 1e4);
            hs_page_open(out, '[');
            hs_page_raw(out, isfinite(c->effect) ? strcmp(text, "-0") == 0 ? "0" : text : NULL);
            add_top(out, &c->top);
            hs_page_close(out, ']');
        }
        hs_page_close(out, ']');
    }
    hs_page_close(out, ']');
}

static void add_alpha(hs_str *out, const result *r, uint32_t stages)
{
    hs_page_open(out, '[');
    for (uint32_t stage = 1; stage <= stages; stage++) {
        hs_page_open(out, '[');
        for (uint32_t a = 0; a < HS_PAGE_ALPHAS; a++) {
            hs_page_open(out, '[');
            add_top(out, &r->alpha[stage * HS_PAGE_ALPHAS + a]);
            hs_page_close(out, ']');
        }
        hs_page_close(out, ']');
    }
    hs_page_close(out, ']');
}

static void add_look(hs_str *out, const job *j, uint32_t i)
{
    const hs_page_query *q = &j->query[i];
    const result *r = &j->result[i];
    const uint32_t stages = j->model->n_stages;
    hs_page_open(out, '{');
    hs_page_key(out, "answer");
    hs_page_open(out, '[');
    add_top(out, &r->answer);
    hs_page_close(out, ']');
    add_lens(out, r, stages, q->n_places);
    hs_page_key(out, "trace");
    if (q->replacement != HS_NO_ID)
        add_trace(out, r, stages, q->n_places);
    else
        hs_page_raw(out, NULL);
    hs_page_key(out, "replaced");
    hs_page_token(out, q->replacement);
    hs_page_key(out, "alpha");
    if (has_alpha(j->model, j->data, q))
        add_alpha(out, r, stages);
    else
        hs_page_raw(out, NULL);
    hs_page_close(out, '}');
}

/* ---------------------------------------------------------------- all questions */

static bool alike(const hs_page_query *a, const hs_page_query *b)
{
    if (a->n != b->n || a->n_places != b->n_places)
        return false;
    for (uint32_t p = 0; p < a->n_places; p++)
        if (a->place[p].column != b->place[p].column)
            return false;
    return true;
}

static void free_results(result *r, uint32_t n)
{
    for (uint32_t i = 0; r && i < n; i++) {
        hs_free(r[i].lens);
        hs_free(r[i].trace);
        hs_free(r[i].alpha);
    }
    hs_free(r);
}

static hs_status make_results(const job *j, uint32_t n, hs_error *err)
{
    const size_t stages = j->model->n_stages + 1;
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) {
        const size_t cells = stages * j->query[i].n_places + 1;
        ok &= (j->result[i].lens = hs_calloc(cells, sizeof *j->result[i].lens)) != NULL;
        ok &= (j->result[i].trace = hs_calloc(cells, sizeof *j->result[i].trace)) != NULL;
        ok &= (j->result[i].alpha = hs_calloc(stages * HS_PAGE_ALPHAS, sizeof *j->result[i].alpha)) != NULL;
    }
    return ok ? HS_OK : hs_fail_memory(err, n * stages * sizeof(cell));
}

static hs_status look_at_all(job *j, uint32_t n, uint32_t *order, hs_pool *pool, const hs_signals *signals,
                             hs_error *err)
{
    const hs_look look = {.model = j->model, .pool = pool, .signals = signals};
    for (uint32_t first = 0; first < n; first++) { /* each group at its first query */
        uint32_t size = 0;
        bool seen = false;
        for (uint32_t k = 0; k < first && !seen; k++)
            seen = alike(&j->query[k], &j->query[first]);
        for (uint32_t k = first; k < n && !seen; k++)
            if (alike(&j->query[k], &j->query[first]))
                order[size++] = k;
        j->order = order;
        if (size)
            HS_TRY(hs_look_each(&look, size, j->query[first].n, look_chunk, j, err));
    }
    return HS_OK;
}

hs_status hs_page_look(const hs_model *model, const hs_dataset *data, const hs_page_query *query, uint32_t n,
                       hs_pool *pool, const hs_signals *signals, hs_str *json, hs_error *err)
{
    job j = {.model = model, .data = data, .query = query};
    uint32_t *order = hs_alloc((n + 1) * sizeof *order);
    j.result = hs_calloc(n + 1, sizeof *j.result);
    hs_status status = order && j.result ? HS_OK : hs_fail_memory(err, n * sizeof *j.result);
    if (status == HS_OK)
        status = hs_tensor_reserve(hs_pool_threads(pool), err);
    if (status == HS_OK)
        status = make_results(&j, n, err);
    if (status == HS_OK)
        status = look_at_all(&j, n, order, pool, signals, err);
    for (uint32_t i = 0; status == HS_OK && i < n; i++) {
        add_look(&json[i], &j, i);
        if (json[i].failed)
            status = hs_fail_memory(err, json[i].len);
    }
    free_results(j.result, n);
    hs_free(order);
    return status;
}

double hs_page_look_flop(const hs_model *model, uint32_t tokens)
{
    const double forward = hs_model_step_flop(model, 1, tokens, 1) / 3, stages = model->n_stages + 1;
    const double head = 2.0 * model->config.n_embd * model->config.vocab;
    return (2 + stages / 2 * (tokens + HS_PAGE_ALPHAS)) * forward + stages * (2 * tokens + HS_PAGE_ALPHAS) * head;
}
