"""The index of a write-ahead log (`-shm`) as bytes, and what its read marks mean. Pure: no file is opened here.

Layout of its first 136 bytes, native byte order: https://www.sqlite.org/walformat.html, section 2.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

INDEX_BYTES = 136
MARKS = 5
_HEADER_BYTES = 48
_UNUSED = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What the index tells.

    `frames`: in the log. `checkpointed`: of them in the database already. `marks`: where the five read marks stand. `salt`
    counts how often the log was begun anew, `change` the transactions; both wrap at 2**32.
    """

    frames: int
    checkpointed: int
    marks: tuple[int, ...]
    salt: int = 0
    change: int = 0
    page_size: int = 0


def parse_index(data: bytes) -> Index | None:
    """The index in these bytes; None while it is not set up, or half written."""
    if len(data) < INDEX_BYTES or data[:_HEADER_BYTES] != data[_HEADER_BYTES : 2 * _HEADER_BYTES] or not data[12]:
        return None
    change, _, _, page_size, frames = struct.unpack_from("=IBBHI", data, 8)
    (salt,) = struct.unpack_from(">I", data, 32)  # kept as it stands in the log, whatever the machine's order
    checkpointed, *marks = struct.unpack_from("=6I", data, 2 * _HEADER_BYTES)
    return Index(
        frames=frames,
        checkpointed=checkpointed,
        marks=tuple(marks),
        salt=salt,
        change=change,
        page_size=65_536 if page_size == 1 else page_size,
    )


def pinning(index: Index, held: Iterable[tuple[int, int]]) -> list[dict[str, Any]]:
    """Those readers that hold back frames: a checkpoint can't pass their mark.

    A reader of mark 0 reads the database file alone, so nothing can be written into it while frames are outstanding.

    Args:
        held: process and read mark of every lock.
    """
    found = []
    for pid, slot in held:
        mark = index.checkpointed if slot == 0 else index.marks[slot]
        if mark != _UNUSED and mark < index.frames:
            found.append({"pid": pid, "slot": slot, "mark": mark})
    return found
