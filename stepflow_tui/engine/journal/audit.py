"""The audit chain: who did what, each entry sealed over the one before it with a key that lies outside the journal.

A chain without a key could be made anew by anybody who can write the file; one without its head and count kept
elsewhere could be cut short. So the key is `<state-dir>/audit.key`, and head and count are anchored in the target and
in the report.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import aiosqlite

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.journal.writer import Writer

KEY_FILE = "audit.key"
KEY_BYTES = 32
FIRST = "0" * 64
"""What the first entry covers in place of a predecessor."""


class ChainState(StrEnum):
    """What a verification of the chain says."""

    WHOLE = "whole"
    EDITED = "edited"  # an entry's content no longer fits its seal, or an entry in the middle is gone
    TRUNCATED = "truncated"  # entries at the end are gone
    REWRITTEN = "rewritten"  # the chain was made anew from some entry on
    NO_KEY = "no_key"  # nothing can be said without the key


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Head and length of a chain, as kept outside the journal."""

    entries: int
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainVerdict:
    """The verdict; `at` is the first entry that is wrong, None when none is."""

    state: ChainState
    entries: int
    head: str
    at: int | None = None


def load_key(state_dir: Path, *, create: bool) -> bytes | None:
    """The key of this state directory.

    Args:
        create: make it (0600) when there is none; else None is returned.

    Raises:
        Refused: the file is there and holds no key.
    """
    path = state_dir / KEY_FILE
    if create:
        _make_key(path)
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(key) != KEY_BYTES:
        raise Refused(
            f"{path} holds no audit key.",
            detail=f"{len(key)} bytes, {KEY_BYTES} expected",
            hint="Restore the file from a backup; a new key could not verify the runs made so far.",
            code="audit_key",
        )
    return key


def _make_key(path: Path) -> None:
    """Written aside and linked into place, so that nobody ever reads half a key and the first one made stays."""
    if path.exists():
        return
    aside = path.with_name(f".{KEY_FILE}.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, os.urandom(KEY_BYTES))
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.link(aside, path)
    except FileExistsError:
        return
    finally:
        aside.unlink()


SEALED = ("n", "at_ms", "who", "host", "act", "data", "prev")
"""The parts of an entry its seal covers, in this order."""


def seal(key: bytes, entry: dict[str, Any]) -> str:
    """The entry's seal: HMAC-SHA256 over all its parts and its predecessor's seal."""
    text = json.dumps([entry[part] for part in SEALED], separators=(",", ":"), ensure_ascii=False)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def verify_chain(rows: Sequence[dict[str, Any]], key: bytes | None, anchor: Anchor | None = None) -> ChainVerdict:
    """Look at a chain as stored.

    Args:
        rows: the audit rows ordered by n.
        anchor: head and length kept elsewhere, when there are any; without them a cut end can't be seen.
    """
    head = rows[-1]["mac"] if rows else FIRST

    def said(state: ChainState, at: int | None = None) -> ChainVerdict:
        return ChainVerdict(state=state, entries=len(rows), head=head, at=at)

    if key is None:
        return said(ChainState.NO_KEY)
    bad = [r["n"] for r in rows if not hmac.compare_digest(seal(key, r), r["mac"])]
    broken = _first_break(rows)
    kept = anchor is not None and _anchored(rows, anchor)
    if bad or broken is not None:
        at = min(n for n in (bad[0] if bad else None, broken) if n is not None)
        remade = broken is None and not kept and len(bad) > 1 and bad == [r["n"] for r in rows[bad[0] - 1 :]]
        return said(ChainState.REWRITTEN if remade else ChainState.EDITED, at)
    if anchor is not None and len(rows) < anchor.entries:
        return said(ChainState.TRUNCATED, len(rows) + 1)
    if anchor is not None and not kept:
        return said(ChainState.REWRITTEN, anchor.entries)
    return said(ChainState.WHOLE)


def _first_break(rows: Sequence[dict[str, Any]]) -> int | None:
    prev = FIRST
    for position, row in enumerate(rows, start=1):
        if row["n"] != position or row["prev"] != prev:
            return position
        prev = row["mac"]
    return None


def _anchored(rows: Sequence[dict[str, Any]], anchor: Anchor) -> bool:
    if anchor.entries == 0:
        return True
    return len(rows) >= anchor.entries and hmac.compare_digest(rows[anchor.entries - 1]["mac"], anchor.head)


class AuditRows(Writer):
    """Appending to the chain."""

    _audit_key: bytes | None = None
    _audit_host: str = ""

    def use_audit_key(self, key: bytes, host: str) -> None:
        """The key and the host entries are written with."""
        self._audit_key = key
        self._audit_host = host

    async def audit(self, who: str, act: str, data: dict[str, Any]) -> Anchor:
        """Append an entry.

        Returns:
            The new head and length, to be anchored outside the journal.
        """
        key = self._audit_key
        assert key is not None, "use_audit_key comes first"
        text = self.plain(data)

        async def body(db: aiosqlite.Connection) -> Anchor:
            last = list(await db.execute_fetchall("SELECT n,mac FROM audit ORDER BY n DESC LIMIT 1"))
            n, prev = (last[0][0] + 1, last[0][1]) if last else (1, FIRST)
            entry = {"n": n, "at_ms": self.clock.now_ms(), "who": who, "host": self._audit_host, "act": act}
            entry |= {"data": text, "prev": prev}
            mac = seal(key, entry)
            await db.execute(
                "INSERT INTO audit(n,at_ms,who,host,act,data,prev,mac) VALUES(?,?,?,?,?,?,?,?)",
                (*(entry[part] for part in SEALED), mac),
            )
            return Anchor(entries=n, head=mac)

        return await self.write(body)

    async def audit_anchor(self) -> Anchor:
        """Head and length now."""
        rows = await self.fetch("SELECT n,mac FROM audit ORDER BY n DESC LIMIT 1")
        return Anchor(entries=rows[0]["n"], head=rows[0]["mac"]) if rows else Anchor(entries=0, head=FIRST)
