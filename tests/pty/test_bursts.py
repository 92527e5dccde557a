"""Keys that were typed ahead, in one packet, through a real terminal: they start nothing and answer nothing."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.harness import Stand
from tests.pty.kit import Open, at_the_gate, commands, state
from tests.run_kit import until

UNGUARDED = str(Path(__file__).with_name("unguarded.py"))
DOWN = "\x1b[B"
LEAVES = "d\r"
BURSTS = (LEAVES, "X\racc\r", "R\ryes\r", "c\r", "s\r", "U\ryes\r", f"C{DOWN}\r")
TAKES_CONTROL = f"C{DOWN}\r"


def test_bursts_change_nothing(waiting: Stand, wizards: Open) -> None:
    opened = {burst: wizards("attach", waiting.run_dir.name, stand=waiting) for burst in BURSTS}
    for burst, wizard in opened.items():
        wizard.see("waiting")
        wizard.quiet()
        wizard.send(burst)
    for burst, wizard in opened.items():
        if burst == LEAVES:
            assert wizard.exit_code() == 0
        else:
            wizard.quiet()
            assert wizard.process.poll() is None
    assert commands(waiting) == []
    assert state(waiting) == "waiting"


def test_a_dialog_answers_once_it_is_drawn(stand: Stand, wizards: Open) -> None:
    run = at_the_gate(stand).name
    wizard = wizards("attach", run, stand=stand)
    wizard.see("waiting")
    wizard.send("C")
    wizard.see("steers")
    wizard.asked(2)  # at the start, and for the dialog
    wizard.quiet()
    wizard.send(f"{DOWN}\r")
    until(lambda: commands(stand) == [("hold", "done")])


def test_a_terminal_that_answers_nothing_is_believed_after_a_while(stand: Stand, wizards: Open) -> None:
    run = at_the_gate(stand).name
    wizard = wizards("attach", run, stand=stand, answers=False)
    wizard.see("waiting")
    wizard.send(TAKES_CONTROL)
    wizard.see("steers")

    def answered() -> bool:
        wizard.send(f"{DOWN}\r")
        wizard.quiet(0.2)
        return ("hold", "done") in commands(stand)

    assert commands(stand) == []
    until(answered)


def test_without_the_guard_the_same_burst_is_an_answer(stand: Stand, wizards: Open) -> None:
    """Proves that the tests above would notice."""
    run = at_the_gate(stand).name
    wizard = wizards("attach", run, stand=stand, program=(UNGUARDED,))
    wizard.see("waiting")
    wizard.quiet()
    wizard.send(TAKES_CONTROL)
    until(lambda: ("hold", "done") in commands(stand))
