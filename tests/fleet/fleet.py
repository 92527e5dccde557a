"""Several writers at work on one database, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.fleet.checker import Verdict, check
from tests.fleet.history import Watch, lines
from tests.fleet.writer import Options

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


class Fleet:
    """Starts writers, waits for their progress, stops them, and judges what they left."""

    def __init__(
        self,
        path: Path,
        folder: Path,
        dsn: str | None = None,
        *,
        writers: int = 3,
        pause: float = 0.004,
        seed: int = 1,
        seeded: int = 40,
    ) -> None:
        self.path, self.folder, self.dsn = path, folder, dsn
        self._seed, self._writers, self._pause, self._seeded = seed, writers, pause, seeded
        self._watch = Watch(folder)
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Let them write. Every second one has `recursive_triggers` on, every third begins its
        transactions late, and every second one finds the side that owns writes by itself instead of through the client."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "stop").unlink(missing_ok=True)
        for w in range(1, self._writers + 1):
            options = Options(
                w=w, seed=self._seed, path=str(self.path), folder=str(self.folder), dsn=self.dsn, pause=self._pause,
                recursive=w % 2 == 0, deferred=w % 3 == 0, by_hand=w % 2 == 1,
            )  # fmt: skip
            with (self.folder / f"writer-{w}.err").open("wb") as err:
                command = [sys.executable, "-m", "tests.fleet.writer", json.dumps(asdict(options))]
                self._processes.append(
                    subprocess.Popen(
                        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
                        stdout=err, stderr=err,
                    )
                )  # fmt: skip

    def stop(self) -> None:
        """Let every writer finish its transaction. Raises AssertionError if one of them ended in a surprise."""
        (self.folder / "stop").touch()
        for process in self._processes:
            process.wait(PATIENCE)
        self.healthy()
        self._processes.clear()

    def kill(self) -> None:
        """End what still runs."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def healthy(self) -> None:
        """No writer has ended with an error."""
        for w, process in enumerate(self._processes, 1):
            if process.poll():
                said = (self.folder / f"writer-{w}.err").read_text(errors="replace")[-2000:]
                raise AssertionError(f"writer {w} ended with {process.returncode}: {said}{self._wrong(w)}")

    def _wrong(self, w: int) -> str:
        return "".join(str(line)[:3000] for line in lines(self.folder) if line["w"] == w and line["event"] == "wrong")

    def acknowledged(self, side: str | None = None) -> int:
        """Transactions acknowledged so far (on that side)."""
        return self._watch.acknowledged(side)

    def wait(self, more: int, side: str | None = None, seconds: float = PATIENCE) -> None:
        """Wait until so many more transactions have been acknowledged (on that side)."""
        goal, deadline = self.acknowledged(side) + more, time.monotonic() + seconds
        while self.acknowledged(side) < goal:
            self.healthy()
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{self.acknowledged(side)} of {goal} transactions on {side or 'any side'} in {seconds} s"
                )
            time.sleep(0.05)

    async def judge(self, *, owner: str = "sqlite") -> Verdict:
        """What became of every acknowledged transaction on the side that owns writes. Writers must have stopped."""
        path, dsn = (self.path, None) if owner == "sqlite" else (None, self.dsn)
        return await check(self.folder, path=path, dsn=dsn, seeded=self._seeded)


@contextlib.contextmanager
def sailing(path: Path, folder: Path, dsn: str | None = None, **options: Any) -> Iterator[Fleet]:
    """A fleet that writes, and is gone afterwards. `options` as for `Fleet`."""
    fleet = Fleet(path, folder, dsn, **options)
    fleet.start()
    try:
        yield fleet
    finally:
        fleet.kill()
