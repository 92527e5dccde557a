"""Turns what asyncpg, the socket and TLS raise into our errors, by SQLSTATE, with code and hint, without secrets."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import quote

from stepflow_tui.engine.errors import (
    DiskFull,
    Drift,
    Held,
    Refused,
    StepFailed,
    StepFlowError,
    TargetConnectionError,
    UsageError,
)

if TYPE_CHECKING:
    import asyncpg


class Place(Protocol):
    """What a message needs to know about the target."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts to remove."""
        ...

    def describe(self) -> str:
        """Server, user and database."""
        ...


class _Rule(NamedTuple):
    error: type[StepFlowError]
    code: str
    what: str
    hint: str = ""


_LOST = _Rule(
    TargetConnectionError, "connection_lost", "The connection to the target was lost.",
    "Nothing is lost: when the server is back, `stepflow run` goes on from the last checkpoint.",
)  # fmt: skip
_PASSWORD = _Rule(
    TargetConnectionError, "password_refused", "The target refuses the login.",
    "Check user and password of `target.dsn` (or PGUSER, PGPASSWORD, ~/.pgpass with mode 0600); the role may not exist: "
    "`stepflow check` prints the SQL that makes it.",
)  # fmt: skip
_TLS = _Rule(
    TargetConnectionError, "tls_refused", "No trusted TLS connection to the target.",
    "Give `sslrootcert=FILE` in `target.dsn` to trust its certificate, or choose `sslmode=require` (encrypted, server not "
    "proved) or `sslmode=disable` on a trusted network.",
)  # fmt: skip
_DOWN = _Rule(
    TargetConnectionError, "target_down", "Nothing answers at the target's address.",
    "Start the server, or correct host and port of `target.dsn`.",
)  # fmt: skip

_BY_STATE: dict[str, _Rule] = {
    "28P01": _PASSWORD,
    "28000": _PASSWORD,
    "3D000": _Rule(
        Refused, "database_missing", "The target database does not exist.",
        "`stepflow check` prints the SQL that makes it; `stepflow check --create-target` runs it with an administrator's DSN.",
    ),
    "42501": _Rule(
        Refused, "rights", "The target's role lacks a right.", "`stepflow check` prints the exact GRANT statements."
    ),
    "25006": _Rule(
        Refused, "target_read_only", "The target takes no writes.",
        "It is a standby or set read-only: give the primary's address, or clear default_transaction_read_only.",
    ),
    "0A000": _Rule(StepFailed, "not_supported", "The server does not support a statement."),
    "53100": _Rule(DiskFull, "target_disk_full", "The target's disk is full."),
    "53200": _Rule(
        StepFailed, "target_memory", "The server is out of memory.", "Lower maintenance_work_mem or `copy.streams`, then run again."
    ),
    "53300": _Rule(
        TargetConnectionError, "too_many_connections", "The server has no connection left.",
        "Close idle connections, raise max_connections or the role's CONNECTION LIMIT, or lower `copy.streams`.",
    ),
    "55006": _Rule(Held, "object_in_use", "Someone else is using an object of the target.", "End their sessions, then run again."),
    "55P03": _Rule(Held, "lock_held", "Someone else holds a lock on the target.", "End their transaction, then run again."),
    "57014": _Rule(StepFailed, "cancelled", "The statement was cancelled on the server."),
    "57P03": _Rule(
        TargetConnectionError, "target_starting", "The server does not take connections yet (starting, stopping or recovering).",
        "Wait until it is ready, then run again.",
    ),
    "57P04": _Rule(Refused, "database_missing", "The target database was dropped.", "Make it again, then `stepflow run --new`."),
    "25P03": _LOST,
    "25P04": _LOST,
}  # fmt: skip

_CHANGED = _Rule(Drift, "target_changed", "The target no longer looks as planned.")
_BY_CLASS: dict[str, _Rule] = {
    "08": _LOST,
    "57": _LOST,  # administrator's shutdown, crash of a neighbour, idle timeouts
    "28": _PASSWORD,
    "22": _Rule(StepFailed, "data_refused", "The target refuses a value.", "The report names the row; correct it in the source, or its type in `types`."),
    "23": _Rule(StepFailed, "constraint_refused", "A row breaks a constraint of the target.", "The report names the row; correct it, or drop the constraint."),
    "40": _Rule(StepFailed, "conflict", "The server ended the transaction because of a conflict with another one.", "Run again: it goes on from the last checkpoint."),
    "42": _Rule(StepFailed, "sql_refused", "The server refuses a statement.", "This is a defect of the plan for this source: please report it with the detail above."),
    "53": _Rule(StepFailed, "target_resources", "The server lacks a resource.", "Raise the limit the detail names, then run again."),
    "54": _Rule(StepFailed, "target_limit", "A limit of PostgreSQL is exceeded.", "Leave the object out with `tables.exclude`, or split it in the source."),
    "3F": _CHANGED,
}  # fmt: skip
_BY_STATE |= dict.fromkeys(("42P01", "42703", "42704", "42883", "42P06", "42P07", "42701", "42710", "42P04"), _CHANGED)
_OTHER = _Rule(
    StepFailed, "server_error", "The server reports an error.", "Look into the server's log, then `stepflow run` again."
)


def redact(text: str, secrets: tuple[str, ...] = ()) -> str:
    """The text without the secrets (also in their percent-encoded form) and without any `user:password@` of a URI."""
    for secret in sorted({s for one in secrets for s in (one, quote(one, safe="")) if s}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return re.sub(r"(://[^/\s:@]*):[^/\s]*@", r"\1:***@", text)


@contextmanager
def pg_errors(doing: str, place: Place | None = None, hidden: Collection[str] = ()) -> Iterator[None]:
    """Runs a block (awaits included) and maps whatever the driver raises in it.

    Args:
        doing: what was attempted, as an infinitive ("copy table x"); it stands in the detail.
        place: the target; its secrets are removed from every text.
        hidden: names of sensitive columns (of the target): what the server quotes of their values is left out.

    Raises:
        StepFlowError: the mapped error, `from` the driver's own.
    """
    try:
        yield
    except StepFlowError:
        raise
    except Exception as exc:
        mapped = translate(exc, doing, place, hidden)
        if mapped is None:
            raise
        raise mapped from _clean(discreet(exc, hidden), place)


def _clean(exc: Exception, place: Place | None) -> Exception | None:
    """The cause, unless its own text shows a secret: a traceback would print it."""
    secrets = place.secrets if place else ()
    text = f"{exc!r} {exc}"
    return exc if redact(text, secrets) == text else None


def translate(
    exc: BaseException, doing: str = "", place: Place | None = None, hidden: Collection[str] = ()
) -> StepFlowError | None:
    """Our error for a driver's, None for one that isn't the driver's, the socket's or TLS'."""
    rule = _rule(exc)
    if rule is None:
        return None
    exc = discreet(exc, hidden)
    secrets = place.secrets if place else ()
    parts = [f"could not {doing}" if doing else "", f"target {place.describe()}" if place else "", _words(exc)]
    detail = redact("; ".join(part for part in parts if part), secrets)
    return rule.error(rule.what, detail=detail, hint=rule.hint, code=rule.code)


_QUOTING = ("22", "23", "44", "P0")
"""SQLSTATE classes whose messages may quote values: data, constraints, views with a check, what triggers raise."""

_KEY = re.compile(r"^[^(]*\((.*?)\)=\(", re.DOTALL)


def discreet(exc: Any, hidden: Collection[str], *, column: str | None = None) -> Any:
    """A server's error without values of hidden columns: under its own code, with the names it is about.

    Patterns of the server's words would depend on its language: what may quote a value is left out as a whole, but for a
    DETAIL that names other columns only.

    Args:
        exc: any exception; others than such errors come back as they are.
        hidden: the target's names of sensitive columns of the tables this is about; nothing is hidden where it is empty.
        column: the column it is known to be about.
    """
    import asyncpg

    if not hidden or (column is not None and column not in hidden):
        return exc
    if isinstance(exc, asyncpg.InterfaceError) and isinstance(exc, ValueError):  # "invalid input for query argument"
        return asyncpg.InterfaceError(WITHHELD)
    if not isinstance(exc, asyncpg.PostgresError) or not sqlstate(exc).startswith(_QUOTING):
        return exc
    detail = getattr(exc, "detail", None) or ""
    key = _KEY.match(detail)
    if key is not None and sqlstate(exc).startswith("23") and not any(name in key[1] for name in hidden):
        return exc
    fields = {"C": sqlstate(exc), "M": f"{_condition(exc)} ({WITHHELD})"}
    return asyncpg.PostgresError.new(fields)


WITHHELD = "the server's words may quote a sensitive column and are left out"


def _condition(exc: Any) -> str:
    """What the SQLSTATE means, and the constraint, table and column it is about, as far as the server names them."""
    meaning = " ".join(re.findall(r"[A-Z][a-z]*|[A-Z]+", type(exc).__name__.removesuffix("Error"))).lower()
    parts = ("constraint", "table", "column")
    names = [f"{part} {name}" for part in parts if (name := getattr(exc, f"{part}_name", None))]
    return ", ".join([meaning, *names])


def _rule(exc: BaseException) -> _Rule | None:
    import asyncpg

    if isinstance(exc, asyncpg.PostgresError):
        return _server_rule(exc)
    if isinstance(exc, asyncpg.exceptions.ClientConfigurationError):
        return _TLS if "certificate" in str(exc) else _Rule(UsageError, "dsn", "The connection settings can't be used.")
    if isinstance(exc, (asyncpg.InterfaceError, asyncpg.InternalClientError)):
        return _client_rule(exc)
    if isinstance(exc, ssl.SSLError):
        return _TLS
    if isinstance(exc, OSError):
        return _socket_rule(exc)
    return None


def _server_rule(exc: asyncpg.PostgresError) -> _Rule:
    state = sqlstate(exc)
    if state == "28000" and re.search(r"no encryption|SSL off|GSS", str(exc)):
        return _TLS._replace(what="The target does not take this login over an unencrypted connection.", hint=(
            "Set `sslmode=require` (or verify-full) in `target.dsn`, or allow it in the server's pg_hba.conf."
        ))  # fmt: skip
    return _BY_STATE.get(state) or _BY_CLASS.get(state[:2]) or _OTHER


def sqlstate(exc: BaseException) -> str:
    """The five characters, "" when the error has none. Follows `__cause__`, so it works on mapped errors too."""
    seen: BaseException | None = exc
    while seen is not None:
        state = getattr(seen, "sqlstate", None)
        if isinstance(state, str):
            return state
        seen = seen.__cause__
    return ""


def _client_rule(exc: Exception) -> _Rule:
    import asyncpg

    if isinstance(exc, asyncpg.exceptions.TargetServerAttributeNotMatched):
        return _DOWN._replace(
            code="target_attributes", what="No host of the DSN has the asked-for `target_session_attrs`."
        )
    if isinstance(exc, asyncpg.exceptions.ProtocolError):
        return _DOWN._replace(
            code="not_postgresql", what="What answers at the target's address does not speak PostgreSQL's protocol."
        )
    # "cannot switch to state": the server's last words arrived between two messages of ours
    if re.search(
        r"connection (is|was|has been) (closed|released)|underlying connection|cannot switch to state", str(exc)
    ):
        return _LOST
    if "password" in str(exc):
        return _PASSWORD
    return _Rule(
        StepFailed,
        "driver",
        "The PostgreSQL driver refuses a call.",
        "This is a defect: please report it with the detail above.",
    )


def _socket_rule(exc: OSError) -> _Rule | None:
    if isinstance(exc, socket.gaierror):
        return _DOWN._replace(code="host_unknown", what="The target's host name is not known.")
    if isinstance(exc, TimeoutError):
        return _DOWN._replace(code="target_timeout", what="The target does not answer in time.", hint=(
            "A firewall may drop the packets: check host, port and network from this machine."
        ))  # fmt: skip
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return None  # a disk of this machine: whoever writes the file says which
    if isinstance(exc, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return _LOST
    if re.search(r"SSL|TLS", str(exc)):
        return _TLS
    if isinstance(exc, (ConnectionError, FileNotFoundError, PermissionError)) or exc.errno in _UNREACHABLE:
        return _DOWN
    return _DOWN if "Multiple exceptions" in str(exc) else None


_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENOTSOCK, errno.EADDRNOTAVAIL})


def _words(exc: BaseException) -> str:
    import asyncpg

    if isinstance(exc, asyncpg.PostgresError):
        detail = f" ({exc.detail})" if getattr(exc, "detail", None) else ""
        return f"PostgreSQL {sqlstate(exc)}: {exc.args[0] if exc.args else ''}{detail}"
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
