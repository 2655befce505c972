/* config.c - the settings of a model: one row each, and what they demand of each other. */
#include "core/setting.h"
#include "model/decoder.h"
#include "model/ops.h"

#include <stdio.h>
#include <string.h>

#define MODEL_NAME(constant, name) #name,
static const char *const kind_names[] = {HS_MODELS(MODEL_NAME) NULL};

static const char *const positions_names[] = {"learned", "none", "answer", NULL};

#define NUMBER(f, min, max, flags, help) HS_SETTING(hs_model_config, f, #f, min, max, NULL, flags, help)
#define SWITCH(f, help) HS_SETTING(hs_model_config, f, #f, 0, 1, NULL, 0, help)
#define CHOICE(f, names, flags, help) HS_SETTING(hs_model_config, f, #f, 0, 0, names, flags, help)

/* Sizes are bounded so that products of any two fit 64 bits with ease and a hostile file cannot ask for a table without
 * end; the largest GPT-2 (1.5 billion weights) is far inside. */
static const hs_setting SETTINGS[] = {
    CHOICE(kind, kind_names, 0, "family of the model"),
    NUMBER(n_layer, 1, HS_MAX_LAYERS, 0, "distinct blocks"),
    NUMBER(passes, 1, HS_MAX_STAGES, 0, "times the blocks are run; 1: an ordinary model"),
    NUMBER(n_embd, 1, 65536, 0, "width of the residual stream"),
    NUMBER(n_head, 1, 4096, 0, "attention heads"),
    NUMBER(n_inner, 0, 262144, 0, "width of the MLP; 0: 4 times (gpt2) or 8/3 times (llama) the width"),
    NUMBER(eps, 0, 1, 0, "epsilon of the norms"),
    NUMBER(init_std, 0, 100, 0, "standard deviation of the initial weights"),
    NUMBER(dropout, 0, 1, HS_SETTING_BELOW, "on embeddings, attention probabilities and residual branches"),
    SWITCH(tied, "the output head is the embedding"),
    SWITCH(re_embed, "between passes, embed the predicted token again (arXiv 2405.15071)"),
    NUMBER(re_embed_temp, 0, 1e6, 0, "temperature of re_embed"),
    SWITCH(inject, "add the embeddings again at the start of each later pass"),
    SWITCH(share_mlp, "one MLP and its norm for all blocks"),
    NUMBER(memory_inner, 0, 262144, 0, "width of an extra MLP shared by blocks i and i + L/2; 0: none"),
    SWITCH(no_ln, "without layer norm"),
    SWITCH(no_mlp, "without MLP"),
    CHOICE(positions, positions_names, 0,
           "gpt2: a learned table from the first token on, none, or counted back from the answer"),
    NUMBER(rope_theta, 1, 1e12, 0, "llama: base of the rotary positions"),
    SWITCH(qk_norm, "llama: norm of queries and keys"),
    NUMBER(prefix, 0, 1024, 0, "trm: positions of the puzzle embedding"),
    NUMBER(h_cycles, 1, 64, 0, "trm: outer cycles"),
    NUMBER(l_cycles, 1, 64, 0, "trm: inner cycles"),
    NUMBER(round_up, 1, 4096, 0, "trm: the MLP's width is rounded up to a multiple of this"),
    SWITCH(mix_attention, "trm: causal attention in place of the token MLP"),
    SWITCH(halt_head, "trm: with the halting head"),
    SWITCH(full_gradient, "trm: gradients through all outer cycles; published: through the last one only"),
    SWITCH(next_token, "trm: the answer is read at the prompt's last token, as a decoder's, not at a place of its own"),
    SWITCH(tie_head, "trm: the output head is the embedding"),
    NUMBER(init_scale, 0, 100, 0, "trm: times the published size of the initial weights"),
};
enum { N_SETTINGS = sizeof SETTINGS / sizeof *SETTINGS };

const hs_setting *hs_model_settings(size_t *n)
{
    *n = N_SETTINGS;
    return SETTINGS;
}

void hs_model_config_default(hs_model_config *config)
{
    *config = (hs_model_config){
        .kind = HS_MODEL_GPT2,
        .n_positions = 16,
        .n_layer = 2,
        .passes = 1,
        .n_embd = 128,
        .n_head = 4,
        .eps = 1e-5f,
        .init_std = 0.02f,
        .tied = true,
        .re_embed_temp = 1.0f,
        .rope_theta = 10000.0f,
        .prefix = 16,
        .h_cycles = 2,
        .l_cycles = 6,
        .round_up = 256,
        .halt_head = true,
        .init_scale = 1,
    };
}

hs_status hs_model_bad_field(hs_error *err, const char *field, double value, const char *hint)
{
    char text[32];
    snprintf(text, sizeof text, "%g", value);
    hs_fail(err, HS_ERR_DATA, "this value does not fit the model");
    hs_error_where(err, "model.%s", field);
    hs_error_value(err, text, strlen(text));
    hs_error_hint(err, "%s", hint);
    return HS_ERR_DATA;
}

static hs_status check_sizes(const hs_model_config *c, hs_error *err)
{
    HS_TRY(hs_settings_check(SETTINGS, N_SETTINGS, c, "model", err));
    if (c->vocab < 1 || c->vocab > 1u << 24)
        return hs_model_bad_field(err, "vocab", c->vocab, "from 1 to 16777216");
    if (c->n_positions < 1 || c->n_positions > 1u << 20)
        return hs_model_bad_field(err, "n_positions", c->n_positions, "from 1 to 1048576");
    if (c->dropout > 0 && c->n_head > 63) /* the place of a mask has six bits for the head */
        return hs_model_bad_field(err, "n_head", c->n_head, "at most 63 heads with dropout");
    return HS_OK;
}

hs_status hs_model_check_heads(const hs_model_config *c, bool rotary, hs_error *err)
{
    if (c->n_embd % c->n_head != 0)
        return hs_model_bad_field(err, "n_head", c->n_head, "a divisor of n_embd");
    if (rotary && (c->n_embd / c->n_head) % 2 != 0)
        return hs_model_bad_field(err, "n_head", c->n_head,
                                  "rotary positions turn pairs: the width of a head must be even");
    if (rotary && !(c->rope_theta > 1))
        return hs_model_bad_field(err, "rope_theta", (double)c->rope_theta, "above 1, 10000 as published");
    return HS_OK;
}

hs_status hs_model_check_plain(const hs_model_config *c, hs_error *err)
{
    const struct {
        const char *name;
        bool on;
    } switches[] = {{"re_embed", c->re_embed},
                    {"share_mlp", c->share_mlp},
                    {"memory_inner", c->memory_inner > 0},
                    {"no_ln", c->no_ln},
                    {"no_mlp", c->no_mlp},
                    {"inject", c->inject},
                    {"dropout", c->dropout > 0},
                    {"positions", c->positions != HS_POSITIONS_LEARNED}};
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++)
        if (switches[i].on)
            return hs_model_bad_field(err, switches[i].name, 1, "only GPT-2 has this");
    return HS_OK;
}

hs_status hs_model_config_check(const hs_model_config *config, hs_error *err)
{
    HS_TRY(check_sizes(config, err));
    const hs_model_ops *ops = hs_model_ops_of(config->kind);
    if (!ops) {
        char kinds[64];
        hs_model_kinds_text(kinds, sizeof kinds);
        return hs_model_bad_field(err, "kind", (double)config->kind, kinds);
    }
    return ops->check(config, err);
}
