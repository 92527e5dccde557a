"""The terminal goes away, stands still, or the wizard is stopped: the run goes on, and a wizard shows the truth again."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.acceptance.harness import Stand
from tests.pty.kit import Open, at_the_gate, commands, copying, ended, result, rows_copied, started, state
from tests.run_kit import until

ATTACH_SECONDS = 10.0
"""`attach` shows the truth within 2 seconds; the rest is for the start of a process on a busy machine."""


def preparing(stand: Stand) -> object:
    """A run that has hardly begun."""
    return started(stand, 2000, None, yes=True)


def copies(stand: Stand) -> object:
    """One that copies."""
    return copying(stand, 3)


def verifies(stand: Stand) -> object:
    """One that is past the copy."""
    copying(stand, 1)
    return until(lambda: stand.journal("select 1 from phase where name='validate' and state<>'pending'"))


PHASES = {"prepare": preparing, "backfill": copies, "validate": verifies}


@pytest.mark.parametrize("begin", PHASES.values(), ids=PHASES)
def test_a_hang_up_changes_nothing(stand: Stand, wizards: Open, begin: Callable[[Stand], object]) -> None:
    begin(stand)
    run = stand.run_dir.name
    wizard = wizards("attach", run, stand=stand)
    wizard.see("acc")
    wizard.hang_up()
    assert wizard.exit_code() == -signal.SIGHUP
    ended(stand)
    assert commands(stand) == []
    assert stand.status(run)["state"] == "completed"
    wizards("attach", run, stand=stand).see("completed", ATTACH_SECONDS)


def test_a_hang_up_at_a_gate_answers_nothing(stand: Stand, wizards: Open) -> None:
    run = at_the_gate(stand).name
    wizard = wizards("attach", run, stand=stand)
    wizard.see("acc")
    wizard.hang_up()
    assert wizard.exit_code() == -signal.SIGHUP
    assert (state(stand), commands(stand)) == ("waiting", [])
    wizards("attach", run, stand=stand).see("waiting", ATTACH_SECONDS)
    assert stand.cli("continue", run, "--yes").code == 0
    ended(stand)


def test_under_nohup_a_hang_up_ends_the_wizard_too(waiting: Stand, wizards: Open) -> None:
    """With hang-ups ignored it would spin on a terminal that is gone."""
    wizard = wizards("attach", waiting.run_dir.name, stand=waiting, nohup=True)
    wizard.see("acc")
    wizard.hang_up()
    assert wizard.exit_code() == -signal.SIGHUP
    assert state(waiting) == "waiting"


def test_a_stalled_terminal_holds_up_nothing_but_itself(stand: Stand, wizards: Open) -> None:
    rate = 2000
    run = copying(stand, 7, rows_per_second=rate).name
    wizard = wizards("attach", run, stand=stand, size=(120, 40))
    wizard.see("acc")
    with wizard.stalled():
        before = rows_copied(stand)
        until(lambda: rows_copied(stand) >= before + 3 * rate)
        seen = wizard.written
        ended(stand)
        assert wizard.written == seen
    wizard.see("completed", ATTACH_SECONDS)
    wizard.send("d")
    assert wizard.exit_code() == 0


def test_a_stopped_wizard_shows_the_truth_when_it_goes_on(stand: Stand, wizards: Open) -> None:
    run = copying(stand, 5).name
    wizard = wizards("attach", run, stand=stand)
    wizard.see("acc")
    wizard.signal(signal.SIGSTOP)
    assert result(stand) is None
    ended(stand)
    assert "completed" not in wizard.text.lower()
    wizard.signal(signal.SIGCONT)
    wizard.see("completed", ATTACH_SECONDS)
    wizard.send("d")
    assert wizard.exit_code() == 0
