/* preset.c - named model configurations at three sizes (docs/models.md). A new one is one line of PRESETS. */
#include "hopscope/model.h"

#include <string.h>

typedef struct preset {
    const char *name;
    hs_model_kind kind;
    uint32_t n_layer, passes, n_embd, n_head;
    float dropout;
    bool tied, qk_norm;
    uint32_t prefix, l_cycles, round_up; /* 0: the default */
} preset;

/* tiny: seconds, for tests; laptop: minutes on two cores; paper: the published sizes (GPT-2: arXiv 2405.15071, appendix
 * E.2; TRM: 2601.09049, section 3; the Llama form has no paper and takes GPT-2's). The present-day form and TRM have a
 * head of their own. */
#define PRESETS(X)                                                                                                     \
    X("gpt2-tiny", HS_MODEL_GPT2, 2, 1, 32, 2, 0, true, false, 0, 0, 0)                                                \
    X("gpt2-laptop", HS_MODEL_GPT2, 4, 1, 128, 4, 0, true, false, 0, 0, 0)                                             \
    X("gpt2-paper", HS_MODEL_GPT2, 8, 1, 768, 12, 0.1f, true, false, 0, 0, 0)                                          \
    X("shared-tiny", HS_MODEL_GPT2, 2, 2, 32, 2, 0, true, false, 0, 0, 0)                                              \
    X("shared-laptop", HS_MODEL_GPT2, 2, 2, 128, 4, 0, true, false, 0, 0, 0)                                           \
    X("shared-paper", HS_MODEL_GPT2, 4, 2, 768, 12, 0.1f, true, false, 0, 0, 0)                                        \
    X("llama-tiny", HS_MODEL_LLAMA, 2, 1, 32, 2, 0, false, true, 0, 0, 0)                                              \
    X("llama-laptop", HS_MODEL_LLAMA, 4, 1, 128, 4, 0, false, true, 0, 0, 0)                                           \
    X("llama-paper", HS_MODEL_LLAMA, 8, 1, 768, 12, 0, false, true, 0, 0, 0)                                           \
    X("trm-tiny", HS_MODEL_TRM, 2, 1, 32, 2, 0, false, false, 1, 2, 16)                                                \
    X("trm-laptop", HS_MODEL_TRM, 2, 1, 128, 4, 0, false, false, 1, 3, 16)                                             \
    X("trm-paper", HS_MODEL_TRM, 2, 1, 1536, 8, 0, false, false, 16, 6, 256)

#define ROW(...) {__VA_ARGS__},
#define NAME(name, ...) name,
static const preset presets[] = {PRESETS(ROW)};
enum { N_PRESETS = sizeof presets / sizeof *presets };
const char *const hs_model_preset_choices[] = {"", PRESETS(NAME) NULL};

const char *hs_model_preset_name(size_t i)
{
    return i < N_PRESETS ? presets[i].name : NULL;
}

hs_status hs_model_preset(hs_model_config *config, const char *name, hs_error *err)
{
    const char *names[N_PRESETS];
    for (size_t i = 0; i < N_PRESETS; i++) {
        const preset *p = &presets[i];
        names[i] = p->name;
        if (strcmp(p->name, name) != 0)
            continue;
        const uint32_t vocab = config->vocab, n_positions = config->n_positions;
        hs_model_config_default(config);
        config->vocab = vocab;
        config->n_positions = n_positions;
        config->kind = p->kind;
        config->n_layer = p->n_layer;
        config->passes = p->passes;
        config->n_embd = p->n_embd;
        config->n_head = p->n_head;
        config->dropout = p->dropout;
        config->tied = p->tied;
        config->qk_norm = p->qk_norm;
        if (p->prefix > 0) {
            config->prefix = p->prefix;
            config->l_cycles = p->l_cycles;
            config->round_up = p->round_up;
        }
        return HS_OK;
    }
    const char *nearest = hs_nearest(name, names, N_PRESETS);
    hs_fail(err, HS_ERR_USAGE, "there is no model preset of this name");
    hs_error_value(err, name, strlen(name));
    if (nearest)
        return hs_error_hint(err, "did you mean %s?", nearest);
    return hs_error_hint(err, "gpt2, shared, llama or trm, then -tiny, -laptop or -paper");
}
