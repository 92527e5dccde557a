"""Health checks against real services: what is said of each, that nothing hangs, and that no secret is shown."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import ssl
import subprocess
import threading
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from stepflow_tui.engine.application import asking, health
from stepflow_tui.engine.application.health import Answer, ask, wait_healthy
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config_application import Health
from stepflow_tui.engine.model.redact import redactor
from stepflow_tui.engine.sqlite.first_value import first_value
from tests.service_kit import Handler, flood, hang, http, plain, reset, saying, serving, trickle, trickle_head

SECRET = "hunter2hunter2"
GOOD = http(
    200, '{"status": "ok", "database": {"kind": "postgresql", "pool": 5, "ro": false}, "list": [{"a.b": null}]}'
)
ENOUGH = 20.0
"""Seconds after which a test counts as hanging."""


async def asked(folder: Path, **check: Any) -> Answer:
    check.setdefault("timeout", "0.4s")
    made = Health.model_validate(check)
    async with asyncio.timeout(ENOUGH):
        return await ask(made, sql=check.get("_sql"), folder=folder, redact=plain)


async def of(handler: Handler, folder: Path, **check: Any) -> Answer:
    async with serving(handler) as port:
        url = f"http://user:{SECRET}@127.0.0.1:{port}/health?token={SECRET}"
        answer = await asked(folder, http=url, **check)
    assert answer.what == f"http://127.0.0.1:{port}/health"
    assert SECRET not in repr(answer)
    return answer


async def test_a_healthy_service(tmp_path: Path) -> None:
    wanted = {
        "status": "ok", "database.kind": "postgresql", "database.pool": "5.0", "database.ro": "false", "list.0.a.b": "null"
    }  # fmt: skip
    answer = await of(saying(GOOD), tmp_path, body="postgresql", json=wanted, max_latency="0.3s")
    assert (answer.ok, answer.reason, answer.status) == (True, "", 200)
    redirect = http(302, location=f"http://127.0.0.1:1/?{SECRET}")
    assert (await of(saying(redirect), tmp_path, status="302")).ok, "where a redirect is what is wanted"


@pytest.mark.parametrize(
    ("handler", "check", "reason", "status"),
    [
        (saying(http(500, SECRET)), {}, "status 500, not 200", 500),
        (saying(http(302, location=f"http://127.0.0.1:1/{SECRET}")), {}, "status 302, not 200", 302),
        (saying(GOOD), {"body": "absent"}, "the body lacks the expected text", 200),
        (saying(GOOD), {"json": {"database.kind": "sqlite"}}, "database.kind is 'postgresql'", 200),
        (saying(GOOD), {"json": {"database.ro": "true"}}, "database.ro is 'false'", 200),
        (saying(GOOD), {"json": {"nobody.home": "1"}}, "nobody.home is not in the answer", 200),
        (saying(GOOD), {"json": {"list.9": "1"}}, "list.9 is not in the answer", 200),
        (saying(http(200, "<html>")), {"json": {"a": "1"}}, "the body is no JSON", 200),
        (saying(http(200, "[" * 200_000)), {"json": {"a": "1"}}, "the body is no JSON", 200),
        (saying(b"SSH-2.0-OpenSSH\r\n\r\n"), {}, "illegal status line", None),
        (reset, {}, "connection reset by peer", None),
        (saying(b""), {}, "Server disconnected without sending a response.", None),
        (hang, {}, "no whole answer within 0.4 s", None),
        (trickle, {}, "no whole answer within 0.4 s", None),
        (trickle_head, {}, "no whole answer within 0.4 s", None),
        (flood, {"body": "y", "timeout": "20s"}, "the body lacks the expected text in its first MiB", 200),
        (flood, {"json": {"a": "1"}, "timeout": "20s"}, "the body is no JSON, or longer than a MiB", 200),
        (saying(GOOD), {"max_latency": "0.00001s"}, "at most 1e-05 s are allowed", 200),
    ],
)  # fmt: skip
async def test_an_unhealthy_service(
    tmp_path: Path, handler: Handler, check: dict[str, Any], reason: str, status: int | None
) -> None:
    answer = await of(handler, tmp_path, **check)
    assert not answer.ok
    assert reason in answer.reason
    assert answer.status == status


async def test_a_body_without_an_end_is_a_body(tmp_path: Path) -> None:
    assert (await of(flood, tmp_path, timeout="20s")).ok


async def test_nobody_there(tmp_path: Path) -> None:
    async with serving(hang) as port:
        pass
    for check in (
        {"http": f"http://127.0.0.1:{port}/"},
        {"tcp": f"127.0.0.1:{port}"},
        {"websocket": f"ws://127.0.0.1:{port}"},
    ):
        assert (await asked(tmp_path, **check)).reason == "connection refused", check
    name = "no-such-host.invalid"
    answer = await asked(tmp_path, http=f"http://{name}/?{SECRET}", timeout="20s")
    assert answer.reason.startswith(f"the name {name} was not found")
    for url in ("http://[::1/", "http://127.0.0.1:99999/", "http://\x1b[31m/"):
        answer = await asked(tmp_path, http=url)
        assert (answer.ok, "\x1b" in repr(answer.what)) == (False, False)
        assert answer.reason


async def test_tls_errors_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert], check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    monkeypatch.setattr(asking, "_trust", ssl.create_default_context)
    async with serving(saying(GOOD), context) as port:
        answer = await asked(tmp_path, http=f"https://localhost:{port}/", timeout="5s")
        assert answer.reason == "the TLS certificate is not trusted: self-signed certificate"
        monkeypatch.setattr(asking, "_trust", lambda: ssl.create_default_context(cafile=str(cert)))
        assert (await asked(tmp_path, http=f"https://localhost:{port}/", timeout="5s")).ok, (
            "by its name, not its address"
        )
        answer = await asked(tmp_path, http=f"https://127.0.0.1:{port}/", timeout="5s")
        assert answer.reason.startswith("the TLS certificate is not trusted: IP address mismatch")
        answer = await asked(tmp_path, websocket=f"wss://127.0.0.1:{port}/", timeout="5s")
        assert answer.reason.startswith("the TLS certificate is not trusted: IP address mismatch")


async def test_a_limit_of_the_library_alone_would_not_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: its time-outs are those of one read, and every byte is a new one."""

    async def unbounded(work: Awaitable[Any], _seconds: float) -> Any:
        return await work

    monkeypatch.setattr(asking, "bounded", unbounded)
    async with serving(trickle) as port:
        check = Health.model_validate({"http": f"http://127.0.0.1:{port}/", "timeout": "0.1s"})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                await ask(check, sql=None, folder=tmp_path, redact=plain)


@pytest.fixture
def mute_names(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Name look-ups that do not come back before the end of the test."""
    back = threading.Event()
    looks: list[str] = []

    def never(host: str, *_: Any, **__: Any) -> Any:
        looks.append(host)
        back.wait()
        raise OSError(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    yield looks, back
    back.set()


async def test_a_name_that_never_resolves_holds_up_nobody(
    tmp_path: Path, mute_names: tuple[list[str], threading.Event]
) -> None:
    url = {"http": "http://stuck.example/", "timeout": "0.05s"}
    answers = await asyncio.gather(*(asked(tmp_path, **url) for _ in range(100)))
    assert {a.reason for a in answers} == {"no whole answer within 0.05 s"}
    assert mute_names[0] == ["stuck.example"], "one thread for all of them"
    async with asyncio.timeout(ENOUGH):
        assert await asyncio.to_thread(lambda: "free") == "free"


async def test_the_loops_own_look_up_would_hold_up_the_engine(mute_names: tuple[list[str], threading.Event]) -> None:
    """Negative control: cancelled look-ups go on, each in one of the few threads that everybody shares."""
    loop = asyncio.get_running_loop()
    looking = [asyncio.create_task(loop.getaddrinfo("stuck.example", 80)) for _ in range(100)]
    await asyncio.wait(looking, timeout=0.05)
    for task in looking:
        task.cancel()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await asyncio.to_thread(lambda: "free")
    mute_names[1].set()


async def test_websockets(tmp_path: Path) -> None:
    async def stay(link: ServerConnection) -> None:
        await link.wait_closed()

    async with serve(stay, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        answer = await asked(tmp_path, websocket=f"ws://user:{SECRET}@127.0.0.1:{port}/live?t={SECRET}", timeout="10s")
        assert (answer.ok, answer.what, answer.reason) == (True, f"ws://127.0.0.1:{port}/live", "")
    said = {}
    answers = {"403": saying(http(403, SECRET)), "plain": saying(GOOD), "hang": hang, "reset": reset, "away": saying(
        http(302, location=f"ws://127.0.0.1:1/{SECRET}"))}  # fmt: skip
    for name, handler in answers.items():
        async with serving(handler) as port:
            answer = await asked(tmp_path, websocket=f"ws://127.0.0.1:{port}/?t={SECRET}")
        said[name] = answer.reason
        assert SECRET not in repr(answer)
    assert said == {
        "403": "the handshake was answered with status 403",
        "plain": "the handshake was answered with status 200",
        "away": "the handshake was answered with status 302",
        "hang": "no whole answer within 0.4 s",
        "reset": said["reset"],
    }
    assert said["reset"]


async def test_tcp(tmp_path: Path) -> None:
    async with serving(hang) as port:
        answer = await asked(tmp_path, tcp=f"localhost:{port}", timeout="10s")
    assert (answer.ok, answer.what) == (True, f"tcp localhost:{port}")
    assert (await asked(tmp_path, tcp="no-port")).reason == "the address lacks a host or a port"


async def test_commands(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    assert (await asked(tmp_path, command="test -e here", timeout="10s")).ok, "in the config's folder"
    check = Health.model_validate({"command": f"echo first; echo key={SECRET}; exit 3", "timeout": "10s"})
    answer = await ask(check, sql=None, folder=tmp_path, redact=redactor([SECRET]))
    assert (answer.ok, answer.status, answer.reason) == (False, 3, "exit status 3: key=***")
    assert (answer.what, (await asked(tmp_path, command=f"KEY={SECRET} true")).what) == ("command echo", "command")
    answer = await asked(tmp_path, command="sleep 60", timeout="0.1s")
    assert "not finished" in answer.reason


async def test_sql(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as conn:
        conn.execute("create table t(a)")
        conn.execute("insert into t values('open')")
    sql = partial(first_value, path, seconds=0.3)

    async def said(statement: str, **more: Any) -> Answer:
        check = Health.model_validate({"sql": statement, "timeout": "5s", **more})
        async with asyncio.timeout(ENOUGH):
            return await ask(check, sql=sql, folder=tmp_path, redact=plain)

    assert (await said("select 1")).ok
    assert (await said("select a from t", body="open")).ok
    assert (await said("select a from t", body="shut")).reason == "the result is not as expected"
    assert "no such table" in (await said("select a from missing")).reason
    assert not (await said("delete from t")).ok, "the source is only read"
    endless = "with recursive n(i) as (select 1 union all select i+1 from n) select max(i) from n"
    assert "interrupted" in (await said(endless)).reason, "its thread ends too"
    assert (await asked(tmp_path, sql="select 1")).reason == "there is no database to ask yet"
    assert await asyncio.to_thread(lambda: sqlite3.connect(path).execute("select count(*) from t").fetchone()) == (1,)


async def test_a_secret_that_is_asked_for_is_blotted_out_before_it_is_cut(tmp_path: Path) -> None:
    long = "x" * 38 + SECRET
    check = {"json": {"a": "1"}, "timeout": "5s"}
    async with serving(saying(http(200, f'{{"a": "{long}"}}'))) as port:
        made = Health.model_validate({"http": f"http://127.0.0.1:{port}/", **check})
        answer = await ask(made, sql=None, folder=tmp_path, redact=redactor([long]))
    assert answer.reason == "a is '***'"


async def test_waiting_for_a_service_that_starts(tmp_path: Path) -> None:
    left = 3

    async def starting(_method: str, _path: str, _body: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        left -= 1
        writer.write(http(200 if left < 0 else 503))

    heard: list[bool] = []
    async with serving(starting) as port, asyncio.timeout(ENOUGH):
        checks = [
            Health.model_validate({"http": f"http://127.0.0.1:{port}/", "interval": "0.02s", "start_period": "60s"}),
            Health.model_validate({"tcp": f"127.0.0.1:{port}"}),
        ]
        # knocking makes no request
        answers = await wait_healthy(checks, sql=None, folder=tmp_path, redact=plain, told=lambda a: heard.append(a.ok))
    assert [a.ok for a in answers] == [True, True]
    assert sorted(heard) == [False, False, False, True, True]


async def test_a_service_that_stays_ill_is_given_up_and_named(tmp_path: Path) -> None:
    async with serving(saying(http(503))) as ill, serving(hang) as mute, serving(saying(GOOD)) as well:
        limits = {"interval": "0.05s", "retries": "2", "start_period": "0.05s", "timeout": "0.3s"}
        checks = [
            Health.model_validate({"http": f"http://127.0.0.1:{port}/h?key={SECRET}", **limits})
            for port in (well, mute, ill)
        ]  # fmt: skip
        with pytest.raises(StepFailed) as caught:
            async with asyncio.timeout(ENOUGH):
                await wait_healthy(checks, sql=None, folder=tmp_path, redact=plain)
    error = caught.value
    assert error.code == "application_unhealthy"
    assert f"http://127.0.0.1:{ill}/h: status 503, not 200" in error.detail
    assert str(well) not in error.detail
    assert SECRET not in str(error)


async def test_failures_while_it_starts_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked all the while, it is given up only once start_period and retries × interval are over."""
    now = 0.0
    asked_at: list[float] = []

    async def never(check: Health, **_: Any) -> Answer:
        asked_at.append(now)
        return Answer(ok=False, what="x", seconds=0.0, reason="no", status=None)

    async def pass_by(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(health, "ask", never)
    monkeypatch.setattr(health.asyncio, "sleep", pass_by)
    monkeypatch.setattr(health.time, "monotonic", lambda: now)
    check = Health.model_validate({"tcp": "x:1", "start_period": "10s", "retries": "3", "interval": "30s"})
    with pytest.raises(StepFailed):
        await wait_healthy([check], sql=None, folder=tmp_path, redact=plain)
    assert asked_at == [float(n) for n in range(101)]


async def test_whatever_a_library_throws_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sampler that waits for a sample that never comes would count nothing any more."""

    async def broken(*_: Any) -> Any:
        raise RuntimeError("the library is broken")

    monkeypatch.setattr(asking, "_request", broken)
    with pytest.raises(asking.NoAnswer, match="the library is broken"):
        await asking.request("http://127.0.0.1:1/", seconds=1.0)
