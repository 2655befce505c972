/* tensors.c - GPT-2's table of tensors, under Hugging Face's names.
 *
 * Invariant: describing a model and finding its tensors again walk them in the one order of walk_tensors. */
#include "model/gpt2/gpt2.h"

#include <math.h>
#include <string.h>

/* Both hs_gpt2_describe and hs_gpt2_resolve walk the tensors in this one order: with `add` set the table is appended to, then the
 * next entry's offset is read. */
typedef struct walk {
    hs_model *model;       /* when adding */
    const hs_model *table; /* when resolving */
    uint32_t next;
    hs_status status;
    hs_error *err;
} walk;

static size_t visit(walk *w, const char *prefix, const char *name, uint32_t rows, uint32_t columns, hs_tensor_init init,
                    double std, hs_tensor_group group)
{
    if (w->model) {
        if (w->status == HS_OK) {
            char full[96];
            snprintf(full, sizeof full, "%s%s", prefix, name);
            const uint32_t shape[2] = {rows, columns};
            const uint32_t vector[1] = {columns};
            hs_tensor *t = NULL;
            w->status = hs_model_add_tensor(w->model, full, rows ? 2 : 1, rows ? shape : vector, init, std, group, &t, w->err);
            if (t && strcmp(name, "attn.c_attn.weight") == 0) {
                t->splits = 3;
                t->split_columns = true;
            }
        }
        return 0;
    }
    return w->table->tensor[w->next++].offset;
}

static void visit_norm(walk *w, const char *prefix, const char *name, uint32_t D, bool absent, size_t *weight, size_t *bias)
{
    char full[32];
    *weight = *bias = NONE;
    if (absent)
        return;
    snprintf(full, sizeof full, "%s.weight", name);
    *weight = visit(w, prefix, full, 0, D, HS_INIT_ONE, 0, HS_GROUP_VECTOR);
    snprintf(full, sizeof full, "%s.bias", name);
    *bias = visit(w, prefix, full, 0, D, HS_INIT_ZERO, 0, HS_GROUP_VECTOR);
}

static void visit_mlp(walk *w, const hs_model_config *c, const char *prefix, const char *norm, uint32_t inner,
                      double proj_std, mlp_offsets *m)
{
    const uint32_t D = c->n_embd;
    m->inner = inner;
    visit_norm(w, prefix, norm, D, c->no_ln, &m->ln_w, &m->ln_b);
    m->fc_w = visit(w, prefix, "mlp.c_fc.weight", D, inner, HS_INIT_NORMAL, (double)c->init_std, HS_GROUP_MATRIX);
    m->fc_b = visit(w, prefix, "mlp.c_fc.bias", 0, inner, HS_INIT_ZERO, 0, HS_GROUP_VECTOR);
    m->proj_w = visit(w, prefix, "mlp.c_proj.weight", inner, D, HS_INIT_NORMAL, proj_std, HS_GROUP_MATRIX);
    m->proj_b = visit(w, prefix, "mlp.c_proj.bias", 0, D, HS_INIT_ZERO, 0, HS_GROUP_VECTOR);
}

uint32_t hs_gpt2_inner(const hs_model_config *c)
{
    return c->n_inner ? c->n_inner : 4 * c->n_embd;
}

static void walk_tensors(walk *w, const hs_model_config *c, gpt2_offsets *o)
{
    const uint32_t D = c->n_embd;
    const double std = (double)c->init_std, proj_std = std / sqrt(2.0 * c->n_layer);
    o->wte = visit(w, "transformer.", "wte.weight", c->vocab, D, HS_INIT_NORMAL, std, HS_GROUP_EMBEDDING);
    o->wpe = visit(w, "transformer.", "wpe.weight", c->n_positions, D, HS_INIT_NORMAL, std, HS_GROUP_EMBEDDING);
    mlp_offsets shared = {0};
    if (c->share_mlp && !c->no_mlp)
        visit_mlp(w, c, "transformer.shared.", "ln_2", hs_gpt2_inner(c), proj_std, &shared);
    for (uint32_t l = 0; l < c->n_layer; l++) {
        block_offsets *b = &o->block[l];
        char prefix[40];
        snprintf(prefix, sizeof prefix, "transformer.h.%u.", l);
        visit_norm(w, prefix, "ln_1", D, c->no_ln, &b->ln_w, &b->ln_b);
        b->qkv_w = visit(w, prefix, "attn.c_attn.weight", D, 3 * D, HS_INIT_NORMAL, std, HS_GROUP_MATRIX);
        b->qkv_b = visit(w, prefix, "attn.c_attn.bias", 0, 3 * D, HS_INIT_ZERO, 0, HS_GROUP_VECTOR);
        b->proj_w = visit(w, prefix, "attn.c_proj.weight", D, D, HS_INIT_NORMAL, proj_std, HS_GROUP_MATRIX);
        b->proj_b = visit(w, prefix, "attn.c_proj.bias", 0, D, HS_INIT_ZERO, 0, HS_GROUP_VECTOR);
        b->n_mlp = 0;
        if (!c->no_mlp && c->share_mlp)
            b->mlp[b->n_mlp++] = shared;
        else if (!c->no_mlp)
            visit_mlp(w, c, prefix, "ln_2", hs_gpt2_inner(c), proj_std, &b->mlp[b->n_mlp++]);
    }
    const uint32_t memories = c->memory_inner ? (c->n_layer + 1) / 2 : 0;
    for (uint32_t i = 0; i < memories; i++) {
        mlp_offsets memory;
        char prefix[40];
        snprintf(prefix, sizeof prefix, "transformer.memory.%u.", i);
        visit_mlp(w, c, prefix, "ln", c->memory_inner, proj_std, &memory);
        for (uint32_t l = i; l < c->n_layer; l += memories)
            o->block[l].mlp[o->block[l].n_mlp++] = memory;
    }
    visit_norm(w, "transformer.", "ln_f", D, c->no_ln, &o->lnf_w, &o->lnf_b);
    o->head = c->tied ? o->wte : visit(w, "", "lm_head.weight", c->vocab, D, HS_INIT_NORMAL, std, HS_GROUP_EMBEDDING);
}

hs_status hs_gpt2_describe(hs_model *model, hs_error *err)
{
    gpt2_offsets o;
    walk w = {.model = model, .err = err};
    walk_tensors(&w, &model->config, &o);
    model->n_stages = model->config.n_layer * model->config.passes;
    return w.status;
}

void hs_gpt2_resolve(const hs_model *model, gpt2_offsets *o)
{
    walk w = {.table = model};
    walk_tensors(&w, &model->config, o);
}
