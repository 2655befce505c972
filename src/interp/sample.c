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

static void add_place(hs_sample *s, const char *role, bool second, uint32_t column)
{
    if (s->n_places == HS_MAX_PLACES)
        return;
    hs_place *p = &s->place[s->n_places++];
    p->column = column;
    snprintf(p->role, sizeof p->role, "%.12s%s", role, second ? "'" : "");
}

static int by_column(const void *a, const void *b)
{
    const hs_place *x = a, *y = b;
    return (x->column > y->column) - (x->column < y->column);
}

static hs_status add_asked(hs_sample *s, const char *role, bool second, hs_asked **out, hs_error *err)
{
    if (s->n_asked == HS_MAX_ASKED)
        return hs_fail(err, HS_ERR_DATA, "an item has more than %d roles", HS_MAX_ASKED);
    hs_asked *a = &s->asked[s->n_asked++];
    snprintf(a->role, sizeof a->role, "%.12s%s", role, second ? "'" : "");
    a->token = hs_alloc((s->n + 1) * sizeof *a->token);
    if (!a->token)
        return hs_fail_memory(err, s->n * sizeof *a->token);
    *out = a;
    return HS_OK;
}

/* Asks for the tokens of a role, one each if an entity has two. */
static hs_status ask_role(hs_sample *s, const hs_role *role, hs_error *err)
{
    for (uint32_t w = 0; w < role->n_tokens; w++) {
        hs_asked *a;
        HS_TRY(add_asked(s, role->name, w > 0, &a, err));
        for (uint32_t i = 0; i < s->n; i++) {
            uint32_t tokens[2];
            a->token[i] = hs_item_role(s->data, s->split, s->item[i], role->name, tokens) > w ? tokens[w] : HS_NO_ID;
            a->entity |= a->token[i] < s->data->n_entities;
        }
    }
    return HS_OK;
}

/* The label tokens of a comparison split (at most three, by token), each asked of every item: arXiv 2405.15071 reads the label space
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
        char role[HS_ROLE_SIZE];
        snprintf(role, sizeof role, "label%u", k + 1);
        HS_TRY(add_asked(s, role, false, &a, err));
        for (uint32_t i = 0; i < s->n; i++)
            a->token[i] = label[k];
    }
    return HS_OK;
}

/* Columns that no role names: "p1", "p3" ... */
static void name_other_columns(hs_sample *s, uint32_t first, uint32_t last)
{
    for (uint32_t c = first; c < last; c++) {
        bool named = false;
        char role[HS_ROLE_SIZE];
        for (uint32_t p = 0; p < s->n_places; p++)
            named |= s->place[p].column == c;
        snprintf(role, sizeof role, "p%u", c);
        if (!named)
            add_place(s, role, false, c);
    }
}

static hs_status find_roles(hs_sample *s, const hs_model *model, hs_error *err)
{
    hs_role roles[HS_MAX_ROLES];
    const uint32_t n = hs_split_roles(s->data, s->split, roles);
    const bool in_place = hs_model_predicts_in_place(model);
    const uint32_t columns = in_place ? model->config.n_positions : s->T;
    for (uint32_t r = 0; r < n; r++) {
        if (r + 1 == n)
            s->target = s->n_asked;
        HS_TRY(ask_role(s, &roles[r], err));
        for (uint32_t w = 0; w < roles[r].n_tokens; w++)
            if (roles[r].column != HS_PAD && roles[r].column + w < columns)
                add_place(s, roles[r].name, w > 0, roles[r].column + w);
    }
    if (s->split->kind == HS_ITEM_COMPARE)
        HS_TRY(ask_labels(s, err));
    name_other_columns(s, 0, columns);
    qsort(s->place, s->n_places, sizeof *s->place, by_column);
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
        memcpy(out->token + (size_t)i * out->T, split->tokens + out->item[i] * split->width,
               out->T * sizeof *out->token);
    const hs_status status = find_roles(out, model, err);
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
    const int place = hs_sample_place(sample, role);
    return place < 0 && hop == 1 ? hs_sample_place(sample, "r") : place;
}
