#!/usr/bin/env python3
"""What a served page costs training: the same run alone and with clients that listen to its events, turn about.

Training has one thread; server and clients share what else the machine has. Both times of training are said: CPU seconds, which other
work on the machine does not change, and seconds on the clock, which it does. Every client must have got every evaluation of
run.db, once.

  python3 bench/serve.py --program build/release/hopscope --clients 200 --steps 1500 --repeats 3
"""
import argparse
import os
import pathlib
import re
import resource
import selectors
import signal
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Client:
    """One reader of /api/events."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        self.socket.setblocking(False)
        self.rest, self.event, self.steps = b"", "", []
        self.begin = 0  # what was there when the run appeared is in the bundle, not in the events

    def read(self):
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return True
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"event:"):
                self.event = line[6:].strip().decode()
            elif line.startswith(b"data:") and self.event == "run":
                self.begin = int(re.search(rb'"steps":\s*(\d+)', line)[1])
            elif line.startswith(b"data:") and self.event == "evaluation":
                self.steps.append(int(re.search(rb'"step":\s*(\d+)', line)[1]))
        return bool(data)


def train(program, steps, folder, clients):
    """(CPU seconds, seconds, CPU seconds of the server) of one run into `folder`/run, with so many clients."""
    folder.mkdir()
    server, listeners, served = None, [], 0.0
    watch = selectors.DefaultSelector()
    if clients:
        server = subprocess.Popen([program, "serve", str(folder), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        port = int(re.search(r":(\d+)", server.stdout.readline())[1])
        listeners = [Client(port) for _ in range(clients)]
        for client in listeners:
            watch.register(client.socket, selectors.EVENT_READ, client)
    start = time.monotonic()
    run = subprocess.Popen(
        [program, "run", str(ROOT / "experiments" / "demo.yaml"), "-q", "-o", str(folder / "run"), "--set", f"train.steps={steps}",
         "--set", "train.threads=1", "--set", "train.stop_split=", "--set", "report.page=false", "--set", "interpret.methods=lens"],
        stdout=subprocess.DEVNULL)
    done = None
    while done is None:
        if clients:
            for key, _ in watch.select(0.2):
                key.data.read()
            pid, status, used = os.wait4(run.pid, os.WNOHANG)
            done = used if pid else None
        else:
            _, status, done = os.wait4(run.pid, 0)
    seconds = time.monotonic() - start
    if status:
        raise SystemExit(f"the run failed: {status}")
    with sqlite3.connect(folder / "run" / "run.db") as db:
        steps = [s for (s,) in db.execute("SELECT DISTINCT step FROM evaluation ORDER BY step")]
    end = time.monotonic() + 30
    while any(c.steps[-1:] != steps[-1:] for c in listeners) and time.monotonic() < end:
        for key, _ in watch.select(0.2):
            if not key.data.read():
                watch.unregister(key.data.socket)
    if server:
        server.send_signal(signal.SIGINT)
        _, _, used = os.wait4(server.pid, 0)
        served = used.ru_utime + used.ru_stime
    lost = sum(c.steps != [s for s in steps if s > c.begin] for c in listeners)
    if lost:
        raise SystemExit(f"{lost} of {clients} clients did not get every one of {len(steps)} evaluations once")
    return done.ru_utime + done.ru_stime, seconds, served


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--program", default="build/release/hopscope")
    args.add_argument("--clients", type=int, default=200)
    args.add_argument("--steps", type=int, default=1500)
    args.add_argument("--repeats", type=int, default=3)
    args = args.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, args.clients + 100)), hard))
    rows = {0: [], args.clients: []}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(args.repeats):
            for clients, times in rows.items():
                times.append(train(args.program, args.steps, pathlib.Path(folder) / f"{clients}-{i}", clients))
                print(f"{clients:5} clients: training {times[-1][0]:.2f} CPU s, {times[-1][1]:.2f} s; server {times[-1][2]:.2f} CPU s", flush=True)
    for name, i in (("CPU seconds", 0), ("seconds", 1)):
        alone, served = (statistics.median(t[i] for t in times) for times in rows.values())
        print(f"training, {name}, median of {args.repeats}: {alone:.2f} alone, {served:.2f} with {args.clients} clients: {100 * (served / alone - 1):+.1f}%")


if __name__ == "__main__":
    main()
