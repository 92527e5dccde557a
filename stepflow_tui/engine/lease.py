"""Control of a run: one front end steers, others ask for it, get it handed over, or take it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.errors import Refused, UsageError
from stepflow_tui.engine.journal.control_rows import Command
from stepflow_tui.engine.journal.store import Journal

VERBS = frozenset({"hold", "ask", "give", "release"})
"""Intents about control itself."""

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ControlLease:
    """Carries out the intents about control. Whether the sender may act was decided before."""

    journal: Journal

    def handler(self, verb: str) -> Callable[[Command], Awaitable[Answer]] | None:
        """What carries out that verb, None when it is not about control."""
        return {"hold": self._hold, "ask": self._ask, "give": self._give, "release": self._release}.get(verb)

    async def renews(self, command: Command) -> bool:
        """Whether it is a holder's renewal: sent every few seconds, so it leaves no trace."""
        return command.verb == "hold" and await self.journal.control_holder() == command.who

    async def _hold(self, command: Command) -> Answer:
        await self.journal.give_control(command.who)
        return {"holder": command.who}

    async def _ask(self, command: Command) -> Answer:
        holder = await self.journal.control_holder()
        if holder in (None, command.who):
            return await self._hold(command)
        await self.journal.wish_control(command.who)
        return {"holder": holder}

    async def _give(self, command: Command) -> Answer:
        to = str(command.args.get("to") or "").strip()
        if not to:
            raise UsageError("Control is given to somebody.", hint="Name who gets it.", code="nobody_named")
        await self._only_holder(command)
        await self.journal.give_control(to)
        return {"holder": to}

    async def _release(self, command: Command) -> Answer:
        await self._only_holder(command)
        await self.journal.free_control()
        return {"holder": None}

    async def _only_holder(self, command: Command) -> None:
        if await self.journal.control_holder() != command.who:
            raise Refused(
                f"{command.who} does not hold control of this run.",
                hint="`stepflow control` shows who does.",
                code="not_in_control",
            )
