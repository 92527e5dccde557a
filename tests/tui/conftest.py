"""Snapshots of screens as SVG, and a terminal that is the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.app import App

from stepflow_tui.engine.texts import language

Snap = Callable[[App[Any], str], None]


class Svg(SingleFileSnapshotExtension):
    """One SVG file per picture."""

    _write_mode = WriteMode.TEXT
    _file_extension = "svg"


@pytest.fixture
def snap(snapshot: SnapshotAssertion) -> Snap:
    """`snap(app, name)`: the screen looks as it did. Update with `pytest --snapshot-update`."""

    def compare(app: App[Any], name: str) -> None:
        svg = app.export_screenshot(title="StepFlow", simplify=True)
        assert svg == snapshot(name=name, extension_class=Svg)

    return compare


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same terminal everywhere, in English."""
    for name in ("NO_COLOR", "SSH_CONNECTION", "SSH_TTY", "TMUX", "LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TZ", "UTC")
    language.use("en")
