"""A person at a real terminal who reads what is printed and types lines."""

from __future__ import annotations

import codecs
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType

from tests.run_kit import until

ROOT = Path(__file__).parents[2]
LAUNCH = Path(__file__).with_name("launch.py")
SECONDS = 40
"""No answer may take longer."""


class Terminal:
    """StepFlow on a pty; stdout, stderr and stdin are its terminal unless `stdout` names a file."""

    def __init__(self, *args: str, folder: Path, env: dict[str, str] | None = None, stdout: Path | None = None) -> None:
        self.raw = b""
        self._read = 0
        self._text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "STEPFLOW", "XDG", "LC_", "LANG"))}
        (folder / "home").mkdir(exist_ok=True)
        wanted = {"HOME": str(folder / "home"), "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        self._fd, side = pty.openpty()
        command = [sys.executable, "-m", "stepflow_tui", *args]
        # stderr holds the terminal open until the program has opened it for itself
        with (stdout or Path(os.devnull)).open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, str(LAUNCH), os.ttyname(side), "80", "24", "1" if stdout else "-", "-", *command],
                stdin=subprocess.DEVNULL, stdout=out, stderr=side, cwd=folder, env=kept | wanted | (env or {}),
                start_new_session=True,
            )  # fmt: skip
        os.close(side)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._fd)

    @property
    def text(self) -> str:
        """Everything printed so far."""
        return self._text

    def until(self, pattern: str) -> str:
        """Wait until this was printed after what was waited for before; the match."""
        end = time.monotonic() + SECONDS
        while True:
            found = re.compile(pattern).search(self._text, self._read)
            if found:
                self._read = found.end()
                return found[0]
            if time.monotonic() > end or not self._more(end):
                raise AssertionError(f"{pattern!r} was never printed after:\n{self._text[self._read :]}")

    def type(self, text: str) -> None:
        """Send keys."""
        os.write(self._fd, text.encode())

    def answer(self, *answers: object) -> None:
        """Give each answer when the next question is asked."""
        for given in answers:
            self.until(r"(?m)[:：] \Z")
            self.type(f"{given}\n")

    @property
    def mode(self) -> list[object]:
        """How the terminal is set."""
        found: list[object] = termios.tcgetattr(self._fd)
        return found

    def until_raw(self) -> None:
        """Wait until the program reads keys instead of lines."""
        until(lambda: not termios.tcgetattr(self._fd)[3] & termios.ICANON, SECONDS)

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.type("\x03")

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self._process.send_signal(number)

    def ended(self) -> int:
        """The exit code, once it has ended."""
        end = time.monotonic() + SECONDS
        while self._more(end):
            pass
        return self._process.wait(SECONDS)

    def _more(self, end: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], max(0.0, end - time.monotonic()))
        try:
            new = os.read(self._fd, 65536) if ready else b""
        except OSError:  # the other side is closed
            new = b""
        self.raw += new
        self._text += self._decoder.decode(new).replace("\r\n", "\n")
        return bool(new)
