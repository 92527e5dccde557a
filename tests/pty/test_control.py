"""Two wizards and a reader at one run: both live, one in control, control handed over; and an engine that is lost."""

from __future__ import annotations

import re

from tests.acceptance.harness import Stand
from tests.pty.kit import Open, at_the_gate, commands, copying, ended, result
from tests.pty.terminal import Terminal
from tests.run_kit import until

DOWN = "\x1b[B"


def choose(wizard: Terminal, key: str, dialog: str, choice: str) -> None:
    """Open a dialog and choose in it."""
    wizard.send(key)
    wanted = (dialog, "  Close", f"  {choice}")
    lines = wizard.see(lambda shown: all(text in shown for text in wanted)).splitlines()
    asked = wizard.questions
    first = next(n for n, line in enumerate(lines) if "  Close" in line)
    there = next(n for n, line in enumerate(lines) if f"  {choice}" in line)
    wizard.asked(asked)
    wizard.quiet()
    wizard.send(DOWN * (there - first))
    wizard.quiet()
    wizard.send("\r")


def holder(stand: Stand) -> str:
    """Who steers, as a script sees it."""
    found: dict[str, str | None] = stand.cli("control", stand.run_dir.name, "--json").object
    return found["holder"] or ""


def place(wizard: Terminal) -> str:
    """The terminal's name."""
    return wizard.name.removeprefix("/dev/")


def test_control_goes_from_one_terminal_to_the_other(stand: Stand, wizards: Open) -> None:
    run = at_the_gate(stand).name
    one, two = (wizards("attach", run, stand=stand, size=size) for size in ((80, 24), (120, 40)))
    reader = wizards("attach", run, "--read-only", stand=stand)
    for wizard in (one, two, reader):
        wizard.see("waiting")
    choose(one, "C", "Who steers", "Take control")
    until(lambda: holder(stand).endswith(place(one)))
    choose(two, "C", "Who steers", "Ask for control")
    one.see(lambda shown: re.search(rf"{place(two)} asks for", shown))
    choose(one, "C", "Who steers", "Hand it over")
    until(lambda: holder(stand).endswith(place(two)))
    two.see("You steer this run now")
    choose(reader, "C", "Who steers", "Close")
    assert [verb for verb, _ in commands(stand)] == ["hold", "ask", "give"]
    held = stand.cli("note", run, "from a script")
    assert held.code == 7
    assert place(two) in held.err
    for wizard in (one, two, reader):
        wizard.send("d")
        assert wizard.exit_code() == 0


def test_a_lost_engine_is_told_and_started_again(stand: Stand, wizards: Open) -> None:
    run = copying(stand, 6).name
    wizard = wizards("attach", run, stand=stand)
    wizard.see("acc")
    assert result(stand) is None
    for engine in stand.engines():
        engine.kill()
    choose(wizard, "", "is lost", "Resume")
    ended(stand)
    wizard.see("completed")
    assert result(stand) == "completed"
    assert stand.journal("select epoch from run") == [(2,)]
