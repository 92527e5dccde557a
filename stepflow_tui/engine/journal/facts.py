"""What the run found and made: plan, tables, objects, findings, differences, rejects, backup, timings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Unpack

import aiosqlite

from stepflow_tui.engine.journal.events import Events
from stepflow_tui.engine.model.codec import dumps, from_plain, loads, to_plain
from stepflow_tui.engine.model.discrepancy import SET_ASIDE, Discrepancy, RangeDigest, Reject, TableVerdict, Verified
from stepflow_tui.engine.model.events import EventCode, Level
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.model.outcome import TableFact
from stepflow_tui.engine.model.plan import Plan, PlannedObject
from stepflow_tui.engine.model.table import TableState, TableUpdate


class Facts(Events):
    """Reading and writing facts, each replaced as a whole when it is found again.

    Keys and digests are written as they are: they come from the source, and a redacted key would name another row.
    """

    async def save_facts(self, plan: Plan) -> None:
        """Keep newer counts for the run's plan; tables and objects stay as they are listed."""
        await self.execute(
            "UPDATE plan SET data=?, at_ms=? WHERE hash=?", (dumps(plan), self.clock.now_ms(), plan.hash)
        )

    async def save_plan(self, plan: Plan) -> None:
        """Keep the plan (once per hash), list its tables and objects, and make it the run's plan."""

        async def body(db: aiosqlite.Connection) -> None:
            # The plan's own text is not redacted: it must come back as it was hashed; it is made of schema, not of secrets.
            data = dumps(plan)
            await db.execute(
                "INSERT OR REPLACE INTO plan(hash,data,at_ms) VALUES(?,?,?)", (plan.hash, data, self.clock.now_ms())
            )
            await db.execute("UPDATE run SET plan_hash=?", (plan.hash,))
            await _list_tables(db, plan)
            await db.execute("DELETE FROM object")
            await db.executemany(_INSERT_OBJECT, [_object_row(n, o) for n, o in enumerate(plan.objects)])

        await self.write(body)

    async def load_plan(self, plan_hash: str | None = None) -> Plan | None:
        """The plan of that hash, else the run's plan, else None."""
        rows = await self.fetch(
            "SELECT data FROM plan WHERE hash=coalesce(?,(SELECT plan_hash FROM run))", (plan_hash,)
        )
        return loads(Plan, rows[0]["data"]) if rows else None

    async def update_table(self, source: str, **columns: Unpack[TableUpdate]) -> None:
        """Change some columns of a table's row."""
        names = sorted(columns)
        values = [to_plain(dict(columns)[name]) for name in names]
        await self.execute(f"UPDATE tbl SET {','.join(f'{n}=?' for n in names)} WHERE source=?", (*values, source))

    async def save_verdict(self, verdict: TableVerdict) -> None:
        """Keep what a verification says about a table, its named differences included."""

        async def body(db: aiosqlite.Connection) -> None:
            await db.execute(
                "UPDATE tbl SET state=?, verified=?, reason=?, source_rows=coalesce(?,source_rows),"
                " target_rows=coalesce(?,target_rows), rejected_rows=?, digest_source=?, digest_target=?, as_of_ms=?, ranges=?,"
                " facts=json_set(facts, '$.apart_from', ?) WHERE source=?",
                (
                    TableState.VERIFIED.value,
                    verdict.verified.value,
                    self.clean(verdict.reason),
                    verdict.source_rows,
                    verdict.target_rows,
                    verdict.rejected_rows,
                    verdict.digest_source,
                    verdict.digest_target,
                    verdict.as_of_ms,
                    dumps(verdict.ranges),
                    verdict.apart_from,
                    verdict.table,
                ),
            )
            await self._replace_discrepancies(db, verdict.table, verdict.discrepancies)

        await self.write(body)

    async def save_discrepancies(self, table: str, found: Sequence[Discrepancy]) -> None:
        """Replace the differences listed under a name that is no table's verdict."""

        async def body(db: aiosqlite.Connection) -> None:
            await self._replace_discrepancies(db, table, found)

        await self.write(body)

    async def table_rows(self) -> list[dict[str, Any]]:
        """All tables' rows in plan order."""
        return await self.fetch("SELECT * FROM tbl ORDER BY ord")

    async def ranges(self, source: str) -> tuple[RangeDigest, ...]:
        """The digests of a table's compared ranges, for proving later that nothing changed since."""
        rows = await self.fetch("SELECT ranges FROM tbl WHERE source=?", (source,))
        return tuple(from_plain(RangeDigest, r) for r in json.loads(rows[0]["ranges"])) if rows else ()

    async def set_object(self, object_id: str, *, carried: bool, reason: str) -> None:
        """Correct what became of an object (the target refused it, or it is carried in another form)."""
        await self.execute(
            "UPDATE object SET carried=?, reason=? WHERE id=?", (int(carried), self.clean(reason), object_id)
        )

    async def set_findings(self, stage: str, findings: Iterable[Finding]) -> None:
        """Replace the findings of a stage (`preflight`, `census`, …); only new ones become events."""
        found = list(findings)

        async def body(db: aiosqlite.Connection) -> None:
            old = await db.execute_fetchall("SELECT code,severity,object,params FROM finding WHERE stage=?", (stage,))
            known = {tuple(row) for row in old}
            await db.execute("DELETE FROM finding WHERE stage=?", (stage,))
            for finding in found:
                row = (finding.code, finding.severity.value, finding.object, self.plain(finding.params))
                await db.execute(
                    "INSERT INTO finding(stage,code,severity,object,params) VALUES(?,?,?,?,?)", (stage, *row)
                )
                if row not in known:
                    level = Level.INFO if finding.severity is Severity.INFO else Level.WARNING
                    await self._event(db, EventCode.FINDING, {"stage": stage, **to_plain(finding)}, level=level)

        await self.write(body)

    async def findings(self, severity: Severity | None = None) -> list[dict[str, Any]]:
        """Finding rows in the order they were found, of one severity or all."""
        return await self.fetch(
            "SELECT * FROM finding WHERE ?1 IS NULL OR severity=?1 ORDER BY id", (severity.value if severity else None,)
        )

    async def clear_blocking(self) -> None:
        """Forget the blocking findings of the last engine: whoever found them looks again."""
        await self.execute("DELETE FROM finding WHERE severity=?", (Severity.BLOCKING.value,))

    async def set_rejects(self, table: str, rejects: Iterable[Reject]) -> None:
        """Replace the rejected rows of a table. Values stay in the rejects file: the journal names rows, it doesn't hold them."""
        rows = [(r.table, dumps(r.key), r.column, self.clean(r.reason), r.file) for r in rejects]

        async def body(db: aiosqlite.Connection) -> None:
            await db.execute("DELETE FROM reject WHERE tbl=?", (table,))
            await db.executemany("INSERT INTO reject(tbl,key,col,reason,file) VALUES(?,?,?,?,?)", rows)
            await db.execute("UPDATE tbl SET rejected_rows=? WHERE source=?", (len(rows), table))

        await self.write(body)

    async def set_aside(self, rows: Iterable[Reject]) -> None:
        """Replace the rows that the tail set aside, of all tables; what the copy refused stays beside them."""
        found = [(r.table, dumps(r.key), r.column, self.clean(r.reason), SET_ASIDE) for r in rows]
        counted = "SELECT count(DISTINCT key) FROM reject WHERE reject.tbl=tbl.source"

        async def body(db: aiosqlite.Connection) -> None:
            before = await db.execute_fetchall("SELECT DISTINCT tbl FROM reject WHERE file=?", (SET_ASIDE,))
            await db.execute("DELETE FROM reject WHERE file=?", (SET_ASIDE,))
            await db.executemany("INSERT INTO reject(tbl,key,col,reason,file) VALUES(?,?,?,?,?)", found)
            for table in sorted({row[0] for row in found} | {row[0] for row in before}):
                await db.execute(f"UPDATE tbl SET rejected_rows=({counted}) WHERE source=?", (table,))

        await self.write(body)

    async def rejects(self) -> list[Reject]:
        """Rejected rows of all tables, without their values; those that the tail set aside have the file `SET_ASIDE`."""
        rows = await self.fetch("SELECT tbl,key,col,reason,file FROM reject ORDER BY id")
        scalar = int | float | str | bytes | None
        return [
            Reject(
                table=r["tbl"],
                key={k: from_plain(scalar, v) for k, v in json.loads(r["key"]).items()},
                column=r["col"],
                reason=r["reason"],
                file=r["file"],
            )
            for r in rows
        ]

    async def save_backup(self, path: str, size: int, sha256: str, *, verified: bool, **facts: Any) -> None:
        """Keep where the backup is, its size in bytes and hash, and whether its restore test passed."""
        await self.execute(
            "INSERT OR REPLACE INTO backup(path,bytes,sha256,verified,at_ms,facts) VALUES(?,?,?,?,?,?)",
            (path, size, sha256, int(verified), self.clock.now_ms(), self.plain(facts)),
        )

    async def backup(self) -> dict[str, Any] | None:
        """The newest backup's row."""
        rows = await self.fetch("SELECT * FROM backup ORDER BY at_ms DESC, rowid DESC LIMIT 1")
        return rows[0] if rows else None

    async def add_timing(
        self, step: str, name: str, seconds: float, *, item: str = "", rows: int | None = None, size: int | None = None
    ) -> None:
        """Keep how long something took; `size` in bytes."""
        await self.execute(
            "INSERT INTO timing(step,item,name,seconds,rows,bytes,at_ms) VALUES(?,?,?,?,?,?,?)",
            (step, item, name, seconds, rows, size, self.clock.now_ms()),
        )

    async def table_facts(self) -> list[TableFact]:
        """What the verdict on the run is made of."""
        return [
            TableFact(
                verified=Verified(r["verified"]),
                rejected_rows=r["rejected_rows"],
                source_rows=r["source_rows"],
                target_rows=r["target_rows"],
            )
            for r in await self.table_rows()
        ]

    async def count(self, table: str) -> int:
        """Number of rows of `discrepancy`, `reject` or `object`."""
        assert table in ("discrepancy", "reject", "object"), table
        return int((await self.fetch(f"SELECT count(*) AS n FROM {table}"))[0]["n"])

    async def _replace_discrepancies(self, db: aiosqlite.Connection, table: str, found: Sequence[Discrepancy]) -> None:
        await db.execute("DELETE FROM discrepancy WHERE tbl=?", (table,))
        for d in found:
            await db.execute(
                "INSERT INTO discrepancy(tbl,key,col,class,source,target,cause,repair_sql) VALUES(?,?,?,?,?,?,?,?)",
                (d.table, dumps(d.key), d.column, d.cls.value, d.source, d.target, d.cause, d.repair_sql),
            )
            plain = to_plain(d)
            plain["class"] = plain.pop("cls")
            await self._event(db, EventCode.DISCREPANCY, plain, level=Level.WARNING)


_INSERT_OBJECT = "INSERT INTO object(id,ord,type,name,tbl,carried,reason,sql) VALUES(?,?,?,?,?,?,?,?)"


def _object_row(n: int, o: PlannedObject) -> tuple[Any, ...]:
    return (o.id, n, o.type.value, o.name, o.table, int(o.carried), o.reason, o.sql)


async def _list_tables(db: aiosqlite.Connection, plan: Plan) -> None:
    for n, table in enumerate(plan.tables):
        facts = plan.facts.get(table.source)
        state = TableState.LEFT_OUT if table.impossible else TableState.PENDING
        await db.execute(
            "INSERT INTO tbl(source,ord,target,source_rows,state,verified,reason) VALUES(?,?,?,?,?,?,?)"
            " ON CONFLICT(source) DO UPDATE SET ord=excluded.ord, target=excluded.target, source_rows=excluded.source_rows",
            (
                table.source,
                n,
                table.target,
                facts.rows if facts else None,
                state.value,
                Verified.NOT_VERIFIED.value,
                table.impossible or "",
            ),
        )
