"""Real runs, and wizards at real terminals that watch them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Stand, standing
from tests.pty.kit import Wizards


@pytest.fixture
def stand(tmp_path: Path, pg_dsn: str) -> Iterator[Stand]:
    """A folder with config and state directory, and an empty target; the test makes `stand.source`."""
    with standing(tmp_path, pg_dsn) as made:
        yield made


@pytest.fixture
def wizards(tmp_path: Path) -> Iterator[Callable[..., object]]:
    """Opens wizards; those still open are closed at the end."""
    opened = Wizards(tmp_path)
    yield opened
    opened.close()
