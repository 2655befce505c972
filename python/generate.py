#!/usr/bin/env python3
"""Writes what the Python package knows of the C library: declarations and documentation, from the public headers alone.

The headers go through the C preprocessor and pycparser; comments are taken from their text. Out comes a module of ctypes
structures, constants and function types, and a C file of static assertions that the compiler's layout of every structure is
the one of that module: a difference ends the build.

usage: generate.py INCLUDE CC INTERFACE MODULE.py LAYOUT.c
"""

import ctypes
import pathlib
import re
import subprocess
import sys

SCALARS = {
    "_Bool": "c_bool", "char": "c_char", "unsigned char": "c_ubyte", "int": "c_int", "unsigned": "c_uint",
    "unsigned int": "c_uint", "float": "c_float", "double": "c_double", "long": "c_long", "size_t": "c_size_t",
    "uint8_t": "c_uint8", "int32_t": "c_int32", "uint16_t": "c_uint16", "uint32_t": "c_uint32", "int64_t": "c_int64",
    "uint64_t": "c_uint64",
}  # fmt: skip
FOREIGN = ["size_t", "uint8_t", "int32_t", "uint16_t", "uint32_t", "int64_t", "uint64_t", "va_list", "FILE"]
LIMITS = {"UINT32_MAX": 2**32 - 1, "UINT64_MAX": 2**64 - 1, "SIZE_MAX": 2**64 - 1}


def preprocessed(include, cc, *options):
    """The text of the public headers after the preprocessor, without that of the system's headers."""
    headers = sorted(pathlib.Path(include, "hopscope").glob("*.h"))
    source = "".join(f'#include "hopscope/{h.name}"\n' for h in headers)
    command = [cc, "-E", *options, "-I", include, "-x", "c", "-"]
    lines = subprocess.run(command, input=source, check=True, capture_output=True, text=True).stdout
    ours, text = False, []
    for line in lines.splitlines():
        marker = re.match(r'# \d+ "([^"]*)"', line)
        if marker:
            ours = "/hopscope/" in marker.group(1)
        elif ours and not line.startswith("#"):
            text.append(line)
    return "\n".join(text)


# ---------------------------------------------------------------- comments


def plain(comment):
    """The words of a comment, its paragraphs kept."""
    lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in comment[2:-2].splitlines()]
    text = "\n".join(lines).strip()
    return re.sub(r"(?<!\n)\n(?! |\n|- )", " ", text)


def comments(include):
    """What the headers say of every function and structure: the comment above it, or above the lines that it follows
    without an empty one, and the comment behind it."""
    said = {}
    for header in sorted(pathlib.Path(include, "hopscope").glob("*.h")):
        above, depth = "", 0
        text = re.sub(r"^#(?:.*\\\n)*.*$|^extern \"C\" \{$", "#", header.read_text(encoding="utf-8"), flags=re.M)
        for piece in re.finditer(r"/\*.*?\*/|\n[ \t]*\n|[^\n]+|\n", text, re.DOTALL):
            line = piece.group()
            if re.fullmatch(r"\n[ \t]*\n", line) or line.startswith("/* -----"):
                above = "" if depth == 0 else above
            elif line.startswith("/*"):
                above = plain(line) if depth == 0 else above
            elif line.strip() not in ("", "#"):
                code, _, behind = line.partition("/*")
                name = depth == 0 and re.match(r"(?:extern )?(?:typedef (?:struct|enum) )?[\w *]*?\b(hs_\w+)\s*[({;\[]", code)
                if name:
                    own = plain("/*" + behind) if behind.endswith("*/") else ""
                    said[name.group(1)] = "\n".join(filter(None, [above, own[:1].upper() + own[1:]]))
                depth += code.count("{") - code.count("}")
    return said


def macros(include):
    """Constants that are macros: a number, a limit or a text."""
    found = {}
    for header in sorted(pathlib.Path(include, "hopscope").glob("*.h")):
        lines = re.findall(r"^#define (HS_\w+) +(\S.*?) *(?:/\*.*)?$", header.read_text(encoding="utf-8"), re.M)
        for name, value in lines:
            if value in LIMITS:
                found[name] = LIMITS[value]
            elif re.fullmatch(r'"[^"\\]*"', value):
                found[name] = value.strip('"')
            elif re.fullmatch(r"[-\d.]+", value):
                found[name] = float(value) if "." in value else int(value)
            elif shift := re.fullmatch(r"\((\d+)u << (\d+)\)", value):
                found[name] = int(shift[1]) << int(shift[2])
    return found


# ---------------------------------------------------------------- declarations


class Declarations:
    """What the declarations of a syntax tree say, in order: `structs` are the complete structures with their members, `classes`
    the names of all; `aliases` the other types by name."""

    def __init__(self):
        self.constants, self.aliases, self.structs, self.functions, self.classes = {}, {}, {}, {}, []

    def number(self, node):
        kind = type(node).__name__
        if kind == "Constant":
            return int(node.value.rstrip("uUlL"), 0)
        if kind == "ID":
            return self.constants[node.name]
        if kind == "UnaryOp":
            return {"-": lambda x: -x, "+": lambda x: x, "~": lambda x: ~x}[node.op](self.number(node.expr))
        operators = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "<<": int.__lshift__, "|": int.__or__}
        return operators[node.op](self.number(node.left), self.number(node.right))

    def enum(self, node):
        value = -1
        for one in node.values.enumerators if node.values else []:
            value = self.number(one.value) if one.value else value + 1
            self.constants[one.name] = value

    def type(self, node, parameter=False):
        """The ctypes expression of a type; None for void."""
        kind = type(node).__name__
        if kind == "TypeDecl":
            return self.type(node.type)
        if kind == "IdentifierType":
            name = " ".join(node.names)
            return None if name == "void" else self.aliases.get(name) or SCALARS.get(name) or name
        if kind == "Enum":
            return "c_int"
        if kind == "Struct":
            return node.name
        if kind == "ArrayDecl" and not parameter:
            return f"{self.type(node.type)} * {self.number(node.dim)}"
        if kind in ("PtrDecl", "ArrayDecl"):
            return self.pointer(node.type)
        if kind == "FuncDecl":
            return self.function(node)
        raise TypeError(f"generate: {kind} is not understood: {node}")

    def pointer(self, to):
        if type(to).__name__ == "FuncDecl":
            return self.function(to)
        target = self.type(to)
        if target is None:
            return "c_void_p"
        return "c_char_p" if target == "c_char" else f"POINTER({target})"

    def function(self, node):
        result = self.type(node.type)
        return f"CFUNCTYPE({', '.join(map(str, [result, *self.parameters(node)]))})"

    def parameters(self, node):
        params = node.args.params if node.args else []
        types = [self.type(p.type, parameter=True) for p in params if type(p).__name__ != "EllipsisParam"]
        return [] if types == [None] else types

    def structure(self, node):
        if node.decls is None or node.name in self.structs:
            return
        self.structs[node.name] = [(d.name, self.type(d.type)) for d in node.decls]

    def typedef(self, node):
        inner = node.type.type if type(node.type).__name__ == "TypeDecl" else node.type
        kind = type(inner).__name__
        if kind == "Enum":
            self.enum(inner)
            self.aliases[node.name] = "c_int"
        elif kind == "Struct":
            inner.name = inner.name or node.name
            if inner.name not in self.classes:
                self.classes.append(inner.name)
            self.structure(inner)
        elif node.name not in FOREIGN:
            self.aliases[node.name] = self.type(node.type)

    def walk(self, tree):
        for node in tree.ext:
            kind = type(node).__name__
            if kind == "Typedef":
                self.typedef(node)
            elif type(node.type).__name__ == "FuncDecl":
                names = [p.name or "" for p in node.type.args.params if hasattr(p, "name")] if node.type.args else []
                self.functions[node.name] = (self.type(node.type.type), self.parameters(node.type), names)
            elif type(node.type).__name__ == "Enum":
                self.enum(node.type)
            elif type(node.type).__name__ == "Struct":
                self.structure(node.type)


def status(tree):
    """Functions that return hs_status and end with an hs_error."""
    for node in tree.ext:
        if type(getattr(node, "type", None)).__name__ == "FuncDecl":
            result = getattr(getattr(node.type.type, "type", None), "names", [])
            last = node.type.args.params[-1] if node.type.args else None
            if result == ["hs_status"] and getattr(last, "name", "") == "err":
                yield node.name  # not hs_fail and hs_error_*, whose error comes first


def module(include, cc, interface):
    from pycparser import c_parser

    prelude = "".join(f"typedef int {name};\n" for name in FOREIGN)
    text = preprocessed(include, cc, "-D__attribute__(x)=")
    tree = c_parser.CParser().parse(prelude + text)
    said = comments(include)
    d = Declarations()
    d.walk(tree)
    fallible = set(status(tree))
    out = [
        '"""The C library as its public headers declare it: written by python/generate.py when the package is built."""',
        "from ctypes import *\n",
        f"INTERFACE = {interface!r}",
    ]
    out += [f"{name} = {value!r}" for name, value in {**macros(include), **d.constants}.items()]
    for name in d.classes:
        out.append(f"\n\nclass {name}(Structure):\n    {said.get(name, '')!r}\n    __slots__ = ()")
    out.append("\n")
    out += [f"{name} = {d.aliases[name]}" for name in d.aliases if d.aliases[name].startswith("CFUNCTYPE")]
    for name, fields in d.structs.items():
        out.append(f"{name}._fields_ = [{', '.join(f'({n!r}, {t})' for n, t in fields)}]")
    out.append("\nSTRUCTURES = [" + ", ".join(d.structs) + "]")
    out.append("\n# name: result, arguments, does it return a status and fill an error at its end, what the header says")
    out.append("FUNCTIONS: dict = {")
    for name, (result, types, names) in d.functions.items():
        rest = f"{name in fallible}, {names!r}, {said.get(name, '')!r}"
        out.append(f"    {name!r}: ({result}, [{', '.join(types)}], {rest}),")
    out.append("}")
    return "\n".join(out) + "\n"


def layout(include, declarations):
    """Static assertions that the compiler lays out every structure as ctypes does."""
    space = {}
    exec(compile(declarations, "declarations", "exec"), space)
    out = ["/* Written by python/generate.py: a structure that Python sees otherwise than C ends the build. */"]
    out += [f'#include "hopscope/{h.name}"' for h in sorted(pathlib.Path(include, "hopscope").glob("*.h"))]
    for one in space["STRUCTURES"]:
        name = one.__name__
        out.append(f'_Static_assert(sizeof({name}) == {ctypes.sizeof(one)}, "{name}");')
        for field, *_ in one._fields_:
            offset = getattr(one, field).offset
            out.append(f'_Static_assert(offsetof({name}, {field}) == {offset}, "{name}.{field}");')
    return "\n".join(out) + "\n"


def main():
    include, cc, interface, to, check = sys.argv[1:]
    text = module(include, cc, interface)
    pathlib.Path(to).write_text(text, encoding="utf-8")
    pathlib.Path(check).write_text(layout(include, text), encoding="utf-8")


if __name__ == "__main__":
    main()
