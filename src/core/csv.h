/* csv.h - comma-separated values for the readers of all layers: records as they stand in the file, without a meaning.
 */
#ifndef HOPSCOPE_CORE_CSV_H
#define HOPSCOPE_CORE_CSV_H

#include "hopscope/core.h"

enum { HS_CSV_RECORD = 1 << 20 }; /* bytes of a record */

typedef struct hs_field {
    const char *s; /* not terminated */
    size_t len;
} hs_field;

/* A record of n fields, UTF-8, that began in this line (from 1); they live until it returns. */
typedef hs_status (*hs_csv_fn)(void *user, const hs_field *field, size_t n, uint64_t line, hs_error *err);
/* Every record of `in` but empty lines. What is no CSV is HS_ERR_DATA at path:line; a failure of `record` ends the
 * reading. */
hs_status hs_csv_read(hs_lines *in, const char *path, hs_csv_fn record, void *user, hs_error *err);

#endif
