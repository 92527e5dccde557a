"""Owns putting a whole set of files back: what is there moves aside first, all of it, then the drafts take its place.

Every move stands in a record before it is made, so that a killed restore is finished, or undone, by the next one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from stepflow_tui.engine.application.archive_manifest import sync_folder
from stepflow_tui.engine.errors import Refused, StepFailed
from stepflow_tui.engine.failpoints import failpoint

RECORD = "record.json"


class Stage(StrEnum):
    """How far a restore is. `away` and `into` are finished by the next one, `staging` and the undoing ones are undone."""

    STAGING = "staging"
    AWAY = "away"
    INTO = "into"
    DONE = "done"
    UNDO_INTO = "undo_into"
    UNDO_AWAY = "undo_away"
    UNDONE = "undone"


ENDED = frozenset({Stage.DONE, Stage.UNDONE})


@dataclass(slots=True, kw_only=True)
class Record:
    """A restore as it is written down. `away` and `into` are pairs of paths: from, to. `drafts` are removed when it is undone.

    `strangers`: what somebody made in the places meanwhile, under the names it was moved to. `why`: which rollback of a run
    asked for it, "" where a person did.
    """

    id: str
    what: str
    stage: Stage = Stage.STAGING
    away: list[tuple[str, str]] = field(default_factory=list)
    into: list[tuple[str, str]] = field(default_factory=list)
    drafts: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one folder or file belongs, and where its draft and what was there lie, on the same disk."""

    target: Path
    draft: Path
    aside: Path
    folder: bool


def place_of(target: Path, stamp: str, *, folder: bool) -> Place:
    """The names for one place. A folder that can't be moved itself (a mount) keeps draft and old content inside."""
    if folder and _fixed(target):
        draft, aside = target / f".restoring-{stamp}", target / f".before-restore-{stamp}"
    else:
        draft = target.with_name(f".{target.name}.restoring-{stamp}")
        aside = target.with_name(f"{target.name}.before-restore-{stamp}")
    return Place(target=target, draft=draft, aside=aside, folder=folder)


def _fixed(folder: Path) -> bool:
    """Whether a folder can't be renamed: a mount point, or in a folder that we may not write."""
    if not folder.exists():
        return False
    return folder.stat().st_dev != folder.parent.stat().st_dev or not os.access(folder.parent, os.W_OK | os.X_OK)


def plan_moves(place: Place, stays: Collection[Path]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The moves away and into for one place whose draft is made.

    Args:
        place: the place.
        stays: paths inside that must not move: StepFlow's own folders, and the database, which has moves of its own.

    Raises:
        Refused: `restore_conflict`: something that must stay stands where a file of the archive belongs.
    """
    if not os.path.lexists(place.target):
        return [], [(str(place.draft), str(place.target))]
    inside = [s for s in stays if place.target in s.parents]
    movable = not inside and place.draft.parent == place.target.parent
    if not place.folder or movable or not place.target.is_dir():
        return [(str(place.target), str(place.aside))], [(str(place.draft), str(place.target))]
    away: list[tuple[str, str]] = []
    parted = _take_apart(place.target, place.aside, inside, {place.draft, place.aside}, away)
    return away, _put_together(place.draft, place.target, parted, inside)


def _take_apart(
    folder: Path, aside: Path, stays: Collection[Path], ours: Collection[Path], away: list[tuple[str, str]]
) -> set[Path]:
    """Moves for everything in a folder but what stays; returns the folders that stay because something in them does."""
    parted = {folder}
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names as they are
        path = folder / name
        if path in stays or path in ours:
            continue
        if any(path in s.parents for s in stays) and path.is_dir() and not path.is_symlink():
            parted |= _take_apart(path, aside / name, stays, ours, away)
        else:
            away.append((str(path), str(aside / name)))
    return parted


def _put_together(
    draft: Path, folder: Path, parted: Collection[Path], stays: Collection[Path]
) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name in sorted(os.listdir(draft)):  # noqa: PTH208
        source, target = draft / name, folder / name
        if target in stays:
            raise Refused(
                f"{target} must stay, and the archive has something of that name.",
                hint="Move it elsewhere, then restore again.",
                code="restore_conflict",
            )
        if target in parted and source.is_dir() and not source.is_symlink():
            found += _put_together(source, target, parted, stays)
        else:
            found.append((str(source), str(target)))
    return found


class Restore:
    """One restore on the disk: its folder holds the record."""

    def __init__(self, folder: Path, record: Record) -> None:
        self.folder, self.record = folder, record

    @classmethod
    def begin(cls, folder: Path, what: str, *, why: str = "") -> Restore:
        """A new restore, written down before anything is made."""
        folder.mkdir(parents=True, mode=0o700)
        restore = cls(folder, Record(id=folder.name, what=what, why=why))
        restore.save()
        return restore

    @classmethod
    def read(cls, folder: Path) -> Restore | None:
        """The restore of a folder; None when it was never written down."""
        try:
            data = json.loads((folder / RECORD).read_text("ascii"))
        except FileNotFoundError:
            return None
        pairs = {k: [(a, b) for a, b in data[k]] for k in ("away", "into")}
        return cls(folder, Record(**{**data, **pairs, "stage": Stage(data["stage"])}))

    def save(self) -> None:
        """Write the record, whole or not at all."""
        draft = self.folder / f"{RECORD}.partial"
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            json.dump(asdict(self.record), file)
            file.flush()
            os.fsync(handle)
        draft.replace(self.folder / RECORD)
        sync_folder(self.folder)

    def advance(self, stage: Stage) -> None:
        """The stage that begins now."""
        self.record.stage = stage
        self.save()

    def go(self) -> None:
        """Do what is left: forward from `away`, back from an undoing. A failure is undone.

        Raises:
            StepFailed: `restore_undone`, everything is as it was; `restore_failed`, the next restore goes on.
        """
        if self.record.stage in (Stage.STAGING, Stage.UNDO_INTO, Stage.UNDO_AWAY):
            self.undo()
            return
        try:
            self._forward()
        except OSError as exc:
            self.advance(Stage.UNDO_INTO if self.record.stage is Stage.INTO else Stage.UNDO_AWAY)
            self.undo()
            raise StepFailed(
                "The restore could not be carried out; everything is as it was before.",
                detail=str(exc),
                hint="Correct that, then restore again.",
                code="restore_undone",
            ) from exc

    def _forward(self) -> None:
        if self.record.stage is Stage.AWAY:
            self._move(self.record.away, ours_is_old=False)
            failpoint("restore_all_away")
            self.advance(Stage.INTO)
        if self.record.stage is Stage.INTO:
            self._move(self.record.into, ours_is_old=True)
            failpoint("restore_all_into")
            self._tidy()
            self.advance(Stage.DONE)

    def undo(self) -> None:
        """Everything as it was; drafts are removed."""
        try:
            if self.record.stage is Stage.UNDO_INTO:
                self._move([(new, old) for old, new in self._made(self.record.into)], ours_is_old=True)
                self.advance(Stage.UNDO_AWAY)
            if self.record.stage is Stage.UNDO_AWAY:
                self._move([(new, old) for old, new in self._made(self.record.away)], ours_is_old=True)
        except OSError as exc:
            raise StepFailed(
                "A restore could neither be carried out nor undone; nothing is lost.",
                detail=f"{exc}; its moves are listed in {self.folder / RECORD}",
                hint="Correct that, then give the same command again: it goes on where it stopped.",
                code="restore_failed",
            ) from exc
        self._tidy()
        self.advance(Stage.UNDONE)

    def _made(self, moves: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """The moves that were made, the last first."""
        return [(old, new) for old, new in reversed(list(moves)) if os.path.lexists(new) and not os.path.lexists(old)]

    def _move(self, moves: Iterable[tuple[str, str]], *, ours_is_old: bool) -> None:
        folders = set()
        for old, new in moves:
            failpoint("restore_move")
            self._move_one(Path(old), Path(new), ours_is_old=ours_is_old)
            folders |= {Path(old).parent, Path(new).parent}
        for folder in folders:
            with suppress(FileNotFoundError):  # it moved with what was in it
                sync_folder(folder)

    def _move_one(self, old: Path, new: Path, *, ours_is_old: bool) -> None:
        there, done = os.path.lexists(old), os.path.lexists(new)
        if done and not there:
            return
        if not there:
            raise FileNotFoundError(2, "gone meanwhile", str(old))
        if done:  # an application that came up between two halves of a restore made it: it is kept under another name
            self._set_stranger(new if ours_is_old else old)
            if not ours_is_old:
                return
        new.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        old.rename(new)

    def _set_stranger(self, path: Path) -> None:
        number = 1
        while os.path.lexists(name := path.with_name(f"{path.name}.meanwhile-{self.record.id}-{number}")):
            number += 1
        self.record.strangers.append(str(name))
        self.save()
        path.rename(name)

    def _tidy(self) -> None:
        """Drafts that are left, the emptied ones too."""
        for draft in map(Path, self.record.drafts):
            if draft.is_dir() and not draft.is_symlink():
                shutil.rmtree(draft)
            else:
                draft.unlink(missing_ok=True)

    @property
    def aside(self) -> tuple[str, ...]:
        """Where what was there lies now."""
        return tuple(new for _, new in self.record.away if os.path.lexists(new))


def unfinished(folder: Path) -> list[Restore]:
    """Restores that a crash left half-way, the oldest first."""
    found = [Restore.read(f) for f in sorted(folder.glob("*")) if f.is_dir()]
    return [r for r in found if r is not None and r.record.stage not in ENDED]


def read_all(folder: Path) -> list[Record]:
    """The records of all restores, the oldest first."""
    return [r.record for f in sorted(folder.glob("*")) if f.is_dir() and (r := Restore.read(f)) is not None]
