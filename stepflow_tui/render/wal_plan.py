"""The plan of a database that stays where it is, as text: what the file keeps, what every connection sets, how long it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stepflow_tui.engine.model.config_wal import Wal
from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.model.plan import Plan
from stepflow_tui.engine.model.pragmas import Pragma, in_file, profile
from stepflow_tui.engine.plan.estimates import estimate
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words

ALREADY = "wal_already"


def change_lines(plan: Plan, findings: Sequence[Finding], wal: Wal | None) -> Iterator[str]:
    """What the run changes in the file, and what it can't set: that belongs to each connection of the application.

    Args:
        plan: of a kind that stays in its place.
        findings: one of them tells that the file is in WAL mode already.
        wal: the config's section; None where the config can't be read any more.
    """
    if any(f.code == ALREADY for f in findings):
        yield _("Nothing is converted: the file is in WAL mode already. The run tunes it, proves it, and watches.")
    else:
        yield _("The file's journal mode becomes WAL. Tables, rows and indexes stay as they are, and are compared.")
        if plan.mode == "offline":
            yield _("The application is stopped for it, and started again.")
        else:
            yield _("The application goes on: a moment is looked for in which nobody reads or writes.")
    if wal is None:
        return
    yield ""
    yield _("Kept by the file, set once by this run:")
    yield from (f"  {pragma.statement}" for pragma in in_file(wal))
    yield _("Set by every connection of your application (`stepflow pragmas` has it ready for your language):")
    yield from (f"  {_statement(pragma)}" for pragma in profile(wal))


def _statement(pragma: Pragma) -> str:
    return words.about(pragma.statement, _("yours")) if pragma.own else pragma.statement


def in_place_estimate(plan: Plan) -> Iterator[str]:
    """Tables, rows, and a range of time."""
    guess = estimate(plan)
    text = (
        _("Tables: {tables}, with {rows} rows") if guess.rows else _("Tables: {tables}")
    )  # counted in the run, not before
    yield text.format(tables=len(plan.tables), rows=words.count(guess.rows))
    low, high = words.seconds(guess.low_seconds), words.seconds(guess.high_seconds)
    yield _(
        "Estimate: {low} to {high} for checks, backup, digests and rehearsal (rough), and the benchmark; the conversion itself takes "
        "milliseconds."
    ).format(low=low, high=high)
