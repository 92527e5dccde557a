"""What a comparison of one table has found so far, and the verdict it leads to."""

from __future__ import annotations

import hashlib

from stepflow_tui.engine.model.discrepancy import RangeDigest, TableVerdict, Verified
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.keys import KeyValue, to_json
from stepflow_tui.engine.verify.naming import Differences


def table_digest_of(digests: list[str]) -> str:
    """One digest over the digests of all ranges, in order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest() if digests else ""


class Tally:
    """Collects one table's ranges; ranges may arrive in any order."""

    def __init__(self, differences: Differences) -> None:
        self.differences = differences
        self.source_rows = 0
        self.target_rows = 0
        self.reason = ""
        self._ranges: dict[int, RangeDigest] = {}
        self._source: dict[int, str] = {}

    def add(
        self,
        n: int,
        bounds: tuple[KeyValue | None, KeyValue | None],
        rows: tuple[int, int],
        shas: tuple[str, str],
        *,
        same: bool,
    ) -> None:
        """One compared range.

        Args:
            n: its number.
            bounds: lo (exclusive) and hi (inclusive).
            rows: of source and target.
            shas: over the compared bytes of source and target.
            same: every row was proven equal, singly where the bytes were not the same.
        """
        source, target = shas
        if same:
            source = target
        elif source == target:
            source = hashlib.sha256(f"{source} differs".encode()).hexdigest()
        self._source[n] = source
        self._ranges[n] = RangeDigest(n=n, lo=to_json(bounds[0]), hi=to_json(bounds[1]), rows=rows[1], sha256=target)
        self.source_rows = self.source_rows + rows[0]
        self.target_rows = self.target_rows + rows[1]

    def verdict(self, job: VerifyJob, table: TablePlan) -> TableVerdict:
        """The verdict: equal only if nothing is missing, extra, different or rejected."""
        discrepancies = self.differences.finish()
        rejected = len(job.rejects.get(table.source, ()))
        count = self.differences.rows
        reason = self.reason
        if rejected and not reason:
            reason = f"{rejected} rows were rejected"
        if count and not reason:
            reason = f"{count} differences"
        if not reason and self.differences.left_out:
            reason = f"left out by key: {self.differences.left_out} records of functional probes"
        order = sorted(self._ranges)
        ours = table_digest_of([self._source[n] for n in order])
        theirs = table_digest_of([self._ranges[n].sha256 for n in order])
        if self.differences.left_out and not count and not rejected:
            ours = theirs  # everything else was proven equal
        if (count or rejected) and ours == theirs and ours:
            ours = hashlib.sha256(f"{ours} differs".encode()).hexdigest()
        return TableVerdict(
            table=table.source,
            verified=Verified.DIFFERENT if rejected or count else Verified.EQUAL,
            reason=reason,
            source_rows=self.source_rows,
            target_rows=self.target_rows,
            rejected_rows=rejected,
            differences=count,
            digest_source=ours,
            digest_target=theirs,
            as_of_ms=job.as_of_ms,
            discrepancies=discrepancies,
            ranges=tuple(self._ranges[n] for n in order),
        )
