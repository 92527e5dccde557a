"""Applications that sleep while writes move and StepFlow leaves: they know the owner of writes before their first action."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.harness import ROOT, Stand
from tests.acceptance.live_kit import Live, catalog_of, make_shop

pytestmark = [pytest.mark.timeout(300)]


class Idle:
    """A sleeping process."""

    def __init__(self, path: Path, look: str = "looked") -> None:
        script = Path(__file__).with_name("idle_client.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), str(path), look],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def wakes(self) -> list[str]:
        """Let it write. Returns the sides that its router and `write_owner` name."""
        told, _ = self._process.communicate("now\n", timeout=60)
        return told.split()


@pytest.fixture
def live(stand: Stand) -> Live:
    """A shop that is about to move."""
    make_shop(stand.source)
    made = Live(stand)
    made.config()
    return made


@pytest.mark.parametrize("rename", [(), ("--rename-source",)], ids=["stays", "renamed"])
def test_over_a_cutover_and_the_clean_up(live: Live, rename: tuple[str, ...]) -> None:
    """The old file takes writes again, and says nothing any more: whoever wrote to it would lose them."""
    path = live.stand.source
    live.hold()
    sleepers = [] if rename else [Idle(path), Idle(path, "never looked")]
    live.over()
    assert Idle(path).wakes() == ["postgresql", "postgresql"]
    ran = live.stand.cli("cleanup", live.stand.name, *rename, "--yes", "--confirm", live.stand.name, "--json")
    assert ran.code == 0, ran.out + ran.err
    assert path.exists() is not bool(rename)
    for sleeper in [*sleepers, Idle(path, "new")]:
        assert sleeper.wakes() == ["postgresql", "postgresql"]
    checked = live.stand.cli("check", str(live.stand.config_path), "--json")
    assert "source_migrated" in checked.out, "a new run would send them back to the file"


def test_over_a_rollback(live: Live) -> None:
    """The target may take writes again as well: with tables that were there before, a write to it would succeed."""
    path = live.stand.source
    before = catalog_of(path)
    live.over()
    sleepers = [Idle(path), Idle(path, "never looked")]
    ran = live.stand.rollback()
    assert ran.code == 0, ran.out + ran.err
    assert catalog_of(path) == before
    for sleeper in [*sleepers, Idle(path, "new")]:
        assert sleeper.wakes() == ["sqlite", "sqlite"]
    assert not path.with_name(f"{path.name}-stepflow").exists()
