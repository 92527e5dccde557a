"""Owns the write fence in the source: who may write, and the application's triggers while nobody may.

Raising and lifting are one transaction each: whatever happens in between, the file is either fenced with the triggers
kept in its control row, or not fenced with the triggers in place.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from stepflow_tui.engine.errors import Drift, Refused
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.live import CTL, LOG, OURS, WRITER, Installed, Owner
from stepflow_tui.engine.plan.quote import lite_ident, lite_literal
from stepflow_tui.engine.sqlite.applying import immediate, open_applying
from stepflow_tui.engine.sqlite.capture_make import renew_triggers
from stepflow_tui.engine.sqlite.capture_state import guard, identity, read_control, stamp
from stepflow_tui.engine.sqlite.connect import open_living, shown
from stepflow_tui.engine.sqlite.mapping import sqlite_errors

FENCE = f"{OURS}fence_"
"""Prefix of the fence's triggers: `_sf_fence_insert_<table>` and so on."""

WAIT_SECONDS = 30.0
"""For the write lock, where nobody waits for the change itself."""

MESSAGE = "stepflow: writes moved to PostgreSQL; this file takes none"
"""What a refused write reads, after SQLite's error code SQLITE_CONSTRAINT_TRIGGER."""

_EVENTS = ("insert", "update", "delete")
# GLOB, because LIKE takes the underscores of the prefix for any character
_THEIRS = (
    f"select name, tbl_name, sql from sqlite_schema where type='trigger' and name not glob '{OURS}*' order by rowid"
)
_FENCES = f"select name, tbl_name, sql from sqlite_schema where type='trigger' and name glob '{FENCE}*' order by rowid"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTrigger:
    """A trigger of the application, as its CREATE text."""

    name: str
    table: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceFacts:
    """What a raised fence guarantees.

    `log_max` is the last entry of the change log (0: it is empty); it can't move while the fence stands.
    """

    log_max: int
    schema_version: int
    kept: tuple[KeptTrigger, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceState:
    """How the file stands. `tables` are those with a whole fence."""

    fenced: bool
    owner: Owner
    tables: tuple[str, ...]
    kept: tuple[KeptTrigger, ...]
    schema_version: int


async def raise_fence(path: Path, tables: Sequence[str], *, owner: Owner = Owner.SQLITE, wait: float) -> FenceFacts:
    """Refuse every write to the tables but those of transactions that set `_sf_ctl.writer`. Raising it again is harmless.

    The application's triggers on them are taken off and kept: an applying transaction must not fire them. Triggers on
    views stay; what they write is refused by the table.

    Args:
        path: the real path.
        tables: source names.
        owner: the side that owns writes, written in the same transaction.
        wait: seconds until the write lock must be there; the application writes until then, and after a Held.

    Raises:
        Held: the lock was not free in time; nothing has changed.
        Refused: no capture in this file. Drift: a table is gone.
    """
    return await asyncio.to_thread(_raise, path, tuple(tables), owner, wait)


async def lift_fence(path: Path, *, owner: Owner | None = None, wait: float = WAIT_SECONDS) -> FenceState:
    """Make the application's triggers again and let writes through. Lifting it twice is harmless.

    Args:
        owner: the side that owns writes from then on; None leaves it.

    Raises:
        Held: as `raise_fence`.
        Drift: a kept trigger can't be made again because its table, or another trigger of its name, is in the way.
    """
    return await asyncio.to_thread(_lift, path, owner, wait)


async def set_owner(path: Path, owner: Owner, *, wait: float = WAIT_SECONDS) -> None:
    """Name the side that owns writes, for routers that can't reach PostgreSQL."""
    await asyncio.to_thread(_set_owner, path, owner, wait)


async def fence_state(path: Path) -> FenceState:
    """How the file stands, in one read."""
    return await asyncio.to_thread(_state, path)


async def hold_fence(path: Path, tables: Sequence[str], *, compared: int) -> None:
    """Prove that the fence stands, whole, and that nothing came through since both sides were compared.

    Args:
        tables: as for `raise_fence`.
        compared: the newest log entry that was compared on both sides.

    Raises:
        Drift: `fence_broken`: it doesn't, or something did; capture is not as we left it (as `guard` says).
    """
    await asyncio.to_thread(_hold, path, tuple(tables), compared)


def _hold(path: Path, tables: tuple[str, ...], compared: int) -> None:
    with sqlite_errors(f"The write fence of {shown(path)}"), closing(open_living(path)) as conn:
        conn.execute("begin")
        if read_control(conn) is None:
            raise _broken(path, f"the table {CTL} is missing")
        newest = guard(conn, _expected(conn, path), path)
        standing = {name: sql for name, _, sql in _rows(conn, _FENCES)}
        missing = sorted(name for name, sql in _fence(tables).items() if standing.get(name) != sql)
        if not _state_of(conn).fenced or missing:
            raise _broken(path, ", ".join(missing) or "it was lifted")
        if newest > compared:
            raise _broken(path, f"the change log ends at {newest}, and {compared} was compared")


def _broken(path: Path, detail: str) -> Drift:
    return Drift(
        f"The write fence in {shown(path)} is not as it was raised: it may have let writes through.",
        detail=detail,
        hint="Somebody changed the file during the cutover. Nothing was switched: try the cutover again.",
        code="fence_broken",
    )


def _raise(path: Path, tables: tuple[str, ...], owner: Owner, wait: float) -> FenceFacts:
    with closing(_open(path)) as conn, immediate(conn, path, wait):
        facts = fence_within(conn, path, tables, owner)
        failpoint("fence_raise_commit")
    failpoint("fence_raised")
    return facts


def fence_within(conn: sqlite3.Connection, path: Path, tables: tuple[str, ...], owner: Owner) -> FenceFacts:
    """`raise_fence` inside a transaction of the caller, who commits it.

    Args:
        conn: holds the write lock.
        path: the real path of its file.
    """
    _need_control(conn, path)
    guard(conn, _expected(conn, path), path)
    _need_tables(conn, path, tables)
    kept = [*_kept(conn), *_take_off(conn, tables)]
    standing = {name: sql for name, _, sql in _rows(conn, _FENCES)}
    for name, sql in _fence(tables).items():
        if standing.get(name) != sql:
            if name in standing:
                _run(conn, f"drop trigger {lite_ident(name)}")
            _run(conn, sql)
    _run(
        conn,
        f"update {CTL} set fenced=1, owner=?, app_triggers=?",
        owner.value, json.dumps([asdict(k) for k in kept], ensure_ascii=False),
    )  # fmt: skip
    version = stamp(conn, path).schema_version
    log_max = _one(conn, f"select coalesce(max(n), 0) from {LOG}")
    return FenceFacts(log_max=log_max, schema_version=version, kept=tuple(kept))


def _fence(tables: tuple[str, ...]) -> dict[str, str]:
    """The triggers by name. BEFORE: they answer ahead of every conflict clause, which therefore can't swallow them."""
    made = {}
    for table in tables:
        for event in _EVENTS:
            name = f"{FENCE}{event}_{table}"
            made[name] = (
                f"CREATE TRIGGER {lite_ident(name)} before {event} on {lite_ident(table)}"
                f" when (select writer from {CTL})<>{lite_literal(WRITER)}"
                f" begin select raise(abort, {lite_literal(MESSAGE)}); end"
            )
    return made


def _take_off(conn: sqlite3.Connection, tables: tuple[str, ...]) -> list[KeptTrigger]:
    """The application's triggers on the tables, dropped, in the order in which they were made: SQLite fires by it."""
    wanted = {t.lower() for t in tables}
    taken = [KeptTrigger(name=n, table=t, sql=s) for n, t, s in _rows(conn, _THEIRS) if t.lower() in wanted]
    for trigger in taken:
        _run(conn, f"drop trigger {lite_ident(trigger.name)}")
    return taken


def _lift(path: Path, owner: Owner | None, wait: float) -> FenceState:
    with closing(_open(path)) as conn:
        with immediate(conn, path, wait):
            _need_control(conn, path)
            sound = _sound(conn, path)
            for name, _, _ in _rows(conn, _FENCES):
                _run(conn, f"drop trigger {lite_ident(name)}")
            kept = _kept(conn)
            for trigger in kept:
                _put_back(conn, path, trigger)
            if kept:
                renew_triggers(conn)
            _run(
                conn,
                f"update {CTL} set fenced=0, app_triggers='[]', owner=coalesce(?, owner)",
                owner.value if owner else None,
            )
            if sound:
                stamp(conn, path)
            state = _state_of(conn)  # behind the commit a writer of the application may keep readers out
            failpoint("fence_lift_commit")
        failpoint("fence_lifted")
        return state


def _put_back(conn: sqlite3.Connection, path: Path, trigger: KeptTrigger) -> None:
    found = _sql_of(conn, trigger.name)
    if found is None:
        try:
            _run(conn, trigger.sql)
        except sqlite3.OperationalError as error:
            raise _in_the_way(path, trigger, f"SQLite: {error}") from None
        found = _sql_of(conn, trigger.name)
    if found != trigger.sql:
        raise _in_the_way(path, trigger, "a trigger of this name with another text exists")


def _in_the_way(path: Path, trigger: KeptTrigger, why: str) -> Drift:
    return Drift(
        f"The application's trigger {trigger.name} can't be made again in {shown(path)}.",
        detail=f"on table {trigger.table}: {why}",
        hint="Someone changed the schema while the file was fenced: drop what is in the way, then try again.",
        code="fence_trigger",
    )


def _sql_of(conn: sqlite3.Connection, name: str) -> str | None:
    found = _rows(conn, "select sql from sqlite_schema where type='trigger' and name=? collate nocase", name)
    return found[0][0] if found else None


def _set_owner(path: Path, owner: Owner, wait: float) -> None:
    with closing(_open(path)) as conn, immediate(conn, path, wait):
        _need_control(conn, path)
        _run(conn, f"update {CTL} set owner=?", owner.value)


def _state(path: Path) -> FenceState:
    with sqlite_errors(f"The write fence of {shown(path)}"), closing(open_living(path)) as conn:
        conn.execute("begin")
        _need_control(conn, path)
        return _state_of(conn)


def _state_of(conn: sqlite3.Connection) -> FenceState:
    [(fenced, owner)] = _rows(conn, f"select fenced, owner from {CTL}")
    standing: dict[str, int] = {}
    for _, table, _ in _rows(conn, _FENCES):
        standing[table] = standing.get(table, 0) + 1
    return FenceState(
        fenced=bool(fenced),
        owner=Owner(owner),
        tables=tuple(t for t, n in standing.items() if n == len(_EVENTS)),
        kept=tuple(_kept(conn)),
        schema_version=_one(conn, "pragma schema_version"),
    )


def _kept(conn: sqlite3.Connection) -> list[KeptTrigger]:
    [(text,)] = _rows(conn, f"select app_triggers from {CTL}")
    return [KeptTrigger(**entry) for entry in json.loads(text)]


def _open(path: Path) -> sqlite3.Connection:
    with sqlite_errors(f"The write fence of {shown(path)}"):
        return open_applying(path)


def _expected(conn: sqlite3.Connection, path: Path) -> Installed:
    """What the control row says capture must look like, in the file that has this name now."""
    control = read_control(conn)
    assert control is not None
    device, inode = identity(path)
    return Installed(
        device=device, inode=inode, schema_version=control.schema_version, triggers_sha256=control.triggers
    )


def _sound(conn: sqlite3.Connection, path: Path) -> bool:
    """Whether capture is as we left it. Where it isn't, lifting goes on (the application must be able to write), but
    does not vouch for what it found: the tail's guard then tells of it."""
    try:
        guard(conn, _expected(conn, path), path)
    except Drift:
        return False
    return True


def _need_control(conn: sqlite3.Connection, path: Path) -> None:
    if not _rows(conn, "select 1 from sqlite_schema where type='table' and name=?", CTL):
        raise Refused(
            f"No change capture is installed in {shown(path)}.",
            detail=f"the table {CTL} is missing",
            hint="Someone removed it, or the file was restored from a copy: `stepflow rollback` the run, then start anew.",
            code="capture_missing",
        )


def _need_tables(conn: sqlite3.Connection, path: Path, tables: tuple[str, ...]) -> None:
    there = {name.lower() for (name,) in _rows(conn, "select name from sqlite_schema where type='table'")}
    gone = [t for t in tables if t.lower() not in there]
    if gone:
        raise Drift(
            f"Tables of the source {shown(path)} are gone.",
            detail=", ".join(gone),
            hint="Plan again with `stepflow plan`, then start a new run.",
            code="source_table_gone",
        )


def _run(conn: sqlite3.Connection, sql: str, *values: object) -> None:
    conn.execute(sql, values)
    failpoint("fence_statement")


def _rows(conn: sqlite3.Connection, sql: str, *values: object) -> list[tuple[str, ...]]:
    rows = conn.execute(sql, values).fetchall()
    return [tuple(v.decode() if isinstance(v, bytes) else v for v in row) for row in rows]


def _one(conn: sqlite3.Connection, sql: str) -> int:
    return int(conn.execute(sql).fetchone()[0])
