/* vocab.c - a vocabulary as a JSON list of names, by token. */
#include "data/io/vocab.h"

#include <jansson.h>
#include <string.h>

void hs_vocab_json(const hs_dataset *data, hs_str *out)
{
    hs_str_addf(out, "[");
    for (uint32_t i = 0; i < data->vocab.n; i++) {
        const char *name = hs_names_get(&data->vocab, i);
        hs_str_addf(out, i ? ",\n" : "");
        hs_str_add_json(out, name, strlen(name));
    }
    hs_str_addf(out, "]\n");
}

hs_status hs_vocab_from_json(hs_dataset *out, const void *json_array, hs_error *err)
{
    const json_t *list = json_array, *item;
    size_t i;
    if (!json_is_array(list))
        return hs_fail(err, HS_ERR_DATA, "the vocabulary is not a list of names");
    json_array_foreach(list, i, item)
    {
        uint32_t id;
        if (!json_is_string(item) || strlen(json_string_value(item)) != json_string_length(item))
            return hs_fail(err, HS_ERR_DATA, "entry %zu of the vocabulary is not a name", i + 1);
        HS_TRY(hs_names_add(&out->vocab, json_string_value(item), json_string_length(item), &id, err));
        if (id != i) {
            hs_fail(err, HS_ERR_DATA, "the vocabulary has a name twice");
            return hs_error_value(err, json_string_value(item), json_string_length(item));
        }
    }
    return HS_OK;
}
