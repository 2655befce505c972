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
#pragma GCC visibility push(default) /* the library exports what stands here */

/* ---------------------------------------------------------------- readings */

/* One number with its interval: a row of run.db's table `probe`. Strings belong to the giver and last as long as the call. */
typedef struct hs_reading {
    uint64_t step; /* of the weights; 0 where the caller said none */
    const char *method, *split;
    int32_t stage;        /* HS_ALL_STAGES: over all */
    const char *position; /* "" = over all */
    const char *role;     /* what was looked for, or changed; "" = nothing of the kind */
    const char *measure;
    uint64_t n;              /* items it rests on */
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
    char methods[512];        /* list of methods; "" = none, "all" = every one that fits */
    char splits[512];         /* list of splits; "" = every test split, the facts and train_inferred */
    uint32_t max;             /* items of a split, the same ones each time; 0 = all */
    bool exhaustive;          /* tracing: every position behind the change too, and the restoring direction */
    double edge;              /* path patching: an edge belongs to the circuit from this share of changed answers on */
    uint32_t random_circuits; /* path patching: random circuits of the same size, as control */
    uint64_t seed;            /* choice of perturbations, donors and random circuits */
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
    const char *help;           /* the question it answers, one line */
    const char *paper;          /* where it is from */
    const char *role, *measure; /* of the numbers shown first, stage by position; role "" = any, NULL = the
                                 * columns are roles; measure NULL = no such grid */
    bool cheap;                 /* fit for every evaluation of a run: at most a few forward passes an item */
    /* NULL if the method can look at this split of this model (split NULL: at the model as a whole), else what it would
     * need, as the end of the sentence "it needs ...". */
    const char *(*unfit)(const hs_model *model, const hs_dataset *data, const hs_split *split);
    hs_status (*run)(const hs_look *look, hs_table *out, hs_error *err);
} hs_method;
const hs_method *const *hs_methods(size_t *n);     /* in the order they are run */
const hs_method *hs_method_find(const char *name); /* NULL if there is none */

/* What is known of a dataset for all looks at it: facts that are hops of training queries, and the like. Borrows `data`. */
typedef struct hs_scope hs_scope;
hs_status hs_scope_create(hs_scope **out, const hs_dataset *data, hs_error *err);
void hs_scope_free(hs_scope *scope);

/* Are the settings good for this model and dataset: do the splits exist, does every named method fit something? HS_ERR_DATA says
 * what a method would need. */
hs_status hs_interpret_check(const hs_model *model, const hs_dataset *data, const hs_interpret_config *config,
                             hs_error *err);
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
bool hs_method_fits(const hs_method *method, const hs_model *model, const hs_dataset *data,
                    const hs_interpret_config *config);

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

/* ---------------------------------------------------------------- the verdict */

/* A share of items with its 95% interval; value NaN: not measured. */
typedef struct hs_share {
    double value, low, high;
    uint64_t n;
} hs_share;

typedef enum hs_verdict_kind {
    HS_VERDICT_UNKNOWN,   /* what it takes was not measured, or the queries have no bridge */
    HS_VERDICT_NONE,      /* does not even fit its training data */
    HS_VERDICT_MEMORIZED, /* right on training data, wrong on held-out queries */
    HS_VERDICT_GROKKED,   /* right on held-out queries, through the bridge */
    HS_VERDICT_FAKE /* right on held-out queries without the bridge (arXiv 2601.09049, section 4: fake grokking) */
} hs_verdict_kind;
const char *
hs_verdict_name(hs_verdict_kind kind); /* "none", "memorized", "grokked with the bridge", "fake grokking" ... */

/* From which share on a statement holds. The same for every model. */
typedef struct hs_verdict_thresholds {
    double train;    /* 0.9: it fits */
    double accuracy; /* 0.5: more held-out queries right than wrong */
    double lens;     /* 0.5: the lens reads the bridge in more of them than not */
    double strength; /* 0.5: more of its right answers hang on the state where the first hop ends than not */
} hs_verdict_thresholds;
void hs_verdict_thresholds_default(hs_verdict_thresholds *thresholds);

/* What is known of a model on one test split. */
typedef struct hs_verdict_input {
    char split[48];
    hs_share train;    /* accuracy of the training split that does worst */
    hs_share accuracy; /* of the test split */
    hs_share lens;     /* method lens, measure found_strict, of the bridge found least */
    hs_share
        strength; /* method trace, measure changed: h replaced, its state where the hop ends put into the normal run; the
                        * middle stage where it is highest */
} hs_verdict_input;
typedef struct hs_verdict {
    hs_verdict_kind kind;
    bool clear;     /* no interval that the verdict rests on reaches over its threshold, and lens and trace agree */
    char text[320]; /* one line: verdict, confidence, numbers */
} hs_verdict;
/* Training not fitted: none. Held-out wrong: memorized. Else fake grokking where the lens and the trace both (those that are
 * measured) stay below their thresholds, and grokked with the bridge where one does not. `thresholds` NULL: the default. Pure. */
void hs_verdict_decide(const hs_verdict_input *input, const hs_verdict_thresholds *thresholds, hs_verdict *out);

/* ---------------------------------------------------------------- asking */

/* Is the asked token on top of the lens at a middle stage (1 .. n_stages-1) of `column`? tokens (n,T), asked (n), found (n) out.
 * Any model; same for any number of threads; `pool` may be NULL. */
hs_status hs_lens_found(const hs_model *model, hs_pool *pool, uint32_t n, uint32_t T, const uint32_t *tokens,
                        uint32_t column, const uint32_t *asked, bool *found, hs_error *err);

enum { HS_ASK_BEST = 5 };

/* One state through the lens. */
typedef struct hs_lens_reading {
    uint32_t top;       /* token read there */
    double probability; /* its share of the softmax */
    uint32_t rank;      /* 0-based rank of the bridge (of two tokens the first), HS_NO_ID without one */
} hs_lens_reading;

typedef struct hs_answer {
    uint32_t n_best;
    uint32_t best[HS_ASK_BEST]; /* tokens, most probable first; of a two-token answer the first token */
    double probability[HS_ASK_BEST];
    uint32_t known, known_second; /* answer by the dataset's facts, HS_NO_ID if they do not say (second: one token) */
    uint32_t bridge,
        bridge_second;           /* the entity after the first hop by the facts, HS_NO_ID if none or a one-hop query */
    uint32_t n_stages, n_places; /* of the grid */
    char (*place)[16];           /* (n_places) h, r1, r2 ...; "t" the answer's own place (TRM) */
    hs_lens_reading *lens;       /* (n_stages + 1, n_places) */
    uint32_t hop_end;            /* the place where the first hop ends */
    bool bridge_found;           /* top of the lens there at some middle stage */
    uint32_t bridge_stage;            /* the first such stage */
} hs_answer;
/* Ask in words, each a name of the dataset's vocabulary: head, relation, relation ... HS_ERR_DATA names an unknown word and
 * the nearest known one. A two-token entity is two words. The answer is freed with hs_answer_free. */
hs_status hs_ask(const hs_model *model, const hs_dataset *data, const char *const *words, uint32_t n_words, hs_answer *out,
                 hs_error *err);
/* The tokens (n) of words, each a name of the vocabulary: first the head, of as many words as an entity has tokens, then relations,
 * where the task knows them. HS_ERR_DATA names an unknown word and the nearest known one. */
hs_status hs_ask_words(const hs_dataset *data, const char *const *words, uint32_t n, uint32_t *tokens, hs_error *err);
/* Can a question have so many words? HS_ERR_DATA says how many. */
hs_status hs_ask_length(const hs_model *model, const hs_dataset *data, uint32_t n_words, hs_error *err);

/* What a model says to one of many questions; the same numbers as of hs_ask. */
typedef struct hs_brief {
    uint32_t answer;              /* on top; of a two-token answer the first token */
    double probability;           /* of it */
    uint32_t known, known_second; /* by the facts; where they do not say, by the split that asks it; else HS_NO_ID */
    uint32_t rank;                /* of the known answer, 0 = on top; HS_NO_ID without one */
    uint32_t bridge, bridge_second, bridge_stage;
    bool bridge_found;
    const hs_split *split; /* the first split of the dataset that asks this; NULL: none */
} hs_brief;
/* Ask n questions, tokens[first[i] .. first[i+1]) each (hs_ask_words), of any lengths that hs_ask_length takes, mixed;
 * out (n). Any task. Same for any number of threads; `pool` may be NULL. HS_ERR_DATA: a length, a token beyond the
 * vocabulary. */
hs_status hs_ask_many(const hs_model *model, const hs_dataset *data, hs_pool *pool, uint32_t n, const uint32_t *tokens,
                      const uint32_t *first, hs_brief *out, hs_error *err);
/* Name of a token that a model gave: a model may know more tokens than the dataset, whose name is then "token 1234". */
const char *hs_answer_name(const hs_dataset *data, uint32_t token, char text[32]);
void hs_answer_free(hs_answer *answer);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
