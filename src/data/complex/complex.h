/* complex.h - the task complex between its files. */
#ifndef HOPSCOPE_DATA_COMPLEX_H
#define HOPSCOPE_DATA_COMPLEX_H

#include "data/comparison/pairs.h"

hs_status hs_complex_build(const hs_data_config *config, const hs_graph *graph, hs_pool *pool, hs_dataset *out,
                           hs_error *err);

#endif
