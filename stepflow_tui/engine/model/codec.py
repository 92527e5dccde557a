"""Values to JSON and back. JSON only, no pickle: a journal is data, never code.

A dataclass field marked `PRIVATE` is left out: it is for this process only.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from enum import Enum
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

PRIVATE = {"private": True}
"""Metadata of fields that are never written down."""


def to_plain(value: Any) -> Any:
    """Dataclasses, enums, tuples and bytes as JSON-ready values; bytes become `{"$hex": …}`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value) if not f.metadata.get("private")
        }
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$hex": bytes(value).hex()}
    if isinstance(value, dict):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(v) for v in value]
    return value


def dumps(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, so that equal values have equal text."""
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def loads(cls: type[T], text: str) -> T:
    """The inverse of `dumps` for a dataclass, a tuple or a scalar type.

    Raises:
        TypeError, ValueError, KeyError: the text does not describe a `cls`.
    """
    return typing.cast(T, from_plain(cls, json.loads(text)))


def from_plain(hint: Any, data: Any) -> Any:
    """Build a value of type `hint` from JSON data."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _from_union(hint, data)
    if origin is tuple:
        item = typing.get_args(hint)
        if len(item) == 2 and item[1] is Ellipsis:
            return tuple(from_plain(item[0], v) for v in data)
        return tuple(from_plain(h, v) for h, v in zip(item, data, strict=True))
    if origin is list:
        return [from_plain(typing.get_args(hint)[0], v) for v in data]
    if origin is dict:
        return {k: from_plain(typing.get_args(hint)[1], v) for k, v in data.items()}
    if hint is Any:
        return data
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        hints = _hints(hint)
        return hint(**{k: from_plain(hints[k], v) for k, v in data.items() if k in hints})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(data)
    if hint is bytes:
        return bytes.fromhex(data["$hex"])
    if hint is float and isinstance(data, int):
        return float(data)
    return data


def _from_union(hint: Any, data: Any) -> Any:
    options = typing.get_args(hint)
    if data is None and type(None) in options:
        return None
    real = [o for o in options if o is not type(None)]
    if isinstance(data, dict) and "$hex" in data and bytes in real:
        return bytes.fromhex(data["$hex"])
    if len(real) == 1:
        return from_plain(real[0], data)
    return data


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)
