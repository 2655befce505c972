"""The models of hopscope once more, in plain PyTorch: weights from its checkpoints, one stage at a time, float64.

Written from docs/models.md. A model gives its stages as `z`, a dictionary stream -> (items, rows, width); `step(s, z)` makes
stage s from the one before. `run` goes from any stage to the logits and writes states on the way.
"""
import json
import math

import torch
from safetensors import safe_open
from torch.nn.functional import layer_norm, silu

INPUT, LOW, HIGH = "input", "low", "high"


def load(path):
    with safe_open(path, "pt") as f:
        config, weight = f.metadata(), {name: f.get_tensor(name).double() for name in f.keys()}
    return {"gpt2": Gpt2, "llama": Llama, "trm": Trm}[config["model_type"]](config, weight)


def rotate(x, theta):
    """Rotary positions: x (..., positions, width)."""
    length, half = x.shape[-2], x.shape[-1] // 2
    frequency = theta ** (-torch.arange(half).double() / half)
    angle = torch.arange(length).double()[:, None] * frequency
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


class Peer:
    in_place = False

    def __init__(self, config, weight):
        self.c = {k: json.loads(v) if v in ("true", "false") or v[0].isdigit() else v for k, v in config.items()}
        self.w = weight

    def run(self, tokens, states=None, start=0, patches=()):
        """states: of a run of these tokens; patches: (stage, stream, column, (items, width)). -> states by stage, logits"""
        z = self.begin(tokens) if states is None else self.at(tokens, states, start)
        out = [None] * (self.stages + 1)
        for s in range(start, self.stages + 1):
            if s > start:
                z = self.step(s, z)
            for _, stream, column, x in (p for p in patches if p[0] == s):
                self.write(s, z, stream, self.row(column), x)
            out[s] = z[self.stream(s)].clone()
        return out, self.head(self.last(z))

    def write(self, stage, z, stream, row, x):
        z[stream] = z[stream].clone()
        z[stream][:, row] = x

    def put(self, stage, column, states):
        return [(stage, self.stream(stage), column, states[stage][:, self.row(column)])]

    def attend(self, q, k, v):
        n, length, width = q.shape
        q, k, v = (t.view(n, length, self.heads, width // self.heads).transpose(1, 2) for t in (q, k, v))
        q, k = self.turn(q), self.turn(k)
        score = q @ k.transpose(-1, -2) / math.sqrt(width // self.heads)
        score = score.masked_fill(torch.ones(length, length).triu(1).bool(), -math.inf)
        return (score.softmax(-1) @ v).transpose(1, 2).reshape(n, length, width)

    def turn(self, x):
        return x

    def put_all(self, stage, column, states):
        """All that the model holds at a column, as other states have it: each stream as last written."""
        return [(stage, stream, column, states[s][:, self.row(column)]) for stream, s in self.writers(stage).items()]


class Decoder(Peer):
    def stream(self, stage):
        return HIGH

    def writers(self, stage):
        return {HIGH: stage}

    def row(self, column):
        return column

    def begin(self, tokens):
        x = self.embed(tokens)
        return {HIGH: x, INPUT: x}

    def at(self, tokens, states, stage):
        return {HIGH: states[stage], INPUT: states[0] if stage == 0 else self.embed(tokens)}

    def write(self, stage, z, stream, row, x):
        super().write(stage, z, stream, row, x)
        if stage == 0:  # what is injected later is the embedding as patched
            super().write(stage, z, INPUT, row, x)

    def step(self, s, z):
        block, x = (s - 1) % self.blocks, z[HIGH]
        if s > 1 and block == 0 and self.c.get("inject"):
            x = x + z[INPUT]
        return {HIGH: self.block(block, x), INPUT: z[INPUT]}

    def last(self, z):
        return z[HIGH][:, -1]

    def head(self, x):
        return self.raw_head(self.norm(x))

    def raw_head(self, x):
        return x @ self.w.get("lm_head.weight", self.embedding()).T


class Gpt2(Decoder):
    def __init__(self, config, weight):
        super().__init__(config, weight)
        self.blocks, self.heads = self.c["n_layer"], self.c["n_head"]
        self.stages = self.blocks * self.c["passes"]

    def embedding(self):
        return self.w["transformer.wte.weight"]

    def embed(self, tokens):
        return self.embedding()[tokens] + self.w["transformer.wpe.weight"][: tokens.shape[1]]

    def layer_norm(self, name, x):
        weight, bias = (self.w[f"transformer.{name}.{part}"] for part in ("weight", "bias"))
        return layer_norm(x, x.shape[-1:], weight, bias, self.c["layer_norm_epsilon"])

    def norm(self, x):
        return self.layer_norm("ln_f", x)

    def linear(self, name, x):
        return x @ self.w[f"transformer.{name}.weight"] + self.w[f"transformer.{name}.bias"]

    def block(self, i, x):
        q, k, v = self.linear(f"h.{i}.attn.c_attn", self.layer_norm(f"h.{i}.ln_1", x)).chunk(3, -1)
        x = x + self.linear(f"h.{i}.attn.c_proj", self.attend(q, k, v))
        y = torch.nn.functional.gelu(self.linear(f"h.{i}.mlp.c_fc", self.layer_norm(f"h.{i}.ln_2", x)), approximate="tanh")
        return x + self.linear(f"h.{i}.mlp.c_proj", y)


class Llama(Decoder):
    def __init__(self, config, weight):
        super().__init__(config, weight)
        self.blocks, self.heads = self.c["num_hidden_layers"], self.c["num_attention_heads"]
        self.stages = self.blocks * self.c["passes"]

    def embedding(self):
        return self.w["model.embed_tokens.weight"]

    def embed(self, tokens):
        return self.embedding()[tokens]

    def rms(self, weight, x):
        return x * (x.square().mean(-1, keepdim=True) + self.c["rms_norm_eps"]).rsqrt() * weight

    def norm(self, x):
        return self.rms(self.w["model.norm.weight"], x)

    def turn(self, x):
        return rotate(x, self.c["rope_theta"])

    def block(self, i, x):
        def w(name):
            return self.w[f"model.layers.{i}.{name}.weight"]

        y = self.rms(w("input_layernorm"), x)
        q, k, v = (y @ w(f"self_attn.{n}_proj").T for n in "qkv")
        if self.c["qk_norm"]:
            shape = (*q.shape[:2], self.heads, -1)
            q, k = (self.rms(w(f"self_attn.{n}_norm"), t.view(shape)).reshape(t.shape) for n, t in (("q", q), ("k", k)))
        x = x + self.attend(q, k, v) @ w("self_attn.o_proj").T
        y = self.rms(w("post_attention_layernorm"), x)
        return x + (silu(y @ w("mlp.gate_proj").T) * (y @ w("mlp.up_proj").T)) @ w("mlp.down_proj").T


class Trm(Peer):
    in_place = True

    def __init__(self, config, weight):
        super().__init__(config, weight)
        self.cycle = self.c["L_cycles"] + 1
        self.stages = self.c["H_cycles"] * self.cycle
        self.heads = self.c.get("num_heads", 1)

    def embedding(self):
        return self.w["embed.weight"][1:]

    def stream(self, stage):
        return INPUT if stage == 0 else LOW if stage % self.cycle else HIGH

    def writers(self, stage):
        return {self.stream(s): s for s in range(min(stage, 1), stage + 1)}

    def row(self, column):
        return self.c["prefix"] + column

    def begin(self, tokens):
        rows = torch.zeros(len(tokens), self.c["seq_len"], dtype=torch.long)
        rows[:, : tokens.shape[1]] = tokens + 1  # row 0 is padding
        x = self.w["embed.weight"][rows]
        before = torch.zeros(len(tokens), self.c["prefix"], x.shape[-1], dtype=x.dtype)
        if self.c["prefix"]:
            before[:, :1] = self.w["prefix"]
        x = torch.cat([before, x], 1) * math.sqrt(x.shape[-1])
        return {INPUT: x, LOW: self.w["z_L_init"].expand_as(x), HIGH: self.w["z_H_init"].expand_as(x)}

    def at(self, tokens, states, stage):
        z = self.begin(tokens) | {INPUT: states[0]}
        return z | {stream: states[s] for stream, s in self.writers(stage).items()}

    def turn(self, x):
        return rotate(x, self.c["rope_theta"])

    def unit(self, x, dim):
        return x * (x.square().mean(dim, keepdim=True) + self.c["rms_norm_eps"]).rsqrt()

    def level(self, x):
        def glu(name, y):
            gate, up = (y @ self.w[f"{name}.gate_up.weight"].T).chunk(2, -1)
            return (silu(gate) * up) @ self.w[f"{name}.down.weight"].T

        for i in range(self.c["blocks"]):
            if self.c.get("mix_attention"):
                q, k, v = (x @ self.w[f"blocks.{i}.mix.qkv.weight"].T).chunk(3, -1)
                x = self.unit(x + self.attend(q, k, v) @ self.w[f"blocks.{i}.mix.out.weight"].T, 2)
            else:
                x = self.unit(x + glu(f"blocks.{i}.mix", x.transpose(1, 2)).transpose(1, 2), 1)
            x = self.unit(x + glu(f"blocks.{i}.mlp", x), 2)
        return x

    def step(self, s, z):
        if self.stream(s) == LOW:
            return z | {LOW: self.level(z[LOW] + z[HIGH] + z[INPUT])}
        return z | {HIGH: self.level(z[HIGH] + z[LOW])}

    def last(self, z):
        return z[HIGH][:, -1]

    def table(self):
        return self.w.get("lm_head.weight", self.w["embed.weight"])

    def head(self, x):
        return x @ self.table()[1:].T
