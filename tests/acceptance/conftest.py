"""A stand per test: source, target and state directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Stand, standing


@pytest.fixture
def stand(tmp_path: Path, pg_dsn: str) -> Iterator[Stand]:
    """A stand without a source yet: the test makes `stand.source`."""
    with standing(tmp_path, pg_dsn) as made:
        yield made
