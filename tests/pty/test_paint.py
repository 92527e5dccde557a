"""What the wizard writes while rows are copied stays within what a slow line carries; and any size of terminal will do."""

from __future__ import annotations

import time

import pytest

from tests.acceptance.harness import Stand
from tests.pty.kit import Open, copying, result
from tests.pty.terminal import Terminal
from tests.run_kit import until

SECONDS = 12.0
OVER_SSH = {"SSH_CONNECTION": "192.0.2.7 52814 192.0.2.1 22"}
KIB = 1024


@pytest.mark.timeout(180)
def test_the_wizard_stays_within_its_budget_of_bytes(stand: Stand, wizards: Open) -> None:
    run = copying(stand, SECONDS + 60).name  # longer than four wizards take to begin on a busy machine
    watching: dict[str, tuple[Terminal, int]] = {
        "wide": (wizards("attach", run, stand=stand, size=(120, 40)), 16 * KIB),
        "narrow": (wizards("attach", run, stand=stand, size=(80, 24)), 16 * KIB),
        "wide, over SSH": (wizards("attach", run, stand=stand, size=(120, 40), env=OVER_SSH), 8 * KIB),
        "narrow, over SSH": (wizards("attach", run, stand=stand, size=(80, 24), env=OVER_SSH), 8 * KIB),
    }
    for wizard, _ in watching.values():
        wizard.see("rows/s")
    begin = time.monotonic()
    before = {name: wizard.written for name, (wizard, _) in watching.items()}
    until(lambda: time.monotonic() - begin > SECONDS or result(stand) is not None, SECONDS + 10)
    seconds = time.monotonic() - begin
    assert result(stand) is None, "the copy ended before the measurement did"
    rates = {name: (wizard.written - before[name]) / seconds for name, (wizard, _) in watching.items()}
    over = {name: round(rate) for name, rate in rates.items() if rate > watching[name][1]}
    assert not over, f"bytes a second: {rates}"
    assert all(rate > 50 for rate in rates.values()), f"something must be drawn: {rates}"


def test_a_storm_of_resizes_is_survived(waiting: Stand, wizards: Open) -> None:
    wizard = wizards("attach", waiting.run_dir.name, stand=waiting, size=(120, 40))
    wizard.see("waiting")
    for number in range(200):
        step = abs(number % 40 - 20)
        wizard.resize(1 + 6 * step, 1 + 2 * step)
    wizard.quiet()
    wizard.resize(1, 1)
    wizard.quiet()
    wizard.resize(60, 12)
    wizard.see("80")  # what size is needed
    wizard.resize(80, 24)
    wizard.see("waiting")
    wizard.send("d")
    assert wizard.exit_code() == 0
