"""Owns the verdict on a source file: what it is, and whether and how it can be read. Decides; the child process looks."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import BUSY_TIMEOUT_MS, real_path
from stepflow_tui.engine.sqlite.fingerprint import Fingerprint, from_facts
from stepflow_tui.engine.sqlite.mounts import FileSystem, filesystem_of, is_file_mount

_CHILD = "stepflow_tui.engine.sqlite.probe_child"

_MAGIC = b"SQLite format 3\x00"
_ENCRYPTED_ENTROPY = 7.5
"""Bits per byte of the first 4 KiB above which a file without a known signature is taken for encrypted; pages of tables stay below 7."""


class SourceState(StrEnum):
    """What a source turned out to be. Only SOUND and HOT_JOURNAL can be read."""

    SOUND = "sound"
    EMPTY = "empty"  # zero bytes: nothing to migrate
    HOT_JOURNAL = "hot_journal"  # left by a crash: recovered in a copy
    MISSING = "missing"
    DIRECTORY = "directory"
    NOT_REGULAR = "not_regular"  # FIFO, device, socket
    UNREADABLE = "unreadable"  # permission, I/O error
    NOT_SQLITE = "not_sqlite"
    ENCRYPTED = "encrypted"
    TRUNCATED = "truncated"  # shorter than its header says
    CORRUPT = "corrupt"
    TOO_NEW = "too_new"  # a file format this library does not know
    WAL_LOCKED_IN = "wal_locked_in"  # live -wal in a folder that can't be written
    LOCKED = "locked"  # another process holds it exclusively


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The fields of the first 100 bytes that matter here."""

    page_size: int
    wal: bool  # read version 2
    change_counter: int
    page_count: int  # 0 when the header's own count is not valid
    schema_cookie: int
    library: str  # of the last writer, "" when unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """Everything known about a source before a row is read.

    `path` is as configured, `real` with symlinks resolved: side files, locks and reports use that one.
    `immutable` tells how to open it; `detail` holds the system's or SQLite's own words.
    """

    path: Path
    real: Path
    state: SourceState
    detail: str = ""
    guess: str = ""  # what a file that is no database looks like
    header: Header | None = None
    fingerprint: Fingerprint | None = None
    size: int = 0
    wal_bytes: int = 0
    journal_bytes: int = 0
    links: int = 1
    other_names: tuple[str, ...] = ()
    file_mount: bool = False
    folder_read_only: bool = False
    immutable: bool = False
    filesystem: FileSystem = field(default_factory=FileSystem)
    journal_mode: str = ""
    encoding: str = ""
    tables: int | None = None  # entries in the schema, SQLite's own left out
    schema_error: str = ""  # a schema entry this library can't parse

    @property
    def readable(self) -> bool:
        """Whether its rows can be read (a hot journal: in a recovered copy)."""
        return self.state in (SourceState.SOUND, SourceState.HOT_JOURNAL)

    @property
    def wal(self) -> bool:
        """Whether it is in WAL mode."""
        return self.header is not None and self.header.wal

    @property
    def live_wal(self) -> bool:
        """Whether `-wal` holds anything."""
        return self.wal_bytes > 0


async def examine(path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS, resting: bool = False) -> Examined:
    """Classify a source. Never raises for what the file is; changes nothing.

    Args:
        path: as configured; symlinks are followed.
        busy_timeout_ms: how long another process's exclusive lock is waited for.
        resting: it may be read without locks and side files: `at_rest.undisturbed` looks whether that was right.
    """
    real = real_path(path)
    request = {"op": "examine", "path": path_text(real), "busy_timeout_ms": busy_timeout_ms, "resting": resting}
    facts = await run_child(_CHILD, request)
    return classify(path, real, facts)


def classify(path: Path, real: Path, facts: dict[str, Any]) -> Examined:
    """The verdict on the child's facts."""
    if problem := facts.get("problem"):
        return Examined(
            path=path, real=real, state=SourceState(problem), detail=facts.get("detail", ""), size=facts.get("size", 0)
        )
    sqlite = facts.get("sqlite") or {}
    state, detail = _state(facts, sqlite)
    raw = bytes.fromhex(facts["header"])
    return Examined(
        path=path,
        real=real,
        state=state,
        detail=detail,
        guess=facts["guess"],
        header=parse_header(raw) if raw.startswith(_MAGIC) and len(raw) == 100 else None,
        fingerprint=from_facts(facts),
        size=facts["size"],
        wal_bytes=facts["wal"]["size"],
        journal_bytes=facts["journal"]["size"],
        links=facts["links"],
        other_names=_other_names(real) if facts["links"] > 1 else (),
        file_mount=is_file_mount(real),
        folder_read_only=facts.get("folder_read_only", False),
        immutable=sqlite.get("immutable", False),
        filesystem=filesystem_of(real.parent),
        journal_mode=sqlite.get("journal_mode", ""),
        encoding=sqlite.get("encoding", ""),
        tables=sqlite.get("tables"),
        schema_error=sqlite.get("schema_error", ""),
    )


def parse_header(raw: bytes) -> Header:
    """The 100-byte header of a database file."""
    page_size, _, read_version = struct.unpack_from(">HBB", raw, 16)
    counter, pages = struct.unpack_from(">II", raw, 24)
    valid_for, library = struct.unpack_from(">II", raw, 92)
    return Header(
        page_size=65_536 if page_size == 1 else page_size,
        wal=read_version == 2,
        change_counter=counter,
        page_count=pages if valid_for == counter else 0,
        schema_cookie=struct.unpack_from(">I", raw, 40)[0],
        library=f"{library // 1_000_000}.{library // 1000 % 1000}.{library % 1000}" if library else "",
    )


def _state(facts: dict[str, Any], sqlite: dict[str, Any]) -> tuple[SourceState, str]:
    raw = bytes.fromhex(facts["header"])
    if facts["size"] == 0:
        return (
            (SourceState.TRUNCATED, "the file is empty, but its -wal is not")
            if facts["wal"]["size"]
            else (SourceState.EMPTY, "")
        )
    if not raw.startswith(_MAGIC):
        return _not_sqlite(facts)
    if len(raw) < 100:
        return SourceState.TRUNCATED, f"the file ends after {len(raw)} bytes, inside its header"
    if facts.get("folder_read_only") and facts["wal"]["size"]:
        return SourceState.WAL_LOCKED_IN, f"-wal holds {facts['wal']['size']} bytes"
    header = parse_header(raw)
    # A journal may hold the pages that are missing, and a -wal may hold pages beyond the end of the file.
    expected = header.page_count * header.page_size
    if facts["size"] < expected and not facts["wal"]["size"] and sqlite.get("error") != "SQLITE_READONLY_ROLLBACK":
        return SourceState.TRUNCATED, f"the header counts {expected} bytes, the file has {facts['size']}"
    return _by_error(facts, sqlite, raw) if sqlite.get("error") else (SourceState.SOUND, "")


def _not_sqlite(facts: dict[str, Any]) -> tuple[SourceState, str]:
    # An encrypted database is pages of random bytes; anything compressed carries a signature.
    if facts["guess"] == "binary data" and facts["entropy"] > _ENCRYPTED_ENTROPY and facts["size"] % 512 == 0:
        return SourceState.ENCRYPTED, ""
    return SourceState.NOT_SQLITE, facts["guess"]


_BY_ERROR = {
    "SQLITE_READONLY_ROLLBACK": SourceState.HOT_JOURNAL,
    "SQLITE_BUSY": SourceState.LOCKED,
    "SQLITE_BUSY_RECOVERY": SourceState.LOCKED,
    "SQLITE_LOCKED": SourceState.LOCKED,
    "SQLITE_CANTOPEN": SourceState.UNREADABLE,
    "SQLITE_PERM": SourceState.UNREADABLE,
    "SQLITE_AUTH": SourceState.UNREADABLE,
    "SQLITE_READONLY_CANTINIT": SourceState.UNREADABLE,
    "SQLITE_READONLY_DIRECTORY": SourceState.UNREADABLE,
}


def _by_error(facts: dict[str, Any], sqlite: dict[str, Any], raw: bytes) -> tuple[SourceState, str]:
    name = sqlite["error"]
    detail = f"{sqlite['message']} ({name})"
    if name in _BY_ERROR:
        return _BY_ERROR[name], detail
    if name.startswith("SQLITE_IOERR"):
        return SourceState.UNREADABLE, detail
    if name == "SQLITE_NOTADB" and facts["entropy"] > _ENCRYPTED_ENTROPY:
        return SourceState.ENCRYPTED, detail
    if raw[19] > 2:
        return SourceState.TOO_NEW, f"read version {raw[19]}"
    return SourceState.CORRUPT, detail


def _other_names(real: Path, limit: int = 10_000) -> tuple[str, ...]:
    """Other hard links in the same folder; links elsewhere can't be found without searching the disk."""
    names = []
    inode = real.stat().st_ino
    for position, entry in enumerate(os.scandir(real.parent)):
        if position >= limit:
            break
        if entry.name != real.name and entry.inode() == inode:
            names.append(entry.name)
    return tuple(sorted(names))
