"""What the library reports, as exceptions: what is wrong, where, the value, and what would work."""

from __future__ import annotations

import re


class HopscopeError(Exception):
    """An error of the library. `what` is one sentence, `where` a file with its line or a setting, `value` the offending value,
    `hint` what would work, `code` the exit code that the program would have had; `file` and `line` are taken from `where`."""

    def __init__(self, what: str, where: str = "", value: str = "", hint: str = "", code: int = 1):
        self.what, self.where, self.value, self.hint, self.code = what, where, value, hint, code
        place = re.match(r"(.+):(\d+)$", where)
        self.file: str | None = place[1] if place else None
        self.line: int | None = int(place[2]) if place else None
        text = f"{where}: {what}" if where else what
        text += f": '{value}'" if value else ""
        super().__init__(text + (f"\n  {hint}" if hint else ""))


class DataError(HopscopeError, ValueError):
    """Bad data: a file, a name, a setting of a file."""


class UsageError(HopscopeError, ValueError):
    """A setting or an argument that does not exist or does not fit."""


class FileError(HopscopeError, OSError):
    """A file or folder that cannot be read or written, or that another process has."""


class OutOfMemory(HopscopeError, MemoryError):
    """Memory is out."""


class Diverged(HopscopeError, ArithmeticError):
    """Training diverged: the loss, a gradient or a weight is not finite."""


class Stopped(HopscopeError):
    """Stopped by a signal; everything is saved."""
