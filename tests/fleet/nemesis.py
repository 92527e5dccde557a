"""What goes wrong on purpose while a run is live: engines killed or frozen, the PostgreSQL server crashed and started again."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil

from stepflow_tui.engine.postgres.embedded import Embedded
from tests.conftest import run_async
from tests.run_kit import until


class Server:
    """A PostgreSQL of one's own, which may crash. It syncs: what it acknowledges must survive."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._embedded = Embedded(folder, base=folder, options={"max_connections": "60", "shared_buffers": "16MB"})
        run_async(self._embedded.start())

    @property
    def dsn(self) -> str:
        """An application's address of the database `fleet`."""
        run_async(self._embedded.ensure_database("fleet"))
        return self._embedded.target("fleet").application_uri()

    def crash(self) -> None:
        """What `pg_ctl stop -m immediate` does, and a start right after it."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """What `pg_ctl stop -m immediate` does."""
        pid = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        until(lambda: _ended(pid), 30)

    def start(self) -> None:
        """Start it again."""
        run_async(self._embedded.start())

    def remove(self) -> None:
        """Stop it and remove its files."""
        run_async(self._embedded.remove())
        shutil.rmtree(self.folder, ignore_errors=True)


def _ended(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
    except psutil.NoSuchProcess:
        return True
    return False


class Nemesis:
    """Kills and freezes engines at random until it is told to rest.

    Args:
        engines: the engine processes of the moment.
        revive: brings the run back after its engine was killed; called until an engine lives.
        every: seconds between two strikes, drawn between half and one and a half of it.
        strikes: so many, then it rests: a run must have time to get somewhere.
    """

    def __init__(
        self, engines: Callable[[], list[psutil.Process]], revive: Callable[[], None], *,
        every: float = 2.0, strikes: int = 8, seed: int = 1,
    ) -> None:  # fmt: skip
        self._engines, self._revive, self._every = engines, revive, every
        self._left = strikes
        self._random = random.Random(seed)
        self._rest = threading.Event()
        self._thread = threading.Thread(target=self._work, name="nemesis", daemon=True)
        self._failure: BaseException | None = None
        self.strikes: Counter[str] = Counter()

    @contextlib.contextmanager
    def loose(self) -> Iterator[Nemesis]:
        """At work within the block. Raises what went wrong in its own thread."""
        self._thread.start()
        try:
            yield self
        finally:
            self._rest.set()
            self._thread.join(120)
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        try:
            while self._left > 0 and not self._rest.wait(self._every * (0.5 + self._random.random())):
                self._strike()
        except BaseException as exc:
            self._failure = exc

    def _strike(self) -> None:
        kind = self._random.choice(["kill", "kill", "freeze"])
        for engine in self._engines():
            with contextlib.suppress(psutil.NoSuchProcess):
                self._hurt(engine, kind)

    def _hurt(self, engine: psutil.Process, kind: str) -> None:
        if kind == "kill":
            engine.kill()
            self._count(kind)
            self._revive()
            return
        engine.suspend()
        try:
            time.sleep(self._random.uniform(0.2, 1.0))  # frozen: nothing to wait for
        finally:
            engine.resume()
        self._count(kind)

    def _count(self, kind: str) -> None:
        self.strikes[kind] += 1
        self._left -= 1


@contextlib.contextmanager
def striking(strike: Callable[[], None], moments: Mapping[str, Callable[[], bool]]) -> Iterator[list[str]]:
    """Strike once at each of these moments, in their order, while the block runs. Yields the names of those that came.

    A moment is asked for again and again; whatever can't be asked yet has not come. Raises what went wrong in a strike.
    """
    came: list[str] = []
    over = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for name, has_come in moments.items():
                while not has_come():
                    if over.wait(0.02):
                        return
                strike()
                came.append(name)
        except BaseException as exc:
            failed.append(exc)

    thread = threading.Thread(target=work, name="moments", daemon=True)
    thread.start()
    try:
        yield came
    finally:
        over.set()
        thread.join(120)
    if failed:
        raise failed[0]


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server in a folder of its own, removed afterwards. Not in memory: a crash must have something to survive on."""
    server = Server(Path("/var/tmp") / f"stepflow-crash-{secrets.token_hex(6)}")
    try:
        yield server
    finally:
        server.remove()


def engine_revival(command: list[str], env: dict[str, str], folder: Path) -> Callable[[], None]:
    """`stepflow run … --detach` again, as an operator or a service manager would."""

    def revive() -> None:
        subprocess.run(
            command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=120, check=False,
        )  # fmt: skip

    return revive
