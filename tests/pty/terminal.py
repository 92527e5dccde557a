"""A terminal for tests: it draws, answers `ESC[6n` once it has drawn, can be resized, stalled and closed."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.pty.emulator import Emulator

LAUNCH = Path(__file__).with_name("launch.py")
SECONDS = 30.0
"""Nothing on a screen takes longer."""
QUESTION = b"\x1b[6n"


class Terminal:
    """A program at a terminal.

    Args:
        command: program and arguments.
        env: its environment.
        answers: whether the terminal answers questions about its cursor.
        redirected: file descriptors that are files instead, or None for /dev/null.
        nohup: start it with hang-ups ignored.
    """

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, size: tuple[int, int] = (80, 24),
        answers: bool = True, redirected: Mapping[int, IO[bytes] | None] | None = None, nohup: bool = False,
    ) -> None:  # fmt: skip
        self._master, slave = pty.openpty()
        self._answers = answers
        self._lock = threading.Condition()
        self._emulator = Emulator(*size)
        self._reading = threading.Event()
        self._reading.set()
        self._closed = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.raw = bytearray()
        self.questions = 0
        files = {n: f if f is not None else subprocess.DEVNULL for n, f in (redirected or {}).items()}
        self.name = os.ttyname(slave)
        self.process = subprocess.Popen(
            [sys.executable, "-IS", str(LAUNCH), self.name, *map(str, size), "".join(map(str, files)) or "-",
             "nohup" if nohup else "-", *command],
            env=dict(env), cwd=cwd, start_new_session=True,
            stdin=files.get(0, subprocess.DEVNULL), stdout=files.get(1, slave), stderr=files.get(2, slave),
        )  # fmt: skip
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """What is on the screen now."""
        with self._lock:
            return self._emulator.text

    @property
    def written(self) -> int:
        """How many bytes the program has written."""
        return len(self.raw)

    def send(self, keys: str) -> None:
        """Keys, in one packet."""
        os.write(self._master, keys.encode())

    def see(self, wanted: str | Callable[[str], object], seconds: float = SECONDS) -> str:
        """Wait until the screen shows a text (in any case of letters), or what a test of the screen accepts."""

        def shown() -> bool:
            text = self._emulator.text
            return bool(wanted(text)) if callable(wanted) else wanted.lower() in text.lower()

        with self._lock:
            seen = self._lock.wait_for(shown, seconds)
            text = self._emulator.text
        assert seen, (
            f"{wanted!r} not seen within {seconds} s; the screen shows:\n{text}\n(ended: {self.process.poll()})"
        )
        return text

    def asked(self, count: int, seconds: float = SECONDS) -> None:
        """Wait until the program has asked for the cursor's position so many times."""
        with self._lock:
            assert self._lock.wait_for(lambda: self.questions >= count, seconds), (
                f"asked {self.questions} times\n{self.text}"
            )

    def quiet(self, seconds: float = 0.4) -> None:
        """Wait until nothing was written for so long: what was typed has had its effect."""
        with self._lock:
            while self._lock.wait(seconds):
                pass

    def resize(self, columns: int, rows: int) -> None:
        """Another size."""
        with self._lock:
            self._emulator.resize(columns, rows)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Nothing is read meanwhile: a network that hangs, a `ctrl+s`."""
        self._reading.clear()
        try:
            yield
        finally:
            self._reading.set()

    def hang_up(self) -> None:
        """The connection drops."""
        self._closed = True
        self._reading.set()
        self._reader.join(SECONDS)
        os.close(self._master)

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self.process.send_signal(number)

    def exit_code(self, seconds: float = SECONDS) -> int:
        """Wait for the program's end; a signal's number is negative."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not ended within {seconds} s; the screen shows:\n{self.text}") from None
        finally:
            if not self._closed:
                self._reader.join(SECONDS)

    def close(self) -> None:
        """End what is left."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if not self._closed:
            self.hang_up()

    def _read(self) -> None:
        while not self._closed:
            self._reading.wait()
            ready, _, _ = select.select([self._master], [], [], 0.05)
            if not ready or not self._reading.is_set():
                continue
            try:
                data = os.read(self._master, 65536)
            except OSError:  # the program has ended
                return
            with self._lock:
                self._draw(data)

    def _draw(self, data: bytes) -> None:
        before = len(self.raw)
        self.raw += data
        self._emulator.feed(self._decoder.decode(data))
        asked = self.raw.count(QUESTION, max(0, before - len(QUESTION) + 1))
        self.questions += asked
        self._lock.notify_all()
        if self._answers and asked:
            with contextlib.suppress(OSError):
                os.write(self._master, b"\x1b[1;1R" * asked)


def time_of(what: Callable[[], object]) -> float:
    """Seconds that something takes."""
    begin = time.monotonic()
    what()
    return time.monotonic() - begin
