/* invent.c - entities that augmentation makes up. See invent.h. */
#include "graph/augment/invent.h"

hs_status hs_graph_invent(hs_graph *g, uint32_t relation, uint32_t *number, uint32_t *id, hs_error *err)
{
    hs_str name = {0};
    hs_status status = HS_OK;
    uint32_t entities = g->entities.n;
    while (status == HS_OK && g->entities.n == entities) {
        name.len = 0;
        hs_str_addf(&name, "~%s %u", hs_names_get(&g->relations, relation), ++*number);
        status = name.failed ? hs_fail_memory(err, 64) : hs_names_add(&g->entities, name.s, name.len, id, err);
    }
    hs_str_free(&name);
    return status;
}
