"""Switches on files of a test, and what a target gives them."""

from __future__ import annotations

from pathlib import Path

from stepflow_tui.engine.application.settings import DUMMY_VALUES, Edit, plan_edits
from stepflow_tui.engine.model.config_application import Switch

PASSWORD = "gr8-s3cr3t-w0rd"
VALUES = dict(DUMMY_VALUES) | {
    "target_dsn": f"postgresql://app:{PASSWORD}@db.internal:5432/shop?sslmode=require",
    "target_password": PASSWORD,
}


def switch(file: Path, wanted: dict[str, str] | None = None, **more: str) -> Switch:
    """One entry of `application.switches`."""
    return Switch.model_validate({"file": file, **({"set": wanted} if wanted else {}), **more})


def edit(file: Path, text: str | bytes, wanted: dict[str, str] | None = None, **more: str) -> Edit:
    """The file with that content, and its planned change."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    [planned] = plan_edits([switch(file, wanted, **more)], VALUES)
    return planned
