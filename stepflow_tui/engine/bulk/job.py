"""What to copy, and how: the input of `copy_tables`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stepflow_tui.engine.bulk.segments import rows_per_segment
from stepflow_tui.engine.bulk.spec import CopySpec, make_spec
from stepflow_tui.engine.bulk.throttle import LoadLimits
from stepflow_tui.engine.model.plan import TableFacts, TablePlan
from stepflow_tui.engine.model.sensitive import NO_MASK, Mask
from stepflow_tui.engine.postgres.connect import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyJob:
    """What to copy, and how.

    Args:
        run: run id; `epoch`: this engine's, already raised in the ledger.
        frozen: the file the segments were cut in.
        target: the database.
        tables: the tables to copy; their segments stand in the ledger.
        facts: what the census counted, by source table.
        encoding: SQLite's name of the file's text encoding (UTF-8, UTF-16le, UTF-16be).
        on_bad_value: reject, bytea or replace.
        streams: worker processes, 0 for as many as fit.
        max_rows_per_second: None for no limit; the segments must have been cut with the same number.
        load: when the target counts as busy; None never looks.
        retry_seconds: pauses between attempts to reach a lost target.
        step: name of the step in progress lines.
        mask: hides values of sensitive columns in rejects and messages.
    """

    run: str
    epoch: int
    frozen: Path
    target: Target
    tables: tuple[TablePlan, ...]
    facts: dict[str, TableFacts] = field(default_factory=dict)
    encoding: str = "UTF-8"
    on_bad_value: str = "reject"
    streams: int = 0
    max_rows_per_second: int | None = None
    load: LoadLimits | None = field(default_factory=LoadLimits)
    retry_seconds: tuple[float, ...] = (0.2, 1, 2, 4, 8, 15)
    step: str = "copy"
    mask: Mask = NO_MASK

    def table_facts(self, table: TablePlan) -> TableFacts:
        """The census' facts; a table it could not read has none."""
        return self.facts.get(table.source) or TableFacts(rows=0)

    def spec(self, table: TablePlan) -> CopySpec:
        """What the workers need to know about a table."""
        facts = self.table_facts(table)
        rows = rows_per_segment(table, facts, max_rows_per_second=self.max_rows_per_second)
        replace = self.on_bad_value == "replace"
        return make_spec(table, facts, encoding=self.encoding, batch_rows=rows, replace=replace, mask=self.mask)
