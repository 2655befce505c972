#!/usr/bin/env python3
"""Wall-clock time to grok: the published recipes on this machine, by PyTorch's seconds a step, against runs of hopscope.

    python-with-torch bench/wall_clock.py --decoder RUN [RUN ...] --trm RUN [RUN ...]

  decoder   arXiv 2405.15071, phi 9: 8 blocks of width 768, GPT-2's vocabulary kept beside the dataset's, items padded to 10 tokens, logits
            everywhere, batch 512, AdamW; 200,000 steps until test_ii is 0.95 (its figure 2). A RUN is read at the same accuracy.
  trm       arXiv 2601.09049, natural: width 1536, 16 prefix slots + 5 tokens mixed by an MLP, 28 block applications of which the last 14
            have gradients, stablemax in float64, batch 512, AdamW, averaged weights; 396,000 steps until the target is found at any
            stage for half of test_oo (released notebook). A RUN is read at the same share: method lens, measure found, role t.

A published step is timed at two small batches and carried on to 512, which is linear and takes minutes, not hours. Its seconds times the
published steps is what the recipe would take here, without its evaluations; a run's seconds are the wall clock of its record, evaluations
included, at its own number of threads. One run is one seed; the lowest and highest are shown.
"""
import argparse
import json
import os
import pathlib
import sqlite3
import sys
import time

import peer_torch

STEPS = {"decoder": 200_000, "trm": 396_000}
BATCH = 512


def build_trm(torch, width=1536, tokens=21, vocab=2207):
    nn, functional = torch.nn, torch.nn.functional

    class SwiGLU(nn.Module):
        def __init__(self, n):
            super().__init__()
            inner = -(-round(4 * n * 2 / 3) // 256) * 256
            self.up, self.down = nn.Linear(n, 2 * inner, bias=False), nn.Linear(inner, n, bias=False)

        def forward(self, x):
            gate, up = self.up(x).chunk(2, -1)
            return self.down(functional.silu(gate) * up)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.across, self.within = SwiGLU(tokens), SwiGLU(width)

        def forward(self, x):
            y = x.transpose(1, 2)
            y = functional.rms_norm(y + self.across(y), (tokens,), eps=1e-5).transpose(1, 2)
            return functional.rms_norm(y + self.within(y), (width,), eps=1e-5)

    class Trm(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(vocab, width), nn.Linear(width, vocab, bias=False)
            self.prefix = nn.Parameter(torch.zeros(16, width))
            self.level = nn.Sequential(Block(), Block())
            self.register_buffer("start", torch.randn(2, width))

        def forward(self, ids):
            x = torch.cat([self.prefix.expand(len(ids), -1, -1), self.embed(ids)], 1) * width**0.5
            high, low = (s.expand_as(x) for s in self.start)
            for cycle in range(2):
                with torch.set_grad_enabled(cycle == 1):
                    for _ in range(6):
                        low = self.level(low + high + x)
                    high = self.level(high + low)
            return self.head(high)[:, 16:]

    return Trm()


def trm_step_seconds(torch, batch, seconds):
    torch.manual_seed(1)
    model = build_trm(torch)
    average = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-5, betas=(0.9, 0.95), weight_decay=1.0, fused=True)
    ids = torch.randint(1, 2207, (batch, 5))
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        z = model(ids).double()
        s = torch.where(z >= 0, z + 1, 1 / (1 - z + 1e-30))
        loss = -torch.log(s.gather(-1, ids[..., None])[..., 0] / s.sum(-1)).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(average, list(model.parameters()), 1e-3)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def decoder_step_seconds(torch, batch, seconds):
    return peer_torch.seconds_per_step(torch, (*peer_torch.PUBLISHED[:-1], batch), seconds, False)


def published_step(torch, kind, small, seconds):
    """Seconds of a step of BATCH, from batches of `small` and twice that."""
    step = {"decoder": decoder_step_seconds, "trm": trm_step_seconds}[kind]
    once, twice = step(torch, small, seconds), step(torch, 2 * small, seconds)
    return once + (BATCH - small) / small * (twice - once)


QUERY = {
    "decoder": "SELECT min(seconds) FROM evaluation WHERE split = 'test_ii' AND accuracy >= 0.95",
    "trm": "SELECT min(e.seconds) FROM probe p JOIN evaluation e ON e.step = p.step WHERE p.method = 'lens' AND p.measure = 'found'"
           " AND p.role = 't' AND p.split = 'test_oo' AND p.value >= 0.5",
}


def run_seconds(kind, run):
    path = pathlib.Path(run) / "run.db"
    if not path.exists():
        sys.exit(f"{run}: this is no run directory")
    base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    seconds = base.execute(QUERY[kind]).fetchone()[0]
    base.close()
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decoder", nargs="+", default=[], metavar="RUN")
    parser.add_argument("--trm", nargs="+", default=[], metavar="RUN")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--small", type=int, default=16, help="the smaller of the two batches")
    parser.add_argument("--seconds", type=float, default=20, help="for each batch")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    wanted = {kind: runs for kind, runs in (("decoder", args.decoder), ("trm", args.trm)) if runs}
    if not wanted:
        parser.error("name at least one run, with --decoder or --trm")
    ours = {kind: [run_seconds(kind, run) for run in runs] for kind, runs in wanted.items()}
    try:
        import torch
    except ImportError:
        sys.exit("PyTorch is not installed: pip install torch")
    torch.set_num_threads(args.threads)
    result = {"torch": torch.__version__, "threads": args.threads, "recipes": {}}
    for kind, times in ours.items():
        step = published_step(torch, kind, args.small, args.seconds)
        there = [t for t in times if t is not None]
        row = {"published_step_seconds": step, "published_steps": STEPS[kind], "published_seconds": step * STEPS[kind],
               "runs": len(times), "runs_there": len(there), "seconds": there,
               "ratio": [step * STEPS[kind] / t for t in (max(there), min(there))] if there else None}
        result["recipes"][kind] = row
        if not args.json:
            print(f"{kind}: published {step:.3g} s a step x {STEPS[kind]:,} steps = {row['published_seconds'] / 86400:.3g} days; here "
                  + (f"{len(there)} of {len(times)} runs, {min(there):.0f} to {max(there):.0f} s: {row['ratio'][0]:.0f} to "
                     f"{row['ratio'][1]:.0f} times" if there else f"none of {len(times)} runs got there"), flush=True)
    if args.json:
        json.dump(result, sys.stdout)
        print()


if __name__ == "__main__":
    main()
