/* diagnose.c - what a model gets wrong and why: accuracy of each relation pair, and where the wrong two-hop answers break.
 *
 * A wrong answer to (h, r1, r2) has one cause, the first that holds: the model does not know the first fact (asked h, r1 it
 * does not say the bridge); it does not know the second (asked bridge, r2); it knows both, and the lens reads the bridge in a
 * middle state of the query, so the second hop fails; or it knows both and the lens reads none (arXiv 2405.15071, section 3.3). */
#include "experiment/internal.h"
#include "hopscope/interp.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 2000, HOPS = 3 };

/* A sample of a split: n queries with their bridges and right answers. */
typedef struct sample {
    uint32_t n;
    uint32_t *query, *fact, *bridge, *answer, *said, *hop; /* (n,3) (n,2) (n) ... */
    bool *right;
    uint64_t *item;
} sample;

static void sample_free(sample *s)
{
    hs_free(s->query);
    hs_free(s->fact);
    hs_free(s->bridge);
    hs_free(s->answer);
    hs_free(s->said);
    hs_free(s->hop);
    hs_free(s->right);
    hs_free(s->item);
}

static bool is_right(const hs_split *split, uint64_t item, uint32_t said)
{
    if (split->tokens[item * split->width + split->answer] == said)
        return true;
    for (uint64_t k = split->also ? split->also_start[item] : 0; split->also && k < split->also_start[item + 1]; k++)
        if (split->also[k] == said)
            return true;
    return false;
}

static hs_status take(sample *s, const hs_split *split, hs_error *err)
{
    s->n = split->n < MOST ? (uint32_t)split->n : MOST;
    s->query = hs_alloc(s->n * HOPS * sizeof *s->query);
    s->fact = hs_alloc(s->n * 2 * sizeof *s->fact);
    s->bridge = hs_alloc(s->n * sizeof *s->bridge);
    s->answer = hs_alloc(s->n * sizeof *s->answer);
    s->said = hs_alloc(s->n * sizeof *s->said);
    s->hop = hs_alloc(s->n * sizeof *s->hop);
    s->right = hs_alloc(s->n * sizeof *s->right);
    s->item = hs_alloc(s->n * sizeof *s->item);
    if (!s->query || !s->fact || !s->bridge || !s->answer || !s->said || !s->hop || !s->right || !s->item)
        return hs_fail_memory(err, s->n * 9 * sizeof *s->query);
    for (uint32_t i = 0; i < s->n; i++) {
        s->item[i] = split->n * i / s->n; /* spread evenly */
        const uint32_t *item = split->tokens + s->item[i] * split->width;
        memcpy(s->query + (size_t)i * HOPS, item, HOPS * sizeof *s->query);
        s->bridge[i] = split->bridge[s->item[i]];
        s->answer[i] = item[split->answer];
    }
    return HS_OK;
}

static int compare_pairs(const void *a, const void *b)
{
    const hs_pair_result *x = a, *y = b;
    const double share_x = (double)x->right / (double)x->n, share_y = (double)y->right / (double)y->n;
    if (share_x != share_y)
        return share_x < share_y ? -1 : 1;
    if (x->n != y->n)
        return x->n > y->n ? -1 : 1;
    const int first = strcmp(x->r1, y->r1);
    return first ? first : strcmp(x->r2, y->r2);
}

static int compare_query(const void *a, const void *b)
{
    const uint32_t *const *x = a, *const *y = b; /* queries that begin at *x, *y */
    if ((*x)[1] != (*y)[1])
        return (*x)[1] < (*y)[1] ? -1 : 1;
    if ((*x)[2] != (*y)[2])
        return (*x)[2] < (*y)[2] ? -1 : 1;
    return *x < *y ? -1 : *x > *y;
}

static hs_status count_pairs(const sample *s, const hs_dataset *data, hs_why *out, hs_error *err)
{
    const uint32_t **order = hs_alloc(s->n * sizeof *order);
    out->pair = hs_calloc(s->n, sizeof *out->pair);
    if (!order || !out->pair) {
        hs_free(order);
        return hs_fail_memory(err, s->n * sizeof *out->pair);
    }
    for (uint32_t i = 0; i < s->n; i++)
        order[i] = s->query + (size_t)i * HOPS;
    if (s->n > 1)
        qsort(order, s->n, sizeof *order, compare_query);
    for (uint32_t i = 0; i < s->n; i++) {
        if (i == 0 || order[i][1] != order[i - 1][1] || order[i][2] != order[i - 1][2]) {
            hs_pair_result *p = &out->pair[out->n_pairs++];
            snprintf(p->r1, sizeof p->r1, "%s", hs_names_get(&data->vocab, order[i][1]));
            snprintf(p->r2, sizeof p->r2, "%s", hs_names_get(&data->vocab, order[i][2]));
        }
        hs_pair_result *p = &out->pair[out->n_pairs - 1];
        p->n++;
        p->right += s->right[(order[i] - s->query) / HOPS];
    }
    hs_free(order);
    if (out->n_pairs > 1)
        qsort(out->pair, out->n_pairs, sizeof *out->pair, compare_pairs);
    return HS_OK;
}

/* Keep the wrong ones at the front: what follows asks about those only. */
static uint32_t keep_wrong(sample *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->right[i])
            continue;
        memmove(s->query + (size_t)n * HOPS, s->query + (size_t)i * HOPS, HOPS * sizeof *s->query);
        s->bridge[n] = s->bridge[i];
        s->answer[n++] = s->answer[i];
    }
    return n;
}

static hs_status find_causes(const hs_model *model, hs_pool *pool, sample *s, hs_why *out, hs_error *err)
{
    const uint32_t n = keep_wrong(s), S = model->n_stages;
    for (uint32_t i = 0; i < n; i++)
        memcpy(s->fact + 2 * i, s->query + (size_t)i * HOPS, 2 * sizeof *s->fact);
    HS_TRY(hs_model_predict(model, pool, n, 2, s->fact, s->said, err));
    for (uint32_t i = 0; i < n; i++) {
        s->fact[2 * i] = s->bridge[i];
        s->fact[2 * i + 1] = s->query[(size_t)i * HOPS + 2];
    }
    HS_TRY(hs_model_predict(model, pool, n, 2, s->fact, s->hop, err));
    out->lens = S >= 2;
    bool *found = hs_calloc((size_t)n + 1, sizeof *found);
    if (!found)
        return hs_fail_memory(err, n * sizeof *found);
    hs_status status = out->lens ? hs_lens_found(model, pool, n, HOPS, s->query, 1, s->bridge, found, err) : HS_OK;
    for (uint32_t i = 0; i < n && status == HS_OK; i++) {
        if (s->said[i] != s->bridge[i])
            out->first_fact_unknown++;
        else if (s->hop[i] != s->answer[i])
            out->second_fact_unknown++;
        else if (found[i])
            out->second_hop_failed++;
        else
            out->no_bridge++;
    }
    hs_free(found);
    return status;
}

static hs_status diagnose_split(const hs_model *model, const hs_dataset *data, const hs_split *split, hs_pool *pool,
                                hs_why *out, hs_error *err)
{
    sample s = {0};
    snprintf(out->split, sizeof out->split, "%s", split->name);
    hs_status status = take(&s, split, err);
    if (status == HS_OK)
        status = hs_model_predict(model, pool, s.n, HOPS, s.query, s.said, err);
    for (uint32_t i = 0; status == HS_OK && i < s.n; i++) {
        s.right[i] = is_right(split, s.item[i], s.said[i]);
        out->right += s.right[i];
    }
    out->n = s.n;
    if (status == HS_OK)
        status = count_pairs(&s, data, out, err);
    if (status == HS_OK && out->right < out->n)
        status = find_causes(model, pool, &s, out, err);
    sample_free(&s);
    return status;
}

/* Two-hop queries of one token an entity: the ones whose hops can be asked one by one. */
static bool can_be_diagnosed(const hs_dataset *data, const hs_split *split)
{
    return !data->text && split->role == HS_SPLIT_TEST && split->kind == HS_ITEM_QUERY && split->hops == 2 &&
           split->prompt == HOPS && split->bridges == 1 && split->bridge && split->answers == 1 &&
           data->tokens_per_entity == 1 && split->n > 0;
}

hs_status hs_run_diagnose(const hs_model *model, const hs_dataset *data, hs_pool *pool, hs_diagnosis *out,
                          hs_error *err)
{
    memset(out, 0, sizeof *out);
    out->split = hs_calloc(data->n_splits ? data->n_splits : 1, sizeof *out->split);
    if (!out->split)
        return hs_fail_memory(err, data->n_splits * sizeof *out->split);
    hs_status status = HS_OK;
    for (uint32_t i = 0; i < data->n_splits && status == HS_OK; i++)
        if (can_be_diagnosed(data, &data->splits[i]))
            status = diagnose_split(model, data, &data->splits[i], pool, &out->split[out->n_splits++], err);
    if (status != HS_OK)
        hs_diagnosis_free(out);
    return status;
}

void hs_diagnosis_free(hs_diagnosis *d)
{
    for (uint32_t i = 0; d->split && i < d->n_splits; i++)
        hs_free(d->split[i].pair);
    hs_free(d->split);
    memset(d, 0, sizeof *d);
}

void hs_diagnosis_text(const hs_diagnosis *d, uint32_t worst, hs_str *out)
{
    for (uint32_t i = 0; i < d->n_splits; i++) {
        const hs_why *w = &d->split[i];
        const uint64_t wrong = w->n - w->right;
        if (wrong == 0)
            continue;
        hs_str_addf(out, "\n%s: %llu of %llu wrong. First fact not known: %llu; second fact not known: %llu", w->split,
                    (unsigned long long)wrong, (unsigned long long)w->n, (unsigned long long)w->first_fact_unknown,
                    (unsigned long long)w->second_fact_unknown);
        if (w->lens)
            hs_str_addf(out, ";\n  both known: bridge found, second hop wrong: %llu; no bridge in the lens: %llu\n",
                        (unsigned long long)w->second_hop_failed, (unsigned long long)w->no_bridge);
        else
            hs_str_addf(out, "; both known: %llu\n", (unsigned long long)w->no_bridge);
        for (uint32_t p = 0; p < w->n_pairs && p < worst; p++) {
            const hs_pair_result *r = &w->pair[p];
            if (r->right == r->n)
                break;
            hs_str_addf(out, "  %5.3f  %s · %s (%llu queries)\n", (double)r->right / (double)r->n, r->r1, r->r2,
                        (unsigned long long)r->n);
        }
    }
}

void hs_diagnosis_json(const hs_diagnosis *d, hs_str *out)
{
    hs_str_addf(out, "[");
    for (uint32_t i = 0; i < d->n_splits; i++) {
        const hs_why *w = &d->split[i];
        hs_str_addf(out, "%s{\"split\": ", i ? ", " : "");
        hs_str_add_json(out, w->split, strlen(w->split));
        hs_str_addf(out,
                    ", \"n\": %llu, \"right\": %llu, \"first_fact_unknown\": %llu, \"second_fact_unknown\": %llu, ",
                    (unsigned long long)w->n, (unsigned long long)w->right, (unsigned long long)w->first_fact_unknown,
                    (unsigned long long)w->second_fact_unknown);
        hs_str_addf(out, "\"second_hop_failed\": %llu, \"no_bridge\": %llu, \"lens\": %s, \"pairs\": [",
                    (unsigned long long)w->second_hop_failed, (unsigned long long)w->no_bridge,
                    w->lens ? "true" : "false");
        for (uint32_t p = 0; p < w->n_pairs; p++) {
            hs_str_addf(out, "%s{\"r1\": ", p ? ", " : "");
            hs_str_add_json(out, w->pair[p].r1, strlen(w->pair[p].r1));
            hs_str_addf(out, ", \"r2\": ");
            hs_str_add_json(out, w->pair[p].r2, strlen(w->pair[p].r2));
            hs_str_addf(out, ", \"n\": %llu, \"right\": %llu}", (unsigned long long)w->pair[p].n,
                        (unsigned long long)w->pair[p].right);
        }
        hs_str_addf(out, "]}");
    }
    hs_str_addf(out, "]");
}
