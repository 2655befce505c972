#!/usr/bin/env python3
"""The step loop in Python beside `hopscope run`: the same experiment by both in turn, the least of several times of each.

Seconds of the wall clock and CPU seconds, both as the run's record has them: from the first step to the last evaluation.
usage: python bench/python.py --program build/release/hopscope [--rounds 5] [--set KEY=VALUE ...]
"""

import argparse
import pathlib
import subprocess
import tempfile

import hopscope as hs

SETTINGS = {"data.entities": 200, "data.relations": 20, "data.out_degree": 10, "data.phi": 7, "train.steps": 400, "train.batch": 256,
            "train.evals_per_decade": 1, "train.checkpoints_per_decade": 0, "train.checkpoint_every": 0}  # fmt: skip


def times(folder):
    run = hs.open(folder)
    return run.evaluations.seconds.max(), run.metrics("cpu_seconds").cpu_seconds.max(), run.hash


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    settings = {**SETTINGS, **dict(one.split("=", 1) for one in given.set)}
    found = {"hopscope run": [], "Python loop": []}
    with tempfile.TemporaryDirectory() as folder:
        experiment = pathlib.Path(folder, "experiment.yaml")
        experiment.write_text("".join(f"{k}: {v}\n" for k, v in settings.items()))
        for round in range(given.rounds):
            out = f"{folder}/program-{round}"
            subprocess.run([given.program, "run", experiment, "-q", "-o", out], check=True, stdout=subprocess.DEVNULL)
            found["hopscope run"].append(times(out))
            out = f"{folder}/python-{round}"
            with hs.trainer(experiment, out) as trainer:
                for step in trainer:
                    pass
            found["Python loop"].append(times(out))
    assert len({h for rows in found.values() for *_, h in rows}) == 1, "the weights differ"
    steps, first = int(settings["train.steps"]), None
    print(f"{steps} steps, the least of {given.rounds} in turn; same bits\n\n               ms a step   CPU ms a step")
    for name, rows in found.items():
        wall, cpu = (min(row[i] for row in rows) / steps * 1000 for i in (0, 1))
        first = first or (wall, cpu)
        print(f"{name:14} {wall:9.3f} {cpu:15.3f}     {100 * (wall / first[0] - 1):+.1f}% {100 * (cpu / first[1] - 1):+.1f}%")


if __name__ == "__main__":
    main()
