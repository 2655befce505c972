/* vocab.h - a vocabulary as a JSON list of names, by token. */
#ifndef HOPSCOPE_DATA_VOCAB_H
#define HOPSCOPE_DATA_VOCAB_H

#include "data/internal.h"

void hs_vocab_json(const hs_dataset *data, hs_str *out);
/* Adds the names of a list (json_t) to out->vocab; HS_ERR_DATA if one is there twice. */
hs_status hs_vocab_from_json(hs_dataset *out, const void *json_array, hs_error *err);

#endif
