/* ask.c - a question in words, answered by the model, beside what the facts say, and what the lens reads on the way: the top
 * token of every stage at every place of the question, and the bridge's rank there.
 *
 * Invariant: a rank counts the tokens with a strictly larger logit, so ties do not depend on token order. */
#include "interp/ask.h"
#include "hopscope/tensor.h"
#include "interp/look.h"

#include <math.h>
#include <string.h>

static hs_status unknown_word(const hs_dataset *data, const char *word, bool relation, hs_error *err)
{
    const bool apart = data->tokens_per_entity == 1; /* else entities are pairs of tokens: any name may be meant */
    const uint32_t first = relation && apart ? data->n_entities : 0;
    const uint32_t n = !apart ? data->vocab.n : relation ? data->n_relations : data->n_entities;
    hs_fail(err, HS_ERR_DATA, "this dataset has no %s of this name", relation ? "relation" : "entity");
    hs_error_value(err, word, strlen(word));
    const char **names = hs_alloc(((size_t)n + 1) * sizeof *names);
    if (names) {
        for (uint32_t i = 0; i < n; i++)
            names[i] = hs_names_get(&data->vocab, first + i);
        const char *nearest = hs_nearest(word, names, n);
        if (nearest)
            hs_error_hint(err, "did you mean '%s'?", nearest);
        else if (relation && n > 0)
            hs_error_hint(err, "its relations begin with '%s'; all of them stand in dataset/vocab.json", names[0]);
        hs_free(names);
    }
    return HS_ERR_DATA;
}

static bool is_relation(const hs_dataset *data, uint32_t token)
{
    return token >= data->n_entities && token - data->n_entities < data->n_relations;
}

hs_status hs_ask_words(const hs_dataset *data, const char *const *words, uint32_t n, uint32_t *tokens, hs_error *err)
{
    /* Where the vocabulary tells entities from relations and an entity is one word. */
    const bool kinds = data->n_relations > 0 && data->tokens_per_entity == 1 && strcmp(data->task, "composition") == 0;
    for (uint32_t i = 0; i < n; i++) {
        const bool relation = i >= data->tokens_per_entity && strcmp(data->task, "composition") == 0;
        char marked[512]; /* a relation that is named like an entity carries this mark in the vocabulary */
        const int n_marked = snprintf(marked, sizeof marked, "%s [relation]", words[i]);
        tokens[i] = HS_NO_ID;
        if (relation && n_marked > 0 && (size_t)n_marked < sizeof marked)
            tokens[i] = hs_names_find(&data->vocab, marked, (size_t)n_marked);
        if (tokens[i] == HS_NO_ID)
            tokens[i] = hs_names_find(&data->vocab, words[i], strlen(words[i]));
        if (kinds && tokens[i] != HS_NO_ID && relation != is_relation(data, tokens[i]))
            tokens[i] = HS_NO_ID; /* an entity where a relation stands, or the other way about */
        if (tokens[i] == HS_NO_ID)
            return unknown_word(data, words[i], relation, err);
    }
    return HS_OK;
}

static hs_status answer(const hs_model *model, const uint32_t *tokens, uint32_t T, hs_answer *out, hs_error *err)
{
    const uint32_t V = model->config.vocab, start[2] = {0, T}, row = T - 1;
    const hs_batch batch = {.B = 1, .N = T, .P = 1, .token = tokens, .start = start, .score_row = &row};
    float *work = hs_alloc(hs_model_work_size(model, 1, T, 1, false) * sizeof *work);
    float *logits = hs_alloc(V * sizeof *logits);
    if (!work || !logits) {
        hs_free(work);
        hs_free(logits);
        return hs_fail_memory(err, V * sizeof *logits);
    }
    hs_model_logits(model, &batch, work, logits);
    const float top = logits[hs_kernels_get()->argmax(V, logits)];
    double total = 0;
    for (uint32_t v = 0; v < V; v++)
        total += exp((double)(logits[v] - top));
    out->n_best = V < HS_ASK_BEST ? V : HS_ASK_BEST;
    for (uint32_t i = 0; i < out->n_best; i++) {
        const uint32_t best = (uint32_t)hs_kernels_get()->argmax(V, logits);
        out->best[i] = best;
        out->probability[i] = exp((double)(logits[best] - top)) / total;
        logits[best] = -INFINITY;
    }
    hs_free(work);
    hs_free(logits);
    return HS_OK;
}

/* ---------------------------------------------------------------- the grid */

static hs_lens_reading read_logits(const float *logits, size_t V, uint32_t asked)
{
    hs_lens_reading r = {.top = (uint32_t)hs_kernels_get()->argmax(V, logits), .rank = HS_NO_ID};
    double total = 0;
    uint32_t rank = 0;
    for (size_t v = 0; v < V; v++) {
        total += exp((double)(logits[v] - logits[r.top]));
        rank += asked < V && logits[v] > logits[asked];
    }
    r.probability = 1.0 / total;
    if (asked < V)
        r.rank = rank;
    return r;
}

/* What each column is, left to right; of a model that answers in place also the answer's. */
static void name_places(const hs_dataset *data, bool composition, uint32_t n_words, hs_answer *out)
{
    const uint32_t tpe = data->tokens_per_entity;
    for (uint32_t p = 0; p < out->n_places; p++) {
        char *place = out->place[p];
        if (p == n_words)
            snprintf(place, sizeof out->place[p], "t");
        else if (!composition)
            snprintf(place, sizeof out->place[p], "p%u", p);
        else if (p < tpe)
            snprintf(place, sizeof out->place[p], "%s", p ? "h'" : "h");
        else if (n_words == tpe + 1)
            snprintf(place, sizeof out->place[p], "r");
        else
            snprintf(place, sizeof out->place[p], "r%u", p - tpe + 1);
    }
}

static hs_status read_grid(const hs_model *model, const hs_dataset *data, const uint32_t *tokens, uint32_t n_words,
                           bool composition, hs_answer *out, hs_error *err)
{
    hs_forward f;
    out->n_places = n_words + hs_model_answer_offset(model);
    out->n_stages = model->n_stages;
    out->lens = hs_calloc(((size_t)out->n_stages + 1) * out->n_places, sizeof *out->lens);
    out->place = hs_calloc(out->n_places, sizeof *out->place);
    if (!out->lens || !out->place)
        return hs_fail_memory(err, ((size_t)out->n_stages + 1) * out->n_places * sizeof *out->lens);
    HS_TRY(hs_forward_create(&f, model, n_words, err));
    name_places(data, composition, n_words, out);
    hs_forward_run(&f, 0, tokens, n_words, 1);
    for (uint32_t stage = 0; stage <= out->n_stages; stage++)
        for (uint32_t p = 0; p < out->n_places; p++) {
            hs_model_lens(model, 1, hs_forward_state(&f, 0, stage, 0, p), f.lens_work, f.logits);
            out->lens[(size_t)stage * out->n_places + p] = read_logits(f.logits, f.V, out->bridge);
        }
    hs_forward_free(&f);
    out->hop_end = data->tokens_per_entity;
    for (uint32_t stage = 1; stage < out->n_stages && out->bridge != HS_NO_ID && !out->bridge_found; stage++)
        if (out->lens[(size_t)stage * out->n_places + out->hop_end].rank == 0) {
            out->bridge_found = true;
            out->bridge_stage = stage;
        }
    return HS_OK;
}

typedef struct bridge_job {
    const uint32_t *tokens, *asked;
    uint32_t T, column;
    bool *found;
} bridge_job;

static void read_bridges(void *ctx, hs_forward *f, uint32_t first, uint32_t n)
{
    const bridge_job *j = ctx;
    hs_forward_run(f, 0, j->tokens + (size_t)first * j->T, j->T, n);
    for (uint32_t b = 0; b < n; b++)
        j->found[first + b] = false;
    for (uint32_t stage = 1; stage < f->S; stage++) {
        for (uint32_t b = 0; b < n; b++)
            memcpy(f->x + b * f->D, hs_forward_state(f, 0, stage, b, j->column), f->D * sizeof *f->x);
        hs_model_lens(f->model, n, f->x, f->lens_work, f->logits);
        for (uint32_t b = 0; b < n; b++)
            j->found[first + b] |= read_logits(f->logits + b * f->V, f->V, j->asked[first + b]).rank == 0;
    }
}

hs_status hs_lens_found(const hs_model *model, hs_pool *pool, uint32_t n, uint32_t T, const uint32_t *tokens,
                        uint32_t column, const uint32_t *asked, bool *found, hs_error *err)
{
    bridge_job j = {.tokens = tokens, .asked = asked, .T = T, .column = column, .found = found};
    const hs_look look = {.model = model, .pool = pool};
    HS_TRY(hs_tensor_open(err));
    HS_TRY(hs_tensor_reserve(hs_pool_threads(pool), err));
    return hs_look_each(&look, n, T, read_bridges, &j, err);
}

/* ---------------------------------------------------------------- the question */

hs_known hs_ask_known(const hs_dataset *data, const uint32_t *tokens, uint32_t n)
{
    hs_known known = {HS_NO_ID, HS_NO_ID, HS_NO_ID, HS_NO_ID};
    if (strcmp(data->task, "composition") != 0)
        return known;
    const uint32_t tpe = data->tokens_per_entity;
    uint32_t at = tpe == 1 ? tokens[0] : hs_dataset_entity_of(data, tokens), two[2] = {HS_NO_ID, HS_NO_ID};
    for (uint32_t i = tpe; i < n && at != HS_NO_ID; i++) {
        const uint64_t fact = hs_only_fact(data, at, tokens[i]);
        at = fact == HS_NO_FACT ? HS_NO_ID : data->facts[fact].tail;
        if (at == HS_NO_ID)
            break;
        hs_dataset_entity_tokens(data, at, two);
        if (i == tpe && n > tpe + 1) {
            known.bridge = two[0];
            known.bridge_second = tpe > 1 ? two[1] : HS_NO_ID;
        }
    }
    if (at != HS_NO_ID) {
        known.answer = two[0];
        known.answer_second = tpe > 1 ? two[1] : HS_NO_ID;
    }
    return known;
}

hs_status hs_ask_length(const hs_model *model, const hs_dataset *data, uint32_t n_words, hs_error *err)
{
    HS_TRY(hs_dataset_check_tokens(data, "asking", err));
    const uint32_t longest = hs_model_longest_prompt(model), least = data->tokens_per_entity + 1;
    if (n_words >= least && n_words <= longest)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "a question has %u to %u words (a head%s and relations), this one %u", least, longest,
            least > 2 ? " of two tokens" : "", n_words);
    return HS_ERR_DATA;
}

hs_status hs_ask(const hs_model *model, const hs_dataset *data, const char *const *words, uint32_t n_words, hs_answer *out,
                 hs_error *err)
{
    memset(out, 0, sizeof *out);
    const bool composition = strcmp(data->task, "composition") == 0;
    HS_TRY(hs_dataset_check_tokens(data, "asking", err));
    hs_status status = hs_ask_length(model, data, n_words, err);
    if (status != HS_OK)
        return hs_error_hint(err, "quote names that contain spaces: \"in country\"");
    uint32_t *tokens = hs_alloc(n_words * sizeof *tokens);
    if (!tokens)
        return hs_fail_memory(err, n_words * sizeof *tokens);
    status = hs_ask_words(data, words, n_words, tokens, err);
    const hs_known known =
        status == HS_OK ? hs_ask_known(data, tokens, n_words) : (hs_known){HS_NO_ID, HS_NO_ID, HS_NO_ID, HS_NO_ID};
    out->known = known.answer;
    out->known_second = known.answer_second;
    out->bridge = known.bridge;
    out->bridge_second = known.bridge_second;
    if (status == HS_OK)
        status = answer(model, tokens, n_words, out, err);
    if (status == HS_OK)
        status = read_grid(model, data, tokens, n_words, composition, out, err);
    hs_free(tokens);
    if (status != HS_OK)
        hs_answer_free(out);
    return status;
}

const char *hs_answer_name(const hs_dataset *data, uint32_t token, char text[32])
{
    if (token < data->vocab.n)
        return hs_names_get(&data->vocab, token);
    snprintf(text, 32, "token %u", token);
    return text;
}

void hs_answer_free(hs_answer *answer_)
{
    hs_free(answer_->lens);
    hs_free(answer_->place);
    answer_->lens = NULL;
    answer_->place = NULL;
    answer_->n_stages = answer_->n_places = 0;
}
