"""How much memory the processes that have a database open take. Looks at the process table only; opens nothing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from stepflow_tui.engine.sqlite.holders import PROC, scan

_CHILD = frozenset(
    f"stepflow_tui.engine.sqlite.{name}" for name in ("wal_child", "count_child", "probe_child", "copy_check_child")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A process that has the database open. `memory`: bytes that are resident, None where it may not be looked at.

    `uid` and `groups` are those the system judges its accesses by.
    """

    pid: int
    command: str
    memory: int | None
    uid: int | None
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Who has a file open; `known` and `complete` as of `Holders`."""

    known: bool
    complete: bool
    processes: tuple[User, ...] = ()


def users_of(path: Path, *, proc: Path = PROC) -> Users:
    """The processes that have a database open, the largest first; this process and its children are left out.

    Args:
        path: the real path; its side files count too.
        proc: where the process table is (tests give another).
    """
    found, ours = scan(path, proc), _ours()
    users = [user_of(h.pid, h.command) for h in found.processes if h.pid not in ours]
    return Users(
        known=found.known,
        complete=found.complete,
        processes=tuple(sorted(users, key=lambda u: (-(u.memory or 0), u.pid))),
    )


def user_of(pid: int, command: str) -> User:
    """One process; what can't be known of it is None."""
    memory, uid = None, None
    groups: tuple[int, ...] = ()
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        with process.oneshot():
            memory, uid = int(process.memory_info().rss), int(process.uids().effective)
            groups = (int(process.gids().effective), *_further_groups(pid))
    return User(pid=pid, command=command, memory=memory, uid=uid, groups=tuple(dict.fromkeys(groups)))


def _further_groups(pid: int) -> tuple[int, ...]:
    with suppress(OSError, ValueError):
        lines = (PROC / str(pid) / "status").read_text("utf-8", "replace").splitlines()
        line = next((line for line in lines if line.startswith("Groups:")), "Groups:")
        return tuple(int(word) for word in line.split()[1:])
    return ()


def _ours() -> set[int]:
    """This process, and the children that look for it."""
    me = psutil.Process()
    found = {me.pid}
    with suppress(psutil.Error):
        for child in me.children(recursive=True):
            with suppress(psutil.Error):
                found |= {child.pid} if _CHILD & set(child.cmdline()) else set()
    return found
