"""What the braces in switches stand for: `{target_dsn}` and its parts, `{source_path}`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class TargetLike(Protocol):
    """What is asked of a target."""

    @property
    def hosts(self) -> tuple[tuple[str, int], ...]:
        """Host and port, in the order in which they are tried."""
        ...

    @property
    def database(self) -> str:
        """Its name."""
        ...

    @property
    def user(self) -> str:
        """Who logs in."""
        ...

    @property
    def password(self) -> str | None:
        """None where none is needed."""
        ...

    def application_uri(self) -> str:
        """What an application puts into DATABASE_URL."""
        ...


def target_values(target: TargetLike, source: Path) -> dict[str, str]:
    """Values by name, the password among them: for the application's own files, never to be shown.

    Args:
        target: the new side.
        source: the SQLite file; written down as an absolute path.
    """
    host, port = target.hosts[0] if target.hosts else ("", 5432)
    return {
        "target_dsn": target.application_uri(),
        "target_host": host,
        "target_port": str(port),
        "target_name": target.database,
        "target_user": target.user,
        "target_password": target.password or "",
        **source_values(source),
    }


def source_values(source: Path) -> dict[str, str]:
    """The values there are where the database stays in its place: there is no target to speak of."""
    return {"source_path": str(source.absolute())}
