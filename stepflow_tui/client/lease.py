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
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from stepflow_tui.client.buckets import NEW, OLD, Key, Side, key_bytes, side_of

LEASE_SQL: Final = (
    "select c.owner, c.fenced, s.version, s.share, s.salt, s.groups, s.lease_until_ms"
    " from _sf_ctl c left join _sf_switch s on s.one = 1"
)
"""One row, or an error "no such table" where StepFlow is not (or no longer) in the file."""

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

    def side(self, key: Key, user: Key | None = None, groups: Sequence[str] = ()) -> Side:
        """The side while the lease lasts: everybody follows the writes once PostgreSQL owns them; before that the named
        users, keys and groups read the new side, others by their bucket."""
        if self.owner == NEW:
            return NEW
        if self.groups and not self.groups.isdisjoint(_names(key, user, groups)):
            return NEW
        return side_of(self.salt, self.share, key)


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
    """Reads the lease from a SQLite file. Never waits for a lock and never writes.

    Args:
        path: the application's SQLite file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._conn: sqlite3.Connection | None = None
        self._file: tuple[int, ...] = ()
        self._seen: int | None = None
        self._last: Lease | None = None

    def __call__(self) -> Lease | None:
        """The lease; None where the file holds nothing of StepFlow.

        Raises:
            sqlite3.Error: the file is locked, or can't be read just now. OSError: it is not there.
        """
        conn = self._open()
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
            if "no such table" in str(error):
                return None
            raise
        return Lease.of(row) if row is not None else None

    def _open(self) -> sqlite3.Connection:
        """The connection; a new one after a fork, and when another file stands under the name."""
        facts = os.stat(self._path)  # noqa: PTH116 - asked several times a second
        file = (os.getpid(), facts.st_dev, facts.st_ino)
        if self._conn is not None and file == self._file:
            return self._conn
        if self._conn is not None and file[0] == self._file[0]:
            self.close()
        # a connection that came over a fork is left alone: closing it would drop locks of the parent
        uri = f"file:{quote(os.path.abspath(self._path))}?mode=ro"  # noqa: PTH100
        self._conn = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
        self._file, self._seen = file, None
        return self._conn


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
        monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._read, self._refresh = read, refresh
        self._monotonic, self._wall = monotonic, wall
        self._lock = threading.Lock()
        self._lease = Lease(owner=unmanaged)
        self._next = self._ends = float("-inf")
        self.failures = 0
        """Readings that failed; the lease that was known before lasts until its end."""

    def owner(self, *, fresh: bool = False) -> Side:
        """Who owns writes, as the file says."""
        return self.look(fresh=fresh)[0].owner

    def side(self, key: Key, user: Key | None = None, groups: Sequence[str] = ()) -> Side:
        """Where this key reads now."""
        lease, alive = self.look()
        return lease.side(key, user, groups) if alive else lease.owner

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
        except Exception:  # whatever reading does, requests go on with what is known
            self.failures += 1
            return
        if found is None:
            # removed: whoever owned writes last still does
            self._ends = float("-inf")
            return
        if (found.until_ms, found.version) != (self._lease.until_ms, self._lease.version):
            left = found.until_ms / 1000 - self._wall()
            self._ends = now + min(left, LONGEST_SECONDS)
        self._lease = found
