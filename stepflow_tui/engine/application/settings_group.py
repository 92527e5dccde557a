"""Changing a group of settings files: all or none, and back again, whatever happens in between.

First everything an undo needs is written down, then file after file is replaced. An engine that died in the middle either goes
on (`apply_group`) or goes back (`undo_group`); both are done again without harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stepflow_tui.engine.application.settings_back import merged_back
from stepflow_tui.engine.application.settings_files import Unfit
from stepflow_tui.engine.application.settings_manifest import Kept, drop_group, keep_group, read_group, standing
from stepflow_tui.engine.application.settings_place import Standing, content, look, sync_folder, torn, write
from stepflow_tui.engine.application.settings_plan import Edit
from stepflow_tui.engine.errors import Refused, StepFailed, StepFlowError
from stepflow_tui.engine.failpoints import failpoint


def apply_group(edits: Sequence[Edit], keep: Path) -> None:
    """Change all files, or none.

    Args:
        edits: as `plan_edits` gave them. Where a group stands in `keep` already (an engine died), it is finished: `edits` are
            that very group, or ().
        keep: private folder for what an undo needs; made if missing.

    Raises:
        Refused: `setting_changed_meanwhile`, a file is not as it was planned for; `setting_standing`, another group stands.
            Nothing is changed.
        StepFailed: `setting_not_written`, a file could not be written; all are as before.
    """
    if standing(keep):
        _same(edits, read_group(keep), keep)
    else:
        for edit in edits:
            _as_planned(edit.place)
        if not edits:
            return
        try:
            keep_group(edits, keep)
        except OSError as error:
            raise _not_written(keep, error) from None
    failpoint("settings_kept")
    _forward(read_group(keep), keep)


def undo_group(keep: Path) -> tuple[Path, ...]:
    """Put all files back. In one that somebody edited since, only our settings are put back.

    Returns:
        The files that were written, as the config names them; () if no group stands there.

    Raises:
        Refused: `setting_changed_since`, one of our settings was changed by somebody else. Nothing is put back.
        StepFailed: `setting_not_written`, a file could not be written; call it again.
    """
    back = [(kept, _back(kept)) for kept in read_group(keep)]
    written = []
    for kept, data in back:
        _clear(kept)
        if data is not None:
            _put(kept, data)
            written.append(kept.place.file)
        failpoint("settings_undo_written")
    if back:
        failpoint("settings_undone")
    drop_group(keep)
    return tuple(written)


def check_undo(keep: Path) -> None:
    """Whether `undo_group` would find the settings as they were left. Changes nothing.

    Raises:
        Refused: `setting_changed_since`.
    """
    for kept in read_group(keep):
        _back(kept)


def forget_group(keep: Path) -> None:
    """Drop what was kept for an undo: the new settings are to stay."""
    drop_group(keep)


def _forward(group: Sequence[Kept], keep: Path) -> None:
    try:
        for kept in group:
            _clear(kept)
            if kept.place.data != kept.after and content(kept.place.real) != kept.after:
                _as_kept(kept)
                failpoint("settings_write")
                _put(kept, kept.after)
            failpoint("settings_written")
    except StepFlowError:
        undo_group(keep)
        raise


def _put(kept: Kept, data: bytes) -> None:
    try:
        write(kept.place, data, kept.temporary)
    except OSError as error:
        raise _not_written(kept.place.file, error) from None


def _clear(kept: Kept) -> None:
    """Remove the new file that a crash left beside the old one."""
    left = kept.place.real.with_name(kept.temporary)
    try:
        if left.is_file():
            left.unlink()
            sync_folder(left.parent)
    except OSError as error:
        raise _not_written(kept.place.file, error) from None


def _as_planned(place: Standing) -> None:
    if look(place.file) != place:
        raise _meanwhile(place.file)


def _as_kept(kept: Kept) -> None:
    now = content(kept.place.real)
    if now is None or not torn(now, kept.place.data, kept.after):
        raise _meanwhile(kept.place.file)


def _same(edits: Sequence[Edit], group: Sequence[Kept], keep: Path) -> None:
    planned = {(e.place.real, e.after) for e in edits}
    if planned and planned != {(k.place.real, k.after) for k in group}:
        raise Refused(f"Other settings stand already, kept in {keep}.", code="setting_standing",
                      hint="Put them back first, or finish them.")  # fmt: skip


def _back(kept: Kept) -> bytes | None:
    """What the file must hold again, None where it does."""
    before, now = kept.place.data, content(kept.place.real)
    if now == before:
        return None
    if now is None or now == kept.after or torn(now, before, kept.after) or torn(now, kept.after, before):
        return before
    try:
        merged = merged_back(now, before, kept.after, kept.format, kept.marks)
    except Unfit as unfit:
        raise Refused(
            f"The settings file {kept.place.file} was edited since, and can't be put back: {unfit.text}.",
            code="setting_changed_since",
            hint=f"Put the setting back by hand, then try again; {unfit.hint}.",
        ) from None
    return None if merged == now else merged


def _meanwhile(file: Path) -> Refused:
    return Refused(f"The settings file {file} was changed meanwhile, by somebody else.", code="setting_changed_meanwhile",
                   hint="Look at it, then try again: its changes are worked out anew.")  # fmt: skip


def _not_written(file: Path, error: OSError) -> StepFailed:
    return StepFailed(f"The settings file {file} could not be written.", detail=error.strerror or type(error).__name__,
                      code="setting_not_written", hint="Remove the cause, then try again: every file is as it was.")  # fmt: skip


__all__ = ["apply_group", "forget_group", "standing", "undo_group"]
