"""Owns the proof that a backup can be restored: opened and checked whole, in a child process, beside the census."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.codec import from_plain
from stepflow_tui.engine.model.control import Control
from stepflow_tui.engine.model.finding import Finding, warning
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.mapping import CORRUPT_HINT

_CHILD = "stepflow_tui.engine.sqlite.backup_child"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKeyCheck:
    """One foreign key with orphans, or one that SQLite calls a mismatch.

    `count` is the number of child rows without a parent, None when it can't be counted (`error` says why).
    `first_keys` are rowids of the first ones. `parent_columns` is empty when the declaration names none.
    """

    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    count: int | None
    first_keys: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreTest:
    """What the test of a backup found. JSON-able.

    `damage` and `indexes` are lines of `integrity_check`; `constraints` are rows that break NOT NULL, CHECK or STRICT
    rules (readable, so they don't refuse the file); `unchecked` names tables whose collation, function or module is missing.
    """

    damage: tuple[str, ...]
    indexes: tuple[str, ...]
    constraints: tuple[str, ...]
    unchecked: tuple[tuple[str, str], ...]
    foreign_keys: tuple[ForeignKeyCheck, ...]

    @property
    def sound(self) -> bool:
        """Whether all rows can be read by every path."""
        return not (self.damage or self.indexes)


async def restore_test(path: Path, *, control: Control | None = None, living: bool = False) -> RestoreTest:
    """`integrity_check` and `foreign_key_check` of a sealed backup, in a child process.

    Args:
        path: the backup's file.
        control: pause stops the child, stop and abort end it.
        living: it is an application's file, which is only read. In rollback-journal mode its writers wait meanwhile.

    Raises:
        Refused: `source_corrupt`, the file can't even be opened.
        Stopping: by `control`.
    """
    found: dict[str, Any] = await run_child(
        _CHILD, {"op": "test", "path": path_text(path), "living": living}, control=control
    )
    result = from_plain(RestoreTest, found)
    assert isinstance(result, RestoreTest)
    return result


def refuse_damaged(test: RestoreTest, source: Path) -> None:
    """Stop when `integrity_check` found damage.

    Raises:
        Refused: `source_corrupt`; the detail holds the first lines of what it says.
    """
    if test.sound:
        return
    lines = [*test.damage, *test.indexes]
    shown = "; ".join(lines[:5]) + (f"; and {len(lines) - 5} more" if len(lines) > 5 else "")
    raise Refused(
        f"The source {source} is damaged.", detail=f"integrity_check: {shown}", hint=CORRUPT_HINT, code="source_corrupt"
    )


def findings_of(test: RestoreTest) -> list[Finding]:
    """What the test found, for the journal: broken rules, unchecked tables, foreign keys with orphans. Damage is refused instead."""
    found = []
    if test.constraints:
        found.append(
            warning("source_constraint_violated", None, count=len(test.constraints), first=test.constraints[0])
        )
    found += [warning("source_table_unchecked", table, table=table, reason=reason) for table, reason in test.unchecked]
    for key in test.foreign_keys:
        columns = ", ".join(key.columns)
        if key.error:
            found.append(
                warning(
                    "source_key_mismatch",
                    key.table,
                    table=key.table,
                    columns=columns,
                    parent=key.parent,
                    message=key.error,
                )
            )
        if key.count:
            found.append(
                warning("source_orphans", key.table, table=key.table, columns=columns, parent=key.parent, count=key.count,
                        first_keys=", ".join(key.first_keys) or "unknown")
            )  # fmt: skip
    return found
