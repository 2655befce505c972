/* data.h - from a graph (real or generated) to token sequences: tasks, splits, vocabulary, files, audit.
 *
 * An item is a prompt and the answer tokens after it. A dataset is a vocabulary and a list of splits; the training set
 * is the union of the splits with role HS_SPLIT_TRAIN. Everything about a dataset follows from its configuration, its
 * graph and data.seed; the same seed gives the same content hash for any thread count.
 *
 * The forms of an item (arXiv 2405.15071, 3.1, 4 and 5), one token each unless entities have two tokens:
 *     fact                 h r               | t
 *     identity             b                 | b      (kind "other")
 *     query                h r1 r2 ...       | t
 *     comparison           attr <q> e1 <mask> e2            | label
 *     complex: fact        <q> e attr <mask> </q>           | <a> v </a>
 *     complex: comparison  attr <q> e1 <mask> e2 </q>       | <a> label </a>
 * "</a>" follows the answer where data.end_token is on (always in the task "complex").
 */
#ifndef HOPSCOPE_DATA_H
#define HOPSCOPE_DATA_H

#include "hopscope/core.h"
#include "hopscope/graph.h"
#include "hopscope/text.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library exports what stands here */

/* ---------------------------------------------------------------- splits */

/* WATCH: a split of another dataset, evaluated here and neither trained nor proved (hs_dataset_watch). The number in
 * files. */
typedef enum hs_split_role { HS_SPLIT_TRAIN, HS_SPLIT_TEST, HS_SPLIT_WATCH } hs_split_role;
const char *hs_split_role_name(hs_split_role role);            /* "train", "test", "watch" */
bool hs_split_role_find(const char *name, hs_split_role *out); /* false if there is none of this name */

/* What an item is: the number in files. A task says how items of its kinds are read (hs_split_roles) and proved. */
typedef enum hs_split_kind {
    HS_ITEM_FACT,
    HS_ITEM_QUERY,
    HS_ITEM_COMPARE,
    HS_ITEM_COMPLEX_FACT,
    HS_ITEM_OTHER, /* imported, of unknown form: no roles, no proof about hops */
    HS_N_ITEM_KINDS
} hs_split_kind;

#define HS_PAD UINT32_MAX /* in `tokens`, after the end of an item; in `bridge`, where there is none */
#define HS_MAX_HOPS 4

/* One packed split: n items of the same kind. */
typedef struct hs_split {
    char name[48]; /* "id_atomic", "train_inferred", "test_ii", "test_oo" ... */
    hs_split_role role;
    hs_split_kind kind;
    uint32_t hops; /* relations in the prompt of a query; 1 for a fact, 0 for a comparison */
    uint64_t n;
    uint32_t width;     /* tokens of an item: prompt and answer */
    uint32_t prompt;    /* of them, tokens of the prompt; the rest is scored */
    uint32_t answer;    /* column of the first answer token: `prompt`, or prompt + 1 after "<a>" */
    uint32_t answers;   /* answer tokens: 1, or 2 for two-token entities */
    uint32_t bridges;   /* tokens of intermediate entities of an item: hops - 1 (twice that: two-token entities) */
    uint32_t *tokens;   /* (n, width) */
    uint32_t *bridge;   /* (n, bridges) token ids, or NULL */
    uint8_t *synthetic; /* (n) 1 where a synthetic fact is among the hops; NULL = none is */
    /* Every right answer of item i, where there are several (policy `any`): token ids
     * also[also_start[i]..also_start[i+1]], besides tokens[i][answer]. NULL when each item has one. */
    uint64_t *also_start;
    uint32_t *also;
    uint64_t hash; /* XXH3 of the content (hs_split_hash) */
} hs_split;

/* What a token of an item stands for. By kind, in this order:
 *     fact, query     h r1 r2 ... b1 b2 ... t (one bridge: b)
 *     comparison      e1 e2 attribute v1 v2 label
 *     complex: fact   e attribute v
 * Bridges and compared values are not tokens of the sequence: see hs_item_role. */
typedef struct hs_role {
    char name[12];
    uint32_t column;   /* of its first token in the item; HS_PAD where it has none */
    uint32_t n_tokens; /* 1, or 2 for a two-token entity */
    bool relation;     /* a relation or attribute of the prompt */
} hs_role;
enum { HS_MAX_ROLES = 2 * HS_MAX_HOPS + 1 };

/* ---------------------------------------------------------------- audit */

/* Shortcut baselines of a test split: accuracy of predicting without the hops. NaN where it has no meaning.
 * The first six are learned from the training queries; ties go to the smaller token id. `nearest` is the vote of the
 * training queries that differ from the test query in one token of the prompt; without any, the majority of the last
 * relation. The last four know the trained facts, but follow no hop: what a model may do that has learned only them. */
typedef struct hs_baselines {
    double majority_r1r2; /* commonest answer of the whole relation path; comparison: of the attribute */
    double majority_r2;   /* ... of the last relation */
    double majority_h;    /* ... of the head; comparison: of the first entity */
    double majority_hr2;  /* ... of the head and the last relation; comparison: of the first entity and attribute */
    double nearest;
    double majority_class; /* the commonest answer of all training queries (comparison: the commonest label) */
    double own_tails; /* the answer is among the tails of the head's own facts: the most that choosing one can reach */
    double own_relation; /* the head's tail under the relation that fits training queries of the same relation path best
                              (of the same last relation, where the head lacks it) */
    double fact_r2;      /* the commonest tail of the last relation among the facts */
    double random_tail;  /* a random one of the tails that the last relation has, on average */
} hs_baselines;
typedef struct hs_baseline {
    const char *name, *help;
    double value;
} hs_baseline;
enum { HS_N_BASELINES = 10 };
/* All of them by name, in the order of the struct. */
void hs_baselines_list(const hs_baselines *baselines, hs_baseline out[HS_N_BASELINES]);
/* The best one: name "" and value NaN where none has a meaning. */
hs_baseline hs_baselines_best(const hs_baselines *baselines);
/* Does the best shortcut explain the split: right on half of it (comparison: half of what the commonest label leaves)? */
bool hs_baselines_explain(const hs_baselines *baselines);

typedef struct hs_audit_split {
    uint64_t n;
    uint64_t in_training;      /* proof: must be 0 for a test split (comparison: in either order) */
    uint64_t repeated;         /* proof: must be 0, items that occur twice in this test split */
    uint64_t wrong_answers;    /* proof: must be 0, answers or bridges that do not follow from the facts */
    uint64_t wrong_class;      /* proof: must be 0, items whose hops are not ID/OOD as the split's name says */
    uint64_t hops_not_covered; /* items with an ID hop that no training query uses (0 in test_ii when enforced) */
    uint64_t synthetic;        /* items over synthetic facts; must be 0 in a test split when test_real_only is on */
    hs_baselines baselines;
} hs_audit_split;

typedef struct hs_audit {
    double phi;    /* training queries per atomic fact */
    double phi_id; /* training queries per ID atomic fact (arXiv 2405.15071) */
    uint64_t training_items, training_queries;
    uint64_t ood_hops_in_training; /* proof: must be 0; hops of the splits that inject OOD facts (train_aug_*,
                                      train_cross) are counted in ood_hops_on_purpose */
    uint64_t ood_hops_on_purpose;
    hs_audit_split *split; /* (n_splits) */
    bool passed;
    char failure[256]; /* the first failed proof, or "" */
} hs_audit;

/* ---------------------------------------------------------------- configuration */

typedef enum hs_ood_pick { HS_OOD_AUTO, HS_OOD_FACT, HS_OOD_PATH } hs_ood_pick;
typedef enum hs_tails { HS_TAILS_FUNCTIONAL, HS_TAILS_ANY } hs_tails;
typedef enum hs_balance { HS_BALANCE_AUTO, HS_BALANCE_NONE, HS_BALANCE_LABELS } hs_balance;
typedef enum hs_variant {
    HS_VARIANT_BASE,
    HS_VARIANT_SECOND_HOP_RESTRICTED,
    HS_VARIANT_WITHOUT_ID_FACTS,
    HS_VARIANT_HELD_OUT_ID,
    HS_VARIANT_ONLY_QUERIES
} hs_variant;
typedef enum hs_injection {
    HS_INJECTION_NONE,
    HS_INJECTION_BOTH_FULL,
    HS_INJECTION_BOTH_HALF,
    HS_INJECTION_FIRST_FULL,
    HS_INJECTION_SECOND_FULL
} hs_injection;
/* How a model sees the items: their tokens, each one sentence, or facts at the end of a paragraph about their head
 * (docs/text.md). */
typedef enum hs_rendering { HS_RENDER_TOKENS, HS_RENDER_SENTENCES, HS_RENDER_PARAGRAPHS } hs_rendering;
/* Their names by number, NULL after the last. */
extern const char *const hs_ood_pick_names[],
    *const hs_tails_names[], *const hs_balance_names[], *const hs_variant_names[], *const hs_injection_names[],
                                                                                       *const hs_rendering_names[];

/* Flat, one key `data.NAME` a field; ranges and meanings are in the table of settings, hs_data_settings. */
typedef struct hs_data_config {
    char task[32]; /* a name of hs_task_list: "composition", "comparison", "complex" */
    uint64_t seed;
    /* generated graphs (arXiv 2405.15071, 3.1 and 4) */
    uint32_t entities;
    uint32_t relations;
    uint32_t out_degree;      /* up to `relations`: a head has each relation once */
    uint32_t hops;            /* relations in a query */
    uint32_t attributes;      /* comparison: attributes of the generated table */
    uint32_t values;          /* comparison: values of an attribute */
    char attribute_list[512]; /* comparison from a graph: relation names separated by commas; ":same" after a name asks
                                 only same/different, ":order" asks for earlier/later. Without: ordered if the tails are
                                 ISO dates or numbers */
    /* splits */
    double ood_fraction;  /* of the atomic facts (composition) or of the entities (comparison) */
    hs_ood_pick ood_pick; /* FACT: OOD facts uniformly (published); PATH: along whole queries, so that a sparse graph
                             has an OO test; AUTO: fact for generated graphs, path for given ones */
    double holdout;       /* probability that an ID query is held out for test_ii / test_id */
    double phi;           /* training queries per ID atomic fact; 0 = all */
    uint32_t test_max;    /* items kept per test split; 0 = all */
    bool cover;     /* enforce: each hop of an II test query is used by some training query. A query that would break
                       this goes back to training when phi = 0, and is dropped otherwise */
    bool end_token; /* score "</a>" after the answer (the published form) */
    bool identity;  /* composition: items b -> b for every entity b that can be a bridge (arXiv 2509.24653) */
    hs_tails tails; /* FUNCTIONAL: drop facts whose head and relation have several tails; ANY: each tail is right */
    bool test_real_only; /* test queries, and OOD facts, only over real facts (matters with an augmented graph) */
    hs_balance balance;  /* comparison: LABELS: as many same as different, as many earlier as later; AUTO: none for
                            generated tables (published), labels for graphs */
    /* variants of arXiv 2405.15071 (App. C) and 2505.23653 (its released data_preparation notebook) */
    uint32_t token_multiplicity; /* two-token entities: entities that share a name token; 0 = one token */
    hs_variant variant;
    double variant_fraction; /* of the ID facts that are restricted or held out */
    double trained_fraction; /* complex: of the ID-ID and of the ID-OOD comparisons are trained (0.03) */
    uint32_t hard_per_label; /* complex: queries a label in test_hard */
    /* fact-level augmentation (arXiv 2601.09049, App. C); a setting but NONE sets the four numbers */
    hs_injection injection;
    double h1ratio, h2ratio; /* of the hop-1 (hop-2) facts of test_oo */
    uint32_t h1k, h2k;       /* queries added per chosen fact */
    bool avoid_test_bridges; /* no hop-1 injection through a bridge of test_oo while hop-2 injection is off */
    /* text (docs/text.md) */
    hs_rendering rendering;
    char templates[1024];     /* table of wordings; "": the program's */
    bool template_fallback;   /* the table's general wordings for relations that have none of their own */
    char context[1024];       /* 2WikiMultiHopQA with contexts: its paragraphs and questions where they fit; "": none */
    uint32_t distractors;     /* paragraphs: sentences that state nothing, before the facts */
    uint32_t paragraph_facts; /* paragraphs: most other facts of the same head stated before the one that is asked */
    uint32_t max_tokens;      /* of an item; longer ones lose sentences that state nothing */
    hs_tokenizer_kind tokenizer;
    uint32_t tokenizer_size; /* byte pairs: tokens learned from the training text */
    /* published quirks, all off by default */
    bool quirk_valid_is_ood; /* published export: valid.json is the OOD test (else the ID test) */
    bool quirk_dead_vocab; /* 50,257 tokens that never occur, padded to a multiple of 8, as the GPT-2 tokenizer gives */
    bool quirk_float_phi;  /* phi is ignored and the whole pool is trained (the released code of arXiv 2505.23653) */
} hs_data_config;

const hs_setting *hs_data_settings(size_t *n); /* the table of settings: ranges, names, help */

/* The published setting of "composition" (arXiv 2405.15071, 3.1, at phi 18). */
void hs_data_config_default(hs_data_config *config);
/* The published setting of a task (arXiv 2405.15071, 3.1, 4 at phi 7.2, and 5); HS_ERR_USAGE names the nearest task. */
hs_status hs_data_config_for_task(hs_data_config *config, const char *task, hs_error *err);
/* What suits a given graph instead of a generated one: all its queries (phi 0), a tenth of them held out, each hop of a test
 * query used by some training query (cover), every test item kept. */
void hs_data_config_for_graph(hs_data_config *config);
/* Ranges and names; HS_ERR_DATA with where = "data.KEY". */
hs_status hs_data_config_check(const hs_data_config *config, hs_error *err);

/* ---------------------------------------------------------------- dataset */

/* The text of one split. Item i is tokens[start[i]..start[i+1]], of which the first prompt[i] are its prompt; the rest,
 * the answer and the full stop after it, is scored. */
typedef struct hs_rendered_split {
    uint64_t *start;  /* (n+1) */
    uint32_t *prompt; /* (n) */
    uint32_t *tokens;
    hs_str lines; /* the file NAME.jsonl: {"context": [sentences that state nothing], "prompt", "answer"} a line */
} hs_rendered_split;

/* A dataset in words. Everything else of the dataset, its proofs too, is about the items as they are without words. */
typedef struct hs_rendered {
    hs_tokenizer *tokenizer;
    uint32_t n_splits;
    hs_rendered_split *split; /* (n_splits), as the splits of the dataset */
    uint32_t longest;         /* tokens of the longest item */
    uint64_t left_out;        /* sentences left out because they name both ends of a held-out question */
    uint64_t shortened;       /* items that lost sentences to data.max_tokens */
    /* proofs: each must be 0 */
    uint64_t stated; /* context sentences of training items that name both ends of a held-out question */
    uint64_t asked;  /* held-out questions whose words are a training prompt */
    uint64_t wrong;  /* answers that are not the words of the item's answer */
} hs_rendered;

typedef struct hs_dataset {
    char task[32];
    uint64_t seed;
    hs_data_config config; /* what it was made with */
    hs_names vocab;        /* token id -> name; entities, relations, [values,] then special tokens, then labels */
    uint32_t n_entities, n_relations; /* tokens [0, n_entities) are entities, then n_relations relations */
    uint32_t tokens_per_entity; /* 1, or 2: then n_entities / 2 first-name tokens are followed by as many last names */
    uint32_t n_splits, cap_splits;
    hs_split *splits;
    uint32_t max_width;
    /* For interpretation: the atomic facts, sorted by (head, relation, tail). The relation is a token id, and so are
     * head and tail when tokens_per_entity is 1; else they are entity numbers (hs_dataset_entity_tokens). */
    uint64_t n_facts;
    hs_fact *facts;
    uint8_t *fact_flags; /* HS_FACT_SYNTHETIC, HS_FACT_OOD */
    uint64_t facts_dropped; /* facts of the graph left out: their head and relation have several tails */
    hs_audit audit;
    hs_rendered *text; /* data.rendering; NULL: tokens */
    char *card; /* JSON text: dataset.json */
} hs_dataset;

/* Item i of a split as a model sees it: tokens, of which the first `prompt` are not scored. */
typedef struct hs_item_view {
    const uint32_t *tokens;
    uint32_t width, prompt;
} hs_item_view;
hs_item_view hs_dataset_item(const hs_dataset *data, const hs_split *split, uint64_t i);
hs_item_view hs_dataset_mean_item(const hs_dataset *data,
                                  const hs_split *split); /* its size on average, rounded; tokens NULL */
uint32_t hs_dataset_vocab(const hs_dataset *data);        /* tokens a model of it has */
uint32_t hs_dataset_width(const hs_dataset *data);        /* tokens of the longest item */
/* HS_ERR_DATA for a dataset in words: what `what` does needs items of single tokens. */
hs_status hs_dataset_check_tokens(const hs_dataset *data, const char *what, hs_error *err);
enum { HS_FACT_OOD = 2 };

/* A task is a folder of src/data and a line in src/data/tasks.c (docs/design.md, "Adding a task"). */
typedef struct hs_task_ops hs_task_ops; /* its generator, defaults and forms of items */
typedef struct hs_task {
    const char *name;
    const char *help;
    bool needs_graph, takes_graph;
    const hs_task_ops *ops;
} hs_task;
const hs_task *hs_task_find(const char *name); /* NULL if there is none */
const hs_task *const *hs_task_list(size_t *n);

/* Build, audit, and fail (HS_ERR_DATA) if a proof does not hold. `out` is zero-initialized by the caller, and empty
 * again after a failure. `pool` and `events` may be NULL. */
hs_status hs_dataset_build(hs_dataset *out, const hs_data_config *config, const hs_graph *graph, hs_pool *pool,
                           const hs_events *events, hs_error *err);
void hs_dataset_free(hs_dataset *data);
/* Fills data->audit by exhaustive check of the items and facts as they are, and of the card that the dataset was read
 * with. HS_OK also when a proof fails: see audit.passed. */
hs_status hs_dataset_audit(hs_dataset *data, hs_error *err);
/* The audit as one JSON object, appended to `out`. */
void hs_dataset_audit_json(const hs_dataset *data, hs_str *out);
const hs_split *hs_dataset_split(const hs_dataset *data, const char *name); /* NULL if absent */
/* Content hash: form, tokens, bridges, further answers. Independent of the name, the role and the machine. */
uint64_t hs_split_hash(const hs_split *split);
/* The roles of the items of a split, up to HS_MAX_ROLES: prompt first (entities, then relations), then what lies
 * between, then the answer. Returns their number; 0 for HS_ITEM_OTHER. */
uint32_t hs_split_roles(const hs_dataset *data, const hs_split *split, hs_role roles[HS_MAX_ROLES]);
/* Tokens of one role of item i, also of one that is no token of the sequence (bridges, compared values: from the
 * dataset). Returns their number; 0 where the item has none or the role is unknown. */
uint32_t hs_item_role(const hs_dataset *data, const hs_split *split, uint64_t item, const char *role,
                      uint32_t tokens[2]);
/* Tokens of entity number `entity`: tokens_per_entity of them. */
void hs_dataset_entity_tokens(const hs_dataset *data, uint32_t entity, uint32_t tokens[2]);
/* Entity number of its tokens, HS_NO_ID if they name none. */
uint32_t hs_dataset_entity_of(const hs_dataset *data, const uint32_t *tokens);
/* Indices [*first, *last) into data->facts of (head, relation token, *). */
void hs_dataset_facts_of(const hs_dataset *data, uint32_t head, uint32_t relation, uint64_t *first, uint64_t *last);

/* Every split of `old` that has items joins `data` as PREFIX.NAME, to be evaluated there (HS_SPLIT_WATCH): what an
 * earlier stage of training knew. Tokens are matched by name; those that `data` lacks are added behind its own. Splits
 * that `old` only watched keep their names. Audited anew. HS_ERR_DATA, `data` then without use, where a name is taken
 * or too long, or entities are of another number of tokens. */
hs_status hs_dataset_watch(hs_dataset *data, const hs_dataset *old, const char *prefix, hs_error *err);

/* ---------------------------------------------------------------- files */

/* The folder of docs/design.md: dataset.json, vocab.json, facts.packed and one NAME.split a split. Appears whole or not
 * at all; HS_ERR_DATA if a proof of the audit fails, HS_ERR_IO if `dir` exists and is not an empty folder. */
hs_status hs_dataset_write(const hs_dataset *data, const char *dir, hs_error *err);
/* `out` is zero-initialized. Every count, token and checksum is checked; the audit is not repeated. */
hs_status hs_dataset_read(hs_dataset *out, const char *dir, hs_error *err);

/* One packed split in memory; the form of the file NAME.split (docs/data.md). Encode appends to `out`. Decode checks
 * everything, tokens against `vocab_size`; *used is the number of bytes read. */
hs_status hs_split_encode(const hs_split *split, hs_str *out, hs_error *err);
hs_status hs_split_decode(hs_split *out, const void *bytes, size_t size, uint32_t vocab_size, size_t *used,
                          hs_error *err);
void hs_split_free(hs_split *split);

/* The published form and TRM's have no place for splits that are only watched: HS_ERR_DATA.
 *
 * The published form: train.json, valid.json, test.json, vocab.json, id_facts.json, ood_facts.json,
 * test_annotated.json, and dataset.json, which the original programs ignore and which brings back the same hashes when
 * read again. */
hs_status hs_dataset_write_published(const hs_dataset *data, const char *dir, hs_error *err);
/* Reads ours and the originals (papers B, C and D). */
hs_status hs_dataset_read_published(hs_dataset *out, const char *dir, hs_error *err);
/* The npy set of TRM (released code of arXiv 2601.09049): train/ and test/ with all__*.npy, identifiers.json,
 * vocab_map.json, reverse_vocab_map.json. */
hs_status hs_dataset_write_trm(const hs_dataset *data, const char *dir, hs_error *err);
/* One JSON object a line: a header, facts, items. Import takes lines without a header too. */
hs_status hs_dataset_write_jsonl(const hs_dataset *data, const char *path, hs_error *err);
hs_status hs_dataset_read_jsonl(hs_dataset *out, const char *path, hs_error *err);
/* Any of the above by name: "published", "trm" or "jsonl"; HS_ERR_USAGE names the nearest. `data` NULL: only asks for the name. */
hs_status hs_dataset_write_as(const hs_dataset *data, const char *form, const char *path, hs_error *err);
/* A folder of ours, a folder in the published form, or a JSONL file: by what is there. */
hs_status hs_dataset_read_any(hs_dataset *out, const char *path, hs_error *err);

/* ---------------------------------------------------------------- new facts (arXiv 2601.09049, 5.1) */

typedef struct hs_new_facts_config {
    bool paper; /* false: as the released code does; true: as the paper says */
    uint64_t seed;
    uint32_t new_facts; /* even: made in chains of two; 2000 */
    uint32_t keep;      /* code: items kept of the old training set; paper: ID facts kept; 8000 */
    uint32_t test_max;  /* 3000 */
} hs_new_facts_config;
void hs_new_facts_config_default(hs_new_facts_config *config);
/* A finetuning set over `base` (composition, two hops, one token an entity, functional): kept facts and queries and new
 * facts to train, with test_new_new, test_new_old, test_old_new and the old test splits. Audited. Without old test
 * splits whose queries are trained. */
hs_status hs_dataset_new_facts(const hs_dataset *base, const hs_new_facts_config *config, hs_dataset *out,
                               hs_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
