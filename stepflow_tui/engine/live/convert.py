"""Keys and rows of one captured table in the target's text form, and what keeps a row out of the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stepflow_tui.engine.bulk.exact import LongBlob, encoder
from stepflow_tui.engine.bulk.lines import CsvLine, csv_line, target_field
from stepflow_tui.engine.bulk.values import BadText, Refusal, Value, scalar
from stepflow_tui.engine.live.tail_job import TailJob
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.postgres.progress import Poison, StorageClass

_Types = frozenset[type]
_INTEGERS: _Types = frozenset({int})
_NUMBERS: _Types = frozenset({int, float})
_TEXTS: _Types = frozenset({str, BadText})
_BLOBS: _Types = frozenset({bytes})
_PLAIN: dict[Kind, _Types] = {
    Kind.INTEGER: _INTEGERS,
    Kind.BOOLEAN: _INTEGERS,
    Kind.REAL: frozenset({float}),
    Kind.DECIMAL: _NUMBERS,  # integer or real: the column's affinity decides, on the way back too
    Kind.EPOCH: _NUMBERS,
    Kind.TEXT: _TEXTS,
    Kind.JSONB: _TEXTS,
    Kind.TIMESTAMP: _TEXTS,
    Kind.DATE: _TEXTS,
    Kind.MIXED_TEXT: _TEXTS,
    Kind.BLOB: _BLOBS,
}
"""Python types of the storage class that a value of a column has unless `_stepflow.class` says otherwise.

Kinds that are not named tell the class by themselves (MIXED_BYTEA), or PostgreSQL parses their text (OTHER).
"""

_STORAGE: dict[type, str] = {int: "integer", float: "real", str: "text", BadText: "text", bytes: "blob"}


@dataclass(frozen=True, slots=True)
class Line:
    """A converted row: what is sent, its key (the target's text form), how it is named if it is refused, and storage
    classes that the target's columns do not tell."""

    csv: CsvLine
    key: tuple[str, ...]
    shown: tuple[str, ...]
    n: int
    classes: tuple[StorageClass, ...]


class Codec:
    """The conversion of one table. `width` is the number of key columns."""

    def __init__(self, table: TablePlan, job: TailJob) -> None:
        self.table = table
        self._mask = job.mask
        self._encoders = [encoder(c, replace=job.replace) for c in table.copied]
        self._plain = [_PLAIN.get(c.type.kind) for c in table.copied]
        places = {c.source: i for i, c in enumerate(table.copied)}
        self._key = tuple(places[name] for name in table.live_key)
        self.width = len(self._key)

    @property
    def hidden(self) -> frozenset[str]:
        """The target's names of the sensitive columns."""
        return frozenset(c.target for c in self.table.columns if self._mask.covers(self.table.source, c.source))

    def key(self, values: Sequence[Value | None]) -> tuple[str, ...] | None:
        """A key in the target's text form; None for one that no row of the target can have."""
        try:
            parts = [_text(self._encoders[i](v)) for i, v in zip(self._key, values, strict=True) if v is not None]
        except Refusal:
            return None
        return tuple(parts) if len(parts) == self.width else None

    def shown(self, values: Sequence[Value | None]) -> tuple[str, ...]:
        """A key as the quarantine names it: the same for every state of the row, and masked where it is sensitive."""
        return tuple(
            _shown(self._mask.shown(self.table.source, name, scalar(v)))
            for name, v in zip(self.table.live_key, values, strict=True)
        )

    def line(self, values: Sequence[Value | None], n: int) -> Line | Poison:
        """A row as it is sent, or why it can't be."""
        fields = []
        shown = self.shown([values[i] for i in self._key])
        for column, encode, value in zip(self.table.copied, self._encoders, values, strict=True):
            try:
                fields.append(target_field(column, encode, value))
            except Refusal as refusal:
                return Poison(table=self.table.source, key=shown, column=column.source, reason=refusal.reason, n=n)
        key = []
        for i in self._key:
            part = fields[i]
            if part is None:
                reason = "NULL in the key"
                return Poison(
                    table=self.table.source, key=shown, column=self.table.copied[i].source, reason=reason, n=n
                )
            key.append(_text(part))
        return Line(csv_line(fields), tuple(key), shown, n, self._classes(tuple(key), values))

    def _classes(self, key: tuple[str, ...], values: Sequence[Value | None]) -> tuple[StorageClass, ...]:
        return tuple(
            StorageClass(table=self.table.source, key=key, column=column.source, storage=_STORAGE[type(value)])
            for column, plain, value in zip(self.table.copied, self._plain, values, strict=True)
            if value is not None and plain is not None and type(value) not in plain
        )


def _text(field: bytes | LongBlob) -> str:
    return (field if isinstance(field, bytes) else b"".join(field.pieces())).decode()


def _shown(value: object) -> str:
    """PostgreSQL's text can't hold a NUL character."""
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return value.replace("\x00", "\\0") if isinstance(value, str) else repr(value)
