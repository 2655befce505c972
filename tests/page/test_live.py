"""The live page against the real server and a run that trains: what happens arrives once, also over a server that is killed."""

import json
import socket
import sqlite3
import subprocess
import time

import pytest

from conftest import EXPERIMENT

# Every event that the page hears of, with its id.
HEAR = """window.heard = [];
    const add = EventSource.prototype.addEventListener;
    EventSource.prototype.addEventListener = function (type, fn, ...rest) {
        return add.call(this, type, (e) => { heard.push([type, e.lastEventId || '', e.data || '']); fn(e); }, ...rest);
    };"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(check, seconds=180):
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


class Live:
    def __init__(self, program, folder):
        self.program, self.folder, self.port = program, folder, free_port()
        words = ["train.steps=600", "train.eval_every=10", "train.evals_per_decade=0", "train.eval_max=200", "train.checkpoints_per_decade=8", "model.n_embd=48", "train.batch=256", "report.page=false", "train.threads=1", "train.stop_split="]
        self.training = subprocess.Popen([program, "run", EXPERIMENT, "-o", folder, "-q", *(w for word in words for w in ("--set", word))], stdout=subprocess.DEVNULL)
        self.server = None

    def serve(self):
        self.server = subprocess.Popen([self.program, "serve", self.folder, "--port", str(self.port)], stdout=subprocess.PIPE, text=True)
        return self.server.stdout.readline().strip()

    def record(self):
        return sqlite3.connect(f"file:{self.folder}/run.db?mode=ro", uri=True)

    def steps(self):
        try:
            return [s for s, in self.record().execute("SELECT DISTINCT step FROM evaluation ORDER BY step")]
        except sqlite3.Error:
            return []

    def close(self):
        for process in (self.training, self.server):
            if process and process.poll() is None:
                process.kill()
            if process:
                process.wait()


@pytest.fixture
def live(request, tmp_path):
    live = Live(request.config.getoption("--program"), tmp_path / "live")
    yield live
    live.close()


def shown(page):
    return page.js("return hs.current().evaluations")


def test_nothing_is_missing_or_twice(page, live):
    until(lambda: len(live.steps()) >= 2)
    where = live.serve()
    source = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": HEAR})["identifier"]
    page.open(where, looks=False)
    page.until("return heard.filter((e) => e[0] === 'evaluation').length >= 5", 180)

    page.show("ask")
    page.set(query=page.js("return hs.current().queries.findIndex((q) => q.bridge.length)"))
    page.until("return document.querySelectorAll('#panel-ask .hp-bars > li:not([hidden])').length === 5", 60)

    last = page.js("return heard.filter((e) => e[1]).at(-1)[1]")
    assert live.training.poll() is None, "the training is to go on while the server is away"
    live.server.kill()
    live.server.wait()
    page.until("return document.getElementById('hs-live-state').textContent === 'reconnecting'")
    before = page.js("return heard.length")
    at = live.steps()[-1]
    until(lambda: live.steps()[-1] >= at + 50 or live.training.poll() is not None)
    assert live.serve() == where
    page.until(f"return heard.length > {before} && heard.slice({before}).some((e) => e[0] === 'evaluation')", 60)
    came = page.js(f"return heard.slice({before}).filter((e) => e[1]).map((e) => e[0])")
    assert last and not {"hello", "reload"} & set(came), "it went on from the id it had"

    assert live.training.wait(300) == 0
    page.until("return heard.some((e) => e[0] === 'ended')", 60)
    page.until("return hs.current().ended_by !== ''", 60)
    assert [line for line in page.console() if "net::ERR_" not in line] == [], "only that the server was away"
    rows = live.record().execute("SELECT split, step, n, accuracy, loss FROM evaluation ORDER BY split, step").fetchall()
    mine = [(name, step, s["n"], a, b) for name, s in sorted(shown(page).items()) for step, a, b in zip(s["step"], s["accuracy"], s["loss"])]
    assert mine == rows and len(live.steps()) >= 60
    told = [json.loads(e[2])["step"] for e in page.js("return heard.filter((e) => e[0] === 'evaluation')")]
    first = told[0]
    assert sorted(set(told)) == [s for s in live.steps() if s >= first], "every evaluation was told"
    page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": source})
    page.shot("live")
    page.driver.get("about:blank")  # before the server goes
