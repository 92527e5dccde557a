"""Owns what /proc tells of a process that has a database open: as whom it runs, in which container, how it opened what.

Opens no database: descriptors are looked at by `stat` and by their `fdinfo`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.sqlite.holders import PROC, command_of

_DAC_OVERRIDE = 1 << 1
"""The capability that lets root write where the mode forbids it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFile:
    """A regular file that a process has open. `number` is its descriptor, `path` as the process names it."""

    number: int
    path: str
    identity: tuple[int, int]
    writes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process as far as it can be looked at. `overrides`: modes of files don't stop it.

    `space` tells processes apart that see other processes or another root directory: containers and chroots. `files` are
    regular files with a name.
    """

    pid: int
    command: str
    uid: int
    groups: frozenset[int]
    overrides: bool
    space: tuple[str, int, int]
    files: tuple[OpenFile, ...]

    def writes(self, path: Path) -> bool | None:
        """Whether it has that file open for writing; None: it does not have it open (any more)."""
        status = path.stat()
        modes = [f.writes for f in self.files if f.identity == (status.st_dev, status.st_ino)]
        return any(modes) if modes else None

    def may(self, path: Path, wanted: int) -> bool:
        """Whether the mode of a file or folder lets it (`wanted`: bits such as 0o3). Access lists are not seen here."""
        return self.overrides or allowed(path.stat(), self.uid, self.groups, wanted)


def allowed(status: os.stat_result, uid: int, groups: frozenset[int], wanted: int) -> bool:
    """What the nine bits say: the owner's count for the owner, even where the group may do more."""
    shift = 6 if status.st_uid == uid else 3 if status.st_gid in groups else 0
    return (status.st_mode >> shift) & wanted == wanted


def process_of(pid: int, proc: Path = PROC) -> Process | None:
    """What is known of a process; None where it ended, or belongs to a user whose processes can't be looked at."""
    folder = proc / str(pid)
    try:
        fields = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
        root = (folder / "root").stat()
        return Process(
            pid=pid,
            command=command_of(folder),
            uid=int(fields["Uid"].split()[1]),
            groups=frozenset(map(int, [fields["Gid"].split()[1], *fields["Groups"].split()])),
            overrides=bool(int(fields["CapEff"], 16) & _DAC_OVERRIDE),
            space=((folder / "ns" / "pid").readlink().name, root.st_dev, root.st_ino),
            files=tuple(_files(folder)),
        )
    except (OSError, KeyError, ValueError):
        return None


def _files(folder: Path) -> Iterator[OpenFile]:
    for entry in os.scandir(folder / "fd"):
        with suppress(OSError, ValueError):
            status = entry.stat()
            if not stat.S_ISREG(status.st_mode) or not status.st_nlink:
                continue
            info = (folder / "fdinfo" / entry.name).read_text()
            flags = int(next(line for line in info.splitlines() if line.startswith("flags:")).split()[1], 8)
            yield OpenFile(
                number=int(entry.name),
                path=str(Path(entry.path).readlink()),
                identity=(status.st_dev, status.st_ino),
                writes=flags & os.O_ACCMODE != os.O_RDONLY,
            )
