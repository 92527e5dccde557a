"""What steers a run: front ends' intents and the leases of engine and operator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiosqlite

from stepflow_tui.engine.errors import EngineLost
from stepflow_tui.engine.journal.clock import boot_id
from stepflow_tui.engine.journal.events import Events
from stepflow_tui.engine.model.events import EventCode

ENGINE = "engine"
CONTROL = "control"
ASKED = "asked"
CONTROL_SECONDS = 60
"""An accepted intent gives its sender control for this long; the intent `hold` renews it."""
ASKED_SECONDS = 120
"""A wish for control is forgotten after this long."""


class CommandState(StrEnum):
    """What became of an intent."""

    NEW = "new"
    ACCEPTED = "accepted"  # taken up; for longer work `done` follows
    REFUSED = "refused"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One intent of a front end."""

    id: int
    who: str
    verb: str
    args: dict[str, Any]
    epoch: int | None


class ControlRows(Events):
    """Commands and leases."""

    async def new_commands(self) -> list[Command]:
        """Intents nobody has answered yet, oldest first."""
        rows = await self.fetch("SELECT id,who,verb,args,epoch FROM command WHERE state='new' ORDER BY id")
        return [Command(**{**r, "args": _arguments(r["args"])}) for r in rows]

    async def last_accepted(self, verb: str) -> Command | None:
        """The newest intent of that verb that was taken up and not carried out yet."""
        rows = await self.fetch(
            "SELECT id,who,verb,args,epoch FROM command WHERE state='accepted' AND verb=? ORDER BY id DESC LIMIT 1",
            (verb,),
        )
        return Command(**{**rows[0], "args": _arguments(rows[0]["args"])}) if rows else None

    async def answer_command(self, command: Command, state: CommandState, answer: dict[str, Any]) -> None:
        """Answer an intent; an event tells everybody who watches."""

        async def body(db: aiosqlite.Connection) -> None:
            data = {"verb": command.verb, "who": command.who, "state": state.value, "answer": answer}
            seq = await self._event(db, EventCode.INTENT, data)
            await db.execute(
                "UPDATE command SET state=?, answer=?, answered_seq=? WHERE id=?",
                (state.value, self.plain(answer), seq, command.id),
            )

        await self.write(body)

    async def take_engine_lease(self, holder: str) -> int:
        """Become the run's engine; the caller holds the run's lock.

        Returns:
            The epoch, one more than the last engine's.
        """

        async def body(db: aiosqlite.Connection) -> int:
            await db.execute("UPDATE run SET epoch=epoch+1")
            epoch = int(next(iter(await db.execute_fetchall("SELECT epoch FROM run")))[0])
            await db.execute(
                "INSERT OR REPLACE INTO lease(name,holder,token,beat,boot,beat_mono_ms,until_mono_ms) VALUES(?,?,?,0,?,?,NULL)",
                (ENGINE, holder, epoch, boot_id(), self._mono_ms()),
            )
            return epoch

        return await self.write(body)

    async def beat(self, epoch: int) -> None:
        """The engine is alive.

        Raises:
            EngineLost: another engine has taken the run over.
        """

        async def body(db: aiosqlite.Connection) -> int:
            cursor = await db.execute(
                "UPDATE lease SET beat=beat+1, beat_mono_ms=? WHERE name=? AND token=?",
                (self._mono_ms(), ENGINE, epoch),
            )
            return cursor.rowcount

        if await self.write(body) != 1:
            raise EngineLost("Another engine has taken this run over.", code="lease_lost")

    async def control_holder(self) -> str | None:
        """Who holds control now, None when it is free."""
        rows = await self.fetch("SELECT holder,boot,until_mono_ms FROM lease WHERE name=?", (CONTROL,))
        if not rows or rows[0]["boot"] != boot_id() or rows[0]["until_mono_ms"] <= self._mono_ms():
            return None
        return str(rows[0]["holder"])

    async def give_control(self, who: str) -> None:
        """Control is theirs for the next minute; a wish of theirs for it is fulfilled."""
        await self._lease(CONTROL, who, CONTROL_SECONDS)
        await self.execute("DELETE FROM lease WHERE name=? AND holder=?", (ASKED, who))

    async def free_control(self) -> None:
        """Nobody holds control."""
        await self.execute("DELETE FROM lease WHERE name=?", (CONTROL,))

    async def wish_control(self, who: str) -> None:
        """Somebody asks the holder for control; the newest wish counts."""
        await self._lease(ASKED, who, ASKED_SECONDS)

    async def renew_control(self, command: Command) -> None:
        """Answer a holder's `hold` without an event; the renewals before it are forgotten, they would pile up."""
        await self.give_control(command.who)
        await self.execute("UPDATE command SET state=?, answer='{}' WHERE id=?", (CommandState.DONE.value, command.id))
        await self.execute(
            "DELETE FROM command WHERE verb=? AND who=? AND state=? AND answered_seq IS NULL AND id<?",
            (command.verb, command.who, CommandState.DONE.value, command.id),
        )

    async def _lease(self, name: str, who: str, seconds: int) -> None:
        now = self._mono_ms()
        await self.execute(
            "INSERT INTO lease(name,holder,token,beat,boot,beat_mono_ms,until_mono_ms) VALUES(?1,?2,1,0,?3,?4,?5)"
            " ON CONFLICT(name) DO UPDATE SET holder=?2, token=token+1, boot=?3, beat_mono_ms=?4, until_mono_ms=?5",
            (name, who, boot_id(), now, now + seconds * 1000),
        )

    def _mono_ms(self) -> int:
        return int(self.clock.monotonic() * 1000)


def _arguments(text: str) -> dict[str, Any]:
    """An intent's arguments; anything but an object counts as none."""
    value = json.loads(text)
    return value if isinstance(value, dict) else {}
