"""Datasets: splits of facts and queries, with their audit."""

from __future__ import annotations

import os
import tempfile
from typing import Any
import weakref

import numpy as np

from . import _declarations as d
from ._library import c, documented
from ._memory import frame, view
from .graph import Graph, Names
from .settings import Config, Settings, Source


class Split:
    """One split: `tokens` (items, width), views of the library's memory; a question and its answer in each row."""

    def __init__(self, dataset: "Dataset", index: int):
        self._dataset, self._c = dataset, dataset._c.splits[index]
        self.name: str = self._c.name.decode()
        self.role: str = c.hs_split_role_name(self._c.role)

    @property
    def tokens(self) -> np.ndarray:
        """(items, width): the question's tokens, then the answer's; 4294967295 fills up what is shorter."""
        return view(self._dataset, self._c.tokens, (self._c.n, self._c.width), np.uint32)

    @property
    def questions(self) -> np.ndarray:
        """(items, tokens of a question)."""
        return self.tokens[:, : self._c.prompt]

    @property
    def answers(self) -> np.ndarray:
        """(items, tokens of an answer)."""
        return self.tokens[:, self._c.answer : self._c.answer + self._c.answers]

    @property
    def bridges(self) -> np.ndarray | None:
        """(items, tokens of the entities between the hops), or None."""
        return view(self._dataset, self._c.bridge, (self._c.n, self._c.bridges), np.uint32) if self._c.bridge else None

    @property
    def items(self) -> Any:
        """The items in names, as a DataFrame: a column for each token of the question by its role (h, r1, r2), for the
        bridges (b) and the answer (t)."""
        roles = (d.hs_role * d.HS_MAX_ROLES)()
        n = c.hs_split_roles(self._dataset._c, self._c, roles)
        names = np.array([*self._dataset.vocab, ""], object)
        bridges, out = self.bridges, {}
        found = 0
        for role in roles[:n]:
            if role.column != d.HS_PAD:
                ids = self.tokens[:, role.column : role.column + role.n_tokens]
            elif bridges is not None and found + role.n_tokens <= bridges.shape[1]:
                ids = bridges[:, found : found + role.n_tokens]
                found += role.n_tokens
            else:
                continue
            ids = np.minimum(ids, len(names) - 1)
            text = names[ids[:, 0]]
            out[role.name.decode()] = text if ids.shape[1] == 1 else text + " " + names[ids[:, 1]]
        return frame(out)

    def __len__(self) -> int:
        return int(self._c.n)

    def __repr__(self) -> str:
        return f"<hopscope.Split {self.name}: {len(self):,} items, {self.role}>"


class Dataset:
    """Splits, vocabulary, facts and the proofs that no test query leaked. Made by hopscope.dataset()."""

    def __init__(self, owner: Any = None, data: d.hs_dataset | None = None):
        self._owner = owner  # whoever the memory belongs to: a run
        self._c = d.hs_dataset() if data is None else data
        if data is None:
            weakref.finalize(self, c.hs_dataset_free, self._c)

    @property
    def task(self) -> str:
        return self._c.task.decode()

    @property
    def vocab(self) -> Names:
        """The name of every token."""
        return Names(self._c.vocab)

    @property
    def splits(self) -> dict[str, Split]:
        splits = [Split(self, i) for i in range(self._c.n_splits)]
        return {split.name: split for split in splits}

    def __getitem__(self, name: str) -> Split:
        return self.splits[name]

    @property
    def facts(self) -> np.ndarray:
        """The atomic facts (facts, 3): head, relation, tail; sorted. A view of the library's memory."""
        return view(self, self._c.facts, (self._c.n_facts, 3), np.uint32)

    @property
    def phi(self) -> float:
        """Training queries per atomic fact."""
        return self._c.audit.phi

    @property
    @documented("hs_dataset_audit")
    def audit(self) -> Any:
        """Of each split: items, the proofs (all 0 in a test split) and what shortcuts would score, as a DataFrame."""
        if not self._c.audit.split:
            c.hs_dataset_audit(self._c)
        rows = []
        for i, (name, split) in enumerate(self.splits.items()):
            one = self._c.audit.split[i]
            row = {"split": name, "role": split.role}
            row.update({field[0]: getattr(one, field[0]) for field in d.hs_audit_split._fields_ if field[0] != "baselines"})
            listed = (d.hs_baseline * d.HS_N_BASELINES)()
            c.hs_baselines_list(one.baselines, listed)
            row.update({b.name.decode(): b.value for b in listed})
            rows.append(row)
        return frame({k: [r[k] for r in rows] for k in rows[0]}, "split")

    @documented("hs_dataset_write_as")
    def write(self, path: str | os.PathLike[str], form: str | None = None) -> None:
        """Into a new folder; `form` "published", "trm" or "jsonl": as other programs read it."""
        if form is None:
            c.hs_dataset_write(self._c, path)
        else:
            c.hs_dataset_write_as(self._c, form, path)

    def __repr__(self) -> str:
        return f"<hopscope.Dataset {self.task}: {', '.join(f'{n} {len(s):,}' for n, s in self.splits.items())}>"


@documented("hs_experiment_dataset")
def dataset(source: Source | Graph | None = None, settings: Settings | None = None) -> Dataset:
    """A dataset: read from a folder or a JSONL file, or built from an experiment file, a graph or a dict of settings."""
    out = Dataset()
    if isinstance(source, (str, os.PathLike)) and _is_dataset(source):
        c.hs_dataset_read_any(out._c, source)
        c.hs_dataset_audit(out._c)
    elif isinstance(source, Graph):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "graph.tsv")
            source.write(path)
            return dataset(path, settings)
    else:
        c.hs_experiment_dataset(Config(source, settings)._c, None, out._c, None)
    return out


def _is_dataset(path: str | os.PathLike[str]) -> bool:
    path = os.fspath(path)
    return path.endswith(".jsonl") or any(os.path.exists(os.path.join(path, n)) for n in ("dataset.json", "vocab.json", "train.json"))
