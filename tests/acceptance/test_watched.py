"""An application that is watched during a run of `mode: copy`: checked before, measured in every phase, asked at the end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.acceptance import sources
from tests.acceptance.harness import Stand

SECRET = "geheim-token-4711"


@dataclass
class App:
    """`/health` of an application. `fail` decides by the number of the request."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    down: bool = False

    def config(self, **more: Any) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/health?token=${{PROBE_TOKEN}}"
        return {
            "availability": {"http": url, "every": "0.1s"},
            "health": [{"http": url, "body": "ok", "json": {"kind": "postgresql"}}, {"sql": "select 1"}],
            **more,
        }


@contextmanager
def application() -> Iterator[App]:
    app = App()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            app.asked.append(self.path)
            self.send_response(503 if app.down else 200)
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(b'{"status": "ok", "kind": "sqlite"}')

        def do_POST(self) -> None:
            app.asked.append("POST")

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    app.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield app
    finally:
        server.shutdown()
        server.server_close()


def test_a_copy_with_a_watched_application(stand: Stand) -> None:
    sources.shop(stand.source)
    stand.env["PROBE_TOKEN"] = SECRET
    with application() as app:
        writing = {"http": f"http://127.0.0.1:{app.port}/orders", "method": "POST"}
        probes = [
            {"name": "page", "read": {"http": f"http://127.0.0.1:{app.port}/page", "body": "ok"}},
            {"name": "order", "create": dict(writing), "delete": dict(writing)},
        ]
        stand.config(application=app.config(probes=probes))
        ran = stand.run()
        assert (ran.code, ran.last["result"]) == (0, "completed"), ran.out
    report, status = stand.report(), stand.status()
    shown = f"http://127.0.0.1:{app.port}/health"
    assert set(report["availability"]) >= {"prepare", "backfill"}
    assert sum(p["requests"] for p in report["availability"].values()) > 3
    assert {p["failed"] for p in report["availability"].values()} == {0}
    assert status["availability"]["now"] is None, "nobody asks any more"
    health = [(h["what"], h["ok"], h["reason"]) for h in status["application"]["health"]]
    assert health == [(shown, True, ""), ("sql", True, "")], (
        "what holds on the new side only is not demanded of the old one"
    )
    items = {i["id"]: (i["kind"], i["state"], i["note"]) for i in report["checklist"]}
    assert items["service-healthy"] == ("auto", "ticked", "every health check passed")
    assert items["service-watched"][:2] == ("auto", "ticked")
    assert "0 failed; 0.0 s unavailable" in items["service-watched"][2]
    assert items["health-checked"] == ("auto", "ticked", "2 health checks passed")
    assert items["functions-verified"][0] == "manual", "a probe that writes changes the source"
    assert "functions-tested" not in items
    assert "POST" not in app.asked
    assert "/page" in app.asked
    for name in ("report.md", "report.html"):
        text = (stand.run_dir / name).read_text()
        assert "Availability" in text
        assert "Health of the application" in text
    assert [p for p in stand.state.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()] == []


def test_an_application_that_is_ill_before_the_run(stand: Stand) -> None:
    sources.shop(stand.source)
    stand.env["PROBE_TOKEN"] = SECRET
    with application() as app:
        app.down = True
        stand.config(application=app.config())
        checked = stand.cli("check", str(stand.config_path), "--json")
        codes = {f["code"]: f["severity"] for f in checked.object["findings"]}
        assert codes["application_unhealthy_now"] == codes["application_unreachable_now"] == "warning"
        assert SECRET not in checked.out + checked.err
        ran = stand.run()
        assert ran.code == 0, "a warning that --yes accepts"
        stand.config(application=app.config(), environment="production")
        codes = {
            f["code"]: f["severity"] for f in stand.cli("check", str(stand.config_path), "--json").object["findings"]
        }
        assert (codes["application_unhealthy_now"], codes["application_unreachable_now"]) == ("blocking", "warning")
    report = stand.report()
    assert report["availability"]["prepare"]["failed"] > 0
    assert "application_unhealthy_after" in {f["code"] for f in report["findings"]}
    items = {i["id"]: i["state"] for i in report["checklist"]}
    assert (items["service-healthy"], items["health-checked"]) == ("failed", "failed")
