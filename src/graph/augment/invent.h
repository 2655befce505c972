/* invent.h - entities that augmentation makes up; not public. */
#ifndef HOPSCOPE_GRAPH_INVENT_H
#define HOPSCOPE_GRAPH_INVENT_H

#include "hopscope/graph.h"

/* A new entity "~RELATION 17", numbered on from *number; a name that is there already is passed over. */
hs_status hs_graph_invent(hs_graph *g, uint32_t relation, uint32_t *number, uint32_t *id, hs_error *err);

#endif
