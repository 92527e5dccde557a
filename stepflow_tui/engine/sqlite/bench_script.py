"""What the clients of a benchmark ask, request by request: the same on every side, made of sampled rows and keys. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

INSERT_SHARE = 0.75
"""Of the writes; the others rewrite a row that is there."""
POINT_SHARE = 0.8
"""Of the reads by key; the others read a short range."""


@dataclass(frozen=True, slots=True)
class Request:
    """Statements that are answered as one; more than one stand in a transaction."""

    statements: tuple[tuple[str, tuple[Any, ...]], ...]
    inserted: int

    @property
    def operations(self) -> int:
        """How many operations it counts for."""
        return len(self.statements)


class Script:
    """The requests of one client in one measurement.

    Args:
        shape: from `bench_shape`, values decoded.
        kind: write, batch, read, join, text.
        seed: the same on both sides of a round.
        first: where this client's new keys begin, counted from those that are there; no two clients share a million.
        batch: rows per transaction, of kind batch.
    """

    def __init__(self, shape: dict[str, Any], kind: str, *, seed: int, first: int, batch: int) -> None:
        self._shape, self._kind, self._batch = shape, kind, batch
        self._random = random.Random(seed)  # noqa: S311 - the same requests on both sides, not a secret
        self._fresh = first

    def next(self) -> Request:
        """The next request."""
        if self._kind == "write":
            return self._write()
        if self._kind == "batch":
            return Request(tuple(self._insert() for _ in range(self._batch)), self._batch)
        return Request((self._read(),), 0)

    def _write(self) -> Request:
        rewrite = self._shape["update"] is not None and self._random.random() >= INSERT_SHARE
        return Request((self._rewrite(),), 0) if rewrite else Request((self._insert(),), 1)

    def _insert(self) -> tuple[str, tuple[Any, ...]]:
        self._fresh += 1
        return "insert", fresh_row(self._shape, self._random.choice(self._shape["templates"]), self._fresh)

    def _rewrite(self) -> tuple[str, tuple[Any, ...]]:
        row = self._random.choice(self._shape["templates"])
        return "update", rewritten(self._shape, row)

    def _read(self) -> tuple[str, tuple[Any, ...]]:
        if self._kind == "text":
            return "text", (self._random.choice(self._shape["words"]),)
        if self._kind == "join":
            return "join", tuple(self._random.choice(self._shape["join_keys"]))
        name = "point" if self._random.random() < POINT_SHARE else "range"
        return name, tuple(self._random.choice(self._shape["keys"]))


def fresh_row(shape: dict[str, Any], template: list[Any], number: int) -> tuple[Any, ...]:
    """A row like an existing one, with values of its own wherever the table wants them unique."""
    row = list(template)
    for at, base in shape["fresh"]:
        row[at] = f"{row[at]}~{number}" if base is None else base + number
    return tuple(row)


def rewritten(shape: dict[str, Any], row: list[Any]) -> tuple[Any, ...]:
    """Parameters of the update: the value that stands there (so that every rule of the table is kept), and the key."""
    return (row[shape["update"]], *(row[at] for at in shape["key"]))


def encoded(value: Any) -> Any:
    """A value of a row, JSON-ready."""
    if isinstance(value, bytes):
        return {"$hex": value.hex()}
    if isinstance(value, (list, tuple)):
        return [encoded(v) for v in value]
    return value


def decoded(value: Any) -> Any:
    """The inverse of `encoded`."""
    if isinstance(value, dict):
        return bytes.fromhex(value["$hex"])
    return [decoded(v) for v in value] if isinstance(value, list) else value


def decoded_shape(shape: dict[str, Any]) -> dict[str, Any]:
    """A shape as it came over the pipe, ready for `Script`."""
    return shape | {name: decoded(shape[name]) for name in ("templates", "keys", "join_keys")}
