"""Memory of the C library as NumPy arrays, and its rows as columns. An array that views C memory keeps its owner alive."""

from __future__ import annotations

import ctypes
from typing import Any
import weakref

import numpy as np

from ._library import c
from . import errors


class _Span:
    """What NumPy needs to know of memory that belongs to `owner`: it becomes the base of the array."""

    def __init__(self, owner: Any, address: int, shape: tuple[int, ...], dtype: np.dtype, writable: bool):
        self.owner = owner
        self.__array_interface__ = {
            "version": 3, "data": (address, not writable), "shape": shape, "typestr": dtype.str, "descr": dtype.descr,
        }  # fmt: skip


def view(owner: Any, pointer: Any, shape: tuple[int, ...], dtype: Any, writable: bool = False) -> np.ndarray:
    """An array over C memory, without a copy."""
    dtype = np.dtype(dtype)
    address = ctypes.cast(pointer, ctypes.c_void_p).value if pointer else None
    if address is None or 0 in shape:
        return np.empty(shape, dtype)
    return np.asarray(_Span(owner, address, shape, dtype, writable))


class Buffer:
    """`n` floats of the library's memory, released with the last array over them."""

    def __init__(self, n: int):
        address = c.hs_alloc(max(n, 1) * 4)
        if not address:
            raise errors.OutOfMemory(f"out of memory: {4 * n:,} bytes")
        self.pointer = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
        weakref.finalize(self, c.hs_free, address)

    def array(self, *shape: int) -> np.ndarray:
        return view(self, self.pointer, shape, np.float32, writable=True)


def floats(array: np.ndarray) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def words32(array: np.ndarray) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32))


def _dtype(structure: Any) -> np.dtype:
    """The NumPy type of a C structure: arrays of characters as text, structures inside flattened by their names."""
    found: list[tuple[str, Any, int]] = []

    def add(one: Any, base: int) -> None:
        for name, kind in one._fields_:
            offset = base + getattr(one, name).offset
            if issubclass(kind, ctypes.Structure):
                add(kind, offset)
            elif issubclass(kind, ctypes.Array) and kind._type_ is ctypes.c_char:
                found.append((name, f"S{kind._length_}", offset))
            elif not issubclass(kind, (ctypes.c_char_p, ctypes._Pointer)):
                found.append((name, np.dtype(kind), offset))

    add(structure, 0)
    names, formats, offsets = zip(*found)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": ctypes.sizeof(structure)})


def columns(structure: Any, pointer: Any, n: int) -> dict[str, np.ndarray]:
    """Rows of a structure as columns, copied."""
    dtype = _dtype(structure)
    data = ctypes.string_at(pointer, n * dtype.itemsize) if n else b""
    rows = np.frombuffer(data, dtype)
    text = {k for k in dtype.names or () if rows[k].dtype.kind == "S"}
    return {k: np.char.decode(rows[k], "utf-8").astype(object) if k in text else rows[k].copy() for k in dtype.names or ()}


def taken(function: Any, structure: Any, *arguments: Any) -> dict[str, np.ndarray]:
    """The rows that a function allocates (its last two arguments are `**rows, *n`) as columns; they are freed."""
    rows, n = ctypes.POINTER(structure)(), ctypes.c_size_t()
    function(*arguments, rows, n)
    try:
        return columns(structure, rows, n.value)
    finally:
        c.hs_free(rows)


def frame(data: dict[str, Any], index: str | list[str] | None = None) -> Any:
    """A pandas DataFrame."""
    try:
        import pandas
    except ImportError:
        raise ImportError("hopscope: tables are pandas DataFrames, and pandas is not installed: pip install pandas") from None
    table = pandas.DataFrame(data)
    return table.set_index(index) if index else table
