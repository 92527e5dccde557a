"""Reads an application's log from where it was read last, and counts the lines that a pattern finds.

Rotation loses nothing: the file that was read stays open until its end is read, whatever its name is now. A file that was
cut off and written again (copytruncate) is noticed by the bytes before the place that was reached. What one look reads is
bounded. The database itself is never opened, whoever names it as a log: closing it would drop locks.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from stepflow_tui.engine.model.config_wal import LogFile
from stepflow_tui.engine.model.redact import Redact, without_named

LOOK_BYTES = 4 * 1024 * 1024
"""Of a log that grew by more, the newest part is read."""
LINE_BYTES = 4096
"""Of a longer line the beginning is looked at."""
SHOWN_CHARACTERS = 200
_MARK_BYTES = 64

Identity = tuple[int, int]


class LogState(StrEnum):
    """Whether a log could be read."""

    READ = "read"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    NO_LOG = "no_log"  # a folder, a device, or the database itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """What a pattern found: how many lines, and the newest of them, without secrets."""

    pattern: str
    count: int
    newest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLook:
    """What came to a log since the look before. `skipped`: bytes that were too many to be read; `rotated`: a new file."""

    file: str
    state: LogState
    lines: int = 0
    skipped: int = 0
    rotated: bool = False
    hits: tuple[Hit, ...] = ()

    @property
    def found(self) -> int:
        """Lines that any pattern found; one that several find counts for each."""
        return sum(hit.count for hit in self.hits)


@dataclass(slots=True)
class _Open:
    descriptor: int
    offset: int
    mark: bytes = b""
    rest: bytes = b""


@dataclass(slots=True)
class LogTail:
    """One log. Blocking: call `look` in a thread.

    Args:
        log: its file and patterns.
        redact: blots secrets out of what is shown.
        history: bytes before the end that the first look reads, too.
        never: device and inode of files that are no log.
    """

    log: LogFile
    redact: Redact
    history: int = 0
    never: Callable[[], Collection[Identity]] = field(default=lambda: ())
    _file: _Open | None = None
    _begun: bool = False

    def look(self) -> LogLook:
        """Read what is new. A log that can't be read is an answer, never an error."""
        path = self.log.file
        try:
            status = path.stat()
            usable = stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in self.never()
        except OSError as error:
            return self._unread(LogState.MISSING if isinstance(error, FileNotFoundError) else LogState.UNREADABLE)
        if not usable:
            return self._unread(LogState.NO_LOG)
        try:
            return self._read(path)
        except OSError:
            return self._unread(LogState.UNREADABLE)

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file.descriptor)

    def _unread(self, state: LogState) -> LogLook:
        lines, skipped = (self._new(self._file, final=True)) if self._file is not None else ([], 0)
        self.close()
        self._begun = True  # whatever appears from now on is new from its first byte
        return self._told(state, lines, skipped, rotated=False)

    def _read(self, path: Path) -> LogLook:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        old = self._file
        if old is not None and os.path.sameopenfile(old.descriptor, descriptor):
            os.close(descriptor)
            lines, skipped = self._new(old, final=False)
            return self._told(LogState.READ, lines, skipped, rotated=False)
        lines, skipped = self._new(old, final=True) if old is not None else ([], 0)
        self.close()
        self._file = _Open(descriptor, 0 if self._begun else _start(descriptor, self.history))
        self._begun = True
        more, missed = self._new(self._file, final=False)
        return self._told(LogState.READ, lines + more, skipped + missed, rotated=old is not None)

    def _new(self, file: _Open, *, final: bool) -> tuple[list[bytes], int]:
        """Whole lines that came to a file; with `final` an unfinished one, too."""
        size = os.fstat(file.descriptor).st_size
        if size < file.offset or not _same_before(file):
            file.offset, file.rest = 0, b""
        skipped = max(0, size - file.offset - LOOK_BYTES)
        if skipped:
            file.offset, file.rest = file.offset + skipped, b""
        data = _pread(file.descriptor, size - file.offset, file.offset)
        file.offset += len(data)
        file.mark = _before(file)
        *lines, rest = (file.rest + data).split(b"\n")
        file.rest = b"" if final else rest[:LINE_BYTES]
        if final and rest:
            lines.append(rest)
        return lines, skipped

    def _told(self, state: LogState, lines: list[bytes], skipped: int, *, rotated: bool) -> LogLook:
        texts = [line[:LINE_BYTES].decode("utf-8", "replace") for line in lines]
        hits = tuple(hit for pattern in self.log.patterns if (hit := self._hit(pattern, texts)) is not None)
        return LogLook(
            file=str(self.log.file), state=state, lines=len(lines), skipped=skipped, rotated=rotated, hits=hits
        )

    def _hit(self, pattern: str, texts: list[str]) -> Hit | None:
        found = [text for text in texts if re.search(pattern, text)]
        if not found:
            return None
        return Hit(pattern=pattern, count=len(found), newest=shown_line(found[-1], self.redact))


def shown_line(line: str, redact: Redact) -> str:
    """A line of a log as it may be shown: without secrets and control characters, shortened."""
    text = "".join(c if c.isprintable() else " " for c in without_named(redact(line))).strip()
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def identities(path: Path, suffixes: Collection[str]) -> set[Identity]:
    """Device and inode of a database and its side files; opens nothing."""
    found = set()
    for name in (path, *(path.with_name(path.name + suffix) for suffix in suffixes)):
        with suppress(OSError):
            status = name.stat()
            found.add((status.st_dev, status.st_ino))
    return found


def _start(descriptor: int, history: int) -> int:
    """Where the first look begins: at the beginning of a line, at most `history` bytes before the end."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - history)
    if start in (0, size):
        return start
    head = _pread(descriptor, LINE_BYTES, start - 1)
    return start + head.index(b"\n") if b"\n" in head else start


def _pread(descriptor: int, count: int, offset: int) -> bytes:
    parts = []
    while count > 0 and (part := os.pread(descriptor, count, offset)):
        parts.append(part)
        count, offset = count - len(part), offset + len(part)
    return b"".join(parts)


def _before(file: _Open) -> bytes:
    start = max(0, file.offset - _MARK_BYTES)
    return _pread(file.descriptor, file.offset - start, start)


def _same_before(file: _Open) -> bool:
    return not file.mark or _before(file) == file.mark
