/* graph.h - knowledge graphs: interned names, CSR both ways, readers, statistics, augmentation.
 *
 * An atomic fact is (head, relation, tail); a two-hop fact (h, r1, b, r2, t) follows two atomic facts that share the
 * bridge b. It is non-trivial when b != h, b != t and t != h.  phi = two-hop facts per atomic fact.
 */
#ifndef HOPSCOPE_GRAPH_H
#define HOPSCOPE_GRAPH_H

#include "hopscope/core.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library exports what stands here */

/* ---------------------------------------------------------------- names */

/* Strings to dense ids 0, 1, 2 ... in order of first appearance. Zero-initialize. */
typedef struct hs_names {
    uint32_t n;
    uint32_t cap;
    uint64_t *start; /* (n+1): offset of each name in `text` */
    char *text;      /* names, each followed by 0 */
    size_t text_cap;
    uint32_t *slots; /* open addressing, id + 1, 0 = empty */
    uint32_t n_slots;
} hs_names;
hs_status hs_names_add(hs_names *names, const char *s, size_t len, uint32_t *id, hs_error *err);
#define HS_NO_ID UINT32_MAX
uint32_t hs_names_find(const hs_names *names, const char *s, size_t len); /* HS_NO_ID if absent */
const char *hs_names_get(const hs_names *names, uint32_t id);             /* terminated; valid until the next add */
void hs_names_free(hs_names *names);

/* ---------------------------------------------------------------- graph */

typedef struct hs_fact {
    uint32_t head, relation, tail;
} hs_fact;
/* Two hs_fact, for qsort and merges: by head, then relation, then tail. Negative, 0 or positive. */
int hs_fact_compare(const void *a, const void *b);

enum { HS_FACT_SYNTHETIC = 1 }; /* flags: made by augmentation, not known to be true */

/* Built in two phases: hs_graph_add any number of times, then hs_graph_index. Zero-initialize.
 * Invariants after indexing: facts are distinct and sorted by (head, relation, tail); out_start[h]..out_start[h+1] are
 * the indices of the facts leaving h; in_fact[in_start[t]..in_start[t+1]] those that arrive at t, ascending. */
typedef struct hs_graph {
    hs_names entities, relations;
    uint64_t n_facts, cap_facts;
    hs_fact *facts;        /* (n_facts) */
    uint8_t *flags;        /* (n_facts) HS_FACT_* */
    uint64_t *out_start;   /* (entities.n + 1) */
    uint64_t *in_start;    /* (entities.n + 1) */
    uint64_t *in_fact;     /* (n_facts) */
    uint64_t n_duplicates; /* facts given more than once, dropped by hs_graph_index */
} hs_graph;

hs_status hs_graph_add(hs_graph *g, const char *head, const char *relation, const char *tail, hs_error *err);
hs_status hs_graph_add_ids(hs_graph *g, hs_fact fact, uint8_t flags, hs_error *err);
hs_status hs_graph_index(hs_graph *g, hs_error *err);
/* Names and facts of g, with the same ids, into the zeroed `out`; not indexed, so that more can be added. */
hs_status hs_graph_copy(const hs_graph *g, hs_graph *out, hs_error *err);
/* The names alone. */
hs_status hs_graph_copy_names(const hs_graph *g, hs_graph *out, hs_error *err);
void hs_graph_free(hs_graph *g);
/* Indices [*first, *last) of the facts (head, relation, *), empty range if none. O(log degree). */
void hs_graph_out(const hs_graph *g, uint32_t head, uint32_t relation, uint64_t *first, uint64_t *last);
/* Index of the fact, or HS_NO_FACT. O(log degree). */
#define HS_NO_FACT UINT64_MAX
uint64_t hs_graph_find(const hs_graph *g, hs_fact fact);

/* HS_ERR_DATA for a relation name that g does not have, with the nearest one as the hint. */
hs_status hs_graph_no_relation(const hs_graph *g, const char *name, hs_error *err);

/* A copy of g by rule, in this order: relations, functional, degree, bridges, informative pairs, inverses. A selection
 * without facts is HS_ERR_DATA. With informative pairs a fact stays when it is a hop of a two-hop fact of such a pair;
 * the facts that stay may also make two-hop facts of other pairs (hs_graph_stats tells which pairs are informative). */
typedef struct hs_graph_filter {
    bool functional;              /* only facts whose (head, relation) has one tail */
    bool inverses;                /* add (t, "r^-1", h) for every fact */
    const char *const *relations; /* keep only these relations; NULL = all. HS_ERR_DATA names an absent one */
    size_t n_relations;
    uint32_t min_degree;             /* keep entities with at least this many facts (one pass); 0 = all */
    uint32_t sample_bridges;         /* keep only facts that touch a sample of this many bridges; 0 = all */
    uint32_t informative_min_facts;  /* keep relation pairs (r1,r2) with at least this many two-hop facts ... */
    double informative_max_majority; /* ... whose commonest tail has at most this share; 0 facts = no such rule */
    uint64_t seed;
} hs_graph_filter;
hs_status hs_graph_select(const hs_graph *g, const hs_graph_filter *filter, hs_graph *out, hs_error *err);

/* Every non-trivial two-hop fact of g in order of (first fact, second fact). `fn` gets the indices of the two facts;
 * returning anything but HS_OK ends the walk with that status. */
typedef hs_status (*hs_hop_fn)(void *ctx, const hs_graph *g, uint64_t first, uint64_t second);
hs_status hs_graph_two_hops(const hs_graph *g, hs_hop_fn fn, void *ctx);

/* ---------------------------------------------------------------- readers and writers */

/* "auto" (by the file's name, then by its first bytes), "tsv" (head, relation, tail and, where so, "synthetic"), "csv"
 * (the same as RFC 4180), "2wiki" (2WikiMultiHopQA: a JSON list of records, or one record a line), "ntriples",
 * "turtle", "world" (the graph embedded in the program; its path is "world"). Ends with NULL. */
extern const char *const hs_graph_format_names[];

/* What reading repaired or dropped. Nothing is silent: the CLI prints every non-zero count. */
typedef struct hs_read_report {
    uint64_t records, records_skipped;
    uint64_t facts, duplicates;
    uint64_t aliases_by_id, aliases_by_title; /* bridge spelled differently in two evidences */
    uint64_t dates_normalized, dates_unknown; /* to ISO: 1957-08-09, 1957 */
    uint64_t nationalities_normalized;        /* "American" and "America" to "United States" */
    uint64_t names_trimmed;                   /* white space at the ends of a name */
    uint64_t headers_skipped;                 /* TSV, CSV: a first line of column names */
    uint64_t literals_skipped;                /* RDF literals, when not asked for */
} hs_read_report;

typedef struct hs_read_options {
    const char *format;  /* a name of hs_graph_format_names; NULL = "auto" */
    const char *columns; /* TSV, CSV: order of the columns, "htr" for head, tail, relation; NULL or "auto" = as a header
                            line says, else head, relation, tail (and refused where that is plainly wrong) */
    bool raw;            /* 2Wiki: take the evidences as they stand (to reproduce published counts) */
    const char *types;   /* 2Wiki: only records of these types, for example "compositional,inference"; NULL = all */
    bool skip_derived;   /* 2Wiki: skip records marked "derived" */
    bool literals;       /* RDF: literals are tails too; without this they are skipped and counted */
    const hs_events *events;
} hs_read_options;

/* Reads and indexes. `options` may be NULL. A ".zst" file is decompressed on the way; "-" is standard input.
 * HS_ERR_USAGE for a format or an order of columns that does not exist, HS_ERR_DATA with file and line for what cannot
 * be read. */
hs_status hs_graph_read(hs_graph *out, const char *path, const hs_read_options *options, hs_read_report *report,
                        hs_error *err);
/* One fact a line, in order, with a 4th column "synthetic" where so. Appears whole or not at all. A name that holds a
 * tab or a line break cannot be written: HS_ERR_DATA. */
hs_status hs_graph_write_tsv(const hs_graph *g, const char *path, hs_error *err);

/* A 2Wiki question whose answer is a chain of two facts of the graph, so that a run can answer real questions. */
typedef struct hs_question {
    char *text;
    char *type; /* "compositional", "inference" ... */
    uint32_t head, r1, r2, bridge, answer;
} hs_question;
/* Questions of a 2Wiki file in terms of g's ids (read from the same file). *out is freed with hs_questions_free. */
hs_status hs_questions_read(const hs_graph *g, const char *path, const hs_read_options *options, hs_question **out,
                            size_t *n, hs_error *err);
void hs_questions_free(hs_question *questions, size_t n);

/* ---------------------------------------------------------------- statistics (arXiv 2504.20752) */

typedef struct hs_relation_stats {
    uint32_t relation;
    uint64_t facts;
    uint64_t as_hop1, as_hop2, either; /* non-trivial two-hop facts with this relation as hop 1, hop 2, or either */
    double phi_hop1, phi_hop2, phi;    /* the same per fact of this relation; phi counts either hop once */
    double branching;                  /* b_r = facts / entities */
    bool sufficient;                   /* phi >= threshold */
} hs_relation_stats;

typedef struct hs_pair_stats {
    uint32_t r1, r2;
    uint64_t facts;    /* two-hop facts */
    uint32_t top_tail; /* commonest tail */
    double majority;   /* its share */
    bool informative;  /* facts >= 20 and majority <= 0.2 */
} hs_pair_stats;

#define HS_STATS_PAIRS (1u << 18)
typedef struct hs_graph_stats {
    uint64_t entities, relations, facts, synthetic;
    uint64_t functional_facts;     /* facts whose (head, relation) has one tail */
    uint64_t two_hop, two_hop_all; /* non-trivial, and with trivial ones */
    uint64_t functional_two_hop;   /* non-trivial ones over functional facts only */
    double phi, functional_phi;
    double branching; /* b = facts / entities */
    double threshold;
    double lemma1_phi;                 /* Lemma 1: phi <= b^(n-1), n = 2 */
    double lemma1_two_hop;             /* expected two-hop facts of a random graph of this b */
    double lemma2_branching;           /* Lemma 2: b_r needed for phi_r >= threshold */
    hs_relation_stats *relation;       /* (relations), by descending number of facts */
    uint64_t pairs, informative_pairs; /* relation pairs with two-hop facts */
    uint64_t n_pairs;                  /* of them listed: the HS_STATS_PAIRS with the most two-hop facts */
    hs_pair_stats *pair;               /* (n_pairs), by descending number of facts */
    double majority;                   /* share of two-hop facts answered by the commonest tail of their pair */
} hs_graph_stats;
/* Time: one step for each fact and each relation arriving at its head; two-hop facts are not walked. Memory: linear in
 * facts, entities and relations. `out` is freed
 * with hs_graph_stats_free. */
hs_status hs_graph_stats_compute(const hs_graph *g, double threshold, hs_graph_stats *out, hs_error *err);
/* The entry of a relation or of a pair, or NULL if it has none. Linear search. */
const hs_relation_stats *hs_graph_stats_relation(const hs_graph_stats *stats, uint32_t relation);
const hs_pair_stats *hs_graph_stats_pair(const hs_graph_stats *stats, uint32_t r1, uint32_t r2);
void hs_graph_stats_free(hs_graph_stats *stats);

/* ---------------------------------------------------------------- augmentation (arXiv 2504.20752, Algorithms 1 and 2) */

/* Composition. A synthetic fact (x, r, y) makes in(x) + out(y) two-hop facts: every fact that arrives at x goes on to
 * y, and x reaches whatever y leads to. The planner adds the fact of greatest gain, one after the other, where the gain
 * is the growth of sqrt(in * out) at both ends, ten times as heavy at bridges of real two-hop facts: so facts are
 * spread over the bridges, real ones first, instead of piled onto one hub. Only when that cannot reach the target does
 * it take the plain number of two-hop facts as the gain.
 *
 * A synthetic fact is never in g, never gives a (head, relation) a second tail, and is of a chosen relation. Its tail
 * is one that relation has in g; its head is an entity of the same kind as the heads that have the relation (kinds:
 * places in relations that at least a tenth of the entities of the smaller one share, and so on), or an invented one,
 * named
 * "~RELATION 17". */
typedef struct hs_augment_options {
    double phi;          /* target phi, overall and (per_relation) of every chosen relation; 0 with per_bridge: none */
    uint32_t per_bridge; /* facts that arrive at each bridge of real two-hop facts, at least; 0 = as it comes. So many
                            queries use each second hop: what held-out queries need, for few facts */
    bool per_relation;
    const char *const *relations; /* raise and add only these; NULL = every relation that can take part in two hops */
    size_t n_relations;
    bool acyclic;       /* never close a directed cycle */
    bool new_entities;  /* heads may be invented; otherwise only entities of g are used */
    bool tails_of_type; /* a tail may also be an entity of the same kind (a director becomes somebody's father): fewer
                           facts reach the target. Off: only tails that the relation has in g */
    uint64_t max_facts; /* give up beyond this many synthetic facts; 0 = 100 times the real ones, at least 10,000 */
    uint64_t seed;
    const hs_events *events; /* warnings: relations given up */
} hs_augment_options;
/* phi 6.25, per relation, all relations, cycles allowed, new entities, seed 0. */
void hs_augment_options_default(hs_augment_options *options);

typedef struct hs_augment_report {
    uint64_t added_facts, added_entities, added_two_hop;
    double phi_before, phi_after;
    double min_phi_r_before, min_phi_r_after; /* over the chosen relations, less those given up */
    uint64_t relations_chosen;
    uint64_t relations_given_up; /* of relations == NULL: below the target at the end */
    uint64_t bridges;            /* with per_bridge: bridges of real two-hop facts ... */
    uint64_t bridges_raised;     /* ... and those that had too few facts */
    uint64_t collisions;         /* heads drawn that already had a tail for the relation, so that another was drawn */
} hs_augment_report;
/* `out` (zero-initialized) = g plus synthetic facts, each flagged HS_FACT_SYNTHETIC; the ids of g's entities and
 * relations stay. HS_ERR_DATA names the target out of reach and a phi that can be had: the overall phi, or the phi of
 * a relation that was asked for by name. Deterministic in options->seed. */
hs_status hs_graph_augment(const hs_graph *g, const hs_augment_options *options, hs_graph *out,
                           hs_augment_report *report, hs_error *err);

/* Some facts held back, and one in the place of each, flagged HS_FACT_SYNTHETIC: the fact itself (SAME: what true synthetic facts are
 * worth), its head and relation with another tail of the relation that is wrong (WRONG_TAIL: false, of the right form), or its relation
 * between entities drawn at random of which the head has no fact of it (RANDOM). */
typedef enum hs_in_place { HS_IN_PLACE_NONE, HS_IN_PLACE_SAME, HS_IN_PLACE_WRONG_TAIL, HS_IN_PLACE_RANDOM } hs_in_place;
extern const char *const hs_in_place_names[]; /* by number, NULL after the last */
typedef struct hs_hold_options {
    double share; /* of the facts of g, each held back with this probability */
    hs_in_place in_place;
    uint64_t seed;
} hs_hold_options;
typedef struct hs_hold_report {
    uint64_t held, put; /* put is lower where a relation has no wrong tail, or no head without a fact of it */
} hs_hold_report;
/* `out` (zero-initialized) = g changed so; ids of entities and relations stay. The same facts are held back whatever comes in their
 * place. HS_ERR_DATA: nothing is left. Deterministic in options->seed. */
hs_status hs_graph_hold_back(const hs_graph *g, const hs_hold_options *options, hs_graph *out, hs_hold_report *report,
                             hs_error *err);

/* Comparison: heads are invented so that each value (tail) of each attribute relation is shared by `per_value`
 * entities. */
typedef struct hs_augment_comparison_options {
    const char *const *relations; /* attributes, for example "country", "date of birth"; at least one */
    size_t n_relations;
    uint32_t per_value; /* entities a value has afterwards, at least */
    uint64_t max_facts; /* as in hs_augment_options */
} hs_augment_comparison_options;
/* added_facts, added_entities and phi are reported. HS_ERR_DATA: no such relation, or more than max_facts needed. */
hs_status hs_graph_augment_comparison(const hs_graph *g, const hs_augment_comparison_options *options, hs_graph *out,
                                      hs_augment_report *report, hs_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
