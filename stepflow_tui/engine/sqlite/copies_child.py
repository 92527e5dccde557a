"""The child process that reads timetables for lines that copy a database file by itself. Changes nothing.

A process of its own, because a line may name databases as if they were scripts: closing one drops the locks of whoever reads it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepflow_tui.engine.sqlite.connect import shown
from stepflow_tui.engine.sqlite.serving import Emit, serve, text_path

MAX_FILES = 2_000
MAX_BYTES = 256 * 1024
TOLD = 10
"""Lines that are told; more would say nothing new."""

_COPIES = re.compile(r"(?:^|[\s;&|(=/@!+-])(cp|rsync|tar|scp|zip|gzip|cat|restic|borg|rclone|duplicity)\s")
_TO_LAST = frozenset({"cp", "rsync", "scp", "rclone"})
"""Tools whose last word is where the copy goes."""
_UNITS = (".service", ".timer", ".conf")
_SCRIPT = re.compile(r"(?:^|[\s='\"])(/[\w./@+-]+)")
_END = re.compile(r"/?\*?['\"]?\s*(?:$|[;&|>)]|\d>)")


@dataclass(frozen=True, slots=True)
class _Names:
    """What a line must name: the file, or its folder as a whole."""

    files: re.Pattern[str]
    folders: re.Pattern[str]


def handle(request: dict[str, Any], emit: Emit) -> Any:
    """Lines as `{file, line, tool}`, at most ten; `places` are files and folders of timetables."""
    path, real = text_path(request["path"]), text_path(request["real"])
    return find(path, real, [text_path(p) for p in request["places"]])


def find(path: Path, real: Path, places: list[Path]) -> list[dict[str, Any]]:
    """The same; scripts that a timetable's lines call are read too, but no lines of scripts that those call."""
    names = _names({path.absolute(), real})
    found: dict[tuple[str, int], str] = {}
    scripts: dict[Path, None] = {}
    for file in _files(places):
        for number, line in _lines(file):
            if tool := _tool(line, names):
                found[shown(file), number] = tool
            elif not line.lstrip().startswith("#"):
                scripts |= dict.fromkeys(Path(name) for name in _SCRIPT.findall(line))
    for script in list(scripts)[:MAX_FILES]:
        found |= {(shown(script), n): tool for n, line in _lines(script) if (tool := _tool(line, names))}
    return [{"file": file, "line": line, "tool": tool} for (file, line), tool in list(found.items())[:TOLD]]


def _names(paths: set[Path]) -> _Names:
    def listed(texts: set[str], end: str) -> re.Pattern[str]:
        return re.compile("|".join(rf"(?<![\w/]){re.escape(t)}{end}" for t in sorted(texts, reverse=True)) or r"(?!)")

    return _Names(
        files=listed({str(p) for p in paths}, r"(?=[\s'\";)*]|$)"),
        folders=listed({str(p.parent) for p in paths} - {"/"}, r"(?=/?\*?(?:[\s'\";)]|$))"),
    )


def _tool(line: str, names: _Names) -> str:
    """What copies there, "" for a line that copies nothing of it (or copies something else into its folder)."""
    match = _COPIES.search(line)
    if match is None or line.lstrip().startswith("#"):
        return ""
    if names.files.search(line, match.end()):
        return match[1]
    folder = names.folders.search(line, match.end())
    if folder is None or (match[1] in _TO_LAST and _END.match(line, folder.end())):
        return ""
    return match[1]


def _files(places: list[Path]) -> Iterator[Path]:
    left = MAX_FILES
    for place in places:
        for file in [place] if place.is_file() else _inside(place):
            left -= 1
            if left < 0:
                return
            yield file


def _inside(folder: Path) -> Iterator[Path]:
    """Files of a folder and its subfolders (`cron/crontabs/`, `x.service.d/`); of systemd's only units."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(folders)[:MAX_FILES]
        units = "systemd" in Path(root).parts
        yield from (Path(root, n) for n in sorted(names) if not units or n.endswith(_UNITS))


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text file; nothing of a program, a folder, a pipe, or what can't be read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        raw = os.read(descriptor, MAX_BYTES) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        raw = b""
    finally:
        os.close(descriptor)
    if b"\x00" not in raw:
        yield from enumerate(raw.decode("utf-8", "replace").splitlines(), 1)


if __name__ == "__main__":
    serve(handle)
