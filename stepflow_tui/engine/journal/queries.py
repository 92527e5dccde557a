"""Queries over a run's journal: everything the report and the front ends need, as plain rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from stepflow_tui.engine.journal.audit import FIRST, Anchor, ChainVerdict, load_key, verify_chain
from stepflow_tui.engine.journal.clock import boot_id
from stepflow_tui.engine.journal.control_rows import ASKED, CONTROL, ENGINE
from stepflow_tui.engine.journal.rows import Rows
from stepflow_tui.engine.journal.rundir import engine_alive
from stepflow_tui.engine.model.codec import from_plain
from stepflow_tui.engine.model.plan import Plan

EVENTS_AT_ONCE = 500
CATCH_UP = 200
"""A front end further behind than `EVENTS_AT_ONCE` jumps to the last so many."""


def _bound(limit: int, offset: int, table: str | None) -> tuple[Any, ...]:
    return (limit, offset) if table is None else (limit, offset, table)


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _escaped(text: str) -> str:
    """A text for LIKE, its wildcards taken literally."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSign:
    """What the lock and the lease say about the engine."""

    alive: bool
    pid: int | None
    heartbeat_seconds: float | None


class RunQueries(Rows):
    """One run, as plain rows."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def run(self) -> dict[str, Any] | None:
        """The run's row, None while the journal is being made."""
        return self.one("SELECT * FROM run", decode=("config", "versions", "source"))

    def gauges(self) -> dict[str, dict[str, Any]]:
        """The newest gauges by name; {} for a run that shows none, or was written before there were any."""
        if self.one("SELECT 1 AS there FROM sqlite_schema WHERE name='gauge'") is None:
            return {}
        return {r["name"]: r["data"] for r in self.rows("SELECT name,data FROM gauge")}

    def gauge_times(self) -> dict[str, int]:
        """When each gauge was written last, in milliseconds since 1970."""
        if self.one("SELECT 1 AS there FROM sqlite_schema WHERE name='gauge'") is None:
            return {}
        return {r["name"]: int(r["at_ms"]) for r in self.rows("SELECT name,at_ms FROM gauge")}

    def engine(self) -> EngineSign:
        """Whether the engine lives (it holds the lock) and how old its last heartbeat is."""
        alive = engine_alive(self.run_dir)
        lease = self.one("SELECT holder,boot,beat_mono_ms FROM lease WHERE name=?", (ENGINE,))
        if lease is None:
            return EngineSign(alive=alive, pid=None, heartbeat_seconds=None)
        this_boot = lease["boot"] == boot_id()
        age = max(0.0, time.monotonic() - lease["beat_mono_ms"] / 1000) if this_boot else None
        pid = int(lease["holder"].split("@")[0]) if this_boot else None
        return EngineSign(alive=alive, pid=pid, heartbeat_seconds=None if age is None else round(age, 3))

    def control(self) -> dict[str, Any]:
        """Who steers, for how many seconds more unless it is renewed, and who asks for control: None where nobody does."""
        rows = self.rows("SELECT name,holder,boot,until_mono_ms FROM lease WHERE name IN (?,?)", (CONTROL, ASKED))
        now = time.monotonic() * 1000
        standing = {r["name"]: r for r in rows if r["boot"] == boot_id() and r["until_mono_ms"] > now}
        held, asked = standing.get(CONTROL), standing.get(ASKED)
        return {
            "holder": held["holder"] if held else None,
            "seconds_left": round((held["until_mono_ms"] - now) / 1000) if held else None,
            "asked_by": asked["holder"] if asked else None,
        }

    def events(self, after: int = 0, limit: int = EVENTS_AT_ONCE) -> list[dict[str, Any]]:
        """Events after that `seq`, oldest first: rows `seq at_ms level step code data`."""
        return self.rows(
            "SELECT seq,at_ms,level,step,code,data FROM event WHERE seq>? ORDER BY seq LIMIT ?",
            (after, limit),
            decode=("data",),
        )

    def last_events(self, limit: int = CATCH_UP) -> list[dict[str, Any]]:
        """The newest events, oldest first."""
        newest = self.rows(
            "SELECT seq,at_ms,level,step,code,data FROM event ORDER BY seq DESC LIMIT ?", (limit,), decode=("data",)
        )
        return newest[::-1]

    def max_seq(self) -> int:
        """`seq` of the newest event, 0 when there is none."""
        row = self.one("SELECT coalesce(max(seq),0) AS n FROM event")
        return int(row["n"]) if row else 0

    def progress(self) -> list[dict[str, Any]]:
        """Progress rows: `step item done total unit rate eta_s eta_state throttle rev`."""
        return self.rows("SELECT * FROM progress ORDER BY step,item")

    def command(self, command_id: int) -> dict[str, Any] | None:
        """What became of an intent: `state` new, accepted, refused or done, and the `answer`."""
        return self.one("SELECT * FROM command WHERE id=?", (command_id,), decode=("args", "answer"))

    def plan(self) -> Plan | None:
        """The run's plan."""
        row = self.one("SELECT data FROM plan WHERE hash=(SELECT plan_hash FROM run)", decode=("data",))
        plan: Plan | None = from_plain(Plan, row["data"]) if row else None
        return plan

    def phases(self) -> list[dict[str, Any]]:
        """Phase rows in order."""
        return self.rows("SELECT * FROM phase ORDER BY ord")

    def steps(self) -> list[dict[str, Any]]:
        """Step rows in order."""
        return self.rows("SELECT * FROM step ORDER BY ord", decode=("evidence",))

    def tables(self) -> list[dict[str, Any]]:
        """Table rows in plan order."""
        return self.rows("SELECT * FROM tbl ORDER BY ord", decode=("facts", "ranges"))

    def objects(self) -> list[dict[str, Any]]:
        """Object rows in plan order; `carried` is 0 or 1."""
        return self.rows("SELECT * FROM object ORDER BY ord")

    def findings(self) -> list[dict[str, Any]]:
        """Finding rows in the order they were found."""
        return self.rows("SELECT * FROM finding ORDER BY id", decode=("params",))

    def discrepancies(self, limit: int = -1, *, table: str | None = None, offset: int = 0) -> list[dict[str, Any]]:
        """Discrepancy rows, of one table or all: `tbl key col class source target cause repair_sql`."""
        where = "" if table is None else "WHERE tbl=?3 "
        sql = f"SELECT * FROM discrepancy {where}ORDER BY id LIMIT ?1 OFFSET ?2"
        return self.rows(sql, _bound(limit, offset, table), decode=("key",))

    def rejects(self, limit: int = -1, *, table: str | None = None, offset: int = 0) -> list[dict[str, Any]]:
        """Reject rows, of one table or all: `tbl key col reason file`."""
        where = "" if table is None else "WHERE tbl=?3 "
        sql = f"SELECT * FROM reject {where}ORDER BY id LIMIT ?1 OFFSET ?2"
        return self.rows(sql, _bound(limit, offset, table), decode=("key",))

    def difference_counts(self, table: str | None = None) -> tuple[int, int]:
        """How many discrepancies and rejects are listed, of one table or all."""
        where, bound = ("", ()) if table is None else (" WHERE tbl=?1", (table,))
        sql = f"SELECT (SELECT count(*) FROM discrepancy{where}) AS d, (SELECT count(*) FROM reject{where}) AS r"
        row = self.one(sql, bound)
        return (int(row["d"]), int(row["r"])) if row else (0, 0)

    def history(
        self,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = EVENTS_AT_ONCE,
        codes: Sequence[str] = (),
        text: str = "",
        named: Sequence[tuple[str, str, Sequence[str]]] = (),
    ) -> list[dict[str, Any]]:
        """Events oldest first: the first ones after a `seq`, else the last ones before one, else the newest.

        Args:
            codes: only these event codes.
            text: only events whose data (as JSON writes it), code or step holds this, whatever the case of A to Z.
            named: events that count as holding it: code, key of its data, values of that key; no value: all of that code.
        """
        where, bound = [], list[Any]()
        if after is not None or before is not None:
            where.append("seq>?" if after is not None else "seq<?")
            bound.append(after if after is not None else before)
        if codes:
            where.append(f"code IN ({_marks(codes)})")
            bound += codes
        if text:
            holding = [f"{column} LIKE ? ESCAPE '\\'" for column in ("data", "code", "step")]
            bound += [f"%{_escaped(text)}%"] * len(holding)
            for code, key, values in named:
                holding.append(f"(code=? AND json_extract(data,?) IN ({_marks(values)}))" if values else "code=?")
                bound += [code, f"$.{key}", *values] if values else [code]
            where.append(f"({' OR '.join(holding)})")
        sql = "SELECT seq,at_ms,level,step,code,data FROM event"
        sql += f" WHERE {' AND '.join(where)}" if where else ""
        sql += f" ORDER BY seq {'' if after is not None else 'DESC '}LIMIT ?"
        found = self.rows(sql, (*bound, limit), decode=("data",))
        return found if after is not None else found[::-1]

    def backup(self) -> dict[str, Any] | None:
        """The newest backup's row: `path bytes sha256 verified at_ms facts`."""
        return self.one("SELECT * FROM backup ORDER BY at_ms DESC, rowid DESC LIMIT 1", decode=("facts",))

    def checklist(self) -> list[dict[str, Any]]:
        """Checklist rows: `id phase kind params state by at_ms note`."""
        return self.rows("SELECT * FROM checklist ORDER BY ord", decode=("params",))

    def notes(self) -> list[dict[str, Any]]:
        """People's remarks, oldest first: `at_ms data`."""
        return self.rows("SELECT at_ms,data FROM event WHERE code='note' ORDER BY seq", decode=("data",))

    def alerts(self, *, open_only: bool = False) -> list[dict[str, Any]]:
        """Alert rows, newest last."""
        return self.rows(
            f"SELECT * FROM alert {'WHERE cleared_seq IS NULL' if open_only else ''} ORDER BY id", decode=("params",)
        )

    def timings(self) -> list[dict[str, Any]]:
        """Timing rows: `step item name seconds rows bytes at_ms`."""
        return self.rows("SELECT * FROM timing ORDER BY id")

    def audit(self) -> list[dict[str, Any]]:
        """Audit rows as stored (`data` is text: it is what was sealed)."""
        return self._select("SELECT * FROM audit ORDER BY n") if self.ready else []

    def verify_audit(self, state_dir: Path, anchor: Anchor | None = None) -> ChainVerdict:
        """Check the audit chain with the state directory's key, against head and count kept elsewhere."""
        return verify_chain(self.audit(), load_key(state_dir, create=False), anchor)

    def audit_anchor(self) -> Anchor:
        """Head and length of the chain as stored."""
        row = self.one("SELECT n,mac FROM audit ORDER BY n DESC LIMIT 1")
        return Anchor(entries=row["n"], head=row["mac"]) if row else Anchor(entries=0, head=FIRST)

    def rejected_by_table(self) -> dict[str, int]:
        """Number of rejected rows by source table."""
        return {r["tbl"]: r["n"] for r in self.rows("SELECT tbl,count(*) AS n FROM reject GROUP BY tbl")}
