"""Files that front ends write for their operator: always new ones, never over one that is there, for this user only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.texts.language import _

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def new_file(path: Path) -> TextIO:
    """Open a private file that was not there.

    Raises:
        OSError: it is there already (`FileExistsError`), or can't be written.
    """
    return os.fdopen(os.open(path, _NEW, 0o600), "w", encoding="utf-8", errors="backslashreplace")


def write_new(base: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write one file per suffix beside each other: `base.md`, `base.json`. All of them or none.

    Raises:
        UsageError: one is there already, or can't be written.
    """
    written: list[Path] = []
    path = base
    try:
        for suffix, text in texts.items():
            path = base.with_name(base.name + suffix)
            with new_file(path) as file:
                written.append(path)
                file.write(text)
    except OSError as exc:
        for half in written:
            half.unlink(missing_ok=True)
        raise _refused(path, exc) from exc
    return written


def save_text(places: Iterator[Path], stem: str, suffix: str, pieces: Iterable[str]) -> Path:
    """Write a new file in the first folder that takes it, with a number where the name is taken.

    Args:
        pieces: texts, written one after the other.

    Raises:
        OSError: no folder takes it.
    """
    problem = OSError(_("no folder can be written"))
    for folder in places:
        try:
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            path, file = _numbered(folder, stem, suffix)
        except OSError as error:
            problem = error
            continue
        with file:
            file.writelines(pieces)
        return path
    raise problem


def file_name(name: str) -> str:
    """A name of ours or of a table as a file name: plain letters only."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "text"


def _numbered(folder: Path, stem: str, suffix: str) -> tuple[Path, TextIO]:
    number = 1
    while True:
        path = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
        try:
            return path, new_file(path)
        except FileExistsError:
            number += 1


def _refused(path: Path, error: OSError) -> UsageError:
    if isinstance(error, FileExistsError):
        return UsageError(f"{path} exists already.", hint="Choose another name.", code="file_exists")
    return UsageError(
        f"{path} can't be written: {error.strerror}.", hint="Choose another folder.", code="file_unwritable"
    )
