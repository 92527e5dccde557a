"""What a status says of an application, made by hand, and what its switch would change."""

from __future__ import annotations

from typing import Any

APPLICATION: dict[str, Any] = {
    "health": [
        {
            "what": "http://127.0.0.1:8000/health",
            "ok": True,
            "reason": "",
            "seconds": 0.012,
            "at_ms": 1_795_348_971_000,
        },
        {"what": "tcp 127.0.0.1:8001", "ok": False, "reason": "connection refused", "seconds": 0.001, "at_ms": 0},
    ],
    "standing": [
        {"what": "unit shop.service", "running": True, "version": None, "pid": 4711, "since": 1_795_348_867.0},
        {"what": "revision of ./app", "running": True, "version": "v2.0", "pid": None, "since": None},
    ],
    "last_restart": "2026-11-22T12:03:40.000Z",
    "state": "new",
}
AVAILABILITY: dict[str, Any] = {
    "now": {"ok": True, "latency_ms": 12.3, "at_ms": 1_795_348_971_000},
    "phases": {
        "prepare": {
            "requests": 420, "failed": 0, "unavailable_seconds": 0.0, "longest_gap_seconds": 0.0,
            "measured_seconds": 420.0, "unmeasured_seconds": 0.0,
        },
        "cutover": {
            "requests": 20, "failed": 3, "unavailable_seconds": 2.9, "longest_gap_seconds": 2.9,
            "measured_seconds": 20.0, "unmeasured_seconds": 0.0,
        },
    },
}  # fmt: skip
WELL = {**APPLICATION, "health": APPLICATION["health"][:1]}
DOWN: dict[str, Any] = {**AVAILABILITY, "now": {"ok": False, "latency_ms": None, "at_ms": 1_795_348_971_000}}
STOPPED = {
    **APPLICATION,
    "state": "stopped",
    "standing": [{"what": "unit shop.service", "running": False, "version": None, "pid": None, "since": None}],
}
PLAN: dict[str, Any] = {
    "configured": True,
    "settings": [
        {
            "file": "/srv/shop/.env",
            "lines": [
                {"line": 2, "key": "DATABASE_URL", "before": "sqlite:///shop.db", "after": "postgresql://shop@db/shop"},
                {"line": 9, "key": "SECRET_KEY", "before": None, "after": "***"},
            ],
        }
    ],
    "commands": [
        {"recipe": "systemd shop.service", "action": "stop", "text": "systemctl stop shop.service"},
        {"recipe": "", "action": "settings", "text": "2 settings are changed", "lines": 2},
        {"recipe": "systemd shop.service", "action": "start", "text": "systemctl start shop.service"},
        {"recipe": "", "action": "undo", "text": "the settings are put back as they were", "lines": 2},
    ],
    "health": ["http://127.0.0.1:8000/health"],
    "probes": ["orders"],
    "availability": "http://127.0.0.1:8000/",
    "problems": [],
    "found": [{"recipe": "systemd shop.service", **APPLICATION["standing"][0]}],
    "exit_code": 0,
}
REFUSED = {
    **PLAN,
    "problems": [
        {
            "code": "setting_read_only",
            "message": "/srv/shop/.env can't be written.",
            "detail": "",
            "hint": "Let StepFlow run as its owner.",
        }
    ],
    "exit_code": 4,
}
