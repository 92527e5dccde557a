"""A further copy of an archive, its hash proven."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from stepflow_tui.engine.application.archive import hashed
from stepflow_tui.engine.application.archive_manifest import Archive, read_archive, remove_archive, write_manifest
from stepflow_tui.engine.errors import StepFailed


def copy_archive(archive: Archive, folder: Path) -> Path:
    """Put a copy into a folder; an equal one that is there stays. Blocking.

    Raises:
        StepFailed: it can't be written, or differs; nothing is left behind.
    """
    copy = folder / archive.file.name
    known = read_archive(copy)
    try:
        if known is not None and known.sha256 == archive.sha256 and hashed(copy)[0] == archive.sha256:
            return copy
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_archive(copy)
        _copy(archive.file, copy)
        if hashed(copy)[0] != archive.sha256:
            raise OSError("the copy has other bytes")
        write_manifest(replace(archive, path=str(copy)))
    except OSError as exc:
        remove_archive(copy)
        raise StepFailed(
            f"The archive can't be copied to {folder}.",
            detail=str(exc),
            hint="Correct that, or take the folder out of `backup.also`.",
            code="archive_failed",
        ) from exc
    return copy


def _copy(source: Path, copy: Path) -> None:
    handle = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as to, source.open("rb") as given:
        shutil.copyfileobj(given, to, 1024 * 1024)
        to.flush()
        os.fsync(handle)
