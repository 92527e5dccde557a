"""Events: the journal's ordered log. Order is `seq`, never a clock."""

from __future__ import annotations

import aiosqlite

from stepflow_tui.engine.errors import ExitCode, StepFlowError
from stepflow_tui.engine.journal.writer import Writer
from stepflow_tui.engine.model.events import EventCode, Level


class Events(Writer):
    """Appending events, alone or inside the transaction of what they tell."""

    async def event(self, code: str, data: object, *, step: str | None = None, level: Level = Level.INFO) -> int:
        """Append one event. `code`: an `EventCode`, or one of its `FAMILIES`.

        Returns:
            Its `seq`.
        """

        async def body(db: aiosqlite.Connection) -> int:
            return await self._event(db, code, data, step=step, level=level)

        return await self.write(body)

    async def error_event(self, error: StepFlowError, *, step: str | None = None) -> int:
        """Append an error with all its parts."""
        data = {
            "code": error.code,
            "message": error.message,
            "detail": error.detail,
            "hint": error.hint,
            "exit_code": int(error.exit_code),
        }
        return await self.event(EventCode.ERROR, data, step=step, level=Level.ERROR)

    async def finished_event(self, result: str, exit_code: ExitCode | int, report: str) -> int:
        """The last event of an engine: how its share of the run ended, and where the report is."""
        return await self.event(
            EventCode.RUN_FINISHED, {"result": result, "exit_code": int(exit_code), "report": report}
        )

    async def _event(
        self,
        db: aiosqlite.Connection,
        code: str,
        data: object,
        *,
        step: str | None = None,
        level: Level = Level.INFO,
    ) -> int:
        cursor = await db.execute(
            "INSERT INTO event(at_ms,level,step,code,data) VALUES(?,?,?,?,?)",
            (self.clock.now_ms(), int(level), step, str(code), self.plain(data)),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid
