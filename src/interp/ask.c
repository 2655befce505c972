/* ask.c - a question in words, answered by the model, beside what the facts say. */
#include "hopscope/interp.h"
#include "hopscope/tensor.h"

#include <math.h>
#include <string.h>

/* Tail of (head, relation) by the dataset's facts, or HS_NO_ID when there is none or more than one. */
static uint32_t follow(const hs_dataset *data, uint32_t head, uint32_t relation)
{
    uint64_t low = 0, high = data->n_facts;
    while (low < high) {
        const uint64_t middle = (low + high) / 2;
        const hs_fact *f = &data->facts[middle];
        if (f->head < head || (f->head == head && f->relation < relation))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == data->n_facts || data->facts[low].head != head || data->facts[low].relation != relation)
        return HS_NO_ID;
    if (low + 1 < data->n_facts && data->facts[low + 1].head == head && data->facts[low + 1].relation == relation)
        return HS_NO_ID;
    return data->facts[low].tail;
}

static hs_status unknown_word(const hs_dataset *data, const char *word, bool relation, hs_error *err)
{
    const uint32_t first = relation ? data->n_entities : 0;
    const uint32_t n = relation ? data->n_relations : data->n_entities;
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

static hs_status find_words(const hs_dataset *data, const char *const *words, uint32_t n, uint32_t *tokens, hs_error *err)
{
    /* Where the vocabulary tells entities from relations and an entity is one word. */
    const bool kinds = data->n_relations > 0 && data->tokens_per_entity == 1 && strcmp(data->task, "composition") == 0;
    for (uint32_t i = 0; i < n; i++) {
        const bool relation = i > 0 && strcmp(data->task, "composition") == 0;
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

static hs_status read_bridge(const hs_model *model, const uint32_t *tokens, uint32_t T, hs_answer *out, hs_error *err)
{
    const uint32_t S = model->n_stages;
    if (S < 2 || hs_model_traits_of(model)->in_place)
        return HS_OK;
    hs_lens_reading *readings = hs_alloc((S + 1) * sizeof *readings);
    out->stage = hs_calloc(S - 1, sizeof *out->stage);
    if (!readings || !out->stage) {
        hs_free(readings);
        return hs_fail_memory(err, (S + 1) * sizeof *readings);
    }
    hs_status status = hs_lens_read(model, 1, T, tokens, 1, &out->bridge, readings, err);
    for (uint32_t s = 1; s < S && status == HS_OK; s++) {
        out->stage[out->n_stages++] = (hs_ask_stage){.stage = s, .reading = readings[s]};
        if (out->bridge != HS_NO_ID && readings[s].rank == 0 && !out->bridge_found) {
            out->bridge_found = true;
            out->bridge_stage = s;
        }
    }
    hs_free(readings);
    return status;
}

hs_status hs_ask(const hs_model *model, const hs_dataset *data, const char *const *words, uint32_t n_words, hs_answer *out,
                 hs_error *err)
{
    memset(out, 0, sizeof *out);
    out->known = out->bridge = HS_NO_ID;
    const uint32_t longest = hs_model_longest_prompt(model);
    if (n_words < 2 || n_words > longest) {
        hs_fail(err, HS_ERR_DATA, "a question has 2 to %u words (a head and relations), this one %u", longest, n_words);
        return hs_error_hint(err, "quote names that contain spaces: \"in country\"");
    }
    uint32_t *tokens = hs_alloc(n_words * sizeof *tokens);
    if (!tokens)
        return hs_fail_memory(err, n_words * sizeof *tokens);
    hs_status status = find_words(data, words, n_words, tokens, err);
    if (status == HS_OK && strcmp(data->task, "composition") == 0) {
        uint32_t at = tokens[0];
        for (uint32_t i = 1; i < n_words && at != HS_NO_ID; i++) {
            at = follow(data, at, tokens[i]);
            if (i == 1 && n_words > 2)
                out->bridge = at;
        }
        out->known = at;
    }
    if (status == HS_OK)
        status = answer(model, tokens, n_words, out, err);
    if (status == HS_OK && n_words > 2 && strcmp(data->task, "composition") == 0)
        status = read_bridge(model, tokens, n_words, out, err);
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
    hs_free(answer_->stage);
    answer_->stage = NULL;
    answer_->n_stages = 0;
}
