"""Trained models: ask them, read and change their states, what their training recorded."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import tempfile
from typing import Any, Callable, Iterable, Iterator, Sequence, Union
import weakref

import numpy as np

from . import _declarations as d
from ._library import c, documented, interruptible, texts
from ._memory import Buffer, columns, floats, frame, taken, view, words32
from .dataset import Dataset, Split
from .settings import Config

Question = Sequence[Union[str, int]]
Questions = Union[Question, Iterable[Question], np.ndarray, Split, Any]


class Figure:
    """A figure that shows itself in a notebook; save() writes SVG, PDF or PNG by the ending of the path."""

    def __init__(self, draw: Callable[[str], None]):
        self._draw = draw
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "figure.svg")
            draw(path)
            self.svg: str = pathlib.Path(path).read_text(encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | os.PathLike[str]) -> None:
        self._draw(os.fspath(path))

    def __repr__(self) -> str:
        return f"<hopscope.Figure: {len(self.svg):,} bytes of SVG>"


class Answer:
    """What a model says to one question."""

    def __init__(self, run: "Run", question: Sequence[str], answer: d.hs_answer):
        self.question = tuple(question)
        self.best = [(run._name(answer.best[i]), answer.probability[i]) for i in range(answer.n_best)]
        """The most probable answers with their probabilities."""
        self.known = run._entity(answer.known, answer.known_second)
        """The answer by the facts, None where they do not say."""
        self.bridge = run._entity(answer.bridge, answer.bridge_second)
        """The entity after the first hop by the facts."""
        self.bridge_found: bool = answer.bridge_found
        """Is the bridge on top of the lens at a middle stage where the first hop ends?"""
        self.bridge_stage: int | None = answer.bridge_stage if answer.bridge_found else None
        places = [bytes(answer.place[i]).split(b"\0")[0].decode() for i in range(answer.n_places)]
        self._grid = []
        for i in range((answer.n_stages + 1) * answer.n_places):
            r = answer.lens[i]
            rank = None if r.rank == d.HS_NO_ID else r.rank
            self._grid.append((i // answer.n_places, places[i % answer.n_places], run._name(r.top), r.probability, rank))

    @property
    def answer(self) -> str:
        return self.best[0][0]

    @property
    def probability(self) -> float:
        return self.best[0][1]

    @property
    def lens(self) -> Any:
        """What the logit lens reads at each stage and place, and the bridge's rank there (0 = on top), as a DataFrame."""
        names = ("stage", "position", "reads", "probability", "bridge_rank")
        return frame(dict(zip(names, zip(*self._grid))))

    def __str__(self) -> str:
        through = f", through {self.bridge}" if self.bridge_found else ""
        return f"{self.answer} ({100 * self.probability:.1f}%){through}"

    def __repr__(self) -> str:
        return f"<hopscope.Answer {', '.join(self.question)}? {self}>"


class _Batch:
    """Questions of one length as the model takes them; answered at their last token."""

    def __init__(self, model: d.hs_model, tokens: np.ndarray):
        B, T = tokens.shape
        self.model, self.B, self.T = model, B, T
        self.token = np.ascontiguousarray(tokens, np.uint32)
        self.start = np.arange(0, B * T + 1, T, dtype=np.uint32)
        self.score = self.start[1:] - np.uint32(1)
        self.target = np.zeros(B, np.uint32)
        self.c = d.hs_batch(B=B, N=B * T, P=B, token=words32(self.token), start=words32(self.start),
                            score_row=words32(self.score), target=words32(self.target))  # fmt: skip
        self.rows = c.hs_model_state_rows(model, B, B * T)
        self.work = Buffer(c.hs_model_work_size(model, B, B * T, B, False))

    def row(self, b: int, position: int) -> int:
        return c.hs_model_state_row(self.model, self.c, b, position)

    def run(self, patches: Sequence[d.hs_patch] = ()) -> np.ndarray:
        """Logits (B, vocabulary); patches by ascending stage."""
        V = self.model.config.vocab
        logits = Buffer(self.B * V).array(self.B, V)
        given = (d.hs_patch * max(len(patches), 1))(*patches)
        c.hs_model_run(self.model, self.c, d.hs_pass(n_patches=len(patches), patch=given, logits=floats(logits)), self.work.pointer)
        return logits


class Run:
    """A run folder and its model at one step. Made by hopscope.open() and hopscope.train()."""

    @documented("hs_run_open")
    def __init__(self, folder: str | os.PathLike[str], step: int | None = None):
        """The weights of a step; None: the newest."""
        self._c = d.hs_run()
        c.hs_run_open(self._c, folder, d.HS_LATEST if step is None else step)
        weakref.finalize(self, c.hs_run_close, self._c)
        self.folder = os.fspath(folder)

    # ------------------------------------------------------------ what it is

    @property
    def step(self) -> int:
        """Of the weights."""
        return self._c.step

    @property
    def config(self) -> Config:
        return Config._of(self._c.config)

    @property
    def dataset(self) -> Dataset:
        return Dataset(self, self._c.data)

    @property
    @documented("hs_run_checkpoints")
    def checkpoints(self) -> list[int]:
        """Steps whose weights are kept."""
        steps, n = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_size_t()
        c.hs_run_checkpoints(self.folder, steps, n)
        out = steps[: n.value] if n.value else []
        c.hs_free(steps)
        return out

    def at(self, step: int) -> "Run":
        """The same run with the weights of another step."""
        return Run(self.folder, step)

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Every tensor by its Hugging Face name: views of the library's memory, not writable."""
        model, out = self._c.model, {}
        for t in (model.tensor[i] for i in range(model.n_tensors)):
            address = ctypes.addressof(model.param.contents) + 4 * t.offset
            out[t.name.decode()] = view(self, address, tuple(t.shape[: t.ndim]), np.float32)
        return out

    @property
    def hash(self) -> str:
        """XXH3 of the weights: equal for equal bits."""
        return f"{c.hs_model_hash(self._c.model):016x}"

    @property
    def stages(self) -> list[str]:
        """What the model computes on the way, by name: states[s] is the state after stage s."""
        return [c.hs_model_stage(self._c.model, s).name.decode() for s in range(self._c.model.n_stages + 1)]

    # ------------------------------------------------------------ questions

    def _name(self, token: int) -> str:
        return c.hs_answer_name(self._c.data, token, ctypes.create_string_buffer(32))

    def _entity(self, token: int, second: int) -> str | None:
        if token == d.HS_NO_ID:
            return None
        return self._name(token) + ("" if second == d.HS_NO_ID else " " + self._name(second))

    def names(self, tokens: Iterable[int]) -> list[str]:
        """The names of tokens."""
        return [self._name(int(t)) for t in tokens]

    def tokens(self, questions: Questions) -> np.ndarray:
        """Questions as tokens (questions, tokens of a question). A question is a sequence of names or token ids; questions
        are a list of such, a DataFrame with a name a column, an array of tokens or a split of the dataset."""
        if isinstance(questions, Split):
            return questions.questions
        if isinstance(questions, np.ndarray) and questions.dtype.kind in "iu":
            return np.atleast_2d(questions).astype(np.uint32)
        if hasattr(questions, "itertuples"):
            questions = list(questions.itertuples(index=False, name=None))
        questions = list(questions)
        if questions and isinstance(questions[0], (str, int, np.integer)):
            questions = [questions]
        lengths = {len(q) for q in questions}
        if len(lengths) != 1:
            raise ValueError(f"questions of one length are needed, not of {sorted(lengths)} tokens" if lengths else "no question")
        out = np.empty((len(questions), lengths.pop()), np.uint32)
        for i, question in enumerate(questions):
            out[i] = self._words(question)
        return out

    def _words(self, question: Question) -> np.ndarray:
        if not isinstance(question[0], str):
            return np.asarray(question, np.uint32)
        out = np.empty(len(question), np.uint32)
        c.hs_ask_words(self._c.data, texts(question), len(question), words32(out))
        return out

    def _checked(self, questions: Questions) -> np.ndarray:
        tokens = self.tokens(questions)
        c.hs_ask_length(self._c.model, self._c.data, tokens.shape[1])
        if tokens.size and int(tokens.max()) >= self._c.model.config.vocab:
            raise ValueError(f"token {int(tokens.max())} is beyond the vocabulary of {self._c.model.config.vocab}")
        return tokens

    @documented("hs_ask")
    def ask(self, *question: Any) -> Any:
        """One question in names, run.ask("Japan", "nearest", "currency"): an Answer. Many, in a list, a DataFrame, an array of
        tokens or a split: a DataFrame of answer, probability, known answer, its rank, bridge and the split that asks it."""
        if not isinstance(question[0], str):
            return self._ask_many(question[0])
        out = d.hs_answer()
        c.hs_ask(self._c.model, self._c.data, texts(question), len(question), out)
        try:
            return Answer(self, question, out)
        finally:
            c.hs_answer_free(out)

    def _ask_many(self, questions: Questions) -> Any:
        tokens = self._checked(questions)
        n, T = tokens.shape
        first = np.arange(0, n * T + 1, T, dtype=np.uint32)
        tokens = np.ascontiguousarray(tokens)
        out = (d.hs_brief * n)()
        pool = c.hs_pool_create(0)
        try:
            c.hs_ask_many(self._c.model, self._c.data, pool, n, words32(tokens), words32(first), out)
        finally:
            c.hs_pool_free(pool)
        rank = [None if b.rank == d.HS_NO_ID else b.rank for b in out]
        return frame({
            "question": [tuple(self.names(q)) for q in tokens],
            "answer": [self._name(b.answer) for b in out],
            "probability": [b.probability for b in out],
            "known": [self._entity(b.known, b.known_second) for b in out],
            "rank": rank,
            "bridge": [self._entity(b.bridge, b.bridge_second) for b in out],
            "bridge_found": [b.bridge_found for b in out],
            "split": [b.split[0].name.decode() if b.split else None for b in out],
        })  # fmt: skip

    # ------------------------------------------------------------ states

    @documented("hs_model_states")
    def states(self, questions: Questions) -> np.ndarray:
        """Every state of every question: (stages + 1, questions, positions, width), stage 0 the embeddings. The array is the
        library's memory, released with the array."""
        batch = _Batch(self._c.model, self._checked(questions))
        S, D = self._c.model.n_stages + 1, self._c.model.config.n_embd
        out = Buffer(S * batch.rows * D)
        c.hs_model_states(self._c.model, batch.c, batch.work.pointer, out.pointer)
        return out.array(S, batch.B, batch.rows // batch.B, D)

    def logits(self, questions: Questions) -> np.ndarray:
        """(questions, vocabulary)."""
        return _Batch(self._c.model, self._checked(questions)).run()

    @documented("hs_model_lens")
    def read(self, states: np.ndarray) -> np.ndarray:
        """The logit lens: states (..., width) through the model's head, (..., vocabulary)."""
        D, V = self._c.model.config.n_embd, self._c.model.config.vocab
        x = np.ascontiguousarray(states, np.float32)
        if x.shape[-1] != D:
            raise ValueError(f"states have a width of {D}, not {x.shape[-1]}")
        n = x.size // D
        out, work = Buffer(n * V), Buffer(n * (D + 2) + 16)
        c.hs_model_lens(self._c.model, n, floats(x), work.pointer, out.pointer)
        return out.array(*x.shape[:-1], V)

    def _position(self, position: int | str, T: int) -> int:
        if isinstance(position, int):
            return range(T)[position]
        names = ["h", *(f"r{i}" for i in range(1, T))]
        for split in self.dataset.splits.values():
            if split._c.prompt == T:
                roles = (d.hs_role * d.HS_MAX_ROLES)()
                n = c.hs_split_roles(self._c.data, split._c, roles)
                found = {r.name.decode(): r.column for r in roles[:n] if r.column < T}
                if position in found:
                    return found[position]
        if position not in names:
            raise ValueError(f"there is no position {position!r} in questions of {T} tokens: {', '.join(names)} or a number")
        return names.index(position)

    @documented("hs_model_run")
    def patch(self, questions: Questions, stage: int, position: int | str, state: Any) -> np.ndarray:
        """The logits (questions, vocabulary) when after `stage` the state at `position` (a number or a role: h, r1, r2) is
        another: `state` is an array (questions, width) or (width,), or questions whose own state there is taken."""
        batch = _Batch(self._c.model, self._checked(questions))
        p, D = self._position(position, batch.T), self._c.model.config.n_embd
        if not 0 <= stage <= self._c.model.n_stages:
            raise ValueError(f"there is no stage {stage}: 0 to {self._c.model.n_stages}")
        if not (isinstance(state, np.ndarray) and state.dtype.kind == "f"):
            state = self.states(state)[stage, :, p]
        x = np.ascontiguousarray(np.broadcast_to(state, (batch.B, D)), np.float32)
        stream = c.hs_model_stage(self._c.model, stage).stream
        return batch.run([d.hs_patch(stage=stage, stream=stream, row=batch.row(b, p), x=floats(x[b])) for b in range(batch.B)])

    def patch_map(self, question: Question, donor: Question) -> Any:
        """The donor's state written into the question, one place after another: the answer then, and the probability of the
        donor's answer, as a DataFrame. Where it is high, that state carries the answer."""
        both = self._checked([question, donor])
        S, T = self._c.model.n_stages, both.shape[1]
        states, wanted = self.states(both[1:]), int(self.logits(both[1:])[0].argmax())
        places = [(s, p) for s in range(1, S) for p in range(T)]
        if not places:
            raise ValueError("a model of one stage has no middle state")
        batch = _Batch(self._c.model, np.repeat(both[:1], len(places), axis=0))
        patches = [
            d.hs_patch(stage=s, stream=c.hs_model_stage(self._c.model, s).stream, row=batch.row(b, p), x=floats(states[s, 0, p]))
            for b, (s, p) in enumerate(places)
        ]
        logits = batch.run(patches).astype(np.float64)
        share = np.exp(logits - logits.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        return frame({
            "stage": [s for s, _ in places],
            "position": [p for _, p in places],
            "answer": self.names(logits.argmax(-1)),
            "probability": share.max(-1),
            "donor_probability": share[:, wanted],
        })  # fmt: skip

    # ------------------------------------------------------------ the microscope

    @documented("hs_interpret")
    def interpret(self, methods: str | Sequence[str] = "all", splits: str | Sequence[str] = (), max: int = 300) -> Any:
        """What methods of the microscope (docs/interpret.md) measure on `max` items of each split (0: all), as a DataFrame;
        nothing is written."""
        config = d.hs_interpret_config()
        c.hs_interpret_config_default(config)
        config.max, config.exhaustive = max, True
        config.methods = (methods if isinstance(methods, str) else ",".join(methods)).encode()
        config.splits = (splits if isinstance(splits, str) else ",".join(splits)).encode()
        scope, signals, readings = ctypes.POINTER(d.hs_scope)(), d.hs_signals(), d.hs_readings()
        c.hs_interpret_check(self._c.model, self._c.data, config)
        pool = c.hs_pool_create(0)
        try:
            c.hs_scope_create(scope, self._c.data)
            sink = c.hs_readings_sink(readings)
            interruptible(signals, lambda: c.hs_interpret(scope, self._c.model, None, config, pool, signals, sink))
            rows = columns(d.hs_probe_row, readings.row, readings.n)
        finally:
            c.hs_scope_free(scope)
            c.hs_readings_free(readings)
            c.hs_pool_free(pool)
        rows["step"][:] = self.step
        return frame(rows)

    def lens(self, splits: str | Sequence[str] = (), max: int = 300) -> Any:
        """The logit lens: where are bridge and answer read, as a DataFrame."""
        return self.interpret("lens", splits, max)

    def trace(self, splits: str | Sequence[str] = (), max: int = 300) -> Any:
        """Causal tracing: on which states do the answers hang, as a DataFrame."""
        return self.interpret("trace", splits, max)

    @property
    @documented("hs_model_verdict")
    def verdict(self) -> str:
        """One line: none, memorized, grokked with the bridge or fake grokking, and on what that rests."""
        out = d.hs_run_verdict()
        c.hs_model_verdict(self._c.model, self._c.data, None, None, out)
        return out.verdict.text.decode()

    # ------------------------------------------------------------ what training recorded

    @contextlib.contextmanager
    def _reader(self) -> Iterator[d.hs_run_reader]:
        reader = d.hs_run_reader()
        c.hs_run_reader_open(reader, self.folder)
        try:
            yield reader
        finally:
            c.hs_run_reader_close(reader)

    @property
    def evaluations(self) -> Any:
        """Every evaluation of every split, as a DataFrame: step, seconds, split, n, accuracy, loss."""
        with self._reader() as reader:
            return frame(columns(d.hs_eval_row, reader.eval, reader.n_evals))

    def metrics(self, *names: str) -> Any:
        """Metrics of run.db by step, as a DataFrame: loss, batch_accuracy, grad_norm, lr, cpu_seconds."""
        found: dict[int, dict[str, float]] = {}
        with self._reader() as reader:
            for name in names or ("loss", "batch_accuracy", "grad_norm", "lr", "cpu_seconds"):
                rows = taken(c.hs_run_reader_metric, d.hs_metric_row, reader, name)
                for step, value in zip(rows["step"].tolist(), rows["value"].tolist()):
                    found.setdefault(step, {})[name] = value
        steps = sorted(found)
        order = names or tuple(dict.fromkeys(k for s in steps for k in found[s]))
        return frame({"step": steps, **{k: [found[s].get(k, np.nan) for s in steps] for k in order}}, "step")

    @property
    def probes(self) -> Any:
        """What the microscope measured and wrote into run.db, as a DataFrame."""
        return frame(self._probes(None))

    def _probes(self, filter: d.hs_probe_filter | None) -> dict[str, np.ndarray]:
        with self._reader() as reader:
            return taken(c.hs_run_reader_probes, d.hs_probe_row, reader, filter)

    @documented("hs_run_evaluate")
    def evaluate(self) -> Any:
        """Every item of every split by this model, as a DataFrame."""
        result, pool = d.hs_experiment_result(), c.hs_pool_create(0)
        try:
            c.hs_run_evaluate(self._c, 0, pool, result)
            rows = columns(d.hs_split_result, result.split, result.n_splits)
        finally:
            c.hs_experiment_result_free(result)
            c.hs_pool_free(pool)
        return frame({k: rows[k] for k in ("split", "n", "accuracy", "loss")}, "split")

    # ------------------------------------------------------------ figures

    @documented("hs_figure_run")
    def curve(self, splits: Sequence[str] = (), *, loss: bool = False, seconds: bool = False) -> Figure:
        """The run's curve: accuracy of each split against the step."""
        chosen = ",".join(splits).encode()

        def draw(path: str) -> None:
            options = d.hs_figure_run_options(splits=chosen, seconds=seconds, loss=loss)
            c.hs_figure_run(texts([self.folder]), 1, options, path)

        return Figure(draw)

    @documented("hs_figure_probe")
    def figure(self, method: str, split: str | None = None, *, measure: bool = True) -> Figure:
        """What a method of the microscope measured, drawn. `measure`: where run.db has nothing of it, it is measured first and
        written there."""
        if measure and not len(self._probes(d.hs_probe_filter(method=method.encode()))["step"]):
            self._measure(method)

        def draw(path: str) -> None:
            options = d.hs_figure_probe_options(split=split.encode() if split else None)
            c.hs_figure_probe(self.folder, method, options, path)

        return Figure(draw)

    def _measure(self, method: str) -> None:
        options, signals = d.hs_run_interpret_options(), d.hs_signals()
        c.hs_interpret_config_default(options.config)
        options.config.methods, options.config.max, options.config.exhaustive = method.encode(), 300, True
        interruptible(signals, lambda: c.hs_run_interpret(self.folder, options, signals, None))

    def circuit(self, split: str | None = None) -> Figure:
        """The circuit: which states feed which, by path patching."""
        return self.figure("paths", split)

    @documented("hs_page_write")
    def report(self, path: str | os.PathLike[str] | None = None) -> str:
        """One HTML page of the run: watch it grok, ask it, look inside; its path."""
        to, signals = os.fspath(path or os.path.join(self.folder, "report.html")), d.hs_signals()
        interruptible(signals, lambda: c.hs_page_write(texts([self.folder]), 1, None, to, signals, None))
        return to

    def _repr_svg_(self) -> str | None:
        try:
            return self.curve().svg
        except Exception:  # a notebook then shows the text: no gnuplot, no evaluation yet
            return None

    def __repr__(self) -> str:
        m = self._c.model
        return f"<hopscope.Run {self.folder}: step {self.step:,}, {m.n_weights:,} weights, {self.dataset.task}>"


@documented("hs_run_open")
def open(folder: str | os.PathLike[str], step: int | None = None) -> Run:
    """The run in a folder, with the weights of a step; None: the newest."""
    return Run(folder, step)
