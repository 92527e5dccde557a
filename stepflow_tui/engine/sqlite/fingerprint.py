"""Owns "is it still the same file with the same content?": fingerprints cheap enough to ask often, and the full hash."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.control import Control
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import shown

_CHILD = "stepflow_tui.engine.sqlite.probe_child"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What tells two states of a database file apart, without reading it. JSON-able with `model.codec`.

    `wal_*` and `journal_*` are zero and empty when the side file is absent or empty. A reused `-wal` keeps size and
    header while frames are overwritten, so its modification time belongs to it.
    """

    dev: int
    inode: int
    size: int
    mtime_ns: int
    change_counter: int
    schema_cookie: int
    wal_size: int = 0
    wal_mtime_ns: int = 0
    wal_header: str = ""
    journal_size: int = 0
    journal_header: str = ""


async def fingerprint(path: Path) -> Fingerprint:
    """The fingerprint of a source, taken in a child process.

    Args:
        path: the real path.

    Raises:
        Refused: `source_missing` or `source_unreadable`.
    """
    facts = await run_child(_CHILD, {"op": "fingerprint", "path": path_text(path)})
    if problem := facts.get("problem"):
        raise Refused(
            f"The source {shown(path)} can't be looked at: {problem.replace('_', ' ')}.",
            detail=facts.get("detail", ""),
            hint="Put the file back, or correct `source.path`.",
            code=f"source_{problem}",
        )
    return from_facts(facts)


def from_facts(facts: dict[str, Any]) -> Fingerprint:
    """A fingerprint of what the child saw."""
    header = bytes.fromhex(facts["header"]).ljust(100, b"\x00")
    wal, journal = facts["wal"], facts["journal"]
    return Fingerprint(
        dev=facts["dev"],
        inode=facts["inode"],
        size=facts["size"],
        mtime_ns=facts["mtime_ns"],
        change_counter=struct.unpack_from(">I", header, 24)[0],
        schema_cookie=struct.unpack_from(">I", header, 40)[0],
        wal_size=wal["size"],
        wal_mtime_ns=wal["mtime_ns"],
        wal_header=wal["head"],
        journal_size=journal["size"],
        journal_header=journal["head"],
    )


def same_file(a: Fingerprint, b: Fingerprint) -> bool:
    """Whether both name the same file; False when it was replaced (renamed over, restored)."""
    return (a.dev, a.inode) == (b.dev, b.inode)


def same_content(a: Fingerprint, b: Fingerprint) -> bool:
    """Whether nothing was written in between. False may also mean a checkpoint or a touch: then compare the content.

    Device numbers are left out: they may change when the machine starts again.
    """
    return _content(a) == _content(b)


def _content(value: Fingerprint) -> tuple[object, ...]:
    return (
        value.inode, value.size, value.mtime_ns, value.change_counter, value.schema_cookie,
        value.wal_size, value.wal_mtime_ns, value.wal_header, value.journal_size, value.journal_header,
    )  # fmt: skip


async def content_sha256(path: Path, *, control: Control | None = None) -> str:
    """SHA-256 over the bytes of the main file, `-wal` and `-journal`, read in a child process.

    Without side files (or with empty ones) it equals `sha256sum` of the file.

    Raises:
        StepFailed: the file can't be read.
        Stopping: by `control`.
    """
    answer = await run_child(_CHILD, {"op": "sha256", "path": path_text(path)}, control=control)
    return str(answer["sha256"])
