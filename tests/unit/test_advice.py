"""Which migration is recommended: every rule at its border, and every sentence with all its values."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow_tui.engine.model.advice import Answers
from stepflow_tui.engine.plan import advice as rules
from stepflow_tui.engine.plan.advice import advise
from stepflow_tui.engine.texts.advice import ALSO, KINDS, NOT_FOR, REASONS
from stepflow_tui.render.advice import advice_json, advice_lines, reason_text, source_note

FILE: dict[str, Any] = {
    "source": "sqlite",
    "state": "sound",
    "size": 10_000_000,
    "tables": 12,
    "journal_mode": "delete",
    "network": False,
    "filesystem": "ext4",
    "written_by": "3.53.0",
}
WAL = FILE | {"journal_mode": "wal"}


def codes(facts: dict[str, Any], **answers: Any) -> tuple[str | None, list[str]]:
    advice = advise(facts, Answers(**answers))
    return advice.kind, [r.code for r in advice.reasons]


@pytest.mark.parametrize(
    ("facts", "answers", "kind", "reason"),
    [
        ({"source": "postgres"}, {}, "table-to-table", "source_is_postgres"),
        ({"source": "files", "format": "CSV", "size": 9}, {"writers": 99}, "files-to-database", "source_is_files"),
        (FILE | {"state": "empty"}, {"writers": 99}, None, "nothing_to_migrate"),
        (FILE, {}, None, "quiet"),
        (FILE, {"writers": 1}, None, "quiet"),
        (FILE, {"writers": rules.FEW_WRITERS}, "sqlite-wal", "few_writers"),
        (FILE, {"writers": rules.MANY_WRITERS - 1}, "sqlite-wal", "few_writers"),
        (FILE, {"writers": rules.MANY_WRITERS}, "sqlite-to-postgres", "many_writers"),
        (FILE, {"locked": False}, None, "quiet"),
        (FILE, {"locked": True}, "sqlite-wal", "locked_rollback"),
        (WAL, {"locked": True}, "sqlite-to-postgres", "locked_in_wal"),
        (WAL, {"writers": 4, "users": 100, "requests": 100}, None, "already_wal"),
        (WAL, {"writers": rules.MANY_WRITERS}, "sqlite-to-postgres", "many_writers"),
        (FILE, {"requests": rules.SOME_REQUESTS - 0.1}, None, "quiet"),
        (FILE, {"requests": rules.SOME_REQUESTS}, "sqlite-wal", "some_requests"),
        (FILE, {"requests": rules.MANY_REQUESTS - 0.1}, "sqlite-wal", "some_requests"),
        (FILE, {"requests": rules.MANY_REQUESTS}, "sqlite-to-postgres", "many_requests"),
        (FILE, {"users": rules.SOME_USERS - 1}, None, "quiet"),
        (FILE, {"users": rules.SOME_USERS}, "sqlite-wal", "some_users"),
        (FILE, {"users": rules.MANY_USERS}, "sqlite-to-postgres", "many_users"),
        (FILE | {"size": rules.LARGE_BYTES - 1}, {}, None, "quiet"),
        (FILE | {"size": rules.LARGE_BYTES}, {}, "sqlite-to-postgres", "large"),
        (FILE | {"network": True, "filesystem": "nfs4"}, {"writers": 1}, "sqlite-to-postgres", "network_filesystem"),
        ({}, {"writers": 9}, "sqlite-to-postgres", "many_writers"),
        ({}, {"locked": True}, "sqlite-wal", "locked_rollback"),
        ({}, {}, None, "quiet"),
    ],
)
def test_the_rules(facts: dict[str, Any], answers: dict[str, Any], kind: str | None, reason: str) -> None:
    found, reasons = codes(facts, **answers)
    assert found == kind
    assert reason in reasons


def test_without_a_file_it_says_that_nothing_was_measured() -> None:
    assert "not_measured" in codes({}, writers=9)[1]
    assert "not_measured" not in codes(FILE, writers=9)[1]


@pytest.mark.parametrize(
    ("library", "warned"), [("3.51.2", True), ("3.51.3", False), ("3.44.6", False), ("", False), ("unknown", False)]
)
def test_a_library_with_the_wal_fault_is_named_before_wal_is_recommended(library: str, warned: bool) -> None:
    advice = advise(FILE | {"written_by": library}, Answers(locked=True))
    assert ("wal_library" in [r.code for r in advice.also]) is warned


def test_a_kind_of_a_later_version_says_so() -> None:
    advice = advise({"source": "files", "format": "CSV", "size": 1}, Answers())
    assert (advice.kind, advice.built) == ("files-to-database", False)
    assert "later version" in "\n".join(advice_lines(advice))
    for answers, kind in ((Answers(writers=50), "sqlite-to-postgres"), (Answers(locked=True), "sqlite-wal")):
        built = advise(FILE, answers)
        assert (built.kind, built.built) == (kind, True)
        assert "comes_later" not in [r.code for r in built.also]


def test_wal_is_praised_for_readers_never_for_writers_nor_network_drives() -> None:
    said = "\n".join(advice_lines(advise(FILE, Answers(locked=True))))
    assert "read on" in said
    assert "Not for many writers: still one at a time." in said
    assert "network drive" in said
    assert "lets no second writer in" in "\n".join(advice_lines(advise(FILE, Answers(writers=50))))
    there = advise(FILE | {"network": True, "filesystem": "nfs4"}, Answers(locked=True))
    assert (there.kind, "wal_meanwhile" in [r.code for r in there.also]) == ("sqlite-to-postgres", False)


@pytest.mark.parametrize(
    ("facts", "kind", "words"),
    [
        ({}, "sqlite-wal", "becomes wal"), ({"journal_mode": "wal"}, "sqlite-wal", "nothing is converted"),
        ({"network": True, "filesystem": "nfs4"}, "sqlite-wal", "(nfs4) WAL can't work"), ({}, "sqlite-to-postgres", ""),
        ({"journal_mode": "wal"}, "", ""), ({"source": "files"}, "sqlite-wal", ""),
    ],
)  # fmt: skip
def test_what_a_source_means_for_a_kind(facts: dict[str, object], kind: str, words: str) -> None:
    note = source_note({"source": "sqlite", **FILE, **facts}, kind)
    assert words in note
    assert bool(note) is bool(words)


def test_every_kind_says_what_it_is_for_and_what_not() -> None:
    assert set(KINDS) == set(NOT_FOR)


FACTS = st.one_of(
    st.just({}),
    st.just({"source": "postgres"}),
    st.just({"source": "files", "format": "CSV", "size": 1}),
    st.fixed_dictionaries(
        {
            "source": st.just("sqlite"),
            "state": st.sampled_from(["sound", "empty", "hot_journal"]),
            "size": st.integers(0, 10**13),
            "tables": st.none() | st.integers(0, 10**5),
            "journal_mode": st.sampled_from([None, "wal", "delete", "truncate", "off"]),
            "network": st.booleans(),
            "filesystem": st.sampled_from([None, "ext4", "nfs4"]),
            "written_by": st.sampled_from([None, "3.40.1", "3.53.0"]),
        }
    ),
)
ANSWERS = st.builds(
    Answers,
    writers=st.none() | st.integers(0, 10**6),
    locked=st.none() | st.booleans(),
    users=st.none() | st.integers(0, 10**9),
    requests=st.none() | st.floats(0, 1e9, allow_nan=False),
)


@given(FACTS, ANSWERS)
def test_whatever_is_known_there_is_advice_in_whole_sentences(facts: dict[str, Any], answers: Answers) -> None:
    advice = advise(facts, answers)
    assert advice.reasons
    assert advice.kind is None or advice.kind in KINDS
    for reason in (*advice.reasons, *advice.also):
        assert reason.code in REASONS or reason.code in ALSO
        assert not re.search(r"[{}]|None", reason_text(reason))
    assert advice_json(advice, facts)["kind"] == advice.kind


@given(ANSWERS)
def test_more_load_never_leads_away_from_postgres(answers: Answers) -> None:
    if advise(FILE, answers).kind == "sqlite-to-postgres":
        more = Answers(
            writers=(answers.writers or 0) + 1,
            locked=True,
            users=(answers.users or 0) + 1,
            requests=(answers.requests or 0) + 1,
        )
        assert advise(FILE, more).kind == "sqlite-to-postgres"
