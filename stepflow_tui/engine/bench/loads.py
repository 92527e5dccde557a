"""The loads of a benchmark: who asks what, with how many processes at once."""

from __future__ import annotations

from dataclasses import dataclass

from stepflow_tui.engine.model.config_wal import Benchmark

MOST_CLIENTS = 100
"""Processes at once; beyond it the machine itself would be measured."""
_SHORT = 0.25
"""Of the configured seconds, for loads that only complete the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One load. `share` of the configured seconds; `patient`: waits for locks as the profile says, else not at all.
    `parts`: its writes and its reads are shown on their own, too."""

    name: str
    writers: int = 0
    readers: int = 0
    writes: str = "write"
    reads: str = "read"
    share: float = _SHORT
    patient: bool = True
    parts: bool = False

    def kinds(self) -> list[str]:
        """What each client asks."""
        return [self.writes] * self.writers + [self.reads] * self.readers


def loads_of_modes(config: Benchmark) -> tuple[Load, ...]:
    """Rollback journal against WAL."""
    clients = min(config.limits.clients, MOST_CLIENTS)
    return (
        Load(name="writes", writers=1),
        Load(name="batched", writers=1, writes="batch"),
        Load(name="reads", readers=max(1, config.readers)),
        Load(name="joins", readers=max(1, config.readers), reads="join"),
        Load(name="mixed", writers=config.writers, readers=config.readers, share=1.0, parts=config.readers > 0),
        Load(name="impatient", writers=config.writers, readers=config.readers, patient=False),
        Load(name="clients", writers=clients - clients // 2, readers=clients // 2),
    )


def loads_of_sides(config: Benchmark, *, text: bool) -> tuple[Load, ...]:
    """SQLite against PostgreSQL."""
    clients = min(config.limits.clients, MOST_CLIENTS)
    readers = max(1, config.readers)
    return (
        Load(name="writes", writers=1),
        Load(name="concurrent_writes", writers=max(2, config.writers), share=1.0),
        Load(name="reads", readers=readers),
        Load(name="joins", readers=readers, reads="join", share=1.0),
        Load(name="batched", writers=1, writes="batch"),
        *((Load(name="full_text", readers=readers, reads="text"),) if text else ()),
        Load(name="stress", writers=clients - clients // 2, readers=clients // 2, parts=clients > 1),
    )
