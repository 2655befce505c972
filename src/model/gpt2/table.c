/* table.c - GPT-2's configuration and its table of tensors, under Hugging Face's names. */
#include "model/gpt2/gpt2.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

const hs_model_field hs_gpt2_fields[] = {
    HS_FIELD("n_layer", HS_FIELD_U32, n_layer),
    HS_FIELD("n_head", HS_FIELD_U32, n_head),
    HS_FIELD("n_embd", HS_FIELD_U32, n_embd),
    HS_FIELD("n_inner", HS_FIELD_U32, n_inner),
    HS_FIELD("n_positions", HS_FIELD_U32, n_positions),
    HS_FIELD("vocab_size", HS_FIELD_U32, vocab),
    HS_FIELD("passes", HS_FIELD_U32, passes),
    HS_FIELD("layer_norm_epsilon", HS_FIELD_FLOAT, eps),
    HS_FIELD("initializer_range", HS_FIELD_FLOAT, init_std),
    HS_FIELD("dropout", HS_FIELD_FLOAT, dropout),
    HS_FIELD("tie_word_embeddings", HS_FIELD_BOOL, tied),
    HS_FIELD("re_embed", HS_FIELD_BOOL, re_embed),
    HS_FIELD("re_embed_temp", HS_FIELD_FLOAT, re_embed_temp),
    HS_FIELD("inject", HS_FIELD_BOOL, inject),
    HS_FIELD("share_mlp", HS_FIELD_BOOL, share_mlp),
    HS_FIELD("memory_inner", HS_FIELD_U32, memory_inner),
    HS_FIELD("no_ln", HS_FIELD_BOOL, no_ln),
    HS_FIELD("no_mlp", HS_FIELD_BOOL, no_mlp),
    HS_FIELD("positions", HS_FIELD_U32, positions),
    {.key = "activation_function", .type = HS_FIELD_TEXT, .text = "gelu_new"},
    {0},
};

hs_status hs_gpt2_check(const hs_model_config *c, hs_error *err)
{
    if (c->re_embed && !(c->re_embed_temp > 0 && c->re_embed_temp <= 1e6f))
        return hs_model_bad_field(err, "re_embed_temp", (double)c->re_embed_temp, "above 0");
    if (c->re_embed && !c->tied)
        return hs_model_bad_field(err, "re_embed", 1, "a tied head (model.tied: true)");
    if (c->memory_inner > 0 && c->n_layer % 2 != 0)
        return hs_model_bad_field(err, "memory_inner", c->memory_inner,
                                  "an even n_layer: blocks i and i + L/2 share one");
    if (c->qk_norm)
        return hs_model_bad_field(err, "qk_norm", 1, "only the Llama form has this");
    HS_TRY(hs_decoder_check(c, err));
    return hs_model_check_heads(c, false, err);
}

void hs_gpt2_complete(hs_model_config *c)
{
    c->n_inner = hs_gpt2_inner(c);
}

static size_t visit(hs_walk *w, const char *prefix, const char *name, uint32_t rows, uint32_t columns,
                    hs_tensor_init init, double std, hs_tensor_group group)
{
    const bool qkv = w->model && strcmp(name, "attn.c_attn.weight") == 0;
    const hs_tensor_spec spec = {.rows = rows,
                                 .columns = columns,
                                 .init = init,
                                 .std = std,
                                 .group = group,
                                 .splits = qkv ? 3 : 1,
                                 .split_columns = qkv};
    return hs_walk_tensor(w, prefix, name, &spec);
}

static void visit_norm(hs_walk *w, const char *prefix, const char *name, uint32_t D, bool absent, size_t *weight,
                       size_t *bias)
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

static void visit_mlp(hs_walk *w, const hs_model_config *c, const char *prefix, const char *norm, uint32_t inner,
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

static void walk_tensors(hs_walk *w, const hs_model_config *c, gpt2_offsets *o)
{
    const uint32_t D = c->n_embd;
    const double std = (double)c->init_std, proj_std = std / sqrt(2.0 * c->n_layer);
    o->wte = visit(w, "transformer.", "wte.weight", c->vocab, D, HS_INIT_NORMAL, std, HS_GROUP_EMBEDDING);
    o->wpe = NONE;
    if (c->positions != HS_POSITIONS_NONE)
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
    hs_walk w = {.model = model, .err = err};
    walk_tensors(&w, &model->config, &o);
    model->n_stages = model->config.n_layer * model->config.passes;
    return w.status;
}

void hs_gpt2_resolve(const hs_model *model, gpt2_offsets *o)
{
    hs_walk w = {.table = model};
    walk_tensors(&w, &model->config, o);
}
