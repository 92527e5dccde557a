"""What the census hands to planning: a type with its reason per column, the counted facts, and what was found."""

from __future__ import annotations

from dataclasses import dataclass, field

from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.model.plan import TableFacts
from stepflow_tui.engine.model.types import ColumnType

Choice = tuple[ColumnType, str]
"""A column's type, and the sentence that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetColumn:
    """A column of a table made beforehand: its type as `format_type` writes it, whether it is an enum, and NOT NULL."""

    sql: str
    enum: bool = False
    not_null: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """The census of a whole file, by source table and column name.

    A table that could not be read is in neither `types` nor `facts`; a finding names it.
    """

    types: dict[str, dict[str, Choice]] = field(default_factory=dict)
    facts: dict[str, TableFacts] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
