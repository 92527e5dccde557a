"""What is wrong with a SQLite file: locks, write-ahead log, leftovers, damage. Changes nothing; every read is short."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.application.processes import Users, users_of
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.facade.doctor_problem import Problem, size
from stepflow_tui.engine.model.finding import Severity
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import real_path, shown, side_file
from stepflow_tui.engine.sqlite.examine import Examined, SourceState, classify
from stepflow_tui.engine.sqlite.file_locks import EXCLUSIVE, READING, WAITING, WRITING, FileLock, locks_on
from stepflow_tui.engine.sqlite.wal_sampler import WalSample, WalSampler

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig
    from stepflow_tui.engine.model.config import Config

LOOKS, EVERY = 6, 0.2
"""Looks at the locks, and the pause between them: who holds one in all of them is in the way."""
CHECK_BYTES = 1024**3
USED_BYTES = 32 * 1024**2
"""Largest file whose inside is checked; with a rollback journal less, for a reader that copies it keeps writers waiting."""
FULL_BYTES = 16 * 1024**2
FOLDER_NAMES = 10_000

_PROBE = "stepflow_tui.engine.sqlite.probe_child"
_CHECK = "stepflow_tui.engine.sqlite.copy_check_child"
_NO_DATABASE = {
    SourceState.EMPTY: "it is empty",
    SourceState.DIRECTORY: "it is a folder",
    SourceState.NOT_REGULAR: "it is no regular file",
    SourceState.NOT_SQLITE: "it is something else",
    SourceState.ENCRYPTED: "it looks encrypted",
    SourceState.TOO_NEW: "its format is newer than this library",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was looked at. `found` None: the file can't be read. `locks`: looks at them, 0 where the system lists none.
    `unchecked`: why its inside was not checked, "" when it was."""

    path: Path
    users: Users
    found: Examined | None = None
    locks: int = 0
    unchecked: str = ""


async def database_problems(loaded: LoadedConfig) -> tuple[list[Problem], Seen]:
    """Everything about the file, and what was looked at for it."""
    config, path = loaded.config, real_path(loaded.config.source.path)
    users = await asyncio.to_thread(users_of, path)
    orphans = await asyncio.to_thread(lambda: list(_orphans(path)))
    try:
        found = await examine_quietly(config.source.path)
    except StepFlowError as error:
        reason = f"{error.message} {error.detail}".strip()
        return [
            Problem(code="database_unreadable", severity=Severity.BLOCKING, params=_file(path, reason=reason))
        ], Seen(path=path, users=users)
    locks: list[dict[int, FileLock] | None] = []
    problems = [*_of_state(found), *orphans, *_of_disk(config, path)]
    if found.state in (SourceState.SOUND, SourceState.LOCKED):
        locks, wal = await _watch(path)
        problems += [
            *_of_locks([look or {} for look in locks], wal),
            *_of_mode(config, found),
            *_of_wal(config, found, wal),
        ]
    unchecked = ""
    if found.state is SourceState.SOUND:
        inside, unchecked = await _of_inside(found)
        problems += inside
    looks = sum(look is not None for look in locks)
    return problems, Seen(path=path, users=users, found=found, locks=looks, unchecked=unchecked)


async def examine_quietly(path: Path) -> Examined:
    """What the file is. A database in WAL mode that nobody has open is not opened: that would make side files, which would
    belong to whoever runs this."""
    real = real_path(path)
    request = {"op": "examine", "path": path_text(real), "busy_timeout_ms": 500}
    facts = await run_child(_PROBE, {**request, "raw_only": True})
    found = None if facts.get("problem") else classify(path, real, facts)
    if found is None or found.header is None or (found.wal and not side_file(real, "-shm").exists()):
        return found or classify(path, real, facts)
    return classify(path, real, await run_child(_PROBE, request))


def _file(path: Path, **params: Any) -> dict[str, Any]:
    return {"file": shown(path), **params}


def _of_state(found: Examined) -> Iterator[Problem]:
    file, severity = _file(found.real), Severity.BLOCKING
    if found.state is SourceState.MISSING:
        yield Problem(code="database_missing", severity=severity, params=file)
    elif found.state in (SourceState.UNREADABLE, SourceState.WAL_LOCKED_IN):
        yield Problem(code="database_unreadable", severity=severity, params=file | {"reason": found.detail})
    elif found.state in (SourceState.CORRUPT, SourceState.TRUNCATED):
        yield Problem(code="database_damaged", severity=severity, params=file | {"reason": found.detail})
    elif found.state is SourceState.HOT_JOURNAL:
        evidence = (f"-journal: {size(found.journal_bytes)}",)
        yield Problem(code="hot_journal", severity=severity, params=file, evidence=evidence)
    elif found.state in _NO_DATABASE:
        what = f"it is {found.guess}" if found.guess else _NO_DATABASE[found.state]
        yield Problem(code="database_no_database", severity=severity, params=file | {"what": what})


def _orphans(path: Path) -> Iterator[Problem]:
    """Side files with something in them whose database is not there, in the database's folder."""
    try:
        names = [entry.name for entry, _n in zip(os.scandir(path.parent), range(FOLDER_NAMES), strict=False)]
    except OSError:
        return
    there = set(names)
    for name in sorted(names):
        base, dash, kind = name.rpartition("-")
        side = path.with_name(name)
        if side == path:  # a database may be called like a side file
            continue
        if dash and base and kind in ("wal", "journal") and base not in there and _bytes(side):
            params = {"side": shown(side), "database": shown(path.with_name(base))}
            yield Problem(code="side_file_orphan", params=params, evidence=(f"{shown(side)}: {size(_bytes(side))}",))


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _of_disk(config: Config, path: Path) -> Iterator[Problem]:
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:
        return
    least = config.requirements.disk.minimum
    params = {"folder": shown(path.parent), "free": size(free), "limit": size(least)}
    if free < FULL_BYTES:
        yield Problem(code="disk_full", severity=Severity.BLOCKING, params=params)
    elif free < least:
        yield Problem(code="disk_low", params=params)


async def _watch(path: Path) -> tuple[list[dict[int, FileLock] | None], WalSample]:
    """The locks in several looks of about a second (None: not to be told), and the write-ahead log meanwhile."""
    sampler = WalSampler(every=EVERY)
    looks: list[dict[int, FileLock] | None] = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(sampler.close)
        await sampler.start(path)
        for _n in range(LOOKS):
            held = await asyncio.to_thread(locks_on, path)
            looks.append(None if held is None else {lock.pid: lock for lock in held})
            await asyncio.sleep(EVERY)
        return looks, await sampler.sample()


def _of_locks(looks: Sequence[dict[int, FileLock]], wal: WalSample) -> Iterator[Problem]:
    kinds = (EXCLUSIVE, WRITING, WAITING, *(() if wal.mode == "wal" else (READING,)))
    always = set.intersection(*(set(look) for look in looks)) if looks else set()
    held = [
        looks[-1][pid]
        for pid in sorted(always)
        if all(look[pid].what in kinds for look in looks)
    ]  # fmt: skip
    # one that only reads keeps nobody out of a WAL database, and short reads of a rollback journal are seen by chance
    if held:
        params = {"holders": ", ".join(lock.text for lock in held), "seconds": f"{LOOKS * EVERY:g}"}
        yield Problem(code="database_locked", params=params, evidence=tuple(lock.text for lock in held))


def _of_mode(config: Config, found: Examined) -> Iterator[Problem]:
    mode, header = found.journal_mode or "", "wal" if found.wal else "a rollback journal"
    if config.in_place and (not found.wal or mode not in ("wal", "")):
        evidence = (f"PRAGMA journal_mode: {mode or 'not asked'}", f"header: {header}")
        params = _file(found.real, mode=mode or "nothing", header=header)
        yield Problem(code="wal_not_active", params=params, evidence=evidence)
    if not found.wal and found.wal_bytes:
        yield Problem(code="wal_leftover", params=_file(found.real, size=size(found.wal_bytes)))


def _of_wal(config: Config, found: Examined, wal: WalSample) -> Iterator[Problem]:
    limit = min(config.wal.max_bytes, config.monitor.limits.wal)
    pins = wal.pinned_by or ()
    named = "; ".join(f"pid {p.pid} ({p.command or '?'}) for at least {p.age_seconds:g} s" for p in pins)
    if found.wal and found.wal_bytes > limit:
        pinned = f"Held back by {named}." if named else "Nobody holds it back now."
        evidence = (f"{wal.frames} frames, {wal.checkpointed} in the database",) if wal.frames is not None else ()
        params = {"size": size(found.wal_bytes), "limit": size(limit), "pinned": pinned}
        yield Problem(code="wal_large", params=params, evidence=evidence)
    elif named:
        left = (wal.frames or 0) - (wal.checkpointed or 0)
        yield Problem(code="wal_pinned", severity=Severity.INFO, params={"pinned": f"{named}.", "frames": left})


async def _of_inside(found: Examined) -> tuple[list[Problem], str]:
    """What is wrong in it, and why it was not checked."""
    why = await asyncio.to_thread(_why_unchecked, found)
    lines: list[str] = []
    if not why:
        lines, why = await _checked(found)
    problems = []
    if why:
        params = _file(found.real, reason=why)
        problems.append(Problem(code="data_unchecked", severity=Severity.INFO, params=params))
    if not lines:
        return problems, why
    params = _file(found.real, count=len(lines))
    damage = Problem(code="data_damaged", severity=Severity.BLOCKING, params=params, evidence=tuple(lines[:5]))
    return [damage, *problems], why


def _why_unchecked(found: Examined) -> str:
    total = found.size + found.wal_bytes
    if total >= CHECK_BYTES:
        return f"it is larger than {size(CHECK_BYTES)}"
    if not found.wal and total > USED_BYTES:
        return f"it is larger than {size(USED_BYTES)}, and a reader of a rollback journal keeps writers waiting"
    if found.wal and found.wal_bytes and not side_file(found.real, "-shm").exists():
        return "nobody has it open, and what stands in -wal is not in the database yet"
    if shutil.disk_usage(tempfile.gettempdir()).free < 2 * total + FULL_BYTES:
        return f"there is no room for a copy in {tempfile.gettempdir()}"
    return ""


async def _checked(found: Examined) -> tuple[list[str], str]:
    alone = found.wal and not side_file(found.real, "-shm").exists()
    with tempfile.TemporaryDirectory(prefix="stepflow-") as folder:
        copy = Path(folder) / "copy.db"
        request = {"path": path_text(found.real), "copy": path_text(copy), "immutable": alone or found.immutable}
        try:
            answer = await run_child(_CHECK, request)
        except StepFlowError as error:
            return [], error.message
    if alone and await asyncio.to_thread(side_file(found.real, "-shm").exists):
        return [], "somebody opened it while it was read without locks"  # a page in writing would look like damage
    return answer["lines"], answer["problem"]
