/* pairs.c - candidates of the comparison tasks: classes, keys, sampling.
 * The split of a pair is drawn once for both orders, so the flip of a test comparison is never trained. Keys belong to
 * ordered pairs. Both come from a random stream named by (attribute, first member): no dependence on threads. */
#include "data/comparison/pairs.h"

#include <math.h>
#include <string.h>

#define PURPOSE_PAIR HS_PURPOSE('P', 'A', 'I', 'R')
#define PURPOSE_OOD HS_PURPOSE('O', 'O', 'D', 'E')

enum { ROWS_PER_TASK = 16, MAX_BALANCED = 1000 };

uint64_t hs_pair_at(const hs_pairs *p, uint32_t a, uint32_t i, uint32_t j)
{
    uint64_t m = p->member_start[a + 1] - p->member_start[a];
    return p->base[a] + i * (m - 1) + j - (j > i);
}

/* ---------------------------------------------------------------- members */

static hs_status collect_members(hs_pairs *p, hs_error *err)
{
    const hs_dataset *d = p->out;
    uint64_t n = d->n_facts;
    p->member_start = hs_calloc((size_t)p->n_attributes + 2, sizeof *p->member_start);
    p->entity = hs_alloc((n + 1) * sizeof *p->entity);
    p->value = hs_alloc((n + 1) * sizeof *p->value);
    p->flags = hs_alloc(n + 1);
    p->base = hs_calloc((size_t)p->n_attributes + 1, sizeof *p->base);
    if (!p->member_start || !p->entity || !p->value || !p->flags || !p->base)
        return hs_fail_memory(err, n * sizeof *p->entity);
    for (uint64_t i = 0; i < n; i++)
        p->member_start[d->facts[i].relation - d->n_entities + 2]++;
    for (uint32_t a = 0; a < p->n_attributes; a++)
        p->member_start[a + 2] += p->member_start[a + 1];
    for (uint64_t i = 0; i < n; i++) { /* member_start[a + 1] is the next free place, and ends as the end of a */
        uint32_t at = p->member_start[d->facts[i].relation - d->n_entities + 1]++;
        p->entity[at] = d->facts[i].head;
        p->value[at] = d->facts[i].tail;
        p->flags[at] = d->fact_flags[i];
    }
    for (uint32_t a = 0; a < p->n_attributes; a++) {
        uint64_t m = p->member_start[a + 1] - p->member_start[a];
        p->base[a + 1] = p->base[a] + (m > 0 ? m * (m - 1) : 0);
    }
    if (p->base[p->n_attributes] < UINT32_MAX)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "too many pairs of entities (%llu)", (unsigned long long)p->base[p->n_attributes]);
    return hs_error_hint(err, "possible: up to 4,294,967,294; fewer entities or attributes, or a part of the graph");
}

/* Per attribute, exactly round(fraction * m) of its real members are OOD (of all, when synthetic ones may be tested).
 */
static void mark_ood(hs_pairs *p)
{
    hs_dataset *d = p->out;
    for (uint32_t a = 0; a < p->n_attributes; a++) {
        uint32_t first = p->member_start[a], last = p->member_start[a + 1], m = 0, ordinal = 0;
        uint8_t barred = p->config->test_real_only ? HS_FACT_SYNTHETIC : 0;
        for (uint32_t i = first; i < last; i++)
            m += !(p->flags[i] & barred);
        uint64_t wanted = (uint64_t)llround(p->config->ood_fraction * m);
        for (uint32_t i = first; i < last; i++) {
            if (p->flags[i] & barred)
                continue;
            if (wanted > 0 && hs_permute(p->config->seed, PURPOSE_OOD, a, m, ordinal) < wanted)
                p->flags[i] |= HS_FACT_OOD;
            ordinal++;
        }
    }
    for (uint64_t i = 0; i < d->n_facts; i++) /* facts are sorted by head: the members of an attribute are, too */
        d->fact_flags[i] &= (uint8_t)~HS_FACT_OOD;
    for (uint32_t a = 0; a < p->n_attributes; a++) {
        for (uint32_t i = p->member_start[a]; i < p->member_start[a + 1]; i++) {
            uint64_t first, last;
            hs_dataset_facts_of(d, p->entity[i], d->n_entities + a, &first, &last);
            if (first < last && p->flags[i] & HS_FACT_OOD)
                d->fact_flags[first] |= HS_FACT_OOD;
        }
    }
}

hs_status hs_pairs_init(hs_pairs *p, hs_error *err)
{
    p->n_attributes = p->out->n_relations;
    p->cells = 1;
    if (p->balanced) {
        if (p->n_attributes > MAX_BALANCED) {
            hs_fail(err, HS_ERR_DATA, "labels are balanced for up to %d attributes", MAX_BALANCED);
            hs_error_where(err, "data.balance");
            return hs_error_hint(err, "possible: fewer attributes, or balance none");
        }
        p->cells = p->n_attributes * HS_N_LABELS;
    }
    HS_TRY(hs_compare_init(&p->compare, p->out, err));
    HS_TRY(collect_members(p, err));
    mark_ood(p);
    return HS_OK;
}

void hs_pairs_free(hs_pairs *p)
{
    hs_compare_free(&p->compare);
    hs_free(p->member_start);
    hs_free(p->entity);
    hs_free(p->value);
    hs_free(p->flags);
    hs_free(p->base);
    hs_free(p->cat);
    hs_free(p->key);
}

/* ---------------------------------------------------------------- classes */

/* The class of an unordered pair; HS_CAT_NONE if it has no use. */
static uint16_t class_of(const hs_pairs *p, uint8_t flags1, uint8_t flags2, bool held_out)
{
    uint32_t ood = (flags1 & HS_FACT_OOD ? 1u : 0u) + (flags2 & HS_FACT_OOD ? 1u : 0u);
    bool testable = !(p->config->test_real_only && (flags1 | flags2) & HS_FACT_SYNTHETIC);
    if (ood == 2)
        return testable ? HS_PAIR_TEST_OOD : HS_CAT_NONE;
    if (ood == 1)
        return p->complex ? HS_PAIR_CROSS : HS_CAT_NONE;
    return held_out && testable ? HS_PAIR_TEST_ID : HS_PAIR_TRAIN;
}

static uint16_t cat_of(const hs_pairs *p, uint16_t class, uint32_t a, uint32_t v1, uint32_t v2)
{
    int label = class == HS_CAT_NONE ? -1 : hs_compare_code(&p->compare, a, v1, v2);
    if (label < 0)
        return HS_CAT_NONE;
    return (uint16_t)(class * p->cells + (p->balanced ? a * HS_N_LABELS + (uint32_t)label : 0));
}

static void classify_row(const hs_pairs *p, uint32_t a, uint32_t i)
{
    uint32_t first = p->member_start[a], m = p->member_start[a + 1] - first;
    uint64_t bound = (uint64_t)(p->config->holdout * 4294967296.0);
    hs_rng rng;
    hs_rng_init(&rng, p->config->seed, PURPOSE_PAIR, a, i);
    for (uint32_t j = i + 1; j < m; j++) {
        uint64_t ij = hs_pair_at(p, a, i, j), ji = hs_pair_at(p, a, j, i);
        bool held_out = hs_rng_u32(&rng) < bound;
        uint16_t class = class_of(p, p->flags[first + i], p->flags[first + j], held_out);
        p->key[ij] = hs_rng_u32(&rng);
        p->key[ji] = hs_rng_u32(&rng);
        p->cat[ij] = cat_of(p, class, a, p->value[first + i], p->value[first + j]);
        p->cat[ji] = cat_of(p, class, a, p->value[first + j], p->value[first + i]);
    }
}

static void classify_task(void *user, uint32_t task, uint32_t worker)
{
    const hs_pairs *p = user;
    (void)worker;
    uint32_t total = p->member_start[p->n_attributes], a = 0;
    for (uint32_t row = task * ROWS_PER_TASK; row < (task + 1) * ROWS_PER_TASK && row < total; row++) {
        while (p->member_start[a + 1] <= row)
            a++;
        classify_row(p, a, row - p->member_start[a]);
    }
}

hs_status hs_pairs_classify(hs_pairs *p, hs_error *err)
{
    uint64_t n = p->base[p->n_attributes];
    p->cat = hs_alloc((size_t)(n + 1) * sizeof *p->cat);
    p->key = hs_alloc((size_t)(n + 1) * sizeof *p->key);
    if (!p->cat || !p->key)
        return hs_fail_memory(err, (size_t)n * sizeof *p->key);
    uint32_t rows = p->member_start[p->n_attributes];
    hs_pool_run(p->pool, (rows + ROWS_PER_TASK - 1) / ROWS_PER_TASK, classify_task, p);
    return HS_OK;
}

/* ---------------------------------------------------------------- sampling */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Limits of the labels of one attribute and class. The two main labels (same/different, or earlier/later) get the same
 * number; "same" of an ordered attribute at most a third. With `fill`, what one main label lacks the other gives. */
static void share_labels(const hs_pairs *p, uint32_t a, const uint64_t *have, uint64_t wanted, bool fill,
                         uint64_t *limit)
{
    bool ordered = p->compare.table || p->compare.ordered[a];
    uint32_t x = ordered ? HS_LABEL_LESS : HS_LABEL_SAME, y = ordered ? HS_LABEL_MORE : HS_LABEL_DIFFERENT;
    memset(limit, 0, HS_N_LABELS * sizeof *limit);
    uint64_t both = min_u64(have[x], have[y]), rest = wanted;
    if (ordered) {
        limit[HS_LABEL_SAME] = min_u64(have[HS_LABEL_SAME], wanted == UINT64_MAX ? both : wanted / 3);
        rest = wanted == UINT64_MAX ? wanted : wanted - limit[HS_LABEL_SAME];
    }
    limit[x] = min_u64(both, rest == UINT64_MAX ? rest : rest / 2);
    limit[y] = min_u64(both, rest == UINT64_MAX ? rest : rest - rest / 2);
    if (!fill || rest == UINT64_MAX)
        return;
    uint64_t missing = rest - limit[x] - limit[y];
    uint64_t more = min_u64(missing, have[y] - limit[y]);
    limit[y] += more;
    limit[x] += min_u64(missing - more, have[x] - limit[x]);
}

static hs_status count_cats(const hs_pairs *p, uint64_t **have, uint64_t **limit, hs_error *err)
{
    uint32_t n_cats = HS_N_PAIR_CLASSES * p->cells;
    *have = hs_calloc(n_cats, sizeof **have);
    *limit = hs_alloc(n_cats * sizeof **limit);
    if (!*have || !*limit) {
        hs_free(*have);
        hs_free(*limit);
        return hs_fail_memory(err, n_cats * sizeof **have);
    }
    for (uint64_t i = 0; i < p->base[p->n_attributes]; i++)
        if (p->cat[i] != HS_CAT_NONE)
            (*have)[p->cat[i]]++;
    for (uint32_t c = 0; c < n_cats; c++)
        (*limit)[c] = UINT64_MAX;
    return HS_OK;
}

static hs_status fail_phi(const hs_pairs *p, const char *whose, uint64_t wanted, uint64_t have, uint64_t id,
                          hs_error *err)
{
    hs_fail(err, HS_ERR_DATA, "phi asks for %llu training comparisons%s%s, there are %llu", (unsigned long long)wanted,
            *whose ? " of " : "", whose, (unsigned long long)have);
    hs_error_where(err, "data.phi");
    char text[32];
    snprintf(text, sizeof text, "%.9g", p->config->phi);
    hs_error_value(err, text, strlen(text));
    return hs_error_hint(err, "possible: phi up to %.2f, or 0 for all",
                         id ? floor((double)have / (double)id * 100) / 100 : 0.0);
}

static uint64_t id_members(const hs_pairs *p, uint32_t a)
{
    uint64_t n = 0;
    for (uint32_t i = p->member_start[a]; i < p->member_start[a + 1]; i++)
        n += !(p->flags[i] & HS_FACT_OOD);
    return n;
}

/* Training limits by phi: of all attributes together, or of each attribute when balanced. */
static hs_status limit_by_phi(const hs_pairs *p, const uint64_t *have, uint64_t *limit, hs_error *err)
{
    uint64_t id = 0;
    for (uint32_t a = 0; a < p->n_attributes; a++) {
        uint64_t mine = id_members(p, a), sum = 0;
        id += mine;
        if (!p->balanced)
            continue;
        const uint64_t *cell = have + (size_t)a * HS_N_LABELS;
        for (uint32_t k = 0; k < HS_N_LABELS; k++)
            sum += cell[k];
        uint64_t wanted = p->config->phi == 0 ? UINT64_MAX : (uint64_t)llround(p->config->phi * (double)mine);
        if (wanted != UINT64_MAX && wanted > sum)
            return fail_phi(p, hs_names_get(&p->out->vocab, p->out->n_entities + a), wanted, sum, mine, err);
        share_labels(p, a, cell, wanted, true, limit + (size_t)a * HS_N_LABELS);
    }
    if (p->balanced || p->config->phi == 0 || p->config->quirk_float_phi)
        return HS_OK;
    limit[0] = (uint64_t)llround(p->config->phi * (double)id);
    return limit[0] <= have[0] ? HS_OK : fail_phi(p, "", limit[0], have[0], id, err);
}

hs_status hs_pairs_sample_training(hs_pairs *p, hs_error *err)
{
    uint64_t *have, *limit;
    HS_TRY(count_cats(p, &have, &limit, err));
    hs_status status = HS_OK;
    if (p->complex) {
        limit[HS_PAIR_TRAIN] = (uint64_t)llround(p->config->trained_fraction * (double)have[HS_PAIR_TRAIN]);
        limit[HS_PAIR_CROSS] = (uint64_t)llround(p->config->trained_fraction * (double)have[HS_PAIR_CROSS]);
    } else {
        status = limit_by_phi(p, have, limit, err);
    }
    if (status == HS_OK)
        status = hs_select(p->cat, p->key, p->base[p->n_attributes], limit, HS_N_PAIR_CLASSES * p->cells, err);
    hs_free(have);
    hs_free(limit);
    for (uint64_t i = 0; status == HS_OK && i < p->base[p->n_attributes]; i++)
        if (p->cat[i] != HS_CAT_NONE && p->cat[i] / p->cells <= HS_PAIR_CROSS)
            return HS_OK;
    if (status != HS_OK)
        return status;
    hs_fail(err, HS_ERR_DATA, "there is no comparison to train on");
    hs_error_where(err, "data.attribute_list");
    return hs_error_hint(err, p->balanced ? "a label does not occur, so no balance is possible; try balance none"
                                          : "more entities, or a lower ood_fraction or holdout, may help");
}

hs_status hs_pairs_sample_tests(hs_pairs *p, hs_error *err)
{
    uint64_t *have, *limit, max = p->config->test_max ? p->config->test_max : UINT64_MAX;
    HS_TRY(count_cats(p, &have, &limit, err));
    for (uint32_t class = HS_PAIR_TEST_ID; class <= HS_PAIR_TEST_OOD; class ++) {
        if (!p->balanced) {
            limit[class] = max;
            continue;
        }
        for (uint32_t a = 0; a < p->n_attributes; a++) {
            size_t at = (size_t) class * p->cells + (size_t)a * HS_N_LABELS;
            share_labels(p, a, have + at, max == UINT64_MAX ? max : max / p->n_attributes, false, limit + at);
        }
    }
    for (uint32_t k = 0; p->complex && k < 3; k++)
        limit[HS_PAIR_HARD + k] = p->config->hard_per_label;
    hs_status status = hs_select(p->cat, p->key, p->base[p->n_attributes], limit, HS_N_PAIR_CLASSES * p->cells, err);
    hs_free(have);
    hs_free(limit);
    return status;
}
