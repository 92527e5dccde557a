"""Compares one key range of a table by value: both sides as Arrow, buffer by buffer, in a worker process.

The SQL of both sides comes ready-made from the verification. Equal buffers prove equal rows; rows whose buffers differ
are only suspects: the verification looks at each of them by its own exact conversion.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stepflow_tui.engine.errors import StepFailed, TargetConnectionError

MAX_SUSPECTS = 2_000
"""More suspects than this: the range is looked at as a whole."""

UNREADABLE = "compare_read"
"""Code of the error that says: this range can't be read as Arrow."""

_FIXED = {"l", "g", "tsu:"}
_ONE_BATCH = 1 << 30
_LOST = ("08", "57", "53")  # SQLSTATE classes: connection, operator intervention, no resources


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareJob:
    """One range. The first row of both results is a typed dummy; `formats` are (source, target) per column.

    Args:
        source: URI of the frozen file.
        target: libpq URI, with the password.
        session_sql: statements run once per target connection.
        keys: the first so many columns are the key; 0 = none.
        odd: the source's result has a last column more: 1 where a value can't be compared as Arrow.
        limit: rows the target may return at most, the dummy left out; one more means too many.
    """

    source: str
    target: str = field(repr=False)
    session_sql: str
    source_sql: str
    target_sql: str
    formats: tuple[tuple[str, str], ...]
    keys: int
    odd: bool
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareResult:
    """What the buffers say. `suspects` are key values; None: look at the whole range."""

    source_rows: int
    target_rows: int
    source_sha256: str
    target_sha256: str
    suspects: tuple[tuple[Any, ...], ...] | None


def compare_range(job: CompareJob) -> CompareResult:
    """Compare one range.

    Raises:
        TargetConnectionError: the target was lost.
        StepFailed: a side can't be read.
    """
    ours = _Batch(_read_source(job))
    return _compare(job, ours, _Batch(_read_target(job)))


def digest_range(job: CompareJob) -> tuple[int, str]:
    """Rows and sha256 of the target's side of a range alone, the same bytes as `compare_range`'s."""
    batch = _Batch(_read_target(job))
    return batch.rows, _digest(batch, [t for _, t in job.formats])


def _compare(job: CompareJob, ours: _Batch, theirs: _Batch) -> CompareResult:
    planned = [s for s, _ in job.formats]
    # an unplanned format: a value of another class made the reader convert its whole column
    fits = ours.formats[: len(planned)] == planned and theirs.formats == [t for _, t in job.formats]
    ours_sha, theirs_sha = _digest(ours, planned), _digest(theirs, theirs.formats)
    suspects: tuple[tuple[Any, ...], ...] | None = ()
    if not fits or theirs.rows > job.limit:
        suspects = None
    else:
        unequal = [n for n in range(len(planned)) if ours.column(n) != theirs.column(n)]
        odd = _odd(ours) if job.odd else []
        if unequal or odd or ours.rows != theirs.rows:
            suspects = _suspects(job, ours, theirs, unequal, odd)
    return CompareResult(
        source_rows=ours.rows,
        target_rows=theirs.rows,
        source_sha256=ours_sha,
        target_sha256=theirs_sha,
        suspects=suspects,
    )


def _suspects(
    job: CompareJob, ours: _Batch, theirs: _Batch, unequal: list[int], odd: list[int]
) -> tuple[tuple[Any, ...], ...] | None:
    if not job.keys:
        return None
    our_keys = list(zip(*(ours.values(n) for n in range(job.keys)), strict=True))
    if ours.rows == theirs.rows and not any(n < job.keys for n in unequal):
        at = set(odd)
        for n in unequal:
            at.update(i for i, (a, b) in enumerate(zip(ours.values(n), theirs.values(n), strict=True)) if a != b)
        found = [our_keys[i] for i in sorted(at)]
    else:
        found = _unpaired(job, ours, theirs, our_keys, odd)
    return tuple(found) if len(found) <= MAX_SUSPECTS else None


def _unpaired(
    job: CompareJob, ours: _Batch, theirs: _Batch, our_keys: list[tuple[Any, ...]], odd: list[int]
) -> list[tuple[Any, ...]]:
    """Rows are missing or extra: pair by key, then compare what both have."""
    their_keys = list(zip(*(theirs.values(n) for n in range(job.keys)), strict=True))
    place = {key: i for i, key in enumerate(their_keys)}
    pairs = [(i, place.pop(key)) for i, key in enumerate(our_keys) if key in place]
    paired = {i for i, _ in pairs}
    at = {i for i in range(len(our_keys)) if i not in paired} | set(odd)
    for n in range(job.keys, len(job.formats)):
        a, b = ours.values(n), theirs.values(n)
        at.update(i for i, j in pairs if a[i] != b[j])
    return [our_keys[i] for i in sorted(at)] + list(place)


def _odd(batch: _Batch) -> list[int]:
    column = batch.column(len(batch.formats) - 1)
    if not any(column[1]):
        return []
    return [i for i, value in enumerate(batch.values(len(batch.formats) - 1)) if value]


def _digest(batch: _Batch, formats: list[str]) -> str:
    sha = hashlib.sha256()
    for n in range(min(len(formats), len(batch.formats))):
        for part in batch.column(n):
            sha.update(len(part).to_bytes(8, "big"))
            sha.update(part)
    return sha.hexdigest()


class _Batch:
    """One result: a typed dummy row and the range's rows."""

    def __init__(self, arrays: list[Any]) -> None:
        self._views = [[array.child(n) for n in range(array.n_children)] for array in arrays]
        self.formats = [c.schema.format for c in self._views[0]] if self._views else []
        self.length = sum(array.length for array in arrays)
        self.rows = self.length - 1
        self._cache: dict[int, tuple[bytes, bytes, bytes]] = {}

    def column(self, n: int) -> tuple[bytes, bytes, bytes]:
        """Validity bitmap (empty without NULLs; padding masked), offsets, data."""
        if n not in self._cache:
            self._cache[n] = _buffers(self._views, n)
        return self._cache[n]

    def values(self, n: int) -> list[Any]:
        """The rows' values, the dummy left out: int (bits of a double), str, bytes, None."""
        bitmap, offsets, data = self.column(n)
        if self.formats[n] in _FIXED:
            found: list[Any] = memoryview(data).cast("q").tolist()
        else:
            ends = memoryview(offsets).cast("i").tolist()
            found = [data[a:b] for a, b in itertools.pairwise(ends)]
            if self.formats[n] == "u":
                found = [_text(v) for v in found]
        if bitmap:
            found = [v if bitmap[i >> 3] >> (i & 7) & 1 else None for i, v in enumerate(found)]
        return found[1:]


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _buffers(batches: list[list[Any]], n: int) -> tuple[bytes, bytes, bytes]:
    if len(batches) != 1:
        raise StepFailed("A range came in several Arrow batches.", code="compare_batches")
    array = batches[0][n]
    view = array.view()
    rows = array.length
    fixed = array.schema.format in _FIXED
    bitmap = _bitmap(view.buffer(0), rows)
    if fixed:
        data = bytes(memoryview(view.buffer(1)).cast("B")[: 8 * rows])
        return bitmap, b"", data
    offsets = bytes(memoryview(view.buffer(1)).cast("B")[: 4 * (rows + 1)])
    end = int.from_bytes(offsets[-4:], "little")
    data = bytes(memoryview(view.buffer(2)).cast("B")[:end]) if end else b""
    return bitmap, offsets, data


def _bitmap(buffer: Any, rows: int) -> bytes:
    """The validity bitmap without its padding bits, which are uninitialised; empty where every value is there."""
    size = (rows + 7) // 8
    if buffer.size_bytes == 0:
        return b""
    bits = bytearray(memoryview(buffer).cast("B")[:size])
    rest = rows & 7
    full = (1 << rest) - 1 if rest else 0xFF
    bits[-1] &= full
    if bits[-1] == full and bits.count(0xFF, 0, size - 1) == size - 1:
        return b""
    return bytes(bits)


class _Link:
    """This process' connection to one side, kept for the next range."""

    def __init__(self) -> None:
        self.uri = ""
        self.connection: Any = None

    def to(self, uri: str, connect: Callable[[], Any]) -> Any:
        """The open connection to that place, or a new one."""
        if self.connection is None or self.uri != uri:
            self.close()
            self.connection, self.uri = connect(), uri
        return self.connection

    def close(self) -> None:
        """Let go; a connection that is broken may not even close."""
        import adbc_driver_manager

        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(adbc_driver_manager.Error):
                connection.close()


_source, _target = _Link(), _Link()


def _read_source(job: CompareJob) -> list[Any]:
    import adbc_driver_manager
    import adbc_driver_sqlite

    with _driver_errors("read the source"):
        connection = _source.to(
            job.source, lambda: adbc_driver_manager.AdbcConnection(adbc_driver_sqlite.connect(job.source))
        )
        return _read(connection, job.source_sql, {"adbc.sqlite.query.batch_rows": _ONE_BATCH})


def _read_target(job: CompareJob) -> list[Any]:
    """The target's rows; a connection that was lost since the last range is made anew once, since reading is harmless."""
    kept = _target.connection is not None and _target.uri == job.target
    try:
        return _read_once(job)
    except TargetConnectionError:
        if not kept:
            raise
        return _read_once(job)


def _read_once(job: CompareJob) -> list[Any]:
    try:
        with _driver_errors("read the target"):
            connection = _target.to(job.target, lambda: _connect(job))
            return _read(connection, job.target_sql, {"adbc.postgresql.batch_size_hint_bytes": _ONE_BATCH})
    except TargetConnectionError:
        _target.close()
        raise


def _connect(job: CompareJob) -> Any:
    import adbc_driver_manager
    import adbc_driver_postgresql

    try:
        connection = adbc_driver_manager.AdbcConnection(adbc_driver_postgresql.connect(job.target))
        _execute(connection, job.session_sql)
    except adbc_driver_manager.Error as error:
        raise _lost(error) from error
    return connection


def _execute(connection: Any, sql: str) -> None:
    import adbc_driver_manager

    statement = adbc_driver_manager.AdbcStatement(connection)
    try:
        statement.set_sql_query(sql)
        statement.execute_update()
    finally:
        statement.close()


def _read(connection: Any, sql: str, options: dict[str, int]) -> list[Any]:
    """All batches of a result: one, by its options."""
    import adbc_driver_manager
    import nanoarrow

    statement = adbc_driver_manager.AdbcStatement(connection)
    try:
        statement.set_options(**options)
        statement.set_sql_query(sql)
        with nanoarrow.c_array_stream(statement.execute_query()[0]) as stream:
            return list(stream)
    finally:
        statement.close()


def _lost(error: Exception) -> TargetConnectionError:
    return TargetConnectionError("The connection to the target was lost during verification.", detail=str(error))


@contextlib.contextmanager
def _driver_errors(doing: str) -> Iterator[None]:
    import adbc_driver_manager

    try:
        yield
    except adbc_driver_manager.Error as error:
        words = str(error)
        if (error.sqlstate or "")[:2] in _LOST or "server closed" in words or "connection" in words.lower():
            raise _lost(error) from error
        raise StepFailed(f"A verification could not {doing}.", detail=words, code=UNREADABLE) from error
