"""The engine's end of the two copies of the switch: PostgreSQL's row, which is right, and the lease in the source."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepflow_tui.engine.errors import Drift, Held, Refused, StepFlowError
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.postgres import switch as store
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.switch import Report, SwitchRow
from stepflow_tui.engine.sqlite.connect import shown
from stepflow_tui.engine.sqlite.lease import LeaseCopy, LeaseOutcome, lease_version, write_lease

if TYPE_CHECKING:
    import asyncpg

LEASE_SECONDS: Final = 15.0
"""How long a router goes by the copy after the engine has died."""
RENEW_SECONDS: Final = 5.0
_MOST_REPORTS: Final = 2_000
_TRIES: Final = 5

Change = Callable[[SwitchRow], SwitchRow]
"""What a row becomes."""


class Truth:
    """The row in PostgreSQL, over a connection that is opened again when it was lost.

    Args:
        connect: opens a connection to the target.
        strategy, groups: of the config.
        roles: roles of the application that may report.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        strategy: str,
        groups: Sequence[str],
        roles: Sequence[str],
    ) -> None:
        self._connect, self._strategy, self._groups, self._roles = connect, strategy, tuple(groups), roles
        self._conn: asyncpg.Connection | None = None
        self.row: SwitchRow | None = None
        """As it was last seen; None before this engine has taken it over."""

    async def known(self) -> SwitchRow:
        """The row, taken over the first time."""
        if self.row is None:
            conn = await self.connection()
            await store.install_switch(conn, self._roles)
            self.row = await store.take_over(conn, self._strategy, self._groups)
        return self.row

    async def look(self) -> SwitchRow:
        """The row as it is now: somebody else may have changed it, or removed it, and is right."""
        if self.row is not None:
            self.row = await store.read_switch(await self.connection())
        return await self.known()

    async def change(self, change: Change, *, above: int = 0) -> bool:
        """The strategy's own move; False when somebody else was faster."""
        row = await self.known()
        changed = await store.change_switch(await self.connection(), row, change(row), above=above)
        self.row = changed or row
        return changed is not None

    async def insist(self, change: Change, *, above: int = 0) -> None:
        """Change the row whatever version it has: a person or the guard said so.

        Args:
            above: the new version is higher than this.

        Raises:
            Refused: others change it all the time.
        """
        for _ in range(_TRIES):
            await self.look()
            if await self.change(change, above=above):
                return
        raise Refused(
            "The read switch is changed by somebody else all the time.",
            hint="Is another engine working on this run? `stepflow status` tells.",
            code="switch_contended",
        )

    async def reports(self) -> list[Report]:
        """What applications have reported since the last call."""
        return await store.take_reports(await self.connection(), _MOST_REPORTS)

    def disconnect(self) -> None:
        """Give the connection up; the next call opens another."""
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.terminate()

    async def connection(self) -> asyncpg.Connection:
        """The connection, opened again when it was lost. Raises StepFlowError."""
        if self._conn is None or self._conn.is_closed():
            with pg_errors("connect for the read switch"):
                self._conn = await self._connect()
        return self._conn


class LeaseKeeper:
    """Keeps the copy in the source fresh.

    Args:
        source: the real path of the source. run: whose capture is in it.
        clock: time.
    """

    def __init__(self, source: Path, run: str, clock: Clock) -> None:
        self._source, self._run, self._clock = source, run, clock
        self._written: tuple[object, ...] = ()
        self._at = float("-inf")

    async def keep(self, row: SwitchRow, share: int, groups: tuple[str, ...]) -> None:
        """Write the copy if it says something else, or will end soon. While the application has the file, the next call
        tries again.

        Raises:
            Held: a later version stands there: somebody else leads, or PostgreSQL was restored to an older state.
            Drift: the capture of this run is gone.
            StepFlowError: the file can't be written.
        """
        wanted, now = (row.version, share, groups), self._clock.monotonic()
        if wanted == self._written and now - self._at < RENEW_SECONDS:
            return
        until = self._clock.now_ms() + round(LEASE_SECONDS * 1000)
        copy = LeaseCopy(version=row.version, share=share, salt=row.salt, groups=groups, until_ms=until)
        outcome = await write_lease(self._source, self._run, copy)
        if outcome is LeaseOutcome.WRITTEN:
            self._written, self._at = wanted, now
        elif outcome is LeaseOutcome.NEWER:
            raise Held(
                "The source holds a lease of the read switch that is newer than the target's own row.",
                detail=f"the target's version is {row.version}",
                hint="Does another engine lead? If the target was restored to an older state, `stepflow switch set` begins anew.",
                code="switch_lease_newer",
            )
        elif outcome is LeaseOutcome.GONE:
            raise Drift(
                f"The change capture of this run is gone from {shown(self._source)}.",
                hint="`stepflow run` says what can be done about it.",
                code="capture_missing",
            )

    async def version(self) -> int:
        """The version that stands in the source, 0 where that can't be read."""
        return await lease_version(self._source)

    async def end(self, row: SwitchRow) -> None:
        """Reads follow the owner of writes from now on."""
        copy = LeaseCopy(version=row.version, share=0, salt=row.salt, groups=(), until_ms=0)
        with suppress(StepFlowError):  # it ends by itself
            await write_lease(self._source, self._run, copy)
        self._written = ()
