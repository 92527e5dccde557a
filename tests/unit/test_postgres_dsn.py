"""The target's DSN: every form libpq takes, and no secret in anything that is shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow_tui.engine.config_expand import redact_text
from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.facade.compose import holds_password, split_password, with_password
from stepflow_tui.engine.model import dsn_words
from stepflow_tui.engine.model.redact import redactor
from stepflow_tui.engine.postgres.connect import Target

SECRET = "canary-s3cret"


def read(dsn: str | None, schema: str = "public", **env: str) -> Target:
    return Target.from_config(dsn, {"HOME": "/nonexistent", **env}, schema=schema)


@pytest.mark.parametrize(
    ("dsn", "hosts", "database", "user"),
    [
        ("postgresql://u:p@db.example:6000/shop", (("db.example", 6000),), "shop", "u"),
        ("postgres://u:p@db.example/shop", (("db.example", 5432),), "shop", "u"),
        ("postgresql://u:p@[::1]:6000/shop", (("::1", 6000),), "shop", "u"),
        ("postgresql://u:p@/shop?host=/run/x&port=6", (("/run/x", 6),), "shop", "u"),
        ("postgresql://u:p@%2Frun%2Fx:6/shop", (("/run/x", 6),), "shop", "u"),
        ("postgresql://u:p@a:1,b:2/shop", (("a", 1), ("b", 2)), "shop", "u"),
        ("postgresql://u:p@a,b/shop?port=7", (("a", 7), ("b", 7)), "shop", "u"),
        ("postgresql://u:p@h", (("h", 5432),), "u", "u"),
        ("postgresql://u%40corp:p%3A%2F@h/my%20db", (("h", 5432),), "my db", "u@corp"),
    ],
)
def test_uri_forms(dsn: str, hosts: tuple[tuple[str, int], ...], database: str, user: str) -> None:
    target = read(dsn)
    assert (target.hosts, target.database, target.user) == (hosts, database, user)
    assert target.password == ("p:/" if "%3A" in dsn else "p")


@pytest.mark.parametrize(
    ("words", "hosts", "database", "password"),
    [
        ("host=/run/x dbname=shop user=u password=p", (("/run/x", 5432),), "shop", "p"),
        ("  host = /run/x  port = 6\n dbname='my shop'user=u password='' ", (("/run/x", 6),), "my shop", None),
        (r"host=h user=u dbname=d password='it\'s \\ b'", (("h", 5432),), "d", r"it's \ b"),
        (r"host=h user=u dbname=d password=a\ b\'c", (("h", 5432),), "d", "a b'c"),
        ("host=h user=u dbname=it's password=a,b&c", (("h", 5432),), "it's", "a,b&c"),
        ("host=a,b port=1,2 user=u dbname=d", (("a", 1), ("b", 2)), "d", None),
        ("host=a,/run/x port=7 user=u dbname=d", (("a", 7), ("/run/x", 7)), "d", None),
        ("host=a host=::1 user=u application_name='my app'", (("::1", 5432),), "u", None),
        ("dbname='' host=h user=u", (("h", 5432),), "u", None),
    ],
)
def test_keywords_and_values_are_read_as_libpq_reads_them(
    words: str, hosts: tuple[tuple[str, int], ...], database: str, password: str | None
) -> None:
    target = read(words)
    assert (target.hosts, target.database, target.user, target.password) == (hosts, database, "u", password)


def test_an_empty_value_hides_the_environments() -> None:
    assert read("host=h user=u dbname=d port='' password=''", PGPORT="7", PGPASSWORD="other").hosts == (("h", 5432),)
    assert read("host=h user=u dbname=d password=''", PGPASSWORD="other").password is None
    assert read("host=h user=u dbname=d", PGPASSWORD="other").password == "other"


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_a_written_value_is_read_back(value: str) -> None:
    assert dsn_words.options(f"host=h password={dsn_words.quoted(value)} user=u")["password"] == value


@pytest.mark.parametrize("password", ["a,secret&tail;end", r"blank\ and\'quote", "'in quotes \\' it'", "plain-s3cret"])
def test_a_password_among_keywords_is_never_shown(password: str) -> None:
    dsn = f"host=h password={password} dbname=d"
    plain = dsn_words.options(dsn)["password"]
    assert read(dsn).secrets == (plain,)
    redact = redactor(dsn_words.secrets_in(dsn))
    assert redact(f"tried {dsn}: {plain}") == "tried host=h password=*** dbname=d: ***"
    assert redact_text(dsn) == "host=h password=*** dbname=d"
    assert holds_password(dsn)
    address, taken = split_password(dsn)
    assert (address, unquote(taken)) == ("host=h dbname=d", plain)
    assert read(with_password(address, plain)).password == plain


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://u:{SECRET}@h:port/db",
        f"postgresql://u:{SECRET}@h:99999/db",
        f"postgresql://u:{SECRET}@@h/db",
        f"postgresql://u:pa/{SECRET}@h/db",
        f"postgresql://u:{SECRET}#x@h/db",
        f"postgresql://u:{SECRET}%zz@h/db",
        f"postgresql://u:{SECRET}%ff@h/db",
        f"postgresql://u:{SECRET}@h/db?{SECRET}",
        f"postgresql://u:{SECRET}@h/db?{SECRET}=1",
        f"postgresql://u:{SECRET}@h/db?unknown={SECRET}",
        f"postgresql://u:{SECRET}@h/db?sslmode={SECRET}",
        f"postgresql://u:{SECRET}@a,b/db?port=1,2,3",
        f"postgresql://u:{SECRET}@[::1/db",
        f"postgresql+asyncpg://u:{SECRET}@h/db",
        f"jdbc:postgresql://h/db?password={SECRET}",
        f"host=h password='{SECRET}",
        f"host=h password={SECRET} {SECRET}",
        f"host=h {SECRET}=1",
        f"host=h unknown={SECRET}",
        f"host=h,i port=1,2,3 password={SECRET}",
        f"host=h sslmode={SECRET}",
        f"mysql://u:{SECRET}@h/db",
        SECRET,
    ],
)
def test_malformed_uri_never_shows_its_password(dsn: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(dsn)
    shown = f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert SECRET not in shown
    assert caught.value.hint


def test_no_secret_in_repr_or_description() -> None:
    target = read(f"postgresql://u:{SECRET}@h/db?sslpassword={SECRET}&sslmode=require")
    assert SECRET not in repr(target)
    assert SECRET not in target.describe()
    assert target.describe() == "u@h:5432/db"
    assert target.secrets == (SECRET, SECRET)


names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)


@given(user=names, password=names, database=names)
def test_uri_round_trip(user: str, password: str, database: str) -> None:
    target = Target(hosts=(("h", 5432),), user=user, password=password, database=database, sslmode="disable")
    assert read(target.uri()) == target


@pytest.mark.parametrize("hosts", [(("/run/a b", 6),), (("::1", 7),), (("a", 1), ("/s", 2))])
def test_uri_round_trip_of_hosts(hosts: tuple[tuple[str, int], ...]) -> None:
    target = Target(hosts=hosts, user="u", database="d", sslmode="require", options=(("sslcert", "/a b.crt"),))
    assert read(target.uri()) == target


def test_libpq_environment(tmp_path: Path) -> None:
    passfile = tmp_path / ".pgpass"
    passfile.write_text(f"# comment\nother:*:*:*:no\nh:6000:d\\:b:u:{SECRET}\\:\\\\x\n")
    passfile.chmod(0o600)
    env = {"HOME": str(tmp_path), "PGHOST": "h", "PGPORT": "6000", "PGUSER": "u", "PGDATABASE": "d:b"}
    target = Target.from_config(None, env)
    assert (target.hosts, target.user, target.database) == ((("h", 6000),), "u", "d:b")
    assert target.password == f"{SECRET}:\\x"
    passfile.chmod(0o644)
    assert Target.from_config(None, env).password is None, "a file that others may read is ignored"
    assert Target.from_config(None, env | {"PGPASSWORD": "env"}).password == "env"
    assert Target.from_config("postgresql://me:uri@h2/x", env | {"PGPASSWORD": "env"}).password == "uri"


def test_service_file(tmp_path: Path) -> None:
    (tmp_path / ".pg_service.conf").write_text(f"[shop]\nhost=h\nport=7\nuser=u\ndbname=d\npassword={SECRET}%1\n")
    target = Target.from_config(None, {"HOME": str(tmp_path), "PGSERVICE": "shop"})
    assert (target.hosts, target.user, target.database, target.password) == ((("h", 7),), "u", "d", f"{SECRET}%1")
    with pytest.raises(UsageError, match="'other'"):
        Target.from_config(None, {"HOME": str(tmp_path), "PGSERVICE": "other"})


@pytest.mark.parametrize(
    ("dsn", "sslmode"),
    [
        ("postgresql://u@localhost/d", "prefer"),
        ("postgresql://u@127.0.0.1/d", "prefer"),
        ("postgresql://u@[::1]/d", "prefer"),
        ("postgresql://u@/d?host=/run/x", "prefer"),
        ("postgresql://u@db.example/d", "verify-full"),
        ("postgresql://u@localhost,db.example/d", "verify-full"),
        ("postgresql://u@db.example/d?sslmode=require", "require"),
        ("postgresql://u@db.example/d?ssl=true", "require"),
    ],
)
def test_server_beyond_this_machine_must_prove_itself(dsn: str, sslmode: str) -> None:
    target = read(dsn)
    assert target.sslmode == sslmode
    trusted = dict(target.options).get("sslrootcert")
    assert trusted == ("system" if sslmode == "verify-full" else None)


def test_prisma_parameters_are_understood() -> None:
    dsn = "postgresql://u:p@localhost/d?schema=app&connection_limit=5&pgbouncer=true"
    assert read(dsn, schema="app").schema == "app"
    with pytest.raises(UsageError, match="'app'"):
        read(dsn, schema="public")


def test_connect_timeout_is_never_for_ever() -> None:
    assert read("postgresql://u@localhost/d?connect_timeout=0").connect_timeout == 10
    assert read("postgresql://u@localhost/d?connect_timeout=3").connect_timeout == 3


def test_session_pins_everything_that_changes_values() -> None:
    sql = Target(hosts=(("h", 1),), user="u", database="d", schema='we"ird').session_sql()
    for name in (
        "DateStyle",
        "TimeZone",
        "extra_float_digits",
        "bytea_output",
        "standard_conforming_strings",
        "row_security",
    ):
        assert f"set_config('{name}'" in sql
    assert 'pg_catalog, "we""ird", pg_temp' in sql


def test_default_host_is_a_socket_or_loopback() -> None:
    target = read(None)
    assert target.is_local
    assert quote(target.database, safe="") in target.uri()
    assert target.hosts[0][0].startswith("/") or target.hosts[0][0] == "localhost"


def test_application_uri_is_plain() -> None:
    target = Target(hosts=(("db.example", 6000),), user="u", password="p/w", database="d", sslmode="verify-full")
    assert target.application_uri() == "postgresql://u:p%2Fw@db.example:6000/d?sslmode=verify-full"
    assert target.application_uri(password=False) == "postgresql://u@db.example:6000/d?sslmode=verify-full"
    local = Target(hosts=(("/run/x", 5432),), user="u", password="p", database="d")
    assert local.application_uri() == "postgresql://u:p@/d?host=/run/x&port=5432"
