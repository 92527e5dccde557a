"""Odd and hostile files, each through a whole scenario: every table arrives exactly, or the report names it."""

from __future__ import annotations

import pytest

from tests.acceptance.harness import Stand, scenario
from tests.acceptance.hostile import CASES, Case, make


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_row_arrives_or_is_named(case: Case, stand: Stand) -> None:
    make(case, stand.source)
    report = scenario(stand, case.exit_code)
    assert report["result"] == ("completed" if case.exit_code == 0 else "incomplete")
    said = str([report[k] for k in ("objects", "rejects", "findings", "tables")])
    assert [word for word in case.named if word not in said] == []
