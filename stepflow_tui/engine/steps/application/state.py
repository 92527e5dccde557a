"""How far the application has got on its way from one side to the other, on disk before every action.

An engine that is killed leaves this file to the next one: it says what stood before, and which action had been begun.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import StepFailed

FILE = "state.json"


class Stage(StrEnum):
    """Where the application is. Each but the first and the last names an action that has been begun."""

    OLD = "old"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SWITCHING = "switching"
    STARTING = "starting"
    NEW = "new"
    BACK = "going back"


UNDERWAY = frozenset(Stage) - {Stage.OLD, Stage.NEW}
"""Somebody began to move it and has not come to an end."""


@dataclass(slots=True, kw_only=True)
class Failure:
    """Why the new side was left, fit to be shown: no secrets, no control characters."""

    recipe: str
    reason: str
    code: str = ""
    log: str = ""
    variables: str = ""


@dataclass(slots=True, kw_only=True)
class State:
    """`before`: what stood before, by recipe; `usual`: how each health check was answered then (see `baseline`)."""

    stage: Stage = Stage.OLD
    before: dict[str, dict[str, Any]] = field(default_factory=dict)
    usual: list[str] = field(default_factory=list)
    failure: Failure | None = None
    restarted_at_ms: int | None = None


class StateFile:
    """The file, in a folder that only its owner may look into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self) -> State:
        """The state; that of an application nobody has touched while there is no file.

        Raises:
            StepFailed: `application_state_unreadable`; guessing would restart an application, or leave it stopped.
        """
        path = self.folder / FILE
        try:
            return _read(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return State()
        except (OSError, ValueError, TypeError, KeyError) as exc:
            raise StepFailed(
                "What the run knows about the application can't be read.",
                detail=f"{path}: {type(exc).__name__}",
                hint="See that the application runs where writes go (`stepflow status`), put that file aside, and run again.",
                code="application_state_unreadable",
            ) from exc

    def save(self, state: State) -> None:
        """Replace the file as a whole; when this returns, it is on disk.

        Raises:
            StepFailed: `application_state_not_written`.
        """
        try:
            self._save(state)
        except OSError as exc:
            raise StepFailed(
                "What is about to be done with the application can't be written down.",
                detail=f"{self.folder / FILE}: {exc.strerror or type(exc).__name__}",
                hint="Make room on that disk, then `stepflow run` again.",
                code="application_state_not_written",
            ) from exc

    def _save(self, state: State) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        aside = self.folder / f"{FILE}.new"
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(state), file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.folder / FILE)
        self._sync_folder()

    def _sync_folder(self) -> None:
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _read(data: Mapping[str, Any]) -> State:
    failure = data["failure"]
    return State(
        stage=Stage(data["stage"]),
        before={str(name): dict(stood) for name, stood in data["before"].items()},
        usual=[str(u) for u in data["usual"]],
        failure=None if failure is None else Failure(**failure),
        restarted_at_ms=data["restarted_at_ms"],
    )
