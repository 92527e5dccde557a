"""What stands in the private folder of a group of settings: the bytes before and after, and the manifest that names them.

The manifest is written last and taken away last, so where it stands, everything an undo needs stands too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stepflow_tui.engine.application.settings_place import Standing, digest, sync_folder, temporary_name, write_all
from stepflow_tui.engine.application.settings_plan import Edit, Mark
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.config_application import SwitchFormat

MANIFEST = "settings.json"
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One file of the group. `temporary` is the only other name that a crash can leave in its folder."""

    place: Standing  # its data are the bytes before
    after: bytes = field(repr=False)
    format: SwitchFormat | None
    marks: tuple[Mark, ...] = field(repr=False)
    temporary: str


def standing(keep: Path) -> bool:
    """Whether a group stands there: applied, or begun."""
    return (keep / MANIFEST).is_file()


def keep_group(edits: Sequence[Edit], keep: Path) -> None:
    """Write down all that an undo needs, before the first file is touched."""
    keep.mkdir(mode=0o700, parents=True, exist_ok=True)
    keep.chmod(0o700)
    rows = []
    for number, edit in enumerate(edits):
        _store(keep / f"{number}.before", edit.place.data)
        _store(keep / f"{number}.after", edit.after)
        rows.append(_row(edit))
    text = json.dumps({"version": _VERSION, "files": rows}, indent=1)
    _store(keep / f"{MANIFEST}.new", text.encode())
    failpoint("settings_keeping")
    (keep / f"{MANIFEST}.new").replace(keep / MANIFEST)
    sync_folder(keep)
    sync_folder(keep.parent)


def read_group(keep: Path) -> tuple[Kept, ...]:
    """The group that stands there, () if none does.

    Raises:
        StepFailed: `setting_keep_damaged`, what was kept is not what was written down.
    """
    if not standing(keep):
        return ()
    try:
        rows = json.loads((keep / MANIFEST).read_bytes())["files"]
        kept = tuple(_kept(row, keep, number) for number, row in enumerate(rows))
        whole = all(
            (digest(k.place.data), digest(k.after)) == (r["before"], r["after"])
            for k, r in zip(kept, rows, strict=True)
        )
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise StepFailed(f"What was kept of the settings in {keep} is damaged.", code="setting_keep_damaged",
                         hint=f"Put the settings back by hand; {keep}/*.before hold the files as they were.")  # fmt: skip
    return kept


def drop_group(keep: Path) -> None:
    """Take away the manifest, then what it names: nothing is left to be undone."""
    with suppress(FileNotFoundError):
        (keep / MANIFEST).unlink()
        sync_folder(keep)
    failpoint("settings_dropping")
    for file in [*keep.glob("*.before"), *keep.glob("*.after"), keep / f"{MANIFEST}.new"]:
        with suppress(FileNotFoundError):
            file.unlink()


def _row(edit: Edit) -> dict[str, object]:
    place = edit.place
    return {
        "file": str(place.file), "real": str(place.real), "mode": place.mode, "owner": place.owner, "group": place.group,
        "in_place": place.in_place, "format": edit.format.value if edit.format else None, "temporary": temporary_name(),
        "before": digest(place.data), "after": digest(edit.after), "marks": [asdict(mark) for mark in edit.marks],
    }  # fmt: skip


def _kept(row: dict[str, object], keep: Path, number: int) -> Kept:
    place = Standing(
        file=Path(str(row["file"])), real=Path(str(row["real"])), data=(keep / f"{number}.before").read_bytes(),
        mode=int(str(row["mode"])), owner=int(str(row["owner"])), group=int(str(row["group"])), in_place=bool(row["in_place"]),
    )  # fmt: skip
    marks = row["marks"]
    if not isinstance(marks, list):
        raise TypeError
    return Kept(
        place=place, after=(keep / f"{number}.after").read_bytes(), temporary=str(row["temporary"]),
        format=SwitchFormat(str(row["format"])) if row["format"] else None, marks=tuple(Mark(**m) for m in marks),
    )  # fmt: skip


def _store(file: Path, data: bytes) -> None:
    with suppress(FileNotFoundError):
        file.unlink()
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_all(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
