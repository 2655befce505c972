/* report.h - what leaves the laboratory: models as Hugging Face folders and back. */
#ifndef HOPSCOPE_REPORT_H
#define HOPSCOPE_REPORT_H

#include "hopscope/core.h"
#include "hopscope/graph.h"
#include "hopscope/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- Hugging Face folders (docs/models.md) */

/* Write a folder that transformers loads without custom code: config.json, model.safetensors, generation_config.json, and,
 * with `vocab` (token id -> name; NULL = none), tokenizer.json, tokenizer_config.json, special_tokens_map.json, vocab.json.
 *
 * GPT-2 becomes GPT2LMHeadModel; a model whose K blocks run R times becomes an ordinary one of K*R blocks (the same
 * function, weights repeated), and so does one with a shared MLP. The Llama form becomes LlamaForCausalLM, with norms on
 * queries and keys Qwen3ForCausalLM. HS_ERR_USAGE, naming the switch, for what those architectures cannot compute: TRM,
 * re_embed, inject, memory_inner, no_ln, no_mlp.
 *
 * The tokenizer is a WordLevel one: a name is one token, whole. Where every name has the form <...>, names stand side by
 * side ("<e_1><r_2>"), as published. Otherwise a tab or a newline separates them ("Ada Lovelace\tborn in"), since names
 * contain spaces. HS_ERR_DATA if a name contains a tab or a newline and would be cut. `dir` is made; files in it are
 * replaced, config.json last. */
hs_status hs_export_hf(const hs_model *model, const hs_names *vocab, const char *dir, hs_error *err);

/* The text of tokenizer.json for `vocab`, appended to `out`; *separated = the form with separators was taken. */
hs_status hs_hf_tokenizer(const hs_names *vocab, hs_str *out, bool *separated, hs_error *err);

/* Model from a Hugging Face folder: GPT-2, Llama or Qwen3, tied or untied, F32, F16, BF16 or F64, one model.safetensors or
 * shards under model.safetensors.index.json, names with or without their "transformer." or "model." prefix. Grouped
 * key/value heads are repeated into full ones. `out` zero-initialized. HS_ERR_DATA names the tensor that is missing, of
 * the wrong shape, damaged or left over, or the configuration key that asks for something hopscope's models do not do. */
hs_status hs_import_hf(hs_model *out, const char *dir, hs_error *err);

#ifdef __cplusplus
}
#endif
#endif
