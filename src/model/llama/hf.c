/* hf.c - the Llama form as LlamaForCausalLM, or Qwen3ForCausalLM with norms on queries and keys: its config.json written
 * and read. */
#include "model/hf/form.h"
#include "model/llama/llama.h"

#include <string.h>

static void write_config(hs_str *s, const hs_model_config *c)
{
    char eps[32], theta[32];
    hs_str_addf(s, "  \"architectures\": [\"%s\"],\n  \"model_type\": \"%s\",\n",
                c->qk_norm ? "Qwen3ForCausalLM" : "LlamaForCausalLM", c->qk_norm ? "qwen3" : "llama");
    hs_str_addf(s,
                "  \"hidden_act\": \"silu\",\n  \"num_hidden_layers\": %u,\n  \"num_attention_heads\": %u,\n"
                "  \"num_key_value_heads\": %u,\n  \"head_dim\": %u,\n  \"hidden_size\": %u,\n"
                "  \"intermediate_size\": %u,\n  \"max_position_embeddings\": %u,\n  \"rms_norm_eps\": %s,\n",
                c->n_layer * c->passes, c->n_head, c->n_head, c->n_embd / c->n_head, c->n_embd, c->n_inner,
                c->n_positions, hs_format_float(c->eps, eps));
    hs_format_float(c->rope_theta, theta);
    /* both spellings: before and after transformers 5 */
    hs_str_addf(s,
                "  \"rope_theta\": %s,\n  \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": %s},\n"
                "  \"attention_bias\": false,\n  \"attention_dropout\": 0.0,\n",
                theta, theta);
    hs_str_addf(s, c->qk_norm ? "  \"use_sliding_window\": false,\n" : "  \"mlp_bias\": false,\n");
}

/* Rotary positions: only the plain form, under the old or the new spelling. */
static hs_status rope_config(const hs_hf_reader *r, hs_model_config *c)
{
    HS_TRY(hs_hf_number(r, "rope_theta", &c->rope_theta));
    static const char *keys[] = {"rope_parameters", "rope_scaling"};
    for (size_t i = 0; i < 2; i++) {
        hs_hf_reader inner;
        if (!hs_hf_inner(r, keys[i], &inner))
            continue;
        HS_TRY(hs_hf_need_text(&inner, "rope_type", "default", NULL));
        HS_TRY(hs_hf_need_text(&inner, "type", "default", NULL));
        HS_TRY(hs_hf_number(&inner, "rope_theta", &c->rope_theta));
        float part = 1;
        HS_TRY(hs_hf_number(&inner, "partial_rotary_factor", &part));
        if (part != 1.0f)
            return hs_hf_bad_key(r, "partial_rotary_factor", "hopscope turns whole heads; it must be 1");
    }
    return HS_OK;
}

static hs_status read_config(const hs_hf_reader *r, const char *type, hs_model_config *c, uint32_t *groups)
{
    uint32_t dh;
    c->qk_norm = strcmp(type, "qwen3") == 0;
    c->eps = 1e-6f;
    HS_TRY(hs_hf_count(r, "num_hidden_layers", 0, &c->n_layer));
    HS_TRY(hs_hf_count(r, "num_attention_heads", 0, &c->n_head));
    HS_TRY(hs_hf_count(r, "hidden_size", 0, &c->n_embd));
    HS_TRY(hs_hf_count(r, "intermediate_size", 0, &c->n_inner));
    HS_TRY(hs_hf_count(r, "max_position_embeddings", 2048, &c->n_positions));
    HS_TRY(hs_hf_count(r, "num_key_value_heads", c->n_head, groups));
    HS_TRY(hs_hf_count(r, "head_dim", c->n_embd / c->n_head ? c->n_embd / c->n_head : 1, &dh));
    HS_TRY(hs_hf_number(r, "rms_norm_eps", &c->eps));
    HS_TRY(hs_hf_need_text(r, "hidden_act", "silu", "swish"));
    HS_TRY(hs_hf_need_off(r, "attention_bias"));
    HS_TRY(hs_hf_need_off(r, "mlp_bias"));
    HS_TRY(hs_hf_need_off(r, "use_sliding_window"));
    HS_TRY(rope_config(r, c));
    if ((uint64_t)dh * c->n_head != c->n_embd)
        return hs_hf_bad_key(r, "head_dim", "the heads together must be as wide as hidden_size");
    if (c->n_head % *groups != 0)
        return hs_hf_bad_key(r, "num_key_value_heads", "not a divisor of num_attention_heads");
    c->tied = hs_hf_flag(r, "tie_word_embeddings", false);
    return HS_OK;
}

static const char *const types[] = {"llama", "qwen3", NULL};
const hs_hf_form hs_llama_hf = {
    .root = "model.", .blocks = "model.layers.", .types = types, .write = write_config, .read = read_config};
