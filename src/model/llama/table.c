/* table.c - the Llama form's configuration and its table of tensors, under Hugging Face's names. */
#include "model/llama/llama.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>

const hs_model_field hs_llama_fields[] = {
    HS_FIELD("num_hidden_layers", HS_FIELD_U32, n_layer),
    HS_FIELD("num_attention_heads", HS_FIELD_U32, n_head),
    HS_FIELD("hidden_size", HS_FIELD_U32, n_embd),
    HS_FIELD("intermediate_size", HS_FIELD_U32, n_inner),
    HS_FIELD("max_position_embeddings", HS_FIELD_U32, n_positions),
    HS_FIELD("vocab_size", HS_FIELD_U32, vocab),
    HS_FIELD("passes", HS_FIELD_U32, passes),
    HS_FIELD("rms_norm_eps", HS_FIELD_FLOAT, eps),
    HS_FIELD("initializer_range", HS_FIELD_FLOAT, init_std),
    HS_FIELD("rope_theta", HS_FIELD_FLOAT, rope_theta),
    HS_FIELD("qk_norm", HS_FIELD_BOOL, qk_norm),
    HS_FIELD("tie_word_embeddings", HS_FIELD_BOOL, tied),
    {0},
};

hs_status hs_llama_check(const hs_model_config *c, hs_error *err)
{
    HS_TRY(hs_model_check_plain(c, err));
    HS_TRY(hs_decoder_check(c, err));
    /* so that q, k, v and gate, up stand without a gap in `param` and are one product each */
    if (c->n_embd % 4 != 0)
        return hs_model_bad_field(err, "n_embd", c->n_embd, "a multiple of 4");
    if (c->n_inner % 4 != 0)
        return hs_model_bad_field(err, "n_inner", c->n_inner, "a multiple of 4");
    return hs_model_check_heads(c, true, err);
}

void hs_llama_complete(hs_model_config *c)
{
    if (c->n_inner == 0)
        c->n_inner = (8 * c->n_embd / 3 + 15) / 16 * 16;
}

static size_t matrix(hs_walk *w, const char *prefix, const char *name, uint32_t out, uint32_t in, double std,
                     hs_tensor_group group)
{
    const hs_tensor_spec spec = {.rows = out, .columns = in, .init = HS_INIT_NORMAL, .std = std, .group = group};
    return hs_walk_tensor(w, prefix, name, &spec);
}

static size_t norm(hs_walk *w, const char *prefix, const char *name, uint32_t width)
{
    const hs_tensor_spec spec = {.columns = width, .init = HS_INIT_ONE, .group = HS_GROUP_VECTOR};
    return hs_walk_tensor(w, prefix, name, &spec);
}

static void walk_block(hs_walk *w, const hs_model_config *c, uint32_t l, llama_block *b)
{
    const uint32_t D = c->n_embd, F = c->n_inner, dh = D / c->n_head;
    const double std = (double)c->init_std, out_std = std / sqrt(2.0 * c->n_layer);
    const hs_tensor_group group = HS_GROUP_MATRIX;
    char prefix[32];
    snprintf(prefix, sizeof prefix, "model.layers.%u.", l);
    b->ln1 = norm(w, prefix, "input_layernorm.weight", D);
    b->qkv = matrix(w, prefix, "self_attn.q_proj.weight", D, D, std, group);
    matrix(w, prefix, "self_attn.k_proj.weight", D, D, std, group);
    matrix(w, prefix, "self_attn.v_proj.weight", D, D, std, group);
    b->q_norm = c->qk_norm ? norm(w, prefix, "self_attn.q_norm.weight", dh) : 0;
    b->k_norm = c->qk_norm ? norm(w, prefix, "self_attn.k_norm.weight", dh) : 0;
    b->o = matrix(w, prefix, "self_attn.o_proj.weight", D, D, out_std, group);
    b->ln2 = norm(w, prefix, "post_attention_layernorm.weight", D);
    b->gate_up = matrix(w, prefix, "mlp.gate_proj.weight", F, D, std, group);
    matrix(w, prefix, "mlp.up_proj.weight", F, D, std, group);
    b->down = matrix(w, prefix, "mlp.down_proj.weight", D, F, out_std, group);
}

static void walk_tensors(hs_walk *w, const hs_model_config *c, llama_offsets *o)
{
    const double std = (double)c->init_std;
    o->embed = matrix(w, "model.", "embed_tokens.weight", c->vocab, c->n_embd, std, HS_GROUP_EMBEDDING);
    for (uint32_t l = 0; l < c->n_layer; l++)
        walk_block(w, c, l, &o->block[l]);
    o->norm = norm(w, "model.", "norm.weight", c->n_embd);
    o->head = c->tied ? o->embed : matrix(w, "", "lm_head.weight", c->vocab, c->n_embd, std, HS_GROUP_EMBEDDING);
}

hs_status hs_llama_describe(hs_model *model, hs_error *err)
{
    llama_offsets o;
    hs_walk w = {.model = model, .err = err};
    walk_tensors(&w, &model->config, &o);
    model->n_stages = model->config.n_layer * model->config.passes;
    return w.status;
}

void hs_llama_resolve(const hs_model *model, llama_offsets *o)
{
    hs_walk w = {.table = model};
    walk_tensors(&w, &model->config, o);
}
