"""Sensitive columns: which ones are, and what is shown of their values. Pure rules; the key comes from whoever has it.

A value of such a column leaves the engine as a keyed fingerprint only: equal values have equal fingerprints within one
state directory, and nobody without its key can try values out. True values stay where undoing needs them: in the backup,
in the target itself, and in `before-images.ndjson` of a repaired run.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from stepflow_tui.engine.model.discrepancy import Scalar
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.model.sensitive_names import proposed

if TYPE_CHECKING:
    from stepflow_tui.engine.model.plan import TablePlan

FINGERPRINT = re.compile(r"#fp:[0-9a-f]{10}")
"""What stands in the place of a value. In SQL it stands without quotes: such a statement can't be run by mistake."""

_PURPOSE = b"stepflow: fingerprints of sensitive values"
_DIGITS = 10


class Why(StrEnum):
    """Why a column is sensitive."""

    CONFIGURED = "configured"  # a line in `sensitive`
    NAME = "name"  # proposed by its name
    TIED = "tied"  # a foreign key or an expression carries values of a sensitive column into it


Sensitive = dict[str, dict[str, str]]
"""Source table → column → why, all as the source writes them."""


def sensitive_columns(schema: SourceSchema, configured: Mapping[str, Iterable[str]]) -> Sensitive:
    """The sensitive columns of a source, in the catalog's order, each with the first reason that holds.

    Names are compared as SQLite does. Configured tables and columns that do not exist are left out: a check names them.
    """
    wanted = {(t.lower(), c.lower()) for t, columns in configured.items() for c in columns}
    found: dict[tuple[str, str], Why] = {}
    for table in schema.tables:
        for column in table.columns:
            place = (table.name.lower(), column.name.lower())
            if place in wanted:
                found[place] = Why.CONFIGURED
            elif proposed(column.name):
                found[place] = Why.NAME
    ties = list(_ties(schema))
    while more := [to for source, to in ties if source in found and to not in found]:
        found.update(dict.fromkeys(more, Why.TIED))
    named: Sensitive = {}
    for table in schema.tables:
        why = {c.name: found.get((table.name.lower(), c.name.lower())) for c in table.columns}
        if any(why.values()):
            named[table.name] = {c: w.value for c, w in why.items() if w is not None}
    return named


def _ties(schema: SourceSchema) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Pairs of columns of which the second holds values of the first: references, and computed columns."""
    for table in schema.tables:
        name = table.name.lower()
        for key in table.foreign_keys:
            for child, parent in zip(key.columns, key.ref_columns, strict=False):
                yield (key.ref_table.lower(), parent.lower()), (name, child.lower())
        for computed in (c for c in table.columns if c.expression):
            text = (computed.expression or "").lower()
            for column in table.columns:
                if column is not computed and column.name.lower() in text:
                    yield (name, column.name.lower()), (name, computed.name.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """Shows values of sensitive columns as fingerprints.

    Args:
        key: of the state directory (`mask_key`); it never leaves the engine's processes.
        columns: source table → its sensitive columns, as the source writes them.
    """

    key: bytes = field(default=b"", repr=False)
    columns: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def covers(self, table: str, column: str | None) -> bool:
        """Whether values of a column are hidden. No column known: whether the table has any such column."""
        hidden = self.columns.get(table, frozenset())
        return bool(hidden) if column is None else column in hidden

    def of(self, table: str) -> Mask:
        """The mask of one table."""
        return Mask(key=self.key, columns={t: c for t, c in self.columns.items() if t == table})

    def fingerprint(self, value: Scalar) -> str:
        """The fingerprint of a value and its storage class: 1, 1.0 and '1' have different ones."""
        digest = hmac.new(self.key, _canonical(value), hashlib.sha256)
        return f"#fp:{digest.hexdigest()[:_DIGITS]}"

    def shown(self, table: str, column: str, value: Scalar) -> Scalar:
        """A value as it may be shown: a fingerprint where the column is sensitive; NULL is no secret."""
        if value is None or not self.covers(table, column) or is_fingerprint(value):
            return value
        return self.fingerprint(value)

    def shown_key(self, table: str, key: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """A row's key as it may be shown."""
        return {column: self.shown(table, column, value) for column, value in key.items()}


NO_MASK = Mask()
"""Hides nothing: for tables without a sensitive column."""


def is_fingerprint(value: object) -> bool:
    """Whether a value is a fingerprint already."""
    return isinstance(value, str) and FINGERPRINT.fullmatch(value) is not None


def hidden_names(mask: Mask, *tables: TablePlan) -> frozenset[str]:
    """The target's names of the sensitive columns of these tables."""
    return frozenset(c.target for t in tables for c in t.columns if mask.covers(t.source, c.source))


def mask_key(secret: bytes) -> bytes:
    """The key of fingerprints, made from the state directory's secret: one can't be worked out from the other."""
    return hmac.new(secret, _PURPOSE, hashlib.sha256).digest()


def make_mask(key: bytes, *sensitive: Sensitive) -> Mask:
    """One mask over all columns that any of these say are sensitive."""
    columns: dict[str, frozenset[str]] = {}
    for found in sensitive:
        for table, names in found.items():
            columns[table] = columns.get(table, frozenset()) | frozenset(names)
    return Mask(key=key, columns=columns)


def _canonical(value: Scalar) -> bytes:
    """Storage class and bytes."""
    if isinstance(value, bytes):
        return b"b" + bytes(value)
    if isinstance(value, str):
        return b"t" + value.encode("utf-8", "surrogatepass")
    return f"{'r' if isinstance(value, float) else 'i'}{value!r}".encode()
