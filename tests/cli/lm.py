#!/usr/bin/env python3
"""A server of chat completions that makes faults, and hopscope asking it. Run by test_cli_lm.c.

usage: lm.py HOPSCOPE CHECK [ARGUMENTS]     CHECK is a function below; prints "fine" when all held, "skipped: .." where it cannot
"""

import collections
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time

H = sys.argv[1]
KEY = "sk-secret-0123456789"
PATIENCE = 240


def completion(text, **more):
    return {"id": "x", "object": "chat.completion", "model": "m", "usage": {"prompt_tokens": 100, "completion_tokens": 10},
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}], **more}


class Server:
    """Serves `answer(body, tries, handler)`, which returns (status, headers, bytes) or None when it sent all by itself.

    asked: requests by prompt; told: those of them that were answered whole with status 200."""

    def __init__(self, answer, context=None):
        self.asked, self.told, self.headers, self.lock = collections.Counter(), collections.Counter(), [], threading.Lock()
        self.bodies = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.send_error(405)

            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                body = json.loads(raw)
                prompt = body["messages"][0]["content"]
                with outer.lock:
                    outer.asked[prompt] += 1
                    tries = outer.asked[prompt]
                    outer.headers.append({k.lower(): v for k, v in self.headers.items()} | {"path": self.path})
                    outer.bodies.append(body)
                try:
                    reply = answer(body, tries, self)
                    if reply is None:
                        self.close_connection = True
                        return
                    status, headers, data = reply
                    self.send_response(status)
                    for k, v in headers.items():
                        self.send_header(k, v)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    if status in (200, 400):
                        with outer.lock:
                            outer.told[prompt] += 1
                    self.wfile.write(data)
                except OSError:
                    self.close_connection = True

        class Listener(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass

        self.httpd = Listener(("127.0.0.1", 0), Handler)
        if context:
            self.httpd.socket = context.wrap_socket(self.httpd.socket, server_side=True)
        self.port = self.httpd.server_address[1]
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()


def ok(text, **more):
    return 200, {"Content-Type": "application/json"}, json.dumps(completion(text, **more)).encode()


# Nothing of this machine's own proxies, authorities and keys.
PLAIN = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")
         and k not in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENAI_API_KEY")}


def ask(*arguments, env=None, **more):
    return subprocess.run([H, *arguments], capture_output=True, text=True, timeout=PATIENCE, env=PLAIN | (env or {}), **more)


def baseline(url, *more, **how):
    return ask("baseline", "run", "--server", url, "--model", "m", *more, **how)


def expect(result, code, *parts):
    text = result.stdout + result.stderr
    assert result.returncode == code, (result.returncode, text)
    for part in parts:
        assert part in text, (part, text)
    assert KEY not in text
    return text


def fresh():
    for name in ("answers.db", "answers.db-wal", "answers.db-shm"):
        if os.path.exists(f"run/{name}"):
            os.remove(f"run/{name}")


def cached(path="run/answers.db"):
    db = sqlite3.connect(path)
    rows = db.execute("SELECT name, reason, text FROM answer").fetchall()
    db.close()
    return rows


def train(name, settings):
    with open(f"{name}.yaml", "w") as file:
        file.write(settings + "model:\n  n_embd: 16\n  n_head: 2\n  n_layer: 1\ntrain:\n  steps: 2\n  batch: 64\n")
    expect(ask("run", f"{name}.yaml", "-o", "run", "-q"), 0)


# ---------------------------------------------------------------- checks

def plain():
    """All is asked once, scored as it should be, recorded, shown; a second time nothing is sent."""
    def right(body, tries, handler):
        prompt = body["messages"][0]["content"]
        question = re.search(r"What is the (r_\d+) of the (r_\d+) of (e_\d+)\?", prompt)
        known = dict(re.findall(r"The (r_\d+ of e_\d+) is (e_\d+)\.", prompt))
        bridge = known.get(f"{question[2]} of {question[3]}")
        answer = known.get(f"{question[1]} of {bridge}", "I do not know")
        return ok(f"First {bridge}.\n**Answer:** The {answer}." if "step by step" in prompt else answer)

    server = Server(right)
    more = ("--items", "40", "--facts", "none,retrieved,all", "--split", "test_ii")
    text = expect(baseline(server.url, *more, env={"OPENAI_API_KEY": KEY}), 0, "m, retrieved", "majority", "requests sent")
    rows = [line.split() for line in text.splitlines() if line.startswith("test_ii ")]
    assert len(rows) == 6 and all(row[4] == "40" for row in rows), text
    shares = {(row[2], row[3]): float(row[5]) for row in rows}
    assert shares[("retrieved", "direct")] == shares[("all", "steps")] == 1 and shares[("none", "direct")] == 0, shares
    assert set(server.asked.values()) == {1} and len(server.asked) == 240
    assert all(h["authorization"] == f"Bearer {KEY}" for h in server.headers)
    assert KEY.encode() not in open("run/answers.db", "rb").read()
    expect(baseline(server.url, *more), 0, "answered from the cache")
    assert sum(server.asked.values()) == 240
    expect(ask("show", "run"), 0, "m, retrieved", "best shortcut", "0.0")
    probes = [p for p in json.loads(ask("show", "run", "--json").stdout)["probes"] if p["method"] == "baseline"]
    assert len(probes) == 24 and all(p["n"] == 40 for p in probes)
    expect(ask("verify", "run"), 0)
    with open("aliases.tsv", "w") as file:
        file.write("e_1\te_2\ne_2\te_3\n")
    expect(baseline(server.url, *more, "--aliases", "aliases.tsv"), 65, "aliases.tsv:2", "e_2")


def published():
    """The published baseline: persons and ages. Who reasons over all statements is right on the hard split; retrieved ones are
    those of two steps; the facts of OOD entities are not told."""
    shutil.rmtree("run")
    train("complex", "data:\n  task: complex\n  entities: 60\n  attributes: 3\n  values: 8\n  trained_fraction: 0.2\n  hard_per_label: 5\n")
    person = r"[A-Z][a-z]+ [A-Z]\. [A-Z][a-z]+"
    sizes = {"all": set(), "retrieved": set()}

    def reason(body, tries, handler):
        prompt = body["messages"][0]["content"]
        a, b = re.search(f"Is ({person}) younger than, older than, or in the same age as ({person})\\?", prompt).groups()
        age = {x: int(v) for x, v in re.findall(f"The age of ({person}) is (\\d+)\\.", prompt)}
        compared = re.findall(f"({person}) is (younger than|older than|in the same age as) ({person})\\.", prompt)
        assert a not in age and b not in age and len(compared) > 0 and "Think" not in prompt
        sizes["all" if len(age) == 54 else "retrieved"].add(len(age) + len(compared))
        above = collections.defaultdict(set)  # x -> those that are at least as old
        for x, how, y in compared:
            if how != "older than":
                above[x].add(y)
            if how != "younger than":
                above[y].add(x)
        for x in age:
            above[x] |= {y for y in age if age[y] >= age[x]}

        def reach(x, goal):
            seen, left = {x}, [x]
            while left:
                for y in above[left.pop()] - seen:
                    seen.add(y)
                    left.append(y)
            return goal in seen

        up, down = reach(a, b), reach(b, a)
        return ok("same" if up and down else "younger" if up else "Older than" if down else "unknown")

    server = Server(reason)
    text = expect(baseline(server.url, "--split", "test_hard", "--how", "direct", "--facts", "retrieved,all"), 0, "m, all")
    rows = {(r[2]): r for r in (line.split() for line in text.splitlines()) if r and r[0] == "test_hard"}
    assert float(rows["all"][9]) == 1, text  # by alias: "Older than"
    assert 0.5 <= float(rows["all"][5]) < 1, text
    assert max(sizes["retrieved"], default=0) <= max(sizes["all"]) and len(sizes["all"]) <= 3, sizes
    first = ask("baseline", "run", "--dry-run", "--facts", "all", "--items", "2").stdout
    assert first == ask("baseline", "run", "--dry-run", "--facts", "all", "--items", "2").stdout
    assert first != ask("baseline", "run", "--dry-run", "--facts", "all", "--items", "2", "--seed", "1").stdout


def words():
    """A comparison over a graph with real names: questions, labels, values."""
    shutil.rmtree("run")
    with open("g.tsv", "w") as file:
        for i in range(60):
            file.write(f"Town {i}\tcountry\tLand {i % 4}\nTown {i}\tfounded\t{1500 + i * 3}-01-02\n")
    train("graph", "graph:\n  path: g.tsv\ndata:\n  task: comparison\n  attribute_list: country,founded\n")
    seen = collections.Counter()

    def look(body, tries, handler):
        prompt = body["messages"][0]["content"]
        value = {(r, x): v for r, x, v in re.findall(r"The (country|founded) of (Town \d+) is ([^.]+)\.", prompt)}
        if m := re.search(r"Is the founded of (Town \d+) earlier than, later than, or the same as the founded of (Town \d+)\?", prompt):
            x, y = (value["founded", t] for t in m.groups())
            seen["founded"] += 1
            return ok("Answer: earlier" if x < y else "Answer: later than" if x > y else "Answer: same")
        m = re.search(r"Are the country of (Town \d+) and the country of (Town \d+) the same or different\?", prompt)
        x, y = (value["country", t] for t in m.groups())
        seen["country"] += 1
        return ok("same" if x == y else "Different.")

    server = Server(look)
    text = expect(baseline(server.url, "--how", "direct", "--facts", "retrieved"), 0)
    rows = [line.split() for line in text.splitlines() if line.startswith("test_")]
    assert rows and all(float(r[9]) == 1 for r in rows) and len(seen) == 2, text


def faults():
    """A thousand questions to a server that makes every fault: each is answered once, none lost, the refused counted."""
    def kind(prompt):
        return int(hashlib.sha256(prompt.encode()).hexdigest(), 16) % 100

    def broken(body, tries, handler):
        prompt = body["messages"][0]["content"]
        k = kind(prompt)
        if tries == 1 and k < 1:
            return 429, {"Retry-After": "1"}, b'{"error": {"message": "slow down"}}'
        if tries <= 2 and k < 10:
            return 500, {}, b"<html>oops</html>"
        if tries == 1 and k < 12:
            time.sleep(3)
            return ok("too late")
        if tries == 1 and k < 16:  # cut: less than announced
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"choices": [{"message"')
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            return None
        if tries == 1 and k < 18:
            return 307, {"Location": "/elsewhere/chat/completions"}, b""
        if k == 90:
            return 200, {"Content-Type": "text/html"}, b"<html><body>Welcome</body></html>"
        if k == 91:
            return 200, {}, json.dumps(completion("Answer: x")).encode()[:-30]
        if k == 92:
            return 200, {}, b'{"choices": "none", "error": {"message": "wrong schema"}}'
        if k == 93:
            return 200, {}, b'{"choices": [{"message": {"content": null, "refusal": "I would rather not"}}]}'
        if k == 94:
            return 200, {}, b'{"choices": [{"message": {"content": "cut \xc3"}}]}'
        if k == 95:
            return 200, {}, b"[" * 100000
        if k == 96 and int(hashlib.sha256(prompt.encode()).hexdigest()[:4], 16) % 4 == 0:
            handler.send_response(200)
            handler.send_header("Content-Length", "100000000")
            handler.end_headers()
            with server.lock:
                server.told[prompt] += 1
            for _ in range(1000):
                handler.wfile.write(b" " * 100000)
            return None
        if k == 97:
            return 400, {}, b'{"error": {"message": "context too long"}}'
        return ok("Answer: e_1")

    server = Server(broken)
    more = ["baseline", "run", "--server", server.url, "--model", "m", "--items", "170", "--split", "test_ii", "--facts", "none,retrieved,all", "--timeout", "1.5",
            "--backoff", "0.05", "--concurrency", "8"]
    n = int(re.search(r"of (\d+),", ask("baseline", "run", "--items", "170", "--split", "test_ii", "--facts", "none,retrieved,all", "--dry-run").stdout)[1])
    assert n >= 1000, n
    def started(wait_for):
        before = sum(server.told.values())
        process = subprocess.Popen([H, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=PLAIN)
        while sum(server.told.values()) < before + wait_for:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        return process

    stopped = started(n // 5)
    stopped.send_signal(signal.SIGTERM)
    text = stopped.communicate(timeout=PATIENCE)[1]
    assert stopped.returncode == 143 and "same command goes on" in text, text
    once = dict(server.told)
    killed = started(n // 5)
    killed.kill()
    killed.communicate()
    time.sleep(0.5)
    in_flight = sum(server.told.values())
    text = expect(ask(*more), 0, "answered from the cache")
    assert len(server.told) == n and len(cached()) == n, (len(server.told), len(cached()), n)  # none is lost
    # Who was told before the stop was never asked again; a kill may lose what was under way, and refusals held back.
    twice = [p for p, k in server.told.items() if k > 1]
    late = {p for p in server.told if kind(p) in range(10, 12)}  # "too late" is answered to nobody
    assert not [p for p in once if server.told[p] > 1 and p not in late], "asked again after a stop"
    assert len([p for p in twice if p not in late]) <= 16, len(twice)
    reasons = collections.Counter(r[1] for r in cached())
    expected = collections.Counter()
    for p in server.told:
        k = kind(p)
        big = k == 96 and int(hashlib.sha256(p.encode()).hexdigest()[:4], 16) % 4 == 0
        expected[2 if big else 3 if k in (90, 91, 94, 95) else 4 if k == 92 else 5 if k == 93 else 1 if k == 97 else 0] += 1
    assert reasons == expected, (reasons, expected)
    for name in ("http", "too long", "no JSON", "no completion", "declined"):
        assert f"answers refused: {name}" in text, text
    assert any(h["path"].startswith("/elsewhere") for h in server.headers)
    print(f"{n} questions, {sum(server.asked.values())} requests, twice told {len(twice)}", file=sys.stderr)


def wrong():
    """What is no such server, or wants something else: said clearly, and nothing is recorded."""
    def check(answer, code, *parts, more=(), env=None):
        fresh()
        server = Server(answer)
        text = expect(baseline(server.url, "--items", "20", "--backoff", "0.01", "--retries", "2", *more, env=env), code, *parts)
        assert cached() == []
        assert all(p["method"] != "baseline" for p in json.loads(ask("show", "run", "--json").stdout)["probes"])
        return server, text

    s, _ = check(lambda *_: (200, {"Content-Type": "text/html"}, b"<html>hello</html>"), 65, "text/html", "<html>hello",
                 "speaks chat completions")
    assert sum(s.asked.values()) <= 12
    check(lambda *_: (404, {}, b"Not Found"), 65, "404", "--server is the address")
    check(lambda *_: (401, {}, b'{"error": {"message": "no key"}}'), 1, "wants a key", "OPENAI_API_KEY")
    echo = lambda body, tries, h: (401, {}, json.dumps({"error": {"message": f"bad key {h.headers['Authorization']}"}}).encode())
    check(echo, 1, "does not take the key", "bad key Bearer ****", env={"OPENAI_API_KEY": KEY})
    check(lambda *_: (400, {}, b'{"error": "unknown field temperature"}'), 65, "unknown field temperature", "--body")
    check(lambda *_: (503, {}, b"busy"), 74, "no answer after 3 tries", "503", "kept")
    check(lambda *_: (429, {"Retry-After": "3600"}, b"quota"), 74, "asks to wait 3600 seconds")
    check(lambda *_: (302, {"Location": "/v1/chat/completions"}, b""), 74, "cannot be reached")
    s, _ = check(lambda body, *_: (200, {}, b"{}"), 65, "no chat completion")
    expect(baseline(s.url, "--items", "5", env={"OPENAI_API_KEY": "a\nb"}), 2, "OPENAI_API_KEY")
    expect(baseline("http://u:pw@127.0.0.1:1/v1"), 2, "name or password")
    assert "pw" not in baseline("http://u:pw@127.0.0.1:1/v1").stderr
    for url in ("ftp://127.0.0.1/v1", "nonsense", "http://", "file:///etc/passwd"):
        expect(baseline(url), 2, "no address of a server")
    expect(baseline("http://127.0.0.1:1/v1"), 74, "cannot be reached")
    expect(baseline("http://no-such-host.invalid/v1"), 74, "cannot be reached")
    raw = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: [c.sendall(b"SSH-2.0-hello\r\n") or c.close() for c in iter(lambda: raw.accept()[0], None)], daemon=True).start()
    expect(baseline(f"http://127.0.0.1:{raw.getsockname()[1]}/v1", "--retries", "1", "--backoff", "0.01"), 74)
    with open("other.db", "w") as file:
        file.write("no database at all, but long enough to be looked at" * 30)
    before = open("other.db", "rb").read()
    expect(baseline(s.url, "--cache", "other.db"), 65, "other.db")
    assert open("other.db", "rb").read() == before
    expect(baseline(s.url, "--cache", "run/run.db"), 65, "no cache of answers")
    expect(baseline(s.url, "--body", "[1]"), 2, "no JSON object")
    expect(baseline(s.url, "--body", '{"messages": []}'), 2, "not free")
    expect(baseline(s.url, "--max-cost", "1"), 2, "price")
    expect(baseline(s.url, "--split", "nothing"), 65, "no such split")
    expect(baseline(s.url, "--facts", "most"), 2, "most")
    expect(ask("baseline", "run", "--server", s.url), 2, "--model")
    expect(ask("baseline", "run"), 2, "--server")
    expect(ask("baseline", "nowhere", "--server", s.url, "--model", "m"), 74, "no run directory")


def caps():
    """Limits of requests and of the cost end it in time; a higher one goes on."""
    fresh()
    server = Server(lambda *_: ok("Answer: e_1"))
    more = ("--items", "30", "--facts", "none", "--how", "direct", "--split", "test_ii")
    expect(baseline(server.url, *more, "--max-requests", "10"), 1, "nothing is scored", "ended by the limit")
    assert sum(server.asked.values()) == 10
    # 100 and 10 tokens an answer: 0.11 of a currency unit at these prices; what is under way counts with its estimate.
    expect(baseline(server.url, *more, "--max-cost", "2", "--price-in", "1000", "--price-out", "1000", "--max-tokens", "512"), 1)
    assert 10 < sum(server.asked.values()) <= 18, sum(server.asked.values())
    text = expect(baseline(server.url, *more, "--price-in", "1000", "--price-out", "1000"), 0, "cost")
    assert sum(server.asked.values()) == 30 and re.search(r"cost +3\.3000", text), text


def batch():
    """Out as a batch file, in from its answers: the same scores as asked of a server."""
    fresh()
    more = ("baseline", "run", "--model", "m", "--items", "12", "--split", "test_ii", "--how", "steps")
    expect(ask(*more, "--export", "q.jsonl"), 0, "24 questions")
    lines = [json.loads(line) for line in open("q.jsonl")]
    assert len({q["custom_id"] for q in lines}) == 24
    assert all(q["method"] == "POST" and q["url"] == "/v1/chat/completions" and q["body"]["model"] == "m" for q in lines)
    answers = [{"id": "a", "custom_id": q["custom_id"], "error": None,
                "response": {"status_code": 200, "request_id": "r", "body": completion("Answer: e_1")}} for q in lines]

    def write(rows):
        with open("a.jsonl", "w") as file:
            for row in rows:
                file.write((row if isinstance(row, str) else json.dumps(row)) + "\n")

    write(answers[:3] + ['{"custom_id": "'])
    expect(ask(*more, "--import", "a.jsonl"), 65, "a.jsonl:4", "no JSON")
    assert cached() == []  # all of a file, or nothing
    write(answers[:2] + [{"custom_id": "f" * 32, "response": answers[0]["response"]}])
    expect(ask(*more, "--import", "a.jsonl"), 65, "a.jsonl:3", "none of these questions")
    write(answers[:-1] + [{"custom_id": answers[-1]["custom_id"], "response": None, "error": {"message": "expired"}}])
    expect(ask(*more, "--import", "a.jsonl"), 65, "1 failed there", "1 of 24 questions have no answer")
    expect(ask(*more, "--export", "left.jsonl"), 0, "1 questions")
    write(answers)
    expect(ask(*more, "--import", "a.jsonl"), 0, "24 answers taken", "m, retrieved")
    server = Server(lambda *_: ok("Answer: e_1"))
    expect(baseline(server.url, *more[4:]), 0, "answered from the cache")
    assert not server.asked
    expect(ask(*more[:3], "other", *more[4:], "--import", "a.jsonl"), 65, "none of these questions")


def tls():
    """TLS with an authority of one's own, wrong certificates, redirects, proxies: as curl does."""
    if not shutil.which("openssl"):
        print("skipped: openssl is not installed")
        sys.exit(0)

    def openssl(line):
        subprocess.run(["openssl", *line.split()], check=True, capture_output=True)

    for name in ("ca", "other"):
        openssl(f"req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.pem -days 2 -subj /CN=test-{name}")

    def certificate(name, host, days=2):
        openssl(f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}")
        with open("ext", "w") as file:
            file.write(f"subjectAltName={host}\n")
        openssl(f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile ext -out {name}.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{name}.pem", f"{name}.key")
        return context

    answer = lambda *_: ok("Answer: e_1")
    good, wrong_host = Server(answer, certificate("good", "IP:127.0.0.1")), Server(answer, certificate("bad", "DNS:elsewhere.test"))
    more = ("--items", "3", "--how", "direct", "--facts", "none", "--split", "test_ii", "--retries", "1", "--backoff", "0.01")
    for env in ({}, {"SSL_CERT_FILE": "other.pem"}):
        fresh()
        expect(baseline(good.url, *more, env=env), 74, "cannot be reached", "ertificate")
    expect(baseline(good.url, *more, "--ca", "nowhere.pem"), 74, "cannot be reached", "nowhere.pem")
    expect(baseline(wrong_host.url, *more, "--ca", "ca.pem"), 74, "cannot be reached", "certificate")
    assert not good.asked and not wrong_host.asked and cached() == []
    for how, env in ((("--ca", "ca.pem"), {}), ((), {"SSL_CERT_FILE": "ca.pem"}), ((), {"CURL_CA_BUNDLE": "ca.pem"})):
        fresh()
        expect(baseline(good.url, *more, *how, env=env), 0)
    # A redirect keeps the POST, the body and, on the same host and port, the key; another port does not get it.
    for status in (301, 302, 307, 308):
        fresh()
        target = Server(answer)
        hop = Server(lambda *_: (status, {"Location": f"{target.url}/chat/completions"}, b""))
        expect(baseline(hop.url, *more, env={"OPENAI_API_KEY": KEY}), 0)
        assert sum(target.asked.values()) == 3 and all("authorization" not in h for h in target.headers), status
        assert all(h["authorization"] for h in hop.headers)
    fresh()
    local = Server(lambda body, tries, h: ok("e_1") if h.path.startswith("/there") else (307, {"Location": "/there"}, b""))
    expect(baseline(local.url, *more, env={"OPENAI_API_KEY": KEY}), 0)
    assert all(h["authorization"] for h in local.headers)
    # Proxies come from the environment; no_proxy leaves them out.
    fresh()
    proxy = Server(answer)
    env = {"http_proxy": f"http://127.0.0.1:{proxy.port}"}
    expect(baseline("http://far.invalid/v1", *more, env=env), 0)
    assert {h["path"] for h in proxy.headers} == {"http://far.invalid/v1/chat/completions"}
    fresh()
    expect(baseline("http://far.invalid/v1", *more, env=env | {"no_proxy": "far.invalid"}), 74, "cannot be reached")
    fresh()
    text = expect(baseline("http://far.invalid/v1", *more, env=env | {"OPENAI_API_KEY": KEY}), 0, "unencrypted")


def busy():
    """Two processes do not share a cache; the second says so and harms nothing."""
    fresh()
    go = threading.Event()
    server = Server(lambda *_: ok("e_1") if go.wait(PATIENCE) else None)
    first = subprocess.Popen([H, "baseline", "run", "--server", server.url, "--model", "m", "--items", "3"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, env=PLAIN)
    while not server.asked:
        time.sleep(0.01)
    expect(baseline(server.url, "--items", "3"), 74, "another process")
    go.set()
    assert first.wait(PATIENCE) == 0, first.communicate()


def town_graph():
    """Towns in lands, lands in parts of the world, mayors who were born in towns: bridges of two-hop facts."""
    with open("g.tsv", "w") as file:
        for i in range(40):
            file.write(f"Town {i}\tcountry\tLand {i % 6}\n")
            file.write(f"Mayor {i}\tborn in\tTown {(i * 7 + 3) % 40}\n")
        for i in range(6):
            file.write(f"Land {i}\tpart of\tPart {i % 2}\n")
            for r in ("anthem", "money", "speech"):
                file.write(f"Land {i}\t{r}\t{r.title()} {i}\n")


def facts_of(path):
    return [tuple(line.split("\t")) for line in open(path).read().splitlines()]


def proposer(n_bad=0):
    """Proposes facts about the entity it is asked about: good ones, and of each kind of bad ones."""
    def answer(body, tries, handler):
        prompt = body["messages"][0]["content"]
        b = re.search(r"Known facts about ([^:]+):", prompt)[1]
        k = hashlib.sha256(prompt.encode() + str(body["seed"]).encode()).hexdigest()[:6]
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        names = schema["properties"]["facts"]["items"]["properties"]["relation"]["enum"] if schema else re.findall(r'^"([^"]+)", where', prompt, re.M)
        r = names[int(k, 16) % len(names)]
        as_tail = re.search(f'"{r}", where .* is the (.*)\\. Facts', prompt)[1] != "head"
        good = [{"head": f"New {k} {i}", "relation": r, "tail": b} if as_tail else {"head": b, "relation": r, "tail": f"New {k} {i}"} for i in range(2)]
        known = re.search(r"- (.*) \| (.*) \| (.*)", prompt)
        bad = [{"head": "x", "relation": "no such", "tail": b}, {"head": "", "relation": r, "tail": b}, {"head": "a\tb", "relation": r, "tail": b},
               {"head": "y" * 300, "relation": r, "tail": b}, {"head": "Town 1", "relation": "country", "tail": "Town 2"}, {"head": b, "relation": r, "tail": b},
               dict(zip(("head", "relation", "tail"), known.groups())), {"head": good[0]["head"], "relation": r, "tail": good[0]["tail"]},
               {"head": "Part 0", "relation": r, "tail": b}, {"head": "Town 5", "relation": "country", "tail": b}, 17, {"head": 1}]
        text = json.dumps({"facts": good + bad[:n_bad]})
        return ok(text if int(k, 16) % 3 else f"Here you are:\n```json\n{text}\n```")

    return answer


def augment():
    """The second algorithm: facts on demand, each checked and marked; the same facts however it is stopped and however fast it is."""
    town_graph()
    server = Server(proposer(12))
    more = ["graph", "augment", "g.tsv", "--model", "m", "--server", server.url]
    report = json.loads(ask(*more, "--bridges", "6", "--each", "14", "-o", "a.tsv", "--json").stdout)
    facts, old = facts_of("a.tsv"), set(facts_of("g.tsv"))
    made = [f[:3] for f in facts if len(f) == 4]
    assert old == {f for f in facts if len(f) == 3} and len(made) == report["added_facts"] > 50 and {f[3] for f in facts if len(f) == 4} == {"synthetic"}
    for name in ("relation", "name", "place", "known", "contradicts", "kind", "form"):
        assert report["refused"][name] > 0, (name, report)
    assert report["refused"]["cycle"] + report["refused"]["repeated"] > 0, report
    assert report["proposed"] == report["added_facts"] + sum(report["refused"].values()), report
    assert len({f[:2] for f in facts}) == len(facts)  # a head has one tail
    after, kinds = collections.defaultdict(set), {"country": ("Town", "Land"), "born in": ("Mayor", "Town"), "part of": ("Land", "Part"),
                                               "anthem": ("Land", "Anthem"), "money": ("Land", "Money"), "speech": ("Land", "Speech")}
    for f in facts:
        after[f[0]].add(f[2])
        for end, kind in zip((f[0], f[2]), kinds[f[1]]):
            assert end.startswith((kind, "New")), f
    done, open_ = set(), set()

    def acyclic(x):
        if x in open_:
            return False
        if x not in done:
            open_.add(x)
            if not all(map(acyclic, after[x])):
                return False
            open_.remove(x)
            done.add(x)
        return True

    assert all(acyclic(x) for x in list(after))
    origin = [json.loads(line) for line in open("a.tsv.origin.jsonl")]
    assert [tuple(o[k] for k in ("head", "relation", "tail")) for o in origin] and {tuple(o[k] for k in ("head", "relation", "tail")) for o in origin} == set(made)
    names = {row[0] for row in cached("a.tsv.answers.db")}
    assert all(o["model"] == "m" and o["prompt"] in names and re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", o["time"]) for o in origin)
    assert all(b["response_format"]["type"] == "json_schema" for b in server.bodies)
    assert report["reached"] > 0 and report["wanted"] >= report["reached"]
    whole = open("a.tsv").read()
    sent = sum(server.asked.values())
    assert set(server.asked.values()) == {1} and report["asked"]["requests"] == sent
    # Again from the cache; with another concurrency; stopped and gone on.
    expect(ask(*more, "--bridges", "6", "--each", "14", "-o", "a.tsv", "--force"), 0)
    assert sum(server.asked.values()) == sent and open("a.tsv").read() == whole
    expect(ask(*more, "--bridges", "6", "--each", "14", "-o", "b.tsv", "--concurrency", "1"), 0)
    assert open("b.tsv").read() == whole
    for how in (signal.SIGTERM, signal.SIGKILL):
        before = sum(server.told.values())
        process = subprocess.Popen([H, *more, "--bridges", "6", "--each", "14", "-o", f"c{how}.tsv"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=PLAIN)
        while sum(server.told.values()) < before + 10 and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(how)
        process.communicate()
        assert process.returncode in (143, -9, 0) and (process.returncode == 0 or not os.path.exists(f"c{how}.tsv"))
        expect(ask(*more, "--bridges", "6", "--each", "14", "-o", f"c{how}.tsv", "--force"), 0)
        assert open(f"c{how}.tsv").read() == whole
    # The overall phi as a target; other forms; the reader takes what was written.
    text = expect(ask(*more, "--phi", "2.5", "-o", "p.tsv", "--form", "prompt"), 0, "phi after")
    assert float(re.search(r"phi after +([\d.]+)", text)[1]) >= 2.5, text
    assert not any("response_format" in b for b in server.bodies[-3:])
    expect(ask("graph", "stats", "p.tsv"), 0)
    expect(ask(*more, "--phi", "2.5", "-o", "q.tsv", "--form", "object", "--max-requests", "3"), 0, "ended by the limit")
    expect(ask(*more, "--phi", "9", "-o", "w.tsv"), 65, "out of reach: at most 4 facts")
    # Nothing good: given up, and said.
    server = Server(lambda *_: ok("no JSON at all"))
    text = expect(ask("graph", "augment", "g.tsv", "--model", "m", "--server", server.url, "--bridges", "2", "-o", "n.tsv"), 0, "refused: form", "given up")
    assert set(facts_of("n.tsv")) == old
    for wrong, part in ((("--phi", "3", "--bridges", "3"), "either"), (("--reuse",), "--reuse"), (("--each", "0"), "--each"),
                        (("--relations", "contry"), "country"), (("--comparison", "3"), "--relations")):
        assert part in expect(ask(*more, *wrong, "-o", "w.tsv"), 65 if part == "country" else 2)
    assert not os.path.exists("w.tsv") and not os.path.exists("w.tsv.origin.jsonl")
    expect(ask("graph", "augment", "g.tsv", "--model", "m", "-o", "w.tsv"), 2, "--server")
    expect(ask("graph", "augment", "g.tsv", "--bridges", "2", "--dry-run"), 0, "prompt 1 of", "schema facts", "first round")


def invent():
    """The first algorithm: entities of a value, each with a paragraph that speaks of both."""
    town_graph()

    def answer(body, tries, handler):
        prompt = body["messages"][0]["content"]
        value = re.search(r'Names that have the country "([^"]+)"', prompt)[1]
        k = hashlib.sha256(prompt.encode()).hexdigest()[:6]
        good = [{"name": f"Newtown {k} {i}", "value": value, "paragraph": f'Newtown {k} {i} lies in {value}. It is "old".'} for i in range(2)]
        bad = [{"name": "Town 1", "value": value, "paragraph": f"Town 1 {value}"}, {"name": "Elsewhere", "value": "Land 99", "paragraph": "Elsewhere Land 99"},
               {"name": f"Silent {k}", "value": value, "paragraph": "It is nice."}, {"name": f"Mayor 1", "value": value, "paragraph": f"Mayor 1 {value}"}]
        return ok(json.dumps({"entities": bad + good}))

    server = Server(answer)
    more = ("graph", "augment", "g.tsv", "--model", "m", "--server", server.url, "--comparison", "12", "--relations", "country", "-o", "a.tsv", "--json")
    report = json.loads(ask(*more).stdout)
    facts = facts_of("a.tsv")
    count = collections.Counter(f[2] for f in facts if f[1] == "country")
    assert set(count.values()) == {12} and report["reached"] == report["wanted"] == 6, (count, report)
    assert all(report["refused"][k] > 0 for k in ("relation", "paragraph")) and report["refused"]["known"] + report["refused"]["contradicts"] > 0, report
    origin = [json.loads(line) for line in open("a.tsv.origin.jsonl")]
    assert len(origin) == report["added_facts"] == 72 - 40 and all(o["head"] in o["paragraph"] and o["tail"] in o["paragraph"] for o in origin)
    assert '"old"' in origin[0]["paragraph"]


if __name__ == "__main__":
    globals()[sys.argv[2]](*sys.argv[3:])
    print("fine")
