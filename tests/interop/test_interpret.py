#!/usr/bin/env python3
"""What `hopscope interpret` measures, measured again in plain PyTorch (peer.py): the lens, tracing, path patching and
cross-query patching of a decoder, a shared one with injection, a Llama form and a TRM, every item.

usage: test_interpret.py HOPSCOPE WORKDIR [CASE ...]

Counts (ranks, top tokens) must be equal unless the logits that decide lie within 1e-5 of each other; values within 1e-4 of 1 or of
their own size. What was drawn at random (replacements, donors, sources) is read from the --items file.
"""
import collections
import csv
import pathlib
import shutil
import struct
import subprocess
import sys
import traceback

import numpy
import torch

import peer

PROGRAM, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
TIE, BOUND, LEAST = 1e-5, 1e-4, 1000
SPLITS = "train_inferred,test_ii,test_oo"
EXPERIMENT = """
data: {entities: 60, relations: 10, out_degree: 5, phi: 4, end_token: false}
model: {n_layer: 3, n_embd: 48, init_std: 0.1}
train: {steps: 300, batch: 128, lr: 3e-3, threads: 1, evals_per_decade: 1}
"""
CASES = {  # name: settings
    "gpt2": [],
    "shared": ["model.n_layer=2", "model.passes=2", "model.inject=true"],
    "llama": ["model.kind=llama", "model.tied=false", "model.qk_norm=true"],
    "trm": ["model.kind=trm", "model.n_layer=2", "model.n_embd=32", "model.prefix=1", "model.l_cycles=2", "model.round_up=16",
            "train.steps=1200", "train.lr=2e-3"],
}
COLUMN = {"h": 0, "r1": 1, "r2": 2, "t": 3}


def call(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr}"


def read_split(path):
    """tokens (n, 4) and roles of a split of two-hop queries; the bytes are described in docs/data.md"""
    data = path.read_bytes()
    width, _, answer, _, bridges, _, n = struct.unpack_from("<6IQ", data, 24)
    tokens = numpy.frombuffer(data, "<u4", n * width, 128).reshape(n, width).astype(numpy.int64)
    bridge = numpy.frombuffer(data, "<u4", n * bridges, 128 + 4 * n * width).astype(numpy.int64)
    assert bridges == 1 and answer == 3
    h, r1, r2, t = torch.from_numpy(tokens[:, :4]).T
    return {"h": h, "r1": r1, "b": torch.from_numpy(bridge), "r2": r2, "t": t}


class Ours:
    """--items: the number of every item of a cell; NaN = not measured"""

    def __init__(self, path):
        self.cells = collections.defaultdict(dict)
        with path.open() as f:
            for row in csv.reader(f):
                if row[0] != "step":
                    _, method, split, item, stage, position, role, measure, value = row
                    self.cells[method, split, int(stage), position, role, measure][int(item)] = float(value)

    def column(self, n, *key):
        out = torch.full((n,), torch.nan, dtype=torch.double)
        cell = self.cells[key]
        out[list(cell)] = torch.tensor(list(cell.values()), dtype=torch.double)
        return out


class Check:
    """The comparisons of one split of one run."""

    def __init__(self, run, split):
        self.split, self.ours, self.model = split, run.ours, run.model
        self.roles = read_split(run.folder / "dataset" / f"{split}.split")
        self.n, self.target = len(self.roles["t"]), self.roles["t"]
        self.tokens = torch.stack([self.roles[r] for r in ("h", "r1", "r2")], 1)
        self.places = list(COLUMN)[: 4 if self.model.in_place else 3]
        self.entities = 60
        self.n_counts = self.n_values = self.n_ties = 0
        self.largest = 0.0
        self.states, self.logits = self.model.run(self.tokens)

    def get(self, *key):
        return self.ours.column(self.n, key[0], self.split, *key[1:])

    def same_items(self, ours, valid, key):
        assert (ours.isnan() == ~valid).all(), f"{key}: measured on other items"

    def value(self, key, theirs, valid=None):
        ours, valid = self.get(*key), torch.ones(self.n).bool() if valid is None else valid
        self.same_items(ours, valid, key)
        off = ((ours - theirs).abs() / theirs.abs().clamp(min=1))[valid]
        self.n_values += len(off)
        self.largest = max([self.largest, *off.tolist()])
        assert (off < BOUND).all(), f"{key}: off by {off.max():.3g}"

    def count(self, key, low, high, valid=None):
        """ours must lie between what it is when ties are broken one way and the other"""
        ours, valid = self.get(*key), torch.ones(self.n).bool() if valid is None else valid
        self.same_items(ours, valid, key)
        self.n_counts += int(valid.sum())
        self.n_ties += int((low != high)[valid].sum())
        wrong = valid & ((ours < low - 1e-6) | (ours > high + 1e-6))
        assert not wrong.any(), f"{key}: {int(wrong.sum())} of {int(valid.sum())} differ"

    def top(self, key, logits, asked, valid=None, negate=False):
        """is `asked` the top token?"""
        gap = self.lead(logits, asked)
        low, high = (gap > TIE).double(), (gap > -TIE).double()
        self.count(key, 1 - high if negate else low, 1 - low if negate else high, valid)

    @staticmethod
    def lead(logits, asked):
        asked = asked.clamp(min=0)[:, None]
        others = logits.scatter(1, asked, -torch.inf).max(1).values
        return logits.gather(1, asked)[:, 0] - others

    # ------------------------------------------------------------ the four methods

    def lens(self):
        table = self.model.embedding()
        for stage, state in enumerate(self.states):
            for place in self.places:
                x = state[:, self.model.row(COLUMN[place])]
                logits = self.model.head(x)
                readings = {"": logits, "_entity": logits[:, : self.entities]}
                if not self.model.in_place:
                    readings["_raw"] = self.model.raw_head(x)
                for role, token in self.roles.items():
                    key = ("lens", stage, place, role)
                    for name, values in readings.items():
                        if name != "_entity" or role in "hbt":
                            self.ranks(key, name, values, token)
                    chosen = logits.log_softmax(1).gather(1, token[:, None])[:, 0]
                    self.value((*key, "probability"), chosen.exp())
                    self.value((*key, "loss"), -chosen)
                    self.value((*key, "cosine"), torch.cosine_similarity(x, table[token]))

    def ranks(self, key, name, logits, token):
        asked = logits.gather(1, token[:, None])
        others = logits.scatter(1, token[:, None], -torch.inf)
        low, high = ((others > asked + d).sum(1).double() for d in (TIE, -TIE))
        if not name:
            self.count((*key, "rank"), low, high)
        self.count((*key, f"mrr{name}"), 1 / (1 + high), 1 / (1 + low))
        self.count((*key, f"top1{name}"), (high == 0).double(), (low == 0).double())

    def margin(self, logits, rival):
        return logits.gather(1, self.target[:, None])[:, 0] - logits.gather(1, rival[:, None])[:, 0]

    def trace(self):
        for column, role in enumerate(("h", "r1", "r2")):
            token = self.get("trace", -1, "", role, "replacement")
            found = ~token.isnan()
            tokens = self.tokens.clone()
            tokens[found, column] = token[found].long()
            states, logits = self.model.run(tokens)
            rival = logits.scatter(1, self.target[:, None], -torch.inf).argmax(1)
            for stage in range(self.model.stages):
                for place in self.places:
                    if self.model.in_place or COLUMN[place] >= column:
                        self.trace_cell(("trace", stage, place, role), tokens, states, logits, rival, found)

    def trace_cell(self, key, tokens, states, replaced, rival, found):
        _, stage, place, _ = key
        _, logits = self.model.run(self.tokens, self.states, stage, self.model.put(stage, COLUMN[place], states))
        right = found & (self.lead(self.logits, self.target) > 0)
        whole = self.margin(self.logits, rival)
        self.top((*key, "strength"), logits, self.target, found, negate=True)
        self.top((*key, "changed"), logits, self.target, right, negate=True)
        self.value((*key, "effect"), whole - self.margin(logits, rival), found)
        self.value((*key, "effect_base"), whole - self.margin(replaced, rival), found)
        _, logits = self.model.run(tokens, states, stage, self.model.put(stage, COLUMN[place], self.states))
        self.top((*key, "restored"), logits, self.target, right)

    def paths(self):
        donor = self.get("paths", -1, "", "", "donor")
        found = ~donor.isnan()
        donor = torch.where(found, donor, torch.arange(self.n)).long()
        states, corrupted = self.model.run(self.tokens[donor])
        rival, answer = self.target[donor], self.places[-1]
        right = found & (self.lead(self.logits, self.target) > 0)
        whole = self.margin(self.logits, rival)
        levels = [s for s in range(self.model.stages + 1) if s == 0 or self.model.stream(s) == peer.HIGH]
        assert len(levels) <= 8, "hopscope thins them out then"
        for below, stage in zip(levels, levels[1:]):
            for sender in self.places:
                moved, _ = self.model.run(self.tokens, self.states, below, self.model.put_all(below, COLUMN[sender], states))
                for receiver in self.places if stage < levels[-1] else [answer]:
                    if COLUMN[receiver] < COLUMN[sender] and not self.model.in_place:
                        continue
                    key = ("paths", stage, receiver, f"{sender}@{below}")
                    patch = self.model.put_all(stage, COLUMN[receiver], moved)
                    _, logits = self.model.run(self.tokens, self.states, stage, patch)
                    self.top((*key, "edge"), logits, self.target, right, negate=True)
                    self.value((*key, "edge_effect"), whole - self.margin(logits, rival), found)
                    self.value((*key, "edge_base"), whole - self.margin(corrupted, rival), found)

    def cross(self):
        source = torch.stack([self.get("cross", -1, "", r, "source") for r in ("h", "r1", "r2")], 1)
        expected = self.get("cross", -1, "", "t", "expected")
        found = ~expected.isnan()
        states, _ = self.model.run(torch.where(found[:, None], source, self.tokens).long())
        expected = torch.where(found, expected, 0).long()
        for stage in range(self.model.stages):
            for place in self.places:
                patch = self.model.put(stage, COLUMN[place], states)
                _, logits = self.model.run(self.tokens, self.states, stage, patch)
                self.top(("cross", stage, place, "b", "success"), logits, expected, found)


class Run:
    def __init__(self, name):
        self.folder = WORK / "interpret" / name
        settings = [x for s in CASES[name] for x in ("--set", s)]
        call("run", WORK / "interpret.yaml", "-q", "-o", self.folder, *settings)
        items = self.folder / "items.csv"
        call("interpret", self.folder, "--method", "lens,trace,paths,cross", "--split", SPLITS, "--items", items, "--max", 0,
             "--threads", 1)
        self.ours = Ours(items)
        checkpoints = self.folder / "checkpoints"
        self.model = peer.load(checkpoints / ((checkpoints / "latest").read_text().strip() + ".safetensors"))


def case(name):
    run = Run(name)
    items, right, checks = 0, 0, []
    for split in SPLITS.split(","):
        check = Check(run, split)
        for method in (check.lens, check.trace, check.paths, check.cross):
            method()
        items += check.n
        right += int((check.lead(check.logits, check.target) > 0).sum())
        checks.append(check)
    assert items >= LEAST, f"only {items} queries"
    assert right > items / 2, f"only {right} of {items} answered right: the model is not trained"
    print(f"     {items} queries ({right} right), {sum(c.n_counts for c in checks)} counts equal but for "
          f"{sum(c.n_ties for c in checks)} ties, {sum(c.n_values for c in checks)} values off by at most "
          f"{max(c.largest for c in checks):.2g}")


def main():
    torch.set_num_threads(1)
    shutil.rmtree(WORK / "interpret", ignore_errors=True)
    (WORK / "interpret").mkdir(parents=True)
    (WORK / "interpret.yaml").write_text(EXPERIMENT)
    names, failed = sys.argv[3:] or list(CASES), 0
    for name in names:
        try:
            with torch.no_grad():
                case(name)
            print(f"ok   interpret {name}", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL interpret {name}\n{traceback.format_exc()}", flush=True)
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
