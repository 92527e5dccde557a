"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.cli_kit import FakeEngine

Cli = Callable[..., int]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The facade in memory, in place of the real one."""
    fake = FakeEngine()
    monkeypatch.setattr("stepflow_tui.facade.facade", lambda: fake)
    monkeypatch.setattr("stepflow_tui.cli.follow.POLL_SECONDS", 0.001)
    monkeypatch.setattr("stepflow_tui.cli.switch.PATIENCE_SECONDS", 0.0)
    return fake


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """Calls the command line in an empty folder; returns the exit code."""
    import signal

    from stepflow_tui.cli.app import run_command_line

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def call(*args: str) -> int:
        return run_command_line(args)

    yield call
    signal.signal(signal.SIGTERM, before)
