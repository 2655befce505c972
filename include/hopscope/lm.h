/* lm.h - language models behind a server: questions and answers, a cache of answers, facts and baselines made with
 * them.
 *
 * Any server that speaks the chat completions protocol of OpenAI (POST .../v1/chat/completions) will do. A question is
 * one user message; it is named by a hash of the request that it becomes (model, prompt, every parameter; not the
 * server), and its answer is kept under that name in a cache, so that nothing is asked twice. What leaves this machine
 * is the prompts; what is kept are names and answers, never the key.
 */
#ifndef HOPSCOPE_LM_H
#define HOPSCOPE_LM_H

#include "hopscope/core.h"
#include "hopscope/data.h"
#include "hopscope/graph.h"
#include "hopscope/train.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library exports what stands here */

/* ---------------------------------------------------------------- asking */

/* How the form of a JSON answer is asked for: as a schema (response_format json_schema), as any JSON object, in the
 * prompt only. */
typedef enum hs_lm_form { HS_LM_FORM_SCHEMA, HS_LM_FORM_OBJECT, HS_LM_FORM_PROMPT } hs_lm_form;
extern const char *const hs_lm_form_names[]; /* "schema", "object", "prompt"; NULL after the last */

typedef struct hs_lm_options {
    const char *server; /* "https://host/v1", or the whole ".../chat/completions"; NULL: only the cache answers */
    const char *model;  /* its name, as the server knows it */
    const char *key;    /* sent as bearer token; NULL or "": none. Kept in memory only */
    const char *ca;    /* PEM file of certificate authorities; NULL: CURL_CA_BUNDLE, SSL_CERT_FILE, else the system's */
    const char *cache; /* SQLite file of answers, made if absent */
    const char *body;  /* JSON object of further fields of every request, a null removes one; NULL: none */
    hs_lm_form form;
    uint32_t concurrency; /* requests at a time */
    uint32_t retries;     /* of one question, after 408, 409, 425, 429, 5xx, a timeout or a broken connection */
    double backoff; /* seconds before the first of them, doubled each time up to a minute; Retry-After is heeded */
    double timeout; /* seconds for an answer */
    uint64_t max_requests;      /* that may be sent, retries included; 0 = any number */
    double max_cost;            /* that all answers may cost, those in the cache included; 0 = any. Needs a price */
    double price_in, price_out; /* of a million tokens of prompts and of answers */
    uint32_t max_tokens;        /* of an answer */
    double temperature;
    size_t max_bytes; /* of an answer's HTTP body: it is not read further */
    bool again;       /* ask again what was refused before */
} hs_lm_options;
/* No server, no model; 4 at a time, 6 retries from 1 second on, 120 seconds, 512 tokens, temperature 0, 4 MiB. */
void hs_lm_options_default(hs_lm_options *options);
/* Is this program built with libcurl? Without, options.server is refused (HS_ERR_FAILED). */
bool hs_lm_has_http(void);

/* Why an answer was refused: number, name, sentence. The numbers are kept in caches: new ones at the end. */
#define HS_LM_REASON_MAP(X)                                                                                            \
    X(NONE, "none", "not refused")                                                                                     \
    X(HTTP, "http", "the server refused the request")                                                                  \
    X(TOO_LONG, "too long", "the answer is longer than the limit, and was not read to its end")                        \
    X(NO_JSON, "no JSON", "the body is no JSON")                                                                       \
    X(NO_COMPLETION, "no completion", "the body is JSON, but no chat completion")                                      \
    X(DECLINED, "declined", "the model declined to answer")                                                            \
    X(EMPTY, "empty", "the answer has no text")
typedef enum hs_lm_reason {
#define HS_X(constant, name, sentence) HS_LM_##constant,
    HS_LM_REASON_MAP(HS_X)
#undef HS_X
        HS_LM_N_REASONS
} hs_lm_reason;
const char *hs_lm_reason_name(hs_lm_reason reason);
const char *hs_lm_reason_sentence(hs_lm_reason reason);

typedef struct hs_lm_question {
    const char *prompt;
    const char *schema_name, *schema; /* JSON schema of the answer, as text; NULL: free text */
    uint64_t seed;                    /* field "seed" of the request; UINT64_MAX: none */
} hs_lm_question;

enum { HS_LM_NAME_SIZE = 33 }; /* 128 bits in hexadecimal */
typedef struct hs_lm_answer {
    bool known;                           /* false: not asked */
    hs_lm_reason reason;                  /* why it is refused; then `text` is what the server said, cut */
    bool cut;                             /* it ends where max_tokens ended it */
    char name[HS_LM_NAME_SIZE], time[24]; /* of the question; UTC, when it arrived */
    uint64_t tokens_in, tokens_out;
    char *text; /* freed with hs_lm_answers_free */
} hs_lm_answer;
void hs_lm_answers_free(hs_lm_answer *answers, size_t n); /* their texts, and the array */

/* Of one open hs_lm, from its beginning. */
typedef struct hs_lm_counts {
    uint64_t questions, cached, answered, refused[HS_LM_N_REASONS]; /* cached: of both kinds, not asked now */
    uint64_t requests, retries, waits; /* sent now; of these again; times that the server asked to wait */
    uint64_t tokens_in, tokens_out;    /* of all answers, cached ones included */
    double cost;
    bool capped; /* a cap ended it */
} hs_lm_counts;

typedef struct hs_lm hs_lm;
/* Opens the cache: HS_ERR_IO while another process has it, HS_ERR_DATA for another kind of file. HS_ERR_USAGE: what is
 * wrong with the options. `options` is copied, its texts must outlive `out`; `events` may be NULL. */
hs_status hs_lm_open(hs_lm **out, const hs_lm_options *options, const hs_events *events, hs_error *err);
void hs_lm_close(hs_lm *lm);
const hs_lm_counts *hs_lm_counted(const hs_lm *lm);

/* Question i of n, made when it is needed: texts in `out` stay valid until the next call. The same i gives the same
 * question. */
typedef hs_status (*hs_lm_make_fn)(void *user, size_t i, hs_lm_question *out, hs_error *err);
/* Ask what the cache does not have. `answers` (n) is zeroed by the caller, who frees the texts. An answer is durable in
 * the cache before it is counted. A cap leaves answers unknown and is no error (hs_lm_counts.capped). Stopped by a
 * signal: no new request, those under way are waited for; HS_STOPPED_*. HS_ERR_IO: the server cannot be reached, or a
 * question had no answer after all retries. HS_ERR_FAILED: it wants another key. HS_ERR_DATA: what answers is no such
 * server (the first 8 answers, or all, are refused for the transport's reasons). All of these keep what was answered.
 */
hs_status hs_lm_ask(hs_lm *lm, size_t n, hs_lm_make_fn make, void *user, hs_lm_answer *answers,
                    const hs_signals *signals, hs_error *err);

/* The questions that the cache does not answer as a batch file: a line {"custom_id", "method", "url", "body"} each;
 * *written counts them. The file appears whole or not at all; also for 0 questions. */
hs_status hs_lm_export(hs_lm *lm, size_t n, hs_lm_make_fn make, void *user, const char *path, uint64_t *written,
                       hs_error *err);
/* Lines {"custom_id", "response": {"status_code", "body"}, "error"} into the cache, in one transaction. HS_ERR_DATA
 * with file and line for what is no such line, or the answer to none of these questions; then nothing is taken. A line
 * whose status is not 200 is counted in *failed and stays unanswered. */
hs_status hs_lm_import(hs_lm *lm, size_t n, hs_lm_make_fn make, void *user, const char *path, uint64_t *taken,
                       uint64_t *failed, hs_error *err);

/* ---------------------------------------------------------------- new facts (arXiv 2504.20752, Algorithms 1 and 2) */

/* Why a proposed fact was not taken. */
#define HS_LM_FAULT_MAP(X)                                                                                             \
    X(FORM, "form", "the answer is not what the schema says")                                                          \
    X(NAME, "name", "a name is empty, longer than 200 bytes, or holds a control character")                            \
    X(RELATION, "relation", "of a relation, or with a value, that was not asked for")                                  \
    X(PLACE, "place", "does not touch the entity that was asked about")                                                \
    X(KIND, "kind", "an entity of another kind than the relation has there")                                           \
    X(KNOWN, "known", "the graph has this fact, or this entity, already")                                              \
    X(REPEATED, "repeated", "proposed and taken before")                                                               \
    X(CONTRADICTS, "contradicts", "the head has another tail under this relation")                                     \
    X(CYCLE, "cycle", "would close a directed cycle")                                                                  \
    X(PARAGRAPH, "paragraph", "the paragraph does not name the entity and its value")
typedef enum hs_lm_fault {
#define HS_X(constant, name, sentence) HS_LM_FAULT_##constant,
    HS_LM_FAULT_MAP(HS_X)
#undef HS_X
        HS_LM_N_FAULTS
} hs_lm_fault;
const char *hs_lm_fault_name(hs_lm_fault fault);
const char *hs_lm_fault_sentence(hs_lm_fault fault);

typedef struct hs_lm_augment_options {
    const char *const *relations; /* comparison: the attributes; composition: only these, NULL = all */
    size_t n_relations;
    uint32_t
        per_value; /* above 0: comparison, until so many entities share each value (Algorithm 1); else composition */
    double phi;    /* composition (Algorithm 2): until the overall phi; 0 = no such target */
    uint32_t per_bridge; /* composition: until so many facts arrive at each bridge of real two-hop facts; 0 = no such
                            target; not both */
    uint32_t each;       /* facts asked for in one question, at most */
    uint64_t max_facts;  /* give up beyond so many; 0 = as hs_augment_options */
    uint64_t seed;       /* field "seed" of the requests, counted up round by round */
} hs_lm_augment_options;
typedef struct hs_lm_augment_report {
    uint64_t rounds, proposed, added_facts, added_entities, added_two_hop;
    uint64_t refused[HS_LM_N_FAULTS]; /* of the proposed; FORM: whole answers */
    double phi_before, phi_after;
    uint64_t wanted, reached, given_up; /* bridges or values below the target: all, brought there, fruitless twice */
} hs_lm_augment_report;
/* `out` (zero-initialized) = g and the facts that a model proposed and the checks let pass, flagged HS_FACT_SYNTHETIC,
 * indexed. Round by round 16 questions are asked and their answers looked at in order, so the same answers give the
 * same graph, whatever comes first; a stopped or killed call goes on from the cache. To `origin` (may be NULL) a JSON
 * line a fact is appended: head, relation, tail, model, prompt (the name of its question), time, and for comparison the
 * paragraph about it. A cap ends it with what there is. `lm` NULL: `show` is called for the questions of the first
 * round, nothing is asked. HS_ERR_DATA: an unknown relation, nothing to raise; and as hs_lm_ask. */
typedef void (*hs_lm_show_fn)(void *user, size_t i, size_t n, const hs_lm_question *question);
hs_status hs_lm_augment(const hs_graph *g, hs_lm *lm, const hs_lm_augment_options *options, hs_graph *out,
                        hs_str *origin, hs_lm_augment_report *report, hs_lm_show_fn show, void *user,
                        const hs_signals *signals, hs_error *err);

/* ---------------------------------------------------------------- baselines: what a language model answers (arXiv
 * 2405.15071, 5) */

typedef enum hs_lm_way { HS_LM_DIRECT, HS_LM_STEPS, HS_LM_N_WAYS } hs_lm_way; /* at once; after thinking step by step */
typedef enum hs_lm_facts {
    HS_LM_NO_FACTS,
    HS_LM_RETRIEVED,
    HS_LM_ALL_FACTS,
    HS_LM_N_FACTS
} hs_lm_facts; /* in the prompt */
/* "direct", "steps"; "none", "retrieved", "all"; NULL after the last. */
extern const char *const hs_lm_way_names[], *const hs_lm_facts_names[];

typedef struct hs_baseline_options {
    const char *splits; /* list; NULL or "": every test split of queries or comparisons */
    uint32_t items;     /* of each split, drawn by seed; 0 = all */
    uint64_t seed;      /* of the items, the order of facts, the names of persons */
    bool way[HS_LM_N_WAYS], facts[HS_LM_N_FACTS];
    const char *aliases; /* file: a line holds names of one thing, separated by tabs; NULL: none */
} hs_baseline_options;
/* 100 items, seed 0, both ways, no facts and retrieved ones. */
void hs_baseline_options_default(hs_baseline_options *options);

/* The questions of a baseline: for each split, way and kind of facts its items. Entities of a generated table become
 * persons and its attributes ages, as published; other names stay as they are. Facts stand in an order of their own for
 * each item. `retrieved`: the facts within as many steps of the question's head as it has hops, or (comparisons) the
 * trained statements about both entities and about those that they are compared with. */
typedef struct hs_baseline_job hs_baseline_job;
/* `data` must outlive `out`. HS_ERR_DATA: no such split, a split without questions in words, a line of the file of
 * aliases. */
hs_status hs_baseline_open(hs_baseline_job **out, const hs_dataset *data, const hs_baseline_options *options,
                           hs_error *err);
void hs_baseline_close(hs_baseline_job *job);
size_t hs_baseline_size(const hs_baseline_job *job);
/* An hs_lm_make_fn; `user` is the job. */
hs_status hs_baseline_make(void *user, size_t i, hs_lm_question *out, hs_error *err);

/* One cell of the result: a split, asked in one way with one kind of facts. */
typedef struct hs_baseline_row {
    char split[48];
    hs_lm_way way;
    hs_lm_facts facts;
    uint64_t n;
    uint64_t refused; /* answers refused; they count as wrong, and so do */
    uint64_t unread;  /* those in which no answer was found */
    double match, match_low,
        match_high; /* share equal to a right answer but for case, punctuation, articles, spaces; Wilson 95% */
    double alias, alias_low, alias_high; /* the same, other names of the right answer too */
} hs_baseline_row;
/* Scores `answers` (hs_baseline_size of them, all known). The caller frees *rows with hs_free. */
hs_status hs_baseline_score(const hs_baseline_job *job, const hs_lm_answer *answers, hs_baseline_row **rows, size_t *n,
                            hs_error *err);
/* Rows into the run's record, as method "baseline" of the table probe, step 0; earlier ones of the same model are
 * replaced. Takes the run's lock. */
hs_status hs_baseline_record(const char *run_dir, const char *model, const hs_baseline_row *rows, size_t n,
                             hs_error *err);
/* What a match compares, appended to `out`: ASCII letters small, punctuation gone, hyphens and white space one space, a
 * leading article gone. */
void hs_answer_normalize(const char *text, hs_str *out);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
