#!/usr/bin/env python3
"""The same training step in PyTorch, written fairly: what `hopscope bench` is compared with.

Same batch, same exact length, logits only at scored positions, fused AdamW, gradient clipping; the better of eager and
torch.compile counts. `--published` adds the published recipe as its code runs it: GPT-2's 50,257-token vocabulary kept
beside the dataset's, every item padded to 10 tokens, logits at every position.

  python bench/peer_torch.py --threads 2 --seconds 3 --json
"""
import argparse
import json
import os
import sys
import time

CASES = {  # name: width, blocks, heads, tokens fed, scored, vocabulary, batch
    "d128": (128, 4, 4, 3, 1, 520, 512),
    "d256": (256, 4, 8, 3, 1, 2210, 512),
    "paper": (768, 8, 12, 4, 2, 2206, 512),
    "text": (256, 4, 8, 256, 1, 2210, 16),
    "lm": (256, 4, 8, 256, 256, 2210, 16),
}
PUBLISHED = (768, 8, 12, 10, 10, 52464, 512)


def build(torch, width, blocks, heads, tokens, vocab):
    nn, functional = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.fc, self.proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            batch, length, _ = x.shape
            q, k, v = self.qkv(self.ln_1(x)).view(batch, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
            return x + self.proj(functional.gelu(self.fc(self.ln_2(x)), approximate="tanh"))

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte, self.wpe = nn.Embedding(vocab, width), nn.Embedding(max(16, tokens), width)
            self.blocks = nn.ModuleList(Block() for _ in range(blocks))
            self.ln_f = nn.LayerNorm(width)
            for name, p in self.named_parameters():
                if p.dim() == 2:
                    nn.init.normal_(p, std=0.02)

        def forward(self, ids, scored, target):
            x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
            for block in self.blocks:
                x = block(x)
            logits = self.ln_f(x[:, -scored:]) @ self.wte.weight.T
            return functional.cross_entropy(logits.reshape(-1, vocab), target.reshape(-1))

    return Decoder()


def seconds_per_step(torch, shape, seconds, compiled):
    width, blocks, heads, tokens, scored, vocab, batch = shape
    torch.manual_seed(1)
    model = build(torch, width, blocks, heads, tokens, vocab)
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], lr=1e-4, fused=True
    )
    forward = torch.compile(model) if compiled else model
    pool = [torch.randint(vocab, (batch, tokens)) for _ in range(8)]
    targets = [torch.randint(vocab, (batch, scored)) for _ in range(8)]
    times = []
    end = None
    while end is None or (time.perf_counter() < end and len(times) < 4096) or len(times) < 5:
        start = time.perf_counter()
        loss = forward(pool[len(times) % 8], scored, targets[len(times) % 8])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - start)
        if end is None:  # the first step compiles
            end = time.perf_counter() + seconds
    return min(times[2:])  # the best counts, as on our side


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; default all")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=3, help="for each case and mode")
    parser.add_argument("--published", action="store_true", help="also the published recipe (slow)")
    parser.add_argument("--no-compile", action="store_true", help="eager only")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    for name in args.cases:
        if name not in CASES:
            parser.error(f"no such case: {name}")
    try:
        import torch
    except ImportError:
        sys.exit("PyTorch is not installed: pip install torch==2.13.0")
    torch.set_num_threads(args.threads)
    shapes = {name: CASES[name] for name in (args.cases or CASES)}
    if args.published:
        shapes["published"] = PUBLISHED
    result = {"torch": torch.__version__, "threads": args.threads, "cases": {}}
    for name, shape in shapes.items():
        case = {"eager_ms": 1e3 * seconds_per_step(torch, shape, args.seconds, False)}
        if not args.no_compile and name != "published":
            try:
                case["compiled_ms"] = 1e3 * seconds_per_step(torch, shape, args.seconds, True)
            except Exception as error:  # no C++ compiler, say: eager stands, and the reason is shown
                case["compile_failed"] = str(error).splitlines()[0][:200]
        case["ms_per_step"] = min(v for k, v in case.items() if k.endswith("_ms"))
        result["cases"][name] = case
        if not args.json:
            print(name, {k: round(v, 2) if isinstance(v, float) else v for k, v in case.items()}, flush=True)
    if args.json:
        json.dump(result, sys.stdout)
        print()


if __name__ == "__main__":
    main()
