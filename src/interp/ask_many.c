/* ask_many.c - many questions at once: one forward pass each, in chunks over all workers.
 *
 * Invariant: what is said of a question is what hs_ask says of it, whatever stands beside it. */
#include "hopscope/tensor.h"
#include "interp/ask.h"
#include "interp/look.h"

#include <math.h>
#include <string.h>

typedef struct many {
    const hs_dataset *data;
    const uint32_t *tokens; /* of all questions, one after another */
    const uint32_t *first;  /* (n + 1) where each begins */
    hs_brief *out;          /* (n) */
    uint32_t n;
    /* those of one length, now looked at */
    uint32_t T;
    uint32_t *which; /* (group) their numbers */
    uint32_t *fed;   /* (group, T) their tokens */
} many;

/* ---------------------------------------------------------------- where a question stands in the dataset */

static uint64_t hash_of(const uint32_t *tokens, uint32_t n)
{
    return hs_hash(tokens, n * sizeof *tokens, n);
}

/* The first question with these tokens in the table (HS_NO_ID: free), at its place or where it would stand. */
static uint32_t *place_of(const many *m, uint32_t *table, uint32_t mask, const uint32_t *tokens, uint32_t n)
{
    uint32_t at = (uint32_t)hash_of(tokens, n) & mask;
    for (; table[at] != HS_NO_ID; at = (at + 1) & mask) {
        const uint32_t *first = m->first + table[at];
        if (first[1] - first[0] == n && memcmp(m->tokens + first[0], tokens, n * sizeof *tokens) == 0)
            break;
    }
    return &table[at];
}

/* The split that asks each question, and, where the facts do not say, its answer there: one walk over all items. */
static hs_status find_splits(many *m, hs_error *err)
{
    uint32_t size = 16;
    while (size < 2 * m->n)
        size *= 2;
    uint32_t *table = hs_alloc(size * sizeof *table);
    if (!table)
        return hs_fail_memory(err, size * sizeof *table);
    memset(table, 0xFF, size * sizeof *table);
    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t *place = place_of(m, table, size - 1, m->tokens + m->first[i], m->first[i + 1] - m->first[i]);
        *place = *place == HS_NO_ID ? i : *place;
    }
    for (uint32_t s = 0; s < m->data->n_splits; s++) {
        const hs_split *split = &m->data->splits[s];
        for (uint64_t i = 0; i < split->n; i++) {
            const uint32_t *item = split->tokens + i * split->width;
            const uint32_t q = *place_of(m, table, size - 1, item, split->prompt);
            if (q == HS_NO_ID || m->out[q].split)
                continue;
            m->out[q].split = split;
            if (m->out[q].known == HS_NO_ID) {
                m->out[q].known = item[split->answer];
                m->out[q].known_second = split->answers > 1 ? item[split->answer + 1] : HS_NO_ID;
            }
        }
    }
    for (uint32_t i = 0; i < m->n; i++) { /* a question that is asked again */
        const uint32_t q = *place_of(m, table, size - 1, m->tokens + m->first[i], m->first[i + 1] - m->first[i]);
        m->out[i].split = m->out[q].split;
        m->out[i].known = m->out[q].known;
        m->out[i].known_second = m->out[q].known_second;
    }
    hs_free(table);
    return HS_OK;
}

/* ---------------------------------------------------------------- what the model says */

static uint32_t rank_of(const float *logits, size_t V, uint32_t token)
{
    uint32_t rank = 0;
    if (token >= V)
        return HS_NO_ID;
    for (size_t v = 0; v < V; v++)
        rank += logits[v] > logits[token];
    return rank;
}

static void read_answer(const float *logits, size_t V, hs_brief *b)
{
    double total = 0;
    b->answer = (uint32_t)hs_kernels_get()->argmax(V, logits);
    for (size_t v = 0; v < V; v++)
        total += exp((double)(logits[v] - logits[b->answer]));
    b->probability = 1.0 / total;
    b->rank = rank_of(logits, V, b->known);
}

/* The first middle stage where the bridge is on top at the end of the first hop. */
static void read_bridges(const many *m, hs_forward *f, uint32_t first, uint32_t n)
{
    for (uint32_t stage = 1; stage < f->S; stage++) {
        uint32_t row = 0, item[HS_CHUNK];
        for (uint32_t b = 0; b < n; b++) {
            const hs_brief *brief = &m->out[m->which[first + b]];
            if (brief->bridge == HS_NO_ID || brief->bridge_found)
                continue;
            memcpy(f->x + row * f->D, hs_forward_state(f, 0, stage, b, m->data->tokens_per_entity),
                   f->D * sizeof *f->x);
            item[row++] = first + b;
        }
        if (row == 0)
            return;
        hs_model_lens(f->model, row, f->x, f->lens_work, f->logits);
        for (uint32_t r = 0; r < row; r++) {
            hs_brief *brief = &m->out[m->which[item[r]]];
            brief->bridge_found = rank_of(f->logits + r * f->V, f->V, brief->bridge) == 0;
            brief->bridge_stage = brief->bridge_found ? stage : 0;
        }
    }
}

static void ask_chunk(void *ctx, hs_forward *f, uint32_t first, uint32_t n)
{
    const many *m = ctx;
    hs_forward_run(f, 0, m->fed + (size_t)first * m->T, m->T, n);
    for (uint32_t b = 0; b < n; b++)
        read_answer(f->answer[0] + b * f->V, f->V, &m->out[m->which[first + b]]);
    read_bridges(m, f, first, n);
}

/* All questions of T tokens. */
static hs_status ask_length(many *m, const hs_look *look, uint32_t T, hs_error *err)
{
    uint32_t n = 0;
    m->T = T;
    for (uint32_t i = 0; i < m->n; i++) {
        if (m->first[i + 1] - m->first[i] != T)
            continue;
        memcpy(m->fed + (size_t)n * T, m->tokens + m->first[i], T * sizeof *m->fed);
        m->which[n++] = i;
    }
    return n ? hs_look_each(look, n, T, ask_chunk, m, err) : HS_OK;
}

static bool in_vocabulary(const many *m, uint32_t vocab)
{
    for (uint32_t t = 0; t < m->first[m->n]; t++)
        if (m->tokens[t] >= vocab)
            return false;
    return true;
}

hs_status hs_ask_many(const hs_model *model, const hs_dataset *data, hs_pool *pool, uint32_t n, const uint32_t *tokens,
                      const uint32_t *first, hs_brief *out, hs_error *err)
{
    many m = {.data = data, .tokens = tokens, .first = first, .out = out, .n = n};
    const hs_look look = {.model = model, .pool = pool};
    const uint32_t longest = hs_model_longest_prompt(model);
    for (uint32_t i = 0; i < n; i++) {
        HS_TRY(hs_ask_length(model, data, first[i + 1] - first[i], err));
        const hs_known known = hs_ask_known(data, tokens + first[i], first[i + 1] - first[i]);
        out[i] = (hs_brief){.known = known.answer,
                            .known_second = known.answer_second,
                            .bridge = known.bridge,
                            .bridge_second = known.bridge_second};
    }
    if (!in_vocabulary(&m, model->config.vocab))
        return hs_fail(err, HS_ERR_DATA, "a token of a question is not in the model's vocabulary");
    HS_TRY(hs_tensor_open(err));
    HS_TRY(hs_tensor_reserve(hs_pool_threads(pool), err));
    HS_TRY(find_splits(&m, err));
    m.which = hs_alloc(((size_t)n + 1) * sizeof *m.which);
    m.fed = hs_alloc(((size_t)first[n] + 1) * sizeof *m.fed);
    hs_status status = m.which && m.fed ? HS_OK : hs_fail_memory(err, first[n] * sizeof *m.fed);
    for (uint32_t T = 1; T <= longest && status == HS_OK; T++)
        status = ask_length(&m, &look, T, err);
    hs_free(m.which);
    hs_free(m.fed);
    return status;
}
