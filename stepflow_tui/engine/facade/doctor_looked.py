"""What `doctor` has looked at, and what it has not and why: without that, "nothing was found" says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.facade.doctor_problem import size
from stepflow_tui.engine.model.redact import Redact
from stepflow_tui.engine.sqlite.connect import shown
from stepflow_tui.engine.sqlite.examine import SourceState
from stepflow_tui.engine.texts.doctor import LOOKED
from stepflow_tui.engine.texts.language import _

if TYPE_CHECKING:
    from stepflow_tui.engine.application.processes import Users
    from stepflow_tui.engine.config import LoadedConfig
    from stepflow_tui.engine.facade.doctor_database import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look. `text` is a key of `LOOKED`."""

    name: str
    looked: bool
    text: str
    params: dict[str, Any]


def told_look(look: Look, redact: Redact) -> dict[str, Any]:
    """{name looked about}, in the language in use, without secrets."""
    return {"name": look.name, "looked": look.looked, "about": redact(_(LOOKED[look.text]).format(**look.params))}


def looks_of(loaded: LoadedConfig | None, seen: Seen | None) -> Iterator[Look]:
    """All looks, in the order in which they are told."""
    if loaded is None or seen is None:
        for name in ("database", "application"):
            yield _not(name, "no_config")
    else:
        yield from _database(seen)
        yield from _application(loaded, seen.users)
        yield _target(loaded)
    yield _at("runs", "runs")


def _at(name: str, text: str, **params: Any) -> Look:
    return Look(name=name, looked=True, text=text, params=params)


def _not(name: str, text: str, **params: Any) -> Look:
    return Look(name=name, looked=False, text=text, params=params)


def _database(seen: Seen) -> Iterator[Look]:
    found, file = seen.found, shown(seen.path)
    if found is None:
        yield _not("database", "unreadable", file=file)
        return
    mode = "wal" if found.wal else found.journal_mode or "?"
    yield _at("database", "database", file=file, state=found.state.value, size=size(found.size), mode=mode)
    if found.state not in (SourceState.SOUND, SourceState.LOCKED):
        for name in ("locks", "wal", "inside"):
            yield _not(name, "not_so", state=found.state.value)
        return
    if seen.locks:
        yield _at("locks", "locks", looks=seen.locks)
    else:
        yield _not("locks", "no_locks")
    yield _at("wal", "wal", size=size(found.wal_bytes)) if found.wal else _not("wal", "no_wal")
    if found.state is SourceState.SOUND and not seen.unchecked:
        yield _at("inside", "inside")
    else:
        yield _not("inside", "unchecked", reason=seen.unchecked or found.state.value)


def _application(loaded: LoadedConfig, users: Users) -> Iterator[Look]:
    config = loaded.config
    yield _users(users)
    parts = (
        ("recipe", "recipes", config.application.recipe, "application.recipe"),
        ("health", "health", config.application.health, "application.health"),
        ("logs", "logs", config.monitor.logs, "monitor.logs"),
    )
    for name, text, configured, key in parts:
        yield _at(name, text, count=len(configured)) if configured else _not(name, "not_configured", key=key)


def _users(users: Users) -> Look:
    """Rights and memory are those of the processes that have the file open; of its owner where nobody has."""
    if not users.known:
        return _not("processes", "no_processes")
    if users.complete and not users.processes:
        return _at("processes", "nobody")
    return _at("processes", "processes" if users.complete else "processes_ours", count=len(users.processes))


def _target(loaded: LoadedConfig) -> Look:
    return _not("postgresql", "no_target") if loaded.config.in_place else _at("postgresql", "target")
