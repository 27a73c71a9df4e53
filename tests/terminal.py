"""A real terminal for programs under test: a pseudo-terminal, and an emulator that says what is on its screen."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte
import pytest

PATIENCE_S = 60.0
ABOUT_TERMINALS = ("TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE")


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment with nothing about terminals but what is given."""
    return {name: value for name, value in os.environ.items() if name not in ABOUT_TERMINALS} | variables


class Terminal:
    """A program in a session of its own, whose controlling terminal this is."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        columns: int = 80,
        lines: int = 200,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        """All that was written so far, as it was."""
        self._controller, terminal = os.openpty()
        self._resize(columns, lines)
        # Not the leader of its group, setsid does not fork: the program keeps this pid.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=env or environment(TERM="xterm-256color"),
            cwd=cwd,
        )
        os.close(terminal)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.hang_up()

    @property
    def shown(self) -> str:
        """What is on the screen, without the blanks at the end of lines and screen."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def wait_for(self, text: str, *, count: int = 1, patience_s: float = PATIENCE_S) -> str:
        """Return what is on the screen as soon as the text is, so many times; fails if it does not come."""
        self.wait_until(lambda: self.shown.count(text) >= count, repr(text), patience_s)
        return self.shown

    def wait_until(self, holds: Callable[[], bool], what: str = "more", patience_s: float = PATIENCE_S) -> None:
        """Read until the condition holds; fails if it does not in time."""
        deadline = time.monotonic() + patience_s
        while not holds():
            if not self._read(deadline):
                pytest.fail(f"expected {what} on the screen, found:\n{self.shown}")

    def wait(self) -> int:
        """Read to the end; return the exit status."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            pass
        return self.process.wait(max(1.0, deadline - time.monotonic()))

    def type(self, text: str) -> None:
        os.write(self._controller, text.encode())

    def resize(self, columns: int, lines: int = 200) -> None:
        """Change the size, as a window's is changed."""
        self._screen.resize(lines, columns)
        self._resize(columns, lines)

    def hang_up(self) -> None:
        """Take the terminal away, as a connection that is lost does."""
        if self._controller >= 0:
            os.close(self._controller)
            self._controller = -1

    def _resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._controller, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _read(self, deadline: float) -> bool:
        if not select.select([self._controller], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        try:
            chunk = os.read(self._controller, 1 << 16)
        except OSError:  # EIO: nobody has it open any more
            return False
        self.written += chunk
        self._stream.feed(chunk)
        return bool(chunk)
