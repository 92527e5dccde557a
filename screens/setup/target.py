"""Page: where the rows go, with a connection test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import unquote

from rich.text import Text
from textual import on
from textual.widget import Widget
from textual.widgets import Input

from screens.host import host
from screens.setup.page import Field, Page, explained, table, text_field
from screens.setup.source import error_text
from screens.setup.state import SERVER, SetupState
from screens.widgets.cycle import Cycle
from screens.widgets.guarded import in_background
from screens.widgets.said import Said
from stepflow_tui.engine.errors import StepFlowError, UsageError
from stepflow_tui.engine.model.draft import EMBEDDED, ENVIRONMENT
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.texts import render
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render.advice import target_rows
from stepflow_tui.render.clean import clean_line

KINDS: tuple[tuple[str, str, str], ...] = (
    (EMBEDDED, N_("StepFlow's own PostgreSQL"), N_("For a trial on this machine. Nothing to install or configure.")),
    (SERVER, N_("a server of yours"), N_("Its address, and a password that is kept in memory for this session only.")),
    (ENVIRONMENT, N_("as psql would"), N_("PGHOST, PGPORT, PGDATABASE, PGUSER and ~/.pgpass, as this shell has them.")),
)
_SIGNS = {Severity.BLOCKING: ("failed", "red"), Severity.WARNING: ("confirm", "yellow"), Severity.INFO: ("todo", "")}


class TargetPage(Page):
    """StepFlow's own PostgreSQL, a server, or libpq's environment."""

    NAME: ClassVar[str] = N_("Target")
    INTRO: ClassVar[str] = N_("Where the rows go. Enter tests the connection; nothing is made there yet.")

    def __init__(self, state: SetupState) -> None:
        super().__init__(state)
        self._tested: tuple[str, str, str] | None = None

    def ask(self) -> Iterable[Widget]:
        """The sort of target, its address, the result of the test."""
        yield Field(_("Target"), Cycle([(name, _(words)) for name, words, _why in KINDS], self.state.target, id="sort"))
        yield Said(id="why", classes="explained")
        with_server = (
            text_field(_("Address"), self.state.address, "address", hint="postgresql://user@host:5432/database"),
            text_field(_("Password"), self.state.password, "password", hint=_("or in ~/.pgpass"), secret=True),
            explained(_("An address may also be a variable, such as ${DATABASE_URL}. A password is never written.")),
        )
        for widget in with_server:
            yield widget.add_class("-server")
        yield Said(id="result")

    def on_mount(self) -> None:
        """Show the fields that count."""
        self._show_fields()

    @on(Cycle.Changed)
    def _show_fields(self) -> None:
        sort = self.query_one("#sort", Cycle).value
        self.query_one("#why", Said).show(next(_(why) for name, _w, why in KINDS if name == sort))
        for field in self.query(".-server"):
            field.display = sort == SERVER
        self.query_one("#result", Said).show("")
        if sort == EMBEDDED:
            self.test()

    @on(Input.Changed, "#address")
    def _no_password_here(self, event: Input.Changed) -> None:
        """A pasted address loses its password to the field that hides it."""
        address, password = host(self).api.split_password(event.value)
        if password:
            self.query_one("#password", Input).value = unquote(password)
            event.input.value = address
            event.input.cursor_position = len(address)

    @on(Input.Submitted)
    @on(Cycle.Submitted)
    def test(self) -> None:
        """Enter: test the connection."""
        in_background(self, self._show_test(), group="test", exclusive=True)

    async def _show_test(self) -> None:
        result = self.query_one("#result", Said)
        result.show(_("Asking the target…"))
        try:
            await self._test(self.gathered())
        except StepFlowError as error:
            if error.code != "target_not_ready":  # then what was found stands there, with what is in the way marked
                result.show(error_text(error))

    async def _test(self, state: SetupState) -> None:
        app = host(self)
        if state.target == SERVER and not state.address:
            raise UsageError(_("No address is given yet."), hint="postgresql://user@host:5432/database", code="no_dsn")
        answer = await app.api.try_target(
            state.aim(app.api), schema=state.schema, state=app.options.state, env=app.options.env
        )
        self.query_one("#result", Said).show(self._said(answer))
        if not answer["ok"]:
            raise UsageError(
                _("The target can't take the tables as it is."), hint=_("See what is marked."), code="target_not_ready"
            )

    def _said(self, answer: Mapping[str, Any]) -> Text:
        shown = table(target_rows(answer))
        for finding in answer["findings"]:
            if finding.severity is not Severity.INFO:
                shown.append("\n")
                shown.append(self._finding(finding))
        return shown

    def _finding(self, finding: Finding) -> Text:
        name, style = _SIGNS[finding.severity]
        words = render(finding)
        line = Text(f"{getattr(host(self).glyphs, name)} {clean_line(words.what)}", style=style)
        line.append(f"\n  {clean_line(words.fix)}", style="default")
        return line

    def gathered(self) -> SetupState:
        """Sort, address, password."""
        return replace(
            self.state,
            target=self.query_one("#sort", Cycle).value,
            address=self.query_one("#address", Input).value.strip(),
            password=self.query_one("#password", Input).value,
        )

    async def finish(self) -> SetupState:
        """A target that answers; one that doesn't stops here once, the second time it is taken all the same."""
        state = self.gathered()
        asked = (state.target, state.address, state.password)
        if self._tested == asked and not (state.target == SERVER and not state.address):
            return state
        self._tested = asked
        try:
            await self._test(state)
        except StepFlowError as error:
            if error.code != "target_not_ready":
                self.query_one("#result", Said).show(error_text(error))
            raise UsageError(
                error.message if error.code in ("target_not_ready", "no_dsn") else _("The connection test failed."),
                hint=_("Correct it; or go on all the same with Next page, and correct it before the run."),
                code=error.code,
            ) from error
        return state
