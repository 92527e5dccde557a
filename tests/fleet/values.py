"""One form for values of both sides, by the PostgreSQL column's type: written independently of the product's own conversion."""

from __future__ import annotations

import datetime as dt
import json
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any


def common(value: Any, kind: str) -> Any:
    """What a value of SQLite means in a column of PostgreSQL type `kind`; equal for what PostgreSQL's driver returns.

    Raises:
        ValueError, TypeError: the value has no place in such a column.
    """
    if value is None:
        return None
    return ("n", _KINDS[kind.partition("(")[0]](value))


def _exactly(*kinds: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) not in kinds:
            raise TypeError(f"{value!r} is not of {kinds}")
        return value

    return check


def _truth(value: Any) -> bool:
    if value not in (0, 1) or not isinstance(value, (bool, int)):
        raise TypeError(f"{value!r} is no boolean")
    return bool(value)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        raise TypeError("a blob in a text column")
    return value if isinstance(value, str) else repr(value)


def _double(value: Any) -> bytes:
    return struct.pack(">d", _exactly(float)(value))


def _moment(value: Any) -> dt.datetime:
    return value if isinstance(value, dt.datetime) else dt.datetime.strptime(value, "%Y-%m-%d %H:%M:%S")


def _day(value: Any) -> dt.date:
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(value)


def _number(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(repr(value))


_KINDS: dict[str, Callable[[Any], Any]] = {
    "bigint": _exactly(int),
    "integer": _exactly(int),
    "smallint": _exactly(int),
    "boolean": _truth,
    "text": _text,
    "bytea": _exactly(bytes),
    "double precision": _double,
    "numeric": _number,
    "date": _day,
    "timestamp without time zone": _moment,
}


def spelled(value: Any, kind: str) -> str | None:
    """A model's value as PostgreSQL reads it in a column of that type."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if kind == "boolean":
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def dumps(value: Any) -> str:
    """JSON on one line; bytes as {"$hex": …}."""
    return json.dumps(value, default=lambda b: {"$hex": b.hex()}, ensure_ascii=True)


def loads(text: str) -> Any:
    """The reverse of `dumps`."""
    return json.loads(text, object_hook=lambda o: bytes.fromhex(o["$hex"]) if "$hex" in o else o)
