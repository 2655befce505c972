/* value_table.h - the generated table of values that the tasks comparison and complex share. */
#ifndef HOPSCOPE_DATA_TABLES_H
#define HOPSCOPE_DATA_TABLES_H

#include "data/internal.h"

/* Vocabulary (entities, attributes, values, specials, labels) and facts: a uniform value for each (entity, attribute).
 */
hs_status hs_table_generate(hs_dataset *out, const hs_data_config *config, hs_error *err);
/* Options that these tasks do not have. */
hs_status hs_comparison_check(const hs_data_config *config, hs_error *err);

#endif
