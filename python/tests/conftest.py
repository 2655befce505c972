"""What the tests share: a town small enough to be trained in seconds, and a run over it."""

import random

import pytest

import hopscope as hs

RELATIONS = {"mentor": (1, 1), "friend": (7, 3), "neighbor": (11, 5), "boss": (3, 17)}
SETTINGS = {
    "augment.per_bridge": 0,
    "data": {"holdout": 0.1},
    "model": {"n_embd": 32, "n_head": 2},
    "train": {"steps": 60, "batch": 64, "threads": 1, "schedule": "constant", "checkpoint_every": 20, "evals_per_decade": 4},
}


def town(people=30):
    return [
        (f"person {p}", name, f"person {(p * times + plus) % people}")
        for p in range(people)
        for name, (times, plus) in RELATIONS.items()
    ]


@pytest.fixture(scope="session")
def tsv(tmp_path_factory):
    facts = town()
    random.Random(1).shuffle(facts)
    path = tmp_path_factory.mktemp("graph") / "town.tsv"
    path.write_text("".join("\t".join(fact) + "\n" for fact in facts), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def run(tsv, tmp_path_factory):
    return hs.train(tsv, tmp_path_factory.mktemp("runs") / "town", SETTINGS)
