"""Runs coroutines side by side, or to their end whatever is cancelled around them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Results in order. A group of exceptions is no use to an operator: the first one is what went wrong."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as several:
        first: BaseException = several
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Work that a cancellation must not leave half done behind its back: it ends first, then the cancellation goes on.

    A thread can't be cancelled: what it does would happen later, owned by nobody.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError as cancelled:
        await asyncio.wait({task})
        if not task.cancelled():
            cancelled.__cause__ = task.exception()  # what nobody asks for, asyncio writes to the engine's log
        raise
