"""hopscope baseline against a real server: `transformers serve` of a model that hopscope trained and exported.

usage: test_serve.py PROGRAM FOLDER

The chat template turns a question in words back into the model's own tokens. So the server's answers are those of the run's model, and
the baseline's score must be the run's own accuracy, to the item.
"""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

PROGRAM, FOLDER = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
EXPERIMENT = """data:
  entities: 60
  relations: 8
  out_degree: 5
  phi: 0
  holdout: 0.1
model:
  n_embd: 64
  n_head: 2
  n_layer: 2
train:
  steps: 600
  batch: 256
  lr: 2e-3
  threads: 1
"""
# "Question: What is the r_1 of the r_5 of e_19?" becomes <e_19><r_5><r_1>.
# What is no such question becomes the entity <e_1>.
TEMPLATE = ("{% if 'What is the ' not in messages[0]['content'] %}{{ '<e_1>' }}{% else %}"
            "{% set words = messages[0]['content'].split('What is the ')[1].split('?')[0].split(' of ') %}"
            "{% for w in words | reverse %}{{ '<' ~ w.replace('the ', '') ~ '>' }}{% endfor %}{% endif %}")


def hopscope(*arguments):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def serve(model):
    """`transformers serve` on a free port; waits until it answers."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    run = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
    log = open("serve.log", "w")
    process = subprocess.Popen([sys.executable, "-c", run, "serve", model, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
                               stdout=log, stderr=subprocess.STDOUT, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
            return process, f"http://127.0.0.1:{port}/v1"
        except OSError:
            assert process.poll() is None, open("serve.log").read()
            time.sleep(0.2)
    process.kill()
    raise AssertionError("transformers serve does not answer: " + open("serve.log").read())


def main():
    missing = [m for m in ("fastapi", "uvicorn", "openai", "pydantic") if importlib.util.find_spec(m) is None]
    if missing:
        print(f"test_serve: skipped, packages of transformers[serving] are missing: {', '.join(missing)}", file=sys.stderr)
        return
    folder = os.path.join(FOLDER, "serve")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    os.chdir(folder)
    with open("run.yaml", "w") as file:
        file.write(EXPERIMENT)
    hopscope("run", "run.yaml", "-o", "run", "-q")
    hopscope("export", "run", "--hf", "hf")
    with open("hf/tokenizer_config.json") as file:
        config = json.load(file)
    with open("hf/tokenizer_config.json", "w") as file:
        json.dump(config | {"chat_template": TEMPLATE}, file)
    process, url = serve(os.path.abspath("hf"))
    try:
        hopscope("baseline", "run", "--server", url, "--model", os.path.abspath("hf"), "--how", "direct", "--facts", "none", "--split", "test_ii", "--items", "0",
                 "--max-tokens", "1", "--body", '{"temperature": null}', "-q")
        with open("g.tsv", "w") as file:
            file.writelines(f"Town {i}\tcountry\tLand {i % 3}\nLand {i % 3}\tpart of\tPart\n" for i in range(9))
        made = json.loads(hopscope("graph", "augment", "g.tsv", "--bridges", "5", "--server", url, "--model", os.path.abspath("hf"), "--max-tokens", "1",
                                   "--body", '{"temperature": null}', "-o", "made.tsv", "--json"))
    except AssertionError:
        print(open("serve.log").read()[-3000:], file=sys.stderr)
        raise
    finally:
        process.terminate()
        process.wait(60)
    # It speaks in entities of its own, not in JSON: every answer is refused, and nothing is made of it.
    assert made["asked"]["answered"] == made["refused"]["form"] == 6 and made["added_facts"] == 0 and made["given_up"] == 3, made
    shown = json.loads(hopscope("show", "run", "--json"))
    last = shown["steps"]
    own = {e["split"]: e for e in shown["evaluations"] if e["step"] == last}
    rows = [p for p in shown["probes"] if p["method"] == "baseline" and p["measure"] == "match"]
    assert rows and sum(p["n"] for p in rows) >= 100, rows
    for p in rows:
        e = own[p["split"]]
        assert p["n"] == e["n"] and abs(p["value"] - e["accuracy"]) < 1e-6, (p, e)
        print(f"test_serve: {p['split']}: {p['n']} answers of the server, {p['value']:.3f} right, as the run says")


main()
