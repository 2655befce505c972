#!/usr/bin/env python3
"""The shared library exports what the public headers declare, all of it, and nothing else; the static one has no global
name outside hs_; calls within the shared library go through no table, but for functions chosen when it is loaded.

usage: symbols.py INCLUDE LIBHOPSCOPE.SO LIBHOPSCOPE.A CC
"""

import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))
from generate import preprocessed  # the Python package's reader of the headers


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def declared(include, cc):
    """Names of the functions and objects that the public headers declare, after the preprocessor."""
    text = preprocessed(include, cc)
    while re.search(r"\{[^{}]*\}", text):  # members of structures and enumerators
        text = re.sub(r"\{[^{}]*\}", " ", text)
    names = set()
    for statement in text.split(";"):
        statement = re.sub(r"__attribute__\s*\(\(.*?\)\)\s*$", "", " ".join(statement.split()))
        if statement.startswith("typedef") or not statement:
            continue
        function = re.match(r"^[^()]*?\b(\w+) ?\(", statement)
        if function:
            names.add(function.group(1))
        elif statement.startswith("extern "):
            names.update(re.search(r"(\w+) ?(\[\w*\])?$", one).group(1) for one in statement.split(","))
        elif not re.match(r"^(struct|enum|union)\b[\w ]*$", statement):
            sys.exit(f"symbols: a declaration that is not understood: {statement}")
    return names


def main():
    include, shared, static, cc = sys.argv[1:]
    public = declared(include, cc)
    exported, unversioned = set(), []
    for line in run("nm", "-D", "--defined-only", shared).splitlines():
        _, kind, name = line.split()
        if kind == "A":
            continue  # the version itself
        name, _, version = name.partition("@")
        exported.add(name)
        if not version.strip("@").startswith("HOPSCOPE_"):
            unversioned.append(name)
    strangers = set()
    for line in run("nm", "-g", "--defined-only", static).splitlines():
        fields = line.split()
        if len(fields) == 3 and not fields[2].startswith("hs_"):
            strangers.add(fields[2])
    table = [line for line in run("readelf", "-rW", shared).splitlines() if re.search(r"JUMP_SLOT?\b.* hs_", line)]
    bad = 0
    for what, names in [
        ("exported, but in no public header", exported - public),
        ("in a public header, but not exported", public - exported),
        ("without a symbol version", unversioned),
        ("global in the static library, but not hs_", strangers),
        ("called through a table within the library", table),
    ]:
        for name in sorted(names):
            print(f"symbols: {what}: {name}", file=sys.stderr)
            bad += 1
    if len(public) < 100:
        sys.exit(f"symbols: only {len(public)} public names found")
    print(f"symbols: {len(public)} public, {len(exported)} exported, {bad} problems")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
