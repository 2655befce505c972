"""Settings of an experiment: where they come from, what they are."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Iterator, Mapping, Union

from . import _declarations as d
from ._library import c, documented, texts, written
from ._memory import frame

Settings = Mapping[str, Any]
Source = Union[str, "os.PathLike[str]", Settings]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(str(v).replace(",", "\\,") for v in value)
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def flat(settings: Settings | None, prefix: str = "") -> dict[str, str]:
    """{"train": {"steps": 5}} and {"train.steps": 5} as {"train.steps": "5"}."""
    out: dict[str, str] = {}
    for key, value in (settings or {}).items():
        if isinstance(value, Mapping):
            out.update(flat(value, f"{prefix}{key}."))
        else:
            out[f"{prefix}{key}"] = _text(value)
    return out


def _value(kind: int, text: str) -> Any:
    if kind == d.HS_SETTING_BOOL:
        return text == "true"
    if kind in (d.HS_SETTING_U32, d.HS_SETTING_U64):
        return int(text)
    if kind in (d.HS_SETTING_FLOAT, d.HS_SETTING_DOUBLE):
        return float(text)
    return text


def _keys() -> list[d.hs_config_key]:
    n = ctypes.c_size_t()
    keys = c.hs_config_keys(n)
    return [keys[i] for i in range(n.value)]


class Config(Mapping):
    """The settings of one experiment, every default among them: config["train.lr"]. Read only; str(config) is the YAML
    of an experiment file."""

    @documented("hs_config_find")
    def __init__(self, source: Source | None = None, settings: Settings | None = None):
        """From an experiment file, a run folder, a graph file or "world", with `settings` over it; or from a dict alone."""
        self._c = d.hs_config()
        if source is None or isinstance(source, Mapping):
            given = {**flat(source), **flat(settings)}
            lines = texts([f"{k}={v}" for k, v in given.items()])
            c.hs_config_parse(self._c, "settings", "{}", 2, lines, len(given))
        else:
            given = flat(settings)
            c.hs_config_find(self._c, source, texts([f"{k}={v}" for k, v in given.items()]), len(given))

    @classmethod
    def _of(cls, config: d.hs_config) -> "Config":
        self = cls.__new__(cls)
        self._c = config
        return self

    def __getitem__(self, key: str) -> Any:
        row = c.hs_config_key_find(key)
        if not row:
            raise KeyError(key)
        return _value(row[0].setting.type, written(c.hs_config_get, self._c, row))

    def __iter__(self) -> Iterator[str]:
        return (row.key.decode() for row in _keys())

    def __len__(self) -> int:
        return len(_keys())

    def __str__(self) -> str:
        return written(c.hs_config_write, self._c)

    def __repr__(self) -> str:
        return f"<hopscope.Config of {len(self)} settings>"


def settings() -> Any:
    """Every setting there is, its default, what fits and its help, as a DataFrame (docs/configuration.md)."""
    default, rows = Config(), []
    for row in _keys():
        out = ctypes.create_string_buffer(1024)
        c.hs_setting_range(row.setting, out, len(out))
        key = row.key.decode()
        rows.append((key, default[key], out.value.decode(), row.setting.help.decode()))
    return frame(dict(zip(("key", "default", "fits", "help"), zip(*rows))), "key")
