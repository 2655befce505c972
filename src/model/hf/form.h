/* form.h - what a family says about its Hugging Face architecture: names of its tensors there, its config.json written and
 * read. One hf.c in the family's folder. */
#ifndef HOPSCOPE_MODEL_HF_FORM_H
#define HOPSCOPE_MODEL_HF_FORM_H

#include "model/ops.h"

/* A config.json being read; the functions below fail with its path and the key. */
typedef struct hs_hf_reader {
    void *json; /* json_t */
    const char *path;
    hs_error *err;
} hs_hf_reader;

struct hs_hf_form {
    const char *root;         /* "transformer.", which names in files may lack */
    const char *blocks;       /* "transformer.h.", then a number and a point */
    const char *shared;       /* beginning of the names of tensors that every block has, or NULL */
    const char *const *types; /* model_type values that `read` takes, NULL-ended */
    /* HS_ERR_USAGE naming the switch that the architecture cannot compute; NULL = it computes all. */
    hs_status (*check)(const hs_model_config *config, hs_error *err);
    /* The architecture's own lines of config.json, each ended by a comma and a newline. */
    void (*write)(hs_str *out, const hs_model_config *config);
    /* *groups: heads of keys and values, 0 = as many as of queries. */
    hs_status (*read)(const hs_hf_reader *r, const char *type, hs_model_config *config, uint32_t *groups);
};

hs_status hs_hf_bad_key(const hs_hf_reader *r, const char *key, const char *what);
/* A count; when it is absent or null, `otherwise`, or an error if that is 0. */
hs_status hs_hf_count(const hs_hf_reader *r, const char *key, uint32_t otherwise, uint32_t *out);
/* A number; *out is kept when it is absent or null. */
hs_status hs_hf_number(const hs_hf_reader *r, const char *key, float *out);
bool hs_hf_flag(const hs_hf_reader *r, const char *key, bool otherwise);
/* Absent, `want` or `also` (or NULL). */
hs_status hs_hf_need_text(const hs_hf_reader *r, const char *key, const char *want, const char *also);
hs_status hs_hf_need_off(const hs_hf_reader *r, const char *key);
/* Reader of the object under `key`; false if there is none. */
bool hs_hf_inner(const hs_hf_reader *r, const char *key, hs_hf_reader *inner);

/* HS_ERR_USAGE: model.FIELD has no Hugging Face form. */
hs_status hs_hf_cannot(hs_error *err, const char *field);

#endif
