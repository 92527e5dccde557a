"""Every error the driver, the socket or TLS can raise becomes one of ours, with code and hint and without secrets."""

from __future__ import annotations

import errno
import inspect
import re
import socket
import ssl

import asyncpg
import pytest

from stepflow_tui.engine.errors import (
    DiskFull,
    ExitCode,
    Held,
    Refused,
    StepFailed,
    StepFlowError,
    TargetConnectionError,
)
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.errors import pg_errors, redact, sqlstate, translate

PLACE = Target(hosts=(("h", 1),), user="u", database="d", password="p@ss/word")

SERVER_ERRORS = [
    cls
    for _, cls in inspect.getmembers(asyncpg.exceptions, inspect.isclass)
    if issubclass(cls, asyncpg.PostgresError) and getattr(cls, "sqlstate", None)
]
CLIENT_ERRORS = [
    cls
    for _, cls in inspect.getmembers(asyncpg.exceptions, inspect.isclass)
    if issubclass(cls, (asyncpg.InterfaceError, asyncpg.InternalClientError))
]


def test_the_driver_has_the_classes_we_think() -> None:
    assert len(SERVER_ERRORS) > 200
    assert len(CLIENT_ERRORS) >= 6


@pytest.mark.parametrize("cls", [*SERVER_ERRORS, *CLIENT_ERRORS], ids=lambda c: c.__name__)
def test_every_driver_error_maps(cls: type[Exception]) -> None:
    mapped = translate(cls("something"), "do it", PLACE)
    assert isinstance(mapped, StepFlowError)
    assert mapped.code
    assert mapped.hint
    assert mapped.message.endswith(".")
    assert not re.search(r"\{\}|%s", str(mapped))


@pytest.mark.parametrize(
    ("state", "error", "code"),
    [
        ("28P01", TargetConnectionError, "password_refused"),
        ("28000", TargetConnectionError, "password_refused"),
        ("3D000", Refused, "database_missing"),
        ("42501", Refused, "rights"),
        ("25006", Refused, "target_read_only"),
        ("53100", DiskFull, "target_disk_full"),
        ("53300", TargetConnectionError, "too_many_connections"),
        ("08006", TargetConnectionError, "connection_lost"),
        ("08003", TargetConnectionError, "connection_lost"),
        ("57P01", TargetConnectionError, "connection_lost"),
        ("57P02", TargetConnectionError, "connection_lost"),
        ("57P03", TargetConnectionError, "target_starting"),
        ("57014", StepFailed, "cancelled"),
        ("55P03", Held, "lock_held"),
        ("40P01", StepFailed, "conflict"),
        ("22003", StepFailed, "data_refused"),
        ("23505", StepFailed, "constraint_refused"),
        ("XX000", StepFailed, "server_error"),
    ],
)
def test_sqlstates(state: str, error: type[StepFlowError], code: str) -> None:
    exc = asyncpg.PostgresError.new({"S": "ERROR", "C": state, "M": "words", "D": "more"})
    mapped = translate(exc, "copy table x", PLACE)
    assert type(mapped) is error
    assert mapped.code == code
    assert mapped.detail == f"could not copy table x; target u@h:1/d; PostgreSQL {state}: words (more)"


@pytest.mark.parametrize(
    ("exc", "code"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "target_down"),
        (FileNotFoundError(errno.ENOENT, "no socket"), "target_down"),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 111] b"), "target_down"),
        (OSError(errno.EHOSTUNREACH, "no route"), "target_down"),
        (socket.gaierror(-2, "unknown"), "host_unknown"),
        (TimeoutError(), "target_timeout"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "connection_lost"),
        (ssl.SSLCertVerificationError("self-signed"), "tls_refused"),
        (ConnectionError('PostgreSQL server at "h:1" rejected SSL upgrade'), "tls_refused"),
        (asyncpg.InterfaceError("connection is closed"), "connection_lost"),
        (
            asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
            "connection_lost",
        ),
    ],
)
def test_socket_and_tls(exc: Exception, code: str) -> None:
    mapped = translate(exc)
    assert isinstance(mapped, TargetConnectionError)
    assert (mapped.code, mapped.exit_code) == (code, ExitCode.CONNECTION)


def test_unencrypted_login_refused_is_about_tls() -> None:
    exc = asyncpg.PostgresError.new(
        {"C": "28000", "M": 'no pg_hba.conf entry for host "1.2.3.4", user "u", no encryption'}
    )
    mapped = translate(exc)
    assert mapped is not None
    assert mapped.code == "tls_refused"


def test_what_is_not_the_drivers_passes_through() -> None:
    with pytest.raises(KeyError), pg_errors("do it"):
        raise KeyError("x")
    with pytest.raises(OSError, match="No space"), pg_errors("do it"):
        raise OSError(errno.ENOSPC, "No space left on device")
    own = Refused("no")
    with pytest.raises(Refused) as caught, pg_errors("do it"):
        raise own
    assert caught.value is own


def test_secrets_are_removed_and_the_cause_kept() -> None:
    with pytest.raises(StepFlowError) as caught, pg_errors("connect", PLACE):
        raise asyncpg.PostgresError.new({"C": "XX000", "M": "bad p@ss/word and p%40ss%2Fword"})
    assert "p@ss/word" not in str(caught.value)
    assert "p%40ss" not in str(caught.value)
    assert caught.value.__cause__ is None, "the driver's own text shows the password"
    with pytest.raises(StepFlowError) as kept, pg_errors("connect", PLACE):
        raise asyncpg.PostgresError.new({"C": "40001", "M": "conflict"})
    assert sqlstate(kept.value) == "40001"
    assert redact("postgresql://u:x y@h/d") == "postgresql://u:x y@h/d"
    assert redact("postgresql://u:xy@h/d") == "postgresql://u:***@h/d"
