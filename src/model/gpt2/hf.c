/* hf.c - GPT-2 as GPT2LMHeadModel: its config.json written and read. */
#include "model/gpt2/gpt2.h"
#include "model/hf/form.h"

static hs_status check(const hs_model_config *c, hs_error *err)
{
    if (c->passes > 1 && c->re_embed)
        return hs_hf_cannot(err, "re_embed");
    if (c->passes > 1 && c->inject)
        return hs_hf_cannot(err, "inject");
    if (c->memory_inner > 0)
        return hs_hf_cannot(err, "memory_inner");
    if (c->no_ln)
        return hs_hf_cannot(err, "no_ln");
    if (c->positions != HS_POSITIONS_LEARNED)
        return hs_hf_cannot(err, "positions");
    return c->no_mlp ? hs_hf_cannot(err, "no_mlp") : HS_OK;
}

static void write_config(hs_str *s, const hs_model_config *c)
{
    char eps[32], rate[32];
    hs_str_addf(s,
                "  \"architectures\": [\"GPT2LMHeadModel\"],\n  \"model_type\": \"gpt2\",\n"
                "  \"activation_function\": \"gelu_new\",\n  \"n_layer\": %u,\n  \"n_head\": %u,\n  \"n_embd\": %u,\n"
                "  \"n_inner\": %u,\n  \"n_positions\": %u,\n  \"n_ctx\": %u,\n  \"layer_norm_epsilon\": %s,\n",
                c->n_layer * c->passes, c->n_head, c->n_embd, c->n_inner, c->n_positions, c->n_positions,
                hs_format_float(c->eps, eps));
    hs_format_float(c->dropout, rate);
    hs_str_addf(s,
                "  \"embd_pdrop\": %s,\n  \"attn_pdrop\": %s,\n  \"resid_pdrop\": %s,\n"
                "  \"scale_attn_weights\": true,\n  \"scale_attn_by_inverse_layer_idx\": false,\n",
                rate, rate, rate);
}

static hs_status read_config(const hs_hf_reader *r, const char *type, hs_model_config *c, uint32_t *groups)
{
    uint32_t context;
    (void)type;
    (void)groups;
    HS_TRY(hs_hf_count(r, "n_layer", 12, &c->n_layer));
    HS_TRY(hs_hf_count(r, "n_head", 12, &c->n_head));
    HS_TRY(hs_hf_count(r, "n_embd", 768, &c->n_embd));
    HS_TRY(hs_hf_count(r, "n_inner", 4 * c->n_embd, &c->n_inner));
    HS_TRY(hs_hf_count(r, "n_ctx", 1024, &context));
    HS_TRY(hs_hf_count(r, "n_positions", context, &c->n_positions));
    HS_TRY(hs_hf_number(r, "layer_norm_epsilon", &c->eps));
    HS_TRY(hs_hf_number(r, "resid_pdrop", &c->dropout)); /* one rate here for the three there */
    HS_TRY(hs_hf_need_text(r, "activation_function", "gelu_new", "gelu_pytorch_tanh"));
    HS_TRY(hs_hf_need_off(r, "scale_attn_by_inverse_layer_idx"));
    HS_TRY(hs_hf_need_off(r, "add_cross_attention"));
    if (!hs_hf_flag(r, "scale_attn_weights", true))
        return hs_hf_bad_key(r, "scale_attn_weights", "hopscope's model always scales; it must be true");
    c->tied = hs_hf_flag(r, "tie_word_embeddings", true);
    return HS_OK;
}

static const char *const types[] = {"gpt2", NULL};
const hs_hf_form hs_gpt2_hf = {.root = "transformer.",
                               .blocks = "transformer.h.",
                               .shared = "transformer.shared.",
                               .types = types,
                               .check = check,
                               .write = write_config,
                               .read = read_config};
