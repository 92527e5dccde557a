"""What a recipe remembers between engines: a small file of its own, replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stepflow_tui.engine.application.recipes.calls import write_private
from stepflow_tui.engine.errors import StepFailed

_NAME = "notes.json"
OLDS = "olds"
"""The note that holds processes of before."""
BARE = "bare"
"""The note that names a pid file beside which nothing stood before."""


class Notes:
    """Named texts and numbers, in a private folder that is made when something is written."""

    def __init__(self, folder: Path, name: str = _NAME) -> None:
        self.folder = folder
        self._file = folder / name

    def read(self) -> dict[str, Any]:
        """All of them; none while there is no file.

        Raises:
            StepFailed: `recipe_notes_unreadable`; guessing could start or remove the wrong version.
        """
        try:
            known: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise StepFailed(
                "What a recipe remembers can't be read.",
                detail=f"{self._file}: {type(error).__name__}",
                hint="Put the application right by hand, move that file away, then `stepflow run` again.",
                code="recipe_notes_unreadable",
            ) from error
        return known

    def set(self, **values: Any) -> None:
        """Write these, keeping the others; when this returns they are on disk."""
        write_private(self._file, json.dumps({**self.read(), **values}))


def all_notes(keep: Path) -> Iterator[Notes]:
    """What each recipe of a run remembers."""
    for file in sorted(keep.glob(f"*/{_NAME}")):
        yield Notes(file.parent)


def forget_old_processes(keep: Path) -> None:
    """Drop how the processes of before are started again, of all recipes: their environments may hold secrets.

    Args:
        keep: the run's private folder for recipes, as `recipes_of` got it.
    """
    for notes in all_notes(keep):
        if notes.read().get(OLDS):
            notes.set(**{OLDS: {}})
