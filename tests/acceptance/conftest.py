"""A stand per test: source, target and state directory of its own; and which voyages belong to the long suite.

`make test` is what every change must pass within minutes: one voyage of each kind. `make test-long` runs all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Stand, standing

LONG = (
    "test_live_fleet.py::test_over_and_back_while_engines_are_killed[rollback-journal]",
    "test_live_fleet.py::test_both_sides_are_equal",
    "test_live_fleet.py::test_there_and_back_again",
    "test_live_fleet.py::test_the_server_crashes",
    "test_live_disturbed.py::test_what_may_have_been_missed_is_copied_again[rebuild]",
    "test_live_disturbed.py::test_what_may_have_been_missed_is_copied_again[index]",
    "test_live_disturbed.py::test_disturbed_before_the_tail_runs",
    "test_live_disturbed.py::test_a_crash_in_the_middle_of_copying_again[mend_noted",
    "test_live_disturbed.py::test_a_crash_in_the_middle_of_copying_again[recopy",
    "test_live_disturbed.py::test_a_crash_in_the_middle_of_copying_again[segment",
    "test_live_disturbed.py::test_what_cannot_be_mended_stops_the_run_by_name[gone",
    "test_live_disturbed.py::test_what_cannot_be_mended_stops_the_run_by_name[there-column",
    "test_live_disturbed.py::test_what_cannot_be_mended_stops_the_run_by_name[there-log",
    "test_live_disturbed.py::test_what_cannot_be_mended_stops_the_run_by_name[there-restored",
    "test_live_disturbed.py::test_without_the_guard_rows_are_missed[rebuild]",
    "test_live_life.py::test_a_held_run_stays_equal_and_goes_on[continue]",
    "test_live_life.py::test_a_held_run_stays_equal_and_goes_on[cutover]",
    "test_live_life.py::test_a_freeze_that_would_take_too_long_is_not_begun",
    "test_live_life.py::test_the_engine_is_killed_while_it_observes",
    "test_live_life.py::test_the_observation_ends_by_itself",
    "test_live_life.py::test_what_the_copy_refused_and_the_application_corrected",
    "test_live_life.py::test_a_log_that_may_miss_rows",
    "test_live_switch.py::test_gradual_to_its_end",
    "test_live_switch.py::test_canary_to_its_end",
    "test_live_switch.py::test_side_by_side",
    "test_live_switch.py::test_nobody_reads_what_nobody_keeps_current",
    "test_live_switch.py::test_going_back_and_forward_begins_anew",
    "test_live_back.py::test_the_server_is_down_or_crashes",
    "test_live_back.py::test_what_disturbs_the_way_back",
    "test_hooks.py::test_a_failing_hook_stops_the_run_at_its_gate",
    "test_hooks.py::test_another_command_does_not_slip",
    "test_demo.py::test_over_and_tidied_up",
    "test_fleet.py::test_what_a_crashed_server_acknowledged",
)
"""Parts of test ids. Each is a whole live run of its own, of ten seconds to a minute and a half."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the long ones, before `-m` chooses."""
    for item in items:
        if any(part in item.nodeid for part in LONG):
            item.add_marker(pytest.mark.long)


@pytest.fixture
def stand(tmp_path: Path, pg_dsn: str) -> Iterator[Stand]:
    """A stand without a source yet: the test makes `stand.source`."""
    with standing(tmp_path, pg_dsn) as made:
        yield made
