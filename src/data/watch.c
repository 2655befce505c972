/* watch.c - splits of another dataset beside one's own, to see what becomes of what was learned from them. */
#include "data/internal.h"

#include <string.h>

/* Token of `data` for each token of `old`, by name; names that `data` lacks are added. */
static hs_status match_tokens(hs_dataset *data, const hs_dataset *old, uint32_t *token, hs_error *err)
{
    for (uint32_t i = 0; i < old->vocab.n; i++) {
        const char *name = hs_names_get(&old->vocab, i);
        const size_t len = strlen(name);
        token[i] = hs_names_find(&data->vocab, name, len);
        if (token[i] == HS_NO_ID)
            HS_TRY(hs_names_add(&data->vocab, name, len, &token[i], err));
    }
    return HS_OK;
}

static void copy_tokens(const uint32_t *from, uint64_t n, const uint32_t *token, uint32_t *to)
{
    for (uint64_t i = 0; i < n; i++)
        to[i] = from[i] == HS_PAD ? HS_PAD : token[from[i]];
}

static hs_status fail_name(const hs_dataset *data, const char *name, hs_error *err)
{
    hs_fail(err, HS_ERR_DATA,
            hs_dataset_split(data, name) ? "a split of this name is there already"
                                         : "the name of a watched split is too long");
    hs_error_value(err, name, strlen(name));
    return hs_error_hint(err, "it is the name of the watched folder, a dot, and the split's");
}

static hs_status add_split(hs_dataset *data, const hs_split *from, const char *prefix, const uint32_t *token,
                           hs_error *err)
{
    char name[128];
    const bool watched = from->role == HS_SPLIT_WATCH;
    snprintf(name, sizeof name, "%.70s%s%s", watched ? "" : prefix, watched ? "" : ".", from->name);
    if (!hs_split_name_ok(name) || hs_dataset_split(data, name))
        return fail_name(data, name, err);
    hs_split form = *from, *to;
    form.role = HS_SPLIT_WATCH;
    form.bridges = from->bridge ? from->bridges : 0;
    strcpy(form.name, name);
    HS_TRY(hs_dataset_add_split(data, &form, from->synthetic != NULL, from->also_start != NULL, &to, err));
    copy_tokens(from->tokens, from->n * from->width, token, to->tokens);
    if (from->bridge)
        copy_tokens(from->bridge, from->n * from->bridges, token, to->bridge);
    if (from->synthetic)
        memcpy(to->synthetic, from->synthetic, from->n);
    if (!from->also_start)
        return HS_OK;
    const uint64_t n = from->also_start[from->n];
    to->also = hs_alloc((n + 1) * sizeof *to->also);
    if (!to->also)
        return hs_fail_memory(err, n * sizeof *to->also);
    memcpy(to->also_start, from->also_start, (from->n + 1) * sizeof *to->also_start);
    copy_tokens(from->also, n, token, to->also);
    return HS_OK;
}

static hs_status add_all(hs_dataset *data, const hs_dataset *old, const char *prefix, uint32_t *token, hs_error *err)
{
    HS_TRY(match_tokens(data, old, token, err));
    for (uint32_t k = 0; k < old->n_splits; k++)
        if (old->splits[k].n > 0)
            HS_TRY(add_split(data, &old->splits[k], prefix, token, err));
    hs_free(data->card); /* of the dataset without them */
    data->card = NULL;
    return hs_dataset_certify(data, err);
}

hs_status hs_dataset_watch(hs_dataset *data, const hs_dataset *old, const char *prefix, hs_error *err)
{
    HS_TRY(hs_dataset_check_tokens(data, "data.watch", err));
    HS_TRY(hs_dataset_check_tokens(old, "data.watch", err));
    if (data->tokens_per_entity != old->tokens_per_entity)
        return hs_fail(err, HS_ERR_DATA, "entities are %u tokens there and %u here", old->tokens_per_entity,
                       data->tokens_per_entity);
    uint32_t *token = hs_alloc(((size_t)old->vocab.n + 1) * sizeof *token);
    if (!token)
        return hs_fail_memory(err, old->vocab.n * sizeof *token);
    const hs_status status = add_all(data, old, prefix, token, err);
    hs_free(token);
    return status;
}
