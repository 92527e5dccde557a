"""The audit chain: what an edit, a cut end and a rebuilt chain look like."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.journal.audit import FIRST, Anchor, ChainState, load_key, seal, verify_chain
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.journal.store import Journal

KEY, OTHER = b"k" * 32, b"o" * 32


def chain(length: int, key: bytes = KEY) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for n in range(1, length + 1):
        prev = rows[-1]["mac"] if rows else FIRST
        row = {"n": n, "at_ms": n, "who": "ann", "host": "h", "act": "pause", "data": "{}", "prev": prev}
        rows.append(row | {"mac": seal(key, row)})
    return rows


def anchor(rows: list[dict[str, Any]]) -> Anchor:
    return Anchor(entries=len(rows), head=rows[-1]["mac"])


def test_a_whole_chain() -> None:
    rows = chain(5)
    assert verify_chain(rows, KEY, anchor(rows)).state is ChainState.WHOLE
    assert verify_chain(rows, KEY, anchor(rows[:3])).state is ChainState.WHOLE  # it grew since it was anchored
    assert verify_chain([], KEY).state is ChainState.WHOLE
    assert verify_chain(rows, None).state is ChainState.NO_KEY


@pytest.mark.parametrize("column", ["at_ms", "who", "host", "act", "data"])
@pytest.mark.parametrize("n", [1, 3, 5])
def test_an_edit_is_found(column: str, n: int) -> None:
    rows = chain(5)
    kept = anchor(rows)
    rows[n - 1] = rows[n - 1] | {column: 99 if column == "at_ms" else "forged"}
    for against in (kept, None):
        verdict = verify_chain(rows, KEY, against)
        assert (verdict.state, verdict.at) == (ChainState.EDITED, n)


def test_an_entry_taken_out_of_the_middle_is_found() -> None:
    rows = chain(5)
    verdict = verify_chain([*rows[:2], *rows[3:]], KEY, anchor(rows))
    assert (verdict.state, verdict.at) == (ChainState.EDITED, 3)


def test_a_cut_end_is_found_by_its_anchor() -> None:
    rows = chain(5)
    assert verify_chain(rows[:3], KEY, anchor(rows)).state is ChainState.TRUNCATED
    assert verify_chain([], KEY, anchor(rows)).state is ChainState.TRUNCATED


def test_a_rebuilt_chain_is_found() -> None:
    rows = chain(5)
    remade = rows[:2]
    for n in range(3, 6):  # somebody without the key seals anew from entry 3 on
        row = {"n": n, "at_ms": n, "who": "eve", "host": "h", "act": "x", "data": "{}", "prev": remade[-1]["mac"]}
        remade.append(row | {"mac": seal(OTHER, row)})
    for against in (anchor(rows), None):
        verdict = verify_chain(remade, KEY, against)
        assert (verdict.state, verdict.at) == (ChainState.REWRITTEN, 3)


def test_a_chain_rebuilt_with_the_key_is_found_by_its_anchor() -> None:
    rows = chain(5)
    other = [r | {"who": "eve"} for r in rows]
    for n, row in enumerate(other):
        row["prev"] = other[n - 1]["mac"] if n else FIRST
        row["mac"] = seal(KEY, row)
    assert verify_chain(other, KEY).state is ChainState.WHOLE
    assert verify_chain(other, KEY, anchor(rows)).state is ChainState.REWRITTEN


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    assert load_key(tmp_path, create=False) is None
    key = load_key(tmp_path, create=True)
    assert load_key(tmp_path, create=True) == key
    assert stat.S_IMODE((tmp_path / "audit.key").stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["audit.key"]
    (tmp_path / "audit.key").write_bytes(b"short")
    with pytest.raises(Refused):
        load_key(tmp_path, create=True)


async def test_entries_written_by_an_engine_verify(tmp_path: Path) -> None:
    key = load_key(tmp_path, create=True)
    assert key is not None
    async with await Journal.open(tmp_path, SystemClock()) as journal:
        journal.use_audit_key(key, "host")
        await journal.audit("ann", "pause", {"args": {}})
        kept = await journal.audit("ann", "abort", {"args": {"why": "ü"}})
        assert await journal.audit_anchor() == kept
        with RunReader(tmp_path) as reader:
            assert reader.verify_audit(tmp_path, kept).state is ChainState.WHOLE
        await journal.execute("DELETE FROM audit WHERE n=2")
        with RunReader(tmp_path) as reader:
            assert reader.verify_audit(tmp_path, kept).state is ChainState.TRUNCATED
