"""Columns tied by foreign keys, directly or through others, share one PostgreSQL type; otherwise no key could be made.

Owns who belongs to whom, and which types are tried for a family, strongest first. The census counts and picks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stepflow_tui.engine.model.config import DateUnit
from stepflow_tui.engine.model.schema import SourceSchema, TableKind
from stepflow_tui.engine.model.types import ColumnType, Kind
from stepflow_tui.engine.plan.declared import BIGINT, BYTEA, MAX_SCALE, MIXED_BYTEA, MIXED_TEXT, TEXT
from stepflow_tui.engine.plan.profile import Profile
from stepflow_tui.engine.plan.targets import resolve

Ref = tuple[str, str]
"""Table and column, as the schema spells them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A column of a family with its own type and what its values are. `wished`: asked for by name."""

    ref: Ref
    type: ColumnType
    profile: Profile
    wished: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is no value, so that any type suits it."""
        return not self.profile.values


def families(schema: SourceSchema, known: Iterable[Ref]) -> tuple[tuple[Ref, ...], ...]:
    """Groups of two and more columns tied by foreign keys, in schema order.

    Args:
        schema: the source; keys to missing tables or columns tie nothing.
        known: the columns that have a type.
    """
    refs = tuple(known)
    root: dict[Ref, Ref] = {ref: ref for ref in refs}
    for child, parent in _ties(schema):
        if child in root and parent in root:
            root[_top(root, child)] = _top(root, parent)
    groups: dict[Ref, list[Ref]] = {}
    for ref in refs:
        groups.setdefault(_top(root, ref), []).append(ref)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _top(root: dict[Ref, Ref], ref: Ref) -> Ref:
    while root[ref] != ref:
        root[ref] = root[root[ref]]
        ref = root[ref]
    return ref


def _ties(schema: SourceSchema) -> Iterable[tuple[Ref, Ref]]:
    for table in schema.tables:
        if table.kind is not TableKind.ORDINARY:
            continue
        for key in table.foreign_keys:
            for column, ref_column in zip(key.columns, key.ref_columns, strict=False):
                try:
                    parent = schema.table(key.ref_table)
                    yield (table.name, table.column(column).name), (parent.name, parent.column(ref_column).name)
                except KeyError:
                    continue


def attempts(members: Sequence[Member]) -> tuple[tuple[ColumnType, ...], ...]:
    """Types to try for a family, each aligned with `members`; the last one always holds every value.

    Empty when nothing has to change, or when the wishes contradict each other (see `conflict`).
    """
    if conflict(members):
        return ()
    own = tuple(m.type for m in members)
    wished = next((m.type for m in members if m.wished), None)
    tries = (
        (tuple(m.type if m.wished else _like(m, wished) for m in members),) if wished is not None else _agreed(members)
    )
    return () if tries and tries[0] == own else tries


def conflict(members: Sequence[Member]) -> bool:
    """Whether different types were asked for by name."""
    return len({m.type.sql for m in members if m.wished}) > 1


def _like(member: Member, wished: ColumnType) -> ColumnType:
    """The wished type as it suits this member's values (texts made of numbers, forms of times)."""
    unit = DateUnit(wished.unit.value) if wished.unit is not None else None
    found = resolve(wished.sql, member.profile, unit=unit)
    return wished if found is None else found.type


_NUMBERS = frozenset({Kind.INTEGER, Kind.BOOLEAN, Kind.DECIMAL, Kind.REAL})
_TEXT_ONLY = frozenset({Kind.TEXT, Kind.TIMESTAMP, Kind.DATE})
_BYTES = frozenset({Kind.BLOB, Kind.MIXED_BYTEA})


def _agreed(members: Sequence[Member]) -> tuple[tuple[ColumnType, ...], ...]:
    filled = [m for m in members if not m.empty] or list(members)
    kinds = {m.type.kind for m in filled}
    if kinds & _BYTES:
        one = BYTEA if kinds == {Kind.BLOB} else MIXED_BYTEA
        return (tuple(one for _ in members),)
    if kinds <= {Kind.INTEGER, Kind.BOOLEAN} and len(kinds) == 2:
        return (tuple(BIGINT for _ in members), _as_text(members))
    if kinds == {Kind.DECIMAL} or (kinds <= _NUMBERS and len(kinds) > 1):
        decimal = _decimal(filled)
        return (tuple(decimal for _ in members), _as_text(members))
    if len(kinds) == 1:
        first = filled[0].type
        return (tuple(first if m.empty else m.type for m in members),)
    return (_as_text(members),)


def _decimal(filled: Sequence[Member]) -> ColumnType:
    """The decimal that has room for all: integers need none behind the point, reals take what the decimals have."""
    decimals = [m.type for m in filled if m.type.kind is Kind.DECIMAL]
    scale = max((t.scale or 0 for t in decimals), default=0)
    whole = [(t.precision - (t.scale or 0)) if t.precision is not None else MAX_SCALE - scale for t in decimals]
    others = MAX_SCALE - scale if len(decimals) < len(filled) else 0
    if any(t.unbounded for t in decimals) and not all(m.empty for m in filled):
        return ColumnType(kind=Kind.DECIMAL, sql="numeric", scale=scale)
    precision = scale + max([*whole, others, 1])
    return ColumnType(kind=Kind.DECIMAL, sql=f"numeric({precision},{scale})", scale=scale, precision=precision)


def _as_text(members: Sequence[Member]) -> tuple[ColumnType, ...]:
    """Text for all; columns that hold nothing but text keep the stricter kind."""
    return tuple(TEXT if m.type.kind in _TEXT_ONLY or m.empty else MIXED_TEXT for m in members)
