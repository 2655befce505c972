/* text.h - from text to token ids and back: a tokenizer of words or of byte pairs, learned from text, kept in the file
 * `tokenizer.json` of Hugging Face's `tokenizers`, which gives the same ids.
 *
 * Text is cut into pieces by the regular expression of GPT-2 (a word or a number with the space before it, punctuation,
 * white space). With HS_TOKENIZER_WORDS each piece is a token and one that was never seen is `<unk>`; with HS_TOKENIZER_BPE a
 * piece is merged from its bytes (Sennrich et al., arXiv 1508.07909; byte level after GPT-2), so every text has tokens. */
#ifndef HOPSCOPE_TEXT_H
#define HOPSCOPE_TEXT_H

#include "hopscope/core.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library exports what stands here */

typedef enum hs_tokenizer_kind { HS_TOKENIZER_WORDS, HS_TOKENIZER_BPE } hs_tokenizer_kind;
extern const char *const hs_tokenizer_kind_names[]; /* "words", "bpe", NULL */
enum { HS_TOKENIZER_LEAST = 256, HS_TOKENIZER_MOST = 1 << 18 }; /* tokens of a byte-pair tokenizer */

/* Growable list of token ids. Zero-initialize; free with hs_ids_free. */
typedef struct hs_ids {
    uint32_t *id; /* (n) */
    size_t n, cap;
} hs_ids;
void hs_ids_free(hs_ids *ids);

/* A tokenizer may be shared by threads. */
typedef struct hs_tokenizer hs_tokenizer;
void hs_tokenizer_free(hs_tokenizer *tokenizer);
hs_tokenizer_kind hs_tokenizer_kind_of(const hs_tokenizer *tokenizer);
uint32_t hs_tokenizer_size(const hs_tokenizer *tokenizer); /* ids are below */
/* Appends the ids of a text to `out`. HS_ERR_DATA: not UTF-8, as a text cut within a character; `out` is then as it was. */
hs_status hs_tokenizer_encode(const hs_tokenizer *tokenizer, const char *text, size_t len, hs_ids *out, hs_error *err);
/* Appends the bytes of ids to `out`; of one token they may be a part of a character. Ids beyond the vocabulary have none. */
void hs_tokenizer_decode(const hs_tokenizer *tokenizer, const uint32_t *id, size_t n, hs_str *out);

/* The JSON text of `tokenizer.json`, the same bytes for the same tokenizer. */
void hs_tokenizer_write(const hs_tokenizer *tokenizer, hs_str *out);
/* From such a text (also one of `tokenizers`, when it is of one of the two kinds). `name` is the file, for errors. HS_ERR_DATA
 * names the field that is wrong or not supported. */
hs_status hs_tokenizer_read(hs_tokenizer **out, const char *json, size_t len, const char *name, hs_error *err);

/* Learns a tokenizer: create, feed texts, finish. The same texts in the same order give the same tokenizer. */
typedef struct hs_tokenizer_learner hs_tokenizer_learner;
hs_status hs_tokenizer_learner_create(hs_tokenizer_learner **out, hs_error *err);
hs_status hs_tokenizer_learner_feed(hs_tokenizer_learner *learner, const char *text, size_t len, hs_error *err);
/* A tokenizer of words, or of at most `size` byte pairs (at least 256: the bytes): merges of pairs that occur once are not
 * learned. */
hs_status hs_tokenizer_learner_finish(hs_tokenizer_learner *learner, hs_tokenizer_kind kind, uint32_t size,
                                      hs_tokenizer **out, hs_error *err);
void hs_tokenizer_learner_free(hs_tokenizer_learner *learner);

/* ---------------------------------------------------------------- wordings */

/* What a wording says, and its slots: a fact's sentence, {h} and, just before its end, {t}; a noun phrase, {x}; a
 * question whether two things share a tail, {a} {b}; one which of two tails is earlier; one for a noun phrase, {q}.
 * General wordings also have {r}, the relation's name. */
#define HS_WORDING_MAP(X)                                                                                              \
    X(FACT, fact, "ht")                                                                                                \
    X(OF, of, "x")                                                                                                     \
    X(SAME, same, "ab")                                                                                                \
    X(ORDER, order, "ab")                                                                                              \
    X(ASK, ask, "q")
typedef enum hs_wording_kind {
#define HS_X(constant, name, slots) HS_WORDING_##constant,
    HS_WORDING_MAP(HS_X)
#undef HS_X
        HS_N_WORDINGS
} hs_wording_kind;

/* A table of wordings (docs/text.md), from YAML. HS_ERR_DATA names file, line and what is wrong: a slot that is missing
 * or unknown, a key that is. `name` is the file, for errors. */
typedef struct hs_templates hs_templates;
hs_status hs_templates_read(hs_templates **out, const char *yaml, size_t len, const char *name, hs_error *err);
/* The table that is part of the program: the relations of the world graph and of 2WikiMultiHopQA. */
hs_status hs_templates_default(hs_templates **out, hs_error *err);
void hs_templates_free(hs_templates *templates);
/* The wordings of a relation (NULL: the general ones), *n of them; *n = 0 where there are none. */
const char *const *hs_templates_of(const hs_templates *templates, const char *relation, hs_wording_kind what, size_t *n);
/* Sentences that state nothing; slot {h}, or none. */
const char *const *hs_templates_distractors(const hs_templates *templates, size_t *n);

/* Appends a wording with its slots filled: value[i] for the letter slot[i]; other slots stay. */
void hs_template_fill(const char *wording, const char *slot, const char *const *value, hs_str *out);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
