#!/usr/bin/env python3
"""Write tests/golden/trm_*.safetensors: gradients of small TRMs whose facts are answered after every H cycle, in float64 by
autograd over the plain PyTorch model of tests/interop/peer.py.

Needs torch and safetensors. Per case: NAME.model.safetensors (weights; the configuration in its metadata) and
NAME.expect.safetensors: input_ids (B,T), padding 0 and token t as t + 1; answer (B) and its column (B); exit (B), the weight of the
answer's cross-entropy after each H cycle but the last; loss, exit_loss (sums over the batch); grad.TENSOR of their sum.
The answer's column is the first padding; the loss is the cross-entropy over all rows of the table, padding too.
Without full_gradient every H cycle starts from constants.
"""
import pathlib
import sys

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests/interop"))
from peer import HIGH, LOW, load  # noqa: E402

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden")


def make(name, seed, attention, tied, full, prefix, cycles, blocks):
    torch.manual_seed(seed)
    D, F, V, T, B = 24, 32, 19, 4, 6
    S = prefix + T
    Ft = -(-((8 * S + 1) // 3) // 4) * 4
    shape = {"embed.weight": (V, D), "z_H_init": (D,), "z_L_init": (D,)}
    if not tied:
        shape["lm_head.weight"] = (V, D)
    for i in range(blocks):
        mix = {"qkv": (3 * D, D), "out": (D, D)} if attention else {"gate_up": (2 * Ft, S), "down": (S, Ft)}
        shape |= {f"blocks.{i}.mix.{k}.weight": v for k, v in mix.items()}
        shape |= {f"blocks.{i}.mlp.gate_up.weight": (2 * F, D), f"blocks.{i}.mlp.down.weight": (D, F)}
    if prefix:
        shape["prefix"] = (D,)
    weights = {k: torch.randn(v) * (1 if "init" in k else 0.7 / v[-1] ** 0.5) for k, v in shape.items()}
    metadata = dict(format="pt", model_type="trm", hidden_size=D, intermediate_size=F, vocab_size=V, seq_len=T, prefix=prefix,
                    blocks=blocks, H_cycles=cycles, L_cycles=2, rms_norm_eps=1e-5, round_up=4, mix_attention=attention,
                    num_heads=3, rope_theta=100.0, halt_head=False, full_gradient=full, tie_word_embeddings=tied)
    metadata = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in metadata.items()}
    path = OUT / f"{name}.model.safetensors"
    save_file(weights, path, metadata)

    model = load(path)
    for w in model.w.values():
        w.requires_grad_(True)
    column = torch.randint(1, T, (B,))
    answer = torch.randint(V - 1, (B,))
    exit_weight = torch.tensor([0.5, 0, 2, 0, 1, 0.25]).double()
    ids = torch.randint(V - 1, (B, T)) + 1
    ids[torch.arange(T) >= column[:, None]] = 0

    def cross_entropy(z):
        at = z[HIGH][torch.arange(B), prefix + column]
        return torch.nn.functional.cross_entropy(at @ model.table().T, answer + 1, reduction="none")

    z = model.begin(ids - 1)
    exit_loss = torch.zeros((), dtype=torch.float64)
    for s in range(1, model.stages + 1):
        z = model.step(s, z)
        if s % model.cycle == 0 and s < model.stages:
            exit_loss = exit_loss + (exit_weight * cross_entropy(z)).sum()
            if not full:
                z = z | {k: z[k].detach() for k in (HIGH, LOW)}
    loss = cross_entropy(z).sum()
    (loss + exit_loss).backward()
    expect = {"input_ids": ids.int(), "answer": answer.int(), "column": column.int(), "exit": exit_weight.float(),
              "loss": loss.detach().float().reshape(1), "exit_loss": exit_loss.detach().float().reshape(1)}
    for k, w in model.w.items():
        if "init" not in k:
            expect[f"grad.{k}"] = w.grad.float().contiguous()
    save_file(expect, OUT / f"{name}.expect.safetensors", {"format": "pt"})


make("trm_last", 1, attention=False, tied=False, full=False, prefix=2, cycles=3, blocks=2)
make("trm_full", 2, attention=True, tied=True, full=True, prefix=0, cycles=3, blocks=1)
make("trm_full_mlp", 3, attention=False, tied=False, full=True, prefix=1, cycles=2, blocks=2)
