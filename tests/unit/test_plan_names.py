"""Target names: 63 bytes, no collisions, case kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stepflow_tui.engine.model.config import Tables
from stepflow_tui.engine.plan.names import SYSTEM_COLUMNS, Namespace, chosen, column_names, fits, renamed, short_name

ANY_NAME = st.text(st.characters(codec="utf-8"), max_size=90)


def test_a_name_that_fits_stays_as_it_is() -> None:
    assert short_name("Order/Notes (old)") == "Order/Notes (old)"
    assert short_name("x" * 63) == "x" * 63


def test_long_names_are_cut_in_bytes_and_stay_different() -> None:
    one, other = short_name("日本語" * 8), short_name("日本語" * 8 + "!")
    assert one != other
    assert all(fits(n) and n.startswith("日本語") for n in (one, other))


def test_system_columns_and_the_empty_name_are_replaced() -> None:
    names = column_names(["xmin", "", "xmin_", "oid", "CTID"])
    assert names == {"xmin": "xmin__2", "": "unnamed", "xmin_": "xmin_", "oid": "oid", "CTID": "CTID"}


@given(st.lists(ANY_NAME, unique=True, max_size=30))
def test_columns_never_collide(sources: list[str]) -> None:
    names = column_names(sources)
    assert list(names) == sources
    assert len(set(names.values())) == len(sources)
    assert all(fits(n) and n not in SYSTEM_COLUMNS for n in names.values())
    assert all(names[n] == n for n in sources if fits(n) and n not in SYSTEM_COLUMNS)


@given(st.lists(ANY_NAME, max_size=30))
def test_a_namespace_never_gives_a_name_twice(wanted: list[str]) -> None:
    space = Namespace()
    taken = [space.take(w) for w in wanted]
    assert len(set(taken)) == len(taken)
    assert all(fits(t) for t in taken)


def test_tables_are_chosen_by_pattern_and_renamed() -> None:
    tables = Tables(include=("a*", "x"), exclude=("ab",), rename={"AC": "Other"})
    assert [n for n in ("a", "ab", "ac", "x", "y") if chosen(n, tables)] == ["a", "ac", "x"]
    assert (renamed("ac", tables.rename), renamed("a", tables.rename)) == ("Other", None)
