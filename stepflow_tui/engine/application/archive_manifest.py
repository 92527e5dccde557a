"""What an archive of the application's files holds: every member with its hash, and everything that was left out by name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stepflow_tui.engine.model import codec

SUFFIX = ".files.tar.gz"


class Kind(StrEnum):
    """What a member is."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"


class Why(StrEnum):
    """Why a path is named beside the members."""

    SOURCE = "source"  # the database that has a tested backup of its own
    OWN = "own"  # StepFlow's own folders
    SPECIAL = "special"  # a socket, pipe or device
    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    CHANGED = "changed_meanwhile"
    OUTSIDE = "link_outside"  # a symbolic link to something that is not in the archive
    SPARSE = "sparse"
    NOT_UTF8 = "not_utf8"
    DATABASE = "database"  # another SQLite file: copied as a file, possibly in the middle of a write


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A folder or file that was asked for: where it really is, and how it was named where that is a symbolic link."""

    path: str
    folder: bool
    named: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member. `path` is relative to its root, "" the root itself; `size` in bytes.

    `target`: where a symbolic link points, or the member (`root/path`) that a hard link is another name of.
    """

    root: int
    path: str
    kind: Kind
    mode: int
    mtime_ns: int
    uid: int
    gid: int
    size: int = 0
    sha256: str = ""
    target: str = ""
    sparse: bool = False

    @property
    def name(self) -> str:
        """Its name in the archive."""
        return f"{self.root}/{self.path}" if self.path else str(self.root)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A path that needs a word."""

    why: Why
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A finished archive; its manifest `<path>.json` holds the same."""

    path: str
    bytes: int
    sha256: str
    made_at_ms: int
    seconds: float
    roots: tuple[Root, ...]
    members: tuple[Member, ...]
    notes: tuple[Note, ...] = ()

    @property
    def file(self) -> Path:
        """The path as a path."""
        return Path(self.path)

    @property
    def files(self) -> int:
        """How many files it holds."""
        return sum(m.kind in (Kind.FILE, Kind.HARDLINK) for m in self.members)

    @property
    def complete(self) -> bool:
        """Whether every file that should be there is."""
        return not any(n.why is Why.UNREADABLE for n in self.notes)

    def place(self, member: Member) -> Path:
        """Where a member belongs."""
        root = Path(self.roots[member.root].path)
        return root / member.path if member.path else root


def archive_of(backup: Path) -> Path:
    """The archive that belongs to a database's backup: `run.db` → `run.files.tar.gz`."""
    return backup.with_name(backup.stem + SUFFIX)


def manifest_of(path: Path) -> Path:
    """The manifest beside an archive."""
    return path.with_name(path.name + ".json")


def read_archive(path: Path) -> Archive | None:
    """The manifest of a finished archive; None when there is none, or none that can be read."""
    try:
        found: Archive = codec.loads(Archive, manifest_of(path).read_text("utf-8", "surrogateescape"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return found if path.exists() else None


def write_manifest(archive: Archive) -> None:
    """Write it last and at once: an archive without one is not finished."""
    manifest = manifest_of(archive.file)
    draft = manifest.with_name(manifest.name + ".partial")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(codec.dumps(archive).encode("utf-8", "surrogateescape"))
        file.flush()
        os.fsync(handle)
    draft.replace(manifest)
    sync_folder(manifest.parent)


def remove_archive(path: Path) -> None:
    """Remove an archive with its manifest and what an interrupted one left; missing parts are fine."""
    manifest = manifest_of(path)
    for name in (manifest, path, path.with_name(path.name + ".partial")):
        name.unlink(missing_ok=True)
    manifest.with_name(manifest.name + ".partial").unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def printable(path: str) -> str:
    """A path fit to be shown: bytes that are not UTF-8 as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
