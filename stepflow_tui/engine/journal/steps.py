"""Phases and steps: the intent is journalled before the effect, `done` with its evidence after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiosqlite

from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.journal.events import Events
from stepflow_tui.engine.model.events import EventCode, Level
from stepflow_tui.engine.model.state import StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEntry:
    """One step of the playbook as the journal lists it."""

    phase: str
    name: str
    danger: str
    loses: str

    @property
    def id(self) -> str:
        """`phase.name`."""
        return f"{self.phase}.{self.name}"


class Steps(Events):
    """Reading and changing phases and steps."""

    async def set_playbook(self, phases: Sequence[str], steps: Sequence[StepEntry]) -> None:
        """List phases and steps of a new run.

        Raises:
            Drift: the run was started with another list (another StepFlow version).
        """
        known = [r["id"] for r in await self.fetch("SELECT id FROM step ORDER BY ord")]
        if known:
            if known != [s.id for s in steps]:
                raise Drift(
                    "This run was started with other steps than this StepFlow version has.",
                    detail=f"then: {', '.join(known)}; now: {', '.join(s.id for s in steps)}",
                    hint="Finish or roll back the run with the version that made it, or start a new one with --new.",
                    code="playbook_changed",
                )
            return

        async def body(db: aiosqlite.Connection) -> None:
            pending = StepState.PENDING.value
            await db.executemany(
                "INSERT INTO phase(name,ord,state) VALUES(?,?,?)", [(p, n, pending) for n, p in enumerate(phases)]
            )
            await db.executemany(
                "INSERT INTO step(id,phase,name,ord,danger,loses,state) VALUES(?,?,?,?,?,?,?)",
                [(s.id, s.phase, s.name, n, s.danger, s.loses, pending) for n, s in enumerate(steps)],
            )

        await self.write(body)

    async def reopen(self, phase: str, *, begun: bool = False) -> None:
        """Make a phase, and those behind it, pending again: the run goes on from there.

        Args:
            begun: what they did stays in place until it is done again, so that a rollback takes it back.
        """
        pending = StepState.PENDING.value

        async def body(db: aiosqlite.Connection) -> None:
            later = "SELECT name FROM phase WHERE ord >= (SELECT ord FROM phase WHERE name=?)"
            await db.execute(
                f"UPDATE step SET state=?, attempt={'attempt' if begun else 0}, done_seq=NULL, started_ms=NULL, ended_ms=NULL WHERE phase IN ({later})",
                (pending, phase),
            )
            await db.execute(
                f"UPDATE phase SET state=?, started_ms=NULL, ended_ms=NULL WHERE name IN ({later})", (pending, phase)
            )

        await self.write(body)

    async def step_row(self, step_id: str) -> dict[str, Any]:
        """The row of a step. Raises KeyError."""
        rows = await self.fetch("SELECT * FROM step WHERE id=?", (step_id,))
        if not rows:
            raise KeyError(step_id)
        return rows[0]

    async def step_rows(self) -> list[dict[str, Any]]:
        """All steps in order."""
        return await self.fetch("SELECT * FROM step ORDER BY ord")

    async def phase_row(self, name: str) -> dict[str, Any]:
        """The row of a phase. Raises KeyError."""
        rows = await self.fetch("SELECT * FROM phase WHERE name=?", (name,))
        if not rows:
            raise KeyError(name)
        return rows[0]

    async def set_phase(self, name: str, state: StepState) -> None:
        """Move a phase; an event tells when it really moved."""
        now = self.clock.now_ms()

        async def body(db: aiosqlite.Connection) -> None:
            changed = await db.execute(
                "UPDATE phase SET state=?1, started_ms=iif(?1='running',coalesce(started_ms,?2),started_ms),"
                " ended_ms=iif(?1 IN ('running','pending'),NULL,?2) WHERE name=?3 AND state<>?1",
                (state.value, now, name),
            )
            if changed.rowcount:
                await self._event(db, EventCode.PHASE, {"phase": name, "state": state.value})

        await self.write(body)

    async def step_intent(self, step_id: str) -> int:
        """Write down that a step is about to act. An intent without a done means: unknown, `probe` decides.

        Returns:
            The attempt, 1 for the first.
        """

        async def body(db: aiosqlite.Connection) -> int:
            row = next(iter(await db.execute_fetchall("SELECT attempt,phase,name FROM step WHERE id=?", (step_id,))))
            attempt = int(row[0]) + 1
            seq = await self._step_event(db, step_id, row[1], row[2], state=StepState.RUNNING, attempt=attempt)
            await db.execute(
                "UPDATE step SET state=?, attempt=?, intent_seq=?, done_seq=NULL, started_ms=?, ended_ms=NULL WHERE id=?",
                (StepState.RUNNING.value, attempt, seq, self.clock.now_ms(), step_id),
            )
            return attempt

        return await self.write(body)

    async def step_done(self, step_id: str, evidence: dict[str, Any], state: StepState = StepState.DONE) -> None:
        """Write down what a step has proved; `state` is DONE, SKIPPED or UNDONE."""
        now = self.clock.now_ms()

        async def body(db: aiosqlite.Connection) -> None:
            row = next(
                iter(await db.execute_fetchall("SELECT phase,name,attempt,started_ms FROM step WHERE id=?", (step_id,)))
            )
            seconds = round((now - (row[3] or now)) / 1000, 3)
            seq = await self._step_event(
                db, step_id, row[0], row[1], state=state, attempt=row[2], seconds=seconds, evidence=evidence
            )
            await db.execute(  # a step that is taken back keeps the time that it took: its undo is no part of it
                "UPDATE step SET state=?1, done_seq=iif(?1='undone',NULL,?2),"
                " ended_ms=iif(?1='undone',coalesce(ended_ms,?3),?3), evidence=?4 WHERE id=?5",
                (state.value, seq, now, self.plain(evidence), step_id),
            )

        await self.write(body)

    async def step_stopped(self, step_id: str, state: StepState) -> None:
        """A step ended without being done: FAILED, or PENDING when it was asked to stop. Its intent stays."""
        level = Level.ERROR if state is StepState.FAILED else Level.INFO

        async def body(db: aiosqlite.Connection) -> None:
            row = next(iter(await db.execute_fetchall("SELECT phase,name,attempt FROM step WHERE id=?", (step_id,))))
            await db.execute(
                "UPDATE step SET state=?, ended_ms=? WHERE id=?", (state.value, self.clock.now_ms(), step_id)
            )
            await self._step_event(db, step_id, row[0], row[1], state=state, level=level, attempt=row[2])

        await self.write(body)

    async def set_evidence(self, step_id: str, evidence: dict[str, Any]) -> None:
        """Keep what is known about a step that is not done."""
        await self.execute("UPDATE step SET evidence=? WHERE id=?", (self.plain(evidence), step_id))

    async def _step_event(
        self,
        db: aiosqlite.Connection,
        step_id: str,
        phase: str,
        name: str,
        *,
        state: StepState,
        level: Level = Level.INFO,
        **more: Any,
    ) -> int:
        data = {"phase": phase, "step": name, "state": state.value, **more}
        return await self._event(db, EventCode.STEP, data, step=step_id, level=level)
