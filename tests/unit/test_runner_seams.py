"""The fakes the engine ships, and the small seams around a run: memory, answers, redaction, failpoints."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import StepFailed, Stopping
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.journal.clock import SystemClock, boot_id
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.redact import redact_data, redactor
from stepflow_tui.engine.steps.context import Answers, Memory
from stepflow_tui.engine.testing import CountingControl, ManualClock
from stepflow_tui.engine.texts.checklist import TITLES, item_title
from stepflow_tui.engine.texts.running import step_title


@pytest.mark.parametrize("clock", [ManualClock(), SystemClock()])
async def test_clocks_do_the_same(clock: Clock) -> None:
    before = clock.monotonic()
    sleeper = asyncio.create_task(clock.sleep(0.01))
    await asyncio.sleep(0)
    if isinstance(clock, ManualClock):
        assert not sleeper.done()
        clock.advance(0.01)
    await sleeper
    assert clock.monotonic() >= before
    assert clock.now_ms() > 1_600_000_000_000
    assert boot_id() == boot_id()


async def test_the_counting_control_stops_where_told() -> None:
    control = CountingControl(stop_at=2, abort=True)
    await control.checkpoint()
    assert not control.halted
    with pytest.raises(Stopping) as caught:
        await control.checkpoint()
    assert caught.value.abort
    assert control.halted


def test_memory_holds_one_value_per_type() -> None:
    memory = Memory()
    assert memory.find(int) is None
    memory.put(3)
    assert memory.get(int) == 3
    with pytest.raises(StepFailed):
        memory.get(str)


@pytest.mark.parametrize(
    ("yes", "confirm", "production", "given"),
    [
        (False, None, False, False),
        (True, None, False, True),
        (True, None, True, False),
        (True, "shop", True, True),
        (False, "shop", True, True),
        (True, "wrong", False, False),
    ],
)
def test_typed_confirmation(yes: bool, confirm: str | None, production: bool, given: bool) -> None:
    assert Answers(yes=yes, confirm=confirm).typed("shop", production=production) is given


def test_redaction() -> None:
    redact = redactor(["s3cret", "abc", ""])
    assert redact("x s3cret y abc") == "x *** y abc"
    assert redact("postgresql://ann:p%40ss@h/d?x=1") == "postgresql://ann:***@h/d?x=1"
    assert redact("host=h password='a b' user=u password = plain") == "host=h password=*** user=u password = ***"
    assert redact_data({"k": ["s3cret", 1, None, {"s3cret": True}]}, redact) == {
        "k": ["***", 1, None, {"s3cret": True}]
    }


def test_failpoints_count_and_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failpoint("quiet")
    log = tmp_path / "log"
    monkeypatch.setenv("STEPFLOW_FAILPOINT_LOG", str(log))
    for name in ("here", "there", "here"):
        failpoint(name)
    assert log.read_text().split() == ["here:1", "there:1", "here:2"]


def test_titles() -> None:
    assert item_title("backup-database") == "Current database backed up"
    assert item_title("my-own-item") == "My own item"
    assert step_title("copy") == "Copy the rows"
    assert step_title("odd_one") == "Odd one"
    assert len(TITLES) == 89
