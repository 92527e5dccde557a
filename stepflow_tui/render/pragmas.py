"""Settings of SQLite as text: the profile with its reasons, and what a probe told. Values from outside are cleaned here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepflow_tui.engine.model.pragmas import Unit
from stepflow_tui.engine.texts.language import N_, _, known
from stepflow_tui.engine.texts.pragmas import LEFT_ALONE
from stepflow_tui.render import words
from stepflow_tui.render.application import table_lines
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.findings import findings_lines
from stepflow_tui.render.width import wrap

WIDTH = 100
UNITS: dict[str, str] = {
    Unit.MILLISECONDS: N_("milliseconds"),
    Unit.BYTES: N_("bytes"),
    Unit.PAGES: N_("pages"),
    Unit.KIB: N_("KiB, by the minus sign"),
}
STATES: dict[str, str] = {"ok": N_("ok"), "differs": N_("DIFFERS"), "not told": N_("NOT TOLD")}
"""How a setting stands."""


def profile_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What connections set and what the file keeps, each with meaning, reason and risk; then what to know of own values."""
    yield _("Every connection of the application sets (profile {name}):").format(name=found["profile"])
    for row in found["connection"]:
        yield from _setting(row)
    if not any(row["name"] == "foreign_keys" for row in found["connection"]):
        yield from wrap(_(LEFT_ALONE), WIDTH)
    yield ""
    yield _("The file keeps:")
    for row in found["file"]:
        yield from _setting(row)
    yield ""
    if found["findings"]:
        yield from findings_lines(found["findings"])
        yield ""
    yield _("As a snippet: stepflow pragmas --for {names}").format(names="|".join(found["stacks"]))


def _setting(row: Mapping[str, Any]) -> Iterator[str]:
    unit = UNITS.get(row["unit"])
    told = [f"{row['name']} = {row['value']}", _(unit) if unit else "", _("from the config") if row["own"] else ""]
    yield "  " + words.listed(filter(None, told))
    for text in (_(row["meaning"]), _("why: {text}").format(text=_(row["why"])), _("risk: {text}").format(text=_(row["risk"]))):  # fmt: skip
        yield from (f"      {line}" for line in wrap(text, WIDTH - 6))


def judged_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What the application's connection has, setting by setting."""
    head = (_("setting"), _("wanted"), _("found"), _("state"))
    rows = [
        (row["name"], row["wanted"], clean_line(row["found"] or "-"), _(STATES[row["state"]]))
        for row in found["settings"]
    ]
    yield from table_lines([head, *rows])
    for row in found["settings"]:
        if row["note"]:
            yield words.about(row["name"], known(row["note"]))
    if found["sqlite_version"]:
        yield _("SQLite of the application: {version}").format(version=clean_line(found["sqlite_version"]))
    if found["wal_reset_bug"]:
        yield _("It has the WAL-reset bug (3.7.0 to 3.51.2): update it to 3.51.3 or newer.")
    if found["journal_mode"]:
        yield _("journal mode that it sees: {mode}").format(mode=clean_line(found["journal_mode"]))
    yield (
        _("Every setting fits.")
        if found["fits"]
        else _("Not every setting fits: stepflow pragmas --for prints the snippet.")
    )
