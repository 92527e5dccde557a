"""Writes at the moment they move: who owns them, how a refused write looks, and trying it again on the other side.

The databases themselves refuse what comes to the wrong side, so nothing here has to be right for data to be safe; it only
makes the move invisible to users. A refused write left no trace, but the transaction around it has to be rolled back.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast

from stepflow_tui.client.buckets import Side
from stepflow_tui.client.lease import LeaseFile, LeaseView

T = TypeVar("T")
P = ParamSpec("P")

REFUSED_STATE: Final = "SF001"
"""SQLSTATE of a write that PostgreSQL refuses because SQLite owns writes."""

REFUSED_TEXT: Final = "stepflow: writes "
"""How the message of a refused write begins, in both databases."""

FIRST_WAIT, LONGEST_WAIT = 0.005, 0.1
"""Seconds between two looks at who owns writes; each is drawn anew, so that many processes don't come at once."""


class FenceTimeout(TimeoutError):
    """Writes were refused for longer than the caller wanted to wait. Nothing of this write was stored."""


def is_fenced(error: BaseException | None) -> bool:
    """Whether a write was refused because writes are moving or have moved, whatever driver or ORM says so."""
    return any(_says_so(one) for one in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was made from: causes, contexts, and `orig` of SQLAlchemy."""
    todo, seen = [error], set[int]()
    while todo:
        one = todo.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, one.__context__, getattr(one, "orig", None)]


def _says_so(error: BaseException) -> bool:
    states: tuple[object, ...] = (getattr(error, "sqlstate", None), getattr(error, "pgcode", None))
    fields = error.args[0] if error.args else None
    if isinstance(fields, dict):  # pg8000
        states = (*states, fields.get("C"))
    return REFUSED_STATE in states or REFUSED_TEXT in str(fields)


def write_owner(path: str | os.PathLike[str], *, unmanaged: Side = "sqlite") -> Side:
    """Who owns writes now, as the SQLite file says. For one look; a `ReadRouter` keeps the file open.

    Args:
        path: the application's SQLite file.
        unmanaged: the answer where StepFlow is not in the file, or the file is not there, and no mark of it beside it.

    Raises:
        sqlite3.Error: the file can't be read just now. OSError, ValueError: the mark can't.
    """
    file = LeaseFile(path)
    try:
        lease = file()
    except FileNotFoundError:
        return unmanaged
    finally:
        file.close()
    return lease.owner if lease is not None else unmanaged


class _Waiting:
    """The pauses of one write, and when to give up."""

    def __init__(self, view: LeaseView, timeout: float) -> None:
        self._view, self._until = view, time.monotonic() + timeout
        self._pause = FIRST_WAIT
        self.side: Side = view.owner()

    def unsure(self) -> float:
        """Seconds to wait before it is looked again who owns writes; 0: it is known. Raises FenceTimeout."""
        if self._view.certain():
            self.side = self._view.owner()
            return 0.0
        return self.pause(self._view.failed, f"who owns writes could not be read: {self._view.why()}")

    def pause(
        self,
        error: BaseException | None,
        why: str = "writes were refused for too long while they move to the other database",
    ) -> float:
        """Seconds until the next look. Raises FenceTimeout when time is up."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise FenceTimeout(why) from error
        self._pause = min(LONGEST_WAIT, self._pause * 1.5)
        return min(left, self._pause * (0.5 + random.random()))  # noqa: S311 - jitter

    def moved(self) -> bool:
        """Whether trying again makes sense: it is known who owns writes, and it is another, or nothing is fenced any more."""
        self._view.look(fresh=True)
        if not self._view.certain():
            return False  # StepFlow may have left the file meanwhile: nothing would refuse the write there
        lease, _ = self._view.look()
        other, self.side = lease.owner != self.side, lease.owner
        return other or not lease.fenced or lease.owner == "postgresql"


def retry(view: LeaseView, write: Callable[[Side], T], *, timeout: float = 30.0) -> T:
    """Runs `write(side)` on the side that owns writes; refused, it waits until they have moved and runs it again there.

    Args:
        view: where the owner is read.
        write: one whole transaction; it rolls back by itself when it fails.
        timeout: seconds.

    Raises:
        FenceTimeout: refused for longer. Anything else `write` raises.
    """
    waiting = _Waiting(view, timeout)
    while (pause := waiting.unsure()) > 0:
        time.sleep(pause)
    while True:
        try:
            return write(waiting.side)
        except Exception as error:
            if not is_fenced(error):
                raise
            refused = error
        while True:
            time.sleep(waiting.pause(refused))
            if waiting.moved():
                break


async def retry_async(view: LeaseView, write: Callable[[Side], Awaitable[T]], *, timeout: float = 30.0) -> T:  # noqa: ASYNC109 - bounds the waiting only
    """`retry` for a coroutine function."""
    waiting = _Waiting(view, timeout)
    while (pause := waiting.unsure()) > 0:  # noqa: ASYNC110 - another process holds the file
        await asyncio.sleep(pause)
    while True:
        try:
            return await write(waiting.side)
        except Exception as error:
            if not is_fenced(error):
                raise
            refused = error
        while True:
            await asyncio.sleep(waiting.pause(refused))
            if waiting.moved():
                break


def with_fence_retry(
    path: str | os.PathLike[str], *, timeout: float = 30.0, unmanaged: Side = "sqlite"
) -> Callable[[Callable[Concatenate[Side, P], T]], Callable[P, T]]:
    """A decorator for functions and coroutine functions: `write(side, …)` becomes `write(…)`, run as `retry` does."""
    view = LeaseView(LeaseFile(path), unmanaged=unmanaged)

    def decorate(write: Callable[Concatenate[Side, P], T]) -> Callable[P, T]:
        @wraps(write)
        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            if inspect.iscoroutinefunction(write):
                return retry_async(
                    view, lambda side: cast(Awaitable[Any], write(side, *args, **kwargs)), timeout=timeout
                )
            return retry(view, lambda side: write(side, *args, **kwargs), timeout=timeout)

        return run

    return decorate
