"""Training from Python: the bits of `hopscope run`, Ctrl-C, other threads meanwhile."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

import hopscope as hs
from conftest import SETTINGS, town
from hopscope.settings import flat


def test_same_bits_in_one_call_in_a_loop_and_in_parts(run, tsv, tmp_path):
    with hs.trainer(tsv, tmp_path / "loop", SETTINGS) as trainer:
        steps = list(trainer)
        assert [s.number for s in steps] == list(range(1, 61)) and steps[0].loss > steps[-1].loss > 0
        assert trainer.hash == run.hash
        assert trainer.evaluate().loc["test_ii", "n"] == len(run.dataset["test_ii"])
    assert trainer.run.hash == run.hash
    compared = ["step", "split", "n", "accuracy", "loss"]
    assert trainer.run.evaluations[compared].equals(run.evaluations[compared])
    for stop in (7, 33, None):
        with hs.trainer(tsv, tmp_path / "parts", SETTINGS) as trainer:
            for step in trainer:
                if step.number == stop:
                    break
    assert trainer.run.hash == run.hash
    with pytest.raises(ValueError, match="closed"):
        trainer.step


def test_same_bits_as_the_program(run, tsv, tmp_path):
    program = os.environ.get("HOPSCOPE_PROGRAM")
    if not program:
        pytest.skip("HOPSCOPE_PROGRAM names no program")
    settings = [f"--set={k}={v}" for k, v in flat(SETTINGS).items()]
    subprocess.run([program, "run", tsv, "-q", "-o", tmp_path / "cli", *settings], check=True, stdout=subprocess.DEVNULL)
    assert hs.open(tmp_path / "cli").hash == run.hash


def test_a_graph_and_settings_alone_are_sources(run, tmp_path):
    trained = hs.train(hs.graph(town()), tmp_path / "graph", SETTINGS)
    assert trained.step == 60 and (tmp_path / "graph.tsv").exists()
    generated = {"data": {"entities": 20, "relations": 5, "out_degree": 3, "phi": 0}, "train": {"steps": 3, "batch": 16}}
    assert hs.train(generated, tmp_path / "generated").step == 3
    assert hs.train(tmp_path / "generated").step == 3  # goes on, and there is nothing left to do


def test_a_run_in_use(tsv, tmp_path):
    with hs.trainer(tsv, tmp_path / "run", SETTINGS):
        with pytest.raises(hs.FileError, match="process"):
            hs.trainer(tsv, tmp_path / "run", SETTINGS)


def test_a_trainer_left_open_saves(tsv, tmp_path):
    trainer = hs.trainer(tsv, tmp_path / "run", SETTINGS)
    for step in trainer:
        if step.number == 5:
            break
    del trainer, step
    assert hs.open(tmp_path / "run").step == 5


LONG = {**SETTINGS, "train": {**SETTINGS["train"], "steps": 100000000}}
ONE_CALL = "hs.train({tsv!r}, {run!r}, {settings!r})"
LOOP = "with hs.trainer({tsv!r}, {run!r}, {settings!r}) as trainer:\n        for step in trainer: pass"


@pytest.mark.parametrize("how", [ONE_CALL, LOOP])
def test_ctrl_c_saves(tsv, tmp_path, how):
    run = str(tmp_path / "run")
    body = how.format(tsv=str(tsv), run=run, settings=LONG)
    code = f"import hopscope as hs\ntry:\n    {body}\nexcept KeyboardInterrupt:\n    print('interrupted')\n"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    latest = pathlib.Path(run, "checkpoints", "latest")
    deadline = time.monotonic() + 120
    while not latest.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    saved = latest.read_text()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert out == "interrupted\n" and process.returncode == 0
    stopped = hs.open(run)
    assert stopped.step >= int(saved.strip().removeprefix("step-"))
    # gone on with in one go to the next step: the bits of a run that nobody stopped
    end = {"train": {**SETTINGS["train"], "steps": stopped.step + 3}}
    whole = hs.train(tsv, tmp_path / "whole", {**SETTINGS, **end})
    assert hs.train(tsv, run, {**SETTINGS, **end}).hash == whole.hash


def test_other_threads_run_meanwhile(tsv, tmp_path):
    """The interpreter's lock is free while the library works: a thread counts during one call of the C library."""
    counted, during, stop = [0], [], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=count)
    thread.start()
    with hs.trainer(tsv, tmp_path / "run", {**SETTINGS, "model": {"n_embd": 256, "n_head": 4}, "train.steps": 8}) as trainer:
        before = counted[0]
        for _ in trainer:
            during.append(counted[0] - before)
            before = counted[0]
    stop.set()
    thread.join()
    assert max(during) >= 2


def test_warnings_are_warnings(tsv, tmp_path):
    with pytest.warns(UserWarning, match="stop_split"):
        hs.train(tsv, tmp_path / "run", {**SETTINGS, "train": {"steps": 2, "batch": 16, "stop_split": "test_iii"}})


def test_divergence_is_an_exception(tsv, tmp_path):
    settings = {**SETTINGS, "train": {**SETTINGS["train"], "lr": 1e30, "weight_decay": 0, "warmup": 0, "on_nan": "stop"}}
    with pytest.raises(hs.Diverged) as caught:
        with hs.trainer(tsv, tmp_path / "run", settings) as trainer:
            list(trainer)
    assert isinstance(caught.value, ArithmeticError) and caught.value.code == 1
