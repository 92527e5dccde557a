"""The way back after a finished run: what is unchanged goes, what somebody changed is kept under another name."""

from __future__ import annotations

from tests.acceptance import sources
from tests.acceptance.harness import Stand


def tables(stand: Stand) -> set[str]:
    """Names of the tables in the target's schema."""
    return {
        r[0]
        for r in stand.sql(
            "select tablename::text from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
        )
    }


def test_changed_rows_need_the_typed_name(stand: Stand) -> None:
    sources.shop(stand.source)
    stand.config(environment="production")
    assert stand.run("--confirm", stand.name).code == 0
    stand.sql("update orders set total = 0 where id = 7", "select 1")
    before = stand.target_hash()
    refused = stand.rollback()
    assert refused.code == 6
    assert "public.orders" in refused.out
    assert stand.target_hash() == before
    assert stand.status()["state"] == "completed"
    assert stand.run().code == 0
    back = stand.rollback("--confirm", stand.name, "--reason", "wrong server")
    assert (back.code, back.object["state"]) == (0, "rolled_back"), back.out
    assert tables(stand) == {"_stepflow_old_orders"}
    assert stand.sql("select count(*), count(*) filter (where total = 0) from _stepflow_old_orders") == [(400, 1)]
    assert stand.sql("select count(*) from pg_proc where pronamespace = 'public'::regnamespace") == [(0,)]
    assert stand.run("--confirm", stand.name).code == 4, "the schema is not empty: what was set aside is somebody's"


def test_outside_production_yes_is_enough(stand: Stand) -> None:
    sources.shop(stand.source)
    assert stand.run().code == 0
    stand.sql("insert into customer values (9999, 'new@example.org', null)", "select 1")
    asked = stand.cli("rollback", stand.name, "--json")
    assert asked.code == 6
    assert stand.cli("rollback", stand.name, "--yes", "--json").code == 6, "a reason is needed"
    assert stand.rollback().code == 0
    assert tables(stand) == {"_stepflow_old_customer"}


def test_a_schema_that_was_made_is_dropped_and_public_never(stand: Stand) -> None:
    sources.shop(stand.source)
    stand.config(target={"dsn": "${TARGET_DSN}", "schema": "Shop 2"})
    before = stand.target_hash()
    assert stand.run().code == 0
    assert stand.sql('select count(*) from "Shop 2".orders') == [(400,)]
    assert stand.rollback().code == 0
    assert stand.target_hash() == before
    assert stand.sql("select nspname::text from pg_namespace where nspname in ('public', 'Shop 2', '_stepflow')") == [
        ("public",)
    ]


def test_back_to_a_phase_and_forward_again(stand: Stand) -> None:
    sources.shop(stand.source)
    first = stand.run()
    back = stand.rollback("--to", "validate")
    assert back.code == 0, back.out
    assert stand.status()["state"] == "waiting"
    again = stand.run()
    assert (again.code, again.last["run"]) == (0, first.last["run"])


def test_the_audit_chain_holds_through_it_all(stand: Stand) -> None:
    sources.shop(stand.source)
    assert stand.run().code == 0
    assert stand.rollback("--reason", "just trying").code == 0
    report = stand.report()
    assert report["audit"]["verified"]
    assert stand.cli("audit", "verify", stand.name).code == 0
    assert "just trying" in stand.cli("audit", "show", stand.name, "--json").out
    ((reason, to),) = [(r["reason"], r["to"]) for r in report["rollbacks"]]
    assert (reason, to) == ("just trying", None)
    assert "just trying" in stand.cli("report", stand.name).out
    assert "just trying" in stand.cli("report", stand.name, "--html").out
