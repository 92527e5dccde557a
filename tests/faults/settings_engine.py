"""A process that forks one child per line of its input, to be killed while it changes settings or puts them back.

`python -m tests.faults.settings_engine FOLDER`; a line is `apply NAME:N`, `undo NAME:N`, `finish NAME:N` (a failpoint), or
`bare NAME:N`: files are rewritten without anything being kept.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from stepflow_tui.engine import failpoints
from stepflow_tui.engine.application import settings_group
from stepflow_tui.engine.application.settings import apply_group, plan_edits, undo_group
from stepflow_tui.engine.failpoints import failpoint
from tests.settings_kit import VALUES, switch

FILES = (".env", "shop.yaml", "flags.py")


def _apply(folder: Path, keep: Path) -> None:
    switches = [
        switch(folder / ".env", {"DATABASE_URL": "{target_dsn}", "NEW": "1"}),
        switch(folder / "shop.yaml", {"database.kind": "postgresql"}),
        switch(folder / "flags.py", pattern=r"USE_DATABASE = (?P<value>\w+)", to="True"),
    ]
    apply_group(plan_edits(switches, VALUES), keep)


def _bare(kept: settings_group.Kept, data: bytes) -> None:
    kept.place.real.write_bytes(data[: len(data) // 2])
    failpoint("settings_in_place")
    kept.place.real.write_bytes(data)


def _child(folder: Path, what: str, point: str) -> None:
    os.environ["STEPFLOW_FAILPOINT"] = f"{point}:kill"
    failpoints._passed.clear()
    keep = folder / "keep"
    try:
        if what == "bare":
            settings_group._put = _bare
            settings_group.keep_group = _nothing_kept
        if what in ("apply", "bare"):
            _apply(folder, keep)
        elif what == "finish":
            apply_group((), keep)
        else:
            undo_group(keep)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


_keep_group = settings_group.keep_group


def _nothing_kept(edits: object, keep: Path) -> None:
    """The protection taken out: the manifest goes away as soon as it was read."""
    _keep_group(edits, keep)  # type: ignore[arg-type]
    read = settings_group.read_group

    def once(folder: Path) -> tuple[settings_group.Kept, ...]:
        group = read(folder)
        settings_group.drop_group(folder)
        return group

    settings_group.read_group = once


def main() -> None:
    """Serve lines until the input ends."""
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        what, point = line.split()
        child = os.fork()
        if child == 0:
            _child(folder, what, point)
        _, status = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(status) else f"ended {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
