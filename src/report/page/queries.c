/* queries.c - questions: those a page shows, chosen by the dataset's seed alone, and those that are asked.
 *
 * A question is known as far as the dataset knows it: its split, the entities between the hops, the right answer, which
 * hops are OOD facts, and what would take its head's place in causal tracing (interp/replace.h).
 *
 * Invariant: all of it follows from the dataset and the question alone, not from the order in which questions come; so
 * a question asked live is the one that stands in a file. */
#include "report/page/page.h"

#include "interp/replace.h"

#include <string.h>

#define PURPOSE HS_PURPOSE('p', 'a', 'g', 'e')

static uint32_t entity_of(const hs_dataset *data, const uint32_t *token)
{
    return data->tokens_per_entity == 1 ? token[0] : hs_dataset_entity_of(data, token);
}

/* Hops as facts: 1 OOD, 0 another, -1 no such fact. tokens: prompt; bridges and answer as in a split. */
static void classify(const hs_dataset *data, hs_page_query *q, const uint32_t *answer)
{
    const uint32_t tpe = data->tokens_per_entity;
    uint32_t head = entity_of(data, q->token);
    for (uint32_t hop = 0; hop < q->hops; hop++) {
        const uint32_t *to = hop + 1 < q->hops ? q->bridge + (size_t)hop * tpe : answer;
        const uint32_t tail = to && to[0] != HS_NO_ID ? entity_of(data, to) : HS_NO_ID;
        q->ood[hop] = -1;
        uint64_t first = 0, last = 0;
        if (head != HS_NO_ID && tail != HS_NO_ID)
            hs_dataset_facts_of(data, head, q->token[tpe + hop], &first, &last);
        for (; first < last; first++)
            if (data->facts[first].tail == tail)
                q->ood[hop] = data->fact_flags && (data->fact_flags[first] & HS_FACT_OOD);
        head = tail;
    }
}

void hs_page_query_of_item(const hs_dataset *data, const hs_split *split, uint64_t item, hs_page_query *q)
{
    const uint32_t *tokens = split->tokens + item * split->width;
    const bool chain = split->kind == HS_ITEM_QUERY || split->kind == HS_ITEM_FACT;
    *q = (hs_page_query){.split = (uint32_t)(split - data->splits), .trained = split->role == HS_SPLIT_TRAIN};
    q->n = split->answer < HS_PAGE_WORDS ? split->answer : HS_PAGE_WORDS;
    memcpy(q->token, tokens, q->n * sizeof *tokens);
    q->target = tokens[split->answer];
    q->second = split->answers > 1 ? tokens[split->answer + 1] : HS_NO_ID;
    if (!chain)
        return;
    q->hops = split->kind == HS_ITEM_FACT ? 1 : split->hops;
    q->n_bridges = split->bridge ? split->bridges : 0;
    for (uint32_t b = 0; b < q->n_bridges; b++)
        q->bridge[b] =
            split->bridge[item * split->bridges + b] == HS_PAD ? HS_NO_ID : split->bridge[item * split->bridges + b];
    if (q->n_bridges + data->tokens_per_entity < q->hops * data->tokens_per_entity)
        memset(q->ood, -1, sizeof q->ood); /* bridges are not known */
    else
        classify(data, q, tokens + split->answer);
}

/* ---------------------------------------------------------------- any question */

/* An item with this prompt, of any split; training first, as "trained" is what matters. */
static bool find_item(const hs_dataset *data, const uint32_t *token, uint32_t n, hs_page_query *out)
{
    for (int role = 0; role < 2; role++)
        for (uint32_t s = 0; s < data->n_splits; s++) {
            const hs_split *split = &data->splits[s];
            if ((split->role == HS_SPLIT_TRAIN) != (role == 0) || split->answer != n)
                continue;
            for (uint64_t i = 0; i < split->n; i++)
                if (memcmp(split->tokens + i * split->width, token, n * sizeof *token) == 0) {
                    hs_page_query_of_item(data, split, i, out);
                    return true;
                }
        }
    return false;
}

/* What the facts say of a chain: bridges and answer. */
static void follow(const hs_dataset *data, hs_page_query *q)
{
    const uint32_t tpe = data->tokens_per_entity;
    uint32_t at = entity_of(data, q->token), answer[2] = {HS_NO_ID, HS_NO_ID};
    q->n_bridges = (q->hops - 1) * tpe;
    for (uint32_t hop = 0; hop < q->hops; hop++) {
        uint32_t *to = hop + 1 < q->hops ? q->bridge + (size_t)hop * tpe : answer;
        const uint64_t fact = at == HS_NO_ID ? HS_NO_FACT : hs_only_fact(data, at, q->token[tpe + hop]);
        at = fact == HS_NO_FACT ? HS_NO_ID : data->facts[fact].tail;
        for (uint32_t w = 0; w < tpe; w++)
            to[w] = HS_NO_ID;
        if (at != HS_NO_ID)
            hs_dataset_entity_tokens(data, at, to);
    }
    q->target = answer[0];
    q->second = answer[1];
    classify(data, q, answer);
}

hs_status hs_page_query_of(const hs_dataset *data, const uint32_t *token, uint32_t n, hs_page_query *out, hs_error *err)
{
    const uint32_t tpe = data->tokens_per_entity;
    if (n <= HS_PAGE_WORDS && find_item(data, token, n, out))
        return HS_OK;
    if (strcmp(data->task, "composition") != 0) {
        hs_fail(err, HS_ERR_DATA, "no split of this dataset has this question");
        return hs_error_hint(err, "only questions of its splits have the form that its task wants");
    }
    if (n <= tpe || n - tpe > HS_MAX_HOPS)
        return hs_fail(err, HS_ERR_DATA, "a question is a head and 1 to %d relations", HS_MAX_HOPS);
    *out = (hs_page_query){.split = HS_NO_ID, .n = n, .hops = n - tpe};
    memcpy(out->token, token, n * sizeof *token);
    follow(data, out);
    return HS_OK;
}

/* The question as a split of one item, for the microscope. `row`: HS_PAGE_WORDS + 2 tokens. */
static hs_split as_split(const hs_dataset *data, hs_page_query *q, uint32_t *row, uint32_t *bridge)
{
    const uint32_t tpe = data->tokens_per_entity;
    hs_split s = {.kind = q->hops == 1 ? HS_ITEM_FACT : HS_ITEM_QUERY, .hops = q->hops, .prompt = q->n, .answers = tpe};
    if (q->split != HS_NO_ID)
        s = data->splits[q->split];
    s.n = 1;
    s.answer = q->n;
    s.width = s.answer + s.answers;
    s.tokens = row;
    s.bridges = q->n_bridges;
    s.bridge = q->n_bridges ? bridge : NULL;
    s.synthetic = NULL;
    s.also_start = NULL;
    s.also = NULL;
    memcpy(row, q->token, q->n * sizeof *row);
    row[q->n] = q->target == HS_NO_ID ? 0 : q->target;
    row[q->n + 1] = q->second == HS_NO_ID ? 0 : q->second;
    for (uint32_t b = 0; b < q->n_bridges; b++)
        bridge[b] = q->bridge[b] == HS_NO_ID ? HS_PAD : q->bridge[b];
    return s;
}

/* Causal tracing changes the head; in a comparison the first entity. */
static void replace(const hs_dataset *data, hs_scope *scope, const hs_sample *sample, hs_page_query *q)
{
    static const char *const roles[] = {"h", "e1", "e"};
    hs_replace_group group[HS_MAX_PLACES];
    hs_interpret_config config;
    hs_interpret_config_default(&config);
    config.seed = hs_hash(q->token, q->n * sizeof *q->token, data->seed);
    const hs_look look = {.scope = scope, .sample = sample, .config = &config};
    const uint32_t n = hs_replace_fits(data, sample->split) ? hs_replace_groups(sample, group) : 0;
    for (uint32_t g = 0; g < n; g++)
        for (int k = 0; k < 3; k++)
            if (q->replacement == HS_NO_ID && strcmp(group[g].role, roles[k]) == 0 &&
                hs_replace(&look, &group[g], 0, q->replaced))
                q->replacement = q->replaced[group[g].first];
}

hs_status hs_page_query_place(const hs_dataset *data, const hs_model *model, hs_scope *scope, hs_page_query *q,
                              hs_error *err)
{
    uint32_t row[HS_PAGE_WORDS + 2], bridge[2 * HS_MAX_HOPS];
    const hs_split split = as_split(data, q, row, bridge);
    hs_sample sample;
    HS_TRY(hs_sample_create(data, &split, model, 0, &sample, err));
    q->n_places = sample.n_places;
    memcpy(q->place, sample.place, sizeof q->place);
    const int end = q->hops > 1 ? hs_sample_hop_end(&sample, 1) : -1;
    q->hop_end = end < 0 ? HS_NO_ID : sample.place[end].column;
    memcpy(q->replaced, q->token, sizeof q->replaced);
    q->replacement = HS_NO_ID;
    if (q->target == HS_NO_ID)
        sample.asked[sample.target].token[0] = HS_NO_ID;
    if (scope)
        replace(data, scope, &sample, q);
    hs_sample_free(&sample);
    return HS_OK;
}

/* ---------------------------------------------------------------- the chosen ones */

static bool can_be_shown(const hs_dataset *data, const hs_split *split)
{
    return !data->text && split->n > 0 && split->answer <= HS_PAGE_WORDS && split->answers <= 2 &&
           split->kind != HS_ITEM_OTHER;
}

hs_status hs_page_queries(const hs_dataset *data, uint32_t wanted, hs_page_query **out, uint32_t *n, hs_error *err)
{
    *n = 0;
    *out = hs_alloc((wanted + 1) * sizeof **out);
    uint64_t *taken = hs_calloc(data->n_splits + 1, sizeof *taken);
    if (!*out || !taken) {
        hs_free(taken);
        return hs_fail_memory(err, wanted * sizeof **out);
    }
    for (bool any = true; any && *n < wanted;) { /* one of each split in turn, so that small splits leave room */
        any = false;
        for (uint32_t s = 0; s < data->n_splits && *n < wanted; s++)
            if (can_be_shown(data, &data->splits[s]) && taken[s] < data->splits[s].n) {
                any = true;
                taken[s]++;
                *n += 1;
            }
    }
    *n = 0;
    for (uint32_t s = 0; s < data->n_splits; s++)
        for (uint64_t i = 0; i < taken[s]; i++)
            hs_page_query_of_item(data, &data->splits[s], hs_permute(data->seed, PURPOSE, s, data->splits[s].n, i),
                                  &(*out)[(*n)++]);
    hs_free(taken);
    return HS_OK;
}

/* ---------------------------------------------------------------- JSON */

void hs_page_query_json(const hs_dataset *data, const hs_page_query *q, hs_str *out)
{
    hs_page_open(out, '{');
    hs_page_key(out, "tokens");
    hs_page_open(out, '[');
    for (uint32_t i = 0; i < q->n; i++)
        hs_page_whole(out, q->token[i]);
    hs_page_close(out, ']');
    hs_page_key_text(out, "split", q->split == HS_NO_ID ? NULL : data->splits[q->split].name);
    hs_page_key(out, "bridge");
    hs_page_open(out, '[');
    for (uint32_t i = 0; i < q->n_bridges; i++)
        hs_page_token(out, q->bridge[i]);
    hs_page_close(out, ']');
    hs_page_key(out, "target");
    hs_page_token(out, q->target);
    hs_page_key(out, "hops");
    hs_page_open(out, '[');
    for (uint32_t i = 0; i < q->hops; i++)
        hs_page_text(out, q->ood[i] < 0 ? NULL : q->ood[i] ? "ood" : "id");
    hs_page_close(out, ']');
    hs_page_key(out, "trained");
    hs_page_bool(out, q->trained);
    hs_page_key(out, "positions");
    hs_page_open(out, '[');
    for (uint32_t p = 0; p < q->n_places; p++)
        hs_page_text(out, q->place[p].role);
    hs_page_close(out, ']');
    hs_page_close(out, '}');
}
