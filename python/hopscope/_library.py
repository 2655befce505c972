"""The C library: loaded, checked against the declarations that were made from its headers, called.

Functions are attributes of `c`: text goes in and comes out as str, and a function that can fail raises instead of returning
a status. ctypes releases the interpreter's lock during every call."""

from __future__ import annotations

import ctypes
import os
import pathlib
import signal
import threading
from typing import Any, Callable, TypeVar

from . import _declarations as d
from . import errors

_T = TypeVar("_T")

PATH = os.environ.get("HOPSCOPE_LIBRARY") or str(pathlib.Path(__file__).with_name("libhopscope.so"))


def _load(path: str) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(
            f"hopscope: the C library cannot be loaded: {error}\n"
            "  the libraries it needs come with tools/install-deps.sh; HOPSCOPE_LIBRARY names another libhopscope"
        ) from None
    there, version = "", "an unknown version, without hs_interface"
    if hasattr(library, "hs_interface"):
        library.hs_interface.restype = library.hs_version.restype = ctypes.c_char_p
        there, version = library.hs_interface().decode(), library.hs_version().decode()
    if there != d.INTERFACE:
        raise ImportError(
            f"hopscope: {path} is not the library that this package was made for: its functions and structures are those of "
            f"{version} (interface {there or '?'}), not {d.HS_VERSION} (interface {d.INTERFACE})\n"
            "  install package and library from the same sources, and let HOPSCOPE_LIBRARY name no other one"
        )
    return library


class _Text:
    """An argument `const char *`: str, bytes, a path, a buffer of characters or None."""

    @classmethod
    def from_param(cls, value: Any) -> Any:
        if isinstance(value, (str, os.PathLike)):
            value = os.fsencode(value)
            if b"\0" in value:
                raise ValueError("text with a NUL character")
        return ctypes.c_char_p.from_param(value)


_KINDS = {
    d.HS_ERR_USAGE: errors.UsageError,
    d.HS_ERR_MEMORY: errors.OutOfMemory,
    d.HS_ERR_DATA: errors.DataError,
    d.HS_ERR_IO: errors.FileError,
    d.HS_ERR_DIVERGED: errors.Diverged,
    d.HS_STOPPED_INT: errors.Stopped,
    d.HS_STOPPED_TERM: errors.Stopped,
    d.HS_STOPPED_REQUEUE: errors.Stopped,
}


def _raise(status: int, err: d.hs_error) -> None:
    what, where, value, hint = (getattr(err, name).decode("utf-8", "replace") for name in ("what", "where", "value", "hint"))
    what = what or c.hs_status_sentence(status)
    raise _KINDS.get(status, errors.HopscopeError)(what, where, value, hint, c.hs_status_exit_code(status))


class _Functions:
    """Each function of the headers, bound when it is first asked for."""

    def __init__(self, library: ctypes.CDLL):
        self._library = library

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            result, types, fallible, names, doc = d.FUNCTIONS[name]
        except KeyError:
            raise AttributeError(name) from None
        function = getattr(self._library, name)
        function.argtypes = [_Text if t is ctypes.c_char_p else t for t in types]
        function.restype = result
        call = function
        if fallible:

            def call(*arguments: Any) -> None:
                err = d.hs_error()
                status = function(*arguments, err)
                if status != d.HS_OK:
                    _raise(status, err)

        elif result is ctypes.c_char_p:

            def call(*arguments: Any) -> str | None:
                text = function(*arguments)
                return None if text is None else text.decode("utf-8", "replace")

        call.__doc__ = f"{name}({', '.join(names[:-1] if fallible else names)})\n\n{doc}"
        setattr(self, name, call)
        return call


c = _Functions(_load(PATH))


def documented(name: str) -> Callable[[_T], _T]:
    """Adds what the header says of a C function to a docstring."""

    def add(to: _T) -> _T:
        to.__doc__ = f"{to.__doc__ or ''}\n\n{name}: {d.FUNCTIONS[name][4]}"
        return to

    return add


def texts(values: Any) -> ctypes.Array:
    """A `const char *const *` of str."""
    values = [os.fsencode(v) for v in values]
    return (ctypes.c_char_p * max(len(values), 1))(*values)


def written(function: Callable[..., Any], *arguments: Any) -> str:
    """What a function appends to the hs_str that is its last argument."""
    out = d.hs_str()
    try:
        function(*arguments, out)
        if out.failed:
            raise errors.OutOfMemory("out of memory")
        return (out.s or b"").decode("utf-8", "replace")
    finally:
        c.hs_str_free(out)


def interruptible(signals: d.hs_signals, call: Callable[[], Any]) -> Any:
    """call() in a thread, while this one waits for Ctrl-C: then the call is asked to stop and, once it has saved,
    KeyboardInterrupt is raised. In a thread that gets no signals: call()."""
    if threading.current_thread() is not threading.main_thread():
        return call()
    outcome: list[Any] = []
    done = threading.Event()

    def work() -> None:
        try:
            outcome.append((call(), None))
        except BaseException as error:  # handed over to the thread that waits
            outcome.append((None, error))
        done.set()

    threading.Thread(target=work, name="hopscope").start()
    interrupted = False
    while not done.is_set():
        try:
            done.wait()
        except KeyboardInterrupt:
            interrupted = True
            c.hs_signals_stop(signals, signal.SIGINT)
    result, error = outcome[0]
    if error is not None and not (interrupted and isinstance(error, errors.Stopped)):
        raise error
    if interrupted:
        raise KeyboardInterrupt
    return result


class noted:
    """Ctrl-C during a short call in this thread: the call is asked to stop, and KeyboardInterrupt raised when it has returned.

    with noted(signals): call(), as often as wanted."""

    def __init__(self, signals: d.hs_signals):
        self._signals = signals
        self._came: tuple[Any, ...] | None = None
        self._before: Any = None

    def _note(self, *at: Any) -> None:
        self._came = at
        c.hs_signals_stop(self._signals, signal.SIGINT)

    def __enter__(self) -> None:
        self._came = None
        self._before = signal.getsignal(signal.SIGINT)
        self._ours = callable(self._before) and threading.get_ident() == threading.main_thread().ident
        if self._ours:
            signal.signal(signal.SIGINT, self._note)

    def __exit__(self, *_: Any) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, self._before)
        if self._came:
            self._before(*self._came)
