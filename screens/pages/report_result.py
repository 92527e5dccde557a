"""Pages of the report about the result: the verdict, the tables, what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from screens.glyphs import Glyphs
from screens.pages.lines import BAD, CARE, DIM, GOOD, SHOWN, Page, blank, fits, heading, line, marked
from screens.widgets.document import Line
from stepflow_tui.engine.model.discrepancy import Verified
from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.model.state import ItemState
from stepflow_tui.engine.texts.language import N_, _, known, ngettext
from stepflow_tui.render import words
from stepflow_tui.render.tables import apart_from, written_line

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """A report, in the shape of report.json, with its findings as codes: they are shown in the language in use.

    `files` are the report's own files as far as they are written.
    """

    report: Row
    findings: tuple[Finding, ...] = ()
    files: tuple[str, ...] = ()


VERDICTS: dict[str, str] = {
    "completed": N_("Completed: {equal} of {tables} tables verified equal, {rows} rows in the target."),
    "incomplete": N_("INCOMPLETE: {equal} of {tables} tables verified equal. What is missing or different:"),
    "refused": N_("Refused: a check or guard said no. The run goes on once the reason is gone."),
    "failed": N_("Failed: a step could not be done. The run can be resumed."),
    "aborted": N_("Aborted by the operator. Nothing was dropped."),
    "rolled_back": N_("Rolled back: what the run made in the target is gone."),
    "stopped": N_("Stopped at a checkpoint. The run can go on from there."),
    "waiting": N_("Waiting for an answer at a gate."),
}
"""Never says more than what was proven."""
IN_PLACE_VERDICTS: dict[str, str] = VERDICTS | {
    "completed": N_("Completed: {equal} of {tables} tables verified equal, {rows} rows, in place."),
    "aborted": N_("Aborted by the operator. The database keeps the mode it is in."),
    "rolled_back": N_("Rolled back: the database was taken back; the page Conversion says how."),
}
"""Where nothing is made in a target."""
_STYLES = {"completed": GOOD, "incomplete": BAD, "failed": BAD, "refused": BAD}


class VerdictPage(Page[ReportView]):
    """How the run ended, in words, and what is missing."""

    NAME: ClassVar[str] = N_("Verdict")
    HELP: ClassVar[str] = N_(
        "How the run ended and what is missing, then how long it took and what it ran on. The pages to the right have everything"
        " else; x writes the report to files, y copies this page."
    )
    FILTERS: ClassVar[bool] = False

    def lines(self, view: ReportView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """Verdict first."""
        report = view.report
        result = str(report["result"] or "")
        sign = {"completed": glyphs.done, "": glyphs.now}.get(result, glyphs.confirm)
        yield line(f"{sign} {verdict(report)}", f"bold {_STYLES.get(result, CARE)}")
        yield from (line(f"{glyphs.confirm} {text}", CARE, indent=2) for text in missing(report))
        yield from (line(text, indent=2) for text in filter(None, (written_line(report),)))
        for error in report["errors"]:
            yield from _error(error)
        yield blank()
        yield from _facts(report)
        yield from _times(report)
        if view.files:
            yield heading(_("Files of this report"))
            yield from (line(path, indent=2) for path in view.files)


def verdict(report: Row) -> str:
    """One sentence about the result."""
    tables = report["tables"]
    equal = sum(t["verified"] == Verified.EQUAL and not apart_from(report, t) for t in tables)
    rows = words.count(sum(t["target_rows"] or 0 for t in tables))
    text = (IN_PLACE_VERDICTS if in_place(report) else VERDICTS).get(str(report["result"]), "")
    return _(text).format(equal=equal, tables=len(tables), rows=rows) if text else _("Not finished.")


def in_place(report: Row) -> bool:
    """Whether the database stayed where it is: there is no target to speak of."""
    return bool(report["kind"] == "sqlite-wal")


def missing(report: Row) -> Iterator[str]:
    """What is not as it should be, with numbers."""
    ended = report["result"] in ("completed", "incomplete")
    off = [t for t in report["tables"] if t["verified"] != Verified.EQUAL]
    if in_place(report):  # while the application writes on, a table that could not be compared is no fault
        off = [t for t in off if t["verified"] == Verified.DIFFERENT]
    if off and ended:
        yield ngettext("{count} table is not verified equal", "{count} tables are not verified equal", len(off)).format(
            count=len(off)
        )
    if report["discrepancies"]:
        count = len(report["discrepancies"])
        yield ngettext("{count} difference", "{count} differences", count).format(count=words.count(count))
    if report["rejects"]:
        count = len(report["rejects"])
        yield ngettext("{count} value was rejected", "{count} values were rejected", count).format(
            count=words.count(count)
        )
    lost = sum(not o["carried"] for o in report["objects"])
    if lost:
        yield ngettext("{count} object is not carried", "{count} objects are not carried", lost).format(count=lost)
    undone = sum(i["state"] == ItemState.FAILED for i in report["checklist"])
    if undone:
        yield ngettext("{count} checklist item failed", "{count} checklist items failed", undone).format(count=undone)
    if report["source_changed"]:
        yield _("the source changed while the run was working: tables that differ may lack the newest changes")


def _error(error: Row) -> Iterator[Line]:
    yield line(known(str(error["message"])), BAD, indent=2)
    if error["detail"]:
        yield line(known(str(error["detail"])), indent=4)
    yield line(_("hint: {text}").format(text=known(str(error["hint"]))), indent=4)


def _facts(report: Row) -> Iterator[Line]:
    versions = ", ".join(f"{k} {v}" for k, v in report["versions"].items() if v)
    fields = (
        (_("run"), report["run"]),
        (_("kind"), report["kind"]),
        (_("exit code"), report["exit_code"]),
        (_("started"), report["started_at"]),
        (_("finished"), report["finished_at"]),
        (_("plan"), report["plan_hash"]),
        (_("config"), report["config_hash"]),
        (_("versions"), versions),
    )
    yield from (line(words.about(name, value), indent=2) for name, value in fields if value is not None)
    yield blank()


def _times(report: Row) -> Iterator[Line]:
    if not report["seconds"]:
        return
    yield heading(_("Time"))
    for phase, seconds in report["seconds"].items():
        yield line(words.about(words.phase(phase, str(report["kind"])), words.seconds(seconds)), indent=2)
    yield blank()


class TablesPage(Page[ReportView]):
    """Every table with its counts and its verdict."""

    NAME: ClassVar[str] = N_("Tables")
    HELP: ClassVar[str] = N_(
        "Rows of each table on both sides, rejected values, and what the verification says. Tables that are not equal come first."
        " / leaves only what fits."
    )
    FILTERS: ClassVar[bool] = True

    def lines(self, view: ReportView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """Those that are not equal first."""
        rows = [t for t in view.report["tables"] if fits(needle, t["source"], t["target"], t["verified"], t["reason"])]
        rows.sort(key=lambda t: (t["verified"] == Verified.EQUAL, not apart_from(view.report, t)))
        for row in rows[:SHOWN]:
            yield from _table(row, view.report, glyphs)
        yield from rest(len(rows))


def _table(row: Row, report: Row, glyphs: Glyphs) -> Iterator[Line]:
    equal = row["verified"] == Verified.EQUAL
    sign, style = (
        (glyphs.done, GOOD) if equal else (glyphs.confirm, BAD if row["verified"] == Verified.DIFFERENT else CARE)
    )
    word = words.phrase(str(row["verified"] or Verified.NOT_VERIFIED.value))
    stays = in_place(report)
    if apart := apart_from(report, row):
        sign, style = glyphs.skipped, ""
        word = _("written to") if apart == "application_writes" else _("not read")
    yield marked(sign, word, str(row["source"]) if stays else f"{row['source']} → {row['target']}", style, width=9)
    text = _("{source} rows in the source, {target} in the target")
    if stays:  # what was written to meanwhile is compared with nothing: its reason says so
        unknown = row["source_rows"] is None
        text = _("{target} rows") if unknown else _("{source} rows before, {target} after")
    counts = text.format(source=words.count(row["source_rows"]), target=words.count(row["target_rows"]))
    if row["rejected_rows"]:
        counts += ", " + _("{count} rejected").format(count=words.count(row["rejected_rows"]))
    yield line(counts, DIM, indent=4)
    if row["reason"]:
        yield line(known(str(row["reason"])), indent=4)


class DifferencesPage(Page[ReportView]):
    """Differing and rejected values."""

    NAME: ClassVar[str] = N_("Differences")
    HELP: ClassVar[str] = N_(
        "Rows that differ, with key, both values and the probable cause; then values that PostgreSQL can't hold, with the file"
        " that keeps them. Values of sensitive columns are fingerprints. / leaves only what fits."
    )
    FILTERS: ClassVar[bool] = True

    def lines(self, view: ReportView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """Differences, then rejects."""
        found = [d for d in view.report["discrepancies"] if fits(needle, *d.values())]
        rejects = [r for r in view.report["rejects"] if fits(needle, *r.values())]
        if not found and not rejects:
            yield _none(view.report, glyphs)
        if found:
            yield heading(f"{_('Differences')} ({words.count(len(found))})")
            for row in found[:SHOWN]:
                yield from _difference(row, glyphs)
            yield from rest(len(found))
            yield blank()
        if rejects:
            yield heading(f"{_('Rejected values')} ({words.count(len(rejects))})")
            for row in rejects[:SHOWN]:
                yield from _reject(row, glyphs)
            yield from rest(len(rejects))


def _none(report: Row, glyphs: Glyphs) -> Line:
    """Nothing is listed: because of the filter, because nothing was compared, or because all is equal."""
    if report["discrepancies"] or report["rejects"]:
        return line(_("Nothing fits."), DIM)
    verdicts = {t["verified"] for t in report["tables"]}
    if verdicts == {Verified.EQUAL} and not any(apart_from(report, t) for t in report["tables"]):
        return line(f"{glyphs.done} {_('Nothing differs and nothing was rejected.')}", GOOD)
    if verdicts & {Verified.EQUAL, Verified.DIFFERENT}:
        return line(f"{glyphs.confirm} {_('No single row is listed; the page Tables tells what is not equal.')}", CARE)
    return line(_("Nothing was compared yet."), DIM)


def _place(row: Row) -> str:
    column = f".{row['column']}" if row["column"] else ""
    return f"{row['table']}{column} {key_text(row['key'])}"


def key_text(key: Any) -> str:
    """A row's key: its values, with their columns where they are named."""
    if isinstance(key, Mapping):
        return ", ".join(f"{k}={v}" for k, v in key.items())
    if isinstance(key, Sequence) and not isinstance(key, str):
        return ", ".join(map(str, key))
    return str(key)


def _difference(row: Row, glyphs: Glyphs) -> Iterator[Line]:
    yield marked(glyphs.failed, words.term(row["class"]), _place(row), BAD, indent=1)
    for name, value in ((_("source"), row["source"]), (_("target"), row["target"])):
        if value is not None:
            yield line(words.about(name, value), indent=5)
    if row["cause"]:
        yield line(_("probable cause: {text}").format(text=known(str(row["cause"]))), DIM, indent=5)


def _reject(row: Row, glyphs: Glyphs) -> Iterator[Line]:
    yield line(f"{glyphs.confirm} {_place(row)}", CARE, indent=1)
    yield line(known(str(row["reason"])), indent=5)
    if row["file"]:
        yield line(_("kept in {file}").format(file=row["file"]), DIM, indent=5)


def rest(count: int) -> Iterator[Line]:
    """How many are not listed."""
    if count > SHOWN:
        yield line(
            _("and {count} more; / finds them, the report's files list all").format(count=words.count(count - SHOWN)),
            DIM,
        )
