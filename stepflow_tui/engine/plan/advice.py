"""Which migration fits: pure rules over measured facts and three answers. Their words are in `texts.advice`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stepflow_tui.engine.model.advice import Advice, Answers, Param, Reason
from stepflow_tui.engine.model.versions import has_wal_reset_bug
from stepflow_tui.engine.texts.advice import BUILT

MANY_WRITERS = 5
"""From here on writers of one file spend their time waiting for each other."""
MANY_REQUESTS = 200
MANY_USERS = 200
LARGE_BYTES = 50 * 2**30
FEW_WRITERS = 2
SOME_REQUESTS = 10
SOME_USERS = 10
"""From here on readers notice that a rollback-journal writer shuts them out."""


def advise(facts: Mapping[str, Any], answers: Answers) -> Advice:
    """The kind that fits.

    Args:
        facts: what `survey` found; empty where no source was named.
        answers: what a person said.
    """
    source = facts.get("source")
    if source == "postgres":
        return _for("table-to-table", [Reason("source_is_postgres")])
    if source == "files":
        return _for("files-to-database", [Reason("source_is_files", _picked(facts, "format", "size"))])
    if facts.get("state") == "empty":
        return _for(None, [Reason("nothing_to_migrate")])
    return _for_sqlite(facts, answers)


def _for_sqlite(facts: Mapping[str, Any], answers: Answers) -> Advice:
    known = [] if facts else [Reason("not_measured")]
    if outgrown := _outgrown(facts, answers):
        return _for("sqlite-to-postgres", [*outgrown, *known], [Reason("how_to_move"), *_meanwhile(facts)])
    in_wal = facts.get("journal_mode") == "wal"
    if not in_wal and (waiting := _waiting(facts, answers)):
        here = [Reason("one_machine", _picked(facts, "tables", "size"))] if facts.get("tables") is not None else []
        return _for("sqlite-wal", [*waiting, *here, *known], _before_wal(facts))
    calm = [Reason("already_wal")] if in_wal else []
    return _for(None, [*calm, Reason("quiet"), *known], [Reason("ask_again"), Reason("move_anyway")])


def _for(kind: str | None, reasons: list[Reason], also: list[Reason] | None = None) -> Advice:
    later = [] if kind is None or kind in BUILT else [Reason("comes_later", {"kind": kind, "built": ", ".join(BUILT)})]
    return Advice(kind=kind, built=kind in BUILT, reasons=tuple(reasons), also=(*later, *(also or [])))


def _picked(facts: Mapping[str, Any], *names: str) -> dict[str, Param]:
    return {name: facts.get(name) for name in names}


def _outgrown(facts: Mapping[str, Any], answers: Answers) -> list[Reason]:
    """What a file on one machine can't serve, whatever its mode."""
    found = []
    if facts.get("network"):
        found.append(Reason("network_filesystem", _picked(facts, "filesystem")))
    if (answers.writers or 0) >= MANY_WRITERS:
        found.append(Reason("many_writers", {"writers": answers.writers}))
    if answers.locked and facts.get("journal_mode") == "wal":
        found.append(Reason("locked_in_wal"))
    if (answers.requests or 0) >= MANY_REQUESTS:
        found.append(Reason("many_requests", {"requests": answers.requests}))
    if (answers.users or 0) >= MANY_USERS:
        found.append(Reason("many_users", {"users": answers.users}))
    if (facts.get("size") or 0) >= LARGE_BYTES:
        found.append(Reason("large", _picked(facts, "size")))
    return found


def _waiting(facts: Mapping[str, Any], answers: Answers) -> list[Reason]:
    """What a rollback journal makes wait."""
    mode: dict[str, Param] = {"journal_mode": facts.get("journal_mode") or "delete"}
    found = []
    if answers.locked:
        found.append(Reason("locked_rollback", mode))
    if (answers.writers or 0) >= FEW_WRITERS:
        found.append(Reason("few_writers", {"writers": answers.writers}))
    if (answers.requests or 0) >= SOME_REQUESTS:
        found.append(Reason("some_requests", {"requests": answers.requests, **mode}))
    if (answers.users or 0) >= SOME_USERS:
        found.append(Reason("some_users", {"users": answers.users, **mode}))
    return found


def _meanwhile(facts: Mapping[str, Any]) -> list[Reason]:
    in_wal = facts.get("journal_mode") == "wal"
    return [] if in_wal or facts.get("network") else [Reason("wal_meanwhile")]


def _before_wal(facts: Mapping[str, Any]) -> list[Reason]:
    library = str(facts.get("written_by") or "")
    fault = [Reason("wal_library", {"written_by": library})] if _faulty_in_wal(library) else []
    return [*fault, Reason("outgrow", {"writers": MANY_WRITERS})]


def _faulty_in_wal(library: str) -> bool:
    parts = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", library)
    return parts is not None and has_wal_reset_bug((int(parts[1]), int(parts[2]), int(parts[3])))
