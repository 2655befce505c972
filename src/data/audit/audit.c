/* audit.c - proofs by exhaustive check: what a dataset claims is verified on its items and facts as they are.
 *
 * Nothing here trusts how the dataset was made. The test items go into one hash table whose entries are compared token
 * by token, and every training item is looked up in it. Every query is walked over the facts: its answer and bridges
 * must follow, its hops must be ID or OOD as its split says, no OOD fact may be a hop of a training query. */
#include "data/comparison/label.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct proof {
    const hs_dataset *data;
    hs_audit *audit;
    uint64_t *head_start; /* (heads + 1) into data->facts */
    uint32_t n_heads;
    uint8_t *used;  /* (n_facts) bit k: hop k + 1 of some training query */
    uint8_t *met;   /* which further answers of the item at hand are ends of its paths */
    bool all_paths; /* policy `any`: every path of a query counts, not only the one of its bridges */
    hs_compare compare;
    /* test items by prompt */
    uint32_t n_slots;
    uint64_t *slot; /* item number + 1, counted over all test splits; 0 = empty */
    uint32_t *tag;
    uint64_t *test_first; /* (n_splits + 1) number of the first item of a split among the test items */
    uint8_t *hit;         /* (test items) */
} proof;

/* ---------------------------------------------------------------- test queries in training */

enum { MAX_PROMPT = 64 };

/* The prompt as it is compared: the two entities of a comparison in ascending order. */
static const uint32_t *prompt_of(const hs_split *s, uint64_t i, uint32_t *buffer)
{
    const uint32_t *tokens = s->tokens + i * s->width;
    if (s->kind != HS_ITEM_COMPARE || tokens[2] <= tokens[4])
        return tokens;
    memcpy(buffer, tokens, s->prompt * sizeof *buffer);
    buffer[2] = tokens[4];
    buffer[4] = tokens[2];
    return buffer;
}

static const hs_split *test_item(const proof *p, uint64_t number, uint64_t *item, uint32_t *split)
{
    uint32_t lo = 0, hi = p->data->n_splits;
    while (hi - lo > 1) {
        uint32_t mid = (lo + hi) / 2;
        if (p->test_first[mid] <= number)
            lo = mid;
        else
            hi = mid;
    }
    *split = lo;
    *item = number - p->test_first[lo];
    return &p->data->splits[lo];
}

static uint64_t count_tests(proof *p)
{
    uint64_t n = 0;
    for (uint32_t k = 0; k < p->data->n_splits; k++) {
        const hs_split *s = &p->data->splits[k];
        p->test_first[k] = n;
        n += s->role == HS_SPLIT_TEST ? s->n : 0;
    }
    p->test_first[p->data->n_splits] = n;
    return n;
}

static void insert_tests(proof *p)
{
    uint32_t a[MAX_PROMPT], mask = p->n_slots - 1;
    for (uint32_t k = 0; k < p->data->n_splits; k++) {
        const hs_split *s = &p->data->splits[k];
        for (uint64_t i = 0; s->role == HS_SPLIT_TEST && i < s->n; i++) {
            const uint32_t *prompt = prompt_of(s, i, a);
            uint64_t hash = hs_hash(prompt, s->prompt * sizeof *prompt, 0);
            uint32_t at = (uint32_t)hash & mask;
            bool again = false;
            for (; p->slot[at]; at = (at + 1) & mask) {
                uint64_t other;
                uint32_t split;
                const hs_split *o = test_item(p, p->slot[at] - 1, &other, &split);
                again |= o == s && memcmp(s->tokens + i * s->width, s->tokens + other * s->width,
                                          s->prompt * sizeof *prompt) == 0;
            }
            p->audit->split[k].repeated += again;
            p->slot[at] = p->test_first[k] + i + 1;
            p->tag[at] = (uint32_t)(hash >> 32);
        }
    }
}

static void look_up_training(proof *p)
{
    uint32_t a[MAX_PROMPT], b[MAX_PROMPT], mask = p->n_slots - 1;
    for (uint32_t k = 0; k < p->data->n_splits; k++) {
        const hs_split *s = &p->data->splits[k];
        for (uint64_t i = 0; s->role == HS_SPLIT_TRAIN && i < s->n; i++) {
            const uint32_t *prompt = prompt_of(s, i, a);
            uint64_t hash = hs_hash(prompt, s->prompt * sizeof *prompt, 0);
            for (uint32_t at = (uint32_t)hash & mask; p->slot[at]; at = (at + 1) & mask) {
                uint64_t item;
                uint32_t split;
                if (p->tag[at] != (uint32_t)(hash >> 32))
                    continue;
                const hs_split *t = test_item(p, p->slot[at] - 1, &item, &split);
                if (t->prompt == s->prompt && memcmp(prompt_of(t, item, b), prompt, s->prompt * sizeof *prompt) == 0) {
                    p->audit->split[split].in_training += !p->hit[p->slot[at] - 1];
                    p->hit[p->slot[at] - 1] = 1;
                }
            }
        }
    }
}

static hs_status prove_disjoint(proof *p, hs_error *err)
{
    p->test_first = hs_calloc((size_t)p->data->n_splits + 1, sizeof *p->test_first);
    if (!p->test_first)
        return hs_fail_memory(err, 1);
    uint64_t n = count_tests(p), slots = 64;
    while (slots < n * 2)
        slots *= 2;
    if (slots > UINT32_MAX)
        return hs_fail(err, HS_ERR_DATA, "too many test items to check (%llu)", (unsigned long long)n);
    p->n_slots = (uint32_t)slots;
    p->slot = hs_calloc(p->n_slots, sizeof *p->slot);
    p->tag = hs_alloc((size_t)p->n_slots * sizeof *p->tag);
    p->hit = hs_calloc((size_t)n + 1, 1);
    if (!p->slot || !p->tag || !p->hit)
        return hs_fail_memory(err, (size_t)slots * 12);
    insert_tests(p);
    look_up_training(p);
    return HS_OK;
}

/* ---------------------------------------------------------------- walking over the facts */

static hs_status index_heads(proof *p, hs_error *err)
{
    const hs_dataset *d = p->data;
    p->n_heads = d->n_facts ? d->facts[d->n_facts - 1].head + 1 : 0;
    p->head_start = hs_calloc((size_t)p->n_heads + 1, sizeof *p->head_start);
    p->used = hs_calloc((size_t)d->n_facts + 1, 1);
    uint64_t most = 0;
    for (uint32_t k = 0; k < d->n_splits; k++) {
        const hs_split *s = &d->splits[k];
        for (uint64_t i = 0; s->also_start && i < s->n; i++)
            if (s->also_start[i + 1] - s->also_start[i] > most)
                most = s->also_start[i + 1] - s->also_start[i];
    }
    p->met = hs_alloc((size_t)most + 1);
    if (!p->head_start || !p->used || !p->met)
        return hs_fail_memory(err, (size_t)d->n_facts + p->n_heads * sizeof *p->head_start);
    for (uint64_t i = 0; i < d->n_facts; i++)
        p->head_start[d->facts[i].head + 1]++;
    for (uint32_t h = 0; h < p->n_heads; h++)
        p->head_start[h + 1] += p->head_start[h];
    return HS_OK;
}

/* First fact (head, relation, *); facts of the group follow it. Returns the end of the group. */
static uint64_t facts_of(const proof *p, uint32_t head, uint32_t relation, uint64_t *first)
{
    *first = 0;
    if (head >= p->n_heads)
        return 0;
    const hs_fact *facts = p->data->facts;
    uint64_t lo = p->head_start[head], hi = p->head_start[head + 1], end = hi;
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (facts[mid].relation < relation)
            lo = mid + 1;
        else
            hi = mid;
    }
    *first = lo;
    while (lo < end && facts[lo].relation == relation)
        lo++;
    return lo;
}

static uint64_t find_fact(const proof *p, uint32_t head, uint32_t relation, uint32_t tail)
{
    uint64_t first, end = facts_of(p, head, relation, &first);
    for (uint64_t i = first; i < end; i++)
        if (p->data->facts[i].tail == tail)
            return i;
    return UINT64_MAX;
}

typedef struct finding {
    uint32_t ood_mask; /* hop places with an OOD fact */
    uint32_t id_mask;  /* hop places with an ID fact */
    uint32_t ood_hops; /* how many facts are OOD */
    bool synthetic, uncovered;
    bool right; /* answer and bridges follow from the facts */
} finding;

static void note(const proof *p, finding *f, uint64_t fact, uint32_t place)
{
    uint8_t flags = p->data->fact_flags[fact];
    if (flags & HS_FACT_OOD) {
        f->ood_mask |= 1u << place;
        f->ood_hops++;
    } else {
        f->id_mask |= 1u << place;
        f->uncovered |= !(p->used[fact] >> place & 1);
    }
    f->synthetic |= (flags & HS_FACT_SYNTHETIC) != 0;
}

/* Every path of a query with several answers: is each end among the stored answers? `met` marks those that are ends. */
static void walk_all(const proof *p, const hs_split *s, uint64_t i, uint32_t entity, uint32_t place, bool train,
                     finding *f, bool *ends_known)
{
    const hs_dataset *d = p->data;
    const uint32_t *tokens = s->tokens + i * s->width;
    uint64_t first, end = facts_of(p, entity, tokens[1 + place], &first);
    for (uint64_t k = first; k < end; k++) {
        note(p, f, k, place);
        if (train)
            p->used[k] |= (uint8_t)(1u << place);
        uint32_t tail = d->facts[k].tail;
        if (place + 1 < s->hops) {
            walk_all(p, s, i, tail, place + 1, train, f, ends_known);
            continue;
        }
        bool known = tail == tokens[s->answer];
        for (uint64_t a = s->also_start ? s->also_start[i] : 0; s->also_start && a < s->also_start[i + 1]; a++) {
            if (s->also[a] != tail)
                continue;
            p->met[a - s->also_start[i]] = 1;
            known = true;
        }
        *ends_known &= known;
    }
}

/* Walk head -r1-> bridge -r2-> ... -> answer as the item says. */
static finding check_query(const proof *p, const hs_split *s, uint64_t i, bool train)
{
    const hs_dataset *d = p->data;
    uint32_t tpe = d->tokens_per_entity;
    const uint32_t *tokens = s->tokens + i * s->width, *bridge = s->bridge + i * s->bridges;
    finding f = {.right = true};
    uint32_t entity = hs_dataset_entity_of(d, tokens);
    uint64_t path[HS_MAX_HOPS];
    for (uint32_t k = 0; k < s->hops; k++) {
        const uint32_t *next = k + 1 < s->hops ? bridge + k * tpe : tokens + s->answer;
        uint32_t tail = next[0] == HS_PAD ? HS_NO_ID : hs_dataset_entity_of(d, next);
        path[k] = entity == HS_NO_ID || tail == HS_NO_ID ? UINT64_MAX : find_fact(p, entity, tokens[tpe + k], tail);
        if (path[k] == UINT64_MAX) {
            f.right = false;
            return f;
        }
        entity = tail;
    }
    if (p->all_paths || s->also_start) {
        uint64_t n_also = s->also_start ? s->also_start[i + 1] - s->also_start[i] : 0;
        memset(p->met, 0, n_also);
        walk_all(p, s, i, hs_dataset_entity_of(d, tokens), 0, train, &f, &f.right);
        for (uint64_t a = 0; a < n_also; a++)
            f.right &= p->met[a] != 0;
        return f;
    }
    for (uint32_t k = 0; k < s->hops; k++) {
        note(p, &f, path[k], k);
        if (train)
            p->used[path[k]] |= (uint8_t)(1u << k);
    }
    return f;
}

static finding check_fact(const proof *p, const hs_split *s, uint64_t i)
{
    const uint32_t *tokens = s->tokens + i * s->width;
    uint32_t tpe = p->data->tokens_per_entity;
    bool complex = s->kind == HS_ITEM_COMPLEX_FACT;
    uint32_t h = complex ? tokens[1] : hs_dataset_entity_of(p->data, tokens);
    /* values of a generated table are tokens beyond the entities */
    uint32_t t = tpe == 1 ? tokens[s->answer] : hs_dataset_entity_of(p->data, tokens + s->answer);
    uint64_t fact = h == HS_NO_ID ? UINT64_MAX : find_fact(p, h, complex ? tokens[2] : tokens[tpe], t);
    finding f = {.right = fact != UINT64_MAX};
    if (f.right)
        note(p, &f, fact, 0);
    for (uint64_t a = s->also_start ? s->also_start[i] : 0; s->also_start && a < s->also_start[i + 1]; a++) {
        fact = find_fact(p, h, tokens[tpe], s->also[a]);
        f.right &= fact != UINT64_MAX;
        if (fact != UINT64_MAX)
            note(p, &f, fact, 0);
    }
    return f;
}

static finding check_comparison(const proof *p, const hs_split *s, uint64_t i, bool train)
{
    const uint32_t *tokens = s->tokens + i * s->width;
    finding f = {.right = true};
    uint32_t value[2];
    for (uint32_t k = 0; k < 2; k++) {
        uint64_t first, end = facts_of(p, tokens[2 + 2 * k], tokens[0], &first);
        if (end != first + 1) {
            f.right = false;
            return f;
        }
        value[k] = p->data->facts[first].tail;
        if (train)
            p->used[first] |= 3; /* a comparison has no order of hops */
        note(p, &f, first, k);
    }
    uint32_t attribute = tokens[0] - p->data->n_entities;
    f.right = tokens[0] >= p->data->n_entities && attribute < p->compare.n_attributes &&
              hs_compare_label(&p->compare, attribute, value[0], value[1]) == tokens[s->answer];
    return f;
}

static finding check_item(const proof *p, const hs_split *s, uint64_t i, bool train)
{
    switch (s->kind) {
    case HS_ITEM_QUERY:
        return check_query(p, s, i, train);
    case HS_ITEM_COMPARE:
        return check_comparison(p, s, i, train);
    case HS_ITEM_FACT:
    case HS_ITEM_COMPLEX_FACT:
        return check_fact(p, s, i);
    case HS_ITEM_OTHER:
        break;
    }
    return (finding){.right = true};
}

/* ---------------------------------------------------------------- classes */

bool hs_split_class(const char *name, uint32_t hops, uint32_t *ood_mask)
{
    if (strncmp(name, "test_", 5) != 0)
        return false;
    const char *letters = name + 5;
    *ood_mask = 0;
    for (uint32_t k = 0; k < hops; k++) {
        if (letters[k] != 'i' && letters[k] != 'o')
            return false;
        *ood_mask |= letters[k] == 'o' ? 1u << k : 0;
    }
    return letters[hops] == 0 || strcmp(letters + hops, "_sr") == 0;
}

/* Are the hops ID and OOD as the name of the split promises? True for names that promise nothing. */
static bool class_holds(const hs_split *s, const finding *f)
{
    uint32_t mask, all = (1u << (s->kind == HS_ITEM_COMPARE ? 2 : s->hops ? s->hops : 1)) - 1;
    if (s->kind == HS_ITEM_FACT || s->kind == HS_ITEM_COMPLEX_FACT) {
        if (strcmp(s->name, "ood_atomic") == 0)
            return f->id_mask == 0;
        return strcmp(s->name, "id_atomic") != 0 || f->ood_mask == 0;
    }
    if (strcmp(s->name, "train_aug_h1") == 0)
        return f->ood_mask == 1 && f->id_mask == 2;
    if (strcmp(s->name, "train_aug_h2") == 0)
        return f->ood_mask == 2 && f->id_mask == 1;
    if (strcmp(s->name, "train_cross") == 0)
        return f->ood_hops == 1;
    if (s->kind == HS_ITEM_COMPARE) {
        if (strcmp(s->name, "test_ood") == 0 || strcmp(s->name, "test_hard") == 0)
            return f->id_mask == 0;
        return strcmp(s->name, "test_id") != 0 || f->ood_mask == 0;
    }
    if (!hs_split_class(s->name, s->hops, &mask))
        return true;
    return f->ood_mask == mask && f->id_mask == (all & ~mask);
}

static void prove_items(proof *p, hs_split_role role)
{
    for (uint32_t k = 0; k < p->data->n_splits; k++) {
        const hs_split *s = &p->data->splits[k];
        hs_audit_split *a = &p->audit->split[k];
        bool train = s->role == HS_SPLIT_TRAIN, query = s->kind == HS_ITEM_QUERY || s->kind == HS_ITEM_COMPARE;
        bool on_purpose = strncmp(s->name, "train_aug_", 10) == 0 || strcmp(s->name, "train_cross") == 0;
        if (s->role != role)
            continue;
        a->n = s->n;
        for (uint64_t i = 0; i < s->n; i++) {
            finding f = check_item(p, s, i, train);
            a->wrong_answers += !f.right;
            a->synthetic += f.synthetic;
            if (!f.right || s->kind == HS_ITEM_OTHER)
                continue;
            a->wrong_class += !class_holds(s, &f);
            a->hops_not_covered += query && !train && f.uncovered;
            if (query && train && on_purpose)
                p->audit->ood_hops_on_purpose += f.ood_hops;
            else if (query && train)
                p->audit->ood_hops_in_training += f.ood_hops;
        }
    }
}

/* ---------------------------------------------------------------- the verdict */

static void fail_proof(hs_audit *audit, const char *split, const char *what, uint64_t n)
{
    if (n == 0 || !audit->passed)
        return;
    audit->passed = false;
    snprintf(audit->failure, sizeof audit->failure, "%s%s%s (%llu)", split, *split ? ": " : "", what,
             (unsigned long long)n);
}

static void judge(proof *p)
{
    const hs_dataset *d = p->data;
    hs_audit *audit = p->audit;
    audit->passed = true;
    fail_proof(audit, "", "OOD facts are hops of training queries", audit->ood_hops_in_training);
    for (uint32_t k = 0; k < d->n_splits; k++) {
        const hs_split *s = &d->splits[k];
        const hs_audit_split *a = &audit->split[k];
        fail_proof(audit, s->name, "answers or bridges do not follow from the facts", a->wrong_answers);
        fail_proof(audit, s->name, "hops are not ID and OOD as the split says", a->wrong_class);
        if (s->role == HS_SPLIT_TRAIN)
            continue;
        fail_proof(audit, s->name, "test items are in the training set", a->in_training);
        fail_proof(audit, s->name, "test items occur twice", a->repeated);
        if (d->config.test_real_only && s->kind != HS_ITEM_FACT)
            fail_proof(audit, s->name, "test items use synthetic facts", a->synthetic);
        uint32_t mask;
        if (d->config.cover && s->kind == HS_ITEM_QUERY && hs_split_class(s->name, s->hops, &mask) && mask == 0 &&
            strlen(s->name) == 5 + s->hops)
            fail_proof(audit, s->name, "hops are not used by any training query", a->hops_not_covered);
    }
}

static void count_phi(proof *p)
{
    const hs_dataset *d = p->data;
    uint64_t facts = 0, id = 0;
    for (uint64_t i = 0; i < d->n_facts; i++) {
        if (i > 0 && d->facts[i].head == d->facts[i - 1].head && d->facts[i].relation == d->facts[i - 1].relation)
            continue;
        facts++;
        id += !(d->fact_flags[i] & HS_FACT_OOD);
    }
    hs_audit *audit = p->audit;
    for (uint32_t k = 0; k < d->n_splits; k++) {
        const hs_split *s = &d->splits[k];
        if (s->role != HS_SPLIT_TRAIN)
            continue;
        audit->training_items += s->n;
        if (s->kind == HS_ITEM_QUERY || s->kind == HS_ITEM_COMPARE)
            audit->training_queries += s->n;
    }
    audit->phi = facts ? (double)audit->training_queries / (double)facts : 0;
    audit->phi_id = id ? (double)audit->training_queries / (double)id : 0;
}

static hs_status run_proofs(proof *p, hs_error *err)
{
    HS_TRY(index_heads(p, err));
    HS_TRY(hs_compare_init(&p->compare, p->data, err));
    HS_TRY(prove_disjoint(p, err));
    prove_items(p, HS_SPLIT_TRAIN); /* first: it fills `used` */
    prove_items(p, HS_SPLIT_TEST);
    count_phi(p);
    judge(p);
    return hs_audit_baselines(p->data, p->audit->split, err);
}

hs_status hs_dataset_audit(hs_dataset *data, hs_error *err)
{
    hs_audit *audit = &data->audit;
    hs_free(audit->split);
    *audit = (hs_audit){0};
    audit->split = hs_calloc((size_t)data->n_splits + 1, sizeof *audit->split);
    if (!audit->split)
        return hs_fail_memory(err, (size_t)data->n_splits * sizeof *audit->split);
    proof p = {.data = data, .audit = audit};
    p.all_paths = strcmp(data->config.tails, "any") == 0 && data->tokens_per_entity == 1;
    hs_status status = run_proofs(&p, err);
    hs_free(p.head_start);
    hs_free(p.used);
    hs_free(p.met);
    hs_free(p.slot);
    hs_free(p.tag);
    hs_free(p.hit);
    hs_free(p.test_first);
    hs_compare_free(&p.compare);
    return status;
}
