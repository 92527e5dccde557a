"""Values that came after the plan: carried where the target's type holds them, else set aside by key, column and reason."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.harness import Stand
from tests.acceptance.live_kit import Json, Live, opened
from tests.run_kit import until

pytestmark = [pytest.mark.timeout(300)]

_STOCK = """
create table users(id integer primary key, email text, updated_at datetime default current_timestamp);
create trigger touched after update of email on users
begin update users set updated_at = strftime('%Y-%m-%d %H:%M:%f', '2026-01-02 03:04:05.678') where id = new.id; end;
insert into users(id, email, updated_at) values (1, 'a@x', '2026-01-01 00:00:00'), (2, 'b@x', '2026-01-01 00:00:01');
create table item(sku text primary key, qty numeric, price decimal(10,2));
insert into item values ('a', 1.5, 9.99), ('b', 2.5, 1.00), ('c', 3, 2);
"""
SECONDS = 60.0


@pytest.fixture
def live(stand: Stand) -> Live:
    """A small stock with a trigger of its own, waiting for the cutover."""
    stand.source.unlink(missing_ok=True)
    with opened(stand.source) as connection:
        connection.execute("pragma journal_mode=wal")
        connection.executescript(_STOCK)
    made = Live(stand)
    made.config(sensitive={"item": ["sku"]})
    made.hold()
    return made


def set_aside(live: Live) -> list[Json]:
    """The rows that `status --json` names."""
    rows: list[Json] = ((live.status()["live"] or {}).get("set_aside") or {}).get("rows") or []
    return rows


def rejects(live: Live) -> list[Json]:
    """The rows that the report names."""
    ran = live.stand.cli("report", live.stand.name, "--json")
    assert ran.code == 0, ran.out + ran.err
    found: list[Json] = json.loads(ran.out)["rejects"]
    return found


def test_values_that_came_later_are_carried_or_named(live: Live) -> None:
    """More decimals and milliseconds are held; what no number type holds is named everywhere, and corrected in the source."""
    with opened(live.stand.source) as connection:
        connection.execute("update item set qty = 2.55 where sku = 'a'")
        connection.execute("update item set qty = 123456789012345678 where sku = 'c'")
        connection.execute("update item set qty = 'abc' where sku = 'b'")
        connection.execute("update users set email = 'n' || char(0) where id = 2")
    until(lambda: len(set_aside(live)) == 2, SECONDS)
    rows = {r["table"]: r for r in set_aside(live)}
    assert live.stand.sql("select qty::text from item i order by i.qty") == [("2.55",), ("123456789012345678",)]
    assert rows["users"] | {"reason": ""} == {"table": "users", "key": {"id": 2}, "column": "email", "reason": ""}
    assert "NUL" in rows["users"]["reason"]
    assert (rows["item"]["column"], rows["item"]["reason"]) == ("qty", "a text where a number is needed")
    assert rows["item"]["key"]["sku"].startswith("#fp:")  # sensitive
    named(live)
    repaired(live)
    recopied(live)


def named(live: Live) -> None:
    """The same rows in the report, in the alert and in the words of `status`."""
    told = {r["table"]: r for r in rejects(live)}
    assert told["users"]["key"] == {"id": 2}
    assert (told["users"]["column"], told["item"]["column"]) == ("email", "qty")
    assert "a number is needed" in told["item"]["reason"]
    alert = until(lambda: [a for a in live.status()["alerts"] if a["code"] == "rows_quarantined"], SECONDS)[0]
    assert "users id=2, email: text contains a NUL character" in alert["params"]["first"]
    shown = live.stand.cli("status", live.stand.name).out
    assert "a text where a number is needed" in shown
    assert "abc" not in json.dumps(live.status())


def repaired(live: Live) -> None:
    """The verification says why they are missing, and proposes nothing that the target would refuse."""
    ran = live.stand.cli("verify", str(live.stand.config_path), "--repair", "plan", "--json")
    assert ran.code == 5, ran.out + ran.err
    found = {d["table"]: d for d in json.loads(ran.out)["discrepancies"] if d["class"] != "sequence"}
    assert set(found) == {"users", "item"}
    for entry in found.values():
        assert (entry["class"], entry["repair_sql"]) == ("missing", "")
        assert entry["cause"].startswith("set aside: "), entry
    assert found["users"]["key"] == {"id": 2}


def recopied(live: Live) -> None:
    """Corrected rows are listed no more; a table copied again carries what its planned type holds, though a plan made now
    would choose another one."""
    with opened(live.stand.source) as connection:
        connection.execute("update users set email = 'n' where id = 2")
        connection.execute("update item set qty = 4 where sku = 'b'")
    until(lambda: not set_aside(live) and not rejects(live), SECONDS)
    before = live.seq
    with opened(live.stand.source) as connection:
        for (name,) in connection.execute(
            "select name from sqlite_schema where type='trigger' and tbl_name='users' and name like '\\_sf\\_%' escape '\\'"
        ).fetchall():
            connection.execute(f'drop trigger "{name}"')
    assert "users" in live.event("tables_copied_again", before)["tables"]
    assert live.errors() == []
    assert live.stand.sql("select updated_at::text from users where id = 2") == [("2026-01-02 03:04:05.678",)]
    rows = live.stand.sql("select sku, qty::float8 from item order by sku")
    assert rows == [("a", 2.55), ("b", 4.0), ("c", 123456789012345680.0)]
