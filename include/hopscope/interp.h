/* interp.h - the microscope: what a model holds where, and what changes when a state is changed.
 *
 * Words. A *stage* is a state of the residual stream after a block application (0 = embeddings); of TRM after every L and H
 * step. A *position* is a column of the question, named by its role (h, r1, r2; a, e1, e2). A *role* is also what is looked
 * for in a state: the bridge b, the target t.
 *
 * A method is one file in src/interp/methods and one line in the table there. It gets a model and a sample of a split, and
 * fills a table of numbers, one an item; the rest (intervals, run.db, --items, controls, figures) is common.
 * docs/interpret.md says of each method: question, definition, control, cost, how to read it, source. */
#ifndef HOPSCOPE_INTERP_H
#define HOPSCOPE_INTERP_H

#include "hopscope/data.h"
#include "hopscope/model.h"
#include "hopscope/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- readings */

/* One number with its interval: a row of run.db's table `probe`. Strings belong to the giver and last as long as the call. */
typedef struct hs_reading {
    uint64_t step; /* of the weights; 0 where the caller said none */
    const char *method, *split;
    int32_t stage;        /* HS_ALL_STAGES: over all */
    const char *position; /* "" = over all */
    const char *role;     /* what was looked for, or changed; "" = nothing of the kind */
    const char *measure;
    uint64_t n;           /* items it rests on */
    double value, low, high; /* 95% interval (Wilson for shares, bootstrap else); NaN where there is none */
} hs_reading;

/* Where readings go. A status other than HS_OK ends the work with that status. */
typedef struct hs_sink {
    void *user;
    hs_status (*reading)(void *user, const hs_reading *reading, hs_error *err);
    /* Every single item's number, or NULL when nobody wants them; `item` is its index in the split. */
    hs_status (*item)(void *user, const hs_reading *reading, uint64_t item, hs_error *err);
} hs_sink;

/* The 95% score interval of Wilson (1927) for `successes` out of `n`; NaN for n = 0. */
void hs_wilson(double successes, double n, double *low, double *high);

/* ---------------------------------------------------------------- methods */

/* Settings; section `interpret` of an experiment file. Lists are text (core.h, hs_list_*). */
typedef struct hs_interpret_config {
    char methods[512];   /* list of methods; "" = none, "all" = every one that fits */
    char splits[512];    /* list of splits; "" = every test split, the facts and train_inferred */
    uint32_t max;        /* items of a split, the same ones each time; 0 = all */
    bool exhaustive;     /* tracing: every position behind the change too, and the restoring direction */
    double edge;         /* path patching: an edge belongs to the circuit from this share of changed answers on */
    uint32_t random_circuits; /* path patching: random circuits of the same size, as control */
    uint64_t seed;       /* choice of perturbations, donors and random circuits */
} hs_interpret_config;
/* Sized for every evaluation of a run: 128 items a split, published cells only. */
void hs_interpret_config_default(hs_interpret_config *config);
const hs_setting *hs_interpret_settings(size_t *n); /* rows over hs_interpret_config */
/* HS_ERR_DATA names the key, the value and the nearest method. */
hs_status hs_interpret_config_check(const hs_interpret_config *config, hs_error *err);

typedef struct hs_table hs_table; /* src/interp/table.h */
typedef struct hs_look hs_look;   /* src/interp/look.h: model, sample, settings */
typedef struct hs_method {
    const char *name;
    const char *help;  /* the question it answers, one line */
    const char *paper; /* where it is from */
    const char *role, *measure; /* of the numbers shown first, stage by position; role "" = any; NULL = no such grid */
    bool cheap;        /* fit for every evaluation of a run: at most a few forward passes an item */
    /* NULL if the method can look at this split of this model (split NULL: at the model as a whole), else what it would
     * need, as the end of the sentence "it needs ...". */
    const char *(*unfit)(const hs_model *model, const hs_dataset *data, const hs_split *split);
    hs_status (*run)(const hs_look *look, hs_table *out, hs_error *err);
} hs_method;
const hs_method *const *hs_methods(size_t *n); /* in the order they are run */
const hs_method *hs_method_find(const char *name); /* NULL if there is none */

/* What is known of a dataset for all looks at it: facts that are hops of training queries, and the like. Borrows `data`. */
typedef struct hs_scope hs_scope;
hs_status hs_scope_create(hs_scope **out, const hs_dataset *data, hs_error *err);
void hs_scope_free(hs_scope *scope);

/* Are the settings good for this model and dataset: do the splits exist, does every named method fit something? HS_ERR_DATA says
 * what a method would need. */
hs_status hs_interpret_check(const hs_model *model, const hs_dataset *data, const hs_interpret_config *config, hs_error *err);
/* Every configured method on every configured split. `param` replaces the model's weights (EMA) or is NULL. A method that
 * was named and fits nothing is HS_ERR_DATA and says what it would need. Changes nothing but what `sink` changes. Same
 * readings for any number of threads. HS_STOPPED_* within a fraction of a second of a stop. `signals`, `pool` may be NULL. */
hs_status hs_interpret(hs_scope *scope, const hs_model *model, const float *param, const hs_interpret_config *config,
                       hs_pool *pool, const hs_signals *signals, const hs_sink *sink, hs_error *err);

/* Readings kept in memory; zero-initialize. */
typedef struct hs_readings {
    size_t n, cap;
    hs_probe_row *row; /* (n) */
} hs_readings;
hs_sink hs_readings_sink(hs_readings *readings);
void hs_readings_free(hs_readings *readings);
/* For people: a grid (stage by position) of each method's main number, and the numbers over all stages. For programs: JSON. */
void hs_readings_text(const hs_readings *readings, hs_str *out);
void hs_readings_json(const hs_readings *readings, hs_str *out);

/* Does the method fit the model, or a split that would be looked at? */
bool hs_method_fits(const hs_method *method, const hs_model *model, const hs_dataset *data, const hs_interpret_config *config);

/* A reading as a row of `step` in the record (not committed). */
hs_status hs_interpret_row(hs_record *record, uint64_t step, const hs_reading *reading, hs_error *err);
/* The same, readings as rows of `step` in the record (not committed). */
hs_status hs_interpret_record(hs_scope *scope, const hs_model *model, const hs_interpret_config *config, hs_pool *pool,
                              const hs_signals *signals, hs_record *record, uint64_t step, hs_error *err);
/* ... and as a probe that the training loop calls at every evaluation (train.h); `job` must outlive it. */
typedef struct hs_interpret_job {
    hs_scope *scope;
    const hs_interpret_config *config;
} hs_interpret_job;
hs_probe hs_interpret_probe(hs_interpret_job *job);

/* ---------------------------------------------------------------- one state through the lens */

/* One state through the lens. */
typedef struct hs_lens_reading {
    uint32_t top;       /* token read there */
    double probability; /* its share of the softmax */
    uint32_t rank;      /* 0-based rank of the token asked for */
    double asked;       /* its share */
} hs_lens_reading;

/* Read every stage at `position` of every item: tokens (n,T); asked (n) the token whose rank is wanted.
 * out (n_stages+1, n). Serial; memory is allocated inside. */
hs_status hs_lens_read(const hs_model *model, uint32_t n, uint32_t T, const uint32_t *tokens, uint32_t position,
                       const uint32_t *asked, hs_lens_reading *out, hs_error *err);

/* Can hs_lens_read read this model? Not one that fills in its answer in place (TRM), nor one without a middle stage. */
bool hs_lens_reads(const hs_model *model);

/* Share of items whose asked token is the lens's top token at one of the middle stages (1 .. n_stages-1). */
typedef struct hs_bridge_score {
    uint64_t n;
    double found;       /* bridge on top at some middle stage, at the position where its hop ends */
    uint32_t best_stage;
    double mrr;         /* mean reciprocal rank at the best stage */
} hs_bridge_score;
/* For a split of two-hop items with `bridge`: bridge of hop 1 at position 1, on at most `max` items (0 = all, the first). */
hs_status hs_bridge_found(const hs_model *model, const hs_split *split, uint32_t max, hs_bridge_score *out, hs_error *err);

/* ---------------------------------------------------------------- asking */

enum { HS_ASK_BEST = 5 };

typedef struct hs_ask_stage {
    uint32_t stage;
    hs_lens_reading reading; /* at the position where the first hop ends */
} hs_ask_stage;

typedef struct hs_answer {
    uint32_t n_best;
    uint32_t best[HS_ASK_BEST];       /* tokens, most probable first */
    double probability[HS_ASK_BEST];
    uint32_t known;                   /* answer by the dataset's facts, HS_NO_ID if they do not say */
    uint32_t bridge;                  /* the entity after the first hop by the facts, HS_NO_ID if none or a one-hop query */
    uint32_t n_stages;                /* middle stages read; 0 for a one-hop query */
    hs_ask_stage *stage;              /* (n_stages) */
    bool bridge_found;                /* top of the lens at some middle stage */
    uint32_t bridge_stage;            /* the first such stage */
} hs_answer;
/* Ask in words, each a name of the dataset's vocabulary: head, relation, relation ... HS_ERR_DATA names an unknown word and
 * the nearest known one. The answer is freed with hs_answer_free. */
hs_status hs_ask(const hs_model *model, const hs_dataset *data, const char *const *words, uint32_t n_words, hs_answer *out,
                 hs_error *err);
/* Name of a token that a model gave: a model may know more tokens than the dataset, whose name is then "token 1234". */
const char *hs_answer_name(const hs_dataset *data, uint32_t token, char text[32]);
void hs_answer_free(hs_answer *answer);

#ifdef __cplusplus
}
#endif
#endif
