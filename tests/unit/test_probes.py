"""Functional probes against a real service: what they create is deleted whatever happens, or it is told and remembered."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.application import probes
from stepflow_tui.engine.application.probes import Probed, run_probe, run_probes
from stepflow_tui.engine.application.records import FILE, Book, Record, RecordState, left_out
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config_application import Probe
from stepflow_tui.engine.texts import render
from tests.service_kit import Orders, flood, http, plain, saying, serving

SECRET = "hunter2hunter2"


def probe(port: int, **more: Any) -> Probe:
    url = f"http://user:{SECRET}@127.0.0.1:{port}/orders"
    base: dict[str, Any] = {
        "name": "order",
        "create": {"http": f"{url}?t={SECRET}", "method": "POST", "send": '{"note": "{token}"}', "status": "201",
                   "headers": {"X-Key": SECRET}},
        "key": "order.id",
        "read": {"http": f"{url}/{{key}}", "body": "{token}"},
        "delete": {"http": f"{url}/{{key}}", "method": "DELETE", "status": "204"},
        "table": "orders", "column": "id", "timeout": "5s",
    }  # fmt: skip
    return Probe.model_validate(base | more)


async def tried(wanted: Probe, run_dir: Path) -> Probed:
    async with asyncio.timeout(20):
        result = await run_probe(wanted, run_dir=run_dir, redact=plain)
    assert SECRET not in repr(result)
    for finding in result.findings:
        assert "{" not in render(finding).what, "every parameter of its text is there"
    return result


def codes(result: Probed) -> list[str]:
    return [f.code for f in result.findings]


async def test_a_record_is_created_read_and_deleted(tmp_path: Path) -> None:
    shop = Orders()
    async with serving(shop) as port:
        result = await tried(probe(port), tmp_path)
        assert (await tried(probe(port, create=None, delete=None, read={"http": f"http://127.0.0.1:{port}/x", "status": "404"}),
                            tmp_path)).ok  # fmt: skip
    assert (result.ok, result.reason, result.findings) == (True, "", ())
    assert [a.partition(" ")[0] for a in shop.asked] == ["POST", "GET", "DELETE", "GET"]
    assert shop.asked[1] == "GET /orders/7%2F%C3%A41", "a key can't leave its place in the path"
    assert (shop.records, left_out(tmp_path), Book(tmp_path).read()) == ({}, {}, ())
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / FILE).parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        ({"body": "something else"}, "the body lacks the expected text"),
        ({"status": "201"}, "status 200, not 201"),
        ({"max_latency": "0.00001s"}, "at most 1e-05 s are allowed"),
    ],
)
async def test_what_can_not_be_read_is_deleted(tmp_path: Path, read: dict[str, str], reason: str) -> None:
    shop = Orders()
    async with serving(shop) as port:
        result = await tried(probe(port, read={"http": f"http://127.0.0.1:{port}/orders/{{key}}", **read}), tmp_path)
    assert (result.ok, codes(result), shop.records) == (False, ["probe_failed"], {})
    assert result.reason.startswith(f"read (GET http://127.0.0.1:{port}/orders/")
    assert reason in result.reason


async def test_a_record_that_stays_is_told_left_out_and_deleted_by_the_next_run(tmp_path: Path) -> None:
    shop = Orders(deny={"DELETE"})
    async with serving(shop) as port:
        result = await tried(probe(port), tmp_path)
        assert (result.ok, codes(result)) == (False, ["probe_failed", "probe_left_record"])
        assert result.findings[1].params["key"] == "7/ä1"
        assert left_out(tmp_path) == {"orders": {"id": ["7/ä1"]}}
        shop.deny.clear()
        assert (await tried(probe(port), tmp_path)).ok
    assert (shop.records, left_out(tmp_path)) == ({}, {})


async def test_a_record_somebody_else_deleted_is_gone(tmp_path: Path) -> None:
    Book(tmp_path).put(
        Record(probe="order", token="t", state=RecordState.STANDS, key="99", table="orders", column="id")
    )
    async with serving(Orders()) as port:
        assert (await tried(probe(port), tmp_path)).ok
    assert left_out(tmp_path) == {}


async def cancelled(shop: Orders, at: str, run_dir: Path) -> None:
    """The engine is told to end while a request of the probe is under way; then the service goes on."""
    go = asyncio.Event()
    shop.held[at] = go
    async with serving(shop) as port, asyncio.timeout(20):
        task = asyncio.create_task(run_probe(probe(port), run_dir=run_dir, redact=plain))
        await shop.called.wait()
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("at", ["GET", "DELETE"])
async def test_a_cancelled_probe_deletes_its_record(tmp_path: Path, at: str) -> None:
    shop = Orders()
    await cancelled(shop, at, tmp_path)
    assert (shop.records, Book(tmp_path).read()) == ({}, ())


async def test_a_probe_that_is_cancelled_while_it_creates_tells_so(tmp_path: Path) -> None:
    await cancelled(Orders(), "POST", tmp_path)
    assert [r.state for r in Book(tmp_path).read()] == [RecordState.UNKNOWN]


async def test_deleting_that_is_cancelled_with_the_rest_would_leave_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: awaited as any other work."""

    async def as_any_other(task: asyncio.Task[None]) -> None:
        await task

    monkeypatch.setattr(probes, "_to_its_end", as_any_other)
    shop = Orders()
    await cancelled(shop, "DELETE", tmp_path)
    assert len(shop.records) == 1


async def test_an_answer_that_is_lost_is_unknown_and_stays_so(tmp_path: Path) -> None:
    shop = Orders(silent={"POST"})
    async with serving(shop) as port:
        result = await tried(probe(port, timeout="0.3s"), tmp_path)
        assert (codes(result), len(shop.records)) == (["probe_failed", "probe_unknown"], 1)
        assert result.findings[1].params["token"] == next(iter(shop.records.values())), "a person can look for it"
        shop.silent.clear()
        result = await tried(probe(port), tmp_path)
    assert (result.ok, codes(result)) == (True, ["probe_unknown"]), "told again: nobody has looked for it"
    assert left_out(tmp_path) == {}


async def test_an_engine_killed_before_the_answer_leaves_an_unknown_record(tmp_path: Path) -> None:
    Book(tmp_path).put(Record(probe="order", token="t", table="orders", column="id"))
    async with serving(Orders()) as port:
        assert codes(await tried(probe(port), tmp_path)) == ["probe_unknown"]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (http(404), ["probe_failed"]),
        (http(307, location="http://127.0.0.1:1/"), ["probe_failed"]),
        (http(303, location="http://127.0.0.1:1/"), ["probe_failed", "probe_unknown"]),
        (http(500, SECRET), ["probe_failed", "probe_unknown"]),
        (http(201, "no json"), ["probe_failed", "probe_unknown"]),
        (http(201, '{"order": {"id": null}}'), ["probe_failed", "probe_unknown"]),
    ],
)
async def test_what_a_create_that_fails_leaves(tmp_path: Path, answer: bytes, found: list[str]) -> None:
    async with serving(saying(answer)) as port:
        assert codes(await tried(probe(port), tmp_path)) == found


async def test_a_record_made_with_another_status_is_deleted_too(tmp_path: Path) -> None:
    shop = Orders()
    async with serving(shop) as port:
        create = {"http": f"http://127.0.0.1:{port}/orders", "method": "POST", "send": '{"note": "x"}', "status": "200"}
        result = await tried(probe(port, create=create), tmp_path)
    assert (result.ok, codes(result), shop.records) == (False, ["probe_failed"], {})
    assert "status 201, not 200" in result.reason


async def test_nobody_there_is_no_record(tmp_path: Path) -> None:
    async with serving(flood) as port:
        pass
    result = await tried(probe(port), tmp_path)
    assert (codes(result), Book(tmp_path).read()) == (["probe_failed"], ())
    assert result.reason.endswith("connection refused")


async def test_one_that_fails_does_not_keep_the_others_from_being_tried(tmp_path: Path) -> None:
    async with serving(Orders()) as port, serving(saying(http(404))) as ill:
        wanted = [probe(ill, name="ill"), probe(port)]
        assert [r.ok for r in await run_probes(wanted, run_dir=tmp_path, redact=plain)] == [False, True]


async def test_a_list_that_can_not_be_read_is_not_forgotten(tmp_path: Path) -> None:
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text("{")
    with pytest.raises(StepFailed) as caught:
        left_out(tmp_path)
    assert caught.value.code == "probe_book_unreadable"
