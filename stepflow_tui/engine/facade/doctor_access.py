"""Whether the application's user may do what SQLite needs: write the file, make side files, write those that are there."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.application.processes import User
from stepflow_tui.engine.facade.doctor_problem import Problem
from stepflow_tui.engine.model.finding import Severity
from stepflow_tui.engine.sqlite.connect import SUFFIXES, shown, side_file

READ, WRITE, ENTER = 4, 2, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user as the kernel judges accesses."""

    uid: int
    groups: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name, else `uid 1000`."""
        return _user(self.uid)


def access_problems(path: Path, users: Collection[User]) -> list[Problem]:
    """What stands in the way of those who use a database; of its owner where nobody does.

    Args:
        path: the real path.
        users: the processes that have it open.
    """
    return [problem for person in _people(path, users) for problem in _of(path, person)] + list(_of_mount(path))


def may(person: Person, facts: os.stat_result, wanted: int) -> bool:
    """Whether mode bits let a user do that; root may everything."""
    if person.uid == 0:
        return True
    if facts.st_uid == person.uid:
        given = facts.st_mode >> 6
    elif facts.st_gid in person.groups:
        given = facts.st_mode >> 3
    else:
        given = facts.st_mode
    return given & wanted == wanted


def _people(path: Path, users: Collection[User]) -> list[Person]:
    found = {user.uid: Person(uid=user.uid, groups=user.groups) for user in users if user.uid is not None}
    if not found:
        with suppress(OSError):
            uid = path.stat().st_uid
            found[uid] = Person(uid=uid, groups=_groups(uid))
    return list(found.values())


def _groups(uid: int) -> tuple[int, ...]:
    with suppress(KeyError, OSError):
        entry = pwd.getpwuid(uid)
        return tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return ()


def _of(path: Path, person: Person) -> Iterator[Problem]:
    yield from _lacks("permission_file", path, person, READ | WRITE)
    yield from _lacks("permission_folder", path.parent, person, READ | WRITE | ENTER)
    for suffix in SUFFIXES:
        yield from _lacks("permission_side_file", side_file(path, suffix), person, READ | WRITE)
    for folder in path.parent.parents:
        yield from _lacks("permission_way", folder, person, ENTER)


def _lacks(code: str, path: Path, person: Person, wanted: int) -> Iterator[Problem]:
    try:
        facts = path.stat()
    except OSError:
        return
    if not may(person, facts, wanted):
        mode, owner = stat.filemode(facts.st_mode), f"{_user(facts.st_uid)}:{_group(facts.st_gid)}"
        params = {"path": shown(path), "user": person.name, "owner": owner, "mode": mode}
        yield Problem(code=code, severity=Severity.BLOCKING, params=params)


def _of_mount(path: Path) -> Iterator[Problem]:
    with suppress(OSError):
        if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            yield Problem(code="filesystem_read_only", severity=Severity.BLOCKING, params={"path": shown(path.parent)})


def _user(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"uid {uid}"


def _group(gid: int) -> str:
    with suppress(KeyError):
        return grp.getgrgid(gid).gr_name
    return f"gid {gid}"
