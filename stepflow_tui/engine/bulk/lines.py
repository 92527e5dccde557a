"""Converted rows as CSV, the text form that every type of the target takes, in messages of bounded size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from stepflow_tui.engine.bulk.exact import LONG, Encode, Field, LongBlob
from stepflow_tui.engine.bulk.values import Refusal, Value
from stepflow_tui.engine.model.plan import ColumnPlan


@dataclass(frozen=True, slots=True)
class CsvLine:
    """One row, ready to be sent. `size` in bytes of text."""

    parts: tuple[Field, ...]
    size: int


def target_field(column: ColumnPlan, encode: Encode, value: Value | None) -> Field | None:
    """A value's text, None for NULL. Raises Refusal where the column can't hold it."""
    if value is not None:
        return encode(value)
    if column.not_null:
        raise Refusal("NULL where the target column is NOT NULL")
    return None


def csv_line(fields: Sequence[Field | None]) -> CsvLine:
    """CSV: NULL is bare, all else stands in quotes, so that an empty text is no NULL and `\\.` no end of data."""
    if not any(isinstance(f, LongBlob) for f in fields):
        text = b",".join(
            b"" if f is None else b'"' + f.replace(b'"', b'""') + b'"' for f in fields if not isinstance(f, LongBlob)
        )
        return CsvLine((text, b"\n"), len(text))
    parts: list[Field] = []
    for f in fields:
        quoted = f.replace(b'"', b'""') if isinstance(f, bytes) else f
        parts += [b","] if quoted is None else [b'"', quoted, b'",']
    last = parts.pop()
    assert isinstance(last, bytes)
    parts.append(last[:-1] + b"\n")
    return CsvLine(tuple(parts), sum(len(p) if isinstance(p, bytes) else 2 * len(p.value) for p in parts))


async def pieces(lines: Iterable[CsvLine]) -> AsyncIterator[bytes]:
    """The lines in messages of bounded size; short lines are put together."""
    held: list[bytes] = []
    size = 0
    for part in (part for line in lines for part in line.parts):
        for piece in _slices(part):
            held.append(piece)
            size += len(piece)
            if size >= LONG // 4:
                yield b"".join(held)
                held, size = [], 0
    yield b"".join(held)


def _slices(part: Field) -> Iterator[bytes]:
    if isinstance(part, LongBlob):
        yield from part.pieces()
    elif len(part) <= LONG:
        yield part
    else:
        yield from (part[start : start + LONG] for start in range(0, len(part), LONG))
