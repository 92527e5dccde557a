"""What the controller of the read switch works with, and what it keeps in mind between its rounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.client.figures import Pair
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.live import Lag
from stepflow_tui.engine.postgres.switch import SwitchRow
from stepflow_tui.engine.switch.shadow import ShadowReads

if TYPE_CHECKING:
    import asyncpg


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What the controller works with.

    Args:
        connect: opens a connection to the target.
        source: the real path of the source. run: whose capture is in it.
        clock: time. lag: how far the new side is behind; None while that is unknown.
        gauge: takes what is shown, after every round.
        event: takes what is journalled: `switch` (from to by), `switch_rolled_back` (from signal params),
            `switch_rearmed` (by), `switch_suspended` and `switch_resumed` (lag_seconds).
        keep: writes this part of what is shown to the journal at once.
        before: what an engine before this one showed last.
        shadow: the engine's own reads; None without.
        roles: roles of the application that may report.
    """

    connect: Callable[[], Awaitable[asyncpg.Connection]]
    source: Path
    run: str
    clock: Clock
    lag: Callable[[], Lag | None]
    gauge: Callable[[Mapping[str, Any]], None]
    event: Callable[[str, Mapping[str, Any]], Awaitable[None]]
    keep: Callable[[Mapping[str, Any]], Awaitable[None]]
    before: Mapping[str, Any] = field(default_factory=dict)
    shadow: ShadowReads | None = None
    roles: Sequence[str] = ()


class Owed(StrEnum):
    """Why reads were taken away while the row in PostgreSQL does not say so yet."""

    BACK = "back"  # a person asked
    ROLLED_BACK = "rolled_back"  # the guard did
    WITHDRAWN = "withdrawn"  # the run goes back to before the switch

    def change(self, now: SwitchRow) -> SwitchRow:
        """What the row becomes."""
        if self is not Owed.ROLLED_BACK:
            return replace(now, share=0, stage=0, held=self is Owed.BACK)
        return replace(now, share=0, stage=0, armed=False, rollbacks=now.rollbacks + now.armed)


@dataclass(slots=True, kw_only=True)
class Held:
    """What is measured since `place` (share and stage) began to be held."""

    place: tuple[int, int] = (-1, -1)
    since: float
    seen: Pair = field(default_factory=Pair)
