#!/usr/bin/env python3
"""Tokenizers learned by hopscope give the same ids in `tokenizers` and in `transformers`, on real text and on odd text.

usage: test_tokenizer.py HOPSCOPE WORKDIR

The text is the Wikipedia paragraphs of 2wiki/dev_sample503.json in the folder HOPSCOPE_DATA (environment); without it this
says so and goes on with the odd text alone. Prints one line a check and "N passed, N failed" at the end.
"""
import json
import os
import pathlib
import random
import subprocess
import sys

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

PROGRAM, WORK = sys.argv[1], pathlib.Path(sys.argv[2])


def odd_lines():
    """Letters, marks, numbers, spaces and signs of many scripts, in random order."""
    rng = random.Random(1)
    alphabet = "aZ '’sdtmrevll09½³٣Ⅷ\t  \u00a0\u2003\u2028\u180e\u0085éßŁж中文かな한ا्คe\u0301\u200d👩🏽‍🚀!?—…_$<>\"\\/#"
    return ["".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 60))) for _ in range(3000)]


def real_lines():
    path = pathlib.Path(os.environ.get("HOPSCOPE_DATA", "")) / "2wiki" / "dev_sample503.json"
    if not os.environ.get("HOPSCOPE_DATA") or not path.exists():
        print("tokenizer: no HOPSCOPE_DATA with 2wiki/dev_sample503.json: the real text is SKIPPED", flush=True)
        return []
    records = json.loads(path.read_text(encoding="utf-8"))
    lines = [" ".join(sentences) for record in records for _, sentences in record["context"]]
    return [line.replace("\n", " ").replace("\r", " ") for line in lines if line.strip()]


def call(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr}"
    return done.stdout


def check(name, kind, learned_from, lines):
    text, ours = WORK / "text.txt", WORK / f"{name}.json"
    ours.unlink(missing_ok=True)
    text.write_text("\n".join(learned_from) + "\n", encoding="utf-8", newline="")
    call("tokenize", text, "--learn", kind, "-o", ours)
    text.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    got = [[int(x) for x in line.split()] for line in call("tokenize", text, "--with", ours).split("\n")[:-1]]
    theirs = Tokenizer.from_file(str(ours))
    fast = PreTrainedTokenizerFast(tokenizer_file=str(ours))
    assert len(got) == len(lines)
    for line, ids in zip(lines, got):
        want = theirs.encode(line, add_special_tokens=False).ids
        assert ids == want, f"{line!r}: {ids} != {want}"
        if kind != "words":
            assert theirs.decode(ids) == line
    for line, ids in list(zip(lines, got))[:200]:
        assert fast(line)["input_ids"] == ids
    resaved = WORK / "resaved.json"  # as `tokenizers` writes it
    theirs.save(str(resaved))
    assert call("tokenize", text, "--with", resaved).split("\n")[0] == " ".join(map(str, got[0]))
    return f"{len(lines)} texts, {sum(map(len, got))} tokens of {theirs.get_vocab_size()}"


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    odd, real = odd_lines(), real_lines()
    checks = [("odd-300", "300", odd, odd), ("odd-2000", "2000", odd, odd), ("odd-words", "words", odd[:1000], odd)]
    if real:
        checks += [("real-4096", "4096", real, real), ("real-30000", "30000", real[:2000], real + odd),
                   ("real-words", "words", real[:2000], real)]
    failed = 0
    for name, *rest in checks:
        try:
            print(f"ok   {name}: {check(name, *rest)}", flush=True)
        except AssertionError as problem:
            failed += 1
            print(f"FAIL {name}: {problem}", flush=True)
    print(f"{len(checks) - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
