"""No changed key is missing in the log, whatever the schema and the writes: random ones, each made again by its number.

`STEPFLOW_CAPTURE_SCHEMAS=15000` tries so many; by default a thousand.
"""

from __future__ import annotations

import os

import pytest

from tests.capture_fuzz import after_only, run

SCHEMAS = int(os.environ.get("STEPFLOW_CAPTURE_SCHEMAS", "1000"))
PARTS = 5


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_changed_key_is_in_the_log(part: int) -> None:
    found = run(range(part, SCHEMAS, PARTS))
    assert not found.first, found.first[0]
    assert found.missed == 0
    # it tried what it says: rows were removed by conflicts, and most tables were not set aside
    assert found.schemas >= SCHEMAS // PARTS * 0.99
    assert found.changed > found.schemas * 15
    assert found.replaced > found.schemas * 2
    assert found.marked < found.schemas * 0.4
    assert set(found.shapes) == {"auto", "composite", "desc", "ipk", "loose", "none", "text", "wr"}


def test_after_triggers_alone_miss_rows_that_conflicts_removed() -> None:
    found = run(range(150), after_only)
    assert found.missed > found.changed * 0.02
    assert found.first


def test_older_than_the_applications_triggers_they_miss_rows_under_or_fail() -> None:
    assert run(range(212, 213), ours_newest=False).missed
    assert not run(range(212, 213)).missed
