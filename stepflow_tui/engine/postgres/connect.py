"""Where the target is and how to get in: `Target`, and connections with a pinned session."""

from __future__ import annotations

import getpass
import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from stepflow_tui.engine.errors import TargetConnectionError, UsageError
from stepflow_tui.engine.plan.quote import pg_ident, pg_literal
from stepflow_tui.engine.postgres import dsn as dsn_parts
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.passfile import DEFAULT_SOCKET_FOLDERS, find_password, home, read_service

if TYPE_CHECKING:
    import asyncio
    import ssl

    import asyncpg

APPLICATION_NAME = "stepflow"
CONNECT_TIMEOUT_SECONDS = 10.0

_KEEPALIVE = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""libpq's names; a peer that vanished without a word is noticed after a minute."""


def _is_local(host: str) -> bool:
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A PostgreSQL database and how to reach it.

    `hosts` are tried in order; a host that starts with `/` is a socket folder. `schema` is where the tables go.
    `options` are further libpq parameters (TLS files, `options`, `target_session_attrs` …). `password` and `options`
    stay out of `repr`.
    """

    hosts: tuple[tuple[str, int], ...]
    database: str
    user: str
    password: str | None = field(default=None, repr=False)
    sslmode: str = "prefer"
    schema: str = "public"
    connect_timeout: float = CONNECT_TIMEOUT_SECONDS
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def from_config(cls, dsn: str | None, env: Mapping[str, str], *, schema: str = "public") -> Target:
        """The target a config names.

        Without `sslmode` anywhere, a server beyond this machine must prove who it is (`verify-full`): libpq's own
        default would accept anyone. Reads small local files (.pgpass, service file).

        Args:
            dsn: a `postgresql://` URI, or libpq's keywords and values; None takes everything from libpq's environment and ~/.pgpass.
            env: the environment, usually `os.environ`.
            schema: the schema of the tables.

        Raises:
            UsageError: the address can't be read (its text is never repeated), or contradicts `schema`.
        """
        given = dsn_parts.parse(dsn) if dsn is not None else {}
        params = dsn_parts.from_environment(env) | given
        if "service" in params:
            params = dsn_parts.from_environment(env) | read_service(params["service"], env) | given
        # an empty value in the address hides the environment's, and means libpq's default
        params = {key: value for key, value in params.items() if value}
        if given.get("schema", schema) != schema:
            raise UsageError(
                f"The DSN names the schema {given['schema']!r}, `target.schema` is {schema!r}.",
                hint="Set `target.schema` to the schema the tables shall go to, and make both the same.",
                code="dsn_schema",
            )
        params.setdefault("host", _default_host())
        hosts = dsn_parts.host_list(params)
        user = params.get("user") or getpass.getuser()
        database = params.get("dbname") or user
        password = params.get("password")
        if password is None:
            passfile = Path(params["passfile"]) if "passfile" in params else home(env) / ".pgpass"
            password = find_password(passfile, hosts, database, user)
        further = (*dsn_parts.TLS_OPTIONS, *dsn_parts.SESSION_OPTIONS, *dsn_parts.LIBPQ_ONLY)
        sslmode, options = _tls(params, hosts, env, {k: params[k] for k in further if k in params})
        return cls(
            hosts=hosts, database=database, user=user, password=password, sslmode=sslmode, schema=schema,
            connect_timeout=_timeout(params), options=tuple(sorted(options.items())),
        )  # fmt: skip

    def at(self, database: str) -> Target:
        """The same server and user, another database."""
        return replace(self, database=database)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must appear in no message."""
        return tuple(s for s in (self.password, dict(self.options).get("sslpassword")) if s)

    @property
    def is_local(self) -> bool:
        """Whether every host is this machine (socket or loopback)."""
        return all(_is_local(host) for host, _ in self.hosts)

    def describe(self) -> str:
        """`user@host:port/database`, without secrets."""
        places = ",".join(f"[{h}]:{p}" if ":" in h else f"{h}:{p}" for h, p in self.hosts)
        return f"{self.user}@{places}/{self.database}"

    def uri(self) -> str:
        """A libpq URI **with the password**, for worker processes; never to be shown or stored."""
        auth = quote(self.user, safe="") + (f":{quote(self.password, safe='')}" if self.password else "")
        query = {"sslmode": self.sslmode, "connect_timeout": str(max(2, round(self.connect_timeout)))}
        query |= {"application_name": APPLICATION_NAME} | _KEEPALIVE | dict(self.options)
        return self._assemble(auth, query)

    def application_uri(self, *, password: bool = True) -> str:
        """What an application puts into DATABASE_URL: short, so that every driver takes it.

        Args:
            password: False leaves it out, for reports.
        """
        auth = quote(self.user, safe="") + (f":{quote(self.password, safe='')}" if self.password and password else "")
        return self._assemble(auth, {} if self.is_local else {"sslmode": self.sslmode})

    def _assemble(self, auth: str, query: dict[str, str]) -> str:
        place = ""
        if len(self.hosts) == 1 and not self.hosts[0][0].startswith("/"):
            host, port = self.hosts[0]
            place = f"[{host}]:{port}" if ":" in host else f"{quote(host, safe='')}:{port}"
        else:
            query |= {"host": ",".join(h for h, _ in self.hosts), "port": ",".join(str(p) for _, p in self.hosts)}
        rest = f"?{urlencode(query, quote_via=quote, safe='/,')}" if query else ""
        return f"postgresql://{auth}@{place}/{quote(self.database, safe='')}{rest}"

    def session_sql(self) -> str:
        """One statement that pins everything in a session that changes how values or names are read.

        Statement after connect, not startup parameters: poolers refuse those they don't know.
        """
        return "select " + ", ".join(
            f"set_config({pg_literal(name)},{pg_literal(value)},false)" for name, value in self._settings().items()
        )

    def _settings(self) -> dict[str, str]:
        return {
            "DateStyle": "ISO, YMD",
            "IntervalStyle": "postgres",
            "TimeZone": "UTC",
            "extra_float_digits": "3",
            "bytea_output": "hex",
            "standard_conforming_strings": "on",
            "client_min_messages": "warning",
            # nothing outside pg_catalog and the tables' own schema can stand in for a name
            "search_path": f"pg_catalog, {pg_ident(self.schema)}, pg_temp",
            # rows hidden by a policy are an error, never silently missing
            "row_security": "off",
            # an index on a large table takes longer than any default meant for applications
            "statement_timeout": "0",
            "idle_in_transaction_session_timeout": "0",
            "default_transaction_isolation": "read committed",
        }

    async def connect(self, *, database: str | None = None) -> asyncpg.Connection:
        """A connection with a pinned session. The caller closes it.

        Args:
            database: another database of the same server.

        Raises:
            TargetConnectionError, Refused: by cause, with hint.
        """
        import asyncpg
        from asyncpg.connect_utils import SessionAttribute

        aim = self if database is None else self.at(database)
        aim._need_tls_files()
        with pg_errors("connect to the target", aim):
            connection = await asyncpg.connect(
                f"postgresql://?{urlencode(aim._asyncpg_tls(), quote_via=quote, safe='/')}",
                host=[host for host, _ in aim.hosts],
                port=[port for _, port in aim.hosts],
                user=aim.user,
                password=aim.password,
                database=aim.database,
                passfile=f"{os.devnull}/none",  # already read
                ssl=aim._context(),
                timeout=aim.connect_timeout,
                statement_cache_size=0,  # prepared statements don't survive a transaction pooler
                server_settings=aim._startup(),
                target_session_attrs=SessionAttribute(dict(aim.options).get("target_session_attrs", "any")),
            )
            try:
                _keep_alive(connection)
                await connection.fetchrow(aim.session_sql())
            except BaseException:
                connection.terminate()
                raise
        return connection

    def _startup(self) -> dict[str, str]:
        options = dict(self.options).get("options")
        return {"application_name": APPLICATION_NAME} | ({"options": options} if options else {})

    def _asyncpg_tls(self) -> dict[str, str]:
        tls = {k: v for k, v in self.options if k in dsn_parts.TLS_OPTIONS}
        return {"sslmode": self.sslmode} | ({} if tls.get("sslrootcert") == "system" else tls)

    def _need_tls_files(self) -> None:
        for name, value in self.options:
            if (
                name in ("sslrootcert", "sslcert", "sslkey", "sslcrl")
                and value != "system"
                and not os.access(value, os.R_OK)
            ):
                raise TargetConnectionError(
                    "A file of the target's TLS settings can't be read.",
                    detail=f"{name}={value}",
                    hint="Correct the path in `target.dsn` (or PGSSLROOTCERT, PGSSLCERT, PGSSLKEY, PGSSLCRL).",
                    code="tls_refused",
                )

    def _context(self) -> ssl.SSLContext | None:
        """A context where asyncpg can't build one itself: the system's certificate store."""
        if dict(self.options).get("sslrootcert") != "system":
            return None
        import ssl

        options = dict(self.options)
        context = ssl.create_default_context()
        if "sslcert" in options:
            context.load_cert_chain(options["sslcert"], options.get("sslkey"), lambda: options.get("sslpassword", ""))
        return context


def _default_host() -> str:
    for folder in DEFAULT_SOCKET_FOLDERS:
        if Path(folder, ".s.PGSQL.5432").exists():
            return folder
    return "localhost"


def _timeout(params: Mapping[str, str]) -> float:
    text = params.get("connect_timeout", "")
    # libpq reads 0 as "for ever"; a run must never hang
    return float(text) if text.isdigit() and int(text) > 0 else CONNECT_TIMEOUT_SECONDS


def _tls(
    params: Mapping[str, str], hosts: tuple[tuple[str, int], ...], env: Mapping[str, str], options: dict[str, str]
) -> tuple[str, dict[str, str]]:
    sslmode = params.get("sslmode")
    if sslmode is None:
        sslmode = "prefer" if all(_is_local(host) for host, _ in hosts) else "verify-full"
        if sslmode == "verify-full" and not (home(env) / ".postgresql" / "root.crt").exists():
            options.setdefault("sslrootcert", "system")
    if sslmode not in dsn_parts.SSL_MODES:
        raise UsageError(
            "`sslmode` of the target is not known.",
            detail="one of " + ", ".join(dsn_parts.SSL_MODES),
            hint="Correct sslmode in `target.dsn` or PGSSLMODE.",
            code="sslmode",
        )
    return sslmode, options


def _keep_alive(connection: asyncpg.Connection) -> None:
    """A peer that vanished without a word must not hold a run for hours; asyncpg has no setting for it."""
    transport: asyncio.Transport | None = getattr(connection, "_transport", None)
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000)):
        if hasattr(socket, name):  # macOS lacks some
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
