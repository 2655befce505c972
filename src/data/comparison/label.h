/* label.h - what a comparison of two values answers. */
#ifndef HOPSCOPE_DATA_LABEL_H
#define HOPSCOPE_DATA_LABEL_H

#include "data/internal.h"

/* A value that can be ordered: an ISO date (any precision) or a number. */
typedef struct hs_ordinal {
    bool known, date;
    uint8_t parts; /* date: 1 year, 2 month, 3 day */
    int32_t date_part[3];
    double number;
} hs_ordinal;
hs_ordinal hs_ordinal_parse(const char *text);
/* -1, 0, 1; 2 if the two cannot be told apart ("1957" and "1957-08"). */
int hs_ordinal_compare(const hs_ordinal *a, const hs_ordinal *b);

/* The setting data.attribute_list: each name once, in its order. */
typedef enum hs_label_rule { HS_RULE_BY_VALUES, HS_RULE_SAME, HS_RULE_ORDER } hs_label_rule;
typedef struct hs_attribute {
    char name[sizeof((hs_data_config *)0)->attribute_list];
    hs_label_rule rule;
} hs_attribute;
typedef struct hs_attributes {
    hs_attribute *item;
    uint32_t n;
} hs_attributes;
hs_status hs_attributes_parse(hs_attributes *out, const char *text, hs_error *err);
void hs_attributes_free(hs_attributes *attributes);

enum { HS_LABEL_LESS, HS_LABEL_SAME, HS_LABEL_MORE, HS_LABEL_DIFFERENT, HS_N_LABELS };

/* How attributes of a dataset are compared, and the tokens of their labels: token[attribute * HS_N_LABELS + label]. */
typedef struct hs_compare {
    bool table; /* generated: values are ordered by their token */
    uint32_t n_attributes;
    bool *ordered;       /* (n_attributes) */
    uint32_t *token;     /* (n_attributes, HS_N_LABELS), HS_NO_ID where it does not occur */
    hs_ordinal *ordinal; /* (vocab.n) of entity tokens, NULL for a table */
} hs_compare;
/* From the vocabulary and the configuration of a dataset. Attributes are its relations. */
hs_status hs_compare_init(hs_compare *compare, const hs_dataset *data, hs_error *err);
void hs_compare_free(hs_compare *compare);
/* Label of (attribute, v1, v2), values as tokens; -1 if they cannot be compared. */
int hs_compare_code(const hs_compare *compare, uint32_t attribute, uint32_t v1, uint32_t v2);
/* Token of the label of (attribute, v1, v2), values as tokens; HS_NO_ID if they cannot be compared. */
uint32_t hs_compare_label(const hs_compare *compare, uint32_t attribute, uint32_t v1, uint32_t v2);

#endif
