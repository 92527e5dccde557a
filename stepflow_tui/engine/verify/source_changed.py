"""Did the source change during the run? Then no verdict may say more than what was seen, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stepflow_tui.engine.model.discrepancy import TableVerdict, Verified
from stepflow_tui.engine.sqlite.fingerprint import Fingerprint, same_content, same_file


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChange:
    """What two fingerprints of a source say. `replaced`: another file stands there now."""

    changed: bool
    replaced: bool = False


def compare_fingerprints(before: Fingerprint, after: Fingerprint) -> SourceChange:
    """Whether the source may have changed between two looks.

    A checkpoint or a touched file also counts as changed: comparing the content then tells.
    """
    if not same_file(before, after) and before.inode != after.inode:
        return SourceChange(changed=True, replaced=True)
    return SourceChange(changed=not same_content(before, after))


def against_living(
    frozen: Sequence[TableVerdict], living: Sequence[TableVerdict], *, as_of_ms: int
) -> tuple[TableVerdict, ...]:
    """The verdicts to report when the source changed: what the living source says counts.

    A table that matches the living source is `equal`, as of then; one that doesn't is `different`, also where the
    target equals the frozen file: it is an exact copy of what the source no longer is.

    Args:
        frozen: verdicts against the file that was copied.
        living: verdicts against the source itself, any tables left out keep their first verdict.
        as_of_ms: when the living source was read, UTC milliseconds.
    """
    now = {v.table: v for v in living}
    return tuple(_one(v, now.get(v.table), as_of_ms) for v in frozen)


def _one(frozen: TableVerdict, living: TableVerdict | None, as_of_ms: int) -> TableVerdict:
    if living is None or frozen.verified is Verified.NOT_VERIFIED:
        return frozen
    if living.verified is Verified.DIFFERENT and frozen.verified is Verified.EQUAL:
        reason = "the source changed after it was copied; the target equals the copied state"
        return replace(
            living, as_of_ms=as_of_ms, reason=reason, digest_target=frozen.digest_target, ranges=frozen.ranges
        )
    # the digest that `rollback` recomputes belongs to the ranges of the first verdict, if there is one
    if frozen.verified is Verified.EQUAL:
        return replace(frozen, as_of_ms=as_of_ms, source_rows=living.source_rows, target_rows=living.target_rows)
    return replace(living, as_of_ms=as_of_ms)
