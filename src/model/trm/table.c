/* table.c - TRM's configuration and its table of tensors. */
#include "model/trm/trm.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>

const hs_model_field hs_trm_fields[] = {
    HS_FIELD("hidden_size", HS_FIELD_U32, n_embd),
    HS_FIELD("intermediate_size", HS_FIELD_U32, n_inner), /* 0: expansion 4, rounded up */
    HS_FIELD("vocab_size", HS_FIELD_U32_PLUS_ONE, vocab), /* with the padding token */
    HS_FIELD("seq_len", HS_FIELD_U32, n_positions),
    HS_FIELD("prefix", HS_FIELD_U32, prefix),
    HS_FIELD("blocks", HS_FIELD_U32, n_layer),
    HS_FIELD("H_cycles", HS_FIELD_U32, h_cycles),
    HS_FIELD("L_cycles", HS_FIELD_U32, l_cycles),
    HS_FIELD("rms_norm_eps", HS_FIELD_FLOAT, eps),
    HS_FIELD("round_up", HS_FIELD_U32, round_up),
    HS_FIELD("mix_attention", HS_FIELD_BOOL, mix_attention),
    HS_FIELD("num_heads", HS_FIELD_U32, n_head),
    HS_FIELD("rope_theta", HS_FIELD_FLOAT, rope_theta),
    HS_FIELD("halt_head", HS_FIELD_BOOL, halt_head),
    HS_FIELD("full_gradient", HS_FIELD_BOOL, full_gradient),
    HS_FIELD("next_token", HS_FIELD_BOOL, next_token),
    HS_FIELD("tie_word_embeddings", HS_FIELD_BOOL, tie_head),
    {0},
};

hs_status hs_trm_check(const hs_model_config *c, hs_error *err)
{
    HS_TRY(hs_model_check_plain(c, err));
    if (c->passes != 1)
        return hs_model_bad_field(err, "passes", c->passes, "1: TRM repeats its blocks by h_cycles and l_cycles");
    if (c->qk_norm)
        return hs_model_bad_field(err, "qk_norm", 1, "only the Llama form has this");
    if (c->n_positions > 4096)
        return hs_model_bad_field(err, "n_positions", c->n_positions,
                                  "from 1 to 4096: TRM mixes a fixed number of positions");
    HS_TRY(hs_decoder_check(c, err));
    return c->mix_attention ? hs_model_check_heads(c, true, err) : HS_OK;
}

void hs_trm_complete(hs_model_config *c)
{
    c->tied = false;
}

/* SwiGLU's inner width: 4n * 2/3, rounded up. */
static uint32_t inner(uint32_t n, uint32_t round_up)
{
    const uint64_t wide = ((uint64_t)8 * n + 1) / 3; /* 8n/3 to the nearest */
    return (uint32_t)((wide + round_up - 1) / round_up * round_up);
}

uint32_t hs_trm_token_inner(const hs_model_config *config)
{
    return inner(config->prefix + config->n_positions, config->round_up);
}

uint32_t hs_trm_channel_inner(const hs_model_config *config)
{
    return config->n_inner ? config->n_inner : inner(config->n_embd, config->round_up);
}

/* As published, weight decay is on every weight. */
static size_t visit(hs_walk *w, const char *prefix, const char *name, uint32_t rows, uint32_t columns,
                    hs_tensor_init init, double std, hs_tensor_group group, uint32_t splits)
{
    const hs_tensor_spec spec = {
        .rows = rows, .columns = columns, .init = init, .std = std, .group = group, .decay = true, .splits = splits};
    return hs_walk_tensor(w, prefix, name, &spec);
}

/* A matrix of the SwiGLU and attention kind: (out,in), LeCun initialization times `scale`. */
static size_t matrix(hs_walk *w, const char *prefix, const char *name, uint32_t out, uint32_t in, double scale,
                     uint32_t splits)
{
    return visit(w, prefix, name, out, in, HS_INIT_TRUNC_NORMAL, scale / sqrt(in), HS_GROUP_MATRIX, splits);
}

static void walk_block(hs_walk *w, const hs_model_config *c, uint32_t l, trm_block *b)
{
    const uint32_t D = c->n_embd, S = c->prefix + c->n_positions;
    const uint32_t Ft = hs_trm_token_inner(c), Fc = hs_trm_channel_inner(c);
    const double scale = (double)c->init_scale;
    char prefix[32];
    snprintf(prefix, sizeof prefix, "blocks.%u.", l);
    if (c->mix_attention) {
        b->mix_up = matrix(w, prefix, "mix.qkv.weight", 3 * D, D, scale, 3);
        b->mix_down = matrix(w, prefix, "mix.out.weight", D, D, scale, 1);
    } else {
        b->mix_up = matrix(w, prefix, "mix.gate_up.weight", 2 * Ft, S, scale, 2);
        b->mix_down = matrix(w, prefix, "mix.down.weight", S, Ft, scale, 1);
    }
    b->up = matrix(w, prefix, "mlp.gate_up.weight", 2 * Fc, D, scale, 2);
    b->down = matrix(w, prefix, "mlp.down.weight", D, Fc, scale, 1);
}

static void walk_tensors(hs_walk *w, const hs_model_config *c, trm_offsets *o)
{
    const uint32_t D = c->n_embd, V = c->vocab + 1;
    const double std = (double)c->init_scale / sqrt(D);
    const hs_tensor_init cut = HS_INIT_TRUNC_NORMAL;
    o->embed = visit(w, "", "embed.weight", V, D, cut, std, HS_GROUP_EMBEDDING, 1);
    o->z_h_init = visit(w, "", "z_H_init", 0, D, cut, 1, HS_GROUP_BUFFER, 1);
    o->z_l_init = visit(w, "", "z_L_init", 0, D, cut, 1, HS_GROUP_BUFFER, 1);
    o->head = c->tie_head ? o->embed : visit(w, "", "lm_head.weight", V, D, cut, std, HS_GROUP_EMBEDDING, 1);
    for (uint32_t l = 0; l < c->n_layer; l++)
        walk_block(w, c, l, &o->block[l]);
    o->prefix = c->prefix ? visit(w, "", "prefix", 0, D, HS_INIT_ZERO, 0, HS_GROUP_PREFIX, 1) : 0;
    if (!c->halt_head)
        return;
    o->halt_w = visit(w, "", "q_head.weight", 2, D, HS_INIT_ZERO, 0, HS_GROUP_EMBEDDING, 1);
    o->halt_b = visit(w, "", "q_head.bias", 0, 2, HS_INIT_VALUE, -5, HS_GROUP_VECTOR, 1);
}

hs_status hs_trm_describe(hs_model *model, hs_error *err)
{
    trm_offsets o;
    hs_walk w = {.model = model, .err = err};
    walk_tensors(&w, &model->config, &o);
    model->n_stages = model->config.h_cycles * (model->config.l_cycles + 1);
    return w.status;
}

void hs_trm_resolve(const hs_model *model, trm_offsets *o)
{
    hs_walk w = {.table = model};
    walk_tensors(&w, &model->config, o);
}
