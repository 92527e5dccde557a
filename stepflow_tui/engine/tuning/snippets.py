"""Snippets for the application: where it opens its connections, and a probe of one that is open. One entry per way to SQLite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stepflow_tui.engine.model.pragmas import PRODUCTION, Pragma
from stepflow_tui.engine.tuning import go, node, python

ASKED = (*PRODUCTION, "foreign_keys", "journal_mode", "page_size", "locking_mode")
"""What a probe asks its connection, besides the version of the library."""


class Stack(StrEnum):
    """Ways from an application to SQLite."""

    PYTHON = "python"
    AIOSQLITE = "aiosqlite"
    SQLALCHEMY = "sqlalchemy"
    PRISMA = "prisma"
    DJANGO = "django"
    GO = "go"
    NODE = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """How one way's snippets are written: `setting` from the pragmas, `probe` from the names to ask."""

    language: str
    setting: Callable[[Sequence[Pragma]], str]
    probe: Callable[[Sequence[str]], str]


STACKS: dict[Stack, Sources] = {
    Stack.PYTHON: Sources(language="python", setting=python.plain, probe=python.probe_plain),
    Stack.AIOSQLITE: Sources(language="python", setting=python.aiosqlite, probe=python.probe_aiosqlite),
    Stack.SQLALCHEMY: Sources(language="python", setting=python.sqlalchemy, probe=python.probe_sqlalchemy),
    Stack.PRISMA: Sources(language="javascript", setting=node.prisma, probe=node.probe_prisma),
    Stack.DJANGO: Sources(language="python", setting=python.django, probe=python.probe_django),
    Stack.GO: Sources(language="go", setting=go.setting, probe=go.probe),
    Stack.NODE: Sources(language="javascript", setting=node.setting, probe=node.probe),
}


def snippet(stack: Stack, pragmas: Sequence[Pragma]) -> str:
    """Source text that sets every connection; it names no file and no secret."""
    return STACKS[stack].setting([p for p in pragmas if not p.persists])


def probe(stack: Stack) -> str:
    """Source text that prints one JSON line about an open connection of the application."""
    return STACKS[stack].probe(ASKED)
