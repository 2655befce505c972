/* audit.c - proofs by exhaustive check: what a dataset claims is verified on its items and facts as they are.
 *
 * Nothing here trusts how the dataset was made. The test items go into one hash table whose entries are compared token
 * by token, and every training item is looked up in it. Every item is checked over the facts by its form: answer and
 * bridges must follow, hops must be ID or OOD as the split's name promises, no OOD fact may be a hop of a training
 * query. */
#include "data/audit/audit.h"
#include "data/text/render.h"

#include <stdlib.h>
#include <string.h>

typedef struct auditing {
    const hs_dataset *data;
    hs_audit *audit;
    hs_proof proof;
    /* test items by prompt */
    uint32_t n_slots;
    uint64_t *slot; /* item number + 1, counted over all test splits; 0 = empty */
    uint32_t *tag;
    uint64_t *test_first; /* (n_splits + 1) number of the first item of a split among the test items */
    uint8_t *hit;         /* (test items) */
} auditing;

/* ---------------------------------------------------------------- test queries in training */

enum { MAX_PROMPT = 64 };

/* The prompt as it is compared. */
static const uint32_t *prompt_of(const hs_split *s, uint64_t i, uint32_t *buffer)
{
    const uint32_t *tokens = s->tokens + i * s->width;
    const hs_form *form = hs_form_of(s->kind);
    if (!form->canonical)
        return tokens;
    memcpy(buffer, tokens, s->prompt * sizeof *buffer);
    form->canonical(buffer);
    return buffer;
}

static const hs_split *test_item(const auditing *p, uint64_t number, uint64_t *item, uint32_t *split)
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

static uint64_t count_tests(auditing *p)
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

static void insert_tests(auditing *p)
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

static void look_up_training(auditing *p)
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

static hs_status prove_disjoint(auditing *p, hs_error *err)
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

/* ---------------------------------------------------------------- items over the facts */

static hs_status index_heads(hs_proof *p, hs_error *err)
{
    const hs_dataset *d = p->data;
    p->n_heads = d->n_facts ? d->facts[d->n_facts - 1].head + 1 : 0;
    p->head_start = hs_calloc((size_t)p->n_heads + 1, sizeof *p->head_start);
    p->used = hs_calloc((size_t)d->n_facts + 1, 1);
    if (!p->head_start || !p->used)
        return hs_fail_memory(err, (size_t)d->n_facts + p->n_heads * sizeof *p->head_start);
    for (uint64_t i = 0; i < d->n_facts; i++)
        p->head_start[d->facts[i].head + 1]++;
    for (uint32_t h = 0; h < p->n_heads; h++)
        p->head_start[h + 1] += p->head_start[h];
    return HS_OK;
}

/* Scratch of the forms that occur. */
static hs_status open_forms(hs_proof *p, hs_error *err)
{
    for (uint32_t k = 0; k < p->data->n_splits; k++) {
        const hs_form *form = hs_form_of(p->data->splits[k].kind);
        if (form->open && !p->state[form->kind])
            HS_TRY(form->open(p->data, &p->state[form->kind], err));
    }
    return HS_OK;
}

static void close_forms(hs_proof *p)
{
    for (uint32_t kind = 0; kind < HS_N_ITEM_KINDS; kind++) {
        const hs_form *form = hs_form_of((hs_split_kind)kind);
        if (form->close)
            form->close(p->state[kind]);
    }
}

static bool kept(const hs_promise *promise, const hs_finding *f)
{
    return (f->ood_mask & ~promise->may_be_ood) == 0 && (f->id_mask & ~promise->may_be_id) == 0 &&
           (promise->ood_hops == UINT32_MAX || f->ood_hops == promise->ood_hops);
}

/* Items between the prefetch of an item and its check: enough to hide a few hundred cycles. */
enum { AHEAD = 32 };

static void prove_split(auditing *x, uint32_t number)
{
    const hs_split *s = &x->data->splits[number];
    const hs_form *form = hs_form_of(s->kind);
    hs_audit_split *a = &x->audit->split[number];
    hs_role roles[HS_MAX_ROLES];
    bool train = s->role == HS_SPLIT_TRAIN;
    a->n = s->n;
    if (!form->check || s->role == HS_SPLIT_WATCH) /* those follow from facts of another dataset */
        return;
    hs_split_roles(x->data, s, roles);
    hs_promise promise = form->promise ? form->promise(s) : HS_PROMISE_NOTHING;
    uint64_t ood_hops = 0;
    for (uint64_t i = 0; i < s->n; i++) {
        if (form->prefetch && i + AHEAD < s->n) {
            form->prefetch(&x->proof, s, i + AHEAD, 0);
            form->prefetch(&x->proof, s, i + AHEAD / 2, 1);
        }
        hs_finding f = form->check(&x->proof, s, roles, i, train);
        a->wrong_answers += !f.right;
        a->synthetic += f.synthetic;
        if (!f.right)
            continue;
        a->wrong_class += !kept(&promise, &f);
        a->hops_not_covered += form->query && !train && f.uncovered;
        ood_hops += f.ood_hops;
    }
    if (form->query && train && promise.on_purpose)
        x->audit->ood_hops_on_purpose += ood_hops;
    else if (form->query && train)
        x->audit->ood_hops_in_training += ood_hops;
}

static void prove_items(auditing *x, hs_split_role role)
{
    for (uint32_t k = 0; k < x->data->n_splits; k++)
        if (x->data->splits[k].role == role)
            prove_split(x, k);
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

static void judge(auditing *p)
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
        if (s->role != HS_SPLIT_TEST)
            continue;
        fail_proof(audit, s->name, "test items are in the training set", a->in_training);
        fail_proof(audit, s->name, "test items occur twice", a->repeated);
        if (d->config.test_real_only && s->kind != HS_ITEM_FACT)
            fail_proof(audit, s->name, "test items use synthetic facts", a->synthetic);
        const hs_form *form = hs_form_of(s->kind);
        if (d->config.cover && form->covered && form->covered(s))
            fail_proof(audit, s->name, "hops are not used by any training query", a->hops_not_covered);
    }
}

static void count_phi(auditing *p)
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
        if (hs_form_of(s->kind)->query)
            audit->training_queries += s->n;
    }
    audit->phi = facts ? (double)audit->training_queries / (double)facts : 0;
    audit->phi_id = id ? (double)audit->training_queries / (double)id : 0;
}

static hs_status run_proofs(auditing *x, hs_error *err)
{
    HS_TRY(index_heads(&x->proof, err));
    HS_TRY(open_forms(&x->proof, err));
    HS_TRY(prove_disjoint(x, err));
    prove_items(x, HS_SPLIT_TRAIN); /* first: it fills `used` */
    prove_items(x, HS_SPLIT_TEST);
    prove_items(x, HS_SPLIT_WATCH);
    count_phi(x);
    judge(x);
    HS_TRY(hs_audit_baselines(x->data, x->audit->split, err));
    return hs_audit_fact_baselines(&x->proof, x->audit->split, err);
}

/* The proofs of a dataset in words, from its lines. */
static hs_status prove_text(hs_dataset *data, hs_error *err)
{
    const char *failure = NULL;
    if (!data->text)
        return HS_OK;
    HS_TRY(hs_rendered_prove(data, &failure, err));
    if (failure)
        fail_proof(&data->audit, "text", failure, data->text->stated + data->text->asked + data->text->wrong);
    return HS_OK;
}

hs_status hs_dataset_audit(hs_dataset *data, hs_error *err)
{
    hs_audit *audit = &data->audit;
    hs_free(audit->split);
    *audit = (hs_audit){0};
    audit->split = hs_calloc((size_t)data->n_splits + 1, sizeof *audit->split);
    if (!audit->split)
        return hs_fail_memory(err, (size_t)data->n_splits * sizeof *audit->split);
    auditing x = {.data = data, .audit = audit, .proof.data = data};
    hs_status status = run_proofs(&x, err);
    if (status == HS_OK)
        status = prove_text(data, err);
    if (status == HS_OK)
        status = hs_audit_card(data, err);
    close_forms(&x.proof);
    hs_free(x.proof.head_start);
    hs_free(x.proof.used);
    hs_free(x.slot);
    hs_free(x.tag);
    hs_free(x.hit);
    hs_free(x.test_first);
    return status;
}
