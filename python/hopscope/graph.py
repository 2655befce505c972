"""Knowledge graphs."""

from __future__ import annotations

import os
from typing import Any, Iterable
import weakref

import numpy as np

from . import _declarations as d
from ._library import c, documented, texts
from ._memory import columns, frame, view


class Names(list):
    """The names of a vocabulary by their ids, and the other way round."""

    def __init__(self, names: d.hs_names):
        super().__init__(c.hs_names_get(names, i) for i in range(names.n))
        self._id: dict[str, int] | None = None

    def id(self, name: str) -> int:
        if self._id is None:
            self._id = {n: i for i, n in enumerate(self)}
        return self._id[name]


class Graph:
    """A knowledge graph: facts (head, relation, tail). Made by hopscope.graph()."""

    def __init__(self) -> None:
        self._c = d.hs_graph()
        weakref.finalize(self, c.hs_graph_free, self._c)

    @property
    def entities(self) -> Names:
        return Names(self._c.entities)

    @property
    def relations(self) -> Names:
        return Names(self._c.relations)

    @property
    def ids(self) -> np.ndarray:
        """The facts as ids (facts, 3): head, relation, tail; sorted. A view of the library's memory."""
        return view(self, self._c.facts, (self._c.n_facts, 3), np.uint32)

    @property
    def synthetic(self) -> np.ndarray:
        """Of each fact: was it made up by augment()?"""
        return (view(self, self._c.flags, (self._c.n_facts,), np.uint8) & d.HS_FACT_SYNTHETIC) != 0

    @property
    def facts(self) -> Any:
        """The facts in names, as a DataFrame: head, relation, tail, synthetic."""
        entities, relations = np.array(self.entities, object), np.array(self.relations, object)
        head, relation, tail = self.ids.T
        return frame({"head": entities[head], "relation": relations[relation], "tail": entities[tail], "synthetic": self.synthetic})

    @documented("hs_graph_augment")
    def augment(
        self, phi: float | None = None, per_bridge: int = 0, *, relations: Iterable[str] | None = None, per_relation: bool | None = None,
        acyclic: bool = False, new_entities: bool = True, seed: int = 0, max_facts: int = 0,
    ) -> "Graph":  # fmt: skip
        """This graph and synthetic facts, until phi or the facts at each bridge reach what is asked."""
        options = d.hs_augment_options()
        c.hs_augment_options_default(options)
        if phi is not None or per_bridge:
            options.phi = phi or 0
        if per_relation is not None:
            options.per_relation = per_relation
        chosen = list(relations or [])
        names = texts(chosen)
        options.relations = names if chosen else None
        options.n_relations = len(chosen)
        options.per_bridge, options.acyclic, options.new_entities = per_bridge, acyclic, new_entities
        options.seed, options.max_facts = seed, max_facts
        out = Graph()
        c.hs_graph_augment(self._c, options, out._c, d.hs_augment_report())
        return out

    @documented("hs_graph_stats_compute")
    def stats(self, threshold: float = 3.6) -> Any:
        """Of each relation its facts, the two-hop facts it takes part in, phi, and is that enough to generalize? DataFrame."""
        stats = d.hs_graph_stats()
        c.hs_graph_stats_compute(self._c, threshold, stats)
        try:
            rows = columns(d.hs_relation_stats, stats.relation, stats.relations)
        finally:
            c.hs_graph_stats_free(stats)
        rows["relation"] = np.array(self.relations, object)[rows["relation"]]
        return frame(rows, "relation")

    @property
    def phi(self) -> float:
        """Two-hop facts per atomic fact."""
        stats = d.hs_graph_stats()
        c.hs_graph_stats_compute(self._c, 3.6, stats)
        phi = stats.phi
        c.hs_graph_stats_free(stats)
        return phi

    @documented("hs_graph_write_tsv")
    def write(self, path: str | os.PathLike[str]) -> None:
        """As TSV."""
        c.hs_graph_write_tsv(self._c, path)

    def __len__(self) -> int:
        return int(self._c.n_facts)

    def __repr__(self) -> str:
        return f"<hopscope.Graph: {len(self):,} facts, {self._c.entities.n:,} entities, {self._c.relations.n} relations>"


@documented("hs_graph_read")
def graph(
    source: Any = "world", format: str | None = None, *, columns: str | None = None, raw: bool = False, types: str | None = None,
    skip_derived: bool = False, literals: bool = False,
) -> Graph:  # fmt: skip
    """A graph from a file (TSV, CSV, 2WikiMultiHopQA, N-Triples, Turtle; .zst too), "world" (the embedded one), or facts
    (head, relation, tail) in an iterable or a DataFrame with these columns."""
    out = Graph()
    if isinstance(source, (str, os.PathLike)):
        texts_of = {"format": format, "columns": columns, "types": types}
        options = d.hs_read_options(raw=raw, skip_derived=skip_derived, literals=literals)
        for name, text in texts_of.items():
            setattr(options, name, text.encode() if text else None)
        c.hs_graph_read(out._c, source, options, d.hs_read_report())
        return out
    if hasattr(source, "itertuples"):
        source = source[["head", "relation", "tail"]].itertuples(index=False, name=None)
    for head, relation, tail in source:
        c.hs_graph_add(out._c, str(head), str(relation), str(tail))
    c.hs_graph_index(out._c)
    return out
