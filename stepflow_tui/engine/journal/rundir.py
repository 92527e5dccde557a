"""The state directory: run folders, run ids, which run is meant, whether its engine lives."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stepflow_tui.engine.errors import Refused, UsageError
from stepflow_tui.engine.journal.lock import LOCK, is_locked
from stepflow_tui.engine.journal.writer import JOURNAL
from stepflow_tui.engine.model.state import UNFINISHED, RunState
from stepflow_tui.engine.sqlite.mounts import filesystem_of

ENGINE_LOG = "engine.log"
_ID = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,62})-(?P<at>\d{8}T\d{6})-[0-9a-f]{4}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """One run of a state directory as a list shows it. `state` is None when its journal can't be read."""

    id: str
    name: str
    path: Path
    created: str
    state: RunState | None

    @property
    def unfinished(self) -> bool:
        """Whether it can go on."""
        return self.state in UNFINISHED


class StateDir:
    """`${XDG_STATE_HOME:-~/.local/state}/stepflow`, or the folder given by `--state-dir`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def default_path(cls, env: Mapping[str, str]) -> Path:
        """Where it is when nobody says otherwise; relative XDG paths are ignored, as that specification demands."""
        base = env.get("XDG_STATE_HOME", "")
        root = Path(base) if base.startswith("/") else Path(env.get("HOME") or Path.home()) / ".local" / "state"
        return root / "stepflow"

    @classmethod
    def open(cls, path: Path | None, env: Mapping[str, str], *, create: bool = True) -> StateDir:
        """The state directory, made private when it is new.

        Raises:
            Refused: it lies on a network file system, belongs to somebody else, or can't be made.
        """
        chosen = Path(os.path.abspath(path if path is not None else cls.default_path(env)))  # noqa: PTH100 - resolve() would follow links
        disk = filesystem_of(chosen)
        if disk.network:
            raise Refused(
                f"The state directory {chosen} lies on a network file system ({disk.kind}).",
                detail="Locks and shared memory of SQLite don't hold there.",
                hint="Choose a folder on a local disk with --state-dir.",
                code="state_dir_network",
            )
        if create:
            _make_private(chosen)
        return cls(chosen)

    @property
    def runs_path(self) -> Path:
        """The folder with one folder per run."""
        return self.path / "runs"

    def new_run(self, name: str, now_ms: int) -> Path:
        """Make the folder (0700) of a new run; its name is the run's id.

        Args:
            now_ms: milliseconds UTC, for the id.
        """
        at = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S")
        while True:
            path = self.runs_path / f"{name}-{at}-{secrets.token_hex(2)}"
            try:
                path.mkdir(mode=0o700, parents=False)
            except FileExistsError:
                continue
            except OSError as exc:
                raise _unusable(self.path, exc) from exc
            return path

    def runs(self, state_of: Callable[[Path], RunState | None]) -> list[RunEntry]:
        """All runs, newest first.

        Args:
            state_of: reads a run folder's state (`reader.peek_state`).
        """
        if not self.runs_path.is_dir():
            return []
        found = []
        for path in self.runs_path.iterdir():
            match = _ID.match(path.name)
            if match and path.is_dir():
                found.append(
                    RunEntry(id=path.name, name=match["name"], path=path, created=match["at"], state=state_of(path))
                )
        return sorted(found, key=lambda r: (r.created, r.path.stat().st_mtime_ns), reverse=True)

    def resolve(self, run: str | None, state_of: Callable[[Path], RunState | None]) -> RunEntry:
        """Which run is meant: an id, a unique prefix of one, or a name (its unfinished run, else the newest).

        Args:
            run: as typed; None means the only unfinished run.

        Raises:
            UsageError: none or several fit; the detail lists them.
        """
        entries = self.runs(state_of)
        if run is None:
            return _only([e for e in entries if e.unfinished], entries)
        exact = [e for e in entries if e.id == run]
        named = [e for e in entries if e.name == run]
        if exact or named:
            return next((e for e in exact or named if e.unfinished), (exact or named)[0])
        prefixed = [e for e in entries if e.id.startswith(run)]
        if len(prefixed) == 1:
            return prefixed[0]
        if prefixed:
            raise UsageError(
                f"{run!r} fits several runs.",
                detail=_listed(prefixed),
                hint="Type more of the id.",
                code="ambiguous_run",
            )
        raise UsageError(
            f"No run {run!r} in {self.path}.",
            detail=_listed(entries),
            hint="`stepflow runs` lists them all.",
            code="no_such_run",
        )


def engine_alive(run_dir: Path) -> bool:
    """Whether an engine holds the run's lock. Looking leaves no file and takes no lock for longer than an instant."""
    return is_locked(run_dir / LOCK)


def operator(env: Mapping[str, str]) -> str:
    """The person behind this process: who ran sudo, else the user, and the address they came from over SSH."""
    name = env.get("SUDO_USER") or _user_name(env)
    address = env.get("SSH_CONNECTION", "").split(" ")[0]
    return f"{name} from {address}" if address else name


def _user_name(env: Mapping[str, str]) -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under a number nobody has named
        return env.get("USER") or f"uid {os.getuid()}"


def _only(unfinished: list[RunEntry], entries: list[RunEntry]) -> RunEntry:
    if len(unfinished) == 1:
        return unfinished[0]
    if unfinished:
        raise UsageError(
            "Several runs are unfinished.", detail=_listed(unfinished), hint="Name one of them.", code="ambiguous_run"
        )
    raise UsageError(
        "No run is unfinished.",
        detail=_listed(entries),
        hint="Name a run, or start one with `stepflow run`.",
        code="no_such_run",
    )


def _listed(entries: list[RunEntry]) -> str:
    return "\n".join(f"{e.id}  {e.state or 'unreadable'}" for e in entries[:20])


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        (path / "runs").mkdir(mode=0o700, exist_ok=True)
    except OSError as exc:
        raise _unusable(path, exc) from exc
    facts = path.stat()
    foreign = facts.st_uid not in (os.getuid(), 0) and os.getuid() != 0
    if foreign or facts.st_mode & 0o002:  # a folder that was there before keeps its mode: it may serve others too
        raise Refused(
            f"The state directory {path} can be changed by other users.",
            hint="Choose your own with --state-dir: journals hold what must not be read or changed by others.",
            code="state_dir_owner",
        )


def _unusable(path: Path, exc: OSError) -> Refused:
    full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
    return Refused(
        f"The state directory {path} can't be used.",
        detail=str(exc),
        hint="Make room on that disk, or choose another with --state-dir."
        if full
        else "Choose a folder you may write with --state-dir.",
        code="state_dir",
    )


def has_journal(run_dir: Path) -> bool:
    """Whether the engine got as far as making the journal."""
    return (run_dir / JOURNAL).exists()
