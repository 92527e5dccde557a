"""Files that the wizard writes for its operator: never over one that is there, readable by this user only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from stepflow_tui.engine.errors import UsageError


def write_new(base: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write one file per suffix beside each other: `base.md`, `base.json`. All of them or none.

    Raises:
        UsageError: one is there already, or can't be written.
    """
    written: list[Path] = []
    try:
        for suffix, text in texts.items():
            path = base.with_name(base.name + suffix)
            _write(path, text)
            written.append(path)
    except OSError as exc:
        for path in written:
            path.unlink(missing_ok=True)
        raise _refused(path, exc) from exc
    return written


def _write(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _refused(path: Path, error: OSError) -> UsageError:
    if isinstance(error, FileExistsError):
        return UsageError(f"{path} exists already.", hint="Choose another name.", code="file_exists")
    return UsageError(
        f"{path} can't be written: {error.strerror}.", hint="Choose another folder.", code="file_unwritable"
    )
