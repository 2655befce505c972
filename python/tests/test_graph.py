"""Graphs and datasets: what the C readers know, as tables and arrays over their memory."""

import gc

import numpy as np
import pandas
import pytest

import hopscope as hs
from conftest import SETTINGS, town


def names(graph):
    return set(graph.facts[["head", "relation", "tail"]].itertuples(index=False, name=None))


def test_graph_of_a_file_of_facts_and_of_a_table(tsv, tmp_path):
    graph = hs.graph(tsv)
    assert len(graph) == 120 and len(graph.entities) == 30 and len(graph.relations) == 4
    assert names(graph) == set(town()) == names(hs.graph(graph.facts)) == names(hs.graph(town()))
    graph.write(tmp_path / "again.tsv")
    assert names(hs.graph(tmp_path / "again.tsv")) == set(town())
    stats = graph.stats()
    assert stats.facts.sum() == 120 and (stats.phi > 1).all() and graph.phi > 2
    assert graph.entities.id(graph.entities[7]) == 7


def test_world_is_embedded_and_augmented():
    world = hs.graph()
    assert len(world) == 9488 and not world.synthetic.any()
    more = hs.graph([("a", "r", "b"), ("b", "s", "c"), ("d", "r", "b"), ("e", "r", "c"), ("c", "s", "d")]).augment(per_bridge=3)
    assert len(more) > 5 and more.synthetic.sum() == len(more) - 5


def test_ids_are_a_view_that_keeps_the_graph_alive(tsv):
    graph = hs.graph(tsv)
    ids = graph.ids
    assert not ids.flags.owndata and not ids.flags.writeable and ids.base.owner is graph
    assert np.shares_memory(ids, graph.ids)
    copy = ids.copy()
    del graph
    gc.collect()
    assert (ids == copy).all()


def test_dataset(tsv, tmp_path):
    data = hs.dataset(tsv, SETTINGS)
    split = data["test_ii"]
    assert split.tokens.shape == (len(split), 4) and np.shares_memory(split.tokens, split.questions)
    items = split.items
    assert list(items.columns) == ["h", "r1", "r2", "b", "t"]
    facts = {(h, r): t for h, r, t in town()}
    assert all(facts[row.h, row.r1] == row.b and facts[row.b, row.r2] == row.t for row in items.itertuples())
    audit = data.audit
    assert audit.loc["test_ii", "in_training"] == 0 and audit.loc["test_ii", "majority_r2"] < 0.5
    data.write(tmp_path / "dataset")
    assert (hs.dataset(tmp_path / "dataset")["test_ii"].tokens == split.tokens).all()
    data.write(tmp_path / "d.jsonl", "jsonl")
    assert len(hs.dataset(tmp_path / "d.jsonl")["test_ii"]) == len(split)
    assert hs.dataset(hs.graph(tsv), SETTINGS).phi == pytest.approx(data.phi, rel=0.1)


def test_settings():
    table = hs.settings()
    assert table.loc["train.lr", "default"] == 1e-3 or table.loc["train.lr", "default"] > 0
    config = hs.Config({"train": {"steps": 7, "seed": 3}, "graph.relations": ["a", "b, c"], "data.cover": True})
    assert config["train.steps"] == 7 and config["data.cover"] is True and config["graph.relations"] == "a,b\\, c"
    assert "steps: 7" in str(config) and len(dict(config)) == len(table)
    with pytest.raises(KeyError):
        config["train.stepz"]


def test_pandas_is_needed_only_for_tables(tsv, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    graph = hs.graph(tsv)
    assert graph.ids.shape == (120, 3)
    with pytest.raises(ImportError, match="pip install pandas"):
        graph.facts
    assert pandas
