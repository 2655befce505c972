/* task.h - what a task tells the rest of the data layer: how its datasets are made, and the forms of its items: how
 * they are read (roles), told apart in files (recognize, fits) and proved (check, promise). */
#ifndef HOPSCOPE_DATA_TASK_H
#define HOPSCOPE_DATA_TASK_H

#include "data/internal.h"

/* ---------------------------------------------------------------- proofs */

/* What all checks of an audit share. */
typedef struct hs_proof {
    const hs_dataset *data;
    uint64_t *head_start; /* (n_heads + 1) into data->facts */
    uint32_t n_heads;
    uint8_t *used;                /* (n_facts) bit k: hop k + 1 of some training query; HS_PROOF_TRAINED */
    void *state[HS_N_ITEM_KINDS]; /* of the forms: what their `open` made */
} hs_proof;
enum { HS_PROOF_TRAINED = 128 }; /* the fact itself is a training item */

/* Facts [*first, end) of (head, relation, *); returns end. Fast: by head_start. */
uint64_t hs_proof_facts_of(const hs_proof *proof, uint32_t head, uint32_t relation, uint64_t *first);
/* Number of the fact, UINT64_MAX if there is none. */
uint64_t hs_proof_find(const hs_proof *proof, uint32_t head, uint32_t relation, uint32_t tail);

/* What the facts say about one item. */
typedef struct hs_finding {
    uint32_t ood_mask; /* hop places with an OOD fact */
    uint32_t id_mask;  /* hop places with an ID fact */
    uint32_t ood_hops; /* how many facts are OOD */
    bool synthetic, uncovered;
    bool right; /* answer and bridges follow from the facts */
} hs_finding;
/* Enters fact number `fact` as the one at hop `place`; with `train` it becomes used there. */
void hs_finding_add(hs_finding *finding, const hs_proof *proof, uint64_t fact, uint32_t place, bool train);
/* The check of items that are facts: roles head, relation, tail; further answers are further tails. */
hs_finding hs_check_fact(const hs_proof *proof, const hs_split *split, const hs_role *roles, uint64_t item, bool train);

/* What the name of a split promises about the hops of its items. */
typedef struct hs_promise {
    uint32_t may_be_id, may_be_ood; /* hop places */
    uint32_t ood_hops;              /* exactly so many; UINT32_MAX: any number */
    bool on_purpose;                /* OOD facts may be hops of these training queries */
} hs_promise;
#define HS_PROMISE_NOTHING ((hs_promise){UINT32_MAX, UINT32_MAX, UINT32_MAX, false})
/* The promise of splits of facts: "id_atomic", "ood_atomic". */
hs_promise hs_promise_of_facts(const hs_split *split);

/* ---------------------------------------------------------------- forms */

/* How the items of one kind are read and proved. A NULL function stands for "nothing special". */
typedef struct hs_form {
    hs_split_kind kind;
    const char *name; /* in the card */
    bool fact;        /* an atomic fact: roles head, relation, tail */
    bool query;       /* asks what follows from facts: counts in phi, has shortcut baselines */
    bool chain;       /* a query whose answer is reached from the head over facts: has baselines of facts */
    uint32_t (*roles)(const hs_dataset *data, const hs_split *split, hs_role *roles);
    /* Tokens of role number `role` that has no column. */
    uint32_t (*hidden)(const hs_dataset *data, const hs_split *split, uint64_t item, uint32_t role, uint32_t *tokens);
    /* Is an item of a file of this form? Sets kind, hops, bridges, and answer = prompt + 1 where "<a>" comes first. */
    bool (*recognize)(const hs_dataset *data, const uint32_t *prompt, uint32_t n_prompt, uint32_t n_answer,
                      hs_split *form);
    /* Can items of this kind have the split's form? */
    bool (*fits)(const hs_dataset *data, const hs_split *split);
    /* Of the audit: scratch of this form; then the check of one item; training items come first. */
    hs_status (*open)(const hs_dataset *data, void **state, hs_error *err);
    void (*close)(void *state);
    hs_finding (*check)(const hs_proof *proof, const hs_split *split, const hs_role *roles, uint64_t item, bool train);
    /* Asks the processor for the facts of an item that is checked soon: stage 0 first, stage 1 some items later. */
    void (*prefetch)(const hs_proof *proof, const hs_split *split, uint64_t item, uint32_t stage);
    hs_promise (*promise)(const hs_split *split);
    /* Must each hop of this test be a hop of training queries where data.cover is on? */
    bool (*covered)(const hs_split *split);
    /* Equal questions get equal prompts: in place. */
    void (*canonical)(uint32_t *prompt);
} hs_form;

/* The form of a kind, never NULL. */
const hs_form *hs_form_of(hs_split_kind kind);

/* ---------------------------------------------------------------- tasks */

struct hs_task_ops {
    /* Changes the published setting of composition into this task's. */
    void (*defaults)(hs_data_config *config);
    /* `graph` is NULL for a generated dataset. Fills vocabulary, splits, facts and fact_flags of `out`. */
    hs_status (*build)(const hs_data_config *config, const hs_graph *graph, hs_pool *pool, hs_dataset *out,
                       hs_error *err);
    const hs_form *const *forms; /* NULL after the last; forms of its own, not those it shares */
};

/* Is an item of a file of a form of some task? Else *form is of kind HS_ITEM_OTHER. */
void hs_form_recognize(const hs_dataset *data, const uint32_t *prompt, uint32_t n_prompt, uint32_t n_answer,
                       hs_split *form);
/* Does the form of the items fit their kind? What the audit relies on. */
hs_status hs_split_check_form(const hs_dataset *data, const hs_split *split, hs_error *err);

#endif
