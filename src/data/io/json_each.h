/* json_each.h - JSON files: whole, or a list element by element. */
#ifndef HOPSCOPE_DATA_JSON_EACH_H
#define HOPSCOPE_DATA_JSON_EACH_H

#include "hopscope/core.h"

#include <jansson.h>

/* Gets one element (json_t); anything but HS_OK ends the reading. */
typedef hs_status (*hs_json_fn)(void *user, const void *json, hs_error *err);
/* Every element of the list in a file; one is in memory at a time. Errors name file, line and element. */
hs_status hs_json_each(const char *path, hs_json_fn fn, void *user, hs_error *err);
/* The file dir/name as a whole; `path` gets its name for messages; the caller decrements *out. */
hs_status hs_json_load(const char *dir, const char *name, json_t **out, char *path, size_t path_size, hs_error *err);

#endif
