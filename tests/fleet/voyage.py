"""A live run under a fleet: started, brought back whenever its engine was killed, watched until it is where it should be."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.acceptance.harness import Ran, Stand
from tests.fleet.compare import differences
from tests.fleet.fleet import Fleet, sailing
from tests.fleet.nemesis import Nemesis, engine_revival

LONGER = float(os.environ.get("STEPFLOW_FLEET", "1"))
"""How many times longer than in CI the fleet writes at each stop; 60 makes a soak of it."""

STAGE_SECONDS = 240.0
"""No stage may take longer, however often its engine is killed."""

ENDED = ("completed", "incomplete", "failed", "aborted", "rolled_back")


class Voyage:
    """One run on `stand` while `fleet` writes."""

    def __init__(self, stand: Stand, fleet: Fleet) -> None:
        self.stand, self.fleet = stand, fleet
        command = stand.command("run", str(stand.config_path), "--yes", "--detach")
        self._start = engine_revival(command, stand.environ, stand.folder)
        self._returning = False

    def nemesis(self, *, strikes: int, seed: int) -> Nemesis:
        """One that strikes this run's engines."""
        return Nemesis(self.stand.engines, self.revive, every=2.0, strikes=int(strikes * LONGER), seed=seed)

    def revive(self) -> None:
        """Bring a killed engine back, except on the way back: there the command that asked for it does."""
        if not self._returning:
            self._start()

    def write(self, transactions: int, side: str | None = None) -> None:
        """Wait while the fleet writes so many more."""
        self.fleet.wait(int(transactions * LONGER), side, seconds=STAGE_SECONDS * max(1.0, LONGER))

    def until(self, *states: str) -> None:
        """Start the run, and again as often as its engine is gone, until it is in one of the states.

        Raises:
            AssertionError: it isn't in time, or a writer saw what can't be; with what the run says about itself.
        """
        self._returning = False
        deadline = time.monotonic() + STAGE_SECONDS
        while time.monotonic() < deadline:
            self.fleet.healthy()
            if self.state in states:
                return
            if not self.stand.engines():
                self.revive()
            time.sleep(0.2)
        raise AssertionError(f"not {states} within {STAGE_SECONDS:.0f} s: {self.trouble()}")

    def back(self, *args: str) -> Ran:
        """`stepflow rollback` as often as it takes: the engine that carries it out may be killed."""
        deadline = time.monotonic() + STAGE_SECONDS
        self._returning = True
        while (ran := self.stand.rollback("--reason", "the drill", *args)).code != 0:
            assert time.monotonic() < deadline, f"{ran.out}{ran.err}{self.trouble()}"
            self.fleet.healthy()
        return ran

    @property
    def state(self) -> str | None:
        """The run's state, None before there is one. Read in the journal: this is asked often, and a command costs a core."""
        with contextlib.suppress(sqlite3.Error, IndexError):
            return str(self.stand.journal("select state from run")[0][0])
        return None

    def status(self) -> dict[str, Any] | None:
        """`status --json`; None while there is none."""
        ran = self.stand.cli("status", self.stand.name, "--json")
        return ran.object if ran.code == 0 else None

    def trouble(self) -> str:
        """What helps to understand a run that is stuck: state, engine log, last events."""
        with contextlib.suppress(OSError, IndexError, sqlite3.Error):
            log = (self.stand.run_dir / "engine.log").read_text(errors="replace")[-3000:]
            events = self.stand.journal("select code, data from event order by seq desc limit 15")
            status = self.status() or {}
            told = {k: status.get(k) for k in ("state", "phase", "step", "engine", "lag", "alerts", "gate")}
            return f"\n{json.dumps(told, default=str)}\nevents {events}\nlog {log}"
        return "nothing is known of the run"

    def has(self, condition: str) -> Callable[[], bool]:
        """Asks whether the run's journal has an event of that kind."""

        def ask() -> bool:
            with contextlib.suppress(sqlite3.Error, IndexError):
                return bool(self.stand.journal(f"select exists (select 1 from event where {condition})")[0][0])
            return False

        return ask

    def events(self, code: str) -> list[dict[str, Any]]:
        """Data of the run's events of that code."""
        return [
            json.loads(d) for (d,) in self.stand.journal(f"select data from event where code = '{code}' order by seq")
        ]

    async def equal(self) -> None:
        """Wait until both sides hold the same rows. The fleet has stopped."""
        deadline = time.monotonic() + STAGE_SECONDS
        found = ["not looked yet"]
        while found:
            assert time.monotonic() < deadline, f"{found}{self.trouble()}"
            found = await differences(self.stand.source, self.stand.dsn)


@contextlib.contextmanager
def under_way(stand: Stand, folder: Path, *, pause: float = 0.02, **options: Any) -> Iterator[Voyage]:
    """A fleet that writes to `stand.source`, and a voyage that has not begun. `options` as for `Fleet`."""
    with sailing(stand.source, folder, stand.dsn, pause=pause, **options) as fleet:
        yield Voyage(stand, fleet)


def live_config(stand: Stand, **changes: Any) -> None:
    """A live run without long waiting: reads switch at once, the way back stays open until it is closed."""
    keys: dict[str, Any] = {
        "mode": "live",
        "switch": {"steps": [100], "soak": "0s"},
        "cutover": {"max_freeze": "20s", "retries": 20},
    }
    stand.config(**keys | changes)


def traces(path: Path) -> list[str]:
    """What of StepFlow is in a SQLite file."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        rows = connection.execute("select name from sqlite_schema where name like '\\_sf\\_%' escape '\\'")
        return [name for (name,) in rows]
