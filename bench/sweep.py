#!/usr/bin/env python3
"""How busy a sweep keeps the cores, and whether one that was killed ends with the same numbers.

    bench/sweep.py PLAN [--set KEY=VALUE] [-j N] [--kills N] [--program build/release/hopscope] [--out DIR]

The plan is trained twice, into DIR/whole in one go and into DIR/killed with everything killed (SIGKILL) N times on the way and gone on
with. Cores busy: CPU seconds of all processes, by wall-clock seconds, by cores; 1 on an idle machine where nothing waits. The tables are
those of `hopscope gather`, compared but for what they say of time, and every evaluation of every run with them. Exit code 1 if they differ.
"""
import argparse
import ctypes
import csv
import os
import pathlib
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def reap():
    """Processes whose parent was killed come to this one; theirs are CPU seconds too."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def sweep(command, seconds=None):
    """Runs it, at most so many seconds, then kills all of it. Returns wall, CPU seconds and whether it ended by itself."""
    wall, cpu = time.monotonic(), cpu_seconds()
    child = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, said = child.communicate(timeout=seconds)
        ended = True
        if child.returncode:
            sys.exit(f"{' '.join(command)}: exit code {child.returncode}\n{said}")
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        ended = False
    reap()
    return time.monotonic() - wall, cpu_seconds() - cpu, ended


def numbers(program, arguments, folder, out):
    """The lines of the table without times, and every evaluation."""
    subprocess.run([program, "gather", *arguments, "--runs", folder, "-o", out], check=True, stdout=subprocess.DEVNULL)
    name = next(out.glob("*.csv"))
    with open(name, newline="") as file:
        rows = [{k: v for k, v in row.items() if "seconds" not in k and k != "ms_per_step" and "CPU s" not in k}
                for row in csv.DictReader(file)]
    base = sqlite3.connect(name.with_suffix(".db"))
    found = base.execute("SELECT arm, seed, step, split, n, accuracy, loss FROM evaluation ORDER BY 1, 2, 3, 4").fetchall()
    base.close()
    return rows, found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("plan")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("-j", type=int, help="processes at a time; default the cores there are")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--program", default="build/release/hopscope")
    parser.add_argument("--out", help="folder of the runs, kept; default a temporary one")
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    root = pathlib.Path(args.out or tempfile.mkdtemp(prefix="hopscope-sweep-"))
    arguments = [args.plan] + [word for item in args.set for word in ("--set", item)]
    jobs = ["-j", str(args.j)] if args.j else []
    command = lambda name: [args.program, "sweep", *arguments, *jobs, "-o", str(root / name)]

    wall, cpu, _ = sweep(command("whole"))
    print(f"in one go: {wall:.0f} s, {cpu:.0f} CPU s, {cpu / wall / cores:.1%} of {cores} cores busy", flush=True)
    total_wall = total_cpu = kills = 0
    ended = False
    while not ended:
        limit = wall / (args.kills + 1) if kills < args.kills else None
        w, c, ended = sweep(command("killed"), limit)
        total_wall, total_cpu, kills = total_wall + w, total_cpu + c, kills + (not ended)
    print(f"killed {kills} times: {total_wall:.0f} s, {total_cpu:.0f} CPU s, {total_cpu / total_wall / cores:.1%} busy")
    a, b = (numbers(args.program, arguments, root / name, root / f"{name}-table") for name in ("whole", "killed"))
    same = a == b
    print(f"{len(a[0])} runs, {len(a[1])} evaluations: {'the same' if same else 'NOT the same'} numbers")
    if not args.out:
        shutil.rmtree(root)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
