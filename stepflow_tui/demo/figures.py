"""The shop's figures, as it leaves them in its folder: read by whoever shows them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from stepflow_tui.demo.names import COUNTERS


def counters(folder: Path) -> dict[str, Any]:
    """The shop's figures; {} while there are none."""
    with contextlib.suppress(FileNotFoundError):
        found: dict[str, Any] = json.loads((folder / COUNTERS).read_text(encoding="utf-8"))
        return found
    return {}
