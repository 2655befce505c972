#!/usr/bin/env python3
"""Drives hopscope serve as a browser, and as somebody who means harm, would. Run by test_cli_serve.c.

usage: serve.py HOPSCOPE CHECK [ARGUMENTS]     CHECK is a function below; prints "fine" when all held
"""

import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

PATIENCE = 120


class Server:
    """The program, serving PATH; its port; it is stopped with Ctrl-C at the end, and must then be silent and done."""

    def __init__(self, hopscope, path, *options):
        self.process = subprocess.Popen(
            [hopscope, "serve", path, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("http://"), line + self.process.stderr.read()
        self.port = int(line.rstrip("/\n").rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(PATIENCE)
        assert code == 0, f"exit code {code}: {self.process.stderr.read()}"

    def get(self, path, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), body

    def json(self, path, status=200):
        got, _, body = self.get(path)
        assert got == status, (got, body[:500])
        return json.loads(body)

    def ask(self, words, status=200, **more):
        query = [("q", word) for word in words] + list(more.items())
        return self.json("/api/ask?" + urllib.parse.urlencode(query), status)


class Events:
    """Server-sent events as a browser's EventSource reads them; comes back with the last id when it is cut off."""

    def __init__(self, port, query="", last_id=None):
        self.port, self.query, self.last_id = port, query, last_id
        self.connection = None
        self.connect()

    def connect(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        self.connection.request("GET", "/api/events" + self.query, headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.status

    def next(self):
        event = {}
        while True:
            line = self.answer.readline().decode()
            if not line:
                return None
            line = line.rstrip("\n")
            if not line and "event" in event:
                self.last_id = event.get("id", self.last_id)
                return event["event"], json.loads(event["data"])
            key, _, value = line.partition(": ")
            event[key] = value

    def close(self):
        self.connection.close()


def steps_in(db):
    import sqlite3
    with sqlite3.connect(db) as connection:
        return [row[0] for row in connection.execute("SELECT DISTINCT step FROM evaluation ORDER BY step")]


def page(hopscope, run):
    """Everything a page asks of a finished run, and names that would be code if anybody let them."""
    with Server(hopscope, run) as server:
        status, headers, body = server.get("/")
        assert status == 200 and b"hs-live" in body and headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        runs = server.json("/api/runs")
        assert len(runs) == 1 and runs[0]["ended_by"] == "budget", runs
        name = runs[0]["id"]
        bundle = server.json("/api/bundle")
        one = server.json("/api/bundle?" + urllib.parse.urlencode({"run": name}))
        assert bundle["live"] is True and bundle["runs"][0]["id"] == name and one["runs"][0]["id"] == name
        shown = bundle["runs"][0]
        assert shown["steps"] == runs[0]["steps"] == steps_in(os.path.join(run, "run.db"))[-1]
        query = next(q for q in shown["queries"] if len(q["tokens"]) == 3)
        words = [shown["vocab"][token] for token in query["tokens"]]
        last = server.ask(words)
        assert last["query"]["tokens"] == query["tokens"] and last["step"] == runs[0]["steps"]
        assert len(last["look"]["lens"]) == len(shown["stages"])
        assert server.ask(["#%d" % token for token in query["tokens"]], run=name)["look"] == last["look"]
        first = server.ask(words, step=shown["checkpoints"][0])
        assert first["step"] == shown["checkpoints"][0] and first["look"] != last["look"]
        assert server.ask(words)["look"] == last["look"]
        evil = '<script>alert("\u20ac")</script>'
        wrong = server.ask([evil, *words[1:]], status=400)
        assert evil in wrong["error"] and "hint" in wrong, wrong
        server.ask(words, status=400, step=987654321)
        server.ask(words[:1], status=400)
        server.ask(["#99999999"] + words[1:], status=400)
        assert server.ask(words, status=404, run="../" + name)["error"]


def live(hopscope, yaml, run):
    """Clients of events beside a training: nobody loses an evaluation, also who is cut off again and again."""
    lost, threads = [], []
    training = subprocess.Popen([hopscope, "run", yaml, "-o", run, "-q"])
    while not os.path.exists(os.path.join(run, "run.db")):
        time.sleep(0.01)
    with Server(hopscope, os.path.dirname(run)) as server:
        name = os.path.basename(run)
        query = "?" + urllib.parse.urlencode({"run": name})
        while not any(r["id"] == name for r in server.json("/api/runs")):
            time.sleep(0.01)

        def watch(number):
            events, seen, ended = Events(server.port, query), set(), False
            for e in [events.next()]:
                assert e[0] == "hello", e
            seen.update(s for r in server.json("/api/bundle" + query)["runs"] for e in r["evaluations"].values()
                        for s in e["step"])
            while not ended:
                event = events.next()
                assert event, "the server hung up"
                if event[0] == "evaluation":
                    seen.add(event[1]["step"])
                elif event[0] == "reload":
                    seen.update(s for r in server.json("/api/bundle" + query)["runs"]
                                for e in r["evaluations"].values() for s in e["step"])
                ended = event[0] == "ended"
                if number % 2 and not ended:
                    events.close()
                    events.connect()
            events.close()
            lost.append(sorted(set(steps_in(os.path.join(run, "run.db"))) - seen))

        for number in range(20):
            threads.append(threading.Thread(target=watch, args=(number,)))
            threads[-1].start()
        assert training.wait() == 0
        for thread in threads:
            thread.join(PATIENCE)
        assert lost == [[]] * 20, lost


def attack(hopscope, run, wanted="10000"):
    """Connections by the thousand, most of them silent; the page stays there for the others."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    room = min(int(wanted), (most if most > 0 else 20000) - 200)
    with Server(hopscope, run) as server:
        done = 0
        while done < int(wanted):
            sockets = []
            for i in range(min(room, int(wanted) - done)):
                s = socket.socket()
                s.setblocking(False)
                s.connect_ex(("127.0.0.1", server.port))
                sockets.append(s)
            for i, s in enumerate(sockets):
                try:
                    s.send([b"", b"G", b"GET / HTTP/1.1\r\n", os.urandom(64)][i % 4])
                except OSError:
                    pass
            done += len(sockets)
            for s in sockets[: len(sockets) // 2]:
                s.close()
            assert server.json("/api/runs")
            for s in sockets:
                s.close()
        assert server.json("/api/runs")


def flood(hopscope, run):
    """More questions than wait: some are answered, the others told to come again."""
    with Server(hopscope, run) as server:
        shown = server.json("/api/bundle")["runs"][0]
        words = [shown["vocab"][t] for t in next(q for q in shown["queries"] if len(q["tokens"]) == 3)["tokens"]]
        path = "/api/ask?" + urllib.parse.urlencode([("q", w) for w in words])
        request = f"GET {path} HTTP/1.1\r\nHost: localhost:{server.port}\r\nConnection: close\r\n\r\n".encode()
        sockets = [socket.create_connection(("127.0.0.1", server.port), PATIENCE) for _ in range(300)]
        for s in sockets:
            s.sendall(request)
        codes = []
        for s in sockets:
            text = b""
            while chunk := s.recv(65536):
                text += chunk
            codes.append(int(text.split()[1]))
            assert codes[-1] == 200 or (codes[-1] == 503 and b"Retry-After: 1" in text), text[:200]
            s.close()
        assert codes.count(200) >= 32, codes
        assert server.ask(words)["look"]


def folder(hopscope, path, run):
    """Runs come and go while they are served; the folder may be empty, a run damaged."""
    os.makedirs(path)
    with Server(hopscope, path) as server:
        assert server.json("/api/runs") == [] and server.json("/api/bundle")["runs"] == []
        events = Events(server.port)
        assert events.next() == ("hello", {"runs": []})
        shutil.copytree(run, os.path.join(path, ".new"))
        os.rename(os.path.join(path, ".new"), os.path.join(path, "a"))
        assert events.next()[1]["id"] == "a" and events.next() == ("reload", {"run": "a"})
        shutil.copytree(run, os.path.join(path, "b <script>"))
        while events.next() != ("reload", {"run": "b <script>"}):
            pass
        assert [r["id"] for r in server.json("/api/bundle")["runs"]] == ["a", "b <script>"]
        with open(os.path.join(path, "a", "run.db"), "r+b") as db:
            db.truncate(5000)
        while events.next()[0] != "trouble":
            pass
        bundle = server.json("/api/bundle")
        assert {r["id"]: r["steps"] > 0 for r in bundle["runs"]}["b <script>"]
        shutil.rmtree(os.path.join(path, "a"))
        while events.next()[0] != "gone":
            pass
        assert [r["id"] for r in server.json("/api/runs")] == ["b <script>"]
        events.close()


def read_only(hopscope, run):
    """A folder that nobody may write to."""
    subprocess.run(["chmod", "-R", "a-w", run], check=True)
    before = sorted(os.listdir(run))
    with Server(hopscope, run) as server:
        assert server.json("/api/bundle")["runs"][0]["steps"] > 0
    assert sorted(os.listdir(run)) == before
    subprocess.run(["chmod", "-R", "u+w", run], check=True)


if __name__ == "__main__":
    globals()[sys.argv[2]](sys.argv[1], *sys.argv[3:])
    print("fine")
