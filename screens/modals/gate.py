"""The open gate: everything it asks, ticked and accepted in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.dom import DOMNode
from textual.widgets import Button, Input, Static

from screens.fetching import Fetching
from screens.host import app_of, host
from screens.modals.base import Dialog, title
from screens.pages.gate import GateFacts, gate_lines, gate_title, item_name, open_items, typed_questions, with_settled
from screens.plan_reading import gate_facts
from screens.run_words import phase_title
from screens.widgets.afterwards import afterwards
from screens.widgets.folded import Folded
from screens.widgets.reader import Reader
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.model.checklist import ItemKind
from stepflow_tui.engine.texts.language import _, ngettext
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line

TYPES_FIRST = "#name, #cancel"
"""Where the focus lands."""


def open_gate(node: DOMNode) -> None:
    """Ask what the open gate asks; where none is open, say so."""
    snapshot = host(node).snapshot
    if snapshot is not None and snapshot.status.get("gate"):
        app_of(node).push_screen(GateDialog(snapshot))
        return
    state = words.term(snapshot.status["state"]) if snapshot is not None and snapshot.status else _("unknown")
    text = _("No gate is open: the run is {state}. It stops by itself where somebody has to decide.")
    app_of(node).notify(text.format(state=state), severity="warning", markup=False)


class NameInput(Input):
    """Takes the run's name, which has no spaces: the space bar ticks here as well."""

    async def on_key(self, event: events.Key) -> None:
        """A field takes every letter before any binding is asked."""
        if event.key == "space":
            event.prevent_default()
            event.stop()
            await self.run_action("screen.tick")


class GateDialog(Dialog[bool], Fetching):
    """The questions of the open gate. True when they were answered here. Where a name is asked for, typing begins there."""

    AUTO_FOCUS = TYPES_FIRST
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "list('move', 1)", show=False),
        Binding("up", "list('move', -1)", show=False),
        Binding("pagedown", "list('page', 1)", show=False),
        Binding("pageup", "list('page', -1)", show=False),
        Binding("right", "step(1)", show=False),
        Binding("left", "step(-1)", show=False),
        Binding("space", "tick", show=False),
    ]
    DEFAULT_CSS = """
    GateDialog > .box {
        height: 96%;
        max-height: 96%;
    }
    GateDialog #note {
        display: none;
        margin: 0;
    }
    GateDialog #note.-open {
        display: block;
    }
    GateDialog #name {
        margin: 0;
    }
    GateDialog #state {
        height: auto;
        color: $text-warning;
    }
    GateDialog #answers {
        height: 1;
        margin-top: 1;
    }
    GateDialog #answers Button {
        margin-right: 2;
        min-width: 10;
    }
    """

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._gate: Mapping[str, Any] = snapshot.status["gate"]
        self._status = snapshot.status
        self._run_name = str(snapshot.status["name"])
        self._facts = GateFacts()
        self._over: bool | None = None
        self._sent = False
        self._asking = False
        self._noted_item = ""

    def compose(self) -> ComposeResult:
        """List, note, name, answers."""
        with Vertical(classes="box"):
            yield title(gate_title(self._gate, phase_title(str(self._gate["phase"]), self._status)))
            yield Reader(id="list")
            yield Input(
                placeholder=_("Done how, or by whom? Enter ticks it, Esc leaves it open"), id="note", max_length=500
            )
            yield Folded(id="state", markup=False)
            if typed_questions(self._gate):
                yield Folded(_("Type {name} to confirm:").format(name=clean_line(self._run_name)), markup=False)
                yield NameInput(id="name")
            with Horizontal(id="answers"):
                yield Button(Content(_("Cancel")), id="cancel", compact=True)
                yield Button(Content(_("Accept the rest unticked")), id="rest", compact=True)
                yield Button(Content(_("Accept, and go on")), id="yes", compact=True)

    def on_mount(self) -> None:
        """Show what is known already, and read the rest."""
        self._show()
        self._read()

    def on_screen_resume(self) -> None:
        """Close now if it could not be closed under another dialog."""
        super().on_screen_resume()
        if self._over is not None:
            self.dismiss(self._over)

    def apply(self, snapshot: Snapshot) -> None:
        """Follow what others do: when the gate is not open any more, there is nothing to ask."""
        if not self.is_mounted:
            return
        gate = snapshot.status.get("gate")
        if gate and gate["phase"] == self._gate["phase"]:
            self._gate, self._asking = with_settled(gate, self._gate), False
            self._offer()
            if snapshot.events:
                self._read()
            return
        if not self._sent:
            text = _("The gate before {phase} is no longer open: the run is {state}.")
            phase, state = phase_title(str(self._gate["phase"]), snapshot.status), words.term(snapshot.status["state"])
            app_of(self).notify(text.format(phase=phase, state=state), markup=False)
        self._close(answered=self._sent)

    def _close(self, *, answered: bool) -> None:
        self._over = answered
        if self.is_active:  # also from below: dismissing would close what lies on top
            self.dismiss(answered)

    def _read(self) -> None:
        bridge = host(self).bridge
        if bridge is not None:
            self.fetch(lambda: gate_facts(bridge.api, bridge.run), self.facts_are)

    def facts_are(self, facts: GateFacts) -> None:
        """Show this too."""
        self._facts = facts
        self._show()

    def _show(self) -> None:
        """The list, and which answers are possible now."""
        reader = self.query_one(Reader)
        reader.show(list(gate_lines(self._gate, self._facts, host(self).glyphs)), stay=True)
        self._offer()
        afterwards(self, _fit, self)

    @on(Input.Changed, "#name")
    def _offer(self) -> None:
        left = len(open_items(self._gate, self._facts))
        typed = self.query("#name").results(Input)
        held = self._asking or any(field.value.strip() != self._run_name for field in typed)
        self.query_one("#rest").display = bool(left)
        self.query_one("#rest", Button).disabled = held
        self.query_one("#yes", Button).disabled = held or bool(left)
        text = ngettext(
            "{count} item is open: Space ticks the selected one, with a note.",
            "{count} items are open: Space ticks the selected one, with a note.",
            left,
        ).format(count=left)
        noted = next((q for q in open_items(self._gate, self._facts) if q["id"] == self._noted_item), None)
        if noted is not None:
            text = _("How was this done: {item}").format(item=item_name(noted))
        state = self.query_one("#state", Static)
        state.display = bool(left)
        state.update(text)

    def action_list(self, how: str, step: int) -> None:
        """Move in the list, wherever the focus is."""
        if self._noted_item:  # the note belongs to the item it was opened for
            return
        reader = self.query_one(Reader)
        (reader.action_page if how == "page" else reader.action_move)(step)

    def action_step(self, by: int) -> None:
        """Go to the next answer that can be given, round and round."""
        buttons = [b for b in self.query("#answers Button").results(Button) if b.display and not b.disabled]
        at = next((n for n, b in enumerate(buttons) if b.has_focus), 0)
        buttons[(at + by) % len(buttons)].focus()

    def action_tick(self) -> None:
        """Ask for the note that ticks the selected item."""
        item = self.query_one(Reader).selected
        found = next((i for i in open_items(self._gate, self._facts) if i["id"] == item), None)
        if found is None:
            app_of(self).notify(_("Select an open item with the arrow keys first."), markup=False)
        elif found["params"].get("kind") == ItemKind.AUTO:
            app_of(self).notify(_("A check decides this item, no person ticks it."), severity="warning", markup=False)
        else:
            self._noted_item = str(found["id"])
            note = self.query_one("#note", Input)
            note.value = ""
            note.add_class("-open")
            note.focus()
            self._offer()

    def action_cancel(self) -> None:
        """Close the note; then the dialog. Nothing was answered."""
        if self.query_one("#note").has_class("-open"):
            self._shut_note()
        else:
            self.dismiss(False)

    def _shut_note(self) -> None:
        self._noted_item = ""
        self.query_one("#note").remove_class("-open")
        self.query(TYPES_FIRST).first().focus()
        self._offer()

    @on(Input.Submitted, "#note")
    def _noted(self, event: Input.Submitted) -> None:
        item, note = self._noted_item, event.value.strip()
        if note and item:
            self._shut_note()
            self.query_one(Reader).action_move(1)
            host(self).act("tick", {"item": item, "note": note}, then=lambda _answer: self._read())

    @on(Input.Submitted, "#name")
    def _confirmed(self) -> None:
        """The name answers the gate; where items are open, the next Enter accepts them as they are."""
        if not self.query_one("#yes", Button).disabled:
            self._go_on(unticked=False)
        elif not self.query_one("#rest", Button).disabled:
            self.query_one("#rest").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "cancel":
            self.dismiss(False)
        else:
            self._go_on(unticked=event.button.id == "rest")

    def _go_on(self, *, unticked: bool) -> None:
        name = self._run_name if typed_questions(self._gate) else None
        args = {"phase": self._gate["phase"], "yes": unticked, "confirm": name}
        self._asking = True  # once is enough; the next look at the journal allows another try
        self._offer()
        host(self).act("continue", args, then=lambda _answer: self._passed())

    def _passed(self) -> None:
        self._sent = True
        self._close(answered=True)


def _fit(dialog: GateDialog) -> None:
    """No higher than needed."""
    box, reader = dialog.query_one(".box"), dialog.query_one(Reader)
    around = box.outer_size.height - reader.outer_size.height
    box.styles.height = max(1, len(reader.document.rows)) + around
