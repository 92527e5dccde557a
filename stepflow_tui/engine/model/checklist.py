"""Checklist items as data. Titles are in `texts.checklist`; what was ticked by whom is in the journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class ItemKind(StrEnum):
    """Who decides an item."""

    AUTO = "auto"  # a check decides
    MANUAL = "manual"  # a person ticks it and says why


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSpec:
    """One item. `before` is the phase it must be settled before ("" = never holds a run up, it is only reported).

    `params` are shown with it: `when` (before, during, after, rollback_*), `title` of items that come from the config,
    `owner`, `due`.
    """

    id: str
    kind: ItemKind
    before: str = ""
    params: dict[str, str | int | float | None] = field(default_factory=dict)
