"""Processes that outlive the engine: which one a number means, starting one in a session of its own, ending it with its family.

A process is known by its number and the moment it began: numbers are used again, also while a stop is going on. Which process
is meant, and where that is written down, is decided in `pid_file.py` and `command.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from stepflow_tui.engine.application.commands import COMMAND_VARIABLE, MARK_VARIABLE, WAITING_SHELL
from stepflow_tui.engine.application.streams import usual_umask
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.failpoints import failpoint

KILL_SECONDS = 5.0
"""How long a process may take to vanish after SIGKILL; one that hangs in the kernel takes longer."""
_POLL_SECONDS = 0.03
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process: its number, and the moment it began as the kernel tells it (only ever compared)."""

    pid: int
    mark: str

    @property
    def runs(self) -> bool:
        """Whether it has not ended. One that ended and waits for its parent has."""
        return mark_of(self.pid) == self.mark


def process_of(pid: int) -> Process | None:
    """The process with that number now, None if there is none."""
    mark = mark_of(pid)
    return None if mark is None else Process(pid=pid, mark=mark)


def mark_of(pid: int) -> str | None:
    """When the process of that number began: ticks since boot where the kernel tells them, else seconds since 1970."""
    if not sys.platform.startswith("linux"):
        return _portable_mark(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{_boot()}:{fields[19]}"


def _boot() -> str:
    """Ticks begin anew with every start of the machine."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _portable_mark(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return None


def family(process: Process) -> tuple[Process, ...]:
    """A process that runs, all it started, and its group and session if it leads them; never the engine or its parents."""
    if not process.runs:
        return ()
    pids = {process.pid, *_children(process.pid)}
    pids |= {pid for pid in psutil.pids() if process.pid in _leaders(pid)}
    found = (process_of(pid) for pid in sorted(pids - own_pids()))
    return tuple(p for p in found if p is not None)


def own_pids() -> set[int]:
    """The engine's process and those above it; and the first process of the machine."""
    with contextlib.suppress(psutil.Error):
        return {0, 1, os.getpid(), *(p.pid for p in psutil.Process().parents())}
    return {0, 1, os.getpid(), os.getppid()}


def _children(pid: int) -> set[int]:
    with contextlib.suppress(psutil.Error):
        return {p.pid for p in psutil.Process(pid).children(recursive=True)}
    return set()


def _leaders(pid: int) -> tuple[int, ...]:
    try:
        return os.getsid(pid), os.getpgid(pid)
    except OSError:
        return ()


async def end(process: Process, seconds: float) -> None:
    """End a process and its family: SIGTERM, and SIGKILL for what is left after that many seconds.

    Raises:
        StepFailed: `recipe_permission`, it is another user's; `recipe_not_stopped`, it does not vanish.
    """
    members = await asyncio.to_thread(family, process)
    _signal(members, signal.SIGTERM)
    failpoint("recipe_process_asked_to_end")
    if await gone(members, seconds):
        return
    late = await asyncio.to_thread(family, process)  # what was started meanwhile
    members = tuple(p for p in {*members, *late} if p.runs)
    _signal(members, signal.SIGKILL)
    if not await gone(members, KILL_SECONDS):
        raise not_stopped(members)


async def gone(members: Iterable[Process], seconds: float) -> bool:
    """Wait until none of them runs; False when the time is over."""
    end_at = time.monotonic() + seconds
    while any(p.runs for p in members):
        if time.monotonic() >= end_at:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


def not_stopped(members: Iterable[Process]) -> StepFailed:
    """The error for processes that go on."""
    pids = ", ".join(str(p.pid) for p in members if p.runs)
    return StepFailed(
        "The application did not stop.",
        detail=f"still running: process {pids}",
        hint=f"See what keeps it (`ps -fp {pids.replace(' ', '')}`), end it, then `stepflow run` again.",
        code="recipe_not_stopped",
    )


def _signal(members: Iterable[Process], number: signal.Signals) -> None:
    for process in members:
        try:
            _signal_one(process, number)
        except ProcessLookupError:
            continue
        except PermissionError as error:
            raise StepFailed(
                f"Process {process.pid} is another user's and can't be stopped.",
                detail=f"this is user {os.getuid()}",
                hint="Start stepflow as the user the application runs as, or give the recipe a `stop` command.",
                code="recipe_permission",
            ) from error


def _signal_one(process: Process, number: signal.Signals) -> None:
    """Send it to this very process: a descriptor stays with it, whoever gets the number next."""
    if not hasattr(os, "pidfd_open"):
        if process.runs:
            os.kill(process.pid, number)
        return
    handle = os.pidfd_open(process.pid)
    try:
        if process.runs:
            signal.pidfd_send_signal(handle, number)
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A process that was started here. `token` stands in the environment of all it starts."""

    process: Process
    token: str
    child: subprocess.Popen[bytes]

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self.child.poll()


def launch(
    command: str,
    *,
    folder: Path,
    env: Mapping[str, str],
    log: Path,
    note: Callable[[Process, str], None],
    umask: int | None = None,
) -> Launched:
    """Start a shell command as a process of its own, which goes on when the engine ends.

    It leads a new session, reads nothing, and appends what it prints to `log`. It begins when it has been written down.

    Args:
        command: for `/bin/sh`, in the foreground; with `exec` in front the shell makes way for it.
        folder: working directory.
        env: its variables, all of them.
        log: appended to; made with mode 0600.
        umask: the operator's if left out.
        note: writes process and token down. If it fails, or the engine is killed in it, the command does not begin.

    Raises:
        StepFailed: `recipe_start_failed`, folder, log or shell can't be used.
    """
    token = secrets.token_hex(16)
    environment = {**env, MARK_VARIABLE: token, COMMAND_VARIABLE: command}
    waiting, go = os.pipe()
    try:
        with _open_log(log) as output:
            child = subprocess.Popen(
                ["/bin/sh", "-c", WAITING_SHELL], stdin=waiting, stdout=output, stderr=output, cwd=folder,
                env=environment, start_new_session=True, umask=usual_umask() if umask is None else umask,
            )  # fmt: skip
    except OSError as error:
        os.close(go)
        raise _not_launched(error, folder) from error
    finally:
        os.close(waiting)
    try:
        process = Process(pid=child.pid, mark=mark_of(child.pid) or "")
        failpoint("recipe_process_waits")
        note(process, token)
        failpoint("recipe_process_noted")
        with contextlib.suppress(BrokenPipeError):  # it was killed meanwhile: its status says so
            os.write(go, b"go\n")
    finally:
        os.close(go)
    return Launched(process=process, token=token, child=child)


@contextlib.contextmanager
def _open_log(path: Path) -> Iterator[int]:
    """A descriptor that appends to a log."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def _not_launched(error: OSError, folder: Path) -> StepFailed:
    where = error.filename or str(folder)
    return StepFailed(
        "The application could not be started.",
        detail=f"{where}: {error.strerror}",
        hint="Check `folder` and `log` of the recipe: both folders must exist, and this user must be allowed to write there.",
        code="recipe_start_failed",
    )
