"""Where the rows go: StepFlow's own PostgreSQL, a server's address, or libpq's environment; each is tried."""

from __future__ import annotations

import getpass
from dataclasses import dataclass, field

from stepflow_tui.cli import output
from stepflow_tui.cli.diagnostics import say
from stepflow_tui.cli.plain import ask
from stepflow_tui.cli.plain.desk import Desk
from stepflow_tui.engine.model.draft import EMBEDDED, ENVIRONMENT
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words
from stepflow_tui.render.advice import target_rows
from stepflow_tui.render.findings import findings_lines

VARIABLES = ("DATABASE_URL", "STEPFLOW_DATABASE_URL")
"""Under which name an address with a password is handed over; the second where the first means another database."""

TARGETS = (
    N_("a PostgreSQL of StepFlow's own (embedded): nothing to set up"),
    N_("a PostgreSQL server, by its address"),
    N_("a PostgreSQL server, by libpq's environment variables and ~/.pgpass"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The target as the config names it; an address with a password is a `${VARIABLE}` there."""

    target: str
    schema: str = "public"
    variable: str = field(default="")


def choose_target(desk: Desk) -> Chosen:
    """Ask for the target until one answers, or is taken all the same."""
    while True:
        chosen = _asked(desk)
        while (again := _tried(desk, chosen)) == "again":
            pass
        if again == "take":
            return chosen


def _asked(desk: Desk) -> Chosen:
    number = ask.choose(_("Where do the rows go?"), [_(label) for label in TARGETS])
    schema = "public" if number == 1 else ask.text(_("Schema the tables go to"), "public")
    if number == 1:
        return Chosen(target=EMBEDDED)
    if number == 3:
        return Chosen(target=ENVIRONMENT, schema=schema)
    return _address(desk, schema)


def _address(desk: Desk, schema: str) -> Chosen:
    """The password is typed without being shown, stays in memory, and is handed to the engine as a variable."""
    say(_("Such as postgresql://user@host:5432/database, without the password: that is asked for next."))
    typed = ask.needed(_("Address")) or "${DATABASE_URL}"
    # the blank says that a password at the end is whole
    address, password = desk.engine.split_password(typed if "://" in typed else f"{typed} ")
    if "${" in typed:
        return Chosen(target=typed, schema=schema)
    if password:
        say(_("The password was taken out of the address: it stays in memory and is not written anywhere."))
        full = typed
    else:
        password = _secret(_("Password (not shown; Enter: none, or from ~/.pgpass):"))
        full = desk.engine.with_password(address, password) if password else address
    if not password:
        return Chosen(target=address, schema=schema)
    variable = VARIABLES[0] if desk.env.get(VARIABLES[0], "") in ("", full) else VARIABLES[1]
    desk.env[variable] = full
    return Chosen(target=f"${{{variable}}}", schema=schema, variable=variable)


def _secret(prompt: str) -> str:
    try:
        return getpass.getpass(prompt + " ")
    except EOFError:
        raise ask.EndOfInput from None


def _tried(desk: Desk, chosen: Chosen) -> str:
    """`take`, `again` or `other`."""
    say(_("trying the target"))
    result = desk.tried(desk.engine.try_target(chosen.target, schema=chosen.schema, state=desk.state, env=desk.env))
    if result is not None:
        for name, value in target_rows(result):
            output.emit_text(words.about(name, value))
        if result["findings"]:
            for line in findings_lines(result["findings"]):
                output.emit_text(line)
        if result["ok"]:
            return "take"
    labels = (_("try it again"), _("choose another target"), _("take it all the same; the run checks it again"))
    return ("again", "other", "take")[ask.choose(_("The target can't be used as it is."), labels, default=2) - 1]
