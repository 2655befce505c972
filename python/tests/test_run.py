"""A trained run: answers, states and patches without a copy, tables, figures."""

import gc
import shutil

import numpy as np
import pytest

import hopscope as hs


def test_ask(run):
    answer = run.ask("person 3", "friend", "boss")
    assert answer.known == "person 29" and answer.bridge == "person 24" and 0 < answer.probability <= 1
    assert answer.answer == answer.best[0][0] and len(answer.lens) == (len(run.stages)) * 3
    table = run.ask(run.dataset["test_ii"])
    assert len(table) == len(run.dataset["test_ii"]) and (table.split == "test_ii").all()
    right = (table["rank"] == 0).mean()
    assert right == pytest.approx(run.evaluate().loc["test_ii", "accuracy"])
    same = run.ask([("person 3", "friend", "boss")])
    assert same.answer[0] == answer.answer and same.probability[0] == pytest.approx(answer.probability)


def test_states_are_the_librarys_memory(run):
    rng = np.random.default_rng(1)
    people = rng.integers(0, 30, 1000)
    questions = [(f"person {p}", "friend", "boss") for p in people]
    states = run.states(questions)
    assert states.shape == (len(run.stages), 1000, 3, 32) and states.dtype == np.float32
    assert not states.flags.owndata and states.ctypes.data % 64 == 0
    base = states
    while isinstance(base.base, np.ndarray):
        base = base.base
    buffer = base.base.owner
    assert np.shares_memory(states, buffer.array(states.size))
    last = states[-1]
    copy = last.copy()
    del states, buffer, base
    gc.collect()
    assert (last == copy).all()
    assert np.allclose(run.read(last[:, 2]), run.logits(questions), atol=1e-5)


def test_weights_are_views_that_keep_the_run_alive(run):
    other = hs.open(run.folder)
    weights = other.weights["transformer.wte.weight"]
    assert weights.shape == (len(other.dataset.vocab), 32) and not weights.flags.writeable
    assert np.shares_memory(weights, other.weights["transformer.wte.weight"])
    copy = weights.copy()
    del other
    gc.collect()
    assert (weights == copy).all()


def test_patch(run):
    questions, donors = [("person 3", "friend", "boss"), ("person 4", "friend", "boss")], [("person 5", "friend", "boss")] * 2
    plain = run.logits(questions)
    own = run.states(questions)
    assert np.array_equal(run.patch(questions, 1, "r1", own[1, :, 1]), plain)
    assert np.array_equal(run.patch(questions, 1, "r1", questions), plain)
    other = run.patch(questions, 1, "r1", donors)
    assert not np.array_equal(other, plain)
    assert np.array_equal(other, run.patch(questions, 1, 1, run.states(donors)[1, 0, 1]))
    # every position of a stage replaced is the donor's run
    top = len(run.stages) - 1
    assert np.allclose(run.patch(questions, top, "r2", donors), run.logits(donors), atol=1e-5)
    table = run.patch_map(questions[0], donors[0])
    assert len(table) == (top - 1) * 3
    row = table[(table.stage == 1) & (table.position == 1)].iloc[0]
    assert row.answer == run.names(run.patch(questions[:1], 1, 1, donors[:1]).argmax(-1))[0]


def test_tables(run):
    evaluations = run.evaluations
    assert {"step", "split", "accuracy", "loss", "n"} <= set(evaluations.columns) and evaluations.step.max() == 60
    assert run.metrics("loss").loss.iloc[0] > run.metrics("loss").loss.iloc[-1]
    assert "grad_norm" in run.metrics().columns
    lens = run.lens("test_ii", max=10)
    assert (lens.method == "lens").all() and (lens.n <= 10).all() and (lens.step == 60).all()
    assert (run.trace("test_ii", max=5).method == "trace").all()
    assert len(run.probes) == 0
    assert run.verdict.startswith("verdict on test_ii")
    assert run.checkpoints[-1] == 60 and run.at(run.checkpoints[0]).hash != run.hash
    assert run.config["train.batch"] == 64


def test_figures(run, tmp_path):
    if not shutil.which("gnuplot"):
        pytest.skip("gnuplot is not installed")
    assert run._repr_svg_().startswith("<?xml") and "test_ii" in run.curve().svg
    run.curve(["test_ii"]).save(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    other = hs.open(copy)
    with pytest.raises(hs.DataError, match="paths"):
        other.figure("paths", measure=False)
    assert "svg" in other.circuit()._repr_svg_() and len(other.probes) > 0
    page = other.report()
    assert "<html" in open(page, encoding="utf-8").read(3000)
