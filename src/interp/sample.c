/* sample.c - which columns of an item play which part, and which tokens are looked for. See sample.h. */
#include "interp/look.h"

#include <stdlib.h>
#include <string.h>

#define PURPOSE HS_PURPOSE('i', 'n', 't', 'p')

static int by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void add_place(hs_sample *s, const char *role, uint32_t number, bool second, uint32_t column)
{
    if (s->n_places == HS_MAX_PLACES)
        return;
    hs_place *p = &s->place[s->n_places++];
    p->column = column;
    if (number)
        snprintf(p->role, sizeof p->role, "%s%u%s", role, number, second ? "'" : "");
    else
        snprintf(p->role, sizeof p->role, "%s%s", role, second ? "'" : "");
}

static hs_status add_asked(hs_sample *s, const char *role, uint32_t number, bool second, bool entity, hs_asked **out,
                           hs_error *err)
{
    if (s->n_asked == HS_MAX_ASKED)
        return hs_fail(err, HS_ERR_DATA, "an item has more than %d roles", HS_MAX_ASKED);
    hs_asked *a = &s->asked[s->n_asked++];
    if (number)
        snprintf(a->role, sizeof a->role, "%s%u%s", role, number, second ? "'" : "");
    else
        snprintf(a->role, sizeof a->role, "%s%s", role, second ? "'" : "");
    a->entity = entity;
    a->token = hs_alloc((s->n + 1) * sizeof *a->token);
    if (!a->token)
        return hs_fail_memory(err, s->n * sizeof *a->token);
    *out = a;
    return HS_OK;
}

/* Asks for what stands in a column of the item itself. */
static hs_status ask_column(hs_sample *s, const char *role, uint32_t number, bool second, bool entity, uint32_t column,
                            hs_error *err)
{
    hs_asked *a;
    HS_TRY(add_asked(s, role, number, second, entity, &a, err));
    for (uint32_t i = 0; i < s->n; i++)
        a->token[i] = s->split->tokens[s->item[i] * s->split->width + column];
    return HS_OK;
}

static hs_status ask_bridge(hs_sample *s, uint32_t hop, uint32_t width, hs_error *err)
{
    for (uint32_t w = 0; w < width; w++) {
        hs_asked *a;
        HS_TRY(add_asked(s, "b", hop > 1 ? hop : 0, w > 0, true, &a, err));
        for (uint32_t i = 0; i < s->n; i++)
            a->token[i] = s->split->bridge ? s->split->bridge[s->item[i] * s->split->bridges + (hop - 1) * width + w]
                                           : HS_NO_ID;
    }
    return HS_OK;
}

static hs_status chain_roles(hs_sample *s, hs_error *err)
{
    const uint32_t w = s->data->tokens_per_entity, hops = s->split->kind == HS_ITEM_FACT ? 1 : s->split->hops;
    for (uint32_t i = 0; i < w; i++) {
        add_place(s, "h", 0, i > 0, i);
        HS_TRY(ask_column(s, "h", 0, i > 0, true, i, err));
    }
    for (uint32_t r = 0; r < hops; r++) {
        add_place(s, "r", r + 1, false, w + r);
        HS_TRY(ask_column(s, "r", r + 1, false, false, w + r, err));
        if (r + 1 < hops)
            HS_TRY(ask_bridge(s, r + 1, w, err));
    }
    return HS_OK;
}

static hs_status ask_value(hs_sample *s, uint32_t number, uint32_t entity_column, hs_error *err)
{
    hs_asked *a;
    HS_TRY(add_asked(s, "v", number, false, true, &a, err));
    for (uint32_t i = 0; i < s->n; i++) {
        const uint32_t *item = s->split->tokens + s->item[i] * s->split->width;
        const uint64_t fact = hs_only_fact(s->data, item[entity_column], item[0]);
        a->token[i] = fact == HS_NO_FACT ? HS_NO_ID : s->data->facts[fact].tail;
    }
    return HS_OK;
}

/* The label tokens of a comparison split (at most three, by token), each asked of every item: paper C reads the label space
 * at the attribute's position. */
static hs_status ask_labels(hs_sample *s, hs_error *err)
{
    uint32_t label[3], n = 0;
    for (uint64_t i = 0; i < s->split->n && n < 3; i++) {
        const uint32_t t = s->split->tokens[i * s->split->width + s->split->answer];
        bool known = false;
        for (uint32_t k = 0; k < n; k++)
            known |= label[k] == t;
        if (!known)
            label[n++] = t;
    }
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t k = i; k > 0 && label[k] < label[k - 1]; k--) {
            const uint32_t t = label[k];
            label[k] = label[k - 1];
            label[k - 1] = t;
        }
    for (uint32_t k = 0; k < n; k++) {
        hs_asked *a;
        HS_TRY(add_asked(s, "label", k + 1, false, false, &a, err));
        for (uint32_t i = 0; i < s->n; i++)
            a->token[i] = label[k];
    }
    return HS_OK;
}

static hs_status compare_roles(hs_sample *s, hs_error *err)
{
    static const char *const roles[5] = {"a", "q", "e1", "mask", "e2"};
    for (uint32_t i = 0; i < 5 && i < s->T; i++)
        add_place(s, roles[i], 0, false, i);
    HS_TRY(ask_column(s, "e1", 0, false, true, 2, err));
    HS_TRY(ask_column(s, "e2", 0, false, true, 4, err));
    HS_TRY(ask_value(s, 1, 2, err));
    HS_TRY(ask_value(s, 2, 4, err));
    return ask_labels(s, err);
}

static hs_status roles(hs_sample *s, const hs_model *model, hs_error *err)
{
    const hs_split *split = s->split;
    const uint32_t width = split->width;
    switch (split->kind) {
    case HS_ITEM_FACT:
    case HS_ITEM_QUERY:
        HS_TRY(chain_roles(s, err));
        break;
    case HS_ITEM_COMPARE:
        HS_TRY(compare_roles(s, err));
        break;
    case HS_ITEM_COMPLEX_FACT:
    case HS_ITEM_OTHER:
        break;
    }
    for (uint32_t c = s->n_places; c < s->T; c++) /* columns without a name of their own */
        add_place(s, "p", c, false, c);
    if (hs_model_predicts_in_place(model)) {
        for (uint32_t c = s->T; c < model->config.n_positions; c++) {
            const bool answer = c >= split->answer && c < split->answer + split->answers;
            add_place(s, answer ? "t" : "p", answer ? 0 : c, answer && c > split->answer, c);
        }
    }
    s->target = s->n_asked;
    for (uint32_t a = 0; a < split->answers && split->answer + a < width; a++)
        HS_TRY(ask_column(s, "t", 0, a > 0, split->kind == HS_ITEM_FACT || split->kind == HS_ITEM_QUERY,
                          split->answer + a, err));
    return HS_OK;
}

hs_status hs_sample_create(const hs_dataset *data, const hs_split *split, const hs_model *model, uint32_t max,
                           hs_sample *out, hs_error *err)
{
    *out = (hs_sample){.data = data, .split = split, .T = split->answer};
    const bool all = max == 0 || split->n <= max;
    out->n = all ? (uint32_t)split->n : max;
    out->item = hs_alloc((out->n + 1) * sizeof *out->item);
    out->token = hs_alloc(((size_t)out->n * out->T + 1) * sizeof *out->token);
    if (!out->item || !out->token) {
        hs_sample_free(out);
        return hs_fail_memory(err, (size_t)out->n * (out->T * sizeof *out->token + sizeof *out->item));
    }
    for (uint32_t i = 0; i < out->n; i++)
        out->item[i] = all ? i : hs_permute(split->hash, PURPOSE, 0, split->n, i);
    if (!all)
        qsort(out->item, out->n, sizeof *out->item, by_number);
    for (uint32_t i = 0; i < out->n; i++)
        memcpy(out->token + (size_t)i * out->T, split->tokens + out->item[i] * split->width, out->T * sizeof *out->token);
    const hs_status status = roles(out, model, err);
    if (status != HS_OK)
        hs_sample_free(out);
    return status;
}

void hs_sample_free(hs_sample *sample)
{
    for (uint32_t i = 0; i < sample->n_asked; i++)
        hs_free(sample->asked[i].token);
    hs_free(sample->item);
    hs_free(sample->token);
    *sample = (hs_sample){0};
}

int hs_sample_asked(const hs_sample *sample, const char *role)
{
    for (uint32_t i = 0; i < sample->n_asked; i++)
        if (strcmp(sample->asked[i].role, role) == 0)
            return (int)i;
    return -1;
}

int hs_sample_place(const hs_sample *sample, const char *role)
{
    for (uint32_t i = 0; i < sample->n_places; i++)
        if (strcmp(sample->place[i].role, role) == 0)
            return (int)i;
    return -1;
}

int hs_sample_hop_end(const hs_sample *sample, uint32_t hop)
{
    char role[HS_ROLE_SIZE];
    snprintf(role, sizeof role, "r%u", hop);
    return hs_sample_place(sample, role);
}
