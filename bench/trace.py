#!/usr/bin/env python3
"""Causal tracing at the papers' size: 300 queries, 3 positions, 7 stages, in hopscope and twice in PyTorch.

  one at a time   the published way (arXiv 2405.15071's scripts): one query, one intervention, the blocks above it run again
  batched         a careful user's: 100 queries at once, a forward hook writes the states, whole forward passes

CPU seconds of one thread, so that other work on the machine does not count; PyTorch's one at a time is measured on
--examples queries and scaled up. hopscope traces stage 0 as well; what it takes to start, read the model and trace one query
is measured apart and taken off. Weights are random (one training step): time does not depend on them.

  python-with-torch bench/trace.py --program build/release/hopscope
"""
import argparse
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import peer_torch

QUERIES, STAGES, POSITIONS = 300, range(1, 8), range(3)
WIDTH, BLOCKS, HEADS, VOCAB = 768, 8, 12, 2203
EXPERIMENT = f"""
data: {{entities: 2000, relations: 200, out_degree: 5, phi: 0.1, test_max: 50}}
model: {{n_layer: {BLOCKS}, n_embd: {WIDTH}, n_head: {HEADS}}}
train: {{steps: 1, batch: 8, threads: 1, eval_max: 8}}
"""


def cpu_of(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(program, folder):
    if not (folder / "run").exists():
        (folder / "trace.yaml").write_text(EXPERIMENT)
        cpu_of([program, "run", folder / "trace.yaml", "-q", "-o", folder / "run"])
    times = []
    for n in (1, QUERIES):
        for table in folder.glob("run/run.db*"):  # what is measured already is not measured again
            table.unlink()
        times.append(cpu_of([program, "interpret", folder / "run", "--method", "trace", "--quick", "--split", "train_inferred",
                             "--threads", "1", "--max", str(n)]))
    return times[1] - times[0], times[0]


def states_of(torch, model, ids):
    x = model.wte(ids) + model.wpe(torch.arange(ids.shape[1]))
    states = [x]
    for block in model.blocks:
        states.append(block(states[-1]))
    return states


def rank(model, x, answer):
    logits = model.ln_f(x[:, -1]) @ model.wte.weight.T
    return (logits > logits.gather(1, answer)).sum(1)


def one_at_a_time(torch, model, ids, others, answers, examples):
    start = time.process_time()
    for i in range(examples):
        question, answer = ids[i : i + 1], answers[i : i + 1]
        normal = states_of(torch, model, question)
        for position in POSITIONS:
            replaced = question[:, : position + 1].clone()
            replaced[:, position] = others[i, position]
            changed = states_of(torch, model, replaced)
            for stage in STAGES:
                x = normal[stage].clone()
                x[:, position] = changed[stage][:, position]
                for block in model.blocks[stage:]:
                    x = block(x)
                rank(model, x, answer).item()
    return (time.process_time() - start) * QUERIES / examples


def batched(torch, model, ids, others, answers, batch):
    start = time.process_time()
    for first in range(0, QUERIES, batch):
        rows = slice(first, first + batch)
        for position in POSITIONS:
            replaced = ids[rows].clone()
            replaced[:, position] = others[rows, position]
            changed = states_of(torch, model, replaced)
            for stage in STAGES:
                def write(module, inputs, output):
                    output[:, position] = changed[stage][:, position]
                    return output

                hook = model.blocks[stage - 1].register_forward_hook(write)
                rank(model, states_of(torch, model, ids[rows])[-1], answers[rows])
                hook.remove()
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/hopscope", type=pathlib.Path)
    parser.add_argument("--examples", type=int, default=8, help="queries that are traced one at a time")
    parser.add_argument("--folder", type=pathlib.Path, help="keeps the model between calls")
    args = parser.parse_args()
    try:
        import torch
    except ImportError:
        sys.exit("PyTorch is not installed: pip install torch==2.13.0")
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = peer_torch.build(torch, WIDTH, BLOCKS, HEADS, 3, VOCAB).eval()
    ids, others = torch.randint(VOCAB, (2, QUERIES, 3))
    answers = torch.randint(VOCAB, (QUERIES, 1))
    with tempfile.TemporaryDirectory() as temporary, torch.no_grad():
        folder = args.folder or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        seconds, fixed = ours(args.program.resolve(), folder)
        print(f"hopscope       {seconds:8.2f} s   (and {fixed:.2f} s to start, read the model and trace one query)", flush=True)
        one_at_a_time(torch, model, ids, others, answers, 1)  # warm
        single = one_at_a_time(torch, model, ids, others, answers, args.examples)
        print(f"one at a time  {single:8.2f} s   {single / seconds:.1f}x   ({args.examples} queries, scaled)", flush=True)
        together = batched(torch, model, ids, others, answers, 100)
        print(f"batched        {together:8.2f} s   {together / seconds:.1f}x", flush=True)


if __name__ == "__main__":
    main()
