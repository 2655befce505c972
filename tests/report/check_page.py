#!/usr/bin/env python3
"""Does a page say what its runs say, and does it need nothing but itself?

Every row of evaluation, metric, probe, weights, event and info of every run.db is looked for in the page, numbers as the same
doubles (of more than 50,000 measurements the page leaves out some of the lens, and says so); every look has the shape of the model; the names of the vocabulary are those of the dataset. The HTML is parsed: no tag
loads anything, no text but ECharts and the names of namespaces has a web address.
usage: check_page.py PAGE.html RUN ...     in the order of the page
"""

import base64
import gzip
import html.parser
import json
import pathlib
import re
import sqlite3
import sys

NAMESPACES = ("http://www.w3.org/", "http://www.apache.org/licenses/", "https://www.apache.org/",
              "https://github.com/ecomfe/zrender/")


class Page(html.parser.HTMLParser):
    """Scripts by id, and everything that would load something."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.tags, self.open = {}, [], None
        self.n_scripts = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        for name in ("src", "href", "srcset", "action", "data", "poster", "background"):
            assert not re.match(r"(https?:)?//", attrs.get(name) or ""), (tag, attrs)
        assert tag not in ("link", "iframe", "object", "embed", "base"), tag
        assert not (tag == "script" and "src" in attrs)
        assert not any(name.startswith("on") for name in attrs), (tag, attrs)
        if tag == "script":
            self.n_scripts += 1
            self.open = attrs.get("id") or f"script {self.n_scripts}"
            self.scripts[self.open] = ""

    def handle_endtag(self, tag):
        if tag == "script":
            self.open = None

    def handle_data(self, data):
        if self.open:
            self.scripts[self.open] += data


def unpack(text):
    return gzip.decompress(base64.b64decode(text, validate=True))


def read(path):
    """Bundle and, a run each, looks (None: there are none) of a page."""
    scripts = Page(pathlib.Path(path).read_text(encoding="utf-8")).scripts
    data = scripts["hs-data"]
    bundle = json.loads(data if data.startswith("{") else unpack(data))
    packed = [scripts.get(f"hs-looks-{k}") for k in range(len(bundle["runs"]))]
    return bundle, [p and json.loads(unpack(p)) for p in packed]


def same(a, b, what):
    assert a == b, f"{what}: {a!r} in the page, {b!r} in run.db"


def check_record(run, path):
    db = sqlite3.connect(f"file:{path}/run.db?mode=ro", uri=True)
    count = 0

    rows = {}
    for split, s in run["evaluations"].items():
        for i, step in enumerate(s["step"]):
            rows[step, split] = (s["ns"][i] if "ns" in s else s["n"], s["accuracy"][i], s["loss"][i], s["seconds"][i])
    for step, split, *values in db.execute("SELECT step, split, n, accuracy, loss, seconds FROM evaluation"):
        same(rows.pop((step, split)), tuple(values), (step, split))
        count += 1
    assert not rows, rows

    rows = {(step, name): value for name, m in run["metrics"].items() for step, value in zip(m["step"], m["value"], strict=True)}
    for step, name, value in db.execute("SELECT step, name, value FROM metric"):
        same(rows.pop((step, name)), value, (step, name))
        count += 1
    assert not rows, rows

    cut = any("measurements of the microscope" in text for text in run["missing"])
    assert cut == (db.execute("SELECT count(*) FROM probe").fetchone()[0] > 50000)
    for p in run["probes"]:
        key = tuple(p[k] for k in ("method", "split", "stage", "position", "role", "measure"))
        for row in zip(p["step"], p["n"], p["value"], p["low"], p["high"], strict=True):
            assert (row[0], *key) not in rows
            rows[(row[0], *key)] = row[1:]
    for step, method, split, stage, position, role, measure, *values in db.execute(
            "SELECT step, method, split, stage, position, role, measure, n, value, low, high FROM probe"):
        if cut and method == "lens" and stage >= 0 and measure != "mrr":
            continue
        same(rows.pop((step, method, split, stage, position, role, measure)), tuple(values), (step, method, measure))
        count += 1
    assert not rows, rows

    same([(w["step"], w["hash"]) for w in run["weights"]],
         db.execute("SELECT step, hash FROM weights ORDER BY step").fetchall(), "weights")
    same([(e["time"], e["step"], e["kind"], e["text"]) for e in run["events"]],
         db.execute("SELECT time, step, kind, text FROM event ORDER BY id").fetchall(), "events")
    same(run["info"], dict(db.execute("SELECT key, value FROM info")), "info")
    return count


def check_top(values, n, vocab):
    assert len(values) == 2 * n, values
    shares = values[1::2]
    assert all(0 <= p <= 1 for p in shares) and shares == sorted(shares, reverse=True), values
    assert all(isinstance(t, int) and 0 <= t < vocab for t in values[::2]), values


def check_looks(run, looks, vocab):
    same(looks["checkpoints"], run["checkpoints"], "checkpoints")
    stages = len(run["stages"]) - 1
    assert len(looks["looks"]) == len(run["checkpoints"])
    for at_step in looks["looks"]:
        assert len(at_step) == len(run["queries"])
        for query, look in zip(run["queries"], at_step):
            places = len(query["positions"])
            check_top(look["answer"], min(5, vocab), vocab)
            assert len(look["lens"]) == stages + 1 and all(len(row) == places for row in look["lens"])
            for row in look["lens"]:
                for cell in row:
                    check_top(cell[:6], 3, vocab)
                    assert len(cell) == 10 and (cell[6] < 0) == (not query["bridge"]) and cell[8] >= 0, cell
                    assert cell[8] != 0 or cell[9] == cell[1], cell
            if look["trace"] is not None:
                assert look["replaced"] not in (None, query["tokens"][0])
                assert len(look["trace"]) == stages and all(len(row) == places for row in look["trace"])
                for row in look["trace"]:
                    for cell in row:
                        check_top(cell[1:], 3, vocab)
            if look["alpha"] is not None:
                assert len(look["alpha"]) == stages and all(len(row) == len(looks["alphas"]) for row in look["alpha"])


def check_dataset(run, path):
    card = json.loads((path / "dataset/dataset.json").read_text())
    same(run["card"], card, "card")
    same(len(run["vocab"]), card["vocab"], "names")
    for split in card["splits"]:
        same(run["splits"][split["name"]]["items"], split["n"], split["name"])
    facts = run["facts"]
    assert len({len(column) for column in facts.values()}) == 1
    if not run["facts_cut"] and card["tokens_per_entity"] == 1:
        same(len(facts["h"]), card["facts"], "facts")
    known = set(zip(facts["h"], facts["r"], facts["t"]))
    chosen = set()
    for q in run["queries"]:
        assert (q["split"], *q["tokens"]) not in chosen, "a query twice"
        chosen.add((q["split"], *q["tokens"]))
        same(q["trained"], run["splits"][q["split"]]["role"] != "test", q)
        if card["task"] == "composition" and not run["facts_cut"] and card["tokens_per_entity"] == 1:
            ends = [q["tokens"][0], *q["bridge"], q["target"]]
            for i, relation in enumerate(q["tokens"][1:]):
                assert (ends[i], relation, ends[i + 1]) in known, q


def main():
    text = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    page = Page(text)
    bundle, looks = read(sys.argv[1])
    assert (bundle["format"], bundle["version"], bundle["live"]) == ("hopscope-page", 1, False)
    for name, script in page.scripts.items():
        for address in re.findall(r"https?://[^\s\"'<>)]*", script if name not in ("hs-data",) else ""):
            assert address.startswith(NAMESPACES), (name, address)
    assert not re.search(r"@import|url\(\s*[\"']?(https?:)?//", text)
    assert not re.search(r"[<>&\u2028\u2029]", page.scripts["hs-data"])
    assert "default-src 'none'" in text
    same(len(bundle["runs"]), len(sys.argv) - 2, "runs")
    same(len({run["id"] for run in bundle["runs"]}), len(bundle["runs"]), "ids")
    rows = looked = 0
    for k, (run, name) in enumerate(zip(bundle["runs"], sys.argv[2:])):
        path = pathlib.Path(name)
        rows += check_record(run, path)
        check_dataset(run, path)
        same(looks[k] is not None, len(run["checkpoints"]) > 0, "looks")
        if looks[k]:
            check_looks(run, looks[k], len(run["vocab"]))
            looked += len(run["checkpoints"]) * len(run["queries"])
    print(f"the same: {rows} rows, {looked} looks, {len(text)} characters")


if __name__ == "__main__":
    main()
