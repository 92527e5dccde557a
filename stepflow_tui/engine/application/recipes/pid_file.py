"""The file that names the application's process, and what is known about a process that was started here.

The file holds a number, as every tool can read it. Beside it, in `<file>.stepflow` (0600), stands what a number can't tell:
when that process began, and how it was started. A number that others wrote down is believed only of a process that had
begun when it was written.
"""

from __future__ import annotations

import json
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from stepflow_tui.engine.application.recipes.calls import write_private
from stepflow_tui.engine.application.recipes.notes import BARE, all_notes
from stepflow_tui.engine.application.recipes.process import Process, own_pids, process_of
from stepflow_tui.engine.errors import StepFailed

SLACK_SECONDS = 2.0
"""A process's beginning is told in whole ticks since boot, and the clock is corrected now and then."""
_LONGEST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """How a process was started here. `log_from`: where its output begins in the log, in bytes."""

    pid: int
    mark: str
    token: str
    command: str
    folder: str
    log_from: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a pid file means. Without `process` nothing runs; `why` then tells what the file says.

    `foreign`: the number belongs to a process that can't be the application. `pid`: the number, 0 if there is none.
    """

    pid: int = 0
    process: Process | None = None
    record: Record | None = None
    foreign: bool = False
    why: str = ""


class PidFile:
    """One pid file and what stands beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._side = path.with_name(f"{path.name}.stepflow")

    def read(self) -> Found:
        """What runs by this file.

        Raises:
            StepFailed: `recipe_pid_file`, it holds no number or can't be read.
        """
        pid = self._number()
        if pid is None:
            return Found(why=f"there is no {self.path}")
        record = self.record()
        known = record if record is not None and record.pid == pid else None
        process = process_of(pid)
        if process is None:
            return Found(pid=pid, why=f"process {pid} of {self.path} has ended")
        reason = self._foreign(process, known)
        if reason:
            return Found(pid=pid, foreign=True, why=f"{self.path} names process {pid}, {_named(pid)}: {reason}")
        return Found(pid=pid, process=process, record=known)

    def record(self) -> Record | None:
        """How the newest process that was started here was started, whether it runs or not."""
        try:
            return Record(**json.loads(self._side.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, record: Record) -> None:
        """Name a process; what is beside comes first, so that the number is never believed without it."""
        write_private(self._side, json.dumps(asdict(record)))
        write_private(self.path, f"{record.pid}\n")

    def remove(self, process: Process) -> None:
        """Remove it if it names this process, which was started here."""
        record = self.record()
        if record is not None and (record.pid, record.mark) == (process.pid, process.mark):
            if self._number() == process.pid:
                self.path.unlink(missing_ok=True)
            self._side.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove what stands beside it; the file too, if it names a process that was started here and has ended."""
        record = self.record()
        if record is not None and self._number() == record.pid and _of_record(record) is None:
            self.path.unlink(missing_ok=True)
        self._side.unlink(missing_ok=True)

    def _number(self) -> int | None:
        try:
            if not stat.S_ISREG(self.path.stat().st_mode):
                raise _unreadable(self.path, "it is no file")
            with self.path.open("rb") as file:
                words = file.read(_LONGEST).split()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self.path, error.strerror or "it can't be read") from error
        if not words:
            return None
        if not words[0].isdigit() or not 1 < int(words[0]) < 1 << 31:
            raise _unreadable(self.path, "its first word is no process number")
        return int(words[0])

    def _foreign(self, process: Process, known: Record | None) -> str:
        """Why the process can't be the application, "" if it can."""
        if process.pid in own_pids():
            return "that is StepFlow itself, or what started it"
        if known is not None:
            return "" if known.mark == process.mark else "that is another one; the application's has ended"
        try:
            began = psutil.Process(process.pid).create_time()
            written = self.path.stat().st_mtime
        except (psutil.Error, OSError):
            return ""
        return "" if began <= written + SLACK_SECONDS else "it began after the number was written"


def _of_record(record: Record) -> Process | None:
    process = process_of(record.pid)
    return process if process is not None and process.mark == record.mark else None


def forget_records(keep: Path) -> None:
    """After the way back: nothing stands beside a pid file that had nothing beside it before, of all recipes.

    Args:
        keep: the run's private folder for recipes, as `recipes_of` got it.

    Raises:
        StepFailed: `recipe_pid_file`, a pid file can't be read.
    """
    for notes in all_notes(keep):
        path = notes.read().get(BARE)
        if path:
            PidFile(Path(path)).forget()
            notes.set(**{BARE: None})


def _named(pid: int) -> str:
    try:
        return f"`{psutil.Process(pid).name()}`"
    except psutil.Error:
        return "which has just ended"


def _unreadable(path: Path, why: str) -> StepFailed:
    return StepFailed(
        f"The pid file {path} can't be used.",
        detail=why,
        hint="Correct `pid_file` of the recipe, or write the process's number into the file; remove it if nothing runs.",
        code="recipe_pid_file",
    )
