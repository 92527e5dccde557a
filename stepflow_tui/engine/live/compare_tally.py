"""What slices of a live table add up to: digests, counts, and the rows to look at again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from stepflow_tui.engine.live.compare_places import Form, Place
from stepflow_tui.engine.model.discrepancy import Discrepancy
from stepflow_tui.engine.verify.expected import Expected

PREFIX = "live:"
"""Marks a digest as one of this module: sums of row hashes, taken slice by slice while writes went on."""

_MODULUS = 1 << 64


@dataclass(slots=True)
class Sums:
    """An order-independent digest: number of rows, and two sums of hash halves modulo 2^64. Never XOR: equal pairs cancel."""

    rows: int = 0
    high: int = 0
    low: int = 0

    def add(self, hashed: bytes) -> None:
        """One more row."""
        self.rows += 1
        self.high = (self.high + int.from_bytes(hashed[:8], "big")) % _MODULUS
        self.low = (self.low + int.from_bytes(hashed[8:16], "big")) % _MODULUS

    @property
    def digest(self) -> str:
        """The digest as verdicts show it."""
        return PREFIX + hashlib.sha256(f"{self.rows},{self.high},{self.low}".encode()).hexdigest()


def row_hash(values: Sequence[Expected]) -> bytes:
    """SHA-256 over a row's values, each with tag and length, so that no two rows share their bytes."""
    sha = hashlib.sha256()
    for value in values:
        if value is None:
            sha.update(b"n")
        elif isinstance(value, int):
            sha.update(b"i%d;" % value)
        elif isinstance(value, bytes):
            sha.update(b"b%d:" % len(value))
            sha.update(value)
        else:
            sha.update(b"w")  # no value of the target has this
    return sha.digest()


@dataclass(slots=True)
class Suspects:
    """Rows to look at again: by the source's key where the source has them, else by the target's."""

    places: list[Place] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.places) + len(self.forms)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the slices of one table have shown so far."""

    source: Sums = field(default_factory=Sums)
    target: Sums = field(default_factory=Sums)
    extra: int = 0  # rows of the target counted elsewhere
    tolerated: int = 0
    refused: list[Discrepancy] = field(default_factory=list)  # rows known not to be in the target
    seconds: float = 0.0
