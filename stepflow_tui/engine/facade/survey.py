"""What a source is, told in a second: `describe` for a SQLite file, `survey` for anything a person may name. Changes nothing."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from stepflow_tui.engine.checks.source_file import unreadable
from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.sqlite.at_rest import undisturbed
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import real_path, shown
from stepflow_tui.engine.sqlite.examine import Examined, SourceState, classify
from stepflow_tui.engine.sqlite.holders import Holders, find_holders
from stepflow_tui.engine.texts import render

_CHILD = "stepflow_tui.engine.sqlite.summary_child"
LOCK_WAIT_MS = 250
"""How long another process's exclusive lock is waited for: a summary is about now."""
EXPORTS = {".json": "JSON", ".ndjson": "NDJSON", ".jsonl": "NDJSON", ".csv": "CSV", ".tsv": "TSV"}
"""Files of the third kind of source, by their ending."""
_LOOKED_AT = 1_000


async def describe(path: Path) -> Mapping[str, Any]:
    """A SQLite file in a second: size, tables, rows, modes, versions, who has it open, free room beside it.

    Args:
        path: the file; symlinks are followed.

    Returns:
        source path size wal_bytes state tables rows rows_exact rows_unknown listed[[name rows exact]] views triggers
        journal_mode page_size encoding user_version application_id written_by sqlite holders[{pid command}]
        holders_known filesystem network free_bytes. What can't be known is None. `rows_exact` False: an estimate.

    Raises:
        Refused: it is no SQLite file whose rows can be read; code `source_<state>`.
    """
    real = real_path(path)

    async def look(resting: bool) -> dict[str, Any]:
        request = {"op": "examine", "path": path_text(real), "busy_timeout_ms": LOCK_WAIT_MS, "resting": resting}
        facts: dict[str, Any] = await run_child(_CHILD, request)
        return facts

    facts = await undisturbed(path, look)
    examined = classify(path, real, facts)
    holders = await find_holders(real)
    if examined.state is not SourceState.EMPTY and not examined.readable:
        raise _refused(examined, holders)
    return _described(examined, holders, facts.get("summary") or {})


def _refused(examined: Examined, holders: Holders) -> Refused:
    finding = unreadable(examined, holders, shown(examined.path))
    words = render(finding)
    return Refused(words.what, detail=words.why, hint=words.fix, code=finding.code)


def _described(examined: Examined, holders: Holders, summary: Mapping[str, Any]) -> dict[str, Any]:
    header, empty = examined.header, examined.state is SourceState.EMPTY
    return {
        "source": "sqlite",
        "path": shown(examined.path),
        "state": examined.state.value,
        "size": examined.size,
        "wal_bytes": examined.wal_bytes,
        "tables": summary.get("tables", 0 if empty else None),
        "rows": summary.get("rows", 0 if empty else None),
        "rows_exact": summary.get("rows_exact", empty),
        "rows_unknown": summary.get("rows_unknown", 0),
        "listed": summary.get("listed", []),
        "views": summary.get("views", 0),
        "triggers": summary.get("triggers", 0),
        "journal_mode": examined.journal_mode or ("wal" if examined.wal else None),
        "page_size": header.page_size if header else None,
        "encoding": examined.encoding or None,
        "user_version": summary.get("user_version"),
        "application_id": summary.get("application_id"),
        "written_by": (header.library if header else "") or None,
        "sqlite": sqlite3.sqlite_version,
        "holders": [{"pid": h.pid, "command": h.command} for h in holders.processes],
        "holders_known": holders.known and holders.complete,
        "filesystem": examined.filesystem.kind or None,
        "network": examined.filesystem.network,
        "free_bytes": _free(examined.real.parent),
    }


def _free(folder: Path) -> int | None:
    with suppress(OSError):
        return shutil.disk_usage(folder).free
    return None


async def survey(source: str) -> Mapping[str, Any]:
    """What a person named as the source: an address of PostgreSQL (not connected to), exported files, or a SQLite file.

    Returns:
        `{source: "postgres"}`, `{source: "files", path, format, size}`, or what `describe` tells.

    Raises:
        Refused: it is none of them.
    """
    if re.match(r"postgres(ql)?://", source.strip()):
        return {"source": "postgres"}
    path = Path(os.path.expanduser(source))  # noqa: PTH111 - pathlib raises for an unknown user's home
    return await asyncio.to_thread(_exports, path) or await describe(path)


def _exports(path: Path) -> dict[str, Any] | None:
    """Exported files: one by its ending, or a folder that holds some; None for all else, `describe` says what it is."""
    with suppress(OSError):
        if path.is_dir():
            found = [f for f in _entries(path) if f.suffix.lower() in EXPORTS]
        else:
            found = [path] if path.suffix.lower() in EXPORTS and path.is_file() and not _is_sqlite(path) else []
        if found:
            formats = sorted({EXPORTS[f.suffix.lower()] for f in found})
            size = sum(f.stat().st_size for f in found)
            return {"source": "files", "path": shown(path), "format": ", ".join(formats), "size": size}
    return None


def _entries(folder: Path) -> list[Path]:
    with suppress(OSError):
        return [Path(e.path) for _, e in zip(range(_LOOKED_AT), os.scandir(folder), strict=False) if e.is_file()]
    return []


def _is_sqlite(path: Path) -> bool:
    # only files named as exports are opened here; one that is a database all the same is left to `describe`
    with suppress(OSError), path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\x00"
    return False
