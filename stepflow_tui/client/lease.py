"""What a router knows: the lease copy of the read switch in the SQLite file, read seldom, believed for a short time.

The table is plain SQL, so that any language can read it; docs/client.md says how. The truth is a row in PostgreSQL that
only the engine writes; the copy here is a lease: once it is no longer renewed, reads go to the side that owns writes.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from stepflow_tui.client.buckets import NEW, OLD, Key, Side, key_bytes, side_of

LEASE_SQL: Final = (
    "select c.owner, c.fenced, s.version, s.share, s.salt, s.groups, s.lease_until_ms"
    " from _sf_ctl c left join _sf_switch s on s.one = 1"
)
"""One row, or an error "no such table" where StepFlow is not (or no longer) in the file."""

MARK: Final = "-stepflow"
"""What the name of the file beside the SQLite file has more: StepFlow has left the file, and writes are in PostgreSQL."""

_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_CRASHED: Final = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
"""What a reader meets that may not write, where a crash left a journal."""

CERTAIN_SECONDS: Final = 2.0
"""What was read no longer ago than this is believed while nothing can be read; before a write it is waited for anything older."""

LONGEST_SECONDS: Final = 60.0
"""A lease that claims to last longer is cut to this: the wall clock may have been put back."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One reading. `share` in hundredths of a per cent; `until_ms`: milliseconds since 1970; `fenced`: SQLite refuses
    writes at the moment."""

    owner: Side
    fenced: bool = False
    version: int = 0
    share: int = 0
    salt: str = ""
    groups: frozenset[str] = frozenset()
    until_ms: int = 0

    @classmethod
    def of(cls, row: Sequence[Any]) -> Lease:
        """From a row of `LEASE_SQL`. No row of `_sf_switch` yet: no lease, the owner of writes alone.

        Raises:
            ValueError: the row holds something else.
        """
        owner = _side(row[0])
        if row[2] is None:
            return cls(owner=owner, fenced=bool(row[1]))
        names = json.loads(row[5])
        if not isinstance(names, list):
            raise ValueError("groups of the lease are no list")
        return cls(
            owner=owner, fenced=bool(row[1]), version=int(row[2]), share=int(row[3]), salt=str(row[4]),
            groups=frozenset(str(name) for name in names), until_ms=int(row[6]),
        )  # fmt: skip

    @classmethod
    def after(cls, path: str | os.PathLike[str]) -> Lease:
        """For a file that held StepFlow's tables and holds them no longer: after a clean-up a mark beside it says that
        PostgreSQL owns writes; without one the run was rolled back or given up, and SQLite does.

        Raises:
            OSError, ValueError: the mark can't be read.
        """
        return _marked(os.fspath(path)) or cls(owner=OLD)

    def side(self, key: Key, user: Key | None = None, groups: Sequence[str] = ()) -> Side:
        """The side while the lease lasts: everybody follows the writes once PostgreSQL owns them; before that the named
        users, keys and groups read the new side, others by their bucket."""
        if self.owner == NEW:
            return NEW
        if self.groups and not self.groups.isdisjoint(_names(key, user, groups)):
            return NEW
        return side_of(self.salt, self.share, key)


def _marked(path: str) -> Lease | None:
    """What the mark beside a file says; None without one, and where it is about a file that stood there before.

    Raises:
        OSError, ValueError: it can't be read.
    """
    try:
        with open(path + MARK, encoding="utf-8") as mark:  # noqa: PTH123 - not the database: closing it drops no lock
            said = json.load(mark)
        owner, inode = _side(said["owner"]), said["inode"]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(f"{path}{MARK} does not say who owns writes") from error
    try:
        about = inode is None or os.stat(path).st_ino == inode  # noqa: PTH116
    except FileNotFoundError:
        about = True
    return Lease(owner=owner) if about else None


def _side(value: object) -> Side:
    if value == NEW:
        return NEW
    if value == OLD:
        return OLD
    raise ValueError("the owner of writes is neither sqlite nor postgresql")


def _names(key: Key, user: Key | None, groups: Sequence[str]) -> set[str]:
    names = {key_bytes(one).decode("utf-8", "replace") for one in (key, user) if one is not None}
    return names | set(groups)


class LeaseFile:
    """Reads the lease from a SQLite file. Never waits for a lock, and writes nothing.

    Args:
        path: the application's SQLite file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.realpath(path)
        self._managed: tuple[int, ...] = ()  # device and inode of the file in which StepFlow's tables were seen
        self._conn: sqlite3.Connection | None = None
        self._file: tuple[int, ...] = ()
        self._seen: int | None = None
        self._last: Lease | None = None

    def __call__(self) -> Lease | None:
        """The lease. Once StepFlow has left the file: who owns writes since, as `Lease.after` says. None where it was never
        seen in it.

        Raises:
            sqlite3.Error: the file is locked, or can't be read just now. FileNotFoundError: it is not there, and no mark
            is. Any other OSError, ValueError: the mark can't be read.
        """
        try:
            return self._look(self._open())
        except FileNotFoundError:
            if (left := _marked(self._path)) is not None:
                return left
            raise
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _CRASHED:
                raise
        self._recover()
        return self._look(self._open())

    def _look(self, conn: sqlite3.Connection) -> Lease | None:
        seen = conn.execute("pragma data_version").fetchone()[0]
        if seen != self._seen:
            self._last = self._read(conn)
            self._seen = seen
        return self._last

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        conn, self._conn, self._seen = self._conn, None, None
        if conn is not None:
            conn.close()

    def _read(self, conn: sqlite3.Connection) -> Lease | None:
        try:
            row = conn.execute(LEASE_SQL).fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            row = None
        if row is not None:
            self._managed = self._file[1:]
            return Lease.of(row)
        # a file that was put in its place was never StepFlow's: whoever owned writes still does
        return Lease.after(self._path) if self._managed == self._file[1:] else _marked(self._path)

    def _recover(self) -> None:
        """Roll back what a crash left, as the application's next look at the file would: it may be waiting for us."""
        with closing(self._connect("rw")) as conn:
            conn.execute("select 1 from sqlite_master").fetchone()

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"file:{quote(os.path.abspath(self._path))}?mode={mode}"  # noqa: PTH100
        return sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)

    def _open(self) -> sqlite3.Connection:
        """The connection; a new one after a fork, and when another file stands under the name."""
        facts = os.stat(self._path)  # noqa: PTH116 - asked several times a second
        file = (os.getpid(), facts.st_dev, facts.st_ino)
        if self._conn is not None and file == self._file:
            return self._conn
        if self._conn is not None and file[0] == self._file[0]:
            self.close()
        # a connection that came over a fork is left alone: closing it would drop locks of the parent
        self._conn = self._connect("ro")
        self._file, self._seen = file, None
        return self._conn


def clock() -> float:
    """Seconds that go on while the machine sleeps, where the system has such a clock: what was read before is old then."""
    which: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if which is None else time.clock_gettime(which)


class LeaseView:
    """The lease as one process sees it: read at most every `refresh` seconds, and no longer believed than it lasts.

    The end of a lease is turned into monotonic time when it is first seen, so that a clock that is put back or forward
    afterwards changes nothing.

    Args:
        read: gives the present lease, None where StepFlow is not in the file; may raise anything.
        refresh: seconds.
        unmanaged: the side while nothing of StepFlow was ever seen in the file.
        monotonic, wall: clocks in seconds.
    """

    def __init__(
        self, read: Callable[[], Lease | None], *, refresh: float = 0.2, unmanaged: Side = OLD,
        monotonic: Callable[[], float] = clock, wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._read, self._refresh = read, refresh
        self._monotonic, self._wall = monotonic, wall
        self._lock = threading.Lock()
        self._lease = Lease(owner=unmanaged)
        self._next = self._ends = float("-inf")
        self._read_at = float("-inf")
        self.failed: Exception | None = None
        """Why the newest reading failed."""
        self.failures = 0
        """Readings that failed; the lease that was known before lasts until its end."""

    def owner(self, *, fresh: bool = False) -> Side:
        """Who owns writes, as the file says."""
        return self.look(fresh=fresh)[0].owner

    def side(self, key: Key, user: Key | None = None, groups: Sequence[str] = ()) -> Side:
        """Where this key reads now."""
        lease, alive = self.look()
        return lease.side(key, user, groups) if alive else lease.owner

    def certain(self) -> bool:
        """Whether what is known is good enough for a write: read just now, or a moment ago by a reader that is now kept out,
        or there is neither a file nor a mark. A process that slept may have missed that writes moved and StepFlow left."""
        self.look(fresh=self.failed is not None)
        if self.failed is None or isinstance(self.failed, FileNotFoundError):
            return True
        return self._monotonic() - self._read_at <= CERTAIN_SECONDS

    def why(self) -> str:
        """What keeps it from being certain, for people."""
        if self.failed is not None and _is_lock(self.failed):
            return "the SQLite file was locked all the time"
        return str(self.failed)

    def look(self, *, fresh: bool = False) -> tuple[Lease, bool]:
        """The newest lease, and whether it still lasts. `fresh` reads the file in any case."""
        now = self._monotonic()
        if fresh or now >= self._next:
            with self._lock:
                if fresh or now >= self._next:
                    self._refresh_now(now)
        return self._lease, self._monotonic() < self._ends

    def _refresh_now(self, now: float) -> None:
        self._next = now + self._refresh
        try:
            found = self._read()
        except Exception as error:  # whatever reading does, requests go on with what is known
            self.failures += 1
            self.failed = error
            return
        self.failed, self._read_at = None, now
        if found is None:
            # a file that was never StepFlow's; a reader of one's own that can't tell keeps the owner it saw last
            self._ends = float("-inf")
            return
        if (found.until_ms, found.version) != (self._lease.until_ms, self._lease.version):
            left = found.until_ms / 1000 - self._wall()
            self._ends = now + min(left, LONGEST_SECONDS)
        self._lease = found


def _is_lock(error: Exception) -> bool:
    """Whether somebody else only holds the file just now, as SQLite's Python modules say it."""
    code = getattr(error, "sqlite_errorcode", None)
    return (code is not None and code & 0xFF in _LOCKED) or type(error).__name__ in ("BusyError", "LockedError")
