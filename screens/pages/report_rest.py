"""Pages of the report about all else: objects, findings, checklist, alerts, backup, application, audit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from screens.glyphs import Glyphs
from screens.pages.checklist import item_blocks
from screens.pages.findings import finding_lines
from screens.pages.lines import BAD, CARE, DIM, GOOD, Page, blank, fits, heading, line, marked
from screens.pages.objects import object_lines
from screens.pages.report_result import ReportView, in_place
from screens.widgets.document import Line
from stepflow_tui.engine.texts import shown
from stepflow_tui.engine.texts.language import N_, _, known
from stepflow_tui.engine.texts.running import step_title
from stepflow_tui.render import words
from stepflow_tui.render.events import alert_text


class ReportObjectsPage(Page[ReportView]):
    """What was not carried, and what in another form."""

    NAME: ClassVar[str] = N_("Objects")
    HELP: ClassVar[str] = N_(
        "Views, triggers, indexes and other objects that were not carried, each with the reason and its SQL; below, what is"
        " carried in another form. / leaves only what fits."
    )
    FILTERS: ClassVar[bool] = True

    def lines(self, view: ReportView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """Both lists."""
        if not view.report["plan_hash"]:
            yield line(_("Nothing is known yet: there is no plan."), DIM)
            return
        rows = [o for o in view.report["objects"] if fits(needle, o["type"], o["name"], o["reason"])]
        yield from object_lines(rows, view.report["objects"], glyphs)


class ReportFindingsPage(Page[ReportView]):
    """Findings of the whole run."""

    NAME: ClassVar[str] = N_("Findings")
    HELP: ClassVar[str] = N_(
        "What checks, census, planning and the run itself found, the heaviest first, with why it matters and how to fix it."
        " / leaves only what fits."
    )
    FILTERS: ClassVar[bool] = True

    def lines(self, view: ReportView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """One block per finding."""
        said = [(f, shown(f)) for f in view.findings]
        fitting = [(f, w) for f, w in said if fits(needle, f.code, f.object, f.severity.value, w.what, w.why, w.fix)]
        yield from finding_lines(fitting, glyphs, narrowed=bool(needle))


class ReportChecklistPage(Page[ReportView]):
    """The checklist as it stands."""

    NAME: ClassVar[str] = N_("Checklist")
    HELP: ClassVar[str] = N_(
        "Who ticked what, when, with which note, and what checks decided. `accepted` means that nobody did it and --yes went past"
        " it. / leaves only what fits."
    )
    FILTERS: ClassVar[bool] = True

    def lines(self, view: ReportView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """One block per time."""
        rows = [
            i for i in view.report["checklist"] if fits(needle, i["id"], i["title"], i["state"], i["by"], i["note"])
        ]
        yield from item_blocks([{**i, "params": {"when": i["phase"]}, "phase": ""} for i in rows], glyphs)


class AlertsPage(Page[ReportView]):
    """All alerts, cleared ones too."""

    NAME: ClassVar[str] = N_("Alerts")
    HELP: ClassVar[str] = N_(
        "Every alert of the run: since when, how often, whether it is cleared, who acknowledged it."
    )
    FILTERS: ClassVar[bool] = False

    def lines(self, view: ReportView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """Oldest first."""
        if not view.report["alerts"]:
            yield line(f"{glyphs.done} {_('There was no alert.')}", GOOD)
        for alert in view.report["alerts"]:
            cleared = bool(alert["cleared"])
            sign, style = (glyphs.done, DIM) if cleared else (glyphs.confirm, CARE)
            text = alert_text(str(alert["code"]), alert["params"] or {})
            yield marked(sign, words.term(alert["severity"]), text, style)
            state = _("cleared") if cleared else _("open")
            about = _("since {time}, {count} times, {state}")
            yield line(about.format(time=alert["since"], count=alert["count"], state=state), DIM, indent=4)
            if alert["acknowledged"]:
                acknowledged = _("acknowledged by {who}").format(who=alert["acknowledged"])
                yield line(words.about(acknowledged, alert["note"]) if alert["note"] else acknowledged, DIM, indent=4)


class BackupPage(Page[ReportView]):
    """The tested backup, and the way back from it."""

    NAME: ClassVar[str] = N_("Backup")
    HELP: ClassVar[str] = N_(
        "Where the backup is, whether it passed its test, and the commands that prove and restore it."
    )
    FILTERS: ClassVar[bool] = False

    def lines(self, view: ReportView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """Where it is and how it is restored."""
        backup = view.report["backup"]
        if not backup:
            yield line(f"{glyphs.confirm} {_('There is no backup yet.')}", CARE)
            return
        tested = bool(backup["verified"])
        sign, style = (glyphs.done, GOOD) if tested else (glyphs.failed, BAD)
        yield marked(sign, _("restored and checked") if tested else _("NOT verified"), "", style)
        yield line(str(backup["path"]), indent=2, hang=2)
        yield line(words.size(backup["bytes"]), indent=2)
        yield line(f"SHA-256 {backup['sha256']}", indent=2, hang=2)
        yield blank()
        yield heading(_("Prove it again"))
        yield line(f"stepflow backups verify {_quoted(backup['path'])}", indent=2)
        yield heading(_("Restore it to a new file"))
        yield line(f"stepflow backups restore {_quoted(backup['path'])} --to NEW.db", indent=2)


def _quoted(path: str) -> str:
    import shlex

    return shlex.quote(path)


class ApplicationPage(Page[ReportView]):
    """What to change in the application."""

    NAME: ClassVar[str] = N_("Application")
    HELP: ClassVar[str] = N_("What the application has to change to work with the new side: connection, types, SQL.")
    FILTERS: ClassVar[bool] = False

    def lines(self, view: ReportView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """One line each."""
        items = view.report["application"]
        yield heading(_("What to change in your application"))
        if in_place(view.report):
            yield line(
                _("Its file stays where it is. What each of its connections should set belongs to the connection:"),
                indent=2,
            )
            yield line(
                _("`stepflow pragmas --for python` (or aiosqlite, sqlalchemy, prisma, django, go, node)"), indent=2
            )
            return
        if not items:
            yield line(_("Nothing is known yet: there is no plan."), DIM, indent=2)
        yield from (line(f"- {known(str(text))}", indent=2) for text in items)


class RecordPage(Page[ReportView]):
    """Notes, steps with their times, the audit chain."""

    NAME: ClassVar[str] = N_("Record")
    HELP: ClassVar[str] = N_("Remarks of people, the time of every step, and whether the audit chain is whole.")
    FILTERS: ClassVar[bool] = False

    def lines(self, view: ReportView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """Notes first."""
        report = view.report
        yield heading(_("Notes"))
        if not report["notes"]:
            yield line(_("nobody wrote one; m on the run's screen does"), DIM, indent=2)
        for note in report["notes"]:
            yield line(words.about(f"{note['at']} {note['by']}", note["text"]), indent=2)
        yield blank()
        yield from _rollbacks(report)
        audit = report["audit"]
        yield heading(_("Audit"))
        sign, style = (glyphs.done, GOOD) if audit["verified"] else (glyphs.failed, BAD)
        whole = _("the chain is whole") if audit["verified"] else _("the chain is NOT verified")
        yield marked(sign, whole, _("{count} entries").format(count=audit["entries"]), style, indent=2)
        yield line(str(audit["head"] or ""), DIM, indent=4)
        yield blank()
        yield heading(_("Steps"))
        for timing in report["timings"]:
            if timing["seconds"] is not None:
                step = known(step_title(str(timing["step"]), str(report["kind"])))
                name = words.about(step, timing["item"]) if timing["item"] else step
                yield line(f"{words.seconds(timing['seconds'])}  {name}", indent=2)


def _rollbacks(report: Mapping[str, Any]) -> Iterator[Line]:
    """Who went back, how far and why."""
    found = report.get("rollbacks") or ()
    if not found:
        return
    yield heading(_("Rollbacks"))
    for back in found:
        to = words.phase(str(back["to"]), str(report["kind"])) if back.get("to") else _("everything")
        yield line(words.about(f"{back['at']} {back['by']}", f"{to}: {back['reason']}"), indent=2)
    yield blank()
