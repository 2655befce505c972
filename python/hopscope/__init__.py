"""hopscope: a laboratory for implicit multi-hop reasoning.

    import hopscope as hs

    graph = hs.graph("my.tsv")                      # facts: head, relation, tail
    run = hs.train(graph, run="runs/mine", settings={"train.steps": 2000})
    print(run.ask("person 3", "friend", "boss"))    # the answer, its probability, the bridge
    run                                             # in a notebook: the curve
    run.circuit()                                   # which states feed which

Tables are pandas DataFrames, states and weights NumPy arrays over the C library's memory. `hopscope.c` has every function of the
C library (docs/library.md), as its headers declare it. docs/python.md is the manual."""

from . import errors
from ._library import c
from .dataset import Dataset, Split, dataset
from .errors import DataError, Diverged, FileError, HopscopeError, OutOfMemory, Stopped, UsageError
from .graph import Graph, graph
from .run import Answer, Figure, Run, open  # noqa: F401
from .settings import Config, settings
from .trainer import Step, Trainer, train, trainer

__version__: str = c.hs_version()
__all__ = [
    "Answer", "Config", "DataError", "Dataset", "Diverged", "Figure", "FileError", "Graph", "HopscopeError", "OutOfMemory", "Run",
    "Split", "Step", "Stopped", "Trainer", "UsageError", "c", "dataset", "errors", "graph", "settings", "train", "trainer",
]  # fmt: skip; not open, which a star import would put before Python's own
