"""Real runs, and wizards at real terminals that watch them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Stand, standing
from tests.conftest import Server
from tests.pty.kit import Wizards, at_the_gate


@pytest.fixture
def stand(tmp_path: Path, pg_dsn: str) -> Iterator[Stand]:
    """A folder with config and state directory, and an empty target; the test makes `stand.source`."""
    with standing(tmp_path, pg_dsn) as made:
        yield made


@pytest.fixture(scope="session")
def waiting(tmp_path_factory: pytest.TempPathFactory, pg_server: Server) -> Iterator[Stand]:
    """A run that waits at its gate, for tests that send it nothing and leave it waiting."""
    target = pg_server.create()
    try:
        with standing(tmp_path_factory.mktemp("waiting"), target.application_uri()) as made:
            at_the_gate(made)
            yield made
    finally:
        pg_server.drop(target)


@pytest.fixture
def wizards(tmp_path: Path) -> Iterator[Callable[..., object]]:
    """Opens wizards; those still open are closed at the end."""
    opened = Wizards(tmp_path)
    yield opened
    opened.close()
