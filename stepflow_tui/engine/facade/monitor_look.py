"""One look at an application and its database: what `monitor` shows every time. Takes no lock that a writer would wait for.

The database's files are never opened by this process; whatever reads them runs in children.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.application.health import ask
from stepflow_tui.engine.application.logs import LogLook, LogTail, identities
from stepflow_tui.engine.application.processes import Users, users_of
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.facade.secrets import secrets_of
from stepflow_tui.engine.facade.target_look import look_at_target
from stepflow_tui.engine.model.redact import Redact, redactor
from stepflow_tui.engine.model.times import iso_utc
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import SUFFIXES, real_path, shown, side_file
from stepflow_tui.engine.sqlite.first_value import first_value
from stepflow_tui.engine.sqlite.wal_sampler import WalSample, WalSampler

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig
    from stepflow_tui.engine.model.config_application import Health

COUNT_SECONDS = 2.0
"""How long one look counts rows at most."""
HISTORY_BYTES = 64 * 1024
"""What a single look reads of each log: there was none before it."""
TIMED = ("http", "websocket")
"""Health checks whose answer takes as long as the application needs; a command's time is mostly its own."""

Look = Mapping[str, Any]

_COUNTER = "stepflow_tui.engine.sqlite.count_child"


class Observer:
    """Looks again and again; knows what was read before.

    Args:
        loaded: the config.
        state: the state directory, whose embedded server is meant where the config says so.
        single: there will be one look only.
    """

    def __init__(self, loaded: LoadedConfig, state: Path, *, single: bool) -> None:
        self._loaded = loaded
        self._state = state
        self.redact: Redact = redactor(secrets_of(loaded))
        self._path = real_path(loaded.config.source.path)
        self._single = single
        self._sampler = WalSampler()
        self._counts: dict[str, int | None] = {}
        self._counted: str | None = None
        never = lambda: identities(self._path, SUFFIXES)  # noqa: E731 - asked at every look: the files come and go
        history = HISTORY_BYTES if single else 0
        self._logs = [
            LogTail(log=log, redact=self.redact, history=history, never=never) for log in loaded.config.monitor.logs
        ]

    async def start(self) -> None:
        """Begin to watch the write-ahead log; logs are read from here on."""
        await self._sampler.start(self._path)
        await warm_up(self._loaded)
        if not self._single:
            await self._read_logs()

    async def close(self) -> None:
        """End what was started."""
        await self._sampler.close()
        for tail in self._logs:
            tail.close()

    async def look(self) -> Look:
        """One look: event time database tables health logs processes disk target."""
        began = time.time_ns() // 1_000_000
        wal, health, users, logs, target = await asyncio.gather(
            self._sampler.sample(),
            self._health(),
            asyncio.to_thread(users_of, self._path),
            self._read_logs(),
            self._target(),
        )
        return {
            "event": "look",
            "time": iso_utc(began),
            "database": self._database(wal),
            "tables": await self._tables(wal, users),
            "health": health,
            "logs": [_log(look) for look in logs],
            "processes": _processes(users, self.redact),
            "disk": await asyncio.to_thread(disk_of, self._path),
            "target": target,
        }

    def _database(self, wal: WalSample) -> dict[str, Any]:
        sizes = {
            key: _size(path) for key, path in (("bytes", self._path), ("shm_bytes", side_file(self._path, "-shm")))
        }
        pins = None if wal.pinned_by is None else [
            {"pid": p.pid, "age_seconds": p.age_seconds, "command": self.redact(p.command or "?")} for p in wal.pinned_by
        ]  # fmt: skip
        return {
            "file": shown(self._path),
            "mode": wal.mode,
            "bytes": sizes["bytes"],
            "wal_bytes": wal.bytes,
            "shm_bytes": sizes["shm_bytes"],
            "frames": wal.frames,
            "checkpointed": wal.checkpointed,
            "pinned_by": pins,
        }

    async def _tables(self, wal: WalSample, users: Users) -> dict[str, Any]:
        """Rows by table; `fresh` False: what was counted at `at`, because `why`."""
        why = await self._count(wal, users)
        return {"rows": dict(self._counts), "fresh": not why, "at": self._counted, "why": why}

    async def _count(self, wal: WalSample, users: Users) -> str:
        """Count; the reason where that is not done."""
        if wal.mode not in ("wal", "rollback"):
            return "the database can't be read"
        if wal.mode == "rollback" and (users.processes or not users.known):
            return "somebody uses it, and readers of a rollback journal keep writers waiting"
        alone = wal.mode == "wal" and not side_file(self._path, "-shm").exists()
        if alone and wal.bytes:
            return "nobody uses it, and what stands in -wal is not in the database yet"
        before = _stamp(self._path)
        # without -shm a reader would make side files, and they would belong to whoever runs this
        request = {"path": path_text(self._path), "seconds": COUNT_SECONDS, "immutable": alone}
        try:
            found = await run_child(_COUNTER, request)
        except StepFlowError as error:
            return self.redact(error.message)
        if found["problem"] or (alone and _stamp(self._path) != before):
            return found["problem"] or "it was written meanwhile"
        self._counts = {
            name: rows if rows is not None else self._counts.get(name) for name, rows in found["tables"].items()
        }
        self._counted = iso_utc(time.time_ns() // 1_000_000)
        return "" if None not in found["tables"].values() else "the time did not suffice for all tables"

    async def _health(self) -> list[dict[str, Any]]:
        return await health_of(self._loaded, self.redact)

    async def _read_logs(self) -> list[LogLook]:
        return [await asyncio.to_thread(tail.look) for tail in self._logs]

    async def _target(self) -> dict[str, Any] | None:
        return None if self._loaded.config.in_place else await look_at_target(self._loaded, self._state)


async def health_of(loaded: LoadedConfig, redact: Redact) -> list[dict[str, Any]]:
    """Every health check asked once, at the same time: {what kind ok reason seconds status}."""
    checks, source = loaded.config.application.health, loaded.config.source.path

    async def sql(statement: str) -> Any:
        return await first_value(source, statement, seconds=1.0)

    asked = sql if loaded.config.in_place else None
    kept = [check for check in checks if check.sql is None or asked is not None]
    answers = await asyncio.gather(*(ask(c, sql=asked, folder=loaded.path.parent, redact=redact) for c in kept))
    return [
        {"what": a.what, "kind": kind_of(c), "ok": a.ok, "reason": a.reason, "seconds": a.seconds, "status": a.status}
        for c, a in zip(kept, answers, strict=True)
    ]


async def warm_up(loaded: LoadedConfig) -> None:
    """Import what health checks need, so that no answer seems slow because of it."""
    for name, kind in (("httpx", "http"), ("websockets", "websocket")):
        if any(kind_of(check) == kind for check in loaded.config.application.health):
            await asyncio.to_thread(import_module, name)


def kind_of(check: Health) -> str:
    """How a check asks: http, websocket, tcp, sql or command."""
    return next(k for k in ("http", "websocket", "tcp", "sql", "command") if getattr(check, k) is not None)


def disk_of(path: Path) -> dict[str, Any]:
    """Room where the database lies: {folder free total}; None where that can't be known."""
    try:
        usage = shutil.disk_usage(path.parent)
    except OSError:
        return {"folder": shown(path.parent), "free": None, "total": None}
    return {"folder": shown(path.parent), "free": usage.free, "total": usage.total}


def _processes(users: Users, redact: Redact) -> dict[str, Any]:
    found = [{"pid": u.pid, "command": redact(u.command), "memory": u.memory} for u in users.processes]
    return {"known": users.known, "complete": users.complete, "found": found}


def _log(look: LogLook) -> dict[str, Any]:
    hits = [{"pattern": h.pattern, "count": h.count, "newest": h.newest} for h in look.hits]
    return {
        "file": look.file,
        "state": look.state.value,
        "lines": look.lines,
        "skipped": look.skipped,
        "rotated": look.rotated,
        "hits": hits,
    }


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _stamp(path: Path) -> tuple[Any, ...]:
    """What changes when somebody begins to use a database that nobody used."""
    try:
        facts = path.stat()
    except OSError:
        return ()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, *(side_file(path, s).exists() for s in SUFFIXES)
