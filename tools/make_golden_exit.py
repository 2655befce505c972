#!/usr/bin/env python3
"""Write tests/golden/exit_*.safetensors: losses after earlier passes and their gradients, by PyTorch autograd in float64.

Needs torch, numpy and safetensors. The models are those of tests/interop/peer.py, written from docs/models.md; weights are exactly
representable in float32. Per case: NAME.model.safetensors (weights, the configuration in its metadata) and
NAME.expect.safetensors: input_ids (B,T); score_row, target, weight of the scored rows; exit_row, exit_target,
exit_weight of the rows that are answered after each pass but the last, or after the first `exit_passes`; smoothing;
loss, exit_loss; grad.TENSOR of their sum.
"""
import pathlib
import sys

import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests/golden"
sys.path.insert(0, str(ROOT / "tests/interop"))
sys.dont_write_bytecode = True
import peer  # noqa: E402

D, H, F, L, V, T, B = 24, 3, 32, 2, 29, 4, 6


def gpt2(passes):
    config = dict(model_type="gpt2", n_layer=L, n_head=H, n_embd=D, n_inner=F, n_positions=T, vocab_size=V, passes=passes,
                  layer_norm_epsilon=1e-5, tie_word_embeddings=True, inject=True)
    shape = {"wte.weight": (V, D), "wpe.weight": (T, D), "ln_f.weight": (D,), "ln_f.bias": (D,)}
    for i in range(L):
        shape |= {f"h.{i}.{name}": s for name, s in {
            "ln_1.weight": (D,), "ln_1.bias": (D,), "attn.c_attn.weight": (D, 3 * D), "attn.c_attn.bias": (3 * D,),
            "attn.c_proj.weight": (D, D), "attn.c_proj.bias": (D,), "ln_2.weight": (D,), "ln_2.bias": (D,),
            "mlp.c_fc.weight": (D, F), "mlp.c_fc.bias": (F,), "mlp.c_proj.weight": (F, D), "mlp.c_proj.bias": (D,)}.items()}
    return peer.Gpt2, config, {f"transformer.{name}": s for name, s in shape.items()}


def llama(passes):
    config = dict(model_type="llama", num_hidden_layers=L, num_attention_heads=H, hidden_size=D, intermediate_size=F,
                  max_position_embeddings=T, vocab_size=V, passes=passes, rms_norm_eps=1e-5, rope_theta=500.0, qk_norm=True,
                  tie_word_embeddings=False)
    shape = {"model.embed_tokens.weight": (V, D), "model.norm.weight": (D,), "lm_head.weight": (V, D)}
    for i in range(L):
        shape |= {f"model.layers.{i}.{name}.weight": s for name, s in {
            "input_layernorm": (D,), "self_attn.q_proj": (D, D), "self_attn.k_proj": (D, D), "self_attn.v_proj": (D, D),
            "self_attn.q_norm": (D // H,), "self_attn.k_norm": (D // H,), "self_attn.o_proj": (D, D),
            "post_attention_layernorm": (D,), "mlp.gate_proj": (F, D), "mlp.up_proj": (F, D), "mlp.down_proj": (D, F)}.items()}
    return peer.Llama, config, shape


def make(name, family, passes, exit_passes, smoothing, seed):
    torch.manual_seed(seed)
    kind, config, shapes = family(passes)
    metadata = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in config.items()}
    weights = {}
    for tensor, shape in shapes.items():
        norm = "ln_" in tensor or "norm" in tensor
        weights[tensor] = 0.3 * torch.randn(shape) + (1 if norm and tensor.endswith("weight") else 0)
    save_file(weights, OUT / f"{name}.model.safetensors", {"format": "pt", **metadata})
    leaf = {tensor: w.double().requires_grad_() for tensor, w in weights.items()}
    model = kind(metadata, leaf)

    ids = torch.randint(V, (B, T))
    scored = torch.arange(B) * T + T - 1
    exits = torch.tensor([2, T + 1, 3 * T + 1, 5 * T + 3])  # of four sequences, not the scored rows alone
    target, exit_target = torch.randint(V, (B,)), torch.randint(V, (len(exits),))
    weight, exit_weight = torch.full((B,), 1 / 8), torch.tensor([0.5, 0.25, 0.125, 0.375])

    def loss_at(state, row, target, weight):
        logits = model.head(state.reshape(B * T, D)[row])
        return (weight.double() * cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)).sum()

    z = model.begin(ids)
    exit_loss = 0
    for stage in range(1, model.stages + 1):
        z = model.step(stage, z)
        at, rest = divmod(stage, L)
        if rest == 0 and at < passes and (exit_passes == 0 or at <= exit_passes):
            exit_loss = exit_loss + loss_at(z[peer.HIGH], exits, exit_target, exit_weight)
    loss = loss_at(z[peer.HIGH], scored, target, weight)
    (loss + exit_loss).backward()

    expect = {"input_ids": ids.int(), "score_row": scored.int(), "target": target.int(), "weight": weight,
              "exit_row": exits.int(), "exit_target": exit_target.int(), "exit_weight": exit_weight,
              "exit_passes": torch.tensor([exit_passes]).int(), "smoothing": torch.tensor([smoothing]),
              "loss": loss.detach().float().reshape(1), "exit_loss": exit_loss.detach().float().reshape(1)}
    for tensor, w in leaf.items():
        expect[f"grad.{tensor}"] = w.grad.float().contiguous()
    save_file(expect, OUT / f"{name}.expect.safetensors", {"format": "pt"})


make("exit_gpt2", gpt2, passes=3, exit_passes=0, smoothing=0.0, seed=1)
make("exit_gpt2_smooth", gpt2, passes=2, exit_passes=0, smoothing=0.125, seed=2)
make("exit_llama", llama, passes=3, exit_passes=1, smoothing=0.125, seed=3)
