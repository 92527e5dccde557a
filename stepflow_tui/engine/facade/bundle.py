"""`doctor --bundle`: what support needs to understand a problem, in one private file, without secrets and without rows.

Everything passes one sieve: known secrets in all their printed forms, passwords by pattern, values under telling names. Of the
report and the events only what says how the run went is taken; what could hold a value of a row is left out by name, and of
the engine's log what stands in quotes.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import json
import os
import platform
import re
import sqlite3
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui import __version__
from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.errors import DiskFull, StepFailed, StepFlowError, UsageError
from stepflow_tui.engine.facade.look import report
from stepflow_tui.engine.facade.secrets import secret_name, secrets_of
from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.journal.rundir import ENGINE_LOG, StateDir
from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.model.redact import MASK, Redact, redactor, without_named
from stepflow_tui.engine.model.times import iso_utc

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig
    from stepflow_tui.engine.journal.rundir import RunEntry

LOG_LINES = 500
LOG_BYTES = 1024 * 1024
EVENTS = 2_000

_REPORT = (
    "run", "name", "kind", "result", "exit_code", "plan_hash", "config_hash", "started_at", "finished_at", "seconds", "versions",
    "source_changed", "findings", "alerts", "audit", "timings", "state", "window", "availability", "application_state",
)  # fmt: skip
_TABLE = ("source", "target", "source_rows", "target_rows", "rejected_rows", "verified", "copy_seconds", "as_of")
_STATUS = (
    "run",
    "name",
    "state",
    "phase",
    "phases",
    "steps",
    "result",
    "exit_code",
    "engine",
    "alerts",
    "gauges",
    "progress",
)
_EVENT = frozenset(
    {"phase", "step", "state", "result", "name", "kind", "mode", "environment", "code", "table", "tbl", "item", "stage", "severity",
     "gate", "verb", "answer", "resumed", "version", "cause", "unit"}
)  # fmt: skip
"""Texts of an event that name things of ours; any other text might quote a row."""
_OF_LOGS = ("application_not_running", "log_errors")
"""Problems whose evidence is lines of the application's log."""
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_PYTHON_FILE = re.compile(r'^\s*File "[^"]*", line \d+')


async def support_bundle(
    state: Path, file: Path, found: Mapping[str, Any], loaded: LoadedConfig | None = None
) -> Mapping[str, Any]:
    """Write a support bundle.

    Args:
        state: the state directory.
        file: a name that is free; it is made with mode 0600.
        found: what `doctor` answered.
        loaded: the config; None: that of the newest run is looked for, for its secrets.

    Returns:
        {file bytes sha256 members[…] run}.

    Raises:
        UsageError: `bundle_exists`, or a name that can't be written.
        DiskFull, StepFailed: it could not be written; nothing is left of it.
    """
    return await asyncio.to_thread(_bundle, state, file, found, loaded)


def _bundle(state: Path, file: Path, found: Mapping[str, Any], loaded: LoadedConfig | None) -> Mapping[str, Any]:
    bundle_place(file)
    run = _newest(state, loaded)
    known = loaded or _config_of(run)
    clean = sieve(secrets_of(known))
    members = dict(_members(found, known, run, clean))
    data = _packed(members)
    _write(file, data)
    return {
        "file": str(file),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "members": sorted(members),
        "run": run.id if run is not None else None,
    }


def sieve(secrets: set[str]) -> Redact:
    """Blots out secrets, and values beside telling names (`token: …`, `"password": "…"`)."""
    redact = redactor(secrets)
    return lambda text: without_named(redact(text))


def bundle_place(file: Path) -> None:
    """Refuse a name that is taken or in no folder. Raises UsageError: `bundle_exists`, `bundle_folder`."""
    if os.path.lexists(file):
        raise UsageError(f"{file} is there already.", hint="Choose a new name.", code="bundle_exists")
    if not file.parent.is_dir():
        raise UsageError(f"There is no folder {file.parent}.", hint="Make it, or choose another.", code="bundle_folder")


def _newest(state: Path, loaded: LoadedConfig | None) -> RunEntry | None:
    try:
        runs = StateDir.open(state, os.environ, create=False).runs(lambda _path: None)
    except StepFlowError:
        return None
    return next((run for run in runs if loaded is None or run.name == loaded.config.name), None)


def _config_of(run: RunEntry | None) -> LoadedConfig | None:
    """The config that a run was started with, if it can still be read; its secrets are in what the run wrote."""
    if run is None:
        return None
    try:
        with RunReader(run.path) as reader:
            row = reader.run()
        return load_config(Path(row["config_path"]), os.environ) if row else None
    except (StepFlowError, OSError):
        return None


def _members(
    found: Mapping[str, Any], loaded: LoadedConfig | None, run: RunEntry | None, clean: Redact
) -> Mapping[str, bytes]:
    members = {"versions.json": _json(_versions(), clean), "doctor.json": _json(_without_lines(found), clean)}
    if loaded is not None:
        members["config.yaml"] = clean(loaded.redacted).encode()
    if run is None:
        return members
    for name, look in (("report.json", _report), ("status.json", _status), ("events.json", _events)):
        try:
            members[f"run/{name}"] = _json(look(run), clean)
        except StepFlowError as error:
            members[f"run/{name}"] = _json({"error": error.code}, clean)
    log = _log(run.path / ENGINE_LOG)
    if log is not None:
        members["run/engine.log"] = "\n".join(clean(_unquoted(line)) for line in log).encode()
    return members


def _without_lines(found: Mapping[str, Any]) -> dict[str, Any]:
    """What `doctor` answered, without lines of the application's logs: they may quote rows."""
    problems = [{**p, "evidence": []} if p["code"] in _OF_LOGS else p for p in found["problems"]]
    return {**found, "problems": problems}


def _json(value: Any, clean: Redact) -> bytes:
    return json.dumps(_scrubbed(to_plain(value), clean), ensure_ascii=False, indent=1, default=str).encode(
        "utf-8", "backslashreplace"
    )


def _scrubbed(value: Any, clean: Redact, key: str = "") -> Any:
    if isinstance(value, str):
        return MASK if secret_name(key) and value else clean(value)
    if isinstance(value, dict):
        return {clean(str(k)): _scrubbed(v, clean, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(v, clean, key) for v in value]
    return value


def _versions() -> dict[str, Any]:
    return {
        "stepflow": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "made_at": iso_utc(time.time_ns() // 1_000_000),
    }


def _report(run: RunEntry) -> dict[str, Any]:
    """The report without rejects, discrepancies, SQL, notes and digests."""
    whole = report(run)
    kept = {key: whole.get(key) for key in _REPORT}
    kept["findings"] = [{k: f[k] for k in ("severity", "code", "object")} for f in whole["findings"]]
    kept["alerts"] = [{k: v for k, v in a.items() if k not in ("note", "params")} for a in whole["alerts"]]
    kept["tables"] = [{key: table.get(key) for key in _TABLE} for table in whole["tables"]]
    kept["left_out"] = {"discrepancies": len(whole["discrepancies"]), "rejects": len(whole["rejects"])}
    kept["errors"] = [
        {"code": e["code"], "message": _unquoted(e["message"]), "hint": e["hint"]} for e in whole["errors"]
    ]
    return kept


def _status(run: RunEntry) -> dict[str, Any]:
    with RunReader(run.path) as reader:
        status = reader.status()
    return {key: _figures(status[key]) for key in _STATUS if key in status}


def _events(run: RunEntry) -> list[dict[str, Any]]:
    with RunReader(run.path) as reader:
        rows = reader.last_events(EVENTS)
    return [
        {"seq": r["seq"], "at": iso_utc(r["at_ms"]), "step": r["step"], "code": r["code"], "data": _figures(r["data"])}
        for r in rows
    ]


def _figures(value: Any, key: str = "") -> Any:
    """Numbers, and texts that name things of ours."""
    if isinstance(value, dict):
        kept = {k: _figures(v, k) for k, v in value.items() if k not in ("key", "value", "params", "note", "text")}
        return {k: v for k, v in kept.items() if v is not None}
    if isinstance(value, list | tuple):
        return [kept for v in value if (kept := _figures(v, key)) is not None]
    if isinstance(value, str):
        return value if key in _EVENT else None
    return value


def _log(path: Path) -> list[str] | None:
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - LOG_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()[-LOG_LINES:]
    except OSError:
        return None


def _unquoted(line: str) -> str:
    """A line of a log without what stands in quotes: Python's errors quote the value they are about."""
    return line if _PYTHON_FILE.match(line) else _QUOTED.sub(MASK, line)


def _packed(members: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in sorted(members.items()):
            entry = tarfile.TarInfo(f"stepflow-support/{name}")
            entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _write(file: Path, data: bytes) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"{file} is there already.", hint="Choose a new name.", code="bundle_exists") from None
    except OSError as error:
        raise UsageError(
            f"{file} can't be written.",
            detail=error.strerror or "",
            hint="Choose another folder.",
            code="bundle_folder",
        ) from None
    try:
        with os.fdopen(descriptor, "wb") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(data)
    except OSError as error:
        file.unlink(missing_ok=True)
        failed = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StepFailed
        raise failed(f"The support bundle {file} could not be written.", detail=error.strerror or "") from error
