"""Odd and hostile files, each through a whole scenario: every table arrives exactly, or the report names it."""

from __future__ import annotations

import pytest

from tests.acceptance import sources
from tests.acceptance.compare import compare
from tests.acceptance.harness import Stand, once, scenario
from tests.acceptance.hostile import CASES, Case, make

THERE_AND_BACK = {
    "nul_and_bad_utf8", "generated_columns", "collations", "names", "orphans", "circular_keys", "full_text",
    "triggers_and_views", "sequences", "expression_indexes", "defaults", "no_tables_but_a_view",
}  # fmt: skip
"""Cases with something of every sort to take back; the others differ in their values, which a rollback doesn't look at."""


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_row_arrives_or_is_named(case: Case, stand: Stand) -> None:
    make(case, stand.source)
    report = (scenario if case.name in THERE_AND_BACK else once)(stand, case.exit_code)
    assert report["result"] == ("completed" if case.exit_code == 0 else "incomplete")
    said = str([report[k] for k in ("objects", "rejects", "findings", "tables")])
    assert [word for word in case.named if word not in said] == []


SLIGHT_CHANGES = (
    "update orders set total = total + 0.01 where id = 400",
    "update orders set note = note || '\\x00' where id = 1",
    "update orders set note = '' where id = 2",
    "update orders set customer_id = null where id = 3",
    "update customer set email = email || ' ' where id = 4",
    "update customer set since = since + 1 where id = 5",
    "delete from orders where id = 6",
    "insert into orders(id, customer_id) values (401, 1)",
    "update orders set id = 500 where id = 7",
)


def test_the_comparison_notices_what_it_is_there_for(stand: Stand) -> None:
    """A negative control: each of these changes, alone, is a failure of the comparison used everywhere here."""
    sources.shop(stand.source)
    report = once(stand, 0)
    for change in SLIGHT_CHANGES:
        stand.sql(
            "create table kept_orders as table orders", "create table kept_customer as table customer", "select 1"
        )
        stand.sql("set session_replication_role = replica", change, "select 1")
        with pytest.raises(AssertionError, match="rows"):
            compare(stand, report)
        stand.sql("set session_replication_role = replica", "truncate orders, customer", "insert into orders table kept_orders",
                  "insert into customer table kept_customer", "drop table kept_orders, kept_customer", "select 1")  # fmt: skip
        compare(stand, report)
