"""Owns the proof that a database's write-ahead log can be moved into it: one checkpoint, and what it really did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.model.codec import from_plain
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.holders import find_holders

_CHILD = "stepflow_tui.engine.sqlite.checkpoint_child"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointProof:
    """What a checkpoint answered, and what it left.

    `busy`, `frames`, `checkpointed`: the pragma's three columns; frames is -1 where it was not made, because writers could not be
    kept out for a moment in a SQLite that needs that. `wal_bytes_*`: size of `-wal`, 0 without one. `kind`: truncate
    (nobody else has the file open; `-wal` must be empty after it), or passive. `complete`: every frame is in the database,
    and a truncating one left no byte.
    """

    kind: str
    busy: bool
    frames: int
    checkpointed: int
    wal_bytes_before: int
    wal_bytes_after: int
    tries: int

    @property
    def complete(self) -> bool:
        """By all three columns and the file."""
        done = not self.busy and self.frames == self.checkpointed and self.frames >= 0
        return done and (self.kind == "passive" or self.wal_bytes_after == 0)


async def prove_checkpoint(path: Path, *, alone: bool, wait: float) -> CheckpointProof:
    """Checkpoint a WAL database. Beside others only a passive one is made: it waits for nobody and keeps nobody waiting.

    Args:
        path: symlinks are followed.
        alone: that nobody else has the file open. It is looked at; where somebody has, or may have (processes of other users
            can't be looked at), the checkpoint is a passive one.
        wait: seconds until it must be complete. Tries are a second apart, and beside others there is one only: checkpoints in
            a row beside a writer are what SQLite before 3.51.3 may damage a file by.

    Raises:
        Refused: `checkpoint_no_wal`: the file is not in WAL mode; as `sqlite_errors`. StepFailed, DiskFull: as `sqlite_errors`.
    """
    real = real_path(path)
    if alone:
        users = await find_holders(real)
        alone = users.known and users.complete and not users.processes
    request = {"path": path_text(real), "kind": "truncate" if alone else "passive", "wait": wait}
    proof: CheckpointProof = from_plain(CheckpointProof, await run_child(_CHILD, request))
    return proof
