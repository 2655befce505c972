/* internal.h - what the files of the data layer share: the task's view of a graph, selection, building blocks. */
#ifndef HOPSCOPE_DATA_INTERNAL_H
#define HOPSCOPE_DATA_INTERNAL_H

#include "hopscope/data.h"

/* ---------------------------------------------------------------- config.c */

/* Sets the four numbers of a named injection. */
void hs_injection_resolve(hs_data_config *config);
bool hs_injection_on(const hs_data_config *config);
/* The configuration as one JSON object, and back (unknown keys are ignored, absent ones keep their value). The second
 * takes a json_t object. */
void hs_data_config_json(const hs_data_config *config, hs_str *out);
hs_status hs_data_config_from_json(hs_data_config *config, const void *json_object, hs_error *err);

/* ---------------------------------------------------------------- table.c */

/* Further flags of a fact while a dataset is being built. */
enum { HS_FACT_RESTRICTED = 4, HS_FACT_HELD_OUT = 8 };

/* The facts a task works on, sorted by (head, relation, tail); start[h]..start[h+1] leave h. In a functional graph each
 * (head, relation) has one tail; else `multi` is set and all tails of a (head, relation) carry the same flags but
 * HS_FACT_SYNTHETIC. */
typedef struct hs_fact_table {
    uint32_t n_entities, n_relations, n_facts;
    hs_fact *facts;
    uint8_t *flags;
    uint32_t *start;
    bool generated, multi, any_synthetic;
    uint32_t n_dropped; /* facts of the graph left out: their head and relation have several tails */
    uint32_t n_id; /* ID atomic facts: (head, relation) groups that are not OOD */
} hs_fact_table;

hs_status hs_fact_table_generate(hs_fact_table *table, const hs_data_config *config, hs_pool *pool, hs_error *err);
hs_status hs_fact_table_from_graph(hs_fact_table *table, const hs_data_config *config, const hs_graph *graph,
                                   hs_error *err);
/* Marks OOD, restricted and held-out facts as the configuration says and counts n_id. */
void hs_fact_table_mark(hs_fact_table *table, const hs_data_config *config);
void hs_fact_table_free(hs_fact_table *table);

/* ---------------------------------------------------------------- sample.c */

#define HS_CAT_NONE UINT16_MAX
/* Of the candidates i in [0, n) with cat[i] = c, keep the limit[c] with the smallest key (ties: smallest i) and set the
 * others to HS_CAT_NONE. limit[c] = UINT64_MAX keeps all. Linear time, exact counts. */
hs_status hs_select(uint16_t *cat, const uint32_t *key, uint64_t n, const uint64_t *limit, uint32_t n_cats,
                    hs_error *err);

/* ---------------------------------------------------------------- dataset.c */

/* A new split with its arrays allocated: name, role, kind, hops, n, width, prompt, answer, answers, bridges of `form`
 * are taken over; `synthetic` and `also` ask for these arrays. *out is valid until the next split is added. */
hs_status hs_dataset_add_split(hs_dataset *data, const hs_split *form, bool synthetic, bool also_start, hs_split **out,
                               hs_error *err);
/* Adds a token whose name is not taken; a taken one gets " [kind]" after it. */
hs_status hs_vocab_add(hs_dataset *data, const char *name, const char *kind, uint32_t *id, hs_error *err);
hs_status hs_vocab_addf(hs_dataset *data, hs_error *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "<mask>", "<sep>", "<a>", "</a>", "<q>", "</q>" */
hs_status hs_vocab_specials(hs_dataset *data, hs_error *err);
/* The tokens of quirk_dead_vocab, after all others; nothing when it is off. */
hs_status hs_vocab_dead(hs_dataset *data, hs_error *err);
/* Token of a special name; HS_NO_ID if absent. */
uint32_t hs_vocab_token(const hs_dataset *data, const char *name);
/* Takes over facts and flags (relations as token ids: `relation_base` is added). */
hs_status hs_dataset_set_facts(hs_dataset *data, const hs_fact_table *table, uint32_t relation_base, hs_error *err);
/* One form for equal content (no empty arrays), max_width, and the hash of every split. */
void hs_dataset_finish(hs_dataset *data);

/* OOD bits of the test class a split's name stands for ("test_io" = bit 1); false if it stands for none. */
bool hs_split_class(const char *name, uint32_t hops, uint32_t *ood_mask);
/* A name that is safe as a file name in a folder. */
bool hs_split_name_ok(const char *name);
/* Number of the entity with these tokens. With one token an entity that is the token, also of a value, which lies
 * behind the entities; HS_NO_ID if two tokens name none. */
uint32_t hs_dataset_entity_number(const hs_dataset *data, const uint32_t *tokens);

/* ---------------------------------------------------------------- formats.c */

/* HS_ERR_DATA if the dataset watches splits of another one. */
hs_status hs_dataset_check_own(const hs_dataset *data, hs_error *err);

/* ---------------------------------------------------------------- build.c, card.c */

/* finish, audit, card; HS_ERR_DATA if a proof fails. */
hs_status hs_dataset_certify(hs_dataset *data, hs_error *err);
hs_status hs_dataset_make_card(hs_dataset *data, hs_error *err);
/* The parts of a card (json_t): task, counts, configuration; then, with the splits read, the audit. */
hs_status hs_card_parse(hs_dataset *out, const void *json, hs_error *err);
/* out->card becomes the text of this card (json_t): the audit compares it with the dataset. */
hs_status hs_card_keep(hs_dataset *out, const void *json, hs_error *err);
hs_status hs_card_parse_audit(hs_dataset *out, const void *json, hs_error *err);

#endif
