/* render.h - what the files of rendering share. */
#ifndef HOPSCOPE_DATA_RENDER_H
#define HOPSCOPE_DATA_RENDER_H

#include "data/comparison/label.h"
#include "data/internal.h"

/* ---------------------------------------------------------------- held_out.c */

/* The two ends of every held-out question: head and answer, or the two that are compared. */
typedef struct hs_held_out {
    const hs_dataset *data;
    uint64_t *start;   /* (n_names+1) */
    uint32_t *partner; /* of name h: partner[start[h]..start[h+1]] */
    uint32_t n_names;
    uint64_t *clean; /* hashes of sentences known to state nothing */
    size_t n_clean, n_slots;
} hs_held_out;
hs_status hs_held_out_open(hs_held_out *out, const hs_dataset *data, hs_error *err);
void hs_held_out_free(hs_held_out *held);
/* Does a sentence about `subject` (a token of the vocabulary) name both ends of a held-out question? The subject counts
 * as named. Dates count in the forms in which people write them. */
hs_status hs_held_out_states(hs_held_out *held, const char *sentence, uint32_t subject, bool *states, hs_error *err);

/* ---------------------------------------------------------------- wiki.c */

/* Paragraphs and questions of a 2WikiMultiHopQA file. */
typedef struct hs_wiki_text {
    hs_names title, key; /* of paragraphs; of questions: names joined by tabs */
    char **paragraph;    /* (titles) sentences, a line each */
    char **question;     /* (keys) */
    size_t cap_titles, cap_keys;
} hs_wiki_text;
hs_status hs_wiki_text_read(hs_wiki_text *out, const char *path, hs_error *err);
void hs_wiki_text_free(hs_wiki_text *text);
const char *hs_wiki_text_paragraph(const hs_wiki_text *text, const char *name);           /* NULL: none */
const char *hs_wiki_text_question(const hs_wiki_text *text, const char *key, size_t len); /* NULL: none */

/* ---------------------------------------------------------------- words.c */

/* One item in words; texts are kept between items. */
typedef struct hs_words {
    hs_str context; /* sentences that state nothing, a line each */
    hs_str prompt, answer;
} hs_words;
void hs_words_free(hs_words *words);

typedef struct hs_word_source {
    const hs_dataset *data;
    const hs_data_config *config;
    hs_templates *templates;
    hs_wiki_text wiki;
    hs_compare compare;
    hs_held_out held;
    uint8_t *trained; /* (n_facts) the fact is a training item: it may be stated */
    uint64_t left_out;
    hs_str a, b; /* scratch */
} hs_word_source;
hs_status hs_word_source_open(hs_word_source *out, const hs_dataset *data, hs_error *err);
void hs_word_source_free(hs_word_source *source);
/* Every relation that the items use has the wordings that they need: else HS_ERR_DATA names one. */
hs_status hs_word_source_check(hs_word_source *source, hs_error *err);
hs_status hs_words_of(hs_word_source *source, uint32_t split, uint64_t item, hs_words *out, hs_error *err);
/* The words of an item's answer, without the full stop. NULL: the label is none of the program's. */
const char *hs_words_answer(const hs_dataset *data, const hs_compare *compare, const hs_split *split, uint64_t item);

/* ---------------------------------------------------------------- text.c */

/* Renders `data` as its configuration says: data->text. */
hs_status hs_rendered_build(hs_dataset *data, const hs_events *events, hs_error *err);
void hs_rendered_free(hs_rendered *text);
/* Fills the proofs of data->text from its lines; *failure: the first that fails, or NULL. */
hs_status hs_rendered_prove(hs_dataset *data, const char **failure, hs_error *err);
/* The member "text" of the card, with its comma; nothing for tokens. */
void hs_rendered_card(const hs_dataset *data, hs_str *out);
/* data->text from tokenizer.json and lines (in the order of the splits), which it takes over. `card`: json_t of the
 * member "text". */
hs_status hs_rendered_restore(hs_dataset *data, const void *card, const char *tokenizer, size_t len, hs_str *lines,
                              hs_error *err);

#endif
