"""One request over the network with a limit that holds: also for a server that trickles, a name that does not resolve, and
one that answers for ever. What went wrong is a short reason in plain words, without secrets.

Owns HTTP, WebSocket and TCP. What an answer must look like is decided by whoever asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from stepflow_tui.engine.application.commands import printable
from stepflow_tui.engine.model.redact import Redact, redactor, unquoted

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

BODY_BYTES = 1024 * 1024
"""The rest of a longer answer is not read."""
REASON_CHARACTERS = 200
LEAVE_SECONDS = 1.0
"""How long work that was told to end may take for it; after that it is left to itself."""


class NoAnswer(Exception):
    """Nothing useful came back. `reason` is for people. `sent`: the request may have been acted on."""

    def __init__(self, reason: str, *, sent: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer. `body` holds at most `BODY_BYTES`; `cut` tells that there was more."""

    status: int
    body: bytes
    cut: bool
    seconds: float

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


async def request(
    url: str,
    *,
    seconds: float,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    content: str | None = None,
) -> Reply:
    """One HTTP request on a connection of its own; redirects are answers like others, proxies are not used.

    Args:
        seconds: until the whole body (or its first `BODY_BYTES`) is there; the name's look-up included.

    Raises:
        NoAnswer: there was none.
    """
    try:
        return await bounded(_request(url, method, dict(headers or {}), content, seconds), seconds)
    except NoAnswer:
        raise
    except Exception as error:  # whatever a library throws about an answer that is none
        raise NoAnswer(_reason(error)) from error


async def shake_hands(url: str, *, seconds: float) -> None:
    """A WebSocket handshake and one ping.

    Raises:
        NoAnswer: it was refused, or nobody answered.
    """
    await bounded(_shake_hands(url), seconds)


async def knock(place: str, *, seconds: float) -> None:
    """Open and close a TCP connection to `host:port`.

    Raises:
        NoAnswer: nobody takes it.
    """
    await bounded(_knock(place), seconds)


async def bounded(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Work that is given up after so long, whether it obeys or not.

    Raises:
        NoAnswer: the time is over.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise NoAnswer(f"no whole answer within {seconds:g} s")
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_let_go)
            await asyncio.wait({task}, timeout=LEAVE_SECONDS)


def _let_go(task: asyncio.Task[Any]) -> None:
    """Look at the error of a task that nobody waits for any more; else the loop complains about it."""
    if not task.cancelled():
        task.exception()


def shown(url: str) -> str:
    """`scheme://host:port/path`: without user, password, query and fragment, which may be secrets."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "an address that can't be read"
    host = f"[{host}]" if ":" in host else host
    return printable(f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path}").replace("\n", " ")


def hides(url: str, redact: Redact, *more: str) -> Redact:
    """A redaction that also knows what a URL must not show: its user, password and the values of its query."""
    try:
        parts = urlsplit(url)
        known = {parts.username, parts.password, parts.query, *(p.partition("=")[2] for p in parts.query.split("&"))}
    except ValueError:
        known = {url}
    found = {text for text in known if text}
    own = redactor({*found, *map(unquote, found), *more})
    return lambda text: own(redact(text))


def short(reason: str, redact: Redact) -> str:
    """A reason as it is kept: redacted before it is cut, on one line."""
    return " ".join(printable(redact(reason)).split())[:REASON_CHARACTERS]


async def _request(url: str, method: str, headers: dict[str, str], content: str | None, seconds: float) -> Reply:
    import httpx

    try:
        where = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, TypeError):
        raise NoAnswer("the address can't be read", sent=False) from None
    if where.scheme not in ("http", "https") or not where.host:
        raise NoAnswer("the address is not http:// or https://", sent=False)
    begun = time.monotonic()
    found = await addresses(where.host, where.port or (443 if where.scheme == "https" else 80))
    for address in found:
        try:
            # each address gets its share, so that one that swallows packets leaves time for the next
            share = httpx.Timeout(seconds, connect=seconds / len(found))
            return await _once(httpx.AsyncClient, where, address, method, headers, content, share, begun)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            last: BaseException = error
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError, ValueError) as error:
            raise NoAnswer(_reason(error)) from error
    raise NoAnswer(_reason(last), sent=False) from last


async def _once(
    kind: type[httpx.AsyncClient],
    where: httpx.URL,
    address: str,
    method: str,
    headers: dict[str, str],
    content: str | None,
    limit: httpx.Timeout,
    begun: float,
) -> Reply:
    """Names are looked up by us and not by the library: see `addresses`."""
    secure = where.scheme == "https"
    named = secure and address != where.host
    async with (
        kind(trust_env=False, verify=_trust() if secure else False, timeout=limit) as client,
        client.stream(
            method,
            where.copy_with(host=address),
            headers={"accept-encoding": "identity", **headers, "host": where.netloc.decode("ascii")},
            content=content,
            extensions={"sni_hostname": where.raw_host.decode("ascii")} if named else {},
        ) as answer,
    ):
        body, cut = bytearray(), False
        async for chunk in answer.aiter_raw():
            body += chunk
            if cut := len(body) > BODY_BYTES:
                break
        took = time.monotonic() - begun
        return Reply(status=answer.status_code, body=bytes(body[:BODY_BYTES]), cut=cut, seconds=took)


@functools.cache
def _trust() -> ssl.SSLContext:
    """The certificates that this machine trusts; made once, it takes long."""
    return ssl.create_default_context()


async def _shake_hands(url: str) -> None:
    from websockets import exceptions
    from websockets.asyncio.client import connect

    class Direct(connect):
        """Redirects are refusals."""

        def process_redirect(self, exc: Exception) -> Exception | str:
            return exc

    host, port = _place(url)
    last: BaseException = OSError("no address")
    for address in await addresses(host, port):
        try:
            async with Direct(
                url, host=address, port=port, proxy=None, open_timeout=None, close_timeout=0.2, max_size=BODY_BYTES,
                ssl=_trust() if url.lower().startswith("wss:") else None,
            ) as link:  # fmt: skip
                await (await link.ping())
                return
        except exceptions.InvalidStatus as error:
            raise NoAnswer(f"the handshake was answered with status {error.response.status_code}") from error
        except exceptions.InvalidURI:
            raise NoAnswer("the address can't be read", sent=False) from None
        except exceptions.ConnectionClosed as error:
            raise NoAnswer("the connection was closed before a ping was answered") from error
        except exceptions.WebSocketException as error:
            raise NoAnswer("no WebSocket handshake came back") from error
        except (OSError, EOFError) as error:
            last = error
    raise NoAnswer(_reason(last)) from last


async def _knock(place: str) -> None:
    host, port = _place(f"tcp://{place}")
    last: BaseException = OSError("no address")
    for address in await addresses(host, port):
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError as error:
            last = error
        else:
            writer.transport.abort()
            return
    raise NoAnswer(_reason(last)) from last


def _place(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"ws": 80, "wss": 443}.get(parts.scheme)
    except ValueError:
        raise NoAnswer("the address can't be read", sent=False) from None
    if not parts.hostname or port is None:
        raise NoAnswer("the address lacks a host or a port", sent=False)
    return parts.hostname, port


_lookups: dict[tuple[str, int], asyncio.Future[list[str]]] = {}


async def addresses(host: str, port: int) -> list[str]:
    """The numeric addresses of a host.

    The system's look-up can't be cancelled and may take half a minute. So each has a thread of its own that nobody waits for
    at the end, and all who ask for the same name share one: the engine's own threads stay free.

    Raises:
        NoAnswer: there is no such name.
    """
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    loop = asyncio.get_running_loop()
    known = _lookups.get((host, port))
    if known is None or known.done() or known.get_loop() is not loop:
        known = _lookups[host, port] = loop.create_future()
        threading.Thread(target=_look_up, args=(host, port, loop, known), daemon=True, name="look-up").start()
    try:
        return await asyncio.shield(known)
    except (OSError, UnicodeError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else "no such name"
        raise NoAnswer(f"the name {host} was not found: {said}", sent=False) from error


def _look_up(host: str, port: int, loop: asyncio.AbstractEventLoop, told: asyncio.Future[list[str]]) -> None:
    found: list[str] | Exception
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys(str(row[4][0]) for row in rows))
    except (OSError, UnicodeError) as error:
        found = error
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
        loop.call_soon_threadsafe(_tell, told, found)


def _tell(told: asyncio.Future[list[str]], found: list[str] | Exception) -> None:
    if told.done():
        return
    if isinstance(found, list):
        told.set_result(found)
    else:
        told.set_exception(found)
        told.exception()  # whoever asked may have given up: then nobody else looks at it


def _reason(error: BaseException) -> str:
    """The innermost cause that says something, in words without values."""
    chain = []
    at: BaseException | None = error
    while at is not None and at not in chain:
        chain.append(at)
        at = at.__cause__ or at.__context__
    for cause in reversed(chain):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the TLS certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or 'no TLS on the other side'}"
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
            return os.strerror(cause.errno).lower()  # asyncio's own text has the address in it
    if any("Timeout" in type(cause).__name__ for cause in chain):
        return "no answer in time"
    return unquoted(str(error)) or type(error).__name__
