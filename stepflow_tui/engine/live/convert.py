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
    """A converted row: what is sent, its key as the source stores it, its log entry, and storage classes that the target's
    columns do not tell."""

    csv: CsvLine
    key: tuple[Value | None, ...]
    n: int
    classes: tuple[StorageClass, ...]


class Codec:
    """The conversion of one table. `places` are the key's columns among the copied ones, `width` is their number."""

    def __init__(self, table: TablePlan, job: TailJob) -> None:
        self.table = table
        self._mask = job.mask
        self._encoders = [encoder(c, replace=job.replace) for c in table.copied]
        self._steps = list(zip(table.copied, self._encoders, strict=True))
        plain = [(i, _PLAIN.get(c.type.kind)) for i, c in enumerate(table.copied)]
        self._plain = [(i, kinds) for i, kinds in plain if kinds is not None]
        places = {c.source: i for i, c in enumerate(table.copied)}
        self.places = tuple(places[name] for name in table.live_key)
        self.width = len(self.places)

    @property
    def hidden(self) -> frozenset[str]:
        """The target's names of the sensitive columns."""
        return frozenset(c.target for c in self.table.columns if self._mask.covers(self.table.source, c.source))

    def key(self, values: Sequence[Value | None]) -> tuple[str, ...] | None:
        """A key in the target's text form; None for one that no row of the target can have."""
        try:
            parts = [_text(self._encoders[i](v)) for i, v in zip(self.places, values, strict=True) if v is not None]
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
        key = tuple([values[i] for i in self.places])
        for (column, encode), value in zip(self._steps, values, strict=True):
            try:
                fields.append(target_field(column, encode, value))
            except Refusal as refusal:
                return self.poison(key, n, column.source, refusal.reason)
        if None in key:
            return self.poison(key, n, self.table.live_key[key.index(None)], "NULL in the key")
        return Line(csv_line(fields), key, n, self.classes(key, values))

    def poison(self, key: Sequence[Value | None], n: int, column: str | None, reason: str) -> Poison:
        """A row that the target can't hold, named as it may be shown."""
        return Poison(table=self.table.source, key=self.shown(key), column=column, reason=reason, n=n)

    def classes(self, key: Sequence[Value | None], values: Sequence[Value | None]) -> tuple[StorageClass, ...]:
        """Storage classes of a row's values that the target's columns do not tell."""
        odd = [
            (i, type(value))
            for i, plain in self._plain
            if (value := values[i]) is not None and type(value) not in plain
        ]
        text = self.key(key) if odd else None
        if text is None:
            return ()
        return tuple(
            StorageClass(table=self.table.source, key=text, column=self.table.copied[i].source, storage=_STORAGE[kind])
            for i, kind in odd
        )


def _text(field: bytes | LongBlob) -> str:
    return (field if isinstance(field, bytes) else b"".join(field.pieces())).decode()


def _shown(value: object) -> str:
    """PostgreSQL's text can't hold a NUL character."""
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return value.replace("\x00", "\\0") if isinstance(value, str) else repr(value)
