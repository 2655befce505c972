/* baselines.c - how far shortcuts get on a test split: majorities over parts of the prompt, and the nearest training
 * query.
 *
 * A grouping is a set of prompt columns. Only groups that occur in a test split matter; the training answers of each
 * such group are gathered by a counting sort (linear passes, no map of counts), and its commonest answer is taken. The
 * three leave-one-out groupings together hold every training query at distance one from a test query. */
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
    uint32_t n_codes; /* answers are coded 0..n_codes */
    uint32_t *counts; /* (n_codes) zero between uses */
} family;

typedef struct grouping {
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

/* Counting sort of the training answers by group. */
static hs_status gather(grouping *g, const family *f, uint32_t columns, hs_error *err)
{
    uint32_t *of_train = hs_alloc((f->n_train_items + 1) * sizeof *of_train);
    g->start = hs_calloc((size_t)g->n_groups + 2, sizeof *g->start);
    if (!of_train || !g->start) {
        hs_free(of_train);
        return hs_fail_memory(err, f->n_train_items * sizeof *of_train);
    }
    uint64_t number = 0, matched = 0;
    for (uint32_t k = 0; k < f->n_train; k++) {
        const hs_split *s = &f->data->splits[f->train[k]];
        for (uint64_t i = 0; i < s->n; i++) {
            uint32_t group = find_group(g, group_key(s->tokens + i * s->width, columns));
            of_train[number++] = group;
            if (group == NO_GROUP)
                continue;
            g->start[group + 2]++;
            matched++;
        }
    }
    g->answer = hs_alloc((matched + 1) * sizeof *g->answer);
    if (!g->answer) {
        hs_free(of_train);
        return hs_fail_memory(err, matched * sizeof *g->answer);
    }
    for (uint32_t i = 1; i <= g->n_groups; i++)
        g->start[i + 1] += g->start[i];
    number = 0; /* start[group + 1] is the next free place, and ends as the group's end */
    for (uint32_t k = 0; k < f->n_train; k++) {
        const hs_split *s = &f->data->splits[f->train[k]];
        for (uint64_t i = 0; i < s->n; i++, number++)
            if (of_train[number] != NO_GROUP)
                g->answer[g->start[of_train[number] + 1]++] = answer_code(f, s, i);
    }
    hs_free(of_train);
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

static hs_status make_grouping(grouping *g, const family *f, uint32_t columns, hs_error *err)
{
    *g = (grouping){0};
    HS_TRY(name_groups(g, f, columns, err));
    HS_TRY(gather(g, f, columns, err));
    g->best = hs_alloc(((size_t)g->n_groups + 1) * sizeof *g->best);
    if (!g->best)
        return hs_fail_memory(err, g->n_groups * sizeof *g->best);
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

static hs_status majority(const family *f, uint32_t columns, size_t field, hs_error *err)
{
    grouping g;
    hs_status status = make_grouping(&g, f, columns, err);
    if (status == HS_OK)
        score(f, field, &g, NULL);
    grouping_free(&g);
    return status;
}

static hs_status nearest(const family *f, const uint32_t *leave_one_out, uint32_t n_out, uint32_t last, hs_error *err)
{
    grouping near[MAX_OUT] = {0}, fallback = {0};
    uint32_t *guess = hs_alloc((f->n_test_items + 1) * sizeof *guess);
    hs_status status = guess ? HS_OK : hs_fail_memory(err, f->n_test_items * sizeof *guess);
    for (uint32_t k = 0; status == HS_OK && k < n_out; k++)
        status = make_grouping(&near[k], f, leave_one_out[k], err);
    if (status == HS_OK)
        status = make_grouping(&fallback, f, last, err);
    for (uint64_t i = 0; status == HS_OK && i < f->n_test_items; i++) {
        uint32_t best = NO_ANSWER, most = 0;
        for (uint32_t k = 0; k < n_out; k++) {
            const uint64_t *start = near[k].start + near[k].of_test[i];
            vote(f, near[k].answer + start[0], start[1] - start[0], &best, &most);
        }
        for (uint32_t k = 0; k < n_out; k++) {
            const uint64_t *start = near[k].start + near[k].of_test[i];
            clear_votes(f, near[k].answer + start[0], start[1] - start[0]);
        }
        guess[i] = best == NO_ANSWER ? fallback.best[fallback.of_test[i]] : best;
    }
    if (status == HS_OK)
        score(f, offsetof(hs_baselines, nearest), NULL, guess);
    for (uint32_t k = 0; k < n_out; k++)
        grouping_free(&near[k]);
    grouping_free(&fallback);
    hs_free(guess);
    return status;
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

static hs_status measure(const family *f, hs_error *err)
{
    uint32_t mask[MAX_OUT + 1], out[MAX_OUT + 1], path, n = positions(f, mask, &path), all = 0;
    for (uint32_t k = 0; k < n; k++)
        all |= mask[k];
    for (uint32_t k = 0; k < n; k++)
        out[k] = all & ~mask[k];
    uint32_t head = mask[0], last = mask[n - 1];
    HS_TRY(majority(f, path, offsetof(hs_baselines, majority_r1r2), err));
    HS_TRY(majority(f, last, offsetof(hs_baselines, majority_r2), err));
    HS_TRY(majority(f, head, offsetof(hs_baselines, majority_h), err));
    HS_TRY(majority(f, head | last, offsetof(hs_baselines, majority_hr2), err));
    HS_TRY(majority(f, 0, offsetof(hs_baselines, majority_class), err));
    return nearest(f, out, n, last, err);
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
    if (!f.train || !f.counts) {
        hs_free(f.train);
        hs_free(f.counts);
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
