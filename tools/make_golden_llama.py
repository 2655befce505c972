#!/usr/bin/env python3
"""Write tests/golden/llama*.safetensors: small Llama and Qwen3 models computed in float64 by transformers.

Needs torch and transformers. Weights are exactly representable in float32. Per case: NAME.model.safetensors (weights; the
configuration in its metadata) and NAME.expect.safetensors (input_ids, labels with -100 = not scored, logits, hidden.i for
the embeddings and the output of every block, grad.TENSOR of the mean cross-entropy over scored positions, loss).
Labels stand where they are predicted: labels[b,t] is the token after position t.
"""
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden")


def make(name, qk_norm, tied, theta, seed):
    torch.manual_seed(seed)
    D, H, F, L, V, T, B = 24, 3, 32, 2, 29, 6, 5
    common = dict(vocab_size=V, hidden_size=D, intermediate_size=F, num_hidden_layers=L, num_attention_heads=H,
                  num_key_value_heads=H, max_position_embeddings=T, rms_norm_eps=1e-5, tie_word_embeddings=tied,
                  initializer_range=0.3, attention_bias=False, attn_implementation="eager",
                  rope_parameters={"rope_type": "default", "rope_theta": theta})
    if qk_norm:
        model = Qwen3ForCausalLM(Qwen3Config(head_dim=D // H, **common))
    else:
        model = LlamaForCausalLM(LlamaConfig(mlp_bias=False, **common))
    for parameter_name, p in model.named_parameters():
        if "norm" in parameter_name:
            p.data += 0.2 * torch.randn_like(p)
        p.data = p.data.float()
    weights = {n: p.detach().clone() for n, p in model.named_parameters()}
    model = model.double().eval()

    ids = torch.randint(V, (B, T))
    labels = torch.randint(V, (B, T))
    labels[torch.rand(B, T) < 0.6] = -100
    labels[:, -1] = torch.randint(V, (B,))
    hidden = []
    model.model.embed_tokens.register_forward_hook(lambda m, i, o: hidden.append(o))
    for layer in model.model.layers:
        layer.register_forward_hook(lambda m, i, o: hidden.append(o[0] if isinstance(o, tuple) else o))
    logits = model(input_ids=ids).logits
    loss = torch.nn.functional.cross_entropy(logits.view(-1, V), labels.view(-1), ignore_index=-100)
    loss.backward()

    metadata = dict(format="pt", model_type="llama", num_hidden_layers=L, num_attention_heads=H, hidden_size=D,
                    intermediate_size=F, max_position_embeddings=T, vocab_size=V, passes=1, rms_norm_eps=1e-5,
                    rope_theta=theta, qk_norm=qk_norm, tie_word_embeddings=tied)
    metadata = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in metadata.items()}
    save_file(weights, OUT / f"{name}.model.safetensors", metadata)
    expect = {"input_ids": ids.int(), "labels": labels.int(), "logits": logits.detach().float().contiguous(),
              "loss": loss.detach().float().reshape(1)}
    for i, h in enumerate(hidden):
        expect[f"hidden.{i}"] = h.detach().float().contiguous()
    for n, p in model.named_parameters():
        expect[f"grad.{n}"] = p.grad.float().contiguous()
    save_file(expect, OUT / f"{name}.expect.safetensors", {"format": "pt"})


make("llama", qk_norm=False, tied=False, theta=10000.0, seed=1)
make("llama_qk", qk_norm=True, tied=True, theta=500.0, seed=2)
