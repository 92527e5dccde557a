"""What the operator asked of a live run while it goes: kept until the service or step it is meant for takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from stepflow_tui.engine.steps.context import RunContext


class OrderKind(StrEnum):
    """What can be asked for."""

    SHARE = "switch"  # reads of the new side, in 1/100 %
    BACK = "switch_back"  # all reads back at once
    REARM = "switch_rearm"  # after an automatic rollback
    CLEANUP = "cleanup"  # end of observation
    REHEARSE = "rehearse"  # the dry run of the cutover again


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order. `share` belongs to SHARE, `rename` (the old file, too) to CLEANUP."""

    kind: OrderKind
    who: str
    share: int = 0
    rename: bool = False


@dataclass(slots=True)
class Orders:
    """The orders not taken yet, oldest first."""

    waiting: list[Order] = field(default_factory=list)

    def put(self, order: Order) -> None:
        """Keep an order."""
        self.waiting.append(order)

    def take(self, *kinds: OrderKind) -> list[Order]:
        """The orders of these kinds, which are then gone."""
        taken = [o for o in self.waiting if o.kind in kinds]
        self.waiting = [o for o in self.waiting if o.kind not in kinds]
        return taken


def orders_of(ctx: RunContext) -> Orders:
    """The engine's orders."""
    known = ctx.memory.find(Orders)
    if known is None:
        known = Orders()
        ctx.memory.put(known)
    return known
