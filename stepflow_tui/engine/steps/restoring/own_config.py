"""The config of the run that restores: it is exchanged in one move and never missing, for without it nobody can go on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from stepflow_tui.engine.application.putting_back import Place, place_of


class OwnConfig:
    """What becomes of the config that a run was started with, in one restore.

    Args:
        path: where it stands; None where no run restores, so that it is a file like others.
        stamp: the restore's id.
    """

    def __init__(self, path: Path | None, stamp: str) -> None:
        self._place = place_of(path, stamp, folder=False) if path is not None else None

    @property
    def stays(self) -> set[Path]:
        """Paths that no other move may touch."""
        return {self._place.target, self._place.draft, self._place.aside} if self._place is not None else set()

    @property
    def drafts(self) -> list[str]:
        """What is removed when the restore ends."""
        return [str(self._place.draft)] if self._place is not None else []

    @property
    def aside(self) -> tuple[str, ...]:
        """What was there before, where it differed."""
        return (str(self._place.aside),) if self._place is not None and os.path.lexists(self._place.aside) else ()

    def take_out(self, places: Sequence[Place]) -> list[Place]:
        """The places without it; its draft stands beside it."""
        own = self._place
        if own is None:
            return list(places)
        for place in places:
            if place.folder and place.target in own.target.parents:
                inner = place.draft / own.target.relative_to(place.target)
                if os.path.lexists(inner):
                    inner.rename(own.draft)
        return [place for place in places if place.target != own.target]

    def exchange(self) -> None:
        """Put the archived one in its place; what was there is kept aside. Nothing where they are the same, or it is done."""
        own = self._place
        if own is None or not own.draft.exists():
            return
        if own.target.exists():
            if own.target.read_bytes() == own.draft.read_bytes():
                return
            if not own.aside.exists():
                shutil.copy2(own.target, own.aside)
        own.draft.replace(own.target)

    def undo(self) -> None:
        """As it was."""
        if self._place is not None and self._place.aside.exists():
            self._place.aside.replace(self._place.target)
