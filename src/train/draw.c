/* draw.c - which item of the training set each sequence of a step is.
 *
 * Sequences are numbered through all steps. A portion is a set of training splits with a share of every batch; without
 * train.shares one portion has them all. A sequence's number alone says its portion and which draw of that portion it
 * is: of every stretch of N sequences a portion has its share of N, to within one, evenly spread. Each run of as many
 * draws as a portion has items is one epoch of it, a permutation named by (seed, portion, epoch). So nothing is stored,
 * and neither threads nor a resumed run see another order. */
#include "train/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ORDER HS_PURPOSE('o', 'r', 'd', 'r')
#define ORDER_OF_PORTION HS_PURPOSE('p', 'o', 'r', 't')

typedef struct portion {
    double share; /* of every batch */
    uint64_t
        cut;    /* what it takes of the sequences that earlier portions leave, in units of 2^-32; the last takes all */
    uint64_t n; /* items */
    uint32_t n_splits;
    uint32_t *split; /* (n_splits) into the shared array */
    uint64_t *first; /* (n_splits + 1) items before each split */
} portion;

struct hs_draw {
    uint64_t seed, n_items;
    bool shared; /* train.shares is given */
    uint32_t n_portions;
    portion *portion;
    uint32_t *split; /* training splits with items, portion after portion */
    uint64_t *first;
};

bool hs_split_is_facts(const hs_split *split)
{
    return split->kind == HS_ITEM_FACT || split->kind == HS_ITEM_COMPLEX_FACT;
}

/* ---------------------------------------------------------------- train.shares as text */

static hs_status fail_shares(hs_error *err, const char *value, const char *what)
{
    hs_fail(err, HS_ERR_DATA, "%s", what);
    hs_error_value(err, value, strlen(value));
    return hs_error_where(err, "train.shares");
}

/* "NAME=SHARE" into the name's length and the share; false if it is not that. */
static bool read_share(const char *item, size_t *name, double *share)
{
    const char *equals = strrchr(item, '=');
    char *end = NULL;
    if (!equals || equals == item)
        return false;
    *share = strtod(equals + 1, &end);
    *name = (size_t)(equals - item);
    return end != equals + 1 && *end == 0 && *share >= 0 && *share <= 1;
}

hs_status hs_shares_check(const char *text, hs_error *err)
{
    hs_list list;
    HS_TRY(hs_list_parse(&list, text, err));
    hs_status status = HS_OK;
    double sum = 0;
    for (size_t i = 0; i < list.n && status == HS_OK; i++) {
        size_t name;
        double share;
        if (read_share(list.item[i], &name, &share)) {
            sum += share;
        } else {
            fail_shares(err, list.item[i], "not SPLIT=SHARE with a share from 0 to 1");
            status = hs_error_hint(err, "for example facts=0.4 or id_atomic=0.2,ood_atomic=0.2");
        }
    }
    if (status == HS_OK && sum > 1 + 1e-9) {
        fail_shares(err, text, "the shares are more than the whole batch");
        status = hs_error_hint(err, "they add up to %g; at most 1", sum);
    }
    hs_list_free(&list);
    return status;
}

/* ---------------------------------------------------------------- portions */

static hs_status fail_unknown(const hs_dataset *data, const char *item, size_t name, hs_error *err)
{
    char word[64];
    const char *names[65] = {"facts"};
    size_t n = 1;
    for (uint32_t s = 0; s < data->n_splits && n < 65; s++)
        if (data->splits[s].role == HS_SPLIT_TRAIN && data->splits[s].n > 0)
            names[n++] = data->splits[s].name;
    snprintf(word, sizeof word, "%.*s", (int)name, item);
    fail_shares(err, item, "the dataset has no training items in a split of this name");
    const char *near = hs_nearest(word, names, n);
    hs_str all = {0};
    for (size_t i = 0; i < n; i++)
        hs_str_addf(&all, "%s%s", i ? ", " : "", names[i]);
    hs_error_hint(err, "%s%s%spossible: %s", near ? "did you mean " : "", near ? near : "", near ? "? " : "",
                  all.s ? all.s : "");
    hs_str_free(&all);
    return HS_ERR_DATA;
}

static void add_split(hs_draw *d, const hs_dataset *data, uint32_t s, bool *taken)
{
    portion *p = &d->portion[d->n_portions];
    p->first[p->n_splits] = p->n;
    p->split[p->n_splits++] = s;
    p->n += data->splits[s].n;
    p->first[p->n_splits] = p->n;
    taken[s] = true;
}

/* A portion behind the last one, with room for the splits that are left. */
static portion *open_portion(hs_draw *d, double share)
{
    const uint32_t k = d->n_portions;
    portion *p = &d->portion[k];
    *p = (portion){.share = share};
    p->split = k ? d->portion[k - 1].split + d->portion[k - 1].n_splits : d->split;
    p->first = k ? d->portion[k - 1].first + d->portion[k - 1].n_splits + 1 : d->first;
    return p;
}

static bool is_trained(const hs_split *split)
{
    return split->role == HS_SPLIT_TRAIN && split->n > 0;
}

/* The portion of one element of train.shares: a split by its name, else "facts": every training split of facts. */
static hs_status add_portion(hs_draw *d, const hs_dataset *data, const char *item, bool *taken, hs_error *err)
{
    size_t name;
    double share;
    if (!read_share(item, &name, &share))
        return fail_shares(err, item, "not SPLIT=SHARE with a share from 0 to 1");
    bool by_name = false;
    for (uint32_t s = 0; s < data->n_splits; s++)
        by_name |= is_trained(&data->splits[s]) && strlen(data->splits[s].name) == name &&
                   strncmp(data->splits[s].name, item, name) == 0;
    const bool facts = !by_name && name == strlen("facts") && strncmp(item, "facts", name) == 0;
    portion *p = open_portion(d, share);
    for (uint32_t s = 0; s < data->n_splits; s++) {
        const hs_split *split = &data->splits[s];
        const bool mine =
            facts ? hs_split_is_facts(split) : strlen(split->name) == name && strncmp(split->name, item, name) == 0;
        if (!mine || !is_trained(split))
            continue;
        if (taken[s])
            return fail_shares(err, item, "a split has two shares");
        add_split(d, data, s, taken);
    }
    if (p->n == 0)
        return fail_unknown(data, item, name, err);
    d->n_portions++;
    return HS_OK;
}

/* All that has no share of its own, and how the sequences are cut. */
static hs_status add_rest(hs_draw *d, const hs_dataset *data, const char *shares, bool *taken, hs_error *err)
{
    double left = 1;
    for (uint32_t k = 0; k < d->n_portions; k++) {
        portion *p = &d->portion[k];
        const double part = left > 0 ? p->share / left : 0;
        p->cut = (uint64_t)llround((part < 1 ? part : 1) * 4294967296.0);
        left -= p->share;
    }
    portion *rest = open_portion(d, left > 1e-9 ? left : 0);
    for (uint32_t s = 0; s < data->n_splits; s++)
        if (!taken[s] && is_trained(&data->splits[s]))
            add_split(d, data, s, taken);
    if (rest->n > 0) {
        d->n_portions++;
    } else if (rest->share > 0) {
        fail_shares(err, shares, "every training split has a share, and they are less than the whole batch");
        return hs_error_hint(err, "they must add up to 1, or leave out a split that takes the rest");
    }
    return HS_OK;
}

static hs_status make_portions(hs_draw *d, const hs_dataset *data, const char *shares, const hs_list *list, bool *taken,
                               hs_error *err)
{
    for (size_t i = 0; i < list->n; i++)
        HS_TRY(add_portion(d, data, list->item[i], taken, err));
    return add_rest(d, data, shares, taken, err);
}

hs_status hs_draw_create(hs_draw **out, const hs_dataset *data, const char *shares, uint64_t seed, hs_error *err)
{
    *out = NULL;
    hs_list list;
    HS_TRY(hs_list_parse(&list, shares, err));
    const size_t n = data->n_splits + 1, portions = list.n + 1;
    hs_draw *d = hs_calloc(1, sizeof *d);
    bool *taken = hs_calloc(n, sizeof *taken);
    hs_status status = HS_OK;
    if (d) {
        *d = (hs_draw){.seed = seed, .shared = list.n > 0};
        d->portion = hs_calloc(portions, sizeof *d->portion);
        d->split = hs_alloc(n * sizeof *d->split);
        d->first = hs_alloc((n + portions) * sizeof *d->first);
    }
    if (!d || !taken || !d->portion || !d->split || !d->first)
        status = hs_fail_memory(err, (n + portions) * sizeof(portion));
    for (uint32_t s = 0; status == HS_OK && s < data->n_splits; s++)
        d->n_items += is_trained(&data->splits[s]) ? data->splits[s].n : 0;
    if (status == HS_OK && d->n_items == 0)
        status = hs_fail(err, HS_ERR_DATA, "the dataset has no training items");
    if (status == HS_OK)
        status = make_portions(d, data, shares, &list, taken, err);
    hs_list_free(&list);
    hs_free(taken);
    if (status != HS_OK) {
        hs_draw_free(d);
        return status;
    }
    *out = d;
    return HS_OK;
}

void hs_draw_free(hs_draw *d)
{
    if (!d)
        return;
    hs_free(d->portion);
    hs_free(d->split);
    hs_free(d->first);
    hs_free(d);
}

uint64_t hs_draw_items(const hs_draw *d)
{
    return d->n_items;
}

double hs_draw_share(const hs_draw *d, const hs_dataset *data, uint32_t split)
{
    for (uint32_t k = 0; k < d->n_portions; k++)
        for (uint32_t i = 0; i < d->portion[k].n_splits; i++)
            if (d->portion[k].split[i] == split)
                return (d->shared ? d->portion[k].share : 1) * (double)data->splits[split].n / (double)d->portion[k].n;
    return 0;
}

/* ---------------------------------------------------------------- a draw */

/* floor(n * cut / 2^32), cut at most 2^32: of n sequences, those that a portion takes. */
static uint64_t taken_of(uint64_t n, uint64_t cut)
{
    return (n >> 32) * cut + ((n & 0xffffffffu) * cut >> 32);
}

hs_item hs_draw_item(const hs_draw *d, uint64_t number, uint32_t attempt, bool in_order)
{
    uint32_t k = 0;
    for (; k + 1 < d->n_portions; k++) {
        const uint64_t before = taken_of(number, d->portion[k].cut);
        if (taken_of(number + 1, d->portion[k].cut) > before) {
            number = before;
            break;
        }
        number -= before;
    }
    const portion *p = &d->portion[k];
    const uint64_t epoch = number / p->n;
    uint64_t at = number % p->n;
    if (d->shared)
        at = hs_permute(d->seed, ORDER_OF_PORTION + attempt, epoch * d->n_portions + k, p->n, at);
    else if (!in_order)
        at = hs_permute(d->seed, ORDER + attempt, epoch, p->n, at);
    uint32_t s = 0;
    while (at >= p->first[s + 1])
        s++;
    return (hs_item){.split = p->split[s], .index = at - p->first[s]};
}
