"""The book of records that functional probes made: written before and after each create, so that none is forgotten.

A JSON file that only its owner may read, replaced as a whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from stepflow_tui.engine.errors import StepFailed

FILE = Path("application") / "probes.json"


class RecordState(StrEnum):
    """What is known of a record."""

    ASKED = "asked"  # create was sent, nothing came back yet
    STANDS = "stands"  # its key is known, and it was not deleted
    UNKNOWN = "unknown"  # create's outcome is not known, so there is no key to delete it by


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a probe. `token` is the text it was made with, `key` "" until the application told it."""

    probe: str
    token: str
    state: RecordState = RecordState.ASKED
    key: str = ""
    table: str | None = None
    column: str | None = None


class Book:
    """The file of one run.

    Args:
        run_dir: the run's folder.
    """

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / FILE

    def read(self) -> tuple[Record, ...]:
        """All records that may stand, oldest first.

        Raises:
            StepFailed: `probe_book_unreadable`; forgetting a record is worse than stopping.
        """
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            return tuple(Record(**{**row, "state": RecordState(row["state"])}) for row in rows)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, TypeError, KeyError) as exc:
            raise StepFailed(
                "The list of records that probes made can't be read.",
                detail=f"{self._path}: {type(exc).__name__}",
                hint="Look in the application for records of the probes, delete them, put that file aside, and run again.",
                code="probe_book_unreadable",
            ) from exc

    def put(self, record: Record) -> None:
        """Write a record down, in place of what was known under its token."""
        others = [r for r in self.read() if r.token != record.token]
        self._write((*others, record))

    def drop(self, token: str) -> None:
        """Forget a record: it is gone, or was never made."""
        self._write(r for r in self.read() if r.token != token)

    def _write(self, records: Iterable[Record]) -> None:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        draft = self._path.with_name(self._path.name + ".part")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump([asdict(r) for r in records], out)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self._path)


def left_out(run_dir: Path) -> dict[str, dict[str, list[str]]]:
    """Keys of records that may still stand: table → column → keys. Content digests leave these rows out.

    Raises:
        StepFailed: `probe_book_unreadable`.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for record in Book(run_dir).read():
        if record.table and record.column and record.key:
            found.setdefault(record.table, {}).setdefault(record.column, []).append(record.key)
    return found


def known(record: Record, key: str) -> Record:
    """The record with its key."""
    return replace(record, state=RecordState.STANDS, key=key)
