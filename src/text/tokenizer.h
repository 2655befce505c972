/* tokenizer.h - what the files of the tokenizer share: pieces of text, the vocabulary, the table of merges. */
#ifndef HOPSCOPE_TEXT_TOKENIZER_H
#define HOPSCOPE_TEXT_TOKENIZER_H

#include "hopscope/graph.h"
#include "hopscope/text.h"

/* ---------------------------------------------------------------- pieces.c */

/* Cuts text into pieces. One thread at a time. */
typedef struct hs_pieces {
    const char *text;
    size_t len, at;
    void *match; /* pcre2_match_data */
} hs_pieces;
/* HS_ERR_DATA: not UTF-8. */
hs_status hs_pieces_begin(hs_pieces *pieces, const char *text, size_t len, hs_error *err);
/* The next piece; *n = 0 at the end. */
hs_status hs_pieces_next(hs_pieces *pieces, const char **piece, size_t *n, hs_error *err);
void hs_pieces_end(hs_pieces *pieces);

/* ---------------------------------------------------------------- tokenizer.c */

/* left and right become `made`; the place in the table is the rank. */
typedef struct hs_merge {
    uint32_t left, right, made;
} hs_merge;

/* Invariants: vocab holds the bytes of each token; for byte pairs `byte` is the token of every single byte, each merge's
 * three tokens are in the vocabulary, the bytes of `made` are those of left and right, and no pair occurs twice. */
struct hs_tokenizer {
    hs_tokenizer_kind kind;
    hs_names vocab;
    uint32_t unknown; /* words: the token of a piece that is not in the vocabulary */
    uint32_t byte[256];
    hs_merge *merge; /* (n_merges) */
    uint32_t n_merges;
    uint32_t *slot; /* (n_slots) open addressing by pair: rank + 1, 0 = empty */
    uint32_t n_slots;
};
/* Fills the table of pairs. HS_ERR_DATA: a pair that occurs twice, with *bad its rank. */
hs_status hs_tokenizer_index(hs_tokenizer *tokenizer, uint32_t *bad, hs_error *err);
/* Bytes of a token: not terminated by their length alone, since a token may hold a zero byte. */
const char *hs_token_bytes(const hs_names *vocab, uint32_t id, size_t *len);

/* ---------------------------------------------------------------- bytes.c */

/* GPT-2's printable stand-ins for bytes: each byte is one character, as UTF-8. */
void hs_bytes_show(const char *bytes, size_t len, hs_str *out);
/* Back; false if `text` holds another character. */
bool hs_bytes_unshow(const char *text, size_t len, hs_str *out);

#endif
