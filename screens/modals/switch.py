"""The read switch: to which percentage reads are moved, what stands against it, and the way back to 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Button, Input

from screens.glyphs import Glyphs
from screens.host import host
from screens.modals.base import Dialog, Lines, title
from screens.modals.confirm import ConfirmPlain, ConfirmTyped
from screens.panels.base import Value
from screens.run_words import Status
from screens.widgets.choices import Choices
from screens.widgets.folded import Folded
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words
from stepflow_tui.render.guards import (
    Guard,
    cautions,
    levels,
    needs_name,
    now_percent,
    percentage,
    refused,
    share_of,
    switch_guards,
)
from stepflow_tui.render.live import compared_line, percent, stage_line, verdict_line

WHOLE = 100.0
MOST_LEVELS = 7
"""Buttons that fit side by side; other percentages are typed."""


class SwitchDialog(Dialog[None]):
    """Chooses a percentage. More reads are confirmed, all of them with the run's name; fewer move at once."""

    AUTO_FOCUS = "#cancel"
    DEFAULT_CSS = """
    SwitchDialog .lines {
        max-height: 40vh;
    }
    SwitchDialog #levels Button {
        min-width: 5;
        margin-right: 1;
    }
    SwitchDialog #why {
        height: auto;
        color: $text-warning;
    }
    SwitchDialog Input, SwitchDialog Input:focus {
        margin-top: 0;
    }
    """

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._status: Status = snapshot.status
        self._levels = offered(snapshot.status)

    def compose(self) -> ComposeResult:
        """Where it stands, the guards, the percentages, and a free one."""
        with Vertical(classes="box"):
            yield title(_("Move reads"))
            yield Lines(self._said())
            buttons = [(f"to-{n}", f"{percent(level)} %") for n, level in enumerate(self._levels)]
            yield Choices(buttons, name="levels")
            yield Folded(_("Another percentage, 0 to 100, then Enter:"), markup=False)
            yield Input(id="free", compact=True, max_length=6)
            yield Value(id="why")
            yield Choices([("cancel", _("Cancel")), ("rearm", _("Arm it again"))])

    def on_mount(self) -> None:
        """Offer what is allowed."""
        self._offer()

    def apply(self, snapshot: Snapshot) -> None:
        """Follow what happens meanwhile: guards change, and others move reads."""
        if not self.is_mounted:
            return
        before, self._status = self._said(), snapshot.status
        now = self._said()
        if now != before:
            self.query_one(Lines).show(now)
            self._offer()

    def _said(self) -> list[str]:
        switch = self._status.get("switch") or {}
        head = _("reads to the new side {percent} %").format(percent=percent(now_percent(self._status)))
        told = (head, stage_line(switch), verdict_line(switch), compared_line(switch))
        return [*filter(None, told), *guards_shown(switch_guards(self._status), host(self).glyphs)]

    def _offer(self) -> None:
        for n, level in enumerate(self._levels):
            button = self.query_one(f"#to-{n}", Button)
            button.disabled = bool(refused(self._status, level)) or level == now_percent(self._status)
        self.query_one("#rearm").display = bool((self._status.get("switch") or {}).get("rolled_back"))
        why = refused(self._status, WHOLE)
        self._say(_("No more reads can move now: {why}.").format(why=why) if why else "")

    def _say(self, text: str) -> None:
        self.query_one("#why", Value).show(text)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        name = str(event.button.id)
        if name.startswith("to-"):
            self._move(self._levels[int(name.removeprefix("to-"))])
        elif name == "rearm":
            host(self).act("switch_rearm")
            self.dismiss(None)
        else:
            self.dismiss(None)

    @on(Input.Submitted, "#free")
    def _entered(self, event: Input.Submitted) -> None:
        share = percentage(event.value)
        if share is None:
            self._say(_("That is no percentage: a number from 0 to 100."))
        else:
            self._move(share)

    def _move(self, share: float) -> None:
        now = now_percent(self._status)
        if why := refused(self._status, share):
            self._say(_("Not to {percent} %: {why}.").format(percent=percent(share), why=why))
        elif share == now:
            self._say(_("It stands at {percent} % already.").format(percent=percent(now)))
        elif share < now:
            self._send(share)
        else:
            self._confirm(share)

    def _confirm(self, share: float) -> None:
        heading = _("Move {percent} % of the reads to the new side?").format(percent=percent(share))
        lines = list(consequences(self._status, share))
        if needs_name(self._status, share):
            name = str(self._status.get("name"))
            self.app.push_screen(ConfirmTyped(heading, lines, name), lambda typed: self._named(share, typed))
        else:
            self.app.push_screen(
                ConfirmPlain(heading, lines, _("Move reads")), lambda yes: self._send(share) if yes else None
            )

    def _named(self, share: float, name: str | None) -> None:
        if name is not None:
            self._send(share, name)

    def _send(self, share: float, name: str | None = None) -> None:
        host(self).act("switch", {"share": share_of(share), "confirm": name})
        self.dismiss(None)


def guards_shown(guards: Sequence[Guard], glyphs: Glyphs) -> Iterator[str]:
    """What stands in the way, a line each; what holds, one after the other: a dialog must fit into 20 lines."""
    yield from (f"{glyphs.failed} {g.text}" for g in guards if not g.ok)
    holding = [g.text for g in guards if g.ok]
    if holding:
        yield f"{glyphs.done} {words.clauses(holding)}"


def offered(status: Status) -> tuple[float, ...]:
    """The percentages that have a button: none at all, the strategy's own, all."""
    found = sorted({0.0, *levels(status), WHOLE})
    return tuple(found) if len(found) <= MOST_LEVELS else (*found[: MOST_LEVELS - 1], WHOLE)


def consequences(status: Status, share: float) -> Iterator[str]:
    """What a rise means, and what speaks against it."""
    now = percent(now_percent(status))
    yield _("From {now} % to {share} %. Writes stay where they are.").format(now=now, share=percent(share))
    yield _("B sends all reads back at once; the guard does it by itself when the new side is clearly worse.")
    for caution in cautions(status, share):
        yield f"! {caution}"


class ReadsBack(Dialog[bool]):
    """The emergency key: the same key again, or the button, sends all reads to the old side."""

    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("B", "again", show=False, id="back")]

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._now = percent(now_percent(snapshot.status))

    def compose(self) -> ComposeResult:
        """What happens, and the answers."""
        lines = (
            _("{percent} % of the reads go to the new side now.").format(percent=self._now),
            _("Press the same key again to send them all to the old side; nothing is lost by it."),
        )
        with Vertical(classes="box"):
            yield title(_("All reads back to the old side?"))
            yield Lines(lines)
            yield Choices([("cancel", _("Cancel")), ("yes", _("Back to 0 %"))])

    def action_again(self) -> None:
        """The same key once more."""
        self.dismiss(True)

    @on(Button.Pressed)
    def _answered(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")
