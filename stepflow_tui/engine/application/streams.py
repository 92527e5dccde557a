"""Child processes and what they print, for whoever starts one: pipes of our own, the newest bytes, the end of a group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator

CHUNK_BYTES = 64 * 1024
GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL."""
DRAIN_SECONDS = 1.0
"""How long the rest of the output is waited for: a program left in the background may hold the pipe for ever."""

_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "XDG_RUNTIME_DIR",
           "DBUS_SESSION_BUS_ADDRESS")  # fmt: skip
"""Variables of the engine that a command gets; everything else it needs is written into its `env`."""


def passed_environment() -> dict[str, str]:
    """The variables of the engine's own environment that are passed on."""
    return {k: v for k, v in os.environ.items() if k in _PASSED or k.startswith("LC_")}


_UMASK: list[int] = []
"""What the operator's shell had."""


def keep_private() -> None:
    """Whatever this process writes is its user's alone from now on; what it runs for the application is not affected."""
    _UMASK[:] = [os.umask(0o077)]


def usual_umask() -> int:
    """The umask for what is run on the operator's behalf: a web server must be able to read what git checks out.

    -1, which changes nothing, where this process has not been made private.
    """
    return _UMASK[0] if _UMASK else -1


class Newest:
    """The newest bytes of a stream: at least `keep` of them, if there were so many. `total` counts all."""

    def __init__(self, keep: int) -> None:
        self.total = 0
        self.data = bytearray()
        self._keep = keep

    def add(self, data: bytes) -> None:
        """Take what came, and forget the oldest."""
        self.total += len(data)
        self.data += data
        if len(self.data) > 2 * self._keep:
            del self.data[: -self._keep]


class PipeEnd:
    """One end of a pipe."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._open = True

    def close(self) -> None:
        """Close it once."""
        if self._open:
            self._open = False
            os.close(self.fd)

    def give_away(self) -> int:
        """The descriptor, closed by whoever takes it."""
        self._open = False
        return self.fd


@contextlib.contextmanager
def pipe() -> Iterator[tuple[PipeEnd, PipeEnd]]:
    """Pipes of our own: waiting for a process must not wait for those that inherited its output."""
    read, write = (PipeEnd(fd) for fd in os.pipe())
    try:
        yield read, write
    finally:
        read.close()
        write.close()


async def read_into(source: PipeEnd, kept: Newest) -> None:
    """Read a pipe to its end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    file = os.fdopen(source.give_away(), "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    try:
        while data := await reader.read(CHUNK_BYTES):
            kept.add(data)
    finally:
        transport.close()


async def ended(process: asyncio.subprocess.Process, seconds: float) -> int | None:
    """Its exit status; None if it has not ended in that time."""
    try:
        return await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        return None


async def end_group(process: asyncio.subprocess.Process) -> None:
    """Ask the whole group to end, then make it; also what a failed shell left in the background."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_SECONDS)
