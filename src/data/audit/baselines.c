/* baselines.c - how far shortcuts get on a test split: majorities over parts of the prompt, and the nearest training
 * query.
 *
 * A grouping is a set of prompt columns. Only groups that occur in a test split matter; the training answers of each
 * such group are gathered by a counting sort (linear passes, no map of counts), and its commonest answer is taken. The
 * leave-one-out groupings together hold every training query at distance one from a test query. A grouping that serves
 * several baselines is made once; where the head is among its columns, training queries whose head no test has are
 * passed over. */
#include "data/audit/audit.h"

#include <math.h>
#include <string.h>

enum { MAX_OUT = HS_MAX_HOPS + 1 };
#define NO_GROUP UINT32_MAX
#define NO_ANSWER UINT32_MAX

/* Training splits of one form, test splits of one form. */
typedef struct family {
    const hs_dataset *data;
    hs_audit_split *audit;
    const hs_split *form;
    uint32_t n_train, n_test, *train, *test; /* indices of splits */
    uint64_t n_train_items, n_test_items;
    uint32_t n_codes;   /* answers are coded 0..n_codes */
    uint32_t *counts;   /* (n_codes) zero between uses */
    uint32_t head;      /* columns of the head */
    uint8_t *tested;    /* (vocab) the first token of the head of some test item */
    uint32_t *of_train; /* (training items) scratch of gather_all, or NULL */
} family;

typedef struct grouping {
    uint32_t columns;
    uint32_t n_groups;
    uint32_t *of_test; /* (test items) */
    uint64_t *start;   /* (n_groups + 1) into answer */
    uint32_t *answer;  /* training answers by group */
    uint32_t *best;    /* (n_groups) */
    /* while building */
    uint32_t n_slots, *slot;
    uint64_t *key; /* (n_slots) */
} grouping;

static uint32_t answer_code(const family *f, const hs_split *s, uint64_t i)
{
    const uint32_t *answer = s->tokens + i * s->width + s->answer;
    if (f->data->tokens_per_entity < 2 || s->kind != HS_ITEM_QUERY)
        return answer[0];
    uint32_t entity = hs_dataset_entity_of(f->data, answer);
    return entity < f->n_codes ? entity : 0;
}

/* Groups are told apart by a 64-bit hash of their tokens. */
static uint64_t group_key(const uint32_t *tokens, uint32_t columns)
{
    uint64_t key = 0x9e3779b97f4a7c15u;
    for (; columns; columns &= columns - 1) {
        key = (key ^ tokens[__builtin_ctz(columns)]) * 0xd6e8feb86659fd93u;
        key ^= key >> 32;
    }
    return key | 1;
}

static uint32_t find_group(const grouping *g, uint64_t key)
{
    uint32_t mask = g->n_slots - 1;
    for (uint32_t at = (uint32_t)(key >> 8) & mask; g->slot[at]; at = (at + 1) & mask)
        if (g->key[at] == key)
            return g->slot[at] - 1;
    return NO_GROUP;
}

static void add_group(grouping *g, uint64_t key, uint32_t *group)
{
    uint32_t mask = g->n_slots - 1, at = (uint32_t)(key >> 8) & mask;
    for (; g->slot[at]; at = (at + 1) & mask) {
        if (g->key[at] == key) {
            *group = g->slot[at] - 1;
            return;
        }
    }
    g->key[at] = key;
    *group = g->n_groups;
    g->slot[at] = ++g->n_groups;
}

static void grouping_free(grouping *g)
{
    hs_free(g->of_test);
    hs_free(g->start);
    hs_free(g->answer);
    hs_free(g->best);
    hs_free(g->slot);
    hs_free(g->key);
    *g = (grouping){0};
}

static hs_status name_groups(grouping *g, const family *f, uint32_t columns, hs_error *err)
{
    uint64_t slots = 64;
    while (slots < f->n_test_items * 2)
        slots *= 2;
    g->n_slots = (uint32_t)slots;
    g->slot = hs_calloc(slots, sizeof *g->slot);
    g->key = hs_alloc(slots * sizeof *g->key);
    g->of_test = hs_alloc((f->n_test_items + 1) * sizeof *g->of_test);
    if (!g->slot || !g->key || !g->of_test)
        return hs_fail_memory(err, slots * 12);
    uint64_t number = 0;
    for (uint32_t k = 0; k < f->n_test; k++) {
        const hs_split *s = &f->data->splits[f->test[k]];
        for (uint64_t i = 0; i < s->n; i++)
            add_group(g, group_key(s->tokens + i * s->width, columns), &g->of_test[number++]);
    }
    return HS_OK;
}

/* start[group + 2] has the sizes of the groups: room for the answers, and start[group + 1] becomes the next free place
 * of a group, which ends as the group's end. */
static hs_status lay_out(grouping *g, uint64_t matched, hs_error *err)
{
    g->answer = hs_alloc((matched + 1) * sizeof *g->answer);
    if (!g->answer)
        return hs_fail_memory(err, matched * sizeof *g->answer);
    for (uint32_t i = 1; i <= g->n_groups; i++)
        g->start[i + 1] += g->start[i];
    return HS_OK;
}

/* Of the training items with a tested head: few, listed as (group, answer). */
static hs_status gather_tested(grouping *g, const family *f, hs_error *err)
{
    struct match {
        uint32_t group, answer;
    } *list = NULL;
    size_t n = 0, cap = 0;
    uint32_t head = (uint32_t)__builtin_ctz(f->head);
    hs_status status = HS_OK;
    for (uint32_t k = 0; k < f->n_train && status == HS_OK; k++) {
        const hs_split *s = &f->data->splits[f->train[k]];
        for (uint64_t i = 0; i < s->n && status == HS_OK; i++) {
            const uint32_t *tokens = s->tokens + i * s->width;
            uint32_t group = f->tested[tokens[head]] ? find_group(g, group_key(tokens, g->columns)) : NO_GROUP;
            if (group == NO_GROUP)
                continue;
            status = hs_grow((void **)&list, &cap, n + 1, sizeof *list, err);
            if (status == HS_OK)
                list[n++] = (struct match){group, answer_code(f, s, i)};
            g->start[group + 2]++;
        }
    }
    if (status == HS_OK)
        status = lay_out(g, n, err);
    for (size_t i = 0; status == HS_OK && i < n; i++)
        g->answer[g->start[list[i].group + 1]++] = list[i].answer;
    hs_free(list);
    return status;
}

/* Of all training items. */
static hs_status gather_all(grouping *g, family *f, hs_error *err)
{
    if (!f->of_train)
        f->of_train = hs_alloc((f->n_train_items + 1) * sizeof *f->of_train);
    if (!f->of_train)
        return hs_fail_memory(err, f->n_train_items * sizeof *f->of_train);
    uint64_t number = 0, matched = 0;
    for (uint32_t k = 0; k < f->n_train; k++) {
        const hs_split *s = &f->data->splits[f->train[k]];
        for (uint64_t i = 0; i < s->n; i++) {
            uint32_t group = find_group(g, group_key(s->tokens + i * s->width, g->columns));
            f->of_train[number++] = group;
            if (group == NO_GROUP)
                continue;
            g->start[group + 2]++;
            matched++;
        }
    }
    HS_TRY(lay_out(g, matched, err));
    number = 0;
    for (uint32_t k = 0; k < f->n_train; k++) {
        const hs_split *s = &f->data->splits[f->train[k]];
        for (uint64_t i = 0; i < s->n; i++, number++)
            if (f->of_train[number] != NO_GROUP)
                g->answer[g->start[f->of_train[number] + 1]++] = answer_code(f, s, i);
    }
    return HS_OK;
}

/* Adds the answers of a range to the vote; *best has *most votes. */
static void vote(const family *f, const uint32_t *answer, uint64_t n, uint32_t *best, uint32_t *most)
{
    for (uint64_t i = 0; i < n; i++) {
        uint32_t votes = ++f->counts[answer[i]];
        if (votes > *most || (votes == *most && answer[i] < *best)) {
            *most = votes;
            *best = answer[i];
        }
    }
}

static void clear_votes(const family *f, const uint32_t *answer, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        f->counts[answer[i]] = 0;
}

static hs_status make_grouping(grouping *g, family *f, uint32_t columns, hs_error *err)
{
    *g = (grouping){.columns = columns};
    HS_TRY(name_groups(g, f, columns, err));
    g->start = hs_calloc((size_t)g->n_groups + 2, sizeof *g->start);
    g->best = hs_alloc(((size_t)g->n_groups + 1) * sizeof *g->best);
    if (!g->start || !g->best)
        return hs_fail_memory(err, g->n_groups * sizeof *g->start);
    HS_TRY(columns & f->head ? gather_tested(g, f, err) : gather_all(g, f, err));
    for (uint32_t i = 0; i < g->n_groups; i++) {
        uint32_t most = 0;
        uint64_t n = g->start[i + 1] - g->start[i];
        g->best[i] = NO_ANSWER;
        vote(f, g->answer + g->start[i], n, &g->best[i], &most);
        clear_votes(f, g->answer + g->start[i], n);
    }
    return HS_OK;
}

static bool is_right(const family *f, const hs_split *s, uint64_t i, uint32_t guess)
{
    if (guess == NO_ANSWER)
        return false;
    bool right = guess == answer_code(f, s, i);
    for (uint64_t a = s->also_start ? s->also_start[i] : 0; s->also_start && a < s->also_start[i + 1]; a++)
        right |= s->also[a] == guess;
    return right;
}

/* Accuracy per test split of one guess a test item, into the field of hs_baselines at `field`. */
static void score(const family *f, size_t field, const grouping *g, const uint32_t *guess)
{
    uint64_t number = 0;
    for (uint32_t k = 0; k < f->n_test; k++) {
        const hs_split *s = &f->data->splits[f->test[k]];
        uint64_t right = 0;
        for (uint64_t i = 0; i < s->n; i++, number++)
            right += is_right(f, s, i, g ? g->best[g->of_test[number]] : guess[number]);
        double *out = (double *)(void *)((char *)&f->audit[f->test[k]].baselines + field);
        *out = s->n ? (double)right / (double)s->n : (double)NAN;
    }
}

/* The commonest answer of all training items: no group needs to be gathered. */
static void score_class(const family *f)
{
    uint32_t best = NO_ANSWER, most = 0;
    for (uint32_t k = 0; k < f->n_train; k++) {
        const hs_split *s = &f->data->splits[f->train[k]];
        for (uint64_t i = 0; i < s->n; i++) {
            uint32_t answer = answer_code(f, s, i);
            vote(f, &answer, 1, &best, &most);
        }
    }
    memset(f->counts, 0, ((size_t)f->n_codes + 1) * sizeof *f->counts);
    for (uint32_t k = 0; k < f->n_test; k++) {
        const hs_split *s = &f->data->splits[f->test[k]];
        uint64_t right = 0;
        for (uint64_t i = 0; i < s->n; i++)
            right += is_right(f, s, i, best);
        f->audit[f->test[k]].baselines.majority_class = s->n ? (double)right / (double)s->n : (double)NAN;
    }
}

/* The vote of the groupings near[0..n), else the best answer of `fallback`. */
static hs_status score_nearest(const family *f, const grouping *const *near, uint32_t n, const grouping *fallback,
                               hs_error *err)
{
    uint32_t *guess = hs_alloc((f->n_test_items + 1) * sizeof *guess);
    if (!guess)
        return hs_fail_memory(err, f->n_test_items * sizeof *guess);
    for (uint64_t i = 0; i < f->n_test_items; i++) {
        uint32_t best = NO_ANSWER, most = 0;
        for (uint32_t k = 0; k < n; k++) {
            const uint64_t *start = near[k]->start + near[k]->of_test[i];
            vote(f, near[k]->answer + start[0], start[1] - start[0], &best, &most);
        }
        for (uint32_t k = 0; k < n; k++) {
            const uint64_t *start = near[k]->start + near[k]->of_test[i];
            clear_votes(f, near[k]->answer + start[0], start[1] - start[0]);
        }
        guess[i] = best == NO_ANSWER ? fallback->best[fallback->of_test[i]] : best;
    }
    score(f, offsetof(hs_baselines, nearest), NULL, guess);
    hs_free(guess);
    return HS_OK;
}

/* Groupings made so far; each set of columns once. */
typedef struct groupings {
    grouping list[MAX_OUT + 5];
    uint32_t n;
} groupings;

static hs_status grouping_of(groupings *all, family *f, uint32_t columns, const grouping **out, hs_error *err)
{
    for (uint32_t i = 0; i < all->n; i++) {
        *out = &all->list[i];
        if (all->list[i].columns == columns)
            return HS_OK;
    }
    *out = &all->list[all->n++];
    return make_grouping(&all->list[all->n - 1], f, columns, err);
}

/* The columns of the prompt by role: entities, then relations. Returns their number; *path gets the relations. */
static uint32_t positions(const family *f, uint32_t mask[MAX_OUT + 1], uint32_t *path)
{
    hs_role roles[HS_MAX_ROLES];
    uint32_t n = hs_split_roles(f->data, f->form, roles), n_prompt = 0;
    *path = 0;
    for (uint32_t k = 0; k < n; k++) {
        if (roles[k].column >= f->form->prompt || n_prompt > MAX_OUT)
            continue;
        mask[n_prompt] = ((1u << roles[k].n_tokens) - 1) << roles[k].column;
        *path |= roles[k].relation ? mask[n_prompt] : 0;
        n_prompt++;
    }
    return n_prompt;
}

static hs_status measure_by(family *f, groupings *all, const uint32_t *mask, uint32_t n, uint32_t path, hs_error *err)
{
    uint32_t columns = 0, head = mask[0], last = mask[n - 1];
    const struct {
        uint32_t columns;
        size_t field;
    } MAJORITY[] = {{path, offsetof(hs_baselines, majority_r1r2)},
                    {last, offsetof(hs_baselines, majority_r2)},
                    {head, offsetof(hs_baselines, majority_h)},
                    {head | last, offsetof(hs_baselines, majority_hr2)}};
    const grouping *g, *near[MAX_OUT + 1];
    for (uint32_t k = 0; k < n; k++)
        columns |= mask[k];
    for (size_t k = 0; k < sizeof MAJORITY / sizeof MAJORITY[0]; k++) {
        HS_TRY(grouping_of(all, f, MAJORITY[k].columns, &g, err));
        score(f, MAJORITY[k].field, g, NULL);
    }
    for (uint32_t k = 0; k < n; k++)
        HS_TRY(grouping_of(all, f, columns & ~mask[k], &near[k], err));
    HS_TRY(grouping_of(all, f, last, &g, err));
    HS_TRY(score_nearest(f, near, n, g, err));
    score_class(f);
    return HS_OK;
}

static hs_status measure(family *f, hs_error *err)
{
    uint32_t mask[MAX_OUT + 1], path, n = positions(f, mask, &path);
    f->head = mask[0];
    for (uint32_t k = 0; k < f->n_test; k++) {
        const hs_split *s = &f->data->splits[f->test[k]];
        for (uint64_t i = 0; i < s->n; i++)
            f->tested[s->tokens[i * s->width + (uint32_t)__builtin_ctz(f->head)]] = 1;
    }
    groupings all = {0};
    hs_status status = measure_by(f, &all, mask, n, path, err);
    for (uint32_t i = 0; i < all.n; i++)
        grouping_free(&all.list[i]);
    return status;
}

static bool same_form(const hs_split *a, const hs_split *b)
{
    return a->kind == b->kind && a->hops == b->hops && a->prompt == b->prompt && a->answer == b->answer;
}

/* All splits of the form of split `first`, then its baselines. Marks the test splits in `done`. */
static hs_status measure_family(const hs_dataset *data, hs_audit_split *audit, uint32_t first, uint8_t *done,
                                hs_error *err)
{
    family f = {.data = data, .audit = audit, .form = &data->splits[first]};
    f.n_codes = data->vocab.n;
    if (data->tokens_per_entity == 2 && f.n_codes < (data->n_entities / 2) * data->config.token_multiplicity)
        f.n_codes = (data->n_entities / 2) * data->config.token_multiplicity;
    f.train = hs_alloc((size_t)data->n_splits * 2 * sizeof *f.train);
    f.counts = hs_calloc((size_t)f.n_codes + 1, sizeof *f.counts);
    f.tested = hs_calloc((size_t)data->vocab.n + 1, 1);
    if (!f.train || !f.counts || !f.tested) {
        hs_free(f.train);
        hs_free(f.counts);
        hs_free(f.tested);
        return hs_fail_memory(err, f.n_codes * sizeof *f.counts);
    }
    f.test = f.train + data->n_splits;
    for (uint32_t k = 0; k < data->n_splits; k++) {
        const hs_split *s = &data->splits[k];
        if (!same_form(s, f.form))
            continue;
        if (s->role == HS_SPLIT_TRAIN) {
            f.train[f.n_train++] = k;
            f.n_train_items += s->n;
        } else {
            f.test[f.n_test++] = k;
            f.n_test_items += s->n;
            done[k] = 1;
        }
    }
    hs_status status = f.n_test_items < UINT32_MAX / 4
                           ? measure(&f, err)
                           : hs_fail(err, HS_ERR_DATA, "too many test items for the baselines");
    hs_free(f.train);
    hs_free(f.counts);
    hs_free(f.tested);
    hs_free(f.of_train);
    return status;
}

hs_status hs_audit_baselines(const hs_dataset *data, hs_audit_split *split, hs_error *err)
{
    uint8_t *done = hs_calloc((size_t)data->n_splits + 1, 1);
    if (!done)
        return hs_fail_memory(err, data->n_splits);
    hs_status status = HS_OK;
    for (uint32_t k = 0; status == HS_OK && k < data->n_splits; k++) {
        const hs_split *s = &data->splits[k];
        hs_baselines none = {(double)NAN, (double)NAN, (double)NAN, (double)NAN, (double)NAN,
                             (double)NAN, (double)NAN, (double)NAN, (double)NAN, (double)NAN};
        if (!done[k])
            split[k].baselines = none;
        if (s->role == HS_SPLIT_TEST && hs_form_of(s->kind)->query && !done[k])
            status = measure_family(data, split, k, done, err);
    }
    hs_free(done);
    return status;
}

/* ---------------------------------------------------------------- all by name */

void hs_baselines_list(const hs_baselines *b, hs_baseline out[HS_N_BASELINES])
{
    const hs_baseline all[HS_N_BASELINES] = {
        {"majority_r1r2", "the commonest answer of the relation path", b->majority_r1r2},
        {"majority_r2", "the commonest answer of the last relation", b->majority_r2},
        {"majority_h", "the commonest answer of the head", b->majority_h},
        {"majority_hr2", "the commonest answer of head and last relation", b->majority_hr2},
        {"nearest", "the training queries that differ in one token", b->nearest},
        {"majority_class", "the commonest answer", b->majority_class},
        {"own_tails", "a tail of one of the head's own facts", b->own_tails},
        {"own_relation", "another fact of the head", b->own_relation},
        {"fact_r2", "the commonest tail of the last relation", b->fact_r2},
        {"random_tail", "a random tail of the last relation", b->random_tail},
    };
    memcpy(out, all, sizeof all);
}

hs_baseline hs_baselines_best(const hs_baselines *b)
{
    hs_baseline all[HS_N_BASELINES], best = {"", "", (double)NAN};
    hs_baselines_list(b, all);
    for (uint32_t i = 0; i < HS_N_BASELINES; i++)
        if (isfinite(all[i].value) && !(best.value >= all[i].value))
            best = all[i];
    return best;
}

bool hs_baselines_explain(const hs_baselines *b)
{
    /* where facts say nothing the answers are labels, and guessing one is right often */
    double chance = isnan(b->random_tail) && isfinite(b->majority_class) ? b->majority_class : 0;
    return hs_baselines_best(b).value >= chance + (1 - chance) / 2;
}
