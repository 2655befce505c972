"""Training: to the end in one call, or step by step in a loop; the same run folder, to the same bits, as `hopscope run`."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
from typing import Any, Iterator, NamedTuple
import warnings
import weakref

from . import _declarations as d
from . import errors
from ._library import c, documented, interruptible, noted
from ._memory import frame
from .graph import Graph
from .run import Run
from .settings import Config, Settings, Source

log = logging.getLogger("hopscope")


class Step(NamedTuple):
    """What one step was like: its number from 1 on, mean loss before it, accuracy of its batch, gradient norm, rate."""

    number: int
    loss: float
    accuracy: float
    grad_norm: float
    lr: float
    exit_loss: float


def _listener() -> Any:
    """Information goes to the logger "hopscope", warnings are warnings."""

    def hear(_: Any, event: Any) -> None:
        one = event[0]
        if one.kind == d.HS_EVENT_WARNING:
            warnings.warn(one.text.decode("utf-8", "replace"), stacklevel=2)
        elif one.kind == d.HS_EVENT_INFO and one.text:
            log.info("%s: %s", one.stage.decode(), one.text.decode("utf-8", "replace"))
        elif one.kind == d.HS_EVENT_EVAL and log.isEnabledFor(logging.INFO):
            seen = ctypes.cast(one.data, ctypes.POINTER(d.hs_eval_event))[0]
            said = (f"{seen.eval[i].split.decode()} {seen.eval[i].accuracy:.3f}" for i in range(seen.n))
            log.info("step %d: %s", seen.step, ", ".join(said))

    return d.hs_event_fn(hear)


class _Task:
    """What a run in training is made of; it all lives as long as the library may look at it."""

    def __init__(self, source: Source | Graph | None, run: str | os.PathLike[str] | None, settings: Settings | None):
        self.folder = _folder(source, run)
        self.config = _config(source, self.folder, settings)
        self.options = d.hs_experiment_options(run_dir=os.fsencode(self.folder), no_estimate=True)
        self.signals, self.result = d.hs_signals(), d.hs_experiment_result()
        self.open = False
        self.hear = _listener()
        self.events = d.hs_events(fn=self.hear)

    def arguments(self) -> tuple[Any, ...]:
        return self.config._c, self.options, self.signals, self.events, self.result


def _folder(source: Any, run: str | os.PathLike[str] | None) -> str:
    if run is not None:
        return os.fspath(run)
    if isinstance(source, (str, os.PathLike)):
        if os.path.isdir(source):
            return os.fspath(source)
        out = ctypes.create_string_buffer(4096)
        c.hs_run_default_dir(out, len(out), source)
        return os.fsdecode(out.value)
    raise ValueError("run=FOLDER is needed: settings and graphs have no name of their own")


def _config(source: Any, folder: str, settings: Settings | None) -> Config:
    if not isinstance(source, Graph):
        return Config(source, settings)
    path = folder.rstrip("/") + ".tsv"
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    source.write(path)
    return Config(path, settings)


def _end(task: _Task, session: Any) -> None:
    """Saves and closes what the user of a Trainer left open."""
    try:
        if task.open:
            task.open = False
            with contextlib.suppress(errors.Stopped):
                c.hs_session_finish(session)
    finally:
        c.hs_session_close(session)
        c.hs_experiment_result_free(task.result)


class Trainer:
    """Training step by step. Made by hopscope.trainer(); use it in a `with`: at its end everything is saved.

        with hs.trainer("my.tsv", settings={"train.steps": 500}) as trainer:
            for step in trainer:
                print(step.number, step.loss)
    """

    @documented("hs_session_open")
    def __init__(self, source: Source | Graph | None, run: str | os.PathLike[str] | None = None, settings: Settings | None = None):
        self._task = task = _Task(source, run, settings)
        self.folder = task.folder
        self._session, self._ended = ctypes.POINTER(d.hs_session)(), False
        try:
            interruptible(task.signals, lambda: c.hs_session_open(self._session, *task.arguments()))
        except BaseException:
            c.hs_session_close(self._session)
            c.hs_experiment_result_free(task.result)
            raise
        task.open = True
        self._finalizer = weakref.finalize(self, _end, task, self._session)

    def _alive(self) -> None:
        if not self._finalizer.alive:
            raise ValueError("this trainer is closed: hopscope.trainer() with the same arguments goes on with the run")

    @property
    def _trainer(self) -> Any:
        self._alive()
        return c.hs_session_trainer(self._session)

    @property
    def step(self) -> int:
        """Steps done."""
        return c.hs_trainer_step_count(self._trainer)

    @property
    def hash(self) -> str:
        """XXH3 of the weights: equal for equal bits."""
        return f"{c.hs_model_hash(c.hs_trainer_model(self._trainer)):016x}"

    @property
    def config(self) -> Config:
        return self._task.config

    @documented("hs_session_step")
    def __iter__(self) -> Iterator[Step]:
        """Step after step until the run ends; what follows a step (evaluation, checkpoint) is done before it is given."""
        stats, ended, ctrl_c = d.hs_step_stats(), ctypes.c_bool(False), noted(self._task.signals)
        one_step, count = c.hs_session_step, c.hs_trainer_step_count
        while not self._ended:
            trainer = self._trainer
            before = count(trainer)
            try:
                with ctrl_c:
                    one_step(self._session, stats, ended)
                    self._ended = ended.value
            except errors.HopscopeError:
                self._task.open = False
                self._finalizer()
                raise
            now = count(trainer)
            if now > before:
                yield Step(now, stats.loss, stats.accuracy, stats.grad_norm, stats.lr, stats.exit_loss)

    @documented("hs_trainer_evaluate")
    def evaluate(self, max: int = 0) -> Any:
        """Every split by the weights as they are, as a DataFrame; it leaves no trace in the run."""
        trainer, rows = self._trainer, []
        for i in range(c.hs_trainer_data(trainer)[0].n_splits):
            one = d.hs_eval()
            c.hs_trainer_evaluate(trainer, i, max, one)
            rows.append((one.split.decode(), one.n, one.accuracy, one.loss))
        return frame(dict(zip(("split", "n", "accuracy", "loss"), zip(*rows))), "split")

    def save(self) -> None:
        """A checkpoint after the next step."""
        self._alive()
        self._task.signals.save = 1

    @documented("hs_session_finish")
    def close(self) -> None:
        """Save; the run can be gone on with. A run that has ended is evaluated for the last time."""
        if not self._finalizer.alive:
            return
        try:
            if self._ended:
                self._task.open = False
                interruptible(self._task.signals, lambda: c.hs_session_finish(self._session))
        finally:
            self._finalizer()

    @property
    def run(self) -> Run:
        """The run with its newest saved weights."""
        return Run(self.folder)

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            c.hs_signals_stop(self._task.signals, signal.SIGINT)
            with contextlib.suppress(errors.Stopped):
                self.close()
        else:
            self.close()

    def __repr__(self) -> str:
        return f"<hopscope.Trainer {self.folder}: {f'step {self.step:,}' if self._finalizer.alive else 'closed'}>"


def trainer(source: Source | Graph | None = None, run: str | os.PathLike[str] | None = None, settings: Settings | None = None) -> Trainer:
    """Training step by step: the arguments are those of train()."""
    return Trainer(source, run, settings)


@documented("hs_experiment_run")
def train(source: Source | Graph | None = None, run: str | os.PathLike[str] | None = None, settings: Settings | None = None) -> Run:
    """Train, or go on where it was, and open the run. `source`: an experiment file, a graph (a file, "world", a Graph), a run
    folder to go on with, or a dict of settings; `settings` go over it, {"train.steps": 500} or {"train": {"steps": 500}}; `run` is
    the folder, by default that of `hopscope run`. Ctrl-C stops at the next step, saves and raises KeyboardInterrupt."""
    task = _Task(source, run, settings)
    try:
        interruptible(task.signals, lambda: c.hs_experiment_run(*task.arguments()))
    finally:
        c.hs_experiment_result_free(task.result)
    return Run(task.folder)
