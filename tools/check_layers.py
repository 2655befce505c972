#!/usr/bin/env python3
"""A layer includes only layers before it; the command line includes only the public headers and its own.

Checks every #include "..." of src/LAYER, sub-folders too, and include/hopscope/LAYER.h (docs/design.md, section 2).
usage: tools/check_layers.py [ROOT]
"""

import pathlib
import re
import sys

LAYERS = ["core", "graph", "text", "data", "tensor", "model", "train", "interp", "experiment", "lm", "report"]
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def includes(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1)


def layer_of(target):
    """The layer an include belongs to, or None if it is neither hopscope/LAYER.h nor LAYER/.../file."""
    parts = target.split("/")
    if len(parts) < 2 or (parts[0] == "hopscope" and len(parts) != 2):
        return None
    name = parts[1].removesuffix(".h") if parts[0] == "hopscope" else parts[0]
    return name if name in LAYERS + ["cli"] else None


def problem(layer, target):
    """What is wrong with this include in a file of this layer, or None."""
    found = layer_of(target)
    if layer == "cli":
        ours = target.startswith("hopscope/") or target.startswith("cli/") or target == "commands.h"
        return None if ours else "the command line includes only hopscope/*.h and cli/*.h"
    if found is None:
        return "write it as hopscope/LAYER.h or LAYER/.../FILE.h"
    if found == "cli" or LAYERS.index(found) > LAYERS.index(layer):
        return f"{layer} must not know {found}"
    return None


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    files = []
    for layer in LAYERS + ["cli"]:
        files += [(layer, path) for path in sorted((root / "src" / layer).rglob("*.[ch]"))]
    for layer in LAYERS:
        header = root / "include" / "hopscope" / f"{layer}.h"
        if header.exists():
            files.append((layer, header))
    bad = 0
    for layer, path in files:
        for number, target in includes(path):
            what = problem(layer, target)
            if what:
                print(f'{path}:{number}: #include "{target}": {what}', file=sys.stderr)
                bad += 1
    if not files:
        print("check_layers: no sources found", file=sys.stderr)
        return 1
    print(f"check_layers: {len(files)} files, {bad} problems")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
