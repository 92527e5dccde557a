"""Which columns are sensitive, and what is shown of them."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.model.discrepancy import DiffClass, Discrepancy, RangeDigest, Truth
from stepflow_tui.engine.model.redact import redactor
from stepflow_tui.engine.model.schema import (
    Affinity,
    Generated,
    SourceColumn,
    SourceForeignKey,
    SourceSchema,
    SourceTable,
    TableKind,
)
from stepflow_tui.engine.model.sensitive import Mask, is_fingerprint, make_mask, mask_key, sensitive_columns
from stepflow_tui.engine.model.sensitive_names import proposed
from stepflow_tui.engine.postgres.errors import discreet, sqlstate, translate

MASK = Mask(key=b"k", columns={"users": frozenset({"email"})})


PROPOSED = """
email e_mail eMail userEMail E-Mail email2 EMAIL_ADDRESS emails email_id password passwordHash user_pass pwd PW token refreshToken
HTTPToken client_secret api_key APIKey apikey session_id phone homePhone mobile tel fax card card_number creditCard cvv iban tax_id
accountNumber 密码 用户手机号 contraseña teléfono
"""
ORDINARY = """
id name mailbox_id mailing_list emailed_at email_verified_at email_verified emailCount hotel compass passenger telling cardinal card_id
cardType token_type token_expires_at max_tokens is_mobile has_password postcard discard secretary notes 名称 key phone_type _ 42
"""


@pytest.mark.parametrize("name", PROPOSED.split())
def test_names_that_are_proposed(name: str) -> None:
    assert proposed(name)


@pytest.mark.parametrize("name", ["", *ORDINARY.split()])
def test_names_that_are_not(name: str) -> None:
    assert not proposed(name)


def column(name: str, expression: str | None = None) -> SourceColumn:
    return SourceColumn(
        name=name,
        declared="TEXT",
        affinity=Affinity.TEXT,
        expression=expression,
        generated=Generated.STORED if expression else Generated.NO,
    )


def schema(*tables: SourceTable) -> SourceSchema:
    return SourceSchema(
        encoding="UTF-8", page_size=4096, page_count=1, journal_mode="delete", schema_version=1, user_version=0,
        application_id=0, tables=tables,
    )  # fmt: skip


def table(name: str, *columns: SourceColumn, keys: tuple[SourceForeignKey, ...] = ()) -> SourceTable:
    return SourceTable(name=name, kind=TableKind.ORDINARY, columns=columns, sql="", foreign_keys=keys)


def test_config_names_and_ties_add_up() -> None:
    reference = SourceForeignKey(columns=("who",), ref_table="USERS", ref_columns=("email",))
    again = SourceForeignKey(columns=("by",), ref_table="logins", ref_columns=("who",))
    found = sensitive_columns(
        schema(
            table("users", column("id"), column("Email"), column("Salary"), column("short", "substr(EMAIL, 1, 3)")),
            table("logins", column("who"), column("at"), keys=(reference,)),
            table("visits", column("by"), keys=(again,)),
            table("plain", column("id")),
        ),
        {"USERS": ("salary", "nothing"), "nowhere": ("x",)},
    )
    assert found == {
        "users": {"Email": "name", "Salary": "configured", "short": "tied"},
        "logins": {"who": "tied"},
        "visits": {"by": "tied"},
    }


def test_a_reference_does_not_make_its_parent_sensitive() -> None:
    reference = SourceForeignKey(columns=("token",), ref_table="tokens", ref_columns=("id",))
    found = sensitive_columns(schema(table("a", column("token"), keys=(reference,)), table("tokens", column("id"))), {})
    assert found == {"a": {"token": "name"}}


def test_equal_values_have_equal_fingerprints_and_others_do_not() -> None:
    values: list[Any] = [1, 1.0, "1", b"1", "", b"", 0, -0.0, 0.0, "\ud800", "é"]
    shown = [MASK.fingerprint(v) for v in values]
    assert shown == [MASK.fingerprint(v) for v in values]
    assert len(set(shown)) == len(values)
    assert all(map(is_fingerprint, shown))
    assert Mask(key=b"other").fingerprint(1) != shown[0]


def test_only_sensitive_parts_of_a_key_are_hidden() -> None:
    key = MASK.shown_key("users", {"id": 7, "email": "a@b.c", "rowid": None})
    assert key == {"id": 7, "email": MASK.fingerprint("a@b.c"), "rowid": None}
    assert MASK.shown_key("users", key) == key, "twice hides no more than once"
    assert MASK.shown_key("other", {"email": "a@b.c"}) == {"email": "a@b.c"}
    assert MASK.shown("users", "email", None) is None


def test_the_key_shows_in_no_repr_and_is_not_the_secret() -> None:
    secret = b"s" * 32
    mask = make_mask(mask_key(secret), {"users": {"email": "name"}}, {"users": {"pin": "configured"}})
    assert mask.key != secret
    assert repr(mask.key) not in repr(mask)
    assert mask.columns == {"users": frozenset({"email", "pin"})}
    assert mask.covers("users", None)
    assert not mask.of("other").covers("users", None)


def test_the_truth_of_a_difference_is_written_nowhere() -> None:
    found = Discrepancy(
        table="users", key={"email": "#fp:0123456789"}, column=None, cls=DiffClass.EXTRA, source=None, target="x",
        truth=Truth(key={"email": "canary"}, repair_sql="delete canary"),
    )  # fmt: skip
    assert "canary" not in repr(found)
    assert "canary" not in str(to_plain(found))
    assert found.true_key == {"email": "canary"}


def test_a_fingerprint_after_password_is_no_password() -> None:
    redact = redactor(())
    assert redact("password=#fp:0123456789, x=1") == "password=#fp:0123456789, x=1"
    assert redact("password=#fp:hunter2, x=1") == "password=***, x=1"


def refusal(state: str, message: str, **fields: str) -> Exception:
    """An error as the server sends it."""
    codes = {"detail": "D", "column": "c", "table": "t", "constraint": "n"}
    made: Exception = asyncpg.PostgresError.new({"C": state, "M": message} | {codes[k]: v for k, v in fields.items()})
    return made


@pytest.mark.parametrize(
    "error",
    [
        refusal("22P02", 'invalid input syntax for type uuid: "canary"'),
        refusal("22P02", "ungültige Eingabesyntax für Typ uuid: »canary«"),
        refusal("22021", 'invalid byte sequence for encoding "UTF8": canary'),
        refusal("23505", "duplicate key", detail="Key (email)=(canary) already exists.", constraint="users_email_key"),
        refusal("23505", "duplicate key", detail="Schlüssel »(id, email)=(1, canary)« existiert bereits."),
        refusal("23505", "duplicate key", detail="Key (lower(email))=(canary) is duplicated."),
        refusal("23502", "null value", detail="Failing row contains (1, canary).", column="x", table="users"),
        refusal("P0001", "no: canary", detail="Key (id)=(1) is odd."),
        asyncpg.DataError("invalid input for query argument $1: 'canary' (expected int)"),
        asyncpg.exceptions.DataError("canary"),
    ],
    ids=str,
)
def test_the_servers_words_do_not_quote_sensitive_values(error: Exception) -> None:
    hidden = frozenset({"email"})
    said = translate(error, "copy users", None, hidden)
    assert said is not None
    assert "canary" not in f"{said!r} {said.detail} {discreet(error, hidden)!r} {discreet(error, hidden)}"
    assert sqlstate(discreet(error, hidden)) == sqlstate(error), "what it is about stays"
    assert discreet(error, frozenset()) is error


def test_words_about_other_columns_stay() -> None:
    error = refusal("23505", "duplicate key", detail="Key (id)=(7) already exists.")
    assert discreet(error, {"email"}) is error
    other = refusal("22P02", 'invalid input syntax for type bigint: "x"')
    assert discreet(other, {"email"}, column="id") is other
    lost = refusal("57P01", "terminating connection")
    assert discreet(lost, {"email"}) is lost
    assert "users_email_key" in str(discreet(refusal("23505", "d", constraint="users_email_key"), {"email"}))


def test_bounds_of_ranges_are_hidden() -> None:
    from stepflow_tui.engine.model.plan import ColumnPlan, Compare, CompareKind, TablePlan, Walk, WalkKind
    from stepflow_tui.engine.model.types import ColumnType, Kind
    from stepflow_tui.engine.verify.hidden_bounds import hide_bounds

    text = ColumnType(kind=Kind.TEXT, sql="text")
    columns = tuple(ColumnPlan(source=n, target=n, declared="TEXT", type=text) for n in ("n", "email"))
    keyed = TablePlan(
        source="users", schema="public", name="users", columns=columns, walk=Walk(kind=WalkKind.SINGLE),
        compare=Compare(kind=CompareKind.KEY, columns=("n", "email")),
    )  # fmt: skip
    whole = RangeDigest(n=0, lo=None, hi='["a", "canary"]', rows=1, sha256="ab")
    first = RangeDigest(n=1, lo='["canary"]', hi=None, rows=1, sha256="column1:ab")
    hidden = hide_bounds([whole, first], keyed, MASK)
    assert "canary" not in str(hidden)
    assert hidden[0].hi == f'["a", "{MASK.fingerprint("canary")}"]'
    assert hide_bounds([whole], keyed, Mask()) == (whole,)
