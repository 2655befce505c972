#!/usr/bin/env python3
"""hopscope and its PyTorch peer on the same training steps, in turn, and the ratio.

  python bench/compare.py --program build/release/hopscope --seconds 3

The peer runs in the Python given by --python (default: this one), which needs PyTorch 2.13: pip install torch==2.13.0
(CPU build). Both sides get the same number of threads. Rounds alternate and the best of each side counts, so that a busy
moment of the machine does not decide.
"""
import argparse
import json
import os
import subprocess
import sys


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"failed: {' '.join(command)}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/hopscope")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--published", action="store_true", help="also the published recipe as published (slow)")
    parser.add_argument("--cases", default="d128,d256,paper")
    args = parser.parse_args()
    cases = args.cases.split(",")
    here = os.path.dirname(os.path.abspath(__file__))
    common = ["--threads", str(args.threads), "--seconds", str(args.seconds), "--json"]
    have_torch = subprocess.run([args.python, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode == 0
    ours, theirs = {}, {}
    for turn in range(args.rounds):
        bench = run([args.program, "bench", *cases, *common])
        for case in bench["cases"]:
            if case["case"] not in ours or case["ms_per_step"] < ours[case["case"]]["ms_per_step"]:
                ours[case["case"]] = case
        if have_torch:
            extra = ["--published"] if args.published and turn == 0 else []
            peer = run([args.python, os.path.join(here, "peer_torch.py"), *cases, *common, *extra])
            for name, case in peer["cases"].items():
                if name not in theirs or case["ms_per_step"] < theirs[name]["ms_per_step"]:
                    theirs[name] = case
    one = run([args.program, "bench", "d128", "--threads", "1", "--seconds", str(args.seconds), "--json"])["cases"][0]
    print(f"{bench['blas']}, {args.threads} threads, GEMM roof {bench['roof_gflops']:.0f} GFLOP/s")
    if not have_torch:
        print("PyTorch is not there, so no ratio: pip install torch==2.13.0, or name another interpreter with --python")
    print(f"{'case':10} {'hopscope ms':>12} {'of the roof':>12} {'PyTorch ms':>12} {'eager':>9} {'compiled':>9} {'ratio':>7}")
    for name, case in ours.items():
        peer = theirs.get(name)
        line = f"{name:10} {case['ms_per_step']:12.2f} {100 * case['roof_share']:11.0f}%"
        if peer:
            line += f" {peer['ms_per_step']:12.2f} {peer['eager_ms']:9.2f} {peer.get('compiled_ms', float('nan')):9.2f}"
            line += f" {peer['ms_per_step'] / case['ms_per_step']:6.2f}x"
        print(line)
    if "published" in theirs and "paper" in ours:
        ratio = theirs["published"]["ms_per_step"] / ours["paper"]["ms_per_step"]
        print(f"the published recipe in PyTorch takes {theirs['published']['ms_per_step']:.0f} ms a step, {ratio:.1f} times ours"
              " (exact length, own vocabulary)")
    if args.threads > 1 and "d128" in ours:
        print(f"{args.threads} threads against 1 on d128: {one['ms_per_step'] / ours['d128']['ms_per_step']:.2f}x")


if __name__ == "__main__":
    main()
