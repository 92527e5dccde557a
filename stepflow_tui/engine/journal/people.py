"""What people decided and were told: checklist items, answers at gates, alerts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import aiosqlite

from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.journal.events import Events
from stepflow_tui.engine.model.alert import Alert
from stepflow_tui.engine.model.checklist import ItemKind, ItemSpec
from stepflow_tui.engine.model.events import EventCode, Level
from stepflow_tui.engine.model.gate import Question
from stepflow_tui.engine.model.state import ItemState

BY_CHECK = "check"
BY_YES = "--yes"


class People(Events):
    """Checklist, answers, alerts, notes."""

    async def set_items(self, items: Iterable[ItemSpec]) -> None:
        """List the checklist; items listed before keep their state."""
        await self.executemany(
            "INSERT INTO checklist(id,phase,ord,kind,params,state) VALUES(?,?,?,?,?,?)"
            " ON CONFLICT(id) DO UPDATE SET phase=excluded.phase, ord=excluded.ord, kind=excluded.kind, params=excluded.params",
            [
                (i.id, i.before, n, i.kind.value, self.plain(i.params), ItemState.OPEN.value)
                for n, i in enumerate(items)
            ],
        )

    async def items(self) -> list[dict[str, Any]]:
        """All checklist rows in order."""
        return await self.fetch("SELECT * FROM checklist ORDER BY ord")

    async def tick_item(self, item_id: str, *, by: str, note: str) -> None:
        """A person ticks an item.

        Raises:
            UsageError: there is no such item, or a check decides it.
        """
        rows = await self.fetch("SELECT kind FROM checklist WHERE id=?", (item_id,))
        if not rows:
            known = ", ".join(r["id"] for r in await self.items())
            raise UsageError(
                f"No checklist item {item_id!r}.", hint=f"The items of this run: {known}", code="no_such_item"
            )
        if rows[0]["kind"] == ItemKind.AUTO.value:
            raise UsageError(
                f"A check decides {item_id!r}, no person ticks it.",
                hint="`stepflow status` shows what the check says; remove the cause, then run it again.",
                code="automatic_item",
            )
        await self._settle(item_id, ItemState.TICKED, by, note)

    async def check_item(self, item_id: str, *, ok: bool, note: str = "") -> None:
        """A check decides an item; does nothing when the run's checklist doesn't list it."""
        await self._settle(item_id, ItemState.TICKED if ok else ItemState.FAILED, BY_CHECK, note)

    async def accept_item(self, item_id: str, *, by: str) -> None:
        """An item is accepted unticked: never "done by a person"."""
        await self._settle(item_id, ItemState.ACCEPTED, by, "")

    async def answer(self, questions: Iterable[Question], *, by: str) -> None:
        """Remember answers, so that they are not asked again."""
        now = self.clock.now_ms()
        await self.executemany(
            "INSERT OR IGNORE INTO answer(kind,id,by,at_ms) VALUES(?,?,?,?)",
            [(q.kind.value, q.id, by, now) for q in questions],
        )

    async def forget_answers(self, prefix: str) -> None:
        """Ask the questions again whose ids begin so: what they were about was undone."""
        await self.execute("DELETE FROM answer WHERE kind='typed' AND substr(id,1,?)=?", (len(prefix), prefix))

    async def answered(self) -> set[tuple[str, str]]:
        """`(kind, id)` of every question that was answered."""
        return {(r["kind"], r["id"]) for r in await self.fetch("SELECT kind,id FROM answer")}

    async def raise_alert(self, alert: Alert) -> bool:
        """Raise an alert, or count one more of an open one.

        Returns:
            True when it is new: only then an event tells about it, so a storm stays one line.
        """

        async def body(db: aiosqlite.Connection) -> bool:
            seq = await self._max_seq(db)
            counted = await db.execute(
                "UPDATE alert SET count=count+1, last_seq=?, params=?, severity=? WHERE code=? AND key=? AND cleared_seq IS NULL",
                (seq, self.plain(alert.params), alert.severity.value, alert.code, alert.key),
            )
            if counted.rowcount:
                return False
            seq = await self._alert_event(db, alert, "raised")
            await db.execute(
                "INSERT INTO alert(code,key,severity,params,first_seq,last_seq,first_ms,count) VALUES(?,?,?,?,?,?,?,1)",
                (alert.code, alert.key, alert.severity.value, self.plain(alert.params), seq, seq, self.clock.now_ms()),
            )
            return True

        return await self.write(body)

    async def resolve_alert(self, code: str, key: str = "") -> bool:
        """Its cause is gone. Returns whether it was open."""

        async def body(db: aiosqlite.Connection) -> bool:
            seq = await self._max_seq(db)
            changed = await db.execute(
                "UPDATE alert SET cleared_seq=? WHERE code=? AND key=? AND cleared_seq IS NULL", (seq + 1, code, key)
            )
            if changed.rowcount:
                await self._alert_event(db, Alert(code=code, key=key), "resolved")
            return bool(changed.rowcount)

        return await self.write(body)

    async def ack_alert(self, code: str, *, by: str, note: str = "") -> int:
        """Somebody has seen the open alerts of that code. Returns how many.

        Raises:
            UsageError: none is open.
        """

        async def body(db: aiosqlite.Connection) -> int:
            changed = await db.execute(
                "UPDATE alert SET acked_by=?, note=? WHERE code=? AND cleared_seq IS NULL", (by, self.clean(note), code)
            )
            if changed.rowcount:
                await self._alert_event(db, Alert(code=code), "acknowledged")
            return changed.rowcount

        done = await self.write(body)
        if not done:
            raise UsageError(
                f"No open alert {code!r}.",
                hint="`stepflow alerts list` shows the alerts of the run.",
                code="no_such_alert",
            )
        return done

    async def add_note(self, who: str, text: str) -> None:
        """A person's remark."""
        await self.event(EventCode.NOTE, {"who": who, "text": text})

    async def _settle(self, item_id: str, state: ItemState, by: str, note: str) -> None:
        await self.execute(
            "UPDATE checklist SET state=?, by=?, at_ms=?, note=? WHERE id=?",
            (state.value, by, self.clock.now_ms(), self.clean(note), item_id),
        )

    async def _max_seq(self, db: aiosqlite.Connection) -> int:
        return int(next(iter(await db.execute_fetchall("SELECT coalesce(max(seq),0) FROM event")))[0])

    async def _alert_event(self, db: aiosqlite.Connection, alert: Alert, state: str) -> int:
        data = {
            "code": alert.code,
            "key": alert.key,
            "severity": alert.severity.value,
            "params": alert.params,
            "state": state,
        }
        return await self._event(db, EventCode.ALERT, data, level=Level.WARNING)
